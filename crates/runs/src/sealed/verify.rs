//! Checking a sealed folder against its manifest.

use std::fs;
use std::io;
use std::path::Path;

use super::{Entry, MANIFEST, Manifest, hash_file, read_manifest};
use crate::Error;

/// Checks every file of a sealed folder against its manifest and returns the manifest's `extra`.
pub fn verify(path: &Path) -> Result<serde_json::Value, Error> {
    let remedy = || "use another checkpoint".to_owned();
    let manifest_path = path.join(MANIFEST);
    let bytes = match fs::read(&manifest_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NotSealed { path: path.to_owned(), remedy: remedy() });
        }
        other => other.map_err(Error::io("read", &manifest_path))?,
    };
    let damaged = |file: &str, problem: String| Error::Damaged {
        path: path.to_owned(),
        file: file.to_owned(),
        problem,
        remedy: remedy(),
    };
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(MANIFEST, format!("cannot be read ({error})")))?;
    for entry in &manifest.files {
        if let Some(problem) = difference(&path.join(&entry.name), entry)? {
            return Err(damaged(&entry.name, problem));
        }
    }
    Ok(manifest.extra)
}

/// Whether two sealed folders were given the same files below `prefix`, by their manifests.
pub fn same_files(one: &Path, other: &Path, prefix: &str) -> Result<bool, Error> {
    let files = |folder: &Path| {
        let mut files = read_manifest(folder)?.files;
        files.retain(|entry| entry.name.starts_with(prefix));
        Ok::<_, Error>(files)
    };
    Ok(files(one)? == files(other)?)
}

/// How the file differs from its entry, if it does.
fn difference(path: &Path, entry: &Entry) -> Result<Option<String>, Error> {
    let size = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("is missing".to_owned())),
        other => other.map_err(Error::io("read", path))?.len(),
    };
    if size != entry.size {
        return Ok(Some(format!("is {size} bytes, manifest says {}", entry.size)));
    }
    let (_, blake3) = hash_file(path).map_err(Error::io("read", path))?;
    Ok((blake3 != entry.blake3).then(|| "does not have the hash the manifest says".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use super::*;
    use crate::SealedWriter;

    fn sealed(root: &Path) -> PathBuf {
        let path = root.join("step-000400");
        let mut writer = SealedWriter::new(&path).unwrap();
        writer.write_file("model.safetensors", |file| file.write_all(&[7; 100])).unwrap();
        fs::write(writer.file("1_Pooling/config.json").unwrap(), "{}").unwrap();
        writer.seal(serde_json::json!({"step": 400})).unwrap();
        path
    }

    #[test]
    fn a_whole_folder_gives_its_extra_back() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(verify(&sealed(root.path())).unwrap(), serde_json::json!({"step": 400}));
    }

    #[test]
    fn a_shorter_file_is_named_with_both_sizes() {
        let root = tempfile::tempdir().unwrap();
        let path = sealed(root.path());
        fs::write(path.join("model.safetensors"), [7; 90]).unwrap();
        let message = verify(&path).unwrap_err().to_string();
        assert!(
            message.ends_with(
                "step-000400`: model.safetensors is 90 bytes, manifest says 100: it was cut off or changed; \
                 use another checkpoint"
            ),
            "{message}"
        );
    }

    #[test]
    fn a_flipped_bit_a_missing_file_and_a_broken_manifest_are_found() {
        for (file, bytes, expected) in [
            (
                "model.safetensors",
                Some([&[6][..], &[7; 99]].concat()),
                "model.safetensors does not have the hash",
            ),
            ("1_Pooling/config.json", None, "1_Pooling/config.json is missing"),
            ("manifest.json", Some(b"{\"files\"".to_vec()), "manifest.json cannot be read"),
            ("manifest.json", None, "is not a complete checkpoint"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = sealed(root.path());
            match bytes {
                Some(bytes) => fs::write(path.join(file), bytes).unwrap(),
                None => fs::remove_file(path.join(file)).unwrap(),
            }
            let message = verify(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
