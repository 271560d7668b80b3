//! What happened, in words: the end of it on the overview, all of it and the plan on a page.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use serde_json::Value;

use crate::board::{self, Kind};
use crate::frame::{Scene, part, quiet};
use crate::wording::{fit, one_line, wrap};

/// Columns from which the plan stands beside the log.
const WIDE: u16 = 110;

/// The panel of the overview: the newest lines, each cut to one row.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let inside = part(frame, area, scene, " events ");
    let lines = &scene.board.lines;
    let first = lines.len().saturating_sub(inside.height as usize);
    let rows = lines.iter().skip(first).map(|line| {
        let stamp = stamp(scene, line);
        let room = (inside.width as usize).saturating_sub(stamp.chars().count());
        row(scene, line, stamp, fit(&one_line(&line.text), room))
    });
    frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()), inside);
}

/// The page: every line in full, newest last, and the plan.
pub(crate) fn draw_page(frame: &mut Frame, area: Rect, scene: &Scene) {
    let plan = plan(&scene.board.plan);
    let [log, side] = if area.width >= WIDE {
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).spacing(1).areas(area)
    } else {
        let room = (plan.len() as u16 + 1).min(area.height / 2);
        Layout::vertical([Constraint::Min(0), Constraint::Length(room)]).areas(area)
    };
    let inside = part(frame, side, scene, " plan ");
    let width = (inside.width as usize).saturating_sub(22);
    let plan_rows = plan.iter().map(|(name, value)| {
        Line::from(vec![quiet(scene, format!("{:22}", fit(name, 21))), Span::raw(fit(value, width))])
    });
    frame.render_widget(Paragraph::new(plan_rows.collect::<Vec<_>>()), inside);

    let inside = part(frame, log, scene, " log ");
    let lines = &scene.board.lines;
    let shown = lines.len().saturating_sub(scene.view.scroll);
    let mut rows: Vec<Line> = Vec::new();
    // From the end, until the room is full.
    for line in lines.iter().take(shown).rev() {
        let stamp = stamp(scene, line);
        let width = (inside.width as usize).saturating_sub(stamp.chars().count()).max(1);
        let indent = " ".repeat(stamp.chars().count());
        let text = wrap(&one_line(&line.text), width);
        for (place, part) in text.into_iter().enumerate().rev() {
            rows.push(row(scene, line, if place == 0 { stamp.clone() } else { indent.clone() }, part));
        }
        if rows.len() >= inside.height as usize {
            break;
        }
    }
    rows.truncate(inside.height as usize);
    rows.reverse();
    frame.render_widget(Paragraph::new(rows), inside);
}

fn row<'a>(scene: &Scene, line: &board::Line, stamp: String, text: String) -> Line<'a> {
    let style = match line.kind {
        Kind::Course => ratatui::style::Style::new(),
        Kind::Score => scene.palette.line(),
        Kind::Best => scene.palette.good(),
        Kind::Warning => scene.palette.warning(),
    };
    Line::from(vec![quiet(scene, stamp), Span::styled(text, style)])
}

fn stamp(scene: &Scene, line: &board::Line) -> String {
    let time = Timestamp::from_second(line.time as i64).unwrap_or_default().to_zoned(scene.zone.clone());
    let mark = if line.kind == Kind::Warning { "warning: " } else { "" };
    format!("{}  step {:<6} {mark}", time.strftime("%H:%M:%S"), line.step)
}

/// The plan's fields, whatever they are in this version.
fn plan(plan: &Value) -> Vec<(String, String)> {
    let Some(fields) = plan.as_object() else { return Vec::new() };
    let mut rows = Vec::new();
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            Value::Null => {}
            Value::Array(values) => rows.extend(values.iter().map(|value| (name.clone(), text(value)))),
            value => rows.push((name, text(value))),
        }
    }
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        value => value.to_string(),
    }
}
