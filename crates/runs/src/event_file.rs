//! The few lines of a long event stream that a listing needs, without reading the rest of it.
//!
//! Steps never fall from line to line, since a resume cuts the stream back, so a step is found by halving.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;

use serde::Deserialize;

use crate::{Event, Stamped};

/// What is read from the end at first; four times as much where that does not do.
const TAIL_BYTES: u64 = 16 << 10;

/// A stretch that is read through in place of halving it further.
const SHORT_BYTES: u64 = 4 << 10;

/// An event stream, open for reading here and there.
#[derive(Debug)]
pub(crate) struct EventFile {
    file: BufReader<File>,
    bytes: u64,
}

/// The part of every event that says where it belongs.
#[derive(Deserialize)]
struct Place {
    step: u64,
}

impl EventFile {
    /// Opens the stream at `path`; none if there is no such file.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            file => {
                let file = file?;
                let bytes = file.metadata()?.len();
                Ok(Some(Self { file: BufReader::new(file), bytes }))
            }
        }
    }

    /// Why the first line is no event, if it is whole and none.
    pub(crate) fn first_problem(&mut self) -> io::Result<Option<serde_json::Error>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut line = Vec::new();
        self.file.read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice::<Stamped>(&line).err().filter(|_| line.ends_with(b"\n")))
    }

    /// Visits events from the first one on until told to stop. Lines that are none are passed over.
    pub(crate) fn each_from_start(&mut self, visit: impl FnMut(Event) -> ControlFlow<()>) -> io::Result<()> {
        self.forward(0, visit)
    }

    /// Visits events from the first one that belongs to `step` or a later one.
    pub(crate) fn each_from_step(
        &mut self,
        step: u64,
        visit: impl FnMut(Event) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let start = self.start_of(step)?;
        self.forward(start, visit)
    }

    /// Visits events from the last one back to the first until told to stop.
    pub(crate) fn each_from_end(
        &mut self,
        mut visit: impl FnMut(Event) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let (mut end, mut size) = (self.bytes, TAIL_BYTES);
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut block = vec![0; (end - start) as usize];
            self.file.seek(SeekFrom::Start(start))?;
            self.file.read_exact(&mut block)?;
            // The first line may have begun before the block.
            let whole = match block.iter().position(|&byte| byte == b'\n') {
                _ if start == 0 => 0,
                Some(first) => first + 1,
                None => block.len(),
            };
            for line in block[whole..].rsplit(|&byte| byte == b'\n') {
                if let Ok(stamped) = serde_json::from_slice::<Stamped>(line)
                    && visit(stamped.event).is_break()
                {
                    return Ok(());
                }
            }
            // With no line begun in the block, the end stays.
            end = if start == 0 { 0 } else { start + whole as u64 };
            size *= 4;
        }
        Ok(())
    }

    fn forward(&mut self, start: u64, mut visit: impl FnMut(Event) -> ControlFlow<()>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(start))?;
        let mut line = Vec::new();
        while self.file.read_until(b'\n', &mut line)? > 0 {
            if let Ok(stamped) = serde_json::from_slice::<Stamped>(&line)
                && visit(stamped.event).is_break()
            {
                return Ok(());
            }
            line.clear();
        }
        Ok(())
    }

    /// The start of a line before which every event belongs to an earlier step, close to the first that does not.
    fn start_of(&mut self, step: u64) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.bytes);
        while low + SHORT_BYTES < high {
            let middle = low + (high - low) / 2;
            match self.place_after(middle, high)? {
                Some((next, place)) if place.step < step => low = next,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first event whose line begins after `start` and before `end`, and where the line after it begins.
    fn place_after(&mut self, start: u64, end: u64) -> io::Result<Option<(u64, Place)>> {
        self.file.seek(SeekFrom::Start(start))?;
        let mut at = start + self.file.skip_until(b'\n')? as u64;
        let mut line = Vec::new();
        while at < end {
            line.clear();
            at += self.file.read_until(b'\n', &mut line)? as u64;
            if let Ok(place) = serde_json::from_slice(&line) {
                return Ok(Some((at, place)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn line(step: u64, bytes: usize) -> String {
        let message = "x".repeat(bytes);
        let event = Event::Warned { step, message };
        serde_json::to_string(&Stamped { time: step as f64, event }).unwrap() + "\n"
    }

    fn file(text: &str) -> (tempfile::TempDir, EventFile) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("events.jsonl");
        fs::write(&path, text).unwrap();
        let file = EventFile::open(&path).unwrap().unwrap();
        (root, file)
    }

    fn steps(
        count: usize,
        read: impl FnOnce(&mut dyn FnMut(Event) -> ControlFlow<()>) -> io::Result<()>,
    ) -> Vec<u64> {
        let mut steps = Vec::new();
        read(&mut |event| {
            steps.push(event.step());
            if steps.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
        steps
    }

    #[test]
    fn every_step_is_found_among_lines_of_any_length() {
        let lengths = [0, 30, 5_000, 70_000, 1];
        let text: String = (0..400).map(|n| line(n / 2 * 10, lengths[n as usize % 5])).collect();
        let (_root, mut file) = file(&text);
        for step in 0..200 {
            let found = steps(usize::MAX, |visit| file.each_from_step(step * 10, visit));
            let expected: Vec<u64> = found.iter().copied().filter(|&found| found >= step * 10).collect();
            assert_eq!(expected.len(), 400 - step as usize * 2, "{step}");
        }
        assert_eq!(
            steps(usize::MAX, |visit| file.each_from_end(visit)),
            (0..400).rev().map(|n| n / 2 * 10).collect::<Vec<_>>()
        );
        assert_eq!(steps(3, |visit| file.each_from_start(visit)), [0, 0, 10]);
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let text = format!("nonsense\n{}\n\n{}{}", line(1, 3), line(2, 3), &line(3, 3)[..20]);
        let (_root, mut file) = file(&text);
        assert!(file.first_problem().unwrap().is_some());
        assert_eq!(steps(9, |visit| file.each_from_end(visit)), [2, 1]);
        assert_eq!(steps(9, |visit| file.each_from_start(visit)), [1, 2]);
        assert_eq!(steps(9, |visit| file.each_from_step(2, visit)).last(), Some(&2));
    }

    #[test]
    fn an_empty_stream_and_one_that_is_absent_have_no_events() {
        let (_root, mut file) = file("");
        assert!(steps(9, |visit| file.each_from_end(visit)).is_empty());
        assert!(steps(9, |visit| file.each_from_step(5, visit)).is_empty());
        assert!(EventFile::open(Path::new("/nonexistent/events.jsonl")).unwrap().is_none());
    }
}
