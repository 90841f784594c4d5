//! Puts what cannot be trusted out of the way without destroying it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Renames `path` to the next free `NAME.bad-N` and removes the oldest, so that at most three are kept.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut kept = numbers(path)?;
    let next = kept.last().map_or(1, |last| last + 1);
    let aside = name(path, next);
    fs::rename(path, &aside)?;
    kept.push(next);
    for old in kept.iter().rev().skip(KEPT) {
        let old = name(path, *old);
        if let Err(error) = remove(&old) {
            tracing::warn!(path = %old.display(), %error, "old index not removed");
        }
    }
    Ok(aside)
}

/// Removes a file, or a folder with all that is in it; nothing there is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// The numbers of what was set aside from `path` before, in order.
fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let folder = path.parent().expect("an index lies in a data directory");
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let found = entry?.path();
        let number = found.extension().and_then(|extension| extension.to_str()?.strip_prefix("bad-")?.parse().ok());
        numbers.extend(number.filter(|&number| name(path, number) == found));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn name(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("bad-{number}"))
}

/// Enough to look into what happened; each may be as large as the index.
const KEPT: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_three_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        for n in 1..=5 {
            fs::create_dir(&index).unwrap();
            fs::write(index.join("db"), [n]).unwrap();
            assert_eq!(set_aside(&index).unwrap(), dir.path().join(format!("index.bad-{n}")));
        }
        assert_eq!(numbers(&index).unwrap(), [3, 4, 5]);
        assert_eq!(fs::read(dir.path().join("index.bad-5/db")).unwrap(), [5]);
    }

    #[test]
    fn a_file_is_set_aside_like_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index");
        fs::write(&index, "not a folder").unwrap();
        let aside = set_aside(&index).unwrap();
        assert_eq!(fs::read(aside).unwrap(), b"not a folder");
        assert!(!index.exists());
    }
}
