//! Sequence numbers in the running kernel: the programs come to what the host comes to, also when two CPUs share an SA.

use anyhow::{Context as _, Result, ensure};
use esp_common::{
    Action, Addr, FlowKey, Hook, SaEntry, Spi, names,
    sequence::{Numbers, Sight, WORDS},
};
use esp_datapath::{Words, sequence::Sequence};
use esp_tests::{
    frame::{Frame, Ipv4, Ipv6, Payload},
    kernel::{Constants, Kernel},
    world::World,
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{
    cell::Cell,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Barrier,
    thread,
};

const US: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 1);
const US6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x55, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x66, 0, 0, 0, 0, 0, 1);
const SPI: u32 = 0x1000;
const CPUS: usize = 2;

#[derive(Clone, Copy)]
struct Host<'a>(&'a [Cell<u64>]);

impl Words for Host<'_> {
    fn load(self, at: usize) -> u64 {
        self.0[at].get()
    }

    fn store(self, at: usize, value: u64) {
        self.0[at].set(value);
    }

    fn add(self, at: usize, more: u64) {
        self.0[at].update(|word| word.wrapping_add(more));
    }

    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        let there = self.0[at].get() == old;
        self.0[at].set(if there { fresh } else { self.0[at].get() });
        there
    }
}

/// What the host makes of the numbers.
fn on_the_host(numbers: &[u32]) -> Option<Sight> {
    let (head, rest) = (Cell::new(0), [const { Cell::new(0) }; WORDS]);
    for number in numbers {
        assert!(Sequence(Host(std::slice::from_ref(&head)), Host(&rest)).see(*number));
    }
    Sight::of(&Numbers { head: head.get(), rest: rest.map(|word| word.get()) })
}

fn kernel(dst: Addr) -> Result<(Kernel, FlowKey)> {
    let (mut kernel, key) = (Kernel::load(Constants::default())?, FlowKey::new(dst, Spi::new(SPI)));
    kernel.tell(&World { sas: [(key, SaEntry::default())].into(), ..World::lab() })?;
    Ok((kernel, key))
}

fn v4(number: u32) -> Vec<u8> {
    Frame::v4(&Ipv4::new(PEER, US), &Payload::esp(SPI, number, 64)).build()
}

/// Lossy, doubled, out of order, over the wrap of the lower half, and begun anew.
fn numbers() -> Vec<u32> {
    let mut numbers = Vec::new();
    for number in 0xffff_ff00_u64..0x1_0000_0400 {
        let number = number as u32;
        match number % 11 {
            3 => {}
            5 => numbers.extend([number, number]),
            7 => numbers.insert(numbers.len().saturating_sub(number as usize % 40), number),
            _ => numbers.push(number),
        }
    }
    numbers.extend(1..300);
    numbers.push(90_000_000);
    numbers.extend(300..400);
    numbers
}

#[test]
#[ignore = "T2: root, bpf"]
fn the_programs_come_to_what_the_host_comes_to() -> Result<()> {
    let numbers = numbers();
    let expected = on_the_host(&numbers).context("packets came")?;
    ensure!(
        expected.lost > 0 && expected.late > 0 && expected.duplicate > 0 && expected.restarts == 1,
        "{expected:?}"
    );
    let natt = |number| Frame::v4(&Ipv4::new(PEER, US), &Payload::natt_esp(SPI, number, 64)).build();
    let v6 = |number| Frame::v6(&Ipv6::new(PEER6, US6), &Payload::esp(SPI, number, 64)).vlan(7).build();
    let (us, us6) = (Addr::from_v4(US.octets()), Addr::from_v6(US6.octets()));
    type Build<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let ways: [(&str, Hook, Addr, Build<'_>); 4] = [
        ("IPv4", Hook::Xdp, us, &v4),
        ("NAT-T", Hook::Xdp, us, &natt),
        ("IPv6", Hook::Xdp, us6, &v6),
        ("egress", Hook::TcEgress, us, &v4),
    ];
    for (name, hook, dst, build) in ways {
        let (mut kernel, key) = kernel(dst)?;
        assert_eq!(kernel.sight(&key)?, None, "{name}");
        for number in &numbers {
            ensure!(kernel.verdict(hook, &build(*number))? == Action::Pass, "{name}");
        }
        assert_eq!(kernel.sight(&key)?, Some(expected), "{name}");
        assert_eq!(kernel.lost(names::LOST_SEQUENCES)?, 0, "{name}");
    }
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn an_sa_that_two_cpus_share_is_told_as_one() -> Result<()> {
    const ROUNDS: u32 = 400;
    const ROUND: u32 = 60;
    let (mut kernel, key) = kernel(Addr::from_v4(US.octets()))?;
    kernel.verdict(Hook::Xdp, &v4(0))?;
    let barrier = Barrier::new(CPUS);
    thread::scope(|scope| {
        let run = |cpu: usize| {
            let mut set = CpuSet::new();
            set.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &set)?;
            for round in 0..ROUNDS {
                for number in round * ROUND + 1..=(round + 1) * ROUND {
                    let (ours, twice) = (number as usize % CPUS == cpu, number % 7 == 0);
                    if number % 10 != 0 && (ours || twice) {
                        kernel.verdict(Hook::Xdp, &v4(number))?;
                    }
                }
                barrier.wait();
            }
            anyhow::Ok(())
        };
        let workers: Vec<_> = (0..CPUS).map(|cpu| scope.spawn(move || run(cpu))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    kernel.verdict(Hook::Xdp, &v4(ROUNDS * ROUND + 1))?;
    let sight = kernel.sight(&key)?.context("packets came")?;
    let doubled = (1..=ROUNDS * ROUND).filter(|number| number % 10 != 0 && number % 7 == 0).count() as u64;
    assert_eq!(
        (sight.lost + sight.missing, sight.duplicate),
        (u64::from(ROUNDS * ROUND / 10), doubled),
        "{sight:?}"
    );
    ensure!(sight.depth < ROUND && sight.old == 0 && sight.restarts == 0, "{sight:?}");
    ensure!(sight.late > 0, "the CPUs were never beside each other: {sight:?}");
    assert_eq!(kernel.flows(true)?.values().map(|flow| flow.counter.packets).sum::<u64>(), {
        let sent = (1..=ROUNDS * ROUND).filter(|number| number % 10 != 0).count() as u64;
        sent + doubled + 2
    });
    Ok(())
}
