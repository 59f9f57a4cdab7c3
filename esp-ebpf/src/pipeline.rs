//! Inspect, decide, count: one entry for each hook, one exit for all.

use crate::{
    Link, Outcome, Packet, Tables, classify, parse, parse::Fragmented, policy, steer, transit, verdict,
};
use esp_common::{Action, GuardKey, Hook, Mode, Reason, Sample, Settings};

/// Where a program stands, and what it was told.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Index of the interface in the interface table.
    pub iface: u16,
    /// What its frames start with.
    pub link: Link,
    /// There is no XDP program on this interface: TC ingress judges the outer packet too.
    pub outer_at_tc: bool,
    /// The settings in force.
    pub settings: &'a Settings,
    /// Now, in ns of CLOCK_MONOTONIC at tick resolution.
    pub now_ns: u64,
}

/// XDP ingress: the outer packet.
#[inline(always)] // one program, one frame of its stack
pub fn xdp<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>) -> Action {
    // Two ways to the exit: where they met, LLVM would have headers that were not read set to something at each check.
    match inspect_outer(packet, tables, place) {
        Ok(outcome) => finish(packet, tables, place, Hook::Xdp, outcome),
        Err(reason) => finish(packet, tables, place, Hook::Xdp, reason.into()),
    }
}

/// TC ingress: decrypted packets and clear text; the outer packet too where XDP is not there.
#[inline(always)] // one program, one frame of its stack
pub fn tc_ingress<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>) -> Action {
    let outcome = inspect_ingress(packet, tables, place).unwrap_or_else(Outcome::from);
    finish(packet, tables, place, Hook::TcIngress, outcome)
}

/// TC egress: ESP that leaves, and clear text that must not.
#[inline(always)] // one program, one frame of its stack
pub fn tc_egress<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>) -> Action {
    let outcome = inspect_egress(packet, tables, place).unwrap_or_else(Outcome::from);
    finish(packet, tables, place, Hook::TcEgress, outcome)
}

#[inline(always)] // one body for each program: as calls the arguments do not fit into five registers
fn inspect_outer<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>) -> Result<Outcome, Reason> {
    let ip = parse::ip(packet, place.link)?;
    let upper = parse::upper(packet, &ip, &place.settings.wire)?;
    Ok(classify::inbound(packet, tables, place, &ip, &upper).of(&ip))
}

#[inline(always)] // as above
fn inspect_ingress<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
) -> Result<Outcome, Reason> {
    let ip = parse::settled(packet, parse::ip(packet, place.link)?);
    if let Some(sa) = packet.decrypted_by() {
        return Ok(policy::inner(packet, tables, place, &ip, &sa).of(&ip));
    }
    let reason = match parse::upper(packet, &ip, &place.settings.wire) {
        Ok(upper) if place.outer_at_tc => classify::inbound(packet, tables, place, &ip, &upper).reason,
        Ok(upper) => classify::judged(tables, &ip, &upper),
        // A broken payload does not make the packet any less clear text.
        Err(reason) => reason,
    };
    Ok(policy::clear_in(packet, tables, place, &ip, reason).of(&ip))
}

#[inline(always)] // as above
fn inspect_egress<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
) -> Result<Outcome, Reason> {
    let ip = parse::settled(packet, parse::ip(packet, place.link)?);
    let reason = match parse::upper(packet, &ip, &place.settings.wire) {
        Ok(upper) => classify::outbound(tables, place, packet.len(), &ip, &upper),
        // As above.
        Err(reason) => reason,
    };
    Ok(policy::clear_out(packet, tables, place, &ip, reason).of(&ip))
}

/// Every packet passes here once: it adds to exactly one reason.
#[inline(always)] // as above
fn finish<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
    hook: Hook,
    outcome: Outcome,
) -> Action {
    let (action, mode) = verdict::action(outcome.reason, place.settings, place.now_ns);
    if let Some(guard) = outcome.reason.guard()
        && mode != Mode::Off
    {
        let key =
            GuardKey { policy: outcome.policy, guard: guard.as_raw(), mode: mode.as_raw(), pad: [0; 2] };
        tables.count_guard(&key, packet.len());
    }
    let action = if hook == Hook::Xdp
        && action == Action::Pass
        && (transit::forwarded(packet, tables, place, &outcome) || steer::handed(packet, place, &outcome))
    {
        Action::Redirect
    } else {
        action
    };
    tables.count_reason(hook, outcome.reason, action, packet.len());
    if action == Action::Drop {
        tell(packet, tables, place, hook, &outcome);
    }
    action
}

/// Tells of a dropped packet, unless too many were told.
#[inline(always)] // as above
fn tell<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>, hook: Hook, outcome: &Outcome) {
    let Some(ip) = outcome.ip else {
        return;
    };
    let sampling = &place.settings.sampling;
    if sampling.interval_ns == 0 || !tables.spend_sample(sampling, place.now_ns) {
        return;
    }
    let upper = if ip.fragment == Fragmented::Later { None } else { packet.load(packet.settle(ip.payload)) };
    tables.sample(&Sample {
        time_ns: place.now_ns,
        src: ip.src,
        dst: ip.dst,
        policy: outcome.policy,
        len: packet.len(),
        upper: upper.unwrap_or_default(),
        iface: place.iface,
        proto: ip.proto,
        reason: outcome.reason.as_raw(),
        hook: hook.as_raw(),
        pad: [0; 3],
    });
}
