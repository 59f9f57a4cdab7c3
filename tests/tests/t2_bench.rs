//! The bench harness has a row for each path, with the verdict that the path names. Its figures are nobody's promise.

use esp_agent::datapath::object;
use esp_common::Hook;
use esp_tests::bench::{self, cable::Means, cost::Sampling, path, rules::Kind};

#[test]
#[ignore = "T2: root, bpf"]
fn every_path_has_a_row_with_its_verdict() {
    let report =
        bench::run(Sampling { rounds: 2, repeat: 10 }, None, None, &[1, 64]).expect("a run of the harness");
    // `run` itself fails where a frame ends elsewhere; here the rows are compared with the paths.
    let rows: Vec<_> = report.rows.iter().map(|row| (row.path, row.sas, row.reason, row.action)).collect();
    let paths: Vec<_> =
        path::all().iter().map(|path| (path.name, path.sas, path.reason, path.action)).collect();
    assert_eq!(rows, paths);
    for row in &report.rows {
        let net = row.cost.net;
        assert!(net.min <= net.median && net.median <= net.max, "{row}");
        assert!(row.cost.empty.min > 0.0, "{row}");
    }
    let scaled: Vec<_> = report.scaled.iter().map(|row| (row.sas, row.known)).collect();
    assert_eq!(scaled, [(1, true), (1, false), (64, true), (64, false)]);
    let decided: Vec<_> = report.decided.iter().map(|row| (row.rules, row.kind)).collect();
    let kinds = Kind::ALL.into_iter().flat_map(|kind| [1, 100, 4_000].map(|rules| (rules, kind)));
    assert!(decided.iter().copied().eq(kinds), "{decided:?}");
    let drops: Vec<_> = report.cabled.drops.iter().map(|row| row.means).collect();
    assert_eq!(drops, Means::ALL);
    // A machine may have no filters that match ESP; all of ours must run.
    for row in report.cabled.drops.iter().filter(|row| !row.means.is_foreign()) {
        let taken = row.taken.as_ref().expect("a row of ours");
        assert!(taken.cpu.min > 0.0 && taken.pps.min > 0.0, "{row:?}");
        assert_eq!(taken.beside.is_some(), row.means != Means::Empty, "{row:?}");
    }
    assert!(report.cabled.pass.0.min > 0.0 && report.cabled.pass.1.min > 0.0, "{:?}", report.cabled.pass);
    assert!(report.transit.floor.min > 0.0 && report.transit.routed.0.min > 0.0, "{:?}", report.transit);
    let figures: Vec<_> =
        report.figures.iter().map(|figure| figure.what.split(',').next().expect("a first part")).collect();
    let forms = ["IPv6 ESP", "NAT-T ESP", "VLAN ESP"];
    let kept = ["an SA added to 65536", "an SA removed", "all counters of 65536 SAs"];
    assert_eq!(figures, [&["parse only"][..], &forms, &["known", "known"], &kept].concat());
    // One for each hook, XDP with several buffers, two behind queues, two that count refusals, the empty one and the clock; what
    // tells the newest SA where it can be read.
    let tells = object::sad().expect("an object").is_some();
    assert_eq!(report.programs.len(), Hook::ALL.len() + 7 + usize::from(tells));
    assert!(report.programs.iter().all(|size| size.verified > 0), "{:?}", report.programs);
}

#[test]
#[ignore = "T2: root, bpf"]
fn both_forms_tell_the_same_rows() {
    let report =
        bench::run(Sampling { rounds: 1, repeat: 1 }, None, None, &[16]).expect("a run of the harness");
    let (text, json) = (report.to_string(), report.json());
    for row in json["paths"].as_array().expect("a list of paths") {
        let (path, reason) =
            (row["path"].as_str().expect("a name"), row["reason"].as_str().expect("a label"));
        assert!(text.lines().any(|line| line.starts_with(path) && line.contains(reason)), "{path}\n{text}");
    }
    for means in json["cable"]["drop"].as_array().expect("a list of means") {
        let name = means["means"].as_str().expect("a name");
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
        assert_ne!(means["cpu_ns"].is_null(), means["cannot_run"].is_null(), "{means}");
    }
    for figure in json["figures"].as_array().expect("a list of figures") {
        let what = figure["what"].as_str().expect("a name");
        assert!(text.lines().any(|line| line.starts_with(what)), "{what}\n{text}");
    }
    for program in json["programs"].as_array().expect("a list of programs") {
        assert!(text.contains(program["name"].as_str().expect("a name")), "{text}");
    }
}

#[test]
#[ignore = "T2: root, bpf"]
fn a_cpu_that_is_not_there_is_an_error() {
    let error =
        bench::run(Sampling { rounds: 1, repeat: 1 }, Some(1023), None, &[]).expect_err("no such CPU");
    assert!(format!("{error:#}").contains("1023"), "{error:#}");
}
