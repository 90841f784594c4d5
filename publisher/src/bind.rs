//! The sockets of the public ports: where they listen, and what happens if a port is taken.
//!
//! The tracker over UDP has the number of the HTTP port, so that there is one number to remember and to forward. A port
//! that was asked for is taken or refused. The default port, in use by either protocol, falls to the next one that is
//! free for both, and the owner is told. For https the default port is that of the world, 443, which only some may
//! take; whoever may not gets one that a router or a firewall can lead it to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use podswarm_core::app::Failure;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// The port for feed, pages, media and tracker.
pub(crate) const DEFAULT_PORT: u16 = 6969;
/// The port for https that URLs need not name.
const HTTPS_PORT: u16 = 443;
/// The port for https where that one cannot be had.
const OTHER_HTTPS_PORT: u16 = 8443;
/// How many ports from the default one on are tried.
const TRIED: u16 = 20;
/// Connections that wait to be accepted; a release brings many at once.
const BACKLOG: i32 = 1024;
/// Bytes of datagrams that wait to be read, as far as the system allows.
const WAITING: usize = 4 << 20;
/// How often any free port is taken anew where the other protocol's is in use.
const ATTEMPTS: usize = 16;

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

/// Sockets that listen.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The socket for HTTP.
    pub(crate) listener: TcpListener,
    /// The socket for the tracker over UDP, if there is to be one; its address is the same.
    pub(crate) udp: Option<UdpSocket>,
    /// The address.
    pub(crate) addr: SocketAddr,
    /// What the owner should know if it is not the default port.
    pub(crate) note: Option<String>,
}

impl Listen {
    /// The port it names, or the default one.
    pub(crate) fn likely_addr(&self) -> SocketAddr {
        let port = self.port.filter(|&port| port != 0).unwrap_or(DEFAULT_PORT);
        SocketAddr::new(self.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
    }

    /// Opens the sockets, that for UDP if `udp`.
    pub(crate) fn bind(&self, udp: bool) -> Result<Bound, Failure> {
        match self.port {
            Some(port) => self.bind_exactly(port, udp, "--listen"),
            None => self.bind_near(DEFAULT_PORT, udp, "--listen"),
        }
    }

    /// Opens the socket for https.
    pub(crate) fn bind_https(&self) -> Result<Bound, Failure> {
        const FLAG: &str = "--https-listen";
        if let Some(port) = self.port {
            return self.bind_exactly(port, false, FLAG);
        }
        let why = match self.bind_to(HTTPS_PORT, false) {
            Ok(bound) => return Ok(bound),
            Err(Refused { error, .. }) => match error.kind() {
                io::ErrorKind::AddrInUse => "is in use",
                io::ErrorKind::PermissionDenied => "may not be taken by this user",
                _ => return self.bind_exactly(HTTPS_PORT, false, FLAG),
            },
        };
        let bound = self.bind_near(OTHER_HTTPS_PORT, false, FLAG)?;
        let port = bound.addr.port();
        let note = format!(
            "port {HTTPS_PORT} {why}; https listens on {port}. Where something leads {HTTPS_PORT} to it, say so with \
             --public-url https://HOST"
        );
        Ok(Bound { note: Some(note), ..bound })
    }

    /// Opens the sockets at `port`; 0 is any. `flag` is what chooses another.
    fn bind_exactly(&self, port: u16, udp: bool, flag: &str) -> Result<Bound, Failure> {
        let mut attempts = if port == 0 { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match self.bind_to(port, udp) {
                Ok(bound) => return Ok(bound),
                Err(Refused { error, .. }) if attempts > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                Err(refused) => {
                    let hint = match refused.protocol {
                        Protocol::UDP => {
                            format!("give another one with {flag} IP:PORT, or leave it out with --no-udp-tracker")
                        }
                        _ => format!("give another one with {flag} IP:PORT; port 0 takes any free one"),
                    };
                    return Err(self.failure(port, refused).with_hint(hint));
                }
            }
        }
    }

    /// Opens the sockets at `first`, or at the next port that is free.
    fn bind_near(&self, first: u16, udp: bool, flag: &str) -> Result<Bound, Failure> {
        let last = first.saturating_add(TRIED - 1);
        let mut refusal = None;
        for port in first..=last {
            match self.bind_to(port, udp) {
                Ok(bound) => {
                    let note = || format!("port {first} is in use; the next free one is taken");
                    return Ok(Bound { note: (port != first).then(note), ..bound });
                }
                Err(Refused { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => refusal = Some(error),
                Err(refused) => {
                    let hint = format!("give another address with {flag} IP:PORT");
                    return Err(self.failure(port, refused).with_hint(hint));
                }
            }
        }
        let failure = Failure::new(format!("no port from {first} to {last} is free"));
        Err(failure.because(refusal.expect("every port was refused")).with_hint(format!("choose one with {flag} PORT")))
    }

    fn describe(&self, port: u16) -> String {
        self.ip.map_or_else(|| format!("port {port}"), |ip| SocketAddr::new(ip, port).to_string())
    }

    fn failure(&self, port: u16, refused: Refused) -> Failure {
        let over = if refused.protocol == Protocol::UDP { " over UDP, for the tracker" } else { "" };
        Failure::new(format!("listen on {}{over}", self.describe(port))).because(refused.error)
    }

    fn bind_to(&self, port: u16, udp: bool) -> Result<Bound, Refused> {
        let refused = |protocol| move |error| Refused { protocol, error };
        let tcp = match self.ip {
            Some(ip) => open_tcp(SocketAddr::new(ip, port)),
            // One socket for both families, where the system has IPv6.
            None => open_tcp((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => open_tcp((Ipv4Addr::UNSPECIFIED, port).into()),
            }),
        };
        let (listener, addr) = tcp.map_err(refused(Protocol::TCP))?;
        let udp = udp.then(|| open_udp(addr)).transpose().map_err(refused(Protocol::UDP))?;
        Ok(Bound { listener, udp, addr, note: None })
    }
}

/// Why a port cannot be had.
struct Refused {
    protocol: Protocol,
    error: io::Error,
}

fn open_tcp(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = open(addr, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait for the connections of the run before to be forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

fn open_udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(addr, Type::DGRAM, Protocol::UDP)?;
    // What the system does not give is no reason not to serve.
    let _ = socket.set_recv_buffer_size(WAITING);
    let _ = socket.set_send_buffer_size(WAITING);
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// A socket that will be bound to `addr`; at the unspecified address of IPv6 it is for both families.
fn open(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr == SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), addr.port()) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
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
        let bound = "127.0.0.1:0".parse::<Listen>().unwrap().bind(true).unwrap();
        assert_ne!(bound.addr.port(), 0);
        assert_eq!(bound.note, None);
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_and_is_taken_is_refused() {
        let taken = "127.0.0.1:0".parse::<Listen>().unwrap().bind(true).unwrap();
        let failure = taken.addr.to_string().parse::<Listen>().unwrap().bind(true).unwrap_err();
        assert!(failure.to_string().contains(&taken.addr.to_string()), "{failure}");
        assert!(failure.hint().is_some());
    }

    #[tokio::test]
    async fn without_an_address_both_families_are_served() {
        let bound = "0".parse::<Listen>().unwrap().bind(true).unwrap();
        let port = bound.addr.port();
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    }

    #[tokio::test]
    async fn a_default_port_in_use_falls_to_the_next_free_one() {
        let taken = "127.0.0.1:0".parse::<Listen>().unwrap().bind(true).unwrap();
        let first = taken.addr.port();
        let bound = "127.0.0.1".parse::<Listen>().unwrap().bind_near(first, true, "--listen").unwrap();
        assert!(bound.addr.port() > first);
        let told = bound.note.unwrap();
        assert!(told.starts_with(&format!("port {first} is in use")), "{told}");
    }

    #[tokio::test]
    async fn the_tracker_over_udp_has_the_port_of_http() {
        for listen in ["127.0.0.1:0", "0"] {
            let bound = listen.parse::<Listen>().unwrap().bind(true).unwrap();
            assert_eq!(bound.udp.unwrap().local_addr().unwrap(), bound.addr);
        }
        assert!("127.0.0.1:0".parse::<Listen>().unwrap().bind(false).unwrap().udp.is_none());
    }

    #[tokio::test]
    async fn a_port_taken_over_udp_is_taken() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = udp.local_addr().unwrap();
        let bind = |udp| taken.to_string().parse::<Listen>().unwrap().bind(udp);
        let failure = bind(true).unwrap_err();
        assert!(
            failure.to_string().starts_with(&format!("listen on {taken} over UDP, for the tracker: ")),
            "{failure}"
        );
        assert!(failure.hint().unwrap().contains("--no-udp-tracker"));
        bind(false).unwrap();
        let near = "127.0.0.1".parse::<Listen>().unwrap().bind_near(taken.port(), true, "--listen").unwrap();
        assert!(near.note.is_some() && near.addr.port() > taken.port());
    }
}
