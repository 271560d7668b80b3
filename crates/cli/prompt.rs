//! The prompt in front of every text, by name or in full.

use temper_encoder::Contract;

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
