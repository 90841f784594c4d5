//! What is being published, until it is.
//!
//! A publish works in a folder of its own under `staging/`. Just before it moves things to where they are served from,
//! it writes down there what it is about to place; so whoever finds the folder after a crash can tell a publish that
//! was promised (its record is stored) from one that never happened (its files go).
//!
//! Law: nothing is removed that a record names, and nothing that a publish did not place itself.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use podswarm_core::app::{sync_folder_of, write_atomic};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::library::{Library, LibraryError};
use crate::record::EpisodeRecord;
use crate::slug::Slug;

/// The name of the note in a staging folder.
const PLAN: &str = "plan.json";

/// A staging folder. Dropped before [`Staging::finish`], it takes back all that was placed.
#[derive(Debug)]
pub(crate) struct Staging {
    root: PathBuf,
    folder: PathBuf,
    plan: Option<Plan>,
}

/// What a publish is about to place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The show.
    pub(crate) show: Slug,
    /// The episode's file name, by which its record is found.
    pub(crate) file: String,
    /// What will be there that was not, below the data directory.
    pub(crate) places: Vec<PathBuf>,
}

impl Staging {
    /// Makes a new staging folder.
    pub(crate) fn new(library: &Library) -> Result<Self, LibraryError> {
        let folder = library.staging().join(Uuid::new_v4().to_string());
        fs::create_dir(&folder).map_err(|source| LibraryError::Io { action: "make", path: folder.clone(), source })?;
        Ok(Self { root: library.root().to_owned(), folder, plan: None })
    }

    /// The path of something in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Notes what is about to be placed, on disk.
    pub(crate) fn plan(&mut self, plan: Plan) -> Result<(), LibraryError> {
        let path = self.path(PLAN);
        let json = serde_json::to_vec(&plan).expect("a plan has a JSON form");
        write_atomic(&path, &json, 0o644).map_err(|source| LibraryError::Io { action: "write", path, source })?;
        self.plan = Some(plan);
        Ok(())
    }

    /// Moves what is called `name` in the folder to `place`, which the plan names; on disk when this returns.
    pub(crate) fn place(&self, name: &str, place: &Path) -> Result<(), LibraryError> {
        let moved = fs::rename(self.path(name), place).and_then(|()| sync_folder_of(place));
        moved.map_err(|source| LibraryError::Io { action: "move the new episode to", path: place.to_owned(), source })
    }

    /// Keeps what was placed: its record is stored.
    pub(crate) fn finish(mut self) {
        self.plan = None;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(plan) = self.plan.take() {
            plan.take_back(&self.root);
        }
        remove(&self.folder);
    }
}

impl Plan {
    fn take_back(&self, root: &Path) {
        for place in &self.places {
            // The note is our own, but it decides what is deleted.
            if place.components().all(|part| matches!(part, Component::Normal(_))) {
                remove(&root.join(place));
            }
        }
    }
}

/// Removes what publishes left behind that were cut off.
pub(crate) fn sweep(library: &Library) -> Result<(), LibraryError> {
    let staging = library.staging();
    let fault = |source| LibraryError::Io { action: "read", path: staging.clone(), source };
    for entry in fs::read_dir(&staging).map_err(fault)? {
        let folder = entry.map_err(fault)?.path();
        let plan = fs::read(folder.join(PLAN)).ok().and_then(|json| serde_json::from_slice::<Plan>(&json).ok());
        if let Some(plan) = plan {
            let key = EpisodeRecord::key_of(&plan.show, &plan.file);
            if library.store().get::<EpisodeRecord>(key)?.is_none() {
                tracing::info!(file = plan.file, "removing what an interrupted publish left behind");
                plan.take_back(library.root());
            }
        }
        remove(&folder);
    }
    Ok(())
}

/// Removes a file or folder; what cannot be removed is only in the way, and is tried again at the next start.
fn remove(path: &Path) {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::library;
    use crate::record::tests::{episode, show};

    fn placed(library: &Library, record: &EpisodeRecord) -> (Staging, PathBuf) {
        library.prepare_show(&record.show).unwrap();
        let mut staging = Staging::new(library).unwrap();
        fs::write(staging.path("content"), b"x").unwrap();
        let place = library.content(record);
        let relative = place.strip_prefix(library.root()).unwrap().to_owned();
        let plan = Plan { show: record.show.clone(), file: record.file.clone(), places: vec![relative] };
        staging.plan(plan).unwrap();
        staging.place("content", &place).unwrap();
        (staging, place)
    }

    #[test]
    fn a_publish_that_fails_takes_back_what_it_placed() {
        let (_dir, library) = library();
        let (staging, place) = placed(&library, &episode("a", 1));
        assert!(place.exists());
        drop(staging);
        assert!(!place.exists());
        assert_eq!(fs::read_dir(library.staging()).unwrap().count(), 0);
    }

    #[test]
    fn a_publish_that_is_done_keeps_it() {
        let (_dir, library) = library();
        let (staging, place) = placed(&library, &episode("a", 1));
        staging.finish();
        assert!(place.exists());
        assert_eq!(fs::read_dir(library.staging()).unwrap().count(), 0);
    }

    #[test]
    fn after_a_kill_only_what_has_a_record_is_kept() {
        let (dir, library) = library();
        let (promised, kept) = placed(&library, &episode("a", 1));
        let (cut_off, gone) = placed(&library, &episode("a", 2));
        library.store().put(&show("a")).unwrap();
        library.store().put(&episode("a", 1)).unwrap();
        std::mem::forget((promised, cut_off));
        fs::create_dir(library.staging().join("upload")).unwrap();
        drop(library);
        let (library, _) = Library::open(dir.path()).unwrap();
        assert!(kept.exists() && !gone.exists());
        assert_eq!(fs::read_dir(library.staging()).unwrap().count(), 0);
    }

    #[test]
    fn a_forged_plan_removes_nothing_outside() {
        let (dir, library) = library();
        let outside = dir.path().parent().unwrap().join("podpub-outside");
        fs::write(&outside, b"x").unwrap();
        let places = vec![PathBuf::from("../podpub-outside"), outside.clone()];
        let plan = Plan { show: "a".parse().unwrap(), file: "f".to_owned(), places };
        plan.take_back(library.root());
        assert!(outside.exists());
        fs::remove_file(outside).unwrap();
    }
}
