//! The times at which a show's episodes appear, such as Mondays at six.
//!
//! The owner says them once, as a cron expression and the zone in which his clock goes; every episode that is published
//! with `--next` takes the first of these times that no other waits for.
//!
//! Law: a rhythm is stored with its zone, so that it means the same wherever the publisher runs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use podswarm_feeds::schedule::{Schedule, ScheduleError};
use serde::{Deserialize, Serialize};

/// Recurring times in a zone: `0 6 * * mon Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Rhythm {
    schedule: Schedule,
    zone: Tz,
}

impl Rhythm {
    /// Reads a cron expression, with a zone behind it or in `zone`.
    pub(crate) fn parse(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let (times, named) = text.trim().rsplit_once(char::is_whitespace).unwrap_or((text, ""));
        // Weekdays are no zones, and zones no weekdays.
        match named.parse() {
            Ok(zone) => Ok(Self { schedule: times.parse()?, zone }),
            Err(_) => Ok(Self { schedule: text.parse()?, zone }),
        }
    }

    /// The first of the times after `now` that is not `taken`; `None` if there is none any more.
    pub(crate) fn next_free(&self, now: DateTime<Utc>, taken: &BTreeSet<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let next = |after: &DateTime<Utc>| self.schedule.next_after(*after, self.zone);
        std::iter::successors(next(&now), next).find(|at| !taken.contains(at))
    }
}

impl FromStr for Rhythm {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::parse(text, Tz::UTC)
    }
}

impl TryFrom<String> for Rhythm {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<Rhythm> for String {
    fn from(rhythm: Rhythm) -> Self {
        rhythm.to_string()
    }
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.schedule, self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn episodes_take_one_time_after_another() {
        let rhythm = Rhythm::parse("0 6 * * mon", Tz::Europe__Berlin).unwrap();
        let mut taken = BTreeSet::new();
        // 2026-11-20 is a Friday.
        for want in ["2026-11-23T05:00:00Z", "2026-11-30T05:00:00Z", "2026-12-07T05:00:00Z"] {
            let next = rhythm.next_free(at("2026-11-20T10:00:00Z"), &taken).unwrap();
            assert_eq!(next, at(want));
            taken.insert(next);
        }
        taken.remove(&at("2026-11-30T05:00:00Z"));
        assert_eq!(rhythm.next_free(at("2026-11-20T10:00:00Z"), &taken), Some(at("2026-11-30T05:00:00Z")));
    }

    #[test]
    fn a_rhythm_keeps_its_zone() {
        let rhythm = Rhythm::parse("0 6 * * 1", Tz::America__New_York).unwrap();
        assert_eq!(rhythm.to_string(), "0 6 * * 1 America/New_York");
        assert_eq!(rhythm.to_string().parse(), Ok(rhythm));
        assert_eq!(Rhythm::parse("@daily Europe/Paris", Tz::UTC).unwrap().to_string(), "@daily Europe/Paris");
        assert_eq!("@daily".parse::<Rhythm>().unwrap().to_string(), "@daily UTC");
        for bad in ["", "Europe/Paris", "0 6 * * mon Europe/Nowhere", "0 6"] {
            assert!(bad.parse::<Rhythm>().is_err(), "{bad}");
        }
    }
}
