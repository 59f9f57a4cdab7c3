//! What the kernel makes of a packet, by the counter that moves.

use super::Way;
use anyhow::{Context as _, Result, bail};
use esp_tests::{
    lab::{moved, xfrm_stat_here},
    wire::Wire,
};
use std::time::{Duration, Instant};

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fate {
    Passes,
    MustBeProtected,
    Blocked,
}

/// Sends it to the router, in whose namespace this thread is; which of its counters moves.
pub(super) fn of(wire: &Wire, frame: &[u8], way: Way) -> Result<Fate> {
    let passed = || match way {
        Way::In => delivered(),
        Way::Fwd | Way::Out => forwarded(),
    };
    let read = || Ok::<_, anyhow::Error>((xfrm_stat_here()?, passed()?));
    let before = read()?;
    wire.send(frame)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let after = read()?;
        let moved = moved(&before.0, &after.0);
        let names: Vec<_> = moved.keys().map(String::as_str).collect();
        match (names.as_slice(), after.1 - before.1) {
            // There is no SA to protect it with.
            (["XfrmInTmplMismatch" | "XfrmOutNoStates" | "XfrmOutPolError"], 0) => {
                return Ok(Fate::MustBeProtected);
            }
            (["XfrmInPolBlock" | "XfrmOutPolBlock"], 0) => return Ok(Fate::Blocked),
            ([], 1) => return Ok(Fate::Passes),
            ([], 0) => {}
            (names, passed) => bail!("{names:?} moved, and {passed} packets passed: {frame:02x?}"),
        }
    }
    bail!("no counter moved: {frame:02x?}")
}

/// Packets of both families that were forwarded in this thread's namespace.
fn forwarded() -> Result<u64> {
    Ok(four("Ip", "ForwDatagrams")? + six("Ip6OutForwDatagrams")?)
}

/// Packets that came through the check of `in` policies: each protocol has a counter of its own behind it. Nothing listens.
fn delivered() -> Result<u64> {
    let mut sum = six("Udp6NoPorts")? + six("Ip6InUnknownProtos")?;
    for (group, name) in
        [("Udp", "NoPorts"), ("Tcp", "OutRsts"), ("Icmp", "InMsgs"), ("Ip", "InUnknownProtos")]
    {
        sum += four(group, name)?;
    }
    Ok(sum)
}

/// A counter of IPv4, or of both families.
fn four(group: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    let ours = |line: &&str| line.split_once(':').is_some_and(|(head, _)| head == group);
    let mut lines = text.lines().filter(ours).map(str::split_whitespace);
    let (names, values) = (lines.next().context("names")?, lines.next().context("values")?);
    let (_, value) = names.zip(values).find(|(other, _)| *other == name).context("no such counter")?;
    Ok(value.parse()?)
}

fn six(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).context("no such counter")?;
    Ok(rest.trim().parse()?)
}
