//! What happens in the month, drawn from the seed: releases, and all that goes wrong.
//!
//! On the last days nothing new does, and what was wrong is well again: what is missing then stays so.

use std::time::Duration;

use chrono::TimeDelta;
use podswarm_core::time::Instant;
use podswarm_feeds::Withdrawal;
use podswarm_subscriber::agent::{Input, Target};
use podswarm_subscriber::records::{Backlog, EpisodeId, Stage};
use podswarm_subscriber::rules::{KeepFor, Rules, Span};
use url::Url;

use super::host::{Flaw, Recording, Trouble};
use super::laws::feed_of;
use super::show::{Content, Dated, Form, Item, Marks, Plight, Rhythm, Show};
use super::world::{Event, Place, World};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A turn of the plot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// Somebody fills the listener's disk, or no longer.
    Fill(bool),
    /// The listener's agent ends, or begins.
    Agent(bool),
    /// A host has trouble, or no longer.
    Host(usize, Option<Trouble>),
    /// The agent is killed in the midst of what it does.
    Kill,
    /// The listener's wall clock is set by so many seconds.
    Clock(i64),
    /// Something happens to a show.
    Mischief(usize),
    /// A recording's flaw is mended.
    Mend(Content),
    /// The listener does something with a feed.
    Owner(usize),
    /// What was wrong with a feed is well again.
    Relief(usize),
    /// A show comes out, with so many episodes.
    Release(usize, u32),
    /// The listener lets a feed go on.
    Resume(usize),
}

impl World {
    fn turn_after(&mut self, wait: Duration, turn: Turn) {
        self.after(wait, Event::Plot(turn));
    }

    /// A time within `span`.
    fn within(&mut self, span: Duration) -> Duration {
        Duration::from_millis(self.rng.below(usize::try_from(span.as_millis()).unwrap_or(usize::MAX)) as u64)
    }

    fn one_in(&mut self, chance: u32) -> bool {
        self.rng.ratio(1, chance)
    }

    /// Makes hosts and shows, and writes down what is to happen until `calm`, from which on all is well.
    pub(super) fn plan(&mut self, feeds: usize, calm: Duration) {
        self.calm = Instant::ZERO + calm;
        let hosts = feeds.div_ceil(4);
        self.hosts = vec![None; hosts];
        for number in 0..feeds {
            self.add_show(number, hosts, calm);
        }
        for host in 0..hosts {
            for _ in 0..self.rng.below(4) {
                let (from, long) = (self.within(calm.saturating_sub(DAY)), self.within(DAY * 3));
                let trouble = self.trouble();
                let until = (from + long.max(HOUR)).min(calm);
                self.turn_after(from, Turn::Host(host, Some(trouble)));
                self.turn_after(until, Turn::Host(host, None));
            }
        }
        let full = self.within(calm.saturating_sub(DAY * 2));
        self.turn_after(full, Turn::Fill(true));
        self.turn_after(full + DAY, Turn::Fill(false));
        let ahead = self.within(calm / 2);
        self.turn_after(ahead, Turn::Clock(3600));
        let back = ahead + self.within(calm / 2);
        self.turn_after(back, Turn::Clock(-3600));
        for _ in 0..4 {
            let (at, off) = (self.within(calm.saturating_sub(DAY)), self.within(HOUR * 10));
            self.turn_after(at, Turn::Agent(false));
            self.turn_after(at + off, Turn::Agent(true));
            let at = self.within(calm);
            self.turn_after(at, Turn::Kill);
        }
        for _ in 0..feeds / 8 {
            let (at, show) = (self.within(calm.saturating_sub(DAY)), self.rng.below(feeds));
            self.turn_after(at, Turn::Owner(show));
        }
    }

    fn trouble(&mut self) -> Trouble {
        match self.rng.below(6) {
            0 => Trouble::Down,
            1 => Trouble::Hangs,
            2 => Trouble::Unknown,
            3 => Trouble::Busy { status: 503, seconds: 600, by_date: true },
            4 => Trouble::Busy { status: 429, seconds: 7200, by_date: false },
            _ => Trouble::Busy { status: 429, seconds: 200_000, by_date: false },
        }
    }

    fn add_show(&mut self, number: usize, hosts: usize, calm: Duration) {
        let host = number % hosts;
        let address: Url = format!("http://host{host}.example/show/{number}").parse().expect("a URL");
        let form = [Form::Rss, Form::Rss, Form::Atom, Form::Json][self.rng.below(4)];
        let rhythm = match number % 100 {
            7 => Rhythm::Hourly,
            8..=11 => Rhythm::Bursts,
            12..=35 => Rhythm::Daily,
            _ => Rhythm::Weekly,
        };
        let mut key = [0; 32];
        self.rng.fill(&mut key);
        let mut show = Show::new(host, address.clone(), form, rhythm, key);
        show.marks = [Marks::Both, Marks::Both, Marks::Etag, Marks::Modified, Marks::None][self.rng.below(5)];
        show.max_age = [None, None, Some(3600), Some(6 * 3600), Some(100_000)][self.rng.below(5)];
        show.has_torrents = form == Form::Rss && self.one_in(2);
        show.is_paged = self.one_in(5);
        if form == Form::Rss {
            show.ttl = [None, None, Some(60), Some(720), Some(1440)][self.rng.below(5)];
            show.skip_hours = if self.one_in(5) { vec![0, 1, 2, 3, 4, 5, 23] } else { Vec::new() };
        }
        self.places.insert(address.to_string(), Place::Feed(number));
        self.shows.push(show);
        let past = 1 + self.rng.below(20);
        for ago in (0..past).rev() {
            let days = TimeDelta::days(i64::try_from(ago).unwrap_or(0) * 7) + TimeDelta::hours(1);
            self.add_item(number, days);
        }
        let backlog = [None, None, None, Some(Backlog::All), Some(Backlog::Newest(5)), Some(Backlog::Newest(0))];
        let mut rules = Rules::default();
        match self.rng.below(6) {
            0 => rules.keep = "5".parse().ok(),
            1 => rules.keep_for = Some(KeepFor(Some(Span(DAY * 5)))),
            _ => {}
        }
        let backlog = backlog[self.rng.below(6)];
        self.input(Input::Subscribe { url: address, title: None, schedule: None, backlog, rules });
        let first = match rhythm {
            Rhythm::Bursts => self.within(calm / 2),
            Rhythm::Daily => self.within(DAY),
            Rhythm::Hourly => self.within(HOUR),
            Rhythm::Weekly => self.within(DAY * 7),
        };
        self.turn_after(first, Turn::Release(number, 1));
        for _ in 0..self.rng.below(4) {
            let at = self.within(calm.saturating_sub(DAY * 2));
            self.turn_after(at, Turn::Mischief(number));
        }
    }

    /// A show has a new episode, which says that it is so old.
    fn add_item(&mut self, show: usize, age: TimeDelta) {
        self.figures.released += 1;
        let length = 1_000_000 * (5 + self.rng.below(55)) as u64 + self.rng.below(1_000_000) as u64;
        let flaw = match self.rng.below(100) {
            0..3 => Some(Flaw::Missing),
            3..6 => Some(Flaw::BreaksOff(3)),
            6..8 => Some(Flaw::Stalls),
            _ => None,
        };
        let name = self.media.recordings.len();
        let guid = format!("guid-{name}");
        let content =
            self.media.add(Recording { show, length, flaw, names: vec![(show, guid.clone())], replaces: None });
        if flaw.is_some() && !self.one_in(8) {
            let long = self.within(DAY * 2);
            self.turn_after(long, Turn::Mend(content));
        }
        let said = match self.rng.below(20) {
            0 => None,
            1 => Some(0),
            2 => Some(1),
            3 => Some(length / 20),
            4 => Some(length * 2),
            _ => Some(length),
        };
        let dated = match self.rng.below(30) {
            0 => Dated::Never,
            1 => Dated::Not,
            _ => Dated::At(self.wall() - age),
        };
        let (media, torrent) = self.files(show, content);
        let twin = match self.rng.below(40) {
            0 => Some(guid.clone()),
            1 => {
                let twin = format!("twin-{name}");
                self.media.recordings[content].names.push((show, twin.clone()));
                Some(twin)
            }
            _ => None,
        };
        let item = Item { content, guid, title: format!("Episode {name}"), dated, media, said, torrent, twin };
        let show = &mut self.shows[show];
        show.items.push(item);
        show.changed();
    }

    /// Where a recording is to be had.
    fn files(
        &mut self,
        show: usize,
        content: Content,
    ) -> (String, Option<(String, podswarm_core::metainfo::InfoHash)>) {
        let version = self.rng.next_u32();
        let base = format!("http://host{}.example/media/{content}-{version:08x}", self.shows[show].host);
        let media = format!("{base}.mp3");
        self.media.put(media.clone(), content);
        let torrent = self.shows[show].has_torrents.then(|| {
            let url = format!("{base}.torrent");
            self.media.put(url.clone(), content);
            (url, self.media.hash(content))
        });
        (media, torrent)
    }

    pub(super) fn turn(&mut self, turn: Turn) {
        if self.tell_from.is_some_and(|from| from <= self.now) {
            eprintln!("{} == {turn:?}", self.now);
        }
        match turn {
            Turn::Fill(true) => {
                self.settle();
                let space = self.disk.space();
                self.disk.others += space.available.saturating_sub(1_000_000_000);
            }
            Turn::Fill(false) => self.disk.others = self.disk.total / 4,
            Turn::Agent(true) => {
                if self.agent.is_none() {
                    self.start_agent();
                }
            }
            Turn::Agent(false) => self.stop_agent(),
            Turn::Host(host, trouble) => self.hosts[host] = trouble,
            Turn::Kill => self.killed_after = Some(u32::try_from(self.rng.below(6)).unwrap_or(0)),
            Turn::Clock(seconds) => self.skew += TimeDelta::seconds(seconds),
            Turn::Mischief(show) => self.mischief(show),
            Turn::Mend(content) => self.media.recordings[content].flaw = None,
            Turn::Owner(show) => self.owner(show),
            Turn::Relief(show) => {
                self.shows[show].plight = None;
                self.shows[show].changed();
                let here = self.shows[show].address().to_string();
                self.places.insert(here, Place::Feed(show));
            }
            Turn::Release(show, more) => self.release(show, more),
            Turn::Resume(show) => {
                self.laws.wished(show, &self.media);
                self.input(Input::Resume(Target::Feed(feed_of(show))));
            }
        }
    }

    fn release(&mut self, show: usize, more: u32) {
        if self.now >= self.calm {
            return;
        }
        self.add_item(show, TimeDelta::zero());
        let (wait, more) = match self.shows[show].rhythm {
            Rhythm::Bursts if more > 1 => (Duration::from_mins(2), more - 1),
            Rhythm::Bursts => (DAY * 9, 60),
            Rhythm::Daily => (DAY, 1),
            Rhythm::Hourly => (HOUR, 1),
            Rhythm::Weekly => (DAY * 7, 1),
        };
        self.turn_after(wait, Turn::Release(show, more));
    }

    fn owner(&mut self, show: usize) {
        let feed = feed_of(show);
        let Some(agent) = &self.agent else { return };
        match self.rng.below(3) {
            0 => self.input(Input::Poll(feed)),
            1 => {
                let long = self.within(DAY);
                self.input(Input::Pause(Target::Feed(feed)));
                self.turn_after(long, Turn::Resume(show));
            }
            _ => {
                let is_seen = |it: &&podswarm_subscriber::records::Episode| {
                    matches!(&it.stage, Stage::Seen { why: Some(podswarm_subscriber::records::Why::Backlog) })
                };
                let seen: Option<EpisodeId> = agent.catalogue().episodes_of(feed).find(is_seen).map(|it| it.id);
                if let Some(id) = seen {
                    self.input(Input::Take(id));
                }
            }
        }
    }

    fn mischief(&mut self, number: usize) {
        let long = HOUR + self.within(DAY);
        let kind = self.rng.below(16);
        let show = &mut self.shows[number];
        let newest = show.items.len() - 1;
        match kind {
            0..5 => {
                let plights = [Plight::Amnesia, Plight::CutOff, Plight::Empty, Plight::Html, Plight::Missing];
                show.plight = Some(plights[kind]);
                show.changed();
                self.turn_after(long, Turn::Relief(number));
            }
            5 | 6 => self.move_show(number, kind == 5, long),
            7 => {
                let here = show.address().to_string();
                self.places.insert(here, Place::Loop(number));
                self.turn_after(long, Turn::Relief(number));
            }
            8 => {
                if number.is_multiple_of(20) {
                    let here = show.address().to_string();
                    self.places.insert(here, Place::Gone(number));
                }
            }
            9 | 10 => self.rename(number, kind == 10),
            11 => {
                let now = self.wall();
                let show = &mut self.shows[number];
                show.items.iter_mut().for_each(|item| item.dated = Dated::At(now));
                show.changed();
            }
            12 => {
                show.items[newest].dated = Dated::Never;
                show.changed();
            }
            13 => self.revise(number),
            14 => self.withdraw(number),
            _ => self.lend(number),
        }
    }

    /// A feed moves to another host, for good or for a while.
    fn move_show(&mut self, number: usize, is_permanent: bool, long: Duration) {
        let host = self.rng.below(self.hosts.len());
        let times = self.shows[number].addresses.len();
        let to: Url = format!("http://host{host}.example/moved/{times}/{number}").parse().expect("a URL");
        let from = self.shows[number].address().to_string();
        self.places.insert(to.to_string(), Place::Feed(number));
        self.places.insert(from, Place::To { show: number, url: to.clone(), is_permanent });
        if is_permanent {
            let show = &mut self.shows[number];
            show.new_feed_url = Some(to.clone());
            show.addresses.push(to);
            show.host = host;
            show.changed();
        } else {
            self.turn_after(long, Turn::Relief(number));
        }
    }

    /// Every guid is another one; with `all` every address is, too.
    fn rename(&mut self, number: usize, all: bool) {
        let mut items = std::mem::take(&mut self.shows[number].items);
        for item in &mut items {
            // What has neither a date nor its old address cannot be known again.
            if all && !matches!(item.dated, Dated::At(_)) {
                continue;
            }
            item.guid = format!("new-{}", item.guid);
            item.twin = None;
            self.media.recordings[item.content].names.push((number, item.guid.clone()));
            if all {
                let (media, torrent) = self.files(number, item.content);
                (item.media, item.torrent) = (media, torrent);
            }
        }
        self.shows[number].items = items;
        self.shows[number].changed();
    }

    /// The newest episode is replaced by another recording.
    fn revise(&mut self, number: usize) {
        if !self.shows[number].has_torrents {
            return;
        }
        let Some(mut item) = self.shows[number].items.pop() else { return };
        self.laws.superseded.insert(item.content);
        let names = self.media.recordings[item.content].names.clone();
        let length = self.media.recordings[item.content].length + 1000;
        let replaces = Some(item.content);
        let is_old = self.laws.at_first.contains(&item.content);
        item.content = self.media.add(Recording { show: number, length, flaw: None, names, replaces });
        if is_old {
            self.laws.at_first.insert(item.content);
        }
        item.said = Some(length);
        (item.media, item.torrent) = self.files(number, item.content);
        self.shows[number].items.push(item);
        self.shows[number].changed();
    }

    /// The newest episode is taken back.
    fn withdraw(&mut self, number: usize) {
        let now = self.wall();
        let show = &mut self.shows[number];
        if show.form != Form::Rss || show.items.len() < 2 {
            return;
        }
        let Some(item) = show.items.pop() else { return };
        self.laws.withdrawn.insert(item.content);
        show.withdrawn.push(Withdrawal::sign(&show.key, &item.guid, now));
        show.changed();
    }

    /// Another show has this one's newest episode, too.
    fn lend(&mut self, number: usize) {
        let to = self.rng.below(self.shows.len());
        let Some(item) = self.shows[number].items.last().filter(|item| item.torrent.is_some()) else { return };
        let mut item = item.clone();
        if to == number || !self.shows[to].has_torrents {
            return;
        }
        item.guid = format!("lent-{}", item.guid);
        item.twin = None;
        self.media.recordings[item.content].names.push((to, item.guid.clone()));
        self.shows[to].items.push(item);
        self.shows[to].changed();
    }
}
