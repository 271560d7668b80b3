//! Matrix products: bounds-checked views around the `gemm` crate.
//!
//! Its result does not depend on the number of threads: threads share out a grid of register tiles that the shapes
//! alone fix, and each output element sums its products in order of depth, block by block. Tests hold it to that.

use std::marker::PhantomData;

use gemm::Parallelism;

/// A matrix to read: any strides.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix whose rows begin `row_stride` apart.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "this is a bug: a matrix beyond its data");
        Self { data, rows, columns, row_stride, column_stride: 1 }
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
    start: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
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

/// `output = scale lhs rhs`, or `output += ..` with `accumulate`, on the calling thread.
pub(crate) fn multiply(output: &mut Tile<'_>, accumulate: bool, scale: f32, lhs: View<'_>, rhs: View<'_>) {
    call(output, accumulate, scale, lhs, rhs, Parallelism::None);
}

/// `lhs rhs`, on all threads of the pool.
pub(crate) fn product(lhs: View<'_>, rhs: View<'_>) -> Vec<f32> {
    let len = lhs.rows * rhs.columns;
    let mut data: Vec<f32> = Vec::with_capacity(len);
    let mut output = Tile {
        start: data.as_mut_ptr(),
        rows: lhs.rows,
        columns: rhs.columns,
        row_stride: rhs.columns,
        lifetime: PhantomData,
    };
    call(&mut output, false, 1.0, lhs, rhs, Parallelism::Rayon(0));
    // SAFETY: without `accumulate` the product wrote each of the `rows * columns` elements (zeros at depth zero).
    unsafe { data.set_len(len) };
    data
}

fn call(
    output: &mut Tile<'_>,
    accumulate: bool,
    scale: f32,
    lhs: View<'_>,
    rhs: View<'_>,
    parallelism: Parallelism,
) {
    assert_eq!((output.rows, output.columns), (lhs.rows, rhs.columns), "this is a bug: product shapes");
    assert_eq!(lhs.columns, rhs.rows, "this is a bug: product depths");
    // SAFETY: `View` and `Tile` were checked to lie within their buffers; a tile is exclusive, so it does not overlap
    // the operands; `gemm` reads the output only with `accumulate`, when it is initialised.
    unsafe {
        gemm::gemm(
            output.rows,
            output.columns,
            lhs.columns,
            output.start,
            1,
            output.row_stride as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0f32,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, with_threads};

    #[test]
    fn matches_a_naive_product_in_every_layout() {
        for (m, n, k) in
            [(1, 1, 1), (3, 5, 7), (17, 33, 40), (64, 1, 20), (1, 50, 20), (20, 20, 2), (5, 6, 0)]
        {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let at: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            let bt: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
            let expected: Vec<f32> =
                (0..m * n).map(|i| (0..k).map(|d| a[i / n * k + d] * b[d * n + i % n]).sum()).collect();
            for lhs in [View::new(&a, m, k, k), View::new(&at, k, m, m).t()] {
                for rhs in [View::new(&b, k, n, n), View::new(&bt, n, k, k).t()] {
                    let got = product(lhs, rhs);
                    assert!(got.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-5), "{m} {n} {k}");
                }
            }
        }
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        for (m, n, k) in
            [(700, 384, 384), (333, 1536, 384), (384, 1536, 1111), (385, 77, 2500), (1, 384, 384)]
        {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let run = |threads| {
                with_threads(threads, || product(View::new(&a, m, k, k), View::new(&b, n, k, k).t()))
            };
            let t = |threads| {
                with_threads(threads, || product(View::new(&a, k, m, m).t(), View::new(&b, k, n, n)))
            };
            let (one, one_t) = (run(1), t(1));
            for threads in [2, 3, 5] {
                assert!(run(threads) == one && t(threads) == one_t, "{m} {n} {k} at {threads} threads");
            }
        }
    }
}
