//! The UDP sockets of the peer port, and who is meant by what comes there.
//!
//! Beside each TCP listener is a UDP socket with the same address and port. One task reads them, as many datagrams at a
//! time as the system gives, and sorts by the first byte: uTP's says version and kind (BEP 29), a message of the
//! distributed hash table begins with the `d` of a bencoded dictionary (BEP 5). Neither can be taken for the other.
//!
//! A datagram leaves from the address at which the other side reached us, on a machine that has several.
//!
//! The same task owns the port's uTP: it feeds the [`Endpoint`], sends what that wants sent, many packets to one peer
//! with one call where the system can, and moves bytes between it and the streams ([`super::utp`]).
//!
//! Law: what nobody wants is dropped without an answer, and no answer to a stranger is longer than what it answers.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::dht;
use super::route::Bind;
use super::stream::Stream;
use super::utp::{Request, UtpDialler, UtpStream};
use crate::swarm::peers::canonical;
use crate::time::Instant;
use crate::utp::{Datagram, Endpoint, Input, Output, Packet, StreamId, Ways};

/// Datagrams, or runs of datagrams of one sender, that are read at once.
const AT_ONCE: usize = 8;
/// Room for each: the system joins datagrams of one sender up to this length.
const LONGEST: usize = 1 << 16;
/// What the system is asked to keep of what comes while the task is busy, in bytes.
const KEPT: usize = 2 * 1024 * 1024;
/// Requests of streams that are handled at once.
const REQUESTS: usize = 64;
/// The longest run of datagrams that is sent at once.
const LONGEST_RUN: usize = 48 * 1024;
/// How long to wait after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is told how long packets took.
const WAYS_EVERY: Duration = Duration::from_millis(20);

/// One UDP socket of the peer port.
#[derive(Debug)]
pub(crate) struct UdpPort {
    bound: watch::Sender<Arc<Bound>>,
    addr: SocketAddr,
}

/// The socket that it is now.
#[derive(Debug)]
struct Bound {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Bound {
    fn open(addr: SocketAddr, bind: Option<&Bind>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Some(bind) = bind {
            bind.tie(&SockRef::from(&socket))?;
        }
        socket.bind(&addr.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // The system may give less.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KEPT);
        Ok(Self { socket: UdpSocket::from_std(socket)?, state })
    }
}

impl UdpPort {
    /// Binds a socket to exactly this address, and to the interface of `bind`, if there is one.
    pub(crate) fn bind(addr: SocketAddr, bind: Option<&Bind>) -> io::Result<Self> {
        let bound = Bound::open(addr, bind)?;
        let addr = bound.socket.local_addr()?;
        Ok(Self { bound: watch::Sender::new(Arc::new(bound)), addr })
    }

    /// Does the same again, for an interface that was made anew. On failure the old socket stays.
    pub(crate) fn reopen(&self, bind: &Bind) -> io::Result<()> {
        self.bound.send_replace(Arc::new(Bound::open(self.addr, Some(bind))?));
        Ok(())
    }

    fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.bound.borrow())
    }

    /// Waits until there is something to read; what is wrong with the socket is seen when it is read.
    async fn readable(&self) {
        let mut changes = self.bound.subscribe();
        loop {
            let bound = Arc::clone(&changes.borrow_and_update());
            tokio::select! {
                _ = bound.socket.readable() => return,
                Ok(()) = changes.changed() => {}
            }
        }
    }

    /// The address it is bound to.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Reads what is there.
    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.came = 0;
        let mut buffers: [IoSliceMut<'_>; AT_ONCE] = batch.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let Bound { socket, state } = &*self.bound();
        let receive = || state.recv(UdpSockRef::from(socket), &mut buffers, &mut batch.metas);
        match socket.try_io(Interest::READABLE, receive) {
            Ok(came) => batch.came = came,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends datagrams of `segment` bytes each, the last of them maybe shorter; from `source` if the socket has several
    /// addresses.
    ///
    /// They are lost, as any datagram may be, if the system has no room for them.
    pub(crate) fn send(&self, destination: SocketAddr, source: Option<IpAddr>, contents: &[u8], segment: usize) {
        let src_ip = source.filter(|_| self.addr.ip().is_unspecified());
        let transmit = Transmit { destination, ecn: None, contents, segment_size: Some(segment), src_ip };
        let Bound { socket, state } = &*self.bound();
        let send = || state.try_send(UdpSockRef::from(socket), &transmit);
        if let Err(error) = socket.try_io(Interest::WRITABLE, send) {
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

    /// Every datagram, with what is known of it.
    fn datagrams(&self) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        let runs = self.buffers.iter().zip(&self.metas).take(self.came);
        runs.flat_map(|(buffer, meta)| {
            buffer[..meta.len].chunks(meta.stride.max(1)).map(move |datagram| (meta, datagram))
        })
    }
}

/// How long ago the system received this, as far as it tells. Our own being late is no delay of the line.
fn age(meta: &RecvMeta, now: Option<Duration>) -> Duration {
    let age = now.zip(meta.timestamp).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
    // The machine's clock may have been set meanwhile.
    if age > Duration::from_secs(1) { Duration::ZERO } else { age }
}

/// The sockets of the peer port, and the uTP on them.
#[derive(Debug)]
pub(crate) struct Service {
    ports: Vec<Arc<UdpPort>>,
    clock: Clock,
    endpoint: Endpoint,
    /// Gives streams their ends.
    dialler: UtpDialler,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Where connections go that others have dialled.
    accepted: mpsc::Sender<(Stream, SocketAddr)>,
    /// Where messages of the distributed hash table go; while it is busy they are lost, as any datagram may be.
    dht: Option<mpsc::Sender<dht::Datagram>>,
    /// Where it is told how long packets took, if that matters, and when that was last done.
    ways: Option<mpsc::Sender<Ways>>,
    told_at: Instant,
    dialling: BTreeMap<StreamId, oneshot::Sender<UtpStream>>,
    pipes: BTreeMap<StreamId, Pipe>,
    run: Run,
}

/// The port's end of a stream.
#[derive(Debug)]
struct Pipe {
    chunks: mpsc::Sender<bytes::Bytes>,
    /// The reader has used up what it was given.
    is_hungry: bool,
    /// The write that waits for room.
    taken: Option<oneshot::Sender<()>>,
}

/// Datagrams to one peer that are sent together.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
    way: Option<(SocketAddr, Option<IpAddr>)>,
}

impl Service {
    /// The service of these sockets, and what dials through it.
    pub(crate) fn new(
        ports: Vec<Arc<UdpPort>>,
        endpoint: Endpoint,
        accepted: mpsc::Sender<(Stream, SocketAddr)>,
        dht: Option<mpsc::Sender<dht::Datagram>>,
        ways: Option<mpsc::Sender<Ways>>,
    ) -> (Self, UtpDialler) {
        let (dialler, requests) = UtpDialler::new();
        let (dialling, pipes, run, clock) = (BTreeMap::new(), BTreeMap::new(), Run::default(), Clock::default());
        let given = dialler.clone();
        let told_at = Instant::ZERO;
        let service =
            Self { ports, clock, endpoint, dialler, requests, accepted, dht, ways, told_at, dialling, pipes, run };
        (service, given)
    }

    /// Serves the sockets and the streams until `stop`, and then tells the peers.
    pub(crate) async fn serve(mut self, stop: CancellationToken) {
        let mut batch = Batch::new();
        let mut requests = Vec::with_capacity(REQUESTS);
        loop {
            let wake = self.endpoint.deadline().map(|at| self.clock.at(at));
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                port = readable(&self.ports) => {
                    if let Err(error) = self.ports[port].receive(&mut batch) {
                        tracing::debug!(%error, "no datagram from the system");
                        tokio::time::sleep(PAUSE).await;
                    }
                    self.received(&batch);
                }
                _ = self.requests.recv_many(&mut requests, REQUESTS) => {
                    for request in requests.drain(..) {
                        self.request(request);
                    }
                }
                () = timer => self.endpoint.handle(self.clock.now(), Input::Tick),
            }
            self.drain();
            self.tell_ways();
        }
        self.endpoint.handle(self.clock.now(), Input::Stop);
        self.drain();
    }

    fn received(&mut self, batch: &Batch) {
        let (now, time) = (self.clock.now(), SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok());
        for (meta, datagram) in batch.datagrams() {
            if Packet::may_be(datagram) {
                let age = u64::try_from(age(meta, time).as_nanos()).unwrap_or(0);
                let at = Instant::from_nanos(now.as_nanos().saturating_sub(age));
                let input = Input::Received { at, from: meta.addr, to: meta.dst_ip, datagram };
                self.endpoint.handle(now, input);
            } else if datagram.first() == Some(&b'd')
                && let Some(dht) = &self.dht
            {
                let bytes = bytes::Bytes::copy_from_slice(datagram);
                let _ = dht.try_send(dht::Datagram { from: meta.addr, to: meta.dst_ip, bytes });
            }
        }
    }

    /// Tells how long packets took. Where nobody listens just now, it waits for the next time.
    fn tell_ways(&mut self) {
        let (Some(to), now) = (&self.ways, self.clock.now()) else { return };
        if now - self.told_at >= WAYS_EVERY
            && let Ok(place) = to.try_reserve()
            && let Some(ways) = self.endpoint.ways()
        {
            place.send(ways);
            self.told_at = now;
        }
    }

    fn request(&mut self, request: Request) {
        let now = self.clock.now();
        match request {
            Request::Dial(addr, answer) => {
                let is_spoken = self.port_to(addr).is_some();
                // Without a number the answer is dropped, which is an answer.
                if is_spoken && let Some(id) = self.endpoint.dial(now, addr) {
                    self.dialling.insert(id, answer);
                }
            }
            Request::Write(id, parts, taken) => {
                let mut wants_more = true;
                for part in parts {
                    wants_more = self.endpoint.write(now, id, part);
                }
                match self.pipes.get_mut(&id) {
                    Some(pipe) if !wants_more => pipe.taken = Some(taken),
                    Some(_) => drop(taken.send(())),
                    // It is over, and the writer hears so.
                    None => {}
                }
            }
            Request::Read(id) => {
                if let Some(pipe) = self.pipes.get_mut(&id) {
                    pipe.is_hungry = true;
                }
                self.feed(id);
            }
            Request::Close(id) => {
                self.pipes.remove(&id);
                self.endpoint.handle(now, Input::Close(id));
            }
        }
    }

    /// Does what the endpoint wants done.
    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { to, from, datagram } => self.send((to, from), &datagram),
                Output::Connected(id) => {
                    let stream = self.open(id);
                    if let Some(answer) = self.dialling.remove(&id) {
                        // A dial that was given up drops the stream, and so closes it.
                        let _ = answer.send(stream);
                    }
                }
                Output::Accepted(id, addr) => {
                    let stream = Stream::Utp(self.open(id));
                    if self.accepted.try_send((stream, canonical(addr))).is_err() {
                        tracing::debug!(%addr, "the engine is too busy for a connection");
                    }
                }
                Output::Readable(id) => self.feed(id),
                Output::Writable(id) => {
                    if let Some(taken) = self.pipes.get_mut(&id).and_then(|pipe| pipe.taken.take()) {
                        let _ = taken.send(());
                    }
                }
                Output::Ended(id, end) => {
                    tracing::trace!(?id, ?end, "a uTP connection is over");
                    self.dialling.remove(&id);
                    self.pipes.remove(&id);
                }
            }
        }
        self.send_run();
    }

    fn open(&mut self, id: StreamId) -> UtpStream {
        let (stream, chunks) = self.dialler.stream(id);
        self.pipes.insert(id, Pipe { chunks, is_hungry: true, taken: None });
        stream
    }

    /// Gives a reader that waits what there is.
    fn feed(&mut self, id: StreamId) {
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.is_hungry) else { return };
        match self.endpoint.read(self.clock.now(), id) {
            Some(chunk) if chunk.is_empty() => {}
            Some(chunk) => pipe.is_hungry = pipe.chunks.try_send(chunk).is_err(),
            // The writer may go on, but there is nobody to whom what it writes would matter.
            None => drop(self.pipes.remove(&id)),
        }
    }

    /// Puts a datagram beside others to the same peer.
    fn send(&mut self, way: (SocketAddr, Option<IpAddr>), datagram: &Datagram) {
        let begins = self.run.bytes.len();
        datagram.header.encode(datagram.selective.as_ref(), &mut self.run.bytes);
        self.run.bytes.extend_from_slice(&datagram.payload);
        let length = self.run.bytes.len() - begins;
        if begins > 0 && (self.run.way != Some(way) || length > self.run.segment) {
            let last = self.run.bytes.split_off(begins);
            self.send_run();
            self.run.bytes = last;
        }
        if self.run.count == 0 {
            (self.run.way, self.run.segment) = (Some(way), length);
        }
        self.run.count += 1;
        let at_once = self.port_to(way.0).map_or(1, |port| port.bound().state.max_gso_segments());
        if length < self.run.segment || self.run.count >= at_once || self.run.bytes.len() > LONGEST_RUN {
            self.send_run();
        }
    }

    fn send_run(&mut self) {
        if let Some((to, from)) = self.run.way.take()
            && let Some(port) = self.port_to(to)
        {
            port.send(to, from, &self.run.bytes, self.run.segment);
        }
        self.run.bytes.clear();
        self.run.count = 0;
    }

    /// The socket that speaks the language of this address.
    fn port_to(&self, to: SocketAddr) -> Option<&UdpPort> {
        self.ports.iter().map(Arc::as_ref).find(|port| port.addr.is_ipv4() == to.is_ipv4())
    }
}

/// Waits for whichever socket has something to read first; for ever if there is none.
async fn readable(ports: &[Arc<UdpPort>]) -> usize {
    let Some((first, others)) = ports.split_first() else { return std::future::pending().await };
    let Some(second) = others.first() else {
        first.readable().await;
        return 0;
    };
    tokio::select! {
        () = first.readable() => 0,
        () = second.readable() => 1,
    }
}
