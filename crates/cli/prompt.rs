//! The prompt in front of every text, by name or in full.

use std::path::Path;

use temper_encoder::Contract;
use temper_eval::{Prompts, Task};
use temper_export::RunFacts;

use crate::model::Opened;

/// Which prompt to use.
#[derive(clap::Args)]
pub struct PromptArgs {
    /// One of the model's prompts, by name; its default prompt where none is named
    #[arg(long, value_name = "NAME", conflicts_with = "prompt_text")]
    prompt: Option<String>,
    /// Put this text in front of every text; an empty one switches the default prompt off
    #[arg(long, value_name = "TEXT")]
    prompt_text: Option<String>,
}

impl PromptArgs {
    /// The text to put in front.
    pub fn text<'a>(&'a self, contract: &'a Contract) -> anyhow::Result<Option<&'a str>> {
        match &self.prompt_text {
            Some(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            None => Ok(contract.prompt(self.prompt.as_deref())?),
        }
    }
}

/// Which prompts to use where queries and documents may have different ones.
#[derive(clap::Args)]
pub struct SidePromptArgs {
    /// Prompt of queries and first sentences, by name, in place of the one the model's own prompts suggest
    #[arg(long, value_name = "NAME")]
    query_prompt: Option<String>,
    /// Prompt of documents and second sentences, by name
    #[arg(long, value_name = "NAME")]
    document_prompt: Option<String>,
}

impl SidePromptArgs {
    /// The prompts asked for, else those of the run, else those that the model brings for such a task.
    pub fn of(&self, opened: &Opened, task: &Task) -> anyhow::Result<Prompts> {
        let contract = &opened.encoder.contract;
        let mut prompts = match trained_with(opened)? {
            Some(prompts) => prompts,
            None => Prompts::of_contract(contract, task)?,
        };
        let asked = Prompts::named(contract, self.query_prompt.as_deref(), self.document_prompt.as_deref())?;
        if self.query_prompt.is_some() {
            prompts.first = asked.first;
        }
        if self.document_prompt.is_some() {
            prompts.second = asked.second;
        }
        Ok(prompts)
    }
}

/// A checkpoint is used as its run judged it: with the prompts of the run's config, and no others.
fn trained_with(opened: &Opened) -> anyhow::Result<Option<Prompts>> {
    let Some(run) = RunFacts::of_model(&opened.folder)? else { return Ok(None) };
    let config = temper_train::parse::parse(Path::new("config.toml"), &run.config, &[])?;
    Ok(Some(temper_train::prompts(&config)))
}
