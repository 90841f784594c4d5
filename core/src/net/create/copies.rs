//! Copies that are made while their originals are hashed.
//!
//! Where the file system can, a copy shares its bytes with the original from the start (reflink). Else it is made at
//! its full length, and filled with the slices that were hashed. Until [`Copies::keep`] has synced them, copies and
//! the folders made for them vanish when this is dropped.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::hash::HashError;
use crate::layout::Layout;

/// Copies of all files of a torrent.
pub(super) struct Copies {
    files: Vec<Copy>,
    /// Which of them each file of the torrent is; none for padding.
    numbers: Vec<Option<usize>>,
    /// The folders that were made for them, outermost first.
    folders: Vec<PathBuf>,
    is_kept: bool,
}

struct Copy {
    path: PathBuf,
    is_clone: bool,
}

impl Copies {
    /// Clones every file to its target, or makes an empty copy of its length. No target may exist. `numbers` tells
    /// which of them each file of the torrent is.
    pub(super) fn make(
        originals: &[(PathBuf, u64)],
        targets: &[PathBuf],
        numbers: Vec<Option<usize>>,
    ) -> Result<Self, HashError> {
        let mut copies = Self { files: Vec::new(), numbers, folders: Vec::new(), is_kept: false };
        for ((original, length), target) in originals.iter().zip(targets) {
            let made = copies.make_one(original, *length, target);
            made.map_err(|source| HashError::Copy { path: target.clone(), source })?;
        }
        Ok(copies)
    }

    fn make_one(&mut self, original: &Path, length: u64, target: &Path) -> io::Result<()> {
        self.make_folder(folder_of(target))?;
        // Files of one torrent lie together: if one cannot be cloned, none can.
        let may_clone = self.files.last().is_none_or(|last| last.is_clone);
        let is_clone = may_clone && reflink_copy::reflink(original, target).is_ok();
        if !is_clone {
            let file = OpenOptions::new().write(true).create_new(true).open(target)?;
            self.files.push(Copy { path: target.into(), is_clone });
            return file.set_len(length);
        }
        self.files.push(Copy { path: target.into(), is_clone });
        Ok(())
    }

    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir(folder)?;
            self.folders.push(folder.into());
        }
        Ok(())
    }

    /// The clone of the file of this number, or `None` if its bytes are to be written.
    pub(super) fn clone_of(&self, file: usize) -> Option<&Path> {
        let copy = &self.files[file];
        copy.is_clone.then_some(&*copy.path)
    }

    /// Whether every copy is a clone.
    pub(super) fn are_clones(&self) -> bool {
        self.files.iter().all(|copy| copy.is_clone)
    }

    /// A place to write from; each thread has its own.
    pub(super) const fn writer(&self) -> Writer<'_> {
        Writer { copies: self, open: None }
    }

    /// Syncs every copy and every folder on the way to it.
    pub(super) fn keep(mut self) -> Result<(), HashError> {
        let mut folders: BTreeSet<&Path> = self.folders.iter().map(|folder| folder_of(folder)).collect();
        for copy in &self.files {
            sync_file(&copy.path).map_err(|source| HashError::Copy { path: copy.path.clone(), source })?;
            folders.insert(folder_of(&copy.path));
        }
        for folder in folders {
            sync_folder(folder).map_err(|source| HashError::Copy { path: folder.into(), source })?;
        }
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed now is for the caller's user to find; the error that led here matters more.
            self.files.iter().for_each(|copy| drop(fs::remove_file(&copy.path)));
            self.folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}

/// Writes [`Copies`]; keeps the file open that it wrote last.
pub(super) struct Writer<'a> {
    copies: &'a Copies,
    open: Option<(usize, File)>,
}

impl Writer<'_> {
    /// Writes a range of the torrent's bytes to the copies it belongs to; clones have theirs already.
    pub(super) fn write(&mut self, layout: &Layout, range: Range<u64>, mut bytes: &[u8]) -> Result<(), HashError> {
        for slice in layout.slices(range) {
            let (part, rest) = bytes.split_at(usize::try_from(slice.length).expect("a slice is short"));
            bytes = rest;
            let Some(number) = self.copies.numbers[slice.file] else { continue };
            let copy = &self.copies.files[number];
            if !copy.is_clone {
                self.file(number, &copy.path)
                    .and_then(|file| write_all_at(file, part, slice.offset))
                    .map_err(|source| HashError::Copy { path: copy.path.clone(), source })?;
            }
        }
        Ok(())
    }

    fn file(&mut self, number: usize, path: &Path) -> io::Result<&File> {
        let open = match self.open.take() {
            Some(open) if open.0 == number => open,
            _ => (number, OpenOptions::new().write(true).open(path)?),
        };
        Ok(&self.open.insert(open).1)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_file(path: &Path) -> io::Result<()> {
    // A clone may be read-only, and only Windows wants to write what it syncs.
    OpenOptions::new().read(true).write(cfg!(windows)).open(path)?.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows has no such call, and needs none: NTFS journals its folders.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}
