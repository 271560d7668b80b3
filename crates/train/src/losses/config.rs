//! The `[loss]` table: which loss, and the settings that mean something to it.

use serde::{Deserialize, Serialize};

use super::adaptive_layers::{AdaptiveLayers, LayerSettings};
use super::{
    Angle, BatchTriplet, Contrastive, ContrastiveTension, ContrastiveTensionInBatch, Cosent,
    CosineSimilarity, Direction, Distance, DistillKlDiv, EmbedDistill, Feature, Gist, Hardness, Loss,
    MarginMse, MarginStrategy, Matryoshka, MegaBatchMargin, Mining, MultipleNegativesRanking,
    OnlineContrastive, Orthogonal, Partition, Reduction, ScoreFunction, Softmax, Sum, Target,
    TeacherDistance, Triplet,
};

/// A loss by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// InfoNCE over the batch: `losses/multiple_negatives_ranking.rs`.
    #[default]
    MultipleNegativesRanking,
    /// The same, told by another encoder what is no negative: `losses/gist.rs`.
    Gist,
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
    /// The values of a teacher's vectors: `losses/embed_distill.rs`.
    Mse,
    /// The vectors of a teacher by any distance: `losses/embed_distill.rs`.
    EmbedDistill,
    /// The margins of a teacher's scores: `losses/score_distill.rs`.
    MarginMse,
    /// The distribution of a teacher's scores: `losses/score_distill.rs`.
    DistillKlDiv,
    /// All triplets within a batch of labelled texts: `losses/batch_triplet.rs`.
    BatchAllTriplet,
    /// The hardest of each text.
    BatchHardTriplet,
    /// The hardest of each text, without a margin.
    BatchHardSoftMarginTriplet,
    /// The nearest negative behind each positive.
    BatchSemiHardTriplet,
    /// The class of a pair, by a classifier of its own: `losses/softmax.rs`.
    Softmax,
    /// Texts without pairs, by two encoders: `losses/contrastive_tension.rs`.
    ContrastiveTension,
    /// The same with the batch as negatives: `losses/contrastive_tension.rs`.
    ContrastiveTensionInBatch,
    /// Unrelated texts at right angles, beside another loss: `losses/orthogonal.rs`.
    GlobalOrthogonalRegularization,
}

/// The `[loss]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which loss.
    pub name: LossName,
    /// Factor on similarities; 20 (GIST: 100) when neither this nor `temperature` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// 1 / scale. KL distillation: what scores are divided by on both sides, 1.
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
    /// Multiple negatives ranking, GIST: whether texts of other rows are negatives, true; without them a row has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_batch_negatives: Option<bool>,
    /// GIST: MODEL that tells negatives from texts that belong together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guide: Option<String>,
    /// Distillation: MODEL to learn from. That of scores takes them from the data without one (`data.columns.scores`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// GIST: whether `margin` is a cosine or a share of the pair's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_strategy: Option<MarginStrategy>,
    /// GIST: whether other anchors compete, true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrast_anchors: Option<bool>,
    /// GIST: whether other positives compete for each positive, true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrast_positives: Option<bool>,
    /// Embedding distillation: `mse`, `l2` or `cosine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_distance: Option<TeacherDistance>,
    /// Embedding distillation: whether a text is to have the teacher's vector of itself (`own`) or of the anchor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// KL distillation: what the scores of the model in training are divided by; `temperature` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub student_temperature: Option<f64>,
    /// KL distillation: what the teacher's scores are divided by; `temperature` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_temperature: Option<f64>,
    /// Orthogonal regularisation: what the mean of the cosines weighs, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_weight: Option<f64>,
    /// Orthogonal regularisation: what their second moment weighs, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_moment_weight: Option<f64>,
    /// Orthogonal regularisation: `mean` or `sum` over the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Reduction>,
    /// Contrastive and triplet losses: `cosine`, `euclidean` or `manhattan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// Contrastive losses: what negatives should be apart, 0.5. Triplet losses: by how much the negative should be farther, 5.
    /// GIST: by how much the guide must find a text farther than the positive for it to be a negative, 0.
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
    /// Any loss but softmax, mse and embed_distill: also on so many leading values of the vectors, each scaled to length 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matryoshka_dims: Option<Vec<usize>>,
    /// What the loss at each of them weighs; 1 when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matryoshka_weights: Option<Vec<f64>>,
    /// Any loss: how many of the lengths are drawn at each step; all when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_dims_per_step: Option<usize>,
    /// Any loss but contrastive tension: also at earlier layers, so that the last ones can be left out. With
    /// `matryoshka_dims` it is the 2D form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_layers: Option<LayerSettings>,
    /// Softmax: what the classifier sees: `vectors` (u, v), `difference` (|u - v|), `product` (u * v); the first two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Feature>>,
    /// Contrastive tension: one text of so many meets itself, 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_neg_ratio: Option<usize>,
    /// Any loss: texts of one forward pass. A batch is then cut into such passes, and its gradients are those of the whole
    /// batch all the same (GradCache), in the memory of one pass and the time of one more forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mini_batch_size: Option<usize>,
    /// Any loss: the same by tokens, which bounds memory where lengths differ; both together: whichever is reached first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mini_batch_tokens: Option<usize>,
    /// Other losses of the same batch, to be added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Term>,
}

/// A loss that is added to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// What it is multiplied by.
    pub weight: f64,
    /// The loss.
    pub loss: LossConfig,
}

impl LossName {
    /// Every loss.
    pub const ALL: [Self; 21] = [
        Self::MultipleNegativesRanking,
        Self::Gist,
        Self::MegaBatchMargin,
        Self::Triplet,
        Self::BatchAllTriplet,
        Self::BatchHardTriplet,
        Self::BatchHardSoftMarginTriplet,
        Self::BatchSemiHardTriplet,
        Self::CosineSimilarity,
        Self::Cosent,
        Self::Angle,
        Self::Contrastive,
        Self::OnlineContrastive,
        Self::Mse,
        Self::EmbedDistill,
        Self::MarginMse,
        Self::DistillKlDiv,
        Self::Softmax,
        Self::ContrastiveTension,
        Self::ContrastiveTensionInBatch,
        Self::GlobalOrthogonalRegularization,
    ];

    /// The name in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultipleNegativesRanking => "multiple_negatives_ranking",
            Self::Gist => "gist",
            Self::MegaBatchMargin => "mega_batch_margin",
            Self::Triplet => "triplet",
            Self::BatchAllTriplet => "batch_all_triplet",
            Self::BatchHardTriplet => "batch_hard_triplet",
            Self::BatchHardSoftMarginTriplet => "batch_hard_soft_margin_triplet",
            Self::BatchSemiHardTriplet => "batch_semi_hard_triplet",
            Self::CosineSimilarity => "cosine_similarity",
            Self::Cosent => "cosent",
            Self::Angle => "angle",
            Self::Contrastive => "contrastive",
            Self::OnlineContrastive => "online_contrastive",
            Self::Mse => "mse",
            Self::EmbedDistill => "embed_distill",
            Self::MarginMse => "margin_mse",
            Self::DistillKlDiv => "distill_kl_div",
            Self::Softmax => "softmax",
            Self::ContrastiveTension => "contrastive_tension",
            Self::ContrastiveTensionInBatch => "contrastive_tension_in_batch",
            Self::GlobalOrthogonalRegularization => "global_orthogonal_regularization",
        }
    }

    /// The keys of `[loss]` that mean something to it, beside those that mean something to every loss.
    pub fn keys(self) -> &'static [&'static str] {
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
                "in_batch_negatives",
            ],
            Self::MegaBatchMargin => &["positive_margin", "negative_margin"],
            Self::Triplet
            | Self::OnlineContrastive
            | Self::BatchAllTriplet
            | Self::BatchHardTriplet
            | Self::BatchSemiHardTriplet => &["distance", "margin"],
            Self::BatchHardSoftMarginTriplet => &["distance"],
            Self::CosineSimilarity => &[],
            Self::Cosent | Self::Angle => &["scale", "temperature"],
            Self::Contrastive => &["distance", "margin", "reduction"],
            Self::Gist => &[
                "guide",
                "scale",
                "temperature",
                "margin",
                "margin_strategy",
                "contrast_anchors",
                "contrast_positives",
                "in_batch_negatives",
            ],
            Self::Mse => &["teacher", "target"],
            Self::EmbedDistill => &["teacher", "target", "teacher_distance"],
            Self::MarginMse => &["teacher", "similarity"],
            Self::DistillKlDiv => {
                &["teacher", "similarity", "temperature", "student_temperature", "teacher_temperature"]
            }
            Self::Softmax => &["features"],
            Self::ContrastiveTension => &["pos_neg_ratio"],
            Self::ContrastiveTensionInBatch => &["scale", "temperature", "similarity"],
            Self::GlobalOrthogonalRegularization => &["mean_weight", "second_moment_weight", "aggregation"],
        }
    }
}

impl LossName {
    /// Whether it learns what a teacher gives to texts, who need not be there.
    pub(crate) fn learns_scores(self) -> bool {
        matches!(self, Self::MarginMse | Self::DistillKlDiv)
    }

    /// What ties it to all values of the vectors, if something does.
    fn needs_whole_vectors(self) -> Option<&'static str> {
        match self {
            Self::Softmax => Some("its classifier sees whole vectors"),
            Self::Mse | Self::EmbedDistill => Some("the teacher's vectors are whole"),
            _ => None,
        }
    }

    /// Whether it trains two encoders.
    fn has_twin(self) -> bool {
        matches!(self, Self::ContrastiveTension | Self::ContrastiveTensionInBatch)
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
        let positive = [
            ("scale", self.scale),
            ("temperature", self.temperature),
            ("student_temperature", self.student_temperature),
            ("teacher_temperature", self.teacher_temperature),
        ];
        for (key, value) in positive {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(format!("[loss] `{key}` is {value}, expected a positive number"));
            }
        }
        let margins = [
            ("margin", self.margin),
            ("positive_margin", self.positive_margin),
            ("negative_margin", self.negative_margin),
            ("hardness_strength", self.hardness_strength),
            ("mean_weight", self.mean_weight),
            ("second_moment_weight", self.second_moment_weight),
        ];
        for (key, value) in margins {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v >= 0.0)) {
                return Err(format!("[loss] `{key}` is {value}, expected 0 or more"));
            }
        }
        if let Some(key) = ["guide", "teacher"].into_iter().find(|key| keys.contains(key))
            && self.other_model().is_none()
            && !self.name.learns_scores()
        {
            return Err(format!("[loss] {name} needs `{key}`: the MODEL that it learns from"));
        }
        for (key, value) in
            [("mini_batch_size", self.mini_batch_size), ("mini_batch_tokens", self.mini_batch_tokens)]
        {
            if value == Some(0) {
                return Err(format!("[loss] `{key}` is 0, expected at least 1"));
            }
        }
        self.check_directions()?;
        self.check_owned()?;
        self.check_matryoshka()?;
        self.check_adaptive_layers()?;
        self.check_also()
    }

    /// The other encoder that this loss, without those added to it, learns from.
    fn other_model(&self) -> Option<&str> {
        self.guide.as_deref().or(self.teacher.as_deref())
    }

    /// The other encoder that it takes, the guide or teacher.
    pub fn guide_model(&self) -> Option<&str> {
        self.other_model().or_else(|| self.also.iter().find_map(|term| term.loss.other_model()))
    }

    fn check_also(&self) -> Result<(), String> {
        let names = self.also.iter().map(|term| term.loss.name).chain([self.name]);
        if names.filter(|name| *name == LossName::Softmax).count() > 1 {
            return Err("[loss] one softmax serves a batch; leave the others out".to_owned());
        }
        for term in &self.also {
            if !(term.weight.is_finite() && term.weight >= 0.0) {
                return Err(format!("[loss] a `weight` in `also` is {}, expected 0 or more", term.weight));
            }
            let of_all = &term.loss;
            let in_parts = of_all.mini_batch_size.or(of_all.mini_batch_tokens).is_some();
            if !of_all.also.is_empty() || in_parts || of_all.adaptive_layers.is_some() {
                return Err(
                    "[loss] `also`, `mini_batch_size`, `mini_batch_tokens` and `adaptive_layers` belong to \
                            the outer loss only"
                        .to_owned(),
                );
            }
            if self.name.has_twin() || of_all.name.has_twin() {
                return Err(
                    "[loss] contrastive tension stands alone, without `also`: it has two encoders".to_owned()
                );
            }
            term.loss.check()?;
            if term.loss.other_model().is_some_and(|model| self.guide_model() != Some(model)) {
                return Err(
                    "[loss] one guide or teacher serves all losses of a batch; name the same one".to_owned()
                );
            }
        }
        Ok(())
    }

    fn check_owned(&self) -> Result<(), String> {
        if let Some(features) = &self.features {
            let twice = |f: &Feature| features.iter().filter(|other| *other == f).count() > 1;
            if features.is_empty() || features.iter().any(twice) {
                return Err("[loss] `features` must be one or more of \"vectors\", \"difference\" and \"product\", each \
                            once"
                .to_owned());
            }
        }
        match self.pos_neg_ratio {
            Some(ratio @ 0..2) => Err(format!("[loss] `pos_neg_ratio` is {ratio}, expected 2 or more")),
            _ => Ok(()),
        }
    }

    fn check_adaptive_layers(&self) -> Result<(), String> {
        let Some(settings) = &self.adaptive_layers else { return Ok(()) };
        if self.name.has_twin() {
            return Err("[loss] `adaptive_layers` and contrastive tension exclude each other; leave one out"
                .to_owned());
        }
        let numbers = [
            ("last_layer_weight", settings.last_layer_weight),
            ("prior_layers_weight", settings.prior_layers_weight),
            ("kl_div_weight", settings.kl_div_weight),
            ("kl_temperature", settings.kl_temperature),
        ];
        match numbers.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            Some((key, value)) => {
                Err(format!("[loss.adaptive_layers] `{key}` is {value}, expected 0 or more"))
            }
            None => Ok(()),
        }
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
        if self.in_batch_negatives == Some(false) {
            let of_other_rows = [
                ("symmetric", self.symmetric == Some(true)),
                ("directions", self.directions.as_ref().is_some_and(|d| *d != [Direction::QueryToDoc])),
                ("hardness_mode", self.hardness_mode == Some(Hardness::InBatchNegatives)),
                ("contrast_anchors", self.contrast_anchors == Some(true)),
                ("contrast_positives", self.contrast_positives == Some(true)),
            ];
            if let Some((key, _)) = of_other_rows.iter().find(|(_, given)| *given) {
                return Err(format!(
                    "[loss] `{key}` is about texts of other rows, which `in_batch_negatives` = false switches off; leave \
                     one of them out"
                ));
            }
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
        match self.n_dims_per_step {
            Some(0) => return Err("[loss] `n_dims_per_step` is 0, expected at least 1".to_owned()),
            Some(_) if self.matryoshka_dims.is_none() => {
                return Err(
                    "[loss] `n_dims_per_step` draws from `matryoshka_dims`; give those too".to_owned()
                );
            }
            _ => (),
        }
        let (dims, weights) = match (&self.matryoshka_dims, &self.matryoshka_weights) {
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                return Err("[loss] `matryoshka_weights` weigh `matryoshka_dims`; give those too".to_owned());
            }
            (Some(dims), weights) => (dims, weights.as_deref().unwrap_or_default()),
        };
        if let Some(whole) = self.name.needs_whole_vectors() {
            return Err(format!(
                "[loss] `matryoshka_dims` and {} exclude each other: {whole}; leave one out",
                self.name.name()
            ));
        }
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
            ("in_batch_negatives", self.in_batch_negatives.is_some()),
            ("guide", self.guide.is_some()),
            ("teacher", self.teacher.is_some()),
            ("margin_strategy", self.margin_strategy.is_some()),
            ("contrast_anchors", self.contrast_anchors.is_some()),
            ("contrast_positives", self.contrast_positives.is_some()),
            ("teacher_distance", self.teacher_distance.is_some()),
            ("target", self.target.is_some()),
            ("student_temperature", self.student_temperature.is_some()),
            ("teacher_temperature", self.teacher_temperature.is_some()),
            ("mean_weight", self.mean_weight.is_some()),
            ("second_moment_weight", self.second_moment_weight.is_some()),
            ("aggregation", self.aggregation.is_some()),
            ("distance", self.distance.is_some()),
            ("margin", self.margin.is_some()),
            ("reduction", self.reduction.is_some()),
            ("positive_margin", self.positive_margin.is_some()),
            ("negative_margin", self.negative_margin.is_some()),
            ("features", self.features.is_some()),
            ("pos_neg_ratio", self.pos_neg_ratio.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }

    /// The loss these keys describe.
    pub fn build(&self) -> Loss {
        let mut terms = vec![(1.0, self.with_matryoshka())];
        terms.extend(self.also.iter().map(|term| (term.weight, term.loss.with_matryoshka())));
        let loss = match terms.as_slice() {
            [_] => terms.remove(0).1,
            _ => Loss::Sum(Sum(terms)),
        };
        match self.adaptive_layers {
            Some(settings) => Loss::AdaptiveLayers(AdaptiveLayers { loss: Box::new(loss), settings }),
            None => loss,
        }
    }

    fn with_matryoshka(&self) -> Loss {
        let loss = self.inner();
        let Some(dims) = &self.matryoshka_dims else { return loss };
        let weight = |at: usize| self.matryoshka_weights.as_ref().map_or(1.0, |weights| weights[at]);
        let cuts = dims.iter().enumerate().map(|(at, dim)| (*dim, weight(at))).collect();
        Loss::Matryoshka(Matryoshka { loss: Box::new(loss), cuts, n_dims_per_step: self.n_dims_per_step })
    }

    fn inner(&self) -> Loss {
        let usual = if self.name == LossName::Gist { 100.0 } else { 20.0 };
        let scale = self.scale.or(self.temperature.map(|t| 1.0 / t)).unwrap_or(usual);
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
            LossName::BatchAllTriplet => Loss::BatchTriplet(self.batch_triplet(Mining::All)),
            LossName::BatchHardTriplet => Loss::BatchTriplet(self.batch_triplet(Mining::Hard)),
            LossName::BatchHardSoftMarginTriplet => {
                Loss::BatchTriplet(self.batch_triplet(Mining::HardSoftMargin))
            }
            LossName::BatchSemiHardTriplet => Loss::BatchTriplet(self.batch_triplet(Mining::SemiHard)),
            LossName::CosineSimilarity => Loss::CosineSimilarity(CosineSimilarity),
            LossName::Cosent => Loss::Cosent(Cosent { scale }),
            LossName::Angle => Loss::Angle(Angle { scale }),
            LossName::Contrastive => Loss::Contrastive(contrastive),
            LossName::OnlineContrastive => Loss::OnlineContrastive(OnlineContrastive(contrastive)),
            LossName::Gist => Loss::Gist(Gist {
                scale,
                margin_strategy: self.margin_strategy.unwrap_or_default(),
                margin: self.margin.unwrap_or(0.0),
                contrast_anchors: self.contrast_anchors.unwrap_or(true),
                contrast_positives: self.contrast_positives.unwrap_or(true),
                in_batch_negatives: self.in_batch_negatives.unwrap_or(true),
            }),
            LossName::Mse | LossName::EmbedDistill => Loss::EmbedDistill(self.embed_distill()),
            LossName::MarginMse => Loss::MarginMse(MarginMse { similarity: self.scores() }),
            LossName::DistillKlDiv => {
                let both = self.temperature.unwrap_or(1.0);
                Loss::DistillKlDiv(DistillKlDiv {
                    similarity: self.scores(),
                    student_temperature: self.student_temperature.unwrap_or(both),
                    teacher_temperature: self.teacher_temperature.unwrap_or(both),
                })
            }
            LossName::Softmax => Loss::Softmax(Softmax {
                features: self.features.clone().unwrap_or(vec![Feature::Vectors, Feature::Difference]),
            }),
            LossName::ContrastiveTension => Loss::ContrastiveTension(ContrastiveTension {
                pos_neg_ratio: self.pos_neg_ratio.unwrap_or(8),
            }),
            LossName::ContrastiveTensionInBatch => {
                let similarity = self.similarity.unwrap_or_default();
                Loss::ContrastiveTensionInBatch(ContrastiveTensionInBatch { scale, similarity })
            }
            LossName::GlobalOrthogonalRegularization => Loss::Orthogonal(Orthogonal {
                mean_weight: self.mean_weight.unwrap_or(1.0),
                second_moment_weight: self.second_moment_weight.unwrap_or(1.0),
                aggregation: self.aggregation.unwrap_or_default(),
            }),
        }
    }

    fn batch_triplet(&self, mining: Mining) -> BatchTriplet {
        let distance = self.distance.unwrap_or(Distance::Euclidean);
        BatchTriplet { mining, distance, margin: self.margin.unwrap_or(5.0) }
    }

    fn embed_distill(&self) -> EmbedDistill {
        let usual = if self.name == LossName::Mse { TeacherDistance::Mse } else { TeacherDistance::Cosine };
        EmbedDistill {
            distance: self.teacher_distance.unwrap_or(usual),
            target: self.target.unwrap_or_default(),
        }
    }

    /// How distillation compares texts: by the dot product, as teachers are published.
    fn scores(&self) -> ScoreFunction {
        self.similarity.unwrap_or(ScoreFunction::Dot)
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
            in_batch_negatives: self.in_batch_negatives.unwrap_or(true),
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
        let named = [
            ("multiple_negatives_ranking", "symmetric = true"),
            ("mega_batch_margin", "positive_margin = 0.9"),
            ("triplet", "distance = \"manhattan\""),
            ("batch_all_triplet", "margin = 1.0"),
            ("batch_hard_triplet", "distance = \"cosine\""),
            ("batch_hard_soft_margin_triplet", "distance = \"manhattan\""),
            ("batch_semi_hard_triplet", "margin = 0.5"),
            ("cosine_similarity", "matryoshka_dims = [8, 4]"),
            ("cosent", "temperature = 0.1"),
            ("angle", "scale = 1.0"),
            ("contrastive", "reduction = \"sum\""),
            ("online_contrastive", "margin = 0.2"),
            ("gist", "guide = \"m\"\nmargin_strategy = \"relative\""),
            ("mse", "teacher = \"m\"\ntarget = \"anchor\""),
            ("embed_distill", "teacher = \"m\"\nteacher_distance = \"l2\""),
            ("margin_mse", "teacher = \"m\"\nsimilarity = \"cosine\""),
            ("distill_kl_div", "teacher = \"m\"\nteacher_temperature = 2.0"),
            ("softmax", "features = [\"vectors\", \"product\"]"),
            ("contrastive_tension", "pos_neg_ratio = 4"),
            ("contrastive_tension_in_batch", "similarity = \"dot\""),
            ("global_orthogonal_regularization", "mean_weight = 0.5"),
        ];
        assert_eq!(named.len(), LossName::ALL.len());
        for (name, key) in named {
            let config: LossConfig = toml::from_str(&format!("name = {name:?}\n{key}")).unwrap();
            assert_eq!(config.check(), Ok(()), "{name}");
            assert_eq!(config.name.name(), name);
            assert!(LossName::ALL.contains(&config.name));
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
            ("in_batch_negatives = false\nsymmetric = true", "switches off"),
            ("name = \"cosent\"\nin_batch_negatives = false", "means nothing to cosent"),
            ("matryoshka_weights = [1.0]", "give those too"),
            ("matryoshka_dims = [8, 0]", "one or more numbers"),
            ("matryoshka_dims = [8, 4]\nmatryoshka_weights = [1.0]", "give one for each"),
            ("name = \"softmax\"\nmatryoshka_dims = [8]", "`matryoshka_dims` and softmax exclude each other"),
            ("name = \"mse\"\nteacher = \"m\"\nmatryoshka_dims = [8]", "the teacher's vectors are whole"),
            (
                "also = [{ weight = 1.0, loss = { name = \"embed_distill\", teacher = \"m\", matryoshka_dims = [8] } }]",
                "`matryoshka_dims` and embed_distill exclude",
            ),
            (
                "also = [{ weight = 1.0, loss = { name = \"softmax\", matryoshka_dims = [8] } }]",
                "its classifier sees whole vectors",
            ),
            (
                "also = [{ weight = 1.0, loss = { name = \"softmax\" } }, { weight = 2.0, loss = { name = \"softmax\" } }]",
                "one softmax serves a batch",
            ),
            ("name = \"triplet\"\nmargin = -1.0", "expected 0 or more"),
            ("name = \"gist\"", "needs `guide`"),
            ("name = \"embed_distill\"", "needs `teacher`"),
            ("mini_batch_size = 0", "at least 1"),
            ("mini_batch_tokens = 0", "`mini_batch_tokens` is 0"),
            ("n_dims_per_step = 2", "give those too"),
            ("name = \"softmax\"\nfeatures = [\"product\", \"product\"]", "each once"),
            ("name = \"contrastive_tension\"\npos_neg_ratio = 1", "2 or more"),
            ("name = \"contrastive_tension\"\nadaptive_layers = {}", "exclude each other"),
            ("name = \"contrastive_tension\"\nalso = [{ weight = 1.0, loss = {} }]", "stands alone"),
            ("adaptive_layers = { kl_temperature = -1.0 }", "expected 0 or more"),
            ("also = [{ weight = -1.0, loss = {} }]", "expected 0 or more"),
            ("also = [{ weight = 1.0, loss = { mini_batch_size = 2 } }]", "outer loss only"),
            (
                "name = \"gist\"\nguide = \"a\"\nalso = [{ weight = 1.0, loss = { name = \"mse\", teacher = \"b\" } }]",
                "the same one",
            ),
        ] {
            let problem = problem(table);
            assert!(problem.contains(expected), "{table}: {problem}");
        }
    }
}
