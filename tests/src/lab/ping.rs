//! Ping and what came of it.

use crate::{netns::Netns, run};
use anyhow::{Context, Result};
use std::net::IpAddr;

/// What a ping reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Echo requests sent.
    pub sent: u64,
    /// Replies received.
    pub received: u64,
}

impl Ping {
    /// True when every request was answered, and there was one.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.sent > 0 && self.sent == self.received
    }
}

impl std::fmt::Display for Ping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} answered", self.received, self.sent)
    }
}

/// Sends `count` echo requests. No answer is a result, not an error.
///
/// # Errors
/// When `ping` cannot run or says nothing that can be read.
pub fn ping(from: &Netns, to: IpAddr, count: u32) -> Result<Ping> {
    let mut command = from.command("ping");
    command.args(["-n", "-q", "-i", "0.1", "-W", "2", "-c", &count.to_string(), &to.to_string()]);
    let output = run::output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| {
        format!("{} said: {text}{}", run::line(&command), String::from_utf8_lossy(&output.stderr))
    })
}

/// What came of a packet that may not be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It was answered.
    Whole,
    /// A router, or this host after it was told, says that only so many bytes fit.
    TooLarge(u32),
}

/// Sends one echo request of `size` bytes, IP header and all, that may not be fragmented.
///
/// # Errors
/// When `ping` cannot run, or neither an answer nor a refusal comes.
pub fn ping_whole(from: &Netns, to: IpAddr, size: u32) -> Result<Fit> {
    // IP and ICMP.
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let mut command = from.command("ping");
    command.args([
        "-n",
        "-c",
        "1",
        "-W",
        "5",
        "-M",
        "do",
        "-s",
        &(size - headers).to_string(),
        &to.to_string(),
    ]);
    let output = run::output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if text.contains("1 received") {
        return Ok(Fit::Whole);
    }
    let mtu = text.split_once("mtu").and_then(|(_, rest)| {
        let digits: String =
            rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    mtu.map(Fit::TooLarge).with_context(|| format!("{} said: {text}", run::line(&command)))
}

/// `4 packets transmitted, 3 received, +1 errors, 25% packet loss, time 305ms`
fn parse(text: &str) -> Option<Ping> {
    let line = text.lines().find(|line| line.contains("packets transmitted"))?;
    let number = |part: &str| part.split_whitespace().next()?.parse().ok();
    let mut parts = line.split(',');
    Some(Ping { sent: number(parts.next()?)?, received: number(parts.next()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_read() {
        for (line, sent, received) in [
            ("4 packets transmitted, 4 received, 0% packet loss, time 305ms", 4, 4),
            ("4 packets transmitted, 1 received, +3 errors, 75% packet loss, time 305ms", 4, 1),
        ] {
            assert_eq!(parse(&format!("PING x\n\n--- x ---\n{line}\n")), Some(Ping { sent, received }));
        }
        assert_eq!(parse("ping: unknown host"), None);
    }
}
