//! The next texts are read, looked up and tokenized while these are embedded.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::source::{Chunk, Source};

/// Most texts that are embedded at once: many batches, and few enough that Ctrl-C is answered soon.
const CHUNK: usize = 1024;
/// The first chunk, small so that the first vectors come soon; each next one is twice as large.
const FIRST_CHUNK: usize = 64;
/// How long Ctrl-C may go unnoticed while nothing comes from the input.
const PATIENCE: Duration = Duration::from_millis(50);

/// Chunks that a thread of their own prepares.
///
/// The thread is waited for only when the texts are at their end: when something else fails, or on Ctrl-C, it may
/// stand in a read of stdin that never ends.
pub struct Ahead {
    chunks: Receiver<anyhow::Result<Chunk>>,
    reader: Option<JoinHandle<()>>,
}

/// Texts as they come from an input.
pub type Texts = Box<dyn Iterator<Item = anyhow::Result<String>> + Send>;

impl Ahead {
    /// Begins to read.
    pub fn start(source: Arc<Source>, mut texts: Texts) -> Self {
        let (sender, chunks) = sync_channel(1);
        let reader = std::thread::spawn(move || {
            let mut size = FIRST_CHUNK;
            loop {
                let chunk = texts.by_ref().take(size).collect::<anyhow::Result<Vec<String>>>();
                if chunk.as_ref().is_ok_and(Vec::is_empty) {
                    return;
                }
                let chunk = chunk.and_then(|texts| source.prepare(texts));
                let failed = chunk.is_err();
                if sender.send(chunk).is_err() || failed {
                    return;
                }
                size = (size * 2).min(CHUNK);
            }
        });
        Self { chunks, reader: Some(reader) }
    }

    /// The next chunk; none at the end, and an error with code 130 on Ctrl-C.
    pub fn next(&mut self, interrupt: &Interrupt) -> anyhow::Result<Option<Chunk>> {
        loop {
            interrupt.check()?;
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => return chunk.map(Some),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.join().expect("this is a bug: the reader says on the channel what went wrong");
        }
        Ok(None)
    }
}
