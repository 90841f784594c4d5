//! The nodes that we know, the more of them the nearer they are to us.
//!
//! One bucket for each number of bits in common with our own number, each with room for a few. A node has a place only
//! once it has answered us, and keeps it as long as it answers; who comes to a full bucket waits until somebody there
//! falls silent. A node whose number does not follow from its address (BEP 42) makes way for one whose does.
//!
//! Laws: at most [`K`] nodes in a bucket and as many waiting, one of each public network in all; nobody takes the place
//! of another by saying that he has his number. Source: BEP 5 "routing table".

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::message::Contact;
use super::node_id::NodeId;
use crate::rng::Rng;
use crate::swarm::peers::network;
use crate::time::Instant;
use crate::tracker::Scope;

/// The nodes in a bucket, and those that are asked for or told at once. BEP 5.
pub(super) const K: usize = 8;
/// A node that has not answered for so long is asked whether it is there, and a bucket that nobody came to is looked
/// after. BEP 5.
const STALE: Duration = Duration::from_mins(15);
/// After so many questions without an answer a node is told to nobody, and makes way.
const DOUBTFUL: u32 = 2;
/// After so many it is forgotten.
const LOST: u32 = 5;

#[derive(Clone, Debug)]
struct Node {
    contact: Contact,
    answered: Instant,
    /// When it was last asked whether it is there.
    asked: Instant,
    /// Questions since then that it did not answer.
    failures: u32,
}

impl Node {
    fn is_good(&self) -> bool {
        self.failures < DOUBTFUL
    }

    fn fits(&self) -> bool {
        self.contact.id.fits(self.contact.addr.ip())
    }
}

#[derive(Debug, Default)]
struct Bucket {
    nodes: Vec<Node>,
    /// Who would like a place, the newest last; not all of them have ever answered.
    waiting: VecDeque<Contact>,
    /// When somebody last came, or was looked for.
    fresh_at: Instant,
}

/// The nodes of one network that we know.
#[derive(Debug)]
pub(super) struct Table {
    own: NodeId,
    /// By the number of bits in common with our own number.
    buckets: BTreeMap<usize, Bucket>,
}

impl Table {
    pub(super) const fn new(own: NodeId) -> Self {
        Self { own, buckets: BTreeMap::new() }
    }

    pub(super) const fn own(&self) -> NodeId {
        self.own
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.nodes.len()).sum()
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.buckets.values().flat_map(|bucket| &bucket.nodes)
    }

    /// All nodes that answer.
    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.nodes().filter(|node| node.is_good()).map(|node| &node.contact)
    }

    /// Whether the node at this address has answered us.
    pub(super) fn has(&self, addr: SocketAddr) -> bool {
        self.contacts().any(|contact| contact.addr == addr)
    }

    /// Up to `most` nodes, the nearest to `target` first.
    pub(super) fn nearest(&self, target: NodeId, most: usize) -> Vec<Contact> {
        let mut nearest: Vec<Contact> = self.contacts().copied().collect();
        nearest.sort_by_cached_key(|contact| contact.id.distance(target));
        nearest.truncate(most);
        nearest
    }

    /// Whether a node that has not answered yet would get a place, if it did.
    pub(super) fn wants(&self, contact: Contact) -> bool {
        if contact.id == self.own || self.has_neighbour(contact) {
            return false;
        }
        let Some(bucket) = self.buckets.get(&self.own.common_bits(contact.id)) else { return true };
        let is_known = bucket.nodes.iter().any(|node| node.contact.id == contact.id);
        !is_known && (bucket.nodes.len() < K || bucket.nodes.iter().any(|node| !node.is_good()))
    }

    /// Whether somebody else of the same public network is there.
    fn has_neighbour(&self, contact: Contact) -> bool {
        let ip = contact.addr.ip();
        let is_neighbour = |node: &Node| network(node.contact.addr.ip()) == network(ip) && node.contact != contact;
        Scope::of(ip) == Scope::Public && self.nodes().any(is_neighbour)
    }

    /// The node has answered.
    pub(super) fn answered(&mut self, now: Instant, contact: Contact) {
        if contact.id == self.own || self.has_neighbour(contact) {
            return;
        }
        let bucket = self.buckets.entry(self.own.common_bits(contact.id)).or_default();
        if let Some(known) = bucket.nodes.iter_mut().find(|node| node.contact.id == contact.id) {
            if known.contact.addr == contact.addr {
                (known.answered, known.failures) = (now, 0);
            } else if !known.is_good() {
                *known = Node { contact, answered: now, asked: now, failures: 0 };
            }
            return;
        }
        let node = Node { contact, answered: now, asked: now, failures: 0 };
        let worse = |old: &Node| !old.is_good() || (node.fits() && !old.fits());
        if bucket.nodes.len() < K {
            bucket.nodes.push(node);
            bucket.fresh_at = now;
        } else if let Some(old) = bucket.nodes.iter_mut().filter(|old| worse(old)).max_by_key(|old| old.failures) {
            *old = node;
            bucket.fresh_at = now;
        } else {
            bucket.waiting.retain(|waiting| *waiting != contact);
            bucket.waiting.push_back(contact);
            if bucket.waiting.len() > K {
                bucket.waiting.pop_front();
            }
        }
    }

    /// The node did not answer. Tells who waits for its place, and is to be asked whether he is there.
    pub(super) fn failed(&mut self, contact: Contact) -> Option<Contact> {
        let bucket = self.buckets.get_mut(&self.own.common_bits(contact.id))?;
        let node = bucket.nodes.iter_mut().find(|node| node.contact == contact)?;
        node.failures += 1;
        let (is_lost, is_good) = (node.failures >= LOST, node.is_good());
        if is_lost {
            bucket.nodes.retain(|node| node.contact != contact);
        }
        if is_good { None } else { bucket.waiting.pop_back() }
    }

    /// The node is not there any more.
    pub(super) fn forget(&mut self, contact: Contact) {
        if let Some(bucket) = self.buckets.get_mut(&self.own.common_bits(contact.id)) {
            bucket.nodes.retain(|node| node.contact != contact);
        }
    }

    /// The node that has been silent for longest, if that is long; it counts as asked.
    pub(super) fn stale(&mut self, now: Instant) -> Option<Contact> {
        let is_stale = |node: &&mut Node| now - node.answered >= STALE && now - node.asked >= STALE / 5;
        let nodes = self.buckets.values_mut().flat_map(|bucket| &mut bucket.nodes);
        let node = nodes.filter(is_stale).min_by_key(|node| node.answered)?;
        node.asked = now;
        Some(node.contact)
    }

    /// A random number in the bucket that nobody has come to for longest, if that is long; it counts as looked after.
    pub(super) fn lonely(&mut self, now: Instant, rng: &mut Rng) -> Option<NodeId> {
        let buckets = self.buckets.iter_mut().filter(|(_, bucket)| now - bucket.fresh_at >= STALE);
        let (bits, bucket) = buckets.min_by_key(|(_, bucket)| bucket.fresh_at)?;
        bucket.fresh_at = now;
        Some(self.own.beside(*bits, rng))
    }

    /// We have another number now.
    pub(super) fn renumber(&mut self, own: NodeId) {
        let old = std::mem::replace(self, Self::new(own));
        for node in old.buckets.into_values().flat_map(|bucket| bucket.nodes) {
            let bucket = self.buckets.entry(own.common_bits(node.contact.id)).or_default();
            if bucket.nodes.len() < K {
                bucket.nodes.push(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId([0; 20]);

    fn at(minutes: u64) -> Instant {
        Instant::ZERO + Duration::from_mins(minutes)
    }

    /// A node of a local network, with so many bits in common with us.
    fn local(bits: usize, n: u8) -> Contact {
        let id = OWN.beside(bits, &mut Rng::from_seed_u64(u64::from(n)));
        Contact { id, addr: SocketAddr::from(([10, 0, 0, n], 6881)) }
    }

    #[test]
    fn a_full_bucket_keeps_those_who_answer() {
        let mut table = Table::new(OWN);
        for n in 0..20 {
            table.answered(at(0), local(0, n));
        }
        table.answered(at(0), local(5, 99));
        assert_eq!(table.len(), K + 1);
        assert!(!table.wants(local(0, 200)) && table.wants(local(1, 200)));
        // Who is silent twice makes way for who waits.
        assert_eq!(table.failed(local(0, 3)), None);
        assert_eq!(table.failed(local(0, 3)), Some(local(0, 19)));
        assert!(table.wants(local(0, 19)));
        table.answered(at(1), local(0, 19));
        assert!(table.has(local(0, 19).addr) && !table.has(local(0, 3).addr));
        assert_eq!(table.len(), K + 1);
    }

    #[test]
    fn who_is_nearest_comes_first() {
        let mut table = Table::new(OWN);
        for bits in 0..30 {
            table.answered(at(0), local(bits, u8::try_from(bits).unwrap()));
        }
        let nearest = table.nearest(OWN, 3);
        assert_eq!(nearest, [local(29, 29), local(28, 28), local(27, 27)]);
        for _ in 0..DOUBTFUL {
            table.failed(local(29, 29));
        }
        assert_eq!(table.nearest(OWN, 1), [local(28, 28)]);
    }

    #[test]
    fn nobody_takes_a_place_by_a_number() {
        let mut table = Table::new(OWN);
        let thief = Contact { addr: SocketAddr::from(([10, 9, 9, 9], 1)), ..local(4, 1) };
        table.answered(at(0), local(4, 1));
        table.answered(at(1), thief);
        assert!(table.has(local(4, 1).addr) && !table.has(thief.addr));
        table.answered(at(1), Contact { id: OWN, ..thief });
        assert_eq!(table.len(), 1);
        // One who has gone silent may have moved.
        for _ in 0..DOUBTFUL {
            table.failed(local(4, 1));
        }
        table.answered(at(2), thief);
        assert!(table.has(thief.addr));
    }

    #[test]
    fn one_public_network_has_one_place() {
        let mut table = Table::new(OWN);
        for port in 1..50 {
            let id = NodeId::random(&mut Rng::from_seed_u64(u64::from(port)));
            table.answered(at(0), Contact { id, addr: SocketAddr::from(([198, 18, 0, 1], port)) });
        }
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_number_that_follows_from_the_address_is_preferred() {
        let (mut table, mut rng) = (Table::new(OWN), Rng::from_seed_u64(1));
        let public = |n: u8| SocketAddr::from(([198, 18, n, 1], 6881));
        for n in 0..8 {
            table.answered(at(0), Contact { id: OWN.beside(0, &mut rng), addr: public(n) });
        }
        let honest =
            std::iter::repeat_with(|| NodeId::of(public(9).ip(), &mut rng)).find(|id| id.0[0] >= 0x80).unwrap();
        table.answered(at(0), Contact { id: honest, addr: public(9) });
        assert!(table.has(public(9)));
        assert_eq!(table.len(), K);
    }

    #[test]
    fn the_silent_are_asked_and_then_forgotten() {
        let mut table = Table::new(OWN);
        table.answered(at(0), local(1, 1));
        table.answered(at(5), local(2, 2));
        assert_eq!(table.stale(at(14)), None);
        assert_eq!(table.stale(at(16)), Some(local(1, 1)));
        assert_eq!(table.stale(at(16)), None, "it is given time to answer");
        assert_eq!(table.stale(at(19)), Some(local(1, 1)));
        for _ in 0..LOST {
            table.failed(local(1, 1));
        }
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_lonely_bucket_is_looked_after() {
        let (mut table, mut rng) = (Table::new(OWN), Rng::from_seed_u64(1));
        table.answered(at(0), local(3, 1));
        assert_eq!(table.lonely(at(10), &mut rng), None);
        let target = table.lonely(at(15), &mut rng).unwrap();
        assert_eq!(OWN.common_bits(target), 3);
        assert_eq!(table.lonely(at(16), &mut rng), None);
    }

    #[test]
    fn a_new_number_sorts_all_anew() {
        let mut table = Table::new(OWN);
        for n in 0..30 {
            table.answered(at(0), local(usize::from(n), n));
        }
        let own = local(20, 20).id;
        table.renumber(own);
        assert_eq!(table.own(), own);
        assert!(table.len() >= 20);
        assert!(table.buckets.iter().all(|(bits, bucket)| {
            bucket.nodes.len() <= K && bucket.nodes.iter().all(|node| own.common_bits(node.contact.id) == *bits)
        }));
    }
}
