//! `temper man`: the help as manual pages.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::terminal::Terminal;

/// Write the manual pages: temper(1) and one for each command
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper man | man -l -
  temper man ~/.local/share/man/man1 && man temper-embed")]
pub struct Args {
    /// Where to write `temper.1`, `temper-embed.1` and so on; without it, temper(1) is printed
    dir: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let command = crate::Cli::command();
    let Some(dir) = args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        return terminal.print(String::from_utf8(page).context("this is a bug: a page in UTF-8")?.trim_end());
    };
    let failed = || format!("failed to write the manual pages to `{}`", dir.display());
    std::fs::create_dir_all(&dir).with_context(failed)?;
    clap_mangen::generate_to(command, &dir).with_context(failed)?;
    terminal.note(format!("manual pages: {}", dir.display()));
    Ok(())
}
