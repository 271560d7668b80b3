//! Names on the hub: `org/name`, `org/name@revision`.

use std::fmt;

/// A model on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// `org/name`.
    pub name: String,
    /// Branch, tag or commit; the hub's main branch when not given.
    pub revision: Option<String>,
}

impl HubId {
    /// Reads `org/name` or `org/name@revision`; none for what no hub would take, and for `runs/x@best`, `runs/x@last`
    /// and `runs/x@400`, which mean checkpoints.
    pub fn parse(reference: &str) -> Option<Self> {
        let (name, revision) = match reference.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (reference, None),
        };
        let (owner, model) = name.split_once('/')?;
        let named = [owner, model].into_iter().all(is_name) && name.len() <= 96 && !name.ends_with(".git");
        let id = Self { name: name.to_owned(), revision: None };
        match revision {
            _ if !named => None,
            None => Some(id),
            Some(revision) => is_revision(revision).then(|| id.at(revision)),
        }
    }

    /// This model at another revision.
    pub fn at(self, revision: &str) -> Self {
        Self { revision: Some(revision.to_owned()), ..self }
    }

    /// The revision to ask for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.revision.iter().try_for_each(|revision| write!(formatter, "@{revision}"))
    }
}

/// What the hub takes as the name of an owner or of a model.
fn is_name(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !part.is_empty()
        && part.chars().all(plain)
        && !part.starts_with(['.', '-'])
        && !part.ends_with(['.', '-'])
        && !part.contains("--")
        && !part.contains("..")
}

/// A revision that can stand in a URL and name a file of the cache, and no checkpoint of a run.
pub(super) fn is_revision(revision: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/+".contains(c);
    let checkpoint = ["best", "last"].contains(&revision)
        || revision.len() < 7 && revision.bytes().all(|b| b.is_ascii_digit());
    !checkpoint
        && revision.chars().all(plain)
        && revision.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// Whether a revision is a commit, which never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_told_from_paths_and_checkpoints() {
        for (text, name, revision) in [
            ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "main"),
            ("org/name@v1.0", "org/name", "v1.0"),
            ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
        ] {
            let id = HubId::parse(text).unwrap();
            assert_eq!((id.name.as_str(), id.revision()), (name, revision));
            assert_eq!(id.to_string(), text);
        }
        for text in [
            "",
            "nowhere",
            "a/b/c",
            "/abs/path",
            "./x",
            "../x",
            "~/x",
            "org/",
            "/name",
            "org/na me",
            "org/a--b",
            "org/x.git",
            "runs/x@best",
            "runs/x@400",
            "org/name@",
            "org/name@../x",
            "org/name@a//b",
        ] {
            assert_eq!(HubId::parse(text), None, "{text}");
        }
    }
}
