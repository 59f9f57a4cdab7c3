//! A tunnel between the gateways with SPIs and keys of its own: as a configuration for the agent of either gateway,
//! and as lines for `ip`, which is how a peer without an agent gets it.

use super::{NET_A, NET_B, Outer, Suite, manual::batch};
use crate::netns::Netns;
use anyhow::{Context, Result};
use std::{fmt::Write as _, fs::File, io::Read as _, net::IpAddr};

/// What an SA encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The packets between the networks behind the gateways.
    Tunnel,
    /// The packets between the gateways themselves.
    Transport,
}

/// One of the gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// server-a.
    A,
    /// server-b.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The one across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The networks behind it.
    #[must_use]
    pub const fn nets(self) -> [&'static str; 2] {
        match self {
            Self::A => NET_A,
            Self::B => NET_B,
        }
    }
}

/// The tunnel. Its keys are random, so that no two of them can be taken for each other.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Family of the outside.
    pub outer: Outer,
    /// Transform.
    pub suite: Suite,
    /// Mode.
    pub mode: Mode,
    towards_a: Way,
    towards_b: Way,
}

/// One direction.
#[derive(Clone, Debug)]
struct Way {
    spi: u32,
    /// Of the encryption or the combined mode, in hex.
    key: String,
    /// Of the integrity, in hex; empty in a combined mode.
    integrity: String,
}

impl Tunnel {
    /// A tunnel with new SPIs and keys.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn new(outer: Outer, suite: Suite, mode: Mode) -> Result<Self> {
        Ok(Self { outer, suite, mode, towards_a: Way::new(suite)?, towards_b: Way::new(suite)? })
    }

    /// The same SPIs and keys in another mode.
    #[must_use]
    pub fn in_mode(&self, mode: Mode) -> Self {
        Self { mode, ..self.clone() }
    }

    /// The SPI of what goes to a gateway.
    #[must_use]
    pub const fn spi(&self, to: Side) -> u32 {
        self.towards(to).spi
    }

    /// All keys as `ip xfrm` prints them, for a look whether the kernel has them.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = [&self.towards_a, &self.towards_b].map(|way| [&way.key, &way.integrity]);
        keys.into_iter().flatten().filter(|key| !key.is_empty()).map(|key| format!("0x{key}")).collect()
    }

    /// `[[tunnel]]` for the agent on a gateway; `more` is put among its keys.
    #[must_use]
    pub fn config(&self, at: Side, more: &str) -> String {
        let (inbound, outbound) = (self.towards(at), self.towards(at.other()));
        let (local, remote) = (self.outer.server(at), self.outer.server(at.other()));
        let nets = match self.mode {
            Mode::Tunnel => format!("local_net = {:?}\nremote_net = {:?}", at.nets(), at.other().nets()),
            Mode::Transport => "mode = \"transport\"".to_owned(),
        };
        format!(
            "[[tunnel]]\nname = \"lab\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n{nets}\n{}\n{more}\n\
             [tunnel.in]\n{}\n[tunnel.out]\n{}\n",
            transform(self.suite),
            inbound.config(),
            outbound.config(),
        )
    }

    /// Brings it to a gateway by `ip xfrm`: SAs, and the policies of all directions.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn by_hand(&self, netns: &Netns, at: Side) -> Result<()> {
        let mut lines = String::new();
        for to in Side::BOTH {
            writeln!(lines, "{}", self.state(to))?;
        }
        let (near, far) = (self.selected(at), self.selected(at.other()));
        for (near, far) in near.iter().zip(&far) {
            for (dir, src, dst, to) in
                [("out", near, far, at.other()), ("in", far, near, at), ("fwd", far, near, at)]
            {
                writeln!(lines, "xfrm policy add src {src} dst {dst} dir {dir} {}", self.template(to))?;
            }
        }
        batch(netns, &lines)
    }

    /// The template of a policy for what goes to a gateway, in the words of `ip`.
    #[must_use]
    pub fn template(&self, to: Side) -> String {
        let (src, dst) = (self.outer.server(to.other()), self.outer.server(to));
        format!("tmpl src {src} dst {dst} proto esp mode {}", self.mode_word())
    }

    /// `xfrm state add ...` for what goes to a gateway, in the words of `ip`.
    #[must_use]
    pub fn state(&self, to: Side) -> String {
        let (src, dst) = (self.outer.server(to.other()), self.outer.server(to));
        let Way { spi, key, integrity } = self.towards(to);
        // Without it an SA carries inner packets of its own outer family only.
        let flag = if self.mode == Mode::Tunnel { "flag af-unspec" } else { "" };
        let transform = match self.suite {
            Suite::Cbc96 => format!("auth-trunc hmac(sha256) 0x{integrity} 96 enc cbc(aes) 0x{key}"),
            Suite::Cbc128 => format!("auth-trunc hmac(sha256) 0x{integrity} 128 enc cbc(aes) 0x{key}"),
            Suite::Gcm => format!("aead rfc4106(gcm(aes)) 0x{key} 128"),
            Suite::Chacha => format!("aead rfc7539esp(chacha20,poly1305) 0x{key} 128"),
        };
        let mode = self.mode_word();
        format!("xfrm state add src {src} dst {dst} proto esp spi {spi:#x} mode {mode} {flag} {transform}")
    }

    fn selected(&self, side: Side) -> Vec<String> {
        match self.mode {
            Mode::Tunnel => side.nets().map(str::to_owned).to_vec(),
            Mode::Transport => vec![self.outer.server(side).to_string()],
        }
    }

    const fn mode_word(&self) -> &'static str {
        match self.mode {
            Mode::Tunnel => "tunnel",
            Mode::Transport => "transport",
        }
    }

    const fn towards(&self, side: Side) -> &Way {
        match side {
            Side::A => &self.towards_a,
            Side::B => &self.towards_b,
        }
    }
}

impl Outer {
    /// The outside address of a gateway.
    #[must_use]
    pub const fn server(self, side: Side) -> IpAddr {
        match side {
            Side::A => self.server_a(),
            Side::B => self.server_b(),
        }
    }
}

impl Way {
    fn new(suite: Suite) -> Result<Self> {
        // AEAD keys end in a salt of 4 bytes.
        let (key, integrity) = match suite {
            Suite::Cbc96 => (16, 16),
            Suite::Cbc128 => (32, 32),
            Suite::Gcm => (20, 0),
            Suite::Chacha => (36, 0),
        };
        let mut spi = [0; 4];
        random(&mut spi)?;
        // Above the values that are reserved or easily typed.
        Ok(Self { spi: u32::from_be_bytes(spi) | 0x1000_0000, key: hex(key)?, integrity: hex(integrity)? })
    }

    fn config(&self) -> String {
        let Self { spi, key, integrity } = self;
        if integrity.is_empty() {
            return format!("spi = {spi:#x}\nkey = \"0x{key}\"");
        }
        format!("spi = {spi:#x}\nencryption_key = \"0x{key}\"\nintegrity_key = \"0x{integrity}\"")
    }
}

const fn transform(suite: Suite) -> &'static str {
    match suite {
        Suite::Cbc96 => "encryption = \"cbc(aes)\"\nintegrity = \"sha256\"",
        Suite::Cbc128 => "encryption = \"cbc(aes)\"\nintegrity = \"hmac(sha256)\"",
        Suite::Gcm => "aead = \"rfc4106(gcm(aes))\"",
        Suite::Chacha => "aead = \"rfc7539esp(chacha20,poly1305)\"",
    }
}

fn hex(bytes: usize) -> Result<String> {
    let mut key = vec![0; bytes];
    random(&mut key)?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random(bytes: &mut [u8]) -> Result<()> {
    let mut source = File::open("/dev/urandom").context("failed to open /dev/urandom")?;
    source.read_exact(bytes).context("failed to read /dev/urandom")
}
