//! `status`: what the maps and the kernel say, with or without an agent.

use crate::cli::Global;
use crate::datapath::{maps::Maps, read};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::lint::{self, Facts, Finding};
use crate::picture::Picture;
use crate::plan::Observed;
use crate::procfs::{Proc, ProcFs as _};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::xfrm::netlink::Netlink;
use crate::{collect, net, probe, status as show};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Prints the status.
///
/// # Errors
/// Not permitted, or a map or the kernel cannot be read.
pub fn status(global: &Global, json: bool, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    probe::permitted()?;
    let instance = super::instance(global)?;
    let mut snapshot = look(&instance)?;
    // The kernel is at hand: its own counters are fresher than the mirror of an agent that may be stopped.
    snapshot.xfrm_stat = Proc.xfrm_stat().ok().or(snapshot.xfrm_stat);
    let printed = if json { show::json(&snapshot, out) } else { show::text(&snapshot, out) };
    printed.map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads all; a host that no agent has been set up on has empty tables.
fn look(instance: &Instance) -> Result<Snapshot, Failure> {
    let state = State::load(instance).unwrap_or_default();
    let (picture, lints) = picture(&state)?;
    let pins = super::pins(instance);
    if !pins.exist() {
        let lacks = probe::lacks();
        return Ok(Snapshot {
            lacks,
            lints,
            now_ns: crate::clock::monotonic_ns(),
            now_s: crate::clock::unix_s(),
            ..Snapshot::default()
        });
    }
    let maps = Maps::open(&pins)?;
    // The lease tells a running agent from another process that has its old number.
    let leased = read::settings(&maps)?.lease_ns > crate::clock::monotonic_ns();
    let alive = leased && Path::new("/proc").join(state.pid.to_string()).exists();
    Ok(Snapshot { lints, ..collect::snapshot(&maps, &picture, &state, alive)? })
}

/// The kernel's SAs and policies, and what is unwise in them.
fn picture(state: &State) -> Result<(Picture, Vec<Finding>), Failure> {
    let mut picture = Picture::default();
    picture.rules(state.rules.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Task("status", error.into()))?;
    picture.locals = runtime.block_on(net::addresses())?.into_iter().collect();
    let observed = Observed::of(&mut Netlink::open()?)?;
    let facts = Facts {
        all_sas: true,
        all_policies: true,
        forwarding: Proc.forwarding().ok(),
        locals: picture.locals.iter().copied().collect(),
        now_s: Some(crate::clock::unix_s()),
    };
    let lints = lint::live(&observed, &facts);
    picture.read(observed, crate::clock::unix_s());
    for id in picture.sas.keys() {
        let tunnel = state.tunnel(id.dst, id.spi);
        if !tunnel.is_empty() {
            picture.tunnels.insert(*id, tunnel.to_owned());
        }
    }
    Ok((picture, lints))
}
