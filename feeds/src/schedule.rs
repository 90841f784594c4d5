//! Recurring times as people write them: cron expressions in a time zone.
//!
//! An expression has five fields as crontab(5) has them (minute, hour, day of month, month, weekday), or six with
//! seconds in front, or is one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. The `cron` crate does the
//! arithmetic, but it numbers weekdays from 1 for Sunday and wants both day fields to match; here 0 and 7 are Sunday,
//! and where both day fields are restricted either may match.
//!
//! Knows no clock: the time to look ahead from is an argument.
//!
//! Law: [`Schedule::next_after`] is always later than the time it was asked about.
//!
//! Source: crontab(5).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A recurring time, as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct Schedule {
    source: String,
    /// One in general; two where day of month and weekday are both restricted, of which either counts.
    either: Vec<cron::Schedule>,
}

/// Why an expression is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither five nor six fields.
    #[error(
        "schedule `{source_text}` has {got} fields; want five (minute hour day month weekday) or six (seconds first), \
         as in `*/15 * * * *`"
    )]
    Fields {
        /// The expression.
        source_text: String,
        /// Fields it has.
        got: usize,
    },
    /// A weekday that is neither a number from 0 to 7 nor a name.
    #[error("schedule `{source_text}` names the weekday `{got}`; want 0 to 7 (0 and 7 are Sunday) or sun to sat")]
    Weekday {
        /// The expression.
        source_text: String,
        /// What stands for a weekday.
        got: String,
    },
    /// A field with a value or a shape that is not allowed there.
    #[error("schedule `{source_text}` does not parse; want numbers, `*`, ranges, lists and steps, as in `0 6 * * 1-5`")]
    Value {
        /// The expression.
        source_text: String,
    },
    /// Every field is well formed, but no date ever matches, as with 31 February.
    #[error("schedule `{source_text}` never comes round")]
    Never {
        /// The expression.
        source_text: String,
    },
}

impl Schedule {
    /// The first time after `after` at which the schedule comes round in `zone`; `None` if it never does again.
    ///
    /// A time that a change to summer time skips is skipped with it.
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&zone);
        self.either.iter().filter_map(|one| one.after(&local).map(|t| t.to_utc()).find(|t| *t > after)).min()
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let source = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = match shorthand(&source) {
            Some(meaning) => meaning.split(' ').map(str::to_owned).collect(),
            None => source.split(' ').map(str::to_owned).collect::<Vec<_>>(),
        };
        let [seconds, minutes, hours, days, months, weekdays] = match fields.len() {
            5 => {
                let mut six = vec!["0".to_owned()];
                six.extend(fields);
                <[String; 6]>::try_from(six).expect("five fields and one")
            }
            6 => <[String; 6]>::try_from(fields).expect("six fields were counted"),
            _ if source.is_empty() => return Err(ScheduleError::Fields { source_text: source, got: 0 }),
            got => return Err(ScheduleError::Fields { source_text: source, got }),
        };
        let weekday_list = crate_weekdays(&weekdays)
            .map_err(|got| ScheduleError::Weekday { source_text: source.clone(), got: got.to_owned() })?;
        let parse = |days: &str, weekdays: &str| {
            format!("{seconds} {minutes} {hours} {days} {months} {weekdays}")
                .parse::<cron::Schedule>()
                .map_err(|_| ScheduleError::Value { source_text: source.clone() })
        };
        let either = if is_restricted(&days) && is_restricted(&weekdays) {
            vec![parse(&days, "*")?, parse("*", &weekday_list)?]
        } else {
            vec![parse(&days, &weekday_list)?]
        };
        let schedule = Self { source: source.clone(), either };
        match schedule.next_after(DateTime::UNIX_EPOCH, Tz::UTC) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { source_text: source }),
        }
    }
}

/// When an owner wants a feed polled.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeFromStr, SerializeDisplay)]
pub enum Timing {
    /// When polling itself judges best: `none`.
    Unscheduled,
    /// By a schedule.
    By(Schedule),
}

impl FromStr for Timing {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text == "none" { Ok(Self::Unscheduled) } else { text.parse().map(Self::By) }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unscheduled => f.write_str("none"),
            Self::By(schedule) => schedule.fmt(f),
        }
    }
}

impl From<Timing> for Option<Schedule> {
    fn from(timing: Timing) -> Self {
        match timing {
            Timing::Unscheduled => None,
            Timing::By(schedule) => Some(schedule),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The five fields that crontab(5)'s short names stand for.
fn shorthand(text: &str) -> Option<&'static str> {
    match text {
        "@hourly" => Some("0 * * * *"),
        "@daily" | "@midnight" => Some("0 0 * * *"),
        "@weekly" => Some("0 0 * * 0"),
        "@monthly" => Some("0 0 1 * *"),
        "@yearly" | "@annually" => Some("0 0 1 1 *"),
        _ => None,
    }
}

/// Whether a day field leaves any day out, by crontab(5)'s test: it does not begin with a star.
fn is_restricted(field: &str) -> bool {
    !field.starts_with(['*', '?'])
}

/// A crontab(5) weekday field as the `cron` crate numbers days, or the part that is no weekday.
fn crate_weekdays(field: &str) -> Result<String, &str> {
    let mut wanted = [false; 7];
    for part in field.split(',') {
        let (days, step) = match part.split_once('/') {
            Some((days, step)) => (days, step.parse().ok().filter(|step| *step > 0).ok_or(part)?),
            None => (part, 1),
        };
        let (first, last) = match days.split_once('-') {
            _ if !is_restricted(days) && days.len() == 1 => (0, 6),
            Some((first, last)) => {
                let (first, last) = (weekday(first).ok_or(part)?, weekday(last).ok_or(part)?);
                // `fri-mon` goes over the end of the week, and so does `5-0`.
                (first, if last < first { last + 7 } else { last })
            }
            None => {
                let day = weekday(days).ok_or(part)?;
                (day, if part.contains('/') { 6.max(day) } else { day })
            }
        };
        for day in (first..=last).step_by(step) {
            wanted[day % 7] = true;
        }
    }
    if wanted == [true; 7] {
        return Ok("*".to_owned());
    }
    let numbers = wanted.iter().zip(1..).filter(|(wanted, _)| **wanted).map(|(_, number): (_, u8)| number.to_string());
    Ok(numbers.collect::<Vec<_>>().join(","))
}

/// The day's number from Sunday = 0; 7 is given back as it is, so that `5-7` is a range.
fn weekday(text: &str) -> Option<usize> {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    if let Ok(number) = text.parse::<usize>() {
        return (number <= 7).then_some(number);
    }
    let lower = text.to_ascii_lowercase();
    NAMES.iter().position(|name| lower.len() >= 3 && name.starts_with(&lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[track_caller]
    fn check(expression: &str, zone: Tz, after: &str, want: &[&str]) {
        let schedule: Schedule = expression.parse().unwrap();
        let mut now = at(after);
        for want in want {
            now = schedule.next_after(now, zone).unwrap();
            assert_eq!(now, at(want), "{expression}");
        }
    }

    #[test]
    fn five_fields_begin_with_minutes_and_six_with_seconds() {
        check("*/15 * * * *", Tz::UTC, "2026-11-20T10:07:00Z", &["2026-11-20T10:15:00Z", "2026-11-20T10:30:00Z"]);
        check("0 */15 * * * *", Tz::UTC, "2026-11-20T10:07:00Z", &["2026-11-20T10:15:00Z", "2026-11-20T10:30:00Z"]);
        check("30 0 6 * * *", Tz::UTC, "2026-11-20T10:07:00Z", &["2026-11-21T06:00:30Z"]);
        check("@daily", Tz::UTC, "2026-11-20T10:07:00Z", &["2026-11-21T00:00:00Z"]);
    }

    #[test]
    fn weekdays_are_numbered_as_crontab_numbers_them() {
        // 2026-11-20 is a Friday.
        let friday = "2026-11-20T10:00:00Z";
        for monday in ["0 6 * * 1", "0 6 * * mon", "0 6 * * MON", "0 6 * * Monday"] {
            check(monday, Tz::UTC, friday, &["2026-11-23T06:00:00Z", "2026-11-30T06:00:00Z"]);
        }
        for sunday in ["0 6 * * 0", "0 6 * * 7", "0 0 6 * * sun"] {
            check(sunday, Tz::UTC, friday, &["2026-11-22T06:00:00Z", "2026-11-29T06:00:00Z"]);
        }
        for weekend in ["0 6 * * 6-7", "0 6 * * 0,6", "0 6 * * sat-sun", "0 6 * * 6-0"] {
            check(weekend, Tz::UTC, friday, &["2026-11-21T06:00:00Z", "2026-11-22T06:00:00Z", "2026-11-28T06:00:00Z"]);
        }
        check("0 6 * * 1-5/2", Tz::UTC, friday, &["2026-11-23T06:00:00Z", "2026-11-25T06:00:00Z"]);
        check("0 6 * * */2", Tz::UTC, friday, &["2026-11-21T06:00:00Z", "2026-11-22T06:00:00Z"]);
    }

    #[test]
    fn either_day_field_counts_where_both_are_restricted() {
        check(
            "0 6 23 * 0",
            Tz::UTC,
            "2026-11-20T10:00:00Z",
            &["2026-11-22T06:00:00Z", "2026-11-23T06:00:00Z", "2026-11-29T06:00:00Z"],
        );
    }

    #[test]
    fn the_time_zone_is_the_owners_through_summer_and_winter() {
        check(
            "0 6 * * *",
            Tz::Europe__Berlin,
            "2026-10-23T12:00:00Z",
            // Clocks go back on 25 October.
            &["2026-10-24T04:00:00Z", "2026-10-25T05:00:00Z"],
        );
    }

    #[test]
    fn a_time_that_comes_twice_in_one_night_is_still_in_the_future() {
        let schedule: Schedule = "*/10 * * * *".parse().unwrap();
        let mut now = at("2026-10-24T23:55:00Z");
        for _ in 0..30 {
            let next = schedule.next_after(now, Tz::Europe__Berlin).unwrap();
            assert!(next > now, "{now} {next}");
            now = next;
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "has 0 fields"),
            ("* * * *", "has 4 fields"),
            ("* * * * * * *", "has 7 fields"),
            ("0 6 * * 8", "weekday `8`"),
            ("0 6 * * someday", "weekday `someday`"),
            ("0 6 * * 1/0", "weekday `1/0`"),
            ("99 * * * *", "does not parse"),
            ("*/0 * * * *", "does not parse"),
            ("0 0 31 2 *", "never comes round"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_schedule_is_stored_as_it_was_written() {
        let schedule: Schedule = " 0  6 * * mon-fri ".parse().unwrap();
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(json, "\"0 6 * * mon-fri\"");
        assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
        for timing in [Timing::Unscheduled, Timing::By(schedule)] {
            let json = serde_json::to_string(&timing).unwrap();
            assert_eq!(serde_json::from_str::<Timing>(&json).unwrap(), timing);
        }
        assert!(serde_json::from_str::<Schedule>("\"* *\"").is_err());
    }
}
