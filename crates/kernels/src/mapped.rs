//! A file's bytes without reading it first: pages that nobody looks at are never loaded, and none is copied twice.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Calls `read` with the bytes of a file, for as long as the call lasts.
///
/// Another process that cuts the file off meanwhile ends this one, as with every mapped file; temper itself replaces
/// model files as a whole and never writes into them.
pub fn with_mapped<T>(path: &Path, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let file = File::open(path)?;
    // SAFETY: the bytes are only lent for the call. What is made of them is valid for any bytes (headers are parsed
    // and checked, weights are copied), so a change by another process can give wrong numbers, never a wrong slice.
    let bytes = unsafe { Mmap::map(&file)? };
    Ok(read(&bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::with_mapped;

    #[test]
    fn the_bytes_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(with_mapped(&path, <[u8]>::len).is_err());
        for bytes in [Vec::new(), vec![7; 100_000]] {
            std::fs::write(&path, &bytes).unwrap();
            assert!(with_mapped(&path, |mapped| mapped == bytes).unwrap());
        }
    }
}
