//! Showing a seed's pieces one after another to peers of other programs.
//!
//! Some of them hear no suggestion (BEP 6), others heed none, and some ask for the first piece that they lack: eight
//! that come together are then sent the same bytes eight times and have nothing for one another. Super-seeding (BEP 16)
//! needs no consent: the seed says that it has nothing, and then of one piece after another that it has this one now,
//! to each peer another.
//!
//! It has its price: a peer can ask for no more than it is shown, and takes the seed for somebody who just came. So it
//! is done only while the peers together lack a piece, only to more than one, with as much shown ahead as a peer's
//! speed needs; and whoever makes nothing of it is shown everything.
//!
//! Law: a peer that was shown pieces one by one is in the end shown all.
//!
//! Source: BEP 16.

use std::time::Duration;

use super::{Output, Phase, Swarm};
use crate::layout::PieceIndex;
use crate::peer::{ConnId, Message, PeerId, Shown};
use crate::time::Instant;

/// After so long a peer that nobody else shares the seed with is shown everything.
const ALONE: Duration = Duration::from_secs(5);
/// After so long a peer that wants nothing of what it was shown is, too: it may want a part of the torrent only. Some
/// take ten seconds to say that they want something.
const UNINTERESTED: Duration = Duration::from_secs(30);
/// After so long a peer that could ask and does not is shown one piece more.
const IDLE: Duration = Duration::from_secs(2);

impl Swarm {
    /// What a newcomer is shown at first, unless it is shown everything.
    pub(super) fn shown_at_first(&self, now: Instant, peer_id: PeerId) -> Option<Shown> {
        // Who left files out cannot bring what the others lack.
        let is_seed = self.phase == Phase::Seeding && self.picker.have().is_all();
        let young = is_seed && self.picker.availability.copies_milli() < 1000;
        let pieces = self.layout().piece_count();
        (young && pieces > 1 && !peer_id.is_ours()).then(|| Shown::nothing(pieces, now))
    }

    /// Shows a peer that is shown pieces one by one another, if it has all that it was shown.
    pub(super) fn show(&mut self, now: Instant, conn: ConnId) {
        self.suggest(now, conn);
        let Some(peer) = self.conns.get(&conn) else { return };
        let Some(shown) = &peer.shown else { return };
        if peer.pieces.lacks_any_of(shown.pieces()) {
            return;
        }
        // Choked, it can ask for nothing yet; but without a piece to hope for it would not wait.
        match self.rarest_for(conn) {
            Some(piece) if self.free_slots() > 0 => self.hint(now, conn, piece),
            Some(piece) => self.show_piece(now, conn, piece),
            None => self.show_all(now, conn),
        }
    }

    pub(super) fn show_piece(&mut self, now: Instant, conn: ConnId, piece: PieceIndex) {
        if let Some(shown) = self.conns.get_mut(&conn).and_then(|peer| peer.shown.as_mut()) {
            shown.add(now, piece);
            self.send(now, conn, Message::Have(piece));
        }
    }

    /// Shows more to whom it seems too little, and everything to whom showing piece by piece serves nobody.
    pub(super) fn look_after_shown(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get(&conn) else { return };
        let Some(shown) = &peer.shown else { return };
        let others = self.conns.values().filter(|peer| !peer.is_seed()).count();
        let alone = others <= 1 && now - peer.since >= ALONE;
        let wants_others = !peer.peer_interested && now - shown.at() >= UNINTERESTED;
        if alone || wants_others || self.phase != Phase::Seeding {
            self.show_all(now, conn);
            return;
        }
        let asks = peer.uploads.is_waiting() || peer.uploads.pending_bytes() > 0;
        if peer.peer_interested && !peer.am_choking && !asks && now - shown.at() >= IDLE {
            match self.rarest_for(conn) {
                Some(piece) => self.hint(now, conn, piece),
                None => self.show_all(now, conn),
            }
        }
    }

    /// From now on the peer knows of every piece.
    pub(super) fn show_all(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let Some(shown) = peer.shown.take() else { return };
        peer.sent_at(now);
        let rest = self.picker.have().without(shown.pieces());
        self.out.extend(rest.map(|piece| Output::Send(conn, Message::Have(piece))));
        self.introduce_extension(now, conn);
    }
}
