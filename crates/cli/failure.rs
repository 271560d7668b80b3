//! How a command ends badly: the message, the hint and the exit code.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

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

/// Prints what failed, why, and what to do; the exit code to end with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Quit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if error.chain().any(is_closed_pipe) {
        // The reader has seen enough, as in `| head`.
        return ExitCode::SUCCESS;
    }
    // A closed stderr must not turn the failure into a panic.
    drop(io::stderr().write_all(message(error).as_bytes()));
    ExitCode::from(code(error))
}

fn message(error: &anyhow::Error) -> String {
    let cause = |cause: &(dyn Error + 'static)| {
        format!("  caused by: {}\n", cause.to_string().trim_end().replace('\n', "\n    "))
    };
    let causes: Vec<String> = error.chain().skip(1).map(cause).collect();
    let hint = error.chain().find_map(hint).map(|hint| format!("hint: {hint}\n"));
    format!("error: {error}\n{}{}", causes.concat(), hint.unwrap_or_default())
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
    use temper_eval::Error as Eval;
    use temper_export::Error as Export;
    use temper_runs::Error as Runs;
    use temper_train::Error as Train;
    use temper_vectors::Error as Vectors;

    if cause.is::<BadInput>() || cause.is::<temper_data::Error>() {
        Some(false)
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
            Encoder::Run(inner) => is_failure(inner),
            _ => Some(false),
        }
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
        assert_eq!(
            message(&error),
            "error: failed to judge\n  caused by: `x` is empty\nhint: give another\n"
        );
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
