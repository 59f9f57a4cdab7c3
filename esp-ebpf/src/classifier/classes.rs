//! From a packet's fields to the rules that accept each of them.

use super::{Sets, is_v6};
use esp_common::{
    Addr, Selector,
    classifier::{FIELDS, Head, KEYS, LEVELS, Line, PIECES, RECORD, Way, child},
};

/// Records of a packet's fields.
#[derive(Clone, Copy)]
pub struct Classes {
    /// In the order of [`esp_common::classifier::Field`].
    pub(super) records: [u32; FIELDS],
    /// Some rule asks for a protocol or a port.
    pub(super) listed: bool,
    /// Planes with rules.
    pub planes: u32,
}

/// The classes of the packet's fields.
#[inline(always)] // the body of a function of its own for the verifier
pub fn classes<S: Sets>(sets: &S, packet: &Selector) -> Classes {
    let Head { roots: [four, six], records, tables, hidden, planes, pad: _ } =
        bytemuck::cast_ref(sets.line(0));
    let ([proto_table, dport_table, sport_table], [dport_hidden, sport_hidden]) = (*tables, hidden);
    let (records, planes) = (*records, *planes);
    // Without a branch: no bit or all of them.
    let is_v6 = 0_u64.wrapping_sub(S::opaque(is_v6(packet.family).into()));
    let ([src, dst], [src6, dst6]) = (*four, *six);
    let src = address(sets, Way(either(is_v6, src6, src)), packet.src, is_v6);
    let dst = address(sets, Way(either(is_v6, dst6, dst)), packet.dst, is_v6);
    if proto_table | dport_table | sport_table == 0 {
        let records = [src, dst, records, records, records];
        return Classes { records, listed: false, planes };
    }
    let proto = listed(sets, records, proto_table, packet.proto.into());
    if packet.port_mask == 0 {
        let [dport, sport] = [*dport_hidden, *sport_hidden].map(|record| S::settle(record.into()) as u32);
        return Classes { records: [src, dst, proto, dport, sport], listed: true, planes };
    }
    let dport = listed(sets, records, dport_table, packet.dport);
    let sport = listed(sets, records, sport_table, packet.sport);
    Classes { records: [src, dst, proto, dport, sport], listed: true, planes }
}

/// `a` where all bits of the mask are set, `b` where none is.
#[inline(always)] // four instructions
const fn either(mask: u64, a: u64, b: u64) -> u64 {
    (a & mask) | (b & !mask)
}

/// The record of a value in a table; the first one, of no rule, where no rule asks for the field.
#[inline(always)] // as above
fn listed<S: Sets>(sets: &S, records: u32, table: u32, value: u16) -> u32 {
    if table == 0 {
        return S::settle(records.into()) as u32;
    }
    let four = sets.word(table.wrapping_add(u32::from(value >> 2)));
    let number = (four >> ((value & 3) << 4)) as u16;
    S::settle(records.wrapping_add(u32::from(number).wrapping_mul(RECORD)).into()) as u32
}

/// The record of an address, 32 bits at a time.
#[inline(always)] // as above
fn address<S: Sets>(sets: &S, root: Way, addr: Addr, is_v6: u64) -> u32 {
    let [high, low] = addr.words();
    let (high, mut low) = (u64::from_be(high), u64::from_be(low));
    // An IPv4 address is the last piece, and the first to be looked at.
    let mut high = either(is_v6, high, low << u32::BITS);
    let mut way = root;
    for _ in 0..PIECES {
        if way.levels() == 0 {
            break;
        }
        way = step(sets, way, high >> u32::BITS);
        high = high << u32::BITS | low >> u32::BITS;
        low <<= u32::BITS;
    }
    S::settle(way.value(0).into()) as u32
}

/// Where the search goes on behind the tree.
#[inline(always)] // as above
fn step<S: Sets>(sets: &S, way: Way, piece: u64) -> Way {
    let (mut node, levels, piece) = (0, way.levels(), S::opaque(piece));
    for level in 0..LEVELS {
        if level == levels {
            break;
        }
        node = child(node, rank(sets.line(way.node(node)), piece));
    }
    Way(sets.word(way.value(S::settle(node.into()) as u32)))
}

/// How many keys are below the value: first the ends of three groups, then the keys of one. What ends a group before the
/// last is not below it.
#[inline(always)] // as above
fn rank(node: &Line, piece: u64) -> u32 {
    let groups = node.keys();
    let [[.., a], [.., b], [.., c], _] = groups;
    let group = below(*a, piece).wrapping_add(below(*b, piece)).wrapping_add(below(*c, piece)) & 3;
    let [a, b, c, d] = groups.get(group as usize).unwrap_or(&[0; 4]);
    let rest = below(*a, piece)
        .wrapping_add(below(*b, piece))
        .wrapping_add(below(*c, piece))
        .wrapping_add(below(*d, piece));
    (group << 2).wrapping_add(rest) as u32 & ((KEYS << 1) - 1)
}

/// 1 for a key below the value, 0 for another: the sign of their difference.
#[inline(always)] // two instructions
fn below(key: u32, piece: u64) -> u64 {
    u64::from(key).wrapping_sub(piece) >> (u64::BITS - 1)
}
