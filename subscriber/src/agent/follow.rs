//! The agent and its feeds: polling them, hearing from them, taking in what they say.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::time::{Instant, earliest};
use podswarm_core::witness::{self, Nonce};
use podswarm_feeds::poll::{self, Now, Outcome, PollState, Poller};
use url::Url;

use super::agenda::Follow;
use super::catalogue::{Change, Reading, feed_mark};
use super::event::{About, Event};
use super::found::{FoundFeed, MAX_TITLE, cut};
use super::hosts::Turn;
use super::websub::{GRACE, WebSub};
use super::{Agent, Duty, Output, Sources, StreamNews, Target};
use crate::consent::{DecidedBy, Swarms};
use crate::records::{Backlog, Episode, EpisodeId, Feed, FeedId, Left, Stage};
use crate::rules::{RuleName, Rules};
use podswarm_feeds::schedule::{Schedule, Timing};

/// The wall clock is looked at this often: a suspended machine's other clock stands still.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// The wall clock was set, or the machine was suspended, where it has come further than the other by this.
const AHEAD: TimeDelta = TimeDelta::seconds(1);

/// The most event streams that are open at once: each is a connection that stays, of which systems let a program have
/// some hundreds.
const MOST_STREAMS: usize = 128;

/// A feed whose stream finds no room looks for it this often.
const ROOM_AGAIN: Duration = Duration::from_mins(10);

impl Agent {
    /// Begins to follow a feed of the catalogue.
    pub(super) fn follow(&mut self, now: Now, id: FeedId) {
        let Some(feed) = self.catalogue.feed(id) else { return };
        let (state, is_paused) = (feed.poll.clone(), feed.paused);
        let subscription = feed.subscription.clone().filter(|_| self.settings.asks_hubs);
        let websub = WebSub::new(subscription, now);
        let rng = self.rng.fork(u64::from(id.0));
        let poller = Poller::new(state, self.settings.interval, now, rng);
        let is_due = poller.next_due().is_none_or(|at| at <= now.wall);
        self.follows.insert(id, Follow::new(poller, websub, is_paused));
        self.order_treat(id);
        if !is_due {
            // What was missed while nothing ran is made up for first.
            self.name_next_time(now, id);
        }
        if self.settings.duty == Duty::Once && !is_paused {
            self.poll_now(now, id);
        }
    }

    pub(super) fn subscribe(
        &mut self,
        now: Now,
        url: Url,
        title: Option<&str>,
        schedule: Option<Schedule>,
        backlog: Option<Backlog>,
        rules: Rules,
    ) {
        let title = cut(title.unwrap_or_default().trim(), MAX_TITLE).to_owned();
        if let Some(known) = self.catalogue.feed_at(&url).map(|feed| feed.id) {
            if let Some(feed) = self.catalogue.feed_mut(known) {
                feed.is_typed = true;
                if feed.title.is_empty() {
                    feed.title = title;
                }
            }
            if !rules.is_empty() {
                self.edit(now, known, rules, &[], None);
            }
            self.subscribe_again(now, known, schedule, backlog);
            return;
        }
        let mut feed = Feed::new(self.catalogue.free_number(), url, now.wall);
        (feed.title, feed.schedule, feed.backlog, feed.rules) = (title, schedule, backlog.unwrap_or_default(), rules);
        self.begin(now, feed);
    }

    /// Follows feeds that an app has named.
    pub(super) fn follow_for_app(&mut self, now: Now, urls: Vec<Url>) {
        for url in urls {
            if self.catalogue.feed_at(&url).is_none() {
                let feed = Feed::new(self.catalogue.free_number(), url, now.wall);
                self.begin(now, Feed { is_typed: false, ..feed });
            }
        }
    }

    fn begin(&mut self, now: Now, mut feed: Feed) {
        let id = feed.id;
        feed.stamp = self.catalogue.next_stamp(now.wall);
        let again = self.catalogue.drop_left(feed_mark(feed.url().as_str()));
        self.catalogue.put_feed(feed);
        self.save(again.into_iter().collect());
        self.save_feed(id);
        self.follow(now, id);
        self.poll_now(now, id);
    }

    fn subscribe_again(&mut self, now: Now, id: FeedId, schedule: Option<Schedule>, backlog: Option<Backlog>) {
        let Some(feed) = self.catalogue.feed_mut(id) else { return };
        feed.schedule = schedule.or(feed.schedule.take());
        feed.backlog = backlog.unwrap_or(feed.backlog);
        let is_new = feed.is_new();
        self.save_feed(id);
        self.name_next_time(now, id);
        if let Some(backlog) = backlog.filter(|_| !is_new) {
            for id in self.backlog(id, backlog) {
                self.take_as(now, id, false);
            }
        }
        self.poll_now(now, id);
    }

    /// The owner wants other things of a feed from now on.
    pub(super) fn edit(&mut self, now: Now, id: FeedId, rules: Rules, forget: &[RuleName], schedule: Option<Timing>) {
        let before = self.catalogue.sources(id);
        let Some(feed) = self.catalogue.feed_mut(id) else { return };
        feed.rules.forget(forget);
        feed.rules.change(rules);
        let is_unscheduled = schedule == Some(Timing::Unscheduled);
        if let Some(schedule) = schedule {
            feed.schedule = schedule.into();
        }
        self.save_feed(id);
        self.name_next_time(now, id);
        if is_unscheduled && let Some(follow) = self.follows.get_mut(id) {
            follow.poller.handle(now, poll::Input::Scheduled(None));
        }
        self.order_treat(id);
        if self.catalogue.sources(id) != before {
            self.use_other_sources(now, id);
        }
        for episode in self.catalogue.episodes_of(id).map(|episode| episode.id).collect::<Vec<_>>() {
            self.order_tags(episode);
        }
        self.order_picture(id);
        self.look_at_kept(now, id);
    }

    /// The owner says that a feed is elsewhere. What is there stays; what its old host has said of it is forgotten.
    pub(super) fn readdress(&mut self, now: Now, id: FeedId, url: Url) {
        let Some(mut feed) = self.catalogue.feed(id).filter(|feed| *feed.url() != url).cloned() else { return };
        let (counts, was_local) = (feed.poll.counts, feed.is_local);
        let from = std::mem::replace(&mut feed.poll, PollState { counts, ..PollState::new(url) }).url;
        let mut changes = self.moved(now, &mut feed, &from);
        feed.is_typed = true;
        (feed.events_url, feed.last_event_id) = (None, None);
        let (state, to) = (feed.poll.clone(), feed.url().to_string());
        self.catalogue.put_feed(feed.clone());
        changes.push(Change::Feed(Box::new(feed)));
        self.save(changes);
        self.unlisten(now, id);
        let rng = self.rng.fork(u64::from(id.0));
        self.forget_hub(now, id, was_local);
        if let Some(follow) = self.follows.get_mut(id) {
            follow.poller = Poller::new(state, self.settings.interval, now, rng);
        }
        self.tell(Event::Moved { feed_id: id, from: from.into(), feed: to });
    }

    fn order_treat(&mut self, feed: FeedId) {
        let (conduct, sources) = (self.catalogue.terms(feed).conduct, self.catalogue.sources(feed));
        self.outputs.push_back(Output::Treat { feed, conduct, sources });
    }

    /// What is wanted of a feed is fetched from elsewhere from now on; what is complete leaves its swarms or returns.
    fn use_other_sources(&mut self, now: Now, feed: FeedId) {
        for id in self.catalogue.episodes_of(feed).map(|episode| episode.id).collect::<Vec<_>>() {
            if self.catalogue.episode(id).is_some_and(Episode::is_there) && !self.seeds(feed) {
                self.halt(now, id);
            }
            self.go_on(now, id);
        }
    }

    /// The owner has answered whether swarms are taken part in. What is in one leaves it at once if he wants none.
    pub(super) fn consented(&mut self, now: Now, takes_part: bool) {
        self.settings.heed(Some(takes_part));
        if !self.settings.is_http_only() {
            return;
        }
        self.catalogue = std::mem::take(&mut self.catalogue).ruled_by(self.settings.rules.clone());
        self.outside = None;
        for feed in self.follows.ids() {
            self.order_treat(feed);
            self.use_other_sources(now, feed);
            self.close_to_hub(now, feed);
        }
        // What the swarms were for has ended before they do.
        self.pass_on_orders();
        self.outputs.push_back(Output::LeaveSwarms);
    }

    /// Whether swarms are taken part in, of this feed or at all.
    pub fn swarms(&self, feed: Option<FeedId>) -> Swarms {
        let is_plain = |feed| self.catalogue.sources(feed) == Sources::HttpOnly;
        if feed.is_some_and(is_plain) && !self.settings.is_http_only() {
            return Swarms::new(false, DecidedBy::Rule);
        }
        Swarms::new(!self.settings.is_http_only(), self.settings.decided_by)
    }

    /// Why an episode was not taken, where the rules have changed since, as far as they are known.
    pub fn reason_since(&self, episode: &Episode, wall: DateTime<Utc>) -> Option<String> {
        self.catalogue.reason_since(episode, self.settings.acts_by_itself(), wall)
    }

    /// The newest episodes of a feed that could be fetched, as many as the backlog has.
    fn backlog(&self, feed: FeedId, backlog: Backlog) -> Vec<EpisodeId> {
        let mut episodes: Vec<_> =
            self.catalogue.episodes_of(feed).filter(|episode| self.unfetchable(episode).is_none()).collect();
        episodes.sort_by_key(|episode| (episode.when(), episode.id));
        let newest = episodes.into_iter().rev().take(backlog.count());
        newest.filter(|episode| matches!(episode.stage, Stage::Seen { .. })).map(|episode| episode.id).collect()
    }

    pub(super) fn remove(&mut self, now: Now, id: FeedId) {
        let Some((url, is_local)) = self.catalogue.feed(id).map(|feed| (feed.url().to_string(), feed.is_local)) else {
            return;
        };
        if let Some(mut follow) = self.follows.remove(id) {
            if follow.stream.is_on() {
                self.outputs.push_back(Output::Unlisten { feed: id });
            }
            self.leave_hub(now, follow.websub.stop(), is_local);
        }
        for episode in self.catalogue.remove_feed(id) {
            if !self.queue.remove(episode.id) && episode.seeded_as().is_some() {
                self.outputs.push_back(Output::Stop { id: episode.id });
            }
        }
        self.forget_extras(id);
        self.forget_picture(id);
        let mut changes = self.forget_loose(&url);
        changes.push(Change::DropFeed(id));
        let stamp = self.catalogue.next_stamp(now.wall);
        changes.extend(self.catalogue.put_left(Left { url, stamp }));
        self.save(changes);
    }

    pub(super) fn pause(&mut self, now: Now, target: Target) {
        match target {
            Target::All => {
                for id in self.catalogue.feeds().map(|feed| feed.id).collect::<Vec<_>>() {
                    self.pause(now, Target::Feed(id));
                }
            }
            Target::Episode(id) => self.pause_episode(now, id),
            Target::Feed(id) => {
                let Some(feed) = self.catalogue.feed_mut(id) else { return };
                feed.paused = true;
                self.save_feed(id);
                if let Some(follow) = self.follows.get_mut(id) {
                    follow.is_paused = true;
                }
                self.unlisten(now, id);
                self.pause_hub(now, id);
                for id in self.catalogue.episodes_of(id).map(|episode| episode.id).collect::<Vec<_>>() {
                    self.halt(now, id);
                }
            }
        }
    }

    pub(super) fn resume(&mut self, now: Now, target: Target) {
        match target {
            Target::All => {
                for id in self.catalogue.feeds().map(|feed| feed.id).collect::<Vec<_>>() {
                    self.resume(now, Target::Feed(id));
                }
            }
            Target::Episode(id) => self.resume_episode(now, id),
            Target::Feed(id) => {
                let Some(feed) = self.catalogue.feed_mut(id) else { return };
                feed.paused = false;
                self.save_feed(id);
                if let Some(follow) = self.follows.get_mut(id) {
                    follow.is_paused = false;
                    follow.websub.wake(now, Duration::ZERO);
                }
                for id in self.catalogue.episodes_of(id).map(|episode| episode.id).collect::<Vec<_>>() {
                    self.go_on(now, id);
                }
            }
        }
    }

    /// Polls because the owner says so, paused or not.
    pub(super) fn poll_now(&mut self, now: Now, id: FeedId) {
        if let Some(follow) = self.follows.get_mut(id) {
            follow.poller.handle(now, poll::Input::Forced);
            self.drain_poller(now, id);
        }
    }

    pub(super) fn polled(
        &mut self,
        now: Now,
        id: FeedId,
        mut reply: poll::Reply,
        found: Option<Box<FoundFeed>>,
        is_local: bool,
    ) {
        // Two feeds stay two, also where one of them has moved to the other.
        reply.moved_to.take_if(|to| self.catalogue.feed_at(to).is_some_and(|there| there.id != id));
        let Some(follow) = self.follows.get_mut(id) else { return };
        follow.is_polled = true;
        let outcome = reply.outcome.clone();
        follow.poller.handle(now, poll::Input::Replied(reply));
        let state = follow.poller.state().clone();
        let has_more = found.as_ref().is_some_and(|found| found.has_more);
        let reading = found.map(|found| self.take_in(now, id, *found, is_local)).unwrap_or_default();
        let Some(mut feed) = self.catalogue.feed(id).cloned() else { return };
        let from = std::mem::replace(&mut feed.poll, state).url;
        let mut changes = reading.changes.clone();
        if *feed.url() != from {
            changes.extend(self.moved(now, &mut feed, &from));
        }
        let (url, title, last_error) = (feed.url().to_string(), feed.name().to_owned(), feed.poll.last_error.clone());
        self.catalogue.put_feed(feed.clone());
        // The feed comes last: its validators must not be remembered before what they stand for.
        changes.push(Change::Feed(Box::new(feed)));
        self.save(changes);
        self.tell(match outcome {
            Outcome::Body { .. } | Outcome::NotModified => {
                let status = if outcome == Outcome::NotModified { 304 } else { 200 };
                let (new, wanted) = (reading.new, reading.wanted.len() + reading.revised.len());
                Event::Polled { feed_id: id, feed: url, title, status, new, wanted, has_more }
            }
            Outcome::Failed { .. } | Outcome::Gone | Outcome::Throttled { .. } => {
                Event::PollFailed { feed_id: id, feed: url, reason: last_error.unwrap_or_default() }
            }
        });
        if reading.new > 0 {
            self.claim_loose(now, id);
        }
        self.act_on(now, &reading);
        self.order_extras(now, id);
        self.drain_poller(now, id);
    }

    /// Brings the catalogue up to what the feed says.
    fn take_in(&mut self, now: Now, id: FeedId, found: FoundFeed, is_local: bool) -> Reading {
        if let Some(feed) = self.catalogue.feed_mut(id) {
            (feed.language, feed.author, feed.image) = (found.language, found.author, found.image);
        }
        let mut reading = self.catalogue.read(id, found.items, now.wall);
        self.catalogue.take_back(id, found.key, &found.withdrawn, &mut reading);
        let Some(feed) = self.catalogue.feed(id) else { return reading };
        let is_new = feed.is_new();
        let title = match found.title {
            title if !title.is_empty() => title,
            _ if !feed.title.is_empty() => feed.title.clone(),
            _ => feed.url().host_str().unwrap_or("Untitled").to_owned(),
        };
        let folder = if is_new { self.catalogue.free_folder(&title) } else { feed.folder.clone() };
        let topic = found.topic.as_ref().unwrap_or(feed.url()).to_string();
        self.hubs_named(now, id, found.hubs, topic, found.events_url.is_some());
        let Some(feed) = self.catalogue.feed(id) else { return reading };
        let events_url = found.events_url.map(String::from);
        let stream_moved = feed.events_url != events_url;
        let mut feed = feed.clone();
        (feed.title, feed.folder, feed.is_local) = (title, folder, is_local);
        feed.subscription = self.follows.get(id).and_then(|follow| follow.websub.held()).cloned();
        if stream_moved {
            (feed.events_url, feed.last_event_id) = (events_url, None);
            self.unlisten(now, id);
        }
        self.catalogue.put_feed(feed);
        reading
    }

    /// Does what a reading of a feed calls for.
    fn act_on(&mut self, now: Now, reading: &Reading) {
        for id in reading.revised.iter().chain(&reading.withdrawn) {
            self.halt(now, *id);
        }
        let about = |agent: &Self, id: EpisodeId| agent.catalogue.episode(id).map(About::new);
        for (id, reason) in &reading.skipped {
            if let Some(episode) = about(self, *id) {
                self.tell(Event::Skipped { episode, reason: reason.clone() });
            }
        }
        for id in &reading.wanted {
            if let Some(episode) = about(self, *id) {
                self.tell(Event::New { episode });
            }
        }
        for id in &reading.revised {
            if let Some(episode) = about(self, *id) {
                self.tell(Event::Revised { episode });
            }
        }
        for id in &reading.withdrawn {
            if let Some(episode) = about(self, *id) {
                self.tell(Event::Withdrawn { episode });
            }
        }
        for change in &reading.changes {
            if let Change::Episode(episode) = change
                && episode.is_wanted()
            {
                self.go_on(now, episode.id);
            }
        }
    }

    pub(super) fn stream(&mut self, now: Now, id: FeedId, serial: u64, news: StreamNews) {
        let Some(follow) = self.follows.get_mut(id).filter(|follow| follow.stream.is_current(serial)) else { return };
        match news {
            StreamNews::Open => {
                follow.is_told = true;
                follow.websub.spare();
                // What was released while nobody listened, and is not replayed, is in the feed.
                follow.poller.handle(now, poll::Input::Forced);
                if let Some(feed) = self.catalogue.feed(id) {
                    let feed = feed.url().to_string();
                    self.tell(Event::StreamOpen { feed_id: id, feed });
                }
                for id in self.catalogue.episodes_of(id).map(|episode| episode.id).collect::<Vec<_>>() {
                    // The publisher is back; so may its files be.
                    self.queue.hurry(now.instant, id);
                }
            }
            StreamNews::Asked { nonce } => self.connect_back(now, id, nonce),
            StreamNews::Event { last_id } => {
                follow.poller.handle(now, poll::Input::Pushed);
                if let Some(feed) = self.catalogue.feed_mut(id) {
                    // It is saved with the poll that it causes: until then the event counts as unseen.
                    feed.last_event_id = last_id;
                }
            }
            StreamNews::Lost { retry } => {
                follow.is_told = false;
                follow.stream.lost(now.instant, retry, &mut self.rng);
                follow.websub.wake(now, GRACE);
            }
        }
        self.drain_poller(now, id);
    }

    /// Connects back to a feed's publisher who asks for it, if the owner lets us, and not often.
    ///
    /// To the feed's own host, and to no other: neither to one in our own network, nor where the feed says that its
    /// events are.
    fn connect_back(&mut self, now: Now, id: FeedId, nonce: Nonce) {
        let (Some(feed), Some(follow)) = (self.catalogue.feed(id), self.follows.get_mut(id)) else { return };
        if !self.settings.connects_back || feed.is_local || !follow.rest(now.instant).is_zero() {
            return;
        }
        let events = feed.events_url.as_deref().and_then(|url| Url::parse(url).ok());
        let Some(events) = events.filter(|events| events.host() == feed.url().host()) else { return };
        if let Ok(url) = events.join(&format!("{}/{nonce}", witness::PATH)) {
            follow.connected_back = Some(now.instant);
            self.outputs.push_back(Output::ConnectBack { feed: id, url, nonce });
        }
    }

    /// When a feed is to be looked at, or the wall clock.
    pub(super) fn feeds_deadline(&self) -> Option<Instant> {
        let next = self.follows.deadline()?;
        earliest(Some(next), Some(self.looked.instant + LOOK_AGAIN))
    }

    /// Polls and connects what is due.
    pub(super) fn tend_feeds(&mut self, now: Now) {
        let passed = |time: Duration| TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        let is_ahead = now.wall - self.looked.wall - passed(now.instant - self.looked.instant) > AHEAD;
        if is_ahead || now.instant - self.looked.instant >= LOOK_AGAIN {
            self.looked = now;
        }
        self.note_feeds();
        let due = if is_ahead { self.follows.ids() } else { self.follows.due(now.instant) };
        for id in due {
            self.tend_feed(now, id);
        }
        self.note_feeds();
        if is_ahead {
            // What was to be deleted meanwhile is.
            self.look_at_all(now);
        }
    }

    fn note_feeds(&mut self) {
        let Self { follows, catalogue, .. } = self;
        follows.write_down(|id| catalogue.feed(id).is_some_and(|feed| feed.events_url.is_some()));
    }

    /// Polls and connects a feed, as far as it is due.
    fn tend_feed(&mut self, now: Now, id: FeedId) {
        let Some(follow) = self.follows.get_mut(id).filter(|follow| !follow.is_paused) else { return };
        let is_due = follow.poller.is_due(now);
        follow.turn = if is_due { self.hosts.turn(now.instant, &follow.poller.state().url) } else { Turn::Now };
        if follow.turn == Turn::Now {
            follow.poller.handle(now, poll::Input::Tick);
            self.drain_poller(now, id);
        }
        self.listen(now, id);
        self.tend_hub(now, id);
    }

    /// Connects the feed's event stream, if it has one, its time has come and there is room.
    fn listen(&mut self, now: Now, id: FeedId) {
        let is_due = self.follows.get(id).is_some_and(|follow| follow.stream.is_due(now.instant));
        let Some(feed) = self.catalogue.feed(id).filter(|_| is_due) else { return };
        let Some(url) = feed.events_url.clone() else { return };
        let is_full = self.follows.iter().filter(|follow| follow.stream.is_on()).count() >= MOST_STREAMS;
        let Some(follow) = self.follows.get_mut(id) else { return };
        if is_full {
            // It is polled meanwhile as one that has none.
            follow.stream.put_off(now.instant + self.rng.jitter(ROOM_AGAIN, 50));
        } else if let Some(serial) = follow.stream.connect_if_due(now.instant) {
            let (last_event_id, is_local) = (feed.last_event_id.clone(), feed.is_local);
            let rest = follow.rest(now.instant);
            self.outputs.push_back(Output::Listen { feed: id, serial, url, last_event_id, is_local, rest });
        }
    }

    fn unlisten(&mut self, now: Now, id: FeedId) {
        let Some(follow) = self.follows.get_mut(id) else { return };
        follow.is_told = false;
        follow.websub.wake(now, GRACE);
        if follow.stream.is_on() {
            self.outputs.push_back(Output::Unlisten { feed: id });
        }
        follow.stream.turn_off();
    }

    pub(super) fn drain_poller(&mut self, now: Now, id: FeedId) {
        while let Some(output) = self.follows.get_mut(id).and_then(|follow| follow.poller.poll()) {
            match output {
                poll::Output::Fetch(fetch) => {
                    self.hosts.asked(&fetch.url);
                    let known = self.catalogue.newest_guids(id);
                    let is_typed = self.catalogue.feed(id).is_none_or(|feed| feed.is_typed);
                    self.outputs.push_back(Output::Poll { feed: id, fetch, known, is_typed });
                    self.name_next_time(now, id);
                }
                poll::Output::Moved { from, to } => {
                    self.tell(Event::Moved { feed_id: id, from: from.into(), feed: to.into() });
                }
                // The failed poll has told of it.
                poll::Output::Gone => {}
            }
        }
    }

    /// A feed was at `from` and is elsewhere now. Who typed a public address has not typed what it leads to.
    fn moved(&mut self, now: Now, feed: &mut Feed, from: &Url) -> Vec<Change> {
        feed.is_typed &= feed.is_local || feed.url().host() == from.host();
        let mark = feed_mark(feed.url().as_str());
        if mark == feed_mark(from.as_str()) {
            return Vec::new();
        }
        // Apps know feeds by their addresses.
        let left = Left { url: from.to_string(), stamp: self.catalogue.next_stamp(now.wall) };
        let again = self.catalogue.drop_left(mark);
        let changes = again.into_iter().chain(self.catalogue.put_left(left)).collect();
        feed.stamp = self.catalogue.next_stamp(now.wall);
        changes
    }

    /// Tells the poller when the owner's schedule comes round next.
    fn name_next_time(&mut self, now: Now, id: FeedId) {
        let schedule = self.catalogue.feed(id).and_then(|feed| feed.schedule.as_ref());
        if let (Some(schedule), Some(follow)) = (schedule, self.follows.get_mut(id)) {
            let next = schedule.next_after(now.wall, self.settings.zone);
            follow.poller.handle(now, poll::Input::Scheduled(next));
        }
    }
}
