//! The machine's clock as the engine's time, and the hour on the owner's wall.

use std::time::Duration;

use chrono::{Datelike as _, Timelike as _, Utc};

use super::zone::local_time;
use crate::time::Instant;
use crate::timetable::WeekMinute;

/// Counts from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// The engine's time as the runtime's.
    pub fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.start + (instant - Instant::ZERO)
    }
}

/// The minute of the week in local time, and how long it still lasts.
pub(super) fn week_minute() -> (WeekMinute, Duration) {
    let now = local_time(Utc::now());
    let minute = WeekMinute::new(now.weekday().num_days_from_monday(), now.hour(), now.minute());
    (minute, Duration::from_secs(u64::from(60 - now.second().min(59))))
}
