//! What the agent knows, as it is told to commands.

use std::cmp::Reverse;

use podswarm_core::app::{Failure, free_space};
use podswarm_core::net::{Engine, InterfaceStatus, ProxyStatus};
use podswarm_core::rate::{ByteCount, Rate};
use podswarm_core::swarm::{SwarmDetail, WebSeedStatus};
use podswarm_core::tracker::TrackerStatus;

use super::kit::Live;
use super::task::Task;
use super::{fetch, find};
use crate::agent::Duty;
use crate::ask::{
    EpisodeView, FeedView, Look, Reply, SeedTotals, StageName, Status, TrackerView, Traffic, WebSeedView,
};
use crate::records::{EpisodeId, Feed, Stage};

impl Task {
    /// How everything stands.
    pub(super) fn status(&self) -> Status {
        // One system call.
        let space = free_space(self.kit.library.root()).ok();
        let (seeding, traffic, _) = self.totals();
        Status {
            pid: (self.agent.settings().duty != Duty::Answer).then(std::process::id),
            library: self.kit.library.root().to_owned(),
            free: space.map(|space| ByteCount(space.available)),
            reserve: space.map(|space| ByteCount(self.agent.settings().limits.leave_free.unwrap_or(space.reserve()))),
            kept: ByteCount(self.agent.catalogue().kept_bytes()),
            quota: self.agent.settings().limits.quota.map(ByteCount),
            feeds: self.feeds(),
            downloads: self.wanted(),
            seeding,
            traffic,
            limits: self.kit.engine().map(Engine::limits),
            enough: self.agent.settings().enough.to_string(),
            rests: self.agent.rests().map(str::to_owned),
            dht_nodes: self.kit.engine().and_then(|engine| engine.status().dht_nodes),
            blocklist: self.kit.engine().and_then(|engine| engine.status().blocklist),
            interface: InterfaceStatus::of(self.kit.route.bind.as_ref()),
            proxy: self.kit.route.proxy.as_ref().map(ProxyStatus::of),
            reached: self.kit.engine().map(|engine| engine.status().reached),
            hooks: self.agent.hooks(),
            rules: self.agent.settings().rules.without_secrets(),
            swarms: Some(self.agent.swarms(None)),
        }
    }

    /// What is seeded and what comes in and goes out, all together, and how many episodes that is about.
    pub(super) fn totals(&self) -> (SeedTotals, Traffic, usize) {
        let lives = self.kit.all_live();
        let seeds = lives.values().filter_map(fetch::seed_totals);
        let seeding = seeds.fold(SeedTotals::default(), |all, one| SeedTotals {
            torrents: all.torrents + one.torrents,
            peers: all.peers + one.peers,
            up_rate: Rate(all.up_rate.0 + one.up_rate.0),
            uploaded: all.uploaded + one.uploaded,
        });
        let traffic = lives.values().map(fetch::transfer).fold(Traffic::default(), |all, one| Traffic {
            down_rate: Rate(all.down_rate.0 + one.down_rate.0),
            up_rate: Rate(all.up_rate.0 + one.up_rate.0),
            peers: all.peers + one.peers.unwrap_or(0),
        });
        (seeding, traffic, lives.len())
    }

    /// The episodes that are to be fetched, in the order in which they go; those that cannot be fetched come last.
    pub(super) fn wanted(&self) -> Vec<EpisodeView> {
        let queued: Vec<_> = self.agent.queue().jobs().into_iter().map(|(id, _)| id).collect();
        let wanted = self.agent.catalogue().episodes().filter(|episode| episode.is_wanted()).map(|episode| episode.id);
        let rest: Vec<_> = wanted.filter(|id| self.agent.queue().job(*id).is_none()).collect();
        queued.into_iter().chain(rest).filter_map(|id| self.view(id)).collect()
    }

    /// What is fetched or to be fetched, in order, then what is seeded, the fastest first; so many at most.
    pub(super) fn moving(&self, most: usize) -> Vec<EpisodeView> {
        let is_seeded =
            |id: &EpisodeId| self.agent.catalogue().episode(*id).is_some_and(|episode| !episode.is_wanted());
        let speed = |live: &Live| {
            let transfer = fetch::transfer(live);
            (transfer.up_rate, transfer.peers, transfer.uploaded)
        };
        let lives = self.kit.all_live();
        let seeds = lives.iter().filter(|(id, _)| is_seeded(id)).map(|(id, live)| (speed(live), *id));
        let mut seeds: Vec<_> = seeds.collect();
        seeds.sort_unstable_by_key(|seed| Reverse(*seed));
        let wanted = self.wanted();
        let room = most.saturating_sub(wanted.len());
        wanted.into_iter().take(most).chain(seeds.into_iter().take(room).filter_map(|(_, id)| self.view(id))).collect()
    }

    /// What came into the library last, the newest first; so many at most.
    pub(super) fn recent(&self, most: usize) -> Vec<EpisodeView> {
        let came = self.agent.catalogue().episodes().filter_map(|episode| match episode.stage {
            Stage::Complete { at, .. } | Stage::Gone { at, .. } => Some((at, episode.id)),
            Stage::Seen { .. } | Stage::Wanted { .. } => None,
        });
        let mut came: Vec<_> = came.collect();
        came.sort_unstable_by_key(|one| Reverse(*one));
        came.into_iter().take(most).filter_map(|(_, id)| self.view(id)).collect()
    }

    /// Looks closely at an episode, beside everything else.
    pub(super) fn look(&self, name: &str) -> Result<impl Future<Output = Reply> + use<>, Failure> {
        let id = find::episode(self.agent.catalogue(), name)?;
        let episode = self.view(id).ok_or_else(|| Failure::new("the episode has gone"))?;
        let torrent = match self.kit.live(id) {
            Some(Live::Torrent(torrent)) => Some(torrent),
            Some(Live::Http(_)) | None => None,
        };
        Ok(async move {
            let mut look = Look { episode, swarm: SwarmDetail::default(), trackers: Vec::new(), web_seeds: Vec::new() };
            if let Some(torrent) = torrent {
                let status = torrent.status();
                look.swarm = torrent.look().await;
                look.trackers = status.trackers.into_iter().map(tracker).collect();
                look.web_seeds = status.web_seeds.into_iter().map(web_seed).collect();
            }
            Reply::Look(Box::new(look))
        })
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
            complete: episodes().filter(|episode| episode.is_there()).count(),
            // Without an agent that goes on there is no next poll.
            next_poll: self.agent.next_poll(feed.id).filter(|_| self.agent.settings().duty == Duty::Everything),
            is_listening: self.agent.is_listening(feed.id),
            hub: self.agent.hub_state(feed.id, self.kit.now().wall),
            cover: self.kept_cover(feed.id).map(|(name, _)| name),
            swarms: Some(self.agent.swarms(Some(feed.id))).filter(|swarms| !swarms.takes_part),
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
        if let Some(why) = self.agent.reason_since(episode, self.kit.now().wall) {
            view.why = Some(why);
        }
        if view.stage == StageName::Wanted {
            let planned = self.agent.queue().job(id).and_then(|job| job.plan()?.length);
            view.length = planned.or(view.length);
            view.why = self.agent.unfetchable(episode);
        }
        Some(view)
    }
}

fn tracker(status: TrackerStatus) -> TrackerView {
    let TrackerStatus { url, last_error: error, complete, incomplete, .. } = status;
    TrackerView { url, error, complete, incomplete }
}

fn web_seed(status: WebSeedStatus) -> WebSeedView {
    let WebSeedStatus { url, downloaded, rate, error, .. } = status;
    WebSeedView { url, downloaded, rate, error }
}
