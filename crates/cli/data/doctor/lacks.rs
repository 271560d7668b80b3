//! What a check lacks, so that nobody takes what was not looked for as not there.

use temper_data::doctor::{Check, Needs, label_counts};
use temper_data::{Dataset, Kind};

use super::Args;

/// Why a check is not looked for, to stand behind these words; none where it is.
pub fn lacks(check: Check, dataset: &Dataset, args: &Args) -> Option<String> {
    let kind = dataset.kind;
    let has_labels = !kind.has_positives();
    check.needs().iter().find_map(|need| {
        let (is_there, what) = match need {
            Needs::Evaluation => return args.eval.is_empty().then(|| "without --eval FILE".to_owned()),
            Needs::Model => return args.model.is_none().then(|| "without --model MODEL".to_owned()),
            Needs::Positives => (kind.has_positives(), "no positives"),
            Needs::Labels => (has_labels, "no labels"),
            Needs::LabelsOrNegatives => (kind != Kind::Pairs, "neither labels nor negatives"),
            Needs::Classes => (label_counts(dataset).is_some(), "no classes"),
        };
        (!is_there).then(|| format!("in {}, which have {what}", kind.name()))
    })
}
