//! Global orthogonal regularisation (Zhang et al., 2017): unrelated texts at right angles, beside any loss.
//!
//! For each column, over pairs of different rows: `mean_weight * mean(cos)^2 + second_moment_weight * relu(mean(cos^2) -
//! 1 / dim)`; then the mean or sum over columns. Reference: sentence-transformers' `GlobalOrthogonalRegularizationLoss`.

use burn::tensor::{Tensor, activation::relu};
use temper_data::Kind;
use temper_kernels::normalize;

use super::{LossInput, Objective, Reduction, mask};

/// Settings of the regularisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orthogonal {
    /// What the squared mean of the cosines weighs.
    pub mean_weight: f64,
    /// What the mean of the squared cosines, beyond that of random vectors, weighs.
    pub second_moment_weight: f64,
    /// Over columns.
    pub aggregation: Reduction,
}

impl Orthogonal {
    /// # Shapes
    /// - columns: `[batch, dim]` each
    /// - output: `[1]`
    pub fn forward(&self, columns: Vec<Tensor<2>>) -> Tensor<1> {
        let count = columns.len() as f64;
        let sum = columns.into_iter().map(|column| self.of_column(column)).reduce(|a, b| a + b);
        let sum = sum.expect("this is a bug: a loss without columns");
        match self.aggregation {
            Reduction::Mean => sum.div_scalar(count),
            Reduction::Sum => sum,
        }
    }

    fn of_column(&self, column: Tensor<2>) -> Tensor<1> {
        let [batch, dim] = column.dims();
        let column = normalize(column);
        let others = mask([batch, batch], |i, j| f32::from(u8::from(i != j)), &column.device());
        let cosines = column.clone().matmul(column.transpose()) * others;
        let pairs = (batch * (batch - 1)).max(1) as f64;
        let mean = cosines.clone().sum().div_scalar(pairs);
        let second_moment = cosines.powi_scalar(2).sum().div_scalar(pairs);
        mean.powi_scalar(2).mul_scalar(self.mean_weight)
            + relu(second_moment.sub_scalar(1.0 / dim as f64)).mul_scalar(self.second_moment_weight)
    }
}

impl Objective for Orthogonal {
    fn accepts(&self, _: Kind) -> Result<(), String> {
        Ok(())
    }

    fn forward(&self, input: LossInput<'_>) -> Tensor<1> {
        self.forward(input.columns)
    }
}
