//! One file of the store: a header, an index sorted by key, and the vectors in the order in which they came.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::{Key, create_whole, write_error};
use crate::Result;

/// What segment files end with.
pub(super) const EXTENSION: &str = "segment";
const MAGIC: [u8; 8] = *b"temper\0\x01";
/// Magic, dim, rows, checksum of the index, checksum of these four.
const HEADER_BYTES: usize = 40;
/// Key, row, checksum of the vector.
const ENTRY_BYTES: usize = 32;
/// Entries read at once, of which one key is held in memory: 4 KiB.
const PAGE: usize = 128;
/// Most bytes of vectors read at once.
const RUN_BYTES: usize = 1 << 18;

/// Where a text's vector stands, and how to know that it is whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) row: u64,
    pub(super) checksum: u64,
}

impl Entry {
    pub(super) fn new(key: Key, row: usize, vector: &[f32]) -> Self {
        Self { key, row: row as u64, checksum: XxHash3_64::oneshot(&bytes_of(vector)) }
    }

    fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..16].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.row.to_le_bytes());
        bytes[24..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (halves, _) = bytes.as_chunks::<16>();
        let (words, _) = bytes.as_chunks::<8>();
        Self {
            key: Key(u128::from_le_bytes(halves[0])),
            row: u64::from_le_bytes(words[2]),
            checksum: u64::from_le_bytes(words[3]),
        }
    }
}

/// A segment that can be read.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) rows: usize,
    file: File,
    dim: usize,
    /// The first key of every page of the index.
    first_keys: Vec<Key>,
}

/// What is wrong with a segment.
type Checked<T> = std::result::Result<T, String>;

impl Segment {
    /// Opens a segment and checks everything but the vectors, which are checked as they are read.
    pub(super) fn open(path: PathBuf, dim: usize) -> Checked<Self> {
        let mut file = File::open(&path).map_err(|error| error.to_string())?;
        let (rows, checksum) = read_header(&mut file, dim)?;
        let mut index = BufReader::with_capacity(1 << 16, file);
        let mut hasher = XxHash3_64::new();
        let (mut first_keys, mut last) = (Vec::with_capacity(rows / PAGE + 1), None);
        let mut bytes = [0; ENTRY_BYTES];
        for at in 0..rows {
            index.read_exact(&mut bytes).map_err(|error| error.to_string())?;
            hash(&mut hasher, &bytes);
            let entry = Entry::from_bytes(&bytes);
            if last > Some(entry.key) || entry.row >= rows as u64 {
                return Err(format!("entry {at} of its index is not in order"));
            }
            last = Some(entry.key);
            if at % PAGE == 0 {
                first_keys.push(entry.key);
            }
        }
        if finish(&hasher) != checksum {
            return Err("its index does not match its checksum".to_owned());
        }
        Ok(Self { path, rows, file: index.into_inner(), dim, first_keys })
    }

    /// Copies the vectors of the keys that are here into their places in `values`, and takes the keys off the list,
    /// which must be sorted. When a vector is damaged, the list is as before.
    pub(super) fn read(&mut self, wanted: &mut Vec<(Key, usize)>, values: &mut [f32]) -> Checked<()> {
        let mut rest = wanted.clone();
        let mut found = self.locate(&mut rest)?;
        found.sort_unstable_by_key(|(entry, _)| entry.row);
        let row_bytes = self.dim * 4;
        let most = (RUN_BYTES / row_bytes.max(1)).max(1) as u64;
        let mut buffer = Vec::new();
        for run in found.chunk_by(|(a, _), (b, _)| b.row <= a.row + 1 && b.row / most == a.row / most) {
            let (first, last) = (run[0].0.row, run[run.len() - 1].0.row);
            buffer.resize((last - first + 1) as usize * row_bytes, 0);
            self.read_at(self.vectors_at() + first * row_bytes as u64, &mut buffer)?;
            for (entry, index) in run {
                let bytes = &buffer[(entry.row - first) as usize * row_bytes..][..row_bytes];
                if XxHash3_64::oneshot(bytes) != entry.checksum {
                    return Err(format!("vector {} does not match its checksum", entry.row));
                }
                let place = values[index * self.dim..][..self.dim].iter_mut();
                place.zip(bytes.as_chunks().0).for_each(|(value, bytes)| *value = f32::from_le_bytes(*bytes));
            }
        }
        *wanted = rest;
        Ok(())
    }

    /// Where the keys stand that are here; they are taken off the list, which must be sorted.
    pub(super) fn locate(&mut self, wanted: &mut Vec<(Key, usize)>) -> Checked<Vec<(Entry, usize)>> {
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        let (mut page, mut loaded): (Vec<Entry>, _) = (Vec::new(), None);
        for (key, index) in wanted.drain(..) {
            let after = self.first_keys.partition_point(|first| *first <= key);
            if after > 0 && loaded != Some(after - 1) {
                page = self.page(after - 1)?;
                loaded = Some(after - 1);
            }
            match page.binary_search_by_key(&key, |entry| entry.key) {
                Ok(at) => found.push((page[at], index)),
                Err(_) => rest.push((key, index)),
            }
        }
        *wanted = rest;
        Ok(found)
    }

    fn page(&mut self, page: usize) -> Checked<Vec<Entry>> {
        let entries = PAGE.min(self.rows - page * PAGE);
        let mut bytes = [0; PAGE * ENTRY_BYTES];
        let bytes = &mut bytes[..entries * ENTRY_BYTES];
        self.read_at((HEADER_BYTES + page * PAGE * ENTRY_BYTES) as u64, bytes)?;
        Ok(bytes.as_chunks().0.iter().map(Entry::from_bytes).collect())
    }

    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> Checked<()> {
        let read = self.file.seek(SeekFrom::Start(position)).and_then(|_| self.file.read_exact(buffer));
        read.map_err(|error| error.to_string())
    }

    fn vectors_at(&self) -> u64 {
        (HEADER_BYTES + self.rows * ENTRY_BYTES) as u64
    }

    /// The index from its beginning, through a file of its own.
    pub(super) fn entries(&self) -> std::io::Result<impl Iterator<Item = std::io::Result<Entry>> + use<>> {
        let mut index = BufReader::with_capacity(1 << 16, self.opened_at(HEADER_BYTES as u64)?);
        Ok((0..self.rows).map(move |_| {
            let mut bytes = [0; ENTRY_BYTES];
            index.read_exact(&mut bytes)?;
            Ok(Entry::from_bytes(&bytes))
        }))
    }

    /// All vectors as bytes.
    pub(super) fn vectors(&self) -> std::io::Result<impl Read + use<>> {
        Ok(self.opened_at(self.vectors_at())?.take((self.rows * self.dim * 4) as u64))
    }

    fn opened_at(&self, position: u64) -> std::io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(position))?;
        Ok(file)
    }
}

/// Writes rows, sorted by key, as a segment; each takes its vector from the row of `values` that it names.
pub(super) fn write(folder: &Path, dim: usize, rows: &[Entry], values: &[f32]) -> Result<PathBuf> {
    let placed = (0..).zip(rows).map(|(row, entry)| Ok(Entry { row, ..*entry }));
    create_whole(folder, |file| {
        write_parts(file, dim, rows.len(), placed, |output| {
            rows.iter()
                .try_for_each(|entry| output.write_all(&bytes_of(&values[entry.row as usize * dim..][..dim])))
        })
    })
}

/// Writes header, index and vectors, and says how the file is to be called: by its content.
pub(super) fn write_parts(
    file: &mut File,
    dim: usize,
    rows: usize,
    entries: impl Iterator<Item = std::io::Result<Entry>>,
    vectors: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> std::io::Result<String> {
    let mut output = BufWriter::with_capacity(1 << 16, file);
    output.write_all(&[0; HEADER_BYTES])?;
    let mut hasher = XxHash3_64::new();
    for entry in entries {
        let bytes = entry?.to_bytes();
        hash(&mut hasher, &bytes);
        output.write_all(&bytes)?;
    }
    vectors(&mut output)?;
    let checksum = finish(&hasher);
    output.seek(SeekFrom::Start(0))?;
    output.write_all(&header(dim, rows, checksum))?;
    output.flush()?;
    Ok(format!("{checksum:016x}.{EXTENSION}"))
}

/// Removes a segment, which another process may have done already.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(write_error(path)(error)),
        _ => Ok(()),
    }
}

fn header(dim: usize, rows: usize, index_checksum: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    for (place, number) in (1..).zip([dim as u64, rows as u64, index_checksum]) {
        header[place * 8..][..8].copy_from_slice(&number.to_le_bytes());
    }
    let checksum = XxHash3_64::oneshot(&header[..32]);
    header[32..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The number of rows and the checksum of the index.
fn read_header(file: &mut File, dim: usize) -> Checked<(usize, u64)> {
    let mut found = [0; HEADER_BYTES];
    file.read_exact(&mut found).map_err(|_| "it is shorter than a header".to_owned())?;
    let (words, _) = found.as_chunks::<8>();
    let (rows, index_checksum) = (u64::from_le_bytes(words[2]) as usize, u64::from_le_bytes(words[3]));
    if header(dim, rows, index_checksum) != found {
        return Err("its header does not match its checksum".to_owned());
    }
    let expected = HEADER_BYTES + rows * (ENTRY_BYTES + dim * 4);
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    if length != expected as u64 {
        return Err(format!("{length} bytes where {expected} were written"));
    }
    Ok((rows, index_checksum))
}

fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The rows that make up the bytes of some segments.
pub(super) fn rows_of(bytes: u64, segments: usize, dim: usize) -> usize {
    (bytes as usize).saturating_sub(segments * HEADER_BYTES) / (ENTRY_BYTES + dim * 4)
}

fn hash(hasher: &mut XxHash3_64, bytes: &[u8]) {
    std::hash::Hasher::write(hasher, bytes);
}

fn finish(hasher: &XxHash3_64) -> u64 {
    std::hash::Hasher::finish(hasher)
}
