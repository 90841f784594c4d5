//! Decides when one swarm's client asks which tracker, and with which event.
//!
//! Trackers stand in tiers. Each announce walks them in order and ends at the first that answers; that one moves to the
//! front of its tier, and a lower tier is reached only when every tracker above has failed, waits out its back-off or
//! is slow. A slow one is not given up, but the next is asked beside it: nobody may wait half a minute for peers
//! because something on the way swallows datagrams.
//!
//! A host that has a tracker over UDP and one over HTTP in the same tier is asked over UDP first: in a rush that costs
//! it a fraction. Whoever is entered over both is one peer to it.
//!
//! Each tracker hears `started` until it has acknowledged it, `completed` once, and `stopped` only if it would
//! otherwise keep us in its list. Who leaves with `completed` untold says that first; `stopped` waits for the answer,
//! so that they are not heard in the wrong order, but not for long.
//!
//! Knows nothing of sockets, byte counts or wire formats: whoever carries out an [`AnnouncerOutput::Announce`] fills
//! those in and hands the outcome back, exactly once.
//! Law: at most one announce is under way at a tracker and four in all, besides the `stopped` ones, and none
//! to a tracker sooner than it allows, but for the last words.
//! Sources: BEP 3, BEP 12 (tiers), BEP 31 (retry).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use super::announce::{AnnounceEvent, AnnounceFailure, AnnounceResponse};
use super::udp::is_udp;
use crate::effects::Effects;
use crate::rng::Rng;
use crate::room::give_room_back;
use crate::time::Instant;

/// The tracker client of one swarm.
#[derive(Debug)]
pub struct Announcer {
    /// In the order of a walk: tier by tier, each tier's last winner first.
    trackers: Vec<Tracker>,
    phase: Phase,
    /// Counts the calls to `Start`, so that answers to an earlier run are known.
    run: u64,
    /// Whether the download became whole in this run.
    completed: bool,
    /// Whether the announces under way tell a port that is no longer ours.
    moved: bool,
    needs_peers: bool,
    /// Announces made ahead of the interval since peers were last wanting; each doubles the wait for the next.
    hurries: u32,
    /// The tracker that answered last.
    active: Option<TrackerId>,
    /// The announces of the walk under way: more than one if the first are slow.
    walking: Vec<AnnounceId>,
    /// When the walk goes on beside those that are under way.
    overtake_at: Option<Instant>,
    next_walk: Option<Instant>,
    /// No run begins with an announce before.
    rests_until: Instant,
    /// All announces not yet answered. At most one per tracker and stop.
    in_flight: BTreeMap<AnnounceId, InFlight>,
    ids_used: u64,
    trackers_known: u64,
    rng: Rng,
    outbox: Effects<AnnouncerOutput>,
}

/// What an [`Announcer`] is told.
#[derive(Clone, Debug)]
pub enum AnnouncerInput {
    /// An announce came to its end; ids that are not awaited are ignored.
    Answered {
        /// Which announce.
        id: AnnounceId,
        /// What came of it.
        result: Result<AnnounceResponse, AnnounceFailure>,
    },
    /// The download has just become whole.
    Completed,
    /// Whether the swarm lacks peers and would rather ask early.
    NeedPeers(bool),
    /// Peers reach us at another port, which a tracker that knows us should hear soon.
    Moved,
    /// Other tiers, best first; trackers that are in both keep their state.
    Replace(Vec<Vec<String>>),
    /// Whoever starts waits until then.
    Rest(Instant),
    /// Begin to announce. Without effect while running.
    Start,
    /// Leave the swarm. Without effect unless running.
    Stop,
    /// The deadline has come.
    Tick,
}

/// What an [`Announcer`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnnouncerOutput {
    /// Ask a tracker, and answer with [`AnnouncerInput::Answered`] whatever becomes of it.
    Announce {
        /// Names the announce in its answer.
        id: AnnounceId,
        /// The tracker's announce URL, as the metainfo has it.
        url: String,
        /// The event to send.
        event: Option<AnnounceEvent>,
        /// What the tracker asked to be sent back.
        tracker_id: Option<Vec<u8>>,
        /// How many peers to ask for.
        numwant: u32,
        /// Whether to ask for figures as well that the answer leaves out. BEP 48.
        scrape: bool,
    },
}

/// Names one announce of one [`Announcer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnounceId(u64);

impl AnnounceId {
    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// How one tracker stands, for the owner's eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackerStatus {
    /// The announce URL.
    pub url: String,
    /// Counted from 0; lower tiers are asked first.
    pub tier: usize,
    /// Why the last announce failed; `None` if it worked or none was made.
    pub last_error: Option<String>,
    /// What the tracker warned of with its last answer.
    pub warning: Option<String>,
    /// Until this tracker is next asked, as far as is known. Serialised in seconds.
    #[serde(rename = "next_in_s", serialize_with = "as_seconds")]
    pub next_in: Option<Duration>,
    /// Seeds, by its last answer.
    pub complete: Option<u32>,
    /// Leechers, by its last answer.
    pub incomplete: Option<u32>,
    /// Downloads that became whole, ever, by the last answer that told.
    pub downloaded: Option<u32>,
}

impl Announcer {
    /// A client that is not yet started, for the trackers of `tiers`, best tier first.
    ///
    /// The trackers of a tier are put in random order, as BEP 12 asks. Empty, overlong and repeated URLs are dropped,
    /// and all beyond the first [`MAX_TRACKERS`].
    pub fn new(tiers: &[Vec<String>], rng: Rng) -> Self {
        let mut announcer = Self {
            trackers: Vec::new(),
            phase: Phase::Stopped,
            run: 0,
            completed: false,
            moved: false,
            needs_peers: false,
            hurries: 0,
            active: None,
            walking: Vec::new(),
            overtake_at: None,
            next_walk: None,
            rests_until: Instant::ZERO,
            in_flight: BTreeMap::new(),
            ids_used: 0,
            trackers_known: 0,
            rng,
            outbox: Effects::default(),
        };
        announcer.replace(tiers);
        announcer
    }

    /// The same with announces that are numbered from here on.
    #[must_use]
    pub fn numbered_from(self, ids_used: u64) -> Self {
        Self { ids_used, ..self }
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Announcer::poll`].
    pub fn handle(&mut self, now: Instant, input: AnnouncerInput) {
        debug_assert!(self.outbox.is_empty(), "effects of the last input were not drained");
        match input {
            AnnouncerInput::Answered { id, result } => self.answered(now, id, result),
            AnnouncerInput::Completed => self.complete(now),
            AnnouncerInput::NeedPeers(needed) => self.need_peers(needed),
            AnnouncerInput::Replace(tiers) => {
                self.replace(&tiers);
                if self.active.is_none_or(|active| self.find(active).is_none()) {
                    self.next_walk = Some(now);
                }
            }
            AnnouncerInput::Moved => {
                self.moved = !self.in_flight.is_empty();
                self.announce_soon(now);
            }
            AnnouncerInput::Rest(until) => self.rests_until = until,
            AnnouncerInput::Start => self.start(now),
            AnnouncerInput::Stop => self.stop(now),
            AnnouncerInput::Tick => {}
        }
        match self.phase {
            Phase::Running => self.walk(now),
            Phase::Stopped => self.let_go(now),
        }
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<AnnouncerOutput> {
        let first = self.outbox.take();
        if first.is_none() {
            // It is quiet for half an hour now, as thousands like it are.
            self.outbox.give_room_back();
            give_room_back(&mut self.in_flight);
        }
        first
    }

    /// When `handle(now, Tick)` is next needed; `None` while only an answer is awaited or nothing is to be done.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Stopped => self.trackers.iter().filter_map(|tracker| tracker.leave_at).min(),
            Phase::Running if self.walking.is_empty() => self.next_walk,
            Phase::Running => self.overtake_at,
        }
    }

    /// Whether no announce is under way and none will follow until it is started again.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Stopped && self.in_flight.is_empty()
    }

    /// How each tracker stands at `now`, in the order in which they are asked.
    pub fn status(&self, now: Instant) -> Vec<TrackerStatus> {
        let next_in = |tracker: &Tracker| {
            let planned = if self.active == Some(tracker.id) && tracker.failures == 0 {
                self.next_walk.filter(|_| self.walking.is_empty())
            } else if tracker.failures > 0 && self.phase == Phase::Running {
                Some(tracker.not_before).filter(|&at| at < Instant::ZERO + Duration::MAX)
            } else {
                None
            };
            planned.map(|at| at - now)
        };
        self.trackers
            .iter()
            .map(|tracker| TrackerStatus {
                url: tracker.url.clone(),
                tier: tracker.tier,
                last_error: tracker.last_error.clone(),
                warning: tracker.warning.clone(),
                next_in: next_in(tracker),
                complete: tracker.complete,
                incomplete: tracker.incomplete,
                downloaded: tracker.downloaded,
            })
            .collect()
    }

    /// Whether no tracker tells how many take part: there is none, or those that were asked fail or do not say. While
    /// none was asked yet, one may.
    pub fn tells_nothing(&self) -> bool {
        let tells = |tracker: &Tracker| tracker.failures == 0 && tracker.complete.or(tracker.incomplete).is_some();
        let is_fresh = |tracker: &Tracker| tracker.failures == 0 && !tracker.knows_us;
        self.trackers.is_empty() || !self.trackers.iter().any(tells) && !self.trackers.iter().all(is_fresh)
    }

    fn start(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            return;
        }
        self.phase = Phase::Running;
        self.run += 1;
        self.completed = false;
        self.hurries = 0;
        self.active = None;
        self.next_walk = Some(self.rests_until.max(now));
        for tracker in &mut self.trackers {
            tracker.knows_us = false;
            tracker.told_completed = false;
            tracker.leave_at = None;
            // Whoever starts again asks at once, except those who asked to be left alone.
            if tracker.failures == 0 {
                tracker.not_before = Instant::ZERO;
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.phase = Phase::Stopped;
        self.next_walk = None;
        self.end_walk();
        for index in 0..self.trackers.len() {
            if std::mem::take(&mut self.trackers[index].knows_us) {
                self.leave(now, index);
            }
        }
    }

    /// Tells a tracker that lists us that we go; and first that the download is whole, if it has not heard that.
    fn leave(&mut self, now: Instant, index: usize) {
        let tracker = &self.trackers[index];
        if !self.completed || tracker.told_completed {
            self.announce(index, Some(AnnounceEvent::Stopped));
            return;
        }
        let is_said = |asked: &InFlight| {
            asked.tracker == tracker.id && asked.run == self.run && asked.event == Some(AnnounceEvent::Completed)
        };
        if !self.in_flight.values().any(is_said) {
            self.announce(index, Some(AnnounceEvent::Completed));
        }
        self.trackers[index].leave_at = Some(now + LAST_WORD);
    }

    /// Waits no longer for trackers that are slow to hear of the completion.
    fn let_go(&mut self, now: Instant) {
        for index in 0..self.trackers.len() {
            if self.trackers[index].leave_at.take_if(|at| *at <= now).is_some() {
                self.announce(index, Some(AnnounceEvent::Stopped));
            }
        }
    }

    fn complete(&mut self, now: Instant) {
        if self.phase == Phase::Stopped || self.completed {
            return;
        }
        self.completed = true;
        // One that is under way is followed by it, see `answered`.
        self.announce_soon(now);
    }

    /// What is news to the tracker need not wait for the interval.
    fn announce_soon(&mut self, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        let Some(active) = self.active.and_then(|id| self.find(id)).filter(|&index| self.trackers[index].failures == 0)
        else {
            return;
        };
        let tracker = &mut self.trackers[active];
        let at = now.max(tracker.answered_at + SHORTEST_WAIT);
        tracker.not_before = at;
        self.next_walk = Some(at);
    }

    fn need_peers(&mut self, needed: bool) {
        if self.needs_peers == needed {
            return;
        }
        self.needs_peers = needed;
        self.hurries = 0;
        let active = self.active.and_then(|id| self.find(id)).map(|index| &self.trackers[index]);
        if let (true, Some(tracker), Some(planned)) = (needed, active, self.next_walk)
            && tracker.failures == 0
        {
            self.next_walk = Some(planned.min((tracker.answered_at + HURRY).max(tracker.not_before)));
        }
    }

    fn replace(&mut self, tiers: &[Vec<String>]) {
        for index in 0..self.trackers.len() {
            let tracker = &self.trackers[index];
            if tracker.knows_us && !tiers.iter().flatten().any(|url| *url == tracker.url) {
                self.announce(index, Some(AnnounceEvent::Stopped));
            }
        }
        let mut old: BTreeMap<String, Tracker> =
            self.trackers.drain(..).map(|tracker| (tracker.url.clone(), tracker)).collect();
        let mut seen = BTreeSet::new();
        for (tier, urls) in tiers.iter().enumerate() {
            let mut urls: Vec<&String> = urls
                .iter()
                .filter(|url| (1..=MAX_URL_BYTES).contains(&url.len()) && seen.insert(url.as_str()))
                .take(MAX_TRACKERS - self.trackers.len())
                .collect();
            self.rng.shuffle(&mut urls);
            prefer_udp(&mut urls);
            for url in urls {
                self.trackers_known += 1;
                let fresh = || Tracker::new(TrackerId(self.trackers_known), url.clone());
                let tracker = old.remove(url).unwrap_or_else(fresh);
                self.trackers.push(Tracker { tier, ..tracker });
            }
        }
        self.trackers.shrink_to_fit();
        let Self { walking, in_flight, trackers, .. } = self;
        walking.retain(|id| {
            in_flight.get(id).is_some_and(|asked| trackers.iter().any(|tracker| tracker.id == asked.tracker))
        });
    }

    /// Asks the first tracker that may be asked, once the time has come and those that were asked are slow.
    fn walk(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        let may_be_asked = |tracker: &Tracker| {
            let is_asked = |asked: &InFlight| asked.tracker == tracker.id && asked.run == self.run;
            tracker.not_before <= now && !self.in_flight.values().any(is_asked)
        };
        let Some(index) = self.trackers.iter().position(may_be_asked) else {
            self.overtake_at = None;
            if self.walking.is_empty() {
                self.next_walk = self.trackers.iter().map(|tracker| tracker.not_before).filter(|&at| at > now).min();
            }
            return;
        };
        let tracker = &self.trackers[index];
        let event = if !tracker.knows_us {
            Some(AnnounceEvent::Started)
        } else if self.completed && !tracker.told_completed {
            Some(AnnounceEvent::Completed)
        } else {
            None
        };
        // The first announces are those of a crowd; figures can wait.
        let scrape = event.is_none() && self.trackers[index].scrape_at <= now;
        if scrape {
            self.trackers[index].scrape_at = now + SCRAPE_EVERY;
        }
        let id = self.announce_with(index, event, scrape);
        self.walking.push(id);
        self.overtake_at = (self.walking.len() < MOST_AT_ONCE).then(|| now + SLOW);
    }

    /// Awaits nothing more. What answers later is noted, and changes no plans.
    fn end_walk(&mut self) {
        self.walking.clear();
        self.overtake_at = None;
    }

    fn answered(&mut self, now: Instant, id: AnnounceId, result: Result<AnnounceResponse, AnnounceFailure>) {
        let Some(asked) = self.in_flight.remove(&id) else { return };
        let Some(index) = self.find(asked.tracker) else { return };
        let Some(position) = self.walking.iter().position(|walking| *walking == id) else {
            return self.answered_late(now, index, &asked, result);
        };
        self.walking.remove(position);
        match result {
            Ok(response) => self.succeeded(now, index, asked.event, response),
            Err(failure) => {
                self.note_failure(now, index, failure);
                // The walk goes on at once with the next tracker that may be asked.
                self.next_walk = Some(now);
                self.overtake_at = Some(now);
            }
        }
    }

    /// Takes note of an answer that nobody waits for any more: another tracker was faster, or we have left.
    fn answered_late(
        &mut self,
        now: Instant,
        index: usize,
        asked: &InFlight,
        result: Result<AnnounceResponse, AnnounceFailure>,
    ) {
        if asked.run != self.run || asked.event == Some(AnnounceEvent::Stopped) {
            return;
        }
        match (self.phase, result) {
            // If it has entered us after all, it must let us go again.
            (Phase::Stopped, Ok(_)) if asked.event == Some(AnnounceEvent::Started) => self.leave(now, index),
            (Phase::Stopped, _) if asked.event == Some(AnnounceEvent::Completed) => {
                if self.trackers[index].leave_at.take().is_some() {
                    self.announce(index, Some(AnnounceEvent::Stopped));
                }
            }
            (Phase::Stopped, _) => {}
            (Phase::Running, Ok(answer)) => {
                self.note_answer(now, index, asked.event, answer);
            }
            (Phase::Running, Err(failure)) => self.note_failure(now, index, failure),
        }
        // Where there was nobody else to plan for, it is up to this one.
        if self.phase == Phase::Running {
            self.next_walk.get_or_insert(now);
        }
    }

    fn succeeded(&mut self, now: Instant, index: usize, event: Option<AnnounceEvent>, answer: AnnounceResponse) {
        self.end_walk();
        let (shortest, interval) = self.note_answer(now, index, event, answer);
        let tracker = &mut self.trackers[index];
        let has_news = std::mem::take(&mut self.moved) || (self.completed && !tracker.told_completed);
        let wait = if has_news {
            SHORTEST_WAIT
        } else if self.needs_peers {
            let hurry = HURRY.saturating_mul(1 << self.hurries.min(16));
            self.hurries += 1;
            self.rng.jitter(interval.min(hurry), JITTER_PERCENT).max(shortest)
        } else {
            self.rng.jitter(interval, JITTER_PERCENT).max(shortest)
        };
        tracker.not_before = now + shortest.min(wait);
        self.next_walk = Some(now + wait);
        self.active = Some(tracker.id);
        self.bring_to_front(index);
    }

    /// Notes what a tracker said. Returns the shortest time to the next announce, and the regular one.
    fn note_answer(
        &mut self,
        now: Instant,
        index: usize,
        event: Option<AnnounceEvent>,
        answer: AnnounceResponse,
    ) -> (Duration, Duration) {
        let shortest = answer.min_interval.unwrap_or_default().clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let tracker = &mut self.trackers[index];
        tracker.knows_us = true;
        tracker.told_completed |= event == Some(AnnounceEvent::Completed);
        tracker.failures = 0;
        tracker.last_error = None;
        tracker.warning = answer.warning;
        // What an answer leaves out is as it was when the tracker was last asked for it.
        tracker.complete = answer.complete.or(tracker.complete);
        tracker.incomplete = answer.incomplete.or(tracker.incomplete);
        tracker.downloaded = answer.downloaded.or(tracker.downloaded);
        // A tracker that leaves the id out still means the one it gave before.
        tracker.echo = answer.tracker_id.or(tracker.echo.take());
        tracker.answered_at = now;
        tracker.not_before = now + shortest;
        (shortest, answer.interval.clamp(shortest, LONGEST_WAIT))
    }

    fn note_failure(&mut self, now: Instant, index: usize, failure: AnnounceFailure) {
        let tracker = &mut self.trackers[index];
        let doubled = FIRST_BACK_OFF.saturating_mul(1 << tracker.failures.min(16));
        let wait = self.rng.jitter(doubled.min(LONGEST_BACK_OFF), JITTER_PERCENT).max(FIRST_BACK_OFF);
        tracker.failures += 1;
        tracker.not_before = now + failure.retry_in.unwrap_or_default().max(wait);
        tracker.last_error = Some(failure.reason);
    }

    /// Makes the tracker at `index` the first of its tier; the others keep their order. BEP 12.
    fn bring_to_front(&mut self, index: usize) {
        let tier = self.trackers[index].tier;
        let first = self.trackers.partition_point(|tracker| tracker.tier < tier);
        self.trackers[first..=index].rotate_right(1);
    }

    fn announce(&mut self, index: usize, event: Option<AnnounceEvent>) -> AnnounceId {
        self.announce_with(index, event, false)
    }

    fn announce_with(&mut self, index: usize, event: Option<AnnounceEvent>, scrape: bool) -> AnnounceId {
        self.ids_used += 1;
        let id = AnnounceId(self.ids_used);
        let tracker = &self.trackers[index];
        self.in_flight.insert(id, InFlight { tracker: tracker.id, event, run: self.run });
        let output = tracker.announce(id, event, self.needs_peers, scrape);
        self.outbox.push_back(output);
        id
    }

    fn find(&self, id: TrackerId) -> Option<usize> {
        self.trackers.iter().position(|tracker| tracker.id == id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopped,
}

/// Stays with a tracker when it moves within its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TrackerId(u64);

#[derive(Debug)]
struct InFlight {
    tracker: TrackerId,
    event: Option<AnnounceEvent>,
    run: u64,
}

#[derive(Debug)]
struct Tracker {
    id: TrackerId,
    url: String,
    tier: usize,
    /// Whether `started` was acknowledged in this run.
    knows_us: bool,
    told_completed: bool,
    /// When it hears `stopped` though it has not answered `completed`.
    leave_at: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// No regular announce before this: the minimum interval, or the end of a back-off.
    not_before: Instant,
    answered_at: Instant,
    /// The tracker id to send back.
    echo: Option<Vec<u8>>,
    last_error: Option<String>,
    warning: Option<String>,
    complete: Option<u32>,
    incomplete: Option<u32>,
    downloaded: Option<u32>,
    /// When it may be asked for figures again.
    scrape_at: Instant,
}

impl Tracker {
    fn new(id: TrackerId, url: String) -> Self {
        Self {
            id,
            url,
            tier: 0,
            knows_us: false,
            told_completed: false,
            leave_at: None,
            failures: 0,
            not_before: Instant::ZERO,
            answered_at: Instant::ZERO,
            echo: None,
            last_error: None,
            warning: None,
            complete: None,
            incomplete: None,
            downloaded: None,
            scrape_at: Instant::ZERO,
        }
    }

    fn announce(
        &self,
        id: AnnounceId,
        event: Option<AnnounceEvent>,
        needs_peers: bool,
        scrape: bool,
    ) -> AnnouncerOutput {
        let numwant = match event {
            Some(AnnounceEvent::Stopped) => 0,
            _ if needs_peers => NUMWANT_IN_NEED,
            _ => NUMWANT,
        };
        AnnouncerOutput::Announce { id, url: self.url.clone(), event, tracker_id: self.echo.clone(), numwant, scrape }
    }
}

/// Puts a host's tracker over UDP in the place of its tracker over HTTP where that comes first, and the other way
/// round.
fn prefer_udp(urls: &mut [&String]) {
    let host_of = |url: &str| Some(Url::parse(url).ok()?.host_str()?.to_ascii_lowercase());
    let mut hosts: Vec<(bool, Option<String>)> = urls.iter().map(|url| (is_udp(url), host_of(url))).collect();
    for first in 0..urls.len() {
        let is_better = |other: &usize| !hosts[first].0 && hosts[*other].0 && hosts[*other].1 == hosts[first].1;
        if let Some(other) = (first + 1..urls.len()).find(is_better) {
            urls.swap(first, other);
            hosts.swap(first, other);
        }
    }
}

#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
fn as_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(serializer)
}

/// Trackers kept of one torrent; a hostile metainfo may name millions.
pub const MAX_TRACKERS: usize = 64;

/// Announces of one swarm under way at once, besides the `stopped` ones.
const MOST_AT_ONCE: usize = 4;

/// A tracker that has not answered by then is slow. Two lost datagrams in a row take less.
const SLOW: Duration = Duration::from_secs(2);

/// How often a tracker is asked for figures that its answers leave out.
const SCRAPE_EVERY: Duration = Duration::from_mins(30);

/// Longer announce URLs are dropped.
const MAX_URL_BYTES: usize = 2048;

/// Peers asked for. A seed asks as well: it may be the only side that can dial.
const NUMWANT: u32 = 50;
const NUMWANT_IN_NEED: u32 = 100;

/// No two announces follow one another faster, whatever the tracker says.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// A tracker that asks for more than two hours has most likely lost its mind, and would lose us.
const LONGEST_WAIT: Duration = Duration::from_hours(2);
/// How long `stopped` waits for the answer to `completed`: half of the time that a program has for its end.
const LAST_WORD: Duration = Duration::from_millis(1500);
/// The first wait of a swarm that lacks peers; it doubles with each announce.
const HURRY: Duration = Duration::from_secs(5);

const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
const LONGEST_BACK_OFF: Duration = Duration::from_mins(30);

/// Keeps a crowd that was turned away together from coming back together.
const JITTER_PERCENT: u32 = 10;
#[cfg(test)]
mod tests;
