//! How much downloads over HTTP may take of a line that peers use as well: their part, and what peers leave free.
//!
//! Their part is a percentage of all that leaves us. Whether peers leave anything besides is found by trying. Downloads
//! are allowed a little more for a while; if more leaves us in sum, the line has room, and they are allowed more again;
//! if not, peers had the less, and downloads go back to their part for some time. While they have more, they are now
//! and then allowed less, to see whether peers take what they give up.
//!
//! Trying needs nothing that only some systems tell, and is right for every line: one that we fill, one that is filled
//! further on, one behind a proxy.
//!
//! Knows no clock; is told what was sent in every [`STEP`].
//! Law: what is allowed is never less than the part.

use std::time::Duration;

use podswarm_core::rate::Rate;
use podswarm_core::time::Instant;

/// How often is decided what is allowed.
pub(super) const STEP: Duration = Duration::from_secs(1);
/// What downloads have at least, however little leaves us.
const LEAST: u64 = 32 * 1024;
/// After so long on their part more is tried; after each failure twice as long later.
const FIRST_HOLD: Duration = Duration::from_secs(2);
const LONGEST_HOLD: Duration = Duration::from_mins(1);
/// How often it is looked whether peers want what downloads have besides.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// By such a part of it is tried at first whether the line has room, and whether peers want more.
const TRY_PART: u64 = 4;
/// By such a part it is tried where it had none a while ago.
const NEAR_PART: u64 = 8;
/// Downloads that take less than such a part more take all that they can.
const TAKEN_PART: u64 = 16;
/// Peers that are sent so much more than when there was room want more.
const MORE: u64 = 64 * 1024;

/// What was sent in one step, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// To peers.
    pub(super) peers: u64,
    /// Over HTTP.
    pub(super) downloads: u64,
}

impl Sent {
    const fn sum(self) -> u64 {
        self.peers + self.downloads
    }
}

/// What downloads may have in a second.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    now: u64,
    state: State,
    /// When the next try is due.
    due: Instant,
    hold: Duration,
    /// Whether the end of the line was not met yet, since downloads had their part alone.
    is_far: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Only their part.
    Part,
    /// More is tried, and whether it has had time to tell.
    More { before: Before, is_settled: bool },
    /// Peers leave this free, who were sent `peers` then; next less is tried, or else more.
    Free { peers: u64, is_less_next: bool },
    /// Less is tried.
    Less { before: Before, is_settled: bool },
}

/// How it was before something was tried.
#[derive(Clone, Copy, Debug)]
struct Before {
    sent: Sent,
    allowed: u64,
}

impl Allowance {
    /// That of downloads where peers begin to be served.
    pub(super) fn new(now: Instant) -> Self {
        Self { now: LEAST, state: State::Part, due: now + FIRST_HOLD, hold: FIRST_HOLD, is_far: true }
    }

    /// What may be sent in a second.
    pub(super) const fn rate(&self) -> Rate {
        Rate(self.now)
    }

    /// A step has passed in which so much was sent; `percent` is the part, and `are_short` tells that downloads wanted
    /// more than was allowed.
    pub(super) fn step(&mut self, now: Instant, sent: Sent, percent: u8, are_short: bool) {
        let part = (sent.sum() * u64::from(percent) / 100).max(LEAST);
        let is_due = self.due <= now;
        match &mut self.state {
            State::More { is_settled, .. } | State::Less { is_settled, .. } if !*is_settled => *is_settled = true,
            State::More { before, .. } => {
                let before = *before;
                self.judge_more(now, before, sent, part, are_short);
            }
            State::Less { before, .. } => {
                let before = *before;
                self.judge_less(now, before, sent, part);
            }
            State::Part if is_due && are_short => {
                self.state = State::More { before: Before { sent, allowed: part }, is_settled: false };
                self.now = part + part / TRY_PART;
            }
            State::Part => self.now = part,
            State::Free { peers, .. } if sent.peers > 2 * *peers + MORE => {
                self.hold = FIRST_HOLD;
                self.go_back(now, part);
            }
            State::Free { is_less_next: true, .. } if is_due => {
                self.state = State::Less { before: Before { sent, allowed: self.now }, is_settled: false };
                // Nobody notices who is allowed less than he was, but more than he takes.
                self.now = self.now.min(sent.downloads) / TRY_PART * (TRY_PART - 1);
            }
            State::Free { .. } if is_due && are_short => {
                self.state = State::More { before: Before { sent, allowed: self.now }, is_settled: false };
                self.now += self.now / NEAR_PART;
            }
            State::Free { .. } => {}
        }
        self.now = self.now.max(part);
    }

    /// More was tried, and so much was sent.
    fn judge_more(&mut self, now: Instant, before: Before, sent: Sent, part: u64, are_short: bool) {
        let more = sent.downloads.saturating_sub(before.sent.downloads);
        let have_less = 4 * sent.peers < 3 * before.sent.peers;
        if have_less || 2 * sent.sum().saturating_sub(before.sent.sum()) < more {
            self.is_far = false;
            if before.allowed > part {
                self.now = before.allowed;
                self.is_free(now, before.sent.peers);
            } else {
                self.go_back(now, part);
            }
        } else if !are_short || TAKEN_PART * more < before.sent.downloads {
            // They want no more, or the line has none; peers have no less.
            self.now = self.now.min(sent.downloads + sent.downloads / TRY_PART);
            self.is_free(now, sent.peers);
        } else {
            self.hold = FIRST_HOLD;
            self.state = State::More { before: Before { sent, allowed: self.now }, is_settled: false };
            self.now += if self.is_far { self.now } else { self.now / NEAR_PART };
        }
    }

    /// Less was tried, and so much was sent.
    fn judge_less(&mut self, now: Instant, before: Before, sent: Sent, part: u64) {
        let given = before.sent.downloads.saturating_sub(sent.downloads);
        let taken = sent.peers.saturating_sub(before.sent.peers);
        if 2 * taken >= given && given > 0 {
            self.go_back(now, part);
        } else {
            self.now = before.allowed;
            self.state = State::Free { peers: before.sent.peers, is_less_next: false };
            self.due = now + STEP;
        }
    }

    /// There is room for what is allowed.
    fn is_free(&mut self, now: Instant, peers: u64) {
        self.state = State::Free { peers, is_less_next: true };
        self.due = now + CHECK_EVERY;
    }

    /// Peers want the rest.
    fn go_back(&mut self, now: Instant, part: u64) {
        (self.now, self.state, self.due, self.is_far) = (part, State::Part, now + self.hold, true);
        self.hold = (2 * self.hold).min(LONGEST_HOLD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that a line of 20 Mbit/s carries in a second.
    const LINE: u64 = 2_500_000;

    /// What goes in so many seconds, the last minute counted, where peers and downloads want so much and downloads win.
    fn run(allowance: &mut Allowance, from: u64, seconds: u64, peers: u64, downloads: u64, percent: u8) -> Sent {
        let mut sum = Sent::default();
        for second in from..from + seconds {
            let over_http = downloads.min(allowance.rate().0).min(LINE);
            let sent = Sent { peers: peers.min(LINE - over_http), downloads: over_http };
            allowance.step(Instant::ZERO + STEP * u32::try_from(second).unwrap(), sent, percent, downloads > over_http);
            if second + 60 >= from + seconds {
                sum = Sent { peers: sum.peers + sent.peers, downloads: sum.downloads + sent.downloads };
            }
        }
        Sent { peers: sum.peers / seconds.min(60), downloads: sum.downloads / seconds.min(60) }
    }

    #[test]
    fn peers_who_want_everything_have_all_but_the_part() {
        for percent in [10, 25, 50, 75] {
            let mut allowance = Allowance::new(Instant::ZERO);
            let early = run(&mut allowance, 0, 30, LINE, LINE, percent);
            let late = run(&mut allowance, 30, 300, LINE, LINE, percent);
            for sent in [early, late] {
                let got = sent.downloads * 100 / LINE;
                assert!(got.abs_diff(percent.into()) <= 4, "{got} % instead of {percent} %");
            }
        }
    }

    #[test]
    fn what_peers_leave_is_found_within_half_a_minute_and_kept() {
        let mut allowance = Allowance::new(Instant::ZERO);
        run(&mut allowance, 0, 30, 30_000, LINE, 25);
        let sent = run(&mut allowance, 30, 60, 30_000, LINE, 25);
        assert!(sent.downloads > LINE * 8 / 10 && sent.peers >= 25_000, "{sent:?}");
    }

    #[test]
    fn peers_who_come_later_have_their_own_again() {
        // At once if they are many; in some seconds if they ask for little more.
        for (peers, within) in [(LINE, 3), (60_000, 14)] {
            let mut allowance = Allowance::new(Instant::ZERO);
            run(&mut allowance, 0, 60, 30_000, LINE, 25);
            // Downloads do not win against all of them.
            let sent = Sent { peers: peers.min(LINE / 8), downloads: LINE - peers.min(LINE / 8) };
            allowance.step(Instant::ZERO + Duration::from_mins(1), sent, 25, true);
            run(&mut allowance, 61, within, peers, LINE, 25);
            let sent = run(&mut allowance, 61 + within, 20, peers, LINE, 25);
            assert!(sent.peers * 10 > peers.min(LINE * 3 / 4) * 8, "{sent:?} of {peers}");
        }
    }

    #[test]
    fn nobody_is_kept_waiting_who_wants_little() {
        let mut allowance = Allowance::new(Instant::ZERO);
        let sent = run(&mut allowance, 0, 60, 500_000, 200_000, 25);
        assert!(sent.downloads > 190_000, "{sent:?}");
    }
}
