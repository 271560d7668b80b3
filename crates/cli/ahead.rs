//! The next texts are read, looked up and tokenized while these are embedded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::interrupt::Interrupt;

/// Most texts that are embedded at once: many batches.
const CHUNK: usize = 1024;
/// The first chunk, small so that the first vectors come soon.
const FIRST_CHUNK: usize = 64;
/// What a chunk should take at most, so that Ctrl-C, which waits for its end, is answered soon.
const LONGEST: Duration = Duration::from_secs(2);
/// How long Ctrl-C may go unnoticed while nothing comes from the input.
const PATIENCE: Duration = Duration::from_millis(50);

/// Chunks of texts that a thread of their own prepares.
///
/// The thread is waited for only when the texts are at their end: when something else fails, or on Ctrl-C, it may
/// stand in a read of stdin that never ends.
pub struct Ahead<T> {
    /// How many texts a chunk has, and what became of them.
    chunks: Receiver<anyhow::Result<(usize, T)>>,
    reader: Option<JoinHandle<()>>,
    size: Arc<AtomicUsize>,
    /// When the last chunk was handed out, and how many texts it has.
    given: Option<(Instant, usize)>,
}

/// Texts as they come from an input.
pub type Texts = Box<dyn Iterator<Item = anyhow::Result<String>> + Send>;

impl<T: Send + 'static> Ahead<T> {
    /// Begins to read, and to prepare what was read.
    pub fn start(
        mut texts: Texts,
        mut prepare: impl FnMut(Vec<String>) -> anyhow::Result<T> + Send + 'static,
    ) -> Self {
        let (sender, chunks) = sync_channel(1);
        let size = Arc::new(AtomicUsize::new(FIRST_CHUNK));
        let wanted = Arc::clone(&size);
        let reader = std::thread::spawn(move || {
            loop {
                let size = wanted.load(Ordering::Relaxed);
                let read = texts.by_ref().take(size).collect::<anyhow::Result<Vec<String>>>();
                if read.as_ref().is_ok_and(Vec::is_empty) {
                    return;
                }
                let chunk = read.and_then(|texts| Ok((texts.len(), prepare(texts)?)));
                let failed = chunk.is_err();
                if sender.send(chunk).is_err() || failed {
                    return;
                }
            }
        });
        Self { chunks, reader: Some(reader), size, given: None }
    }

    /// The next chunk; none at the end, and an error with code 130 on Ctrl-C.
    pub fn next(&mut self, interrupt: &Interrupt) -> anyhow::Result<Option<T>> {
        if let Some((since, texts)) = self.given.take() {
            self.size.store(next_size(texts, since.elapsed()), Ordering::Relaxed);
        }
        loop {
            interrupt.check()?;
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => {
                    let (texts, chunk) = chunk?;
                    self.given = Some((Instant::now(), texts));
                    return Ok(Some(chunk));
                }
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

/// The size of the next chunk after one of `texts` that took this long: up to twice as large, if that is not too long.
fn next_size(texts: usize, took: Duration) -> usize {
    let fitting = texts as f64 * LONGEST.as_secs_f64() / took.as_secs_f64().max(1e-6);
    (fitting as usize).min(texts * 2).clamp(FIRST_CHUNK, CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_while_they_are_quick_and_shrink_when_ctrl_c_would_wait() {
        let sizes = [(64, 10), (600, 10), (512, 1600), (1024, 8000), (64, 30_000)]
            .map(|(texts, took)| next_size(texts, Duration::from_millis(took)));
        assert_eq!(sizes, [128, 1024, 640, 256, 64]);
        assert_eq!(next_size(1, Duration::ZERO), 64);
    }
}
