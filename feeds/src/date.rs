//! Dates of feeds.
//!
//! Feeds say when in RFC 2822 or RFC 3339, or in something that only looks like them: without a weekday, with the
//! wrong one, with a two-digit year, a month's full name, no zone, a comment. [`parse`] takes what has one meaning and
//! answers `None` to the rest; [`rfc2822`] writes the one form that RSS wants.
//!
//! Law: time and memory are linear in the text, which is cut at [`MAX_BYTES`]; nothing recurses.
//! Source: RFC 2822 §3.3 and §4.3, RFC 3339 §5.6, RSS 2.0.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeDelta, Utc};

/// No date is longer.
const MAX_BYTES: usize = 128;

/// `when` as RSS writes dates, in UTC: `Fri, 20 Nov 2026 18:00:00 +0000`.
///
/// RFC 2822 has four digits for a year; what lies outside them is written as the nearest moment inside.
pub fn rfc2822(when: DateTime<Utc>) -> String {
    let first = DateTime::from_timestamp(-62_167_219_200, 0).expect("year 0 is in chrono's range");
    let last = DateTime::from_timestamp(253_402_300_799, 0).expect("year 9999 is in chrono's range");
    when.clamp(first, last).to_rfc2822()
}

/// The moment that `text` names, or `None` if it names none.
///
/// A missing zone is UTC, a missing time midnight. A weekday is never looked at. Years from 0 to 9999 are taken as
/// they are: whether a date can be true is the reader's to judge.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = without_comments(cut(text));
    let mut parts = Parts::default();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        parts.take(word)?;
    }
    parts.moment()
}

/// What has been read of a date so far.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    time: Option<NaiveTime>,
    /// Seconds east of Greenwich.
    zone: Option<i32>,
    afternoon: Option<bool>,
}

impl Parts {
    /// Reads one word. `None` if it contradicts what a date is.
    fn take(&mut self, word: &str) -> Option<()> {
        if let Some((date, time)) = iso_date_and_time(word) {
            return self.take_iso(date, time);
        }
        if word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) {
            return self.take_time(word);
        }
        if let Some(zone) = offset(word).filter(|_| self.time.is_some()) {
            self.zone.get_or_insert(zone);
            return Some(());
        }
        if word.bytes().all(|b| b.is_ascii_digit()) {
            return self.take_number(word);
        }
        if word.contains('-') {
            // `20-Nov-2026`
            return word.split('-').try_for_each(|part| self.take_date_word(part));
        }
        self.take_date_word(word)
    }

    fn take_date_word(&mut self, word: &str) -> Option<()> {
        if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() {
            return self.take_number(word);
        }
        let lower = word.trim_end_matches('.').to_ascii_lowercase();
        if let Some(month) = month(&lower).filter(|_| self.month.is_none()) {
            self.month = Some(month);
        } else if let Some(zone) = named_zone(&lower).filter(|_| self.time.is_some()) {
            self.zone.get_or_insert(zone);
        } else if lower == "am" || lower == "pm" {
            self.afternoon = Some(lower == "pm");
        } else if let Some(number) = lower.strip_suffix("th").or_else(|| lower.strip_suffix("st")) {
            self.day = Some(number.parse().ok()?);
        }
        // Anything else is a weekday or a word between the parts.
        Some(())
    }

    /// A day, if it can still be one, else a year.
    fn take_number(&mut self, word: &str) -> Option<()> {
        let number: i32 = word.parse().ok()?;
        if word.len() <= 2 && self.day.is_none() {
            self.day = u32::try_from(number).ok();
        } else if self.year.is_none() {
            self.year = Some(full_year(number, word.len())?);
        } else {
            return None;
        }
        Some(())
    }

    fn take_iso(&mut self, date: &str, time: &str) -> Option<()> {
        let mut numbers = date.split(['-', '/']);
        self.year = Some(numbers.next()?.parse().ok()?);
        self.month = Some(numbers.next()?.parse().ok()?);
        self.day = Some(numbers.next().map_or(Some(1), |day| day.parse().ok())?);
        if time.is_empty() { Some(()) } else { self.take_time(time) }
    }

    /// `18:00`, `18:00:00.5`, with a zone at its end or not.
    fn take_time(&mut self, word: &str) -> Option<()> {
        let end = word.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(word.len());
        let (clock, zone) = word.split_at(end);
        self.time = Some(time(clock)?);
        match zone.to_ascii_lowercase().as_str() {
            "" => Some(()),
            "am" => self.afternoon.replace(false).map_or(Some(()), |_| None),
            "pm" => self.afternoon.replace(true).map_or(Some(()), |_| None),
            lower => {
                self.zone = Some(offset(zone).or_else(|| named_zone(lower))?);
                Some(())
            }
        }
    }

    fn moment(self) -> Option<DateTime<Utc>> {
        let date = NaiveDate::from_ymd_opt(self.year?, self.month?, self.day?)?;
        let mut local = date.and_time(self.time.unwrap_or_default());
        let hour = chrono::Timelike::hour(&local);
        match self.afternoon {
            Some(true) if hour < 12 => local = local.checked_add_signed(TimeDelta::hours(12))?,
            Some(false) if hour == 12 => local = local.checked_sub_signed(TimeDelta::hours(12))?,
            _ => {}
        }
        let zone = FixedOffset::east_opt(self.zone.unwrap_or(0))?;
        Some(local.and_local_timezone(zone).single()?.with_timezone(&Utc))
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=MAX_BYTES.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// RFC 2822 lets comments stand anywhere, one in another.
fn without_comments(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// `2026-11-20T18:00:00Z` as its date and its time; the time is empty if there is none.
fn iso_date_and_time(word: &str) -> Option<(&str, &str)> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let separator = word.as_bytes().get(digits)?;
    if digits != 4 || !matches!(separator, b'-' | b'/') {
        return None;
    }
    Some(word.split_once(['T', 't']).unwrap_or((word, "")))
}

fn time(clock: &str) -> Option<NaiveTime> {
    let mut numbers = clock.split(':');
    let hour = numbers.next()?.parse().ok()?;
    let minute = numbers.next()?.parse().ok()?;
    let second = numbers.next().and_then(|second| second.split('.').next()).unwrap_or("0").parse().ok()?;
    // A leap second is the one before it, and a day may end at 24:00.
    let (hour, next_day) = if hour == 24 && minute == 0 { (23, true) } else { (hour, false) };
    if next_day {
        return NaiveTime::from_hms_opt(23, 59, 59);
    }
    NaiveTime::from_hms_opt(hour, minute, if second == 60 { 59 } else { second })
}

/// `+0100`, `-05:30`, `+01` in seconds east of Greenwich.
fn offset(word: &str) -> Option<i32> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'+' => (1, &word[1..]),
        b'-' => (-1, &word[1..]),
        _ => return None,
    };
    let digits: String = digits.split(':').collect();
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        3 | 4 if digits.is_ascii() => digits.split_at(digits.len() - 2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (0..24).contains(&hours).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The zones that RFC 822 names, and those that feeds add to them.
fn named_zone(lower: &str) -> Option<i32> {
    let hours = match lower {
        "z" | "ut" | "utc" | "gmt" | "wet" => 0,
        "cet" | "bst" | "met" | "west" => 1,
        "cest" | "eet" | "mest" => 2,
        "msk" | "eest" => 3,
        "jst" => 9,
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    };
    Some(hours * 3600)
}

/// A month by the first three letters of its name.
fn month(lower: &str) -> Option<u32> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let index = NAMES.iter().position(|name| lower.starts_with(name))?;
    u32::try_from(index + 1).ok()
}

/// Two digits are 1950 to 2049 and three count from 1900, as RFC 2822 §4.3 reads them.
fn full_year(number: i32, digits: usize) -> Option<i32> {
    match digits {
        1 | 2 if number < 50 => Some(2000 + number),
        1..=3 => Some(1900 + number),
        4 => Some(number),
        _ => None,
    }
}
