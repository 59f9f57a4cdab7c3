//! Why keys are not rotated.

use esp_common::Spi;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A rotation is refused, or its state cannot be kept. No text holds key material.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The configuration has no such tunnel.
    #[error(
        "there is no tunnel {tunnel:?} in the configuration of the running agent, which has {}",
        list(known)
    )]
    NoTunnel {
        /// As it was asked for.
        tunnel: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The keys are the peer's.
    #[error(
        "the keys are those of the gateway {local}, this one is {ours} in tunnel {tunnel:?}: take the other file of the pair"
    )]
    OtherSide {
        /// Tunnel.
        tunnel: String,
        /// What the keys are for.
        local: IpAddr,
        /// Our outer address.
        ours: IpAddr,
    },
    /// Keys of another suite.
    #[error(
        "the keys of `{key}` have other lengths than {suite} of tunnel {tunnel:?} takes: make them with `pair --rotate` and that --suite"
    )]
    Lengths {
        /// Tunnel.
        tunnel: String,
        /// Direction.
        key: &'static str,
        /// Algorithms of the tunnel.
        suite: String,
    },
    /// An SPI that was used before.
    #[error(
        "SPI {spi} of tunnel {tunnel:?} is in use or was used before: make new keys with `pair --rotate`"
    )]
    Used {
        /// Tunnel.
        tunnel: String,
        /// SPI.
        spi: Spi,
    },
    /// A key that is in use.
    #[error("a key of tunnel {tunnel:?} is in use already: make new keys with `pair --rotate`")]
    SameKey {
        /// Tunnel.
        tunnel: String,
    },
    /// One at a time.
    #[error(
        "a rotation of tunnel {tunnel:?} is under way: `status` shows how far it is, `rotate --cancel` gives it up before its switch"
    )]
    UnderWay {
        /// Tunnel.
        tunnel: String,
    },
    /// Nothing waits for a switch.
    #[error("no rotation of tunnel {tunnel:?} waits for its switch: `status` shows those under way")]
    NotPrepared {
        /// Tunnel.
        tunnel: String,
    },
    /// Nothing waits for its end.
    #[error(
        "no rotation of tunnel {tunnel:?} has switched and waits for its end: `status` shows those under way"
    )]
    NotDraining {
        /// Tunnel.
        tunnel: String,
    },
    /// The file could not be read.
    #[error("failed to read the rotated keys {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("failed to write the rotated keys {}, nothing was changed: {source}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file is damaged. The parser's own text could show a key.
    #[error(
        "the rotated keys {} are damaged at line {line}, column {column}: restore the file; without it the tunnels have the keys of the configuration",
        path.display()
    )]
    Damaged {
        /// File.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// The file is of another version of the agent.
    #[error("the rotated keys {} have schema {found}, which this version does not know", path.display())]
    Schema {
        /// File.
        path: PathBuf,
        /// Schema.
        found: u32,
    },
}

impl RotationError {
    pub(super) fn damaged(path: &Path, error: &serde_json::Error) -> Self {
        Self::Damaged { path: path.to_owned(), line: error.line(), column: error.column() }
    }

    /// True when what was asked for is at fault, and not the machine.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::NoTunnel { .. }
            | Self::OtherSide { .. }
            | Self::Lengths { .. }
            | Self::Used { .. }
            | Self::SameKey { .. }
            | Self::UnderWay { .. }
            | Self::NotDraining { .. }
            | Self::NotPrepared { .. } => true,
            Self::Read { .. } | Self::Write { .. } | Self::Damaged { .. } | Self::Schema { .. } => false,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
