//! Which episodes the engine seeds, and the tracker serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use podswarm_core::app::Failure;
use podswarm_core::metainfo::{InfoHash, Metainfo};
use podswarm_core::net::create::{Cancelled, Watch, verify};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{AddError, AddTorrent, Conduct, Discovery, Files, Torrent, TorrentError};

use super::{Host, blocking};
use crate::library::LibraryError;
use crate::record::{EpisodeRecord, ShowRecord};
use crate::site::EpisodeSite;

/// How a show of which nothing is said is treated.
const OWN: Conduct = ShowRecord::conduct_of(None, Discovery::ALL);

/// Why an episode is not seeded.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeedError {
    /// The engine did not take it.
    #[error(transparent)]
    Add(#[from] AddError),
    /// Its content is not as it was hashed.
    #[error(transparent)]
    Content(#[from] TorrentError),
    /// Its show cannot be read.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

/// Why an episode's content is not seeded after it was checked.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    /// The library's own torrent.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The host stops.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// It is gone, or somebody wrote to it.
    #[error("`{}` is not what was published: {good} of {pieces} pieces match", content.display())]
    Changed {
        /// Where it lies.
        content: PathBuf,
        /// Pieces that match.
        good: u32,
        /// All pieces.
        pieces: u32,
    },
}

impl Host {
    /// Seeds every episode that is out. What has to be checked first is checked in the background.
    pub(super) async fn seed_library(&self) {
        for episode in self.episodes() {
            self.seed_episode(&episode.record).await;
        }
    }

    /// The episodes that are out.
    pub(super) fn episodes(&self) -> Vec<Arc<EpisodeSite>> {
        let site = self.site.borrow();
        site.all().flat_map(|show| show.episodes.values().cloned()).collect()
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

    /// Checks an episode's content from the first byte on, and seeds it if it is what was published. Tells whether.
    pub(super) async fn reseed(&self, episode: &EpisodeRecord) -> bool {
        self.unseed(episode.info_hash).await;
        let checked = self.check(episode).await;
        let seeded = match checked {
            // What the engine knew of the content is out of date; it takes it from us now as it is.
            Ok(()) => {
                let _ = tokio::fs::remove_file(self.library.resume(&episode.info_hash)).await;
                self.seed_episode(episode).await.is_some()
            }
            Err(ContentError::Cancelled(_)) => return false,
            Err(error) => {
                let what = Failure::from(error).to_string();
                tracing::error!(episode = episode.file, what, "what was published is not there any more");
                self.tracker.lose_seed(episode.info_hash);
                self.faults().insert(episode.info_hash, what);
                return false;
            }
        };
        self.faults().remove(&episode.info_hash);
        seeded
    }

    async fn check(&self, episode: &EpisodeRecord) -> Result<(), ContentError> {
        let (library, record) = (self.library.clone(), episode.clone());
        let cancel = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&cancel);
        let checking = blocking(move || {
            let (metainfo, content) = (library.metainfo(&record.show, &record.file)?, library.content(&record));
            let verified = verify(&metainfo, &content, Watch { progress: None, cancel: Some(&cancelled) })?;
            let (good, pieces) = (verified.good.count(), verified.good.len());
            if verified.is_complete() { Ok(()) } else { Err(ContentError::Changed { content, good, pieces }) }
        });
        tokio::pin!(checking);
        tokio::select! {
            checked = &mut checking => checked,
            () = self.stop.cancelled() => {
                cancel.store(true, Ordering::Relaxed);
                checking.await
            }
        }
    }

    /// Has an original checked that was written to since it was published. If it holds the same bytes it is served on
    /// as it is now; else it is served no more.
    pub(super) async fn check_again(&self, episode: &EpisodeRecord) {
        if !self.reseed(episode).await {
            return;
        }
        let _turn = self.turn.lock().await;
        let (library, episode) = (self.library.clone(), episode.clone());
        let show = episode.show.clone();
        let restamped = match blocking(move || library.restamp(&episode)).await {
            Ok(()) => self.show(&show).await,
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

    async fn add(&self, episode: &EpisodeRecord, metainfo: Metainfo) -> Result<Torrent, SeedError> {
        let (library, show) = (self.library.clone(), episode.show.clone());
        // A show that is made with its first episode is there after that.
        let show = blocking(move || library.store().get::<ShowRecord>(show.as_str())).await;
        let conduct = show.map_err(LibraryError::from)?.map_or(OWN, |show| show.conduct());
        let torrent = AddTorrent {
            metainfo: Arc::new(metainfo),
            files: Files::Have(self.library.content(episode)),
            choice: None,
            resume: self.library.resume(&episode.info_hash),
            reach: Reach::Any,
            conduct,
            peers: Vec::new(),
            web_seeds: Vec::new(),
            seed_after: true,
            in_order: false,
        };
        let torrent = match self.engine.add(torrent).await {
            // The same content under the same name in two shows is one swarm.
            Ok(torrent) | Err(AddError::AlreadyAdded(torrent)) => torrent,
            Err(error) => return Err(error.into()),
        };
        if episode.is_private {
            self.tracker.keep_private(episode.info_hash, &episode.show);
        }
        self.tracker.allow(episode.info_hash);
        Ok(torrent)
    }

    /// Has the engine treat a show's episodes as the show has it now.
    pub(super) async fn treat(&self, show: &ShowRecord) -> Result<(), LibraryError> {
        for episode in self.library.episodes(&show.slug)? {
            if let Some(torrent) = self.engine.torrent(&episode.info_hash) {
                torrent.treat(show.conduct()).await;
            }
        }
        Ok(())
    }

    pub(super) async fn unseed(&self, info_hash: InfoHash) {
        self.tracker.forget(info_hash);
        if let Some(torrent) = self.engine.torrent(&info_hash) {
            torrent.remove().await;
        }
    }
}
