//! Writes what is known of episodes into their files: a copy beside each, which then takes its place.

use std::path::Path;
use std::sync::Arc;

use podswarm_core::app::free_space;
use podswarm_core::rate::ByteCount;
use podswarm_core::store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::extras::cover;
use super::fetch::{let_go, outstanding};
use super::kit::Kit;
use crate::agent::{Input, Tag, TagOutcome};
use crate::dot_torrent::sentence;
use crate::keep;
use crate::library::{Library, tagged_copy};
use crate::records::EpisodeId;
use crate::tags::{Cover, TagError, Tags, write_copy};
use crate::view::plain_text;

/// What tags take at most, the cover left out.
const MOST_TAGS: u64 = 64 << 10;

/// Makes the copy, when what ran for the episode has let go of its file, and tells the agent what came of it.
pub(super) async fn copy(
    kit: Arc<Kit>,
    store: Store,
    order: Tag,
    cancel: CancellationToken,
    before: Option<JoinHandle<()>>,
) {
    let_go(before).await;
    let Tag { id, file, print, mut tags, cover, is_local } = order;
    let notes = tokio::task::spawn_blocking(move || keep::notes(&store, id)).await;
    let notes = notes.ok().and_then(Result::ok).flatten();
    tags.notes = notes.as_ref().map(|notes| plain_text(&notes.text)).unwrap_or_default();
    let own = notes.and_then(|notes| notes.image);
    let cover = cancel.run_until_cancelled(first_cover(&kit, [own, cover], is_local)).await;
    let outcome = match cover {
        None => TagOutcome::Dropped,
        Some(cover) => {
            let (library, room) = (kit.library.clone(), Room::beside(&kit));
            let work = move || {
                let outcome = make_copy(&library, &file, print, &tags, cover.as_deref(), room);
                let is_copied = matches!(outcome, TagOutcome::Copied { .. });
                if cancel.is_cancelled() || !is_copied {
                    library.delete_copy(&file);
                }
                if cancel.is_cancelled() { TagOutcome::Dropped } else { outcome }
            };
            blocking(work).await
        }
    };
    kit.tell(Input::Tagged { id, outcome }).await;
}

/// Lets the copy take the file's place, and tells the agent what came of it.
pub(super) async fn put(
    kit: Arc<Kit>,
    id: EpisodeId,
    file: String,
    print: u64,
    copy: u64,
    before: Option<JoinHandle<()>>,
) {
    let_go(before).await;
    let library = kit.library.clone();
    let outcome = blocking(move || {
        let put = library.put_copy(&file, print, copy);
        let outcome = put.unwrap_or_else(|error| missing_or(&library, &file, &error));
        // What the disk refuses now is put there later.
        if !matches!(outcome, TagOutcome::Failed(_)) {
            library.delete_copy(&file);
        }
        outcome
    });
    kit.tell(Input::Tagged { id, outcome: outcome.await }).await;
}

async fn blocking(work: impl FnOnce() -> TagOutcome + Send + 'static) -> TagOutcome {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| TagOutcome::Failed(error.to_string()))
}

/// What the disk has to have room for beside the copy.
#[derive(Clone, Copy)]
pub(super) struct Room {
    leave_free: Option<u64>,
    /// What downloads are yet to write.
    others: u64,
}

impl Room {
    /// What `kit` has to leave room for now.
    pub(super) fn beside(kit: &Kit) -> Self {
        Self { leave_free: kit.leave_free, others: kit.all_live().values().map(outstanding).sum() }
    }

    /// Why `what`, of so many bytes more, is too much; `None` if it is not.
    pub(super) fn refusal(self, folder: &Path, what: &str, bytes: u64) -> Option<String> {
        let space = match free_space(folder) {
            Ok(space) => space,
            Err(error) => return Some(format!("the disk cannot be measured: {error}")),
        };
        let reserve = self.leave_free.unwrap_or(space.reserve());
        let is_room = bytes <= space.available.saturating_sub(reserve).saturating_sub(self.others);
        let [bytes, available, reserve] = [bytes, space.available, reserve].map(ByteCount);
        (!is_room).then(|| format!("{what} needs {bytes}; the disk has {available} free, of which {reserve} are kept"))
    }
}

fn make_copy(library: &Library, file: &str, print: u64, tags: &Tags, cover: Option<&Cover>, room: Room) -> TagOutcome {
    let looks = |file: &str| library.print(file).and_then(|now| Ok((now, library.path(file)?)));
    let path = match looks(file) {
        Ok((now, path)) if now == print => path,
        Ok(_) => return TagOutcome::Changed,
        Err(error) => return missing_or(library, file, &error),
    };
    let length = match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return TagOutcome::Unfit("it is a folder".to_owned()),
        Err(error) => return missing_or(library, file, &error),
    };
    let needs = length + cover.map_or(0, |cover| cover.bytes().len() as u64) + MOST_TAGS;
    if let Some(reason) = room.refusal(library.root(), "a copy", needs) {
        return TagOutcome::Failed(reason);
    }
    let copy = tagged_copy(&path);
    match write_copy(&path, &copy, tags, cover) {
        Ok(()) => {}
        Err(TagError::Unfit(reason)) => return TagOutcome::Unfit(reason),
        Err(error @ TagError::Disk(_)) => return TagOutcome::Failed(sentence(error)),
    }
    match (library.print(file), library.print_of_copy(file)) {
        (Ok(now), Ok(copy)) if now == print => TagOutcome::Copied { print: copy },
        (Ok(_), Ok(_)) => TagOutcome::Changed,
        (Err(error), _) | (_, Err(error)) => missing_or(library, file, &error),
    }
}

/// What an error at a file means: that it was taken away, or that the disk refuses.
fn missing_or(library: &Library, file: &str, error: &std::io::Error) -> TagOutcome {
    if error.kind() == std::io::ErrorKind::NotFound && library.has_folder_of(file) {
        TagOutcome::Missing
    } else {
        TagOutcome::Failed(format!("`{file}`: {error}"))
    }
}

/// The first of these covers that can be had. A file without one is still a file with tags.
async fn first_cover(kit: &Kit, urls: [Option<String>; 2], is_local: bool) -> Option<Arc<Cover>> {
    for url in urls.into_iter().flatten() {
        match cover(kit, &url, is_local, false).await {
            Ok(cover) => return Some(cover),
            Err(reason) => tracing::warn!(url, reason, "a cover cannot be had"),
        }
    }
    None
}
