//! Tables without lines: names on the left, numbers aligned on the right.

use comfy_table::{CellAlignment, Table, presets};

/// A table whose columns from number `numbers_from` on hold numbers.
pub fn table(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>, numbers_from: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A text on one line of at most `most` letters.
pub fn shorten(text: &str, most: usize) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most - 1).chain(['…']).collect()
}
