//! Texts to token ids, as the model contract says.
//!
//! Truncation and padding settings inside `tokenizer.json` never apply: the contract's maximum length does, and
//! nothing is padded.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::{TruncationDirection, TruncationParams};

use crate::Error;
use crate::contract::{Contract, TruncationSide};

/// A tokenizer with the contract's truncation.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Whether texts get special tokens.
    special: bool,
    /// `tokenizer.json` as it is saved again.
    json: Value,
    /// `tokenizer_config.json` as it is saved again, or null.
    config: Value,
    path: PathBuf,
}

/// A text's tokens, the text's own apart from what stands around them.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// Special tokens and the prompt's.
    pub(crate) prefix: Vec<u32>,
    pub(crate) ids: Vec<u32>,
    /// Special tokens.
    pub(crate) suffix: Vec<u32>,
    /// Where each of `ids` lies in the text.
    pub(crate) bytes: Vec<Range<usize>>,
    /// The number of the word that each is part of, where the tokenizer knows words.
    pub(crate) words: Vec<Option<u32>>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a folder, or builds the tokenizer of BERT from its `vocab.txt`, of RoBERTa from its
    /// `vocab.json` and `merges.txt`; `config` is its `tokenizer_config.json`.
    pub fn read(folder: &Path, config: Value) -> Result<Self, Error> {
        let lower_case = config.get("do_lower_case").and_then(Value::as_bool).unwrap_or(true);
        let file = folder.join("tokenizer.json");
        let vocabulary = folder.join("vocab.txt");
        let [pieces, merges] = ["vocab.json", "merges.txt"].map(|name| folder.join(name));
        if file.is_file() {
            let bytes = std::fs::read(&file).map_err(Error::read(&file))?;
            let json = serde_json::from_slice(&bytes)
                .map_err(|source| Error::Json { path: file.clone(), source })?;
            let inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| error(&file, e))?;
            Ok(Self { inner, special: true, json, config, path: file })
        } else if vocabulary.is_file() {
            let text = std::fs::read(&vocabulary).map_err(Error::read(&vocabulary))?;
            let vocab = tokenizers::models::wordpiece::WordPiece::read_bytes(&text)
                .map_err(|e| error(&vocabulary, e))?;
            let model = tokenizers::models::wordpiece::WordPiece::builder()
                .vocab(vocab)
                .unk_token("[UNK]".to_owned())
                .build()
                .map_err(|e| error(&vocabulary, e))?;
            Self::new(crate::fresh::bert_tokenizer(model, lower_case, &vocabulary)?, vocabulary, config)
        } else if pieces.is_file() && merges.is_file() {
            crate::roberta_tokenizer::read(&pieces, &merges, config)
        } else {
            Err(Error::model(
                folder,
                "no `tokenizer.json` here (nor `vocab.txt`, nor `vocab.json` and `merges.txt`); copy it from the model \
                 that these weights came from",
            ))
        }
    }

    /// Whether a folder with these files has one of those that [`Self::read`] takes.
    pub(crate) fn is_in(has: impl Fn(&str) -> bool) -> bool {
        has("tokenizer.json") || has("vocab.txt") || has("vocab.json") && has("merges.txt")
    }

    /// Wraps a tokenizer that was made, not read.
    pub fn new(inner: tokenizers::Tokenizer, path: PathBuf, config: Value) -> Result<Self, Error> {
        let json = inner.to_string(false).map_err(|e| error(&path, e))?;
        let json =
            serde_json::from_str(&json).map_err(|source| Error::Json { path: path.clone(), source })?;
        Ok(Self { inner, special: true, json, config, path })
    }

    /// Applies the contract: maximum length, side, special tokens; lower-casing if it was not done before.
    pub fn configure(&mut self, contract: &Contract, lower_case: bool) -> Result<(), Error> {
        self.special = !contract.is_static();
        let direction = match contract.truncation_side {
            TruncationSide::Left => TruncationDirection::Left,
            TruncationSide::Right => TruncationDirection::Right,
        };
        let truncation =
            TruncationParams { max_length: contract.max_seq_length, direction, ..Default::default() };
        self.inner.with_truncation(Some(truncation)).map_err(|e| error(&self.path, e))?;
        self.inner.with_padding(None);
        if lower_case {
            let lower = NormalizerWrapper::Lowercase(Lowercase);
            let chain = self.inner.get_normalizer().cloned().into_iter();
            let sequence = Sequence::new(std::iter::once(lower).chain(chain).collect());
            self.inner.with_normalizer(Some(sequence)).map_err(|e| error(&self.path, e))?;
        }
        Ok(())
    }

    /// Token ids of each text with `prompt` in front, cut to the contract's length, special tokens included.
    pub fn encode<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        prompt: Option<&str>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let prompt = prompt.unwrap_or_default();
        let mut inputs: Vec<String> = texts.iter().map(|t| format!("{prompt}{}", t.as_ref())).collect();
        let encodings = match inputs.len() {
            // A batch would go through the thread pool, which for one text costs more than the text.
            1 => self.inner.encode_fast(inputs.remove(0), self.special).map(|encoding| vec![encoding]),
            _ => self.inner.encode_batch_fast(inputs, self.special),
        };
        let encodings = encodings.map_err(|e| error(&self.path, e))?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }

    /// Number of tokens of each text before truncation, special tokens included.
    pub fn lengths<S: AsRef<str> + Sync>(
        &self,
        texts: &[S],
        prompt: Option<&str>,
    ) -> Result<Vec<usize>, Error> {
        Ok(self.whole()?.encode(texts, prompt)?.iter().map(Vec::len).collect())
    }

    /// The same without truncation.
    pub(crate) fn whole(&self) -> Result<Self, Error> {
        let mut whole = self.clone();
        whole.inner.with_truncation(None).map_err(|e| error(&self.path, e))?;
        Ok(whole)
    }

    /// A text's tokens, and where each lies in it.
    pub(crate) fn tokens(&self, text: &str, prompt: Option<&str>) -> Result<Tokens, Error> {
        let prompt = prompt.unwrap_or_default();
        let encoding =
            self.inner.encode(format!("{prompt}{text}"), self.special).map_err(|e| error(&self.path, e))?;
        let (ids, offsets, special) =
            (encoding.get_ids(), encoding.get_offsets(), encoding.get_special_tokens_mask());
        let of_prompt =
            |at: &usize| special[*at] == 1 || offsets[*at].1 <= prompt.len() && !prompt.is_empty();
        let start = (0..ids.len()).take_while(of_prompt).count();
        let end = ids.len() - special[start..].iter().rev().take_while(|special| **special == 1).count();
        let place =
            |(from, to): &(usize, usize)| from.saturating_sub(prompt.len())..to - prompt.len().min(*to);
        Ok(Tokens {
            prefix: ids[..start].to_vec(),
            ids: ids[start..end].to_vec(),
            suffix: ids[end..].to_vec(),
            bytes: offsets[start..end].iter().map(place).collect(),
            words: encoding.get_word_ids()[start..end].to_vec(),
        })
    }

    /// Number of tokens the tokenizer can produce.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// `tokenizer.json` as read.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// `tokenizer_config.json` as read; null if there was none.
    pub fn config(&self) -> &Value {
        &self.config
    }
}

pub(crate) fn error(path: &Path, source: tokenizers::Error) -> Error {
    Error::Tokenizer { path: path.to_owned(), problem: source.to_string() }
}
