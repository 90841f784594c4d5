//! How long an answer takes, and how long to wait for one before it is given up.
//!
//! Law: the wait is between half a second and [`LONGEST_WAIT`].
//! Source: BEP 29 "timeouts", which is RFC 6298 with half a second as the least.

use std::time::Duration;

/// The wait before the first answer.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The shortest wait.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// What was measured of the way to the peer and back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    smooth: Option<Duration>,
    deviation: Duration,
    shortest: Option<Duration>,
    /// How often in a row the wait was in vain; each doubles the next.
    pub(super) vain: u32,
}

impl RoundTrip {
    /// Takes a measured round trip of a packet that was sent once.
    pub(super) fn measured(&mut self, sample: Duration) {
        let Some(smooth) = self.smooth else {
            (self.smooth, self.deviation) = (Some(sample), sample / 2);
            self.shortest = Some(sample);
            return;
        };
        self.deviation = self.deviation * 3 / 4 + smooth.abs_diff(sample) / 4;
        self.smooth = Some(smooth * 7 / 8 + sample / 8);
        self.shortest = self.shortest.min(Some(sample));
    }

    /// The usual round trip, a guess before the first.
    pub(super) fn usual(&self) -> Duration {
        self.smooth.unwrap_or(FIRST_WAIT / 4)
    }

    /// The shortest that was seen.
    pub(super) fn shortest(&self) -> Duration {
        self.shortest.unwrap_or(FIRST_WAIT / 4)
    }

    /// After how long an answer that has not come is late for its kind.
    pub(super) fn late(&self) -> Duration {
        self.usual() + self.deviation
    }

    /// How long to wait for an answer.
    pub(super) fn wait(&self) -> Duration {
        let once = self.smooth.map_or(FIRST_WAIT, |smooth| (smooth + self.deviation * 4).max(SHORTEST_WAIT));
        (once * 2_u32.pow(self.vain.min(8))).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_what_is_measured_and_doubles_in_vain() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.wait(), FIRST_WAIT);
        for _ in 0..50 {
            trip.measured(Duration::from_millis(20));
        }
        assert_eq!((trip.wait(), trip.shortest()), (SHORTEST_WAIT, Duration::from_millis(20)));
        trip.measured(Duration::from_secs(5));
        assert!(trip.wait() > Duration::from_secs(4), "{:?}", trip.wait());
        let mut silent = RoundTrip { vain: 2, ..RoundTrip::default() };
        assert_eq!(silent.wait(), FIRST_WAIT * 4);
        silent.vain = u32::MAX;
        assert_eq!(silent.wait(), LONGEST_WAIT);
    }
}
