//! `temper push`: a model onto the hub.

use anyhow::Context as _;
use temper_encoder::Precision;
use temper_encoder::hub::{self, HubId, Settings};

use crate::export;
use crate::fetch::Transfer;
use crate::model::ReadingArgs;
use crate::terminal::Terminal;

/// Upload a run's model, or a model folder, to the hub with its model card
///
/// A run, and a folder that has no model card (README.md), is exported first. Everything becomes one commit: people see
/// the old model or the new one. A repository that does not exist is made.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper push runs/shop my-org/shop-search
  temper push runs/shop@400 my-org/shop-search --private
  temper push shop-model my-org/shop-search@experiment

The token comes from HF_TOKEN, or from HF_HOME/token, and must be allowed to write.")]
pub struct Args {
    /// Run or model folder
    #[arg(value_name = "RUN|DIR")]
    model: String,
    /// Where to: `org/name`, or `org/name@branch` for a branch that exists
    #[arg(value_name = "ID")]
    id: String,
    /// Make the repository private where it does not exist yet
    #[arg(long)]
    private: bool,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let id = HubId::parse(&args.id).ok_or(hub::Error::BadId(args.id))?;
    let settings = Settings::from_env();
    hub::check_access(&settings, &id)?;
    // Reading it first: a model that does not load is not for others.
    let opened = ReadingArgs::default().open(&args.model, terminal)?;
    let exported = tempfile::tempdir().context("failed to make a temporary folder")?;
    let folder = if opened.folder.join("README.md").is_file() {
        opened.folder
    } else {
        export::write_named(&opened, &id.name, exported.path(), Precision::F32, terminal)?;
        exported.path().to_owned()
    };
    let transfer = Transfer::new(format!("uploading to {id}"), terminal);
    let listener = |event: hub::Event<'_>| transfer.show(event);
    let pushed = hub::push(&settings, &folder, &id, args.private, &listener)?;
    drop(transfer);
    if pushed.created {
        terminal.note(format!(
            "made {} {}",
            if args.private { "the private model" } else { "the public model" },
            id.name
        ));
    }
    terminal.note(format!("commit {}", pushed.commit));
    terminal.print(pushed.url)
}
