//! The bonus: an ipip device and transport mode at server-a against tunnel mode at server-b.

use super::{Found, Stage, Table, found, protect::PINGS};
use crate::{
    capture::{Kind, Traffic},
    lab::{CLIENT_B, Outer, SPI, ping},
};
use anyhow::Result;
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

pub(super) fn rows(stage: &mut Stage, table: &mut Table<impl Write>) -> io::Result<()> {
    let expected = "the ping is answered; only ESP at the router, in frames as long as with tunnel mode";
    table.row("10 bonus: ipip and transport mode at server-a", expected, || mixed(stage))
}

fn mixed(stage: &mut Stage) -> Result<Found> {
    let (a, b) = (Outer::V4.server_a(), Outer::V4.server_b());
    stage.a.netns.ip(&format!("link add ipip0 type ipip local {a} remote {b} ttl 64"))?;
    stage.a.netns.ip("link set ipip0 up")?;
    stage.a.netns.ip("route add 192.168.2.0/24 dev ipip0")?;
    stage.a.reconfigure("lab-bonus-server-a.toml");
    stage.a.start()?;
    stage.b.start()?;
    stage.router.take()?;
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    let seen = stage.router.take()?;
    let both = [a, b].map(|end| seen.count(Kind::Esp(end, SPI)));
    let lengths = (esp_lengths(&stage.tunnel), esp_lengths(&seen));
    let ok = ping.complete() && both == [ping.sent; 2] && seen.clear() == 0 && lengths.0 == lengths.1;
    let codes = [stage.a.stop()?, stage.b.stop()?];
    let said =
        format!("{ping}; {seen}; frames of {:?} bytes, before {:?}; exit {codes:?}", lengths.1, lengths.0);
    Ok(found(ok && codes == [0, 0], said))
}

fn esp_lengths(traffic: &Traffic) -> BTreeSet<usize> {
    let esp = traffic.0.iter().filter(|seen| matches!(seen.kind, Kind::Esp(..)));
    esp.map(|seen| seen.frame.len()).collect()
}
