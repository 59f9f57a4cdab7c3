//! Why sequence numbers cannot be kept.

use super::ledger::SCHEMA;
use crate::plan::text::SaName;
use crate::xfrm::model::SaId;
use std::io;
use std::path::PathBuf;

/// The file of sequence numbers cannot be used, or has none left.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It could not be read.
    #[error("failed to read the sequence numbers in {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "failed to understand the sequence numbers in {}: {source}: give the tunnels new keys, then move it away",
        path.display()
    )]
    Damaged {
        /// File.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// It is of a newer agent.
    #[error("the sequence numbers in {} have schema {found}, this agent knows {SCHEMA}: run the agent that wrote it, or give the tunnels new keys and move it away", path.display())]
    Schema {
        /// File.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// It could not be written.
    #[error("failed to write the sequence numbers in {}: {source}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A counter mode without a reservation.
    #[error(
        "sa {} is not made: {cause}; without a reservation a restart could repeat a nonce of its counter mode under the \
         same key (RFC 8221 section 4.1): make that place writable, choose another with --durable-dir, or use cbc(aes) \
         with hmac",
        SaName(sa)
    )]
    Nonce {
        /// Identity.
        sa: SaId,
        /// Why there is none.
        cause: Box<LedgerError>,
    },
    /// All numbers of 32 bits are used or reserved.
    #[error(
        "sa {} is not made: its keys have used {used} of the {limit} sequence numbers: give it new keys (`esp-agent rotate`)",
        SaName(sa)
    )]
    Exhausted {
        /// Identity.
        sa: SaId,
        /// Used or reserved.
        used: u64,
        /// All.
        limit: u64,
    },
}
