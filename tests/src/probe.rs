//! What the running kernel can do.

use crate::netns::Netns;
use anyhow::{Context, Result};
use aya::util::KernelVersion;

/// True when it takes an SA with keys: some kernels know policies and SPIs, but no ESP.
///
/// # Errors
/// Not root.
pub fn has_esp() -> Result<bool> {
    let netns = Netns::new("probe")?;
    let ends = "src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x1000 mode tunnel";
    let keys = "auth-trunc hmac(sha256) 0x00 128 enc cbc(aes) 0x00112233445566778899aabbccddeeff";
    Ok(netns.ip(&format!("xfrm state add {ends} {keys}")).is_ok())
}

/// How TC programs are attached: `tcx` since Linux 6.6, `clsact` before.
///
/// # Errors
/// The version cannot be read.
pub fn tc() -> Result<&'static str> {
    let version = KernelVersion::current().context("failed to read the kernel's version")?;
    Ok(if version >= KernelVersion::new(6, 6, 0) { "tcx" } else { "clsact" })
}
