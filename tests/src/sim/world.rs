//! The events of a world, in the order of their times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use podswarm_core::bitfield::Bitfield;
use podswarm_core::metainfo::{Metainfo, MetainfoBuilder, PieceHashes, TorrentPath, piece_length_for};
use podswarm_core::peer::{ConnId, PeerId};
use podswarm_core::rng::Rng;
use podswarm_core::session::{Input, Session};
use podswarm_core::swarm::{self, Event, Output, StoreOutcome, SwarmConfig, SwarmId, SwarmSetup};
use podswarm_core::time::Instant;
use podswarm_core::tracker::{AnnounceId, AnnounceRequest, SwarmEntry, SwarmTable, SwarmTableConfig};

use super::host::{Host, HostId, Kind, Line};
use super::link::{Downlink, Packet, Uplink};
use super::timeline::Timeline;
use super::{Report, laws};

/// The longest span that is read at once.
const BUFFER: usize = 256 * 1024;
/// Every port in the world.
const PORT: u16 = 6881;
/// How long a disk takes to store a piece.
const DISK: Duration = Duration::from_millis(2);

#[derive(Debug)]
enum What {
    /// The host's engine wants to know that time has passed.
    Wake,
    /// The host's uplink has sent a packet.
    Sent(ConnId, Packet),
    /// A packet has reached the host's downlink.
    Arrived(ConnId, Packet),
    /// A packet is through the downlink.
    Delivered(ConnId, Packet),
    /// A dial of the host comes to its end.
    Dial(ConnId, SocketAddr),
    /// The tracker hears the host.
    Announce(AnnounceId, AnnounceRequest),
    /// Something is given to the host's swarm.
    Give(Box<swarm::Input>),
    /// The host is switched on.
    Start(Box<SwarmSetup>),
}

#[derive(Debug)]
struct Scheduled {
    at: Instant,
    /// Breaks ties: first come, first served.
    seq: u64,
    host: HostId,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// Hosts, links, a tracker, and virtual time.
#[derive(Debug)]
pub struct World {
    now: Instant,
    seq: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    rng: Rng,
    metainfo: Arc<Metainfo>,
    hosts: Vec<Host>,
    by_addr: BTreeMap<SocketAddr, HostId>,
    tracker: SwarmTable,
    good: Bytes,
    bad: Bytes,
    config: SwarmConfig,
    trace: u64,
    handled: u64,
    /// Hosts that became complete.
    completions: usize,
    timeline: Timeline,
}

impl World {
    /// An empty world around an episode of `length` bytes.
    ///
    /// # Panics
    /// If no torrent has this length.
    pub fn new(seed: u64, length: u64) -> Self {
        let piece_length = piece_length_for(length);
        let pieces = usize::try_from(length.div_ceil(u64::from(piece_length))).expect("a short torrent");
        let hashes = std::iter::repeat_n([0; 20], pieces).collect::<PieceHashes>();
        let name = TorrentPath::new(["episode.mp3"]).expect("a plain name");
        let metainfo = MetainfoBuilder::file(name, length, piece_length, hashes)
            .trackers(vec![vec!["http://tracker.invalid/announce".to_owned()]])
            .build()
            .expect("a plain torrent");
        let mut tracker = SwarmTable::new(SwarmTableConfig::default());
        tracker.allow(metainfo.info_hash.wire(), SwarmEntry::default());
        Self {
            now: Instant::ZERO,
            seq: 0,
            events: BinaryHeap::new(),
            rng: Rng::from_seed_u64(seed),
            metainfo: Arc::new(metainfo),
            hosts: Vec::new(),
            by_addr: BTreeMap::new(),
            tracker,
            good: Bytes::from(vec![0; BUFFER]),
            bad: Bytes::from(vec![1; BUFFER]),
            config: SwarmConfig::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            handled: 0,
            completions: 0,
            timeline: Timeline::default(),
        }
    }

    /// Adds a host that has everything and is there from the start.
    pub fn add_seed(&mut self, line: Line) -> HostId {
        let have = Bitfield::all(self.metainfo.info.pieces.len());
        self.add(line, Kind::Honest, have, Duration::ZERO)
    }

    /// Adds a host that has nothing and arrives at `arrival`.
    pub fn add_leecher(&mut self, line: Line, arrival: Duration) -> HostId {
        self.add(line, Kind::Honest, Bitfield::none(self.metainfo.info.pieces.len()), arrival)
    }

    /// Adds hosts that have nothing and arrive at `arrival`.
    pub fn add_leechers(&mut self, count: usize, line: Line, arrival: Duration) -> Vec<HostId> {
        (0..count).map(|_| self.add_leecher(line, arrival)).collect()
    }

    /// Adds a host that has everything and sends a bad block every so often.
    pub fn add_poisoner(&mut self, line: Line, every: u32) -> HostId {
        let have = Bitfield::all(self.metainfo.info.pieces.len());
        self.add(line, Kind::Poisoner(every), have, Duration::ZERO)
    }

    fn add(&mut self, line: Line, kind: Kind, have: Bitfield, arrival: Duration) -> HostId {
        let id = HostId(self.hosts.len());
        let addr = address(id);
        let placed = have.is_all();
        let setup = SwarmSetup {
            metainfo: Arc::clone(&self.metainfo),
            have: have.clone(),
            placed,
            paused: false,
            peer_id: PeerId::generate(&mut self.rng),
            port: PORT,
            client: "simulated".to_owned(),
            announce: true,
            private_peers: false,
            rng: self.rng.fork(id.0 as u64),
            config: self.config.clone(),
        };
        self.hosts.push(Host {
            addr,
            kind,
            is_publisher: placed && kind == Kind::Honest,
            latency: line.latency,
            up: Uplink::new(line.up),
            down: Downlink::new(line.down),
            session: Session::new(None, None, self.now),
            swarm: SwarmId(0),
            conns: BTreeMap::new(),
            next_incoming: 1 << 63,
            wake_at: None,
            blocks_read: 0,
            alive: false,
            arrival: Instant::ZERO + arrival,
            stored: have,
            completed: placed.then_some(Instant::ZERO),
            sent: 0,
            received: 0,
            banned: Vec::new(),
        });
        self.by_addr.insert(addr, id);
        self.schedule(Instant::ZERO + arrival, id, What::Start(Box::new(setup)));
        id
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// The virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A number that is the same for two runs exactly if they were the same.
    pub const fn trace(&self) -> u64 {
        self.trace
    }

    /// How the run went until now, for people; the next one begins.
    pub fn take_timeline(&mut self) -> Timeline {
        std::mem::take(&mut self.timeline)
    }

    /// Switches a host off, as a power cut does: nobody is told.
    pub fn kill(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        host.alive = false;
        host.conns.clear();
    }

    /// Runs until `done`, or until `limit` has passed; tells which.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::ZERO + limit;
        while !done(self) {
            let Some(Reverse(event)) = self.events.pop() else { return false };
            if event.at > end {
                self.events.push(Reverse(event));
                return false;
            }
            while self.timeline.next_at() < event.at {
                self.timeline.take(&self.hosts, self.metainfo.info.length());
            }
            self.now = event.at;
            self.note(&event);
            self.handle(event);
            self.handled += 1;
        }
        true
    }

    /// Runs until all of `hosts` are complete; tells whether they were within `limit`.
    pub fn run_until_complete(&mut self, hosts: &[HostId], limit: Duration) -> bool {
        let mut seen = usize::MAX;
        self.run_until(limit, |world| {
            // Only a completion can change the answer.
            world.completions != std::mem::replace(&mut seen, world.completions)
                && hosts.iter().all(|id| world.host(*id).completed.is_some())
        })
    }

    /// The figures of `leechers`, served by `seed`.
    pub fn report(&self, seed: HostId, leechers: &[HostId]) -> Report {
        Report::of(self, seed, leechers, self.handled)
    }

    /// The torrent.
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }

    fn schedule(&mut self, at: Instant, host: HostId, what: What) {
        self.seq += 1;
        self.events.push(Reverse(Scheduled { at, seq: self.seq, host, what }));
    }

    /// Folds an event into the trace.
    fn note(&mut self, event: &Scheduled) {
        let kind = match &event.what {
            What::Wake => 1,
            What::Sent(conn, packet) => 2 ^ conn.0 << 8 ^ packet.wire_bytes() << 32,
            What::Arrived(conn, _) => 3 ^ conn.0 << 8,
            What::Delivered(conn, packet) => 4 ^ conn.0 << 8 ^ packet.wire_bytes() << 32,
            What::Dial(conn, _) => 5 ^ conn.0 << 8,
            What::Announce(..) => 6,
            What::Give(_) => 7,
            What::Start(_) => 8,
        };
        for word in [event.at.as_nanos(), event.host.0 as u64, kind] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn handle(&mut self, event: Scheduled) {
        let id = event.host;
        if let What::Start(setup) = event.what {
            return self.start(id, *setup);
        }
        if !self.hosts[id.0].alive {
            return;
        }
        match event.what {
            What::Wake => {
                self.hosts[id.0].wake_at = None;
                self.input(id, Input::Tick);
            }
            What::Sent(conn, packet) => self.packet_sent(id, conn, packet),
            What::Arrived(conn, packet) => {
                let at = self.hosts[id.0].down.pass(self.now, packet.wire_bytes());
                self.schedule(at, id, What::Delivered(conn, packet));
            }
            What::Delivered(conn, packet) => self.delivered(id, conn, packet),
            What::Dial(conn, addr) => self.dial_ends(id, conn, addr),
            What::Announce(announce, request) => self.announce(id, announce, &request),
            What::Give(input) => self.input(id, Input::Swarm(self.hosts[id.0].swarm, *input)),
            What::Start(_) => {}
        }
    }

    fn start(&mut self, id: HostId, setup: SwarmSetup) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        host.alive = true;
        host.swarm = host.session.add(now, setup).expect("a host joins one swarm");
        self.drain(id);
    }

    fn input(&mut self, id: HostId, input: Input) {
        let now = self.now;
        self.hosts[id.0].session.handle(now, input);
        self.drain(id);
    }

    fn drain(&mut self, id: HostId) {
        while let Some(output) = self.hosts[id.0].session.poll() {
            laws::check_output(&self.hosts[id.0], &output);
            self.perform(id, output);
        }
        laws::check_state(&self.hosts, id, self.handled);
        let host = &mut self.hosts[id.0];
        let Some(at) = host.session.deadline().map(|at| at.max(self.now)) else { return };
        if host.wake_at.is_none_or(|wake| at < wake) {
            host.wake_at = Some(at);
            self.schedule(at, id, What::Wake);
        }
    }

    fn perform(&mut self, id: HostId, output: Output) {
        let now = self.now;
        match output {
            Output::Dial { conn, addr, .. } => {
                let there = self.by_addr.get(&addr).map_or(Duration::ZERO, |to| self.hosts[to.0].latency);
                let back_and_forth = (self.hosts[id.0].latency + there) * 2;
                self.schedule(now + back_and_forth, id, What::Dial(conn, addr));
            }
            Output::SendHandshake(conn, handshake) => self.send(id, conn, Packet::Handshake(handshake)),
            Output::Send(conn, message) => self.send(id, conn, Packet::Message(message)),
            Output::Close(conn, _) => self.send(id, conn, Packet::End),
            Output::Read { conn, span, .. } => {
                let host = &mut self.hosts[id.0];
                host.blocks_read += 1;
                let bad = matches!(host.kind, Kind::Poisoner(every) if host.blocks_read.is_multiple_of(every));
                let bytes = if bad { &self.bad } else { &self.good };
                let result = Ok(vec![bytes.slice(..span.length as usize)]);
                self.give(id, now, swarm::Input::Read { conn, span, result });
            }
            Output::Hash { piece, hasher, run, .. } => {
                let bytes = run.iter().map(|bytes| bytes.len() as u64).sum();
                self.give(id, now, swarm::Input::Hashed { piece, hasher, bytes });
            }
            Output::Store { piece, blocks, .. } => {
                let digests = blocks.iter().map(|block| [block[0]; 20]).collect();
                let bytes = blocks.iter().map(|block| block.len() as u64).sum();
                let good = blocks.iter().all(|block| block[0] == 0);
                let outcome = if good {
                    laws::stored_once(&mut self.hosts[id.0], piece);
                    StoreOutcome::Stored(Some(digests))
                } else {
                    StoreOutcome::Corrupt(digests)
                };
                self.give(id, now + DISK, swarm::Input::Stored { piece, outcome, bytes });
            }
            Output::Place { .. } => self.give(id, now + DISK, swarm::Input::Placed(Ok(()))),
            Output::Announce { id: announce, request, .. } => {
                let there = self.hosts[id.0].latency * 2;
                self.schedule(now + there, id, What::Announce(announce, request));
            }
            Output::Event(_, Event::Complete) => {
                self.hosts[id.0].completed = Some(now);
                self.completions += 1;
            }
            Output::Event(_, Event::Banned(addr)) => self.hosts[id.0].banned.push(addr),
            Output::Event(..) => {}
        }
    }

    fn give(&mut self, id: HostId, at: Instant, input: swarm::Input) {
        self.schedule(at, id, What::Give(Box::new(input)));
    }

    fn send(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        if self.hosts[id.0].conns.contains_key(&conn) {
            self.hosts[id.0].up.push(conn, packet);
            self.start_sending(id);
        }
    }

    fn start_sending(&mut self, id: HostId) {
        let now = self.now;
        let up = &mut self.hosts[id.0].up;
        if up.busy {
            return;
        }
        let Some((conn, packet)) = up.pop() else { return };
        up.busy = true;
        let at = up.pass(now, packet.wire_bytes());
        self.schedule(at, id, What::Sent(conn, packet));
    }

    /// A packet has left: it travels, and the next one leaves.
    fn packet_sent(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        self.hosts[id.0].up.busy = false;
        let block_bytes = packet.block_bytes();
        if let Some((to, their_conn)) = self.hosts[id.0].conns.get(&conn).copied() {
            let latency = self.hosts[id.0].latency + self.hosts[to.0].latency;
            if matches!(packet, Packet::End) {
                self.hosts[id.0].conns.remove(&conn);
                self.hosts[id.0].up.forget(conn);
            }
            self.hosts[id.0].sent += block_bytes;
            self.schedule(self.now + latency, to, What::Arrived(their_conn, packet));
        }
        self.start_sending(id);
        if block_bytes > 0 {
            self.input(id, Input::Sent(conn, block_bytes));
        }
    }

    fn delivered(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        if !self.hosts[id.0].conns.contains_key(&conn) {
            return;
        }
        let now = self.now;
        self.hosts[id.0].received += packet.block_bytes();
        self.hosts[id.0].up.pass(now, packet.ack_bytes());
        match packet {
            Packet::Handshake(handshake) => self.input(id, Input::Handshake(conn, handshake)),
            Packet::Message(message) => self.input(id, Input::Received(conn, message)),
            Packet::End => {
                self.hosts[id.0].conns.remove(&conn);
                self.hosts[id.0].up.forget(conn);
                self.input(id, Input::Closed(conn));
            }
        }
    }

    fn dial_ends(&mut self, id: HostId, conn: ConnId, addr: SocketAddr) {
        let target = self.by_addr.get(&addr).copied().filter(|to| self.hosts[to.0].alive && *to != id);
        let Some(to) = target else { return self.input(id, Input::DialFailed(conn)) };
        let their_conn = ConnId(self.hosts[to.0].next_incoming);
        self.hosts[to.0].next_incoming += 1;
        self.hosts[to.0].conns.insert(their_conn, (id, conn));
        self.hosts[id.0].conns.insert(conn, (to, their_conn));
        let from = SocketAddr::new(self.hosts[id.0].addr.ip(), 40_000 + (conn.0 % 20_000) as u16);
        self.input(to, Input::Accepted(their_conn, from));
        self.input(id, Input::Dialled(conn));
    }

    fn announce(&mut self, id: HostId, announce: AnnounceId, request: &AnnounceRequest) {
        let from = self.hosts[id.0].addr;
        let result = self.tracker.announce(self.now, from, request, &[], &mut self.rng);
        let back = self.now + self.hosts[id.0].latency * 2;
        self.give(id, back, swarm::Input::Announced { id: announce, result });
    }
}

/// The address of a host: neighbours in number are in different networks, as the members of a crowd mostly are.
fn address(id: HostId) -> SocketAddr {
    const HOSTS: usize = 1 << 17;
    assert!(id.0 < HOSTS, "a world of at most {HOSTS} hosts");
    // An odd step visits every address once; this one changes the third byte each time.
    let [_, high, middle, low] = u32::try_from((id.0 + 1) * 257 % HOSTS).expect("below 2^17").to_be_bytes();
    SocketAddr::from(([198, 18 + high, middle, low], PORT))
}
