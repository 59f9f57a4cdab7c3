//! One gateway whose disk and kernel survive its agent, with a clock that the tests turn.

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::record::{Record, Scope, Store};
use crate::rotation::{Deadline, KeySet, Keying, Now, RotationError, Rotations, Timing, converge};
use crate::secret::Secret;
use crate::xfrm::fake::FakeXfrm;
use crate::xfrm::interface::{ObservedLink, Part, XfrmLink};
use crate::xfrm::model::*;
use crate::xfrm::{NetlinkError, Xfrm, XfrmError};
use esp_common::Spi;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 55, 55, 1));

/// The configuration with these SPIs, inbound and outbound.
pub(super) fn text(pair: (u32, u32)) -> String {
    let way = |name, spi| {
        let keys = keys(spi);
        let hex = |key: &Option<Secret>| const_hex::encode(key.as_ref().unwrap().expose());
        format!(
            "[tunnel.{name}]\nspi = {spi}\nencryption_key = \"{}\"\nintegrity_key = \"{}\"\n",
            hex(&keys.enc),
            hex(&keys.auth)
        )
    };
    format!(
        "[[tunnel]]\nname = \"b\"\nlocal = \"{LOCAL}\"\nremote = \"10.66.66.1\"\nlocal_net = \"192.168.1.0/24\"\n\
         remote_net = \"192.168.2.0/24\"\nencryption = \"cbc(aes)\"\nintegrity = \"hmac(sha256)\"\n{}{}",
        way("in", pair.0),
        way("out", pair.1)
    )
}

/// Keys that belong to an SPI and to no other.
pub(super) fn keys(spi: u32) -> KeySet {
    let key = |seed: u32| {
        let byte = |at: u32| (spi.wrapping_mul(31) ^ at.wrapping_mul(at + seed)) as u8;
        Some(Secret::new((1..=32).map(byte).collect()))
    };
    KeySet { spi, aead: None, enc: key(7), auth: key(11) }
}

pub(super) fn keying(pair: (u32, u32)) -> Keying {
    Keying { inbound: keys(pair.0), outbound: keys(pair.1) }
}

/// What outlives an agent.
#[derive(Default)]
struct Machine {
    kernel: FakeXfrm,
    disk: [Option<Vec<u8>>; 2],
    /// Half changes until the agent is dead.
    fuel: Option<usize>,
    full: bool,
    /// SPIs inbound and outbound after each change of the kernel.
    seen: Vec<[BTreeSet<u32>; 2]>,
}

impl Machine {
    fn burn(&mut self) -> Result<(), i32> {
        match &mut self.fuel {
            Some(0) => Err(libc::EINTR),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn spis(&self) -> [BTreeSet<u32>; 2] {
        let of = |inbound: bool| {
            let sas = self.kernel.sas.iter().filter(|seen| (seen.sa.id.dst == LOCAL) == inbound);
            sas.map(|seen| seen.sa.id.spi.number()).collect()
        };
        [of(true), of(false)]
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Machine>>);

impl Shared {
    /// A change has a moment before and one after its effect.
    fn change(&self, effect: impl FnOnce(&mut FakeXfrm) -> Result<(), XfrmError>) -> Result<(), XfrmError> {
        let mut machine = self.0.lock().unwrap();
        let dead =
            |errno| XfrmError::DeleteSa { spi: Spi::new(0), dst: LOCAL, source: NetlinkError::new(errno) };
        machine.burn().map_err(dead)?;
        effect(&mut machine.kernel)?;
        let spis = machine.spis();
        machine.seen.push(spis);
        machine.burn().map_err(dead)
    }
}

impl Xfrm for Shared {
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        self.0.lock().unwrap().kernel.sas()
    }
    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError> {
        self.0.lock().unwrap().kernel.policies()
    }
    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.add_sa(sa, keys))
    }
    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        self.0.lock().unwrap().kernel.sa(id)
    }
    fn update_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.update_sa(sa, keys))
    }
    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.delete_sa(id))
    }
    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.add_policy(policy))
    }
    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.update_policy(policy))
    }
    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.delete_policy(id))
    }

    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        self.0.lock().unwrap().kernel.links()
    }
    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.add_part(part))
    }
    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.update_link(link))
    }
    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.delete_part(part))
    }

    fn apart(&self) -> std::io::Result<Box<dyn Xfrm>> {
        Ok(Box::new(crate::xfrm::fake::FakeXfrm::new()))
    }

    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError> {
        self.0.lock().unwrap().kernel.default_policy()
    }
    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError> {
        self.change(|kernel| kernel.set_default_policy(policy))
    }
}

struct Disk(Shared, usize);

impl Store for Disk {
    fn path(&self) -> &Path {
        Path::new("/durable/rotations.json")
    }
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.0.lock().unwrap().disk[self.1].clone())
    }
    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.0.0.lock().unwrap();
        machine.burn().map_err(io::Error::from_raw_os_error)?;
        if machine.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        machine.disk[self.1] = Some(bytes.to_vec());
        machine.burn().map_err(io::Error::from_raw_os_error)
    }
}

pub(super) struct World {
    machine: Shared,
    pub(super) now: Now,
}

/// One agent's life.
pub(super) struct Agent {
    pub(super) rotations: Rotations,
    pub(super) config: Config,
    record: Record,
    kernel: Shared,
}

impl World {
    pub(super) fn new() -> Self {
        let now = Now { wall_ms: 1_700_000_000_000, boot_ms: 5_000, boot_id: "one".into() };
        Self { machine: Shared::default(), now }
    }

    /// An agent with a configuration, up and converged.
    pub(super) fn start(&self, text: &str) -> Result<Agent, Failure> {
        let mut config = config::parse(text, Path::new(""), "b.toml")?;
        let disk = |at| Box::new(Disk(self.machine.clone(), at));
        let mut rotations = Rotations::open(disk(0), Box::new(|| Ok(())))?;
        drop(rotations.take_over(&mut config));
        let scope = Scope { boot_id: self.now.boot_id.clone(), netns: "host".into() };
        let record = Record::open(disk(1), scope)?;
        let mut agent = Agent { rotations, config, record, kernel: self.machine.clone() };
        agent.converge()?;
        Ok(agent)
    }

    pub(super) fn pass(&mut self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        (self.now.wall_ms, self.now.boot_ms) = (self.now.wall_ms + ms, self.now.boot_ms + ms);
    }

    /// The kernel is empty after it.
    pub(super) fn reboot(&mut self) {
        let mut machine = self.machine.0.lock().unwrap();
        machine.kernel = FakeXfrm::new();
        machine.seen.clear();
        (self.now.boot_id, self.now.boot_ms) = (format!("{}+", self.now.boot_id), 1_000);
    }

    pub(super) fn live_for(&self, fuel: Option<usize>) {
        self.machine.0.lock().unwrap().fuel = fuel;
    }

    pub(super) fn fill_disk(&self, full: bool) {
        self.machine.0.lock().unwrap().full = full;
    }

    /// Lets the next change of the kernel fail.
    pub(super) fn refuse(&self) {
        self.machine.0.lock().unwrap().kernel.fail(0, libc::ENOMEM);
    }

    pub(super) fn spis(&self) -> [BTreeSet<u32>; 2] {
        self.machine.0.lock().unwrap().spis()
    }

    pub(super) fn policies(&self) -> usize {
        self.machine.0.lock().unwrap().kernel.policies.len()
    }

    pub(super) fn disk(&self) -> String {
        let bytes = self.machine.0.lock().unwrap().disk[0].clone();
        String::from_utf8(bytes.unwrap_or_default()).unwrap()
    }

    /// From the first moment with SAs in both directions on, there always were some.
    pub(super) fn assert_no_gap(&self, when: &str) {
        let machine = self.machine.0.lock().unwrap();
        let up =
            machine.seen.iter().skip_while(|[inbound, outbound]| inbound.is_empty() || outbound.is_empty());
        for [inbound, outbound] in up {
            assert!(!inbound.is_empty() && !outbound.is_empty(), "{when}: {:?}", machine.seen);
        }
    }
}

impl Agent {
    pub(super) fn converge(&mut self) -> Result<(), Failure> {
        converge(&self.rotations, &mut self.config, &mut self.kernel, &mut self.record).map(drop)
    }

    pub(super) fn begin(&mut self, to: (u32, u32), timing: Timing, now: &Now) -> Result<(), Failure> {
        let begun = self.rotations.begin("b", LOCAL, keying(to), timing, &self.config, now)?;
        let before = self.config.clone();
        if let Err(failure) = self.converge() {
            self.config = before;
            self.rotations.take_back("b", begun)?;
            return Err(failure);
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, now: &Now) -> Result<(), Failure> {
        self.rotations.advance(now).map_err(Failure::from)?;
        self.converge()
    }
}

/// Switched after `outbound` seconds, old inbound gone after `grace` more.
pub(super) fn timing(now: &Now, outbound: u64, grace: u64) -> Timing {
    let span = Duration::from_secs;
    Timing { outbound: Some(Deadline::after(now, span(outbound))), grace: span(grace) }
}

pub(super) fn is_under_way(failure: &Failure) -> bool {
    matches!(failure, Failure::Rotation(RotationError::UnderWay { .. }))
}
