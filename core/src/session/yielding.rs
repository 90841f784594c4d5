//! What the background has to know of connections, and from where.
//!
//! TCP's round trips are the system's to tell: it is asked twenty times a second of connections on which something is
//! on its way. What uTP measures comes by itself, and peers who speak our extension are asked.
//!
//! Law: the system is asked again only after it has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Session;
use crate::background::{Pace, Source, Trip};
use crate::peer::{ConnId, Transport};
use crate::rate::Rate;
use crate::swarm::{self, Output, SwarmId};
use crate::time::Instant;
use crate::utp::Ways;

/// For so long after something was sent an answer may come.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// How often peers are asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What the background waits for, and knows of TCP connections.
#[derive(Debug, Default)]
pub(super) struct Yielding {
    /// When blocks were last sent on each, and what the system said of it.
    sent: BTreeMap<ConnId, (Instant, Option<Trip>)>,
    is_asking: bool,
    ask_ways_at: Instant,
}

impl Session {
    /// Whether what is sent on a connection is in the background.
    pub fn is_in_background(&self, conn: ConnId) -> bool {
        let swarm = self.swarm_of(conn).and_then(|id| self.swarms.get(&id));
        self.limits.background.is_some() && swarm.is_some_and(|swarm| swarm.is_in_background())
    }

    /// How fast is sent in the background; `None` if nothing is.
    pub fn pace(&self) -> Option<Rate> {
        self.limits.background.as_ref().map(Pace::rate)
    }

    /// A socket took blocks.
    pub(super) fn sent_to(&mut self, now: Instant, conn: ConnId) {
        if !self.is_in_background(conn) {
            return;
        }
        let peer = self.swarm_of(conn).and_then(|id| self.swarms.get(&id)?.connections().get(&conn));
        if peer.is_some_and(|peer| peer.transport == Transport::Tcp) {
            self.yielding.sent.entry(conn).or_insert((now, None)).0 = now;
        }
    }

    /// A connection is gone.
    pub(super) fn nothing_under_way(&mut self, conn: ConnId) {
        self.yielding.sent.remove(&conn);
    }

    /// When the pace is next to be set; not before the system has answered.
    pub(super) fn pace_deadline(&self) -> Option<Instant> {
        self.limits.background.as_ref().filter(|_| !self.yielding.is_asking)?.deadline()
    }

    /// Sets the pace if it is time, or asks first for what it needs to know.
    pub(super) fn keep_pace(&mut self, now: Instant) {
        if self.pace_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.yielding.sent.retain(|_, (at, _)| now - *at < UNDER_WAY);
        if self.yielding.ask_ways_at <= now {
            self.yielding.ask_ways_at = now + ASK_EVERY;
            let swarms: BTreeSet<SwarmId> = self.yielding.sent.keys().filter_map(|conn| self.swarm_of(*conn)).collect();
            for id in swarms {
                self.route(now, id, swarm::Input::AskWays);
            }
        }
        if !self.yielding.sent.is_empty() {
            self.yielding.is_asking = true;
            self.out.push_back(Output::Trips(self.yielding.sent.keys().copied().collect()));
        } else if let Some(pace) = &mut self.limits.background {
            pace.step(now);
        }
    }

    /// The system has answered.
    pub(super) fn trips(&mut self, now: Instant, trips: &[(ConnId, Trip)]) {
        self.yielding.is_asking = false;
        let Some(pace) = &mut self.limits.background else { return };
        for (conn, trip) in trips {
            let Some((_, before)) = self.yielding.sent.get_mut(conn) else { continue };
            let before = before.replace(*trip);
            if let Some(trip_us) = before.map_or(Some(trip.trip_us), |before| trip.since(&before)) {
                pace.told(now, Source::Trip(*conn), trip_us, trip.trip_us);
            }
            if before.is_some_and(|before| before.repeated < trip.repeated) {
                pace.lost(now);
            }
        }
        pace.step(now);
    }

    /// uTP has measured.
    pub(super) fn ways(&mut self, now: Instant, ways: &Ways) {
        let Some(pace) = &mut self.limits.background else { return };
        for (stream, delay_us) in &ways.delays {
            pace.told(now, Source::Way(*stream), *delay_us, *delay_us);
        }
        if ways.is_lossy {
            pace.lost(now);
        }
    }
}
