//! Random keys and SPIs from the kernel.

use crate::secret::Secret;
use esp_common::Spi;
use std::io;
use zeroize::Zeroizing;

/// `bytes` random bytes.
///
/// # Errors
/// The kernel's.
pub fn key(bytes: usize) -> io::Result<Secret> {
    let mut key = vec![0; bytes];
    fill(&mut key)?;
    Ok(Secret::new(key))
}

/// The hex digits of a key. The one place besides the kernel's messages that keys are written to.
#[must_use]
pub fn hex(key: &Secret) -> Zeroizing<String> {
    Zeroizing::new(const_hex::encode(key.expose()))
}

/// `N` random SPIs, no two alike, none of those that are reserved (RFC 4303 section 2.1).
///
/// # Errors
/// The kernel's.
pub fn spis<const N: usize>() -> io::Result<[Spi; N]> {
    let mut spis = [Spi::new(0); N];
    for at in 0..N {
        loop {
            let mut bytes = [0; 4];
            fill(&mut bytes)?;
            let spi = Spi::new(u32::from_be_bytes(bytes));
            let (before, rest) = spis.split_at_mut(at);
            let Some(slot) = rest.first_mut() else { break };
            if !spi.is_zero() && !spi.is_reserved() && !before.contains(&spi) {
                *slot = spi;
                break;
            }
        }
    }
    Ok(spis)
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn spis_are_usable_and_differ() {
        let spis = spis::<64>().unwrap();
        assert!(spis.iter().all(|spi| spi.number() > 255));
        assert_eq!(spis.iter().map(|spi| spi.number()).collect::<BTreeSet<_>>().len(), 64);
    }

    #[test]
    fn keys_have_their_length_and_differ() {
        let (one, two) = (key(36).unwrap(), key(36).unwrap());
        assert_eq!((one.len(), two.len(), hex(&one).len()), (36, 36, 72));
        assert!(one != two);
    }
}
