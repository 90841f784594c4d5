//! The sockets on which peers reach us, one for TCP and one for UDP of each address family, with one port.
//!
//! Where they are tied to an interface that goes and comes back, as those of tunnels do, they are opened anew: the
//! system takes it for another one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::route::{Bind, index_of};
use super::stream::Stream;
use super::udp::UdpPort;
use super::{EngineError, PeerPort};
use crate::swarm::peers::canonical;

/// The ports that are tried first.
const DEFAULT_PORTS: std::ops::RangeInclusive<u16> = 6881..=6889;
/// How often a fresh port is tried on which the other family is busy.
const ATTEMPTS: usize = 16;
/// How often it is seen whether the interface is there.
const LOOK: Duration = Duration::from_secs(2);
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
pub(crate) fn bind(port: PeerPort, bind: Option<&Bind>) -> Result<Vec<Listener>, EngineError> {
    let addresses = match bind.and_then(Bind::address) {
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
        match bind_all(&addresses, port, bind) {
            Ok(listeners) => return Ok(listeners),
            Err(err) => failure = Some(err),
        }
    }
    Err(failure.expect("at least one port was tried"))
}

fn bind_all(addresses: &[IpAddr], mut port: u16, bind: Option<&Bind>) -> Result<Vec<Listener>, EngineError> {
    if let Some(name) = bind.and_then(Bind::interface).filter(|name| index_of(name).is_none()) {
        return Err(EngineError::Interface { name: name.to_owned() });
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for address in addresses {
        let addr = SocketAddr::new(*address, port);
        match listen(addr, bind) {
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

fn listen(addr: SocketAddr, bind: Option<&Bind>) -> io::Result<Listener> {
    let tcp = listen_over_tcp(addr, bind)?;
    let addr = tcp.local_addr()?;
    Ok(Listener { addr, tcp, udp: UdpPort::bind(addr, bind)? })
}

fn listen_over_tcp(addr: SocketAddr, bind: Option<&Bind>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(bind) = bind {
        bind.tie(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(256)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until `until`.
pub(crate) fn accept(listener: TcpListener, engine: mpsc::Sender<(Stream, SocketAddr)>, until: CancellationToken) {
    tokio::spawn(async move { until.run_until_cancelled(accept_task(listener, engine)).await });
}

/// Follows the interface to which the ports are tied.
#[derive(Debug)]
pub(crate) struct Follow {
    /// The interface.
    pub(crate) bind: Bind,
    pub(crate) ports: Vec<Arc<UdpPort>>,
    /// Where connections go.
    pub(crate) accepted: mpsc::Sender<(Stream, SocketAddr)>,
    /// Ends the listeners that there are.
    pub(crate) accepting: CancellationToken,
    /// Told each time that it has come back.
    pub(crate) came_back: mpsc::Sender<()>,
}

impl Follow {
    /// Opens the ports anew each time that the interface has come back, until nobody cares.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let Some(name) = self.bind.interface().map(str::to_owned) else { return };
        let (mut known, mut is_there) = (index_of(&name), true);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = index_of(&name);
            if now.is_some() != is_there {
                is_there = now.is_some();
                if is_there {
                    tracing::info!(name, "the interface is back");
                } else {
                    tracing::warn!(name, "the interface is gone: nothing is sent or received");
                }
            }
            if now.is_none() || now == known {
                continue;
            }
            self.accepting.cancel();
            self.accepting = stop.child_token();
            match self.reopen() {
                Ok(()) => known = now,
                // It may have gone again.
                Err(error) => {
                    tracing::warn!(name, %error, "the ports for peers cannot be opened anew");
                    continue;
                }
            }
            if self.came_back.send(()).await.is_err() {
                return;
            }
        }
    }

    fn reopen(&self) -> io::Result<()> {
        for port in &self.ports {
            port.reopen(&self.bind)?;
            let listener = listen_over_tcp(port.addr(), Some(&self.bind))?;
            accept(listener, self.accepted.clone(), self.accepting.clone());
        }
        Ok(())
    }
}

/// Hands every connection to the engine.
async fn accept_task(listener: TcpListener, engine: mpsc::Sender<(Stream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => {
                if engine.send((Stream::tcp(stream), canonical(addr))).await.is_err() {
                    return;
                }
            }
            Err(error) => rest_after_accept(&error).await,
        }
    }
}

/// Waits after an accept that failed for a reason of this machine, such as a lack of descriptors, and would fail again
/// at once; a peer that went away meanwhile is no such reason.
pub async fn rest_after_accept(error: &io::Error) {
    let is_of_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    );
    if !is_of_peer {
        tracing::warn!(%error, "cannot accept connections for now");
        tokio::time::sleep(PAUSE).await;
    }
}
