//! An SA in one line.

use super::{mode_name, proto_name, write_if_id, write_limits, write_mark, write_offload, write_selector};
use crate::xfrm::model::{Algo, Encap, Mark, Sa, SaDir, SaId, Suite};
use std::fmt;

/// The identity of an SA.
pub struct SaName<'a>(pub &'a SaId);

impl fmt::Display for SaName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SaId { dst, spi, proto, mark } = self.0;
        write!(f, "to {dst} {} spi {spi}", proto_name(*proto))?;
        write_mark(f, *mark)
    }
}

/// All of an SA but its keys, and the name of its tunnel.
pub struct SaLine<'a>(pub &'a Sa, pub Option<&'a str>);

impl fmt::Display for SaLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(sa, label) = self;
        let SaId { dst, spi, proto, mark } = sa.id;
        write!(f, "{} -> {dst} {} spi {spi}", sa.src, proto_name(proto))?;
        write_mark(f, mark)?;
        write!(f, " {} reqid {:#x}", mode_name(sa.mode), sa.reqid)?;
        write_if_id(f, sa.if_id)?;
        [&sa.suite.aead, &sa.suite.enc, &sa.suite.auth, &sa.suite.comp]
            .into_iter()
            .flatten()
            .try_for_each(|algo| write_algo(f, algo))?;
        write_extras(f, sa)?;
        write_label(f, *label, sa.dir)
    }
}

/// The algorithms of an SA, joined by `+`; empty for a larval one.
#[must_use]
pub fn suite_text(suite: &Suite) -> String {
    let algos = [&suite.aead, &suite.enc, &suite.auth, &suite.comp];
    let names: Vec<&str> = algos.into_iter().flatten().map(|algo| algo.name.as_str()).collect();
    names.join("+")
}

/// Key bits of a cipher, ICV bits of an authentication, both of an AEAD.
fn write_algo(f: &mut fmt::Formatter<'_>, algo: &Algo) -> fmt::Result {
    let Algo { name, key_bits, icv_bits } = algo;
    match (name.starts_with("hmac") || name.starts_with("xcbc") || name.starts_with("cmac"), *icv_bits) {
        (true, icv) => write!(f, " {name}/{icv}"),
        (false, 0) => write!(f, " {name}/{key_bits}"),
        (false, icv) => write!(f, " {name}/{key_bits}/{icv}"),
    }
}

fn write_extras(f: &mut fmt::Formatter<'_>, sa: &Sa) -> fmt::Result {
    if sa.replay_window != 0 {
        write!(f, " replay-window {}", sa.replay_window)?;
    }
    if sa.esn {
        write!(f, " esn")?;
    }
    if sa.flags != 0 {
        write!(f, " flags {:#x}", sa.flags)?;
    }
    if sa.extra_flags != 0 {
        write!(f, " extra-flags {:#x}", sa.extra_flags)?;
    }
    if let Some(selector) = &sa.selector {
        write!(f, " sel ")?;
        write_selector(f, selector)?;
    }
    if let Some(Encap { kind, sport, dport, .. }) = &sa.encap {
        write!(f, " encap {kind} {sport} -> {dport}")?;
    }
    write_rare(f, sa)?;
    write_limits(f, &sa.limits)?;
    write_offload(f, sa.offload.as_ref())
}

fn write_rare(f: &mut fmt::Formatter<'_>, sa: &Sa) -> fmt::Result {
    if sa.output_mark != Mark::default() {
        write!(f, " output-mark {:#x}/{:#x}", sa.output_mark.value, sa.output_mark.mask)?;
    }
    if sa.tfc_pad != 0 {
        write!(f, " tfcpad {}", sa.tfc_pad)?;
    }
    if sa.nat_keepalive_s != 0 {
        write!(f, " nat-keepalive {}s", sa.nat_keepalive_s)?;
    }
    if let Some(cpu) = sa.pcpu {
        write!(f, " cpu {cpu}")?;
    }
    if sa.start.oseq != 0 {
        write!(f, " oseq {:#x}", sa.start.oseq)?;
    }
    if sa.start.seq != 0 {
        write!(f, " seq {:#x}", sa.start.seq)?;
    }
    Ok(())
}

fn write_label(f: &mut fmt::Formatter<'_>, label: Option<&str>, dir: Option<SaDir>) -> fmt::Result {
    let dir = dir.map(|dir| match dir {
        SaDir::In => "in",
        SaDir::Out => "out",
    });
    let words: Vec<&str> = label.into_iter().chain(dir).collect();
    if words.is_empty() { Ok(()) } else { write!(f, "  ({})", words.join(" ")) }
}
