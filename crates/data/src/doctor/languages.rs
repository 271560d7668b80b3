//! Texts in another script or language than nearly all the others of their column.
//!
//! The script is that of most letters. The language is told in two steps, so that short and technical texts are not
//! mistaken: few of the text's words are among the most frequent ones of its column, which are the function words of its
//! language; and trigrams (Cavnar and Trenkle, 1994, in the crate `whatlang`) name another language with confidence.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use whatlang::Lang;

use super::scripts::{Script, script};
use super::{Check, Finding, Step, TOLD_EVERY, Watch};
use crate::example::Dataset;

/// Share of the texts whose script makes another one an outlier.
const MOST_SCRIPTS: f64 = 0.95;
/// The same of languages, of which English is told more rarely than others.
const MOST_LANGUAGES: f64 = 0.9;
/// Texts that tell a column's language and its frequent words.
const SAMPLE: usize = 2000;
/// Texts of a known language in the sample from which it says anything.
const ENOUGH: usize = 20;
/// Words that count as frequent.
const FREQUENT: usize = 100;
/// Share of frequent words from which a text is taken to be in the column's language.
const USUAL: f64 = 0.2;
/// Confidence from which a language is told: no other one comes near.
const CERTAIN: f64 = 0.99;
/// Letters of a text whose language can be told.
const LETTERS: usize = 20;

pub(super) fn find(dataset: &Dataset, findings: &mut Vec<Finding>, watch: Watch<'_>) {
    let roles = dataset.kind.roles();
    let columns = roles.len().min(2);
    for (column, role) in roles.iter().enumerate().take(columns) {
        let texts = || dataset.examples.iter().map(|example| example.texts[column].as_str());
        let scripts: Vec<Option<Script>> = texts().map(script).collect();
        let Some(usual) = most(scripts.iter().copied().flatten(), MOST_SCRIPTS) else { continue };
        let language = Usual::of(texts().step_by(dataset.len().div_ceil(SAMPLE).max(1)));
        for (index, (text, script)) in texts().zip(&scripts).enumerate() {
            if index % TOLD_EVERY == 0 {
                watch(Step {
                    what: "languages",
                    done: column * dataset.len() + index,
                    total: columns * dataset.len(),
                });
            }
            let Some(script) = *script else { continue };
            let mut add = |check, is: &str, others: &str| {
                let why = format!("its {role} is in {is}, the others in {others}");
                findings.push(Finding { check, example: index, why });
            };
            if script != usual {
                add(Check::Script, script.name(), usual.name());
            } else if let Some(language) = &language
                && let Some(other) = language.foreign(text)
            {
                add(Check::Language, other.eng_name(), language.lang.eng_name());
            }
        }
    }
}

/// What nearly all have in common.
fn most<T: Hash + Eq>(all: impl Iterator<Item = T>, share: f64) -> Option<T> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    all.for_each(|item| *counts.entry(item).or_default() += 1);
    let total: usize = counts.values().sum();
    counts.into_iter().find(|(_, count)| *count as f64 >= share * total as f64).map(|(item, _)| item)
}

/// The language of nearly all texts of a column.
struct Usual {
    lang: Lang,
    frequent: HashSet<String>,
}

impl Usual {
    fn of<'a>(sample: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut languages = Vec::new();
        for text in sample {
            languages.extend(certain(text));
            words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let known = languages.len();
        let lang = most(languages.into_iter(), MOST_LANGUAGES).filter(|_| known >= ENOUGH)?;
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Some(Self { lang, frequent: counts.into_iter().take(FREQUENT).map(|(word, _)| word).collect() })
    }

    /// The language of a text, if it is another one.
    fn foreign(&self, text: &str) -> Option<Lang> {
        let (mut count, mut frequent) = (0, 0);
        for word in words(text) {
            count += 1;
            frequent += i32::from(self.frequent.contains(&word));
        }
        if f64::from(frequent) >= USUAL * f64::from(count) {
            return None;
        }
        certain(text).filter(|lang| *lang != self.lang)
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The language of a text that is long enough and in which no other one comes near.
fn certain(text: &str) -> Option<Lang> {
    if text.chars().filter(|letter| letter.is_alphabetic()).count() < LETTERS {
        return None;
    }
    whatlang::detect(text).filter(|found| found.confidence() >= CERTAIN).map(|found| found.lang())
}

#[cfg(test)]
mod tests {
    use super::super::diagnose;
    use super::*;
    use crate::example::tests::dataset;

    #[test]
    fn outliers_stand_out_by_length_script_and_language() {
        let asked = ["how do I", "where can I", "why should we", "when will they", "what is the best way to"];
        let done = ["clean the chain of my bicycle", "find a good shop in this town", "repair a flat tyre"];
        let mut rows: Vec<[String; 2]> = (0..150)
            .map(|at| {
                let (asked, done) = (asked[at % 5], done[at % 3]);
                [
                    format!("{asked} {done} with number {at}?"),
                    format!("the answer to that is {at}, and {done}"),
                ]
            })
            .collect();
        rows[7][0] = "word ".repeat(400);
        rows[8][1] = "?!".to_owned();
        rows[9][1] = "ответ".to_owned();
        rows[10][0] =
            "Wie reinige ich die Kette meines Fahrrads, ohne den Boden schmutzig zu machen?".to_owned();
        // Technical, and no language at all.
        rows[11][0] = "libfoo-dev nginx-1.24 mod_perl2 x86_64-linux-gnu".to_owned();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let findings = diagnose(&data, None, &mut |_| ());
        let outliers: Vec<_> = findings
            .iter()
            .filter(|finding| finding.check != Check::NearDuplicate)
            .map(|finding| (finding.check, finding.example))
            .collect();
        let expected = [(Check::Length, 7), (Check::Length, 8), (Check::Script, 9), (Check::Language, 10)];
        assert_eq!(outliers, expected);
        assert!(findings.iter().any(|found| found.why == "its anchor is in German, the others in English"));
    }
}
