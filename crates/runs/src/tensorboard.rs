//! A run's log for TensorBoard, under the tags of the Hugging Face Trainer.
//!
//! Records are made by tensorboard-rs and written to our own file: its `SummaryWriter` hands them to a thread that
//! panics when a write fails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::{Event as Record, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::{Summary, Summary_Value};
use tensorboard_rs::record_writer::RecordWriter;

use crate::append::AppendFile;
use crate::sealed::names_in;
use crate::{Error, Stamped, summaries};

const PREFIX: &str = "events.out.tfevents.";

/// One TensorBoard event file, open for writing.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: AppendFile,
    /// The first step that this file may hold.
    first_step: i64,
}

impl TensorBoard {
    /// Begins a new file in `dir`, for a run that goes on after `start_step` or, at 0, begins; TensorBoard drops the
    /// later steps of earlier files.
    pub fn create(dir: &Path, start_step: u64) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let existing = names_in(dir)?;
        let path = dir.join(next_name(&existing, now.as_secs()));
        let file = AppendFile::open(&path, 0).map_err(Error::io("create", &path))?;
        // `start_step` itself was taken, but a run that begins again takes 0 again too.
        let first_step = if start_step == 0 { 0 } else { start_step as i64 + 1 };
        let mut board = Self { path, file, first_step };
        board.write(&version(now.as_secs_f64()))?;
        if existing.iter().any(|name| seconds_of(name).is_some()) {
            board.write(&session_start(first_step, now.as_secs_f64()))?;
        }
        Ok(board)
    }

    /// A board on a device that is full.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn on_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = AppendFile::open(&path, 0).expect("Linux has this device");
        Self { path, file, first_step: 0 }
    }

    /// The file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the run's config (TOML) and manifest (JSON) as texts, and the config as hyperparameters.
    pub(crate) fn describe(&mut self, config: &str, manifest: &str) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let texts =
            [summaries::code("config", "toml", config), summaries::code("manifest", "json", manifest)];
        let hparams = config.parse().ok().map(|config| summaries::session_start(&config, now));
        self.add(texts.into_iter().chain(hparams).collect(), self.first_step, now)
    }

    /// Adds what `stamped` has to show: the numbers of a step, the scores or the similarities of an evaluation.
    pub fn log(&mut self, stamped: &Stamped) -> Result<(), Error> {
        let values = summaries::of_event(&stamped.event, stamped.time);
        self.add(values, stamped.event.step() as i64, stamped.time)
    }

    fn add(&mut self, values: Vec<Summary_Value>, step: i64, wall_time: f64) -> Result<(), Error> {
        if values.is_empty() {
            return Ok(());
        }
        let mut summary = Summary::new();
        summary.set_value(RepeatedField::from_vec(values));
        let mut record = Record::new();
        record.set_wall_time(wall_time);
        record.set_step(step);
        record.set_summary(summary);
        self.write(&record)
    }

    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let mut framed = Vec::new();
        record
            .write_to_bytes()
            .map_err(io::Error::from)
            .and_then(|bytes| RecordWriter::new(&mut framed).write(&bytes))
            .and_then(|()| self.file.append(&framed))
            .map_err(Error::io("write", &self.path))
    }
}

fn version(wall_time: f64) -> Record {
    let mut record = Record::new();
    record.set_wall_time(wall_time);
    record.set_file_version("brain.Event:2".to_owned());
    record
}

/// TensorBoard drops the steps of earlier files at and after a START.
fn session_start(first_step: i64, wall_time: f64) -> Record {
    let mut session = SessionLog::new();
    session.set_status(SessionLog_SessionStatus::START);
    let mut record = Record::new();
    record.set_wall_time(wall_time);
    record.set_step(first_step);
    record.set_session_log(session);
    record
}

/// TensorBoard reads files in the order of their names: a new one is named a second after the last, if not later.
fn next_name(existing: &[String], now_seconds: u64) -> String {
    let after_last = existing.iter().filter_map(|name| seconds_of(name)).max().map_or(0, |last| last + 1);
    format!("{PREFIX}{:010}.temper", now_seconds.max(after_last))
}

fn seconds_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::Event;

    fn evaluated(step: u64) -> Stamped {
        Stamped::now(Event::Evaluated {
            step,
            epoch: 0.0,
            scores: BTreeMap::from([("ndcg@10".to_owned(), 0.5)]),
            metric: "ndcg@10".into(),
            best: false,
            elapsed_seconds: 0.0,
        })
    }

    /// Splits the records of a file: length, its checksum, the bytes, their checksum.
    fn records(path: &Path) -> Vec<Record> {
        let mut bytes = &fs::read(path).unwrap()[..];
        let mut records = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            records.push(Record::parse_from_bytes(&rest[4..4 + length]).unwrap());
            bytes = &rest[4 + length + 4..];
        }
        records
    }

    #[test]
    fn a_resume_is_a_later_file_that_starts_after_the_checkpoints_step() {
        let root = tempfile::tempdir().unwrap();
        let mut first = TensorBoard::create(root.path(), 0).unwrap();
        first.describe("seed = 42", "{}").unwrap();
        first.log(&evaluated(1)).unwrap();
        let second = TensorBoard::create(root.path(), 400).unwrap();
        assert!(first.path() < second.path());
        let first = records(first.path());
        assert_eq!(first[0].get_file_version(), "brain.Event:2");
        let tags = |record: &Record| {
            record
                .get_summary()
                .get_value()
                .iter()
                .map(|value| value.get_tag().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(tags(&first[1]), ["config", "manifest", "_hparams_/session_start_info"]);
        assert_eq!((tags(&first[2]), first[2].get_step()), (vec!["eval/ndcg@10".to_owned()], 1));
        assert_eq!(first.len(), 3);
        let second = records(second.path());
        assert_eq!(second[1].get_session_log().get_status(), SessionLog_SessionStatus::START);
        assert_eq!(second[1].get_step(), 401);
        let third = records(TensorBoard::create(root.path(), 0).unwrap().path());
        assert_eq!((third[1].has_session_log(), third[1].get_step()), (true, 0));
    }

    #[test]
    fn names_sort_whatever_the_clock_says() {
        assert_eq!(next_name(&[], 1700000000), "events.out.tfevents.1700000000.temper");
        let existing = ["events.out.tfevents.1700000005.temper".to_owned(), "notes.txt".to_owned()];
        for now in [1700000000, 1700000005] {
            assert_eq!(next_name(&existing, now), "events.out.tfevents.1700000006.temper");
        }
        assert_eq!(next_name(&existing, 1700000009), "events.out.tfevents.1700000009.temper");
    }
}
