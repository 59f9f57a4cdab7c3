//! Beside GRO of ESP (esp4_offload), which decrypts between XDP and TC ingress: each packet is counted once and judged
//! once, whichever hook looks at the outside.

use anyhow::{Result, ensure};
use esp_tests::{
    agent::PATIENCE,
    capture::Kind,
    lab::{CLIENT_A, CLIENT_B, ENFORCE, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping},
    run,
    wait::until_ok,
};
use std::process::Command;

const PINGS: u32 = 5;

/// A module of the kernel, unloaded with this: it changes where ESP is made for all that comes after.
struct Module(&'static str);

impl Module {
    fn load(name: &'static str) -> Result<Self> {
        run::text(Command::new("modprobe").arg(name))?;
        Ok(Self(name))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // The SAs of a namespace go some time after it.
        let unload = || run::text(Command::new("modprobe").args(["-r", self.0]));
        if let Err(error) = until_ok(PATIENCE, "the module to be unloaded", unload) {
            eprintln!("failed to unload {}: {error:#}", self.0);
        }
    }
}

#[test]
#[ignore = "T4: root, ESP, on the newest kernel"]
fn each_packet_is_counted_once_beside_gro_of_esp() -> Result<()> {
    // Goes after the lab, whose SAs hold it.
    let _module = Module::load("esp4_offload")?;
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    tunnel.by_hand(&lab.server_b, Side::B)?;
    let all = 2 * u64::from(PINGS);
    for (args, hook) in [(&[][..], "xdp"), (&["--attach=tc"], "tc_ingress")] {
        let mut a = Gateway::new(&lab, Side::A, &format!("{ENFORCE}{}", tunnel.config(Side::A, "")))?;
        a.start_with(args)?;
        run::text(a.netns.command("ethtool").args(["-K", "eth5", "gro", "on"]))?;
        router.take()?;
        for (from, to) in [(&lab.client_a, CLIENT_B[0]), (&lab.client_b, CLIENT_A[0])] {
            let pings = ping(from, to, PINGS)?;
            ensure!(pings.complete(), "{pings} to {to}");
        }
        let seen = router.take()?;
        let wire = seen.count(Kind::Esp(tunnel.outer.server(Side::A), tunnel.spi(Side::A)));
        let counted = a.packets([("in", tunnel.spi(Side::A)), ("out", tunnel.spi(Side::B))])?;
        ensure!(wire == all && counted == [all; 2], "{args:?}: {wire} seen, {counted:?} counted");
        ensure!(a.reason(hook, "esp_known")? == [all, 0], "{args:?}: {:?}", a.reason(hook, "esp_known")?);
        let decrypted = a.reason("tc_ingress", "decrypted")?;
        ensure!(decrypted == [all, 0], "{args:?}: {decrypted:?} decrypted");
        // GRO has taken what XDP passed: the encrypted packet does not come to TC.
        let judged = a.reason("tc_ingress", "esp_judged")?;
        ensure!(judged == [0, 0], "{args:?}: {judged:?} at TC");
        ensure!(a.agent()?.metric("esp_guard_hits_total", &[])? == 0, "{args:?}: a guard hit");
        ensure!(a.take_agent()?.stop()? == 0);
        run::text(a.binary.command(&a.netns).arg("detach"))?;
    }
    Ok(())
}
