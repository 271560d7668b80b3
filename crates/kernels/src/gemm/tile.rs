//! The innermost loop of every product: one register tile of the output over the whole depth.

use super::blocks::Blocks;
use super::vector::{Portable, Vector};
use crate::simd::{Level, level};

/// A tile to compute: `out (+)= scale * (start + lhs * panel)`, two vectors wide.
pub(crate) struct Job {
    /// The tile's first row and the first depth.
    pub(crate) lhs: *const f32,
    /// Distance between rows, when `lhs` lies row by row; between depths, when it lies depth by depth.
    pub(crate) lhs_stride: usize,
    /// `depth` times two vectors.
    pub(crate) panel: *const f32,
    /// Distance between them.
    pub(crate) panel_stride: usize,
    /// Two vectors that every row's sums start from; null for zeros.
    pub(crate) start: *const f32,
    pub(crate) depth: usize,
    pub(crate) out: *mut f32,
    pub(crate) out_stride: usize,
    pub(crate) scale: f32,
    /// Add to what is in `out`.
    pub(crate) accumulate: bool,
}

/// Computes a tile; see [`Kernels::get`] for what must hold.
pub(crate) type Kernel = unsafe fn(&Job);

/// The tile kernels of this CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernels {
    /// Columns of a tile, hence of a panel.
    pub(crate) columns: usize,
    /// How large products are cut.
    pub(super) blocks: Blocks,
    /// By height less one; for left operands that lie row by row, and depth by depth.
    pub(super) rows: [&'static [Kernel]; 2],
}

impl Kernels {
    /// The fastest that this CPU runs.
    pub(crate) fn best() -> Self {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Self::of::<std::arch::x86_64::__m512>(&avx512::BY_ROWS, &avx512::BY_DEPTH),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Self::avx2(),
            // Every such CPU has NEON.
            #[cfg(target_arch = "aarch64")]
            _ => Self::of::<std::arch::aarch64::float32x4_t>(&neon::BY_ROWS, &neon::BY_DEPTH),
            #[cfg(not(target_arch = "aarch64"))]
            _ => Self::portable(),
        }
    }

    /// Those for AVX2, which the caller has seen that this CPU has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn avx2() -> Self {
        Self::of::<std::arch::x86_64::__m256>(&avx2::BY_ROWS, &avx2::BY_DEPTH)
    }

    /// Those in plain Rust.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code))]
    pub(crate) fn portable() -> Self {
        Self::of::<Portable>(&portable::BY_ROWS, &portable::BY_DEPTH)
    }

    fn of<V: Vector>(by_rows: &'static [Kernel], by_depth: &'static [Kernel]) -> Self {
        Self {
            columns: 2 * V::LANES,
            blocks: Blocks::best(),
            rows: [&by_rows[..V::ROWS], &by_depth[..V::ROWS]],
        }
    }

    /// Rows of the tallest tile.
    pub(crate) fn height(self) -> usize {
        self.rows[0].len()
    }

    /// The kernel for a tile of `height` rows.
    ///
    /// Calling it is sound when the left operand holds `height` rows of `depth` values at the job's stride, the panel
    /// `depth` rows of [`Self::columns`] at its stride, `start` so many if not null, and `out` is the caller's own, `height` rows of [`Self::columns`] at its
    /// stride, initialised where the job accumulates.
    pub(crate) fn get(self, height: usize, by_depth: bool) -> Kernel {
        self.rows[usize::from(by_depth)][height - 1]
    }
}

/// # Safety
/// As [`Kernels::get`] says, and the CPU has `V`'s instruction set.
#[inline(always)]
unsafe fn tile<V: Vector, const ROWS: usize, const BY_DEPTH: bool>(job: &Job) {
    // SAFETY: the caller's: every address below lies within what the job describes.
    unsafe {
        let start = if job.start.is_null() {
            [V::splat(0.0); 2]
        } else {
            [V::load(job.start), V::load(job.start.add(V::LANES))]
        };
        let mut sums = [start; ROWS];
        let mut panel = job.panel;
        for k in 0..job.depth {
            let right = [V::load(panel), V::load(panel.add(V::LANES))];
            panel = panel.add(job.panel_stride);
            for (row, sum) in sums.iter_mut().enumerate() {
                let at = if BY_DEPTH { k * job.lhs_stride + row } else { row * job.lhs_stride + k };
                let left = V::splat(*job.lhs.add(at));
                sum[0] = left.multiply_add(right[0], sum[0]);
                sum[1] = left.multiply_add(right[1], sum[1]);
            }
        }
        let scale = V::splat(job.scale);
        for (row, sum) in sums.iter().enumerate() {
            for (half, sum) in sum.iter().enumerate() {
                let out = job.out.add(row * job.out_stride + half * V::LANES);
                let before = if job.accumulate { V::load(out) } else { V::splat(0.0) };
                sum.multiply_add(scale, before).store(out);
            }
        }
    }
}

/// Kernels of every height for one instruction set.
macro_rules! kernels {
    ($name:ident, $vector:ty $(, $features:literal)?) => {
        mod $name {
            use super::{Job, Kernel, tile};

            $(#[target_feature(enable = $features)])?
            #[allow(clippy::missing_safety_doc)]
            unsafe fn kernel<const ROWS: usize, const BY_DEPTH: bool>(job: &Job) {
                // SAFETY: the caller's, and the features are enabled here.
                unsafe { tile::<$vector, ROWS, BY_DEPTH>(job) }
            }

            pub(super) const BY_ROWS: [Kernel; 12] = [
                kernel::<1, false>, kernel::<2, false>, kernel::<3, false>, kernel::<4, false>,
                kernel::<5, false>, kernel::<6, false>, kernel::<7, false>, kernel::<8, false>,
                kernel::<9, false>, kernel::<10, false>, kernel::<11, false>, kernel::<12, false>,
            ];
            pub(super) const BY_DEPTH: [Kernel; 12] = [
                kernel::<1, true>, kernel::<2, true>, kernel::<3, true>, kernel::<4, true>,
                kernel::<5, true>, kernel::<6, true>, kernel::<7, true>, kernel::<8, true>,
                kernel::<9, true>, kernel::<10, true>, kernel::<11, true>, kernel::<12, true>,
            ];
        }
    };
}

kernels!(portable, super::Portable);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, std::arch::x86_64::__m256, "avx2,fma");
#[cfg(target_arch = "aarch64")]
kernels!(neon, std::arch::aarch64::float32x4_t);
#[cfg(target_arch = "x86_64")]
kernels!(avx512, std::arch::x86_64::__m512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma");
