//! The compiled rules in the running kernel: the same verdict by the same policy as a plain walk on the host, and while
//! sets are switched under packets always that of one of the two.

use anyhow::{Context as _, Result, ensure};
use aya::{
    TestRun as _,
    programs::{SchedClassifier, TestRunOptions},
};
use esp_agent::{
    config::Sizes,
    datapath::{
        fill::Filler,
        image::Image,
        load::{self, Constants, Loaded},
        maps::Maps,
        pins::Pins,
    },
};
use esp_common::{ABI_VERSION, Counter, GuardKey, Hook, Mode, Rule, RuleAction, names};
use esp_tests::{
    host,
    kernel::{self, Kernel},
    netns::Netns,
    rules::{Kind, frame, rules, turn},
    strategy::{runner, sample},
    world::{World, rule},
};
use proptest::test_runner::TestRunner;
use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// What was counted so far, on the host.
type Hits = HashMap<GuardKey, Counter>;

/// Sends packets that are made of the rules; how many were run.
fn compare(
    kernel: &mut Kernel,
    rules: Vec<Rule>,
    frames: usize,
    runner: &mut TestRunner,
    hits: &mut Hits,
) -> Result<usize> {
    let out = rules.iter().any(|rule| rule.verdict & Rule::DIR_OUT != 0);
    let hook = if out { Hook::TcEgress } else { Hook::TcIngress };
    let world = World::lab().mode(Mode::Enforce);
    let world = if out { world.rules_out(rules.clone()) } else { world.rules_in(rules.clone()) };
    kernel.tell(&world)?;
    let mut ran = 0;
    for _ in 0..frames {
        let frame = frame(&sample(runner, &turn()).packet(&rules));
        if !kernel::takes(hook, &frame) {
            continue;
        }
        let (action, seen) = host::run(&world, hook, &frame, None);
        let verdict = kernel.verdict(hook, &frame)?;
        ensure!(verdict == action, "{verdict:?} and not {action:?}: {frame:02x?}");
        for (key, hit) in seen.hits {
            let sum = hits.entry(key).or_default();
            *sum = Counter { packets: sum.packets + hit.packets, bytes: sum.bytes + hit.bytes };
        }
        ran += 1;
    }
    // The policy of each hit, too.
    ensure!(kernel.hits()? == *hits, "other policies");
    Ok(ran)
}

#[test]
#[ignore = "T2: root, bpf"]
fn random_rules_judge_in_the_kernel_as_on_the_host() -> Result<()> {
    let (mut kernel, mut runner, mut hits) =
        (Kernel::load(kernel::Constants::default())?, runner(1), Hits::new());
    let mut ran = 0;
    for _ in 0..120 {
        let rules = sample(&mut runner, &rules(1..=300, Kind::Wild));
        ran += compare(&mut kernel, rules, 60, &mut runner, &mut hits)?;
    }
    ensure!(ran > 7_000, "only {ran} frames were taken");
    let dropped: u64 = hits.values().map(|hit| hit.packets).sum();
    ensure!(dropped > 200, "only {dropped} of {ran} hit a policy");
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn so_do_four_thousand() -> Result<()> {
    let (mut kernel, mut runner, mut hits) =
        (Kernel::load(kernel::Constants::default())?, runner(2), Hits::new());
    for _ in 0..4 {
        let rules = sample(&mut runner, &rules(4_000..=4_000, Kind::Plain));
        let ran = compare(&mut kernel, rules, 1_000, &mut runner, &mut hits)?;
        ensure!(ran > 950, "only {ran} frames were taken");
    }
    Ok(())
}

const SIZES: Sizes = Sizes { sas: 16, flows: 16, ghosts: 16 };
/// Rules of a set that is switched.
const RULES: u32 = 1_500;
/// Switches at least: under emulation each takes long.
const SWITCHES: u32 = 20;
/// Policies of the two sets that demand protection.
const DEMANDS: [u32; 2] = [7_001, 7_002];

/// A set that lets every second network in the clear and protects the others; which of them differs.
fn set(number: u32) -> Image {
    let net = |n: u32| format!("{}/24", Ipv4Addr::from(0x0a00_0000 + (n << 8)));
    let bypass = |n: u32| rule(Rule::DIR_IN, RuleAction::Bypass, &net(2 * n + number), "0.0.0.0/0", 10 + n);
    let all = rule(Rule::DIR_IN, RuleAction::Protect, "10.0.0.0/8", "0.0.0.0/0", DEMANDS[number as usize]);
    // The sets do not lie alike in their banks.
    let mut rules: Vec<_> = (0..RULES - number * 300).map(bypass).collect();
    rules.push(all);
    Image { rules_in: rules, ..Image::default() }
}

/// Networks that both sets protect, or both let pass, or one of them.
fn probes() -> Vec<(Vec<u8>, BTreeSet<u32>)> {
    let tcp = |n: u32| {
        let packet = esp_common::Selector {
            src: std::net::IpAddr::from(Ipv4Addr::from(0x0a00_0007 + (n << 8))).into(),
            dst: std::net::IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)).into(),
            sport: 1,
            dport: 2,
            proto: 6,
            family: 4,
            port_mask: u16::MAX,
        };
        frame(&packet)
    };
    let both = [TC_ACT_SHOT].into();
    let either: BTreeSet<u32> = [TC_ACT_SHOT, TC_ACT_UNSPEC].into();
    let protected = [3_100, 4_000, 5_000, 60_000].map(|n| (tcp(n), BTreeSet::clone(&both)));
    let of_one = [0, 1, 2, 3, 1_000, 1_001, 2_398, 2_399].map(|n| (tcp(n), either.clone()));
    protected.into_iter().chain(of_one).collect()
}

const TC_ACT_UNSPEC: u32 = -1_i32 as u32;
const TC_ACT_SHOT: u32 = 2;

/// Sends the probes until `done`: no verdict but those of the sets.
fn send(program: &SchedClassifier, done: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let probes = probes();
    let mut verdicts = vec![BTreeSet::new(); probes.len()];
    while !done.load(Ordering::Relaxed) {
        for ((frame, allowed), seen) in probes.iter().zip(&mut verdicts) {
            // The kernel tells the last verdict alone: one packet at a time, and many in between, counted by policy.
            for repeat in [1, 50] {
                let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
                let verdict = program.test_run(options)?.return_value;
                ensure!(allowed.contains(&verdict), "a verdict of neither set: {verdict}");
                seen.insert(verdict);
                sent.fetch_add(repeat.into(), Ordering::Relaxed);
            }
        }
    }
    let both = verdicts.iter().zip(&probes).all(|(seen, (_, allowed))| seen == allowed);
    ensure!(both, "not all verdicts were seen: {verdicts:?}");
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn sets_that_are_switched_under_packets_judge_by_one_of_them() -> Result<()> {
    Netns::new("switch")?.run_in(|| {
        let pins = Pins::new(format!("/sys/fs/bpf/esp-agent/v{ABI_VERSION}/test"));
        load::maps(&pins, &SIZES)?;
        let mut filler = Filler::open(Maps::open(&pins)?)?;
        let mut loaded = load::programs(&pins, &SIZES, Constants::default())?;
        filler.fill(&set(0))?;
        filler.set(|settings| {
            settings.modes = [Mode::Enforce.as_raw(); 4];
            (settings.synced, settings.lease_ns) = (1, u64::MAX);
        })?;
        let program: &SchedClassifier = tc_in(&mut loaded)?;
        let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut switched = 0_u32;
        thread::scope(|scope| {
            let senders: Vec<_> = (0..2).map(|_| scope.spawn(|| send(program, &done, &sent))).collect();
            let until = Instant::now() + Duration::from_secs(4);
            let filled = (1..)
                .take_while(|number| *number <= SWITCHES || Instant::now() < until)
                .try_for_each(|number| {
                    switched = number;
                    let notes = filler.fill(&set(number % 2))?;
                    ensure!(notes.is_empty(), "{notes:?}");
                    ensure!(!senders.iter().any(|sender| sender.is_finished()), "a sender ended");
                    Ok(())
                });
            done.store(true, Ordering::Relaxed);
            let ended: Vec<_> = senders.into_iter().map(|sender| sender.join().expect("a sender")).collect();
            ended.into_iter().chain([filled]).collect::<Result<Vec<_>>>()
        })?;
        let sent = sent.into_inner();
        eprintln!("{switched} switches under {sent} packets");
        ensure!(switched >= SWITCHES && sent > 20_000, "{switched} switches, {sent} packets");
        let hit: BTreeSet<u32> = filler
            .maps()
            .guard_hits
            .iter()
            .map(|entry| Ok(entry?.0.policy))
            .collect::<Result<_, aya::maps::MapError>>()?;
        ensure!(hit == BTreeSet::from(DEMANDS), "hits of {hit:?}");
        pins.remove()?;
        Ok(())
    })
}

fn tc_in(loaded: &mut Loaded) -> Result<&SchedClassifier> {
    Ok(loaded.tc(names::PROG_TC_IN).context("no such program")?)
}
