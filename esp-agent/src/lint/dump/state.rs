//! A state of a dump.

use super::DumpError;
use super::words::Line;
use crate::xfrm::model::{Algo, Mark, ObservedSa, Sa, SaDir, SaId};
use esp_common::Spi;

/// Reads the lines of one state.
pub(super) fn read(first: &Line<'_>, body: &[Line<'_>]) -> Result<ObservedSa, DumpError> {
    let (src, dst) = (first.addr("src")?, first.addr("dst")?);
    let Some(head) = body.first() else { return Err(first.error("lacks its protocol")) };
    head.need("spi", "lacks its SPI")?;
    let id =
        SaId { dst, spi: Spi::new(head.number("spi")?), proto: head.transform()?, mark: Mark::default() };
    let mut sa = Sa::bare(id, src, head.mode()?);
    sa.reqid = head.number("reqid")?;
    for line in body {
        attribute(&mut sa, line)?;
    }
    let larval = sa.suite == crate::xfrm::model::Suite::default();
    Ok(ObservedSa { larval, ..ObservedSa::fresh(sa) })
}

fn attribute(sa: &mut Sa, line: &Line<'_>) -> Result<(), DumpError> {
    match line.words.as_slice() {
        ["replay-window", ..] => {
            sa.replay_window = sa.replay_window.max(line.number("replay-window")?);
            sa.esn |= line.words.contains(&"esn");
        }
        // The window of an SA with ESN, and of one that is larger than `replay-window` can say.
        ["replay_window", ..] => sa.replay_window = sa.replay_window.max(line.number("replay_window")?),
        ["aead", rest @ ..] => sa.suite.aead = Some(algo(rest, line)?),
        ["auth-trunc" | "auth", rest @ ..] => sa.suite.auth = Some(algo(rest, line)?),
        ["enc", rest @ ..] => sa.suite.enc = Some(algo(rest, line)?),
        ["comp", rest @ ..] => sa.suite.comp = Some(algo(rest, line)?),
        ["mark", ..] => sa.id.mark = line.mark("mark")?,
        ["if_id", ..] => sa.if_id = line.number("if_id")?,
        ["dir", "in", ..] => sa.dir = Some(SaDir::In),
        ["dir", "out", ..] => sa.dir = Some(SaDir::Out),
        _ => {}
    }
    Ok(())
}

/// `NAME [KEY | <<Keys hidden>>] [(N bits)] [ICV]`: of the key nothing is kept.
fn algo(words: &[&str], line: &Line<'_>) -> Result<Algo, DumpError> {
    let Some(name) = words.first() else { return Err(line.error("lacks the name of an algorithm")) };
    let icv_bits = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
    let bits = words.iter().position(|word| *word == "bits)").and_then(|at| words.get(at.checked_sub(1)?));
    let key_bits = bits.and_then(|word| word.trim_start_matches('(').parse().ok()).unwrap_or(0);
    Ok(Algo { name: (*name).to_owned(), key_bits, icv_bits })
}
