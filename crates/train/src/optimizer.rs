//! AdamW over all parameters of a network, with decay groups and a global-norm clip.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use temper_encoder::parameters::file_name;
use temper_kernels::{AdamW, adamw, sum_of_squares};

use crate::config::{DecayGroups, TrainConfig};

/// Gradients by parameter name, flat. Parameters that took no part have none and are not updated.
#[derive(Debug, Default)]
pub struct NamedGradients(BTreeMap<String, Tensor<1>>);

impl NamedGradients {
    /// Takes a network's gradients out of `gradients` and adds them, times `share`.
    pub fn add<M: Module>(&mut self, network: &M, gradients: Gradients, share: f64) {
        network.visit(&mut Taker { path: Vec::new(), gradients, share, into: &mut self.0 });
    }

    /// The global L2 norm, the same bytes at any thread count.
    pub fn norm(&self) -> f64 {
        self.0.values().map(sum_of_squares).sum::<f64>().sqrt()
    }
}

struct Taker<'a> {
    path: Vec<String>,
    gradients: Gradients,
    share: f64,
    into: &'a mut BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Taker<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad_remove(&mut self.gradients) else { return };
        let mut gradient = gradient.reshape([-1]);
        if self.share != 1.0 {
            gradient = gradient.mul_scalar(self.share);
        }
        let name = file_name(&self.path);
        let sum = match self.into.remove(&name) {
            Some(before) => before + gradient,
            None => gradient,
        };
        self.into.insert(name, sum);
    }
}

/// First and second moment of one parameter, flat.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean of gradients.
    pub first: Tensor<1>,
    /// Mean of squared gradients.
    pub second: Tensor<1>,
}

/// The optimizer's state.
#[derive(Debug)]
pub struct Optimizer {
    config: TrainConfig,
    /// Completed updates.
    pub step: u64,
    /// Moments by parameter name; a parameter has them from its first gradient on.
    pub moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// A fresh state.
    pub fn new(config: &TrainConfig) -> Self {
        Self { config: config.clone(), step: 0, moments: BTreeMap::new() }
    }

    /// One update with gradients whose global norm is `norm`.
    pub fn update<M: Module>(
        &mut self,
        network: M,
        gradients: NamedGradients,
        norm: f64,
        learning_rate: f64,
    ) -> M {
        self.step += 1;
        let step = AdamW {
            learning_rate,
            beta1: self.config.adam_beta1,
            beta2: self.config.adam_beta2,
            eps: self.config.adam_epsilon,
            weight_decay: self.config.weight_decay,
            step: self.step,
            gradient_scale: clip_factor(norm, self.config.max_grad_norm) as f32,
        };
        network.map(&mut Updater {
            path: Vec::new(),
            gradients: gradients.0,
            moments: &mut self.moments,
            step,
            decay: self.config.weight_decay_on,
        })
    }
}

/// PyTorch's `clip_grad_norm_`.
fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    if max_norm > 0.0 { (max_norm / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

/// Whether a parameter decays: the HF Trainer spares biases and norms.
fn decays(name: &str, groups: DecayGroups) -> bool {
    match groups {
        DecayGroups::All => true,
        DecayGroups::Weights => !name.ends_with("bias") && !name.contains("LayerNorm"),
    }
}

struct Updater<'a> {
    path: Vec<String>,
    gradients: BTreeMap<String, Tensor<1>>,
    moments: &'a mut BTreeMap<String, Moments>,
    step: AdamW,
    decay: DecayGroups,
}

impl ModuleMapper for Updater<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = file_name(&self.path);
        let Some(gradient) = self.gradients.remove(&name) else { return param };
        let Moments { first, second } = self
            .moments
            .remove(&name)
            .unwrap_or_else(|| Moments { first: gradient.zeros_like(), second: gradient.zeros_like() });
        let weight_decay = if decays(&name, self.decay) { self.step.weight_decay } else { 0.0 };
        let step = AdamW { weight_decay, ..self.step };
        let moments = &mut *self.moments;
        param.map(|tensor| {
            let shape = tensor.dims();
            let (tensor, first, second) = adamw(tensor.inner().reshape([-1]), gradient, first, second, &step);
            moments.insert(name, Moments { first, second });
            Tensor::from_inner(tensor.reshape(shape)).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_scales_down_only() {
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }

    #[test]
    fn biases_and_norms_are_spared() {
        let spared = ["a.dense.bias", "a.LayerNorm.weight", "a.LayerNorm.bias"];
        assert!(spared.iter().all(|n| !decays(n, DecayGroups::Weights) && decays(n, DecayGroups::All)));
        assert!(decays("a.dense.weight", DecayGroups::Weights));
    }
}
