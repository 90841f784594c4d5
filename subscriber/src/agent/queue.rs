//! Decides which downloads run: in what order, how many at once, from which source, and whether the disk has room.
//!
//! A job is prepared (its `.torrent` fetched, its length known), then started if what it needs leaves the disk's
//! reserve whole, then runs until it is done or its source fails. A source that fails gives way to the next; after the
//! last the job waits, longer each time and as long as a host asked for, and begins again with the first. A download on
//! which nothing comes in is left running, gives up its place to the next job, and says why.
//!
//! What the owner plays comes first, whatever else runs, then what he asked for, then the newest.
//!
//! Knows nothing of torrents and HTTP, and of files only their length: [`Order`]s go out, what came of them comes back.
//! What comes back for an attempt that is over is ignored.
//!
//! Laws: no more jobs move data at once than the owner allows. No job starts that does not fit the disk or what the
//! library may take; all stop when the reserve is touched, or when they have grown beyond that.

mod job;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use podswarm_core::app::Space;
use podswarm_core::rate::ByteCount;
use podswarm_core::rng::Rng;
use podswarm_core::time::{Instant, earliest};

pub use job::{Fault, Job, Phase, Progress, Rank};

use super::Limits;
use super::plan::Plan;
use crate::records::{EpisodeId, Source};

/// A download that has not moved for this long gives up its place.
const STALLED: Duration = Duration::from_mins(1);

/// A swarm without any peer gives way to the next source after this long.
const NO_PEERS: Duration = Duration::from_mins(2);

/// So many stalled downloads are left running for each one that may move.
const STALLED_PER_SLOT: usize = 8;

/// The first wait after every source of a job has failed.
const FIRST_RETRY: Duration = Duration::from_mins(1);

/// The longest wait after every source of a job has failed.
const MAX_RETRY: Duration = Duration::from_hours(6);

/// No host is left alone for longer, whatever it asks for.
const MAX_PATIENCE: Duration = Duration::from_hours(24);

/// The disk is measured this often while anything runs or waits for room.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Measure the disk, and answer with [`Queue::measured`].
    Measure,
    /// The library may not take the job: it would be so many bytes too much.
    MakeRoom {
        /// The job.
        id: EpisodeId,
        /// How many.
        bytes: u64,
    },
    /// Find out what the job's source holds, and answer with [`Queue::prepared`] or [`Queue::failed`].
    Prepare {
        /// The job.
        id: EpisodeId,
        /// Its present attempt.
        attempt: u64,
    },
    /// Download by the plan, and answer with [`Queue::progress`], [`Queue::failed`] or [`Queue::done`].
    Start {
        /// The job.
        id: EpisodeId,
        /// Its present attempt.
        attempt: u64,
    },
    /// Stop preparing or downloading; what there is stays on the disk.
    Stop {
        /// The job.
        id: EpisodeId,
    },
    /// Say what is in the way of the job: it waits for a reason that is new.
    Tell {
        /// The job.
        id: EpisodeId,
    },
}

/// The jobs and the disk they share.
#[derive(Debug)]
pub struct Queue {
    limit: usize,
    /// A download that has not moved for this long fails; `None` is never.
    patience: Option<Duration>,
    jobs: BTreeMap<EpisodeId, Job>,
    /// The same, in the order in which they go.
    line: BTreeSet<(Reverse<Rank>, EpisodeId)>,
    attempts: u64,
    disk: Option<Disk>,
    /// Why the disk could not be measured, and so is taken for a full one.
    unmeasured: Option<String>,
    limits: Limits,
    /// Bytes of all episodes that are there.
    kept: u64,
    is_measuring: bool,
    orders: VecDeque<Order>,
}

#[derive(Clone, Copy, Debug)]
struct Disk {
    measured: Instant,
    space: Space,
    /// Bytes that stay free.
    reserve: u64,
    /// Bytes that running downloads have yet to write.
    outstanding: u64,
}

impl Queue {
    /// An empty queue that lets `limit` downloads move data at once.
    ///
    /// With `patience`, a download that has not moved for so long counts as failed.
    pub fn new(limit: usize, patience: Option<Duration>, limits: Limits) -> Self {
        Self {
            limit: limit.max(1),
            patience,
            jobs: BTreeMap::new(),
            line: BTreeSet::new(),
            attempts: 0,
            disk: None,
            unmeasured: None,
            limits,
            kept: 0,
            is_measuring: false,
            orders: VecDeque::new(),
        }
    }

    /// The job of this episode.
    pub fn job(&self, id: EpisodeId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// There is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// All jobs, in the order in which they go.
    pub fn jobs(&self) -> Vec<(EpisodeId, &Job)> {
        self.line.iter().filter_map(|(_, id)| Some((*id, self.jobs.get(id)?))).collect()
    }

    /// Nothing runs and nothing can: what is left waits for its sources or for room.
    pub fn is_settled(&self) -> bool {
        let waits = |job: &Job| matches!(job.phase, Phase::NoRoom | Phase::Waiting { .. });
        self.jobs.values().all(|job| waits(job) || (job.phase == Phase::Queued && self.is_full()))
    }

    /// The reserve of the disk is touched, or the library takes more than it may.
    fn is_full(&self) -> bool {
        self.disk.is_some_and(|disk| disk.spare() == 0) || self.is_over_quota()
    }

    fn is_over_quota(&self) -> bool {
        let taken = self.kept.saturating_add(self.jobs.values().map(|job| job.on_disk).sum());
        self.limits.quota.is_some_and(|quota| taken > quota)
    }

    /// Why the disk could not be measured.
    pub fn unmeasured(&self) -> Option<&str> {
        self.unmeasured.as_deref()
    }

    /// Bytes that all episodes take that are there.
    pub fn count_kept(&mut self, bytes: u64) {
        self.kept = bytes;
    }

    /// Takes in an episode, or gives it new sources. Without a source there is no job. One whose sources are what they
    /// were goes on as it was, at its new place in line.
    pub fn add(&mut self, now: Instant, id: EpisodeId, rank: Rank, sources: Vec<Source>) {
        match self.jobs.get(&id) {
            Some(job) if job.sources == sources => self.rerank(id, rank),
            before => {
                let on_disk = before.map_or(0, |job| job.on_disk);
                self.remove(id);
                if !sources.is_empty() {
                    self.line.insert((Reverse(rank), id));
                    self.jobs.insert(id, Job { on_disk, ..Job::new(rank, sources) });
                }
            }
        }
        self.fill(now);
    }

    fn rerank(&mut self, id: EpisodeId, rank: Rank) {
        if let Some(job) = self.jobs.get_mut(&id) {
            self.line.remove(&(Reverse(job.rank), id));
            self.line.insert((Reverse(rank), id));
            job.rank = rank;
        }
    }

    fn take_out(&mut self, id: EpisodeId) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        self.line.remove(&(Reverse(job.rank), id));
        Some(job)
    }

    /// Takes an episode out; what runs is stopped. Tells whether it was there.
    pub fn remove(&mut self, id: EpisodeId) -> bool {
        let Some(job) = self.take_out(id) else { return false };
        if job.is_active() {
            self.orders.push_back(Order::Stop { id });
        }
        true
    }

    /// Lets a job that waits try again at once.
    pub fn hurry(&mut self, now: Instant, id: EpisodeId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && matches!(job.phase, Phase::Waiting { .. })
        {
            job.phase = Phase::Queued;
            job.rewind();
            self.fill(now);
        }
    }

    /// The owner plays this episode: its job runs now, beside as many others as may.
    pub fn play(&mut self, now: Instant, id: EpisodeId) {
        if let Some(rank) = self.jobs.get(&id).map(|job| job.rank) {
            self.rerank(id, Rank { is_played: true, ..rank });
            self.fill(now);
        }
    }

    /// The attempt is prepared: this is what it is to download.
    pub fn prepared(&mut self, now: Instant, id: EpisodeId, attempt: u64, plan: Plan, rng: &mut Rng) {
        let Some(job) = self.current(id, attempt).filter(|job| job.phase == Phase::Preparing) else { return };
        let length = plan.length;
        job.is_folder |= plan.is_folder;
        job.on_disk = job.on_disk.max(plan.present);
        (job.plan, job.phase, job.trouble, job.is_told) = (Some(plan), Phase::NoRoom, None, false);
        if let Some(disk) = self.disk.filter(|disk| (1..length.unwrap_or_default()).contains(&disk.space.total)) {
            let (length, total) = (ByteCount(length.unwrap_or_default()), ByteCount(disk.space.total));
            self.source_failed(now, id, format!("it says that it holds {length}; the whole disk has {total}"), rng);
        }
        self.fill(now);
    }

    /// How the attempt's download stands.
    pub fn progress(&mut self, now: Instant, id: EpisodeId, attempt: u64, progress: Progress, rng: &mut Rng) {
        let patience = self.patience;
        let Some(job) = self.current(id, attempt) else { return };
        let Phase::Running { have, moved, .. } = job.phase else { return };
        if progress.have != have || progress.busy {
            job.phase = Phase::Running { have: progress.have, moved: now, is_stalled: false };
            job.on_disk = progress.have;
            (job.trouble, job.is_told) = (None, false);
            // One that is longer than its host says shows it only so.
            if self.is_over_quota() {
                self.halt();
                self.fill(now);
            }
            return;
        }
        let still = now - moved;
        let is_stalled = still >= STALLED;
        job.phase = Phase::Running { have, moved, is_stalled };
        if !is_stalled {
            return;
        }
        let reason = progress.trouble.unwrap_or_else(|| "nothing comes in".to_owned());
        let is_deserted = progress.peers == 0 && still >= NO_PEERS && job.next().is_some();
        if is_deserted || patience.is_some_and(|patience| still >= patience) {
            self.orders.push_back(Order::Stop { id });
            self.source_failed(now, id, reason, rng);
        } else {
            self.hindered(id, reason);
        }
        self.fill(now);
    }

    /// The attempt has failed.
    pub fn failed(&mut self, now: Instant, id: EpisodeId, attempt: u64, fault: Fault, rng: &mut Rng) {
        let Some(job) = self.current(id, attempt).filter(|job| job.is_active()) else { return };
        match fault {
            Fault::InTheWay(_) => (job.phase, job.plan) = (Phase::Queued, None),
            Fault::NoLibrary(_) => {
                (job.phase, job.plan) = (Phase::Queued, None);
                self.disk = None;
            }
            Fault::Busy { reason, patience } => {
                job.not_before = now + patience.min(MAX_PATIENCE);
                self.source_failed(now, id, reason, rng);
            }
            Fault::Source(reason) => self.source_failed(now, id, reason, rng),
            Fault::Disk(reason) => {
                (job.phase, job.is_told) = (Phase::Waiting { until: now + rng.jitter(FIRST_RETRY, 20) }, false);
                self.hindered(id, reason);
            }
        }
        self.fill(now);
    }

    /// The attempt has brought every byte, `length` of them. Gives its plan, or `None` if it was over already.
    pub fn done(&mut self, now: Instant, id: EpisodeId, attempt: u64, length: u64) -> Option<Plan> {
        self.current(id, attempt)?;
        let plan = self.take_out(id)?.plan;
        // Whoever is next has no more room by it.
        self.kept = self.kept.saturating_add(length);
        self.fill(now);
        plan
    }

    /// The disk was measured, or why that cannot be; running downloads have `outstanding` bytes yet to write.
    pub fn measured(&mut self, now: Instant, space: Result<Space, String>, outstanding: u64) {
        self.is_measuring = false;
        self.unmeasured = space.as_ref().err().cloned();
        let space = space.unwrap_or(Space { available: 0, total: 0 });
        let reserve = self.limits.leave_free.unwrap_or(space.reserve());
        self.disk = Some(Disk { measured: now, space, reserve, outstanding });
        if self.is_full() {
            self.halt();
        }
        self.fill(now);
    }

    /// Stops what runs, for want of room.
    fn halt(&mut self) {
        let running = self.jobs.iter_mut().filter(|(_, job)| matches!(job.phase, Phase::Running { .. }));
        for (id, job) in running {
            (job.phase, job.is_told) = (Phase::NoRoom, false);
            self.orders.push_back(Order::Stop { id: *id });
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) {
        for job in self.jobs.values_mut() {
            if let Phase::Waiting { until } = job.phase
                && until <= now
            {
                job.phase = Phase::Queued;
            }
        }
        if self.next_measure().is_some_and(|at| at <= now) {
            self.measure();
        }
        self.fill(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When to come back with [`Queue::tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.jobs.values().filter_map(|job| match job.phase {
            Phase::Waiting { until } => Some(until),
            Phase::NoRoom | Phase::Preparing | Phase::Queued | Phase::Running { .. } => None,
        });
        earliest(waiting.min(), self.next_measure())
    }

    fn next_measure(&self) -> Option<Instant> {
        let needs_room = |job: &Job| matches!(job.phase, Phase::NoRoom | Phase::Running { .. });
        let is_needed = self.jobs.values().any(needs_room) || (self.is_full() && !self.jobs.is_empty());
        let disk = self.disk.filter(|_| is_needed && !self.is_measuring)?;
        Some(disk.measured + MEASURE_EVERY)
    }

    fn measure(&mut self) {
        if !self.is_measuring {
            self.is_measuring = true;
            self.orders.push_back(Order::Measure);
        }
    }

    fn current(&mut self, id: EpisodeId, attempt: u64) -> Option<&mut Job> {
        self.jobs.get_mut(&id).filter(|job| job.attempt == attempt)
    }

    /// Says what is in the way of a job, and tells of it if that is new.
    fn hindered(&mut self, id: EpisodeId, reason: String) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.trouble = Some(reason);
        if !std::mem::replace(&mut job.is_told, true) {
            self.orders.push_back(Order::Tell { id });
        }
    }

    /// Goes on to the next source; after the last it waits, and says why.
    fn source_failed(&mut self, now: Instant, id: EpisodeId, reason: String, rng: &mut Rng) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        (job.plan, job.phase) = (None, Phase::Queued);
        if let Some(next) = job.next() {
            job.at = next;
            job.trouble = Some(reason);
            return;
        }
        let wait = FIRST_RETRY.saturating_mul(1 << job.failures.min(16)).min(MAX_RETRY);
        job.rewind();
        job.failures += 1;
        let until = job.not_before.max(now + rng.jitter(wait, 20));
        (job.phase, job.is_told) = (Phase::Waiting { until }, false);
        self.hindered(id, reason);
    }

    /// Starts and prepares as much as there are places and room for.
    fn fill(&mut self, now: Instant) {
        let mut places = self.limit.saturating_sub(self.jobs.values().filter(|job| job.takes_a_place()).count());
        let most = self.limit * STALLED_PER_SLOT;
        places = places.min(most.saturating_sub(self.jobs.values().filter(|job| job.is_active()).count()));
        // Whoever looks at thousands that wait does so in their order, and seldom beyond the first.
        let mut next = self.line.first().copied();
        while let Some(place @ (Reverse(rank), id)) = next {
            let is_played = rank.is_played;
            if places == 0 && !is_played {
                return;
            }
            next = self.line.range((Bound::Excluded(place), Bound::Unbounded)).next().copied();
            // What was measured long ago says nothing of now.
            let disk = self.disk.filter(|disk| now - disk.measured <= MEASURE_EVERY);
            let has_begun = match (self.jobs[&id].phase, disk) {
                (Phase::Preparing | Phase::Running { .. } | Phase::Waiting { .. }, _) => false,
                (Phase::NoRoom | Phase::Queued, None) => return self.measure(),
                (Phase::NoRoom, Some(_)) => self.start_if_it_fits(now, id),
                (Phase::Queued, Some(disk)) if disk.spare() == 0 => {
                    self.hindered(id, self.no_room(disk, 0));
                    false
                }
                (Phase::Queued, Some(_)) => self.prepare(id),
            };
            places -= usize::from(has_begun && !is_played);
        }
    }

    /// What the library may take, and by how much a job would go beyond it.
    fn excess(&self, id: EpisodeId) -> Option<(u64, u64)> {
        let quota = self.limits.quota?;
        let others = self.jobs.iter().filter(|(other, _)| **other != id).map(|(_, job)| job.takes());
        let taken = self.kept.saturating_add(others.sum());
        let excess = taken.saturating_add(self.jobs.get(&id)?.length()).saturating_sub(quota);
        (excess > 0).then_some((quota, excess))
    }

    fn prepare(&mut self, id: EpisodeId) -> bool {
        self.attempts += 1;
        let attempt = self.attempts;
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        (job.phase, job.attempt) = (Phase::Preparing, attempt);
        self.orders.push_back(Order::Prepare { id, attempt });
        true
    }

    fn start_if_it_fits(&mut self, now: Instant, id: EpisodeId) -> bool {
        let (Some(disk), Some(job)) = (&self.disk, self.jobs.get(&id)) else { return false };
        let needs = job.plan.as_ref().map_or(0, Plan::needs);
        let wanted = needs.saturating_add(disk.outstanding);
        if disk.spare() == 0 || wanted > disk.spare() {
            let reason = self.no_room(*disk, needs);
            self.hindered(id, reason);
            return false;
        }
        if let Some((quota, excess)) = self.excess(id) {
            let length = self.jobs[&id].length();
            let text = format!("it has {}, and the library may take {}", ByteCount(length), ByteCount(quota));
            self.hindered(id, text);
            self.orders.push_back(Order::MakeRoom { id, bytes: excess });
            return false;
        }
        let (Some(disk), Some(job)) = (&mut self.disk, self.jobs.get_mut(&id)) else { return false };
        disk.outstanding = wanted;
        self.attempts += 1;
        job.attempt = self.attempts;
        job.trouble = None;
        job.phase = Phase::Running { have: 0, moved: now, is_stalled: false };
        self.orders.push_back(Order::Start { id, attempt: job.attempt });
        true
    }

    fn no_room(&self, disk: Disk, needs: u64) -> String {
        if let Some(reason) = &self.unmeasured {
            return reason.clone();
        }
        let (available, reserve) = (ByteCount(disk.space.available), ByteCount(disk.reserve));
        match needs {
            0 => format!("the disk has {available} free, of which {reserve} are kept"),
            needs => {
                format!("it needs {}; the disk has {available} free, of which {reserve} are kept", ByteCount(needs))
            }
        }
    }
}

impl Disk {
    /// What may still be written.
    const fn spare(&self) -> u64 {
        self.space.available.saturating_sub(self.reserve)
    }
}

#[cfg(test)]
mod tests;
