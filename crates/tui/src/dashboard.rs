//! The loop of the dashboard: take events in, take keys in, draw when something changed.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ratatui::crossterm::event::{self, Event as Input, KeyEvent, KeyEventKind};
use temper_runs::{Exclusions, RunFolder};

use crate::board::Board;
use crate::error::Error;
use crate::frame::{Scene, Status, draw};
use crate::palette::Palette;
use crate::screen::Screen;
use crate::source::Source;
use crate::view::{Action, View};

/// How long it sleeps while nothing is pressed.
const TICK: Duration = Duration::from_millis(100);

/// Between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(250);

/// What a person asks of the training beside the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Save a checkpoint after the current step.
    Save,
    /// Save and end after the current step.
    Stop,
    /// Ctrl-C, which no longer makes a signal.
    Interrupt,
}

/// Why the dashboard was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The training it showed is over, or the terminal was given back.
    Closed,
    /// A person has seen enough.
    Quit,
    /// Ctrl-C, where there is no training to ask.
    Interrupted,
}

/// Whom requests go to.
pub(crate) type Ask = Box<dyn FnMut(Request) + Send>;

/// A dashboard that owns the terminal.
pub(crate) struct Dashboard {
    screen: Screen,
    source: Source,
    ask: Option<Ask>,
    board: Board,
    view: View,
    marks: Exclusions,
    palette: Palette,
    zone: TimeZone,
}

impl Dashboard {
    /// Takes the terminal over to show `source`; without `ask`, nothing can be asked of the training.
    pub(crate) fn open(
        folder: &RunFolder,
        board: Board,
        source: Source,
        ask: Option<Ask>,
    ) -> Result<Self, Error> {
        let path = folder.exclusions_path();
        // One that cannot be read is told when a pair is to be marked.
        let marks = Exclusions::open(&path).unwrap_or_else(|_| Exclusions::none(&path));
        Ok(Self {
            screen: Screen::enter().map_err(Error::Terminal)?,
            source,
            ask,
            board,
            view: View::default(),
            marks,
            palette: Palette::from_environment(),
            zone: TimeZone::system(),
        })
    }

    /// Shows until a person leaves or the training is over.
    pub(crate) fn run(mut self) -> Result<Left, Error> {
        let (mut changed, mut drawn, mut second) = (true, None::<Instant>, 0.0);
        loop {
            if !self.view.paused {
                changed |= self.source.poll(&mut self.board)?;
                changed |= self.moment().floor() != second;
            }
            if self.source.is_closed() || !Screen::is_owned() {
                return Ok(Left::Closed);
            }
            if changed && drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
                self.draw()?;
                (changed, drawn, second) = (false, Some(Instant::now()), self.moment().floor());
            }
            if event::poll(TICK).map_err(Error::Terminal)? {
                if let Some(left) = self.react(event::read().map_err(Error::Terminal)?)? {
                    return Ok(left);
                }
                (changed, drawn) = (true, None);
            }
        }
    }

    fn draw(&mut self) -> Result<(), Error> {
        let scene = Scene {
            board: &self.board,
            view: &self.view,
            status: self.source.status(),
            marks: &self.marks,
            palette: self.palette,
            now: self.source.now(&self.board),
            zone: self.zone.clone(),
        };
        self.screen.draw(|frame| draw(frame, &scene)).map_err(Error::Terminal)
    }

    fn moment(&self) -> f64 {
        self.source.now(&self.board)
    }

    fn react(&mut self, input: Input) -> Result<Option<Left>, Error> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => Ok(self.press(key)),
            Input::Resize(..) => self.screen.clear().map(|()| None).map_err(Error::Terminal),
            _ => Ok(None),
        }
    }

    fn press(&mut self, key: KeyEvent) -> Option<Left> {
        let trains = self.source.status() == Status::Training;
        match self.view.press(key, &self.board) {
            Action::Nothing => {}
            Action::Leave => return Some(Left::Quit),
            Action::Interrupt if !trains => return Some(Left::Interrupted),
            Action::Interrupt => {
                self.request(Request::Interrupt, "stopping after this step; Ctrl-C again leaves at once");
            }
            Action::Save => self.request(Request::Save, "a checkpoint will be saved after this step"),
            Action::Stop => self.request(Request::Stop, "stopping after this step, then saving"),
            Action::Mark => self.mark(),
        }
        None
    }

    fn request(&mut self, request: Request, answer: &str) {
        let answer = match &mut self.ask {
            Some(ask) => {
                ask(request);
                answer
            }
            None => "only in the terminal that trains: this one just watches the run's files",
        };
        self.answer(answer.to_owned());
    }

    fn mark(&mut self) {
        let set = self.view.set(&self.board);
        let queries = self.board.worst.get(set).map(|(_, queries)| queries.as_slice()).unwrap_or_default();
        let selected = self.view.query.min(queries.len().saturating_sub(1));
        let Some(worst) = queries.get(selected) else { return };
        let answer = match self.marks.toggle(&worst.query, &worst.positive) {
            Ok(true) => format!("marked as wrong in {}", self.marks.path().display()),
            Ok(false) => format!("no longer marked in {}", self.marks.path().display()),
            Err(error) => error.to_string(),
        };
        self.answer(answer);
    }

    fn answer(&mut self, text: String) {
        self.view.message = Some((self.source.now(&self.board), text));
    }
}
