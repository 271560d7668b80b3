//! What `torch.save` wrote (since torch 1.6): a zip archive with a pickle that describes the tensors, and their bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use safetensors::Dtype;

use super::cursor::Problem;
use super::pickle::{Global, Id, Object, Pickle, damaged};
use super::precision::to_f32;
use super::zip::entries;
use super::{Dtypes, Tensors};

/// Enough for a hundred thousand tensors.
const MOST_PICKLE_BYTES: usize = 16 << 20;

/// No weight has more.
const MOST_AXES: usize = 8;

/// Tied tensors lie in a file once; that many values a byte are still no trick.
const MOST_VALUES_A_BYTE: usize = 4;

/// The tensors of a state dict, which is the pickled object or its entry `state_dict`.
pub(super) fn parse(bytes: &[u8]) -> Result<Tensors, Problem> {
    let views = views(bytes)?;
    let values = views.iter().try_fold(0_usize, |sum, (_, view)| sum.checked_add(view.count));
    if values.is_none_or(|values| values > bytes.len().saturating_mul(MOST_VALUES_A_BYTE)) {
        return Err("its tensors claim more values than it has bytes for; was the file damaged?".to_owned());
    }
    let read = |(name, view): (&[u8], View<'_>)| {
        let values = view.values()?;
        Some((String::from_utf8_lossy(name).into_owned(), (view.shape, values)))
    };
    Ok(views.into_par_iter().filter_map(read).collect())
}

/// The types of all tensors by name.
pub(super) fn dtypes(bytes: &[u8]) -> Result<Dtypes, Problem> {
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    Ok(views(bytes)?.into_iter().map(|(bytes, view)| (name(bytes), view.dtype)).collect())
}

/// Where the tensors lie, by name.
fn views(bytes: &[u8]) -> Result<Vec<(&[u8], View<'_>)>, Problem> {
    if bytes.starts_with(b"PK\x03\x04") { Archive::read(bytes)?.views() } else { Err(not_an_archive(bytes)) }
}

fn not_an_archive(bytes: &[u8]) -> Problem {
    let tar = bytes.get(257..262) == Some(b"ustar");
    if tar || bytes.first() == Some(&0x80) {
        unreadable("is in the format of torch before 1.6")
    } else {
        "not a torch file; was the download or copy cut off?".to_owned()
    }
}

fn unreadable(what: &str) -> Problem {
    format!(
        "{what}, which temper does not read; save it once as safetensors: \
         SentenceTransformer(DIR).save_pretrained(NEW_DIR)"
    )
}

struct Archive<'a> {
    entries: BTreeMap<&'a [u8], &'a [u8]>,
    /// The folder in which all entries lie.
    root: &'a [u8],
    pickle: Pickle<'a>,
}

impl<'a> Archive<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        let entries = entries(bytes)?;
        let (root, pickle) = entries
            .iter()
            .find_map(|(name, pickle)| Some((name.strip_suffix(b"/data.pkl")?, *pickle)))
            .ok_or(
                "a zip archive without `data.pkl`, so not what torch.save writes; was it packed by hand?",
            )?;
        if pickle.len() > MOST_PICKLE_BYTES {
            return Err(damaged());
        }
        let archive = Self { root, pickle: Pickle::read(pickle)?, entries };
        match archive.entry(b"byteorder") {
            None | Some(b"little") => Ok(archive),
            Some(_) => Err(unreadable("was written on a big-endian machine")),
        }
    }

    fn entry(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.entries.get(&[self.root, b"/", name].concat()[..]).copied()
    }

    /// The tensors of the state dict by name.
    fn views(&self) -> Result<Vec<(&'a [u8], View<'a>)>, Problem> {
        let dict = |id| match self.pickle.object(id) {
            Object::Dict(items) => Some(items),
            _ => None,
        };
        let root = dict(self.pickle.root).ok_or("holds no state dict; save the model's `state_dict()`")?;
        let inner = root.iter().rev().find(|(name, _)| *name == b"state_dict").and_then(|(_, id)| dict(*id));
        let views = inner.unwrap_or(root).iter().filter_map(|(name, id)| {
            let view =
                self.view(*id).map_err(|problem| format!("tensor `{}`: {problem}", name.escape_ascii()));
            view.map(|view| Some((*name, view?))).transpose()
        });
        views.collect()
    }

    /// The tensor that an object is, if it is one.
    fn view(&self, mut id: Id) -> Result<Option<View<'a>>, Problem> {
        // `_rebuild_parameter(tensor, requires_grad, hooks)`
        if let Object::Call(Global::Parameter, arguments) = *self.pickle.object(id) {
            id = *self.tuple(arguments)?.first().ok_or_else(damaged)?;
        }
        // `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`
        let Object::Call(Global::Tensor, arguments) = *self.pickle.object(id) else { return Ok(None) };
        let [storage, offset, shape, strides, ..] = *self.tuple(arguments)? else { return Err(damaged()) };
        let storage = self.storage(storage)?;
        let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
        let outside = || "it lies outside its storage; was the file damaged?".to_owned();
        View::new(storage, offset, shape, &strides).ok_or_else(outside).map(Some)
    }

    /// Type and bytes of the storage that `("storage", type, key, device, length)` names.
    fn storage(&self, id: Id) -> Result<(Dtype, &'a [u8]), Problem> {
        let Object::Persistent(name) = *self.pickle.object(id) else { return Err(damaged()) };
        let [_, class, key, _, length] = *self.tuple(name)? else { return Err(damaged()) };
        let (Object::Global(Global::Storage(dtype)), Object::Text(key)) =
            (self.pickle.object(class), self.pickle.object(key))
        else {
            return Err(damaged());
        };
        let bytes = self.entry(&[b"data/", *key].concat()).ok_or_else(damaged)?;
        if self.size(length)?.checked_mul(width(*dtype)) == Some(bytes.len()) {
            Ok((*dtype, bytes))
        } else {
            Err(format!(
                "its storage has {} bytes, which is not what it claims; was the file damaged?",
                bytes.len()
            ))
        }
    }

    fn tuple(&self, id: Id) -> Result<&[Id], Problem> {
        match self.pickle.object(id) {
            Object::Tuple(items) => Ok(items),
            _ => Err(damaged()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, Problem> {
        let items = self.tuple(id)?;
        if items.len() > MOST_AXES {
            return Err(format!("it has {} axes, more than any weight; was the file damaged?", items.len()));
        }
        items.iter().map(|id| self.size(*id)).collect()
    }

    fn size(&self, id: Id) -> Result<usize, Problem> {
        match self.pickle.object(id) {
            Object::Int(size) => usize::try_from(*size).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }
}

/// A tensor in its storage.
struct View<'a> {
    dtype: Dtype,
    /// From its first value to its last.
    bytes: &'a [u8],
    shape: Vec<usize>,
    /// Sizes and strides of the axes that are longer than one.
    axes: Vec<(usize, usize)>,
    /// Values.
    count: usize,
}

impl<'a> View<'a> {
    fn new(
        (dtype, storage): (Dtype, &'a [u8]),
        offset: usize,
        shape: Vec<usize>,
        strides: &[usize],
    ) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
        let axes: Vec<_> =
            shape.iter().copied().zip(strides.iter().copied()).filter(|(size, _)| *size > 1).collect();
        let bytes = if count == 0 {
            &[]
        } else {
            let end = axes.iter().try_fold(offset.checked_add(1)?, |end, (size, stride)| {
                end.checked_add((size - 1).checked_mul(*stride)?)
            })?;
            storage.get(offset.checked_mul(width(dtype))?..end.checked_mul(width(dtype))?)?
        };
        (shape.len() == strides.len()).then_some(Self { dtype, bytes, shape, axes, count })
    }

    /// Row by row; none for a tensor that is no weight.
    fn values(&self) -> Option<Vec<f32>> {
        let mut dense = 1;
        let is_dense = self.axes.iter().rev().all(|(size, stride)| {
            let is_next = *stride == dense;
            dense *= size;
            is_next
        });
        to_f32(self.dtype, &if is_dense { Cow::Borrowed(self.bytes) } else { Cow::Owned(self.gathered()) })
    }

    fn gathered(&self) -> Vec<u8> {
        let width = width(self.dtype);
        let mut bytes = Vec::with_capacity(self.count * width);
        for mut index in 0..self.count {
            let mut at = 0;
            for (size, stride) in self.axes.iter().rev() {
                at += index % size * stride;
                index /= size;
            }
            bytes.extend(&self.bytes[at * width..][..width]);
        }
        bytes
    }
}

/// Bytes of a value.
fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/torch");
        std::fs::read(format!("{folder}/{name}.bin")).unwrap()
    }

    fn read(name: &str) -> Tensors {
        parse(&fixture(name)).unwrap()
    }

    /// `fixture` with the bytes `from`, which it holds once, replaced.
    fn changed(name: &str, from: &[u8], to: &[u8]) -> Problem {
        let mut bytes = fixture(name);
        let mut places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from));
        let (Some(at), None) = (places.next(), places.next()) else { panic!("{from:?} is not there once") };
        bytes.splice(at..at + from.len(), to.iter().copied());
        parse(&bytes).map(drop).unwrap_err()
    }

    #[test]
    fn a_state_dict_is_read_without_its_integers() {
        let expected = [
            ("bias".to_owned(), (vec![2], vec![0.5, -0.5])),
            ("weight".to_owned(), (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
        ];
        assert_eq!(read("state_dict"), Tensors::from(expected));
        assert_eq!(read("nested"), Tensors::from([("a".to_owned(), (vec![2], vec![1.0, 1.0]))]));
    }

    #[test]
    fn every_precision_is_read() {
        let tensors = read("precisions");
        assert_eq!(tensors.keys().collect::<Vec<_>>(), ["bfloat16", "float16", "float32", "float64"]);
        assert!(tensors.values().all(|(_, values)| values[..] == [1.0, -0.5, 0.25]));
    }

    #[test]
    fn tensors_that_share_a_storage_are_read_in_their_own_order() {
        let table: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let expected: [(&str, &[usize], &[f32]); 9] = [
            ("column", &[3], &[1.0, 5.0, 9.0]),
            ("empty", &[0, 4], &[]),
            ("expanded", &[2, 4], &[0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]),
            ("parameter", &[1, 2], &[10.0, 11.0]),
            ("rows", &[2, 4], &table[4..]),
            ("scalar", &[], &[11.0]),
            ("table", &[3, 4], &table),
            ("tied", &[3, 4], &table),
            ("transposed", &[4, 3], &[0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]),
        ];
        let found = read("strided");
        let found = found.iter().map(|(name, (shape, values))| (name.as_str(), &shape[..], &values[..]));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn more_objects_than_a_byte_can_count_are_told_apart() {
        let tensors = read("many");
        assert_eq!(tensors.len(), 80);
        assert_eq!(tensors["layer.79"].1, [4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn what_would_execute_or_is_in_another_format_is_refused() {
        let of = |bytes: &[u8]| parse(bytes).map(drop).unwrap_err();
        assert!(of(&fixture("executes")).starts_with("asks to run `posix.system`; temper executes nothing"));
        let old = of(&fixture("legacy"));
        assert!(old.contains("torch before 1.6") && old.contains("save_pretrained"), "{old}");
        assert!(of(b"").contains("not a torch file"));
        assert!(of(b"<html>").contains("not a torch file"));
        assert!(changed("state_dict", b"little", b"bigbig").contains("big-endian"));
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        for (from, to, message) in [
            // The shape (2, 3), the strides (3, 1) and the offset of `weight`
            (&b"K\x02K\x03\x86"[..], &b"K\x02K\x04\x86"[..], "tensor `weight`: it lies outside its storage"),
            (b"K\x02K\x03\x86", b"K\xffK\xff\x86", "outside"),
            (b"K\x02K\x03\x86", b"NK\x02\x85\x85", "does not describe weights"),
            (b"K\x03K\x01\x86", b"K\xffK\x01\x86", "outside"),
            (b"K\x03K\x01\x86", b"K\x03\x85NN", "outside"),
            (b"K\0K\x02K\x03\x86", b"K\x01K\x02K\x03\x86", "outside"),
            // The length of its storage
            (b"K\x06t", b"K\x07t", "its storage has 24 bytes, which is not what it claims"),
        ] {
            let problem = changed("state_dict", from, to);
            assert!(problem.contains(message), "{problem}");
        }
        // Two rows of `expanded` become 65535.
        let problem = changed("strided", b"K\x02K\x04\x86q=", b"M\xff\xffM\x04\0\x86");
        assert!(problem.contains("more values than it has bytes for"), "{problem}");
    }

    #[test]
    fn sizes_too_large_to_compute_with_are_outside() {
        let is_inside = |offset, shape: &[usize], strides: &[usize]| {
            View::new((Dtype::F32, &[0; 64]), offset, shape.to_vec(), strides).is_some()
        };
        assert!(is_inside(0, &[4, 4], &[4, 1]) && !is_inside(1, &[4, 4], &[4, 1]));
        assert!(!is_inside(0, &[usize::MAX, 4], &[0, 1]));
        assert!(!is_inside(0, &[4, 4], &[usize::MAX, 1]));
        assert!(!is_inside(usize::MAX, &[1], &[1]));
        assert!(!is_inside(usize::MAX / 4, &[1], &[1]));
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        let bytes = fixture("strided");
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// It is read as something or refused; the process goes on.
        #[test]
        fn damaged_bytes_never_panic(
            name in prop::sample::select(vec!["strided", "nested", "state_dict"]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = fixture(name);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            drop(parse(&bytes));
        }
    }
}
