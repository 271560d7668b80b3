//! Vectors in smaller numbers: bytes on a scale for each dimension, or single bits.
//!
//! Source: `quantize_embeddings` of sentence-transformers 6.2, whose `int8` is [`Scale::to_i8`], `uint8`
//! [`Scale::to_u8`], `binary` [`to_signed_bits`] and `ubinary` [`to_bits`].

use crate::{Embeddings, Error, Result};

/// For each dimension the range of values that the 256 steps of a byte cover.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    starts: Vec<f32>,
    steps: Vec<f32>,
}

impl Scale {
    /// The range that each dimension takes in vectors like those to come; many of them, or later values are cut off.
    pub fn calibrate(vectors: &Embeddings) -> Result<Self> {
        if vectors.rows() < 2 {
            let what = "vectors to calibrate a scale with";
            return Err(Error::Shape { what, expected: 2, found: vectors.rows() });
        }
        let (mut starts, mut ends) = (vectors.row(0).to_vec(), vectors.row(0).to_vec());
        for row in vectors {
            for ((start, end), value) in starts.iter_mut().zip(&mut ends).zip(row) {
                (*start, *end) = (start.min(*value), end.max(*value));
            }
        }
        let step = |(start, end): (&f32, f32)| if end == *start { 1.0 } else { (end - start) / 255.0 };
        let steps = starts.iter().zip(ends).map(step).collect();
        Ok(Self { starts, steps })
    }

    /// A byte a value, 0 at the start of the range and 255 at its end.
    ///
    /// # Shapes
    /// - output: `[rows, dim]`
    pub fn to_u8(&self, vectors: &Embeddings) -> Result<Vec<u8>> {
        if vectors.dim != self.starts.len() {
            let (expected, found) = (self.starts.len(), vectors.dim);
            return Err(Error::Shape { what: "values in a vector", expected, found });
        }
        let byte = |((value, start), step): ((&f32, &f32), &f32)| {
            ((value - start) / step).floor().clamp(0.0, 255.0) as u8
        };
        let row = |row| std::iter::zip(row, &self.starts).zip(&self.steps).map(byte);
        Ok(vectors.iter().flat_map(row).collect())
    }

    /// The same, less 128.
    pub fn to_i8(&self, vectors: &Embeddings) -> Result<Vec<i8>> {
        Ok(self.to_u8(vectors)?.into_iter().map(signed).collect())
    }
}

/// A bit a value, 1 where it is above 0; eight to a byte, the first one highest, and zeros to fill the last byte.
///
/// # Shapes
/// - output: `[rows, dim / 8]`, rounded up
pub fn to_bits(vectors: &Embeddings) -> Vec<u8> {
    let byte = |values: &[f32]| {
        values.iter().enumerate().fold(0, |bits, (at, value)| bits | u8::from(*value > 0.0) << (7 - at))
    };
    vectors.iter().flat_map(|row| row.chunks(8).map(byte)).collect()
}

/// The same, less 128 a byte.
pub fn to_signed_bits(vectors: &Embeddings) -> Vec<i8> {
    to_bits(vectors).into_iter().map(signed).collect()
}

fn signed(byte: u8) -> i8 {
    (byte ^ 0x80) as i8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bytes_cover_the_range_and_cut_off_what_lies_beyond() {
        let seen = Embeddings::from_rows(&[[0.0, 7.0], [255.0, 7.0]]).unwrap();
        let scale = Scale::calibrate(&seen).unwrap();
        let vectors = Embeddings::from_rows(&[[1.9, 7.0], [-3.0, 9.5], [300.0, 0.0]]).unwrap();
        assert_eq!(scale.to_u8(&vectors).unwrap(), [1, 0, 0, 2, 255, 0]);
        assert_eq!(scale.to_i8(&vectors).unwrap(), [-127, -128, -128, -126, 127, -128]);
        assert!(scale.to_u8(&Embeddings::from_rows(&[[1.0]]).unwrap()).is_err());
        assert!(Scale::calibrate(&Embeddings::from_rows(&[[1.0]]).unwrap()).is_err());
    }

    #[test]
    fn bits_begin_with_the_highest_and_fill_the_last_byte_with_zeros() {
        let mut values = vec![-1.0; 10];
        (values[0], values[7], values[9]) = (0.5, 0.5, 0.5);
        let vectors = Embeddings::from_values(10, values).unwrap();
        assert_eq!(to_bits(&vectors), [0b1000_0001, 0b0100_0000]);
        assert_eq!(to_signed_bits(&vectors), [1, -64]);
    }
}
