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
        front_matter(),
        summary(encoder, facts, precision),
        usage(encoder, facts),
        facts.run.as_ref().map(training).unwrap_or_default(),
        provenance(facts, certificate),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

fn front_matter() -> String {
    "---\n\
     pipeline_tag: sentence-similarity\n\
     library_name: sentence-transformers\n\
     tags:\n- sentence-transformers\n- sentence-similarity\n- feature-extraction\n- temper\n\
     ---\n"
        .to_owned()
}

fn summary(encoder: &Encoder, facts: &CardFacts, precision: Precision) -> String {
    let contract = &encoder.contract;
    let origin = match &facts.run {
        Some(run) => format!("`{}`, fine-tuned", run.base.reference),
        None => format!("`{}`", facts.source),
    };
    format!(
        "# {}\n\nA sentence encoder: texts in, vectors of {} values out. It is {origin}.\n\n\
         | | |\n|---|---|\n\
         | modules | {} |\n| dimensions | {} |\n| longest input | {} tokens |\n| similarity | {} |\n\
         | parameters | {} |\n| weights | {} |\n",
        facts.name,
        contract.dim(),
        contract.summary(),
        contract.dim(),
        contract.max_seq_length,
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
    if contract.prompts.values().any(|prompt| !prompt.is_empty()) {
        text += "\nThe model was trained with prompts, which are put in front of the texts \
                 (`prompt_name=` in sentence-transformers, `--prompt` in temper):\n\n| name | text |\n|---|---|\n";
        for (name, prompt) in &contract.prompts {
            let default = if contract.default_prompt.as_ref() == Some(name) { " (default)" } else { "" };
            let _ = writeln!(text, "| {name}{default} | `{}` |", cell(prompt));
        }
    }
    text
}

fn training(run: &RunFacts) -> String {
    let mut text = "## Training\n\n".to_owned();
    let _ = writeln!(text, "- base: `{}` (fingerprint `{}`)", run.base.reference, run.base.fingerprint);
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
    for (name, after) in &run.after {
        let mark = if run.metric.as_ref() == Some(name) { "**" } else { "" };
        let before = run.before.get(name).map_or("-".to_owned(), |before| format!("{before:.4}"));
        let _ = writeln!(text, "| {mark}{name}{mark} | {before} | {after:.4} |");
    }
    text
}

fn provenance(facts: &CardFacts, certificate: &Certificate) -> String {
    format!(
        "## Provenance\n\n- fingerprint: `{}`\n- derived from: `{}`\n- exported by temper {} and read back: {} texts \
         embedded with both differ by at most {:e} in any value\n",
        certificate.fingerprint,
        facts.derived_from.as_ref().unwrap_or(&certificate.source_fingerprint),
        env!("CARGO_PKG_VERSION"),
        certificate.probes,
        certificate.max_difference,
    )
}

/// Text that cannot break out of its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "\\n").replace('`', "'")
}
