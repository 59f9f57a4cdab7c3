//! Keys are rotated on two gateways under load, their operators apart by up to two seconds: nothing is lost.

use anyhow::{Context, Result, ensure};
use aya::util::KernelVersion;
use esp_agent::{
    config::new_keys,
    control::{Request, When, client::ask},
    instance::Instance,
    xfrm::{Xfrm as _, netlink::Netlink},
};
use esp_tests::{
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Outer, STALE_ROUTE, Side, moved, ping, take_out, xfrm_stat},
    run,
    stream::{Arrived, Stream},
    wait::until_ok,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Datagrams a second in each direction.
const RATE: u32 = 1000;
/// The same on an old kernel. A veth pair with XDP drops what its ring of 256 has no room for, and emulation is held up
/// for longer than it takes to fill it; from 6.16 on (commit dc82a33297fc) a queueing discipline in front of it waits.
const OLD_RATE: u32 = 200;
/// By how much the second gateway comes after the first, in ms: in turn A and B are first.
const SKEWS: [u64; 20] =
    [0, 2000, 500, 100, 0, 2000, 0, 50, 250, 0, 1000, 0, 100, 0, 500, 10, 0, 200, 0, 100];
/// The rotations that go by the clock; the others are led from phase to phase by command, as a machine that is held up
/// only makes them longer.
const BY_THE_CLOCK: [usize; 2] = [1, 2];
/// What the first gateway then waits for the second beyond the skew, and the old SAs for what is under way, in ms: how
/// long emulation may hold a command up.
const SLACK: u64 = 3000;
/// Rotations on an old kernel, which has no cache of outbound SAs: time is dear, and less can go wrong.
const OLD_KERNEL: usize = 6;

#[test]
#[ignore = "T4: root, ESP"]
fn rotations_under_load_lose_nothing() -> Result<()> {
    let new = KernelVersion::current()? >= KernelVersion::new(6, 16, 0);
    let (rounds, rate) = if new { (SKEWS.len(), RATE) } else { (OLD_KERNEL, OLD_RATE) };
    let lab = Lab::new()?;
    let dir = tempfile::tempdir()?;
    let mut gateways = pair(&lab, dir.path())?;
    let [a, b] = &mut gateways;
    Gateway::start_all([a, b])?;
    for iface in ["eth5", "eth6"] {
        run::text(
            lab.router.command("tc").args(["qdisc", "add", "dev", iface, "root", "pfifo", "limit", "10000"]),
        )?;
    }
    // Neighbours are found before anything is counted.
    let first = ping(&lab.client_a, CLIENT_B[0], 2)?;
    ensure!(first.complete(), "{first}");
    let before = [xfrm_stat(&lab.server_a)?, xfrm_stat(&lab.server_b)?];
    let streams = [
        Stream::start((&lab.client_a, CLIENT_A[0]), (&lab.client_b, CLIENT_B[0]), rate)?,
        Stream::start((&lab.client_b, CLIENT_B[0]), (&lab.client_a, CLIENT_A[0]), rate)?,
    ];
    let begun = Instant::now();
    for (round, skew) in SKEWS.into_iter().take(rounds).enumerate() {
        let keys = dir.path().join(format!("{round}"));
        rotate(&gateways, &keys, round, skew).with_context(|| format!("rotation {round}"))?;
    }
    let took = begun.elapsed();
    let [there, back] = streams.map(Stream::finish);
    let arrived = [there?, back?];
    let after = [xfrm_stat(&lab.server_a)?, xfrm_stat(&lab.server_b)?];
    let mut moved = [0, 1].map(|at| moved(&before[at], &after[at]));
    let figures = format!("{rounds} rotations in {took:?}: {}, {}; {moved:?}", arrived[0], arrived[1]);
    eprintln!("{figures}");
    let stale: u64 = moved.iter_mut().map(|moved| take_out(moved, &[STALE_ROUTE])).sum();
    let lost: u64 = arrived.iter().map(Arrived::missing).sum();
    ensure!(arrived.iter().all(|arrived| arrived.sent > 0 && arrived.twice == 0), "{figures}");
    ensure!(lost <= stale, "{lost} lost, of which the kernel owns to {stale}: {figures}");
    ensure!(moved.iter().all(BTreeMap::is_empty), "the kernel dropped: {figures}");
    for (gateway, sent, received) in
        [(&gateways[0], &arrived[0], &arrived[1]), (&gateways[1], &arrived[1], &arrived[0])]
    {
        accounted(gateway, rounds, [sent.sent, received.sent])?;
    }
    survives_a_crash(gateways)
}

/// Both gateways, with the files of `pair` and nothing else; all guards enforce.
fn pair(lab: &Lab, dir: &Path) -> Result<[Gateway; 2]> {
    let gateways = [Gateway::new(lab, Side::A, "")?, Gateway::new(lab, Side::B, "")?];
    let more = ["--name", "lab", "--left-net", "192.168.1.0/24", "--right-net", "192.168.2.0/24"];
    written(&gateways[0], dir, &more)?;
    for (gateway, name) in gateways.iter().zip(["left.toml", "right.toml"]) {
        let text = std::fs::read_to_string(dir.join(name))?;
        gateway.write(&text.replace("\"observe\"", "\"enforce\""))?;
    }
    Ok(gateways)
}

/// Runs `pair`.
fn written(gateway: &Gateway, dir: &Path, more: &[&str]) -> Result<()> {
    let [left, right] = Side::BOTH.map(|side| Outer::V4.server(side).to_string());
    let mut command = gateway.binary.command(&gateway.netns);
    command.args(["pair", "--left", &left, "--right", &right, "--out"]).arg(dir).args(more);
    run::text(&mut command).map(drop)
}

/// One rotation on both gateways, from the first command to the end of the old SAs.
fn rotate(gateways: &[Gateway; 2], dir: &Path, round: usize, skew: u64) -> Result<()> {
    written(&gateways[0], dir, &["--rotate", "lab"])?;
    let files = ["left.toml", "right.toml"].map(|name| dir.join(name));
    let mut order = [(&gateways[0], &files[0]), (&gateways[1], &files[1])];
    if round % 2 == 1 {
        order.reverse();
    }
    let apart = |what: &dyn Fn(&Gateway, &Path) -> Result<()>| one_after_the_other(order, skew, what);
    if BY_THE_CLOCK.contains(&round) {
        let wait = Duration::from_millis(skew + SLACK);
        apart(&|gateway, file| begin(gateway, file, When::After(millis(wait)), wait))?;
    } else {
        apart(&|gateway, file| match round {
            0 => commanded(gateway, &["--grace", "1h", "--keys", &file.display().to_string()]),
            _ => begin(gateway, file, When::Command, Duration::from_secs(3600)),
        })?;
        apart(&|gateway, _| match round {
            0 => commanded(gateway, &["--switch"]),
            _ => asked(gateway, &Request::Switch { tunnel: "lab".into() }),
        })?;
        wait_for(gateways, 3)?;
        gateways.iter().try_for_each(|gateway| match round {
            0 => commanded(gateway, &["--finish"]),
            _ => asked(gateway, &Request::Finish { tunnel: "lab".into() }),
        })?;
    }
    wait_for(gateways, 2)?;
    let new = std::fs::read_to_string(&files[0])?;
    let left = spis(&gateways[0])?;
    ensure!(left.iter().all(|spi| new.contains(spi)), "{left:?} are not the new SPIs");
    ensure!(left == spis(&gateways[1])?, "the gateways do not agree");
    Ok(())
}

/// Does something on one gateway, and `skew` ms after its begin on the other.
fn one_after_the_other(
    order: [(&Gateway, &PathBuf); 2],
    skew: u64,
    what: &dyn Fn(&Gateway, &Path) -> Result<()>,
) -> Result<()> {
    let begun = Instant::now();
    for (at, (gateway, file)) in [0, skew].into_iter().zip(order) {
        // The skew itself is what varies: there is nothing to wait for.
        std::thread::sleep(Duration::from_millis(at).saturating_sub(begun.elapsed()));
        what(gateway, file)?;
    }
    Ok(())
}

/// Waits until both gateways have so many SAs.
fn wait_for(gateways: &[Gateway; 2], count: usize) -> Result<()> {
    until_ok(Duration::from_secs(60), &format!("{count} SAs"), || {
        gateways.iter().try_for_each(|gateway| {
            let spis = spis(gateway)?;
            ensure!(spis.len() == count, "{spis:?} on {}", gateway.netns.name());
            Ok(())
        })
    })
}

/// The command line.
fn commanded(gateway: &Gateway, args: &[&str]) -> Result<()> {
    let mut command = gateway.binary.command(&gateway.netns);
    let said = run::text(command.args(["rotate", "lab"]).args(args))?;
    ensure!(said.contains("tunnel lab: generation 1 of its keys"), "{said}");
    Ok(())
}

/// What `rotate --keys` sends, without the time that a new process takes under emulation.
fn begin(gateway: &Gateway, keys: &Path, outbound: When, grace: Duration) -> Result<()> {
    let keys = new_keys::parse(&std::fs::read_to_string(keys)?, Path::new(""), "keys")?;
    let (tunnel, local, keying) = (keys.tunnel, keys.local, Box::new(keys.keying));
    asked(gateway, &Request::Rotate { tunnel, local, keying, outbound, grace_ms: millis(grace) })
}

fn asked(gateway: &Gateway, request: &Request) -> Result<()> {
    let answer = gateway.netns.run_in(|| Ok(ask(&Instance::detect(None)?, request)?))?;
    ensure!(answer.code == 0, "{}", answer.text);
    Ok(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The SPIs of the kernel's SAs, sorted.
fn spis(gateway: &Gateway) -> Result<Vec<String>> {
    let sas = gateway.netns.run_in(|| Ok(Netlink::open()?.sas()?))?;
    let mut spis: Vec<String> = sas.iter().map(|seen| seen.sa.id.spi.to_string()).collect();
    spis.sort();
    Ok(spis)
}

/// Each packet was counted for the tunnel under whatever SPI it had, and no guard took one for a stranger.
fn accounted(gateway: &Gateway, rounds: usize, [sent, received]: [u64; 2]) -> Result<()> {
    let agent = gateway.agent()?;
    let scrape = agent.scrape()?;
    let of =
        |direction| scrape.sum("esp_tunnel_packets_total", &[("tunnel", "lab"), ("direction", direction)]);
    for (direction, least) in [("out", sent), ("in", received)] {
        let counted = of(direction).unwrap_or(0);
        ensure!((least..least + 20).contains(&counted), "{direction}: {counted} counted, {least} sent");
    }
    ensure!(scrape.sum("esp_guard_hits_total", &[]).unwrap_or(0) == 0, "a guard hit:\n{}", agent.log());
    let plan = gateway.plan()?;
    ensure!(plan["empty"] == true, "a second run would change {plan:#}");
    ensure!(
        plan["notes"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains(&format!("generation {rounds} of"))),
        "{plan:#}"
    );
    let status = agent.status_json()?;
    let rotation = &status["rotations"][0];
    ensure!(rotation["phase"] == "done" && rotation["generation"] == rounds, "{rotation:#}");
    Ok(())
}

/// The file still names the first keys: an agent that starts anew, also on an empty kernel, has the newest.
fn survives_a_crash([mut a, _b]: [Gateway; 2]) -> Result<()> {
    let before = spis(&a)?;
    a.take_agent()?.kill()?;
    ensure!(a.plan()?["empty"] == true, "{:#}", a.plan()?);
    a.netns.ip("xfrm state flush")?;
    a.netns.ip("xfrm policy flush")?;
    a.start()?;
    ensure!(spis(&a)? == before, "{:?} instead of {before:?}", spis(&a)?);
    Ok(())
}
