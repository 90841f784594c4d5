//! The addresses of a swarm's peers: who named them, whether we are connected, when to try again.
//!
//! Whoever names an address may lie, so what is dialled is bounded, spread over time, and never private unless the
//! owner allows it.
//!
//! What other peers name is trusted least: it is dialled after all else, given up soon, and of the book at most
//! [`MAX_NAMED`] addresses are their word alone, [`MAX_NAMED_BY_ONE`] that of one network.
//!
//! Law: at most [`MAX_PEERS`] addresses are kept; a banned one is never dialled or accepted again, and a network from
//! which [`MAX_LIES`] proven lies came is not listened to at all.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use crate::blocklist::Blocklist;
use crate::peer::encryption::{Encryption, Opening};
use crate::peer::exchange::{Contact, ContactFlags};
use crate::peer::{ConnId, PeerId};
use crate::rng::Rng;
use crate::room::give_room_back;
use crate::time::{Instant, earliest};
use crate::tracker::Scope;

/// The most addresses that are kept.
pub const MAX_PEERS: usize = 1000;
/// The most addresses that are known from other peers alone.
pub const MAX_NAMED: usize = MAX_PEERS / 2;
/// The most of them that one network has named.
pub const MAX_NAMED_BY_ONE: usize = 100;
/// The most of them in one public network: a liar must not aim us at every port of somebody.
const MAX_NAMED_OF_ONE: usize = 4;
/// The most bans that are kept.
const MAX_BANS: usize = 1000;
/// After so many proven lies from one network nobody from there is let in: a liar needs no second address, only another
/// port.
pub const MAX_LIES: u32 = 3;
/// The first pause after a failed dial; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest pause after failed dials.
const RETRY_MOST: Duration = Duration::from_mins(30);
/// After so many failures in a row an address makes room for others.
const MAX_FAILURES: u32 = 8;
/// The same for one that only another peer has named.
const MAX_FAILURES_NAMED: u32 = 1;

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// The owner; it is trusted.
    Owner,
    /// A tracker.
    Tracker,
    /// The peer itself, by dialling us.
    Incoming,
    /// The peer itself, from within our own network. BEP 14.
    Neighbour,
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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Known {
    state: State,
    failures: u32,
    /// Who had every piece when we last knew; whoever has several addresses is the same at each.
    seed: Option<PeerId>,
    /// The network that named it, while that is all that speaks for it.
    named_by: Option<IpAddr>,
    /// Whoever named it says that it wants nothing.
    named_as_seed: bool,
    /// Somebody says that it speaks hole punching, and nobody that he has reached it.
    needs_punch: bool,
    /// It has refused a key, and is to be spoken to without.
    refuses_keys: bool,
    /// It was named to those who know the torrent's v2 hash: that is tried first.
    by_v2: bool,
}

impl Known {
    fn new(now: Instant) -> Self {
        let state = State::Idle { next_try: now };
        Self {
            state,
            failures: 0,
            seed: None,
            named_by: None,
            named_as_seed: false,
            needs_punch: false,
            refuses_keys: false,
            by_v2: false,
        }
    }

    /// It was heard of from somebody better than another peer, or reached.
    fn is_vouched_for(&mut self) {
        (self.named_by, self.named_as_seed) = (None, false);
    }

    fn is_wanted(&self, seeds: bool) -> bool {
        seeds || !(self.seed.is_some() || self.named_as_seed)
    }

    fn most_failures(&self) -> u32 {
        if self.named_by.is_some() { MAX_FAILURES_NAMED } else { MAX_FAILURES }
    }
}

/// A swarm's address book.
#[derive(Clone, Debug)]
pub struct PeerList {
    known: BTreeMap<SocketAddr, Known>,
    /// The addresses under which the peer of a connection is known.
    by_conn: BTreeMap<ConnId, Vec<SocketAddr>>,
    dialling: BTreeSet<ConnId>,
    banned: BTreeSet<SocketAddr>,
    /// Proven lies by network.
    lies: BTreeMap<IpAddr, u32>,
    /// Addresses that are ourselves.
    ourselves: BTreeSet<SocketAddr>,
    private_allowed: bool,
    /// Addresses that the owner wants nothing to do with.
    blocklist: Arc<Blocklist>,
    /// Who was known when it came and is on it: who knows how long.
    kept_out: BTreeMap<SocketAddr, Known>,
}

impl PeerList {
    /// An empty book; private and loopback addresses are kept only if `private_allowed` or the owner names them.
    pub fn new(private_allowed: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            dialling: BTreeSet::new(),
            banned: BTreeSet::new(),
            lies: BTreeMap::new(),
            ourselves: BTreeSet::new(),
            private_allowed,
            blocklist: Arc::default(),
            kept_out: BTreeMap::new(),
        }
    }

    /// The same book without the addresses on the owner's list, whoever names them.
    #[must_use]
    pub fn without(mut self, blocklist: Arc<Blocklist>) -> Self {
        self.keep_out(blocklist);
        self
    }

    /// Notes an address; tells whether it is new.
    pub fn add(&mut self, now: Instant, addr: SocketAddr, source: PeerSource) -> bool {
        let addr = canonical(addr);
        let may_be_private = matches!(source, PeerSource::Owner | PeerSource::Neighbour);
        let allowed = may_be_private || self.may_be_anywhere(addr);
        if !allowed || !self.is_usable(addr) {
            return false;
        }
        if let Some(known) = self.known.get_mut(&addr) {
            known.is_vouched_for();
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
        self.known.insert(addr, Known::new(now));
        true
    }

    /// Notes an address that takes part in the v2 swarm of the torrent; tells whether it is new.
    pub fn add_v2(&mut self, now: Instant, addr: SocketAddr, source: PeerSource) -> bool {
        let is_new = self.add(now, addr, source);
        if let Some(known) = self.known.get_mut(&canonical(addr)).filter(|_| is_new) {
            known.by_v2 = true;
        }
        is_new
    }

    /// Whether the peer that is dialled is to be told the v2 hash of a torrent that has both: every other time, as one
    /// of them may be all that it knows.
    pub fn is_dialled_by_v2(&self, conn: ConnId) -> bool {
        let known = self.by_conn.get(&conn).and_then(|addrs| self.known.get(addrs.first()?));
        known.is_some_and(|known| known.by_v2 != (known.failures % 2 == 1))
    }

    /// Notes what another peer names, as far as one that cannot be trusted may fill the book.
    pub fn add_named(&mut self, now: Instant, teller: IpAddr, contacts: &[Contact]) {
        let (by, scope) = (network(teller), Scope::of(teller));
        let named = || self.known.iter().filter_map(|(addr, known)| Some((addr, known.named_by?)));
        let mut of_all = named().count();
        let mut of_teller = named().filter(|(_, teller)| *teller == by).count();
        for contact in contacts {
            let addr = canonical(contact.addr);
            let full = of_all >= MAX_NAMED || of_teller >= MAX_NAMED_BY_ONE || self.known.len() >= MAX_PEERS;
            if full {
                return;
            }
            let nearer = !scope.sees(Scope::of(addr.ip()));
            if nearer || !self.may_be_anywhere(addr) || !self.is_usable(addr) || self.is_crowded(addr.ip()) {
                continue;
            }
            let needs_punch = contact.flags.holepunch() && !contact.flags.reachable();
            match self.known.entry(addr) {
                Entry::Vacant(entry) => {
                    let named_as_seed = contact.flags.wants_nothing();
                    entry.insert(Known { named_by: Some(by), named_as_seed, needs_punch, ..Known::new(now) });
                    (of_all, of_teller) = (of_all + 1, of_teller + 1);
                }
                // There is a new way to whom there seemed to be none.
                Entry::Occupied(mut entry) if needs_punch && entry.get().failures > 0 => {
                    let known = entry.get_mut();
                    if let (State::Idle { next_try }, false) = (&mut known.state, known.needs_punch) {
                        *next_try = now;
                    }
                    known.needs_punch = true;
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    fn may_be_anywhere(&self, addr: SocketAddr) -> bool {
        self.private_allowed || Scope::of(addr.ip()) == Scope::Public
    }

    /// Dials nobody at these addresses from now on, and again whom only the list before forbade. Connections there are
    /// to be closed before.
    pub fn keep_out(&mut self, blocklist: Arc<Blocklist>) {
        let mut all = std::mem::take(&mut self.known);
        let room = MAX_PEERS.saturating_sub(all.len());
        all.extend(std::mem::take(&mut self.kept_out).into_iter().take(room));
        (self.kept_out, self.known) = all.into_iter().partition(|(addr, _)| blocklist.contains(addr.ip()));
        self.blocklist = blocklist;
    }

    fn is_usable(&self, addr: SocketAddr) -> bool {
        let is_some_host = addr.port() != 0 && Scope::of(addr.ip()) != Scope::Nowhere;
        let is_some_host = is_some_host && !self.blocklist.contains(addr.ip());
        is_some_host && !self.banned.contains(&addr) && !self.ourselves.contains(&addr)
    }

    /// Whether other peers have named enough of this public network.
    fn is_crowded(&self, ip: IpAddr) -> bool {
        let of = network(ip);
        let named = self.known.iter().filter(|(addr, known)| known.named_by.is_some() && network(addr.ip()) == of);
        Scope::of(ip) == Scope::Public && named.count() >= MAX_NAMED_OF_ONE
    }

    /// The addresses for which more speaks than another peer's word; those of connected peers first.
    pub fn vouched(&self) -> Vec<SocketAddr> {
        let vouched = self.known.iter().filter(|(_, known)| known.named_by.is_none());
        let mut vouched: Vec<_> =
            vouched.map(|(addr, known)| (!matches!(known.state, State::Connected), *addr)).collect();
        vouched.sort_unstable();
        vouched.into_iter().map(|(_, addr)| addr).collect()
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
    pub fn dialling(&self) -> usize {
        self.dialling.len()
    }

    /// The known peers that had every piece when last seen and are not `here`, at whichever address. Peers, not
    /// addresses: many have two.
    pub fn seeds_away(&self, here: &BTreeSet<PeerId>) -> usize {
        let seeds: BTreeSet<PeerId> = self.known.values().filter_map(|known| known.seed).collect();
        seeds.difference(here).count()
    }

    /// Whether nothing is to be had from or given to this address any more.
    pub fn is_banned(&self, addr: SocketAddr) -> bool {
        self.banned.contains(&canonical(addr))
    }

    /// Whether nobody who dials us from this network is let in any more.
    pub fn is_shut_out(&self, ip: IpAddr) -> bool {
        self.lies.get(&network(ip)).is_some_and(|lies| *lies >= MAX_LIES)
    }

    /// Up to `count` addresses to dial now; seeds only if `seeds`.
    ///
    /// Those of the highest priority come first, and in random order where it is the same, but those that only other
    /// peers have named after all others: a liar could make up addresses of a high one.
    pub fn due(
        &self,
        now: Instant,
        count: usize,
        seeds: bool,
        priority: impl Fn(SocketAddr) -> u32,
        rng: &mut Rng,
    ) -> Vec<SocketAddr> {
        if count == 0 {
            return Vec::new();
        }
        let is_due = |known: &Known| matches!(known.state, State::Idle { next_try } if next_try <= now);
        let mut due: Vec<(bool, SocketAddr)> = self
            .known
            .iter()
            .filter(|(_, known)| known.is_wanted(seeds) && is_due(known))
            .map(|(addr, known)| (known.named_by.is_some(), *addr))
            .collect();
        rng.shuffle(&mut due);
        due.sort_by_cached_key(|(named, addr)| (*named, Reverse(priority(*addr))));
        due.truncate(count);
        due.into_iter().map(|(_, addr)| addr).collect()
    }

    /// Whether this peer could not be reached, or is said to be hard to reach.
    pub fn is_hard_to_reach(&self, addr: SocketAddr) -> bool {
        self.known.get(&addr).is_some_and(|known| known.failures > 0 || known.needs_punch)
    }

    /// The address is not dialled before `until`.
    pub fn rest(&mut self, addr: SocketAddr, until: Instant) {
        if let Some(State::Idle { next_try }) = self.known.get_mut(&addr).map(|known| &mut known.state) {
            *next_try = until;
        }
    }

    /// Whether this address may be dialled on the word of a relay, which counts as that of any other peer; then it is
    /// noted.
    pub fn may_be_punched(&mut self, now: Instant, addr: SocketAddr, relay: IpAddr) -> bool {
        let is_nearer = !Scope::of(relay).sees(Scope::of(addr.ip()));
        if is_nearer || !self.may_be_anywhere(addr) || !self.is_usable(addr) {
            return false;
        }
        self.add_named(now, relay, &[Contact { addr, flags: ContactFlags::default() }]);
        self.known.get(&addr).is_some_and(|known| matches!(known.state, State::Idle { .. }))
    }

    /// When the next address may be dialled.
    pub fn next_try(&self, seeds: bool) -> Option<Instant> {
        self.known.values().filter(|known| known.is_wanted(seeds)).fold(None, |soonest, known| match known.state {
            State::Idle { next_try } => earliest(soonest, Some(next_try)),
            State::Dialling | State::Connected => soonest,
        })
    }

    /// The address is being dialled.
    pub fn dial(&mut self, addr: SocketAddr, conn: ConnId) {
        if let Some(known) = self.known.get_mut(&addr) {
            known.state = State::Dialling;
            self.by_conn.insert(conn, vec![addr]);
            self.dialling.insert(conn);
        }
    }

    /// How a connection to this address is to begin.
    pub fn opening(&self, addr: SocketAddr, encryption: Encryption) -> Opening {
        let refuses = || self.known.get(&addr).is_some_and(|known| known.refuses_keys);
        match encryption {
            Encryption::Off => Opening::Plain,
            Encryption::Prefer if refuses() => Opening::Plain,
            Encryption::Prefer | Encryption::Require => Opening::Encrypted,
        }
    }

    /// The peer does not speak encryption, which is no failure: it may be dialled again at once, without.
    pub fn key_refused(&mut self, now: Instant, conn: ConnId) {
        self.dialling.remove(&conn);
        for addr in self.by_conn.remove(&conn).unwrap_or_default() {
            if let Some(known) = self.known.get_mut(&addr) {
                known.refuses_keys = true;
                known.state = State::Idle { next_try: now };
            }
        }
    }

    /// The dial failed.
    pub fn dial_failed(&mut self, now: Instant, conn: ConnId) {
        self.dialling.remove(&conn);
        for addr in self.by_conn.remove(&conn).unwrap_or_default() {
            let Some(known) = self.known.get_mut(&addr) else { continue };
            // Next time the other way is tried first: the peer may have been out of reach when it seemed to refuse
            // keys.
            known.refuses_keys = false;
            known.failures += 1;
            if known.failures > known.most_failures() {
                self.known.remove(&addr);
                continue;
            }
            let pause = RETRY_FIRST.saturating_mul(1 << (known.failures - 1)).min(RETRY_MOST);
            known.state = State::Idle { next_try: now + pause };
        }
    }

    /// A dialled connection stands.
    pub fn connected(&mut self, conn: ConnId) {
        self.dialling.remove(&conn);
        for addr in self.by_conn.get(&conn).into_iter().flatten() {
            if let Some(known) = self.known.get_mut(addr) {
                known.state = State::Connected;
                known.failures = 0;
                known.is_vouched_for();
            }
        }
    }

    /// A peer that dialled us listens there: do not dial it too.
    pub fn listens_at(&mut self, now: Instant, conn: ConnId, addr: SocketAddr) {
        let addr = canonical(addr);
        self.add(now, addr, PeerSource::Incoming);
        if let Some(known) = self.known.get_mut(&addr)
            && matches!(known.state, State::Idle { .. })
        {
            known.state = State::Connected;
            known.failures = 0;
            self.by_conn.entry(conn).or_default().push(addr);
        }
    }

    /// The connection leads to the peer of another one, which stays: its address is not dialled while that one stands.
    pub fn same_as(&mut self, conn: ConnId, twin: ConnId) {
        self.dialling.remove(&conn);
        let Some(addrs) = self.by_conn.remove(&conn) else { return };
        let known = self.by_conn.entry(twin).or_default();
        for addr in addrs {
            if let Some(same) = self.known.get_mut(&addr) {
                same.state = State::Connected;
                known.push(addr);
            }
        }
    }

    /// The connection is gone; its address may be dialled again after a while.
    pub fn closed(&mut self, now: Instant, conn: ConnId) {
        self.dialling.remove(&conn);
        for addr in self.by_conn.remove(&conn).unwrap_or_default() {
            if let Some(known) = self.known.get_mut(&addr) {
                known.failures += 1;
                let pause = RETRY_FIRST.saturating_mul(1 << known.failures.min(8)).min(RETRY_MOST);
                known.state = State::Idle { next_try: now + pause };
            }
        }
    }

    /// Every address may be dialled again at once.
    pub fn retry_all(&mut self, now: Instant) {
        for known in self.known.values_mut() {
            if let State::Idle { next_try } = &mut known.state {
                *next_try = now;
            }
        }
    }

    /// The peer on this connection, which calls itself `id`, has every piece.
    pub fn is_seed(&mut self, conn: ConnId, id: PeerId) {
        for addr in self.by_conn.get(&conn).into_iter().flatten() {
            if let Some(known) = self.known.get_mut(addr) {
                known.seed = Some(id);
            }
        }
    }

    /// This address is ourselves.
    pub fn is_ourselves(&mut self, addr: SocketAddr) {
        let addr = canonical(addr);
        if self.ourselves.len() < MAX_BANS {
            self.ourselves.insert(addr);
        }
        self.known.remove(&addr);
    }

    /// The peer at this address has lied, which is proven; it is not spoken to again, nor where it `listens`.
    ///
    /// False if that was known: all that one peer had sent before it was found is one lie, or the first liar would shut
    /// out everybody who shares its network.
    pub fn ban(&mut self, addr: SocketAddr, listens: Option<SocketAddr>) -> bool {
        if self.is_banned(addr) {
            return false;
        }
        for addr in [Some(addr), listens].into_iter().flatten().map(canonical) {
            if self.banned.len() < MAX_BANS {
                self.banned.insert(addr);
            }
            self.known.remove(&addr);
        }
        let network = network(addr.ip());
        if self.lies.len() < MAX_BANS || self.lies.contains_key(&network) {
            *self.lies.entry(network).or_default() += 1;
        }
        true
    }

    /// Gives back the room of what is known no longer.
    pub fn give_room_back(&mut self) {
        give_room_back(&mut self.known);
        give_room_back(&mut self.by_conn);
    }

    /// Drops the address that failed most often, or one that only another peer has named; false if there is none.
    fn make_room(&mut self) -> bool {
        let worst = self
            .known
            .iter()
            .filter(|(_, known)| known.failures > 0 || known.named_by.is_some())
            .filter(|(_, known)| matches!(known.state, State::Idle { .. }))
            .max_by_key(|(_, known)| (known.failures, known.named_by.is_some()))
            .map(|(addr, _)| *addr);
        worst.is_some_and(|addr| self.known.remove(&addr).is_some())
    }
}

/// The address without the disguise of an IPv4 one as IPv6. An IPv6 one keeps its scope: a link-local one means nothing
/// without.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into()
        }
        _ => SocketAddr::new(addr.ip().to_canonical(), addr.port()),
    }
}

/// What one party is likely to hold whole: an IPv4 address, an IPv6 /64.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: PeerId = PeerId([7; 20]);

    fn addr(n: u16) -> SocketAddr {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([198, 18, high, low], 6881))
    }

    fn due(list: &PeerList, now: Instant) -> Vec<SocketAddr> {
        list.due(now, 100, true, |_| 0, &mut Rng::from_seed_u64(1))
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
        list.ban(addr(1), None);
        assert!(!list.add(Instant::ZERO, addr(1), PeerSource::Owner));
        let mapped: SocketAddr = "[::ffff:198.18.0.1]:6881".parse().unwrap();
        assert!(list.is_banned(mapped) && !list.add(Instant::ZERO, mapped, PeerSource::Tracker));
    }

    #[test]
    fn whatever_one_peer_sent_before_it_was_found_is_one_lie() {
        let mut list = PeerList::new(true);
        let bans = (0..20).filter(|_| list.ban(addr(1), None)).count();
        assert_eq!(bans, 1);
        assert!(!list.is_shut_out(addr(1).ip()));
    }

    #[test]
    fn a_network_that_lies_again_and_again_is_shut_out() {
        let mut list = PeerList::new(true);
        let liar = |port| SocketAddr::from(([198, 18, 0, 9], port));
        for port in 1..=3 {
            assert!(!list.is_shut_out(liar(99).ip()), "after {} lies", port - 1);
            list.ban(liar(port), Some(liar(6881)));
        }
        assert!(list.is_shut_out(liar(99).ip()) && !list.is_shut_out(addr(1).ip()));
        assert!(!list.add(Instant::ZERO, liar(6881), PeerSource::Owner), "where it listens is banned too");
        let v6 = |host: u16| SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 1, 2, host, 0, 0, 5), 7));
        assert!((1..=3).all(|host| list.ban(v6(host), None)));
        assert!(list.is_shut_out(v6(77).ip()));
    }

    #[test]
    fn a_ban_while_dialling_leaves_no_dial_behind() {
        let mut list = PeerList::new(true);
        for conn in 0..2 {
            list.add(Instant::ZERO, addr(1), PeerSource::Tracker);
            list.dial(addr(1), ConnId(conn));
            list.known.remove(&addr(1));
        }
        list.connected(ConnId(0));
        list.dial_failed(Instant::ZERO, ConnId(1));
        assert_eq!(list.dialling(), 0);
    }

    #[test]
    fn a_peer_of_two_addresses_is_dialled_at_none_while_it_is_connected() {
        let mut list = PeerList::new(true);
        let now = Instant::ZERO;
        for n in 1..=2 {
            list.add(now, addr(n), PeerSource::Tracker);
            list.dial(addr(n), ConnId(u64::from(n)));
        }
        list.connected(ConnId(1));
        list.same_as(ConnId(2), ConnId(1));
        list.is_seed(ConnId(1), SEED);
        let later = now + Duration::from_hours(1);
        assert!(due(&list, later).is_empty());
        assert_eq!((list.dialling(), list.seeds_away(&BTreeSet::from([SEED]))), (0, 0));
        list.closed(now, ConnId(1));
        assert_eq!(list.seeds_away(&BTreeSet::new()), 1, "it is one peer");
        assert_eq!(due(&list, later).len(), 2);
    }

    #[test]
    fn a_seed_that_comes_by_one_address_and_then_by_another_is_one_copy() {
        let mut list = PeerList::new(true);
        let now = Instant::ZERO;
        let v6: SocketAddr = "[2001:db8::7]:6881".parse().unwrap();
        let nobody = BTreeSet::new();
        // Over IPv4 it dials us and says where it listens; later it is dialled where a tracker names it over IPv6.
        list.listens_at(now, ConnId(1), addr(1));
        list.is_seed(ConnId(1), SEED);
        list.closed(now, ConnId(1));
        assert_eq!(list.seeds_away(&nobody), 1);
        list.add(now, v6, PeerSource::Tracker);
        list.dial(v6, ConnId(2));
        list.connected(ConnId(2));
        list.is_seed(ConnId(2), SEED);
        assert_eq!(list.seeds_away(&BTreeSet::from([SEED])), 0, "it is here, whatever its other address");
        list.closed(now, ConnId(2));
        assert_eq!(list.seeds_away(&nobody), 1, "it is one peer");
        // Somebody else is another copy, and one that began anew at an address of old is no third.
        list.listens_at(now, ConnId(3), addr(2));
        list.is_seed(ConnId(3), PeerId([8; 20]));
        list.closed(now, ConnId(3));
        assert_eq!(list.seeds_away(&nobody), 2);
        list.dial(addr(2), ConnId(4));
        list.connected(ConnId(4));
        list.is_seed(ConnId(4), PeerId([9; 20]));
        list.closed(now, ConnId(4));
        assert_eq!(list.seeds_away(&nobody), 2);
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
        assert!(list.add(Instant::ZERO, "[fe80::1%3]:6881".parse().unwrap(), PeerSource::Neighbour));
        assert!(list.known.contains_key(&"[fe80::1%3]:6881".parse().unwrap()), "its scope is kept");
        for useless in ["198.18.0.1:0", "0.0.0.0:5", "224.0.0.1:5"] {
            assert!(!list.add(Instant::ZERO, useless.parse().unwrap(), PeerSource::Owner), "{useless}");
        }
    }

    #[test]
    fn nobody_on_the_owners_list_is_dialled_whoever_names_him() {
        let mut list = PeerList::new(true).without(Arc::new(Blocklist::parse(b"198.18.0.0/15\n2001:db8::/32")));
        let now = Instant::ZERO;
        for blocked in ["198.18.0.1:5", "[2001:db8::1]:5", "[::ffff:198.19.0.1]:5"] {
            assert!(!list.add(now, blocked.parse().unwrap(), PeerSource::Owner), "{blocked}");
        }
        assert!(list.add(now, "192.0.2.1:5".parse().unwrap(), PeerSource::Tracker));
        list.listens_at(now, ConnId(1), "198.18.0.1:5".parse().unwrap());
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let mut list = PeerList::new(true);
        let added = (0..20_000).filter(|n| list.add(Instant::ZERO, addr(*n), PeerSource::Tracker)).count();
        assert_eq!((added, list.len()), (MAX_PEERS, MAX_PEERS));
    }
}
