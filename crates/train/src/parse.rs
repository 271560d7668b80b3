//! Config text to [`Config`]: overrides, one strict parse, cross-field rules.

use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use crate::config::{Config, ModelConfig};
use crate::error::Error;
use crate::mining::MineConfig;
use crate::sets;

/// Keys that people know by other names, and what they are called here.
const ALIASES: &[(&str, &str)] = &[
    ("lr", "train.learning_rate"),
    ("optim", "[train]; the optimizer is AdamW"),
    ("training", "[train]"),
    ("epochs", "train.num_train_epochs"),
    ("num_epochs", "train.num_train_epochs"),
    ("batch_size", "train.per_device_train_batch_size"),
    ("train_batch_size", "train.per_device_train_batch_size"),
    ("per_device_eval_batch_size", "nothing: evaluation batches are cut by token budget"),
    ("accumulation_steps", "train.gradient_accumulation_steps"),
    ("scheduler", "train.lr_scheduler_type"),
    ("warmup", "train.warmup_ratio or train.warmup_steps"),
    ("grad_clip", "train.max_grad_norm"),
    ("max_norm", "train.max_grad_norm"),
    ("clip", "train.max_grad_norm"),
    ("evaluation_strategy", "train.eval_steps"),
    ("eval_strategy", "train.eval_steps"),
    ("save_strategy", "train.save_steps"),
    ("logging_strategy", "train.logging_steps"),
    ("load_best_model_at_end", "nothing: RUN names the best checkpoint"),
    ("greater_is_better", "nothing: every score is better when larger"),
    ("drop_last", "train.dataloader_drop_last"),
    ("output_dir", "runs"),
    ("run_name", "name"),
    ("model_name_or_path", "model.base"),
    ("base_model", "model.base"),
    ("train_file", "data.train"),
    ("datasets", "[[sets]]"),
    ("multi_dataset_sampler", "train.multi_dataset_batch_sampler"),
    ("validation_file", "data.eval"),
    ("infonce", "multiple_negatives_ranking"),
    ("mnrl", "multiple_negatives_ranking"),
    ("MultipleNegativesRankingLoss", "multiple_negatives_ranking"),
    ("CosineSimilarityLoss", "cosine_similarity"),
    ("CoSENTLoss", "cosent"),
    ("AnglELoss", "angle"),
    ("ContrastiveLoss", "contrastive"),
    ("OnlineContrastiveLoss", "online_contrastive"),
    ("TripletLoss", "triplet"),
    ("MegaBatchMarginLoss", "mega_batch_margin"),
    ("MultipleNegativesSymmetricRankingLoss", "multiple_negatives_ranking with loss.symmetric = true"),
    ("GISTEmbedLoss", "gist"),
    ("MSELoss", "mse"),
    ("EmbedDistillLoss", "embed_distill"),
    ("MarginMSELoss", "margin_mse"),
    ("DistillKLDivLoss", "distill_kl_div"),
    ("GlobalOrthogonalRegularizationLoss", "global_orthogonal_regularization"),
    ("CachedMultipleNegativesRankingLoss", "multiple_negatives_ranking with loss.mini_batch_size"),
    (
        "CachedMultipleNegativesSymmetricRankingLoss",
        "multiple_negatives_ranking with symmetric and mini_batch_size",
    ),
    ("CachedGISTEmbedLoss", "gist with loss.mini_batch_size"),
    ("MatryoshkaLoss", "a loss with loss.matryoshka_dims"),
    ("constant_with_warmup", "train.lr_scheduler_type = \"constant\", which warms up"),
    ("no_duplicates", "train.batch_sampler = \"no_duplicates\""),
    ("use_cpu", "device = \"cpu\""),
    ("no_cuda", "device = \"cpu\""),
    ("data_seed", "seed"),
    ("seed", "seed, at the top of the file"),
    ("device", "device, at the top of the file"),
    ("revision", "model.revision"),
    ("model_revision", "model.revision"),
    ("max_seq_length", "model.max_seq_length"),
    ("prompts", "[prompts] anchor and positive"),
    ("scale", "loss.scale"),
    ("temperature", "loss.temperature"),
    ("patience", "train.early_stopping_patience"),
    ("early_stopping", "train.early_stopping_patience"),
    ("eval_on_start", "nothing: the base is always judged before the first step"),
    ("logging_first_step", "nothing: the first step is always logged"),
    ("logging_dir", "nothing: a run's folder holds its TensorBoard log"),
    ("report_to", "nothing: events.jsonl and a TensorBoard log are always written"),
    ("resume_from_checkpoint", "temper train --resume RUN"),
    ("overwrite_output_dir", "nothing: every run has its own folder"),
    ("dataloader_num_workers", "nothing: texts are tokenized ahead by themselves"),
    ("gradient_checkpointing", "nothing: lower train.per_device_train_batch_size to save memory"),
    ("optimizer", "nothing: the optimizer is AdamW"),
    ("fp16", "nothing: training is f32 on the CPU"),
    ("bf16", "nothing: training is f32 on the CPU"),
];

/// Reads a config file and applies `--set key=value` overrides to its text.
pub fn read(path: &Path, overrides: &[String]) -> Result<Config, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(path, &text, overrides)
}

/// Parses config text; `path` is for messages, relative paths in it stay relative to the working folder.
pub fn parse(path: &Path, text: &str, overrides: &[String]) -> Result<Config, Error> {
    let mut document: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| config_error(path, text, e.span(), e.message()))?;
    for assignment in overrides {
        set(&mut document, assignment)?;
    }
    let text = document.to_string();
    let config: Config =
        toml::from_str(&text).map_err(|e| config_error(path, &text, e.span(), e.message()))?;
    check(&config).map_err(|problem| Error::Config {
        path: path.to_owned(),
        line: None,
        problem,
        hint: None,
    })?;
    Ok(config)
}

/// Applies one `key=value`; a value that is no TOML is taken as a string.
fn set(document: &mut DocumentMut, assignment: &str) -> Result<(), Error> {
    let (key, value) = assignment.split_once('=').ok_or_else(|| Error::Override {
        assignment: assignment.to_owned(),
        problem: "expected key=value, as in train.learning_rate=3e-5".to_owned(),
    })?;
    let value = value.trim().parse::<Value>().unwrap_or_else(|_| Value::from(value));
    let refuse = |problem: String| Error::Override { assignment: assignment.to_owned(), problem };
    let path: Vec<&str> = key.trim().split('.').collect();
    let (last, tables) = path.split_last().expect("this is a bug: split gives at least one part");
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut tables = tables.iter();
    while let Some(name) = tables.next() {
        table = match table.entry(name).or_insert(Item::Table(Table::new())) {
            Item::ArrayOfTables(sets) => set_called(sets, tables.next().unwrap_or(last)).map_err(refuse)?,
            item => item
                .as_table_like_mut()
                .ok_or_else(|| refuse(format!("the key lies below `{name}`, which is not a table")))?,
        };
    }
    table.insert(last, Item::Value(value));
    Ok(())
}

/// The one of `[[sets]]` with this name.
fn set_called<'a>(sets: &'a mut ArrayOfTables, name: &str) -> Result<&'a mut Table, String> {
    let called = |set: &Table| set.get("name").and_then(Item::as_str).map(str::to_owned);
    let known: Vec<String> = sets.iter().filter_map(called).collect();
    sets.iter_mut()
        .find(|set| called(set).is_some_and(|other| other == name))
        .ok_or_else(|| format!("no set is called `{name}`; there are {}", known.join(", ")))
}

fn config_error(path: &Path, text: &str, span: Option<std::ops::Range<usize>>, message: &str) -> Error {
    let line = span.map(|s| text[..s.start.min(text.len())].matches('\n').count() + 1);
    Error::Config { path: path.to_owned(), line, hint: hint(message), problem: message.trim().to_owned() }
}

/// Our name for the key or value that an "unknown field" or "unknown variant" message complains about.
fn hint(message: &str) -> Option<String> {
    let unknown =
        message.split("unknown field `").nth(1).or_else(|| message.split("unknown variant `").nth(1))?;
    let unknown = unknown.split('`').next()?;
    let (_, ours) = ALIASES.iter().find(|(theirs, _)| *theirs == unknown)?;
    Some(format!("`{unknown}` is here: {ours}"))
}

/// Rules between fields.
fn check(config: &Config) -> Result<(), String> {
    let train = &config.train;
    check_fresh(&config.model)?;
    let share = |name: &str, value: f64| {
        if (0.0..=1.0).contains(&value) {
            Ok(())
        } else {
            Err(format!("`{name}` is {value}, expected 0 to 1"))
        }
    };
    if config.data.train.is_empty() && config.sets.is_empty() {
        return Err("`data.train` names no file (or `[[sets]]` several sets)".to_owned());
    }
    if train.per_device_train_batch_size == 0
        || train.gradient_accumulation_steps == 0
        || train.logging_steps == 0
    {
        return Err(
            "`per_device_train_batch_size`, `gradient_accumulation_steps` and `logging_steps` must be at least 1"
                .to_owned(),
        );
    }
    if train.num_train_epochs == 0 && train.max_steps == 0 {
        return Err("`num_train_epochs` and `max_steps` are both 0: nothing to do".to_owned());
    }
    share("data.held_out", config.data.held_out)?;
    share("train.warmup_ratio", train.warmup_ratio)?;
    let positive = [("train.learning_rate", train.learning_rate), ("train.adam_epsilon", train.adam_epsilon)];
    for (name, value) in positive {
        if !(value.is_finite() && value > 0.0) {
            return Err(format!("`{name}` is {value}, expected a positive number"));
        }
    }
    let not_negative = [
        ("train.weight_decay", train.weight_decay),
        ("train.max_grad_norm", train.max_grad_norm),
        ("train.eval_steps", train.eval_steps),
        ("train.save_steps", train.save_steps),
        ("train.early_stopping_threshold", train.early_stopping_threshold),
        ("model.dropout", config.model.dropout.unwrap_or(0.0)),
    ];
    for (name, value) in not_negative {
        if !(value.is_finite() && value >= 0.0) {
            return Err(format!("`{name}` is {value}, expected 0 or more"));
        }
    }
    for (name, value) in [("train.eval_steps", train.eval_steps), ("train.save_steps", train.save_steps)] {
        if value > 1.0 && value.fract() != 0.0 {
            return Err(format!(
                "`{name}` is {value}, expected a whole number of steps, or a share of all steps below 1"
            ));
        }
    }
    let limits = [
        ("data.max_train_samples", config.data.max_train_samples),
        ("data.max_eval_samples", config.data.max_eval_samples),
    ];
    for (name, limit) in limits {
        if limit == Some(0) {
            return Err(format!("`{name}` is 0, expected at least 1; leave it out to read all"));
        }
    }
    for (name, value) in [("train.adam_beta1", train.adam_beta1), ("train.adam_beta2", train.adam_beta2)] {
        if !(0.0..1.0).contains(&value) {
            return Err(format!("`{name}` is {value}, expected 0 or more and below 1"));
        }
    }
    config.mine.as_ref().map_or(Ok(()), MineConfig::check)?;
    config.loss.check()?;
    sets::check(config)
}

/// A base or a fresh encoder, and no key of the one beside the other.
fn check_fresh(model: &ModelConfig) -> Result<(), String> {
    match (&model.base, &model.fresh) {
        (Some(_), Some(_)) => return Err("`model.base` and `[model.fresh]` exclude each other".to_owned()),
        (None, None) => {
            return Err("`model.base` is missing (or `[model.fresh]` for a random encoder)".to_owned());
        }
        (Some(_), None) => return Ok(()),
        (None, Some(_)) => {}
    }
    let of_a_base = [
        ("max_seq_length", model.max_seq_length.is_some(), "give `model.fresh.max_seq_length`"),
        ("pooling", model.pooling.is_some(), "give `model.fresh.pooling`"),
        ("revision", model.revision.is_some(), "leave it out"),
    ];
    match of_a_base.iter().find(|(_, given, _)| *given) {
        Some((key, _, remedy)) => {
            Err(format!("`model.{key}` means nothing beside `[model.fresh]`: it is about a base; {remedy}"))
        }
        None => Ok(()),
    }
}

/// The config as TOML, as it is kept in the run folder.
pub fn to_toml(config: &Config) -> Result<String, Error> {
    let error = |problem: String| Error::Config {
        path: PathBuf::from("config.toml"),
        line: None,
        problem,
        hint: None,
    };
    let text = toml::to_string(config).map_err(|e| error(e.to_string()))?;
    if config.sets.is_empty() {
        return Ok(text);
    }
    // Each set has its own loss; that of none of them would only mislead.
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| error(e.to_string()))?;
    document.remove("loss");
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MINIMAL: &str = "[model]\nbase = \"m\"\n[data]\ntrain = [\"t.jsonl\"]\n";

    fn message(text: &str, overrides: &[&str]) -> String {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        parse(Path::new("x.toml"), text, &overrides).unwrap_err().to_string()
    }

    #[test]
    fn the_smallest_config_has_every_default() {
        let config = parse(Path::new("x.toml"), MINIMAL, &[]).unwrap();
        assert_eq!(config.train, crate::config::TrainConfig::default());
        assert_eq!(config.seed, 42);
    }

    #[test]
    fn a_resolved_config_reads_back_the_same() {
        let overrides = ["train.learning_rate=3e-5".to_owned(), "prompts.anchor=query: ".to_owned()];
        let config = parse(Path::new("x.toml"), MINIMAL, &overrides).unwrap();
        assert_eq!(config.train.learning_rate, 3e-5);
        assert_eq!(config.prompts.anchor.as_deref(), Some("query: "));
        assert_eq!(parse(Path::new("y.toml"), &to_toml(&config).unwrap(), &[]).unwrap(), config);
    }

    #[test]
    fn a_typo_names_its_line() {
        let text = format!("{MINIMAL}[loss]\nscal = 20\n");
        let message = message(&text, &[]);
        assert!(message.contains("line 6") && message.contains("unknown field `scal`"), "{message}");
    }

    #[test]
    fn a_name_from_elsewhere_is_answered_with_ours() {
        let error = parse(Path::new("x.toml"), &format!("{MINIMAL}[train]\nlr = 1\n"), &[]).unwrap_err();
        let Error::Config { hint, .. } = error else { panic!("{error}") };
        assert_eq!(hint.unwrap(), "`lr` is here: train.learning_rate");
    }

    #[test]
    fn scale_and_temperature_exclude_each_other() {
        let message = message(MINIMAL, &["loss.scale=20", "loss.temperature=0.05"]);
        assert!(message.contains("`scale` and `temperature`"), "{message}");
    }

    #[test]
    fn intervals_are_whole_steps_or_shares() {
        for good in ["0", "0.25", "1", "20.0"] {
            assert!(parse(Path::new("x.toml"), MINIMAL, &[format!("train.eval_steps={good}")]).is_ok());
        }
        let message = message(MINIMAL, &["train.save_steps=1.5"]);
        assert!(message.contains("`train.save_steps` is 1.5, expected a whole number"), "{message}");
    }

    #[test]
    fn reading_no_sample_is_refused() {
        for key in ["data.max_train_samples", "data.max_eval_samples"] {
            let message = message(MINIMAL, &[&format!("{key}=0")]);
            assert!(message.contains(&format!("`{key}` is 0")), "{message}");
        }
    }

    #[test]
    fn keys_of_a_base_are_refused_beside_a_fresh_encoder() {
        let fresh = "[model.fresh]\n[data]\ntrain = [\"t.jsonl\"]\n";
        assert!(parse(Path::new("x.toml"), fresh, &["model.dropout=0.2".to_owned()]).is_ok());
        for (set, remedy) in [
            ("model.max_seq_length=64", "give `model.fresh.max_seq_length`"),
            ("model.pooling=cls", "give `model.fresh.pooling`"),
            ("model.revision=main", "leave it out"),
        ] {
            let message = message(fresh, &[set]);
            assert!(message.contains("means nothing beside `[model.fresh]`"), "{message}");
            assert!(message.contains(remedy), "{message}");
        }
    }

    #[test]
    fn an_override_without_a_value_is_named() {
        assert!(message(MINIMAL, &["train.seed"]).contains("key=value"));
    }
}
