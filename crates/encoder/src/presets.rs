//! What the cards of well-known models say and their folders do not: prompts and pooling.
//!
//! A preset fills gaps alone. What a folder or a caller says counts more, and the reader tells what it took from here.

use std::path::Path;

use serde_json::Value;
use temper_kernels::Pool;

/// Of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Its id on the hub.
    pub id: &'static str,
    /// How its token vectors become one.
    pub pooling: Pool,
    /// Its prompts by name.
    pub prompts: &'static [(&'static str, &'static str)],
}

const NONE: &[(&str, &str)] = &[];
const E5: &[(&str, &str)] = &[("query", "query: "), ("document", "passage: ")];
const SEARCH: &[(&str, &str)] = &[("query", "Represent this sentence for searching relevant passages: ")];
const SEARCH_ZH: &[(&str, &str)] = &[("query", "为这个句子生成表示以用于检索相关文章：")];
const ARCTIC_2: &[(&str, &str)] = &[("query", "query: ")];
const NOMIC: &[(&str, &str)] = &[
    ("query", "search_query: "),
    ("document", "search_document: "),
    ("clustering", "clustering: "),
    ("classification", "classification: "),
];

/// As the models' cards say it.
const PRESETS: &[Preset] = &[
    preset("intfloat/e5-small", Pool::Mean, E5),
    preset("intfloat/e5-base", Pool::Mean, E5),
    preset("intfloat/e5-large", Pool::Mean, E5),
    preset("intfloat/e5-small-v2", Pool::Mean, E5),
    preset("intfloat/e5-base-v2", Pool::Mean, E5),
    preset("intfloat/e5-large-v2", Pool::Mean, E5),
    preset("intfloat/multilingual-e5-small", Pool::Mean, E5),
    preset("intfloat/multilingual-e5-base", Pool::Mean, E5),
    preset("intfloat/multilingual-e5-large", Pool::Mean, E5),
    preset("BAAI/bge-small-en-v1.5", Pool::Cls, SEARCH),
    preset("BAAI/bge-base-en-v1.5", Pool::Cls, SEARCH),
    preset("BAAI/bge-large-en-v1.5", Pool::Cls, SEARCH),
    preset("BAAI/bge-small-zh-v1.5", Pool::Cls, SEARCH_ZH),
    preset("BAAI/bge-base-zh-v1.5", Pool::Cls, SEARCH_ZH),
    preset("BAAI/bge-large-zh-v1.5", Pool::Cls, SEARCH_ZH),
    preset("thenlper/gte-small", Pool::Mean, NONE),
    preset("thenlper/gte-base", Pool::Mean, NONE),
    preset("thenlper/gte-large", Pool::Mean, NONE),
    preset("Alibaba-NLP/gte-base-en-v1.5", Pool::Cls, NONE),
    preset("Alibaba-NLP/gte-large-en-v1.5", Pool::Cls, NONE),
    preset("nomic-ai/nomic-embed-text-v1", Pool::Mean, NOMIC),
    preset("nomic-ai/nomic-embed-text-v1.5", Pool::Mean, NOMIC),
    preset("jinaai/jina-embeddings-v2-small-en", Pool::Mean, NONE),
    preset("jinaai/jina-embeddings-v2-base-en", Pool::Mean, NONE),
    preset("jinaai/jina-embeddings-v2-base-de", Pool::Mean, NONE),
    preset("jinaai/jina-embeddings-v2-base-es", Pool::Mean, NONE),
    preset("jinaai/jina-embeddings-v2-base-zh", Pool::Mean, NONE),
    preset("Snowflake/snowflake-arctic-embed-xs", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-s", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-m", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-m-long", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-l", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-m-v1.5", Pool::Cls, SEARCH),
    preset("Snowflake/snowflake-arctic-embed-m-v2.0", Pool::Cls, ARCTIC_2),
    preset("Snowflake/snowflake-arctic-embed-l-v2.0", Pool::Cls, ARCTIC_2),
    preset("mixedbread-ai/mxbai-embed-large-v1", Pool::Cls, SEARCH),
];

const fn preset(id: &'static str, pooling: Pool, prompts: &'static [(&'static str, &'static str)]) -> Preset {
    Preset { id, pooling, prompts }
}

/// The preset of the model in `folder`, whose transformer has this `config.json`.
///
/// A folder of the hub's cache says its id. Elsewhere `_name_or_path` may be one, or the folder bears the model's name.
pub(crate) fn find(folder: &Path, config: &Value) -> Option<&'static Preset> {
    if let Some(id) = cached_id(folder) {
        return of_id(&id).or_else(|| of_id(config.get("_name_or_path")?.as_str()?));
    }
    let by_name = |preset: &&Preset| folder.file_name().is_some_and(|name| name == name_of(preset));
    let by_config = config.get("_name_or_path").and_then(Value::as_str).and_then(of_id);
    by_config.or_else(|| PRESETS.iter().find(by_name))
}

fn of_id(id: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.id == id)
}

fn name_of(preset: &Preset) -> &'static str {
    preset.id.rsplit('/').next().unwrap_or(preset.id)
}

/// `org/name` of `models--org--name/snapshots/COMMIT`.
fn cached_id(folder: &Path) -> Option<String> {
    let repo = folder.ancestors().nth(2)?.file_name()?.to_str()?.strip_prefix("models--")?;
    Some(repo.replacen("--", "/", 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn id(folder: &str, name_or_path: &str) -> Option<&'static str> {
        find(Path::new(folder), &json!({"_name_or_path": name_or_path})).map(|preset| preset.id)
    }

    #[test]
    fn models_are_known_by_cache_config_or_folder() {
        let e5 = Some("intfloat/e5-base-v2");
        assert_eq!(id("/hub/models--intfloat--e5-base-v2/snapshots/0123", ""), e5);
        assert_eq!(id("models/mine", "intfloat/e5-base-v2"), e5);
        assert_eq!(id("models/e5-base-v2", "bert-base-uncased"), e5);
        assert_eq!(id("/hub/models--somebody--e5-base-v2/snapshots/0123", "elsewhere"), None);
        assert_eq!(id("models/e5-base-v3", "/tmp/e5-base-v2/"), None);
        assert_eq!(find(Path::new("x"), &Value::Null), None);
    }

    #[test]
    fn each_model_stands_here_once() {
        let mut names: Vec<_> = PRESETS.iter().map(name_of).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PRESETS.len());
    }
}
