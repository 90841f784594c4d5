//! Nodes among nodes, in a network that a test decides.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};

use super::item::{ItemName, Signed};
use super::message::{Body, Contact, Family, Message, Query, Question};
use super::node_id::NodeId;
use super::quota::{MOST_FILTERS, MOST_OF_ONE};
use super::scrape::{Estimate, Filter, Filters};
use super::table::Table;
use super::{Dht, DhtSetup, Input, MOST_QUERIES, Output, Part, Reply, saved};
use crate::rng::Rng;
use crate::time::Instant;

const TORRENT: [u8; 20] = [7; 20];
/// How long a datagram is on its way.
const DELAY: Duration = Duration::from_millis(40);

/// Something on its way.
#[derive(Debug)]
enum Event {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Tick(SocketAddr),
}

/// A network of nodes under virtual time.
struct World {
    now: Instant,
    nodes: BTreeMap<SocketAddr, Dht>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    /// Everybody begins with this one.
    router: SocketAddr,
    /// Whose datagrams are lost, and who gets none.
    dead: Vec<SocketAddr>,
    found: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    /// What was counted last.
    counted: BTreeMap<SocketAddr, Estimate>,
    /// What nodes keep for somebody else.
    kept: BTreeMap<SocketAddr, Signed>,
    /// How often an item was asked for and not found.
    missed: u32,
    resolved: Vec<(SocketAddr, [u8; 20])>,
    sent: usize,
    /// Whether that one is left alone by those who know others.
    spares_router: bool,
    seed: u64,
}

fn v4(n: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0xc612_0000 + n), 6881))
}

fn v6(n: u16) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, n, 0, 0, 0, 1), 6881))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Instant::ZERO,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            router: v4(0),
            dead: Vec::new(),
            found: BTreeMap::new(),
            counted: BTreeMap::new(),
            kept: BTreeMap::new(),
            missed: 0,
            resolved: Vec::new(),
            sent: 0,
            spares_router: true,
            seed,
        };
        world.add(v4(0), Vec::new());
        world
    }

    /// So many nodes that have found one another.
    fn of(count: u32, seed: u64) -> Self {
        let mut world = Self::new(seed);
        for n in 1..count {
            let saved = world.numbered(v4(n));
            world.add(v4(n), saved);
            world.run(Duration::from_secs(1));
        }
        world.run(Duration::from_mins(2));
        world
    }

    /// What a node remembers that knows nobody, and has a number that follows from its address.
    fn numbered(&mut self, addr: SocketAddr) -> Vec<u8> {
        self.seed += 1;
        let id = NodeId::of(addr.ip(), &mut Rng::from_seed_u64(self.seed));
        saved::write([(Family::of(addr), &Table::new(id))].into_iter())
    }

    fn setup(&mut self, saved: Vec<u8>, family: Family) -> DhtSetup {
        self.seed += 1;
        let rng = Rng::from_seed_u64(self.seed);
        DhtSetup { families: vec![family], port: 6881, read_only: false, saved, rng }
    }

    fn add(&mut self, addr: SocketAddr, saved: Vec<u8>) {
        let setup = self.setup(saved, Family::of(addr));
        self.insert(addr, setup);
    }

    fn insert(&mut self, addr: SocketAddr, setup: DhtSetup) {
        self.nodes.insert(addr, Dht::new(setup, self.now));
        self.input(addr, Input::Tick);
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn input(&mut self, addr: SocketAddr, input: Input<'_>) {
        let Some(node) = self.nodes.get_mut(&addr) else { return };
        node.handle(self.now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| node.poll()).collect();
        assert!(node.queries.len() <= MOST_QUERIES);
        let deadline = node.deadline();
        for output in outputs {
            match output {
                Output::Send(to, bytes) => {
                    self.sent += 1;
                    assert!(bytes.len() <= 1400, "{} bytes", bytes.len());
                    if ![addr, to].iter().any(|end| self.dead.contains(end)) {
                        self.schedule(DELAY, Event::Datagram { from: addr, to, bytes });
                    }
                }
                Output::Found { info_hash, peers, .. } => {
                    assert_eq!(info_hash, TORRENT);
                    self.found.entry(addr).or_default().extend(peers);
                }
                Output::Counted { info_hash, filters, .. } => {
                    assert_eq!(info_hash, TORRENT);
                    self.counted.insert(addr, filters.estimate());
                }
                Output::Resolved(_, torrent) => self.resolved.push((addr, torrent)),
                Output::Unresolved(_) => self.missed += 1,
                Output::LookUpRouters => {
                    let router = self.router;
                    self.node_named(addr, router);
                }
            }
        }
        if let Some(at) = deadline {
            self.schedule(at - self.now, Event::Tick(addr));
        }
    }

    /// A router is named in the moment in which it is asked for.
    fn node_named(&mut self, addr: SocketAddr, router: SocketAddr) {
        if addr != router {
            self.input(addr, if self.spares_router { Input::Router(router) } else { Input::Node(router) });
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            match entry.remove() {
                Event::Datagram { from, to, bytes } => match self.answer_with_item(to, &bytes) {
                    Some(bytes) => self.schedule(DELAY, Event::Datagram { from: to, to: from, bytes }),
                    None => self.input(to, Input::Received(from, &bytes)),
                },
                Event::Tick(addr) => {
                    // Only the last of many is needed.
                    if self.nodes.get(&addr).is_some_and(|node| node.deadline().is_some_and(|at| at <= self.now)) {
                        self.input(addr, Input::Tick);
                    }
                }
            }
        }
        self.now = end;
    }

    /// What a node answers that keeps something, if it is asked for that.
    fn answer_with_item(&self, node: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let item = self.kept.get(&node)?.clone();
        let message = Message::decode(datagram)?;
        let Body::Query(Query { question: Question::GetItem(_), .. }) = message.body else { return None };
        let id = self.nodes.get(&node)?.id(Family::of(node))?;
        let reply = Reply { item: Some(Box::new(item)), ..Reply::default() };
        Some(reply.encode(id, &message.transaction))
    }

    /// Has a stranger ask, and gives what he is answered at once.
    fn ask(&mut self, node: SocketAddr, from: SocketAddr, query: &Query) -> Option<Message> {
        let dht = self.nodes.get_mut(&node).unwrap();
        dht.handle(self.now, Input::Received(from, &query.encode(b"xx")));
        let answers: Vec<Message> = std::iter::from_fn(|| dht.poll())
            .filter_map(|output| match output {
                Output::Send(to, bytes) if to == from => Message::decode(&bytes),
                _ => None,
            })
            .filter(|message| message.transaction == b"xx")
            .collect();
        assert!(answers.len() <= 1);
        answers.into_iter().next()
    }
}

/// Has everything.
const SEED: Part = Part { is_seed: true, wants_count: false };
/// Would like to know how many there are.
const CURIOUS: Part = Part { is_seed: false, wants_count: true };

fn get_peers(noseed: bool, scrape: bool) -> Question {
    Question::GetPeers { info_hash: NodeId(TORRENT), noseed, scrape }
}

fn query(question: Question) -> Query {
    Query { id: NodeId([9; 20]), question, want: Vec::new(), read_only: false }
}

fn reply(message: Option<Message>) -> Reply {
    match message.map(|message| message.body) {
        Some(Body::Reply(reply)) => *reply,
        other => panic!("no reply: {other:?}"),
    }
}

#[test]
fn two_who_seek_the_same_find_each_other_in_a_crowd() {
    let mut world = World::of(100, 1);
    let known: Vec<usize> = world.nodes.values().map(Dht::nodes).collect();
    assert!(known.iter().all(|known| *known >= 5), "{known:?}");
    world.input(v4(10), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(10));
    world.input(v4(70), Input::Seek(TORRENT, Part::default()));
    let before = world.sent;
    world.run(Duration::from_secs(5));
    assert!(world.found[&v4(70)].contains(&v4(10)), "{:?}", world.found);
    let sent = world.sent - before;
    assert!(sent < 1500, "{sent} datagrams, upkeep of a hundred nodes in it");
    // The first hears of the second when he asks again.
    world.run(Duration::from_mins(17));
    assert!(world.found[&v4(10)].contains(&v4(70)));
}

#[test]
fn two_alone_find_each_other_whoever_comes_first() {
    let mut world = World::new(2);
    world.spares_router = false;
    world.input(v4(0), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_mins(1));
    world.add(v4(1), Vec::new());
    world.input(v4(1), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(30));
    assert!(world.found[&v4(0)].contains(&v4(1)));
    world.run(Duration::from_mins(5));
    assert!(world.found[&v4(1)].contains(&v4(0)));
}

#[test]
fn those_whom_peers_tell_of_are_met_though_all_others_are_gone() {
    let mut world = World::new(16);
    for n in 1..=2 {
        world.add(v4(n), Vec::new());
        world.input(v4(n), Input::Seek(TORRENT, Part::default()));
    }
    world.run(Duration::from_millis(700));
    world.dead.push(v4(0));
    world.input(v4(1), Input::Node(v4(2)));
    world.input(v4(2), Input::Node(v4(1)));
    world.run(Duration::from_secs(20));
    assert!(world.nodes[&v4(1)].sides[0].table.has(v4(2)) && world.nodes[&v4(2)].sides[0].table.has(v4(1)));
    assert!((1..=2).any(|n| world.found.get(&v4(n)).is_some_and(|found| found.contains(&v4(3 - n)))));
}

#[test]
fn whoever_comes_back_needs_nobody_to_begin_with() {
    let mut world = World::of(60, 3);
    world.input(v4(10), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(10));
    let (saved, id) = (world.nodes[&v4(20)].save(), world.nodes[&v4(20)].id(Family::V4));
    world.nodes.remove(&v4(20));
    world.dead.push(world.router);
    world.run(Duration::from_hours(1));
    world.add(v4(20), saved);
    world.input(v4(20), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(20));
    assert_eq!(world.nodes[&v4(20)].id(Family::V4), id);
    assert!(world.found[&v4(20)].contains(&v4(10)));
}

#[test]
fn the_network_survives_the_loss_of_half_of_it() {
    let mut world = World::of(100, 4);
    world.input(v4(1), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_mins(1));
    world.dead.extend((50..100).map(v4));
    world.run(Duration::from_hours(1));
    world.input(v4(2), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(20));
    assert!(world.found[&v4(2)].contains(&v4(1)));
    // The dead are told to nobody.
    let near = reply(world.ask(v4(3), v4(9999), &query(Question::FindNode(NodeId(TORRENT))))).nodes;
    let dead = near.iter().filter(|node| world.dead.contains(&node.addr)).count();
    assert_eq!((near.len(), dead), (8, 0));
}

#[test]
fn a_line_that_was_dead_for_hours_forgets_nobody() {
    let mut world = World::of(40, 5);
    let known = world.nodes[&v4(5)].nodes();
    world.dead.push(v4(5));
    world.run(Duration::from_hours(3));
    assert_eq!(world.nodes[&v4(5)].nodes(), known);
}

#[test]
fn numbers_follow_from_addresses_once_others_agree_about_them() {
    let mut world = World::new(6);
    for n in 1..40 {
        world.add(v4(n), Vec::new());
    }
    world.run(Duration::from_hours(2));
    world.input(v4(10), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(10));
    world.input(v4(30), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(10));
    assert!(world.found[&v4(30)].contains(&v4(10)), "nobody is lost on the way");
    let fits = world.nodes.iter().filter(|(addr, node)| node.id(Family::V4).unwrap().fits(addr.ip())).count();
    assert!(fits >= 38, "{fits}");
}

#[test]
fn over_ipv6_there_is_a_network_of_its_own() {
    let mut world = World::new(7);
    for n in 100..120_u16 {
        world.add(v6(n), Vec::new());
    }
    for n in 101..120 {
        world.input(v6(n), Input::Node(v6(100)));
    }
    world.run(Duration::from_mins(2));
    world.input(v6(103), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(30));
    world.input(v6(117), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_secs(30));
    assert!(world.found[&v6(117)].contains(&v6(103)));
}

#[test]
fn a_read_only_node_seeks_is_told_to_nobody_and_answers_nobody() {
    let mut world = World::of(40, 8);
    let setup = DhtSetup { read_only: true, ..world.setup(Vec::new(), Family::V4) };
    world.insert(v4(500), setup);
    world.input(v4(500), Input::Seek(TORRENT, Part::default()));
    world.input(v4(3), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_mins(3));
    assert!(world.found[&v4(3)].contains(&v4(500)), "it is noted as a peer");
    assert!(world.nodes.values().all(|node| node.sides[0].table.contacts().all(|node| node.addr != v4(500))));
    assert!(world.ask(v4(500), v4(1), &query(Question::Ping)).is_none());
}

#[test]
fn an_announce_needs_the_token_of_its_own_address() {
    let mut world = World::of(2, 9);
    let get = query(get_peers(false, false));
    let token = reply(world.ask(v4(1), v4(50), &get)).token.unwrap();
    let announce = |token: &[u8], port| {
        query(Question::AnnouncePeer { info_hash: NodeId(TORRENT), port, token: token.to_vec(), seed: false })
    };
    for (from, token) in [(v4(51), token.as_slice()), (v4(50), b"guessed!"), (v4(50), b"")] {
        let refused = world.ask(v4(1), from, &announce(token, Some(7000))).unwrap();
        assert_eq!(refused.body, Body::Refused);
    }
    assert_eq!(reply(world.ask(v4(1), v4(60), &get)).values, []);
    reply(world.ask(v4(1), v4(50), &announce(&token, Some(7000))));
    let values = reply(world.ask(v4(1), v4(60), &get)).values;
    assert_eq!(values, [SocketAddr::new(v4(50).ip(), 7000)]);
    reply(world.ask(v4(1), v4(50), &announce(&token, None)));
    assert_eq!(reply(world.ask(v4(1), v4(60), &get)).values.len(), 2, "the port from which he asked");
}

#[test]
fn strangers_get_little_and_not_often() {
    let mut world = World::of(60, 10);
    for n in 0..100 {
        world.nodes.get_mut(&v4(1)).unwrap().peers.note(world.now, NodeId(TORRENT), v4(1000 + n), false);
    }
    let get = query(get_peers(false, false));
    let answer = world.ask(v4(1), v4(5000), &get);
    let (asked, answered) = (get.encode(b"xx").len() + 28, 28 + 500);
    let reply_bytes = reply(answer.clone()).encode(NodeId([0; 20]), b"xx").len() + 28;
    assert!(reply_bytes <= answered && reply_bytes <= 4 * asked, "{reply_bytes} for {asked}");
    let mut answered = 1;
    for _ in 0..1000 {
        answered += u32::from(world.ask(v4(1), v4(5000), &get).is_some());
    }
    assert_eq!(answered, MOST_OF_ONE);
    // Whom it knows gets more at once.
    let known = world.nodes[&v4(1)].sides[0].table.contacts().next().copied().unwrap();
    let peers = reply(world.ask(v4(1), known.addr, &get)).values.len();
    assert!(peers > reply(answer).values.len() * 2, "{peers}");
}

#[test]
fn answers_that_nobody_asked_for_and_of_others_are_not_heard() {
    let mut world = World::new(11);
    world.add(v4(1), Vec::new());
    world.run(Duration::from_mins(1));
    let liar = Contact { id: NodeId([3; 20]), addr: v4(66) };
    let lie = Reply { nodes: vec![liar; 8], values: vec![v4(67); 8], ..Reply::default() };
    world.input(v4(1), Input::Seek(TORRENT, Part::default()));
    for number in 0..=u16::MAX {
        let bytes = lie.encode(liar.id, &number.to_be_bytes());
        world.input(v4(1), Input::Received(liar.addr, &bytes));
    }
    world.run(Duration::from_mins(1));
    assert!(!world.nodes[&v4(1)].sides[0].table.has(liar.addr));
    assert!(!world.found.get(&v4(1)).is_some_and(|found| found.contains(&v4(67))));
}

#[test]
fn nobody_aims_us_at_private_hosts_or_at_the_usual_services() {
    let mut world = World::new(12);
    let node = world.nodes.get_mut(&v4(0)).unwrap();
    node.handle(world.now, Input::Seek(TORRENT, Part::default()));
    while node.poll().is_some() {}
    let peers =
        ["10.0.0.1:6881", "127.0.0.1:6881", "198.18.0.7:80", "0.0.0.0:6881", "198.18.0.8:6881", "224.0.0.1:6881"];
    node.found(NodeId(TORRENT), v4(9).ip(), peers.map(|peer| peer.parse().unwrap()).to_vec());
    let Some(Output::Found { peers, .. }) = node.poll() else { panic!("nothing found") };
    assert_eq!(peers, ["198.18.0.8:6881".parse::<SocketAddr>().unwrap()]);
    node.found(NodeId(TORRENT), IpAddr::from([10, 0, 0, 9]), vec!["10.0.0.1:6881".parse().unwrap()]);
    assert!(node.poll().is_some(), "who is near may name who is near");
}

#[test]
fn what_is_sought_no_more_is_found_no_more() {
    let mut world = World::of(30, 13);
    world.input(v4(3), Input::Seek(TORRENT, Part::default()));
    world.input(v4(3), Input::Leave(TORRENT));
    world.input(v4(4), Input::Seek(TORRENT, Part::default()));
    world.run(Duration::from_mins(1));
    assert!(!world.found.contains_key(&v4(3)));
}

#[test]
fn any_bytes_are_taken() {
    let mut world = World::of(5, 14);
    let mut rng = Rng::from_seed_u64(1);
    let ping = query(get_peers(false, false)).encode(b"aa");
    for n in 0..5000_u32 {
        let mut bytes = ping.clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len());
            bytes[at] = u8::try_from(rng.below(256)).unwrap();
        }
        bytes.truncate(rng.below(bytes.len() + 1));
        world.input(v4(1), Input::Received(v4(100 + n % 50), &bytes));
    }
    world.run(Duration::from_secs(10));
}

#[test]
fn an_hour_of_doing_nothing_costs_little() {
    let mut world = World::of(50, 15);
    world.run(Duration::from_mins(30));
    let before = world.sent;
    world.run(Duration::from_hours(1));
    let each = (world.sent - before) / 50;
    assert!(each < 1500, "{each} datagrams of each node in an hour");
}

/// Some that are noted as seeds, and others as peers.
fn populate(world: &mut World) {
    for n in 10..15 {
        world.input(v4(n), Input::Seek(TORRENT, SEED));
    }
    for n in 20..40 {
        world.input(v4(n), Input::Seek(TORRENT, Part::default()));
    }
    world.run(Duration::from_secs(30));
}

#[track_caller]
fn assert_counted(world: &World, who: SocketAddr, seeds: u32, peers: u32) {
    let told = world.counted.get(&who).copied().unwrap_or_default();
    // Two of so few may share a bit.
    assert!(told.seeds.abs_diff(seeds) <= 1 && told.peers.abs_diff(peers) <= 2, "{told:?}");
}

#[test]
fn whoever_wants_to_know_hears_how_many_there_are() {
    let mut world = World::of(60, 20);
    populate(&mut world);
    assert!(world.counted.is_empty(), "nobody wanted to know");
    let setup = DhtSetup { read_only: true, ..world.setup(Vec::new(), Family::V4) };
    world.insert(v4(500), setup);
    for asker in [v4(50), v4(500)] {
        world.input(asker, Input::Seek(TORRENT, CURIOUS));
        world.run(Duration::from_secs(20));
        assert_counted(&world, asker, 5, 20);
    }
    assert_eq!(world.counted.len(), 2);
}

#[test]
fn who_has_everything_is_a_seed_within_seconds() {
    let mut world = World::of(60, 21);
    populate(&mut world);
    for n in 20..30 {
        world.input(v4(n), Input::Seek(TORRENT, SEED));
    }
    world.run(Duration::from_secs(20));
    world.input(v4(50), Input::Seek(TORRENT, CURIOUS));
    world.run(Duration::from_secs(10));
    assert_counted(&world, v4(50), 15, 10);
}

/// A tracker fails while the walk is under way, or long after it.
#[test]
fn who_wants_to_know_later_is_told_soon_and_once() {
    let mut world = World::of(60, 22);
    populate(&mut world);
    for (asker, pause) in [(v4(50), Duration::ZERO), (v4(51), Duration::from_mins(1))] {
        world.input(asker, Input::Seek(TORRENT, Part::default()));
        world.run(pause);
        world.input(asker, Input::Seek(TORRENT, CURIOUS));
        world.run(Duration::from_secs(20));
        assert_counted(&world, asker, 5, 20);
        // A tracker that comes and goes brings no more walks.
        world.counted.clear();
        for _ in 0..50 {
            world.input(asker, Input::Seek(TORRENT, Part::default()));
            world.input(asker, Input::Seek(TORRENT, CURIOUS));
        }
        world.run(Duration::from_secs(20));
        assert!(world.counted.is_empty());
    }
    world.run(Duration::from_mins(18));
    assert_counted(&world, v4(50), 5, 22);
}

/// Half of the nodes are gone, and each walk waits for some of them.
#[test]
fn a_count_does_not_wait_for_those_who_are_gone() {
    let mut world = World::of(60, 23);
    populate(&mut world);
    world.dead.extend([0, 1, 2, 3, 4, 41, 42, 43, 44, 45].map(v4));
    world.input(v4(50), Input::Seek(TORRENT, CURIOUS));
    world.run(Duration::from_millis(2500));
    assert_counted(&world, v4(50), 5, 20);
}

#[test]
fn filters_are_given_to_who_asks_for_them_of_what_is_known() {
    let mut world = World::of(30, 24);
    let scrape = query(get_peers(false, true));
    assert_eq!(reply(world.ask(v4(1), v4(900), &scrape)).filters, None, "nobody was told of");
    let token = reply(world.ask(v4(1), v4(900), &scrape)).token.unwrap();
    for (port, seed) in [(7000, true), (7001, false)] {
        let question =
            Question::AnnouncePeer { info_hash: NodeId(TORRENT), port: Some(port), token: token.clone(), seed };
        reply(world.ask(v4(1), v4(900), &query(question)));
    }
    world.nodes.get_mut(&v4(1)).unwrap().peers.note(world.now, NodeId(TORRENT), v4(901), false);
    let told = reply(world.ask(v4(1), v4(902), &scrape));
    let mut filters = Filters::default();
    filters.seeds.insert(v4(900).ip());
    filters.peers.insert(v4(900).ip());
    filters.peers.insert(v4(901).ip());
    assert_eq!(told.filters, Some(Box::new(filters)));
    assert_eq!(told.values.len(), 3);
    assert_eq!(reply(world.ask(v4(1), v4(902), &query(get_peers(false, false)))).filters, None, "nobody asked");
    let leechers = reply(world.ask(v4(1), v4(902), &query(get_peers(true, true))));
    assert_eq!(leechers.values.len(), 2);
    assert_eq!(leechers.filters, told.filters, "who wants no seeds may count them");
}

#[test]
fn answers_with_filters_stay_small_and_strangers_get_few() {
    for (mut world, own, family) in [(World::of(60, 25), v4(1), Family::V4), (World::new(25), v6(100), Family::V6)] {
        for n in 100..140_u16 {
            world.add(v6(n), Vec::new());
            world.input(v6(n), Input::Node(v6(100)));
        }
        world.run(Duration::from_mins(2));
        for n in 1..=100_u16 {
            let node = world.nodes.get_mut(&own).unwrap();
            for peer in [v4(u32::from(n) * 1000), v6(n + 1000)] {
                node.peers.note(world.now, NodeId(TORRENT), peer, n % 2 == 0);
            }
        }
        let scrape = Query { want: Family::ALL.to_vec(), ..query(get_peers(false, true)) };
        let known = world.nodes[&own].side(family).unwrap().table.contacts().next().unwrap().addr;
        let told = reply(world.ask(own, known, &scrape));
        let length = told.encode(NodeId([0; 20]), &[0; 16]).len();
        assert!(length <= 1200, "{length} bytes");
        assert!(told.values.len() >= 10 && told.nodes.iter().all(|node| Family::of(node.addr) == family));
        let estimate = told.filters.unwrap().estimate();
        assert!(estimate.seeds.abs_diff(50) <= 3 && estimate.peers.abs_diff(50) <= 3, "{estimate:?}");
        // Whom it does not know may not be where the question says that he is.
        let stranger = if family == Family::V4 { v4(5000) } else { v6(5000) };
        let answers: Vec<Reply> = (0..20).map(|_| reply(world.ask(own, stranger, &scrape))).collect();
        assert_eq!(answers.iter().filter(|told| told.filters.is_some()).count(), MOST_FILTERS as usize);
        assert!(answers.iter().all(|told| !told.values.is_empty()), "without filters they are as ever");
    }
}

/// A node that says of itself that everybody takes part is not heard, and one that says nothing does no harm.
#[test]
fn one_liar_does_not_spoil_the_count() {
    let mut world = World::of(60, 26);
    populate(&mut world);
    let asker = v4(50);
    world.input(asker, Input::Seek(TORRENT, CURIOUS));
    let full = Filter::read(&[0xff; 256]).unwrap();
    let lie = Reply { filters: Some(Box::new(Filters { seeds: full.clone(), peers: full })), ..Reply::default() };
    // It answers in the place of the first that is asked.
    let queries = &world.nodes[&asker].queries;
    let first = queries.iter().find(|(_, query)| matches!(query.purpose, super::Purpose::Lookup(_)));
    let (number, liar) = first.map(|(number, query)| (*number, query.clone())).unwrap();
    let bytes = lie.encode(liar.id.unwrap(), &number.to_be_bytes());
    world.input(asker, Input::Received(liar.addr, &bytes));
    world.run(Duration::from_secs(10));
    assert_counted(&world, asker, 5, 20);
}

/// What the owner of a key lets nodes keep.
fn write_item(owner: &SigningKey, seq: i64, torrent: u8) -> Signed {
    let value = [b"d2:ih20:".as_slice(), &[torrent; 20], b"e"].concat();
    let text = [format!("3:seqi{seq}e1:v").as_bytes(), &value].concat();
    Signed { key: owner.verifying_key().to_bytes(), signature: owner.sign(&text).to_bytes(), seq, value }
}

#[test]
fn the_latest_that_an_owner_wrote_is_found_among_old_and_forged() {
    let mut world = World::of(20, 11);
    let owner = SigningKey::from_bytes(&[3; 32]);
    let name = ItemName::new(owner.verifying_key().to_bytes(), Vec::new()).unwrap();
    world.input(v4(1), Input::Resolve(&name));
    world.run(Duration::from_mins(1));
    assert!(world.resolved.is_empty() && (2..8).contains(&world.missed), "{} {:?}", world.missed, world.resolved);

    for n in 2..20 {
        let item = match n % 3 {
            0 => write_item(&owner, 4, 0),
            1 => write_item(&owner, 5, 1),
            _ => Signed { seq: 6, ..write_item(&owner, 4, 2) },
        };
        world.kept.insert(v4(n), item);
    }
    world.run(Duration::from_mins(2));
    assert_eq!(world.resolved, [(v4(1), [1; 20])]);
    let missed = world.missed;
    world.run(Duration::from_hours(1));
    assert_eq!((world.resolved.len(), world.missed), (1, missed), "it is looked up no more");
}

#[test]
fn what_is_wanted_no_longer_is_not_looked_up() {
    let mut world = World::of(8, 12);
    let name = ItemName::new([9; 32], b"salt".to_vec()).unwrap();
    world.input(v4(1), Input::Resolve(&name));
    world.run(Duration::from_secs(10));
    let missed = world.missed;
    world.nodes.get_mut(&v4(1)).unwrap().forget(name.target());
    world.run(Duration::from_hours(1));
    assert!(missed > 0 && world.missed <= missed + 1, "{missed} and then {}", world.missed);
}

#[test]
fn an_item_is_sought_before_hundreds_of_torrents() {
    let mut world = World::of(20, 13);
    let owner = SigningKey::from_bytes(&[3; 32]);
    let name = ItemName::new(owner.verifying_key().to_bytes(), Vec::new()).unwrap();
    for n in 2..20 {
        world.kept.insert(v4(n), write_item(&owner, 1, 1));
    }
    for n in 0..1000_u32 {
        let mut torrent = TORRENT;
        torrent[..4].copy_from_slice(&n.to_be_bytes());
        world.input(v4(1), Input::Seek(torrent, Part::default()));
    }
    world.input(v4(1), Input::Resolve(&name));
    world.run(Duration::from_secs(5));
    assert_eq!(world.resolved, [(v4(1), [1; 20])]);
    assert!(world.nodes[&v4(1)].seek_deadline().is_none_or(|at| at <= world.now), "torrents wait yet");
}

#[test]
fn who_asks_anew_does_not_wait_as_long_as_who_asked_before() {
    let mut world = World::of(8, 14);
    let name = ItemName::new([9; 32], Vec::new()).unwrap();
    world.input(v4(1), Input::Resolve(&name));
    world.run(Duration::from_mins(10));
    let missed = world.missed;
    world.input(v4(1), Input::Resolve(&name));
    world.run(Duration::from_secs(20));
    assert!(world.missed >= missed + 2, "{missed} and then {}", world.missed);
}
