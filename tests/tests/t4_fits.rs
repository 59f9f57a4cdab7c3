//! What a plan says of the largest packet is what the kernel does: it passes whole, and one byte more is refused with
//! that very number.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    lab::{CLIENT_B, Fit, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping_whole},
    run,
};

const IN_UDP: &str = "encap = { keepalive = \"off\" }";

#[test]
#[ignore = "T4: root, ESP, on the newest kernel"]
fn the_largest_packet_that_a_plan_names_passes_and_no_larger_one() -> Result<()> {
    let lab = Lab::new()?;
    let (mut a, mut b) = (Gateway::new(&lab, Side::A, "")?, Gateway::new(&lab, Side::B, "")?);
    Gateway::start_all([&mut a, &mut b])?;
    let mut cases: Vec<(Outer, Suite, &str)> = Vec::new();
    for outer in [Outer::V4, Outer::V6] {
        cases.extend(Suite::ALL.map(|suite| (outer, suite, "")));
        cases.push((outer, Suite::Gcm, IN_UDP));
    }
    for (outer, suite, encap) in cases {
        let tunnel = Tunnel::new(outer, suite, Mode::Tunnel)?;
        a.reload(&tunnel.config(Side::A, encap))?;
        b.reload(&tunnel.config(Side::B, encap))?;
        fits(&lab, &a).with_context(|| format!("{suite:?}, outer {outer:?}, {encap}"))?;
    }
    Ok(())
}

fn fits(lab: &Lab, a: &Gateway) -> Result<()> {
    let mtu = named(a)?;
    for to in CLIENT_B {
        // What a client learnt of the tunnel before.
        for family in ["-4", "-6"] {
            run::text(lab.client_a.command("ip").args([family, "route", "flush", "cache"]))?;
        }
        let whole = ping_whole(&lab.client_a, to, mtu)?;
        ensure!(whole == Fit::Whole, "{mtu} bytes to {to}: {whole:?}");
        let larger = ping_whole(&lab.client_a, to, mtu + 1)?;
        ensure!(larger == Fit::TooLarge(mtu), "{} bytes to {to}: {larger:?}, not {mtu}", mtu + 1);
    }
    Ok(())
}

/// `lab: inner MTU 1438, ...` of the plan.
fn named(a: &Gateway) -> Result<u32> {
    let plan = a.plan()?;
    let notes = plan["notes"].as_array().into_iter().flatten();
    let mtu = notes.filter_map(|note| note["text"].as_str()?.split_once("inner MTU ")).next();
    let digits: String = mtu.context("no MTU")?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("{plan:#}"))
}
