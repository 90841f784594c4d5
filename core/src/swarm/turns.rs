//! Whose turn it is to be sent a piece, and how many are sent to at once.
//!
//! A piece is of use to nobody before it is whole. Nine peers that are sent a piece each at the same time have it nine
//! times as late as the first of them would if it were sent to alone, and the last of them no sooner. So pieces are
//! sent one after another, and a young swarm doubles in the time that one piece takes and not nine: a turn begins when
//! nearly all bytes of the one before have left. One at a time is too few only where the receiver is slower than our
//! line; then as many are sent to at once as fill it.
//!
//! How many that is, a [`Width`] finds out as congestion control does: it doubles while that brings more, and then
//! tries whether a few more would bring more, or a few less as much; often at first, and ever less often while that
//! tells nothing new. A short window misleads: sockets are empty at first, and connections begin slowly. So where
//! doubling no longer brings more, it stays for the time being: one too many makes a piece a little late, and one too
//! few leaves the line idle.
//!
//! Knows no sockets; it is told what they took.
//!
//! Law: never fewer than one at once, never more than [`MAX_WIDTH`].

use std::time::Duration;

use crate::layout::PieceIndex;
use crate::peer::ConnId;
use crate::time::Instant;

/// The most peers that are sent to at once.
pub(super) const MAX_WIDTH: usize = 64;
/// Where a width begins.
const FIRST_WIDTH: usize = 1;
/// How long a width is tried at least while it grows.
const SHORT_WINDOW: Duration = Duration::from_millis(250);
/// How long a width is tried at least once it is found.
const LONG_WINDOW: Duration = Duration::from_secs(1);
/// How many bytes tell a speed; fewer do after [`SLOW_WINDOW`].
const WINDOW_BYTES: u64 = 512 * 1024;
/// How long a width is tried at most.
const SLOW_WINDOW: Duration = Duration::from_secs(3);
/// How many windows pass between two trials at most.
const LONGEST_REST: u32 = 6;

/// A peer that is sent a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) conn: ConnId,
    pub(super) piece: PieceIndex,
}

/// How many peers are sent to at once.
#[derive(Clone, Debug)]
pub(super) struct Width {
    at_once: usize,
    mode: Mode,
    /// Bytes a second at the found width.
    usual: u64,
    /// How many windows pass until the next trial, and what it will be.
    rest: u32,
    next: Trial,
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Twice as many as brought `before` bytes a second are tried.
    Growing { before: u64 },
    /// Twice as many brought no more: it is measured what they bring.
    Settling,
    /// The width is found; so many windows ago something was tried, and so many in a row were slow.
    Found { windows: u32, slow: u32 },
    /// Another one is tried than `back`.
    Trying { trial: Trial, back: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    More,
    Fewer,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    bytes: u64,
}

impl Default for Width {
    fn default() -> Self {
        let mode = Mode::Growing { before: 0 };
        Self { at_once: FIRST_WIDTH, mode, usual: 0, rest: 0, next: Trial::More, window: None }
    }
}

impl Width {
    /// How many may be sent to at once.
    pub(super) const fn get(&self) -> usize {
        self.at_once
    }

    /// The sockets took so many bytes.
    pub(super) fn taken(&mut self, now: Instant, bytes: u64) {
        let Some(window) = &mut self.window else { return };
        window.bytes += bytes;
        let passed = now - window.began;
        let least = if matches!(self.mode, Mode::Growing { .. }) { SHORT_WINDOW } else { LONG_WINDOW };
        if passed >= SLOW_WINDOW || (passed >= least && window.bytes >= WINDOW_BYTES) {
            let rate = window.bytes * 1000 / u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.window = Some(Window { began: now, bytes: 0 });
            self.measured(rate);
        }
    }

    /// Others wait for a turn, or nobody does: then what the sockets take says nothing about the line.
    pub(super) fn others_wait(&mut self, now: Instant, wait: bool) {
        match (wait, self.window) {
            (true, None) => self.window = Some(Window { began: now, bytes: 0 }),
            (false, Some(_)) => self.window = None,
            _ => {}
        }
    }

    fn measured(&mut self, rate: u64) {
        let is_slow = rate < self.usual / 4 * 3;
        match self.mode {
            Mode::Growing { before } if rate > before + before / 4 && self.at_once < MAX_WIDTH => self.grow(rate),
            Mode::Growing { .. } => self.mode = Mode::Settling,
            Mode::Settling => {
                (self.usual, self.rest, self.next) = (rate, 0, Trial::More);
                self.go_on(0);
            }
            Mode::Found { slow: 1.., .. } if is_slow => self.grow(rate),
            Mode::Found { windows, .. } => {
                self.usual = self.usual / 4 * 3 + rate / 4;
                if is_slow {
                    self.mode = Mode::Found { windows, slow: 1 };
                } else {
                    self.go_on(windows + 1);
                }
            }
            Mode::Trying { trial, back } => {
                let is_better = match trial {
                    Trial::More => rate > self.usual + self.usual / 8,
                    Trial::Fewer => rate >= self.usual - self.usual / 32,
                };
                if is_better {
                    (self.usual, self.rest, self.next) = (rate, 1, trial);
                } else {
                    self.set(back);
                    self.rest = (2 * self.rest).clamp(1, LONGEST_REST);
                    self.next = if trial == Trial::More { Trial::Fewer } else { Trial::More };
                }
                self.go_on(0);
            }
        }
    }

    /// Twice as many are tried as brought so much.
    fn grow(&mut self, rate: u64) {
        self.mode = Mode::Growing { before: rate };
        self.set(self.at_once * 2);
    }

    /// So many windows have passed since something was tried.
    fn go_on(&mut self, windows: u32) {
        if windows < self.rest {
            self.mode = Mode::Found { windows, slow: 0 };
            return;
        }
        let back = self.at_once;
        let trial = if back == 1 { Trial::More } else { self.next };
        self.mode = Mode::Trying { trial, back };
        self.set(match trial {
            Trial::More => back + back.div_ceil(2),
            Trial::Fewer => back - back.div_ceil(4),
        });
    }

    fn set(&mut self, at_once: usize) {
        self.at_once = at_once.clamp(1, MAX_WIDTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `seconds` pass on a line of `line` bytes a second to peers that take `peer` bytes a second each.
    fn run(width: &mut Width, from: u64, seconds: u64, line: u64, peer: u64) -> usize {
        const STEP_MS: u64 = 50;
        let mut sum = 0;
        for step in 0..seconds * 1000 / STEP_MS {
            let now = Instant::ZERO + Duration::from_millis(from * 1000 + step * STEP_MS);
            width.others_wait(now, true);
            // A sixteenth more or less: no line is quite even.
            let wobble = [15, 16, 17, 16][usize::try_from(step % 4).unwrap()];
            width.taken(now, line.min(peer * width.get() as u64) * STEP_MS / 1000 * wobble / 16);
            sum += width.get();
        }
        sum / usize::try_from(seconds * 1000 / STEP_MS).unwrap()
    }

    #[test]
    fn a_line_slower_than_its_peers_serves_one_or_two() {
        let mut width = Width::default();
        assert!(run(&mut width, 0, 60, 1_250_000, 6_000_000) <= 2);
        assert!(width.get() <= 2, "{width:?}");
    }

    #[test]
    fn a_fast_line_serves_as_many_slow_peers_as_fill_it() {
        let mut width = Width::default();
        run(&mut width, 0, 10, 12_500_000, 500_000);
        let mean = run(&mut width, 10, 60, 12_500_000, 500_000);
        assert!((24..=40).contains(&mean), "{mean}");
    }

    #[test]
    fn a_line_that_changes_is_followed() {
        let mut width = Width::default();
        run(&mut width, 0, 20, 1_250_000, 6_000_000);
        let slow_peers = run(&mut width, 20, 60, 1_250_000, 100_000);
        assert!(slow_peers >= 8, "{slow_peers}");
        run(&mut width, 80, 60, 1_250_000, 6_000_000);
        let fast_peers = run(&mut width, 140, 60, 1_250_000, 6_000_000);
        assert!(fast_peers <= 3, "{fast_peers}");
    }

    #[test]
    fn what_is_taken_while_nobody_waits_says_nothing() {
        let mut width = Width::default();
        for second in 0..60 {
            let now = Instant::ZERO + Duration::from_secs(second);
            width.others_wait(now, false);
            width.taken(now, second * 1_000_000);
        }
        assert_eq!(width.get(), FIRST_WIDTH);
    }
}
