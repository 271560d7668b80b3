//! One quantity over the steps: as logged, smoothed, and for scores against the baseline.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart as Plot, Dataset, GraphType, Paragraph};

use crate::board::Board;
use crate::frame::{Scene, part, quiet};
use crate::view::{Chart, SMOOTHING, View};
use crate::wording::{bytes, fit, number};

type Points = Vec<(f64, f64)>;

/// Draws `chart` with its title.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene, chart: Chart) {
    let (board, view, palette) = (scene.board, scene.view, scene.palette);
    let all = points(board, chart);
    let shown = window(&all, view.zoom);
    let weight =
        if chart == Chart::Loss || chart == Chart::GradNorm { SMOOTHING[view.smoothing] } else { 0.0 };
    let smoothed_all = smoothed(&all, weight);
    let line = &smoothed_all[all.len() - shown.len()..];
    let room = (area.width as usize).saturating_sub(2);
    let inside = part(frame, area, scene, Line::from(title(board, view, chart, line.last(), room)));
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
        let text = if chart == Chart::Score { "nothing was evaluated yet" } else { "no numbers yet" };
        frame.render_widget(Paragraph::new(quiet(scene, text)), inside);
        return;
    };

    // Two dots of Braille a column.
    let columns = inside.width as usize * 2;
    let (raw, line) = (thinned(shown, columns), thinned(line, columns));
    let baseline = baseline(board, chart).map(|score| vec![(first.0, score), (last.0, score)]);
    let best: Points = best(board, chart).into_iter().filter(|(step, _)| *step >= first.0).collect();
    let mut sets = Vec::new();
    if let Some(baseline) = &baseline {
        sets.push(line_of(baseline).style(palette.quiet()));
    }
    if weight > 0.0 {
        sets.push(Dataset::default().marker(Marker::Braille).data(&raw).style(palette.quiet()));
    }
    sets.push(line_of(&line).style(palette.line()));
    sets.push(Dataset::default().marker(Marker::Dot).data(&best).style(palette.good()));

    let y = bounds([&raw, &line].into_iter().chain(&baseline).flatten().map(|point| point.1));
    let x = [first.0, last.0.max(first.0 + 1.0)];
    let label = |value: f64| if chart == Chart::Memory { bytes(value) } else { number(value) };
    let y_labels = [y[0], f64::midpoint(y[0], y[1]), y[1]].map(label);
    let x_labels = [x[0], f64::midpoint(x[0], x[1]).round(), x[1]].map(|step| step.to_string());
    let plot = Plot::new(sets)
        .legend_position(None)
        .style(palette.quiet())
        .x_axis(Axis::default().bounds(x).labels(x_labels))
        .y_axis(Axis::default().bounds(y).labels(y_labels));
    frame.render_widget(plot, inside);
}

/// The last values of `chart` as a line of blocks.
pub(crate) fn spark<'a>(scene: &Scene, chart: Chart, width: usize) -> Span<'a> {
    let all = points(scene.board, chart);
    let values: Vec<f64> = thinned(&all, width).iter().map(|point| point.1).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: &f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.0 };
        ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(share * 7.0).round() as usize]
    };
    quiet(scene, values.iter().map(bar).collect::<String>())
}

/// Name and last value, and of what else there is to say as much as has room, whole.
fn title(board: &Board, view: &View, chart: Chart, smooth: Option<&(f64, f64)>, room: usize) -> String {
    let now = board.last().map_or(f64::NAN, |last| chart.value(last));
    let weight = SMOOTHING[view.smoothing];
    let smooth = smooth
        .filter(|_| weight > 0.0)
        .map(|(_, value)| format!(" (smoothed by {weight}: {})", number(*value)))
        .unwrap_or_default();
    let (text, more) = match chart {
        Chart::Loss => (format!("loss {}", number(now)), smooth),
        Chart::GradNorm => (format!("gradient norm {}", number(now)), smooth),
        Chart::LearningRate => (format!("learning rate {}", number(now)), String::new()),
        Chart::TokensPerSecond => (format!("tokens/s {}", number(now)), String::new()),
        Chart::ExamplesPerSecond => (format!("{}/s {}", examples(board), number(now)), String::new()),
        Chart::Memory => (format!("memory {}", bytes(now)), String::new()),
        Chart::Score => match board.metric() {
            Some(metric) => score_title(board, metric),
            None => ("score".to_owned(), String::new()),
        },
    };
    let window =
        if view.zoom > 0 { format!(", last 1/{} of the steps", 1 << view.zoom) } else { String::new() };
    fit(&format!(" {} ", extended(text, [more, window], room.saturating_sub(2))), room)
}

/// `text` with those of `more` behind it that fit whole.
fn extended<const N: usize>(text: String, more: [String; N], room: usize) -> String {
    more.into_iter().fold(text, |text, more| {
        let longer = format!("{text}{more}");
        if Span::raw(longer.as_str()).width() <= room { longer } else { text }
    })
}

/// The score as it is, and where the best one is.
fn score_title(board: &Board, metric: &str) -> (String, String) {
    let standing = board.standing(metric);
    let now = standing.map_or(f64::NAN, |standing| standing.now);
    let change = standing.and_then(|standing| standing.change()).map(|change| format!(" ({change:+.4})"));
    let best = best(board, Chart::Score)
        .map(|(step, score)| format!(", best {score:.4} at step {step} •"))
        .unwrap_or_default();
    (format!("{metric} {now:.4}{}", change.unwrap_or_default()), best)
}

/// What the plan calls an example: pairs, triplets.
pub(crate) fn examples(board: &Board) -> String {
    let kind = board.plan.get("kind").and_then(|kind| kind.as_str()).unwrap_or("examples");
    kind.split_whitespace().last().unwrap_or("examples").to_owned()
}

fn points(board: &Board, chart: Chart) -> Points {
    let points: Points = match (chart, board.metric()) {
        (Chart::Score, None) => Vec::new(),
        (Chart::Score, Some(metric)) => board
            .evaluations
            .iter()
            .filter_map(|evaluation| Some((evaluation.step as f64, *evaluation.scores.get(metric)?)))
            .collect(),
        _ => board.steps.iter().map(|numbers| (numbers.step as f64, chart.value(numbers))).collect(),
    };
    points.into_iter().filter(|point| point.1.is_finite()).collect()
}

fn baseline(board: &Board, chart: Chart) -> Option<f64> {
    if chart == Chart::Score { board.standing(board.metric()?)?.baseline } else { None }
}

fn best(board: &Board, chart: Chart) -> Option<(f64, f64)> {
    let best = board.best().filter(|_| chart == Chart::Score)?;
    Some((best.step as f64, *best.scores.get(&best.metric)?))
}

/// The points of the last `1 / 2^zoom` of the steps, two at least.
fn window(points: &[(f64, f64)], zoom: u32) -> &[(f64, f64)] {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return points };
    let from = last.0 - (last.0 - first.0) / f64::from(1_u32 << zoom);
    let start = points.partition_point(|point| point.0 < from).min(points.len().saturating_sub(2));
    &points[start..]
}

/// Exponential moving average that does not lean towards its start, as TensorBoard's.
fn smoothed(points: &[(f64, f64)], weight: f64) -> Points {
    let (mut sum, mut past) = (0.0, 1.0);
    let smooth = |&(step, value): &(f64, f64)| {
        sum = sum * weight + (1.0 - weight) * value;
        past *= weight;
        (step, sum / (1.0 - past))
    };
    points.iter().map(smooth).collect()
}

/// At most `count` points, each the mean of its neighbours.
fn thinned(points: &[(f64, f64)], count: usize) -> Points {
    let mean = |chunk: &[(f64, f64)]| {
        let (x, y) = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / chunk.len() as f64, y / chunk.len() as f64)
    };
    points.chunks(points.len().div_ceil(count.max(1)).max(1)).map(mean).collect()
}

/// Room for every value, and for a constant one.
fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let margin = if high > low { (high - low) * 0.05 } else { (high.abs() * 0.05).max(1e-9) };
    [if low >= 0.0 { (low - margin).max(0.0) } else { low - margin }, high + margin]
}

fn line_of(points: &[(f64, f64)]) -> Dataset<'_> {
    Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_the_first_value() {
        let smooth = smoothed(&[(1.0, 4.0), (2.0, 1.0)], 0.5);
        assert_eq!(smooth, [(1.0, 4.0), (2.0, 2.0)]);
        assert_eq!(smoothed(&[(1.0, 4.0), (2.0, 1.0)], 0.0), [(1.0, 4.0), (2.0, 1.0)]);
    }

    #[test]
    fn a_window_is_a_share_of_the_steps_and_never_a_single_point() {
        let points: Points = (0..=8).map(|step| (f64::from(step), 0.0)).collect();
        assert_eq!(window(&points, 1)[0].0, 4.0);
        assert_eq!(window(&points, 10).len(), 2);
        assert!(window(&[], 3).is_empty());
    }

    #[test]
    fn a_title_drops_what_has_no_room_and_is_not_cut() {
        let more = || [", best 0.5 at step 30 •".to_owned(), ", last 1/2".to_owned()];
        let titles = [40, 23, 10].map(|room| extended("ndcg 0.4".to_owned(), more(), room));
        assert_eq!(titles, ["ndcg 0.4, best 0.5 at step 30 •", "ndcg 0.4, last 1/2", "ndcg 0.4"]);
    }

    #[test]
    fn thinning_keeps_means() {
        let points: Points = (0..5).map(|step| (f64::from(step), f64::from(step))).collect();
        assert_eq!(thinned(&points, 3), [(0.5, 0.5), (2.5, 2.5), (4.0, 4.0)]);
    }
}
