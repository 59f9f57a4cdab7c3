//! The default policy: set from a file, kept over restarts, and put back to what it was before.

use anyhow::{Result, anyhow, ensure};
use esp_agent::{
    apply::apply,
    config::{self, Config, Desired},
    install::install,
    instance::Instance,
    plan::{Observed, plan, teardown},
    record::Record,
    xfrm::{Xfrm as _, netlink::Netlink},
};
use esp_tests::netns::Netns;
use std::path::Path;

#[test]
#[ignore = "T3: root, namespaces"]
fn it_is_set_kept_and_put_back() -> Result<()> {
    let host = Netns::new("gateway")?;
    let seen = || host.ip("xfrm policy getdefault").map(|text| text.split_whitespace().collect::<String>());
    // Another program's decision, which is to come back.
    host.ip("xfrm policy setdefault in block")?;
    let before = seen()?;
    ensure!(before == "Defaultpolicies:in:blockfwd:acceptout:accept", "{before}");

    host.run_in(|| installed("[default_policy]\nfwd = \"block\"\n"))?;
    let set = seen()?;
    ensure!(set == "Defaultpolicies:in:acceptfwd:blockout:accept", "{set}");
    host.run_in(|| installed("[default_policy]\nfwd = \"block\"\nout = \"block\"\n"))?;
    let changed = seen()?;
    ensure!(changed == "Defaultpolicies:in:acceptfwd:blockout:block", "{changed}");
    host.run_in(taken_away)?;
    let back = seen()?;
    ensure!(back == before, "{back}");

    host.run_in(|| installed("[default_policy]\nin = \"accept\"\n"))?;
    // A file without the table gives it back too.
    host.run_in(|| installed(""))?;
    let back = seen()?;
    ensure!(back == before, "{back}");
    // What somebody else decides meanwhile is not ours to undo.
    host.run_in(|| installed("[default_policy]\nfwd = \"block\"\n"))?;
    host.ip("xfrm policy setdefault in block fwd block out block")?;
    let theirs = seen()?;
    host.run_in(taken_away)?;
    let left = seen()?;
    ensure!(left == theirs, "{left}");
    Ok(())
}

/// Each call is an agent of its own: it knows what the record says.
fn record() -> Result<Record> {
    let instance = Instance::detect(None)?;
    std::fs::create_dir_all(&instance.state_dir)?;
    Ok(Record::of(&instance)?)
}

fn installed(text: &str) -> Result<()> {
    let config: Config = config::parse(text, Path::new(""), "site.toml")?;
    let (mut xfrm, mut record) = (Netlink::open()?, record()?);
    let observed = install(&config, &mut xfrm, &mut record).map_err(|failure| anyhow!("{failure}"))?;
    let owned = record.reconcile(&observed);
    let again = plan(&config.desired(), &observed, &owned).map_err(|conflicts| anyhow!("{conflicts:?}"))?;
    ensure!(again.is_empty(), "a second run would change: {again}");
    if let Some(wanted) = config.default_policy {
        ensure!(xfrm.default_policy()? == Some(wanted), "{:?}", xfrm.default_policy()?);
    }
    Ok(())
}

fn taken_away() -> Result<()> {
    let (mut xfrm, mut record) = (Netlink::open()?, record()?);
    let plan = teardown(&mut record, &Observed::of(&mut xfrm)?);
    apply(&plan, &Desired::default(), &mut xfrm, &mut record).map_err(|error| anyhow!("{error}"))?;
    Ok(())
}
