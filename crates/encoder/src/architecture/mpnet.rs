//! MPNet (Song et al., 2020): BERT whose attention scores also know how far apart two tokens are.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;
use serde_json::Value;
use temper_kernels::{Activation, Attend, LinearPrecision, attention};

use super::Shape;
use super::fields::Fields;
use super::layers::{Embeddings, LayerNorm, Linear, Output, Packed, Table};
use crate::Error;
use crate::packed::PackedBatch;
use crate::pass::Pass;

/// The padding token of every MPNet, behind whose number positions begin.
const PADDING: u32 = 1;

/// From this distance on, all tokens are in the last bucket.
const FAR: f64 = 128.0;

/// The fields of `config.json` that shape the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MpnetConfig {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    relative_attention_num_buckets: usize,
    #[serde(serialize_with = "crate::contract::activation_name")]
    hidden_act: Activation,
    layer_norm_eps: f64,
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
}

impl MpnetConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        fields.only("quantization_config", Value::Null)?;
        fields.only("pruned_heads", serde_json::json!({}))?;
        // transformers computes 32 buckets whatever the table's size.
        fields.only("relative_attention_num_buckets", 32)?;
        let config = Self {
            vocab_size: fields.count("vocab_size")?,
            hidden_size: fields.count("hidden_size")?,
            num_hidden_layers: fields.count("num_hidden_layers")?,
            num_attention_heads: fields.count("num_attention_heads")?,
            intermediate_size: fields.count("intermediate_size")?,
            max_position_embeddings: fields.optional_count("max_position_embeddings")?.unwrap_or(512),
            relative_attention_num_buckets: 32,
            hidden_act: fields.activation("hidden_act", "gelu")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            hidden_dropout_prob: fields.number("hidden_dropout_prob", 0.1)?,
            attention_probs_dropout_prob: fields.number("attention_probs_dropout_prob", 0.1)?,
        };
        fields.head_dim(config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            name: "MPNet",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            intermediate_size: self.intermediate_size,
            max_tokens: self.max_position_embeddings.saturating_sub(PADDING as usize + 1),
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Mpnet {
    embeddings: Embeddings,
    encoder: Layers,
    #[module(skip)]
    config: MpnetConfig,
}

#[derive(Module, Debug)]
struct Layers {
    layer: Vec<Layer>,
    relative_attention_bias: Table,
}

#[derive(Module, Debug)]
struct Layer {
    attention: Attention,
    intermediate: Intermediate,
    output: Output,
}

#[derive(Module, Debug)]
struct Attention {
    attn: SelfAttention,
    layer_norm: LayerNorm,
}

#[derive(Module, Debug)]
struct SelfAttention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    #[module(skip)]
    packed: Packed,
}

#[derive(Module, Debug)]
struct Intermediate {
    dense: Linear,
}

impl Mpnet {
    pub(super) fn empty(config: &MpnetConfig, device: &Device) -> Self {
        let (dim, wide, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        let linear = |inputs, outputs| Linear::empty(inputs, outputs, true, device);
        let layer = |_| Layer {
            attention: Attention {
                attn: SelfAttention {
                    q: linear(dim, dim),
                    k: linear(dim, dim),
                    v: linear(dim, dim),
                    o: linear(dim, dim),
                    packed: Packed::default(),
                },
                layer_norm: LayerNorm::empty(dim, true, device),
            },
            intermediate: Intermediate { dense: linear(dim, wide) },
            output: Output::empty(wide, dim, device),
        };
        Self {
            embeddings: Embeddings::empty(
                config.vocab_size,
                Some(config.max_position_embeddings),
                None,
                dim,
                device,
            ),
            encoder: Layers {
                layer: (0..config.num_hidden_layers).map(layer).collect(),
                relative_attention_bias: Table::empty(config.relative_attention_num_buckets, heads, device),
            },
            config: config.clone(),
        }
    }

    pub(super) fn pack(&mut self, precision: LinearPrecision) {
        for Layer { attention, intermediate, output } in &mut self.encoder.layer {
            let this = &mut attention.attn;
            this.packed = Packed::new([&this.q, &this.k, &this.v], precision);
            this.o.pack(precision);
            intermediate.dense.pack(precision);
            output.dense.pack(precision);
        }
    }

    pub(super) fn word_table(&self) -> &Param<Tensor<2>> {
        &self.embeddings.word_embeddings.weight
    }

    pub(super) fn forward(&self, batch: &PackedBatch, pass: &Pass) -> Tensor<2> {
        let (config, bias) = (&self.config, self.bias(batch.offsets.max_length()));
        let (eps, dropout) = (config.layer_norm_eps, config.hidden_dropout_prob);
        let mut hidden = self.embeddings.forward(&batch.numbered_after(PADDING), eps, dropout, pass);
        for layer in &self.encoder.layer {
            pass.taps.offer(&hidden);
            hidden = layer.forward(hidden, &bias, config, batch, pass);
        }
        hidden
    }

    /// What is added to the scores of every head for each distance of key and query.
    ///
    /// # Shapes
    /// - output: `[heads, 2 * length - 1]`
    fn bias(&self, length: usize) -> Tensor<2> {
        let table = self.encoder.relative_attention_bias.weight.val();
        let reach = length.max(1) as i64 - 1;
        let buckets: Vec<i64> = (-reach..=reach)
            .map(|distance| bucket(distance, self.config.relative_attention_num_buckets))
            .collect();
        let count = buckets.len();
        let buckets = Tensor::<1, Int>::from_data(TensorData::new(buckets, [count]), &table.device());
        table.select(0, buckets).transpose()
    }
}

/// T5's bucket of a key `distance` tokens behind the query: half of them for either side, of which half for one distance
/// each, and the others for ever wider ranges. In f32, as the reference rounds.
fn bucket(distance: i64, buckets: usize) -> i64 {
    let side = buckets as i64 / 2;
    let exact = side / 2;
    let behind = if distance > 0 { side } else { 0 };
    let n = distance.abs();
    if n < exact {
        return behind + n;
    }
    let log = (n as f32 / exact as f32).ln() / (FAR / exact as f64).ln() as f32;
    behind + (exact + (log * (side - exact) as f32) as i64).min(side - 1)
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        bias: &Tensor<2>,
        config: &MpnetConfig,
        batch: &PackedBatch,
        pass: &Pass,
    ) -> Tensor<2> {
        let SelfAttention { q, k, v, o, packed } = &self.attention.attn;
        let (eps, dropout) = (config.layer_norm_eps, &pass.dropout);
        let context = attention(
            Linear::forward_joined([q, k, v], packed, x.clone()),
            Some(bias.clone()),
            &batch.offsets,
            &Attend::new(
                config.num_attention_heads,
                config.num_attention_heads,
                config.hidden_size / config.num_attention_heads,
            ),
            dropout.next(config.attention_probs_dropout_prob),
        );
        let context = o.forward(context, Activation::Identity);
        let x = self.attention.layer_norm.of_sum(context, x, eps, dropout.next(config.hidden_dropout_prob));
        let wide = self.intermediate.dense.forward(x.clone(), config.hidden_act);
        self.output.forward(wide, x, eps, dropout.next(config.hidden_dropout_prob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of transformers' `MPNetEncoder.relative_position_bucket`.
    #[test]
    fn buckets_are_those_of_the_reference() {
        let found: Vec<i64> = [0, -1, -7, -8, -11, -12, -16, -31, -64, -127, -128, -500, 1, 8, 90, 128]
            .map(|d| bucket(d, 32))
            .into();
        assert_eq!(found, [0, 1, 7, 8, 8, 9, 10, 11, 14, 15, 15, 15, 17, 24, 30, 31]);
    }
}
