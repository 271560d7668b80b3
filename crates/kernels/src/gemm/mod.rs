//! Matrix products by packed panels and register tiles (Goto and van de Geijn 2008, Anatomy of high-performance matrix
//! multiplication), with what follows a product done while its rows are in the cache.
//!
//! The right operand is packed, a weight once for many products; the left one is read where it lies, unless it is
//! scattered there. Each output element sums its products in order of depth, block by block, whatever the tile, task or
//! thread: the same bytes at any number of threads, and for a row whatever rows lie around it.

mod blocks;
mod panels;
mod tile;
mod vector;
mod view;

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

pub(crate) use blocks::Blocks;
pub(crate) use panels::Panels;
pub(crate) use view::{Tile, Tiles, View};

use panels::Right;
use tile::{Job, Kernels};

/// Products of pairs below which one thread is faster than two: some 10 us.
const SERIAL: usize = 1 << 19;

/// Panels that the left operand's rows must meet to be worth laying out in the order in which the tiles read them.
const REPACK_PANELS: usize = 4;

/// Rows a multiple of so many elements apart fall into the same few lines of the first cache (4 KiB, its sets times
/// its lines), and drive each other out of it.
const ALIASED: usize = 1024;

/// `lhs rhs` on all threads of the pool; `finish` is called once for each row and range of columns, as soon as they
/// are complete, with the row, the range's first column and the elements.
pub(crate) fn product(
    lhs: View<'_>,
    rhs: &Panels,
    finish: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    assert_eq!(lhs.columns, rhs.depth, "this is a bug: product shapes");
    let mut data: Vec<f32> = Vec::with_capacity(lhs.rows * rhs.columns);
    let tiles = Tiles::spare(&mut data, rhs.columns);
    let task = |(rows, panels): (Range<usize>, Range<usize>)| {
        let columns = panels.start * rhs.kernels.columns..(panels.end * rhs.kernels.columns).min(rhs.columns);
        // SAFETY: `Blocks::tasks` splits the output without overlap.
        let mut tile = unsafe { tiles.tile([rows.start, columns.start], rows.len(), columns.len()) };
        fill(&mut tile, false, 1.0, lhs.part(rows.clone()), Right::Packed(rhs), panels);
        for (i, row) in rows.enumerate() {
            finish(row, columns.start, tile.row(i));
        }
    };
    let serial = lhs.rows * rhs.columns * rhs.depth < SERIAL;
    let threads = if serial { 1 } else { rayon::current_num_threads() };
    let tile = [rhs.kernels.height(), rhs.kernels.columns];
    let tasks = rhs.kernels.blocks.tasks(lhs.rows, rhs.count(), tile, threads);
    if serial {
        tasks.into_iter().for_each(task);
    } else {
        tasks.into_par_iter().for_each(task);
    }
    // SAFETY: the tasks cover the output, and `fill` wrote every element of each (zeros at depth zero).
    unsafe { data.set_len(lhs.rows * rhs.columns) };
    data
}

/// `output = scale lhs rhs`, or `output += ..` with `accumulate`, on the calling thread.
pub(crate) fn multiply(output: &mut Tile<'_>, accumulate: bool, scale: f32, lhs: View<'_>, rhs: View<'_>) {
    thread_local! {
        static PANELS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    assert_eq!((output.rows, output.columns), (lhs.rows, rhs.columns), "this is a bug: product shapes");
    assert_eq!(lhs.columns, rhs.rows, "this is a bug: product depths");
    let kernels = Kernels::best();
    if let Some(rhs) = Right::lying(rhs, kernels) {
        return fill(output, accumulate, scale, lhs, rhs, 0..rhs.count());
    }
    let panels = Panels::pack_into(PANELS.take(), rhs, kernels);
    fill(output, accumulate, scale, lhs, Right::Packed(&panels), 0..panels.count());
    PANELS.set(panels.into_buffer());
}

/// Some panels' part of a product on the calling thread; `output` begins at the first panel's first column.
fn fill(
    output: &mut Tile<'_>,
    accumulate: bool,
    scale: f32,
    lhs: View<'_>,
    rhs: Right<'_>,
    panels: Range<usize>,
) {
    let kernels = rhs.kernels();
    let (width, height) = (kernels.columns, kernels.height());
    assert!(
        output.columns.div_ceil(width) <= panels.len() && output.rows <= lhs.rows,
        "this is a bug: tiles"
    );
    if rhs.depth() == 0 && !accumulate {
        (0..output.rows).for_each(|row| output.row(row).fill(0.0));
    }
    let by_depth = lhs.column_stride != 1;
    let scattered =
        if by_depth { kernels.blocks.repack_by_depth } else { lhs.row_stride.is_multiple_of(ALIASED) };
    let repack = scattered && panels.len() >= REPACK_PANELS;
    let mut left = LEFT.take();
    let mut edge = [0.0; MAX_TILE];
    for depths in kernels.blocks.depths(rhs.depth()) {
        let accumulate = accumulate || depths.start > 0;
        if repack {
            left = panels::pack_block(left, lhs.part(0..output.rows).t(), &depths, height);
        }
        for panel in panels.clone() {
            let column = (panel - panels.start) * width;
            let whole = column + width <= output.columns;
            let (from, panel_stride) = rhs.panel(&depths, panel);
            let start = if accumulate { std::ptr::null() } else { rhs.start(panel) };
            for row in (0..output.rows).step_by(height) {
                let rows = height.min(output.rows - row);
                let (lhs, lhs_stride, by_depth) = if repack {
                    (left[row * depths.len()..].as_ptr(), height, true)
                } else if by_depth {
                    (lhs.at(row, depths.start), lhs.column_stride, true)
                } else {
                    (lhs.at(row, depths.start), lhs.row_stride, false)
                };
                let mut job = Job {
                    lhs,
                    lhs_stride,
                    panel: from,
                    panel_stride,
                    start,
                    depth: depths.len(),
                    // SAFETY: `row` and `column` lie within the output.
                    out: unsafe { output.start.add(row * output.row_stride + column) },
                    out_stride: output.row_stride,
                    scale,
                    accumulate,
                };
                let kernel = kernels.get(rows, by_depth);
                if whole {
                    // SAFETY: the operands hold what the job names (`View`, `Panels`), and `rows` by `width` elements
                    // of the output are this caller's.
                    unsafe { kernel(&job) };
                    continue;
                }
                // The last, narrower panel goes through a tile of its own.
                (job.out, job.out_stride, job.accumulate) = (edge.as_mut_ptr(), width, false);
                // SAFETY: as above, and `edge` holds the tallest and widest tile.
                unsafe { kernel(&job) };
                for (i, edge) in edge.chunks_exact(width).take(rows).enumerate() {
                    let out = &mut output.row(row + i)[column..];
                    for (out, x) in out.iter_mut().zip(edge) {
                        *out = if accumulate { *out + x } else { *x };
                    }
                }
            }
        }
    }
    LEFT.set(left);
}

thread_local! {
    /// The left operand's rows of a task, where they are laid out anew.
    static LEFT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Elements of the largest tile of any instruction set.
const MAX_TILE: usize = 12 * 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{random, with_threads};

    /// The kernels of every instruction set that this CPU has, with every size of blocks.
    fn every_set() -> Vec<Kernels> {
        let mut sets = vec![Kernels::portable(), Kernels::best()];
        #[cfg(target_arch = "x86_64")]
        if crate::simd::level() == crate::simd::Level::Avx512 {
            sets.push(Kernels::avx2());
        }
        let sized = |blocks| sets.iter().map(move |kernels| Kernels { blocks, ..*kernels });
        sized(Blocks::LOW).chain(sized(Blocks::HIGH)).collect()
    }

    fn unfinished(_: usize, _: usize, _: &mut [f32]) {}

    fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        (0..columns * rows).map(|i| x[i % rows * columns + i / rows]).collect()
    }

    /// Both ways of multiplying, in every layout and instruction set, against a sum in f64.
    fn check(m: usize, n: usize, k: usize) {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
        let term = |i: usize, d: usize| f64::from(a[i / n * k + d]) * f64::from(b[d * n + i % n]);
        let expected: Vec<f32> = (0..m * n).map(|i| (0..k).map(|d| term(i, d)).sum::<f64>() as f32).collect();
        let close = |x: f32, y: f32| (x - y).abs() < 1e-5 * (k as f32).sqrt().max(1.0);
        for lhs in [View::new(&a, m, k, k), View::new(&at, k, m, m).t()] {
            for rhs in [View::new(&b, k, n, n), View::new(&bt, n, k, k).t()] {
                for kernels in every_set() {
                    let panels = Panels::pack_into(Vec::new(), rhs, kernels);
                    let got = product(lhs, &panels, unfinished);
                    assert!(got.iter().zip(&expected).all(|(x, y)| close(*x, *y)), "{m} {n} {k} {kernels:?}");
                }
                let mut sum = vec![1.0; m * n];
                multiply(&mut Tile::new(&mut sum, m, n), true, 0.5, lhs, rhs);
                assert!(sum.iter().zip(&expected).all(|(x, y)| close(*x, 1.0 + 0.5 * y)), "{m} {n} {k} sum");
            }
        }
    }

    #[test]
    fn matches_a_sum_in_f64() {
        for (m, n, k) in [
            (1, 1, 1),
            (12, 32, 9),
            (64, 1, 20),
            (49, 65, 3000),
            (25, 140, 2048),
            (5, 6, 1),
            (40, 40, 1),
            (5, 6, 0),
            (0, 4, 2),
            (4, 0, 2),
        ] {
            check(m, n, k);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn matches_a_sum_in_f64_at_any_size(m in 1usize..100, n in 1usize..100, k in 1usize..70) {
            check(m, n, k);
        }
    }

    #[test]
    fn every_element_is_finished_once() {
        for (m, n) in [(1, 1536), (700, 384), (100, 33)] {
            let (a, b) = (random(m * 384, 1), random(384 * n, 2));
            let panels = Panels::pack(View::new(&b, 384, n, n));
            let plain = product(View::new(&a, m, 384, 384), &panels, unfinished);
            let finished = with_threads(3, || {
                product(View::new(&a, m, 384, 384), &panels, |row, column, out| {
                    for (i, x) in out.iter_mut().enumerate() {
                        *x += (row * n + column + i) as f32;
                    }
                })
            });
            assert!(finished.iter().zip(&plain).enumerate().all(|(i, (x, y))| *x == y + i as f32), "{m} {n}");
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (a, b) = (random(77 * 384, 1), random(384 * 50, 2));
        let panels = Panels::pack(View::new(&b, 384, 50, 50));
        let all = product(View::new(&a, 77, 384, 384), &panels, unfinished);
        for row in [0, 12, 47, 76] {
            let one = product(View::new(&a[row * 384..], 1, 384, 384), &panels, unfinished);
            assert_eq!(one, all[row * 50..(row + 1) * 50]);
        }
    }

    #[test]
    fn same_bytes_at_any_thread_count() {
        for (m, n, k) in
            [(700, 384, 384), (333, 1536, 384), (384, 1536, 1111), (385, 77, 2500), (1, 384, 384)]
        {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let run = |threads| {
                with_threads(threads, || {
                    let by_columns = Panels::pack(View::new(&b, n, k, k).t());
                    let by_rows = Panels::pack(View::new(&b, k, n, n));
                    [
                        product(View::new(&a, m, k, k), &by_columns, unfinished),
                        product(View::new(&a, k, m, m).t(), &by_rows, unfinished),
                    ]
                })
            };
            let one = run(1);
            for threads in [2, 3, 5] {
                assert!(run(threads) == one, "{m} {n} {k} at {threads} threads");
            }
        }
    }
}
