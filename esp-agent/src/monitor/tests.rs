//! Lines say what is needed and have a fixed form.

use super::*;
use crate::picture::Origin;
use crate::stitch::Rule;
use crate::xfrm::model::{Algo, ESP, Mode, Sa, Suite};
use esp_common::Spi;

const TIME: &str = "2026-01-02T03:04:05.678Z";
const ORIGIN: Origin = Origin { now_s: 0, ours: false };

fn sa(spi: u32) -> ObservedSa {
    let addr = |last| IpAddr::from([10, 0, 0, last]);
    let id = SaId { dst: addr(1), spi: Spi::new(spi), proto: ESP, mark: Mark::default() };
    let aead = Some(Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 160, icv_bits: 128 });
    let suite = Suite { aead, ..Suite::default() };
    let sa = Sa { reqid: 5, suite, dir: Some(SaDir::In), ..Sa::bare(id, addr(2), Mode::Tunnel) };
    ObservedSa {
        sa,
        larval: false,
        bytes: 0,
        packets: 0,
        added_s: 1,
        used_s: 0,
        replay_drops: 0,
        integrity_failed: 0,
        now: crate::xfrm::model::SaStart::default(),
    }
}

fn lines(events: Vec<Event>) -> Vec<Line> {
    let mut picture = Picture::default();
    picture.rules(vec![Rule { tunnel: "site-b".into(), reqid: Some(5), ..Rule::default() }]);
    let line = |event: Event| {
        let before = Known::of(&event, &picture);
        let effect = picture.apply(event.clone(), ORIGIN);
        assert_ne!(effect, crate::picture::Effect::Lost);
        Line::of(TIME.into(), &event, &before, &picture)
    };
    events.into_iter().map(line).collect()
}

#[test]
fn a_rekey_in_words() {
    let events = vec![
        Event::SaAdded(Box::new(sa(0x1000))),
        Event::SaAdded(Box::new(sa(0x2000))),
        Event::SaDeleted(sa(0x1000).sa.id),
        Event::SaFlushed { proto: 50 },
        Event::Unknown { kind: 99 },
    ];
    let text: Vec<String> = lines(events).iter().map(Line::to_string).collect();
    let sa = |word: &str, spi| {
        format!(
            "{TIME} {word:<18} site-b 10.0.0.2 -> 10.0.0.1 dir in spi {spi} tunnel reqid 5 rfc4106(gcm(aes))"
        )
    };
    assert_eq!(
        text,
        [
            sa("sa_new", "0x00001000"),
            sa("sa_new", "0x00002000"),
            format!("{} rekeyed", sa("sa_delete", "0x00001000")),
            format!("{TIME} sa_flush           - SAs 1"),
            format!("{TIME} unknown            - kind 99"),
        ]
    );
}

#[test]
fn the_schema_of_a_new_sa() {
    let line = lines(vec![Event::SaAdded(Box::new(sa(0x1000)))]).remove(0);
    let expected = format!(
        r#"{{"schema":1,"time":"{TIME}","event":"sa_new","tunnel":"site-b","direction":"in","src":"10.0.0.2","dst":"10.0.0.1","spi":"0x00001000","proto":50,"mode":"tunnel","reqid":5,"suite":"rfc4106(gcm(aes))"}}"#
    );
    assert_eq!(serde_json::to_string(&line).unwrap(), expected);
}

#[test]
fn a_peer_that_moved_behind_its_nat() {
    let addr = |last| IpAddr::from([10, 0, 0, last]);
    let moved = Event::Mapping { id: sa(0x1000).sa.id, old: (addr(2), 4500), new: (addr(3), 1024) };
    let lines = lines(vec![Event::SaAdded(Box::new(sa(0x1000))), moved]);
    assert_eq!(
        lines[1].to_string(),
        format!(
            "{TIME} mapping            site-b to 10.0.0.1 spi 0x00001000 from 10.0.0.2:4500 to 10.0.0.3:1024"
        )
    );
}
