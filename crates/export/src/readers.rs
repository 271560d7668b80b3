//! What other readers of a model folder do differently from temper.
//!
//! Each statement was read from the reader's source: text-embeddings-inference 1.9 (`router/src/lib.rs`,
//! `backends/candle`), sentence-transformers 6.0, llama.cpp's `conversion/` of summer 2026.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use temper_encoder::contract::PoolingSpec;
use temper_encoder::read::SETTINGS;
use temper_encoder::{Contract, Encoder, Origin, Origins};

/// One thing that one reader does differently with a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The reader.
    pub reader: &'static str,
    /// What it does.
    pub difference: String,
}

/// What readers would do differently with `folder`, which temper read as `encoder`. Nothing that does not apply to it.
pub fn differences(folder: &Path, encoder: &Encoder, origins: &Origins) -> Vec<Difference> {
    let facts = Facts::look(folder, encoder, origins);
    let of =
        |reader, said: Vec<String>| said.into_iter().map(move |difference| Difference { reader, difference });
    if encoder.contract.is_static() {
        let said = |(reader, difference): (_, &str)| Difference { reader, difference: difference.to_owned() };
        return STATIC.map(said).into_iter().chain(of("sentence-transformers", of_prompts(&facts))).collect();
    }
    of("transformers", vec![transformers(&facts)])
        .chain(of("sentence-transformers", sentence_transformers(&facts)))
        .chain(of("text-embeddings-inference", inference_server(&facts)))
        .chain(of("llama.cpp", llama_cpp(&facts)))
        .collect()
}

/// What readers do with a model that is a table alone.
const STATIC: [(&str, &str); 5] = [
    ("transformers", "does not load it: there is no transformer"),
    ("sentence-transformers", "versions before 3.2 have no StaticEmbedding"),
    ("model2vec", "leaves unknown tokens out of the mean; sentence-transformers and temper do not"),
    ("text-embeddings-inference", "does not load static models"),
    ("llama.cpp", "does not convert static models"),
];

/// What the statements depend on.
struct Facts<'a> {
    contract: &'a Contract,
    origins: &'a Origins,
    model_type: &'a str,
    pooling: &'a PoolingSpec,
    dense: bool,
    prompts: bool,
    /// Where the transformer lies, as a path in the folder.
    transformer: String,
    /// The classes that `modules.json` names; none for a plain folder.
    classes: Vec<String>,
    /// `1_Pooling/config.json`, or null.
    pooling_file: Value,
    /// The transformer's settings of sentence-transformers.
    settings: Option<(&'static str, Value)>,
    has_tokenizer_json: bool,
}

impl<'a> Facts<'a> {
    fn look(folder: &Path, encoder: &'a Encoder, origins: &'a Origins) -> Self {
        // The folder has been read once; what is not there or not JSON now says nothing.
        let json = |name: &str| -> Value {
            fs::read(folder.join(name))
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default()
        };
        let modules = json("modules.json");
        let field = |module: &Value, name: &str| module[name].as_str().unwrap_or_default().to_owned();
        let modules: Vec<_> = modules.as_array().into_iter().flatten().collect();
        let contract = &encoder.contract;
        Self {
            contract,
            origins,
            model_type: encoder.config()["model_type"].as_str().unwrap_or_default(),
            pooling: contract.pooling(),
            dense: contract.dense().next().is_some(),
            prompts: contract.prompts.values().any(|prompt| !prompt.is_empty()),
            transformer: modules.first().map(|module| field(module, "path")).unwrap_or_default(),
            classes: modules.iter().map(|module| field(module, "type")).collect(),
            pooling_file: json("1_Pooling/config.json"),
            settings: SETTINGS
                .into_iter()
                .find(|name| folder.join(name).is_file())
                .map(|name| (name, json(name))),
            has_tokenizer_json: folder.join("tokenizer.json").is_file(),
        }
    }

    /// Whether there is one pooling, of the three that the servers know.
    fn is_pooled_simply(&self) -> bool {
        ["mean", "cls", "lasttoken"].contains(&self.pooling.name().as_str())
    }

    /// Readers without module lists look for the transformer at the top.
    fn lies_deeper(&self) -> Option<String> {
        let path = &self.transformer;
        (!path.is_empty()).then(|| {
            format!("looks for the transformer at the top of the folder, not in `{path}`; `temper export` puts it there")
        })
    }
}

fn transformers(facts: &Facts<'_>) -> String {
    let mut left = vec!["pooling"];
    left.extend(facts.dense.then_some("the dense layer"));
    left.extend(facts.contract.normalizes().then_some("normalisation"));
    left.extend(facts.prompts.then_some("prompts"));
    let given = match left.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    };
    format!("gives token vectors, and leaves {given} to you")
}

fn sentence_transformers(facts: &Facts<'_>) -> Vec<String> {
    let mut said = Vec::new();
    let moved = |class: &String| {
        class.starts_with("sentence_transformers.") && !class.starts_with("sentence_transformers.models.")
    };
    if facts.classes.iter().any(moved) || facts.pooling_file.get("pooling_mode").is_some() {
        let why = "class paths, `pooling_mode`";
        said.push(format!(
            "versions before 5.4 cannot load it ({why}); `temper export` writes what all of them load"
        ));
    }
    let own = facts.classes.first().and_then(|class| class.rsplit('.').next());
    if let Some(own) = own.filter(|class| *class != "Transformer") {
        said.push(format!("has had no class {own} since 1.0; `temper export` writes what all versions load"));
    }
    let is_plain = facts.classes.is_empty();
    if is_plain && facts.pooling.name() != "mean" && !["qwen3", "gemma3_text"].contains(&facts.model_type) {
        said.push(format!(
            "takes the mean where there is no modules.json, not {}; `temper export` writes one",
            facts.pooling.name()
        ));
    }
    said.extend(of_prompts(facts));
    said
}

/// What sentence-transformers makes of prompts that a preset brought.
fn of_prompts(facts: &Facts<'_>) -> Vec<String> {
    match facts.origins.prompts {
        Origin::Preset(_) => vec!["knows no prompts for this folder; `temper export` writes them".to_owned()],
        _ => Vec::new(),
    }
}

/// text-embeddings-inference.
fn inference_server(facts: &Facts<'_>) -> Vec<String> {
    if let Some(deeper) = facts.lies_deeper() {
        return vec![deeper];
    }
    if facts.model_type == "eurobert" {
        return vec!["does not load EuroBERT".to_owned()];
    }
    let mut said = Vec::new();
    if !facts.has_tokenizer_json {
        said.push("needs a tokenizer.json; `temper export` writes one".to_owned());
    }
    said.extend(served_pooling(facts));
    if facts.dense {
        said.push("versions before 1.8 leave the dense layer out".to_owned());
    }
    if !facts.contract.normalizes() {
        said.push("/embed normalises unless the request says `\"normalize\": false`".to_owned());
    }
    if facts.prompts {
        let of_folder = "`prompt_name` in the request, or --default-prompt-name";
        said.push(match facts.origins.prompts {
            Origin::File(_) => format!("puts no prompt in front unless asked: {of_folder}"),
            _ => "puts no prompt in front unless asked: --default-prompt".to_owned(),
        });
    }
    if facts.contract.truncate_dim.is_some() {
        let all = facts.contract.full_dim();
        said.push(format!("gives all {all} values unless the request says `dimensions`"));
    }
    match &facts.settings {
        Some((name, settings)) if settings["max_seq_length"].as_u64().is_none() => {
            said.push(format!("cannot read a {name} without `max_seq_length`; `temper export` writes it"));
        }
        None => {
            let positions = facts.contract.transformer().shape().max_tokens;
            if facts.contract.max_seq_length < positions {
                said.push(format!(
                    "takes up to {positions} tokens without a sentence_bert_config.json, not {}",
                    facts.contract.max_seq_length
                ));
            }
        }
        Some(_) => {}
    }
    said
}

/// What text-embeddings-inference makes of `1_Pooling/config.json`, which it reads in the form of booleans.
fn served_pooling(facts: &Facts<'_>) -> Option<String> {
    let names = facts.pooling.name();
    if facts.pooling.pools.len() > 1 {
        return Some(format!("takes one pooling, not {names}"));
    }
    if !facts.is_pooled_simply() {
        return Some(format!("has no {names} pooling"));
    }
    let flag = if names == "lasttoken" { "last-token" } else { &names };
    if facts.pooling_file.is_null() {
        return match facts.model_type.contains("bert") {
            true if flag == "cls" => None,
            true => Some(format!("takes cls where there is no 1_Pooling/config.json; give --pooling {flag}")),
            false => Some(format!("does not start without 1_Pooling/config.json; give --pooling {flag}")),
        };
    }
    let booleans = ["pooling_mode_cls_token", "pooling_mode_mean_tokens"];
    booleans.iter().any(|name| facts.pooling_file.get(name).is_none()).then(|| {
        format!("cannot read `pooling_mode` in 1_Pooling/config.json; give --pooling {flag}, or use `temper export`")
    })
}

/// llama.cpp's `convert_hf_to_gguf.py` and what runs its files.
fn llama_cpp(facts: &Facts<'_>) -> Vec<String> {
    if let Some(deeper) = facts.lies_deeper() {
        return vec![deeper];
    }
    let unknown = match facts.model_type {
        "mpnet" => Some("MPNet"),
        "new" | "gte" => Some("GTE"),
        _ => None,
    };
    if let Some(name) = unknown {
        return vec![format!("does not convert {name}")];
    }
    let mut said = Vec::new();
    let names = facts.pooling.name();
    if !facts.is_pooled_simply() {
        said.push(format!("converts mean, cls or last-token pooling, not {names}"));
    } else if facts.classes.is_empty() {
        let flag = if names == "lasttoken" { "last" } else { &names };
        said.push(format!("keeps no pooling without modules.json; run the result with --pooling {flag}"));
    }
    if facts.dense {
        said.push(match facts.model_type {
            "gemma3_text" => {
                "leaves the dense layers out without --sentence-transformers-dense-modules".to_owned()
            }
            _ => "leaves the dense layer out".to_owned(),
        });
    }
    if facts.prompts {
        said.push("keeps no prompts; put them in front of the texts yourself".to_owned());
    }
    said
}
