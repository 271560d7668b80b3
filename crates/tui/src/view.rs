//! What a person chose to see, and what keys do to it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::board::{Board, Numbers};

/// The pages, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "named by `title`")]
pub enum Page {
    #[default]
    Overview,
    Queries,
    Scores,
    Log,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 4] = [Self::Overview, Self::Queries, Self::Scores, Self::Log];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Queries => "worst queries",
            Self::Scores => "scores",
            Self::Log => "log",
        }
    }
}

/// What a chart shows over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "as in `Event::Step`")]
pub enum Chart {
    #[default]
    Loss,
    Score,
    LearningRate,
    GradNorm,
    TokensPerSecond,
    ExamplesPerSecond,
    Memory,
}

impl Chart {
    /// Every chart.
    pub const ALL: [Self; 7] = [
        Self::Loss,
        Self::Score,
        Self::LearningRate,
        Self::GradNorm,
        Self::TokensPerSecond,
        Self::ExamplesPerSecond,
        Self::Memory,
    ];

    /// The value at one logged step; scores are not among those.
    pub fn value(self, numbers: &Numbers) -> f64 {
        match self {
            Self::Loss => numbers.loss,
            Self::Score => f64::NAN,
            Self::LearningRate => numbers.learning_rate,
            Self::GradNorm => numbers.grad_norm,
            Self::TokensPerSecond => numbers.tokens_per_second,
            Self::ExamplesPerSecond => numbers.examples_per_second,
            Self::Memory => numbers.memory.map_or(f64::NAN, |bytes| bytes as f64),
        }
    }
}

/// What a key asks of the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The view changed at most.
    Nothing,
    /// Close the dashboard.
    Leave,
    /// As Ctrl-C everywhere.
    Interrupt,
    /// Save a checkpoint after the current step.
    Save,
    /// End the run after the current step.
    Stop,
    /// Mark the selected pair as wrong, or take its mark away.
    Mark,
}

/// The state of the screen beside the run's.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct View {
    /// The page that is shown.
    pub page: Page,
    /// The chart that is shown large.
    pub chart: Chart,
    /// The chart alone fills the page.
    pub full: bool,
    /// The last `1 / 2^zoom` of the steps are shown.
    pub zoom: u32,
    /// Index into `SMOOTHING`.
    pub smoothing: usize,
    /// New events wait.
    pub paused: bool,
    /// The keys are explained.
    pub help: bool,
    /// Index into the board's evaluation sets.
    pub set: usize,
    /// The worst query that is looked at.
    pub query: usize,
    /// Lines scrolled away from the end of the log, or from the top of the scores.
    pub scroll: usize,
    /// Whether to stop is being asked.
    pub asking: bool,
    /// An answer to a key, and when it was given.
    pub message: Option<(f64, String)>,
}

/// Weights of the past in the smoothed line, as TensorBoard's slider.
pub const SMOOTHING: [f64; 4] = [0.6, 0.9, 0.97, 0.0];

/// Beyond this nothing would be left to see.
const MAX_ZOOM: u32 = 10;

/// Lines that a page key moves by.
const PAGE: usize = 10;

impl View {
    /// Takes a key in.
    pub fn press(&mut self, key: KeyEvent, board: &Board) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Action::Interrupt } else { Action::Nothing };
        }
        if std::mem::take(&mut self.asking) {
            return if key.code == KeyCode::Char('y') { Action::Stop } else { Action::Nothing };
        }
        if std::mem::take(&mut self.help) {
            return Action::Nothing;
        }
        self.message = None;
        match key.code {
            KeyCode::Char('q') => return Action::Leave,
            KeyCode::Char('c') => return Action::Save,
            KeyCode::Char('m') if self.page == Page::Queries => return Action::Mark,
            KeyCode::Char('x') => self.asking = true,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char(digit @ '1'..='4') => self.turn_to(digit as usize - '1' as usize),
            KeyCode::Tab => self.turn_to((self.page as usize + 1) % Page::ALL.len()),
            KeyCode::BackTab => self.turn_to((self.page as usize + Page::ALL.len() - 1) % Page::ALL.len()),
            KeyCode::Right | KeyCode::Char('l') => self.next_chart(1),
            KeyCode::Left | KeyCode::Char('h') => self.next_chart(Chart::ALL.len() - 1),
            KeyCode::Char('z') => self.full = !self.full,
            KeyCode::Char('+' | '=') => self.zoom = (self.zoom + 1).min(MAX_ZOOM),
            KeyCode::Char('-') => self.zoom = self.zoom.saturating_sub(1),
            KeyCode::Char('0') => self.zoom = 0,
            KeyCode::Char('s') => self.smoothing = (self.smoothing + 1) % SMOOTHING.len(),
            KeyCode::Char(' ' | 'p') => self.paused = !self.paused,
            KeyCode::Char('e') => {
                (self.set, self.query) = ((self.set + 1) % board.sets().len().max(1), 0);
            }
            KeyCode::Down | KeyCode::Char('j') => self.shift(board, 1, true),
            KeyCode::Up | KeyCode::Char('k') => self.shift(board, 1, false),
            KeyCode::PageDown => self.shift(board, PAGE, true),
            KeyCode::PageUp => self.shift(board, PAGE, false),
            KeyCode::Home => self.shift(board, usize::MAX, false),
            KeyCode::End => self.shift(board, usize::MAX, true),
            _ => {}
        }
        Action::Nothing
    }

    /// The evaluation set that is looked at; empty where there is only one or none.
    pub fn set<'a>(&self, board: &'a Board) -> &'a str {
        board.sets().get(self.set).copied().unwrap_or_default()
    }

    fn turn_to(&mut self, page: usize) {
        (self.page, self.scroll) = (Page::ALL[page], 0);
    }

    fn next_chart(&mut self, by: usize) {
        self.chart = Chart::ALL[(self.chart as usize + by) % Chart::ALL.len()];
    }

    /// Moves down or up on the page; the log ends at the bottom, so it scrolls the other way round.
    fn shift(&mut self, board: &Board, by: usize, down: bool) {
        let (place, last, forward) = match self.page {
            Page::Overview => return,
            Page::Queries => {
                let queries = board.worst.get(self.set(board)).map_or(0, |(_, queries)| queries.len());
                (&mut self.query, queries.saturating_sub(1), down)
            }
            Page::Scores => {
                let scores = board.evaluations.last().map_or(0, |evaluation| evaluation.scores.len());
                (&mut self.scroll, scores.saturating_sub(1), down)
            }
            Page::Log => (&mut self.scroll, board.lines.len().saturating_sub(1), !down),
        };
        *place =
            if forward { place.saturating_add(by).min(last) } else { place.saturating_sub(by).min(last) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, keys: &str) -> Vec<Action> {
        let key = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        keys.chars().map(|c| view.press(key(c), &Board::default())).collect()
    }

    #[test]
    fn stopping_is_asked_and_only_y_confirms() {
        let mut view = View::default();
        assert_eq!(press(&mut view, "xy"), [Action::Nothing, Action::Stop]);
        assert_eq!(press(&mut view, "xq"), [Action::Nothing, Action::Nothing]);
        assert_eq!(press(&mut view, "yq"), [Action::Nothing, Action::Leave]);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt, &Board::default()), Action::Interrupt);
    }

    #[test]
    fn pages_charts_and_zoom_turn_round() {
        let mut view = View::default();
        press(&mut view, "2h++-s?m");
        assert_eq!((view.page, view.chart, view.zoom, view.smoothing), (Page::Queries, Chart::Memory, 1, 1));
        assert!(!view.help, "any key closes the help");
        assert_eq!(press(&mut view, "m1m"), [Action::Mark, Action::Nothing, Action::Nothing]);
    }
}
