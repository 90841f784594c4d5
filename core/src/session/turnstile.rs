//! How many keys of strangers are answered: each costs a tenth of a millisecond of work, and a stranger can send them
//! quickly.
//!
//! Law: in any span of time at most [`KEYS_AT_ONCE`] keys are answered and [`KEYS_A_SECOND`] more with each second of
//! it, of one public network a tenth of that.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::swarm::peers::network;
use crate::time::Instant;
use crate::tracker::Scope;

/// How many keys are answered in the long run: about two hundredths of a processor.
pub(super) const KEYS_A_SECOND: u64 = 200;
/// How many are answered at once.
pub(super) const KEYS_AT_ONCE: u64 = 400;
/// The part of them that one public network gets.
const SHARE: u64 = 10;
/// The most networks that are remembered.
const MAX_NETWORKS: usize = 1000;

/// Bounds the keys that are answered. A bucket's bytes are keys here.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    all: Option<TokenBucket>,
    networks: BTreeMap<IpAddr, TokenBucket>,
}

impl Turnstile {
    /// Whether a key from this address is answered; if so it counts.
    pub(super) fn lets_in(&mut self, now: Instant, ip: IpAddr) -> bool {
        let bucket = |share| TokenBucket::new(Rate(KEYS_A_SECOND / share), ByteCount(KEYS_AT_ONCE / share), now);
        let all = self.all.get_or_insert_with(|| bucket(1));
        if all.ready_at(now) != Some(now) {
            return false;
        }
        if Scope::of(ip) == Scope::Public {
            if self.networks.len() >= MAX_NETWORKS {
                self.networks.retain(|_, bucket| !bucket.is_full(now));
            }
            let from = network(ip);
            let is_known = self.networks.contains_key(&from) || self.networks.len() < MAX_NETWORKS;
            if !is_known || !self.networks.entry(from).or_insert_with(|| bucket(SHARE)).take(now, 1) {
                return false;
            }
        }
        all.take(now, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn let_in(turnstile: &mut Turnstile, ms: u64, times: u64, ip: impl Fn(u64) -> [u8; 4]) -> u64 {
        let now = Instant::ZERO + Duration::from_millis(ms);
        (0..times).filter(|n| turnstile.lets_in(now, IpAddr::from(ip(*n)))).count() as u64
    }

    fn byte(n: u64) -> u8 {
        u8::try_from(n % 256).unwrap()
    }

    #[test]
    fn a_flood_from_one_network_leaves_room_for_others() {
        let mut turnstile = Turnstile::default();
        let flood = |_| [198, 18, 0, 1];
        assert_eq!(let_in(&mut turnstile, 0, 10_000, flood), KEYS_AT_ONCE / SHARE);
        assert_eq!(let_in(&mut turnstile, 0, 1, |_| [198, 19, 0, 1]), 1);
        assert_eq!(let_in(&mut turnstile, 1000, 10_000, flood), KEYS_A_SECOND / SHARE);
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_too() {
        let mut turnstile = Turnstile::default();
        let everywhere = |n| [198, 18, byte(n / 256), byte(n)];
        assert_eq!(let_in(&mut turnstile, 0, 50_000, everywhere), KEYS_AT_ONCE);
        assert!(turnstile.networks.len() <= MAX_NETWORKS);
        let later = let_in(&mut turnstile, 60_000, 50_000, everywhere);
        assert!((1..=KEYS_AT_ONCE).contains(&later), "{later}");
    }

    #[test]
    fn the_own_site_is_one_crowd() {
        assert_eq!(let_in(&mut Turnstile::default(), 0, 1000, |_| [10, 0, 0, 1]), KEYS_AT_ONCE);
    }
}
