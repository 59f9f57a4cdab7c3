//! Which network namespace the process is in.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;

/// A network namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Netns {
    /// The initial one.
    Initial,
    /// By its cookie (`SO_NETNS_COOKIE`, Linux 5.14), which is never used again in one boot.
    Cookie(u64),
    /// By the inode of /proc/self/ns/net on older kernels; another namespace may have it later.
    Inode(u64),
}

/// The cookie of the initial namespace: `net_ns_init` takes the first one (net/core/net_namespace.c).
const INITIAL_COOKIE: u64 = 1;

impl Netns {
    /// Of the calling thread.
    ///
    /// # Errors
    /// The kernel tells neither a cookie nor the inodes of /proc.
    pub fn current() -> io::Result<Self> {
        match cookie() {
            Ok(INITIAL_COOKIE) => Ok(Self::Initial),
            Ok(cookie) => Ok(Self::Cookie(cookie)),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => by_inode(),
            Err(error) => Err(error),
        }
    }

    /// The default name of an instance, and how a record names the namespace.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Initial => "host".into(),
            Self::Cookie(cookie) => format!("netns-{cookie}"),
            Self::Inode(inode) => format!("netns-inode-{inode}"),
        }
    }
}

fn cookie() -> io::Result<u64> {
    // Any socket tells; this one needs neither an address nor a capability.
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: both pointers are to live variables, and `len` is the size of the one that is written.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if code == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Process 1 is taken to be in the initial namespace, which is not so inside a container.
fn by_inode() -> io::Result<Netns> {
    let inode = |path: &str| std::fs::metadata(path).map(|file| file.ino());
    let own = inode("/proc/thread-self/ns/net")?;
    if inode("/proc/1/ns/net")? == own { Ok(Netns::Initial) } else { Ok(Netns::Inode(own)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_of_instances() {
        for netns in [Netns::Initial, Netns::Cookie(u64::MAX), Netns::Inode(4_026_531_840)] {
            let root = std::path::Path::new("/run");
            assert!(super::super::Instance::at(netns.label(), netns, root, root).is_ok(), "{netns:?}");
        }
    }

    #[test]
    fn threads_in_one_namespace_agree_and_a_new_namespace_has_its_own_name() {
        let here = Netns::current().unwrap();
        let there = std::thread::spawn(|| {
            let same = Netns::current().unwrap();
            let moved = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
            (same, moved.map(|()| Netns::current().unwrap()))
        });
        let (same, moved) = there.join().unwrap();
        assert_eq!(same, here);
        match moved {
            Ok(moved) => assert_ne!(moved, here),
            Err(errno) => assert_eq!(errno, nix::errno::Errno::EPERM),
        }
    }
}
