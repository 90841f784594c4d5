//! One torrent among its peers.
//!
//! [`Swarm`] decides everything that concerns one torrent: whom to dial, what to ask whom for, whom to serve, when a
//! piece is good and who is to blame when it is not. Sockets, disk, hashing and tracker requests leave as [`Output`]s
//! and come back as [`Input`]s.
//!
//! The modules in reading order: [`io`] is what goes in and out, [`conduct`] what the owner wants of this torrent apart
//! from others, [`peers`] keeps the addresses, `inbound` answers messages, `exchange` tells peers of one another,
//! `punch` introduces those who cannot reach each other, `metadata` gives them the torrent itself, `hashes` what proves
//! it, [`priority`] and `places` say who is wanted most, `requests` asks for blocks, [`reading`] hastens what somebody
//! waits for, `pieces` follows them to the disk, `telling` announces them, `turns` says whose turn it is to be sent
//! one, `handing` what a seed hands out to whom, `showing` how it tells them, `restraint` when to give less, `ways` how
//! long messages take, `serving` chokes and uploads, [`web_seeds`] asks web servers when peers are not enough, `upkeep`
//! is all that only time brings about, [`status`] tells people, [`detail`] those who look closely.
//!
//! Laws: a piece is announced only when its hash is right; nothing but allowed-fast pieces goes to a choked peer; the
//! availability equals a recount; bytes in memory stay within [`SwarmConfig`]'s bounds.
//!
//! Source: BEP 3, 6, 9, 10, 11, 12, 16, 20, 21, 27, 33, 40, 52, 53, 55.

pub mod io;
pub mod conduct;
pub mod peers;
pub mod priority;
mod inbound;
mod places;
mod exchange;
mod punch;
mod metadata;
mod hashes;
mod requests;
pub mod reading;
mod pieces;
mod telling;
mod turns;
mod handing;
mod showing;
mod restraint;
mod ways;
mod serving;
pub mod web_seeds;
mod upkeep;
pub mod status;
pub mod detail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use conduct::{Buckets, Conduct, Discovery, DiscoveryError};
pub use detail::{PeerStatus, PieceCells, SwarmDetail};
pub use io::{DialWay, DiskFault, Event, Input, Output, StoreOutcome, SwarmId, WholePiece, judged};
pub use peers::{PeerList, PeerSource};
pub use reading::ReaderId;
use reading::Reading;
use restraint::{Line, Restraint};
pub use status::{TorrentState, TorrentStatus};
use turns::{Turn, Width};
pub use web_seeds::{WebFetch, WebSeedState, WebSeedStatus};

use crate::background::{Background, Pace};
use crate::bitfield::Bitfield;
use crate::blocklist::Blocklist;
use crate::choke::{Choker, Slots};
use crate::dht::Part;
use crate::dht::scrape::Counts;
use crate::effects::Effects;
use crate::layout::{Layout, PieceIndex};
use crate::metainfo::{FileChoice, InfoHash, Metainfo};
use crate::peer::{ConnId, Encryption, PeerConnection, PeerId};
use crate::piece::{Blame, Picker};
use crate::rate::{Rate, RateMeter};
use crate::rng::Rng;
use crate::room::give_room_back;
use crate::time::{Instant, earliest};
use crate::tracker::{AnnouncerInput, Announcers};
use web_seeds::WebSeeds;

/// How often a swarm with peers looks after them.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// What one swarm may use.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// The most connections.
    pub max_connections: usize,
    /// The most dials under way at once.
    pub max_dials: usize,
    /// How many peers are served at once.
    pub slots: Slots,
    /// The most bytes of pieces on their way; two pieces are always allowed.
    pub partial_budget: u64,
    /// The most bytes that are asked for and have not come, all peers together.
    pub request_budget: u64,
    /// The most bytes that wait for the disk before no more are asked for.
    pub store_budget: u64,
    /// The most bytes that are read ahead for one peer.
    pub read_ahead: u64,
    /// A peer that is sent so many bytes a second is sent runs of blocks, if it takes them: there the processor is what
    /// holds others up, and the line is not. On a slower line blocks leave room for others between them.
    pub run_rate: Rate,
    /// Whether to serve others at all.
    pub upload: bool,
    /// When others are served in the background.
    pub background: Background,
    /// Whether peers are told of one another, unless the torrent is private. BEP 11.
    pub exchange: bool,
    /// Whether uTP may be spoken, over which holes are punched if peers are told of one another, too. BEP 29, 55.
    pub utp: bool,
    /// Whether connections that we open are encrypted.
    pub encryption: Encryption,
    /// Whom we never dial.
    pub blocklist: Arc<Blocklist>,
    /// Whether peers are told that we are a node of the distributed hash table, unless the torrent is private. BEP 5.
    pub dht: bool,
    /// Whether pieces are fetched in their order, which serves who reads them early and is of no use to the crowd.
    pub in_order: bool,
}

impl Default for SwarmConfig {
    fn default() -> Self {
        Self {
            max_connections: 80,
            max_dials: 30,
            slots: Slots::default(),
            partial_budget: 12 << 20,
            request_budget: 8 << 20,
            store_budget: 12 << 20,
            read_ahead: 512 << 10,
            run_rate: Rate(16 << 20),
            upload: true,
            background: Background::default(),
            exchange: true,
            utp: false,
            encryption: Encryption::default(),
            blocklist: Arc::default(),
            dht: false,
            in_order: false,
        }
    }
}

/// A torrent to join.
#[derive(Debug)]
pub struct SwarmSetup {
    /// What the torrent is.
    pub metainfo: Arc<Metainfo>,
    /// The files that are wanted; all if `None`.
    pub choice: Option<FileChoice>,
    /// The pieces that are on disk and verified.
    pub have: Bitfield,
    /// Whether the files are under their final names.
    pub placed: bool,
    /// Whether the owner wants no traffic for now.
    pub paused: bool,
    /// Who we are in this swarm.
    pub peer_id: PeerId,
    /// The port on which we listen, which trackers and peers are told.
    pub port: u16,
    /// The port at which a router lets IPv4 in, if it is another one: then that is told.
    pub outer_port: Option<u16>,
    /// What peers are told of our client.
    pub client: String,
    /// How it is treated apart from others.
    pub conduct: Conduct,
    /// URLs of web servers that have the content (BEP 19).
    pub web_seeds: Vec<String>,
    /// Whether peers that others name may be private or loopback addresses.
    pub private_peers: bool,
    /// No tracker hears of us before.
    pub announce_at: Instant,
    /// The swarm's own randomness.
    pub rng: Rng,
    /// What it may use.
    pub config: SwarmConfig,
}

/// What all swarms of a session share: the owner's limits, and places for connections.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How fast all swarms together may go.
    pub all: Buckets,
    /// Upload in the background, all swarms together that are there; `None` is no background.
    pub background: Option<Pace>,
    /// How many more peers may be dialled now; `None` is as many as the swarm likes.
    pub dials: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Pieces that are wanted are missing.
    Fetching,
    /// Every wanted piece is here; the files are being moved to their final names.
    Placing,
    /// Done; only serving.
    Seeding,
}

/// One torrent among its peers.
#[derive(Debug)]
pub struct Swarm {
    id: SwarmId,
    metainfo: Arc<Metainfo>,
    choice: Option<FileChoice>,
    /// Bytes of the pieces that are wanted, those that are here included.
    wanted_length: u64,
    config: SwarmConfig,
    conduct: Conduct,
    /// How fast it may go, whatever others do.
    own: Buckets,
    peer_id: PeerId,
    port: u16,
    outer_port: Option<u16>,
    client: String,
    rng: Rng,
    phase: Phase,
    paused: bool,
    fault: Option<upkeep::Fault>,
    conns: BTreeMap<ConnId, PeerConnection>,
    peers: PeerList,
    exchange: exchange::Exchange,
    punching: punch::Punching,
    vantage: priority::Vantage,
    /// When a connection last made way for another.
    made_way: Option<Instant>,
    picker: Picker,
    blame: Blame,
    trees: hashes::Trees,
    web_seeds: WebSeeds,
    reading: Reading,
    choker: Choker,
    announcers: Announcers,
    /// How those were last told who seek by other ways that we take part; `None` while they are not to.
    part: Option<Part>,
    /// What nodes of the distributed hash table have counted.
    counts: Counts,
    /// Bytes of whole pieces that are not stored.
    storing: u64,
    gathering: pieces::Gathering,
    /// Pieces that are right and could not be written; they are kept, and written when the disk works again.
    unstored: BTreeSet<PieceIndex>,
    up: RateMeter,
    down: RateMeter,
    wasted: u64,
    /// Requests that are out, all connections together.
    asked: usize,
    /// Connections that may have something to be asked for: something about them has changed since they were looked at.
    hungry: Vec<ConnId>,
    /// Connections that had nothing to be asked for when the picker's epoch was `starved_at`.
    starved: BTreeSet<ConnId>,
    starved_at: u64,
    /// Connections that ask for something and wait for a turn.
    unserved: BTreeSet<ConnId>,
    /// Peers whose turn is over and whose bytes have not left yet.
    leaving: Vec<ConnId>,
    /// Connections that we do not choke; all of them are interested.
    unchoked: BTreeSet<ConnId>,
    /// Pieces that became whole since the swarm was joined, in order; each connection knows how many of them it was
    /// told.
    news: Vec<PieceIndex>,
    /// When everybody is to be told of all of them.
    tell_at: Option<Instant>,
    /// The connections that are sent a piece each.
    turns: Vec<Turn>,
    /// How many there are at once.
    width: Width,
    /// How many peers are served by a seed.
    seed_slots: usize,
    /// Peers that a seed has promised each piece, or sends it to; empty until the first promise.
    promised: Vec<u16>,
    next_conn: u64,
    tick_at: Option<Instant>,
    /// When an owner's limit lets more through.
    limited_until: Option<Instant>,
    /// How much less is given to others than the line carries, if so.
    restraint: Option<Restraint>,
    /// What is known of the line out.
    line: Line,
    /// Whom we asked last how long messages take, and what was answered.
    asked_way: ConnId,
    told_ways: Vec<(ConnId, u32)>,
    out: Effects<Output>,
}

impl Swarm {
    /// Joins a torrent; peers are looked for at the first [`Input::Tick`].
    pub fn new(id: SwarmId, setup: SwarmSetup, now: Instant) -> Self {
        let SwarmSetup { metainfo, choice, have, placed, paused, peer_id, port, outer_port, client, .. } = setup;
        let SwarmSetup { conduct, web_seeds, private_peers, announce_at, mut rng, config, .. } = setup;
        let announcers = Announcers::new(&metainfo.info_hash, &metainfo.trackers, rng.fork(1));
        let trees = hashes::Trees::new(&metainfo, &Layout::of(&metainfo.info));
        let layout = Layout::of(&metainfo.info);
        let wanted = choice.as_ref().map(|choice| choice.pieces(&layout));
        let picker = Picker::new(layout.clone(), have, config.partial_budget).in_order(config.in_order);
        let (picker, wanted_length) = match &wanted {
            None => (picker, layout.sent_length()),
            Some(wanted) => (picker.wanting(wanted), layout.sent_length_of(wanted)),
        };
        let phase = match (picker.is_done(), placed) {
            (true, true) => Phase::Seeding,
            (true, false) => Phase::Placing,
            (false, _) => Phase::Fetching,
        };
        let blocklist = Arc::clone(&config.blocklist);
        let mut swarm = Self {
            id,
            picker,
            choker: Choker::new(config.slots, now),
            metainfo,
            choice,
            wanted_length,
            config,
            conduct,
            own: Buckets::new(conduct.limits, now),
            peer_id,
            port,
            outer_port,
            client,
            rng,
            phase,
            paused,
            fault: None,
            conns: BTreeMap::new(),
            peers: PeerList::new(private_peers).without(blocklist),
            exchange: exchange::Exchange::default(),
            punching: punch::Punching::default(),
            vantage: priority::Vantage::new(port),
            made_way: None,
            blame: Blame::default(),
            trees,
            web_seeds: WebSeeds::new(web_seeds),
            reading: Reading::default(),
            announcers,
            part: None,
            counts: Counts::default(),
            storing: 0,
            gathering: pieces::Gathering::default(),
            unstored: BTreeSet::new(),
            up: RateMeter::default(),
            down: RateMeter::default(),
            wasted: 0,
            asked: 0,
            hungry: Vec::new(),
            starved: BTreeSet::new(),
            starved_at: 0,
            unserved: BTreeSet::new(),
            leaving: Vec::new(),
            unchoked: BTreeSet::new(),
            news: Vec::new(),
            tell_at: None,
            turns: Vec::new(),
            width: Width::default(),
            seed_slots: handing::FIRST_SEED_SLOTS,
            promised: Vec::new(),
            next_conn: 0,
            tick_at: Some(now),
            limited_until: None,
            restraint: None,
            line: Line::default(),
            asked_way: ConnId(0),
            told_ways: Vec::new(),
            out: Effects::default(),
        };
        if phase == Phase::Placing {
            swarm.out.push_back(Output::Place { swarm: id });
        }
        swarm.tell_announcer(now, AnnouncerInput::Rest(announce_at));
        if !paused {
            swarm.start_finding(now);
        }
        swarm
    }

    /// The torrent's name.
    pub fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash
    }

    /// What the torrent is.
    pub const fn metainfo(&self) -> &Arc<Metainfo> {
        &self.metainfo
    }

    /// The connections, for checks of the swarm's laws.
    pub const fn connections(&self) -> &BTreeMap<ConnId, PeerConnection> {
        &self.conns
    }

    /// The number of requests that are out, for checks of the swarm's laws.
    pub const fn asked(&self) -> usize {
        self.asked
    }

    /// How many peers may be served at once.
    pub fn slots(&self) -> usize {
        if self.phase == Phase::Fetching { self.choker.slots().total() } else { self.seed_slots }
    }

    /// The pieces, for checks of the swarm's laws.
    pub const fn picker(&self) -> &Picker {
        &self.picker
    }

    /// Whether there is anybody to be connected to.
    pub fn knows_peers(&self) -> bool {
        !self.conns.is_empty() || !self.peers.is_empty()
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Swarm::poll`].
    pub fn handle(&mut self, now: Instant, input: Input, limits: &mut Limits) {
        match input {
            Input::Tick => self.tick(now, limits),
            Input::AddPeers(addrs, source) => self.add_peers(now, addrs, source, limits),
            Input::PeersTold { teller, peers } => self.peers_told(now, teller, peers, limits),
            Input::Counted { info_hash, family, filters } => self.counted(now, info_hash, family, *filters),
            Input::Joined { conn, addr, direction, transport, handshake } => {
                self.join(now, conn, addr, (direction, transport), handshake);
            }
            Input::DialFailed(conn) => {
                self.punching.lost(conn);
                self.peers.dial_failed(now, conn);
            }
            Input::KeyRefused(conn) => self.key_refused(now, conn, limits),
            Input::Received(conn, message) => self.receive(now, conn, message),
            Input::ReceivedTogether(conn, messages) => {
                for message in messages {
                    self.receive(now, conn, message);
                }
            }
            Input::Sent(conn, bytes) => self.sent(now, conn, bytes),
            Input::Closed(conn) => self.forget(now, conn),
            Input::Read { conn, span, result } => self.read(now, conn, span, result),
            Input::Unreadable(fault) => self.disk_failed(now, &fault, upkeep::Failing::Reads),
            Input::BlocksHashed { conn, leaves } => self.blocks_hashed(now, conn, leaves),
            Input::Stored { piece, outcome, bytes } => self.stored(now, piece, outcome, bytes),
            Input::Placed(result) => self.placed(now, result),
            Input::Announced { id, result } => self.announced(now, id, result, limits),
            Input::WebSeedSent { seed, fetch, blocks } => self.web_seed_sent(now, seed, fetch, blocks),
            Input::WebSeedEnded { seed, fetch, fault } => self.web_seed_ended(now, seed, fetch, &fault),
            Input::Reader(reader, range) => self.read_on(now, reader, range),
            Input::AskWays => self.ask_ways(now),
            Input::Treat(conduct) => self.treat(now, conduct),
            Input::ReachedAt(port) => self.reached_at(now, port),
            Input::KeepOut(blocklist) => self.keep_out(now, blocklist),
            Input::CameBack => {
                self.peers.retry_all(now);
                self.tell_announcer(now, AnnouncerInput::Moved);
            }
            Input::Pause => self.pause(now),
            Input::Unpause => self.unpause(now),
            Input::Stop => self.stop(now),
        }
        self.pass_ways_on(now, limits);
        self.fill_pipelines(now, limits);
        self.fill_web_seeds(now, limits);
        self.serve(now, limits);
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        let first = self.out.take();
        if first.is_none() && self.conns.is_empty() {
            // Nobody is here: of thousands like it none keeps room for those who may come.
            self.out.give_room_back();
            give_room_back(&mut self.conns);
            self.peers.give_room_back();
        }
        first
    }

    /// When [`Input::Tick`] is next needed.
    pub fn deadline(&self) -> Option<Instant> {
        let announcers = self.announcers.deadline();
        let ours = earliest(self.tick_at, earliest(self.tell_at, self.reading.look_at()));
        let ours = earliest(ours, self.gathering.until);
        earliest(ours, earliest(self.limited_until, announcers))
    }

    /// Whether it was stopped and its trackers have heard and said all that there is.
    pub fn has_left(&self) -> bool {
        self.paused && self.announcers.is_done()
    }

    /// Whether others are served in the background.
    pub fn is_in_background(&self) -> bool {
        match self.config.background {
            Background::Off => false,
            Background::Seeding => self.phase != Phase::Fetching,
            Background::Always => true,
        }
    }

    fn layout(&self) -> &Layout {
        self.picker.layout()
    }

    fn is_fetching(&self) -> bool {
        self.phase == Phase::Fetching && !self.paused && self.fault.is_none()
    }
}

#[cfg(test)]
mod tests;
