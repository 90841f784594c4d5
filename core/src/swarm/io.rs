//! What goes into a swarm and what comes out: the whole of its contact with the world.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::conduct::{Conduct, Discovery};
use super::peers::PeerSource;
use super::reading::ReaderId;
use super::web_seeds::{WebFetch, WebSeedFault};
use crate::blocklist::Blocklist;
use crate::dht::Part;
use crate::dht::message::Family;
use crate::dht::scrape::Filters;
use crate::layout::{BlockInfo, PieceIndex};
use crate::metainfo::merkle::Sha256Digest;
use crate::peer::encryption::{Opening, Skeys};
use crate::peer::{ConnId, Direction, Handshake, Message, Transport};
use crate::piece::{Candidate, PieceCheck, Verdict, WebSeedId, check};
use crate::tracker::{AnnounceFailure, AnnounceId, AnnounceRequest, AnnounceResponse};

/// A swarm's number within its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwarmId(pub u32);

/// The disk did not do what was asked; says what, where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskFault(pub String);

/// Something that happened to a swarm.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Addresses of peers that somebody named.
    AddPeers(Vec<SocketAddr>, PeerSource),
    /// Addresses of peers that somebody named whose word counts as little as another peer's.
    PeersTold {
        /// Who named them.
        teller: IpAddr,
        /// Where they listen.
        peers: Vec<SocketAddr>,
    },
    /// Nodes of the distributed hash table have counted who takes part. BEP 33.
    Counted {
        /// The torrent, under the hash of which it was counted.
        info_hash: [u8; 20],
        /// Those of which network.
        family: Family,
        /// Who they are.
        filters: Box<Filters>,
    },
    /// A connection whose handshakes are done.
    Joined {
        /// The connection.
        conn: ConnId,
        /// The peer's address, as the socket has it.
        addr: SocketAddr,
        /// Who dialled.
        direction: Direction,
        /// What carries it.
        transport: Transport,
        /// What the peer said.
        handshake: Handshake,
    },
    /// It is treated in another way from now on.
    Treat(Conduct),
    /// A dial failed, or its handshake did.
    DialFailed(ConnId),
    /// The peer does not answer our key: it does not speak encryption.
    KeyRefused(ConnId),
    /// It is time to ask peers how long messages take.
    AskWays,
    /// A message came.
    Received(ConnId, Message),
    /// Messages came together, in this order.
    ReceivedTogether(ConnId, Vec<Message>),
    /// The socket took so many bytes of blocks.
    Sent(ConnId, u64),
    /// The connection is gone.
    Closed(ConnId),
    /// Answers [`Output::Read`].
    Read {
        /// For whom.
        conn: ConnId,
        /// What was to be read.
        span: BlockInfo,
        /// Its bytes, cut as suits whoever read them.
        result: Result<Vec<Bytes>, DiskFault>,
    },
    /// The bytes of [`Output::SendRun`] could not be read, and the connection is closed.
    Unreadable(DiskFault),
    /// Answers [`Output::HashBlocks`].
    BlocksHashed {
        /// For whom.
        conn: ConnId,
        /// The SHA-256 of each block.
        leaves: Result<Vec<Sha256Digest>, DiskFault>,
    },
    /// Answers [`Output::Store`].
    Stored {
        /// The piece.
        piece: PieceIndex,
        /// What became of it.
        outcome: StoreOutcome,
        /// The piece's length, in bytes.
        bytes: u64,
    },
    /// Answers [`Output::Place`].
    Placed(Result<(), DiskFault>),
    /// Answers [`Output::Announce`].
    Announced {
        /// Which announce.
        id: AnnounceId,
        /// What the tracker said.
        result: Result<AnnounceResponse, AnnounceFailure>,
    },
    /// A web server sent what comes next of the range of [`Output::FetchWeb`].
    WebSeedSent {
        /// The server.
        seed: WebSeedId,
        /// The fetch's number.
        fetch: u32,
        /// Whole blocks, in order; none that was not granted.
        blocks: Vec<Bytes>,
    },
    /// A web server will not send all of the range of [`Output::FetchWeb`].
    WebSeedEnded {
        /// The server.
        seed: WebSeedId,
        /// The fetch's number.
        fetch: u32,
        /// What happened.
        fault: WebSeedFault,
    },
    /// The router lets IPv4 in at this port, if it is not the one on which we listen.
    ReachedAt(Option<u16>),
    /// Somebody who reads the torrent's bytes goes on with this range of them, or reads no more.
    Reader(ReaderId, Option<Range<u64>>),
    /// The network is back after it was gone.
    CameBack,
    /// The owner wants nothing to do with these addresses from now on.
    KeepOut(Arc<Blocklist>),
    /// The owner wants no traffic.
    Pause,
    /// The owner wants traffic again.
    Unpause,
    /// The swarm is left: connections end, trackers are told.
    Stop,
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// Its hash is right and it is written. Its blocks' digests are there if they were asked for.
    Stored(Option<Vec<Sha256Digest>>),
    /// Its hash is wrong and nothing was written. The digests are those of its blocks.
    Corrupt(Vec<Sha256Digest>),
    /// Its hash is right and it could not be written.
    Failed(DiskFault),
    /// It is right by one half of a hybrid torrent and wrong by the other; nothing was written.
    Contradiction,
}

/// A piece that is whole, with what tells whether it is right.
#[derive(Debug)]
pub struct WholePiece {
    /// The piece.
    pub piece: PieceIndex,
    /// Its bytes.
    pub blocks: Vec<Bytes>,
    /// What the hash must be.
    pub want: PieceCheck,
    /// Whether both halves of a hybrid torrent are to be asked.
    pub both: bool,
    /// Whether to tell each block's digest even if the piece is good.
    pub digests: bool,
}

impl WholePiece {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { blocks: &self.blocks, check: self.want, both: self.both }
    }

    /// Has `write` write the blocks if they were found right.
    pub fn store(self, verdict: Verdict, write: impl FnOnce(&[Bytes]) -> Result<(), DiskFault>) -> StoreOutcome {
        match verdict {
            Verdict::Wrong => StoreOutcome::Corrupt(check::digests(&self.blocks)),
            Verdict::Contradiction => StoreOutcome::Contradiction,
            Verdict::Right => match write(&self.blocks) {
                Ok(()) => StoreOutcome::Stored(self.digests.then(|| check::digests(&self.blocks))),
                Err(fault) => StoreOutcome::Failed(fault),
            },
        }
    }

    /// The piece's length, in bytes.
    pub fn length(&self) -> u64 {
        self.blocks.iter().map(|block| block.len() as u64).sum()
    }
}

/// Judges pieces, together.
pub fn judged(whole: Vec<WholePiece>) -> impl Iterator<Item = (WholePiece, Verdict)> {
    let candidates: Vec<_> = whole.iter().map(WholePiece::candidate).collect();
    let verdicts = check::judge(&candidates);
    whole.into_iter().zip(verdicts)
}

/// Something that a swarm wants done.
#[derive(Debug)]
pub enum Output {
    /// Open a connection; answered by the session.
    Dial {
        /// The swarm.
        swarm: SwarmId,
        /// The number that the connection will have.
        conn: ConnId,
        /// Where to.
        addr: SocketAddr,
        /// How the connection is going to begin.
        opening: Opening,
        /// Over what it is tried.
        way: DialWay,
    },
    /// Send our handshake.
    SendHandshake(ConnId, Handshake),
    /// Send our key, and then our handshake encrypted.
    SendEncrypted(ConnId, Handshake),
    /// Answer a peer's key; these are the torrents that it may ask for.
    AnswerKey(ConnId, Arc<Skeys>),
    /// Send a message.
    Send(ConnId, Message),
    /// Say what the system knows of these TCP connections, as far as it does. Of the session alone, and answered to it.
    Trips(Vec<ConnId>),
    /// Close a connection, after what was sent on it.
    Close(ConnId, CloseReason),
    /// Read a span of verified bytes.
    Read {
        /// The swarm.
        swarm: SwarmId,
        /// For whom.
        conn: ConnId,
        /// What to read.
        span: BlockInfo,
    },
    /// Send a span of verified bytes in one message, as it comes from the files: the peer takes runs of blocks.
    SendRun {
        /// The swarm.
        swarm: SwarmId,
        /// To whom.
        conn: ConnId,
        /// What to send.
        span: BlockInfo,
    },
    /// Read a span of verified bytes and hash its blocks one by one. BEP 52.
    HashBlocks {
        /// The swarm.
        swarm: SwarmId,
        /// For whom.
        conn: ConnId,
        /// What to read.
        span: BlockInfo,
    },
    /// Judge pieces, and write those that are right; each is answered by itself.
    Store {
        /// The swarm.
        swarm: SwarmId,
        /// The pieces, which are best hashed together.
        whole: Vec<WholePiece>,
    },
    /// Every piece is stored: sync the files and move them to their final names.
    Place {
        /// The swarm.
        swarm: SwarmId,
    },
    /// Ask a tracker.
    Announce {
        /// The swarm.
        swarm: SwarmId,
        /// Which announce.
        id: AnnounceId,
        /// The tracker.
        url: String,
        /// What to say.
        request: AnnounceRequest,
        /// What the tracker wants to hear again.
        tracker_id: Option<Vec<u8>>,
        /// Whether to ask for figures as well that the answer leaves out. BEP 48.
        scrape: bool,
    },
    /// Look for peers by the ways that need no tracker, and tell others that we take part, until [`Output::EndSeek`].
    /// Asked again when we take part in another way.
    ///
    /// Never asked for a torrent that is known to be private. BEP 27.
    Seek {
        /// The swarm.
        swarm: SwarmId,
        /// The torrent, as it stands in handshakes.
        info_hash: [u8; 20],
        /// Where to look; the trackers are not meant.
        by: Discovery,
        /// How we take part.
        part: Part,
    },
    /// Nobody needs these peers any more.
    EndSeek {
        /// The swarm.
        swarm: SwarmId,
        /// The torrent, as it stands in handshakes.
        info_hash: [u8; 20],
    },
    /// A peer says that it is a node of the distributed hash table. BEP 5.
    Node(SocketAddr),
    /// Ask a web server for a range; answered with its blocks, and with what went wrong.
    FetchWeb {
        /// The swarm.
        swarm: SwarmId,
        /// What to ask for.
        fetch: WebFetch,
    },
    /// Let a web server send more.
    GrantWeb {
        /// The swarm.
        swarm: SwarmId,
        /// The server.
        seed: WebSeedId,
        /// The fetch's number.
        fetch: u32,
        /// Up to which byte of the torrent it may send.
        until: u64,
    },
    /// Take nothing more from a web server.
    CloseWeb {
        /// The swarm.
        swarm: SwarmId,
        /// The server.
        seed: WebSeedId,
        /// The fetch's number.
        fetch: u32,
    },
    /// Something that people want to know.
    Event(SwarmId, Event),
}

/// Something that people want to know of a swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece is hashed and stored.
    Piece(PieceIndex),
    /// All files are under their final names.
    Complete,
    /// A finder has found the torrent's `info`; its hash is right.
    Metadata {
        /// The raw bencoding of `info`.
        info: Bytes,
        /// The hashes of the pieces of each file that is longer than one, by the file's root, as far as there are any.
        layers: BTreeMap<Sha256Digest, Vec<u8>>,
    },
    /// The disk failed; the swarm rests and tries again by itself.
    Fault(String),
    /// The disk works again.
    Recovered,
    /// A peer sent bad data, proven, and is not spoken to again.
    Banned(SocketAddr),
    /// A web server sent bad data, proven, or has another file, and is not asked again.
    WebSeedDropped {
        /// Its URL.
        url: String,
        /// What it did.
        reason: String,
    },
    /// The swarm is left and everybody was told.
    Stopped,
}

/// Over what a dial is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialWay {
    /// TCP, and uTP where that does not lead there.
    Any,
    /// uTP alone, as the other side dials at the same time. BEP 55.
    Punch,
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer broke a rule.
    #[error(transparent)]
    Fault(#[from] crate::peer::connection::PeerFault),
    /// The peer sent data that was proven bad.
    #[error("peer sent bad data")]
    Banned,
    /// The owner wants nothing to do with its address.
    #[error("peer's address is on the block list")]
    Blocked,
    /// It leads to ourselves.
    #[error("connected to itself")]
    Ourselves,
    /// There is another connection to the same peer.
    #[error("connected twice")]
    Duplicate,
    /// Both sides have everything.
    #[error("both have everything")]
    Redundant,
    /// There are enough connections from there.
    #[error("too many connections from one network")]
    Crowd,
    /// There are enough connections.
    #[error("too many connections")]
    Full,
    /// There are enough connections, and another is wanted more. BEP 40.
    #[error("made way for another")]
    MadeWay,
    /// The peer does not give the metadata that we need.
    #[error("peer gives no metadata")]
    NoMetadata,
    /// The peer said nothing for too long.
    #[error("peer is silent")]
    Silent,
    /// The peer asks and does not read the answers.
    #[error("peer does not read")]
    Stuck,
    /// The handshake did not come in time, or was wrong.
    #[error("no handshake")]
    Handshake,
    /// Answering keys is work, and too much was asked of us.
    #[error("too many keys at a time")]
    KeyFlood,
    /// No swarm has this info-hash.
    #[error("no such torrent")]
    UnknownTorrent,
    /// The swarm was paused or left.
    #[error("torrent stopped")]
    Stopped,
}
