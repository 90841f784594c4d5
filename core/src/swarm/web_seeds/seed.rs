//! One web seed: what it is asked for, how quick it is, how long it is left alone after it failed.
//!
//! Law: what a run awaits is what was granted and has not come, in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::{WebSeedState, WebSeedStatus};
use crate::layout::{BlockInfo, PieceIndex};
use crate::rate::RateMeter;
use crate::rng::Rng;
use crate::time::Instant;

/// How long a server is left alone after its first failure; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// The longest wait that a server may ask for.
const LONGEST_ASKED_WAIT: Duration = Duration::from_hours(1);
/// The least and the most bytes that are granted ahead; in between, an eighth of a second of what the server gives.
///
/// It bridges the way between our own tasks, not that to the server, which the system's buffers bridge.
const WINDOW: Range<u64> = 128 << 10..4 << 20;

/// Whether a server may be asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// At any time.
    Ready,
    /// Not before this.
    Until(Instant),
    /// Never again.
    Dropped,
}

/// One web seed.
#[derive(Debug)]
pub(super) struct WebSeed {
    pub(super) url: String,
    pub(super) rest: Rest,
    /// Why it waits or was dropped.
    pub(super) error: Option<String>,
    /// Failures in a row.
    failures: u32,
    /// Whether it sends parts of files.
    pub(super) has_ranges: bool,
    pub(super) run: Option<Run>,
    /// The piece behind the last run.
    pub(super) after: Option<PieceIndex>,
    pub(super) downloaded: u64,
    pub(super) rate: RateMeter,
    /// The speed at the end of the last run, in bytes a second.
    pub(super) best_rate: u64,
}

impl WebSeed {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            rest: Rest::Ready,
            error: None,
            failures: 0,
            has_ranges: true,
            run: None,
            after: None,
            downloaded: 0,
            rate: RateMeter::default(),
            best_rate: 0,
        }
    }

    /// Whether a run may begin.
    pub(super) fn may_run(&self, now: Instant) -> bool {
        let is_rested = match self.rest {
            Rest::Ready => true,
            Rest::Until(at) => at <= now,
            Rest::Dropped => false,
        };
        is_rested && self.run.is_none()
    }

    /// How many bytes it may send ahead.
    pub(super) fn window(&mut self, now: Instant) -> u64 {
        (self.rate.rate(now).0 / 8).clamp(WINDOW.start, WINDOW.end)
    }

    pub(super) fn received(&mut self, now: Instant, bytes: u64) {
        self.downloaded += bytes;
        self.rate.add(now, bytes);
        (self.failures, self.error, self.rest) = (0, None, Rest::Ready);
    }

    /// A run was brought whole; `after` is the piece behind it, or the first.
    pub(super) fn done(&mut self, now: Instant, after: PieceIndex) {
        self.after = Some(after);
        self.best_rate = self.rate.rate(now).0;
    }

    /// It failed, and may have said when it wishes to be asked again.
    pub(super) fn failed(&mut self, now: Instant, reason: String, asked: Option<Duration>, rng: &mut Rng) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED_WAIT);
        self.failures += 1;
        // Later than it asked for is polite, sooner is not.
        self.rest = Rest::Until(now + rng.jitter(wait, 20).max(asked));
        self.error = Some(reason);
        self.best_rate = 0;
    }

    pub(super) fn status(&mut self, now: Instant) -> WebSeedStatus {
        let state = match (self.rest, &self.run) {
            (Rest::Dropped, _) => WebSeedState::Dropped,
            (_, Some(_)) => WebSeedState::Active,
            (Rest::Until(at), None) if at > now => WebSeedState::Waiting,
            (_, None) => WebSeedState::Idle,
        };
        let (url, error) = (self.url.clone(), self.error.clone());
        WebSeedStatus { url, state, downloaded: self.downloaded, rate: self.rate.rate(now), error }
    }
}

/// A run that a server is asked for.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) fetch: u32,
    /// Bytes of the torrent.
    pub(super) range: Range<u64>,
    /// How many connected peers had its first piece when it began.
    pub(super) rarity: u32,
    /// Up to where it may send.
    pub(super) granted: u64,
    /// What was granted and has not come, in order, and whether it is still wanted.
    pub(super) waiting: VecDeque<(BlockInfo, bool)>,
    pub(super) waiting_bytes: u64,
    /// When something last came, or the run began.
    pub(super) came_at: Instant,
    /// Nothing more is granted: somebody was quicker, or it is not needed any more.
    pub(super) is_cut: bool,
    /// It brings what a reader needs.
    pub(super) is_urgent: bool,
}

impl Run {
    /// A run without a number.
    pub(super) fn new(range: Range<u64>, rarity: u32, now: Instant) -> Self {
        let (granted, waiting) = (range.start, VecDeque::new());
        let (fetch, waiting_bytes, is_cut, is_urgent) = (0, 0, false, false);
        Self { fetch, range, rarity, granted, waiting, waiting_bytes, came_at: now, is_cut, is_urgent }
    }

    /// Lets the server send this block, which ends at `end`.
    pub(super) fn grant(&mut self, block: BlockInfo, end: u64, is_wanted: bool) {
        self.granted = end;
        self.waiting.push_back((block, is_wanted));
        self.waiting_bytes += u64::from(block.length);
    }

    /// The next block came; tells which it was and whether it is wanted.
    pub(super) fn came(&mut self, now: Instant) -> Option<(BlockInfo, bool)> {
        self.came_at = now;
        let (block, is_wanted) = self.waiting.pop_front()?;
        self.waiting_bytes -= u64::from(block.length);
        Some((block, is_wanted))
    }

    /// Whether nothing more is granted.
    pub(super) const fn is_over(&self) -> bool {
        self.is_cut || self.granted >= self.range.end
    }

    /// Whether a block is to come that is wanted.
    pub(super) fn awaits_any(&self) -> bool {
        self.waiting.iter().any(|(_, is_wanted)| *is_wanted)
    }

    /// Whether every byte has come.
    pub(super) fn is_whole(&self) -> bool {
        self.granted >= self.range.end && self.waiting.is_empty()
    }

    /// Somebody else brought this block; tells whether it was awaited.
    pub(super) fn cancel(&mut self, block: BlockInfo) -> bool {
        let awaited = self.waiting.iter_mut().find(|(waiting, is_wanted)| *waiting == block && *is_wanted);
        awaited.is_some_and(|(_, is_wanted)| std::mem::replace(is_wanted, false))
    }
}
