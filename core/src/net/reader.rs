//! Reading a torrent's bytes in their order while it is fetched.
//!
//! Laws: no byte is given that is not verified; a reader holds at most `AT_ONCE` bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::engine::Command;
use super::storage::StorageError;
use super::torrent::{Torrent, TorrentError, ask};

/// The most bytes that are read from the disk at once.
pub(super) const AT_ONCE: u64 = 128 << 10;
/// The most readers of one torrent.
pub const MOST_READERS: usize = 64;

/// What is answered to a reader.
pub(super) type Answer = oneshot::Sender<Result<Vec<Bytes>, StorageError>>;

/// The bytes cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The torrent was removed, cannot be used, or the engine was shut down.
    #[error(transparent)]
    Torrent(#[from] TorrentError),
    /// The torrent has no such bytes, or they are not wanted.
    #[error("bytes {} to {} of the torrent are not fetched", .0.start, .0.end)]
    NotFetched(Range<u64>),
    /// There are [`MOST_READERS`] already.
    #[error("the torrent has {MOST_READERS} readers already")]
    TooMany,
    /// The disk does not give them.
    #[error("read the torrent's files")]
    Disk(#[source] StorageError),
}

/// Reads a range of a torrent's bytes from its start to its end. What it goes on with is fetched first, until it is
/// dropped.
#[derive(Debug)]
pub struct Reader {
    number: u64,
    range: Range<u64>,
    ready: VecDeque<Bytes>,
    commands: mpsc::WeakSender<Command>,
    /// The engine sees when nobody holds it any more.
    _alive: Arc<()>,
}

impl Torrent {
    /// Begins to read a range of the torrent's bytes, those of all files one after the other.
    pub async fn read(&self, range: Range<u64>) -> Result<Reader, ReadError> {
        let alive = Arc::new(());
        let weak = Arc::downgrade(&alive);
        let opened = ask(&self.commands, |done| Command::OpenReader(self.key, range.clone(), weak, done)).await;
        let number = opened.ok_or(TorrentError::Removed)??;
        Ok(Reader { number, range, ready: VecDeque::new(), commands: self.commands.clone(), _alive: alive })
    }
}

impl Reader {
    /// Where it goes on, in bytes of the torrent.
    pub const fn position(&self) -> u64 {
        self.range.start
    }

    /// The next bytes; `None` at the end of the range. Waits until they are there and verified, however long that
    /// takes.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.ready.is_empty() {
            if self.range.is_empty() {
                return Ok(None);
            }
            let (number, at) = (self.number, self.range.start);
            let read = ask(&self.commands, |done| Command::Read(number, at, done)).await;
            self.ready = read.ok_or(TorrentError::Removed)?.map_err(ReadError::Disk)?.into();
        }
        let next = self.ready.pop_front();
        self.range.start += next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(next)
    }
}
