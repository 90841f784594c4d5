//! The file operations that the journal's promises rest on, so that a test can make each of them fail.
//!
//! [`OsDisk`] is the only implementation outside tests.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Where the journal's files live.
pub(super) trait Disk: Send + Sync {
    /// Opens the file at `path` for writing at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Makes an empty file at `path`, in place of any there was.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Removes the file at `path`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, in place of any of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns once the names in the folder at `path` are on disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// One file that grows at its end.
pub(super) trait LogFile: Send {
    /// Cuts the file to `length` bytes and goes on writing there.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Returns once all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Writes all of `bytes` at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// The operating system's files.
pub(super) struct OsDisk;

impl Disk for OsDisk {
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(File::options().append(true).open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        // In append mode a write after a cut lands at the new end.
        drop(File::create(path)?);
        self.append(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Other systems cannot sync a folder; their file systems order renames by themselves.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}
