//! Adaptive layers (Li et al., 2024, 2D Matryoshka): any loss at earlier layers too, so that the last ones can be left
//! out.
//!
//! `last_layer_weight * L(last) + prior_layers_weight * mean_l w_l L(layer l) + kl_div_weight * T * sum_l
//! KL(softmax(last / T) || softmax(layer l / T))`, where the vectors of layer l go through the model's pooling and what
//! follows, the divergence is the mean over texts, and no gradient flows into its target. Layers are drawn at every step.
//! Columns and labels: those of the loss inside; with a [`super::Matryoshka`] inside it is the 2D form. References:
//! sentence-transformers' `AdaptiveLayerLoss` and `Matryoshka2dLoss`.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};
use temper_data::{Kind, random};

use super::{Given, Loss, LossInput, Objective, Owned};

/// A loss and how it is computed at earlier layers; the table `[loss.adaptive_layers]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveLayers {
    /// What is minimised at every layer.
    pub loss: Box<Loss>,
    /// How.
    pub settings: LayerSettings,
}

/// The table `[loss.adaptive_layers]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerSettings {
    /// Layers before the last that are drawn at each step; 0 takes all.
    pub n_layers_per_step: usize,
    /// What the loss at the last layer weighs.
    pub last_layer_weight: f64,
    /// What the losses at earlier layers weigh.
    pub prior_layers_weight: f64,
    /// What the divergence of earlier layers from the last one weighs.
    pub kl_div_weight: f64,
    /// What vectors are divided by for it; 0 leaves it out.
    pub kl_temperature: f64,
    /// What each earlier layer weighs among them.
    pub layer_weighting: LayerWeighting,
}

/// What an earlier layer weighs; `i` blocks lie before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerWeighting {
    /// 1
    #[default]
    Uniform,
    /// `1 / (1 + ln(1 + i))`
    Log,
    /// `1 / (1 + i)`
    Linear,
}

impl Default for LayerSettings {
    fn default() -> Self {
        Self {
            n_layers_per_step: 1,
            last_layer_weight: 1.0,
            prior_layers_weight: 1.0,
            kl_div_weight: 1.0,
            kl_temperature: 0.3,
            layer_weighting: LayerWeighting::default(),
        }
    }
}

impl LayerWeighting {
    fn of(self, layer: usize) -> f64 {
        let layer = layer as f64;
        match self {
            Self::Uniform => 1.0,
            Self::Log => 1.0 / (1.0 + (1.0 + layer).ln()),
            Self::Linear => 1.0 / (1.0 + layer),
        }
    }
}

impl Objective for AdaptiveLayers {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        self.loss.accepts(kind)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        self.loss.label_range()
    }

    fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        self.loss.fits(dim, guide_dim)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        self.loss.negatives_per_anchor(batch, kind)
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        if given.encoder.contract.transformer().shape().num_hidden_layers == 0 {
            return Err(
                "loss.adaptive_layers needs a model with layers, and a static table has none; leave it out"
                    .to_owned(),
            );
        }
        self.loss.own(owned, given)
    }

    fn layers(&self, draw: u64, blocks: usize) -> Vec<usize> {
        let count = self.settings.n_layers_per_step;
        if count == 0 || count >= blocks {
            return (0..blocks).collect();
        }
        let mut drawn = random::permutation(random::uniform_u64(draw, 0), blocks);
        drawn.truncate(count);
        drawn
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let (s, layers) = (&self.settings, &input.layers);
        let at = |columns: Vec<Tensor<2>>, draw: u64| {
            self.loss.forward(LossInput { columns, draw, layers: Vec::new(), ..input.clone() })
        };
        let log_shares = |columns: &[Tensor<2>]| {
            log_softmax(Tensor::cat(columns.to_vec(), 0).div_scalar(s.kl_temperature), 1)
        };
        let mut loss = at(input.columns.clone(), input.draw).mul_scalar(s.last_layer_weight);
        let target = (s.kl_temperature > 0.0).then(|| log_shares(&input.columns).detach());
        for (layer, columns) in layers {
            let weight = s.layer_weighting.of(*layer) * s.prior_layers_weight / layers.len() as f64;
            let draw = random::uniform_u64(input.draw, 1 + *layer as u64);
            loss = loss + at(columns.clone(), draw).mul_scalar(weight);
            if let Some(target) = &target {
                let texts = target.dims()[0] as f64;
                let divergence = (target.clone().exp() * (target.clone() - log_shares(columns))).sum();
                loss = loss + divergence.mul_scalar(s.kl_temperature * s.kl_div_weight / texts);
            }
        }
        loss
    }
}
