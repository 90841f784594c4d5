//! The agent in a simulated world: what it does over months, through restarts and failures.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use podswarm_core::app::Space;
use podswarm_core::app::hook::{Undelivered, WAITS};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::Conduct;
use podswarm_core::rate::Rate;
use podswarm_core::witness::Nonce;
use podswarm_feeds::Withdrawal;
use podswarm_feeds::poll::{self, Outcome, Reply, Validators};
use podswarm_feeds::schedule::{Schedule, Timing};
use url::Url;

use super::found::{Found, FoundFeed};
use super::plan::{Prepared, TorrentFacts};
use super::queue::{Fault, Progress};
use super::share::{Enough, SeedRatio, SeedTime};
use super::testing::{hash, http, now, show_key, torrent, wall, withdrawal};
use super::*;
use crate::consent::{DecidedBy, Swarms};
use crate::records::{Backlog, Episode, Expiry, Feed, Source, Stage, Tagged, Why};
use crate::rules::{Choice, RuleName, Rules, Span, Take};

const FEED: FeedId = FeedId(1);
const URL: &str = "http://host.example/feed.xml";

/// An agent in a world where everything is answered at once: one feed, its files, a disk and a store.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct World {
    agent: Agent,
    secs: u64,
    items: Vec<Found>,
    /// What the feed says was taken back.
    withdrawn: Vec<Withdrawal>,
    events_url: Option<Url>,
    hubs: Vec<Url>,
    /// What hubs were asked, what they were told at parting, and what was answered them.
    asked: Vec<websub::Request>,
    left: Vec<websub::Farewell>,
    echoes: Vec<Option<String>>,
    /// Changes with the feed.
    version: u64,
    is_down: bool,
    /// What the torrents turn out to be, by the source's address; the feed is right about the others.
    torrents: BTreeMap<String, InfoHash>,
    /// What torrents turn out to be, if that is not told yet.
    late: Option<Vec<Input>>,
    /// What was deleted unfinished.
    discarded: Vec<String>,
    /// Downloads that start never end.
    is_slow: bool,
    /// The feed's host is in our own network.
    is_local: bool,
    feeds: BTreeMap<FeedId, Feed>,
    episodes: BTreeMap<EpisodeId, Episode>,
    events: Vec<Event>,
    polls: Vec<(DateTime<Utc>, bool)>,
    /// Every download that was started, by its source's address.
    started: Vec<String>,
    /// The last attempt at each download.
    attempts: BTreeMap<EpisodeId, u64>,
    seeded: Vec<EpisodeId>,
    stopped: Vec<EpisodeId>,
    listening: Option<u64>,
    /// How long we do not connect back, as was said when the stream was opened.
    rest: Duration,
    /// Files that were to be deleted, and those of them that their owner has changed.
    deleted: Vec<EpisodeId>,
    changed: Vec<EpisodeId>,
    /// What is sent of episodes in this run.
    sent: Vec<(EpisodeId, u64)>,
    /// How the episodes of the feed were to be treated, one after another.
    conducts: Vec<Conduct>,
    /// They were last to be in no swarm.
    is_plain: bool,
    /// Where publishers were shown that we get to them.
    shown: Vec<String>,
    /// The hooks that were done, for which episodes.
    hooked: Vec<(u64, String, String)>,
    /// What comes of them; `None` if they hang.
    hooks_end: Option<Result<(), Undelivered>>,
    /// The covers and chapters that were looked at, and where.
    gathered: Vec<(Extra, String)>,
    /// What the show's cover is called.
    cover: String,
    /// What was put into the show's folder, and with a dash what was taken away.
    pictures: Vec<String>,
    /// The files that were written to, and what comes of it where it is not done.
    tagged: Vec<EpisodeId>,
    tags_end: Option<TagOutcome>,
    /// The agent ends when the copy is to take the file's place.
    is_killed_at_put: bool,
    /// The disk takes no picture.
    is_refusing: bool,
}

fn settings(duty: Duty) -> Settings {
    Settings {
        duty,
        library: "/library".into(),
        downloads: 4,
        downloads_per_host: 2,
        interval: Duration::from_mins(30),
        zone: Tz::UTC,
        seeding: Seeding::On,
        seed_at: Vec::new(),
        on_metered: OnMetered::SeedNothing,
        enough: Enough::default(),
        connects_back: true,
        asks_hubs: true,
        rules: Rules::default(),
        decided_by: DecidedBy::Nobody,
        limits: Limits::default(),
    }
}

impl World {
    fn with(settings: Settings) -> Self {
        let agent = Agent::new(settings, Catalogue::default(), now(0), Rng::from_seed_u64(1));
        Self {
            agent,
            secs: 0,
            items: Vec::new(),
            withdrawn: Vec::new(),
            events_url: None,
            hubs: Vec::new(),
            asked: Vec::new(),
            left: Vec::new(),
            echoes: Vec::new(),
            version: 0,
            is_down: false,
            torrents: BTreeMap::new(),
            late: None,
            discarded: Vec::new(),
            is_slow: false,
            is_local: false,
            feeds: BTreeMap::new(),
            episodes: BTreeMap::new(),
            events: Vec::new(),
            polls: Vec::new(),
            started: Vec::new(),
            attempts: BTreeMap::new(),
            seeded: Vec::new(),
            stopped: Vec::new(),
            listening: None,
            rest: Duration::ZERO,
            deleted: Vec::new(),
            changed: Vec::new(),
            sent: Vec::new(),
            conducts: Vec::new(),
            is_plain: false,
            shown: Vec::new(),
            hooked: Vec::new(),
            hooks_end: Some(Ok(())),
            gathered: Vec::new(),
            cover: "1.png".to_owned(),
            pictures: Vec::new(),
            tagged: Vec::new(),
            tags_end: None,
            is_killed_at_put: false,
            is_refusing: false,
        }
    }

    fn new() -> Self {
        Self::with(settings(Duty::Everything))
    }

    /// A world whose agent follows the feed, with these items in it from the beginning.
    fn following(items: Vec<Found>) -> Self {
        let mut world = Self::new();
        world.items = items;
        world.subscribe(None);
        world
    }

    fn subscribe(&mut self, schedule: Option<&str>) {
        let schedule = schedule.map(|schedule| schedule.parse().unwrap());
        self.subscribe_with(schedule, None, Rules::default());
    }

    fn subscribe_with(&mut self, schedule: Option<Schedule>, backlog: Option<Backlog>, rules: Rules) {
        self.input(Input::Subscribe { url: URL.parse().unwrap(), title: None, schedule, backlog, rules });
    }

    fn release(&mut self, item: Found) {
        self.items.insert(0, item);
        self.version += 1;
    }

    fn input(&mut self, input: Input) {
        self.agent.handle(now(self.secs), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.agent.poll() {
            let Some(answer) = self.act(output) else { continue };
            // The law of one mutation and one drain: the rest of the outputs come first.
            let mut answers = vec![answer];
            while let Some(output) = self.agent.poll() {
                answers.extend(self.act(output));
            }
            for answer in answers {
                self.input(answer);
            }
        }
    }

    fn act(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::ConnectBack { url, nonce, .. } => {
                assert!(url.path().ends_with(&nonce.to_string()));
                self.shown.push(url.to_string());
            }
            Output::AnswerHub { echo, .. } => self.echoes.push(echo),
            Output::AskHub { feed, request, .. } => {
                let saved = self.feeds[&feed].subscription.as_ref().expect("it is written down");
                assert_eq!((&saved.token, &saved.secret), (&request.token, &request.secret));
                self.asked.push(request);
            }
            Output::LeaveHub { farewell, .. } => self.left.push(farewell),
            Output::LeaveSwarms => assert!(!self.stopped.is_empty(), "what is seeded has stopped"),
            Output::Count => return Some(Input::Counted(self.sent.clone())),
            Output::Listen { serial, rest, .. } => (self.listening, self.rest) = (Some(serial), rest),
            Output::Unlisten { .. } => self.listening = None,
            Output::Delete { id, .. } => {
                let outcome = if self.changed.contains(&id) { Deletion::Changed } else { Deletion::Done };
                self.deleted.push(id);
                return Some(Input::Deleted { id, outcome });
            }
            Output::Hook { serial, hook, arrival } => {
                assert!(!self.episodes[&arrival.episode.id].due.is_empty(), "what is begun was written down");
                self.hooked.push((serial, hook.to_string(), arrival.episode.guid));
                return self.hooks_end.clone().map(|outcome| Input::Hooked { serial, outcome });
            }
            Output::Measure => {
                let space = Space { available: 50 << 30, total: 100 << 30 };
                return Some(Input::Measured { space: Ok(space), outstanding: 0 });
            }
            Output::Poll { feed, fetch, .. } => return Some(self.answer_poll(feed, &fetch)),
            Output::Prepare(Prepare { id, attempt, source, .. }) => {
                let prepared = self.prepare(id, attempt, &source);
                match self.late.as_mut().filter(|_| matches!(source, Source::Torrent(_))) {
                    Some(late) => late.push(prepared),
                    None => return Some(prepared),
                }
            }
            Output::Save(changes) => self.save(changes),
            Output::Seed(Seed { id, .. }) => self.seeded.push(id),
            Output::Start(Start { id, attempt, source, plan, .. }) => {
                self.started.push(source.address().to_owned());
                self.attempts.insert(id, attempt);
                let length = plan.length.unwrap_or(7);
                let whole = Whole { length, info_hash: plan.info_hash, print: Some(1) };
                return (!self.is_slow).then_some(Input::Done { id, attempt, whole });
            }
            Output::Gather { extra, url, .. } => {
                let name = matches!(extra, Extra::Cover(_)).then(|| self.cover.clone());
                self.gathered.push((extra, url));
                return Some(Input::Gathered { extra, name });
            }
            Output::PutPicture(PutPicture { feed, name, ours, .. }) => {
                let saved = &self.feeds[&feed].pictures;
                assert!(*saved == ours && ours.contains(&name), "it is written down: {saved:?} {ours:?}");
                self.pictures.push(name.clone());
                let left = (!self.is_refusing).then(|| vec![name]);
                return (!self.is_killed_at_put).then_some(Input::Pictured { feed, left });
            }
            Output::TakePicture { feed, ours, .. } => {
                self.pictures.push(format!("-{}", ours.join("-")));
                return Some(Input::Pictured { feed, left: Some(Vec::new()) });
            }
            // What is aside answers as it would without.
            Output::DropAside { .. } | Output::SetAside { .. } => {}
            Output::Discard { file, .. } => self.discarded.push(file),
            Output::Stop { id } => self.stopped.push(id),
            Output::Tag(Tag { id, tags, print, .. }) => {
                assert!(!self.is_exchanged(id), "peers have the very same bytes");
                assert_eq!((tags.show.as_str(), tags.author.as_deref(), print), ("Show", Some("Ann"), 1));
                let outcome = self.tags_end.clone().unwrap_or(TagOutcome::Copied { print: 2 });
                return Some(Input::Tagged { id, outcome });
            }
            Output::PutTagged { id, print, copy, .. } => {
                let custody = self.episodes[&id].custody;
                assert_eq!(
                    (custody.print, custody.tagged, copy),
                    (Some(print), Tagged::Soon(2), 2),
                    "it is written down"
                );
                if self.is_killed_at_put {
                    return None;
                }
                self.tagged.push(id);
                return Some(Input::Tagged { id, outcome: TagOutcome::Written { length: 1100 } });
            }
            Output::Tell(event) => self.tell(event),
            Output::Treat { conduct, sources, .. } => {
                self.conducts.push(conduct);
                self.is_plain = sources == Sources::HttpOnly;
            }
        }
        None
    }

    fn answer_poll(&mut self, feed: FeedId, fetch: &poll::Fetch) -> Input {
        self.polls.push((wall(self.secs), fetch.unconditional));
        if self.is_down {
            let reply = Reply::failed("refused");
            return Input::Polled { feed, url: fetch.url.clone(), reply, found: None, is_local: false };
        }
        let etag = Some(format!("\"{}\"", self.version));
        let is_unchanged = fetch.etag == etag;
        let validators = Validators { etag, last_modified: None };
        let outcome = if is_unchanged {
            Outcome::NotModified
        } else {
            Outcome::Body { validators, ttl: None, skip_hours: poll::SkipHours::default() }
        };
        let found = FoundFeed {
            has_more: false,
            title: "Show".to_owned(),
            language: Some("en-us".to_owned()),
            author: Some("Ann".to_owned()),
            image: Some("http://host.example/cover.png".to_owned()),
            events_url: self.events_url.clone(),
            hubs: self.hubs.clone(),
            topic: None,
            key: Some(show_key(1)),
            withdrawn: self.withdrawn.clone(),
            items: self.items.clone(),
        };
        let found = (!is_unchanged).then(|| Box::new(found));
        let reply = Reply { outcome, moved_to: None, astray: None, max_age: None, bytes: 1000 };
        Input::Polled { feed, url: fetch.url.clone(), reply, found, is_local: self.is_local }
    }

    fn prepare(&self, id: EpisodeId, attempt: u64, source: &Source) -> Input {
        let torrent = matches!(source, Source::Torrent(_)).then(|| {
            let said = self.agent.catalogue().episode(id).unwrap().offer.info_hash;
            let info_hash = self.torrents.get(source.address()).copied().or(said).unwrap();
            TorrentFacts { info_hash, length: 1000, name: "media.mp3".to_owned(), is_single_file: true }
        });
        Input::Prepared { id, attempt, prepared: Prepared { torrent, ..Prepared::default() } }
    }

    fn save(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::DropFeed(id) => {
                    self.feeds.remove(&id);
                    self.episodes.retain(|episode, _| episode.feed != id);
                }
                Change::DropEpisode(id) => drop(self.episodes.remove(&id)),
                Change::Episode(episode) => drop(self.episodes.insert(episode.id, *episode)),
                Change::Feed(feed) => drop(self.feeds.insert(feed.id, *feed)),
                Change::DropLeft(_) | Change::DropLoose(_) | Change::Left(_) | Change::Loose(_) | Change::Notes(_) => {}
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if let Event::Complete { episode, .. } = &event {
            let saved = &self.episodes[&episode.id];
            assert!(matches!(saved.stage, Stage::Complete { .. }), "nothing is promised before it is saved");
        }
        self.events.push(event);
    }

    /// Lets time pass, as often as the agent asks for.
    fn pass(&mut self, secs: u64) {
        let end = self.secs + secs;
        while let Some(deadline) = self.agent.deadline() {
            let at = deadline.as_nanos().div_ceil(1_000_000_000).max(self.secs);
            if at > end {
                break;
            }
            self.secs = at;
            self.input(Input::Tick);
        }
        self.secs = end;
    }

    /// The process is killed and started again; what was saved is there.
    fn restart(&mut self, settings: Settings) {
        let (feeds, episodes) = (self.feeds.values().cloned().collect(), self.episodes.values().cloned().collect());
        self.listening = None;
        self.sent.clear();
        self.agent = Agent::new(settings, Catalogue::new(feeds, episodes, 0), now(self.secs), Rng::from_seed_u64(2));
        self.drain();
    }

    fn stream(&mut self, news: StreamNews) {
        let serial = self.listening.expect("the agent listens");
        self.input(Input::Stream { feed: FEED, serial, news });
    }

    fn complete(&self) -> Vec<&str> {
        let is_complete = |episode: &&Episode| matches!(episode.stage, Stage::Complete { .. });
        self.agent.catalogue().episodes().filter(is_complete).map(|episode| episode.guid.as_str()).collect()
    }
}

#[test]
fn a_month_of_weekly_episodes_is_fetched_once_each_and_politely() {
    let mut world = World::following(vec![http("w0", 0), http("old", 7)]);
    for week in 1..=4 {
        world.pass(7 * 86_400);
        world.release(http(&format!("w{week}"), 0));
    }
    world.pass(86_400);
    assert_eq!(world.complete(), ["w0", "w1", "w2", "w3", "w4"]);
    assert_eq!(world.started.len(), 5);
    let days = 29;
    assert!((world.polls.len() as u64).abs_diff(days * 48) < days * 6, "{} polls", world.polls.len());
    let full = world.polls.iter().filter(|(_, unconditional)| *unconditional).count();
    assert!(full <= 12, "{full} polls in full");
    // A minute is not always the same minute.
    let minutes: BTreeSet<_> = world.polls.iter().map(|(at, _)| at.format("%M").to_string()).collect();
    assert!(minutes.len() > 30, "{minutes:?}");
}

#[test]
fn an_event_brings_the_episode_within_the_same_moment() {
    let mut world = World::new();
    world.events_url = Some("http://host.example/events".parse().unwrap());
    world.subscribe(None);
    world.stream(StreamNews::Open);
    world.pass(100);
    let polls = world.polls.len();
    world.release(torrent("a", 0, hash(1)));
    world.stream(StreamNews::Event { last_id: Some("7".to_owned()) });
    assert_eq!(world.started, ["http://host.example/a.torrent"]);
    assert_eq!(world.polls.len(), polls + 1);
    assert_eq!(world.feeds[&FEED].last_event_id.as_deref(), Some("7"));
}

#[test]
fn what_was_released_while_the_stream_was_down_is_found_when_it_stands_again() {
    let mut world = World::new();
    world.events_url = Some("http://host.example/events".parse().unwrap());
    world.subscribe(None);
    world.stream(StreamNews::Open);
    world.stream(StreamNews::Lost { retry: None });
    world.release(http("a", 0));
    world.listening = None;
    world.pass(10);
    world.stream(StreamNews::Open);
    assert_eq!(world.complete(), ["a"]);
}

/// A world whose feed names a hub, which has confirmed that it tells of it for ten days.
fn told_by_a_hub() -> World {
    let mut world = World::new();
    world.hubs = vec!["http://hub.example/".parse().unwrap()];
    world.subscribe(None);
    assert!(world.asked.is_empty(), "nothing leads to us");
    assert!(world.hub().trouble.unwrap().contains("not reached"));
    world.input(Input::Outside(Some("198.18.0.1:7000".parse().unwrap())));
    world.confirm();
    world
}

impl World {
    fn hub(&self) -> HubState {
        self.agent.hub_state(FEED, wall(self.secs)).expect("the feed names one")
    }

    /// The hub that was asked last takes it, and comes to verify it.
    fn confirm(&mut self) {
        let request = self.asked.last().expect("a hub was asked").clone();
        let callback = websub::callback_at("198.18.0.1:7000".parse().unwrap(), &request.token);
        self.input(Input::HubAnswered { feed: FEED, serial: request.serial, outcome: Ok(callback) });
        let lease = Some(Duration::from_hours(240));
        let question = websub::Question::Subscribe { topic: URL.to_owned(), challenge: "echo".to_owned(), lease };
        self.input(Input::HubCame { visit: 1, token: request.token, question });
        assert_eq!(self.echoes.pop(), Some(Some("echo".to_owned())));
    }
}

#[test]
fn what_a_hub_tells_is_fetched_at_once_and_a_restart_keeps_it() {
    let mut world = told_by_a_hub();
    let request = world.asked[0].clone();
    assert_eq!((request.hub.as_str(), request.topic.as_str()), ("http://hub.example/", URL));
    assert!(matches!(world.events.last(), Some(Event::HubOpen { hub, .. }) if hub == "hub.example"));
    assert_eq!(world.hub().until, Some(wall(240 * 3600)));
    world.restart(settings(Duty::Everything));
    assert_eq!(world.agent.hub_secret(&request.token), Some(request.secret.as_str()));
    assert_eq!(world.agent.hub_secret(&request.secret[..32]), None);
    world.pass(100);
    let polls = world.polls.len();
    world.release(http("a", 0));
    world.input(Input::HubTold { token: request.secret[..32].to_owned() });
    assert_eq!(world.polls.len(), polls);
    world.input(Input::HubTold { token: request.token.clone() });
    assert_eq!((world.complete(), world.polls.len()), (vec!["a"], polls + 1));
    // A hub that never falls silent has us ask no more often than an event stream has.
    for _ in 0..600 {
        world.input(Input::HubTold { token: request.token.clone() });
        world.pass(1);
    }
    assert!(world.polls.len() < polls + 60, "{} polls", world.polls.len() - polls);
    assert_eq!(world.asked.len(), 1, "it was asked once");
}

#[test]
fn a_lease_is_renewed_in_time_and_where_we_are_reached_elsewhere_at_once() {
    let mut world = told_by_a_hub();
    for asked in [2, 3] {
        let until = world.hub().until.expect("it tells us");
        while world.asked.len() < asked && wall(world.secs) < until {
            world.pass(60);
        }
        assert!((20_000..200_000).contains(&(until - wall(world.secs)).num_seconds()), "{until} {}", world.secs);
        world.confirm();
        assert_eq!(world.hub().until, Some(wall(world.secs + 240 * 3600)));
    }
    assert_eq!(world.asked.len(), 3);
    world.input(Input::Outside(None));
    world.input(Input::Outside(Some("198.18.0.1:7000".parse().unwrap())));
    assert_eq!(world.asked.len(), 3);
    world.input(Input::Outside(Some("198.18.0.1:7001".parse().unwrap())));
    assert_eq!(world.asked.len(), 4);
}

#[test]
fn a_feed_that_is_paused_or_removed_is_left_and_its_hub_is_told_so() {
    let mut world = told_by_a_hub();
    let question = websub::Question::Unsubscribe { topic: URL.to_owned(), challenge: "bye".to_owned() };
    for round in 0..2 {
        let token = world.asked.last().unwrap().token.clone();
        if round == 0 {
            world.input(Input::Pause(Target::Feed(FEED)));
        } else {
            world.input(Input::Remove(FEED));
        }
        assert_eq!(world.left.pop().unwrap().token, token);
        assert_eq!(world.agent.hub_secret(&token), None);
        world.input(Input::HubCame { visit: 2, token: token.clone(), question: question.clone() });
        assert_eq!(world.echoes.pop(), Some(Some("bye".to_owned())));
        world.input(Input::HubCame { visit: 3, token: "0".repeat(32), question: question.clone() });
        assert_eq!(world.echoes.pop(), Some(None));
        if round == 0 {
            world.pass(86_400);
            assert_eq!(world.asked.len(), 1);
            world.input(Input::Resume(Target::Feed(FEED)));
            assert_ne!(world.asked.last().unwrap().token, token);
            world.confirm();
        }
    }
    world.pass(20 * 86_400);
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn an_owner_who_wants_no_hubs_has_none() {
    let mut world = told_by_a_hub();
    let token = world.asked[0].token.clone();
    world.restart(Settings { asks_hubs: false, ..settings(Duty::Everything) });
    assert_eq!((world.agent.hub_secret(&token), world.agent.hub_state(FEED, wall(0))), (None, None));
    world.input(Input::Outside(Some("198.18.0.1:7001".parse().unwrap())));
    world.release(http("a", 0));
    world.pass(20 * 86_400);
    assert_eq!((world.complete(), world.asked.len()), (vec!["a"], 1));
}

#[test]
fn a_hub_is_asked_only_while_no_event_stream_tells() {
    let mut world = World::new();
    world.hubs = vec!["http://hub.example/".parse().unwrap()];
    world.events_url = Some("http://host.example/events".parse().unwrap());
    world.input(Input::Outside(Some("198.18.0.1:7000".parse().unwrap())));
    world.subscribe(None);
    world.stream(StreamNews::Open);
    world.pass(20 * 86_400);
    assert!(world.asked.is_empty());
    world.stream(StreamNews::Lost { retry: None });
    world.listening = None;
    world.pass(websub::GRACE.as_secs() - 1);
    assert!(world.asked.is_empty());
    world.pass(2);
    world.confirm();
    assert_eq!(world.asked.len(), 1);
    // One that is there again does for the rest of the time.
    world.stream(StreamNews::Open);
    world.pass(20 * 86_400);
    assert_eq!((world.asked.len(), world.hub().until, world.left.len()), (1, None, 0));
}

#[test]
fn a_publisher_who_asks_is_shown_that_we_get_to_him_and_not_often() {
    let nonces: Vec<Nonce> = (0..9).map(|n| Nonce::generate(&mut Rng::from_seed_u64(n))).collect();
    let mut world = World::new();
    world.events_url = Some("http://host.example:8080/shows/x/events?all".parse().unwrap());
    world.subscribe(None);
    world.stream(StreamNews::Open);
    let polls = world.polls.len();
    for nonce in &nonces[..3] {
        world.stream(StreamNews::Asked { nonce: *nonce });
    }
    assert_eq!(world.shown, [format!("http://host.example:8080/shows/x/reach/{}", nonces[0])]);
    world.pass(119);
    world.stream(StreamNews::Asked { nonce: nonces[3] });
    assert_eq!(world.shown.len(), 1, "it is too soon");
    world.pass(1);
    world.stream(StreamNews::Asked { nonce: nonces[4] });
    assert_eq!(world.shown.len(), 2);
    assert_eq!(world.polls.len(), polls, "that is no news");
    world.stream(StreamNews::Lost { retry: None });
    world.pass(60);
    assert!(world.rest >= Duration::from_mins(1), "whoever asks then is told that it is too soon");
}

#[test]
fn nobody_is_connected_back_to_who_is_not_the_feeds_own_host_or_against_the_owners_will() {
    let nonce = Nonce::generate(&mut Rng::from_seed_u64(1));
    let not = Settings { connects_back: false, ..settings(Duty::Everything) };
    for (settings, events, is_local) in [
        (settings(Duty::Everything), "http://other.example/events", false),
        (settings(Duty::Everything), "http://198.51.100.1/events", false),
        (settings(Duty::Everything), "http://host.example/events", true),
        (not, "http://host.example/events", false),
    ] {
        let mut world = World::with(settings);
        (world.events_url, world.is_local) = (Some(events.parse().unwrap()), is_local);
        world.subscribe(None);
        world.stream(StreamNews::Open);
        world.stream(StreamNews::Asked { nonce });
        assert!(world.shown.is_empty(), "{events}");
    }
}

#[test]
fn an_owners_schedule_is_kept_and_nothing_else_polls() {
    let mut world = World::new();
    world.subscribe(Some("0 6 * * *"));
    world.pass(10 * 86_400);
    let later = &world.polls[1..];
    assert_eq!(later.len(), 10);
    assert!(later.iter().all(|(at, _)| at.format("%H:%M").to_string() == "06:00"), "{later:?}");
}

#[test]
fn a_feed_whose_schedule_is_taken_back_is_polled_as_before() {
    let mut world = World::new();
    world.subscribe(Some("0 6 1 1 *"));
    world.pass(86_400);
    assert_eq!(world.polls.len(), 1);
    let (rules, forget) = (Rules::default(), Vec::new());
    world.input(Input::Edit { feed: FEED, rules, forget, schedule: Some(Timing::Unscheduled) });
    world.pass(86_400);
    assert!(world.feeds[&FEED].schedule.is_none());
    assert!(world.polls.len() > 20, "{}", world.polls.len());
}

#[test]
fn a_restart_fetches_nothing_twice_and_seeds_on() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.release(http("b", 0));
    world.pass(3600);
    assert_eq!(world.complete(), ["a", "b"]);
    let started = world.started.len();
    world.restart(settings(Duty::Everything));
    world.pass(86_400);
    assert_eq!(world.started.len(), started);
    assert_eq!(world.seeded, [EpisodeId { feed: FEED, number: 1 }]);
}

const FIRST: EpisodeId = EpisodeId { feed: FEED, number: 1 };
const HOUR: u64 = 3600;

#[test]
fn an_episode_is_seeded_until_its_ratio_is_reached_over_several_runs() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    // It has 1000 bytes. Nothing ends within the first hour.
    world.sent = vec![(FIRST, 1500)];
    world.pass(HOUR / 2);
    world.restart(settings(Duty::Everything));
    assert_eq!(world.episodes[&FIRST].shared.sent, 1500, "it was written down");
    world.sent = vec![(FIRST, 600)];
    world.pass(HOUR / 4);
    assert_eq!((world.stopped.len(), world.seeded.len()), (0, 1));
    world.pass(HOUR);
    assert_eq!(world.stopped, [FIRST]);
    let told = world.events.iter().filter_map(|event| match event {
        Event::Seeded { sent, reason, .. } => Some((*sent, reason.as_str())),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(2100, "ratio 2 reached")]);
    // It stays so, until the owner wants more given back.
    world.restart(settings(Duty::Everything));
    world.pass(HOUR);
    assert_eq!(world.seeded.len(), 1);
    let enough = Enough { ratio: SeedRatio(Some(3000)), ..Enough::default() };
    world.restart(Settings { enough, ..settings(Duty::Everything) });
    assert_eq!(world.seeded.len(), 2);
}

#[test]
fn an_episode_is_seeded_for_its_time_and_pauses_do_not_count() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    let enough = Enough { time: SeedTime(Some(Duration::from_secs(10 * HOUR))), ..Enough::default() };
    world.restart(Settings { enough, ..settings(Duty::Everything) });
    world.pass(6 * HOUR);
    world.input(Input::Pause(Target::Episode(FIRST)));
    world.pass(20 * HOUR);
    assert_eq!(world.episodes[&FIRST].shared.seconds, 6 * HOUR);
    world.stopped.clear();
    world.input(Input::Resume(Target::Episode(FIRST)));
    world.pass(4 * HOUR - 2);
    assert!(world.stopped.is_empty());
    world.pass(3);
    assert_eq!(world.stopped, [FIRST]);
    assert_eq!(world.agent.enough(FIRST).as_deref(), Some("seeded for 10h"));
    // Nothing wakes the agent for it any more, but the polls do.
    world.input(Input::Pause(Target::All));
    assert_eq!(world.agent.deadline(), None);
}

#[test]
fn what_is_complete_is_seeded_at_its_hours_and_fetched_at_all() {
    let mut world = World::new();
    // It is noon.
    let settings = Settings { seed_at: vec!["14:00-16:00".parse().unwrap()], ..settings(Duty::Everything) };
    world.restart(settings.clone());
    world.subscribe(None);
    world.release(torrent("a", 0, hash(1)));
    world.input(Input::Poll(FEED));
    assert_eq!((world.complete(), &world.stopped), (vec!["a"], &vec![FIRST]));
    assert_eq!(world.agent.rests(), Some("its hours (--seed-at) begin again at 14:00"));
    world.pass(2 * HOUR);
    assert_eq!((&world.seeded, world.agent.rests()), (&vec![FIRST], None));
    world.pass(2 * HOUR);
    assert_eq!((&world.stopped, world.seeded.len()), (&vec![FIRST, FIRST], 1));
    assert_eq!(world.episodes[&FIRST].shared.seconds, 2 * HOUR, "no other time counts");
    world.restart(settings);
    world.pass(HOUR);
    assert_eq!(world.seeded.len(), 1);
    let told = world.events.iter().filter_map(|event| match event {
        Event::Seeding { rests } => Some(rests.is_some()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [true, false, true, true]);
}

#[test]
fn on_a_metered_line_nothing_is_seeded_and_what_the_owner_wants_waits_or_does_not() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.input(Input::Metered(true));
    world.input(Input::Metered(true));
    assert_eq!((&world.stopped, world.agent.rests()), (&vec![FIRST], Some(rest::METERED)));
    world.release(http("b", 0));
    world.input(Input::Poll(FEED));
    assert_eq!(world.complete(), ["a", "b"], "downloads go on");
    world.input(Input::Metered(false));
    assert_eq!((&world.seeded, world.agent.rests()), (&vec![FIRST], None));

    let settings = Settings { on_metered: OnMetered::Nothing, ..settings(Duty::Everything) };
    world.restart(settings);
    world.is_slow = true;
    world.release(http("c", 0));
    world.input(Input::Poll(FEED));
    let third = EpisodeId { feed: FEED, number: 3 };
    world.stopped.clear();
    world.input(Input::Metered(true));
    assert_eq!(world.stopped, [FIRST, third]);
    world.release(http("d", 0));
    world.input(Input::Poll(FEED));
    let fourth = EpisodeId { feed: FEED, number: 4 };
    assert_eq!(world.agent.trouble(fourth).as_deref(), Some(rest::METERED));
    world.input(Input::Play(third));
    assert_eq!(world.started.last().unwrap(), "http://host.example/c.mp3", "what is asked for does not wait");
    world.is_slow = false;
    world.input(Input::Metered(false));
    assert_eq!(world.complete(), ["a", "b", "d"]);
    assert_eq!(world.agent.trouble(third), None);
}

#[test]
fn what_is_seeded_for_ever_is() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.restart(Settings { enough: Enough::NEVER, ..settings(Duty::Everything) });
    world.sent = vec![(FIRST, 1_000_000)];
    world.pass(1000 * HOUR);
    assert!(world.stopped.is_empty() && world.agent.enough(FIRST).is_none());
}

#[test]
fn a_download_that_was_cut_off_goes_on_under_its_name() {
    let mut world = World::new();
    world.is_slow = true;
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    let file = world.episodes.values().next().unwrap().file.clone();
    assert_eq!(file.as_deref(), Some("Show/2026-11-20 Title a.mp3"));
    world.is_slow = false;
    world.restart(settings(Duty::Everything));
    assert_eq!(world.complete(), ["a"]);
    assert_eq!(world.episodes.values().next().unwrap().file, file);
}

#[test]
fn without_seeding_nothing_is_seeded() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.restart(Settings { seeding: Seeding::Off, ..settings(Duty::Everything) });
    assert!(world.seeded.is_empty());
}

#[test]
fn with_plain_downloads_only_no_torrent_is_touched() {
    let mut world = World::with(Settings { rules: http_only(Choice::Yes), ..settings(Duty::Everything) });
    let mut lone = torrent("lone", 0, hash(2));
    lone.offer.sources.truncate(1);
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    world.release(lone);
    world.pass(3600);
    assert_eq!(world.started, ["http://host.example/a.mp3"]);
    let waiting = EpisodeId { feed: FEED, number: 2 };
    assert!(world.agent.trouble(waiting).unwrap().contains("torrent only"));
}

/// Says of a feed, or of all, whether it is fetched without swarms.
fn http_only(choice: Choice) -> Rules {
    Rules { http_only: Some(choice), ..Rules::default() }
}

fn edit(rules: Rules, forget: &[RuleName]) -> Input {
    Input::Edit { feed: FEED, rules, forget: forget.to_vec(), schedule: None }
}

#[test]
fn a_feed_that_is_to_be_plain_leaves_its_swarms_and_comes_back() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.input(edit(http_only(Choice::Yes), &[]));
    assert_eq!((&world.stopped, world.is_plain), (&vec![FIRST], true));
    assert_eq!(world.agent.seeded(), []);
    // What is new comes by HTTP, and is not seeded; what cannot waits, and says why.
    world.release(torrent("b", 0, hash(2)));
    let mut lone = torrent("lone", 0, hash(3));
    lone.offer.sources.truncate(1);
    world.release(lone);
    world.pass(HOUR);
    assert_eq!(world.started[1..], ["http://host.example/b.mp3"]);
    assert!(world.seeded.is_empty());
    let third = EpisodeId { feed: FEED, number: 3 };
    assert!(world.agent.unfetchable(&world.episodes[&third]).unwrap().contains("torrent only"));
    world.restart(settings(Duty::Everything));
    assert!(world.seeded.is_empty(), "it is remembered");

    world.input(edit(http_only(Choice::No), &[]));
    assert_eq!((&world.seeded, world.is_plain), (&vec![FIRST], false));
    assert_eq!(world.complete(), ["a", "b", "lone"]);
    // What is said for all makes no exception.
    world.seeded.clear();
    world.restart(Settings { rules: http_only(Choice::Yes), ..settings(Duty::Everything) });
    assert!(world.seeded.is_empty() && world.is_plain);
}

#[test]
fn a_download_goes_on_without_its_swarm_when_that_is_wanted() {
    let mut world = World::new();
    world.is_slow = true;
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    world.input(edit(http_only(Choice::Yes), &[]));
    assert_eq!((world.stopped.len(), world.started.last().unwrap().as_str()), (1, "http://host.example/a.mp3"));
    world.input(edit(Rules::default(), &[RuleName::HttpOnly]));
    assert_eq!((world.stopped.len(), world.started.last().unwrap().as_str()), (2, "http://host.example/a.torrent"));
}

/// A world in which the plain file of `a` has begun, as nobody has told yet that its torrent is of [`hash`] 9; gives
/// what will be told.
fn racing(mut world: World) -> (World, Input) {
    let mut item = torrent("a", 0, hash(9));
    item.offer.info_hash = None;
    let address = "http://torrents.example/a.torrent".to_owned();
    item.offer.sources[0] = Source::Torrent(address.clone());
    world.torrents.insert(address, hash(9));
    (world.is_slow, world.late) = (true, Some(Vec::new()));
    world.release(item);
    world.input(Input::Poll(FEED));
    let begun = world.started.len();
    world.pass(4);
    assert_eq!(world.started.len(), begun);
    world.pass(1);
    assert_eq!(world.started.last().unwrap(), "http://host.example/a.mp3");
    let late = world.late.take().unwrap().remove(0);
    (world, late)
}

#[test]
fn a_torrent_that_is_known_late_goes_on_with_the_plain_file_that_has_begun() {
    let (mut world, late) = racing(World::following(Vec::new()));
    let Input::Prepared { id, .. } = late else { panic!("it is a torrent") };
    world.input(late);
    assert_eq!(world.started.len(), 1, "what the server has is not known yet");
    let progress = Progress { have: 500, peers: 1, whole: Some(1000), ..Progress::default() };
    world.input(Input::Progress { id, attempt: world.attempts[&id], progress });
    assert_eq!((world.started.last().unwrap().as_str(), world.started.len()), ("http://torrents.example/a.torrent", 2));
    let saved = &world.episodes[&id];
    assert_eq!((saved.offer.info_hash, world.stopped.len()), (Some(hash(9)), 1));
    assert!(saved.file.is_some() && world.discarded.is_empty());
}

#[test]
fn what_has_begun_goes_where_its_torrent_turns_out_to_be_another_episodes() {
    let (mut world, late) = racing(World::following(vec![torrent("b", 1, hash(9))]));
    let Input::Prepared { id, .. } = late else { panic!("it is a torrent") };
    assert_eq!(world.complete(), ["b"]);
    world.input(late);
    assert!(matches!(world.episodes[&id].stage, Stage::Seen { why: Some(Why::Duplicate(_)) }));
    assert_eq!((&world.discarded[..], world.stopped.len()), (&[world.episodes[&id].file.clone().unwrap()][..], 1));
}

#[test]
fn an_owner_who_answers_no_leaves_all_swarms_at_once_and_one_who_answers_yes_stays() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.hubs = vec!["http://hub.example/".parse().unwrap()];
    world.release(torrent("b", 0, hash(2)));
    world.input(Input::Outside(Some("203.0.113.7:6881".parse().unwrap())));
    world.pass(HOUR);
    assert_eq!(world.agent.seeded().len(), 2);
    assert_eq!(world.agent.swarms(None), Swarms::new(true, DecidedBy::Nobody));
    world.input(Input::Consent { takes_part: true });
    assert_eq!(world.agent.seeded().len(), 2);
    assert_eq!(world.agent.swarms(None), Swarms::new(true, DecidedBy::Answer));

    world.restart(settings(Duty::Everything));
    world.input(Input::Outside(Some("203.0.113.7:6881".parse().unwrap())));
    world.stopped.clear();
    world.input(Input::Consent { takes_part: false });
    assert_eq!((world.stopped.len(), world.agent.seeded().len(), world.is_plain), (2, 0, true));
    for of in [None, Some(FEED)] {
        assert_eq!(world.agent.swarms(of), Swarms::new(false, DecidedBy::Answer));
    }
    // Nobody reaches it any more, whatever the router may tell yet.
    world.input(Input::Outside(Some("203.0.113.7:6881".parse().unwrap())));
    let hub = world.agent.hub_state(FEED, wall(world.secs)).expect("the feed names one");
    assert!(hub.until.is_none() && hub.trouble.is_some_and(|why| why.contains("not reached")));
    world.release(torrent("c", 0, hash(3)));
    world.pass(HOUR);
    assert_eq!(world.started.last().unwrap(), "http://host.example/c.mp3");
    assert!(world.agent.seeded().is_empty());
}

#[test]
fn what_is_set_beats_the_answer_that_is_kept() {
    for (set, kept, want) in [
        (None, None, (true, DecidedBy::Nobody)),
        (None, Some(false), (false, DecidedBy::Answer)),
        (Some(Choice::No), Some(false), (true, DecidedBy::Setting)),
        (Some(Choice::Yes), Some(true), (false, DecidedBy::Setting)),
    ] {
        let mut set = Settings { rules: Rules { http_only: set, ..Rules::default() }, ..settings(Duty::Everything) };
        set.heed(kept);
        assert_eq!((!set.is_http_only(), set.decided_by), want);
    }
    let mut no_seed = Settings { decided_by: DecidedBy::Setting, ..settings(Duty::Everything) };
    no_seed.heed(None);
    assert_eq!(no_seed.decided_by, DecidedBy::Setting);
    no_seed.heed(Some(false));
    assert!(no_seed.is_http_only(), "--no-seed says nothing of fetching");
}

#[test]
fn a_torrent_that_is_not_what_the_feed_says_gives_way_to_the_plain_file() {
    let mut world = World::new();
    world.torrents.insert("http://host.example/a.torrent".to_owned(), hash(9));
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    assert_eq!(world.started, ["http://host.example/a.mp3"]);
    assert_eq!(world.complete(), ["a"]);
    // Nobody may seed it as what it is not.
    assert_eq!(world.episodes.values().next().unwrap().kept_hash(), None);
}

#[test]
fn a_file_of_the_same_length_that_is_another_one_is_left_alone() {
    let mut world = World::new();
    world.is_slow = true;
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    let id = EpisodeId { feed: FEED, number: 1 };
    let attempt = world.attempts[&id];
    world.input(Input::Failed { id, attempt, fault: Fault::InTheWay("5 of 92 pieces match".to_owned()) });
    assert_eq!(world.started.len(), 2);
    assert_eq!(world.episodes[&id].file.as_deref(), Some("Show/2026-11-20 Title a (2).mp3"));
    // What an attempt says that is over is no reason to leave that name, too.
    world.input(Input::Failed { id, attempt, fault: Fault::InTheWay("it was ended".to_owned()) });
    assert_eq!(world.episodes[&id].file.as_deref(), Some("Show/2026-11-20 Title a (2).mp3"));
}

#[test]
fn the_name_that_an_episode_has_is_taken_for_others_alone() {
    let mut world = World::new();
    world.is_slow = true;
    world.items = vec![http("a", 0)];
    world.subscribe(None);
    let file = world.episodes.values().next().and_then(|episode| episode.file.clone()).expect("it has begun");
    let claimed =
        |number| world.agent.catalogue().is_claimed(EpisodeId { feed: FEED, number }, &crate::names::fold(&file));
    assert_eq!((claimed(1), claimed(2)), (false, true));
}

#[test]
fn a_torrent_that_another_episode_was_taken_as_is_a_duplicate_even_if_the_feed_is_silent() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    let mut silent = torrent("b", 0, hash(1));
    silent.offer.info_hash = None;
    world.torrents.insert("http://host.example/b.torrent".to_owned(), hash(1));
    world.release(silent);
    world.pass(3600);
    assert_eq!(world.complete(), ["a"]);
    assert!(world.events.iter().any(|event| matches!(event, Event::Skipped { .. })));
    assert_eq!(world.started.len(), 1);
}

#[test]
fn a_revision_is_fetched_beside_the_old_file_which_is_seeded_no_longer() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.items = vec![torrent("a", 0, hash(2))];
    world.version += 1;
    world.pass(3600);
    let id = EpisodeId { feed: FEED, number: 1 };
    assert_eq!(world.stopped, [id]);
    let episode = &world.episodes[&id];
    assert_eq!(episode.kept_hash(), Some(hash(2)));
    assert_eq!(episode.former, ["Show/2026-11-20 Title a.mp3"]);
    assert_eq!(episode.file.as_deref(), Some("Show/2026-11-20 Title a (2).mp3"));
}

#[test]
fn what_its_publisher_has_taken_back_is_neither_seeded_nor_fetched_any_more() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    let id = EpisodeId { feed: FEED, number: 1 };
    world.items.clear();
    world.withdrawn = vec![withdrawal(1, "a", 10)];
    world.version += 1;
    world.pass(3600);
    assert_eq!(world.stopped, [id]);
    assert!(world.events.iter().any(|event| matches!(event, Event::Withdrawn { .. })));
    assert_eq!(world.complete(), ["a"], "the file is the owner's");
    world.restart(settings(Duty::Everything));
    assert!(world.seeded.is_empty(), "{:?}", world.seeded);
    world.input(Input::Resume(Target::Episode(id)));
    world.pass(86_400);
    assert!(world.seeded.is_empty());
    assert_eq!((world.started.len(), world.stopped.len()), (1, 1));
}

#[test]
fn a_file_that_its_owner_took_away_is_not_fetched_again_unless_asked_for() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    let id = EpisodeId { feed: FEED, number: 1 };
    world.input(Input::SeedFailed { id, is_missing: true, reason: "gone".to_owned() });
    world.restart(settings(Duty::Everything));
    world.pass(86_400);
    assert_eq!(world.started.len(), 1);
    world.input(Input::Take(id));
    assert_eq!(world.started.len(), 2);
    assert_eq!(world.complete(), ["a"]);
}

#[test]
fn what_cannot_be_seeded_while_a_disk_is_away_is_tried_again_and_told_of_once() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    let id = EpisodeId { feed: FEED, number: 1 };
    let failed = || Input::SeedFailed { id, is_missing: false, reason: "the disk is away".to_owned() };
    let told = |world: &World| world.events.iter().filter(|event| matches!(event, Event::SeedFailed { .. })).count();
    world.input(failed());
    assert!(world.seeded.is_empty());
    world.pass(599);
    assert!(world.seeded.is_empty());
    world.pass(1);
    assert_eq!(world.seeded, [id]);
    world.input(failed());
    world.pass(600);
    assert_eq!((world.seeded.len(), told(&world)), (2, 1));
    // It stands, and fails again another day.
    world.input(Input::Counted(vec![(id, 0)]));
    world.input(failed());
    assert_eq!(told(&world), 2);
    assert_eq!(world.complete(), ["a"]);
}

#[test]
fn a_paused_feed_does_nothing_until_it_is_resumed() {
    let mut world = World::new();
    world.events_url = Some("http://host.example/events".parse().unwrap());
    world.items = vec![torrent("a", 0, hash(1))];
    world.subscribe(None);
    world.input(Input::Pause(Target::All));
    assert_eq!(world.listening, None);
    assert_eq!(world.stopped.len(), 1);
    let polls = world.polls.len();
    world.restart(settings(Duty::Everything));
    world.release(http("b", 0));
    world.pass(7 * 86_400);
    assert_eq!((world.polls.len(), world.seeded.len()), (polls, 0));
    world.input(Input::Resume(Target::All));
    world.pass(1);
    assert_eq!(world.complete(), ["a", "b"]);
    assert_eq!(world.seeded.len(), 1);
}

#[test]
fn a_paused_episode_is_let_be_while_the_others_go_on() {
    let mut world = World::following(Vec::new());
    world.is_slow = true;
    world.release(http("a", 0));
    world.pass(3600);
    let id = EpisodeId { feed: FEED, number: 1 };
    world.input(Input::Pause(Target::Episode(id)));
    assert_eq!(world.stopped, [id]);
    world.is_slow = false;
    world.release(http("b", 0));
    world.pass(3600);
    assert_eq!(world.complete(), ["b"]);
    world.input(Input::Resume(Target::Episode(id)));
    assert_eq!(world.complete(), ["a", "b"]);
}

#[test]
fn a_removed_feed_leaves_nothing_behind() {
    let mut world = World::following(vec![torrent("a", 0, hash(1))]);
    world.input(Input::Remove(FEED));
    assert!(world.feeds.is_empty() && world.episodes.is_empty());
    assert_eq!(world.stopped.len(), 1);
    let polls = world.polls.len();
    world.pass(86_400);
    assert_eq!(world.polls.len(), polls);
}

#[test]
fn subscribing_again_changes_the_schedule_and_takes_more() {
    let mut world = World::following(vec![http("c", 0), http("b", 1), http("a", 2)]);
    assert_eq!(world.complete(), ["c"]);
    let schedule = Some("0 6 * * *".parse().unwrap());
    let backlog = Some(Backlog::Newest(2));
    world.subscribe_with(schedule, backlog, Rules::default());
    assert_eq!(world.complete(), ["b", "c"]);
    assert_eq!(world.feeds.len(), 1);
    assert!(world.feeds[&FEED].schedule.is_some());
}

#[test]
fn a_host_that_is_down_is_asked_less_and_less_and_nothing_is_lost() {
    let mut world = World::following(vec![http("a", 0)]);
    world.is_down = true;
    world.release(http("b", 0));
    world.pass(7 * 86_400);
    assert!(world.polls.len() < 40, "{} polls", world.polls.len());
    world.is_down = false;
    world.pass(86_400);
    assert_eq!(world.complete(), ["a", "b"]);
}

#[test]
fn once_means_every_feed_once() {
    let mut world = World::following(vec![http("a", 0)]);
    world.release(http("b", 0));
    let polls = world.polls.len();
    world.restart(settings(Duty::Once));
    assert!(world.agent.is_settled());
    assert_eq!(world.polls.len(), polls + 1);
    assert_eq!(world.complete(), ["a", "b"]);
    assert_eq!(world.agent.deadline(), None);
}

#[test]
fn an_agent_that_only_answers_fetches_and_polls_nothing_by_itself() {
    let mut world = World::with(settings(Duty::Answer));
    world.items = vec![http("a", 0)];
    world.subscribe(None);
    world.pass(86_400);
    assert_eq!((world.polls.len(), world.started.len()), (1, 0));
    assert!(world.episodes.values().all(Episode::is_wanted));
}

/// Rules of one feed, from their flags' words.
fn rules(take: &[&str], skip: &[&str], keep: &str, keep_for: &str) -> Rules {
    let clauses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    Rules {
        take: (!take.is_empty()).then(|| Take::Any(clauses(take))),
        skip: (!skip.is_empty()).then(|| clauses(skip)),
        keep: Some(keep.parse().unwrap()),
        keep_for: Some(keep_for.parse().unwrap()),
        ..Rules::default()
    }
}

impl World {
    /// A world whose agent follows the feed by these rules.
    fn ruled(settings: Settings, rules: Rules) -> Self {
        let mut world = Self::with(settings);
        world.subscribe_with(None, Some(Backlog::All), rules);
        world
    }

    /// A new item of this length, and an hour for it to be fetched.
    fn release_of(&mut self, guid: &str, length: u64) {
        let mut item = http(guid, 0);
        (item.published, item.offer.length) = (Some(wall(self.secs)), Some(length));
        self.release(item);
        self.pass(3700);
    }

    fn gone(&self) -> Vec<(&str, Option<Expiry>)> {
        let gone = |episode: &'_ Episode| if let Stage::Gone { why, .. } = episode.stage { Some(why) } else { None };
        let episodes = self.agent.catalogue().episodes();
        episodes.filter_map(|episode| Some((episode.guid.as_str(), gone(episode)?))).collect()
    }

    fn id_of(&self, guid: &str) -> EpisodeId {
        self.agent.catalogue().episodes().find(|episode| episode.guid == guid).expect("it is known").id
    }

    fn why(&self, guid: &str) -> Option<Why> {
        match &self.agent.catalogue().episode(self.id_of(guid)).unwrap().stage {
            Stage::Seen { why } => why.clone(),
            other => panic!("{guid} is {other:?}"),
        }
    }
}

#[test]
fn rules_decide_what_is_taken_and_each_that_is_not_keeps_its_reason() {
    let mut world =
        World::ruled(settings(Duty::Everything), rules(&["length>20m", "special"], &["/rerun/"], "all", "ever"));
    let item = |guid: &str, title: &str, minutes: u64| {
        let duration = (minutes > 0).then(|| Duration::from_mins(minutes));
        Found { title: title.to_owned(), duration, ..http(guid, 0) }
    };
    for (guid, title, minutes) in [
        ("long", "One", 30),
        ("short", "Two", 5),
        ("special", "A Special", 5),
        ("again", "Rerun", 60),
        ("silent", "Three", 0),
    ] {
        world.release(item(guid, title, minutes));
    }
    world.pass(4000);
    let mut complete = world.complete();
    complete.sort_unstable();
    assert_eq!(complete, ["long", "silent", "special"]);
    assert_eq!(world.why("short"), Some(Why::Rule("take length>20m or special".to_owned())));
    assert_eq!(world.why("again"), Some(Why::Rule("skip /rerun/".to_owned())));
    // A rule that changes changes nothing that was decided; an item that does is looked at again.
    world.input(Input::Edit {
        feed: FEED,
        rules: rules(&["x"], &[], "all", "ever"),
        forget: Vec::new(),
        schedule: None,
    });
    world.pass(4000);
    assert_eq!(world.complete().len(), 3);
    world.items.iter_mut().find(|item| item.guid == "short").unwrap().title = "Two x".to_owned();
    world.version += 1;
    world.pass(4000);
    assert_eq!(world.complete().len(), 4);
    // What the owner asks for is fetched, whatever the rules say.
    let again = world.id_of("again");
    world.input(Input::Take(again));
    assert_eq!(world.complete().len(), 5);
}

#[test]
fn what_a_rule_left_out_says_so_for_as_long_as_the_rule_stands_and_stays_out_when_it_goes() {
    let mut world = World::ruled(settings(Duty::Everything), rules(&["special"], &["/rerun/"], "all", "ever"));
    for (guid, title) in [("plain", "One"), ("again", "A special rerun")] {
        world.release(Found { title: title.to_owned(), ..http(guid, 0) });
    }
    world.pass(HOUR);
    let reason = |world: &World, guid: &str| {
        let episode = world.agent.catalogue().episode(world.id_of(guid)).expect("it is known");
        world.agent.reason_since(episode, wall(world.secs))
    };
    assert_eq!((reason(&world, "plain"), reason(&world, "again")), (None, None), "what was written down holds");
    // Another rule leaves it out now; none does.
    world.input(edit(rules(&["interview"], &[], "all", "ever"), &[]));
    assert_eq!(reason(&world, "plain").unwrap(), "the rule `take interview`");
    assert_eq!(reason(&world, "again"), None);
    world.input(edit(Rules::default(), &[RuleName::Take, RuleName::Skip]));
    let gone = "the rule `skip /rerun/` when it was new, which holds no longer";
    assert_eq!(reason(&world, "again").unwrap(), gone);
    world.pass(30 * 86_400);
    assert!(world.started.is_empty(), "nothing old is fetched by surprise");
    // Without an agent nobody knows what is wanted of all feeds.
    world.restart(settings(Duty::Answer));
    assert_eq!(reason(&world, "again"), None);
}

#[test]
fn a_feed_that_its_owner_finds_elsewhere_is_the_same_feed() {
    let mut world = World::following(vec![http("a", 0)]);
    let to: Url = "http://other.example/feed".parse().unwrap();
    let before = world.polls.len();
    world.input(Input::Readdress { feed: FEED, url: to.clone() });
    let feed = &world.feeds[&FEED];
    assert_eq!((feed.url(), feed.folder.as_str(), feed.is_typed), (&to, "Show", true));
    assert!(world.events.iter().any(|event| matches!(event, Event::Moved { feed, .. } if *feed == to.to_string())));
    assert_eq!(world.polls[before..].iter().map(|(_, whole)| *whole).collect::<Vec<_>>(), [true], "asked at once");
    world.release(http("b", 0));
    world.pass(HOUR);
    assert_eq!((world.complete(), world.started.len()), (vec!["a", "b"], 2), "what is there is not fetched again");
    assert_eq!(world.agent.catalogue().left().map(|left| left.url.as_str()).collect::<Vec<_>>(), [URL]);
    world.input(Input::Readdress { feed: FEED, url: to });
    assert_eq!(world.agent.catalogue().left().count(), 1, "where it is already it need not go");
}

#[test]
fn a_feed_with_a_schedule_is_asked_at_once_where_it_is_now_and_its_old_hub_is_left() {
    let mut world = World::new();
    world.hubs = vec!["http://hub.example/".parse().unwrap()];
    world.items = vec![http("a", 0)];
    world.subscribe(Some("0 5 * * *"));
    world.input(Input::Outside(Some("203.0.113.7:6881".parse().unwrap())));
    world.pass(HOUR);
    world.hubs.clear();
    let before = world.polls.len();
    world.input(Input::Readdress { feed: FEED, url: "http://other.example/feed".parse().unwrap() });
    assert_eq!(world.polls.len(), before + 1, "asked at once");
    assert_eq!(world.agent.hub_state(FEED, wall(world.secs)), None);
    world.pass(25 * HOUR);
    assert!(world.polls.len() > before + 1, "and by its schedule");
}

#[test]
fn a_feed_is_treated_as_its_own_rules_and_those_of_all_say() {
    let said = |episode_up: Option<&str>, find_peers: Option<&str>| Rules {
        episode_up: episode_up.map(|text| text.parse().unwrap()),
        find_peers: find_peers.map(|text| text.parse().unwrap()),
        ..Rules::default()
    };
    let edit = |rules, forget| Input::Edit { feed: FEED, rules, forget, schedule: None };
    let all = Settings { rules: said(Some("1MiB/s"), Some("pex")), ..settings(Duty::Everything) };
    let mut world = World::ruled(all, said(None, Some("all")));
    world.input(edit(said(Some("none"), Some("trackers,dht")), Vec::new()));
    world.input(edit(Rules::default(), vec![RuleName::EpisodeUp, RuleName::FindPeers]));
    let seen: Vec<_> = world.conducts.iter().map(|it| (it.limits.up, it.discovery.to_string())).collect();
    let limited = Some(Rate(1 << 20));
    assert_eq!(seen, [(limited, "all".into()), (None, "trackers,dht".into()), (limited, "pex".into())]);
}

#[test]
fn the_newest_are_kept_and_what_is_the_owners_is_never_deleted() {
    let mut world = World::ruled(settings(Duty::Everything), rules(&[], &[], "2", "ever"));
    for guid in ["a", "b"] {
        world.release_of(guid, 1000);
    }
    let (a, b) = (world.id_of("a"), world.id_of("b"));
    world.changed.push(a);
    world.release_of("c", 1000);
    assert_eq!((world.complete(), &world.deleted), (vec!["a", "b", "c"], &vec![a]));
    assert!(world.events.iter().any(|event| matches!(event, Event::Spared { episode } if episode.id == a)));
    world.release_of("d", 1000);
    assert_eq!((world.complete(), world.deleted.len()), (vec!["a", "c", "d"], 2), "it is not tried again");
    assert_eq!(world.gone(), [("b", Some(Expiry::Count(2)))]);
    // One that is older than those that are kept would be deleted at once: it is not fetched.
    world.release(http("late", 30));
    world.pass(4000);
    assert_eq!(world.why("late"), Some(Why::Older(2)));
    // What the owner asked for stays.
    world.input(Input::Take(b));
    world.release_of("e", 1000);
    world.release_of("f", 1000);
    assert_eq!(world.complete(), ["a", "b", "e", "f"]);
    world.restart(settings(Duty::Everything));
    world.pass(90_000);
    assert_eq!(world.complete(), ["a", "b", "e", "f"]);
}

#[test]
fn an_episode_is_kept_for_as_long_as_the_rule_says() {
    let mut world = World::ruled(settings(Duty::Everything), rules(&[], &[], "all", "2d"));
    world.release_of("a", 1000);
    world.pass(2 * 86_400 - 7500);
    assert_eq!(world.complete(), ["a"]);
    world.pass(7500);
    assert!(world.complete().is_empty());
    assert!(matches!(world.gone()[..], [("a", Some(Expiry::Time(_)))]), "{:?}", world.gone());
    // It is in the feed still, and not fetched again.
    world.pass(10 * 86_400);
    assert_eq!(world.started.len(), 1);
}

#[test]
fn the_library_takes_no_more_than_it_may() {
    let limits = Limits { quota: Some(2500), leave_free: None };
    let mut world = World::ruled(Settings { limits, ..settings(Duty::Everything) }, rules(&[], &[], "all", "ever"));
    for guid in ["a", "b", "c", "d"] {
        world.release_of(guid, 1000);
        assert!(world.agent.catalogue().kept_bytes() <= 2500);
    }
    assert_eq!(world.complete(), ["c", "d"]);
    assert_eq!(world.gone(), [("a", Some(Expiry::Quota(2500))), ("b", Some(Expiry::Quota(2500)))]);
    // What can never fit deletes nothing, and says why.
    world.release_of("giant", 3000);
    assert_eq!(world.complete(), ["c", "d"]);
    let trouble = world.agent.trouble(world.id_of("giant")).unwrap();
    assert!(trouble.contains("the library may take"), "{trouble}");
    // A smaller one goes past it.
    world.release_of("e", 400);
    assert_eq!(world.complete(), ["c", "d", "e"]);
    // With less to take, the oldest go.
    let limits = Limits { quota: Some(1500), leave_free: None };
    world.restart(Settings { limits, ..settings(Duty::Everything) });
    assert_eq!(world.complete(), ["d", "e"]);
}

#[test]
fn a_show_that_moves_to_another_host_brings_nothing_twice() {
    let mut world = World::new();
    world.items = vec![http("b", 1), http("a", 2)];
    world.subscribe_with(None, Some(Backlog::All), Rules::default());
    world.pass(60);
    assert_eq!(world.started.len(), 2);
    // Every guid and address is another one; titles and dates are as they were. One episode is new.
    for item in &mut world.items {
        let url = format!("http://new.example/{}.mp3", item.guid);
        item.guid = format!("https://new.example/?p={}", item.guid);
        item.offer.sources = vec![Source::Http(url)];
    }
    world.release(http("c", 0));
    world.pass(4000);
    assert_eq!(world.started.len(), 3, "{:?}", world.started);
    let twins = world
        .agent
        .catalogue()
        .episodes()
        .filter(|episode| matches!(episode.stage, Stage::Seen { why: Some(Why::Duplicate(_)) }));
    assert_eq!(twins.count(), 2);
    // Two that are there at once are two, whatever they are called, and a date in the year 9999 tells nothing.
    let mut twins = vec![http("t1", 0), http("t2", 0)];
    for twin in &mut twins {
        twin.title = "News".to_owned();
    }
    for twin in twins {
        world.release(twin);
    }
    world.pass(4000);
    assert_eq!(world.started.len(), 5);
    for guid in ["n1", "n2"] {
        let mut item = http(guid, 0);
        item.title = "Latest".to_owned();
        item.published = "9999-12-31T00:00:00Z".parse().ok();
        world.items.retain(|item| item.title != "Latest");
        world.release(item);
        world.pass(4000);
    }
    assert_eq!(world.started.len(), 7);
    // What a feed loses and regains, and what it dates anew, is what it was.
    let lost = std::mem::take(&mut world.items);
    world.version += 1;
    world.pass(4000);
    world.items = lost;
    world.items.iter_mut().for_each(|item| item.published = Some(wall(world.secs)));
    world.version += 1;
    world.pass(4000);
    assert_eq!(world.started.len(), 7, "{:?}", world.started);
}

/// Settings under which these hooks are done for all feeds.
fn with_hooks(duty: Duty, hooks: &[&str]) -> Settings {
    let hooks = hooks.iter().map(|hook| hook.parse().unwrap()).collect();
    Settings { rules: Rules { on_complete: Some(hooks), ..Rules::default() }, ..settings(duty) }
}

const TELL: &str = r#"{ run = ["tell"] }"#;
const POST: &str = r#"{ url = "http://home.example/in" }"#;

impl World {
    /// A world whose agent follows the feed with these hooks.
    fn hooked(hooks: &[&str], items: Vec<Found>) -> Self {
        let mut world = Self::with(with_hooks(Duty::Everything, hooks));
        world.items = items;
        world
    }

    /// What hooks were done for, in their order.
    fn told(&self) -> Vec<&str> {
        self.hooked.iter().map(|(_, _, guid)| guid.as_str()).collect()
    }
}

#[test]
fn a_hook_is_done_once_for_each_episode_and_again_if_it_was_cut_short() {
    let mut world = World::hooked(&[TELL, POST], vec![torrent("a", 0, hash(1))]);
    world.subscribe(None);
    assert_eq!(world.told(), ["a", "a"]);
    assert!(world.events.iter().any(|event| matches!(event, Event::HookDone { hook, .. } if hook == "`tell`")));
    world.restart(with_hooks(Duty::Everything, &[TELL, POST]));
    world.pass(HOUR);
    assert_eq!(world.hooked.len(), 2, "what is done is done");

    // Killed while the program runs; the server had answered.
    world.hooks_end = None;
    world.release(http("b", 0));
    world.pass(HOUR);
    let (serial, ..) = world.hooked[3].clone();
    world.input(Input::Hooked { serial, outcome: Ok(()) });
    world.hooks_end = Some(Ok(()));
    world.restart(with_hooks(Duty::Everything, &[TELL, POST]));
    let hooks: Vec<_> = world.hooked.iter().skip(4).map(|(_, hook, guid)| (hook.as_str(), guid.as_str())).collect();
    assert_eq!(hooks, [("`tell`", "b")]);

    // Another version is another arrival; a hook of the version before says nothing of it.
    world.items[1] = torrent("a", 0, hash(2));
    world.version += 1;
    world.pass(HOUR);
    assert_eq!(world.told()[5..], ["a", "a"]);
    assert!(world.episodes.values().all(|episode| episode.due.is_empty()));
}

#[test]
fn a_server_that_cannot_take_it_now_is_told_again_also_by_the_next_agent_and_then_given_up() {
    let mut world = World::hooked(&[POST], vec![http("a", 0)]);
    world.hooks_end = Some(Err(Undelivered::ForNow("the server answers 503".to_owned())));
    world.subscribe(None);
    world.pass(8);
    assert_eq!(world.hooked.len(), 3);
    let [state] = &world.agent.hooks()[..] else { panic!("it waits") };
    assert_eq!((state.hook.as_str(), state.waiting, state.failed), ("http://home.example", 1, 0));
    assert!(state.since.is_some() && state.trouble.as_deref() == Some("the server answers 503"), "{state:?}");
    world.restart(with_hooks(Duty::Everything, &[POST]));
    world.pass(HOUR);
    assert_eq!(world.hooked.len(), WAITS.len() + 1, "it goes on where it was");
    world.pass(4 * 24 * HOUR);
    let tries = world.hooked.len();
    assert!((70..=80).contains(&tries), "about every hour for three days: {tries}");
    let failed = world.events.iter().filter(|event| matches!(event, Event::HookFailed { .. })).count();
    assert_eq!((failed, world.episodes[&FIRST].due.len()), (1, 0));

    world.hooks_end = Some(Err(Undelivered::ForGood("the server answers 410".to_owned())));
    world.release(http("b", 0));
    world.pass(2 * HOUR);
    assert_eq!(world.told()[tries..], ["b"]);
    let [state] = &world.agent.hooks()[..] else { panic!("it has failed") };
    assert_eq!((state.waiting, state.since, state.trouble.as_deref(), state.failed), (0, None, None, 2));
    assert_eq!(state.last_failure.as_deref(), Some("the server answers 410"));
    assert_eq!(world.hooked.len(), tries + 1);
}

#[test]
fn hooks_that_hang_delay_nothing_and_are_few() {
    let mut world = World::hooked(&[TELL], (0..9).map(|n| http(&format!("e{n}"), n)).collect());
    world.hooks_end = None;
    world.subscribe_with(None, Some(Backlog::All), Rules::default());
    assert_eq!((world.complete().len(), world.hooked.len()), (9, 4));
    assert!(!world.agent.is_settled());
    world.hooks_end = Some(Ok(()));
    for (serial, ..) in world.hooked.clone() {
        world.input(Input::Hooked { serial, outcome: Ok(()) });
    }
    let told: BTreeSet<_> = world.told().into_iter().collect();
    assert_eq!((told.len(), world.hooked.len()), (9, 9));
    world.input(Input::Hooked { serial: 77, outcome: Ok(()) });
    // Servers that hang keep no program waiting.
    let mut world = World::hooked(&[POST, TELL], (0..9).map(|n| http(&format!("e{n}"), n)).collect());
    world.hooks_end = None;
    world.subscribe_with(None, Some(Backlog::All), Rules::default());
    let programs = world.hooked.iter().filter(|(_, hook, _)| hook == "`tell`").count();
    assert_eq!((programs, world.hooked.len()), (4, 8));
}

#[test]
fn a_feed_has_hooks_of_its_own_or_none_and_what_was_there_before_causes_nothing() {
    let mut world = World::following(vec![http("a", 0)]);
    let rules = Rules { on_complete: Some(vec![POST.parse().unwrap()]), ..Rules::default() };
    world.input(Input::Edit { feed: FEED, rules, forget: Vec::new(), schedule: None });
    world.restart(with_hooks(Duty::Everything, &[TELL]));
    world.release(http("b", 0));
    world.pass(HOUR);
    assert_eq!(world.hooked, [(0, "http://home.example".to_owned(), "b".to_owned())]);
    let none = Rules { on_complete: Some(Vec::new()), ..Rules::default() };
    world.input(Input::Edit { feed: FEED, rules: none, forget: Vec::new(), schedule: None });
    world.release(http("c", 0));
    world.pass(HOUR);
    let forget = vec![RuleName::OnComplete];
    world.input(Input::Edit { feed: FEED, rules: Rules::default(), forget, schedule: None });
    world.release(http("d", 0));
    world.pass(HOUR);
    assert_eq!(world.told(), ["b", "d"]);
}

#[test]
fn what_a_single_command_fetched_is_told_by_the_next_agent() {
    let mut world = World::with(settings(Duty::Fetch));
    world.items = vec![http("a", 0)];
    world.subscribe(None);
    assert_eq!((world.complete(), world.told()), (vec!["a"], vec![]));
    world.restart(with_hooks(Duty::Once, &[TELL]));
    assert_eq!(world.told(), ["a"]);
    world.restart(with_hooks(Duty::Once, &[TELL]));
    assert_eq!(world.told(), ["a"]);
}

#[test]
fn whoever_is_told_of_an_episode_finds_it() {
    let mut world = World::hooked(&[TELL], vec![http("a", 1)]);
    world.hooks_end = None;
    world.subscribe_with(None, None, Rules { keep: Some("1".parse().unwrap()), ..Rules::default() });
    world.release(http("b", 0));
    world.pass(HOUR);
    assert_eq!((world.told(), world.deleted.len()), (vec!["a", "b"], 0));
    let (serial, ..) = world.hooked[0].clone();
    world.input(Input::Hooked { serial, outcome: Err(Undelivered::ForGood("it ended with 1".to_owned())) });
    assert_eq!(world.deleted, [FIRST]);
}

/// Something that an app says was played of the feed.
fn played(episode: &str, position: u64, at: u64) -> Play {
    let (podcast, episode) = (URL.replace("http:", "https:"), episode.to_owned());
    let what = Played::Elsewhere { podcast, episode, guid: None };
    let at = Some(wall(at));
    Play { what, position: Some(position), started: None, total: Some(600), at, is_new: false, device: None }
}

#[test]
fn what_was_heard_to_its_end_is_kept_for_as_long_as_the_rule_says() {
    let mut rules = rules(&[], &[], "all", "ever");
    rules.keep_played = Some("1h".parse().unwrap());
    let mut world = World::ruled(settings(Duty::Everything), rules);
    for guid in ["a", "b", "c"] {
        world.release_of(guid, 10);
    }
    let address = |world: &World, guid: &str| {
        let episode = world.agent.catalogue().episode(world.id_of(guid)).unwrap();
        episode.offer.sources[0].address().to_owned()
    };
    let (a, b, at) = (address(&world, "a"), address(&world, "b"), world.secs);
    world.input(Input::Heard(vec![played(&a, 590, at), played(&b, 300, at)]));
    world.pass(1800);
    // Who listens to it once more has it for as long again.
    world.input(Input::Heard(vec![played(&a, 20, at + 1800)]));
    world.pass(3500);
    assert_eq!(world.gone(), []);
    world.pass(200);
    let why = Expiry::Played(Span(Duration::from_hours(1)));
    assert_eq!(world.gone(), [("a", Some(why))], "what was begun stays, and what was not");
}

#[test]
fn what_an_app_follows_is_polled_in_public_alone_and_what_it_played_before_is_known_then() {
    let mut world = World::new();
    world.items = vec![http("a", 0)];
    world.is_down = true;
    world.input(Input::Follow(vec![URL.parse().unwrap(), URL.parse().unwrap()]));
    assert!(world.feeds.len() == 1 && !world.feeds[&FEED].is_typed, "it is not the owner who names it");
    let address = http("a", 0).offer.sources[0].address().to_owned();
    world.input(Input::Heard(vec![played(&address, 61, 0), played("http://host.example/other.mp3", 5, 0)]));
    let stray = Played::Elsewhere { podcast: "http://b.example/".to_owned(), episode: address, guid: None };
    world.input(Input::Heard(vec![Play { what: stray, ..played("", 7, 0) }]));
    assert_eq!(world.agent.catalogue().loose().count(), 2, "of feeds that are not followed nothing is kept");
    let before = world.agent.catalogue().stamp();
    world.is_down = false;
    world.pass(86_400);
    let heard = world.episodes.values().next().expect("it was read").heard.clone().expect("it is claimed");
    assert_eq!((heard.position, world.agent.catalogue().loose().count()), (61, 1));
    assert!(heard.stamp <= before);

    // Each change has a stamp of its own, also within a second.
    world.input(Input::Remove(FEED));
    let removed = world.agent.catalogue().stamp();
    assert!(removed > before && world.agent.catalogue().loose().count() == 0);
    assert_eq!(world.agent.catalogue().left().map(|left| left.stamp).collect::<Vec<_>>(), [removed]);
    world.subscribe(None);
    let feed = world.agent.catalogue().feeds().next().expect("it is followed again");
    assert!(feed.is_typed && feed.stamp > removed && world.agent.catalogue().left().count() == 0);
}

/// An agent that follows so many feeds of each host, and the time.
struct Many {
    agent: Agent,
    secs: u64,
}

impl Many {
    fn following(hosts: u32, feeds_each: u32) -> Self {
        let agent = Agent::new(settings(Duty::Everything), Catalogue::default(), now(0), Rng::from_seed_u64(1));
        let mut many = Self { agent, secs: 0 };
        for (host, feed) in (0..hosts).flat_map(|host| (0..feeds_each).map(move |feed| (host, feed))) {
            let url: Url = format!("http://host{host}.example/{feed}").parse().unwrap();
            many.handle(Input::Subscribe { url, title: None, schedule: None, backlog: None, rules: Rules::default() });
        }
        many
    }

    /// Tells the agent something; gives what it polls. The first poll of a feed is answered at once.
    fn handle(&mut self, input: Input) -> Vec<(FeedId, Url)> {
        self.agent.handle(now(self.secs), input);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.agent.poll()).collect();
        let polls = outputs.into_iter().filter_map(|output| match output {
            Output::Poll { feed, fetch, .. } => Some((feed, fetch.url)),
            _ => None,
        });
        let (old, new): (Vec<_>, Vec<_>) =
            polls.partition(|(feed, _)| self.agent.catalogue().feed(*feed).is_some_and(|feed| !feed.is_new()));
        for poll in new {
            assert!(self.answer(poll, None).is_empty());
        }
        old
    }

    fn answer(&mut self, (feed, url): (FeedId, Url), patience: Option<u64>) -> Vec<(FeedId, Url)> {
        let body =
            Outcome::Body { validators: Validators::default(), ttl: None, skip_hours: poll::SkipHours::default() };
        let throttled = |secs| Outcome::Throttled { retry_after: Some(Duration::from_secs(secs)) };
        let outcome = patience.map_or(body, throttled);
        let found = patience.is_none().then(|| Box::new(FoundFeed::default()));
        let reply = Reply { outcome, moved_to: None, astray: None, max_age: None, bytes: 10 };
        self.handle(Input::Polled { feed, url, reply, found, is_local: false })
    }

    /// Sleeps as the agent asks until it polls.
    fn until_poll(&mut self) -> Vec<(FeedId, Url)> {
        loop {
            self.secs = self.agent.deadline().unwrap().as_nanos().div_ceil(1_000_000_000).max(self.secs);
            let polls = self.handle(Input::Tick);
            if !polls.is_empty() {
                return polls;
            }
        }
    }
}

#[test]
fn a_feed_that_has_moved_lies_in_a_private_network_only_if_it_did_and_apps_are_told() {
    for (is_local, to, is_typed) in [
        (false, "http://elsewhere.example/", false),
        (false, "http://host0.example/new", true),
        (true, "http://elsewhere.example/", true),
    ] {
        let mut many = Many::following(1, 1);
        for _ in 0..2 {
            let (feed, url) = many.until_poll().remove(0);
            let validators = Validators::default();
            let outcome = Outcome::Body { validators, ttl: None, skip_hours: poll::SkipHours::default() };
            let moved_to = Some(to.parse().unwrap());
            let reply = Reply { outcome, moved_to, astray: None, max_age: None, bytes: 10 };
            let found = Some(Box::new(FoundFeed::default()));
            many.handle(Input::Polled { feed, url, reply, found, is_local });
        }
        let feed = many.agent.catalogue().feed(FEED).unwrap();
        assert_eq!((feed.url().as_str(), feed.is_typed), (to, is_typed));
        let left: Vec<_> = many.agent.catalogue().left().collect();
        assert_eq!(left.iter().map(|left| left.url.as_str()).collect::<Vec<_>>(), ["http://host0.example/0"]);
        assert!(feed.stamp > left[0].stamp);
    }
}

#[test]
fn the_feeds_of_a_host_are_asked_one_after_another_and_left_alone_together() {
    let mut many = Many::following(1, 3);
    many.secs = 7200;
    let [first] = &many.handle(Input::Tick)[..] else { panic!("one is asked") };
    let first = first.clone();
    many.secs += 5;
    assert_eq!(many.handle(Input::Tick), []);
    // The owner does not wait.
    let others: Vec<FeedId> = (1..=3).map(FeedId).filter(|feed| *feed != first.0).collect();
    let [second] = &many.handle(Input::Poll(others[0]))[..] else { panic!("it is asked") };
    let second = second.clone();
    assert_eq!(many.answer(second, None), []);
    assert_eq!(many.answer(first.clone(), Some(1000)), []);
    let left_alone = many.secs;
    let mut next = many.until_poll();
    if next == [first.clone()] {
        assert_eq!(many.answer(first, None), []);
        next = many.until_poll();
    }
    assert_eq!(next.iter().map(|(feed, _)| *feed).collect::<Vec<_>>(), [others[1]]);
    assert!((1000..1010).contains(&(many.secs - left_alone)), "{}", many.secs - left_alone);
}

#[test]
fn a_feed_whose_host_says_nothing_keeps_no_other_host_waiting_and_a_paused_one_leaves_the_line() {
    let mut many = Many::following(2, 2);
    many.secs = 7200;
    let mut asked = many.handle(Input::Tick);
    asked.sort_unstable();
    let [silent, speaking] = &asked[..] else { panic!("one of each host is asked: {asked:?}") };
    let [paused, other] = [FeedId(3 - silent.0.0), FeedId(7 - speaking.0.0)];
    many.handle(Input::Pause(Target::Feed(paused)));
    assert_eq!(many.answer(speaking.clone(), None), []);
    assert_eq!(many.until_poll()[0].0, other);
    many.secs += 10;
    assert_eq!(many.answer(silent.clone(), None), []);
    many.handle(Input::Resume(Target::Feed(paused)));
    assert_eq!(many.until_poll()[0].0, paused);
}

#[test]
fn an_agent_of_many_feeds_wakes_for_their_polls_and_little_else() {
    let mut many = Many::following(200, 1);
    let (mut wakes, mut polls) = (0, 0);
    while many.secs < 86_400 {
        many.secs = many.agent.deadline().unwrap().as_nanos().div_ceil(1_000_000_000).max(many.secs);
        wakes += 1;
        let asked = many.handle(Input::Tick);
        for poll in asked {
            polls += 1;
            many.answer(poll, None);
        }
    }
    assert!((9000..10_500).contains(&polls), "{polls}");
    assert!(wakes <= polls + 24 * 12 + 1, "{wakes} for {polls}");
}

#[test]
fn a_machine_that_was_suspended_asks_all_its_feeds_when_it_wakes_and_deletes_what_is_due() {
    let mut world = World::ruled(settings(Duty::Everything), rules(&[], &[], "all", "2d"));
    world.release_of("a", 1000);
    // For a minute by the one clock, for three days by the other.
    let mut later = now(world.secs + 60);
    later.wall += Duration::from_hours(72);
    world.agent.handle(later, Input::Tick);
    let outputs: Vec<Output> = std::iter::from_fn(|| world.agent.poll()).collect();
    assert!(outputs.iter().any(|output| matches!(output, Output::Poll { .. })), "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::Delete { .. })), "{outputs:?}");
}

fn with_tags(duty: Duty) -> Settings {
    let hooks = Some(vec![TELL.parse().unwrap()]);
    Settings { rules: Rules { tags: Some(Choice::Yes), on_complete: hooks, ..Rules::default() }, ..settings(duty) }
}

impl World {
    /// Seeding was begun, and was not told to stop since.
    fn is_exchanged(&self, id: EpisodeId) -> bool {
        let count = |ids: &[EpisodeId]| ids.iter().filter(|it| **it == id).count();
        count(&self.seeded) > count(&self.stopped)
    }

    fn tagging(settings: Settings, items: Vec<Found>) -> Self {
        let mut world = Self::with(settings);
        world.items = items;
        world.subscribe(None);
        world
    }

    fn first(&self) -> &Episode {
        &self.episodes[&FIRST]
    }
}

#[test]
fn a_plain_file_gets_its_tags_at_once_and_hooks_find_it_with_them() {
    let mut world = World::tagging(with_tags(Duty::Once), vec![http("a", 0)]);
    let names: Vec<_> = world.events.iter().map(|event| event.line().split(':').next().unwrap().to_owned()).collect();
    let at = |name: &str| names.iter().position(|it| it == name).unwrap_or_else(|| panic!("no {name}: {names:?}"));
    assert!(at("complete") < at("tagged") && at("tagged") < at("done"), "{names:?}");
    assert_eq!((world.told(), world.tagged.clone()), (vec!["a"], vec![FIRST]));
    let Stage::Complete { length, .. } = world.first().stage else { panic!() };
    assert_eq!((length, world.first().custody.print, world.first().custody.tagged), (1100, Some(2), Tagged::Yes));
    assert!(world.agent.is_settled());
    // It has them: the next agent does nothing.
    world.restart(with_tags(Duty::Everything));
    assert_eq!((world.tagged.len(), world.told().len()), (1, 1));
}

#[test]
fn what_is_seeded_gets_its_tags_when_that_ends_and_is_what_it_was() {
    let mut world = World::tagging(with_tags(Duty::Everything), vec![torrent("a", 0, hash(1))]);
    world.pass(86_400);
    assert_eq!((world.told(), world.tagged.len()), (vec!["a"], 0));
    world.restart(with_tags(Duty::Once));
    assert!(world.tagged.is_empty(), "the next agent may go on seeding it");
    world.restart(with_tags(Duty::Everything));
    world.sent = vec![(FIRST, 2000)];
    world.pass(2 * 3600);
    assert_eq!((&world.seeded[..], &world.stopped[..], &world.tagged[..]), (&[FIRST][..], &[FIRST][..], &[FIRST][..]));
    assert_eq!((world.first().seeded_as(), world.first().kept_hash()), (None, Some(hash(1))));
    // It is neither seeded nor fetched again, whatever the owner gives back now, and is the same under another guid.
    let (seeded, started) = (world.seeded.len(), world.started.len());
    world.restart(Settings { enough: Enough::NEVER, ..with_tags(Duty::Everything) });
    world.release(torrent("b", 0, hash(1)));
    world.pass(86_400);
    assert_eq!((world.seeded.len(), world.started.len(), world.told().len()), (seeded, started, 1));
    // A new version of it is another file.
    world.items = vec![torrent("a", 0, hash(2))];
    world.version += 1;
    world.pass(86_400);
    assert_eq!((world.first().seeded_as(), world.first().custody.tagged), (Some(hash(2)), Tagged::No));
}

#[test]
fn an_agent_that_ends_while_the_copy_takes_the_files_place_knows_it_afterwards() {
    let mut world = World::tagging(Settings { seeding: Seeding::Off, ..with_tags(Duty::Everything) }, vec![]);
    world.is_killed_at_put = true;
    world.release(torrent("a", 0, hash(1)));
    world.pass(86_400);
    assert_eq!((world.first().custody.tagged, world.told().len()), (Tagged::Soon(2), 0));
    // Whatever the rule says now, and though seeding is wanted now.
    world.is_killed_at_put = false;
    world.restart(settings(Duty::Everything));
    assert_eq!((world.tagged.clone(), world.seeded.len()), (vec![FIRST], 0));
    assert_eq!((world.first().custody.print, world.told()), (Some(2), vec!["a"]));
}

#[test]
fn what_cannot_get_tags_is_left_alone_and_a_full_disk_is_tried_again() {
    let mut world = World::tagging(with_tags(Duty::Everything), vec![]);
    world.tags_end = Some(TagOutcome::Failed("full".to_owned()));
    world.release(http("a", 0));
    world.release(http("b", 0));
    world.input(Input::Poll(FEED));
    assert_eq!(world.told().len(), 2, "hooks do not wait for room");
    let failed = |world: &World| world.events.iter().filter(|it| matches!(it, Event::TagFailed { .. })).count();
    assert_eq!(failed(&world), 1, "it is told once");
    world.tags_end = Some(TagOutcome::Unfit("it is a text".to_owned()));
    world.pass(3700);
    assert_eq!((failed(&world), world.first().custody.tagged), (3, Tagged::Never));
    world.restart(with_tags(Duty::Everything));
    assert_eq!(failed(&world), 3);
    world.tags_end = Some(TagOutcome::Changed);
    world.release(http("c", 0));
    world.input(Input::Poll(FEED));
    let spared = world.events.iter().filter(|it| matches!(it, Event::Spared { .. })).count();
    assert!(spared == 1 && world.tagged.is_empty(), "it is its owner's");
}

#[test]
fn covers_and_chapters_are_looked_at_once_a_day_and_when_they_move() {
    let item = |at: &str| Found { chapters: Some(format!("http://host.example/{at}.json")), ..http("a", 0) };
    let of = |at: &str| (Extra::Chapters(FIRST), format!("http://host.example/{at}.json"));
    let cover = (Extra::Cover(FEED), "http://host.example/cover.png".to_owned());
    let mut world = World::following(vec![item("c")]);
    assert_eq!(world.gathered, [cover.clone(), of("c")]);
    world.pass(20 * 3600);
    assert_eq!(world.gathered.len(), 2, "polls do not ask for them");
    world.items = vec![item("d")];
    world.version += 1;
    world.pass(3600);
    assert_eq!(world.gathered[2..], [of("d")]);
    world.pass(86_400);
    assert_eq!(world.gathered[3..], [cover, of("d")]);
    world.input(Input::Pause(Target::All));
    world.pass(3 * 86_400);
    world.restart(settings(Duty::Everything));
    assert_eq!(world.gathered.len(), 5, "nothing is asked for of what is paused");
    world.restart(settings(Duty::Answer));
    world.input(Input::Resume(Target::All));
    assert_eq!((world.gathered.len(), world.agent.is_settled()), (5, true));
    world.restart(settings(Duty::Everything));
    assert_eq!(world.gathered.len(), 7);
}

fn with_cover(duty: Duty, keep_for: Option<&str>) -> Settings {
    let keep_for = keep_for.map(|span| span.parse().unwrap());
    Settings { rules: Rules { cover: Some(Choice::Yes), keep_for, ..Rules::default() }, ..settings(duty) }
}

#[test]
fn the_cover_lies_in_the_folder_while_an_episode_does() {
    let mut world = World::tagging(with_cover(Duty::Everything, Some("5d")), vec![http("a", 0)]);
    assert_eq!(
        (&world.pictures[..], &world.feeds[&FEED].pictures[..]),
        (&["1.png".to_owned()][..], &["1.png".to_owned()][..])
    );
    world.pass(3 * 86_400);
    assert_eq!(world.pictures.len(), 1, "it is put there once");
    // Another cover takes its place, also where an agent ends in between.
    world.cover = "2.png".to_owned();
    world.is_killed_at_put = true;
    world.pass(86_400);
    assert_eq!(world.feeds[&FEED].pictures, ["1.png", "2.png"]);
    world.is_killed_at_put = false;
    world.restart(with_cover(Duty::Everything, Some("5d")));
    assert_eq!((world.pictures.len(), &world.feeds[&FEED].pictures[..]), (3, &["2.png".to_owned()][..]));
    // It goes with the last episode, and comes with the next.
    world.pass(3 * 86_400);
    assert_eq!((world.deleted.len(), world.pictures[3..].join(" ")), (1, "-2.png".to_owned()));
    assert!(world.feeds[&FEED].pictures.is_empty() && world.agent.is_settled());
    world.release(http("b", 0));
    world.pass(7200);
    assert_eq!(world.pictures[4..].join(" "), "2.png");
}

#[test]
fn a_cover_that_the_disk_refuses_is_put_there_with_the_next_episode() {
    let mut world = World::with(with_cover(Duty::Everything, None));
    world.is_refusing = true;
    world.items = vec![http("a", 0)];
    world.subscribe(None);
    assert_eq!(world.pictures, ["1.png"], "it is tried once");
    world.is_refusing = false;
    world.release(http("b", 0));
    world.pass(7200);
    assert_eq!(world.pictures, ["1.png", "1.png"]);
    assert_eq!((&world.feeds[&FEED].pictures[..], world.agent.is_settled()), (&["1.png".to_owned()][..], true));
}

#[test]
fn no_cover_is_put_where_none_is_wanted() {
    let mut world = World::following(vec![http("a", 0)]);
    assert!(world.pictures.is_empty());
    let rules = Rules { cover: Some(Choice::Yes), ..Rules::default() };
    let edit = |rules: &Rules| Input::Edit { feed: FEED, rules: rules.clone(), forget: Vec::new(), schedule: None };
    world.input(edit(&rules));
    assert_eq!(world.pictures, ["1.png"], "what is there gets it, too");
    world.input(edit(&Rules { cover: Some(Choice::No), ..Rules::default() }));
    world.cover = "2.png".to_owned();
    world.pass(3 * 86_400);
    assert_eq!(world.pictures.len(), 1, "it stays as it is");
    world.restart(with_cover(Duty::Answer, None));
    assert_eq!(world.pictures.len(), 1);
}

#[test]
fn the_rule_of_a_feed_holds_for_what_is_there_already() {
    let mut world = World::following(vec![http("a", 0)]);
    assert_eq!((world.complete(), world.tagged.len()), (vec!["a"], 0));
    let rules = Rules { tags: Some(Choice::Yes), ..Rules::default() };
    world.input(Input::Edit { feed: FEED, rules, forget: Vec::new(), schedule: None });
    assert_eq!(world.tagged, [FIRST]);
}
