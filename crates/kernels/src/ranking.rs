//! Cross-entropy of scaled similarities, where the right answer of row i is candidate i.
//!
//! The scores exist for some rows at a time, so that memory does not grow with rows times candidates. The backward
//! pass keeps two numbers a row and computes the scores again, as attention does.

use std::ops::Range;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::fused::{Forward, dims, elements, tensor};
use crate::gemm::{Panels, View, product};
use crate::math;
use crate::rows::CHUNK;
use crate::simd::vectorised;

/// Added to the score of an excluded candidate: `exp` of it is nothing beside the right answer's, and NaN stays NaN.
pub(crate) const EXCLUDED: f32 = -1e9;

/// Scores held at once, unless [`CHUNK`] rows have more.
const SCORES: usize = 1 << 22;

/// How scores are made of products.
pub(crate) struct Ranking {
    scale: f32,
    /// (row, column), sorted.
    excluded: Vec<(usize, usize)>,
}

/// What makes a row of scores probabilities: `exp(score - largest - log_sum)`.
#[derive(Clone, Copy)]
struct Normaliser {
    largest: f32,
    log_sum: f32,
}

impl Ranking {
    pub(crate) fn new(scale: f64, mut excluded: Vec<(usize, usize)>) -> Self {
        excluded.sort_unstable();
        Self { scale: scale as f32, excluded }
    }

    /// `[anchors, candidates]` to the mean of the rows' losses.
    pub(crate) fn forward(self, inputs: Vec<FlexTensor>, track: bool) -> Forward {
        let ([batch, _], [count, _]) = (dims(&inputs[0]), dims(&inputs[1]));
        let panels = Panels::pack(matrix(&inputs[1]).t());
        let mut normalisers = Vec::with_capacity(batch);
        let mut total = 0.0;
        for rows in blocks(batch, count) {
            let scores = product(part(&inputs[0], &rows), &panels, |row, column, out| {
                self.score(rows.start + row, column, out);
            });
            let scores = scores.par_chunks_exact(count).with_min_len(CHUNK);
            normalisers.par_extend(scores.clone().map(normaliser));
            let losses: Vec<f32> = scores
                .zip(&normalisers[rows.clone()])
                .zip(rows)
                .map(|((scores, row), right)| (row.largest - scores[right]) + row.log_sum)
                .collect();
            total += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
        }
        let output = tensor(vec![(total / batch as f64) as f32], [1]);
        let gradient = track.then(|| {
            let backward = move |gradient: FlexTensor, wanted: &[bool]| {
                self.backward(&inputs, &normalisers, elements(&gradient)[0], wanted)
            };
            Box::new(backward) as _
        });
        Forward { output, gradient }
    }

    fn backward(
        &self,
        inputs: &[FlexTensor],
        normalisers: &[Normaliser],
        gradient: f32,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let ([batch, dim], [count, _]) = (dims(&inputs[0]), dims(&inputs[1]));
        let [across, down] = [matrix(&inputs[1]).t(), matrix(&inputs[1])].map(Panels::pack);
        let factor = gradient * self.scale / batch as f32;
        let finish = |_: usize, _: usize, out: &mut [f32]| scale(out, factor);
        let mut anchors = Vec::with_capacity(batch * dim);
        let mut candidates = vec![0.0; count * dim];
        for rows in blocks(batch, count) {
            // The gradient of the scores: the probabilities, less one at the right answer.
            let scores = product(part(&inputs[0], &rows), &across, |row, column, out| {
                let row = rows.start + row;
                self.score(row, column, out);
                softmax(out, normalisers[row]);
                if let Some(right) = row.checked_sub(column).and_then(|right| out.get_mut(right)) {
                    *right -= 1.0;
                }
            });
            let scores = View::new(&scores, rows.len(), count, count);
            if wanted[0] {
                anchors.extend(product(scores, &down, finish));
            }
            if wanted[1] {
                let rows = Panels::pack(part(&inputs[0], &rows));
                let sums = product(scores.t(), &rows, finish);
                candidates.iter_mut().zip(sums).for_each(|(total, x)| *total += x);
            }
        }
        vec![
            wanted[0].then(|| tensor(anchors, [batch, dim])),
            wanted[1].then(|| tensor(candidates, [count, dim])),
        ]
    }

    /// Makes scores of a row's products from a column on.
    fn score(&self, row: usize, column: usize, out: &mut [f32]) {
        scale(out, self.scale);
        let place = |column| self.excluded.partition_point(|pair| *pair < (row, column));
        for (_, excluded) in &self.excluded[place(column)..place(column + out.len())] {
            out[excluded - column] += EXCLUDED;
        }
    }
}

/// The rows whose scores are held at once.
fn blocks(batch: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let each = (SCORES / count.max(1)).max(CHUNK);
    (0..batch).step_by(each).map(move |start| start..(start + each).min(batch))
}

fn matrix(x: &FlexTensor) -> View<'_> {
    let [rows, columns] = dims(x);
    View::new(elements(x), rows, columns, columns)
}

/// Some rows of a matrix.
fn part<'a>(x: &'a FlexTensor, rows: &Range<usize>) -> View<'a> {
    let [_, columns] = dims(x);
    View::new(&elements(x)[rows.start * columns..], rows.len(), columns, columns)
}

vectorised! {
    fn scale(x: &mut [f32], factor: f32) {
        for x in x {
            *x *= factor;
        }
    }
}

vectorised! {
    fn normaliser(scores: &[f32]) -> Normaliser {
        let largest = math::max(scores);
        let sum = math::sum2::<FMA>(scores, scores, |sum, x, _| sum + math::exp::<FMA>(x - largest));
        Normaliser { largest, log_sum: sum.ln() }
    }
}

vectorised! {
    fn softmax(scores: &mut [f32], row: Normaliser) {
        for x in scores {
            // In this order the right answer's own rounding cancels.
            *x = math::exp::<FMA>((*x - row.largest) - row.log_sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use super::SCORES;
    use crate::testing::{assert_agree, assert_close, assert_same_bytes, matrix, values};
    use crate::{normalize, plain, ranking_loss};

    /// The loss of cosines, against plain.
    fn check(batch: usize, count: usize, dim: usize, scale: f64, excluded: &[(usize, usize)]) {
        let cosines = |x: &[Tensor<2>]| (normalize(x[0].clone()), normalize(x[1].clone()));
        assert_agree(
            &|x, _| {
                let (anchors, candidates) = cosines(x);
                ranking_loss(anchors, candidates, scale, excluded.to_vec()).unsqueeze()
            },
            &|x, _| {
                let (anchors, candidates) = cosines(x);
                plain::ranking_loss(anchors, candidates, scale, excluded).unsqueeze()
            },
            &[matrix(batch, dim, 1), matrix(count, dim, 2)],
            &[],
        );
    }

    #[test]
    fn by_hand() {
        let of = |rows: &[[f32; 2]]| {
            Tensor::<2>::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), &Device::flex())
        };
        let (anchors, candidates) =
            (of(&[[1.0, 0.0], [0.0, 1.0]]), of(&[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]));
        let loss = |excluded| values(ranking_loss(anchors.clone(), candidates.clone(), 2.0, excluded))[0];
        // Both rows score 2 for their own and for the third, 0 for the other's.
        let (own, other) = (2f32.exp(), 1.0);
        assert_close(&[loss(vec![])], &[((2.0 * own + other) / own).ln()], "nothing excluded");
        assert_close(&[loss(vec![(0, 2), (1, 2)])], &[((own + other) / own).ln()], "third excluded");
        assert_eq!(loss(vec![(1, 0), (0, 2), (0, 1), (1, 2)]), 0.0);
    }

    #[test]
    fn matches_plain() {
        for scale in [1.0, 20.0, 100.0] {
            check(1, 1, 5, scale, &[]);
            check(1, 9, 5, scale, &[(0, 8), (0, 3)]);
            check(130, 260, 33, scale, &[(129, 0), (0, 129), (64, 200), (64, 3), (64, 65)]);
        }
    }

    #[test]
    fn matches_plain_in_several_blocks() {
        let count = SCORES / 64 + 7;
        check(150, count, 3, 20.0, &[(149, count - 1), (64, 0), (63, 64)]);
    }

    #[test]
    fn a_right_answer_far_ahead_has_no_gradient() {
        let device = Device::flex().autodiff();
        let anchors = Tensor::<2>::from_floats([[1.0, 0.1], [0.1, 1.0]], &device).require_grad();
        let loss = ranking_loss(anchors.clone(), anchors.clone().detach(), 1234.5, vec![]);
        let gradient = values(anchors.grad(&loss.clone().backward()).expect("a gradient"));
        assert_eq!(values(loss), [0.0]);
        assert!(gradient.iter().all(|x| x.abs() < 1e-30), "{gradient:?}");
    }

    #[test]
    fn a_frozen_side_gets_no_gradient() {
        let device = Device::flex().autodiff();
        let frozen = Tensor::<2>::from_data(matrix(3, 4, 1), &device);
        let learned = frozen.clone().require_grad();
        for pair in [[&learned, &frozen], [&frozen, &learned]].map(|pair| pair.map(Tensor::clone)) {
            let [anchors, candidates] = pair;
            let gradients = ranking_loss(anchors, candidates, 1.0, vec![]).backward();
            assert!(learned.grad(&gradients).is_some() && frozen.grad(&gradients).is_none());
        }
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        for (batch, count, dim) in [(333, 700, 384), (32, 96, 384)] {
            assert_same_bytes(
                &|x, _| ranking_loss(x[0].clone(), x[1].clone(), 0.05, vec![(3, 1), (31, 90)]).unsqueeze(),
                &[matrix(batch, dim, 1), matrix(count, dim, 2)],
                &[],
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn matches_plain_at_any_size(
            batch in 1usize..150,
            more in 0usize..150,
            dim in 1usize..70,
            scale in prop::sample::select(vec![1.0, 20.0, 100.0]),
            pairs in prop::collection::vec((0usize..150, 0usize..300), 0..20),
        ) {
            let inside = |&(row, column): &(usize, usize)| row < batch && column < batch + more && row != column;
            let excluded: Vec<_> = pairs.into_iter().filter(inside).collect();
            check(batch, batch + more, dim, scale, &excluded);
        }
    }
}
