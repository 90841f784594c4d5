//! How often something may be done, from each network.
//!
//! A home or an office behind one address is many people, so a network may do a lot at once and goes on at a good rate
//! from then on. Addresses that are not public are not held to it, since behind a reverse proxy, or at home, one of
//! them is everybody.
//!
//! Law: what is remembered of a network is one moment, and nothing once it may do all of it again.
//! Source: the generic cell rate algorithm, ITU-T I.371.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use podswarm_core::tracker::public_network_of;

/// Networks that are remembered before those are looked for that need not be.
const FEW: usize = 1024;

/// A pace that every network is held to. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// How long it takes until one more is free.
    each: Duration,
    /// How long it takes until all are free again.
    all: Duration,
    busy: Arc<Mutex<Busy>>,
}

#[derive(Debug)]
struct Busy {
    /// When everything is free again.
    until: BTreeMap<IpAddr, Instant>,
    /// How many are remembered before those are forgotten for whom all is free.
    most: usize,
}

impl Pace {
    /// Lets a network do something `at_once` times, and once more `each` so long.
    pub(crate) fn new(at_once: u32, each: Duration) -> Self {
        let busy = Busy { until: BTreeMap::new(), most: FEW };
        Self { each, all: each * at_once, busy: Arc::new(Mutex::new(busy)) }
    }

    /// Counts one for the network of `asker`; or gives the time after which there is one for it again.
    pub(crate) fn take(&self, asker: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(network) = public_network_of(asker) else { return Ok(()) };
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let until = busy.until.get(&network).map_or(now, |&until| until.max(now)) + self.each;
        let ahead = until.duration_since(now);
        if ahead > self.all {
            return Err(ahead.saturating_sub(self.all));
        }
        if busy.until.len() >= busy.most {
            busy.until.retain(|_, until| *until > now);
            busy.most = FEW.max(2 * busy.until.len());
        }
        busy.until.insert(network, until);
        Ok(())
    }

    /// The time after which there is one for the network of `asker`, if there is none now.
    pub(crate) fn wait(&self, asker: IpAddr, now: Instant) -> Option<Duration> {
        let network = public_network_of(asker)?;
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = busy.until.get(&network)?.saturating_duration_since(now) + self.each;
        Some(ahead.saturating_sub(self.all)).filter(|wait| !wait.is_zero())
    }
}

/// A wait in whole seconds, as `Retry-After` tells it.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_goes_on_at_its_pace_after_what_it_may_do_at_once() {
        let (pace, now) = (Pace::new(3, SECOND), Instant::now());
        let take = |asker: &str, seconds| pace.take(ip(asker), now + SECOND * seconds);
        for _ in 0..3 {
            assert_eq!(pace.wait(ip("203.0.113.1"), now), None);
            assert_eq!(take("203.0.113.1", 0), Ok(()));
        }
        assert_eq!(pace.wait(ip("203.0.113.1"), now), Some(SECOND));
        assert_eq!(take("203.0.113.1", 0), Err(SECOND));
        assert_eq!(take("::ffff:203.0.113.1", 0), Err(SECOND), "it is the same address");
        assert_eq!(take("203.0.113.2", 0), Ok(()), "another network is not held up");
        assert_eq!([take("203.0.113.1", 1), take("203.0.113.1", 1)], [Ok(()), Err(SECOND)]);
        for _ in 0..3 {
            assert_eq!(take("203.0.113.1", 9), Ok(()), "all are free again");
        }
        assert_eq!(seconds(SECOND / 2), 1);
    }

    #[test]
    fn ipv6_goes_by_64_bits_and_those_at_home_are_free() {
        let (pace, now) = (Pace::new(1, SECOND), Instant::now());
        assert!(pace.take(ip("2001:db8::1"), now).is_ok() && pace.take(ip("2001:db8::2"), now).is_err());
        for _ in 0..9 {
            assert_eq!(pace.take(ip("192.168.1.9"), now), Ok(()));
        }
    }

    #[test]
    fn networks_that_are_free_are_forgotten() {
        let (pace, now) = (Pace::new(1, SECOND), Instant::now());
        for n in 0..100_000_u32 {
            let asker = std::net::Ipv4Addr::from(0x0808_0000 + n);
            assert_eq!(pace.take(asker.into(), now + SECOND / 1000 * n), Ok(()));
        }
        assert!(pace.busy.lock().unwrap().until.len() <= 2 * FEW, "a second later each of them is free");
    }
}
