//! `kill -9` and reboots at every moment of a rotation.

use super::world::*;
use crate::rotation::Phase;
use std::collections::BTreeSet;
use std::time::Duration;

const OLD: (u32, u32) = (300, 301);
const NEW: (u32, u32) = (400, 401);
/// Half changes of a whole rotation are fewer.
const ENOUGH: usize = 120;

fn set<const N: usize>(spis: [u32; N]) -> BTreeSet<u32> {
    spis.into()
}

#[test]
fn the_phases_come_in_their_order_and_leave_no_gap() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    let policies = world.policies();
    agent.begin(NEW, timing(&world.now, 5, 10), &world.now).unwrap();
    for (wait_ms, phase, inbound, outbound) in [
        (0, Phase::Prepared, set([300, 400]), set([301])),
        (4_900, Phase::Prepared, set([300, 400]), set([301])),
        (200, Phase::Switching, set([300, 400]), set([301, 401])),
        (1_000, Phase::Draining, set([300, 400]), set([401])),
        (9_900, Phase::Draining, set([300, 400]), set([401])),
        (200, Phase::Done, set([400]), set([401])),
    ] {
        world.pass(Duration::from_millis(wait_ms));
        agent.tick(&world.now).unwrap();
        assert_eq!(agent.rotations.entry("b").unwrap().phase(), phase);
        assert_eq!(world.spis(), [inbound, outbound], "{phase:?}");
        assert_eq!(world.policies(), policies);
    }
    world.assert_no_gap("in a rotation without a fault");
}

/// Lives through a rotation; false when the agent died.
fn live(world: &mut World) -> bool {
    let Ok(mut agent) = world.start(&text(OLD)) else { return false };
    let asked = match agent.rotations.entry("b") {
        None => agent.begin(NEW, timing(&world.now, 5, 10), &world.now),
        Some(_) => Ok(()),
    };
    if asked.is_err() {
        return false;
    }
    while agent.rotations.entry("b").unwrap().is_under_way() {
        world.pass(Duration::from_millis(500));
        if agent.tick(&world.now).is_err() {
            return false;
        }
    }
    true
}

#[test]
fn after_a_crash_at_any_moment_it_goes_on() {
    let mut finished = false;
    for fuel in 0..ENOUGH {
        let mut world = World::new();
        drop(world.start(&text(OLD)).unwrap());
        world.live_for(Some(fuel));
        finished = live(&mut world);
        world.live_for(None);
        assert!(live(&mut world), "after {fuel} half changes");
        assert_eq!(world.spis(), [set([400]), set([401])], "after {fuel} half changes");
        world.assert_no_gap(&format!("after {fuel} half changes"));
        if finished {
            break;
        }
    }
    assert!(finished, "more half changes than are looked at");
}

#[test]
fn after_a_reboot_at_any_moment_it_goes_on() {
    for fuel in 0..ENOUGH {
        let mut world = World::new();
        drop(world.start(&text(OLD)).unwrap());
        world.live_for(Some(fuel));
        let finished = live(&mut world);
        world.live_for(None);
        world.reboot();
        assert!(live(&mut world), "after {fuel} half changes");
        assert_eq!(world.spis(), [set([400]), set([401])], "after {fuel} half changes");
        if finished {
            return;
        }
    }
    panic!("more half changes than are looked at");
}

#[test]
fn a_phase_that_the_kernel_refuses_is_tried_again() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    world.refuse();
    assert!(agent.begin(NEW, timing(&world.now, 5, 10), &world.now).is_err());
    assert_eq!(world.spis(), [set([300]), set([301])]);
    assert!(agent.rotations.entry("b").is_none(), "a refused beginning is none");

    agent.begin(NEW, timing(&world.now, 5, 10), &world.now).unwrap();
    world.pass(Duration::from_secs(6));
    world.refuse();
    assert!(agent.tick(&world.now).is_err());
    assert_eq!(world.spis(), [set([300, 400]), set([301])]);
    agent.tick(&world.now).unwrap();
    assert_eq!(world.spis()[1], set([301, 401]));
}

#[test]
fn a_full_disk_leaves_everything_as_it_is() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    world.fill_disk(true);
    let refused = agent.begin(NEW, timing(&world.now, 5, 10), &world.now).unwrap_err();
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    assert_eq!(world.spis(), [set([300]), set([301])]);
    world.fill_disk(false);
    agent.begin(NEW, timing(&world.now, 5, 10), &world.now).unwrap();
    world.fill_disk(true);
    world.pass(Duration::from_secs(6));
    assert!(agent.tick(&world.now).is_err());
    assert_eq!(world.spis(), [set([300, 400]), set([301])]);
}
