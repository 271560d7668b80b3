//! Number formats of weights, from and to f32.

use half::{bf16, f16};
use safetensors::Dtype;

/// Little-endian floats of any width as f32; other types (position ids) are not weights.
pub(super) fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        _ => return None,
    })
}

/// The number format of tensors of this type; none for those that are not weights.
pub(super) fn of(dtype: Dtype) -> Option<temper_vectors::Precision> {
    match dtype {
        Dtype::F32 => Some(temper_vectors::Precision::F32),
        Dtype::F16 => Some(temper_vectors::Precision::F16),
        Dtype::BF16 => Some(temper_vectors::Precision::Bf16),
        _ => None,
    }
}

/// Number format of written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats: what was trained, bit for bit.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Precision {
    /// The name transformers gives it in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    pub(super) fn encode(self, values: &[f32]) -> (Dtype, Vec<u8>) {
        match self {
            Self::F32 => (Dtype::F32, bytemuck::cast_slice(values).to_vec()),
            Self::F16 => (Dtype::F16, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
            Self::Bf16 => {
                (Dtype::BF16, values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect())
            }
        }
    }
}
