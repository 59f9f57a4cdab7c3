//! A namespace, and SAs and policies to put into it.

use esp_agent::xfrm::model::{
    ESP, Limits, Mark, Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Port, Sa, SaId, Selector,
    Template,
};
use esp_common::Spi;
use nix::sched::{CloneFlags, unshare};
use std::future::Future;
use std::process::Command;

/// Runs `body` on a thread with its own network namespace and a runtime of its own; both end with the thread.
pub(crate) fn in_namespace<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send + 'static) {
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
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The kernel gives a larval SA its own addresses to select and `net.core.xfrm_acq_expires` to live.
pub(crate) fn larval_sa() -> Sa {
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

pub(crate) fn out_policy() -> Policy {
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

pub(crate) fn fwd_policy() -> Policy {
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

pub(crate) fn block_policy() -> Policy {
    let id = PolicyId { selector: selector(net("10.0.0.0", 8), net("0.0.0.0", 0)), ..out_policy().id };
    Policy { id, action: PolicyAction::Block, priority: 5, templates: Vec::new(), ..out_policy() }
}

pub(crate) fn numbered(number: u32) -> PolicyId {
    let dst = Net { addr: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(), len: 32 };
    PolicyId { selector: selector(net("192.168.1.0", 24), dst), ..out_policy().id }
}

pub(crate) fn template(src: &str, dst: &str) -> Template {
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

pub(crate) fn selector(src: Net, dst: Net) -> Selector {
    Selector { src, dst, proto: 0, sport: Port::default(), dport: Port::default(), ifindex: 0 }
}

pub(crate) fn net(text: &str, len: u8) -> Net {
    Net { addr: addr(text), len }
}

pub(crate) fn addr(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}
