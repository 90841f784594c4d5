//! How one torrent is treated apart from the others: limits of its own, and the ways in which its peers are found.
//!
//! A torrent's own limits hold beside those of all torrents together. A way that is closed to a torrent is closed both
//! ways round: we neither look for its peers there nor tell there that we take part.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::rate::{ByteCount, TokenBucket};
use crate::time::Instant;
use crate::timetable::RateLimits;

/// How a torrent is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    /// How fast it may go, whatever others do.
    #[serde(flatten)]
    pub limits: RateLimits,
    /// How its peers are found.
    pub discovery: Discovery,
}

/// Ways in which peers of a torrent are found, and find us. Written as the list of their names, or `all`.
///
/// A private torrent's are its trackers alone, whatever else is open to it. BEP 27.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way of its own")]
pub struct Discovery {
    /// The torrent's trackers.
    pub trackers: bool,
    /// The distributed hash table. BEP 5.
    pub dht: bool,
    /// The hosts of our own network. BEP 14.
    pub lsd: bool,
    /// What peers tell of one another. BEP 11.
    pub exchange: bool,
}

/// A text that names no ways of finding peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no way of finding peers; want `all`, or some of `trackers`, `dht`, `lsd` and `pex`, such as `trackers,pex`"
)]
pub struct DiscoveryError(String);

impl Discovery {
    /// Every way.
    pub const ALL: Self = Self { trackers: true, dht: true, lsd: true, exchange: true };
    /// No way.
    pub const NONE: Self = Self { trackers: false, dht: false, lsd: false, exchange: false };

    /// The ways with their names.
    fn named(self) -> [(&'static str, bool); 4] {
        [("trackers", self.trackers), ("dht", self.dht), ("lsd", self.lsd), ("pex", self.exchange)]
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        let names: Vec<_> = self.named().into_iter().filter_map(|(name, is_open)| is_open.then_some(name)).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Discovery {
    type Err = DiscoveryError;

    fn from_str(text: &str) -> Result<Self, DiscoveryError> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        let mut ways = Self::NONE;
        for name in text.split(',') {
            match name.trim() {
                "trackers" => ways.trackers = true,
                "dht" => ways.dht = true,
                "lsd" => ways.lsd = true,
                "pex" => ways.exchange = true,
                _ => return Err(DiscoveryError(text.to_owned())),
            }
        }
        Ok(ways)
    }
}

/// What may go at once under a limit.
const BURST: ByteCount = ByteCount(64 * 1024);

/// Limits as they are kept to.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// Upload; `None` is unlimited.
    pub up: Option<TokenBucket>,
    /// Download; `None` is unlimited.
    pub down: Option<TokenBucket>,
}

impl Buckets {
    /// Full ones.
    pub fn new(limits: RateLimits, now: Instant) -> Self {
        let bucket = |rate| TokenBucket::new(rate, BURST, now);
        Self { up: limits.up.map(bucket), down: limits.down.map(bucket) }
    }
}

/// Whether all of these let something through at `now`; if not, when the first that does not will, if ever.
pub(super) fn ready<'a>(
    buckets: impl IntoIterator<Item = &'a mut TokenBucket>,
    now: Instant,
) -> Result<(), Option<Instant>> {
    for bucket in buckets {
        let at = bucket.ready_at(now);
        if at != Some(now) {
            return Err(at);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;

    #[test]
    fn ways_are_written_as_they_are_read() {
        for text in ["all", "trackers", "dht,lsd", "trackers,dht,pex"] {
            assert_eq!(text.parse::<Discovery>().unwrap().to_string(), text);
        }
        assert_eq!("pex, trackers".parse::<Discovery>().unwrap().to_string(), "trackers,pex");
        assert_eq!("trackers,dht,lsd,pex".parse::<Discovery>().unwrap().to_string(), "all");
        for text in ["", "none", "trackers,", "tracker", "all,dht", "DHT"] {
            assert!(text.parse::<Discovery>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_limit_that_holds_decides() {
        let now = Instant::ZERO;
        let mut all = Buckets::new(RateLimits { up: Some(Rate(1000)), down: None }, now);
        let mut own = Buckets::new(RateLimits { up: Some(Rate(0)), down: None }, now);
        assert_eq!(ready(all.up.iter_mut().chain(&mut own.up), now), Ok(()));
        for bucket in all.up.iter_mut().chain(&mut own.up) {
            bucket.spend(now, BURST.0);
        }
        assert!(ready(all.up.iter_mut().chain(&mut own.up), now).is_err_and(|at| at.is_some()));
        assert_eq!(ready(own.up.iter_mut().chain(&mut all.up), now), Err(None), "a rate of nothing never lets through");
        assert_eq!(ready(own.down.iter_mut().chain(&mut all.down), now), Ok(()));
    }
}
