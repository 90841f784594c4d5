//! The addresses of a swarm's peers: who named them, whether we are connected, when to try again.
//!
//! Whoever names an address may lie, so what is dialled is bounded, spread over time, and never private unless the owner
//! allows it.
//!
//! Law: at most [`MAX_PEERS`] addresses are kept; a banned one is never dialled or accepted again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::peer::ConnId;
use crate::rng::Rng;
use crate::time::{Instant, earliest};
use crate::tracker::Scope;

/// The most addresses that are kept.
pub const MAX_PEERS: usize = 1000;
/// The most bans that are kept.
const MAX_BANS: usize = 1000;
/// The first pause after a failed dial; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest pause after failed dials.
const RETRY_MOST: Duration = Duration::from_mins(30);
/// After so many failures in a row an address makes room for others.
const MAX_FAILURES: u32 = 8;

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// The owner; it is trusted.
    Owner,
    /// A tracker.
    Tracker,
    /// The peer itself, by dialling us.
    Incoming,
}

#[derive(Clone, Debug)]
enum State {
    /// May be dialled from then on.
    Idle { next_try: Instant },
    /// Being dialled.
    Dialling,
    /// Connected.
    Connected,
}

#[derive(Clone, Debug)]
struct Known {
    state: State,
    failures: u32,
    /// It had every piece when we last knew.
    seed: bool,
}

/// A swarm's address book.
#[derive(Clone, Debug)]
pub struct PeerList {
    known: BTreeMap<SocketAddr, Known>,
    by_conn: BTreeMap<ConnId, SocketAddr>,
    dialling: usize,
    banned: BTreeSet<SocketAddr>,
    /// Addresses that are ourselves.
    ourselves: BTreeSet<SocketAddr>,
    private_allowed: bool,
}

impl PeerList {
    /// An empty book; private and loopback addresses are kept only if `private_allowed` or the owner names them.
    pub fn new(private_allowed: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            dialling: 0,
            banned: BTreeSet::new(),
            ourselves: BTreeSet::new(),
            private_allowed,
        }
    }

    /// Notes an address; tells whether it is new.
    pub fn add(&mut self, now: Instant, addr: SocketAddr, source: PeerSource) -> bool {
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let allowed = source == PeerSource::Owner || self.private_allowed || Scope::of(addr.ip()) == Scope::Public;
        let usable = addr.port() != 0 && Scope::of(addr.ip()) != Scope::Nowhere;
        if !usable || !allowed || self.banned.contains(&addr) || self.ourselves.contains(&addr) {
            return false;
        }
        if let Some(known) = self.known.get_mut(&addr) {
            // Somebody says that it is there: one more try is due soon.
            if let State::Idle { next_try } = &mut known.state
                && known.failures > 0
            {
                *next_try = (*next_try).min(now + RETRY_FIRST * known.failures);
            }
            return false;
        }
        if self.known.len() >= MAX_PEERS && !self.make_room() {
            return false;
        }
        self.known.insert(addr, Known { state: State::Idle { next_try: now }, failures: 0, seed: false });
        true
    }

    /// The number of addresses.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no address is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of dials under way.
    pub const fn dialling(&self) -> usize {
        self.dialling
    }

    /// The known addresses that had every piece when last seen.
    pub fn seeds(&self) -> usize {
        self.known.values().filter(|known| known.seed).count()
    }

    /// Whether nothing is to be had from or given to this address any more.
    pub fn is_banned(&self, addr: SocketAddr) -> bool {
        self.banned.contains(&SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }

    /// Up to `count` addresses to dial now, in random order; seeds only if `seeds`.
    pub fn due(&self, now: Instant, count: usize, seeds: bool, rng: &mut Rng) -> Vec<SocketAddr> {
        let mut due: Vec<SocketAddr> = self
            .known
            .iter()
            .filter(|(_, known)| {
                (seeds || !known.seed) && matches!(known.state, State::Idle { next_try } if next_try <= now)
            })
            .map(|(addr, _)| *addr)
            .collect();
        rng.shuffle(&mut due);
        due.truncate(count);
        due
    }

    /// When the next address may be dialled.
    pub fn next_try(&self, seeds: bool) -> Option<Instant> {
        self.known.values().filter(|known| seeds || !known.seed).fold(None, |soonest, known| match known.state {
            State::Idle { next_try } => earliest(soonest, Some(next_try)),
            State::Dialling | State::Connected => soonest,
        })
    }

    /// The address is being dialled.
    pub fn dial(&mut self, addr: SocketAddr, conn: ConnId) {
        if let Some(known) = self.known.get_mut(&addr) {
            known.state = State::Dialling;
            self.by_conn.insert(conn, addr);
            self.dialling += 1;
        }
    }

    /// The dial failed.
    pub fn dial_failed(&mut self, now: Instant, conn: ConnId) {
        let Some(addr) = self.by_conn.remove(&conn) else { return };
        self.dialling -= 1;
        let Some(known) = self.known.get_mut(&addr) else { return };
        known.failures += 1;
        if known.failures > MAX_FAILURES {
            self.known.remove(&addr);
            return;
        }
        let pause = RETRY_FIRST.saturating_mul(1 << known.failures.min(16)).min(RETRY_MOST);
        known.state = State::Idle { next_try: now + pause };
    }

    /// A dialled connection stands.
    pub fn connected(&mut self, conn: ConnId) {
        let Some(known) = self.by_conn.get(&conn).and_then(|addr| self.known.get_mut(addr)) else { return };
        if matches!(known.state, State::Dialling) {
            self.dialling -= 1;
        }
        known.state = State::Connected;
        known.failures = 0;
    }

    /// A peer that dialled us listens there: do not dial it too.
    pub fn listens_at(&mut self, now: Instant, conn: ConnId, addr: SocketAddr) {
        self.add(now, addr, PeerSource::Incoming);
        if let Some(known) = self.known.get_mut(&SocketAddr::new(addr.ip().to_canonical(), addr.port()))
            && matches!(known.state, State::Idle { .. })
        {
            known.state = State::Connected;
            known.failures = 0;
            self.by_conn.insert(conn, addr);
        }
    }

    /// The connection is gone; its address may be dialled again after a while.
    pub fn closed(&mut self, now: Instant, conn: ConnId) {
        let Some(addr) = self.by_conn.remove(&conn) else { return };
        let Some(known) = self.known.get_mut(&addr) else { return };
        match known.state {
            State::Dialling => self.dialling -= 1,
            State::Connected => {}
            State::Idle { .. } => return,
        }
        known.failures += 1;
        known.state = State::Idle { next_try: now + RETRY_FIRST.saturating_mul(1 << known.failures.min(8)) };
    }

    /// The peer on this connection has every piece.
    pub fn is_seed(&mut self, conn: ConnId) {
        if let Some(known) = self.by_conn.get(&conn).and_then(|addr| self.known.get_mut(addr)) {
            known.seed = true;
        }
    }

    /// This address is ourselves.
    pub fn is_ourselves(&mut self, addr: SocketAddr) {
        if self.ourselves.len() < MAX_BANS {
            self.ourselves.insert(addr);
        }
        self.known.remove(&addr);
    }

    /// This peer is not spoken to again.
    pub fn ban(&mut self, addr: SocketAddr) {
        if self.banned.len() < MAX_BANS {
            self.banned.insert(addr);
        }
        self.known.remove(&addr);
    }

    /// Drops the address that failed most often; false if none has failed.
    fn make_room(&mut self) -> bool {
        let worst = self
            .known
            .iter()
            .filter(|(_, known)| known.failures > 0 && matches!(known.state, State::Idle { .. }))
            .max_by_key(|(_, known)| known.failures)
            .map(|(addr, _)| *addr);
        worst.is_some_and(|addr| self.known.remove(&addr).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u16) -> SocketAddr {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([198, 18, high, low], 6881))
    }

    fn due(list: &PeerList, now: Instant) -> Vec<SocketAddr> {
        list.due(now, 100, true, &mut Rng::from_seed_u64(1))
    }

    #[test]
    fn a_failing_address_is_tried_ever_more_rarely_and_then_forgotten() {
        let mut list = PeerList::new(true);
        let mut now = Instant::ZERO;
        assert!(list.add(now, addr(1), PeerSource::Tracker));
        let mut pause = Duration::ZERO;
        for n in 0..MAX_FAILURES {
            let started = now;
            now = list.next_try(true).unwrap();
            assert!(n == 0 || now - started > pause);
            pause = now - started;
            assert_eq!(due(&list, now), [addr(1)]);
            list.dial(addr(1), ConnId(u64::from(n)));
            assert!(due(&list, now).is_empty());
            list.dial_failed(now, ConnId(u64::from(n)));
        }
        list.dial(addr(1), ConnId(99));
        list.dial_failed(now, ConnId(99));
        assert!(list.is_empty());
        assert_eq!(list.dialling(), 0);
    }

    #[test]
    fn a_banned_address_never_comes_back() {
        let mut list = PeerList::new(true);
        list.add(Instant::ZERO, addr(1), PeerSource::Tracker);
        list.ban(addr(1));
        assert!(!list.add(Instant::ZERO, addr(1), PeerSource::Owner));
        let mapped: SocketAddr = "[::ffff:198.18.0.1]:6881".parse().unwrap();
        assert!(list.is_banned(mapped) && !list.add(Instant::ZERO, mapped, PeerSource::Tracker));
    }

    #[test]
    fn nobody_aims_us_at_private_hosts() {
        let mut list = PeerList::new(false);
        for hidden in
            ["127.0.0.1:22", "10.0.0.1:80", "[::1]:5", "[fd00::1]:5", "169.254.1.1:9", "[::ffff:127.0.0.1]:22"]
        {
            assert!(!list.add(Instant::ZERO, hidden.parse().unwrap(), PeerSource::Tracker), "{hidden}");
        }
        assert!(list.add(Instant::ZERO, "127.0.0.1:6881".parse().unwrap(), PeerSource::Owner));
        for useless in ["198.18.0.1:0", "0.0.0.0:5", "224.0.0.1:5"] {
            assert!(!list.add(Instant::ZERO, useless.parse().unwrap(), PeerSource::Owner), "{useless}");
        }
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let mut list = PeerList::new(true);
        let added = (0..20_000).filter(|n| list.add(Instant::ZERO, addr(*n), PeerSource::Tracker)).count();
        assert_eq!((added, list.len()), (MAX_PEERS, MAX_PEERS));
    }
}
