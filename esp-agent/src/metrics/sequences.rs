//! What sequence numbers tell, as metrics. The numbers themselves are none: an SA that is replaced would make them jump.

use super::names::{self, Metric};
use super::text::Family;
use crate::snapshot::{FlowRow, Sequence};

type Value = fn(&Sequence) -> u64;

/// Renders all families, of at most so many SAs, the busiest ones.
pub(super) fn render(flows: &[FlowRow], limit: usize, out: &mut String) {
    let mut rows: Vec<_> = flows.iter().filter_map(|flow| Some((flow, flow.sequence.as_ref()?))).collect();
    // Stable, as with the packets.
    rows.sort_by_key(|(flow, _)| std::cmp::Reverse(flow.packets));
    rows.truncate(limit);
    let whole: [(Metric, Value); 8] = [
        (names::SEQUENCE_LOST, |sequence| sequence.sight.lost),
        (names::SEQUENCE_LATE, |sequence| sequence.sight.late),
        (names::SEQUENCE_DUPLICATE, |sequence| sequence.sight.duplicate),
        (names::SEQUENCE_OLD, |sequence| sequence.sight.old),
        (names::SEQUENCE_RESTARTS, |sequence| sequence.sight.restarts.into()),
        (names::SEQUENCE_MISSING, |sequence| sequence.sight.missing),
        (names::SEQUENCE_DEPTH, |sequence| sequence.sight.depth.into()),
        (names::SEQUENCE_WINDOW, |sequence| sequence.sight.window()),
    ];
    for (metric, value) in whole {
        let mut family = Family::<u64>::new(metric);
        for (flow, sequence) in &rows {
            family.add(labels(flow).each_ref().map(String::as_str), value(sequence));
        }
        family.write(out);
    }
    let (mut used, mut wait) =
        (Family::<f64>::new(names::SEQUENCE_USED), Family::<u64>::new(names::SEQUENCE_EXHAUSTED));
    for (flow, sequence) in &rows {
        let labels = labels(flow);
        used.set(labels.each_ref().map(String::as_str), sequence.used());
        if let Some(seconds) = sequence.exhausted_s {
            wait.add(labels.each_ref().map(String::as_str), seconds);
        }
    }
    used.write(out);
    wait.write(out);
}

fn labels(flow: &FlowRow) -> [String; 4] {
    [flow.direction.label().to_owned(), flow.spi.to_string(), flow.dst.to_string(), flow.tunnel.clone()]
}
