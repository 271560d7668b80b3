//! `temper data split`: one data set becomes parts that share no anchor or positive.

use std::path::PathBuf;

use anyhow::Context as _;
use temper_data::split::parts;

use super::write;
use crate::failure::BadInput;
use crate::input::InputArgs;
use crate::terminal::Terminal;

/// Divide data into train, dev and test parts that share no anchor or positive
///
/// Examples that share one, directly or through others, stay together, so that nothing that is judged on was learned.
/// Negatives may occur in several parts.
/// Every class is divided by itself, and scored pairs so that every part has about the same scores.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data split faq.csv -o parts/
  temper data split pairs.jsonl more.jsonl -o parts/ --dev 0.05 --test 0.1 --seed 7")]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Folder for train.jsonl, dev.jsonl and test.jsonl; files that are there already are not replaced
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Share of the examples in dev.jsonl
    #[arg(long, value_name = "SHARE", default_value = "0.1")]
    dev: f64,
    /// Share of the examples in test.jsonl; no such file when 0
    #[arg(long, value_name = "SHARE", default_value = "0")]
    test: f64,
    /// Seed of the division
    #[arg(long, value_name = "N", default_value = "42")]
    seed: u64,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let fine = |share: f64| (0.0..1.0).contains(&share);
    if !(fine(args.dev) && fine(args.test) && args.dev + args.test < 1.0 && args.dev + args.test > 0.0) {
        let problem = format!("--dev {} and --test {} leave no parts", args.dev, args.test);
        return Err(BadInput::new(problem).hint("shares lie between 0 and 1, and together below 1").into());
    }
    let dataset = args.input.read(terminal)?;
    let divided = parts(&dataset, args.seed, &[args.dev, args.test]);
    let named: Vec<_> = ["dev", "test", "train"]
        .into_iter()
        .zip(&divided)
        .filter(|(name, part)| *name == "train" || !part.is_empty())
        .map(|(name, part)| (name, args.output.join(format!("{name}.jsonl")), part))
        .collect();
    if let Some((_, path, _)) = named.iter().find(|(_, path, _)| path.exists()) {
        let problem = format!("`{}` is there already", path.display());
        return Err(BadInput::new(problem).hint("name another folder with -o, or move the file away").into());
    }
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("failed to make the folder `{}`", args.output.display()))?;
    let mut told = Vec::new();
    for (name, path, part) in &named {
        write(&dataset, part, path)?;
        let share = 100.0 * part.len() as f64 / dataset.len().max(1) as f64;
        told.push(format!("{name:<6} {:>8}  {share:>5.1} %  {}", part.len(), path.display()));
    }
    terminal.print(told.join("\n"))?;
    let short = [("dev", args.dev, &divided[0]), ("test", args.test, &divided[1])];
    for (name, share, part) in short {
        if (part.len() as f64) < 0.8 * share * dataset.len() as f64 {
            terminal.warn(format!(
                "{name} has fewer examples than asked for: too many share texts with others and must stay together"
            ));
        }
    }
    Ok(())
}
