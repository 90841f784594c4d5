//! What only time brings about: dialling, choking rounds, silence, trackers, and a disk that works again.

use std::time::Duration;

use super::io::{CloseReason, DiskFault, Event, Output};
use super::peers::PeerSource;
use super::{Phase, Swarm, TICK};
use crate::peer::{ConnId, Direction, Message};
use crate::time::{Instant, earliest};
use crate::tracker::{AnnounceFailure, AnnounceId, AnnounceRequest, AnnounceResponse, AnnouncerInput, AnnouncerOutput};

/// A peer that lets us wait so long for a block is asked for one at a time, and others for the rest.
const SNUB_AFTER: Duration = Duration::from_secs(20);
/// BEP 3 closes connections after two minutes of silence; half a minute is for the way.
const SILENCE: Duration = Duration::from_secs(150);
/// How often something is said.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// After a disk fault it is tried again so much later.
const RETRY_DISK: Duration = Duration::from_secs(10);
/// Below so many connections a leecher asks its tracker early.
const FEW_PEERS: usize = 8;

/// The disk does not do what is asked.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// What it said.
    pub(super) what: String,
    retry_at: Instant,
}

impl Swarm {
    pub(super) fn tick(&mut self, now: Instant) {
        if self.limited_until.is_some_and(|until| until <= now) {
            self.limited_until = None;
        }
        self.tell_announcer(now, AnnouncerInput::Tick);
        if self.tick_at.is_none_or(|at| at > now) {
            return;
        }
        self.retry_disk(now);
        self.look_after_connections(now);
        if self.choker.next_round() <= now && !self.conns.is_empty() {
            self.choke_round(now);
        }
        self.dial(now);
        self.want_peers(now);
        self.schedule(now);
    }

    /// A swarm with peers looks after them every second; one without waits for the next dial or disk retry.
    fn schedule(&mut self, now: Instant) {
        let busy = !self.conns.is_empty() || self.peers.dialling() > 0;
        let next_try = (!self.paused).then(|| self.peers.next_try(self.wants_seeds())).flatten();
        let idle = earliest(next_try, self.fault.as_ref().map(|fault| fault.retry_at));
        self.tick_at = if busy { Some(now + TICK) } else { idle.map(|at| at.max(now + TICK)) };
    }

    fn look_after_connections(&mut self, now: Instant) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            let Some(peer) = self.conns.get_mut(&conn) else { continue };
            if peer.silence(now) >= SILENCE {
                self.close(now, conn, CloseReason::Silent);
                continue;
            }
            if peer.pipeline.waiting(now) >= SNUB_AFTER {
                for block in peer.pipeline.snub(now) {
                    self.picker.unask(block);
                }
                self.picker.disown(conn);
            }
            if self.conns.get(&conn).is_some_and(|peer| peer.needs_keep_alive(now, KEEP_ALIVE)) {
                self.send(now, conn, Message::KeepAlive);
            }
        }
    }

    /// Only a leecher has use for seeds.
    fn wants_seeds(&self) -> bool {
        self.phase == Phase::Fetching
    }

    /// Dials as many known addresses as there is room for.
    pub(super) fn dial(&mut self, now: Instant) {
        if self.paused {
            return;
        }
        // Half of the places are left to peers that dial us, so that late comers find a way into the crowd.
        let most = self.config.max_connections;
        let dialled = self.conns.values().filter(|peer| peer.direction == Direction::Outgoing).count();
        let room = most.saturating_sub(self.conns.len()).min((most / 2).saturating_sub(dialled));
        let room = room.min(self.config.max_dials).saturating_sub(self.peers.dialling());
        if room == 0 {
            return;
        }
        for addr in self.peers.due(now, room, self.wants_seeds(), &mut self.rng) {
            let conn = ConnId(u64::from(self.id.0) << 32 | self.next_conn);
            self.next_conn += 1;
            self.peers.dial(addr, conn);
            self.out.push_back(Output::Dial { swarm: self.id, conn, addr });
        }
        self.tick_at = earliest(self.tick_at, Some(now + TICK));
    }

    pub(super) fn start_announcing(&mut self, now: Instant) {
        self.tell_announcer(now, AnnouncerInput::NeedPeers(self.phase == Phase::Fetching));
        self.tell_announcer(now, AnnouncerInput::Start);
    }

    fn want_peers(&mut self, now: Instant) {
        let wants = self.is_fetching() && self.conns.len() + self.peers.dialling() < FEW_PEERS;
        self.tell_announcer(now, AnnouncerInput::NeedPeers(wants));
    }

    pub(super) fn announced(
        &mut self,
        now: Instant,
        id: AnnounceId,
        result: Result<AnnounceResponse, AnnounceFailure>,
    ) {
        let peers = result.as_ref().map(|response| response.peers.clone()).unwrap_or_default();
        self.tell_announcer(now, AnnouncerInput::Answered { id, result });
        self.add_peers(now, peers, PeerSource::Tracker);
    }

    /// One input to the announcer, and what it wants done after it.
    pub(super) fn tell_announcer(&mut self, now: Instant, input: AnnouncerInput) {
        let Some(announcer) = &mut self.announcer else { return };
        announcer.handle(now, input);
        let left = self.picker.missing_bytes();
        while let Some(AnnouncerOutput::Announce { id, url, event, tracker_id, numwant }) = announcer.poll() {
            let request = AnnounceRequest {
                uploaded: self.up.total(),
                downloaded: self.down.total(),
                left,
                event,
                numwant: Some(i64::from(numwant)),
                ..AnnounceRequest::new(self.info_hash, self.peer_id.0, self.port)
            };
            self.out.push_back(Output::Announce { swarm: self.id, id, url, request, tracker_id });
        }
    }

    /// The disk failed: nothing more is fetched until it was tried again.
    pub(super) fn disk_failed(&mut self, now: Instant, fault: &DiskFault) {
        if self.fault.is_none() {
            self.out.push_back(Output::Event(self.id, Event::Fault(fault.to_string())));
        }
        let retry_at = now + RETRY_DISK;
        self.fault = Some(Fault { what: fault.to_string(), retry_at });
        self.tick_at = earliest(self.tick_at, Some(retry_at));
    }

    fn retry_disk(&mut self, now: Instant) {
        if self.fault.as_ref().is_none_or(|fault| fault.retry_at > now) {
            return;
        }
        self.fault = None;
        self.out.push_back(Output::Event(self.id, Event::Recovered));
        if self.phase == Phase::Placing {
            self.out.push_back(Output::Place { swarm: self.id });
        }
    }

    pub(super) fn pause(&mut self, now: Instant) {
        if std::mem::replace(&mut self.paused, true) {
            return;
        }
        self.leave(now);
    }

    pub(super) fn unpause(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.paused, false) {
            return;
        }
        self.start_announcing(now);
        self.tick_at = Some(now);
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.paused = true;
        self.leave(now);
        self.out.push_back(Output::Event(self.id, Event::Stopped));
    }

    /// Closes every connection and tells the trackers.
    fn leave(&mut self, now: Instant) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.close(now, conn, CloseReason::Stopped);
        }
        self.tell_announcer(now, AnnouncerInput::Stop);
    }
}
