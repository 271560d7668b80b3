//! `temper data doctor`: what is wrong with data, example by example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use temper_data::doctor::{Check, Finding, diagnose, place};
use temper_data::mining::{Candidate, Pool};
use temper_data::{Dataset, Kind};
use temper_runs::write_atomic;

use super::write;
use crate::failure::{BadInput, Quit};
use crate::input::InputArgs;
use crate::interrupt::Interrupt;
use crate::model::{Opened, ReadingArgs};
use crate::prompt::SidePromptArgs;
use crate::scorer::Scorer;
use crate::table::{shorten, table};
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;

/// Letters of a text that is shown.
const SHOWN: usize = 60;
/// Closest texts that a model is asked for.
const LOOKED_AT: usize = 100;
/// Anchors that are answered together, between two looks for Ctrl-C.
const TOGETHER: usize = 256;

/// Tell what is wrong with training data: duplicates, leaks, contradictions, outliers, wrong pairs, false negatives
///
/// Texts alone show duplicates, near duplicates, texts of the evaluation data, contradictions and outliers. With --model
/// that encoder, the base of a training say, also tells pairs that are probably wrong and other examples' texts that would
/// be pushed away as negatives although they fit. Every finding names its file and line. With --limits the command ends
/// with code 1 where there is more than a share, so that it can stand in front of a training.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  temper data doctor train.jsonl --eval dev.jsonl
  temper data doctor train.jsonl --model MODEL --cleaned clean.jsonl --exclusions wrong.jsonl
  temper data doctor train.jsonl --limits limits.toml --json > findings.json

A file of limits has a share for each check: `leak = 0.0`, `duplicate = 0.01`.")]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Evaluation data, of which nothing should be learned
    #[arg(long, value_name = "FILE")]
    eval: Vec<PathBuf>,
    /// Look at the pairs with this model too
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A text that scores above the positive less this could be a false negative
    #[arg(long, value_name = "SCORE", default_value = "0", requires = "model")]
    margin: f32,
    /// A positive is weak when so many texts are closer, at most 100
    #[arg(long, value_name = "N", default_value = "50", requires = "model")]
    rank: usize,
    /// Examples of a training batch, for which the rate of false negatives is told
    #[arg(long, value_name = "N", default_value = "32")]
    batch_size: usize,
    /// Findings of a check that are shown; --json holds all
    #[arg(long, value_name = "N", default_value = "3")]
    show: usize,
    /// End with code 1 where a check finds a larger share of the examples than this TOML file says
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Write the examples that are better left in: without duplicates, leaks, contradictions and wrong pairs
    #[arg(long, value_name = "FILE")]
    cleaned: Option<PathBuf>,
    /// Write the pairs that are better left out, for data.exclude of a config (not duplicates, whose every copy that would
    /// exclude)
    #[arg(long, value_name = "FILE")]
    exclusions: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    prompts: SidePromptArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    vectors: VectorArgs,
}

/// What is known after looking.
struct Diagnosis {
    dataset: Dataset,
    findings: Vec<Finding>,
    /// Share of the anchors that meet a false negative in a batch, where a model looked.
    in_batch: Option<f64>,
}

/// Runs the command.
pub fn run(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let limits = args.limits()?;
    if !(1..=LOOKED_AT).contains(&args.rank) {
        return Err(BadInput::new(format!("--rank is {}, expected 1 to {LOOKED_AT}", args.rank)).into());
    }
    let dataset = args.input.read(terminal)?;
    let evaluation =
        if args.eval.is_empty() { None } else { Some(args.input.read_others(&args.eval, terminal)?) };
    let findings = diagnose(&dataset, evaluation.as_ref());
    let mut diagnosis = Diagnosis { dataset, findings, in_batch: None };
    if let Some(model) = &args.model {
        diagnosis.look_with(args, model, terminal)?;
    }
    if let Some(path) = &args.cleaned {
        write(&diagnosis.dataset, &diagnosis.kept(), path)?;
    }
    if let Some(path) = &args.exclusions {
        write_atomic(path, diagnosis.exclusions().as_bytes())?;
    }
    if args.json {
        terminal.print_json(&diagnosis.json())?;
    } else {
        terminal.print(diagnosis.text(args.show, args.batch_size))?;
    }
    let broken: Vec<String> = limits
        .iter()
        .filter(|(check, limit)| diagnosis.share(**check) > **limit)
        .map(|(check, limit)| {
            format!("{}: {:.4} of the examples, at most {limit}", check.name(), diagnosis.share(*check))
        })
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    terminal.warn(format!("above the limits: {}", broken.join("; ")));
    Err(Quit(1).into())
}

impl Args {
    /// The largest share of each check that is named.
    fn limits(&self) -> anyhow::Result<BTreeMap<Check, f64>> {
        let Some(path) = &self.limits else { return Ok(BTreeMap::new()) };
        let named = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadInput::new(format!("failed to read the limits `{named}`: {error}")))?;
        let shares: BTreeMap<String, f64> = toml_edit::de::from_str(&text).map_err(|error| {
            BadInput::new(format!("`{named}`: {}", error.message())).hint("a line has `leak = 0.01`")
        })?;
        let known = || Check::ALL.map(Check::name).join(", ");
        let check =
            |(name, share): (String, f64)| match Check::ALL.into_iter().find(|check| check.name() == name) {
                Some(check) if (0.0..=1.0).contains(&share) => Ok((check, share)),
                Some(_) => {
                    Err(BadInput::new(format!("`{named}`: {name} is {share}, expected a share from 0 to 1")))
                }
                None => Err(BadInput::new(format!("`{named}`: there is no check `{name}`"))
                    .hint(format!("there are {}", known()))),
            };
        Ok(shares.into_iter().map(check).collect::<Result<_, _>>()?)
    }
}

impl Diagnosis {
    /// Adds what a model shows.
    fn look_with(&mut self, args: &Args, model: &str, terminal: &Terminal) -> anyhow::Result<()> {
        let opened = args.reading.open(model, terminal)?;
        self.truncated(&opened)?;
        if self.dataset.kind != Kind::Scored {
            let interrupt = Interrupt::listen()?;
            let pool = Pool::new(&self.dataset, []);
            let scorer = Scorer::embed(&pool, &opened, &args.prompts, &args.vectors, &interrupt, terminal)?;
            self.suspects(args, &pool, &scorer, &interrupt, terminal)?;
            interrupt.no_longer_wait();
        }
        self.findings.sort_by_key(|finding| (finding.check, finding.example));
        Ok(())
    }

    fn truncated(&mut self, opened: &Opened) -> anyhow::Result<()> {
        let longest = opened.encoder.contract.max_seq_length;
        for (column, role) in self.dataset.kind.roles().iter().enumerate() {
            let texts: Vec<&str> =
                self.dataset.examples.iter().map(|example| example.texts[column].as_str()).collect();
            let lengths = opened.encoder.tokenizer().lengths(&texts, None)?;
            let long = lengths.into_iter().enumerate().filter(|(_, length)| *length > longest);
            self.findings.extend(long.map(|(example, length)| Finding {
                check: Check::Truncated,
                example,
                why: format!("its {role} has {length} tokens, the model takes {longest}"),
            }));
        }
        Ok(())
    }

    /// Weak positives, and texts of other examples that are closer than the positive.
    fn suspects(
        &mut self,
        args: &Args,
        pool: &Pool,
        scorer: &Scorer,
        interrupt: &Interrupt,
        terminal: &Terminal,
    ) -> anyhow::Result<()> {
        let examples = Examples::of(&self.dataset);
        let bar = terminal.progress("looking", Some(pool.anchors.len()));
        // Per example, so that an anchor with many positives counts as often as it is met.
        let (mut met, mut anchors_met) = (0.0, 0);
        for first in (0..pool.anchors.len()).step_by(TOGETHER) {
            interrupt.check()?;
            let anchors = first..(first + TOGETHER).min(pool.anchors.len());
            let scored = scorer.score(pool, anchors.clone(), LOOKED_AT + pool.most_own());
            for (anchor, (positives, closest)) in anchors.clone().zip(scored) {
                let own = pool.own(anchor);
                let others: Vec<Candidate> =
                    closest.into_iter().filter(|candidate| !own.contains(&candidate.text)).collect();
                for positive in &positives {
                    let example = examples.of_pair(&pool.anchors[anchor], &pool.texts[positive.text]);
                    let closer = others.iter().filter(|other| other.score > positive.score).count();
                    let false_negatives =
                        others.iter().filter(|other| other.score > positive.score - args.margin).count();
                    met += in_batch(false_negatives, self.dataset.len(), args.batch_size);
                    anchors_met += 1;
                    let nearest = others.first().map_or(String::new(), |other| {
                        format!("{:.3} for {:?}", other.score, shorten(&pool.texts[other.text], SHOWN))
                    });
                    let mut add = |check, why| self.findings.push(Finding { check, example, why });
                    if closer >= args.rank {
                        add(
                            Check::WeakPositive,
                            format!(
                                "{} texts or more are closer; it has {:.3}, {nearest}",
                                args.rank, positive.score
                            ),
                        );
                    } else if false_negatives > 0 {
                        add(
                            Check::FalseNegative,
                            format!(
                                "{false_negatives} texts are closer; it has {:.3}, {nearest}",
                                positive.score
                            ),
                        );
                    }
                }
            }
            bar.inc(anchors.len() as u64);
        }
        bar.finish_and_clear();
        self.in_batch = Some(met / f64::from(anchors_met.max(1)));
        Ok(())
    }

    /// Examples with a finding of this check, each once.
    fn examples(&self, check: Check) -> BTreeSet<usize> {
        self.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.example).collect()
    }

    fn share(&self, check: Check) -> f64 {
        self.examples(check).len() as f64 / self.dataset.len().max(1) as f64
    }

    /// The examples with nothing that is better left out.
    fn kept(&self) -> Vec<usize> {
        let bad: BTreeSet<usize> = self
            .findings
            .iter()
            .filter(|finding| finding.check.is_better_left_out())
            .map(|finding| finding.example)
            .collect();
        (0..self.dataset.len()).filter(|index| !bad.contains(index)).collect()
    }

    fn exclusions(&self) -> String {
        let wrong =
            |finding: &&Finding| finding.check.is_better_left_out() && finding.check != Check::Duplicate;
        let examples: BTreeSet<usize> =
            self.findings.iter().filter(wrong).map(|finding| finding.example).collect();
        let texts = examples.into_iter().map(|index| &self.dataset.examples[index].texts);
        texts.map(|texts| json!({"query": texts[0], "positive": texts[1]}).to_string() + "\n").collect()
    }

    fn json(&self) -> Value {
        let checks: Vec<Value> = Check::ALL
            .into_iter()
            .map(|check| {
                let (examples, share) = (self.examples(check).len(), self.share(check));
                json!({"check": check, "examples": examples, "share": share, "meaning": check.meaning()})
            })
            .collect();
        let finding = |finding: &Finding| {
            json!({
                "check": finding.check,
                "place": place(&self.dataset, finding.example),
                "why": finding.why,
                "texts": self.dataset.examples[finding.example].texts,
                "label": self.dataset.examples[finding.example].label,
            })
        };
        json!({
            "examples": self.dataset.len(),
            "kind": self.dataset.kind,
            "checks": checks,
            "false_negative_in_batch": self.in_batch,
            "kept": self.kept().len(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }

    fn text(&self, show: usize, batch_size: usize) -> String {
        let mut parts = vec![format!("{} {}", self.dataset.len(), self.dataset.kind.name())];
        let found: Vec<Check> =
            Check::ALL.into_iter().filter(|check| !self.examples(*check).is_empty()).collect();
        if found.is_empty() {
            parts.push("nothing was found".to_owned());
            return parts.join("\n");
        }
        let header = ["check", "what it means", "examples", "share"].map(str::to_owned).to_vec();
        let rows = found.iter().map(|check| {
            let share = format!("{:.2} %", 100.0 * self.share(*check));
            vec![
                check.name().to_owned(),
                check.meaning().to_owned(),
                self.examples(*check).len().to_string(),
                share,
            ]
        });
        parts.push(table(header, rows, 2));
        if let Some(share) = self.in_batch {
            parts.push(format!(
                "in a batch of {batch_size}, {:.2} % of the anchors meet a text that is closer than their positive",
                100.0 * share
            ));
        }
        for check in found {
            let mut findings = self.findings.iter().filter(|finding| finding.check == check);
            let shown = findings.by_ref().take(show).map(|finding| {
                let texts = &self.dataset.examples[finding.example].texts;
                let texts = texts[..2].iter().map(|text| format!("{:?}", shorten(text, SHOWN)));
                format!(
                    "  {}  {}\n    {}",
                    place(&self.dataset, finding.example),
                    finding.why,
                    texts.collect::<Vec<_>>().join("  ")
                )
            });
            let mut lines = vec![check.name().to_owned()];
            lines.extend(shown);
            let more = findings.count();
            if more > 0 {
                lines.push(format!("  and {more} more; --json holds all, --show N shows N"));
            }
            parts.push(lines.join("\n"));
        }
        let kept = self.kept().len();
        parts.push(format!(
            "{kept} examples are left without what is better left out; --cleaned FILE writes them"
        ));
        parts.join("\n")
    }
}

/// The first example of each pair.
struct Examples<'a>(std::collections::HashMap<(&'a str, &'a str), usize>);

impl<'a> Examples<'a> {
    fn of(dataset: &'a Dataset) -> Self {
        let pairs = dataset.examples.iter().enumerate().rev();
        Self(pairs.map(|(index, row)| ((row.texts[0].as_str(), row.texts[1].as_str()), index)).collect())
    }

    fn of_pair(&self, anchor: &str, positive: &str) -> usize {
        self.0[&(anchor, positive)]
    }
}

/// The probability that an anchor with so many false negatives among all examples meets one in a batch.
fn in_batch(false_negatives: usize, examples: usize, batch_size: usize) -> f64 {
    let others = examples.saturating_sub(1).max(1) as f64;
    1.0 - (1.0 - false_negatives as f64 / others).max(0.0).powi(batch_size.saturating_sub(1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_meets_false_negatives_by_its_size() {
        assert_eq!(in_batch(0, 100, 32), 0.0);
        assert_eq!(in_batch(1, 2, 2), 1.0);
        assert!((in_batch(1, 101, 3) - (1.0 - 0.99f64.powi(2))).abs() < 1e-12);
    }
}
