//! Real SAs are the agent's own after a kill at every request that it makes to the kernel.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::PATIENCE,
    lab::{Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, xfrm_objects},
    run,
    traced::{Traced, killed},
};
use tempfile::NamedTempFile;

const FOREIGN_SA: &str = "src 10.55.55.1 dst 10.66.66.1 proto esp spi 0xabcdef mode tunnel";
const FOREIGN_KEYS: &str =
    "auth sha256 0x11111111111111111111111111111111 enc aes 0x22222222222222222222222222222222";
/// More requests than lie before the first policy.
const ENOUGH: usize = 40;

#[test]
#[ignore = "T4: root, ESP, strace"]
fn a_kill_at_every_request_leaves_no_sa_that_is_not_known() -> Result<()> {
    let lab = Lab::new()?;
    lab.server_a.ip(&format!("xfrm state add {FOREIGN_SA} {FOREIGN_KEYS}"))?;
    let foreign = xfrm_objects(&lab.server_a)?;
    let text = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?.config(Side::A, "");
    let a = Gateway::new(&lab, Side::A, &text)?;
    let config = NamedTempFile::new()?;
    std::fs::write(config.path(), &text)?;
    let mut sas = [false; 3];
    for number in 1..=ENOUGH {
        let when = format!("killed at request {number}");
        let injection = format!("sendto:signal=SIGKILL:when={number}");
        let mut agent = Traced::run(&a.netns, a.iface, config.path(), &injection)?;
        let status = agent.wait(PATIENCE, || false)?.context("it lives on")?;
        killed(status, &agent.log()).context(when.clone())?;
        let (there, policies) = count(&a)?;
        sas[there - 1] = true;
        if (there, policies) == (1, 0) {
            continue;
        }
        let plan = a.plan()?;
        // What fits into the tunnel is always said; nothing else is.
        let notes = plan["notes"].as_array().context("no notes")?;
        ensure!(notes.iter().all(|note| note["kind"] == "mtu"), "{when}: {plan:#}");
        run::text(a.binary.command(&a.netns).arg("detach")).context(when.clone())?;
        ensure!(xfrm_objects(&a.netns)? == foreign, "{when}: {}", xfrm_objects(&a.netns)?);
        if policies > 0 {
            ensure!(sas == [true; 3], "{when}: not every SA was killed at: {sas:?}");
            return Ok(());
        }
    }
    anyhow::bail!("no kill fell behind the first policy")
}

/// SAs, that of the stranger with them, and policies.
fn count(gateway: &Gateway) -> Result<(usize, usize)> {
    let objects = xfrm_objects(&gateway.netns)?;
    Ok((objects.matches("proto esp spi ").count(), objects.matches("dir ").count()))
}
