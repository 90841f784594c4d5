//! Hashing files and making torrents, as fast as the processor hashes.
//!
//! The bytes are dealt out to one thread for each core in runs of whole pieces, and each is read once: the slice that
//! feeds a piece's SHA-1 and its blocks' SHA-256 is also what is written to the copy and what the SHA-256 of the whole
//! is made of. A copy costs no bytes at all where the file system can share them (reflink); then it is the copy that is
//! hashed.
//!
//! Everything here blocks; call it from `spawn_blocking`. Everything can be watched and cancelled by a [`Watch`].
//!
//! Law: a hash that is returned is that of the bytes that are on disk, or, if a file changed meanwhile, none is.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the rim: files and threads")]

mod copies;
mod crew;
mod hash;
mod ordered;
mod source;
mod torrent;
mod verify;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

pub use hash::{ContentHashes, HashError, HashOptions, Hashed, hash_pieces};
pub use torrent::{CreateError, CreateOptions, Found, FoundFile, create_torrent, find_files};
pub use verify::{FileProblem, Problem, Verified, verify};

/// How the caller follows long work, and ends it early.
#[derive(Clone, Copy, Default)]
pub struct Watch<'a> {
    /// Is told the bytes done so far; the numbers only grow. Called from many threads, one at a time.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Ends the work soon after it becomes true.
    pub cancel: Option<&'a AtomicBool>,
}

impl Watch<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// The work was cancelled by its [`Watch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Why a lock is never poisoned.
const NO_PANIC: &str = "no thread of the crew panics";

#[cfg(test)]
mod tests;
