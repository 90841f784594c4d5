//! The shortest delay of the last minutes, by clocks that agree on nothing but the length of a second.
//!
//! Delays are microseconds, and only their differences mean anything; these wrap. Minima are collected for [`OVER`]
//! each, and the oldest is forgotten when a new one begins: clocks drift, and ways change.
//!
//! Source: RFC 6817 §4.2, its base delay.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// For how long one minimum is collected.
const OVER: Duration = Duration::from_secs(30);

/// The last few minima of one source of delays.
#[derive(Clone, Debug)]
pub(crate) struct Minima {
    last: VecDeque<u32>,
    most: usize,
    next: Instant,
}

impl Minima {
    /// Remembers `most` of them.
    pub(crate) fn new(now: Instant, most: usize) -> Self {
        Self { last: VecDeque::with_capacity(most), most, next: now }
    }

    /// A delay was measured.
    pub(crate) fn measured(&mut self, now: Instant, delay_us: u32) {
        match self.last.back_mut() {
            Some(minimum) if now < self.next => *minimum = lesser(*minimum, delay_us),
            _ => {
                if self.last.len() == self.most {
                    self.last.pop_front();
                }
                self.last.push_back(delay_us);
                self.next = now + OVER;
            }
        }
    }

    /// The least of them; `None` before the first measure.
    pub(crate) fn least(&self) -> Option<u32> {
        self.last.iter().copied().reduce(lesser)
    }
}

/// The lesser of two differences between clocks, which wrap.
pub(crate) fn lesser(a: u32, b: u32) -> u32 {
    if a.wrapping_sub(b) > u32::MAX / 2 { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_forgotten_when_as_many_came_after_it() {
        let begin = Instant::default();
        let mut minima = Minima::new(begin, 2);
        assert_eq!(minima.least(), None);
        minima.measured(begin, u32::MAX - 5);
        minima.measured(begin + Duration::from_secs(1), 40);
        assert_eq!(minima.least(), Some(u32::MAX - 5), "it lies before the wrap");
        minima.measured(begin + OVER, 20);
        assert_eq!(minima.least(), Some(u32::MAX - 5));
        minima.measured(begin + 2 * OVER, 30);
        assert_eq!(minima.least(), Some(20));
    }
}
