//! The proof that what was written computes what was meant: both embed the same texts.

use temper_encoder::{Encoder, Precision};
use temper_vectors::{Embeddings, Similarity};

use crate::Error;

/// Texts that reach the corners: nothing, one word, punctuation, other scripts, more than any model's maximum.
const PROBES: [&str; 6] = [
    "",
    "Hello",
    "Which package shows the free space of a disk?",
    "naïve café — ÄÖÜ ß, 東京, Москва 🙂",
    "A function that decides is pure; a function that touches the disk, the clock or the network is thin.",
    "{\"key\": [1, 2.5, null]}\n\ttabs\tand  spaces",
];

/// What was compared, and how far apart the vectors were.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// Fingerprint of the encoder that was exported.
    pub source_fingerprint: String,
    /// Fingerprint of what was read back.
    pub fingerprint: String,
    /// Texts compared, once with every prompt.
    pub probes: usize,
    /// Largest difference of two values.
    pub max_difference: f32,
    /// Smallest cosine of two vectors of one text.
    pub min_cosine: f32,
}

/// Repetitions of the long probe at most: it is cut off by most models, and what it costs grows with its square.
const LONG: usize = 1024;

/// Embeds the probes with both, bare and with every prompt; an error when rounding does not explain the difference.
pub fn certify(source: &Encoder, export: &Encoder, precision: Precision) -> Result<Certificate, Error> {
    let long = "one word after another ".repeat(source.contract.max_seq_length.min(LONG));
    let texts: Vec<&str> = PROBES.into_iter().chain([long.as_str()]).collect();
    let (mut max_difference, mut min_cosine, mut probes) = (0.0f32, 1.0f32, 0);
    let prompts = source.contract.prompts.values().filter(|text| !text.is_empty());
    let prompts = prompts.map(|text| Some(text.as_str()));
    for prompt in std::iter::once(None).chain(prompts) {
        let a = source.embed(&texts, prompt, &mut |_| ())?;
        let b = export.embed(&texts, prompt, &mut |_| ())?;
        max_difference = max_difference.max(difference(&a, &b));
        min_cosine = a.iter().zip(&b).map(|(a, b)| Similarity::Cosine.score(a, b)).fold(min_cosine, f32::min);
        probes += texts.len();
    }
    if !explained(precision, max_difference, min_cosine) {
        return Err(Error::Differs {
            difference: max_difference,
            cosine: min_cosine,
            precision: precision.torch_name(),
        });
    }
    Ok(Certificate {
        source_fingerprint: source.fingerprint(),
        fingerprint: export.fingerprint(),
        probes,
        max_difference,
        min_cosine,
    })
}

/// Whether rounding the weights explains the difference; NaN is never explained. Half precisions are held to their
/// direction, since the size of their error grows with that of the vectors.
fn explained(precision: Precision, max_difference: f32, min_cosine: f32) -> bool {
    match precision {
        Precision::F32 => max_difference <= 1e-6,
        Precision::F16 => max_difference.is_finite() && min_cosine >= 0.999,
        Precision::Bf16 => max_difference.is_finite() && min_cosine >= 0.98,
    }
}

fn difference(a: &Embeddings, b: &Embeddings) -> f32 {
    if a.dim != b.dim {
        return f32::NAN;
    }
    // `f32::max` would drop a NaN.
    a.values
        .iter()
        .zip(&b.values)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |most, found| if found.is_nan() || found > most { found } else { most })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nan_and_other_shapes_never_pass() {
        let rows = |values: &[f32]| Embeddings::from_values(2, values.to_vec()).unwrap();
        let found = difference(&rows(&[1.0, f32::NAN, 0.0, 0.0]), &rows(&[0.5, 0.0, 0.0, 0.0]));
        assert!(found.is_nan());
        assert!(difference(&rows(&[1.0, 2.0]), &Embeddings::new(3)).is_nan());
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            assert!(!explained(precision, f32::NAN, 1.0));
            assert!(explained(precision, 0.0, 1.0));
        }
        assert!(!explained(Precision::F32, 1e-5, 1.0));
        assert!(!explained(Precision::F16, 0.01, 0.9));
    }
}
