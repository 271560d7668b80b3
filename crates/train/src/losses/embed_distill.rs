//! Embedding distillation (Reimers and Gurevych, 2020): every vector like that of a teacher.
//!
//! `mean over columns of mean_i d(x_i, teacher_i)`, where d is the mean squared difference of the values (`mse`), the
//! Euclidean distance (`l2`) or `1 - cos` (`cosine`). Columns: any; no labels. References: sentence-transformers'
//! `MSELoss` and `EmbedDistillLoss`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use temper_data::Kind;

use super::{LossInput, Objective, needs_pairs_or_triplets, pairwise_cosine};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmbedDistill {
    /// How a vector differs from the teacher's.
    pub distance: TeacherDistance,
    /// Whose vector each text should have.
    pub target: Target,
}

/// How a vector differs from the teacher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeacherDistance {
    /// The mean squared difference of the values.
    Mse,
    /// The Euclidean distance.
    L2,
    /// `1 - cos`
    Cosine,
}

/// Whose vector each text should have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// What the teacher makes of the text itself.
    #[default]
    Own,
    /// What it makes of the anchor, of which the other texts are translations.
    Anchor,
}

impl EmbedDistill {
    /// # Shapes
    /// - columns: `[batch, dim]` each
    /// - teacher: `[batch, dim]` each, what the teacher makes of the same texts
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, teacher: Vec<Tensor<2>>) -> Tensor<1> {
        let count = columns.len() as f64;
        let losses = columns.into_iter().enumerate().map(|(at, column)| {
            let target = match self.target {
                Target::Own => teacher[at].clone(),
                Target::Anchor => teacher[0].clone(),
            };
            match self.distance {
                TeacherDistance::Mse => (column - target).powi_scalar(2).mean(),
                TeacherDistance::L2 => (column - target).powi_scalar(2).sum_dim(1).sqrt().mean(),
                TeacherDistance::Cosine => pairwise_cosine(column, target).neg().add_scalar(1.0).mean(),
            }
        });
        losses.reduce(|a, b| a + b).expect("this is a bug: a loss without columns").div_scalar(count)
    }
}

impl Objective for EmbedDistill {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_pairs_or_triplets(kind)
    }

    fn fits(&self, dim: usize, guide_dim: Option<usize>) -> Result<(), String> {
        match guide_dim {
            Some(teacher) if teacher != dim => Err(format!(
                "the teacher's vectors have {teacher} values and the model's {dim}; take a teacher of the same size, or \
                 learn its scores instead: loss.name = \"distill_kl_div\""
            )),
            _ => Ok(()),
        }
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, input.guide)
    }
}
