//! The export itself: written aside, read back, certified, and only then put in its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use temper_encoder::{Encoder, Precision, ReadOptions, write};

use crate::Error;
use crate::card::{CardFacts, card};
use crate::certificate::{Certificate, certify};
use crate::origin::{self, Origin};

/// Where the files wait inside the target, so that moving them is renaming them.
const STAGING: &str = ".temper-export.partial";

/// Writes `encoder` as a sentence-transformers folder into `dir`, replacing the files of an older export there.
///
/// When anything fails, `dir` is as before.
pub fn export(
    encoder: &Encoder,
    facts: &CardFacts,
    dir: &Path,
    precision: Precision,
) -> Result<Certificate, Error> {
    let existed = dir.exists();
    let staging = dir.join(STAGING);
    let made = stage(encoder, facts, &staging, precision);
    let placed = made.and_then(|(files, certificate)| {
        files.keys().try_for_each(|name| place(&staging, dir, name))?;
        Ok(certificate)
    });
    // The error to tell is that of the export, not of tidying up after it.
    drop(fs::remove_dir_all(&staging));
    if placed.is_err() && !existed {
        drop(fs::remove_dir(dir));
    }
    placed
}

type Files = BTreeMap<String, Vec<u8>>;

fn stage(
    encoder: &Encoder,
    facts: &CardFacts,
    staging: &Path,
    precision: Precision,
) -> Result<(Files, Certificate), Error> {
    let mut files = write::files(encoder, precision)?;
    files.iter().try_for_each(|(name, bytes)| put(staging, name, bytes))?;
    let back = temper_encoder::read(staging, &ReadOptions::default(), &encoder.device())?;
    let certificate = certify(encoder, &back.encoder, precision)?;
    let origin = Origin {
        temper_version: env!("CARGO_PKG_VERSION").to_owned(),
        derived_from: facts.derived_from.clone().unwrap_or_else(|| certificate.source_fingerprint.clone()),
        precision: precision.torch_name().to_owned(),
    };
    let texts =
        [(origin::FILE, origin.to_json()), ("README.md", card(encoder, facts, precision, &certificate))];
    for (name, text) in texts {
        put(staging, name, text.as_bytes())?;
        files.insert(name.to_owned(), Vec::new());
    }
    Ok((files, certificate))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    make_parent(&path)?;
    fs::write(&path, bytes).map_err(Error::write(&path))
}

fn place(staging: &Path, dir: &Path, name: &str) -> Result<(), Error> {
    let path = dir.join(name);
    make_parent(&path)?;
    fs::rename(staging.join(name), &path).map_err(Error::write(&path))
}

fn make_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).map_err(Error::write(parent)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use burn::tensor::Device;

    use super::*;
    use crate::read_origin;

    fn encoder(model: &str) -> Encoder {
        let folder =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/models").join(model);
        temper_encoder::read(&folder, &ReadOptions::default(), &Device::flex()).unwrap().encoder
    }

    fn facts() -> CardFacts {
        CardFacts { name: "tiny".into(), source: "models/tiny".into(), derived_from: None, run: None }
    }

    #[test]
    fn an_export_is_certified_and_names_its_source() {
        let root = tempfile::tempdir().unwrap();
        let encoder = encoder("bert-max-dense");
        let dir = root.path().join("out");
        let certificate = export(&encoder, &facts(), &dir, Precision::F32).unwrap();
        assert_eq!(certificate.max_difference, 0.0);
        assert_eq!(certificate.fingerprint, encoder.fingerprint());
        assert_eq!(read_origin(&dir).unwrap().unwrap().derived_from, encoder.fingerprint());
        assert!(!dir.join(STAGING).exists());
        let card = fs::read_to_string(dir.join("README.md")).unwrap();
        assert!(card.starts_with("---\npipeline_tag: sentence-similarity\n"), "{card}");
        assert!(card.contains(&encoder.fingerprint()), "{card}");
    }

    #[test]
    fn half_precision_is_derived_from_the_same_source() {
        let root = tempfile::tempdir().unwrap();
        let encoder = encoder("bert-mean-norm");
        for precision in [Precision::F16, Precision::Bf16] {
            let certificate = export(&encoder, &facts(), root.path(), precision).unwrap();
            assert_ne!(certificate.fingerprint, encoder.fingerprint());
            assert!(certificate.min_cosine > 0.99, "{certificate:?}");
            assert_eq!(read_origin(root.path()).unwrap().unwrap().derived_from, encoder.fingerprint());
        }
    }

    #[test]
    fn a_failed_export_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let mut encoder = encoder("bert-mean-norm");
        encoder.contract.max_seq_length = 1_000_000;
        let dir = root.path().join("out");
        assert!(export(&encoder, &facts(), &dir, Precision::F32).is_err());
        assert!(!dir.exists());
    }
}
