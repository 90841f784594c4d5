//! Decides what is a download.
//!
//! Over HTTP, after the IAB's measurement guidelines: who gets a minute of an episode's sound, or all of it, has
//! downloaded it, once in 24 hours. Who is the address (of IPv6 its first 64 bits) with what it calls itself. What he
//! gets in several requests is put together. Machines, Apple's probe of two bytes and addresses that the owner leaves
//! out never count.
//!
//! In swarms: a peer that says `completed` has downloaded it, once per peer id, and one network no more often than
//! [`MOST_OF_NETWORK`] times a day, since anybody can say so.
//!
//! No address is kept. What is kept is a number made of it and the day's salt, which goes with the day, a day later:
//! from then on nobody can find out who it was.
//!
//! Knows neither clock nor disk: times and salts come in, and what was counted goes out.
//! Law: memory is bounded, whoever asks from however many addresses.
//! Source: IAB Podcast Measurement Technical Guidelines 2.1 and 2.2.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use podswarm_core::blocklist::Blocklist;
use podswarm_core::tracker::network_of;
use siphasher::sip::SipHasher24;
use uuid::Uuid;

use super::agent::{Agent, Agents};
use super::spans::Spans;
use crate::record::EpisodeRecord;
use crate::slug::Slug;

/// So long one download stays one.
const WINDOW: TimeDelta = TimeDelta::hours(24);
/// Downloads of a day that are known again; beyond that none is counted.
const MOST_COUNTED: usize = 1 << 20;
/// Listeners of a day who have something, and not enough yet; beyond that one of them, whichever, is forgotten.
const MOST_OPEN: usize = 1 << 15;
/// Networks of a day whose completions are bounded.
const MOST_NETWORKS: usize = 1 << 16;
/// Completions of one episode that one network is believed in a day.
const MOST_OF_NETWORK: u8 = 32;

/// An episode, whatever its file is at present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EpisodeKey {
    /// Its show.
    pub(crate) show: Slug,
    /// Its guid, as [`EpisodeRecord::uuid`].
    pub(crate) guid: Uuid,
}

impl EpisodeKey {
    /// The key of that episode.
    pub(crate) fn of(episode: &EpisodeRecord) -> Self {
        Self { show: episode.show.clone(), guid: episode.uuid() }
    }
}

/// Bytes of an episode that were sent over HTTP, in one answer with status 200 or 206.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Of what.
    pub(crate) episode: EpisodeKey,
    /// To whom.
    pub(crate) ip: IpAddr,
    /// What he calls himself.
    pub(crate) agent: Box<str>,
    /// Whether he asked for a part of it.
    pub(crate) is_part: bool,
    /// What he got.
    pub(crate) spans: Spans,
    /// How many bytes of this episode are a download.
    pub(crate) enough: u64,
}

/// A peer that says it has all of an episode now.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Of what.
    pub(crate) episode: EpisodeKey,
    /// Who says so.
    pub(crate) ip: IpAddr,
    /// As whom.
    pub(crate) peer_id: [u8; 20],
}

/// A download that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The day on which it counts, in UTC.
    pub(crate) date: NaiveDate,
    /// Of what.
    pub(crate) episode: EpisodeKey,
    /// The player or client that got it over HTTP; `None` for one in a swarm.
    pub(crate) player: Option<&'static str>,
    /// What is to be remembered of it.
    pub(crate) mark: Mark,
}

/// A download that counted, as it is remembered for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The day whose salt it was made with.
    pub(crate) day: NaiveDate,
    /// Stands for who got what.
    pub(crate) key: u64,
    /// Seconds after the day's begin.
    pub(crate) second: u32,
}

/// What a [`Ledger`] goes by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Who is what.
    pub(crate) agents: Agents,
    /// Addresses that never count.
    pub(crate) left_out: Arc<Blocklist>,
}

/// Remembers who has downloaded what within a day.
#[derive(Debug)]
pub(crate) struct Ledger {
    rules: Rules,
    /// Today, and the day before while a window that began in it may be open. The newest is last.
    days: Vec<Day>,
}

/// What began on one day.
#[derive(Debug)]
struct Day {
    date: NaiveDate,
    salt: [u8; 16],
    counted: BTreeMap<u64, u32>,
    open: BTreeMap<u64, Open>,
    networks: BTreeMap<u64, u8>,
}

/// Somebody who has something, and not enough yet.
#[derive(Debug)]
struct Open {
    /// When his window opened.
    since: DateTime<Utc>,
    spans: Spans,
}

impl Ledger {
    /// Remembers nobody.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, days: Vec::new() }
    }

    /// Whether no day has begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Whether [`begin`](Self::begin) is needed before anything of this time is entered.
    pub(crate) fn needs_day(&self, at: DateTime<Utc>) -> bool {
        self.days.last().is_none_or(|day| day.date < at.date_naive())
    }

    /// Begins a day, with its salt and what is remembered of it from before a restart. Returns the oldest day that is
    /// still needed; all before it are forgotten.
    pub(crate) fn begin(
        &mut self,
        date: NaiveDate,
        salt: [u8; 16],
        marks: impl IntoIterator<Item = (u64, u32)>,
    ) -> NaiveDate {
        let counted = marks.into_iter().take(MOST_COUNTED).collect();
        self.days.push(Day { date, salt, counted, open: BTreeMap::new(), networks: BTreeMap::new() });
        let oldest = date.pred_opt().unwrap_or(date);
        self.days.retain(|day| day.date >= oldest);
        oldest
    }

    /// Enters what somebody got; a download, if it makes one. The day of its time has begun.
    pub(crate) fn fetched(&mut self, fetch: &Fetch) -> Option<Counted> {
        if fetch.spans.is_probe() || fetch.enough == 0 || self.rules.left_out.contains(fetch.ip) {
            return None;
        }
        let player = match self.rules.agents.read(&fetch.agent) {
            Agent::Machine => return None,
            // What a torrent's web seed gives is the swarm's.
            Agent::TorrentClient(_) if fetch.is_part => return None,
            Agent::Player(name) | Agent::TorrentClient(name) => name,
        };
        let who = ("http", network_of(fetch.ip), &*fetch.agent, &fetch.episode);
        if self.is_counted(fetch.at, &who) {
            return None;
        }
        let mut got = self.take_open(fetch.at, &who);
        fetch.spans.iter().for_each(|span| got.spans.add(span));
        if got.spans.total() >= fetch.enough {
            return self.count(fetch.at, &who, &fetch.episode, Some(player));
        }
        let day = self.days.last_mut()?;
        if day.open.len() >= MOST_OPEN {
            // Keys are as good as drawn by lot.
            day.open.pop_first();
        }
        day.open.insert(day.key(&who), got);
        None
    }

    /// Enters that a peer has an episode; a download, unless it is known. The day of its time has begun.
    pub(crate) fn completed(&mut self, completion: &Completion) -> Option<Counted> {
        let Completion { at, episode, ip, peer_id } = completion;
        let who = ("swarm", peer_id, episode);
        if self.rules.left_out.contains(*ip) || self.is_counted(*at, &who) {
            return None;
        }
        let day = self.days.last_mut()?;
        let network = day.key(&("network", network_of(*ip), episode));
        if day.networks.len() >= MOST_NETWORKS && !day.networks.contains_key(&network) {
            day.networks.pop_first();
        }
        let told = day.networks.entry(network).or_default();
        if *told >= MOST_OF_NETWORK {
            return None;
        }
        *told += 1;
        self.count(*at, &who, episode, None)
    }

    /// Whether this is known from the last 24 hours.
    fn is_counted(&self, at: DateTime<Utc>, who: &impl Hash) -> bool {
        self.days.iter().any(|day| day.counted.get(&day.key(who)).is_some_and(|&second| day.is_within(second, at)))
    }

    /// Takes out what he has, if his window is open; else a new one opens now.
    fn take_open(&mut self, at: DateTime<Utc>, who: &impl Hash) -> Open {
        let there = self.days.iter_mut().rev().find_map(|day| day.open.remove(&day.key(who)));
        let is_open = |open: &Open| at - open.since < WINDOW;
        there.filter(is_open).unwrap_or_else(|| Open { since: at, spans: Spans::default() })
    }

    fn count(
        &mut self,
        at: DateTime<Utc>,
        who: &impl Hash,
        episode: &EpisodeKey,
        player: Option<&'static str>,
    ) -> Option<Counted> {
        let day = self.days.last_mut()?;
        if day.counted.len() >= MOST_COUNTED {
            return None;
        }
        let mark = Mark { day: day.date, key: day.key(who), second: day.second(at) };
        day.counted.insert(mark.key, mark.second);
        Some(Counted { date: at.date_naive(), episode: episode.clone(), player, mark })
    }
}

impl Day {
    fn key(&self, who: &impl Hash) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.salt);
        who.hash(&mut hasher);
        hasher.finish()
    }

    /// The time since this day's begin.
    fn age(&self, at: DateTime<Utc>) -> TimeDelta {
        at.naive_utc() - NaiveDateTime::from(self.date)
    }

    /// The second of this day; one before it is its first.
    fn second(&self, at: DateTime<Utc>) -> u32 {
        self.age(at).num_seconds().try_into().unwrap_or(0)
    }

    /// Whether a window that opened in that second of this day is open.
    fn is_within(&self, second: u32, at: DateTime<Utc>) -> bool {
        self.age(at) < TimeDelta::seconds(second.into()) + WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::super::spans::Span;
    use super::*;

    const PLAYER: &str = "AntennaPod/3.2.0";
    const APPLE: &str = "AppleCoreMedia/1.0.0.21A329 (iPhone; U; CPU OS 17_0 like Mac OS X; en_us)";
    const HOME: &str = "203.0.113.7";
    /// Bytes of the episode, of which a minute has 1000.
    const LENGTH: u64 = 10_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_035_200 + seconds, 0).unwrap()
    }

    fn episode(n: u128) -> EpisodeKey {
        EpisodeKey { show: "a".parse().unwrap(), guid: Uuid::from_u128(n) }
    }

    fn ledger() -> Ledger {
        let rules = Rules {
            agents: Agents::new(&["my-monitor".to_owned()]),
            left_out: Arc::new(Blocklist::parse(b"198.51.100.0/24")),
        };
        let mut ledger = Ledger::new(rules);
        assert!(ledger.needs_day(at(0)));
        ledger.begin(at(0).date_naive(), [1; 16], []);
        assert!(!ledger.needs_day(at(86_399)) && ledger.needs_day(at(86_400)));
        ledger
    }

    fn fetch(second: i64, ip: &str, agent: &str, (first, end): (u64, u64)) -> Fetch {
        let mut spans = Spans::default();
        spans.add(Span { first, end });
        let is_part = (first, end) != (0, LENGTH);
        let (ip, agent) = (ip.parse().unwrap(), agent.into());
        Fetch { at: at(second), episode: episode(1), ip, agent, is_part, spans, enough: 1000 }
    }

    /// Enters fetches one after another, and says which of them counted.
    #[track_caller]
    fn check(case: &str, fetches: &[Fetch], want: &[bool]) {
        let mut ledger = ledger();
        let got: Vec<bool> = fetches
            .iter()
            .map(|fetch| {
                if ledger.needs_day(fetch.at) {
                    ledger.begin(fetch.at.date_naive(), [2; 16], []);
                }
                ledger.fetched(fetch).is_some()
            })
            .collect();
        assert_eq!(got, want, "{case}");
    }

    const WHOLE: (u64, u64) = (0, LENGTH);
    const HOUR: i64 = 3600;

    #[test]
    fn a_download_is_a_minute_once_a_day_for_each_listener() {
        let of = |second, range| fetch(second, HOME, PLAYER, range);
        check("all of it", &[of(0, WHOLE)], &[true]);
        check("a minute", &[of(0, (0, 1000))], &[true]);
        check("less", &[of(0, (0, 999))], &[false]);
        check("again within a day", &[of(0, WHOLE), of(1, WHOLE), of(23 * HOUR, WHOLE)], &[true, false, false]);
        check("again after a day", &[of(0, WHOLE), of(24 * HOUR, WHOLE)], &[true, true]);
        check(
            "over midnight",
            &[of(20 * HOUR, WHOLE), of(30 * HOUR, WHOLE), of(44 * HOUR, WHOLE)],
            &[true, false, true],
        );
        let other = Fetch { episode: episode(2), ..of(1, WHOLE) };
        check("another episode", &[of(0, WHOLE), other], &[true, true]);
        check("another player", &[of(0, WHOLE), fetch(1, HOME, APPLE, WHOLE)], &[true, true]);
        check("another address", &[of(0, WHOLE), fetch(1, "203.0.113.8", PLAYER, WHOLE)], &[true, true]);
        let [a, b, c] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|ip| fetch(0, ip, PLAYER, WHOLE));
        check("IPv6 by its first 64 bits", &[a, b, c], &[true, false, true]);
    }

    #[test]
    fn ranges_of_one_listener_are_put_together() {
        let of = |second, range| fetch(second, HOME, PLAYER, range);
        check("in pieces", &[of(0, (0, 400)), of(1, (400, 800)), of(2, (9000, 9200))], &[false, false, true]);
        check("the same piece twice", &[of(0, (0, 600)), of(1, (0, 600)), of(2, (100, 900))], &[false; 3]);
        check("of two listeners", &[of(0, (0, 600)), fetch(1, "203.0.113.8", PLAYER, (600, 1200))], &[false; 2]);
        check("over midnight", &[of(20 * HOUR, (0, 600)), of(25 * HOUR, (600, 1200))], &[false, true]);
        check("a day apart", &[of(0, (0, 600)), of(24 * HOUR, (600, 1200))], &[false; 2]);
    }

    #[test]
    fn probes_machines_and_watches_never_count() {
        let whole = |agent| fetch(0, HOME, agent, WHOLE);
        check("apple's probe", &[fetch(0, HOME, APPLE, (0, 2))], &[false]);
        let after = [fetch(0, HOME, APPLE, (0, 2)), fetch(0, HOME, APPLE, (2, 1001)), fetch(1, HOME, APPLE, WHOLE)];
        check("the probe's bytes are not put to others", &after, &[false, false, true]);
        check("a crawler", &[whole("Mozilla/5.0 (compatible; Googlebot/2.1)")], &[false]);
        check("one that the owner names", &[whole("My-Monitor/1")], &[false]);
        check("without a name", &[whole("")], &[false]);
        check("a watch", &[whole(APPLE), whole("atc/1.0 watchOS/7.0 model/Watch5,4")], &[true, false]);
        check("an address left out", &[fetch(0, "198.51.100.9", PLAYER, WHOLE)], &[false]);
    }

    #[test]
    fn the_web_seed_of_a_swarm_is_no_listener() {
        check("a part", &[fetch(0, HOME, "Transmission/4.0.5", (0, 5000))], &[false]);
        check("all of it", &[fetch(0, HOME, "podsub/0.1.0", WHOLE)], &[true]);
    }

    fn completion(second: i64, ip: &str, peer: u16) -> Completion {
        let mut peer_id = [b'-'; 20];
        peer_id[..2].copy_from_slice(&peer.to_be_bytes());
        Completion { at: at(second), episode: episode(1), ip: ip.parse().unwrap(), peer_id }
    }

    #[test]
    fn a_completion_counts_once_for_each_peer_id() {
        let mut ledger = ledger();
        let mut count = |second, ip, peer| ledger.completed(&completion(second, ip, peer)).is_some();
        assert!(count(0, HOME, 1) && !count(1, HOME, 1) && !count(2, "203.0.113.8", 1) && count(3, HOME, 2));
        assert!(!count(4, "198.51.100.9", 3));
    }

    #[test]
    fn one_network_that_invents_peers_is_soon_not_believed() {
        let mut ledger = ledger();
        let mut count = |ip, peer| usize::from(ledger.completed(&completion(0, ip, peer)).is_some());
        assert_eq!((0..1000).map(|peer| count(HOME, peer)).sum::<usize>(), usize::from(MOST_OF_NETWORK));
        assert_eq!(count("203.0.113.8", 2000), 1);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_than_it_may() {
        let mut ledger = ledger();
        for n in 0..2 * u32::try_from(MOST_OPEN).unwrap() {
            let ip = IpAddr::from(n.to_be_bytes());
            ledger.fetched(&Fetch { ip, ..fetch(0, HOME, PLAYER, (0, 10)) });
            ledger.completed(&Completion { ip, ..completion(0, HOME, 1) });
        }
        assert_eq!(ledger.days[0].open.len(), MOST_OPEN);
        assert!(ledger.days[0].networks.len() <= MOST_NETWORKS);
        assert!(ledger.fetched(&fetch(1, HOME, PLAYER, WHOLE)).is_some(), "who really downloads still counts");
    }

    #[test]
    fn what_counted_before_a_restart_does_not_count_again() {
        let mut before = ledger();
        let mark = before.fetched(&fetch(5, HOME, PLAYER, WHOLE)).unwrap().mark;
        let mut after = Ledger::new(Rules::default());
        after.begin(mark.day, [1; 16], [(mark.key, mark.second)]);
        assert_eq!(after.fetched(&fetch(6, HOME, PLAYER, WHOLE)), None);
        assert!(after.fetched(&fetch(6, "203.0.113.8", PLAYER, WHOLE)).is_some());
    }

    #[test]
    fn the_salt_of_the_day_before_yesterday_is_gone() {
        let mut ledger = ledger();
        let first = at(0).date_naive();
        assert_eq!(ledger.begin(at(86_400).date_naive(), [2; 16], []), first);
        assert_eq!(ledger.begin(at(2 * 86_400).date_naive(), [3; 16], []), at(86_400).date_naive());
        assert!(ledger.days.iter().all(|day| day.salt != [1; 16]));
    }
}
