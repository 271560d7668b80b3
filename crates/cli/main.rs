//! temper: from raw pairs of texts to a model that others can load. One file per command; only this room prints.

mod bugs;
mod columns;
mod data;
mod embed;
mod eval;
mod export;
mod failure;
mod info;
mod interrupt;
mod model;
mod prompt;
mod similarity;
mod stored;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use terminal::Terminal;

// Training and embedding free and take large buffers all the time; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fine-tune, judge, use and export sentence encoders.
#[derive(Parser)]
#[command(name = "temper", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print results and errors only: no progress, notes or warnings
    #[arg(short, long, global = true)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
MODEL is everywhere a model folder or a run: `runs/x` is its best checkpoint, `runs/x@last`, `runs/x@400`.
Data goes to stdout, everything else to stderr; `-` is stdin.
Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 130 interrupted.";

/// Every command: its name, and the module with its `Args` and its `run`.
macro_rules! commands {
    ($($name:ident => $module:ident),* $(,)?) => {
        #[derive(clap::Subcommand)]
        enum Command {
            $($name($module::Args),)*
        }

        impl Command {
            fn run(self, terminal: &Terminal) -> anyhow::Result<()> {
                match self {
                    $(Self::$name(args) => $module::run(args, terminal),)*
                }
            }
        }
    };
}

commands! {
    Embed => embed,
    Similarity => similarity,
    Eval => eval,
    Export => export,
    Info => info,
    Data => data,
}

fn main() -> ExitCode {
    bugs::report_panics();
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.quiet);
    match cli.command.run(&terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
