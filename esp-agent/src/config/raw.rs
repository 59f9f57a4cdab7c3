//! What was typed: every value is of its type, nothing is compared with anything else yet.

pub(super) mod budget;
pub(super) mod interface;
mod lifetime;
mod name;
pub(super) mod policy;
pub(super) mod sa;
pub(super) mod sa_options;
mod steer;
pub(super) mod tunnel;
pub(super) mod unprotected;
mod wire;

use super::key::KeyStore;
use super::report::{At, Located};
use super::scalar;
use super::section::Section;
use super::valid::{GuardModes, Reconcile, Sizes, Steer};
use crate::stitch::Rule;
use crate::xfrm::model::{DefaultPolicy, PolicyAction};
use esp_common::names::IFACES;
use esp_common::{Budgets, Guard, Mode, Sampling, Transit, Wire};
use policy::RawPolicy;
use sa::RawSa;
use std::net::SocketAddr;
use std::time::Duration;
use tunnel::RawTunnel;
use unprotected::RawUnprotected;

/// A whole file.
pub(super) struct RawConfig {
    pub(super) ifaces: Vec<String>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) guard: GuardModes,
    pub(super) reconcile: Reconcile,
    pub(super) mirror_interval: Option<Duration>,
    pub(super) sizes: Located<Sizes>,
    pub(super) tunnels: Vec<RawTunnel>,
    pub(super) sas: Vec<RawSa>,
    pub(super) policies: Vec<RawPolicy>,
    /// `[[bypass]]`, then `[[discard]]`.
    pub(super) unprotected: [Vec<RawUnprotected>; 2],
    pub(super) default_policy: Option<DefaultPolicy>,
    pub(super) names: Vec<Rule>,
    pub(super) wire: Wire,
    pub(super) budgets: Budgets,
    pub(super) sampling: Sampling,
    pub(super) transit: Transit,
    pub(super) steer: Option<Steer>,
}

impl RawConfig {
    pub(super) fn read(mut root: Section<'_>, store: &KeyStore) -> Self {
        let raw = Self {
            ifaces: read_ifaces(&mut root),
            metrics: read_metrics(&mut root),
            guard: read_guard(&mut root),
            reconcile: root.choice("reconcile", &Reconcile::NAMES).map(|read| read.value).unwrap_or_default(),
            mirror_interval: read_mirror(&mut root),
            sizes: read_sizes(&mut root),
            tunnels: root.tables("tunnel").into_iter().map(|table| RawTunnel::read(table, store)).collect(),
            sas: root.tables("sa").into_iter().map(|table| RawSa::read(table, store)).collect(),
            policies: root.tables("policy").into_iter().map(RawPolicy::read).collect(),
            unprotected: [("bypass", PolicyAction::Allow), ("discard", PolicyAction::Block)].map(
                |(key, action)| {
                    root.tables(key).into_iter().map(|table| RawUnprotected::read(table, action)).collect()
                },
            ),
            default_policy: read_default_policy(&mut root),
            names: root.tables("name").into_iter().filter_map(name::read).collect(),
            wire: wire::read(&mut root),
            budgets: budget::read(&mut root),
            sampling: budget::read_samples(&mut root),
            transit: read_transit(&mut root),
            steer: steer::read(&mut root),
        };
        root.finish();
        raw
    }
}

fn read_ifaces(root: &mut Section<'_>) -> Vec<String> {
    let Some(list) = root.texts("interfaces", scalar::interface) else { return Vec::new() };
    if list.value.len() > IFACES as usize {
        root.report.error(&list.at, format_args!("names more than {IFACES} interfaces"));
    }
    let mut names: Vec<String> = Vec::new();
    for Located { value, at } in list.value.into_iter().flatten() {
        if names.contains(&value) {
            root.report.error(&at, "names an interface twice");
        }
        names.push(value);
    }
    names
}

fn read_metrics(root: &mut Section<'_>) -> Option<SocketAddr> {
    let mut table = root.table("metrics")?;
    let listen = table.text("listen", |text| {
        text.parse().map_err(|_| "must be an address with a port such as 127.0.0.1:9754".to_owned())
    });
    table.finish();
    Some(listen?.value)
}

fn read_guard(root: &mut Section<'_>) -> GuardModes {
    let mut modes = GuardModes::default();
    let Some(mut table) = root.table("guard") else { return modes };
    let names = [Mode::Off, Mode::Observe, Mode::Enforce].map(|mode| (mode.label(), mode));
    for guard in Guard::ALL {
        if let Some(mode) = table.choice(guard.label(), &names) {
            *modes.of_mut(guard) = mode.value;
        }
    }
    table.finish();
    modes
}

fn read_default_policy(root: &mut Section<'_>) -> Option<DefaultPolicy> {
    let mut table = root.table("default_policy")?;
    let actions = [("accept", PolicyAction::Allow), ("block", PolicyAction::Block)];
    let [inbound, forward, outbound] = ["in", "fwd", "out"]
        .map(|dir| table.choice(dir, &actions).map_or(PolicyAction::Allow, |action| action.value));
    table.finish();
    Some(DefaultPolicy { inbound, forward, outbound })
}

fn read_transit(root: &mut Section<'_>) -> Transit {
    let Some(mut table) = root.table("transit") else { return Transit::Off };
    let forward = table.flag("forward").is_some_and(|forward| forward.value);
    let flows = table.choice("flows", &[("all", Transit::All), ("known", Transit::Known)]);
    table.finish();
    if forward { flows.map_or(Transit::All, |flows| flows.value) } else { Transit::Off }
}

fn read_mirror(root: &mut Section<'_>) -> Option<Duration> {
    let mut table = root.table("mirror")?;
    let interval = table.text("interval", scalar::interval);
    table.finish();
    Some(interval?.value)
}

fn read_sizes(root: &mut Section<'_>) -> Located<Sizes> {
    let mut sizes = Sizes::default();
    let at = At { path: "maps.sas".to_owned(), line: 1 };
    let Some(mut table) = root.table("maps") else { return Located { value: sizes, at } };
    for (key, size) in [("sas", &mut sizes.sas), ("flows", &mut sizes.flows), ("ghosts", &mut sizes.ghosts)] {
        let range = u64::from(Sizes::MIN)..=u64::from(Sizes::MAX);
        if let Some(number) = table.number(key, range) {
            *size = u32::try_from(number.value).unwrap_or(Sizes::MAX);
        }
    }
    let at = table.place("sas");
    table.finish();
    Located { value: sizes, at }
}
