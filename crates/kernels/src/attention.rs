//! Attention within each sequence of a packed batch.
//!
//! One task per (sequence, head); a task walks its queries in blocks, so the score matrix never exists whole. The
//! backward pass keeps only q, k, v, the output and one log-sum-exp per query and head, and computes the
//! probabilities again (Dao et al. 2022, FlashAttention). Each task writes its own rows and columns: no atomics, and
//! no order that could change.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::dropout::Sampler;
use crate::fused::{Forward, dims, elements, tensor};
use crate::gemm::{Tile, Tiles, View, multiply};
use crate::math;
use crate::simd::vectorised;
use crate::{Dropout, Offsets};

/// Queries whose scores are held at once.
const BLOCK: usize = 64;

/// Elements from which the tasks are shared out among threads; a short query is done sooner on one.
const PARALLEL: usize = 1 << 16;

/// How rows and columns divide into tasks.
#[derive(Clone)]
pub(crate) struct Attention {
    pub(crate) offsets: Offsets,
    pub(crate) heads: usize,
    pub(crate) dropout: Option<Dropout>,
}

/// One task: the rows of a sequence, the columns of a head.
struct Task {
    head: usize,
    start: usize,
    length: usize,
    column: usize,
    /// Index of the task's first probability in the dropout mask.
    first: u64,
}

impl Attention {
    /// One task per (sequence, head) that has tokens.
    fn tasks(&self, head_dim: usize) -> Vec<Task> {
        let mut first = 0;
        let mut tasks = Vec::with_capacity(self.offsets.batch() * self.heads);
        for range in self.offsets.ranges().filter(|range| !range.is_empty()) {
            let length = range.len();
            for head in 0..self.heads {
                tasks.push(Task { head, start: range.start, length, column: head * head_dim, first });
                first += (length * length) as u64;
            }
        }
        tasks
    }

    /// Calls `task` for every task, on all threads where that is worth while; `scratch` is kept within a thread.
    fn run<S: Default>(&self, head_dim: usize, task: impl Fn(&mut S, &Task) + Send + Sync) {
        let tasks = self.tasks(head_dim);
        let work: usize = self.offsets.lengths().map(|length| length * length * self.heads).sum();
        if work < PARALLEL {
            let mut scratch = S::default();
            for t in &tasks {
                task(&mut scratch, t);
            }
        } else {
            tasks.par_iter().for_each_init(S::default, task);
        }
    }

    /// `[q | k | v]`, side by side, to the attended values.
    pub(crate) fn forward(self, mut inputs: Vec<FlexTensor>, track: bool) -> Forward {
        let input = inputs.swap_remove(0);
        let [tokens, stride] = dims(&input);
        let width = stride / 3;
        let head_dim = width / self.heads;
        let qkv = elements(&input);
        let sampler = self.dropout.map(|dropout| dropout.sampler());
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut output: Vec<f32> = Vec::with_capacity(tokens * width);
        let mut log_sums = vec![0.0; tokens * self.heads];
        let output_tiles = Tiles::spare(&mut output, width);
        let log_sum_tiles = Tiles::new(&mut log_sums, tokens);
        self.run(head_dim, |scores: &mut Vec<f32>, task| {
            let Task { head, start, length, column, first } = *task;
            let part = |row, rows, which| {
                View::new(slice_at(qkv, row, which * width + column, stride), rows, head_dim, stride)
            };
            // SAFETY: no other task has this sequence and head.
            let mut log_sums = unsafe { log_sum_tiles.tile([head, start], 1, length) };
            for block in (0..length).step_by(BLOCK) {
                let queries = BLOCK.min(length - block);
                scores.resize(queries * length, 0.0);
                let (q, k) = (part(start + block, queries, Q), part(start, length, K));
                multiply(&mut Tile::new(scores, queries, length), false, scale, q, k.t());
                for (i, row) in scores.chunks_exact_mut(length).enumerate() {
                    let index = first + ((block + i) * length) as u64;
                    log_sums.row(0)[block + i] = softmax(row, sampler, index);
                }
                // SAFETY: as above, and blocks of queries are disjoint.
                let mut output = unsafe { output_tiles.tile([start + block, column], queries, head_dim) };
                multiply(
                    &mut output,
                    false,
                    1.0,
                    View::new(scores, queries, length, length),
                    part(start, length, V),
                );
            }
        });
        // SAFETY: the tasks' rows and columns cover the output, and `multiply` wrote each of them.
        unsafe { output.set_len(tokens * width) };
        let output = tensor(output, [tokens, width]);
        let gradient = track.then(|| {
            let saved = output.clone();
            let backward = move |gradient: FlexTensor, wanted: &[bool]| {
                vec![wanted[0].then(|| self.backward(&input, &saved, &log_sums, &gradient))]
            };
            Box::new(backward) as _
        });
        Forward { output, gradient }
    }

    fn backward(
        &self,
        input: &FlexTensor,
        output: &FlexTensor,
        log_sums: &[f32],
        gradient: &FlexTensor,
    ) -> FlexTensor {
        let [tokens, width] = dims(output);
        let (stride, head_dim) = (3 * width, width / self.heads);
        let (qkv, output, d_output) = (elements(input), elements(output), elements(gradient));
        let sampler = self.dropout.map(|dropout| dropout.sampler());
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut d_input: Vec<f32> = Vec::with_capacity(tokens * stride);
        let tiles = Tiles::spare(&mut d_input, stride);
        self.run(head_dim, |(weights, d_weights): &mut (Vec<f32>, Vec<f32>), task| {
            let Task { head, start, length, column, first } = *task;
            let part = |row, rows, which| {
                View::new(slice_at(qkv, row, which * width + column, stride), rows, head_dim, stride)
            };
            let (k, v) = (part(start, length, K), part(start, length, V));
            // SAFETY: no other task has this sequence and head.
            let [mut dk, mut dv] =
                [K, V].map(|which| unsafe { tiles.tile([start, which * width + column], length, head_dim) });
            for block in (0..length).step_by(BLOCK) {
                let (queries, at) = (BLOCK.min(length - block), start + block);
                let q = part(at, queries, Q);
                let d_rows = View::new(slice_at(d_output, at, column, width), queries, head_dim, width);
                weights.resize(queries * length, 0.0);
                d_weights.resize(queries * length, 0.0);
                multiply(&mut Tile::new(weights, queries, length), false, scale, q, k.t());
                multiply(&mut Tile::new(d_weights, queries, length), false, 1.0, d_rows, v.t());
                for i in 0..queries {
                    let row = (at + i) * width + column..(at + i) * width + column + head_dim;
                    let span = i * length..(i + 1) * length;
                    softmax_backward(
                        &mut weights[span.clone()],
                        &mut d_weights[span],
                        log_sums[head * tokens + at + i],
                        inner(&output[row.clone()], &d_output[row]),
                        scale,
                        sampler,
                        first + ((block + i) * length) as u64,
                    );
                }
                let weights = View::new(weights, queries, length, length);
                let d_scores = View::new(d_weights, queries, length, length);
                // SAFETY: as above, and blocks of queries are disjoint.
                let mut dq = unsafe { tiles.tile([at, column], queries, head_dim) };
                multiply(&mut dq, false, 1.0, d_scores, k);
                multiply(&mut dk, block > 0, 1.0, d_scores.t(), q);
                multiply(&mut dv, block > 0, 1.0, weights.t(), d_rows);
            }
        });
        // SAFETY: the tasks' rows and columns of q, k and v cover it, and `multiply` wrote each of them.
        unsafe { d_input.set_len(tokens * stride) };
        tensor(d_input, [tokens, stride])
    }
}

/// Places of the queries, keys and values side by side.
const Q: usize = 0;
const K: usize = 1;
const V: usize = 2;

/// The elements from a row and column on.
fn slice_at(x: &[f32], row: usize, column: usize, width: usize) -> &[f32] {
    &x[row * width + column..]
}

vectorised! {
    /// Softmax of one row in place, with dropout; returns the log-sum-exp.
    fn softmax(row: &mut [f32], sampler: Option<Sampler>, first: u64) -> f32 {
        let max = math::max(row);
        for x in row.iter_mut() {
            *x = math::exp::<FMA>(*x - max);
        }
        let sum = math::sum::<FMA>(row);
        let inverse = 1.0 / sum;
        match sampler {
            None => {
                for x in row.iter_mut() {
                    *x *= inverse;
                }
            }
            Some(sampler) => {
                for (j, x) in row.iter_mut().enumerate() {
                    *x *= inverse * sampler.factor(first + j as u64);
                }
            }
        }
        max + sum.ln()
    }
}

vectorised! {
    /// From scores and the gradient of the dropped probabilities, in place: the dropped probabilities, and the
    /// gradient of the unscaled scores. `inner` is the dot product of the output row and its gradient.
    fn softmax_backward(
        scores: &mut [f32],
        gradient: &mut [f32],
        log_sum: f32,
        inner: f32,
        scale: f32,
        sampler: Option<Sampler>,
        first: u64,
    ) {
        match sampler {
            None => {
                for (x, g) in scores.iter_mut().zip(gradient) {
                    *x = math::exp::<FMA>(*x - log_sum);
                    *g = *x * (*g - inner) * scale;
                }
            }
            Some(sampler) => {
                for (j, (x, g)) in scores.iter_mut().zip(gradient).enumerate() {
                    let factor = sampler.factor(first + j as u64);
                    let probability = math::exp::<FMA>(*x - log_sum);
                    *g = probability * (*g * factor - inner) * scale;
                    *x = probability * factor;
                }
            }
        }
    }
}

vectorised! {
    fn inner(x: &[f32], y: &[f32]) -> f32 {
        math::dot::<FMA>(x, y)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_same_bytes, matrix};
    use crate::{Dropout, Offsets, attention, plain};

    fn qkv(offsets: &Offsets, width: usize) -> [burn::tensor::TensorData; 1] {
        [matrix(offsets.tokens(), 3 * width, 1)]
    }

    fn check(lengths: &[usize], heads: usize, head_dim: usize, dropout: Option<Dropout>) {
        let offsets = Offsets::from_lengths(lengths.iter().copied());
        assert_agree(
            &|x, _| attention(x[0].clone(), &offsets, heads, dropout),
            &|x, _| plain::attention(x[0].clone(), &offsets, heads, dropout),
            &qkv(&offsets, heads * head_dim),
            &[],
        );
    }

    const DROPOUT: Option<Dropout> = Some(Dropout { probability: 0.2, key: 11 });

    #[test]
    fn matches_plain_on_ragged_lengths() {
        check(&[5, 1, 70, 0, 33, 64, 65], 3, 20, None);
        check(&[5, 1, 70, 0, 33, 64, 65], 3, 20, DROPOUT);
        check(&[1], 1, 7, DROPOUT);
    }

    #[test]
    fn matches_plain_on_long_sequences() {
        check(&[512, 3, 200], 2, 32, None);
        check(&[300, 129], 2, 32, DROPOUT);
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let offsets = Offsets::from_lengths([5, 128, 1, 64, 65, 0, 17, 200]);
        assert_same_bytes(&|x, _| attention(x[0].clone(), &offsets, 12, DROPOUT), &qkv(&offsets, 384), &[]);
    }

    #[test]
    fn a_batch_without_tokens_is_empty() {
        let empty = || Tensor::<2>::zeros([0, 24], &Device::flex());
        for offsets in [Offsets::from_lengths([]), Offsets::from_lengths([0, 0])] {
            assert_eq!(attention(empty(), &offsets, 2, None).dims(), [0, 8]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn matches_plain(
            lengths in prop::collection::vec(0usize..70, 1..5),
            heads in 1usize..4,
            head_dim in 1usize..40,
            probability in prop::option::of(0.0f32..0.9),
        ) {
            prop_assume!(lengths.iter().sum::<usize>() > 0);
            check(&lengths, heads, head_dim, probability.map(|probability| Dropout { probability, key: 3 }));
        }
    }
}
