//! Capture files.

use anyhow::{Context, Result, ensure};
use pcap_file::{DataLink, pcap::PcapReader};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Where the captures are: `ESP_CAPTURES`, else `captures/` beside this crate's manifest.
///
/// # Errors
/// Names the directory that is missing.
pub fn captures_dir() -> Result<PathBuf> {
    let dir = std::env::var_os("ESP_CAPTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"), PathBuf::from);
    ensure!(dir.is_dir(), "no captures at {}: set ESP_CAPTURES to their directory", dir.display());
    Ok(dir)
}

/// The Ethernet frames of the capture `name` in [`captures_dir`].
///
/// # Errors
/// Names the file that is missing, broken or not of Ethernet frames.
pub fn capture(name: &str) -> Result<Vec<Vec<u8>>> {
    frames(&captures_dir()?.join(name))
}

/// The Ethernet frames of a capture file.
///
/// # Errors
/// Names the file that is missing, broken or not of Ethernet frames.
pub fn frames(path: &Path) -> Result<Vec<Vec<u8>>> {
    let context = || format!("failed to read the capture {}", path.display());
    let mut reader = PcapReader::new(File::open(path).with_context(context)?).with_context(context)?;
    let link = reader.header().datalink;
    ensure!(link == DataLink::ETHERNET, "{} holds {link:?}, not Ethernet frames", path.display());
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.with_context(context)?.data.into_owned());
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captures_have_the_frames_that_their_readme_says() {
        for (name, count) in [("02-sunrise-sunset-esp.pcap", 8), ("espudp1.pcap", 8), ("isakmp4500.pcap", 35)]
        {
            assert_eq!(capture(name).unwrap().len(), count, "{name}");
        }
    }

    #[test]
    fn a_missing_capture_is_named() {
        let error = capture("no-such.pcap").unwrap_err();
        assert!(error.to_string().contains("no-such.pcap"), "{error}");
    }
}
