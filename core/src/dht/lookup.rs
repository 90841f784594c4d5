//! One walk towards a number: those who are near it know who is nearer.
//!
//! A few nodes are asked at a time, the nearest first, until the [`K`] nearest that answer have all been asked. A node
//! that lets us wait for a second keeps nobody from being asked in its stead; its answer still counts.
//!
//! Laws: at most [`MOST_ASKED`] nodes are asked, [`MOST_KNOWN`] are remembered, and one of each public network.
//! Source: BEP 5; the rule for slow nodes is libtorrent's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::message::Contact;
use super::node_id::{Distance, NodeId};
use super::table::K;
use crate::swarm::peers::network;
use crate::tracker::Scope;

/// The most nodes that are asked at once, slow ones not counted.
const ALPHA: usize = 4;
/// The most nodes that one walk asks.
pub(super) const MOST_ASKED: usize = 128;
/// The most nodes that one walk remembers.
pub(super) const MOST_KNOWN: usize = 128;

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To know the nodes around the number.
    Nodes,
    /// To find the torrent's peers, and be noted among them.
    Peers,
    /// To know what is kept there.
    Item,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    /// Asked, and a while ago.
    Slow,
    /// It gave a token, if it was asked for peers.
    Answered(Option<Vec<u8>>),
    Failed,
}

#[derive(Clone, Debug)]
struct Candidate {
    /// Not known of those that only an address is known of.
    id: Option<NodeId>,
    state: State,
}

/// One walk.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: NodeId,
    pub(super) goal: Goal,
    /// Those of unknown number come last.
    known: BTreeMap<(Distance, SocketAddr), Candidate>,
    asked: usize,
    /// Peers that were found.
    pub(super) found: usize,
}

impl Lookup {
    /// A walk that begins with these nodes.
    pub(super) fn new(
        target: NodeId,
        goal: Goal,
        first: impl IntoIterator<Item = (Option<NodeId>, SocketAddr)>,
    ) -> Self {
        let mut lookup = Self { target, goal, known: BTreeMap::new(), asked: 0, found: 0 };
        for (id, addr) in first {
            lookup.add(id, addr);
        }
        lookup
    }

    fn add(&mut self, id: Option<NodeId>, addr: SocketAddr) {
        let is_same = |known: SocketAddr| {
            known == addr || (Scope::of(addr.ip()) == Scope::Public && network(known.ip()) == network(addr.ip()))
        };
        if self.known.keys().any(|(_, known)| is_same(*known)) {
            return;
        }
        let distance = id.map_or([0xff; 20], |id| id.distance(self.target));
        self.known.insert((distance, addr), Candidate { id, state: State::Fresh });
        while self.known.len() > MOST_KNOWN {
            let farthest = self.known.iter().rev().find(|(_, candidate)| candidate.state == State::Fresh);
            let Some(key) = farthest.map(|(key, _)| *key) else { break };
            self.known.remove(&key);
        }
    }

    /// The next node to ask, and its number if that is known; it counts as asked.
    pub(super) fn next(&mut self) -> Option<(Option<NodeId>, SocketAddr)> {
        let under_way = self.known.values().filter(|candidate| candidate.state == State::Asked).count();
        if under_way >= ALPHA || self.asked >= MOST_ASKED {
            return None;
        }
        let nearest = self.known.iter_mut().filter(|(_, candidate)| candidate.state != State::Failed).take(K);
        let (key, candidate) = nearest.into_iter().find(|(_, candidate)| candidate.state == State::Fresh)?;
        candidate.state = State::Asked;
        self.asked += 1;
        Some((candidate.id, key.1))
    }

    /// Whether there is nobody to ask and nobody to wait for.
    pub(super) fn is_done(&self) -> bool {
        let waits = |candidate: &Candidate| matches!(candidate.state, State::Asked | State::Slow);
        let mut nearest = self.known.values().filter(|candidate| candidate.state != State::Failed).take(K);
        if self.asked >= MOST_ASKED {
            return !nearest.any(waits);
        }
        nearest.all(|candidate| matches!(candidate.state, State::Answered(_)))
    }

    /// Whether nobody is waited for but those who are slow.
    pub(super) fn waits_for_slow(&self) -> bool {
        !self.known.values().any(|candidate| candidate.state == State::Asked)
    }

    /// The node at `addr` has answered as `contact`, and names others.
    pub(super) fn answered(&mut self, contact: Contact, token: Option<Vec<u8>>, nodes: &[Contact]) {
        let Some(key) = self.key_of(contact.addr) else { return };
        self.known.remove(&key);
        let candidate = Candidate { id: Some(contact.id), state: State::Answered(token) };
        self.known.insert((contact.id.distance(self.target), contact.addr), candidate);
        for node in nodes {
            self.add(Some(node.id), node.addr);
        }
    }

    /// The node has let us wait for a while.
    pub(super) fn is_slow(&mut self, addr: SocketAddr) {
        self.change(addr, State::Slow);
    }

    /// The node does not answer, or wrongly.
    pub(super) fn failed(&mut self, addr: SocketAddr) {
        self.change(addr, State::Failed);
    }

    fn change(&mut self, addr: SocketAddr, state: State) {
        if let Some(candidate) = self.key_of(addr).and_then(|key| self.known.get_mut(&key)) {
            candidate.state = state;
        }
    }

    fn key_of(&self, addr: SocketAddr) -> Option<(Distance, SocketAddr)> {
        self.known.keys().find(|(_, known)| *known == addr).copied()
    }

    /// The nearest nodes that have answered, with their tokens.
    pub(super) fn nearest(&self) -> impl Iterator<Item = (Contact, &[u8])> {
        let answered = self.known.iter().filter_map(|((_, addr), candidate)| match (&candidate.state, candidate.id) {
            (State::Answered(Some(token)), Some(id)) => Some((Contact { id, addr: *addr }, token.as_slice())),
            _ => None,
        });
        answered.take(K)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const TARGET: NodeId = NodeId([0; 20]);

    fn node(bits: usize, n: u8) -> Contact {
        let id = TARGET.beside(bits, &mut Rng::from_seed_u64(u64::from(n)));
        Contact { id, addr: SocketAddr::from(([10, 0, 0, n], 6881)) }
    }

    fn lookup(nodes: impl IntoIterator<Item = Contact>) -> Lookup {
        Lookup::new(TARGET, Goal::Peers, nodes.into_iter().map(|node| (Some(node.id), node.addr)))
    }

    fn asked(lookup: &mut Lookup) -> Vec<SocketAddr> {
        std::iter::from_fn(|| lookup.next()).map(|(_, addr)| addr).collect()
    }

    #[test]
    fn the_nearest_are_asked_first_and_a_few_at_a_time() {
        let mut lookup = lookup((0..20).map(|n| node(usize::from(n), n)));
        assert_eq!(asked(&mut lookup), [node(19, 19), node(18, 18), node(17, 17), node(16, 16)].map(|node| node.addr));
        lookup.is_slow(node(19, 19).addr);
        lookup.failed(node(18, 18).addr);
        lookup.answered(node(17, 17), Some(vec![1]), &[node(30, 30)]);
        assert_eq!(asked(&mut lookup), [node(30, 30), node(15, 15), node(14, 14)].map(|node| node.addr));
        assert!(!lookup.is_done());
    }

    #[test]
    fn it_ends_when_the_nearest_have_answered() {
        let mut lookup = lookup((0..20).map(|n| node(usize::from(n), n)));
        let mut order = Vec::new();
        while !lookup.is_done() {
            let (id, addr) = lookup.next().expect("somebody is left to ask");
            order.push(addr);
            lookup.answered(Contact { id: id.unwrap(), addr }, Some(vec![7]), &[]);
        }
        assert_eq!(order.len(), K);
        assert_eq!(lookup.nearest().map(|(contact, _)| contact.addr).collect::<Vec<_>>(), order);
        assert!(lookup.nearest().all(|(_, token)| token == [7]));
    }

    #[test]
    fn a_walk_without_anybody_is_done_and_one_among_the_dead_ends() {
        assert!(lookup([]).is_done());
        let mut lookup = lookup((0..20).map(|n| node(usize::from(n), n)));
        while let Some((_, addr)) = lookup.next() {
            lookup.failed(addr);
        }
        assert!(lookup.is_done());
    }

    #[test]
    fn endless_tales_of_nearer_nodes_end() {
        let mut lookup = lookup([node(0, 0)]);
        let mut rng = Rng::from_seed_u64(1);
        let mut count = 0_u32;
        while let Some((id, addr)) = lookup.next() {
            let tale: Vec<Contact> = (0..8)
                .map(|_| {
                    count += 1;
                    let ip = std::net::Ipv4Addr::from(0x0b00_0000 + count);
                    let addr = SocketAddr::from((ip, 1));
                    Contact { id: TARGET.beside(usize::try_from(count / 8).unwrap().min(159), &mut rng), addr }
                })
                .collect();
            lookup.answered(Contact { id: id.unwrap(), addr }, None, &tale);
        }
        assert!(lookup.is_done() && lookup.asked <= MOST_ASKED && lookup.known.len() <= MOST_KNOWN);
    }

    #[test]
    fn one_network_is_asked_once_and_who_has_no_number_last() {
        let public = |host: u8, port: u16| SocketAddr::from(([198, 18, 0, host], port));
        let nobody = |addr| (None, addr);
        let first = [nobody(public(1, 1)), nobody(public(1, 2)), (Some(TARGET), public(2, 1))];
        let mut lookup = Lookup::new(TARGET, Goal::Nodes, first);
        assert_eq!(asked(&mut lookup), [public(2, 1), public(1, 1)]);
        lookup.answered(Contact { id: node(9, 9).id, addr: public(1, 1) }, None, &[]);
        lookup.answered(Contact { id: TARGET, addr: public(2, 1) }, None, &[]);
        assert!(lookup.is_done());
        assert_eq!(lookup.nearest().count(), 0, "nobody gave a token");
    }
}
