//! Readers: somebody plays the episode while it is being fetched.
//!
//! A reader says which bytes it goes on with. What lies in a window behind that is urgent: it is asked for in its
//! order, of the quickest peers first, and a block that one peer does not bring in time is taken back and asked of
//! another. A reader that jumps does not wait for what was asked for before: that is cancelled. Web servers help at
//! once where peers let a reader wait. Everything outside of the window comes as ever, the rarest first, so that who
//! plays is of use to the crowd, too.
//!
//! The window is as wide as what comes in `HORIZON`: a slow line hurries only what is needed next.
//!
//! Knows nothing of players: how fast they read is theirs.
//!
//! Laws: without readers nothing is urgent; the windows of all readers together are at most half of what may be on its
//! way.
//!
//! Source: the deadlines of libtorrent's time-critical pieces, and the readers of anacrolix/torrent, in what they do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::requests::may_be_asked;
use super::{Phase, Swarm};
use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::peer::pipeline::Pipeline;
use crate::peer::{ConnId, Message, PeerConnection};
use crate::time::{Instant, earliest};

/// The window holds what comes in this time.
const HORIZON: Duration = Duration::from_secs(4);
/// The least bytes of a window.
const LEAST_WINDOW: u64 = 1 << 20;
/// How often it is looked whether what is urgent comes in time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A peer that brings nothing of what it was asked for in this time is asked for nothing urgent.
const STALLED: Duration = Duration::from_millis(1500);
/// A block that is asked for this long does not come in time, whatever else comes before it.
const OLD: Duration = Duration::from_millis(2500);
/// So much later than what is before it a block may come.
const SLACK: Duration = Duration::from_secs(1);
/// The most blocks that are taken back at one look.
const MOST_TAKEN_BACK: usize = 64;
/// Requests that stay at a peer when a reader jumps: it has most likely sent the blocks.
const LEFT_AT_JUMP: usize = 2;
/// A reader that waits for so long is a sign that peers do not bring enough.
const PATIENCE: Duration = Duration::from_millis(700);
/// Web servers help for so long after a reader had to wait.
const HELP: Duration = Duration::from_secs(10);

/// A reader's number within its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderId(pub u64);

/// Who reads.
#[derive(Debug, Default)]
pub(super) struct Reading {
    readers: BTreeMap<ReaderId, Reader>,
    /// When it is looked next; `None` while nobody waits for anything.
    look_at: Option<Instant>,
    /// When a reader last waited for longer than [`PATIENCE`].
    waited_at: Option<Instant>,
}

/// One reader.
#[derive(Debug)]
struct Reader {
    /// What it goes on with, in bytes of the torrent.
    range: Range<u64>,
    /// Since when what it goes on with has been missing.
    waits_since: Option<Instant>,
}

impl Reading {
    pub(super) const fn look_at(&self) -> Option<Instant> {
        self.look_at
    }
}

impl Swarm {
    /// A reader goes on with this range of the torrent's bytes, or reads no more.
    pub(super) fn read_on(&mut self, now: Instant, id: ReaderId, range: Option<Range<u64>>) {
        let Some(range) = range.filter(|range| !range.is_empty() && range.end <= self.layout().length()) else {
            self.reading.readers.remove(&id);
            return self.hasten(now);
        };
        let window = self.window(now);
        let before = self.reading.readers.get(&id);
        let is_jump =
            before.is_none_or(|before| !(before.range.start..=before.range.start + window).contains(&range.start));
        let waits_since = before.filter(|before| self.piece_at(before.range.start) == self.piece_at(range.start));
        let waits_since = waits_since.and_then(|before| before.waits_since);
        self.reading.readers.insert(id, Reader { range, waits_since });
        self.hasten(now);
        self.note_waits(now);
        if is_jump && self.is_fetching() {
            self.make_room(now);
        }
    }

    /// Looks whether what is urgent comes in time, if that is due.
    pub(super) fn look_after_readers(&mut self, now: Instant) {
        if self.reading.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.reading.look_at = None;
        self.hasten(now);
        self.note_waits(now);
        if !self.is_fetching() || self.picker.urgent().is_empty() {
            return;
        }
        self.take_back_what_is_late(now);
        // Whoever had nothing to do may now be the quickest.
        self.hungry.extend(std::mem::take(&mut self.starved));
    }

    /// Makes urgent what readers need next.
    fn hasten(&mut self, now: Instant) {
        if self.phase != Phase::Fetching {
            self.reading.look_at = None;
            return;
        }
        let window = self.window(now);
        let piece_length = u64::from(self.layout().piece_length());
        let mut pieces: Vec<(u64, PieceIndex)> = Vec::new();
        for Reader { range, .. } in self.reading.readers.values() {
            let end = range.end.min(range.start + window);
            let span = range.start / piece_length..end.div_ceil(piece_length);
            let span = span.filter_map(|piece| self.layout().piece(u32::try_from(piece).ok()?));
            pieces.extend(span.map(|piece| (self.layout().start_of(piece).saturating_sub(range.start), piece)));
        }
        // The sort is stable: readers that need something equally soon keep their order.
        pieces.sort_by_key(|(distance, _)| *distance);
        let mut urgent: Vec<PieceIndex> = Vec::new();
        for (_, piece) in pieces {
            if !urgent.contains(&piece) {
                urgent.push(piece);
            }
        }
        self.picker.hasten(urgent);
        let is_needed = !self.picker.urgent().is_empty();
        self.reading.look_at = if is_needed { earliest(self.reading.look_at, Some(now + LOOK_EVERY)) } else { None };
    }

    /// A piece that readers may have waited for is here.
    pub(super) fn piece_is_read(&mut self, now: Instant) {
        if !self.reading.readers.is_empty() {
            self.hasten(now);
            self.note_waits(now);
        }
    }

    /// How far ahead of a reader pieces are urgent, in bytes.
    fn window(&mut self, now: Instant) -> u64 {
        let rate = self.down.rate(now).0;
        let most = self.config.partial_budget / 2 / self.reading.readers.len().max(1) as u64;
        (rate * HORIZON.as_secs()).max(LEAST_WINDOW).min(most)
    }

    fn piece_at(&self, at: u64) -> Option<PieceIndex> {
        self.layout().piece(u32::try_from(at / u64::from(self.layout().piece_length())).ok()?)
    }

    /// Notes since when readers have been waiting, and calls web servers for help where that is too long.
    fn note_waits(&mut self, now: Instant) {
        let piece_length = u64::from(self.layout().piece_length());
        let mut has_waited = false;
        for reader in self.reading.readers.values_mut() {
            let piece = u32::try_from(reader.range.start / piece_length).ok();
            let is_missing = piece.is_some_and(|piece| self.picker.lacks(PieceIndex(piece)));
            let since = is_missing.then(|| reader.waits_since.unwrap_or(now));
            reader.waits_since = since;
            has_waited |= since.is_some_and(|since| now - since >= PATIENCE);
        }
        if has_waited {
            self.reading.waited_at = Some(now);
            self.call_web_seeds();
        }
    }

    /// Whether web servers are to bring what is urgent.
    pub(super) fn wants_help(&self, now: Instant) -> bool {
        let is_soon = self.reading.waited_at.is_some_and(|at| now - at < HELP);
        is_soon
            && self.web_seeds.is_any_usable()
            && !self.reading.readers.is_empty()
            && !self.picker.urgent().is_empty()
    }

    /// Chooses a block of an urgent piece for a peer that lets us ask for more.
    pub(super) fn pick_urgent(&mut self, now: Instant, conn: ConnId) -> Option<BlockInfo> {
        if self.picker.urgent().is_empty() {
            return None;
        }
        let quickest = self.quickest(now)?;
        let rate = self.down.rate(now).0;
        let from_servers = self.pieces_for_readers();
        let peer = self.conns.get_mut(&conn)?;
        // What others bring until this one could.
        let later = wait_of(now, peer)?.saturating_sub(quickest);
        let behind = u64::try_from(later.as_millis()).unwrap_or(u64::MAX).saturating_mul(rate) / 1000;
        let may = |piece| peer.may_request(piece) && !from_servers.contains(&piece);
        self.picker.pick_urgent(conn, &peer.pieces, may, behind)
    }

    /// How soon any peer could bring another block of what is needed first; `None` if none can be asked for it.
    fn quickest(&mut self, now: Instant) -> Option<Duration> {
        let first = *self.picker.urgent().first()?;
        let waits = self.conns.values_mut().filter(|peer| is_for(peer, first)).filter_map(|peer| wait_of(now, peer));
        waits.min().or(Some(Duration::ZERO))
    }

    /// Sorts connections so that the quickest are last.
    pub(super) fn quickest_last(&mut self, now: Instant, conns: &mut [ConnId]) {
        let mut rate = |conn: &ConnId| self.conns.get_mut(conn).map(|peer| peer.down.rate(now));
        conns.sort_by_cached_key(|conn| rate(conn));
    }

    /// Takes requests for what is not urgent back, as a reader has jumped, so that what it needs does not wait behind
    /// them.
    fn make_room(&mut self, now: Instant) {
        let Some(first) = self.picker.urgent().first().copied() else { return };
        let mut cancelled = Vec::new();
        for (conn, peer) in self.conns.iter_mut().filter(|(_, peer)| is_for(peer, first)) {
            let others = peer.pipeline.blocks().skip(LEFT_AT_JUMP).filter(|block| !self.picker.is_urgent(block.piece));
            cancelled.extend(others.map(|block| (*conn, block)));
        }
        self.take_back(now, cancelled, Pipeline::cancel);
    }

    /// Takes urgent blocks back from peers that do not bring them in time, and asks the quickest other for them.
    fn take_back_what_is_late(&mut self, now: Instant) {
        let rate = self.down.rate(now).0.max(1);
        let mut late = Vec::new();
        for (block, ahead) in self.picker.urgent_asked() {
            let in_time = time_of(ahead, rate) + SLACK;
            let mut holders = Vec::new();
            for (conn, peer) in &mut self.conns {
                let Some((place, asked_at)) = peer.pipeline.place_of(block) else { continue };
                let wait = wait_for(now, peer, place + 1).filter(|_| now - asked_at < OLD);
                if wait.is_none_or(|wait| wait > in_time) {
                    holders.push((*conn, wait));
                }
            }
            for (conn, wait) in holders {
                let others = self
                    .conns
                    .iter_mut()
                    .filter(|(other, peer)| **other != conn && is_for(peer, block.piece) && peer.pipeline.takes(block));
                let waits = others.filter_map(|(other, peer)| Some((wait_of(now, peer)?, *other)));
                let quicker = waits.min().filter(|(other, _)| wait.is_none_or(|wait| *other < wait / 2));
                if quicker.is_some() || self.wants_help(now) {
                    late.push((conn, block, quicker.map(|(_, other)| other)));
                }
            }
            if late.len() >= MOST_TAKEN_BACK {
                break;
            }
        }
        for (conn, block, other) in late {
            self.take_back(now, vec![(conn, block)], |pipeline, block| pipeline.take_back(now, block));
            if let Some(other) = other {
                self.ask_for_at_once(now, other, block);
            }
        }
    }

    /// Asks a peer for a block, however much it is asked for already.
    fn ask_for_at_once(&mut self, now: Instant, conn: ConnId, block: BlockInfo) {
        if self.picker.ask_for(conn, block).is_none() {
            return;
        }
        if let Some(peer) = self.conns.get_mut(&conn) {
            peer.pipeline.request(now, block);
        }
        self.asked += 1;
        self.send(now, conn, Message::Request(block));
    }

    /// Takes requests back that peers have not answered, as `give_up` does.
    fn take_back(
        &mut self,
        now: Instant,
        requests: Vec<(ConnId, BlockInfo)>,
        give_up: impl Fn(&mut Pipeline, BlockInfo) -> bool,
    ) {
        for (conn, block) in requests {
            let Some(peer) = self.conns.get_mut(&conn) else { continue };
            if !give_up(&mut peer.pipeline, block) {
                continue;
            }
            self.asked -= 1;
            self.picker.refused(conn, block);
            self.send(now, conn, Message::Cancel(block));
            self.may_be_hungry(conn);
        }
    }
}

/// Whether this peer can be asked for this piece, now or as soon as it has brought something.
fn is_for(peer: &PeerConnection, piece: PieceIndex) -> bool {
    let has_room = || may_be_asked(peer) || !peer.pipeline.is_empty();
    peer.pieces.has(piece) && peer.may_request(piece) && peer.am_interested && has_room()
}

/// How long a peer would take to bring what it is asked for. `None` if it brings nothing.
fn wait_of(now: Instant, peer: &mut PeerConnection) -> Option<Duration> {
    let queued = peer.pipeline.len();
    wait_for(now, peer, queued)
}

/// How long a peer will take to bring so many blocks; if its speed is not known, as long as it has taken already and
/// once more. `None` if it brings nothing.
fn wait_for(now: Instant, peer: &mut PeerConnection, blocks: usize) -> Option<Duration> {
    let bytes = blocks as u64 * u64::from(BLOCK_LENGTH);
    if peer.pipeline.is_stalled(now, STALLED) {
        return None;
    }
    match peer.down.rate(now).0 {
        0 => Some(peer.pipeline.waiting(now) * 2),
        rate => Some(time_of(bytes, rate)),
    }
}

fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / rate)
}
