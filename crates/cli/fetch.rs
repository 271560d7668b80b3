//! MODEL to a folder; what comes from the hub or goes there is shown on the way.

use std::cell::OnceCell;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use temper_encoder::hub::Event;
use temper_encoder::reference::{self, Found};
use temper_train::Config;

use crate::terminal::Terminal;

/// Finds the model that `model` names; one of the hub is downloaded unless the cache has it.
pub fn fetch(model: &str, revision: Option<&str>, terminal: &Terminal) -> anyhow::Result<Found> {
    let transfer = Transfer::new(format!("downloading {model}"), terminal);
    Ok(reference::find(model, revision, &|event| transfer.show(event))?)
}

/// Brings a run's base, and the guides or teachers of its losses, from the hub into the cache, so that the run finds them there.
pub fn fetch_models(config: &Config, terminal: &Terminal) -> anyhow::Result<()> {
    let base = config.model.base.as_deref().map(|base| (base, config.model.revision.as_deref()));
    let sets = config.sets();
    let guides = sets.iter().filter_map(|set| set.loss.guide_model()).map(|guide| (guide, None));
    for (model, revision) in base.into_iter().chain(guides) {
        if reference::hub_id(model).is_some() {
            fetch(model, revision, terminal)?;
        }
    }
    Ok(())
}

/// Bytes on their way.
pub struct Transfer<'a> {
    what: String,
    terminal: &'a Terminal,
    bar: OnceCell<ProgressBar>,
}

impl<'a> Transfer<'a> {
    /// Shows nothing until something moves.
    pub fn new(what: String, terminal: &'a Terminal) -> Self {
        Self { what, terminal, bar: OnceCell::new() }
    }

    /// Shows one event.
    pub fn show(&self, event: Event<'_>) {
        match event {
            Event::Moved { done, total } => self.bar.get_or_init(|| self.begin(total)).set_position(done),
            Event::Note(text) => match self.bar.get() {
                Some(bar) => bar.suspend(|| self.terminal.note(text)),
                None => self.terminal.note(text),
            },
        }
    }

    fn begin(&self, total: u64) -> ProgressBar {
        self.terminal.note(format!("{}: {}", self.what, HumanBytes(total)));
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}")
            .unwrap_or_else(|error| panic!("this is a bug: a fixed template: {error}"));
        self.terminal.progress("", Some(total as usize)).with_style(style)
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
