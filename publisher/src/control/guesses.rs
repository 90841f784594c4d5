//! Wrong tokens: who shows them may show a few, and the log is told in sums.
//!
//! No token can be guessed, but whoever tries should cost little and flood nothing. A network that has shown several
//! wrong ones has to wait, and its tokens are not looked at meanwhile. A wrong one that is shown again, as by a page
//! left open after its token was revoked, is no guess.
//!
//! Knows nothing of HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::Pace;

/// Wrong tokens that a network may show at once.
const AT_ONCE: u32 = 20;
/// It may show one more each so long.
const EACH: Duration = Duration::from_secs(5);
/// The log is told at most this often.
const QUIET: Duration = Duration::from_mins(10);
/// Of so many addresses it is known which wrong token they showed last.
const MOST: usize = 4096;

/// The wrong tokens that were shown.
#[derive(Debug)]
pub(super) struct Guesses {
    pace: Pace,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The one that each address showed last.
    last: BTreeMap<IpAddr, String>,
    /// When the log was told.
    told: Option<Instant>,
    /// How many were shown since then.
    untold: u64,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { pace: Pace::new(AT_ONCE, EACH), seen: Mutex::default() }
    }
}

impl Guesses {
    /// How long `remote` has to wait until its token is looked at, if it has to.
    pub(super) fn wait(&self, remote: IpAddr, now: Instant) -> Option<Duration> {
        self.pace.wait(remote, now)
    }

    /// Notes that `remote` has shown `token`, which is wrong. Returns how many were shown since the log was told, if it
    /// is to be told now.
    pub(super) fn note(&self, remote: IpAddr, token: &str, now: Instant) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.last.get(&remote).is_some_and(|last| last == token) {
            return None;
        }
        // No token of ours is longer, and others are not worth the room.
        if token.len() <= 128 {
            if seen.last.len() >= MOST {
                seen.last.clear();
            }
            seen.last.insert(remote, token.to_owned());
        }
        // It was let in, so there is one for it.
        let _ = self.pace.take(remote, now);
        seen.untold += 1;
        if seen.told.is_some_and(|told| now < told + QUIET) {
            return None;
        }
        seen.told = Some(now);
        Some(std::mem::take(&mut seen.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_waits_after_several_and_the_log_hears_of_all_now_and_then() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let (one, other) = ("203.0.113.1".parse().unwrap(), "203.0.113.2".parse().unwrap());
        let told: Vec<_> = (0..AT_ONCE).filter_map(|n| guesses.note(one, &n.to_string(), now)).collect();
        assert_eq!(told, [1], "one line at once");
        assert_eq!(guesses.wait(one, now), Some(EACH));
        assert_eq!(guesses.wait(other, now), None);
        assert_eq!(guesses.wait(one, now + EACH), None);
        assert_eq!(guesses.note(other, "x", now + QUIET), Some(u64::from(AT_ONCE)), "and the rest later");
    }

    #[test]
    fn the_same_wrong_one_again_is_no_guess() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let page = "203.0.113.1".parse().unwrap();
        let told = (0..1000).filter(|_| guesses.note(page, "revoked", now).is_some()).count();
        assert_eq!((told, guesses.wait(page, now)), (1, None));
    }
}
