//! The hours of the day in which a feed is not to be asked.
//!
//! Source: RSS 2.0, `skipHours`.

use std::time::Duration;

use chrono::{DateTime, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

const HOURS: u32 = 24;

/// Hours of the day, in UTC; the first bit is the hour after midnight.
///
/// A feed that names all of them names none: it would never be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkipHours(u32);

impl SkipHours {
    /// These hours, from 0 to 23. Old feeds count to 24, which is 0; others are passed over.
    pub fn new(hours: impl IntoIterator<Item = u32>) -> Self {
        let bits = hours.into_iter().filter(|hour| *hour <= HOURS).fold(0, |bits, hour| bits | 1 << (hour % HOURS));
        if bits == (1 << HOURS) - 1 { Self::default() } else { Self(bits) }
    }

    /// How long it is at `wall` until an hour in which the feed may be asked; zero if it may.
    pub fn left(self, wall: DateTime<Utc>) -> Duration {
        let skipped = (0..HOURS).take_while(|ahead| self.0 & (1 << ((wall.hour() + ahead) % HOURS)) != 0).count();
        let whole = Duration::from_hours(u64::try_from(skipped).unwrap_or(0));
        whole.saturating_sub(Duration::from_secs(u64::from(wall.minute() * 60 + wall.second())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &[u32], wall: &str, want_minutes: u64) {
        let left = SkipHours::new(hours.iter().copied()).left(wall.parse().unwrap());
        assert_eq!(left, Duration::from_mins(want_minutes), "{hours:?} at {wall}");
    }

    #[test]
    fn what_is_skipped_ends_with_the_last_of_the_hours_in_a_row() {
        check(&[], "2026-11-20T23:30:00Z", 0);
        check(&[22, 23, 0, 1, 5], "2026-11-20T23:30:00Z", 150);
        check(&[22, 23, 24, 1, 5], "2026-11-20T23:30:00Z", 150);
        check(&[22, 23], "2026-11-20T22:00:00Z", 120);
        check(&[22, 23], "2026-11-20T21:59:59Z", 0);
        check(&[25, 99], "2026-11-20T01:00:00Z", 0);
    }

    #[test]
    fn a_feed_that_names_all_hours_names_none() {
        assert_eq!(SkipHours::new(0..24), SkipHours::default());
        assert_eq!(SkipHours::new(1..=24), SkipHours::default());
    }
}
