//! Who really asks, where requests come through a reverse proxy.
//!
//! A proxy tells it in a header, and so can anybody else. So a header is believed only of who connects from an address
//! that the owner named, and of the addresses in it only those that such a proxy wrote: it is read from its end, where
//! the last proxy put whom it heard, for as long as that is a trusted proxy itself.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are read. Most proxies write one and pass the other through as it came;
//! where both stand and name different askers, neither is believed, and the proxy itself counts as the asker.
//!
//! Law: who connects from elsewhere is who he is, whatever he says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

use super::Peers;
use super::resource::Fields;

/// The older header, which nearly every proxy writes.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More hops than this are not followed.
const MOST_HOPS: usize = 16;

/// An address or a network whose word on who asks is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrustedProxy(IpNet);

/// Text that names no address and no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("want an address such as `127.0.0.1`, or a network such as `10.0.0.0/8`")]
pub(crate) struct NoNetwork;

impl FromStr for TrustedProxy {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let net = match text.parse::<IpAddr>() {
            Ok(ip) => IpNet::from(ip.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| NoNetwork)?,
        };
        Ok(Self(net.trunc()))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The proxies that the owner named; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Arc<[TrustedProxy]>);

impl From<Vec<TrustedProxy>> for Proxies {
    fn from(proxies: Vec<TrustedProxy>) -> Self {
        Self(proxies.into())
    }
}

impl Proxies {
    /// Whether the owner named any.
    pub(crate) fn are_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether the word of `ip` is taken.
    pub(crate) fn trust(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|proxy| proxy.0.contains(&ip.to_canonical()))
    }

    /// The ends of the connection, with the real asker in the place of a trusted proxy.
    pub(crate) fn see_through(&self, peers: Peers, asked: &(impl Fields + ?Sized)) -> Peers {
        if !self.trust(peers.remote.ip()) {
            return peers;
        }
        let told = [hops(asked, X_FORWARDED_FOR, plain_hop), hops(asked, FORWARDED, forwarded_hop)];
        let mut named = told.into_iter().flatten().map(|hops| self.asker(peers.remote, &hops));
        match (named.next(), named.next()) {
            (Some(remote), None) => Peers { remote, ..peers },
            (Some(one), Some(other)) if one.ip() == other.ip() => Peers { remote: one, ..peers },
            _ => peers,
        }
    }

    /// The last of `hops` that is no trusted proxy; the connection's own end if what comes before cannot be read.
    fn asker(&self, connected: SocketAddr, hops: &[Option<SocketAddr>]) -> SocketAddr {
        let mut last = connected;
        for hop in hops.iter().rev().take(MOST_HOPS) {
            let Some(hop) = hop else { break };
            last = *hop;
            if !self.trust(last.ip()) {
                break;
            }
        }
        last
    }
}

/// What each element of the header `name` names, in its order; `None` where the header is absent.
fn hops(
    asked: &(impl Fields + ?Sized),
    name: HeaderName,
    read: impl Fn(&str) -> Option<SocketAddr>,
) -> Option<Vec<Option<SocketAddr>>> {
    let mut values = asked.values(name).peekable();
    values.peek()?;
    let elements = values.flat_map(|value| str::from_utf8(value).unwrap_or_default().split(','));
    Some(elements.map(|element| read(element.trim())).collect())
}

/// `192.0.2.1`, `192.0.2.1:50000`, `2001:db8::1` or `[2001:db8::1]:50000`. A port that is not told is 0.
fn plain_hop(text: &str) -> Option<SocketAddr> {
    let bare = || {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        Some(SocketAddr::new(bare.parse().ok()?, 0))
    };
    let addr = text.parse::<SocketAddr>().ok().or_else(bare)?;
    Some(super::canonical(addr))
}

/// The `for` of one element of `Forwarded`; `unknown` and hidden names are no address.
fn forwarded_hop(element: &str) -> Option<SocketAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    plain_hop(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    /// The asker that is seen where `remote` connects and sends `fields`, with 127.0.0.1 and 10.0.0.0/8 trusted.
    #[track_caller]
    fn check(remote: &str, fields: &[(&'static str, &str)], want: &str) {
        let proxies = Proxies::from(vec!["127.0.0.1".parse().unwrap(), "10.1.2.3/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peers =
            Peers { remote: SocketAddr::new(remote.parse().unwrap(), 9), local: "127.0.0.1:1".parse().unwrap() };
        assert_eq!(proxies.see_through(peers, &headers).remote.ip(), want.parse::<IpAddr>().unwrap(), "{fields:?}");
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn a_trusted_proxy_names_the_asker() {
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &[(XFF, "192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "[2001:db8::1]:443")], "2001:db8::1");
        check("127.0.0.1", &[(XFF, "::ffff:192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[("forwarded", "proto=https; For=\"[2001:db8::1]:47011\"")], "2001:db8::1");
        check("127.0.0.1", &[("forwarded", "for=192.0.2.1;by=203.0.113.1, for=10.0.0.5")], "192.0.2.1");
    }

    #[test]
    fn a_header_of_somebody_else_is_not_believed() {
        check("192.0.2.9", &[(XFF, "198.51.100.1"), ("forwarded", "for=198.51.100.1")], "192.0.2.9");
    }

    #[test]
    fn what_the_asker_himself_put_before_the_proxys_word_is_not_believed() {
        check("127.0.0.1", &[(XFF, "198.51.100.1, 192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "198.51.100.1"), (XFF, "192.0.2.1, 10.0.0.5")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "127.0.0.1, 192.0.2.1")], "192.0.2.1");
    }

    #[test]
    fn a_header_that_the_proxy_passed_through_outvotes_nobody() {
        check("127.0.0.1", &[(XFF, "192.0.2.1"), ("forwarded", "for=192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "192.0.2.1"), ("forwarded", "for=198.51.100.1")], "127.0.0.1");
    }

    #[test]
    fn words_that_name_nobody_leave_the_proxy_before_them() {
        check("127.0.0.1", &[(XFF, "198.51.100.1, unknown")], "127.0.0.1");
        check("127.0.0.1", &[("forwarded", "for=198.51.100.1, for=_hidden, for=10.0.0.7")], "10.0.0.7");
        check("127.0.0.1", &[(XFF, "")], "127.0.0.1");
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for good in ["127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.1"] {
            assert!(good.parse::<TrustedProxy>().is_ok(), "{good}");
        }
        for bad in ["", "localhost", "10.0.0.0/33", "10.0.0.1:80"] {
            assert_eq!(bad.parse::<TrustedProxy>(), Err(NoNetwork), "{bad}");
        }
    }
}
