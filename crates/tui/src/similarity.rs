//! How similar queries are to their positive and to the hardest negative, now and before the first step.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use temper_runs::Histogram;

use crate::frame::{Scene, part, quiet};

/// Draws the panel: for each kind its mean at step 0 and now, the bars now, and where there is room those of step 0.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let set = scene.view.set(scene.board);
    let all = scene.board.similarities.get(set).map(Vec::as_slice).unwrap_or_default();
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        let inside = part(frame, area, scene, " similarities ");
        let text = "known after an evaluation on pairs";
        frame.render_widget(Paragraph::new(quiet(scene, text)), inside);
        return;
    };
    let set = if set.is_empty() { String::new() } else { format!(" of {set}") };
    let gap = last.positive.mean - last.hardest_negative.mean;
    let gap_before = first.positive.mean - first.hardest_negative.mean;
    let title = format!(" similarities{set}, gap {gap:.3} ({:+.3}) ", gap - gap_before);
    let inside = part(frame, area, scene, title);

    let histograms = [&first.positive, &last.positive, &first.hardest_negative, &last.hardest_negative];
    let Some((low, high)) = range(&histograms) else { return };
    // A title for each kind, the axis, and the rest for bars; those of step 0 come from five rows on.
    let bars = (inside.height as usize).saturating_sub(3) / 2;
    let then = if bars >= 3 { bars / 3 } else { 0 };
    let width = inside.width as usize;
    let kinds = [
        ("positive", &first.positive, &last.positive, scene.palette.good()),
        ("hardest negative", &first.hardest_negative, &last.hardest_negative, scene.palette.bad()),
    ];
    let mut rows = Vec::new();
    for (name, before, now, style) in kinds {
        rows.push(heading(scene, name, before, now, style));
        rows.extend(bars_of(now, (low, high), width, bars - then, style));
        if then > 0 {
            let mut old = bars_of(before, (low, high), width, then, scene.palette.quiet());
            if let Some(last) = old.last_mut() {
                *last = labelled(std::mem::take(last), width, scene);
            }
            rows.extend(old);
        }
    }
    rows.push(Line::from(quiet(scene, axis(low, high, width))));
    frame.render_widget(Paragraph::new(rows), inside);
}

fn heading<'a>(scene: &Scene, name: &'a str, before: &Histogram, now: &Histogram, style: Style) -> Line<'a> {
    Line::from(vec![
        Span::styled(name, style),
        quiet(scene, format!("  {:.3} -> ", before.mean)),
        Span::styled(format!("{:.3}", now.mean), scene.palette.strong()),
        Span::raw(format!(" ({:+.3})", now.mean - before.mean)),
    ])
}

/// `step 0` at that end of a row of bars that has room for it.
fn labelled<'a>(line: Line<'a>, width: usize, scene: &Scene) -> Line<'a> {
    let (text, label) = (line.to_string(), "step 0");
    let (rest, blank) = (width.saturating_sub(label.len()), " ".repeat(label.len()));
    if text.ends_with(&blank) {
        Line::from(quiet(scene, text.chars().take(rest).collect::<String>() + label))
    } else if text.starts_with(&blank) {
        Line::from(quiet(scene, label.to_owned() + &text[blank.len()..]))
    } else {
        line
    }
}

/// The edges of the bins that hold anything.
fn range(histograms: &[&Histogram]) -> Option<(f64, f64)> {
    let mut range: Option<(f64, f64)> = None;
    for histogram in histograms {
        let step = bin_width(histogram);
        for (bin, _) in histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let low = histogram.low + step * bin as f64;
            range = Some(range.map_or((low, low + step), |(l, h)| (l.min(low), h.max(low + step))));
        }
    }
    range
}

fn bin_width(histogram: &Histogram) -> f64 {
    (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64
}

/// Bars of eighths, `height` rows high, one column a similarity.
fn bars_of<'a>(
    histogram: &Histogram,
    (low, high): (f64, f64),
    width: usize,
    height: usize,
    style: Style,
) -> Vec<Line<'a>> {
    let highest = histogram.counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let eighths: Vec<usize> = (0..width)
        .map(|column| {
            let at = low + (high - low) * (column as f64 + 0.5) / width as f64;
            let bin = ((at - histogram.low) / bin_width(histogram)) as usize;
            let count = histogram.counts.get(bin).copied().unwrap_or(0);
            // What is not zero shows.
            (count as f64 / highest * (height * 8) as f64).ceil() as usize
        })
        .collect();
    let row = |row: usize| {
        let below = (height - 1 - row) * 8;
        let block = |eighths: &usize| {
            [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths.saturating_sub(below).min(8)]
        };
        Line::styled(eighths.iter().map(block).collect::<String>(), style)
    };
    (0..height).map(row).collect()
}

fn axis(low: f64, high: f64, width: usize) -> String {
    let (left, middle, right) =
        (format!("{low:.2}"), format!("{:.2}", f64::midpoint(low, high)), format!("{high:.2}"));
    let room = width.saturating_sub(left.len() + right.len());
    format!("{left}{middle:^room$}{right}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_every_bin_that_holds_something() {
        let histogram =
            Histogram { low: -1.0, high: 1.0, counts: vec![0, 1, 100, 50], mean: 0.0, mean_square: 0.0 };
        assert_eq!(range(&[&histogram]), Some((-0.5, 1.0)));
        let rows = bars_of(&histogram, (-0.5, 1.0), 6, 2, Style::new());
        let text: Vec<String> = rows.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["  ██  ", "▁▁████"]);
        assert_eq!(axis(-0.5, 1.0, 20), "-0.50   0.25    1.00");
    }
}
