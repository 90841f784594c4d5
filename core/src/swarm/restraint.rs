//! Restraint in uploading where that would cost more download than it gives others.
//!
//! Acknowledgements and requests of what comes in go out on the same line as what is given to others, and wait behind
//! it: of 10 Mbit/s that come in, about 0.3 Mbit/s go back. A line of 1 Mbit/s out and 50 in that gives as much as it
//! can takes a fifth of what it could, while the crowd whose lines are faster has more to give than anybody can take.
//! So a leecher whose way in brings many times what its way out carries gives only what the answers leave.
//!
//! What the line out carries is what leaves while half a second of blocks waits to leave and no more leaves than the
//! second before. It may have been the receivers that were slow, or something else in the house; so it is measured anew
//! now and then.
//!
//! Law: an upload is held back only while we leech, and never below an eighth of what the line carries.

use std::time::Duration;

use super::{Phase, Swarm};
use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::time::Instant;

/// Held back is who receives so many times what the line out carries.
const LOPSIDED: u64 = 4;
/// Of so many bytes that come in, one goes back.
const ANSWERED: u64 = 20;
/// Of the line out so much is given to others at least.
const LEAST_SHARE: u64 = 8;
/// Blocks wait if they need so long to leave.
const WAIT: Duration = Duration::from_millis(500);
/// So long a measured line is believed in at first, and twice as long each time that it turns out the same.
const BELIEVED_FIRST: Duration = Duration::from_secs(8);
/// So long at most.
const BELIEVED_MOST: Duration = Duration::from_mins(2);
/// What may go at once.
const BURST: Duration = Duration::from_millis(250);

/// What we hold back to.
#[derive(Clone, Debug)]
pub(super) struct Restraint {
    /// What the line out carries, in bytes a second.
    line: u64,
    until: Instant,
    rate: Rate,
    pub(super) bucket: TokenBucket,
}

/// What is known of the line out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// What left in the last second, in bytes.
    last: u64,
    /// What it carried when it was measured last, in bytes a second.
    before: u64,
    /// How long that was believed.
    believed: Duration,
}

impl Swarm {
    /// Begins, adapts or ends it, every second.
    pub(super) fn restrain(&mut self, now: Instant) {
        let (Rate(down), Rate(up)) = (self.down.rate(now), self.up.rate(now));
        let current = self.restraint.as_ref().filter(|restraint| restraint.until > now);
        let found = current.map(|restraint| (restraint.line, restraint.until)).or_else(|| self.measure_line(now, up));
        let lopsided = found.filter(|(line, _)| self.phase == Phase::Fetching && down >= LOPSIDED * line);
        self.restraint = lopsided.map(|(line, until)| {
            let rate = Rate(line.saturating_sub(down / ANSWERED).max(line / LEAST_SHARE));
            if let Some(same) = self.restraint.take().filter(|restraint| restraint.rate == rate) {
                return Restraint { line, until, ..same };
            }
            let burst = ByteCount(rate.0 * u64::try_from(BURST.as_millis()).unwrap_or(0) / 1000);
            Restraint { line, until, rate, bucket: TokenBucket::new(rate, burst, now) }
        });
    }

    /// What the line out carries, in bytes a second, and until when that is believed, if it is full.
    fn measure_line(&mut self, now: Instant, up: u64) -> Option<(u64, Instant)> {
        let waiting: u64 = self.conns.values().map(|peer| peer.uploads.pending_bytes()).sum();
        let grows = up > self.line.last / 4 * 5;
        let is_full = up > 0 && !grows && waiting > up * u64::try_from(WAIT.as_millis()).unwrap_or(0) / 1000;
        self.line.last = up;
        if !is_full {
            return None;
        }
        let same = up / 2 <= self.line.before && self.line.before <= up * 2;
        let believed = if same { (self.line.believed * 2).min(BELIEVED_MOST) } else { BELIEVED_FIRST };
        self.line = Line { last: up, before: up, believed };
        Some((up, now + believed))
    }
}
