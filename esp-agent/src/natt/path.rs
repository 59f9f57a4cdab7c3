//! Between which ends encapsulated ESP goes.

use crate::config::Config;
use crate::xfrm::model::{Encap, Sa, SaDir};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Two ends, and how often a keepalive goes from the local to the remote one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's, as it is seen from here.
    pub remote: SocketAddr,
    /// `None` for no keepalives: nobody wants them, or the kernel sends them.
    pub keepalive: Option<Duration>,
}

/// The paths of a configuration. Which end of a raw SA without a direction is ours, `locals` says.
#[must_use]
pub fn paths(config: &Config, locals: &BTreeSet<IpAddr>) -> BTreeSet<Path> {
    let of_tunnels = config.tunnels.iter().flat_map(|tunnel| {
        tunnel.sas.iter().filter_map(|keyed| {
            let ours = keyed.sa.src == tunnel.local;
            path(&keyed.sa, ours, tunnel.keepalive)
        })
    });
    let raw = config.sas.iter().filter_map(|keyed| path(&keyed.sa, sends(&keyed.sa, locals)?, None));
    of_tunnels.chain(raw).collect()
}

fn path(sa: &Sa, sends: bool, keepalive: Option<Duration>) -> Option<Path> {
    let Encap { sport, dport, .. } = sa.encap?;
    let (src, dst) = (SocketAddr::new(sa.src, sport), SocketAddr::new(sa.id.dst, dport));
    let (local, remote) = if sends { (src, dst) } else { (dst, src) };
    Some(Path { local, remote, keepalive })
}

fn sends(sa: &Sa, locals: &BTreeSet<IpAddr>) -> Option<bool> {
    match sa.dir {
        Some(SaDir::Out) => Some(true),
        Some(SaDir::In) => Some(false),
        None if locals.contains(&sa.src) => Some(true),
        None if locals.contains(&sa.id.dst) => Some(false),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const SA: &str = "[[sa]]\nsrc = \"10.55.55.1\"\ndst = \"10.66.66.1\"\nspi = 0x1001\nmode = \"tunnel\"\n\
                      encap = { sport = 4501, dport = 4502 }\nencryption = \"ecb(cipher_null)\"\nintegrity = \"hmac(sha256)\"\n\
                      integrity_key = \"a9d0431c58e7b2660f84c13d92fe075b6a1e38cdf749b0250e86d75aa31c9b42\"\n";

    fn found(text: &str, locals: &[&str]) -> Vec<Path> {
        let config =
            parse(text, std::path::Path::new(""), "site.toml").unwrap_or_else(|errors| panic!("{errors}"));
        paths(&config, &locals.iter().map(|addr| addr.parse().unwrap()).collect()).into_iter().collect()
    }

    fn path(local: &str, remote: &str) -> Path {
        Path { local: local.parse().unwrap(), remote: remote.parse().unwrap(), keepalive: None }
    }

    #[test]
    fn the_end_of_an_sa_that_is_ours_is_where_it_says_or_where_our_addresses_are() {
        let out = path("10.55.55.1:4501", "10.66.66.1:4502");
        let inbound = path("10.66.66.1:4502", "10.55.55.1:4501");
        assert_eq!(found(SA, &["10.55.55.1"]), std::slice::from_ref(&out));
        assert_eq!(found(SA, &["10.66.66.1"]), std::slice::from_ref(&inbound));
        assert_eq!(found(SA, &[]), []);
        assert_eq!(found(&format!("{SA}direction = \"out\"\n"), &[]), [out]);
        assert_eq!(found(&format!("{SA}direction = \"in\"\n"), &[]), [inbound]);
    }
}
