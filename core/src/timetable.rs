//! How fast we may go at what hour: limits that hold always, and windows of the week in which others do.
//!
//! Knows no clock: the owner's local time comes in as a [`WeekMinute`].
//!
//! Law: of several windows that hold at once the last one decides, for each direction by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rate::{Rate, RateError};

const DAY: u16 = 24 * 60;
const WEEK: u16 = 7 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A minute of the week, from Monday's midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekMinute(u16);

impl WeekMinute {
    /// `day` counts from Monday, 0. Too great numbers count as the greatest.
    pub fn new(day: u32, hour: u32, minute: u32) -> Self {
        let minutes = day.min(6) * 24 * 60 + hour.min(23) * 60 + minute.min(59);
        Self(u16::try_from(minutes).expect("a week has 10080 minutes"))
    }
}

/// How fast we may go; `None` is as fast as it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Upload.
    pub up: Option<Rate>,
    /// Download.
    pub down: Option<Rate>,
}

/// How fast we may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// When no window holds.
    pub always: RateLimits,
    /// At this hour.
    pub now: RateLimits,
}

/// Hours of some days, such as `mon-fri 22:00-07:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Which days they begin on, from Monday.
    days: [bool; 7],
    /// The minute of the day at which they begin.
    from: u16,
    /// How long they last, in minutes; perhaps into the next day.
    length: u16,
}

/// Other limits at some hours of some days, such as `mon-fri 08:00-18:00 up=1Mbit/s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateWindow {
    hours: Hours,
    up: Change,
    down: Change,
}

/// What a window does to the limit of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Leave,
    Lift,
    Limit(Rate),
}

impl Change {
    const fn of(self, limit: Option<Rate>) -> Option<Rate> {
        match self {
            Self::Leave => limit,
            Self::Lift => None,
            Self::Limit(rate) => Some(rate),
        }
    }
}

impl Hours {
    /// Whether it is one of them.
    pub fn hold(&self, at: WeekMinute) -> bool {
        (0..7).zip(self.days).any(|(day, is_on)| {
            let begin = day * DAY + self.from;
            // What begins on Sunday may last into Monday.
            is_on && (at.0 + WEEK - begin) % WEEK < self.length
        })
    }

    /// The hours that `words` begin with, and the words after them.
    fn read<'w, 't>(
        words: &'w [&'t str],
        form: impl Fn() -> WindowError,
    ) -> Result<(Self, &'w [&'t str]), WindowError> {
        let (days, words) = match words {
            [days, rest @ ..] if days.starts_with(|c: char| c.is_ascii_alphabetic()) && !days.contains('=') => {
                (read_days(days)?, rest)
            }
            rest => ([true; 7], rest),
        };
        let [span, rest @ ..] = words else { return Err(form()) };
        let (from, until) = span.split_once('-').ok_or_else(form)?;
        let (from, until) = (read_time(from)?, read_time(until)?);
        let length = if until > from { until - from } else { until + DAY - from };
        Ok((Self { days, from, length }, rest))
    }
}

impl FromStr for Hours {
    type Err = WindowError;

    /// Reads `[DAYS] HH:MM-HH:MM`, as [`RateWindow`] does.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Hours(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (hours, rest) = Self::read(&words, form)?;
        if rest.is_empty() { Ok(hours) } else { Err(form()) }
    }
}

/// The limits of a whole week.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    /// What holds when no window does.
    pub always: RateLimits,
    /// What holds instead at times.
    pub windows: Vec<RateWindow>,
}

impl Timetable {
    /// The limits that hold now.
    pub fn at(&self, now: WeekMinute) -> RateLimits {
        let mut limits = self.always;
        for window in self.windows.iter().filter(|window| window.hours.hold(now)) {
            limits = RateLimits { up: window.up.of(limits.up), down: window.down.of(limits.down) };
        }
        limits
    }

    /// Whether it is the same at all times.
    pub const fn is_constant(&self) -> bool {
        self.windows.is_empty()
    }
}

/// A window that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No window at all.
    #[error("`{0}` is no window; want one like `mon-fri 08:00-18:00 up=1Mbit/s` or `22:00-06:00 up=none down=none`")]
    Form(String),
    /// No hours at all.
    #[error("`{0}` are no hours; want some like `22:00-07:00` or `sat,sun 00:00-24:00`")]
    Hours(String),
    /// No day.
    #[error("`{0}` is no day; want one of mon, tue, wed, thu, fri, sat, sun, or a span like mon-fri")]
    Day(String),
    /// No time of day.
    #[error("`{0}` is no time of day; want one like 06:30")]
    Time(String),
    /// No rate.
    #[error(transparent)]
    Rate(#[from] RateError),
}

impl FromStr for RateWindow {
    type Err = WindowError;

    /// Reads `[DAYS] HH:MM-HH:MM [up=RATE] [down=RATE]`. Days are such as `mon`, `mon-fri` or `sat,sun`, all if there
    /// are none; a rate may be `none`. A window that ends before it begins ends on the next day; one that ends when it
    /// begins lasts a day.
    fn from_str(text: &str) -> Result<Self, WindowError> {
        let form = || WindowError::Form(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (hours, limits) = Hours::read(&words, form)?;
        let mut window = Self { hours, up: Change::Leave, down: Change::Leave };
        for limit in limits {
            let (direction, rate) = limit.split_once('=').ok_or_else(form)?;
            let change = if rate == "none" { Change::Lift } else { Change::Limit(rate.parse()?) };
            match direction {
                "up" => window.up = change,
                "down" => window.down = change,
                _ => return Err(form()),
            }
        }
        let changes = window.up != Change::Leave || window.down != Change::Leave;
        if changes { Ok(window) } else { Err(form()) }
    }
}

impl fmt::Display for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |rate: Option<Rate>| rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
        write!(f, "up {}, down {}", text(self.up), text(self.down))
    }
}

fn read_days(text: &str) -> Result<[bool; 7], WindowError> {
    let mut days = [false; 7];
    let day = |name: &str| {
        DAYS.iter().position(|day| name.eq_ignore_ascii_case(day)).ok_or_else(|| WindowError::Day(name.to_owned()))
    };
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

/// A time of day, in minutes; `24:00` is the day's end.
fn read_time(text: &str) -> Result<u16, WindowError> {
    let fault = || WindowError::Time(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(fault)?;
    let number = |digits: &str| {
        let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { digits.parse::<u16>().map_err(|_| fault()) } else { Err(fault()) }
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let is_time = minute < 60 && (hour < 24 || (hour, minute) == (24, 0));
    if is_time { Ok(hour * 60 + minute) } else { Err(fault()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(windows: &[&str]) -> Timetable {
        let always = RateLimits { up: Some(Rate(1000)), down: None };
        Timetable { always, windows: windows.iter().map(|window| window.parse().unwrap()).collect() }
    }

    /// What holds on a day at an hour and a minute, in bytes a second; 0 stands for no limit.
    #[track_caller]
    fn check(windows: &[&str], (day, hour, minute): (u32, u32, u32), up: u64, down: u64) {
        let limits = table(windows).at(WeekMinute::new(day, hour, minute));
        let bytes = |rate: Option<Rate>| rate.map_or(0, |rate| rate.0);
        assert_eq!((bytes(limits.up), bytes(limits.down)), (up, down), "{windows:?} on day {day} at {hour}:{minute}");
    }

    #[test]
    fn a_window_holds_from_its_beginning_to_its_end_on_its_days() {
        let office = ["mon-fri 08:00-18:00 up=5B/s down=7B/s"];
        for (day, hour, minute) in [(0, 8, 0), (4, 17, 59)] {
            check(&office, (day, hour, minute), 5, 7);
        }
        for (day, hour, minute) in [(0, 7, 59), (4, 18, 0), (5, 12, 0), (6, 8, 0)] {
            check(&office, (day, hour, minute), 1000, 0);
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = ["sun 22:00-06:00 up=none"];
        for at in [(6, 22, 0), (6, 23, 59), (0, 0, 0), (0, 5, 59)] {
            check(&night, at, 0, 0);
        }
        for at in [(6, 21, 59), (0, 6, 0), (0, 22, 0), (6, 3, 0)] {
            check(&night, at, 1000, 0);
        }
        check(&["fri-mon 00:00-24:00 down=9B/s"], (6, 12, 0), 1000, 9);
        check(&["sat,tue 12:00-12:00 down=9B/s"], (6, 11, 59), 1000, 9);
        check(&["sat,tue 12:00-12:00 down=9B/s"], (6, 12, 0), 1000, 0);
    }

    #[test]
    fn the_last_window_decides_for_each_direction() {
        let both = ["00:00-24:00 up=1B/s down=2B/s", "Mon 10:00-11:00 up=3B/s"];
        check(&both, (0, 10, 30), 3, 2);
        check(&both, (0, 11, 0), 1, 2);
    }

    #[test]
    fn what_is_no_window_is_refused() {
        let refused = |text: &str| text.parse::<RateWindow>().unwrap_err();
        for text in
            ["", "mon", "08:00-18:00", "mon-fri 08:00-18:00", "08:00 up=1B/s", "08:00-09:00 left=1B/s", "up=1B/s"]
        {
            assert!(matches!(refused(text), WindowError::Form(_)), "{text}: {}", refused(text));
        }
        assert!(matches!(refused("moon 08:00-09:00 up=1B/s"), WindowError::Day(_)));
        for text in ["8-9 up=1B/s", "08:60-09:00 up=1B/s", "24:01-09:00 up=1B/s", "+8:00-9:00 up=1B/s"] {
            assert!(matches!(refused(text), WindowError::Time(_)), "{text}: {}", refused(text));
        }
        assert!(matches!(refused("08:00-09:00 up=5"), WindowError::Rate(_)));
        for text in ["", "sat", "22:00", "22:00-07:00 up=1B/s", "22:00-07:00 sat"] {
            assert!(matches!(text.parse::<Hours>(), Err(WindowError::Hours(_))), "{text}");
        }
    }
}
