//! SIGKILL at any moment, while a configuration is applied and under traffic: the next run converges.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::Agent,
    capture::{Capture, Kind, Traffic},
    lab::{
        CLIENT_B, Gateway, Lab, Mode, Outer, STALE_ROUTE, Side, Stream, Suite, Tunnel, missing, moved, ping,
        take_out, xfrm_objects, xfrm_stat,
    },
    run,
    wait::until_ok,
};
use std::{
    fmt::Write as _,
    io::Read as _,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 5;
/// Tunnels that come or go in each round.
const TUNNELS: u32 = 6;
const FOREIGN_POLICY: &str = "src 172.30.0.0/16 dst 172.31.0.0/16 dir out";
/// To the very peer that the agent sets up, under another SPI.
const FOREIGN_SA: &str = "src 10.55.55.1 dst 10.66.66.1 proto esp spi 0xabcdef";
const FOREIGN_KEYS: &str =
    "mode tunnel auth sha256 0x11111111111111111111111111111111 enc aes 0x22222222222222222222222222222222";

#[test]
#[ignore = "T4: root, ESP"]
fn a_run_after_sigkill_converges_and_no_packet_is_lost() -> Result<()> {
    let lab = Lab::new()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Cbc128, Mode::Tunnel)?;
    tunnel.by_hand(&lab.server_b, Side::B)?;
    lab.server_a.ip(&format!("xfrm state add {FOREIGN_SA} {FOREIGN_KEYS}"))?;
    lab.server_a.ip(&format!("xfrm policy add {FOREIGN_POLICY} priority 7"))?;
    let foreign = xfrm_objects(&lab.server_a)?;

    let a = Gateway::new(&lab, Side::A, &config(&tunnel, 0)?)?;
    let begun = Instant::now();
    let mut agent = a.launch().spawn()?;
    wait_applied(&a, 0, &foreign)?;
    // Beyond this there is nothing left of the work that a kill could interrupt.
    let span = begun.elapsed();
    agent.wait_ready()?;
    let router = lab.watch_router()?;
    let gateways = [&lab.server_a, &lab.server_b];
    let stats = [xfrm_stat(gateways[0])?, xfrm_stat(gateways[1])?];
    let mut pings = Stream::start(&lab.client_a, CLIENT_B[0], "0.05")?;

    let mut kills = Vec::new();
    for round in 1..=ROUNDS {
        kills.push(span.mul_f64(fraction()?));
        agent = kill_twice(&a, agent, &config(&tunnel, round)?, kills[kills.len() - 1])?;
        wait_applied(&a, round, &foreign).with_context(|| format!("kills {kills:?}"))?;
    }
    agent.wait_ready()?;
    let answered = pings.stop()?;
    let mut stale = 0;
    for (netns, before) in gateways.into_iter().zip(&stats) {
        stale += take_out(&mut moved(before, &xfrm_stat(netns)?), &[STALE_ROUTE]);
    }
    let lost = missing(&answered);
    ensure!(
        answered.len() > ROUNDS as usize && lost.len() as u64 <= stale,
        "pings {lost:?} were lost, the kernel owns to {stale}: kills {kills:?}"
    );

    all_counted(&agent, &router, &tunnel).with_context(|| format!("kills {kills:?}"))?;
    ensure!(agent.stop()? == 0, "{}", agent.log());
    run::text(a.binary.command(&a.netns).arg("detach"))?;
    until_ok(Duration::from_secs(5), "only the foreign objects to be left", || {
        ensure!(xfrm_objects(&a.netns)? == foreign, "{}", xfrm_objects(&a.netns)?);
        Ok(())
    })?;
    lost_after_detach(&lab)
}

/// Ends the agent, ends the next one after `delay` while it applies `config`, and starts a third.
fn kill_twice(a: &Gateway, mut agent: Agent, config: &str, delay: Duration) -> Result<Agent> {
    a.write(config)?;
    // It may still load its programs.
    agent.kill()?;
    let mut killed = a.launch().spawn()?;
    // No wait for something: the moment itself is what varies.
    std::thread::sleep(delay);
    killed.kill()?;
    a.launch().spawn()
}

/// Every packet was counted, also those that passed while no agent ran.
fn all_counted(agent: &Agent, router: &Capture, tunnel: &Tunnel) -> Result<()> {
    let mut seen = Traffic::default();
    until_ok(Duration::from_secs(10), "the last packets to be counted", || {
        seen.0.extend(router.take()?.0);
        for (direction, to) in [("in", Side::A), ("out", Side::B)] {
            let wire = seen.count(Kind::Esp(tunnel.outer.server(to), tunnel.spi(to)));
            let counted = packets(agent, direction, tunnel.spi(to))?;
            ensure!(counted == wire, "{direction}: {counted} counted, the router saw {wire}");
        }
        Ok(())
    })?;
    ensure!(seen.clear() == 0, "in the clear: {seen}");
    Ok(())
}

/// The tunnel under traffic, and others that change from round to round: there are always SAs and policies to remove
/// and to add.
fn config(tunnel: &Tunnel, round: u32) -> Result<String> {
    let mut text = tunnel.config(Side::A, "");
    for number in 1..=TUNNELS {
        let spi = 0x2000_0000 + round * 0x1000 + number;
        writeln!(
            text,
            "[[tunnel]]\nname = \"r{round}-{number}\"\nlocal = \"10.55.55.1\"\nremote = \"10.77.{round}.{number}\"\n\
             local_net = \"192.168.1.0/24\"\nremote_net = \"172.{}.{number}.0/24\"\naead = \"rfc4106(gcm(aes))\"\n\
             [tunnel.in]\nspi = {spi:#x}\nkey = \"0x{}\"\n[tunnel.out]\nspi = {:#x}\nkey = \"0x{}\"",
            16 + round,
            format!("{spi:08x}").repeat(5),
            spi + 0x800,
            format!("{:08x}", spi + 0x800).repeat(5),
        )?;
    }
    Ok(text)
}

/// Waits until the kernel has all of a round, and sees that nothing is left to do.
fn wait_applied(a: &Gateway, round: u32, foreign: &str) -> Result<()> {
    until_ok(Duration::from_secs(60), "the configuration to be applied", || converged(a, round, foreign))?;
    let plan = a.plan()?;
    ensure!(plan["empty"] == true, "a second run would change {plan:#}");
    Ok(())
}

/// The kernel has what the round asks for, each object once, and the foreign ones as they were.
fn converged(a: &Gateway, round: u32, foreign: &str) -> Result<()> {
    let objects = xfrm_objects(&a.netns)?;
    let tunnels = TUNNELS as usize + 1;
    // Two networks of each family in the first tunnel, one in the others.
    let policies = TUNNELS as usize + 2;
    for (what, word, wanted) in [
        ("SAs", "proto esp spi ", 2 * tunnels + 1),
        ("out policies", "dir out ", policies + 1),
        ("in policies", "dir in ", policies),
        ("fwd policies", "dir fwd ", policies),
        ("ends of this round", &format!("src 10.77.{round}."), TUNNELS as usize),
    ] {
        let found = match what {
            "ends of this round" => objects.lines().filter(|line| line.starts_with(word)).count(),
            _ => objects.matches(word).count(),
        };
        ensure!(found == wanted, "{found} {what} instead of {wanted} in {objects}");
    }
    for block in blocks(foreign) {
        ensure!(blocks(&objects).contains(&block), "the foreign {block} is not as it was: {objects}");
    }
    Ok(())
}

/// The objects of a listing: each begins at the margin.
fn blocks(listing: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in listing.lines() {
        match all.last_mut() {
            Some(block) if line.starts_with(char::is_whitespace) => *block += line.trim(),
            _ => all.push(line.trim().to_owned()),
        }
    }
    all
}

/// Packets of an SPI on the outside interface.
fn packets(agent: &Agent, direction: &str, spi: u32) -> Result<u64> {
    let spi = format!("{spi:#010x}");
    agent.metric("esp_spi_packets_total", &[("direction", direction), ("spi", &spi), ("known", "true")])
}

/// From 0 to 1.
fn fraction() -> Result<f64> {
    let mut bytes = [0; 4];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
}

fn lost_after_detach(lab: &Lab) -> Result<()> {
    let after = ping(&lab.client_a, CLIENT_B[0], 1)?;
    ensure!(after.received == 0, "the tunnel outlived detach");
    Ok(())
}
