//! The world around the agent: what is to happen, in its order, and what answers the agent's outputs.
//!
//! The agent is the real one, with the real reader of feeds; hosts, files and the disk are made up. An output is never
//! answered at once: the answer is an event of its own, and an agent that ended meanwhile does not get it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use podswarm_core::rng::Rng;
use podswarm_core::time::{Instant, earliest};
use podswarm_feeds::poll::{Fetch, Now, Reply};
use podswarm_subscriber::agent::catalogue::{Catalogue, Change, feed_mark};
use podswarm_subscriber::agent::pages::{Pages, taken_in};
use podswarm_subscriber::agent::{Agent, Deletion, Input, Output, Prepare, Settings, Start};
use podswarm_subscriber::records::{Episode, EpisodeId, Feed, FeedId, Left, Loose};
use url::Url;

use super::disk::Disk;
use super::download::{Download, Refusal};
use super::host::{Media, Trouble};
use super::laws::{Laws, Moment, Said, check, feed_of};
use super::show::{Content, Plight, Show};

/// A request takes so long that nobody answers.
const TIMEOUT: Duration = Duration::from_mins(1);
/// An agent that is asked to go on without time passing, so often, does so for ever.
const MOST_AT_ONCE: u32 = 5000;
/// The month begins so many seconds after 1970: on 2026-11-01.
const BEGINNING: i64 = 1_793_491_200;

/// What is to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// The agent of this run is told something.
    Answer { run: u32, input: Box<Input> },
    /// An answer of a feed's host reaches the agent of this run.
    Answered { run: u32, feed: FeedId, host: usize, said: Box<Said>, input: Box<Input> },
    /// A host's refusal of a download reaches the agent of this run.
    Refused { run: u32, id: EpisodeId, attempt: u64 },
    /// A download is looked at.
    Report { run: u32, id: EpisodeId, attempt: u64 },
    /// The plot goes on.
    Plot(super::plot::Turn),
}

/// Where an address leads.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// To a feed.
    Feed(usize),
    /// Nowhere any more.
    Gone(usize),
    /// In a circle.
    Loop(usize),
    /// To another address, for good or for now.
    To { show: usize, url: Url, is_permanent: bool },
}

/// What the agent has made durable.
#[derive(Default)]
pub(super) struct Records {
    pub(super) feeds: BTreeMap<FeedId, Feed>,
    pub(super) episodes: BTreeMap<EpisodeId, Episode>,
    left: BTreeMap<u64, Left>,
    loose: BTreeMap<u64, Loose>,
    last_feed: u32,
}

/// What the run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests for feeds.
    pub polls: u64,
    /// Feeds that were sent in full.
    pub bodies: u64,
    /// Recordings that were released.
    pub released: u64,
    /// Episodes that were downloaded.
    pub downloads: u64,
    /// Downloads that did not come to an end.
    pub failed: u64,
    /// Files that a rule deleted.
    pub deleted: u64,
    /// Runs of the agent.
    pub runs: u64,
    /// What the agent was told.
    pub inputs: u64,
    /// The most bytes that the library had.
    pub most_kept: u64,
    /// The most downloads that were wanted at a time.
    pub most_wanted: usize,
}

/// The world.
pub(super) struct World {
    pub(super) now: Instant,
    /// What the listener's wall clock is ahead of the world's.
    pub(super) skew: TimeDelta,
    pub(super) agent: Option<Agent>,
    /// The agent's own clock began then.
    run_began: Instant,
    pub(super) run: u32,
    pub(super) settings: Settings,
    pub(super) records: Records,
    events: BTreeMap<(Instant, u64), Event>,
    last_event: u64,
    pub(super) rng: Rng,
    /// What is wrong with each host.
    pub(super) hosts: Vec<Option<Trouble>>,
    pub(super) shows: Vec<Show>,
    pub(super) places: BTreeMap<String, Place>,
    pub(super) media: Media,
    pub(super) disk: Disk,
    /// What was looked for by magnet link.
    pub(super) hunted: BTreeSet<Content>,
    pub(super) downloads: BTreeMap<EpisodeId, Download>,
    /// What hosts refuse, and the agent has not heard yet.
    pub(super) refusals: BTreeMap<EpisodeId, Refusal>,
    pub(super) laws: Laws,
    pub(super) figures: Figures,
    /// The feed that its owner wants polled, while the agent is told so.
    wish: Option<FeedId>,
    /// The agent is killed after so many more outputs.
    pub(super) killed_after: Option<u32>,
    /// Nothing new goes wrong from then on.
    pub(super) calm: Instant,
    /// What happens is told from then on.
    pub(super) tell_from: Option<Instant>,
}

impl World {
    pub(super) fn new(settings: Settings, disk: Disk, rng: Rng) -> Self {
        Self {
            now: Instant::ZERO,
            skew: TimeDelta::zero(),
            agent: None,
            run_began: Instant::ZERO,
            run: 0,
            settings,
            records: Records::default(),
            events: BTreeMap::new(),
            last_event: 0,
            rng,
            hosts: Vec::new(),
            shows: Vec::new(),
            places: BTreeMap::new(),
            media: Media::default(),
            disk,
            hunted: BTreeSet::new(),
            downloads: BTreeMap::new(),
            refusals: BTreeMap::new(),
            laws: Laws::default(),
            figures: Figures::default(),
            wish: None,
            killed_after: None,
            calm: Instant::ZERO,
            tell_from: None,
        }
    }

    /// The world's own wall clock.
    pub(super) fn wall(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.now - Instant::ZERO).expect("a month is not long");
        DateTime::from_timestamp(BEGINNING, 0).expect("it is in range") + passed
    }

    /// The listener's clocks.
    fn clock(&self) -> Now {
        Now { instant: Instant::ZERO + (self.now - self.run_began), wall: self.wall() + self.skew }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, skew: self.skew, hour: self.clock().wall.hour() }
    }

    /// Has something happen after `wait`.
    pub(super) fn after(&mut self, wait: Duration, event: Event) {
        self.last_event += 1;
        self.events.insert((self.now + wait, self.last_event), event);
    }

    /// Has the agent be told something after `wait`.
    pub(super) fn answer(&mut self, wait: Duration, input: Input) {
        self.after(wait, Event::Answer { run: self.run, input: Box::new(input) });
    }

    /// Lets time pass until `end`.
    pub(super) fn run_until(&mut self, end: Instant) {
        let mut at_once = 0;
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wake = self.agent.as_ref().and_then(Agent::deadline);
            let wake = wake.map(|at| (self.run_began + (at - Instant::ZERO)).max(self.now));
            let Some(next) = earliest(event, wake).filter(|next| *next <= end) else { break };
            at_once = if next == self.now { at_once + 1 } else { 0 };
            check(at_once < MOST_AT_ONCE, || format!("the agent never rests; it wants to be woken at {wake:?}"));
            self.now = next;
            if event != Some(next) {
                self.input(Input::Tick);
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happen(event);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Answer { run, input } => {
                if run == self.run {
                    self.input(*input);
                }
            }
            Event::Answered { run, feed, host, said, input } => {
                if run == self.run {
                    let (at, interval) = (self.moment(), self.settings.interval);
                    self.laws.answer(at, feed, host, interval, *said);
                    self.note_items(feed, &input);
                    self.input(*input);
                }
            }
            Event::Refused { run, id, attempt } => {
                if run == self.run {
                    self.refused(id, attempt);
                }
            }
            Event::Report { run, id, attempt } => {
                if run == self.run {
                    self.report(id, attempt);
                }
            }
            Event::Plot(turn) => self.turn(turn),
        }
    }

    /// Tells the agent something, if it runs, and does what it wants.
    pub(super) fn input(&mut self, input: Input) {
        let now = self.clock();
        let Some(agent) = &mut self.agent else { return };
        self.figures.inputs += 1;
        if self.tell_from.is_some_and(|from| from <= self.now) && !matches!(input, Input::Tick) {
            eprintln!("{} <- {}", self.now, line(&format!("{input:?}")));
        }
        match input {
            Input::Poll(feed) => self.wish = Some(feed),
            Input::Subscribe { .. } => self.wish = Some(feed_of(self.shows.len() - 1)),
            _ => {}
        }
        agent.handle(now, input);
        self.drain();
        self.wish = None;
        self.watch();
    }

    fn drain(&mut self) {
        while let Some(output) = self.agent.as_mut().and_then(Agent::poll) {
            if let Some(left) = &mut self.killed_after {
                if *left == 0 {
                    self.killed_after = None;
                    self.kill();
                    return;
                }
                *left -= 1;
            }
            if self.tell_from.is_some_and(|from| from <= self.now) {
                eprintln!("{} -> {}", self.now, line(&format!("{output:?}")));
            }
            self.act(output);
        }
    }

    /// Looks whether the laws hold that the agent's state shows.
    fn watch(&mut self) {
        let Some(agent) = &self.agent else { return };
        let jobs = agent.queue().len();
        self.figures.most_wanted = self.figures.most_wanted.max(jobs);
        self.figures.most_kept = self.figures.most_kept.max(self.disk.known());
        let moving = self.downloads.values().filter(|it| it.is_moving(self.now) && !it.was_still).count();
        check(moving <= self.settings.downloads, || format!("{moving} downloads move at once"));
        let most = self.settings.downloads * 9;
        check(self.downloads.len() <= most, || format!("{} downloads run at once", self.downloads.len()));
        let mut visits = BTreeMap::<String, usize>::new();
        for host in self.downloads.values().filter_map(Download::host) {
            *visits.entry(host).or_default() += 1;
        }
        // Nothing is played here.
        for (host, visits) in visits {
            check(visits <= self.settings.downloads_per_host, || format!("{host} sends {visits} files at once"));
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Count => self.answer(Duration::from_millis(1), Input::Counted(Vec::new())),
            Output::Delete { id, file, print } => {
                let outcome = match self.disk.delete(&file, print) {
                    Some(true) => Deletion::Done,
                    Some(false) => Deletion::Changed,
                    None => Deletion::Missing,
                };
                self.figures.deleted += 1;
                self.downloads.remove(&id);
                self.answer(Duration::from_millis(5), Input::Deleted { id, outcome });
            }
            Output::Discard { id, file } => {
                self.settle();
                self.downloads.remove(&id);
                self.disk.drop_part(&file);
            }
            Output::Gather { extra, .. } => {
                self.answer(Duration::from_millis(1), Input::Gathered { extra, name: None });
            }
            Output::Hook { serial, .. } => {
                self.answer(Duration::from_secs(1), Input::Hooked { serial, outcome: Ok(()) });
            }
            Output::Measure => {
                self.settle();
                let outstanding = self.downloads.values().map(Download::outstanding).sum();
                let measured = Input::Measured { space: Ok(self.disk.space()), outstanding };
                self.answer(Duration::from_millis(1), measured);
            }
            Output::Poll { feed, fetch, known, is_typed: _ } => self.poll(feed, fetch, known),
            Output::Prepare(Prepare { id, attempt, source, folder, file, .. }) => {
                self.prepare(id, attempt, &source, &folder, file.as_deref());
            }
            Output::Save(changes) => self.records.save(changes),
            Output::Start(Start { id, attempt, source, plan, .. }) => self.start(id, attempt, &source, plan),
            Output::Stop { id } => {
                self.settle();
                self.downloads.remove(&id);
                // Who has hung up does not hear it.
                self.refusals.remove(&id);
            }
            // Nobody asks for tags and covers here, and nobody asks us to connect back.
            Output::ConnectBack { .. }
            | Output::DropAside { .. }
            | Output::Listen { .. }
            | Output::PutPicture(_)
            | Output::PutTagged { .. }
            | Output::Seed(_)
            | Output::SetAside { .. }
            | Output::Tag(_)
            | Output::TakePicture { .. }
            | Output::Tell(_)
            | Output::Treat { .. }
            | Output::Unlisten { .. }
            // The feeds of this world name no hubs.
            | Output::AnswerHub { .. }
            | Output::AskHub { .. }
            | Output::LeaveHub { .. }
            // Nobody asks the owner.
            | Output::LeaveSwarms => {}
        }
    }

    /// The agent begins, or goes on from what it has made durable.
    pub(super) fn start_agent(&mut self) {
        self.run += 1;
        self.figures.runs += 1;
        self.run_began = self.now;
        self.laws.restarted();
        self.disk.restarted();
        let rng = self.rng.fork(u64::from(self.run));
        let catalogue = self.records.catalogue();
        self.agent = Some(Agent::new(self.settings.clone(), catalogue, self.clock(), rng));
        self.drain();
    }

    /// The agent ends as it should.
    pub(super) fn stop_agent(&mut self) {
        self.input(Input::Ending(Vec::new()));
        let Some(agent) = self.agent.take() else { return };
        let feeds = agent.catalogue().feeds().filter(|feed| !feed.is_new());
        for feed in feeds {
            check(self.records.feeds.get(&feed.id) == Some(feed), || {
                format!("feed {} is not remembered as it is", feed.id)
            });
        }
        for episode in agent.catalogue().episodes() {
            let is_same = self.records.episodes.get(&episode.id) == Some(episode);
            check(is_same, || format!("episode {} is not remembered as it is", episode.id));
        }
        self.let_go();
    }

    /// The agent is killed.
    fn kill(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        // What it had just been told is lost with it.
        for feed in agent.catalogue().feeds() {
            let kept = self.records.feeds.get(&feed.id).map(|feed| &feed.poll);
            if kept != Some(&feed.poll) {
                self.laws.lost(feed.id, kept.map(|poll| poll.validators.clone()).unwrap_or_default());
            }
        }
        self.let_go();
        self.start_agent();
    }

    fn let_go(&mut self) {
        self.settle();
        self.downloads.clear();
        self.laws.forget_vain();
        self.run += 1;
    }

    /// A host is asked for a feed.
    fn poll(&mut self, feed: FeedId, fetch: Fetch, known: BTreeSet<String>) {
        self.figures.polls += 1;
        let is_wish = self.wish == Some(feed);
        let (place, moved_to, reason) = self.follow(&fetch.url);
        let show = match place {
            Place::Feed(show) | Place::Gone(show) | Place::Loop(show) | Place::To { show, .. } => show,
        };
        // It is the host that was asked, wherever that leads.
        let asked = self.shows.iter().position(|it| it.addresses.contains(&fetch.url)).unwrap_or(show);
        let host = self.host_of(&fetch.url, asked);
        let at = self.moment();
        self.laws.ask(at, feed, host, &self.shows[show], &fetch, is_wish);
        let trouble = self.hosts[host].or(self.hosts[self.host_of(self.shows[show].address(), show)]);
        let wait = Duration::from_millis(100 + self.rng.below(900) as u64);
        let silence = reason.or(trouble.and_then(|trouble| trouble.silence().map(str::to_owned)));
        let (wait, said, reply, found) = if let Some(reason) = silence {
            let wait = if trouble == Some(Trouble::Hangs) { TIMEOUT } else { wait };
            (wait, Said::default(), Reply::failed(reason), None)
        } else {
            let is_gone = matches!(place, Place::Gone(_));
            let (said, reply, found) = self.speak(show, trouble, is_gone, &fetch, moved_to, known);
            (wait, said, reply, found)
        };
        let input = Input::Polled { feed, url: fetch.url, reply, found, is_local: false };
        let (said, input) = (Box::new(said), Box::new(input));
        self.after(wait, Event::Answered { run: self.run, feed, host, said, input });
    }

    /// Where an address leads, where permanent redirects alone did, and what is wrong with the way.
    fn follow(&self, url: &Url) -> (Place, Option<Url>, Option<String>) {
        let (mut at, mut moved_to, mut is_permanent) = (url.clone(), None, true);
        loop {
            match self.places.get(at.as_str()) {
                Some(Place::To { url, is_permanent: good, .. }) => {
                    is_permanent &= good;
                    at = url.clone();
                    if is_permanent {
                        moved_to = Some(at.clone());
                    }
                }
                Some(place @ Place::Loop(_)) => {
                    return (place.clone(), None, Some("it redirects for the 11th time".to_owned()));
                }
                Some(place) => return (place.clone(), moved_to, None),
                None => panic!("{at} is nowhere, and asked for"),
            }
        }
    }

    pub(super) fn host_of(&self, url: &Url, show: usize) -> usize {
        let number = url.host_str().and_then(|host| host.trim_start_matches("host").split('.').next()?.parse().ok());
        number.unwrap_or(self.shows[show].host)
    }

    /// What a host says that answers.
    fn speak(
        &mut self,
        number: usize,
        trouble: Option<Trouble>,
        is_gone: bool,
        fetch: &Fetch,
        moved_to: Option<Url>,
        known: BTreeSet<String>,
    ) -> (Said, Reply, Option<Box<podswarm_subscriber::agent::found::FoundFeed>>) {
        let (wall, listeners) = (self.wall(), self.clock().wall);
        let show = &mut self.shows[number];
        let retry_after = trouble.and_then(|trouble| trouble.retry_after(wall));
        let (etag, modified) = (show.etag(), show.last_modified());
        let is_same = etag.is_some() && fetch.etag == etag
            || etag.is_none() && modified.is_some() && fetch.last_modified == modified;
        let status = match (trouble, show.plight) {
            (Some(Trouble::Busy { status, .. }), _) => status,
            _ if is_gone => 410,
            (_, Some(Plight::Missing)) => 404,
            (_, None | Some(Plight::Amnesia)) if is_same => 304,
            _ => 200,
        };
        let (etag, modified, control) = match status {
            200 | 304 => (etag, modified, show.max_age.map(|age| format!("max-age={age}"))),
            _ => (None, None, None),
        };
        let header = |name: &str| match name {
            "etag" => etag.as_deref(),
            "last-modified" => modified.as_deref(),
            "cache-control" => control.as_deref(),
            "retry-after" => retry_after.as_deref(),
            _ => None,
        };
        let moved_to = moved_to.filter(|_| matches!(status, 200 | 304));
        let at = show.address().clone();
        let (bytes, read) = if status == 200 { show.document(&at, 0) } else { (200, Err(String::new())) };
        let reply = Reply::from_http(status, header, moved_to.clone(), bytes, listeners);
        let patience = reply.patience();
        let ttl = show.ttl.map(Duration::from_mins);
        let mut said = Said {
            is_answer: status == 304,
            is_gone: status == 410,
            patience,
            fresh: Duration::from_secs(show.max_age.unwrap_or(0)).max(ttl.unwrap_or_default()),
            moved: moved_to.map(String::from),
            ..Said::default()
        };
        if status != 200 {
            return (said, reply, None);
        }
        self.figures.bodies += 1;
        let read = read.map(|first| {
            let mut pages = Pages::new(first, at.clone(), known);
            let mut number = 0;
            while pages.next_page().is_some() {
                number += 1;
                match show.document(&at, number).1 {
                    Ok(page) => pages.add(page),
                    Err(_) => break,
                }
            }
            pages.channel()
        });
        let is_whole = read.as_ref().is_ok_and(|channel| channel.is_whole);
        said.is_answer = read.is_ok();
        (said.is_body, said.etag, said.modified) =
            (read.is_ok(), etag.filter(|_| is_whole), modified.filter(|_| is_whole));
        let (reply, found) = taken_in(reply, read);
        (said, reply, found)
    }

    /// Notes down which recordings the agent is told of.
    fn note_items(&mut self, feed: FeedId, input: &Input) {
        let Input::Polled { found: Some(found), .. } = input else { return };
        let is_first = self.agent.as_ref().and_then(|it| it.catalogue().feed(feed)).is_none_or(Feed::is_new);
        let Some(show) = (0..self.shows.len()).find(|show| feed_of(*show) == feed) else { return };
        for item in &found.items {
            let of = |it: &&super::show::Item| it.guid == item.guid || it.twin.as_ref() == Some(&item.guid);
            let Some(content) = self.shows[show].items.iter().find(of).map(|it| it.content) else { continue };
            self.laws.delivered.entry(content).or_insert(self.now);
            if is_first {
                self.laws.at_first.insert(content);
            }
        }
    }
}

impl Records {
    fn save(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::DropFeed(id) => {
                    self.feeds.remove(&id);
                    self.episodes.retain(|episode, _| episode.feed != id);
                }
                Change::DropEpisode(id) => drop(self.episodes.remove(&id)),
                Change::Episode(episode) => drop(self.episodes.insert(episode.id, *episode)),
                Change::Feed(feed) => {
                    if !feed.is_new() {
                        self.last_feed = self.last_feed.max(feed.id.0);
                    }
                    self.feeds.insert(feed.id, *feed);
                }
                Change::Left(left) => drop(self.left.insert(feed_mark(&left.url), left)),
                Change::DropLeft(mark) => drop(self.left.remove(&mark)),
                Change::Loose(loose) => drop(self.loose.insert(loose.mark(), *loose)),
                Change::DropLoose(mark) => drop(self.loose.remove(&mark)),
                Change::Notes(_) => {}
            }
        }
    }

    /// What the next agent finds: all of it was written and is read again.
    fn catalogue(&self) -> Catalogue {
        let feeds = self.feeds.values().map(again).collect();
        let episodes = self.episodes.values().map(again).collect();
        let left = self.left.values().map(again).collect();
        let loose = self.loose.values().map(again).collect();
        Catalogue::new(feeds, episodes, self.last_feed).with_past(left, loose)
    }
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(record: &T) -> T {
    let text = serde_json::to_string(record).expect("a record can be written");
    serde_json::from_str(&text).expect("what was written can be read")
}

/// The beginning of a long line.
fn line(text: &str) -> &str {
    &text[..text.floor_char_boundary(300)]
}
