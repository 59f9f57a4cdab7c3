//! XFRM interfaces over rtnetlink.

use super::explain;
use crate::net::{decode, encode};
use crate::nl::NetlinkError;
use crate::nl::exchange::{Exchange, ExchangeError};
use crate::nl::socket::Socket;
use crate::xfrm::XfrmError;
use crate::xfrm::interface::{ObservedLink, Part, XfrmLink};
use crate::xfrm::model::Net;
use netlink_sys::protocols::NETLINK_ROUTE;
use std::io;
use zeroize::Zeroizing;

/// Links of the network namespace of the thread that opened it.
pub(super) struct Links(Exchange);

impl Links {
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::open(NETLINK_ROUTE)?;
        socket.filter_strictly()?;
        Exchange::over(socket).map(Self)
    }

    pub(super) fn all(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        let links = self.0.dump(&mut encode::get_links(), decode::link).map_err(dump("links"))?;
        links.into_iter().map(|link| self.observe(link)).collect()
    }

    fn observe(&mut self, link: crate::net::Link) -> Result<ObservedLink, XfrmError> {
        let (mut addresses, mut routes) = (Vec::new(), Vec::new());
        if link.xfrm_if_id.is_some() {
            addresses = self.addresses(link.ifindex)?;
            for family in [libc::AF_INET, libc::AF_INET6] {
                routes.extend(self.routes(family, link.ifindex)?);
            }
        }
        let crate::net::Link { ifindex, name, mtu, up, xfrm_if_id: if_id, .. } = link;
        Ok(ObservedLink { ifindex, name, if_id, mtu, up, addresses, routes })
    }

    fn addresses(&mut self, ifindex: u32) -> Result<Vec<Net>, XfrmError> {
        let all = self.0.dump(&mut encode::get_addresses(Some(ifindex)), decode::address);
        let all = none_of_a_gone_link(all).map_err(dump("addresses"))?;
        Ok(all.into_iter().filter(|address| address.ifindex == ifindex).map(|address| address.net).collect())
    }

    fn routes(&mut self, family: i32, ifindex: u32) -> Result<Vec<(Net, u32)>, XfrmError> {
        let all = self.0.dump(&mut encode::get_routes(family, ifindex), decode::route);
        let all = none_of_a_gone_link(all).map_err(dump("routes"))?;
        let over = all.into_iter().filter(|route| route.ifindex == ifindex);
        Ok(over.map(|route| (route.dst, route.metric)).collect())
    }

    pub(super) fn add(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.write("add", part, |links| match part {
            Part::Link(link) => Ok(encode::new_link(link)),
            Part::Address { link, net } => Ok(encode::new_address(links.index(link)?, *net)),
            Part::Route { link, dst, metric } => Ok(encode::new_route(links.index(link)?, *dst, *metric)),
        })
    }

    pub(super) fn update(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.write("update", &Part::Link(link.clone()), |_| Ok(encode::set_link(link)))
    }

    pub(super) fn delete(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.write("delete", part, |links| match part {
            Part::Link(link) => Ok(encode::del_link(&link.name)),
            Part::Address { link, net } => Ok(encode::del_address(links.index(link)?, *net)),
            Part::Route { link, dst, metric } => Ok(encode::del_route(links.index(link)?, *dst, *metric)),
        })
    }

    fn write(
        &mut self,
        verb: &'static str,
        part: &Part,
        message: impl FnOnce(&mut Self) -> Result<Zeroizing<Vec<u8>>, ExchangeError>,
    ) -> Result<(), XfrmError> {
        let answer = message(self).and_then(|mut message| self.0.request(&mut message));
        answer.map_err(|error| match error {
            ExchangeError::Refused(source) => {
                XfrmError::Part { verb, part: part.id(), source: explain::part(source, verb, part) }
            }
            ExchangeError::Decode(source) => XfrmError::Decode { what: part.id().to_string(), source },
        })
    }

    /// By the socket and not by the thread, whose namespace may be another.
    fn index(&mut self, name: &str) -> Result<u32, ExchangeError> {
        let link = self.0.ask(&mut encode::get_link(name), decode::link)?;
        link.map(|link| link.ifindex).ok_or(ExchangeError::Refused(NetlinkError::new(libc::ENODEV)))
    }
}

/// A link may go between one dump and the next.
fn none_of_a_gone_link<T>(dump: Result<Vec<T>, ExchangeError>) -> Result<Vec<T>, ExchangeError> {
    match dump {
        Err(ExchangeError::Refused(error)) if error.errno == libc::ENODEV => Ok(Vec::new()),
        other => other,
    }
}

fn dump(what: &'static str) -> impl FnOnce(ExchangeError) -> XfrmError {
    move |error| match error {
        ExchangeError::Refused(source) => XfrmError::Dump { what, source: explain::dump(source) },
        ExchangeError::Decode(source) => XfrmError::Decode { what: what.to_owned(), source },
    }
}
