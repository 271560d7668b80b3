//! Parameters of losses: trained, clipped, saved and restored beside the encoder's, and left behind when a run ends.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use temper_data::Examples;
use temper_encoder::{Encoder, Network};

use super::Classifier;

/// The parameters that the losses of a run own; each makes its own in [`super::Objective::own`].
#[derive(Module, Debug, Default)]
pub struct Owned {
    /// Of [`super::Softmax`].
    pub classifier: Option<Classifier>,
    /// The other encoder of contrastive tension.
    pub twin: Option<Network>,
    /// Logarithm of the factor on similarities, `[1]`, of [`super::ContrastiveTensionInBatch`].
    pub logit_scale: Option<Param<Tensor<1>>>,
}

/// What parameters are made from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The encoder before its first step.
    pub encoder: &'a Encoder,
    /// The examples.
    pub dataset: &'a Examples,
    /// The run's.
    pub seed: u64,
}
