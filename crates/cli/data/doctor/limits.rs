//! The largest share of findings that a person accepts, by check: the gate of CI.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use temper_data::doctor::Check;
use toml_edit::{Document, Item};

use super::check;
use super::diagnosis::Diagnosis;
use crate::failure::BadInput;

/// For each check that is limited the largest share of the examples, and where that is said.
#[derive(Default)]
pub struct Limits(BTreeMap<Check, (f64, String)>);

impl Limits {
    /// Reads a TOML file with lines `check = share`.
    pub fn read(path: &Path) -> Result<Self, BadInput> {
        let named = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadInput::new(format!("failed to read the limits `{named}`: {error}")))?;
        let place = |span: Option<Range<usize>>| {
            let line = span.map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("`{named}`, line {line}")
        };
        let problem = |span, what: String| BadInput::new(format!("{}: {what}", place(span)));
        let document = Document::parse(&*text).map_err(|error| {
            problem(error.span(), error.message().to_owned()).hint("a line has `leak = 0.01`")
        })?;
        let mut limits = BTreeMap::new();
        for (name, item) in document.as_table() {
            let span = document.as_table().key(name).and_then(toml_edit::Key::span);
            let check = check(name)
                .map_err(|known| problem(span.clone(), format!("there is no check `{name}`")).hint(known))?;
            let share = share(item).ok_or_else(|| {
                problem(
                    item.span().or(span.clone()),
                    format!("`{name}` is no share, expected a number from 0 to 1"),
                )
            })?;
            limits.insert(check, (share, place(span)));
        }
        Ok(Self(limits))
    }

    /// Refuses a limit of what is not looked for, for what a check `lacks`: it would hold whatever the examples are.
    pub fn check(&self, lacks: impl Fn(Check) -> Option<String>) -> Result<(), BadInput> {
        let idle = self.0.iter().find_map(|(check, (_, place))| Some((check, place, lacks(*check)?)));
        idle.map_or(Ok(()), |(check, place, why)| {
            let problem = format!("{place}: `{}` is not looked for {why}", check.name());
            Err(BadInput::new(problem).hint("give what is missing, or remove the line"))
        })
    }

    /// The limit of a check.
    pub fn of(&self, check: Check) -> Option<f64> {
        self.0.get(&check).map(|(share, _)| *share)
    }

    /// What is above its limit, in words.
    pub fn broken_by(&self, diagnosis: &Diagnosis) -> Vec<String> {
        let told = |(check, (limit, _)): (&Check, &(f64, String))| {
            let share = diagnosis.share(diagnosis.examples(*check).ok()?);
            let name = check.name();
            (share > *limit).then(|| format!("{name}: {share:.4} of the examples, at most {limit}"))
        };
        self.0.iter().filter_map(told).collect()
    }
}

fn share(item: &Item) -> Option<f64> {
    let value = item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64))?;
    (0.0..=1.0).contains(&value).then_some(value)
}
