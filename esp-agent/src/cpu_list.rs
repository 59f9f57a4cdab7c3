//! Lists of CPUs as the kernel writes them: `0-3,8`.

use std::collections::BTreeSet;

/// More than any kernel is built for (`NR_CPUS`).
const MOST: u32 = 8_192;

/// The CPUs of a list; none for an empty one.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn parse(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut cpus = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let [first, last] = [first, last].map(|number| number.trim().parse::<u32>().ok());
        match (first, last) {
            (Some(first), Some(last)) if first <= last && last < MOST => cpus.extend(first..=last),
            _ => return Err(format!("must be numbers of CPUs below {MOST}, such as 2-5,8")),
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        let of = |text: &str| parse(text).map(Vec::from_iter);
        assert_eq!(of("2-5"), Ok(vec![2, 3, 4, 5]));
        assert_eq!(of("0, 8-9,0\n"), Ok(vec![0, 8, 9]));
        assert_eq!(of("\n"), Ok(vec![]));
        for wrong in ["5-2", "a", "1,,2", "-1", "1-", "8192", "0-4294967295"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
