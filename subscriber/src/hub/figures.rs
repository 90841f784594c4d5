//! What the agent tells those who watch over it.

use std::collections::BTreeMap;

use podswarm_core::app::free_space;
use podswarm_core::net::Engine;
use podswarm_core::time::Instant;
use podswarm_feeds::poll::Counts;

use super::task::Task;
use crate::agent::catalogue::Catalogue;
use crate::metrics::Figures;
use crate::records::{FeedId, Stage};

/// What was counted since the start, also of what is followed no longer.
#[derive(Debug)]
pub(super) struct Tally {
    /// What polling has cost.
    polls: Counts,
    /// What each feed said of that when it was last looked at.
    looked: BTreeMap<FeedId, Counts>,
    /// Episodes that were fetched.
    pub(super) fetched: u64,
}

impl Tally {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let looked = catalogue.feeds().map(|feed| (feed.id, feed.poll.counts)).collect();
        Self { polls: Counts::default(), looked, fetched: 0 }
    }

    /// Counts in what polling has cost since it was last looked at.
    pub(super) fn look(&mut self, catalogue: &Catalogue) {
        let before = std::mem::take(&mut self.looked);
        for feed in catalogue.feeds() {
            let (now, was) = (feed.poll.counts, before.get(&feed.id).copied().unwrap_or_default());
            let polls = &mut self.polls;
            polls.full += now.full.saturating_sub(was.full);
            polls.unchanged += now.unchanged.saturating_sub(was.unchanged);
            polls.failed += now.failed.saturating_sub(was.failed);
            polls.bytes += now.bytes.saturating_sub(was.bytes);
            polls.bytes_saved += now.bytes_saved.saturating_sub(was.bytes_saved);
            self.looked.insert(feed.id, now);
        }
    }
}

impl Task {
    /// All figures.
    pub(super) fn figures(&mut self) -> Figures {
        self.tally.look(self.agent.catalogue());
        let (agent, catalogue) = (&self.agent, self.agent.catalogue());
        let mut figures = Figures {
            polls: self.tally.polls,
            fetched: self.tally.fetched,
            library: catalogue.kept_bytes(),
            quota: agent.settings().limits.quota,
            rests: agent.rests().is_some(),
            moved: self.kit.moved(),
            up_time: (self.kit.now().instant - Instant::ZERO).as_secs(),
            is_healthy: self.store.health().trouble.is_none(),
            ..Figures::default()
        };
        for feed in catalogue.feeds() {
            let state = match (feed.paused, feed.poll.gone, &feed.poll.last_error) {
                (true, ..) => 2,
                (_, true, _) => 3,
                (.., Some(_)) => 1,
                _ => 0,
            };
            figures.feeds[state] += 1;
            figures.streams += u64::from(agent.is_listening(feed.id));
        }
        for episode in catalogue.episodes() {
            let state = match episode.stage {
                Stage::Complete { .. } => 0,
                Stage::Wanted { .. } => 1,
                Stage::Gone { .. } => 2,
                Stage::Seen { .. } => 3,
            };
            figures.episodes[state] += 1;
        }
        let (seeding, traffic, moving) = self.totals();
        (figures.seeding, figures.fetching) = (seeding.torrents as u64, moving.saturating_sub(seeding.torrents) as u64);
        (figures.rates, figures.peers) = ([traffic.down_rate.0, traffic.up_rate.0], traffic.peers.into());
        let engine = self.kit.engine().map(Engine::status);
        figures.dht_nodes = engine.and_then(|status| status.dht_nodes).map(|nodes| nodes as u64);
        if let Ok(space) = free_space(self.kit.library.root()) {
            figures.disk = [Some(space.available), Some(agent.settings().limits.leave_free.unwrap_or(space.reserve()))];
        }
        for hook in agent.hooks() {
            figures.hooks[0] += hook.waiting as u64;
            figures.hooks[1] += hook.failed;
        }
        figures
    }
}
