//! The peers of one swarm and one address family, kept so that a good set is drawn quickly.
//!
//! Addresses stand in pools, one per scope and class, in roughly the order in which they came. An asker draws from the
//! pools he may see, in proportion to their size.
//!
//! Knows nothing of time beyond comparing it. Law: the index, the pools and the networks' counts say the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::rng::Rng;
use crate::time::Instant;
use crate::tracker::Scope;

/// The peers of one swarm and one address family.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: BTreeMap<SocketAddr, Member>,
    /// By [`pool_of`].
    pools: [Vec<SocketAddr>; POOLS],
    /// Peers per public network.
    networks: BTreeMap<u64, usize>,
}

/// What is kept of one peer.
#[derive(Debug)]
pub(super) struct Member {
    pool: usize,
    /// Its place in the pool.
    position: usize,
    pub(super) joined: Instant,
    /// When it is dropped unless it announces again.
    pub(super) expires: Instant,
    /// When the table next looks whether it has expired; never later than that.
    pub(super) due: Instant,
    /// Whether its download has been counted.
    pub(super) counted: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) addr: SocketAddr,
    pub(super) scope: Scope,
    pub(super) class: Class,
    /// Whether he calls himself a seed and has neither sent nor received anything.
    pub(super) is_untried: bool,
    /// Since when he is among the members, if he is.
    pub(super) joined: Option<Instant>,
}

/// Whether a peer still wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Leecher,
    Seed,
}

/// How much an asker is to get of the newest peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taste {
    /// A half: while a crowd arrives, its first must not be given to everybody.
    Newer,
    /// A quarter.
    Mixed,
}

/// How many peers a crowd may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) peers: usize,
    /// In one public /24 or /64.
    pub(super) per_network: usize,
}

/// What became of a peer that announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Known,
    New,
    /// There is no room.
    Refused,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn count(&self, class: Class) -> usize {
        SCOPES.iter().map(|&scope| self.pools[pool_of(scope, class)].len()).sum()
    }

    pub(super) fn member(&self, addr: SocketAddr) -> Option<&Member> {
        self.members.get(&addr)
    }

    pub(super) fn member_mut(&mut self, addr: SocketAddr) -> Option<&mut Member> {
        self.members.get_mut(&addr)
    }

    /// Each peer with the time at which the table looks at it.
    pub(super) fn due(&self) -> impl Iterator<Item = (SocketAddr, Instant)> {
        self.members.iter().map(|(addr, member)| (*addr, member.due))
    }

    /// Enters a peer that announced at `now`, or renews it.
    pub(super) fn enter(&mut self, asker: &Asker, now: Instant, expires: Instant, capacity: Capacity) -> Entered {
        let pool = pool_of(asker.scope, asker.class);
        if let Some(member) = self.members.get_mut(&asker.addr) {
            // Who was promised more time by an earlier answer may use it.
            member.expires = member.expires.max(expires);
            if member.pool != pool {
                let (old_pool, old_position) = (member.pool, member.position);
                member.pool = pool;
                member.position = self.pools[pool].len();
                self.pools[pool].push(asker.addr);
                self.vacate(old_pool, old_position);
            }
            return Entered::Known;
        }
        let network = network_of(asker.addr);
        let neighbours = network.and_then(|network| self.networks.get(&network)).copied().unwrap_or(0);
        if self.members.len() >= capacity.peers || neighbours >= capacity.per_network {
            return Entered::Refused;
        }
        if let Some(network) = network {
            self.networks.insert(network, neighbours + 1);
        }
        let position = self.pools[pool].len();
        self.pools[pool].push(asker.addr);
        let member = Member { pool, position, joined: now, expires, due: expires, counted: false };
        self.members.insert(asker.addr, member);
        Entered::New
    }

    /// Takes a peer out; `None` if it is not there.
    pub(super) fn leave(&mut self, addr: SocketAddr) -> Option<Member> {
        let member = self.members.remove(&addr)?;
        self.vacate(member.pool, member.position);
        if let Some(network) = network_of(addr) {
            let neighbours = self.networks.get_mut(&network).expect("a public peer is counted in its network");
            *neighbours -= 1;
            if *neighbours == 0 {
                self.networks.remove(&network);
            }
        }
        Some(member)
    }

    /// Adds to `chosen` up to `want` peers of `classes` that an asker in `scope` may see, in random order; he himself
    /// may be among them.
    ///
    /// O(`want`), however big the crowd.
    pub(super) fn sample(
        &self,
        scope: Scope,
        classes: &[Class],
        want: usize,
        taste: Taste,
        rng: &mut Rng,
        chosen: &mut Vec<SocketAddr>,
    ) {
        let visible = SCOPES.into_iter().filter(|&other| scope.sees(other));
        let pools = visible.flat_map(|scope| classes.iter().map(move |&class| &*self.pools[pool_of(scope, class)]));
        let mut left: usize = pools.clone().map(<[_]>::len).sum();
        let mut want = want.min(left);
        let mut hand = Hand { first: chosen.len(), peers: chosen, rng };
        hand.peers.reserve(want);
        for pool in pools {
            let share = if left == 0 { 0 } else { (want * pool.len()).div_ceil(left).min(want) };
            hand.draw(pool, share, taste);
            want -= share;
            left -= pool.len();
        }
    }

    /// Frees a place in a pool; the pool's last peer moves into it.
    fn vacate(&mut self, pool: usize, position: usize) {
        let pool = &mut self.pools[pool];
        pool.swap_remove(position);
        if let Some(moved) = pool.get(position) {
            self.members.get_mut(moved).expect("a pool holds members").position = position;
        }
    }
}

/// What an asker is being given, in random order.
struct Hand<'a> {
    peers: &'a mut Vec<SocketAddr>,
    /// Where those begin whose order is random.
    first: usize,
    rng: &'a mut Rng,
}

impl Hand<'_> {
    /// Draws `share` of `pool`, as many of them from its newest as `taste` says.
    ///
    /// A pool's end holds its newest, but for those that have moved into the places of leavers: good enough for a
    /// preference.
    fn draw(&mut self, pool: &[SocketAddr], share: usize, taste: Taste) {
        if share >= pool.len() {
            return self.spread(pool, pool.len());
        }
        let newest = match taste {
            Taste::Newer => share / 2,
            Taste::Mixed => share / 4,
        };
        let (older, recent) = pool.split_at(pool.len() - share.min(pool.len() - (share - newest)));
        self.spread(older, share - newest);
        self.spread(recent, newest);
    }

    /// Draws `count` of `peers`: cuts them, from a random point on and around the end, into as many runs of equal
    /// length (the first are longer by one if need be), and takes one at random from each.
    ///
    /// Needs no memory of what was drawn, and covers early and late comers evenly.
    fn spread(&mut self, peers: &[SocketAddr], count: usize) {
        if count == 0 {
            return;
        }
        let (length, longer) = (peers.len() / count, peers.len() % count);
        let mut run = self.rng.below(peers.len());
        for number in 0..count {
            let length = length + usize::from(number < longer);
            self.take_one(length, |at| {
                let at = run + at;
                peers[if at < peers.len() { at } else { at - peers.len() }]
            });
            run += length;
        }
    }

    /// Takes the peer that is found `at` a random number below `length`.
    ///
    /// It changes places with one at random, or with none, of those taken before, which keeps them all in random order.
    fn take_one(&mut self, length: usize, at: impl FnOnce(usize) -> SocketAddr) {
        let last = self.peers.len();
        // In a run that is longer, what is beyond is reached from another beginning.
        let short = |n| u16::try_from(n).unwrap_or(u16::MAX);
        let (drawn, place) = self.rng.below_both(short(length), short(last - self.first + 1));
        self.peers.push(at(drawn.into()));
        self.peers.swap(self.first + usize::from(place), last);
    }
}

fn pool_of(scope: Scope, class: Class) -> usize {
    let class = match class {
        Class::Leecher => 0,
        Class::Seed => 1,
    };
    2 * scope as usize + class
}

/// The /24 or /64 of a public address.
fn network_of(addr: SocketAddr) -> Option<u64> {
    let network = match addr.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    };
    (Scope::of(addr.ip()) == Scope::Public).then_some(network)
}

/// The scopes that a peer can have.
const SCOPES: [Scope; 3] = [Scope::Public, Scope::Private, Scope::Loopback];

const POOLS: usize = 2 * SCOPES.len();
