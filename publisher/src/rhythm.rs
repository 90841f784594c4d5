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
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// Recurring times in a zone: `0 6 * * mon Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
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

impl Rhythm {
    /// The same as a rule of RFC 5545, without the time of day, and in English; `None` where there is no simple one.
    pub(crate) fn rule(&self) -> Option<(String, String)> {
        let times = self.schedule.to_string().to_ascii_lowercase();
        let fields: Vec<&str> = match times.as_str() {
            "@daily" | "@midnight" => vec!["0", "0", "*", "*", "*"],
            "@weekly" => vec!["0", "0", "*", "*", "0"],
            "@monthly" => vec!["0", "0", "1", "*", "*"],
            "@yearly" | "@annually" => return Some(("FREQ=YEARLY".to_owned(), "Every year".to_owned())),
            _ => times.split(' ').collect(),
        };
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (clock, [days, "*", weekdays]) = fields.split_at_checked(fields.len().checked_sub(3)?)? else {
            return None;
        };
        if !clock.iter().all(is_number) {
            return None;
        }
        match (*days, *weekdays) {
            ("*", "*") => Some(("FREQ=DAILY".to_owned(), "Every day".to_owned())),
            ("*", weekdays) => {
                let named: Vec<&[&str; 3]> = weekdays_of(weekdays)?.into_iter().map(|day| &WEEKDAYS[day]).collect();
                let codes: Vec<&str> = named.iter().map(|[_, code, _]| *code).collect();
                let words: Vec<&str> = named.iter().map(|[_, _, word]| *word).collect();
                Some((format!("FREQ=WEEKLY;BYDAY={}", codes.join(",")), format!("Every {}", words.join(", "))))
            }
            (days, "*") if days.split(',').all(|day| is_number(&day)) => {
                Some((format!("FREQ=MONTHLY;BYMONTHDAY={days}"), "Every month".to_owned()))
            }
            _ => None,
        }
    }
}

/// A weekday in crontab(5), in RFC 5545, and in full; Sunday is the first.
const WEEKDAYS: [[&str; 3]; 7] = [
    ["sun", "SU", "Sunday"],
    ["mon", "MO", "Monday"],
    ["tue", "TU", "Tuesday"],
    ["wed", "WE", "Wednesday"],
    ["thu", "TH", "Thursday"],
    ["fri", "FR", "Friday"],
    ["sat", "SA", "Saturday"],
];

/// The weekdays of a list such as `mon,wed-fri`, as places in [`WEEKDAYS`].
fn weekdays_of(list: &str) -> Option<Vec<usize>> {
    let number = |text: &str| {
        let named = WEEKDAYS.iter().position(|[short, ..]| *short == text);
        named.or_else(|| text.parse().ok().filter(|day| *day <= 7))
    };
    let mut days = Vec::new();
    for part in list.split(',') {
        match part.split_once('-') {
            None => days.push(number(part)? % 7),
            Some((from, to)) => days.extend((number(from)?..=number(to)?).map(|day| day % 7)),
        }
    }
    Some(days)
}

impl FromStr for Rhythm {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::parse(text, Tz::UTC)
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
    fn a_rhythm_is_told_as_a_rule_where_it_is_a_simple_one() {
        let check = |text: &str, rule: Option<(&str, &str)>| {
            let got = text.parse::<Rhythm>().unwrap().rule();
            assert_eq!(got, rule.map(|(rule, words)| (rule.to_owned(), words.to_owned())), "{text}");
        };
        check("0 6 * * mon Europe/Berlin", Some(("FREQ=WEEKLY;BYDAY=MO", "Every Monday")));
        check("30 6 * * TUE,4-5", Some(("FREQ=WEEKLY;BYDAY=TU,TH,FR", "Every Tuesday, Thursday, Friday")));
        check("0 6 * * 7", Some(("FREQ=WEEKLY;BYDAY=SU", "Every Sunday")));
        check("0 0 6 * * *", Some(("FREQ=DAILY", "Every day")));
        check("0 6 1,15 * *", Some(("FREQ=MONTHLY;BYMONTHDAY=1,15", "Every month")));
        check("@weekly", Some(("FREQ=WEEKLY;BYDAY=SU", "Every Sunday")));
        for odd in ["0 */6 * * *", "0 6 1 * mon", "0 6 * 1 *", "0 6 */2 * *", "@hourly"] {
            check(odd, None);
        }
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
