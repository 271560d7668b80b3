//! The `[loss]` table: which loss, and the settings that mean something to it.

use serde::{Deserialize, Serialize};

use super::{
    Contrastive, Direction, Distance, Hardness, Loss, Matryoshka, MegaBatchMargin, MultipleNegativesRanking,
    Partition, Reduction, ScoreFunction, Triplet,
};

/// A loss by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// InfoNCE over the batch: `losses/multiple_negatives_ranking.rs`.
    #[default]
    MultipleNegativesRanking,
    /// Pairs against the hardest negative of the batch: `losses/mega_batch_margin.rs`.
    MegaBatchMargin,
    /// A margin between positive and negative: `losses/triplet.rs`.
    Triplet,
    /// Mean squared error between cosine and label: `losses/cosine_similarity.rs`.
    CosineSimilarity,
    /// Pairwise ranking of cosines by label: `losses/cosent.rs`.
    Cosent,
    /// The same of angles: `losses/angle.rs`.
    Angle,
    /// Together or a margin apart, by label: `losses/contrastive.rs`.
    Contrastive,
    /// The same of the hard pairs of a batch: `losses/contrastive.rs`.
    OnlineContrastive,
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
    /// Multiple negatives ranking: also rank anchors for each positive; short for `directions` and `partition_mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetric: Option<bool>,
    /// Multiple negatives ranking: what is ranked for what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directions: Option<Vec<Direction>>,
    /// Multiple negatives ranking: whether the directions share a softmax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_mode: Option<Partition>,
    /// Multiple negatives ranking: which negatives weigh more the nearer they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardness_mode: Option<Hardness>,
    /// Multiple negatives ranking: how much more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardness_strength: Option<f64>,
    /// Multiple negatives ranking: candidates whose text equals a row's positive are no negatives of that row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_duplicates: Option<bool>,
    /// Multiple negatives ranking: `cosine` or `dot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<ScoreFunction>,
    /// Contrastive and triplet losses: `cosine`, `euclidean` or `manhattan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// Contrastive losses: what negatives should be apart, 0.5. Triplet: by how much the negative should be farther, 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Contrastive: `mean` or `sum` over the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<Reduction>,
    /// Mega-batch margin: what the cosine of a pair should at least be, 0.8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_margin: Option<f64>,
    /// Mega-batch margin: what that of the hardest negative should at most be, 0.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_margin: Option<f64>,
    /// Any loss: also on so many leading values of the vectors, each scaled to length 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// What the loss at each of them weighs; 1 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matryoshka_weights: Option<Vec<f64>>,
}

impl LossName {
    /// The name in a config.
    fn name(self) -> &'static str {
        match self {
            Self::MultipleNegativesRanking => "multiple_negatives_ranking",
            Self::MegaBatchMargin => "mega_batch_margin",
            Self::Triplet => "triplet",
            Self::CosineSimilarity => "cosine_similarity",
            Self::Cosent => "cosent",
            Self::Angle => "angle",
            Self::Contrastive => "contrastive",
            Self::OnlineContrastive => "online_contrastive",
        }
    }

    /// The keys of `[loss]` that mean something to it, beside those that mean something to every loss.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::MultipleNegativesRanking => &[
                "scale",
                "temperature",
                "symmetric",
                "directions",
                "partition_mode",
                "hardness_mode",
                "hardness_strength",
                "mask_duplicates",
                "similarity",
            ],
            Self::MegaBatchMargin => &["positive_margin", "negative_margin"],
            Self::Triplet | Self::OnlineContrastive => &["distance", "margin"],
            Self::CosineSimilarity => &[],
            Self::Cosent | Self::Angle => &["scale", "temperature"],
            Self::Contrastive => &["distance", "margin", "reduction"],
        }
    }
}

impl LossConfig {
    /// Rules between the keys of `[loss]`.
    pub fn check(&self) -> Result<(), String> {
        let (name, keys) = (self.name.name(), self.name.keys());
        if let Some(key) = self.given().into_iter().find(|key| !keys.contains(key)) {
            return Err(match keys {
                [] => format!("[loss] `{key}` means nothing to {name}, which has no settings"),
                _ => format!("[loss] `{key}` means nothing to {name}; its settings: {}", keys.join(", ")),
            });
        }
        if self.scale.is_some() && self.temperature.is_some() {
            return Err(
                "[loss] `scale` and `temperature` (= 1/scale) exclude each other; give one".to_owned()
            );
        }
        for (key, value) in [("scale", self.scale), ("temperature", self.temperature)] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(format!("[loss] `{key}` is {value}, expected a positive number"));
            }
        }
        let margins = [
            ("margin", self.margin),
            ("positive_margin", self.positive_margin),
            ("negative_margin", self.negative_margin),
            ("hardness_strength", self.hardness_strength),
        ];
        for (key, value) in margins {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v >= 0.0)) {
                return Err(format!("[loss] `{key}` is {value}, expected 0 or more"));
            }
        }
        self.check_directions()?;
        self.check_matryoshka()
    }

    fn check_directions(&self) -> Result<(), String> {
        if self.hardness_mode.is_some() != self.hardness_strength.is_some() {
            return Err(
                "[loss] `hardness_mode` and `hardness_strength` belong together; give both".to_owned()
            );
        }
        if self.symmetric.is_some() && (self.directions.is_some() || self.partition_mode.is_some()) {
            return Err("[loss] `symmetric` is short for `directions` and `partition_mode`; give it or them"
                .to_owned());
        }
        let Some(directions) = &self.directions else { return Ok(()) };
        if !directions.contains(&Direction::QueryToDoc) {
            return Err(
                "[loss] `directions` must name \"query_to_doc\", which has the pairs themselves".to_owned()
            );
        }
        let twice = |direction: &&Direction| directions.iter().filter(|other| other == direction).count() > 1;
        if directions.iter().any(|direction| twice(&direction)) {
            return Err("[loss] `directions` names one twice".to_owned());
        }
        let alone = [Direction::QueryToQuery, Direction::DocToDoc];
        if self.partition_mode == Some(Partition::PerDirection)
            && directions.iter().any(|d| alone.contains(d))
        {
            return Err("[loss] `query_to_query` and `doc_to_doc` have no right answer of their own; use \
                        partition_mode = \"joint\""
                .to_owned());
        }
        Ok(())
    }

    fn check_matryoshka(&self) -> Result<(), String> {
        let (dims, weights) = match (&self.matryoshka_dims, &self.matryoshka_weights) {
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                return Err("[loss] `matryoshka_weights` weigh `matryoshka_dims`; give those too".to_owned());
            }
            (Some(dims), weights) => (dims, weights.as_deref().unwrap_or_default()),
        };
        if dims.is_empty() || dims.contains(&0) {
            return Err(
                "[loss] `matryoshka_dims` must be one or more numbers of values, as in [384, 128, 64]"
                    .to_owned(),
            );
        }
        if !weights.is_empty() && weights.len() != dims.len() {
            return Err(format!(
                "[loss] `matryoshka_weights` has {} numbers and `matryoshka_dims` {}; give one for each",
                weights.len(),
                dims.len()
            ));
        }
        match weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            Some(weight) => Err(format!("[loss] `matryoshka_weights` has {weight}, expected 0 or more")),
            None => Ok(()),
        }
    }

    /// The keys that are given and mean something to some losses only.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("scale", self.scale.is_some()),
            ("temperature", self.temperature.is_some()),
            ("symmetric", self.symmetric.is_some()),
            ("directions", self.directions.is_some()),
            ("partition_mode", self.partition_mode.is_some()),
            ("hardness_mode", self.hardness_mode.is_some()),
            ("hardness_strength", self.hardness_strength.is_some()),
            ("mask_duplicates", self.mask_duplicates.is_some()),
            ("similarity", self.similarity.is_some()),
            ("distance", self.distance.is_some()),
            ("margin", self.margin.is_some()),
            ("reduction", self.reduction.is_some()),
            ("positive_margin", self.positive_margin.is_some()),
            ("negative_margin", self.negative_margin.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }

    /// The loss these keys describe.
    pub fn build(&self) -> Loss {
        let loss = self.inner();
        let Some(dims) = &self.matryoshka_dims else { return loss };
        let weight = |at: usize| self.matryoshka_weights.as_ref().map_or(1.0, |weights| weights[at]);
        let cuts = dims.iter().enumerate().map(|(at, dim)| (*dim, weight(at))).collect();
        Loss::Matryoshka(Matryoshka { loss: Box::new(loss), cuts })
    }

    fn inner(&self) -> Loss {
        let scale = self.scale.or(self.temperature.map(|t| 1.0 / t)).unwrap_or(20.0);
        let contrastive = Contrastive {
            distance: self.distance.unwrap_or(Distance::Cosine),
            margin: self.margin.unwrap_or(0.5),
            reduction: self.reduction.unwrap_or_default(),
        };
        match self.name {
            LossName::MultipleNegativesRanking => Loss::MultipleNegativesRanking(self.ranking(scale)),
            LossName::MegaBatchMargin => Loss::MegaBatchMargin(MegaBatchMargin {
                positive_margin: self.positive_margin.unwrap_or(0.8),
                negative_margin: self.negative_margin.unwrap_or(0.3),
            }),
            LossName::Triplet => Loss::Triplet(Triplet {
                distance: self.distance.unwrap_or(Distance::Euclidean),
                margin: self.margin.unwrap_or(5.0),
            }),
            LossName::CosineSimilarity => Loss::CosineSimilarity,
            LossName::Cosent => Loss::Cosent(scale),
            LossName::Angle => Loss::Angle(scale),
            LossName::Contrastive => Loss::Contrastive(contrastive),
            LossName::OnlineContrastive => Loss::OnlineContrastive(contrastive),
        }
    }

    fn ranking(&self, scale: f64) -> MultipleNegativesRanking {
        let (directions, partition) = match (&self.directions, self.symmetric) {
            (Some(directions), _) => (directions.clone(), self.partition_mode.unwrap_or_default()),
            (None, Some(true)) => {
                (vec![Direction::QueryToDoc, Direction::DocToQuery], Partition::PerDirection)
            }
            (None, _) => (vec![Direction::QueryToDoc], Partition::Joint),
        };
        MultipleNegativesRanking {
            scale,
            directions,
            partition,
            hardness: self.hardness_mode.zip(self.hardness_strength),
            mask_duplicates: self.mask_duplicates.unwrap_or(true),
            similarity: self.similarity.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(table: &str) -> String {
        toml::from_str::<LossConfig>(table).unwrap().check().unwrap_err()
    }

    #[test]
    fn a_setting_of_another_loss_is_answered_with_those_of_this_one() {
        let contrastive = problem("name = \"contrastive\"\nscale = 20.0");
        assert_eq!(
            contrastive,
            "[loss] `scale` means nothing to contrastive; its settings: distance, margin, reduction"
        );
        assert!(problem("name = \"cosine_similarity\"\nmargin = 1.0").contains("has no settings"));
    }

    #[test]
    fn every_loss_takes_its_own_settings() {
        for (name, key) in [
            ("multiple_negatives_ranking", "symmetric = true"),
            ("mega_batch_margin", "positive_margin = 0.9"),
            ("triplet", "distance = \"manhattan\""),
            ("cosine_similarity", "matryoshka_dims = [8, 4]"),
            ("cosent", "temperature = 0.1"),
            ("angle", "scale = 1.0"),
            ("contrastive", "reduction = \"sum\""),
            ("online_contrastive", "margin = 0.2"),
        ] {
            let config: LossConfig = toml::from_str(&format!("name = {name:?}\n{key}")).unwrap();
            assert_eq!(config.check(), Ok(()), "{name}");
            assert_eq!(config.name.name(), name);
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        for (table, expected) in [
            ("hardness_mode = \"all_negatives\"", "belong together"),
            ("symmetric = true\npartition_mode = \"joint\"", "is short for"),
            ("directions = [\"doc_to_query\"]", "must name \"query_to_doc\""),
            ("directions = [\"query_to_doc\", \"query_to_doc\"]", "twice"),
            (
                "directions = [\"query_to_doc\", \"doc_to_doc\"]\npartition_mode = \"per_direction\"",
                "no right answer of their own",
            ),
            ("matryoshka_weights = [1.0]", "give those too"),
            ("matryoshka_dims = [8, 0]", "one or more numbers"),
            ("matryoshka_dims = [8, 4]\nmatryoshka_weights = [1.0]", "give one for each"),
            ("name = \"triplet\"\nmargin = -1.0", "expected 0 or more"),
        ] {
            let problem = problem(table);
            assert!(problem.contains(expected), "{table}: {problem}");
        }
    }
}
