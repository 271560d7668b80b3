//! A run's events as a dashboard in the terminal. Uses `runs` alone, so that a live, a finished and a copied run are
//! seen alike; training hands over its events and is asked for things through `Request`.

pub mod board;
mod chart;
mod dashboard;
mod error;
mod frame;
mod help;
mod live;
mod log;
mod numbers;
mod overview;
mod palette;
mod queries;
mod scores;
mod screen;
mod similarity;
mod source;
pub mod view;
mod watch;
mod wording;

pub use board::Board;
pub use dashboard::{Left, Request};
pub use error::Error;
pub use frame::{Scene, Status, draw};
pub use live::Live;
pub use palette::Palette;
pub use screen::restore;
pub use view::View;
pub use watch::watch;
