//! What the kernel's errnos mean for SAs and policies, and the way out.

use crate::nl::NetlinkError;
use crate::xfrm::interface::Part;
use crate::xfrm::model::{AH, Algo, COMP, Sa, SaId};

const PERMISSION: &str = "CAP_NET_ADMIN is needed in this network namespace";

/// Of opening the socket.
pub(super) fn socket(error: NetlinkError) -> NetlinkError {
    let hint = match error.errno {
        libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT => {
            Some("the kernel has no XFRM: load module xfrm_user (CONFIG_XFRM_USER)".to_owned())
        }
        _ => common(error.errno),
    };
    error.explained(hint)
}

/// Of a dump.
pub(super) fn dump(error: NetlinkError) -> NetlinkError {
    let hint = common(error.errno);
    error.explained(hint)
}

/// Of adding an SA. The errnos are those of `xfrm_state_construct` and `__xfrm_init_state` (Linux 6.18).
pub(super) fn new_sa(error: NetlinkError, sa: &Sa) -> NetlinkError {
    let hint = match error.errno {
        libc::EPROTONOSUPPORT => Some(no_protocol(&sa.id)),
        libc::ENOSYS => Some(format!("the kernel lacks an algorithm: {}", modules(&lacking(&error, sa)))),
        libc::ENOENT => Some(format!("the kernel lacks a part of the transform: {}", modules(&all(sa)))),
        libc::EEXIST => Some("there is an SA with this destination, SPI, protocol and mark".to_owned()),
        errno => common(errno),
    };
    error.explained(hint)
}

/// Of adding or updating a policy.
pub(super) fn policy(error: NetlinkError) -> NetlinkError {
    let hint = match error.errno {
        libc::EEXIST => Some("there is a policy with this selector, direction, mark and if_id".to_owned()),
        errno => common(errno),
    };
    error.explained(hint)
}

/// Of deleting an SA or a policy.
pub(super) fn delete(error: NetlinkError) -> NetlinkError {
    let hint = match error.errno {
        libc::ESRCH | libc::ENOENT => Some("it is not there".to_owned()),
        errno => common(errno),
    };
    error.explained(hint)
}

/// Of an XFRM interface, an address or a route of it.
pub(super) fn part(error: NetlinkError, verb: &str, part: &Part) -> NetlinkError {
    let hint = match (error.errno, part) {
        (libc::EOPNOTSUPP, Part::Link(_)) => Some(
            "the kernel has no XFRM interfaces: load module xfrm_interface (CONFIG_XFRM_INTERFACE)"
                .to_owned(),
        ),
        (libc::EEXIST, Part::Link(link)) => Some(format!(
            "there is an interface of this name, or an XFRM interface with if_id {:#x}",
            link.if_id
        )),
        (libc::EEXIST, Part::Address { .. }) => Some("it has that address".to_owned()),
        (libc::EEXIST, Part::Route { .. }) => {
            Some("there is a route to it with this metric: delete that one or set `route_metric`".to_owned())
        }
        (libc::ENODEV, _) if verb != "delete" => Some("there is no such interface".to_owned()),
        (libc::ENETDOWN, _) => Some("the interface is down".to_owned()),
        (errno, _) => common(errno),
    };
    error.explained(hint)
}

fn common(errno: i32) -> Option<String> {
    match errno {
        libc::EPERM | libc::EACCES => Some(PERMISSION.to_owned()),
        libc::EAFNOSUPPORT => Some("the kernel has no IPv6 (CONFIG_IPV6)".to_owned()),
        _ => None,
    }
}

fn no_protocol(id: &SaId) -> String {
    let (name, part, option) = match id.proto {
        AH => ("AH", "ah", "AH"),
        COMP => ("IPComp", "ipcomp", "IPCOMP"),
        _ => ("ESP", "esp", "ESP"),
    };
    let (version, inet) = if id.dst.is_ipv4() { (4, "INET") } else { (6, "INET6") };
    // The module of IPComp over IPv4 has no number.
    let number = if (id.proto, version) == (COMP, 4) { String::new() } else { version.to_string() };
    format!("the kernel has no {name} for IPv{version}: load module {part}{number} (CONFIG_{inet}_{option})")
}

fn all(sa: &Sa) -> Vec<&Algo> {
    [&sa.suite.aead, &sa.suite.auth, &sa.suite.enc, &sa.suite.comp].into_iter().flatten().collect()
}

/// The algorithm that the kernel's text names (`attach_aead`, `attach_auth`, `attach_crypt`), or all of them.
fn lacking<'a>(error: &NetlinkError, sa: &'a Sa) -> Vec<&'a Algo> {
    let text = error.ext_ack.as_deref().unwrap_or_default();
    let kinds = [("AEAD", &sa.suite.aead), ("AUTH", &sa.suite.auth), ("CRYPT", &sa.suite.enc)];
    let named: Vec<&Algo> = kinds
        .into_iter()
        .filter(|(word, _)| text.contains(word))
        .filter_map(|(_, algo)| algo.as_ref())
        .collect();
    if named.is_empty() { all(sa) } else { named }
}

/// Such as `cbc(aes) (modprobe -a crypto-cbc crypto-aes crypto-authenc crypto-echainiv)`.
fn modules(algos: &[&Algo]) -> String {
    let each =
        algos.iter().map(|algo| format!("{} (modprobe -a {})", algo.name, aliases(&algo.name).join(" ")));
    each.collect::<Vec<_>>().join(" or ")
}

/// The aliases (`MODULE_ALIAS_CRYPTO`) that each kernel version gives its modules, whatever their file names are.
/// ESP joins cipher and hash by authenc and makes IVs by echainiv (CBC, CTR) or seqiv (GCM, CCM).
fn aliases(name: &str) -> Vec<String> {
    let joined: &[&str] = match name {
        _ if name.starts_with("cbc(") || name.starts_with("rfc3686(") => &["authenc", "echainiv"],
        _ if name.starts_with("rfc4") => &["seqiv"],
        _ => &[],
    };
    let parts = name.split(['(', ')', ',']).filter(|part| !part.is_empty());
    parts.chain(joined.iter().copied()).map(|part| format!("crypto-{part}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_cover_what_esp_adds() {
        let expected = ["crypto-cbc", "crypto-aes", "crypto-authenc", "crypto-echainiv"];
        assert_eq!(aliases("cbc(aes)"), expected);
        assert_eq!(
            aliases("rfc4106(gcm(aes))"),
            ["crypto-rfc4106", "crypto-gcm", "crypto-aes", "crypto-seqiv"]
        );
        let expected = ["crypto-rfc7539esp", "crypto-chacha20", "crypto-poly1305"];
        assert_eq!(aliases("rfc7539esp(chacha20,poly1305)"), expected);
    }
}
