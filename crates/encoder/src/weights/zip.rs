//! The entries of a zip archive whose bytes lie in it as they are, as torch writes them; zip64 too.
//!
//! The format is that of PKWARE's APPNOTE 6.3.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Problem, cut_off};

const END: u32 = 0x0605_4b50;
const END_BYTES: usize = 22;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCATOR_64_BYTES: usize = 20;
const END_64: u32 = 0x0606_4b50;
const LISTED: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

/// The bytes of every entry by its name.
pub(super) fn entries(bytes: &[u8]) -> Result<BTreeMap<&[u8], &[u8]>, Problem> {
    let (count, offset) = directory(bytes)?;
    let mut list = Cursor::at(bytes, offset)?;
    (0..count).map(|_| entry(bytes, &mut list)).collect()
}

/// How many entries the archive lists, and where the list begins.
fn directory(bytes: &[u8]) -> Result<(u64, u64), Problem> {
    // A comment of up to 64 KiB may follow the end.
    let first = bytes.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let ends = |window: &[u8]| window.starts_with(&END.to_le_bytes());
    let end = first + bytes[first..].windows(END_BYTES).rposition(ends).ok_or_else(cut_off)?;
    if let Some(locator) = end.checked_sub(LOCATOR_64_BYTES) {
        let mut locator = Cursor::at(bytes, locator as u64)?;
        if locator.u32()? == LOCATOR_64 {
            locator.take(4)?;
            let mut end = Cursor::at(bytes, locator.u64()?)?;
            expect(&mut end, END_64)?;
            end.take(28)?;
            let count = end.u64()?;
            end.take(8)?;
            return Ok((count, end.u64()?));
        }
    }
    let mut end = Cursor::at(bytes, end as u64 + 10)?;
    let count = end.u16()?;
    end.take(4)?;
    Ok((count.into(), end.u32()?.into()))
}

/// The next entry of the list.
fn entry<'a>(bytes: &'a [u8], list: &mut Cursor<'a>) -> Result<(&'a [u8], &'a [u8]), Problem> {
    expect(list, LISTED)?;
    list.take(4)?;
    let encrypted = list.u16()? & 1 == 1;
    let method = list.u16()?;
    list.take(8)?;
    let (packed, size) = (list.u32()?, list.u32()?);
    let (name, extra, comment) = (list.u16()?, list.u16()?, list.u16()?);
    list.take(8)?;
    let offset = list.u32()?;
    let name = list.take(name.into())?;
    let extra = list.take(extra.into())?;
    list.take(comment.into())?;
    if encrypted || method != 0 {
        return Err(format!(
            "entry `{}` is compressed or encrypted, which torch.save never does; save it anew with torch.save",
            name.escape_ascii()
        ));
    }
    let [_, packed, offset] = wide([size, packed, offset], extra)?;
    let mut local = Cursor::at(bytes, offset)?;
    expect(&mut local, LOCAL)?;
    local.take(22)?;
    let (name_bytes, extra_bytes) = (local.u16()?, local.u16()?);
    local.take(u64::from(name_bytes) + u64::from(extra_bytes))?;
    Ok((name, local.take(packed)?))
}

/// Numbers of which those that do not fit into 32 bits stand in the zip64 field of `extra`.
fn wide(numbers: [u32; 3], extra: &[u8]) -> Result<[u64; 3], Problem> {
    let mut wide = numbers.map(u64::from);
    let mut fields = Cursor::at(extra, 0)?;
    while numbers.contains(&u32::MAX) {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let mut field = Cursor::at(fields.take(length.into())?, 0)?;
        if id == 1 {
            for number in wide.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                *number = field.u64()?;
            }
            break;
        }
    }
    Ok(wide)
}

fn expect(cursor: &mut Cursor<'_>, signature: u32) -> Result<(), Problem> {
    if cursor.u32()? == signature { Ok(()) } else { Err(cut_off()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// One entry, `x` with the bytes `hi`, in the plain format, with these bytes in its extra field.
    fn archive(method: u16, size: u32, extra: &[u8]) -> Vec<u8> {
        let mut bytes = LOCAL.to_le_bytes().to_vec();
        bytes.extend([0; 22]);
        bytes.extend([1, 0, 3, 0]);
        bytes.extend(b"xpadhi");
        let list = bytes.len() as u32;
        bytes.extend(LISTED.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend([size, size].map(u32::to_le_bytes).concat());
        bytes.extend([1, extra.len() as u16, 0, 0, 0, 0, 0, 0, 0].map(u16::to_le_bytes).concat());
        bytes.extend(b"x");
        bytes.extend(extra);
        bytes.extend(END.to_le_bytes());
        bytes.extend([0, 0, 1, 1, 0, 0].map(u16::to_le_bytes).concat());
        bytes.extend(list.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn an_entry_is_found_in_the_plain_and_in_the_wide_format() {
        let wide = [&[9, 0, 1, 0, 7][..], &[1, 0, 16, 0], &2u64.to_le_bytes(), &2u64.to_le_bytes()].concat();
        for archive in [archive(0, 2, &[]), archive(0, u32::MAX, &wide)] {
            assert_eq!(entries(&archive).unwrap(), BTreeMap::from([(&b"x"[..], &b"hi"[..])]));
        }
    }

    #[test]
    fn a_compressed_entry_and_one_larger_than_the_file_are_refused() {
        assert!(entries(&archive(8, 2, &[])).unwrap_err().contains("entry `x` is compressed"));
        for archive in [archive(0, 1 << 31, &[]), archive(0, u32::MAX, &[]), b"PK".to_vec()] {
            assert!(entries(&archive).unwrap_err().contains("not a whole torch file"));
        }
    }
}
