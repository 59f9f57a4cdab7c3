//! The clsact qdisc, where the kernel has no TCX: ours only if nobody had one, gone again only if nobody uses it.

use super::DatapathError;
use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{
        NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle,
        qdisc_add_clsact, qdisc_detach_program,
    },
};
use futures_util::TryStreamExt as _;
use std::io;

/// Places of our filters, the first that is free. Fixed, so that the next agent finds and replaces them in one step. A
/// priority holds filters of one kind only (`tcf_chain_tp_find` in net/sched/cls_api.c): that of others may not be BPF.
const PRIORITIES: std::ops::RangeInclusive<u16> = 50..=57;
/// `TC_H_CLSACT` (include/uapi/linux/pkt_sched.h).
const CLSACT: u32 = 0xffff_fff1;
const HANDLE: TcHandle = TcHandle::new(0, 0x0e5b);

/// Makes the qdisc. `true` when it was not there before.
///
/// Errors: [`DatapathError::Clsact`].
pub fn ensure(iface: &str) -> Result<bool, DatapathError> {
    match qdisc_add_clsact(iface) {
        Ok(()) => Ok(true),
        Err(error) if errno(&error) == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(clsact("add", iface, io::Error::other(error))),
    }
}

/// Attaches a program, replacing our filter of an earlier agent in one step.
///
/// Errors: the kernel's.
pub fn attach(program: &mut SchedClassifier, iface: &str, side: TcAttachType) -> Result<(), ProgramError> {
    for priority in PRIORITIES {
        let earlier =
            SchedClassifierLink::attached(iface, side, priority, HANDLE, None).map_err(TcError::IoError)?;
        if let Ok(id) = program.attach_to_link(earlier) {
            return keep(program, id);
        }
    }
    let mut outcome = Ok(());
    for priority in PRIORITIES {
        let options = NlOptions { priority, handle: HANDLE, classid: None };
        match program.attach_with_options(iface, side, TcAttachOptions::Netlink(options)) {
            Ok(id) => return keep(program, id),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Dropping the link would take the filter away; it stays until `detach`.
fn keep(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> Result<(), ProgramError> {
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

/// Takes away our filter. `false` when it was not there.
///
/// Errors: [`DatapathError::Clsact`].
pub fn detach(iface: &str, side: TcAttachType, name: &str) -> Result<bool, DatapathError> {
    match qdisc_detach_program(iface, side, name) {
        Ok(()) => Ok(true),
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) => Ok(false),
        Err(error) => Err(clsact("remove our filter from", iface, io::Error::other(error))),
    }
}

/// Takes away the qdisc if no filter is left in it. `false` when others use it.
///
/// Errors: [`DatapathError::Clsact`].
pub async fn remove(iface: &str, ifindex: u32) -> Result<bool, DatapathError> {
    let failed = |error: rtnetlink::Error| clsact("remove", iface, io::Error::other(error));
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|error| clsact("remove", iface, error))?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let index = i32::try_from(ifindex).map_err(|error| clsact("remove", iface, io::Error::other(error)))?;
    let mut filters = handle.traffic_filter(index);
    for request in [filters.get().ingress(), filters.get().egress()] {
        let others: Vec<_> = request.execute().try_collect().await.map_err(failed)?;
        if !others.is_empty() {
            return Ok(false);
        }
    }
    let mut request = handle.qdisc().del(index);
    request.message_mut().header.parent = CLSACT.into();
    request.execute().await.map_err(failed)?;
    Ok(true)
}

fn clsact(what: &'static str, iface: &str, source: io::Error) -> DatapathError {
    DatapathError::Clsact { what, iface: iface.to_owned(), source }
}

fn errno(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => error.raw_os_error(),
        TcError::NulError(_)
        | TcError::AlreadyAttached
        | TcError::InvalidTcxAttach(_)
        | TcError::InvalidLinkOperation => None,
    }
}
