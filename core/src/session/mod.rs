//! All swarms of one process, and the connections that have not found theirs yet.
//!
//! A [`Session`] routes: a connection's first bytes name a swarm, or a search for what a torrent is, and everything
//! after goes there. It also keeps the owner's limits, which all swarms share.
//!
//! `turnstile` bounds the work that strangers make us do, `yielding` learns what the background has to know, `wakes`
//! knows which swarm waits for which moment.
//!
//! Law: a connection that has not shown a handshake within ten seconds is closed, at most [`MAX_STRANGERS`] wait, and
//! there are never more than [`Places::connections`].

mod turnstile;
mod wakes;
mod yielding;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::background::{Pace, Trip};
use crate::blocklist::Blocklist;
use crate::effects::Effects;
use crate::finder::{Finder, FinderSetup};
use crate::metainfo::InfoHash;
use crate::peer::encryption::{Opening, Skeys};
use crate::peer::{ConnId, Direction, Handshake, Message, Transport};
use crate::rate::Rate;
use crate::swarm::io::CloseReason;
use crate::swarm::peers::network;
use crate::swarm::{self, Buckets, Limits, Output, Swarm, SwarmId, SwarmSetup};
use crate::time::{Instant, earliest};
use crate::timetable::RateLimits;
use crate::tracker::Scope;
use crate::utp::Ways;
use turnstile::Turnstile;
use wakes::Wakes;
use yielding::Yielding;

/// How long a handshake may take, dialling included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections whose swarm is not known.
pub const MAX_STRANGERS: usize = 200;
/// The most of them from one public network.
const MAX_STRANGERS_OF_ONE: usize = MAX_STRANGERS / 4;
/// How long lies between the first announces of swarms that came together and need nobody: a hundred in a second.
const ANNOUNCE_STEP: Duration = Duration::from_millis(10);
/// So many of them need not wait.
const ANNOUNCED_AT_ONCE: u32 = 64;
/// How many connections a swarm may have however many swarms there are.
const FAIR_SHARE: usize = 8;

/// Something that happened to the session.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The owner's limits are others from now on.
    Limit(RateLimits),
    /// The router lets IPv4 in at this port, if it is not the one on which we listen.
    ReachedAt(Option<u16>),
    /// The network is back after it was gone: trackers are asked soon.
    CameBack,
    /// So many bytes went up the same line beside us, and count against the owner's limit.
    SentBeside(u64),
    /// The owner wants nothing to do with these addresses from now on, and no longer minds the others: peers there are
    /// left.
    KeepOut(Arc<Blocklist>),
    /// Answers [`Output::Trips`], which is asked for once at a time.
    Trips(Vec<(ConnId, Trip)>),
    /// So long took packets over uTP.
    Ways(Ways),
    /// Something happened to one swarm.
    Swarm(SwarmId, swarm::Input),
    /// A peer dialled us; the number is the rim's, its highest bit set.
    Accepted(ConnId, SocketAddr, Transport, Origin),
    /// A dial succeeded.
    Dialled(ConnId, Transport),
    /// A dial failed.
    DialFailed(ConnId),
    /// A peer that dialled us begins with a key, not with a handshake.
    KeyShown(ConnId),
    /// A peer that we dialled does not answer our key: it does not speak encryption.
    KeyRefused(ConnId),
    /// The handshake came.
    Handshake(ConnId, Handshake),
    /// A message came.
    Received(ConnId, Message),
    /// Messages came together, in this order: quicker than one by one.
    ReceivedTogether(ConnId, Vec<Message>),
    /// The socket took so many bytes of blocks.
    Sent(ConnId, u64),
    /// The connection is gone.
    Closed(ConnId),
}

/// From where a peer dialled us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From this machine, which may have a public address and yet be out of everybody's reach.
    Here,
    /// From another one.
    Elsewhere,
}

#[derive(Debug)]
enum Stage {
    /// Being dialled, or dialled and waiting for the peer's handshake.
    Outgoing { swarm: SwarmId, addr: SocketAddr, opening: Opening, dialled: Option<Transport>, deadline: Instant },
    /// Waiting for the peer's handshake.
    Incoming { addr: SocketAddr, transport: Transport, origin: Origin, deadline: Instant },
    /// In its swarm.
    Joined(SwarmId),
}

/// How many connections the swarms of a session may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Connections, those that are being dialled included.
    pub connections: usize,
    /// Dials under way at once.
    pub dials: usize,
}

impl Default for Places {
    fn default() -> Self {
        // Half of the files that systems let a program open.
        Self { connections: 500, dials: 100 }
    }
}

/// All swarms of one process.
#[derive(Debug, Default)]
pub struct Session {
    // In boxes: half of a map's places are empty where numbers only grow.
    swarms: BTreeMap<SwarmId, Box<Swarm>>,
    /// Swarms that were left and have something to hear or to say yet: their trackers.
    leaving: BTreeMap<SwarmId, Box<Swarm>>,
    /// When swarms are next to be told of the time, those that were left included.
    wakes: Wakes,
    /// Swarms that know somebody to be connected to.
    busy: BTreeSet<SwarmId>,
    /// Searches for metadata; their numbers are no swarm's.
    finders: BTreeMap<SwarmId, Finder>,
    by_hash: BTreeMap<[u8; 20], SwarmId>,
    /// What peers that begin with a key may ask for, made of `by_hash` when it is needed.
    skeys: Option<Arc<Skeys>>,
    turnstile: Turnstile,
    /// How many get in.
    places: Places,
    /// Who does not get in.
    blocklist: Arc<Blocklist>,
    conns: BTreeMap<ConnId, Stage>,
    /// Incoming connections without a handshake.
    strangers: usize,
    /// Outgoing connections without a handshake.
    dials: usize,
    /// The swarm that was first to be told of the time last; the next one is first next time.
    ticked_first: SwarmId,
    /// Handshakes that are due; entries of connections that went on are skipped.
    deadlines: VecDeque<(Instant, ConnId)>,
    limits: Limits,
    /// What the background waits for.
    yielding: Yielding,
    /// The port at which the router lets others in, if it is not the one on which we listen.
    outer_port: Option<u16>,
    /// Whether somebody has come in from outside our own network.
    is_reached: bool,
    next_swarm: u32,
    /// The turns to announce are given away up to this moment.
    announced_until: Instant,
    out: Effects<Output>,
}

impl Session {
    /// A session without swarms, under the owner's limits.
    pub fn new(up: Option<Rate>, down: Option<Rate>, now: Instant) -> Self {
        let all = Buckets::new(RateLimits { up, down }, now);
        Self { limits: Limits { all, ..Limits::default() }, ..Self::default() }
    }

    /// Keeps the uploads of swarms that say so in the background.
    pub fn give_way(&mut self, now: Instant) {
        self.limits.background = Some(Pace::new(now));
    }

    /// Whom its swarms have nothing to do with.
    pub const fn blocklist(&self) -> &Arc<Blocklist> {
        &self.blocklist
    }

    /// Has the new list hold, also for those who are here already.
    fn keep_out(&mut self, now: Instant, blocklist: Arc<Blocklist>) {
        self.blocklist = blocklist;
        let begun = self.conns.iter().filter_map(|(conn, stage)| match stage {
            Stage::Outgoing { addr, .. } | Stage::Incoming { addr, .. } => Some((*conn, addr.ip())),
            // Its swarm sees to it.
            Stage::Joined(_) => None,
        });
        for conn in self.blocklist.blocked(begun) {
            self.refuse(now, conn, CloseReason::Blocked);
        }
        let all: Vec<SwarmId> = self.swarms.keys().chain(self.finders.keys()).copied().collect();
        for id in all {
            self.route(now, id, swarm::Input::KeepOut(Arc::clone(&self.blocklist)));
        }
    }

    /// Lets no more in than this.
    pub fn bound(&mut self, places: Places) {
        self.places = places;
    }

    /// Joins a torrent. `Err` names the swarm that it is joined as already.
    pub fn add(&mut self, now: Instant, setup: SwarmSetup) -> Result<SwarmId, SwarmId> {
        let id = self.claim(&setup.metainfo.info_hash)?;
        let announce_at = if setup.placed { self.announce_in_turn(now) } else { setup.announce_at };
        let setup = SwarmSetup { outer_port: self.outer_port, announce_at, ..setup };
        self.swarms.insert(id, Box::new(Swarm::new(id, setup, now)));
        self.route(now, id, swarm::Input::Tick);
        Ok(id)
    }

    /// When the trackers of a swarm hear first of us that needs nothing of anybody: a program that seeds thousands is
    /// no flood to those who track them.
    fn announce_in_turn(&mut self, now: Instant) -> Instant {
        let turn = self.announced_until.max(now);
        self.announced_until = turn + ANNOUNCE_STEP;
        now + (turn - now).saturating_sub(ANNOUNCE_STEP * ANNOUNCED_AT_ONCE)
    }

    /// Begins to look for a torrent's metadata. `Err` names the swarm or the search that is there already.
    pub fn add_finder(&mut self, now: Instant, setup: FinderSetup) -> Result<SwarmId, SwarmId> {
        let id = self.claim(&setup.info_hash)?;
        self.finders.insert(id, Finder::new(id, setup, now));
        self.route(now, id, swarm::Input::Tick);
        Ok(id)
    }

    /// A number for what has this info-hash. `Err` is that of what has it already.
    fn claim(&mut self, info_hash: &InfoHash) -> Result<SwarmId, SwarmId> {
        debug_assert!(self.out.is_empty(), "drain before the next input");
        if let Some(id) = info_hash.wires().find_map(|wire| self.by_hash.get(&wire)) {
            return Err(*id);
        }
        let id = SwarmId(self.next_swarm);
        self.next_swarm += 1;
        self.by_hash.extend(info_hash.wires().map(|wire| (wire, id)));
        self.skeys = None;
        Ok(id)
    }

    /// Forgets a swarm or a search, after [`swarm::Input::Stop`]; another one of the same torrent may be added.
    ///
    /// Announces of a swarm that are still under way are to be answered as ever: the tracker may have to hear more.
    pub fn remove(&mut self, id: SwarmId) {
        let finder = self.finders.remove(&id).map(|finder| finder.info_hash());
        let swarm = self.swarms.remove(&id);
        if let Some(info_hash) = swarm.as_ref().map(|swarm| swarm.info_hash()).or(finder) {
            for wire in info_hash.wires() {
                self.by_hash.remove(&wire);
            }
            self.skeys = None;
        }
        self.leaving.extend(swarm.filter(|swarm| !swarm.has_left()).map(|swarm| (id, swarm)));
        self.note(id);
    }

    /// Whether a swarm was removed and is not yet done with its trackers.
    pub fn is_leaving(&self, id: SwarmId) -> bool {
        self.leaving.contains_key(&id)
    }

    /// The search of this number.
    pub fn finder(&self, id: SwarmId) -> Option<&Finder> {
        self.finders.get(&id)
    }

    /// The swarm of this number.
    pub fn swarm(&self, id: SwarmId) -> Option<&Swarm> {
        self.swarms.get(&id).map(Box::as_ref)
    }

    /// The swarm that a connection has joined.
    pub fn swarm_of(&self, conn: ConnId) -> Option<SwarmId> {
        if let Some(Stage::Joined(id)) = self.conns.get(&conn) { Some(*id) } else { None }
    }

    /// The swarm of this number, for its figures.
    pub fn swarm_mut(&mut self, id: SwarmId) -> Option<&mut Swarm> {
        self.swarms.get_mut(&id).map(Box::as_mut)
    }

    /// Whether somebody has dialled us from outside our own network, and come in.
    pub const fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Session::poll`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        debug_assert!(self.out.is_empty(), "drain before the next input");
        match input {
            Input::Tick => self.tick(now),
            Input::Limit(to) => self.limit(now, to),
            Input::ReachedAt(port) => self.reached_at(now, port),
            Input::CameBack => self.came_back(now),
            Input::SentBeside(bytes) => {
                if let Some(up) = &mut self.limits.all.up {
                    up.spend(now, bytes);
                }
            }
            Input::KeepOut(blocklist) => self.keep_out(now, blocklist),
            Input::Trips(trips) => self.trips(now, &trips),
            Input::Ways(ways) => self.ways(now, &ways),
            Input::Swarm(id, input) => self.route(now, id, input),
            Input::Accepted(conn, addr, transport, origin) => self.accepted(now, conn, addr, (transport, origin)),
            Input::Dialled(conn, transport) => self.dialled(conn, transport),
            Input::DialFailed(conn) => self.dial_failed(now, conn),
            Input::KeyShown(conn) => self.key_shown(now, conn),
            Input::KeyRefused(conn) => self.key_refused(now, conn),
            Input::Handshake(conn, handshake) => self.handshake(now, conn, handshake),
            Input::Received(conn, message) => self.route_conn(now, conn, swarm::Input::Received(conn, message)),
            Input::ReceivedTogether(conn, messages) => {
                self.route_conn(now, conn, swarm::Input::ReceivedTogether(conn, messages));
            }
            Input::Sent(conn, bytes) => {
                self.sent_to(now, conn);
                self.route_conn(now, conn, swarm::Input::Sent(conn, bytes));
            }
            Input::Closed(conn) => self.closed(now, conn),
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.take()
    }

    /// When [`Input::Tick`] is next needed. O(searches).
    pub fn deadline(&self) -> Option<Instant> {
        let handshake = self.deadlines.front().map(|(at, _)| *at);
        let handshake = earliest(handshake, self.pace_deadline());
        let swarms = earliest(handshake, self.wakes.next());
        self.finders.values().map(Finder::deadline).fold(swarms, earliest)
    }

    /// Notes what a swarm waits for and whether it knows anybody, as one of thousands is asked for these again and
    /// again.
    fn note(&mut self, id: SwarmId) {
        let swarm = self.swarms.get(&id);
        if swarm.is_some_and(|swarm| swarm.knows_peers()) {
            self.busy.insert(id);
        } else {
            self.busy.remove(&id);
        }
        self.wakes.put(id, swarm.or_else(|| self.leaving.get(&id)).and_then(|swarm| swarm.deadline()));
    }

    fn tick(&mut self, now: Instant) {
        self.keep_pace(now);
        while let Some((at, conn)) = self.deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_front();
            match self.conns.get(&conn) {
                Some(Stage::Incoming { deadline, .. } | Stage::Outgoing { deadline, .. }) if *deadline == at => {
                    self.out.push_back(Output::Close(conn, CloseReason::Handshake));
                    // Whoever does not understand a key may wait for more.
                    self.key_refused(now, conn);
                }
                _ => {}
            }
        }
        // Under a limit whoever is first takes what there is: everybody is first in turn.
        let mut due = self.wakes.due(now);
        let turn = due.partition_point(|id| *id <= self.ticked_first);
        due.rotate_left(turn);
        self.ticked_first = due.first().copied().unwrap_or(self.ticked_first);
        let is_due = |finder: &Finder| finder.deadline().is_some_and(|at| at <= now);
        let finders: Vec<SwarmId> =
            self.finders.iter().filter(|(_, finder)| is_due(finder)).map(|(id, _)| *id).collect();
        for id in due.into_iter().chain(finders) {
            self.route(now, id, swarm::Input::Tick);
        }
    }

    fn limit(&mut self, now: Instant, to: RateLimits) {
        self.limits.all = Buckets::new(to, now);
        // Whoever waits for the old limit need not wait any longer.
        let all: Vec<SwarmId> = self.swarms.keys().copied().collect();
        for id in all {
            self.route(now, id, swarm::Input::Tick);
        }
    }

    fn reached_at(&mut self, now: Instant, port: Option<u16>) {
        self.outer_port = port;
        let all: Vec<SwarmId> = self.swarms.keys().copied().collect();
        for id in all {
            self.route(now, id, swarm::Input::ReachedAt(port));
        }
    }

    fn came_back(&mut self, now: Instant) {
        let all: Vec<SwarmId> = self.swarms.keys().copied().collect();
        for id in all {
            self.route(now, id, swarm::Input::CameBack);
        }
    }

    fn route(&mut self, now: Instant, id: SwarmId, input: swarm::Input) {
        let may_dial = matches!(
            input,
            swarm::Input::Tick
                | swarm::Input::AddPeers(..)
                | swarm::Input::PeersTold { .. }
                | swarm::Input::Announced { .. }
                | swarm::Input::KeyRefused(_)
        );
        self.limits.dials = Some(if may_dial { self.dials_for(id) } else { 0 });
        if let Some(swarm) = self.swarms.get_mut(&id) {
            swarm.handle(now, input, &mut self.limits);
        } else if let Some(finder) = self.finders.get_mut(&id) {
            finder.handle(now, input, &mut self.limits);
        } else if let Some(swarm) = self.leaving.get_mut(&id) {
            swarm.handle(now, input, &mut self.limits);
        }
        while let Some(output) = self.next_output(id) {
            match &output {
                Output::Dial { swarm, conn, addr, opening, .. } => {
                    let deadline = now + HANDSHAKE_TIMEOUT;
                    let (swarm, addr, opening) = (*swarm, *addr, *opening);
                    let stage = Stage::Outgoing { swarm, addr, opening, dialled: None, deadline };
                    self.conns.insert(*conn, stage);
                    self.deadlines.push_back((deadline, *conn));
                    self.dials += 1;
                }
                Output::Close(conn, _) => {
                    self.nothing_under_way(*conn);
                    self.conns.remove(conn);
                }
                _ => {}
            }
            self.out.push_back(output);
        }
        if self.leaving.get(&id).is_some_and(|swarm| swarm.has_left()) {
            self.leaving.remove(&id);
        }
        self.note(id);
    }

    fn next_output(&mut self, id: SwarmId) -> Option<Output> {
        if let Some(finder) = self.finders.get_mut(&id) {
            return finder.poll();
        }
        self.swarms.get_mut(&id).or_else(|| self.leaving.get_mut(&id))?.poll()
    }

    /// Our handshake in a swarm or a search, to a peer that we dial.
    fn handshake_to(&self, id: SwarmId, conn: ConnId) -> Option<Handshake> {
        let finder = || self.finders.get(&id).map(|finder| finder.handshake_to(conn));
        self.swarms.get(&id).map(|swarm| swarm.handshake_to(conn)).or_else(finder)
    }

    /// Our answer to a peer that dialled us.
    fn answer(&self, id: SwarmId, theirs: &Handshake) -> Option<Handshake> {
        let finder = || self.finders.get(&id).map(|finder| finder.answer(theirs));
        self.swarms.get(&id).map(|swarm| swarm.answer(theirs)).or_else(finder)
    }

    /// How many peers a swarm may dial now, so that all swarms together keep within bounds and each gets its share.
    fn dials_for(&self, id: SwarmId) -> usize {
        let has = |swarm: &Swarm| swarm.connections().len();
        let searching = || self.finders.get(&id).map_or(0, Finder::connections);
        let busy = self.busy.len() + self.finders.len();
        let Places { connections, dials } = self.places;
        let share =
            (connections / busy.max(1)).max(FAIR_SHARE).saturating_sub(self.swarm(id).map_or_else(searching, has));
        let left = connections.saturating_sub(self.conns.len());
        share.min(left).min(dials.saturating_sub(self.dials))
    }

    fn route_conn(&mut self, now: Instant, conn: ConnId, input: swarm::Input) {
        if let Some(id) = self.swarm_of(conn) {
            self.route(now, id, input);
        }
    }

    fn accepted(&mut self, now: Instant, conn: ConnId, addr: SocketAddr, (transport, origin): (Transport, Origin)) {
        let refusal = if self.blocklist.contains(addr.ip()) {
            Some(CloseReason::Blocked)
        } else if self.strangers >= MAX_STRANGERS || self.conns.len() >= self.places.connections {
            Some(CloseReason::Full)
        } else if self.strangers_from(addr.ip()) >= MAX_STRANGERS_OF_ONE {
            Some(CloseReason::Crowd)
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.out.push_back(Output::Close(conn, reason));
            return;
        }
        let deadline = now + HANDSHAKE_TIMEOUT;
        self.strangers += 1;
        self.conns.insert(conn, Stage::Incoming { addr, transport, origin, deadline });
        self.deadlines.push_back((deadline, conn));
    }

    /// How many connections of one public network wait; those of the own site are not counted.
    fn strangers_from(&self, ip: IpAddr) -> usize {
        if Scope::of(ip) != Scope::Public {
            return 0;
        }
        let from = network(ip);
        let is_from = |stage: &&Stage| matches!(stage, Stage::Incoming { addr, .. } if network(addr.ip()) == from);
        self.conns.values().filter(is_from).count()
    }

    fn dialled(&mut self, conn: ConnId, transport: Transport) {
        let Some(Stage::Outgoing { swarm, opening, dialled, .. }) = self.conns.get_mut(&conn) else {
            // It took too long, or nobody wants it any more.
            return self.out.push_back(Output::Close(conn, CloseReason::Handshake));
        };
        *dialled = Some(transport);
        let (swarm, opening) = (*swarm, *opening);
        if let Some(ours) = self.handshake_to(swarm, conn) {
            self.out.push_back(match opening {
                Opening::Plain => Output::SendHandshake(conn, ours),
                Opening::Encrypted => Output::SendEncrypted(conn, ours),
            });
        }
    }

    fn key_shown(&mut self, now: Instant, conn: ConnId) {
        let Some(Stage::Incoming { addr, .. }) = self.conns.get(&conn) else { return };
        if !self.turnstile.lets_in(now, addr.ip()) {
            return self.refuse(now, conn, CloseReason::KeyFlood);
        }
        let skeys = self.skeys.get_or_insert_with(|| Arc::new(Skeys::of(self.by_hash.keys().copied())));
        self.out.push_back(Output::AnswerKey(conn, Arc::clone(skeys)));
    }

    /// The connection is over, and perhaps only because it was encrypted.
    fn key_refused(&mut self, now: Instant, conn: ConnId) {
        let Some(Stage::Outgoing { swarm, opening: Opening::Encrypted, dialled: Some(_), .. }) = self.conns.get(&conn)
        else {
            return self.closed(now, conn);
        };
        let swarm = *swarm;
        self.conns.remove(&conn);
        self.dials -= 1;
        self.route(now, swarm, swarm::Input::KeyRefused(conn));
    }

    fn dial_failed(&mut self, now: Instant, conn: ConnId) {
        if matches!(self.conns.get(&conn), Some(Stage::Outgoing { .. })) {
            self.closed(now, conn);
        }
    }

    fn handshake(&mut self, now: Instant, conn: ConnId, handshake: Handshake) {
        let (swarm, addr, direction, transport, origin) = match self.conns.get(&conn) {
            Some(Stage::Outgoing { swarm, addr, dialled, .. }) => {
                (*swarm, *addr, Direction::Outgoing, dialled.unwrap_or_default(), Origin::Elsewhere)
            }
            Some(Stage::Incoming { addr, transport, origin, .. }) => {
                let Some(swarm) = self.by_hash.get(&handshake.info_hash) else {
                    return self.refuse(now, conn, CloseReason::UnknownTorrent);
                };
                (*swarm, *addr, Direction::Incoming, *transport, *origin)
            }
            Some(Stage::Joined(_)) | None => return,
        };
        let Some(ours) = self.answer(swarm, &handshake) else {
            return self.refuse(now, conn, CloseReason::UnknownTorrent);
        };
        // A hybrid's swarm may answer by the other of its names.
        if self.by_hash.get(&handshake.info_hash) != Some(&swarm) {
            return self.refuse(now, conn, CloseReason::Handshake);
        }
        if direction == Direction::Incoming {
            let finder = || self.finders.get(&swarm).map(|finder| finder.accepts(addr));
            let accepts = self.swarms.get(&swarm).map(|swarm| swarm.accepts(now, addr)).or_else(finder);
            if let Some(Err(reason)) = accepts {
                return self.refuse(now, conn, reason);
            }
            self.strangers -= 1;
            // Over uTP it may be an answer to a dial of ours that nobody remembers but the router.
            let is_proof = transport == Transport::Tcp && origin == Origin::Elsewhere;
            self.is_reached |= is_proof && Scope::of(addr.ip()) == Scope::Public;
            self.out.push_back(Output::SendHandshake(conn, ours));
        } else {
            self.dials -= 1;
        }
        self.conns.insert(conn, Stage::Joined(swarm));
        self.route(now, swarm, swarm::Input::Joined { conn, addr, direction, transport, handshake });
    }

    /// Closes a connection that has not found its swarm.
    fn refuse(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        self.out.push_back(Output::Close(conn, reason));
        self.closed(now, conn);
    }

    fn closed(&mut self, now: Instant, conn: ConnId) {
        self.nothing_under_way(conn);
        match self.conns.remove(&conn) {
            Some(Stage::Incoming { .. }) => self.strangers -= 1,
            Some(Stage::Outgoing { swarm, .. }) => {
                self.dials -= 1;
                self.route(now, swarm, swarm::Input::DialFailed(conn));
            }
            Some(Stage::Joined(swarm)) => self.route(now, swarm, swarm::Input::Closed(conn)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
