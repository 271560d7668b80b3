//! The one way to print: data to stdout, everything else to stderr.

use std::fmt;
use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::log::{self, Level};

/// Where notes, warnings and progress go.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
}

impl Terminal {
    /// A quiet terminal shows neither notes nor warnings nor progress; a verbose one shows details too.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// One line of data on stdout.
    #[allow(
        clippy::unused_self,
        reason = "whoever prints holds the terminal, so that this stays the one way"
    )]
    pub fn print(&self, text: impl AsRef<str>) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n"));
        written.context("failed to write to stdout")
    }

    /// One JSON value on one line of stdout.
    #[allow(clippy::unused_self, reason = "as in `print`")]
    pub fn print_json(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = serde_json::to_writer(&mut out, value).map_err(io::Error::from);
        written
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .context("failed to write to stdout")
    }

    /// A detail: what happens inside. It is put into words only where somebody reads it.
    pub fn detail(&self, message: impl FnOnce() -> String) {
        if self.verbose || log::is_kept() {
            self.tell(Level::Debug, self.verbose, &message());
        }
    }

    /// Something worth knowing.
    pub fn note(&self, message: impl AsRef<str>) {
        self.tell(Level::Note, !self.quiet, message.as_ref());
    }

    /// Something that may be wrong.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.tell(Level::Warning, !self.quiet, &format!("warning: {}", message.as_ref()));
    }

    /// A progress bar on stderr when that is a terminal; `total` when it is known.
    pub fn progress(&self, what: &str, total: Option<usize>) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total as u64), "{msg} {wide_bar} {pos}/{len}  {rate}  {eta}"),
            None => (ProgressBar::new_spinner(), "{msg} {spinner} {pos}  {rate}  {elapsed}"),
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|error| panic!("this is a bug: a fixed template: {error}"));
        // indicatif's own rate has four decimals.
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // Drawing has nowhere to report a failure to.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.with_style(style.with_key("rate", rate)).with_message(what.to_owned())
    }

    /// Whether only results and errors are shown.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    #[allow(clippy::unused_self, reason = "as in `print`")]
    fn tell(&self, level: Level, show: bool, message: &str) {
        log::record(level, message);
        if show {
            write_line(message);
        }
    }
}

/// Something that must be known even where quiet was asked for: how to go on, or what went wrong.
pub fn insist(level: Level, message: impl AsRef<str>) {
    log::record(level, message.as_ref());
    write_line(message.as_ref());
}

fn write_line(message: &str) {
    // A closed stderr is no reason to stop working.
    drop(writeln!(io::stderr(), "{}", message.trim_end()));
}

/// How this program was called, for commands that are printed to be typed.
pub fn program() -> String {
    quoted(std::env::args().next().unwrap_or_else(|| "temper".to_owned()))
}

/// A word of a printed command as a shell reads it back.
pub fn quoted(word: impl ToString) -> String {
    let word = word.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@=:,+".contains(c);
    if word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_are_quoted() {
        assert_eq!(quoted("runs/x@last"), "runs/x@last");
        assert_eq!(quoted("my runs/it's"), r"'my runs/it'\''s'");
    }
}
