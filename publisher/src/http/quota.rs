//! How many of something there may be at once, in all and from one network.
//!
//! One host that takes everything for itself must not shut out the rest. A home or an office behind one address is many
//! listeners, so one network gets a good share; addresses that are not public are not bounded by it, since behind a reverse
//! proxy, or at home, one of them is everybody.
//!
//! Law: places taken and given back add up; an address that holds none is not remembered.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use podswarm_core::tracker::Scope;

/// Places, of which there are so many and no more. Clones are the same places.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    most: usize,
    most_per_network: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    per_network: BTreeMap<IpAddr, usize>,
}

impl Quota {
    /// `most` places, of which one public address, or one /64 of IPv6, may have `most_per_network`.
    pub(crate) fn new(most: usize, most_per_network: usize) -> Self {
        Self { most, most_per_network, taken: Arc::default() }
    }

    /// Takes a place; `None` if there is none for `asker`.
    pub(crate) fn admit(&self, asker: IpAddr) -> Option<Place> {
        let network = network_of(asker);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return None;
        }
        if let Some(network) = network {
            let here = taken.per_network.entry(network).or_default();
            if *here >= self.most_per_network {
                return None;
            }
            *here += 1;
        }
        taken.all += 1;
        Some(Place { network, taken: Arc::clone(&self.taken) })
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    network: Option<IpAddr>,
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(network) = self.network else { return };
        if let Some(here) = taken.per_network.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                taken.per_network.remove(&network);
            }
        }
    }
}

/// The public address itself, or the /64 that an IPv6 host has to itself.
fn network_of(ip: IpAddr) -> Option<IpAddr> {
    let ip = match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    };
    (Scope::of(ip) == Scope::Public).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(quota: &Quota, asker: &str) -> Option<Place> {
        quota.admit(asker.parse().unwrap())
    }

    #[test]
    fn one_network_has_no_more_than_its_share() {
        let quota = Quota::new(100, 2);
        let places: Vec<Place> = (0..2).filter_map(|_| take(&quota, "203.0.113.1")).collect();
        assert_eq!(places.len(), 2);
        assert!(take(&quota, "203.0.113.1").is_none() && take(&quota, "::ffff:203.0.113.1").is_none());
        assert!(take(&quota, "203.0.113.2").is_some());
        drop(places);
        assert!(take(&quota, "203.0.113.1").is_some());
        let taken = quota.taken.lock().unwrap();
        assert_eq!((taken.all, taken.per_network.len()), (0, 0));
    }

    #[test]
    fn ipv6_counts_by_64_bits() {
        let quota = Quota::new(100, 2);
        let _places = [take(&quota, "2001:db8::1").unwrap(), take(&quota, "2001:db8::2").unwrap()];
        assert!(take(&quota, "2001:db8::3").is_none());
        assert!(take(&quota, "2001:db8:0:1::1").is_some());
    }

    #[test]
    fn those_at_home_are_bounded_only_in_all() {
        let quota = Quota::new(10, 2);
        let places: Vec<Place> = (0..11).filter_map(|_| take(&quota, "127.0.0.1")).collect();
        assert_eq!(places.len(), 10);
        assert!(take(&quota, "203.0.113.1").is_none());
    }
}
