//! `temper paraphrases`: the closest pairs among many texts.

use serde_json::json;
use temper_vectors::{Pair, PairLimits, Similarity, closest_pairs};

use crate::documents::{DocumentArgs, tsv};
use crate::terminal::Terminal;

/// Find texts that say nearly the same: the closest pairs of a file
///
/// Every text is compared with every other one, by cosine. One line a pair, closest first, ready for `jq`, `sort` or
/// `head`. Memory grows with --max-pairs and with the vectors, not with the number of comparisons, which take time:
/// twice as many texts take four times as long.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper paraphrases MODEL questions.txt --min-score 0.85 > pairs.jsonl
  temper paraphrases MODEL faq.jsonl --field question --id-field url --tsv | head -20
  sort -u log.txt | temper paraphrases MODEL - --top-k 3")]
pub struct Args {
    #[command(flatten)]
    documents: DocumentArgs,
    /// Look at the pairs of a text with so many of its closest texts
    #[arg(short = 'k', long, value_name = "K", default_value = "100")]
    top_k: usize,
    /// Keep so many pairs, the closest ones
    #[arg(long, value_name = "N", default_value = "500000")]
    max_pairs: usize,
    /// Keep pairs that score at least this
    #[arg(long, value_name = "SCORE", default_value = "-1", allow_negative_numbers = true)]
    min_score: f32,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let (documents, vectors) = args.documents.embed(terminal)?;
    let limits = PairLimits { top_k: args.top_k, max_pairs: args.max_pairs, min_score: args.min_score };
    let bar = terminal.progress("comparing", Some(documents.len()));
    let rows = Similarity::Cosine.prepare(&vectors);
    let pairs = closest_pairs(&rows, limits, &mut |done| bar.inc(done as u64));
    bar.finish_and_clear();
    for &Pair { score, first, second } in &pairs {
        let (a, b) = (&documents[first], &documents[second]);
        if args.documents.tsv {
            terminal.print(tsv(&[&format!("{score:.6}"), &a.id, &b.id, &a.text, &b.text]))?;
        } else {
            let line = json!({"score": score, "id1": a.id, "id2": b.id, "text1": a.text, "text2": b.text});
            terminal.print_json(&line)?;
        }
    }
    terminal.note(format!("{} pairs among {} texts", pairs.len(), documents.len()));
    Ok(())
}
