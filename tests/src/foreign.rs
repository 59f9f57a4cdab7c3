//! Programs of someone else on an interface: our own object, attached past the agent.

use crate::netns::Netns;
use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode, tc::TcAttachOptions},
};
use esp_common::names;
use nix::net::if_::if_nametoindex;

/// They stay until this is dropped.
pub struct Foreigner {
    ebpf: Ebpf,
}

impl Foreigner {
    /// Loads the object, its maps apart from those of any agent.
    ///
    /// # Errors
    /// The object was not built, or the kernel refuses it.
    pub fn load() -> Result<Self> {
        let ebpf = EbpfLoader::new().load(esp_agent::datapath::object::bytes()?);
        Ok(Self { ebpf: ebpf.context("failed to load the object")? })
    }

    /// Attaches an XDP program in the generic path and gives its id.
    ///
    /// # Errors
    /// The kernel's.
    pub fn xdp(&mut self, netns: &Netns, iface: &str) -> Result<u32> {
        let program: &mut Xdp =
            self.ebpf.program_mut(names::PROG_EMPTY).context("no such program")?.try_into()?;
        program.load()?;
        netns.run_in(|| {
            program.attach_to_if_index(if_nametoindex(iface)?, XdpMode::Skb)?;
            Ok(program.info()?.id())
        })
    }

    /// Attaches a TCX program to the ingress and gives its id.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tcx(&mut self, netns: &Netns, iface: &str) -> Result<u32> {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(names::PROG_TC_IN).context("no such program")?.try_into()?;
        program.load()?;
        netns.run_in(|| {
            let order = TcAttachOptions::TcxOrder(LinkOrder::default());
            program.attach_with_options(iface, TcAttachType::Ingress, order)?;
            Ok(program.info()?.id())
        })
    }
}
