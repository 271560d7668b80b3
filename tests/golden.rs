//! The golden numbers of the reference implementations, and what temper does not support of them yet.
//!
//! The folder is `TEMPER_GOLDEN` when set, else the small copy in the project. A case that is in the folder must
//! pass or be listed here by name.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// Models of architectures that temper does not load yet.
pub const UNSUPPORTED_MODELS: &[&str] = &[
    "clip-text-image",
    "distilbert-mean-dense-norm",
    "modernbert-cls-norm",
    "mpnet-mean-norm",
    "qwen3-lasttoken-prompts-norm",
    "roberta-mean-norm",
    "static-mean",
    "xlm-roberta-mean-prompts-norm",
];

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

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().into_iter().map(|n| n.to_string()).collect()
    }

    pub fn f32(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
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
