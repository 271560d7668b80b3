//! Counter-based randomness: every random choice in temper is a function of (seed, named stream, step, index).
//!
//! Nothing random is ever saved or carried along, so a resumed run draws what the uninterrupted one would have
//! drawn, and threads may draw in any order. The numbers are part of the file format of a run: changing one
//! breaks the exact resume of every run made before, so the tests pin them.

use std::f64::consts::TAU;

/// The golden ratio in 64 bits, the increment of SplitMix64 (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The key of one named stream at one step; draw from it with an index.
pub fn key(seed: u64, stream: &str, step: u64) -> u64 {
    let mut state = mix(seed.wrapping_add(GOLDEN));
    for chunk in stream.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = absorb(state, u64::from_le_bytes(word));
    }
    absorb(absorb(state, stream.len() as u64), step)
}

/// 64 uniform bits.
pub fn uniform_u64(key: u64, index: u64) -> u64 {
    absorb(key, index)
}

/// Uniform in `[0, 1)`, a multiple of 2^-24.
pub fn uniform_f32(key: u64, index: u64) -> f32 {
    (uniform_u64(key, index) >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
}

/// Standard normal by Box and Muller's transform, computed in f64.
pub fn normal_f32(key: u64, index: u64) -> f32 {
    let bits = uniform_u64(key, index);
    // Half a step away from 0, so that the logarithm is finite.
    let radius = (((bits >> 32) as f64 + 0.5) / (1u64 << 32) as f64).ln() * -2.0;
    let angle = f64::from(bits as u32) / (1u64 << 32) as f64 * TAU;
    (radius.sqrt() * angle.cos()) as f32
}

/// The numbers `0..n` in a random order (Fisher and Yates).
pub fn permutation(key: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(key, last as u64, last as u64 + 1));
    }
    order
}

/// A number in `0..bound`; the bias of the multiplication is under `bound / 2^64`.
fn below(key: u64, index: u64, bound: u64) -> usize {
    ((u128::from(uniform_u64(key, index)) * u128::from(bound)) >> 64) as usize
}

/// Both words pass through a full mixing, so that neighbouring keys and indices share no pattern.
fn absorb(state: u64, word: u64) -> u64 {
    mix(state ^ mix(word.wrapping_add(GOLDEN)))
}

/// The finaliser of SplitMix64 (variant 13 of Stafford's mixers).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_numbers_never_change() {
        let stream = key(42, "data.sampler", 3);
        // Computed by a second implementation, with Python's big integers.
        assert_eq!(stream, 9580590231078205793);
        let bits = [uniform_u64(stream, 0), uniform_u64(stream, 1)];
        assert_eq!(bits, [3518044861321038089, 5580236572899179315]);
        assert_eq!(uniform_f32(stream, 2), 0.832_581_6);
        assert_eq!(normal_f32(stream, 3), -0.963_931_86);
        assert_eq!(permutation(stream, 10), [1, 0, 5, 2, 4, 3, 7, 8, 6, 9]);
    }

    #[test]
    fn uniform_floats_fill_the_unit_interval() {
        let stream = key(42, "dropout", 7);
        let values: Vec<f32> = (0..100_000).map(|index| uniform_f32(stream, index)).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn normal_floats_have_unit_variance() {
        let stream = key(1, "init", 0);
        let values: Vec<f64> = (0..100_000).map(|index| f64::from(normal_f32(stream, index))).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let beyond_two = values.iter().filter(|value| value.abs() > 2.0).count() as f64 / count;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!((beyond_two - 0.0455).abs() < 0.004, "{beyond_two}");
    }

    #[test]
    fn streams_steps_and_seeds_differ() {
        let keys = [
            key(0, "a", 0),
            key(1, "a", 0),
            key(0, "b", 0),
            key(0, "a", 1),
            key(0, "a\0", 0),
            key(0, "", 0),
            key(0, "abcdefgh", 0),
            key(0, "abcdefghi", 0),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        // Half of the bits change between neighbours.
        let flips: u32 =
            (0..1000).map(|i| (uniform_u64(keys[0], i) ^ uniform_u64(keys[0], i + 1)).count_ones()).sum();
        assert!((31_000..33_000).contains(&flips), "{flips}");
    }

    proptest! {
        #[test]
        fn permutation_holds_every_index_once(seed: u64, n in 0usize..500) {
            let mut order = permutation(key(seed, "order", 0), n);
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }
}
