//! What a counter of /proc/net/xfrm_stat means and what to check.
//!
//! Names are those of Linux 6.18; meanings are from Documentation/networking/xfrm_proc.rst and from where
//! net/xfrm/{xfrm_input,xfrm_output,xfrm_policy}.c count them.

/// The hint for a counter; `None` for a name that is newer than this list.
#[must_use]
pub fn hint(name: &str) -> Option<&'static str> {
    HINTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

const HINTS: [(&str, &str); 32] = [
    (
        "XfrmInError",
        "inbound packet lost for a reason without a counter of its own, often no memory: check dmesg",
    ),
    (
        "XfrmInBufferError",
        "packet nested in more than 6 SAs, or no memory: check for a tunnel routed into itself",
    ),
    (
        "XfrmInHdrError",
        "header cut short or unreadable: check MTU, fragmentation and captures on the outside",
    ),
    (
        "XfrmInNoStates",
        "no SA for (destination, SPI): compare the ghosts above with the SAs of both ends; a peer that restarted still sends with its old SPI",
    ),
    (
        "XfrmInStateProtoError",
        "integrity check or decryption failed: key, algorithm or ICV length differs between the ends (96 or 128 bits of sha256), or the packet was changed on its way",
    ),
    (
        "XfrmInStateModeError",
        "decrypted payload does not fit the SA's mode: check tunnel against transport mode and the inner family on both ends",
    ),
    (
        "XfrmInStateSeqError",
        "outside the replay window or seen before: reordering (raise the replay window), a replay, or a peer that restarted its sequence numbers with the same keys",
    ),
    ("XfrmInStateExpired", "SA past its hard lifetime: check that the rekey takes place"),
    (
        "XfrmInStateMismatch",
        "SA found but UDP encapsulation differs (NAT-T on one side only), or the inner packet is outside the selector of the SA itself",
    ),
    (
        "XfrmInStateInvalid",
        "SA is dead or being deleted: expected for a moment in a rekey, else the peer keeps using an SA that is gone here",
    ),
    (
        "XfrmInTmplMismatch",
        "the `in` or `fwd` policy asks for another SA than the packet came through (or it came in clear): compare reqid, mode and addresses of its template with the SA",
    ),
    (
        "XfrmInNoPols",
        "decrypted well, then dropped: no `in` policy (for this host) or no `fwd` policy (for networks behind it) matches the inner packet: add it",
    ),
    ("XfrmInPolBlock", "a block policy matches the inbound packet: check `ip xfrm policy` for action block"),
    ("XfrmInPolError", "policy lookup failed for an inbound packet: check memory and dmesg"),
    (
        "XfrmOutError",
        "outbound packet lost for a reason without a counter of its own: check the route to the peer and dmesg",
    ),
    (
        "XfrmOutBundleGenError",
        "the path through the SA cannot be built: check the route to the peer and the outer addresses",
    ),
    ("XfrmOutBundleCheckError", "the path through the SA cannot be renewed: check the route to the peer"),
    (
        "XfrmOutNoStates",
        "an `out` policy asks for protection and no SA fits its template: check reqid, mode and addresses, and that the IKE daemon runs",
    ),
    ("XfrmOutStateProtoError", "encryption failed: check the algorithm's module and dmesg"),
    ("XfrmOutStateModeError", "the outer header cannot be built: check mode and families of the SA"),
    ("XfrmOutStateSeqError", "sequence numbers of an SA are used up: rekey it, or use ESN"),
    ("XfrmOutStateExpired", "SA past its hard lifetime: check that the rekey takes place"),
    (
        "XfrmOutPolBlock",
        "a block policy matches the outbound packet: check `ip xfrm policy` for action block",
    ),
    (
        "XfrmOutPolDead",
        "the policy was deleted while the packet was under way: expected for a moment in a reload",
    ),
    ("XfrmOutPolError", "the templates of an `out` policy cannot be resolved: check them against the SAs"),
    (
        "XfrmFwdHdrError",
        "a packet to be forwarded cannot be read or routed: check the route of the inner destination",
    ),
    ("XfrmOutStateInvalid", "SA is dead or being deleted while it is used: expected for a moment in a rekey"),
    (
        "XfrmAcquireError",
        "packet for an SA that has an SPI but no keys yet: the peer is ahead in the negotiation; lasting growth means that it fails",
    ),
    (
        "XfrmOutStateDirError",
        "the SA that was found for an outbound packet is marked `dir in`: check the direction of the SA",
    ),
    (
        "XfrmInStateDirError",
        "the SA that was found for an inbound packet is marked `dir out`: check the direction of the SA; both ends may use the same SPI and address",
    ),
    (
        "XfrmInIptfsError",
        "an IP-TFS payload is malformed or out of order: check loss and the peer's IP-TFS settings",
    ),
    (
        "XfrmOutNoQueueSpace",
        "the IP-TFS queue is full: traffic is above the rate of the SA, or its queue is too short",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_no_sentence_ends_in_a_full_stop() {
        for (name, text) in HINTS {
            assert_eq!(HINTS.iter().filter(|(twin, _)| *twin == name).count(), 1, "{name}");
            assert!(!text.ends_with('.') && name.starts_with("Xfrm"), "{name}");
        }
        assert_eq!(hint("XfrmOfTomorrow"), None);
    }
}
