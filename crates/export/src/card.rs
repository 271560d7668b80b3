//! The model card: `README.md` with the front matter that model hubs read.

use std::fmt::Write as _;

use temper_encoder::{Encoder, Precision};

use crate::certificate::Certificate;
use crate::run_facts::RunFacts;

/// What the card tells that the encoder does not know about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct CardFacts {
    /// The title.
    pub name: String,
    /// The model as the user named it.
    pub source: String,
    /// Fingerprint of the model that the source itself was converted from, when it is an export.
    pub derived_from: Option<String>,
    /// Its training, when it is a checkpoint of a run.
    pub run: Option<RunFacts>,
}

/// The text of the card.
pub fn card(encoder: &Encoder, facts: &CardFacts, precision: Precision, certificate: &Certificate) -> String {
    let sections = [
        front_matter(facts),
        summary(encoder, facts, precision),
        usage(encoder, facts),
        facts.run.as_ref().map(training).unwrap_or_default(),
        provenance(facts, certificate),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn front_matter(facts: &CardFacts) -> String {
    let base = facts.run.as_ref().map(|run| &run.base).filter(|base| base.revision.is_some());
    let base = base.map(|base| format!("base_model: {}\n", base.reference)).unwrap_or_default();
    format!(
        "---\n\
     pipeline_tag: sentence-similarity\n\
     library_name: sentence-transformers\n\
     tags:\n- sentence-transformers\n- sentence-similarity\n- feature-extraction\n- temper\n{base}\
     ---\n"
    )
}

fn summary(encoder: &Encoder, facts: &CardFacts, precision: Precision) -> String {
    let contract = &encoder.contract;
    let origin = match &facts.run {
        Some(run) => format!("`{}`, fine-tuned", run.base.reference),
        None => format!("`{}`", facts.source),
    };
    format!(
        "# {}\n\nA sentence encoder: texts in, vectors of {} values out. Made from {origin}.\n\n\
         | | |\n|---|---|\n\
         | modules | {} |\n| dimensions | {} |\n| longest input | {} |\n| similarity | {} |\n\
         | parameters | {} |\n| weights | {} |\n",
        facts.name,
        contract.dim(),
        contract.summary(),
        contract.dim(),
        contract.longest_input(),
        contract.similarity.name(),
        encoder.num_parameters(),
        precision.torch_name(),
    )
}

fn usage(encoder: &Encoder, facts: &CardFacts) -> String {
    let mut text = format!(
        "## Usage\n\n```python\nfrom sentence_transformers import SentenceTransformer\n\n\
         model = SentenceTransformer(\"{0}\")\nvectors = model.encode([\"a text\", \"another text\"])\n\
         print(model.similarity(vectors, vectors))\n```\n\n\
         ```sh\ntemper similarity {0} \"a text\" \"another text\"\ntemper embed {0} texts.txt -o texts.npy\n```\n",
        facts.name
    );
    let contract = &encoder.contract;
    let prompts: Vec<_> = contract.prompts.iter().filter(|(_, prompt)| !prompt.is_empty()).collect();
    if !prompts.is_empty() {
        text += "\nThe model was trained with prompts, which are put in front of the texts \
                 (`prompt_name=` in sentence-transformers, `--prompt` in temper):\n\n| name | text |\n|---|---|\n";
        for (name, prompt) in prompts {
            let default = if contract.default_prompt.as_ref() == Some(name) { " (default)" } else { "" };
            let _ = writeln!(text, "| {name}{default} | `{}` |", cell(prompt));
        }
    }
    text
}

fn training(run: &RunFacts) -> String {
    let mut text = "## Training\n\n".to_owned();
    let commit = run.base.revision.as_ref().map(|commit| format!("commit `{commit}`, ")).unwrap_or_default();
    let _ =
        writeln!(text, "- base: `{}` ({commit}fingerprint `{}`)", run.base.reference, run.base.fingerprint);
    if let Some(loss) = run.loss() {
        let _ = writeln!(text, "- loss: `{loss}`");
    }
    let total = run.total_steps.map(|total| format!(" of {total}")).unwrap_or_default();
    let _ = writeln!(text, "- run: `{}`, step {}{total}, seed {}", run.run, run.step, run.seed);
    text += "\n| data | file | bytes | blake3 |\n|---|---|---|---|\n";
    for file in &run.data {
        let _ =
            writeln!(text, "| {} | `{}` | {} | `{}` |", file.role, cell(&file.path), file.size, file.blake3);
    }
    text += &scores(run);
    let _ = write!(
        text,
        "\n<details><summary>The whole config</summary>\n\n```toml\n{}\n```\n\n</details>\n",
        run.config.trim_end()
    );
    text
}

fn scores(run: &RunFacts) -> String {
    if run.after.is_empty() {
        return String::new();
    }
    let mut text = "\n| score | before | after |\n|---|---|---|\n".to_owned();
    let mut after: Vec<(&String, &f64)> = run.after.iter().collect();
    after.sort_by_key(|(name, _)| natural(name));
    for (name, after) in after {
        let mark = if run.metric.as_deref() == Some(name.as_str()) { "**" } else { "" };
        let before = run.before.get(name).map_or("-".to_owned(), |before| format!("{before:.4}"));
        let _ = writeln!(text, "| {mark}{name}{mark} | {before} | {after:.4} |");
    }
    text
}

fn provenance(facts: &CardFacts, certificate: &Certificate) -> String {
    format!(
        "## Provenance\n\n- fingerprint: `{}`\n- derived from: `{}`\n- exported by temper {} and read back: {} texts \
         embedded with both differ by at most {} in any value\n",
        certificate.fingerprint,
        facts.derived_from.as_ref().unwrap_or(&certificate.source_fingerprint),
        env!("CARGO_PKG_VERSION"),
        certificate.probes,
        certificate.max_difference,
    )
}

/// A key that sorts `@10` behind `@5`.
fn natural(score: &str) -> (&str, usize) {
    let (name, cutoff) = score.split_once('@').unwrap_or((score, ""));
    (name, cutoff.parse().unwrap_or(0))
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "\\n").replace('`', "'")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use burn::tensor::Device;
    use temper_runs::{Base, DataFile};

    use super::*;

    fn encoder() -> Encoder {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/golden/models/bert-mean-norm");
        let options = temper_encoder::ReadOptions::default();
        temper_encoder::read(&folder, &options, &Device::flex()).unwrap().encoder
    }

    fn of_run() -> CardFacts {
        let run = RunFacts {
            run: "shop-20260304".into(),
            step: 40,
            total_steps: Some(60),
            seed: 42,
            base: Base {
                reference: "org/base".into(),
                revision: Some("c0de".into()),
                fingerprint: "f00".into(),
            },
            data: vec![DataFile {
                role: "train".into(),
                path: "pairs.jsonl".into(),
                size: 12,
                blake3: "b3".into(),
            }],
            config: "[loss]\nname = \"cosent\"\n".into(),
            metric: Some("cosine_ndcg@10".into()),
            before: BTreeMap::from([("cosine_ndcg@10".to_owned(), 0.5)]),
            after: BTreeMap::from([("cosine_ndcg@10".to_owned(), 0.75)]),
        };
        CardFacts { name: "shop".into(), source: "runs/shop".into(), derived_from: None, run: Some(run) }
    }

    #[test]
    fn a_run_is_told_with_base_data_loss_config_and_scores() {
        let mut encoder = encoder();
        encoder.contract.prompts.insert("query".into(), "query: ".into());
        encoder.contract.default_prompt = Some("query".into());
        let certificate = Certificate {
            source_fingerprint: "abc".into(),
            fingerprint: "def".into(),
            probes: 14,
            max_difference: 0.0,
            min_cosine: 1.0,
        };
        let text = card(&encoder, &of_run(), Precision::F16, &certificate);
        for part in [
            "---\npipeline_tag: sentence-similarity\nlibrary_name: sentence-transformers\n",
            "# shop\n",
            "- temper\nbase_model: org/base\n---\n",
            "`org/base`, fine-tuned",
            "(commit `c0de`, fingerprint `f00`)",
            "| query (default) | `query: ` |",
            "- loss: `cosent`",
            "step 40 of 60, seed 42",
            "| train | `pairs.jsonl` | 12 | `b3` |",
            "| **cosine_ndcg@10** | 0.5000 | 0.7500 |",
            "```toml\n[loss]\nname = \"cosent\"\n```",
            "- fingerprint: `def`\n- derived from: `abc`\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_plain_model_has_no_training_section() {
        let certificate = Certificate {
            source_fingerprint: "abc".into(),
            fingerprint: "abc".into(),
            probes: 7,
            max_difference: 0.0,
            min_cosine: 1.0,
        };
        let facts = CardFacts { run: None, derived_from: Some("root".into()), ..of_run() };
        let text = card(&encoder(), &facts, Precision::F32, &certificate);
        assert!(!text.contains("## Training") && text.contains("- derived from: `root`"), "{text}");
        assert!(!text.contains("trained with prompts"), "empty prompts are none:\n{text}");
    }
}
