//! One snapshot with something in every field.

use esp_agent::lint::{Finding, LintCode, Subject};
use esp_agent::natt::UdpRow;
use esp_agent::rotation::{Phase, RotationRow};
use esp_agent::snapshot::{
    AgentHealth, CpuRow, DriftHealth, FlowRow, GuardRow, Guards, IfaceRow, ReasonRow, SaDetail, SaRow,
    SaState, Sequence, Snapshot, TcMode, TunnelRow, XdpMode,
};
use esp_agent::state::{DriftCount, DriftRow};
use esp_agent::tombstone::{Cause, Tombstone};
use esp_common::{Action, Direction, Guard, Hook, Mode, Reason, Spi, sequence::Sight};
use std::net::IpAddr;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// server-a of the reference lab, ten minutes after its start.
pub(crate) fn lab() -> Snapshot {
    Snapshot {
        now_ns: 700 * SECOND,
        now_s: 1_800_000_600,
        agent: Some(agent()),
        ifaces: ifaces(),
        guards: Guards {
            modes: [Mode::Enforce, Mode::Observe, Mode::Enforce, Mode::Off],
            trusted: true,
            disabled: vec!["selectors is off: the tunnel site-b has more than 32 selectors".to_owned()],
        },
        flows: flows(),
        reasons: reasons(),
        guard_hits: guard_hits(),
        xfrm_stat: Some(xfrm_stat()),
        tunnels: tunnels(),
        cpus: cpus(),
        sas: sas(),
        sa_list: sa_list(),
        rotations: rotations(),
        tombstones: tombstones(),
        lost: vec![("flows".to_owned(), 0), ("ghosts".to_owned(), 12), ("guard_hits".to_owned(), 0)],
        lints: vec![Finding {
            code: LintCode::MissingFwd,
            object: "policy in 192.168.2.0/24 -> 192.168.1.0/24".to_owned(),
            reason: "forwarding is on and there is no `fwd` twin".to_owned(),
            fix: "add the same policy with dir fwd".to_owned(),
            subject: Subject::Policy(0),
        }],
        lacks: vec!["no TCX (Linux 6.6): the TC programs are filters of a clsact qdisc".to_owned()],
    }
}

fn rotations() -> Vec<RotationRow> {
    vec![RotationRow {
        tunnel: "site-b".to_owned(),
        generation: 3,
        begun_s: 1_800_000_500,
        phase: Phase::Draining,
        spi_in: "0x5b1f00a3".to_owned(),
        spi_out: "0xc4e29107".to_owned(),
        old_spi_in: Some("0x00001001".to_owned()),
        old_spi_out: Some("0x00001002".to_owned()),
        next_ms: Some(1_800_000_605_000),
    }]
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address of the sample")
}

fn agent() -> AgentHealth {
    AgentHealth {
        version: "0.1.0".to_owned(),
        started_s: 1_800_000_000,
        netlink_overruns: 1,
        resyncs: 2,
        events: vec![("sa_new".to_owned(), 4), ("unknown".to_owned(), 1)],
        read: Duration::from_millis(12),
        update: Duration::from_millis(6),
        reloads_ok: 3,
        reloads_failed: 1,
        in_sync: true,
        mirror_age: Duration::from_millis(250),
        config: Some("/etc/esp-agent/site-a.toml".to_owned()),
        udp: udp(),
        drift: drift(),
        idle_cpus: vec![5],
        moved: 2,
        stayed: 9,
    }
}

fn cpus() -> Vec<CpuRow> {
    let (handed, arrived, dropped, waiting) = (4_000, 3_900, 60, 40);
    let busy =
        CpuRow { cpu: 2, sas: 3, queue: 2_048, handed, arrived, dropped, waiting, busy_permille: Some(905) };
    vec![CpuRow { cpu: 3, busy_permille: None, ..busy.clone() }, busy]
}

fn udp() -> Vec<UdpRow> {
    let row = |local: &str, held, note: &str| UdpRow {
        local: local.parse().expect("an address and port of the sample"),
        held,
        note: note.into(),
    };
    vec![row("10.55.55.1:4500", true, ""), row("[fd00:55::1]:4500", false, "in use by another program")]
}

fn drift() -> DriftHealth {
    let count =
        |kind: &str, object: &str, count| DriftCount { kind: kind.into(), object: object.into(), count };
    let row = |kind: &str, text: &str, repairs, retry_s| DriftRow {
        object: "sa".into(),
        kind: kind.into(),
        text: text.into(),
        repairs,
        retry_s,
    };
    DriftHealth {
        mode: "repair".into(),
        rows: vec![
            row("missing", "sa to 10.66.66.1 esp spi 0x69427567 (site-b) is gone", 3, Some(4)),
            row("foreign", "sa to 10.66.66.1 esp spi 0x00000100 is there, not made by this agent", 0, None),
        ],
        counts: vec![count("missing", "sa", 5), count("foreign", "sa", 1), count("changed", "policy", 2)],
        repairs_ok: 6,
        repairs_failed: 1,
    }
}

fn tombstones() -> Vec<Tombstone> {
    let flow = flows().into_iter().find(|flow| !flow.known).expect("a ghost in the sample");
    let stone = Tombstone {
        dst: flow.dst,
        spi: flow.spi.number(),
        src: ip("10.66.66.1"),
        reqid: 5,
        tunnel: "site-b".to_owned(),
        gone_s: 1_800_000_559,
        cause: Cause::Rekeyed,
    };
    let nameless = Tombstone { spi: 0x3000, tunnel: String::new(), cause: Cause::Expired, ..stone.clone() };
    vec![nameless, stone]
}

fn ifaces() -> Vec<IfaceRow> {
    let eth5 = IfaceRow {
        name: "eth5".to_owned(),
        ifindex: 5,
        present: true,
        attached: true,
        xdp: Some(XdpMode::Generic),
        tc: Some(TcMode::Clsact),
        note: "the driver has no native XDP".to_owned(),
    };
    let gone =
        IfaceRow { name: "wan1".to_owned(), ifindex: 9, present: false, note: String::new(), ..eth5.clone() };
    let new = IfaceRow { name: "wan2".to_owned(), attached: false, xdp: None, tc: None, ..gone.clone() };
    vec![eth5, gone, IfaceRow { present: true, ..new }]
}

fn sequence() -> Sequence {
    let sight = Sight {
        highest: 42_949_673,
        lost: 3,
        missing: 1,
        late: 5,
        duplicate: 2,
        old: 1,
        depth: 17,
        restarts: 1,
    };
    Sequence::new(sight, false, 100, Duration::from_secs(588))
}

fn flows() -> Vec<FlowRow> {
    let inbound = FlowRow {
        iface: "eth5".to_owned(),
        direction: Direction::In,
        spi: Spi::new(0x6942_7567),
        dst: ip("10.55.55.1"),
        src: Some(ip("10.66.66.1")),
        tunnel: "site-b".to_owned(),
        known: true,
        packets: 100,
        bytes: 16_600,
        first_ns: 110 * SECOND,
        last_ns: 698 * SECOND,
        sequence: Some(sequence()),
    };
    let out = FlowRow {
        direction: Direction::Out,
        dst: ip("10.66.66.1"),
        src: Some(ip("10.55.55.1")),
        packets: 98,
        bytes: 16_268,
        ..inbound.clone()
    };
    let ghost = FlowRow {
        spi: Spi::new(0xdead_beef),
        tunnel: String::new(),
        known: false,
        packets: 7,
        bytes: 1_162,
        last_ns: 650 * SECOND,
        sequence: None,
        ..inbound.clone()
    };
    let ghost6 = FlowRow {
        spi: Spi::new(0x1000),
        dst: ip("2001:db8::1"),
        src: None,
        packets: 2,
        bytes: 400,
        ..ghost.clone()
    };
    vec![inbound, out, ghost, ghost6]
}

fn reasons() -> Vec<ReasonRow> {
    let row = |hook, reason, action, packets, bytes| ReasonRow {
        iface: "eth5".to_owned(),
        hook,
        reason,
        action,
        packets,
        bytes,
    };
    vec![
        row(Hook::Xdp, Reason::EspKnown, Action::Pass, 100, 16_600),
        row(Hook::Xdp, Reason::UnknownSpi, Action::Drop, 9, 1_562),
        row(Hook::Xdp, Reason::Truncated, Action::Pass, 0, 0),
        row(Hook::TcIngress, Reason::Decrypted, Action::Pass, 100, 9_800),
        row(Hook::TcEgress, Reason::CleartextOut, Action::Drop, 4, 392),
    ]
}

fn guard_hits() -> Vec<GuardRow> {
    let hit = GuardRow {
        guard: Guard::CleartextOut,
        mode: Mode::Enforce,
        policy: "out 192.168.1.0/24 -> 192.168.2.0/24 \"site-b\"".to_owned(),
        packets: 4,
        bytes: 392,
    };
    let unknown =
        GuardRow { guard: Guard::UnknownSpi, policy: String::new(), packets: 9, bytes: 1_562, ..hit.clone() };
    vec![hit, unknown]
}

/// Zero, known and non-zero, and a name that no kernel has yet.
fn xfrm_stat() -> Vec<(String, u64)> {
    [("XfrmInError", 0), ("XfrmInNoStates", 9), ("XfrmInNoPols", 5), ("XfrmOfTomorrow", 1)]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

fn tunnels() -> Vec<TunnelRow> {
    let row =
        |direction, packets, bytes| TunnelRow { tunnel: "site-b".to_owned(), direction, packets, bytes };
    vec![row(Direction::In, 1_100, 182_600), row(Direction::Out, 1_098, 182_268)]
}

fn sas() -> Vec<SaRow> {
    let row =
        |tunnel: &str, direction, state, count| SaRow { tunnel: tunnel.to_owned(), direction, state, count };
    vec![
        row("site-b", Some(Direction::In), SaState::Valid, 1),
        row("site-b", Some(Direction::Out), SaState::Dying, 1),
        row("", None, SaState::Larval, 1),
    ]
}

fn sa_list() -> Vec<SaDetail> {
    let inbound = SaDetail {
        src: ip("10.66.66.1"),
        dst: ip("10.55.55.1"),
        spi: Spi::new(0x6942_7567),
        proto: 50,
        mode: "tunnel".to_owned(),
        reqid: 1,
        tunnel: "site-b".to_owned(),
        suite: "cbc(aes)+hmac(sha256)".to_owned(),
        bytes: 8_400,
        packets: 100,
        added_s: 1_800_000_000,
        used_s: 1_800_000_010,
        larval: false,
    };
    let out = SaDetail { src: inbound.dst, dst: inbound.src, packets: 98, bytes: 8_232, ..inbound.clone() };
    let larval = SaDetail {
        spi: Spi::new(0xc000_0001),
        reqid: 0,
        tunnel: String::new(),
        suite: String::new(),
        bytes: 0,
        packets: 0,
        added_s: 1_800_000_590,
        used_s: 0,
        larval: true,
        ..inbound.clone()
    };
    vec![inbound, out, larval]
}
