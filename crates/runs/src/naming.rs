//! Where runs lie and what a new one is called.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Error;

/// Where runs go: the config's folder, else `$TEMPER_RUNS`, else `./runs`.
pub fn default_root(config: Option<&Path>) -> PathBuf {
    root_from(config, std::env::var_os("TEMPER_RUNS").map(PathBuf::from))
}

fn root_from(config: Option<&Path>, environment: Option<PathBuf>) -> PathBuf {
    config
        .map(Path::to_owned)
        .or(environment.filter(|path| !path.as_os_str().is_empty()))
        .unwrap_or_else(|| PathBuf::from("runs"))
}

/// Refuses what could not be referred to later: `@` separates a run from its checkpoint, and a dot hides the folder.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// The folder of a run that begins now, by the local clock.
pub(crate) fn folder_name_at(name: &str, now: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    folder_name(name, &timestamp.to_zoned(jiff::tz::TimeZone::system()))
}

/// A point in time as RFC 3339, in UTC.
pub fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The same point in time for people: local, to the minute. What is no RFC 3339 stays as it is.
pub fn local_minute(rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => rfc3339.to_owned(),
    }
}

fn folder_name(name: &str, now: &jiff::Zoned) -> String {
    format!("{name}-{}", now.strftime("%Y%m%d-%H%M%S"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_root_is_the_configs_then_the_environments() {
        let environment = || Some(PathBuf::from("/e"));
        assert_eq!(root_from(Some(Path::new("/c")), environment()), Path::new("/c"));
        assert_eq!(root_from(None, environment()), Path::new("/e"));
        assert_eq!(root_from(None, Some(PathBuf::new())), Path::new("runs"));
        assert_eq!(root_from(None, None), Path::new("runs"));
    }

    #[test]
    fn a_run_is_named_after_its_start() {
        let now: jiff::Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        assert_eq!(folder_name("nli", &now.to_zoned(jiff::tz::TimeZone::UTC)), "nli-20260304-050607");
    }

    #[test]
    fn names_that_could_not_be_referred_to_are_refused() {
        for name in ["", ".x", "a/b", "a@last", "..", "a b"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("nli-2.1_ä").is_ok());
    }
}
