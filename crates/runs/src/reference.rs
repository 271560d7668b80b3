//! How people name a checkpoint: `runs/x`, `runs/x@last`, `runs/x@400`.

use std::fmt;
use std::path::PathBuf;

/// Which checkpoint of a run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    /// The best by the run's metric.
    Best,
    /// The newest.
    Last,
    /// The one taken at this step.
    Step(u64),
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => formatter.write_str("best"),
            Self::Last => formatter.write_str("last"),
            Self::Step(step) => write!(formatter, "{step}"),
        }
    }
}

/// Splits `RUN@WHICH`; a bare path means its best. `None` if `WHICH` is no checkpoint (`org/model@main`).
pub fn parse_reference(reference: &str) -> Option<(PathBuf, Which)> {
    let (path, which) = match reference.rsplit_once('@') {
        // An `@` inside a folder's name, as in `/home/me@work/runs/x`.
        Some((_, after)) if after.contains('/') => (reference, Which::Best),
        Some((path, "best")) => (path, Which::Best),
        Some((path, "last")) => (path, Which::Last),
        Some((path, step)) => (path, Which::Step(parse_step(step)?)),
        None => (reference, Which::Best),
    };
    (!path.is_empty()).then(|| (PathBuf::from(path), which))
}

/// Digits only: `str::parse` would also take a `+`.
fn parse_step(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(reference: &str) -> Option<(String, Which)> {
        parse_reference(reference).map(|(path, which)| (path.display().to_string(), which))
    }

    #[test]
    fn references_name_a_checkpoint() {
        for (text, path, which) in [
            ("runs/x", "runs/x", Which::Best),
            ("runs/x@best", "runs/x", Which::Best),
            ("runs/x@last", "runs/x", Which::Last),
            ("runs/x@400", "runs/x", Which::Step(400)),
            ("runs/x@000400", "runs/x", Which::Step(400)),
            ("/home/me@work/runs/x", "/home/me@work/runs/x", Which::Best),
            ("/home/me@work/runs/x@last", "/home/me@work/runs/x", Which::Last),
            ("x/@3", "x/", Which::Step(3)),
        ] {
            assert_eq!(parsed(text), Some((path.to_owned(), which)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_reference() {
        for text in [
            "",
            "@last",
            "org/model@main",
            "runs/x@",
            "runs/x@-4",
            "runs/x@+4",
            "runs/x@99999999999999999999",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
