//! Files on their way to the publisher, in as many pieces as the line breaks into.
//!
//! Who sends one says first how long it is, then sends bytes from where the last ones ended. After a lost connection he
//! asks how much is there and goes on. This is tus 1.0.0 with its extensions `creation` and `termination`, which many
//! programs speak.
//!
//! Uploads lie in the staging folder until they are published. They do not outlive the daemon; one that nobody goes on
//! with is removed after [`FORGOTTEN`], when room for another is wanted.
//!
//! Law: at most [`MOST`] uploads are open; nobody writes more into one than was said; two never write into one at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use podswarm_core::app::{Explain as _, Failure, free_space};
use podswarm_core::rate::ByteCount;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use super::Refusal;
use crate::host::blocking;

/// The most uploads at once.
const MOST: usize = 64;
/// An upload into which nothing was written for so long may go.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// Uploads that are open.
#[derive(Debug)]
pub(super) struct Uploads {
    folder: PathBuf,
    open: Mutex<BTreeMap<Uuid, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Bytes in all.
    length: u64,
    touched: Instant,
    /// Held by who writes; bytes that are there.
    written: Arc<tokio::sync::Mutex<u64>>,
}

/// A whole upload that was taken out, to be published. What is not moved away goes with it.
#[derive(Debug)]
pub(super) struct Finished {
    upload: Uuid,
    entry: Entry,
    path: PathBuf,
    is_kept: bool,
}

impl Finished {
    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.path);
        }
    }
}

/// How much of an upload is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes that are there.
    pub(super) offset: u64,
    /// Bytes in all.
    pub(super) length: u64,
}

impl Uploads {
    /// None yet; they will lie in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, open: Mutex::default() }
    }

    /// Opens one of `length` bytes.
    pub(super) async fn create(&self, length: u64) -> Result<Uuid, Refusal> {
        self.sweep();
        let folder = self.folder.clone();
        let space = blocking(move || free_space(&folder)).await.explain(|| "measure the free space".to_owned())?;
        if space.total < length {
            let (length, total) = (ByteCount(length), ByteCount(space.total));
            let failure = Failure::new(format!("the file has {length}, and the publisher's disk no more than {total}"));
            return Err(Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, failure));
        }
        if space.available < length {
            let (length, free) = (ByteCount(length), ByteCount(space.available));
            let failure = Failure::new(format!("the file has {length}, and the publisher's disk has {free} left"));
            return Err(Refusal::with(StatusCode::INSUFFICIENT_STORAGE, failure));
        }
        let upload = Uuid::new_v4();
        let path = self.path(upload);
        {
            let mut open = self.open();
            if open.len() >= MOST {
                let failure = Failure::new(format!("{MOST} uploads are open already"));
                let failure = failure.with_hint("publish or delete one of them, or wait");
                return Err(Refusal::with(StatusCode::TOO_MANY_REQUESTS, failure));
            }
            open.insert(upload, Entry { length, touched: Instant::now(), written: Arc::default() });
        }
        if let Err(error) = tokio::fs::File::create_new(&path).await.explain(|| saying(&path)) {
            self.open().remove(&upload);
            return Err(error.into());
        }
        Ok(upload)
    }

    /// How much of one is there.
    pub(super) async fn extent(&self, upload: Uuid) -> Result<Extent, Refusal> {
        let entry = self.entry(upload)?;
        let offset = *Self::take(&entry).await?;
        Ok(Extent { offset, length: entry.length })
    }

    /// Appends `body` behind the first `offset` bytes, and says how much is there then. What came before the line broke
    /// is kept.
    pub(super) async fn append(&self, upload: Uuid, offset: u64, body: Body) -> Result<Extent, Refusal> {
        let entry = self.entry(upload)?;
        let mut written = Self::take(&entry).await?;
        if *written != offset {
            let failure = Failure::new(format!("the upload has {written} bytes, and these begin at {offset}"));
            return Err(Refusal::with(StatusCode::CONFLICT, failure));
        }
        let path = self.path(upload);
        let mut file = tokio::fs::File::options().write(true).open(&path).await.explain(|| saying(&path))?;
        // A write that failed half way may have left bytes that do not count.
        file.seek(std::io::SeekFrom::Start(*written)).await.explain(|| saying(&path))?;
        let mut body = body.into_data_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.explain(|| "the upload broke off".to_owned())?;
            if chunk.len() as u64 > entry.length - *written {
                let failure = Failure::new(format!("the upload was to have {} bytes, and more come", entry.length));
                return Err(Refusal::with(StatusCode::PAYLOAD_TOO_LARGE, failure));
            }
            file.write_all(&chunk).await.explain(|| saying(&path))?;
            // The file's own buffer is empty before the bytes count.
            file.flush().await.explain(|| saying(&path))?;
            *written += chunk.len() as u64;
            self.open().entry(upload).and_modify(|entry| entry.touched = Instant::now());
        }
        if *written == entry.length {
            file.sync_all().await.explain(|| saying(&path))?;
        }
        Ok(Extent { offset: *written, length: entry.length })
    }

    /// Takes a whole one out, to be published.
    pub(super) async fn finish(&self, upload: Uuid) -> Result<Finished, Refusal> {
        let entry = self.entry(upload)?;
        let Extent { offset, length } = self.extent(upload).await?;
        if offset < length {
            let failure = Failure::new(format!("only {offset} of the upload's {length} bytes are there"));
            return Err(Refusal::with(StatusCode::CONFLICT, failure));
        }
        self.open().remove(&upload);
        Ok(Finished { upload, entry, path: self.path(upload), is_kept: false })
    }

    /// Puts one back that was not published, for who may ask for it again; one too many goes.
    pub(super) fn put_back(&self, mut finished: Finished) {
        let mut open = self.open();
        if open.len() < MOST && finished.path.exists() {
            finished.is_kept = true;
            open.insert(finished.upload, Entry { touched: Instant::now(), ..finished.entry.clone() });
        }
    }

    /// Gives one up.
    pub(super) async fn delete(&self, upload: Uuid) -> Result<(), Refusal> {
        let entry = self.entry(upload)?;
        let _whole = Self::take(&entry).await?;
        self.open().remove(&upload);
        remove(&self.path(upload));
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, upload: Uuid) -> Result<Entry, Refusal> {
        let entry = self.open().get(&upload).cloned();
        entry.ok_or_else(|| Refusal::with(StatusCode::NOT_FOUND, Failure::new("there is no such upload")))
    }

    /// Waits for a writer who may just be going, as one whose line broke is.
    async fn take(entry: &Entry) -> Result<tokio::sync::MutexGuard<'_, u64>, Refusal> {
        let taken = tokio::time::timeout(Duration::from_secs(5), entry.written.lock()).await;
        taken.map_err(|_| Refusal::with(StatusCode::LOCKED, Failure::new("somebody writes into the upload now")))
    }

    fn sweep(&self) {
        let mut gone = Vec::new();
        self.open().retain(|upload, entry| {
            let stays = entry.touched.elapsed() < FORGOTTEN || entry.written.try_lock().is_err();
            if !stays {
                gone.push(*upload);
            }
            stays
        });
        for upload in gone {
            remove(&self.path(upload));
        }
    }

    fn path(&self, upload: Uuid) -> PathBuf {
        self.folder.join(format!("upload-{upload}"))
    }
}

fn saying(path: &Path) -> String {
    format!("write the upload `{}`", path.display())
}

/// What stays is swept at the next start.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
