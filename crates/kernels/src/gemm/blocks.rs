//! How large products are cut for the caches.

use std::ops::Range;
use std::sync::LazyLock;

use crate::simd::{Level, level};

/// Rows for each thread below which threads share out the panels instead: to read them is then most of the work.
const FEW_ROWS: usize = 48;

/// Elements of one task's output at most, so that they are in the second cache for what follows the product.
const TASK_OUTPUT: usize = 1 << 17;

/// Sizes that suit a CPU. Which ones they are changes no result but through the order of sums by `depth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Rows of one task at most.
    pub(super) rows: usize,
    /// Depth of one block at most.
    pub(super) depth: usize,
    /// Whether a left operand that lies depth by depth is laid out anew, block by block, before the tiles read it.
    pub(super) repack_by_depth: bool,
}

impl Blocks {
    /// For a third cache that keeps up with the tiles, as AMD's do: the right operand comes from there for every few rows.
    pub(super) const LOW: Self = Self { rows: 48, depth: 1024, repack_by_depth: false };

    /// For one that does not, as Intel's on servers: a block of a panel stays in the first cache while it meets many rows,
    /// and these in the second. There it is up to twice as fast as `LOW`, on AMD's a twentieth slower.
    pub(super) const HIGH: Self = Self { rows: 192, depth: 384, repack_by_depth: true };

    /// Those for this CPU.
    pub(crate) fn best() -> Self {
        static BEST: LazyLock<Blocks> = LazyLock::new(|| {
            if is_intel() {
                return Blocks::HIGH;
            }
            // Tiles of 6 rows take 6 of the 16 elements of a line, at every depth another line in another page: on an
            // AMD Zen 3 laying them out anew lifts weight gradients from 114 to 154 GF/s. Those of 12 lose nothing.
            Blocks { repack_by_depth: level() == Level::Avx2, ..Blocks::LOW }
        });
        *BEST
    }

    /// A depth in blocks of about equal size.
    pub(super) fn depths(self, depth: usize) -> impl Iterator<Item = Range<usize>> {
        let each = depth.div_ceil(depth.div_ceil(self.depth).max(1)).max(1);
        (0..depth).step_by(each).map(move |start| start..(start + each).min(depth))
    }

    /// Blocks of rows, whole tiles (rows by columns) and as many for every thread; and of panels, where an output would be
    /// large, or the rows alone would not give every thread a few tasks.
    pub(crate) fn tasks(
        self,
        rows: usize,
        panels: usize,
        tile: [usize; 2],
        threads: usize,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let together = if rows < FEW_ROWS * threads { 1 } else { threads };
        let blocks = rows.div_ceil(self.rows).next_multiple_of(together).max(1);
        let block = rows.div_ceil(blocks).next_multiple_of(tile[0]).max(1);
        let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(blocks) };
        let across = (block * panels * tile[1]).div_ceil(TASK_OUTPUT).max(wanted).clamp(1, panels.max(1));
        let each = panels.div_ceil(across).max(1);
        (0..rows)
            .step_by(block)
            .flat_map(|row| (0..panels).step_by(each).map(move |panel| (row, panel)))
            .map(|(row, panel)| (row..(row + block).min(rows), panel..(panel + each).min(panels)))
            .collect()
    }
}

/// Whether the CPU says that Intel made it.
fn is_intel() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let leaf = std::arch::x86_64::__cpuid(0);
        [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_cover_every_element_once_in_whole_tiles() {
        for blocks in [Blocks::LOW, Blocks::HIGH] {
            for (rows, panels, threads) in [(1, 1, 1), (11, 48, 2), (97, 3, 2), (1728, 48, 2), (5000, 96, 3)]
            {
                let mut covered = vec![0; rows * panels];
                for (rows, across) in blocks.tasks(rows, panels, [12, 32], threads) {
                    assert!(rows.start.is_multiple_of(12) && rows.len() <= blocks.rows);
                    assert!(rows.len() * across.len() * 32 <= TASK_OUTPUT + rows.len() * 32);
                    for row in rows {
                        across.clone().for_each(|panel| covered[row * panels + panel] += 1);
                    }
                }
                assert!(covered.iter().all(|times| *times == 1), "{rows} {panels} {threads}");
            }
        }
    }

    #[test]
    fn few_rows_stay_together_and_threads_share_the_panels() {
        let tasks = Blocks::LOW.tasks(11, 48, [6, 16], 2);
        assert!(tasks.len() == 8 && tasks.iter().all(|(rows, _)| *rows == (0..11)));
    }
}
