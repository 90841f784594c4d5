//! Asking peers how long our messages take, so that what is sent in the background gives way to others.
//!
//! Asked are peers to whom nothing else is under way: a question behind blocks of ours would tell of those.

use super::{Limits, Swarm};
use crate::background::Source;
use crate::peer::way::WayMessage;
use crate::peer::{ConnId, Message};
use crate::time::Instant;

/// So many peers are asked at once.
const AT_ONCE: usize = 3;
/// Answers that wait to be passed on; more were not asked for.
const MOST_TOLD: usize = 64;

impl Swarm {
    /// Asks some peers, others each time.
    pub(super) fn ask_ways(&mut self, now: Instant) {
        let last = self.asked_way;
        let is_free = |conn: &ConnId| {
            self.conns.get(conn).is_some_and(|peer| peer.way_id().is_some() && peer.uploads.pending_bytes() == 0)
        };
        let later = self.conns.keys().copied().filter(|conn| *conn > last);
        let all = later.chain(self.conns.keys().copied().filter(|conn| *conn <= last));
        let asked: Vec<ConnId> = all.filter(is_free).take(AT_ONCE).collect();
        for conn in asked {
            self.asked_way = conn;
            self.say_of_way(now, conn, WayMessage::question(now));
        }
    }

    /// A peer asks or answers.
    pub(super) fn told_way(&mut self, now: Instant, conn: ConnId, payload: &[u8]) {
        match WayMessage::decode(payload) {
            Some(WayMessage::Took(took_us)) if self.told_ways.len() < MOST_TOLD => {
                self.told_ways.push((conn, took_us));
            }
            Some(question) => {
                if let Some(answer) = question.answer(now) {
                    self.say_of_way(now, conn, answer);
                }
            }
            None => {}
        }
    }

    /// Passes on what was answered.
    pub(super) fn pass_ways_on(&mut self, now: Instant, limits: &mut Limits) {
        for (conn, took_us) in std::mem::take(&mut self.told_ways) {
            if let Some(pace) = &mut limits.background {
                pace.told(now, Source::Asked(conn), took_us, took_us);
            }
        }
    }

    fn say_of_way(&mut self, now: Instant, conn: ConnId, message: WayMessage) {
        if let Some(id) = self.conns.get(&conn).and_then(crate::peer::PeerConnection::way_id) {
            self.send(now, conn, Message::Extended { id, payload: message.encode() });
        }
    }
}
