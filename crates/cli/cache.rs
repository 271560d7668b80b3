//! `temper cache`, and where the vectors computed before lie.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use temper_vectors::store::{self, Store, Stored};

use crate::failure::BadInput;
use crate::model::Opened;
use crate::stored;
use crate::table::{shorten, table};
use crate::terminal::Terminal;

/// Show or clear the vectors computed before
///
/// `temper search` and `temper embed --cache` keep the vectors of texts, so that each is computed once for a model,
/// prompt, --truncate-dim and --precision. They lie in $TEMPER_CACHE, else in ~/.cache/temper.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper cache
  temper cache clear 7c5dc9c1
  temper cache clear --all")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    location: CacheArgs,
    /// Print JSON, one object for each model
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Remove the vectors of models, by fingerprint or its beginning, or all of them
    Clear {
        #[arg(value_name = "FINGERPRINT", required_unless_present = "all")]
        fingerprints: Vec<String>,
        /// Remove the vectors of all models
        #[arg(long, conflicts_with = "fingerprints")]
        all: bool,
    },
}

/// Where the cache is.
#[derive(clap::Args)]
pub struct CacheArgs {
    /// Keep vectors computed before here, in place of $TEMPER_CACHE or ~/.cache/temper
    #[arg(long, value_name = "DIR", global = true)]
    cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// Whether the command line says where the cache is.
    pub fn is_named(&self) -> bool {
        self.cache_dir.is_some()
    }

    /// Opens the store of this model's vectors, or says why there is none.
    pub fn open(
        &self,
        opened: &Opened,
        prompt: Option<&str>,
        terminal: &Terminal,
    ) -> anyhow::Result<Option<Store>> {
        let origin = stored::provenance(opened, prompt)?;
        match Store::open(&self.folder()?, &origin, opened.encoder.contract.dim()) {
            Ok(store) => Ok(Some(store)),
            // Named on the command line it must be usable; the usual place may be on a disk that cannot be written.
            Err(error) if self.is_named() => Err(error.into()),
            Err(error) => {
                terminal.warn(format!("the cache is not used: {:#}", anyhow::Error::from(error)));
                Ok(None)
            }
        }
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let xdg = || set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let home = || std::env::home_dir().map(|home| home.join(".cache"));
        let usual = || xdg().or_else(home).map(|caches| caches.join("temper"));
        self.cache_dir.clone().or_else(|| set("TEMPER_CACHE")).or_else(usual).ok_or_else(|| {
            let problem = BadInput::new("there is no home folder to keep the cache in");
            problem.hint("name a folder with `--cache-dir DIR` or $TEMPER_CACHE").into()
        })
    }
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let folder = args.location.folder()?;
    let all = store::list(&folder)?;
    match args.action {
        Some(Action::Clear { fingerprints, .. }) => clear(&all, &fingerprints, terminal),
        None if args.json => all.iter().try_for_each(|stored| {
            terminal.print_json(&json!({
                "folder": stored.folder,
                "origin": stored.origin,
                "dim": stored.dim,
                "vectors": stored.rows,
                "bytes": stored.bytes,
            }))
        }),
        None if all.is_empty() => {
            terminal.note(format!("nothing is stored in `{}`", folder.display()));
            Ok(())
        }
        None => {
            terminal.print(listing(&all))?;
            terminal.note(format!("in `{}`", folder.display()));
            Ok(())
        }
    }
}

/// Removes the stores whose fingerprints begin so; without any, all of them.
fn clear(all: &[Stored], fingerprints: &[String], terminal: &Terminal) -> anyhow::Result<()> {
    let is = |stored: &Stored, start: &String| stored.origin.fingerprint.starts_with(start);
    if let Some(unknown) = fingerprints.iter().find(|start| !all.iter().any(|stored| is(stored, start))) {
        return Err(BadInput::new(format!("nothing is stored of a model `{unknown}`"))
            .hint("`temper cache` lists the fingerprints")
            .into());
    }
    let doomed: Vec<&Stored> = all
        .iter()
        .filter(|stored| fingerprints.is_empty() || fingerprints.iter().any(|start| is(stored, start)))
        .collect();
    doomed.iter().try_for_each(|stored| remove(&stored.folder))?;
    let rows: usize = doomed.iter().map(|stored| stored.rows).sum();
    let bytes: u64 = doomed.iter().map(|stored| stored.bytes).sum();
    terminal.note(format!("removed {rows} vectors, {}", megabytes(bytes)));
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(folder).with_context(|| format!("failed to remove `{}`", folder.display()))
}

fn listing(all: &[Stored]) -> String {
    let header = ["model", "fingerprint", "prompt", "precision", "dim", "vectors", "size"];
    let rows = all.iter().map(|stored| {
        let origin = &stored.origin;
        vec![
            origin.model.clone(),
            shorten(&origin.fingerprint, 13),
            origin.prompt.as_ref().map_or_else(String::new, |prompt| shorten(&format!("{prompt:?}"), 30)),
            origin.precision.name().to_owned(),
            stored.dim.to_string(),
            stored.rows.to_string(),
            megabytes(stored.bytes),
        ]
    });
    table(header.map(str::to_owned).to_vec(), rows, 4)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
