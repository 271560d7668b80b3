//! Bars as inline SVG, coloured by the page's own style.

use std::fmt::Write as _;

/// A bar of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands below it.
    pub label: String,
    pub count: usize,
    /// Whether it is a bad one.
    pub bad: bool,
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 150.0;
/// Room for the counts above and the labels below.
const ABOVE: f64 = 14.0;
const BELOW: f64 = 16.0;
/// Length of the bar of a share.
const SHARE: f64 = 160.0;

/// How many values lie at or below each edge and above the one before; edges ascend, what rounding puts above the last is
/// in the last bar.
pub fn count(values: impl Iterator<Item = f64>, edges: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; edges.len()];
    for value in values {
        let place = edges.partition_point(|edge| *edge < value);
        counts[place.min(edges.len() - 1)] += 1;
    }
    counts
}

/// Powers of two that hold every length; `limit` is an edge too, and what is beyond it is bad.
pub fn lengths(lengths: &[usize], limit: Option<usize>) -> Vec<Bar> {
    let (Some(least), Some(most)) = (lengths.iter().min(), lengths.iter().max()) else { return Vec::new() };
    let powers = (0..usize::BITS).map(|power| 1usize << power);
    let from = least.next_power_of_two();
    let mut edges: Vec<usize> =
        powers.filter(|edge| (from..=most.next_power_of_two()).contains(edge)).collect();
    edges.extend(limit.filter(|limit| (from..*most).contains(limit)));
    edges.sort_unstable();
    edges.dedup();
    let bounds: Vec<f64> = edges.iter().map(|edge| *edge as f64).collect();
    let counts = count(lengths.iter().map(|length| *length as f64), &bounds);
    let is_bad = |edge: usize| limit.is_some_and(|limit| edge > limit);
    edges.iter().zip(counts).map(|(edge, count)| bar(format!("≤{edge}"), count, is_bad(*edge))).collect()
}

/// Ranks from 1 in steps of about three; those from `weak` on are bad.
pub fn ranks(ranks: &[usize], weak: usize) -> Vec<Bar> {
    let Some(most) = ranks.iter().max() else { return Vec::new() };
    let mut edges: Vec<usize> =
        (0..12).flat_map(|power| [1, 3].map(|factor| factor * 10usize.pow(power))).collect();
    let needed = edges.partition_point(|edge| edge < most) + 1;
    edges.truncate(needed);
    edges.extend((weak > 0 && weak < *most).then_some(weak));
    edges.sort_unstable();
    edges.dedup();
    let bounds: Vec<f64> = edges.iter().map(|edge| *edge as f64).collect();
    let counts = count(ranks.iter().map(|rank| *rank as f64), &bounds);
    edges.iter().zip(counts).map(|(edge, count)| bar(format!("≤{edge}"), count, *edge > weak)).collect()
}

/// A bar for each label.
pub fn classes(counts: &[(String, usize)]) -> Vec<Bar> {
    counts.iter().map(|(label, count)| bar(label.clone(), *count, false)).collect()
}

/// Scores in up to twenty equal steps.
pub fn scores(scores: &[f32]) -> Vec<Bar> {
    let finite = || scores.iter().copied().filter(|score| score.is_finite()).map(f64::from);
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if least > most {
        return Vec::new();
    }
    let step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
    let step = step.into_iter().find(|step| (most - least) / step <= 18.0).unwrap_or((most - least) / 18.0);
    let [first, last] = [least, most].map(|score| (score / step).ceil() as i64);
    let edges: Vec<f64> = (first..=first.max(last)).map(|edge| edge as f64 * step).collect();
    let counts = count(finite(), &edges);
    edges.iter().zip(counts).map(|(edge, count)| bar(format!("{edge:.2}"), count, false)).collect()
}

fn bar(label: String, count: usize, bad: bool) -> Bar {
    Bar { label, count, bad }
}

/// A histogram.
pub fn histogram(bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1) as f64;
    let step = WIDTH / bars.len().max(1) as f64;
    let room = HEIGHT - ABOVE - BELOW;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for (at, Bar { label, count, bad }) in bars.iter().enumerate() {
        // One example in a million is still to be seen.
        let height = if *count == 0 { 0.0 } else { (room * *count as f64 / most).max(1.0) };
        let (x, y, middle) = (at as f64 * step, ABOVE + room - height, (at as f64 + 0.5) * step);
        let class = if *bad { " class=\"bad\"" } else { "" };
        let width = (step - 2.0).min(60.0);
        let x = x + (step - width) / 2.0;
        let _ = write!(
            svg,
            "<g><title>{label}: {count}</title>\
             <rect{class} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\
             <text x=\"{middle:.1}\" y=\"{:.1}\">{}</text><text x=\"{middle:.1}\" y=\"{:.1}\">{label}</text></g>",
            y - 3.0,
            short(*count),
            HEIGHT - 4.0,
        );
    }
    svg + "</svg>"
}

/// A share from 0 to 1 as a bar, with a mark at its limit.
pub fn share(share: f64, limit: Option<f64>) -> String {
    let length = if share == 0.0 { 0.0 } else { (SHARE * share).max(1.5) };
    let class = if limit.is_some_and(|limit| share > limit) { " class=\"bad\"" } else { "" };
    let mark = limit.map_or(String::new(), |limit| {
        let x = SHARE * limit;
        format!("<path d=\"M{x:.1} 0V12\"><title>limit {limit}</title></path>")
    });
    format!(
        "<svg class=\"share\" viewBox=\"-1 0 {} 12\"><rect class=\"room\" width=\"{SHARE}\" y=\"2\" height=\"8\"/>\
         <rect{class} width=\"{length:.1}\" y=\"2\" height=\"8\"/>{mark}</svg>",
        SHARE + 2.0
    )
}

/// A count in at most four letters or so; none for 0.
fn short(count: usize) -> String {
    match count {
        0 => String::new(),
        1..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{}k", count / 1000),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bars: &[Bar]) -> Vec<(&str, usize, bool)> {
        bars.iter().map(|bar| (bar.label.as_str(), bar.count, bar.bad)).collect()
    }

    #[test]
    fn every_value_is_in_one_bar() {
        let bars = lengths(&[3, 4, 5, 9, 100, 101], Some(100));
        let expected =
            [("≤4", 2, false), ("≤8", 1, false), ("≤16", 1, false), ("≤32", 0, false), ("≤64", 0, false)];
        assert_eq!(told(&bars)[..5], expected);
        assert_eq!(told(&bars)[5..], [("≤100", 1, false), ("≤128", 1, true)]);
        assert_eq!(told(&lengths(&[7, 7], None)), [("≤8", 2, false)]);
        let bars = ranks(&[1, 1, 2, 50, 51, 4000], 50);
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<usize>(), 6);
        assert_eq!(told(&bars)[4..7], [("≤50", 1, false), ("≤100", 1, true), ("≤300", 0, true)]);
        let bars = scores(&[-0.05, 0.0, 0.31, 0.9, f32::NAN]);
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<usize>(), 4);
        assert_eq!(told(&scores(&[0.5])), [("0.50", 1, false)]);
        assert!(lengths(&[], None).is_empty() && ranks(&[], 50).is_empty() && scores(&[]).is_empty());
    }

    #[test]
    fn what_is_above_its_limit_is_red() {
        assert!(share(0.2, Some(0.1)).contains("class=\"bad\"") && share(0.2, Some(0.1)).contains("M16.0 0"));
        assert!(!share(0.1, Some(0.1)).contains("bad") && !share(0.2, None).contains("path"));
    }
}
