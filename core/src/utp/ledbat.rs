//! How much may be on its way at once, so that what we send waits nowhere for long.
//!
//! Every answer tells how long our packets took by the two sides' clocks, which agree on nothing but the length of a
//! second. The shortest that was seen is the way itself; what is longer is waiting in somebody's queue, most often that
//! of our own uplink. Below the [target](Ledbat::new) the window grows, above it shrinks by as much as the wait is too
//! long, so that a sender who fills the queue, as TCP does, is given way to within a few round trips.
//!
//! Who comes while the queue is full takes the full queue for the way itself. So every [`PAUSE_EVERY`] all senders of
//! one clock, which are all those of one uplink, let the queue run empty for two round trips and look. Old minima are
//! forgotten after two minutes, because clocks drift.
//!
//! The window may shrink to a quarter of a packet: one packet in four round trips.
//!
//! Knows nothing of packets: bytes and times come in as numbers.
//! Law: the window is never below [`Ledbat::LEAST`] of a packet, and grows no faster than bytes are acknowledged.
//! Source: RFC 6817 as BEP 29 uses it; the shrinking by a factor, the gain and the pauses are LEDBAT++
//! (draft-irtf-iccrg-ledbat-plus-plus).

use std::collections::VecDeque;
use std::time::Duration;

use super::minima::{Minima, lesser};
use crate::time::Instant;

/// How often the queue is let run empty.
pub(super) const PAUSE_EVERY: Duration = Duration::from_secs(30);
/// How many minima of the delay are kept: two minutes.
const MINIMA: usize = 4;
/// Of so many last samples the least counts: the others tell how busy the machines are.
const SAMPLES: usize = 4;
/// Packets that a new connection may have on its way.
const FIRST_WINDOW: u64 = 4;
/// Packets that may be on their way while the queue runs empty.
const PAUSED_WINDOW: u64 = 1;

/// The window of one connection. All figures are bytes and microseconds.
#[derive(Debug)]
pub(super) struct Ledbat {
    /// Payload of a full packet.
    packet: u64,
    target_us: u64,
    window: u64,
    /// Until it reaches this, the window doubles each round trip.
    threshold: u64,
    minima: Minima,
    samples: VecDeque<u32>,
    /// The number of the period between pauses in which the last pause was.
    period: u64,
    /// The pause under way.
    paused_until: Option<Instant>,
}

impl Ledbat {
    /// The least window in parts of a packet.
    pub(super) const LEAST: u64 = 4;

    /// The window of a new connection, which aims at a wait of `target` in queues.
    pub(super) fn new(now: Instant, packet: usize, target: Duration) -> Self {
        let packet = packet as u64;
        Self {
            packet,
            target_us: u64::try_from(target.as_micros()).unwrap_or(u64::MAX).max(1),
            window: FIRST_WINDOW * packet,
            threshold: u64::MAX,
            minima: Minima::new(now, MINIMA),
            samples: VecDeque::with_capacity(SAMPLES),
            period: period(now),
            paused_until: None,
        }
    }

    /// The bytes that may be on their way.
    pub(super) fn window(&self) -> u64 {
        if self.paused_until.is_some() { self.window.min(PAUSED_WINDOW * self.packet) } else { self.window }
    }

    /// Takes the time that a packet of ours took, as the peer's clock shows it.
    pub(super) fn measured(&mut self, now: Instant, delay_us: u32) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(delay_us);
        self.minima.measured(now, delay_us);
    }

    /// How long our packets wait in queues, in microseconds; `None` before the first measure.
    pub(super) fn waiting_us(&self) -> Option<u64> {
        let way = self.minima.least()?;
        let current = self.samples.iter().copied().reduce(lesser)?;
        Some(u64::from(current.wrapping_sub(way)))
    }

    /// So many bytes were acknowledged, when `in_flight` were on their way.
    pub(super) fn acknowledged(
        &mut self,
        now: Instant,
        bytes: u64,
        in_flight: u64,
        shortest: Duration,
        usual: Duration,
    ) {
        if let Some(until) = self.paused_until {
            if now < until {
                return;
            }
            self.paused_until = None;
            self.threshold = self.window;
            self.window = self.window.min(FIRST_WINDOW * self.packet);
        } else if self.period != period(now) {
            self.period = period(now);
            self.paused_until = Some(now + 2 * usual);
            return;
        }
        let waiting = self.waiting_us().unwrap_or(0);
        // Who has less to send than he may learns nothing of how much more it could be.
        let is_used = in_flight + 2 * self.packet >= self.window;
        if waiting > self.target_us {
            self.threshold = self.threshold.min(self.window);
            let excess = bytes.saturating_mul(waiting - self.target_us) / self.target_us;
            let gained = self.gain(shortest, bytes);
            self.window = (self.window + gained).saturating_sub(excess.min(bytes / 2));
        } else if self.window < self.threshold && 4 * waiting < 3 * self.target_us {
            self.window += if is_used { bytes } else { 0 };
        } else if is_used {
            self.threshold = self.threshold.min(self.window);
            self.window += self.gain(shortest, bytes);
        }
        self.window = self.window.max(self.packet / Self::LEAST);
    }

    /// What the window grows by: up to a packet in a round trip, less where trips are short, because there are many of
    /// them.
    fn gain(&self, shortest: Duration, bytes: u64) -> u64 {
        let shortest_us = u64::try_from(shortest.as_micros()).unwrap_or(u64::MAX).max(1);
        let divisor = (2 * self.target_us).div_ceil(shortest_us).clamp(1, 16);
        (bytes * self.packet / self.window.max(1) / divisor).max(1)
    }

    /// A packet was lost on the way; to be told once for all that were lost together.
    pub(super) fn lost(&mut self) {
        self.window = (self.window / 2).max(self.packet / Self::LEAST);
        self.threshold = self.window;
    }

    /// Nothing was answered for too long.
    pub(super) fn timed_out(&mut self) {
        self.threshold = (self.window / 2).max(2 * self.packet);
        self.window = self.packet;
        self.paused_until = None;
    }
}

/// The number of the period between pauses.
fn period(now: Instant) -> u64 {
    now.as_nanos() / u64::try_from(PAUSE_EVERY.as_nanos()).expect("it is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(40);

    /// A sender whose clock is behind, so that differences wrap.
    fn ledbat() -> Ledbat {
        let mut ledbat = Ledbat::new(Instant::ZERO, 1000, Duration::from_millis(25));
        ledbat.measured(Instant::ZERO, way(0));
        ledbat
    }

    fn way(waiting_us: u32) -> u32 {
        (u32::MAX - 5_000).wrapping_add(waiting_us)
    }

    /// One round trip in which every packet waited so long.
    fn trip(ledbat: &mut Ledbat, now: Instant, waiting_us: u32) {
        for _ in 0..SAMPLES {
            ledbat.measured(now, way(waiting_us));
        }
        let window = ledbat.window();
        ledbat.acknowledged(now, window, window, TRIP, TRIP);
    }

    #[test]
    fn an_empty_queue_doubles_the_window_until_it_begins_to_fill() {
        let mut ledbat = ledbat();
        for _ in 0..4 {
            trip(&mut ledbat, Instant::ZERO, 0);
        }
        assert_eq!(ledbat.window(), 64_000);
        trip(&mut ledbat, Instant::ZERO, 20_000);
        trip(&mut ledbat, Instant::ZERO, 0);
        assert!((64_000..66_000).contains(&ledbat.window()), "{}", ledbat.window());
    }

    #[test]
    fn a_queue_that_others_fill_halves_the_window_each_trip() {
        let mut ledbat = ledbat();
        for _ in 0..5 {
            trip(&mut ledbat, Instant::ZERO, 0);
        }
        for _ in 0..20 {
            trip(&mut ledbat, Instant::ZERO, 100_000);
        }
        assert!((250..2000).contains(&ledbat.window()), "{}", ledbat.window());
    }

    #[test]
    fn who_has_little_to_send_is_not_allowed_more_for_it() {
        let mut ledbat = ledbat();
        for _ in 0..100 {
            ledbat.acknowledged(Instant::ZERO, 1000, 1000, TRIP, TRIP);
        }
        assert!(ledbat.window() < 8000, "{}", ledbat.window());
    }

    #[test]
    fn every_half_minute_the_queue_runs_empty() {
        let mut ledbat = ledbat();
        for _ in 0..6 {
            trip(&mut ledbat, Instant::ZERO, 0);
        }
        let before = ledbat.window();
        let next = Instant::ZERO + PAUSE_EVERY;
        trip(&mut ledbat, next, 20_000);
        assert_eq!(ledbat.window(), 1000);
        let after = next + 2 * TRIP;
        for _ in 0..8 {
            trip(&mut ledbat, after, 0);
        }
        assert!((before..before + 5000).contains(&ledbat.window()), "{before} {}", ledbat.window());
    }

    #[test]
    fn a_longer_way_is_learnt_within_two_minutes() {
        let mut ledbat = ledbat();
        let mut now = Instant::ZERO;
        for _ in 0..=MINIMA {
            now += PAUSE_EVERY;
            trip(&mut ledbat, now, 80_000);
        }
        assert_eq!(ledbat.waiting_us(), Some(0));
    }

    #[test]
    fn losses_halve_and_silence_begins_anew() {
        let mut ledbat = ledbat();
        for _ in 0..5 {
            trip(&mut ledbat, Instant::ZERO, 0);
        }
        let window = ledbat.window();
        ledbat.lost();
        assert_eq!(ledbat.window(), window / 2);
        ledbat.timed_out();
        assert_eq!(ledbat.window(), 1000);
    }
}
