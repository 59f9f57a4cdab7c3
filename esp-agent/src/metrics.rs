//! What Prometheus sees: `Snapshot -> series -> text -> HTTP`.
//!
//! Counters are read at scrape time and never added up here, so that they go on across restarts of the agent.

mod cpus;
pub mod names;
pub mod render;
mod sequences;
pub mod serve;
mod text;
pub mod verdicts;

pub use names::markdown;
pub use render::{SPI_SERIES, render};
pub use serve::{Limits, ServeError, Source, serve};
pub use verdicts::verdict_markdown;
