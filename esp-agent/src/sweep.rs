//! Flows of SAs that are gone leave the table after a while, so that rekeys do not fill it.

use crate::datapath::{DatapathError, fill::Filler, read};
use crate::picture::Picture;
use std::collections::HashSet;
use std::time::Duration;

/// How long a flow is shown after its last packet once its SA is gone: long enough for the last scrape.
const KEEP: Duration = Duration::from_secs(3600);

/// Removes flows whose SA is gone and whose last packet is old, and the names that were kept for them.
///
/// # Errors
/// A map cannot be read or written.
pub fn flows(filler: &mut Filler, picture: &mut Picture, now_ns: u64) -> Result<(), DatapathError> {
    let live: HashSet<_> = picture.sas.keys().map(|id| (id.dst, id.spi)).collect();
    let keep = u64::try_from(KEEP.as_nanos()).unwrap_or(u64::MAX);
    let (mut kept, mut gone) = (live.clone(), Vec::new());
    for flow in read::flows(filler.maps())?.into_iter().filter(|flow| flow.known) {
        let id = (flow.key.dst.ip(), flow.key.spi);
        if live.contains(&id) || now_ns.saturating_sub(flow.seen.last_ns) < keep {
            kept.insert(id);
            continue;
        }
        gone.push(flow.key);
    }
    filler.forget(&gone)?;
    picture.tunnels.retain(|id, _| kept.contains(&(id.dst, id.spi)));
    Ok(())
}
