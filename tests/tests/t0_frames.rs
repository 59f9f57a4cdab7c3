//! Every frame of the shared table ends as it says, and no other frame does what none may do. Host only.

use esp_common::{
    Action, Budgets, Direction, FlowKey, Guard, GuardKey, Hook, LARVAL_NS, LEASE_NS, Mode, Reason, Sampling,
    SeenKey, Spi, Transit,
};
use esp_datapath::Place;
use esp_tests::{
    cases::{self, Case},
    frame::{Frame, Ipv4, Payload},
    host, strategy,
    tables::{Bytes, Memory, Seen},
    world::{OTHER, PEER, SPI, US, World, addr, through},
};
use proptest::prelude::*;
use std::net::Ipv4Addr;

#[test]
fn every_case_ends_as_the_table_says() {
    let wrong: Vec<String> = cases::all().iter().filter_map(|case| complaint(case).err()).collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_dropped_packet_is_told_where_samples_are_asked_for() {
    let frame = |to: &str| {
        let [from, to] = [PEER, to].map(|text| text.parse::<Ipv4Addr>().expect("IPv4"));
        Frame::v4(&Ipv4::new(from, to), &Payload::esp(0x8000_0001, 1, 64)).build()
    };
    let told = |interval_ns, frame: &[u8]| {
        let mut world = World::lab();
        world.settings.sampling = Sampling { interval_ns, burst_ns: 1 };
        let (action, seen) = host::run(&world, Hook::Xdp, frame, None);
        (action, seen.samples)
    };
    let (action, samples) = told(1, &frame(US));
    let [sample] = samples[..] else { panic!("{samples:?}") };
    assert_eq!((action, sample.src, sample.dst), (Action::Drop, addr(PEER), addr(US)));
    assert_eq!((sample.reason, sample.hook), (Reason::UnknownSpi.as_raw(), Hook::Xdp.as_raw()));
    assert_eq!(sample.upper, [0x80, 0, 0, 1, 0, 0, 0, 1][..sample.upper.len()]);
    assert_eq!(told(0, &frame(US)), (Action::Drop, Vec::new()));
    assert_eq!(told(1, &frame(OTHER)), (Action::Pass, Vec::new()));
}

/// What cannot be sent on is left to the stack and counted as that.
#[test]
fn transit_that_is_no_plain_case_passes() {
    let esp = |to: &str| {
        let [from, to] = [OTHER, to].map(|text| text.parse::<Ipv4Addr>().expect("IPv4"));
        Frame::v4(&Ipv4::new(from, to), &Payload::esp(SPI, 1, 64)).build()
    };
    for transit in [Transit::All, Transit::Known] {
        let mut world = World::lab();
        world.settings.transit = transit.as_raw();
        for (to, reason) in
            [(PEER, Reason::EspKnown), (US, Reason::EspKnown), ("10.99.99.8", Reason::EspForeign)]
        {
            let frame = esp(to);
            let (action, seen) = host::run(&world, Hook::Xdp, &frame, None);
            let len = u32::try_from(frame.len()).expect("short");
            assert_eq!(
                (action, seen.reasons),
                (Action::Pass, vec![(Hook::Xdp, reason, Action::Pass, len)]),
                "{to}"
            );
        }
    }
}

fn complaint(case: &Case) -> Result<(), String> {
    let (action, seen) = host::run(&case.world, case.hook, &case.frame, case.decrypted_by);
    let len = u32::try_from(case.frame.len()).expect("a short frame");
    let reasons = [(case.hook, case.reason, case.action, len)];
    let flows: Vec<_> = case
        .flow
        .iter()
        .map(|flow| {
            let key = SeenKey {
                dst: addr(flow.dst),
                spi: flow.spi,
                direction: flow.direction.as_raw(),
                pad: 0,
                iface: 0,
            };
            (key, flow.known, 1, u64::from(len))
        })
        .collect();
    let seen_flows: Vec<_> =
        seen.flows.iter().map(|((key, known), flow)| (*key, *known, flow.packets, flow.bytes)).collect();
    let tunnels: Vec<_> =
        case.flow.iter().filter(|flow| flow.tunnel != 0).map(|flow| (flow.tunnel, flow.direction)).collect();
    let hits: Vec<_> = case
        .hit
        .iter()
        .map(|(guard, mode, policy)| GuardKey {
            policy: *policy,
            guard: guard.as_raw(),
            mode: mode.as_raw(),
            pad: [0; 2],
        })
        .collect();
    let right = action == case.action
        && seen.reasons == reasons
        && seen_flows == flows
        && seen.tunnels.keys().copied().collect::<Vec<_>>() == tunnels
        && seen.hits.keys().copied().collect::<Vec<_>>() == hits;
    if right {
        Ok(())
    } else {
        Err(format!(
            "{} ({:?}): {action:?}, {seen:?}, expected {:?} {flows:?} {hits:?}",
            case.name, case.hook, case.reason
        ))
    }
}

#[test]
fn the_table_has_every_reason() {
    let cases = cases::all();
    // A single packet is never over budget: see below.
    for reason in Reason::ALL.iter().filter(|reason| !reason.is_over_budget()) {
        assert!(cases.iter().any(|case| case.reason == *reason), "no case ends in {reason:?}");
    }
}

#[test]
fn the_table_has_every_guard_in_every_mode() {
    let cases = cases::all();
    for guard in Guard::ALL {
        for mode in [Mode::Observe, Mode::Enforce] {
            let hit = cases
                .iter()
                .any(|case| matches!(case.hit, Some((which, how, _)) if which == guard && how == mode));
            assert!(hit, "no case hits {guard:?} in {mode:?}");
        }
        let off = cases.iter().any(|case| case.world.settings.mode(guard) == Mode::Off);
        assert!(off, "no case has {guard:?} off");
    }
}

#[test]
fn the_second_packet_is_over_a_budget_without_a_burst() {
    let known = Frame::v4(&Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]), &Payload::esp(SPI, 1, 64)).build();
    let strange =
        Frame::v4(&Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]), &Payload::esp(0xdead, 1, 64)).build();
    let none = Budgets::default();
    for (budgets, frame, reasons) in [
        (Budgets { sa_ns: 1_000, ..none }, &known, [Reason::EspKnown, Reason::SaBudget]),
        (Budgets { peer_ns: 1_000, ..none }, &known, [Reason::EspKnown, Reason::PeerBudget]),
        // What the peer has no budget for costs the SA nothing.
        (Budgets { sa_ns: 1, peer_ns: 1_000, ..none }, &known, [Reason::EspKnown, Reason::PeerBudget]),
        (Budgets { unknown_ns: 1_000, ..none }, &strange, [Reason::UnknownSpi, Reason::UnknownBudget]),
        (Budgets { unknown_ns: 1_000, ..none }, &known, [Reason::EspKnown; 2]),
        (Budgets { sa_ns: 1_000, peer_ns: 1_000, ..none }, &strange, [Reason::UnknownSpi; 2]),
    ] {
        let mut world = World::lab();
        world.settings.budgets = budgets;
        let memory = Memory::new(world.clone());
        let packet = Bytes { frame, decrypted_by: None, in_sad: Some(&[]), steered: false };
        let actions = [(); 2].map(|()| host::pass(&memory, &host::place(&world), Hook::Xdp, &packet));
        assert_eq!(memory.seen().reasons.iter().map(|row| row.1).collect::<Vec<_>>(), reasons, "{budgets:?}");
        assert_eq!(actions[1] == Action::Drop, reasons[1] != Reason::EspKnown, "{budgets:?}");
        // The budget costs no count.
        assert_eq!(memory.seen().flows.values().map(|flow| flow.packets).sum::<u64>(), 2);
    }
}

/// What passes of an SA goes to its CPU; all else is as without steering, and so are the counts.
#[test]
fn only_what_passes_of_an_sa_is_handed_to_its_cpu() {
    let v4 = Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]);
    let [known, natt] = [Payload::esp(SPI, 1, 64), Payload::natt_esp(SPI, 2, 64)];
    let [strange, keepalive] = [Payload::esp(0xdead, 1, 64), Payload::natt_keepalive()];
    for (payload, reason, action) in [
        (&known, Reason::EspKnown, Action::Redirect),
        (&natt, Reason::EspKnown, Action::Redirect),
        (&strange, Reason::UnknownSpi, Action::Drop),
        (&keepalive, Reason::NatKeepalive, Action::Pass),
    ] {
        let frame = Frame::v4(&v4, payload).build();
        for (steer, steered) in [(0, true), (1, false), (1, true)] {
            let mut world = World::lab();
            world.settings.steer = steer;
            let (memory, plain) = (Memory::new(world.clone()), Memory::new(World::lab()));
            let packet = Bytes { frame: &frame, decrypted_by: None, in_sad: Some(&[]), steered };
            let usual = host::pass(&plain, &host::place(&World::lab()), Hook::Xdp, &packet);
            let got = host::pass(&memory, &host::place(&world), Hook::Xdp, &packet);
            let wanted = if steer == 1 && steered { action } else { usual };
            assert_eq!((memory.seen().reasons[0].1, got), (reason, wanted));
            assert_eq!(memory.seen().flows, plain.seen().flows);
        }
    }
}

/// What is over a budget is dropped, on whatever CPU it would have been decrypted.
#[test]
fn what_is_dropped_goes_to_no_cpu() {
    let frame = Frame::v4(&Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]), &Payload::esp(SPI, 1, 64)).build();
    let mut world = World::lab();
    world.settings.steer = 1;
    world.settings.budgets = Budgets { sa_ns: 1_000, ..Budgets::default() };
    let (memory, place) = (Memory::new(world.clone()), host::place(&world));
    let packet = Bytes { frame: &frame, decrypted_by: None, in_sad: None, steered: true };
    let actions = [(); 2].map(|()| host::pass(&memory, &place, Hook::Xdp, &packet));
    assert_eq!(actions, [Action::Redirect, Action::Drop]);
}

/// An SA that the kernel has and our table not yet: at XDP the kernel itself is asked before anything is dropped.
#[test]
fn the_kernel_is_asked_before_an_unknown_spi_is_dropped() {
    let (us, new) = (addr(US), Spi::new(0x0bad_cafe));
    let from_peer = Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]);
    let frame = Frame::v4(&from_peer, &Payload::esp(new.number(), 1, 64)).build();
    let before = [FlowKey::new(us, Spi::new(1))];
    let after = [before[0], FlowKey::new(us, new)];
    // Where it cannot be asked, the picture must be complete of a moment by which what was larval then has its keys.
    let [young, old] = [0, 2 * host::NOW_NS + 10_000_000].map(|more| LEASE_NS + LARVAL_NS + more);
    for (in_sad, lease_ns, reason) in [
        (Some(&after[..]), old, Reason::EspKnown),
        (Some(&before[..]), young, Reason::UnknownSpi),
        (None, old, Reason::UnknownSpi),
        (None, young, Reason::UnknownUnsynced),
    ] {
        let mut world = World::lab();
        world.settings.lease_ns = lease_ns;
        let memory = Memory::new(world.clone());
        let packet = Bytes { frame: &frame, decrypted_by: None, in_sad, steered: false };
        host::pass(&memory, &host::place(&world), Hook::Xdp, &packet);
        assert_eq!(memory.seen().reasons[0].1, reason, "{in_sad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_keep_the_rules(frame in strategy::noise(), world in strategy::world(), decrypted in any::<bool>()) {
        keeps_the_rules(&world, &frame, decrypted)?;
    }

    #[test]
    fn broken_frames_keep_the_rules(frame in strategy::mutant(), world in strategy::world(), decrypted in any::<bool>()) {
        keeps_the_rules(&world, &frame, decrypted)?;
    }

    #[test]
    fn counters_add_up(frames in prop::collection::vec(strategy::frame(), 1..20), world in strategy::world()) {
        let memory = Memory::new(world.clone());
        let place = host::place(&world);
        for frame in &frames {
            host::pass(&memory, &place, Hook::Xdp, &Bytes { frame, decrypted_by: None, in_sad: None, steered: false });
        }
        let seen = memory.seen();
        prop_assert_eq!(seen.reasons.len(), frames.len());
        let esp = seen.reasons.iter().filter(|(_, reason, _, _)| has_flow(*reason)).count() as u64;
        prop_assert_eq!(seen.flows.values().map(|flow| flow.packets).sum::<u64>(), esp);
    }
}

fn keeps_the_rules(world: &World, frame: &[u8], decrypted: bool) -> Result<(), TestCaseError> {
    let decrypted_by = decrypted.then(|| through(esp_tests::world::PEER));
    let place = host::place(world);
    for hook in Hook::ALL {
        let (action, seen) = host::run(world, hook, frame, decrypted_by);
        prop_assert_eq!(seen.reasons.len(), 1);
        let (at, reason, counted, len) = seen.reasons[0];
        prop_assert_eq!((at, counted, len as usize), (hook, action, frame.len()));
        drops_only_what_it_may(&place, reason, action, &seen)?;
        counts_flows_once(world, &place, hook, reason, &seen)?;
    }
    Ok(())
}

fn drops_only_what_it_may(
    place: &Place<'_>,
    reason: Reason,
    action: Action,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let mode = reason.guard().map_or(Mode::Off, |guard| place.settings.mode(guard));
    let trusted = place.settings.synced == 1 && place.now_ns < place.settings.lease_ns;
    let expected = if mode == Mode::Enforce && trusted { Action::Drop } else { Action::Pass };
    prop_assert_eq!(action, expected);
    prop_assert_eq!(seen.hits.len(), usize::from(mode != Mode::Off));
    for (key, counter) in &seen.hits {
        prop_assert_eq!(Guard::from_raw(key.guard), reason.guard());
        prop_assert_eq!(Mode::from_raw(key.mode) == Mode::Enforce, action == Action::Drop);
        prop_assert_eq!(counter.packets, 1);
    }
    Ok(())
}

/// A flow is counted exactly where its ESP is judged, as known exactly if an SA is there.
fn counts_flows_once(
    world: &World,
    place: &Place<'_>,
    hook: Hook,
    reason: Reason,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let packets: u64 = seen.flows.values().map(|flow| flow.packets).sum();
    let judged = hook != Hook::TcIngress || place.outer_at_tc;
    if has_flow(reason) {
        prop_assert_eq!(packets, 1);
    }
    // Clear text that is ESP of others is counted as a flow and caught by its policy.
    prop_assert!(
        packets == 0
            || judged && (has_flow(reason) || matches!(reason, Reason::CleartextIn | Reason::CleartextOut))
    );
    for (key, known) in seen.flows.keys() {
        prop_assert_eq!(*known, world.sas.contains_key(&FlowKey::new(key.dst, key.spi)));
        prop_assert_eq!(
            Direction::from_raw(key.direction),
            if hook == Hook::TcEgress { Direction::Out } else { Direction::In }
        );
        prop_assert_eq!(*known, reason == Reason::EspKnown);
    }
    Ok(())
}

fn has_flow(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::EspKnown
            | Reason::EspForeign
            | Reason::UnknownSpi
            | Reason::UnknownUnsynced
            | Reason::SpiZero
            | Reason::SpiReserved
    )
}
