//! The files of `dist/examples` and what they ask the kernel for.

use crate::good;
use esp_agent::config::{self, Config, LintCode};
use esp_agent::xfrm::model::{Algo, Mode, PolicyDir};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/examples").join(name)
}

fn example(name: &str) -> Config {
    config::load(&path(name)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_lab_is_accepted_with_the_lints_that_it_earns() {
    let wanted: BTreeSet<LintCode> = [
        LintCode::InlineKey,
        LintCode::ReadableConfig,
        LintCode::SameSpi,
        LintCode::SameKey,
        LintCode::GuessableKey,
        LintCode::ShortIntegrityKey,
        LintCode::ShortIcv,
    ]
    .into();
    for name in ["lab-server-a.toml", "lab-server-b.toml", "lab-bonus-server-a.toml"] {
        // The mode of a checked-out file depends on the umask of whoever checked it out.
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join(name);
        std::fs::copy(path(name), &copy).unwrap();
        std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o644)).unwrap();
        let config = config::load(&copy).unwrap_or_else(|errors| panic!("{errors}"));
        let found: BTreeSet<LintCode> = config.lints.iter().map(|lint| lint.code).collect();
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn the_gateways_of_the_lab_mirror_each_other() {
    for name in ["lab-server-a.toml", "lab-bonus-server-a.toml"] {
        let (a, b) = (example(name), example("lab-server-b.toml"));
        let (a, b) = (a.desired(), b.desired());
        for (one, two) in a.sas.iter().zip(b.sas.iter().rev()) {
            let (one, two) = (&one.sa, &two.sa);
            assert_eq!((one.id, one.src, one.keys), (two.id, two.src, two.keys), "{name}");
            assert_eq!(one.suite, two.suite, "{name}");
        }
        assert_eq!((a.sas.len(), b.sas.len()), (2, 2));
    }
}

#[test]
fn the_lab_gets_the_algorithms_of_ip_xfrm() {
    let lab = example("lab-server-a.toml").desired();
    for keyed in &lab.sas {
        let suite = &keyed.sa.suite;
        assert_eq!(suite.enc, Some(Algo { name: "cbc(aes)".into(), key_bits: 128, icv_bits: 0 }));
        assert_eq!(suite.auth, Some(Algo { name: "hmac(sha256)".into(), key_bits: 128, icv_bits: 96 }));
        assert_eq!(keyed.sa.id.spi.number(), 0x6942_7567);
        assert_eq!(keyed.sa.keys, keyed.keys.print());
    }
}

/// Each policy as `dir src > dst proto via src > dst`.
fn policies(config: &Config) -> Vec<String> {
    let show = |named: &config::NamedPolicy| {
        let (id, template) = (&named.policy.id, named.policy.templates.first().expect("a template"));
        let dir = match id.dir {
            PolicyDir::In => "in",
            PolicyDir::Out => "out",
            PolicyDir::Fwd => "fwd",
        };
        let selector = id.selector;
        format!(
            "{} {dir} {}/{} > {}/{} proto {} via {} > {}",
            named.name,
            selector.src.addr,
            selector.src.len,
            selector.dst.addr,
            selector.dst.len,
            selector.proto,
            template.src,
            template.dst
        )
    };
    config.desired().policies.iter().map(show).collect()
}

#[test]
fn a_tunnel_gets_policies_in_all_directions() {
    let wanted = [
        "site-b/out out 192.168.1.0/24 > 192.168.2.0/24 proto 0 via 10.55.55.1 > 10.66.66.1",
        "site-b/in in 192.168.2.0/24 > 192.168.1.0/24 proto 0 via 10.66.66.1 > 10.55.55.1",
        "site-b/fwd fwd 192.168.2.0/24 > 192.168.1.0/24 proto 0 via 10.66.66.1 > 10.55.55.1",
    ];
    assert_eq!(policies(&example("lab-server-a.toml")), wanted);
}

#[test]
fn the_bonus_protects_ipip_between_the_hosts() {
    let bonus = example("lab-bonus-server-a.toml");
    let wanted = [
        "site-b/out out 10.55.55.1/32 > 10.66.66.1/32 proto 4 via 10.55.55.1 > 10.66.66.1",
        "site-b/in in 10.66.66.1/32 > 10.55.55.1/32 proto 4 via 10.66.66.1 > 10.55.55.1",
    ];
    assert_eq!(policies(&bonus), wanted);
    assert!(bonus.desired().sas.iter().all(|keyed| keyed.sa.mode == Mode::Transport));
}

#[test]
fn policies_find_their_sa() {
    for config in [good(), example("lab-server-a.toml"), example("lab-bonus-server-a.toml")] {
        let desired = config.desired();
        for named in &desired.policies {
            let template = named.policy.templates.first().expect("a template");
            let fits = desired.sas.iter().any(|keyed| {
                let sa = &keyed.sa;
                (sa.src, sa.id.dst, sa.reqid, sa.mode)
                    == (template.src, template.dst, template.reqid, template.mode)
            });
            assert!(fits, "{}", named.name);
        }
    }
}

#[test]
fn the_gateway_example_reads_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    // No credentials directory in a test: the keys of the second tunnel come from files too.
    let text = std::fs::read_to_string(path("gateway-gcm.toml")).unwrap();
    let text = text.replace("key_credential = \"", "key_file = \"keys/");
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    for (index, (name, bytes)) in
        [("site-b.in", 20), ("site-b.out", 20), ("site-c.in", 36), ("site-c.out", 36)].iter().enumerate()
    {
        let digits: String =
            (0..*bytes).map(|at| format!("{:02x}", (at * 37 + index * 91 + at * at * 11) % 256)).collect();
        let file = dir.path().join("keys").join(name);
        std::fs::write(&file, format!("{digits}\n")).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let file = dir.path().join("gateway-gcm.toml");
    std::fs::write(&file, text).unwrap();
    let config = config::load(&file).unwrap_or_else(|errors| panic!("{errors}"));
    let codes: BTreeSet<LintCode> = config.lints.iter().map(|lint| lint.code).collect();
    assert_eq!(codes, [LintCode::StaticNonce].into());
    let [b, c] = config.tunnels.as_slice() else { panic!("two tunnels") };
    assert_eq!((b.networks.len(), b.policies.len(), b.if_id), (2, 6, 0));
    assert_eq!((c.networks.len(), c.policies.len(), c.parts.len()), (2, 6, 5));
    let aead = b.sas.first().and_then(|keyed| keyed.sa.suite.aead.clone());
    assert_eq!(aead, Some(Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 160, icv_bits: 128 }));
    assert!(b.sas.iter().all(|keyed| keyed.sa.esn && keyed.sa.replay_window == 1024));
    assert_eq!(config.guard.as_raw(), [2, 2, 2, 2]);
}

#[test]
fn no_file_means_follow_and_observe() {
    let config = Config::default();
    assert_eq!(config.guard.as_raw(), [1, 1, 1, 1]);
    assert!(config.desired().sas.is_empty() && config.desired().policies.is_empty());
    let empty = crate::parse("").expect("an empty file is valid");
    assert_eq!(
        (empty.guard, empty.sizes, empty.mirror_interval),
        (config.guard, config.sizes, config.mirror_interval)
    );
}
