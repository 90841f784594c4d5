//! What the agent knows, as it is told to commands.

use podswarm_core::app::free_space;
use podswarm_core::net::{InterfaceStatus, ProxyStatus};
use podswarm_core::rate::{ByteCount, Rate};

use super::fetch;
use super::task::Task;
use crate::agent::Duty;
use crate::ask::{EpisodeView, FeedView, SeedTotals, StageName, Status};
use crate::records::{EpisodeId, Feed, Stage};

impl Task {
    /// How everything stands.
    pub(super) fn status(&self) -> Status {
        // One system call.
        let space = free_space(self.kit.library.root()).ok();
        let lives = self.kit.all_live();
        let seeds = lives.values().filter_map(fetch::seed_totals);
        let seeding = seeds.fold(SeedTotals::default(), |all, one| SeedTotals {
            torrents: all.torrents + one.torrents,
            peers: all.peers + one.peers,
            up_rate: Rate(all.up_rate.0 + one.up_rate.0),
            uploaded: all.uploaded + one.uploaded,
        });
        Status {
            pid: (self.agent.settings().duty != Duty::Answer).then(std::process::id),
            library: self.kit.library.root().to_owned(),
            free: space.map(|space| ByteCount(space.available)),
            reserve: space.map(|space| ByteCount(space.reserve())),
            feeds: self.feeds(),
            downloads: self.wanted(),
            seeding,
            enough: self.agent.settings().enough.to_string(),
            dht_nodes: self.kit.engine.as_ref().and_then(|engine| engine.status().dht_nodes),
            interface: InterfaceStatus::of(self.kit.route.bind.as_ref()),
            proxy: self.kit.route.proxy.as_ref().map(ProxyStatus::of),
            reached: self.kit.engine.as_ref().map(|engine| engine.status().reached),
        }
    }

    /// The episodes that are to be fetched, in the order in which they go; those that cannot be fetched come last.
    pub(super) fn wanted(&self) -> Vec<EpisodeView> {
        let queued: Vec<_> = self.agent.queue().jobs().into_iter().map(|(id, _)| id).collect();
        let wanted = self.agent.catalogue().episodes().filter(|episode| episode.is_wanted()).map(|episode| episode.id);
        let rest: Vec<_> = wanted.filter(|id| self.agent.queue().job(*id).is_none()).collect();
        queued.into_iter().chain(rest).filter_map(|id| self.view(id)).collect()
    }

    /// All feeds as they stand.
    pub(super) fn feeds(&self) -> Vec<FeedView> {
        self.agent.catalogue().feeds().map(|feed| self.feed_view(feed)).collect()
    }

    /// A feed as it stands.
    pub(super) fn feed_view(&self, feed: &Feed) -> FeedView {
        let episodes = || self.agent.catalogue().episodes_of(feed.id);
        FeedView {
            folder: (!feed.is_new()).then(|| self.kit.library.root().join(&feed.folder)),
            episodes: episodes().count(),
            wanted: episodes().filter(|episode| episode.is_wanted()).count(),
            complete: episodes().filter(|episode| matches!(episode.stage, Stage::Complete { .. })).count(),
            // Without an agent that goes on there is no next poll.
            next_poll: self.agent.next_poll(feed.id).filter(|_| self.agent.settings().duty == Duty::Everything),
            is_listening: self.agent.is_listening(feed.id),
            ..FeedView::new(feed)
        }
    }

    /// An episode as it stands.
    pub(super) fn view(&self, id: EpisodeId) -> Option<EpisodeView> {
        let episode = self.agent.catalogue().episode(id)?;
        let feed = self.agent.catalogue().feed(id.feed)?;
        let place = |file: &String| self.kit.library.root().join(file);
        let mut view = EpisodeView {
            path: episode.file.as_ref().map(place),
            former: episode.former.iter().map(place).collect(),
            trouble: self.agent.trouble(id),
            seeded: self.agent.enough(id),
            transfer: self.kit.live(id).map(|live| fetch::transfer(&live)),
            ..EpisodeView::new(episode, feed)
        };
        if view.stage == StageName::Wanted {
            let planned = self.agent.queue().job(id).and_then(|job| job.plan()?.length);
            view.length = planned.or(view.length);
        }
        Some(view)
    }
}
