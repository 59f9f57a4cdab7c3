//! Addresses and links of the agent's network namespace, and their changes (rtnetlink).

pub mod decode;
pub mod encode;
pub mod events;

pub use events::{NetEvent, NetEvents};

use crate::nl::exchange::{Exchange, ExchangeError};
use crate::nl::frame::Frame;
use crate::nl::{DecodeError, NetlinkError};
use netlink_sys::protocols::NETLINK_ROUTE;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// An interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Frames have an Ethernet header (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// Its MAC address; zero where it has none.
    pub mac: [u8; 6],
    /// Bytes.
    pub mtu: u32,
    /// The id of the XDP program on it, whoever attached it.
    pub xdp_prog_id: Option<u32>,
    /// The if_id of an XFRM interface; `None` for one of another kind.
    pub xfrm_if_id: Option<u32>,
}

/// Why addresses or links are not known.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The dump failed.
    #[error("failed to read the {what} of this network namespace")]
    Dump {
        /// `addresses` or `links`.
        what: &'static str,
        /// Why.
        source: ExchangeError,
    },
    /// The socket for events failed.
    #[error("failed to follow addresses and links")]
    Follow(#[source] NetlinkError),
    /// The runtime stopped meanwhile.
    #[error("failed to finish reading the {what}: the agent stops")]
    Stopped {
        /// `addresses` or `links`.
        what: &'static str,
    },
}

/// All addresses of the network namespace of the calling thread.
///
/// # Errors
/// [`NetError::Dump`].
pub async fn addresses() -> Result<Vec<IpAddr>, NetError> {
    let all = dump("addresses", encode::get_addresses(None), decode::address).await?;
    Ok(all.into_iter().map(|address| address.net.addr).collect())
}

/// All links of the network namespace of the calling thread.
///
/// # Errors
/// [`NetError::Dump`].
pub async fn links() -> Result<Vec<Link>, NetError> {
    dump("links", encode::get_links(), decode::link).await
}

async fn dump<T: Send + 'static>(
    what: &'static str,
    mut request: Zeroizing<Vec<u8>>,
    decode: fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
) -> Result<Vec<T>, NetError> {
    let failed = move |source| NetError::Dump { what, source };
    // Opened here, as the socket's namespace is that of the thread; read where blocking is allowed.
    let mut exchange = Exchange::open(NETLINK_ROUTE).map_err(|error| failed(error.into()))?;
    let read = move || exchange.dump(&mut request, decode).map_err(failed);
    tokio::task::spawn_blocking(read).await.map_err(|_| NetError::Stopped { what })?
}
