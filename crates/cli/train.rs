//! `temper train`: run a config, or go on with a run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use temper_runs::{Outcome, Which};
use temper_train::{Allowed, Job, Report, Stop};

use crate::output;
use crate::plain::Plain;

/// Fine-tune an encoder as a config says.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  temper train configs/pairs.toml
  temper train configs/pairs.toml --set train.learning_rate=3e-5 --set seed=7
  temper train --resume runs/pairs-20261122-101500
  temper train --resume runs/pairs-20261122-101500 --set train.num_train_epochs=3   (extends a finished run)

Ctrl-C finishes the step, saves, and prints the command that goes on; a second Ctrl-C leaves at once.")]
pub struct TrainArgs {
    /// The run's TOML file (`temper init` writes one).
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Go on with this run from its last checkpoint; needs no config.
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Override a config key, as in `--set train.learning_rate=3e-5`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Exact folder of the new run, in place of `<runs>/<name>-<time>`.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = ["cpu"])]
    device: String,
    /// What to show: a progress bar on a terminal and sparse lines elsewhere, or nothing but the result.
    #[arg(long, value_enum, default_value_t = Ui::Plain)]
    ui: Ui,
    /// Resume although these changed since the run was started.
    #[arg(long, value_enum, value_delimiter = ',', requires = "resume")]
    allow_changed: Vec<Changed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ui {
    Plain,
    Quiet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Changed {
    Config,
    Data,
}

pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let argv: Vec<String> = std::env::args().collect();
    let job = match (&args.config, &args.resume) {
        (_, Some(run)) => {
            let allowed = Allowed {
                config: args.allow_changed.contains(&Changed::Config),
                data: args.allow_changed.contains(&Changed::Data),
            };
            temper_train::resume(run, &args.overrides, allowed, &argv)
                .with_context(|| format!("cannot resume `{}`", run.display()))?
        }
        (Some(config), None) => {
            let config = temper_train::parse::read(config, &args.overrides)?;
            temper_train::create(config, args.run.as_deref(), &argv)?
        }
        (None, None) => bail!("give a config, or --resume RUN"),
    };
    let report = execute(&job, args.ui)?;
    finish(&job, &report)
}

/// Trains with the chosen display; Ctrl-C and SIGTERM end it after the current step.
pub fn execute(job: &Job, ui: Ui) -> anyhow::Result<Report> {
    let stop = listen()?;
    let mut plain = Plain::new(ui == Ui::Quiet);
    let report = temper_train::run(job, &stop, &mut |event| plain.show(event));
    plain.close();
    let report = report.map_err(|error| {
        let reference = job.folder.path().display();
        anyhow::Error::new(error).context(format!("the run `{reference}` stopped"))
    })?;
    SIGNAL.store(stop.load(Ordering::SeqCst), Ordering::SeqCst);
    Ok(report)
}

/// The signal that ended the last run, or 0.
static SIGNAL: Stop = Stop::new(0);

/// A first signal asks the loop to stop; a second one leaves at once.
fn listen() -> anyhow::Result<Arc<Stop>> {
    let (stop, asked) = (Arc::new(Stop::new(0)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
        signal_hook::flag::register_usize(signal, Arc::clone(&stop), signal as usize)?;
    }
    Ok(stop)
}

/// Prints what came of it, and what to type next.
pub fn finish(job: &Job, report: &Report) -> anyhow::Result<ExitCode> {
    let run = job.folder.path().display().to_string();
    let temper = output::program();
    if report.outcome == Outcome::Interrupted {
        output::note(&format!("interrupted after step {}; saved. Go on with:", report.step));
        output::note(&format!("  {temper} train --resume {run}"));
        return Ok(ExitCode::from(128 + SIGNAL.load(Ordering::SeqCst) as u8));
    }
    let which = if report.best.is_some() { Which::Best } else { Which::Last };
    let folder = job.folder.resolve(which)?.join(temper_encoder::reference::MODEL_FOLDER);
    let mut lines = vec![format!("best      {}", folder.display())];
    if let Some((step, score)) = report.best {
        let metric = &report.metric;
        let before = report.baseline.map(|b| format!("{b:.4} -> ")).unwrap_or_default();
        lines.push(format!("{metric:<9} {before}{score:.4} (step {step} of {})", report.step));
        if report.baseline.is_some_and(|before| before > score) {
            output::warn(
                "the base scores higher than every checkpoint of this run; the best one is still the run's own",
            );
        }
    }
    if report.outcome == Outcome::EarlyStopped {
        lines.push(format!("stopped   early at step {}: no improvement", report.step));
    }
    let reference = if report.best.is_some() { run.clone() } else { format!("{run}@last") };
    lines.push(format!("export    {temper} export {reference} exported-model"));
    output::line(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}
