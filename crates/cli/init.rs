//! `temper init`: look at the data, write a commented config.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use burn::tensor::Device;
use temper_data::{ColumnMap, Dataset, ExcludedPairs, Kind, ReadOptions};
use temper_encoder::reference::Found;

use crate::columns;
use crate::failure::BadInput;
use crate::fetch::fetch;
use crate::terminal::{Terminal, program};

/// Look at training files and write a config with columns, loss, prompts and held-out split chosen.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper init pairs.jsonl --base sentence-transformers/all-MiniLM-L6-v2 -o pairs.toml
  temper init train-*.csv --base runs/first --eval dev.csv -o second.toml
  temper init pairs.jsonl --fresh | less")]
pub struct Args {
    /// Training files (JSONL, CSV, TSV, Parquet), or a folder of them as on the hub
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// MODEL to fine-tune: a folder, a run or a hub id
    #[arg(long, value_name = "MODEL", required_unless_present = "fresh")]
    base: Option<String>,
    /// Start from a small random encoder instead
    #[arg(long, conflicts_with = "base")]
    fresh: bool,
    /// Evaluation file, BEIR folder or folder of a data set; without one, a part of the training pairs is held out
    #[arg(long, value_name = "FILE")]
    eval: Vec<PathBuf>,
    /// What the columns mean, where their names do not say it: `anchor=NAME,positive=NAME`, with `negative=`, `label=` or `class=`; `text=NAME,class=NAME`
    #[arg(long, value_name = "ROLE=COLUMN,..", value_parser = columns::parse)]
    columns: Option<ColumnMap>,
    /// Where to write; stdout without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite the output file
    #[arg(long)]
    force: bool,
}

/// Writes the config
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    if let Some(path) = args.output.as_ref().filter(|p| p.exists() && !args.force) {
        let problem = format!("`{}` exists", path.display());
        return Err(BadInput::new(problem).hint("name another file with -o, or use --force").into());
    }
    let columns = args.columns.clone().unwrap_or_default();
    let dataset = temper_data::read(&args.files, &ReadOptions { columns, ..ReadOptions::default() })?;
    let found = args.base.as_ref().map(|base| fetch(base, None, terminal)).transpose()?;
    let text = config(&args, &dataset, found.as_ref())?;
    // What is written must be what `train` accepts.
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from("config.toml"));
    let config = temper_train::parse::parse(&path, &text, &[])
        .context("this is a bug: init wrote a config it cannot read")?;
    for path in &config.data.eval {
        temper_train::read_task(&config, path, &mut ExcludedPairs::default())?;
    }
    match &args.output {
        None => terminal.print(text.trim_end())?,
        Some(path) => {
            std::fs::write(path, &text).with_context(|| format!("cannot write `{}`", path.display()))?;
            for file in &dataset.files {
                terminal.note(format!("{}: {} rows, {}", file.path.display(), file.rows, file.mapping));
            }
            terminal.note(format!(
                "wrote {}; look it over, then: {} train {}",
                path.display(),
                program(),
                path.display()
            ));
        }
    }
    Ok(())
}

fn config(args: &Args, dataset: &Dataset, found: Option<&Found>) -> anyhow::Result<String> {
    let name = args.files[0].file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = args.output.as_ref().map_or("config.toml".into(), |p| p.display().to_string());
    let mut text = String::new();
    writeln!(text, "# temper train {file}")?;
    writeln!(text, "# Every key with its value: temper config show {file}\n")?;
    writeln!(text, "name = {}\nseed = 42\n\n[model]", quoted(&name))?;
    let prompts = model_section(&mut text, args.base.as_deref().zip(found))?;
    data_section(&mut text, args, dataset)?;
    prompt_section(&mut text, &prompts)?;
    loss_section(&mut text, dataset.kind)?;
    train_section(&mut text, dataset, args.fresh)?;
    Ok(text)
}

/// Writes the base, or a random encoder; returns the base's prompts.
fn model_section(
    text: &mut String,
    base: Option<(&str, &Found)>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let Some((base, found)) = base else {
        writeln!(text, "# A random encoder with a vocabulary trained on the texts below.\n[model.fresh]")?;
        writeln!(
            text,
            "hidden_size = 256\nnum_hidden_layers = 4\nnum_attention_heads = 4\nintermediate_size = 1024"
        )?;
        writeln!(text, "max_seq_length = 128")?;
        return Ok(BTreeMap::new());
    };
    let contract =
        temper_encoder::read(&found.folder, &temper_encoder::ReadOptions::default(), &Device::flex())?
            .encoder
            .contract;
    let own = contract.max_seq_length;
    writeln!(text, "base = {}", quoted(base))?;
    if let (Some(commit), false) = (&found.commit, base.contains('@')) {
        writeln!(text, "# The commit of now; without it each new run begins from the hub's main branch.")?;
        writeln!(text, "# revision = {}", quoted(commit))?;
    }
    writeln!(text, "# Longest input in tokens; the base's own is {own}. Shorter is faster.")?;
    writeln!(text, "max_seq_length = {}", own.min(128))?;
    Ok(contract.prompts)
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

fn list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    texts.into_iter().map(|t| quoted(t.as_ref())).collect::<Vec<_>>().join(", ")
}

fn data_section(text: &mut String, args: &Args, dataset: &Dataset) -> std::fmt::Result {
    let names = |paths: &[PathBuf]| list(paths.iter().map(|p| p.to_string_lossy()));
    writeln!(text, "\n[data]")?;
    for file in &dataset.files {
        let kind = dataset.kind.name();
        writeln!(text, "# {}: {} {kind}: {}", file.path.display(), file.rows, file.mapping)?;
    }
    writeln!(text, "train = [{}]", names(&args.files))?;
    if args.eval.is_empty() && dataset.kind == Kind::ClassifiedPairs {
        writeln!(
            text,
            "# Nothing is held out, since no scores come of classified pairs; name a file to judge by:\n# eval = [\"sts.jsonl\"]"
        )?;
    } else if args.eval.is_empty() {
        writeln!(
            text,
            "# No evaluation file: this share is held out, at most held_out_max examples, so that no anchor"
        )?;
        writeln!(text, "# or positive stands on both sides.\nheld_out = 0.1\nheld_out_max = 1000")?;
    } else {
        writeln!(text, "eval = [{}]", names(&args.eval))?;
    }
    writeln!(
        text,
        "# What to do with rows that cannot be used: \"refuse\" to start, or \"skip\" and count them."
    )?;
    writeln!(text, "on_bad_row = \"refuse\"")?;
    let columns = &dataset.files[0].columns;
    if columns.anchor.is_none() && columns.text.is_none() {
        return Ok(()); // one column lists all texts; there is nothing to map
    }
    writeln!(text, "\n[data.columns]")?;
    let roles = [
        ("text", &columns.text),
        ("anchor", &columns.anchor),
        ("positive", &columns.positive),
        ("label", &columns.label),
        ("class", &columns.class),
        ("scores", &columns.scores),
    ];
    for (role, column) in roles {
        if let Some(column) = column {
            writeln!(text, "{role} = {}", quoted(column))?;
        }
    }
    if !columns.negatives.is_empty() {
        writeln!(text, "negatives = [{}]", list(&columns.negatives))?;
    }
    Ok(())
}

fn prompt_section(text: &mut String, prompts: &BTreeMap<String, String>) -> std::fmt::Result {
    let find = |names: &[&str]| names.iter().find_map(|n| prompts.get(*n)).filter(|p| !p.is_empty());
    let (query, document) = (find(&["query"]), find(&["document", "passage", "corpus"]));
    if query.is_none() && document.is_none() {
        writeln!(
            text,
            "\n# Texts put in front of a column in training and evaluation; the export carries them."
        )?;
        return writeln!(text, "# [prompts]\n# anchor = \"query: \"\n# positive = \"passage: \"");
    }
    writeln!(
        text,
        "\n# The base's own prompts, used in training and evaluation; the export carries them.\n[prompts]"
    )?;
    for (role, prompt) in [("anchor", query), ("positive", document)] {
        if let Some(prompt) = prompt {
            writeln!(text, "{role} = {}", quoted(prompt))?;
        }
    }
    Ok(())
}

fn loss_section(text: &mut String, kind: Kind) -> std::fmt::Result {
    match kind {
        Kind::Pairs | Kind::Triplets { .. } => writeln!(
            text,
            "\n[loss]\n# InfoNCE: every other positive of the batch is a negative{}.\nname = \"multiple_negatives_ranking\"\nscale = 20.0\n# A candidate whose text equals a right answer is no negative.\nmask_duplicates = true",
            if matches!(kind, Kind::Triplets { .. }) { ", and so are the negatives of the data" } else { "" }
        ),
        Kind::Scored => writeln!(
            text,
            "\n[loss]\n# Pairs with a higher label must have a higher cosine. (cosine_similarity fits the values themselves.)\nname = \"cosent\"\nscale = 20.0"
        ),
        Kind::Labelled => writeln!(
            text,
            "\n[loss]\n# The farthest text of the same class nearer than the nearest of another one, in every batch.\nname = \"batch_hard_soft_margin_triplet\""
        ),
        Kind::ClassifiedPairs => {
            writeln!(
                text,
                "\n[loss]\n# A classifier on both vectors, which the export goes without.\nname = \"softmax\""
            )
        }
    }
}

fn train_section(text: &mut String, dataset: &Dataset, fresh: bool) -> std::fmt::Result {
    let batch = if dataset.len() < 1000 && !fresh { 16 } else { 32 };
    let (epochs, rate) = match (fresh, dataset.len()) {
        (true, _) => (20, "5e-4"),
        (false, n) if n < 5000 => (3, "2e-5"),
        _ => (1, "2e-5"),
    };
    writeln!(
        text,
        "\n[train]\nnum_train_epochs = {epochs}\n# In-batch negatives come from these examples: larger is harder and better, until memory ends.\n\
         per_device_train_batch_size = {batch}\nlearning_rate = {rate}\nlr_scheduler_type = \"linear\"\nwarmup_ratio = 0.1\nweight_decay = 0.01\n\
         # Evaluate and save after this share of the steps.\neval_steps = 0.25\nsave_total_limit = 2"
    )
}
