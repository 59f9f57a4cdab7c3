//! Rules of one `[[sa]]`.

use super::{check_ends, lint_replay, lint_transform};
use crate::config::derive::{self, ESP_IN_UDP};
use crate::config::desired::KeyedSa;
use crate::config::raw::sa::RawSa;
use crate::config::raw::sa_options::RawSaOptions;
use crate::config::report::{Located, Report};
use crate::xfrm::model::{COMP, Encap, Offload, Sa, SaDir, SaId, SaStart};

/// Checks an SA; `None` when something that it needs is missing.
pub(in crate::config) fn check(raw: RawSa, report: &Report) -> Option<Located<KeyedSa>> {
    lint_transform(report, &raw.transform_at, raw.transform);
    if raw.proto.value == COMP {
        check_compression(&raw, report);
    } else {
        lint_replay(report, &raw.replay);
    }
    let (src, dst) = (raw.src?, raw.dst?);
    let fits = check_ends(report, &src, &dst);
    let (spi, mode, protection) = (raw.spi?, raw.mode?, raw.protection?);
    let options = raw.options;
    check_options(&options, raw.encap.is_some(), report);
    check_start(&options, raw.replay.esn, report);
    let dir = options.dir.map(|dir| dir.value);
    let sa = Sa {
        reqid: raw.reqid,
        if_id: raw.if_id,
        suite: protection.suite,
        keys: protection.keys.print(),
        // What is sent is not checked, and the kernel takes no window for it (`verify_replay`).
        replay_window: if dir == Some(SaDir::Out) || raw.proto.value == COMP { 0 } else { raw.replay.window },
        esn: raw.replay.esn,
        flags: options.flags | derive::sa_flags(mode),
        extra_flags: options.extra_flags,
        selector: options.selector,
        limits: options.limits,
        dir,
        output_mark: options.output_mark,
        tfc_pad: options.tfc_pad,
        nat_keepalive_s: options
            .nat_keepalive
            .map_or(0, |time| u32::try_from(time.value.as_secs()).unwrap_or(0)),
        pcpu: options.cpu.map(|cpu| cpu.value),
        offload: options.offload.as_ref().map(|offload| Offload {
            ifindex: 0,
            packet: offload.packet,
            inbound: dir == Some(SaDir::In),
        }),
        encap: raw.encap.map(|ports| Encap {
            kind: ESP_IN_UDP,
            sport: ports.near,
            dport: ports.far,
            original: None,
        }),
        start: options.start.value,
        ..Sa::bare(
            SaId { proto: raw.proto.value, mark: raw.mark, ..SaId::esp(dst.value, spi.value) },
            src.value,
            mode,
        )
    };
    let device = options.offload.and_then(|offload| offload.interface).map(|name| name.value);
    let keyed = KeyedSa { sa, keys: protection.keys, tunnel: raw.tunnel, device };
    fits.then_some(Located { value: keyed, at: spi.at })
}

/// IPComp counts no packets, and its SPI is the CPI of RFC 3173 (`verify_newsa_info`).
fn check_compression(raw: &RawSa, report: &Report) {
    if raw.replay.esn {
        report.error(&raw.replay.at, "IPComp has no sequence numbers: remove `esn`");
    }
    if let Some(spi) = raw.spi.as_ref().filter(|spi| spi.value.number() > u32::from(u16::MAX)) {
        report.error(&spi.at, "IPComp has 16 bits for it: take one from 0x100 to 0xffff");
    }
}

fn check_start(options: &RawSaOptions, esn: bool, report: &Report) {
    let SaStart { oseq, seq } = options.start.value;
    if !esn && oseq.max(seq) > u64::from(u32::MAX) {
        report.error(&options.start.at, "is beyond 32 bits, which needs `esn`");
    }
}

/// What the kernel refuses to combine (`verify_newsa_info`, `xfrm_dev_state_add`).
fn check_options(options: &RawSaOptions, encap: bool, report: &Report) {
    let dir = options.dir.as_ref().map(|dir| dir.value);
    if let Some(keepalive) = &options.nat_keepalive {
        if !encap || dir != Some(SaDir::Out) {
            report
                .error(&keepalive.at, "needs `encap` and `direction = \"out\"`: keepalives are sent, in UDP");
        }
        if u32::try_from(keepalive.value.as_secs()).is_err() {
            report.error(&keepalive.at, "is more than 32 bits of seconds");
        }
    }
    if let Some(cpu) = &options.cpu
        && dir.is_none()
    {
        report.error(&cpu.at, "needs a `direction`");
    }
    if let Some(offload) = &options.offload
        && dir.is_none()
    {
        report.error(&offload.at, "needs a `direction`");
    }
}
