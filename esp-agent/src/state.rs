//! What the running agent tells `status` about itself: a small file in the state directory, rewritten every second.
//! With the names of tunnels and policies it outlives the agent, so that `status` shows names while it is stopped.

use crate::instance::Instance;
use crate::natt::UdpRow;
use crate::picture::Picture;
use crate::rotation::RotationRow;
use crate::stitch::Rule;
use crate::tombstone::Tombstone;
use esp_common::Spi;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Health and names. Fields are only ever added.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Process.
    pub pid: u32,
    /// Version.
    pub version: String,
    /// Seconds since the epoch.
    pub started_s: u64,
    /// Times that netlink lost events.
    pub netlink_overruns: u64,
    /// Full readings after the first.
    pub resyncs: u64,
    /// Reloads that took effect.
    pub reloads_ok: u64,
    /// Reloads that changed nothing.
    pub reloads_failed: u64,
    /// The picture is complete.
    pub in_sync: bool,
    /// When the mirror of xfrm_stat was written, ns of CLOCK_MONOTONIC.
    pub mirror_ns: u64,
    /// Configuration file.
    pub config: Option<String>,
    /// Guards that are off and why.
    pub disabled: Vec<String>,
    /// What the kernel lacks.
    pub lacks: Vec<String>,
    /// Tunnels whose keys are not the configuration's.
    pub rotations: Vec<RotationRow>,
    /// Local ends of encapsulated ESP.
    pub udp: Vec<UdpRow>,
    /// Notes on interfaces.
    pub iface_notes: BTreeMap<String, String>,
    /// Tunnels of SAs, sorted by destination and SPI: a scrape asks for each flow.
    pub tunnels: Vec<NamedSa>,
    /// Names of policies by index.
    pub policies: BTreeMap<u32, String>,
    /// What is done about drift: off, report or repair.
    pub reconcile: String,
    /// What is not as the configuration wants it.
    pub drift: Vec<DriftRow>,
    /// Objects that were found drifted, by how and by what they are.
    pub drifts: Vec<DriftCount>,
    /// Objects that were brought back.
    pub repairs_ok: u64,
    /// Repairs that failed.
    pub repairs_failed: u64,
    /// Which tunnel an SA belongs to that is not in `tunnels`.
    pub rules: Vec<Rule>,
    /// SAs that are gone, the oldest first.
    pub tombstones: Vec<Tombstone>,
    /// Events of the kernel, by kind.
    pub events: BTreeMap<String, u64>,
    /// CPUs that decrypt.
    pub steer: Steered,
    /// How long the last full reading of SAs and policies took, ns.
    pub read_ns: u64,
    /// How long the last change took from its first event to the maps, ns.
    pub update_ns: u64,
}

/// What became of CPUs that decrypt, and of SAs that should change theirs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Steered {
    /// Thousandths of the last second that a CPU was busy.
    pub busy: BTreeMap<u32, u32>,
    /// CPUs of the configuration that do not run.
    pub idle: Vec<u32>,
    /// Times that an SA has moved.
    pub moved: u64,
    /// Times that one stayed because it did not pause.
    pub stayed: u64,
}

/// An object that is not as the configuration wants it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DriftRow {
    /// One of [`crate::drift::Object::KINDS`].
    pub object: String,
    /// `missing`, `changed` or `foreign`.
    pub kind: String,
    /// Which, and what was found.
    pub text: String,
    /// Repairs so far.
    pub repairs: u32,
    /// Seconds until the next; `None` when there will be none.
    pub retry_s: Option<u64>,
}

/// How often drift of a kind was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DriftCount {
    /// `missing`, `changed` or `foreign`.
    pub kind: String,
    /// One of [`crate::drift::Object::KINDS`].
    pub object: String,
    /// Times.
    pub count: u64,
}

/// The tunnel of an SA.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedSa {
    /// Destination.
    pub dst: IpAddr,
    /// SPI, as a number.
    pub spi: u32,
    /// Tunnel.
    pub tunnel: String,
}

impl State {
    /// Takes over the names of a picture, if they changed, and what is gone from it.
    pub fn name(&mut self, picture: &mut Picture) {
        self.tombstones = picture.tombstones.iter().cloned().collect();
        if std::mem::take(&mut picture.renamed) {
            self.rename(picture);
        }
    }

    fn rename(&mut self, picture: &Picture) {
        let named = |(id, tunnel): (&crate::xfrm::model::SaId, &String)| NamedSa {
            dst: id.dst,
            spi: id.spi.number(),
            tunnel: tunnel.clone(),
        };
        self.tunnels = picture.tunnels.iter().map(named).collect();
        self.tunnels.sort_by_key(|sa| (sa.dst, sa.spi));
        self.rules = picture.stitch.rules().to_vec();
        self.policies = picture.policies.keys().map(|index| (*index, picture.policy_name(*index))).collect();
    }

    /// Counts an object that was found drifted.
    pub fn count_drift(&mut self, kind: &str, object: &str) {
        match self.drifts.iter_mut().find(|row| row.kind == kind && row.object == object) {
            Some(row) => row.count += 1,
            None => self.drifts.push(DriftCount { kind: kind.into(), object: object.into(), count: 1 }),
        }
    }

    /// Counts an event.
    pub fn count(&mut self, kind: &'static str) {
        match self.events.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.events.insert(kind.to_owned(), 1),
        }
    }

    /// Tunnel of (destination, SPI); empty if none.
    #[must_use]
    pub fn tunnel(&self, dst: IpAddr, spi: Spi) -> &str {
        let found = self.tunnels.binary_search_by_key(&(dst, spi.number()), |sa| (sa.dst, sa.spi));
        found.ok().and_then(|at| self.tunnels.get(at)).map_or("", |sa| sa.tunnel.as_str())
    }

    /// Writes the file of `instance`.
    ///
    /// # Errors
    /// The directory is not writable, or full.
    pub fn save(&self, instance: &Instance) -> io::Result<()> {
        let path = path(instance);
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        std::fs::rename(fresh, path)
    }

    /// Reads the file of `instance`; `None` when there is none that can be read.
    #[must_use]
    pub fn load(instance: &Instance) -> Option<Self> {
        let bytes = std::fs::read(path(instance)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn path(instance: &Instance) -> PathBuf {
    instance.state_dir.join("state.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sa_has_its_own_tunnel_and_a_stranger_none() {
        let addr = |last: u8| IpAddr::from([10, 0, 0, last]);
        let named = |last, spi: u32| NamedSa { dst: addr(last), spi, tunnel: format!("t{last}-{spi}") };
        let tunnels = vec![named(1, 256), named(1, 257), named(2, 256), named(9, 300)];
        let state = State { tunnels, ..State::default() };
        for (last, spi) in [(1, 256), (1, 257), (2, 256), (9, 300)] {
            assert_eq!(state.tunnel(addr(last), Spi::new(spi)), format!("t{last}-{spi}"));
        }
        assert_eq!(state.tunnel(addr(2), Spi::new(257)), "");
    }
}
