//! Products of plain row-major matrices on the CPU, for what is computed beside the tensors: the same bytes at any
//! number of threads.

use crate::gemm::{Panels, View, product};

/// `a bᵀ`: every row of one matrix times every row of another.
///
/// # Shapes
/// - a: `[m, depth]`, b: `[n, depth]`
/// - output: `[m, n]`
pub fn product_t(a: &[f32], b: &[f32], depth: usize) -> Vec<f32> {
    let (m, n) = (rows(a, depth), rows(b, depth));
    let panels = Panels::pack(View::new(b, n, depth, depth).t());
    product(View::new(a, m, depth, depth), &panels, |_, _, _| ())
}

/// `aᵀ b`: the sum over rows of what one matrix holds there times what another does.
///
/// # Shapes
/// - a: `[rows, m]`, b: `[rows, n]`
/// - output: `[m, n]`
pub fn t_product(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let (m, n) = (self::rows(a, rows), self::rows(b, rows));
    let panels = Panels::pack(View::new(b, rows, n, n));
    product(View::new(a, rows, m, m).t(), &panels, |_, _, _| ())
}

/// How often `length` goes into the matrix, without a rest.
fn rows(matrix: &[f32], length: usize) -> usize {
    let rows = matrix.len().checked_div(length).unwrap_or(0);
    assert_eq!(rows * length, matrix.len(), "this is a bug: a matrix of whole rows");
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_worked_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0, 2.0, 1.0, 0.0]);
        assert_eq!(product_t(&a, &b, 3), [-2.0, 4.0, -2.0, 13.0]);
        assert_eq!(t_product(&a, &b, 3), [3.0, 6.0, 4.0, 8.0]);
    }

    #[test]
    fn the_same_bytes_at_any_number_of_threads() {
        let values = |n: usize| (0..n).map(|at| (at * 7919 % 101) as f32 * 0.37 - 18.0).collect::<Vec<_>>();
        let (a, b) = (values(300 * 70), values(300 * 33));
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.map(|pool| pool.install(|| t_product(&a, &b, 300))).ok()
        });
        assert_eq!(one, three);
    }
}
