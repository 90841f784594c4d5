//! How far episodes were heard: by the page in the browser, by a player, and by apps that are kept in step.
//!
//! What was played last counts, by the clock of whatever played it; that an episode was heard to its end stays so until
//! it is said to be new again. An app that follows a feed tells of its episodes before that feed was read here: what is
//! no episode yet is kept until it is one.
//!
//! Law: what apps are told of a change bears a stamp that none before it had, so that who asks for all since a stamp is
//! told everything once.
//!
//! Source: gpodder.net API 2, episode actions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use podswarm_feeds::poll::Now;
use podswarm_feeds::read::opml::same_feed_key;
use url::Url;

use super::Agent;
use super::catalogue::{Catalogue, Change, loose_mark};
use crate::records::{Episode, EpisodeId, FeedId, Heard, Loose, Source};

/// Longer addresses no app has that anybody could use.
const MAX_ADDRESS: usize = 4096;
/// Seconds that no episode lasts.
const MAX_SECONDS: u64 = 10_000_000;
/// An episode counts as heard so many seconds before its end, or a tenth of it if that is less: few hear the credits.
const CREDITS: u64 = 30;

/// Something that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// What.
    pub what: Played,
    /// Where playing stopped, in seconds, if that is told.
    pub position: Option<u64>,
    /// Where it had begun.
    pub started: Option<u64>,
    /// The playing time.
    pub total: Option<u64>,
    /// When; now, if that is not told.
    pub at: Option<DateTime<Utc>>,
    /// It was not played: it is to count as new again.
    pub is_new: bool,
    /// The device that played it.
    pub device: Option<String>,
}

/// What was played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// What an app knows by these.
    Elsewhere {
        /// The feed's address.
        podcast: String,
        /// The file's address.
        episode: String,
        /// The item's guid, if the app tells it.
        guid: Option<String>,
    },
    /// One of our episodes.
    Here(EpisodeId),
}

impl Play {
    /// What is remembered after this, if that is not what was; `duration` is what the feed says of it.
    fn after(&self, before: Option<&Heard>, duration: Option<u64>, now: DateTime<Utc>, stamp: u64) -> Option<Heard> {
        let at = self.at.unwrap_or(now).min(now);
        if before.is_some_and(|before| at < before.at) || (self.is_new && before.is_none_or(Heard::is_new)) {
            return None;
        }
        let bounded = |seconds: Option<u64>| seconds.map(|seconds| seconds.min(MAX_SECONDS));
        let total = bounded(self.total).filter(|total| *total > 0).or(before.and_then(|before| before.total));
        let mut heard = Heard { position: 0, started: 0, total, at, ended: None, device: self.device.clone(), stamp };
        if !self.is_new {
            heard.position = bounded(self.position).or(before.map(|before| before.position)).unwrap_or_default();
            heard.started = bounded(self.started).unwrap_or_default().min(heard.position);
            let is_end = |length: u64| heard.position + CREDITS.min(length / 10) >= length;
            let ends = total.or(duration).filter(|length| *length > 0).is_some_and(is_end);
            heard.ended = before.and_then(|before| before.ended).or(ends.then_some(at));
        }
        let stays = |before: &Heard| Heard { stamp: before.stamp, ..heard.clone() } == *before;
        (!before.is_some_and(stays)).then_some(heard)
    }
}

impl Agent {
    /// Takes in what was played.
    pub(super) fn heard(&mut self, now: Now, plays: Vec<Play>) {
        let stamp = self.catalogue.next_stamp(now.wall);
        let mut finder = Finder::default();
        let (mut changes, mut ended) = (Vec::new(), BTreeSet::new());
        for play in plays {
            let known = match &play.what {
                Played::Here(id) => Some(*id),
                Played::Elsewhere { podcast, episode, guid } => {
                    let is_short = |text: &String| text.len() <= MAX_ADDRESS;
                    let is_told = is_short(podcast) && is_short(episode) && guid.as_ref().is_none_or(is_short);
                    let feed = Some(podcast).filter(|_| is_told).and_then(|it| finder.feed(&self.catalogue, it));
                    let Some(feed) = feed else { continue };
                    finder.episode(&self.catalogue, feed, guid.as_deref(), episode)
                }
            };
            if let Some(known) = known {
                let Some(mut episode) = self.catalogue.episode(known).cloned() else { continue };
                if let Some(heard) = play.after(episode.heard.as_deref(), episode.duration, now.wall, stamp) {
                    ended.extend(heard.ended.map(|_| known.feed));
                    episode.heard = Some(Box::new(heard));
                    changes.push(Change::Episode(Box::new(episode.clone())));
                    self.catalogue.put(episode);
                }
            } else if let Played::Elsewhere { podcast, episode, guid } = play.what.clone() {
                let before = self.catalogue.loose_at(loose_mark(&podcast, &episode)).map(|loose| &loose.heard);
                if let Some(heard) = play.after(before, None, now.wall, stamp) {
                    changes.extend(self.catalogue.put_loose(Loose { podcast, episode, guid, heard }));
                }
            }
        }
        self.save(changes);
        for feed in ended {
            self.look_at_kept(now, feed);
        }
    }

    /// A feed was read: what was played of it may be episodes now.
    pub(super) fn claim_loose(&mut self, now: Now, feed: FeedId) {
        let Some(key) = self.catalogue.feed(feed).map(|feed| same_feed_key(feed.url().as_str())) else { return };
        let of_feed: Vec<Loose> =
            self.catalogue.loose().filter(|loose| same_feed_key(&loose.podcast) == key).cloned().collect();
        let mut finder = Finder::default();
        let mut changes = Vec::new();
        for loose in of_feed {
            let found = finder.episode(&self.catalogue, feed, loose.guid.as_deref(), &loose.episode);
            let Some(mut episode) = found.and_then(|id| self.catalogue.episode(id)).cloned() else { continue };
            changes.extend(self.catalogue.drop_loose(loose.mark()));
            if episode.heard.as_ref().is_none_or(|heard| heard.at < loose.heard.at) {
                episode.heard = Some(Box::new(loose.heard));
                changes.push(Change::Episode(Box::new(episode.clone())));
                self.catalogue.put(episode);
            }
        }
        self.save(changes);
        self.look_at_kept(now, feed);
    }

    /// Forgets what was played of a feed that is removed and was no episode.
    pub(super) fn forget_loose(&mut self, feed: &str) -> Vec<Change> {
        let key = same_feed_key(feed);
        let marks: Vec<u64> =
            self.catalogue.loose().filter(|loose| same_feed_key(&loose.podcast) == key).map(Loose::mark).collect();
        marks.into_iter().filter_map(|mark| self.catalogue.drop_loose(mark)).collect()
    }
}

/// Finds feeds and episodes by their addresses, for many at once.
#[derive(Default)]
struct Finder {
    /// By address, as it was asked for.
    feeds: BTreeMap<String, Option<FeedId>>,
    /// By address without its scheme, of each feed that was looked through.
    episodes: BTreeMap<FeedId, BTreeMap<String, EpisodeId>>,
}

impl Finder {
    fn feed(&mut self, catalogue: &Catalogue, address: &str) -> Option<FeedId> {
        if let Some(known) = self.feeds.get(address) {
            return *known;
        }
        let found = Url::parse(address).ok().and_then(|url| catalogue.feed_at(&url)).map(|feed| feed.id);
        self.feeds.insert(address.to_owned(), found);
        found
    }

    fn episode(&mut self, catalogue: &Catalogue, feed: FeedId, guid: Option<&str>, address: &str) -> Option<EpisodeId> {
        if let Some(known) = guid.and_then(|guid| catalogue.episode_by_guid(feed, guid)) {
            return Some(known);
        }
        let addresses = |episode: &Episode| {
            let files = episode.offer.sources.iter().filter(|source| matches!(source, Source::Http(_)));
            files.map(|source| without_scheme(source.address())).map(|it| (it, episode.id)).collect::<Vec<_>>()
        };
        let all = || catalogue.episodes_of(feed).flat_map(addresses).collect();
        self.episodes.entry(feed).or_insert_with(all).get(&without_scheme(address)).copied()
    }
}

/// An address as it is compared: apps and feeds differ in http and https.
fn without_scheme(address: &str) -> String {
    let address = Url::parse(address).map_or_else(|_| address.to_owned(), String::from);
    address.split_once("://").map_or(address.clone(), |(_, rest)| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::wall;

    fn play(position: u64, at: u64) -> Play {
        let what = Played::Here("1/1".parse().unwrap());
        let at = Some(wall(at));
        Play { what, position: Some(position), started: Some(0), total: Some(600), at, is_new: false, device: None }
    }

    #[test]
    fn what_was_played_last_counts_and_the_end_is_remembered() {
        let heard = play(100, 10).after(None, None, wall(99), 1).unwrap();
        assert_eq!((heard.position, heard.at, heard.ended, heard.stamp), (100, wall(10), None, 1));
        assert_eq!(play(50, 9).after(Some(&heard), None, wall(99), 2), None, "that was before");
        assert_eq!(play(100, 10).after(Some(&heard), None, wall(99), 2), None, "that is known");
        let end = play(570, 20).after(Some(&heard), None, wall(99), 2).unwrap();
        assert_eq!(end.ended, Some(wall(20)));
        let again = play(5, 30).after(Some(&end), None, wall(99), 3).unwrap();
        assert_eq!((again.position, again.ended), (5, Some(wall(20))));
        let reset = Play { is_new: true, ..play(0, 40) };
        let new = reset.after(Some(&again), None, wall(99), 4).unwrap();
        assert!(new.is_new() && new.total == Some(600));
        assert_eq!(reset.after(None, None, wall(99), 4), None);
    }

    #[test]
    fn what_no_player_can_mean_is_bounded() {
        let wild = Play { started: Some(u64::MAX), total: None, ..play(u64::MAX, 1000) };
        let heard = wild.after(None, Some(60), wall(99), 1).unwrap();
        assert_eq!(
            (heard.position, heard.started, heard.at),
            (MAX_SECONDS, MAX_SECONDS, wall(99)),
            "none is from later"
        );
        assert_eq!(heard.ended, Some(wall(99)), "the feed knows the length");
        let silent = Play { position: None, started: None, total: None, ..play(0, 1000) };
        assert_eq!(silent.after(Some(&heard), None, wall(200), 2).unwrap().position, MAX_SECONDS);
        let short = Play { total: Some(20), ..play(17, 10) };
        assert_eq!(short.after(None, None, wall(99), 1).unwrap().ended, None, "a tenth of it is left");
    }
}
