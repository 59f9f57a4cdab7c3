//! Changes of addresses, links and routes as they happen.

use super::decode::{DELADDR, DELLINK, DELROUTE, NEWADDR, NEWLINK, NEWROUTE, link, route};
use super::{Link, NetError};
use crate::nl::NetlinkError;
use crate::nl::frame::Frame;
use crate::nl::subscription::{ROOM, Subscription};
use crate::xfrm::model::Net;
use netlink_sys::protocols::NETLINK_ROUTE;
use std::collections::VecDeque;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`.
const GROUPS: [u32; 3] = [1, 5, 9];

/// `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_ROUTE`: on a router with a full table they never rest.
const ROUTES: [u32; 2] = [7, 11];

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
    /// A route of the main table to this network came, changed or went.
    Route(Net),
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

    /// Tells routes too, from now on.
    ///
    /// # Errors
    /// [`NetError::Follow`].
    pub fn follow_routes(&mut self) -> Result<(), NetError> {
        self.subscription.join_too(&ROUTES).map_err(failed)
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
        NEWROUTE | DELROUTE => route(frame)
            .map_or(Some(NetEvent::Overrun), |route| route.map(|route| NetEvent::Route(route.dst))),
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
