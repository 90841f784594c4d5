//! Decides what is kept no longer: by number, by time, by what was heard, and by what the library may take.
//!
//! Of each feed the newest stay, as many as its rule says, and each for as long as it says, by itself and once heard.
//! Where all together are more than the library may take, the oldest releases go first, whichever feed they are of; and
//! for a new one that does not fit, older ones go if that makes it fit.
//!
//! Law: nothing is deleted that the owner asked for, that he has changed, or that was there before it was fetched. The
//! disk has the last word: a file that does not look as it did when it was put there stays, for good.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::app::hook::Action;
use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;

use super::event::{About, Event};
use super::{Agent, Deletion, Output};
use crate::records::{Episode, EpisodeId, Expiry, FeedId, Stage};
use crate::rules::Keep;

/// What could not be deleted is tried again after this long.
const AGAIN: Duration = Duration::from_hours(1);

/// What is being deleted, and when it is looked again.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    deleting: BTreeMap<EpisodeId, Expiry>,
    /// What could not be deleted, until its feed is looked at again.
    stuck: BTreeSet<EpisodeId>,
    /// When each feed is looked at; one of which nothing will be kept too long is left out.
    look_at: BTreeMap<FeedId, Instant>,
}

impl Shelf {
    /// Nothing is being deleted.
    pub(super) fn is_settled(&self) -> bool {
        self.deleting.is_empty()
    }

    /// The episode's file is being deleted.
    pub(super) fn is_deleting(&self, id: EpisodeId) -> bool {
        self.deleting.contains_key(&id)
    }
}

impl Agent {
    /// When what is kept is to be looked at.
    pub(super) fn shelf_deadline(&self) -> Option<Instant> {
        self.shelf.look_at.values().min().copied().filter(|_| self.may_delete())
    }

    fn may_delete(&self) -> bool {
        self.settings.acts_by_itself()
    }

    /// What is kept of a feed, or what is wanted of it, has changed.
    pub(super) fn look_at_kept(&mut self, now: Now, feed: FeedId) {
        self.shelf.look_at.insert(feed, now.instant);
        self.queue.count_kept(self.catalogue.kept_bytes());
    }

    /// All that is kept is to be looked at.
    pub(super) fn look_at_all(&mut self, now: Now) {
        self.shelf.look_at = self.catalogue.feeds().map(|feed| (feed.id, now.instant)).collect();
    }

    /// Deletes what is kept no longer, if it is time to look.
    pub(super) fn tend_shelf(&mut self, now: Now) {
        let due = self.shelf.look_at.extract_if(.., |_, at| *at <= now.instant).map(|(feed, _)| feed);
        let due: Vec<FeedId> = due.collect();
        if !self.may_delete() || due.is_empty() {
            return;
        }
        self.queue.count_kept(self.catalogue.kept_bytes());
        for feed in due {
            self.shelf.stuck.retain(|id| id.feed != feed);
            for (id, why) in self.expired(feed, now.wall) {
                self.delete(id, why);
            }
            // Not before a second has passed: the two clocks need not agree.
            let left = self.next_expiry(feed, now.wall).map(|left| left.max(Duration::from_secs(1)));
            self.shelf.look_at.extend(left.map(|left| (feed, now.instant + left)));
        }
        if let Some(quota) = self.settings.limits.quota {
            let leaving: u64 = self.shelf.deleting.keys().map(|id| self.length(*id)).sum();
            let excess = self.catalogue.kept_bytes().saturating_sub(leaving).saturating_sub(quota);
            if excess > 0 {
                self.delete_oldest(excess, None, Expiry::Quota(quota));
            }
        }
    }

    /// What a rule deletes of a feed, and which.
    fn expired(&self, feed: FeedId, wall: DateTime<Utc>) -> Vec<(EpisodeId, Expiry)> {
        let terms = self.catalogue.terms(feed);
        let is_timeless = terms.keep_for.0.is_none() && terms.keep_played.0.is_none();
        if terms.keep == Keep::All && is_timeless {
            return Vec::new();
        }
        let mut kept: Vec<_> = self.catalogue.episodes_of(feed).filter(|it| it.is_there()).collect();
        kept.sort_by_key(|episode| std::cmp::Reverse((episode.when(), episode.id)));
        let mut expired = Vec::new();
        for (place, episode) in kept.into_iter().enumerate() {
            let by_count = match terms.keep {
                Keep::Newest(count) if place >= terms.keep.count() => Some(Expiry::Count(count)),
                _ => None,
            };
            let by_time = terms.keep_for.0.filter(|span| age(episode, wall) >= span.0).map(Expiry::Time);
            let by_ear = terms.keep_played.0.filter(|span| since_heard(episode, wall).is_some_and(|age| age >= span.0));
            let by_ear = by_ear.map(Expiry::Played);
            let why = by_count.or(by_ear).or(by_time).filter(|_| self.may_expire(episode));
            expired.extend(why.map(|why| (episode.id, why)));
        }
        expired
    }

    /// How long until the next of a feed has been there for long enough.
    fn next_expiry(&self, feed: FeedId, wall: DateTime<Utc>) -> Option<Duration> {
        let terms = self.catalogue.terms(feed);
        if terms.keep_for.0.is_none() && terms.keep_played.0.is_none() {
            return None;
        }
        let left = |episode: &Episode| {
            let by_time = terms.keep_for.0.map(|span| span.0.saturating_sub(age(episode, wall)));
            let by_ear = terms.keep_played.0.zip(since_heard(episode, wall));
            by_time.into_iter().chain(by_ear.map(|(span, age)| span.0.saturating_sub(age))).min()
        };
        self.catalogue.episodes_of(feed).filter(|episode| self.may_expire(episode)).filter_map(left).min()
    }

    /// An episode needs so many bytes more than the library may take.
    pub(super) fn make_room(&mut self, id: EpisodeId, bytes: u64) {
        let (Some(quota), Some(episode)) = (self.settings.limits.quota, self.catalogue.episode(id)) else { return };
        // What goes already is room soon.
        if self.may_delete() && self.shelf.deleting.is_empty() {
            let before = episode.when();
            self.delete_oldest(bytes, Some(before), Expiry::Quota(quota));
        }
    }

    /// Deletes the oldest releases until they come to `bytes`. With `before`, only such as are older, and none if they
    /// are too few.
    fn delete_oldest(&mut self, bytes: u64, before: Option<DateTime<Utc>>, why: Expiry) {
        let older = self.catalogue.kept().take_while(|episode| before.is_none_or(|before| episode.when() < before));
        let (mut oldest, mut sum) = (Vec::new(), 0_u64);
        for episode in older.filter(|episode| self.is_deletable(episode)) {
            oldest.push(episode.id);
            sum += self.length(episode.id);
            if sum >= bytes {
                break;
            }
        }
        if sum < bytes && before.is_some() {
            return;
        }
        for id in oldest {
            self.delete(id, why);
        }
    }

    fn is_deletable(&self, episode: &Episode) -> bool {
        let custody = episode.custody;
        let is_ours = custody.print.is_some() && !custody.asked && !custody.changed;
        let is_busy = self.shelf.is_deleting(episode.id) || self.tagger.is_at(episode.id);
        let is_free = !is_busy && !self.shelf.stuck.contains(&episode.id);
        episode.is_there() && is_ours && is_free && !episode.paused
    }

    /// Whether a rule of its feed may delete it: a program that is told of an episode is to find it.
    fn may_expire(&self, episode: &Episode) -> bool {
        self.is_deletable(episode) && !episode.due.iter().any(|due| matches!(due.hook.action, Action::Run(_)))
    }

    fn length(&self, id: EpisodeId) -> u64 {
        match self.catalogue.episode(id).map(|episode| &episode.stage) {
            Some(Stage::Complete { length, .. }) => *length,
            _ => 0,
        }
    }

    fn delete(&mut self, id: EpisodeId, why: Expiry) {
        let Some(episode) = self.catalogue.episode(id) else { return };
        let (Some(file), Some(print)) = (episode.file.clone(), episode.custody.print) else { return };
        self.shelf.deleting.insert(id, why);
        self.outputs.push_back(Output::Delete { id, file, print });
    }

    /// What came of deleting a file.
    pub(super) fn deleted(&mut self, now: Now, id: EpisodeId, outcome: Deletion) {
        let why = self.shelf.deleting.remove(&id);
        let Some(mut episode) = self.catalogue.episode(id).filter(|episode| episode.is_there()).cloned() else {
            return;
        };
        let about = About::new(&episode);
        let event = match outcome {
            Deletion::Changed => {
                episode.custody.changed = true;
                Event::Spared { episode: about }
            }
            Deletion::Done | Deletion::Missing => {
                self.end_exchange(now, id);
                let why = why.filter(|_| outcome == Deletion::Done);
                episode.stage = Stage::Gone { at: now.wall, why };
                match why {
                    Some(reason) => Event::Expired { episode: about, reason },
                    None => Event::Gone { episode: about },
                }
            }
            Deletion::Failed => {
                self.shelf.stuck.insert(id);
                let again = now.instant + AGAIN;
                self.shelf.look_at.entry(id.feed).and_modify(|at| *at = again.min(*at)).or_insert(again);
                return self.go_on(now, id);
            }
        };
        self.catalogue.put(episode);
        self.save_episode(id);
        self.tell(event);
        self.queue.count_kept(self.catalogue.kept_bytes());
        self.order_picture(id.feed);
        // One that stays is seeded on.
        self.go_on(now, id);
    }
}

/// How long ago an episode was last listened to, of which all was heard.
fn since_heard(episode: &Episode, wall: DateTime<Utc>) -> Option<Duration> {
    let heard = episode.heard.as_ref().filter(|heard| heard.ended.is_some())?;
    Some((wall - heard.at).to_std().unwrap_or_default())
}

/// How long an episode has been there.
fn age(episode: &Episode, wall: DateTime<Utc>) -> Duration {
    match episode.stage {
        Stage::Complete { at, .. } => (wall - at).to_std().unwrap_or_default(),
        Stage::Gone { .. } | Stage::Seen { .. } | Stage::Wanted { .. } => Duration::ZERO,
    }
}
