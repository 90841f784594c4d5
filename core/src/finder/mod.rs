//! Finding out what a torrent is when nothing is known of it but its info-hash: what a magnet link begins with.
//!
//! A [`Finder`] asks trackers and peers for peers, and those for the metadata. It speaks to the world as a [`crate::swarm::Swarm`] does,
//! in the same inputs and outputs, and ends with [`Event::Metadata`]. What it has learnt of peers is then for the swarm.
//!
//! `assembly` puts the metadata together.
//!
//! Laws: what comes out has the info-hash that was asked for; connections, messages and bytes are bounded; a peer that has given
//! nothing for half a minute makes room for others.
//!
//! Source: BEP 9, 10, 11.

mod assembly;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::blocklist::Blocklist;
use crate::peer::exchange::{Contact, ContactFlags, ExchangeMessage};
use crate::peer::extension::{OUR_EXCHANGE_ID, OUR_METADATA_ID, OUR_REQUEST_QUEUE};
use crate::peer::{
    ConnId, Direction, Encryption, ExtensionHandshake, Handshake, Message, MetadataMessage, PeerId, Reserved,
};
use crate::rng::Rng;
use crate::swarm::io::CloseReason;
use crate::swarm::{Event, Input, Limits, Output, PeerList, PeerSource, SwarmId};
use crate::time::{Instant, earliest};
use crate::tracker::{AnnounceRequest, Announcer, AnnouncerInput, AnnouncerOutput};
use assembly::{Assembly, Outcome};

/// The most connections.
const MAX_CONNECTIONS: usize = 40;
/// The most dials under way at once.
const MAX_DIALS: usize = 20;
/// How often a finder looks around.
const TICK: Duration = Duration::from_secs(1);
/// A peer gets so long to offer metadata, and one that has offered it to give any.
const USELESS_AFTER: Duration = Duration::from_secs(30);
/// So many messages of peer exchange are read from one connection, which is short.
const MOST_EXCHANGES: u32 = 6;
/// What trackers are told is missing, in bytes: how much it is nobody knows yet, and with nothing missing we were a seed.
const LEFT: u64 = 16 * 1024;

/// What is to be found.
#[derive(Debug)]
pub struct FinderSetup {
    /// The torrent, as it stands in handshakes.
    pub info_hash: [u8; 20],
    /// Announce URLs in tiers.
    pub trackers: Vec<Vec<String>>,
    /// Who we are in this swarm.
    pub peer_id: PeerId,
    /// The port that trackers and peers are told.
    pub port: u16,
    /// What peers are told of our client.
    pub client: String,
    /// Whether peers that others name may be private or loopback addresses.
    pub private_peers: bool,
    /// Whether to believe peers that name others.
    pub exchange: bool,
    /// Whether connections that we open are encrypted.
    pub encryption: Encryption,
    /// Whom we never dial.
    pub blocklist: Arc<Blocklist>,
    /// Whether peers are told that we are a node of the distributed hash table. BEP 5.
    pub dht: bool,
    /// The finder's own randomness.
    pub rng: Rng,
}

#[derive(Debug)]
struct Conn {
    addr: SocketAddr,
    direction: Direction,
    peer_id: PeerId,
    /// The peer's number for messages about the metadata.
    metadata: Option<u8>,
    exchanges: u32,
    /// When it last gave something of use.
    useful_at: Instant,
}

/// The search for one torrent's metadata.
#[derive(Debug)]
pub struct Finder {
    id: SwarmId,
    setup: FinderSetup,
    peers: PeerList,
    announcer: Announcer,
    conns: BTreeMap<ConnId, Conn>,
    assembly: Assembly,
    is_found: bool,
    stopped: bool,
    next_conn: u64,
    tick_at: Option<Instant>,
    out: VecDeque<Output>,
}

impl Finder {
    /// Begins a search; peers are looked for at the first [`Input::Tick`].
    pub fn new(id: SwarmId, mut setup: FinderSetup, now: Instant) -> Self {
        let announcer = Announcer::new(&setup.trackers, setup.rng.fork(1));
        let mut finder = Self {
            id,
            peers: PeerList::new(setup.private_peers).without(Arc::clone(&setup.blocklist)),
            announcer,
            conns: BTreeMap::new(),
            assembly: Assembly::new(setup.info_hash),
            is_found: false,
            stopped: false,
            next_conn: 0,
            tick_at: Some(now),
            out: VecDeque::new(),
            setup,
        };
        finder.tell_announcer(now, AnnouncerInput::NeedPeers(true));
        finder.tell_announcer(now, AnnouncerInput::Start);
        finder.out.push_back(Output::Seek { swarm: id, info_hash: finder.setup.info_hash });
        finder
    }

    /// The info-hash as it stands in handshakes.
    pub const fn info_hash(&self) -> [u8; 20] {
        self.setup.info_hash
    }

    /// Our handshake.
    pub const fn handshake(&self) -> Handshake {
        let FinderSetup { info_hash, peer_id, .. } = self.setup;
        let reserved = if self.setup.dht { Reserved::OURS_AND_DHT } else { Reserved::OURS };
        Handshake { reserved, info_hash, peer_id }
    }

    /// Whether a peer that dials us may come in.
    pub fn accepts(&self, addr: SocketAddr) -> Result<(), CloseReason> {
        if self.stopped || self.is_found {
            Err(CloseReason::Stopped)
        } else if self.peers.is_banned(addr) || self.peers.is_shut_out(addr.ip()) {
            Err(CloseReason::Banned)
        } else if self.conns.len() >= MAX_CONNECTIONS {
            Err(CloseReason::Full)
        } else {
            Ok(())
        }
    }

    /// The number of connections.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Who is known to take part, by better than another peer's word; who is connected comes first.
    pub fn known_peers(&self) -> Vec<SocketAddr> {
        self.peers.vouched()
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Finder::poll`].
    ///
    /// Inputs that only a swarm needs have no effect.
    pub fn handle(&mut self, now: Instant, input: Input, limits: &mut Limits) {
        match input {
            Input::Tick => self.tick(now, limits),
            Input::AddPeers(addrs, source) => self.add_peers(now, addrs, source, limits),
            Input::PeersTold { teller, peers } => {
                let contact = |addr| Contact { addr, flags: ContactFlags::default() };
                self.peers.add_named(now, teller, &peers.into_iter().map(contact).collect::<Vec<_>>());
                self.dial(now, limits);
            }
            Input::Joined { conn, addr, direction, handshake } => self.join(now, conn, addr, direction, &handshake),
            Input::DialFailed(conn) => self.peers.dial_failed(now, conn),
            Input::KeyRefused(conn) if self.setup.encryption == Encryption::Require => {
                self.peers.dial_failed(now, conn);
            }
            Input::KeyRefused(conn) => {
                self.peers.key_refused(now, conn);
                self.dial(now, limits);
            }
            Input::Received(conn, message) => self.receive(now, conn, message),
            Input::ReceivedTogether(conn, messages) => {
                for message in messages {
                    self.receive(now, conn, message);
                }
            }
            Input::Closed(conn) => self.forget(now, conn),
            Input::Announced { id, result } => {
                let peers = result.as_ref().map(|response| response.peers.clone()).unwrap_or_default();
                self.tell_announcer(now, AnnouncerInput::Answered { id, result });
                self.add_peers(now, peers, PeerSource::Tracker, limits);
            }
            Input::Stop => self.stop(now),
            _ => {}
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.tick_at, self.announcer.deadline())
    }

    fn tick(&mut self, now: Instant, limits: &mut Limits) {
        self.tell_announcer(now, AnnouncerInput::Tick);
        if self.stopped || self.tick_at.is_none_or(|at| at > now) {
            return;
        }
        self.tick_at = Some(now + TICK);
        let mut useless = self.assembly.expire(now);
        let idle = |conn: &Conn| now - conn.useful_at >= USELESS_AFTER;
        useless.extend(self.conns.iter().filter(|(_, conn)| idle(conn)).map(|(conn, _)| *conn));
        for conn in useless {
            self.close(now, conn, CloseReason::NoMetadata);
        }
        self.ask(now);
        let few = self.conns.len() + self.peers.dialling() < MAX_CONNECTIONS / 4;
        self.tell_announcer(now, AnnouncerInput::NeedPeers(few));
        self.dial(now, limits);
    }

    fn add_peers(&mut self, now: Instant, addrs: Vec<SocketAddr>, source: PeerSource, limits: &mut Limits) {
        for addr in addrs {
            self.peers.add(now, addr, source);
        }
        self.dial(now, limits);
    }

    fn dial(&mut self, now: Instant, limits: &mut Limits) {
        if self.stopped || self.is_found {
            return;
        }
        let room = MAX_CONNECTIONS.saturating_sub(self.conns.len()).min(MAX_DIALS);
        let room = room.saturating_sub(self.peers.dialling()).min(limits.dials.unwrap_or(usize::MAX));
        for addr in self.peers.due(now, room, true, |_| 0, &mut self.setup.rng) {
            let conn = ConnId(u64::from(self.id.0) << 32 | self.next_conn);
            self.next_conn += 1;
            self.peers.dial(addr, conn);
            limits.dials = limits.dials.map(|dials| dials - 1);
            let opening = self.peers.opening(addr, self.setup.encryption);
            self.out.push_back(Output::Dial { swarm: self.id, conn, addr, opening });
        }
    }

    fn join(&mut self, now: Instant, conn: ConnId, addr: SocketAddr, direction: Direction, handshake: &Handshake) {
        if direction == Direction::Outgoing {
            self.peers.connected(conn);
        }
        let refusal = if handshake.peer_id == self.setup.peer_id {
            self.peers.is_ourselves(addr);
            Some(CloseReason::Ourselves)
        } else if self.conns.values().any(|known| known.peer_id == handshake.peer_id) {
            Some(CloseReason::Duplicate)
        } else if handshake.reserved.extended() {
            self.accepts(addr).err()
        } else {
            Some(CloseReason::NoMetadata)
        };
        if let Some(reason) = refusal {
            self.peers.closed(now, conn);
            self.out.push_back(Output::Close(conn, reason));
            return;
        }
        let (peer_id, metadata, exchanges) = (handshake.peer_id, None, 0);
        let guest = Conn { addr, direction, peer_id, metadata, exchanges, useful_at: now };
        self.conns.insert(conn, guest);
        if handshake.reserved.fast() {
            self.out.push_back(Output::Send(conn, Message::HaveNone));
        }
        let ours = ExtensionHandshake {
            client: Some(self.setup.client.clone()),
            port: Some(self.setup.port).filter(|port| *port != 0),
            request_queue: Some(OUR_REQUEST_QUEUE),
            your_ip: Some(addr.ip()),
            upload_only: false,
            exchange: self.setup.exchange.then_some(OUR_EXCHANGE_ID),
            metadata: Some(OUR_METADATA_ID),
            metadata_size: None,
        };
        self.send(conn, 0, ours.encode());
        if self.setup.dht && handshake.reserved.dht() && self.setup.port != 0 {
            self.out.push_back(Output::Send(conn, Message::Port(self.setup.port)));
        }
    }

    fn receive(&mut self, now: Instant, conn: ConnId, message: Message) {
        let Message::Extended { id, payload } = message else { return };
        if !self.conns.contains_key(&conn) || self.is_found {
            return;
        }
        match id {
            0 => self.introduced(now, conn, &payload),
            OUR_METADATA_ID => self.told_metadata(now, conn, &payload),
            OUR_EXCHANGE_ID => self.told_of_peers(now, conn, &payload),
            _ => {}
        }
    }

    fn introduced(&mut self, now: Instant, conn: ConnId, payload: &[u8]) {
        let Some(hello) = ExtensionHandshake::decode(payload) else { return };
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        if let Some(port) = hello.port.filter(|_| peer.direction == Direction::Incoming) {
            self.peers.listens_at(now, conn, SocketAddr::new(peer.addr.ip(), port));
        }
        peer.metadata = hello.metadata.or(peer.metadata).filter(|id| *id != 0);
        if let (Some(_), Some(size)) = (peer.metadata, hello.metadata_size) {
            self.assembly.offered(now, conn, size);
            self.ask(now);
        }
    }

    fn told_of_peers(&mut self, now: Instant, conn: ConnId, payload: &[u8]) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        peer.exchanges += 1;
        if !self.setup.exchange || peer.exchanges > MOST_EXCHANGES {
            return;
        }
        if let Some(message) = ExchangeMessage::decode(payload) {
            self.peers.add_named(now, peer.addr.ip(), &message.added);
        }
    }

    fn told_metadata(&mut self, now: Instant, conn: ConnId, payload: &Bytes) {
        match MetadataMessage::decode(payload) {
            Some(MetadataMessage::Data { piece, total, data }) => {
                match self.assembly.received(conn, piece, total, data) {
                    Outcome::Nothing => {
                        if let Some(peer) = self.conns.get_mut(&conn) {
                            peer.useful_at = now;
                        }
                    }
                    Outcome::Whole(metadata) => {
                        self.is_found = true;
                        return self.out.push_back(Output::Event(self.id, Event::Metadata(metadata)));
                    }
                    Outcome::Liar(liar) => self.ban(now, liar),
                }
            }
            Some(MetadataMessage::Reject(piece)) => self.assembly.rejected(now, conn, piece),
            // We have none to give.
            Some(MetadataMessage::Request(piece)) => {
                if let Some(id) = self.conns.get(&conn).and_then(|peer| peer.metadata) {
                    self.send(conn, id, MetadataMessage::Reject(piece).encode());
                }
            }
            None => {}
        }
        self.ask(now);
    }

    /// Asks everybody for as much as each may be asked for.
    fn ask(&mut self, now: Instant) {
        for (conn, piece) in self.assembly.ask(now) {
            if let Some(id) = self.conns.get(&conn).and_then(|peer| peer.metadata) {
                self.send(conn, id, MetadataMessage::Request(piece).encode());
            }
        }
    }

    fn send(&mut self, conn: ConnId, id: u8, payload: Bytes) {
        self.out.push_back(Output::Send(conn, Message::Extended { id, payload }));
    }

    /// The peer gave wrong metadata, and it is proven.
    fn ban(&mut self, now: Instant, conn: ConnId) {
        let Some(addr) = self.conns.get(&conn).map(|peer| peer.addr) else { return };
        self.close(now, conn, CloseReason::Banned);
        if self.peers.ban(addr, None) {
            self.out.push_back(Output::Event(self.id, Event::Banned(addr)));
        }
    }

    fn close(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        if self.conns.contains_key(&conn) {
            self.out.push_back(Output::Close(conn, reason));
            self.forget(now, conn);
        }
    }

    fn forget(&mut self, now: Instant, conn: ConnId) {
        self.peers.closed(now, conn);
        self.conns.remove(&conn);
        self.assembly.lost(conn);
    }

    /// Leaves. Trackers hear of it only if nobody goes on with the torrent.
    fn stop(&mut self, now: Instant) {
        self.stopped = true;
        self.tick_at = None;
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.close(now, conn, CloseReason::Stopped);
        }
        if !self.is_found {
            self.tell_announcer(now, AnnouncerInput::Stop);
        }
        self.out.push_back(Output::EndSeek { swarm: self.id, info_hash: self.setup.info_hash });
        self.out.push_back(Output::Event(self.id, Event::Stopped));
    }

    fn tell_announcer(&mut self, now: Instant, input: AnnouncerInput) {
        self.announcer.handle(now, input);
        while let Some(AnnouncerOutput::Announce { id, url, event, tracker_id, numwant }) = self.announcer.poll() {
            let FinderSetup { info_hash, peer_id, port, .. } = self.setup;
            let request = AnnounceRequest {
                left: LEFT,
                event,
                numwant: Some(i64::from(numwant)),
                ..AnnounceRequest::new(info_hash, peer_id.0, port)
            };
            self.out.push_back(Output::Announce { swarm: self.id, id, url, request, tracker_id });
        }
    }
}

#[cfg(test)]
mod tests;
