//! Links that outlive the agent.

use super::{Target, detach::detach};
use crate::datapath::{
    DatapathError,
    pins::{Pins, pin},
};
use aya::programs::{
    ProgramError,
    links::{FdLink, LinkError},
};
use std::{fs, io};

/// `EOPNOTSUPP` is the driver's answer when it has no XDP (`dev_xdp_install` in net/core/dev.c).
pub(super) fn refused(
    name: &'static str,
    target: &Target,
    how: &'static str,
    source: ProgramError,
) -> DatapathError {
    let iface = target.name.clone();
    if let ProgramError::SyscallError(error) = &source
        && error.io_error.raw_os_error() == Some(libc::EOPNOTSUPP)
    {
        return DatapathError::NoHook { name, iface, how };
    }
    DatapathError::Attach { name, iface, how, source: Box::new(source) }
}

/// Pins a link.
pub(super) fn keep(
    link: Result<FdLink, LinkError>,
    pins: &Pins,
    target: &Target,
    name: &'static str,
) -> Result<(), DatapathError> {
    let iface = target.name.clone();
    let link = link.map_err(|source| DatapathError::Link { name, iface, source: Box::new(source) })?;
    let path = pins.link(&target.name, name);
    link.pin(&path).map(drop).map_err(|error| pin("pin", &path, io::Error::other(error)))
}

/// Ends a link and takes its pin away, if it is there.
pub(super) fn unpin(pins: &Pins, iface: &str, program: &str) -> Result<(), DatapathError> {
    let path = pins.link(iface, program);
    let there = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    there(detach(&path)).map_err(|source| pin("end", &path, source))?;
    there(fs::remove_file(&path)).map_err(|source| pin("remove", &path, source))
}
