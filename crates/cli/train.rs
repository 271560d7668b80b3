//! `temper train`: run a config, or go on with a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use signal_hook::consts::{SIGHUP, SIGINT};
use signal_hook::iterator::Signals;
use temper_encoder::reference::MODEL_FOLDER;
use temper_kernels::DeviceName;
use temper_runs::{Outcome, Which};
use temper_train::{Allowed, Control, Job, Report};

use crate::display::{Display, can_show_dashboard, check_terminal};
use crate::failure::{BadInput, Quit};
use crate::fetch::fetch_models;
use crate::interrupt::ending_signals;
use crate::log::Level;
use crate::terminal::{Terminal, insist, program, quoted};

/// Fine-tune an encoder as a config says.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper train configs/pairs.toml
  temper train configs/pairs.toml --set train.learning_rate=3e-5 --set seed=7
  temper train --resume runs/pairs-20261122-101500
  temper train --resume runs/pairs-20261122-101500 --set train.num_train_epochs=3   (extends a finished run)
  temper train configs/pairs.toml --ui plain     (lines in place of the dashboard)

Ctrl-C finishes the step, saves, and prints the command that goes on; a second Ctrl-C leaves at once. A terminal that is closed
ends a run in the same way, unless it was started with `nohup`.")]
pub struct Args {
    /// The run's TOML file (`temper init` writes one)
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Go on with this run from its last checkpoint, or from that of `RUN@400`; needs no config
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Override a config key, as in `--set train.learning_rate=3e-5`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Exact folder of the new run, in place of `<runs>/<name>-<time>`
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:N, ndarray; see `temper devices`
    #[arg(long, conflicts_with = "resume")]
    device: Option<DeviceName>,
    /// What to show while training; when not given, tui on a terminal and plain elsewhere
    #[arg(long, value_enum)]
    ui: Option<Ui>,
    /// Resume although these changed since the run was started
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "config")]
    allow_changed: Vec<Changed>,
}

/// What a run shows
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ui {
    /// The dashboard; `?` explains its keys
    Tui,
    /// A progress bar on a terminal, sparse lines elsewhere
    Plain,
    /// Warnings and the result
    Quiet,
}

impl Ui {
    /// What was asked for, if it can be had; else the dashboard where there is a terminal for it.
    pub fn fitting(asked: Option<Self>, terminal: &Terminal) -> anyhow::Result<Self> {
        match asked {
            Some(Self::Tui) => check_terminal("`--ui plain` prints lines instead").map(|()| Self::Tui),
            Some(ui) => Ok(ui),
            None if can_show_dashboard() && !terminal.is_quiet() => Ok(Self::Tui),
            None => Ok(Self::Plain),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Changed {
    Config,
    Data,
}

/// Trains, and prints the best checkpoint, the scores before and after, and the export command
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let ui = Ui::fitting(args.ui, terminal)?;
    let started = Instant::now();
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
            let device = args.device.iter().map(|device| format!("device={device}"));
            let overrides: Vec<String> = device.chain(args.overrides.iter().cloned()).collect();
            let config = temper_train::parse::read(config, &overrides)?;
            fetch_models(&config, terminal)?;
            temper_train::create(config, args.run.as_deref(), &argv)?
        }
        (None, None) => return Err(BadInput::new("give a config, or --resume RUN").into()),
    };
    terminal.detail(|| {
        format!(
            "prepared `{}` in {:.2} s: {} examples, on {}",
            job.folder.path().display(),
            started.elapsed().as_secs_f64(),
            job.prepared.train_examples(),
            DeviceName::of(&job.prepared.encoder.device())
        )
    });
    let report = execute(&job, ui, terminal)?;
    print_result(&job, &report, terminal)?;
    let run = job.folder.path().display();
    let reference = if report.best.is_some() { run.to_string() } else { format!("{run}@last") };
    let exported = format!("exported-{}", job.config.name);
    terminal.print(format!("export    {} export {} {}", program(), quoted(reference), quoted(exported)))
}

/// Trains with the chosen display; Ctrl-C, SIGTERM and a terminal that goes away end it after the current step.
pub fn execute(job: &Job, ui: Ui, terminal: &Terminal) -> anyhow::Result<Report> {
    let control = listen()?;
    temper_kernels::use_huge_pages();
    let mut display = Display::open(ui, job, &control, terminal)?;
    let report = temper_train::run(job, &control, &mut |event| display.show(event));
    display.close();
    let run = job.folder.path().display();
    let report = report.with_context(|| format!("the run `{run}` stopped; what it saved is kept"))?;
    if report.outcome == Outcome::Interrupted {
        insist(Level::Note, format!("interrupted after step {}; saved. Go on with:", report.step));
        insist(Level::Note, format!("  {} train --resume {}", program(), quoted(run)));
        return Err(Quit(128 + control.stopped_by().unwrap_or(SIGINT) as u8).into());
    }
    Ok(report)
}

/// A first signal asks the loop to stop; a second one leaves at once, and gives the terminal back. That the terminal is gone is
/// told several times, by the shell and by the system.
fn listen() -> anyhow::Result<Arc<Control>> {
    let control = Arc::new(Control::default());
    let asked = Arc::clone(&control);
    let mut signals = Signals::new(ending_signals())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let first = asked.stop(signal);
            if signal == SIGHUP || !first {
                temper_tui::restore();
            }
            if signal != SIGHUP && !first {
                signal_hook::low_level::exit(128 + signal);
            }
        }
    })?;
    Ok(control)
}

/// Prints the best checkpoint and the scores before and after; the last one where nothing was judged.
pub fn print_result(job: &Job, report: &Report, terminal: &Terminal) -> anyhow::Result<()> {
    let which = if report.best.is_some() { Which::Best } else { Which::Last };
    let folder = job.folder.resolve(which)?.join(MODEL_FOLDER);
    let name = if report.best.is_some() { "best" } else { "last" };
    terminal.print(format!("{name}      {}", folder.display()))?;
    if let Some((step, score)) = report.best {
        let before = report.baseline.map(|b| format!("{b:.4} -> ")).unwrap_or_default();
        terminal.print(format!(
            "score     {} {before}{score:.4} (step {step} of {})",
            report.metric, report.step
        ))?;
        if report.baseline.is_some_and(|before| before > score) {
            terminal.warn("the base scores higher than every checkpoint of this run; train differently, or keep the base");
        }
    }
    if report.outcome == Outcome::EarlyStopped {
        terminal.print(format!("stopped   early at step {}: no improvement", report.step))?;
    }
    Ok(())
}
