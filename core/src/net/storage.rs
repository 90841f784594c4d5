//! A torrent's files on disk: under a working name while pieces are missing, then under their final one.
//!
//! An episode that is being fetched as `Show/Title.mp3` is `Show/.Title.mp3.part` until every piece is right; a folder likewise.
//! Only verified pieces are ever written. A resume file remembers which, with the sizes and times of the files: if those
//! still are as it says it is trusted, else everything is hashed, so that neither a kill nor a power cut nor an editor can
//! make us serve a torn piece.
//!
//! Law: a file has its final name only when its bytes are synced; nothing that was there before is ever overwritten.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::buffers::{Buffer, Buffers};
use super::create::{Watch, verify};
use super::durable::{beside, sync_folder_of};
use super::resume::{Resume, Stamp};
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, BlockInfo, FileSlice, Layout};
use crate::metainfo::Metainfo;

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
    #[error("`{path}` is there already and is not this torrent's: {good} of {pieces} pieces match", path = .path.display())]
    InTheWay {
        /// The final path.
        path: PathBuf,
        /// Pieces that match.
        good: u32,
        /// All pieces.
        pieces: u32,
    },
    /// What was to be served is not as it was.
    #[error("`{path}` has changed: {good} of {pieces} pieces match the torrent", path = .path.display())]
    Changed {
        /// The final path.
        path: PathBuf,
        /// Pieces that match.
        good: u32,
        /// All pieces.
        pieces: u32,
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
    /// The first working file, kept locked against other processes.
    lock: Option<File>,
}

#[derive(Debug)]
struct State {
    placed: bool,
    open: Vec<Option<Arc<File>>>,
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
        let final_is_there = fs::symlink_metadata(&storage.root).is_ok();
        if let Files::Have(_) = files {
            let known = Resume::read(&storage.resume);
            // Without a record the caller vouches for the bytes: it has just hashed them.
            let trusted = known.map_or_else(|| storage.sizes_match(), |known| storage.trusts(&known, true).is_some());
            let have = if trusted { Bitfield::all(pieces) } else { storage.check(true, watch)? };
            let (path, good) = (storage.root.clone(), have.count());
            if !have.is_all() {
                return Err(StorageError::Changed { path, good, pieces });
            }
            return storage.prepared(have, true);
        }
        if final_is_there {
            let known = Resume::read(&storage.resume).and_then(|known| storage.trusts(&known, true));
            let have = if let Some(have) = known { have } else { storage.check(true, watch)? };
            let (path, good) = (storage.root.clone(), have.count());
            if !have.is_all() {
                return Err(StorageError::InTheWay { path, good, pieces });
            }
            return storage.prepared(have, true);
        }
        storage.make_working_files()?;
        let known = Resume::read(&storage.resume).and_then(|known| storage.trusts(&known, false));
        let have = if let Some(have) = known { have } else { storage.check(false, watch)? };
        storage.prepared(have, false)
    }

    fn new(metainfo: Arc<Metainfo>, root: &Path, resume: &Path) -> Self {
        let names: Vec<PathBuf> = if metainfo.info.is_single_file {
            vec![PathBuf::new()]
        } else {
            metainfo.info.files.iter().map(|file| file.path.to_path_buf()).collect()
        };
        let open = names.iter().map(|_| None).collect();
        Self {
            layout: Layout::of(&metainfo.info),
            metainfo,
            root: root.to_owned(),
            names,
            resume: resume.to_owned(),
            state: State { placed: false, open }.into(),
            lock: None,
        }
    }

    fn prepared(self, have: Bitfield, placed: bool) -> Result<Prepared, StorageError> {
        self.state().placed = placed;
        if placed {
            self.note(&have, true)?;
        }
        Ok(Prepared { storage: self, have, placed })
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

    /// Syncs the files and moves them to their final names.
    pub(crate) fn place(&self) -> Result<(), StorageError> {
        if self.state().placed {
            return Ok(());
        }
        self.sync()?;
        let part = self.part();
        rename_to_new(&part, &self.root).map_err(io_error("move into place", &self.root))?;
        sync_folder_of(&self.root).map_err(io_error("sync the folder of", &self.root))?;
        let mut state = self.state();
        state.placed = true;
        // Handles that were opened for writing are not needed any more.
        state.open.iter_mut().for_each(|file| *file = None);
        drop(state);
        self.note(&Bitfield::all(self.layout.piece_count()), true)
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

    fn note(&self, have: &Bitfield, placed: bool) -> Result<(), StorageError> {
        let resume = Resume::new(self.metainfo.info_hash, have, placed, self.stamps(placed));
        resume.write(&self.resume).map_err(io_error("write", &self.resume))
    }

    /// Closes what is open; it is opened again when it is needed.
    pub(crate) fn close(&self) {
        self.state().open.iter_mut().for_each(|file| *file = None);
    }

    fn sync(&self) -> Result<(), StorageError> {
        for i in (0..self.names.len()).filter(|i| !self.is_pad(*i)) {
            self.file(i, false)?.sync_all().map_err(io_error("sync", &self.path_of(i)))?;
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
        if let Some(open) = &state.open[file] {
            return Ok(Arc::clone(open));
        }
        let root = if state.placed { self.root.clone() } else { self.part() };
        let path = self.path_in(&root, file);
        let writable = write || !state.placed;
        let opened = OpenOptions::new().read(true).write(writable).open(&path).map_err(io_error("open", &path))?;
        let opened = Arc::new(opened);
        state.open[file] = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Makes the working files at their full lengths, without taking up space where the file system can do so.
    fn make_working_files(&mut self) -> Result<(), StorageError> {
        let part = self.part();
        if let Some(parent) = part.parent() {
            fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
        }
        let metainfo = Arc::clone(&self.metainfo);
        for (i, entry) in metainfo.info.files.iter().enumerate().filter(|(_, entry)| !entry.is_pad) {
            let path = self.path_in(&part, i);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
            }
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(io_error("make", &path))?;
            if self.lock.is_none() {
                match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Err(StorageError::Locked(path)),
                    Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
                }
                self.lock = Some(file.try_clone().map_err(io_error("open", &path))?);
            }
            file.set_len(entry.length).map_err(io_error("make room for", &path))?;
        }
        Ok(())
    }

    /// The pieces that a record tells of, if the files are as it left them.
    fn trusts(&self, known: &Resume, placed: bool) -> Option<Bitfield> {
        known.pieces(self.metainfo.info_hash, self.layout.piece_count(), placed, &self.stamps(placed))
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

    fn check(&self, placed: bool, watch: Watch<'_>) -> Result<Bitfield, StorageError> {
        let root = if placed { self.root.clone() } else { self.part() };
        let verified = verify(&self.metainfo, &root, watch).map_err(|_| StorageError::Cancelled)?;
        Ok(verified.good)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let modified = found.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((found.len(), u64::try_from(modified.as_nanos()).ok()?))
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

/// One system call for all parts, unless the system gives less than it was asked for.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<io::IoSliceMut<'_>> = parts.into_iter().map(io::IoSliceMut::new).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match rustix::io::preadv(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                io::IoSliceMut::advance_slices(&mut rest, read);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    for part in parts {
        std::os::unix::fs::FileExt::read_exact_at(file, part, offset)?;
        offset += part.len() as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, parts: Vec<&mut [u8]>, mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    for part in parts {
        let mut done = 0;
        while done < part.len() {
            match file.seek_read(&mut part[done..], offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    done += read;
                    offset += read as u64;
                }
            }
        }
    }
    Ok(())
}

/// One system call for a whole run of blocks, unless the system takes less than it was given.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    const MOST: usize = 512;
    for blocks in blocks.chunks(MOST) {
        let mut slices: Vec<io::IoSlice<'_>> = blocks.iter().map(|block| io::IoSlice::new(block)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match rustix::io::pwritev(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    io::IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    for block in blocks {
        std::os::unix::fs::FileExt::write_all_at(file, block, offset)?;
        offset += block.len() as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn write_at(file: &File, blocks: &[Bytes], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    for block in blocks {
        let mut rest = &block[..];
        while !rest.is_empty() {
            match file.seek_write(rest, offset)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    offset += written as u64;
                    rest = &rest[written..];
                }
            }
        }
    }
    Ok(())
}

/// Renames, unless something has the new name.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // The file system does not know the flag.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}
