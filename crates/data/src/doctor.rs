//! What is wrong with a data set, example by example: what a text alone shows. What a model sees is up to its caller.

mod batch;
mod near;
mod scripts;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

pub use batch::in_batch;

use crate::example::{Dataset, Example, Kind};
use scripts::{Script, script};

/// A text this many times as long as the median of its column is an outlier.
const LONG: usize = 20;
/// Letters and digits that a text has at least.
const SHORT: usize = 2;
/// Share of the texts whose script makes another one an outlier.
const MOST: f64 = 0.95;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The same texts and label as an earlier example.
    Duplicate,
    /// Nearly the same words as an earlier example.
    NearDuplicate,
    /// A text of the evaluation data.
    Leak,
    /// Nearly the words of an evaluation example.
    NearLeak,
    /// The same texts as an earlier example, with another label; or a negative that is a positive of the same anchor.
    Contradiction,
    /// Anchor and positive are one text.
    SameText,
    /// The positive belongs to other anchors too.
    SharedPositive,
    /// Much longer than the others, or almost empty.
    Length,
    /// Another script than nearly all the others.
    Script,
    /// Longer than the model takes.
    Truncated,
    /// A text of another example that a model finds closer to the anchor than its positive.
    FalseNegative,
    /// A model finds many texts closer to the anchor than its positive.
    WeakPositive,
}

/// What a check looks at beside the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing more.
    Nothing,
    /// Evaluation data.
    Evaluation,
    /// A model.
    Model,
}

impl Check {
    /// Every check, in the order in which they are told.
    pub const ALL: [Self; 12] = [
        Self::Duplicate,
        Self::NearDuplicate,
        Self::Leak,
        Self::NearLeak,
        Self::Contradiction,
        Self::SameText,
        Self::SharedPositive,
        Self::Length,
        Self::Script,
        Self::Truncated,
        Self::FalseNegative,
        Self::WeakPositive,
    ];

    /// As a file of limits names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near_duplicate",
            Self::Leak => "leak",
            Self::NearLeak => "near_leak",
            Self::Contradiction => "contradiction",
            Self::SameText => "same_text",
            Self::SharedPositive => "shared_positive",
            Self::Length => "length",
            Self::Script => "script",
            Self::Truncated => "truncated",
            Self::FalseNegative => "false_negative",
            Self::WeakPositive => "weak_positive",
        }
    }

    /// What it means, and what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Duplicate => "the same as an earlier example: learned twice",
            Self::NearDuplicate => "nearly the words of an earlier example",
            Self::Leak => "has a text of the evaluation data: scores are too good",
            Self::NearLeak => "nearly the words of an evaluation example",
            Self::Contradiction => "an earlier example says the opposite",
            Self::SameText => "anchor and positive are one text: nothing to learn",
            Self::SharedPositive => {
                "its positive belongs to other anchors too; in one batch it is no negative (loss.mask_duplicates)"
            }
            Self::Length => "much longer than the others, or almost empty",
            Self::Script => "another script than nearly all the others",
            Self::Truncated => "longer than the model takes: its end is not seen",
            Self::FalseNegative => {
                "other examples' texts are closer than its positive: in one batch they are pushed away (loss.name = \"gist\")"
            }
            Self::WeakPositive => "many texts are closer than its positive: probably a wrong pair",
        }
    }

    /// What it looks at beside the examples.
    pub fn needs(self) -> Needs {
        match self {
            Self::Leak | Self::NearLeak => Needs::Evaluation,
            Self::Truncated | Self::FalseNegative | Self::WeakPositive => Needs::Model,
            Self::Duplicate
            | Self::NearDuplicate
            | Self::Contradiction
            | Self::SameText
            | Self::SharedPositive
            | Self::Length
            | Self::Script => Needs::Nothing,
        }
    }

    /// Whether an example with it is better left out.
    pub fn is_better_left_out(self) -> bool {
        matches!(
            self,
            Self::Duplicate
                | Self::NearDuplicate
                | Self::Leak
                | Self::NearLeak
                | Self::Contradiction
                | Self::SameText
                | Self::WeakPositive
        )
    }
}

/// One thing that is wrong with one example.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub check: Check,
    /// Index of the example.
    pub example: usize,
    /// What it is about, for a person to look at.
    pub why: String,
}

/// Everything that texts show, in the order of examples for each check.
pub fn diagnose(dataset: &Dataset, evaluation: Option<&Dataset>) -> Vec<Finding> {
    let mut findings = Vec::new();
    duplicates(dataset, &mut findings);
    if let Some(evaluation) = evaluation {
        leaks(dataset, evaluation, &mut findings);
    }
    near(dataset, evaluation, &mut findings);
    if dataset.kind.has_positives() {
        positives(dataset, &mut findings);
    }
    lengths(dataset, &mut findings);
    foreign_scripts(dataset, &mut findings);
    findings.sort_by_key(|finding| (finding.check, finding.example));
    findings
}

/// Where an example was read, as `file:line`.
pub fn place(dataset: &Dataset, example: usize) -> String {
    let origin = dataset.examples[example].origin;
    match dataset.files.get(origin.file as usize) {
        Some(file) => format!("{}:{}", file.path.display(), origin.line),
        None => format!("line {}", origin.line),
    }
}

fn duplicates(dataset: &Dataset, findings: &mut Vec<Finding>) {
    // A pair of texts says the same in both orders when it is scored.
    let texts = |example: &'_ Example| -> Vec<String> {
        let mut texts = example.texts.clone();
        if dataset.kind == Kind::Scored {
            texts.sort_unstable();
        }
        texts
    };
    let mut first: HashMap<Vec<String>, usize> = HashMap::new();
    for (index, example) in dataset.examples.iter().enumerate() {
        let earlier = *first.entry(texts(example)).or_insert(index);
        if earlier == index {
            continue;
        }
        let [a, b] = [earlier, index].map(|index| dataset.examples[index].label);
        let (check, why) = match (a, b) {
            (Some(a), Some(b)) if a != b => {
                (Check::Contradiction, format!("labelled {b}, but {a} at {}", place(dataset, earlier)))
            }
            _ => (Check::Duplicate, format!("as {}", place(dataset, earlier))),
        };
        findings.push(Finding { check, example: index, why });
    }
}

fn leaks(dataset: &Dataset, evaluation: &Dataset, findings: &mut Vec<Finding>) {
    let mut judged: HashMap<&str, usize> = HashMap::new();
    for (index, example) in evaluation.examples.iter().enumerate() {
        example.texts.iter().for_each(|text| {
            judged.entry(text).or_insert(index);
        });
    }
    for (index, example) in dataset.examples.iter().enumerate() {
        let roles = dataset.kind.roles();
        let found = roles
            .iter()
            .zip(&example.texts)
            .find_map(|(role, text)| Some((role, judged.get(text.as_str())?)));
        if let Some((role, other)) = found {
            let why = format!("its {role} is in {}", place(evaluation, *other));
            findings.push(Finding { check: Check::Leak, example: index, why });
        }
    }
}

fn near(dataset: &Dataset, evaluation: Option<&Dataset>, findings: &mut Vec<Finding>) {
    let known: HashSet<usize> = findings
        .iter()
        .filter(|finding| matches!(finding.check, Check::Duplicate | Check::Contradiction | Check::Leak))
        .map(|finding| finding.example)
        .collect();
    let judged = evaluation.map_or(&[][..], |evaluation| &evaluation.examples);
    let texts: Vec<String> =
        judged.iter().chain(&dataset.examples).map(|example| example.texts[..2].join("\n")).collect();
    for (item, other, share) in near::near_duplicates(&texts) {
        let Some(index) = item.checked_sub(judged.len()).filter(|index| !known.contains(index)) else {
            continue;
        };
        let share = format!("{:.0} % of the words", 100.0 * share);
        let (check, why) = match (other.checked_sub(judged.len()), evaluation) {
            (None, Some(evaluation)) => {
                (Check::NearLeak, format!("{share} shared with {}", place(evaluation, other)))
            }
            (earlier, _) => {
                let earlier = place(dataset, earlier.unwrap_or(0));
                (Check::NearDuplicate, format!("{share} shared with {earlier}"))
            }
        };
        findings.push(Finding { check, example: index, why });
    }
}

fn positives(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let mut anchors_of: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut positives_of: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for (index, example) in dataset.examples.iter().enumerate() {
        let (anchor, positive) = (example.texts[0].as_str(), example.texts[1].as_str());
        anchors_of.entry(positive).or_default().insert(anchor);
        positives_of.entry(anchor).or_default().entry(positive).or_insert(index);
    }
    for (index, example) in dataset.examples.iter().enumerate() {
        let (anchor, positive) = (example.texts[0].as_str(), example.texts[1].as_str());
        let mut add = |check, why| findings.push(Finding { check, example: index, why });
        if anchor == positive {
            add(Check::SameText, "anchor and positive".to_owned());
        }
        let shared = anchors_of[positive].len();
        if shared > 1 {
            add(Check::SharedPositive, format!("positive of {shared} anchors"));
        }
        for negative in &example.texts[2..] {
            if let Some(other) = positives_of[anchor].get(negative.as_str()) {
                add(
                    Check::Contradiction,
                    format!("a negative is the positive at {}", place(dataset, *other)),
                );
                break;
            }
        }
    }
}

fn lengths(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).count();
    for (column, role) in dataset.kind.roles().into_iter().enumerate() {
        let lengths: Vec<usize> =
            dataset.examples.iter().map(|example| letters(&example.texts[column])).collect();
        let mut sorted = lengths.clone();
        sorted.sort_unstable();
        let Some(median) = sorted.get(sorted.len() / 2) else { return };
        for (index, length) in lengths.iter().enumerate() {
            let why = match *length {
                ..SHORT => format!("its {role} has {length} letters"),
                length if length > LONG * (*median).max(SHORT) => {
                    format!("its {role} has {length} letters, the median is {median}")
                }
                _ => continue,
            };
            findings.push(Finding { check: Check::Length, example: index, why });
        }
    }
}

fn foreign_scripts(dataset: &Dataset, findings: &mut Vec<Finding>) {
    let all: Vec<[Option<Script>; 2]> =
        dataset.examples.iter().map(|example| [0, 1].map(|column| script(&example.texts[column]))).collect();
    for column in [0, 1] {
        let mut counts: BTreeMap<Script, usize> = BTreeMap::new();
        all.iter()
            .filter_map(|scripts| scripts[column])
            .for_each(|script| *counts.entry(script).or_default() += 1);
        let texts: usize = counts.values().sum();
        let usual = counts.into_iter().find(|(_, count)| *count as f64 >= MOST * texts as f64);
        let Some((usual, _)) = usual else { continue };
        for (index, scripts) in all.iter().enumerate() {
            if let Some(script) = scripts[column].filter(|script| *script != usual) {
                let role = &dataset.kind.roles()[column];
                let why = format!("its {role} is in {}, the others in {}", script.name(), usual.name());
                findings.push(Finding { check: Check::Script, example: index, why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::tests::dataset;

    fn found(dataset: &Dataset, evaluation: Option<&Dataset>) -> Vec<(Check, usize)> {
        diagnose(dataset, evaluation).into_iter().map(|finding| (finding.check, finding.example)).collect()
    }

    #[test]
    fn each_check_finds_its_own() {
        let long = "how to oil a very dirty bicycle chain in winter without making a mess of the floor";
        let nearly = "How to oil a very dirty bicycle chain, in winter, without making a mess of the floor?";
        let data = dataset(&[
            &[long, "with oil"],
            &[nearly, "with oil"],
            &["brakes squeal", "clean the rim"],
            &["brakes squeal", "clean the rim"],
            &["a flat tyre", "a flat tyre"],
            &["judged", "patch it"],
            &["шина", "patch the tube"],
        ]);
        let evaluation = dataset(&[&["judged", "x y z"]]);
        // Of seven texts six are not 95 %, so no script is foreign here.
        assert_eq!(
            found(&data, Some(&evaluation)),
            [
                (Check::Duplicate, 3),
                (Check::NearDuplicate, 1),
                (Check::Leak, 5),
                (Check::SameText, 4),
                (Check::SharedPositive, 0),
                (Check::SharedPositive, 1),
            ]
        );
    }

    #[test]
    fn labels_and_negatives_contradict() {
        let mut scored = dataset(&[&["a b", "c d"], &["c d", "a b"], &["a b", "c d"]]);
        scored.kind = Kind::Scored;
        for (example, label) in scored.examples.iter_mut().zip([1.0, 1.0, 0.0]) {
            example.label = Some(label);
        }
        assert_eq!(found(&scored, None), [(Check::Duplicate, 1), (Check::Contradiction, 2)]);
        let triplets = dataset(&[&["a1", "b1", "c1"], &["a1", "c1", "b2"]]);
        assert_eq!(found(&triplets, None), [(Check::Contradiction, 0)]);
    }

    #[test]
    fn outliers_stand_out_by_length_and_script() {
        let mut rows: Vec<[String; 2]> =
            (0..50).map(|i| [format!("question number {i}"), format!("answer number {i}")]).collect();
        rows[7][0] = "word ".repeat(200);
        rows[8][1] = "?!".to_owned();
        rows[9][1] = "ответ".to_owned();
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let data = dataset(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let findings: Vec<_> = diagnose(&data, None)
            .into_iter()
            .filter(|finding| finding.check != Check::NearDuplicate)
            .map(|finding| (finding.check, finding.example))
            .collect();
        assert_eq!(findings, [(Check::Length, 7), (Check::Length, 8), (Check::Script, 9)]);
    }

    #[test]
    fn names_are_those_of_the_output() {
        for check in Check::ALL {
            assert_eq!(serde_json::to_value(check).unwrap_or_default(), check.name());
            assert!(!check.meaning().is_empty());
        }
    }
}
