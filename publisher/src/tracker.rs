//! The publisher's tracker: one swarm table for its own torrents, and its own seed in every swarm.
//!
//! The own seed does not announce; the table is told at which addresses an asker can reach it. Somebody on this machine
//! or in this network reaches it where he reached the tracker; the rest of the world at the addresses that the owner
//! typed, else at the public URL's host.
//!
//! Law: nobody is given an address nearer than his own, unless the owner typed it.
//! Source: BEP 3, 7, 23, 48 through core's codec.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::clock::Clock;
use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;
use podswarm_core::tracker::http::{
    encode_announce_response, encode_failure, encode_scrape_response, parse_announce_query, parse_scrape_query,
};
use podswarm_core::tracker::{Scope, SwarmCounts, SwarmEntry, SwarmTable, SwarmTableConfig};

use crate::http::Peers;

/// Answers announces and scrapes.
pub(crate) struct Tracker {
    state: Mutex<State>,
    seed: RwLock<OwnSeed>,
    clock: Clock,
}

struct State {
    table: SwarmTable,
    rng: Rng,
    /// Swarms whose content our seed does not have at present.
    lost: BTreeSet<[u8; 20]>,
}

/// Where the own seed can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnSeed {
    /// Its port; `None` while nothing is seeded.
    pub(crate) port: Option<u16>,
    /// The only address it listens at, if it is bound to one.
    pub(crate) bind: Option<IpAddr>,
    /// Addresses for everybody who is not near, as the owner typed them.
    pub(crate) typed: Vec<SocketAddr>,
    /// The addresses of the public URL's host.
    pub(crate) public_host: Vec<IpAddr>,
}

impl OwnSeed {
    /// The addresses for an asker.
    fn addresses_for(&self, peers: Peers) -> Vec<SocketAddr> {
        let Some(port) = self.port else { return Vec::new() };
        let asker = Scope::of(peers.remote.ip());
        let reached = SocketAddr::new(self.bind.unwrap_or(peers.local.ip()), port);
        if matches!(asker, Scope::Private | Scope::Loopback) && asker.sees(Scope::of(reached.ip())) {
            return vec![reached];
        }
        if !self.typed.is_empty() {
            return self.typed.clone();
        }
        let hosts = self.public_host.iter().map(|&ip| SocketAddr::new(ip, port));
        let mut addresses: Vec<SocketAddr> = hosts.chain([reached]).filter(|a| asker.sees(Scope::of(a.ip()))).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl Tracker {
    /// A tracker that serves no torrent yet.
    pub(crate) fn new(rng: Rng) -> Self {
        let state = State { table: SwarmTable::new(SwarmTableConfig::default()), rng, lost: BTreeSet::new() };
        Self { state: Mutex::new(state), seed: RwLock::default(), clock: Clock::default() }
    }

    /// Changes where the own seed is found.
    pub(crate) fn reach_seed(&self, change: impl FnOnce(&mut OwnSeed)) {
        change(&mut self.seed.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Serves a torrent that the own seed has from now on.
    pub(crate) fn allow(&self, info_hash: InfoHash) {
        let mut state = self.state();
        state.lost.remove(&info_hash.wire());
        state.table.allow(info_hash.wire(), SwarmEntry { seeded: true, ..SwarmEntry::default() });
    }

    /// Serves a torrent on whose content our seed does not have at present: others may.
    pub(crate) fn lose_seed(&self, info_hash: InfoHash) {
        let mut state = self.state();
        state.lost.insert(info_hash.wire());
        state.table.allow(info_hash.wire(), SwarmEntry { seeded: false, ..SwarmEntry::default() });
    }

    /// Serves a torrent no more.
    pub(crate) fn forget(&self, info_hash: InfoHash) {
        let mut state = self.state();
        state.lost.remove(&info_hash.wire());
        state.table.forget(info_hash.wire());
    }

    /// How a swarm stands, the own seed counted.
    pub(crate) fn swarm(&self, info_hash: InfoHash) -> SwarmCounts {
        self.state().table.swarm(info_hash.wire()).unwrap_or_default()
    }

    /// The body that answers an announce with this query.
    pub(crate) fn announce(&self, peers: Peers, query: &str) -> Vec<u8> {
        let own = self.seed.read().unwrap_or_else(PoisonError::into_inner).addresses_for(peers);
        let now = self.now();
        let answer = parse_announce_query(query).and_then(|request| {
            let State { table, rng, lost } = &mut *self.state();
            let own = if lost.contains(&request.info_hash) { &[] } else { &own[..] };
            let response = table.announce(now, peers.remote, &request, own, rng)?;
            Ok(encode_announce_response(&response, request.compact))
        });
        answer.unwrap_or_else(|failure| encode_failure(&failure))
    }

    /// The body that answers a scrape with this query.
    pub(crate) fn scrape(&self, query: &str) -> Vec<u8> {
        match parse_scrape_query(query) {
            Ok(request) => encode_scrape_response(&self.state().table.scrape(&request)),
            Err(failure) => encode_failure(&failure),
        }
    }

    /// Forgets peers that were not heard of for long. To be called every minute or so.
    pub(crate) fn expire(&self) {
        let now = self.now();
        self.state().table.expire(now);
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> OwnSeed {
        let public_host = vec!["203.0.113.5".parse().unwrap(), "10.0.0.5".parse().unwrap()];
        OwnSeed { port: Some(6881), bind: None, typed: Vec::new(), public_host }
    }

    fn peers(remote: &str, local: &str) -> Peers {
        Peers {
            remote: SocketAddr::new(remote.parse().unwrap(), 50_000),
            local: format!("{local}:6969").parse().unwrap(),
        }
    }

    #[track_caller]
    fn check(seed: &OwnSeed, peers: Peers, want: &[&str]) {
        let want: Vec<SocketAddr> = want.iter().map(|addr| addr.parse().unwrap()).collect();
        assert_eq!(seed.addresses_for(peers), want);
    }

    #[test]
    fn a_near_asker_is_told_the_address_he_reached() {
        check(&seed(), peers("127.0.0.1", "127.0.0.1"), &["127.0.0.1:6881"]);
        check(&seed(), peers("10.0.0.9", "10.0.0.5"), &["10.0.0.5:6881"]);
    }

    #[test]
    fn a_public_asker_is_never_told_a_private_address() {
        check(&seed(), peers("198.51.100.7", "10.0.0.5"), &["203.0.113.5:6881"]);
        check(&OwnSeed { public_host: Vec::new(), ..seed() }, peers("198.51.100.7", "10.0.0.5"), &[]);
        check(&OwnSeed { public_host: Vec::new(), ..seed() }, peers("198.18.0.2", "198.18.0.1"), &["198.18.0.1:6881"]);
    }

    #[test]
    fn what_the_owner_typed_is_trusted() {
        let typed = vec!["10.1.1.1:7000".parse().unwrap()];
        check(&OwnSeed { typed, ..seed() }, peers("198.51.100.7", "10.0.0.5"), &["10.1.1.1:7000"]);
    }

    #[test]
    fn a_seed_bound_elsewhere_is_not_told_where_it_does_not_listen() {
        let bound = OwnSeed { bind: Some("10.0.0.5".parse().unwrap()), public_host: Vec::new(), ..seed() };
        check(&bound, peers("10.0.0.9", "10.0.0.6"), &["10.0.0.5:6881"]);
        check(&bound, peers("127.0.0.1", "127.0.0.1"), &["10.0.0.5:6881"]);
        check(&bound, peers("198.51.100.7", "203.0.113.5"), &[]);
    }

    #[test]
    fn without_a_seed_nobody_is_told_of_it() {
        check(&OwnSeed { port: None, ..seed() }, peers("127.0.0.1", "127.0.0.1"), &[]);
    }

    #[test]
    fn only_torrents_that_are_allowed_are_served() {
        let tracker = Tracker::new(Rng::from_seed_u64(1));
        tracker.reach_seed(|own| *own = seed());
        let ours = InfoHash::from_v1([b'a'; 20]);
        tracker.allow(ours);
        let ask = |hash: char| {
            let hash = hash.to_string().repeat(20);
            let query = format!("info_hash={hash}&peer_id=-XX0000-000000000000&port=7001&left=1&compact=1");
            String::from_utf8_lossy(&tracker.announce(peers("127.0.0.1", "127.0.0.1"), &query)).into_owned()
        };
        assert!(ask('a').contains("5:peers6:\u{7f}\0\0\u{1}"), "{}", ask('a'));
        assert!(ask('b').contains("failure reason"), "{}", ask('b'));
        assert_eq!(tracker.swarm(ours).incomplete, 1);
        assert!(
            String::from_utf8_lossy(&tracker.scrape("info_hash=aaaaaaaaaaaaaaaaaaaa")).contains("10:incompletei1e")
        );
        tracker.lose_seed(ours);
        assert!(ask('a').contains("5:peers0:"), "{}", ask('a'));
        assert_eq!(tracker.swarm(ours).complete, 0);
        tracker.allow(ours);
        assert_eq!(tracker.swarm(ours).complete, 1);
        tracker.forget(ours);
        assert!(ask('a').contains("failure reason"));
    }
}
