//! The vectors of many texts: those of the cache, and the others computed and kept.

use std::sync::Arc;
use std::time::Instant;

use temper_vectors::Embeddings;

use crate::ahead::Ahead;
use crate::cache::CacheArgs;
use crate::failure::is_interruption;
use crate::interrupt::Interrupt;
use crate::model::Opened;
use crate::source::Source;
use crate::terminal::Terminal;

/// Whether and where vectors are kept.
#[derive(clap::Args)]
pub struct VectorArgs {
    /// Compute all vectors anew and keep none
    #[arg(long, conflicts_with = "cache_dir")]
    no_cache: bool,
    #[command(flatten)]
    location: CacheArgs,
}

impl VectorArgs {
    /// The vectors of the texts, in their order.
    pub fn of(
        &self,
        texts: &[&str],
        opened: &Opened,
        prompt: Option<&str>,
        interrupt: &Interrupt,
        terminal: &Terminal,
    ) -> anyhow::Result<Embeddings> {
        let store = if self.no_cache { None } else { self.location.open(opened, prompt, terminal)? };
        let kept = if store.is_some() { "kept in the cache" } else { "not kept" };
        let source = Arc::new(Source::new(opened.encoder.clone(), prompt.map(str::to_owned), store));
        let found = source.find(texts);
        let (dim, mut values) = (opened.encoder.contract.dim(), found.values);
        let started = Instant::now();
        if !found.missing.is_empty() {
            let bar = terminal.progress("embedding", Some(found.missing.len()));
            let new: Vec<String> = found.missing.iter().map(|index| texts[*index].to_owned()).collect();
            let reader = Arc::clone(&source);
            let mut ahead =
                Ahead::start(Box::new(new.into_iter().map(Ok)), move |texts| reader.prepare(texts));
            let mut places = found.missing.iter();
            let embedded = loop {
                match ahead.next(interrupt) {
                    Ok(Some(chunk)) => {
                        let (_, vectors) = source.complete(chunk, &bar);
                        for (row, index) in vectors.iter().zip(places.by_ref()) {
                            values[index * dim..][..dim].copy_from_slice(row);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            bar.finish_and_clear();
            source.finish(terminal);
            if embedded.as_ref().is_err_and(is_interruption) {
                let (new, left) = (found.missing.len(), places.len());
                terminal.note(format!("interrupted: {} of {new} texts embedded, and {kept}", new - left));
            }
            embedded?;
        }
        terminal.note(told(texts.len(), found.missing.len(), started.elapsed().as_secs_f64()));
        Ok(Embeddings { dim, values })
    }
}

fn told(texts: usize, new: usize, seconds: f64) -> String {
    if new == 0 {
        return format!("{texts} texts, all from the cache");
    }
    let (rate, known) = (new as f64 / seconds, texts - new);
    format!("{texts} texts, {known} from the cache, {new} embedded in {seconds:.1} s ({rate:.0} texts/s)")
}
