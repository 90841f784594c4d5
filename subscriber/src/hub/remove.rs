//! Follows feeds no longer, and deletes what was theirs.

use std::path::PathBuf;

use podswarm_core::app::{Explain, Failure};
use podswarm_core::metainfo::InfoHash;

use super::find;
use super::task::{Task, Work};
use crate::agent::Input;
use crate::ask::{Removed, Reply};
use crate::library::Library;
use crate::records::{Episode, Stage};

impl Task {
    /// Takes the feeds that `names` mean out of the agent; the work that comes back deletes what was theirs.
    pub(super) fn remove(
        &mut self,
        names: &[String],
        delete_files: bool,
    ) -> Result<impl Future<Output = Result<Reply, Failure>> + use<>, Failure> {
        let ids: Result<Vec<_>, _> = names.iter().map(|name| find::feed(self.agent.catalogue(), name)).collect();
        let mut removals = Vec::new();
        for id in ids? {
            let Some(feed) = self.agent.catalogue().feed(id) else { continue };
            let removed = Removed {
                id,
                title: feed.name().to_owned(),
                folder: self.kit.library.root().join(&feed.folder),
                files: 0,
                is_deleted: false,
            };
            let picture = (feed.folder.clone(), feed.pictures.clone());
            let (files, parts, hashes, works) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut removal = Removal { removed, files, parts, picture, hashes, works };
            for episode in self.agent.catalogue().episodes_of(id).filter(|episode| episode.is_taken()) {
                removal.take(episode);
            }
            let episodes: Vec<_> = self.agent.catalogue().episodes_of(id).map(|episode| episode.id).collect();
            self.input(Input::Remove(id));
            removal.works = episodes.into_iter().filter_map(|id| self.take_work(id)).collect();
            removals.push(removal);
        }
        let hashes = removals.iter().flat_map(|removal: &Removal| removal.hashes.clone());
        let copies = hashes.flat_map(|hash| [self.kit.torrent_file(hash), self.kit.resume_file(hash)]).collect();
        Ok(delete(self.kit.library.clone(), removals, copies, delete_files))
    }
}

/// A feed that is removed, until its files are let go of.
struct Removal {
    removed: Removed,
    /// Finished files.
    files: Vec<String>,
    /// Files that are not finished.
    parts: Vec<String>,
    /// The show's folder, and what is ours of the pictures in it.
    picture: (String, Vec<String>),
    hashes: Vec<InfoHash>,
    works: Vec<Work>,
}

impl Removal {
    fn take(&mut self, episode: &Episode) {
        self.files.extend(episode.former.iter().cloned());
        self.hashes.extend(episode.info_hash());
        match episode.stage {
            Stage::Complete { .. } => self.files.extend(episode.file.clone()),
            Stage::Gone { .. } | Stage::Seen { .. } | Stage::Wanted { .. } => self.parts.extend(episode.file.clone()),
        }
        self.removed.files = self.files.len();
    }
}

/// Deletes what nobody needs any more, and the files if that is wanted.
async fn delete(
    library: Library,
    removals: Vec<Removal>,
    copies: Vec<PathBuf>,
    delete_files: bool,
) -> Result<Reply, Failure> {
    let mut all = Vec::new();
    for removal in removals {
        for work in removal.works {
            // One that broke down has let go, too.
            let _ = work.handle.await;
        }
        all.push((removal.removed, removal.files, removal.parts, removal.picture));
    }
    tokio::task::spawn_blocking(move || {
        for copy in copies {
            // What is not there or stays does no harm: it is found again by its hash only.
            let _ = std::fs::remove_file(copy);
        }
        let mut removed = Vec::new();
        for (mut one, files, parts, (folder, pictures)) in all {
            for part in parts {
                library.delete_parts(&part).explain(|| format!("delete what is unfinished of `{part}`"))?;
            }
            if delete_files {
                for file in files {
                    library.delete(&file).explain(|| format!("delete `{file}` from the library"))?;
                }
                if !pictures.is_empty() {
                    library.take_picture(&folder, &pictures).explain(|| format!("delete the cover in `{folder}`"))?;
                }
                one.is_deleted = true;
            }
            removed.push(one);
        }
        Ok(Reply::Removed(removed))
    })
    .await?
}
