//! What is wrong with a data set, example by example: what texts and labels alone show. What a model sees is up to its
//! caller. Each check with its method and source, and how often it is right: `DOCTOR.md` beside this crate.

mod batch;
mod check;
mod copies;
mod labels;
mod languages;
mod lengths;
mod near;
mod near_copies;
mod positives;
mod scripts;

use serde::Serialize;

pub use batch::{in_batch, shared_positive_in_batch};
pub use check::{Check, Needs};
pub use labels::label_counts;

use crate::example::Dataset;

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

/// What is being looked at, for who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// In words.
    pub what: &'static str,
    /// How much of it is done.
    pub done: usize,
    /// And how much there is.
    pub total: usize,
}

/// Is told how far [`diagnose`] is, thousands of times at most.
pub type Watch<'a> = &'a mut dyn FnMut(Step);

/// Items between two steps that are told.
const TOLD_EVERY: usize = 4096;

/// Everything that texts and labels show, in the order of examples for each check.
///
/// Time grows as the texts do, and memory is 300 bytes or so an example beside the data, and what is found.
pub fn diagnose(dataset: &Dataset, evaluation: Option<&Dataset>, watch: Watch<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    watch(Step { what: "equal texts", done: 0, total: dataset.len() });
    copies::duplicates(dataset, &mut findings);
    if let Some(evaluation) = evaluation {
        copies::leaks(dataset, evaluation, &mut findings);
    }
    near_copies::find(dataset, evaluation, &mut findings, watch);
    watch(Step { what: "positives and labels", done: 0, total: dataset.len() });
    if dataset.kind.has_positives() {
        positives::find(dataset, &mut findings);
    }
    labels::rare(dataset, &mut findings);
    watch(Step { what: "lengths", done: 0, total: dataset.len() });
    lengths::find(dataset, &mut findings);
    languages::find(dataset, &mut findings, watch);
    findings.sort_by_key(|finding| (finding.check, finding.example));
    findings
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::example::tests::dataset;

    /// The findings of all checks but that of near copies, which small examples of one kind are easily.
    pub(crate) fn found(dataset: &Dataset, evaluation: Option<&Dataset>) -> Vec<(Check, usize)> {
        let all = diagnose(dataset, evaluation, &mut |_| ());
        all.into_iter().map(|finding| (finding.check, finding.example)).collect()
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
}
