//! Decides when the connection to a publisher's event stream is made and made again.
//!
//! A [`Stream`] is open, waits, or is off. What it loses it makes again: soon after a long-lived one, later and later
//! after each that did not last, never twice at the same moment in two agents.
//!
//! Knows nothing of HTTP and of events; [`crate::sse`] reads them.
//!
//! Law: between two connections at least half a second passes.
//!
//! Source: WHATWG HTML, "Server-sent events"; the waits are ours.

use std::time::Duration;

use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;

/// The wait before the second attempt, where the stream does not ask for another.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// No wait is longer, whatever the stream asks for.
const MAX_WAIT: Duration = Duration::from_mins(30);

/// A stream that has lived this long is a good one.
const GOOD_LIFE: Duration = Duration::from_mins(1);

/// The connection to one event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    state: State,
    /// Attempts in a row that did not last.
    failures: u32,
    /// Tells one connection from those before it.
    serial: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    /// Being made, or made; since when.
    On(Instant),
    /// To be made again then.
    Waiting(Instant),
}

impl Stream {
    /// Makes the connection if it is off or its time has come; gives its serial number if it is to be made now.
    pub fn connect_if_due(&mut self, now: Instant) -> Option<u64> {
        if !self.is_due(now) {
            return None;
        }
        self.state = State::On(now);
        self.serial += 1;
        Some(self.serial)
    }

    /// Whether the connection is off or its time has come.
    pub fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::On(_) => false,
            State::Waiting(until) => until <= now,
            State::Off => true,
        }
    }

    /// There is no room for the connection: its time comes then.
    pub fn put_off(&mut self, until: Instant) {
        if !self.is_on() {
            self.state = State::Waiting(until);
        }
    }

    /// Whether `serial` is the connection that stands now.
    pub fn is_current(&self, serial: u64) -> bool {
        serial == self.serial && matches!(self.state, State::On(_))
    }

    /// Whether a connection stands or is being made.
    pub fn is_on(&self) -> bool {
        matches!(self.state, State::On(_))
    }

    /// The connection is lost or could not be made. `retry` is what the stream asked to wait.
    pub fn lost(&mut self, now: Instant, retry: Option<Duration>, rng: &mut Rng) {
        let State::On(since) = self.state else { return };
        self.failures = if now - since >= GOOD_LIFE { 0 } else { (self.failures + 1).min(16) };
        let doublings = self.failures.saturating_sub(1);
        let base = retry.unwrap_or(FIRST_WAIT).clamp(Duration::from_secs(1), MAX_WAIT);
        let wait = base.saturating_mul(1 << doublings).min(MAX_WAIT);
        self.state = State::Waiting(now + rng.jitter(wait, 50));
    }

    /// The connection is no longer wanted.
    pub fn turn_off(&mut self) {
        self.state = State::Off;
        self.failures = 0;
    }

    /// When to come to [`Stream::connect_if_due`]: at once if it is off, `None` while it stands or is being made.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Off => Some(Instant::ZERO),
            State::On(_) => None,
            State::Waiting(until) => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_lost_stream_is_made_again_later_and_later() {
        let (mut stream, mut rng) = (Stream::default(), Rng::from_seed_u64(1));
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            assert!(stream.connect_if_due(now).is_some());
            stream.lost(now, None, &mut rng);
            let next = stream.deadline().unwrap();
            assert_eq!(stream.connect_if_due(now), None);
            waits.push(next - now);
            now = next;
        }
        assert!(waits[0] >= Duration::from_secs(1) && waits[0] <= Duration::from_secs(3));
        assert!(waits[5] > waits[0]);
        assert!(waits.iter().all(|wait| *wait <= MAX_WAIT * 3 / 2));
    }

    #[test]
    fn a_stream_that_lived_long_is_made_again_soon() {
        let (mut stream, mut rng) = (Stream::default(), Rng::from_seed_u64(2));
        for _ in 0..10 {
            stream.connect_if_due(stream.deadline().unwrap_or_default());
            stream.lost(stream.deadline().unwrap_or_default(), None, &mut rng);
        }
        let opened = stream.deadline().unwrap();
        stream.connect_if_due(opened).unwrap();
        let lost = opened + Duration::from_hours(1);
        stream.lost(lost, None, &mut rng);
        assert!(stream.deadline().unwrap() - lost <= Duration::from_secs(3));
    }

    #[test]
    fn two_agents_do_not_come_back_together() {
        let deadline = |seed| {
            let mut stream = Stream::default();
            stream.connect_if_due(at(0)).unwrap();
            stream.lost(at(100), None, &mut Rng::from_seed_u64(seed));
            stream.deadline().unwrap()
        };
        assert_ne!(deadline(1), deadline(2));
    }

    #[test]
    fn no_stream_may_ask_for_silence() {
        let (mut stream, mut rng) = (Stream::default(), Rng::from_seed_u64(3));
        stream.connect_if_due(at(0)).unwrap();
        stream.lost(at(0), Some(Duration::MAX), &mut rng);
        assert!(stream.deadline().unwrap() - at(0) <= MAX_WAIT * 3 / 2);
    }

    #[test]
    fn what_an_old_connection_says_is_not_current() {
        let (mut stream, mut rng) = (Stream::default(), Rng::from_seed_u64(4));
        let first = stream.connect_if_due(at(0)).unwrap();
        stream.lost(at(1), None, &mut rng);
        assert!(!stream.is_current(first));
        let second = stream.connect_if_due(at(100)).unwrap();
        assert!(stream.is_current(second) && !stream.is_current(first));
        stream.turn_off();
        assert!(!stream.is_current(second));
    }
}
