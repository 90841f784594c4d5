//! Finding out what a torrent is when nothing is known of it but its info-hash: what a magnet link begins with.
//!
//! A [`Finder`] asks trackers and peers for peers, and those for the metadata. It speaks to the world as a
//! [`crate::swarm::Swarm`] does, in the same inputs and outputs, and ends with [`Event::Metadata`]. What it has learnt
//! of peers is then for the swarm.
//!
//! `assembly` puts the metadata together; `layers` gets the hashes that a v2 torrent's has not. A hybrid can do without
//! them, so they are waited for as long as somebody may give them, and no longer than four seconds.
//!
//! Laws: what comes out has the info-hash that was asked for; connections, messages and bytes are bounded; a peer that
//! has given nothing for half a minute makes room for others.
//!
//! Source: BEP 9, 10, 11, 52.

mod assembly;
mod layers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::blocklist::Blocklist;
use crate::dht::Part;
use crate::effects::Effects;
use crate::metainfo::merkle::Sha256Digest;
use crate::metainfo::{InfoHash, Metainfo};
use crate::peer::exchange::{Contact, ContactFlags, ExchangeMessage};
use crate::peer::extension::{OUR_EXCHANGE_ID, OUR_METADATA_ID, OUR_REQUEST_QUEUE};
use crate::peer::{
    ConnId, Direction, Encryption, ExtensionHandshake, Handshake, HashRequest, Message, MetadataMessage, PeerId,
    Reserved,
};
use crate::rng::Rng;
use crate::swarm::io::{CloseReason, DialWay};
use crate::swarm::{Discovery, Event, Input, Limits, Output, PeerList, PeerSource, SwarmId};
use crate::time::{Instant, earliest};
use crate::tracker::{AnnounceRequest, AnnouncerInput, AnnouncerOutput, Announcers};
use assembly::{Assembly, Outcome};
use layers::LayerHunt;

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
/// So long the hashes of a hybrid's trees are waited for.
const HYBRID_PATIENCE: Duration = Duration::from_secs(4);
/// What trackers are told is missing, in bytes: how much it is nobody knows yet, and with nothing missing we were a
/// seed.
const LEFT: u64 = 16 * 1024;

/// What is to be found.
#[derive(Debug)]
pub struct FinderSetup {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Announce URLs in tiers.
    pub trackers: Vec<Vec<String>>,
    /// How peers are found.
    pub discovery: Discovery,
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
    /// Whether it speaks of hash trees.
    v2: bool,
    /// The peer's number for messages about the metadata.
    metadata: Option<u8>,
    exchanges: u32,
    /// When it last gave something of use.
    useful_at: Instant,
}

/// The search for the hashes that are not in the metadata, which is there.
#[derive(Debug)]
struct Hunt {
    info: Bytes,
    layers: LayerHunt,
    /// When it ends, found or not; `None` if nothing can be done without.
    until: Option<Instant>,
}

/// The search for one torrent's metadata.
#[derive(Debug)]
pub struct Finder {
    id: SwarmId,
    setup: FinderSetup,
    peers: PeerList,
    announcers: Announcers,
    conns: BTreeMap<ConnId, Conn>,
    assembly: Assembly,
    hunt: Option<Hunt>,
    is_found: bool,
    stopped: bool,
    next_conn: u64,
    tick_at: Option<Instant>,
    out: Effects<Output>,
}

impl Finder {
    /// Begins a search; peers are looked for at the first [`Input::Tick`].
    pub fn new(id: SwarmId, mut setup: FinderSetup, now: Instant) -> Self {
        let announcers = Announcers::new(&setup.info_hash, &setup.trackers, setup.rng.fork(1));
        let mut finder = Self {
            id,
            peers: PeerList::new(setup.private_peers).without(Arc::clone(&setup.blocklist)),
            announcers,
            conns: BTreeMap::new(),
            assembly: Assembly::new(setup.info_hash),
            hunt: None,
            is_found: false,
            stopped: false,
            next_conn: 0,
            tick_at: Some(now),
            out: Effects::default(),
            setup,
        };
        finder.tell_announcer(now, AnnouncerInput::NeedPeers(true));
        let (by, info_hash) = (finder.setup.discovery, finder.setup.info_hash);
        if by.trackers {
            finder.tell_announcer(now, AnnouncerInput::Start);
        }
        if by.dht || by.lsd {
            // Nobody is counted before it is known whether the torrent is private.
            let part = Part::default();
            finder.out.extend(info_hash.wires().map(|info_hash| Output::Seek { swarm: id, info_hash, by, part }));
        }
        finder
    }

    /// The torrent's name.
    pub const fn info_hash(&self) -> InfoHash {
        self.setup.info_hash
    }

    /// Our handshake, by the torrent's v1 name if it has one.
    fn handshake(&self) -> Handshake {
        Handshake::of(&self.setup.info_hash, self.reserved(), self.setup.peer_id)
    }

    const fn reserved(&self) -> Reserved {
        if self.setup.dht { Reserved::OURS_AND_DHT } else { Reserved::OURS }
    }

    /// Our handshake to a peer that is being dialled.
    pub fn handshake_to(&self, conn: ConnId) -> Handshake {
        let hello = self.handshake();
        if self.peers.is_dialled_by_v2(conn) { hello.by_v2(&self.setup.info_hash) } else { hello }
    }

    /// Our answer to a peer that dialled us with this handshake.
    pub fn answer(&self, theirs: &Handshake) -> Handshake {
        self.handshake().in_answer_to(theirs, &self.setup.info_hash)
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
            Input::Joined { conn, addr, direction, handshake, .. } => self.join(now, conn, addr, direction, &handshake),
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
                if self.announcers.is_second(id) {
                    for addr in &peers {
                        self.peers.add_v2(now, *addr, PeerSource::Tracker);
                    }
                }
                self.tell_announcer(now, AnnouncerInput::Answered { id, result });
                self.add_peers(now, peers, PeerSource::Tracker, limits);
            }
            Input::KeepOut(blocklist) => self.keep_out(now, blocklist),
            Input::CameBack => {
                self.peers.retry_all(now);
                self.tell_announcer(now, AnnouncerInput::Moved);
            }
            Input::Stop => self.stop(now),
            _ => {}
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.take()
    }

    /// When [`Input::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        earliest(self.tick_at, self.announcers.deadline())
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
            self.out.push_back(Output::Dial { swarm: self.id, conn, addr, opening, way: DialWay::Any });
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
        let v2 = handshake.common(&self.setup.info_hash, self.reserved()).v2();
        let guest = Conn { addr, direction, peer_id, v2, metadata, exchanges, useful_at: now };
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
            holepunch: None,
            way: None,
            run: None,
            metadata: Some(OUR_METADATA_ID),
            metadata_size: None,
        };
        self.send(conn, 0, ours.encode());
        if self.setup.dht && handshake.reserved.dht() && self.setup.port != 0 {
            self.out.push_back(Output::Send(conn, Message::Port(self.setup.port)));
        }
    }

    fn receive(&mut self, now: Instant, conn: ConnId, message: Message) {
        if !self.conns.contains_key(&conn) || self.is_found {
            return;
        }
        let (id, payload) = match message {
            Message::Extended { id, payload } => (id, payload),
            Message::Hashes { request, hashes } => return self.told_hashes(now, conn, request, &hashes),
            Message::HashReject(request) => {
                if let Some(hunt) = &mut self.hunt {
                    hunt.layers.rejected(conn, request);
                }
                return self.ask(now);
            }
            _ => return,
        };
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
                        return self.found(now, metadata);
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

    /// The metadata is there: what is left to find out are the hashes that it has not.
    fn found(&mut self, now: Instant, info: Bytes) {
        let metainfo = Metainfo::from_info_bytes(&info).ok();
        let layers = metainfo.as_ref().and_then(LayerHunt::new);
        let Some((layers, metainfo)) = layers.zip(metainfo) else { return self.finish(info, BTreeMap::new()) };
        let until = (!metainfo.lacks_layers()).then_some(now + HYBRID_PATIENCE);
        self.hunt = Some(Hunt { info, layers, until });
        self.ask(now);
    }

    fn told_hashes(&mut self, now: Instant, conn: ConnId, request: HashRequest, hashes: &[u8]) {
        let Some(hunt) = &mut self.hunt else { return };
        match hunt.layers.received(conn, request, hashes) {
            layers::Outcome::Kept => {
                if let Some(peer) = self.conns.get_mut(&conn) {
                    peer.useful_at = now;
                }
            }
            layers::Outcome::Useless => {}
            layers::Outcome::Liar => self.ban(now, conn),
        }
        self.ask(now);
    }

    fn finish(&mut self, info: Bytes, layers: BTreeMap<Sha256Digest, Vec<u8>>) {
        self.is_found = true;
        self.out.push_back(Output::Event(self.id, Event::Metadata { info, layers }));
    }

    /// Asks those who speak of trees, and ends the hunt if that is all that can be had.
    fn ask_for_layers(&mut self, now: Instant) {
        let Some(hunt) = &mut self.hunt else { return };
        let conns: Vec<ConnId> = self.conns.iter().filter(|(_, peer)| peer.v2).map(|(conn, _)| *conn).collect();
        let is_hopeless = hunt.until.is_some_and(|until| until <= now || !hunt.layers.may_hope(&conns));
        if hunt.layers.is_done() || is_hopeless {
            let (info, layers) = (hunt.info.clone(), hunt.layers.layers());
            self.hunt = None;
            return self.finish(info, layers);
        }
        for (conn, request) in hunt.layers.ask(now, &conns) {
            self.out.push_back(Output::Send(conn, Message::HashRequest(request)));
        }
    }

    /// Asks everybody for as much as each may be asked for.
    fn ask(&mut self, now: Instant) {
        if self.hunt.is_some() || self.is_found {
            return self.ask_for_layers(now);
        }
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

    fn keep_out(&mut self, now: Instant, blocklist: Arc<Blocklist>) {
        for conn in blocklist.blocked(self.conns.iter().map(|(conn, peer)| (*conn, peer.addr.ip()))) {
            self.close(now, conn, CloseReason::Blocked);
        }
        self.peers.keep_out(blocklist);
        // Of those who may be here now, the trackers know.
        self.tell_announcer(now, AnnouncerInput::Moved);
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
        if let Some(hunt) = &mut self.hunt {
            hunt.layers.lost(conn);
        }
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
        let (swarm, info_hash) = (self.id, self.setup.info_hash);
        self.out.extend(info_hash.wires().map(|info_hash| Output::EndSeek { swarm, info_hash }));
        self.out.push_back(Output::Event(self.id, Event::Stopped));
    }

    fn tell_announcer(&mut self, now: Instant, input: AnnouncerInput) {
        self.announcers.handle(now, input);
        while let Some((info_hash, output)) = self.announcers.poll() {
            let AnnouncerOutput::Announce { id, url, event, tracker_id, numwant, scrape } = output;
            let FinderSetup { peer_id, port, .. } = self.setup;
            let request = AnnounceRequest {
                left: LEFT,
                event,
                numwant: Some(i64::from(numwant)),
                ..AnnounceRequest::new(info_hash, peer_id.0, port)
            };
            self.out.push_back(Output::Announce { swarm: self.id, id, url, request, tracker_id, scrape });
        }
    }
}

#[cfg(test)]
mod tests;
