//! `temper pull`: a model from the hub into the cache.

use temper_encoder::hub::{self, HubId, Settings};

use crate::fetch::Transfer;
use crate::terminal::Terminal;

/// Download a model from the hub, or what has changed of it, and print its folder
///
/// Only the files that the model is made of are downloaded, into the cache that Python's huggingface_hub uses too. A
/// download that was cut off goes on where it stopped. Commands that take a MODEL download by themselves what the cache
/// lacks; this one also asks whether the hub has something newer.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper pull sentence-transformers/all-MiniLM-L6-v2
  temper pull org/model --revision v1.0
  HF_TOKEN=... temper pull org/private-model

Environment: HF_HOME, HF_HUB_CACHE, HF_TOKEN (or HF_HOME/token), HF_ENDPOINT, HF_HUB_OFFLINE.")]
pub struct Args {
    /// The model: `org/name` or `org/name@revision`
    #[arg(value_name = "ID")]
    id: String,
    /// Branch, tag or commit, in place of the main branch
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let text = match &args.revision {
        Some(revision) => format!("{}@{revision}", args.id),
        None => args.id,
    };
    let id = HubId::parse(&text).ok_or(hub::Error::BadId(text))?;
    let settings = Settings::from_env();
    let transfer = Transfer::new(format!("downloading {id}"), terminal);
    let listener = |event: hub::Event<'_>| transfer.show(event);
    let pulled = if settings.offline { hub::find } else { hub::pull }(&settings, &id, &listener)?;
    drop(transfer);
    terminal.note(format!("{} is commit {}", id, pulled.commit));
    terminal.print(pulled.folder.display().to_string())
}
