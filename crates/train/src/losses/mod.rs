//! What is minimised. A loss is one file with a pure function of pooled vectors (and labels); this file holds the
//! closed set and what each member needs, `config.rs` how a person asks for it.

pub mod angle;
mod config;
pub mod contrastive;
pub mod cosent;
pub mod cosine_similarity;
pub mod distance;
pub mod embed_distill;
pub mod gist;
pub mod matryoshka;
pub mod mega_batch_margin;
pub mod multiple_negatives_ranking;
pub mod orthogonal;
pub mod score_distill;
pub mod triplet;

use burn::tensor::{Device, Tensor, TensorData};
use temper_data::Kind;

pub use config::{LossConfig, LossName, Term};
pub use contrastive::{Contrastive, Reduction};
pub use distance::Distance;
pub use embed_distill::{EmbedDistill, Target, TeacherDistance};
pub use gist::{Gist, MarginStrategy};
pub use matryoshka::Matryoshka;
pub use mega_batch_margin::MegaBatchMargin;
pub use multiple_negatives_ranking::{
    Direction, Hardness, MultipleNegativesRanking, Partition, ScoreFunction,
};
pub use orthogonal::Orthogonal;
pub use score_distill::{DistillKlDiv, MarginMse};
pub use triplet::Triplet;

/// Added to a score that does not count: `exp` of it is nothing beside any other.
const EXCLUDED: f32 = -1e9;

/// A loss ready to be computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Loss {
    /// See [`multiple_negatives_ranking`].
    MultipleNegativesRanking(MultipleNegativesRanking),
    /// See [`gist`].
    Gist(Gist),
    /// See [`mega_batch_margin`].
    MegaBatchMargin(MegaBatchMargin),
    /// See [`triplet`].
    Triplet(Triplet),
    /// See [`cosine_similarity`].
    CosineSimilarity,
    /// See [`cosent`]; the field is the scale.
    Cosent(f64),
    /// See [`angle`]; the field is the scale.
    Angle(f64),
    /// See [`contrastive`].
    Contrastive(Contrastive),
    /// See [`contrastive`].
    OnlineContrastive(Contrastive),
    /// See [`embed_distill`].
    EmbedDistill(EmbedDistill),
    /// See [`score_distill`].
    MarginMse(MarginMse),
    /// See [`score_distill`].
    DistillKlDiv(DistillKlDiv),
    /// See [`orthogonal`].
    Orthogonal(Orthogonal),
    /// See [`matryoshka`].
    Matryoshka(Matryoshka),
    /// Losses of the same batch, added up with weights.
    Sum(Vec<(f64, Loss)>),
}

/// What a loss sees of one batch.
#[derive(Clone)]
pub struct LossInput {
    /// One `[batch, dim]` matrix a column.
    pub columns: Vec<Tensor<2>>,
    /// One label an example, for scored pairs.
    pub labels: Vec<f32>,
    /// One number a text, equal exactly where texts are equal, `[columns][batch]`.
    pub text_ids: Vec<Vec<u64>>,
    /// One `[batch, guide_dim]` matrix a column: what the loss's guide or teacher makes of the same texts, if it has one.
    pub guide: Vec<Tensor<2>>,
}

impl Loss {
    /// Whether examples of this kind can be learned from, or what to do instead.
    pub fn accepts(&self, kind: Kind) -> Result<(), String> {
        let other = |name: &str| match kind {
            Kind::Scored => format!(
                "{name}, but the data has scored pairs; use loss.name = \"cosent\" (or map only anchor and positive in \
                 [data.columns])"
            ),
            Kind::Pairs | Kind::Triplets { .. } => format!(
                "{name}, but the data has {}; use loss.name = \"multiple_negatives_ranking\"",
                kind.name()
            ),
        };
        match (self, kind) {
            (Self::Matryoshka(wrapper), _) => wrapper.loss.accepts(kind),
            (Self::Sum(terms), _) => terms.iter().try_for_each(|(_, loss)| loss.accepts(kind)),
            (
                Self::MultipleNegativesRanking(_) | Self::Gist(_) | Self::EmbedDistill(_),
                Kind::Pairs | Kind::Triplets { .. },
            )
            | (Self::Orthogonal(_), _)
            | (Self::MegaBatchMargin(_), Kind::Pairs)
            | (Self::MarginMse(_) | Self::DistillKlDiv(_), Kind::Triplets { .. })
            | (Self::Triplet(_), Kind::Triplets { negatives: 1 })
            | (
                Self::CosineSimilarity
                | Self::Cosent(_)
                | Self::Angle(_)
                | Self::Contrastive(_)
                | Self::OnlineContrastive(_),
                Kind::Scored,
            ) => Ok(()),
            (Self::MultipleNegativesRanking(_) | Self::Gist(_) | Self::EmbedDistill(_), Kind::Scored) => {
                Err(other("this loss learns from pairs or triplets"))
            }
            (Self::MarginMse(_) | Self::DistillKlDiv(_), _) => Err(other("this loss learns from triplets")),
            (Self::MegaBatchMargin(_), _) => Err(other("mega_batch_margin learns from pairs")),
            (Self::Triplet(_), _) => Err(other("triplet learns from triplets with one negative")),
            (_, _) => Err(other("this loss learns from scored pairs")),
        }
    }

    /// Labels outside this range can never be met.
    pub fn label_range(&self) -> Option<(f32, f32)> {
        match self {
            Self::CosineSimilarity => Some((-1.0, 1.0)),
            Self::Contrastive(_) | Self::OnlineContrastive(_) => Some((0.0, 1.0)),
            Self::Matryoshka(wrapper) => wrapper.loss.label_range(),
            Self::Sum(terms) => terms.iter().find_map(|(_, loss)| loss.label_range()),
            _ => None,
        }
    }

    /// Whether vectors of `dim` values, beside a guide's or teacher's of `guide_dim`, can be learned from, or what to do
    /// instead.
    pub fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        match (self, guide_dim) {
            (Self::Matryoshka(wrapper), _) => wrapper.fits(dim),
            (Self::Sum(terms), _) => terms.iter().try_for_each(|(_, loss)| loss.fits(dim, guide_dim)),
            (Self::EmbedDistill(_), Some(teacher)) if teacher != dim => Err(format!(
                "the teacher's vectors have {teacher} values and the model's {dim}; take a teacher of the same size, or \
                 learn its scores instead: loss.name = \"distill_kl_div\""
            )),
            _ => Ok(()),
        }
    }

    /// The loss of one batch, `[1]`.
    pub fn forward(&self, input: LossInput) -> Tensor<1> {
        let LossInput { columns, labels, text_ids, guide } = input;
        match self {
            Self::MultipleNegativesRanking(loss) => loss.forward(columns, &text_ids),
            Self::Gist(loss) => loss.forward(columns, guide),
            Self::EmbedDistill(loss) => loss.forward(columns, guide),
            Self::MarginMse(loss) => loss.forward(&columns, &guide),
            Self::DistillKlDiv(loss) => loss.forward(&columns, &guide),
            Self::Orthogonal(loss) => loss.forward(columns),
            Self::MegaBatchMargin(loss) => loss.forward(columns),
            Self::Triplet(loss) => loss.forward(columns),
            Self::CosineSimilarity => cosine_similarity::forward(columns, &labels),
            Self::Cosent(scale) => cosent::forward(columns, &labels, *scale),
            Self::Angle(scale) => angle::forward(columns, &labels, *scale),
            Self::Contrastive(loss) => loss.forward(columns, &labels),
            Self::OnlineContrastive(loss) => loss.forward_online(columns, &labels),
            Self::Matryoshka(wrapper) => wrapper.forward(&LossInput { columns, labels, text_ids, guide }),
            Self::Sum(terms) => {
                let input = LossInput { columns, labels, text_ids, guide };
                let terms =
                    terms.iter().map(|(weight, loss)| loss.forward(input.clone()).mul_scalar(*weight));
                terms.reduce(|a, b| a + b).expect("this is a bug: a sum without terms")
            }
        }
    }

    /// Candidates that each anchor is told apart from in a full batch, or none.
    pub fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        match self {
            Self::MultipleNegativesRanking(_) | Self::Gist(_) | Self::MegaBatchMargin(_) => {
                Some(batch * (kind.columns() - 1) - 1)
            }
            Self::Matryoshka(wrapper) => wrapper.loss.negatives_per_anchor(batch, kind),
            Self::Sum(terms) => {
                terms.iter().filter_map(|(_, loss)| loss.negatives_per_anchor(batch, kind)).max()
            }
            _ => None,
        }
    }
}

/// The cosine of every row of `a` with the same row of `b`, `[batch]`.
fn pairwise_cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    (temper_kernels::normalize(a) * temper_kernels::normalize(b)).sum_dim(1).squeeze_dim(1)
}

/// A constant matrix of what `value` says of each row and column.
fn mask(shape: [usize; 2], value: impl Fn(usize, usize) -> f32, device: &Device) -> Tensor<2> {
    let values: Vec<f32> =
        (0..shape[0]).flat_map(|i| (0..shape[1]).map(move |j| (i, j))).map(|(i, j)| value(i, j)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
