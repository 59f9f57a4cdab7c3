//! How busy each CPU was, from /proc/stat.

use std::collections::BTreeMap;

/// Ticks of a CPU since boot: busy, and all.
pub type Ticks = (u64, u64);

/// Those of each CPU.
#[must_use]
pub fn parse(stat: &str) -> BTreeMap<u32, Ticks> {
    let cpu = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guest times are part of the first two (proc(5)).
        let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let [_, _, _, idle, iowait, ..] = *ticks else { return None };
        let all = ticks.iter().sum::<u64>();
        Some((number, (all.saturating_sub(idle).saturating_sub(iowait), all)))
    };
    stat.lines().filter(|line| !line.starts_with("cpu ")).filter_map(cpu).collect()
}

/// Thousandths of the time between two readings that it was busy.
#[must_use]
pub fn busy(before: Ticks, now: Ticks) -> u32 {
    let (busy, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    u32::try_from((busy * 1_000).checked_div(all).unwrap_or(0)).unwrap_or(1_000).min(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_not_idle() {
        let of = |text| parse(text).get(&1).copied().expect("CPU 1");
        let before = of("cpu  9 9 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 10 0 10 100 10 0 5 0 0 0\nintr 7\n");
        assert_eq!(before, (25, 135));
        let now = of("cpu1 40 0 20 140 30 0 5 0 0 0\n");
        assert_eq!(busy(before, now), 400);
        assert_eq!(busy(now, now), 0);
        assert_eq!(busy(now, before), 0);
        assert!(parse("cpu1 4\ncpux 1 2 3 4 5\n").is_empty());
    }
}
