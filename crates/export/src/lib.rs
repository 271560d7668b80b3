//! An encoder leaves temper: a model folder for others, its card, and the certificate that it still computes the same.

mod card;
mod certificate;
mod error;
mod folder;
mod origin;
mod readers;
mod run_facts;

pub use card::{CardFacts, card};
pub use certificate::{Certificate, certify};
pub use error::Error;
pub use folder::export;
pub use origin::{Origin, read_origin};
pub use readers::{Difference, differences};
pub use run_facts::RunFacts;
