//! What is minimised. A loss is one file with a pure function of pooled vectors (and labels); this file holds the
//! closed set and what each member needs.

pub mod cosent;
pub mod cosine_similarity;
pub mod multiple_negatives_ranking;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use temper_data::Kind;

pub use multiple_negatives_ranking::{MultipleNegativesRanking, ScoreFunction};

/// A loss by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// InfoNCE over the batch: `losses/multiple_negatives_ranking.rs`.
    #[default]
    MultipleNegativesRanking,
    /// Mean squared error between cosine and label: `losses/cosine_similarity.rs`.
    CosineSimilarity,
    /// Pairwise ranking of cosines by label: `losses/cosent.rs`.
    Cosent,
}

/// The `[loss]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which loss.
    pub name: LossName,
    /// Factor on similarities; 20 when neither this nor `temperature` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// 1 / scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Multiple negatives ranking: also rank anchors for each positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetric: Option<bool>,
    /// Multiple negatives ranking: candidates whose text equals a row's positive are no negatives of that row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_duplicates: Option<bool>,
    /// Multiple negatives ranking: `cosine` or `dot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<ScoreFunction>,
}

/// A loss ready to be computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// See [`multiple_negatives_ranking`].
    MultipleNegativesRanking(MultipleNegativesRanking),
    /// See [`cosine_similarity`].
    CosineSimilarity,
    /// See [`cosent`]; the field is the scale.
    Cosent(f64),
}

/// What a loss sees of one batch.
pub struct LossInput {
    /// One `[batch, dim]` matrix a column.
    pub columns: Vec<Tensor<2>>,
    /// One label an example, for scored pairs.
    pub labels: Vec<f32>,
    /// One number a text, equal exactly where texts are equal, `[columns][batch]`.
    pub text_ids: Vec<Vec<u64>>,
}

impl LossConfig {
    /// Rules between the keys of `[loss]`.
    pub fn check(&self) -> Result<(), String> {
        if self.scale.is_some() && self.temperature.is_some() {
            return Err(
                "[loss] `scale` and `temperature` (= 1/scale) exclude each other; give one".to_owned()
            );
        }
        for (name, value) in [("scale", self.scale), ("temperature", self.temperature)] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(format!("[loss] `{name}` is {value}, expected a positive number"));
            }
        }
        let ranking_only = [
            ("symmetric", self.symmetric.is_some()),
            ("mask_duplicates", self.mask_duplicates.is_some()),
            ("similarity", self.similarity.is_some()),
        ];
        let scaled = [("scale", self.scale.is_some()), ("temperature", self.temperature.is_some())];
        let refused: &[_] = match self.name {
            LossName::MultipleNegativesRanking => &[],
            LossName::Cosent => &ranking_only,
            LossName::CosineSimilarity => {
                if let Some((name, _)) = scaled.iter().find(|(_, given)| *given) {
                    return Err(format!("[loss] `{name}` means nothing to cosine_similarity"));
                }
                &ranking_only
            }
        };
        match refused.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("[loss] `{name}` belongs to multiple_negatives_ranking only")),
            None => Ok(()),
        }
    }

    /// The loss these keys describe.
    pub fn build(&self) -> Loss {
        let scale = self.scale.or(self.temperature.map(|t| 1.0 / t)).unwrap_or(20.0);
        match self.name {
            LossName::MultipleNegativesRanking => Loss::MultipleNegativesRanking(MultipleNegativesRanking {
                scale,
                symmetric: self.symmetric.unwrap_or(false),
                mask_duplicates: self.mask_duplicates.unwrap_or(true),
                similarity: self.similarity.unwrap_or_default(),
            }),
            LossName::CosineSimilarity => Loss::CosineSimilarity,
            LossName::Cosent => Loss::Cosent(scale),
        }
    }
}

impl Loss {
    /// Whether examples of this kind can be learned from, or what to do instead.
    pub fn accepts(&self, kind: Kind) -> Result<(), String> {
        match (self, kind) {
            (Self::MultipleNegativesRanking(_), Kind::Pairs | Kind::Triplets { .. })
            | (Self::CosineSimilarity | Self::Cosent(_), Kind::Scored) => Ok(()),
            (Self::MultipleNegativesRanking(_), Kind::Scored) => Err(
                "multiple_negatives_ranking learns from pairs or triplets, but the data has scored pairs; \
                 use loss.name = \"cosent\" (or map only anchor and positive in [data.columns])"
                    .to_owned(),
            ),
            (_, other) => Err(format!(
                "this loss learns from scored pairs, but the data has {}; use loss.name = \"multiple_negatives_ranking\"",
                other.name()
            )),
        }
    }

    /// Labels outside this range can never be met.
    pub fn label_range(&self) -> Option<(f32, f32)> {
        match self {
            Self::CosineSimilarity => Some((-1.0, 1.0)),
            Self::MultipleNegativesRanking(_) | Self::Cosent(_) => None,
        }
    }

    /// The loss of one batch, `[1]`.
    pub fn forward(&self, input: LossInput) -> Tensor<1> {
        match self {
            Self::MultipleNegativesRanking(loss) => loss.forward(input.columns, &input.text_ids),
            Self::CosineSimilarity => cosine_similarity::forward(input.columns, &input.labels),
            Self::Cosent(scale) => cosent::forward(input.columns, &input.labels, *scale),
        }
    }

    /// Candidates that each anchor is told apart from in a full batch, or none.
    pub fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        match self {
            Self::MultipleNegativesRanking(_) => Some(batch * (kind.columns() - 1) - 1),
            Self::CosineSimilarity | Self::Cosent(_) => None,
        }
    }
}

/// The cosine of every row of `a` with the same row of `b`, `[batch]`.
fn pairwise_cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (temper_kernels::normalize(a) * temper_kernels::normalize(b)).sum_dim(1).squeeze_dim(1)
}
