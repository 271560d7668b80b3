//! Rotary positions (Su et al., 2021) as `config.json` describes them, in the fields of old and of new transformers.

use serde::Serialize;
use serde_json::Value;
use temper_kernels::Rotary;

use super::fields::Fields;
use crate::Error;
use crate::packed::PackedBatch;

/// The frequencies by which a position turns the pairs of a head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rope {
    /// The slowest frequency is near one over this.
    theta: f64,
    /// The width that is turned: all of a head, or its beginning.
    dim: usize,
    scaling: Scaling,
}

/// How frequencies were stretched for longer texts than a model was first trained with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Scaling {
    /// Not.
    None,
    /// Every frequency divided by this.
    Linear(f64),
    /// Alibaba's NTK scaling: the base times this, and the rest of it spread over the frequencies.
    Ntk(f64),
}

impl Rope {
    /// Of a head of this width. `layer_type` is the key of models whose layers differ; `old` names the field that held
    /// theta before `rope_parameters` did, with the value it had when missing.
    pub(super) fn read(
        fields: &Fields<'_>,
        head_dim: usize,
        layer_type: Option<&str>,
        old: (&'static str, f64),
    ) -> Result<Self, Error> {
        let new = fields.get("rope_parameters");
        let new = new.and_then(|all| layer_type.and_then(|key| all.get(key)).or(Some(all)));
        let theta = fields.number(old.0, old.1)?;
        // The old field counts for the layers that see everything.
        let scaling = fields.get("rope_scaling").filter(|_| layer_type != Some("sliding_attention"));
        let settings = new.or(scaling).unwrap_or(&Value::Null);
        let number = |name: &str| settings.get(name).and_then(Value::as_f64);
        if number("partial_rotary_factor").is_some_and(|factor| factor != 1.0) {
            return Err(fields
                .error("field `rope_parameters` turns a part of each head; temper turns whole heads only"));
        }
        let kind = ["rope_type", "type"].iter().find_map(|name| settings.get(*name)?.as_str());
        let factor = || number("factor").ok_or_else(|| fields.error("rotary scaling without a `factor`"));
        let scaling = match kind {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear(factor()?),
            Some("ntk") if settings.get("mixed_b").is_none_or(Value::is_null) => Scaling::Ntk(factor()?),
            Some(other) => {
                let problem = format!("rotary scaling `{other}`; temper computes: default, linear, ntk");
                return Err(fields.error(problem));
            }
        };
        Ok(Self { theta: number("rope_theta").unwrap_or(theta), dim: head_dim, scaling })
    }

    /// The angles of a batch's tokens.
    pub(super) fn of(&self, batch: &PackedBatch) -> Rotary {
        Rotary::new(&self.inverse_frequencies(), 1.0, &batch.input.positions)
    }

    /// In f32, as transformers computes them.
    fn inverse_frequencies(&self) -> Vec<f32> {
        let (base, divisor) = match self.scaling {
            Scaling::None => (self.theta, 1.0),
            Scaling::Linear(factor) => (self.theta, factor),
            Scaling::Ntk(factor) => (self.theta * factor, factor.powf(2.0 / self.dim as f64)),
        };
        let frequency = |i: usize| {
            let exponent = i as f32 / self.dim as f32;
            1.0 / (base as f32).powf(exponent) / divisor as f32
        };
        (0..self.dim).step_by(2).map(frequency).collect()
    }
}
