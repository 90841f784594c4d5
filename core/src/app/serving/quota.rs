//! How many of something there may be at once, in all and from one network.
//!
//! One host that takes everything for itself must not shut out the rest. What a network is, the caller says; a home or
//! an office behind one address is many listeners, so its share should be a good one.
//!
//! Law: places taken and given back add up; a network that holds none is not remembered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Places, of which there are so many and no more. Clones are the same places.
#[derive(Clone, Debug)]
pub struct Quota {
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
    /// `most` places, of which one network may have `most_per_network`.
    pub fn new(most: usize, most_per_network: usize) -> Self {
        Self { most, most_per_network, taken: Arc::default() }
    }

    /// Takes a place for one of `network`; without one, for who is nobody's neighbour, such as a proxy. `None` if all
    /// are taken, or the network's share.
    pub fn admit(&self, network: Option<IpAddr>) -> Option<Place> {
        self.take(true, network)
    }

    /// Takes a place of the network's share alone, for who comes on a connection that has one already.
    pub fn admit_beside(&self, network: Option<IpAddr>) -> Option<Place> {
        self.take(false, network)
    }

    fn take(&self, is_counted: bool, network: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if is_counted && taken.all >= self.most {
            return None;
        }
        if let Some(network) = network {
            let here = taken.per_network.entry(network).or_default();
            if *here >= self.most_per_network {
                return None;
            }
            *here += 1;
        }
        taken.all += usize::from(is_counted);
        Some(Place { is_counted, network, taken: Arc::clone(&self.taken) })
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    /// Whether it is one of all.
    is_counted: bool,
    network: Option<IpAddr>,
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= usize::from(self.is_counted);
        let Some(network) = self.network else { return };
        if let Some(here) = taken.per_network.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                taken.per_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(quota: &Quota, network: &str) -> Option<Place> {
        quota.admit(Some(network.parse().unwrap()))
    }

    #[track_caller]
    fn check_is_empty(quota: &Quota) {
        let taken = quota.taken.lock().unwrap();
        assert_eq!((taken.all, taken.per_network.len()), (0, 0));
    }

    #[test]
    fn one_network_has_no_more_than_its_share() {
        let quota = Quota::new(100, 2);
        let places: Vec<Place> = (0..2).filter_map(|_| take(&quota, "203.0.113.1")).collect();
        assert_eq!(places.len(), 2);
        assert!(take(&quota, "203.0.113.1").is_none());
        assert!(take(&quota, "203.0.113.2").is_some());
        drop(places);
        assert!(take(&quota, "203.0.113.1").is_some());
        check_is_empty(&quota);
    }

    #[test]
    fn behind_a_proxy_networks_have_their_shares_of_one_connection() {
        let quota = Quota::new(1, 2);
        let proxy = quota.admit(None).unwrap();
        assert!(quota.admit(None).is_none());
        let network = Some("203.0.113.1".parse().unwrap());
        let places = [quota.admit_beside(network).unwrap(), quota.admit_beside(network).unwrap()];
        assert!(quota.admit_beside(network).is_none() && quota.admit_beside(None).is_some());
        drop((places, proxy));
        check_is_empty(&quota);
    }

    #[test]
    fn those_of_no_network_are_bounded_only_in_all() {
        let quota = Quota::new(10, 2);
        let places: Vec<Place> = (0..11).filter_map(|_| quota.admit(None)).collect();
        assert_eq!(places.len(), 10);
        assert!(take(&quota, "203.0.113.1").is_none());
    }
}
