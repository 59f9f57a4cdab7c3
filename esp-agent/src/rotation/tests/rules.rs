//! Which keys are taken, and which generation is in force.

use super::world::*;
use crate::failure::Failure;
use crate::rotation::{Phase, RotationError, Timing};
use std::time::Duration;

const OLD: (u32, u32) = (300, 301);

fn finish(world: &mut World, agent: &mut Agent) {
    while agent.rotations.entry("b").unwrap().is_under_way() {
        world.pass(Duration::from_secs(1));
        agent.tick(&world.now).unwrap();
    }
}

fn rotate(world: &mut World, agent: &mut Agent, to: (u32, u32)) {
    agent.begin(to, timing(&world.now, 1, 1), &world.now).unwrap();
    finish(world, agent);
}

fn in_force(world: &World) -> (u32, u32) {
    let [inbound, outbound] = world.spis();
    assert_eq!((inbound.len(), outbound.len()), (1, 1));
    (*inbound.first().unwrap(), *outbound.first().unwrap())
}

#[test]
fn retired_keys_never_come_back_and_new_ones_in_the_file_are_taken() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    rotate(&mut world, &mut agent, (400, 401));
    rotate(&mut world, &mut agent, (500, 501));
    for (named, wanted, overridden) in [
        (OLD, (500, 501), true),
        ((400, 401), (500, 501), true),
        ((500, 501), (500, 501), false),
        ((700, 701), (700, 701), false),
        (OLD, (500, 501), true),
    ] {
        let agent = world.start(&text(named)).unwrap();
        assert_eq!(in_force(&world), wanted, "the file names {named:?}");
        assert_eq!(agent.rotations.rows().len(), usize::from(overridden), "the file names {named:?}");
        world.reboot();
    }
}

#[test]
fn a_rotation_from_keys_that_the_file_named_anew_goes_on_counting() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    rotate(&mut world, &mut agent, (400, 401));
    let mut agent = world.start(&text((700, 701))).unwrap();
    rotate(&mut world, &mut agent, (800, 801));
    assert_eq!(agent.rotations.entry("b").unwrap().generation, 2);
    for named in [OLD, (400, 401), (700, 701)] {
        drop(world.start(&text(named)).unwrap());
        assert_eq!(in_force(&world), (800, 801), "the file names {named:?}");
    }
}

#[test]
fn keys_that_are_not_fresh_or_do_not_fit_are_refused() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    rotate(&mut world, &mut agent, (400, 401));
    let now = world.now.clone();
    let mut refused = |keying, local| {
        let timing = timing(&now, 1, 1);
        match agent.rotations.begin("b", local, keying, timing, &agent.config, &now) {
            Err(error) => error,
            Ok(_) => panic!("taken"),
        }
    };
    for pair in [OLD, (400, 401), (300, 999), (999, 401)] {
        let error = refused(keying(pair), LOCAL);
        assert!(matches!(error, RotationError::Used { .. }), "{pair:?}: {error}");
    }
    let mut same = keying((900, 901));
    same.outbound.enc = keys(401).enc;
    assert!(matches!(refused(same, LOCAL), RotationError::SameKey { .. }));
    let mut swapped = keying((900, 901));
    swapped.inbound = crate::rotation::KeySet { spi: 900, ..keys(901) };
    assert!(matches!(refused(swapped, LOCAL), RotationError::SameKey { .. }));
    let mut aead = keying((900, 901));
    (aead.inbound.aead, aead.inbound.enc) = (aead.inbound.enc, None);
    assert!(matches!(refused(aead, LOCAL), RotationError::Lengths { .. }));
    let peer = refused(keying((900, 901)), "10.66.66.1".parse().unwrap());
    assert!(peer.to_string().contains("take the other file of the pair"), "{peer}");
}

#[test]
fn one_at_a_time_by_command_and_given_up() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    let timing = Timing { outbound: None, grace: Duration::from_secs(3600) };
    agent.begin((400, 401), timing.clone(), &world.now).unwrap();
    let second = agent.begin((500, 501), timing.clone(), &world.now).unwrap_err();
    assert!(is_under_way(&second), "{second}");
    assert_eq!(agent.rotations.wait(&world.now), None, "only a command goes on");

    agent.rotations.cancel("b").unwrap();
    agent.converge().unwrap();
    assert_eq!(in_force(&world), OLD);
    let again = agent.begin((400, 401), timing.clone(), &world.now).unwrap_err();
    assert!(matches!(again, Failure::Rotation(RotationError::Used { .. })), "{again}");

    agent.begin((500, 501), timing, &world.now).unwrap();
    agent.rotations.switch("b", &world.now).unwrap();
    agent.converge().unwrap();
    assert_eq!(agent.rotations.entry("b").unwrap().phase(), Phase::Switching);
    assert!(agent.rotations.switch("b", &world.now).is_err());
    assert!(agent.rotations.finish("b", &world.now).is_err(), "packets may still choose the old SA");
    assert!(agent.rotations.cancel("b").is_err(), "there is no way back behind the switch");
    world.pass(Duration::from_secs(1));
    agent.tick(&world.now).unwrap();
    agent.rotations.finish("b", &world.now).unwrap();
    agent.converge().unwrap();
    assert_eq!(in_force(&world), (500, 501));
}

#[test]
fn what_is_kept_holds_the_old_keys_no_longer_than_it_must() {
    let mut world = World::new();
    let mut agent = world.start(&text(OLD)).unwrap();
    let hex = |spi| const_hex::encode(keys(spi).enc.unwrap().expose());
    agent.begin((400, 401), timing(&world.now, 1, 1), &world.now).unwrap();
    assert!(world.disk().contains(&hex(301)) && world.disk().contains(&hex(401)));
    finish(&mut world, &mut agent);
    assert!(!world.disk().contains(&hex(301)) && world.disk().contains(&hex(401)));
    let shown = format!("{:?} {:?}", agent.rotations.rows(), agent.rotations.entry("b"));
    assert!(!shown.contains(&hex(401)), "{shown}");
}
