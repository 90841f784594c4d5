//! A torrent's files in the hands of the engine: prepared on a disk thread, worked on by several, let go of by all.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use super::super::storage::Storage;

/// Files that disk threads work on.
#[derive(Debug)]
pub(in crate::net) struct Held {
    storage: Storage,
    /// Dropped after the storage: whoever waits for that knows that the files are closed, unlocked and written no more.
    _released: Release,
}

/// Lives as long as anybody may touch a torrent's files.
pub(crate) type Release = oneshot::Sender<()>;

impl Held {
    pub(super) const fn new(storage: Storage, released: Release) -> Self {
        Self { storage, _released: released }
    }
}

impl Deref for Held {
    type Target = Storage;

    fn deref(&self) -> &Storage {
        &self.storage
    }
}

/// Passes progress on, in bytes of `total`, once for each hundredth at most: pieces are small and many.
pub(super) fn in_steps(total: u64, tell: impl Fn(u64) + Sync) -> impl Fn(u64) + Sync {
    let step = total.div_ceil(100).max(1);
    let told = AtomicU64::new(0);
    move |done| {
        if done / step > told.fetch_max(done / step, Ordering::Relaxed) {
            tell(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_a_hundred_times_at_most() {
        for (pieces, most) in [(100_000, 100), (101, 100), (7, 7)] {
            let told = AtomicU64::new(0);
            let tell = in_steps(pieces * 16_384, |_| {
                told.fetch_add(1, Ordering::Relaxed);
            });
            (1..=pieces).for_each(|piece| tell(piece * 16_384));
            drop(tell);
            let told = told.into_inner();
            assert!((most / 2..=most).contains(&told), "{told} for {pieces}");
        }
    }
}
