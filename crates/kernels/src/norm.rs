//! LayerNorm of single rows, shared by the ops that end in one.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::dropout::Sampler;
use crate::fused::{elements, tensor};
use crate::math;
use crate::rows::{CHUNK, add_in_order};
use crate::simd::vectorised;

/// What the backward pass of LayerNorm needs.
pub(crate) struct Normalised {
    /// Rows of mean 0 and variance 1, before gamma and beta.
    pub(crate) rows: Vec<f32>,
    /// For each row, one over its standard deviation.
    pub(crate) inverse: Vec<f32>,
}

impl Normalised {
    /// Buffers for so many rows.
    pub(crate) fn new(rows: usize, width: usize) -> Self {
        Self { rows: vec![0.0; rows * width], inverse: vec![0.0; rows] }
    }

    /// Turns the output's gradient, in place, into that of the rows that were normalised; returns those of gamma and
    /// beta. `dropout` acted on the output.
    pub(crate) fn backward(
        &self,
        gradient: &mut [f32],
        gamma: &[f32],
        dropout: Option<Sampler>,
    ) -> [Vec<f32>; 2] {
        let width = gamma.len();
        let chunks = gradient.par_chunks_mut(CHUNK * width).enumerate().map(|(chunk, rows)| {
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let at = chunk * CHUNK + i;
                drop_row(row, dropout, (at * width) as u64);
                let normalised = &self.rows[at * width..(at + 1) * width];
                let [d_gamma, d_beta] = &mut sums;
                normalise_backward(row, normalised, self.inverse[at], gamma, d_gamma, d_beta);
            }
            sums
        });
        let chunks: Vec<_> = chunks.collect();
        let (gammas, betas): (Vec<_>, Vec<_>) = chunks.into_iter().map(|[gamma, beta]| (gamma, beta)).unzip();
        [add_in_order(&gammas, width), add_in_order(&betas, width)]
    }
}

/// The gradients of gamma and beta as tensors, where wanted.
pub(crate) fn wanted_vectors(sums: [Vec<f32>; 2], wanted: &[bool]) -> [Option<FlexTensor>; 2] {
    let [gamma, beta] = sums;
    let width = gamma.len();
    [wanted[0].then(|| tensor(gamma, [width])), wanted[1].then(|| tensor(beta, [width]))]
}

/// The scale and shift of a LayerNorm.
#[derive(Clone, Copy)]
pub(crate) struct Affine<'a> {
    pub(crate) gamma: &'a [f32],
    pub(crate) beta: &'a [f32],
    pub(crate) eps: f32,
}

impl<'a> Affine<'a> {
    pub(crate) fn new(gamma: &'a FlexTensor, beta: &'a FlexTensor, eps: f64) -> Self {
        Self { gamma: elements(gamma), beta: elements(beta), eps: eps as f32 }
    }

    /// LayerNorm of one row in place; returns one over its standard deviation, and the normalised row if asked.
    pub(crate) fn apply(self, row: &mut [f32], normalised: Option<&mut [f32]>) -> f32 {
        let inverse = normalise(row, self.eps);
        if let Some(normalised) = normalised {
            normalised.copy_from_slice(row);
        }
        scale_and_shift(row, self.gamma, self.beta);
        inverse
    }
}

vectorised! {
    /// Mean 0 and variance 1; returns one over the standard deviation.
    fn normalise(row: &mut [f32], eps: f32) -> f32 {
        let count = row.len() as f32;
        let mean = math::sum::<FMA>(row) / count;
        for x in row.iter_mut() {
            *x -= mean;
        }
        let inverse = 1.0 / (math::dot::<FMA>(row, row) / count + eps).sqrt();
        for x in row.iter_mut() {
            *x *= inverse;
        }
        inverse
    }
}

vectorised! {
    fn scale_and_shift(row: &mut [f32], gamma: &[f32], beta: &[f32]) {
        for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
            *x = math::fma::<FMA>(*x, *gamma, *beta);
        }
    }
}

vectorised! {
    fn normalise_backward(
        gradient: &mut [f32],
        normalised: &[f32],
        inverse: f32,
        gamma: &[f32],
        d_gamma: &mut [f32],
        d_beta: &mut [f32],
    ) {
        for ((((g, x), gamma), d_gamma), d_beta) in
            gradient.iter_mut().zip(normalised).zip(gamma).zip(d_gamma).zip(d_beta)
        {
            *d_gamma = math::fma::<FMA>(*g, *x, *d_gamma);
            *d_beta += *g;
            *g *= gamma;
        }
        let count = gradient.len() as f32;
        let mean = math::sum::<FMA>(gradient) / count;
        let slope = math::dot::<FMA>(gradient, normalised) / count;
        for (g, x) in gradient.iter_mut().zip(normalised) {
            *g = (*g - mean - *x * slope) * inverse;
        }
    }
}

vectorised! {
    /// Dropout of one row in place; `first` is the index of its first element.
    pub(crate) fn drop_row(row: &mut [f32], dropout: Option<Sampler>, first: u64) {
        if let Some(sampler) = dropout {
            sampler.apply(first, row);
        }
    }
}

vectorised! {
    /// `row += other`.
    pub(crate) fn add_row(row: &mut [f32], other: &[f32]) {
        for (x, y) in row.iter_mut().zip(other) {
            *x += y;
        }
    }
}
