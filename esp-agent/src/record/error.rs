//! Why a record cannot be used.

use super::SCHEMA;
use std::io;
use std::path::PathBuf;

/// The record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The boot or the namespace could not be told.
    #[error("failed to read the boot id: {0}")]
    Scope(#[source] io::Error),
    /// The file could not be read.
    #[error("failed to read the ownership record {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file could not be written.
    #[error(
        "failed to write the ownership record {}, without which nothing is changed: {source}: \
         free space there or make the directory writable",
        path.display()
    )]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file is not a record.
    #[error(
        "failed to understand the ownership record {}: {source}: move it away, and what it names is \
         no longer this agent's",
        path.display()
    )]
    Damaged {
        /// File.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// The file is of another version of the agent.
    #[error("ownership record {} has schema {found}, this agent knows {SCHEMA}: run `detach` with the agent that wrote it", path.display())]
    Schema {
        /// File.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
}
