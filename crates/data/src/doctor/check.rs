//! What is looked for: each check with its name, its meaning and its remedy.

use serde::Serialize;

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
    /// Nearly the same words as an earlier example, with another label.
    NearContradiction,
    /// Anchor and positive are one text.
    SameText,
    /// The positive belongs to other anchors too.
    SharedPositive,
    /// A label that hardly any example has.
    RareLabel,
    /// Much longer than the others, or almost empty.
    Length,
    /// Another script than nearly all the others.
    Script,
    /// Another language than nearly all the others.
    Language,
    /// Longer than the model takes.
    Truncated,
    /// A text of another example that a model finds closer to the anchor than its positive.
    FalseNegative,
    /// A model finds many texts closer to the anchor than its positive.
    WeakPositive,
}

/// What a check looks at beside texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Evaluation data.
    Evaluation,
    /// A model.
    Model,
    /// Positives of the examples.
    Positives,
    /// Labels of the examples.
    Labels,
    /// Labels, or negatives, which contradict positives.
    LabelsOrNegatives,
    /// Labels that are classes.
    Classes,
}

impl Check {
    /// Every check, in the order in which they are told.
    pub const ALL: [Self; 15] = [
        Self::Duplicate,
        Self::NearDuplicate,
        Self::Leak,
        Self::NearLeak,
        Self::Contradiction,
        Self::NearContradiction,
        Self::SameText,
        Self::SharedPositive,
        Self::RareLabel,
        Self::Length,
        Self::Script,
        Self::Language,
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
            Self::NearContradiction => "near_contradiction",
            Self::SameText => "same_text",
            Self::SharedPositive => "shared_positive",
            Self::RareLabel => "rare_label",
            Self::Length => "length",
            Self::Script => "script",
            Self::Language => "language",
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
            Self::NearContradiction => {
                "nearly the words of an earlier example, another label: one may be wrong"
            }
            Self::SameText => "anchor and positive are one text: nothing to learn",
            Self::SharedPositive => {
                "its positive belongs to other anchors too; in one batch it is no negative (loss.mask_duplicates)"
            }
            Self::RareLabel => "hardly any example has its label: it is hardly learned",
            Self::Length => "much longer than the others, or almost empty",
            Self::Script => "another script than nearly all the others",
            Self::Language => "seems to be in another language than nearly all the others",
            Self::Truncated => "longer than the model takes: its end is not seen",
            Self::FalseNegative => {
                "other examples' texts are closer than its positive: in one batch they are pushed away (loss.name = \"gist\")"
            }
            Self::WeakPositive => {
                "many texts are closer than its positive: a wrong pair, or words that the model does not know yet"
            }
        }
    }

    /// What it looks at beside texts; without any of these it is not looked for.
    pub fn needs(self) -> &'static [Needs] {
        match self {
            Self::Duplicate | Self::NearDuplicate | Self::Length | Self::Script | Self::Language => &[],
            Self::Leak | Self::NearLeak => &[Needs::Evaluation],
            Self::Contradiction => &[Needs::LabelsOrNegatives],
            Self::NearContradiction => &[Needs::Labels],
            Self::SameText | Self::SharedPositive => &[Needs::Positives],
            Self::RareLabel => &[Needs::Labels, Needs::Classes],
            Self::Truncated => &[Needs::Model],
            Self::FalseNegative | Self::WeakPositive => &[Needs::Positives, Needs::Model],
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
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_output() {
        for (place, check) in Check::ALL.into_iter().enumerate() {
            assert_eq!(check as usize, place);
            assert_eq!(serde_json::to_value(check).unwrap_or_default(), check.name());
            assert!(!check.meaning().is_empty());
        }
    }
}
