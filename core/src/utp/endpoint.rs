//! All connections of one port: which datagram belongs to which, and who may open one.
//!
//! Several datagrams may be handled before the effects are drained: what they ask for together is then answered
//! together, which saves acknowledgements.
//!
//! Laws: a connection belongs to an address and a number; nobody from elsewhere touches it. At most [`MOST_STREAMS`]
//! are there, and at most [`MOST_HALF_OPEN`] whose dialler has not yet shown that it hears us; those are forgotten
//! after [`HALF_OPEN`], and get no more bytes than they send. A program hears of a connection only when both sides are
//! known to be there.
//! Source: BEP 29.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::connection::{Connection, Datagram, End, micros};
use super::minima::lesser;
use super::packet::{Header, Kind, Packet, SeqNr};
use crate::rng::Rng;
use crate::time::Instant;

/// The most connections.
const MOST_STREAMS: usize = 1000;
/// The most of them that were not confirmed by whoever dialled.
const MOST_HALF_OPEN: usize = 200;
/// How long a connection may wait for that.
const HALF_OPEN: Duration = Duration::from_secs(10);

/// The number of a connection, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u64);

/// How long packets of ours took since this was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// For each connection the least, in microseconds, as the other side's clock shows it.
    pub delays: BTreeMap<StreamId, u32>,
    /// Whether some were lost.
    pub is_lossy: bool,
}

/// How the connections of a port are to behave.
#[derive(Clone, Copy, Debug)]
pub struct EndpointConfig {
    /// How long what we send may wait in queues on the way.
    pub target: Duration,
    /// Whether others may open connections.
    pub accept: bool,
}

/// Something that happened to the port.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Received {
        /// When it reached the machine, which may be a little before now.
        at: Instant,
        /// Who sent it.
        from: SocketAddr,
        /// The address of ours to which it was sent, if the system tells.
        to: Option<IpAddr>,
        /// What it holds.
        datagram: &'a [u8],
    },
    /// The program has no more to write to this connection, and reads no more of it.
    Close(StreamId),
    /// The deadline has come.
    Tick,
    /// The program ends: every peer is told that its connection is over.
    Stop,
}

/// What the port wants done, or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send {
        /// To whom.
        to: SocketAddr,
        /// From which address of ours, if that is known.
        from: Option<IpAddr>,
        /// What.
        datagram: Datagram,
    },
    /// A peer that was dialled has answered.
    Connected(StreamId),
    /// A peer has dialled us, and has shown that it hears us.
    Accepted(StreamId, SocketAddr),
    /// There is something to [read](Endpoint::read), or the end.
    Readable(StreamId),
    /// There is room again to [write](Endpoint::write).
    Writable(StreamId),
    /// It is over, and its number means nothing any more.
    Ended(StreamId, End),
}

#[derive(Debug)]
struct Stream {
    connection: Connection,
    addr: SocketAddr,
    local: Option<IpAddr>,
    timer: Option<Instant>,
    is_dialled: bool,
    /// The program knows of it.
    is_told: bool,
}

/// All connections of one port.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    rng: Rng,
    now: Instant,
    streams: BTreeMap<StreamId, Stream>,
    /// By the peer's address and the number in packets to us.
    by_peer: BTreeMap<(SocketAddr, u16), StreamId>,
    half_open: VecDeque<(Instant, StreamId)>,
    timers: BTreeSet<(Instant, StreamId)>,
    /// Connections to which something has happened.
    touched: BTreeSet<StreamId>,
    ways: Ways,
    next: u64,
    out: VecDeque<Output>,
}

impl Endpoint {
    /// A port without connections.
    pub fn new(config: EndpointConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            now: Instant::ZERO,
            streams: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            half_open: VecDeque::new(),
            timers: BTreeSet::new(),
            touched: BTreeSet::new(),
            ways: Ways::default(),
            next: 0,
            out: VecDeque::new(),
        }
    }

    /// Dials a peer; `None` if there are too many connections. It ends by itself if the peer does not answer.
    pub fn dial(&mut self, now: Instant, addr: SocketAddr) -> Option<StreamId> {
        self.now = now;
        // Of 65,536 numbers at one address a few are taken at most.
        let incoming = (0..8).map(|_| self.rng.next_u32().to_le_bytes()).map(|[a, b, ..]| u16::from_le_bytes([a, b]));
        let incoming = { incoming }.find(|number| !self.by_peer.contains_key(&(addr, *number)))?;
        let connection = Connection::dial(now, incoming, self.seq(), self.config.target);
        self.insert(connection, addr, None, true)
    }

    /// Queues bytes for the peer; false if that is enough for now, until the connection is [`Output::Writable`].
    pub fn write(&mut self, now: Instant, id: StreamId, bytes: Bytes) -> bool {
        self.now = now;
        let Some(stream) = self.streams.get_mut(&id) else { return true };
        stream.connection.write(bytes);
        self.touched.insert(id);
        stream.connection.wants_more()
    }

    /// Takes what has come in order, maybe nothing; `None` when nothing more will come.
    pub fn read(&mut self, now: Instant, id: StreamId) -> Option<Bytes> {
        self.now = now;
        self.touched.insert(id);
        self.streams.get_mut(&id)?.connection.read()
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Endpoint::poll`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Received { at, from, to, datagram } => {
                if let Some(packet) = Packet::decode(datagram) {
                    self.received(at, (from, to), &packet);
                }
            }
            Input::Close(id) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.connection.close();
                    self.touched.insert(id);
                }
            }
            Input::Tick => self.tick(),
            Input::Stop => self.stop(),
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.out.pop_front() {
                return Some(output);
            }
            let id = *self.touched.first()?;
            self.settle(id);
        }
    }

    /// How long packets took since this was last asked, if anything is new.
    pub fn ways(&mut self) -> Option<Ways> {
        (self.ways != Ways::default()).then(|| std::mem::take(&mut self.ways))
    }

    /// When [`Input::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        crate::time::earliest(timer, self.half_open.front().map(|(at, _)| *at))
    }

    fn received(&mut self, at: Instant, (from, to): (SocketAddr, Option<IpAddr>), packet: &Packet<'_>) {
        let header = &packet.header;
        if header.kind == Kind::Syn {
            return self.syn((from, to), header);
        }
        match self.stream_of(from, header) {
            Some(id) => {
                let stream = self.streams.get_mut(&id).expect("what has a number is there");
                stream.local = to.or(stream.local);
                stream.connection.packet(self.now, at, packet);
                let (delay, lost) = stream.connection.take_measured();
                if let Some(delay) = delay {
                    self.ways.delays.entry(id).and_modify(|least| *least = lesser(*least, delay)).or_insert(delay);
                }
                self.ways.is_lossy |= lost;
                self.touched.insert(id);
            }
            None => self.refuse((from, to), header),
        }
    }

    /// The connection to which a packet belongs. A reset may bear the number of our own packets.
    fn stream_of(&self, from: SocketAddr, header: &Header) -> Option<StreamId> {
        let number = header.connection;
        let by_number = |number: u16| self.by_peer.get(&(from, number)).copied();
        let is_ours = |id: &StreamId| self.streams[id].connection.outgoing == number;
        by_number(number).or_else(|| {
            let neighbours = [number.wrapping_sub(1), number.wrapping_add(1)];
            let reset = (header.kind == Kind::Reset).then_some(neighbours);
            reset.into_iter().flatten().filter_map(by_number).find(is_ours)
        })
    }

    fn syn(&mut self, (from, to): (SocketAddr, Option<IpAddr>), header: &Header) {
        let number = header.connection.wrapping_add(1);
        if let Some(id) = self.by_peer.get(&(from, number)).copied() {
            let stream = self.streams.get_mut(&id).expect("what has a number is there");
            stream.connection.answer_again(self.now, header);
            self.touched.insert(id);
            return;
        }
        self.half_open.retain(|(_, id)| self.streams.get(id).is_some_and(|stream| stream.connection.is_half_open()));
        if !self.config.accept {
            self.refuse((from, to), header);
        } else if self.half_open.len() < MOST_HALF_OPEN {
            let connection = Connection::answer(self.now, header, self.seq(), self.config.target);
            if let Some(id) = self.insert(connection, from, to, false) {
                self.half_open.push_back((self.now + HALF_OPEN, id));
            }
        }
    }

    fn refuse(&mut self, (to, from): (SocketAddr, Option<IpAddr>), header: &Header) {
        if let Some(header) = header.refusal(micros(self.now)) {
            let datagram = Datagram { header, selective: None, payload: Bytes::new() };
            self.out.push_back(Output::Send { to, from, datagram });
        }
    }

    fn insert(
        &mut self,
        connection: Connection,
        addr: SocketAddr,
        local: Option<IpAddr>,
        is_dialled: bool,
    ) -> Option<StreamId> {
        if self.streams.len() >= MOST_STREAMS {
            return None;
        }
        let id = StreamId(self.next);
        self.next += 1;
        self.by_peer.insert((addr, connection.incoming), id);
        self.streams.insert(id, Stream { connection, addr, local, timer: None, is_dialled, is_told: is_dialled });
        self.touched.insert(id);
        Some(id)
    }

    /// The first number of a connection, which nobody guesses.
    fn seq(&mut self) -> SeqNr {
        let [a, b, ..] = self.rng.next_u32().to_le_bytes();
        SeqNr(u16::from_le_bytes([a, b]))
    }

    fn tick(&mut self) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.remove(&(at, id));
            let stream = self.streams.get_mut(&id).expect("what has a timer is there");
            stream.timer = None;
            stream.connection.tick(self.now);
            self.touched.insert(id);
        }
        while let Some((_, id)) = self.half_open.front().copied().filter(|(at, _)| *at <= self.now) {
            self.half_open.pop_front();
            if self.streams.get(&id).is_some_and(|stream| stream.connection.is_half_open()) {
                self.remove(id);
            }
        }
    }

    fn stop(&mut self) {
        for Stream { mut connection, addr: to, local: from, .. } in std::mem::take(&mut self.streams).into_values() {
            self.out.extend(connection.abort(self.now).map(|datagram| Output::Send { to, from, datagram }));
        }
        self.by_peer.clear();
        self.half_open.clear();
        self.timers.clear();
    }

    /// Queues one thing that a connection wants, or is done with it.
    fn settle(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            self.touched.remove(&id);
            return;
        };
        let news = stream.connection.take_news();
        if news.opened {
            stream.is_told = true;
            let opened = if stream.is_dialled { Output::Connected(id) } else { Output::Accepted(id, stream.addr) };
            self.out.push_back(opened);
        }
        if news.readable {
            self.out.push_back(Output::Readable(id));
        }
        if news.writable {
            self.out.push_back(Output::Writable(id));
        }
        if let Some(datagram) = stream.connection.transmit(self.now) {
            self.out.push_back(Output::Send { to: stream.addr, from: stream.local, datagram });
            return;
        }
        self.touched.remove(&id);
        if let Some(end) = stream.connection.end() {
            let is_told = stream.is_told;
            self.remove(id);
            if is_told {
                self.out.push_back(Output::Ended(id, end));
            }
            return;
        }
        let timer = stream.connection.deadline();
        if timer != stream.timer {
            if let Some(at) = std::mem::replace(&mut stream.timer, timer) {
                self.timers.remove(&(at, id));
            }
            self.timers.extend(timer.map(|at| (at, id)));
        }
    }

    fn remove(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.by_peer.remove(&(stream.addr, stream.connection.incoming));
        self.ways.delays.remove(&id);
        if let Some(at) = stream.timer {
            self.timers.remove(&(at, id));
        }
    }
}
