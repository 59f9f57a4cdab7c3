//! XFRM interfaces, their addresses and routes in the record.

use super::entry::{Entry, State, Tag};
use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::Net;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What tells a part. The MTU of a link may change while it is ours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum PartTag {
    Link { link: String, if_id: u32 },
    Address { link: String, net: (IpAddr, u8) },
    Route { link: String, dst: (IpAddr, u8), metric: u32 },
}

impl PartTag {
    pub(super) fn of(part: &Part) -> Self {
        let pair = |net: Net| (net.addr, net.len);
        match part.clone() {
            Part::Link(XfrmLink { name, if_id, .. }) => Self::Link { link: name, if_id },
            Part::Address { link, net } => Self::Address { link, net: pair(net) },
            Part::Route { link, dst, metric } => Self::Route { link, dst: pair(dst), metric },
        }
    }

    /// True for an address or a route of this link.
    pub(super) fn is_on(&self, name: &str) -> bool {
        match self {
            Self::Link { .. } => false,
            Self::Address { link, .. } | Self::Route { link, .. } => link == name,
        }
    }
}

impl Tag for PartTag {
    fn same_identity(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link { link, .. }, Self::Link { link: other, .. }) => link == other,
            (one, other) => one == other,
        }
    }
}

impl Entry<PartTag> {
    /// `index` is that of the interface: one that is deleted and made again has another.
    pub(super) fn of_part(part: &Part, ifindex: u32) -> Self {
        Self { state: State::Done, added_s: None, index: Some(ifindex), tag: PartTag::of(part) }
    }
}
