//! The lab before any protection: the clear phase, and its end.

use anyhow::Result;
use esp_tests::{
    capture::Kind,
    lab::{CLIENT_B, Lab, moved, ping, xfrm_objects, xfrm_stat},
};

#[test]
#[ignore = "T3: root, namespaces"]
fn clear_text_passes_the_router_only_in_the_clear_phase() -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    for to in CLIENT_B {
        lab.start_clear_phase()?;
        assert!(ping(&lab.client_a, to, 3)?.complete(), "{to}");
        let seen = router.take()?;
        assert_eq!((seen.count(Kind::Echo), seen.clear()), (6, 6), "{to}: {seen}");

        lab.end_clear_phase()?;
        assert_eq!(ping(&lab.client_a, to, 2)?.received, 0, "{to}");
        assert_eq!(router.take()?.count(Kind::Echo), 2, "{to}: requests come in, replies do not");
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_new_lab_has_no_xfrm_of_its_own() -> Result<()> {
    let lab = Lab::new()?;
    assert_eq!(xfrm_objects(&lab.server_a)?, "");
    let before = xfrm_stat(&lab.server_a)?;
    assert!(before.contains_key("XfrmInNoStates"), "{before:?}");
    lab.server_a.ip("xfrm policy add src 192.168.1.0/24 dst 192.168.2.0/24 dir out action block")?;
    assert_eq!(ping(&lab.client_a, CLIENT_B[0], 2)?.received, 0);
    let grown = moved(&before, &xfrm_stat(&lab.server_a)?);
    assert_eq!(grown.get("XfrmOutPolBlock"), Some(&2), "{grown:?}");
    assert_eq!(
        xfrm_stat(&lab.server_b)?.get("XfrmOutPolBlock"),
        Some(&0),
        "counters are the namespace's own"
    );
    Ok(())
}
