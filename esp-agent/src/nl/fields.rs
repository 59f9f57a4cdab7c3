//! Checked reads: fixed fields at an offset, then attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A message that is not what its kind says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// It ends before the field.
    #[error("the message ends at byte {have}, a field ends at byte {need}")]
    Short {
        /// Bytes that the field needs.
        need: usize,
        /// Bytes that there are.
        have: usize,
    },
    /// Neither IPv4 nor IPv6.
    #[error("unknown address family {0}")]
    Family(u16),
    /// An algorithm's name that is not text.
    #[error("an algorithm's name is not text")]
    Name,
    /// A policy direction or action out of range.
    #[error("{what} {value} is out of range")]
    Range {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u8,
    },
    /// An attribute that the message must have.
    #[error("attribute {0} is missing")]
    Missing(u16),
    /// The kernel sent a message that is longer than our buffer.
    #[error("the kernel sent {0} bytes, more than the receive buffer holds")]
    Truncated(usize),
}

/// The bytes of a structure. Offsets are those of the kernel's `struct`.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Over `bytes`; reads past their end are errors.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// `len` bytes at `at`.
    pub fn slice(self, at: usize, len: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Short { need: at.saturating_add(len), have: self.0.len() };
        at.checked_add(len).and_then(|end| self.0.get(at..end)).ok_or(short)
    }

    /// All of the bytes.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// `N` bytes at `at`.
    pub fn array<const N: usize>(self, at: usize) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(at, N)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(self, at: usize) -> Result<u8, DecodeError> {
        Ok(u8::from_ne_bytes(self.array(at)?))
    }

    /// Native-endian, as netlink is.
    pub fn u16(self, at: usize) -> Result<u16, DecodeError> {
        Ok(u16::from_ne_bytes(self.array(at)?))
    }

    /// Big-endian, such as a port.
    pub fn be16(self, at: usize) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    /// Native-endian.
    pub fn u32(self, at: usize) -> Result<u32, DecodeError> {
        Ok(u32::from_ne_bytes(self.array(at)?))
    }

    /// Native-endian.
    pub fn u64(self, at: usize) -> Result<u64, DecodeError> {
        Ok(u64::from_ne_bytes(self.array(at)?))
    }

    /// An address of `family` at the start of a 16-byte `xfrm_address_t`.
    pub fn addr(self, at: usize, family: u16) -> Result<IpAddr, DecodeError> {
        match i32::from(family) {
            libc::AF_INET => Ok(Ipv4Addr::from(self.array::<4>(at)?).into()),
            libc::AF_INET6 => Ok(Ipv6Addr::from(self.array::<16>(at)?).into()),
            _ => Err(DecodeError::Family(family)),
        }
    }

    /// The attributes from `at` to the end.
    #[must_use]
    pub fn attrs(self, at: usize) -> Attrs<'a> {
        Attrs(self.0.get(at..).unwrap_or_default())
    }
}

/// Attributes one after the other. A broken length ends them, as the kernel's own `nla_for_each_attr` does.
#[derive(Clone, Copy)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    /// The last attribute of `kind`, as `nla_parse` would keep it.
    #[must_use]
    pub fn find(self, kind: u16) -> Option<Fields<'a>> {
        self.filter(|(found, _)| *found == kind).last().map(|(_, fields)| fields)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, Fields<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        /// `NLA_TYPE_MASK`: without the nested and byte-order flags.
        const TYPE_MASK: u16 = 0x3fff;
        let head = Fields(self.0);
        let len = usize::from(head.u16(0).ok()?);
        let kind = head.u16(2).ok()? & TYPE_MASK;
        let payload = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, Fields(payload)))
    }
}
