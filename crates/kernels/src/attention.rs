//! Attention within each sequence of a packed batch.
//!
//! One task per sequence and head; a task walks its queries in blocks, each with the keys that it sees, so the score
//! matrix never exists whole. The backward pass keeps only q, k, v, the output and one log-sum-exp per query and head,
//! and computes the probabilities again (Dao et al. 2022, FlashAttention). Each task writes its own rows and columns:
//! no atomics, and no order that could change.

use std::ops::Range;

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::dropout::Sampler;
use crate::fused::{Forward, dims, elements, tensor};
use crate::gemm::{Tile, Tiles, View, multiply};
use crate::math;
use crate::norm::add_row;
use crate::simd::vectorised;
use crate::{Attend, Dropout, Offsets, Reach};

/// Queries whose scores are held at once.
const BLOCK: usize = 64;

/// Elements from which the tasks are shared out among threads; a short query is done sooner on one.
const PARALLEL: usize = 1 << 16;

/// How rows and columns divide into tasks.
#[derive(Clone)]
pub(crate) struct Attention {
    pub(crate) offsets: Offsets,
    pub(crate) attend: Attend,
    pub(crate) dropout: Option<Dropout>,
}

/// One task: the rows of a sequence, the columns of some query heads with the same keys and values.
struct Task {
    heads: Range<usize>,
    start: usize,
    length: usize,
    /// Index of the sequence's first probability in the dropout mask.
    first: u64,
}

impl Task {
    /// Blocks of queries, each with the keys that it sees.
    fn blocks(&self, reach: Reach) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let length = self.length;
        let queries = (0..length).step_by(BLOCK).map(move |block| block..(block + BLOCK).min(length));
        queries.map(move |queries| (queries.clone(), reach.keys(queries, length)))
    }

    /// The index of a probability in the dropout mask.
    fn index(&self, head: usize, query: usize, key: usize) -> u64 {
        self.first + ((head * self.length + query) * self.length + key) as u64
    }
}

impl Attention {
    /// Calls `task` for every sequence that has tokens and every `heads` query heads, on all threads where that is
    /// worth while, and returns what it returned, in that order; `scratch` is kept within a thread.
    fn run<S: Default, R: Send>(
        &self,
        heads: usize,
        task: impl Fn(&mut S, &Task) -> R + Send + Sync,
    ) -> Vec<R> {
        let mut work = 0;
        let mut tasks = Vec::with_capacity(self.offsets.batch() * self.attend.heads);
        for range in self.offsets.ranges().filter(|range| !range.is_empty()) {
            let (start, length) = (range.start, range.len());
            for head in (0..self.attend.heads).step_by(heads) {
                tasks.push(Task { heads: head..head + heads, start, length, first: work as u64 });
            }
            work += self.attend.heads * length * length;
        }
        if work < PARALLEL {
            let mut scratch = S::default();
            tasks.iter().map(|t| task(&mut scratch, t)).collect()
        } else {
            tasks.par_iter().map_init(S::default, task).collect()
        }
    }

    /// Where the queries of a head, its keys and its values begin in a row.
    fn columns(&self, head: usize, head_dim: usize) -> [usize; 3] {
        let Attend { heads, kv_heads, .. } = self.attend;
        let shared = heads + head / self.attend.group();
        [head, shared, shared + kv_heads].map(|place| place * head_dim)
    }

    /// `[q | k | v]`, side by side, and perhaps the bias, to the attended values.
    pub(crate) fn forward(self, mut inputs: Vec<FlexTensor>, track: bool) -> Forward {
        let input = inputs.swap_remove(0);
        let bias = inputs.pop();
        let Attend { heads, scale, reach, .. } = self.attend;
        let [tokens, stride] = dims(&input);
        let head_dim = self.attend.head_dim(stride);
        let width = heads * head_dim;
        let qkv = elements(&input);
        let by_distance = bias.as_ref().map(Bias::new);
        let sampler = self.dropout.map(|dropout| dropout.sampler());
        let mut output: Vec<f32> = Vec::with_capacity(tokens * width);
        let mut log_sums = vec![0.0; tokens * heads];
        let output_tiles = Tiles::spare(&mut output, width);
        let log_sum_tiles = Tiles::new(&mut log_sums, tokens);
        self.run(1, |scores: &mut Vec<f32>, task| {
            let (head, start, length) = (task.heads.start, task.start, task.length);
            let [q, k, v] = self.columns(head, head_dim);
            let part = |rows: &Range<usize>, column| {
                View::new(slice_at(qkv, start + rows.start, column, stride), rows.len(), head_dim, stride)
            };
            // SAFETY: no other task has this sequence and head.
            let mut log_sums = unsafe { log_sum_tiles.tile([head, start], 1, length) };
            for (queries, keys) in task.blocks(reach) {
                let (rows, columns) = (queries.len(), keys.len());
                scores.resize(rows * columns, 0.0);
                let mut tile = Tile::new(scores, rows, columns);
                multiply(&mut tile, false, scale, part(&queries, q), part(&keys, k).t());
                for (i, row) in queries.clone().zip(scores.chunks_exact_mut(columns)) {
                    let seen = reach.keys(i..i + 1, length);
                    let row = hide_others(row, &keys, &seen);
                    if let Some(bias) = by_distance {
                        add_row(row, bias.row(head, i, &seen));
                    }
                    log_sums.row(0)[i] = softmax(row, sampler, task.index(head, i, seen.start));
                }
                // SAFETY: as above, and blocks of queries are disjoint.
                let mut output = unsafe { output_tiles.tile([start + queries.start, q], rows, head_dim) };
                let weights = View::new(scores, rows, columns, columns);
                multiply(&mut output, false, 1.0, weights, part(&keys, v));
            }
        });
        // SAFETY: the tasks' rows and columns cover the output, and `multiply` wrote each of them.
        unsafe { output.set_len(tokens * width) };
        let output = tensor(output, [tokens, width]);
        let gradient = track.then(|| {
            let saved = output.clone();
            let backward = move |gradient: FlexTensor, wanted: &[bool]| {
                let state = Saved { input, bias, output: saved, log_sums };
                self.backward(&state, &gradient, wanted)
            };
            Box::new(backward) as _
        });
        Forward { output, gradient }
    }

    fn backward(&self, saved: &Saved, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Attend { scale, reach, .. } = self.attend;
        let ([tokens, width], [_, stride]) = (dims(&saved.output), dims(&saved.input));
        let head_dim = self.attend.head_dim(stride);
        let (qkv, output, d_output) = (elements(&saved.input), elements(&saved.output), elements(gradient));
        let by_distance = saved.bias.as_ref().map(Bias::new);
        let wants_bias = wanted.get(1) == Some(&true);
        let sampler = self.dropout.map(|dropout| dropout.sampler());
        let mut d_input: Vec<f32> = Vec::with_capacity(tokens * stride);
        let tiles = Tiles::spare(&mut d_input, stride);
        let biases = self.run(self.attend.group(), |scratch: &mut [Vec<f32>; 2], task| {
            let [weights, d_weights] = scratch;
            let (start, length) = (task.start, task.length);
            let part = |rows: &Range<usize>, column| {
                View::new(slice_at(qkv, start + rows.start, column, stride), rows.len(), head_dim, stride)
            };
            let tile = |rows: &Range<usize>, column| {
                // SAFETY: no other task has this sequence and heads, and this one lets go of a tile before it takes
                // another of the same columns.
                unsafe { tiles.tile([start + rows.start, column], rows.len(), head_dim) }
            };
            let mut d_bias = vec![0.0; if wants_bias { task.heads.len() * (2 * length - 1) } else { 0 }];
            let [_, k, v] = self.columns(task.heads.start, head_dim);
            // Where every block sees every key, the first one writes what the others add to.
            let mut accumulate = reach != Reach::ALL;
            if accumulate {
                for mut tile in [k, v].map(|column| tile(&(0..length), column)) {
                    (0..length).for_each(|key| tile.row(key).fill(0.0));
                }
            }
            for head in task.heads.clone() {
                let [column, ..] = self.columns(head, head_dim);
                for (queries, keys) in task.blocks(reach) {
                    let (rows, columns, at) = (queries.len(), keys.len(), start + queries.start);
                    let q = part(&queries, column);
                    let d_rows = View::new(slice_at(d_output, at, column, width), rows, head_dim, width);
                    weights.resize(rows * columns, 0.0);
                    d_weights.resize(rows * columns, 0.0);
                    multiply(&mut Tile::new(weights, rows, columns), false, scale, q, part(&keys, k).t());
                    multiply(
                        &mut Tile::new(d_weights, rows, columns),
                        false,
                        1.0,
                        d_rows,
                        part(&keys, v).t(),
                    );
                    let both = weights.chunks_exact_mut(columns).zip(d_weights.chunks_exact_mut(columns));
                    for (i, (weights, d_weights)) in queries.clone().zip(both) {
                        let seen = reach.keys(i..i + 1, length);
                        let weights = hide_others(weights, &keys, &seen);
                        let d_weights = hide_others(d_weights, &keys, &seen);
                        if let Some(bias) = by_distance {
                            add_row(weights, bias.row(head, i, &seen));
                        }
                        let row = (start + i) * width + column..(start + i) * width + column + head_dim;
                        softmax_backward(
                            weights,
                            d_weights,
                            saved.log_sums[head * tokens + start + i],
                            inner(&output[row.clone()], &d_output[row]),
                            scale,
                            sampler,
                            task.index(head, i, seen.start),
                        );
                        if wants_bias {
                            let place = by_distances(2 * length - 1, head - task.heads.start, i, &seen);
                            add_row(&mut d_bias[place], d_weights);
                        }
                    }
                    let weights = View::new(weights, rows, columns, columns);
                    let d_scores = View::new(d_weights, rows, columns, columns);
                    multiply(&mut tile(&queries, column), false, 1.0, d_scores, part(&keys, k));
                    multiply(&mut tile(&keys, k), accumulate, 1.0, d_scores.t(), q);
                    multiply(&mut tile(&keys, v), accumulate, 1.0, weights.t(), d_rows);
                    accumulate = true;
                }
            }
            d_bias
        });
        // SAFETY: the tasks' rows and columns of q, k and v cover it, and `multiply` wrote each of them.
        unsafe { d_input.set_len(tokens * stride) };
        let d_bias = saved.bias.as_ref().map(|bias| wants_bias.then(|| self.sum_biases(&biases, bias)));
        std::iter::once(wanted[0].then(|| tensor(d_input, [tokens, stride]))).chain(d_bias).collect()
    }

    /// The gradient of the bias from each task's sums of the unscaled scores' gradient, in the order of tasks.
    fn sum_biases(&self, sums: &[Vec<f32>], bias: &FlexTensor) -> FlexTensor {
        let [heads, distances] = dims(bias);
        let mut total = vec![0.0; heads * distances];
        for (task, sums) in sums.iter().enumerate() {
            let group = self.attend.group();
            let first = task % self.attend.kv_heads * group;
            let own = sums.len() / group;
            for (head, sums) in (first..).zip(sums.chunks_exact(own)) {
                add_row(&mut total[head * distances + (distances - own) / 2..][..own], sums);
            }
        }
        tensor(total.iter().map(|x| x / self.attend.scale).collect(), [heads, distances])
    }
}

/// What the backward pass needs.
struct Saved {
    input: FlexTensor,
    bias: Option<FlexTensor>,
    output: FlexTensor,
    log_sums: Vec<f32>,
}

/// What is added to the scores of a head by the distance from query to key.
#[derive(Clone, Copy)]
struct Bias<'a> {
    table: &'a [f32],
    distances: usize,
}

impl<'a> Bias<'a> {
    fn new(bias: &'a FlexTensor) -> Self {
        Self { table: elements(bias), distances: dims(bias)[1] }
    }

    /// What is added to one query's scores of some keys.
    fn row(self, head: usize, query: usize, keys: &Range<usize>) -> &'a [f32] {
        &self.table[by_distances(self.distances, head, query, keys)]
    }
}

/// Where the distances from a query to some keys lie in a table of so many distances a head, 0 in the middle.
fn by_distances(distances: usize, head: usize, query: usize, keys: &Range<usize>) -> Range<usize> {
    let first = head * distances + distances / 2 + keys.start - query;
    first..first + keys.len()
}

/// Zeros in a row over `keys` where they are not `seen`; returns the part that is.
fn hide_others<'a>(row: &'a mut [f32], keys: &Range<usize>, seen: &Range<usize>) -> &'a mut [f32] {
    let seen = seen.start - keys.start..seen.end - keys.start;
    row[..seen.start].fill(0.0);
    row[seen.end..].fill(0.0);
    &mut row[seen]
}

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
    use burn::tensor::{Device, Tensor, TensorData};
    use proptest::prelude::*;

    use crate::testing::{assert_agree, assert_close, assert_same_bytes, matrix, values};
    use crate::{Attend, Dropout, Offsets, Reach, attention, plain};

    /// q, k and v; and a bias for sequences somewhat longer than the longest, if asked.
    fn inputs(offsets: &Offsets, attend: &Attend, head_dim: usize, bias: bool) -> Vec<TensorData> {
        let qkv = matrix(offsets.tokens(), (attend.heads + 2 * attend.kv_heads) * head_dim, 1);
        let bias = bias.then(|| matrix(attend.heads, 2 * (offsets.max_length() + 3) - 1, 2));
        std::iter::once(qkv).chain(bias).collect()
    }

    fn check(lengths: &[usize], attend: &Attend, head_dim: usize, bias: bool, dropout: Option<Dropout>) {
        let offsets = Offsets::from_lengths(lengths.iter().copied());
        assert_agree(
            &|x, _| attention(x[0].clone(), x.get(1).cloned(), &offsets, attend, dropout),
            &|x, _| plain::attention(x[0].clone(), x.get(1).cloned(), &offsets, attend, dropout),
            &inputs(&offsets, attend, head_dim, bias),
            &[],
        );
    }

    const DROPOUT: Option<Dropout> = Some(Dropout { probability: 0.2, key: 11 });

    #[test]
    fn matches_plain_on_ragged_lengths() {
        for (kv_heads, bias) in [(3, false), (1, true)] {
            let attend = Attend::new(3, kv_heads, 20);
            check(&[5, 1, 70, 0, 33, 64, 65], &attend, 20, bias, None);
            check(&[5, 1, 70, 0, 33, 64, 65], &attend, 20, bias, DROPOUT);
        }
        check(&[1], &Attend::new(1, 1, 7), 7, false, DROPOUT);
    }

    #[test]
    fn matches_plain_on_long_sequences() {
        let attend = Attend::new(2, 2, 32);
        check(&[512, 3, 200], &attend, 32, false, None);
        check(&[300, 129], &attend, 32, false, DROPOUT);
        for reach in [Reach::CAUSAL, Reach::local(40), Reach { left: Some(3), right: None }] {
            check(&[300, 129], &Attend { reach, ..attend }, 32, true, DROPOUT);
        }
    }

    #[test]
    fn each_query_sees_what_is_within_reach() {
        let device = Device::flex();
        let offsets = Offsets::from_lengths([5]);
        // Equal scores, and values that count: each output is the mean of the values seen.
        let rows: Vec<f32> = (0..5).flat_map(|i| [0.0, 0.0, i as f32]).collect();
        let qkv = Tensor::<2>::from_data(TensorData::new(rows, [5, 3]), &device);
        let seen = |reach| {
            let attend = Attend { reach, ..Attend::new(1, 1, 1) };
            values(attention(qkv.clone(), None, &offsets, &attend, None))
        };
        assert_close(&seen(Reach::CAUSAL), &[0.0, 0.5, 1.0, 1.5, 2.0], "causal");
        assert_close(&seen(Reach::local(1)), &[0.5, 1.0, 2.0, 3.0, 3.5], "local");
        assert_close(&seen(Reach { left: Some(0), right: None }), &[2.0, 2.5, 3.0, 3.5, 4.0], "behind");
    }

    #[test]
    fn a_fixed_bias_gets_no_gradient() {
        let device = Device::flex().autodiff();
        let offsets = Offsets::from_lengths([4, 3]);
        let attend = Attend::new(2, 1, 3);
        let [qkv, bias] = <[TensorData; 2]>::try_from(inputs(&offsets, &attend, 3, true)).expect("two");
        let qkv = Tensor::<2>::from_data(qkv, &device).require_grad();
        let bias = Tensor::<2>::from_data(bias, &device);
        let output = attention(qkv.clone(), Some(bias.clone()), &offsets, &attend, None);
        let gradients = output.square().sum().backward();
        assert!(qkv.grad(&gradients).is_some() && bias.grad(&gradients).is_none());
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        let offsets = Offsets::from_lengths([5, 128, 1, 64, 65, 0, 17, 200]);
        let whole = Attend::new(12, 12, 32);
        let local = Attend { reach: Reach::local(30), ..Attend::new(12, 4, 32) };
        for (attend, bias) in [(whole, false), (local, true)] {
            assert_same_bytes(
                &|x, _| attention(x[0].clone(), x.get(1).cloned(), &offsets, &attend, DROPOUT),
                &inputs(&offsets, &attend, 32, bias),
                &[],
            );
        }
    }

    #[test]
    fn a_batch_without_tokens_is_empty() {
        let empty = || Tensor::<2>::zeros([0, 24], &Device::flex());
        for offsets in [Offsets::from_lengths([]), Offsets::from_lengths([0, 0])] {
            for (kv_heads, width) in [(2, 8), (1, 12)] {
                let attend = Attend::new(2, kv_heads, 4);
                assert_eq!(attention(empty(), None, &offsets, &attend, None).dims(), [0, width]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn matches_plain(
            lengths in prop::collection::vec(0usize..70, 1..5),
            [kv_heads, group] in [1usize..4, 1usize..4],
            head_dim in 1usize..40,
            [left, right] in [prop::option::of(0usize..80), prop::option::of(0usize..80)],
            bias: bool,
            probability in prop::option::of(0.0f32..0.9),
        ) {
            prop_assume!(lengths.iter().sum::<usize>() > 0);
            let reach = Reach { left, right };
            let attend = Attend { reach, ..Attend::new(kv_heads * group, kv_heads, head_dim) };
            let dropout = probability.map(|probability| Dropout { probability, key: 3 });
            check(&lengths, &attend, head_dim, bias, dropout);
        }
    }
}
