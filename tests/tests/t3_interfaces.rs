//! Addresses and routes of an interface, written to the kernel as a plan writes them and read back by `ip`.

use anyhow::{Context, Result, ensure};
use esp_agent::xfrm::{
    Xfrm as _,
    interface::{Part, XfrmLink},
    model::Net,
    netlink::Netlink,
};
use esp_tests::netns::Netns;

fn net(addr: &str, len: u8) -> Result<Net> {
    Ok(Net { addr: addr.parse()?, len })
}

/// The kernel does not care of which kind the link is.
fn parts() -> Result<Vec<Part>> {
    let link = || "v0".to_owned();
    Ok(vec![
        Part::Address { link: link(), net: net("10.255.0.1", 30)? },
        Part::Address { link: link(), net: net("fd00:255::1", 64)? },
        Part::Route { link: link(), dst: net("192.168.2.0", 24)?, metric: 0 },
        Part::Route { link: link(), dst: net("0.0.0.0", 0)?, metric: 50 },
        Part::Route { link: link(), dst: net("fd00:2::", 64)?, metric: 1024 },
    ])
}

#[test]
#[ignore = "T3: root, namespaces"]
fn addresses_and_routes_come_and_go_one_by_one() -> Result<()> {
    let host = Netns::new("gateway")?;
    host.ip("link add v0 type veth peer name v1")?;
    host.ip("link set v0 up")?;
    host.ip("link set v1 up")?;
    let parts = parts()?;
    host.run_in(|| {
        let mut kernel = Netlink::open()?;
        for part in &parts {
            kernel.add_part(part)?;
            let twice = kernel.add_part(part).err();
            ensure!(twice.is_some_and(|error| error.already_exists()), "{part:?} twice");
        }
        Ok(())
    })?;
    let addresses = host.ip("address show dev v0")?;
    ensure!(addresses.contains("inet 10.255.0.1/30 scope global v0"), "{addresses}");
    ensure!(addresses.contains("inet6 fd00:255::1/64 scope global"), "{addresses}");
    let routes = host.ip("route show dev v0")? + &host.ip("-6 route show dev v0")?;
    for route in [
        "192.168.2.0/24 proto static scope link",
        "default proto static scope link metric 50",
        "fd00:2::/64 proto static metric 1024",
    ] {
        ensure!(routes.contains(route), "{route} is missing: {routes}");
    }
    host.run_in(|| {
        let mut kernel = Netlink::open()?;
        for part in parts.iter().rev() {
            kernel.delete_part(part)?;
            let gone = kernel.delete_part(part).err();
            ensure!(gone.is_some_and(|error| error.not_found()), "{part:?} twice gone");
        }
        Ok(())
    })?;
    let left = host.ip("address show dev v0 scope global")? + &host.ip("route show dev v0")?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_kernel_without_xfrm_interfaces_is_named() -> Result<()> {
    let host = Netns::new("gateway")?;
    let link = Part::Link(XfrmLink { name: "ipsec0".into(), if_id: 7, mtu: 1400 });
    let answer = host.run_in(|| Ok(Netlink::open()?.add_part(&link)))?;
    // Whether it has them, `ip` knows as well.
    if host.ip("link add other type xfrm if_id 9").is_ok() {
        let seen = host.run_in(|| Ok(Netlink::open()?.links()?))?;
        let made = seen.iter().find(|seen| seen.name == "ipsec0");
        ensure!(answer.is_ok() && made.is_some_and(|made| made.parts() == [link]), "{made:?}");
        return Ok(());
    }
    let error = answer.err().context("it has made one")?;
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    ensure!(error.lacks() && cause.contains("CONFIG_XFRM_INTERFACE"), "{error}: {cause}");
    Ok(())
}
