//! The harness itself: frames cross a wire unchanged, and nothing is left behind.

use anyhow::{Result, ensure};
use esp_tests::{
    frame::{Frame, Ipv4, Payload},
    link::{End, mac, veth},
    netns::Netns,
    run, wait,
    wire::Wire,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::Duration,
};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SECONDS: Duration = Duration::from_secs(10);

/// Two hosts on one cable, silent but for what a test sends.
fn pair() -> Result<(Netns, Netns)> {
    let (a, b) = (Netns::new("a")?, Netns::new("b")?);
    for netns in [&a, &b] {
        netns.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    }
    let (addr_a, addr_b) = ([(IpAddr::V4(A), 24)], [(IpAddr::V4(B), 24)]);
    veth(End::new(&a, "eth5", &addr_a), End::new(&b, "eth6", &addr_b))?;
    Ok((a, b))
}

#[test]
#[ignore = "T3: root, namespaces"]
fn frames_cross_the_wire_as_they_were_sent() -> Result<()> {
    let (a, b) = pair()?;
    let (left, right) = (Wire::open(&a, "eth5")?, Wire::open(&b, "eth6")?);
    let watcher = Wire::open(&a, "eth5")?;
    let plain =
        Frame::v4(&Ipv4::new(A, B), &Payload::esp(0x6942_7567, 1, 64)).macs(mac(A.into()), mac(B.into()));
    for (name, frame) in
        [("plain", plain.clone()), ("802.1Q", plain.clone().vlan(7)), ("QinQ", plain.qinq(8, 9))]
    {
        let sent = frame.build();
        left.send(&sent)?;
        let arrived = right.receive(SECONDS, |frame| frame == sent)?;
        assert!(arrived.is_some(), "{name} did not arrive as sent");
        let passed = watcher.drain()?;
        assert!(passed.iter().any(|seen| seen.outgoing && seen.frame == sent), "{name}: {passed:?}");
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_silent_wire_ends_at_the_deadline() -> Result<()> {
    let (_a, b) = pair()?;
    let right = Wire::open(&b, "eth6")?;
    assert_eq!(right.receive(Duration::from_millis(20), |_| true)?, None);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_namespace_has_its_own_sysfs_and_bpffs() -> Result<()> {
    let (a, b) = pair()?;
    let listing = |netns: &Netns, dir: &str| run::text(netns.command("ls").arg(dir));
    assert!(listing(&a, "/sys/class/net")?.contains("eth5"));
    assert!(!listing(&a, "/sys/class/net")?.contains("eth6"));
    run::text(a.command("mkdir").arg("/sys/fs/bpf/kept"))?;
    assert!(listing(&a, "/sys/fs/bpf")?.contains("kept"));
    assert!(!listing(&b, "/sys/fs/bpf")?.contains("kept"));
    assert!(a.run_in(|| Ok(Path::new("/sys/fs/bpf/kept").is_dir()))?);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn nothing_is_left_behind() -> Result<()> {
    let before = outside()?;
    let (inodes, panicked) = {
        let (a, b) = pair()?;
        let inodes = [a.inode()?, b.inode()?];
        let inside = a.clone();
        let panicked =
            std::panic::catch_unwind(move || inside.run_in(|| -> Result<()> { panic!("on purpose") }));
        (inodes, panicked.is_err())
    };
    assert!(panicked);
    assert_eq!(outside()?, before);
    wait::until_ok(SECONDS, "the namespaces to go", || {
        for inode in inodes {
            ensure!(!is_open(inode)?, "net:[{inode}] is still there");
        }
        Ok(())
    })
}

/// What the machine outside the namespaces shows of them.
fn outside() -> Result<[String; 3]> {
    let links = run::text(Command::new("ip").args(["-o", "-br", "link"]))?;
    let names = run::text(Command::new("ip").args(["netns", "list"]))?;
    Ok([std::fs::read_to_string("/proc/thread-self/mounts")?, links, names])
}

/// True when some process of the machine is in the network namespace.
fn is_open(inode: u64) -> Result<bool> {
    let namespaces = run::text(Command::new("lsns").args(["-n", "-t", "net", "-o", "NS"]))?;
    Ok(namespaces.split_whitespace().any(|ns| ns == inode.to_string()))
}
