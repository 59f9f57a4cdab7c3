//! Real decryption on CPUs of its own: each SA where it belongs, and its packets in order while SAs change their CPUs.

use anyhow::{Context as _, Result, ensure};
use esp_agent::datapath::maps::Maps;
use esp_common::{Action, Hook, Reason, counter::reason_index};
use esp_tests::{
    agent::PATIENCE,
    lab::{Gateway, Lab, Line, Outer, Side, batch, moved, xfrm_stat},
    wait::until_ok,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// SAs without a CPU of their own; the kernel may know one more that has one.
const SAS: u32 = 4;
const SPI: u32 = 0x2000_0000;
/// Packets of an SA at a time, and the pause behind them, in which it may move.
const BURST: u64 = 20;
const PAUSE: Duration = Duration::from_millis(1_500);

/// The host behind server-b whose packets are of this SA.
fn host(sa: u32) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 2, 11 + sa as u8)
}

fn key(sa: u32) -> String {
    format!("0x{}", format!("{:08x}", SPI + sa).repeat(5))
}

/// Any packet that comes behind a later one of its SA is a replay to a window of one.
fn config(steer: &str, own: Option<u32>) -> Result<String> {
    let (a, b) = (Outer::V4.server_a(), Outer::V4.server_b());
    let mut text = steer.to_owned();
    for sa in 0..SAS + u32::from(own.is_some()) {
        let (spi, reqid, key, host) = (SPI + sa, 1 + sa, key(sa), host(sa));
        let more = match own {
            Some(cpu) if sa == SAS => format!("direction = \"in\"\ncpu = {cpu}"),
            Some(_) | None => String::new(),
        };
        writeln!(
            text,
            "[[sa]]\nsrc = \"{b}\"\ndst = \"{a}\"\nspi = {spi:#x}\nmode = \"tunnel\"\nreqid = {reqid}\n\
             aead = \"rfc4106(gcm(aes))\"\nkey = \"{key}\"\nreplay_window = 1\n{more}"
        )?;
        for dir in ["in", "fwd"] {
            writeln!(
                text,
                "[[policy]]\nname = \"{dir}-{sa}\"\ndir = \"{dir}\"\nsrc = \"{host}/32\"\ndst = \"192.168.1.2/32\"\n\
                 [[policy.template]]\nmode = \"tunnel\"\nsrc = \"{b}\"\ndst = \"{a}\"\nreqid = {reqid}"
            )?;
        }
    }
    Ok(text)
}

/// The sending side, without an agent.
fn server_b(lab: &Lab, sas: u32) -> Result<()> {
    let (a, b) = (Outer::V4.server_a(), Outer::V4.server_b());
    let mut lines = String::new();
    for sa in 0..sas {
        let ends = format!("src {b} dst {a} proto esp");
        let (spi, reqid, key, host) = (SPI + sa, 1 + sa, key(sa), host(sa));
        writeln!(
            lines,
            "xfrm state add {ends} spi {spi:#x} reqid {reqid} mode tunnel aead rfc4106(gcm(aes)) {key} 128"
        )?;
        writeln!(
            lines,
            "xfrm policy add src {host}/32 dst 192.168.1.2/32 dir out tmpl {ends} reqid {reqid} mode tunnel"
        )?;
        lab.client_b.ip(&format!("address add {host}/24 dev eth2"))?;
    }
    batch(&lab.server_b, &lines)
}

/// Sends a burst, behind the numbers that were sent before.
fn burst(line: &Line, sent: u64) -> Result<()> {
    (sent..sent + BURST).try_for_each(|number| line.send(number))
}

/// Packets that were decrypted on each CPU, by TC ingress.
fn decrypted(maps: &Maps) -> BTreeMap<u32, u64> {
    let index = reason_index(0, Hook::TcIngress, Reason::Decrypted, Action::Pass);
    (0..maps.reasons.cpus()).map(|cpu| (cpu, maps.reasons.of(cpu, index).packets)).collect()
}

fn lanes(maps: &Maps) -> BTreeMap<u32, Option<u32>> {
    let lines = maps.lines();
    let named = lines.slots_named((*maps.sa_index).as_ref());
    named.map(|(key, slot)| (key.spi.number() - SPI, lines.lane(slot).cpu())).collect()
}

/// Linux 6.13 and newer give an SA a CPU.
fn knows_own() -> Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().context("no release")?, parts.next().context("no release")?);
    Ok(version >= (6, 13))
}

#[test]
#[ignore = "T4: root, ESP"]
fn each_sa_is_decrypted_on_its_cpu() -> Result<()> {
    let own = knows_own()?.then_some(1);
    let sas = SAS + u32::from(own.is_some());
    let lab = Lab::new()?;
    server_b(&lab, sas)?;
    let mut a = Gateway::new(&lab, Side::A, &config("[steer]\ncpus = \"0-1\"\n", own)?)?;
    a.start()?;
    let (maps, stop) = (a.maps()?, AtomicBool::new(false));
    let lanes = lanes(&maps);
    ensure!(lanes.len() == sas as usize && lanes.values().all(Option::is_some), "{lanes:?}");
    let spread = lanes.values().filter(|cpu| **cpu == Some(0)).count();
    ensure!(spread == SAS as usize / 2, "{lanes:?}");
    ensure!(own.is_none() || lanes[&SAS] == own, "{lanes:?}");
    for sa in 0..sas {
        let line = Line::new(&lab, host(sa).into())?;
        let before = decrypted(&maps);
        burst(&line, 0)?;
        let numbers = line.receive(BURST, &stop)?;
        ensure!(numbers.iter().copied().eq(0..BURST), "SA {sa}: {numbers:?}");
        for (cpu, count) in decrypted(&maps) {
            let here = lanes[&sa] == Some(cpu);
            let more = count - before[&cpu];
            ensure!(more == if here { BURST } else { 0 }, "SA {sa}: {more} on CPU {cpu}, {lanes:?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn sas_that_move_lose_nothing_and_stay_in_order() -> Result<()> {
    let lab = Lab::new()?;
    server_b(&lab, SAS)?;
    let mut a = Gateway::new(&lab, Side::A, &config("[steer]\ncpus = \"0-1\"\n", None)?)?;
    a.start()?;
    let before = xfrm_stat(&a.netns)?;
    let (maps, done, stop) = (a.maps()?, AtomicBool::new(false), AtomicBool::new(false));
    let lines = (0..SAS).map(|sa| Line::new(&lab, host(sa).into())).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let senders: Vec<_> = lines.iter().map(|line| scope.spawn(|| bursts(line, &done))).collect();
        let receivers: Vec<_> =
            lines.iter().map(|line| scope.spawn(|| line.receive(u64::MAX, &stop))).collect();
        let changed = ["1", "0", "0-1"].iter().try_for_each(|cpus| {
            a.reload(&config(&format!("[steer]\ncpus = \"{cpus}\"\n"), None)?)?;
            let wanted = |cpu: Option<u32>| cpu.is_some_and(|cpu| cpus.contains(&cpu.to_string()));
            until_ok(PATIENCE, &format!("all SAs on {cpus}"), || {
                let lanes = lanes(&maps);
                ensure!(lanes.len() == SAS as usize && lanes.values().all(|cpu| wanted(*cpu)), "{lanes:?}");
                Ok(())
            })?;
            // Bursts of each that are decrypted where they belong now.
            let all = |maps: &Maps| decrypted(maps).values().sum::<u64>();
            let before = all(&maps);
            until_ok(PATIENCE, "packets of all SAs", || {
                ensure!(all(&maps) >= before + 2 * u64::from(SAS) * BURST, "{:?}", decrypted(&maps));
                Ok(())
            })
        });
        done.store(true, Ordering::Relaxed);
        let sent = senders.into_iter().map(joined).collect::<Result<Vec<_>>>()?;
        // The last ones are through when nothing came for a while.
        std::thread::sleep(PAUSE);
        stop.store(true, Ordering::Relaxed);
        let arrived = receivers.into_iter().map(joined).collect::<Result<Vec<_>>>()?;
        changed?;
        for (sa, (sent, numbers)) in sent.iter().zip(&arrived).enumerate() {
            ensure!(*sent >= 3 * BURST, "SA {sa}: only {sent} packets");
            ensure!(numbers.iter().copied().eq(0..*sent), "SA {sa}: of {sent}: {numbers:?}");
        }
        anyhow::Ok(())
    })?;
    let after = moved(&before, &xfrm_stat(&a.netns)?);
    ensure!(after.is_empty(), "{after:?}");
    Ok(())
}

/// Bursts until the end; how many packets.
fn bursts(line: &Line, done: &AtomicBool) -> Result<u64> {
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        burst(line, sent)?;
        sent += BURST;
        std::thread::sleep(PAUSE);
    }
    Ok(sent)
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
