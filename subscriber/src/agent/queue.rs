//! Decides which downloads run: in what order, how many at once, from which source, and whether the disk has room.
//!
//! A job is prepared (its `.torrent` fetched, its length known), then started if what it needs leaves the disk's
//! reserve whole, then runs until it is done or its source fails. A source that fails gives way to the next; after the
//! last the job waits, longer each time and as long as a host asked for, and begins again with the first. A download on
//! which nothing comes in is left running, gives up its place to the next job, and says why.
//!
//! A torrent of which nobody tells soon what it is has a head start: then the next source is tried, and the search
//! goes on aside; but a plain file on the very host that is late with its `.torrent` waits, as a host that a rush keeps
//! from sending little is not to send everything. If it finds out while a plain file comes that is as long, the swarm
//! goes on with what has come of that, and its server helps; else, or where it is being played, the plain file goes on
//! alone. Whichever is whole first has won.
//!
//! Of one host a few plain files come at once, and no more; jobs of other hosts go before those that wait for it.
//! Swarms do not count, which treat their web seeds by rules of their own.
//!
//! What the owner plays comes first, whatever else runs, then what he asked for, then the newest.
//!
//! Knows nothing of torrents and HTTP, and of files only their length: [`Order`]s go out, what came of them comes back.
//! What comes back for an attempt that is over is ignored.
//!
//! Laws: no more jobs move data at once than the owner allows, and no more plain files of one host but for what he
//! plays. One job moves data once: what goes on aside only looks. No job starts that does not fit the disk or what the
//! library may take; all stop when the reserve is touched, or when they have grown beyond that. What is aside ends with
//! its job, and as soon as a torrent is taken.

mod job;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use podswarm_core::app::Space;
use podswarm_core::rate::ByteCount;
use podswarm_core::rng::Rng;
use podswarm_core::time::{Instant, earliest};

use job::{Aside, Found};
pub use job::{Fault, Job, Phase, Progress, Rank};

use super::Limits;
use super::plan::Plan;
use crate::records::{EpisodeId, Source};

/// Nobody has told for this long what a torrent is: the next source is tried beside the search.
const HEAD_START: Duration = Duration::from_secs(5);

/// A download that has not moved for this long gives up its place.
const STALLED: Duration = Duration::from_mins(1);

/// A swarm without any peer gives way to another source after this long.
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
    /// End what was set aside: it is of no use any more.
    DropAside {
        /// The job.
        id: EpisodeId,
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
    /// What is being prepared goes on beside what comes next.
    SetAside {
        /// The job.
        id: EpisodeId,
    },
    /// Stop preparing or downloading, also aside; what there is stays on the disk.
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
    /// So many plain files come from one host at once.
    per_host: usize,
    /// A download that has not moved for this long fails; `None` is never.
    patience: Option<Duration>,
    jobs: BTreeMap<EpisodeId, Job>,
    /// The same, in the order in which they go.
    line: BTreeSet<(Reverse<Rank>, EpisodeId)>,
    attempts: u64,
    /// How many plain files come from each host, since it was last looked what can begin.
    visits: BTreeMap<String, usize>,
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
    /// An empty queue that lets `limit` downloads move data at once, `per_host` plain files of one host among them.
    ///
    /// With `patience`, a download that has not moved for so long counts as failed.
    pub fn new(limit: usize, per_host: usize, patience: Option<Duration>, limits: Limits) -> Self {
        Self {
            limit: limit.max(1),
            per_host: per_host.max(1),
            patience,
            jobs: BTreeMap::new(),
            line: BTreeSet::new(),
            attempts: 0,
            visits: BTreeMap::new(),
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
    /// were goes on as it was, at its new place in line. [`Queue::tick`] has it begin.
    pub fn add(&mut self, id: EpisodeId, rank: Rank, sources: Vec<Source>) {
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
        if job.is_active() || !job.aside.is_empty() {
            self.orders.push_back(Order::Stop { id });
        }
        true
    }

    /// Stops what runs for a job.
    fn stop(&mut self, id: EpisodeId) {
        self.orders.push_back(Order::Stop { id });
        if let Some(job) = self.jobs.get_mut(&id) {
            job.aside.clear();
            job.found = None;
        }
    }

    /// Ends what goes on aside for a job.
    fn drop_aside(&mut self, id: EpisodeId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.found = None;
            if !std::mem::take(&mut job.aside).is_empty() {
                self.orders.push_back(Order::DropAside { id });
            }
        }
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
        let Some(job) = self.current(id, attempt).filter(|job| job.is_preparing()) else { return };
        let (length, is_torrent) = (plan.length, plan.info_hash.is_some());
        job.is_folder |= plan.is_folder;
        job.on_disk = job.on_disk.max(plan.present);
        (job.plan, job.phase, job.trouble, job.is_told) = (Some(plan), Phase::NoRoom, None, false);
        if is_torrent {
            self.drop_aside(id);
        }
        if let Some(disk) = self.disk.filter(|disk| (1..length.unwrap_or_default()).contains(&disk.space.total)) {
            let (length, total) = (ByteCount(length.unwrap_or_default()), ByteCount(disk.space.total));
            self.source_failed(now, id, format!("it says that it holds {length}; the whole disk has {total}"), rng);
        }
        self.fill(now);
    }

    /// The attempt, which goes on aside, has found out what the torrent is: `length` is that of its only file, `None`
    /// if it has more of them.
    pub fn found(&mut self, now: Instant, id: EpisodeId, attempt: u64, length: Option<u64>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(ended) = job.aside.extract_if(.., |aside| aside.attempt == attempt).next() else { return };
        job.found = Some(Found { at: ended.at, length });
        self.weigh(now, id);
    }

    /// Takes a torrent that was found, unless a plain file comes that is another.
    fn weigh(&mut self, now: Instant, id: EpisodeId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(found) = job.found else { return };
        if let Phase::Running { have, .. } = job.phase {
            match (found.length, job.whole) {
                // Whoever plays it reads what the server sends.
                _ if job.is_played() => return self.drop_aside(id),
                (Some(_), None) => return,
                (Some(length), Some(whole)) if length == whole => {}
                (None | Some(_), _) => return self.drop_aside(id),
            }
            // It is the same bytes that are yet to be written, of which the disk has heard.
            let counted = job.plan.as_ref().map_or(0, Plan::needs).min(found.length.unwrap_or(0).saturating_sub(have));
            if let Some(disk) = &mut self.disk {
                disk.outstanding = disk.outstanding.saturating_sub(counted);
            }
        }
        let has_a_place = job.takes_a_place();
        (job.at, job.plan, job.phase) = (found.at, None, Phase::Queued);
        self.stop(id);
        if has_a_place {
            self.prepare(now, id);
        }
        self.fill(now);
    }

    /// How the attempt's download stands.
    pub fn progress(&mut self, now: Instant, id: EpisodeId, attempt: u64, progress: Progress, rng: &mut Rng) {
        let patience = self.patience;
        let Some(job) = self.current(id, attempt) else { return };
        let Phase::Running { have, moved, .. } = job.phase else { return };
        job.whole = progress.whole.or(job.whole);
        if progress.have != have || progress.busy {
            job.phase = Phase::Running { have: progress.have, moved: now, is_stalled: false };
            job.on_disk = progress.have;
            (job.trouble, job.is_told) = (None, false);
            // One that is longer than its host says shows it only so.
            if self.is_over_quota() {
                self.halt();
                self.fill(now);
            } else {
                self.weigh(now, id);
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
        let has_others = job.next().is_some() || !job.failed.is_empty();
        let is_deserted = progress.peers == 0 && still >= NO_PEERS && has_others;
        if is_deserted || patience.is_some_and(|patience| still >= patience) {
            self.stop(id);
            self.source_failed(now, id, reason, rng);
        } else {
            self.hindered(id, reason);
        }
        self.fill(now);
    }

    /// The attempt has failed.
    pub fn failed(&mut self, now: Instant, id: EpisodeId, attempt: u64, fault: Fault, rng: &mut Rng) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.aside.retain(|aside| aside.attempt != attempt);
        }
        let Some(job) = self.current(id, attempt).filter(|job| job.is_active()) else { return };
        match fault {
            Fault::InTheWay(_) => (job.phase, job.plan) = (Phase::Queued, None),
            Fault::NoLibrary(_) => {
                (job.phase, job.plan) = (Phase::Queued, None);
                self.disk = None;
                self.drop_aside(id);
            }
            Fault::Busy { reason, patience } => {
                job.not_before = now + patience.min(MAX_PATIENCE);
                self.source_failed(now, id, reason, rng);
            }
            Fault::Source(reason) => self.source_failed(now, id, reason, rng),
            Fault::Disk(reason) => {
                (job.phase, job.is_told) = (Phase::Waiting { until: now + rng.jitter(FIRST_RETRY, 20) }, false);
                self.drop_aside(id);
                self.hindered(id, reason);
            }
        }
        self.fill(now);
    }

    /// The attempt has brought every byte, `length` of them. Gives its plan, or `None` if it was over already.
    pub fn done(&mut self, now: Instant, id: EpisodeId, attempt: u64, length: u64) -> Option<Plan> {
        self.current(id, attempt)?;
        // What has won has won.
        self.drop_aside(id);
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
            job.aside.clear();
            job.found = None;
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
            Phase::Preparing { overtaken_at } => overtaken_at,
            Phase::NoRoom | Phase::Queued | Phase::Running { .. } => None,
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

    /// Goes on with the torrent that was found meanwhile, else to the next source, else with what is still being asked;
    /// after the last it waits, and says why.
    fn source_failed(&mut self, now: Instant, id: EpisodeId, reason: String, rng: &mut Rng) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        (job.plan, job.phase) = (None, Phase::Queued);
        job.failed.insert(job.at);
        if let Some(next) = job.found.take().map(|found| found.at).or_else(|| job.next()) {
            job.at = next;
            job.trouble = Some(reason);
            return;
        }
        if !job.aside.is_empty() {
            let Aside { at, attempt } = job.aside.remove(0);
            (job.at, job.attempt, job.trouble) = (at, attempt, Some(reason));
            job.phase = Phase::Preparing { overtaken_at: None };
            return;
        }
        let wait = FIRST_RETRY.saturating_mul(1 << job.failures.min(16)).min(MAX_RETRY);
        job.rewind();
        job.failures += 1;
        let until = job.not_before.max(now + rng.jitter(wait, 20));
        (job.phase, job.is_told) = (Phase::Waiting { until }, false);
        self.hindered(id, reason);
    }

    /// Has the next source tried where it takes long to find out what a torrent is.
    fn overtake(&mut self, now: Instant) {
        let is_late = |job: &Job| matches!(job.phase, Phase::Preparing { overtaken_at: Some(at) } if at <= now);
        let late = self.jobs.iter().filter(|(_, job)| is_late(job)).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            let job = &self.jobs[&id];
            let next = job.next().filter(|next| !self.is_busy(job, *next) && !job.is_late_itself(*next));
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(next) = next else {
                // Its host may be free by then, or have answered.
                job.phase = Phase::Preparing { overtaken_at: Some(now + HEAD_START) };
                continue;
            };
            job.aside.push(Aside { at: job.at, attempt: job.attempt });
            job.at = next;
            self.orders.push_back(Order::SetAside { id });
            self.prepare(now, id);
        }
    }

    fn count_visits(&mut self) {
        self.visits.clear();
        for host in self.jobs.values().filter_map(Job::visited) {
            *self.visits.entry(host.to_owned()).or_default() += 1;
        }
    }

    /// Counts a job that begins.
    fn visit(&mut self, id: EpisodeId) {
        if let Some(host) = self.jobs.get(&id).and_then(Job::visited) {
            *self.visits.entry(host.to_owned()).or_default() += 1;
        }
    }

    /// Whether the host of a job's source, if that is a plain file, sends as many of them as may come at once.
    fn is_busy(&self, job: &Job, at: usize) -> bool {
        let visits = job.host_of(at).and_then(|host| self.visits.get(host));
        !job.is_played() && visits.is_some_and(|visits| *visits >= self.per_host)
    }

    /// Why a job waits that has nothing in its way but others of its host; `None` if there are not so many.
    pub fn turn(&self, id: EpisodeId) -> Option<String> {
        let may_begin = |job: &&Job| matches!(job.phase, Phase::NoRoom | Phase::Queued);
        let job = self.jobs.get(&id).filter(may_begin).filter(|job| self.is_busy(job, job.at))?;
        let host = job.host_of(job.at)?;
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let others =
            if self.per_host == 1 { "another episode".to_owned() } else { format!("{} others", self.per_host) };
        Some(format!("{name} sends {others}, as many as it is asked for at once"))
    }

    /// Starts and prepares as much as there are places and room for.
    fn fill(&mut self, now: Instant) {
        self.count_visits();
        self.overtake(now);
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
            let job = &self.jobs[&id];
            let has_begun = match (job.phase, disk) {
                (Phase::Preparing { .. } | Phase::Running { .. } | Phase::Waiting { .. }, _) => false,
                _ if self.is_busy(job, job.at) => false,
                (Phase::NoRoom | Phase::Queued, None) => return self.measure(),
                (Phase::NoRoom, Some(_)) => self.start_if_it_fits(now, id),
                (Phase::Queued, Some(disk)) if disk.spare() == 0 => {
                    self.hindered(id, self.no_room(disk, 0));
                    false
                }
                (Phase::Queued, Some(_)) => self.prepare(now, id),
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

    fn prepare(&mut self, now: Instant, id: EpisodeId) -> bool {
        self.attempts += 1;
        let attempt = self.attempts;
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        job.attempt = attempt;
        // What a plain file is nobody has to be asked.
        let is_torrent = !matches!(job.source(), Source::Http(_));
        let overtaken_at = job.next().filter(|_| is_torrent).map(|_| now + HEAD_START);
        job.phase = Phase::Preparing { overtaken_at };
        self.visit(id);
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
        (job.trouble, job.whole) = (None, None);
        job.phase = Phase::Running { have: 0, moved: now, is_stalled: false };
        self.orders.push_back(Order::Start { id, attempt: job.attempt });
        self.visit(id);
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
