//! `cargo xtask demo`: the main job on the reference lab, here or in the VM.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::bail;

use crate::cargo::{cargo, executables, named, tidy};
use crate::setup::{Need, kernel};
use crate::vm::{self, Job};
use crate::{build_ebpf, command, esp_probe, setup, workspace};

/// Software emulation is some fifty times slower than the machine: the lab takes minutes there.
const LIMIT: Duration = Duration::from_secs(1200);

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    if !workspace::is_root() {
        bail!("the demo makes network namespaces and XFRM states: run it as root");
    }
    setup::ensure(&[Need::Ebpf, Need::Lab])?;
    build_ebpf::build()?;
    let built = executables(cargo("build").args(["--workspace", "--bins"]))?;
    let (lab, agent) = (named(&built, "esp-lab")?, named(&built, "esp-agent")?);
    let argv = [lab.path.as_os_str(), "demo".as_ref(), "--agent".as_ref(), agent.path.as_os_str()];
    match esp_probe::why_not() {
        None => {
            eprintln!("demo: on this machine, whose kernel has ESP, in network namespaces of its own");
            let mut demo = tidy(Command::new(argv[0]));
            Ok(command::exit_code(command::status(demo.args(&argv[1..]))?))
        }
        Some(reason) => {
            eprintln!("demo: in a VM, because this kernel has no ESP ({reason})");
            setup::ensure(&[Need::Vm(kernel::NEWEST)])?;
            let kernel = kernel::installed(kernel::NEWEST)?;
            let job = Job::new(&kernel, argv.map(Into::into).to_vec(), LIMIT);
            Ok(ExitCode::from(vm::boot(&job)?.code))
        }
    }
}
