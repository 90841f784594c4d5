//! Peers that tell of one another, and strangers who tell lies.

use std::net::SocketAddr;
use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::peer::connection::PeerFault;
use crate::peer::exchange::{Contact, ContactFlags, ExchangeMessage};
use crate::peer::extension::OUR_EXCHANGE_ID;
use crate::peer::{ConnId, Direction, ExtensionHandshake, Message, Reserved};
use crate::swarm::SwarmConfig;
use crate::swarm::io::CloseReason;
use crate::swarm::peers::{MAX_NAMED, MAX_NAMED_BY_ONE};

/// The number under which strangers of these tests take messages of peer exchange.
const THEIR_ID: u8 = 7;

fn hello(exchange: u8) -> Message {
    let handshake = ExtensionHandshake { port: Some(6881), exchange: Some(exchange), ..ExtensionHandshake::default() };
    Message::Extended { id: 0, payload: handshake.encode() }
}

/// A stranger that listens on port 6881 of this address and understands peer exchange.
fn stranger(lab: &mut Lab, host: usize, ip: [u8; 4]) -> ConnId {
    let conn = lab.stranger_at(host, Reserved::OURS, SocketAddr::from((ip, 50_000)), Direction::Incoming);
    lab.say(host, conn, hello(THEIR_ID));
    conn
}

fn named(addrs: impl IntoIterator<Item = SocketAddr>) -> Message {
    let added = addrs.into_iter().map(|addr| Contact { addr, flags: ContactFlags::default() }).collect();
    let message = ExchangeMessage { added, dropped: Vec::new() };
    Message::Extended { id: OUR_EXCHANGE_ID, payload: message.encode() }
}

/// What the peer was told of others since this was last asked.
fn told(lab: &mut Lab, host: usize, conn: ConnId) -> Vec<ExchangeMessage> {
    let exchange = |message| match message {
        Message::Extended { id: THEIR_ID, payload } => ExchangeMessage::decode(&payload),
        _ => None,
    };
    lab.heard(host, conn).into_iter().filter_map(exchange).collect()
}

fn dialled(lab: &Lab, host: usize) -> Vec<SocketAddr> {
    lab.hosts[host].dialled.iter().map(|(_, addr)| *addr).collect()
}

fn far(n: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([198, 19, high, low], 6881))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn three_hosts_of_which_one_knows_the_others_all_meet() {
    let mut lab = Lab::new(8, 1);
    // It serves nobody, or they would be done before they meet.
    let mute = SwarmConfig { upload: false, ..SwarmConfig::default() };
    let (seed, first, second) = (lab.add(Bitfield::all(8), mute), lab.leecher(), lab.leecher());
    lab.connect(first, seed);
    lab.connect(second, seed);
    let (a, b) = (lab.hosts[first].addr, lab.hosts[second].addr);
    lab.pass(seconds(9));
    assert!(dialled(&lab, first).is_empty());
    lab.pass(seconds(3));
    assert!(dialled(&lab, first).contains(&b) && dialled(&lab, second).contains(&a));
}

#[test]
fn a_peer_hears_of_others_with_what_is_known_of_them() {
    let mut lab = Lab::new(8, 1);
    let host = lab.leecher();
    let listener = stranger(&mut lab, host, [198, 18, 1, 1]);
    let seed = stranger(&mut lab, host, [198, 18, 1, 2]);
    lab.say(host, seed, Message::HaveAll);
    lab.stranger_at(host, Reserved::OURS, far(3), Direction::Outgoing);
    // Of this one it is not known where it listens.
    lab.stranger_at(host, Reserved::OURS, far(4), Direction::Incoming);
    lab.pass(seconds(11));
    let [message] = &told(&mut lab, host, listener)[..] else { panic!("one message") };
    let added: Vec<_> = message.added.iter().map(|contact| (contact.addr, contact.flags)).collect();
    let seed_addr = SocketAddr::from(([198, 18, 1, 2], 6881));
    assert_eq!(added, [(seed_addr, ContactFlags::new(true, false)), (far(3), ContactFlags::new(false, true))]);
    lab.give(host, crate::swarm::Input::Closed(seed));
    lab.pass(seconds(58));
    assert!(told(&mut lab, host, listener).is_empty(), "once a minute");
    lab.pass(seconds(2));
    assert_eq!(told(&mut lab, host, listener), [ExchangeMessage { added: vec![], dropped: vec![seed_addr] }]);
}

#[test]
fn who_does_not_take_such_messages_gets_none() {
    let mut lab = Lab::new(8, 1);
    let host = lab.leecher();
    let other = stranger(&mut lab, host, [198, 18, 1, 1]);
    let mute = stranger(&mut lab, host, [198, 18, 1, 2]);
    lab.say(host, mute, hello(0));
    lab.pass(seconds(100));
    assert!(told(&mut lab, host, mute).is_empty() && !told(&mut lab, host, other).is_empty());
}

#[test]
fn in_a_private_torrent_and_where_the_owner_forbids_it_nobody_is_told_or_believed() {
    let forbidden = SwarmConfig { exchange: false, ..SwarmConfig::default() };
    for (private, config) in [(true, SwarmConfig::default()), (false, forbidden)] {
        let mut lab = Lab::new(8, 1);
        lab.set_private(private);
        let host = lab.add(Bitfield::none(8), config);
        let conns = [1, 2].map(|n| stranger(&mut lab, host, [198, 18, 1, n]));
        lab.say(host, conns[0], named([far(1)]));
        lab.pass(seconds(100));
        assert!(dialled(&lab, host).is_empty());
        for conn in conns {
            let hellos = lab.heard(host, conn).into_iter().filter_map(|message| match message {
                Message::Extended { id: 0, payload } => ExtensionHandshake::decode(&payload),
                Message::Extended { .. } => panic!("it was told"),
                _ => None,
            });
            assert!(hellos.into_iter().all(|hello| hello.exchange.is_none()));
        }
    }
}

#[test]
fn what_others_name_is_dialled_after_what_the_tracker_names() {
    let mut lab = Lab::new(8, 1);
    let host = lab.add(Bitfield::none(8), SwarmConfig { max_dials: 4, ..SwarmConfig::default() });
    let teller = stranger(&mut lab, host, [198, 18, 1, 1]);
    lab.say(host, teller, named((100..150).map(far)));
    lab.give(host, crate::swarm::Input::AddPeers((0..4).map(far).collect(), crate::swarm::PeerSource::Tracker));
    lab.pass(seconds(1));
    let mut first = dialled(&lab, host);
    first.sort();
    assert_eq!(first, (0..4).map(far).collect::<Vec<_>>());
}

#[test]
fn one_liar_fills_a_tenth_of_the_address_book_and_many_a_half() {
    let mut lab = Lab::new(8, 1);
    let host = lab.add(Bitfield::none(8), SwarmConfig { max_dials: 0, ..SwarmConfig::default() });
    let liar = stranger(&mut lab, host, [198, 18, 1, 1]);
    for batch in 0..20 {
        lab.say(host, liar, named((0..50).map(|n| far(batch * 50 + n))));
        lab.pass(seconds(20));
    }
    let known = |lab: &mut Lab| lab.status(host).known_peers as usize - lab.hosts[host].swarm.connections().len();
    assert_eq!(known(&mut lab), MAX_NAMED_BY_ONE);
    for (n, batch) in (2..40).zip(20..) {
        let liar = stranger(&mut lab, host, [198, 18, 1, n]);
        lab.say(host, liar, named((0..50).map(|n| far(batch * 50 + n))));
    }
    assert_eq!(known(&mut lab), MAX_NAMED);
}

#[test]
fn a_stranger_cannot_aim_us_at_private_hosts_or_at_all_ports_of_one() {
    let mut lab = Lab::new(8, 1);
    let host = lab.leecher();
    let liar = stranger(&mut lab, host, [198, 18, 1, 1]);
    let hidden = ["127.0.0.1:22", "10.0.0.1:80", "[::1]:5", "[fd00::1]:5", "169.254.1.1:9", "[::ffff:127.0.0.1]:22"];
    lab.say(host, liar, named(hidden.map(|addr| addr.parse().unwrap())));
    lab.say(host, liar, named((1..50).map(|port| SocketAddr::from(([198, 19, 0, 1], port)))));
    lab.say(host, liar, named(["0.0.0.0:5", "198.19.0.2:0", "224.0.0.1:5"].map(|addr| addr.parse().unwrap())));
    lab.pass(seconds(5));
    assert_eq!(dialled(&lab, host).len(), 4);
    // Who is on the site may name its hosts.
    let near = stranger(&mut lab, host, [10, 0, 0, 9]);
    lab.say(host, near, named(hidden.map(|addr| addr.parse().unwrap())));
    lab.pass(seconds(5));
    let site = ["10.0.0.1:80", "[fd00::1]:5", "169.254.1.1:9"];
    let later = &dialled(&lab, host)[4..];
    assert_eq!(later.len(), site.len());
    assert!(site.iter().all(|addr| later.contains(&addr.parse().unwrap())), "{later:?}");
}

#[test]
fn who_floods_is_left() {
    let mut lab = Lab::new(8, 1);
    let host = lab.leecher();
    let liar = stranger(&mut lab, host, [198, 18, 1, 1]);
    for n in 0..61 {
        lab.say(host, liar, named([far(n)]));
    }
    assert_eq!(lab.hosts[host].closed, [(liar, CloseReason::Fault(PeerFault::ExchangeFlood(61)))]);
    assert!(lab.status(host).known_peers <= 7);
}
