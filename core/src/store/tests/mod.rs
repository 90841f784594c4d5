//! The store as a whole, on real files.

mod basics;
mod crash;
mod damage;
mod faults;
mod model;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tempfile::{TempDir, tempdir_in};

use super::*;

/// A record of whatever key and text a test wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    key: Vec<u8>,
    text: String,
}

impl Note {
    fn new(key: impl AsRef<[u8]>, text: impl Into<String>) -> Self {
        Self { key: key.as_ref().to_vec(), text: text.into() }
    }
}

impl Record for Note {
    const KIND: &'static str = "note";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.key.clone()
    }
}

/// A record of another kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    name: String,
    n: u64,
}

impl Count {
    fn new(name: &str, n: u64) -> Self {
        Self { name: name.into(), n }
    }
}

impl Record for Count {
    const KIND: &'static str = "count";
    const VERSION: u8 = 2;

    fn key(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }
}

/// A folder that is gone with its handle.
///
/// In memory where the system has a place for that: these tests sync thousands of times, and cut no power.
fn tempdir() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    tempdir_in(place).unwrap()
}

/// Opens the store in `dir` and checks that nothing was amiss.
#[track_caller]
fn open_clean(dir: &Path) -> Store {
    let (store, report) = Store::open(dir).unwrap();
    assert_eq!((report.rebuilt, report.journal_tail_dropped, report.damage), (None, 0, None));
    assert_eq!(report.index, IndexPlace::Disk);
    store
}

fn notes(store: &Store) -> Vec<Note> {
    store.scan::<Note>("").unwrap()
}

/// Copies the folder `from` to `to` as it is at this moment, as a crash would leave it.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The journal's segments in `dir`, oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    paths.sort();
    paths
}
