//! RoBERTa's tokenizer from its `vocab.json` and `merges.txt`, for folders that are older than `tokenizer.json`.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Model};

use crate::Error;
use crate::tokenizing::{Tokenizer, error};

/// Classes that transformers builds as here; other byte-level tokenizers split texts in other ways.
const CLASSES: [&str; 2] = ["RobertaTokenizer", "RobertaTokenizerFast"];

/// Byte-level BPE between `<s>` and `</s>`, as transformers makes it of the same two files.
pub(crate) fn read(vocabulary: &Path, merges: &Path, config: Value) -> Result<Tokenizer, Error> {
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    if let Some(class) = class.filter(|class| !CLASSES.contains(class)) {
        let problem = format!(
            "temper does not build a `{class}` from it; save the tokenizer once with a fast tokenizer of transformers, \
             which writes `tokenizer.json`"
        );
        return Err(Error::model(vocabulary, problem));
    }
    let files = [vocabulary, merges].map(|path| path.to_string_lossy().into_owned());
    let model = BPE::from_file(&files[0], &files[1]).build().map_err(|e| error(vocabulary, e))?;
    let id = |token: &str| {
        model.token_to_id(token).map(|id| (token.to_owned(), id)).ok_or_else(|| Error::Tokenizer {
            path: vocabulary.to_owned(),
            problem: format!("the vocabulary has no `{token}`, so it is not RoBERTa's"),
        })
    };
    let space = config.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
    let processing = RobertaProcessing::new(id("</s>")?, id("<s>")?).add_prefix_space(space);
    let special = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| AddedToken::from(token, true));
    // A space before the mask belongs to it.
    let mask = AddedToken::from("<mask>", true).lstrip(true);
    let known = special.into_iter().chain([mask]).filter(|t| model.token_to_id(&t.content).is_some());
    let known: Vec<_> = known.collect();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(space, true, true)));
    tokenizer.with_post_processor(Some(processing));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer.add_special_tokens(known).map_err(|e| error(vocabulary, e))?;
    Tokenizer::new(tokenizer, vocabulary.to_owned(), if config.is_null() { described() } else { config })
}

/// What stands in `tokenizer_config.json` of such a tokenizer, for folders without one.
fn described() -> Value {
    json!({
        "tokenizer_class": "RobertaTokenizer",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    })
}
