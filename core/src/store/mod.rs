//! What must not be forgotten: small typed records that outlive any crash.
//!
//! ```text
//! DIR/journal/00000003.log     the truth: a snapshot of the state, or the changes after it
//!             00000001.bad-1   a damaged segment, kept as evidence
//!             lock             held while the store is open
//!     index/                   what reads are answered from: sled, one tree per kind of record, and a seal
//!     index.bad-1              an index that could not be trusted; at most three are kept
//! ```
//!
//! The journal is written and synced before a change is promised to anyone. The index can be lost at any time: it is
//! then set aside and built again from the journal, and the [`OpenReport`] says so. Damage to the journal costs only
//! the batches it hit, and not even those if the index still has them; it is always told, in the report and in the log.
//!
//! To read in this order: `record` (a typed value and its JSON), `op` (one change), `journal` (`frame`, `read`,
//! `survey`, `snapshot`), `index` (`value`, `seal`, `sled`, `memory`), `plan` (changes to writes), `shared` (group
//! commit, readers), `recover` (opening), `export`. `disk` is the seam where tests make the journal's disk fail.
//!
//! Knows nothing of shows, episodes or feeds; they are [`Record`]s of their owners. Blocking: an async caller uses
//! `spawn_blocking`, or bears one `fdatasync` per call.
//!
//! Law: what [`Store::put`] or [`Store::batch`] acknowledged is there after any crash, and a batch is whole or absent.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the rim: the store owns files and locks")]

mod aside;
mod disk;
mod error;
mod export;
mod index;
mod journal;
mod op;
mod plan;
mod record;
mod recover;
mod report;
mod shared;
#[cfg(test)]
mod tests;
mod totals;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::StoreError;
pub use record::{MAX_BATCH, MAX_KEY, MAX_VALUE, Record};
pub use report::{Health, IndexPlace, JournalDamage, OpenReport, RebuildReason};

use index::memory::MemoryIndex;
use op::Op;
use shared::{Shared, Slot};
use totals::Totals;

/// A handle on the state; clones share it.
///
/// Every method blocks. Reads never wait for a write's sync.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// A lost, torn or doubtful index is set aside and built again; damage to the journal is passed over, healed from
    /// the index where that is possible, and reported. Fails where the folder cannot be written, is open already, or
    /// was written by a later version.
    pub fn open(dir: &Path) -> Result<(Self, OpenReport), StoreError> {
        let (shared, report) = recover::open(dir, Arc::new(disk::OsDisk))?;
        Ok((Self { shared: Arc::new(shared) }, report))
    }

    /// A store that lives as long as its handles, for tests.
    pub fn in_memory() -> Self {
        let slot = Slot { index: Box::new(MemoryIndex::default()), place: IndexPlace::Memory };
        Self { shared: Arc::new(Shared::new(slot, None, Totals::default())) }
    }

    /// The `R` under `key`, or `None`.
    pub fn get<R: Record>(&self, key: impl AsRef<[u8]>) -> Result<Option<R>, StoreError> {
        let key = key.as_ref();
        let Some((version, json)) = self.shared.get(R::KIND, key)? else { return Ok(None) };
        record::read(key, version, &json).map(Some)
    }

    /// Every `R` whose key begins with `prefix`, in the byte order of their keys.
    pub fn scan<R: Record>(&self, prefix: impl AsRef<[u8]>) -> Result<Vec<R>, StoreError> {
        self.shared.scan(R::KIND, prefix.as_ref(), record::read)
    }

    /// Every `R`, in the byte order of their keys, for a program that goes on holding them all.
    ///
    /// The memory that the index took to read them, several times their size, is given back before they are made. So
    /// they lie where that lay, and not between what would then be holes. Other readers wait for a fraction of a
    /// second.
    pub fn take_in<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        let gathered = self.shared.gather(R::KIND)?;
        self.shared.drop_cache()?;
        gathered.iter().map(|(key, version, json)| record::read(key, version, json)).collect()
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
    /// After a crash either all are there or none is, and no reader sees some without the others. Later changes to a
    /// record win over earlier ones. The first record that cannot be written fails the batch.
    pub fn batch(&self, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
        let mut batch = Batch { ops: Ok(Vec::new()) };
        fill(&mut batch);
        self.shared.commit(batch.ops?)
    }

    /// Writes every record to `out` as lines of JSON, which [`Self::import`] reads; returns how many there are.
    ///
    /// Writers wait until it is done, so `out` should be a file or a buffer, not a slow connection.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, StoreError> {
        export::export(&self.shared, out)
    }

    /// Makes a store in `dir` from the lines that [`Self::export`] wrote; returns how many records it has.
    ///
    /// Fails where `dir` has a store already, and where the lines are not whole; then no store is made. The first open
    /// of the new store builds its index, and reports that.
    pub fn import(dir: &Path, source: &mut dyn BufRead) -> Result<u64, StoreError> {
        export::import(dir, source)
    }

    /// Writes the journal anew without what is dead. It does so by itself when four fifths of it are.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.shared.compact().map(|_: Vec<PathBuf>| ())
    }

    /// How the store is doing.
    pub fn health(&self) -> Health {
        self.shared.health()
    }
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
