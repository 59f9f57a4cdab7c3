//! Recorded traffic through the programs in the running kernel: the counts for each SPI are exact.

use anyhow::{Context as _, Result};
use esp_common::{Action, Hook, Reason, SeenKey, Spi};
use esp_tests::{
    kernel::{Constants, Kernel},
    pcap,
    recorded::{self, Recorded},
    world::{World, addr},
};

#[test]
#[ignore = "T2: root, bpf"]
fn captures_count_as_recorded() -> Result<()> {
    for recorded in &recorded::ALL {
        let mut kernel = Kernel::load(Constants::default())?;
        kernel.tell(&World::lab())?;
        replay(&kernel, recorded, Reason::EspForeign, Hook::TcEgress)?;
        let known = recorded.flows.iter().fold(World::lab(), |world, (dst, spi, _)| world.sa(dst, *spi));
        kernel.tell(&known)?;
        replay(&kernel, recorded, Reason::EspKnown, Hook::Xdp)?;
    }
    Ok(())
}

fn replay(kernel: &Kernel, recorded: &Recorded, esp: Reason, hook: Hook) -> Result<()> {
    for frame in pcap::capture(recorded.name)? {
        assert_eq!(kernel.verdict(hook, &frame)?, Action::Pass);
    }
    let direction = u8::from(hook == Hook::TcEgress);
    let flows = kernel.flows(esp == Reason::EspKnown)?;
    assert_eq!(flows.len(), recorded.flows.len(), "{}", recorded.name);
    for (dst, spi, counter) in recorded.flows {
        let key = SeenKey { dst: addr(dst), spi: Spi::new(*spi), direction, pad: 0, iface: 0 };
        assert_eq!(flows.get(&key).context("the flow")?.counter, *counter, "{}", recorded.name);
        assert_eq!(kernel.reason(hook, esp, Action::Pass)?, *counter, "{}: one flow each", recorded.name);
    }
    for (reason, counter) in recorded.others {
        assert_eq!(kernel.reason(hook, *reason, Action::Pass)?, *counter, "{}", recorded.name);
    }
    let reasons = kernel.reasons()?.into_iter().filter(|(at, ..)| *at == hook).count();
    assert_eq!(reasons, recorded.others.len() + 1, "{}", recorded.name);
    Ok(())
}
