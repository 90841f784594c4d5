//! Telling peers which pieces have become whole.
//!
//! A HAVE is nine bytes and the packet around it 66, so a HAVE for each piece to each of 80 peers costs a twentieth of
//! the uplink. Only those hear of a piece at once who can use it at once: peers that we serve, and everybody while a
//! slot is free. Others hear of all new pieces together, a second after the first of them; until then they only count
//! us as one copy less.
//!
//! Law: each peer hears of each piece that it lacks once, in the order in which they became whole.

use std::time::Duration;

use super::{Output, Swarm};
use crate::layout::PieceIndex;
use crate::peer::{ConnId, Message};
use crate::time::{Instant, earliest};

/// The longest that a peer waits to hear of a piece.
const TELL_WITHIN: Duration = Duration::from_secs(1);

impl Swarm {
    /// The piece is ours: those who can use it at once are told, the others soon.
    pub(super) fn announce_piece(&mut self, now: Instant, piece: PieceIndex) {
        self.news.push(piece);
        if self.free_slots() > 0 || self.picker.is_done() {
            self.tell_all(now);
        } else {
            let served: Vec<ConnId> = self.unchoked.iter().copied().collect();
            for conn in served {
                self.tell(now, conn);
            }
            self.tell_at = earliest(self.tell_at, Some(now + TELL_WITHIN));
        }
        let interesting: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, peer)| peer.am_interested && peer.pieces.has(piece))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in interesting {
            self.update_interest(now, conn);
        }
    }

    /// Tells everybody what they have not heard, if it is time.
    pub(super) fn tell_if_due(&mut self, now: Instant) {
        if self.tell_at.is_some_and(|at| at <= now) {
            self.tell_all(now);
        }
    }

    fn tell_all(&mut self, now: Instant) {
        self.tell_at = None;
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.tell(now, conn);
        }
    }

    /// Tells a peer what it has not heard and lacks; a seed is told too, it counts the copies.
    pub(super) fn tell(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let told = std::mem::replace(&mut peer.told, self.news.len());
        let lacks = |piece: &&PieceIndex| peer.is_seed() || !peer.pieces.has(**piece);
        let before = self.out.len();
        self.out.extend(self.news[told..].iter().filter(lacks).map(|piece| Output::Send(conn, Message::Have(*piece))));
        if self.out.len() > before {
            peer.sent_at(now);
        }
    }
}
