//! Dropped packets are told one by one, below the rate all of them, and beyond it how many were not.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Map, MapData, RingBuf};
use esp_common::{Action, Budgets, Hook, Mode, Reason, Sample, Sampling, names};
use esp_tests::{
    cases,
    frame::{Frame, Ipv4, Payload},
    host,
    kernel::{Constants, Kernel, takes},
    world::World,
};

const PLENTY: Sampling = Sampling { interval_ns: 1_000, burst_ns: 1_000_000_000 };

fn ring(kernel: &Kernel) -> Result<RingBuf<MapData>> {
    let Some(Map::RingBuf(data)) = kernel.ebpf().map(names::MAP_SAMPLES) else {
        anyhow::bail!("the object has no ring of samples");
    };
    Ok(RingBuf::try_from(Map::from_map_data(MapData::from_id(data.info()?.id())?)?)?)
}

fn take(ring: &mut RingBuf<MapData>) -> Vec<Sample> {
    let mut all = Vec::new();
    while let Some(item) = ring.next() {
        all.push(bytemuck::pod_read_unaligned(&item));
    }
    all
}

/// Every case of the shared table: what is dropped is told with the fields that the host tells, what passes is not.
#[test]
#[ignore = "T2: root, bpf"]
fn each_drop_is_told_as_on_the_host() -> Result<()> {
    let cases = cases::all();
    let mut told = 0;
    for constants in Constants::ALL {
        let mut kernel = Kernel::load(constants)?;
        let mut ring = ring(&kernel)?;
        let of_these = |case: &&cases::Case| {
            case.world.constants == constants && case.decrypted_by.is_none() && takes(case.hook, &case.frame)
        };
        for case in cases.iter().filter(of_these) {
            let mut world = case.world.clone();
            world.settings.sampling = PLENTY;
            kernel.tell(&world)?;
            kernel.verdict(case.hook, &case.frame)?;
            let timeless = |sample: &Sample| Sample { time_ns: 0, ..*sample };
            let found: Vec<_> = take(&mut ring).iter().map(timeless).collect();
            let (_, seen) = host::run(&world, case.hook, &case.frame, None);
            let wanted: Vec<_> = seen.samples.iter().map(timeless).collect();
            assert_eq!(found, wanted, "{}", case.name);
            assert_eq!(found.len(), usize::from(case.action == Action::Drop), "{}", case.name);
            for sample in &found {
                assert_eq!(
                    (sample.reason, sample.hook),
                    (case.reason.as_raw(), case.hook.as_raw()),
                    "{}",
                    case.name
                );
                told += 1;
            }
        }
    }
    ensure!(told > 20, "only {told} drops");
    Ok(())
}

fn flood(sampling: Sampling, packets: u32) -> Result<(Kernel, Vec<Sample>)> {
    let mut kernel = Kernel::load(Constants::default())?;
    let mut ring = ring(&kernel)?;
    let mut world = World::lab().mode(Mode::Enforce);
    (world.settings.sampling, world.settings.budgets) = (sampling, Budgets::default());
    kernel.tell(&world)?;
    let frame = Frame::v4(&Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]), &Payload::esp(0xdead_beef, 7, 64));
    kernel.run(names::PROG_XDP, &frame.build(), packets)?;
    let dropped = kernel.reason(Hook::Xdp, Reason::UnknownSpi, Action::Drop)?.packets;
    ensure!(dropped == u64::from(packets), "{dropped} of {packets}");
    let samples = take(&mut ring);
    Ok((kernel, samples))
}

#[test]
#[ignore = "T2: root, bpf"]
fn below_the_rate_none_is_missing_and_beyond_it_they_are_counted() -> Result<()> {
    let (kernel, samples) = flood(PLENTY, 1_000)?;
    assert_eq!((samples.len(), kernel.lost(names::LOST_SAMPLES)?), (1_000, 0));
    let first = samples.first().context("samples")?;
    assert_eq!(first.upper, [0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7]);

    // A burst of ten.
    let (kernel, samples) = flood(Sampling { interval_ns: 100_000_000, burst_ns: 1_000_000_000 }, 100_000)?;
    let (told, suppressed) = (samples.len() as u64, kernel.lost(names::LOST_SAMPLES)?);
    ensure!((10..30).contains(&told) && told + suppressed == 100_000, "{told} and {suppressed}");

    // More than the ring holds.
    let (kernel, samples) = flood(PLENTY, 20_000)?;
    let (told, suppressed) = (samples.len() as u64, kernel.lost(names::LOST_SAMPLES)?);
    ensure!(told > 2_000 && told + suppressed == 20_000, "{told} and {suppressed}");

    let (kernel, samples) = flood(Sampling::default(), 1_000)?;
    assert_eq!((samples.len(), kernel.lost(names::LOST_SAMPLES)?), (0, 0), "switched off");
    Ok(())
}
