//! Many texts of a file and their vectors, for commands that compare all of them with each other.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use temper_data::{CorpusColumns, Document, TextFormat, Texts, read_corpus};
use temper_vectors::Embeddings;

use crate::failure::BadInput;
use crate::interrupt::Interrupt;
use crate::model::{ModelArgs, PrecisionArgs};
use crate::prompt::PromptArgs;
use crate::terminal::Terminal;
use crate::vectors::VectorArgs;

/// Which texts, and how to embed them.
#[derive(clap::Args)]
pub struct DocumentArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// The texts: lines, JSONL, CSV, TSV or Parquet, by the extension, or a folder with corpus.jsonl; `-` is lines on stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The field or column of FILE that holds the texts
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// The one that identifies a text; without it `_id` or `id`, else the line
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    vectors: VectorArgs,
    /// Print columns separated by tabs in place of JSON; tabs and line ends in texts become spaces
    #[arg(long)]
    pub tsv: bool,
}

impl DocumentArgs {
    /// The texts that are not empty, and their vectors. From here on Ctrl-C ends the program at once.
    pub fn embed(&self, terminal: &Terminal) -> anyhow::Result<(Vec<Document>, Embeddings)> {
        let mut documents = self.read()?;
        let before = documents.len();
        documents.retain(|document| !document.text.trim().is_empty());
        if documents.len() < before {
            terminal.warn(format!("empty texts left out: {}", before - documents.len()));
        }
        if documents.len() < 2 {
            let problem =
                format!("`{}` holds {} texts, and two are needed", self.file.display(), documents.len());
            return Err(BadInput::new(problem).into());
        }
        let opened = self.precision.prepare(self.model.open(terminal)?)?;
        let prompt = self.prompt.text(&opened.encoder.contract)?;
        let interrupt = Interrupt::listen()?;
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let vectors = self.vectors.of(&texts, &opened, prompt, &interrupt, terminal)?;
        interrupt.no_longer_wait();
        Ok((documents, vectors))
    }

    fn read(&self) -> anyhow::Result<Vec<Document>> {
        if self.file != Path::new("-") {
            let columns = CorpusColumns { field: self.field.as_deref(), id: self.id_field.as_deref() };
            return Ok(read_corpus(&self.file, columns)?);
        }
        let stdin = BufReader::new(std::io::stdin());
        let texts = Texts::from_reader(stdin, Path::new("stdin"), TextFormat::Lines, None)?;
        (1..).zip(texts).map(|(line, text)| Ok(Document { id: format!("{line}"), text: text? })).collect()
    }
}

/// Values of a row with tabs between them.
pub fn tsv(values: &[&str]) -> String {
    values.iter().map(|value| value.replace(['\t', '\n', '\r'], " ")).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_one_line_of_its_columns() {
        assert_eq!(tsv(&["0.5", "a\tb", "c\r\nd"]), "0.5\ta b\tc  d");
    }
}
