//! Decides all that the agent does: what to poll and when, what to take, what to fetch from where, what to seed.
//!
//! The [`Agent`] has the engine's one shape. Inputs say what happened or what the owner wants; outputs say what to do
//! and what to remember. Reading order: [`catalogue`] decides what an item is to us, [`queue`] which downloads run,
//! [`plan`] what they are called, [`stream`] when an event stream is made again; `podswarm_feeds::poll` decides when a
//! feed is asked. `follow` and `fetch` put them together.
//!
//! Knows nothing of sockets, files and the store, and reads no clock: both times are arguments, so that a month passes
//! in a second under test.
//!
//! Laws: [`Output::Save`] comes before anything that tells of it. What was seen stays seen. Nothing is fetched that
//! does not fit the disk, or that the owner has paused.

pub mod catalogue;
pub mod event;
pub mod found;
pub mod plan;
pub mod queue;
pub mod stream;

mod fetch;
mod follow;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use podswarm_core::app::Space;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::rng::Rng;
use podswarm_core::time::{Instant, earliest};
use podswarm_feeds::poll::{self, Now};
use url::Url;

use crate::records::{Backlog, EpisodeId, FeedId, Source};
use crate::schedule::Schedule;

use catalogue::{Catalogue, Change};
use event::Event;
use follow::Follow;
use found::FoundFeed;
use plan::{Plan, Prepared};
use queue::{Fault, Progress, Queue};

/// What the owner has set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this agent is here for.
    pub duty: Duty,
    /// Where the library is; only named in events.
    pub library: PathBuf,
    /// Downloads that move data at once.
    pub downloads: usize,
    /// How often a feed is polled that has no schedule.
    pub interval: Duration,
    /// The owner's time zone, in which schedules are read.
    pub zone: Tz,
    /// Whether what is complete is seeded.
    pub seeding: Seeding,
    /// Which sources are used.
    pub sources: Sources,
}

/// What an agent is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// To poll, listen, fetch and seed for as long as it runs.
    Everything,
    /// To fetch what it is asked for, and end: it polls only on demand.
    Fetch,
    /// To answer one command: it polls on demand and fetches nothing.
    Answer,
    /// To poll every feed once, fetch what is new, and end.
    Once,
}

/// Whether what is complete is seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeding {
    /// It is not.
    Off,
    /// It is, until told otherwise.
    On,
}

/// Which sources are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// All of them, torrents first.
    All,
    /// Plain files only: no peer sees this machine's address.
    HttpOnly,
}

/// What a command of the owner's is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every feed.
    All,
    /// One episode.
    Episode(EpisodeId),
    /// One feed.
    Feed(FeedId),
}

/// What happened, or what the owner wants.
#[derive(Clone, Debug)]
pub enum Input {
    /// Every byte of a download is there and checked.
    Done {
        /// Whose.
        id: EpisodeId,
        /// The attempt that [`Output::Start`] named.
        attempt: u64,
        /// How many bytes.
        length: u64,
        /// The torrent that vouches for them.
        info_hash: Option<InfoHash>,
    },
    /// Preparing or downloading has failed.
    Failed {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// What went wrong.
        fault: Fault,
    },
    /// The disk was measured, as [`Output::Measure`] asked.
    Measured {
        /// What is free.
        space: Space,
        /// Bytes that running downloads have yet to write.
        outstanding: u64,
    },
    /// The owner wants nothing of this done.
    Pause(Target),
    /// The owner wants this feed polled now.
    Poll(FeedId),
    /// What came of [`Output::Poll`].
    Polled {
        /// Which feed.
        feed: FeedId,
        /// What the host said.
        reply: poll::Reply,
        /// The feed, where the reply brought one that could be read.
        found: Option<Box<FoundFeed>>,
        /// The reply came from a private or loopback address.
        is_local: bool,
    },
    /// A source was found to hold this, as [`Output::Prepare`] asked.
    Prepared {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// What it holds.
        prepared: Prepared,
    },
    /// How a download stands; wanted every few seconds.
    Progress {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// How it stands.
        progress: Progress,
    },
    /// The owner follows this feed no longer.
    Remove(FeedId),
    /// The owner wants this to go on.
    Resume(Target),
    /// What is complete could not be seeded, as [`Output::Seed`] asked.
    SeedFailed {
        /// Whose.
        id: EpisodeId,
        /// Its file is not there.
        is_missing: bool,
        /// Why.
        reason: String,
    },
    /// Something of an event stream.
    Stream {
        /// The feed it tells of.
        feed: FeedId,
        /// The connection, as [`Output::Listen`] named it.
        serial: u64,
        /// What.
        news: StreamNews,
    },
    /// The owner follows this feed. One that is followed already gets the new schedule and more of its backlog.
    Subscribe {
        /// Where it is.
        url: Url,
        /// When to poll it.
        schedule: Option<Schedule>,
        /// How much of what is there to take.
        backlog: Option<Backlog>,
    },
    /// The owner wants this episode.
    Take(EpisodeId),
    /// Time passed; see [`Agent::deadline`].
    Tick,
}

/// Something of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamNews {
    /// An event came.
    Event {
        /// What to name when connecting again.
        last_id: Option<String>,
    },
    /// The connection is lost, or could not be made.
    Lost {
        /// How long it asked to wait.
        retry: Option<Duration>,
    },
    /// The connection stands.
    Open,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Read an event stream, and answer with [`Input::Stream`] until it is lost.
    Listen {
        /// The feed it tells of.
        feed: FeedId,
        /// Tells this connection from those before it.
        serial: u64,
        /// Where it is.
        url: String,
        /// The event to go on after.
        last_event_id: Option<String>,
        /// It may be at a private or loopback address.
        is_local: bool,
    },
    /// Measure the library's disk, and answer with [`Input::Measured`].
    Measure,
    /// Ask for a feed, and answer with [`Input::Polled`].
    Poll {
        /// Which.
        feed: FeedId,
        /// What to ask.
        fetch: poll::Fetch,
    },
    /// Find out what a source holds, and answer with [`Input::Prepared`] or [`Input::Failed`].
    Prepare {
        /// Whose.
        id: EpisodeId,
        /// To be named in the answer.
        attempt: u64,
        /// What to ask.
        source: Source,
        /// The show's folder, to be listed.
        folder: String,
        /// The file, if it has been chosen already.
        file: Option<String>,
        /// The torrent it is said to be.
        info_hash: Option<InfoHash>,
        /// The source may be at a private or loopback address.
        is_local: bool,
    },
    /// Make these changes durable before doing what follows.
    Save(Vec<Change>),
    /// Seed what is complete; answer with [`Input::SeedFailed`] if that cannot be.
    Seed {
        /// Whose.
        id: EpisodeId,
        /// As which torrent.
        info_hash: InfoHash,
        /// The file or folder.
        file: String,
        /// Its trackers may be at private or loopback addresses.
        is_local: bool,
    },
    /// Download, and answer with [`Input::Progress`] and at last [`Input::Done`] or [`Input::Failed`].
    Start {
        /// Whose.
        id: EpisodeId,
        /// To be named in the answers.
        attempt: u64,
        /// From where.
        source: Source,
        /// What, and under which name.
        plan: Plan,
        /// The torrent that a plain file is said to be.
        info_hash: Option<InfoHash>,
        /// The source may be at a private or loopback address.
        is_local: bool,
    },
    /// Stop preparing, downloading or seeding; what there is stays on the disk.
    Stop {
        /// Whose.
        id: EpisodeId,
    },
    /// Tell the world.
    Tell(Event),
    /// Read this feed's event stream no longer.
    Unlisten {
        /// Which feed's.
        feed: FeedId,
    },
}

/// All that is decided, in one place.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    catalogue: Catalogue,
    follows: BTreeMap<FeedId, Follow>,
    queue: Queue,
    /// Files, [`names::fold`](crate::names::fold)ed, that were found to be something else.
    in_the_way: BTreeSet<String>,
    rng: Rng,
    outputs: VecDeque<Output>,
}

/// With [`Duty::Once`], and where only asked-for episodes are fetched, a download that has not moved for this long is
/// left for the next run.
const PATIENCE: Duration = Duration::from_mins(5);

impl Agent {
    /// An agent that goes on from what is remembered. Drain [`Agent::poll`] at once.
    pub fn new(settings: Settings, catalogue: Catalogue, now: Now, rng: Rng) -> Self {
        let patience = (settings.duty != Duty::Everything).then_some(PATIENCE);
        let queue = Queue::new(settings.downloads, patience);
        let mut agent = Self {
            settings,
            catalogue,
            follows: BTreeMap::new(),
            queue,
            in_the_way: BTreeSet::new(),
            rng,
            outputs: VecDeque::new(),
        };
        for feed in agent.catalogue.feeds().map(|feed| feed.id).collect::<Vec<_>>() {
            agent.follow(now, feed);
        }
        if matches!(agent.settings.duty, Duty::Everything | Duty::Once) {
            for id in agent.catalogue.episodes().map(|episode| episode.id).collect::<Vec<_>>() {
                agent.go_on(now, id);
            }
        }
        agent.tend(now);
        agent
    }

    /// Takes in what happened at `now`. Drain [`Agent::poll`] after it.
    pub fn handle(&mut self, now: Now, input: Input) {
        debug_assert!(self.outputs.is_empty(), "the outputs of the last input were drained");
        match input {
            Input::Done { id, attempt, length, info_hash } => self.done(now, id, attempt, length, info_hash),
            Input::Failed { id, attempt, fault } => self.failed(now, id, attempt, fault),
            Input::Measured { space, outstanding } => self.queue.measured(now.instant, space, outstanding),
            Input::Pause(target) => self.pause(target),
            Input::Poll(feed) => self.poll_now(now, feed),
            Input::Polled { feed, reply, found, is_local } => self.polled(now, feed, reply, found, is_local),
            Input::Prepared { id, attempt, prepared } => self.prepared(now, id, attempt, &prepared),
            Input::Progress { id, attempt, progress } => {
                self.queue.progress(now.instant, id, attempt, progress, &mut self.rng);
            }
            Input::Remove(feed) => self.remove(feed),
            Input::Resume(target) => self.resume(now, target),
            Input::SeedFailed { id, is_missing, reason } => self.seed_failed(now, id, is_missing, reason),
            Input::Stream { feed, serial, news } => self.stream(now, feed, serial, news),
            Input::Subscribe { url, schedule, backlog } => self.subscribe(now, url, schedule, backlog),
            Input::Take(id) => self.take(now, id),
            Input::Tick => {}
        }
        self.tend(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let follows = self.follows.values().filter(|follow| !follow.is_paused);
        let polls = follows.clone().filter(|_| self.settings.duty == Duty::Everything);
        let polls = polls.filter_map(|follow| earliest(follow.poller.deadline(), follow.stream.deadline())).min();
        earliest(polls, self.queue.deadline())
    }

    /// All feeds and episodes.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All downloads.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What the owner has set.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the feed is polled next; `None` if it is paused, gone or unknown.
    pub fn next_poll(&self, feed: FeedId) -> Option<chrono::DateTime<chrono::Utc>> {
        self.follows.get(&feed).filter(|follow| !follow.is_paused)?.poller.next_due()
    }

    /// Whether the feed's event stream stands.
    pub fn is_listening(&self, feed: FeedId) -> bool {
        self.follows.get(&feed).is_some_and(|follow| follow.is_told)
    }

    /// Whether all that [`Duty::Once`] is for is done, or cannot be done now.
    pub fn is_settled(&self) -> bool {
        let is_polled = |follow: &Follow| follow.is_paused || follow.is_polled;
        (self.settings.duty != Duty::Once || self.follows.values().all(is_polled)) && self.queue.is_settled()
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Tell(event));
    }

    fn save(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.outputs.push_back(Output::Save(changes));
        }
    }

    fn save_episode(&mut self, id: EpisodeId) {
        if let Some(episode) = self.catalogue.episode(id) {
            let change = Change::Episode(Box::new(episode.clone()));
            self.save(vec![change]);
        }
    }

    fn save_feed(&mut self, id: FeedId) {
        if let Some(feed) = self.catalogue.feed(id) {
            let change = Change::Feed(Box::new(feed.clone()));
            self.save(vec![change]);
        }
    }

    /// Lets all that waits for time or for a place go on, and collects what it wants done.
    fn tend(&mut self, now: Now) {
        if self.settings.duty == Duty::Everything {
            self.tend_feeds(now);
        }
        self.queue.tick(now.instant);
        self.pass_on_orders();
    }
}

#[cfg(test)]
mod tests;
