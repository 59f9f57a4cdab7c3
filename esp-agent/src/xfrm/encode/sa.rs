//! `XFRM_MSG_NEWSA`, `XFRM_MSG_UPDSA`, `XFRM_MSG_GETSA` and `XFRM_MSG_DELSA`.

use super::EncodeError;
use super::shared::{if_id, limits, mark, mode, offload, one_family, selector};
use crate::nl::message::{ACK, Message, REQUEST, family};
use crate::secret::Secret;
use crate::xfrm::model::{Algo, Encap, Mark, Sa, SaDir, SaId, SaKeys, SaStart};
use crate::xfrm::uapi;
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroizing;

/// The message that adds `sa`. It holds the keys and is wiped when dropped.
///
/// # Errors
/// A key that is not as long as its algorithm says, and what the kernel's structures cannot hold.
pub fn new_sa(sa: &Sa, keys: &SaKeys) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    whole(uapi::NEWSA, sa, keys)
}

/// The message that changes the SA with the id of `sa`. The kernel takes over limits, output mark, `if_id`, and
/// the encapsulation of an SA that has one, nothing else (`xfrm_state_update`); a larval SA is
/// replaced as a whole.
///
/// # Errors
/// As of [`new_sa`].
pub fn update_sa(sa: &Sa, keys: &SaKeys) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    whole(uapi::UPDSA, sa, keys)
}

fn whole(kind: u16, sa: &Sa, keys: &SaKeys) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let mut message = Message::new(kind, REQUEST | ACK);
    info(&mut message, sa)?;
    transform(&mut message, sa, keys)?;
    if let Some(udp) = &sa.encap {
        encap(&mut message, udp);
    }
    replay(&mut message, sa)?;
    if sa.extra_flags != 0 {
        number(&mut message, uapi::SA_EXTRA_FLAGS, sa.extra_flags);
    }
    mark(&mut message, sa.id.mark);
    if_id(&mut message, sa.if_id);
    if sa.tfc_pad != 0 {
        number(&mut message, uapi::TFCPAD, sa.tfc_pad);
    }
    output_mark(&mut message, sa.output_mark);
    if sa.nat_keepalive_s != 0 {
        number(&mut message, uapi::NAT_KEEPALIVE_INTERVAL, sa.nat_keepalive_s);
    }
    if let Some(cpu) = sa.pcpu {
        number(&mut message, uapi::SA_PCPU, cpu);
    }
    offload(&mut message, sa.offload);
    if let Some(dir) = sa.dir {
        message.attr(uapi::SA_DIR, |attr| {
            attr.u8(direction(dir));
        });
    }
    Ok(message.finish())
}

/// The message that deletes the SA with `id`.
#[must_use]
pub fn delete_sa(id: &SaId) -> Zeroizing<Vec<u8>> {
    of_id(uapi::DELSA, id)
}

/// The message that asks for the SA with `id`.
#[must_use]
pub fn get_sa(id: &SaId) -> Zeroizing<Vec<u8>> {
    of_id(uapi::GETSA, id)
}

/// `struct xfrm_usersa_id`.
fn of_id(kind: u16, id: &SaId) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(kind, REQUEST | ACK);
    message.addr(id.dst).bytes(&id.spi.wire()).u16(family(id.dst)).u8(id.proto).zeros(1);
    mark(&mut message, id.mark);
    message.finish()
}

/// `struct xfrm_usersa_info`. Without a selector its family stays 0 and the kernel puts the SA's in
/// (`copy_from_user_state`, unless `XFRM_STATE_AF_UNSPEC` is set).
fn info(message: &mut Message, sa: &Sa) -> Result<(), EncodeError> {
    let family = one_family(sa.src, sa.id.dst)?;
    if let Some(own) = &sa.selector {
        selector(message, own)?;
    } else {
        message.zeros(uapi::SELECTOR_LEN);
    }
    message.addr(sa.id.dst).bytes(&sa.id.spi.wire()).u8(sa.id.proto).zeros(3);
    message.addr(sa.src);
    limits(message, &sa.limits);
    // curlft, stats and seq are the kernel's.
    message.zeros(32 + 12 + 4).u32(sa.reqid).u16(family).u8(mode(sa.mode));
    // verify_replay() refuses a window here beside the extended one; at most 32 fits a u8.
    let window = if extended_replay(sa) { 0 } else { u8::try_from(sa.replay_window).unwrap_or(0) };
    let esn = if sa.esn { uapi::STATE_ESN } else { 0 };
    message.u8(window).u8(sa.flags | esn).zeros(7);
    Ok(())
}

fn transform(message: &mut Message, sa: &Sa, keys: &SaKeys) -> Result<(), EncodeError> {
    if let Some(auth) = &sa.suite.auth {
        algorithm(message, uapi::ALG_AUTH_TRUNC, auth, keys.auth.as_ref())?;
    }
    if let Some(enc) = &sa.suite.enc {
        algorithm(message, uapi::ALG_CRYPT, enc, keys.enc.as_ref())?;
    }
    if let Some(aead) = &sa.suite.aead {
        algorithm(message, uapi::ALG_AEAD, aead, keys.aead.as_ref())?;
    }
    if let Some(comp) = &sa.suite.comp {
        algorithm(message, uapi::ALG_COMP, comp, None)?;
    }
    Ok(())
}

/// `struct xfrm_algo`; `xfrm_algo_auth` and `xfrm_algo_aead` have the ICV's length before the key.
fn algorithm(message: &mut Message, kind: u16, algo: &Algo, key: Option<&Secret>) -> Result<(), EncodeError> {
    /// Twice the block of the largest hash, SHA-512 with 128 bytes, and more than any cipher takes.
    const LONGEST: usize = 512;
    let key = key.map_or(&[][..], Secret::expose);
    if algo.name.len() >= uapi::ALG_NAME_LEN {
        return Err(EncodeError::LongName(algo.name.clone()));
    }
    if key.len() > LONGEST {
        return Err(EncodeError::LongKey(algo.name.clone()));
    }
    // The kernel reads so many bits, rounded up to bytes, from behind the structure.
    if key.len() != usize::try_from(algo.key_bits.div_ceil(8)).unwrap_or(usize::MAX) {
        let algorithm = algo.name.clone();
        return Err(EncodeError::KeyLength { algorithm, said: algo.key_bits, given: key.len() });
    }
    message.attr(kind, |attr| {
        attr.bytes(algo.name.as_bytes()).zeros(uapi::ALG_NAME_LEN - algo.name.len()).u32(algo.key_bits);
        if matches!(kind, uapi::ALG_AUTH_TRUNC | uapi::ALG_AEAD) {
            attr.u32(algo.icv_bits);
        }
        attr.bytes(key);
    });
    Ok(())
}

/// `struct xfrm_encap_tmpl`.
fn encap(message: &mut Message, encap: &Encap) {
    message.attr(uapi::ENCAP, |attr| {
        attr.u16(encap.kind).be16(encap.sport).be16(encap.dport).zeros(2);
        attr.addr(encap.original.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    });
}

/// The bitmap of `struct xfrm_replay_state` has 32 bits; ESN needs the other structure (`verify_replay`).
const fn extended_replay(sa: &Sa) -> bool {
    sa.esn || sa.replay_window > 32
}

/// `struct xfrm_replay_state`, left out while it is all zero, or `xfrm_replay_state_esn`. The bitmap of the latter
/// may be left out and starts empty then (`verify_replay`).
fn replay(message: &mut Message, sa: &Sa) -> Result<(), EncodeError> {
    let SaStart { oseq, seq } = sa.start;
    if sa.replay_window > uapi::REPLAY_ESN_MAX {
        return Err(EncodeError::Window(sa.replay_window));
    }
    if !sa.esn && (high(oseq) != 0 || high(seq) != 0) {
        return Err(EncodeError::Sequence);
    }
    if extended_replay(sa) {
        let words = sa.replay_window.div_ceil(32);
        message.attr(uapi::REPLAY_ESN_VAL, |attr| {
            attr.u32(words).u32(low(oseq)).u32(low(seq)).u32(high(oseq)).u32(high(seq)).u32(sa.replay_window);
            // Of an SA that begins behind 0 nothing is known of the window: all of it counts as received.
            if seq != 0 {
                (0..words).for_each(|_| {
                    attr.u32(u32::MAX);
                });
            }
        });
    } else if sa.start != SaStart::default() {
        message.attr(uapi::REPLAY_VAL, |attr| {
            attr.u32(low(oseq)).u32(low(seq)).u32(if seq == 0 { 0 } else { u32::MAX });
        });
    }
    Ok(())
}

const fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

const fn high(number: u64) -> u32 {
    (number >> 32) as u32
}

/// `XFRMA_SET_MARK`, when there is one. The kernel shows the mask only when it is not all ones or zero, and takes
/// a missing one as all ones (`xfrm_smark_init`).
fn output_mark(message: &mut Message, mark: Mark) {
    if mark != Mark::default() {
        number(message, uapi::SET_MARK, mark.value);
        number(message, uapi::SET_MARK_MASK, mark.mask);
    }
}

fn number(message: &mut Message, kind: u16, value: u32) {
    message.attr(kind, |attr| {
        attr.u32(value);
    });
}

const fn direction(dir: SaDir) -> u8 {
    match dir {
        SaDir::In => 1,
        SaDir::Out => 2,
    }
}
