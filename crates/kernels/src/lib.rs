//! The packed encoder ops and their gradients.
//!
//! Sequences lie end to end: activations are `[tokens, dim]`, and [`Offsets`] say where each sequence begins. On
//! Burn's CPU backend (Flex) every op is one fused pass with a hand-written backward; on every other device the same
//! op runs as plain Burn ops, which are also the reference of the tests. On CPU the bytes of every output and
//! gradient are the same at any number of threads.

#![allow(unsafe_code)]
// The bodies of `simd::vectorised!` must be inlined into each instruction set's copy to be compiled for it.
#![allow(clippy::inline_always)]

mod adamw;
mod add;
mod add_norm;
mod attend;
mod attention;
mod device;
mod dropout;
mod embed;
mod embed_norm;
mod fused;
mod gated;
mod gemm;
mod head_norm;
mod int8;
mod linear;
mod mapped;
mod math;
mod matrix;
mod memory;
mod norm;
mod normalize;
mod offsets;
mod packed;
mod plain;
mod pooling;
mod ranking;
mod rotary;
mod row_adamw;
mod row_gradient;
mod rows;
mod scalar;
mod simd;
mod sum_of_squares;
#[cfg(test)]
mod testing;

use burn::tensor::Tensor;

use fused::fits;

pub use attend::{Attend, Reach};
pub use device::{DeviceName, Unusable, devices};
pub use dropout::Dropout;
pub use fused::is_fused;
pub use mapped::with_mapped;
pub use matrix::{product_t, t_product};
pub use memory::{keep_pages, use_huge_pages};
pub use offsets::Offsets;
pub use packed::{LinearPrecision, PackedLinear};
pub use rotary::Rotary;
pub use row_adamw::{RowAdamW, Rows};
pub use row_gradient::{RowGradient, RowSink};
pub use scalar::Scalar;

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `x * Phi(x)`, by erf (`gelu` in transformers configs).
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)` (`silu`, `swish`).
    Silu,
    /// `tanh(x)`.
    Tanh,
}

/// Which half of a gated layer is activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `activation(first half) * second half`.
    First,
    /// `first half * activation(second half)`.
    Second,
}

/// How a sequence's token vectors become one vector. A sequence without tokens gives zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The first token.
    Cls,
    /// The mean.
    Mean,
    /// The largest value of each dimension.
    Max,
    /// The sum over the square root of the length.
    MeanSqrtLen,
    /// The mean with weights 1 to n.
    WeightedMean,
    /// The last token.
    LastToken,
}

impl Pool {
    /// The weight of token `i` of `length` in the pooled sum; [`Pool::Max`] has no weights.
    pub(crate) fn weight(self, i: usize, length: usize) -> f32 {
        match self {
            Pool::Cls => f32::from(i == 0),
            Pool::LastToken => f32::from(i + 1 == length),
            Pool::Mean => 1.0 / length as f32,
            Pool::MeanSqrtLen => 1.0 / (length as f32).sqrt(),
            Pool::WeightedMean => (i + 1) as f32 / (length * (length + 1) / 2) as f32,
            Pool::Max => f32::NAN,
        }
    }
}

/// Rows to look up for each token of a packed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedInput {
    /// Word ids.
    pub ids: Vec<u32>,
    /// Position ids; unused without a position table.
    pub positions: Vec<u32>,
    /// Token types; unused without a token-type table.
    pub token_types: Option<Vec<u32>>,
}

/// One step of PyTorch's `AdamW`: decoupled decay first, then moments and update, with bias correction by step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The step's number, from 1.
    pub step: u64,
    /// Factor on the gradient: the clip's.
    pub gradient_scale: f32,
}

impl AdamW {
    /// The corrected step size, and the root of the second moment's correction.
    pub(crate) fn corrections(&self) -> (f64, f64) {
        let bias = |beta: f64| 1.0 - beta.powf(self.step as f64);
        (self.learning_rate / bias(self.beta1), bias(self.beta2).sqrt())
    }
}

/// The instruction set that the loops run with; results are the same bytes only on the same one.
pub fn instruction_set() -> &'static str {
    match simd::level() {
        simd::Level::Baseline => std::env::consts::ARCH,
        simd::Level::Avx2 => "x86_64 avx2",
        simd::Level::Avx512 => "x86_64 avx512",
    }
}

/// `activation(x weight^T + bias)`.
///
/// # Shapes
/// - x: `[tokens, in]`
/// - weight: `[out, in]`, as PyTorch stores it
/// - bias: `[out]`
/// - output: `[tokens, out]`
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<2> {
    joined_linear(x, vec![weight], bias.into_iter().collect(), activation)
}

/// Several [`linear`] layers on the same input, as one product (queries, keys and values). There is a bias for each of
/// the one to three weights, or for none.
///
/// # Shapes
/// - x: `[tokens, in]`
/// - weights: `[out, in]` each
/// - biases: `[out]` each
/// - output: `[tokens, sum of out]`, the layers side by side
pub fn joined_linear(
    x: Tensor<2>,
    weights: Vec<Tensor<2>>,
    biases: Vec<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    if !(fits(&x) && weights.iter().all(fits) && biases.iter().all(fits)) {
        return plain::joined_linear(x, weights, biases, activation);
    }
    let layers = weights.len();
    assert!(biases.is_empty() || biases.len() == layers, "this is a bug: a bias for some layers");
    let mut inputs = vec![x.into_dispatch()];
    inputs.extend(weights.into_iter().map(Tensor::into_dispatch));
    inputs.extend(biases.into_iter().map(Tensor::into_dispatch));
    fused::run(inputs, move |inputs, track| linear::forward(inputs, layers, activation, track))
}

/// Of two layers side by side, as [`joined_linear`] gives them, one activated and multiplied with the other.
///
/// # Shapes
/// - x: `[tokens, 2 * width]`
/// - output: `[tokens, width]`
pub fn gated(x: Tensor<2>, activation: Activation, gate: Gate) -> Tensor<2> {
    assert!(x.dims()[1].is_multiple_of(2), "this is a bug: a gate without its other half");
    if !fits(&x) {
        return plain::gated(x, activation, gate);
    }
    fused::run(vec![x.into_dispatch()], move |inputs, track| gated::forward(inputs, activation, gate, track))
}

/// `softmax(scale q k^T + bias) v` within each sequence and head, over the keys that a query sees.
///
/// What is added to the score of a query at `i` and a key at `j` is `bias[head][j - i + r - 1]`, where `r` is at least
/// the longest sequence's length.
///
/// Where the ops are not fused, tokens behind the last sequence's belong to none, and their output means nothing.
///
/// Dropout acts on the probabilities; its element index runs over (sequence, query head, query, key).
///
/// # Shapes
/// - qkv: `[tokens, (heads + 2 * kv_heads) * head_dim]`: queries, keys and values side by side, as [`joined_linear`]
///   gives them
/// - bias: `[heads, 2 * r - 1]`
/// - output: `[tokens, heads * head_dim]`
pub fn attention(
    qkv: Tensor<2>,
    bias: Option<Tensor<2>>,
    offsets: &Offsets,
    attend: &Attend,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    let Attend { heads, kv_heads, .. } = *attend;
    let [tokens, width] = qkv.dims();
    assert!(heads.is_multiple_of(kv_heads), "this is a bug: {kv_heads} heads of keys for {heads} of queries");
    assert!(width.is_multiple_of(heads + 2 * kv_heads), "this is a bug: {width} columns in {heads} heads");
    if let Some([rows, distances]) = bias.as_ref().map(Tensor::dims) {
        let enough = distances % 2 == 1 && distances / 2 + 1 >= offsets.max_length();
        assert!(rows == heads && enough, "this is a bug: a bias of {rows} heads, {distances} distances");
    }
    if !(fits(&qkv) && bias.as_ref().is_none_or(fits)) {
        return plain::attention(qkv, bias, offsets, attend, dropout);
    }
    assert_eq!(tokens, offsets.tokens(), "this is a bug: offsets of another batch");
    let op = attention::Attention { offsets: offsets.clone(), attend: *attend, dropout };
    let inputs = std::iter::once(qkv).chain(bias).map(Tensor::into_dispatch).collect();
    fused::run(inputs, move |inputs, track| op.forward(inputs, track))
}

/// Turns the first `heads` heads of each row (queries and keys) by their token's position; see [`Rotary`].
///
/// Dimension `f` of a head is paired with `frequencies + f` (transformers' `rotate_half`), and dimensions behind the
/// pairs stay as they are.
///
/// # Shapes
/// - qkv, output: `[tokens, heads or more * head_dim]`
pub fn rotary(qkv: Tensor<2>, rotary: &Rotary, heads: usize, head_dim: usize) -> Tensor<2> {
    let [tokens, width] = qkv.dims();
    let fit = width.is_multiple_of(head_dim) && heads * head_dim <= width;
    assert!(fit && 2 * rotary.frequencies() <= head_dim, "this is a bug: {width} columns in {heads} heads");
    assert_eq!(tokens, rotary.positions().len(), "this is a bug: positions of another batch");
    if !fits(&qkv) {
        return plain::rotary(qkv, rotary, heads, head_dim);
    }
    let rotary = rotary.clone();
    fused::run(vec![qkv.into_dispatch()], move |inputs, track| {
        rotary::forward(inputs, rotary, heads, head_dim, track)
    })
}

/// [`rms_norm`] of each head of queries and of keys, as they come before [`rotary`]; values stay as they are.
///
/// # Shapes
/// - qkv, output: `[tokens, (heads + 2 * kv_heads) * head_dim]`
/// - q_gamma, k_gamma: `[head_dim]`
pub fn head_norm(
    qkv: Tensor<2>,
    q_gamma: Tensor<1>,
    k_gamma: Tensor<1>,
    heads: usize,
    kv_heads: usize,
    eps: f64,
) -> Tensor<2> {
    let [head_dim] = q_gamma.dims();
    assert_eq!(qkv.dims()[1], (heads + 2 * kv_heads) * head_dim, "this is a bug: heads of another size");
    if !(fits(&qkv) && fits(&q_gamma) && fits(&k_gamma)) {
        return plain::head_norm(qkv, q_gamma, k_gamma, heads, kv_heads, eps);
    }
    let inputs = vec![qkv.into_dispatch(), q_gamma.into_dispatch(), k_gamma.into_dispatch()];
    let op = head_norm::HeadNorm { heads, kv_heads, eps };
    fused::run(inputs, move |inputs, track| op.forward(inputs, track))
}

/// `dropout(x)`.
///
/// # Shapes
/// - x, output: `[tokens, dim]`
pub fn drop(x: Tensor<2>, dropout: Dropout) -> Tensor<2> {
    if !fits(&x) {
        return plain::drop(x, Some(dropout));
    }
    fused::run(vec![x.into_dispatch()], move |inputs, track| add::forward(inputs, Some(dropout), track))
}

/// `dropout(x) + residual`.
///
/// # Shapes
/// - x, residual, output: `[tokens, dim]`
pub fn add(x: Tensor<2>, residual: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    if !(fits(&x) && fits(&residual)) {
        return plain::add(x, residual, dropout);
    }
    assert_eq!(x.dims(), residual.dims(), "this is a bug: add of different shapes");
    fused::run(vec![x.into_dispatch(), residual.into_dispatch()], move |inputs, track| {
        add::forward(inputs, dropout, track)
    })
}

/// `(x - mean) / sqrt(variance + eps) * gamma + beta` of each row.
///
/// # Shapes
/// - x, output: `[tokens, dim]`
/// - gamma, beta: `[dim]`
pub fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Option<Tensor<1>>, eps: f64) -> Tensor<2> {
    if !(fits(&x) && fits(&gamma) && beta.as_ref().is_none_or(fits)) {
        return plain::layer_norm(x, gamma, beta, eps);
    }
    let mut inputs = vec![x.into_dispatch(), gamma.into_dispatch()];
    inputs.extend(beta.map(Tensor::into_dispatch));
    fused::run(inputs, move |inputs, track| norm::forward(inputs, norm::Kind::Layer, eps, track))
}

/// `x / sqrt(mean(x^2) + eps) * gamma` of each row.
///
/// # Shapes
/// - x, output: `[tokens, dim]`
/// - gamma: `[dim]`
pub fn rms_norm(x: Tensor<2>, gamma: Tensor<1>, eps: f64) -> Tensor<2> {
    if !(fits(&x) && fits(&gamma)) {
        return plain::rms_norm(x, gamma, eps);
    }
    fused::run(vec![x.into_dispatch(), gamma.into_dispatch()], move |inputs, track| {
        norm::forward(inputs, norm::Kind::Rms, eps, track)
    })
}

/// [`layer_norm`] of `dropout(x) + residual`.
///
/// # Shapes
/// - x, residual: `[tokens, dim]`
/// - gamma, beta: `[dim]`
/// - output: `[tokens, dim]`
pub fn add_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    eps: f64,
    dropout: Option<Dropout>,
) -> Tensor<2> {
    if !(fits(&x) && fits(&residual) && fits(&gamma) && beta.as_ref().is_none_or(fits)) {
        return plain::add_norm(x, residual, gamma, beta, eps, dropout);
    }
    assert_eq!(x.dims(), residual.dims(), "this is a bug: add_norm of different shapes");
    let mut inputs = vec![x.into_dispatch(), residual.into_dispatch(), gamma.into_dispatch()];
    inputs.extend(beta.map(Tensor::into_dispatch));
    fused::run(inputs, move |inputs, track| add_norm::forward(inputs, eps, dropout, track))
}

/// `word[ids]`. On CPU the gradient goes to `rows`, if given, and is none for autodiff.
///
/// # Shapes
/// - word: `[vocabulary, dim]`
/// - output: `[tokens, dim]`
pub fn embed(word: Tensor<2>, ids: &[u32], rows: Option<RowSink>) -> Tensor<2> {
    if !fits(&word) {
        return plain::embed(word, ids);
    }
    let ids = ids.to_vec();
    fused::run(vec![word.into_dispatch()], move |inputs, track| embed::forward(inputs, ids, rows, track))
}

/// `dropout(LayerNorm(word[ids] + position[positions] + token_type[token_types]))`, as BERT embeds.
///
/// On CPU the gradient of `word` goes to `rows`, if given, and is none for autodiff.
///
/// # Shapes
/// - word: `[vocabulary, dim]`; position: `[positions, dim]`; token_type: `[types, dim]`
/// - gamma, beta: `[dim]`
/// - output: `[tokens, dim]`
#[allow(clippy::too_many_arguments)]
pub fn embed_norm(
    word: Tensor<2>,
    position: Option<Tensor<2>>,
    token_type: Option<Tensor<2>>,
    input: &EmbedInput,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    eps: f64,
    dropout: Option<Dropout>,
    rows: Option<RowSink>,
) -> Tensor<2> {
    let token_type = token_type.zip(input.token_types.as_ref());
    let tables_fit = [Some(&word), position.as_ref(), token_type.as_ref().map(|(table, _)| table)]
        .into_iter()
        .flatten()
        .all(fits);
    if !(tables_fit && fits(&gamma) && beta.as_ref().is_none_or(fits)) {
        let token_type = token_type.map(|(table, _)| table);
        return plain::embed_norm(word, position, token_type, input, gamma, beta, eps, dropout);
    }
    let mut inputs = vec![word.into_dispatch()];
    let mut lookups = vec![input.ids.clone()];
    if let Some(position) = position {
        inputs.push(position.into_dispatch());
        lookups.push(input.positions.clone());
    }
    if let Some((table, types)) = token_type {
        inputs.push(table.into_dispatch());
        lookups.push(types.clone());
    }
    inputs.extend(std::iter::once(gamma).chain(beta).map(Tensor::into_dispatch));
    let op = embed_norm::Embed { lookups, eps, dropout, rows };
    fused::run(inputs, move |inputs, track| op.forward(inputs, track))
}

/// One vector per sequence; tokens that belong to none, as in [`attention`], do not count.
///
/// # Shapes
/// - hidden: `[tokens, dim]`
/// - output: `[batch, dim]`
pub fn pool(hidden: Tensor<2>, offsets: &Offsets, pool: Pool) -> Tensor<2> {
    if !fits(&hidden) {
        return plain::pool(hidden, offsets, pool);
    }
    assert_eq!(hidden.dims()[0], offsets.tokens(), "this is a bug: offsets of another batch");
    let offsets = offsets.clone();
    fused::run(vec![hidden.into_dispatch()], move |inputs, track| {
        pooling::forward(inputs, offsets, pool, track)
    })
}

/// Rows of length one: `x / max(norm, 1e-12)`, as `torch.nn.functional.normalize`.
///
/// # Shapes
/// - x, output: `[batch, dim]`
pub fn normalize(x: Tensor<2>) -> Tensor<2> {
    if !fits(&x) {
        return plain::normalize(x);
    }
    fused::run(vec![x.into_dispatch()], normalize::forward)
}

/// The mean cross-entropy of `scale * anchors candidates^T`, where the right answer of row i is column i. `excluded`
/// holds (row, column) of candidates that are neither right nor wrong.
///
/// # Shapes
/// - anchors: `[batch, dim]`
/// - candidates: `[batch or more, dim]`
/// - output: `[1]`
pub fn ranking_loss(
    anchors: Tensor<2>,
    candidates: Tensor<2>,
    scale: f64,
    excluded: Vec<(usize, usize)>,
) -> Tensor<1> {
    let ([batch, dim], [count, other_dim]) = (anchors.dims(), candidates.dims());
    assert!(batch <= count && dim == other_dim, "this is a bug: rows without their candidates");
    if !(fits(&anchors) && fits(&candidates)) {
        return plain::ranking_loss(anchors, candidates, scale, &excluded);
    }
    let op = ranking::Ranking::new(scale, excluded);
    fused::run(vec![anchors.into_dispatch(), candidates.into_dispatch()], move |inputs, track| {
        op.forward(inputs, track)
    })
}

/// One [`AdamW`] step over one parameter; returns the new parameter, `m` and `v`.
///
/// Works on the inner tensors, without autodiff. On CPU those that nobody else holds are updated in place.
pub fn adamw<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: &AdamW,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let [parameter, gradient, m, v] = [parameter, gradient, m, v].map(Tensor::inner);
    if !(fits(&parameter) && fits(&gradient) && fits(&m) && fits(&v)) {
        return plain::adamw(parameter, gradient, m, v, step);
    }
    assert_eq!(parameter.dims(), gradient.dims(), "this is a bug: the gradient of another parameter");
    adamw::step(parameter, gradient, m, v, step)
}

/// Sum of squares: known in f64 where the ops are fused, over fixed chunks added in order, so the same bytes at any
/// thread count; elsewhere left on the device, which is not waited for.
pub fn sum_of_squares<const D: usize>(x: &Tensor<D>) -> Scalar {
    let x = x.clone().inner();
    if fits(&x) {
        Scalar::Known(sum_of_squares::sum(&x))
    } else {
        Scalar::OnDevice(plain::sum_of_squares(&x))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device, Tensor};

    use super::*;
    use crate::testing::{assert_close, matrix, values, vector};

    /// Every op with a tensor output, on one matrix of `[6, 8]`, in two sequences.
    fn every_op(x: &Tensor<2>, dtype: DType) -> Vec<(&'static str, Tensor<2>)> {
        let device = x.device();
        let of =
            |rows, columns, seed| Tensor::<2>::from_data(matrix(rows, columns, seed), &device).cast(dtype);
        let vector = |centre, seed| Tensor::<1>::from_data(vector(8, centre, seed), &device).cast(dtype);
        let offsets = Offsets::from_lengths([4, 2]);
        let dropout = Some(Dropout { probability: 0.2, key: 9 });
        let input = EmbedInput {
            ids: vec![3, 1, 5, 0, 0, 2],
            positions: vec![0, 1, 2, 3, 0, 1],
            token_types: Some(vec![0; 6]),
        };
        let (position, types) = (Some(of(4, 8, 5)), Some(of(1, 8, 6)));
        let (gamma, beta) = (vector(1.0, 1), Some(vector(0.0, 2)));
        let [first, second] = [0, 4].map(|start| gamma.clone().narrow(0, start, 2));
        let embedded =
            embed_norm(x.clone(), position, types, &input, gamma.clone(), beta.clone(), 1e-12, dropout, None);
        let grouped = Attend { reach: Reach::local(1), ..Attend::new(4, 2, 1) };
        let angles = Rotary::new(&[1.0], 1.0, &input.positions);
        vec![
            ("gelu", linear(x.clone(), of(5, 8, 3), None, Activation::Gelu)),
            ("relu", linear(x.clone(), of(8, 8, 3), Some(vector(0.0, 4)), Activation::Relu)),
            ("gated", gated(x.clone(), Activation::Silu, Gate::Second)),
            (
                "attention",
                attention(Tensor::cat(vec![x.clone(); 3], 1), None, &offsets, &Attend::new(2, 2, 4), dropout),
            ),
            ("grouped attention", attention(x.clone(), Some(of(4, 9, 7)), &offsets, &grouped, dropout)),
            ("rotary", rotary(x.clone(), &angles, 3, 2)),
            ("head_norm", head_norm(x.clone(), first, second, 2, 1, 1e-6)),
            ("drop", drop(x.clone(), Dropout { probability: 0.2, key: 9 })),
            ("add", add(x.clone(), of(6, 8, 4), dropout)),
            ("layer_norm", layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-12)),
            ("rms_norm", rms_norm(x.clone(), gamma.clone(), 1e-6)),
            ("add_norm", add_norm(x.clone(), of(6, 8, 4), gamma, beta, 1e-12, dropout)),
            ("embed", embed(x.clone(), &input.ids, None)),
            ("embed_norm", embedded),
            ("mean", pool(x.clone(), &offsets, Pool::Mean)),
            ("max", pool(x.clone(), &offsets, Pool::Max)),
            ("normalize", normalize(x.clone())),
            ("ranking_loss", ranking_loss(x.clone(), of(7, 8, 4), 0.5, vec![(0, 3)]).unsqueeze()),
        ]
    }

    #[test]
    fn nan_is_never_hidden() {
        let mut data = matrix(6, 8, 1);
        data.as_mut_slice::<f32>().unwrap()[2] = f32::NAN;
        for (name, output) in every_op(&Tensor::from_data(data, &Device::flex()), DType::F32) {
            assert!(values(output).iter().any(|x| x.is_nan()), "{name}");
        }
    }

    #[test]
    fn strided_inputs_are_read_right() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data(matrix(6, 8, 1), &device);
        let wide = Tensor::<2>::cat(vec![x.clone(), x.clone() * 0.0], 1);
        for view in [x.clone().transpose().add_scalar(0.0).transpose(), wide.narrow(1, 0, 8)] {
            for ((name, found), (_, expected)) in
                every_op(&view, DType::F32).into_iter().zip(every_op(&x, DType::F32))
            {
                assert_eq!(values(found), values(expected), "{name}");
            }
        }
    }

    #[test]
    fn other_number_types_take_the_plain_path() {
        let x = Tensor::<2>::from_data(matrix(6, 8, 1), &Device::flex());
        let doubles = every_op(&x.clone().cast(DType::F64), DType::F64);
        for ((name, found), (_, expected)) in doubles.into_iter().zip(every_op(&x, DType::F32)) {
            assert_eq!(found.dtype(), DType::F64, "{name}");
            assert_close(&values(found.cast(DType::F32)), &values(expected), name);
        }
    }

    #[test]
    fn gradient_checkpointing_changes_nothing() {
        let gradient = |device: Device| {
            let x = Tensor::<2>::from_data(matrix(6, 8, 1), &device).require_grad();
            let outputs = every_op(&x, DType::F32).into_iter().map(|(_, output)| output.square().sum());
            let loss = outputs.reduce(|a, b| a + b).unwrap();
            values(x.grad(&loss.backward()).unwrap())
        };
        let plain = gradient(Device::flex().autodiff());
        assert_eq!(gradient(Device::flex().autodiff().gradient_checkpointing()), plain);
    }

    #[test]
    fn a_batch_without_tokens_has_zero_gradients() {
        let device = Device::flex().autodiff();
        let weight = Tensor::<2>::from_data(matrix(3, 4, 2), &device).require_grad();
        let bias = Tensor::<1>::from_data(vector(3, 0.0, 2).clone(), &device).require_grad();
        let x = Tensor::<2>::zeros([0, 4], &device);
        let hidden = linear(x, weight.clone(), Some(bias.clone()), Activation::Gelu);
        let pooled = pool(hidden, &Offsets::from_lengths([0, 0]), Pool::Mean);
        let gradients = pooled.sum().backward();
        assert_eq!(values(weight.grad(&gradients).unwrap()), [0.0; 12]);
        assert_eq!(values(bias.grad(&gradients).unwrap()), [0.0; 3]);
    }
}
