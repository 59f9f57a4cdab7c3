//! Events change the picture, names and tombstones.

use super::*;
use crate::xfrm::decode::event::Expiry;
use crate::xfrm::model::{Algo, Mode, Suite};

const THEIRS: Origin = Origin { now_s: 100, ours: false };
const OURS: Origin = Origin { now_s: 100, ours: true };

fn sa(spi: u32, reqid: u32) -> ObservedSa {
    let addr = |last| IpAddr::from([10, 0, 0, last]);
    let id = SaId { dst: addr(1), spi: Spi::new(spi), proto: ESP, mark: Mark::default() };
    let enc = Some(Algo { name: "cbc(aes)".into(), key_bits: 128, icv_bits: 0 });
    let suite = Suite { enc, ..Suite::default() };
    ObservedSa {
        sa: Sa { reqid, suite, ..Sa::bare(id, addr(2), Mode::Tunnel) },
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

fn expired(id: SaId, hard: bool) -> Event {
    let detail = Expiry { src: id.dst, reqid: 0, if_id: 0, dir: None, bytes: 0, packets: 0 };
    Event::SaExpired { id, hard, detail: Box::new(detail) }
}

fn picture(sas: &[ObservedSa]) -> Picture {
    let mut picture = Picture::default();
    picture.rules(vec![Rule { tunnel: "site-b".into(), reqid: Some(5), ..Rule::default() }]);
    for sa in sas {
        assert_eq!(picture.apply(Event::SaAdded(Box::new(sa.clone())), THEIRS), Effect::Changed);
    }
    picture
}

fn causes(picture: &Picture) -> Vec<(u32, Cause)> {
    picture.tombstones.iter().map(|stone| (stone.spi, stone.cause)).collect()
}

#[test]
fn lost_events_ask_for_a_reading() {
    assert_eq!(Picture::default().apply(Event::Overrun, THEIRS), Effect::Lost);
    assert_eq!(Picture::default().apply(Event::Unreadable { kind: 0 }, THEIRS), Effect::Lost);
    assert_eq!(Picture::default().apply(Event::Unknown { kind: 0x99 }, THEIRS), Effect::None);
}

#[test]
fn a_rekey_keeps_the_name_and_says_what_became_of_the_old_sa() {
    let mut picture = picture(&[sa(1, 5), sa(2, 5)]);
    assert_eq!(picture.tunnel(&sa(2, 5).sa.id), "site-b");
    picture.apply(Event::SaDeleted(sa(1, 5).sa.id), THEIRS);
    picture.apply(Event::SaDeleted(sa(2, 5).sa.id), THEIRS);
    assert_eq!(causes(&picture), [(1, Cause::Rekeyed), (2, Cause::Deleted)]);
    let stone = picture.tombstones.of(sa(1, 5).sa.id.dst, Spi::new(1)).cloned();
    let stone = stone.expect("a tombstone");
    assert_eq!((stone.tunnel.as_str(), stone.gone_s, stone.reqid), ("site-b", 100, 5));
    assert!(picture.lines.is_empty());
}

#[test]
fn an_sa_of_another_request_is_no_rekey() {
    let mut picture = picture(&[sa(1, 5), sa(2, 6)]);
    assert_eq!(picture.tunnel(&sa(2, 6).sa.id), "", "no rule names it");
    picture.apply(Event::SaDeleted(sa(1, 5).sa.id), THEIRS);
    assert_eq!(causes(&picture), [(1, Cause::Deleted)]);
}

#[test]
fn each_way_to_go_has_its_cause() {
    let mut picture = picture(&[sa(1, 1), sa(2, 2), sa(3, 3), sa(4, 4)]);
    assert_eq!(picture.apply(expired(sa(1, 1).sa.id, false), THEIRS), Effect::None);
    assert!(picture.dying.contains(&sa(1, 1).sa.id) && causes(&picture).is_empty());
    picture.apply(expired(sa(1, 1).sa.id, true), THEIRS);
    picture.apply(Event::SaDeleted(sa(2, 2).sa.id), OURS);
    picture.read(Observed { sas: vec![sa(4, 4)], ..Observed::default() }, 101);
    assert_eq!(causes(&picture), [(1, Cause::Expired), (2, Cause::ByUs), (3, Cause::Unseen)]);
    picture.apply(Event::SaFlushed { proto: 0 }, THEIRS);
    assert_eq!(causes(&picture).last(), Some(&(4, Cause::Flushed)));
    assert!(picture.sas.is_empty() && picture.dying.is_empty() && picture.lines.is_empty());
}

#[test]
fn what_a_reading_missed_is_explained_by_its_event() {
    let mut picture = picture(&[sa(1, 5), sa(2, 5)]);
    picture.read(Observed { sas: vec![sa(2, 5)], ..Observed::default() }, 101);
    assert_eq!(causes(&picture), [(1, Cause::Unseen)]);
    picture.apply(Event::SaDeleted(sa(1, 5).sa.id), THEIRS);
    assert_eq!(causes(&picture), [(1, Cause::Rekeyed)]);
}

#[test]
fn an_sa_that_is_back_has_no_tombstone() {
    let mut picture = picture(&[sa(1, 5)]);
    picture.apply(Event::SaDeleted(sa(1, 5).sa.id), THEIRS);
    picture.apply(Event::SaUpdated(Box::new(sa(1, 5))), THEIRS);
    assert!(causes(&picture).is_empty());
}

#[test]
fn a_flush_of_another_protocol_leaves_esp() {
    let mut picture = picture(&[sa(1, 5)]);
    picture.apply(Event::SaFlushed { proto: 51 }, THEIRS);
    assert_eq!(picture.sas.len(), 1);
    picture.apply(Event::SaFlushed { proto: 255 }, THEIRS);
    assert!(picture.sas.is_empty());
}

#[test]
fn names_of_flows_outlive_their_sas_and_an_agent() {
    let mut picture = picture(&[]);
    let dst = sa(1, 5).sa.id.dst;
    picture.remember(
        [(dst, Spi::new(9), "site-b".to_owned()), (dst, Spi::new(2), "old".to_owned())],
        Vec::new(),
    );
    picture.read(Observed { sas: vec![sa(2, 6)], ..Observed::default() }, 101);
    assert_eq!(picture.tunnel(&sa(9, 5).sa.id), "site-b", "its SA is gone, its counters are not");
    assert_eq!(picture.tunnel(&sa(2, 6).sa.id), "", "an SA that is there has the name of today");
}

/// What is changed bit by bit is what would be worked out anew, also where SAs share keys.
#[test]
fn changes_add_up_to_the_whole_image() {
    use crate::datapath::image::Image;
    let mut picture = picture(&[]);
    picture.shown();
    let (mut sas, mut inner) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    let mut dice = 7_u32;
    for step in 0..2000 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Two marks behind one key: they are of one tunnel, as the table has room for one name.
        let mut some = sa((dice >> 8) % 6 + 1, 5);
        some.sa.id.mark.value = (dice >> 20) % 2;
        let event = match (dice >> 24) % 8 {
            0..=3 => Event::SaAdded(Box::new(some)),
            4 | 5 => Event::SaDeleted(some.sa.id),
            6 => expired(some.sa.id, true),
            _ => Event::SaFlushed { proto: ESP },
        };
        picture.apply(event, THEIRS);
        if step % 3 == 0 {
            assert!(!picture.whole, "SAs alone have changed");
            let change = Image::change(&picture);
            picture.shown();
            sas.extend(change.sas);
            inner.extend(change.inner);
            sas.retain(|key, _| !change.gone.contains(key));
            inner.retain(|key, _| !change.inner_gone.contains(key));
            let whole = Image::of(&picture);
            assert_eq!(sas, whole.sas, "step {step}");
            assert!(inner == whole.inner, "step {step}");
        }
    }
}
