//! Sticky, balanced, obedient, patient.

use super::*;
use esp_common::{Addr, Spi};
use proptest::prelude::*;

fn key(spi: u32) -> FlowKey {
    FlowKey::new(Addr::from_v4([10, 55, 55, 1]), Spi::new(0x1000 + spi))
}

fn cpus(list: &[u32]) -> BTreeSet<u32> {
    list.iter().copied().collect()
}

fn steering(list: &[u32]) -> Steering {
    let mut steering = Steering::default();
    steering.allow(cpus(list), (0..8).collect());
    steering
}

fn come(steering: &mut Steering, spi: u32, wish: Wish) -> Option<u32> {
    steering.wish(key(spi), wish);
    steering.seat(&key(spi), spi, None)
}

fn loads(of: impl Fn(u32) -> Load) -> BTreeMap<u32, Load> {
    (0..8).map(|cpu| (cpu, of(cpu))).collect()
}

/// Makes all moves that are asked for; how many there were.
fn settle(steering: &mut Steering) -> usize {
    let moves = steering.moves(usize::MAX);
    moves.iter().for_each(|step| steering.moved(step));
    moves.len()
}

#[test]
fn without_cpus_nothing_is_steered() {
    let mut steering = steering(&[]);
    assert_eq!(come(&mut steering, 1, Wish::Any), None);
    assert_eq!(come(&mut steering, 2, Wish::Own(3)), None);
    assert!(!steering.is_on() && steering.needed().is_empty() && steering.moves(9).is_empty());
}

#[test]
fn what_never_comes_in_has_no_cpu() {
    let mut steering = steering(&[2, 3]);
    assert_eq!(come(&mut steering, 1, Wish::None), None);
    assert!(steering.moves(9).is_empty());
}

#[test]
fn a_cpu_of_its_own_wins_even_over_the_list_unless_it_does_not_run() {
    let mut steering = steering(&[2, 3]);
    assert_eq!(come(&mut steering, 1, Wish::Own(5)), Some(5));
    assert_eq!(steering.needed(), cpus(&[2, 3, 5]));
    assert_eq!(come(&mut steering, 2, Wish::Own(9)), Some(2));
    // The kernel names one later on.
    assert_eq!(come(&mut steering, 3, Wish::Any), Some(3));
    steering.wish(key(3), Wish::Own(2));
    assert_eq!(steering.moves(9), [Move { key: key(3), slot: 3, from: Some(3), to: Some(2) }]);
}

#[test]
fn an_sa_that_comes_back_has_the_cpu_that_it_had() {
    let mut steering = steering(&[2, 3]);
    for (found, cpu) in [(Some(3), 3), (Some(7), 2), (None, 2)] {
        steering.wish(key(1), Wish::Any);
        assert_eq!(steering.seat(&key(1), 1, found), Some(cpu), "{found:?}");
        steering.leave(&key(1));
    }
}

#[test]
fn a_cpu_that_goes_gives_its_sas_away_and_the_others_keep_theirs() {
    let mut steering = steering(&[2, 3, 4]);
    let before: Vec<_> = (0..9).map(|spi| come(&mut steering, spi, Wish::Any)).collect();
    steering.allow(cpus(&[2, 3, 4]), cpus(&[0, 2, 4]));
    assert_eq!(settle(&mut steering), 3);
    for (spi, cpu) in (0..).zip(before) {
        let now = steering.cpu(&key(spi));
        assert!(if cpu == Some(3) { matches!(now, Some(2 | 4)) } else { now == cpu }, "{spi}: {now:?}");
    }
    steering.allow(cpus(&[]), cpus(&[0, 2, 4]));
    assert_eq!(settle(&mut steering), 9);
    assert!(!steering.is_on() && steering.moves(9).is_empty());
}

#[test]
fn one_that_was_never_steered_is_asked_to_move_and_not_simply_put() {
    let mut steering = steering(&[2]);
    steering.wish(key(1), Wish::Any);
    assert!(steering.is_open(&key(1)));
    steering.adopt(key(1), 7, None);
    assert!(!steering.is_open(&key(1)) && steering.cpu(&key(1)).is_none());
    assert_eq!(steering.moves(9), [Move { key: key(1), slot: 7, from: None, to: Some(2) }]);
}

#[test]
fn a_new_sa_goes_where_the_packets_are_not() {
    let mut steering = steering(&[2, 3]);
    (0..4).for_each(|spi| _ = come(&mut steering, spi, Wish::Any));
    steering.round(&loads(|cpu| Load { packets: if cpu == 2 { 1_000 } else { 10 }, ..Load::default() }));
    // A mean SA has 252: four of them and CPU 3 has as much as CPU 2.
    let next: Vec<_> = (4..9).map(|spi| come(&mut steering, spi, Wish::Any)).collect();
    assert_eq!(next.iter().filter(|cpu| **cpu == Some(3)).count(), 5, "{next:?}");
}

#[test]
fn only_a_cpu_that_stays_overloaded_is_relieved_and_only_by_one_that_has_time() {
    let busy = |cpu: u32, other: u32| {
        loads(move |number| Load { busy: if number == cpu { 990 } else { other }, ..Load::default() })
    };
    let mut steering = steering(&[2, 3]);
    (0..32).for_each(|spi| _ = come(&mut steering, spi, Wish::Any));
    for _ in 1..PATIENCE {
        steering.round(&busy(2, 100));
        assert!(steering.moves(99).is_empty());
    }
    // One quiet round and the patience begins anew.
    steering.round(&busy(2, 100));
    assert_eq!(steering.moves(99).len(), 2);
    steering.round(&busy(9, 100));
    assert!(steering.moves(99).is_empty());
    for _ in 0..PATIENCE {
        steering.round(&busy(2, 800));
    }
    assert!(steering.moves(99).is_empty(), "the other has no time");
    steering.round(&busy(2, 100));
    let moves = steering.moves(99);
    assert!(moves.len() == 2 && moves.iter().all(|step| (step.from, step.to) == (Some(2), Some(3))));
    steering.moved(&moves[0]);
    steering.round(&busy(2, 100));
    assert!(steering.moves(99).is_empty(), "it must show first what that has brought");
}

#[test]
fn a_full_queue_is_overload_and_a_lone_sa_stays() {
    let full = loads(|cpu| Load { refused: u64::from(cpu == 2), busy: 10, ..Load::default() });
    let mut steering = steering(&[2, 3]);
    come(&mut steering, 0, Wish::Any);
    come(&mut steering, 1, Wish::Any);
    (0..PATIENCE).for_each(|_| steering.round(&full));
    assert!(steering.moves(9).is_empty());
    steering.allow(cpus(&[2]), (0..8).collect());
    settle(&mut steering);
    steering.allow(cpus(&[2, 3]), (0..8).collect());
    (0..PATIENCE).for_each(|_| steering.round(&full));
    assert_eq!(steering.moves(9).len(), 1);
}

#[test]
fn sas_that_never_pause_do_not_hold_up_the_others() {
    let mut steering = steering(&[2, 3]);
    (0..20).for_each(|spi| _ = come(&mut steering, spi, Wish::Any));
    steering.allow(cpus(&[4]), (0..8).collect());
    let mut asked = BTreeSet::new();
    for _ in 0..10 {
        steering.round(&BTreeMap::new());
        asked.extend(steering.moves(2).iter().map(|step| step.slot));
    }
    assert_eq!(asked.len(), 20);
}

#[derive(Clone, Debug)]
enum Step {
    Come(u32, Option<u32>),
    Leave(u32),
    Round(Vec<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u32..40, prop::option::weighted(0.1, 0_u32..10)).prop_map(|(spi, own)| Step::Come(spi, own)),
        1 => (0_u32..40).prop_map(Step::Leave),
        1 => prop::collection::vec(0_u64..1_000, 8).prop_map(Step::Round),
    ]
}

proptest! {
    #[test]
    fn sas_stay_where_they_are_while_nothing_is_overloaded(steps in prop::collection::vec(step(), 0..120)) {
        let mut steering = steering(&[2, 3, 5]);
        let mut model: BTreeMap<u32, (Wish, Option<u32>)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Come(spi, own) => {
                    let wish = own.map_or(Wish::Any, Wish::Own);
                    if model.contains_key(&spi) { continue; }
                    let cpu = come(&mut steering, spi, wish);
                    match own {
                        Some(own) if own < 8 => prop_assert_eq!(cpu, Some(own)),
                        _ => prop_assert!(matches!(cpu, Some(2 | 3 | 5))),
                    }
                    model.insert(spi, (wish, cpu));
                }
                Step::Leave(spi) => {
                    model.remove(&spi);
                    steering.leave(&key(spi));
                }
                Step::Round(packets) => {
                    steering.round(&loads(|cpu| Load { packets: packets[cpu as usize], ..Load::default() }));
                    prop_assert!(steering.moves(99).is_empty());
                }
            }
            for (spi, (_, cpu)) in &model {
                prop_assert_eq!(steering.cpu(&key(*spi)), *cpu);
            }
            for (number, cpu) in &steering.cpus {
                prop_assert_eq!(cpu.sas, model.values().filter(|(_, at)| at == &Some(*number)).count());
            }
        }
    }

    #[test]
    fn sas_without_load_are_spread_evenly(count in 1_u32..200) {
        let mut steering = steering(&[2, 3, 5]);
        (0..count).for_each(|spi| _ = come(&mut steering, spi, Wish::Any));
        let sas: Vec<_> = [2, 3, 5].map(|cpu| steering.cpus.get(&cpu).map_or(0, |cpu| cpu.sas)).into();
        prop_assert!(sas.iter().max().unwrap() - sas.iter().min().unwrap() <= 1, "{:?}", sas);
    }
}
