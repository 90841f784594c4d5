//! The socket of the public port: where it listens, and what happens if the port is taken.
//!
//! A port that was asked for is taken or refused. The default port, in use, falls to the next free one, and the owner
//! is told.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use podswarm_core::app::Failure;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// The port for feed, pages, media and tracker.
pub(crate) const DEFAULT_PORT: u16 = 6969;
/// How many ports from the default one on are tried.
const TRIED: u16 = 20;
/// Connections that wait to be accepted; a release brings many at once.
const BACKLOG: i32 = 1024;

/// Where to listen, as it was typed: `IP:PORT`, `IP` or `PORT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listen {
    /// All addresses of both families if absent.
    ip: Option<IpAddr>,
    /// The default one, or one near it, if absent.
    port: Option<u16>,
}

/// Something typed that is no place to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not an address to listen on; want IP:PORT, an IP or a port")]
pub(crate) struct ListenError {
    got: String,
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let port = text.strip_prefix(':').unwrap_or(text);
        if let Ok(port) = port.parse() {
            return Ok(Self { ip: None, port: Some(port) });
        }
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: Some(addr.ip()), port: Some(addr.port()) });
        }
        let ip = text.trim_start_matches('[').trim_end_matches(']').parse();
        let ip = ip.map_err(|_| ListenError { got: text.to_owned() })?;
        Ok(Self { ip: Some(ip), port: None })
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The socket.
    pub(crate) listener: TcpListener,
    /// Its address.
    pub(crate) addr: SocketAddr,
    /// The default port that it did not get, if so.
    pub(crate) instead_of: Option<u16>,
}

impl Listen {
    /// The port it names, or the default one.
    pub(crate) fn likely_addr(&self) -> SocketAddr {
        let port = self.port.filter(|&port| port != 0).unwrap_or(DEFAULT_PORT);
        SocketAddr::new(self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
    }

    /// Opens the socket.
    pub(crate) fn bind(&self) -> Result<Bound, Failure> {
        let Some(port) = self.port else { return self.bind_near(DEFAULT_PORT) };
        let (listener, addr) = self.bind_to(port).map_err(|error| {
            let failure = Failure::new(format!("listen on {}", self.describe(port))).because(error);
            failure.with_hint("give another one with --listen IP:PORT; port 0 takes any free one")
        })?;
        Ok(Bound { listener, addr, instead_of: None })
    }

    /// Opens the socket at `first`, or at the next port that is free.
    fn bind_near(&self, first: u16) -> Result<Bound, Failure> {
        let last = first.saturating_add(TRIED - 1);
        let mut refusal = None;
        for port in first..=last {
            match self.bind_to(port) {
                Ok((listener, addr)) => {
                    return Ok(Bound { listener, addr, instead_of: (port != first).then_some(first) });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => refusal = Some(error),
                Err(error) => {
                    let failure = Failure::new(format!("listen on {}", self.describe(port))).because(error);
                    return Err(failure.with_hint("give another address with --listen IP:PORT"));
                }
            }
        }
        let failure = Failure::new(format!("no port from {first} to {last} is free"));
        Err(failure.because(refusal.expect("every port was refused")).with_hint("choose one with --listen PORT"))
    }

    fn describe(&self, port: u16) -> String {
        self.ip.map_or_else(|| format!("port {port}"), |ip| SocketAddr::new(ip, port).to_string())
    }

    fn bind_to(&self, port: u16) -> io::Result<(TcpListener, SocketAddr)> {
        match self.ip {
            Some(ip) => open(SocketAddr::new(ip, port)),
            // One socket for both families, where the system has IPv6.
            None => open((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => open((Ipv4Addr::UNSPECIFIED, port).into()),
            }),
        }
    }
}

fn open(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr == SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), addr.port()) {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the connections of the run before to be forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_port_or_both_may_be_typed() {
        let parse = |text: &str| text.parse::<Listen>().map(|listen| (listen.ip.map(|ip| ip.to_string()), listen.port));
        assert_eq!(parse("127.0.0.1:80"), Ok((Some("127.0.0.1".into()), Some(80))));
        assert_eq!(parse("[::1]:0"), Ok((Some("::1".into()), Some(0))));
        assert_eq!(parse("::1"), Ok((Some("::1".into()), None)));
        assert_eq!(parse("[::1]"), Ok((Some("::1".into()), None)));
        assert_eq!(parse("8080"), Ok((None, Some(8080))));
        assert_eq!(parse(":8080"), Ok((None, Some(8080))));
        for bad in ["", "a", "a.example:80", "127.0.0.1:99999", "70000"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn port_0_takes_any_free_one() {
        let bound = "127.0.0.1:0".parse::<Listen>().unwrap().bind().unwrap();
        assert_ne!(bound.addr.port(), 0);
        assert_eq!(bound.instead_of, None);
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_and_is_taken_is_refused() {
        let taken = "127.0.0.1:0".parse::<Listen>().unwrap().bind().unwrap();
        let failure = taken.addr.to_string().parse::<Listen>().unwrap().bind().unwrap_err();
        assert!(failure.to_string().contains(&taken.addr.to_string()), "{failure}");
        assert!(failure.hint().is_some());
    }

    #[tokio::test]
    async fn without_an_address_both_families_are_served() {
        let bound = "0".parse::<Listen>().unwrap().bind().unwrap();
        let port = bound.addr.port();
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    }

    #[tokio::test]
    async fn a_default_port_in_use_falls_to_the_next_free_one() {
        let taken = "127.0.0.1:0".parse::<Listen>().unwrap().bind().unwrap();
        let first = taken.addr.port();
        let bound = "127.0.0.1".parse::<Listen>().unwrap().bind_near(first).unwrap();
        assert!(bound.addr.port() > first);
        assert_eq!(bound.instead_of, Some(first));
    }
}
