//! The kernel's databases, with sequence numbers that go on.

use super::amount::{STOPPED, ahead, exhausted, limit};
use super::ledger::Key;
use super::{Ledger, LedgerError};
use crate::config::desired::Desired;
use crate::secret::KeyPrint;
use crate::xfrm::interface::{ObservedLink, Part, XfrmLink};
use crate::xfrm::model::{
    DefaultPolicy, ESP, ObservedPolicy, ObservedSa, Policy, PolicyId, Sa, SaDir, SaId, SaKeys, SaStart,
};
use crate::xfrm::{Xfrm, XfrmError};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The highest number received is written at least so often while it moves.
const SEQ_AGE: Duration = Duration::from_secs(30);

/// A kernel whose SAs begin where those with the same keys have ended.
pub struct Sequenced {
    inner: Box<dyn Xfrm + Send>,
    ledger: Ledger,
    /// Our own addresses: they tell which way an SA goes.
    locals: BTreeSet<IpAddr>,
    /// Where the SAs begin that are about to be added.
    starts: HashMap<SaId, SaStart>,
    /// SAs that are wanted and whose numbers are followed.
    followed: HashMap<SaId, Followed>,
    saved: Instant,
    /// The last failure to write, told once.
    failure: Option<String>,
}

struct Followed {
    key: Key,
    keys: KeyPrint,
    ways: Ways,
    esn: bool,
    /// The last number sent, and when that was read.
    last: Option<(u64, Instant)>,
}

/// Which numbers of an SA count. Where neither end is ours, both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ways {
    sends: bool,
    receives: bool,
}

impl Sequenced {
    /// `inner` with the numbers of `ledger`.
    #[must_use]
    pub fn new(inner: Box<dyn Xfrm + Send>, ledger: Ledger) -> Self {
        Self {
            inner,
            ledger,
            locals: BTreeSet::new(),
            starts: HashMap::new(),
            followed: HashMap::new(),
            saved: Instant::now(),
            failure: None,
        }
    }

    /// Takes over our own addresses.
    pub fn set_locals(&mut self, locals: BTreeSet<IpAddr>) {
        self.locals = locals;
    }

    /// Takes over which SAs are followed from now on.
    pub fn want(&mut self, desired: &Desired) {
        let mut before = std::mem::take(&mut self.followed);
        for keyed in desired.sas.iter().filter(|keyed| keyed.sa.id.proto == ESP) {
            let (sa, ways) = (&keyed.sa, self.ways(&keyed.sa));
            let known = before.remove(&sa.id).filter(|known| known.keys == sa.keys);
            let followed = match known {
                Some(known) => Followed { ways, esn: sa.esn, ..known },
                None => {
                    let key = self.ledger.key(&sa.id, &keyed.keys);
                    Followed { key, keys: sa.keys, ways, esn: sa.esn, last: None }
                }
            };
            self.followed.insert(sa.id, followed);
        }
    }

    /// Reads the numbers of the SAs that are followed, and keeps the reservations ahead of them.
    pub fn follow(&mut self, now: Instant) {
        let mut short = self.failure.is_some();
        for (id, seen) in self.numbers() {
            let Some(followed) = self.followed.get_mut(&id) else { continue };
            let ahead = match followed.last.replace((seen.oseq, now)) {
                Some((oseq, at)) => ahead(seen.oseq.saturating_sub(oseq), now.saturating_duration_since(at)),
                None => ahead(0, Duration::ZERO),
            };
            let mark = self.ledger.mark(&followed.key).unwrap_or_default();
            let lacks = followed.ways.sends && mark.oseq < cap(seen.oseq, ahead / 2, followed.esn);
            let moved = followed.ways.receives && mark.seq < seen.seq;
            short |= lacks || moved && now.saturating_duration_since(self.saved) > SEQ_AGE;
            let oseq = if followed.ways.sends { cap(seen.oseq, ahead, followed.esn) } else { 0 };
            let seq = if followed.ways.receives { seen.seq } else { 0 };
            // In memory at once: a repair begins there. What is on disk may be behind, but not the other way round.
            self.ledger.set(followed.key, if lacks { oseq } else { mark.oseq }, seq);
        }
        if short {
            self.save();
        }
    }

    /// Reserves for the time without an agent: the SAs go on.
    pub fn close(&mut self) {
        for (id, seen) in self.numbers() {
            if let Some(followed) = self.followed.get(&id) {
                let oseq = if followed.ways.sends { cap(seen.oseq, STOPPED, followed.esn) } else { 0 };
                let seq = if followed.ways.receives { seen.seq } else { 0 };
                self.ledger.set(followed.key, oseq, seq);
            }
        }
        if !self.followed.is_empty() {
            self.save();
        }
    }

    /// What the kernel says now, of SAs that have the keys that are wanted.
    fn numbers(&mut self) -> Vec<(SaId, SaStart)> {
        let mut numbers = Vec::with_capacity(self.followed.len());
        for (id, followed) in &self.followed {
            match self.inner.sa(id) {
                Ok(Some(seen)) if !seen.larval && seen.sa.keys.agrees(&followed.keys) => {
                    numbers.push((*id, seen.now));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!("failed to follow its sequence numbers: {error}"),
            }
        }
        numbers
    }

    fn save(&mut self) {
        let failure = self.ledger.save().err().map(|error| error.to_string());
        if let Some(text) = failure.as_ref().filter(|text| self.failure.as_ref() != Some(*text)) {
            tracing::error!("{text}: an SA that is made again after a reboot may begin too low");
        }
        if failure.is_none() {
            self.saved = Instant::now();
        }
        self.failure = failure;
    }

    /// What is replaced goes on until it is gone, and may never have been followed.
    fn meet(&mut self, sa: &Sa, key: Key) {
        match self.inner.sa(&sa.id) {
            Ok(Some(seen)) if seen.sa.keys.agrees(&sa.keys) => {
                let oseq = cap(seen.now.oseq, ahead(0, Duration::ZERO), sa.esn);
                self.ledger.set(key, if self.ways(sa).sends { oseq } else { 0 }, seen.now.seq);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("failed to read its sequence numbers: {error}"),
        }
    }

    /// Where an SA begins, and how far its numbers are reserved then.
    fn start(&self, sa: &Sa, key: &Key) -> Result<(SaStart, u64), LedgerError> {
        let (ways, mark) = (self.ways(sa), self.ledger.mark(key).unwrap_or_default());
        let oseq = if ways.sends { self.ledger.free_from(key).max(sa.start.oseq) } else { sa.start.oseq };
        let seq = if ways.receives { mark.seq.max(sa.start.seq) } else { sa.start.seq };
        if ways.sends && exhausted(oseq, sa.esn) {
            return Err(LedgerError::Exhausted { sa: sa.id, used: oseq, limit: limit(sa.esn) });
        }
        let reserved = if ways.sends { cap(oseq, ahead(0, Duration::ZERO), sa.esn) } else { 0 };
        Ok((SaStart { oseq, seq }, reserved))
    }

    fn ways(&self, sa: &Sa) -> Ways {
        let ours = |addr: &IpAddr| self.locals.contains(addr);
        match sa.dir {
            Some(SaDir::Out) => Ways { sends: true, receives: false },
            Some(SaDir::In) => Ways { sends: false, receives: true },
            None => match (ours(&sa.src), ours(&sa.id.dst)) {
                (true, false) => Ways { sends: true, receives: false },
                (false, true) => Ways { sends: false, receives: true },
                (true, true) | (false, false) => Ways { sends: true, receives: true },
            },
        }
    }
}

fn cap(from: u64, ahead: u64, esn: bool) -> u64 {
    from.saturating_add(ahead).min(limit(esn))
}

/// A stream cipher underneath: a repeated nonce shows the exclusive or of two packets, and of GCM and Poly1305 the key
/// of the authentication.
fn counter_mode(sa: &Sa) -> bool {
    let names = [&sa.suite.aead, &sa.suite.enc].into_iter().flatten();
    names.map(|algo| algo.name.as_str()).any(|name| {
        ["gcm", "ccm", "ctr", "gmac", "4543", "poly1305", "chacha"].iter().any(|part| name.contains(part))
    })
}

impl Xfrm for Sequenced {
    fn expect(&mut self, sas: &[(&Sa, &SaKeys)]) -> Result<(), LedgerError> {
        self.starts.clear();
        let mut starts = HashMap::new();
        let esp = sas.iter().filter(|(sa, _)| sa.id.proto == ESP);
        let esp: Vec<(&Sa, Key)> = esp.map(|(sa, keys)| (*sa, self.ledger.key(&sa.id, keys))).collect();
        for (sa, key) in &esp {
            self.meet(sa, *key);
            let (start, reserved) = self.start(sa, key)?;
            starts.insert(sa.id, start);
            self.ledger.set(*key, reserved, start.seq);
        }
        if let (false, Err(error)) = (starts.is_empty(), self.ledger.save()) {
            if let Some((sa, _)) = esp.iter().find(|(sa, _)| counter_mode(sa) && self.ways(sa).sends) {
                return Err(LedgerError::Nonce { sa: sa.id, cause: Box::new(error) });
            }
            tracing::warn!(
                "{error}: after a reboot the peer drops packets as replays until the numbers have caught up"
            );
        }
        self.starts = starts;
        Ok(())
    }

    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        let start = self.starts.remove(&sa.id).unwrap_or(sa.start);
        self.inner.add_sa(&Sa { start, ..sa.clone() }, keys)
    }

    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        self.inner.sas()
    }

    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError> {
        self.inner.policies()
    }

    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        self.inner.sa(id)
    }

    fn update_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        self.inner.update_sa(sa, keys)
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        self.inner.delete_sa(id)
    }

    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.inner.add_policy(policy)
    }

    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.inner.update_policy(policy)
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError> {
        self.inner.delete_policy(id)
    }

    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError> {
        self.inner.default_policy()
    }

    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError> {
        self.inner.set_default_policy(policy)
    }

    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        self.inner.links()
    }

    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.inner.add_part(part)
    }

    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.inner.update_link(link)
    }

    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.inner.delete_part(part)
    }

    fn apart(&self) -> io::Result<Box<dyn Xfrm>> {
        self.inner.apart()
    }
}
