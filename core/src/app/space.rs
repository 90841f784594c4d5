//! How full a disk is, and how full it may become.
//!
//! Law: a download never takes the last tenth of a disk, or the last 5 GB of a large one.

use std::io;
use std::path::Path;

use super::failure::{Explain, Failure};
use crate::rate::ByteCount;

/// No more than this is ever kept free.
const LARGEST_RESERVE: u64 = 5_000_000_000;

/// What a file system holds and what is left of it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write.
    pub available: u64,
    /// The size of the file system.
    pub total: u64,
}

impl Space {
    /// What is kept free: 5 GB or a tenth of the disk, whichever is less.
    ///
    /// The lesser, so that a small disk stays usable (a tenth of 32 GB is 3.2 GB) and a large one is not left idle
    /// (a tenth of 20 TB would be 2 TB).
    pub const fn reserve(self) -> u64 {
        let tenth = self.total / 10;
        if tenth < LARGEST_RESERVE { tenth } else { LARGEST_RESERVE }
    }

    /// What may still be written before the reserve is touched.
    pub const fn spare(self) -> u64 {
        self.available.saturating_sub(self.reserve())
    }

    /// Whether `bytes` more leave the reserve whole.
    pub const fn allows(self, bytes: u64) -> bool {
        bytes <= self.spare()
    }
}

/// Measures the file system that holds `path`, or that will hold it once its missing folders are made.
///
/// Where the system cannot be asked (other than Unix), a disk without end is assumed, and a full one shows when it is
/// written to.
pub fn free_space(path: &Path) -> io::Result<Space> {
    let absolute = std::path::absolute(path)?;
    let existing = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    measure(existing)
}

/// Refuses to write `bytes` below `path` if [`Space::allows`] does not.
pub fn require_space(path: &Path, bytes: u64) -> Result<(), Failure> {
    let space = free_space(path).explain(|| format!("measure the free space at `{}`", path.display()))?;
    if space.allows(bytes) {
        return Ok(());
    }
    let what = format!(
        "the disk of `{}` has {} free; want {} and {} to keep free",
        path.display(),
        ByteCount(space.available),
        ByteCount(bytes),
        ByteCount(space.reserve()),
    );
    Err(Failure::new(what).with_hint(format!("free {} there or use another disk", ByteCount(bytes - space.spare()))))
}

#[cfg(unix)]
fn measure(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { available: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

#[cfg(not(unix))]
fn measure(_path: &Path) -> io::Result<Space> {
    Ok(Space { available: u64::MAX, total: u64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn a_large_disk_keeps_5_gb() {
        let space = Space { available: 12 * GB, total: 1_000 * GB };
        assert!(space.allows(7 * GB));
        assert!(!space.allows(7 * GB + 1));
    }

    #[test]
    fn a_small_disk_keeps_a_tenth() {
        let space = Space { available: 3 * GB, total: 20 * GB };
        assert!(space.allows(GB));
        assert!(!space.allows(GB + 1));
    }

    #[test]
    fn a_disk_below_its_reserve_allows_nothing_but_nothing() {
        let space = Space { available: GB, total: 100 * GB };
        assert!(space.allows(0));
        assert!(!space.allows(1));
    }

    #[test]
    fn a_path_that_is_not_there_yet_is_measured_by_its_nearest_folder() {
        let folder = tempfile::tempdir().unwrap();
        let space = free_space(&folder.path().join("a/b/c")).unwrap();
        assert_eq!(space.total, free_space(folder.path()).unwrap().total);
        assert!(space.available <= space.total && space.total > 0);
    }

    #[test]
    fn a_refusal_names_the_disk_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        require_space(folder.path(), 0).unwrap();
        if cfg!(unix) {
            let failure = require_space(folder.path(), u64::MAX).unwrap_err();
            assert!(failure.to_string().contains(folder.path().to_str().unwrap()), "{failure}");
            assert!(failure.hint().unwrap().starts_with("free 15.9 EiB there"), "{failure:?}");
        }
    }
}
