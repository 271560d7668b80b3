//! The environment that the hub's tools share: `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where the hub is, where its models are kept, and who asks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hub's address, without a slash at its end.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Who asks.
    pub token: Option<Token>,
    /// Where a token would be looked for.
    pub token_file: PathBuf,
    /// Whether the network is not to be used.
    pub offline: bool,
}

/// A secret, and where it was found.
#[derive(Clone)]
pub struct Token {
    /// The secret.
    pub secret: String,
    /// As messages name it.
    pub source: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "token from {}", self.source)
    }
}

impl Settings {
    /// What the environment says.
    pub fn from_env() -> Self {
        Self::of(&|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let user = std::env::home_dir().unwrap_or_else(|| PathBuf::from("."));
        let path = |name| variable(name).map(|value| under(&user, &value));
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache")).join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        Self {
            endpoint: variable("HF_ENDPOINT")
                .map_or_else(|| "https://huggingface.co".to_owned(), |e| e.trim_end_matches('/').to_owned()),
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            token: ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
                .iter()
                .find_map(|name| Token::new(&variable(name)?, (*name).to_owned()))
                .or_else(|| Token::read(&token_file)),
            token_file,
            offline: variable("HF_HUB_OFFLINE")
                .is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())),
        }
    }
}

impl Token {
    fn new(secret: &str, source: String) -> Option<Self> {
        let secret = secret.trim().to_owned();
        (!secret.is_empty()).then_some(Self { secret, source })
    }

    fn read(path: &Path) -> Option<Self> {
        Self::new(&std::fs::read_to_string(path).ok()?, format!("`{}`", path.display()))
    }
}

/// A path of the environment, in which `~` may stand for the user's folder.
fn under(user: &Path, path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => user.join(rest),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Settings {
        Settings::of(&|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_nearest_variable_wins() {
        let home = of(&[("HF_HOME", "/h"), ("HF_ENDPOINT", "http://mirror/")]);
        assert_eq!((home.cache, home.endpoint.as_str()), ("/h/hub".into(), "http://mirror"));
        assert_eq!(of(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]).cache, Path::new("/c"));
        assert_eq!(of(&[("XDG_CACHE_HOME", "/x")]).cache, Path::new("/x/huggingface/hub"));
        assert!(of(&[("HF_HUB_OFFLINE", "True")]).offline && !of(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[test]
    fn the_token_comes_from_the_variable_or_from_the_file_and_is_never_shown() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("token"), "secret\n").unwrap();
        let home = root.path().to_str().unwrap();
        let token = of(&[("HF_HOME", home)]).token.unwrap();
        assert_eq!((token.secret.as_str(), token.source.ends_with("/token`")), ("secret", true));
        let token = of(&[("HF_HOME", home), ("HF_TOKEN", "other")]).token.unwrap();
        assert_eq!((token.secret.as_str(), token.source.as_str()), ("other", "HF_TOKEN"));
        assert!(!format!("{token:?}").contains("other"));
    }
}
