//! Writes the whole state as one segment.

use std::path::{Path, PathBuf};

use super::frame::{self, Kind};
use super::survey::{End, Head};
use crate::store::StoreError;
use crate::store::disk::{Disk, LogFile};
use crate::store::op::{Change, Op};

/// A snapshot that is being written; it counts once it is finished, synced and named.
pub(crate) struct Snapshot {
    file: Box<dyn LogFile>,
    path: PathBuf,
    seq: u64,
    chunk: Vec<Op>,
    chunk_bytes: usize,
    frames: u64,
    length: u64,
}

impl Snapshot {
    /// Begins a snapshot at `path` with `head`.
    pub(super) fn create(disk: &dyn Disk, path: &Path, head: &Head) -> Result<Self, StoreError> {
        let file = disk.create(path).map_err(|source| StoreError::io("create", path, source))?;
        let (path, seq) = (path.to_path_buf(), head.base.seq);
        let mut snapshot = Self { file, path, seq, chunk: Vec::new(), chunk_bytes: 0, frames: 0, length: 0 };
        snapshot.write(Kind::Head, &serde_json::to_vec(head).expect("a head has a JSON form"))?;
        Ok(snapshot)
    }

    /// Adds one record.
    pub(crate) fn add(&mut self, kind: &str, key: &[u8], version: u8, json: &str) -> Result<(), StoreError> {
        self.chunk_bytes += kind.len() + 2 * key.len() + json.len();
        let change = Change::Put { version, json: json.to_owned() };
        self.chunk.push(Op { kind: kind.to_owned().into(), key: key.to_vec(), change });
        if self.chunk_bytes >= CHUNK_BYTES { self.write_chunk() } else { Ok(()) }
    }

    /// Writes the end and syncs the file; returns its length in bytes.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        if !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        let end = End { frames: self.frames };
        self.write(Kind::End, &serde_json::to_vec(&end).expect("an end has a JSON form"))?;
        self.file.sync().map_err(|source| StoreError::io("sync", &self.path, source))?;
        Ok(self.length)
    }

    fn write_chunk(&mut self) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(&self.chunk).expect("ops have a JSON form");
        self.chunk.clear();
        self.chunk_bytes = 0;
        self.frames += 1;
        self.write(Kind::Batch, &payload)
    }

    fn write(&mut self, kind: Kind, payload: &[u8]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(frame::HEADER + payload.len());
        frame::encode(kind, self.seq, payload, &mut bytes);
        self.length += bytes.len() as u64;
        self.file.write(&bytes).map_err(|source| StoreError::io("write", &self.path, source))
    }
}

/// Records are written in frames of about 256 KiB, so that damage to one costs no more.
const CHUNK_BYTES: usize = 256 * 1024;
