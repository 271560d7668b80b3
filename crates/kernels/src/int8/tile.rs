//! The innermost loop of an int8 product: one register tile of exact integer sums.

use crate::simd::{Level, level};

/// Depths that one instruction multiplies and adds.
pub(crate) const GROUP: usize = 4;
/// Elements of the largest tile of any instruction set.
pub(crate) const MAX_TILE: usize = 12 * 32;

/// A tile to compute: `out = lhs * panel`.
pub(crate) struct Job {
    /// The tile's first row; each holds `groups` times [`GROUP`] bytes.
    pub(crate) lhs: *const u8,
    pub(crate) lhs_stride: usize,
    /// For each group of depths, [`GROUP`] weights of each column.
    pub(crate) panel: *const i8,
    pub(crate) groups: usize,
    /// Rows of [`Kernels::columns`] sums.
    pub(crate) out: *mut i32,
}

type Kernel = unsafe fn(&Job);

/// The int8 tile kernels of this CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernels {
    /// Columns of a tile, hence of a panel.
    pub(crate) columns: usize,
    /// Largest magnitude of a quantised weight. AVX2 adds two products in 16 bits, which holds 2 * 255 * 63 but not
    /// 2 * 255 * 127.
    pub(crate) largest_weight: f32,
    /// Products of pairs of bytes below which one thread is faster than two: 10 to 30 us.
    pub(crate) serial: usize,
    /// By height less one.
    rows: &'static [Kernel],
}

impl Kernels {
    /// The fastest that this CPU runs.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if level() == Level::Avx512 && is_x86_feature_detected!("avx512vnni") {
                return Self::of::<x86::Vnni>(&vnni::KERNELS);
            }
            if level() != Level::Baseline {
                return Self::avx2();
            }
        }
        Self::portable()
    }

    /// Those for AVX2, which the caller has seen that this CPU has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2() -> Self {
        Self::of::<x86::Avx2>(&avx2::KERNELS)
    }

    /// Those in plain Rust.
    pub(super) fn portable() -> Self {
        Self::of::<Portable>(&portable::KERNELS)
    }

    fn of<V: Dot>(kernels: &'static [Kernel]) -> Self {
        Self {
            columns: 2 * V::LANES,
            largest_weight: V::LARGEST_WEIGHT,
            serial: V::SERIAL,
            rows: &kernels[..V::ROWS],
        }
    }

    /// Rows of the tallest tile.
    pub(crate) fn height(self) -> usize {
        self.rows.len()
    }

    /// The kernel for a tile of `height` rows.
    ///
    /// Calling it is sound when the operands hold what the job says and `out` is the caller's own, `height` rows of
    /// [`Self::columns`].
    pub(crate) fn get(self, height: usize) -> Kernel {
        self.rows[height - 1]
    }
}

/// A vector unit's sums of products of unsigned and signed bytes.
///
/// # Safety
/// Of every function: the CPU has the instruction set, and the pointers hold a whole vector.
trait Dot: Copy {
    /// Sums side by side.
    const LANES: usize;
    /// Rows of a tile two vectors wide that fit the registers.
    const ROWS: usize;
    const LARGEST_WEIGHT: f32;
    /// As [`Kernels::serial`].
    const SERIAL: usize;
    /// Weights, or the bytes that multiply them, of every lane.
    type Bytes: Copy;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const i8) -> Self::Bytes;
    /// The same [`GROUP`] bytes in every lane.
    unsafe fn splat(from: *const u8) -> Self::Bytes;
    unsafe fn dot(self, left: Self::Bytes, right: Self::Bytes) -> Self;
    unsafe fn store(self, to: *mut i32);
}

/// # Safety
/// As [`Kernels::get`] says, and the CPU has `V`'s instruction set.
#[inline(always)]
unsafe fn tile<V: Dot, const ROWS: usize>(job: &Job) {
    // SAFETY: the caller's: every address below lies within what the job describes.
    unsafe {
        let mut sums = [[V::zero(); 2]; ROWS];
        for group in 0..job.groups {
            let panel = job.panel.add(group * 2 * V::LANES * GROUP);
            let right = [V::load(panel), V::load(panel.add(V::LANES * GROUP))];
            for (row, sum) in sums.iter_mut().enumerate() {
                let left = V::splat(job.lhs.add(row * job.lhs_stride + group * GROUP));
                sum[0] = sum[0].dot(left, right[0]);
                sum[1] = sum[1].dot(left, right[1]);
            }
        }
        for (row, sum) in sums.iter().enumerate() {
            for (half, sum) in sum.iter().enumerate() {
                sum.store(job.out.add((2 * row + half) * V::LANES));
            }
        }
    }
}

/// Four lanes in plain Rust: what every target has.
#[derive(Clone, Copy)]
struct Portable([i32; 4]);

impl Dot for Portable {
    const LANES: usize = 4;
    const ROWS: usize = 4;
    const LARGEST_WEIGHT: f32 = 127.0;
    const SERIAL: usize = 1 << 19;
    type Bytes = [[i16; GROUP]; 4];

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> Self::Bytes {
        // SAFETY: the caller's.
        unsafe { from.cast::<[[i8; GROUP]; 4]>().read_unaligned() }.map(|lane| lane.map(i16::from))
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> Self::Bytes {
        // SAFETY: the caller's.
        [unsafe { from.cast::<[u8; GROUP]>().read_unaligned() }.map(i16::from); 4]
    }

    #[inline(always)]
    unsafe fn dot(self, left: Self::Bytes, right: Self::Bytes) -> Self {
        let lane = |l: usize| (0..GROUP).map(|i| i32::from(left[l][i]) * i32::from(right[l][i])).sum::<i32>();
        Self(std::array::from_fn(|l| self.0[l] + lane(l)))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(self.0) };
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16,
        _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256, _mm512_dpbusd_epi32,
        _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    };

    use super::Dot;

    /// AVX-512 VNNI.
    #[derive(Clone, Copy)]
    pub(super) struct Vnni(__m512i);

    // SAFETY of every block: the caller's.
    impl Dot for Vnni {
        const LANES: usize = 16;
        const ROWS: usize = 12;
        const LARGEST_WEIGHT: f32 = 127.0;
        const SERIAL: usize = 1 << 20;
        type Bytes = __m512i;

        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(unsafe { _mm512_setzero_si512() })
        }

        #[inline(always)]
        unsafe fn load(from: *const i8) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const u8) -> __m512i {
            unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }

        #[inline(always)]
        unsafe fn dot(self, left: __m512i, right: __m512i) -> Self {
            Self(unsafe { _mm512_dpbusd_epi32(self.0, left, right) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut i32) {
            unsafe { _mm512_storeu_si512(to.cast(), self.0) };
        }
    }

    /// AVX2: pairs of products in 16 bits, then pairs of those in 32.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(__m256i);

    impl Dot for Avx2 {
        const LANES: usize = 8;
        const ROWS: usize = 4;
        const LARGEST_WEIGHT: f32 = 63.0;
        const SERIAL: usize = 1 << 20;
        type Bytes = __m256i;

        #[inline(always)]
        unsafe fn zero() -> Self {
            Self(unsafe { _mm256_setzero_si256() })
        }

        #[inline(always)]
        unsafe fn load(from: *const i8) -> __m256i {
            unsafe { _mm256_loadu_si256(from.cast()) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const u8) -> __m256i {
            unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }

        #[inline(always)]
        unsafe fn dot(self, left: __m256i, right: __m256i) -> Self {
            unsafe {
                let pairs = _mm256_maddubs_epi16(left, right);
                Self(_mm256_add_epi32(self.0, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))))
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut i32) {
            unsafe { _mm256_storeu_si256(to.cast(), self.0) };
        }
    }
}

/// Kernels of every height for one instruction set.
macro_rules! kernels {
    ($name:ident, $vector:ty $(, $features:literal)?) => {
        mod $name {
            use super::{Job, Kernel, tile};

            $(#[target_feature(enable = $features)])?
            unsafe fn kernel<const ROWS: usize>(job: &Job) {
                // SAFETY: the caller's, and the features are enabled here.
                unsafe { tile::<$vector, ROWS>(job) }
            }

            pub(super) const KERNELS: [Kernel; 12] = [
                kernel::<1>, kernel::<2>, kernel::<3>, kernel::<4>, kernel::<5>, kernel::<6>, kernel::<7>,
                kernel::<8>, kernel::<9>, kernel::<10>, kernel::<11>, kernel::<12>,
            ];
        }
    };
}

kernels!(portable, super::Portable);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, super::x86::Avx2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
kernels!(vnni, super::x86::Vnni, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma");
