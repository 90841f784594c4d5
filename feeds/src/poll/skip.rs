//! The hours of the week in which a feed is not to be asked.
//!
//! Source: RSS 2.0, `skipHours` and `skipDays`.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

const HOURS: u32 = 24;
const ALL_HOURS: u32 = (1 << HOURS) - 1;
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const ALL_DAYS: u32 = (1 << DAYS.len()) - 1;

/// Hours of the day and days of the week, in UTC: the first bit is the hour after midnight, the 25th Monday.
///
/// A feed that names all hours names none, and so with days: it would never be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SkipHours(u32);

impl SkipHours {
    /// These hours of every day, from 0 to 23. Old feeds count to 24, which is 0; others are passed over.
    pub fn new(hours: impl IntoIterator<Item = u32>) -> Self {
        let bits = hours.into_iter().filter(|hour| *hour <= HOURS).fold(0, |bits, hour| bits | 1 << (hour % HOURS));
        if bits == ALL_HOURS { Self::default() } else { Self(bits) }
    }

    /// The same, with all hours of these days, such as `Saturday`; what is no day is passed over.
    #[must_use]
    pub fn with_days<'d>(self, days: impl IntoIterator<Item = &'d str>) -> Self {
        let place = |name: &str| DAYS.iter().position(|day| name.trim().eq_ignore_ascii_case(day));
        let bits = days.into_iter().filter_map(place).fold(0, |bits, day| bits | 1 << day);
        if bits == ALL_DAYS { self } else { Self(self.0 | bits << HOURS) }
    }

    /// How long it is at `wall` until an hour in which the feed may be asked; zero if it may.
    pub fn left(self, wall: DateTime<Utc>) -> Duration {
        let hours = (0..7 * 24).take_while(|ahead| self.skips(wall + TimeDelta::hours(*ahead))).count();
        let whole = Duration::from_hours(u64::try_from(hours).unwrap_or(0));
        whole.saturating_sub(Duration::from_secs(u64::from(wall.minute() * 60 + wall.second())))
    }

    fn skips(self, wall: DateTime<Utc>) -> bool {
        let is_on = |bit: u32| self.0 & (1 << bit) != 0;
        is_on(wall.hour()) || is_on(HOURS + wall.weekday().num_days_from_monday())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hours: &[u32], days: &[&str], wall: &str, want_minutes: u64) {
        let skipped = SkipHours::new(hours.iter().copied()).with_days(days.iter().copied());
        let left = skipped.left(wall.parse().unwrap());
        assert_eq!(left, Duration::from_mins(want_minutes), "{hours:?} {days:?} at {wall}");
    }

    #[test]
    fn what_is_skipped_ends_with_the_last_of_the_hours_in_a_row() {
        check(&[], &[], "2026-11-20T23:30:00Z", 0);
        check(&[22, 23, 0, 1, 5], &[], "2026-11-20T23:30:00Z", 150);
        check(&[22, 23, 24, 1, 5], &[], "2026-11-20T23:30:00Z", 150);
        check(&[22, 23], &[], "2026-11-20T22:00:00Z", 120);
        check(&[22, 23], &[], "2026-11-20T21:59:59Z", 0);
        check(&[25, 99], &[], "2026-11-20T01:00:00Z", 0);
    }

    #[test]
    fn a_day_that_is_skipped_ends_at_its_midnight_and_hours_before_and_after_count_with_it() {
        // The 20th is a Friday.
        let weekend = ["Saturday", " sunday\n", "Someday", ""];
        check(&[], &weekend, "2026-11-20T23:59:59Z", 0);
        check(&[], &weekend, "2026-11-21T00:00:00Z", 48 * 60);
        check(&[], &weekend, "2026-11-22T23:45:00Z", 15);
        check(&[], &weekend, "2026-11-23T00:00:00Z", 0);
        check(&[23, 0, 1], &weekend, "2026-11-20T23:30:00Z", 51 * 60 - 30);
        check(&[], &["Monday", "Sunday"], "2026-11-22T12:00:00Z", 36 * 60);
    }

    #[test]
    fn a_feed_that_names_all_hours_or_all_days_names_none() {
        assert_eq!(SkipHours::new(0..24), SkipHours::default());
        assert_eq!(SkipHours::new(1..=24), SkipHours::default());
        assert_eq!(SkipHours::new([3]).with_days(DAYS), SkipHours::new([3]));
        // All hours of the week but one.
        check(&(1..24).collect::<Vec<_>>(), &DAYS[1..], "2026-11-23T01:00:00Z", 167 * 60);
    }
}
