//! Threads that share one piece of work.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::{Cancelled, NO_PANIC, Watch};
use crate::layout::Layout;
use crate::piece::sha1::TOGETHER;

/// What the threads share: which pieces are next, when to stop, and how far they are.
pub(super) struct Crew<'a> {
    watch: Watch<'a>,
    piece_count: u32,
    run_length: u32,
    next: AtomicU32,
    is_stopped: AtomicBool,
    done: Mutex<u64>,
}

impl<'a> Crew<'a> {
    /// A crew whose threads take no more than `most` bytes at once, unless one piece is longer.
    pub(super) fn new(layout: &Layout, most: u32, watch: Watch<'a>) -> Self {
        let length = layout.piece_length();
        let share = layout.piece_count().div_ceil(u32::try_from(cores()).unwrap_or(u32::MAX));
        Self {
            watch,
            piece_count: layout.piece_count(),
            run_length: (RUN_BYTES / length).max(TOGETHER).min(most / length).min(share).max(1),
            next: AtomicU32::new(0),
            is_stopped: AtomicBool::new(false),
            done: Mutex::new(0),
        }
    }

    /// The next run of pieces that no thread has yet, or `None` when all are taken.
    pub(super) fn claim(&self) -> Option<Range<u32>> {
        // A number of runs: it cannot wrap, as each thread goes past the last run once.
        let start = self.next.fetch_add(1, Ordering::Relaxed).checked_mul(self.run_length)?;
        (start < self.piece_count).then(|| start..start.saturating_add(self.run_length).min(self.piece_count))
    }

    /// The number of threads that work.
    pub(super) fn size(&self) -> usize {
        cores().min(self.piece_count.div_ceil(self.run_length).max(1) as usize)
    }

    /// How far the thread that is furthest may be ahead of the one that is last, in bytes: a run for each thread and
    /// one more, but within bounds, as all of them may wait in memory.
    pub(super) fn window_bytes(&self, piece_length: u32) -> u64 {
        let run_bytes = u64::from(self.run_length) * u64::from(piece_length);
        let runs = (self.size() as u64 + 1).min(MAX_WINDOW_BYTES / run_bytes).max(2);
        runs * run_bytes
    }

    /// Counts bytes as done, and tells whether to go on.
    pub(super) fn advance(&self, bytes: u64) -> Result<(), Cancelled> {
        if let Some(progress) = self.watch.progress {
            let mut done = self.done.lock().expect(NO_PANIC);
            *done += bytes;
            progress(*done);
        }
        self.check()
    }

    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        if self.is_stopped.load(Ordering::Relaxed) || self.watch.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Runs `work` on every thread and collects what it returns. The first to fail stops all, and its error is the
    /// result.
    pub(super) fn work<T: Send, E: Send>(&self, work: impl Fn() -> Result<T, E> + Sync) -> Result<Vec<T>, E> {
        let results = Mutex::new(Ok(Vec::new()));
        let work_and_report = || {
            let result = work();
            self.is_stopped.fetch_or(result.is_err(), Ordering::Relaxed);
            let mut results = results.lock().expect(NO_PANIC);
            if let Ok(all) = &mut *results {
                match result {
                    Ok(one) => all.push(one),
                    Err(error) => *results = Err(error),
                }
            }
        };
        thread::scope(|scope| {
            (1..self.size()).for_each(|_| drop(scope.spawn(work_and_report)));
            work_and_report();
        });
        results.into_inner().expect(NO_PANIC)
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The pieces that a thread takes at once have about this many bytes, but are as many as are hashed together.
const RUN_BYTES: u32 = 1024 * 1024;

/// The bytes that may wait in memory, unless two pieces are longer still.
const MAX_WINDOW_BYTES: u64 = 32 * 1024 * 1024;
