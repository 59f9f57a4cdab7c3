//! The lab without the agent: shows that machine and kernel can run it at all.

use super::{Found, Table, found};
use crate::{
    capture::Kind,
    lab::{CLIENT_B, Lab, Outer, SPI, Suite, moved, ping, protect, xfrm_stat},
};
use anyhow::{Context, Result};
use std::io::Write;

/// Clear text, every suite by hand over both families, and the trap of the missing `fwd` policy. True when all is
/// as the lab says.
///
/// # Errors
/// When the table cannot be written.
pub fn check(out: impl Write) -> Result<bool> {
    let mut table = Table::new(out, "the lab by hand, without the agent")?;
    table.row("clear text", "the ping is answered, the router sees it", clear)?;
    for outer in [Outer::V4, Outer::V6] {
        for suite in Suite::ALL {
            let step = format!("tunnel by ip xfrm: {suite:?} over IP{outer:?}");
            table.row(&step, "the ping is answered, the router sees only ESP", || tunnel(outer, suite))?;
        }
    }
    table.row("a missing fwd policy", "no answer, and only XfrmInNoPols moves at server-a", missing_fwd)?;
    Ok(table.close()?)
}

fn clear() -> Result<Found> {
    let lab = Lab::new()?;
    lab.start_clear_phase()?;
    let router = lab.watch_router()?;
    let ping = ping(&lab.client_a, CLIENT_B[0], 3)?;
    let seen = router.take()?;
    Ok(found(ping.complete() && seen.count(Kind::Echo) == 6, format!("{ping}; {seen}")))
}

fn tunnel(outer: Outer, suite: Suite) -> Result<Found> {
    let lab = Lab::new()?;
    protect(&lab, outer, suite)?;
    let router = lab.watch_router()?;
    let pings = [ping(&lab.client_a, CLIENT_B[0], 3)?, ping(&lab.client_a, CLIENT_B[1], 3)?];
    let seen = router.take()?;
    let both = [outer.server_a(), outer.server_b()].map(|end| seen.count(Kind::Esp(end, SPI)));
    let ok = pings.iter().all(|ping| ping.complete()) && both == [6, 6] && seen.clear() == 0;
    Ok(found(ok, format!("IPv4 {}, IPv6 {}; {seen}", pings[0], pings[1])))
}

fn missing_fwd() -> Result<Found> {
    let lab = Lab::new()?;
    protect(&lab, Outer::V4, Suite::Cbc96)?;
    lab.server_a
        .ip("xfrm policy delete src 192.168.2.0/24 dst 192.168.1.0/24 dir fwd")
        .context("no fwd policy")?;
    let before = xfrm_stat(&lab.server_a)?;
    let ping = ping(&lab.client_a, CLIENT_B[0], 3)?;
    let grown = moved(&before, &xfrm_stat(&lab.server_a)?);
    let ok = ping.received == 0 && grown.len() == 1 && grown.get("XfrmInNoPols") == Some(&3);
    Ok(found(ok, format!("{ping}; {grown:?}")))
}
