use super::*;
use crate::config::desired::{Desired, KeyedSa};
use crate::plan::samples::{ENC_KEY, keyed, keys, lab_keys, sa};
use crate::record::FileStore;
use crate::secret::Secret;
use crate::xfrm::fake::FakeXfrm;
use crate::xfrm::interface::{ObservedLink, Part, XfrmLink};
use crate::xfrm::model::{Algo, ObservedSa, Sa, SaDir, SaId, SaKeys, SaStart, Suite};
use crate::xfrm::{Xfrm, XfrmError};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LEAST: u64 = 1 << 22;

/// The kernel that all agents of a test share; an SA that is there sends by [`Kernel::send`].
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<FakeXfrm>>);

impl Kernel {
    fn agent(&self, dir: &Path) -> Sequenced {
        let store = FileStore::new(dir.join("sequence.json"));
        let ledger = Ledger::open(Box::new(store), Box::new(|| Ok(()))).unwrap();
        let mut agent = Sequenced::new(Box::new(Shared(self.clone())), ledger);
        agent.set_locals(["10.55.55.1".parse().unwrap()].into());
        agent
    }

    fn seen(&self, id: &SaId) -> ObservedSa {
        self.0.lock().unwrap().sas.iter().find(|seen| seen.sa.id == *id).unwrap().clone()
    }

    /// Sends `count` packets, or receives so many: the numbers that they had.
    fn traffic(&self, id: &SaId, count: u64) -> std::ops::RangeInclusive<u64> {
        let mut kernel = self.0.lock().unwrap();
        let seen = kernel.sas.iter_mut().find(|seen| seen.sa.id == *id).unwrap();
        seen.now.oseq += count;
        seen.now.seq += count;
        seen.now.oseq - count + 1..=seen.now.oseq
    }

    fn flush(&self) {
        self.0.lock().unwrap().sas.clear();
    }
}

struct Shared(Kernel);

impl Xfrm for Shared {
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        self.0.0.lock().unwrap().sas()
    }
    fn policies(&mut self) -> Result<Vec<crate::xfrm::model::ObservedPolicy>, XfrmError> {
        self.0.0.lock().unwrap().policies()
    }
    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().add_sa(sa, keys)
    }
    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        self.0.0.lock().unwrap().sa(id)
    }
    fn update_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().update_sa(sa, keys)
    }
    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().delete_sa(id)
    }
    fn add_policy(&mut self, policy: &crate::xfrm::model::Policy) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().add_policy(policy)
    }
    fn update_policy(&mut self, policy: &crate::xfrm::model::Policy) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().update_policy(policy)
    }
    fn delete_policy(&mut self, id: &crate::xfrm::model::PolicyId) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().delete_policy(id)
    }
    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        self.0.0.lock().unwrap().links()
    }
    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().add_part(part)
    }
    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().update_link(link)
    }
    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().delete_part(part)
    }
    fn apart(&self) -> std::io::Result<Box<dyn Xfrm>> {
        self.0.0.lock().unwrap().apart()
    }
    fn default_policy(&mut self) -> Result<Option<crate::xfrm::model::DefaultPolicy>, XfrmError> {
        self.0.0.lock().unwrap().default_policy()
    }
    fn set_default_policy(&mut self, policy: crate::xfrm::model::DefaultPolicy) -> Result<(), XfrmError> {
        self.0.0.lock().unwrap().set_default_policy(policy)
    }
}

/// An SA of cbc and hmac. Its direction is not said: the addresses tell it.
fn cbc(dir: SaDir) -> KeyedSa {
    let sa = match dir {
        SaDir::Out => sa("10.55.55.1", "10.66.66.1", 0x1000, dir),
        SaDir::In => sa("10.66.66.1", "10.55.55.1", 0x2000, dir),
    };
    keyed(Sa { dir: None, ..sa }, None)
}

fn gcm(dir: SaDir) -> KeyedSa {
    let algo = Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 160, icv_bits: 128 };
    let keys = SaKeys { aead: Some(Secret::new(vec![7; 20])), ..SaKeys::default() };
    let sa = Sa { suite: Suite { aead: Some(algo), ..Suite::default() }, keys: keys.print(), ..cbc(dir).sa };
    KeyedSa { sa, keys, ..cbc(dir) }
}

fn add(agent: &mut Sequenced, sas: &[&KeyedSa]) -> Result<(), LedgerError> {
    let pairs: Vec<(&Sa, &SaKeys)> = sas.iter().map(|keyed| (&keyed.sa, &keyed.keys)).collect();
    agent.expect(&pairs)?;
    pairs.iter().for_each(|(sa, keys)| agent.add_sa(sa, keys).unwrap());
    let sas = sas.iter().map(|keyed| (*keyed).clone()).collect();
    agent.want(&Desired { sas, ..Desired::default() });
    Ok(())
}

#[test]
fn a_key_begins_at_the_start_and_goes_on_where_its_reservation_ends() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let (out, inbound) = (gcm(SaDir::Out), cbc(SaDir::In));
    let mut agent = kernel.agent(dir.path());
    add(&mut agent, &[&out, &inbound]).unwrap();
    assert_eq!(kernel.seen(&out.sa.id).sa.start, SaStart::default());
    kernel.traffic(&out.sa.id, 1_000);
    kernel.traffic(&inbound.sa.id, 500);
    agent.follow(Instant::now());
    kernel.flush();
    add(&mut agent, &[&out, &inbound]).unwrap();
    assert_eq!(kernel.seen(&out.sa.id).sa.start, SaStart { oseq: LEAST, seq: 0 });
    assert_eq!(kernel.seen(&inbound.sa.id).sa.start, SaStart { oseq: 0, seq: 500 });
}

#[test]
fn no_number_is_sent_twice_whatever_ends_the_agent_and_the_sa() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let out = gcm(SaDir::Out);
    let (mut last, mut now) = (0, Instant::now());
    for round in 0..40 {
        let mut agent = kernel.agent(dir.path());
        kernel.flush(); // a reboot
        add(&mut agent, &[&out]).unwrap();
        for burst in 0..round % 4 {
            let sent = kernel.traffic(&out.sa.id, LEAST / 2 - 1);
            assert!(*sent.start() > last, "round {round}, burst {burst}: {sent:?} after {last}");
            last = *sent.end();
            now += Duration::from_secs(60);
            agent.follow(now);
        }
        if round % 3 == 0 {
            kernel.flush(); // a repair by the same agent
            add(&mut agent, &[&out]).unwrap();
            last = *kernel.traffic(&out.sa.id, 1).end();
        }
        if round % 2 == 0 {
            agent.close();
            last = *kernel.traffic(&out.sa.id, LEAST).end(); // without an agent
        }
    }
}

#[test]
fn a_key_under_another_spi_goes_on_too() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let mut agent = kernel.agent(dir.path());
    let out = gcm(SaDir::Out);
    add(&mut agent, &[&out]).unwrap();
    let mut moved = out.clone();
    moved.sa.id.spi = esp_common::Spi::new(0x1001);
    add(&mut agent, &[&moved]).unwrap();
    assert_eq!(kernel.seen(&moved.sa.id).sa.start.oseq, LEAST);
    let mut fresh = cbc(SaDir::Out);
    fresh.sa.id.spi = esp_common::Spi::new(0x1002);
    add(&mut agent, &[&fresh]).unwrap();
    assert_eq!(kernel.seen(&fresh.sa.id).sa.start.oseq, 0);
}

#[test]
fn few_numbers_cost_few_writes() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let (mut agent, out) = (kernel.agent(dir.path()), gcm(SaDir::Out));
    add(&mut agent, &[&out]).unwrap();
    let written = std::fs::read(dir.path().join("sequence.json")).unwrap();
    let mut now = Instant::now();
    for _ in 0..100 {
        kernel.traffic(&out.sa.id, 1_000);
        now += Duration::from_secs(5);
        agent.follow(now);
    }
    assert_eq!(std::fs::read(dir.path().join("sequence.json")).unwrap(), written);
    kernel.traffic(&out.sa.id, LEAST / 2);
    agent.follow(Instant::now());
    assert_ne!(std::fs::read(dir.path().join("sequence.json")).unwrap(), written);
}

#[test]
fn without_a_place_to_write_a_counter_mode_is_refused_and_cbc_is_not() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let mut agent = kernel.agent(&dir.path().join("absent"));
    let error = add(&mut agent, &[&cbc(SaDir::In), &gcm(SaDir::Out)]).unwrap_err().to_string();
    assert!(error.contains("counter mode") && error.contains("--durable-dir"), "{error}");
    assert!(kernel.0.lock().unwrap().sas.is_empty());
    add(&mut agent, &[&cbc(SaDir::Out), &gcm(SaDir::In)]).unwrap();
    assert_eq!(kernel.0.lock().unwrap().sas.len(), 2);
}

#[test]
fn the_end_of_32_bits_is_said_with_the_way_out_and_esn_goes_on() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let mut agent = kernel.agent(dir.path());
    let mut out = gcm(SaDir::Out);
    add(&mut agent, &[&out]).unwrap();
    kernel.traffic(&out.sa.id, u64::from(u32::MAX) - 5_000);
    agent.follow(Instant::now());
    kernel.flush();
    let error = add(&mut agent, &[&out]).unwrap_err();
    assert!(matches!(error, LedgerError::Exhausted { .. }), "{error}");
    assert!(error.to_string().contains("rotate"), "{error}");
    out.sa.esn = true;
    add(&mut agent, &[&out]).unwrap();
}

#[test]
fn an_sa_that_was_never_followed_is_met_before_it_is_replaced() {
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    let out = cbc(SaDir::Out);
    kernel.0.lock().unwrap().add_sa(&out.sa, &out.keys).unwrap();
    kernel.traffic(&out.sa.id, 77);
    let mut agent = kernel.agent(dir.path());
    agent.expect(&[(&out.sa, &out.keys)]).unwrap();
    agent.delete_sa(&out.sa.id).unwrap();
    agent.add_sa(&out.sa, &out.keys).unwrap();
    assert_eq!(kernel.seen(&out.sa.id).sa.start.oseq, 77 + LEAST);
}

#[test]
fn the_file_is_private_and_tells_no_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, kernel) = (tempfile::tempdir().unwrap(), Kernel::default());
    add(&mut kernel.agent(dir.path()), &[&cbc(SaDir::Out)]).unwrap();
    let path = dir.path().join("sequence.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains(&const_hex::encode(&ENC_KEY[..4])), "{text}");
    let crate::secret::KeyPrint::Digest(print) = lab_keys().print() else { panic!("the lab has keys") };
    assert!(!text.contains(&const_hex::encode(&print[..4])), "{text}");
    // The keys are part of the identity, and not only one after the other.
    let salt = print::Salt::fresh();
    let split = |at: usize| print::Print::of(&salt, &keys(&[5; 20][..at], &[5; 20][at..]));
    assert!(split(4) != split(8));
}

#[test]
fn a_file_that_cannot_be_understood_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        || Ledger::open(Box::new(FileStore::new(dir.path().join("sequence.json"))), Box::new(|| Ok(())));
    std::fs::write(dir.path().join("sequence.json"), b"{").unwrap();
    assert!(matches!(open().err(), Some(LedgerError::Damaged { .. })));
    std::fs::write(dir.path().join("sequence.json"), br#"{"schema":2}"#).unwrap();
    assert!(matches!(open().err(), Some(LedgerError::Schema { found: 2, .. })));
}
