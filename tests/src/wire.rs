//! Raw frames on an interface.

use crate::netns::Netns;
use anyhow::{Context, Result, ensure};
use nix::{net::if_::if_nametoindex, sys::socket::MsgFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, ErrorKind},
    mem::{offset_of, size_of},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// Room for what a test may receive before it reads.
const RECEIVE_BUFFER: libc::c_int = 16 << 20;
/// Above any frame of a veth, also one put together by GRO.
const LARGEST: usize = 65_600;
/// Where a VLAN tag stands in a frame.
const TAG_AT: usize = 12;

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// True for what the host itself sent out of the interface.
    pub outgoing: bool,
    /// The frame with the VLAN tag that the kernel takes out put back.
    pub frame: Vec<u8>,
}

/// A packet socket on one interface: sends frames as given, receives all that pass in both directions but its own.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    iface: String,
}

impl Wire {
    /// Opens the interface of the namespace; from here on every frame is kept until it is read.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn open(netns: &Netns, iface: &str) -> Result<Self> {
        let socket = netns
            .run_in(|| open(iface))
            .with_context(|| format!("failed to open {iface} in {}", netns.name()))?;
        Ok(Self { socket, iface: iface.to_owned() })
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let len = self.socket.send(frame).with_context(|| format!("failed to send on {}", self.iface))?;
        ensure!(len == frame.len(), "only {len} of {} bytes were sent on {}", frame.len(), self.iface);
        Ok(())
    }

    /// Receives the next frame from outside that is `wanted`, or `None` when `deadline` passes without one. Others
    /// before it are dropped: a namespace talks (ARP, ICMP) whether a test asks it to or not.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn receive(&self, deadline: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + deadline;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let received = self.next(MsgFlags::empty())?;
            if let Some(received) = received.filter(|received| !received.outgoing && wanted(&received.frame))
            {
                return Ok(Some(received.frame));
            }
        }
        Ok(None)
    }

    /// All that has passed in both directions and was not read yet. Does not wait.
    ///
    /// # Errors
    /// When the interface is gone, or the kernel had to leave frames out.
    pub fn drain(&self) -> Result<Vec<Received>> {
        let all = self.drain_lossy()?;
        let lost = self.lost()?;
        ensure!(lost == 0, "{lost} frames found no room in the receive buffer of {}", self.iface);
        Ok(all)
    }

    /// The same, of what the kernel had room for.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn drain_lossy(&self) -> Result<Vec<Received>> {
        let mut all = Vec::new();
        while let Some(received) = self.next(MsgFlags::MSG_DONTWAIT)? {
            all.push(received);
        }
        Ok(all)
    }

    fn next(&self, flags: MsgFlags) -> Result<Option<Received>> {
        match receive(&self.socket, flags) {
            Ok(received) => Ok(Some(received)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to receive on {}", self.iface)),
        }
    }

    /// Frames left out since the last call.
    fn lost(&self) -> Result<u32> {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` bytes of a plain C struct that lives here.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut len,
            )
        };
        ensure!(result == 0, "failed to read packet statistics: {}", io::Error::last_os_error());
        Ok(stats.tp_drops)
    }
}

fn open(iface: &str) -> Result<Socket> {
    let index = if_nametoindex(iface).context("no such interface")?;
    // Protocol 0 receives nothing, so that nothing of other interfaces comes in before bind.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)?;
    bind(&socket, index)?;
    Ok(socket)
}

fn bind(socket: &Socket, index: u32) -> Result<()> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    addr.sll_family = libc::AF_PACKET as u16;
    addr.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    addr.sll_ifindex = i32::try_from(index)?;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a struct of that size.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const addr).cast(), len) };
    ensure!(result == 0, "failed to bind: {}", io::Error::last_os_error());
    Ok(())
}

fn set_option(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of an int.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    ensure!(result == 0, "failed to set a socket option: {}", io::Error::last_os_error());
    Ok(())
}

/// Control messages are aligned like their header.
#[repr(align(8))]
struct Control([u8; 64]);

fn receive(socket: &Socket, flags: MsgFlags) -> io::Result<Received> {
    let mut frame = vec![0_u8; LARGEST];
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
    // SAFETY: all-zero is valid for both.
    let (mut from, mut message): (libc::sockaddr_ll, libc::msghdr) = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the three buffers live until the call returns, and their lengths are given as they are.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags.bits()) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    frame.truncate(len);
    if let Some(tag) = taken_tag(&message) {
        frame.splice(TAG_AT..TAG_AT, tag);
    }
    Ok(Received { outgoing: from.sll_pkttype == libc::PACKET_OUTGOING, frame })
}

/// The VLAN tag that the kernel moved from the frame to the control message, as libpcap puts it back.
fn taken_tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the kernel has filled the control buffer of this message.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: a PACKET_AUXDATA message carries this struct; it may be unaligned.
    let aux: libc::tpacket_auxdata =
        unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
    if aux.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [a, b] = aux.tp_vlan_tpid.to_be_bytes();
    let [c, d] = aux.tp_vlan_tci.to_be_bytes();
    Some([a, b, c, d])
}

const _: () = assert!(offset_of!(libc::tpacket_auxdata, tp_vlan_tpid) == 18);
