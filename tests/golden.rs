//! The golden numbers of the reference implementations, and what temper does not support of them yet.
//!
//! The folder is `TEMPER_GOLDEN` when set, else the small copy in the project. A case that is in the folder must
//! pass, or need something that is listed here by name.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::SafeTensors;
use temper_kernels::DeviceName;

/// Architectures (`model_type`, or the first module of a model without one) that temper does not load yet.
pub const UNSUPPORTED_MODELS: &[&str] = &["clip"];

/// Losses, and settings of multiple negatives ranking, that temper does not have yet.
pub const UNSUPPORTED_LOSSES: [&str; 0] = [];

/// Evaluators and utilities that temper does not have yet.
pub const UNSUPPORTED_EVALUATORS: &[&str] = &[];

/// Says that a case is left out, which must be for something that is listed.
pub fn leave_out(case: &str, what: &str, listed: &[&str]) {
    assert!(listed.contains(&what), "{case}: `{what}` is neither supported nor listed in tests/golden.rs");
    println!("left out: {case} ({what})");
}

/// Where models and losses run: `TEMPER_TEST_DEVICE`, or the CPU.
pub fn device() -> Device {
    device_name().open().unwrap()
}

/// As [`device`].
pub fn device_name() -> DeviceName {
    std::env::var("TEMPER_TEST_DEVICE").map_or(DeviceName::Cpu, |name| name.parse().unwrap())
}

/// By what tolerances are wider on other devices, whose sums have another order and whose functions other last bits.
pub fn slack() -> f64 {
    if device_name() == DeviceName::Cpu { 1.0 } else { 10.0 }
}

pub fn folder() -> PathBuf {
    std::env::var_os("TEMPER_GOLDEN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden"), PathBuf::from)
}

/// Tensors of a safetensors file by name.
pub struct Tensors(Vec<u8>);

impl Tensors {
    pub fn read(path: &Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(ToString::to_string).collect()
    }

    pub fn f32(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
    }

    /// Values of either type as they are used in computing.
    pub fn numbers(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        match self.file().tensor(name).map(|view| view.dtype()) {
            Ok(safetensors::Dtype::I64) => {
                let (shape, values) = self.i64(name);
                (shape, values.into_iter().map(|value| value as f32).collect())
            }
            _ => self.f32(name),
        }
    }

    pub fn i64(&self, name: &str) -> (Vec<usize>, Vec<i64>) {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(view.dtype(), safetensors::Dtype::I64, "{name}");
        let values = view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
    }
}

/// The largest absolute difference of two arrays of equal length.
pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}
