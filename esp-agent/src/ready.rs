//! Readiness: ready when all who hold it back have let go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A latch with named holders. Clones share it. Without a holder it is ready, so the holders are made before it is served.
#[derive(Clone, Default, Debug)]
pub struct Ready(Arc<Mutex<Holders>>);

#[derive(Default, Debug)]
struct Holders {
    next: u64,
    names: BTreeMap<u64, String>,
}

/// Holds readiness back until it is dropped.
#[must_use = "readiness is held back only while the holder lives"]
#[derive(Debug)]
pub struct Holder {
    ready: Ready,
    key: u64,
}

impl Ready {
    /// Holds readiness back; `what` names the condition that is still missing, such as `datapath attached`.
    pub fn hold(&self, what: impl Into<String>) -> Holder {
        let mut holders = self.lock();
        let key = holders.next;
        holders.next += 1;
        holders.names.insert(key, what.into());
        Holder { ready: self.clone(), key }
    }

    /// True when no one holds it back.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().names.is_empty()
    }

    /// What is still missing, oldest first.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.lock().names.values().cloned().collect()
    }

    /// A panic elsewhere leaves the names intact: each change is one insert or one remove.
    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.ready.lock().names.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_when_the_last_holder_lets_go() {
        let ready = Ready::default();
        let attach = ready.hold("datapath attached");
        let mirror = ready.hold("first mirror");
        assert_eq!(ready.missing(), ["datapath attached", "first mirror"]);
        drop(attach);
        assert!(!ready.is_ready());
        assert_eq!(ready.missing(), ["first mirror"]);
        drop(mirror);
        assert!(ready.is_ready());
    }

    #[test]
    fn equal_names_are_held_apart_and_clones_share() {
        let ready = Ready::default();
        let (first, second) = (ready.hold("iface eth5"), ready.clone().hold("iface eth5"));
        drop(first);
        assert_eq!(ready.missing(), ["iface eth5"]);
        drop(second);
        assert!(ready.is_ready());
    }
}
