//! A pickle as data: its instructions build objects here, and nothing that it names is ever called.
//!
//! The instructions are those of CPython's `pickletools.py` that `torch.save` needs for a state dict, in protocols 2
//! to 5. Objects lie in one list and name each other by their place in it, so that no nesting is too deep, an object
//! that occurs twice is one object, and a pickle takes memory in proportion to its length.

use std::collections::HashMap;

use safetensors::Dtype;

use super::cursor::{Cursor, Problem};

/// Place of an object.
pub(super) type Id = usize;

/// What a pickle can hold.
#[derive(Debug)]
pub(super) enum Object<'a> {
    Int(u64),
    Text(&'a [u8]),
    Tuple(Vec<Id>),
    /// The values that have a text as their key.
    Dict(Vec<(&'a [u8], Id)>),
    /// What it holds is passed over.
    List,
    Global(Global),
    /// What this global would be called with, a tuple.
    Call(Global, Id),
    /// An object outside of the pickle, by what names it.
    Persistent(Id),
    /// None, a truth value, or a number that cannot be a size.
    Plain,
}

/// The names that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Tensor,
    Parameter,
    Storage(Dtype),
}

impl Global {
    fn named(module: &[u8], name: &[u8]) -> Result<Self, Problem> {
        Ok(match (module, name) {
            (b"collections", b"OrderedDict") => Self::OrderedDict,
            (b"torch._utils", b"_rebuild_tensor_v2") => Self::Tensor,
            (b"torch._utils", b"_rebuild_parameter") => Self::Parameter,
            (b"torch", b"FloatStorage") => Self::Storage(Dtype::F32),
            (b"torch", b"HalfStorage") => Self::Storage(Dtype::F16),
            (b"torch", b"BFloat16Storage") => Self::Storage(Dtype::BF16),
            (b"torch", b"DoubleStorage") => Self::Storage(Dtype::F64),
            (b"torch", b"LongStorage") => Self::Storage(Dtype::I64),
            (b"torch", b"IntStorage") => Self::Storage(Dtype::I32),
            (b"torch", b"ShortStorage") => Self::Storage(Dtype::I16),
            (b"torch", b"CharStorage") => Self::Storage(Dtype::I8),
            (b"torch", b"ByteStorage") => Self::Storage(Dtype::U8),
            (b"torch", b"BoolStorage") => Self::Storage(Dtype::BOOL),
            _ => {
                return Err(refused(&format!(
                    "asks to run `{}.{}`",
                    module.escape_ascii(),
                    name.escape_ascii()
                )));
            }
        })
    }
}

/// What a pickle holds.
pub(super) struct Pickle<'a> {
    objects: Vec<Object<'a>>,
    /// What was pickled.
    pub(super) root: Id,
}

impl<'a> Pickle<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut machine = Machine {
            rest: Cursor::at(bytes, 0)?,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        Ok(Self { root: machine.pop()?, objects: machine.objects })
    }

    pub(super) fn object(&self, id: Id) -> &Object<'a> {
        &self.objects[id]
    }
}

struct Machine<'a> {
    rest: Cursor<'a>,
    objects: Vec<Object<'a>>,
    stack: Vec<Id>,
    /// How high the stack was.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Follows one instruction; false when it was the last.
    fn step(&mut self) -> Result<bool, Problem> {
        match self.rest.u8()? {
            // STOP
            b'.' => return Ok(false),
            // PROTO, FRAME
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            // MARK
            b'(' => self.marks.push(self.stack.len()),
            // NONE, NEWTRUE, NEWFALSE, BINFLOAT
            b'N' | 0x88 | 0x89 => self.push(Object::Plain),
            b'G' => {
                self.skip(8)?;
                self.push(Object::Plain);
            }
            // BININT1, BININT2, BININT, LONG1
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'J' => self.signed(4)?,
            0x8a => {
                let width = self.number(1)?;
                self.signed(width)?;
            }
            // SHORT_BINUNICODE, BINUNICODE
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => self.remember(self.memo.len() as u64)?,
            // BINGET, LONG_BINGET
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Object::Tuple(items));
            }
            // EMPTY_LIST, APPEND, APPENDS
            b']' => self.push(Object::List),
            b'a' => {
                self.pop()?;
                self.list()?;
            }
            b'e' => {
                self.since_mark()?;
                self.list()?;
            }
            // EMPTY_DICT, SETITEM, SETITEMS
            b'}' => self.push(Object::Dict(Vec::new())),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.rest.line()?, self.rest.line()?);
                self.push(Object::Global(Global::named(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.objects[module], &self.objects[name]) {
                    (Object::Text(module), Object::Text(name)) => {
                        self.push(Object::Global(Global::named(module, name)?));
                    }
                    _ => return Err(damaged()),
                }
            }
            // BINPERSID, REDUCE, BUILD
            b'Q' => {
                let name = self.pop()?;
                self.push(Object::Persistent(name));
            }
            b'R' => self.reduce()?,
            b'b' => {
                // The state of a dict is what was noted beside its items (`_metadata`).
                self.pop()?;
                self.set(&[])?;
            }
            other => {
                return Err(refused(&format!(
                    "has the pickle instruction {other:#04x}, which weights do not need"
                )));
            }
        }
        Ok(true)
    }

    fn push(&mut self, object: Object<'a>) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    /// The object that an instruction changes.
    fn top(&self) -> Result<Id, Problem> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        self.stack[bottom..].last().copied().ok_or_else(damaged)
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Problem> {
        Ok(self.stack.split_off(self.marks.pop().ok_or_else(damaged)?))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Problem> {
        self.rest.take(bytes).map(|_| ())
    }

    /// The number in the next bytes.
    fn number(&mut self, width: u64) -> Result<u64, Problem> {
        Ok(number(self.rest.take(width)?))
    }

    fn unsigned(&mut self, width: u64) -> Result<(), Problem> {
        let number = self.number(width)?;
        self.push(Object::Int(number));
        Ok(())
    }

    fn signed(&mut self, width: u64) -> Result<(), Problem> {
        let bytes = self.rest.take(width)?;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        self.push(if negative || bytes.len() > 8 { Object::Plain } else { Object::Int(number(bytes)) });
        Ok(())
    }

    /// A text whose length has this width.
    fn text(&mut self, width: u64) -> Result<(), Problem> {
        let length = self.number(width)?;
        let content = self.rest.take(length)?;
        self.push(Object::Text(content));
        Ok(())
    }

    fn put(&mut self, width: u64) -> Result<(), Problem> {
        let key = self.number(width)?;
        self.remember(key)
    }

    fn remember(&mut self, key: u64) -> Result<(), Problem> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn get(&mut self, width: u64) -> Result<(), Problem> {
        let key = self.number(width)?;
        self.stack.push(*self.memo.get(&key).ok_or_else(damaged)?);
        Ok(())
    }

    fn tuple(&mut self, length: usize) -> Result<(), Problem> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Object::Tuple(items));
        Ok(())
    }

    /// What was appended had a list to go to.
    fn list(&self) -> Result<(), Problem> {
        let list = self.top()?;
        if matches!(self.objects[list], Object::List) { Ok(()) } else { Err(damaged()) }
    }

    /// Keys and values in turn go into the dict on top.
    fn set(&mut self, items: &[Id]) -> Result<(), Problem> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        let named = |[key, value]: &[Id; 2]| match self.objects[*key] {
            Object::Text(key) => Some((key, *value)),
            _ => None,
        };
        let pairs: Vec<_> = pairs.iter().filter_map(named).collect();
        match &mut self.objects[dict] {
            Object::Dict(items) if rest.is_empty() => items.extend(pairs),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), Problem> {
        let (arguments, called) = (self.pop()?, self.pop()?);
        let object = match (&self.objects[called], &self.objects[arguments]) {
            (Object::Global(Global::OrderedDict), Object::Tuple(none)) if none.is_empty() => {
                Object::Dict(Vec::new())
            }
            (Object::Global(global @ (Global::Tensor | Global::Parameter)), _) => {
                Object::Call(*global, arguments)
            }
            _ => return Err(damaged()),
        };
        self.push(object);
        Ok(())
    }
}

/// Little-endian, of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn refused(what: &str) -> Problem {
    format!(
        "{what}; temper executes nothing from a model file: take a copy of the model that has `model.safetensors` or, \
         if you trust its author, make one with SentenceTransformer(DIR).save_pretrained(NEW_DIR)"
    )
}

/// No torch wrote this.
pub(super) fn damaged() -> Problem {
    "its pickle does not describe weights; was the file damaged?".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(bytes: &[u8]) -> Problem {
        Pickle::read(bytes).map(drop).unwrap_err()
    }

    #[test]
    fn whatever_would_run_is_refused_by_its_name() {
        for (bytes, name) in [
            (&b"\x80\x02cposix\nsystem\n(X\x02\0\0\0lstR."[..], "`posix.system`"),
            (b"c__builtin__\neval\n.", "`__builtin__.eval`"),
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "`os.system`"),
            (b"ctorch\nload\n.", "`torch.load`"),
            (b"ccollections\nOrderedDict\x1b[2J\n.", "`collections.OrderedDict\\x1b[2J`"),
        ] {
            assert!(
                problem(bytes).starts_with(&format!("asks to run {name}; temper executes nothing")),
                "{name}"
            );
        }
        // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, and POP, which hides what was made before
        for instruction in [b'i', b'o', 0x81, 0x92, 0x82, b'0'] {
            let message = problem(&[b'(', instruction, b'.']);
            assert!(
                message.starts_with(&format!("has the pickle instruction {instruction:#04x}")),
                "{message}"
            );
        }
    }

    #[test]
    fn what_takes_more_than_there_is_is_refused() {
        for bytes in [
            &b"."[..],   // nothing
            b"N(.",      // nothing since the mark
            b"N(N\x86.", // a tuple across the mark
            b"t.",       // no mark
            b"}(NNNu.",  // a key without its value
            b")NNs.",    // items into a tuple
            b"Na.",      // items into nothing
            b"h\0.",     // never put
            b"q\0.",     // nothing to put
            b"NNR.",     // calls nothing
            b"NN\x93.",  // a global without a name
            b"N)b.",     // a state for nothing
            b"ctorch\nFloatStorage\n)R.",
        ] {
            assert!(problem(bytes).contains("does not describe weights"), "{bytes:?}");
        }
        for bytes in [&b""[..], b"X\xff\xff\xff\xffabc", b"\x8a\xffabc", b"cabc\nd", b"\x80"] {
            assert!(problem(bytes).contains("not a whole torch file"), "{bytes:?}");
        }
    }

    #[test]
    fn nesting_a_million_deep_and_a_dict_in_itself_are_no_trouble() {
        let deep = [&b")"[..], &vec![0x85; 1_000_000], b"."].concat();
        assert_eq!(Pickle::read(&deep).unwrap().root, 1_000_000);
        let pickle = Pickle::read(b"}q\0X\x01\0\0\0ah\0s.").unwrap();
        assert!(
            matches!(pickle.object(pickle.root), Object::Dict(items) if items[..] == [(&b"a"[..], pickle.root)])
        );
    }

    #[test]
    fn numbers_are_sizes_or_nothing() {
        for (bytes, expected) in [
            (&b"K\xff."[..], Some(255)),
            (b"M\0\x80.", Some(32768)),
            (b"J\0\0\0\x7f.", Some(0x7f00_0000)),
            (b"J\0\0\0\x80.", None),
            (b"\x8a\0.", Some(0)),
            (b"\x8a\x05\0\0\0\0\x01.", Some(1 << 32)),
            (b"\x8a\x01\xff.", None),
            (b"\x8a\x09\0\0\0\0\0\0\0\x80\0.", None),
        ] {
            let pickle = Pickle::read(bytes).unwrap();
            let found = match pickle.object(pickle.root) {
                Object::Int(number) => Some(*number),
                _ => None,
            };
            assert_eq!(found, expected, "{bytes:?}");
        }
    }
}
