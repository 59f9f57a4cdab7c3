//! `/proc/net/xfrm_stat`: the kernel's own counters of what XFRM refused.

use std::io;
use std::path::{Path, PathBuf};

/// Reads counters of the kernel.
pub trait ProcFs {
    /// Name and value of each counter, in the kernel's order; names that are not known to us too.
    ///
    /// # Errors
    /// [`ProcFsError`].
    fn xfrm_stat(&self) -> Result<Vec<(String, u64)>, ProcFsError>;
}

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum ProcFsError {
    /// The kernel was built without them.
    #[error(
        "failed to find {path}: the kernel is built without CONFIG_XFRM_STATISTICS, or /proc is not mounted"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not a name and a number.
    #[error("failed to understand line {line} of {path}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// The real one, of the network namespace of the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proc;

impl Proc {
    /// The host forwards packets of one family at least, on any interface that does not say otherwise.
    ///
    /// # Errors
    /// The sysctl of IPv4 cannot be read.
    pub fn forwarding(self) -> io::Result<bool> {
        let read = |path| std::fs::read_to_string(path).map(|text| text.trim() != "0");
        let v4 = read("/proc/sys/net/ipv4/ip_forward");
        // A kernel may be without IPv6.
        let v6 = read("/proc/sys/net/ipv6/conf/all/forwarding").unwrap_or(false);
        v4.map(|v4| v4 || v6)
    }
}

impl ProcFs for Proc {
    fn xfrm_stat(&self) -> Result<Vec<(String, u64)>, ProcFsError> {
        // /proc/net is that of the process's main thread; thread-self follows a thread into its namespace.
        let path = Path::new("/proc/thread-self/net/xfrm_stat");
        let text = std::fs::read_to_string(path).map_err(|source| {
            let path = path.to_owned();
            let missing = source.kind() == io::ErrorKind::NotFound;
            if missing { ProcFsError::Missing { path } } else { ProcFsError::Read { path, source } }
        })?;
        parse(path, &text)
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<(String, u64)>, ProcFsError> {
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            counter(line).ok_or_else(|| ProcFsError::Line { path: path.to_owned(), line: at + 1 })
        })
        .collect()
}

fn counter(line: &str) -> Option<(String, u64)> {
    let mut words = line.split_ascii_whitespace();
    let (name, value) = (words.next()?, words.next()?.parse().ok()?);
    words.next().is_none().then(|| (name.to_owned(), value))
}

/// Gives the counters that it holds.
#[cfg(any(test, feature = "fake"))]
#[derive(Clone, Debug, Default)]
pub struct FakeProc(
    /// Name and value; `None` stands for a kernel without them.
    pub Option<Vec<(String, u64)>>,
);

#[cfg(any(test, feature = "fake"))]
impl ProcFs for FakeProc {
    fn xfrm_stat(&self) -> Result<Vec<(String, u64)>, ProcFsError> {
        self.0.clone().ok_or_else(|| ProcFsError::Missing { path: "fake".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18 right-pads the names to a column and ends each line with a newline.
    const TEXT: &str =
        "XfrmInError             \t0\nXfrmInNoStates          \t7\nXfrmFromTheFuture\t18446744073709551615\n";

    #[test]
    fn names_pass_through_in_order() {
        let stats = parse(Path::new("xfrm_stat"), TEXT).unwrap();
        let expected = [("XfrmInError", 0), ("XfrmInNoStates", 7), ("XfrmFromTheFuture", u64::MAX)];
        assert_eq!(stats, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn a_line_that_is_no_counter_is_named() {
        for text in ["XfrmInError\n", "XfrmInError -1\n", "XfrmInError 1 2\n", "\n", "X 18446744073709551616"]
        {
            let error = parse(Path::new("xfrm_stat"), &format!("{TEXT}{text}")).unwrap_err();
            assert_eq!(error.to_string(), "failed to understand line 4 of xfrm_stat", "{text:?}");
        }
    }

    #[test]
    fn a_kernel_without_statistics_is_told_by_the_option() {
        let error = FakeProc(None).xfrm_stat().unwrap_err();
        assert!(error.to_string().contains("CONFIG_XFRM_STATISTICS"), "{error}");
    }
}
