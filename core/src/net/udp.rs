//! The UDP sockets of the peer port, and who is meant by what comes there.
//!
//! Beside each TCP listener is a UDP socket with the same address and port. One task reads them, as many datagrams at a time as the
//! system gives, and sorts by the first byte: uTP's says version and kind (BEP 29), a message of the distributed hash table begins with
//! the `d` of a bencoded dictionary (BEP 5). Neither can be taken for the other.
//!
//! A datagram leaves from the address at which the other side reached us, on a machine that has several.
//!
//! Law: nothing is kept of a datagram; what nobody wants is dropped without an answer, and no answer is longer than what it answers.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::clock::Clock;
use crate::utp::packet::{HEADER, Packet};

/// Datagrams, or runs of datagrams of one sender, that are read at once.
const AT_ONCE: usize = 8;
/// Room for each: the system joins datagrams of one sender up to this length.
const LONGEST: usize = 1 << 16;
/// How long to wait after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// One UDP socket of the peer port.
#[derive(Debug)]
pub(crate) struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    addr: SocketAddr,
}

impl UdpPort {
    /// Binds a socket to exactly this address.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&addr.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let addr = socket.local_addr()?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, addr })
    }

    /// Reads what is there.
    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.came = 0;
        let mut buffers: [IoSliceMut<'_>; AT_ONCE] = batch.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let receive = || self.state.recv(UdpSockRef::from(&self.socket), &mut buffers, &mut batch.metas);
        match self.socket.try_io(Interest::READABLE, receive) {
            Ok(came) => batch.came = came,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends a datagram, from `source` if the socket has several addresses.
    ///
    /// It is lost, as any datagram may be, if the system has no room for it.
    pub(crate) fn send(&self, destination: SocketAddr, source: Option<IpAddr>, contents: &[u8]) {
        let src_ip = source.filter(|_| self.addr.ip().is_unspecified());
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
        let send = || self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        if let Err(error) = self.socket.try_io(Interest::WRITABLE, send) {
            tracing::trace!(to = %destination, %error, "a datagram is lost");
        }
    }
}

/// What was read at once.
#[derive(Debug)]
struct Batch {
    buffers: [Box<[u8]>; AT_ONCE],
    metas: [RecvMeta; AT_ONCE],
    came: usize,
}

impl Batch {
    fn new() -> Self {
        let buffers = std::array::from_fn(|_| vec![0; LONGEST].into_boxed_slice());
        Self { buffers, metas: [RecvMeta::default(); AT_ONCE], came: 0 }
    }

    /// Every datagram, with where it came from and the address at which it reached us.
    fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &[u8])> {
        let runs = self.buffers.iter().zip(&self.metas).take(self.came);
        runs.flat_map(|(buffer, meta)| {
            let datagrams = buffer[..meta.len].chunks(meta.stride.max(1));
            datagrams.map(|datagram| (meta.addr, meta.dst_ip, datagram))
        })
    }
}

/// Reads what comes to the sockets, for ever.
pub(crate) async fn serve_task(ports: Vec<UdpPort>, clock: Clock) {
    let mut batch = Batch::new();
    loop {
        let port = readable(&ports).await;
        if let Err(error) = port.receive(&mut batch) {
            tracing::debug!(%error, "no datagram from the system");
            tokio::time::sleep(PAUSE).await;
        }
        for (from, to, datagram) in batch.datagrams() {
            if let Some(packet) = Packet::decode(datagram) {
                refuse(port, (from, to), &packet, &clock);
            }
        }
    }
}

/// Waits for whichever socket has something to read first.
async fn readable(ports: &[UdpPort]) -> &UdpPort {
    let (first, others) = ports.split_first().expect("there is a socket for each listener");
    let Some(second) = others.first() else {
        let _ = first.socket.readable().await;
        return first;
    };
    // What is wrong with a socket is seen when it is read.
    tokio::select! {
        _ = first.socket.readable() => first,
        _ = second.socket.readable() => second,
    }
}

/// Tells who thinks to have a connection that there is none, so that they need not wait before they try TCP.
fn refuse(port: &UdpPort, (from, to): (SocketAddr, Option<IpAddr>), packet: &Packet<'_>, clock: &Clock) {
    let now_us = u32::try_from(clock.now().as_nanos() / 1000 % (1 << 32)).expect("it is below 2^32");
    if let Some(refusal) = packet.header.refusal(now_us) {
        let mut bytes = Vec::with_capacity(HEADER);
        refusal.encode(None, &mut bytes);
        port.send(from, to, &bytes);
    }
}
