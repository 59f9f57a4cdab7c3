//! The maps hold what the image says, after every change of it.

use anyhow::{Result, ensure};
use esp_agent::{
    config::Sizes,
    datapath::{
        fill::{FULL, Filler},
        image::{Image, SaImage},
        load,
        maps::Maps,
        pins::Pins,
    },
};
use esp_common::{
    ABI_VERSION, Addr, FlowKey, InnerKey, Rule, RuleAction, RuleRange, RuleSet, SaEntry, Settings, Spi,
    names::INNER_RULES_PER_SA,
};
use esp_tests::{
    netns::Netns,
    world::{PEER, SPI, US, addr, rule, through},
};
use std::collections::BTreeMap;

const SMALL: Sizes = Sizes { sas: 16, flows: 16, ghosts: 16 };

/// Runs `work` with empty maps that nobody else sees.
fn with_maps(work: impl FnOnce(&Pins) -> Result<()> + Send) -> Result<()> {
    Netns::new("fill")?.run_in(|| {
        let pins = Pins::new(format!("/sys/fs/bpf/esp-agent/v{ABI_VERSION}/test"));
        load::maps(&pins, &SMALL)?;
        work(&pins)
    })
}

fn sas(spis: impl IntoIterator<Item = u32>, tunnel: &str) -> BTreeMap<FlowKey, SaImage> {
    let sa = SaImage { tunnel: tunnel.to_owned(), flags: SaEntry::OFFLOADED, ..SaImage::default() };
    spis.into_iter().map(|spi| (FlowKey::new(addr(US), Spi::new(spi)), sa.clone())).collect()
}

fn rules(dir: u8, policies: impl IntoIterator<Item = u32>) -> Vec<Rule> {
    let one = |policy| rule(dir, RuleAction::Protect, "192.168.2.0/24", "192.168.1.0/24", policy);
    policies.into_iter().map(one).collect()
}

fn key(spi: u32) -> InnerKey {
    InnerKey { spi: Spi::new(spi), ..through(PEER) }
}

fn inner(lists: impl IntoIterator<Item = (u32, Vec<Rule>)>) -> BTreeMap<InnerKey, Vec<Rule>> {
    lists.into_iter().map(|(spi, rules)| (key(spi), rules)).collect()
}

/// What the maps hold, in the shape of an image; tunnels by name.
fn held(filler: &Filler) -> Result<Image> {
    let maps = filler.maps();
    let mut image = Image::default();
    for (key, sa) in filler.table().keys().filter_map(|key| Some((*key, filler.table().get(key)?))) {
        let tunnel = maps.tunnel_names.get(&sa.tunnel, 0)?.as_str().to_owned();
        image.sas.insert(key, SaImage { tunnel, flags: sa.flags, ..SaImage::default() });
    }
    for addr in maps.locals.keys() {
        image.locals.insert(addr?);
    }
    for entry in maps.inner.iter() {
        let (key, range) = entry?;
        image.inner.insert(key, run(&maps.inner_rules, range)?);
    }
    Ok(image)
}

fn run(table: &aya::maps::Array<aya::maps::MapData, Rule>, range: RuleRange) -> Result<Vec<Rule>> {
    (range.first..range.first + range.count).map(|index| Ok(table.get(&index, 0)?)).collect()
}

/// Verdicts and policies of the rules in force, by plane.
fn in_force(filler: &Filler, set: RuleSet) -> Result<[Vec<(u8, u32)>; 2]> {
    match set.bank() {
        Some(bank) => Ok(filler.maps().banks.verdicts(bank)?),
        None => Ok([Vec::new(), Vec::new()]),
    }
}

/// Rules of one direction: they are on the first plane.
fn verdicts(rules: &[Rule]) -> [Vec<(u8, u32)>; 2] {
    [rules.iter().map(|rule| (rule.verdict, rule.policy)).collect(), Vec::new()]
}

fn ensure_held(filler: &Filler, image: &Image) -> Result<()> {
    let held = held(filler)?;
    ensure!(held.sas == image.sas, "SAs {:?}", held.sas);
    ensure!(held.locals == image.locals, "own addresses {:?}", held.locals);
    let Settings { rules_in, rules_out, .. } = filler.maps().settings.get(&0, 0)?;
    for (set, rules) in [(rules_in, &image.rules_in), (rules_out, &image.rules_out)] {
        let held = in_force(filler, set)?;
        ensure!(held == verdicts(rules), "rules {held:?} and not {rules:?}");
    }
    ensure!(held.inner == image.inner, "selectors {:?}", held.inner);
    Ok(())
}

fn lab() -> Image {
    Image {
        sas: sas([SPI, 2, 3], "site-b"),
        locals: [US, "10.0.0.1"].map(addr).into(),
        rules_in: rules(Rule::DIR_FWD, [8, 10]),
        rules_out: rules(Rule::DIR_OUT, [17]),
        inner: inner([(SPI, rules(Rule::DIR_FWD, [10])), (2, rules(Rule::DIR_FWD, [10])), (3, vec![])]),
        notes: Vec::new(),
    }
}

#[test]
#[ignore = "T2: root, bpf"]
fn maps_follow_the_image_there_and_back() -> Result<()> {
    with_maps(|pins| {
        let mut filler = Filler::open(Maps::open(pins)?)?;
        let less = Image {
            sas: sas([2], ""),
            locals: [addr("10.0.0.1")].into(),
            rules_in: rules(Rule::DIR_FWD, [10]),
            rules_out: Vec::new(),
            inner: inner([(2, rules(Rule::DIR_FWD, [11, 12]))]),
            notes: Vec::new(),
        };
        let mut changes = Vec::new();
        for image in [lab(), lab(), less, Image::default(), lab()] {
            let notes = filler.fill(&image)?;
            ensure!(notes.is_empty(), "{notes:?}");
            ensure_held(&filler, &image)?;
            changes.push(filler.maps().settings.get(&0, 0)?.locals);
        }
        assert_eq!(changes, [1, 1, 2, 3, 4], "the datapath is told of other addresses");
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn a_changed_rule_set_takes_the_other_bank() -> Result<()> {
    with_maps(|pins| {
        let mut filler = Filler::open(Maps::open(pins)?)?;
        let mut seen = Vec::new();
        for policies in [vec![8], vec![9, 10], vec![9, 10], vec![11]] {
            filler.fill(&Image { rules_in: rules(Rule::DIR_IN, policies), ..Image::default() })?;
            seen.push(filler.settings().rules_in);
        }
        let set = |number, count| RuleSet { number, count };
        assert_eq!(seen, [set(1, 1), set(2, 2), set(2, 2), set(1, 1)]);
        assert_eq!(
            in_force(&filler, set(2, 2))?,
            verdicts(&rules(Rule::DIR_IN, [9, 10])),
            "readers may still be there"
        );
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn rules_without_room_turn_the_guard_off_until_there_is_room() -> Result<()> {
    with_maps(|pins| {
        let mut filler = Filler::open(Maps::open(pins)?)?;
        // Each of 65,536 ports is accepted by other rules.
        let port = |bit: u32| {
            let any = rule(Rule::DIR_OUT, RuleAction::Protect, "0.0.0.0/0", "0.0.0.0/0", bit + 1);
            Rule { sport: 1 << bit, sport_mask: 1 << bit, ..any }
        };
        let all = Image { rules_out: (0..16).map(port).collect(), ..Image::default() };
        let fewer = Image { rules_out: (0..8).map(port).collect(), ..Image::default() };
        filler.fill(&fewer)?;
        for _ in 0..2 {
            let notes = filler.fill(&all)?;
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].starts_with("guard cleartext_out is off: 16 policies"), "{notes:?}");
            assert_eq!(filler.settings().rules_out.bank(), None, "half a rule set");
        }
        assert_eq!(filler.fill(&fewer)?, Vec::<String>::new());
        ensure_held(&filler, &fewer)
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn sas_with_equal_selectors_share_their_room() -> Result<()> {
    with_maps(|pins| {
        let mut filler = Filler::open(Maps::open(pins)?)?;
        filler.fill(&lab())?;
        let inner = &filler.maps().inner;
        let (one, two, three) = (inner.get(&key(SPI), 0)?, inner.get(&key(2), 0)?, inner.get(&key(3), 0)?);
        assert_eq!(one, two);
        assert_eq!((one.count, three.count), (1, 0));
        let many = rules(Rule::DIR_FWD, 0..=INNER_RULES_PER_SA);
        filler.fill(&Image { inner: self::inner([(SPI, many)]), ..Image::default() })?;
        assert_eq!(
            filler.maps().inner.get(&key(SPI), 0)?.count,
            INNER_RULES_PER_SA + 1,
            "reads as unchecked"
        );
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn a_full_map_is_said_until_there_is_room() -> Result<()> {
    with_maps(|pins| {
        let mut filler = Filler::open(Maps::open(pins)?)?;
        let many = Image { sas: sas(1..=20, "site-b"), ..Image::default() };
        for _ in 0..2 {
            let notes = filler.fill(&many)?;
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].starts_with(FULL) && notes[0].contains("SAS: 4 entries"), "{notes:?}");
            assert_eq!(held(&filler)?.sas.len(), 16);
        }
        // Those that had no room come in as others go.
        let fewer = Image { sas: sas(8..=20, "site-b"), ..Image::default() };
        assert_eq!(filler.fill(&fewer)?, Vec::<String>::new());
        ensure_held(&filler, &fewer)
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn another_agent_takes_the_maps_over() -> Result<()> {
    with_maps(|pins| {
        let mut first = Filler::open(Maps::open(pins)?)?;
        first.fill(&lab())?;
        first.set(|settings| settings.synced = 1)?;
        drop(first);
        let mut second = Filler::open(Maps::open(pins)?)?;
        assert_eq!(
            second.maps().settings.get(&0, 0)?.synced,
            0,
            "nothing is enforced on a picture of before"
        );
        ensure_held(&second, &lab())?;
        let mut image = lab();
        image.sas = sas([SPI], "site-c");
        image.locals.remove::<Addr>(&addr(US));
        image.rules_out.clear();
        image.inner.remove(&key(2));
        second.fill(&image)?;
        ensure_held(&second, &image)
    })
}
