//! Numbers read back from the event stream: JSON has no NaN or infinity, both stand there as `null` and read as NaN.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

pub(crate) fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The same for named scores.
pub(crate) fn map_or_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let scores = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(scores.into_iter().map(|(name, score)| (name, score.unwrap_or(f64::NAN))).collect())
}
