//! Where a node is said to be: a host by its name or address, and a port.
//!
//! So stand nodes in configurations, and under `nodes` in torrents that have no tracker. Source: BEP 5 "torrent file
//! extensions".

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host and a UDP port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddr {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

/// What was typed is no host with a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is no node; want HOST:PORT, such as `router.example:6881` or `[2001:db8::1]:6881`")]
pub struct NodeAddrError {
    got: String,
}

impl NodeAddr {
    /// `None` if there is no such host or port.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let is_name = |host: &str| {
            host.len() <= 253
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        };
        let is_host = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && is_name(host));
        (is_host && port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

impl FromStr for NodeAddr {
    type Err = NodeAddrError;

    fn from_str(text: &str) -> Result<Self, NodeAddrError> {
        let parse = || {
            let (host, port) = text.rsplit_once(':')?;
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            if bare.is_some_and(|host| host.parse::<Ipv6Addr>().is_err()) || (bare.is_none() && host.contains(':')) {
                return None;
            }
            Self::new(bare.unwrap_or(host), port.parse().ok()?)
        };
        parse().ok_or_else(|| NodeAddrError { got: text.to_owned() })
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_and_written_alike() {
        for text in ["router.example:6881", "198.18.0.1:1", "[2001:db8::1]:65535", "localhost:7"] {
            assert_eq!(text.parse::<NodeAddr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_with_a_port_is_refused() {
        for text in
            ["", ":1", "host", "host:", "host:0", "host:65536", "2001:db8::1:1", "[host]:1", "a b:1", "http://a:1"]
        {
            assert!(text.parse::<NodeAddr>().unwrap_err().to_string().contains("HOST:PORT"), "{text}");
        }
    }
}
