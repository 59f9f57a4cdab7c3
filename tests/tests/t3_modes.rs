//! An agent that is started in another mode takes the program of the mode before off first: native and generic XDP cannot be
//! there together.

use anyhow::{Context as _, Result, ensure};
use esp_tests::{
    attached,
    frame::Payload,
    site::{FAR_END, GATEWAY, NOWHERE, OUTSIDE, Site, inbound},
};

const SPI: u32 = 0x1000;
const MODES: [&str; 5] = ["native", "generic", "native", "tc", "generic"];
const STARTS: usize = 15;

/// With the larger MTU the driver refuses the program for one buffer, and takes the one for several.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn the_mode_changes_at_each_start_without_a_refusal() -> Result<()> {
    for mtu in [1_500, 9_000] {
        let site = Site::new()?;
        site.allocate(NOWHERE.into(), GATEWAY.into(), SPI)?;
        site.gateway.ip(&format!("link set {OUTSIDE} mtu {mtu}"))?;
        site.peer.ip(&format!("link set {FAR_END} mtu {mtu}"))?;
        let far = site.far()?;
        for (number, mode) in (1..).zip(MODES.into_iter().cycle().take(STARTS)) {
            let what = format!("MTU {mtu}, start {number}, {mode}");
            let mut agent = site.agent()?.arg("--attach").arg(mode).start().context(what.clone())?;
            let xdp = (mode != "tc").then_some(mode);
            let programs = attached::programs(&site.gateway, OUTSIDE)?;
            let count = programs.iter().filter(|program| *program == "xdp").count();
            ensure!(count == usize::from(xdp.is_some()), "{what}: {programs:?}");
            let iface = agent.status_json()?["interfaces"][0].clone();
            ensure!(iface["xdp"].as_str() == xdp && iface["note"] == "", "{what}: {iface:#}");
            // Each start counts on.
            far.send(&inbound(&Payload::esp(SPI, number, 64)).build())?;
            let flow = [("spi", "0x00001000"), ("known", "true")];
            let counted = agent.wait_metric("esp_spi_packets_total", &flow, number.into())?;
            assert_eq!(counted, u64::from(number), "{what}");
            assert_eq!(agent.stop()?, 0);
        }
    }
    Ok(())
}
