//! SAs with keys against a kernel that has ESP: what comes back is what was sent.

use anyhow::{Context, Result, ensure};
use aya::util::KernelVersion;
use esp_agent::{
    secret::Secret,
    xfrm::{
        Xfrm as _,
        model::{
            Algo, ESP, Encap, Limits, Mark, Mode, Net, ObservedSa, Port, Sa, SaDir, SaId, SaKeys, SaStart,
            Selector, Suite,
        },
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
        ("cbc, 96 bits", cbc("hmac(sha256)", 16, 96, 16)),
        ("cbc-256, 128 bits", cbc("hmac(sha256)", 32, 128, 32)),
        ("sha384", cbc("hmac(sha384)", 48, 192, 24)),
        ("sha512", cbc("hmac(sha512)", 64, 256, 32)),
        ("sha1", cbc("hmac(sha1)", 20, 96, 16)),
        ("xcbc", cbc("xcbc(aes)", 16, 96, 16)),
        ("cmac", cbc("cmac(aes)", 16, 96, 16)),
        ("ctr-128", separate("hmac(sha256)", 32, 128, "rfc3686(ctr(aes))", 20)),
        ("ctr-256", separate("hmac(sha256)", 32, 128, "rfc3686(ctr(aes))", 36)),
        ("null", separate("hmac(sha256)", 32, 128, "ecb(cipher_null)", 0)),
        ("gmac-128", aead("rfc4543(gcm(aes))", 20, 128)),
        ("gmac-192", aead("rfc4543(gcm(aes))", 28, 128)),
        ("gmac-256", aead("rfc4543(gcm(aes))", 36, 128)),
        ("ccm-128", aead("rfc4309(ccm(aes))", 19, 128)),
        ("ccm-192, 96 bits", aead("rfc4309(ccm(aes))", 27, 96)),
        ("ccm-256, 64 bits", aead("rfc4309(ccm(aes))", 35, 64)),
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
        ("beet mode", with(|sa| (sa.mode, sa.selector) = (Mode::Beet, Some(selector())))),
        ("an output mark", with(|sa| sa.output_mark = Mark { value: 0x11, mask: 0xff })),
        ("an output mark of all bits", with(|sa| sa.output_mark = Mark { value: 0x11, mask: u32::MAX })),
        ("TFC padding", with(|sa| sa.tfc_pad = 600)),
        // noecn to align4 but af-unspec, which has its own row; icmp is for policies' sake and stays.
        ("every flag", with(|sa| sa.flags = 1 | 2 | 4 | 8 | 16 | 64)),
        ("every extra flag", with(|sa| sa.extra_flags = 1 | 2)),
    ])
}

/// A restarted gateway goes on where it was: neither numbers nor nonces come twice.
#[test]
#[ignore = "T4: root, ESP"]
fn sequence_numbers_go_on_where_they_were() -> Result<()> {
    let starts = [
        (0, false, SaStart { oseq: 0x8000_0000, seq: 0 }),
        (32, false, SaStart { oseq: 7, seq: 70 }),
        (512, false, SaStart { oseq: 0xffff_0000, seq: 9 }),
        (512, true, SaStart { oseq: 0x5_ffff_ffff, seq: 0x4_0000_0001 }),
    ];
    for (window, esn, start) in starts {
        let (mut sa, keys) = aead("rfc4106(gcm(aes))", 20, 128);
        (sa.replay_window, sa.esn, sa.start) = (window, esn, start);
        let back = round_trip(&sa, &keys)?.now;
        ensure!(back == start, "window {window}, esn {esn}: {start:?} came back as {back:?}");
    }
    Ok(())
}

/// Older kernels skip what they do not know: NAT keepalives are of Linux 6.11, the CPU of 6.13.
#[test]
#[ignore = "T4: root, ESP"]
fn what_is_newer_comes_back_where_the_kernel_knows_it() -> Result<()> {
    let now = KernelVersion::current()?;
    let (mut sa, keys) = aead("rfc4106(gcm(aes))", 20, 128);
    // A CPU needs a direction too (`verify_newsa_info`).
    (sa.dir, sa.pcpu) = (Some(SaDir::In), Some(1));
    let back = round_trip(&sa, &keys)?.sa.pcpu;
    ensure!(back == sa.pcpu.filter(|_| now >= KernelVersion::new(6, 13, 0)), "cpu came back as {back:?}");
    let (mut sa, keys) = aead("rfc4106(gcm(aes))", 20, 128);
    // The kernel sends keepalives only from an outbound SA in UDP (`verify_newsa_info`).
    (sa.dir, sa.replay_window, sa.encap, sa.nat_keepalive_s) = (Some(SaDir::Out), 0, Some(encap()), 20);
    let back = round_trip(&sa, &keys)?.sa.nat_keepalive_s;
    let wanted = if now >= KernelVersion::new(6, 11, 0) { 20 } else { 0 };
    ensure!(back == wanted, "the keepalive came back as {back} s");
    Ok(())
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
        let back = round_trip(&sa, &keys)?.sa;
        ensure!(back.dir == sa.dir.filter(|_| known), "{dir:?} came back as {:?}", back.dir);
    }
    Ok(())
}

fn round_trips<const N: usize>(cases: [(&'static str, (Sa, SaKeys)); N]) -> Result<()> {
    for (name, (sa, keys)) in cases {
        let back = round_trip(&sa, &keys).context(name)?.sa;
        ensure!(
            back.same_as(&sa) && back.keys == sa.keys,
            "{name}: sent {sa:#?}\nbut the kernel has {back:#?}"
        );
    }
    Ok(())
}

/// Adds the SA in a namespace of its own and reads it back; then it must be refused as a twin, and go.
fn round_trip(sa: &Sa, keys: &SaKeys) -> Result<ObservedSa> {
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
        Ok(observed.remove(0))
    })
}

fn cbc(auth: &str, auth_bytes: usize, icv_bits: u32, enc_bytes: usize) -> (Sa, SaKeys) {
    separate(auth, auth_bytes, icv_bits, "cbc(aes)", enc_bytes)
}

fn separate(auth: &str, auth_bytes: usize, icv_bits: u32, enc: &str, enc_bytes: usize) -> (Sa, SaKeys) {
    let suite = Suite {
        auth: Some(algo(auth, auth_bytes, icv_bits)),
        enc: Some(algo(enc, enc_bytes, 0)),
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
