//! `temper config show|check`: every key with its value, and whether a config would start.

use std::path::PathBuf;

use clap::Subcommand;
use temper_train::StepOrder;

use crate::terminal::Terminal;

/// Show or check a run's config.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every key with its value; without a file, the defaults.
    Show {
        /// The config.
        config: Option<PathBuf>,
        /// Override a config key.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Read config, data and base, and print the plan without training.
    Check {
        /// The config.
        config: PathBuf,
        /// Override a config key.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
}

/// The least that a config must say.
const MINIMAL: &str = "[model]\nbase = \"MODEL\"\n[data]\ntrain = [\"train.jsonl\"]\n";

/// Shows or checks.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    match &args.command {
        Command::Show { config, overrides } => {
            let config = match config {
                Some(path) => temper_train::parse::read(path, overrides)?,
                None => temper_train::parse::parse(&PathBuf::from("defaults"), MINIMAL, overrides)?,
            };
            terminal.print(temper_train::parse::to_toml(&config)?.trim_end())?;
        }
        Command::Check { config, overrides } => {
            let config = temper_train::parse::read(config, overrides)?;
            let prepared = temper_train::prepare(&config, None)?;
            let order = StepOrder::new(&prepared.dataset, &config);
            let plan = temper_train::plan(&config, &prepared, &order)?;
            for warning in prepared.warnings.iter().chain(&plan.warnings()) {
                terminal.warn(warning);
            }
            terminal.print(plan.to_string())?;
        }
    }
    Ok(())
}
