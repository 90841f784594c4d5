//! How many bytes may wait in a socket before they are on their way.
//!
//! What the kernel holds unsent cannot be taken back: a choke, a HAVE or another peer's turn waits behind it. On a slow
//! line the 128 KiB that a fast one sends in no time are a tenth of a second, in which two peers get halves of two
//! pieces instead of one a whole. So a socket holds what leaves within a fiftieth of a second at the speed that it has
//! shown, and begins small.

use std::time::Duration;

use tokio::time::Instant;

/// The least that may wait, and the most of a socket that has sent nothing yet: a block.
pub(super) const LEAST_UNSENT: usize = 16 * 1024;
/// The most that may wait; more makes no line faster.
const MOST: usize = 1024 * 1024;
/// So much of a second's bytes may wait.
const PART: u128 = 50;
/// How many bytes tell a speed; fewer do after [`WINDOW`].
const WINDOW_BYTES: usize = 512 * 1024;
/// How long a speed is measured at most.
const WINDOW: Duration = Duration::from_millis(250);

/// What may wait in one socket, in bytes.
#[derive(Debug)]
pub(super) struct Unsent {
    most: usize,
    since: Instant,
    bytes: usize,
}

impl From<Instant> for Unsent {
    /// For a socket that has sent nothing until now.
    fn from(now: Instant) -> Self {
        Self { most: LEAST_UNSENT, since: now, bytes: 0 }
    }
}

impl Unsent {
    /// How much may wait.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// The socket took so many bytes; tells whether another limit follows from it.
    pub(super) fn taken(&mut self, now: Instant, bytes: usize) -> bool {
        self.bytes += bytes;
        let passed = now - self.since;
        if self.bytes < WINDOW_BYTES && passed < WINDOW {
            return false;
        }
        let before = std::mem::replace(&mut self.most, limit_at(self.bytes, passed));
        (self.since, self.bytes) = (now, 0);
        before != self.most
    }
}

/// What may wait where so many bytes left in so long: a power of two, so that it seldom changes.
fn limit_at(bytes: usize, passed: Duration) -> usize {
    let rate = bytes as u128 * 1_000_000 / passed.as_micros().max(1);
    usize::try_from(rate / PART).unwrap_or(MOST).clamp(LEAST_UNSENT, MOST).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fiftieth_of_a_second_may_wait() {
        let second = Duration::from_secs(1);
        for (rate, limit) in [
            (0, LEAST_UNSENT),
            (125_000, LEAST_UNSENT),
            (1_250_000, 32 * 1024),
            (2_500_000, 64 * 1024),
            (usize::MAX, MOST),
        ] {
            assert_eq!(limit_at(rate, second), limit, "{rate}");
        }
        assert_eq!(limit_at(WINDOW_BYTES, Duration::ZERO), MOST);
    }
}
