//! `temper info`: what a model is, why, and what other readers make of its folder.

use serde_json::json;
use temper_encoder::contract::{Contract, DenseSpec, activation_label};
use temper_export::{Difference, differences};

use crate::model::ModelArgs;
use crate::stored::{self, Stored};
use crate::terminal::Terminal;

/// Tell what a model is, where its folder says so, and what other readers would do differently
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper info MODEL
  temper info runs/shop@last --json | jq .fingerprint")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let opened = args.model.open(terminal)?;
    let stored = stored::look(&opened.folder)?;
    let (encoder, contract) = (&opened.encoder, &opened.encoder.contract);
    let fingerprint = encoder.fingerprint();
    let origins = &opened.origins;
    let others = differences(&opened.folder, encoder, origins);
    let shape = contract.transformer().shape();
    let model_type = encoder.config()["model_type"].as_str().unwrap_or_default();
    let read_where = if contract.is_static() {
        "a table of token vectors".to_owned()
    } else {
        format!("model_type {model_type} in config.json")
    };
    if args.json {
        return terminal.print_json(&json!({
            "model": opened.reference,
            "folder": opened.folder,
            "architecture": shape.name,
            "model_type": model_type,
            "summary": contract.summary(),
            "dim": contract.dim(),
            "full_dim": contract.full_dim(),
            "normalizes": contract.normalizes(),
            "contract": contract,
            "origins": origins,
            "vocab_size": encoder.tokenizer().vocab_size(),
            "parameters": encoder.num_parameters(),
            "weight_bytes": stored.bytes,
            "weight_format": stored.format,
            "precision": stored.precision,
            "fingerprint": fingerprint,
            "derived_from": stored.derived_from,
            "other_readers": others,
            "warnings": opened.warnings,
        }));
    }
    let mut lines = vec![
        ("model", opened.reference.clone()),
        ("folder", opened.folder.display().to_string()),
        ("architecture", format!("{} ({read_where})", shape.name)),
        ("modules", contract.summary()),
        ("pooling", format!("{} ({})", contract.pooling().name(), origins.pooling)),
        ("normalisation", normalisation(contract).to_owned()),
        ("dense", dense(contract)),
        ("dimensions", dimensions(contract.dim(), contract.full_dim())),
        ("longest input", format!("{} ({})", contract.longest_input(), origins.max_seq_length)),
        ("similarity", contract.similarity.name().to_owned()),
        ("vocabulary", format!("{} tokens", encoder.tokenizer().vocab_size())),
        ("parameters", grouped(encoder.num_parameters())),
        ("weights", weights(&stored)),
        ("fingerprint", fingerprint),
    ];
    if let Some(source) = stored.derived_from {
        lines.push(("derived from", source));
    }
    let count = match contract.prompts.len() {
        0 => "none".to_owned(),
        count => count.to_string(),
    };
    lines.push(("prompts", format!("{count} ({})", origins.prompts)));
    for (name, text) in &contract.prompts {
        let default = if contract.default_prompt.as_ref() == Some(name) { " (default)" } else { "" };
        lines.push(("prompt", format!("{name}{default} = {text:?}")));
    }
    let lines = lines.iter().map(|(name, value)| format!("{name:<14} {value}"));
    let others = others.iter().map(|Difference { reader, difference }| format!("  {reader}: {difference}"));
    let heading = [String::new(), "With this folder, other readers".to_owned()];
    terminal.print(lines.chain(heading).chain(others).collect::<Vec<_>>().join("\n"))
}

fn normalisation(contract: &Contract) -> &'static str {
    if contract.normalizes() { "vectors have length 1 (modules.json)" } else { "none" }
}

fn dense(contract: &Contract) -> String {
    let layer = |spec: &DenseSpec| {
        format!("{} to {}, {}", spec.in_features, spec.out_features, activation_label(spec.activation))
    };
    let layers: Vec<_> = contract.dense().map(layer).collect();
    if layers.is_empty() { "none".to_owned() } else { layers.join("; ") }
}

fn weights(stored: &Stored) -> String {
    let Stored { format, precision, bytes, .. } = stored;
    format!("{format}, {}, {:.1} MB on disk", precision.name(), *bytes as f64 / 1e6)
}

fn dimensions(kept: usize, full: usize) -> String {
    if kept == full { full.to_string() } else { format!("{kept} (the first of {full})") }
}

/// Digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|g| str::from_utf8(g).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_readable() {
        assert_eq!(grouped(22_713_216), "22,713,216");
        assert_eq!(grouped(999), "999");
    }
}
