//! Ports and protocols as tables: the class of each value, whatever the masks.

use super::{
    Placed,
    bank::{Bank, Full},
    bits::{Bits, Open},
};
use esp_common::{Rule, classifier::Field};
use std::collections::{BTreeMap, HashMap};

/// Classes in a word of a table.
const IN_WORD: usize = 4;

/// The rules that ask for values of a field, by value and mask.
pub(super) struct Listed<'a> {
    values: usize,
    asked: BTreeMap<(u16, u16), Vec<&'a Placed<'a>>>,
}

impl<'a> Listed<'a> {
    /// Those of `field`, which is no address. Rules that leave it open are noted there, and not here.
    pub(super) fn of(placed: &'a [Placed<'a>], field: Field, open: &mut Open) -> Self {
        let mut asked: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for one in placed {
            let Rule { sport, sport_mask, dport, dport_mask, proto, proto_mask, .. } = *one.rule;
            let (value, mask) = match field {
                Field::Sport => (sport, sport_mask),
                Field::Dport => (dport, dport_mask),
                Field::Proto | Field::Src | Field::Dst => (proto.into(), proto_mask.into()),
            };
            if mask == 0 {
                open.set(one.rule, one.bit, field);
            } else {
                asked.entry((value & mask, mask)).or_default().push(one);
            }
        }
        let values = if field == Field::Proto { 1 << u8::BITS } else { 1 << u16::BITS };
        Self { values, asked }
    }

    /// Makes room for the table: its position, 0 where no rule asks for the field.
    pub(super) fn reserve(&self, bank: &mut Bank) -> Result<u32, Full> {
        if self.asked.is_empty() { Ok(0) } else { bank.table((self.values / IN_WORD) as u32) }
    }

    /// Writes the table.
    pub(super) fn fill(&self, table: u32, bank: &mut Bank) -> Result<(), Full> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let classes = self.classes();
        let mut numbers: HashMap<u32, u64> = HashMap::new();
        for (value, class) in classes.iter().enumerate() {
            if !numbers.contains_key(class) {
                let record = bank.record(&self.accepting(value as u16))?;
                numbers.insert(*class, bank.number(record));
            }
        }
        for (word, classes) in bank.table_mut(table).iter_mut().zip(classes.chunks(IN_WORD)) {
            *word = classes.iter().rev().fold(0, |word, class| word << u16::BITS | numbers[class]);
        }
        Ok(())
    }

    /// The rules that a packet matches which does not show its ports ([`Rule::matches`]): it has 0 in their place.
    pub(super) fn hidden(&self) -> Bits {
        self.select(|(value, _), rule| *value == 0 || !Rule::protects(rule.verdict))
    }

    /// A number for each value: equal ones are accepted by the same rules. Each pair of value and mask splits the classes
    /// that it cuts.
    fn classes(&self) -> Vec<u32> {
        let (mut classes, mut next) = (vec![0_u32; self.values], 1);
        for (value, mask) in self.asked.keys() {
            let free = !mask & (self.values - 1) as u16;
            let mut split: HashMap<u32, u32> = HashMap::new();
            let mut rest = free;
            loop {
                let class = &mut classes[usize::from(value | rest)];
                *class = *split.entry(*class).or_insert_with(|| {
                    next += 1;
                    next - 1
                });
                if rest == 0 {
                    break;
                }
                // The next smaller number with no bit outside of `free`.
                rest = (rest - 1) & free;
            }
        }
        classes
    }

    fn accepting(&self, seen: u16) -> Bits {
        self.select(|(value, mask), _| seen & mask == *value)
    }

    fn select(&self, accepts: impl Fn(&(u16, u16), &Rule) -> bool) -> Bits {
        let mut bits = Bits::default();
        for (asked, rules) in &self.asked {
            rules.iter().filter(|one| accepts(asked, one.rule)).for_each(|one| bits.set(one.bit));
        }
        bits
    }
}
