//! Which CPU decrypts the packets of an SA.

/// The word of a slot: a CPU and whether the agent watches for a packet of the SA.
///
/// An SA moves to another CPU only when all its packets are through on the one before. The agent watches it; the
/// datapath takes it away with the first packet, by a compare-and-swap, and the agent changes the CPU by another one: that
/// succeeds only when there was no packet in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lane(u64);

impl Lane {
    /// No CPU of its own: it is decrypted where it is received.
    pub const HERE: Self = Self(0);

    const WATCH: u64 = 1 << 32;

    /// That of a CPU.
    #[must_use]
    pub const fn of(cpu: u32) -> Self {
        Self(cpu as u64 + 1)
    }

    /// That of a word.
    #[inline(always)] // a move
    #[must_use]
    pub const fn from_raw(word: u64) -> Self {
        Self(word)
    }

    /// Its word.
    #[inline(always)] // a move
    #[must_use]
    pub const fn as_raw(self) -> u64 {
        self.0
    }

    /// The CPU; `None` where it is received.
    #[inline(always)] // a compare
    #[must_use]
    pub const fn cpu(self) -> Option<u32> {
        (self.0 as u32).checked_sub(1)
    }

    /// The same, watched.
    #[must_use]
    pub const fn watched(self) -> Self {
        Self(self.0 | Self::WATCH)
    }

    /// The same, after a packet.
    #[inline(always)] // a mask
    #[must_use]
    pub const fn seen(self) -> Self {
        Self(self.0 & !Self::WATCH)
    }
}

/// Queues of each CPU: of frames in one buffer, of frames in several.
pub const QUEUES: u32 = 2;

/// Index of a CPU's queue in the counters.
#[inline(always)] // one shift
#[must_use]
pub const fn queue(cpu: u32, frags: bool) -> u32 {
    cpu.wrapping_mul(QUEUES).wrapping_add(frags as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_cpu_and_a_watch() {
        for cpu in [0, 1, 4_095, u32::MAX - 1] {
            let lane = Lane::of(cpu);
            assert_eq!((lane.cpu(), lane.watched().cpu()), (Some(cpu), Some(cpu)));
            assert!(lane.watched() != lane && lane.watched().seen() == lane && lane.seen() == lane);
            assert_eq!(Lane::from_raw(lane.as_raw()), lane);
        }
        assert_eq!((Lane::HERE.cpu(), Lane::HERE.watched().cpu()), (None, None));
        assert_ne!(Lane::HERE.watched(), Lane::HERE);
    }

    #[test]
    fn queues_have_places_of_their_own() {
        assert_eq!([queue(0, false), queue(0, true), queue(1, false), queue(1, true)], [0, 1, 2, 3]);
    }
}
