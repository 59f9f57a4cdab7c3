//! The real [`Xfrm`]: one blocking netlink socket.

pub mod apart;
mod explain;
mod links;

use super::error::{dir_text, policy_text, sa_text, selector_text};
use super::interface::{ObservedLink, Part, XfrmLink};
use super::model::{DefaultPolicy, ObservedPolicy, ObservedSa, Policy, PolicyId, Sa, SaId, SaKeys};
use super::{Xfrm, XfrmError, decode, encode, uapi};
use crate::nl::exchange::{Exchange, ExchangeError};
use crate::nl::frame::Frame;
use crate::nl::message::{DUMP, Message, REQUEST};
use crate::nl::{DecodeError, NetlinkError};
use links::Links;
use netlink_sys::protocols::NETLINK_XFRM;
use std::io;

/// The SAD and the SPD of the network namespace of the thread that opened it; usable from any thread after.
pub struct Netlink {
    xfrm: Exchange,
    /// None in a namespace to try SAs in.
    links: Option<Links>,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    /// [`XfrmError::Socket`]; `lacks()` when the kernel has no XFRM.
    pub fn open() -> Result<Self, XfrmError> {
        let refused = |error: io::Error| XfrmError::Socket { source: explain::socket(error.into()) };
        let xfrm = Exchange::open(NETLINK_XFRM).map_err(refused)?;
        Ok(Self { xfrm, links: Some(Links::open().map_err(refused)?) })
    }

    /// The socket's port: what [`super::events::Told`] names when the change was ours.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.xfrm.port()
    }

    fn routing(&mut self) -> Result<&mut Links, XfrmError> {
        let hint = "in a namespace to try SAs in there are none";
        let refused = || NetlinkError::new(libc::EOPNOTSUPP).explained(Some(hint.to_owned()));
        self.links.as_mut().ok_or_else(|| XfrmError::Dump { what: "links", source: refused() })
    }

    fn request(
        &mut self,
        mut message: zeroize::Zeroizing<Vec<u8>>,
        what: impl FnOnce() -> String,
        refused: impl FnOnce(NetlinkError) -> XfrmError,
    ) -> Result<(), XfrmError> {
        self.xfrm.request(&mut message).map_err(|error| match error {
            ExchangeError::Refused(source) => refused(source),
            ExchangeError::Decode(source) => XfrmError::Decode { what: what(), source },
        })
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        what: &'static str,
        decode: impl Fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, XfrmError> {
        let mut message = Message::new(kind, REQUEST | DUMP).finish();
        self.xfrm.dump(&mut message, decode).map_err(|error| match error {
            ExchangeError::Refused(source) => XfrmError::Dump { what, source: explain::dump(source) },
            ExchangeError::Decode(source) => XfrmError::Decode { what: what.to_owned(), source },
        })
    }

    fn write_policy(
        &mut self,
        policy: &Policy,
        encode: fn(&Policy) -> Result<zeroize::Zeroizing<Vec<u8>>, encode::EncodeError>,
        refused: impl FnOnce(String, &'static str, NetlinkError) -> XfrmError,
    ) -> Result<(), XfrmError> {
        let id = &policy.id;
        let what = || policy_text(id);
        let message = encode(policy).map_err(|source| XfrmError::Encode { what: what(), source })?;
        self.request(message, what, |source| {
            refused(selector_text(&id.selector), dir_text(id.dir), explain::policy(source))
        })
    }
}

impl Xfrm for Netlink {
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        self.dump(uapi::GETSA, "SAs", |frame| match frame.kind {
            uapi::NEWSA => decode::sa(frame.body).map(Some),
            _ => Ok(None),
        })
    }

    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError> {
        self.dump(uapi::GETPOLICY, "policies", |frame| match frame.kind {
            uapi::NEWPOLICY => decode::policy(frame.body),
            _ => Ok(None),
        })
    }

    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        let what = || sa_text(&sa.id);
        let message =
            encode::new_sa(sa, keys).map_err(|source| XfrmError::Encode { what: what(), source })?;
        self.request(message, what, |source| XfrmError::AddSa {
            spi: sa.id.spi,
            dst: sa.id.dst,
            source: explain::new_sa(source, sa),
        })
    }

    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        let answer = self.xfrm.ask(&mut encode::get_sa(id), |frame| match frame.kind {
            uapi::NEWSA => decode::sa(frame.body).map(Some),
            _ => Ok(None),
        });
        match answer {
            Err(ExchangeError::Refused(error)) if error.errno == libc::ESRCH => Ok(None),
            Err(ExchangeError::Refused(source)) => {
                Err(XfrmError::ReadSa { spi: id.spi, dst: id.dst, source: explain::dump(source) })
            }
            Err(ExchangeError::Decode(source)) => Err(XfrmError::Decode { what: sa_text(id), source }),
            Ok(found) => Ok(found),
        }
    }

    fn update_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        let what = || sa_text(&sa.id);
        let message =
            encode::update_sa(sa, keys).map_err(|source| XfrmError::Encode { what: what(), source })?;
        self.request(message, what, |source| XfrmError::UpdateSa {
            spi: sa.id.spi,
            dst: sa.id.dst,
            source: explain::new_sa(source, sa),
        })
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        self.request(
            encode::delete_sa(id),
            || sa_text(id),
            |source| XfrmError::DeleteSa { spi: id.spi, dst: id.dst, source: explain::delete(source) },
        )
    }

    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.write_policy(policy, encode::new_policy, |selector, dir, source| XfrmError::AddPolicy {
            selector,
            dir,
            source,
        })
    }

    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.write_policy(policy, encode::update_policy, |selector, dir, source| XfrmError::UpdatePolicy {
            selector,
            dir,
            source,
        })
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError> {
        let what = || policy_text(id);
        let message =
            encode::delete_policy(id).map_err(|source| XfrmError::Encode { what: what(), source })?;
        self.request(message, what, |source| XfrmError::DeletePolicy {
            selector: selector_text(&id.selector),
            dir: dir_text(id.dir),
            source: explain::delete(source),
        })
    }

    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        self.routing()?.all()
    }

    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.routing()?.add(part)
    }

    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.routing()?.update(link)
    }

    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.routing()?.delete(part)
    }

    fn apart(&self) -> io::Result<Box<dyn Xfrm>> {
        Ok(Box::new(Self { xfrm: Exchange::over(apart::socket()?)?, links: None }))
    }

    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError> {
        let answer = self.xfrm.ask(&mut encode::get_default(), |frame| match frame.kind {
            uapi::GETDEFAULT => decode::default_policy(frame.body).map(Some),
            _ => Ok(None),
        });
        match answer {
            // A kernel without the message refuses its number (`xfrm_user_rcv_msg`).
            Err(ExchangeError::Refused(error)) if error.errno == libc::EINVAL => Ok(None),
            Err(ExchangeError::Refused(source)) => {
                Err(XfrmError::DefaultPolicy { verb: "read", source: explain::dump(source) })
            }
            Err(ExchangeError::Decode(source)) => {
                Err(XfrmError::Decode { what: "the default policy".to_owned(), source })
            }
            Ok(found) => Ok(found),
        }
    }

    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError> {
        self.request(
            encode::set_default(policy),
            || "the default policy".to_owned(),
            |source| XfrmError::DefaultPolicy { verb: "set", source: explain::dump(source) },
        )
    }
}
