//! Files to publish: random bytes of any size, and comparing what arrived with what was sent.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use podswarm_core::rng::Rng;
use tempfile::TempDir;

/// Bytes in a mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// An empty folder on the disk that the build uses, gone when the test ends.
///
/// Not in the system's temporary folder, which often is memory.
pub fn scratch() -> TempDir {
    let parent = crate::target_dir().join("tmp");
    std::fs::create_dir_all(&parent).expect("the build folder is ours");
    tempfile::Builder::new().prefix("podswarm-").tempdir_in(parent).expect("the build folder is ours")
}

/// Writes `length` random bytes to `path`; one `seed` always gives the same bytes.
pub fn random_file(path: &Path, length: u64, seed: u64) -> PathBuf {
    let mut rng = Rng::from_seed_u64(seed);
    let mut file = BufWriter::new(File::create(path).expect("the test's folder is ours"));
    let mut block = vec![0; 64 * 1024];
    let mut left = length;
    while left > 0 {
        let part = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        rng.fill(&mut block[..part]);
        file.write_all(&block[..part]).expect("the disk has room");
        left -= part as u64;
    }
    file.flush().expect("the disk has room");
    path.to_owned()
}

/// Panics unless both files hold the same bytes.
#[track_caller]
pub fn assert_same_bytes(want: &Path, got: &Path) {
    let (mut a, mut b) = (open(want), open(got));
    let lengths = [&a, &b].map(|file| file.get_ref().metadata().expect("an open file has a length").len());
    assert_eq!(lengths[0], lengths[1], "length of `{}`", got.display());
    let (mut left, mut right) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut offset = 0;
    while offset < lengths[0] {
        let part = usize::try_from(lengths[0] - offset).map_or(left.len(), |rest| rest.min(left.len()));
        a.read_exact(&mut left[..part]).expect("the file reads");
        b.read_exact(&mut right[..part]).expect("the file reads");
        if left[..part] != right[..part] {
            let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
            panic!("`{}` differs at {}", got.display(), offset + same as u64);
        }
        offset += part as u64;
    }
}

/// The only file below `folder` with the extension of `like`: clients keep files of their own beside what they fetch.
#[track_caller]
pub fn only_file_like(like: &Path, folder: &Path) -> PathBuf {
    let files: Vec<_> = files_below(folder).into_iter().filter(|file| file.extension() == like.extension()).collect();
    assert_eq!(files.len(), 1, "files below `{}`: {files:?}", folder.display());
    files[0].clone()
}

/// The file below `folder`. Panics if there is none or another.
#[track_caller]
pub fn only_file_below(folder: &Path) -> PathBuf {
    let mut files = files_below(folder);
    assert_eq!(files.len(), 1, "files below `{}`: {files:?}", folder.display());
    files.remove(0)
}

/// Every file below `folder`, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.map(|entry| entry.expect("the test's folder is ours")) {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
fn open(path: &Path) -> BufReader<File> {
    BufReader::new(File::open(path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_file() {
        let folder = scratch();
        let a = random_file(&folder.path().join("a"), 100_001, 7);
        let b = random_file(&folder.path().join("b"), 100_001, 7);
        assert_same_bytes(&a, &b);
        assert_eq!(files_below(folder.path()), [a, b]);
    }

    #[test]
    fn a_changed_byte_is_found() {
        let folder = scratch();
        let a = random_file(&folder.path().join("a"), 1000, 7);
        let mut bytes = std::fs::read(&a).unwrap();
        bytes[999] ^= 1;
        let b = folder.path().join("b");
        std::fs::write(&b, bytes).unwrap();
        assert!(std::panic::catch_unwind(|| assert_same_bytes(&a, &b)).is_err());
    }
}
