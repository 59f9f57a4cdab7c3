//! Stop and detach: what goes on, and what is gone.

use super::{Found, Stage, Table, found, protect::PINGS};
use crate::{
    attached,
    lab::{CLIENT_B, ping, xfrm_objects},
    run,
};
use anyhow::Result;
use std::io::{self, Write};

/// A policy that the agent has not made.
const FOREIGN: &str = "src 172.16.0.0/16 dst 172.17.0.0/16 dir out";

pub(super) fn rows(stage: &mut Stage, table: &mut Table<impl Write>) -> io::Result<()> {
    table.row("8a SIGTERM to both agents", "exit 0 each, the ping is still answered", || stop(stage))?;
    let expected = "`status --json` counts each packet that passed without an agent";
    table.row("8b the datapath counts on", expected, || counting(stage))?;
    let expected = "no program, pin, SA or policy of ours; the policy added by hand stays";
    table.row("9  detach on both gateways", expected, || detach(stage))
}

fn stop(stage: &mut Stage) -> Result<Found> {
    let codes = [stage.a.stop()?, stage.b.stop()?];
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    Ok(found(codes == [0, 0] && ping.complete(), format!("exit {codes:?}; {ping}")))
}

fn counting(stage: &Stage) -> Result<Found> {
    let before = [stage.a.status_packets()?, stage.b.status_packets()?];
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    let after = [stage.a.status_packets()?, stage.b.status_packets()?];
    let ok = ping.complete() && after == before.map(|count| count + 2 * ping.sent);
    Ok(found(
        ok,
        format!("{ping}; server-a {} -> {}, server-b {} -> {}", before[0], after[0], before[1], after[1]),
    ))
}

fn detach(stage: &Stage) -> Result<Found> {
    stage.a.netns.ip(&format!("xfrm policy add {FOREIGN} priority 7"))?;
    let (mut ok, mut said) = (true, Vec::new());
    for (site, policies) in [(&stage.a, 1), (&stage.b, 0)] {
        run::text(site.binary.command(&site.netns).arg("detach"))?;
        let programs = attached::programs(&site.netns, site.iface)?;
        let pins = attached::pins(&site.netns)?;
        let objects = xfrm_objects(&site.netns)?;
        let left = [objects.matches("proto esp").count(), objects.matches(" priority ").count()];
        ok &= programs.is_empty() && pins.is_empty() && left == [0, policies];
        said.push(format!(
            "{}: programs {programs:?}, pins {pins:?}, {} ESP objects, {} policies",
            site.netns.name(),
            left[0],
            left[1]
        ));
    }
    ok &= xfrm_objects(&stage.a.netns)?.contains("src 172.16.0.0/16 dst 172.17.0.0/16");
    stage.a.netns.ip(&format!("xfrm policy delete {FOREIGN}"))?;
    Ok(found(ok, said.join("\n")))
}
