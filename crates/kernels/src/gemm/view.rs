//! Matrices within slices: what a product reads, and the blocks of a buffer that its tasks write.

use std::marker::PhantomData;
use std::ops::Range;

/// A matrix to read, stored by rows or (transposed) by columns: one of its strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix whose rows begin `row_stride` apart.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "this is a bug: a matrix beyond its data");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Some of the rows.
    pub(super) fn part(self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "this is a bug: rows beyond their matrix");
        let first = if rows.is_empty() { 0 } else { rows.start * self.row_stride };
        Self { data: &self.data[first..], rows: rows.len(), ..self }
    }

    /// Where an element lies.
    pub(super) fn at(self, row: usize, column: usize) -> *const f32 {
        assert!(row < self.rows && column < self.columns, "this is a bug: an element beyond its matrix");
        self.data[row * self.row_stride + column * self.column_stride..].as_ptr()
    }

    /// The transposed matrix.
    pub(crate) fn t(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// Whether the last element of a row-major matrix lies within `len` elements.
fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0
        || columns == 0
        || (columns <= row_stride || rows == 1) && (rows - 1) * row_stride + columns <= len
}

/// A row-major matrix to write, within a buffer whose rows are `row_stride` apart.
pub(crate) struct Tile<'a> {
    pub(super) start: *mut f32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<'a> Tile<'a> {
    /// A tile over a whole buffer.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert!(fits(data.len(), rows, columns, columns), "this is a bug: a tile beyond its data");
        Self { start: data.as_mut_ptr(), rows, columns, row_stride: columns, lifetime: PhantomData }
    }

    /// One row.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "this is a bug: a row beyond its tile");
        // SAFETY: the tile owns `rows` rows of `columns` elements, `row_stride` apart, for its lifetime, and the
        // borrow of `self` keeps two rows from being held at once.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.columns) }
    }
}

/// A row-major buffer that parallel tasks fill, each its own block of rows and columns.
pub(crate) struct Tiles<'a> {
    start: *mut f32,
    len: usize,
    row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only used through `tile`, whose callers promise that live tiles do not overlap.
unsafe impl Sync for Tiles<'_> {}

impl<'a> Tiles<'a> {
    /// The buffer of rows `row_stride` long.
    pub(crate) fn new(data: &'a mut [f32], row_stride: usize) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), row_stride, lifetime: PhantomData }
    }

    /// The spare capacity of a vector as a buffer of rows `row_stride` long, not initialised: a tile's rows may be
    /// read only after they were written.
    pub(crate) fn spare(data: &'a mut Vec<f32>, row_stride: usize) -> Self {
        let spare = data.spare_capacity_mut();
        Self { start: spare.as_mut_ptr().cast(), len: spare.len(), row_stride, lifetime: PhantomData }
    }

    /// The block at a row and column.
    ///
    /// # Safety
    /// No two live tiles may overlap.
    pub(crate) unsafe fn tile(&self, at: [usize; 2], rows: usize, columns: usize) -> Tile<'_> {
        let first = at[0] * self.row_stride + at[1];
        let inside = first <= self.len && fits(self.len - first, rows, columns, self.row_stride);
        assert!(inside, "this is a bug: a tile beyond its buffer");
        // SAFETY: `first` is at most the buffer's length.
        let start = unsafe { self.start.add(first) };
        Tile { start, rows, columns, row_stride: self.row_stride, lifetime: PhantomData }
    }
}
