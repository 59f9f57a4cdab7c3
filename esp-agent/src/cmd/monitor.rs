//! `monitor`: the kernel's events as they come, with names.

use crate::cli::{Global, Monitor};
use crate::failure::Failure;
use crate::monitor::{Known, Line};
use crate::picture::{Effect, Origin, Picture};
use crate::plan::Observed;
use crate::state::State;
use crate::supervise::signals;
use crate::xfrm::events::{Events, Told};
use crate::xfrm::netlink::Netlink;
use crate::{clock, config, net, probe};
use esp_common::Spi;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

/// Prints events until SIGINT, SIGTERM, or until nobody reads any more.
///
/// # Errors
/// Not permitted, a configuration that cannot be read, a socket or the output fails.
pub fn monitor(global: &Global, args: &Monitor, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    probe::permitted()?;
    let mut picture = names(global, args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Task("monitor", error.into()))?;
    runtime.block_on(follow(args, &mut picture, out))?;
    Ok(ExitCode::SUCCESS)
}

/// Names of the configuration, else of the agent that runs or ran here.
fn names(global: &Global, args: &Monitor) -> Result<Picture, Failure> {
    let mut picture = Picture::default();
    let state = State::load(&super::instance(global)?).unwrap_or_default();
    picture.rules(state.rules);
    picture.told_names = state.policies;
    let named = state.tunnels.into_iter().map(|sa| (sa.dst, Spi::new(sa.spi), sa.tunnel));
    picture.remember(named, state.tombstones);
    if let Some(path) = &args.config {
        picture.name(&config::load(path)?);
    }
    Ok(picture)
}

async fn follow(args: &Monitor, picture: &mut Picture, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut term, mut int) = signals()?;
    let room = args.netlink_buffer;
    let mut events =
        if args.progress { Events::subscribe_to_progress(room) } else { Events::subscribe(room) }?;
    let mut xfrm = Netlink::open()?;
    picture.locals = net::addresses().await?.into_iter().collect();
    picture.read(Observed::of(&mut xfrm)?, clock::unix_s());
    loop {
        let told = tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            told = events.next() => told?,
        };
        print(&told, args.json, picture, &mut xfrm, out)?;
    }
}

fn print(
    told: &Told,
    json: bool,
    picture: &mut Picture,
    xfrm: &mut Netlink,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let before = Known::of(&told.event, picture);
    let origin = Origin { now_s: clock::unix_s(), ours: false };
    let effect = picture.apply(told.event.clone(), origin);
    picture.settle();
    let line = Line::of(now(), &told.event, &before, picture);
    write(&line, json, out).map_err(Failure::Output)?;
    if effect == Effect::Lost {
        picture.read(Observed::of(xfrm)?, clock::unix_s());
        write(&Line::resync(now(), picture), json, out).map_err(Failure::Output)?;
    }
    Ok(())
}

fn write(line: &Line, json: bool, out: &mut dyn Write) -> io::Result<()> {
    super::write_line(line, json, out)?;
    out.flush()
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
