//! Choking and uploading.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use super::io::{DiskFault, Output};
use super::upkeep::Failing;
use super::{Limits, Phase, Swarm};
use crate::choke::{Candidate, ROUND, Ranking};
use crate::layout::BlockInfo;
use crate::peer::{ConnId, Message, PeerConnection};
use crate::rate::Rate;
use crate::time::{Instant, earliest};

/// The least that may be read or unsent for one peer, in bytes, so that slow ones keep their sockets full too.
const MIN_CREDIT: u64 = 64 * 1024;

impl Swarm {
    /// A peer wants something: it is served at once if a slot is free.
    pub(super) fn became_interested(&mut self, now: Instant, conn: ConnId) {
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
        self.choker.slots().total().saturating_sub(self.unchoked.len())
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
        let ranking = if self.phase == Phase::Fetching { Ranking::Leech } else { Ranking::Seed };
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
        self.send(now, conn, Message::Unchoke);
    }

    pub(super) fn choke(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn).filter(|peer| !peer.am_choking) else { return };
        peer.am_choking = true;
        peer.choke_changed = now;
        self.unchoked.remove(&conn);
        let granted = peer.granted.clone();
        let dropped = peer.uploads.clear(|block| granted.contains(&block.piece));
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
        self.unserved.insert(conn);
    }

    /// Says that a request will not be answered, to those who understand it.
    pub(super) fn reject(&mut self, now: Instant, conn: ConnId, span: BlockInfo) {
        if self.conns.get(&conn).is_some_and(PeerConnection::fast) {
            self.send(now, conn, Message::RejectRequest(span));
        }
    }

    /// Reads for peers that wait, one span each in turn, as far as their sockets and the owner's limit go.
    pub(super) fn serve(&mut self, now: Instant, limits: &mut Limits) {
        while !self.unserved.is_empty() {
            let after = self.unserved.range((Bound::Excluded(self.last_served), Bound::Unbounded));
            let turn: Vec<ConnId> = after.chain(self.unserved.range(..=self.last_served)).copied().collect();
            for conn in turn {
                match self.serve_one(now, conn, limits) {
                    Served::Yes => {}
                    Served::No => {
                        self.unserved.remove(&conn);
                    }
                    Served::Limited => return,
                }
            }
        }
    }

    fn serve_one(&mut self, now: Instant, conn: ConnId, limits: &mut Limits) -> Served {
        let read_ahead = self.config.read_ahead;
        let Some(peer) = self.conns.get_mut(&conn).filter(|peer| peer.uploads.is_waiting()) else { return Served::No };
        // A quarter of a second at the peer's speed: enough to keep the socket busy, little enough to stop quickly.
        let Rate(rate) = peer.up.rate(now);
        let most = (rate / 4).clamp(MIN_CREDIT, read_ahead.max(MIN_CREDIT));
        let mut credit = most.saturating_sub(peer.uploads.pending_bytes());
        if credit < most.min(u64::from(crate::layout::BLOCK_LENGTH)) {
            return Served::No;
        }
        if let Some(bucket) = &mut limits.up {
            let ready = bucket.ready_at(now);
            if ready != Some(now) {
                self.limited_until = earliest(self.limited_until, ready);
                return Served::Limited;
            }
            credit = credit.min(u64::from(crate::layout::BLOCK_LENGTH));
        }
        let Some(span) = peer.uploads.next_span(credit) else { return Served::No };
        if let Some(bucket) = &mut limits.up {
            bucket.take(now, u64::from(span.length));
        }
        self.last_served = conn;
        self.out.push_back(Output::Read { swarm: self.id, conn, span });
        Served::Yes
    }

    /// A span was read: sends its blocks, unless the peer was choked meanwhile.
    pub(super) fn read(&mut self, now: Instant, conn: ConnId, span: BlockInfo, result: Result<Vec<Bytes>, DiskFault>) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let blocks = peer.uploads.span_read(span);
        self.unserved.insert(conn);
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
            self.up.add(now, u64::from(block.length));
            if let Some(peer) = self.conns.get_mut(&conn) {
                peer.up.add(now, u64::from(block.length));
                peer.uploads.queued(now, u64::from(block.length));
            }
            self.send(now, conn, Message::Piece { piece: block.piece, begin: block.begin, data });
        }
    }

    /// The socket took bytes of blocks: there is room for more.
    pub(super) fn sent(&mut self, now: Instant, conn: ConnId, bytes: u64) {
        if let Some(peer) = self.conns.get_mut(&conn) {
            peer.uploads.sent(now, bytes);
            self.unserved.insert(conn);
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

/// Whether a peer was let in two rounds ago and asks for nothing.
fn is_idle(now: Instant, peer: &mut PeerConnection) -> bool {
    let asks = peer.uploads.is_waiting() || peer.uploads.pending_bytes() > 0 || peer.up.rate(now) > Rate(0);
    !peer.am_choking && !asks && now - peer.choke_changed >= ROUND
}

enum Served {
    Yes,
    No,
    /// The owner's limit is reached.
    Limited,
}
