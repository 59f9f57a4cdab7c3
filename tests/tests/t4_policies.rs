//! Each option of `[[policy]]` under packets between two hosts with SAs in transport mode: which of them become ESP, which
//! stay clear, which are dropped. The agent of server-a has the policies; what server-b sends is always ESP, and it takes
//! either.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    capture::{Capture, Kind, Seen},
    lab::{Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, batch, moved, xfrm_stat},
    netns::Netns,
    run,
};
use std::net::UdpSocket;

const PINGS: u64 = 2;
const PORT: u16 = 7777;
const TEMPLATE: &str = "template = [{ mode = \"transport\" }]";

/// What becomes of the packets of server-a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Esp,
    Clear,
    Gone,
}

/// What server-a sends: `ping` with arguments, or a datagram to a port.
#[derive(Clone, Copy, Debug)]
enum Packets {
    Pings(&'static [&'static str]),
    Datagram(u16),
}

const PING: Packets = Packets::Pings(&[]);

#[test]
#[ignore = "T4: root, ESP"]
fn each_option_of_a_policy_decides_about_packets() -> Result<()> {
    let stage = Stage::new()?;
    let (block, large) = ("action = \"block\"", Packets::Pings(&["-s", "1000"]));
    let compressed = "template = [{ protocol = \"comp\", mode = \"transport\" }, { mode = \"transport\" }]";
    let no_sa = |level| format!("template = [{{ mode = \"transport\", reqid = 99, level = \"{level}\" }}]");
    let either = format!("template = [{}, {}]", template(99, "use"), template(0, "required"));
    for (what, policies, packets, fate) in [
        ("all", vec![TEMPLATE.to_owned()], PING, Fate::Esp),
        ("another protocol", vec![format!("protocol = \"udp\"\n{TEMPLATE}")], PING, Fate::Clear),
        ("its type", vec![icmp(8)], PING, Fate::Esp),
        ("another type", vec![icmp(13)], PING, Fate::Clear),
        ("its port", vec![port(PORT)], Packets::Datagram(PORT), Fate::Esp),
        ("another port", vec![port(PORT)], Packets::Datagram(PORT + 1), Fate::Clear),
        ("its mark", vec![mark()], Packets::Pings(&["-m", "7"]), Fate::Esp),
        ("no mark", vec![mark()], PING, Fate::Clear),
        ("its interface", vec![format!("interface = \"eth5\"\n{TEMPLATE}")], PING, Fate::Esp),
        ("another interface", vec![format!("interface = \"eth1\"\n{TEMPLATE}")], PING, Fate::Clear),
        ("blocked", vec![block.to_owned()], PING, Fate::Gone),
        ("a bypass ahead", vec![prior(20, TEMPLATE), prior(10, "protocol = \"icmp\"")], PING, Fate::Clear),
        ("a bypass behind", vec![prior(10, TEMPLATE), prior(20, "protocol = \"icmp\"")], PING, Fate::Esp),
        ("an SA that may be missing", vec![no_sa("use")], PING, Fate::Clear),
        ("an SA that must be there", vec![no_sa("required")], PING, Fate::Gone),
        ("one that may be missing and one that is there", vec![either], PING, Fate::Esp),
        ("compressed, then encrypted", vec![compressed.to_owned()], large, Fate::Esp),
        ("with limits and flags", vec![limited()], PING, Fate::Esp),
    ] {
        stage.decides(&policies, packets, fate).with_context(|| what.to_owned())?;
    }
    stage.demands_protection()
}

fn template(reqid: u32, level: &str) -> String {
    format!("{{ mode = \"transport\", reqid = {reqid}, level = \"{level}\" }}")
}

fn icmp(kind: u8) -> String {
    format!("protocol = \"icmp\"\nicmp_type = {kind}\n{TEMPLATE}")
}

fn port(port: u16) -> String {
    format!("protocol = \"udp\"\ndport = {port}\n{TEMPLATE}")
}

fn mark() -> String {
    format!("mark = {{ value = 7, mask = 0xff }}\n{TEMPLATE}")
}

fn prior(priority: u32, rest: &str) -> String {
    format!("priority = {priority}\n{rest}")
}

fn limited() -> String {
    format!(
        "flags = [\"localok\", \"icmp\"]\nlifetime = {{ hard_time = \"1h\", hard_packets = 1000 }}\n{TEMPLATE}"
    )
}

struct Stage {
    lab: Lab,
    router: Capture,
    tunnel: Tunnel,
    a: Gateway,
}

impl Stage {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Transport)?;
        let states = Side::BOTH.map(|to| tunnel.state(to)).join("\n");
        let compression: Vec<String> = [
            ("10.55.55.1", "10.66.66.1", 0x1001),
            ("10.66.66.1", "10.55.55.1", 0x1002),
        ]
        .map(|(src, dst, spi)| {
            format!("xfrm state add src {src} dst {dst} proto comp spi {spi:#x} mode transport comp deflate")
        })
        .into();
        for netns in [&lab.server_a, &lab.server_b] {
            batch(netns, &format!("{states}\n{}", compression.join("\n")))?;
        }
        for (dir, src, dst) in [("out", "10.66.66.1", "10.55.55.1"), ("in", "10.55.55.1", "10.66.66.1")] {
            let template = "tmpl proto esp mode transport level use";
            lab.server_b.ip(&format!("xfrm policy add src {src} dst {dst} dir {dir} {template}"))?;
        }
        let mut a = Gateway::new(&lab, Side::A, "")?;
        a.start()?;
        let router = lab.watch_router()?;
        Ok(Self { lab, router, tunnel, a })
    }

    /// Has the agent take these policies for what goes to server-b, and sends.
    fn decides(&self, policies: &[String], packets: Packets, fate: Fate) -> Result<()> {
        let text = |rest: &String| {
            format!("[[policy]]\ndir = \"out\"\nsrc = \"10.55.55.1/32\"\ndst = \"10.66.66.1/32\"\n{rest}\n")
        };
        self.a.reload(&policies.iter().map(text).collect::<String>())?;
        // The kernel has what the file says, attribute by attribute.
        ensure!(self.a.plan()?["empty"] == true, "{:#}", self.a.plan()?);
        self.router.take()?;
        let sent = self.send(packets)?;
        let seen = self.router.take()?;
        let esp = seen.count(Kind::Esp(self.tunnel.outer.server(Side::B), self.tunnel.spi(Side::B)));
        let clear = seen.0.iter().filter(|frame| frame.iface == "eth5" && plain(frame)).count() as u64;
        let wanted = match fate {
            Fate::Esp => (sent, 0),
            Fate::Clear => (0, sent),
            Fate::Gone => (0, 0),
        };
        ensure!((esp, clear) == wanted, "{esp} as ESP, {clear} clear, not {fate:?}: {seen}");
        Ok(())
    }

    fn send(&self, packets: Packets) -> Result<u64> {
        match packets {
            Packets::Pings(more) => {
                let mut command = self.lab.server_a.command("ping");
                command.args(["-n", "-q", "-i", "0.1", "-W", "1", "-c", &PINGS.to_string()]);
                run::output(command.args(more).arg("10.66.66.1"))?;
                Ok(PINGS)
            }
            Packets::Datagram(port) => self.lab.server_a.run_in(|| {
                UdpSocket::bind("10.55.55.1:0")?.send_to(b"esp-agent", ("10.66.66.1", port))?;
                Ok(1)
            }),
        }
    }

    /// `in`: what comes as ESP passes, what comes in the clear is dropped by the kernel.
    fn demands_protection(&self) -> Result<()> {
        self.a.reload(&format!(
            "[[policy]]\ndir = \"in\"\nsrc = \"10.66.66.1/32\"\ndst = \"10.55.55.1/32\"\nprotocol = \"icmp\"\n{TEMPLATE}\n"
        ))?;
        let lost = |netns: &Netns| -> Result<bool> {
            let mut command = netns.command("ping");
            let output = run::output(command.args(["-n", "-q", "-W", "1", "-c", "1", "10.66.66.1"]))?;
            Ok(!output.status.success())
        };
        ensure!(!lost(&self.lab.server_a)?, "an answer as ESP was lost");
        let before = xfrm_stat(&self.lab.server_a)?;
        self.lab.server_b.ip("xfrm policy flush")?;
        ensure!(lost(&self.lab.server_a)?, "an answer in the clear was taken");
        let moved = moved(&before, &xfrm_stat(&self.lab.server_a)?);
        // Once for the raw socket of ping, once for ICMP itself.
        ensure!(moved.keys().eq(["XfrmInTmplMismatch"]), "{moved:?}");
        Ok(())
    }
}

/// A ping or a datagram that nothing protects.
fn plain(seen: &Seen) -> bool {
    /// Of the IPv4 header's field in an Ethernet frame.
    const PROTOCOL: usize = 14 + 9;
    seen.kind == Kind::Echo || (seen.kind == Kind::Other && seen.frame.get(PROTOCOL) == Some(&17))
}
