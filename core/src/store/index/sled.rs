//! The index on disk: sled 0.34.7, kept at arm's length.
//!
//! sled is unmaintained. It panics or loses records on some damaged files, refuses to open after some crashes, and its
//! flush does not survive a power cut. So every call is guarded against panics, opening has a time limit, the
//! background flusher is off, and after the first fault an index is never used again.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::{Index, IndexFault, Visitor, Write};

/// An open sled database.
pub(crate) struct SledIndex {
    path: PathBuf,
    trees: RwLock<BTreeMap<String, sled::Tree>>,
    /// `None` only while it is dropped or opened again.
    db: Option<sled::Db>,
}

impl SledIndex {
    /// Opens the database in the folder at `path`, or makes one.
    ///
    /// Gives up after `limit`. The caller holds the store's lock, so nobody else has the database open.
    pub(crate) fn open(path: &Path, limit: Duration) -> Result<Self, IndexFault> {
        remove_unfinished_snapshots(path).map_err(|error| IndexFault::io(&error))?;
        let (answer, answered) = mpsc::channel();
        let folder = path.to_path_buf();
        let worker = move || {
            // Nobody listens any more once the limit has passed.
            let _ = answer.send(open_unlocked(&folder, limit));
        };
        let spawned = thread::Builder::new().name("store-index".into()).spawn(worker);
        spawned.map_err(|error| IndexFault::io(&error))?;
        answered.recv_timeout(limit).map_err(|_| IndexFault::new(format!("not open after {} s", limit.as_secs())))?
    }

    /// Bytes of the database's files.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64, IndexFault> {
        guard(|| self.db().size_on_disk())
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("only who drops it or opens it again takes the database")
    }

    fn close(&mut self) -> Result<(), IndexFault> {
        self.trees.get_mut().expect(NO_PANIC).clear();
        let db = self.db.take();
        guard(|| {
            drop(db);
            Ok(())
        })
    }

    fn tree(&self, name: &str) -> Option<sled::Tree> {
        self.trees.read().expect(NO_PANIC).get(name).cloned()
    }

    fn made_tree(&self, name: &str) -> sled::Result<sled::Tree> {
        if let Some(tree) = self.tree(name) {
            return Ok(tree);
        }
        let tree = self.db().open_tree(name)?;
        self.trees.write().expect(NO_PANIC).insert(name.to_owned(), tree.clone());
        Ok(tree)
    }
}

impl Index for SledIndex {
    fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault> {
        guard(|| {
            for write in writes {
                let tree = self.made_tree(write.tree)?;
                match &write.value {
                    Some(value) => tree.insert(write.key, value.as_slice())?,
                    None => tree.remove(write.key)?,
                };
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), IndexFault> {
        guard(|| self.db().flush().map(drop))
    }

    /// Opens the database again: sled counts what its cache holds only now and then, and keeps what a start has read,
    /// two to three times as large as the records, until as much more is read.
    fn drop_cache(&mut self) -> Result<(), IndexFault> {
        self.flush()?;
        self.close()?;
        *self = Self::open(&self.path, OPEN_LIMIT)?;
        Ok(())
    }

    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let Some(tree) = self.tree(tree) else { return Ok(None) };
        guard(|| Ok(tree.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, tree: &str, prefix: &[u8], visit: Visitor<'_>) -> Result<(), IndexFault> {
        let Some(tree) = self.tree(tree) else { return Ok(()) };
        guard(|| {
            for entry in tree.scan_prefix(prefix) {
                let (key, value) = entry?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn trees(&self) -> Result<Vec<String>, IndexFault> {
        Ok(self.trees.read().expect(NO_PANIC).keys().cloned().collect())
    }
}

impl Drop for SledIndex {
    fn drop(&mut self) {
        if let Err(fault) = self.close() {
            tracing::warn!(%fault, "index did not close cleanly");
        }
    }
}

/// Opening sled takes milliseconds; some damaged files make it spin.
pub(in crate::store) const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How the database is kept.
pub(in crate::store) fn config(path: &Path) -> sled::Config {
    sled::Config::new().path(path).cache_capacity(CACHE_BYTES).segment_size(SEGMENT_BYTES).flush_every_ms(None)
}

/// Opens the database once sled's own lock on it is free.
fn open_unlocked(path: &Path, limit: Duration) -> Result<SledIndex, IndexFault> {
    let begun = Instant::now();
    loop {
        let opened = guard(|| {
            let db = config(path).open()?;
            let mut trees = BTreeMap::new();
            for name in db.tree_names() {
                if let Ok(text) = str::from_utf8(&name)
                    && text != DEFAULT_TREE
                {
                    trees.insert(text.to_owned(), db.open_tree(&name)?);
                }
            }
            Ok(SledIndex { path: path.to_owned(), trees: RwLock::new(trees), db: Some(db) })
        });
        match opened {
            // A database that was dropped a moment ago keeps its lock until sled's own threads are done with it.
            Err(fault) if fault.what.contains("could not acquire lock") && begun.elapsed() < limit => {
                thread::sleep(Duration::from_millis(1));
            }
            opened => return opened,
        }
    }
}

/// Removes half-written snapshots: sled skips another extension than it writes, and will not open with one there.
fn remove_unfinished_snapshots(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            tracing::warn!(path = %path.display(), "unfinished snapshot of the index removed");
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Calls into sled; an error or a panic there is a fault of the index.
fn guard<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexFault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(error))) => Err(IndexFault::io(&error)),
        Ok(Err(error)) => Err(IndexFault::new(error.to_string())),
        Err(panic) => Err(IndexFault::new(format!("panic: {}", message(&*panic)))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// 2 MiB: what is read often its readers keep, the system has the file in its own cache, and a seeding machine has
/// better uses for memory.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// Half of what sled takes by itself. It sets a buffer of this size aside at each flush and is slow to give them back:
/// a program that has only started would keep 20 MiB of them.
const SEGMENT_BYTES: usize = 256 * 1024;

/// The tree that sled always makes.
const DEFAULT_TREE: &str = "__sled__default";

const NO_PANIC: &str = "no holder of the lock panics";
