//! `temper config show|check`: every key with its value, and whether a config would start.

use std::path::PathBuf;

use clap::Subcommand;
use temper_train::losses::LossName;

use crate::fetch::fetch_models;
use crate::terminal::Terminal;

/// Show or check a run's config.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper config show
  temper config show configs/pairs.toml --set seed=7
  temper config check configs/pairs.toml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every key with its value; without a file, the defaults
    Show {
        /// The config
        config: Option<PathBuf>,
        /// Override a config key
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Read config, data and base, and print the plan without training
    Check {
        /// The config
        config: PathBuf,
        /// Override a config key
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
}

/// The least that a config must say
const MINIMAL: &str = "[model]\nbase = \"MODEL\"\n[data]\ntrain = [\"train.jsonl\"]\n";

/// Keys that have no value until they are set: an example, and what holds until then
const UNSET: [(&str, &str, &str); 35] = [
    ("runs", "\"runs\"", "$TEMPER_RUNS, else ./runs"),
    ("model.base", "\"MODEL\"", "model.fresh is the start"),
    ("model.revision", "\"main\"", "the hub's main branch; a run's config names its commit"),
    ("model.fresh", "{ hidden_size = 256 }", "model.base is the start"),
    ("model.pooling", "\"mean\"", "the base's own; for a plain transformers folder, which has none"),
    ("model.max_seq_length", "128", "the base's own"),
    ("model.dropout", "0.1", "the base's own"),
    ("data.eval", "[\"dev.jsonl\"]", "a part of the training examples is held out"),
    ("data.exclude", "[\"runs/x/exclusions.jsonl\"]", "nothing"),
    ("data.max_train_samples", "10000", "all"),
    ("data.max_eval_samples", "1000", "all"),
    ("data.label_range", "[0.0, 1.0]", "what the loss can learn from"),
    ("data.streaming", "true", "where the files are larger than a quarter of the free memory"),
    ("data.columns.anchor", "\"question\"", "recognised by the usual names"),
    ("data.columns.positive", "\"answer\"", "recognised by the usual names"),
    ("data.columns.negatives", "[\"negative\"]", "recognised by the usual names"),
    ("data.columns.label", "\"score\"", "recognised by the usual names"),
    ("data.columns.text", "\"text\"", "recognised by the usual names"),
    ("data.columns.scores", "\"scores\"", "the teacher of the loss gives them"),
    ("data.columns.class", "\"label\"", "recognised by the usual names"),
    ("prompts.anchor", "\"query: \"", "none"),
    ("prompts.positive", "\"passage: \"", "none"),
    ("loss.scale", "20.0", "20.0, or the loss's own"),
    ("loss.temperature", "0.05", "1 / loss.scale"),
    ("loss.mini_batch_size", "64", "all texts of a batch in one forward pass"),
    ("loss.mini_batch_tokens", "4096", "all texts of a batch in one forward pass"),
    ("loss.matryoshka_dims", "[384, 128, 64]", "all values"),
    ("loss.matryoshka_weights", "[1.0, 1.0, 0.5]", "1.0 each"),
    (
        "loss.also",
        "[{ weight = 0.1, loss = { name = \"global_orthogonal_regularization\" } }]",
        "nothing is added",
    ),
    ("loss.in_batch_negatives", "false", "texts of other rows are negatives of ranking losses"),
    ("mine", "{ num_negatives = 1, relative_margin = 0.05 }", "no negatives are mined while training"),
    ("train.batch_sampler", "\"shuffle\"", "no_duplicates; for labelled texts group_by_label"),
    ("train.metric_for_best_model", "\"cosine_ndcg@10\"", "the task's own"),
    ("sets", "[{ name = \"a\", train = [\"a.jsonl\"] }]", "data.train and [loss] are the only set"),
    ("train.multi_dataset_batch_sampler", "\"round_robin\"", "\"proportional\", with [[sets]]"),
];

/// Shows or checks
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    match &args.command {
        Command::Show { config, overrides } => {
            let config = match config {
                Some(path) => temper_train::parse::read(path, overrides)?,
                None => temper_train::parse::parse(&PathBuf::from("defaults"), MINIMAL, overrides)?,
            };
            terminal.print(shown(&temper_train::parse::to_toml(&config)?)?)?;
        }
        Command::Check { config, overrides } => {
            let config = temper_train::parse::read(config, overrides)?;
            fetch_models(&config, terminal)?;
            let prepared = temper_train::prepare(&config, None)?;
            let order = prepared.order(&config);
            let plan = temper_train::plan(&config, &prepared, &order)?;
            for warning in prepared.warnings.iter().chain(&plan.warnings()) {
                terminal.warn(warning);
            }
            terminal.print(plan.to_string())?;
        }
    }
    Ok(())
}

/// A resolved config, and behind it the keys that it does not set, as comments.
fn shown(config: &str) -> anyhow::Result<String> {
    let document: toml_edit::DocumentMut = config.parse()?;
    let is_set = |key: &str| {
        let mut parts = key.split('.');
        parts.try_fold(document.as_item(), |item, part| item.get(part)).is_some()
    };
    // Each of several sets has its own loss.
    let of_one_set = |key: &str| key.starts_with("loss.") && is_set("sets");
    let unset = UNSET.iter().filter(|(key, _, _)| !is_set(key) && !of_one_set(key));
    let lines: Vec<String> = unset
        .map(|(key, example, until)| format!("# {:<46} # {until}", format!("{key} = {example}")))
        .collect();
    let losses: Vec<String> = LossName::ALL
        .iter()
        .filter(|loss| !loss.keys().is_empty())
        .map(|loss| format!("#   {:<34} {}", loss.name(), loss.keys().join(", ")))
        .collect();
    Ok(format!(
        "{config}\n# Not set; an example of each, and what holds without it:\n{}\n\n# Settings of each loss.name:\n{}",
        lines.join("\n"),
        losses.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    fn with(set: &[String]) -> String {
        let config = temper_train::parse::parse(Path::new("x.toml"), MINIMAL, set).unwrap();
        shown(&temper_train::parse::to_toml(&config).unwrap()).unwrap()
    }

    #[test]
    fn every_key_is_there_set_or_as_a_comment() {
        let defaults = with(&[]);
        for (key, example, _) in UNSET.iter().filter(|(key, _, _)| *key != "model.base") {
            assert!(defaults.contains(&format!("# {key} = {example} ")), "{key} is not among\n{defaults}");
            let mut set = match *key {
                "model.fresh" => vec![format!("model={{ fresh = {example} }}")],
                _ => vec![format!("{key}={example}")],
            };
            if *key == "sets" || *key == "train.multi_dataset_batch_sampler" {
                continue; // in the place of [data] train, or beside sets
            }
            if *key == "loss.matryoshka_weights" {
                set.push("loss.matryoshka_dims=[3, 2, 1]".to_owned());
            }
            assert!(!with(&set).contains(&format!("# {key} = ")), "{key} is set");
        }
        assert!(!defaults.contains("# model.base = "));
    }
}
