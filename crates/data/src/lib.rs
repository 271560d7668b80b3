//! Files of pairs, triplets, scored pairs and labelled texts become indexable examples, seeded orders and reports.
//!
//! Row 0: plain files and structs, never a tensor. [`fn@read`] turns files, [`files_of`] a folder's among them, into a
//! [`Dataset`], [`Examples`] are those of a run, in memory or left in their files, [`split`] holds a part of them out,
//! [`sampler`] cuts an epoch into batches, [`Mixing`] lets sets take turns,
//! [`retrieval`] and [`beir`] hold what retrieval is judged on, [`Reranking`] and [`TextsWithDuplicates`] what the tasks
//! of these names are, [`texts`] streams plain texts, [`mod@inspect`]
//! reports what is in a data set, [`mining`] and [`bm25`] find negatives in it, [`doctor`] what is wrong with it, and [`random`] is the source of every random choice in temper.

pub mod bad_row;
pub mod beir;
pub mod bm25;
mod classes;
pub mod columns;
mod content;
mod convert;
pub mod corpus;
mod delimited;
pub mod doctor;
mod duplicates;
pub mod error;
pub mod example;
mod examples;
mod exclude;
mod folder;
mod format;
pub mod inspect;
mod jsonl;
pub mod mining;
mod mixing;
#[cfg(feature = "parquet")]
mod parquet_rows;
pub mod random;
pub mod read;
mod reranking;
pub mod retrieval;
pub mod sampler;
pub mod split;
pub mod texts;
mod usual_names;
mod write;

pub use bad_row::{BadRow, OnBadRow, Reason};
pub use beir::{is_beir, read_beir};
pub use columns::ColumnMap;
pub use corpus::{CorpusColumns, Document, read_corpus};
pub use duplicates::{TextsWithDuplicates, read_duplicates};
pub use error::Error;
pub use example::{Dataset, Example, FileReport, Kind, Origin};
pub use examples::{Examples, TextNumbers};
pub use exclude::ExcludedPairs;
pub use folder::{Split, files_of};
pub use inspect::{Report, inspect};
pub use mixing::Mixing;
pub use read::{ReadOptions, read};
pub use reranking::{Reranking, RerankingSample, read_reranking};
pub use retrieval::Retrieval;
pub use sampler::{BatchSampler, batch_count, epoch_batches};
pub use texts::{TextFormat, Texts};
pub use write::{Rewritten, rewrite, write};
