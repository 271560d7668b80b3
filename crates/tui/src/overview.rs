//! The first page: a chart, numbers, scores, similarities and what happened last.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use crate::frame::Scene;
use crate::view::Chart;
use crate::{chart, log, numbers, scores, similarity};

/// Rows from which small charts of the other quantities fit under the large one.
const TALL: u16 = 32;

/// Columns that a small chart needs.
const SMALL: u16 = 38;

/// Draws the page.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let small = if area.height >= TALL { area.height / 5 } else { 0 };
    let [charts, more, results, last] = Layout::vertical([
        Constraint::Min(8),
        Constraint::Length(small),
        Constraint::Length((area.height / 3).clamp(8, 20)),
        Constraint::Length((area.height / 6).clamp(4, 12)),
    ])
    .areas(area);
    let side = if area.width >= 110 { 40 } else { 31 };
    let [large, side] = columns(charts, [Constraint::Min(0), Constraint::Length(side)]);
    chart::draw(frame, large, scene, scene.view.chart);
    numbers::draw(frame, side, scene);
    if small > 0 {
        draw_small(frame, more, scene);
    }
    let [left, right] = columns(results, [Constraint::Fill(9), Constraint::Fill(11)]);
    scores::draw(frame, left, scene);
    similarity::draw(frame, right, scene);
    log::draw(frame, last, scene);
}

/// As many of the other charts as fit.
fn draw_small(frame: &mut Frame, area: Rect, scene: &Scene) {
    let count = (area.width / SMALL) as usize;
    let others = Chart::ALL.into_iter().filter(|chart| *chart != scene.view.chart);
    let places = Layout::horizontal(vec![Constraint::Fill(1); count]).spacing(1).split(area);
    for (chart, place) in others.zip(places.iter()) {
        chart::draw(frame, *place, scene, chart);
    }
}

fn columns(area: Rect, widths: [Constraint; 2]) -> [Rect; 2] {
    Layout::horizontal(widths).spacing(1).areas(area)
}
