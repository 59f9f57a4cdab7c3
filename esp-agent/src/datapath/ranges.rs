//! Room for the selectors of SAs in one array: equal lists share a range, a freed range rests for one round.

use esp_common::{Rule, RuleRange, names};
use std::collections::{BTreeMap, HashMap};

/// Which part of the array holds which list.
#[derive(Default)]
pub struct Ranges {
    held: HashMap<Vec<u8>, RuleRange>,
    /// No longer named by an SA, but a packet may still read it: first and length.
    resting: BTreeMap<u32, u32>,
}

/// The outcome of one round.
pub struct Round {
    /// Range of each list that was asked for, by the list's bytes; `None` had no room.
    pub ranges: HashMap<Vec<u8>, Option<RuleRange>>,
    /// What is to be written before an SA names it.
    pub writes: Vec<(u32, Vec<Rule>)>,
}

impl Ranges {
    /// Ranges that an earlier agent left behind: they rest until the first round is over.
    #[must_use]
    pub fn found(existing: impl IntoIterator<Item = RuleRange>) -> Self {
        let resting = existing.into_iter().filter(|range| range.count > 0);
        Self { held: HashMap::new(), resting: resting.map(|range| (range.first, range.count)).collect() }
    }

    /// Finds or makes a range for each list; what nobody asks for any more rests until the next round.
    pub fn round<'a>(&mut self, lists: impl IntoIterator<Item = &'a [Rule]>) -> Round {
        let mut wanted: HashMap<Vec<u8>, &[Rule]> = HashMap::new();
        for list in lists {
            wanted.insert(bytemuck::cast_slice(list).to_vec(), list);
        }
        let mut round = Round { ranges: HashMap::new(), writes: Vec::new() };
        for (bytes, list) in &wanted {
            let range = self.held.get(bytes).copied().or_else(|| self.place(bytes, list, &mut round.writes));
            round.ranges.insert(bytes.clone(), range);
        }
        self.resting = self
            .held
            .extract_if(|bytes, _| !wanted.contains_key(bytes))
            .filter(|(_, range)| range.count > 0)
            .map(|(_, range)| (range.first, range.count))
            .collect();
        round
    }

    /// The range of one more list between two rounds, and what is to be written before an SA names it. Nothing is
    /// given up here.
    pub fn one(&mut self, list: &[Rule]) -> (Option<RuleRange>, Vec<(u32, Vec<Rule>)>) {
        let bytes: &[u8] = bytemuck::cast_slice(list);
        let mut writes = Vec::new();
        let held = self.held.get(bytes).copied();
        (held.or_else(|| self.place(bytes, list, &mut writes)), writes)
    }

    fn place(
        &mut self,
        bytes: &[u8],
        list: &[Rule],
        writes: &mut Vec<(u32, Vec<Rule>)>,
    ) -> Option<RuleRange> {
        let count = u32::try_from(list.len()).ok()?;
        let over = count > names::INNER_RULES_PER_SA;
        let first = if over || count == 0 { 0 } else { self.gap(count)? };
        let range = RuleRange { first, count };
        if count > 0 && !over {
            writes.push((first, list.to_vec()));
        }
        self.held.insert(bytes.to_vec(), range);
        Some(range)
    }

    /// First gap of `count` rules between what is held and what rests.
    fn gap(&self, count: u32) -> Option<u32> {
        let held = self.held.values().filter(|range| range.count <= names::INNER_RULES_PER_SA);
        let mut taken: Vec<(u32, u32)> = held.map(|range| (range.first, range.count)).collect();
        taken.extend(self.resting.iter().map(|(first, len)| (*first, *len)));
        taken.sort_unstable();
        let mut at = 0;
        for (first, len) in taken {
            if first.saturating_sub(at) >= count {
                break;
            }
            at = at.max(first + len);
        }
        (at + count <= names::INNER_RULES).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable as _;

    fn list(marks: &[u32]) -> Vec<Rule> {
        marks.iter().map(|mark| Rule { policy: *mark, ..Rule::zeroed() }).collect()
    }

    fn range(ranges: &mut Ranges, lists: &[Vec<Rule>], of: &[Rule]) -> Option<RuleRange> {
        let round = ranges.round(lists.iter().map(Vec::as_slice));
        round.ranges[bytemuck::cast_slice::<_, u8>(of)]
    }

    #[test]
    fn equal_lists_share_a_range() {
        let mut ranges = Ranges::default();
        let round = ranges.round([list(&[1, 2]).as_slice(), list(&[1, 2]).as_slice()]);
        assert_eq!(round.ranges.len(), 1);
        assert_eq!(round.writes.len(), 1);
    }

    #[test]
    fn a_freed_range_rests_for_one_round() {
        let mut ranges = Ranges::default();
        let (a, b, c, d) = (list(&[1]), list(&[2]), list(&[3]), list(&[4]));
        assert_eq!(range(&mut ranges, std::slice::from_ref(&a), &a).expect("room").first, 0);
        assert_eq!(range(&mut ranges, std::slice::from_ref(&b), &b).expect("room").first, 1);
        assert_eq!(range(&mut ranges, std::slice::from_ref(&c), &c).expect("room").first, 2, "a rests");
        assert_eq!(range(&mut ranges, std::slice::from_ref(&d), &d).expect("room").first, 0, "a has rested");
    }

    #[test]
    fn what_an_earlier_agent_left_is_not_overwritten_at_once() {
        let mut ranges = Ranges::found([RuleRange { first: 0, count: 4 }]);
        let a = list(&[1]);
        assert_eq!(range(&mut ranges, std::slice::from_ref(&a), &a).expect("room").first, 4);
    }

    #[test]
    fn too_many_for_one_sa_take_no_room_and_are_unchecked() {
        let mut ranges = Ranges::default();
        let long = list(&(0..=names::INNER_RULES_PER_SA).collect::<Vec<_>>());
        let round = ranges.round([long.as_slice()]);
        assert!(round.writes.is_empty());
        let range = round.ranges.values().next().copied().flatten().expect("a range");
        assert!(range.count > names::INNER_RULES_PER_SA);
    }
}
