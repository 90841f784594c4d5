//! What must hold all the month, and at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use podswarm_core::time::Instant;
use podswarm_feeds::poll::{Fetch, Validators};
use podswarm_subscriber::agent::Agent;
use podswarm_subscriber::records::{Episode, EpisodeId, FeedId, Stage, Why};

use super::host::{Flaw, Media};
use super::show::{Content, Show};

/// No host makes the agent wait longer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// What a host says of one feed holds for its others so long at most.
const LONGEST_HOLD: Duration = Duration::from_hours(1);
/// Between two feeds of one host.
const PAUSE: Duration = Duration::from_secs(1);
/// So many episodes of a feed are taken within a day.
const NEW_PER_DAY: usize = 48;

/// Panics: a law is broken.
#[track_caller]
pub(super) fn check(holds: bool, law: impl FnOnce() -> String) {
    assert!(holds, "{}", law());
}

/// The present, as the world and as the listener have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) skew: TimeDelta,
    /// The hour of the listener's day.
    pub(super) hour: u32,
}

impl Moment {
    /// The time since `before`, on the clock that runs ahead.
    fn since(self, before: Self) -> Duration {
        let ahead = (self.skew - before.skew).to_std().unwrap_or_default();
        self.now - before.now + ahead
    }
}

/// What a feed's host was asked, and what it said.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    answered: Option<Moment>,
    /// No request before so long after that.
    at_least: Duration,
    failures: u32,
    is_gone: bool,
    /// It was read, so that its hours are known.
    is_read: bool,
    /// What is to be sent back.
    etag: Option<String>,
    modified: Option<String>,
    /// Where the last answers in a row said that it has moved for good, and how often.
    moved: Option<(String, u32)>,
    pub(super) requests: u64,
}

/// What an answer of a host means for the next request.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// 200 or 304.
    pub(super) is_answer: bool,
    /// 410.
    pub(super) is_gone: bool,
    /// `Retry-After`.
    pub(super) patience: Option<Duration>,
    /// The longer one of `max-age` and `ttl`.
    pub(super) fresh: Duration,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    pub(super) moved: Option<String>,
    /// The validators are those of a body that was read.
    pub(super) is_body: bool,
}

/// What is watched.
#[derive(Default)]
pub(super) struct Laws {
    pub(super) asked: BTreeMap<FeedId, Asked>,
    /// Requests that run, by host.
    running: BTreeMap<usize, u32>,
    /// Not before this, by host.
    host_free: BTreeMap<usize, Moment>,
    host_hold: BTreeMap<usize, (Moment, Duration)>,
    /// How often each recording was downloaded, or begun to be with nothing there.
    pub(super) fetched: BTreeMap<Content, u32>,
    /// When each address of media was asked for last in vain, and how often in a row.
    vain: BTreeMap<String, (Instant, u32, Duration)>,
    /// Recordings that the agent was told of, and those that were there when its feed was read first.
    pub(super) delivered: BTreeMap<Content, Instant>,
    pub(super) at_first: BTreeSet<Content>,
    pub(super) superseded: BTreeSet<Content>,
    pub(super) withdrawn: BTreeSet<Content>,
    /// Since when the reserve of the disk is touched.
    tight_since: Option<Instant>,
}

impl Laws {
    /// A feed is asked; `is_wish` if its owner wanted it.
    pub(super) fn ask(&mut self, at: Moment, feed: FeedId, host: usize, show: &Show, fetch: &Fetch, is_wish: bool) {
        let asked = self.asked.entry(feed).or_default();
        asked.requests += 1;
        if fetch.unconditional {
            check(fetch.etag.is_none() && fetch.last_modified.is_none(), || format!("{feed} is asked with conditions"));
        } else {
            let is_same = fetch.etag == asked.etag && fetch.last_modified == asked.modified;
            check(is_same, || {
                format!("{feed} is asked with other validators than its host gave: {fetch:?}, {asked:?}")
            });
        }
        let running = self.running.entry(host).or_default();
        *running += 1;
        if is_wish {
            return;
        }
        check(!asked.is_gone, || format!("{feed} is gone for good, and asked again"));
        check(*running == 1, || format!("{feed} is asked while its host has yet to answer for another"));
        if let Some(before) = asked.answered {
            let (waited, least) = (at.since(before), asked.at_least);
            check(waited >= least, || {
                format!("{feed} is asked again after {waited:?}; its host allows it after {least:?}")
            });
        }
        if let Some(free) = self.host_free.get(&host) {
            check(at.since(*free) >= PAUSE, || format!("{feed} is asked at once after another feed of its host"));
        }
        if let Some((since, hold)) = self.host_hold.get(&host) {
            let waited = at.since(*since);
            check(waited >= *hold, || format!("{feed} is asked {waited:?} after its host wanted {hold:?}"));
        }
        check(!asked.is_read || !show.skip_hours.contains(&at.hour), || {
            format!("{feed} is asked in an hour in which nobody is to ask")
        });
        if let Some((to, times)) = &asked.moved {
            check(*times < 2 || fetch.url.as_str() == to, || {
                format!("{feed} moved to {to}, and is asked at {}", fetch.url)
            });
        }
    }

    /// A host has answered for a feed.
    pub(super) fn answer(&mut self, at: Moment, feed: FeedId, host: usize, interval: Duration, said: Said) {
        if let Some(running) = self.running.get_mut(&host) {
            *running = running.saturating_sub(1);
        }
        self.host_free.insert(host, at);
        if let Some(patience) = said.patience {
            self.host_hold.insert(host, (at, patience.min(LONGEST_HOLD)));
        }
        let asked = self.asked.entry(feed).or_default();
        asked.answered = Some(at);
        asked.is_gone |= said.is_gone;
        asked.is_read |= said.is_body;
        if said.is_body {
            (asked.etag, asked.modified) = (said.etag, said.modified);
        }
        if said.is_answer {
            asked.is_gone = false;
            asked.failures = 0;
            asked.at_least = (interval * 9 / 10).max(said.fresh.min(LONGEST_WAIT));
            asked.moved = match (said.moved, asked.moved.take()) {
                (Some(to), Some((before, times))) if to == before => Some((to, times + 1)),
                (to, _) => to.map(|to| (to, 1)),
            };
        } else {
            let back_off = Duration::from_mins(1).saturating_mul(1 << asked.failures.min(16)).min(LONGEST_WAIT / 2);
            asked.failures += 1;
            asked.at_least = (back_off * 9 / 10).max(said.patience.unwrap_or_default().min(LONGEST_WAIT));
        }
    }

    /// The agent has ended: what it had asked is not answered, and of a host's patience it knows its own feed's part.
    pub(super) fn restarted(&mut self) {
        self.running.clear();
        self.host_free.clear();
        self.host_hold.clear();
    }

    /// What a feed's host said last is lost: `validators` are what is remembered of it.
    pub(super) fn lost(&mut self, feed: FeedId, validators: Validators) {
        let requests = self.asked.get(&feed).map_or(0, |asked| asked.requests);
        let Validators { etag, last_modified: modified } = validators;
        self.asked.insert(feed, Asked { etag, modified, requests, ..Asked::default() });
    }

    /// Media are asked for.
    pub(super) fn ask_media(&mut self, now: Instant, url: &str) {
        if let Some((at, failures, patience)) = self.vain.get(url) {
            let back_off = Duration::from_mins(1).saturating_mul(1 << (failures - 1).min(16));
            let least = (back_off.min(Duration::from_hours(6)) * 8 / 10).max(*patience);
            let waited = now - *at;
            check(waited >= least, || {
                format!("{url} failed {failures} times and is asked for after {waited:?}; want {least:?}")
            });
        }
    }

    /// They were had, or not.
    pub(super) fn had_media(&mut self, now: Instant, url: &str, is_whole: bool, patience: Option<Duration>) {
        if is_whole {
            self.vain.remove(url);
        } else {
            let (at, failures, hold) = self.vain.entry(url.to_owned()).or_insert((now, 0, Duration::ZERO));
            (*at, *failures, *hold) = (now, *failures + 1, patience.unwrap_or_default().min(LONGEST_WAIT));
        }
    }

    /// A new run knows of no failures.
    pub(super) fn forget_vain(&mut self) {
        self.vain.clear();
    }

    /// The owner wants a show to go on: its media are asked for as if they had never failed.
    pub(super) fn wished(&mut self, show: usize, media: &Media) {
        let has = |content: Content| media.recordings[content].names.iter().any(|(of, _)| *of == show);
        self.vain.retain(|url, _| !media.at(url).is_some_and(has));
    }

    /// A recording was downloaded.
    pub(super) fn fetched(&mut self, content: Content, id: EpisodeId) {
        let times = self.fetched.entry(content).or_default();
        *times += 1;
        check(*times == 1, || format!("recording {content} is downloaded again, as {id}"));
    }

    /// The disk, while downloads write to it.
    pub(super) fn disk(&mut self, now: Instant, used: u64, quota: u64, is_tight: bool, has_grown: bool) {
        check(used <= quota, || format!("the library has {used} bytes; it may have {quota}"));
        self.tight_since = if is_tight { self.tight_since.or(Some(now)) } else { None };
        if let Some(since) = self.tight_since.filter(|_| has_grown) {
            let late = now - since;
            check(late <= Duration::from_secs(15), || {
                format!("downloads write {late:?} after the reserve was touched")
            });
        }
    }

    /// At the end each recording that the agent was told of is there once, or was, or is not for a good reason.
    pub(super) fn end(&self, agent: &Agent, media: &Media) {
        let by_guid: BTreeMap<(FeedId, &str), &Episode> =
            agent.catalogue().episodes().map(|it| ((it.id.feed, it.guid.as_str()), it)).collect();
        for content in self.delivered.keys().filter(|content| !self.superseded.contains(content)) {
            let recording = &media.recordings[*content];
            let names = recording.names.iter().map(|(show, guid)| (feed_of(*show), guid.as_str()));
            let episodes: Vec<_> = names.filter_map(|name| by_guid.get(&name)).collect();
            let is_fetched = self.fetched.contains_key(content);
            let was_fetched = is_fetched || recording.replaces.is_some_and(|old| self.fetched.contains_key(&old));
            let is_well = |episode: &&&Episode| match &episode.stage {
                Stage::Complete { .. } => is_fetched,
                // What was deleted is not fetched again when it is replaced.
                Stage::Gone { why, .. } => was_fetched && why.is_some(),
                Stage::Seen { why: Some(why) } => self.is_reason(*content, media, why),
                Stage::Seen { why: None } => false,
                Stage::Wanted { .. } => {
                    matches!(recording.flaw, Some(Flaw::Missing | Flaw::Stalls))
                        || agent.trouble(episode.id).is_some_and(|it| it.contains("may take"))
                }
            };
            check(episodes.iter().any(is_well), || {
                let told: Vec<_> = episodes.iter().map(|it| (it.id, &it.stage, agent.trouble(it.id))).collect();
                format!("recording {content} of {} is missing: {told:?}, {recording:?}", feed_of(recording.show))
            });
        }
    }

    fn is_reason(&self, content: Content, media: &Media, why: &Why) -> bool {
        match why {
            Why::Backlog => self.at_first.contains(&content),
            Why::Older(_) => true,
            Why::TooMany => {
                let at = self.delivered[&content];
                let day = Duration::from_hours(24);
                let show = |content: &Content| media.recordings[*content].show;
                let of_show = self.delivered.iter().filter(|(other, _)| show(other) == show(&content));
                of_show.filter(|(_, other)| at - **other <= day && **other - at <= day).count() > NEW_PER_DAY
            }
            Why::Withdrawn => self.withdrawn.contains(&content),
            // The other one is looked at under its own name.
            Why::Duplicate(_) | Why::MagnetOnly | Why::NoSource(_) | Why::Rule(_) => false,
        }
    }
}

/// The feed of a show: they are subscribed to in their order.
pub(super) fn feed_of(show: usize) -> FeedId {
    FeedId(u32::try_from(show + 1).expect("there are few"))
}
