//! A plan as programs read it. The schema is stable: fields are added, never renamed or removed.

use super::text::{DefaultText, PolicyBody, PolicyName, SaLine};
use super::{PartStep, Plan, PolicyStep, SaStep, Step};
use crate::xfrm::model::{Policy, Sa};
use serde_json::{Value, json};

impl Plan {
    /// `{"schema": 1, "empty": bool, "steps": [{"op", "object", "label", ...}], "notes": [{"kind", "text"}]}`.
    /// `text` is the line of the text form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        let notes: Vec<Value> =
            self.notes.iter().map(|note| json!({ "kind": note.kind(), "text": note.to_string() })).collect();
        json!({ "schema": 1, "empty": self.is_empty(), "steps": steps, "notes": notes })
    }
}

fn step(step: &Step) -> Value {
    match step {
        Step::AddSa(sa) => of_sa("add", sa),
        Step::DeleteSa(sa) => of_sa("delete", sa),
        Step::AddPolicy(policy) => of_policy("add", policy, None),
        Step::UpdatePolicy { old, new } => of_policy("update", new, Some(old)),
        Step::DeletePolicy(policy) => of_policy("delete", policy, None),
        Step::AddPart(part) => of_part("add", part, None),
        Step::DeletePart(part) => of_part("delete", part, None),
        Step::UpdateLink { old, new, label, .. } => {
            of_part("update", &PartStep::of(new, label.as_ref()), Some(format!("mtu {}", old.mtu)))
        }
        Step::SetDefault { old, new } => json!({
            "op": "update",
            "object": "default_policy",
            "old": DefaultText(*old).to_string(),
            "text": DefaultText(*new).to_string(),
        }),
    }
}

fn of_sa(op: &str, SaStep { sa, label }: &SaStep) -> Value {
    json!({
        "op": op,
        "object": "sa",
        "label": label,
        "src": sa.src,
        "dst": sa.id.dst,
        "proto": sa.id.proto,
        "spi": sa.id.spi.to_string(),
        "mark": { "value": sa.id.mark.value, "mask": sa.id.mark.mask },
        "mode": super::text::mode_name(sa.mode),
        "reqid": sa.reqid,
        "if_id": sa.if_id,
        "algorithms": algorithms(sa),
        "text": SaLine(sa, label.as_deref()).to_string(),
    })
}

fn of_part(op: &str, step: &PartStep, was: Option<String>) -> Value {
    let id = step.part.id();
    json!({
        "op": op,
        "object": id.kind(),
        "label": step.label,
        "link": id.link(),
        "text": step.to_string(),
        "was": was,
    })
}

fn algorithms(sa: &Sa) -> Vec<Value> {
    [&sa.suite.aead, &sa.suite.enc, &sa.suite.auth, &sa.suite.comp]
        .into_iter()
        .flatten()
        .map(|algo| json!({ "name": algo.name, "key_bits": algo.key_bits, "icv_bits": algo.icv_bits }))
        .collect()
}

fn of_policy(op: &str, new: &PolicyStep, old: Option<&Policy>) -> Value {
    let PolicyStep { policy, label } = new;
    let selector = &policy.id.selector;
    json!({
        "op": op,
        "object": "policy",
        "label": label,
        "dir": super::text::dir_name(policy.id.dir),
        "src": format!("{}/{}", selector.src.addr, selector.src.len),
        "dst": format!("{}/{}", selector.dst.addr, selector.dst.len),
        "mark": { "value": policy.id.mark.value, "mask": policy.id.mark.mask },
        "if_id": policy.id.if_id,
        "priority": policy.priority,
        "text": format!("{} {}", PolicyName(&policy.id), PolicyBody(policy)),
        "was": old.map(|old| PolicyBody(old).to_string()),
    })
}
