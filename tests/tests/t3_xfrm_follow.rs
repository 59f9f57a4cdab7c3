//! T3: policies, larval SAs and their events against this kernel, each test in a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect, in its helpers too")]

use esp_agent::net::{self, NetEvent, NetEvents};
use esp_agent::procfs::{Proc, ProcFs as _};
use esp_agent::secret::Secret;
use esp_agent::xfrm::events::{Event, Events};
use esp_agent::xfrm::model::{
    Algo, ESP, Limits, Mark, Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Port, Sa, SaDir, SaId,
    SaKeys, Selector, Suite, Template,
};
use esp_agent::xfrm::netlink::Netlink;
use esp_agent::xfrm::{Xfrm as _, XfrmError};
use esp_common::Spi;
use nix::sched::{CloneFlags, unshare};
use std::error::Error as _;
use std::future::Future;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
#[ignore = "T3: root, namespaces"]
fn policies_come_back_as_they_were_sent() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let sent = [out_policy(), fwd_policy(), block_policy()];
        for policy in &sent {
            xfrm.add_policy(policy).unwrap();
        }
        assert!(xfrm.add_policy(&sent[0]).unwrap_err().already_exists());
        for policy in &sent {
            let observed = xfrm.policies().unwrap();
            let found = observed.into_iter().find(|observed| observed.policy.id == policy.id).unwrap();
            assert_eq!(found.policy, *policy);
            assert!(found.policy.same_as(policy) && found.added_s > 0 && found.index != 0);
        }

        let changed =
            Policy { priority: 7, templates: vec![template("10.9.9.1", "10.9.9.2")], ..out_policy() };
        xfrm.update_policy(&changed).unwrap();
        let observed: Vec<Policy> = xfrm.policies().unwrap().into_iter().map(|found| found.policy).collect();
        assert!(observed.contains(&changed) && !observed.contains(&out_policy()), "{observed:#?}");
        assert_eq!(observed.len(), sent.len());

        for policy in &sent {
            xfrm.delete_policy(&policy.id).unwrap();
        }
        assert_eq!(xfrm.policies().unwrap(), []);
        assert!(xfrm.delete_policy(&sent[0].id).unwrap_err().not_found());
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_dump_of_many_policies_is_whole() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let policies = (0..2000_u32).map(|number| Policy { id: numbered(number), ..out_policy() });
        for policy in policies.clone() {
            xfrm.add_policy(&policy).unwrap();
        }
        let mut seen: Vec<PolicyId> =
            xfrm.policies().unwrap().into_iter().map(|found| found.policy.id).collect();
        let mut expected: Vec<PolicyId> = policies.map(|policy| policy.id).collect();
        seen.sort();
        expected.sort();
        assert!(seen == expected, "{} of {} policies", seen.len(), expected.len());
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_larval_sa_is_seen_and_its_end_is_told() {
    in_namespace(|| async {
        let mut events = Events::subscribe().unwrap();
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
        assert_eq!(soon(&mut events).await, Event::SaDeleted(larva.sa.id));
        assert!(xfrm.sas().unwrap().is_empty());
        assert!(xfrm.delete_sa(&larva.sa.id).unwrap_err().not_found());
        ip("xfrm state flush");
        ip("xfrm state allocspi src 10.55.55.1 dst 10.66.66.1 proto esp min 0x1000 max 0x1000");
        ip("xfrm state flush");
        assert_eq!(soon(&mut events).await, Event::SaFlushed { proto: 0 });
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn policy_changes_of_others_are_told_within_100_ms() {
    in_namespace(|| async {
        let mut events = Events::subscribe().unwrap();
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
        assert_eq!(expired, Event::PolicyExpired { index, id: out_policy().id, hard: true });

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
        let mut events = Events::subscribe().unwrap();
        let mut xfrm = Netlink::open().unwrap();
        // Twice what the receive buffer holds, read only afterwards.
        for number in 0..80_000_u32 {
            xfrm.update_policy(&Policy { id: numbered(number % 100), ..out_policy() }).unwrap();
        }
        let mut seen = 0;
        while !matches!(soon(&mut events).await, Event::Overrun) {
            seen += 1;
        }
        assert!(seen < 80_000, "{seen} events and an overrun");
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
        let mut events = Events::subscribe().unwrap();
        let mut policy = out_policy();
        policy.id.selector.src = net("0.0.0.0", 0);
        Netlink::open().unwrap().add_policy(&policy).unwrap();
        assert!(matches!(soon(&mut events).await, Event::PolicyAdded(_)));
        let socket = std::net::UdpSocket::bind("10.55.55.1:0").unwrap();
        // The packet itself is lost, as there is no key manager.
        drop(socket.send_to(b"x", "192.168.2.1:9"));
        assert_eq!(
            soon(&mut events).await,
            Event::Acquire { src: addr("10.55.55.1"), dst: addr("10.66.66.1") }
        );
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_keyed_sa_comes_back_or_the_lack_is_named() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let (sa, keys) = keyed_sa();
        keyed(&mut xfrm, &sa, &keys, "esp4 (CONFIG_INET_ESP)", "Requested type not found");

        let aead = Some(Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 160, icv_bits: 128 });
        let keys = SaKeys { aead: Some(Secret::new(vec![7; 20])), ..SaKeys::default() };
        let suite = Suite { aead, ..Suite::default() };
        let sa = Sa { suite, keys: keys.print(), esn: true, replay_window: 128, ..sa };
        keyed(&mut xfrm, &sa, &keys, "crypto-gcm", "Requested AEAD algorithm not found");
    });
}

/// `XFRMA_SA_DIR` is of Linux 6.10; older kernels skip it.
#[test]
#[ignore = "T3: root, namespaces"]
fn the_kernel_reads_the_direction() {
    in_namespace(|| async {
        let (sa, keys) = keyed_sa();
        let sa = Sa { dir: Some(SaDir::Out), replay_window: 32, ..sa };
        let error = Netlink::open().unwrap().add_sa(&sa, &keys).err();
        let cause = error.and_then(|error| Some(error.source()?.to_string())).unwrap_or_default();
        let known = cause.contains("Replay window should be 0 for output SA");
        assert_eq!(known, kernel() >= (6, 10), "{cause}");
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn without_the_capability_it_is_not_permitted() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        // The system call, as libc's function would change the threads of the other tests too.
        // SAFETY: setresuid takes three numbers; -1 leaves the real and the saved one alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
        assert_eq!(changed, 0);
        let error = xfrm.add_policy(&out_policy()).unwrap_err();
        assert!(error.not_permitted(), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("CAP_NET_ADMIN"));
    });
}

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

/// Runs `body` on a thread with its own network namespace and a runtime of its own; both end with the thread.
fn in_namespace<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send + 'static) {
    let run = move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

/// A child is in the namespace of the thread that starts it.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// With ESP, what comes back is what was sent; without it, the error says what is missing.
fn keyed(xfrm: &mut Netlink, sa: &Sa, keys: &SaKeys, lack: &str, words: &str) {
    match xfrm.add_sa(sa, keys) {
        Ok(()) => {
            let observed = xfrm.sas().unwrap();
            assert!(
                observed.len() == 1 && observed[0].sa.same_as(sa) && !observed[0].larval,
                "{observed:#?}"
            );
            assert!(xfrm.add_sa(sa, keys).unwrap_err().already_exists());
            xfrm.delete_sa(&sa.id).unwrap();
        }
        Err(error) => {
            assert!(matches!(error, XfrmError::AddSa { .. }) && error.lacks(), "{error:?}");
            assert!(!error.not_permitted() && !error.already_exists());
            assert_eq!(error.to_string(), "failed to add SA 0x00001000 to 10.66.66.1");
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(lack) && cause.contains(words), "{cause}");
        }
    }
}

/// Such as (6, 18).
fn kernel() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let mut numbers = name.release().to_str().unwrap().split('.').map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The next event, within 100 ms.
async fn soon(events: &mut Events) -> Event {
    tokio::time::timeout(Duration::from_millis(100), events.next())
        .await
        .expect("an event in 100 ms")
        .unwrap()
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

fn keyed_sa() -> (Sa, SaKeys) {
    let algo = |name: &str, icv_bits| Some(Algo { name: name.into(), key_bits: 128, icv_bits });
    let suite = Suite { auth: algo("hmac(sha256)", 96), enc: algo("cbc(aes)", 0), ..Suite::default() };
    let key = |byte| Some(Secret::new(vec![byte; 16]));
    let keys = SaKeys { aead: None, auth: key(1), enc: key(2) };
    let sa = Sa { suite, keys: keys.print(), selector: None, limits: Limits::default(), ..larval_sa() };
    (sa, keys)
}

/// The kernel gives a larval SA its own addresses to select and `net.core.xfrm_acq_expires` to live.
fn larval_sa() -> Sa {
    Sa {
        reqid: 5,
        selector: Some(selector(net("10.55.55.1", 32), net("10.66.66.1", 32))),
        limits: Limits { hard_add_s: Some(30), ..Limits::default() },
        ..Sa::bare(
            SaId { dst: addr("10.66.66.1"), spi: Spi::new(0x1000), proto: ESP, mark: Mark::default() },
            addr("10.55.55.1"),
            Mode::Tunnel,
        )
    }
}

fn out_policy() -> Policy {
    Policy {
        id: PolicyId {
            selector: selector(net("192.168.1.0", 24), net("192.168.2.0", 24)),
            dir: PolicyDir::Out,
            mark: Mark::default(),
            if_id: 0,
        },
        priority: 0,
        action: PolicyAction::Allow,
        flags: 0,
        templates: vec![template("10.55.55.1", "10.66.66.1")],
        limits: Limits::default(),
        offload: None,
    }
}

fn fwd_policy() -> Policy {
    let ports = selector(net("fd01::", 64), net("fd02::", 64));
    let templates = vec![
        Template {
            optional: true,
            mode: Mode::Transport,
            spi: Spi::new(0x2000),
            ..template("fd00::1", "fd00::2")
        },
        template("10.66.66.1", "10.55.55.1"),
    ];
    Policy {
        id: PolicyId {
            selector: Selector { proto: 6, dport: Port { port: 443, mask: 0xffff }, ..ports },
            dir: PolicyDir::Fwd,
            mark: Mark { value: 5, mask: 0xf },
            if_id: 42,
        },
        priority: 1000,
        flags: 1,
        templates,
        limits: Limits { hard_bytes: Some(1 << 40), soft_add_s: Some(3600), ..Limits::default() },
        ..out_policy()
    }
}

fn block_policy() -> Policy {
    let id = PolicyId { selector: selector(net("10.0.0.0", 8), net("0.0.0.0", 0)), ..out_policy().id };
    Policy { id, action: PolicyAction::Block, priority: 5, templates: Vec::new(), ..out_policy() }
}

fn numbered(number: u32) -> PolicyId {
    let dst = Net { addr: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), len: 32 };
    PolicyId { selector: selector(net("192.168.1.0", 24), dst), ..out_policy().id }
}

fn template(src: &str, dst: &str) -> Template {
    Template {
        src: addr(src),
        dst: addr(dst),
        spi: Spi::new(0),
        proto: ESP,
        mode: Mode::Tunnel,
        reqid: 1_768_060_263,
        optional: false,
    }
}

fn selector(src: Net, dst: Net) -> Selector {
    Selector { src, dst, proto: 0, sport: Port::default(), dport: Port::default(), ifindex: 0 }
}

fn net(text: &str, len: u8) -> Net {
    Net { addr: addr(text), len }
}

fn addr(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}
