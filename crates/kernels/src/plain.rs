//! The same ops in plain Burn: the reference that tests compare with, and the path of every device but Flex.
//!
//! No op slices a sequence out of the packed batch (autodiff would fill a whole zero tensor for each slice): ragged
//! ops gather with `select` into a padded view, and scatter back the same way.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};

use crate::dropout::MIX;
use crate::ranking::EXCLUDED;
use crate::{Activation, AdamW, Attend, Dropout, EmbedInput, Gate, Offsets, Pool, Reach, Rotary};

/// Added to a padded score before softmax or max: exp of it is exactly 0 in f32, and it is finite in f16.
const MASKED: f32 = -6e4;

pub(crate) fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let y = x.matmul(weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    activate(y, activation)
}

fn activate(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    match activation {
        Activation::Identity => x,
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
        Activation::Silu => activation::silu(x),
        Activation::Tanh => activation::tanh(x),
    }
}

pub(crate) fn gated(x: Tensor<2>, activation: Activation, gate: Gate) -> Tensor<2> {
    let width = x.dims()[1] / 2;
    let [first, second] = [0, width].map(|start| x.clone().narrow(1, start, width));
    match gate {
        Gate::First => activate(first, activation) * second,
        Gate::Second => first * activate(second, activation),
    }
}

pub(crate) fn joined_linear(
    x: Tensor<2>,
    weights: Vec<Tensor<2>>,
    biases: Vec<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let bias = (!biases.is_empty()).then(|| Tensor::cat(biases, 0));
    linear(x, Tensor::cat(weights, 0), bias, activation)
}

pub(crate) fn attention(
    qkv: Tensor<2>,
    bias: Option<Tensor<2>>,
    offsets: &Offsets,
    attend: &Attend,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let device = qkv.device();
    let [tokens, joined] = qkv.dims();
    if offsets.tokens() == 0 {
        return qkv.narrow(1, 0, attend.heads * attend.head_dim(joined));
    }
    let buckets = Bucket::of(offsets);
    let mut scatter = vec![0; tokens];
    let mut first = 0;
    for bucket in &buckets {
        bucket.scatter(offsets, first, &mut scatter);
        first += bucket.slots();
    }
    let attended = |bucket: &Bucket| bucket.attention(&qkv, bias.as_ref(), offsets, attend, dropout);
    Tensor::cat(buckets.iter().map(attended).collect(), 0).select(0, int_tensor(&scatter, &device))
}

pub(crate) fn rotary(qkv: Tensor<2>, rotary: &Rotary, heads: usize, head_dim: usize) -> Tensor<2> {
    let ([tokens, width], frequencies) = (qkv.dims(), rotary.frequencies());
    let positions = int_tensor(rotary.positions(), &qkv.device());
    let [cos, sin] = rotary.tables().map(|table| {
        let table = float_tensor(table.to_vec(), &qkv).reshape([table.len() / frequencies, frequencies]);
        table.select(0, positions.clone()).reshape([tokens, 1, frequencies])
    });
    let all = qkv.reshape([tokens, width / head_dim, head_dim]);
    let turned = all.clone().narrow(1, 0, heads);
    let [x, y] = [0, frequencies].map(|start| turned.clone().narrow(2, start, frequencies));
    let rest = turned.slice([0..tokens, 0..heads, 2 * frequencies..head_dim]);
    let pair = [x.clone() * cos.clone() - y.clone() * sin.clone(), y * cos + x * sin];
    let turned = Tensor::cat(pair.into_iter().chain([rest]).collect(), 2);
    let others = all.slice([0..tokens, heads..width / head_dim, 0..head_dim]);
    Tensor::cat(vec![turned, others], 1).reshape([tokens, width])
}

pub(crate) fn head_norm(
    qkv: Tensor<2>,
    q_gamma: Tensor<1>,
    k_gamma: Tensor<1>,
    heads: usize,
    kv_heads: usize,
    eps: f64,
) -> Tensor<2> {
    let ([tokens, _], [head_dim]) = (qkv.dims(), q_gamma.dims());
    let mut parts =
        qkv.split_with_sizes([heads, kv_heads, kv_heads].map(|heads| heads * head_dim).to_vec(), 1);
    for (part, (heads, gamma)) in parts.iter_mut().zip([(heads, q_gamma), (kv_heads, k_gamma)]) {
        let rows = part.clone().reshape([tokens * heads, head_dim]);
        *part = rms_norm(rows, gamma, eps).reshape([tokens, heads * head_dim]);
    }
    Tensor::cat(parts, 1)
}

pub(crate) fn add(x: Tensor<2>, residual: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    drop(x, dropout) + residual
}

pub(crate) fn add_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    layer_norm(add(x, residual, dropout), gamma, beta, eps)
}

pub(crate) fn embed(word: Tensor<2>, ids: &[u32]) -> Tensor<2> {
    let ids = int_tensor(ids, &word.device());
    word.select(0, ids)
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn embed_norm(
    word: Tensor<2>,
    position: Option<Tensor<2>>,
    token_type: Option<Tensor<2>>,
    input: &EmbedInput,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let device = word.device();
    let mut x = embed(word, &input.ids);
    if let Some(position) = position {
        x = x + position.select(0, int_tensor(&input.positions, &device));
    }
    if let (Some(token_type), Some(types)) = (token_type, &input.token_types) {
        x = x + token_type.select(0, int_tensor(types, &device));
    }
    drop(layer_norm(x, gamma, beta, eps), dropout)
}

pub(crate) fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Option<Tensor<1>>, eps: f64) -> Tensor<2> {
    let scaled = rms_norm(x.clone() - x.mean_dim(1), gamma, eps);
    match beta {
        Some(beta) => scaled + beta.unsqueeze(),
        None => scaled,
    }
}

pub(crate) fn rms_norm(x: Tensor<2>, gamma: Tensor<1>, eps: f64) -> Tensor<2> {
    let mean_square = x.clone().square().mean_dim(1);
    x / (mean_square + eps).sqrt() * gamma.unsqueeze()
}

pub(crate) fn drop(x: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    match dropout {
        Some(dropout) => {
            let shape = x.dims();
            let index = counted(shape.iter().product(), &x.device()).reshape(shape);
            let factors = factors(dropout, index, &x);
            x * factors
        }
        None => x,
    }
}

pub(crate) fn pool(hidden: Tensor<2>, offsets: &Offsets, pool: Pool) -> Tensor<2> {
    let [tokens, width] = hidden.dims();
    let batch = offsets.batch();
    if batch == 0 || offsets.tokens() == 0 {
        return Tensor::zeros([batch, width], (&hidden.device(), hidden.dtype()));
    }
    if pool == Pool::Max {
        return max_pool(hidden, offsets);
    }
    let mut weights = vec![0.0; batch * tokens];
    for (sequence, range) in offsets.ranges().enumerate() {
        let length = range.len();
        for (i, token) in range.enumerate() {
            weights[sequence * tokens + token] = pool.weight(i, length);
        }
    }
    float_tensor(weights, &hidden).reshape([batch, tokens]).matmul(hidden)
}

fn max_pool(hidden: Tensor<2>, offsets: &Offsets) -> Tensor<2> {
    let device = hidden.device();
    let [_, width] = hidden.dims();
    let (batch, length) = (offsets.batch(), rounded(offsets.max_length()));
    let all = Bucket { sequences: (0..batch).collect(), count: batch, length };
    let x = hidden.select(0, int_tensor(&all.gather(offsets), &device)).reshape([batch, length, width]);
    // Padding is the smallest value, and a sequence without tokens is zero.
    let mask = all.mask(offsets, &x).reshape([batch, length, 1]);
    let kept = offsets.lengths().map(|length| f32::from(length > 0)).collect();
    let largest = (x + mask).max_dim(1).reshape([batch, width]);
    let kept = float_tensor(kept, &largest).reshape([batch, 1]);
    largest * kept
}

pub(crate) fn normalize(x: Tensor<2>) -> Tensor<2> {
    // Clamping under the root equals `x / max(norm, 1e-12)` and keeps the gradient of a zero row finite.
    let norm = x.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
    x / norm
}

pub(crate) fn ranking_loss(
    anchors: Tensor<2>,
    candidates: Tensor<2>,
    scale: f64,
    excluded: &[(usize, usize)],
) -> Tensor<1> {
    let ([batch, _], [count, _]) = (anchors.dims(), candidates.dims());
    let mut scores = anchors.matmul(candidates.transpose()) * scale;
    if !excluded.is_empty() {
        let mut mask = vec![0.0; batch * count];
        for (row, column) in excluded {
            mask[row * count + column] = EXCLUDED;
        }
        let mask = float_tensor(mask, &scores).reshape([batch, count]);
        scores = scores + mask;
    }
    let right: Vec<u32> = (0..batch as u32).collect();
    let right = int_tensor(&right, &scores.device()).reshape([batch, 1]);
    activation::log_softmax(scores, 1).gather(1, right).mean().neg()
}

pub(crate) fn adamw<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: &AdamW,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let gradient = gradient * step.gradient_scale;
    let m = m * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let v = v * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let (step_size, root_bias2) = step.corrections();
    let denominator = v.clone().sqrt() / root_bias2 + step.eps;
    let parameter =
        parameter * (1.0 - step.learning_rate * step.weight_decay) - m.clone() / denominator * step_size;
    (parameter, m, v)
}

pub(crate) fn sum_of_squares<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    x.clone().square().sum()
}

/// Sequences of about one length, in a padded `[count, length]` view. Lengths are powers of two and counts multiples
/// of eight, so that a device meets few shapes; the last sequences may be nobody's.
struct Bucket {
    sequences: Vec<usize>,
    count: usize,
    length: usize,
}

impl Bucket {
    /// The buckets of a batch, shortest first; sequences without tokens are in none.
    fn of(offsets: &Offsets) -> Vec<Self> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (sequence, length) in offsets.lengths().enumerate().filter(|(_, length)| *length > 0) {
            by_length.entry(rounded(length)).or_default().push(sequence);
        }
        let bucket = |(length, sequences): (usize, Vec<usize>)| {
            let count = sequences.len().next_multiple_of(8);
            Self { sequences, count, length }
        };
        by_length.into_iter().map(bucket).collect()
    }

    fn slots(&self) -> usize {
        self.count * self.length
    }

    /// For each slot, the packed token it shows; padding shows token 0.
    fn gather(&self, offsets: &Offsets) -> Vec<u32> {
        let mut gather = vec![0; self.slots()];
        for (slots, sequence) in gather.chunks_mut(self.length).zip(&self.sequences) {
            for (slot, token) in slots.iter_mut().zip(offsets.range(*sequence)) {
                *slot = token as u32;
            }
        }
        gather
    }

    /// For each packed token of these sequences, its slot, counted from `first`.
    fn scatter(&self, offsets: &Offsets, first: usize, slots: &mut [u32]) {
        for (row, sequence) in self.sequences.iter().enumerate() {
            for (i, slot) in slots[offsets.range(*sequence)].iter_mut().enumerate() {
                *slot = (first + row * self.length + i) as u32;
            }
        }
    }

    /// What to add to the scores, or values, of the slots: nothing, or [`MASKED`] for padding.
    fn mask<const D: usize>(&self, offsets: &Offsets, like: &Tensor<D>) -> Tensor<1> {
        let mut mask = vec![MASKED; self.slots()];
        for (row, sequence) in mask.chunks_mut(self.length).zip(&self.sequences) {
            row[..offsets.range(*sequence).len()].fill(0.0);
        }
        float_tensor(mask, like)
    }

    /// `[tokens, queries, keys and values]` to `[slots, width]`
    fn attention(
        &self,
        qkv: &Tensor<2>,
        bias: Option<&Tensor<2>>,
        offsets: &Offsets,
        attend: &Attend,
        dropout: Option<Dropout>,
    ) -> Tensor<2> {
        let Attend { heads, kv_heads, scale, reach } = *attend;
        let (device, head_dim) = (qkv.device(), attend.head_dim(qkv.dims()[1]));
        let [q, k, v] = qkv
            .clone()
            .select(0, int_tensor(&self.gather(offsets), &device))
            .reshape([self.count, self.length, heads + 2 * kv_heads, head_dim])
            .swap_dims(1, 2)
            .split_with_sizes(vec![heads, kv_heads, kv_heads], 1)
            .try_into()
            .expect("this is a bug: q, k and v lie side by side");
        // The query heads that share keys and values meet them as one.
        let group = attend.group() * self.length;
        let each = [self.count, heads, self.length, self.length];
        let q = q.reshape([self.count, kv_heads, group, head_dim]);
        let mut scores = q.matmul(k.transpose()).reshape(each) * scale;
        if let Some(bias) = bias {
            scores = scores + self.bias_of_pairs(bias);
        }
        let mut mask = self.mask(offsets, &scores).reshape([self.count, 1, 1, self.length]);
        if reach != Reach::ALL {
            // Once is enough: twice `MASKED` is infinite in f16.
            mask = (mask + self.mask_beyond(reach, &scores)).clamp_min(MASKED);
        }
        let mut weights = activation::softmax(scores + mask, 3);
        if let Some(dropout) = dropout {
            let factors = factors(dropout, self.probability_index(offsets, heads, &device), &weights);
            weights = weights * factors;
        }
        let weights = weights.reshape([self.count, kv_heads, group, self.length]);
        let attended = weights.matmul(v).reshape([self.count, heads, self.length, head_dim]);
        attended.swap_dims(1, 2).reshape([self.slots(), heads * head_dim])
    }

    /// How far each key lies behind each query; before it, less than 0.
    ///
    /// # Shapes
    /// - output: `[length, length]`, a row for each query
    fn distances(&self, device: &Device) -> Tensor<2, Int> {
        let places = Tensor::<1, Int>::arange(0..self.length as i64, device);
        places.clone().reshape([1, self.length]) - places.reshape([self.length, 1])
    }

    /// What to add to the scores: nothing, or [`MASKED`] for keys that the query does not see.
    ///
    /// # Shapes
    /// - output: `[1, 1, length, length]`
    fn mask_beyond(&self, reach: Reach, like: &Tensor<4>) -> Tensor<4> {
        let distances = self.distances(&like.device());
        let furthest =
            |steps: Option<usize>| steps.map_or(self.length, |steps| steps.min(self.length)) as i64;
        let before = distances.clone().lower_elem(-furthest(reach.left));
        let beyond = before.bool_or(distances.greater_elem(furthest(reach.right)));
        (beyond.float().cast(like.dtype()) * MASKED).reshape([1, 1, self.length, self.length])
    }

    /// The bias of each query and key.
    ///
    /// # Shapes
    /// - bias: `[heads, distances]`
    /// - output: `[1, heads, length, length]`
    fn bias_of_pairs(&self, bias: &Tensor<2>) -> Tensor<4> {
        let [heads, distances] = bias.dims();
        // Padding may lie further away than the bias goes.
        let furthest = (distances / 2) as i64;
        let index = self.distances(&bias.device()).clamp(-furthest, furthest) + furthest;
        let index = index.reshape([self.length * self.length]);
        bias.clone().select(1, index).reshape([1, heads, self.length, self.length])
    }

    /// Where each probability lies in the packed order (sequence, head, query, key), which dropout counts in. Those of
    /// padding have any number.
    ///
    /// # Shapes
    /// - output: `[count, heads, length, length]`
    fn probability_index(&self, offsets: &Offsets, heads: usize, device: &Device) -> Tensor<4, Int> {
        let mut start = 0;
        let starts: Vec<u32> = offsets
            .lengths()
            .map(|length| {
                start += heads * length * length;
                (start - heads * length * length) as u32
            })
            .collect();
        let of_each = |value: &dyn Fn(usize) -> u32| {
            let mut values: Vec<u32> = self.sequences.iter().map(|sequence| value(*sequence)).collect();
            values.resize(self.count, 0);
            words(values, device).reshape([self.count, 1, 1, 1])
        };
        let start = of_each(&|sequence| starts[sequence]);
        let length = of_each(&|sequence| offsets.range(sequence).len() as u32);
        let head = counted(heads, device).reshape([1, heads, 1, 1]);
        let query = counted(self.length, device).reshape([1, 1, self.length, 1]);
        let key = counted(self.length, device).reshape([1, 1, 1, self.length]);
        (head * length.clone() + query) * length + start + key
    }
}

/// A length as a padded view rounds it.
fn rounded(length: usize) -> usize {
    length.next_power_of_two().max(16)
}

/// The dropout factors of the elements with these numbers, computed on the device: what [`Dropout::mask`] gives,
/// below 2^32 elements.
fn factors<const D: usize>(dropout: Dropout, index: Tensor<D, Int>, like: &Tensor<D>) -> Tensor<D> {
    let sampler = dropout.sampler();
    let x = mix(index.bitwise_xor_scalar(sampler.low));
    let x = mix(x.bitwise_xor_scalar(sampler.high));
    let kept = x.bitwise_right_shift_scalar(8).greater_equal_elem(sampler.threshold);
    kept.float().cast(like.dtype()) * sampler.scale
}

/// [`crate::dropout`]'s mixer on 32-bit words.
fn mix<const D: usize>(x: Tensor<D, Int>) -> Tensor<D, Int> {
    let fold = |x: Tensor<D, Int>, bits: u32| x.clone().bitwise_xor(x.bitwise_right_shift_scalar(bits));
    let x = fold(x, 16) * MIX[0];
    let x = fold(x, 15) * MIX[1];
    fold(x, 16)
}

/// 0 to `len`, as 32-bit words.
fn counted(len: usize, device: &Device) -> Tensor<1, Int> {
    Tensor::arange(0..len as i64, (device, DType::U32))
}

fn words(values: Vec<u32>, device: &Device) -> Tensor<1, Int> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), (device, DType::U32))
}

fn int_tensor(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|&value| i64::from(value)).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}

/// On the device and in the number type of `like`.
fn float_tensor<const D: usize>(values: Vec<f32>, like: &Tensor<D>) -> Tensor<1> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), (&like.device(), like.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, device, matrix, random, values};

    const DROPOUT: Dropout = Dropout { probability: 0.3, key: 5 };

    #[test]
    fn the_device_draws_the_masks_of_the_cpu() {
        let x = Tensor::<2>::ones([37, 24], &device());
        assert_eq!(values(drop(x, Some(DROPOUT))), DROPOUT.mask(37 * 24));
    }

    #[test]
    fn probabilities_are_counted_as_they_are_packed() {
        let (offsets, heads) = (Offsets::from_lengths([20, 3, 0, 16, 1]), 2);
        let mut start = 0;
        let starts: Vec<usize> = offsets
            .lengths()
            .map(|n| {
                start += heads * n * n;
                start - heads * n * n
            })
            .collect();
        for bucket in Bucket::of(&offsets) {
            let index = bucket.probability_index(&offsets, heads, &device()).float();
            assert_eq!(index.dims(), [bucket.count, heads, bucket.length, bucket.length]);
            let index = index.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
            for (row, &sequence) in bucket.sequences.iter().enumerate() {
                let n = offsets.range(sequence).len();
                for ((head, query), key) in (0..heads)
                    .flat_map(|h| (0..n).map(move |q| (h, q)))
                    .flat_map(|hq| (0..n).map(move |k| (hq, k)))
                {
                    let slot = ((row * heads + head) * bucket.length + query) * bucket.length + key;
                    let expected = starts[sequence] + (head * n + query) * n + key;
                    assert_eq!(index[slot], expected as f32, "{sequence} {head} {query} {key}");
                }
            }
        }
    }

    /// A batch is rounded up with tokens that belong to no sequence: no output and no gradient knows them.
    #[test]
    fn tokens_of_no_sequence_change_nothing() {
        let offsets = Offsets::from_lengths([5, 0, 17, 2]);
        let run = |rows: usize| {
            let mut x = random(24 * 24, 3);
            x.resize(rows * 24, 7.0);
            let x = TensorData::new(x, [rows, 24]);
            let x = Tensor::<2>::from_data(x, &device().autodiff()).require_grad();
            let hidden = attention(x.clone(), None, &offsets, &Attend::new(2, 2, 4), Some(DROPOUT));
            let pooled: Vec<_> =
                [Pool::Mean, Pool::Max, Pool::LastToken].map(|p| pool(hidden.clone(), &offsets, p)).into();
            let pooled = Tensor::cat(pooled, 1);
            let weights = Tensor::from_data(matrix(4, 24, 9), &device().autodiff());
            let gradients = (pooled.clone() * weights).sum().backward();
            (values(pooled), values(x.grad(&gradients).expect("a gradient")))
        };
        let ((alone, gradient), (rounded, with_rest)) = (run(24), run(128));
        assert_close(&rounded, &alone, "pooled");
        assert_close(&with_rest[..24 * 24], &gradient, "gradient");
        assert!(with_rest[24 * 24..].iter().all(|x| *x == 0.0));
    }
}
