//! Changes of the SAD and the SPD as they happen.

pub use super::decode::Event;

use super::XfrmError;
use super::decode::event;
use crate::nl::NetlinkError;
use crate::nl::subscription::Subscription;
use netlink_sys::protocols::NETLINK_XFRM;
use std::collections::VecDeque;

/// `XFRMNLGRP_ACQUIRE`, `_EXPIRE`, `_SA`, `_POLICY`, `_MAPPING`.
const GROUPS: [u32; 5] = [1, 2, 3, 4, 8];

/// The events of one network namespace, in the kernel's order.
pub struct Events {
    subscription: Subscription,
    waiting: VecDeque<Event>,
}

impl Events {
    /// Subscribes in the network namespace of this thread, inside a tokio runtime. What changes from here on is
    /// told: subscribe first, then dump.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub fn subscribe() -> Result<Self, XfrmError> {
        let subscription = Subscription::join(NETLINK_XFRM, &GROUPS).map_err(failed)?;
        Ok(Self { subscription, waiting: VecDeque::new() })
    }

    /// Waits for the next event. Cancel safe. After [`Event::Overrun`] or [`Event::Unreadable`] events were
    /// missed: dump again, and go on here.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub async fn next(&mut self) -> Result<Event, XfrmError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            let broken = || Event::Unreadable { kind: 0 };
            let events = self.subscription.next(event, || Event::Overrun, broken).await.map_err(failed)?;
            self.waiting.extend(events);
        }
    }
}

fn failed(error: std::io::Error) -> XfrmError {
    XfrmError::Socket { source: NetlinkError::from(error) }
}
