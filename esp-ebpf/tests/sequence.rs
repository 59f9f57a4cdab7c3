//! What sequence numbers tell, against a plain model that remembers everything.

use esp_common::sequence::{BLOCK, Numbers, RING, Sight, WORDS};
use esp_datapath::{
    Words,
    sequence::{Sequence, next},
};
use proptest::prelude::*;
use std::{
    array,
    collections::BTreeSet,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

/// Packets in a row that prove that a peer began anew.
const ENOUGH: u64 = 4;

struct Shared {
    head: [AtomicU64; 1],
    rest: [AtomicU64; WORDS],
}

#[derive(Clone, Copy)]
struct Host<'a>(&'a [AtomicU64]);

impl Words for Host<'_> {
    fn load(self, at: usize) -> u64 {
        self.0[at].load(Relaxed)
    }

    fn store(self, at: usize, value: u64) {
        self.0[at].store(value, Relaxed);
    }

    fn add(self, at: usize, more: u64) {
        self.0[at].fetch_add(more, Relaxed);
    }

    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        self.0[at].compare_exchange(old, fresh, Relaxed, Relaxed).is_ok()
    }
}

impl Shared {
    fn new() -> Self {
        Self { head: [AtomicU64::new(0)], rest: array::from_fn(|_| AtomicU64::new(0)) }
    }

    fn next(&self, low: u32) -> bool {
        next(Host(&self.head), low)
    }

    fn see_at_length(&self, low: u32) -> bool {
        Sequence(Host(&self.head), Host(&self.rest)).see(low)
    }

    fn see(&self, number: u64) {
        assert!(self.next(number as u32) || self.see_at_length(number as u32));
    }

    fn sight(&self) -> Sight {
        let [head] = &self.head;
        let rest = array::from_fn(|at| self.rest[at].load(Relaxed));
        Sight::of(&Numbers { head: head.load(Relaxed), rest }).expect("a packet came")
    }
}

/// What the stream was, by a set of all numbers.
#[derive(Default)]
struct Model {
    first: Option<u64>,
    came: BTreeSet<u64>,
    late: u64,
    duplicate: u64,
    depth: u64,
}

impl Model {
    fn see(&mut self, number: u64) {
        self.first.get_or_insert(number);
        let highest = self.came.last().copied().unwrap_or(number);
        if !self.came.insert(number) {
            self.duplicate += 1;
        } else if number < highest {
            self.late += 1;
            self.depth = self.depth.max(highest - number);
        }
    }

    fn lost(&self) -> u64 {
        let (first, last) = (self.first.expect("a packet"), *self.came.last().expect("a packet"));
        last - first + 1 - self.came.range(first..).count() as u64
    }
}

fn agree(stream: &[u64]) {
    let (words, mut model) = (Shared::new(), Model::default());
    for number in stream {
        words.see(*number);
        model.see(*number);
        let sight = words.sight();
        let told = (
            sight.lost + sight.missing,
            sight.late,
            sight.duplicate,
            u64::from(sight.depth),
            sight.old,
            sight.restarts,
        );
        assert_eq!(
            told,
            (model.lost(), model.late, model.duplicate, model.depth, 0, 0),
            "after {number} of {stream:?}"
        );
        assert_eq!(sight.highest as u32, *model.came.last().expect("a packet") as u32);
    }
}

/// A stream of which each packet is delayed by less than the ring remembers, lost or doubled.
fn stream() -> impl Strategy<Value = Vec<u64>> {
    let start =
        prop_oneof![Just(1), 0..10_u64, 0xffff_ff00..0x1_0000_0100_u64, any::<u32>().prop_map(u64::from)];
    let fate = (0..10_u8, 0..90_u64, prop_oneof![3 => Just(1_u64), 1 => 1..400_u64]);
    (start, prop::collection::vec(fate, 1..400)).prop_map(|(start, fates)| {
        let (mut sent, mut number, mut time) = (Vec::new(), start, 0);
        for (fate, delay, step) in fates {
            // A gap in the numbers is one in time: what is under way comes before it ends.
            (number, time) = (number + step, time + if step > 1 { 61 } else { 1 });
            match fate {
                0 => {}
                1 => sent.extend([(time, number), (time + delay % 60, number)]),
                2 => sent.push((time + delay % 60, number)),
                _ => sent.push((time, number)),
            }
        }
        sent.sort_by_key(|(time, _)| *time);
        sent.into_iter().map(|(_, number)| number).collect::<Vec<_>>()
    })
}

/// True when no packet is further back than the ring remembers for sure.
fn is_remembered(stream: &[u64]) -> bool {
    let mut highest = 0;
    stream.iter().all(|number| {
        highest = highest.max(*number);
        highest - number < BLOCK * (RING as u64 - 1)
    })
}

/// True when nothing in it looks like a peer that begins anew.
fn is_steady(stream: &[u64]) -> bool {
    let mut model = BTreeSet::new();
    let (mut row, mut last) = (0, 0);
    for number in stream {
        let seen = !model.insert(*number);
        row = if seen && *number == last + 1 { row + 1 } else { u64::from(seen) };
        last = *number;
        if row >= ENOUGH {
            return false;
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn shuffled_lossy_and_doubled_streams_are_told_as_by_a_plain_model(stream in stream()) {
        prop_assume!(!stream.is_empty() && is_remembered(&stream) && is_steady(&stream));
        agree(&stream);
    }

    #[test]
    fn a_peer_that_begins_anew_is_told_and_nothing_of_it_is_lost(before in 300_u64..5_000, at in 1_u64..100, after in 10_u64..2_000) {
        let words = Shared::new();
        (1..=before).for_each(|number| words.see(number));
        (at..at + after).for_each(|number| words.see(number));
        let sight = words.sight();
        prop_assert_eq!((sight.restarts, sight.lost + sight.missing, sight.late), (1, 0, 0));
        prop_assert_eq!(sight.old + sight.duplicate, ENOUGH);
        prop_assert_eq!(sight.highest as u32, (at + after - 1) as u32);
    }
}

#[test]
fn a_stream_in_order_has_nothing_to_tell() {
    agree(&(1..2_000).collect::<Vec<_>>());
}

#[test]
fn the_lower_half_may_wrap() {
    agree(&(0xffff_fe00..0x1_0000_0200).collect::<Vec<_>>());
}

#[test]
fn a_gap_larger_than_the_ring_is_lost_to_the_last_number() {
    agree(&[7, 8, 1_000, 1_001, 100_000, 100_001, 100_500]);
}

#[test]
fn what_comes_before_the_first_is_late_and_not_found() {
    agree(&[100, 99, 40, 101, 98]);
}

#[test]
fn a_jump_that_nobody_confirms_changes_nothing() {
    let words = Shared::new();
    for number in [1, 2, 3, 900_000_000, 4, 5, 6] {
        words.see(number);
    }
    let sight = words.sight();
    assert_eq!((sight.highest, sight.lost + sight.missing, sight.restarts), (6, 0, 0));
}

#[test]
fn a_path_that_doubles_every_packet_is_no_peer_that_begins_anew() {
    let words = Shared::new();
    for number in 1..1_000 {
        words.see(number);
        words.see(number);
    }
    assert_eq!((words.sight().duplicate, words.sight().restarts), (999, 0));
}

#[test]
fn packets_that_are_played_back_between_others_are_no_peer_that_begins_anew() {
    let words = Shared::new();
    (1..1_000).for_each(|number| words.see(number));
    for number in 1_000..2_000 {
        words.see(number);
        words.see(number - 900);
    }
    assert_eq!((words.sight().old, words.sight().restarts), (1_000, 0));
}

#[test]
fn numbers_grow_beyond_what_a_head_has_room_for() {
    const STEP: u64 = 1 << 20;
    let words = Shared::new();
    let highest = (0..=(1 << 37) / STEP).map(|step| step * STEP).inspect(|number| words.see(*number)).last();
    assert_eq!(Some(words.sight().highest), highest);
    assert_eq!(words.sight().lost + words.sight().missing, (1 << 37) / STEP * (STEP - 1));
}

#[test]
fn packets_from_before_the_ring_are_old() {
    let words = Shared::new();
    (1..1_000).for_each(|number| words.see(number));
    words.see(500);
    words.see(300);
    assert_eq!((words.sight().old, words.sight().late, words.sight().lost), (2, 0, 0));
}

#[test]
fn cpus_that_share_an_sa_come_to_what_one_would() {
    const CPUS: u64 = 4;
    const ROUNDS: u64 = 2_000;
    // Packets of a round are under way at once; every tenth is lost, every seventh comes on two CPUs.
    const ROUND: u64 = 60;
    let (words, barrier) = (Shared::new(), Barrier::new(CPUS as usize));
    words.see(0);
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            let (words, barrier) = (&words, &barrier);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for number in round * ROUND + 1..=(round + 1) * ROUND {
                        let twice = number % 7 == 0 && (number + 1) % CPUS == cpu;
                        if number % 10 != 0 && (number % CPUS == cpu || twice) {
                            words.see(number);
                        }
                    }
                    barrier.wait();
                }
            });
        }
    });
    words.see(ROUNDS * ROUND + 1);
    let sight = words.sight();
    let doubled = (1..=ROUNDS * ROUND).filter(|number| number % 10 != 0 && number % 7 == 0).count() as u64;
    assert_eq!((sight.lost + sight.missing, sight.duplicate), (ROUNDS * ROUND / 10, doubled));
    assert!(u64::from(sight.depth) < ROUND && sight.old == 0 && sight.restarts == 0, "{sight:?}");
}

#[test]
fn what_is_in_order_takes_the_short_way_but_for_the_first_of_a_block() {
    let words = Shared::new();
    let long: Vec<u32> =
        (1..=100).filter(|number| !words.next(*number) && words.see_at_length(*number)).collect();
    assert_eq!(long, [1, 32, 64, 96]);
    assert!(!words.next(99), "late");
    assert!(!words.next(100), "twice");
    assert_eq!(words.sight(), Sight { highest: 100, ..Sight::default() });
}

proptest! {
    #[test]
    fn the_short_way_leaves_what_the_long_one_would(stream in stream()) {
        let (short, long) = (Shared::new(), Shared::new());
        for number in stream {
            short.see(number);
            assert!(long.see_at_length(number as u32));
            prop_assert_eq!(short.sight(), long.sight());
        }
    }
}
