//! What only time brings about: dialling, choking rounds, silence, trackers, and a disk that works again.

use std::time::Duration;

use super::io::{CloseReason, DialWay, DiskFault, Event, Output};
use super::peers::PeerSource;
use super::{Buckets, Conduct, Discovery, Limits, Phase, Swarm, TICK};
use crate::dht::Part;
use crate::dht::message::Family;
use crate::dht::scrape::Filters;
use crate::layout::BLOCK_LENGTH;
use crate::peer::{ConnId, Direction, Encryption, Message, PeerConnection};
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

/// A peer that reads nothing of what it asked for is left after so long.
const STUCK: Duration = Duration::from_mins(1);
/// After so long both sides of a connection know who the other is.
const ACQUAINTED: Duration = Duration::from_secs(3);

/// What a disk does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    Reads,
    Writes,
}

/// The disk does not do what is asked.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// What it said.
    pub(super) what: String,
    /// Whether nothing can be read: then nobody is served.
    pub(super) reads: bool,
    /// Whether nothing can be written.
    writes: bool,
    /// When it is tried again; `None` while it is being tried.
    retry_at: Option<Instant>,
    /// No time will change it.
    pub(super) is_final: bool,
}

impl Fault {
    const fn new(retry_at: Option<Instant>) -> Self {
        Self { what: String::new(), reads: false, writes: false, retry_at, is_final: false }
    }
}

impl Swarm {
    pub(super) fn tick(&mut self, now: Instant, limits: &mut Limits) {
        if self.limited_until.is_some_and(|until| until <= now) {
            self.limited_until = None;
        }
        if self.gathering.until.is_some_and(|until| until <= now) {
            self.store_gathered();
        }
        self.tell_announcer(now, AnnouncerInput::Tick);
        self.tell_if_due(now);
        self.look_after_readers(now);
        if self.tick_at.is_none_or(|at| at > now) {
            return;
        }
        self.retry_disk(now);
        self.look_after_connections(now);
        self.restrain(now);
        self.tell_of_peers(now);
        self.chase_hashes(now);
        if self.choker.next_round() <= now && !self.conns.is_empty() {
            self.choke_round(now);
        }
        self.tick_web_seeds(now, limits);
        if self.phase == Phase::Seeding {
            // Only a round takes slots away.
            self.seed_slots = self.seed_slots.max(self.wanted_seed_slots(now));
            self.fill_free_slots(now);
        }
        self.dial(now, limits);
        self.want_peers(now);
        self.schedule(now);
    }

    /// A swarm with peers, or with web seeds that it may need, looks after them every second; one without waits for the
    /// next dial or disk retry.
    fn schedule(&mut self, now: Instant) {
        let busy = !self.conns.is_empty() || self.peers.dialling() > 0 || self.minds_web_seeds();
        let next_try = (!self.paused).then(|| self.peers.next_try(self.wants_seeds())).flatten();
        let idle = earliest(next_try, self.fault.as_ref().and_then(|fault| fault.retry_at));
        self.tick_at = if busy { Some(now + TICK) } else { idle.map(|at| at.max(now + TICK)) };
    }

    fn look_after_connections(&mut self, now: Instant) {
        self.drop_stranded();
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            let Some(peer) = self.conns.get_mut(&conn) else { continue };
            let reason = if peer.silence(now) >= SILENCE {
                Some(CloseReason::Silent)
            } else if peer.uploads.stuck(now) >= STUCK {
                Some(CloseReason::Stuck)
            } else if self.phase == Phase::Seeding && peer.wants_nothing() && now - peer.since >= ACQUAINTED {
                // The place is for somebody who needs it.
                Some(CloseReason::Redundant)
            } else {
                None
            };
            if let Some(reason) = reason {
                self.close(now, conn, reason);
                continue;
            }
            let forgiven = peer.forgive(now);
            self.drop_dead_promises(now, conn);
            self.look_after_shown(now, conn);
            let Some(peer) = self.conns.get_mut(&conn) else { continue };
            if peer.pipeline.waiting(now) >= SNUB_AFTER {
                let given_up = peer.pipeline.snub(now);
                self.asked -= given_up.len();
                for block in given_up {
                    self.picker.unask(block);
                }
                self.picker.disown(conn);
                self.may_be_hungry(conn);
            }
            if forgiven {
                self.unstarve(conn);
            }
            if self.conns.get(&conn).is_some_and(|peer| peer.needs_keep_alive(now, KEEP_ALIVE)) {
                self.send(now, conn, Message::KeepAlive);
            }
        }
    }

    /// Gives up a piece that nobody can go on with, if it keeps others from being begun and somebody waits for that.
    fn drop_stranded(&mut self) {
        let waits = |peer: &PeerConnection| peer.am_interested && peer.may_request_any() && peer.pipeline.is_empty();
        if !self.picker.is_full() || !self.conns.values().any(waits) {
            return;
        }
        let can_give = |piece| self.conns.values().any(|peer| peer.pieces.has(piece) && peer.may_request(piece));
        if let Some(piece) = self.picker.stranded(can_give) {
            let dropped = self.picker.discard(piece).map_or(0, |partial| partial.received());
            self.wasted += dropped as u64 * u64::from(BLOCK_LENGTH);
        }
    }

    /// Only a leecher has use for seeds.
    fn wants_seeds(&self) -> bool {
        self.phase == Phase::Fetching
    }

    /// Dials as many known addresses as there is room for.
    pub(super) fn dial(&mut self, now: Instant, limits: &mut Limits) {
        if self.paused {
            return;
        }
        // Half of the places are left to peers that dial us, so that late comers find a way into the crowd.
        let most = self.config.max_connections;
        let dialled = self.conns.values().filter(|peer| peer.direction == Direction::Outgoing).count();
        let room = most.saturating_sub(self.conns.len()).min((most / 2).saturating_sub(dialled));
        let room = room.min(self.config.max_dials).saturating_sub(self.peers.dialling());
        let room = room.min(limits.dials.unwrap_or(usize::MAX));
        let punched = self.punch(now, room);
        let mut left = limits.dials.map(|dials| dials - punched);
        let (room, wants_seeds) = (room - punched, self.wants_seeds());
        // Whoever finds no room now tries again in a second.
        self.tick_at = earliest(self.tick_at, Some(now + TICK));
        let Self { peers, vantage, rng, .. } = self;
        for addr in peers.due(now, room, wants_seeds, |addr| vantage.priority(addr), rng) {
            if self.seeks_introduction(now, addr) {
                continue;
            }
            let conn = self.next_conn();
            self.peers.dial(addr, conn);
            left = left.map(|dials| dials - 1);
            let opening = self.peers.opening(addr, self.config.encryption);
            self.out.push_back(Output::Dial { swarm: self.id, conn, addr, opening, way: DialWay::Any });
        }
        limits.dials = left;
    }

    /// The number of a connection that we open.
    pub(super) fn next_conn(&mut self) -> ConnId {
        let conn = ConnId(u64::from(self.id.0) << 32 | self.next_conn);
        self.next_conn += 1;
        conn
    }

    /// The peer does not speak encryption: it is dialled without, unless the owner forbids that.
    pub(super) fn key_refused(&mut self, now: Instant, conn: ConnId, limits: &mut Limits) {
        self.punching.lost(conn);
        if self.config.encryption == Encryption::Require {
            return self.peers.dial_failed(now, conn);
        }
        self.peers.key_refused(now, conn);
        self.dial(now, limits);
    }

    /// Begins to look for peers in every way that is open.
    pub(super) fn start_finding(&mut self, now: Instant) {
        self.tell_announcer(now, AnnouncerInput::NeedPeers(self.phase == Phase::Fetching));
        if self.conduct.discovery.trackers {
            self.tell_announcer(now, AnnouncerInput::Start);
        }
        if !self.metainfo.info.private && (self.conduct.discovery.dht || self.conduct.discovery.lsd) {
            self.seek(self.our_part());
        }
    }

    /// Looks for peers no more, and says so where it was told that we take part, but where it still is.
    fn end_finding(&mut self, now: Instant, but: Discovery) {
        if !but.trackers {
            self.tell_announcer(now, AnnouncerInput::Stop);
        }
        self.part = None;
        self.counts.clear();
        let (swarm, info_hash) = (self.id, self.metainfo.info_hash);
        self.out.extend(info_hash.wires().map(|info_hash| Output::EndSeek { swarm, info_hash }));
    }

    /// The owner wants it treated in another way.
    pub(super) fn treat(&mut self, now: Instant, conduct: Conduct) {
        let before = std::mem::replace(&mut self.conduct, conduct);
        if before.limits != conduct.limits {
            self.own = Buckets::new(conduct.limits, now);
        }
        if before.discovery != conduct.discovery && !self.paused {
            self.end_finding(now, conduct.discovery);
            self.start_finding(now);
        }
    }

    /// How we take part, for those who seek by ways that need no tracker.
    fn our_part(&self) -> Part {
        let is_seed = self.phase == Phase::Seeding && self.picker.have().is_all();
        Part { is_seed, wants_count: !self.conduct.discovery.trackers || self.announcers.tell_nothing() }
    }

    fn seek(&mut self, part: Part) {
        self.part = Some(part);
        let (swarm, info_hash, by) = (self.id, self.metainfo.info_hash, self.conduct.discovery);
        self.out.extend(info_hash.wires().map(|info_hash| Output::Seek { swarm, info_hash, by, part }));
    }

    /// Tells those who seek if we take part in another way now.
    pub(super) fn review_part(&mut self) {
        let part = self.our_part();
        if self.part.is_some_and(|told| told != part) {
            self.seek(part);
        }
        if !part.wants_count {
            self.counts.clear();
        }
    }

    pub(super) fn counted(&mut self, now: Instant, info_hash: [u8; 20], family: Family, filters: Filters) {
        // A tracker may have told in the meantime.
        if self.part.is_some_and(|part| part.wants_count) {
            self.counts.tell(now, family, info_hash, filters);
        }
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
        limits: &mut Limits,
    ) {
        let peers = result.as_ref().map(|response| response.peers.clone()).unwrap_or_default();
        if let Some(ours) = result.as_ref().ok().and_then(|response| response.external_ip) {
            self.vantage.told_by_tracker(ours);
        }
        if self.announcers.is_second(id) {
            for addr in &peers {
                self.peers.add_v2(now, *addr, PeerSource::Tracker);
            }
        }
        self.tell_announcer(now, AnnouncerInput::Answered { id, result });
        self.review_part();
        self.add_peers(now, peers, PeerSource::Tracker, limits);
    }

    /// One input to the announcers, and what they want done after it.
    pub(super) fn tell_announcer(&mut self, now: Instant, input: AnnouncerInput) {
        self.announcers.handle(now, input);
        let left = self.picker.absent_bytes();
        while let Some((info_hash, output)) = self.announcers.poll() {
            let AnnouncerOutput::Announce { id, url, event, tracker_id, numwant, scrape } = output;
            let request = AnnounceRequest {
                uploaded: self.up.total(),
                downloaded: self.down.total(),
                left,
                event,
                numwant: Some(i64::from(numwant)),
                ..AnnounceRequest::new(info_hash, self.peer_id.0, self.outer_port.unwrap_or(self.port))
            };
            self.out.push_back(Output::Announce { swarm: self.id, id, url, request, tracker_id, scrape });
        }
    }

    /// Peers reach us at another port from now on; those who know us are told, and the trackers soon.
    pub(super) fn reached_at(&mut self, now: Instant, port: Option<u16>) {
        if std::mem::replace(&mut self.outer_port, port) == port {
            return;
        }
        self.tell_announcer(now, AnnouncerInput::Moved);
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.introduce_extension(now, conn);
        }
    }

    /// The disk failed: nothing more is fetched until it works again, and nobody is served if it is reading that fails.
    pub(super) fn disk_failed(&mut self, now: Instant, error: &DiskFault, failing: Failing) {
        let retry_at = Some(now + RETRY_DISK);
        self.tick_at = earliest(self.tick_at, retry_at);
        if self.fault.is_none() {
            self.out.push_back(Output::Event(self.id, Event::Fault(error.to_string())));
        }
        let fault = self.fault.get_or_insert_with(|| Fault::new(retry_at));
        if fault.is_final {
            return;
        }
        fault.what = error.to_string();
        fault.retry_at = retry_at;
        match failing {
            Failing::Reads => fault.reads = true,
            Failing::Writes => fault.writes = true,
        }
        if failing == Failing::Reads {
            self.choke_all(now);
        }
    }

    /// Whether nothing more is fetched or served, ever.
    pub(super) fn has_given_up(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.is_final)
    }

    /// Nothing more is fetched or served, ever.
    pub(super) fn give_up(&mut self, now: Instant, what: String) {
        if self.has_given_up() {
            return;
        }
        self.out.push_back(Output::Event(self.id, Event::Fault(what.clone())));
        self.fault = Some(Fault { what, is_final: true, ..Fault::new(None) });
        self.pause(now);
    }

    /// Tries whether the disk works again: with one write if it is writes that fail, else by serving again.
    fn retry_disk(&mut self, now: Instant) {
        let Some(fault) = self.fault.as_mut().filter(|fault| fault.retry_at.is_some_and(|at| at <= now)) else {
            return;
        };
        fault.retry_at = None;
        let (reads, writes) = (fault.reads, fault.writes);
        if reads {
            self.disk_works(now, Failing::Reads);
        }
        match (writes, self.unstored.pop_first()) {
            (true, Some(piece)) => self.store(now, piece),
            (true, None) if self.phase == Phase::Placing => self.out.push_back(Output::Place { swarm: self.id }),
            (true, None) => self.disk_works(now, Failing::Writes),
            (false, _) => {}
        }
    }

    /// The disk did what it had failed to do.
    pub(super) fn disk_works(&mut self, now: Instant, working: Failing) {
        let Some(fault) = self.fault.as_mut().filter(|fault| !fault.is_final) else { return };
        match working {
            Failing::Reads => fault.reads = false,
            Failing::Writes => fault.writes = false,
        }
        if !fault.reads && !fault.writes {
            self.fault = None;
            self.out.push_back(Output::Event(self.id, Event::Recovered));
        }
        match working {
            Failing::Reads => self.fill_free_slots(now),
            Failing::Writes => std::mem::take(&mut self.unstored).into_iter().for_each(|piece| self.store(now, piece)),
        }
    }

    pub(super) fn pause(&mut self, now: Instant) {
        if std::mem::replace(&mut self.paused, true) {
            return;
        }
        self.leave(now);
    }

    pub(super) fn unpause(&mut self, now: Instant) {
        if self.has_given_up() {
            return;
        }
        if !std::mem::replace(&mut self.paused, false) {
            return;
        }
        self.peers.retry_all(now);
        // The owner may have made room.
        if let Some(retry_at) = self.fault.as_mut().and_then(|fault| fault.retry_at.as_mut()) {
            *retry_at = now;
            self.retry_disk(now);
        }
        self.start_finding(now);
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
        self.rest_web_seeds(now);
        self.end_finding(now, Discovery::NONE);
    }
}
