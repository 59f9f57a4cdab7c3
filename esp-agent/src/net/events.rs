//! Changes of addresses and links as they happen.

use super::decode::{DELADDR, DELLINK, NEWADDR, NEWLINK, link};
use super::{Link, NetError};
use crate::nl::NetlinkError;
use crate::nl::frame::Frame;
use crate::nl::subscription::{ROOM, Subscription};
use netlink_sys::protocols::NETLINK_ROUTE;
use std::collections::VecDeque;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`.
const GROUPS: [u32; 3] = [1, 5, 9];

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetEvent {
    /// An address came or went: read [`super::addresses`] again.
    Address,
    /// A link is new or changed.
    Link(Link),
    /// A link is gone from this network namespace.
    LinkGone {
        /// Its index.
        ifindex: u32,
        /// Its name.
        name: String,
    },
    /// Messages were lost or cannot be read: read everything again.
    Overrun,
}

/// The events of one network namespace, in the kernel's order.
pub struct NetEvents {
    subscription: Subscription,
    waiting: VecDeque<NetEvent>,
}

impl NetEvents {
    /// Subscribes in the network namespace of this thread, inside a tokio runtime. Subscribe first, then read.
    ///
    /// # Errors
    /// [`NetError::Follow`].
    pub fn subscribe() -> Result<Self, NetError> {
        let subscription = Subscription::join(NETLINK_ROUTE, &GROUPS, ROOM).map_err(failed)?;
        Ok(Self { subscription, waiting: VecDeque::new() })
    }

    /// Waits for the next event. Cancel safe.
    ///
    /// # Errors
    /// [`NetError::Follow`].
    pub async fn next(&mut self) -> Result<NetEvent, NetError> {
        let lost = || NetEvent::Overrun;
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            self.waiting.extend(self.subscription.next(event, lost, lost).await.map_err(failed)?);
        }
    }
}

fn event(frame: &Frame<'_>) -> Option<NetEvent> {
    match frame.kind {
        NEWADDR | DELADDR => Some(NetEvent::Address),
        NEWLINK => link(frame).map_or(Some(NetEvent::Overrun), |link| link.map(NetEvent::Link)),
        DELLINK => link(frame).map_or(Some(NetEvent::Overrun), |link| {
            link.map(|link| NetEvent::LinkGone { ifindex: link.ifindex, name: link.name })
        }),
        _ => None,
    }
}

fn failed(error: std::io::Error) -> NetError {
    NetError::Follow(NetlinkError::from(error))
}
