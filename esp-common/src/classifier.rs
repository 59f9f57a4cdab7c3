//! Rule sets as the datapath searches them: bit vectors, one bit for each rule.
//!
//! Each field of a packet has a class: the rules that accept its value. The first rule that all fields accept is the
//! first bit that all their vectors have, so a decision costs the same whatever the rules. A set lives in a bank: an element
//! of an array of [`Lines`], and the same one of an array of [`Words`]. The elements are that large so that a decision looks
//! up two of them, and then reads at any position, its upper bits cut off.
//!
//! - The first line is the [`Head`]. Behind it, for each plane and family, [`PLANE_LINES`] lines of the rules that
//!   leave a field open: the summary of the others, then one line for each 64 rules. The words of a line are the
//!   [`Field`]s. Nodes of search trees follow.
//! - The first words are [`verdict`]s, by plane and rule. Tables of classes by port and protocol follow,
//!   records, and from the end downwards the values of search trees.
//! - A record is a class: two summaries, one for each plane (bit w: word w is not zero), then the words of the first
//!   plane that are not zero, then those of the second. It starts a multiple of [`RECORD`] words behind the first.

use crate::{
    names::RULES,
    selector::{RuleTable, Selector},
};
use bytemuck::{Pod, Zeroable};

/// Lines of a bank, a power of two.
pub const BANK_LINES: u32 = 1 << 14;
/// Words of a bank, a power of two.
pub const BANK_WORDS: u32 = 1 << 18;
/// Two for each table: one is in force, the other is written.
pub const BANKS: u32 = 4;

/// Words of 64 rules.
pub const RULE_WORDS: u32 = RULES / u64::BITS;
/// Lines of a plane and family.
pub const PLANE_LINES: u32 = 1 + RULE_WORDS;
/// The first line that is free for trees.
pub const TREE_LINES: u32 = 1 + 4 * PLANE_LINES;
/// The first word that is free for tables.
pub const FREE_WORDS: u32 = 2 * RULES;
/// Records begin on multiples of it: sixteen bits number them.
pub const RECORD: u32 = 4;

/// Keys of a node.
pub const KEYS: u32 = 16;
/// Levels of a tree: room for 83,520 keys.
pub const LEVELS: u32 = 4;
/// Pieces of an IPv6 address.
pub const PIECES: u32 = 4;

/// A cache line: eight words, or sixteen keys.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Line(pub [u64; 8]);

impl Line {
    /// Keys of a node: the last values of runs, in ascending order, in four groups.
    #[inline(always)] // a cast
    #[must_use]
    pub fn keys(&self) -> &[[u32; 4]; 4] {
        bytemuck::cast_ref(&self.0)
    }
}

/// The lines of a bank.
pub type Lines = [Line; BANK_LINES as usize];
/// The words of a bank.
pub type Words = [u64; BANK_WORDS as usize];

/// The words of a line of open rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// Source address.
    Src = 0,
    /// Destination address.
    Dst = 1,
    /// Protocol.
    Proto = 2,
    /// Destination port.
    Dport = 3,
    /// Source port.
    Sport = 4,
}

/// How many fields there are.
pub const FIELDS: usize = 5;

/// The first line of a bank.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Head {
    /// [`Way`] of the source and the destination: IPv4, then IPv6.
    pub roots: [[u64; 2]; 2],
    /// The first record.
    pub records: u32,
    /// Where the table of a field begins: protocol, destination port, source port. 0: no rule asks for it.
    pub tables: [u32; 3],
    /// Records of the two ports where a packet does not show them.
    pub hidden: [u32; 2],
    /// Planes with rules: 1 or 2.
    pub planes: u32,
    /// Zero.
    pub pad: u32,
}

/// Where a search goes on, or its end: in the upper bits levels of a tree and its first node, in the lower half its values.
/// Without levels the lower half is the record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Way(pub u64);

impl Way {
    const NODE_BITS: u32 = 24;

    /// The end.
    #[must_use]
    pub const fn record(at: u32) -> Self {
        Self(at as u64)
    }

    /// A tree of so many levels, at most [`LEVELS`]: nodes from line `node` on, values from word `values` on.
    #[must_use]
    pub const fn tree(levels: u32, node: u32, values: u32) -> Self {
        let skipped = values.wrapping_sub(skip(levels));
        Self((levels as u64) << (u32::BITS + Self::NODE_BITS) | (node as u64) << u32::BITS | skipped as u64)
    }

    /// Levels of the tree; 0 at the end.
    #[inline(always)] // one shift
    #[must_use]
    pub const fn levels(self) -> u32 {
        (self.0 >> (u32::BITS + Self::NODE_BITS)) as u32
    }

    /// The line of a node.
    #[inline(always)] // a shift and a mask
    #[must_use]
    pub const fn node(self, number: u32) -> u32 {
        ((self.0 >> u32::BITS) as u32 & ((1 << Self::NODE_BITS) - 1)).wrapping_add(number)
    }

    /// The word of a value, by the number that follows that of the last node; of the end, its record.
    #[inline(always)] // an addition
    #[must_use]
    pub const fn value(self, number: u32) -> u32 {
        (self.0 as u32).wrapping_add(number)
    }
}

/// Nodes above a level: nodes are numbered from the root on, level by level, each level full but the last.
#[must_use]
pub const fn skip(level: u32) -> u32 {
    match level {
        0 => 0,
        _ => skip(level - 1) * (KEYS + 1) + 1,
    }
}

/// The child of a node on the side of so many keys.
#[inline(always)] // a multiplication
#[must_use]
pub const fn child(node: u32, rank: u32) -> u32 {
    node.wrapping_mul(KEYS + 1).wrapping_add(1).wrapping_add(rank)
}

/// Policy and verdict of a rule; never 0.
#[must_use]
pub const fn verdict(verdict: u8, policy: u32) -> u64 {
    (verdict as u64) << u32::BITS | policy as u64
}

/// What [`verdict`] made of them.
#[inline(always)] // a shift
#[must_use]
pub const fn judged(word: u64) -> (u8, u32) {
    ((word >> u32::BITS) as u8, word as u32)
}

/// Which rule set of a table is in force. Whoever stores another changes one byte that a reader looks at, so that there is
/// no half of it.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct RuleSet {
    /// Its bank plus one; 0 is no rules.
    pub number: u32,
    /// Its rules, for people.
    pub count: u32,
}

impl RuleSet {
    /// The bank that is in force; `None` without rules.
    #[inline(always)] // a compare
    #[must_use]
    pub const fn bank(self) -> Option<u32> {
        self.number.checked_sub(1)
    }

    /// The bank of a table that is not in force.
    #[must_use]
    pub const fn other(self, table: RuleTable) -> u32 {
        let first = match table {
            RuleTable::In => 0,
            RuleTable::Out => 2,
        };
        if self.number == first + 1 { first + 1 } else { first }
    }
}

/// A packet's fields in five words, as arguments of a function of its own for the verifier; the bank is with them.
#[inline(always)] // moves
#[must_use]
pub const fn pack(packet: &Selector, bank: u32) -> [u64; 5] {
    let ([a, b], [c, d]) = (packet.src.words(), packet.dst.words());
    let hidden = (packet.port_mask == 0) as u64;
    let rest = packet.sport as u64
        | (packet.dport as u64) << 16
        | (packet.proto as u64) << 32
        | (packet.family as u64) << 40
        | hidden << 48
        | (bank as u64) << 56;
    [a, b, c, d, rest]
}

/// What [`pack`] made of them.
#[inline(always)] // as above
#[must_use]
pub const fn unpack(packed: [u64; 5]) -> (Selector, u32) {
    use crate::addr::Addr;
    let [a, b, c, d, rest] = packed;
    let packet = Selector {
        src: Addr::from_words([a, b]),
        dst: Addr::from_words([c, d]),
        sport: rest as u16,
        dport: (rest >> 16) as u16,
        proto: (rest >> 32) as u8,
        family: (rest >> 40) as u8,
        port_mask: if (rest >> 48) & 1 == 0 { u16::MAX } else { 0 },
    };
    (packet, (rest >> 56) as u32)
}

const _: () = {
    assert!(size_of::<Line>() == 64 && size_of::<Head>() == 64 && size_of::<RuleSet>() == 8);
    assert!(skip(1) == 1 && skip(2) == 18 && skip(3) == 307 && skip(4) == 5_220);
    assert!(BANK_LINES <= 1 << Way::NODE_BITS && KEYS == 16);
    assert!(BANK_LINES.is_power_of_two() && BANK_WORDS.is_power_of_two());
    // Sixteen bits number the records; a bank is mapped by itself, whatever the size of a page up to 64 KiB.
    assert!(BANK_WORDS / RECORD <= 1 << 16);
    assert!((BANK_LINES * 64).is_multiple_of(1 << 16) && (BANK_WORDS * 8).is_multiple_of(1 << 16));
    assert!(RULE_WORDS == u64::BITS && BANKS < 1 << 8);
};
