//! Distillation of scores: how much better the positive is than each negative, as a teacher sees it.
//!
//! Margin MSE (Hofstaetter et al., 2020): `mean_ij ((s(a_i, p_i) - s(a_i, n_ij)) - (t(a_i, p_i) - t(a_i, n_ij)))^2`.
//! KL divergence (Lin et al., 2021): `T_s^2 * mean_i KL(softmax(t_i / T_t) || softmax(s_i / T_s))` over positive and
//! negatives. s is the score of the encoder in training, t that of the teacher, which is there or has left its scores in the
//! data. Columns: anchor, positive, one or more negatives; labels: none, or the teacher's scores. References:
//! sentence-transformers' `MarginMSELoss` and `DistillKLDivLoss`.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};

use temper_data::Kind;

use super::{LossInput, Objective, ScoreFunction, needs, pairwise_cosine};

/// Settings of margin MSE.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginMse {
    /// How two texts are compared, by either encoder.
    pub similarity: ScoreFunction,
}

/// Settings of the KL divergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DistillKlDiv {
    /// How two texts are compared, by either encoder.
    pub similarity: ScoreFunction,
    /// What the scores of the encoder in training are divided by.
    pub student_temperature: f64,
    /// What the teacher's are divided by.
    pub teacher_temperature: f64,
}

/// The score of each other column against the anchors.
///
/// # Shapes
/// - columns: `[batch, dim]` each: anchor, then `candidates`
/// - output: `[batch, candidates]`
fn scores(columns: &[Tensor<2>], similarity: ScoreFunction) -> Tensor<2> {
    let anchor = &columns[0];
    let score = |candidate: &Tensor<2>| match similarity {
        ScoreFunction::Cosine => pairwise_cosine(anchor.clone(), candidate.clone()).unsqueeze_dim(1),
        ScoreFunction::Dot => (anchor.clone() * candidate.clone()).sum_dim(1),
    };
    Tensor::cat(columns[1..].iter().map(score).collect(), 1)
}

/// How much more the positive scores than each negative.
///
/// # Shapes
/// - scores: `[batch, 1 + negatives]`
/// - output: `[batch, negatives]`
fn margins(scores: Tensor<2>) -> Tensor<2> {
    let negatives = scores.dims()[1] - 1;
    scores.clone().narrow(1, 0, 1) - scores.narrow(1, 1, negatives)
}

/// What the teacher gives, `[batch, 1 + negatives]`: now, or in the data.
fn of_teacher(input: &LossInput<'_>, similarity: ScoreFunction) -> Tensor<2> {
    if !input.guide.is_empty() {
        return scores(&input.guide, similarity);
    }
    let shape = [input.columns[0].dims()[0], input.columns.len() - 1];
    Tensor::from_data(TensorData::new(input.labels.clone(), shape), &input.columns[0].device())
}

impl MarginMse {
    /// # Shapes
    /// - columns: `[batch, dim]` each: anchor, positive, negatives
    /// - teacher: `[batch, negatives]`, its margins
    /// - output: `[1]`
    pub fn of_margins(&self, columns: &[Tensor<2>], teacher: Tensor<2>) -> Tensor<1> {
        (margins(scores(columns, self.similarity)) - teacher).powi_scalar(2).mean()
    }
}

impl DistillKlDiv {
    /// # Shapes
    /// - columns: `[batch, dim]` each: anchor, positive, negatives
    /// - teacher: `[batch, 1 + negatives]`, its scores
    /// - output: `[1]`
    pub fn of_scores(&self, columns: &[Tensor<2>], teacher: Tensor<2>) -> Tensor<1> {
        let student = log_softmax(scores(columns, self.similarity).div_scalar(self.student_temperature), 1);
        let teacher = teacher.div_scalar(self.teacher_temperature);
        let (batch, wanted) = (teacher.dims()[0] as f64, softmax(teacher.clone(), 1));
        let difference = log_softmax(teacher, 1) - student;
        (wanted * difference).sum().mul_scalar(self.student_temperature.powi(2) / batch)
    }
}

impl Objective for MarginMse {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(matches!(kind, Kind::Triplets { .. }), "this loss learns from triplets", kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.of_margins(&input.columns, margins(of_teacher(&input, self.similarity)))
    }
}

impl Objective for DistillKlDiv {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(matches!(kind, Kind::Triplets { .. }), "this loss learns from triplets", kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.of_scores(&input.columns, of_teacher(&input, self.similarity))
    }
}
