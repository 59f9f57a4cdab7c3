//! One boot of a VM.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use super::accel::Accel;
use super::share::Share;
use super::{Job, initramfs};
use crate::command::{Guarded, joined, pump};

/// What became of a boot.
pub(super) enum Boot {
    /// The command ended with this status; its output if it was to be kept.
    Ended { code: u8, output: String },
    /// The limit came first.
    TimedOut { output: String },
    /// The VM ended by itself without a status; `started` if the command had begun.
    Died { started: bool, log: String, output: String },
}

const KERNEL_ARGS: &str =
    "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr audit=0";

/// Boots and waits. All that belongs to the boot lies in a temporary directory.
pub(super) fn boot(job: &Job, accel: Accel, deadline: Instant) -> anyhow::Result<Boot> {
    let work = tempfile::Builder::new()
        .prefix("esp-vm.")
        .tempdir()
        .context("failed to make a temporary directory")?;
    let work = work.path();
    let initrd = initramfs::build(job)?;
    fs::write(work.join("initrd"), initrd).context("failed to write the initramfs")?;
    let shares = [Share::start("root", Path::new("/"), work)?, Share::start("rw", &job.rw, work)?];
    let mut qemu = qemu(job, accel, work, &shares);
    // The guest's output port is the standard output: a pipe ends when qemu does.
    let (from_guest, to_us) = std::io::pipe().context("failed to make a pipe")?;
    let log = File::create(work.join("qemu.log")).context("failed to make the log of qemu")?;
    qemu.stdin(Stdio::null()).stdout(to_us).stderr(log);
    let mut child = Guarded::spawn(&mut qemu)?;
    drop(qemu);
    let output = pump(from_guest, job.keep, &job.label);
    let status = child.wait_until(deadline)?;
    drop(child);
    let output = joined(output)?;
    let serial = read(&work.join("serial"));
    if let Ok(code) = read(&work.join("rc")).trim().parse() {
        return Ok(Boot::Ended { code, output });
    }
    match status {
        None => Ok(Boot::TimedOut { output }),
        Some(status) => Ok(Boot::Died {
            output,
            started: serial.contains("vm: up"),
            log: format!("{serial}\n{}qemu: {status}", read(&work.join("qemu.log"))),
        }),
    }
}

fn qemu(job: &Job, accel: Accel, work: &Path, shares: &[Share]) -> Command {
    let in_work = |name: &str| work.join(name).display().to_string();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-machine",
        "q35",
        "-smp",
        "2",
    ]);
    qemu.args(accel.qemu_args());
    // virtiofsd reads and writes the guest's memory.
    qemu.arg("-object").arg(format!("memory-backend-memfd,id=mem,size={}M,share=on", job.memory_mib));
    qemu.args(["-numa", "node,memdev=mem", "-m"]).arg(job.memory_mib.to_string());
    qemu.arg("-kernel").arg(job.kernel.image()).arg("-initrd").arg(work.join("initrd"));
    qemu.args(["-append", KERNEL_ARGS, "-serial"]).arg(format!("file:{}", in_work("serial")));
    qemu.args(["-device", "virtio-serial-pci", "-device", "virtio-rng-pci"]);
    for (port, file) in [("out", "/dev/stdout".to_string()), ("rc", in_work("rc"))] {
        qemu.arg("-chardev").arg(format!("file,id={port},path={file}"));
        qemu.arg("-device").arg(format!("virtserialport,chardev={port},name={port}"));
    }
    for Share { socket, tag, .. } in shares {
        qemu.arg("-chardev").arg(format!("socket,id={tag},path={}", socket.display()));
        qemu.arg("-device").arg(format!("vhost-user-fs-pci,chardev={tag},tag={tag}"));
    }
    qemu
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
