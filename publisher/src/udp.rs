//! The socket under the tracker over UDP: datagrams in, replies out.
//!
//! Datagrams are read as many at a time as the system gives, and each is answered before the next batch is read: what
//! comes faster than it can be answered waits in the system's buffer, and is dropped there once that is full. The reply
//! leaves from the address that the asker reached, on a machine that has several.
//!
//! Law: nothing is allocated for a datagram, and nothing kept.
//! Source: BEP 15 through core's codec.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use podswarm_core::tracker::udp::MAX_REPLY_BYTES;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::http::{Peers, canonical};
use crate::tracker::{Room, Tracker};

/// The longest datagram that is read whole.
const LONGEST: usize = 2048;
/// How long to wait after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket for datagrams.
pub(crate) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    addr: SocketAddr,
}

impl Port {
    /// Takes a bound socket that does not block.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let addr = socket.local_addr()?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, addr })
    }

    async fn receive(&self, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let receive = || self.state.recv(UdpSockRef::from(&self.socket), buffers, metas);
        self.socket.async_io(Interest::READABLE, receive).await
    }

    async fn send(&self, destination: SocketAddr, src_ip: Option<IpAddr>, contents: &[u8]) -> io::Result<()> {
        // A socket with one address speaks from it anyway.
        let src_ip = src_ip.filter(|_| self.addr.ip().is_unspecified());
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
        let send = || self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        match send() {
            // There is nearly always room, so that asking the runtime first would only cost time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.async_io(Interest::WRITABLE, send).await
            }
            result => result,
        }
    }

    /// Where the asker of what came with `meta` reached us.
    fn local(&self, meta: &RecvMeta) -> SocketAddr {
        SocketAddr::new(meta.dst_ip.unwrap_or(self.addr.ip()), self.addr.port())
    }
}

/// Answers datagrams until `stop`.
pub(crate) async fn serve(port: Port, tracker: Arc<Tracker>, stop: CancellationToken) {
    // The system may hand over several datagrams of one sender as one.
    let longest = if port.state.gro_segments() > 1 { 1 << 16 } else { LONGEST };
    let mut memory = vec![0; BATCH_SIZE * longest];
    let mut buffers: Vec<_> = memory.chunks_mut(longest).map(IoSliceMut::new).collect();
    let mut metas = vec![RecvMeta::default(); BATCH_SIZE];
    let mut reply = Vec::with_capacity(MAX_REPLY_BYTES);
    let mut room = Room::default();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = port.receive(&mut buffers, &mut metas) => received,
        };
        let count = match received {
            Ok(count) => count,
            Err(error) => {
                tracing::debug!(%error, "no datagram from the system");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        for (buffer, meta) in buffers.iter().zip(&metas).take(count) {
            let peers = Peers { remote: canonical(meta.addr), local: canonical(port.local(meta)) };
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                tracker.datagram(peers, datagram, &mut room, &mut reply);
                if reply.is_empty() {
                    continue;
                }
                if let Err(error) = port.send(meta.addr, meta.dst_ip, &reply).await {
                    tracing::debug!(to = %meta.addr, %error, "a reply cannot be sent");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use podswarm_core::metainfo::InfoHash;
    use podswarm_core::rng::Rng;
    use podswarm_core::tracker::AnnounceRequest;
    use podswarm_core::tracker::udp::ConnectionId;
    use podswarm_core::tracker::udp::wire::{self, Reply, TransactionId};

    use super::*;
    use crate::bind::Listen;
    use crate::numbers::Numbers;
    use crate::tracker::OwnSeed;

    const NUMBER: TransactionId = TransactionId(9);

    /// A tracker of one torrent whose seed has port 6881, on all addresses.
    fn start() -> (u16, CancellationToken, tokio::task::JoinHandle<()>) {
        let tracker = Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0);
        tracker.allow(InfoHash::from_v1([1; 20]));
        tracker.reach_seed(|seed| *seed = OwnSeed { port: Some(6881), ..OwnSeed::default() });
        let socket = "0".parse::<Listen>().unwrap().bind(true).unwrap().udp.unwrap();
        let (port, stop) = (Port::new(socket).unwrap(), CancellationToken::new());
        (port.addr.port(), stop.clone(), tokio::spawn(serve(port, Arc::new(tracker), stop)))
    }

    async fn read(socket: &UdpSocket) -> Reply {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await.unwrap();
        Reply::read(&buffer[..length], NUMBER, socket.peer_addr().unwrap().ip()).unwrap()
    }

    async fn connect(socket: &UdpSocket) -> ConnectionId {
        let mut datagram = Vec::new();
        wire::write_connect(NUMBER, &mut datagram);
        socket.send(&datagram).await.unwrap();
        let Reply::Connected(id) = read(socket).await else { panic!("no connection id") };
        id
    }

    fn announce(id: ConnectionId, port: u16) -> Vec<u8> {
        let mut datagram = Vec::new();
        let request = AnnounceRequest { left: 1, ..AnnounceRequest::new([1; 20], [2; 20], port) };
        wire::write_announce(id, NUMBER, &request, "", &mut datagram);
        datagram
    }

    #[tokio::test]
    async fn each_asker_is_answered_from_the_address_that_it_asked() {
        let (port, stop, server) = start();
        // The socket is connected: it hears nobody but whom it asked.
        for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let any: SocketAddr = if ip.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().unwrap();
            let socket = UdpSocket::bind(any).await.unwrap();
            socket.connect((ip, port)).await.unwrap();
            let id = connect(&socket).await;
            socket.send(&announce(id, 7001)).await.unwrap();
            let Reply::Announced(answer) = read(&socket).await else { panic!("no answer") };
            assert!(answer.peers.contains(&SocketAddr::new(ip, 6881)), "{ip}: {:?}", answer.peers);
        }
        stop.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_burst_is_answered_to_the_last_and_nonsense_in_it_passed_over() {
        let (port, _stop, _server) = start();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        let id = connect(&socket).await;
        for port in 1..=100 {
            for nonsense in [&[][..], b"x", &[0xff; 1500]] {
                socket.send(nonsense).await.unwrap();
            }
            socket.send(&announce(id, 7000 + port)).await.unwrap();
            let Reply::Announced(answer) = read(&socket).await else { panic!("no answer") };
            assert_eq!(answer.incomplete, Some(port.into()));
        }
    }
}
