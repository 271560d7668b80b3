//! Taking one file out of a sealed folder, which stays sealed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{MANIFEST, read_manifest};
use crate::{Error, write_atomic};

/// Strikes `name` from the manifest, then removes it: a kill in between leaves a file that nothing relies on.
pub(crate) fn forget(folder: &Path, name: &str) -> Result<(), Error> {
    let path = folder.join(MANIFEST);
    let mut manifest = read_manifest(folder)?;
    manifest.files.retain(|entry| entry.name != name);
    let bytes =
        serde_json::to_vec_pretty(&manifest).map_err(|source| Error::Json { path: path.clone(), source })?;
    write_atomic(&path, &bytes)?;
    let file = folder.join(name);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", &file)(error)),
        _ => Ok(()),
    }
}
