//! `plan`: what `run` would change.

use crate::cli::{Global, Plan as Args};
use crate::config::Config;
use crate::failure::Failure;
use crate::mtu::{ETHERNET, Fit};
use crate::plan::{Note, Observed, plan as compare};
use crate::record::Record;
use crate::rotation::Rotations;
use crate::xfrm::netlink::Netlink;
use crate::{install, probe};
use std::io::Write;
use std::process::ExitCode;

/// Prints the plan.
///
/// # Errors
/// A bad configuration, a conflict, a kernel that cannot be read.
pub fn plan(global: &Global, args: &Args, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let mut config = install::load(&args.config)?;
    probe::permitted()?;
    let instance = super::instance(global)?;
    let mut rotations = Rotations::of(&instance)?;
    drop(rotations.take_over(&mut config));
    let observed = Observed::of(&mut Netlink::open()?)?;
    let owned = Record::of(&instance)?.reconcile(&observed);
    let mut plan = compare(&config.desired(), &observed, &owned)?;
    plan.notes.extend(rotations.rows().iter().map(|row| Note::Rotated { text: row.to_string() }));
    let outer = path_mtu(&config, &observed);
    plan.notes.extend(config.tunnels.iter().filter_map(|tunnel| Fit::of(tunnel, outer)).map(Note::Mtu));
    let printed = if args.json { writeln!(out, "{:#}", plan.to_json()) } else { write!(out, "{plan}") };
    printed.map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Bytes: of the narrowest outside interface that the file names, else of Ethernet.
fn path_mtu(config: &Config, observed: &Observed) -> u32 {
    let outside = observed.links.iter().filter(|link| config.ifaces.contains(&link.name));
    outside.map(|link| link.mtu).min().unwrap_or(ETHERNET)
}
