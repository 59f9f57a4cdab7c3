//! Builds one message.

use std::net::IpAddr;
use zeroize::Zeroizing;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub const ACK: u16 = 0x4;
/// `NLM_F_DUMP`: `NLM_F_ROOT` and `NLM_F_MATCH`.
pub const DUMP: u16 = 0x300;

/// A message under construction. It may hold keys: wiped when dropped, never printed.
pub struct Message(Zeroizing<Vec<u8>>);

impl Message {
    /// Room for the largest SA that `encode` lets through (three keys of 512 bytes).
    /// It may not grow past this while it holds keys: a moved buffer would leave a copy behind.
    const CAPACITY: usize = 4096;

    /// An empty message of `kind`.
    #[must_use]
    pub fn new(kind: u16, flags: u16) -> Self {
        let mut message = Self(Zeroizing::new(Vec::with_capacity(Self::CAPACITY)));
        message.u32(0).u16(kind).u16(flags).u32(0).u32(0);
        message
    }

    /// The bytes, with the length filled in. Sequence number and port are 0.
    #[must_use]
    pub fn finish(mut self) -> Zeroizing<Vec<u8>> {
        debug_assert_eq!(self.0.capacity(), Self::CAPACITY, "a grown buffer has left a copy of its bytes");
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(head) = self.0.first_chunk_mut() {
            *head = len.to_ne_bytes();
        }
        self.0
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// `count` zero bytes: padding of the kernel's `struct`, or fields that only the kernel fills.
    pub fn zeros(&mut self, count: usize) -> &mut Self {
        let len = self.0.len() + count;
        self.0.resize(len, 0);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Native-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_ne_bytes())
    }

    /// Big-endian.
    pub fn be16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Native-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_ne_bytes())
    }

    /// Native-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_ne_bytes())
    }

    /// `xfrm_address_t`: 16 bytes, IPv4 in the first four.
    pub fn addr(&mut self, addr: IpAddr) -> &mut Self {
        match addr {
            IpAddr::V4(v4) => self.bytes(&v4.octets()).zeros(12),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// An attribute that is one number, native-endian.
    pub fn attr32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, |attr| {
            attr.u32(value);
        })
    }

    /// An attribute whose payload `fill` writes.
    pub fn attr(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.u16(0).u16(kind);
        fill(self);
        let len = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        if let Some(head) = self.0.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
            *head = len.to_ne_bytes();
        }
        self.zeros(self.0.len().next_multiple_of(4) - self.0.len())
    }
}

/// `AF_INET` or `AF_INET6`.
#[must_use]
pub const fn family(addr: IpAddr) -> u16 {
    match addr {
        IpAddr::V4(_) => libc::AF_INET as u16,
        IpAddr::V6(_) => libc::AF_INET6 as u16,
    }
}
