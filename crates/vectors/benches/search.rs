//! The exact scan over 100,000 vectors of 384, as bytes of corpus a second for each query.
//!
//! `cargo bench -p temper-vectors --bench search`; after `--` comes part of a name, or what `--help` lists.

use divan::Bencher;
use divan::counter::BytesCount;
use rayon::ThreadPoolBuilder;
use temper_vectors::{Embeddings, Similarity, top_k};

const DIM: usize = 384;
const ROWS: usize = 100_000;

fn main() {
    divan::main();
}

/// Vectors that are all different.
fn vectors(rows: usize) -> Embeddings {
    let values = (0..rows * DIM).map(|at| (at as f32 * 0.618_034).fract() - 0.5).collect();
    Embeddings { dim: DIM, values }
}

/// A query alone waits for memory, many at once for the processor.
#[divan::bench(args = [(1, 1), (1, 2), (16, 1), (16, 2), (256, 2)])]
fn scan(bencher: Bencher<'_, '_>, (queries, threads): (usize, usize)) {
    let (corpus, many) = (vectors(ROWS), vectors(queries));
    let (corpus, many) = (Similarity::Cosine.prepare(&corpus), Similarity::Cosine.prepare(&many));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.unwrap_or_else(|error| panic!("this is a bug: {error}"));
    bencher
        .counter(BytesCount::new(queries * ROWS * DIM * 4))
        .bench(|| pool.install(|| top_k(&corpus, &many, 10)));
}
