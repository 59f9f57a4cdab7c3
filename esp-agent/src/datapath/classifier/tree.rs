//! Runs of values as a search tree: sixteen keys to a node, a cache line each.

use super::bank::{Bank, Full};
use esp_common::classifier::{KEYS, LEVELS, Line, Way, skip};

/// Children of a node.
const CHILDREN: u32 = KEYS + 1;

/// Values from the first on, up to the next run, lead the same way.
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) way: Way,
}

/// Writes the tree; the way to it. A single run is no tree, but its way. The first one begins at 0.
pub(super) fn build(runs: &[Run], bank: &mut Bank) -> Result<Way, Full> {
    let [only] = runs else {
        let keys = runs.len() as u32 - 1;
        let levels = (1..=LEVELS).find(|levels| keys < CHILDREN.pow(*levels)).ok_or(Full("search trees"))?;
        let (first, nodes) = bank.nodes(skip(levels - 1) + keys / CHILDREN + 1)?;
        for (number, run) in (1..=keys).zip(&runs[1..]) {
            put(nodes, levels, number, run.first - 1);
        }
        let values = bank.values(runs.iter().map(|run| run.way))?;
        return Ok(Way::tree(levels, first, values));
    };
    Ok(only.way)
}

/// Puts the key of a number, from 1 on, in its place. In base 17, each zero at the end of the number is one level up.
fn put(nodes: &mut [Line], levels: u32, number: u32, key: u32) {
    let (mut level, mut rest) = (levels - 1, number);
    while rest.is_multiple_of(CHILDREN) {
        (level, rest) = (level - 1, rest / CHILDREN);
    }
    let node = &mut nodes[(skip(level) + rest / CHILDREN) as usize];
    let keys: &mut [u32; KEYS as usize] = bytemuck::cast_mut(&mut node.0);
    keys[(rest % CHILDREN) as usize - 1] = key;
}
