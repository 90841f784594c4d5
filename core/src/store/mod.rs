//! What must not be forgotten: small typed records that outlive any crash.
//!
//! The journal in `journal/` is the truth; it is written and synced before a change is promised to anyone. The index in
//! `index/` answers every read and can be lost at any time: it is then set aside, built again from the journal, and the
//! [`OpenReport`] says so.
//!
//! Knows nothing of shows, episodes or feeds; they are [`Record`]s of their owners. Blocking: an async caller uses
//! `spawn_blocking`, or bears one `fdatasync` per call.
//!
//! Law: what [`Store::put`] or [`Store::batch`] acknowledged is there after any crash, whole or not at all per batch.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the rim: the store owns files and locks")]

mod error;
mod index;
mod journal;
mod op;
mod record;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use error::StoreError;
pub use record::{MAX_BATCH, MAX_KEY, MAX_VALUE, Record};

use index::memory::MemoryIndex;
use index::{Index, Write, value};
use journal::frame;
use op::{Change, Op};

/// A handle on the state; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    index: Box<dyn Index>,
    journal: Mutex<Option<Log>>,
}

struct Log {
    path: PathBuf,
    file: File,
    seq: u64,
}

/// What opening a store found and did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Why the index was built again; `None` if it was good.
    pub rebuilt: Option<RebuildReason>,
    /// Where the index that was not good was put.
    pub set_aside: Option<PathBuf>,
    /// Records in the store.
    pub records: usize,
    /// Bytes cut from the journal's end: a write that was never acknowledged.
    pub journal_tail_dropped: u64,
}

/// Why the index was built again from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildReason {
    /// There was none.
    Missing,
}

impl Store {
    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// Fails where the folder cannot be written, is open already, or was written by a later version.
    pub fn open(dir: &Path) -> Result<(Self, OpenReport), StoreError> {
        let folder = dir.join("journal");
        std::fs::create_dir_all(&folder).map_err(|source| StoreError::io("create", &folder, source))?;
        let path = folder.join("1.log");
        let io = |action, source| StoreError::io(action, &path, source);
        let file = File::options().create(true).append(true).read(true).open(&path);
        let file = file.map_err(|source| io("open", source))?;
        if file.try_lock().is_err() {
            return Err(StoreError::Locked { path: folder });
        }
        let bytes = std::fs::read(&path).map_err(|source| io("read", source))?;
        let store = Self::in_memory();
        let (mut at, mut seq) = (0, 0);
        while let Some((head, rest)) = bytes[at..].split_first_chunk() {
            let Some(header) = frame::Header::parse(head) else { break };
            let Some(payload) = rest.get(..header.length).filter(|payload| header.matches(payload)) else { break };
            let Ok(ops) = serde_json::from_slice::<Vec<Op>>(payload) else { break };
            store.apply(&ops);
            (at, seq) = (at + frame::HEADER + header.length, header.seq);
        }
        file.set_len(at as u64).map_err(|source| io("truncate", source))?;
        *store.inner.journal.lock().expect(NO_PANIC) = Some(Log { path, file, seq });
        let journal_tail_dropped = (bytes.len() - at) as u64;
        Ok((store, OpenReport { journal_tail_dropped, ..OpenReport::default() }))
    }

    /// A store that lives as long as its handles, for tests.
    pub fn in_memory() -> Self {
        let inner = Inner { index: Box::new(MemoryIndex::default()), journal: Mutex::new(None) };
        Self { inner: Arc::new(inner) }
    }

    /// The `R` under `key`, or `None`.
    pub fn get<R: Record>(&self, key: impl AsRef<[u8]>) -> Result<Option<R>, StoreError> {
        let key = key.as_ref();
        let Some(bytes) = self.inner.index.get(R::KIND, key).expect("memory does not fail") else { return Ok(None) };
        let (version, json) = value::decode(R::KIND, key, &bytes).expect("memory does not change");
        record::read(key, version, json).map(Some)
    }

    /// Every `R` whose key begins with `prefix`, in the byte order of their keys.
    pub fn scan<R: Record>(&self, prefix: impl AsRef<[u8]>) -> Result<Vec<R>, StoreError> {
        let mut found = Vec::new();
        let scanned = self.inner.index.scan(R::KIND, prefix.as_ref(), &mut |key, bytes| {
            let (version, json) = value::decode(R::KIND, key, bytes)?;
            found.push(record::read(key, version, json));
            Ok(())
        });
        scanned.expect("memory does not fail");
        found.into_iter().collect()
    }

    /// Stores `record` under its key, in place of what was there; on disk when this returns.
    pub fn put<R: Record>(&self, record: &R) -> Result<(), StoreError> {
        self.batch(|batch| batch.put(record))
    }

    /// Removes the `R` under `key`, if there is one; on disk when this returns.
    pub fn delete<R: Record>(&self, key: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.batch(|batch| batch.delete::<R>(key))
    }

    /// Makes all changes that `fill` puts into the batch, or none of them, with one sync.
    ///
    /// After a crash either all are there or none is. The first record that cannot be written fails the batch.
    pub fn batch(&self, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
        let mut batch = Batch { ops: Ok(Vec::new()) };
        fill(&mut batch);
        let ops = batch.ops?;
        let mut journal = self.inner.journal.lock().expect(NO_PANIC);
        if let Some(log) = journal.as_mut() {
            let payload = serde_json::to_vec(&ops).expect("ops have a JSON form");
            let mut bytes = Vec::new();
            frame::encode(log.seq + 1, &payload, &mut bytes);
            let written = log.file.write_all(&bytes).and_then(|()| log.file.sync_data());
            written.map_err(|source| StoreError::io("write", &log.path, source))?;
            log.seq += 1;
        }
        self.apply(&ops);
        Ok(())
    }

    fn apply(&self, ops: &[Op]) {
        let writes: Vec<_> = ops.iter().map(write_of).collect();
        self.inner.index.apply(&writes).expect("memory does not fail");
    }
}

fn write_of(op: &Op) -> Write<'_> {
    let value = match &op.change {
        Change::Delete => None,
        Change::Put { version, json } => Some(value::encode(&op.kind, &op.key, *version, json)),
    };
    Write { tree: &op.kind, key: &op.key, value }
}

/// Changes that are made together; see [`Store::batch`].
pub struct Batch {
    ops: Result<Vec<Op>, StoreError>,
}

impl Batch {
    /// Stores `record` under its key.
    pub fn put<R: Record>(&mut self, record: &R) {
        self.push(|| record::put(record));
    }

    /// Removes the `R` under `key`, if there is one.
    pub fn delete<R: Record>(&mut self, key: impl AsRef<[u8]>) {
        self.push(|| record::delete::<R>(key.as_ref()));
    }

    fn push(&mut self, op: impl FnOnce() -> Result<Op, StoreError>) {
        let Ok(ops) = &mut self.ops else { return };
        match op() {
            Ok(op) => ops.push(op),
            Err(error) => self.ops = Err(error),
        }
    }
}

const NO_PANIC: &str = "no writer panics";
