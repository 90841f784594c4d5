//! Asking for blocks, and taking them.

use bytes::Bytes;

use super::conduct::ready;
use super::{Limits, Swarm};
use crate::layout::{BLOCK_LENGTH, BlockInfo};
use crate::peer::connection::HEED_IDLE;
use crate::peer::pipeline::Arrival;
use crate::peer::{ConnId, Message, PeerConnection};
use crate::piece::Hints;
use crate::time::{Instant, earliest};

impl Swarm {
    /// Asks every peer that lets us for as much as its pipe holds.
    ///
    /// Looks only at connections of which something has changed. Those that have nothing for us wait for the picker's
    /// next epoch.
    pub(super) fn fill_pipelines(&mut self, now: Instant, limits: &mut Limits) {
        if !self.is_fetching() || self.waits_for_disk() {
            return;
        }
        if std::mem::replace(&mut self.starved_at, self.picker.epoch()) != self.picker.epoch() {
            self.hungry.extend(std::mem::take(&mut self.starved));
        }
        if self.hungry.is_empty() {
            return;
        }
        let mut hungry = std::mem::take(&mut self.hungry);
        hungry.sort_unstable();
        hungry.dedup();
        hungry.retain(|conn| !self.starved.contains(conn) && self.conns.get(conn).is_some_and(may_be_asked));
        // Nobody is always asked first, but for the quickest where somebody waits.
        self.rng.shuffle(&mut hungry);
        if !self.picker.urgent().is_empty() {
            self.quickest_last(now, &mut hungry);
        }
        while let Some(conn) = hungry.pop() {
            if !self.fill_pipeline(now, conn, limits) {
                hungry.push(conn);
                break;
            }
        }
        self.hungry.append(&mut hungry);
    }

    /// Something about the connection has changed that may let it be asked for more.
    pub(super) fn may_be_hungry(&mut self, conn: ConnId) {
        self.hungry.push(conn);
        // More names than there can be connections.
        if self.hungry.len() > 2 * self.config.max_connections {
            // Nothing is asked for at the moment, and the same names come again and again.
            self.hungry.sort_unstable();
            self.hungry.dedup();
        }
    }

    /// Fills one pipe; false if the owner's limit or the budget is reached.
    fn fill_pipeline(&mut self, now: Instant, conn: ConnId, limits: &mut Limits) -> bool {
        let budget = self.config.request_budget / u64::from(BLOCK_LENGTH);
        while let Some(peer) = self.conns.get(&conn).filter(|peer| peer.pipeline.room() > 0) {
            if (self.asked + self.web_seeds.asked()) as u64 >= budget {
                return false;
            }
            if let Err(until) = ready(limits.all.down.iter_mut().chain(&mut self.own.down), now) {
                self.limited_until = earliest(self.limited_until, until);
                return false;
            }
            let is_guided = peer.guides(now) && !self.config.in_order;
            let mut block = self.pick_urgent(now, conn);
            let Some(peer) = self.conns.get(&conn) else { return true };
            if block.is_none() {
                let is_doubtful = peer.pipeline.is_doubtful(now);
                let urgent = self.picker.urgent().iter().copied().filter(|_| is_doubtful).collect::<Vec<_>>();
                let may = |piece| peer.may_request(piece) && !urgent.contains(&piece);
                let hints = Hints { pieces: &peer.suggested, only: is_guided };
                block = self.picker.pick(conn, &peer.pieces, hints, may, &mut self.rng);
            }
            if block.is_none() && !is_guided && peer.pipeline.is_empty() && self.take_over(now, conn) {
                continue;
            }
            let Some(peer) = self.conns.get(&conn) else { return true };
            let may = |piece| peer.may_request(piece);
            if block.is_none() && peer.pipeline.is_empty() {
                // The end game asks a peer for one block at a time: what it brings may be here already.
                block = self.picker.pick_again(&peer.pieces, may, |block| peer.pipeline.has(block), &mut self.rng);
            }
            let Some(block) = block else {
                if is_guided {
                    // It is asked for something else if it has no other suggestion soon.
                    self.hungry.push(conn);
                    self.limited_until = earliest(self.limited_until, Some(now + HEED_IDLE));
                } else {
                    self.starved.insert(conn);
                }
                return true;
            };
            for bucket in limits.all.down.iter_mut().chain(&mut self.own.down) {
                bucket.take(now, u64::from(block.length));
            }
            if let Some(peer) = self.conns.get_mut(&conn) {
                peer.pipeline.request(now, block);
            }
            self.asked += 1;
            self.send(now, conn, Message::Request(block));
        }
        true
    }

    /// Takes a piece over for a peer that has nothing else for us, from one that has not begun with it and is to send
    /// us others first; tells whether there was one.
    fn take_over(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(peer) = self.conns.get(&conn) else { return false };
        let (theirs, may) = (&peer.pieces, |piece| peer.may_request(piece));
        let waits = |owner, piece| self.conns.get(&owner).is_some_and(|peer| peer.pipeline.waits_behind_others(piece));
        let Some((piece, owner)) = self.picker.unbegun(conn, theirs, may, waits) else { return false };
        let Some(peer) = self.conns.get_mut(&owner) else { return false };
        let blocks: Vec<BlockInfo> = peer.pipeline.blocks().filter(|block| block.piece == piece).collect();
        for block in &blocks {
            peer.pipeline.cancel(*block);
        }
        self.asked -= blocks.len();
        for block in blocks {
            self.picker.unask(block);
            self.send(now, owner, Message::Cancel(block));
        }
        self.picker.pass_on(piece, conn);
        self.may_be_hungry(owner);
        true
    }

    /// A block came that was asked for.
    pub(super) fn block(&mut self, now: Instant, conn: ConnId, block: BlockInfo, data: Bytes, arrival: Arrival) {
        self.down.add(now, u64::from(block.length));
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        if peer.pipeline.is_empty() {
            // It may join the end game now.
            self.starved.remove(&conn);
        }
        let from = peer.addr;
        self.may_be_hungry(conn);
        let Some(requests) = self.picker.take(block, data, from.into()) else {
            self.wasted += u64::from(block.length);
            return;
        };
        // One of the requests was this peer's own, unless it was given up before.
        if requests > u32::from(arrival == Arrival::Expected) {
            self.cancel_elsewhere(now, conn, block);
        }
        self.store_if_whole(now, block.piece);
    }

    /// Whoever else was asked for this block need not send it any more.
    pub(super) fn cancel_elsewhere(&mut self, now: Instant, conn: ConnId, block: BlockInfo) {
        let asked: Vec<ConnId> = self
            .conns
            .iter_mut()
            .filter(|(other, _)| **other != conn)
            .filter_map(|(other, peer)| peer.pipeline.cancel(block).then_some(*other))
            .collect();
        self.asked -= asked.len();
        for other in asked {
            self.may_be_hungry(other);
            self.send(now, other, Message::Cancel(block));
        }
        self.cancel_web_seeds(now, block);
    }
}

/// Whether the peer has something for us and lets us ask for it now.
pub(super) fn may_be_asked(peer: &PeerConnection) -> bool {
    peer.am_interested && peer.may_request_any() && peer.pipeline.room() > 0
}
