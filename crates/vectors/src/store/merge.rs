//! Joining segments, so that looking a text up asks few files however often rows were added.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::segment::{Entry, Segment, write_parts};
use super::{Result, create_whole};

/// Segments of about one size that are joined to one.
const FAN_IN: usize = 8;

/// The segments to join next, ascending: enough of one order of magnitude.
pub(super) fn due(segments: &[Segment]) -> Option<Vec<usize>> {
    let magnitude = |segment: &Segment| segment.rows.max(1).ilog(FAN_IN);
    (0..=usize::BITS).find_map(|wanted| {
        let group: Vec<usize> =
            (0..segments.len()).filter(|at| magnitude(&segments[*at]) == wanted).collect();
        (group.len() >= FAN_IN).then_some(group)
    })
}

/// Writes one segment with the rows of several; vectors keep their checksums.
pub(super) fn merge(folder: &Path, dim: usize, segments: &[Segment], group: &[usize]) -> Result<PathBuf> {
    create_whole(folder, |file| {
        let group: Vec<&Segment> = group.iter().map(|at| &segments[*at]).collect();
        let rows = group.iter().map(|segment| segment.rows).sum();
        write_parts(file, dim, rows, in_order(&group)?, |output| {
            for segment in &group {
                io::copy(&mut segment.vectors()?, output)?;
            }
            output.flush()
        })
    })
}

/// The entries of all segments by key, with the rows that they will have.
fn in_order(group: &[&Segment]) -> io::Result<impl Iterator<Item = io::Result<Entry>> + use<>> {
    let mut base = 0;
    let mut streams = Vec::with_capacity(group.len());
    for segment in group {
        let start = base;
        let moved =
            move |entry: io::Result<Entry>| entry.map(|entry| Entry { row: entry.row + start, ..entry });
        streams.push(segment.entries()?.map(moved).peekable());
        base += segment.rows as u64;
    }
    Ok(std::iter::from_fn(move || {
        // A failed read counts as the smallest, so that it is told at once.
        let key = |entry: &io::Result<Entry>| entry.as_ref().ok().map(|entry| entry.key);
        let heads = streams.iter_mut().enumerate();
        let (_, at) = heads.filter_map(|(at, stream)| Some((key(stream.peek()?), at))).min()?;
        streams[at].next()
    }))
}
