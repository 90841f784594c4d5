//! The state of one connection: four flags, the peer's pieces, both request queues, both speeds.
//!
//! [`PeerConnection::receive`] checks a message against the torrent's layout and the rules, updates the state and says
//! what it means to the swarm. What to do about it is the swarm's to decide.
//!
//! Law: a message that breaks a rule closes the connection with its reason; none panics.
//!
//! Source: BEP 3, 6, 9, 10, 11, 52.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::extension::{
    DEFAULT_REQUEST_QUEUE, ExtensionHandshake, OUR_EXCHANGE_ID, OUR_HOLEPUNCH_ID, OUR_METADATA_ID, OUR_WAY_ID,
};
use super::pipeline::{Arrival, Pipeline};
use super::uploads::Uploads;
use super::{HashRequest, Message, PeerId, Reserved, Shown};
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, BlockInfo, Layout, PieceIndex};
use crate::rate::RateMeter;
use crate::time::Instant;

/// A connection's number, unique in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer dialled us.
    Incoming,
    /// We dialled the peer.
    Outgoing,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// uTP over UDP. BEP 29.
    Utp,
}

/// The peer broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// The bitfield does not fit the torrent.
    #[error("bitfield of {got} bytes does not fit {pieces} pieces")]
    Bitfield {
        /// The bitfield's length, in bytes.
        got: usize,
        /// The torrent's pieces.
        pieces: u32,
    },
    /// A message about all pieces came after others.
    #[error("{0} came after other messages")]
    NotFirst(&'static str),
    /// A piece that the torrent does not have.
    #[error("{what} names piece {got} of {pieces}")]
    Piece {
        /// The message.
        what: &'static str,
        /// The piece it names.
        got: PieceIndex,
        /// The torrent's pieces.
        pieces: u32,
    },
    /// A span that does not lie in the torrent, or is longer than peers may ask for.
    #[error("{what} asks for {length} bytes at {begin} of piece {piece}, which is no block")]
    Span {
        /// The message.
        what: &'static str,
        /// Its piece.
        piece: PieceIndex,
        /// Its offset.
        begin: u32,
        /// Its length.
        length: u32,
    },
    /// A message of the fast extension from a peer that did not offer it.
    #[error("{0} without the fast extension")]
    NotFast(&'static str),
    /// Blocks that nobody asked for.
    #[error("sent {0} blocks that were never asked for")]
    Unasked(u32),
    /// More messages of hole punching than anybody has use for.
    #[error("sent {0} messages of hole punching within a minute")]
    PunchFlood(u32),
    /// More messages of peer exchange than anybody has news.
    #[error("sent {0} messages of peer exchange within a minute")]
    ExchangeFlood(u32),
}

/// What a message means to the swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing that needs an answer.
    Nothing,
    /// The peer told all its pieces at once; the set before is given.
    Pieces(Bitfield),
    /// The peer got one piece more.
    Have(PieceIndex),
    /// The peer will answer no request; those it has dropped are given.
    Choked(Vec<BlockInfo>),
    /// The peer will answer requests, or allows some while choking.
    Unchoked,
    /// The peer wants something of us, and did not before.
    Interested,
    /// The peer wants nothing of us any more.
    NotInterested,
    /// The peer asks for a block that we may have.
    Request(BlockInfo),
    /// The peer took back a request that waited.
    Cancelled(BlockInfo),
    /// A block that was asked for, now or before it was given up.
    Block(BlockInfo, Bytes, Arrival),
    /// A block that is of no use.
    Unasked(u64),
    /// The peer will not answer this request.
    Rejected(BlockInfo),
    /// The peer suggests what to ask it for.
    Suggested,
    /// The peer introduced itself.
    Extension(Box<ExtensionHandshake>),
    /// The peer is a node of the distributed hash table, at this UDP port. BEP 5.
    Node(u16),
    /// The peer names others; not decoded yet. BEP 11.
    Exchange(Bytes),
    /// The peer says something about hole punching; not decoded yet. BEP 55.
    Punch(Bytes),
    /// How long messages take; the payload is for [`super::way`].
    Way(Bytes),
    /// The peer says something about the metadata; not decoded yet. BEP 9.
    Metadata(Bytes),
    /// The peer asks for hashes. BEP 52.
    HashRequest(HashRequest),
    /// The peer brings hashes. BEP 52.
    Hashes(HashRequest, Bytes),
    /// The peer will not bring hashes. BEP 52.
    HashReject(HashRequest),
}

/// A piece that a seed suggested or showed to a peer (BEP 6, 16), or that the peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Whether it asked.
    pub asked: bool,
    /// When it was told of the piece, asked for some of it, or last waited for some of it.
    pub alive: Instant,
}

/// The longest span that a peer may ask for; most clients ask for 16 KiB.
const MAX_REQUEST: u32 = 128 * 1024;
/// How many blocks nobody asked for close a connection.
const MAX_UNASKED: u32 = 64;
/// The most pieces kept of those that a peer allows while choking.
const MAX_ALLOWED_FAST: usize = 32;
/// The most pieces kept of those that a peer suggests.
const MAX_SUGGESTED: usize = 16;
/// So long after its last suggestion a peer is asked for nothing else while it has enough to do.
const HEED: Duration = Duration::from_secs(2);
/// And so long once it has sent us all that we asked for.
pub const HEED_IDLE: Duration = Duration::from_millis(300);
/// A peer that refuses blocks of so many pieces is asked for nothing until it is forgiven.
const MAX_REFUSED: usize = 64;
/// After so long a peer may be asked again for what it refused.
const FORGIVE_AFTER: Duration = Duration::from_secs(10);

/// One connection to one peer of one swarm.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the four flags are the protocol's own")]
pub struct PeerConnection {
    /// The peer's address as the socket has it.
    pub addr: SocketAddr,
    /// Who dialled.
    pub direction: Direction,
    /// What carries the connection.
    pub transport: Transport,
    /// Both sides dialled on a relay's word: that we reached it does not mean that others do. BEP 55.
    pub punched: bool,
    /// Who the peer says it is.
    pub peer_id: PeerId,
    /// Which extensions both sides speak.
    pub reserved: Reserved,
    /// Both are nodes of the distributed hash table, and it has not said where its node is.
    awaits_node: bool,
    /// The peer's own introduction, once it came.
    pub extension: Option<ExtensionHandshake>,
    /// We do not answer its requests.
    pub am_choking: bool,
    /// We told it that it has something for us.
    pub am_interested: bool,
    /// It does not answer our requests.
    pub peer_choking: bool,
    /// It told us that we have something for it.
    pub peer_interested: bool,
    /// The pieces it has.
    pub pieces: Bitfield,
    /// Our requests.
    pub pipeline: Pipeline,
    /// Its requests.
    pub uploads: Uploads,
    /// Speed of blocks from it.
    pub down: RateMeter,
    /// Speed of blocks to it.
    pub up: RateMeter,
    /// When it was last unchoked, or choked if it is choked; for fair turns.
    pub choke_changed: Instant,
    /// When the connection was made.
    pub since: Instant,
    /// How many of our new pieces it was told of.
    pub told: usize,
    /// Pieces it may request while we choke it.
    pub granted: BTreeSet<PieceIndex>,
    /// What a seed showed it of its pieces; everything if `None`. BEP 16.
    pub shown: Option<Shown>,
    /// Pieces that a seed means it to have next.
    pub promised: BTreeMap<PieceIndex, Promise>,
    /// Pieces that a seed sent it and that nobody else is known to have.
    pub unspread: Vec<PieceIndex>,
    /// When it was last given a turn to be sent a piece.
    pub last_turn: Instant,
    /// Bytes that it may still request while we choke it.
    pub grant_bytes: u64,
    /// Bytes of metadata that it was given.
    pub metadata_given: u64,
    /// What it asked for that blocks are read and hashed for.
    pub hashing: Option<HashRequest>,
    /// Bytes that were read and hashed for it, and of hashes that it was given.
    pub hashes_cost: u64,
    /// Pieces that it suggested we ask it for, oldest first. BEP 6.
    pub suggested: VecDeque<PieceIndex>,
    suggested_at: Option<Instant>,
    allowed: BTreeSet<PieceIndex>,
    /// Pieces of which it refused a block although it had unchoked us: asking again at once would only go round and
    /// round.
    refused: BTreeSet<PieceIndex>,
    refused_at: Instant,
    last_received: Instant,
    last_sent: Instant,
    spoke: bool,
    unasked: u32,
}

impl PeerConnection {
    /// A connection whose handshakes are done.
    pub fn new(
        addr: SocketAddr,
        direction: Direction,
        peer_id: PeerId,
        reserved: Reserved,
        piece_count: u32,
        now: Instant,
    ) -> Self {
        Self {
            addr,
            direction,
            transport: Transport::default(),
            punched: false,
            peer_id,
            reserved,
            awaits_node: reserved.dht(),
            extension: None,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            pieces: Bitfield::none(piece_count),
            pipeline: Pipeline::new(DEFAULT_REQUEST_QUEUE, now),
            uploads: Uploads::default(),
            down: RateMeter::default(),
            up: RateMeter::default(),
            choke_changed: now,
            since: now,
            told: 0,
            granted: BTreeSet::new(),
            shown: None,
            promised: BTreeMap::new(),
            unspread: Vec::new(),
            last_turn: now,
            suggested: VecDeque::new(),
            suggested_at: None,
            grant_bytes: 0,
            metadata_given: 0,
            hashing: None,
            hashes_cost: 0,
            allowed: BTreeSet::new(),
            refused: BTreeSet::new(),
            refused_at: now,
            last_received: now,
            last_sent: now,
            spoke: false,
            unasked: 0,
        }
    }

    /// Whether the peer has every piece.
    pub fn is_seed(&self) -> bool {
        self.pieces.is_all()
    }

    /// Whether the peer has everything, or says that it will not download any more. BEP 21.
    pub fn wants_nothing(&self) -> bool {
        self.is_seed() || self.extension.as_ref().is_some_and(|extension| extension.upload_only)
    }

    /// Whether both sides speak the fast extension.
    pub fn fast(&self) -> bool {
        self.reserved.fast()
    }

    /// Whether we may ask for this piece now.
    pub fn may_request(&self, piece: PieceIndex) -> bool {
        !self.refused.contains(&piece) && (!self.peer_choking || self.allowed.contains(&piece))
    }

    /// Whether we may ask for any piece now.
    pub fn may_request_any(&self) -> bool {
        self.refused.len() < MAX_REFUSED && (!self.peer_choking || !self.allowed.is_empty())
    }

    /// Whether the peer is to be asked for what it suggests only.
    pub fn guides(&self, now: Instant) -> bool {
        let patience = if self.pipeline.is_empty() { HEED_IDLE } else { HEED };
        self.suggested_at.is_some_and(|at| now - at < patience)
    }

    /// Forgets after a while what the peer refused; tells whether there was anything to forget.
    pub fn forgive(&mut self, now: Instant) -> bool {
        let due = !self.refused.is_empty() && now - self.refused_at >= FORGIVE_AFTER;
        if due {
            self.refused.clear();
        }
        due
    }

    /// How long the peer has been silent.
    pub fn silence(&self, now: Instant) -> Duration {
        now - self.last_received
    }

    /// Whether the peer would soon think that we are gone.
    pub fn needs_keep_alive(&self, now: Instant, every: Duration) -> bool {
        now - self.last_sent >= every
    }

    /// Counts something that was sent.
    pub fn sent_at(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Whether it speaks hole punching. BEP 55.
    pub fn punches(&self) -> bool {
        self.extension.as_ref().is_some_and(|extension| extension.holepunch.is_some_and(|id| id != 0))
    }

    /// Its number for messages about how long messages take, if it takes them.
    pub fn way_id(&self) -> Option<u8> {
        self.extension.as_ref()?.way.filter(|id| *id != 0)
    }

    /// The longest run of blocks that it takes in one message, in bytes, if it takes any.
    pub fn longest_run(&self) -> Option<u32> {
        self.extension.as_ref()?.run.filter(|length| *length > BLOCK_LENGTH)
    }

    /// The address on which the peer takes connections, if it can be known.
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        match self.direction {
            Direction::Outgoing => Some(self.addr),
            Direction::Incoming => {
                let port = self.extension.as_ref()?.port?;
                Some(SocketAddr::new(self.addr.ip(), port))
            }
        }
    }

    /// Takes a message in.
    pub fn receive(&mut self, now: Instant, message: Message, layout: &Layout) -> Result<Received, PeerFault> {
        self.last_received = now;
        // BEP 10 lets the extension handshake come before the pieces.
        let first = !self.spoke;
        self.spoke |= !matches!(message, Message::KeepAlive | Message::Port(_) | Message::Extended { .. });
        match message {
            Message::Extended { id: 0, payload } => Ok(self.receive_extension(&payload)),
            Message::Extended { id: OUR_EXCHANGE_ID, payload } => Ok(Received::Exchange(payload)),
            Message::Extended { id: OUR_HOLEPUNCH_ID, payload } => Ok(Received::Punch(payload)),
            Message::Extended { id: OUR_WAY_ID, payload } => Ok(Received::Way(payload)),
            Message::Extended { id: OUR_METADATA_ID, payload } => Ok(Received::Metadata(payload)),
            Message::Port(port) if std::mem::take(&mut self.awaits_node) => Ok(Received::Node(port)),
            Message::HashRequest(request) => Ok(Received::HashRequest(request)),
            Message::Hashes { request, hashes } => Ok(Received::Hashes(request, hashes)),
            Message::HashReject(request) => Ok(Received::HashReject(request)),
            Message::KeepAlive | Message::Port(_) | Message::Unknown(_) | Message::Extended { .. } => {
                Ok(Received::Nothing)
            }
            Message::Choke => {
                self.peer_choking = true;
                // With the fast extension a choke drops nothing by itself: every request is rejected one by one.
                let dropped = if self.fast() { Vec::new() } else { self.pipeline.clear() };
                Ok(Received::Choked(dropped))
            }
            Message::Unchoke => {
                if std::mem::replace(&mut self.peer_choking, false) {
                    self.refused.clear();
                }
                Ok(Received::Unchoked)
            }
            Message::Interested => {
                let fresh = !std::mem::replace(&mut self.peer_interested, true);
                Ok(if fresh { Received::Interested } else { Received::Nothing })
            }
            Message::NotInterested => {
                self.peer_interested = false;
                Ok(Received::NotInterested)
            }
            Message::Have(piece) => {
                check_piece("have", piece, layout)?;
                Ok(if self.pieces.insert(piece) { Received::Have(piece) } else { Received::Nothing })
            }
            Message::Bitfield(bytes) => {
                let fault = PeerFault::Bitfield { got: bytes.len(), pieces: layout.piece_count() };
                let mut pieces = Bitfield::from_wire(&bytes, layout.piece_count()).ok_or(fault)?;
                // BEP 3 allows it only at first, but aria2 sends one in place of many haves. Nobody loses a piece by
                // it.
                for had in self.pieces.iter() {
                    pieces.insert(had);
                }
                Ok(Received::Pieces(std::mem::replace(&mut self.pieces, pieces)))
            }
            Message::HaveAll => self.fast_pieces(first, "have all", Bitfield::all(layout.piece_count())),
            Message::HaveNone => self.fast_pieces(first, "have none", Bitfield::none(layout.piece_count())),
            Message::SuggestPiece(piece) => {
                self.check_fast("suggest piece")?;
                check_piece("suggest piece", piece, layout)?;
                if self.suggested.len() == MAX_SUGGESTED {
                    self.suggested.pop_front();
                }
                self.suggested.push_back(piece);
                self.suggested_at = Some(now);
                Ok(Received::Suggested)
            }
            Message::AllowedFast(piece) => {
                self.check_fast("allowed fast")?;
                check_piece("allowed fast", piece, layout)?;
                if self.allowed.len() < MAX_ALLOWED_FAST {
                    self.allowed.insert(piece);
                }
                Ok(if self.peer_choking { Received::Unchoked } else { Received::Nothing })
            }
            Message::Request(span) => {
                if !layout.contains(span) || span.length > MAX_REQUEST {
                    let BlockInfo { piece, begin, length } = span;
                    return Err(PeerFault::Span { what: "request", piece, begin, length });
                }
                Ok(Received::Request(span))
            }
            Message::Cancel(span) => {
                // One that is being read is answered with its block; BEP 6 allows either.
                Ok(if self.uploads.cancel(span) { Received::Cancelled(span) } else { Received::Nothing })
            }
            Message::RejectRequest(span) => {
                self.check_fast("reject request")?;
                if !self.pipeline.reject(span) {
                    return Ok(Received::Nothing);
                }
                self.refuse(now, span.piece);
                Ok(Received::Rejected(span))
            }
            Message::Piece { piece, begin, data } => self.receive_block(now, piece, begin, data),
        }
    }

    /// The peer does not give a block of this piece.
    fn refuse(&mut self, now: Instant, piece: PieceIndex) {
        if self.peer_choking {
            self.allowed.remove(&piece);
        } else {
            self.refused_at = now;
            self.refused.insert(piece);
        }
    }

    fn receive_block(
        &mut self,
        now: Instant,
        piece: PieceIndex,
        begin: u32,
        data: Bytes,
    ) -> Result<Received, PeerFault> {
        let length = u32::try_from(data.len()).expect("a message is at most a block long");
        let block = BlockInfo { piece, begin, length };
        self.down.add(now, u64::from(length));
        // What was never asked for matches no request, whatever numbers it names.
        match self.pipeline.arrive(now, block, &mut self.down) {
            arrival @ (Arrival::Expected | Arrival::Late) => Ok(Received::Block(block, data, arrival)),
            Arrival::Unasked => {
                self.unasked += 1;
                if self.unasked > MAX_UNASKED {
                    return Err(PeerFault::Unasked(self.unasked));
                }
                Ok(Received::Unasked(u64::from(length)))
            }
        }
    }

    fn receive_extension(&mut self, payload: &[u8]) -> Received {
        let Some(handshake) = ExtensionHandshake::decode(payload) else { return Received::Nothing };
        if let Some(limit) = handshake.request_queue {
            self.pipeline.limit_to(limit);
        }
        // A later one tells only what has changed.
        let before = self.extension.take().unwrap_or_default();
        let handshake = ExtensionHandshake {
            client: handshake.client.or(before.client),
            port: handshake.port.or(before.port),
            request_queue: handshake.request_queue.or(before.request_queue),
            your_ip: handshake.your_ip.or(before.your_ip),
            upload_only: handshake.upload_only,
            exchange: handshake.exchange.or(before.exchange),
            holepunch: handshake.holepunch.or(before.holepunch),
            way: handshake.way.or(before.way),
            run: handshake.run.or(before.run),
            metadata: handshake.metadata.or(before.metadata),
            metadata_size: handshake.metadata_size.or(before.metadata_size),
        };
        self.extension = Some(handshake.clone());
        Received::Extension(Box::new(handshake))
    }

    fn fast_pieces(&mut self, first: bool, what: &'static str, pieces: Bitfield) -> Result<Received, PeerFault> {
        self.check_fast(what)?;
        self.replace_pieces(first, what, pieces)
    }

    fn replace_pieces(&mut self, first: bool, what: &'static str, pieces: Bitfield) -> Result<Received, PeerFault> {
        if !first {
            return Err(PeerFault::NotFirst(what));
        }
        Ok(Received::Pieces(std::mem::replace(&mut self.pieces, pieces)))
    }

    fn check_fast(&self, what: &'static str) -> Result<(), PeerFault> {
        if self.fast() { Ok(()) } else { Err(PeerFault::NotFast(what)) }
    }
}

fn check_piece(what: &'static str, got: PieceIndex, layout: &Layout) -> Result<(), PeerFault> {
    if got.0 < layout.piece_count() {
        return Ok(());
    }
    Err(PeerFault::Piece { what, got, pieces: layout.piece_count() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::BLOCK_LENGTH;

    fn layout() -> Layout {
        Layout::new(2 * BLOCK_LENGTH, [20 * u64::from(BLOCK_LENGTH)])
    }

    fn peer(reserved: Reserved) -> PeerConnection {
        let addr = "198.18.0.1:6881".parse().unwrap();
        PeerConnection::new(addr, Direction::Outgoing, PeerId([1; 20]), reserved, 10, Instant::ZERO)
    }

    #[track_caller]
    fn check(reserved: Reserved, messages: &[Message], want: &str) {
        let mut peer = peer(reserved);
        let mut outcome = String::from("taken");
        for message in messages {
            if let Err(fault) = peer.receive(Instant::ZERO, message.clone(), &layout()) {
                outcome = fault.to_string();
            }
        }
        assert_eq!(outcome, want);
    }

    fn span(piece: u32, begin: u32, length: u32) -> BlockInfo {
        BlockInfo { piece: PieceIndex(piece), begin, length }
    }

    #[test]
    fn broken_rules_are_named() {
        let (fast, plain) = (Reserved::OURS, Reserved::default());
        let bits = |bytes: &'static [u8]| Message::Bitfield(Bytes::from_static(bytes));
        check(plain, &[bits(&[0xff, 0xc0])], "taken");
        check(plain, &[bits(&[0xff, 0xff])], "bitfield of 2 bytes does not fit 10 pieces");
        check(plain, &[Message::Have(PieceIndex(1)), bits(&[0, 0])], "taken");
        check(fast, &[bits(&[0, 0]), Message::HaveAll], "have all came after other messages");
        check(plain, &[Message::HaveAll], "have all without the fast extension");
        check(plain, &[Message::Have(PieceIndex(10))], "have names piece 10 of 10");
        check(plain, &[Message::Have(PieceIndex(u32::MAX))], "have names piece 4294967295 of 10");
        check(fast, &[Message::AllowedFast(PieceIndex(11))], "allowed fast names piece 11 of 10");
        check(
            plain,
            &[Message::Request(span(9, u32::MAX, u32::MAX))],
            "request asks for 4294967295 bytes at 4294967295 of piece 9, which is no block",
        );
        check(plain, &[Message::Request(span(0, 0, 0))], "request asks for 0 bytes at 0 of piece 0, which is no block");
        check(plain, &[Message::RejectRequest(span(0, 0, 1))], "reject request without the fast extension");
        check(fast, &[Message::RejectRequest(span(99, 0, 1)), Message::Cancel(span(99, 0, 1))], "taken");
    }

    #[test]
    fn a_later_bitfield_adds_pieces_and_takes_none_away() {
        let mut peer = peer(Reserved::OURS);
        peer.receive(Instant::ZERO, Message::HaveNone, &layout()).unwrap();
        peer.receive(Instant::ZERO, Message::Have(PieceIndex(1)), &layout()).unwrap();
        let before = peer.pieces.clone();
        let later = Message::Bitfield(Bytes::from_static(&[0x80, 0]));
        assert_eq!(peer.receive(Instant::ZERO, later, &layout()), Ok(Received::Pieces(before)));
        assert_eq!(peer.pieces.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(1)]);
    }

    #[test]
    fn the_extension_handshake_may_come_before_the_pieces() {
        let hello = Message::Extended { id: 0, payload: ExtensionHandshake::default().encode() };
        check(Reserved::OURS, &[hello, Message::HaveAll], "taken");
    }

    #[test]
    fn a_second_extension_handshake_changes_only_what_it_tells() {
        let mut peer = peer(Reserved::OURS);
        let first = ExtensionHandshake { port: Some(7), request_queue: Some(9), ..ExtensionHandshake::default() };
        let second = ExtensionHandshake { upload_only: true, ..ExtensionHandshake::default() };
        for hello in [first, second] {
            let message = Message::Extended { id: 0, payload: hello.encode() };
            peer.receive(Instant::ZERO, message, &layout()).unwrap();
        }
        let known = peer.extension.as_ref().unwrap();
        assert_eq!((known.port, known.request_queue, peer.wants_nothing()), (Some(7), Some(9), true));
    }

    #[test]
    fn a_flood_of_blocks_nobody_asked_for_ends_the_connection() {
        let mut peer = peer(Reserved::OURS);
        let block =
            |piece| Message::Piece { piece: PieceIndex(piece), begin: u32::MAX, data: Bytes::from_static(b"x") };
        for _ in 0..MAX_UNASKED {
            assert_eq!(peer.receive(Instant::ZERO, block(u32::MAX), &layout()), Ok(Received::Unasked(1)));
        }
        assert!(peer.receive(Instant::ZERO, block(0), &layout()).is_err());
    }

    #[test]
    fn what_a_peer_refuses_is_not_asked_for_again_at_once() {
        let mut peer = peer(Reserved::OURS);
        let refuse = |peer: &mut PeerConnection, piece| {
            peer.pipeline.request(Instant::ZERO, span(piece, 0, BLOCK_LENGTH));
            peer.receive(Instant::ZERO, Message::RejectRequest(span(piece, 0, BLOCK_LENGTH)), &layout()).unwrap();
        };
        peer.receive(Instant::ZERO, Message::AllowedFast(PieceIndex(1)), &layout()).unwrap();
        assert!(peer.may_request(PieceIndex(1)) && !peer.may_request(PieceIndex(2)));
        refuse(&mut peer, 1);
        assert!(!peer.may_request_any(), "it allows nothing any more");
        peer.receive(Instant::ZERO, Message::Unchoke, &layout()).unwrap();
        assert!(peer.may_request(PieceIndex(1)));
        refuse(&mut peer, 2);
        assert!(!peer.may_request(PieceIndex(2)) && peer.may_request(PieceIndex(1)));
        peer.receive(Instant::ZERO, Message::Unchoke, &layout()).unwrap();
        assert!(!peer.may_request(PieceIndex(2)), "saying again what it said before changes nothing");
        assert!(!peer.forgive(Instant::ZERO));
        assert!(peer.forgive(Instant::ZERO + FORGIVE_AFTER) && peer.may_request(PieceIndex(2)));
    }

    #[test]
    fn a_choke_drops_requests_only_without_the_fast_extension() {
        for (reserved, dropped) in [(Reserved::OURS, 0), (Reserved::default(), 1)] {
            let mut peer = peer(reserved);
            peer.pipeline.request(Instant::ZERO, span(0, 0, BLOCK_LENGTH));
            let received = peer.receive(Instant::ZERO, Message::Choke, &layout()).unwrap();
            assert_eq!(received, Received::Choked(vec![span(0, 0, BLOCK_LENGTH); dropped]));
            assert_eq!(peer.pipeline.len(), 1 - dropped);
        }
    }
}
