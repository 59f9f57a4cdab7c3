//! A link's end, at once.
//!
//! The kernel takes a program off some time after the last handle of its link is gone: a pin is given up behind a grace period
//! of RCU, and the link in a worker (`bpf_free_inode` in kernel/bpf/inode.c, `bpf_link_put` in kernel/bpf/syscall.c). Until
//! then it stands in the way of XDP in another mode.

use aya_obj::generated::{bpf_attr, bpf_cmd};
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

/// Takes the program of a pinned link off its interface. The pin stays; that of an interface that is no more has nothing to
/// do.
///
/// # Errors
/// No such pin, or it is not one of a link that can be ended (`BPF_LINK_DETACH`, Linux 5.9).
pub(super) fn detach(path: &Path) -> io::Result<()> {
    let link = get(path)?;
    let mut attr = zeroed();
    attr.link_detach.link_fd = u32::try_from(link.as_raw_fd()).map_err(io::Error::other)?;
    bpf(bpf_cmd::BPF_LINK_DETACH, &attr).map(drop)
}

fn get(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    let fd = bpf(bpf_cmd::BPF_OBJ_GET, &attr)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

const fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain integers.
    unsafe { std::mem::zeroed() }
}

fn bpf(cmd: bpf_cmd, attr: &bpf_attr) -> io::Result<RawFd> {
    // SAFETY: the kernel reads a union of this size, and a path that lives until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, cmd, std::ptr::from_ref(attr), size_of::<bpf_attr>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}
