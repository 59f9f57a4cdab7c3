//! Prefixes of one field and family as search trees, one for each 32 bits of an address that some prefix goes into.

use super::{
    Placed,
    bank::{Bank, Full},
    bits::{Bits, Open},
    tree::{self, Run},
};
use esp_common::{
    Prefix,
    classifier::{Field, Way},
};
use std::collections::BTreeMap;

const PIECE: u32 = u32::BITS;

/// A prefix that some rule asks for, its first bit in the highest place.
#[derive(Clone, Copy)]
struct Net {
    value: u128,
    len: u32,
    bit: u32,
}

/// The way to the trees. Rules that leave the field open are noted there, and in none of them.
pub(super) fn build(
    placed: &[Placed<'_>],
    family: u8,
    field: Field,
    open: &mut Open,
    bank: &mut Bank,
) -> Result<Way, Full> {
    let mut nets = Vec::new();
    for Placed { rule, bit } in placed.iter().filter(|placed| placed.rule.family == family) {
        let prefix = if field == Field::Src { &rule.src } else { &rule.dst };
        match in_family(prefix, family) {
            Some((_, 0)) => open.set(rule, *bit, field),
            Some((value, len)) => nets.push(Net { value, len, bit: *bit }),
            // Of the other family: no packet of this one matches.
            None => {}
        }
    }
    part(&nets, &mut Bits::default(), bank)
}

/// A prefix as the family counts it. One of IPv6 above the mapped addresses covers all of IPv4.
fn in_family(prefix: &Prefix, family: u8) -> Option<(u128, u32)> {
    const MAPPED: u32 = 96;
    const MARK: u128 = 0xffff << 32;
    let [net, mask] = [prefix.net, prefix.mask].map(|addr| u128::from_be_bytes(addr.octets()));
    let len = mask.leading_ones();
    if family == 6 {
        return Some((net, len));
    }
    let above = mask & !u128::from(u32::MAX);
    ((MARK ^ net) & above == 0).then(|| (net << MAPPED, len.saturating_sub(MAPPED)))
}

/// What happens where a run begins.
#[derive(Default)]
struct Edge {
    begin: Vec<u32>,
    end: Vec<u32>,
    /// Prefixes that go on behind these 32 bits.
    longer: Vec<Net>,
}

/// The tree of the first 32 bits of the nets; `set` holds the rules that accept all of it, and does so again in the end.
fn part(nets: &[Net], set: &mut Bits, bank: &mut Bank) -> Result<Way, Full> {
    let mut edges: BTreeMap<u64, Edge> = BTreeMap::from([(0, Edge::default())]);
    for net in nets {
        let first = (net.value >> (u128::BITS - PIECE)) as u64;
        let past = first + (1 << PIECE.saturating_sub(net.len));
        if net.len > PIECE {
            let rest = Net { value: net.value << PIECE, len: net.len - PIECE, ..*net };
            edges.entry(first).or_default().longer.push(rest);
            edges.entry(past).or_default();
        } else {
            edges.entry(first).or_default().begin.push(net.bit);
            edges.entry(past).or_default().end.push(net.bit);
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    for (first, edge) in edges {
        edge.end.iter().for_each(|bit| set.clear(*bit));
        edge.begin.iter().for_each(|bit| set.set(*bit));
        // The last edge may be behind the last address.
        let Ok(first) = u32::try_from(first) else { break };
        let way = if edge.longer.is_empty() {
            Way::record(bank.record(set)?)
        } else {
            part(&edge.longer, set, bank)?
        };
        if runs.last().is_none_or(|last| last.way != way) {
            runs.push(Run { first, way });
        }
    }
    tree::build(&runs, bank)
}
