use super::*;
use proptest::prelude::*;

const STATE: &str = include_str!("../../../../tests/golden/ip_xfrm/6.18-state-s.txt");
const POLICY: &str = include_str!("../../../../tests/golden/ip_xfrm/6.18-policy-s.txt");

#[test]
fn a_line_that_is_not_understood_is_named_and_not_quoted() {
    let mut dump = Dump::default();
    let text = "src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x0123456789abcdef0123 reqid 1 mode tunnel\n";
    let error = dump.read(text).unwrap_err();
    assert_eq!(error.to_string(), "line 2: holds a number that is none");
    assert_eq!(dump.read("nonsense\n").unwrap_err().line, 1);
    assert_eq!(dump.read("\nsrc 10.0.0.1 dst 10.0.0.2\n").unwrap_err().line, 2);
}

#[test]
fn keys_shown_or_hidden_are_passed_over() {
    for shown in ["0x00112233445566778899aabbccddeeff", "<<Keys hidden>>", "0x001122 (128 bits)"] {
        let mut dump = Dump::default();
        let text = format!(
            "src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x00001001 reqid 1 mode tunnel\n\t\
             replay-window 32 flag af-unspec esn\n\tauth-trunc hmac(sha256) {shown} 128\n\tenc cbc(aes) {shown}\n"
        );
        dump.read(&text).unwrap();
        let sa = &dump.sas[0].sa;
        let auth = sa.suite.auth.as_ref().unwrap();
        assert_eq!((auth.name.as_str(), auth.icv_bits, sa.esn), ("hmac(sha256)", 128, true));
        assert!(!format!("{dump:?}").contains("001122"));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_its_line(text in "(src |dst |\t|\n|proto |esp|spi |0x|mode |tunnel|dir |out|tmpl |[ -~é]){0,60}") {
        let lines = text.lines().count();
        if let Err(error) = Dump::default().read(&text) {
            prop_assert!((1..=lines).contains(&error.line));
        }
    }

    #[test]
    fn any_cut_of_a_real_dump_is_read_or_refused(from in 0..STATE.len(), to in 0..STATE.len(), at in 0..POLICY.len()) {
        let cut = [&STATE[from.min(to)..], &POLICY[..at], &STATE[..to]].concat();
        let mut dump = Dump::default();
        if dump.read(&cut).is_ok() {
            prop_assert!(dump.findings().iter().all(|finding| !finding.fix.is_empty()));
        }
    }
}
