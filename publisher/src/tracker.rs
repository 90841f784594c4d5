//! The publisher's tracker: one swarm table for its own torrents, and its own seed in every swarm.
//!
//! The own seed does not announce; the table is told at which addresses an asker can reach it. Somebody on this machine
//! or in this network reaches it where he reached the tracker; the rest of the world at the addresses that the owner
//! typed, else at the public URL's host and where a router lets it in.
//!
//! Law: nobody is given an address nearer than his own, unless the owner typed it.
//! Source: BEP 3, 7, 15, 23, 48 through core's codecs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::Engine;
use podswarm_core::net::clock::Clock;
use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;
use podswarm_core::tracker::http::{
    encode_announce_response, encode_failure, encode_scrape_response, parse_announce_query, parse_scrape_query,
};
use podswarm_core::tracker::udp::{Answer, Responder, Swarms};
use podswarm_core::tracker::{
    AnnounceEvent, AnnounceFailure, AnnounceRequest, AnnounceResponse, NO_PORT, Scope, SwarmCounts, SwarmEntry,
    SwarmTable, SwarmTableConfig,
};

use crate::http::Peers;
use crate::numbers::Numbers;
use crate::slug::Slug;

/// Answers announces and scrapes.
pub(crate) struct Tracker {
    state: Mutex<State>,
    seed: RwLock<OwnSeed>,
    responder: Responder,
    numbers: Numbers,
    clock: Clock,
    /// Our seed, if nobody can dial it: it dials who announces himself.
    dials: OnceLock<Engine>,
}

struct State {
    table: SwarmTable,
    rng: Rng,
    /// Swarms whose content our seed does not have at present.
    lost: BTreeSet<[u8; 20]>,
    /// Swarms of private shows, with the shows whose subscribers may be in each.
    private: BTreeMap<[u8; 20], BTreeSet<Slug>>,
}

/// Memory that is used from one announce to the next.
#[derive(Debug, Default)]
pub(crate) struct Room {
    own: Vec<SocketAddr>,
    chosen: Vec<SocketAddr>,
}

/// The tracker as one datagram's asker sees it.
struct Asked<'a> {
    tracker: &'a Tracker,
    /// The address at which he reached us.
    local: SocketAddr,
    room: &'a mut Room,
}

impl Swarms for Asked<'_> {
    fn announce(
        &mut self,
        from: SocketAddr,
        request: &AnnounceRequest,
    ) -> Result<(Answer, &[SocketAddr]), AnnounceFailure> {
        let peers = Peers { remote: from, local: self.local };
        let AnnounceResponse { interval, complete, incomplete, .. } =
            self.tracker.enter(peers, request, None, self.room)?;
        let counts = SwarmCounts {
            complete: complete.unwrap_or_default(),
            incomplete: incomplete.unwrap_or_default(),
            ..SwarmCounts::default()
        };
        Ok((Answer { interval, counts }, &self.room.chosen))
    }

    fn scrape(&mut self, info_hash: [u8; 20]) -> SwarmCounts {
        self.tracker.state().seen(info_hash, None).unwrap_or_default()
    }
}

impl State {
    /// Whether a swarm may be told of to a subscriber of the private show `of`, or to anybody.
    fn may_see(&self, info_hash: [u8; 20], of: Option<&Slug>) -> bool {
        self.private.get(&info_hash).is_none_or(|shows| of.is_some_and(|show| shows.contains(show)))
    }

    /// How a swarm stands that he may be told of.
    fn seen(&self, info_hash: [u8; 20], of: Option<&Slug>) -> Option<SwarmCounts> {
        self.table.swarm(info_hash).filter(|_| self.may_see(info_hash, of))
    }
}

/// Says why nobody is told of a private swarm here.
const FOR_SUBSCRIBERS: &str = "this torrent is private: its tracker is the one in the .torrent file of each subscriber";

/// Keeps the secret of the connection ids apart from the dice.
const UDP: u64 = 1;

/// Where the own seed can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnSeed {
    /// Its port; `None` while nothing is seeded.
    pub(crate) port: Option<u16>,
    /// The only address it listens at, if it is bound to one.
    pub(crate) bind: Option<IpAddr>,
    /// Addresses for everybody who is not near, as the owner typed them.
    pub(crate) typed: Vec<SocketAddr>,
    /// Where a router lets others in.
    pub(crate) mapped: Option<SocketAddr>,
    /// The addresses of the public URL's host.
    pub(crate) public_host: Vec<IpAddr>,
}

impl OwnSeed {
    /// Puts the addresses for an asker into `addresses`.
    fn addresses_for(&self, peers: Peers, addresses: &mut Vec<SocketAddr>) {
        addresses.clear();
        let Some(port) = self.port else { return };
        let asker = Scope::of(peers.remote.ip());
        let reached = SocketAddr::new(self.bind.unwrap_or(peers.local.ip()), port);
        if matches!(asker, Scope::Private | Scope::Loopback) && asker.sees(Scope::of(reached.ip())) {
            addresses.push(reached);
        } else if !self.typed.is_empty() {
            addresses.extend_from_slice(&self.typed);
        } else {
            let outer = self.mapped.map_or(port, |mapped| mapped.port());
            let at = |&ip: &IpAddr| SocketAddr::new(ip, if ip.is_ipv4() { outer } else { port });
            let hosts = self.public_host.iter().map(at);
            addresses.extend(hosts.chain(self.mapped).chain([reached]).filter(|addr| asker.sees(Scope::of(addr.ip()))));
            addresses.sort_unstable();
            addresses.dedup();
        }
    }
}

impl Tracker {
    /// A tracker that serves no torrent yet, and has downloads counted.
    pub(crate) fn new(mut rng: Rng, numbers: Numbers) -> Self {
        let responder = Responder::new(&mut rng.fork(UDP));
        let table = SwarmTable::new(SwarmTableConfig::default());
        let state = State { table, rng, lost: BTreeSet::new(), private: BTreeMap::new() };
        Self {
            state: Mutex::new(state),
            seed: RwLock::default(),
            responder,
            numbers,
            clock: Clock::default(),
            dials: OnceLock::new(),
        }
    }

    /// Changes where the own seed is found.
    pub(crate) fn reach_seed(&self, change: impl FnOnce(&mut OwnSeed)) {
        change(&mut self.seed.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Where he who asks is told that the own seed is.
    pub(crate) fn seed_addresses(&self, peers: Peers) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        self.seed.read().unwrap_or_else(PoisonError::into_inner).addresses_for(peers, &mut addresses);
        addresses
    }

    /// The addresses of the public URL's host, as far as they were found.
    pub(crate) fn public_host(&self) -> Vec<IpAddr> {
        self.seed.read().unwrap_or_else(PoisonError::into_inner).public_host.clone()
    }

    /// Tells `seed`, which nobody can dial, of everybody who fetches and announces himself.
    pub(crate) fn introduce_to(&self, seed: Engine) {
        // It has one seed for as long as it lives.
        let _ = self.dials.set(seed);
    }

    /// Serves a torrent that the own seed has from now on.
    pub(crate) fn allow(&self, info_hash: InfoHash) {
        let mut state = self.state();
        for wire in info_hash.wires() {
            state.lost.remove(&wire);
            state.table.allow(wire, SwarmEntry { seeded: true, ..SwarmEntry::default() });
        }
    }

    /// Serves a torrent on whose content our seed does not have at present: others may.
    pub(crate) fn lose_seed(&self, info_hash: InfoHash) {
        let mut state = self.state();
        for wire in info_hash.wires() {
            state.lost.insert(wire);
            state.table.allow(wire, SwarmEntry { seeded: false, ..SwarmEntry::default() });
        }
    }

    /// Has only subscribers of `show` hear of a torrent, and of other shows of which that was said.
    pub(crate) fn keep_private(&self, info_hash: InfoHash, show: &Slug) {
        let mut state = self.state();
        for wire in info_hash.wires() {
            state.private.entry(wire).or_default().insert(show.clone());
        }
    }

    /// Serves a torrent no more.
    pub(crate) fn forget(&self, info_hash: InfoHash) {
        let mut state = self.state();
        for wire in info_hash.wires() {
            state.lost.remove(&wire);
            state.private.remove(&wire);
            state.table.forget(wire);
        }
    }

    /// How a swarm stands, the own seed counted. Of the two that a hybrid torrent has it is the larger: many are in
    /// both.
    pub(crate) fn swarm(&self, info_hash: InfoHash) -> SwarmCounts {
        let state = self.state();
        let swarms = info_hash.wires().filter_map(|wire| state.table.swarm(wire));
        swarms.max_by_key(|counts| counts.complete + counts.incomplete).unwrap_or_default()
    }

    /// The body that answers an announce with this query, by a subscriber of the private show `of` or by anybody.
    pub(crate) fn announce(&self, peers: Peers, query: &str, of: Option<&Slug>) -> Vec<u8> {
        let mut room = Room::default();
        let answer = parse_announce_query(query).and_then(|request| {
            let response = self.enter(peers, &request, of, &mut room)?;
            let response = AnnounceResponse { peers: room.chosen, ..response };
            Ok(encode_announce_response(&response, request.compact))
        });
        answer.unwrap_or_else(|failure| encode_failure(&failure))
    }

    /// Writes what answers a datagram into `out`; nothing where silence does.
    pub(crate) fn datagram(&self, peers: Peers, datagram: &[u8], room: &mut Room, out: &mut Vec<u8>) {
        let mut swarms = Asked { tracker: self, local: peers.local, room };
        self.responder.answer(self.now(), peers.remote, datagram, &mut swarms, out);
    }

    /// Enters a peer in its swarm; the peers that it is given are put into `room`.
    fn enter(
        &self,
        peers: Peers,
        request: &AnnounceRequest,
        of: Option<&Slug>,
        room: &mut Room,
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        let Room { own, chosen } = room;
        self.seed.read().unwrap_or_else(PoisonError::into_inner).addresses_for(peers, own);
        let now = self.now();
        let response = {
            let mut state = self.state();
            if !state.may_see(request.info_hash, of) {
                return Err(AnnounceFailure::new(FOR_SUBSCRIBERS));
            }
            let State { table, rng, lost, .. } = &mut *state;
            if lost.contains(&request.info_hash) {
                own.clear();
            }
            table.announce_into(now, peers.remote, request, own, rng, chosen)?
        };
        if request.event == Some(AnnounceEvent::Completed) && request.left == 0 {
            self.numbers.completed(peers.remote.ip(), request.peer_id, request.info_hash);
        }
        if let Some(seed) = self.dials.get()
            && request.left > 0
            && request.port != NO_PORT
            && request.event != Some(AnnounceEvent::Stopped)
        {
            seed.introduce(request.info_hash, SocketAddr::new(peers.remote.ip(), request.port));
        }
        Ok(response)
    }

    /// The body that answers a scrape with this query, by a subscriber of the private show `of` or by anybody.
    pub(crate) fn scrape(&self, query: &str, of: Option<&Slug>) -> Vec<u8> {
        match parse_scrape_query(query) {
            Ok(mut request) => {
                let state = self.state();
                request.info_hashes.retain(|&info_hash| state.may_see(info_hash, of));
                encode_scrape_response(&state.table.scrape(&request))
            }
            Err(failure) => encode_failure(&failure),
        }
    }

    /// Peers in all swarms together.
    pub(crate) fn peers(&self) -> usize {
        self.state().table.peers()
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
    use podswarm_core::tracker::udp::wire;

    use super::*;

    fn seed() -> OwnSeed {
        let public_host = vec!["203.0.113.5".parse().unwrap(), "10.0.0.5".parse().unwrap()];
        OwnSeed { port: Some(6881), bind: None, typed: Vec::new(), mapped: None, public_host }
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
        // What an asker before was told is not told this one.
        let mut addresses = vec!["192.0.2.1:1".parse().unwrap()];
        seed.addresses_for(peers, &mut addresses);
        assert_eq!(addresses, want);
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
    fn a_public_asker_is_told_the_port_at_which_the_router_lets_him_in() {
        let mapped = OwnSeed { mapped: Some("198.51.100.1:50123".parse().unwrap()), ..seed() };
        let both = ["198.51.100.1:50123", "203.0.113.5:50123"];
        check(&mapped, peers("198.51.100.7", "10.0.0.5"), &both);
        check(&mapped, peers("10.0.0.9", "10.0.0.5"), &["10.0.0.5:6881"]);
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
        let tracker = Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0);
        tracker.reach_seed(|own| *own = seed());
        let ours = InfoHash::from_v1([b'a'; 20]);
        tracker.allow(ours);
        let ask = |hash: char| {
            let hash = hash.to_string().repeat(20);
            let query = format!("info_hash={hash}&peer_id=-XX0000-000000000000&port=7001&left=1&compact=1");
            String::from_utf8_lossy(&tracker.announce(peers("127.0.0.1", "127.0.0.1"), &query, None)).into_owned()
        };
        assert!(ask('a').contains("5:peers6:\u{7f}\0\0\u{1}"), "{}", ask('a'));
        assert!(ask('b').contains("failure reason"), "{}", ask('b'));
        assert_eq!(tracker.swarm(ours).incomplete, 1);
        assert!(
            String::from_utf8_lossy(&tracker.scrape("info_hash=aaaaaaaaaaaaaaaaaaaa", None))
                .contains("10:incompletei1e")
        );
        tracker.lose_seed(ours);
        assert!(ask('a').contains("5:peers0:"), "{}", ask('a'));
        assert_eq!(tracker.swarm(ours).complete, 0);
        tracker.allow(ours);
        assert_eq!(tracker.swarm(ours).complete, 1);
        tracker.forget(ours);
        assert!(ask('a').contains("failure reason"));
    }

    #[test]
    fn a_private_torrent_is_served_to_its_shows_subscribers_alone() {
        let tracker = Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0);
        tracker.reach_seed(|own| *own = seed());
        let (ours, here) = (InfoHash::from_v1([b'a'; 20]), peers("127.0.0.1", "127.0.0.1"));
        let (show, other) = (Slug::from_title("a"), Slug::from_title("b"));
        tracker.keep_private(ours, &show);
        tracker.allow(ours);
        let query = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-000000000000&port=7001&left=1&compact=1";
        let announce = |of| String::from_utf8_lossy(&tracker.announce(here, query, of)).into_owned();
        let scrape = |of| String::from_utf8_lossy(&tracker.scrape("info_hash=aaaaaaaaaaaaaaaaaaaa", of)).into_owned();
        for of in [None, Some(&other)] {
            assert!(announce(of).contains("failure reason") && announce(of).contains("private"), "{}", announce(of));
            assert!(!scrape(of).contains("complete"), "{}", scrape(of));
        }
        let request = AnnounceRequest { left: 1, ..AnnounceRequest::new([b'a'; 20], *b"-XX0000-000000000000", 7001) };
        assert!(ask_over_udp(&tracker, here, &request).unwrap_err().contains("private"));
        assert_eq!(tracker.swarm(ours).incomplete, 0, "whoever was refused is in no swarm");
        assert!(announce(Some(&show)).contains("5:peers6:"), "{}", announce(Some(&show)));
        assert!(scrape(Some(&show)).contains("10:incompletei1e"));
        tracker.keep_private(ours, &other);
        assert!(announce(Some(&other)).contains("5:peers6:"), "the same content in two shows is one swarm");
    }

    /// Asks over UDP as a client does.
    fn ask_over_udp(tracker: &Tracker, peers: Peers, request: &AnnounceRequest) -> Result<AnnounceResponse, String> {
        let (mut room, mut datagram, mut reply) = (Room::default(), Vec::new(), Vec::new());
        let number = wire::TransactionId(5);
        let mut read = |datagram: &mut Vec<u8>| {
            tracker.datagram(peers, datagram, &mut room, &mut reply);
            datagram.clear();
            wire::Reply::read(&reply, number, peers.remote.ip()).unwrap()
        };
        wire::write_connect(number, &mut datagram);
        let wire::Reply::Connected(id) = read(&mut datagram) else { panic!("no connection id") };
        wire::write_announce(id, number, request, "/announce", &mut datagram);
        match read(&mut datagram) {
            wire::Reply::Announced(answer) => Ok(answer),
            wire::Reply::Refused(reason) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn over_udp_it_is_the_same_tracker() {
        let tracker = Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0);
        tracker.reach_seed(|own| *own = seed());
        let ours = InfoHash::from_v1([b'a'; 20]);
        tracker.allow(ours);
        let here = peers("127.0.0.1", "127.0.0.1");
        let request = AnnounceRequest { left: 1, ..AnnounceRequest::new([b'a'; 20], [b'p'; 20], 7001) };
        let answer = ask_over_udp(&tracker, here, &request).unwrap();
        assert_eq!(answer.peers, ["127.0.0.1:6881".parse().unwrap()]);
        // Whoever announces over HTTP too is still one peer, and its download one.
        for event in ["started", "completed"] {
            let query =
                format!("info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=pppppppppppppppppppp&port=7001&left=0&event={event}");
            tracker.announce(here, &query, None);
        }
        let request = AnnounceRequest { left: 0, event: Some(AnnounceEvent::Completed), ..request };
        let answer = ask_over_udp(&tracker, here, &request).unwrap();
        assert_eq!((answer.complete, answer.incomplete), (Some(2), Some(0)));
        assert_eq!(tracker.swarm(ours).downloaded, 1);
        let refused = ask_over_udp(&tracker, here, &AnnounceRequest::new([b'b'; 20], [b'p'; 20], 7001));
        assert_eq!(refused.unwrap_err(), "this tracker does not serve that torrent");
    }

    #[test]
    fn over_udp_too_nobody_is_told_of_hosts_nearer_than_himself() {
        let tracker = Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0);
        tracker.reach_seed(|own| *own = seed());
        tracker.allow(InfoHash::from_v1([b'a'; 20]));
        let request = AnnounceRequest { left: 1, ..AnnounceRequest::new([b'a'; 20], [b'p'; 20], 7001) };
        ask_over_udp(&tracker, peers("10.0.0.9", "10.0.0.5"), &request).unwrap();
        let answer = ask_over_udp(&tracker, peers("198.51.100.7", "10.0.0.5"), &request).unwrap();
        assert_eq!(answer.peers, ["203.0.113.5:6881".parse().unwrap()]);
    }
}
