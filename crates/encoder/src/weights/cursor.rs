//! Little-endian numbers from bytes that may end anywhere.

/// What is wrong with a file, and what to do about it; whoever knows the file's name adds it.
pub(super) type Problem = String;

/// The bytes that were not read yet.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Begins at an offset that a file claims.
    pub(super) fn at(bytes: &'a [u8], offset: u64) -> Result<Self, Problem> {
        let mut cursor = Self(bytes);
        cursor.take(offset)?;
        Ok(cursor)
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], Problem> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(head)
    }

    /// The bytes before the next line feed, which is passed over.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.0.iter().position(|byte| *byte == b'\n').ok_or_else(cut_off)?;
        let line = self.take(length as u64)?;
        self.take(1)?;
        Ok(line)
    }

    /// The next bytes as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Problem> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Problem> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The bytes ended where more were due.
pub(super) fn cut_off() -> Problem {
    "not a whole torch file; was the download or copy cut off?".to_owned()
}
