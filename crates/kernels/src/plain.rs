//! The same ops in plain Burn: the reference that tests compare with, and the path of every device but Flex.
//!
//! No op slices a sequence out of the packed batch (autodiff would fill a whole zero tensor for each slice): ragged
//! ops gather with `select` into a padded view, and scatter back the same way.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::ranking::EXCLUDED;
use crate::{Activation, AdamW, Dropout, EmbedInput, Offsets, Pool};

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
    match activation {
        Activation::Identity => y,
        Activation::Gelu => activation::gelu(y),
        Activation::GeluTanh => activation::gelu_approximate(y),
        Activation::Relu => activation::relu(y),
        Activation::Silu => activation::silu(y),
        Activation::Tanh => activation::tanh(y),
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
    offsets: &Offsets,
    heads: usize,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let device = qkv.device();
    let [tokens, _] = qkv.dims();
    let [q, k, v] = qkv.chunk(3, 1).try_into().expect("this is a bug: q, k and v lie side by side");
    let [_, width] = q.dims();
    let (batch, longest) = (offsets.batch(), offsets.max_length());
    if tokens == 0 {
        return v;
    }
    let head_dim = width / heads;
    let padded = Padded::new(offsets);
    // [tokens, width] -> [batch * heads, longest, head_dim]
    let split = |x: Tensor<2>| {
        x.select(0, int_tensor(&padded.gather, &device))
            .reshape([batch, longest, heads, head_dim])
            .swap_dims(1, 2)
            .reshape([batch * heads, longest, head_dim])
    };
    let scores = split(q).matmul(split(k).transpose()) / (head_dim as f64).sqrt();
    let mut mask = vec![0.0; batch * longest];
    for (row, length) in mask.chunks_mut(longest).zip(offsets.lengths()) {
        row[length..].fill(MASKED);
    }
    let mask = float_tensor(mask, &scores).reshape([batch, 1, longest]).repeat_dim(1, heads);
    let scores = scores + mask.reshape([batch * heads, 1, longest]);
    let mut weights = activation::softmax(scores, 2);
    if let Some(dropout) = dropout {
        let mask = float_tensor(attention_mask(offsets, heads, longest, dropout), &weights);
        weights = weights * mask.reshape([batch * heads, longest, longest]);
    }
    weights
        .matmul(split(v))
        .reshape([batch, heads, longest, head_dim])
        .swap_dims(1, 2)
        .reshape([batch * longest, width])
        .select(0, int_tensor(&padded.scatter, &device))
}

/// The packed dropout mask, running over (sequence, head, query, key), spread over the padded view.
fn attention_mask(offsets: &Offsets, heads: usize, longest: usize, dropout: Dropout) -> Vec<f32> {
    let packed = dropout.mask(offsets.lengths().map(|length| heads * length * length).sum());
    let mut rows = packed.as_slice();
    let mut mask = vec![0.0; offsets.batch() * heads * longest * longest];
    for (sequence, length) in offsets.lengths().enumerate() {
        for head in 0..heads {
            for query in 0..length {
                let start = ((sequence * heads + head) * longest + query) * longest;
                let (row, rest) = rows.split_at(length);
                mask[start..start + length].copy_from_slice(row);
                rows = rest;
            }
        }
    }
    mask
}

pub(crate) fn add_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    layer_norm(drop(x, dropout) + residual, gamma, beta, eps)
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn embed_norm(
    word: Tensor<2>,
    position: Option<Tensor<2>>,
    token_type: Option<Tensor<2>>,
    input: &EmbedInput,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let device = word.device();
    let mut x = word.select(0, int_tensor(&input.ids, &device));
    if let Some(position) = position {
        x = x + position.select(0, int_tensor(&input.positions, &device));
    }
    if let (Some(token_type), Some(types)) = (token_type, &input.token_types) {
        x = x + token_type.select(0, int_tensor(types, &device));
    }
    drop(layer_norm(x, gamma, beta, eps), dropout)
}

fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred / (variance + eps).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

fn drop(x: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    match dropout {
        Some(dropout) => {
            let mask = float_tensor(dropout.mask(x.shape().num_elements()), &x);
            let shape = x.dims();
            x * mask.reshape(shape)
        }
        None => x,
    }
}

pub(crate) fn pool(hidden: Tensor<2>, offsets: &Offsets, pool: Pool) -> Tensor<2> {
    let [_, width] = hidden.dims();
    let batch = offsets.batch();
    if batch == 0 || offsets.tokens() == 0 {
        return Tensor::zeros([batch, width], (&hidden.device(), hidden.dtype()));
    }
    if pool == Pool::Max {
        return max_pool(hidden, offsets);
    }
    let mut weights = vec![0.0; batch * offsets.tokens()];
    for (sequence, range) in offsets.ranges().enumerate() {
        let length = range.len();
        for (i, token) in range.enumerate() {
            weights[sequence * offsets.tokens() + token] = pool.weight(i, length);
        }
    }
    float_tensor(weights, &hidden).reshape([batch, offsets.tokens()]).matmul(hidden)
}

fn max_pool(hidden: Tensor<2>, offsets: &Offsets) -> Tensor<2> {
    let device = hidden.device();
    let [_, width] = hidden.dims();
    let (batch, longest) = (offsets.batch(), offsets.max_length());
    let padded = Padded::new(offsets);
    let x = hidden.select(0, int_tensor(&padded.gather, &device)).reshape([batch, longest, width]);
    // Padding is the smallest value, and a sequence without tokens is zero.
    let mut mask = vec![0.0; batch * longest];
    for (row, length) in mask.chunks_mut(longest).zip(offsets.lengths()) {
        row[length..].fill(MASKED);
    }
    let kept = offsets.lengths().map(|length| f32::from(length > 0)).collect();
    let mask = float_tensor(mask, &x).reshape([batch, longest, 1]);
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

pub(crate) fn sum_of_squares<const D: usize>(x: &Tensor<D>) -> f64 {
    x.clone().square().sum().into_scalar::<f64>()
}

/// Row numbers between the packed batch and a padded `[batch, longest]` view of it.
struct Padded {
    /// For each padded slot, the packed token it shows; padding shows token 0.
    gather: Vec<u32>,
    /// For each packed token, its padded slot.
    scatter: Vec<u32>,
}

impl Padded {
    fn new(offsets: &Offsets) -> Self {
        let longest = offsets.max_length();
        let mut gather = vec![0; offsets.batch() * longest];
        let mut scatter = Vec::with_capacity(offsets.tokens());
        for (sequence, range) in offsets.ranges().enumerate() {
            for (i, token) in range.enumerate() {
                let slot = sequence * longest + i;
                gather[slot] = token as u32;
                scatter.push(slot as u32);
            }
        }
        Self { gather, scatter }
    }
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
