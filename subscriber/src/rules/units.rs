//! Lengths of time and amounts of bytes as people write them: `20m`, `7d`, `500MB`, `50GiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A length of time, written with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, SerializeDisplay, DeserializeFromStr)]
pub struct Span(pub Duration);

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; want one like `90s`, `30m`, `12h`, `14d` or `8w`")]
pub struct SpanError(String);

const SPANS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let fault = || SpanError(text.to_owned());
        let split = text.find(|sign: char| !sign.is_ascii_digit()).ok_or_else(fault)?;
        let (number, unit) = text.split_at(split);
        let seconds = SPANS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, seconds)| seconds);
        let time = number.parse::<u64>().ok().zip(seconds).and_then(|(number, seconds)| number.checked_mul(*seconds));
        time.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(fault)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let is_whole = |(_, unit): &&(&str, u64)| seconds >= *unit && seconds.is_multiple_of(*unit);
        // Weeks are a way to write, days one to read.
        let (name, unit) = SPANS[..4].iter().rev().find(is_whole).unwrap_or(&SPANS[0]);
        write!(f, "{}{name}", seconds / unit)
    }
}

/// An amount of bytes, written with its unit, which nothing needs none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text that is no amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; want one with its unit, like `500MB`, `2.5GB` or `50GiB`")]
pub struct SizeError(String);

const SIZES: [(&str, u64); 12] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("T", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("G", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("M", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let fault = || SizeError(text.to_owned());
        if text == "0" {
            return Ok(Self(0));
        }
        let split = text.find(|sign: char| !sign.is_ascii_digit() && sign != '.').ok_or_else(fault)?;
        let (number, unit) = text.split_at(split);
        let is_unit = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit.trim());
        let unit = SIZES.iter().find(is_unit).map(|(_, bytes)| *bytes).ok_or_else(fault)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || part.len() > 3 || number.ends_with('.') {
            return Err(fault());
        }
        let milli: u128 = format!("{whole}{part:0<3}").parse().map_err(|_| fault())?;
        u64::try_from(milli * u128::from(unit) / 1000).map(Self).map_err(|_| fault())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (name, unit) = SIZES.iter().find(is_whole).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}
