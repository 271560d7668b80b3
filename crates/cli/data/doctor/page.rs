//! A diagnosis as one HTML page: plots and findings, no script, and nothing outside of the file.

use std::fmt::Write as _;

use temper_data::doctor::{Check, Finding, label_counts};

use super::diagnosis::Diagnosis;
use super::limits::Limits;
use super::plot::{self, Bar, histogram};
use crate::table::shorten;

/// Findings of one check that a browser can still show; beyond them the page says how many there are.
const MOST_FINDINGS: usize = 10_000;
/// Labels that a plot has room for.
const MOST_LABELS: usize = 12;
/// Letters of a text that are shown.
const LONGEST_TEXT: usize = 2000;
/// Nothing may be loaded or run, whatever the texts hold.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(diagnosis: &Diagnosis, limits: &Limits) -> String {
    let dataset = &diagnosis.dataset;
    let files = dataset.files.iter().map(|file| escape(&file.path.display().to_string()));
    let files = files.collect::<Vec<_>>().join(", ");
    let (examples, kind, kept) = (dataset.len(), dataset.kind.name(), diagnosis.kept().len());
    let rates = diagnosis
        .labels()
        .into_iter()
        .chain(diagnosis.rates())
        .map(|rate| format!("<p>{}</p>", escape(&rate)));
    let rates = rates.collect::<String>();
    let (checks, plots, findings) = (checks(diagnosis, limits), plots(diagnosis), findings(diagnosis));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <title>{files}: data doctor</title><style>\n{STYLE}</style></head>\n<body>\n<h1>{files}</h1>\n\
         <p class=\"soft\">{examples} {kind}; {kept} are left without what is better left out</p>\n{rates}\
         <h2>Checks</h2>\n{checks}<h2>Distributions</h2>\n<div class=\"plots\">\n{plots}</div>\n\
         <h2>Findings</h2>\n{findings}</body></html>\n"
    )
}

fn checks(diagnosis: &Diagnosis, limits: &Limits) -> String {
    let row = |check: Check| {
        let (name, meaning) = (check.name(), escape(check.meaning()));
        let examples = match diagnosis.examples(check) {
            Ok(examples) => examples,
            Err(why) => {
                return format!(
                    "<tr class=\"soft\"><td>{name}<td>{meaning}<td colspan=\"4\">not looked for {why}</tr>\n"
                );
            }
        };
        let (share, limit) = (diagnosis.share(examples), limits.of(check));
        let over = if limit.is_some_and(|limit| share > limit) { " over" } else { "" };
        format!(
            "<tr><td>{name}<td class=\"soft\">{meaning}<td class=\"number\">{examples}<td class=\"number{over}\">{:.2} %\
             <td>{}<td class=\"number\">{}</tr>\n",
            100.0 * share,
            plot::share(share, limit),
            limit.map_or(String::new(), |limit| format!("{:.2} %", 100.0 * limit)),
        )
    };
    let rows: String = Check::ALL.map(row).concat();
    format!(
        "<table><tr><th>check<th>what it means<th class=\"number\">examples<th class=\"number\">share<th>\
         <th class=\"number\">limit</tr>\n{rows}</table>\n"
    )
}

fn plots(diagnosis: &Diagnosis) -> String {
    let dataset = &diagnosis.dataset;
    let mut plots = String::new();
    for (column, role) in dataset.kind.roles().iter().enumerate() {
        let letters = dataset.examples.iter().map(|example| example.texts[column].chars().count());
        let letters: Vec<usize> = letters.collect();
        figure(&mut plots, &format!("{role}: characters"), &plot::lengths(&letters, None));
        if let Some(seen) = &diagnosis.seen {
            let share = 100.0 * seen.truncated(column);
            let title = format!("{role}: tokens; {share:.2} % are cut off at {}", seen.longest);
            figure(&mut plots, &title, &plot::lengths(&seen.tokens[column], Some(seen.longest)));
        }
    }
    if let Some(ranked) = diagnosis.seen.as_ref().and_then(|seen| seen.ranked.as_ref()) {
        let title = "rank of the positive among the positives of all examples";
        figure(&mut plots, title, &plot::ranks(&ranked.ranks, ranked.weak));
        figure(&mut plots, "score of the positive", &plot::scores(&ranked.scores));
    }
    let labels: Vec<f32> = dataset.examples.iter().filter_map(|example| example.label).collect();
    let classes = label_counts(dataset).map(|counts| plot::classes(&largest(counts)));
    if !labels.is_empty() {
        figure(&mut plots, "label", &classes.unwrap_or_else(|| plot::scores(&labels)));
    }
    plots
}

/// The labels with the most examples; their names go into the plot, so they are made safe and short.
fn largest(mut counts: Vec<(String, usize)>) -> Vec<(String, usize)> {
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(MOST_LABELS);
    counts.into_iter().map(|(label, count)| (escape(&shorten(&label, 14)), count)).collect()
}

fn figure(page: &mut String, title: &str, bars: &[Bar]) {
    let _ = writeln!(page, "<figure><figcaption>{}</figcaption>{}</figure>", escape(title), histogram(bars));
}

fn findings(diagnosis: &Diagnosis) -> String {
    let mut page = String::new();
    for (check, _) in diagnosis.found() {
        let findings = diagnosis.of(check);
        let (name, meaning, count) = (check.name(), escape(check.meaning()), findings.len());
        let _ = writeln!(
            page,
            "<details><summary><b>{name}</b> {count} <span class=\"soft\">{meaning}</span></summary><ol>"
        );
        findings.iter().take(MOST_FINDINGS).for_each(|finding| item(&mut page, diagnosis, finding));
        let more = count.saturating_sub(MOST_FINDINGS);
        if more > 0 {
            let _ = writeln!(page, "<li>and {more} more; <code>--json</code> holds all</li>");
        }
        page.push_str("</ol></details>\n");
    }
    if page.is_empty() { "<p>nothing was found</p>\n".to_owned() } else { page }
}

fn item(page: &mut String, diagnosis: &Diagnosis, finding: &Finding) {
    let dataset = &diagnosis.dataset;
    let example = &dataset.examples[finding.example];
    let (place, why) = (escape(&dataset.place(finding.example)), escape(&finding.why));
    let _ = write!(page, "<li><code>{place}</code> <bdi>{why}</bdi><dl>");
    for (role, text) in dataset.kind.roles().iter().zip(&example.texts) {
        let text = escape(&shorten(text, LONGEST_TEXT));
        let _ = write!(page, "<dt>{role}<dd dir=\"auto\">{text}");
    }
    if let Some(label) = dataset.shown_label(finding.example).map(|label| escape(&label)) {
        let _ = write!(page, "<dt>label<dd>{label}");
    }
    page.push_str("</dl></li>\n");
}

/// A text as HTML shows it, in content and in quoted attributes; control characters, which HTML forbids, as a sign.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<b a='\"'>&\0\n"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\n");
    }
}
