//! Protection by hand with `ip xfrm`, as an operator or an IKE daemon brings it: foreign to the agent.

use super::{Lab, NET_A, NET_B, Outer, SPI};
use crate::{netns::Netns, run};
use anyhow::{Context, Result, ensure};
use std::{fmt::Write as _, io::Write as _, process::Stdio};

/// The transform. All keys are the lab's public ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-CBC with HMAC-SHA-256 cut to 96 bits: the lab's `auth sha256 enc aes`.
    Cbc96,
    /// AES-256-CBC with HMAC-SHA-256 cut to 128 bits (RFC 4868).
    Cbc128,
    /// AES-GCM with a 16-byte ICV (RFC 4106).
    Gcm,
    /// ChaCha20-Poly1305 (RFC 7634).
    Chacha,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cbc96, Self::Cbc128, Self::Gcm, Self::Chacha];

    fn words(self) -> String {
        let (a, e) = ("0123456789ABCDEF".repeat(2), "FEDCBA9876543210".repeat(2));
        match self {
            Self::Cbc96 => format!("auth sha256 0x{a} enc aes 0x{e}"),
            Self::Cbc128 => format!("auth-trunc 'hmac(sha256)' 0x{a}{a} 128 enc 'cbc(aes)' 0x{e}{e}"),
            Self::Gcm => format!("aead 'rfc4106(gcm(aes))' 0x{a}01020304 128"),
            Self::Chacha => format!("aead 'rfc7539esp(chacha20,poly1305)' 0x{a}{a}01020304 128"),
        }
    }
}

/// Puts the lab's tunnel between both gateways, for the inner networks of both families. The SPI is the same in both
/// directions, as in the lab.
///
/// # Errors
/// What `ip` says: "Protocol not supported" where the kernel has no ESP.
pub fn protect(lab: &Lab, outer: Outer, suite: Suite) -> Result<()> {
    let (a, b) = (outer.server_a().to_string(), outer.server_b().to_string());
    // Without it an SA carries inner packets of its own outer family only (copy_from_user_state in net/xfrm/xfrm_user.c).
    let flag = "flag af-unspec";
    let mut states = String::new();
    for (src, dst) in [(&a, &b), (&b, &a)] {
        let words = suite.words();
        writeln!(
            states,
            "xfrm state add src {src} dst {dst} proto esp spi {SPI:#x} mode tunnel {flag} {words}"
        )?;
    }
    batch(&lab.server_a, &(states.clone() + &policies([&a, &b], [NET_A, NET_B])?))?;
    batch(&lab.server_b, &(states + &policies([&b, &a], [NET_B, NET_A])?))
}

/// `out` to the other side, `fwd` for what comes from it to the network behind, `in` for the gateway itself.
fn policies([here, there]: [&str; 2], [near, far]: [[&str; 2]; 2]) -> Result<String> {
    let mut lines = String::new();
    for (near, far) in near.into_iter().zip(far) {
        for (dir, src, dst, from, to) in
            [("out", near, far, here, there), ("fwd", far, near, there, here), ("in", far, near, there, here)]
        {
            let template = format!("tmpl src {from} dst {to} proto esp mode tunnel");
            writeln!(lines, "xfrm policy add src {src} dst {dst} dir {dir} {template}")?;
        }
    }
    Ok(lines)
}

/// Runs lines of `ip`, given on its standard input so that no key is ever an argument.
///
/// # Errors
/// What `ip` says.
pub fn batch(netns: &Netns, lines: &str) -> Result<()> {
    let mut command = netns.command("ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("failed to start {}", run::line(&command)))?;
    child.stdin.take().context("no standard input")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip failed in {}: {}", netns.name(), stderr.trim_end());
    Ok(())
}
