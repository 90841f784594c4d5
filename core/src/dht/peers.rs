//! The peers that others have told us of, kept for whoever asks, and the tokens that prove where an asker is.
//!
//! Who announces must show a token that was sent to his address, so nobody can note another.
//!
//! Laws: at most [`MOST_TORRENTS`] torrents with [`MOST_PEERS`] peers each, [`MOST_OF_ONE`] of one network in one
//! torrent and [`MOST_BY_ONE`] in all; a peer is forgotten after half an hour unless he is told of again. Sources: BEP
//! 5 "peers", and 33, though two clients behind one address are kept as two: they are one in what is counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::message::Family;
use super::node_id::NodeId;
use super::scrape::Filters;
use crate::rng::Rng;
use crate::swarm::peers::network;
use crate::time::Instant;

/// The most torrents.
pub(super) const MOST_TORRENTS: usize = 2000;
/// The most peers of one.
pub(super) const MOST_PEERS: usize = 200;
/// The most peers in one network of one torrent.
pub(super) const MOST_OF_ONE: usize = 4;
/// The most peers in one network of all torrents.
pub(super) const MOST_BY_ONE: usize = 400;
/// Peers announce every quarter of an hour or so.
const KEEP: Duration = Duration::from_mins(30);
/// A token is good for as long, and up to as long again. BEP 5.
const TOKEN_EVERY: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Peer {
    addr: SocketAddr,
    told: Instant,
    /// It said so when it was last told of.
    is_seed: bool,
}

/// Which of a torrent's peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those who did not say that they have everything.
    Leechers,
}

/// The peers of torrents.
#[derive(Debug, Default)]
pub(super) struct Peers {
    torrents: BTreeMap<NodeId, Vec<Peer>>,
    /// How many peers each network has.
    networks: BTreeMap<IpAddr, usize>,
}

impl Peers {
    /// The number of torrents.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.torrents.len()
    }

    /// Notes that somebody takes part, as far as there is room.
    pub(super) fn note(&mut self, now: Instant, info_hash: NodeId, addr: SocketAddr, is_seed: bool) {
        let of = network(addr.ip());
        if let Some(peers) = self.torrents.get_mut(&info_hash) {
            if let Some(known) = peers.iter_mut().find(|peer| peer.addr == addr) {
                (known.told, known.is_seed) = (now, is_seed);
                return;
            }
            let of_one = peers.iter().filter(|peer| network(peer.addr.ip()) == of).count();
            if peers.len() >= MOST_PEERS || of_one >= MOST_OF_ONE {
                return;
            }
        } else if self.torrents.len() >= MOST_TORRENTS {
            // The one of which nothing was heard for longest makes way.
            let newest = |peers: &Vec<Peer>| peers.iter().map(|peer| peer.told).max();
            let Some(oldest) = self.torrents.iter().min_by_key(|(_, peers)| newest(peers)).map(|(key, _)| *key) else {
                return;
            };
            for peer in self.torrents.remove(&oldest).into_iter().flatten() {
                uncount(&mut self.networks, peer.addr);
            }
        }
        let count = self.networks.entry(of).or_default();
        if *count < MOST_BY_ONE {
            *count += 1;
            self.torrents.entry(info_hash).or_default().push(Peer { addr, told: now, is_seed });
        }
    }

    /// Up to `most` of a torrent's peers with addresses of this kind, whichever chance takes.
    pub(super) fn some(
        &self,
        info_hash: NodeId,
        family: Family,
        which: Which,
        most: usize,
        rng: &mut Rng,
    ) -> Vec<SocketAddr> {
        let peers = self.of(info_hash, family).filter(|peer| which == Which::All || !peer.is_seed);
        let mut peers: Vec<SocketAddr> = peers.map(|peer| peer.addr).collect();
        if peers.len() > most {
            rng.shuffle(&mut peers);
            peers.truncate(most);
        }
        peers
    }

    /// Whether a torrent has peers with addresses of this kind.
    pub(super) fn knows_any(&self, info_hash: NodeId, family: Family) -> bool {
        self.of(info_hash, family).next().is_some()
    }

    /// All of a torrent's peers with addresses of this kind; `None` if there is none.
    pub(super) fn filters(&self, info_hash: NodeId, family: Family) -> Option<Filters> {
        let mut filters: Option<Filters> = None;
        for peer in self.of(info_hash, family) {
            let Filters { seeds, peers } = filters.get_or_insert_default();
            let filter = if peer.is_seed { seeds } else { peers };
            filter.insert(peer.addr.ip());
        }
        filters
    }

    fn of(&self, info_hash: NodeId, family: Family) -> impl Iterator<Item = &Peer> {
        let peers = self.torrents.get(&info_hash).into_iter().flatten();
        peers.filter(move |peer| Family::of(peer.addr) == family)
    }

    /// Forgets those who were not told of for long.
    pub(super) fn expire(&mut self, now: Instant) {
        let Self { torrents, networks } = self;
        torrents.retain(|_, peers| {
            peers.retain(|peer| {
                let keep = now - peer.told < KEEP;
                if !keep {
                    uncount(networks, peer.addr);
                }
                keep
            });
            !peers.is_empty()
        });
    }
}

fn uncount(networks: &mut BTreeMap<IpAddr, usize>, addr: SocketAddr) {
    let of = network(addr.ip());
    if let Some(count) = networks.get_mut(&of) {
        *count -= 1;
        if *count == 0 {
            networks.remove(&of);
        }
    }
}

/// What proves that an address was asked from.
#[derive(Debug)]
pub(super) struct Tokens {
    secret: [u8; 16],
    previous: [u8; 16],
    changed: Instant,
}

impl Tokens {
    pub(super) fn new(now: Instant, rng: &mut Rng) -> Self {
        let mut tokens = Self { secret: [0; 16], previous: [0; 16], changed: now };
        rng.fill(&mut tokens.secret);
        rng.fill(&mut tokens.previous);
        tokens
    }

    /// The token for this address.
    pub(super) fn of(&mut self, now: Instant, ip: IpAddr, rng: &mut Rng) -> [u8; 8] {
        self.change(now, rng);
        token(self.secret, ip)
    }

    /// Whether a token was given to this address within the last minutes.
    pub(super) fn are_right(&mut self, now: Instant, ip: IpAddr, shown: &[u8], rng: &mut Rng) -> bool {
        self.change(now, rng);
        shown == token(self.secret, ip) || shown == token(self.previous, ip)
    }

    fn change(&mut self, now: Instant, rng: &mut Rng) {
        let age = now - self.changed;
        if age < TOKEN_EVERY {
            return;
        }
        self.previous = self.secret;
        if age >= TOKEN_EVERY * 2 {
            rng.fill(&mut self.previous);
        }
        rng.fill(&mut self.secret);
        self.changed = now;
    }
}

fn token(secret: [u8; 16], ip: IpAddr) -> [u8; 8] {
    let mut hash = Sha1::new_with_prefix(secret);
    match ip {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
    let digest: [u8; 20] = hash.finalize().into();
    *digest.first_chunk().expect("a digest has twenty bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Instant {
        Instant::ZERO + Duration::from_mins(minutes)
    }

    fn addr(n: u32) -> SocketAddr {
        SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 6881))
    }

    fn torrent(n: usize) -> NodeId {
        NodeId(std::array::from_fn(|at| n.to_be_bytes().get(at).copied().unwrap_or(0)))
    }

    fn count(peers: &Peers, n: usize) -> usize {
        peers.some(torrent(n), Family::V4, Which::All, usize::MAX, &mut Rng::from_seed_u64(1)).len()
    }

    #[test]
    fn peers_are_told_by_family_and_forgotten_after_half_an_hour() {
        let mut peers = Peers::default();
        peers.note(at(0), torrent(1), addr(1), false);
        peers.note(at(0), torrent(1), "[2001:db8::1]:5".parse().unwrap(), false);
        peers.note(at(20), torrent(1), addr(1), false);
        peers.expire(at(31));
        let mut rng = Rng::from_seed_u64(1);
        assert_eq!(peers.some(torrent(1), Family::V4, Which::All, 9, &mut rng), [addr(1)]);
        assert_eq!(peers.some(torrent(1), Family::V6, Which::All, 9, &mut rng), []);
        peers.expire(at(50));
        assert_eq!((peers.len(), peers.networks.len()), (0, 0));
    }

    #[test]
    fn seeds_are_kept_apart_and_each_network_is_counted_by_itself() {
        let mut peers = Peers::default();
        let six = "[2001:db8::1]:5".parse().unwrap();
        assert_eq!(peers.filters(torrent(1), Family::V4), None);
        for (peer, is_seed) in [(addr(1), false), (addr(2), true), (addr(3), true), (six, true)] {
            peers.note(at(0), torrent(1), peer, is_seed);
        }
        // Another client behind the address of one that was told of is nobody more.
        peers.note(at(0), torrent(1), SocketAddr::new(addr(2).ip(), 7000), true);
        let count = |peers: &Peers, family| {
            let told = peers.filters(torrent(1), family).unwrap().estimate();
            (told.seeds, told.peers)
        };
        assert_eq!((count(&peers, Family::V4), count(&peers, Family::V6)), ((2, 1), (1, 0)));
        let mut rng = Rng::from_seed_u64(1);
        assert_eq!(peers.some(torrent(1), Family::V4, Which::Leechers, 9, &mut rng), [addr(1)]);
        assert_eq!(peers.some(torrent(1), Family::V4, Which::All, 9, &mut rng).len(), 4);
        // What was said last counts.
        peers.note(at(1), torrent(1), addr(1), true);
        peers.note(at(1), torrent(1), addr(3), false);
        assert_eq!(count(&peers, Family::V4), (2, 1));
        assert_eq!(peers.some(torrent(1), Family::V4, Which::Leechers, 9, &mut rng), [addr(3)]);
    }

    #[test]
    fn a_flood_of_announces_is_bounded() {
        let mut peers = Peers::default();
        for n in 0..1000 {
            peers.note(at(0), torrent(0), addr(n), false);
        }
        assert_eq!(count(&peers, 0), MOST_PEERS);
        for port in 1..100 {
            peers.note(at(0), torrent(1), SocketAddr::from(([10, 9, 9, 9], port)), false);
        }
        assert_eq!(count(&peers, 1), MOST_OF_ONE);
        for n in 2..5000 {
            peers.note(at(1), torrent(n), SocketAddr::from(([10, 9, 9, 9], 1)), false);
        }
        assert_eq!(peers.networks[&addr(0x09_0909).ip()], MOST_BY_ONE);
        for n in 0..5000 {
            peers.note(at(2), torrent(10_000 + n), addr(0x1_0000 + u32::try_from(n).unwrap()), false);
        }
        assert_eq!(peers.len(), MOST_TORRENTS);
        let noted: usize = peers.torrents.values().map(Vec::len).sum();
        assert_eq!(noted, peers.networks.values().sum::<usize>());
        assert_eq!(count(&peers, 0), 0, "what was not heard of for longest is forgotten");
    }

    #[test]
    fn a_token_is_good_for_its_address_and_some_minutes() {
        let mut rng = Rng::from_seed_u64(1);
        let mut tokens = Tokens::new(at(0), &mut rng);
        let given = tokens.of(at(0), addr(1).ip(), &mut rng);
        for minute in [0, 4, 6, 9] {
            assert!(tokens.are_right(at(minute), addr(1).ip(), &given, &mut rng), "{minute}");
            assert!(!tokens.are_right(at(minute), addr(2).ip(), &given, &mut rng));
        }
        assert!(!tokens.are_right(at(15), addr(1).ip(), &given, &mut rng));
        let given = tokens.of(at(15), addr(1).ip(), &mut rng);
        assert!(!tokens.are_right(at(60), addr(1).ip(), &given, &mut rng), "however long nobody asked");
        assert!(!tokens.are_right(at(60), addr(1).ip(), b"", &mut rng));
    }
}
