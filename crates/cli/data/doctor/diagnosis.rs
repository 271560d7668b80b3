//! What is known of a data set after looking, in the order in which it is told.

use std::collections::BTreeSet;

use serde_json::json;
use temper_data::Dataset;
use temper_data::doctor::{Check, Finding, label_counts, shared_positive_in_batch};

use super::Args;
use super::lacks::lacks;
use super::seen::Seen;

/// Labels whose examples are told.
const SHOWN_LABELS: usize = 10;

/// A data set and what is wrong with it.
pub struct Diagnosis {
    pub dataset: Dataset,
    /// What a model showed.
    pub seen: Option<Seen>,
    /// Examples of a training batch.
    pub batch_size: usize,
    /// The share of the anchors that meet their positive in a batch as that of another anchor; none without
    /// positives.
    pub shared_positive_in_batch: Option<f64>,
    /// Checks whose examples are left out beside those that always are.
    leave_out: Vec<Check>,
    /// By check, then by example.
    findings: Vec<Finding>,
    /// Examples with a finding of each check, each once, or why it was not looked for; in the order of [`Check::ALL`].
    examples: Vec<Result<usize, String>>,
}

impl Diagnosis {
    pub fn new(dataset: Dataset, mut findings: Vec<Finding>, seen: Option<Seen>, args: &Args) -> Self {
        findings.sort_by_key(|finding| (finding.check, finding.example));
        let batch_size = args.batch_size;
        let has_positives = dataset.kind.has_positives();
        let mut diagnosis = Self {
            shared_positive_in_batch: has_positives.then(|| shared_positive_in_batch(&dataset, batch_size)),
            dataset,
            seen,
            batch_size,
            leave_out: args.leave_out.clone(),
            findings,
            examples: Vec::new(),
        };
        let count = |check| match lacks(check, &diagnosis.dataset, args) {
            Some(why) => Err(why),
            None => Ok(diagnosis.of(check).chunk_by(|a, b| a.example == b.example).count()),
        };
        diagnosis.examples = Check::ALL.map(count).to_vec();
        diagnosis
    }

    /// All findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings of one check.
    pub fn of(&self, check: Check) -> &[Finding] {
        let start = self.findings.partition_point(|finding| finding.check < check);
        let count = self.findings[start..].partition_point(|finding| finding.check == check);
        &self.findings[start..start + count]
    }

    /// How many examples have a finding of this check, or why it was not looked for: `without --eval FILE`.
    pub fn examples(&self, check: Check) -> Result<usize, &str> {
        self.examples[check as usize].as_ref().copied().map_err(String::as_str)
    }

    /// A number of examples as a share of all.
    pub fn share(&self, examples: usize) -> f64 {
        examples as f64 / self.dataset.len().max(1) as f64
    }

    /// The checks that found something, with how many examples have it.
    pub fn found(&self) -> impl Iterator<Item = (Check, usize)> {
        let found = |check| self.examples(check).ok().filter(|count| *count > 0).map(|count| (check, count));
        Check::ALL.into_iter().filter_map(found)
    }

    /// The checks that were not looked for, by reason, in words.
    pub fn not_looked_for(&self) -> Vec<String> {
        let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
        for check in Check::ALL {
            let Err(why) = self.examples(check) else { continue };
            match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, checks)) => checks.push(check.name()),
                None => by_reason.push((why, vec![check.name()])),
            }
        }
        let told = |(why, checks): (&str, Vec<&str>)| format!("not looked for {why}: {}", checks.join(", "));
        by_reason.into_iter().map(told).collect()
    }

    /// The share of the anchors that meet a false negative in a batch, where a model looked.
    pub fn false_negative_in_batch(&self) -> Option<f64> {
        Some(self.seen.as_ref()?.ranked.as_ref()?.in_batch)
    }

    /// What a batch of the chosen size meets, in words.
    pub fn rates(&self) -> Vec<String> {
        let told = |share: Option<f64>, what: &str| {
            let share = 100.0 * share.filter(|share| *share > 0.0)?;
            Some(format!("in a batch of {}, {share:.2} % of the anchors meet {what}", self.batch_size))
        };
        let shared = told(self.shared_positive_in_batch, "their own positive as that of another anchor");
        let closer = told(self.false_negative_in_batch(), "a text that is closer than their positive");
        shared.into_iter().chain(closer).collect()
    }

    /// How many examples have each label, in words; none where there are no classes.
    pub fn labels(&self) -> Option<String> {
        let counts = label_counts(&self.dataset)?;
        let total = self.dataset.len() as f64;
        let told = |(label, count): &(String, usize)| {
            format!("{label} has {count} ({:.1} %)", 100.0 * *count as f64 / total)
        };
        let mut shown: Vec<String> = counts.iter().map(told).collect();
        if shown.len() > SHOWN_LABELS {
            shown.truncate(SHOWN_LABELS);
            shown.push("...".to_owned());
        }
        Some(format!("{} labels: {}", counts.len(), shown.join(", ")))
    }

    /// The examples with nothing that is better left out.
    pub fn kept(&self) -> Vec<usize> {
        let mut kept = vec![true; self.dataset.len()];
        for finding in self.findings.iter().filter(|finding| self.leaves_out(finding.check)) {
            kept[finding.example] = false;
        }
        (0..kept.len()).filter(|example| kept[*example]).collect()
    }

    fn leaves_out(&self, check: Check) -> bool {
        check.is_better_left_out() || self.leave_out.contains(&check)
    }

    /// JSONL of the pairs that are better left out, as the dashboard writes them.
    pub fn exclusions(&self) -> String {
        let wrong = |finding: &&Finding| self.leaves_out(finding.check) && finding.check != Check::Duplicate;
        let examples: BTreeSet<usize> =
            self.findings.iter().filter(wrong).map(|finding| finding.example).collect();
        let texts = examples.into_iter().map(|index| &self.dataset.examples[index].texts);
        texts.map(|texts| json!({"query": texts[0], "positive": texts[1]}).to_string() + "\n").collect()
    }
}
