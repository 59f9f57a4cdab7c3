//! The XFRM interface of a `[[tunnel]]` as it was typed.

use super::tunnel::{RawNets, read_nets};
use crate::config::report::Located;
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::Net;

/// `interface`, and what hangs on it.
pub(in crate::config) struct RawInterface {
    pub(in crate::config) name: Located<String>,
    pub(in crate::config) addresses: Vec<Located<Net>>,
    pub(in crate::config) routes: Option<RawNets>,
    pub(in crate::config) metric: u32,
    pub(in crate::config) mtu: Option<Located<u32>>,
}

impl RawInterface {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.text("interface", scalar::interface);
        let addresses = section.texts("address", scalar::interface_addr);
        let routes = read_nets(section, "route");
        let metric = scalar::located32(section, "route_metric", 0);
        let mtu = section.number("mtu", MTU_MIN..=MTU_MAX);
        let mtu = mtu.map(|mtu| mtu.map(|mtu| u32::try_from(mtu).unwrap_or(u32::MAX)));
        if !section.has("interface") {
            for key in ["address", "route", "route_metric", "mtu"].into_iter().filter(|key| section.has(key))
            {
                section.report.error(&section.place(key), "needs `interface`");
            }
        }
        Some(Self {
            name: name?,
            addresses: addresses.map(|all| all.value).unwrap_or_default().into_iter().flatten().collect(),
            routes,
            metric: metric.map_or(0, |metric| metric.value),
            mtu,
        })
    }
}

/// What IPv4 needs (RFC 791 section 3.2).
const MTU_MIN: u64 = 68;
/// The longest IP packet.
const MTU_MAX: u64 = 65535;
