//! The right operand of a product, laid out in the order in which the tiles read it.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::tile::Kernels;
use super::view::View;
use crate::simd::vectorised;

/// Elements from which packing is shared out among threads.
const PARALLEL: usize = 1 << 16;

/// A `[depth, columns]` matrix in blocks of depth, each in panels as wide as a tile; the last panel of a block is
/// filled up with zeros.
#[derive(Debug)]
pub(crate) struct Panels {
    data: Vec<f32>,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) kernels: Kernels,
    /// What each column's sums start from, as wide as the panels; empty for zeros.
    bias: Vec<f32>,
}

/// The right operand as the tiles read it.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    Packed(&'a Panels),
    /// Rows as they lie, each a whole number of tiles wide.
    Lying(View<'a>, Kernels),
}

impl<'a> Right<'a> {
    /// The matrix where it lies, if the tiles can read it there and so few times that packing would cost more.
    pub(super) fn lying(rhs: View<'a>, kernels: Kernels) -> Option<Self> {
        /// Rows, some KiB apart, that the first cache holds at once.
        const ROWS: usize = 64;
        let fits = rhs.column_stride == 1 && rhs.columns.is_multiple_of(kernels.columns) && rhs.rows <= ROWS;
        fits.then_some(Self::Lying(rhs, kernels))
    }

    pub(super) fn kernels(self) -> Kernels {
        match self {
            Self::Packed(panels) => panels.kernels,
            Self::Lying(_, kernels) => kernels,
        }
    }

    pub(super) fn depth(self) -> usize {
        match self {
            Self::Packed(panels) => panels.depth,
            Self::Lying(rows, _) => rows.rows,
        }
    }

    /// Number of panels side by side.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Packed(panels) => panels.count(),
            Self::Lying(rows, kernels) => rows.columns / kernels.columns,
        }
    }

    /// Where a block's part of one panel begins, and the distance between its rows.
    pub(super) fn panel(self, depths: &Range<usize>, panel: usize) -> (*const f32, usize) {
        match self {
            Self::Packed(panels) => (panels.panel(depths, panel).as_ptr(), panels.kernels.columns),
            Self::Lying(rows, kernels) => (rows.at(depths.start, panel * kernels.columns), rows.row_stride),
        }
    }

    /// What a panel's sums start from; null for zeros.
    pub(super) fn start(self, panel: usize) -> *const f32 {
        match self {
            Self::Packed(Panels { bias, kernels, .. }) if !bias.is_empty() => {
                bias[panel * kernels.columns..][..kernels.columns].as_ptr()
            }
            _ => std::ptr::null(),
        }
    }
}

impl Panels {
    /// Packs a matrix for the tiles of this CPU.
    pub(crate) fn pack(rhs: View<'_>) -> Self {
        Self::pack_into(Vec::new(), rhs, Kernels::best())
    }

    /// Packs into a buffer that has served before.
    pub(crate) fn pack_into(mut data: Vec<f32>, rhs: View<'_>, kernels: Kernels) -> Self {
        let padded = rhs.columns.next_multiple_of(kernels.columns);
        let len = rhs.rows * padded;
        data.clear();
        data.reserve(len);
        let spare = &mut data.spare_capacity_mut()[..len];
        for depths in kernels.blocks.depths(rhs.rows) {
            let block = &mut spare[depths.start * padded..depths.end * padded];
            let panels = depths.len() * kernels.columns;
            let fill = |(panel, out): (usize, &mut [_])| fill(out, rhs, depths.start, panel, kernels.columns);
            if len < PARALLEL {
                block.chunks_exact_mut(panels).enumerate().for_each(fill);
            } else {
                block.par_chunks_exact_mut(panels).enumerate().for_each(fill);
            }
        }
        // SAFETY: the blocks cover the depth and their panels the columns, and `fill` wrote every element.
        unsafe { data.set_len(len) };
        Self { data, depth: rhs.rows, columns: rhs.columns, kernels, bias: Vec::new() }
    }

    /// Has each column's sums start from its bias; an empty one is none.
    pub(crate) fn with_bias(mut self, bias: &[f32]) -> Self {
        let fits = bias.is_empty() || bias.len() == self.columns && self.depth > 0;
        assert!(fits, "this is a bug: a bias of another width, or on no product");
        self.bias = bias.to_vec();
        if !bias.is_empty() {
            self.bias.resize(self.count() * self.kernels.columns, 0.0);
        }
        self
    }

    /// The buffer, to serve again.
    pub(crate) fn into_buffer(self) -> Vec<f32> {
        self.data
    }

    /// Number of panels side by side.
    pub(crate) fn count(&self) -> usize {
        self.columns.div_ceil(self.kernels.columns)
    }

    /// A block's part of one panel, `[depths, tile columns]`.
    pub(crate) fn panel(&self, depths: &Range<usize>, panel: usize) -> &[f32] {
        let width = self.kernels.columns;
        let start = (depths.start * self.count() + depths.len() * panel) * width;
        &self.data[start..start + depths.len() * width]
    }
}

/// A block of `depths` alone as panels of any width, into a buffer that has served before.
pub(super) fn pack_block(
    mut data: Vec<f32>,
    from: View<'_>,
    depths: &Range<usize>,
    width: usize,
) -> Vec<f32> {
    let len = from.columns.next_multiple_of(width) * depths.len();
    data.clear();
    data.reserve(len);
    let spare = &mut data.spare_capacity_mut()[..len];
    for (panel, out) in spare.chunks_exact_mut(width * depths.len()).enumerate() {
        fill(out, from, depths.start, panel, width);
    }
    // SAFETY: the panels cover the block, and `fill` wrote every element.
    unsafe { data.set_len(len) };
    data
}

/// Writes one panel from a depth on, `out` depths of it.
fn fill(out: &mut [MaybeUninit<f32>], rhs: View<'_>, depth: usize, panel: usize, width: usize) {
    /// Depths of a column that are copied while the lines they land in are in the cache.
    const LINES: usize = 16;
    let first = panel * width;
    let columns = width.min(rhs.columns - first);
    if columns < width {
        out.fill(MaybeUninit::new(0.0));
    }
    if rhs.column_stride == 1 {
        let from = &rhs.data[depth * rhs.row_stride + first..];
        // The widths and heights of whole tiles, so that a line is a few instructions and no call.
        return match columns {
            6 => copy_lines::<6>(out, from, rhs.row_stride, width),
            12 => copy_lines::<12>(out, from, rhs.row_stride, width),
            16 => copy_lines::<16>(out, from, rhs.row_stride, width),
            32 => copy_lines::<32>(out, from, rhs.row_stride, width),
            _ => {
                for (k, out) in out.chunks_exact_mut(width).enumerate() {
                    out[..columns].write_copy_of_slice(&from[k * rhs.row_stride..][..columns]);
                }
            }
        };
    }
    for (out, k) in out.chunks_mut(LINES * width).zip((depth..).step_by(LINES)) {
        transpose_lines(out, &rhs.data[first * rhs.column_stride + k..], rhs.column_stride, columns, width);
    }
}

/// `out[k, column] = from[k, column]` for so many columns.
fn copy_lines<const COLUMNS: usize>(out: &mut [MaybeUninit<f32>], from: &[f32], stride: usize, width: usize) {
    for (k, out) in out.chunks_exact_mut(width).enumerate() {
        let line: [f32; COLUMNS] = from[k * stride..][..COLUMNS].try_into().expect("COLUMNS long");
        out[..COLUMNS].write_copy_of_slice(&line);
    }
}

vectorised! {
    /// `out[k, column] = from[column, k]`, in squares that LLVM turns into shuffles.
    fn transpose_lines(
        out: &mut [MaybeUninit<f32>],
        from: &[f32],
        stride: usize,
        columns: usize,
        width: usize,
    ) {
        const SIDE: usize = 4;
        let depth = out.len() / width;
        let squares = if depth.is_multiple_of(SIDE) { columns / SIDE * SIDE } else { 0 };
        for column in (0..squares).step_by(SIDE) {
            let lines: [&[f32]; SIDE] = std::array::from_fn(|i| &from[(column + i) * stride..][..depth]);
            for k in (0..depth).step_by(SIDE) {
                let square = lines.map(|line| <[f32; SIDE]>::try_from(&line[k..k + SIDE]).expect("SIDE long"));
                for i in 0..SIDE {
                    let row: [f32; SIDE] = std::array::from_fn(|j| square[j][i]);
                    out[(k + i) * width + column..][..SIDE].write_copy_of_slice(&row);
                }
            }
        }
        for column in squares..columns {
            for (row, x) in out.chunks_exact_mut(width).zip(&from[column * stride..]) {
                row[column].write(*x);
            }
        }
    }
}
