//! Knows which of the feeds is to be looked at when, so that none is looked at before.
//!
//! Law: whoever changes a feed has it looked at anew: [`Follows::get_mut`] notes it down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podswarm_core::time::{Instant, earliest};
use podswarm_core::witness;
use podswarm_feeds::poll::Poller;

use super::hosts::Turn;
use super::stream::Stream;
use super::websub::WebSub;
use crate::records::FeedId;

/// A feed, as long as this agent runs.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) poller: Poller,
    pub(super) stream: Stream,
    pub(super) websub: WebSub,
    /// The stream has answered.
    pub(super) is_told: bool,
    /// When we last connected back to its publisher.
    pub(super) connected_back: Option<Instant>,
    /// A poll has ended since the agent began.
    pub(super) is_polled: bool,
    pub(super) is_paused: bool,
    /// Its time has come, and it is not yet its turn at its host.
    pub(super) turn: Turn,
    /// Where it stands in the agenda.
    wake: Option<Instant>,
}

impl Follow {
    pub(super) fn new(poller: Poller, websub: WebSub, is_paused: bool) -> Self {
        let (stream, connected_back) = (Stream::default(), None);
        let (is_told, is_polled) = (false, false);
        Self { poller, stream, websub, is_told, connected_back, is_polled, is_paused, turn: Turn::Now, wake: None }
    }

    /// How long we do not connect back to its publisher yet.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.connected_back.map_or(Duration::ZERO, |at| witness::REST.saturating_sub(now - at))
    }

    /// When it is to be looked at; `has_stream` if it has one to be read.
    fn deadline(&self, has_stream: bool) -> Option<Instant> {
        let poll = match self.turn {
            Turn::AfterAnswer => None,
            Turn::At(at) => Some(at),
            Turn::Now => self.poller.deadline(),
        };
        let stream = self.stream.deadline().filter(|_| has_stream);
        earliest(earliest(poll, stream), self.websub.deadline()).filter(|_| !self.is_paused)
    }
}

/// All feeds that are followed.
#[derive(Debug, Default)]
pub(super) struct Follows {
    all: BTreeMap<FeedId, Follow>,
    /// Each at most once.
    agenda: BTreeSet<(Instant, FeedId)>,
    /// Those whose place in the agenda is to be found anew.
    touched: BTreeSet<FeedId>,
    /// Those that wait for another one's answer.
    waiting: BTreeSet<FeedId>,
}

impl Follows {
    pub(super) fn get(&self, id: FeedId) -> Option<&Follow> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: FeedId) -> Option<&mut Follow> {
        let follow = self.all.get_mut(&id)?;
        self.touched.insert(id);
        Some(follow)
    }

    pub(super) fn insert(&mut self, id: FeedId, follow: Follow) {
        self.remove(id);
        self.touched.insert(id);
        self.all.insert(id, follow);
    }

    pub(super) fn remove(&mut self, id: FeedId) -> Option<Follow> {
        let follow = self.all.remove(&id)?;
        if let Some(at) = follow.wake {
            self.agenda.remove(&(at, id));
        }
        self.touched.remove(&id);
        self.waiting.remove(&id);
        Some(follow)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Follow> {
        self.all.values()
    }

    pub(super) fn ids(&self) -> Vec<FeedId> {
        self.all.keys().copied().collect()
    }

    /// Those that are to be looked at by `now`.
    pub(super) fn due(&self, now: Instant) -> Vec<FeedId> {
        self.agenda.range(..=(now, FeedId(u32::MAX))).map(|(_, id)| *id).collect()
    }

    /// A host has answered: those that waited for it may be asked.
    pub(super) fn wake_waiting(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.waiting) {
            if let Some(follow) = self.get_mut(id) {
                follow.turn = Turn::At(now);
            }
        }
    }

    /// Writes those into the agenda that have changed; `has_stream` tells which have a stream to be read.
    pub(super) fn write_down(&mut self, has_stream: impl Fn(FeedId) -> bool) {
        for id in std::mem::take(&mut self.touched) {
            let Some(follow) = self.all.get_mut(&id) else { continue };
            if follow.turn == Turn::AfterAnswer {
                self.waiting.insert(id);
            }
            let wake = follow.deadline(has_stream(id));
            if wake != follow.wake {
                self.agenda.extend(wake.map(|at| (at, id)));
                if let Some(before) = std::mem::replace(&mut follow.wake, wake) {
                    self.agenda.remove(&(before, id));
                }
            }
        }
    }

    /// When the next one is to be looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }
}
