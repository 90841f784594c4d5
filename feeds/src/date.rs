//! Dates of feeds.
//!
//! Feeds say when in RFC 2822 or RFC 3339, or in something that only resembles them: without a weekday, with the wrong
//! one, with a two-digit year, the month before the day, a month's full name, a zone's name, none, a comment. [`parse`]
//! takes what has one meaning and answers `None` to the rest; [`rfc2822`] writes the one form that RSS wants.
//!
//! Law: a date is cut at 128 bytes, and nothing recurses, comments within comments included.
//! Source: RFC 2822 §3.3 and §4.3, RFC 3339 §5.6, RSS 2.0.

use std::iter::Peekable;
use std::vec;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, Utc};

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

/// `when` without what feeds leave out: the fraction of its second.
pub fn to_the_second(when: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(when.timestamp(), 0).unwrap_or(when)
}

/// The moment that `text` names, to the second, or `None` if it names none.
///
/// A missing zone is UTC, a missing time midnight; weekdays are not looked at. Years from 0 to 9999 are taken as they
/// are: whether a date can be true is the reader's to judge.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let mut tokens = tokens(text).into_iter().peekable();
    let mut parts = Parts::default();
    while let Some(token) = tokens.next() {
        match token {
            Token::Number { value, .. } if tokens.next_if_eq(&Token::Sign(':')).is_some() => {
                parts.clock = Some(clock(value, &mut tokens)?);
            }
            Token::Number { value, digits } => parts.numbers.push((value, digits)),
            Token::Word(word) => parts.take_word(&word),
            Token::Sign(sign @ ('+' | '-')) if parts.clock.is_some() => {
                parts.zone = offset(&mut tokens)?.checked_mul(if sign == '-' { -1 } else { 1 })?;
            }
            Token::Sign(_) => {}
        }
    }
    parts.moment()
}

/// A piece of a date.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Number {
        value: u32,
        digits: usize,
    },
    /// In lower case.
    Word(String),
    Sign(char),
}

/// Numbers, words and signs of the first [`MAX_BYTES`], without comments.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut depth = 0_u32;
    let mut rest = text.as_bytes();
    rest = &rest[..rest.len().min(MAX_BYTES)];
    while let Some((&first, after)) = rest.split_first() {
        let same = |is_same: fn(&u8) -> bool| rest.iter().take_while(|byte| is_same(byte)).count();
        let (token, length) = match first {
            b'(' => (None, 1),
            b'0'..=b'9' => {
                let digits = same(u8::is_ascii_digit);
                let value = rest[..digits]
                    .iter()
                    .fold(0_u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
                (Some(Token::Number { value, digits }), digits)
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                let length = same(u8::is_ascii_alphabetic);
                let word = rest[..length].iter().map(|&byte| char::from(byte.to_ascii_lowercase())).collect();
                (Some(Token::Word(word)), length)
            }
            sign => (Some(Token::Sign(char::from(sign))).filter(|_| sign.is_ascii_punctuation()), 1),
        };
        depth += u32::from(first == b'(');
        tokens.extend(token.filter(|_| depth == 0));
        depth = depth.saturating_sub(u32::from(first == b')'));
        rest = &after[length - 1..];
    }
    tokens
}

/// What has been read of a date.
#[derive(Default)]
struct Parts {
    /// Day, month and year as far as they are numbers, in the text's order, each with its count of digits.
    numbers: Vec<(u32, usize)>,
    month: Option<u32>,
    /// Seconds since midnight.
    clock: Option<u32>,
    is_afternoon: Option<bool>,
    /// Seconds east of Greenwich.
    zone: i32,
}

impl Parts {
    /// A month, a zone, a half of the day; anything else is a weekday or says nothing.
    fn take_word(&mut self, word: &str) {
        match word {
            "am" | "pm" => self.is_afternoon = Some(word == "pm"),
            _ if self.clock.is_some() && zone(word).is_some() => self.zone = zone(word).unwrap_or_default(),
            _ => self.month = self.month.or_else(|| month(word)),
        }
    }

    fn moment(self) -> Option<DateTime<Utc>> {
        let clock = self.clock.unwrap_or(0);
        let clock = match self.is_afternoon {
            Some(true) if clock < 12 * 3600 => clock + 12 * 3600,
            Some(false) if (12 * 3600..13 * 3600).contains(&clock) => clock - 12 * 3600,
            _ => clock,
        };
        let midnight = self.date()?.checked_add_days(Days::new(u64::from(clock / 86_400)))?;
        let clock = clock % 86_400;
        let local = midnight.and_hms_opt(clock / 3600, clock / 60 % 60, clock % 60)?;
        let zone = FixedOffset::east_opt(self.zone)?;
        Some(local.and_local_timezone(zone).single()?.to_utc())
    }

    fn date(&self) -> Option<NaiveDate> {
        let (year, month, day) = match (self.month, self.numbers.as_slice()) {
            (Some(month), &[(day, 1 | 2), year] | &[year @ (_, 4), (day, 1 | 2)])
            | (None, &[year @ (_, 4), (month, 1 | 2), (day, 1 | 2)]) => (year, month, day),
            (Some(month), &[year @ (_, 4)]) | (None, &[year @ (_, 4), (month, 1 | 2)]) => (year, month, 1),
            _ => return None,
        };
        NaiveDate::from_ymd_opt(full_year(year)?, month, day)
    }
}

type Tokens = Peekable<vec::IntoIter<Token>>;

/// The time whose hour and first colon were read, in seconds since midnight. A fraction is dropped.
///
/// A leap second is the one before it; 24:00 is the next day's midnight.
fn clock(hour: u32, tokens: &mut Tokens) -> Option<u32> {
    let minute = number(tokens)?;
    let mut second = 0;
    if tokens.next_if_eq(&Token::Sign(':')).is_some() {
        second = number(tokens)?;
        if tokens.next_if(|token| matches!(token, Token::Sign('.' | ','))).is_some() {
            number(tokens);
        }
    }
    let is_time = (hour < 24 && minute < 60 && second <= 60) || (hour, minute, second) == (24, 0, 0);
    is_time.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// The offset whose sign was read, `0100`, `01:00` or `1`, in seconds.
fn offset(tokens: &mut Tokens) -> Option<i32> {
    let Some(Token::Number { value, digits }) = tokens.next() else { return None };
    let (hours, minutes) = match digits {
        1 | 2 if tokens.next_if_eq(&Token::Sign(':')).is_some() => (value, number(tokens)?),
        1 | 2 => (value, 0),
        3 | 4 => (value / 100, value % 100),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| i32::try_from(hours * 3600 + minutes * 60).expect("less than a day"))
}

fn number(tokens: &mut Tokens) -> Option<u32> {
    match tokens.next_if(|token| matches!(token, Token::Number { .. }))? {
        Token::Number { value, .. } => Some(value),
        Token::Word(_) | Token::Sign(_) => None,
    }
}

/// A month by the first three letters of its name.
fn month(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    (1..).zip(NAMES).find(|(_, name)| word.starts_with(name)).map(|(month, _)| month)
}

/// The zones that RFC 822 names and those that feeds add to them, in seconds east of Greenwich.
fn zone(word: &str) -> Option<i32> {
    let hours = match word {
        "z" | "ut" | "utc" | "gmt" | "wet" => 0,
        "bst" | "cet" | "met" | "west" => 1,
        "cest" | "eet" | "mest" => 2,
        "eest" | "msk" => 3,
        "jst" => 9,
        "edt" => -4,
        "cdt" | "est" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    };
    Some(hours * 3600)
}

/// Two digits are 1950 to 2049, three count from 1900 (RFC 2822 §4.3).
fn full_year((number, digits): (u32, usize)) -> Option<i32> {
    let year = match digits {
        2 if number < 50 => 2000 + number,
        2 | 3 => 1900 + number,
        4 => number,
        _ => return None,
    };
    i32::try_from(year).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `text` means in RFC 3339.
    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(parse(text).map(|at| at.to_rfc3339()).as_deref(), Some(want), "{text}");
    }

    #[track_caller]
    fn check_none(text: &str) {
        assert_eq!(parse(text), None, "{text}");
    }

    const SIX: &str = "2026-11-20T18:00:00+00:00";

    #[test]
    fn dates_of_rfc_2822_are_read() {
        check("Fri, 20 Nov 2026 18:00:00 +0000", SIX);
        check("Fri, 20 Nov 2026 19:30:00 +0130", SIX);
        check("20 Nov 2026 13:00 -0500", SIX);
        check("Fri, 20 Nov 26 18:00:00 GMT", SIX);
        check("Fri, 20 Nov 126 18:00:00 Z", SIX);
        check("Fri, 20 Nov 2026 13:00:00 EST", SIX);
        check("Fri, 9 Jan 70 00:00:00 UT", "1970-01-09T00:00:00+00:00");
    }

    #[test]
    fn dates_of_rfc_3339_and_its_kin_are_read() {
        check("2026-11-20T18:00:00Z", SIX);
        check("2026-11-20t19:00:00.123456789+01:00", SIX);
        check("2026-11-20 18:00", SIX);
        check("2026-11-20 18:00:00 UTC", SIX);
        check("2026/11/20 13:00:00 -05:00", SIX);
        check("2026-11-20", "2026-11-20T00:00:00+00:00");
        check("2026-11", "2026-11-01T00:00:00+00:00");
        check("2025-03-23T10:02:52.301", "2025-03-23T10:02:52+00:00");
    }

    #[test]
    fn what_only_resembles_them_is_read() {
        check("Friday, November 20, 2026 6:00 PM", SIX);
        check("Fri Nov 20 18:00:00 2026", SIX);
        check("Fri Nov 20 10:00:00 PST 2026", SIX);
        check("20-Nov-2026 18:00:00 GMT", SIX);
        check("Sunday, 20 Nov 2026 18:00:00 +0000 (a comment (in one) 99)", SIX);
        check("  Fri,20 Nov 2026\r\n 18:00:00  +0000 ", SIX);
        check("20th of November 2026, 18:00", SIX);
        check("Fri, 20 Nov 2026 20:00:00 GMT+0200", SIX);
        check("20 Nov 2026 12:30 am", "2026-11-20T00:30:00+00:00");
        check("20 Nov 2026 12:30 pm", "2026-11-20T12:30:00+00:00");
        check("20 Nov 2026 24:00", "2026-11-21T00:00:00+00:00");
        check("31 Dec 2016 23:59:60 Z", "2016-12-31T23:59:59+00:00");
    }

    #[test]
    fn far_years_are_dates_too() {
        check("Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59+00:00");
        check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00");
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        for text in ["", "today", "20/11/2026", "11/20/26", "20 Nov", "2026", "1790000000", "31 Feb 2026", "2026-13-01"]
        {
            check_none(text);
        }
        for text in ["20 Nov 2026 25:00", "20 Nov 2026 18:60", "20 Nov 2026 18:", "20 Nov 20260 18:00", "1 2 3 4 Nov"] {
            check_none(text);
        }
        check_none("20 Nov 2026 18:00 +9900");
        check_none("4294967296-11-20");
        check_none(&format!("{}20 Nov 2026", "(".repeat(20_000)));
    }

    #[test]
    fn a_date_is_written_in_utc_and_within_four_digits() {
        assert_eq!(rfc2822(parse(SIX).expect("a date")), "Fri, 20 Nov 2026 18:00:00 +0000");
        assert_eq!(rfc2822(DateTime::<Utc>::MAX_UTC), "Fri, 31 Dec 9999 23:59:59 +0000");
        assert_eq!(rfc2822(DateTime::<Utc>::MIN_UTC), "Sat, 1 Jan 0000 00:00:00 +0000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -62_167_219_200_i64..=253_402_300_799) {
            let when = DateTime::from_timestamp(seconds, 0).expect("in range");
            prop_assert_eq!(parse(&rfc2822(when)), Some(when));
            prop_assert_eq!(parse(&when.to_rfc3339()), Some(when));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String, digits in "[0-9:+ A-Za-z./-]{0,40}") {
            parse(&text);
            parse(&digits);
        }
    }
}
