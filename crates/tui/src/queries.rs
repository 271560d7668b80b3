//! The page of the queries that fared worst in the last evaluation, for people to find wrong pairs in their data.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use temper_runs::WorstQuery;

use crate::frame::{Scene, part, quiet};
use crate::wording::{fit, one_line, wrap};

/// Columns from which the query stands beside the list.
const WIDE: u16 = 110;

/// Columns before the text of a listed query.
const MARGIN: usize = 16;

/// Rows of a text in the details; the start of a long one is enough to know it by.
const TEXT_ROWS: usize = 6;

/// Draws the page.
pub(crate) fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let (board, view) = (scene.board, scene.view);
    let set = view.set(board);
    let Some((step, queries)) = board.worst.get(set).filter(|(_, queries)| !queries.is_empty()) else {
        let inside = part(frame, area, scene, " worst queries ");
        let text = "known after an evaluation on pairs of queries and documents";
        frame.render_widget(Paragraph::new(quiet(scene, text)), inside);
        return;
    };
    let [list, detail] = if area.width >= WIDE {
        Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).spacing(1).areas(area)
    } else {
        Layout::vertical([Constraint::Fill(2), Constraint::Fill(3)]).areas(area)
    };
    let selected = view.query.min(queries.len() - 1);
    let name = if set.is_empty() { String::new() } else { format!("{set}, ") };
    let title = format!(" worst queries, {name}step {step}: {} of {} ", selected + 1, queries.len());
    let inside = part(frame, list, scene, title);
    draw_list(frame, inside, scene, queries, selected);
    draw_detail(frame, detail, scene, &queries[selected]);
}

fn draw_list(frame: &mut Frame, area: Rect, scene: &Scene, queries: &[WorstQuery], selected: usize) {
    let room = (area.height as usize).saturating_sub(1).max(1);
    let first = selected.saturating_sub(room / 2).min(queries.len().saturating_sub(room));
    let mut rows = vec![Line::from(quiet(scene, "   rank  score  query"))];
    rows.extend(queries.iter().enumerate().skip(first).take(room).map(|(place, worst)| {
        let mark = if is_marked(scene, worst) { "x" } else { " " };
        let width = (area.width as usize).saturating_sub(MARGIN);
        let text = fit(&one_line(&worst.query), width);
        let line = Line::raw(format!("{mark} {:>5} {:>6.3}  {text}", worst.rank, worst.score));
        if place == selected { line.style(scene.palette.selected()) } else { line }
    }));
    frame.render_widget(Paragraph::new(rows), area);
}

fn draw_detail(frame: &mut Frame, area: Rect, scene: &Scene, worst: &WorstQuery) {
    let palette = scene.palette;
    let title = if is_marked(scene, worst) { " marked as wrong " } else { " query " };
    let inside = part(frame, area, scene, title);
    let width = inside.width as usize;
    let mut rows = text_rows(&worst.query, width, "");
    rows.push(Line::from(vec![
        Span::styled("positive", palette.good()),
        Span::styled(format!("  rank {}, {:.3}", worst.rank, worst.score), palette.strong()),
    ]));
    rows.extend(text_rows(&worst.positive, width, "  "));
    rows.push(Line::styled("confusers", palette.bad()));
    for confuser in &worst.confusers {
        let above = confuser.score - worst.score;
        let head = format!("  {:.3} ({above:+.3})  ", confuser.score);
        let indent = " ".repeat(head.len());
        let room = width.saturating_sub(head.len()).max(1);
        // One row each where the room is small, so that every confuser is seen.
        let height = if inside.height < 20 { 1 } else { TEXT_ROWS / 2 };
        for (place, text) in beginning(&confuser.text, room, height).into_iter().enumerate() {
            let head = if place == 0 { head.clone() } else { indent.clone() };
            rows.push(Line::from(vec![Span::styled(head, palette.strong()), Span::raw(text)]));
        }
    }
    frame.render_widget(Paragraph::new(rows), inside);
}

fn text_rows<'a>(text: &str, width: usize, indent: &str) -> Vec<Line<'a>> {
    let room = width.saturating_sub(indent.len()).max(1);
    let rows = beginning(text, room, if width < WIDE as usize { TEXT_ROWS / 2 } else { TEXT_ROWS });
    rows.into_iter().map(|row| Line::raw(format!("{indent}{row}"))).collect()
}

/// The first `height` rows of a text; the last one says when there is more.
fn beginning(text: &str, width: usize, height: usize) -> Vec<String> {
    let mut rows = wrap(&one_line(text), width);
    if rows.len() > height {
        let rest = rows.drain(height - 1..).collect::<Vec<_>>().join(" ");
        rows.push(fit(&rest, width));
    }
    rows
}

fn is_marked(scene: &Scene, worst: &WorstQuery) -> bool {
    scene.marks.contains(&worst.query, &worst.positive)
}
