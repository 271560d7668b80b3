//! `temper info`: what a model is.

use serde_json::json;

use crate::model::ModelArgs;
use crate::stored;
use crate::terminal::Terminal;

/// Tell what a model is: modules, dimensions, prompts, size, fingerprint
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
    if args.json {
        return terminal.print_json(&json!({
            "model": opened.reference,
            "folder": opened.folder,
            "summary": contract.summary(),
            "dim": contract.dim(),
            "full_dim": contract.full_dim(),
            "contract": contract,
            "vocab_size": encoder.tokenizer().vocab_size(),
            "parameters": encoder.num_parameters(),
            "weight_bytes": stored.bytes,
            "precision": stored.precision,
            "fingerprint": fingerprint,
            "derived_from": stored.derived_from,
            "warnings": opened.warnings,
        }));
    }
    let mut lines = vec![
        ("model", opened.reference.clone()),
        ("folder", opened.folder.display().to_string()),
        ("modules", contract.summary()),
        ("dimensions", dimensions(contract.dim(), contract.full_dim())),
        ("longest input", format!("{} tokens", contract.max_seq_length)),
        ("similarity", contract.similarity.name().to_owned()),
        ("vocabulary", format!("{} tokens", encoder.tokenizer().vocab_size())),
        ("parameters", grouped(encoder.num_parameters())),
        ("weights", format!("{:.1} MB on disk, {}", stored.bytes as f64 / 1e6, stored.precision.name())),
        ("fingerprint", fingerprint),
    ];
    if let Some(source) = stored.derived_from {
        lines.push(("derived from", source));
    }
    for (name, text) in &contract.prompts {
        let default = if contract.default_prompt.as_ref() == Some(name) { " (default)" } else { "" };
        lines.push(("prompt", format!("{name}{default} = {text:?}")));
    }
    let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name:<14} {value}")).collect();
    terminal.print(lines.join("\n"))
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
