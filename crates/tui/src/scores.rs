//! Evaluation scores against the baseline: the change since step 0, and where the best stands.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::board::Standing;
use crate::frame::{Scene, part, quiet};
use crate::wording::{fit, fit_end};

/// Columns of all numbers but the name.
const NUMBERS: usize = 2 * 8 + 9 + 9;

/// The panel of the overview: the deciding score first, as many others as there is room for.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    table(frame, area, scene, 0);
}

/// The page: every score.
pub(crate) fn draw_page(frame: &mut Frame, area: Rect, scene: &Scene) {
    table(frame, area, scene, scene.view.scroll);
}

fn table(frame: &mut Frame, area: Rect, scene: &Scene, skip: usize) {
    let board = scene.board;
    let Some(last) = board.evaluations.last() else {
        let inside = part(frame, area, scene, " scores ");
        frame.render_widget(Paragraph::new(quiet(scene, "nothing was evaluated yet")), inside);
        return;
    };
    let deciding = last.scores.keys().filter(|name| **name == last.metric);
    let others = last.scores.keys().filter(|name| **name != last.metric);
    let names: Vec<&String> = deciding.chain(others).skip(skip).collect();
    let room = (area.height as usize).saturating_sub(2);
    let hidden = match names.len().saturating_sub(room) {
        0 => String::new(),
        hidden => format!(", {hidden} more on 3"),
    };
    let inside = part(frame, area, scene, format!(" scores at step {}{hidden} ", last.step));
    let wide = inside.width as usize >= NUMBERS + 16;
    let name_width =
        (inside.width as usize).saturating_sub(if wide { NUMBERS } else { NUMBERS - 16 }).min(40);
    let mut rows = vec![head(scene, wide, name_width)];
    rows.extend(names.into_iter().filter_map(|name| {
        let standing = board.standing(name)?;
        Some(row(scene, name, &standing, wide, name_width))
    }));
    frame.render_widget(Paragraph::new(rows), inside);
}

fn head<'a>(scene: &Scene, wide: bool, name_width: usize) -> Line<'a> {
    let best = scene.board.best().map(|best| format!("best @{}", best.step)).unwrap_or_default();
    let text = if wide {
        format!("{:name_width$}{:>8}{:>8}{:>9}{best:>9}", "", "step 0", "now", "change")
    } else {
        format!("{:name_width$}{:>8}{:>9}", fit(&best, name_width), "now", "change")
    };
    Line::from(quiet(scene, text))
}

/// The deciding score is marked with `>`, a score at its best checkpoint with `*`.
fn row<'a>(scene: &Scene, name: &str, standing: &Standing, wide: bool, name_width: usize) -> Line<'a> {
    let palette = scene.palette;
    let decides = scene.board.metric() == Some(name);
    let shown = fit_end(name, name_width - 3);
    let name = format!("{} {shown:width$}", if decides { ">" } else { " " }, width = name_width - 2);
    let is_best = decides && scene.board.evaluations.last().is_some_and(|last| last.best);
    let score = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let change = match standing.change() {
        Some(change) => Span::styled(format!("{change:>+9.4}"), palette.change(change)),
        None => Span::raw(format!("{:>9}", "-")),
    };
    let now = format!("{:>8}", format!("{}{}", if is_best { "*" } else { "" }, score(Some(standing.now))));
    let now = Span::styled(now, palette.strong());
    let name = if decides { Span::styled(name, palette.strong()) } else { Span::raw(name) };
    if wide {
        let baseline = quiet(scene, format!("{:>8}", score(standing.baseline)));
        let best = Span::styled(format!("{:>9}", score(standing.best)), palette.good());
        Line::from(vec![name, baseline, now, change, best])
    } else {
        Line::from(vec![name, now, change])
    }
}
