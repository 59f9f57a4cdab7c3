//! XFRM interfaces: links that carry the packets of SAs and policies with one if_id, for tunnels that routes lead into.

use super::model::Net;
use std::fmt;

/// An XFRM interface, up (`ip link add NAME type xfrm if_id ID`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct XfrmLink {
    /// Its name.
    pub name: String,
    /// Of the SAs and policies that it stands for; not 0.
    pub if_id: u32,
    /// Bytes.
    pub mtu: u32,
}

/// What is made for a tunnel that routes lead into.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// The interface.
    Link(XfrmLink),
    /// One of its addresses.
    Address {
        /// Its name.
        link: String,
        /// Address and prefix length.
        net: Net,
    },
    /// A route over it, in the main table.
    Route {
        /// Its name.
        link: String,
        /// Where to.
        dst: Net,
        /// The smaller wins.
        metric: u32,
    },
}

/// What tells one part from the others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PartId {
    /// By its name.
    Link(String),
    /// By link and address.
    Address(String, Net),
    /// By link, destination and metric.
    Route(String, Net, u32),
}

impl Part {
    /// What tells it.
    #[must_use]
    pub fn id(&self) -> PartId {
        match self {
            Self::Link(link) => PartId::Link(link.name.clone()),
            Self::Address { link, net } => PartId::Address(link.clone(), *net),
            Self::Route { link, dst, metric } => PartId::Route(link.clone(), *dst, *metric),
        }
    }
}

impl PartId {
    /// The interface that it belongs to.
    #[must_use]
    pub fn link(&self) -> &str {
        match self {
            Self::Link(link) | Self::Address(link, _) | Self::Route(link, ..) => link,
        }
    }

    /// `link`, `address` or `route`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Address(..) => "address",
            Self::Route(..) => "route",
        }
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => f.write_str(link),
            Self::Address(link, net) => write!(f, "{}/{} on {link}", net.addr, net.len),
            Self::Route(link, dst, metric) => {
                write!(f, "{}/{} over {link} metric {metric}", dst.addr, dst.len)
            }
        }
    }
}

/// An interface of the kernel, of whatever kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedLink {
    /// Index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// `None` for one of another kind.
    pub if_id: Option<u32>,
    /// Bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Of an XFRM interface: its addresses.
    pub addresses: Vec<Net>,
    /// Of an XFRM interface: routes of the main table over it and their metrics, without those that the kernel makes
    /// for addresses.
    pub routes: Vec<(Net, u32)>,
}

impl ObservedLink {
    /// As parts, the link first; none for a link of another kind.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let Some(if_id) = self.if_id else { return Vec::new() };
        let name = || self.name.clone();
        let link = Part::Link(XfrmLink { name: name(), if_id, mtu: self.mtu });
        let addresses = self.addresses.iter().map(|net| Part::Address { link: name(), net: *net });
        let routes =
            self.routes.iter().map(|(dst, metric)| Part::Route { link: name(), dst: *dst, metric: *metric });
        std::iter::once(link).chain(addresses).chain(routes).collect()
    }
}
