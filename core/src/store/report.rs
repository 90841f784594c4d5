//! What the store tells of itself: how it was found, and how it is doing.

use std::fmt;
use std::path::{Path, PathBuf};

use super::StoreError;

/// What opening a store found and did.
///
/// All of it is logged too; a program that has an owner to talk to should tell what [`Self::for_the_owner`] says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenReport {
    /// Why the index was built again; `None` if it was good.
    pub rebuilt: Option<RebuildReason>,
    /// Where the index that was not good was put.
    pub set_aside: Option<PathBuf>,
    /// Records in the store.
    pub records: usize,
    /// Bytes cut from the journal's end: a write that was cut short before it was acknowledged.
    pub journal_tail_dropped: u64,
    /// What of the journal could not be read; `None` if all could.
    pub damage: Option<JournalDamage>,
    /// Where the index is.
    pub index: IndexPlace,
}

/// What of the journal could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalDamage {
    /// Bytes that are no record.
    pub bytes: u64,
    /// Writes that are known to be missing.
    pub missing: u64,
    /// Whether the index had everything that the journal lost, so that no record is lost or stale.
    pub is_recovered: bool,
    /// Where the damaged files were put.
    pub set_aside: Vec<PathBuf>,
}

/// Where the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexPlace {
    /// In `index/`.
    Disk,
    /// In memory: the store is one of [`in_memory`](super::Store::in_memory), or `index/` cannot be used at present.
    Memory,
}

/// Why the index was built again from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildReason {
    /// It ends before the journal's oldest record.
    Behind,
    /// It had grown far beyond what it holds.
    Bloated {
        /// Bytes of its files.
        bytes: u64,
        /// Bytes of the records in it.
        live: u64,
    },
    /// It could not be opened or read.
    Failed {
        /// What it said.
        what: String,
        /// Whether there was only no space for it.
        is_full: bool,
    },
    /// It belongs to another journal.
    Foreign,
    /// Its records are not those that its seal tells of.
    Mismatch,
    /// There was none.
    Missing,
    /// It was never finished.
    Unsealed,
}

impl fmt::Display for RebuildReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind => f.write_str("it ends before the journal begins"),
            Self::Bloated { bytes, live } => write!(f, "it takes {bytes} bytes for {live} bytes of records"),
            Self::Failed { what, .. } => write!(f, "it cannot be read: {what}"),
            Self::Foreign => f.write_str("it belongs to another journal"),
            Self::Mismatch => f.write_str("its records do not add up"),
            Self::Missing => f.write_str("there was none"),
            Self::Unsealed => f.write_str("it was never finished"),
        }
    }
}

/// How an open store is doing. Asking waits for a write that is under way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Records in the store.
    pub records: u64,
    /// Bytes that the journal needs for them, nearly.
    pub live_bytes: u64,
    /// Bytes that the journal has.
    pub journal_bytes: u64,
    /// Where the index is.
    pub index: IndexPlace,
    /// Why the last write failed; `None` once one has succeeded.
    pub trouble: Option<StoreError>,
}

impl fmt::Display for JournalDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.bytes, self.missing) {
            (bytes, 0) => write!(f, "{bytes} bytes of it cannot be read")?,
            (0, missing) => write!(f, "{missing} of its writes are missing")?,
            (bytes, missing) => write!(f, "{bytes} bytes of it cannot be read and {missing} writes are missing")?,
        }
        f.write_str(if self.is_recovered {
            "; the index had it all, nothing is lost"
        } else {
            "; records are lost or out of date"
        })
    }
}

impl OpenReport {
    /// What the owner of the state in `dir` should know: that the journal was damaged, or the index made anew.
    pub fn for_the_owner(&self, dir: &Path) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(format!("the journal in `{}` was damaged: {damage}", dir.join("journal").display()));
        }
        let reason = self.rebuilt.as_ref().filter(|_| self.records > 0)?;
        let index = dir.join("index");
        let kept = match &self.set_aside {
            Some(kept) => format!("; the old one is `{}`", kept.display()),
            None => String::new(),
        };
        Some(format!("the index `{}` was built again from the journal, {reason}{kept}", index.display()))
    }

    /// Logs what is not as it should be. The owner is told by the program, see [`Self::for_the_owner`].
    pub(super) fn log(&self, dir: &Path) {
        let path = dir.display();
        if self.journal_tail_dropped > 0 {
            tracing::info!(%path, bytes = self.journal_tail_dropped, "unacknowledged write cut from the journal");
        }
        if let Some(reason) = &self.rebuilt {
            let set_aside = self.set_aside.as_deref().unwrap_or(Path::new("")).display();
            tracing::info!(%path, %reason, %set_aside, records = self.records, "index built again from the journal");
        }
        if let Some(JournalDamage { bytes, missing, is_recovered, set_aside }) = &self.damage {
            if *is_recovered {
                tracing::info!(%path, bytes, missing, ?set_aside, "journal was damaged, nothing is lost");
            } else {
                tracing::info!(%path, bytes, missing, ?set_aside, "journal was damaged, records are lost or stale");
            }
        }
    }
}
