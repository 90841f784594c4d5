//! The journal: append-only files that are the truth of the store.
//!
//! A journal is a folder of numbered segments. Each is a run of [`frame`]s: a head, then batches of changes in the JSON
//! form of [`Op`], numbered without a gap. A compaction writes the whole state as one snapshot segment beside the
//! others, syncs it, gives it its name, and only then removes what it replaces; so a crash at any point leaves either
//! the old segments or the new one whole.
//!
//! Knows nothing of the index. Law: [`Journal::append`] returns `Ok` only once the bytes are on disk, and after an
//! error none of them is left in the way of the next write.

pub(super) mod frame;
mod read;
mod snapshot;
mod survey;

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub(super) use snapshot::Snapshot;
pub(super) use survey::{Damage, Origin, Position};

use super::StoreError;
use super::disk::{Disk, LogFile};
use super::op::Op;
use frame::Kind;
use read::{Item, Reader};
use survey::{Head, Segment, Survey, path_of};

/// The journal of one open store.
pub(super) struct Journal {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    segments: Vec<Place>,
    active: Option<Active>,
    /// The number of the next segment. Numbers are never used twice, so a later segment is always of later changes.
    next: u64,
    origin: Origin,
    base: u64,
    end: Position,
    /// Held, by the system's file lock, for as long as the journal is open.
    _lock: File,
}

/// A segment that is part of the journal.
struct Place {
    path: PathBuf,
    length: u64,
    damaged: bool,
}

/// The segment that grows; always the last of the journal's.
struct Active {
    file: Box<dyn LogFile>,
    /// Whether bytes of a failed write may stand after the segment's length.
    torn: bool,
}

/// What opening a journal found.
pub(super) struct Found {
    /// Bytes that were cut from the end.
    pub(super) tail_dropped: u64,
    /// What could not be read.
    pub(super) damage: Option<Damage>,
    /// Which journal it is; `None` if it is new, or too damaged to tell.
    pub(super) origin: Option<Origin>,
    /// The frames after the journal's base.
    marks: Vec<Position>,
    base: Option<Position>,
}

impl Found {
    /// Whether the journal went through `position`; true also where damage hides the answer.
    pub(super) fn passed(&self, position: Position) -> bool {
        if let Some(base) = self.base.filter(|base| base.seq == position.seq) {
            return base == position;
        }
        match self.marks.binary_search_by_key(&position.seq, |mark| mark.seq) {
            Ok(at) => self.marks[at].crc == position.crc,
            Err(_) => self.damage.as_ref().is_some_and(|damage| position.seq <= damage.upto),
        }
    }
}

impl Journal {
    /// Opens the journal in `dir`, which is made if it is not there.
    ///
    /// Cuts the torn tail and removes what a compaction left behind. Fails where another store holds the folder, where
    /// it cannot be written, or where a later version wrote it.
    pub(super) fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Self, Found), StoreError> {
        let lock = lock(dir)?;
        remove_leftovers(dir, &*disk)?;
        let survey = Survey::of(dir)?;
        let Survey { live, superseded, base, end, origin, marks, damage, tail } = survey;
        let mut journal = Self {
            dir: dir.to_path_buf(),
            next: live.last().map_or(1, |last| last.number + 1),
            segments: live.iter().map(Place::of).collect(),
            active: None,
            origin: origin.unwrap_or_else(Origin::new),
            base: live.first().map_or(0, Segment::begin),
            end,
            disk,
            _lock: lock,
        };
        let replaced: Vec<_> = superseded.iter().map(Place::of).collect();
        journal.discard(&replaced);
        if let Some(tail) = &tail {
            journal.cut(tail.start)?;
        }
        journal.reuse(live.last())?;
        let tail_dropped = tail.map_or(0, |tail| tail.end - tail.start);
        Ok((journal, Found { tail_dropped, damage, origin, marks, base }))
    }

    /// Writes each of `payloads` as a batch of its own, with one sync for all.
    ///
    /// Each is the JSON text of a list of [`Op`]s, at most [`frame::MAX_PAYLOAD`] bytes.
    pub(super) fn append(&mut self, payloads: &[&[u8]]) -> Result<(), StoreError> {
        self.mend()?;
        if self.segments.last().is_none_or(|last| last.length >= SEGMENT_BYTES) {
            self.active = None;
        }
        if self.active.is_none() {
            self.begin_segment()?;
        }
        let mut bytes = Vec::with_capacity(payloads.iter().map(|payload| payload.len() + frame::HEADER).sum());
        let mut end = self.end;
        for payload in payloads {
            end.seq += 1;
            end.crc = frame::encode(Kind::Batch, end.seq, payload, &mut bytes);
        }
        let active = self.active.as_mut().expect("a segment was begun");
        let place = self.segments.last_mut().expect("the active segment is one of them");
        if let Err(source) = active.file.write(&bytes).and_then(|()| active.file.sync()) {
            active.torn = true;
            let error = StoreError::io("write", &place.path, source);
            // The next write tries again if the bytes cannot be taken back now.
            let _ = self.mend();
            return Err(error);
        }
        place.length += bytes.len() as u64;
        self.end = end;
        Ok(())
    }

    /// Shows `visit` every batch with a sequence number in `range`, and the position after it, in order.
    ///
    /// A snapshot's batches all have the number that the snapshot stands for. Frames that do not pass their CRC are
    /// passed over; [`Found::damage`] has told of them.
    pub(super) fn replay<E: From<StoreError>>(
        &self,
        range: RangeInclusive<u64>,
        mut visit: impl FnMut(Position, Vec<Op>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = 0;
        for place in &self.segments {
            let io = |source| StoreError::io("read", &place.path, source);
            let mut reader = Reader::open(&place.path).map_err(io)?;
            while let Some(item) = reader.next().map_err(io)? {
                let Item::Frame(header, payload) = item else { continue };
                let is_batch = survey::checked(&header, &place.path)? == Some(Kind::Batch);
                // Numbers only grow, but for those of a snapshot.
                if is_batch && header.seq >= seen && range.contains(&header.seq) {
                    let ops = serde_json::from_slice(&payload).map_err(|source| io(source.into()))?;
                    visit(Position { seq: header.seq, crc: header.crc }, ops)?;
                    seen = header.seq;
                }
            }
        }
        Ok(())
    }

    /// Replaces all segments by one snapshot, which `fill` writes; damaged ones are set aside and named in the answer.
    ///
    /// On an error the old segments go on to count.
    pub(super) fn compact<E: From<StoreError>>(
        &mut self,
        fill: impl FnOnce(&mut Snapshot) -> Result<(), E>,
    ) -> Result<Vec<PathBuf>, E> {
        // A write that failed must not stay behind in a segment that another one follows.
        self.mend()?;
        let number = self.next;
        self.next += 1;
        let origin = Origin { generation: self.origin.generation + 1, ..self.origin };
        let path = path_of(&self.dir, number);
        let temporary = path.with_extension(TEMPORARY);
        let head = Head { segment: number, origin, base: self.end, snapshot: true };
        let write = || {
            let mut snapshot = Snapshot::create(&*self.disk, &temporary, &head)?;
            fill(&mut snapshot)?;
            Ok::<_, E>(snapshot.finish()?)
        };
        // Half a file may be what fills the disk; the next open removes it if this does not.
        let length = write().inspect_err(|_| drop(self.disk.remove(&temporary)))?;
        // From here on the snapshot may be what the next open finds, whatever the system says of the rename: no segment
        // with a lower number may grow any more.
        self.active = None;
        self.publish(&temporary, &path)?;
        self.origin = origin;
        self.base = self.end.seq;
        let replaced = std::mem::replace(&mut self.segments, vec![Place { path, length, damaged: false }]);
        Ok(self.discard(&replaced))
    }

    /// Goes on at `end`, which lies beyond what the segments hold; a compaction must follow.
    pub(super) fn skip_to(&mut self, end: Position) {
        self.active = None;
        self.end = end;
    }

    /// Takes over the origin that an index remembers, where the segments do not tell.
    pub(super) fn adopt(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Where the journal stands.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// The sequence number that the oldest segment begins at.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Which journal it is.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether there is nothing in it, not even a segment.
    pub(super) fn is_new(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|place| place.length).sum()
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes back what a failed write left.
    fn mend(&mut self) -> Result<(), StoreError> {
        let Some(active) = self.active.as_mut().filter(|active| active.torn) else { return Ok(()) };
        let place = self.segments.last().expect("the active segment is one of them");
        let cut = active.file.cut(place.length).and_then(|()| active.file.sync());
        cut.map_err(|source| StoreError::io("take back a failed write to", &place.path, source))?;
        active.torn = false;
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), StoreError> {
        let number = self.next;
        self.next += 1;
        let path = path_of(&self.dir, number);
        let temporary = path.with_extension(TEMPORARY);
        let head = Head { segment: number, origin: self.origin, base: self.end, snapshot: false };
        let mut bytes = Vec::new();
        let payload = serde_json::to_vec(&head).expect("a head has a JSON form");
        frame::encode(Kind::Head, head.base.seq, &payload, &mut bytes);
        let create = || {
            let mut file = self.disk.create(&temporary)?;
            file.write(&bytes)?;
            file.sync()?;
            Ok(file)
        };
        let file = create().map_err(|source| {
            drop(self.disk.remove(&temporary));
            StoreError::io("write", &temporary, source)
        })?;
        self.publish(&temporary, &path)?;
        self.segments.push(Place { path, length: bytes.len() as u64, damaged: false });
        self.active = Some(Active { file, torn: false });
        Ok(())
    }

    /// Gives a synced file its name, for good.
    fn publish(&self, temporary: &Path, path: &Path) -> Result<(), StoreError> {
        let renamed = self.disk.rename(temporary, path).and_then(|()| self.disk.sync_dir(&self.dir));
        renamed.map_err(|source| StoreError::io("create", path, source))
    }

    /// Removes segments that nothing needs any more; damaged ones are evidence and are set aside.
    ///
    /// What cannot be removed now is older than a whole snapshot, so the next open tries again.
    fn discard(&self, replaced: &[Place]) -> Vec<PathBuf> {
        let mut set_aside = Vec::new();
        for place in replaced {
            let result = if place.damaged {
                let kept = free_name(&place.path);
                self.disk.rename(&place.path, &kept).map(|()| set_aside.push(kept))
            } else {
                self.disk.remove(&place.path)
            };
            if let Err(error) = result {
                tracing::warn!(path = %place.path.display(), %error, "old journal segment stays for now");
            }
        }
        if !replaced.is_empty()
            && let Err(error) = self.disk.sync_dir(&self.dir)
        {
            tracing::warn!(path = %self.dir.display(), %error, "folder not synced");
        }
        set_aside
    }

    /// Cuts the last segment to `length` bytes.
    fn cut(&mut self, length: u64) -> Result<(), StoreError> {
        let place = self.segments.last_mut().expect("a tail is part of a segment");
        let cut = self.disk.append(&place.path).and_then(|mut file| {
            file.cut(length)?;
            file.sync()
        });
        cut.map_err(|source| StoreError::io("cut the torn end of", &place.path, source))?;
        place.length = length;
        Ok(())
    }

    /// Goes on writing to the last segment where that is safe.
    fn reuse(&mut self, last: Option<&Segment>) -> Result<(), StoreError> {
        let Some(last) = last.filter(|last| !last.damaged && !last.is_snapshot) else { return Ok(()) };
        let file = self.disk.append(&last.path).map_err(|source| StoreError::io("open", &last.path, source))?;
        self.active = Some(Active { file, torn: false });
        Ok(())
    }
}

impl Place {
    fn of(segment: &Segment) -> Self {
        Self { path: segment.path.clone(), length: segment.length, damaged: segment.damaged }
    }
}

/// Makes the folder and takes its lock.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let occupied = |path: &Path| path.exists() && !path.is_dir();
    if let Some(path) = dir.ancestors().find(|path| occupied(path)) {
        return Err(StoreError::NotAFolder { path: path.to_path_buf() });
    }
    fs::create_dir_all(dir).map_err(|source| StoreError::io("create", dir, source))?;
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| StoreError::io("open", &path, source))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that this one starts shares its locks for a moment, until it becomes another program.
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PATIENCE / 50),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: dir.parent().unwrap_or(dir).to_path_buf() });
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", &path, source)),
        }
    }
}

/// Removes files that never got their name.
fn remove_leftovers(dir: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let list = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let paths = list().map_err(|source| StoreError::io("list", dir, source))?;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == TEMPORARY)) {
        disk.remove(path).map_err(|source| StoreError::io("remove", path, source))?;
    }
    Ok(())
}

/// The first of `NAME.bad-1`, `NAME.bad-2` … that is not taken.
fn free_name(path: &Path) -> PathBuf {
    let name = |n: u32| path.with_extension(format!("bad-{n}"));
    (1..=u32::MAX).map(name).find(|path| !path.exists()).expect("no folder holds so many files")
}

/// A segment this long is closed and the next one begun: 8 MiB.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// How long a lock that is held may turn out to be free after all.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// The extension of a file that is being written and does not count yet.
const TEMPORARY: &str = "tmp";
