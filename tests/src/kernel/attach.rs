//! Puts the programs on an interface of this thread's namespace. They go with the [`Kernel`].

use super::Kernel;
use anyhow::{Context as _, Result};
use aya::programs::{
    SchedClassifier, Xdp, XdpMode,
    tc::{TcAttachType, qdisc_add_clsact},
};
use esp_common::names;

impl Kernel {
    /// The XDP program, in the driver.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(&mut self, iface: &str) -> Result<()> {
        self.attach_in(iface, XdpMode::Driver)
    }

    /// The XDP program, in the stack.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach_generic(&mut self, iface: &str) -> Result<()> {
        self.attach_in(iface, XdpMode::Skb)
    }

    /// The program of TC ingress.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach_tc(&mut self, iface: &str) -> Result<()> {
        // Where programs hang on the interface itself (Linux 6.6) it is idle.
        qdisc_add_clsact(iface).with_context(|| format!("failed to add clsact to {iface}"))?;
        let program = self.ebpf.program_mut(names::PROG_TC_IN).context("no such program")?;
        let program: &mut SchedClassifier = program.try_into()?;
        let attached = program.attach(iface, TcAttachType::Ingress);
        attached.map(drop).with_context(|| format!("failed to attach to {iface}"))
    }

    fn attach_in(&mut self, iface: &str, mode: XdpMode) -> Result<()> {
        let program: &mut Xdp =
            self.ebpf.program_mut(names::PROG_XDP).context("no such program")?.try_into()?;
        program.attach(iface, mode).map(drop).with_context(|| format!("failed to attach to {iface}"))
    }
}
