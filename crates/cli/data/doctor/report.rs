//! A diagnosis for a terminal and for machines.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use temper_data::doctor::{Check, Finding, label_counts};
use temper_data::{Dataset, Kind};

use super::SHOWN;
use super::diagnosis::Diagnosis;
use crate::table::{shorten, table};

/// Everything, to be written without holding it in memory twice.
#[derive(Serialize)]
pub struct Json<'a> {
    examples: usize,
    kind: Kind,
    checks: Vec<Value>,
    batch_size: usize,
    shared_positive_in_batch: Option<f64>,
    false_negative_in_batch: Option<f64>,
    /// Share of the texts of each column that the model cuts off.
    truncated_texts: Option<Value>,
    /// How many examples have each label, where labels are classes.
    labels: Option<Vec<(String, usize)>>,
    kept: usize,
    findings: Findings<'a>,
}

struct Findings<'a>(&'a Diagnosis);

#[derive(Serialize)]
struct Told<'a> {
    check: Check,
    place: String,
    why: &'a str,
    texts: &'a [String],
    label: Option<Value>,
}

/// For machines.
pub fn json(diagnosis: &Diagnosis) -> Json<'_> {
    let check = |check: Check| {
        let examples = diagnosis.examples(check);
        json!({
            "check": check,
            "not_looked_for": examples.err(),
            "examples": examples.ok(),
            "share": examples.ok().map(|examples| diagnosis.share(examples)),
            "meaning": check.meaning(),
        })
    };
    Json {
        examples: diagnosis.dataset.len(),
        kind: diagnosis.dataset.kind,
        checks: Check::ALL.map(check).to_vec(),
        batch_size: diagnosis.batch_size,
        shared_positive_in_batch: diagnosis.shared_positive_in_batch,
        false_negative_in_batch: diagnosis.false_negative_in_batch(),
        truncated_texts: diagnosis.seen.as_ref().map(|seen| {
            let roles = diagnosis.dataset.kind.roles();
            let share = |(column, role)| (role, Value::from(seen.truncated(column)));
            Value::Object(roles.into_iter().enumerate().map(share).collect())
        }),
        labels: label_counts(&diagnosis.dataset),
        kept: diagnosis.kept().len(),
        findings: Findings(diagnosis),
    }
}

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.findings().iter().map(|finding| {
            let example = &self.0.dataset.examples[finding.example];
            Told {
                check: finding.check,
                place: self.0.dataset.place(finding.example),
                why: &finding.why,
                texts: &example.texts,
                label: label(&self.0.dataset, finding.example),
            }
        }))
    }
}

/// A score as a number, a class by its name.
fn label(dataset: &Dataset, example: usize) -> Option<Value> {
    if dataset.kind.has_classes() {
        return dataset.shown_label(example).map(Value::from);
    }
    dataset.examples[example].label.map(Value::from)
}

/// For people; of each check some findings.
pub fn text(diagnosis: &Diagnosis, show: usize) -> String {
    let mut parts = vec![format!("{} {}", diagnosis.dataset.len(), diagnosis.dataset.kind.name())];
    parts.extend(diagnosis.labels());
    if diagnosis.findings().is_empty() {
        parts.push("nothing was found".to_owned());
        parts.extend(diagnosis.not_looked_for());
        return parts.join("\n");
    }
    let header = ["check", "what it means", "examples", "share"].map(str::to_owned).to_vec();
    let rows = diagnosis.found().map(|(check, examples)| {
        let share = format!("{:.2} %", 100.0 * diagnosis.share(examples));
        vec![check.name().to_owned(), check.meaning().to_owned(), examples.to_string(), share]
    });
    parts.push(table(header, rows, 2));
    parts.extend(diagnosis.not_looked_for());
    parts.extend(diagnosis.rates());
    parts.extend(diagnosis.found().map(|(check, _)| some(diagnosis, check, show)));
    parts.push(format!(
        "{} examples are left without what is better left out; --cleaned FILE writes them",
        diagnosis.kept().len()
    ));
    parts.join("\n")
}

fn some(diagnosis: &Diagnosis, check: Check, show: usize) -> String {
    let findings = diagnosis.of(check);
    let shown = findings.iter().take(show).map(|finding: &Finding| {
        let texts = &diagnosis.dataset.examples[finding.example].texts;
        let texts = texts.iter().take(2).map(|text| format!("{:?}", shorten(text, SHOWN)));
        let texts = texts.collect::<Vec<_>>().join("  ");
        format!("  {}  {}\n    {texts}", diagnosis.dataset.place(finding.example), finding.why)
    });
    let mut lines = vec![check.name().to_owned()];
    lines.extend(shown);
    let more = findings.len().saturating_sub(show);
    if more > 0 {
        lines.push(format!("  and {more} more; --json holds all, --show N shows N"));
    }
    lines.join("\n")
}
