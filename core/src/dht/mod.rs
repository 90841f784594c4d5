//! The mainline distributed hash table: who takes part in a torrent, known to nobody in particular.
//!
//! Every node has a number, and knows others, the more of them the nearer they are. Peers of a torrent are noted at the
//! nodes whose numbers are nearest to its info-hash; to find those, a node asks the nearest that it knows for nearer
//! ones, and so on.
//!
//! [`Dht`] is such a node, in the networks of IPv4 and IPv6, which share nothing but their rules. It seeks the peers of
//! torrents, tells the network that we take part in them, and answers others, as long as they do not ask too much.
//! It looks up what somebody keeps there under his key, [`item`], and keeps nothing for others.
//! [`message`] is what is on the wire, [`node_id`] the numbers, [`node_addr`] where a node is said to be, `table` whom
//! we know, `lookup` one walk through the network, `peers` what others told us, [`scrape`] how many there are, `quota`
//! how much each may ask, `saved` what outlives a restart.
//!
//! Whatever a stranger says may be a lie, and where he says he is may be another's address. So only who has answered a
//! question of ours is told of to others; who has not gets little more than he sent; a number that does not follow from
//! its address counts less (BEP 42); and peers that are named here are believed as far as those that other peers name.
//!
//! Laws: private torrents are not handed to this module (BEP 27); a read-only node answers nobody (BEP 43); queries,
//! walks, and everything that is remembered are bounded; no input panics.
//!
//! Sources: BEP 5, 32, 33, 42, 43, 44, 46.

pub mod item;
pub mod message;
pub mod node_id;
pub mod node_addr;
pub mod scrape;
mod table;
mod lookup;
mod peers;
mod quota;
mod saved;
mod answering;
mod seeking;
mod resolving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::effects::Effects;
use crate::rng::Rng;
use crate::swarm::peers::{canonical, network};
use crate::time::{Instant, earliest};
use crate::tracker::Scope;
use item::ItemName;
use lookup::{Goal, Lookup};
use message::{Body, Contact, Family, Message, Query, Question, Reply};
use node_id::NodeId;
use peers::{Peers, Tokens};
use quota::Quota;
use resolving::Wanted;
use scrape::{Filters, Tally};
use seeking::Sought;
use table::{K, Table};

/// The most questions that wait for an answer.
const MOST_QUERIES: usize = 256;
/// The most walks at once.
const MOST_LOOKUPS: usize = 8;
/// Who has not answered after so long is slow.
const SLOW: Duration = Duration::from_secs(1);
/// Who has not answered after so long will not.
const DEAD: Duration = Duration::from_secs(6);
/// After so long without any answer it is our line that is dead, and nobody is blamed.
const DEAF: Duration = Duration::from_mins(1);
/// How often somebody who was silent for long is asked whether he is there.
const MAINTAIN_EVERY: Duration = Duration::from_secs(6);
/// How soon a node that knows others looks around its own place again; each time it takes four times as long.
const LOOK_AROUND_FIRST: Duration = Duration::from_mins(1);
/// How often it does so at last.
const LOOK_AROUND_EVERY: Duration = Duration::from_mins(30);
/// How soon a node that knows few looks again; it doubles each time.
const LONELY_FIRST: Duration = Duration::from_secs(15);
/// How rarely it does so at last.
const LONELY_MOST: Duration = Duration::from_mins(15);
/// How soon it does so after somebody was named to it.
const SOON: Duration = Duration::from_secs(1);
/// The most addresses that are kept to begin with.
const MOST_SEEDS: usize = 256;
/// The most addresses that are not taken into the table.
const MOST_ROUTERS: usize = 32;
/// So many others must agree about our address before we take another number, and so many are asked.
const VOTES: (usize, usize) = (4, 12);

/// How a node is to run.
#[derive(Clone, Debug)]
pub struct DhtSetup {
    /// The networks in which we have a socket.
    pub families: Vec<Family>,
    /// The port on which we listen for peers.
    pub port: u16,
    /// Whether to ask only, and answer nobody: for who stays for a short time. BEP 43.
    pub read_only: bool,
    /// What [`Dht::save`] gave when the node last ran; what cannot be read is passed over.
    pub saved: Vec<u8>,
    /// The node's own randomness.
    pub rng: Rng,
}

/// How we take part in a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// We have everything.
    pub is_seed: bool,
    /// Nobody else tells how many there are, and the owner would like to know.
    pub wants_count: bool,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed.
    Tick,
    /// A datagram came.
    Received(SocketAddr, &'a [u8]),
    /// We take part in this torrent, or no longer in the same way.
    Seek([u8; 20], Part),
    /// We no longer do.
    Leave([u8; 20]),
    /// The torrent is wanted that this names. [`Output::Resolved`] is the answer; until then it is looked up time and
    /// again.
    Resolve(&'a ItemName),
    /// Somebody says that there is a node.
    Node(SocketAddr),
    /// A node that everybody begins with: it is asked if nobody else is known, and spared otherwise.
    Router(SocketAddr),
    /// The router lets IPv4 in at this port, if it is not the one on which we listen.
    ReachedAt(Option<u16>),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this there.
    Send(SocketAddr, Vec<u8>),
    /// Somebody takes part in a torrent, or so he says who told us.
    Found {
        /// The torrent.
        info_hash: [u8; 20],
        /// Who says so.
        teller: IpAddr,
        /// Where peers listen.
        peers: Vec<SocketAddr>,
    },
    /// How many take part in a torrent, as far as the nodes around it were told.
    Counted {
        /// The torrent.
        info_hash: [u8; 20],
        /// Those of which network.
        family: Family,
        /// Who they are.
        filters: Box<Filters>,
    },
    /// The torrent that an item names, by the number around which it is kept.
    Resolved(NodeId, [u8; 20]),
    /// Nobody around that number keeps what is wanted. It is looked up again, unless [`Dht::forget`] is told otherwise.
    Unresolved(NodeId),
    /// Few nodes are known: look up the names of those that everybody begins with, and hand their addresses in.
    LookUpRouters,
}

/// What an answer is for.
#[derive(Clone, Debug)]
enum Purpose {
    /// To know whether somebody is there.
    Ping,
    /// A walk.
    Lookup(u32),
    /// To be noted.
    Announce,
}

/// A question that was asked.
#[derive(Clone, Debug)]
struct Asked {
    addr: SocketAddr,
    /// Who must answer; anybody there if it is not known.
    id: Option<NodeId>,
    at: Instant,
    is_slow: bool,
    purpose: Purpose,
}

/// A walk under way.
#[derive(Debug)]
struct Walk {
    family: Family,
    lookup: Lookup,
    /// How many were heard of, if that is asked for.
    tally: Option<Box<Tally>>,
}

/// What a node is in one of the two networks.
#[derive(Debug)]
struct Side {
    family: Family,
    table: Table,
    /// Addresses to begin with.
    seeds: VecDeque<SocketAddr>,
    routers: Vec<SocketAddr>,
    /// What others say our address is, with the network of each.
    votes: VecDeque<(IpAddr, IpAddr)>,
    /// The walk around our own place.
    looking_around: Option<u32>,
    look_around_at: Instant,
    /// How often it knew few afterwards.
    lonely: u32,
    /// How often it knew enough.
    settled: u32,
    maintain_at: Instant,
    /// Whether it has looked around once.
    is_ready: bool,
}

/// A node of the distributed hash table.
#[derive(Debug)]
pub struct Dht {
    port: u16,
    /// The port at which we are reached over IPv4, if it is another one.
    outer_port: Option<u16>,
    read_only: bool,
    rng: Rng,
    sides: Vec<Side>,
    queries: BTreeMap<u16, Asked>,
    walks: BTreeMap<u32, Walk>,
    next_walk: u32,
    sought: BTreeMap<[u8; 20], Sought>,
    /// When each is next to be sought in which network, the soonest of each network first: every datagram asks for it.
    due: BTreeSet<(Family, Instant, [u8; 20])>,
    /// Whose torrents are wanted, by where they are kept.
    wanted: BTreeMap<NodeId, Wanted>,
    peers: Peers,
    tokens: Tokens,
    quota: Quota,
    /// When peers of others are next looked through.
    expire_at: Instant,
    heard_at: Instant,
    out: Effects<Output>,
}

impl Dht {
    /// A node that knows those whom it knew when it was saved.
    pub fn new(setup: DhtSetup, now: Instant) -> Self {
        let DhtSetup { families, port, read_only, saved, mut rng } = setup;
        let saved = saved::read_all(&saved);
        let sides = families.into_iter().map(|family| {
            let known = saved.iter().find(|known| known.family == family);
            let own = known.map_or_else(|| NodeId::random(&mut rng), |known| known.own);
            let mut seeds: Vec<SocketAddr> = known.map(|known| known.nodes.clone()).unwrap_or_default();
            rng.shuffle(&mut seeds);
            seeds.truncate(MOST_SEEDS);
            Side {
                family,
                table: Table::new(own),
                seeds: seeds.into(),
                routers: Vec::new(),
                votes: VecDeque::new(),
                looking_around: None,
                look_around_at: now,
                lonely: 0,
                settled: 0,
                maintain_at: now + MAINTAIN_EVERY,
                is_ready: false,
            }
        });
        Self {
            sides: sides.collect(),
            port,
            outer_port: None,
            read_only,
            queries: BTreeMap::new(),
            walks: BTreeMap::new(),
            next_walk: 0,
            sought: BTreeMap::new(),
            wanted: BTreeMap::new(),
            due: BTreeSet::new(),
            peers: Peers::default(),
            tokens: Tokens::new(now, &mut rng),
            quota: Quota::new(now),
            expire_at: now + Duration::from_mins(1),
            heard_at: now,
            out: Effects::default(),
            rng,
        }
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Dht::poll`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Tick => {}
            Input::Received(from, datagram) => self.received(now, canonical(from), datagram),
            Input::Seek(info_hash, part) => self.seek(now, info_hash, part),
            Input::Leave(info_hash) => self.seek_no_more(info_hash),
            Input::Resolve(name) => self.resolve(now, name),
            Input::Node(addr) => self.named(now, canonical(addr), false),
            Input::Router(addr) => self.named(now, canonical(addr), true),
            Input::ReachedAt(port) => self.outer_port = port,
        }
        self.expire(now);
        self.maintain(now);
        // Somebody waits for an item; torrents are sought time and again, and thousands of them all the time.
        self.start_resolving(now);
        self.start_seeking(now);
        self.walk(now);
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.take()
    }

    /// When [`Input::Tick`] is next needed. O(questions).
    pub fn deadline(&self) -> Option<Instant> {
        let answers = self.queries.values().map(|asked| asked.at + if asked.is_slow { DEAD } else { SLOW });
        let sides = self.sides.iter().filter(|side| side.looking_around.is_none()).map(|side| side.look_around_at);
        let maintained = self.sides.iter().filter(|side| side.table.len() > 0).map(|side| side.maintain_at);
        let soonest = answers.chain(sides).chain(maintained).fold(None, |soonest, at| earliest(soonest, Some(at)));
        let due = earliest(self.seek_deadline(), self.resolve_deadline());
        earliest(earliest(soonest, Some(self.expire_at)), due)
    }

    /// The number of nodes that we know, in both networks.
    pub fn nodes(&self) -> usize {
        self.sides.iter().map(|side| side.table.len()).sum()
    }

    /// Our number in a network; `None` if we are not part of it.
    pub fn id(&self, family: Family) -> Option<NodeId> {
        self.side(family).map(|side| side.table.own())
    }

    /// What is needed to begin where this ends.
    pub fn save(&self) -> Vec<u8> {
        saved::write(self.sides.iter().map(|side| (side.family, &side.table)))
    }

    fn side(&self, family: Family) -> Option<&Side> {
        self.sides.iter().find(|side| side.family == family)
    }

    fn side_mut(&mut self, family: Family) -> Option<&mut Side> {
        self.sides.iter_mut().find(|side| side.family == family)
    }

    /// Somebody says that there is a node.
    fn named(&mut self, now: Instant, addr: SocketAddr, is_router: bool) {
        let Some(side) = self.side_mut(Family::of(addr)).filter(|_| is_some_host(addr)) else { return };
        if is_router && !side.routers.contains(&addr) && side.routers.len() < MOST_ROUTERS {
            side.routers.push(addr);
        }
        let knows_enough = side.table.len() >= K;
        if !knows_enough && !side.seeds.contains(&addr) {
            side.seeds.push_front(addr);
            side.seeds.truncate(MOST_SEEDS);
            // Others may be named in the same breath.
            side.look_around_at = side.look_around_at.min(now + if is_router { Duration::ZERO } else { SOON });
        }
        if knows_enough && !is_router && !self.is_asked(addr) {
            self.ask(now, addr, None, Question::Ping, Purpose::Ping);
        }
    }

    fn is_asked(&self, addr: SocketAddr) -> bool {
        self.queries.values().any(|asked| asked.addr == addr)
    }

    /// Asks a question, if there is room for its answer.
    fn ask(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        id: Option<NodeId>,
        question: Question,
        purpose: Purpose,
    ) -> bool {
        let family = Family::of(addr);
        let Some(own) = self.id(family) else { return false };
        if self.queries.len() >= MOST_QUERIES {
            return false;
        }
        let number = loop {
            let number = u16::try_from(self.rng.below(1 << 16)).expect("it is below 2^16");
            if !self.queries.contains_key(&number) {
                break number;
            }
        };
        // While one network is hardly known, the other may know somebody there.
        let is_short = |side: &Side| side.family != family && side.table.len() < K;
        let wants_both = matches!(question, Question::FindNode(_)) && self.sides.iter().any(is_short);
        let want = if wants_both { Family::ALL.to_vec() } else { Vec::new() };
        let query = Query { id: own, question, want, read_only: self.read_only };
        self.out.push_back(Output::Send(addr, query.encode(&number.to_be_bytes())));
        self.queries.insert(number, Asked { addr, id, at: now, is_slow: false, purpose });
        true
    }

    fn received(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if !is_some_host(from) || self.side(Family::of(from)).is_none() {
            return;
        }
        let Some(message) = Message::decode(datagram) else { return };
        match message.body {
            Body::Query(query) => self.answer(now, from, &message.transaction, query),
            Body::Unanswerable(refusal) => self.refuse(now, from, &message.transaction, refusal),
            Body::Reply(reply) => self.answered(now, from, &message.transaction, *reply),
            Body::Refused => {
                if let Some(asked) = self.take_query(from, &message.transaction) {
                    self.heard_at = now;
                    self.no_use(&asked);
                }
            }
        }
    }

    /// The question that is answered by this.
    fn take_query(&mut self, from: SocketAddr, transaction: &[u8]) -> Option<Asked> {
        let number = u16::from_be_bytes(transaction.try_into().ok()?);
        if self.queries.get(&number)?.addr != from {
            return None;
        }
        self.queries.remove(&number)
    }

    fn answered(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], reply: Reply) {
        let Some(asked) = self.take_query(from, transaction) else { return };
        self.heard_at = now;
        let family = Family::of(from);
        let Some(side) = self.sides.iter_mut().find(|side| side.family == family) else { return };
        let own = side.table.own();
        let Some(id) = reply.id.filter(|id| *id != own) else { return self.no_use(&asked) };
        let contact = Contact { id, addr: from };
        if let Some(old) = asked.id.filter(|old| *old != id) {
            // It has another number than it had, or than somebody said.
            side.table.forget(Contact { id: old, addr: from });
        }
        if !side.routers.contains(&from) {
            side.table.answered(now, contact);
        }
        if !side.is_ready {
            side.look_around_at = side.look_around_at.min(now + SOON);
        }
        if asked.id.is_some_and(|expected| expected != id) {
            return self.no_use(&asked);
        }
        if let Some(ip) = reply.ip {
            self.count_vote(family, from.ip(), ip.ip().to_canonical());
        }
        let (mut ours, others): (Vec<Contact>, Vec<Contact>) =
            reply.nodes.into_iter().take(4 * K).partition(|node| Family::of(node.addr) == family);
        for node in others {
            self.named(now, node.addr, false);
        }
        let Purpose::Lookup(number) = asked.purpose else { return };
        let Some(walk) = self.walks.get_mut(&number) else { return };
        let (scope, target) = (Scope::of(from.ip()), walk.lookup.target);
        // Nobody aims us at hosts that are nearer to us than he is.
        ours.retain(|node| node.id != own && is_some_host(node.addr) && scope.sees(Scope::of(node.addr.ip())));
        walk.lookup.answered(contact, reply.token, &ours);
        match walk.lookup.goal {
            Goal::Nodes => {}
            Goal::Peers => {
                walk.lookup.found += reply.values.len();
                if let Some(tally) = &mut walk.tally {
                    tally.hear(reply.filters.as_deref(), &reply.values);
                }
                self.found(target, from.ip(), reply.values);
            }
            Goal::Item => self.heard_item(target, reply.item.as_deref()),
        }
    }

    /// Nothing comes of a question.
    fn no_use(&mut self, asked: &Asked) {
        if let Purpose::Lookup(number) = asked.purpose
            && let Some(walk) = self.walks.get_mut(&number)
        {
            walk.lookup.failed(asked.addr);
        }
    }

    /// Somebody tells where he sees us: our number is to follow from that. BEP 42.
    fn count_vote(&mut self, family: Family, voter: IpAddr, ours: IpAddr) {
        let Some(side) = self.sides.iter_mut().find(|side| side.family == family) else { return };
        let is_of_family = ours.is_ipv4() == (family == Family::V4);
        if !is_of_family || Scope::of(ours) != Scope::Public || side.table.own().fits(ours) {
            return;
        }
        let voter = network(voter);
        side.votes.retain(|(other, _)| *other != voter);
        side.votes.push_back((voter, ours));
        if side.votes.len() > VOTES.1 {
            side.votes.pop_front();
        }
        let agree = side.votes.iter().filter(|(_, vote)| *vote == ours).count();
        if agree >= VOTES.0 && agree * 2 > side.votes.len() {
            side.table.renumber(NodeId::of(ours, &mut self.rng));
            side.votes.clear();
            // Those around the new place are to hear of it.
            (side.look_around_at, side.settled) = (Instant::ZERO, 0);
        }
    }

    /// Gives up questions that nobody answers, and forgets what is old.
    fn expire(&mut self, now: Instant) {
        let is_deaf = now - self.heard_at >= DEAF;
        let dead: Vec<u16> =
            self.queries.iter().filter(|(_, asked)| now - asked.at >= DEAD).map(|(number, _)| *number).collect();
        for asked in dead.into_iter().filter_map(|number| self.queries.remove(&number)).collect::<Vec<_>>() {
            self.no_use(&asked);
            let Some(id) = asked.id.filter(|_| !is_deaf) else { continue };
            let contact = Contact { id, addr: asked.addr };
            let waits = self.side_mut(Family::of(asked.addr)).and_then(|side| side.table.failed(contact));
            if let Some(waits) = waits {
                self.ask(now, waits.addr, Some(waits.id), Question::Ping, Purpose::Ping);
            }
        }
        for asked in self.queries.values_mut().filter(|asked| !asked.is_slow && now - asked.at >= SLOW) {
            asked.is_slow = true;
            if let Purpose::Lookup(number) = asked.purpose
                && let Some(walk) = self.walks.get_mut(&number)
            {
                walk.lookup.is_slow(asked.addr);
            }
        }
        if self.expire_at <= now {
            self.expire_at = now + Duration::from_mins(1);
            self.peers.expire(now);
        }
    }

    /// Looks around where we are, and asks those who were silent for long.
    fn maintain(&mut self, now: Instant) {
        for index in 0..self.sides.len() {
            let side = &mut self.sides[index];
            if side.looking_around.is_none() && side.look_around_at <= now {
                self.look_around(now, index);
            }
            let side = &mut self.sides[index];
            if side.maintain_at > now || side.table.len() == 0 {
                continue;
            }
            side.maintain_at = now + MAINTAIN_EVERY;
            let family = side.family;
            if let Some(Contact { id, addr }) = side.table.stale(now) {
                self.ask(now, addr, Some(id), Question::Ping, Purpose::Ping);
            } else if let Some(target) = side.table.lonely(now, &mut self.rng) {
                let first = self.first(family, target);
                self.start_walk(Walk { family, lookup: Lookup::new(target, Goal::Nodes, first), tally: None });
            }
        }
    }

    /// Walks to our own place; those around it are to know us, and we them.
    fn look_around(&mut self, now: Instant, index: usize) {
        let side = &self.sides[index];
        let (family, own, lonely) = (side.family, side.table.own(), side.lonely);
        let first = self.first(family, own);
        let lookup = (!first.is_empty()).then(|| Lookup::new(own, Goal::Nodes, first));
        let started = lookup.and_then(|lookup| self.start_walk(Walk { family, lookup, tally: None }));
        if started.is_none() {
            self.out.push_back(Output::LookUpRouters);
        }
        let side = &mut self.sides[index];
        side.looking_around = started;
        side.look_around_at = now + LONELY_FIRST.saturating_mul(1 << lonely.min(8)).min(LONELY_MOST);
        side.lonely += u32::from(started.is_none());
    }

    /// Whom a walk begins with: the nearest that we know, and while they are few whoever was named.
    fn first(&self, family: Family, target: NodeId) -> Vec<(Option<NodeId>, SocketAddr)> {
        let Some(side) = self.side(family) else { return Vec::new() };
        let nearest = side.table.nearest(target, K).into_iter().map(|contact| (Some(contact.id), contact.addr));
        let named = if side.table.len() < K { MOST_SEEDS } else { 0 };
        nearest.chain(side.seeds.iter().take(named).map(|addr| (None, *addr))).collect()
    }

    fn start_walk(&mut self, walk: Walk) -> Option<u32> {
        if self.walks.len() >= MOST_LOOKUPS * 2 {
            return None;
        }
        let number = self.next_walk;
        self.next_walk = self.next_walk.wrapping_add(1);
        self.walks.insert(number, walk);
        Some(number)
    }

    /// Goes on with every walk, and ends those that have arrived.
    fn walk(&mut self, now: Instant) {
        let numbers: Vec<u32> = self.walks.keys().copied().collect();
        for number in numbers {
            while self.queries.len() < MOST_QUERIES
                && let Some(walk) = self.walks.get_mut(&number)
                && let Some((id, addr)) = walk.lookup.next()
            {
                let target = walk.lookup.target;
                let question = match walk.lookup.goal {
                    Goal::Nodes => Question::FindNode(target),
                    Goal::Item => Question::GetItem(target),
                    Goal::Peers => {
                        Question::GetPeers { info_hash: target, noseed: false, scrape: walk.tally.is_some() }
                    }
                };
                self.ask(now, addr, id, question, Purpose::Lookup(number));
            }
            self.count_early(number);
            if self.walks.get(&number).is_some_and(|walk| walk.lookup.is_done()) {
                let walk = self.walks.remove(&number).expect("it is there");
                self.arrived(now, number, &walk);
            }
        }
    }

    fn arrived(&mut self, now: Instant, number: u32, walk: &Walk) {
        match walk.lookup.goal {
            Goal::Nodes => {}
            Goal::Peers => return self.sought_around(now, walk),
            Goal::Item => return self.resolved_around(now, walk.lookup.target),
        }
        let Some(side) = self.sides.iter_mut().find(|side| side.looking_around == Some(number)) else { return };
        side.looking_around = None;
        side.is_ready = side.table.len() > 0;
        if side.table.len() >= K {
            side.lonely = 0;
            side.seeds.clear();
            let pause = LOOK_AROUND_FIRST.saturating_mul(1 << (2 * side.settled).min(10)).min(LOOK_AROUND_EVERY);
            side.settled += 1;
            side.look_around_at = now + self.rng.jitter(pause, 10);
        } else {
            side.look_around_at = now + LONELY_FIRST.saturating_mul(1 << side.lonely.min(8)).min(LONELY_MOST);
            side.lonely += 1;
            self.out.push_back(Output::LookUpRouters);
        }
    }
}

/// Whether a node can be there.
fn is_some_host(addr: SocketAddr) -> bool {
    addr.port() != 0 && Scope::of(addr.ip()) != Scope::Nowhere
}

#[cfg(test)]
mod tests;
