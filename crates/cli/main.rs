//! temper: from raw pairs of texts to a model that others can load. One file per command; only this room prints.

mod bugs;
mod columns;
mod config;
mod data;
mod display;
mod embed;
mod eval;
mod export;
mod failure;
mod info;
mod init;
mod interrupt;
mod model;
mod plain;
mod prompt;
mod quickstart;
mod similarity;
mod stored;
mod table;
mod terminal;
mod train;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use terminal::Terminal;

/// Fine-tune, judge, use and export sentence encoders.
#[derive(Parser)]
#[command(name = "temper", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print results and errors only: no progress, notes or warnings
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Threads to compute with; all cores when not given. The numbers are the same at any
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
}

const AFTER_HELP: &str = "\
MODEL is everywhere a model folder or a run: `runs/x` is its best checkpoint, `runs/x@last`, `runs/x@400`.
Data goes to stdout, everything else to stderr; `-` is stdin.
Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 130 interrupted (143 on SIGTERM).";

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
    Init => init,
    Config => config,
    Train => train,
    Watch => watch,
    Embed => embed,
    Similarity => similarity,
    Eval => eval,
    Export => export,
    Info => info,
    Data => data,
    Quickstart => quickstart,
}

fn main() -> ExitCode {
    bugs::report_panics();
    interrupt::outlive_file_size_limit();
    temper_kernels::keep_pages();
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.quiet);
    if let Some(threads) = cli.threads {
        // Fails only if a pool exists already, which nothing has made yet.
        drop(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global());
    }
    match cli.command.run(&terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
