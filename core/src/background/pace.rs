//! How fast may be sent in the background.
//!
//! Twenty times a second the pace looks at how long the [queue](super::waits) makes us wait. Shorter than 20 ms, and
//! the pace rises, the slower the nearer it is; longer, and it falls, by an eighth at most, as long as the queue grows.
//! So a line that is idle is full within seconds, with a queue of some milliseconds, and one that others fill has next
//! to nothing of ours in it.
//!
//! Packets are late for other reasons, too, such as a wireless hop; so of two looks in a row the lesser counts.
//!
//! What is seen is some trips old, and a queue is the sum of all that was too much; who answered its length alone would
//! swing. So the bucket is filled a little faster or slower than the pace besides, by what brings the queue to its
//! target within 300 ms. Where the queue is empty the pace rises quickly, slowly near where it filled last, and takes
//! back what was too much.
//!
//! A queue that is shorter than the target never tells that somebody fills it: it loses packets. So when something is
//! lost while we wait, the target is half of that wait, or less if it was, and grows again over minutes. Who begins
//! while others fill the queue takes most of it for the way itself, and finds its true length in the same manner.
//!
//! Where the queue is not known, because nobody tells anything, nothing is held back.
//!
//! The pace rises only when it is what holds us back. It never falls below [`LEAST`], because who sends nothing learns
//! nothing. Who fills a line for long with a queue that never empties would take the queue for the way. So twice a
//! minute half as much is sent for a moment, and the queue runs empty.
//!
//! Law: the pace is never below [`LEAST`]; what goes is never more than a fifteenth above the pace, and its burst.

use std::time::Duration;

use super::waits::{Source, Waits};
use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::time::Instant;

/// How long our packets may wait.
const TARGET: Duration = Duration::from_millis(20);
/// How long they may wait at least, however soon something is lost: it may be lost elsewhere, and clocks are no better.
const LEAST_TARGET: Duration = Duration::from_millis(8);
/// Who waits for less does not wait in a queue that is full.
const LEAST_FULL: Duration = Duration::from_millis(4);
/// How often the pace is set.
const STEP: Duration = Duration::from_millis(50);
/// The least pace: a block in a second.
pub const LEAST: Rate = Rate(16 * 1024);
/// The pace of who has sent nothing for a while.
pub const FIRST: Rate = Rate(64 * 1024);
/// The most, so that nothing overflows.
const MOST: Rate = Rate(1 << 36);
/// After so long without anything to send the line may be another.
const IDLE: Duration = Duration::from_secs(2);
/// Within so long the queue is to be as long as it should.
const CALM: Duration = Duration::from_millis(300);
/// So many steps with an empty queue make the pace rise quickly.
const EMPTY_STEPS: u32 = 4;
/// It then rises by a part of this size in a step, near where the queue filled last by another; and takes so much back
/// when it fills.
const QUICK: Part = Part { far: 16, near: 64 };
const TAKEN_BACK: Part = Part { far: 5, near: 16 };
/// Where the queue filled matters for so long: the line may have been shared.
const NEAR_FOR: Duration = Duration::from_secs(3);
/// Who sends little hears little: what he hears counts for so many steps at most.
const MOST_STEPS: u64 = 8;
/// Where nobody tells anything for so long though something is sent, nobody can, and nothing is held back.
const DEAF: Duration = Duration::from_secs(5);
/// Elsewhere it rises or falls by such a part, if the wait is off by as much as the target.
const SLOW: Part = Part { far: 32, near: 256 };
/// By such a part it falls at most, when the wait is far too long.
const FALL: u64 = 8;
/// The wait may change by so much in a step and be called the same.
const SAME: Duration = Duration::from_millis(1);
/// Losses within this are one.
const ONE_LOSS: Duration = Duration::from_millis(500);
/// So long after a loss, and again, a longer wait is tried.
const LONGER_AFTER: Duration = Duration::from_secs(10);
/// By so much.
const LONGER_BY: Duration = Duration::from_millis(1);
/// What may go at once: the bytes of a fiftieth of a second, and a block at least.
const BURST_PART: u64 = 50;
const LEAST_BURST: u64 = 16 * 1024;
/// How often the queue is let run empty, and for how long.
const PAUSE_EVERY: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(300);

/// Parts of the pace, by whether the queue filled near it last.
struct Part {
    far: u64,
    near: u64,
}

impl Part {
    const fn of(&self, rate: u64, is_near: bool) -> u64 {
        rate / if is_near { self.near } else { self.far }
    }
}

/// How fast may be sent in the background, and what was sent.
#[derive(Clone, Debug)]
pub struct Pace {
    waits: Waits,
    rate: Rate,
    bucket: TokenBucket,
    target_us: u64,
    /// How long we waited at the last step, in microseconds.
    waited_us: u64,
    /// How long at most, in the last second or so.
    peak_us: u64,
    /// For so many steps the queue has been empty.
    empty_steps: u32,
    /// When a wait was last known, and what it was, which may have been an accident.
    looked_at: Instant,
    looked_us: u64,
    /// The pace at which the queue filled last, in bytes a second, and until when that matters.
    filled_at: u64,
    filled_until: Instant,
    /// Something had to wait since the last step.
    is_short: bool,
    step_at: Option<Instant>,
    last_take: Option<Instant>,
    lost_at: Instant,
    longer_at: Instant,
    pause_at: Instant,
    is_paused: bool,
}

impl Pace {
    /// The pace of who has sent nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            waits: Waits::default(),
            rate: FIRST,
            bucket: TokenBucket::new(FIRST, burst(FIRST), now),
            target_us: micros(TARGET),
            waited_us: micros(TARGET),
            peak_us: 0,
            empty_steps: 0,
            looked_at: now,
            looked_us: 0,
            filled_at: 0,
            filled_until: now,
            is_short: false,
            step_at: None,
            last_take: None,
            lost_at: now,
            longer_at: now + LONGER_AFTER,
            pause_at: now + PAUSE_EVERY,
            is_paused: false,
        }
    }

    /// What may be sent in a second.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Somebody tells how long his packets take, and what of that may be the way, both in microseconds of which only
    /// differences mean anything.
    pub fn told(&mut self, now: Instant, source: Source, delay_us: u32, way_us: u32) {
        // Our own queue is not longer than that; and were all wrong, the pace would still rise.
        let ours = u32::try_from(self.target_us * 3 / 4).unwrap_or(0);
        self.waits.told(now, source, delay_us, way_us, ours);
    }

    /// Packets of ours were lost on their way.
    pub fn lost(&mut self, now: Instant) {
        // What is lost while nobody waits is lost elsewhere.
        if self.peak_us >= micros(LEAST_FULL).max(self.target_us / 4) && now - self.lost_at >= ONE_LOSS {
            (self.lost_at, self.longer_at) = (now, now + LONGER_AFTER);
            self.target_us = self.target_us.min((self.peak_us / 2).max(micros(LEAST_TARGET)));
            self.change(now, self.rate.0 - self.rate.0 / FALL);
        }
    }

    /// Whether nothing was sent for so long that [`Pace::begin`] is due.
    pub const fn is_idle(&self) -> bool {
        self.step_at.is_none()
    }

    /// Something is to be sent, after a while without; `before` is how fast it was sent until now.
    pub fn begin(&mut self, now: Instant, before: Rate) {
        if self.last_take.is_none_or(|at| now - at >= IDLE) {
            (self.empty_steps, self.looked_at) = (EMPTY_STEPS, now);
            self.change(now, self.rate.0.min(FIRST.0).max(before.0));
        }
        self.step_at = Some(now + STEP);
    }

    /// When the next byte may go; `now` if it may already.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        let ready = self.bucket.ready_at(now);
        self.is_short |= ready != Some(now);
        ready
    }

    /// So many bytes go.
    pub fn take(&mut self, now: Instant, bytes: u64) {
        self.last_take = Some(now);
        self.bucket.take(now, bytes);
    }

    /// When [`Pace::step`] is next needed; `None` while nothing is sent.
    pub const fn deadline(&self) -> Option<Instant> {
        self.step_at
    }

    /// Sets the pace, if it is time.
    pub fn step(&mut self, now: Instant) {
        if self.step_at.is_none_or(|at| at > now) {
            return;
        }
        self.step_at = self.last_take.is_some_and(|at| now - at < IDLE).then_some(now + STEP);
        let may_rise = std::mem::take(&mut self.is_short) && !self.is_paused;
        self.pause(now);
        if self.longer_at <= now {
            self.longer_at = now + LONGER_AFTER;
            self.target_us = (self.target_us + micros(LONGER_BY)).min(micros(TARGET));
        }
        let Some(waits) = self.waits.look(now) else {
            if may_rise && now - self.looked_at >= DEAF {
                self.change(now, self.rate.0 + QUICK.of(self.rate.0, false));
            }
            return;
        };
        let steps = (now - self.looked_at).as_nanos() / STEP.as_nanos();
        self.looked_at = now;
        let to = self.next(now, micros(waits), may_rise, u64::try_from(steps).unwrap_or(1).clamp(1, MOST_STEPS));
        self.change(now, to);
        tracing::trace!(?waits, rate = %self.rate, target_us = self.target_us, "background");
    }

    /// The pace that follows from this wait.
    fn next(&mut self, now: Instant, waits: u64, may_rise: bool, steps: u64) -> u64 {
        let waits = std::mem::replace(&mut self.looked_us, waits).min(waits);
        let before = std::mem::replace(&mut self.waited_us, waits);
        self.peak_us = waits.max(self.peak_us - self.peak_us / 16);
        let (rate, target) = (self.rate.0, self.target_us);
        let (is_longer, is_shorter) = (waits > before + micros(SAME), waits + micros(SAME) < before);
        let is_near = now < self.filled_until && (self.filled_at * 4 / 5..self.filled_at * 6 / 5).contains(&rate);
        let was_quick = self.empty_steps >= EMPTY_STEPS;
        self.empty_steps = if waits < target / 3 { self.empty_steps + 1 } else { 0 };
        let far = target + target / 2;
        if was_quick && self.empty_steps == 0 && may_rise {
            (self.filled_at, self.filled_until) = (rate - TAKEN_BACK.of(rate, is_near), now + NEAR_FOR);
            self.filled_at
        } else if waits > target && before <= target {
            (self.filled_at, self.filled_until) = (rate, now + NEAR_FOR);
            rate
        } else if waits > target && is_shorter {
            rate
        } else if waits > far {
            rate - rate * (waits - far).min(target) / target / FALL
        } else if waits > target {
            rate - SLOW.of(rate, true) * (waits - target) / target
        } else if !may_rise || is_longer {
            rate
        } else if self.empty_steps >= EMPTY_STEPS {
            rate + QUICK.of(rate, is_near) * steps
        } else {
            rate + SLOW.of(rate, is_near) * (target - waits) / target
        }
    }

    /// Lets the queue run empty now and then.
    fn pause(&mut self, now: Instant) {
        if self.pause_at <= now {
            self.is_paused = !self.is_paused;
            self.pause_at = now + if self.is_paused { PAUSE } else { PAUSE_EVERY };
            self.change(now, self.rate.0);
        }
    }

    fn change(&mut self, now: Instant, rate: u64) {
        let Rate(rate) = Rate(rate).clamp(LEAST, MOST);
        self.rate = Rate(rate);
        let calm = micros(CALM);
        let filled = if self.is_paused {
            rate / 2
        } else if self.waited_us < self.target_us {
            rate + rate * (self.target_us - self.waited_us) / calm
        } else {
            rate - (rate * (self.waited_us - self.target_us).min(calm) / calm).min(rate / 2)
        };
        self.bucket.change(now, Rate(filled), burst(Rate(filled)));
    }
}

const fn burst(rate: Rate) -> ByteCount {
    let part = rate.0 / BURST_PART;
    ByteCount(if part > LEAST_BURST { part } else { LEAST_BURST })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
