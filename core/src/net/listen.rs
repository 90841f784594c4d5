//! The sockets on which peers reach us, one for TCP and one for UDP of each address family, with one port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::stream::Stream;
use super::udp::UdpPort;
use super::{EngineError, PeerPort};
use crate::swarm::peers::canonical;

/// The ports that are tried first.
const DEFAULT_PORTS: std::ops::RangeInclusive<u16> = 6881..=6889;
/// How often a fresh port is tried on which the other family is busy.
const ATTEMPTS: usize = 16;
/// A pause after the system could not give a connection, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The two sockets of one address.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    pub(crate) tcp: TcpListener,
    pub(crate) udp: UdpPort,
}

/// Binds the listeners. IPv6 is left out on systems without it.
pub(crate) fn bind(port: PeerPort, address: Option<IpAddr>) -> Result<Vec<Listener>, EngineError> {
    let addresses = match address {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let candidates: Vec<u16> = match port {
        PeerPort::Default => DEFAULT_PORTS.chain([0; ATTEMPTS]).collect(),
        PeerPort::Exactly(0) => vec![0; ATTEMPTS],
        PeerPort::Exactly(port) => vec![port],
    };
    let mut failure = None;
    for port in candidates {
        match bind_all(&addresses, port) {
            Ok(listeners) => return Ok(listeners),
            Err(err) => failure = Some(err),
        }
    }
    Err(failure.expect("at least one port was tried"))
}

fn bind_all(addresses: &[IpAddr], mut port: u16) -> Result<Vec<Listener>, EngineError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for address in addresses {
        let addr = SocketAddr::new(*address, port);
        match listen(addr) {
            Ok(listener) => {
                port = listener.addr.port();
                listeners.push(listener);
            }
            // A system without IPv6.
            Err(err) if addr.is_ipv6() && !listeners.is_empty() && err.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(%err, "no IPv6");
            }
            Err(source) => return Err(EngineError::Listen { addr, source }),
        }
    }
    Ok(listeners)
}

fn listen(addr: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(256)?;
    let tcp = TcpListener::from_std(socket.into())?;
    let addr = tcp.local_addr()?;
    Ok(Listener { addr, tcp, udp: UdpPort::bind(addr)? })
}

/// Hands every connection to the engine.
pub(crate) async fn accept_task(listener: TcpListener, engine: mpsc::Sender<(Stream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                if engine.send((Stream::tcp(stream), canonical(addr))).await.is_err() {
                    return;
                }
            }
            Err(err) => {
                tracing::warn!(%err, "no connection from the system");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
