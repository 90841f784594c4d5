//! Knows every feed and episode, and decides what an item of a feed is: new, known, a revision or a duplicate.
//!
//! An item is known by its feed and guid, whatever its URL. A known one with another info-hash is a revision: what was
//! complete is fetched anew, beside the old file, which is kept and no longer seeded. Another guid is a duplicate if it
//! has an info-hash that the feed has brought before or that another feed's episode was taken for, if it has both
//! the title and the first source of an episode of the same feed, or if it has title and date of one whose guid the
//! feed no longer has: hosts that move a show change guids and addresses at once. Dates decide nothing else but order:
//! a late episode with an early date is still new.
//!
//! What is new is wanted, but for the backlog of a new subscription, of which the owner says how much to take, for what
//! his rules leave out, and beyond [`NEW_PER_DAY`], which keeps a feed that invents guids from filling the disk. What
//! was left out by a rule is looked at again when its item changes, not when the rule does.
//!
//! Of an item in several qualities the one that the rule asks for is the episode when it is taken; from then on it is
//! that one, for as long as the feed has it, whatever the rule becomes.
//!
//! Knows nothing of downloads.
//!
//! Law: reading the same items again changes nothing.
//!
//! Source: RSS 2.0 and BEP 36 on guids; what podcatchers' users reported of episodes fetched twice or never.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_feeds::read::opml::same_feed_key;
use podswarm_feeds::{ShowKey, Withdrawal};
use url::Url;

use super::found::{Found, bounded_guid, mark};
use super::settings::Sources;
use crate::names;
use crate::records::{Custody, Episode, EpisodeId, Feed, FeedId, Left, Loose, Notes, Offer};
use crate::records::{Shared, Stage, Tagged, Why};
use crate::rules::{Keep, Rules, Terms};

/// So many new episodes of one feed are taken within 24 hours without the owner's asking.
pub const NEW_PER_DAY: usize = 48;

/// So many episodes of one feed are remembered. Beyond that the oldest that were never wanted and that the feed no
/// longer has are forgotten.
pub const MAX_EPISODES: usize = 10_000;

/// So many feeds that were removed are remembered for the apps that are yet to be told.
pub const MAX_LEFT: usize = 1000;

/// So many things that were played and are no episode yet are remembered.
pub const MAX_LOOSE: usize = 4096;

/// A change of the records, to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The feed and all that belongs to it is forgotten.
    DropFeed(FeedId),
    /// The episode and its notes are forgotten.
    DropEpisode(EpisodeId),
    /// The episode is new or has changed.
    Episode(Box<Episode>),
    /// The feed is new or has changed.
    Feed(Box<Feed>),
    /// What nobody needs to be told of this feed any more, by its mark.
    DropLeft(u64),
    /// What was played is known to be an episode, or is forgotten, by its mark.
    DropLoose(u64),
    /// A feed is followed no longer.
    Left(Left),
    /// Something was played that is no episode yet.
    Loose(Box<Loose>),
    /// An episode's notes are new or have changed.
    Notes(Notes),
}

/// What came of reading a feed.
#[derive(Debug, Default)]
pub struct Reading {
    /// What to make durable, the feed itself left out.
    pub changes: Vec<Change>,
    /// Episodes never seen before.
    pub new: usize,
    /// Episodes that are wanted now and were not, in order of their numbers.
    pub wanted: Vec<EpisodeId>,
    /// Episodes, wanted or complete, that the publisher has replaced.
    pub revised: Vec<EpisodeId>,
    /// Episodes that the publisher has taken back.
    pub withdrawn: Vec<EpisodeId>,
    /// New episodes that are not wanted, each for a reason.
    pub skipped: Vec<(EpisodeId, Why)>,
}

/// All feeds and episodes.
#[derive(Debug, Default)]
pub struct Catalogue {
    feeds: BTreeMap<FeedId, Feed>,
    // In boxes: half of a map's places are empty where numbers only grow, and there are tens of thousands.
    episodes: BTreeMap<EpisodeId, Box<Episode>>,
    by_hash: BTreeSet<([u8; 20], EpisodeId)>,
    /// By first source and title, both of which a feed keeps when it changes a guid by mistake.
    by_face: BTreeMap<(FeedId, u64), EpisodeId>,
    last_feed: u32,
    /// The episodes that are there, by their age.
    kept: BTreeSet<(DateTime<Utc>, EpisodeId)>,
    kept_bytes: u64,
    /// What is wanted of all feeds.
    rules: Rules,
    /// Feeds that were removed, by [`feed_mark`].
    left: BTreeMap<u64, Left>,
    /// What was played of feeds and is no episode yet, by [`loose_mark`].
    loose: BTreeMap<u64, Loose>,
    /// The last of all changes that apps are told of.
    stamp: u64,
}

impl Catalogue {
    /// The catalogue as the store remembers it. `last_feed` is the highest number of any feed that was ever read.
    pub fn new(feeds: Vec<Feed>, episodes: Vec<Episode>, last_feed: u32) -> Self {
        let mut catalogue = Self { last_feed, ..Self::default() };
        for feed in feeds {
            catalogue.put_feed(feed);
        }
        for episode in episodes {
            // An episode whose feed is gone is what a removal left that was cut short.
            if catalogue.feeds.contains_key(&episode.id.feed) {
                catalogue.put(episode);
            }
        }
        catalogue
    }

    /// The same, with what it knows of feeds that were removed, and of what was played and is no episode yet.
    #[must_use]
    pub fn with_past(mut self, left: Vec<Left>, loose: Vec<Loose>) -> Self {
        for left in left {
            self.put_left(left);
        }
        for loose in loose {
            self.put_loose(loose);
        }
        self
    }

    /// The last of all changes that apps are told of.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// What the next change is marked with: the time, but never a mark that an app may have been told.
    pub fn next_stamp(&self, wall: DateTime<Utc>) -> u64 {
        u64::try_from(wall.timestamp()).unwrap_or_default().max(self.stamp + 1)
    }

    /// Feeds that were removed, as many as are remembered.
    pub fn left(&self) -> impl Iterator<Item = &Left> {
        self.left.values()
    }

    /// What was played of feeds that are followed and is no episode yet.
    pub fn loose(&self) -> impl Iterator<Item = &Loose> {
        self.loose.values()
    }

    /// The same by its mark.
    pub fn loose_at(&self, mark: u64) -> Option<&Loose> {
        self.loose.get(&mark)
    }

    /// Remembers that a feed was removed; gives what is to be made durable.
    pub fn put_left(&mut self, left: Left) -> Vec<Change> {
        self.stamp = self.stamp.max(left.stamp);
        let mut changes = vec![Change::Left(left.clone())];
        self.left.insert(feed_mark(&left.url), left);
        if self.left.len() > MAX_LEFT
            && let Some(oldest) = self.left.iter().min_by_key(|(_, left)| left.stamp).map(|(mark, _)| *mark)
        {
            changes.extend(self.drop_left(oldest));
        }
        changes
    }

    /// Forgets that a feed was removed, as when it is followed again.
    pub fn drop_left(&mut self, mark: u64) -> Option<Change> {
        self.left.remove(&mark).map(|_| Change::DropLeft(mark))
    }

    /// Remembers what was played and is no episode yet; gives what is to be made durable.
    pub fn put_loose(&mut self, loose: Loose) -> Vec<Change> {
        self.stamp = self.stamp.max(loose.heard.stamp);
        let mut changes = vec![Change::Loose(Box::new(loose.clone()))];
        self.loose.insert(loose.mark(), loose);
        if self.loose.len() > MAX_LOOSE
            && let Some(oldest) = self.loose.iter().min_by_key(|(_, loose)| loose.heard.stamp).map(|(mark, _)| *mark)
        {
            changes.extend(self.drop_loose(oldest));
        }
        changes
    }

    /// Forgets what was played, as when its episode is known.
    pub fn drop_loose(&mut self, mark: u64) -> Option<Change> {
        self.loose.remove(&mark).map(|_| Change::DropLoose(mark))
    }

    /// The episode of a feed that has this guid.
    pub fn episode_by_guid(&self, feed: FeedId, guid: &str) -> Option<EpisodeId> {
        let guid = bounded_guid(guid.to_owned());
        self.episodes_of(feed).find(|episode| episode.guid == guid).map(|episode| episode.id)
    }

    /// The same, for an owner who wants this of all feeds.
    #[must_use]
    pub fn ruled_by(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// What is wanted of a feed.
    pub fn terms(&self, feed: FeedId) -> Terms {
        let own = self.feeds.get(&feed).map(|feed| &feed.rules);
        own.map_or_else(|| self.rules.with(&Rules::default()), |own| self.rules.with(own))
    }

    /// Why an episode was not taken, where the rules have changed since: what a rule left out stays out until its item
    /// changes or the owner asks for it. Where what is wanted of all feeds is not known, its feed's own rules count.
    pub fn reason_since(&self, episode: &Episode, all_is_known: bool, wall: DateTime<Utc>) -> Option<String> {
        let Stage::Seen { why: Some(why) } = &episode.stage else { return None };
        let feed = self.feed(episode.id.feed)?;
        let is_known = match why {
            Why::Rule(rule) if rule.starts_with("skip ") => feed.rules.skip.is_some(),
            Why::Rule(_) => feed.rules.take.is_some(),
            Why::Older(_) => feed.rules.keep.is_some(),
            _ => return None,
        };
        if !is_known && !all_is_known {
            return None;
        }
        let terms = self.terms(feed.id);
        match why {
            Why::Rule(rule) if !terms.hold(rule) => {
                let subject = episode.subject(feed.language.as_deref(), wall);
                let now = terms.refusal(&subject).map(|rule| Why::Rule(rule).to_string());
                Some(now.unwrap_or_else(|| format!("{why} when it was new, which holds no longer")))
            }
            Why::Older(kept) if terms.keep != Keep::Newest(*kept) => {
                Some(format!("older than the {kept} that were kept when it was new"))
            }
            _ => None,
        }
    }

    /// What a feed's episodes may be had from.
    pub fn sources(&self, feed: FeedId) -> Sources {
        let is_plain = self.feeds.get(&feed).is_some_and(|feed| self.rules.are_http_only(&feed.rules));
        if is_plain { Sources::HttpOnly } else { Sources::All }
    }

    /// The episodes that are there, the oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &Episode> {
        self.kept.iter().filter_map(|(_, id)| self.episode(*id))
    }

    /// Bytes of all episodes that are there.
    pub const fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// The feed of this number.
    pub fn feed(&self, id: FeedId) -> Option<&Feed> {
        self.feeds.get(&id)
    }

    /// The feed of this number, to be changed.
    pub fn feed_mut(&mut self, id: FeedId) -> Option<&mut Feed> {
        self.feeds.get_mut(&id)
    }

    /// The feed that is polled at this URL, or at one that differs in no more than the scheme or a slash at the end.
    pub fn feed_at(&self, url: &Url) -> Option<&Feed> {
        let key = same_feed_key(url.as_str());
        let is_same = |feed: &&Feed| same_feed_key(feed.url().as_str()) == key;
        self.feeds.values().find(|feed| feed.url() == url).or_else(|| self.feeds.values().find(is_same))
    }

    /// All feeds, in order of their numbers.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.values()
    }

    /// A number that no feed has, nor ever had that was read. One that was never read was shown to nobody.
    pub fn free_number(&self) -> FeedId {
        let highest = self.feeds.last_key_value().map_or(0, |(id, _)| id.0);
        FeedId(highest.max(self.last_feed).saturating_add(1))
    }

    /// The episode of this number.
    pub fn episode(&self, id: EpisodeId) -> Option<&Episode> {
        self.episodes.get(&id).map(Box::as_ref)
    }

    /// What was given back of the episode of this number, to be changed.
    pub fn shared_mut(&mut self, id: EpisodeId) -> Option<&mut Shared> {
        self.episodes.get_mut(&id).map(|episode| &mut episode.shared)
    }

    /// All episodes, in order of their numbers.
    pub fn episodes(&self) -> impl Iterator<Item = &Episode> {
        self.episodes.values().map(Box::as_ref)
    }

    /// How many episodes are known.
    pub fn episode_count(&self) -> usize {
        self.episodes.len()
    }

    /// The episodes of one feed, in order of their numbers.
    pub fn episodes_of(&self, feed: FeedId) -> impl DoubleEndedIterator<Item = &Episode> {
        let (first, last) = (EpisodeId { feed, number: 0 }, EpisodeId { feed, number: u32::MAX });
        self.episodes.range(first..=last).map(|(_, episode)| &**episode)
    }

    /// The episodes of one feed by what it knows them by: it is asked for once in each reading, and kept it would take
    /// as much memory as all titles.
    fn by_guid(&self, feed: FeedId) -> BTreeMap<&str, EpisodeId> {
        self.episodes_of(feed).map(|episode| (episode.guid.as_str(), episode.id)).collect()
    }

    /// The guids of a feed's newest episodes; a few, since its host may have taken one back.
    pub fn newest_guids(&self, feed: FeedId) -> BTreeSet<String> {
        self.episodes_of(feed).rev().take(16).map(|episode| episode.guid.clone()).collect()
    }

    /// Puts a feed in, new or changed.
    pub fn put_feed(&mut self, feed: Feed) {
        if !feed.is_new() {
            self.last_feed = self.last_feed.max(feed.id.0);
        }
        self.stamp = self.stamp.max(feed.stamp);
        self.feeds.insert(feed.id, feed);
    }

    /// Puts an episode in, new or changed.
    pub fn put(&mut self, mut episode: Episode) {
        // Whoever read it made room for four.
        episode.offer.sources.shrink_to_fit();
        self.forget(episode.id);
        self.stamp = self.stamp.max(episode.heard.as_ref().map_or(0, |heard| heard.stamp));
        self.by_hash.extend(keys_of(&episode).into_iter().map(|key| (key, episode.id)));
        if let Some(length) = kept_length(&episode) {
            self.kept.insert((episode.when(), episode.id));
            self.kept_bytes += length;
        }
        if let Some(face) = face(&episode.offer, &episode.title) {
            self.by_face.entry((episode.id.feed, face)).or_insert(episode.id);
        }
        self.episodes.insert(episode.id, Box::new(episode));
    }

    /// Takes a feed out with its episodes, which are given back.
    pub fn remove_feed(&mut self, id: FeedId) -> Vec<Episode> {
        self.feeds.remove(&id);
        let ids: Vec<_> = self.episodes_of(id).map(|episode| episode.id).collect();
        ids.into_iter().filter_map(|id| self.forget(id)).collect()
    }

    fn forget(&mut self, id: EpisodeId) -> Option<Episode> {
        let old = *self.episodes.remove(&id)?;
        if let Some(length) = kept_length(&old) {
            self.kept.remove(&(old.when(), id));
            self.kept_bytes -= length;
        }
        if let Some(face) = face(&old.offer, &old.title)
            && self.by_face.get(&(id.feed, face)) == Some(&id)
        {
            self.by_face.remove(&(id.feed, face));
        }
        for key in keys_of(&old) {
            self.by_hash.remove(&(key, id));
        }
        Some(old)
    }

    /// Another episode than `id` that was taken as the torrent `hash`.
    pub fn taken_as(&self, hash: InfoHash, id: EpisodeId) -> Option<&Episode> {
        self.having(hash).find(|other| other.id != id && other.is_taken())
    }

    /// Whether an episode is, or is said to be, the torrent `hash`.
    pub fn knows(&self, hash: InfoHash) -> bool {
        self.having(hash).next().is_some()
    }

    fn having(&self, hash: InfoHash) -> impl Iterator<Item = &Episode> {
        let end = |number| EpisodeId { feed: FeedId(number), number };
        let having = move |key| self.by_hash.range((key, end(0))..=(key, end(u32::MAX)));
        let ids = hash_keys(hash).into_iter().flatten().flat_map(having);
        ids.filter_map(|(_, id)| self.episode(*id)).filter(move |episode| {
            let matches = |own: Option<InfoHash>| own.is_some_and(|own| own.matches(&hash));
            matches(episode.offer.info_hash) || matches(episode.kept_hash())
        })
    }

    /// A folder for a show of this title that no other feed has, compared as file systems do.
    pub fn free_folder(&self, title: &str) -> String {
        let taken: BTreeSet<String> = self.feeds.values().map(|feed| names::fold(&feed.folder)).collect();
        names::free(&names::folder(title), None, |name| taken.contains(name))
    }

    /// Whether a file of another episode of the feed, or a former one of this one, has this name, relative to the
    /// library and [`names::fold`]ed.
    pub fn is_claimed(&self, by_other_than: EpisodeId, file: &str) -> bool {
        let claims = |episode: &Episode| {
            let own = episode.file.iter().filter(|_| episode.id != by_other_than);
            own.chain(&episode.former).any(|claimed| names::fold(claimed) == file)
        };
        self.episodes_of(by_other_than.feed).any(claims)
    }

    /// Takes in what a feed has today, first things first in `items`.
    ///
    /// Updates the episodes, and the feed's count of what it took; its title and folder are the caller's.
    pub fn read(&mut self, id: FeedId, items: Vec<Found>, wall: DateTime<Utc>) -> Reading {
        let mut reading = Reading::default();
        let Some(feed) = self.feeds.get_mut(&id) else { return reading };
        let (is_first, backlog) = (feed.is_new(), feed.backlog);
        let language = feed.language.clone();
        feed.taken.retain(|at| *at > wall - TimeDelta::days(1));
        let mut room = if is_first { backlog.count() } else { NEW_PER_DAY.saturating_sub(feed.taken.len()) };
        let before = room;
        let mut next = self.episodes_of(id).next_back().map_or(1, |newest| newest.id.number.saturating_add(1));
        let mut changed = BTreeSet::new();
        let mut candidates = Vec::new();
        let items = oldest_first(items, wall);
        let present: BTreeSet<String> = items.iter().map(|item| item.guid.clone()).collect();
        let terms = self.terms(id);
        let lost = if is_first { Lost::default() } else { self.lost(id, &present, wall) };
        let judge = Judge { terms: &terms, language: language.as_deref(), lost: &lost, wall };
        let by_guid = self.by_guid(id);
        let items: Vec<_> = items.into_iter().map(|item| (by_guid.get(item.guid.as_str()).copied(), item)).collect();
        for (known, mut item) in items {
            let taken = known.and_then(|known| self.episode(known)).filter(|episode| episode.is_taken());
            item.choose(taken, terms.quality, language.as_deref());
            let episode = known.unwrap_or(EpisodeId { feed: id, number: next });
            let update = if known.is_some() {
                self.update(episode, &item, room > 0, &judge)
            } else {
                next = next.saturating_add(1);
                self.enter(episode, &item, &judge, &mut reading)
            };
            match update {
                Update::Nothing => continue,
                Update::Changed => {}
                Update::Fetchable => candidates.push(episode),
                Update::Revised => {
                    room -= 1;
                    reading.revised.push(episode);
                }
            }
            changed.insert(episode);
            reading.changes.extend(item.notes(episode).map(Change::Notes));
        }
        let mut newer = Newer::of(terms.keep, self.episodes_of(id));
        // Newest first: if there is not room for all, it is for the newest.
        for candidate in candidates.into_iter().rev() {
            let Some(episode) = self.episodes.get_mut(&candidate) else { continue };
            let why = match newer.refuses(episode) {
                None if room > 0 => {
                    room -= 1;
                    newer.count_in(episode);
                    episode.stage = Stage::Wanted { by_owner: false };
                    reading.wanted.push(candidate);
                    continue;
                }
                _ if is_first => Why::Backlog,
                Some(why) => why,
                None => Why::TooMany,
            };
            episode.stage = Stage::Seen { why: Some(why.clone()) };
            reading.skipped.extend((!is_first).then_some((candidate, why)));
        }
        if !is_first && let Some(feed) = self.feeds.get_mut(&id) {
            feed.taken.extend(std::iter::repeat_n(wall, before - room));
        }
        self.trim(id, &present, &mut reading);
        let kept = changed.iter().filter_map(|id| self.episodes.get(id));
        reading.changes.extend(kept.map(|episode| Change::Episode(episode.clone())));
        reading
    }

    /// Takes in what a feed says that its show has taken back, as far as the show has signed it.
    ///
    /// The key that a feed carries first is the show's for ever: whoever gets hold of the address later has another.
    pub fn take_back(&mut self, id: FeedId, key: Option<ShowKey>, withdrawn: &[Withdrawal], reading: &mut Reading) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.key = feed.key.or(key);
        let Some(key) = feed.key else { return };
        if withdrawn.is_empty() {
            return;
        }
        let by_guid = self.by_guid(id);
        let known: Vec<_> = withdrawn.iter().map(|it| (by_guid.get(it.guid.as_str()).copied(), it)).collect();
        for (known, withdrawal) in known {
            let known = known.and_then(|known| self.episode(known));
            let Some(mut episode) = known.filter(|episode| episode.withdrawn.is_none()).cloned() else { continue };
            if !withdrawal.is_by(&key) {
                continue;
            }
            episode.withdrawn = Some(withdrawal.at);
            if matches!(episode.stage, Stage::Seen { .. } | Stage::Wanted { .. }) {
                episode.stage = Stage::Seen { why: Some(Why::Withdrawn) };
            }
            reading.wanted.retain(|id| *id != episode.id);
            reading.revised.retain(|id| *id != episode.id);
            reading.changes.push(Change::Episode(Box::new(episode.clone())));
            reading.withdrawn.push(episode.id);
            self.put(episode);
        }
    }

    /// Puts an item in that is new.
    fn enter(&mut self, new: EpisodeId, item: &Found, judge: &Judge<'_>, reading: &mut Reading) -> Update {
        let mut episode = item.episode(new, Stage::Seen { why: None }, judge.wall);
        let why = self.judge(new, item, judge).or_else(|| judge.refusal(&episode));
        let is_first = self.feeds.get(&new.feed).is_some_and(Feed::is_new);
        episode.stage = Stage::Seen { why: why.clone() };
        self.put(episode);
        reading.new += 1;
        // What was there before the subscription is not worth a word, but where it explains what is not taken.
        let told = why.clone().filter(|why| !is_first || matches!(why, Why::Duplicate(_)));
        reading.skipped.extend(told.map(|why| (new, why)));
        if why.is_none() { Update::Fetchable } else { Update::Changed }
    }

    /// Episodes of a feed that it no longer has, by title and date.
    fn lost(&self, feed: FeedId, present: &BTreeSet<String>, wall: DateTime<Utc>) -> Lost {
        // A date in the future is no date, and a title may be that of all.
        let is_lost = |episode: &&Episode| !present.contains(&episode.guid) && !episode.title.is_empty();
        let key = |episode: &Episode| {
            let published = episode.published.filter(|published| *published <= wall)?;
            Some(((episode.title.clone(), published), episode.id))
        };
        self.episodes_of(feed).filter(is_lost).filter_map(key).collect()
    }

    /// Why an item that is new is not to be taken, whatever the rules; `None` if it is.
    fn judge(&self, new: EpisodeId, item: &Found, judge: &Judge<'_>) -> Option<Why> {
        if let Some(hash) = item.offer.info_hash
            && let Some(other) = self.having(hash).find(|other| other.id.feed == new.feed || other.is_taken())
        {
            return Some(Why::Duplicate(other.id));
        }
        let other = face(&item.offer, &item.title).and_then(|face| self.by_face.get(&(new.feed, face)));
        let moved = || judge.lost.get(&(item.title.clone(), item.published?));
        other.or_else(moved).copied().map(Why::Duplicate).or_else(|| item.offer.unfetchable())
    }

    /// Brings a known episode up to what its item says now.
    fn update(&mut self, id: EpisodeId, item: &Found, has_room: bool, judge: &Judge<'_>) -> Update {
        let old = &self.episodes[&id];
        let mut episode = item.episode(id, old.stage.clone(), old.first_seen);
        episode.file.clone_from(&old.file);
        (episode.shared, episode.custody) = (old.shared, old.custody);
        episode.former.clone_from(&old.former);
        (episode.due, episode.untold) = (old.due.clone(), old.untold);
        (episode.paused, episode.withdrawn) = (old.paused, old.withdrawn);
        episode.heard.clone_from(&old.heard);
        if **old == episode {
            return Update::Nothing;
        }
        let update = match &old.stage {
            Stage::Complete { .. } | Stage::Wanted { .. } if is_revised(old, item) => {
                if !has_room {
                    // It is noticed again as long as what is known stays as it was.
                    return Update::Nothing;
                }
                if old.is_there() {
                    episode.former.extend(episode.file.take());
                }
                episode.stage = Stage::Wanted { by_owner: false };
                episode.custody = Custody { print: None, tagged: Tagged::No, ..episode.custody };
                episode.shared = Shared::default();
                (episode.due, episode.untold) = (Vec::new(), false);
                Update::Revised
            }
            Stage::Seen { why: Some(Why::MagnetOnly | Why::NoSource(_) | Why::Rule(_)) }
                if item.offer.unfetchable().is_none() =>
            {
                let why = judge.refusal(&episode);
                episode.stage = Stage::Seen { why: why.clone() };
                if why.is_none() { Update::Fetchable } else { Update::Changed }
            }
            _ => Update::Changed,
        };
        self.put(episode);
        update
    }

    /// Forgets what is beyond [`MAX_EPISODES`], oldest first.
    fn trim(&mut self, id: FeedId, present: &BTreeSet<String>, reading: &mut Reading) {
        let excess = self.episodes_of(id).count().saturating_sub(MAX_EPISODES);
        let old = self.episodes_of(id).filter(|e| !e.is_taken() && !present.contains(&e.guid)).map(|e| e.id);
        for id in old.take(excess).collect::<Vec<_>>() {
            self.forget(id);
            reading.changes.push(Change::DropEpisode(id));
        }
    }
}

/// Episodes that a feed no longer has, by title and date.
type Lost = BTreeMap<(String, DateTime<Utc>), EpisodeId>;

/// What an item is judged by.
struct Judge<'a> {
    terms: &'a Terms,
    /// The feed's.
    language: Option<&'a str>,
    lost: &'a Lost,
    wall: DateTime<Utc>,
}

impl Judge<'_> {
    /// The rule that leaves an episode out.
    fn refusal(&self, episode: &Episode) -> Option<Why> {
        self.terms.refusal(&episode.subject(self.language, self.wall)).map(Why::Rule)
    }
}

/// The releases of what is kept of a feed, to see how many are newer than another.
struct Newer {
    keep: Keep,
    /// In their order.
    releases: Vec<DateTime<Utc>>,
}

impl Newer {
    fn of<'a>(keep: Keep, episodes: impl Iterator<Item = &'a Episode>) -> Self {
        let is_kept = |episode: &&Episode| matches!(episode.stage, Stage::Complete { .. } | Stage::Wanted { .. });
        let mut releases: Vec<_> = match keep {
            Keep::All => Vec::new(),
            Keep::Newest(_) => episodes.filter(is_kept).map(Episode::when).collect(),
        };
        releases.sort_unstable();
        Self { keep, releases }
    }

    /// Why an episode would be deleted as soon as it was there.
    fn refuses(&self, episode: &Episode) -> Option<Why> {
        let Keep::Newest(count) = self.keep else { return None };
        let newer = self.releases.len() - self.place(episode);
        (newer >= self.keep.count()).then_some(Why::Older(count))
    }

    fn count_in(&mut self, episode: &Episode) {
        if self.keep != Keep::All {
            self.releases.insert(self.place(episode), episode.when());
        }
    }

    /// How many are not newer.
    fn place(&self, episode: &Episode) -> usize {
        self.releases.partition_point(|release| *release <= episode.when())
    }
}

/// What bringing an episode up to date did.
enum Update {
    /// Nothing has changed.
    Nothing,
    /// Something has, that calls for nothing.
    Changed,
    /// It can be fetched now, and could not before.
    Fetchable,
    /// It has been replaced and is wanted again.
    Revised,
}

/// Whether the item is another torrent than what is wanted or kept.
fn is_revised(old: &Episode, item: &Found) -> bool {
    let Some(now) = item.offer.info_hash else { return false };
    let differs = |hash: InfoHash| !hash.matches(&now);
    old.offer.info_hash.is_some_and(differs) && old.kept_hash().is_none_or(differs)
}

/// Bytes of an episode that is there.
const fn kept_length(episode: &Episode) -> Option<u64> {
    if let Stage::Complete { length, .. } = episode.stage { Some(length) } else { None }
}

/// What an episode is found by in the index of hashes.
fn keys_of(episode: &Episode) -> BTreeSet<[u8; 20]> {
    episode.offer.info_hash.into_iter().chain(episode.kept_hash()).flat_map(hash_keys).flatten().collect()
}

/// The v1 hash and the beginning of the v2 hash, of which a hybrid has both.
fn hash_keys(hash: InfoHash) -> [Option<[u8; 20]>; 2] {
    [hash.v1(), hash.v2().and_then(|v2| v2.first_chunk().copied())]
}

/// Names a feed by its address, however its scheme and its last slash are written.
pub fn feed_mark(url: &str) -> u64 {
    mark(same_feed_key(url))
}

/// Names what was played by the feed's address and the file's.
pub fn loose_mark(podcast: &str, episode: &str) -> u64 {
    mark([same_feed_key(podcast).as_str(), episode].join("\n"))
}

impl Loose {
    /// Its [`loose_mark`].
    pub fn mark(&self) -> u64 {
        loose_mark(&self.podcast, &self.episode)
    }
}

/// Tells episodes of one feed apart by first source and title; `None` without a source.
fn face(offer: &Offer, title: &str) -> Option<u64> {
    offer.sources.first().map(|source| mark([source.address(), title].join("\n")))
}

/// The items of a feed with the newest last, the first of each guid only.
///
/// Items without a date stay in the feed's order, before those with one; a date in the future counts as now.
fn oldest_first(items: Vec<Found>, wall: DateTime<Utc>) -> Vec<Found> {
    let mut guids = BTreeSet::new();
    let mut items: Vec<_> = items.into_iter().filter(|item| guids.insert(item.guid.clone())).collect();
    items.truncate(MAX_EPISODES);
    items.reverse();
    items.sort_by_key(|item| item.published.map(|published| published.min(wall)));
    items
}

#[cfg(test)]
mod tests;
