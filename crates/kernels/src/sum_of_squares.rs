//! A sum whose bytes do not depend on who adds: fixed chunks, then their sums in order.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::adamw::primitive;
use crate::fused::elements;
use crate::simd::vectorised;

/// Elements per partial sum: part of the result's definition.
const CHUNK: usize = 1 << 13;

/// The sum of squares of a CPU tensor.
pub(crate) fn sum<const D: usize>(x: &Tensor<D>) -> f64 {
    of(elements(&primitive(x.clone())))
}

/// The sum of squares of these numbers.
pub(crate) fn of(x: &[f32]) -> f64 {
    let chunks: Vec<f64> = x.par_chunks(CHUNK).map(chunk_sum).collect();
    chunks.iter().sum()
}

vectorised! {
    fn chunk_sum(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let blocks = x.chunks_exact(16);
        let rest = blocks.remainder();
        for x in blocks {
            for l in 0..16 {
                let x = f64::from(x[l]);
                lanes[l] += x * x;
            }
        }
        let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::sum_of_squares;
    use crate::testing::{random, with_threads};

    #[test]
    fn exact_and_the_same_at_any_thread_count() {
        for len in [0, 1, 15, 17, 8192, 100_003] {
            let values = random(len, 1);
            let exact: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
            let x = Tensor::<1>::from_data(TensorData::new(values, [len]), &Device::flex());
            let sum = |threads| with_threads(threads, || sum_of_squares(&x).read());
            let one = sum(1);
            assert!((one - exact).abs() <= 1e-12 * exact, "{one} for {exact}");
            assert!([2, 3, 5].into_iter().all(|threads| sum(threads) == one));
        }
    }
}
