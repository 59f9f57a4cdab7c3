//! A line for people: time, event, tunnel, then what there is to say.

use super::Line;
use crate::plan::text::SelectorText;
use crate::xfrm::model::Selector;
use std::fmt;

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tunnel = self.tunnel.as_deref().filter(|name| !name.is_empty()).unwrap_or("-");
        write!(f, "{} {:<18} {tunnel}", self.time, self.event)?;
        if let (Some(src), Some(dst)) = (self.src, self.dst) {
            write!(f, " {src} -> {dst}")?;
        } else if let Some(dst) = self.dst {
            write!(f, " to {dst}")?;
        }
        self.words(f)?;
        match self.larval {
            Some(true) => write!(f, " larval"),
            Some(false) | None => Ok(()),
        }
    }
}

impl Line {
    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn one<T: fmt::Display>(f: &mut fmt::Formatter<'_>, word: &str, value: Option<T>) -> fmt::Result {
            value.map_or(Ok(()), |value| write!(f, " {word}{value}"))
        }
        one(f, "dir ", self.direction)?;
        one(f, "proto ", self.proto.filter(|proto| *proto != crate::xfrm::model::ESP))?;
        one(f, "spi ", self.spi.as_ref())?;
        one(f, "", self.mode.as_ref())?;
        one(f, "reqid ", self.reqid)?;
        one(f, "if_id ", self.if_id)?;
        one(f, "mark ", self.mark.as_ref())?;
        one(f, "", self.suite.as_ref())?;
        one(f, "policy ", self.policy.as_ref().map(|name| format!("\"{}\"", name.escape_debug())))?;
        one(f, "index ", self.index)?;
        one(f, "selector ", self.selector.as_ref())?;
        one(f, "priority ", self.priority)?;
        one(f, "", self.action)?;
        one(f, "packets ", self.packets)?;
        one(f, "bytes ", self.bytes)?;
        one(f, "oseq ", self.oseq)?;
        one(f, "seq ", self.seq)?;
        one(f, "from ", self.old.as_ref())?;
        one(f, "to ", self.new.as_ref())?;
        one(f, "kind ", self.kind)?;
        one(f, "SAs ", self.sas)?;
        one(f, "policies ", self.policies)?;
        one(f, "", self.cause)
    }
}

pub(super) fn selector(selector: &Selector) -> String {
    SelectorText(selector).to_string()
}
