//! `drops`: which packets the datapath has dropped, one by one.

use crate::cli::{Drops, Global};
use crate::clock;
use crate::datapath::{maps::Maps, read, samples::Samples};
use crate::drops::{Line, Names};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::probe;
use crate::state::State;
use crate::supervise::signals;
use esp_common::names::LOST_SAMPLES;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How often the ring is looked at.
const PACE: Duration = Duration::from_millis(100);

/// Prints those that nobody has read yet, the oldest first; with `--follow` also those that come, until SIGINT or SIGTERM.
///
/// # Errors
/// Not permitted, no agent was set up here, another process reads them, the output fails.
pub fn drops(global: &Global, args: &Drops, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    probe::permitted()?;
    let instance = super::instance(global)?;
    let pins = super::pins(&instance);
    let maps = Maps::open(&pins)?;
    let mut samples = Samples::open(&pins)?.ok_or(Failure::Usage(
        "another `esp-agent drops` reads them: what is read is gone, so that one reads at a time",
    ))?;
    print(&mut samples, &maps, &instance, args.json, out)?;
    if !args.follow {
        return told(&maps, out, args.json);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Task("drops", error.into()))?;
    runtime.block_on(async {
        let (mut term, mut int) = signals()?;
        loop {
            tokio::select! {
                _ = term.recv() => return Ok::<_, Failure>(()),
                _ = int.recv() => return Ok(()),
                () = tokio::time::sleep(PACE) => print(&mut samples, &maps, &instance, args.json, out)?,
            }
        }
    })?;
    told(&maps, out, args.json)
}

fn print(
    samples: &mut Samples,
    maps: &Maps,
    instance: &Instance,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(mut sample) = samples.take() else { return Ok(()) };
    let slots = read::slots(maps)?.into_iter();
    let ifaces = slots.filter_map(|(index, slot)| Some((u16::try_from(index).ok()?, slot.name().to_owned())));
    let names = Names { ifaces: ifaces.collect(), state: State::load(instance).unwrap_or_default() };
    loop {
        let line = Line::of(&sample, &names, SystemTime::now(), clock::monotonic_ns());
        super::write_line(&line, json, out).map_err(Failure::Output)?;
        match samples.take() {
            Some(next) => sample = next,
            None => return out.flush().map_err(Failure::Output),
        }
    }
}

/// How many there were besides.
fn told(maps: &Maps, out: &mut dyn Write, json: bool) -> Result<ExitCode, Failure> {
    let suppressed = read::lost_in(maps, LOST_SAMPLES)?;
    if suppressed > 0 && !json {
        writeln!(out, "{suppressed} more were not told: see [samples] for the rate")
            .map_err(Failure::Output)?;
    }
    Ok(ExitCode::SUCCESS)
}
