//! A number that may still lie on a device.

use burn::tensor::Tensor;

/// A number of a training step. On the CPU it is known; reading one from another device would wait for the device.
#[derive(Clone, Debug)]
pub enum Scalar {
    /// In f64.
    Known(f64),
    /// `[1]`
    OnDevice(Tensor<1>),
}

impl Scalar {
    /// The number, once the device has it.
    pub fn read(&self) -> f64 {
        match self {
            Self::Known(value) => *value,
            Self::OnDevice(value) => value.clone().into_scalar::<f64>(),
        }
    }

    /// The sum of numbers of one device.
    #[must_use]
    pub fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        terms.into_iter().fold(Self::Known(0.0), |sum, term| match (sum, term) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a + b),
            (Self::OnDevice(a), Self::OnDevice(b)) => Self::OnDevice(a + b),
            (Self::OnDevice(a), Self::Known(b)) | (Self::Known(b), Self::OnDevice(a)) => {
                Self::OnDevice(a + b)
            }
        })
    }

    /// The square root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        match self {
            Self::Known(value) => Self::Known(value.sqrt()),
            Self::OnDevice(value) => Self::OnDevice(value.sqrt()),
        }
    }
}
