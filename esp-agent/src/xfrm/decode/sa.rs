//! `struct xfrm_usersa_info` and its attributes.

use super::shared::{limits, mark, mode, number, offload, selector};
use crate::nl::fields::{Attrs, DecodeError, Fields};
use crate::secret::KeyPrint;
use crate::xfrm::compare::selects_all;
use crate::xfrm::model::{Algo, Encap, Mark, ObservedSa, Sa, SaDir, SaId, SaStart, Suite};
use crate::xfrm::uapi;
use esp_common::Spi;
use zeroize::Zeroizing;

/// The body of `XFRM_MSG_NEWSA` or `XFRM_MSG_UPDSA`.
///
/// # Errors
/// A short structure or attribute, an address family that is not IP.
pub fn sa(body: &[u8]) -> Result<ObservedSa, DecodeError> {
    let fields = Fields::new(body);
    let attrs = fields.attrs(uapi::USERSA_INFO_LEN);
    let (suite, keys) = transform(attrs)?;
    let stats = Stats { late: fields.u32(192)?, replayed: fields.u32(196)?, failed: fields.u32(200)? };
    Ok(ObservedSa {
        larval: suite == Suite::default(),
        sa: attributes(fields, attrs, suite, keys)?,
        bytes: fields.u64(160)?,
        packets: fields.u64(168)?,
        added_s: fields.u64(176)?,
        used_s: fields.u64(184)?,
        replay_drops: stats.late.saturating_add(stats.replayed),
        integrity_failed: stats.failed,
        now: sequence(attrs)?,
    })
}

/// The identity in `struct xfrm_usersa_info`, with the mark of `attrs`.
pub(super) fn info_id(fields: Fields<'_>, attrs: Attrs<'_>) -> Result<SaId, DecodeError> {
    Ok(SaId {
        dst: fields.addr(56, fields.u16(212)?)?,
        spi: Spi::from_wire(fields.array(72)?),
        proto: fields.u8(76)?,
        mark: mark(attrs)?,
    })
}

/// `struct xfrm_usersa_id`, with the mark of `attrs`.
pub(super) fn id(fields: Fields<'_>, attrs: Attrs<'_>) -> Result<SaId, DecodeError> {
    Ok(SaId {
        dst: fields.addr(0, fields.u16(20)?)?,
        spi: Spi::from_wire(fields.array(16)?),
        proto: fields.u8(22)?,
        mark: mark(attrs)?,
    })
}

/// `struct xfrm_stats`.
struct Stats {
    late: u32,
    replayed: u32,
    failed: u32,
}

fn attributes(fields: Fields<'_>, attrs: Attrs<'_>, suite: Suite, keys: KeyPrint) -> Result<Sa, DecodeError> {
    let family = fields.u16(212)?;
    let flags = fields.u8(216)?;
    Ok(Sa {
        id: info_id(fields, attrs)?,
        src: fields.addr(80, family)?,
        mode: mode(fields.u8(214)?),
        reqid: fields.u32(208)?,
        if_id: number(attrs, uapi::IF_ID)?,
        suite,
        keys,
        replay_window: window(fields, attrs)?,
        esn: flags & uapi::STATE_ESN != 0,
        flags: flags & !uapi::STATE_ESN,
        extra_flags: number(attrs, uapi::SA_EXTRA_FLAGS)?,
        selector: Some(selector(fields, 0, family)?).filter(|own| !selects_all(own)),
        encap: attrs.find(uapi::ENCAP).map(|attr| encap(attr, family)).transpose()?,
        limits: limits(fields, 96)?,
        dir: dir(attrs)?,
        offload: offload(attrs)?,
        output_mark: output_mark(attrs)?,
        tfc_pad: number(attrs, uapi::TFCPAD)?,
        nat_keepalive_s: number(attrs, uapi::NAT_KEEPALIVE_INTERVAL)?,
        pcpu: attrs.find(uapi::SA_PCPU).map(|attr| attr.u32(0)).transpose()?,
        start: SaStart::default(),
    })
}

/// `XFRMA_SET_MARK` and its mask, which older kernels and iproute2 leave out when it is all ones.
fn output_mark(attrs: Attrs<'_>) -> Result<Mark, DecodeError> {
    let Some(value) = attrs.find(uapi::SET_MARK) else { return Ok(Mark::default()) };
    let mask = attrs.find(uapi::SET_MARK_MASK).map_or(Ok(u32::MAX), |mask| mask.u32(0))?;
    Ok(Mark { value: value.u32(0)?, mask })
}

/// `struct xfrm_replay_state_esn` or `xfrm_replay_state`; without either nothing was sent or received.
pub(super) fn sequence(attrs: Attrs<'_>) -> Result<SaStart, DecodeError> {
    if let Some(esn) = attrs.find(uapi::REPLAY_ESN_VAL) {
        let wide = |low, high| Ok(u64::from(esn.u32(high)?) << 32 | u64::from(esn.u32(low)?));
        return Ok(SaStart { oseq: wide(4, 12)?, seq: wide(8, 16)? });
    }
    let Some(plain) = attrs.find(uapi::REPLAY_VAL) else { return Ok(SaStart::default()) };
    Ok(SaStart { oseq: plain.u32(0)?.into(), seq: plain.u32(4)?.into() })
}

/// The transform and the print of its keys. Each `struct xfrm_algo*` has the key last; those of authentication
/// and AEAD have the ICV's length before it. The kernel shows authentication as `XFRMA_ALG_AUTH` too, without
/// the truncation; since Linux 2.6.33 `XFRMA_ALG_AUTH_TRUNC` is always there.
fn transform(attrs: Attrs<'_>) -> Result<(Suite, KeyPrint), DecodeError> {
    let mut keys = Zeroizing::new(Vec::with_capacity(KEYS));
    let mut read = |kind, key_at| {
        attrs.find(kind).map(|attr: Fields<'_>| algorithm(attr, key_at, &mut keys)).transpose()
    };
    let suite = Suite {
        aead: read(uapi::ALG_AEAD, 72)?,
        auth: read(uapi::ALG_AUTH_TRUNC, 72)?,
        enc: read(uapi::ALG_CRYPT, 68)?,
        comp: read(uapi::ALG_COMP, 68)?,
    };
    let print = KeyPrint::of(&keys);
    Ok((suite, print))
}

/// Room for all keys of an SA that we could have installed: no copy is left behind by growing.
const KEYS: usize = 4 * 512;

fn algorithm(attr: Fields<'_>, key_at: usize, keys: &mut Vec<u8>) -> Result<Algo, DecodeError> {
    let name = attr.slice(0, uapi::ALG_NAME_LEN)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = str::from_utf8(name).map_err(|_| DecodeError::Name)?.to_owned();
    let key_bits = attr.u32(64)?;
    let icv_bits = if key_at > 68 { attr.u32(68)? } else { 0 };
    let len = usize::try_from(key_bits.div_ceil(8)).unwrap_or(usize::MAX);
    keys.extend_from_slice(attr.slice(key_at, len)?);
    Ok(Algo { name, key_bits, icv_bits })
}

/// In packets. With `XFRMA_REPLAY_ESN_VAL` the field of the structure is 0.
fn window(fields: Fields<'_>, attrs: Attrs<'_>) -> Result<u32, DecodeError> {
    attrs.find(uapi::REPLAY_ESN_VAL).map_or_else(|| fields.u8(215).map(u32::from), |attr| attr.u32(20))
}

/// `struct xfrm_encap_tmpl`; its address is of the SA's family.
fn encap(attr: Fields<'_>, family: u16) -> Result<Encap, DecodeError> {
    let original = Some(attr.addr(8, family)?).filter(|addr| !addr.is_unspecified());
    Ok(Encap { kind: attr.u16(0)?, sport: attr.be16(2)?, dport: attr.be16(4)?, original })
}

/// `XFRMA_SA_DIR`.
pub(super) fn dir(attrs: Attrs<'_>) -> Result<Option<SaDir>, DecodeError> {
    Ok(attrs.find(uapi::SA_DIR).map(|attr| attr.u8(0)).transpose()?.and_then(direction))
}

const fn direction(number: u8) -> Option<SaDir> {
    match number {
        1 => Some(SaDir::In),
        2 => Some(SaDir::Out),
        _ => None,
    }
}
