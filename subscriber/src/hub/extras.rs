//! Fetches covers of shows and chapters of episodes, to be kept, and hands them out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use podswarm_feeds::chapters::{self, Chapter};
use podswarm_feeds::write::CHAPTERS_MIME;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use super::kit::Kit;
use super::tags::Room;
use super::task::Task;
use crate::address::reach_of_links;
use crate::agent::catalogue::Catalogue;
use crate::agent::{Extra, Input, PutPicture};
use crate::dot_torrent::sentence;
use crate::extras::{ExtraKind, Extras};
use crate::keep;
use crate::records::{EpisodeId, FeedId};
use crate::tags::{Cover, LARGEST_COVER};

/// The folder of the data directory that they are kept in.
const FOLDER: &str = "extras";
/// Each has to come within this time.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The largest file of chapters.
const LARGEST_CHAPTERS: u64 = 1 << 20;

/// What is kept in the data directory `dir`, without what nothing of the catalogue names any more.
pub(super) fn open(dir: &Path, catalogue: &Catalogue) -> Extras {
    let extras = Extras::open(dir.join(FOLDER));
    let covers = catalogue.feeds().filter_map(|feed| feed.image.as_deref());
    let whole = catalogue.episodes().filter(|episode| episode.is_there());
    extras.sweep(covers.chain(whole.filter_map(|episode| episode.chapters.as_deref())));
    extras
}

/// Fetches what is at `url`, keeps it, and tells the agent.
pub(super) async fn gather(kit: Arc<Kit>, extra: Extra, url: String, is_local: bool) {
    let fetched = match extra {
        Extra::Cover(_) => {
            let is_again = kit.extras.get(&url).is_some();
            cover(&kit, &url, is_local, is_again).await.map(|cover| (cover.kind(), cover.bytes().to_vec()))
        }
        Extra::Chapters(_) => fetch_chapters(&kit, &url, is_local).await.map(|bytes| (ExtraKind::Chapters, bytes)),
    };
    let (room, keeper) = (Room::beside(&kit), Arc::clone(&kit));
    let kept = tokio::task::spawn_blocking(move || {
        let put = fetched.and_then(|(kind, bytes)| {
            let what = if kind == ExtraKind::Chapters { "a file of chapters" } else { "a cover" };
            match room.refusal(keeper.dir.path(), what, bytes.len() as u64) {
                Some(reason) => Err(reason),
                None => keeper.extras.put(&url, kind, &bytes).map_err(sentence),
            }
        });
        if let Err(reason) = put {
            tracing::warn!(url, reason, "it is not kept here");
            // It is asked for once more after a restart, which is no harm.
            let _ = keeper.extras.fail(&url);
        }
        keeper.extras.get(&url).map(|kept| kept.name)
    });
    // Whatever broke down, the agent goes on.
    let name = kept.await.ok().flatten();
    kit.tell(Input::Gathered { extra, name }).await;
}

/// Puts a cover that is kept into a show's folder, and tells the agent.
pub(super) async fn put_picture(kit: Arc<Kit>, order: PutPicture) {
    let (room, keeper, feed) = (Room::beside(&kit), Arc::clone(&kit), order.feed);
    let put = tokio::task::spawn_blocking(move || {
        let PutPicture { folder, url, name, ours, .. } = order;
        let kept = keeper.extras.get(&url).filter(|kept| kept.name == name);
        let kept = kept.ok_or_else(|| "the cover is kept no longer".to_owned())?;
        let bytes = std::fs::read(kept.path).map_err(sentence)?;
        if let Some(reason) = room.refusal(keeper.library.root(), "a cover", bytes.len() as u64) {
            return Err(reason);
        }
        keeper.library.put_picture(&folder, &name, &bytes, &ours).map_err(sentence)
    });
    pictured(&kit, feed, put.await).await;
}

/// Deletes what is ours of the pictures in a show's folder, and tells the agent.
pub(super) async fn take_picture(kit: Arc<Kit>, feed: FeedId, folder: String, ours: Vec<String>) {
    let library = kit.library.clone();
    let taken = tokio::task::spawn_blocking(move || {
        library.take_picture(&folder, &ours).map(|()| Vec::new()).map_err(sentence)
    });
    pictured(&kit, feed, taken.await).await;
}

async fn pictured(kit: &Kit, feed: FeedId, outcome: Result<Result<Vec<String>, String>, JoinError>) {
    let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
    let left = outcome.inspect_err(|reason| tracing::warn!(%feed, reason, "the picture in its folder stays as it is"));
    kit.tell(Input::Pictured { feed, left: left.ok() }).await;
}

/// The cover at `url`, from its host if it is not kept or is to be fetched again. The last one is remembered: a show's
/// episodes have one more often than not.
pub(super) async fn cover(kit: &Kit, url: &str, is_local: bool, is_again: bool) -> Result<Arc<Cover>, String> {
    let mut last = kit.last_cover.lock().await;
    if let Some((_, cover)) = last.as_ref().filter(|(known, _)| known == url && !is_again) {
        return Ok(Arc::clone(cover));
    }
    let kept = match kit.extras.get(url).filter(|_| !is_again) {
        Some(extra) => tokio::fs::read(extra.path).await.ok().and_then(|bytes| Cover::from_bytes(&bytes)),
        None => None,
    };
    let cover = if let Some(cover) = kept {
        cover
    } else {
        let bytes = fetch(kit, url, is_local, "image/jpeg, image/png", LARGEST_COVER).await?;
        Cover::from_bytes(&bytes).ok_or("it is neither JPEG nor PNG of at most 8192 by 8192 pixels")?
    };
    Ok(Arc::clone(&last.insert((url.to_owned(), Arc::new(cover))).1))
}

/// The chapters at `url`, looked into.
async fn fetch_chapters(kit: &Kit, url: &str, is_local: bool) -> Result<Vec<u8>, String> {
    let accept = format!("{CHAPTERS_MIME}, application/json");
    let bytes = fetch(kit, url, is_local, &accept, LARGEST_CHAPTERS).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned())?;
    chapters::read_json(text).map_err(sentence)?;
    Ok(bytes)
}

async fn fetch(kit: &Kit, url: &str, is_local: bool, accept: &str, most: u64) -> Result<Vec<u8>, String> {
    let http = kit.http(reach_of_links(is_local));
    let fetched = http.get_limited(url, &[("accept", accept)], most, TIMEOUT).await.map_err(sentence)?;
    if fetched.status == 200 {
        return Ok(fetched.body.into());
    }
    Err(format!("its host answers with status {}", fetched.status))
}

impl Task {
    /// Hands out the chapters of an episode.
    pub(super) fn chapters(&self, id: EpisodeId, reply: oneshot::Sender<String>) {
        let reading = self.reading_chapters(id);
        tokio::task::spawn_blocking(move || {
            if let Some(text) = reading() {
                // Who has gone needs no answer.
                let _ = reply.send(text);
            }
        });
    }

    /// What reads the chapters of an episode, which blocks: those that are kept, else those that its item has in
    /// itself.
    pub(super) fn reading_chapters(&self, id: EpisodeId) -> impl FnOnce() -> Option<String> + Send + use<> {
        let (kept, store) = (self.kept_chapters(id), self.store.clone());
        move || {
            let text = kept.and_then(|path| std::fs::read_to_string(path).ok());
            text.or_else(|| {
                let parts: Vec<Chapter> = keep::notes(&store, id).ok().flatten()?.parts;
                (!parts.is_empty()).then(|| chapters::to_json(&parts))
            })
        }
    }

    /// The file with the chapters that an episode's feed links to.
    pub(super) fn kept_chapters(&self, id: EpisodeId) -> Option<PathBuf> {
        let url = self.agent.catalogue().episode(id)?.chapters.as_deref()?;
        self.kit.extras.get(url).filter(|extra| extra.kind == ExtraKind::Chapters).map(|extra| extra.path)
    }

    /// Hands out the file with a show's cover.
    pub(super) fn cover(&self, feed: FeedId, reply: oneshot::Sender<PathBuf>) {
        if let Some((_, path)) = self.kept_cover(feed) {
            // Who has gone needs no answer.
            let _ = reply.send(path);
        }
    }

    /// Name and file of a show's cover.
    pub(super) fn kept_cover(&self, feed: FeedId) -> Option<(String, PathBuf)> {
        let url = self.agent.catalogue().feed(feed)?.image.as_deref()?;
        let extra = self.kit.extras.get(url).filter(|extra| extra.kind != ExtraKind::Chapters)?;
        Some((extra.name, extra.path))
    }
}
