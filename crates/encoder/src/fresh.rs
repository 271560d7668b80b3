//! A random encoder from a config, with a `WordPiece` vocabulary trained on the given texts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use ahash::{AHashMap, RandomState};
use burn::tensor::Device;
use compact_str::CompactString;
use temper_data::random;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use crate::architecture::{BertConfig, TransformerConfig};
use crate::contract::{Contract, ModuleSpec, POOL_NAMES, PoolingSpec, TruncationSide, pool_from_name};
use crate::encoder::Encoder;
use crate::tokenizing::{Tokenizer, error};
use crate::weights::{NamedTensor, Weights};
use crate::{Error, network::Network, parameters};

/// BERT's special tokens, in the order of their ids in a fresh vocabulary.
const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// What a fresh encoder looks like.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreshConfig {
    /// Largest vocabulary; a small corpus gives a smaller one.
    pub vocab_size: usize,
    /// Width of the token vectors.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Heads per block.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest input in tokens.
    pub max_seq_length: usize,
    /// How token vectors become one: `mean`, `cls`, ...; several, as in `mean+max`, are concatenated.
    pub pooling: String,
    /// Dropout while training.
    pub dropout: f64,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for FreshConfig {
    fn default() -> Self {
        Self {
            vocab_size: 8000,
            hidden_size: 256,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            intermediate_size: 1024,
            max_seq_length: 128,
            pooling: "mean".to_owned(),
            dropout: 0.1,
            initializer_range: 0.02,
        }
    }
}

impl FreshConfig {
    /// A BERT encoder with mean pooling and normalisation; every value is a function of `seed`.
    pub fn build<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
        seed: u64,
        device: &Device,
    ) -> Result<Encoder, Error> {
        let tokenizer = self.train_tokenizer(texts)?;
        let bert = BertConfig {
            vocab_size: tokenizer.vocab_size(),
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            max_position_embeddings: self.max_seq_length,
            type_vocab_size: 2,
            hidden_act: temper_kernels::Activation::Gelu,
            layer_norm_eps: 1e-12,
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.dropout,
            initializer_range: self.initializer_range,
            padding: None,
        };
        if !self.hidden_size.is_multiple_of(self.num_attention_heads.max(1)) || self.num_attention_heads == 0
        {
            return Err(Error::model(
                Path::new("model.fresh"),
                format!(
                    "`hidden_size` {} is not a multiple of `num_attention_heads` {}",
                    self.hidden_size, self.num_attention_heads
                ),
            ));
        }
        let pools: Vec<_> =
            self.pooling.split('+').map(pool_from_name).collect::<Option<_>>().ok_or_else(|| {
                Error::model(
                    Path::new("model.fresh"),
                    format!("`pooling` is `{}`; known: {POOL_NAMES}", self.pooling),
                )
            })?;
        let contract = Contract {
            modules: vec![
                ModuleSpec::Transformer(TransformerConfig::Bert(bert.clone())),
                ModuleSpec::Pooling(PoolingSpec { dim: self.hidden_size, pools }),
                ModuleSpec::Normalize,
            ],
            max_seq_length: self.max_seq_length,
            truncation_side: TruncationSide::Right,
            lower_case: false,
            prompts: BTreeMap::new(),
            default_prompt: None,
            truncate_dim: None,
            similarity: temper_vectors::Similarity::Cosine,
        };
        let empty = Network::empty(&contract, device);
        let fresh = parameters::collect(&empty.transformer)
            .into_iter()
            .map(|tensor| initial(tensor, bert.initializer_range, seed));
        let mut weights = Weights::from_tensors(PathBuf::from("fresh"), fresh);
        let network =
            Network { transformer: parameters::load(empty.transformer, &mut weights)?, dense: Vec::new() };
        Encoder::new(contract, tokenizer, network, bert.to_json())
    }

    fn train_tokenizer<S: AsRef<str>>(&self, texts: impl IntoIterator<Item = S>) -> Result<Tokenizer, Error> {
        let place = PathBuf::from("fresh vocabulary");
        let special = SPECIAL_TOKENS.map(|t| AddedToken::from(t, true));
        let trainer = BpeTrainer::builder()
            .vocab_size(self.vocab_size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(special.to_vec())
            .continuing_subword_prefix("##".to_owned())
            .build();
        let mut pieces = BPE::default();
        let counts = word_counts(texts).map_err(|e| error(&place, e))?;
        trainer.do_train(&counts, &mut pieces).map_err(|e| error(&place, e))?;
        Tokenizer::new(
            bert_tokenizer(WordPiece::from_bpe(&pieces), true, &place)?,
            place,
            serde_json::Value::Null,
        )
    }
}

/// How often each word occurs, as BERT splits texts.
///
/// The trainer numbers pieces in the map's order, so the map must have the same order every time: fixed hash keys,
/// words put in sorted.
fn word_counts<S: AsRef<str>>(
    texts: impl IntoIterator<Item = S>,
) -> tokenizers::Result<AHashMap<CompactString, u64>> {
    let mut sorted: BTreeMap<CompactString, u64> = BTreeMap::new();
    for text in texts {
        let mut normalized = NormalizedString::from(text.as_ref());
        BertNormalizer::default().normalize(&mut normalized)?;
        let mut words = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut words)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Original, OffsetType::None) {
            *sorted.entry(CompactString::from(word)).or_default() += 1;
        }
    }
    let mut counts = HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
    counts.extend(sorted);
    Ok(AHashMap::from(counts))
}

/// Positions and token types start this much smaller than words. A few hundred pairs are too few to unlearn that
/// texts of equal length look alike: with equal shares the bundled sample ends 10 points lower.
const POSITION_SHARE: f64 = 0.3;

/// Values of one fresh tensor: BERT's own initialisation, but for [`POSITION_SHARE`].
fn initial(tensor: NamedTensor, std: f64, seed: u64) -> NamedTensor {
    let beside_words =
        tensor.name.contains("position_embeddings") || tensor.name.contains("token_type_embeddings");
    let std = if beside_words { std * POSITION_SHARE } else { std };
    let is_norm = tensor.name.contains("LayerNorm");
    let key = random::key(seed, &format!("init/{}", tensor.name), 0);
    let values = match tensor.shape.len() {
        2 => (0..tensor.values.len()).map(|i| random::normal_f32(key, i as u64) * std as f32).collect(),
        _ if is_norm && tensor.name.ends_with("weight") => vec![1.0; tensor.values.len()],
        _ => vec![0.0; tensor.values.len()],
    };
    NamedTensor { values, ..tensor }
}

/// BERT's tokenizer around a `WordPiece` vocabulary.
pub(crate) fn bert_tokenizer(
    model: WordPiece,
    lower_case: bool,
    path: &Path,
) -> Result<tokenizers::Tokenizer, Error> {
    let id = |token: &str| {
        model.token_to_id(token).map(|id| (token.to_owned(), id)).ok_or_else(|| Error::Tokenizer {
            path: path.to_owned(),
            problem: format!("the vocabulary has no `{token}`"),
        })
    };
    let processing = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
    let special = SPECIAL_TOKENS
        .into_iter()
        .filter(|t| model.token_to_id(t).is_some())
        .map(|t| AddedToken::from(t, true))
        .collect::<Vec<_>>();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let normalizer = BertNormalizer::new(true, true, None, lower_case);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| error(path, e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(processing));
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
    tokenizer.add_special_tokens(special).map_err(|e| error(path, e))?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_texts_give_the_same_encoder() {
        let texts = [
            "how do I true a wheel",
            "truing a wheel needs a spoke key",
            "the wheel is true, the key is not",
        ];
        let tiny = FreshConfig {
            hidden_size: 8,
            num_hidden_layers: 1,
            intermediate_size: 16,
            ..FreshConfig::default()
        };
        let build = |seed| tiny.build(texts, seed, &Device::flex()).unwrap();
        let first = build(1);
        assert_eq!(first.fingerprint(), build(1).fingerprint());
        assert_ne!(first.fingerprint(), build(2).fingerprint());
        assert!(first.tokenizer().vocab_size() > 30);
    }
}
