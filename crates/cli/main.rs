//! temper: from raw pairs of texts to a model that others can load. One file per command; only this room prints.

mod ahead;
mod bugs;
mod cache;
mod columns;
mod communities;
mod completions;
mod config;
mod data;
mod devices;
mod display;
mod documents;
mod embed;
mod eval;
mod export;
mod failure;
mod fetch;
mod info;
mod init;
mod input;
mod interrupt;
mod log;
mod man;
mod mine;
mod model;
mod paraphrases;
mod pieces;
mod plain;
mod prompt;
mod pull;
mod push;
mod quickstart;
mod rerun;
mod runs;
mod scorer;
mod search;
mod similarity;
mod source;
mod stored;
mod table;
mod terminal;
mod train;
mod usage;
mod vectors;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

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
    /// Also print details: device, threads, files, how long each part took
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Append what goes to stderr, and the details, to this file, with the time
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Threads to compute with; all cores when not given. The numbers are the same at any
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
}

const AFTER_HELP: &str = "\
MODEL is everywhere a model folder, a run (`runs/x` is its best checkpoint, `runs/x@last`, `runs/x@400`) or a hub id
(`org/name`, `org/name@revision`).
Data goes to stdout, everything else to stderr; `-` is stdin.
Exit codes: 0 done, 1 failed, 2 wrong use or bad input, 130 interrupted (143 on SIGTERM, 129 when the
terminal was closed).";

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
    Rerun => rerun,
    Runs => runs,
    Embed => embed,
    Search => search,
    Similarity => similarity,
    Paraphrases => paraphrases,
    Communities => communities,
    Eval => eval,
    Export => export,
    Info => info,
    Pull => pull,
    Push => push,
    Data => data,
    Mine => mine,
    Cache => cache,
    Quickstart => quickstart,
    Devices => devices,
    Completions => completions,
    Man => man,
}

fn main() -> ExitCode {
    bugs::report_panics();
    interrupt::outlive_file_size_limit();
    temper_kernels::keep_pages();
    let started = Instant::now();
    let cli = Cli::try_parse().unwrap_or_else(|error| usage::exit(&error));
    let terminal = Terminal::new(cli.quiet, cli.verbose);
    if let Some(threads) = cli.threads {
        // Fails only if a pool exists already, which nothing has made yet.
        drop(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global());
    }
    let result = cli.log_file.as_deref().map_or(Ok(()), log::start).and_then(|()| {
        terminal.detail(usage::about);
        cli.command.run(&terminal)
    });
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    };
    terminal.detail(|| format!("ended after {:.2} s", started.elapsed().as_secs_f64()));
    code
}
