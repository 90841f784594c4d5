//! How a seed hands out pieces, so that each leaves once before any leaves twice.
//!
//! Peers that choose for themselves choose alike: of a hundred that ask one seed, each for the rarest piece it sees, a
//! third ask for one that somebody else is being sent at that moment. Only the seed sees what it sends, so it says what
//! to ask for: it suggests pieces (BEP 6) of which the fewest copies are out or on their way, a different one to each
//! peer. Whoever asks for a piece that is out already while others ask for fresh ones waits a little; it may well get
//! it from others meanwhile.
//!
//! This does what super-seeding (BEP 16) does, without its lie that the seed has nothing, and without its price: a peer
//! asks for as much as its pipe holds, and one that heeds no suggestion is served all the same. Peers of other programs
//! are told in the way of `showing`.
//!
//! Law: the promises counted are those of the connections that stand.
//!
//! Source: BEP 6, "suggest piece"; BEP 16.

use std::time::Duration;

use super::{Phase, Swarm};
use crate::layout::PieceIndex;
use crate::peer::{ConnId, Message, PeerConnection, Promise};
use crate::piece::{Picker, rarest_of};
use crate::time::Instant;

/// How many pieces a peer knows of that it may ask for next.
const SUGGESTED_AHEAD: usize = 2;
/// The same for one that is shown pieces: so many are on their way to it or known to it. It tells that it has one by a
/// line that may be full of what it sends to others.
const SHOWN_AHEAD: usize = 6;
/// How many more at most, if it is fast.
const MOST_AHEAD: usize = 12;
/// So long after a peer was told of a piece, or was sent what it asked of it, it may go to others.
const PROMISE: Duration = Duration::from_secs(10);
/// When the swarm has so many copies of every piece, peers need no hint.
const ENOUGH_COPIES: u32 = 4;
/// When so many copies of every piece are out or on their way, a peer that was shown pieces one by one is shown all: it
/// then asks for as much as the seed can send.
const ENOUGH_SHOWN: u32 = 1;
/// Within this a seed gives each peer that it serves a turn.
const TURNS_WITHIN: Duration = Duration::from_secs(2);
/// The most peers that a seed serves.
const MOST_SEED_SLOTS: usize = 40;
/// How many it serves until its speed is known.
pub(super) const FIRST_SEED_SLOTS: usize = 20;

impl Swarm {
    /// A peer asks for a block: that piece is on its way to it, and it may want to know what to ask for after that.
    pub(super) fn asked_for(&mut self, now: Instant, conn: ConnId, piece: PieceIndex) {
        if self.phase != Phase::Seeding {
            return;
        }
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        match peer.promised.insert(piece, Promise { asked: true, alive: now }) {
            Some(Promise { asked: true, .. }) => return,
            Some(_) => {}
            None => self.count_promise(piece),
        }
        self.suggest(now, conn);
    }

    /// Suggests pieces to a peer until it knows of enough.
    pub(super) fn suggest(&mut self, now: Instant, conn: ConnId) {
        if self.phase != Phase::Seeding {
            return;
        }
        while let Some(piece) = self.next_to_suggest(now, conn) {
            self.hint(now, conn, piece);
        }
    }

    /// Promises a peer a piece that it may ask for next.
    pub(super) fn hint(&mut self, now: Instant, conn: ConnId, piece: PieceIndex) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        peer.promised.insert(piece, Promise { asked: false, alive: now });
        let shows = peer.shown.is_some();
        self.count_promise(piece);
        if shows {
            self.show_piece(now, conn, piece);
        } else {
            self.send(now, conn, Message::SuggestPiece(piece));
        }
    }

    /// A piece that the peer lacks, of which the fewest copies are out; ties fall at random.
    fn next_to_suggest(&mut self, now: Instant, conn: ConnId) -> Option<PieceIndex> {
        let piece_length = u64::from(self.layout().piece_length());
        let hears = |peer: &&mut PeerConnection| peer.shown.is_some() || peer.fast();
        let peer = self.conns.get_mut(&conn).filter(hears).filter(|peer| peer.peer_interested && !peer.am_choking)?;
        // What it may ask for until a suggestion has gone to it and the request for it has come back.
        let soon = peer.up.rate(now).0 / 4 / piece_length;
        let soon = usize::try_from(soon).unwrap_or(0).min(MOST_AHEAD);
        let peer = self.conns.get(&conn)?;
        // Who is shown a piece asks for it at once, and is shown the next when it has one.
        let (known, most) = if peer.shown.is_some() {
            (peer.promised.len(), SHOWN_AHEAD + soon)
        } else {
            (peer.promised.values().filter(|promise| !promise.asked).count(), SUGGESTED_AHEAD + soon)
        };
        if known >= most {
            return None;
        }
        self.rarest_for(conn)
    }

    /// A piece that the peer lacks and does not know of yet, of which the fewest copies are out and too few; ties fall
    /// at random.
    pub(super) fn rarest_for(&mut self, conn: ConnId) -> Option<PieceIndex> {
        let peer = self.conns.get(&conn)?;
        let copies = |piece| copies_of(&self.picker, &self.promised, piece);
        let is_news = |piece: &PieceIndex| {
            !peer.promised.contains_key(piece) && !peer.shown.as_ref().is_some_and(|shown| shown.pieces().has(*piece))
        };
        let enough = if peer.shown.is_some() { ENOUGH_SHOWN } else { ENOUGH_COPIES };
        let is_choice = |piece: &PieceIndex| is_news(piece) && copies(*piece) < enough;
        rarest_of(|| self.picker.have().without(&peer.pieces).filter(is_choice), copies, &mut self.rng)
    }

    /// How many pieces a seed has sent the peer that have not come further. Who passes them on fast is sent more, and
    /// who takes without giving gets little.
    pub(super) fn unspread(&self, peer: &PeerConnection) -> usize {
        peer.unspread.iter().filter(|piece| self.picker.availability.of(**piece) < 2).count()
    }

    /// How many peers a seed had better serve: as many as it can send a piece each within [`TURNS_WITHIN`], so that
    /// none waits long for one.
    pub(super) fn wanted_seed_slots(&mut self, now: Instant) -> usize {
        let pieces = self.up.rate(now).0 * TURNS_WITHIN.as_secs() / u64::from(self.layout().piece_length());
        let least = self.choker.slots().total();
        usize::try_from(pieces).unwrap_or(MOST_SEED_SLOTS).clamp(least, MOST_SEED_SLOTS.max(least))
    }

    /// Whether a seed has this piece out to somebody else, or on its way.
    ///
    /// Of several who ask for one piece that nobody has, and wait, one is first: then it is not handed out by that
    /// alone.
    pub(super) fn is_handed_out(&self, piece: PieceIndex, peer: &PeerConnection) -> bool {
        let own = usize::from(peer.promised.contains_key(&piece));
        let copies = self.copies_of(piece) as usize;
        let waiting = || self.unserved.iter().filter_map(|conn| self.conns.get(conn));
        self.phase == Phase::Seeding
            && copies > own
            && copies
                > waiting().filter(|peer| peer.uploads.is_for(piece) && peer.promised.contains_key(&piece)).count()
    }

    /// Whether a piece may be given to whoever comes, because it is no longer for a seed to hand out with care.
    pub(super) fn is_common(&self, piece: PieceIndex) -> bool {
        self.phase != Phase::Seeding || self.copies_of(piece) >= ENOUGH_COPIES
    }

    fn copies_of(&self, piece: PieceIndex) -> u32 {
        copies_of(&self.picker, &self.promised, piece)
    }

    fn count_promise(&mut self, piece: PieceIndex) {
        if self.promised.is_empty() {
            self.promised = vec![0; self.layout().piece_count() as usize];
        }
        self.promised[piece.as_usize()] += 1;
    }

    /// The peer has the piece: it counts as a copy now.
    pub(super) fn promise_kept(&mut self, now: Instant, conn: ConnId, piece: PieceIndex) {
        let kept = self.conns.get_mut(&conn).and_then(|peer| peer.promised.remove(&piece));
        if kept.is_some() {
            self.promised[piece.as_usize()] -= 1;
            let availability = &self.picker.availability;
            if let Some(peer) = self.conns.get_mut(&conn) {
                peer.unspread.push(piece);
                peer.unspread.retain(|piece| availability.of(*piece) < 2);
            }
            self.suggest(now, conn);
        }
    }

    /// A piece that a peer neither asks nor waits for any more is no copy on its way.
    pub(super) fn drop_dead_promises(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let (uploads, promised) = (&peer.uploads, &mut self.promised);
        peer.promised.retain(|piece, promise| {
            if uploads.is_for(*piece) {
                promise.alive = now;
            }
            let keeps = now - promise.alive < PROMISE;
            if !keeps {
                promised[piece.as_usize()] -= 1;
            }
            keeps
        });
        self.suggest(now, conn);
    }

    /// The peer is not sent anything any more.
    pub(super) fn break_promises(&mut self, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        for piece in std::mem::take(&mut peer.promised).into_keys() {
            self.promised[piece.as_usize()] -= 1;
        }
    }
}

/// Copies of a piece that are out or on their way.
fn copies_of(picker: &Picker, promised: &[u16], piece: PieceIndex) -> u32 {
    picker.availability.of(piece) + promised.get(piece.as_usize()).map_or(0, |count| u32::from(*count))
}
