//! What is known of a data set after looking, in the order in which it is told.

use std::collections::BTreeSet;

use serde_json::json;
use temper_data::Dataset;
use temper_data::doctor::{Check, Finding};

use super::seen::Seen;

/// A data set and what is wrong with it.
pub struct Diagnosis {
    pub dataset: Dataset,
    /// What a model showed.
    pub seen: Option<Seen>,
    /// Examples of a training batch.
    pub batch_size: usize,
    /// By check, then by example.
    findings: Vec<Finding>,
    /// Examples with a finding of each check, each once, in the order of [`Check::ALL`].
    examples: Vec<usize>,
}

impl Diagnosis {
    pub fn new(dataset: Dataset, mut findings: Vec<Finding>, seen: Option<Seen>, batch_size: usize) -> Self {
        findings.sort_by_key(|finding| (finding.check, finding.example));
        let mut diagnosis = Self { dataset, seen, batch_size, findings, examples: Vec::new() };
        let count = |check| diagnosis.of(check).chunk_by(|a, b| a.example == b.example).count();
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

    /// How many examples have a finding of this check.
    pub fn examples(&self, check: Check) -> usize {
        self.examples[check as usize]
    }

    /// The share of all examples that have one.
    pub fn share(&self, check: Check) -> f64 {
        self.examples(check) as f64 / self.dataset.len().max(1) as f64
    }

    /// The checks that found something.
    pub fn found(&self) -> impl Iterator<Item = Check> {
        Check::ALL.into_iter().filter(|check| self.examples(*check) > 0)
    }

    /// The share of the anchors that meet a false negative in a batch, where a model looked.
    pub fn false_negative_in_batch(&self) -> Option<f64> {
        Some(self.seen.as_ref()?.ranked.as_ref()?.in_batch)
    }

    /// What a batch of the chosen size meets, in words.
    pub fn rates(&self) -> Vec<String> {
        let told = |share: f64, what: &str| {
            format!("in a batch of {}, {:.2} % of the anchors meet {what}", self.batch_size, 100.0 * share)
        };
        let closer = self.false_negative_in_batch();
        closer.map(|share| told(share, "a text that is closer than their positive")).into_iter().collect()
    }

    /// The examples with nothing that is better left out.
    pub fn kept(&self) -> Vec<usize> {
        let mut kept = vec![true; self.dataset.len()];
        for finding in self.findings.iter().filter(|finding| finding.check.is_better_left_out()) {
            kept[finding.example] = false;
        }
        (0..kept.len()).filter(|example| kept[*example]).collect()
    }

    /// JSONL of the pairs that are better left out, as the dashboard writes them.
    pub fn exclusions(&self) -> String {
        let wrong =
            |finding: &&Finding| finding.check.is_better_left_out() && finding.check != Check::Duplicate;
        let examples: BTreeSet<usize> =
            self.findings.iter().filter(wrong).map(|finding| finding.example).collect();
        let texts = examples.into_iter().map(|index| &self.dataset.examples[index].texts);
        texts.map(|texts| json!({"query": texts[0], "positive": texts[1]}).to_string() + "\n").collect()
    }
}
