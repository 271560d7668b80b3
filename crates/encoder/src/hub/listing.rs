//! What a repository holds, as the hub's API lists it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use serde::Deserialize;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// A repository at one commit.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    pub(super) sha: String,
    /// Its files.
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// A file on the hub. Its hash is also its name among the cache's blobs, and its ETag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) hash: Hash,
}

/// The hash that the hub knows a file by, in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hash {
    /// Of a file that git stores itself: SHA-1 of git's blob.
    Git(String),
    /// Of a large file.
    Sha256(String),
}

impl Listing {
    /// Every file that lies inside the repository's folder; the reason where one has no hash.
    pub(super) fn files(self) -> Result<Vec<Remote>, String> {
        self.siblings.into_iter().map(Sibling::remote).collect()
    }
}

impl Sibling {
    fn remote(self) -> Result<Remote, String> {
        let inside = Path::new(&self.rfilename).components().all(|part| matches!(part, Component::Normal(_)));
        let (hash, size) = match self.lfs {
            Some(lfs) => (Hash::Sha256(lfs.sha256), Some(lfs.size)),
            None => (Hash::Git(self.blob_id.unwrap_or_default()), self.size),
        };
        match size {
            Some(size) if inside && hash.is_whole() => Ok(Remote { path: self.rfilename, size, hash }),
            _ => Err(format!("the listing tells no size and hash of `{}`", self.rfilename)),
        }
    }
}

impl Hash {
    /// The hex digits.
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Git(hex) | Self::Sha256(hex) => hex,
        }
    }

    fn is_whole(&self) -> bool {
        let digits = match self {
            Self::Git(_) => 40,
            Self::Sha256(_) => 64,
        };
        self.hex().len() == digits && self.hex().bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// The same hash of the file at `path`, which is `size` bytes long.
    pub(super) fn of_file(&self, path: &Path, size: u64) -> io::Result<String> {
        match self {
            Self::Git(_) => digest(Sha1::new_with_prefix(format!("blob {size}\0")), &mut File::open(path)?),
            Self::Sha256(_) => sha256_of(path),
        }
    }
}

/// SHA-256 of a file, in hex.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    digest(Sha256::new(), &mut File::open(path)?)
}

fn digest(mut hasher: impl Digest, from: &mut impl Read) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn listing(sibling: &str) -> Result<Vec<Remote>, String> {
        let json = format!(r#"{{"sha": "c0", "siblings": [{sibling}]}}"#);
        serde_json::from_str::<Listing>(&json).unwrap().files()
    }

    #[test]
    fn large_files_are_known_by_sha256_and_small_ones_by_gits_hash() {
        let (git, sha) = ("0".repeat(40), "f".repeat(64));
        let small = format!(r#"{{"rfilename": "a.json", "size": 3, "blobId": "{git}"}}"#);
        assert_eq!(listing(&small).unwrap()[0].hash, Hash::Git(git.clone()));
        let large = format!(
            r#"{{"rfilename": "m", "size": 9, "blobId": "{git}", "lfs": {{"sha256": "{sha}", "size": 9}}}}"#
        );
        assert_eq!(listing(&large).unwrap()[0].hash, Hash::Sha256(sha));
    }

    #[test]
    fn names_that_leave_the_folder_and_hashes_that_are_none_are_refused() {
        let git = "0".repeat(40);
        for sibling in [
            format!(r#"{{"rfilename": "../x", "size": 3, "blobId": "{git}"}}"#),
            format!(r#"{{"rfilename": "/x", "size": 3, "blobId": "{git}"}}"#),
            r#"{"rfilename": "x", "size": 3, "blobId": "../../x"}"#.to_owned(),
            r#"{"rfilename": "x"}"#.to_owned(),
        ] {
            assert!(listing(&sibling).unwrap_err().contains("no size and hash"), "{sibling}");
        }
    }

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object x` and `sha256sum x`
        let git = Hash::Git(String::new()).of_file(&path, 6).unwrap();
        assert_eq!(git, "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha = sha256_of(&path).unwrap();
        assert_eq!(sha, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }
}
