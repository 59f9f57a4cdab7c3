//! C yardsticks from a directory outside of the repo, run by the `progrun` that is with them: ns of one packet beside theirs.

use super::ratio::Target;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Where they were built.
#[derive(Clone, Debug)]
pub struct Yardsticks(pub PathBuf);

/// One of their programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Yard {
    /// Their best: a table of buckets, flat counters, totals.
    Best,
    /// The usual: the kernel's hash map, a per-CPU array, totals.
    Full,
    /// Parses and no more.
    Parse,
}

impl Yard {
    /// Those that do what ours does with SAs, in the order of the report.
    pub const FULL_PATHS: [Self; 2] = [Self::Best, Self::Full];

    /// Its name there.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "p_best",
            Self::Full => "p_full",
            Self::Parse => "p_parse",
        }
    }

    /// The ratio that is good enough with so many SAs, where one was set.
    #[must_use]
    pub const fn target(self, known: bool, sas: u32) -> Option<Target> {
        let most = match (self, known, sas) {
            (Self::Best, true, _) => 1.15,
            (Self::Full, true, ..=1_024) => 0.5,
            (Self::Full, true, ..=65_536) => 0.25,
            (Self::Full, true, _) => 0.4,
            (_, false, ..=1_023) | (Self::Parse, ..) => return None,
            (Self::Best, false, _) => 1.15,
            (Self::Full, false, ..=1_024) => 0.35,
            (Self::Full, false, ..=65_536) => 0.2,
            (Self::Full, false, _) => 0.4,
        };
        Some(Target::AtMost(most))
    }

    /// Sizes and contents of its maps for so many SAs.
    fn maps(self, sas: u32) -> Vec<String> {
        let buckets = (sas / 4).max(1);
        let counters = sas + 2;
        let words = match self {
            Self::Best => vec![
                format!("-m m_oa={buckets}"),
                format!("-f m_oa=oa:{sas}"),
                format!("-s .rodata:0={}", buckets - 1),
                // One run of counters for each CPU of the yardsticks' own count.
                format!("-m m_carr={}", counters * 2),
                format!("-s .rodata:4={counters}"),
            ],
            Self::Full => vec![
                format!("-m m_hash={sas}"),
                format!("-f m_hash=spi:{sas}"),
                format!("-m m_parr={counters}"),
                "-m m_stat=8".to_owned(),
            ],
            Self::Parse => Vec::new(),
        };
        words.iter().flat_map(|word| word.split(' ')).map(str::to_owned).collect()
    }
}

impl Yardsticks {
    /// Net ns of one packet, `count` SPIs from `base` against a table of so many SAs from 0x1000, on `cpu`.
    ///
    /// # Errors
    /// It does not run, or returns another verdict.
    pub fn net(
        &self,
        yard: Yard,
        sas: u32,
        (base, count, verdict): (u32, u32, u32),
        cpu: usize,
        repeat: u32,
    ) -> Result<f64> {
        let mut command = Command::new(self.0.join("progrun"));
        command
            .args(["-r", "3", "-c", &cpu.to_string(), "-e", &verdict.to_string()])
            .args(["-v", &count.to_string(), "-b", &format!("{base:#x}")])
            .args(yard.maps(sas))
            .arg(self.0.join("yard.bpf.o"))
            .args([yard.name(), "gen:v4", &repeat.to_string()]);
        let output = command.output().with_context(|| format!("failed to run {}", self.0.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {}", yard.name(), String::from_utf8_lossy(&output.stderr));
        // label,prog,vary,addr,ret,runs,repeat,raw_med,raw_min,raw_max,base_med,net_med,net_q1,net_q3
        let net = text.trim().split(',').nth(11).with_context(|| format!("{}: {text}", yard.name()))?;
        net.parse().with_context(|| format!("{}: {text}", yard.name()))
    }
}
