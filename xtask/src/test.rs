//! `cargo xtask test`: every test tier that this machine can open.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::cargo::{cargo, executables};
use crate::command::{self, Keep};
use crate::setup::kernel::{self, Line};
use crate::setup::{self, Need};
use crate::vm::{self, Accel, Job};
use crate::{build_ebpf, esp_probe, workspace};

mod program;
mod tally;
mod tier;

use program::Programs;
use tally::Tally;
use tier::{Outcome, Run, Tier};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this tier; may be given several times
    #[arg(long = "tier", value_name = "N")]
    tiers: Vec<Tier>,
    /// Seconds for all of tier 4 on one kernel
    #[arg(long, value_name = "SECONDS", default_value_t = 2400)]
    vm_timeout: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let asked = |tier: &Tier| args.tiers.is_empty() || args.tiers.contains(tier);
    let obstacle = prepare()?;
    let programs = Programs::build()?;
    let mut outcomes = Vec::new();
    if Tier::ALL.iter().any(|tier| tier.is_plain() && asked(tier)) {
        outcomes.push(plain(&programs)?);
    }
    for tier in Tier::ALL.into_iter().filter(|tier| !tier.is_plain() && asked(tier)) {
        let limit = Duration::from_secs(args.vm_timeout);
        outcomes.push(match (&obstacle, tier) {
            (None, _) if programs.count(tier) == 0 => closed(&programs, tier, "it has no tests"),
            (Some(reason), _) => closed(&programs, tier, reason),
            (None, Tier::Vm) => in_vms(&programs, limit)?,
            (None, Tier::Host | Tier::Golden | Tier::Kernel | Tier::Namespace) => here(&programs, tier)?,
        });
    }
    close(&outcomes)
}

/// Builds what the tests run: the object, the agent, the lab. Hands back what bars all tiers that touch a kernel.
fn prepare() -> anyhow::Result<Option<String>> {
    let obstacle = match setup::ensure(&[Need::Ebpf, Need::Lab, Need::Bench]) {
        Err(error) => Some(format!("{error:#}")),
        Ok(()) => {
            build_ebpf::build()?;
            (!workspace::is_root()).then(|| "it needs root".into())
        }
    };
    executables(cargo("build").args(["--workspace", "--bins"]))?;
    Ok(obstacle)
}

fn plain(programs: &Programs) -> anyhow::Result<Outcome> {
    let (status, output) = command::tee(cargo("test").args(["--workspace", "--no-fail-fast"]))?;
    let mut tally = Tally::of_run(&output, status.success());
    // What the plain run leaves to the other tiers is counted there.
    for tier in Tier::ALL.into_iter().filter(|tier| !tier.is_plain()) {
        tally.ignored = tally.ignored.saturating_sub(programs.count(tier));
    }
    Ok(Outcome { name: "T0 and T1", result: Run::Open { place: "on the host".into(), tally } })
}

fn here(programs: &Programs, tier: Tier) -> anyhow::Result<Outcome> {
    let tally = programs.run_here(tier)?;
    Ok(Outcome {
        name: name(tier),
        result: Run::Open { place: format!("on this kernel, {}", release()?), tally },
    })
}

/// Runs tier 4 on the oldest and the newest kernel; without VMs, on the running kernel if that has ESP.
fn in_vms(programs: &Programs, limit: Duration) -> anyhow::Result<Outcome> {
    let lines = [kernel::OLDEST, kernel::NEWEST];
    if let Err(error) = setup::ensure(&[Need::Ike, Need::Vm(lines[0]), Need::Vm(lines[1])]) {
        return match esp_probe::why_not() {
            None => here(programs, Tier::Vm),
            Some(reason) => {
                Ok(closed(programs, Tier::Vm, &format!("no ESP here ({reason}), and no VM: {error:#}")))
            }
        };
    }
    let mut sum = Tally::default();
    let mut places = Vec::new();
    // An emulated VM keeps one CPU busy.
    let runs = std::thread::scope(|scope| {
        let runs = lines.map(|line| scope.spawn(move || in_vm(programs, line, limit)));
        runs.map(|run| run.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread of a VM panicked"))))
    });
    for run in runs {
        let (place, tally) = run?;
        places.push(format!("{place} ({tally})"));
        sum += tally;
    }
    let place = format!("in VMs, {}, kernels {}", Accel::detect(), places.join(" and "));
    Ok(Outcome { name: name(Tier::Vm), result: Run::Open { place, tally: sum } })
}

fn in_vm(programs: &Programs, line: Line, limit: Duration) -> anyhow::Result<(String, Tally)> {
    let kernel = kernel::installed(line)?;
    let mut job = Job::new(&kernel, programs.script(Tier::Vm, line == kernel::NEWEST), limit);
    job.keep = Keep::All;
    job.label = format!("{}| ", line.name());
    let finished = vm::boot(&job)?;
    let tally = Tally::of_run(&finished.output, finished.code == 0);
    Ok((kernel.version.clone(), tally))
}

fn closed(programs: &Programs, tier: Tier, reason: &str) -> Outcome {
    Outcome { name: name(tier), result: Run::Closed { reason: reason.into(), tests: programs.count(tier) } }
}

fn name(tier: Tier) -> &'static str {
    match tier {
        Tier::Host | Tier::Golden => "T0 and T1",
        Tier::Kernel => "T2",
        Tier::Namespace => "T3",
        Tier::Vm => "T4",
    }
}

/// Prints the closing lines. Under CI=true a tier that was not opened is a failure.
fn close(outcomes: &[Outcome]) -> anyhow::Result<ExitCode> {
    let (mut sum, mut closed) = (Tally::default(), 0);
    let mut text = String::from("\n");
    for outcome in outcomes {
        text += &format!("{outcome}\n");
        match &outcome.result {
            Run::Open { tally, .. } => sum += *tally,
            Run::Closed { tests, .. } => {
                sum.ignored += tests;
                closed += 1;
            }
        }
    }
    let strict = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    if strict && closed > 0 {
        text += &format!("{closed} tiers were not opened, which is a failure under CI=true\n");
    }
    text += &format!("{sum}, {} skipped\n", sum.ignored);
    std::io::stdout().write_all(text.as_bytes()).context("failed to print the closing lines")?;
    let failed = sum.failed > 0 || (strict && closed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn release() -> anyhow::Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    Ok(release.context("failed to read the kernel's release")?.trim().into())
}
