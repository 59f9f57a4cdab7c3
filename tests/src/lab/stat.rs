//! What the kernel says of a namespace's XFRM.

use crate::netns::Netns;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Of the reading thread: /proc/net would be the main thread's.
const XFRM_STAT: &str = "/proc/thread-self/net/xfrm_stat";

/// The counters of /proc/net/xfrm_stat.
///
/// # Errors
/// When the kernel has none (CONFIG_XFRM_STATISTICS).
pub fn xfrm_stat(netns: &Netns) -> Result<BTreeMap<String, u64>> {
    netns.run_in(xfrm_stat_here)
}

/// The same of the calling thread's namespace.
///
/// # Errors
/// As there.
pub fn xfrm_stat_here() -> Result<BTreeMap<String, u64>> {
    let text =
        std::fs::read_to_string(XFRM_STAT).context("no xfrm_stat: CONFIG_XFRM_STATISTICS is missing")?;
    let counter = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().map(|line| counter(line).with_context(|| format!("odd line in xfrm_stat: {line}"))).collect()
}

/// The counters that grew from one reading to the next, and by how much.
#[must_use]
pub fn moved(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let growth = |(name, value): (&String, &u64)| {
        let more = value.saturating_sub(before.get(name).copied().unwrap_or(0));
        (more > 0).then(|| (name.clone(), more))
    };
    after.iter().filter_map(growth).collect()
}

/// What Linux loses by itself while policies change. A changed policy makes each cached route stale
/// (`rt_genid_bump_all` in `xfrm_policy_insert`). A packet that is being forwarded holds such a route without a
/// reference; when another CPU replaces the route meanwhile, `skb_dst_force` finds it gone and
/// `__xfrm_route_forward` drops the packet (Linux 4.20 and later).
pub const STALE_ROUTE: &str = "XfrmFwdHdrError";

/// Takes counters out of those that moved, and says how many packets they stand for.
pub fn take_out(moved: &mut BTreeMap<String, u64>, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| moved.remove(*name)).sum()
}

/// All SAs and policies as `ip xfrm` lists them, without keys.
///
/// # Errors
/// What `ip` says.
pub fn xfrm_objects(netns: &Netns) -> Result<String> {
    Ok(netns.ip("xfrm state list nokeys")? + &netns.ip("xfrm policy list")?)
}
