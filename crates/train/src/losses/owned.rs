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

impl Owned {
    /// Takes in what the loss of another set owns, which must be something else.
    pub fn join(&mut self, other: Self) -> Result<(), String> {
        let twice = [
            ("classifier (softmax)", self.classifier.is_some() && other.classifier.is_some()),
            ("second encoder (contrastive tension)", self.twin.is_some() && other.twin.is_some()),
        ];
        if let Some((what, _)) = twice.iter().find(|(_, twice)| *twice) {
            return Err(format!(
                "its loss and that of another set would each own a {what}, and a run has one; join the two sets, or \
                 give one of them another `loss`"
            ));
        }
        self.classifier = self.classifier.take().or(other.classifier);
        self.twin = self.twin.take().or(other.twin);
        self.logit_scale = self.logit_scale.take().or(other.logit_scale);
        Ok(())
    }
}
