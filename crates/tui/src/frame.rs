//! One frame: header, progress, the page, and the line of keys below.

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use temper_runs::Exclusions;

use crate::board::{Board, ended};
use crate::palette::Palette;
use crate::view::{Page, View};
use crate::wording::{duration, fit};
use crate::{chart, help, log, overview, queries, scores};

/// The smallest terminal that the pages fit into.
pub(crate) const SMALLEST: (u16, u16) = (80, 24);

/// Seconds for which an answer to a key stands.
pub(crate) const MESSAGE_SECONDS: f64 = 8.0;

/// Everything that a frame shows.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The run.
    pub board: &'a Board,
    /// What of it.
    pub view: &'a View,
    /// Where its events come from.
    pub status: Status,
    /// Pairs marked as wrong.
    pub marks: &'a Exclusions,
    /// With or without colour.
    pub palette: Palette,
    /// The moment that is shown, in Unix seconds.
    pub now: f64,
    /// Where clocks show it.
    pub zone: TimeZone,
}

/// Where the events come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    /// This process trains.
    Training,
    /// Another process trains.
    Attached,
    /// Nobody trains.
    Idle,
    /// Shown again, this many times as fast as it happened.
    Replay(f64),
}

/// Draws everything.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(frame, area, scene);
    }
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [header, progress, page, footer] = rows.areas(area);
    draw_header(frame, header, scene);
    frame.render_widget(progress_line(scene, progress.width), progress);
    match scene.view.page {
        Page::Overview if scene.view.full => chart::draw(frame, page, scene, scene.view.chart),
        Page::Overview => overview::draw(frame, page, scene),
        Page::Queries => queries::draw(frame, page, scene),
        Page::Scores => scores::draw_page(frame, page, scene),
        Page::Log => log::draw_page(frame, page, scene),
    }
    frame.render_widget(footer_line(scene), footer);
    if scene.view.help {
        help::draw(frame, area, scene);
    }
}

/// A part of a page: a line with its title, and the room below.
pub(crate) fn part<'a>(frame: &mut Frame, area: Rect, scene: &Scene, title: impl Into<Line<'a>>) -> Rect {
    let title = title.into().patch_style(scene.palette.title());
    let block = Block::new().borders(Borders::TOP).border_style(scene.palette.quiet()).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// Text in the style of what matters less.
pub(crate) fn quiet<'a>(scene: &Scene, text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
    Span::styled(text, scene.palette.quiet())
}

fn draw_header(frame: &mut Frame, area: Rect, scene: &Scene) {
    let tabs: Line<'_> = Page::ALL
        .iter()
        .enumerate()
        .flat_map(|(place, page)| {
            let style =
                if *page == scene.view.page { scene.palette.selected() } else { scene.palette.quiet() };
            [Span::styled(format!(" {} {} ", place + 1, page.title()), style)]
        })
        .collect();
    let [left, right] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(tabs.width() as u16)]).areas(area);
    let (status, style) = status(scene);
    let room = (left.width as usize).saturating_sub(status.chars().count() + 3);
    let mut spans = vec![
        Span::styled(fit(&scene.board.run, room), scene.palette.strong()),
        Span::raw("  "),
        Span::styled(status, style),
    ];
    if scene.view.paused {
        spans.insert(1, Span::styled(" PAUSED", scene.palette.warning()));
    }
    frame.render_widget(Line::from(spans), left);
    frame.render_widget(tabs, right);
}

fn status(scene: &Scene) -> (String, Style) {
    let palette = scene.palette;
    if let Status::Replay(speed) = scene.status {
        return (format!("replay x{speed}"), palette.warning());
    }
    match (scene.board.outcome, scene.status) {
        (Some(outcome), _) => {
            let text = ended(outcome).split([':', ',']).next().unwrap_or_default();
            (text.to_owned(), palette.good())
        }
        (None, Status::Idle) => ("not running".to_owned(), palette.warning()),
        (None, Status::Attached) => ("training, attached".to_owned(), palette.good()),
        (None, _) => ("training".to_owned(), palette.good()),
    }
}

fn progress_line<'a>(scene: &Scene, width: u16) -> Line<'a> {
    let board = scene.board;
    let share = (board.step as f64 / board.total_steps.max(1) as f64).min(1.0);
    let epoch = board.last().map(|last| format!("  epoch {:.2}", last.epoch)).unwrap_or_default();
    let left = match board.remaining_seconds(scene.now) {
        _ if board.outcome.is_some() || scene.status == Status::Idle => String::new(),
        Some(left) => format!(", about {} left", duration(left)),
        None => String::new(),
    };
    let time = format!("  {}{left}", duration(board.elapsed_seconds(scene.now)));
    let steps = format!("step {}/{}{epoch} ", board.step, board.total_steps);
    let percent = format!(" {:.0} %", (share * 100.0).floor());
    let taken = steps.chars().count() + percent.chars().count() + time.chars().count();
    let bar = (width as usize).saturating_sub(taken);
    let done = (bar as f64 * share).round() as usize;
    Line::from(vec![
        Span::raw(steps),
        Span::styled("━".repeat(done), scene.palette.line()),
        quiet(scene, "╌".repeat(bar - done)),
        Span::raw(percent + &time),
    ])
}

fn footer_line<'a>(scene: &'a Scene) -> Line<'a> {
    if scene.view.asking {
        let text = "stop after this step? It is saved and can be resumed.  y yes, any other key no";
        return Line::styled(text, scene.palette.warning());
    }
    if let Some((since, text)) = &scene.view.message
        && (scene.now - since).abs() < MESSAGE_SECONDS
    {
        return Line::styled(text.as_str(), scene.palette.warning());
    }
    let page: &[(&str, &str)] = match scene.view.page {
        Page::Overview => &[("←→", "chart"), ("+-", "zoom"), ("z", "full")],
        Page::Queries => &[("↑↓", "query"), ("m", "mark as wrong")],
        Page::Scores | Page::Log => &[("↑↓", "scroll")],
    };
    let run: &[(&str, &str)] =
        if scene.status == Status::Training { &[("c", "save"), ("x", "stop")] } else { &[] };
    let always = [("p", "pause"), ("q", "leave"), ("?", "help")];
    let keys = [&[("1-4", "page")], page, run, &always].concat();
    let words = |(key, does)| [Span::styled(key, scene.palette.strong()), quiet(scene, format!(" {does}  "))];
    keys.into_iter().flat_map(words).collect()
}

fn too_small(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (board, (width, height)) = (scene.board, SMALLEST);
    let text = format!(
        "step {}/{}\nThe dashboard needs {width}x{height};\nthis terminal has {}x{}.",
        board.step, board.total_steps, area.width, area.height
    );
    frame.render_widget(Paragraph::new(text), area);
}
