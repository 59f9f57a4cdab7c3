//! No packet may belong to two tunnels.

use super::tunnel::PlacedTunnel;
use crate::config::report::Report;
use crate::xfrm::model::Net;
use esp_common::{Addr, Prefix};

/// Reports each tunnel whose networks overlap those of one before it.
pub(in crate::config) fn check(tunnels: &[PlacedTunnel], report: &Report) {
    for (index, tunnel) in tunnels.iter().enumerate() {
        for earlier in tunnels.iter().take(index) {
            check_pair(earlier, tunnel, report);
        }
    }
}

fn check_pair(one: &PlacedTunnel, two: &PlacedTunnel, report: &Report) {
    let (a, b) = (&one.tunnel, &two.tunnel);
    // Policies of different interfaces never meet (`__xfrm_policy_match_if_id` compares the if_id first).
    let protocols_meet = a.protocol == 0 || b.protocol == 0 || a.protocol == b.protocol;
    if a.if_id != b.if_id || !protocols_meet {
        return;
    }
    let pairs = a.networks.iter().flat_map(|x| b.networks.iter().map(move |y| (x, y)));
    let meeting = pairs.filter(|(x, y)| overlaps(x.0, y.0) && overlaps(x.1, y.1));
    for (x, y) in meeting {
        let same = x == y && a.protocol == b.protocol;
        if !same && one.has_priority && two.has_priority {
            continue;
        }
        let way_out = if same { "" } else { ", or give both tunnels a `priority` (the smaller wins)" };
        let (ours, theirs) = y;
        report.error(
            &two.nets_at,
            format_args!(
                "{}/{} to {}/{} overlaps tunnel `{}` (line {}): narrow one of them{way_out}",
                ours.addr, ours.len, theirs.addr, theirs.len, a.name, one.at.line
            ),
        );
        return;
    }
}

fn overlaps(one: Net, two: Net) -> bool {
    let contains =
        |outer: Net, inner: Net| Prefix::new(outer.addr, outer.len).contains(Addr::from(inner.addr));
    if one.len <= two.len { contains(one, two) } else { contains(two, one) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let net = |text: &str| {
            let net: ipnet::IpNet = text.parse().expect("a test network");
            Net { addr: net.addr(), len: net.prefix_len() }
        };
        for (one, two, wanted) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.2.0.0/16", false),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "2001:db8::/64", true),
        ] {
            assert_eq!(overlaps(net(one), net(two)), wanted, "{one} {two}");
        }
    }
}
