//! Which episodes the engine seeds, and the tracker serves.

use std::sync::Arc;

use podswarm_core::app::Failure;
use podswarm_core::metainfo::{InfoHash, Metainfo};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{AddError, AddTorrent, Files, Torrent, TorrentError};

use super::{Host, blocking};
use crate::library::was_touched;
use crate::record::EpisodeRecord;

/// Why an episode is not seeded.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeedError {
    /// The engine did not take it.
    #[error(transparent)]
    Add(#[from] AddError),
    /// Its content is not as it was hashed.
    #[error(transparent)]
    Content(#[from] TorrentError),
}

impl Host {
    /// Seeds every episode that is out. What has to be checked first is checked in the background.
    pub(super) async fn seed_library(self: &Arc<Self>) {
        let site = Arc::clone(&self.site.borrow());
        for episode in site.shows.values().flat_map(|show| show.episodes.values()) {
            let record = &episode.record;
            let Some(torrent) = self.seed_episode(record).await else { continue };
            if was_touched(record) {
                self.tasks.spawn(Arc::clone(self).touched_task(record.clone(), torrent));
            }
        }
    }

    /// Seeds an episode of the library; what cannot be seeded is logged, and told by `status`.
    pub(super) async fn seed_episode(&self, episode: &EpisodeRecord) -> Option<Torrent> {
        let (library, record) = (self.library.clone(), episode.clone());
        let added = match blocking(move || library.metainfo(&record.show, &record.file)).await {
            Ok(metainfo) => self.add(episode, metainfo).await.map_err(Failure::from),
            Err(error) => Err(error.into()),
        };
        added.inspect_err(|error| tracing::error!(episode = episode.file, %error, "cannot be seeded")).ok()
    }

    /// Takes an original that was written to since it was published, but holds the same bytes, as it is now.
    async fn touched_task(self: Arc<Self>, episode: EpisodeRecord, torrent: Torrent) {
        let same = tokio::select! {
            () = self.stop.cancelled() => return,
            checked = torrent.wait_complete() => checked.is_ok(),
        };
        if !same {
            tracing::error!(episode = episode.file, "the original was changed; it is not served any more");
            return;
        }
        let _turn = self.turn.lock().await;
        let library = self.library.clone();
        let restamped = match blocking(move || library.restamp(&episode)).await {
            Ok(show) => self.show(show).await,
            Err(error) => Err(error),
        };
        if let Err(error) = restamped {
            tracing::error!(%error, "cannot note that an original was touched");
        }
    }

    /// Has the engine seed `episode` and the tracker serve it; done when it does.
    pub(super) async fn seed(&self, episode: &EpisodeRecord, metainfo: Metainfo) -> Result<(), SeedError> {
        let torrent = self.add(episode, metainfo).await?;
        Ok(torrent.wait_complete().await?)
    }

    async fn add(&self, episode: &EpisodeRecord, metainfo: Metainfo) -> Result<Torrent, AddError> {
        let torrent = AddTorrent {
            metainfo: Arc::new(metainfo),
            files: Files::Have(self.library.content(episode)),
            resume: self.library.resume(&episode.info_hash),
            reach: Reach::Any,
            // The tracker is our own, and knows.
            announce: false,
            peers: Vec::new(),
            seed_after: true,
        };
        let torrent = match self.engine.add(torrent).await {
            // The same content under the same name in two shows is one swarm.
            Ok(torrent) | Err(AddError::AlreadyAdded(torrent)) => torrent,
            Err(error) => return Err(error),
        };
        self.tracker.allow(episode.info_hash);
        Ok(torrent)
    }

    pub(super) async fn unseed(&self, info_hash: InfoHash) {
        self.tracker.forget(info_hash);
        if let Some(torrent) = self.engine.torrent(&info_hash) {
            torrent.remove().await;
        }
    }
}
