//! A random encoder from a config, with a `WordPiece` vocabulary trained on the given texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use temper_data::random;
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model};

use crate::bert::BertConfig;
use crate::contract::{Contract, ModuleSpec, PoolingSpec, TruncationSide};
use crate::encoder::Encoder;
use crate::tokenizing::{Tokenizer, error};
use crate::weights::{NamedTensor, Weights};
use crate::{Error, network::Network, parameters};

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
    /// Dropout while training.
    pub dropout: f64,
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
            dropout: 0.1,
        }
    }
}

impl FreshConfig {
    /// A BERT encoder with mean pooling and normalisation; every value is a function of `seed`.
    pub fn build<S: AsRef<str> + Sync + Send>(
        &self,
        texts: &[S],
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
            initializer_range: 0.02,
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
        let contract = Contract {
            modules: vec![
                ModuleSpec::Transformer(bert.clone()),
                ModuleSpec::Pooling(PoolingSpec {
                    dim: self.hidden_size,
                    pools: vec![temper_kernels::Pool::Mean],
                }),
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

    fn train_tokenizer<S: AsRef<str> + Sync + Send>(&self, texts: &[S]) -> Result<Tokenizer, Error> {
        let place = PathBuf::from("fresh vocabulary");
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|t| AddedToken::from(t, true));
        let mut trainer = TrainerWrapper::from(
            WordPieceTrainer::builder()
                .vocab_size(self.vocab_size)
                .min_frequency(2)
                .show_progress(false)
                .special_tokens(special.to_vec())
                .build(),
        );
        let mut tokenizer = tokenizers::Tokenizer::new(WordPiece::default());
        tokenizer.with_normalizer(Some(BertNormalizer::default())).map_err(|e| error(&place, e))?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.train(&mut trainer, texts.iter().map(AsRef::as_ref)).map_err(|e| error(&place, e))?;
        let ModelWrapper::WordPiece(model) = tokenizer.get_model().clone() else {
            return Err(error(&place, "the trainer gave no WordPiece model".into()));
        };
        Tokenizer::new(bert_tokenizer(model, true, &place)?, place, serde_json::Value::Null)
    }
}

/// Values of one fresh tensor: BERT's own initialisation.
fn initial(tensor: NamedTensor, std: f64, seed: u64) -> NamedTensor {
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
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
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
