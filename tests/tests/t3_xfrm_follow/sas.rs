//! SAs with keys, as far as this kernel has ESP.

use crate::world::{in_namespace, larval_sa};
use esp_agent::secret::Secret;
use esp_agent::xfrm::model::{Algo, Limits, Sa, SaDir, SaKeys, Suite};
use esp_agent::xfrm::netlink::Netlink;
use esp_agent::xfrm::{Xfrm as _, XfrmError};
use std::error::Error as _;

#[test]
#[ignore = "T3: root, namespaces"]
fn a_keyed_sa_comes_back_or_the_lack_is_named() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let (sa, keys) = keyed_sa();
        keyed(&mut xfrm, &sa, &keys, "esp4 (CONFIG_INET_ESP)", "Requested type not found");

        let aead = Some(Algo { name: "rfc4106(gcm(aes))".into(), key_bits: 160, icv_bits: 128 });
        let keys = SaKeys { aead: Some(Secret::new(vec![7; 20])), ..SaKeys::default() };
        let suite = Suite { aead, ..Suite::default() };
        let sa = Sa { suite, keys: keys.print(), esn: true, replay_window: 128, ..sa };
        keyed(&mut xfrm, &sa, &keys, "crypto-gcm", "Requested AEAD algorithm not found");
    });
}

/// `XFRMA_SA_DIR` is of Linux 6.10; older kernels skip it.
#[test]
#[ignore = "T3: root, namespaces"]
fn the_kernel_reads_the_direction() {
    in_namespace(|| async {
        let (sa, keys) = keyed_sa();
        let sa = Sa { dir: Some(SaDir::Out), replay_window: 32, ..sa };
        let error = Netlink::open().unwrap().add_sa(&sa, &keys).err();
        let cause = error.and_then(|error| Some(error.source()?.to_string())).unwrap_or_default();
        let known = cause.contains("Replay window should be 0 for output SA");
        assert_eq!(known, kernel() >= (6, 10), "{cause}");
    });
}

/// With ESP, what comes back is what was sent; without it, the error says what is missing.
fn keyed(xfrm: &mut Netlink, sa: &Sa, keys: &SaKeys, lack: &str, words: &str) {
    match xfrm.add_sa(sa, keys) {
        Ok(()) => {
            let observed = xfrm.sas().unwrap();
            assert!(
                observed.len() == 1 && observed[0].sa.same_as(sa) && !observed[0].larval,
                "{observed:#?}"
            );
            assert!(xfrm.add_sa(sa, keys).unwrap_err().already_exists());
            xfrm.delete_sa(&sa.id).unwrap();
        }
        Err(error) => {
            assert!(matches!(error, XfrmError::AddSa { .. }) && error.lacks(), "{error:?}");
            assert!(!error.not_permitted() && !error.already_exists());
            assert_eq!(error.to_string(), "failed to add SA 0x00001000 to 10.66.66.1");
            let cause = error.source().unwrap().to_string();
            assert!(cause.contains(lack) && cause.contains(words), "{cause}");
        }
    }
}

/// Such as (6, 18).
fn kernel() -> (u32, u32) {
    let name = nix::sys::utsname::uname().unwrap();
    let mut numbers = name.release().to_str().unwrap().split('.').map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn keyed_sa() -> (Sa, SaKeys) {
    let algo = |name: &str, icv_bits| Some(Algo { name: name.into(), key_bits: 128, icv_bits });
    let suite = Suite { auth: algo("hmac(sha256)", 96), enc: algo("cbc(aes)", 0), ..Suite::default() };
    let key = |byte| Some(Secret::new(vec![byte; 16]));
    let keys = SaKeys { aead: None, auth: key(1), enc: key(2) };
    let sa = Sa { suite, keys: keys.print(), selector: None, limits: Limits::default(), ..larval_sa() };
    (sa, keys)
}
