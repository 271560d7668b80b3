//! Every key, over the page.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::frame::{Scene, Status};

const KEYS: [(&str, &str); 17] = [
    ("1 2 3 4, Tab", "page: overview, worst queries, scores, log and plan"),
    ("← →", "another chart"),
    ("z", "the chart alone, or all panels"),
    ("+ - 0", "zoom to the last half, quarter ... of the steps; 0 all"),
    ("s", "smoothing: 0.6, 0.9, 0.97, none (dots are as logged)"),
    ("e", "another evaluation set"),
    ("↑ ↓ PgUp PgDn", "select a query, scroll scores or log"),
    ("m", "worst queries: mark the pair as wrong, or not"),
    ("", "  (into exclusions.jsonl of the run)"),
    ("p, space", "pause: nothing moves until pressed again"),
    ("c", "save a checkpoint after this step"),
    ("x", "stop after this step; saved, can be resumed"),
    ("q", ""),
    ("Ctrl-C", "as everywhere: stop after this step, twice at once"),
    ("", ""),
    ("", "> decides which checkpoint is best    * best so far"),
    ("", "any key closes this"),
];

/// Draws the overlay.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let inside = area.centered(Constraint::Length(74), Constraint::Length(KEYS.len() as u16 + 2));
    let trains = scene.status == Status::Training;
    let row = |(key, does): (&'static str, &'static str)| {
        let does = match key {
            "q" if trains => "leave the dashboard; training goes on with plain lines",
            "q" => "leave; the run goes on",
            "c" | "x" if !trains => "only in the terminal that trains",
            "Ctrl-C" if !trains => "leave",
            _ => does,
        };
        Line::from(vec![Span::styled(format!(" {key:14}"), scene.palette.strong()), Span::raw(does)])
    };
    let block = Block::bordered().title(Span::styled(" keys ", scene.palette.title()));
    frame.render_widget(Clear, inside);
    frame.render_widget(Paragraph::new(KEYS.map(row).to_vec()).block(block), inside);
}
