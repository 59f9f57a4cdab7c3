//! What an operator sees: `Snapshot -> {text, json}`.

mod align;
pub mod hint;
mod json;
mod seen;
mod text;

pub use json::{SCHEMA, json};
pub use text::text;
