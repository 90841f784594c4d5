//! How much is answered: to each address, and in all.
//!
//! Law: within ten seconds at most [`MOST_OF_ONE`] questions of one address are answered, and the answers to all
//! together keep within [`RATE`] but for a burst; to one that never answered us [`MOST_FILTERS`] of them come with
//! filters, which make an answer six times as long as its question. Source: the limits of libtorrent's node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::swarm::peers::network;
use crate::time::Instant;

/// For how long questions are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The most questions of one address, or of one IPv6 network, within that time.
pub(super) const MOST_OF_ONE: u32 = 50;
/// The most answers with filters to one address that never answered us, or one IPv6 network, within that time: so many
/// torrents may one start with at once.
pub(super) const MOST_FILTERS: u32 = 4;
/// The most addresses that are counted within that time; others are not answered.
const MOST_ADDRESSES: usize = 4096;
/// What all answers together may take.
pub(super) const RATE: Rate = Rate(32 * 1024);
/// How much may be sent at once.
const BURST: ByteCount = ByteCount(64 * 1024);

/// What one address asked.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    questions: u32,
    filters: u32,
}

/// What has been answered.
#[derive(Debug)]
pub(super) struct Quota {
    since: Instant,
    counts: BTreeMap<IpAddr, Count>,
    bytes: TokenBucket,
}

impl Quota {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, counts: BTreeMap::new(), bytes: TokenBucket::new(RATE, BURST, now) }
    }

    /// Whether another question of this address is answered; it is counted.
    pub(super) fn allows(&mut self, now: Instant, ip: IpAddr) -> bool {
        if now - self.since >= WINDOW {
            self.since = now;
            self.counts.clear();
        }
        let ip = network(ip);
        if self.counts.len() >= MOST_ADDRESSES && !self.counts.contains_key(&ip) {
            return false;
        }
        let count = self.counts.entry(ip).or_default();
        count.questions += 1;
        count.questions <= MOST_OF_ONE
    }

    /// Whether a question that was allowed is answered with filters though nobody answered us from there; it is
    /// counted.
    pub(super) fn allows_filters(&mut self, ip: IpAddr) -> bool {
        let count = self.counts.entry(network(ip)).or_default();
        count.filters += 1;
        count.filters <= MOST_FILTERS
    }

    /// Whether an answer of so many bytes may be sent; it is counted.
    pub(super) fn takes(&mut self, now: Instant, bytes: usize) -> bool {
        self.bytes.take(now, bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn one_address_is_answered_fifty_times_in_ten_seconds() {
        let mut quota = Quota::new(at(0));
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!((0..500).filter(|_| quota.allows(at(1), one)).count(), MOST_OF_ONE as usize);
        assert!(quota.allows(at(1), other) && quota.allows(at(10), one));
    }

    #[test]
    fn a_crowd_of_addresses_is_bounded() {
        let mut quota = Quota::new(at(0));
        let allowed = (0..10_000).filter(|n| quota.allows(at(0), Ipv4Addr::from(0x0a00_0000 + n).into())).count();
        assert_eq!((allowed, quota.counts.len()), (MOST_ADDRESSES, MOST_ADDRESSES));
    }

    #[test]
    fn all_answers_together_keep_to_a_rate() {
        let mut quota = Quota::new(at(0));
        let sent: usize = (0..100).map(|second| (0..1000).filter(|_| quota.takes(at(second), 300)).count() * 300).sum();
        let most = 100 * RATE.0 + BURST.0;
        assert!((most * 9 / 10..=most * 11 / 10).contains(&(sent as u64)), "{sent}");
    }
}
