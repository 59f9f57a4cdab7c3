//! The object of the bench that asks rules and tries.

use super::PACKETS;
use crate::{
    bench::{cost::once_of, object},
    tables::first_rule,
};
use anyhow::{Context as _, Result, anyhow, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{
        Array, Map, MapData,
        lpm_trie::{Key, LpmTrie},
    },
    programs::Xdp,
};
use esp_agent::datapath::{
    banks::Banks,
    classifier::{Full, compile},
};
use esp_common::{Prefix, Rule, RuleTable, Selector, classifier::pack, names};
use esp_datapath::policy::{Found, demands};

const XDP_PASS: u32 = 2;

/// The object with the rules and the packets.
pub(super) struct Asked {
    ebpf: Ebpf,
}

impl Asked {
    /// Loads it.
    pub(super) fn new(rules: &[Rule], packets: &[Selector]) -> Result<Self> {
        let object = object::read("esp-select")?;
        let mut ebpf = EbpfLoader::new().load(&object).context("failed to load the object")?;
        for name in ["esp_select_none", "esp_select_rules", "esp_select_tries"] {
            let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        let mut asked = Self { ebpf };
        let set = compile(rules, RuleTable::In).map_err(|Full(what)| anyhow!("no room for {what}"))?;
        Banks::new(asked.handle(names::MAP_RULE_LINES)?, asked.handle(names::MAP_RULE_WORDS)?)
            .write(0, &set)?;
        let mut list = Array::<_, [u64; 5]>::try_from(asked.map("PACKETS")?)?;
        for (index, packet) in (0..).zip(packets) {
            list.set(index, pack(packet, 0), 0)?;
        }
        for (name, prefix) in
            [("SOURCES", (|rule| rule.src) as fn(&Rule) -> Prefix), ("DESTINATIONS", |rule| rule.dst)]
        {
            let mut trie = LpmTrie::<_, [u8; 4], u32>::try_from(asked.map(name)?)?;
            for Prefix { net, mask } in rules.iter().map(prefix) {
                let [.., a, b, c, d] = net.octets();
                let len = u128::from_be_bytes(mask.octets()).leading_ones() - 96;
                trie.insert(&Key::new(len, [a, b, c, d]), 1, 0)?;
            }
        }
        Ok(asked)
    }

    fn map(&mut self, name: &str) -> Result<&mut Map> {
        self.ebpf.map_mut(name).context("no such map")
    }

    fn handle(&self, name: &str) -> Result<MapData> {
        match self.ebpf.map(name) {
            Some(Map::Array(data)) => Ok(MapData::from_id(data.info()?.id())?),
            _ => Err(anyhow!("no array {name}")),
        }
    }

    /// ns of thread CPU time for one packet.
    pub(super) fn run(&self, program: &str, repeat: u32) -> Result<f64> {
        let program: &Xdp = self.ebpf.program(program).context("no such program")?.try_into()?;
        once_of(program, &[0; 64], repeat, XDP_PASS)
    }

    /// The whole list once more: as many demands as a plain walk finds.
    pub(super) fn check(&mut self, rules: &[Rule], packets: &[Selector]) -> Result<()> {
        let found = |packet, dir| Found::of(first_rule(rules, packet, dir));
        let demanded = |packet| demands(found(packet, Rule::DIR_FWD), found(packet, Rule::DIR_IN));
        let wanted = packets.iter().filter(|packet| demanded(packet).is_some()).count() as u64;
        let before = self.found()?;
        self.run("esp_select_rules", PACKETS)?;
        let found = self.found()? - before;
        ensure!(found == wanted, "{found} of {PACKETS} packets must be protected, and not {wanted}");
        Ok(())
    }

    fn found(&mut self) -> Result<u64> {
        Ok(Array::<_, u64>::try_from(self.map("COUNTS")?)?.get(&1, 0)?)
    }
}
