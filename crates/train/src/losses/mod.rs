//! What is minimised. A loss is one file: its settings, a pure function of pooled vectors (and labels), and what it says
//! of itself ([`Objective`]). This file lists them; `config.rs` is how a person asks for one.

pub mod adaptive_layers;
pub mod angle;
pub mod batch_triplet;
mod config;
pub mod contrastive;
pub mod contrastive_tension;
pub mod cosent;
pub mod cosine_similarity;
pub mod distance;
pub mod embed_distill;
pub mod gist;
pub mod matryoshka;
pub mod mega_batch_margin;
pub mod multiple_negatives_ranking;
pub mod orthogonal;
pub mod owned;
pub mod score_distill;
pub mod softmax;
pub mod sum;
pub mod triplet;

use burn::tensor::{Device, Tensor, TensorData};
use temper_data::Kind;

pub use adaptive_layers::{AdaptiveLayers, LayerWeighting};
pub use angle::Angle;
pub use batch_triplet::{BatchTriplet, Mining};
pub use config::{LossConfig, LossName, Term};
pub use contrastive::{Contrastive, OnlineContrastive, Reduction};
pub use contrastive_tension::{ContrastiveTension, ContrastiveTensionInBatch};
pub use cosent::Cosent;
pub use cosine_similarity::CosineSimilarity;
pub use distance::Distance;
pub use embed_distill::{EmbedDistill, Target, TeacherDistance};
pub use gist::{Gist, MarginStrategy};
pub use matryoshka::Matryoshka;
pub use mega_batch_margin::MegaBatchMargin;
pub use multiple_negatives_ranking::{
    Direction, Hardness, MultipleNegativesRanking, Partition, ScoreFunction,
};
pub use orthogonal::Orthogonal;
pub use owned::{Given, Owned};
pub use score_distill::{DistillKlDiv, MarginMse};
pub use softmax::{Classifier, Feature, Softmax};
pub use sum::Sum;
pub use triplet::Triplet;

/// Added to a score that does not count: `exp` of it is nothing beside any other.
const EXCLUDED: f32 = -1e9;

/// What a loss says of itself; the rest of temper asks nothing else.
pub trait Objective {
    /// Whether examples of this kind can be learned from, or what to do instead.
    fn accepts(&self, kind: Kind) -> Result<(), String>;

    /// The loss of one batch, `[1]`.
    fn forward(&self, input: LossInput<'_>) -> Tensor<1>;

    /// Labels outside this range can never be met.
    fn label_range(&self) -> Option<(f32, f32)> {
        None
    }

    /// Whether vectors of `dim` values, beside a guide's or teacher's of `guide_dim`, can be learned from, or what to do
    /// instead.
    fn fits(&self, _dim: usize, _guide_dim: Option<usize>) -> Result<(), String> {
        Ok(())
    }

    /// Candidates that each anchor is told apart from in a full batch, or none.
    fn negatives_per_anchor(&self, _batch: usize, _kind: Kind) -> Option<usize> {
        None
    }

    /// Makes the parameters that it owns, or says why it cannot learn from what the run has.
    fn own(&self, _owned: &mut Owned, _given: &Given<'_>) -> Result<(), String> {
        Ok(())
    }

    /// Whether the anchors go through the twin of the encoder that it owns.
    fn has_twin(&self) -> bool {
        false
    }

    /// The layers, by the number of blocks before them, whose vectors it wants beside the last one's; `draw` decides
    /// what is left to chance.
    fn layers(&self, _draw: u64, _blocks: usize) -> Vec<usize> {
        Vec::new()
    }
}

/// What a loss sees of one batch.
#[derive(Clone)]
pub struct LossInput<'a> {
    /// One `[batch, dim]` matrix a column.
    pub columns: Vec<Tensor<2>>,
    /// The same of the layers that it asked for, with their numbers.
    pub layers: Vec<(usize, Vec<Tensor<2>>)>,
    /// One label an example: the score of scored pairs, the number of the class of labelled texts and classified pairs.
    /// Or a teacher's scores of positive and negatives, example after example, where the data has them.
    pub labels: Vec<f32>,
    /// One number a text, equal exactly where texts are equal, `[columns][batch]`.
    pub text_ids: Vec<Vec<u64>>,
    /// One `[batch, guide_dim]` matrix a column: what the loss's guide or teacher makes of the same texts, if it has one.
    pub guide: Vec<Tensor<2>>,
    /// The parameters of the losses.
    pub owned: &'a Owned,
    /// The key of what is left to chance: a function of seed, step and batch.
    pub draw: u64,
}

/// Lists the losses.
macro_rules! losses {
    ($($Name:ident),+ $(,)?) => {
        /// A loss ready to be computed.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Loss {
            $(
                #[doc = concat!("See [`", stringify!($Name), "`].")]
                $Name($Name),
            )+
        }

        impl Loss {
            fn objective(&self) -> &dyn Objective {
                match self {
                    $(Self::$Name(loss) => loss,)+
                }
            }
        }
    };
}

losses! {
    AdaptiveLayers,
    Angle,
    BatchTriplet,
    Contrastive,
    ContrastiveTension,
    ContrastiveTensionInBatch,
    Cosent,
    CosineSimilarity,
    DistillKlDiv,
    EmbedDistill,
    Gist,
    MarginMse,
    Matryoshka,
    MegaBatchMargin,
    MultipleNegativesRanking,
    OnlineContrastive,
    Orthogonal,
    Softmax,
    Sum,
    Triplet,
}

impl Objective for Loss {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        self.objective().accepts(kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.objective().forward(input)
    }

    fn label_range(&self) -> Option<(f32, f32)> {
        self.objective().label_range()
    }

    fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        self.objective().fits(dim, guide_dim)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        self.objective().negatives_per_anchor(batch, kind)
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        self.objective().own(owned, given)
    }

    fn has_twin(&self) -> bool {
        self.objective().has_twin()
    }

    fn layers(&self, draw: u64, blocks: usize) -> Vec<usize> {
        self.objective().layers(draw, blocks)
    }
}

/// `Err` of what a loss learns from, unless the data has it.
fn needs(met: bool, what: &str, kind: Kind) -> Result<(), String> {
    match kind {
        _ if met => Ok(()),
        Kind::Scored => Err(format!(
            "{what}, but the data has scored pairs; use loss.name = \"cosent\" (or map only anchor and positive in \
             [data.columns])"
        )),
        Kind::ClassifiedPairs => Err(format!(
            "{what}, but the data has classified pairs; use loss.name = \"softmax\" (or keep the rows whose texts belong \
             together, and map only anchor and positive in [data.columns])"
        )),
        Kind::Labelled => Err(format!(
            "{what}, but the data has labelled texts; use loss.name = \"batch_hard_soft_margin_triplet\" (or name the \
             columns of two texts in [data.columns])"
        )),
        Kind::Pairs | Kind::Triplets { .. } => Err(format!(
            "{what}, but the data has {}; use loss.name = \"multiple_negatives_ranking\"",
            kind.name()
        )),
    }
}

fn needs_pairs_or_triplets(kind: Kind) -> Result<(), String> {
    let met = matches!(kind, Kind::Pairs | Kind::Triplets { .. });
    needs(met, "this loss learns from pairs or triplets", kind)
}

/// Negatives of its own, where those of other rows are switched off.
fn needs_own_negatives(in_batch_negatives: bool, kind: Kind) -> Result<(), String> {
    if in_batch_negatives || kind.columns() > 2 {
        return Ok(());
    }
    Err(format!(
        "loss.in_batch_negatives = false leaves {} without any negative; give the data a column of negatives (`temper \
         mine` finds some), or leave the key out",
        kind.name()
    ))
}

fn needs_scored(kind: Kind) -> Result<(), String> {
    needs(kind == Kind::Scored, "this loss learns from scored pairs", kind)
}

/// Candidates of an anchor where all documents of the batch are.
fn in_batch(batch: usize, kind: Kind) -> usize {
    batch * (kind.columns() - 1) - 1
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
