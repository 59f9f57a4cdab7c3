//! Changes of the SAD and the SPD as they happen.

pub use super::decode::Event;
pub use crate::nl::subscription::ROOM;

use super::XfrmError;
use super::decode::event;
use crate::nl::NetlinkError;
use crate::nl::subscription::Subscription;
use netlink_sys::protocols::NETLINK_XFRM;
use std::collections::VecDeque;

/// `XFRMNLGRP_ACQUIRE`, `_EXPIRE`, `_SA`, `_POLICY`, `_REPORT`, `_MIGRATE`, `_MAPPING`.
///
/// Not `_AEVENTS`: whoever listens to it makes the kernel send a message for every second packet of each SA
/// (`xfrm_aevent_is_on` in `xfrm_replay_notify`, net.core.xfrm_aevent_rseqth).
const GROUPS: [u32; 7] = [1, 2, 3, 4, 6, 7, 8];
/// `XFRMNLGRP_AEVENTS`.
const AEVENTS: u32 = 5;

/// The events of one network namespace, in the kernel's order.
pub struct Events {
    subscription: Subscription,
    waiting: VecDeque<Told>,
}

/// One event and who caused it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What happened.
    pub event: Event,
    /// What the request had as its port: that of [`super::netlink::Netlink::port`] when it was ours. 0 for the kernel
    /// itself, and for others who leave it out.
    pub port: u32,
}

impl Events {
    /// Subscribes in the network namespace of this thread, inside a tokio runtime, with a receive buffer of `room`
    /// bytes. What changes from here on is told: subscribe first, then dump.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub fn subscribe(room: usize) -> Result<Self, XfrmError> {
        Self::join(&GROUPS, room)
    }

    /// The same with [`Event::SaProgressed`], which costs the kernel a message for every second packet.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub fn subscribe_to_progress(room: usize) -> Result<Self, XfrmError> {
        Self::join(&[GROUPS.as_slice(), &[AEVENTS]].concat(), room)
    }

    fn join(groups: &[u32], room: usize) -> Result<Self, XfrmError> {
        let subscription = Subscription::join(NETLINK_XFRM, groups, room).map_err(failed)?;
        Ok(Self { subscription, waiting: VecDeque::new() })
    }

    /// True when [`Events::next`] has handed out all that the kernel has told.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub fn is_drained(&self) -> Result<bool, XfrmError> {
        Ok(self.waiting.is_empty() && self.subscription.is_drained().map_err(failed)?)
    }

    /// Waits for the next event. Cancel safe. After [`Event::Overrun`] or [`Event::Unreadable`] events were
    /// missed: dump again, and go on here.
    ///
    /// # Errors
    /// [`XfrmError::Socket`].
    pub async fn next(&mut self) -> Result<Told, XfrmError> {
        loop {
            if let Some(told) = self.waiting.pop_front() {
                return Ok(told);
            }
            let lost = |event| Told { event, port: 0 };
            let told = self.subscription.next(
                |frame| event(frame).map(|event| Told { event, port: frame.port }),
                || lost(Event::Overrun),
                || lost(Event::Unreadable { kind: 0 }),
            );
            self.waiting.extend(told.await.map_err(failed)?);
        }
    }
}

fn failed(error: std::io::Error) -> XfrmError {
    XfrmError::Socket { source: NetlinkError::from(error) }
}
