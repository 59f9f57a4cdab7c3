//! What the kernel tells of SAs and policies.

use crate::world::{addr, in_namespace, ip, larval_sa, net, numbered, out_policy};
use esp_agent::xfrm::Xfrm as _;
use esp_agent::xfrm::events::{Event, Events, ROOM, Told};
use esp_agent::xfrm::model::{Policy, PolicyAction};
use esp_agent::xfrm::netlink::Netlink;
use std::time::Duration;

#[test]
#[ignore = "T3: root, namespaces"]
fn a_larval_sa_is_seen_and_its_end_is_told() {
    in_namespace(|| async {
        let mut events = Events::subscribe(ROOM).unwrap();
        let mut xfrm = Netlink::open().unwrap();
        ip(
            "xfrm state allocspi src 10.55.55.1 dst 10.66.66.1 proto esp reqid 5 mode tunnel min 0x1000 max 0x1000",
        );
        let observed = xfrm.sas().unwrap();
        assert_eq!(observed.len(), 1, "{observed:#?}");
        let larva = &observed[0];
        assert!(larva.larval);
        assert_eq!(larva.sa, larval_sa());

        xfrm.delete_sa(&larva.sa.id).unwrap();
        let deleted = Told { event: Event::SaDeleted(larva.sa.id), port: xfrm.port() };
        assert_eq!(told(&mut events).await, deleted, "with the port of who did it");
        assert!(xfrm.sas().unwrap().is_empty());
        assert!(xfrm.delete_sa(&larva.sa.id).unwrap_err().not_found());
        ip("xfrm state flush");
        ip("xfrm state allocspi src 10.55.55.1 dst 10.66.66.1 proto esp min 0x1000 max 0x1000");
        ip("xfrm state flush");
        let flushed = told(&mut events).await;
        assert_eq!(flushed.event, Event::SaFlushed { proto: 0 });
        assert_ne!(flushed.port, xfrm.port(), "someone else did it");
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn policy_changes_of_others_are_told_within_100_ms() {
    in_namespace(|| async {
        let mut events = Events::subscribe(ROOM).unwrap();
        let base = "src 192.168.1.0/24 dst 192.168.2.0/24 dir out";
        let template = "tmpl src 10.55.55.1 dst 10.66.66.1 proto esp reqid 1768060263 mode tunnel";
        ip(&format!("xfrm policy add {base} {template}"));
        let Event::PolicyAdded(added) = soon(&mut events).await else { panic!("no policy was added") };
        assert_eq!(added.policy, out_policy());

        ip(&format!("xfrm policy update {base} priority 9 {template}"));
        let Event::PolicyUpdated(updated) = soon(&mut events).await else { panic!("no policy was updated") };
        assert_eq!(updated.policy, Policy { priority: 9, ..out_policy() });

        ip(&format!("xfrm policy update {base} limit time-hard 1 {template}"));
        let Event::PolicyUpdated(updated) = soon(&mut events).await else { panic!("no policy was updated") };
        let index = updated.index;
        let expired = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap().unwrap();
        assert_eq!(expired.port, 0, "the kernel's own doing");
        assert_eq!(expired.event, Event::PolicyExpired { index, id: out_policy().id, hard: true });

        ip(&format!("xfrm policy add {base} {template}"));
        let Event::PolicyAdded(added) = soon(&mut events).await else { panic!("no policy was added") };
        ip(&format!("xfrm policy delete {base}"));
        let deleted = Event::PolicyDeleted { index: added.index, id: out_policy().id };
        assert_eq!(soon(&mut events).await, deleted);
        ip(&format!("xfrm policy add {base} {template}"));
        assert!(matches!(soon(&mut events).await, Event::PolicyAdded(_)));
        ip("xfrm policy flush");
        assert_eq!(soon(&mut events).await, Event::PolicyFlushed);
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn an_overrun_is_told_and_events_go_on() {
    in_namespace(|| async {
        let mut events = Events::subscribe(64 * 1024).unwrap();
        let mut xfrm = Netlink::open().unwrap();
        // Far more than the receive buffer holds, read only afterwards.
        for number in 0..2_000_u32 {
            xfrm.update_policy(&Policy { id: numbered(number % 100), ..out_policy() }).unwrap();
        }
        let mut seen = 0;
        while !matches!(soon(&mut events).await, Event::Overrun) {
            seen += 1;
        }
        assert!(seen < 2_000, "{seen} events and an overrun");
        while tokio::time::timeout(Duration::from_millis(100), events.next()).await.is_ok() {}
        xfrm.delete_policy(&numbered(0)).unwrap();
        assert!(
            matches!(soon(&mut events).await, Event::PolicyDeleted { .. }),
            "events go on after an overrun"
        );
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_packet_without_an_sa_asks_for_one() {
    in_namespace(|| async {
        // Not lo: it has disable_xfrm set.
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("addr add 10.55.55.1/24 dev v0");
        ip("route add 192.168.2.0/24 dev v0");
        let mut events = Events::subscribe(ROOM).unwrap();
        let mut policy = out_policy();
        policy.id.selector.src = net("0.0.0.0", 0);
        Netlink::open().unwrap().add_policy(&policy).unwrap();
        assert!(matches!(soon(&mut events).await, Event::PolicyAdded(_)));
        let socket = std::net::UdpSocket::bind("10.55.55.1:0").unwrap();
        // The packet itself is lost, as there is no key manager.
        drop(socket.send_to(b"x", "192.168.2.1:9"));
        let Event::Acquire(acquire) = soon(&mut events).await else { panic!("nothing was asked for") };
        assert_eq!((acquire.src, acquire.dst), (addr("10.55.55.1"), addr("10.66.66.1")));
        assert_eq!(acquire.templates, policy.templates);
        let index = Netlink::open().unwrap().policies().unwrap()[0].index;
        assert_eq!(acquire.policy, index);
        assert_eq!((acquire.selector.dst, acquire.selector.proto), (net("192.168.2.1", 32), 17));
        assert_eq!((acquire.selector.dport.port, acquire.if_id), (9, 0));
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_soft_limit_and_the_default_policy_are_told() {
    in_namespace(|| async {
        let mut events = Events::subscribe(ROOM).unwrap();
        ip("xfrm policy add src 192.168.1.0/24 dst 192.168.2.0/24 dir out limit time-soft 1 action block");
        let Event::PolicyAdded(added) = soon(&mut events).await else { panic!("no policy was added") };
        let soft = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap().unwrap();
        let wanted = Event::PolicyExpired { index: added.index, id: out_policy().id, hard: false };
        assert_eq!(soft.event, wanted);
        ip("xfrm policy setdefault in block fwd accept out block");
        let (block, allow) = (PolicyAction::Block, PolicyAction::Allow);
        let default = Event::PolicyDefault { inbound: block, forward: allow, out: block };
        assert_eq!(soon(&mut events).await, default);
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_larval_sa_that_nobody_finishes_expires() {
    in_namespace(|| async {
        std::fs::write("/proc/sys/net/core/xfrm_acq_expires", "1").unwrap();
        let mut events = Events::subscribe(ROOM).unwrap();
        ip(
            "xfrm state allocspi src 10.55.55.1 dst 10.66.66.1 proto esp reqid 5 mode tunnel min 0x1000 max 0x1000",
        );
        let expired = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap().unwrap();
        let Event::SaExpired { id, hard: true, detail } = expired.event else { panic!("{expired:?}") };
        assert_eq!((id, expired.port), (larval_sa().id, 0));
        assert_eq!((detail.src, detail.reqid, detail.packets), (addr("10.55.55.1"), 5, 0));
    });
}

/// The next event, within 100 ms.
async fn soon(events: &mut Events) -> Event {
    told(events).await.event
}

async fn told(events: &mut Events) -> Told {
    let next = tokio::time::timeout(Duration::from_millis(100), events.next());
    next.await.expect("an event in 100 ms").unwrap()
}
