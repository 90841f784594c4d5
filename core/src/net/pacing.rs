//! How fast connections write what is sent in the background.
//!
//! The session says how much may go; a block of 16 KiB that leaves at once still makes everybody else wait for a block.
//! So it is written in bits, a little faster than the pace, so that the writing never becomes the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::background::pace::FIRST;
use crate::rate::Rate;

/// How fast blocks are written, known to all connections. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Pacing(Arc<AtomicU64>);

impl Default for Pacing {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(FIRST.0)))
    }
}

impl Pacing {
    /// The session's pace is this now.
    pub(super) fn change(&self, pace: Option<Rate>) {
        if let Some(Rate(pace)) = pace {
            // At the least pace a block would take seconds, and hold up what is said between blocks.
            self.0.store((pace + pace / 4).max(FIRST.0), Ordering::Relaxed);
        }
    }

    /// How fast a connection may write.
    pub(super) fn rate(&self) -> Rate {
        Rate(self.0.load(Ordering::Relaxed))
    }
}
