//! Decides all that the agent does: what to poll and when, what to take, what to fetch from where, what to seed.
//!
//! The [`Agent`] has the engine's one shape. Inputs say what happened or what the owner wants; outputs say what to do
//! and what to remember. Reading order: [`catalogue`] decides what an item is to us, [`queue`] which downloads run,
//! [`plan`] what they are called, [`stream`] when an event stream is made again, [`share`] how long is seeded, `rest`
//! when not, `shelf` how long is kept, `tags` when files are written to, `extras` when covers and chapters are looked
//! at, `picture` which of them lies in a show's folder, `hooks` what else is done when something is there, `heard` how
//! far each was listened to; [`websub`] when a feed's hub is asked to tell of news; [`trail`] where one is that says
//! that it has moved; `podswarm_feeds::poll` decides when a feed is asked, `hosts` when it is its turn there, and
//! `agenda` knows which is next. `follow`, `hubs` and `fetch` put them together.
//!
//! Knows nothing of sockets, files and the store, and reads no clock: both times are arguments, so that a month passes
//! in a second under test.
//!
//! Laws: [`Output::Save`] comes before anything that tells of it. What was seen stays seen. Nothing is fetched that
//! does not fit the disk, or that the owner has paused.

pub mod catalogue;
pub mod event;
pub mod found;
pub mod pages;
pub mod plan;
pub mod queue;
pub mod share;
pub mod stream;
pub mod trail;
pub mod websub;

mod agenda;
mod extras;
mod fetch;
mod follow;
mod heard;
mod hooks;
mod hosts;
mod hubs;
mod io;
mod picture;
mod rest;
mod settings;
mod shelf;
mod tags;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::effects::Effects;
use podswarm_core::rng::Rng;
use podswarm_core::time::{Instant, earliest};
use podswarm_feeds::poll::Now;

pub use extras::Extra;
pub use heard::{Play, Played};
pub use hooks::{Arrival, HookState};
pub use io::{Deletion, Input, Output, Prepare, PutPicture, Seed, Start, StreamNews, Tag, TagOutcome, Target, Whole};
pub use settings::{Duty, Limits, OnMetered, Seeding, Settings, Sources};

use crate::records::{EpisodeId, FeedId};

use agenda::{Follow, Follows};
use catalogue::{Catalogue, Change};
use event::Event;
use extras::Gatherer;
use hooks::Hooks;
use hosts::Hosts;
pub use hubs::HubState;
use picture::Hanger;
use queue::Queue;
use rest::Rest;
use share::Counts;
use shelf::Shelf;
use tags::Tagger;
use websub::Farewells;

/// All that is decided, in one place.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    catalogue: Catalogue,
    follows: Follows,
    hosts: Hosts,
    /// Where whoever is outside reaches us, as far as is known.
    outside: Option<SocketAddr>,
    farewells: Farewells,
    /// When the two clocks were compared last.
    looked: Now,
    queue: Queue,
    counts: Counts,
    rest: Rest,
    shelf: Shelf,
    hooks: Hooks,
    tagger: Tagger,
    gatherer: Gatherer,
    hanger: Hanger,
    /// Files, [`names::fold`](crate::names::fold)ed, that were found to be something else.
    in_the_way: BTreeSet<String>,
    rng: Rng,
    outputs: Effects<Output>,
}

/// With [`Duty::Once`], and where only asked-for episodes are fetched, a download that has not moved for this long is
/// left for the next run.
const PATIENCE: Duration = Duration::from_mins(5);

impl Agent {
    /// An agent that goes on from what is remembered. Drain [`Agent::poll`] at once.
    pub fn new(settings: Settings, catalogue: Catalogue, now: Now, rng: Rng) -> Self {
        let patience = (settings.duty != Duty::Everything).then_some(PATIENCE);
        let queue = Queue::new(settings.downloads, settings.downloads_per_host, patience, settings.limits);
        let catalogue = catalogue.ruled_by(settings.rules.clone());
        let mut agent = Self {
            settings,
            catalogue,
            follows: Follows::default(),
            hosts: Hosts::default(),
            outside: None,
            farewells: Farewells::default(),
            looked: now,
            queue,
            counts: Counts::default(),
            rest: Rest::default(),
            shelf: Shelf::default(),
            hooks: Hooks::default(),
            tagger: Tagger::default(),
            gatherer: Gatherer::default(),
            hanger: Hanger::default(),
            in_the_way: BTreeSet::new(),
            rng,
            outputs: Effects::default(),
        };
        for feed in agent.catalogue.feeds().map(|feed| feed.id).collect::<Vec<_>>() {
            agent.follow(now, feed);
        }
        agent.tend_rest(now);
        if agent.settings.acts_by_itself() {
            for id in agent.catalogue.episodes().map(|episode| episode.id).collect::<Vec<_>>() {
                agent.go_on(now, id);
                agent.resume_hooks(id);
            }
            for feed in agent.catalogue.feeds().map(|feed| feed.id).collect::<Vec<_>>() {
                agent.order_extras(now, feed);
            }
        }
        agent.look_at_all(now);
        agent.tend(now);
        agent
    }

    /// Takes in what happened at `now`. Drain [`Agent::poll`] after it.
    pub fn handle(&mut self, now: Now, input: Input) {
        debug_assert!(self.outputs.is_empty(), "the outputs of the last input were drained");
        match input {
            Input::Consent { takes_part } => self.consented(now, takes_part),
            Input::Counted(sent) => self.counted(now, sent),
            Input::Deleted { id, outcome } => self.deleted(now, id, outcome),
            Input::Done { id, attempt, whole } => self.done(now, id, attempt, whole),
            Input::Edit { feed, rules, forget, schedule } => self.edit(now, feed, rules, &forget, schedule),
            Input::Ending(sent) => {
                self.counted(now, sent);
                self.save_counts(now);
            }
            Input::Failed { id, attempt, fault } => self.failed(now, id, attempt, fault),
            Input::Follow(urls) => self.follow_for_app(now, urls),
            Input::Gathered { extra, name } => self.gathered(extra, name),
            Input::Heard(plays) => self.heard(now, plays),
            Input::HubAnswered { feed, serial, outcome } => self.hub_answered(now, feed, serial, outcome),
            Input::HubCame { visit, token, question } => self.hub_came(now, visit, &token, &question),
            Input::HubTold { token } => self.hub_told(now, &token),
            Input::Hooked { serial, outcome } => self.hooked(now, serial, outcome),
            Input::Measured { space, outstanding } => {
                self.queue.count_kept(self.catalogue.kept_bytes());
                let is_back = space.is_ok() && self.queue.unmeasured().is_some();
                self.queue.measured(now.instant, space, outstanding);
                if is_back {
                    self.seed_again(now);
                }
            }
            Input::Outside(addr) => self.reached_at(now, addr),
            Input::Pause(target) => self.pause(now, target),
            Input::Pictured { feed, left } => self.pictured(feed, left),
            Input::Play(id) => self.play(now, id),
            Input::Poll(feed) => self.poll_now(now, feed),
            Input::Polled { feed, url, reply, found, is_local } => {
                self.hosts.answered(now.instant, &url, reply.patience());
                self.follows.wake_waiting(now.instant);
                // A feed that was removed may have left its number to another.
                if self.catalogue.feed(feed).is_some_and(|feed| *feed.url() == url) {
                    self.polled(now, feed, reply, found, is_local);
                }
            }
            Input::Metered(is_metered) => self.rest.is_metered = is_metered,
            Input::Prepared { id, attempt, prepared } => self.prepared(now, id, attempt, &prepared),
            Input::Progress { id, attempt, progress } => {
                self.queue.progress(now.instant, id, attempt, progress, &mut self.rng);
            }
            Input::Readdress { feed, url } => self.readdress(now, feed, url),
            Input::Remove(feed) => self.remove(now, feed),
            Input::Resume(target) => self.resume(now, target),
            Input::SeedFailed { id, is_missing, reason } => self.seed_failed(now, id, is_missing, reason),
            Input::Stream { feed, serial, news } => self.stream(now, feed, serial, news),
            Input::Subscribe { url, title, schedule, backlog, rules } => {
                self.subscribe(now, url, title.as_deref(), schedule, backlog, rules);
            }
            Input::Tagged { id, outcome } => self.tagged(now, id, outcome),
            Input::Take(id) => self.take(now, id),
            Input::Tick => {}
        }
        self.tend(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.take()
    }

    /// When to come back with [`Input::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let polls = self.feeds_deadline().filter(|_| self.settings.duty == Duty::Everything);
        let figures = earliest(self.counts_deadline(), earliest(self.shelf_deadline(), self.rest_deadline()));
        let arrivals = earliest(self.hooks_deadline(), self.tags_deadline());
        earliest(earliest(polls, figures), earliest(arrivals, self.queue.deadline()))
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
    pub fn next_poll(&self, feed: FeedId) -> Option<DateTime<Utc>> {
        self.follows.get(feed).filter(|follow| !follow.is_paused)?.poller.next_due()
    }

    /// Whether the feed's event stream stands.
    pub fn is_listening(&self, feed: FeedId) -> bool {
        self.follows.get(feed).is_some_and(|follow| follow.is_told)
    }

    /// Whether all that [`Duty::Once`] is for is done, or cannot be done now.
    pub fn is_settled(&self) -> bool {
        let is_polled = |follow: &Follow| follow.is_paused || follow.is_polled;
        let is_polled = self.settings.duty != Duty::Once || self.follows.iter().all(is_polled);
        let arrivals =
            self.tagger.is_settled() && self.hooks.is_settled() && self.has_gathered() && self.hanger.is_settled();
        is_polled && self.queue.is_settled() && self.shelf.is_settled() && arrivals
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
        self.tend_rest(now);
        self.queue.tick(now.instant);
        self.pass_on_orders();
        self.tend_tags(now);
        self.tend_extras(now);
        self.tend_hooks(now);
        self.tend_shelf(now);
        self.tend_counts(now);
    }
}

#[cfg(test)]
mod tests;
