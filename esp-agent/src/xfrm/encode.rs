//! Model to message: what the kernel is sent. Bytes as iproute2 sends them, where it can send them.

pub mod policy;
pub mod sa;
mod shared;

pub use policy::{
    PolicyInfo, delete_policy, get_default, new_policy, set_default, socket_bypass, update_policy,
};
pub use sa::{delete_sa, get_sa, new_sa, update_sa};

/// A value that would not fit the kernel's structures. Nothing is ever cut.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The name has no room for its closing zero.
    #[error("the algorithm name {0} has more than 63 bytes")]
    LongName(String),
    /// The key is not what the algorithm says.
    #[error("{algorithm} has a key of {said} bits, the key given has {given} bytes")]
    KeyLength {
        /// Its name.
        algorithm: String,
        /// Bits that the model says.
        said: u32,
        /// Bytes of the key.
        given: usize,
    },
    /// Longer than the key of any algorithm (512 bytes).
    #[error("the key of {0} has more than 512 bytes")]
    LongKey(String),
    /// `XFRMA_REPLAY_ESN_MAX`.
    #[error("a replay window of {0} packets is larger than 4096")]
    Window(u32),
    /// Without ESN a sequence number has 32 bits.
    #[error("a sequence number beyond 32 bits needs esn")]
    Sequence,
    /// IPv4 with IPv6 in one selector, SA or template.
    #[error("source and destination are of different address families")]
    MixedFamilies,
    /// `XFRM_MAX_DEPTH`.
    #[error("{0} templates are more than the kernel's 6")]
    Templates(usize),
}
