//! Amounts and speeds: how many bytes, how many bytes a second, and how they are measured and limited.
//!
//! Knows no clock; every measurement is told the time.
//!
//! Law: a [`TokenBucket`] never lets more through than its burst plus its rate times the time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::time::Instant;

/// A number of bytes; displays as `1.5 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let exponent = (self.0.ilog2() / 10) as usize;
        let unit = 1_u64 << (10 * exponent);
        // One digit after the point, cut and not rounded: 1023.99 KiB is never shown as 1024.0 KiB.
        let tenths = u128::from(self.0) * 10 / u128::from(unit);
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[exponent - 1])
    }
}

/// A speed in bytes a second; displays as `1.5 MiB/s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", ByteCount(self.0))
    }
}

/// A speed that was typed without a unit, or with one that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate `{got}` is not a number with a unit; want one like `2MiB/s`, `500kB/s` or `10Mbit/s`")]
pub struct RateError {
    got: String,
}

impl FromStr for Rate {
    type Err = RateError;

    /// Reads a number with its unit: `2MiB/s`, `500kB/s`, `10Mbit/s`, `10Mbps`. The unit is never optional, since
    /// a bare number has cost people an uplink or a month's traffic.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let fault = || RateError { got: text.to_owned() };
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fault)?;
        let (number, unit) = text.split_at(split);
        let bits_per_unit: u64 = match unit.trim() {
            "B/s" => 8,
            "kB/s" | "KB/s" => 8_000,
            "KiB/s" => 8 << 10,
            "MB/s" => 8_000_000,
            "MiB/s" => 8 << 20,
            "GB/s" => 8_000_000_000,
            "GiB/s" => 8 << 30,
            "kbit/s" | "kbps" | "Kbit/s" => 1_000,
            "Mbit/s" | "Mbps" => 1_000_000,
            "Gbit/s" | "Gbps" => 1_000_000_000,
            _ => return Err(fault()),
        };
        let millis = milli_number(number).ok_or_else(fault)?;
        let bytes = millis.checked_mul(bits_per_unit).ok_or_else(fault)? / 8_000;
        Ok(Self(bytes))
    }
}

/// A decimal number times 1000, digits beyond the third after the point dropped.
fn milli_number(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut millis: u64 = whole.parse::<u64>().ok()?.checked_mul(1000)?;
    for (digit, worth) in fraction.chars().zip([100, 10, 1]) {
        millis = millis.checked_add(u64::from(digit.to_digit(10)?) * worth)?;
    }
    Some(millis)
}

/// How fast something may go; as fast as it gets if `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub struct Limit(pub Option<Rate>);

/// A text that is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, or `none`")]
pub struct LimitError(#[from] RateError);

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        if text == "none" { Ok(Self(None)) } else { Ok(Self(Some(text.parse()?))) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Rate(rate)) = self.0 else { return f.write_str("none") };
        // Exactly, so that it reads as it is written.
        let units = [("MiB", 1 << 20), ("Mbit", 125_000), ("KiB", 1 << 10), ("kB", 1000), ("B", 1)];
        let is_whole = |(_, unit): &&(&str, u64)| rate >= *unit && rate.is_multiple_of(*unit);
        let (name, unit) = units.iter().find(is_whole).unwrap_or(&("B", 1));
        write!(f, "{}{name}/s", rate / unit)
    }
}

/// The span over which a [`RateMeter`] looks back.
const WINDOW: Duration = Duration::from_secs(4);
/// A meter's memory is cut into this many slots.
const SLOTS: usize = 16;

/// Measures a speed over the last four seconds.
#[derive(Clone, Debug)]
pub struct RateMeter {
    slots: [u64; SLOTS],
    /// Number of the newest slot since the run began.
    newest: u64,
    /// Slot in which the first byte came; the window is shorter until it has passed once.
    first: Option<u64>,
    total: u64,
}

impl Default for RateMeter {
    fn default() -> Self {
        Self { slots: [0; SLOTS], newest: 0, first: None, total: 0 }
    }
}

impl RateMeter {
    /// Counts `bytes` that moved at `now`.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.advance(now);
        self.first.get_or_insert(self.newest);
        self.slots[slot_of(self.newest)] += bytes;
        self.total += bytes;
    }

    /// The speed at `now`, over the window or over the time since the first byte if that is shorter.
    pub fn rate(&mut self, now: Instant) -> Rate {
        self.advance(now);
        let Some(first) = self.first else { return Rate(0) };
        let span = (self.newest - first + 1).min(SLOTS as u64);
        let sum: u64 = self.slots.iter().sum();
        Rate(sum * 1000 / (span * slot_millis()))
    }

    /// All bytes ever counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    fn advance(&mut self, now: Instant) {
        let slot = now.as_nanos() / (slot_millis() * 1_000_000);
        if slot <= self.newest {
            return;
        }
        for passed in self.newest + 1..=slot.min(self.newest + SLOTS as u64) {
            self.slots[slot_of(passed)] = 0;
        }
        self.newest = slot;
        if self.slots.iter().all(|bytes| *bytes == 0) {
            self.first = None;
        }
    }
}

const fn slot_millis() -> u64 {
    // The window is whole seconds.
    WINDOW.as_secs() * 1000 / SLOTS as u64
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).expect("there are few slots")
}

/// Lets bytes through at a limited speed.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    burst: u64,
    /// May fall below zero: whoever starts while it is positive may finish a whole message.
    tokens: i64,
    updated: Instant,
}

impl TokenBucket {
    /// A bucket that holds `burst` bytes and gains `rate`; it starts full.
    pub fn new(rate: Rate, burst: ByteCount, now: Instant) -> Self {
        let tokens = i64::try_from(burst.0).unwrap_or(i64::MAX);
        Self { rate, burst: burst.0, tokens, updated: now }
    }

    /// Takes `bytes` if anything is left, going into debt for the rest; tells whether it did.
    pub fn take(&mut self, now: Instant, bytes: u64) -> bool {
        self.refill(now);
        let is_left = self.tokens > 0;
        if is_left {
            self.spend(now, bytes);
        }
        is_left
    }

    /// Takes `bytes` that went whether anything was left or not.
    pub fn spend(&mut self, now: Instant, bytes: u64) {
        self.refill(now);
        self.tokens = self.tokens.saturating_sub_unsigned(bytes);
    }

    /// Holds and gains something else from now on; what was gained until now stays, as far as there is room.
    pub fn change(&mut self, now: Instant, rate: Rate, burst: ByteCount) {
        self.refill(now);
        (self.rate, self.burst, self.updated) = (rate, burst.0, now);
        self.tokens = self.tokens.min(i64::try_from(burst.0).unwrap_or(i64::MAX));
    }

    /// Whether nothing was taken for so long that it would hold no more.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= i64::try_from(self.burst).unwrap_or(i64::MAX)
    }

    /// When the next byte may go; `now` if it may already, `None` at a rate of 0.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.refill(now);
        if self.tokens > 0 {
            return Some(now);
        }
        let missing = u128::from(self.tokens.unsigned_abs()) + 1;
        let nanos = (missing * 1_000_000_000).checked_div(u128::from(self.rate.0))? + 1;
        Some(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn refill(&mut self, now: Instant) {
        let gained = (now - self.updated).as_nanos() * u128::from(self.rate.0) / 1_000_000_000;
        if gained == 0 {
            // Time is kept, not dropped: many short steps add up.
            return;
        }
        let full = i64::try_from(self.burst).unwrap_or(i64::MAX);
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(gained).min(full);
        self.updated = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_limit_reads_as_it_is_written() {
        for text in ["none", "0B/s", "1B/s", "1023B/s", "3kB/s", "1KiB/s", "2MiB/s", "10Mbit/s", "1234567B/s"] {
            assert_eq!(text.parse::<Limit>().unwrap().to_string(), text);
        }
        assert_eq!("1000kB/s".parse::<Limit>().unwrap().to_string(), "8Mbit/s");
        assert!("0.5".parse::<Limit>().unwrap_err().to_string().ends_with(", or `none`"));
    }

    #[test]
    fn byte_counts_read_as_people_write_them() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (62_914_560, "60.0 MiB"), (u64::MAX, "15.9 EiB")]
        {
            assert_eq!(ByteCount(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_rate_needs_a_unit() {
        for (text, bytes) in [
            ("2MiB/s", 2 << 20),
            ("500kB/s", 500_000),
            ("10Mbit/s", 1_250_000),
            ("1.5 MB/s", 1_500_000),
            ("10Mbps", 1_250_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate(bytes)), "{text}");
        }
        for text in ["", "5", "MiB/s", "5 apples", "-1MiB/s", "1..5MiB/s", "1.x5MiB/s", "99999999999999999999B/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_steady_flow_is_measured_as_it_is() {
        let mut meter = RateMeter::default();
        for ms in 0..10_000 {
            meter.add(at(ms), 100);
        }
        let rate = meter.rate(at(9_999)).0;
        assert!((95_000..=105_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate(at(20_000)), Rate(0));
        assert_eq!(meter.total(), 1_000_000);
    }

    #[test]
    fn a_bucket_gives_its_rate_and_no_more() {
        let mut bucket = TokenBucket::new(Rate(1_000_000), ByteCount(16_384), at(0));
        let mut sent = 0_u64;
        let mut now = at(0);
        while now < at(10_000) {
            if bucket.take(now, 16_384) {
                sent += 16_384;
            } else {
                now = bucket.ready_at(now).unwrap();
            }
        }
        assert!((9_950_000..=10_050_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_bucket_that_changes_gives_what_it_is_then() {
        let mut bucket = TokenBucket::new(Rate(1_000), ByteCount(100_000), at(0));
        bucket.change(at(0), Rate(500_000), ByteCount(10_000));
        assert!(bucket.take(at(0), 60_000), "it holds ten thousand");
        assert_eq!(bucket.ready_at(at(0)).map(|ready| (ready - at(0)).as_millis()), Some(100));
        bucket.change(at(50), Rate(50_000), ByteCount(10_000));
        assert_eq!(bucket.ready_at(at(50)).map(|ready| (ready - at(0)).as_millis()), Some(550));
    }

    #[test]
    fn a_rate_of_nothing_is_never_ready() {
        let mut bucket = TokenBucket::new(Rate(0), ByteCount(1), at(0));
        assert!(bucket.take(at(0), 5));
        assert_eq!(bucket.ready_at(at(99_999)), None);
    }
}
