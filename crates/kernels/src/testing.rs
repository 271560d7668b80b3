//! What the tests of the ops share: seeded numbers, thread pools, and fused against plain.

use burn::tensor::{Device, Tensor, TensorData};

use crate::DeviceName;

/// Seeded numbers, roughly normal.
pub(crate) fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (uniform() + uniform() + uniform()) * 2.0).collect()
}

/// Runs `body` in a pool of so many threads.
pub(crate) fn with_threads<T: Send>(threads: usize, body: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(body)
}

/// A seeded matrix.
pub(crate) fn matrix(rows: usize, columns: usize, seed: u64) -> TensorData {
    TensorData::new(random(rows * columns, seed), [rows, columns])
}

/// A seeded vector around `centre`.
pub(crate) fn vector(len: usize, centre: f32, seed: u64) -> TensorData {
    let values: Vec<f32> = random(len, seed).iter().map(|x| centre + 0.3 * x).collect();
    TensorData::new(values, [len])
}

/// An op under test: matrices, then vectors.
pub(crate) type TestOp<'a> = &'a (dyn Fn(&[Tensor<2>], &[Tensor<1>]) -> Tensor<2> + Sync);

/// Where plain ops are tested: `TEMPER_TEST_DEVICE`, or the CPU.
pub(crate) fn device() -> Device {
    let name = std::env::var("TEMPER_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let name: DeviceName = name.parse().expect("TEMPER_TEST_DEVICE names a device");
    name.open().expect("the device of TEMPER_TEST_DEVICE")
}

/// The output and every input's gradient, under a weighted sum as loss.
fn outputs(op: TestOp<'_>, matrices: &[TensorData], vectors: &[TensorData], device: Device) -> Vec<Vec<f32>> {
    let device = device.autodiff();
    let matrices: Vec<Tensor<2>> =
        matrices.iter().map(|data| Tensor::from_data(data.clone(), &device).require_grad()).collect();
    let vectors: Vec<Tensor<1>> =
        vectors.iter().map(|data| Tensor::from_data(data.clone(), &device).require_grad()).collect();
    let output = op(&matrices, &vectors);
    let [rows, columns] = output.dims();
    let weights = Tensor::<2>::from_data(matrix(rows, columns, 99), &device);
    let gradients = (output.clone() * weights).sum().backward();
    let mut all = vec![values(output)];
    all.extend(matrices.iter().map(|x| values(x.grad(&gradients).expect("a gradient"))));
    all.extend(vectors.iter().map(|x| values(x.grad(&gradients).expect("a gradient"))));
    all
}

/// The elements of an f32 tensor.
pub(crate) fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec().expect("f32")
}

/// Asserts that the fused op and the plain one, which runs on [`device`], agree in output and every gradient, to 2e-5 of each tensor's largest entry.
pub(crate) fn assert_agree(
    fused: TestOp<'_>,
    plain: TestOp<'_>,
    matrices: &[TensorData],
    vectors: &[TensorData],
) {
    let fused = outputs(fused, matrices, vectors, Device::flex());
    let plain = outputs(plain, matrices, vectors, device());
    for (i, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        assert_close(fused, plain, &format!("tensor {i} (0 is the output)"));
    }
}

/// Asserts equality to 2e-5 of the largest entry, or to 2e-7 where all are small: a gradient that is zero comes from
/// numbers around one, and is their rounding.
pub(crate) fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-2f32, |m, x| m.max(x.abs()));
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= 2e-5 * largest, "{what}, element {i}: {x} for {y} (largest {largest})");
    }
}

/// Asserts the same bytes of output and gradients at 1, 2, 3 and 5 threads, and again at 3.
pub(crate) fn assert_same_bytes(op: TestOp<'_>, matrices: &[TensorData], vectors: &[TensorData]) {
    let run = |threads| with_threads(threads, || outputs(op, matrices, vectors, Device::flex()));
    let bits = |all: Vec<Vec<f32>>| all.into_iter().flatten().map(f32::to_bits).collect::<Vec<u32>>();
    let one = bits(run(1));
    for threads in [2, 3, 5, 3] {
        assert!(bits(run(threads)) == one, "{threads} threads differ from one");
    }
}

/// Asserts that an op which works in place leaves alone what others hold, and gives the same bytes where nobody does.
pub(crate) fn assert_spares(op: impl Fn(Tensor<2>) -> Tensor<2>, x: TensorData) {
    let held = Tensor::<2>::from_data(x.clone(), &Device::flex());
    let shared = op(held.clone());
    assert_eq!(held.to_data(), x);
    assert_eq!(shared.into_data(), op(held).into_data());
}
