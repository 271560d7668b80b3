//! AnglE (Li and Li, 2024): CoSENT with a score that does not saturate as the cosine does.
//!
//! The score of a pair is `|sum_k re_k + im_k|` of `a conj(b)`, where a vector of length 1 is read as complex numbers, its
//! first half their real parts and its second half their imaginary ones. Columns: two sentences; labels of any range,
//! only their order counts. Reference: sentence-transformers' `AnglELoss`.

use burn::tensor::Tensor;
use temper_data::Kind;
use temper_kernels::normalize;

use super::{LossInput, Objective, needs_scored};

/// Settings of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Angle {
    /// Factor on scores.
    pub scale: f64,
}

impl Angle {
    /// # Shapes
    /// - columns: two of `[batch, dim]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>, labels: &[f32]) -> Tensor<1> {
        let [a, b] = columns.try_into().expect("this is a bug: scored pairs have two columns");
        super::cosent::of_scores(scores(normalize(a), normalize(b)), labels, self.scale)
    }
}

impl Objective for Angle {
    fn accepts(&self, kind: Kind) -> Result<(), String> {
        needs_scored(kind)
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns, &input.labels)
    }
}

fn scores(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let cosines = (a.clone() * b.clone()).sum_dim(1);
    let ([a_re, a_im], [b_re, b_im]) = (halves(a), halves(b));
    let sines = (a_im * b_re - a_re * b_im).sum_dim(1);
    (cosines + sines).abs().squeeze_dim(1)
}

/// Real and imaginary parts; of an odd number of values the last is real and alone.
fn halves(x: Tensor<2>) -> [Tensor<2>; 2] {
    let [batch, dim] = x.dims();
    let half = dim.div_ceil(2);
    let last = x.clone().narrow(1, half, dim - half);
    let last = match dim % 2 {
        0 => last,
        _ => Tensor::cat(vec![last, Tensor::zeros([batch, 1], &x.device())], 1),
    };
    [x.narrow(1, 0, half), last]
}
