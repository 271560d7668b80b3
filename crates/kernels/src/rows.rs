//! Rows in chunks: the grain of parallel passes, and of every sum over tokens.

/// Rows per task. Sums over tokens add within a chunk, then the chunks in order, whatever thread took which.
pub(crate) const CHUNK: usize = 64;

/// The chunks' sums, added in order; zeros of `width` when there are none.
pub(crate) fn add_in_order(chunks: &[Vec<f32>], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for chunk in chunks {
        for (total, x) in total.iter_mut().zip(chunk) {
            *total += x;
        }
    }
    total
}
