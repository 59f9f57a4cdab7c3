//! Every algorithm and option of `[[sa]]` and `[[policy]]`: read from a file, tried, installed by the agent's own code,
//! used by packets both ways, compared with the kernel's dump attribute by attribute, and taken away.

use anyhow::{Context, Result, anyhow, ensure};
use aya::util::KernelVersion;
use esp_agent::{
    apply::apply,
    config::{self, Config, Desired},
    failure::Failure,
    install::install,
    instance::Instance,
    plan::{Observed, plan, teardown},
    record::Record,
    xfrm::{
        Xfrm as _,
        model::{AH, COMP, ESP, Sa, SaStart},
        netlink::Netlink,
    },
};
use esp_tests::{
    lab::ping,
    link::{End, veth},
    netns::Netns,
    run,
};
use nix::net::if_::if_nametoindex;
use std::{cell::RefCell, fmt::Write as _, net::IpAddr, path::Path};

const PINGS: u32 = 1;
const OUTER: [&str; 2] = ["10.55.55.1", "10.55.55.2"];
const OUTER6: [&str; 2] = ["fd00:55::1", "fd00:55::2"];
const INNER: [&str; 2] = ["192.168.1.1", "192.168.2.1"];

/// A transform: its lines, and the bytes of each key.
type Transform = (&'static str, &'static [(&'static str, usize)]);

const GCM: Transform = ("aead = \"rfc4106(gcm(aes))\"", &[("key", 20)]);
const CBC: Transform = (
    "encryption = \"cbc(aes)\"\nintegrity = \"hmac(sha256)\"",
    &[("encryption_key", 16), ("integrity_key", 32)],
);

#[test]
#[ignore = "T4: root, ESP"]
fn every_combined_algorithm_carries_packets_in_both_modes() -> Result<()> {
    let names: [(&str, &[usize], &[u32]); 4] = [
        ("rfc4106(gcm(aes))", &[20, 28, 36], &[64, 96, 128]),
        ("rfc4543(gcm(aes))", &[20, 28, 36], &[128]),
        ("rfc4309(ccm(aes))", &[19, 27, 35], &[64, 96, 128]),
        ("rfc7539esp(chacha20,poly1305)", &[36], &[128]),
    ];
    let pair = Pair::new()?;
    for (name, keys, icvs) in names {
        // Each key length and each ICV once, not each with each.
        for (index, key) in keys.iter().enumerate() {
            let icv = icvs[index % icvs.len()];
            // The mode does not see the key's length.
            let modes: &[&str] = if index == 0 { &["tunnel", "transport"] } else { &["tunnel"] };
            for mode in modes {
                let lines = format!("aead = \"{name}\"\nicv = {icv}");
                pair.carries(&Case { mode, ..Case::new(&lines, &[("key", *key)]) });
            }
        }
    }
    pair.verdict()
}

#[test]
#[ignore = "T4: root, ESP"]
fn every_cipher_and_every_hash_carry_packets_in_both_modes() -> Result<()> {
    let ciphers = [("cbc(aes)", 16), ("cbc(aes)", 24), ("cbc(aes)", 32), ("ecb(cipher_null)", 0)];
    let counters = [("rfc3686(ctr(aes))", 20), ("rfc3686(ctr(aes))", 28), ("rfc3686(ctr(aes))", 36)];
    let hashes = [
        ("hmac(sha1)", 20),
        ("sha256", 32),
        ("hmac(sha256)", 32),
        ("hmac(sha384)", 48),
        ("hmac(sha512)", 64),
        ("xcbc(aes)", 16),
        ("cmac(aes)", 16),
    ];
    let pair = Pair::new()?;
    let all = ciphers.into_iter().chain(counters);
    // Each cipher meets a hash, and each hash a cipher.
    for ((cipher, cipher_key), (hash, hash_key)) in all.zip(hashes) {
        for mode in ["tunnel", "transport"] {
            let lines = format!("encryption = \"{cipher}\"\nintegrity = \"{hash}\"");
            let mut keys = vec![("integrity_key", hash_key)];
            keys.extend((cipher_key > 0).then_some(("encryption_key", cipher_key)));
            pair.carries(&Case { mode, ..Case::new(&lines, &keys) });
        }
    }
    pair.verdict()
}

#[test]
#[ignore = "T4: root, ESP"]
fn the_other_modes_and_protocols_carry_packets() -> Result<()> {
    let pair = Pair::new()?;
    pair.carries(&Case { mode: "beet", ..Case::of(GCM) });
    pair.carries(&Case { mode: "beet", ..Case::of(CBC) });
    for mode in ["tunnel", "transport"] {
        pair.carries(&Case { mode, outer: OUTER6, ..Case::of(GCM) });
        let ah = ("integrity = \"hmac(sha256)\"", &[("integrity_key", 32)][..]);
        pair.carries(&Case { mode, proto: ("ah", AH), ..Case::of(ah) });
        pair.carries(&Case { mode, proto: ("comp", COMP), ..Case::of(("compression = \"deflate\"", &[])) });
    }
    pair.verdict()
}

#[test]
#[ignore = "T4: root, ESP"]
fn every_option_carries_packets() -> Result<()> {
    let pair = Pair::new()?;
    for options in [
        "replay_window = 0",
        "replay_window = 32",
        "replay_window = 4096",
        "esn = true\nreplay_window = 4096",
        "esn = true\nsequence = { sent = 0x4_0000_0005, received = 0x4_0000_0005 }",
        "sequence = { sent = 9, received = 9 }",
        "flags = [\"noecn\", \"decap-dscp\", \"nopmtudisc\", \"icmp\", \"af-unspec\", \"align4\"]",
        "flags = [\"dont-encap-dscp\", \"oseq-may-wrap\"]",
        "tfc_pad = 600",
        "output_mark = { value = 0x11, mask = 0xff }",
        "output_mark = { value = 0x11 }",
        "lifetime = { soft_time = \"50m\", hard_time = \"1h\", soft_use_time = \"40m\", hard_use_time = \"50m\", \
         soft_bytes = \"1GiB\", hard_bytes = \"2GiB\", soft_packets = 1000, hard_packets = 2000 }",
    ] {
        pair.carries(&Case { options: [options; 2], ..Case::of(GCM) });
    }
    let selector =
        |src, dst| format!("selector = {{ src = \"{src}/32\", dst = \"{dst}/32\", protocol = \"icmp\" }}");
    let selectors = [selector(INNER[0], INNER[1]), selector(INNER[1], INNER[0])];
    // Of what goes to A, of what goes to B.
    let options = [selectors[1].as_str(), selectors[0].as_str()];
    pair.carries(&Case { options, ..Case::of(GCM) });
    pair.verdict()
}

#[test]
#[ignore = "T4: root, ESP"]
fn what_needs_more_than_a_ping_is_installed_as_it_is_asked_for() -> Result<()> {
    let pair = Pair::new()?;
    for options in [
        "mark = { value = 5, mask = 0xff }",
        "if_id = 42",
        "encap = { sport = 4500, dport = 1024 }",
        // Such an SA is for what comes in (`xfrm_state_find`).
        "flags = [\"wildrecv\"]",
    ] {
        pair.holds(&Case { options: [options; 2], ..Case::of(GCM) });
    }
    pair.verdict()
}

#[test]
#[ignore = "T4: root, ESP"]
fn what_a_kernel_is_too_old_for_is_named_and_nothing_is_changed() -> Result<()> {
    let pair = Pair::new()?;
    let cases = [
        ("direction", (6, 10), "direction = \"out\"", "direction = \"in\""),
        ("nat_keepalive", (6, 11), "direction = \"out\"\nencap = {}\nnat_keepalive = \"20s\"", "encap = {}"),
        ("cpu", (6, 13), "direction = \"out\"\ncpu = 0", "direction = \"in\"\ncpu = 0"),
    ];
    for (name, (major, minor), out, inbound) in cases {
        let case = Case { options: [inbound, out], ..Case::of(GCM) };
        if KernelVersion::current()? >= KernelVersion::new(major, minor, 0) {
            pair.hosts[0].run_in(|| installed(&case, 0).and_then(taken_away)).context(name)?;
            continue;
        }
        pair.hosts[0].run_in(|| {
            let (_, outcome) = attempt(&case, 0)?;
            let Err(Failure::Lacks(text)) = outcome else {
                return Err(anyhow!("{name} was not missed: {outcome:?}"));
            };
            // A later option needs the earlier one on its SA, which may be what is missed first.
            ensure!(text.contains("`direction`") || text.contains(&format!("`{name}`")), "{text}");
            let left = Observed::of(&mut Netlink::open()?)?;
            ensure!(left.sas.is_empty() && left.policies.is_empty(), "{left:#?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn an_update_keeps_the_sequence_numbers() -> Result<()> {
    let pair = Pair::new()?;
    pair.hosts[0].run_in(|| {
        let case = Case { options: ["sequence = { sent = 9, received = 0 }"; 2], ..Case::of(GCM) };
        let (config, record) = installed(&case, 0)?;
        let mut xfrm = Netlink::open()?;
        let keyed = config.desired().sas.remove(0);
        let mut changed = keyed.sa.clone();
        changed.limits.hard_packets = Some(77);
        changed.output_mark.value = 3;
        changed.output_mark.mask = 0xf;
        xfrm.update_sa(&changed, &keyed.keys)?;
        let seen = xfrm.sa(&changed.id)?.context("the SA is gone")?;
        let expected = Sa { start: SaStart::default(), ..changed.clone() };
        ensure!(seen.sa == expected && seen.now.oseq == 9, "{expected:#?}\nbut it is {seen:#?}");
        ensure!(xfrm.policies()?.len() == 2);
        taken_away((config, record))?;
        ensure!(xfrm.sa(&changed.id)?.is_none() && xfrm.update_sa(&changed, &keyed.keys).is_err());
        Ok(())
    })
}

/// Two hosts with a cable, and an address behind each.
struct Pair {
    hosts: [Netns; 2],
    /// What went wrong so far: a run says all of it.
    wrong: RefCell<Vec<String>>,
}

struct Case<'a> {
    lines: String,
    keys: Vec<(&'a str, usize)>,
    mode: &'a str,
    proto: (&'a str, u8),
    outer: [&'a str; 2],
    /// Of the SA to A, of the SA to B.
    options: [&'a str; 2],
}

impl<'a> Case<'a> {
    fn new(lines: &str, keys: &[(&'a str, usize)]) -> Self {
        let (lines, keys) = (lines.to_owned(), keys.to_vec());
        Self { lines, keys, mode: "tunnel", proto: ("esp", ESP), outer: OUTER, options: [""; 2] }
    }

    fn of((lines, keys): (&str, &[(&'a str, usize)])) -> Self {
        Self::new(lines, keys)
    }

    /// What the policies select.
    fn inner(&self) -> [&'a str; 2] {
        if self.mode == "transport" { self.outer } else { INNER }
    }

    fn text(&self, at: usize) -> Result<String> {
        let mut text = String::new();
        for to in 0..2 {
            let (from, inner) = (1 - to, self.inner());
            writeln!(
                text,
                "[[sa]]\nsrc = \"{}\"\ndst = \"{}\"\nspi = {}\nprotocol = \"{}\"\nmode = \"{}\"\nreqid = 7\n{}\n{}",
                self.outer[from],
                self.outer[to],
                0x1001 + to,
                self.proto.0,
                self.mode,
                self.lines,
                self.options[to]
            )?;
            for (index, (name, bytes)) in self.keys.iter().enumerate() {
                let seed = 1 + to * 91 + index * 37;
                let key: String =
                    (0..*bytes).map(|at| format!("{:02x}", (at * at * 11 + at * 37 + seed) % 251)).collect();
                writeln!(text, "{name} = \"{key}\"")?;
            }
            // BEET takes the inner addresses from the SA.
            if self.mode == "beet" {
                writeln!(text, "selector = {{ src = \"{}\", dst = \"{}\" }}", inner[from], inner[to])?;
            }
        }
        for to in 0..2 {
            let (from, inner, dir) = (1 - to, self.inner(), if to == at { "in" } else { "out" });
            writeln!(
                text,
                "[[policy]]\ndir = \"{dir}\"\nsrc = \"{}\"\ndst = \"{}\"\n[[policy.template]]\nprotocol = \"{}\"\nmode = \"{}\"\nsrc = \"{}\"\ndst = \"{}\"\nreqid = 7",
                inner[from], inner[to], self.proto.0, self.mode, self.outer[from], self.outer[to]
            )?;
        }
        Ok(text)
    }
}

impl Pair {
    fn new() -> Result<Self> {
        let hosts = [Netns::new("a")?, Netns::new("b")?];
        let addrs = |at: usize| -> Result<[(IpAddr, u8); 2]> {
            Ok([(OUTER[at].parse()?, 24), (OUTER6[at].parse()?, 64)])
        };
        let (a, b) = (addrs(0)?, addrs(1)?);
        veth(End::new(&hosts[0], "eth5", &a), End::new(&hosts[1], "eth5", &b))?;
        for (at, host) in hosts.iter().enumerate() {
            host.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
            host.sysctl("net/ipv4/conf/default/rp_filter", "0")?;
            host.ip(&format!("address add {}/32 dev lo", INNER[at]))?;
            host.ip(&format!("route add {} via {} src {}", INNER[1 - at], OUTER[1 - at], INNER[at]))?;
        }
        Ok(Self { hosts, wrong: RefCell::default() })
    }

    /// Installs on both hosts, sends packets, and takes all away.
    fn carries(&self, case: &Case<'_>) {
        self.with(case, || {
            let to: IpAddr = case.inner()[1].parse()?;
            if case.proto.1 == COMP {
                // IPComp leaves small packets as they are (RFC 3173 section 2.2).
                let mut large = self.hosts[0].command("ping");
                run::text(
                    large
                        .args(["-n", "-q", "-i", "0.1", "-W", "2", "-s", "1000", "-c"])
                        .args([PINGS.to_string(), to.to_string()]),
                )?;
            } else {
                let pinged = ping(&self.hosts[0], to, PINGS)?;
                ensure!(pinged.complete(), "{pinged}");
            }
            for host in &self.hosts {
                let sas = host.run_in(|| Ok(Netlink::open()?.sas()?))?;
                let ours = sas.iter().filter(|seen| seen.sa.id.proto == case.proto.1);
                let counts: Vec<u64> = ours.map(|seen| seen.packets).collect();
                ensure!(counts == [u64::from(PINGS); 2], "{counts:?} packets on {}", host.name());
            }
            Ok(())
        });
    }

    /// Installs on both hosts and takes all away.
    fn holds(&self, case: &Case<'_>) {
        self.with(case, || Ok(()));
    }

    fn with(&self, case: &Case<'_>, work: impl FnOnce() -> Result<()>) {
        let whole = || -> Result<()> {
            let [a, b] = [0, 1].map(|at| self.hosts[at].run_in(|| installed(case, at)));
            let there = [a?, b?];
            work()?;
            for (host, there) in self.hosts.iter().zip(there) {
                host.run_in(|| taken_away(there))?;
            }
            Ok(())
        };
        if let Err(error) = whole() {
            let Case { mode, proto, lines, options, .. } = case;
            let text = format!("{} {mode} {lines} {options:?}: {error:#}; {}", proto.0, self.counters());
            self.wrong.borrow_mut().push(text);
            // The next case starts from nothing again.
            for host in &self.hosts {
                drop((host.ip("xfrm state flush"), host.ip("xfrm policy flush")));
            }
        }
    }

    fn verdict(&self) -> Result<()> {
        let wrong = self.wrong.borrow();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    }

    fn counters(&self) -> String {
        let read =
            |host: &Netns| host.run_in(|| Ok(std::fs::read_to_string("/proc/thread-self/net/xfrm_stat")?));
        let moved = |text: String| {
            text.lines().filter(|line| !line.ends_with("\t0")).map(str::to_owned).collect::<Vec<_>>()
        };
        format!("{:?}", self.hosts.each_ref().map(|host| read(host).map(moved)))
    }
}

type Installed = (Config, Record);

fn attempt(case: &Case<'_>, at: usize) -> Result<(Installed, Result<Observed, Failure>)> {
    let mut config = config::parse(&case.text(at)?, Path::new(""), "options.toml")?;
    config.find_devices(|name| if_nametoindex(name).ok())?;
    let instance = Instance::detect(None)?;
    std::fs::create_dir_all(&instance.state_dir)?;
    let mut record = Record::of(&instance)?;
    let outcome = install(&config, &mut Netlink::open()?, &mut record);
    Ok(((config, record), outcome))
}

/// Installs, and compares what the kernel has with what was asked for.
fn installed(case: &Case<'_>, at: usize) -> Result<Installed> {
    let (mut there, outcome) = attempt(case, at)?;
    let observed = outcome.map_err(|failure| anyhow!("{failure}"))?;
    let desired = there.0.desired();
    compared(&desired, &observed)?;
    let owned = there.1.reconcile(&observed);
    let again = plan(&desired, &observed, &owned).map_err(|conflicts| anyhow!("{conflicts:?}"))?;
    ensure!(again.is_empty() && again.notes.is_empty(), "a second run would change: {again}");
    Ok(there)
}

fn compared(desired: &Desired, observed: &Observed) -> Result<()> {
    for keyed in &desired.sas {
        let seen = observed.sas.iter().find(|seen| seen.sa.id == keyed.sa.id).context("an SA is missing")?;
        // Where numbers begin is seen in where they are.
        let expected = Sa { start: SaStart::default(), ..keyed.sa.clone() };
        ensure!(seen.sa == expected, "asked for {expected:#?}\nbut the kernel has {:#?}", seen.sa);
        ensure!(seen.now == keyed.sa.start && !seen.larval, "{:?} is not {:?}", seen.now, keyed.sa.start);
    }
    for named in &desired.policies {
        let seen = observed.policies.iter().find(|seen| seen.policy.id == named.policy.id);
        let seen = seen.context("a policy is missing")?;
        ensure!(
            seen.policy == named.policy,
            "asked for {:#?}\nbut the kernel has {:#?}",
            named.policy,
            seen.policy
        );
    }
    Ok(())
}

/// Takes away what is ours; nothing may be left.
fn taken_away((_, mut record): Installed) -> Result<()> {
    let mut xfrm = Netlink::open()?;
    let observed = Observed::of(&mut xfrm)?;
    let plan = teardown(&mut record, &observed);
    let nothing = Desired::default();
    apply(&plan, &nothing, &mut xfrm, &mut record).map_err(|error| anyhow!("{error}"))?;
    let left = Observed::of(&mut xfrm)?;
    // The SA that IPComp in tunnel mode makes for itself goes with it.
    ensure!(left.sas.is_empty() && left.policies.is_empty(), "{left:#?}");
    Ok(())
}
