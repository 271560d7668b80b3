//! Models on a hub: pulled into the cache that other tools share, and pushed in one commit.
//!
//! hf-hub names the repositories, their URLs and the places in the cache, and asks what a repository holds. What it
//! lacks is here, on the same HTTP client: downloads that are resumed and verified, back-off, errors that tell the
//! remedy, and uploads. Nothing of it runs for a model that lies in a folder or wholly in the cache.

mod cache;
mod client;
mod download;
mod error;
mod id;
mod listing;
mod pull;
mod push;
mod settings;
mod wanted;

pub use error::Error;
pub use id::HubId;
pub use pull::{Pulled, find, pull};
pub use push::{Pushed, check_access, push};
pub use settings::{Settings, Token};

/// What happens meanwhile, for whoever shows it.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// So many bytes of the model are here, or there.
    Moved {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Why nothing moves for a while, or what is done instead.
    Note(&'a str),
}

/// Hears what happens.
pub type Listener<'a> = &'a dyn Fn(Event<'_>);
