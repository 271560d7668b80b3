//! `temper completions`: the script that makes a shell complete temper's commands and flags.

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::terminal::Terminal;

/// Print the script that completes temper's commands and flags in a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper completions bash > ~/.local/share/bash-completion/completions/temper
  temper completions zsh > \"${fpath[1]}/_temper\"
  temper completions fish > ~/.config/fish/completions/temper.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "temper", &mut script);
    terminal.print(String::from_utf8(script).context("this is a bug: a script in UTF-8")?.trim_end())
}
