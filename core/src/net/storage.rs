//! A torrent's files on disk: under a working name while pieces are missing, then under their final one.
//!
//! An episode that is being fetched as `Show/Title.mp3` is `Show/.Title.mp3.part` until every piece is right; a folder
//! likewise. Only verified pieces are ever written. A resume file remembers which, with the sizes and times of the
//! files: if those still are as it says it is trusted, else everything is hashed, so that neither a kill nor a power
//! cut nor an editor can make us serve a torn piece.
//!
//! Files that are left out are not made. Bytes of theirs that come with a piece of a file that is wanted lie in
//! `.Title.parts`, at their place in the torrent; the file is sparse and stays as long as files are left out. Files may
//! be chosen later: then the folder goes back to its working name until they are there.
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
use crate::layout::{BLOCK_LENGTH, BlockInfo, FileSlice, Layout, PieceIndex};
use crate::metainfo::{FileChoice, FileEntry, Metainfo};
use crate::piece::check::judge;
use crate::piece::{Candidate, Verdict};

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
    /// The files that are wanted: those that were asked for, and those that were there before. All if `None`.
    pub(crate) choice: Option<FileChoice>,
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
    /// The files that are wanted; all if `None`.
    choice: Option<FileChoice>,
    /// The pieces that have bytes of them.
    wanted: Bitfield,
    resume: PathBuf,
    #[expect(clippy::disallowed_types, reason = "the rim: disk threads share the open files")]
    state: std::sync::Mutex<State>,
    /// Held while a record is written; the number of pieces that the last one told.
    #[expect(clippy::disallowed_types, reason = "the rim: disk threads take turns")]
    noted: std::sync::Mutex<u32>,
    /// Held while pieces are written: systems let in one writer to a file at a time, and have the others spin.
    #[expect(clippy::disallowed_types, reason = "the rim: disk threads take turns")]
    writing: std::sync::Mutex<()>,
}

/// Where consecutive bytes of the torrent lie.
#[derive(Debug)]
pub(crate) struct Place {
    /// The file with its number; none has padding.
    file: Option<(usize, Arc<File>)>,
    /// Where in the file, in bytes.
    offset: u64,
    /// How many bytes.
    length: u64,
}

impl Place {
    /// Whether nothing is left of it.
    #[cfg(target_os = "linux")]
    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Has the system send bytes off the front, as many as the socket takes. `Unsupported` if it sends none of them:
    /// whoever reads them hears why.
    #[cfg(target_os = "linux")]
    pub(crate) fn send(&mut self, socket: impl std::os::fd::AsFd) -> io::Result<()> {
        let Some((_, file)) = &self.file else { return Err(io::ErrorKind::Unsupported.into()) };
        let sent = system::send_from(file, self.offset, self.length, socket)?;
        self.advance(sent);
        Ok(())
    }

    /// Goes on behind so many bytes.
    const fn advance(&mut self, count: usize) {
        self.offset += count as u64;
        self.length -= count as u64;
    }
}

#[derive(Debug, Default)]
struct State {
    placed: bool,
    open: OpenFiles,
    /// The first working file, and that of the parts, kept locked against other processes while pieces are missing.
    locks: Vec<File>,
}

impl Storage {
    /// Finds out what is there, and makes working files if nothing is. Blocks; hashes what cannot be trusted.
    ///
    /// Without a `choice` all files are wanted; of what is there already, those that were chosen when it was fetched.
    pub(crate) fn prepare(
        metainfo: Arc<Metainfo>,
        files: &Files,
        choice: Option<FileChoice>,
        resume: &Path,
        watch: Watch<'_>,
    ) -> Result<Prepared, StorageError> {
        let mut storage = Self::new(metainfo, files.path(), choice, resume);
        if let Files::Have(path) = files {
            if storage.choice.is_none() && !storage.sizes_match() {
                // What was chosen when it was fetched is all that is there.
                let before = Resume::read(resume).and_then(|record| storage.choice_of(&record));
                storage.choose(before);
            }
            // Without a record the caller vouches for the bytes: it has just hashed them.
            let is_vouched_for = fs::symlink_metadata(resume).is_err() && storage.sizes_match();
            let found = if is_vouched_for { None } else { storage.look_in_place(watch)? };
            let path = path.clone();
            return found.map_or_else(|| Ok(storage.in_place()), |found| Err(StorageError::Changed { path, found }));
        }
        if fs::symlink_metadata(&storage.root).is_ok() {
            if let Some(have) = storage.take_back()? {
                return Ok(storage.at_work(have));
            }
            if let Some(found) = storage.look_in_place(watch)? {
                // Whoever wants some of the files may have all.
                let is_part = storage.choice.is_some();
                storage.choose(None);
                if !is_part || storage.look_in_place(watch)?.is_some() {
                    return Err(StorageError::InTheWay { path: storage.root, found });
                }
            }
            storage.make_empty_files()?;
            return Ok(storage.in_place());
        }
        let recorded = storage.recorded_at_work();
        let are_fresh = storage.make_working_files()?;
        storage.remove_left_out()?;
        let have = if are_fresh {
            Bitfield::none(storage.layout.piece_count())
        } else if let Some(have) = recorded {
            have
        } else {
            storage.check(false, watch)?.good
        };
        Ok(storage.at_work(have))
    }

    fn new(metainfo: Arc<Metainfo>, root: &Path, choice: Option<FileChoice>, resume: &Path) -> Self {
        let info = &metainfo.info;
        let name = |file: &FileEntry| if info.is_single_file { PathBuf::new() } else { file.path.to_path_buf() };
        let names: Vec<PathBuf> = info.files.iter().map(name).collect();
        let layout = Layout::of(&metainfo.info);
        let wanted = wanted(&layout, choice.as_ref());
        Self {
            layout,
            metainfo,
            root: root.to_owned(),
            names,
            choice,
            wanted,
            resume: resume.to_owned(),
            state: State::default().into(),
            noted: 0.into(),
            writing: ().into(),
        }
    }

    /// The files are under their working names, and these pieces are there.
    fn at_work(self, have: Bitfield) -> Prepared {
        let choice = self.choice.clone();
        Prepared { storage: self, have, placed: false, choice }
    }

    /// The files that were wanted when a record was written.
    fn choice_of(&self, record: &Resume) -> Option<FileChoice> {
        // A record of nothing is none.
        FileChoice::new(&self.metainfo.info, |file| !record.leaves_out(file)).unwrap_or_default()
    }

    fn choose(&mut self, choice: Option<FileChoice>) {
        self.wanted = wanted(&self.layout, choice.as_ref());
        self.choice = choice;
    }

    /// Where files are in place that were chosen before, and others are wanted now, too: gives the folder its working
    /// name again. Tells which pieces are there; `None` if nothing else is wanted, or no record tells what was.
    fn take_back(&mut self) -> Result<Option<Bitfield>, StorageError> {
        let Some(record) = Resume::read(&self.resume) else { return Ok(None) };
        let (before, now) = (self.choice_of(&record), self.choice.clone());
        if before.is_none() || before == now {
            return Ok(None);
        }
        self.choose(before.clone());
        let Some(mut have) = self.recorded(true) else {
            self.choose(now);
            return Ok(None);
        };
        // What was chosen once stays.
        let is_in = |choice: &Option<FileChoice>, file| choice.as_ref().is_none_or(|choice| choice.contains(file));
        let both = FileChoice::new(&self.metainfo.info, |file| is_in(&before, file) || is_in(&now, file));
        let both = both.unwrap_or_default();
        let is_new = |file: usize| !self.is_pad(file) && !is_in(&before, file) && is_in(&both, file);
        // What somebody has put there is not ours to write to.
        let is_taken = |file: usize| fs::symlink_metadata(self.path_in(&self.root, file)).is_ok();
        if both == before {
            return Ok(None);
        }
        if (0..self.names.len()).any(|file| is_new(file) && is_taken(file)) {
            self.choose(now);
            return Ok(None);
        }
        self.forget_changed(&mut have, is_new);
        self.choose(both);
        rename_to_new(&self.root, &self.part()).map_err(io_error("take back", &self.root))?;
        self.make_working_files()?;
        Ok(Some(have))
    }

    /// The pieces that the record tells of, without those that lie elsewhere now, as other files are wanted.
    fn recorded_at_work(&mut self) -> Option<Bitfield> {
        let record = Resume::read(&self.resume)?;
        let (before, now) = (self.choice_of(&record), self.choice.clone());
        self.choose(before.clone());
        let have = self.recorded(false);
        self.choose(now.clone());
        let is_in = |choice: &Option<FileChoice>, file| choice.as_ref().is_none_or(|choice| choice.contains(file));
        let mut have = have?;
        self.forget_changed(&mut have, |file| is_in(&before, file) != is_in(&now, file));
        for piece in self.layout.pieces().filter(|piece| !self.wanted.has(*piece)) {
            have.remove(piece);
        }
        Some(have)
    }

    /// Takes the pieces of these files for missing.
    fn forget_changed(&self, have: &mut Bitfield, is_changed: impl Fn(usize) -> bool) {
        for file in (0..self.names.len()).filter(|file| is_changed(*file)) {
            for piece in self.layout.pieces_of(file) {
                have.remove(piece);
            }
        }
    }

    /// Every byte is right and under its final name.
    fn in_place(self) -> Prepared {
        let (have, choice) = (self.wanted.clone(), self.choice.clone());
        self.state().placed = true;
        if self.recorded(true).is_none() {
            self.note_all();
        }
        Prepared { storage: self, have, placed: true, choice }
    }

    /// How the files under their final names differ from the torrent's; hashes them unless a record speaks for them.
    fn look_in_place(&self, watch: Watch<'_>) -> Result<Option<Mismatch>, StorageError> {
        let is_whole = |have: &Bitfield| !have.lacks_any_of(&self.wanted);
        if self.recorded(true).is_some_and(|have| is_whole(&have)) {
            return Ok(None);
        }
        let Verified { good, problems } = self.check(true, watch)?;
        // Nothing is lost with a file that has no bytes.
        let problem = problems.into_iter().find(|problem| !self.is_lost_empty_file(problem));
        let is_right = is_whole(&good) && problem.is_none();
        Ok((!is_right).then(|| Mismatch { good: good.count(), pieces: self.wanted.count(), problem }))
    }

    fn is_lost_empty_file(&self, problem: &FileProblem) -> bool {
        let mut files = self.metainfo.info.files.iter();
        matches!(problem.what, Problem::Missing) && files.any(|file| file.path == problem.path && file.length == 0)
    }

    /// Reads a span of verified bytes, cut into blocks.
    pub(crate) fn read(&self, span: BlockInfo, buffers: &Buffers) -> Result<Vec<Bytes>, StorageError> {
        let lengths: Vec<usize> = span.blocks().map(|block| block.length as usize).collect();
        let mut blocks: Vec<Buffer> = lengths.iter().map(|_| buffers.take()).collect();
        let mut parts: VecDeque<&mut [u8]> =
            blocks.iter_mut().zip(&lengths).map(|(buffer, length)| &mut buffer.bytes_mut()[..*length]).collect();
        for place in self.places(span)? {
            let here = take_front(&mut parts, usize::try_from(place.length).expect("a span fits into memory"));
            self.read_place(&place, here)?;
        }
        Ok(blocks.into_iter().zip(lengths).map(|(buffer, length)| buffer.freeze(length)).collect())
    }

    /// Where the bytes of a span lie, in order.
    pub(crate) fn places(&self, span: BlockInfo) -> Result<VecDeque<Place>, StorageError> {
        let slices = self.layout.slices(self.layout.range_of(span));
        let place = |FileSlice { file, offset, length }| {
            if self.is_pad(file) {
                return Ok(Place { file: None, offset, length });
            }
            let (number, offset) = self.place_of(file, offset);
            Ok(Place { file: Some((number, self.file(number, false)?)), offset, length })
        };
        slices.map(place).collect()
    }

    /// Reads a block at most off the front of a place.
    pub(crate) fn read_front(&self, place: &mut Place, buffers: &Buffers) -> Result<Bytes, StorageError> {
        let mut buffer = buffers.take();
        let length = usize::try_from(place.length).unwrap_or(usize::MAX).min(BLOCK_LENGTH as usize);
        self.read_place(place, vec![&mut buffer.bytes_mut()[..length]])?;
        place.advance(length);
        Ok(buffer.freeze(length))
    }

    /// Fills the parts from the start of a place.
    fn read_place(&self, place: &Place, mut parts: Vec<&mut [u8]>) -> Result<(), StorageError> {
        let Some((number, file)) = &place.file else {
            for part in &mut parts {
                part.fill(0);
            }
            return Ok(());
        };
        read_at(file, parts, place.offset).map_err(io_error("read", &self.path_of(*number)))
    }

    /// Writes a span, one write for each file that it touches.
    pub(crate) fn write(&self, span: BlockInfo, blocks: &[Bytes]) -> Result<(), StorageError> {
        let mut rest: Vec<Bytes> = blocks.to_vec();
        let _turn = self.writing.lock().expect("nothing panics while it writes");
        for FileSlice { file, offset, length } in self.layout.slices(self.layout.range_of(span)) {
            let part = split_front(&mut rest, length);
            if self.is_pad(file) {
                continue;
            }
            let (number, offset) = self.place_of(file, offset);
            let open = self.file(number, true)?;
            write_at(&open, &part, offset).map_err(io_error("write", &self.path_of(number)))?;
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
            // Handles that were opened for writing are not needed any more, and a disk on which one is open cannot be
            // taken away from writers.
            state.open = OpenFiles::default();
            if self.choice.is_none() {
                state.locks.clear();
            }
        }
        sync_folder_of(&self.root).map_err(io_error("sync the folder of", &self.root))?;
        self.note_all();
        if self.choice.is_none() && !self.metainfo.info.is_single_file {
            // Nothing lies there any more but what the files have, too.
            let _ = fs::remove_file(self.parts());
        }
        Ok(())
    }

    /// Syncs the working files, then notes which pieces are there.
    ///
    /// Files under their final names were noted when they were checked or placed; whoever writes to them after that
    /// must not be trusted for it.
    pub(crate) fn remember(&self, have: &Bitfield) -> Result<(), StorageError> {
        if self.state().placed {
            return Ok(());
        }
        self.sync()?;
        self.note(have, false)
    }

    /// Notes that everything is in place. That the note cannot be written costs a check at the next start, no more.
    fn note_all(&self) {
        if let Err(err) = self.note(&self.wanted, true) {
            tracing::warn!(%err, path = %self.root.display(), "that everything is there is not remembered");
        }
    }

    /// Writes the record, unless a later one was written by another thread.
    fn note(&self, have: &Bitfield, placed: bool) -> Result<(), StorageError> {
        let mut noted = self.noted.lock().expect("nothing panics while it writes a record");
        if placed != self.state().placed || have.count() < *noted {
            return Ok(());
        }
        let left_out = (0..self.names.len()).filter(|i| self.is_left_out(*i));
        let left_out = left_out.filter_map(|i| u32::try_from(i).ok()).collect();
        let resume = Resume::new(self.metainfo.info_hash, have, placed, self.stamps(placed)).without(left_out);
        resume.write(&self.resume).map_err(io_error("write", &self.resume))?;
        *noted = have.count();
        Ok(())
    }

    /// Closes what is open; it is opened again when it is needed.
    pub(crate) fn close(&self) {
        self.state().open = OpenFiles::default();
    }

    fn sync(&self) -> Result<(), StorageError> {
        for i in self.made().chain(self.choice.is_some().then_some(self.names.len())) {
            self.file(i, false)?.sync_all().map_err(io_error("sync", &self.path_of(i)))?;
        }
        Ok(())
    }

    /// Makes the names of the working files durable, all but the outermost.
    fn sync_folders(&self) -> Result<(), StorageError> {
        let part = self.part();
        let mut synced = BTreeSet::new();
        for name in self.made().map(|i| &self.names[i]) {
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

    /// Whether this file is not wanted; padding never is.
    fn is_left_out(&self, file: usize) -> bool {
        !self.is_pad(file) && self.choice.as_ref().is_some_and(|choice| !choice.contains(file))
    }

    /// The files that lie on the disk.
    fn made(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.names.len()).filter(|i| !self.is_pad(*i) && !self.is_left_out(*i))
    }

    /// In which file bytes of this one lie, and where: those of files that are left out with the parts.
    fn place_of(&self, file: usize, offset: u64) -> (usize, u64) {
        if self.is_left_out(file) {
            (self.names.len(), self.layout.start_of_file(file) + offset)
        } else {
            (file, offset)
        }
    }

    fn part(&self) -> PathBuf {
        beside(&self.root, "part")
    }

    /// The file that has bytes of files that are left out; its number is that behind the last.
    fn parts(&self) -> PathBuf {
        beside(&self.root, "parts")
    }

    fn path_in(&self, root: &Path, file: usize) -> PathBuf {
        if file == self.names.len() {
            return self.parts();
        }
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
    fn make_working_files(&self) -> Result<bool, StorageError> {
        let part = self.part();
        let mut are_fresh = true;
        if let Some(parent) = part.parent() {
            fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
        }
        let parts = self.parts();
        if self.choice.is_some() || fs::symlink_metadata(&parts).is_ok() {
            let (file, _) = open_or_make(&parts).map_err(io_error("make", &parts))?;
            self.lock(&parts, &file)?;
        }
        // A process that wants all files locks the first, which we may leave out.
        let first = (0..self.names.len()).find(|file| !self.is_pad(*file)).filter(|file| self.is_left_out(*file));
        if let Some(path) = first.map(|file| self.path_in(&part, file))
            && let Ok(file) = File::open(&path)
        {
            self.lock(&path, &file)?;
        }
        let metainfo = Arc::clone(&self.metainfo);
        let mut is_first = true;
        for (i, entry) in metainfo.info.files.iter().enumerate() {
            if self.is_pad(i) || self.is_left_out(i) {
                continue;
            }
            let path = self.path_in(&part, i);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io_error("make the folder", parent))?;
            }
            let (file, is_new) = open_or_make(&path).map_err(io_error("make", &path))?;
            are_fresh &= is_new;
            if std::mem::take(&mut is_first) {
                self.lock(&path, &file)?;
            }
            // To set the length that a file has would still count as a change to it, and make its record void.
            if file.metadata().map_err(io_error("look at", &path))?.len() != entry.length {
                file.set_len(entry.length).map_err(io_error("make room for", &path))?;
            }
        }
        Ok(are_fresh)
    }

    /// Keeps a working file locked against other processes.
    fn lock(&self, path: &Path, file: &File) -> Result<(), StorageError> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StorageError::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", path)(source)),
        }
        let kept = file.try_clone().map_err(io_error("open", path))?;
        self.state().locks.push(kept);
        Ok(())
    }

    /// Removes the working files of what was wanted before and is left out now.
    fn remove_left_out(&self) -> Result<(), StorageError> {
        let part = self.part();
        for file in (0..self.names.len()).filter(|file| self.is_left_out(*file)) {
            let path = self.path_in(&part, file);
            match fs::remove_file(&path) {
                Err(err) if !matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(io_error("remove", &path)(err));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the files without bytes that are not there any more.
    fn make_empty_files(&self) -> Result<(), StorageError> {
        for (i, _) in self.made().map(|i| (i, &self.metainfo.info.files[i])).filter(|(_, entry)| entry.length == 0) {
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
            .filter(|(i, entry)| !entry.is_pad && !self.is_left_out(*i))
            .all(|(i, entry)| fs::metadata(self.path_in(&self.root, i)).is_ok_and(|found| found.len() == entry.length))
    }

    /// Size and modification time of each file, in nanoseconds; zero where there is none.
    fn stamps(&self, placed: bool) -> Vec<Stamp> {
        let root = if placed { self.root.clone() } else { self.part() };
        let is_none = |i| i < self.names.len() && (self.is_pad(i) || self.is_left_out(i));
        let stamp = |i| if is_none(i) { None } else { stamp(&self.path_in(&root, i)) };
        let parts = self.choice.is_some().then_some(self.names.len());
        (0..self.names.len()).chain(parts).map(|i| stamp(i).unwrap_or_default()).collect()
    }

    fn check(&self, placed: bool, watch: Watch<'_>) -> Result<Verified, StorageError> {
        let root = if placed { self.root.clone() } else { self.part() };
        let mut found = verify(&self.metainfo, &root, watch).map_err(|_| StorageError::Cancelled)?;
        let Some(choice) = &self.choice else { return Ok(found) };
        let files = &self.metainfo.info.files;
        let is_wanted = |path| files.iter().enumerate().any(|(i, file)| file.path == path && choice.contains(i));
        found.problems.retain(|problem| is_wanted(problem.path.clone()));
        for piece in self.layout.pieces().filter(|piece| !self.wanted.has(*piece)) {
            found.good.remove(piece);
        }
        // What lies with the parts was not looked at.
        for file in (0..self.names.len()).filter(|file| self.is_left_out(*file)) {
            for piece in self.layout.pieces_of(file).filter(|piece| self.wanted.has(*piece)) {
                if self.is_right_with_parts(piece, placed) {
                    found.good.insert(piece);
                } else {
                    found.good.remove(piece);
                }
            }
        }
        Ok(found)
    }

    /// Whether a piece that lies partly with the parts is right.
    fn is_right_with_parts(&self, piece: PieceIndex, placed: bool) -> bool {
        let was_placed = std::mem::replace(&mut self.state().placed, placed);
        let span = BlockInfo { piece, begin: 0, length: self.layout.length_of(piece) };
        let read = self.read(span, &Buffers::default());
        let mut state = self.state();
        (state.placed, state.open) = (was_placed, OpenFiles::default());
        drop(state);
        let Ok(blocks) = read else { return false };
        let check = self.metainfo.check_of(&self.layout, piece);
        judge(&[Candidate { blocks: &blocks, check, both: false }]) == [Verdict::Right]
    }
}

/// The pieces that have bytes of the files that are wanted.
fn wanted(layout: &Layout, choice: Option<&FileChoice>) -> Bitfield {
    choice.map_or_else(|| Bitfield::all(layout.piece_count()), |choice| choice.pieces(layout))
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
