//! Contrastive tension (Carlsson et al., 2021): two encoders, alike at first, learn to agree on equal texts and to
//! disagree on others. No labels and no pairs are needed: a text is its own positive.
//!
//! The first column goes through the twin, which the loss owns, the second through the encoder, which alone is kept.
//! With the dot product s and `y = 1` for equal texts, else 0: `sum_i softplus(s_i) - y_i s_i`, where every
//! `pos_neg_ratio`-th text of a batch meets itself and the others the text before them. In batch: the mean of the
//! cross-entropies of `scale * cos(twin_i, encoder_j)` by rows and by columns, with a scale that is trained. Columns:
//! the same text twice. References: sentence-transformers' `ContrastiveTensionLoss` and
//! `ContrastiveTensionLossInBatchNegatives`.

use burn::module::Param;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Int, Tensor, TensorData};
use temper_data::{Examples, Kind};
use temper_kernels::normalize;

use super::{Given, LossInput, Objective, Owned, ScoreFunction, in_batch, mask, needs};

/// Settings of the form by pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContrastiveTension {
    /// One text of so many meets itself.
    pub pos_neg_ratio: usize,
}

/// Settings of the form with in-batch negatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContrastiveTensionInBatch {
    /// Factor on similarities at the first step.
    pub scale: f64,
    /// How texts are compared.
    pub similarity: ScoreFunction,
}

impl ContrastiveTension {
    /// # Shapes
    /// - columns: two of `[batch, dim]`: the twin's, the encoder's
    /// - text_ids: two of `[batch]`, equal exactly where texts are equal
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, text_ids: &[Vec<u64>]) -> Tensor<1> {
        let [twin, encoder] = columns.try_into().expect("this is a bug: texts have two columns");
        let device = twin.device();
        let other = |i: usize| if i.is_multiple_of(self.pos_neg_ratio) { i } else { i - 1 };
        let others: Vec<usize> = (0..twin.dims()[0]).map(other).collect();
        let same = |(i, j): (usize, &usize)| f32::from(u8::from(text_ids[0][i] == text_ids[1][*j]));
        let same: Vec<f32> = others.iter().enumerate().map(same).collect();
        let indices: Vec<i64> = others.iter().map(|j| *j as i64).collect();
        let batch = indices.len();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [batch]), &device);
        let scores: Tensor<1> = (twin * encoder.select(0, indices)).sum_dim(1).squeeze_dim(1);
        let softplus = relu(scores.clone()) + scores.clone().abs().neg().exp().log1p();
        (softplus - scores * Tensor::from_floats(same.as_slice(), &device)).sum()
    }
}

impl ContrastiveTensionInBatch {
    /// # Shapes
    /// - columns: two of `[batch, dim]`: the twin's, the encoder's
    /// - logit_scale: `[1]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, logit_scale: Tensor<1>) -> Tensor<1> {
        let columns = columns.into_iter().map(|column| match self.similarity {
            ScoreFunction::Cosine => normalize(column),
            ScoreFunction::Dot => column,
        });
        let [twin, encoder] =
            columns.collect::<Vec<_>>().try_into().expect("this is a bug: texts have two columns");
        let scores = twin.matmul(encoder.transpose()) * logit_scale.exp().unsqueeze_dim::<2>(0);
        let [batch, _] = scores.dims();
        let own = mask([batch, batch], |i, j| f32::from(u8::from(i == j)), &scores.device());
        let both = log_softmax(scores.clone(), 0) + log_softmax(scores, 1);
        (both * own).sum().div_scalar(-2.0 * batch as f64)
    }
}

impl Objective for ContrastiveTension {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(kind == Kind::Pairs, "contrastive_tension learns from texts", kind)
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        each_twice(given.dataset)?;
        owned.twin = Some(given.encoder.network.clone());
        Ok(())
    }

    fn has_twin(&self) -> bool {
        true
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, &input.text_ids)
    }
}

impl Objective for ContrastiveTensionInBatch {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs(kind == Kind::Pairs, "contrastive_tension_in_batch learns from texts", kind)
    }

    fn negatives_per_anchor(&self, batch: usize, kind: Kind) -> Option<usize> {
        Some(in_batch(batch, kind))
    }

    fn own(&self, owned: &mut Owned, given: &Given<'_>) -> Result<(), String> {
        each_twice(given.dataset)?;
        owned.twin = Some(given.encoder.network.clone());
        let scale = Tensor::from_floats([self.scale.ln() as f32], &given.encoder.device());
        owned.logit_scale = Some(Param::from_tensor(scale));
        Ok(())
    }

    fn has_twin(&self) -> bool {
        true
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        let scale = input.owned.logit_scale.as_ref().expect("this is a bug: no scale");
        self.forward(input.columns, scale.val())
    }
}

/// A text is its own positive.
fn each_twice(examples: &Examples) -> Result<(), String> {
    let differ = |index: &usize| {
        let texts = examples.texts().example(*index);
        texts[0] != texts[1]
    };
    match (0..examples.len()).find(differ) {
        None => Ok(()),
        Some(index) => Err(format!(
            "contrastive tension learns from texts alone, but {} has two that differ; name one column twice in \
             [data.columns], as in anchor = \"text\", positive = \"text\"",
            examples.place(index)
        )),
    }
}
