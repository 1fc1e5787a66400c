//! The first line of an adapter.

use crate::kit::json::Answer;

/// The version of the page specs/peer-protocol.md.
pub const VERSION: u64 = 2;

/// Write what every hello says.
pub fn begin_hello(name: &str, profile: &str, answer: &mut Answer) {
    answer.number("vmgexit", VERSION);
    answer.text("name", name);
    answer.text("profile", profile);
}
