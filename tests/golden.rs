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

/// Losses that temper does not have yet.
pub const UNSUPPORTED_LOSSES: &[&str] = &[
    "mnrl-pairs-symmetric-joint",
    "mnrl-pairs-gte",
    "mnrl-pairs-hard-inbatch",
    "mnrl-pairs-hard-all",
    "cached-mnrl-pairs",
    "cached-mnrl-pairs-symmetric",
    "mnrl-1neg-symmetric-joint",
    "mnrl-1neg-gte",
    "mnrl-1neg-hard-inbatch",
    "mnrl-1neg-hard-all",
    "mnrl-1neg-hard-hardneg",
    "cached-mnrl-1neg",
    "cached-mnrl-1neg-symmetric",
    "mnrl-3neg-symmetric-joint",
    "mnrl-3neg-gte",
    "mnrl-3neg-hard-inbatch",
    "mnrl-3neg-hard-all",
    "mnrl-3neg-hard-hardneg",
    "cached-mnrl-3neg",
    "cached-mnrl-3neg-symmetric",
    "gist-pairs",
    "gist-1neg",
    "gist-default-temp",
    "gist-1neg-margin-abs",
    "gist-1neg-margin-rel",
    "gist-pairs-nocontrast",
    "angle",
    "angle-scale1",
    "contrastive-cosine_distance-mean",
    "contrastive-cosine_distance-sum",
    "online-contrastive-cosine_distance",
    "contrastive-euclidean-mean",
    "contrastive-euclidean-sum",
    "online-contrastive-euclidean",
    "contrastive-manhattan-mean",
    "contrastive-manhattan-sum",
    "online-contrastive-manhattan",
    "online-contrastive-allpos",
    "triplet-cosine",
    "triplet-euclidean",
    "triplet-manhattan",
    "batchhardtriplet-euclidean",
    "batchhardtriplet-cosine",
    "batchsemihardtriplet-euclidean",
    "batchsemihardtriplet-cosine",
    "batchalltriplet-euclidean",
    "batchalltriplet-cosine",
    "batchhardsoftmargintriplet-euclidean",
    "batchhardsoftmargintriplet-cosine",
    "softmax-default",
    "softmax-mult",
    "mse-1col",
    "mse-3col",
    "mse-2col-broadcast",
    "embed-distill-mse",
    "embed-distill-l2",
    "embed-distill-cosine",
    "margin-mse-1neg",
    "margin-mse-3neg",
    "margin-mse-scores",
    "margin-mse-cos",
    "distill-kl-2neg",
    "distill-kl-2neg-t2",
    "distill-kl-2neg-t2-s4",
    "matryoshka-mnrl",
    "matryoshka-mnrl-weights",
    "matryoshka-cosent",
    "gor",
    "gor-sum",
    "mega-batch-margin",
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
        self.file().names().into_iter().map(ToString::to_string).collect()
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
