//! JinaBERT v2 (Günther et al., 2023): BERT without positions, whose attention scores fall with the distance of two
//! tokens (ALiBi, Press et al., 2022, to both sides), and with gated feed-forward.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{Activation, Attend, Gate, LinearPrecision, attention, gated};

use super::Shape;
use super::fields::Fields;
use super::layers::{Embeddings, LayerNorm, Linear, Output, SelfAttention};
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JinaBertConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    gate: Activation,
    layer_norm_eps: f64,
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
}

impl JinaBertConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.only("position_embedding_type", "alibi")?;
        fields.only("is_decoder", false)?;
        fields.only("add_cross_attention", false)?;
        fields.only("is_encoder_decoder", false)?;
        fields.only("quantization_config", Value::Null)?;
        // The activation of a feed-forward without a gate, which these models do not have.
        fields.harmless(&["hidden_act", "emb_pooler", "model_max_length"]);
        let gate = match fields.get("feed_forward_type").and_then(Value::as_str).unwrap_or("original") {
            "geglu" => Activation::Gelu,
            "reglu" => Activation::Relu,
            other => {
                return Err(
                    fields.error(format!("field `feed_forward_type` is `{other}`; known: geglu, reglu"))
                );
            }
        };
        let config = Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size: fields.count("hidden_size")?,
            num_hidden_layers: fields.count("num_hidden_layers")?,
            num_attention_heads: fields.count("num_attention_heads")?,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(8192),
            type_vocab_size: fields.optional_count("type_vocab_size")?.unwrap_or(2),
            gate,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            hidden_dropout_prob: fields.number("hidden_dropout_prob", 0.1)?,
            attention_probs_dropout_prob: fields.number("attention_probs_dropout_prob", 0.1)?,
        };
        fields.head_dim(config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "JinaBERT",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings,
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct JinaBert {
    embeddings: Embeddings,
    encoder: Layers,
    #[module(skip)]
    config: JinaBertConfig,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    mlp: FeedForward,
}

#[derive(Module, Debug)]
struct Attention {
    self_attention: SelfAttention,
    output: Output,
}

#[derive(Module, Debug)]
struct FeedForward {
    gated_layers: Linear,
    wo: Linear,
    layernorm: LayerNorm,
}

impl JinaBert {
    pub(super) fn empty(config: &JinaBertConfig, device: &Device) -> Self {
        let (dim, wide) = (config.hidden_size, config.intermediate_size);
        let layer = |_| Layer {
            attention: Attention {
                self_attention: SelfAttention::empty(dim, device),
                output: Output::empty(dim, dim, device),
            },
            mlp: FeedForward {
                gated_layers: Linear::empty(dim, 2 * wide, false, device),
                wo: Linear::empty(wide, dim, true, device),
                layernorm: LayerNorm::empty(dim, true, device),
            },
        };
        Self {
            embeddings: Embeddings::empty(config.vocab_size, None, Some(config.type_vocab_size), dim, device),
            encoder: Layers { layer: (0..config.num_hidden_layers).map(layer).collect() },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attention, mlp } in &mut self.encoder.layer {
            attention.self_attention.pack(precision);
            attention.output.dense.pack(precision);
            mlp.gated_layers.pack(precision);
            mlp.wo.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let config = &self.config;
        let bias = alibi(config.num_attention_heads, batch.offsets.max_length(), &self.word_table().val());
        let (eps, dropout) = (config.layer_norm_eps, config.hidden_dropout_prob);
        let mut hidden = self.embeddings.forward(&batch.input, eps, dropout, pass);
        for layer in &self.encoder.layer {
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, &bias, config, batch, pass);
        }
        hidden
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        bias: &Tensor<2>,
        config: &JinaBertConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let (eps, dropout) = (config.layer_norm_eps, &pass.dropout);
        let heads = config.num_attention_heads;
        let context = attention(
            self.attention.self_attention.forward(x.clone()),
            Some(bias.clone()),
            &batch.offsets,
            &Attend::new(heads, heads, config.hidden_size / heads),
            dropout.next(config.attention_probs_dropout_prob),
        );
        let x = self.attention.output.forward(context, x, eps, dropout.next(config.hidden_dropout_prob));
        let FeedForward { gated_layers, wo, layernorm } = &self.mlp;
        let wide = gated(gated_layers.forward(x.clone(), Activation::Identity), config.gate, Gate::First);
        let wide = dropout.apply(wide, config.hidden_dropout_prob);
        layernorm.of_sum(wo.forward(wide, Activation::Identity), x, eps, None)
    }
}

/// Minus the distance of key and query times the slope of each head; on the device and in the number type of `like`.
///
/// # Shapes
/// - output: `[heads, 2 * length - 1]`
fn alibi(heads: usize, length: usize, like: &Tensor<2>) -> Tensor<2> {
    let reach = length.max(1) as i64 - 1;
    let row = |slope: f64| (-reach..=reach).map(move |distance| -(slope as f32) * distance.abs() as f32);
    let values: Vec<f32> = slopes(heads).into_iter().flat_map(row).collect();
    let shape = [heads, values.len() / heads];
    Tensor::from_data(TensorData::new(values, shape), (&like.device(), like.dtype()))
}

/// A geometric series from `2^(-8 / heads)`; between two powers of two, that of the lower one and then every other of
/// the higher one's.
fn slopes(heads: usize) -> Vec<f64> {
    let series = |count: usize| {
        let first = (-8.0 / count as f64).exp2();
        (1..=count).map(move |power| first.powi(power as i32))
    };
    let lower = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    series(lower).chain(series(2 * lower).step_by(2).take(heads - lower)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slopes that the ALiBi paper's code gives for 8 and for 12 heads.
    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(slopes(8), [1, 2, 3, 4, 5, 6, 7, 8].map(|power| 0.5f64.powi(power)));
        let twelve = slopes(12);
        assert_eq!(twelve[..8], slopes(8));
        let expected = [0.5, 1.5, 2.5, 3.5].map(|power: f64| (-power).exp2());
        assert!(twelve[8..].iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-12), "{twelve:?}");
    }
}
