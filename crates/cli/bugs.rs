//! A panic is a bug of temper, never the user's fault, and says so.

use crate::log::Level;
use crate::terminal::insist;

/// Replaces the message of a panic by one that people can act on.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        temper_tui::restore();
        let message = info.payload_as_str().unwrap_or("panicked");
        let message = message.strip_prefix("this is a bug: ").unwrap_or(message);
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        insist(
            Level::Error,
            format!(
                "error: this is a bug: {message}{place}\nhint: please report it with the command line and these two lines"
            ),
        );
    }));
}
