//! Numbers, times and texts as they fit into little room.

use ratatui::text::Span;

/// A number with about four digits: `0.1234`, `2.31e-5`, `38.25`, `2,696`, `1.25M`; `-` for none.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".to_owned()
    } else if size == 0.0 {
        "0".to_owned()
    } else if size < 0.001 {
        format!("{value:.2e}")
    } else if size < 10.0 {
        format!("{value:.4}")
    } else if size < 1000.0 {
        format!("{value:.2}")
    } else if size < 1e6 {
        thousands(value)
    } else {
        format!("{:.2}M", value / 1e6)
    }
}

/// Bytes as people read them.
pub fn bytes(bytes: f64) -> String {
    if bytes.is_nan() {
        "-".to_owned()
    } else if bytes < 1e9 {
        format!("{:.0} MB", bytes / 1e6)
    } else {
        format!("{:.2} GB", bytes / 1e9)
    }
}

/// `0:59`, `12:03`, `3:20:01`, `2 d 03:20`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes, rest) =
        (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{rest:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{rest:02}"),
        _ => format!("{days} d {hours:02}:{minutes:02}"),
    }
}

/// One line without control characters: what is in data must not steer the terminal.
pub fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// At most `width` columns, with an ellipsis where something was left out.
pub fn fit(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let (mut fitting, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += Span::raw(c.to_string()).width();
        if used > width {
            break;
        }
        fitting.push(c);
    }
    fitting + "…"
}

/// The same, with the end kept: names differ there.
pub fn fit_end(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let end = text.chars().skip(length + 1 - width.max(1));
    std::iter::once('…').chain(end).collect()
}

/// `text` broken at spaces into lines of at most `width` columns; longer words are broken too.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let room = Span::raw(word).width();
        if used > 0 && used + 1 + room > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            used += 1;
            lines.last_mut().into_iter().for_each(|line| line.push(' '));
        }
        for c in word.chars() {
            let room = Span::raw(c.to_string()).width();
            if used + room > width && used > 0 {
                lines.push(String::new());
                used = 0;
            }
            used += room;
            lines.last_mut().into_iter().for_each(|line| line.push(c));
        }
    }
    lines
}

fn thousands(value: f64) -> String {
    let whole = value.round() as i64;
    format!("{}{},{:03}", if whole < 0 { "-" } else { "" }, whole.abs() / 1000, whole.abs() % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        let shown = [0.0, 2.31e-5, 0.12345, -38.25, 2695.6, 999_999.6, 1.25e6, f64::NAN].map(number);
        assert_eq!(shown, ["0", "2.31e-5", "0.1235", "-38.25", "2,696", "1000,000", "1.25M", "-"]);
    }

    #[test]
    fn durations_grow_units() {
        let shown = [59.9, 723.0, 12001.0, 184_800.0, -3.0].map(duration);
        assert_eq!(shown, ["0:59", "12:03", "3:20:01", "2 d 03:20", "0:00"]);
    }

    #[test]
    fn texts_fit_by_columns_not_letters() {
        assert_eq!(fit("漢字かな", 5), "漢字…");
        assert_eq!(fit_end("cosine_ndcg@10", 8), "…ndcg@10");
        assert_eq!(wrap("漢字 or a verylongword", 6), ["漢字", "or a", "verylo", "ngword"]);
        assert_eq!(one_line("a\n\u{1b}[2J\tb"), "a [2J b");
    }
}
