//! Who is dialled first, and who makes way when all places are taken.

use std::net::SocketAddr;
use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::peer::{ConnId, Direction, ExtensionHandshake, Message, Reserved};
use crate::swarm::io::CloseReason;
use crate::swarm::priority::priority;
use crate::swarm::{Input, PeerSource, SwarmConfig};

const OURS: [u8; 4] = [198, 18, 0, 1];

fn hello() -> Message {
    let handshake =
        ExtensionHandshake { your_ip: Some(OURS.into()), port: Some(6881), ..ExtensionHandshake::default() };
    Message::Extended { id: 0, payload: handshake.encode() }
}

/// So many addresses, that of the lowest priority first.
fn by_priority(count: u8) -> Vec<SocketAddr> {
    let mut addrs: Vec<_> = (1..=count).map(|n| SocketAddr::from(([198, 18, n, 7], 6881))).collect();
    addrs.sort_by_key(|addr| priority(SocketAddr::from((OURS, 6881)), *addr));
    addrs
}

/// A leecher with so many places.
fn leecher(lab: &mut Lab, places: usize) -> usize {
    lab.add(Bitfield::none(8), SwarmConfig { max_connections: places, ..SwarmConfig::default() })
}

/// A peer that dials us, has everything and lets us wait.
fn waiting(lab: &mut Lab, host: usize, addr: SocketAddr) -> ConnId {
    let conn = lab.stranger_at(host, Reserved::OURS, SocketAddr::new(addr.ip(), 50_000), Direction::Incoming);
    lab.say(host, conn, hello());
    lab.say(host, conn, Message::HaveAll);
    conn
}

fn accepts(lab: &Lab, host: usize, addr: SocketAddr) -> bool {
    lab.hosts[host].swarm.accepts(lab.now, addr).is_ok()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_newcomer_of_higher_priority_takes_the_place_of_the_lowest_that_only_waits() {
    let mut lab = Lab::new(8, 1);
    let host = leecher(&mut lab, 4);
    let addrs = by_priority(7);
    let conns: Vec<_> = addrs[1..5].iter().map(|addr| waiting(&mut lab, host, *addr)).collect();
    lab.pass(seconds(14));
    assert!(!accepts(&lab, host, addrs[6]), "they have just come");
    lab.pass(seconds(1));
    assert!(!accepts(&lab, host, addrs[0]), "its priority is lower than everybody's");
    waiting(&mut lab, host, addrs[6]);
    assert_eq!(lab.hosts[host].closed, [(conns[0], CloseReason::MadeWay)]);
    assert!(!accepts(&lab, host, addrs[5]), "one at a time");
    lab.pass(seconds(1));
    waiting(&mut lab, host, addrs[5]);
    assert_eq!(lab.hosts[host].closed[1..], [(conns[1], CloseReason::MadeWay)]);
    lab.pass(seconds(1));
    assert!(!accepts(&lab, host, addrs[1]) && !accepts(&lab, host, addrs[2]), "who made way is not wanted back");
}

#[test]
fn while_places_are_free_nobody_is_refused_for_his_priority() {
    let mut lab = Lab::new(8, 1);
    let host = leecher(&mut lab, 4);
    let addrs = by_priority(4);
    for addr in addrs.iter().rev() {
        assert!(accepts(&lab, host, *addr));
        waiting(&mut lab, host, *addr);
    }
    assert!(lab.hosts[host].closed.is_empty());
}

#[test]
fn who_gives_or_takes_stays_and_who_is_of_no_use_goes() {
    let mut lab = Lab::new(8, 1);
    let host = leecher(&mut lab, 3);
    let addrs = by_priority(6);
    let (giving, waits) = (waiting(&mut lab, host, addrs[1]), waiting(&mut lab, host, addrs[2]));
    lab.say(host, giving, Message::Unchoke);
    let useless = lab.stranger_at(host, Reserved::OURS, addrs[5], Direction::Incoming);
    lab.say(host, useless, hello());
    lab.pass(seconds(16));
    waiting(&mut lab, host, addrs[3]);
    assert_eq!(lab.hosts[host].closed, [(waits, CloseReason::MadeWay)]);
    lab.pass(seconds(45));
    waiting(&mut lab, host, addrs[0]);
    assert_eq!(lab.hosts[host].closed[1..], [(useless, CloseReason::MadeWay)]);
}

#[test]
fn the_addresses_of_the_highest_priority_are_dialled_first() {
    let mut lab = Lab::new(8, 1);
    let host = lab.add(Bitfield::none(8), SwarmConfig { max_dials: 3, ..SwarmConfig::default() });
    waiting(&mut lab, host, SocketAddr::from(([198, 18, 200, 7], 6881)));
    let addrs = by_priority(20);
    lab.give(host, Input::AddPeers(addrs.clone(), PeerSource::Tracker));
    let dialled: Vec<_> = lab.hosts[host].dialled.iter().map(|(_, addr)| *addr).collect();
    assert_eq!(dialled, addrs[17..].iter().rev().copied().collect::<Vec<_>>());
}
