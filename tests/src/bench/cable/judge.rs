//! What receives on a cable, and who can tell what it dropped.

use super::{
    filter,
    means::{FEW, Means},
};
use crate::{
    bench::{
        least::{self, Least},
        table,
    },
    kernel::{Constants, Kernel},
    netns::Netns,
};
use anyhow::Result;
use esp_agent::config::Sizes;
use esp_common::{Action, Hook, Reason};

/// One of them, for as long as it is there.
pub(super) enum Judge {
    Stack,
    Iptables,
    Nft,
    Ours(Box<Kernel>, Hook),
    #[expect(dead_code, reason = "it is attached for as long as it is here")]
    Least(Least),
}

impl Judge {
    /// Puts a means on an interface.
    ///
    /// # Errors
    /// It is not to be had here.
    pub(super) fn put(means: Means, netns: &Netns, iface: &str) -> Result<Self> {
        let ours = |constants, sas| -> Result<Kernel> {
            let mut kernel = Kernel::sized(constants, &Sizes { sas, ..Sizes::default() })?;
            netns.run_in(|| table::arm(&mut kernel))?;
            table::sas(&mut kernel, sas)?;
            Ok(kernel)
        };
        Ok(match means {
            Means::Stack => Self::Stack,
            Means::Iptables(rules) => filter::iptables(netns, rules).map(|()| Self::Iptables)?,
            Means::Nft(spis) => filter::nft(netns, iface, spis).map(|()| Self::Nft)?,
            Means::Tc => {
                let mut kernel = ours(Constants { outer_at_tc: true, ..Constants::default() }, FEW)?;
                netns.run_in(|| kernel.attach_tc(iface))?;
                Self::Ours(Box::new(kernel), Hook::TcIngress)
            }
            Means::Generic => {
                let mut kernel = ours(Constants::default(), FEW)?;
                netns.run_in(|| kernel.attach_generic(iface))?;
                Self::Ours(Box::new(kernel), Hook::Xdp)
            }
            Means::Native(sas) => {
                let mut kernel = ours(Constants::default(), sas)?;
                netns.run_in(|| kernel.attach(iface))?;
                Self::Ours(Box::new(kernel), Hook::Xdp)
            }
            Means::Empty | Means::Pass => {
                let mut least = Least::load()?;
                let name = if means == Means::Pass { least::PASS } else { least::DROP };
                netns.run_in(|| least.attach(name, iface))?;
                Self::Least(least)
            }
        })
    }

    /// How many were dropped for their SPI, where it can tell.
    ///
    /// # Errors
    /// It does not tell although it can.
    pub(super) fn dropped(&self, netns: &Netns) -> Result<Option<u64>> {
        match self {
            Self::Stack | Self::Least(_) => Ok(None),
            Self::Iptables => filter::dropped_by_iptables(netns).map(Some),
            Self::Nft => filter::dropped_by_nft(netns).map(Some),
            Self::Ours(kernel, hook) => {
                kernel.reason(*hook, Reason::UnknownSpi, Action::Drop).map(|counter| Some(counter.packets))
            }
        }
    }
}
