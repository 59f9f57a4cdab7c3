//! `cargo xtask setup`: finds what is missing, installs exactly that.

use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::workspace;

pub(crate) mod apt;
mod daemon;
pub(crate) mod kernel;
mod mirror;
pub(crate) mod toolchain;
mod tools;

use daemon::Daemon;
use kernel::Line;
use tools::Tool;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install nothing: name what is missing and fail if anything is
    #[arg(long)]
    no_install: bool,
    /// Kernel line of a VM kernel to have besides the oldest and the newest
    #[arg(long, value_name = "LINE")]
    kernel: Option<Line>,
}

/// What a verb cannot work without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A rustc that builds core for BPF, and bpf-linker.
    Ebpf,
    /// A clippy that matches [`Need::Ebpf`], and cargo-deny.
    Lint,
    /// The programs that the lab and the tests call.
    Lab,
    /// The programs that the bench calls.
    Bench,
    /// The IKE daemons that tier 4 starts.
    Ike,
    /// qemu with its helpers, and one kernel.
    Vm(Line),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut needs = vec![
        Need::Ebpf,
        Need::Lint,
        Need::Lab,
        Need::Bench,
        Need::Ike,
        Need::Vm(kernel::OLDEST),
        Need::Vm(kernel::NEWEST),
    ];
    needs.extend(args.kernel.map(Need::Vm));
    let missing = missing(&needs);
    if missing.is_empty() {
        eprintln!("setup: everything is there");
    } else if args.no_install {
        refuse(&missing, "not installed, as asked")?;
    } else {
        install(&missing)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing of `needs`.
///
/// # Errors
/// Something is missing and cannot be installed; the text says what to install.
pub(crate) fn ensure(needs: &[Need]) -> anyhow::Result<()> {
    install(&missing(needs))
}

/// One thing to install.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Packages(Vec<&'static str>),
    Tool(Tool),
    Daemon(Daemon),
    Kernel(Line),
}

/// In the order in which they are to be installed: the tools are built and the kernels unpacked with packages.
fn missing(needs: &[Need]) -> Vec<Missing> {
    let mut packages = Vec::new();
    let mut others = Vec::new();
    for need in needs {
        match need {
            Need::Ebpf => {
                packages.extend(toolchain::missing_packages());
                if Tool::BpfLinker.is_missing() {
                    packages.extend(apt::missing(apt::LLVM));
                    others.push(Missing::Tool(Tool::BpfLinker));
                }
            }
            Need::Lint => {
                packages.extend(toolchain::missing_clippy());
                others.extend(Tool::CargoDeny.is_missing().then_some(Missing::Tool(Tool::CargoDeny)));
            }
            Need::Lab => {
                packages.extend(apt::missing(apt::LAB));
                others.extend(Tool::Prometheus.is_missing().then_some(Missing::Tool(Tool::Prometheus)));
            }
            Need::Bench => packages.extend(apt::missing(apt::BENCH)),
            Need::Ike => {
                let daemons = Daemon::ALL.into_iter().filter(|daemon| daemon.is_missing());
                others.extend(daemons.map(Missing::Daemon));
            }
            Need::Vm(line) => {
                packages.extend(apt::missing(apt::LAB).into_iter().chain(apt::missing(apt::VM)));
                others.extend(kernel::installed(*line).is_err().then_some(Missing::Kernel(*line)));
            }
        }
    }
    packages.sort_unstable();
    packages.dedup();
    let packages = (!packages.is_empty()).then_some(Missing::Packages(packages));
    packages.into_iter().chain(others).collect()
}

fn install(missing: &[Missing]) -> anyhow::Result<()> {
    let packages = missing.iter().any(|item| matches!(item, Missing::Packages(_)));
    if packages && !workspace::is_root() {
        return refuse(missing, "only root may install packages");
    }
    for item in missing {
        match item {
            Missing::Packages(names) => apt::install(names)?,
            Missing::Tool(tool) => tool.install()?,
            Missing::Daemon(daemon) => {
                daemon.unpack().with_context(|| format!("failed to unpack {}", daemon.describe()))?;
            }
            Missing::Kernel(line) => {
                kernel::fetch(*line).with_context(|| format!("failed to fetch the VM kernel {line}"))?;
            }
        }
    }
    Ok(())
}

fn refuse(missing: &[Missing], why: &str) -> anyhow::Result<()> {
    let list: Vec<_> = missing.iter().map(describe).collect();
    bail!("{why}; missing:\n  {}", list.join("\n  "));
}

fn describe(item: &Missing) -> String {
    match item {
        Missing::Packages(names) => format!("packages: apt-get install {}", names.join(" ")),
        Missing::Tool(tool) => tool.describe(),
        Missing::Daemon(daemon) => daemon.describe(),
        Missing::Kernel(line) => format!("VM kernel {line}: cargo xtask setup --kernel {line}"),
    }
}
