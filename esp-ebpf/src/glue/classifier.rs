//! The rule sets in their two arrays.

use super::opaque::{opaque, settled};
use aya_ebpf::{bindings::BPF_F_MMAPABLE, btf_maps::Array, macros::btf_map};
use esp_common::{
    Selector,
    classifier::{BANK_LINES, BANK_WORDS, BANKS, Line, Lines, Words, pack, unpack},
};
use esp_datapath::classifier::{self, Sets};

/// The agent writes them in place.
const IN_PLACE: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static RULE_LINES: Array<Lines, { BANKS as usize }, IN_PLACE> = Array::new();
#[btf_map]
static RULE_WORDS: Array<Words, { BANKS as usize }, IN_PLACE> = Array::new();

/// [`Sets`] in a bank.
struct Bank {
    lines: &'static Lines,
    words: &'static Words,
}

impl Bank {
    #[inline(always)] // two inlined array lookups
    fn of(number: u32) -> Option<Self> {
        Some(Self { lines: RULE_LINES.get(number)?, words: RULE_WORDS.get(number)? })
    }
}

impl Sets for Bank {
    #[inline(always)] // a mask and an addition
    fn line(&self, at: u32) -> &Line {
        &self.lines[(at & (BANK_LINES - 1)) as usize]
    }

    #[inline(always)] // as above
    fn word(&self, at: u32) -> u64 {
        self.words[(at & (BANK_WORDS - 1)) as usize]
    }

    #[inline(always)] // one move
    fn opaque(value: u64) -> u64 {
        opaque(value)
    }

    #[inline(always)] // one load
    fn settle(value: u64) -> u64 {
        settled(value)
    }
}

/// The policy that demands protection.
#[inline(always)] // only a call
pub(super) fn demanded(bank: u32, packet: &Selector) -> Option<u32> {
    let [a, b, c, d, e] = pack(packet, bank);
    let answer = esp_demanded(a, b, c, d, e);
    (answer & DEMANDED != 0).then_some(answer as u32)
}

/// Above the policy of an answer.
const DEMANDED: u64 = 1 << u32::BITS;

/// The search as a function of its own for the verifier ("global functions", Linux 5.6): it walks through it once, and not
/// for each way that leads here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_demanded(a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    let (packet, bank) = unpack([a, b, c, d, e]);
    let demanded = Bank::of(bank).and_then(|bank| classifier::demanded(&bank, &packet));
    demanded.map_or(0, |policy| DEMANDED | u64::from(policy))
}
