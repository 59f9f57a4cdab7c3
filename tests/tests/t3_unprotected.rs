//! `[[bypass]]` and `[[discard]]` beside what is protected: installed once, ahead of it in the kernel and in the guard,
//! gone with the agent.

use anyhow::{Result, ensure};
use esp_agent::xfrm::model::PolicyDir;
use esp_tests::{
    agent::{Binary, PATIENCE},
    frame::{Frame, Ipv4, Payload},
    link::mac,
    run,
    site::{GATEWAY, PEER, Site},
};
use std::net::Ipv4Addr;
use tempfile::NamedTempFile;

const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// Protected, excused, banned.
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
const EXCUSED: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 9);
const BANNED: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 66);
const PORT: u16 = 7777;

const CONFIG: &str = r#"[guard]
cleartext_out = "enforce"
[[policy]]
name = "protect"
dir = "out"
src = "192.168.1.0/24"
dst = "192.168.2.0/24"
template = [{ src = "10.55.55.1", dst = "10.55.55.55", mode = "tunnel", reqid = 5 }]
[[bypass]]
name = "excused"
local_net = "192.168.1.0/24"
remote_net = "192.168.2.9/32"
protocol = "udp"
remote_port = 7777
[[discard]]
name = "banned"
remote_net = "192.168.2.66/32"
direction = "out"
"#;

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn they_come_before_what_is_protected_and_go_with_the_agent() -> Result<()> {
    let site = Site::new()?;
    site.gateway.ip(&format!("address add {OURS}/24 dev lo"))?;
    site.gateway.ip(&format!("route add 192.168.2.0/24 via {PEER} src {OURS}"))?;
    let config = NamedTempFile::new()?;
    std::fs::write(config.path(), CONFIG)?;
    let agent = site.agent()?.config(config.path()).start()?;
    for (what, wanted) in [
        ("excused", PolicyDir::Out),
        ("excused", PolicyDir::In),
        ("excused", PolicyDir::Fwd),
        ("banned", PolicyDir::Out),
    ] {
        ensure!(installed(&site, what, wanted)?, "{what} {wanted:?}: {}", site.gateway.ip("xfrm policy")?);
    }
    let plan = run::text(Binary::find()?.command(&site.gateway).arg("plan").arg("-c").arg(config.path()))?;
    ensure!(plan.contains("nothing to do"), "{plan}");

    // Past the stack, so that only the guard stands between them and the wire.
    let (near, far) = (site.near()?, site.far()?);
    ensure!(near.send(&frame(THEIRS)).is_err(), "what is to be protected may leave in the clear");
    near.send(&frame(EXCUSED))?;
    let arrived =
        far.receive(PATIENCE, |one| [THEIRS, EXCUSED].map(frame).iter().any(|other| other == one))?;
    assert_eq!(arrived, Some(frame(EXCUSED)));

    // And in the kernel: EPERM is a policy that blocks (`xfrm_lookup_with_ifid`).
    let said =
        site.gateway.run_in(|| Ok(std::net::UdpSocket::bind((OURS, 0))?.send_to(&[1], (BANNED, PORT))))?;
    assert_eq!(said.map_err(|error| error.raw_os_error()), Err(Some(libc::EPERM)));
    site.gateway.run_in(|| Ok(std::net::UdpSocket::bind((OURS, 0))?.send_to(&[1], (EXCUSED, PORT))?))?;

    drop(agent);
    ensure!(run::output(Binary::find()?.command(&site.gateway).arg("detach"))?.status.success());
    assert_eq!(site.gateway.ip("xfrm policy")?, "");
    Ok(())
}

/// A policy ahead of the protecting one, as `ip` shows it.
fn installed(site: &Site, what: &str, dir: PolicyDir) -> Result<bool> {
    let (host, dir, block) = match (what, dir) {
        ("banned", _) => (BANNED, "out", true),
        (_, PolicyDir::Out) => (EXCUSED, "out", false),
        (_, PolicyDir::In) => (EXCUSED, "in", false),
        (_, PolicyDir::Fwd) => (EXCUSED, "fwd", false),
    };
    let text = site.gateway.ip("-o xfrm policy")?;
    Ok(text.lines().any(|line| {
        line.contains(&host.to_string())
            && line.contains(&format!("dir {dir}"))
            && line.contains("action block") == block
            && !line.contains("tmpl")
    }))
}

fn frame(dst: Ipv4Addr) -> Vec<u8> {
    let payload = Payload::udp(PORT, PORT, dst.octets().to_vec());
    Frame::v4(&Ipv4::new(OURS, dst), &payload).macs(mac(GATEWAY.into()), mac(PEER.into())).build()
}
