//! Sequence numbers that outlive an SA.
//!
//! An SA of static keys that is made again (after a reboot, a flush, a replacement) would begin at 1: its peer drops
//! all of that as replays until it has caught up, what was recorded before is accepted once more, and a counter mode
//! may meet the same nonce under the same key, which breaks it (RFC 4106 section 3.1, RFC 8221 section 4.1). So the
//! numbers are reserved ahead, in a file that outlives the boot: an outbound SA begins where the reservation of its
//! keys ends, an inbound one at the highest number that was seen.
//!
//! Linux makes the explicit nonce from the sequence number and a random salt of each SA that it adds (`seqiv`), so
//! that a repetition is improbable there; a NIC with crypto offload takes the bare number, where it would be certain.

mod amount;
mod error;
mod ledger;
mod print;
mod sequenced;

#[cfg(test)]
mod tests;

pub use error::LedgerError;
pub use ledger::Ledger;
pub use sequenced::Sequenced;
