//! Which prompt stands in front of which side of a task.

use temper_encoder::Contract;

use crate::{Result, Task};

/// Names that models give the prompt of documents, the first that there is counts (as in sentence-transformers).
const DOCUMENT_NAMES: [&str; 3] = ["document", "passage", "corpus"];

/// The texts put in front of the two sides: queries and documents, first and second sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    /// In front of queries, anchors, first sentences.
    pub first: Option<String>,
    /// In front of documents, positives and negatives, second sentences.
    pub second: Option<String>,
}

impl Prompts {
    /// What a model's own prompts say, as the evaluators of sentence-transformers read them: retrieval and
    /// reranking use `query` and `document` where the model has them; everything else uses the default prompt.
    pub fn of_contract(contract: &Contract, task: &Task) -> Result<Self> {
        let named = |names: &[&'static str]| match task {
            Task::Retrieval(_) | Task::Reranking { .. } => {
                names.iter().copied().find(|name| contract.prompts.contains_key(*name))
            }
            Task::Sts { .. }
            | Task::Classification { .. }
            | Task::Triplets { .. }
            | Task::Labelled { .. }
            | Task::Paraphrases(_) => None,
        };
        Self::named(contract, named(&["query"]), named(&DOCUMENT_NAMES))
    }

    /// The prompts of these names; the default prompt where none is named.
    pub fn named(contract: &Contract, first: Option<&str>, second: Option<&str>) -> Result<Self> {
        Ok(Self {
            first: contract.prompt(first)?.map(str::to_owned),
            second: contract.prompt(second)?.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use burn::tensor::Device;
    use temper_data::Retrieval;

    use super::*;

    fn contract(prompts: &[(&str, &str)], default: Option<&str>) -> Contract {
        let folder =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/models/bert-cls");
        let read = temper_encoder::read(&folder, &temper_encoder::ReadOptions::default(), &Device::flex());
        let prompts = prompts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Contract { prompts, default_prompt: default.map(str::to_owned), ..read.unwrap().encoder.contract }
    }

    fn texts(contract: &Contract, task: &Task) -> (Option<String>, Option<String>) {
        let prompts = Prompts::of_contract(contract, task).unwrap();
        (prompts.first, prompts.second)
    }

    #[test]
    fn retrieval_uses_the_two_sides_and_falls_back_to_the_default() {
        let retrieval = Task::Retrieval(Retrieval::default());
        let e5 = contract(&[("query", "query: "), ("passage", "passage: ")], None);
        assert_eq!(texts(&e5, &retrieval), (Some("query: ".into()), Some("passage: ".into())));
        let default = contract(&[("query", "query: "), ("other", "o: ")], Some("other"));
        assert_eq!(texts(&default, &retrieval), (Some("query: ".into()), Some("o: ".into())));
        let empty = contract(&[("query", ""), ("document", "")], None);
        assert_eq!(texts(&empty, &retrieval), (None, None));
    }

    #[test]
    fn other_tasks_use_the_default_on_both_sides() {
        let sts = Task::Sts { first: Vec::new(), second: Vec::new(), gold: Vec::new() };
        let of = |default| texts(&contract(&[("query", "query: ")], default), &sts);
        assert_eq!(of(None), (None, None));
        assert_eq!(of(Some("query")), (Some("query: ".into()), Some("query: ".into())));
    }
}
