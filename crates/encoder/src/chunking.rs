//! Texts in pieces of so many tokens: each a text of its own, or pooled from one pass over the whole (late chunking).

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use temper_kernels::{Offsets, Pool};
use temper_vectors::Embeddings;

use crate::packed::PackedBatch;
use crate::pass::Pass;
use crate::tokenizing::Tokens;
use crate::{Encoder, Error, parameters};

/// Cuts texts for one model and prompt, between words where it can.
#[derive(Debug, Clone)]
pub struct Chunker {
    /// Without truncation.
    tokenizer: crate::Tokenizer,
    prompt: Option<String>,
    size: usize,
    overlap: usize,
}

/// A text and the pieces it was cut into.
#[derive(Debug, Clone)]
pub struct Chunked {
    /// The text.
    pub text: String,
    /// Where each piece lies in it, in bytes.
    pub bytes: Vec<Range<usize>>,
    /// The same in tokens.
    spans: Vec<Range<usize>>,
    tokens: Tokens,
}

impl Chunked {
    /// The pieces' texts.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.bytes.iter().map(|range| &self.text[range.clone()])
    }
}

impl Chunker {
    /// Pieces of at most `size` tokens, special tokens and prompt included, of which each repeats `overlap` of the one
    /// before, or a few more to begin with a word.
    pub fn new(encoder: &Encoder, prompt: Option<&str>, size: usize, overlap: usize) -> Result<Self, Error> {
        let (tokenizer, longest) = (encoder.tokenizer().whole()?, encoder.contract.max_seq_length);
        let around = tokenizer.tokens("", prompt)?.around();
        let prompt = prompt.map(str::to_owned);
        if size > longest {
            return Err(Error::Chunking(format!(
                "pieces of {size} tokens are longer than the {longest} that the model takes; ask for fewer"
            )));
        }
        if size <= around + overlap {
            return Err(Error::Chunking(format!(
                "pieces of {size} tokens, of which {around} are special tokens and the prompt and {overlap} repeat the \
                 piece before, leave nothing to go on with; ask for more tokens or less overlap"
            )));
        }
        Ok(Self { tokenizer, prompt, size, overlap })
    }

    /// The same for late chunking, where a model's pooling allows it.
    pub fn late(encoder: &Encoder, prompt: Option<&str>, size: usize, overlap: usize) -> Result<Self, Error> {
        let pooling = encoder.contract.pooling();
        if pooling.pools != [Pool::Mean] {
            return Err(Error::Chunking(format!(
                "late chunking needs mean pooling, and this model's is `{}`; cut the texts without it",
                pooling.name()
            )));
        }
        Self::new(encoder, prompt, size, overlap)
    }

    /// The pieces of a text; an empty text is one.
    pub fn cut(&self, text: String) -> Result<Chunked, Error> {
        let prompt = self.prompt.as_deref();
        let tokens = self.tokenizer.tokens(&text, prompt)?;
        let (count, room) = (tokens.ids.len(), self.size - tokens.around());
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        let (mut start, mut covered) = (0, 0);
        while spans.is_empty() || covered < count {
            let mut end = tokens.last_word_start(covered + 1, start + room);
            // A tokenizer may make more of a piece than it made of the same letters among others.
            while end > start + 1 && self.length(&text[tokens.bytes(&text, start..end)])? > self.size {
                end = tokens.last_word_start(start + 1, end - 1);
            }
            bytes.push(tokens.bytes(&text, start..end));
            spans.push(start..end);
            covered = covered.max(end);
            start = tokens.last_word_start(start + 1, end.saturating_sub(self.overlap).max(start + 1));
        }
        Ok(Chunked { text, bytes, spans, tokens })
    }

    fn length(&self, piece: &str) -> Result<usize, Error> {
        Ok(self.tokenizer.encode(&[piece], self.prompt.as_deref())?[0].len())
    }
}

impl Tokens {
    /// Tokens that stand around every piece: special ones and the prompt.
    fn around(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    fn begins_word(&self, token: usize) -> bool {
        let word = |token: usize| self.words[token];
        token == 0 || token >= self.ids.len() || word(token).is_none() || word(token) != word(token - 1)
    }

    /// The last token from `first` to `limit` that begins a word (or the end of the text); `limit` if there is none.
    fn last_word_start(&self, first: usize, limit: usize) -> usize {
        let limit = limit.min(self.ids.len());
        (first..=limit).rev().find(|token| self.begins_word(*token)).unwrap_or(limit)
    }

    /// Where tokens lie in the text that they came from; the whole text if it has no token.
    fn bytes(&self, text: &str, span: Range<usize>) -> Range<usize> {
        let Some(tokens) = self.bytes.get(span).filter(|tokens| !tokens.is_empty()) else {
            return 0..text.len();
        };
        let (start, end) = (tokens[0].start, tokens[tokens.len() - 1].end.max(tokens[0].start));
        // Several tokens may share a letter.
        text.floor_char_boundary(start)..text.ceil_char_boundary(end)
    }
}

impl Encoder {
    /// One vector a piece, its token vectors pooled from a pass over the whole text, or over as many pieces as the model
    /// takes at once (late chunking: Guenther et al. 2024, arXiv:2409.04701). As there, what stands in front of the
    /// text belongs to a pass's first piece and what stands behind it to its last, so that a text of one piece has the
    /// vector that it always has. [`Chunker::late`] cuts the text.
    pub fn embed_late(&self, text: &Chunked) -> Embeddings {
        let (tokens, dim, full) = (&text.tokens, self.contract.dim(), self.contract.full_dim());
        let room = self.contract.max_seq_length - tokens.around();
        let mut all = Embeddings::new(dim);
        let mut rest = text.spans.as_slice();
        while let [first, ..] = rest {
            let together = rest.iter().take_while(|span| span.end <= first.start + room).count().max(1);
            let (pass, after) = rest.split_at(together);
            rest = after;
            let inner = first.start..pass[together - 1].end;
            let ids = [&tokens.prefix, &tokens.ids[inner.clone()], &tokens.suffix].concat();
            let shift = |token: usize| token + tokens.prefix.len() - inner.start;
            let mut spans: Vec<Range<usize>> =
                pass.iter().map(|span| shift(span.start)..shift(span.end)).collect();
            spans[0].start = 0;
            spans[together - 1].end = ids.len();
            for row in self.pooled_spans(&ids, &spans).chunks_exact(full) {
                all.values.extend_from_slice(&row[..dim]);
            }
        }
        all
    }

    /// Each span's tokens through the modules behind the transformer, `[spans, full_dim]`.
    fn pooled_spans(&self, ids: &[u32], spans: &[Range<usize>]) -> Vec<f32> {
        let hidden = self.network.token_vectors(&PackedBatch::new([ids]), &Pass::inference());
        let mut offsets = vec![0];
        offsets.extend(spans.iter().scan(0, |end, span| {
            *end += span.len();
            Some(*end)
        }));
        let rows: Vec<i64> = spans.iter().cloned().flatten().map(|token| token as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::from(rows.as_slice()), &self.device());
        let pooled = self.network.after(&self.contract, hidden.select(0, rows), &Offsets::new(offsets));
        parameters::values(pooled.inner())
    }
}
