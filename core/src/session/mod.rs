//! All swarms of one process, and the connections that have not found theirs yet.
//!
//! A [`Session`] routes: a connection's first bytes name a swarm, everything after goes there. It also keeps the owner's
//! limits, which all swarms share.
//!
//! Law: a connection that has not shown a handshake within ten seconds is closed, and at most [`MAX_STRANGERS`] wait.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::peer::{ConnId, Direction, Handshake, Message};
use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::swarm::io::CloseReason;
use crate::swarm::{self, Limits, Output, Swarm, SwarmId, SwarmSetup};
use crate::time::{Instant, earliest};

/// How long a handshake may take, dialling included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections whose swarm is not known.
pub const MAX_STRANGERS: usize = 200;
/// How much a limited session may send or ask for at once.
const BURST: ByteCount = ByteCount(64 * 1024);

/// Something that happened to the session.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Something happened to one swarm.
    Swarm(SwarmId, swarm::Input),
    /// A peer dialled us; the number is the rim's, its highest bit set.
    Accepted(ConnId, SocketAddr),
    /// A dial succeeded.
    Dialled(ConnId),
    /// A dial failed.
    DialFailed(ConnId),
    /// The handshake came.
    Handshake(ConnId, Handshake),
    /// A message came.
    Received(ConnId, Message),
    /// The socket took so many bytes of blocks.
    Sent(ConnId, u64),
    /// The connection is gone.
    Closed(ConnId),
}

#[derive(Debug)]
enum Stage {
    /// Being dialled, or dialled and waiting for the peer's handshake.
    Outgoing { swarm: SwarmId, addr: SocketAddr, deadline: Instant },
    /// Waiting for the peer's handshake.
    Incoming { addr: SocketAddr, deadline: Instant },
    /// In its swarm.
    Joined(SwarmId),
}

/// All swarms of one process.
#[derive(Debug, Default)]
pub struct Session {
    swarms: BTreeMap<SwarmId, Swarm>,
    by_hash: BTreeMap<[u8; 20], SwarmId>,
    conns: BTreeMap<ConnId, Stage>,
    /// Incoming connections without a handshake.
    strangers: usize,
    /// Handshakes that are due; entries of connections that went on are skipped.
    deadlines: VecDeque<(Instant, ConnId)>,
    limits: Limits,
    next_swarm: u32,
    out: VecDeque<Output>,
}

impl Session {
    /// A session without swarms, under the owner's limits.
    pub fn new(up: Option<Rate>, down: Option<Rate>, now: Instant) -> Self {
        let bucket = |rate| TokenBucket::new(rate, BURST, now);
        Self { limits: Limits { up: up.map(bucket), down: down.map(bucket) }, ..Self::default() }
    }

    /// Joins a torrent. `Err` names the swarm that it is joined as already.
    pub fn add(&mut self, now: Instant, setup: SwarmSetup) -> Result<SwarmId, SwarmId> {
        debug_assert!(self.out.is_empty(), "drain before the next input");
        if let Some(id) = self.by_hash.get(&setup.metainfo.info_hash.wire()) {
            return Err(*id);
        }
        let id = SwarmId(self.next_swarm);
        self.next_swarm += 1;
        let swarm = Swarm::new(id, setup, now);
        self.by_hash.insert(swarm.info_hash(), id);
        self.swarms.insert(id, swarm);
        self.route(now, id, swarm::Input::Tick);
        Ok(id)
    }

    /// Forgets a swarm, after [`swarm::Input::Stop`].
    pub fn remove(&mut self, id: SwarmId) {
        if let Some(swarm) = self.swarms.remove(&id) {
            self.by_hash.remove(&swarm.info_hash());
        }
    }

    /// The swarm of this number.
    pub fn swarm(&self, id: SwarmId) -> Option<&Swarm> {
        self.swarms.get(&id)
    }

    /// The swarm of this number, for its figures.
    pub fn swarm_mut(&mut self, id: SwarmId) -> Option<&mut Swarm> {
        self.swarms.get_mut(&id)
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Session::poll`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        debug_assert!(self.out.is_empty(), "drain before the next input");
        match input {
            Input::Tick => self.tick(now),
            Input::Swarm(id, input) => self.route(now, id, input),
            Input::Accepted(conn, addr) => self.accepted(now, conn, addr),
            Input::Dialled(conn) => self.dialled(conn),
            Input::DialFailed(conn) => self.dial_failed(now, conn),
            Input::Handshake(conn, handshake) => self.handshake(now, conn, handshake),
            Input::Received(conn, message) => self.route_conn(now, conn, swarm::Input::Received(conn, message)),
            Input::Sent(conn, bytes) => self.route_conn(now, conn, swarm::Input::Sent(conn, bytes)),
            Input::Closed(conn) => self.closed(now, conn),
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is next needed. O(swarms).
    pub fn deadline(&self) -> Option<Instant> {
        let handshake = self.deadlines.front().map(|(at, _)| *at);
        self.swarms.values().map(Swarm::deadline).fold(handshake, earliest)
    }

    fn tick(&mut self, now: Instant) {
        while let Some((at, conn)) = self.deadlines.front().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_front();
            match self.conns.get(&conn) {
                Some(Stage::Incoming { deadline, .. } | Stage::Outgoing { deadline, .. }) if *deadline == at => {
                    self.refuse(now, conn, CloseReason::Handshake);
                }
                _ => {}
            }
        }
        let due: Vec<SwarmId> = self
            .swarms
            .iter()
            .filter(|(_, swarm)| swarm.deadline().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.route(now, id, swarm::Input::Tick);
        }
    }

    fn route(&mut self, now: Instant, id: SwarmId, input: swarm::Input) {
        let Some(swarm) = self.swarms.get_mut(&id) else { return };
        swarm.handle(now, input, &mut self.limits);
        while let Some(output) = swarm.poll() {
            match &output {
                Output::Dial { swarm, conn, addr } => {
                    let deadline = now + HANDSHAKE_TIMEOUT;
                    self.conns.insert(*conn, Stage::Outgoing { swarm: *swarm, addr: *addr, deadline });
                    self.deadlines.push_back((deadline, *conn));
                }
                Output::Close(conn, _) => {
                    self.conns.remove(conn);
                }
                _ => {}
            }
            self.out.push_back(output);
        }
    }

    fn route_conn(&mut self, now: Instant, conn: ConnId, input: swarm::Input) {
        if let Some(Stage::Joined(id)) = self.conns.get(&conn) {
            self.route(now, *id, input);
        }
    }

    fn accepted(&mut self, now: Instant, conn: ConnId, addr: SocketAddr) {
        if self.strangers >= MAX_STRANGERS {
            self.out.push_back(Output::Close(conn, CloseReason::Full));
            return;
        }
        let deadline = now + HANDSHAKE_TIMEOUT;
        self.strangers += 1;
        self.conns.insert(conn, Stage::Incoming { addr, deadline });
        self.deadlines.push_back((deadline, conn));
    }

    fn dialled(&mut self, conn: ConnId) {
        let Some(Stage::Outgoing { swarm, .. }) = self.conns.get(&conn) else { return };
        if let Some(swarm) = self.swarms.get(swarm) {
            self.out.push_back(Output::SendHandshake(conn, swarm.handshake()));
        }
    }

    fn dial_failed(&mut self, now: Instant, conn: ConnId) {
        if let Some(Stage::Outgoing { swarm, .. }) = self.conns.remove(&conn) {
            self.route(now, swarm, swarm::Input::DialFailed(conn));
        }
    }

    fn handshake(&mut self, now: Instant, conn: ConnId, handshake: Handshake) {
        let (swarm, addr, direction) = match self.conns.get(&conn) {
            Some(Stage::Outgoing { swarm, addr, .. }) => (*swarm, *addr, Direction::Outgoing),
            Some(Stage::Incoming { addr, .. }) => {
                let Some(swarm) = self.by_hash.get(&handshake.info_hash) else {
                    return self.refuse(now, conn, CloseReason::UnknownTorrent);
                };
                (*swarm, *addr, Direction::Incoming)
            }
            Some(Stage::Joined(_)) | None => return,
        };
        let Some(found) = self.swarms.get(&swarm) else { return self.refuse(now, conn, CloseReason::UnknownTorrent) };
        if handshake.info_hash != found.info_hash() {
            return self.refuse(now, conn, CloseReason::Handshake);
        }
        if direction == Direction::Incoming {
            if let Err(reason) = found.accepts(addr) {
                return self.refuse(now, conn, reason);
            }
            self.strangers -= 1;
            self.out.push_back(Output::SendHandshake(conn, found.handshake()));
        }
        self.conns.insert(conn, Stage::Joined(swarm));
        self.route(now, swarm, swarm::Input::Joined { conn, addr, direction, handshake });
    }

    /// Closes a connection that has not found its swarm.
    fn refuse(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        self.out.push_back(Output::Close(conn, reason));
        self.closed(now, conn);
    }

    fn closed(&mut self, now: Instant, conn: ConnId) {
        match self.conns.remove(&conn) {
            Some(Stage::Incoming { .. }) => self.strangers -= 1,
            Some(Stage::Outgoing { swarm, .. }) => self.route(now, swarm, swarm::Input::DialFailed(conn)),
            Some(Stage::Joined(swarm)) => self.route(now, swarm, swarm::Input::Closed(conn)),
            None => {}
        }
    }
}
