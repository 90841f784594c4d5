//! The machine's clock as the engine's time.

use crate::time::Instant;

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// The engine's time as the runtime's.
    pub fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.start + (instant - Instant::ZERO)
    }
}
