//! How many of something there may be at once, in all and from one network.
//!
//! One host that takes everything for itself must not shut out the rest. A home or an office behind one address is many
//! listeners, so one network gets a good share; addresses that are not public are not bounded by it, since behind a
//! reverse proxy, or at home, one of them is everybody.
//!
//! Law: places taken and given back add up; an address that holds none is not remembered.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};

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
        self.take(true, network_of(asker))
    }

    /// Takes a place for who is nobody's neighbour, such as a proxy; `None` if all are taken.
    pub(crate) fn admit_anybody(&self) -> Option<Place> {
        self.take(true, None)
    }

    /// Takes a place of `asker`'s network alone, for who comes on a connection that has one already.
    pub(crate) fn admit_beside(&self, asker: IpAddr) -> Option<Place> {
        self.take(false, network_of(asker))
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

/// A body with the place that its asker has until it is sent.
pub(crate) struct Kept {
    body: Body,
    _place: Place,
}

impl Kept {
    /// Keeps `place` as long as `body`.
    pub(crate) fn new(body: Body, place: Place) -> Self {
        Self { body, _place: place }
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
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

/// The public address itself, or the /64 that an IPv6 host has to itself.
pub(super) fn network_of(ip: IpAddr) -> Option<IpAddr> {
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
    fn behind_a_proxy_networks_have_their_shares_of_one_connection() {
        let quota = Quota::new(1, 2);
        let proxy = quota.admit_anybody().unwrap();
        assert!(quota.admit_anybody().is_none());
        let asker = "203.0.113.1".parse().unwrap();
        let places = [quota.admit_beside(asker).unwrap(), quota.admit_beside(asker).unwrap()];
        assert!(quota.admit_beside(asker).is_none() && quota.admit_beside("203.0.113.2".parse().unwrap()).is_some());
        drop((places, proxy));
        let taken = quota.taken.lock().unwrap();
        assert_eq!((taken.all, taken.per_network.len()), (0, 0));
    }

    #[test]
    fn those_at_home_are_bounded_only_in_all() {
        let quota = Quota::new(10, 2);
        let places: Vec<Place> = (0..11).filter_map(|_| take(&quota, "127.0.0.1")).collect();
        assert_eq!(places.len(), 10);
        assert!(take(&quota, "203.0.113.1").is_none());
    }
}
