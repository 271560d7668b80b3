//! Long texts in pieces, each with a vector of its own.

use std::sync::Arc;

use indicatif::ProgressBar;
use temper_encoder::{Chunked, Chunker, Encoder};
use temper_vectors::{Embeddings, Piece};

use crate::source::{self, Source};

/// How texts are cut.
#[derive(clap::Args)]
pub struct PieceArgs {
    /// Cut texts into pieces of at most N tokens, special tokens and prompt included, and give a vector a piece
    #[arg(long, value_name = "N")]
    chunk_tokens: Option<usize>,
    /// Repeat so many tokens of a piece in the next, or a few more to begin with a word
    #[arg(long, value_name = "M", default_value_t = 0, requires = "chunk_tokens")]
    overlap: usize,
    /// Pool the vectors of a text's pieces from one pass over all of it, so that each knows what stands around it; for
    /// models with mean pooling, and of use where they take long texts
    #[arg(long, requires = "chunk_tokens", conflicts_with = "cache")]
    late_chunking: bool,
}

impl PieceArgs {
    /// Whether texts are cut at all.
    pub fn is_asked(&self) -> bool {
        self.chunk_tokens.is_some()
    }

    /// The way from texts to rows.
    pub fn cutter(
        &self,
        source: Arc<Source>,
        encoder: &Encoder,
        prompt: Option<&str>,
    ) -> anyhow::Result<Cutter> {
        let chunker = match self.chunk_tokens {
            Some(size) if self.late_chunking => Some(Chunker::late(encoder, prompt, size, self.overlap)?),
            Some(size) => Some(Chunker::new(encoder, prompt, size, self.overlap)?),
            None => None,
        };
        Ok(Cutter { source, chunker, late: self.late_chunking, row: 0 })
    }
}

/// Texts in their order, to whole texts or pieces that are ready to be embedded.
pub struct Cutter {
    source: Arc<Source>,
    chunker: Option<Chunker>,
    late: bool,
    /// How many texts came so far.
    row: usize,
}

/// Some texts, or their pieces.
pub enum Ready {
    Texts(source::Chunk),
    Pieces(Vec<Piece>, source::Chunk),
    Late(Vec<Piece>, Vec<Chunked>),
}

/// Rows to write.
pub struct Rows {
    pub pieces: Option<Vec<Piece>>,
    pub texts: Vec<String>,
    pub vectors: Embeddings,
}

impl Cutter {
    /// Cuts, looks up and tokenizes.
    pub fn prepare(&mut self, texts: Vec<String>) -> anyhow::Result<Ready> {
        let Some(chunker) = &self.chunker else { return Ok(Ready::Texts(self.source.prepare(texts)?)) };
        let cut = texts.into_iter().map(|text| chunker.cut(text)).collect::<Result<Vec<_>, _>>()?;
        let places = (self.row..).zip(&cut).flat_map(|(row, text)| places(row, text)).collect();
        self.row += cut.len();
        if self.late {
            return Ok(Ready::Late(places, cut));
        }
        let pieces = cut.iter().flat_map(Chunked::pieces).map(str::to_owned).collect();
        Ok(Ready::Pieces(places, self.source.prepare(pieces)?))
    }
}

impl Ready {
    /// Embeds.
    pub fn embed(self, source: &Source, bar: &ProgressBar) -> Rows {
        let (pieces, (texts, vectors)) = match self {
            Self::Texts(chunk) => (None, source.complete(chunk, bar)),
            Self::Pieces(pieces, chunk) => (Some(pieces), source.complete(chunk, bar)),
            Self::Late(pieces, cut) => (Some(pieces), source.embed_late(&cut, bar)),
        };
        Rows { pieces, texts, vectors }
    }
}

/// Where a text's pieces lie, in characters.
fn places(row: usize, text: &Chunked) -> Vec<Piece> {
    let (mut counted, mut characters) = (0, 0);
    // Pieces overlap, so each is counted from the beginning of the one before.
    let place = |range: &std::ops::Range<usize>| {
        characters += text.text[counted..range.start].chars().count();
        counted = range.start;
        let end = characters + text.text[range.clone()].chars().count();
        Piece { row, start: characters, end }
    };
    text.bytes.iter().map(place).collect()
}
