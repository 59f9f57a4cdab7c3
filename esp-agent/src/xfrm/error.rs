//! What can fail at the SAD and the SPD, with the object it failed at.

use super::encode::EncodeError;
use super::interface::PartId;
use super::model::{PolicyDir, PolicyId, SaId, Selector};
use crate::nl::{DecodeError, NetlinkError};
use esp_common::Spi;
use std::net::IpAddr;

/// A failed operation. The cause is in [`std::error::Error::source`], not in the text: print the chain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XfrmError {
    /// `XFRM_MSG_NEWSA`.
    #[error("failed to add SA {spi} to {dst}")]
    AddSa {
        /// SPI.
        spi: Spi,
        /// Destination.
        dst: IpAddr,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_GETSA`.
    #[error("failed to read SA {spi} to {dst}")]
    ReadSa {
        /// SPI.
        spi: Spi,
        /// Destination.
        dst: IpAddr,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_UPDSA`.
    #[error("failed to update SA {spi} to {dst}")]
    UpdateSa {
        /// SPI.
        spi: Spi,
        /// Destination.
        dst: IpAddr,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_DELSA`.
    #[error("failed to delete SA {spi} to {dst}")]
    DeleteSa {
        /// SPI.
        spi: Spi,
        /// Destination.
        dst: IpAddr,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_NEWPOLICY`.
    #[error("failed to add policy {selector} dir {dir}")]
    AddPolicy {
        /// The selector as text.
        selector: String,
        /// `in`, `out` or `fwd`.
        dir: &'static str,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_UPDPOLICY`.
    #[error("failed to update policy {selector} dir {dir}")]
    UpdatePolicy {
        /// The selector as text.
        selector: String,
        /// `in`, `out` or `fwd`.
        dir: &'static str,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_DELPOLICY`.
    #[error("failed to delete policy {selector} dir {dir}")]
    DeletePolicy {
        /// The selector as text.
        selector: String,
        /// `in`, `out` or `fwd`.
        dir: &'static str,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// `XFRM_MSG_GETDEFAULT` or `XFRM_MSG_SETDEFAULT`.
    #[error("failed to {verb} the default policy")]
    DefaultPolicy {
        /// `read` or `set`.
        verb: &'static str,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// An XFRM interface, an address or a route of it.
    #[error("failed to {verb} {} {part}", part.kind())]
    Part {
        /// `add`, `update` or `delete`.
        verb: &'static str,
        /// Which.
        part: PartId,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// A dump that the kernel refused or did not finish.
    #[error("failed to read the {what}")]
    Dump {
        /// `SAs`, `policies`, `links`, `addresses` or `routes`.
        what: &'static str,
        /// The kernel's answer.
        source: NetlinkError,
    },
    /// An answer that cannot be read.
    #[error("failed to understand the kernel's answer about {what}")]
    Decode {
        /// The object.
        what: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A value that the kernel's structures cannot hold; nothing was sent.
    #[error("failed to encode {what}")]
    Encode {
        /// The object.
        what: String,
        /// What is wrong with it.
        source: EncodeError,
    },
    /// The netlink socket, for requests or for events.
    #[error("failed to use the XFRM netlink socket")]
    Socket {
        /// The kernel's answer.
        source: NetlinkError,
    },
}

impl XfrmError {
    /// The kernel lacks what the operation needs: a protocol, an algorithm, XFRM itself.
    #[must_use]
    pub fn lacks(&self) -> bool {
        match self {
            Self::AddSa { source, .. } | Self::UpdateSa { source, .. } => {
                absent(source.errno) || matches!(source.errno, libc::ENOSYS | libc::ENOENT)
            }
            Self::AddPolicy { source, .. } | Self::UpdatePolicy { source, .. } => absent(source.errno),
            Self::Dump { source, .. }
            | Self::Socket { source }
            | Self::ReadSa { source, .. }
            | Self::DefaultPolicy { source, .. } => absent(source.errno),
            // There is no such kind of link.
            Self::Part { source, .. } => source.errno == libc::EOPNOTSUPP,
            Self::DeleteSa { .. } | Self::DeletePolicy { .. } => false,
            Self::Decode { .. } | Self::Encode { .. } => false,
        }
    }

    /// `CAP_NET_ADMIN` is missing.
    #[must_use]
    pub fn not_permitted(&self) -> bool {
        matches!(self.errno(), Some(libc::EPERM | libc::EACCES))
    }

    /// There is an object with this id.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// There is no object with this id.
    #[must_use]
    pub fn not_found(&self) -> bool {
        match self {
            Self::DeleteSa { source, .. }
            | Self::DeletePolicy { source, .. }
            | Self::UpdateSa { source, .. } => {
                matches!(source.errno, libc::ESRCH | libc::ENOENT)
            }
            Self::Part { source, .. } => {
                matches!(source.errno, libc::ESRCH | libc::ENODEV | libc::EADDRNOTAVAIL)
            }
            Self::AddSa { .. }
            | Self::ReadSa { .. }
            | Self::AddPolicy { .. }
            | Self::UpdatePolicy { .. }
            | Self::DefaultPolicy { .. } => false,
            Self::Dump { .. } | Self::Decode { .. } | Self::Encode { .. } | Self::Socket { .. } => false,
        }
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Self::AddSa { source, .. }
            | Self::ReadSa { source, .. }
            | Self::UpdateSa { source, .. }
            | Self::DefaultPolicy { source, .. }
            | Self::DeleteSa { source, .. }
            | Self::AddPolicy { source, .. }
            | Self::UpdatePolicy { source, .. }
            | Self::DeletePolicy { source, .. }
            | Self::Dump { source, .. }
            | Self::Part { source, .. }
            | Self::Socket { source } => Some(source.errno),
            Self::Decode { .. } | Self::Encode { .. } => None,
        }
    }
}

const fn absent(errno: i32) -> bool {
    matches!(errno, libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)
}

/// An SA in an error's text.
pub(super) fn sa_text(id: &SaId) -> String {
    format!("SA {} to {}", id.spi, id.dst)
}

/// A policy in an error's text.
pub(super) fn policy_text(id: &PolicyId) -> String {
    format!("policy {} dir {}", selector_text(&id.selector), dir_text(id.dir))
}

/// As iproute2 writes it, any-values left out.
pub(super) fn selector_text(selector: &Selector) -> String {
    let Selector { src, dst, proto, sport, dport, ifindex } = selector;
    let mut text = format!("{}/{} -> {}/{}", src.addr, src.len, dst.addr, dst.len);
    let parts = [
        ("proto", u32::from(*proto)),
        ("sport", u32::from(sport.port)),
        ("dport", u32::from(dport.port)),
        ("ifindex", *ifindex),
    ];
    for (name, value) in parts {
        if value != 0 {
            text.push_str(&format!(" {name} {value}"));
        }
    }
    text
}

/// As iproute2 writes it.
pub(super) const fn dir_text(dir: PolicyDir) -> &'static str {
    match dir {
        PolicyDir::In => "in",
        PolicyDir::Out => "out",
        PolicyDir::Fwd => "fwd",
    }
}
