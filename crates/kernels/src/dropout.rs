//! Dropout whose mask is a pure function of a key and an element's index.
//!
//! Nothing random is stored: the backward pass, the plain path and a resumed run compute the same mask again, at
//! any thread count and in any order.

/// Counter-based dropout: element `i` is kept iff `hash(key, i)` says so; kept values are scaled by
/// `1 / (1 - probability)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Share of elements that become zero, in `[0, 1)`.
    pub probability: f32,
    /// Names the mask: derive it from (seed, stream, step, layer).
    pub key: u64,
}

impl Dropout {
    /// The factors of elements `0..len`: 0, or `1 / (1 - probability)`.
    pub fn mask(&self, len: usize) -> Vec<f32> {
        let mut mask = vec![1.0; len];
        self.sampler().apply(0, &mut mask);
        mask
    }

    pub(crate) fn sampler(&self) -> Sampler {
        let key = splitmix(self.key);
        Sampler {
            low: key as u32,
            high: (key >> 32) as u32,
            // An element is dropped when its 24 hashed bits are below this.
            threshold: (self.probability.clamp(0.0, 1.0) * (1 << 24) as f32).round() as u32,
            scale: if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 },
        }
    }
}

/// The mask with its constants worked out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    pub(crate) low: u32,
    pub(crate) high: u32,
    pub(crate) threshold: u32,
    pub(crate) scale: f32,
}

impl Sampler {
    /// The factor of one element.
    #[inline(always)]
    pub(crate) fn factor(self, index: u64) -> f32 {
        // Two rounds of a 32-bit mixer, one half of the key before each: plain integer lanes, so the loop vectorises.
        let x = mix(index as u32 ^ self.low);
        let x = mix(x ^ self.high ^ ((index >> 32) as u32).wrapping_mul(0x9E37_79B9));
        if (x >> 8) < self.threshold { 0.0 } else { self.scale }
    }

    /// Multiplies the elements `first..` by their factors.
    #[inline(always)]
    pub(crate) fn apply(self, first: u64, values: &mut [f32]) {
        for (i, value) in values.iter_mut().enumerate() {
            *value *= self.factor(first + i as u64);
        }
    }
}

/// Multipliers of [`mix`].
pub(crate) const MIX: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// The `lowbias32` mixer of <https://nullprogram.com/blog/2018/07/31/>.
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(MIX[0]);
    x ^= x >> 15;
    x = x.wrapping_mul(MIX[1]);
    x ^ (x >> 16)
}

/// One step of `SplitMix64`, so that neighbouring keys share nothing.
fn splitmix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_asked_share_and_the_mean() {
        for probability in [0.0, 0.1, 0.5, 0.9] {
            let mask = Dropout { probability, key: 7 }.mask(100_000);
            let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f32 / 1e5;
            assert!((dropped - probability).abs() < 0.006, "{dropped} of {probability}");
            assert!(mask.iter().all(|&m| m == 0.0 || m == 1.0 / (1.0 - probability)));
        }
    }

    #[test]
    fn neighbouring_keys_and_indices_are_independent() {
        let len = 100_000;
        let a = Dropout { probability: 0.5, key: 1 }.mask(len);
        let b = Dropout { probability: 0.5, key: 2 }.mask(len);
        let agree =
            |x: &[f32], y: &[f32]| x.iter().zip(y).filter(|(x, y)| x == y).count() as f32 / x.len() as f32;
        assert!((agree(&a, &b) - 0.5).abs() < 0.01);
        for lag in [1, 2, 64, 384] {
            assert!((agree(&a[lag..], &a[..len - lag]) - 0.5).abs() < 0.01, "lag {lag}");
        }
    }
}
