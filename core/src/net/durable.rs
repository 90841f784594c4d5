//! Files that are whole or absent, whatever happens while they are written.
//!
//! Law: after a crash at any moment the path holds the old bytes or the new ones, never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Puts `bytes` into the file at `path` in one step: a file beside it is written and synced, renamed over `path`, and
/// the folder is synced.
///
/// `mode` holds the permission bits of the new file, such as `0o600`, less what the process's umask takes away; systems
/// other than Unix ignore it. On an error the old file is untouched. Blocks the thread.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = own_name(path)?;
    let written = write_synced(&beside, bytes, mode).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to tell; what is left behind is a hidden file of no use.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync_folder_of(path)
}

/// Makes the names in the folder that holds `path` durable, after a file was made, renamed or removed there. Does
/// nothing where folders cannot be synced.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// The hidden name next to `path` that ends in `.suffix`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(".");
    hidden.push(suffix);
    path.with_file_name(hidden)
}

/// A hidden name in the same folder that no other writer of this machine uses.
fn own_name(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(hidden))
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Only a crashed process with our number can have left one; its permissions may be wider than ours.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn new_bytes_replace_old_ones_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, b"old and longer", 0o600).unwrap();
        write_atomic(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomic(&path, b"secret", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"x", 0o600).is_err());
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(write_atomic(Path::new("/"), b"x", 0o600).is_err());
    }
}
