//! Little-endian numbers in binary files, converted to `f32` a piece at a time.

use std::io::{Read, Result, Write};

use half::{bf16, f16};

/// The number types that other programs store vectors in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
}

impl Dtype {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Reads `count` numbers; the caller has checked that the file holds that many.
    pub(crate) fn read(self, input: &mut impl Read, count: usize) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(count);
        let mut buffer = vec![0; PIECE * self.bytes()];
        while values.len() < count {
            let piece = &mut buffer[..(count - values.len()).min(PIECE) * self.bytes()];
            input.read_exact(piece)?;
            match self {
                Self::F16 => extend(&mut values, piece, |bytes| f16::from_le_bytes(bytes).to_f32()),
                Self::Bf16 => extend(&mut values, piece, |bytes| bf16::from_le_bytes(bytes).to_f32()),
                Self::F32 => extend(&mut values, piece, f32::from_le_bytes),
                Self::F64 => extend(&mut values, piece, |bytes| f64::from_le_bytes(bytes) as f32),
            }
        }
        Ok(values)
    }
}

fn extend<const N: usize>(values: &mut Vec<f32>, piece: &[u8], number: impl Fn([u8; N]) -> f32) {
    values.extend(piece.as_chunks().0.iter().copied().map(number));
}

/// Writes `f32` numbers.
pub(crate) fn write(output: &mut impl Write, values: &[f32]) -> Result<()> {
    let mut buffer = Vec::with_capacity(PIECE * 4);
    for piece in values.chunks(PIECE) {
        buffer.clear();
        buffer.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
        output.write_all(&buffer)?;
    }
    Ok(())
}

/// Numbers converted at a time.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_survive_over_several_pieces() {
        let values: Vec<f32> = (0..PIECE * 2 + 7).map(|i| i as f32 * 0.5).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, &values).unwrap();
        assert_eq!(Dtype::F32.read(&mut bytes.as_slice(), values.len()).unwrap(), values);
    }

    #[test]
    fn other_number_types_are_converted() {
        let half = f16::from_f32(1.5).to_le_bytes();
        assert_eq!(Dtype::F16.read(&mut half.as_slice(), 1).unwrap(), [1.5]);
        let brain = bf16::from_f32(-2.0).to_le_bytes();
        assert_eq!(Dtype::Bf16.read(&mut brain.as_slice(), 1).unwrap(), [-2.0]);
        assert_eq!(Dtype::F64.read(&mut 0.25f64.to_le_bytes().as_slice(), 1).unwrap(), [0.25]);
    }
}
