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

/// Embeds the probes with both, bare and with every prompt; an error when rounding does not explain the difference.
pub fn certify(source: &Encoder, export: &Encoder, precision: Precision) -> Result<Certificate, Error> {
    let long = "one word after another ".repeat(source.contract.max_seq_length);
    let texts: Vec<&str> = PROBES.into_iter().chain([long.as_str()]).collect();
    let (mut max_difference, mut min_cosine, mut probes) = (0.0f32, 1.0f32, 0);
    let prompts = source.contract.prompts.values().map(|text| Some(text.as_str()));
    for prompt in std::iter::once(None).chain(prompts) {
        let a = source.embed(&texts, prompt, &mut |_| ())?;
        let b = export.embed(&texts, prompt, &mut |_| ())?;
        max_difference = max_difference.max(difference(&a, &b));
        min_cosine = a.iter().zip(&b).map(|(a, b)| Similarity::Cosine.score(a, b)).fold(min_cosine, f32::min);
        probes += texts.len();
    }
    let largest_allowed = allowed(precision);
    // Written so that NaN fails too.
    if !(max_difference <= largest_allowed && min_cosine.is_finite()) {
        return Err(Error::Differs {
            difference: max_difference,
            allowed: largest_allowed,
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

/// The largest difference that rounding the weights explains, for vectors whose values are around one or less.
fn allowed(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-6,
        Precision::F16 => 0.05,
        Precision::Bf16 => 0.3,
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
