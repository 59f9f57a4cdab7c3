//! Whether the running kernel has ESP.

use std::process::Command;

use crate::command;

/// A constant: the state lives for a moment in a namespace without a link.
const PROBE: &str = "ip xfrm state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 0x100 mode tunnel \
    auth-trunc 'hmac(sha256)' 0x00000000000000000000000000000000 128 enc 'cbc(aes)' 0x00000000000000000000000000000000";

/// Adds an ESP state in a network namespace of its own; `None` if the kernel takes it, else its answer.
pub(crate) fn why_not() -> Option<String> {
    let probe = command::query(Command::new("unshare").args(["--net", "sh", "-c", PROBE]));
    // "RTNETLINK answers: Protocol not supported": the last part is the kernel's own.
    probe.err().and_then(|error| format!("{error:#}").rsplit(": ").next().map(Into::into))
}
