//! SAs with keys against a kernel that has ESP: what comes back is what was sent.

use anyhow::{Context, Result, ensure};
use aya::util::KernelVersion;
use esp_agent::{
    secret::Secret,
    xfrm::{
        Xfrm as _,
        model::{Algo, ESP, Encap, Limits, Mark, Mode, Net, Port, Sa, SaDir, SaId, SaKeys, Selector, Suite},
        netlink::Netlink,
    },
};
use esp_common::Spi;
use esp_tests::netns::Netns;

#[test]
#[ignore = "T4: root, ESP"]
fn every_transform_comes_back_as_it_was_sent() -> Result<()> {
    let gcm = |bytes: usize, icv| aead("rfc4106(gcm(aes))", bytes, icv);
    round_trips([
        ("cbc, 96 bits", separate("hmac(sha256)", 16, 96, 16)),
        ("cbc-256, 128 bits", separate("hmac(sha256)", 32, 128, 32)),
        ("sha384", separate("hmac(sha384)", 48, 192, 24)),
        ("sha512", separate("hmac(sha512)", 64, 256, 32)),
        ("gcm-128", gcm(20, 128)),
        ("gcm-192, 96 bits", gcm(28, 96)),
        ("gcm-256, 64 bits", gcm(36, 64)),
        ("chacha", aead("rfc7539esp(chacha20,poly1305)", 36, 128)),
    ])
}

#[test]
#[ignore = "T4: root, ESP"]
fn every_attribute_comes_back_as_it_was_sent() -> Result<()> {
    let with = |change: fn(&mut Sa)| {
        let (mut sa, keys) = aead("rfc4106(gcm(aes))", 20, 128);
        change(&mut sa);
        (sa, keys)
    };
    round_trips([
        ("IPv6 ends", with(|sa| (sa.src, sa.id.dst) = (addr("fd00:55::1"), addr("fd00:66::1")))),
        ("transport mode", with(|sa| sa.mode = Mode::Transport)),
        ("no replay check", with(|sa| sa.replay_window = 0)),
        ("a window beyond 32", with(|sa| sa.replay_window = 4096)),
        ("esn", with(|sa| (sa.esn, sa.replay_window) = (true, 128))),
        ("any inner family", with(|sa| sa.flags = 32)),
        ("a mark", with(|sa| sa.id.mark = Mark { value: 5, mask: 0xff })),
        ("an XFRM interface", with(|sa| sa.if_id = 42)),
        ("a selector", with(|sa| sa.selector = Some(selector()))),
        ("ESP in UDP", with(|sa| sa.encap = Some(encap()))),
        ("limits", with(|sa| sa.limits = limits())),
    ])
}

/// `XFRMA_SA_DIR` is of Linux 6.10; older kernels skip it.
#[test]
#[ignore = "T4: root, ESP"]
fn the_direction_comes_back_where_the_kernel_knows_it() -> Result<()> {
    let known = KernelVersion::current()? >= KernelVersion::new(6, 10, 0);
    for dir in [SaDir::In, SaDir::Out] {
        let (mut sa, keys) = aead("rfc4106(gcm(aes))", 20, 128);
        // The kernel refuses a window for what is sent.
        sa.replay_window = if dir == SaDir::In { 32 } else { 0 };
        sa.dir = Some(dir);
        let back = round_trip(&sa, &keys)?;
        ensure!(back.dir == sa.dir.filter(|_| known), "{dir:?} came back as {:?}", back.dir);
    }
    Ok(())
}

fn round_trips<const N: usize>(cases: [(&'static str, (Sa, SaKeys)); N]) -> Result<()> {
    for (name, (sa, keys)) in cases {
        let back = round_trip(&sa, &keys).context(name)?;
        ensure!(
            back.same_as(&sa) && back.keys == sa.keys,
            "{name}: sent {sa:#?}\nbut the kernel has {back:#?}"
        );
    }
    Ok(())
}

/// Adds the SA in a namespace of its own and reads it back; then it must be refused as a twin, and go.
fn round_trip(sa: &Sa, keys: &SaKeys) -> Result<Sa> {
    Netns::new("gateway")?.run_in(|| {
        let mut xfrm = Netlink::open()?;
        xfrm.add_sa(sa, keys)?;
        let mut observed = xfrm.sas()?;
        ensure!(observed.len() == 1 && !observed[0].larval, "{observed:#?}");
        let twin = xfrm.add_sa(sa, keys).err().context("a second SA of the same name was taken")?;
        ensure!(twin.already_exists(), "{twin:?}");
        xfrm.delete_sa(&sa.id)?;
        let left = xfrm.sas()?;
        ensure!(left.is_empty(), "{left:#?}");
        Ok(observed.remove(0).sa)
    })
}

fn separate(auth: &str, auth_bytes: usize, icv_bits: u32, enc_bytes: usize) -> (Sa, SaKeys) {
    let suite = Suite {
        auth: Some(algo(auth, auth_bytes, icv_bits)),
        enc: Some(algo("cbc(aes)", enc_bytes, 0)),
        ..Suite::default()
    };
    let key = |bytes, byte| Some(Secret::new(vec![byte; bytes]));
    sa(suite, SaKeys { aead: None, auth: key(auth_bytes, 1), enc: key(enc_bytes, 2) })
}

fn aead(name: &str, bytes: usize, icv_bits: u32) -> (Sa, SaKeys) {
    let suite = Suite { aead: Some(algo(name, bytes, icv_bits)), ..Suite::default() };
    sa(suite, SaKeys { aead: Some(Secret::new(vec![3; bytes])), ..SaKeys::default() })
}

fn algo(name: &str, bytes: usize, icv_bits: u32) -> Algo {
    Algo { name: name.into(), key_bits: u32::try_from(8 * bytes).unwrap_or(u32::MAX), icv_bits }
}

fn sa(suite: Suite, keys: SaKeys) -> (Sa, SaKeys) {
    let sa = Sa {
        reqid: 5,
        suite,
        keys: keys.print(),
        replay_window: 32,
        ..Sa::bare(
            SaId { dst: addr("10.66.66.1"), spi: Spi::new(0x1000), proto: ESP, mark: Mark::default() },
            addr("10.55.55.1"),
            Mode::Tunnel,
        )
    };
    (sa, keys)
}

fn selector() -> Selector {
    let net = |text, len| Net { addr: addr(text), len };
    let port = Port { port: 443, mask: 0xffff };
    Selector {
        src: net("192.168.1.0", 24),
        dst: net("192.168.2.0", 24),
        proto: 6,
        sport: Port::default(),
        dport: port,
        ifindex: 0,
    }
}

fn encap() -> Encap {
    Encap { kind: 2, sport: 4500, dport: 4500, original: None }
}

fn limits() -> Limits {
    Limits {
        soft_bytes: Some(1 << 30),
        hard_bytes: Some(1 << 31),
        soft_packets: Some(1000),
        hard_packets: Some(2000),
        soft_add_s: Some(3000),
        hard_add_s: Some(3600),
        ..Limits::default()
    }
}

fn addr(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}
