//! Where a dashboard's events come from: the training beside it, the files of a run, or the past at another speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use temper_runs::{Event, RunFolder, Stamped, Tail};

use crate::board::Board;
use crate::error::Error;
use crate::frame::Status;

/// Between two looks at whether somebody trains.
const LOOK: Duration = Duration::from_secs(2);

/// A source of events.
pub(crate) enum Source {
    /// The training of this process.
    Live(Receiver<Stamped>, Arc<AtomicBool>),
    /// A run folder.
    Files(Followed),
    /// What happened, again.
    Replay(Replay),
}

impl Source {
    /// Hands what is new to the board; says whether anything was.
    pub(crate) fn poll(&mut self, board: &mut Board) -> Result<bool, Error> {
        match self {
            Self::Live(events, _) => Ok(events.try_iter().map(|event| board.apply(&event)).count() > 0),
            Self::Files(followed) => followed.poll(board),
            Self::Replay(replay) => Ok(replay.poll(board)),
        }
    }

    /// Whether the training that feeds the dashboard is over.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Live(_, closed) if closed.load(Ordering::SeqCst))
    }

    /// What is to be said of it.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Live(..) => Status::Training,
            Self::Files(followed) if followed.alive => Status::Attached,
            Self::Files(_) => Status::Idle,
            Self::Replay(replay) => Status::Replay(replay.speed),
        }
    }

    /// The moment to show; time stands still where nothing goes on.
    pub(crate) fn now(&self, board: &Board) -> f64 {
        match self {
            _ if board.outcome.is_some() => board.time,
            Self::Replay(replay) => board.time + replay.since_last(),
            Self::Files(followed) if !followed.alive => board.time,
            Self::Files(_) | Self::Live(..) => clock(),
        }
    }
}

/// Unix seconds.
pub(crate) fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A run that is read from its files.
pub(crate) struct Followed {
    tail: Tail,
    folder: RunFolder,
    alive: bool,
    looked: Option<Instant>,
}

impl Followed {
    pub(crate) fn new(folder: &RunFolder) -> Self {
        Self { tail: Tail::new(&folder.events_path()), folder: folder.clone(), alive: false, looked: None }
    }

    fn poll(&mut self, board: &mut Board) -> Result<bool, Error> {
        let was_alive = self.alive;
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            (self.alive, self.looked) = (self.folder.is_alive(), Some(Instant::now()));
        }
        let news = self.tail.poll()?;
        if news.restarted {
            *board = Board::default();
        }
        for event in &news.events {
            board.apply(event);
        }
        if news.unreadable > 0 {
            let message = format!("{} lines are no events of this version of temper", news.unreadable);
            let event = Event::Warned { step: board.step, message };
            board.apply(&Stamped { time: board.time, event });
        }
        let changed = news.restarted || !news.events.is_empty() || news.unreadable > 0;
        Ok(changed || was_alive != self.alive)
    }
}

/// Events at the pace they came, or faster.
pub(crate) struct Replay {
    /// Seconds from the first event, without the time between an interruption and its resume.
    events: Vec<(f64, Stamped)>,
    next: usize,
    position: f64,
    polled: Option<Instant>,
    speed: f64,
}

impl Replay {
    pub(crate) fn new(events: Vec<Stamped>, speed: f64) -> Self {
        let (mut at, mut before) = (0.0, events.first().map_or(0.0, |first| first.time));
        let placed = events.into_iter().map(|event| {
            if !matches!(event.event, Event::Started { .. }) {
                at += (event.time - before).max(0.0);
            }
            before = event.time;
            (at, event)
        });
        Self { events: placed.collect(), next: 0, position: 0.0, polled: None, speed }
    }

    fn poll(&mut self, board: &mut Board) -> bool {
        // A pause of the dashboard stops the replay: nobody polls then.
        let passed = self.polled.map_or(0.0, |polled| polled.elapsed().as_secs_f64().min(0.5));
        self.polled = Some(Instant::now());
        self.advance(passed, board)
    }

    fn advance(&mut self, seconds: f64, board: &mut Board) -> bool {
        self.position += seconds * self.speed;
        let due = self.events[self.next..].iter().take_while(|(at, _)| *at <= self.position);
        let applied = due.map(|(_, event)| board.apply(event)).count();
        self.next += applied;
        applied > 0
    }

    fn since_last(&self) -> f64 {
        match self.next.checked_sub(1).map(|last| self.events[last].0) {
            Some(at) if self.next < self.events.len() => self.position - at,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn warned(time: f64, step: u64) -> Stamped {
        Stamped { time, event: Event::Warned { step, message: "m".into() } }
    }

    fn started(time: f64, step: u64) -> Stamped {
        let event = Event::Started { run: "x".into(), step, total_steps: 9, plan: serde_json::Value::Null };
        Stamped { time, event }
    }

    #[test]
    fn a_replay_keeps_the_pace_but_not_the_time_away() {
        let events = vec![started(100.0, 0), warned(104.0, 1), started(9000.0, 1), warned(9002.0, 2)];
        let (mut replay, mut board) = (Replay::new(events, 2.0), Board::default());
        assert!(replay.advance(0.0, &mut board));
        assert!(!replay.advance(1.9, &mut board));
        assert!(replay.advance(0.1, &mut board));
        assert_eq!((board.step, replay.since_last()), (1, 0.0));
        assert!(replay.advance(1.0, &mut board));
        assert_eq!((board.step, board.time), (2, 9002.0));
    }

    #[test]
    fn a_run_that_is_resumed_is_followed_from_its_cut() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::create_exact(&root.path().join("x")).unwrap();
        let mut log = temper_runs::EventLog::open(&run.events_path()).unwrap();
        for event in [started(0.0, 0), warned(1.0, 1), warned(2.0, 2)] {
            log.append(&event).unwrap();
        }
        let (mut followed, mut board) = (Followed::new(&run), Board::default());
        assert!(followed.poll(&mut board).unwrap());
        assert_eq!((board.step, board.lines.len()), (2, 3));
        assert!(!followed.poll(&mut board).unwrap());
        log.cut_back_to(1).unwrap();
        log.append(&started(5.0, 1)).unwrap();
        assert!(followed.poll(&mut board).unwrap());
        let lines: Vec<&str> = board.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["started: 9 steps", "m", "resumed after step 1 of 9"]);
    }
}
