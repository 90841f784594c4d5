//! Choking and uploading.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::conduct::ready;
use super::io::{DiskFault, Output};
use super::turns::{MAX_WIDTH, Turn};
use super::upkeep::Failing;
use super::{Limits, Phase, Swarm};
use crate::choke::{Candidate, ROUND, Ranking};
use crate::layout::{BLOCK_LENGTH, BlockInfo};
use crate::peer::message::MAX_RUN;
use crate::peer::{ConnId, Message, PeerConnection};
use crate::rate::Rate;
use crate::time::{Instant, earliest};

/// The longest span that is read at once, in bytes.
const MAX_SPAN: u32 = 256 * 1024;
/// The most bytes of runs that wait for one peer's socket. They take no memory.
const MOST_RUNS: u64 = 2 * 1024 * 1024;
/// The least that may be read or unsent for one peer, in bytes, so that slow ones keep their sockets full too.
const MIN_CREDIT: u64 = 64 * 1024;

impl Swarm {
    /// A peer wants something: it is served at once if a slot is free.
    pub(super) fn became_interested(&mut self, now: Instant, conn: ConnId) {
        // Once it has all that it was shown, rtorrent asks for nothing before its next look after half a minute.
        if self.conns.get(&conn).is_some_and(|peer| peer.peer_id.is_of_rtorrent()) {
            self.show_all(now, conn);
        }
        if self.free_slots() > 0 {
            self.unchoke(now, conn);
        } else {
            self.grant_fast_pieces(now, conn);
        }
    }

    /// A peer wants nothing any more: its slot goes to another.
    pub(super) fn lost_interest(&mut self, now: Instant, conn: ConnId) {
        self.choke(now, conn);
        self.fill_free_slots(now);
    }

    /// Gives free slots to those who waited longest.
    pub(super) fn fill_free_slots(&mut self, now: Instant) {
        if self.free_slots() == 0 {
            return;
        }
        let mut waiting: Vec<(Instant, ConnId)> = self
            .conns
            .iter()
            .filter(|(_, peer)| peer.peer_interested && peer.am_choking)
            .map(|(conn, peer)| (peer.choke_changed, *conn))
            .collect();
        waiting.sort_unstable();
        for (_, conn) in waiting.into_iter().take(self.free_slots()) {
            self.unchoke(now, conn);
        }
    }

    /// Whether anybody is served at all.
    pub(super) fn may_serve(&self) -> bool {
        self.config.upload && !self.paused && !self.fault.as_ref().is_some_and(|fault| fault.reads)
    }

    /// Chokes everybody and takes grants back: there is nothing to serve.
    pub(super) fn choke_all(&mut self, now: Instant) {
        for peer in self.conns.values_mut() {
            peer.granted.clear();
        }
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.choke(now, conn);
        }
    }

    pub(super) fn free_slots(&self) -> usize {
        if !self.may_serve() {
            return 0;
        }
        self.slots().saturating_sub(self.unchoked.len())
    }

    /// Ranks the peers and applies the result.
    pub(super) fn choke_round(&mut self, now: Instant) {
        let candidates: Vec<Candidate> = self
            .conns
            .iter_mut()
            .filter(|(_, peer)| peer.peer_interested)
            .map(|(conn, peer)| Candidate {
                conn: *conn,
                unchoked: !peer.am_choking,
                since: peer.choke_changed,
                gives: if peer.pipeline.is_snubbed() { 0 } else { peer.down.rate(now).0 },
                idle: is_idle(now, peer),
            })
            .collect();
        self.seed_slots = self.wanted_seed_slots(now);
        let ranking = match self.phase {
            Phase::Fetching => Ranking::Leech,
            Phase::Placing | Phase::Seeding => Ranking::Seed { slots: self.seed_slots },
        };
        let mut chosen = self.choker.round(now, ranking, &candidates, &mut self.rng);
        if !self.may_serve() {
            chosen.clear();
        }
        for candidate in candidates {
            if chosen.contains(&candidate.conn) {
                self.unchoke(now, candidate.conn);
            } else {
                self.choke(now, candidate.conn);
            }
        }
    }

    fn unchoke(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn).filter(|peer| peer.am_choking) else { return };
        peer.am_choking = false;
        peer.choke_changed = now;
        self.unchoked.insert(conn);
        self.tell(now, conn);
        self.suggest(now, conn);
        self.send(now, conn, Message::Unchoke);
    }

    pub(super) fn choke(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn).filter(|peer| !peer.am_choking) else { return };
        peer.am_choking = true;
        peer.choke_changed = now;
        self.unchoked.remove(&conn);
        let granted = peer.granted.clone();
        let dropped = peer.uploads.clear(|block| granted.contains(&block.piece));
        self.no_longer_waits(conn);
        self.break_promises(conn);
        self.send(now, conn, Message::Choke);
        for block in dropped {
            self.reject(now, conn, block);
        }
    }

    /// A peer asks for a span that lies in the torrent.
    pub(super) fn requested(&mut self, now: Instant, conn: ConnId, span: BlockInfo) {
        let have = self.picker.have().has(span.piece);
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let length = u64::from(span.length);
        let granted = peer.granted.contains(&span.piece) && peer.grant_bytes >= length;
        let closed = peer.am_choking && !granted;
        if !have || closed || !peer.uploads.push(span) {
            return self.reject(now, conn, span);
        }
        if peer.am_choking {
            peer.grant_bytes -= length;
        }
        if self.turns.iter().all(|turn| turn.conn != conn) {
            self.unserved.insert(conn);
        }
        self.asked_for(now, conn, span.piece);
    }

    /// Says that a request will not be answered, to those who understand it.
    pub(super) fn reject(&mut self, now: Instant, conn: ConnId, span: BlockInfo) {
        if self.conns.get(&conn).is_some_and(PeerConnection::fast) {
            self.send(now, conn, Message::RejectRequest(span));
        }
    }

    /// Reads for the peers whose turn it is, as far as their sockets and the owner's limit go, and gives turns to
    /// others.
    pub(super) fn serve(&mut self, now: Instant, limits: &mut Limits) {
        loop {
            let mut ended = false;
            for turn in self.turns.clone() {
                match self.serve_turn(now, turn, limits) {
                    Served::All => {
                        self.end_turn(turn.conn);
                        ended = true;
                    }
                    Served::Enough => {}
                    Served::Limited => return,
                }
            }
            let given = self.give_turns(now);
            if !ended && !given {
                break;
            }
        }
        self.width.others_wait(now, !self.unserved.is_empty() && self.restraint.is_none());
    }

    /// Gives free turns to peers that wait; tells whether there was one to give.
    fn give_turns(&mut self, now: Instant) -> bool {
        let before = self.turns.len();
        let soon = self.soon_sent(now);
        let conns = &self.conns;
        self.leaving.retain(|conn| conns.get(conn).is_some_and(|peer| peer.uploads.pending_bytes() > soon));
        while self.turns.len() < MAX_WIDTH {
            // Whoever is next takes one place of those under way at most: there is no need to look who that is.
            let under_way = self.turns.iter().map(|turn| &turn.conn).chain(&self.leaving);
            if under_way.filter(|conn| self.moves(now, **conn)).count() > self.width.get() {
                break;
            }
            let Some(turn) = self.next_turn(now) else { break };
            // What follows on the same connection comes after its bytes anyway.
            let others = self.leaving.iter().filter(|conn| **conn != turn.conn);
            let under_way =
                self.turns.iter().map(|turn| &turn.conn).chain(others).filter(|conn| self.moves(now, **conn));
            if under_way.count() >= self.width.get() {
                break;
            }
            self.unserved.remove(&turn.conn);
            self.turns.push(turn);
            if let Some(peer) = self.conns.get_mut(&turn.conn) {
                peer.last_turn = now;
            }
        }
        self.turns.len() > before
    }

    /// Whether the peer's socket takes what it is given; nobody waits for one that does not.
    fn moves(&self, now: Instant, conn: ConnId) -> bool {
        self.conns.get(&conn).is_some_and(|peer| peer.uploads.stuck(now) < STALLED)
    }

    /// So many bytes are on their way so soon that the next turn may begin.
    fn soon_sent(&mut self, now: Instant) -> u64 {
        let Rate(rate) = self.up.rate(now);
        (rate / 50).max(u64::from(BLOCK_LENGTH))
    }

    /// Who comes next: who asks for what a seed has not handed out, then who has nothing to pass on, then who came
    /// first, as [`AGE`] tells, then who has least or has passed most on, then who waited longest.
    fn next_turn(&self, now: Instant) -> Option<Turn> {
        let waiting = self.unserved.iter().filter_map(|conn| {
            let peer = self.conns.get(conn)?;
            let piece = peer.uploads.next_piece()?;
            let again = now - peer.last_turn < LONG_WAIT && self.is_handed_out(piece, peer);
            let has = if self.phase == Phase::Seeding { self.unspread(peer) } else { self.tenths(peer) };
            let age = Reverse((now - peer.since).as_secs() / AGE.as_secs());
            Some(((again, has > 0, age, has, peer.last_turn, *conn), Turn { conn: *conn, piece }))
        });
        waiting.min_by_key(|(order, _)| *order).map(|(_, turn)| turn)
    }

    /// How much of the torrent the peer has, as it says or as we have sent it, whichever is more: nothing, or how many
    /// tenths.
    fn tenths(&self, peer: &PeerConnection) -> usize {
        let pieces = self.layout().piece_count() as usize;
        let sent = usize::try_from(peer.up.total() / u64::from(self.layout().piece_length())).unwrap_or(pieces);
        let has = sent.clamp(peer.pieces.count() as usize, pieces);
        usize::from(has > 0) + has * 10 / pieces.max(1)
    }

    /// The peer took requests back, or was choked: it may have nothing to wait for any more.
    pub(super) fn no_longer_waits(&mut self, conn: ConnId) {
        if !self.conns.get(&conn).is_some_and(|peer| peer.uploads.is_waiting()) {
            self.unserved.remove(&conn);
        }
    }

    /// The peer's piece is read; it waits for another turn if it asks for more.
    pub(super) fn end_turn(&mut self, conn: ConnId) {
        self.turns.retain(|turn| turn.conn != conn);
        self.leaving.retain(|other| *other != conn);
        let Some(peer) = self.conns.get(&conn) else { return };
        if peer.uploads.pending_bytes() > 0 {
            self.leaving.push(conn);
        }
        if peer.uploads.is_waiting() {
            self.unserved.insert(conn);
        }
    }

    /// Reads for a peer until its piece is read or its socket has enough.
    fn serve_turn(&mut self, now: Instant, turn: Turn, limits: &mut Limits) -> Served {
        loop {
            let next = self.conns.get(&turn.conn).and_then(|peer| peer.uploads.next_piece());
            if next != Some(turn.piece) {
                return Served::All;
            }
            if let Some(stop) = self.serve_one(now, turn.conn, limits) {
                return stop;
            }
        }
    }

    /// Reads one span; tells why if it does not.
    fn serve_one(&mut self, now: Instant, conn: ConnId, limits: &mut Limits) -> Option<Served> {
        let read_ahead = self.config.read_ahead;
        let mut pace = if self.is_in_background() { limits.background.as_mut() } else { None };
        if let Some(pace) = pace.as_mut().filter(|pace| pace.is_idle()) {
            pace.begin(now, self.up.rate(now));
        }
        let peer = self.conns.get_mut(&conn)?;
        // A quarter of a second at the peer's speed: enough to keep the socket busy, little enough to stop quickly.
        let Rate(rate) = peer.up.rate(now);
        let is_fast = pace.is_none() && rate >= self.config.run_rate.0;
        let longest_run = peer.longest_run().filter(|_| is_fast).map(|longest| longest.min(MAX_RUN));
        let most = match &pace {
            // What waits here is sent before we can give way.
            Some(pace) => (pace.rate().0 / 16).clamp(2 * u64::from(BLOCK_LENGTH), read_ahead.max(MIN_CREDIT)),
            None => {
                (rate / 4).clamp(MIN_CREDIT, if longest_run.is_some() { MOST_RUNS } else { read_ahead.max(MIN_CREDIT) })
            }
        };
        let mut credit = most.saturating_sub(peer.uploads.pending_bytes());
        if credit < most.min(u64::from(BLOCK_LENGTH)) {
            return Some(Served::Enough);
        }
        let restraint = self.restraint.as_mut().map(|restraint| &mut restraint.bucket);
        let mut holding = limits.all.up.iter_mut().chain(&mut self.own.up).chain(restraint).peekable();
        if holding.peek().is_some() {
            credit = credit.min(u64::from(BLOCK_LENGTH));
        }
        if let Err(until) = ready(holding, now) {
            self.limited_until = earliest(self.limited_until, until);
            return Some(Served::Limited);
        }
        if let Some(pace) = &mut pace {
            let ready = pace.ready_at(now);
            if ready != Some(now) {
                self.limited_until = earliest(self.limited_until, ready);
                return Some(Served::Limited);
            }
            credit = credit.min(u64::from(BLOCK_LENGTH));
        }
        let span = peer.uploads.next_span(credit.min(u64::from(longest_run.unwrap_or(MAX_SPAN))))?;
        let restraint = self.restraint.as_mut().map(|restraint| &mut restraint.bucket);
        for bucket in limits.all.up.iter_mut().chain(&mut self.own.up).chain(restraint) {
            bucket.take(now, u64::from(span.length));
        }
        if let Some(pace) = pace {
            pace.take(now, u64::from(span.length));
        } else if longest_run.is_some() && peer.uploads.is_run() {
            peer.uploads.span_read(span);
            self.out.push_back(Output::SendRun { swarm: self.id, conn, span });
            self.handed_over(now, conn, u64::from(span.length));
            return None;
        }
        self.out.push_back(Output::Read { swarm: self.id, conn, span });
        None
    }

    /// A span was read: sends its blocks, unless the peer was choked meanwhile.
    pub(super) fn read(&mut self, now: Instant, conn: ConnId, span: BlockInfo, result: Result<Vec<Bytes>, DiskFault>) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let blocks = peer.uploads.span_read(span);
        let allowed = !peer.am_choking || peer.granted.contains(&span.piece);
        let mut rest = match result {
            Ok(parts) if allowed => VecDeque::from(parts),
            Ok(_) => VecDeque::new(),
            Err(fault) => {
                self.disk_failed(now, &fault, Failing::Reads);
                VecDeque::new()
            }
        };
        for block in blocks {
            let Some(data) = cut(&mut rest, block.length as usize) else {
                self.reject(now, conn, block);
                continue;
            };
            self.handed_over(now, conn, u64::from(block.length));
            self.send(now, conn, Message::Piece { piece: block.piece, begin: block.begin, data });
        }
    }

    /// Counts bytes of blocks that are the connection's to send from here on.
    fn handed_over(&mut self, now: Instant, conn: ConnId, bytes: u64) {
        self.up.add(now, bytes);
        if let Some(peer) = self.conns.get_mut(&conn) {
            peer.sent_at(now);
            peer.up.add(now, bytes);
            peer.uploads.queued(now, bytes);
        }
    }

    /// The socket took bytes of blocks: there is room for more.
    pub(super) fn sent(&mut self, now: Instant, conn: ConnId, bytes: u64) {
        if let Some(peer) = self.conns.get_mut(&conn) {
            peer.uploads.sent(now, bytes);
            self.width.taken(now, bytes);
        }
    }
}

/// Takes `length` bytes off the front: a view where they lie in one part, as they do for all who ask for whole blocks.
fn cut(parts: &mut VecDeque<Bytes>, length: usize) -> Option<Bytes> {
    let first = parts.front_mut()?;
    if length < first.len() {
        return Some(first.split_to(length));
    }
    let mut data = parts.pop_front()?;
    if data.len() < length {
        let mut copy = BytesMut::from(data);
        while copy.len() < length {
            copy.extend_from_slice(&cut(parts, (length - copy.len()).min(parts.front()?.len()))?);
        }
        data = copy.freeze();
    }
    Some(data)
}

/// A socket that took nothing for so long is not waited for.
const STALLED: Duration = Duration::from_millis(500);
/// Peers that came within this came together, and serve the crowd best if those who have least are given something
/// first. Those who come later wait once they have something, or everybody waits for everybody.
const AGE: Duration = Duration::from_secs(10);
/// After so long a peer comes before those who wait shorter, whatever it asks for.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Whether a peer was let in two rounds ago and asks for nothing.
fn is_idle(now: Instant, peer: &mut PeerConnection) -> bool {
    let asks = peer.uploads.is_waiting() || peer.uploads.pending_bytes() > 0 || peer.up.rate(now) > Rate(0);
    !peer.am_choking && !asks && now - peer.choke_changed >= ROUND
}

/// Why nothing more is read for a peer.
enum Served {
    /// Its piece is read, or it asks for nothing more of it.
    All,
    /// Its socket has enough.
    Enough,
    /// The owner's limit is reached.
    Limited,
}
