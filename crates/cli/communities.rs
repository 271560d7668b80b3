//! `temper communities`: groups of texts that say nearly the same.

use serde_json::json;
use temper_vectors::communities;

use crate::documents::{DocumentArgs, tsv};
use crate::terminal::Terminal;

/// Group texts that say nearly the same
///
/// Each group is a text with those that are close to it, by cosine; the text with most such neighbours comes first and
/// takes them, and a text belongs to one group or to none. One line a group, largest first: its size, and the ids and
/// texts of its members, the one in the middle first. With --tsv one line a member: number of the group, id, text.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper communities MODEL tickets.txt --threshold 0.8 --min-size 5 > groups.jsonl
  temper communities MODEL tickets.csv --field subject --tsv | cut -f1 | uniq -c
  temper communities MODEL tickets.txt | jq -r '[.size, .texts[0]] | @tsv'")]
pub struct Args {
    #[command(flatten)]
    documents: DocumentArgs,
    /// How close a text must be to the one in the middle; higher makes more and smaller groups
    #[arg(long, value_name = "SCORE", default_value = "0.75", allow_negative_numbers = true)]
    threshold: f32,
    /// Fewer texts make no group
    #[arg(long, value_name = "N", default_value = "2")]
    min_size: usize,
}

/// Runs the command.
pub fn run(args: Args, terminal: &Terminal) -> anyhow::Result<()> {
    let (documents, vectors) = args.documents.embed(terminal)?;
    let bar = terminal.progress("comparing", Some(documents.len()));
    let found = communities(&vectors, args.threshold, args.min_size, &mut |done| bar.inc(done as u64));
    bar.finish_and_clear();
    for (number, community) in (1..).zip(&found) {
        let members = || community.iter().map(|row| &documents[*row]);
        if args.documents.tsv {
            let line = |number: &str, id: &str, text: &str| terminal.print(tsv(&[number, id, text]));
            let number = format!("{number}");
            members().try_for_each(|member| line(&number, &member.id, &member.text))?;
        } else {
            let ids: Vec<&str> = members().map(|member| member.id.as_str()).collect();
            let texts: Vec<&str> = members().map(|member| member.text.as_str()).collect();
            terminal.print_json(&json!({"size": community.len(), "ids": ids, "texts": texts}))?;
        }
    }
    let grouped: usize = found.iter().map(Vec::len).sum();
    terminal.note(format!("{} groups with {grouped} of {} texts", found.len(), documents.len()));
    Ok(())
}
