//! AdamW over all parameters of a network, with decay groups and a global-norm clip.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use temper_encoder::parameters::Place;
use temper_kernels::{AdamW, RowAdamW, Rows, Scalar, adamw};

use crate::config::{DecayGroups, TrainConfig};
use crate::gradients::{Gradient, NamedGradients};

/// First and second moments of one parameter, flat: the means of its gradients and of their squares.
pub type Moments = [Tensor<1>; 2];

/// The optimizer's state.
#[derive(Debug)]
pub struct Optimizer {
    config: TrainConfig,
    /// Completed updates.
    step: u64,
    /// By parameter name; a parameter has one from its first gradient on.
    states: BTreeMap<String, ParameterState>,
}

/// What is kept for one parameter.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // one a parameter: there are few, and none lies on a hot path
enum ParameterState {
    Dense(Moments),
    /// Of a table whose gradient comes in rows.
    Rows(RowAdamW),
}

impl ParameterState {
    fn moments(&self) -> Moments {
        match self {
            Self::Dense(moments) => moments.clone(),
            Self::Rows(rows) => rows.moments(),
        }
    }
}

impl Optimizer {
    /// A fresh state.
    pub fn new(config: &TrainConfig) -> Self {
        Self { config: config.clone(), step: 0, states: BTreeMap::new() }
    }

    /// The state after `step` updates, from what [`Optimizer::moments`] gave then.
    pub fn resume(config: &TrainConfig, step: u64, moments: BTreeMap<String, Moments>) -> Self {
        let states = moments.into_iter().map(|(name, moments)| (name, ParameterState::Dense(moments)));
        Self { config: config.clone(), step, states: states.collect() }
    }

    /// The moments by parameter name. Every row must be caught up.
    pub fn moments(&self) -> impl Iterator<Item = (&str, Moments)> {
        self.states.iter().map(|(name, state)| (name.as_str(), state.moments()))
    }

    /// One update with gradients whose global norm is `norm`. Rows without a gradient may be behind afterwards.
    pub fn update<M: Module>(
        &mut self,
        network: M,
        gradients: NamedGradients,
        norm: &Scalar,
        learning_rate: f64,
    ) -> M {
        self.step += 1;
        let clip = clip_factor(norm, self.config.max_grad_norm);
        let step = AdamW {
            learning_rate,
            beta1: self.config.adam_beta1,
            beta2: self.config.adam_beta2,
            eps: self.config.adam_epsilon,
            weight_decay: self.config.weight_decay,
            step: self.step,
            gradient_scale: if let Scalar::Known(factor) = clip { factor as f32 } else { 1.0 },
        };
        network.map(&mut Updater {
            place: Place::default(),
            gradients,
            states: &mut self.states,
            clip,
            step,
            decay: self.config.weight_decay_on,
        })
    }

    /// Gives these rows the updates that wait for them; who reads a row calls this first.
    pub fn catch_up<M: Module>(&mut self, network: M, rows: Rows<'_>) -> M {
        network.map(&mut CatchUp { place: Place::default(), states: &mut self.states, rows })
    }
}

/// PyTorch's `clip_grad_norm_`.
fn clip_factor(norm: &Scalar, max_norm: f64) -> Scalar {
    match norm {
        _ if max_norm <= 0.0 => Scalar::Known(1.0),
        Scalar::Known(norm) => Scalar::Known((max_norm / (norm + 1e-6)).min(1.0)),
        Scalar::OnDevice(norm) => Scalar::OnDevice(((norm.clone() + 1e-6).recip() * max_norm).clamp_max(1.0)),
    }
}

/// Whether a parameter decays: the HF Trainer spares biases and norms.
fn decays(name: &str, groups: DecayGroups) -> bool {
    match groups {
        DecayGroups::All => true,
        DecayGroups::Weights => !name.ends_with("bias") && !is_norm(name),
    }
}

/// Whether a parameter is the scale or shift of a norm, by the last word of the layer's name in every architecture:
/// `LayerNorm`, `layernorm`, `layer_norm`, `attn_norm`, `q_norm`, `norm1`, `mlp_ln`.
fn is_norm(name: &str) -> bool {
    let layer = name.rsplit('.').nth(1).unwrap_or_default().trim_end_matches(|c: char| c.is_ascii_digit());
    layer.to_ascii_lowercase().ends_with("norm") || layer.ends_with("_ln")
}

struct Updater<'a> {
    place: Place,
    gradients: NamedGradients,
    states: &'a mut BTreeMap<String, ParameterState>,
    /// In `step` already where it is known.
    clip: Scalar,
    step: AdamW,
    decay: DecayGroups,
}

impl ModuleMapper for Updater<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.place.name();
        let Some(gradient) = self.gradients.remove(&name) else { return param };
        let weight_decay = if decays(&name, self.decay) { self.step.weight_decay } else { 0.0 };
        let step = AdamW { weight_decay, ..self.step };
        let gradient = match (gradient, &self.clip) {
            (Gradient::Dense(gradient), Scalar::OnDevice(clip)) => Gradient::Dense(gradient * clip.clone()),
            (gradient, _) => gradient,
        };
        let state = self.states.remove(&name);
        param.map(|tensor| {
            let (tensor, state) = updated(tensor.inner(), gradient, state, &step);
            self.states.insert(name, state);
            Tensor::from_inner(tensor).require_grad()
        })
    }
}

/// One parameter and its state after a step.
fn updated<const D: usize>(
    tensor: Tensor<D>,
    gradient: Gradient,
    state: Option<ParameterState>,
    step: &AdamW,
) -> (Tensor<D>, ParameterState) {
    let shape = tensor.dims();
    let state = state.unwrap_or_else(|| {
        let zeros = || Tensor::zeros([shape.iter().product::<usize>()], &tensor.device());
        ParameterState::Dense([zeros(), zeros()])
    });
    match (gradient, state) {
        (Gradient::Dense(gradient), ParameterState::Dense([first, second])) => {
            let (tensor, first, second) = adamw(tensor.reshape([-1]), gradient, first, second, step);
            (tensor.reshape(shape), ParameterState::Dense([first, second]))
        }
        (Gradient::Rows(gradient), state) => {
            let mut rows = match state {
                ParameterState::Rows(rows) => rows,
                ParameterState::Dense(moments) => RowAdamW::new(moments, shape[D - 1]),
            };
            (rows.update(tensor, &gradient, step), ParameterState::Rows(rows))
        }
        (Gradient::Dense(_), ParameterState::Rows(_)) => {
            panic!("this is a bug: a table's gradient comes in rows always or never")
        }
    }
}

struct CatchUp<'a> {
    place: Place,
    states: &'a mut BTreeMap<String, ParameterState>,
    rows: Rows<'a>,
}

impl ModuleMapper for CatchUp<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.place.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.states.get_mut(&self.place.name()) {
            Some(ParameterState::Rows(state)) => param
                .map(|tensor| Tensor::from_inner(state.catch_up(tensor.inner(), self.rows)).require_grad()),
            _ => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_clip_scales_down_only() {
        let on_device = |norm: f64| Scalar::OnDevice(Tensor::from_floats([norm as f32], &Device::flex()));
        for norm in [Scalar::Known, on_device as fn(f64) -> Scalar] {
            let factor = |of, max| clip_factor(&norm(of), max).read();
            assert_eq!(factor(0.5, 1.0), 1.0);
            assert!((factor(4.0, 1.0) - 0.25).abs() < 1e-6);
            assert_eq!(factor(4.0, 0.0), 1.0);
        }
    }

    #[test]
    fn biases_and_norms_are_spared() {
        let norms = [
            "a.LayerNorm",
            "a.sa_layer_norm",
            "a.input_layernorm",
            "a.q_norm",
            "a.norm1",
            "a.attn_ln",
            "norm",
        ];
        let mut spared: Vec<String> = norms.iter().map(|layer| format!("{layer}.weight")).collect();
        spared.push("a.dense.bias".to_owned());
        assert!(spared.iter().all(|n| !decays(n, DecayGroups::Weights) && decays(n, DecayGroups::All)));
        assert!(decays("a.dense.weight", DecayGroups::Weights));
    }
}
