//! What can go wrong in the store, by whose fault it is.
//!
//! Every variant names the thing, what was found and what was wanted; [`StoreError::hint`] adds the way out. The error
//! is `Clone`, because one failed write answers every thread whose records rode on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::IndexFault;
use super::record::{MAX_BATCH, MAX_KEY, MAX_VALUE};

/// Why the store refused or could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// One batch holds more than [`MAX_BATCH`] bytes. The caller's fault.
    #[error("batch of {got} bytes; at most {MAX_BATCH} are written at once")]
    BatchTooLarge {
        /// Bytes of the batch as the journal would hold it.
        got: usize,
    },
    /// A stored value is not what its type expects.
    #[error("{kind} record `{key}` cannot be read as version {version}")]
    Decode {
        /// The record's kind.
        kind: &'static str,
        /// The record's key, printable.
        key: String,
        /// The version that the value was stored as.
        version: u8,
        /// What serde found.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// A record has no JSON form, such as a map with keys that are not text. The caller's fault.
    #[error("{kind} record has no JSON form")]
    Encode {
        /// The record's kind.
        kind: &'static str,
        /// What serde found.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// There is no room for the journal. Nothing of the write remains; what was there stays readable, and writing works
    /// again as soon as there is space.
    #[error("no space left for `{path}`; nothing was recorded")]
    Full {
        /// The file that could not grow.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// An import is not whole or not ours.
    #[error("line {line} of the import: {problem}")]
    Import {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk or the system refused.
    #[error("{action} `{path}`")]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A key is longer than [`MAX_KEY`] bytes. The caller's fault.
    #[error("key of a {kind} record has {got} bytes; at most {MAX_KEY} fit")]
    KeyTooLong {
        /// The record's kind.
        kind: &'static str,
        /// Bytes of the key.
        got: usize,
    },
    /// Another store, of this process or of another, holds the folder.
    #[error("`{path}` is already open in this or another process")]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// The files were written by a later version of the program.
    #[error("`{path}` has format {found}; this version reads up to {known}")]
    Newer {
        /// The file of the later format.
        path: PathBuf,
        /// The format it has.
        found: u8,
        /// The latest format this program knows.
        known: u8,
    },
    /// A file stands where a folder should be.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// An import was aimed at a folder that has a store.
    #[error("`{path}` already holds a store")]
    NotEmpty {
        /// The store's folder.
        path: PathBuf,
    },
    /// A record was written by a later version of the program.
    #[error("{kind} record `{key}` has version {found}; this version reads up to {known}")]
    RecordNewer {
        /// The record's kind.
        kind: &'static str,
        /// The record's key, printable.
        key: String,
        /// The version it has.
        found: u8,
        /// The latest version its type knows.
        known: u8,
    },
    /// A value is longer than [`MAX_VALUE`] bytes. The caller's fault: big things are files.
    #[error("{kind} record of {got} bytes; at most {MAX_VALUE} fit")]
    TooLarge {
        /// The record's kind.
        kind: &'static str,
        /// Bytes of its JSON text.
        got: usize,
    },
    /// A record of an older version has no migration to the present one.
    #[error("{kind} record `{key}` has version {found}; there is no way from it to {known}")]
    Unmigrated {
        /// The record's kind.
        kind: &'static str,
        /// The record's key, printable.
        key: String,
        /// The version it has.
        found: u8,
        /// The version its type wants.
        known: u8,
    },
}

impl StoreError {
    /// What the owner can do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Full { .. } => Some("free some space; nothing has to be restarted"),
            Self::Locked { .. } => Some("stop the other program, or give this one a data directory of its own"),
            Self::Newer { .. } | Self::RecordNewer { .. } => {
                Some("run the newer program again, or export there and import here")
            }
            Self::NotAFolder { .. } => Some("move the file away, or choose another data directory"),
            Self::NotEmpty { .. } => Some("import into a new data directory"),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("make the folder writable, or choose another data directory")
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The error of `action` on `path`; a full disk gets its own variant.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let source = Arc::new(source);
        if full { Self::Full { path, source } } else { Self::Io { action, path, source } }
    }
}

/// A store's own error, or a fault that another index may cure.
pub(super) enum Trouble {
    Index(IndexFault),
    Store(StoreError),
}

impl Trouble {
    /// The error for a caller whom no other index can help.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Index(fault) => StoreError::io("read", Path::new("index"), io::Error::other(fault)),
            Self::Store(error) => error,
        }
    }
}

impl From<IndexFault> for Trouble {
    fn from(fault: IndexFault) -> Self {
        Self::Index(fault)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
