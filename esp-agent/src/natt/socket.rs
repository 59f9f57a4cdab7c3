//! One UDP socket from which the kernel takes ESP.

use crate::xfrm::encode::socket_bypass;
use crate::xfrm::model::PolicyDir;
use bytemuck::NoUninit;
use socket2::{Domain, SockFilter, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

/// `UDP_ENCAP` (`include/uapi/linux/udp.h`).
const UDP_ENCAP: i32 = 100;
/// `UDP_ENCAP_ESPINUDP`, over IPv6 since Linux 5.8.
const ESP_IN_UDP: i32 = 2;
/// `IP_XFRM_POLICY` (`include/uapi/linux/in.h`).
const IP_XFRM_POLICY: i32 = 17;
/// `IPV6_XFRM_POLICY` (`include/uapi/linux/in6.h`).
const IPV6_XFRM_POLICY: i32 = 35;

pub(super) struct Encap(Socket);

impl Encap {
    /// Binds it to an address that need not be there yet.
    pub(super) fn open(local: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM.nonblocking().cloexec(), None)?;
        match local {
            SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                socket.set_freebind_v6(true)?;
            }
        }
        bypass(&socket, local.is_ipv4())?;
        drop_the_rest(&socket)?;
        set(&socket, libc::IPPROTO_UDP, UDP_ENCAP, &ESP_IN_UDP)?;
        socket.bind(&local.into())?;
        Ok(Self(socket))
    }

    /// RFC 3948 section 2.3: one byte.
    pub(super) fn keepalive(&self, remote: SocketAddr) -> io::Result<()> {
        self.0.send_to(&[0xff], &remote.into()).map(drop)
    }
}

/// What goes through the socket needs no SA: between hosts in transport mode the policies would demand one for the
/// encapsulated packets themselves, which `udp_queue_rcv_one_skb` checks before it looks inside.
fn bypass(socket: &Socket, ipv4: bool) -> io::Result<()> {
    let (level, option) =
        if ipv4 { (libc::IPPROTO_IP, IP_XFRM_POLICY) } else { (libc::IPPROTO_IPV6, IPV6_XFRM_POLICY) };
    [PolicyDir::In, PolicyDir::Out]
        .into_iter()
        .try_for_each(|dir| set(socket, level, option, &socket_bypass(dir, ipv4)))
}

fn set<T: NoUninit>(socket: &Socket, level: i32, option: i32, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are those of `value`, all of whose bytes are initialised; the kernel copies
    // them and keeps no pointer. The descriptor is open as long as `socket` is borrowed.
    let answer =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What is no ESP (IKE, for which nobody is here) is dropped where it comes in, instead of filling the socket:
/// the kernel takes ESP out before it asks the filter.
fn drop_the_rest(socket: &Socket) -> io::Result<()> {
    /// `BPF_RET | BPF_K`.
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}
