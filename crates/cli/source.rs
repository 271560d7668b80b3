//! Where vectors come from: the store of those computed before, and the encoder for the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;
use temper_encoder::{Chunked, Encoder};
use temper_vectors::Embeddings;
use temper_vectors::store::{Found, Store};

use crate::terminal::Terminal;

/// An encoder with one prompt, and a store of its vectors unless none is wanted.
///
/// A store that fails is told and left behind: the vectors are computed all the same.
pub struct Source {
    encoder: Encoder,
    prompt: Option<String>,
    cache: Mutex<Cache>,
}

struct Cache {
    store: Option<Store>,
    troubles: Vec<String>,
}

/// Texts, the vectors known of them, and the token ids of the others.
pub struct Chunk {
    texts: Vec<String>,
    found: Found,
    /// Indices of the texts to embed, each text once.
    distinct: Vec<usize>,
    /// For each missing text its place among the distinct ones.
    places: Vec<usize>,
    ids: Vec<Vec<u32>>,
}

impl Source {
    /// Puts the parts together.
    pub fn new(encoder: Encoder, prompt: Option<String>, store: Option<Store>) -> Self {
        Self { encoder, prompt, cache: Mutex::new(Cache { store, troubles: Vec::new() }) }
    }

    /// What the store knows about texts.
    pub fn find<S: AsRef<str>>(&self, texts: &[S]) -> Found {
        let nothing = || Found {
            values: vec![0.0; texts.len() * self.encoder.contract.dim()],
            missing: (0..texts.len()).collect(),
        };
        self.cache().attempt(|store| store.find(texts)).unwrap_or_else(nothing)
    }

    /// Looks texts up and tokenizes those that are not known.
    pub fn prepare(&self, texts: Vec<String>) -> anyhow::Result<Chunk> {
        let found = self.find(&texts);
        let (mut distinct, mut seen) = (Vec::new(), HashMap::new());
        let places = found.missing.iter().map(|index| {
            *seen.entry(texts[*index].as_str()).or_insert_with(|| {
                distinct.push(*index);
                distinct.len() - 1
            })
        });
        let places = places.collect();
        let new: Vec<&str> = distinct.iter().map(|index| texts[*index].as_str()).collect();
        let ids = if new.is_empty() {
            Vec::new()
        } else {
            self.encoder.tokenizer().encode(&new, self.prompt.as_deref())?
        };
        Ok(Chunk { texts, found, distinct, places, ids })
    }

    /// Embeds what is missing, and gives all texts and vectors in their order.
    pub fn complete(&self, chunk: Chunk, bar: &ProgressBar) -> (Vec<String>, Embeddings) {
        let Chunk { texts, found: Found { mut values, missing }, distinct, places, ids } = chunk;
        bar.inc((texts.len() - distinct.len()) as u64);
        let new = self.encoder.embed_tokens(&ids, &mut |done| bar.inc(done as u64));
        let dim = new.dim;
        for (index, place) in missing.iter().zip(places) {
            values[index * dim..][..dim].copy_from_slice(new.row(place));
        }
        let distinct: Vec<&str> = distinct.iter().map(|index| texts[*index].as_str()).collect();
        self.cache().attempt(|store| store.insert(&distinct, &new.values));
        (texts, Embeddings { dim, values })
    }

    /// Embeds pieces of whole texts, which no store keeps: their vectors depend on what stands around them.
    pub fn embed_late(&self, cut: &[Chunked], bar: &ProgressBar) -> (Vec<String>, Embeddings) {
        let mut all = Embeddings::new(self.encoder.contract.dim());
        for text in cut {
            all.values.extend(self.encoder.embed_late(text).values);
            bar.inc(text.bytes.len() as u64);
        }
        (cut.iter().flat_map(Chunked::pieces).map(str::to_owned).collect(), all)
    }

    /// Writes what the store still holds in memory, and tells what went wrong with it.
    pub fn finish(&self, terminal: &Terminal) {
        let mut cache = self.cache();
        cache.attempt(Store::flush);
        let troubles = std::mem::take(&mut cache.troubles);
        let damaged = cache.store.as_mut().map(Store::take_warnings).unwrap_or_default();
        troubles.iter().chain(&damaged).for_each(|warning| terminal.warn(warning));
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// Uses the store if there is one, which is over when it fails.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Store) -> temper_vectors::Result<T>) -> Option<T> {
        match work(self.store.as_mut()?) {
            Ok(done) => Some(done),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                self.troubles.push(format!("the cache is not used: {error}{}", cause.unwrap_or_default()));
                let mut store = self.store.take();
                self.troubles.extend(store.as_mut().map(Store::take_warnings).unwrap_or_default());
                None
            }
        }
    }
}
