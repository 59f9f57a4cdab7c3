//! The mirror of /proc/net/xfrm_stat.

use bytemuck::{Pod, Zeroable};

/// Name of a kernel counter as the kernel prints it, zero-padded. Unknown names pass through: the key is the name.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Pod, Zeroable)]
pub struct StatName(pub [u8; 40]);

impl StatName {
    /// Longest name in bytes, its closing zero included. The longest of Linux 6.18 has 23.
    pub const LEN: usize = 40;

    /// From text of at most 39 bytes; `None` if it is longer or empty.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        if name.is_empty() || name.len() >= Self::LEN {
            return None;
        }
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::LEN);
        self.0.get(..end).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("")
    }
}
