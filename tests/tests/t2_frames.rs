//! The same frames through the programs in the running kernel: what the host says, the kernel does.

use anyhow::{Context as _, Result, ensure};
use esp_common::{Action, Addr, Counter, Direction, GuardKey, Hook, Reason, SeenKey};
use esp_tests::{
    cases::{self, Case},
    corpus,
    frame::{Frame, Ipv4, Payload},
    host,
    kernel::{Constants, Kernel, SeenFlow, takes},
    strategy,
    world::{PEER, SPI, US, World, addr},
};
use std::net::Ipv4Addr;

#[test]
#[ignore = "T2: root, bpf"]
fn every_case_ends_as_the_table_says() -> Result<()> {
    let cases = cases::all();
    let cases: Vec<_> =
        cases.iter().filter(|case| case.decrypted_by.is_none() && takes(case.hook, &case.frame)).collect();
    assert!(cases.len() > 150, "only {} cases are left", cases.len());
    let mut wrong = Vec::new();
    for constants in Constants::ALL {
        let mut kernel = Kernel::load(constants)?;
        for case in cases.iter().filter(|case| case.world.constants == constants) {
            let complaint = judge(&mut kernel, case).with_context(|| format!("{:?}", case.name)).err();
            wrong.extend(complaint.map(|error| format!("{error:#}")));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn judge(kernel: &mut Kernel, case: &Case) -> Result<()> {
    kernel.tell(&case.world)?;
    let before = Counts::read(kernel, case)?;
    let action = kernel.verdict(case.hook, &case.frame)?;
    ensure!(action == case.action, "{action:?}");
    let after = Counts::read(kernel, case)?;
    let len = case.frame.len() as u64;
    let one = |was: Counter| Counter { packets: was.packets + 1, bytes: was.bytes + len };
    ensure!(after.packets == before.packets + 1, "counted {} times", after.packets - before.packets);
    ensure!(after.reason == one(before.reason), "{:?} instead of {:?}", kernel.reasons()?, case.reason);
    ensure!(after.hit == case.hit.map(|_| one(before.hit.unwrap_or_default())), "hit {:?}", kernel.hits()?);
    ensure!(after.hits == before.hits + u64::from(case.hit.is_some()), "hits {:?}", kernel.hits()?);
    ensure!(after.flows == before.flows + u64::from(case.flow.is_some()), "flows {after:?} {before:?}");
    if let (Some(flow), Some(expected)) = (after.flow, case.flow) {
        ensure!(flow.counter == one(before.flow.unwrap_or_default().counter), "{flow:?} after {before:?}");
        ensure!(flow.span_ns.0 > 0 && flow.span_ns.0 <= flow.span_ns.1, "{flow:?}");
        ensure!(expected.tunnel == 0 || after.tunnel == one(before.tunnel), "{after:?} after {before:?}");
    }
    ensure!(case.flow.is_none() || after.flow.is_some(), "no flow");
    Ok(())
}

/// The counters that one case may move.
#[derive(Debug)]
struct Counts {
    /// Packets over all reasons.
    packets: u64,
    reason: Counter,
    flow: Option<SeenFlow>,
    /// Packets over all flows.
    flows: u64,
    tunnel: Counter,
    hit: Option<Counter>,
    /// Packets over all hits.
    hits: u64,
}

impl Counts {
    fn read(kernel: &Kernel, case: &Case) -> Result<Self> {
        let (known, ghosts) = (kernel.flows(true)?, kernel.flows(false)?);
        let hits = kernel.hits()?;
        let key = case.flow.map(|flow| {
            let direction = flow.direction.as_raw();
            (SeenKey { dst: addr(flow.dst), spi: flow.spi, direction, pad: 0, iface: 0 }, flow)
        });
        let hit = case.hit.map(|(guard, mode, policy)| GuardKey {
            policy,
            guard: guard.as_raw(),
            mode: mode.as_raw(),
            pad: [0; 2],
        });
        let tunnel = case.flow.map_or((0, Direction::In), |flow| (flow.tunnel, flow.direction));
        Ok(Self {
            packets: kernel.reasons()?.iter().map(|(_, _, _, counter)| counter.packets).sum(),
            reason: kernel.reason(case.hook, case.reason, case.action)?,
            flow: key.and_then(|(key, flow)| if flow.known { &known } else { &ghosts }.get(&key).copied()),
            flows: known.values().chain(ghosts.values()).map(|flow| flow.counter.packets).sum(),
            tunnel: kernel.tunnel(tunnel.0, tunnel.1)?,
            hit: hit.and_then(|key| hits.get(&key).copied()),
            hits: hits.values().map(|counter| counter.packets).sum(),
        })
    }
}

#[test]
#[ignore = "T2: root, bpf"]
fn a_flow_keeps_its_first_source_and_adds_up() -> Result<()> {
    let cases = cases::all();
    let case = cases.iter().find(|case| case.name == "IPv4").context("the plainest case")?;
    let flow = case.flow.context("a known flow")?;
    let mut kernel = Kernel::load(case.world.constants)?;
    kernel.tell(&case.world)?;
    // The source is at 26: other packets of the flow come from elsewhere.
    let mut moved = case.frame.clone();
    moved[26..30].copy_from_slice(&[10, 99, 99, 9]);
    kernel.verdict(Hook::Xdp, &case.frame)?;
    for _ in 0..9 {
        kernel.verdict(Hook::Xdp, &moved)?;
    }
    let key = SeenKey { dst: addr(flow.dst), spi: flow.spi, direction: 0, pad: 0, iface: 0 };
    let seen = kernel.flows(true)?.remove(&key).context("the flow")?;
    assert_eq!(seen.counter, Counter { packets: 10, bytes: 10 * case.frame.len() as u64 });
    assert_eq!(seen.src, Some(Addr::from_v4([10, 66, 66, 1])));
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn random_frames_end_in_the_kernel_as_on_the_host() -> Result<()> {
    const FRAMES: usize = 2_000;
    let mut frames = strategy::runner(7);
    for constants in Constants::ALL {
        let frame = |_| strategy::sample(&mut frames, &strategy::frame());
        let some: Vec<_> = (0..FRAMES / Constants::ALL.len()).map(frame).collect();
        let ran = agree(constants, &some)?;
        ensure!(ran > FRAMES as u64 / 2, "only {ran} frames were taken");
    }
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn the_corpus_of_the_fuzzer_ends_in_the_kernel_as_on_the_host() -> Result<()> {
    let frames = corpus::read()?;
    for constants in Constants::ALL {
        let ran = agree(constants, &frames)?;
        let all = (frames.len() * Hook::ALL.len()) as u64;
        eprintln!("{ran} of {all} took part: BPF_PROG_TEST_RUN takes no shorter frames ({constants:?})");
        ensure!(ran > all / 2, "only {ran} of {all} frames were taken");
    }
    Ok(())
}

/// Sends each frame through each hook that takes it, here and in the kernel; how often that was.
fn agree(constants: Constants, frames: &[Vec<u8>]) -> Result<u64> {
    let mut kernel = Kernel::load(constants)?;
    let world = World { constants, ..strategy::guarded() };
    kernel.tell(&world)?;
    let mut ran = 0;
    for frame in frames {
        for hook in Hook::ALL.into_iter().filter(|hook| takes(*hook, frame)) {
            let (action, seen) = host::run(&world, hook, frame, None);
            let reason = seen.reasons[0].1;
            let before = kernel.reason(hook, reason, action)?;
            let told = kernel.verdict(hook, frame).with_context(|| format!("{hook:?} {frame:02x?}"))?;
            let after = kernel.reason(hook, reason, action)?;
            let one = Counter { packets: before.packets + 1, bytes: before.bytes + frame.len() as u64 };
            ensure!((told, after) == (action, one), "{hook:?} {reason:?} {told:?}: {frame:02x?}");
            ran += 1;
        }
    }
    let counted: u64 = kernel.reasons()?.iter().map(|(_, _, _, counter)| counter.packets).sum();
    ensure!(counted == ran, "{ran} frames, {counted} counted");
    Ok(ran)
}

#[test]
#[ignore = "T2: root, bpf"]
fn the_empty_program_passes_and_counts_nothing() -> Result<()> {
    let kernel = Kernel::load(Constants::default())?;
    let (value, _) = kernel.run(esp_common::names::PROG_EMPTY, &[0; 64], 10)?;
    assert_eq!(value, 2);
    assert_eq!(kernel.reasons()?, Vec::<(Hook, Reason, Action, Counter)>::new());
    Ok(())
}

/// The datapath keeps what it has asked of the map of addresses.
#[test]
#[ignore = "T2: root, bpf"]
fn an_address_is_ours_from_the_moment_that_it_is_told() -> Result<()> {
    const TURNS: u64 = 4;
    let mut kernel = Kernel::load(Constants::default())?;
    let ours = World { sas: [].into(), ..World::lab() };
    let others = World { locals: [].into(), ..ours.clone() };
    let frame =
        Frame::v4(&Ipv4::new(PEER.parse::<Ipv4Addr>()?, US.parse::<Ipv4Addr>()?), &Payload::esp(SPI, 1, 64))
            .build();
    for turn in 1..=TURNS {
        for (world, reason, action) in
            [(&ours, Reason::UnknownSpi, Action::Drop), (&others, Reason::EspForeign, Action::Pass)]
        {
            kernel.tell(world)?;
            kernel.verdict(Hook::Xdp, &frame)?;
            kernel.verdict(Hook::Xdp, &frame)?;
            assert_eq!(kernel.reason(Hook::Xdp, reason, action)?.packets, 2 * turn, "{reason:?}");
        }
    }
    Ok(())
}
