//! What is beside XFRM: links, addresses, counters.

use crate::world::{addr, in_namespace, ip};
use esp_agent::net::{self, NetEvent, NetEvents};
use esp_agent::procfs::{Proc, ProcFs as _};
use std::time::{Duration, Instant};

#[test]
#[ignore = "T3: root, namespaces"]
fn links_and_addresses_are_read_and_followed() {
    in_namespace(|| async {
        let mut events = NetEvents::subscribe().unwrap();
        ip("link add v0 mtu 1400 type veth peer name v1");
        ip("link set v0 up");
        ip("addr add 10.1.2.3/24 dev v0");
        ip("addr add fd00::3/64 dev v0 nodad");
        let v0 = net::links().await.unwrap().into_iter().find(|link| link.name == "v0").unwrap();
        assert!(v0.up && v0.ethernet && v0.mtu == 1400 && v0.xdp_prog_id.is_none(), "{v0:?}");
        let lo = net::links().await.unwrap().into_iter().find(|link| link.name == "lo").unwrap();
        assert!(!lo.up && !lo.ethernet);
        let addresses = net::addresses().await.unwrap();
        assert!(
            addresses.contains(&addr("10.1.2.3")) && addresses.contains(&addr("fd00::3")),
            "{addresses:?}"
        );

        until(&mut events, |event| matches!(event, NetEvent::Link(link) if link.name == "v0" && link.up))
            .await;
        until(&mut events, |event| *event == NetEvent::Address).await;
        ip("link del v0");
        let gone = NetEvent::LinkGone { ifindex: v0.ifindex, name: "v0".into() };
        until(&mut events, |event| *event == gone).await;
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn xfrm_stat_is_that_of_the_namespace() {
    in_namespace(|| async {
        match Proc.xfrm_stat() {
            Ok(stats) => {
                assert!(stats.iter().any(|(name, _)| name == "XfrmInNoStates"), "{stats:?}");
                assert!(stats.iter().all(|(_, value)| *value == 0), "{stats:?}");
            }
            Err(error) => assert!(error.to_string().contains("CONFIG_XFRM_STATISTICS"), "{error}"),
        }
    });
}

async fn until(events: &mut NetEvents, wanted: impl Fn(&NetEvent) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = tokio::time::timeout(left, events.next()).await.expect("the event in 5 s").unwrap();
        if wanted(&event) {
            return;
        }
    }
}
