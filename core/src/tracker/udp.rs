//! The tracker protocol over UDP, both ends: datagrams in, datagrams out.
//!
//! A client first asks for a connection id, which only reaches it at the address that it says it has, and shows it with
//! whatever it asks then. So a tracker need not remember anybody to know that an asker is where it claims to be.
//! [`wire`] turns requests and replies into bytes and back; [`ConnectionIds`] makes the ids and tells whether one is
//! good; [`Responder`] is the server's side of it, [`Exchange`] the client's.
//!
//! Knows nothing of sockets, names or swarms: [`Swarms`] answers what the responder asks, whoever owns the socket sends
//! what comes out.
//!
//! Laws: no datagram panics; nobody who has not shown a good id gets more bytes than he sent; no reply is longer than
//! [`MAX_REPLY_BYTES`], so that none is ever cut in two on its way; a reply counts only if it bears the number of the
//! request that is under way; text for people comes out short and printable.
//! Sources: BEP 15 (the protocol, and its reading over IPv6), BEP 41 (the URL's path as an option).

mod connection_id;
mod exchange;
mod responder;
pub mod wire;

pub use connection_id::{ConnectionId, ConnectionIds};
pub use exchange::{Exchange, ExchangeInput, ExchangeOutput, ID_IS_FRESH, PATIENCE};
pub use responder::{Answer, Responder, Swarms};

use std::time::Duration;

use url::Url;

use super::AnnounceFailure;
use super::http::printable;

/// The longest reply, in bytes: what IPv6 carries everywhere in one packet (RFC 8200, section 5), less its headers.
pub const MAX_REPLY_BYTES: usize = 1280 - 40 - 8;

/// Swarms answered for in one scrape, as BEP 15 has it; more are left out.
pub const MAX_SCRAPE: usize = 74;

/// Where a tracker is that speaks UDP, as its announce URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpUrl {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query, to be sent along; empty if there is neither. BEP 41.
    pub data: String,
}

/// Whether `url` names a tracker that speaks UDP.
pub fn is_udp(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("udp"))
}

impl UdpUrl {
    /// Reads an announce URL.
    ///
    /// # Errors
    ///
    /// If it names no host or no port; such a tracker need not be tried again.
    pub fn parse(text: &str) -> Result<Self, AnnounceFailure> {
        let never = |what: &str| {
            let reason = format!("`{}` {what}", printable(text.as_bytes()));
            AnnounceFailure { retry_in: Some(Duration::MAX), ..AnnounceFailure::new(reason) }
        };
        let url: Url = text.parse().map_err(|_| never("is no URL"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| never("names no host"))?;
        let port = url.port().filter(|&port| port != 0).ok_or_else(|| never("names no port"))?;
        let mut data = url.path().to_owned();
        if let Some(query) = url.query() {
            data.push('?');
            data.push_str(query);
        }
        if data == "/" {
            data.clear();
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_into_what_is_dialled_and_what_is_sent() {
        let parse = |text: &str| UdpUrl::parse(text).map(|url| (url.host, url.port, url.data));
        let parts = |host: &str, port, data: &str| Ok((host.to_owned(), port, data.to_owned()));
        assert_eq!(parse("udp://t.example:6969/announce?key=1#x"), parts("t.example", 6969, "/announce?key=1"));
        assert_eq!(parse("UDP://192.0.2.1:80"), parts("192.0.2.1", 80, ""));
        assert_eq!(parse("udp://[2001:db8::1]:80/"), parts("2001:db8::1", 80, ""));
        for bad in ["udp://t.example/announce", "udp://:80/", "udp:80", "udp://t.example:0/", "udp://t.example:70000/"]
        {
            assert_eq!(parse(bad).unwrap_err().retry_in, Some(Duration::MAX), "{bad}");
        }
    }

    #[test]
    fn a_scheme_is_read_in_any_case() {
        assert!(is_udp("udp://t.example:1/") && is_udp("UdP://t.example:1/"));
        assert!(!is_udp("http://udp/") && !is_udp("udp") && !is_udp(""));
    }
}
