//! Decides when it is looked whether the covers of shows and the chapters of episodes are kept here.
//!
//! The cover of every show is, and the chapters of every episode that is there. They are looked at when their address
//! is new, and after polls, but not more than once a day; whoever looks knows what is there and how old it is. One is
//! dealt with at a time: nothing is in a hurry, and their hosts may be the same.
//!
//! Knows nothing of pictures and of the form that chapters have.
//!
//! Law: nothing is asked for of what is paused, nor while downloads wait for another line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;

use super::found::mark;
use super::{Agent, Output};
use crate::records::{EpisodeId, FeedId};

/// What was looked at is left alone for so long.
const LOOK_AGAIN: Duration = Duration::from_hours(24);

/// What is kept beside sound and film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    /// The cover of a show.
    Cover(FeedId),
    /// The chapters of an episode.
    Chapters(EpisodeId),
}

impl Extra {
    /// The feed that it belongs to.
    pub const fn feed(self) -> FeedId {
        match self {
            Self::Cover(feed) => feed,
            Self::Chapters(id) => id.feed,
        }
    }
}

/// Which of them wait, and which was looked at when.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    waiting: BTreeSet<Extra>,
    running: Option<Extra>,
    /// When, and the mark of the address.
    looked: BTreeMap<Extra, (Instant, u64)>,
}

impl Agent {
    /// Nothing is looked at, or can be now.
    pub(super) fn has_gathered(&self) -> bool {
        self.gatherer.running.is_none() && (self.gatherer.waiting.is_empty() || self.rest.holds)
    }

    /// Has the show's cover looked at, and the chapters of its episodes, as far as it is time.
    pub(super) fn order_extras(&mut self, now: Now, feed: FeedId) {
        self.order_extra(now, Extra::Cover(feed));
        let episodes = self.catalogue.episodes_of(feed).filter(|episode| episode.chapters.is_some());
        for id in episodes.map(|episode| episode.id).collect::<Vec<_>>() {
            self.order_extra(now, Extra::Chapters(id));
        }
    }

    /// Has this looked at, if it is time.
    pub(super) fn order_extra(&mut self, now: Now, extra: Extra) {
        let Some((url, _)) = self.address_of(extra).filter(|_| self.settings.acts_by_itself()) else { return };
        let is_known = |(at, of): &(Instant, u64)| *of == mark(&url) && now.instant - *at < LOOK_AGAIN;
        if !self.gatherer.looked.get(&extra).is_some_and(is_known) {
            self.gatherer.waiting.insert(extra);
        }
    }

    /// Where it is, if it is to be kept, and whether that may be in a private network.
    fn address_of(&self, extra: Extra) -> Option<(String, bool)> {
        let feed = self.catalogue.feed(extra.feed()).filter(|feed| !feed.paused)?;
        let url = match extra {
            Extra::Cover(_) => feed.image.clone(),
            Extra::Chapters(id) => self.catalogue.episode(id).filter(|episode| episode.is_there())?.chapters.clone(),
        };
        Some((url?, feed.is_local))
    }

    /// Has the next one looked at, if none is.
    pub(super) fn tend_extras(&mut self, now: Now) {
        while !self.rest.holds
            && self.gatherer.running.is_none()
            && let Some(extra) = self.gatherer.waiting.pop_first()
        {
            if let Some((url, is_local)) = self.address_of(extra) {
                self.gatherer.running = Some(extra);
                self.gatherer.looked.insert(extra, (now.instant, mark(&url)));
                self.outputs.push_back(Output::Gather { extra, url, is_local });
            }
        }
    }

    /// It was looked at, and is kept under this name, if it is.
    pub(super) fn gathered(&mut self, extra: Extra, name: Option<String>) {
        self.gatherer.running.take_if(|running| *running == extra);
        if let Extra::Cover(feed) = extra {
            self.note_cover(feed, name);
        }
    }

    /// A feed is followed no longer.
    pub(super) fn forget_extras(&mut self, feed: FeedId) {
        self.gatherer.looked.retain(|extra, _| extra.feed() != feed);
    }
}
