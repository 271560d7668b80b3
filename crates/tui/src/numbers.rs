//! The training numbers of the last log line, each with its course.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::chart::{examples, spark};
use crate::frame::{Scene, part, quiet};
use crate::view::Chart;
use crate::wording::{bytes, number};

/// Draws the panel.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let inside = part(frame, area, scene, " numbers ");
    let charts = [
        (Chart::Loss, "loss".to_owned()),
        (Chart::LearningRate, "learn. rate".to_owned()),
        (Chart::GradNorm, "grad. norm".to_owned()),
        (Chart::TokensPerSecond, "tokens/s".to_owned()),
        (Chart::ExamplesPerSecond, format!("{}/s", examples(scene.board))),
        (Chart::Memory, "memory".to_owned()),
    ];
    let row = |(chart, name): (Chart, String)| {
        let value = scene.board.last().map_or(f64::NAN, |last| chart.value(last));
        let shown = match chart {
            Chart::Memory => bytes(value),
            _ => number(value),
        };
        let width = (inside.width as usize).saturating_sub(23);
        Line::from(vec![
            quiet(scene, format!("{name:<12}")),
            Span::styled(format!("{shown:>9}  "), scene.palette.strong()),
            spark(scene, chart, width),
        ])
    };
    let mut rows: Vec<Line> = charts.into_iter().map(row).collect();
    if let Some(peak) = scene.board.steps.iter().filter_map(|numbers| numbers.memory).max() {
        rows.push(Line::from(quiet(scene, format!("{:<12}{:>9}", "  peak", bytes(peak as f64)))));
    }
    let of_set = |(name, loss): (&String, &f64)| {
        let name = quiet(scene, format!("  {name:<10.10}"));
        Line::from(vec![name, Span::styled(format!("{:>9}", number(*loss)), scene.palette.strong())])
    };
    if !scene.board.set_losses.is_empty() {
        rows.push(Line::from(quiet(scene, "loss of set".to_owned())));
        rows.extend(scene.board.set_losses.iter().map(of_set));
    }
    frame.render_widget(Paragraph::new(rows), inside);
}
