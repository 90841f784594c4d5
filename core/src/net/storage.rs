//! A torrent's files on disk: under a working name while pieces are missing, then under their final one.
//!
//! An episode that is being fetched as `Show/Title.mp3` is `Show/.Title.mp3.part` until every piece is right; a folder likewise.
//! Only verified pieces are ever written. A resume file remembers which, with the sizes and times of the files: if those
//! still are as it says it is trusted, else everything is hashed, so that neither a kill nor a power cut nor an editor can
//! make us serve a torn piece.
//!
//! Law: a file has its final name only when its bytes are synced; nothing that was there before is ever overwritten.

mod open;
mod system;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use open::OpenFiles;
use system::{read_at, rename_to_new, stamp, write_at};

use super::buffers::{Buffer, Buffers};
use super::create::{FileProblem, Problem, Verified, Watch, verify};
use super::durable::{beside, sync_folder_of};
use super::resume::{Resume, Stamp};
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, BlockInfo, FileSlice, Layout};
use crate::metainfo::{FileEntry, Metainfo};

/// Where a torrent's bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// Everything is at this path, or was when it was last looked at: the file, or the folder of a multi-file torrent.
    Have(PathBuf),
    /// Everything is to be at this path; what is there already is checked.
    Fetch(PathBuf),
}

impl Files {
    /// The final path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Have(path) | Self::Fetch(path) => path,
        }
    }
}

/// The files cannot be used as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Something else is at the final path.
    #[error("`{path}` is there already and is not this torrent's: {found}", path = .path.display())]
    InTheWay {
        /// The final path.
        path: PathBuf,
        /// What is there.
        found: Mismatch,
    },
    /// What was to be served is not as it was.
    #[error("`{path}` has changed: {found}", path = .path.display())]
    Changed {
        /// The final path.
        path: PathBuf,
        /// What is there.
        found: Mismatch,
    },
    /// Another process fetches to the same place.
    #[error("`{path}` is being written by another download", path = .0.display())]
    Locked(PathBuf),
    /// The torrent was removed meanwhile.
    #[error("cancelled")]
    Cancelled,
    /// The system refused.
    #[error("{what} `{path}`", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How files differ from the torrent's.
#[derive(Debug)]
pub struct Mismatch {
    /// Pieces that match.
    pub good: u32,
    /// All pieces.
    pub pieces: u32,
    /// The first file that is missing, too long, or no file at all.
    pub problem: Option<FileProblem>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pieces match", self.good, self.pieces)?;
        self.problem.as_ref().map_or(Ok(()), |problem| write!(f, ", {problem}"))
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { what, path, source }
}

/// What was found on disk.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) storage: Storage,
    /// The pieces that are there and right.
    pub(crate) have: Bitfield,
    /// Whether the files are under their final names.
    pub(crate) placed: bool,
}

/// A torrent's open files.
#[derive(Debug)]
pub(crate) struct Storage {
    metainfo: Arc<Metainfo>,
    layout: Layout,
    /// The final path.
    root: PathBuf,
    /// The path of each file below the root, empty for a single file.
    names: Vec<PathBuf>,
    resume: PathBuf,
    #[expect(clippy::disallowed_types, reason = "the rim: disk threads share the open files")]
    state: std::sync::Mutex<State>,
    /// Held while a record is written; the number of pieces that the last one told.
    #[expect(clippy::disallowed_types, reason = "the rim: disk threads take turns")]
    noted: std::sync::Mutex<u32>,
    /// The first working file, kept locked against other processes.
    lock: Option<File>,
}

#[derive(Debug)]
struct State {
    placed: bool,
    open: OpenFiles,
}

impl Storage {
    /// Finds out what is there, and makes working files if nothing is. Blocks; hashes what cannot be trusted.
    pub(crate) fn prepare(
        metainfo: Arc<Metainfo>,
        files: &Files,
        resume: &Path,
        watch: Watch<'_>,
    ) -> Result<Prepared, StorageError> {
        let mut storage = Self::new(metainfo, files.path(), resume);
        let pieces = storage.layout.piece_count();
        if let Files::Have(path) = files {
            // Without a record the caller vouches for the bytes: it has just hashed them.
            let is_vouched_for = fs::symlink_metadata(resume).is_err() && storage.sizes_match();
            let found = if is_vouched_for { None } else { storage.look_in_place(watch)? };
            let path = path.clone();
            return found.map_or_else(|| Ok(storage.in_place()), |found| Err(StorageError::Changed { path, found }));
        }
        if fs::symlink_metadata(&storage.root).is_ok() {
            if let Some(found) = storage.look_in_place(watch)? {
                return Err(StorageError::InTheWay { path: storage.root, found });
            }
            storage.make_empty_files()?;
            return Ok(storage.in_place());
        }
        let are_fresh = storage.make_working_files()?;
        let have = if are_fresh {
            Bitfield::none(pieces)
        } else if let Some(have) = storage.recorded(false) {
            have
        } else {
            storage.check(false, watch)?.good
        };
        Ok(Prepared { storage, have, placed: false })
    }

    fn new(metainfo: Arc<Metainfo>, root: &Path, resume: &Path) -> Self {
        let info = &metainfo.info;
        let name = |file: &FileEntry| if info.is_single_file { PathBuf::new() } else { file.path.to_path_buf() };
        let names: Vec<PathBuf> = info.files.iter().map(name).collect();
        Self {
            layout: Layout::of(&metainfo.info),
            metainfo,
            root: root.to_owned(),
            names,
            resume: resume.to_owned(),
            state: State { placed: false, open: OpenFiles::default() }.into(),
            noted: 0.into(),
            lock: None,
        }
    }

    /// Every byte is right and under its final name.
    fn in_place(self) -> Prepared {
        let have = Bitfield::all(self.layout.piece_count());
        self.state().placed = true;
        if self.recorded(true).is_none() {
            self.note_all();
        }
        Prepared { storage: self, have, placed: true }
    }

    /// How the files under their final names differ from the torrent's; hashes them unless a record speaks for them.
    fn look_in_place(&self, watch: Watch<'_>) -> Result<Option<Mismatch>, StorageError> {
        if self.recorded(true).is_some_and(|have| have.is_all()) {
            return Ok(None);
        }
        let Verified { good, problems } = self.check(true, watch)?;
        // Nothing is lost with a file that has no bytes.
        let problem = problems.into_iter().find(|problem| !self.is_lost_empty_file(problem));
        let is_right = good.is_all() && problem.is_none();
        Ok((!is_right).then(|| Mismatch { good: good.count(), pieces: good.len(), problem }))
    }

    fn is_lost_empty_file(&self, problem: &FileProblem) -> bool {
        let mut files = self.metainfo.info.files.iter();
        matches!(problem.what, Problem::Missing) && files.any(|file| file.path == problem.path && file.length == 0)
    }

    /// Reads a span of verified bytes, cut into blocks.
    pub(crate) fn read(&self, span: BlockInfo, buffers: &Buffers) -> Result<Vec<Bytes>, StorageError> {
        let lengths = block_lengths(span.length);
        let mut blocks: Vec<Buffer> = lengths.iter().map(|_| buffers.take()).collect();
        let mut parts: VecDeque<&mut [u8]> =
            blocks.iter_mut().zip(&lengths).map(|(buffer, length)| &mut buffer.bytes_mut()[..*length]).collect();
        for slice in self.layout.slices(self.layout.range_of(span)) {
            let mut here = take_front(&mut parts, usize::try_from(slice.length).expect("a span fits into memory"));
            if self.is_pad(slice.file) {
                for part in &mut here {
                    part.fill(0);
                }
                continue;
            }
            let file = self.file(slice.file, false)?;
            read_at(&file, here, slice.offset).map_err(io_error("read", &self.path_of(slice.file)))?;
        }
        Ok(blocks.into_iter().zip(lengths).map(|(buffer, length)| buffer.freeze(length)).collect())
    }

    /// Writes a span, one write for each file that it touches.
    pub(crate) fn write(&self, span: BlockInfo, blocks: &[Bytes]) -> Result<(), StorageError> {
        let mut rest: Vec<Bytes> = blocks.to_vec();
        for FileSlice { file, offset, length } in self.layout.slices(self.layout.range_of(span)) {
            let part = split_front(&mut rest, length);
            if self.is_pad(file) {
                continue;
            }
            let open = self.file(file, true)?;
            write_at(&open, &part, offset).map_err(io_error("write", &self.path_of(file)))?;
        }
        Ok(())
    }

    /// Syncs the files and moves them to their final names. What was done before it failed is not done again.
    pub(crate) fn place(&self) -> Result<(), StorageError> {
        let is_placed = self.state().placed;
        if !is_placed {
            self.sync()?;
            self.sync_folders()?;
            let part = self.part();
            // Whoever opens a file meanwhile waits until it is known where the files are.
            let mut state = self.state();
            rename_to_new(&part, &self.root).map_err(io_error("move into place", &self.root))?;
            state.placed = true;
            // Handles that were opened for writing are not needed any more.
            state.open = OpenFiles::default();
        }
        sync_folder_of(&self.root).map_err(io_error("sync the folder of", &self.root))?;
        self.note_all();
        Ok(())
    }

    /// Syncs the working files, then notes which pieces are there.
    ///
    /// Files under their final names were noted when they were checked or placed; whoever writes to them after that must
    /// not be trusted for it.
    pub(crate) fn remember(&self, have: &Bitfield) -> Result<(), StorageError> {
        if self.state().placed {
            return Ok(());
        }
        self.sync()?;
        self.note(have, false)
    }

    /// Notes that everything is in place. That the note cannot be written costs a check at the next start, no more.
    fn note_all(&self) {
        if let Err(err) = self.note(&Bitfield::all(self.layout.piece_count()), true) {
            tracing::warn!(%err, path = %self.root.display(), "that everything is there is not remembered");
        }
    }

    /// Writes the record, unless a later one was written by another thread.
    fn note(&self, have: &Bitfield, placed: bool) -> Result<(), StorageError> {
        let mut noted = self.noted.lock().expect("nothing panics while it writes a record");
        if placed != self.state().placed || have.count() < *noted {
            return Ok(());
        }
        let resume = Resume::new(self.metainfo.info_hash, have, placed, self.stamps(placed));
        resume.write(&self.resume).map_err(io_error("write", &self.resume))?;
        *noted = have.count();
        Ok(())
    }

    /// Closes what is open; it is opened again when it is needed.
    pub(crate) fn close(&self) {
        self.state().open = OpenFiles::default();
    }

    fn sync(&self) -> Result<(), StorageError> {
        for i in (0..self.names.len()).filter(|i| !self.is_pad(*i)) {
            self.file(i, false)?.sync_all().map_err(io_error("sync", &self.path_of(i)))?;
        }
        Ok(())
    }

    /// Makes the names of the working files durable, all but the outermost.
    fn sync_folders(&self) -> Result<(), StorageError> {
        let part = self.part();
        let mut synced = BTreeSet::new();
        for (_, name) in self.names.iter().enumerate().filter(|(i, _)| !self.is_pad(*i)) {
            for inner in name.ancestors().take_while(|inner| !inner.as_os_str().is_empty()) {
                if synced.insert(inner.parent()) {
                    let path = part.join(inner);
                    sync_folder_of(&path).map_err(io_error("sync the folder of", &path))?;
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the open files")
    }

    /// Padding is all zeros and never on a disk. BEP 47.
    fn is_pad(&self, file: usize) -> bool {
        self.metainfo.info.files[file].is_pad
    }

    fn part(&self) -> PathBuf {
        beside(&self.root, "part")
    }

    fn path_in(&self, root: &Path, file: usize) -> PathBuf {
        // Joining an empty path would add a slash.
        if self.names[file].as_os_str().is_empty() { root.to_owned() } else { root.join(&self.names[file]) }
    }

    fn path_of(&self, file: usize) -> PathBuf {
        let placed = self.state().placed;
        self.path_in(&if placed { self.root.clone() } else { self.part() }, file)
    }

    fn file(&self, file: usize, write: bool) -> Result<Arc<File>, StorageError> {
        let mut state = self.state();
        if let Some(open) = state.open.get(file) {
            return Ok(open);
        }
        let root = if state.placed { self.root.clone() } else { self.part() };
        let path = self.path_in(&root, file);
        let writable = write || !state.placed;
        let opened = OpenOptions::new().read(true).write(writable).open(&path).map_err(io_error("open", &path))?;
        let opened = Arc::new(opened);
        state.open.put(file, Arc::clone(&opened));
        Ok(opened)
    }

    /// Makes the working files at their full lengths, without taking up space where the file system can do so. Tells
    /// whether all of them are new, so that there is nothing in them.
    fn make_working_files(&mut self) -> Result<bool, StorageError> {
        let part = self.part();
        let mut are_fresh = true;
        if let Some(parent) = part.parent() {
            fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
        }
        let metainfo = Arc::clone(&self.metainfo);
        for (i, entry) in metainfo.info.files.iter().enumerate().filter(|(_, entry)| !entry.is_pad) {
            let path = self.path_in(&part, i);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
            }
            let (file, is_new) = open_or_make(&path).map_err(io_error("make", &path))?;
            are_fresh &= is_new;
            if self.lock.is_none() {
                match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Err(StorageError::Locked(path)),
                    Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
                }
                self.lock = Some(file.try_clone().map_err(io_error("open", &path))?);
            }
            // To set the length that a file has would still count as a change to it, and make its record void.
            if file.metadata().map_err(io_error("look at", &path))?.len() != entry.length {
                file.set_len(entry.length).map_err(io_error("make room for", &path))?;
            }
        }
        Ok(are_fresh)
    }

    /// Makes the files without bytes that are not there any more.
    fn make_empty_files(&self) -> Result<(), StorageError> {
        for (i, _) in
            self.metainfo.info.files.iter().enumerate().filter(|(_, entry)| entry.length == 0 && !entry.is_pad)
        {
            let path = self.path_in(&self.root, i);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
            }
            open_or_make(&path).map_err(io_error("make", &path))?;
        }
        Ok(())
    }

    /// The pieces that the record tells of, if the files are as it left them.
    fn recorded(&self, placed: bool) -> Option<Bitfield> {
        let pieces = self.layout.piece_count();
        Resume::read(&self.resume)?.pieces(self.metainfo.info_hash, pieces, placed, &self.stamps(placed))
    }

    fn sizes_match(&self) -> bool {
        self.metainfo
            .info
            .files
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.is_pad)
            .all(|(i, entry)| fs::metadata(self.path_in(&self.root, i)).is_ok_and(|found| found.len() == entry.length))
    }

    /// Size and modification time of each file, in nanoseconds; zero where there is none.
    fn stamps(&self, placed: bool) -> Vec<Stamp> {
        let root = if placed { self.root.clone() } else { self.part() };
        let stamp = |i| if self.is_pad(i) { None } else { stamp(&self.path_in(&root, i)) };
        (0..self.names.len()).map(|i| stamp(i).unwrap_or_default()).collect()
    }

    fn check(&self, placed: bool, watch: Watch<'_>) -> Result<Verified, StorageError> {
        let root = if placed { self.root.clone() } else { self.part() };
        verify(&self.metainfo, &root, watch).map_err(|_| StorageError::Cancelled)
    }
}

/// Opens the file for reading and writing; makes it if there is none, and tells whether it did.
fn open_or_make(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok((options.open(path)?, false)),
        Err(err) => Err(err),
    }
}

/// Takes `length` bytes off the front.
fn split_front(blocks: &mut Vec<Bytes>, mut length: u64) -> Vec<Bytes> {
    let mut front = Vec::new();
    while length > 0 {
        let Some(first) = blocks.first_mut() else { break };
        if first.len() as u64 <= length {
            length -= first.len() as u64;
            front.push(blocks.remove(0));
        } else {
            front.push(first.split_to(usize::try_from(length).expect("shorter than a block")));
            length = 0;
        }
    }
    front
}

/// The lengths of the blocks that a span of this length is cut into.
fn block_lengths(span: u32) -> Vec<usize> {
    (0..span).step_by(BLOCK_LENGTH as usize).map(|begin| (span - begin).min(BLOCK_LENGTH) as usize).collect()
}

/// Takes `length` bytes of room off the front.
fn take_front<'a>(parts: &mut VecDeque<&'a mut [u8]>, mut length: usize) -> Vec<&'a mut [u8]> {
    let mut front = Vec::new();
    while length > 0 {
        let Some(part) = parts.pop_front() else { break };
        let (here, rest) = part.split_at_mut(length.min(part.len()));
        length -= here.len();
        front.push(here);
        if !rest.is_empty() {
            parts.push_front(rest);
        }
    }
    front
}

#[cfg(test)]
mod tests;
