//! A checkpoint: a model folder, the optimizer's moments, the parameters of the losses and the loop's state, whole or
//! not there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Deserializer, Serialize};
use temper_encoder::reference::MODEL_FOLDER;
use temper_encoder::weights::{NamedTensor, Weights};
use temper_encoder::{Encoder, Precision, parameters, write};
use temper_runs::{OPTIMIZER_STATE as OPTIMIZER, SealedWriter};

use crate::config::TrainConfig;
use crate::error::Error;
use crate::losses::Owned;
use crate::mining::Negatives;
use crate::optimizer::Optimizer;

/// The loop's state at the end of an optimizer step. Nothing random is in it: every random value is a function of
/// (seed, stream, step).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Completed optimizer steps.
    pub step: u64,
    /// Step and score of the best evaluation.
    #[serde(deserialize_with = "finite")]
    pub best: Option<(u64, f64)>,
    /// The deciding score before the first step.
    pub baseline: Option<f64>,
    /// Evaluations since the best one.
    pub without_improvement: u64,
    /// The evaluation after this step failed, and is still to be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unjudged: bool,
    /// Sum of losses since the last log line.
    pub loss_sum: f64,
    /// Number of losses in the sum.
    pub loss_count: u64,
    /// The same of each set, in a run of several: sum and number by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_losses: BTreeMap<String, (f64, u32)>,
    /// Examples seen.
    pub examples: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training, without those between an interruption and its resume.
    pub elapsed_seconds: f64,
    /// blake3 of the resolved config.
    pub config_hash: String,
    /// blake3 of every data file.
    pub data_hashes: Vec<String>,
    /// blake3 of what of the config decides which examples are learned from, and their order.
    #[serde(default)]
    pub examples_hash: String,
}

/// Earlier versions could take NaN, which JSON has as `null`, for the best score.
fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<(u64, f64)>, D::Error> {
    let best = Option::<(u64, Option<f64>)>::deserialize(deserializer)?;
    Ok(best.and_then(|(step, score)| Some((step, score?))))
}

impl State {
    /// Keeps the books on the deciding score, and tells whether it is the best by more than `threshold`. Before the first
    /// step it is the baseline, not a candidate; NaN is neither, and no improvement.
    pub(crate) fn record(&mut self, score: f64, threshold: f64) -> bool {
        if self.step == 0 {
            self.baseline = Some(score).filter(|score| score.is_finite());
            return false;
        }
        let best = score.is_finite() && self.best.is_none_or(|(_, before)| score > before + threshold);
        if best {
            self.best = Some((self.step, score));
            self.without_improvement = 0;
        } else {
            self.without_improvement += 1;
        }
        best
    }
}

const STATE: &str = "state.json";

/// Writes a checkpoint at `path`.
pub fn save(
    path: &Path,
    encoder: &Encoder,
    owned: &Owned,
    optimizer: &Optimizer,
    negatives: Option<&Negatives>,
    state: &State,
) -> Result<(), Error> {
    let mut writer = SealedWriter::new(path)?;
    for (name, bytes) in write::files(encoder, Precision::F32)? {
        writer.write_file(&format!("{MODEL_FOLDER}/{name}"), |w| w.write_all(&bytes))?;
    }
    writer.write_file(OPTIMIZER, |w| write_moments(w, optimizer, owned, negatives))?;
    let text = serde_json::to_vec_pretty(state)
        .map_err(|e| Error::Checkpoint { path: path.to_owned(), problem: e.to_string() })?;
    writer.write_file(STATE, |w| w.write_all(&text))?;
    writer.seal(serde_json::json!({"step": state.step}))?;
    Ok(())
}

/// Reads the loop's state of a verified checkpoint.
pub fn read_state(path: &Path) -> Result<State, Error> {
    let file = path.join(STATE);
    let bytes = std::fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Checkpoint { path: file, problem: e.to_string() })
}

/// Refuses a checkpoint whose optimizer state was pruned: only its model is left.
pub fn check_resumable(path: &Path) -> Result<(), Error> {
    if path.join(OPTIMIZER).is_file() {
        return Ok(());
    }
    let model = path.join(MODEL_FOLDER);
    let problem = format!(
        "its optimizer state was pruned, so training cannot go on from here; begin a new run from its weights with \
         model.base = \"{}\"",
        model.display()
    );
    Err(Error::Checkpoint { path: path.to_owned(), problem })
}

/// Restores the optimizer of a verified checkpoint.
pub fn read_optimizer(
    path: &Path,
    config: &TrainConfig,
    step: u64,
    device: &Device,
) -> Result<Optimizer, Error> {
    let file = path.join(OPTIMIZER);
    let bytes = std::fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    let broken = |problem: String| Error::Checkpoint { path: file.clone(), problem };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
    let mut moments = BTreeMap::new();
    for name in tensors.names() {
        let Some(parameter) = name.strip_suffix("#first") else { continue };
        let flat = |kind: &str| -> Result<Tensor<1>, Error> {
            let view = tensors.tensor(&format!("{parameter}#{kind}")).map_err(|e| broken(e.to_string()))?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            let length = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [length]), device))
        };
        moments.insert(parameter.to_owned(), [flat("first")?, flat("second")?]);
    }
    Ok(Optimizer::resume(config, step, moments))
}

/// Restores the parameters of the losses; `owned` has their shapes.
pub fn read_owned(path: &Path, owned: Owned) -> Result<Owned, Error> {
    let file = path.join(OPTIMIZER);
    let bytes = std::fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    let broken = |problem: String| Error::Checkpoint { path: file.clone(), problem };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
    let named = tensors.iter().filter_map(|(name, view)| {
        let name = name.strip_prefix(OWNED)?.to_owned();
        Some(NamedTensor {
            name,
            shape: view.shape().to_vec(),
            values: bytemuck::pod_collect_to_vec(view.data()),
        })
    });
    let mut weights = Weights::from_tensors(file.clone(), named);
    Ok(parameters::load(owned, &mut weights)?)
}

/// The mined negatives of a verified checkpoint, if it has any.
pub fn read_negatives(path: &Path) -> Result<Option<Negatives>, Error> {
    let file = path.join(OPTIMIZER);
    let bytes = std::fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
    let broken = |problem: String| Error::Checkpoint { path: file.clone(), problem };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
    let Ok(view) = tensors.tensor(NEGATIVES) else { return Ok(None) };
    match *view.shape() {
        [_, count] if view.dtype() == Dtype::U32 => {
            Ok(Some(Negatives { count, examples: bytemuck::pod_collect_to_vec(view.data()) }))
        }
        _ => Err(broken("the negatives are no table of numbers".to_owned())),
    }
}

/// In front of the names of the losses' parameters, which lie beside the moments: a resume alone needs either.
const OWNED: &str = "parameter#";

/// The mined negatives, `[examples, count]` places of examples, which lie there for the same reason.
const NEGATIVES: &str = "mined#negatives";

fn write_moments(
    writer: &mut dyn Write,
    optimizer: &Optimizer,
    owned: &Owned,
    negatives: Option<&Negatives>,
) -> std::io::Result<()> {
    let values: Vec<(String, Vec<f32>)> = optimizer
        .moments()
        .flat_map(|(name, [first, second])| {
            [
                (format!("{name}#first"), parameters::values(first)),
                (format!("{name}#second"), parameters::values(second)),
            ]
        })
        .collect();
    let owned: Vec<(String, NamedTensor)> =
        parameters::collect(owned).into_iter().map(|t| (format!("{OWNED}{}", t.name), t)).collect();
    let moments = values.iter().map(|(name, values)| (name, vec![values.len()], values));
    let views = moments.chain(owned.iter().map(|(name, t)| (name, t.shape.clone(), &t.values)));
    let views = views.map(|(name, shape, values)| {
        TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map(|view| (name.as_str(), view))
    });
    let mined = negatives.map(|negatives| {
        let shape = vec![negatives.examples.len() / negatives.count.max(1), negatives.count];
        TensorView::new(Dtype::U32, shape, bytemuck::cast_slice(&negatives.examples))
            .map(|view| (NEGATIVES, view))
    });
    let views = views.chain(mined).collect::<Result<Vec<_>, _>>().map_err(std::io::Error::other)?;
    writer.write_all(&safetensors::serialize(views, None).map_err(std::io::Error::other)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_score_that_is_not_a_number_is_never_the_best() {
        let mut state = State::default();
        assert!(!state.record(f64::NAN, 0.0) && state.baseline.is_none());
        state.step = 10;
        assert!(!state.record(f64::NAN, 0.0));
        assert_eq!((state.best, state.without_improvement), (None, 1));
        assert!(state.record(-0.5, 0.0));
        state.step = 20;
        assert!(!state.record(f64::NAN, 0.0) && !state.record(-0.4, 0.2));
        assert_eq!((state.best, state.without_improvement), (Some((10, -0.5)), 2));
    }

    #[test]
    fn a_state_reads_back_and_null_is_no_best_score() {
        let state = State { step: 7, best: Some((5, 0.25)), ..State::default() };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        let text = text.replace("[5,0.25]", "[5,null]");
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), State { best: None, ..state });
    }
}
