//! What a register tile needs of a vector unit, one implementation a unit.
//!
//! Spelled out instead of left to LLVM: whether it keeps an array of accumulators in registers changes with the tile's
//! height, and a tile that spills is 40 times as slow.

/// Lanes of f32 that are computed together.
pub(crate) trait Vector: Copy {
    /// Lanes.
    const LANES: usize;
    /// Rows of a tile two vectors wide whose accumulators fit the registers.
    const ROWS: usize;

    /// The same value in every lane.
    ///
    /// # Safety
    /// This function and the others: the CPU has the instruction set.
    unsafe fn splat(x: f32) -> Self;

    /// [`Self::LANES`] values, at any alignment.
    ///
    /// # Safety
    /// So many values can be read.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes what [`Self::load`] reads.
    ///
    /// # Safety
    /// So many values can be written.
    unsafe fn store(self, to: *mut f32);

    /// `self * x + sum`
    ///
    /// # Safety
    /// As for [`Self::splat`].
    unsafe fn multiply_add(self, x: Self, sum: Self) -> Self;
}

/// Four lanes in plain Rust: what every target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Vector for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|l| {
            crate::math::fma::<{ crate::simd::BASELINE_FMA }>(self.0[l], x.0[l], sum.0[l])
        }))
    }
}

/// Implements [`Vector`] by intrinsics.
macro_rules! vector {
    ($type:ty, $lanes:literal, $rows:literal, $splat:ident, $load:ident, $store:ident, $fma:expr) => {
        // SAFETY of all four: the caller's.
        impl super::Vector for $type {
            const LANES: usize = $lanes;
            const ROWS: usize = $rows;

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self) };
            }

            #[inline(always)]
            unsafe fn multiply_add(self, x: Self, sum: Self) -> Self {
                unsafe { $fma(self, x, sum) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    // 32 registers: 24 sums, two vectors of the panel, one of the left operand.
    vector!(__m512, 16, 12, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
    // 16 registers: 12 sums, two, one.
    vector!(__m256, 8, 6, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::{float32x4_t, vdupq_n_f32, vfmaq_f32, vld1q_f32, vst1q_f32};

    // 32 registers: 24 sums, two vectors of the panel, one of the left operand.
    vector!(float32x4_t, 4, 12, vdupq_n_f32, vld1q_f32, vst1q_f32, |x, y, sum| vfmaq_f32(sum, x, y));
}
