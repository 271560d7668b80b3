//! Why scores could not be computed.

/// Input that no score can be computed from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to average over.
    #[error("there is nothing to score: {what}")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// Columns of different length.
    #[error("{found} {what} for {expected} examples: every example needs exactly one")]
    Count {
        /// The column.
        what: &'static str,
        /// Number of examples.
        expected: usize,
        /// Number of entries.
        found: usize,
    },
    /// Vectors of different length.
    #[error("{what} have {found} values each, expected {expected}: embed both sides with one model")]
    Dim {
        /// The side.
        what: &'static str,
        /// Length of the other side's vectors.
        expected: usize,
        /// Length of these.
        found: usize,
    },
    /// A vector with NaN or infinity.
    #[error("the vector of row {row} of the {what} holds NaN or infinity: check the model's weights")]
    NotFinite {
        /// The side.
        what: &'static str,
        /// Counted from 0.
        row: usize,
    },
    /// A gold score that is no number.
    #[error("the label of row {row} is {label}, expected a number")]
    Label {
        /// Counted from 0.
        row: usize,
        /// The label.
        label: f64,
    },
    /// A relevant document that is not in the corpus.
    #[error("query {query} names document {document} as relevant, and the corpus has {corpus} documents")]
    NoSuchDocument {
        /// Row of the query.
        query: usize,
        /// The row it names.
        document: usize,
        /// Size of the corpus.
        corpus: usize,
    },
    /// Examples of a kind that nothing is judged by.
    #[error(
        "`{}` holds {kind}, which are learned from and not judged by: name a file of pairs, of scored pairs or of labelled \
         texts", path.display()
    )]
    NotJudged {
        /// The file.
        path: std::path::PathBuf,
        /// What it holds.
        kind: &'static str,
    },
    /// Examples that no classifier is fitted on.
    #[error("`{}` holds {kind}; classifiers are fitted on labelled texts alone", path.display())]
    NotFitted {
        /// The file.
        path: std::path::PathBuf,
        /// What it holds.
        kind: &'static str,
    },
    /// The labelled examples could not be read.
    #[error(transparent)]
    Data(#[from] temper_data::Error),
    /// The texts could not be embedded.
    #[error(transparent)]
    Encoder(#[from] temper_encoder::Error),
    /// Vectors that do not fit together.
    #[error(transparent)]
    Vectors(#[from] temper_vectors::Error),
}
