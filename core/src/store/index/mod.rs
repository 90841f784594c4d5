//! The index: what every read is answered from, and nothing else depends on.
//!
//! An [`Index`] keeps bytes under a tree's name and a key, one tree per kind of record. It knows nothing of records,
//! versions or checksums, and it need not be durable: the journal is the truth, and whatever is doubtful here is thrown
//! away and built again.

pub(super) mod memory;
pub(super) mod seal;
pub(super) mod sled;
pub(super) mod value;

use std::io;
use std::ops::ControlFlow;

use super::totals::Totals;

/// An ordered map of bytes for every tree.
pub(super) trait Index: Send + Sync {
    /// Makes `writes`, in order.
    fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault>;

    /// Puts what was applied on disk, as well as the backend can.
    fn flush(&self) -> Result<(), IndexFault>;

    /// Gives back the memory of what was read, if any is held beside what is stored. Useless after a fault.
    fn drop_cache(&mut self) -> Result<(), IndexFault> {
        Ok(())
    }

    /// The value of `key` in `tree`.
    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault>;

    /// Shows `visit` every key of `tree` that begins with `prefix`, in byte order, until it breaks off.
    fn scan(&self, tree: &str, prefix: &[u8], visit: Visitor<'_>) -> Result<(), IndexFault>;

    /// The names of all trees, in order; some may be empty.
    fn trees(&self) -> Result<Vec<String>, IndexFault>;
}

/// What [`Index::scan`] calls with each key and value.
pub(super) type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// One write to an index; without a value the key is removed.
pub(super) struct Write<'a> {
    /// The tree's name.
    pub(super) tree: &'a str,
    /// The key in the tree.
    pub(super) key: &'a [u8],
    /// The new value, or `None` to remove the key.
    pub(super) value: Option<Vec<u8>>,
}

/// The index gave an error, a panic, nothing in time, or bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(super) struct IndexFault {
    /// What was found.
    what: String,
    /// Whether there is only no space; then the files are as good as they were.
    pub(super) is_full: bool,
}

impl IndexFault {
    /// A fault other than a full disk.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_full: false }
    }

    /// What the system said about a file of the index.
    pub(super) fn io(error: &io::Error) -> Self {
        Self { what: error.to_string(), is_full: error.kind() == io::ErrorKind::StorageFull }
    }
}

/// Shows `visit` every record: kind, key and framed value, in order, until it fails.
pub(super) fn each_record<E: From<IndexFault>>(
    index: &dyn Index,
    mut visit: impl FnMut(&str, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for tree in index.trees()?.iter().filter(|tree| *tree != SEAL_TREE) {
        let mut outcome = Ok(());
        index.scan(tree, b"", &mut |key, bytes| {
            outcome = visit(tree, key, bytes);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
    }
    Ok(())
}

/// Reads every record, checks its checksum, and adds it up.
pub(super) fn tally(index: &dyn Index) -> Result<Totals, IndexFault> {
    let mut totals = Totals::default();
    each_record(index, |kind, key, bytes| {
        value::decode(kind, key, bytes)?;
        totals.add(kind, key, bytes);
        Ok::<_, IndexFault>(())
    })?;
    Ok(totals)
}

/// The tree of the seal. No record's kind begins with a dot.
const SEAL_TREE: &str = ".seal";
