//! What a training run shows: the dashboard or plain lines, and plain lines once the dashboard was left.

use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use signal_hook::consts::SIGINT;
use temper_runs::Event;
use temper_train::{Control, Job};
use temper_tui::{Live, Request};

use crate::failure::BadInput;
use crate::plain::Plain;
use crate::terminal::{Terminal, quoted};
use crate::train::Ui;

/// Shows events as they come.
pub struct Display<'a> {
    terminal: &'a Terminal,
    dashboard: Option<Live>,
    plain: Plain<'a>,
    log: PathBuf,
    hidden_warnings: usize,
}

impl<'a> Display<'a> {
    /// With the dashboard, plain lines go to the run's log file.
    pub fn open(ui: Ui, job: &Job, control: &Arc<Control>, terminal: &'a Terminal) -> anyhow::Result<Self> {
        let log = job.folder.log_path();
        let (dashboard, plain) = if ui == Ui::Tui {
            let file = OpenOptions::new().create(true).append(true).open(&log);
            let file = file.with_context(|| format!("failed to open `{}`", log.display()))?;
            let control = Arc::clone(control);
            let live = Live::start(&job.folder, move |request| ask(request, &control))?;
            (Some(live), Plain::into_file(terminal, file, job.state.baseline))
        } else {
            (None, Plain::new(terminal, ui == Ui::Quiet, job.state.baseline))
        };
        Ok(Self { terminal, dashboard, plain, log, hidden_warnings: 0 })
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        if let Some(dashboard) = &self.dashboard {
            if dashboard.show(event) {
                self.hidden_warnings += usize::from(matches!(event, Event::Warned { .. }));
            } else {
                self.leave();
                self.plain.move_to_terminal();
            }
        }
        self.plain.show(event);
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        self.leave();
        self.plain.close();
    }

    fn leave(&mut self) {
        let Some(dashboard) = self.dashboard.take() else { return };
        if let Err(error) = dashboard.close() {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            self.terminal.warn(format!("the dashboard ended early: {error}{cause}"));
        }
        if self.hidden_warnings > 0 {
            let (count, log) = (self.hidden_warnings, quoted(self.log.display()));
            let plural = if count == 1 { "" } else { "s" };
            self.terminal.note(format!("{count} warning{plural} of this run: see {log}"));
        }
    }
}

/// Whether a dashboard can have the terminal: there is one, and this process is in its foreground.
pub fn can_show_dashboard() -> bool {
    let stderr = std::io::stderr();
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    // A process in the background would be stopped by taking the terminal over.
    let in_front = || tcgetpgrp(&stderr).is_ok_and(|group| group == getpgrp());
    stderr.is_terminal() && std::io::stdin().is_terminal() && !dumb && in_front()
}

/// Refuses where there is no terminal to draw on.
pub fn check_terminal(hint: &str) -> anyhow::Result<()> {
    if can_show_dashboard() {
        return Ok(());
    }
    let problem = "the dashboard needs a terminal in the foreground, as stdin and stderr";
    Err(BadInput::new(problem).hint(hint).into())
}

fn ask(request: Request, control: &Control) {
    match request {
        Request::Save => control.save(),
        Request::Stop => drop(control.stop(SIGINT)),
        // To the same ears as a signal from outside.
        Request::Interrupt => drop(signal_hook::low_level::raise(SIGINT)),
    }
}
