use super::samples::*;
use super::*;
use crate::config::desired::{KeyedSa, NamedPolicy};
use crate::secret::KeyPrint;
use crate::xfrm::interface::Part;
use crate::xfrm::model::{DefaultPolicy, Limits, Mark, Net, PolicyAction, SaDir, Selector};
use std::path::Path;

fn owned(desired: &Desired) -> Owned {
    Owned {
        sas: desired.sas.iter().map(|keyed| keyed.sa.id).collect(),
        policies: desired.policies.iter().map(|named| named.policy.id.clone()).collect(),
        parts: desired.parts.iter().map(|named| named.part.id()).collect(),
        default_before: None,
    }
}

fn empty() -> Desired {
    Desired::default()
}

/// Compares with tests/golden/plan/<name>.txt; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/plan").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
}

/// The lab with everything that a line can show.
fn widened() -> Desired {
    let mut desired = lab();
    let gcm = crate::xfrm::model::Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 288, icv_bits: 128 };
    let mut rich = sa("2001:db8::1", "2001:db8::2", 0x1000, SaDir::Out);
    rich.id.mark = Mark { value: 5, mask: 0xff };
    rich.if_id = 42;
    rich.suite = crate::xfrm::model::Suite { aead: Some(gcm), ..Default::default() };
    rich.esn = true;
    rich.encap = Some(crate::xfrm::model::Encap { kind: 2, sport: 4500, dport: 4500, original: None });
    rich.limits = Limits { hard_bytes: Some(1 << 30), soft_add_s: Some(3_000), ..Limits::default() };
    desired.sas.push(keyed(rich, None));
    let mut block = lab_policies().remove(0);
    block.id.selector = Selector {
        src: Net { addr: "2001:db8:1::".parse().unwrap(), len: 48 },
        dst: Net { addr: "::".parse().unwrap(), len: 0 },
        proto: 6,
        dport: crate::xfrm::model::Port { port: 22, mask: 0xffff },
        ..block.id.selector
    };
    (block.action, block.templates) = (PolicyAction::Block, Vec::new());
    desired.policies.push(NamedPolicy { policy: block, name: "no-ssh".into(), tunnel: None, device: None });
    desired
}

/// The widened lab is there; the lab with one new key, window and priority is wanted.
fn changed() -> Plan {
    let mut wanted = lab();
    let inbound = &mut wanted.sas[1];
    inbound.keys = keys(&[1; 16], &[2; 16]);
    inbound.sa.keys = inbound.keys.print();
    inbound.sa.replay_window = 128;
    wanted.policies[0].policy.priority = 1_000;
    plan(&wanted, &observed(&widened()), &owned(&widened())).unwrap()
}

#[test]
fn a_fresh_kernel_gets_all_states_before_policies() {
    let plan = plan(&lab(), &Observed::default(), &Owned::default()).unwrap();
    golden("lab-fresh", &plan.to_string());
}

#[test]
fn every_attribute_shows() {
    let plan = plan(&widened(), &Observed::default(), &Owned::default()).unwrap();
    golden("every-attribute", &plan.to_string());
}

#[test]
fn changes_keep_the_order_of_classes() {
    golden("changed", &changed().to_string());
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let plan = plan(&lab(), &observed(&lab()), &owned(&lab())).unwrap();
    assert_eq!(plan, Plan::default());
    golden("nothing", &plan.to_string());
}

#[test]
fn equal_objects_of_others_are_noted_and_left() {
    let plan = plan(&lab(), &observed(&lab()), &Owned::default()).unwrap();
    assert!(plan.is_empty());
    golden("foreign-equal", &plan.to_string());
}

#[test]
fn different_objects_of_others_are_all_named() {
    let mut there = lab();
    there.sas[0].sa.reqid = 7;
    there.policies[2].policy.priority = 7;
    let conflicts = plan(&lab(), &observed(&there), &Owned::default()).unwrap_err();
    let text: Vec<String> = conflicts.iter().map(|conflict| format!("{conflict}\n")).collect();
    golden("conflicts", &text.concat());
}

#[test]
fn objects_of_others_that_are_not_wanted_are_not_seen() {
    assert_eq!(plan(&empty(), &observed(&lab()), &Owned::default()), Ok(Plan::default()));
}

#[test]
fn the_json_form_is_stable_and_parallel_to_the_text() {
    let plan = changed();
    golden("changed-json", &format!("{:#}\n", plan.to_json()));
    assert_eq!(plan.to_json()["steps"].as_array().unwrap().len(), plan.steps.len());
    assert_eq!(Plan::default().to_json()["empty"], true);
}

#[test]
fn every_kind_of_step_shows_in_both_forms() {
    let mut wanted = lab();
    wanted.sas[0].sa.reqid = 7;
    wanted.policies[0].policy.priority = 1_000;
    wanted.default_policy = Some(DefaultPolicy { forward: PolicyAction::Block, ..ACCEPT });
    wanted.parts = routed().parts;
    let Part::Route { metric, .. } = &mut wanted.parts[3].part else { panic!("{:?}", wanted.parts) };
    *metric = 10;
    let before = Desired { parts: routed().parts, ..widened() };
    let mut there = observed(&before);
    (there.links[0].mtu, there.links[0].up) = (1280, false);
    there.policies.retain(|seen| seen.policy.id != wanted.policies[1].policy.id);
    let plan = plan(&wanted, &there, &owned(&before)).unwrap();
    let kind = |step: &Step| match step {
        Step::AddSa(_) => "add sa",
        Step::DeleteSa(_) => "delete sa",
        Step::AddPolicy(_) => "add policy",
        Step::UpdatePolicy { .. } => "update policy",
        Step::DeletePolicy(_) => "delete policy",
        Step::AddPart(_) => "add part",
        Step::UpdateLink { .. } => "update link",
        Step::DeletePart(_) => "delete part",
        Step::SetDefault { .. } => "set default policy",
    };
    let kinds: std::collections::BTreeSet<&str> = plan.steps.iter().map(kind).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    golden("every-kind", &plan.to_string());
    golden("every-kind-json", &format!("{:#}\n", plan.to_json()));
}

#[test]
fn no_form_of_a_plan_has_a_key() {
    let plan = plan(&lab(), &Observed::default(), &Owned::default()).unwrap();
    let conflicts = plan_with_foreign_key();
    let all = format!("{plan}{:?}{}{conflicts:?}", plan, plan.to_json()).to_lowercase();
    for key in [AUTH_KEY, ENC_KEY] {
        assert!(!all.contains(&const_hex::encode(&key[..4])));
        assert!(!all.contains(&format!("{key:?}").trim_matches(['[', ']']).to_lowercase()));
    }
}

fn plan_with_foreign_key() -> Vec<Conflict> {
    let mut there = lab();
    there.sas[0].sa.keys = KeyPrint::of(&AUTH_KEY);
    plan(&lab(), &observed(&there), &Owned::default()).unwrap_err()
}

#[test]
fn hidden_keys_are_noted_once() {
    let mut there = observed(&lab());
    for seen in &mut there.sas {
        seen.sa.keys = KeyPrint::Hidden;
    }
    let plan = plan(&lab(), &there, &owned(&lab())).unwrap();
    assert_eq!((plan.steps, plan.notes), (Vec::new(), vec![Note::KeysHidden { count: 2 }]));
}

#[test]
fn what_is_wanted_twice_is_refused() {
    let mut wanted = lab();
    wanted.sas.push(KeyedSa { tunnel: None, ..wanted.sas[0].clone() });
    wanted.policies.push(wanted.policies[0].clone());
    let conflicts = plan(&wanted, &Observed::default(), &Owned::default()).unwrap_err();
    assert!(
        matches!(conflicts[..], [Conflict::SaTwice { .. }, Conflict::PolicyTwice { .. }]),
        "{conflicts:?}"
    );
}

#[test]
fn an_sa_whose_mark_answers_for_ours_is_neither_hidden_nor_deleted() {
    let mut marked = lab();
    marked.policies.clear();
    marked.sas.truncate(1);
    marked.sas[0].sa.id.mark = Mark { value: 5, mask: 0xff };
    let mut there = observed(&lab());
    let conflicts = plan(&marked, &there, &Owned::default()).unwrap_err();
    assert!(matches!(conflicts[..], [Conflict::SaMark { .. }]), "{conflicts:?}");
    there.sas.push(observed_sa(&marked.sas[0].sa, 1));
    let plan = plan(&empty(), &there, &owned(&marked)).unwrap();
    assert!(plan.is_empty() && matches!(plan.notes[..], [Note::Stuck { .. }]), "{plan}");
}

#[test]
fn the_policy_of_a_socket_is_not_taken_for_ours() {
    let mut there = observed(&lab());
    for seen in &mut there.policies {
        seen.index = 8 * seen.index + 4;
        seen.policy.priority = 0;
    }
    let plan = plan(&lab(), &there, &owned(&lab())).unwrap();
    assert_eq!(plan.steps.len(), lab().policies.len());
}

#[test]
fn the_default_policy_comes_after_new_policies_and_goes_before_old_ones() {
    let blocked = DefaultPolicy { outbound: PolicyAction::Block, ..ACCEPT };
    let desired = Desired { default_policy: Some(blocked), ..lab() };
    let empty = Observed { default_policy: Some(ACCEPT), ..Observed::default() };
    let steps = plan(&desired, &empty, &Owned::default()).unwrap().steps;
    let set = Step::SetDefault { old: ACCEPT, new: blocked };
    assert_eq!(steps.last(), Some(&set));
    assert_eq!(
        set.to_string(),
        "~ default policy in accept fwd accept out block\n    was in accept fwd accept out accept"
    );
    assert_eq!(set.inverse().and_then(|back| back.inverse()), Some(set));

    let there = Observed { default_policy: Some(blocked), ..observed(&lab()) };
    let ours = Owned { default_before: Some(ACCEPT), ..owned(&lab()) };
    assert!(plan(&desired, &there, &ours).unwrap().is_empty());
    let back = plan(&Desired::default(), &there, &ours).unwrap().steps;
    assert_eq!(back.first(), Some(&Step::SetDefault { old: blocked, new: ACCEPT }));
}
