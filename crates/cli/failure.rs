//! How a command ends badly: the message, the hint and the exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::log::Level;
use crate::terminal::insist;

/// Bad input that no library could know about, with what to do.
#[derive(Debug)]
pub struct BadInput {
    problem: String,
    hint: Option<String>,
}

impl BadInput {
    /// What is wrong.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: None }
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl Error for BadInput {}

/// The command has said everything already and ends with this code (130 when interrupted, 143 when terminated).
#[derive(Debug)]
pub struct Quit(pub u8);

impl fmt::Display for Quit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with code {}", self.0)
    }
}

impl Error for Quit {}

/// Whether a command ends because of a signal.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.is::<Quit>()
}

/// Prints what failed, why, and what to do; the exit code to end with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Quit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if error.chain().any(is_closed_pipe) {
        // The reader has seen enough, as in `| head`.
        return ExitCode::SUCCESS;
    }
    insist(Level::Error, message(error));
    ExitCode::from(code(error))
}

fn message(error: &anyhow::Error) -> String {
    let mut said: Vec<String> = error.chain().map(|cause| cause.to_string().trim_end().to_owned()).collect();
    let is_input = code(error) == 2;
    let hint = error
        .chain()
        .find_map(hint)
        .or_else(|| said.last_mut().filter(|_| is_input).and_then(take_remedy))
        .or_else(|| error.chain().any(is_missing).then(where_paths_start));
    let causes = said[1..].iter().map(|cause| format!("\n  caused by: {}", cause.replace('\n', "\n    ")));
    let hint = hint.map(|hint| format!("\nhint: {hint}"));
    format!("error: {}{}{}", said[0], causes.collect::<String>(), hint.unwrap_or_default())
}

/// Cuts off what a library says to do, which stands behind the last semicolon of its message.
fn take_remedy(message: &mut String) -> Option<String> {
    let (problem, remedy) = message.rsplit_once("; ").filter(|(_, remedy)| !remedy.contains('\n'))?;
    let (problem, remedy) = (problem.to_owned(), remedy.to_owned());
    *message = problem;
    Some(remedy)
}

fn is_missing(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn where_paths_start() -> String {
    let here = std::env::current_dir().map_or_else(|_| ".".to_owned(), |path| path.display().to_string());
    format!("check the path; it is looked for from `{here}`")
}

/// 1 when the work failed, 2 when temper was used or fed wrongly.
fn code(error: &anyhow::Error) -> u8 {
    match error.chain().find_map(is_failure) {
        Some(true) => 1,
        Some(false) | None => 2,
    }
}

/// Whether this cause is a failure of the machine or of the work rather than bad input; none for a cause that says
/// neither, such as a context. The outermost that knows decides: it knows whether its own cause was a read or a write.
fn is_failure(cause: &(dyn Error + 'static)) -> Option<bool> {
    use temper_encoder::Error as Encoder;
    use temper_encoder::hub::Error as Hub;
    use temper_eval::Error as Eval;
    use temper_export::Error as Export;
    use temper_runs::Error as Runs;
    use temper_train::Error as Train;
    use temper_vectors::Error as Vectors;

    if cause.is::<BadInput>() {
        Some(false)
    } else if let Some(error) = cause.downcast_ref::<temper_data::Error>() {
        Some(matches!(error, temper_data::Error::Write { source, .. } if !is_full(source)))
    } else if let Some(error) = cause.downcast_ref::<Vectors>() {
        Some(matches!(error, Vectors::Write { .. }))
    } else if let Some(error) = cause.downcast_ref::<Runs>() {
        Some(matches!(error, Runs::Io { action, source, .. } if *action != "read" && !is_full(source)))
    } else if let Some(error) = cause.downcast_ref::<Train>() {
        match error {
            Train::NotFinite { .. } => Some(true),
            Train::Encoder(inner) => is_failure(inner),
            Train::Eval(inner) => is_failure(inner),
            Train::Run(inner) => is_failure(inner),
            _ => Some(false),
        }
    // A transparent wrapper hides what it wraps from the chain, so the others look inside.
    } else if let Some(error) = cause.downcast_ref::<Encoder>() {
        match error {
            Encoder::Write { .. } => Some(true),
            Encoder::Hub { source, .. } => Some(source.is_failure()),
            Encoder::Run(inner) => is_failure(inner),
            _ => Some(false),
        }
    } else if let Some(error) = cause.downcast_ref::<Hub>() {
        Some(error.is_failure())
    } else if let Some(error) = cause.downcast_ref::<Eval>() {
        match error {
            Eval::Encoder(inner) => is_failure(inner),
            Eval::Vectors(inner) => is_failure(inner),
            _ => Some(false),
        }
    } else if let Some(error) = cause.downcast_ref::<Export>() {
        match error {
            Export::Write { .. } | Export::Differs { .. } => Some(true),
            Export::Encoder(inner) => is_failure(inner),
            Export::Run(inner) => is_failure(inner),
            _ => Some(false),
        }
    } else {
        // Files report through the crates above; a bare one is stdout.
        cause.is::<io::Error>().then_some(true)
    }
}

/// A disk or quota that is full, or a file size limit: for the person to make room.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn is_closed_pipe(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What to do, where a library cannot know the flag that helps.
fn hint(cause: &(dyn Error + 'static)) -> Option<String> {
    use temper_data::Error as Data;

    if let Some(BadInput { hint, .. }) = cause.downcast_ref() {
        return hint.clone();
    }
    if let Some(hint) = cause.downcast_ref().and_then(temper_encoder::hub::Error::hint) {
        return Some(hint);
    }
    let unusable = match cause.downcast_ref() {
        Some(temper_train::Error::Device(unusable)) => Some(unusable),
        _ => cause.downcast_ref::<temper_kernels::Unusable>(),
    };
    if let Some(unusable) = unusable {
        return Some(unusable.remedy.clone());
    }
    if let Some(temper_train::Error::Config { hint: Some(hint), .. }) = cause.downcast_ref() {
        return Some(hint.clone());
    }
    if cause.downcast_ref::<io::Error>().is_some_and(is_full) {
        return Some(
            "make room there and try again; a run goes on with `temper train --resume RUN`".to_owned(),
        );
    }
    if let Some(temper_eval::Error::Data(Data::BadRows { .. })) = cause.downcast_ref() {
        return Some("on the command line: `--skip-bad-rows`".to_owned());
    }
    let data = match cause.downcast_ref::<temper_eval::Error>() {
        Some(temper_eval::Error::Data(data)) => Some(data),
        _ => cause.downcast_ref::<Data>(),
    };
    if let Some(Data::Unrecognised { .. }) = data {
        return Some("on the command line: `--columns anchor=NAME,positive=NAME`".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use anyhow::Context as _;

    use super::*;

    fn denied() -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, "denied")
    }

    #[test]
    fn the_message_tells_what_why_and_what_to_do() {
        let failure = BadInput::new("`x` is empty").hint("give another");
        let error = Err::<(), _>(failure).context("failed to judge").unwrap_err();
        assert_eq!(message(&error), "error: failed to judge\n  caused by: `x` is empty\nhint: give another");
    }

    #[test]
    fn what_a_library_says_to_do_becomes_the_hint() {
        let error = temper_train::Error::Plan("1 example is left; give more data".to_owned());
        assert_eq!(message(&error.into()), "error: 1 example is left\nhint: give more data");
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let missing = temper_data::Error::Io { path: "x".into(), source: missing };
        assert!(message(&missing.into()).contains("\nhint: check the path; it is looked for from `"));
    }

    #[test]
    fn a_device_that_is_missing_is_bad_input_with_a_remedy() {
        let unusable = || temper_kernels::Unusable {
            device: temper_kernels::DeviceName::Cuda(1),
            reason: "the driver is not installed".to_owned(),
            remedy: "install it".to_owned(),
        };
        let of_training = temper_train::Error::Device(unusable()).into();
        for error in [unusable().into(), of_training] {
            let error: anyhow::Error = error;
            assert_eq!(
                message(&error),
                "error: the device `cuda:1` cannot be used: the driver is not installed\nhint: install it"
            );
            assert_eq!(code(&error), 2);
        }
    }

    #[test]
    fn reading_badly_is_2_and_writing_badly_is_1() {
        let read = temper_data::Error::Io { path: "x".into(), source: denied() };
        assert_eq!(code(&anyhow::Error::new(read).context("failed")), 2);
        let write = temper_vectors::Error::Write { path: "x".into(), source: denied() };
        assert_eq!(code(&temper_eval::Error::Vectors(write).into()), 1);
        assert_eq!(code(&anyhow::Error::new(denied()).context("failed to write to stdout")), 1);
        assert_eq!(code(&BadInput::new("no").into()), 2);
    }

    #[test]
    fn a_mapping_that_is_missing_is_answered_with_the_flag() {
        let unknown = temper_data::Error::Unrecognised { path: "x".into(), columns: vec!["q".into()] };
        assert!(
            message(&temper_eval::Error::Data(unknown).into())
                .contains("hint: on the command line: `--columns")
        );
    }
}
