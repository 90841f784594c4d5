//! Decides how long what is complete is seeded.
//!
//! An episode is seeded until as much of it was sent as its owner gives back, or for as long as he gives it, whichever
//! comes first. What is sent while it is being fetched counts, and so does what earlier runs have sent. A ratio ends
//! nothing within the first hour, in which a release needs everybody.
//!
//! Knows nothing of swarms: figures come in, each minute while anything is exchanged.
//!
//! Law: what was counted is not forgotten, but for the last minutes before a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use podswarm_core::time::{Instant, earliest};
use podswarm_feeds::poll::Now;

use super::catalogue::Change;
use super::event::{About, Event};
use super::{Agent, Output, Sources};
use crate::records::{Episode, EpisodeId, FeedId, Shared, Stage};
use crate::rules::Span;

/// How often it is counted what was sent.
const COUNT_EVERY: Duration = Duration::from_mins(1);
/// How often that is written down.
const SAVE_EVERY: Duration = Duration::from_mins(10);
/// No ratio ends the seeding of an episode that was seeded for less.
const LEAST: Duration = Duration::from_hours(1);
/// What could not be seeded is tried again after this long.
const AGAIN: Duration = Duration::from_mins(10);

/// How much the owner gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// Until so much was sent.
    pub ratio: SeedRatio,
    /// For so long at most.
    pub time: SeedTime,
}

/// How many times an episode's length is sent, in thousandths; for ever if `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedRatio(pub Option<u64>);

/// How long an episode is seeded; for ever if `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeedTime(pub Option<Duration>);

impl Default for Enough {
    fn default() -> Self {
        Self { ratio: SeedRatio(Some(2000)), time: SeedTime(Some(Duration::from_hours(14 * 24))) }
    }
}

impl Enough {
    /// For ever.
    pub const NEVER: Self = Self { ratio: SeedRatio(None), time: SeedTime(None) };

    /// Why an episode of `length` bytes is seeded no longer; `None` if it is.
    pub fn reached(&self, length: u64, shared: Shared) -> Option<String> {
        let time = Duration::from_secs(shared.seconds);
        if self.ratio.0.is_some_and(|ratio| shared.ratio_milli(length) >= ratio) && time >= LEAST {
            return Some(format!("ratio {} reached", self.ratio));
        }
        self.time.0.is_some_and(|most| time >= most).then(|| format!("seeded for {}", self.time))
    }
}

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ratio.0, self.time.0) {
            (None, None) => f.write_str("for ever"),
            (Some(_), None) => write!(f, "until ratio {}", self.ratio),
            (None, Some(_)) => write!(f, "for {}", self.time),
            (Some(_), Some(_)) => write!(f, "until ratio {} or for {}", self.ratio, self.time),
        }
    }
}

/// A text that is no ratio.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ratio; want one like `2` or `1.5`, or `none`")]
pub struct RatioError(String);

impl FromStr for SeedRatio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        if text == "none" {
            return Ok(Self(None));
        }
        let fault = || RatioError(text.to_owned());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 3 || whole.len() > 6 {
            return Err(fault());
        }
        let milli: u64 = format!("{whole}{part:0<3}").parse().map_err(|_| fault())?;
        Ok(Self(Some(milli)))
    }
}

impl fmt::Display for SeedRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(milli) if milli % 1000 == 0 => write!(f, "{}", milli / 1000),
            Some(milli) => f.write_str(format!("{}.{:03}", milli / 1000, milli % 1000).trim_end_matches('0')),
        }
    }
}

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; want one like `90s`, `30m`, `12h` or `14d`, or `none`")]
pub struct TimeError(String);

impl FromStr for SeedTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        if text == "none" {
            return Ok(Self(None));
        }
        let Span(time) = text.parse().map_err(|_| TimeError(text.to_owned()))?;
        Ok(Self(Some(time)))
    }
}

impl fmt::Display for SeedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(time) => Span(time).fmt(f),
        }
    }
}

/// What is counted of episodes that are exchanged now.
#[derive(Debug, Default)]
pub(super) struct Counts {
    runs: BTreeMap<EpisodeId, Run>,
    /// When to count again; `None` while nothing is exchanged.
    count_at: Option<Instant>,
    saved_at: Instant,
    /// What could not be seeded though its file may be there. The owner has been told of it.
    failed: BTreeSet<EpisodeId>,
    /// When that is tried again.
    again_at: Option<Instant>,
}

/// An episode that is exchanged.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// Bytes sent since it began, as far as they are counted.
    sent: u64,
    /// Since when it is seeded, the time that is counted left out; `None` while it is fetched.
    since: Option<Instant>,
    is_saved: bool,
}

impl Agent {
    /// When seeding is to be looked at.
    pub(super) fn counts_deadline(&self) -> Option<Instant> {
        earliest(self.counts.count_at, self.counts.again_at)
    }

    /// Why a complete episode is seeded no longer, if so.
    pub fn enough(&self, id: EpisodeId) -> Option<String> {
        let episode = self.catalogue.episode(id)?;
        let Stage::Complete { length, info_hash: Some(_), .. } = episode.stage else { return None };
        self.settings.enough.reached(length, episode.shared)
    }

    /// Whether what is complete of a feed is given to others.
    pub(super) fn seeds(&self, feed: FeedId) -> bool {
        self.settings.seeds() && self.catalogue.sources(feed) == Sources::All
    }

    /// An episode is seeded from now on.
    pub(super) fn begin_seeding(&mut self, now: Now, id: EpisodeId) {
        let Some(episode) = self.catalogue.episode(id).filter(|episode| episode.seeded_as().is_some()) else { return };
        if !self.seeds(id.feed) {
            return;
        }
        self.counts.runs.entry(id).or_default().since = Some(now.instant);
        // It may be enough before the next count is due.
        let counted = Duration::from_secs(episode.shared.seconds);
        let enough = self.settings.enough.time.0.map(|most| now.instant + most.saturating_sub(counted));
        let soonest = earliest(enough, Some(now.instant + COUNT_EVERY));
        self.counts.count_at = earliest(self.counts.count_at, soonest);
    }

    /// What is seeded now.
    pub(super) fn seeded(&self) -> Vec<EpisodeId> {
        self.counts.runs.iter().filter(|(_, run)| run.since.is_some()).map(|(id, _)| *id).collect()
    }

    /// An episode is exchanged no longer.
    pub(super) fn end_exchange(&mut self, now: Now, id: EpisodeId) {
        self.count_time(now, id);
        if self.counts.runs.remove(&id).is_some_and(|run| !run.is_saved) {
            self.save_episode(id);
        }
    }

    /// So many bytes were sent of each of these since it began.
    pub(super) fn counted(&mut self, now: Now, sent: Vec<(EpisodeId, u64)>) {
        for (id, sent) in sent {
            self.counts.failed.remove(&id);
            let Some(episode) = self.catalogue.episode(id) else { continue };
            // What is enough is about to end.
            if episode.seeded_as().is_some() && !self.counts.runs.contains_key(&id) {
                continue;
            }
            let run = self.counts.runs.entry(id).or_insert(Run { is_saved: true, ..Run::default() });
            // Less than before is a new beginning.
            let more = sent.checked_sub(run.sent).unwrap_or(sent);
            run.sent = sent;
            if more > 0
                && let Some(shared) = self.catalogue.shared_mut(id)
            {
                run.is_saved = false;
                shared.sent += more;
            }
        }
        for id in self.counts.runs.keys().copied().collect::<Vec<_>>() {
            self.count_time(now, id);
            self.end_if_enough(id);
        }
        if now.instant - self.counts.saved_at >= SAVE_EVERY {
            self.save_counts(now);
        }
    }

    /// Writes down what was counted.
    pub(super) fn save_counts(&mut self, now: Now) {
        self.counts.saved_at = now.instant;
        let unsaved = self.counts.runs.iter_mut().filter(|(_, run)| !run.is_saved);
        let unsaved = unsaved.filter_map(|(id, run)| {
            run.is_saved = true;
            self.catalogue.episode(*id)
        });
        // Together: each that is saved alone waits for the disk.
        let changes = unsaved.map(|episode| Change::Episode(Box::new(episode.clone()))).collect();
        self.save(changes);
    }

    /// Adds the time in which it was seeded, in whole seconds.
    fn count_time(&mut self, now: Now, id: EpisodeId) {
        let Some(run) = self.counts.runs.get_mut(&id) else { return };
        let Some(since) = &mut run.since else { return };
        let seconds = (now.instant - *since).as_secs();
        let Some(shared) = self.catalogue.shared_mut(id).filter(|_| seconds > 0) else { return };
        *since += Duration::from_secs(seconds);
        run.is_saved = false;
        shared.seconds += seconds;
    }

    fn end_if_enough(&mut self, id: EpisodeId) {
        let Some(reason) = self.enough(id) else { return };
        if self.counts.runs.remove(&id).is_none() {
            return;
        }
        self.save_episode(id);
        self.outputs.push_back(Output::Stop { id });
        if let Some(episode) = self.catalogue.episode(id) {
            let (episode, sent) = (About::new(episode), episode.shared.sent);
            self.tell(Event::Seeded { episode, sent, reason });
        }
        self.order_tags(id);
    }

    /// What is complete could not be seeded, and its file may come back. Tells whether that is new.
    pub(super) fn seed_later(&mut self, now: Now, id: EpisodeId) -> bool {
        self.counts.again_at = earliest(self.counts.again_at, Some(now.instant + AGAIN));
        self.counts.failed.insert(id)
    }

    /// Tries again what could not be seeded.
    pub(super) fn seed_again(&mut self, now: Now) {
        self.counts.again_at = None;
        let Self { counts, catalogue, .. } = self;
        counts.failed.retain(|id| catalogue.episode(*id).is_some_and(Episode::is_there));
        let failed = self.counts.failed.iter().filter(|id| !self.counts.runs.contains_key(id));
        for id in failed.copied().collect::<Vec<_>>() {
            self.go_on(now, id);
        }
    }

    /// Has counted what was sent, if it is time and anything is exchanged.
    pub(super) fn tend_counts(&mut self, now: Now) {
        if self.counts.again_at.is_some_and(|at| at <= now.instant) {
            self.seed_again(now);
        }
        let is_due = self.counts.count_at.is_none_or(|at| at <= now.instant);
        if is_due {
            let Self { counts, catalogue, .. } = self;
            counts.runs.retain(|id, _| catalogue.episode(*id).is_some());
        }
        let is_idle = self.counts.runs.is_empty() && self.queue.is_empty();
        if !is_due || is_idle {
            if is_idle {
                self.counts.count_at = None;
            }
            return;
        }
        let left = |(id, run): (&EpisodeId, &Run)| {
            let (most, shared) = (self.settings.enough.time.0?, self.catalogue.episode(*id)?.shared);
            Some(run.since? + most.saturating_sub(Duration::from_secs(shared.seconds)))
        };
        let soonest =
            self.counts.runs.iter().filter_map(left).min().map(|at| at.max(now.instant + Duration::from_secs(1)));
        self.counts.count_at = earliest(Some(now.instant + COUNT_EVERY), soonest);
        self.outputs.push_back(Output::Count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_and_a_time_are_read_as_they_are_written() {
        for text in ["2", "0", "1.5", "0.25", "0.125", "none"] {
            assert_eq!(text.parse::<SeedRatio>().unwrap().to_string(), text);
        }
        for text in ["0s", "90s", "30m", "36h", "14d", "none"] {
            assert_eq!(text.parse::<SeedTime>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "1.", ".5", "1.2345", "x", "1e3", "9999999"] {
            assert!(text.parse::<SeedRatio>().is_err(), "{text}");
        }
        for text in ["", "5", "d", "-5m", "5y", "1.5h", "99999999999999999999d", "5\u{e9}"] {
            assert!(text.parse::<SeedTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn whichever_comes_first_is_enough_but_no_ratio_within_an_hour() {
        let enough = Enough::default();
        let reached = |sent, hours: u64| enough.reached(1000, Shared { sent, seconds: hours * 3600 });
        assert_eq!(reached(1999, 24), None);
        assert_eq!(reached(2000, 24).unwrap(), "ratio 2 reached");
        assert_eq!(reached(9000, 0), None);
        assert_eq!(reached(0, 14 * 24).unwrap(), "seeded for 14d");
        assert_eq!(Enough::NEVER.reached(1, Shared { sent: u64::MAX, seconds: u64::MAX }), None);
        assert_eq!(enough.reached(0, Shared::default()), None);
    }
}
