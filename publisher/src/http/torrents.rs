//! The `.torrent` files, made for each of the few that are asked for just now.
//!
//! The library keeps metainfo bare; tracker and web seed are added here, under the public URL that holds. A release is
//! asked for by everybody at once, so the last ones made are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use podswarm_core::metainfo::Metainfo;
use podswarm_feeds::write::TORRENT_MIME;

use super::resource::Resource;
use crate::library::{Library, LibraryError};
use crate::record::EpisodeRecord;
use crate::render::feed;
use crate::urls::Urls;

/// How many torrents are kept.
const KEPT: usize = 8;

/// An episode's torrent: what it says, and how it is served.
#[derive(Debug)]
pub(crate) struct ServedTorrent {
    /// What it says, without tracker and web seed.
    pub(crate) metainfo: Metainfo,
    /// The file.
    pub(crate) resource: Resource,
}

/// Makes torrents and keeps the latest.
pub(crate) struct Torrents {
    library: Library,
    urls: Arc<Urls>,
    /// Most recently used last, each with its show and file.
    kept: Mutex<VecDeque<(String, Arc<ServedTorrent>)>>,
}

impl Torrents {
    /// Makes torrents of what is in `library`.
    pub(crate) fn new(library: Library, urls: Arc<Urls>) -> Self {
        Self { library, urls, kept: Mutex::default() }
    }

    /// The torrent of an episode.
    pub(crate) async fn of(&self, episode: &EpisodeRecord) -> Result<Arc<ServedTorrent>, LibraryError> {
        let key = format!("{}/{}", episode.show, episode.file);
        if let Some(kept) = self.recall(&key) {
            return Ok(kept);
        }
        let (library, urls, episode) = (self.library.clone(), Arc::clone(&self.urls), episode.clone());
        let made = tokio::task::spawn_blocking(move || {
            let metainfo = library.metainfo(&episode.show, &episode.file)?;
            let bytes = feed::torrent(&episode, metainfo.clone(), &urls.of(episode.is_private));
            // The address may get other trackers one day, so it is not kept for ever.
            let resource = Resource::new(bytes, TORRENT_MIME, "public, max-age=300");
            Ok::<_, LibraryError>(Arc::new(ServedTorrent { metainfo, resource }))
        });
        let made = made.await.expect("making a torrent does not panic")?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&made)));
        Ok(made)
    }

    fn recall(&self, key: &str) -> Option<Arc<ServedTorrent>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(there, _)| there == key)?;
        let found = kept.remove(at)?;
        let torrent = Arc::clone(&found.1);
        kept.push_back(found);
        Some(torrent)
    }
}
