//! Connections and trackers over time.

use std::net::SocketAddr;
use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::dht::Part;
use crate::dht::message::Family;
use crate::dht::scrape::{Estimate, Filters};
use crate::peer::{ConnId, Direction, ExtensionHandshake, Message, PeerId, Reserved, Transport};
use crate::swarm::io::CloseReason;
use crate::swarm::{Input, PeerSource, SwarmConfig};
use crate::time::Instant;
use crate::tracker::{AnnounceEvent, AnnounceFailure, AnnounceResponse};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_quiet_connection_is_kept_alive_and_a_dead_one_is_left() {
    let mut lab = Lab::new(4, 1);
    let seed = lab.seed();
    let peer = lab.stranger(seed, Reserved::OURS);
    lab.heard(seed, peer);
    lab.pass(seconds(99));
    assert!(!lab.heard(seed, peer).contains(&Message::KeepAlive));
    lab.pass(seconds(3));
    assert!(lab.heard(seed, peer).contains(&Message::KeepAlive));
    lab.pass(seconds(45));
    assert!(lab.hosts[seed].closed.is_empty());
    lab.pass(seconds(5));
    assert_eq!(lab.hosts[seed].closed, [(peer, CloseReason::Silent)]);
}

#[test]
fn a_peer_that_comes_while_the_next_dial_is_far_off_is_looked_after_at_once() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let dead = SocketAddr::from(([198, 18, 0, 200], 1));
    lab.give(leecher, Input::AddPeers(vec![dead], PeerSource::Owner));
    for _ in 0..5 {
        let (conn, _) = *lab.hosts[leecher].dialled.last().unwrap();
        lab.give(leecher, Input::DialFailed(conn));
        lab.pass(seconds(85));
    }
    let (conn, _) = *lab.hosts[leecher].dialled.last().unwrap();
    lab.give(leecher, Input::DialFailed(conn));
    lab.pass(seconds(2));
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    let due = lab.hosts[leecher].swarm.deadline().unwrap();
    assert!(due <= lab.now + seconds(1), "{due} is too late, it is {}", lab.now);
}

#[test]
fn two_seeds_do_not_hold_places_that_others_need() {
    let mut lab = Lab::new(4, 1);
    let (publisher, subscriber) = (lab.seed(), lab.leecher());
    lab.connect(subscriber, publisher);
    assert!(lab.status(subscriber).complete);
    lab.pass(seconds(5));
    assert!(lab.hosts[publisher].swarm.connections().is_empty(), "both have everything");
    let status = lab.status(publisher);
    assert_eq!(status.copies_milli, 1000, "the copy is counted although it is not connected");
    lab.pass(Duration::from_hours(1));
    assert!(lab.hosts[subscriber].dialled.is_empty());
}

#[test]
fn of_two_crossing_connections_both_sides_keep_the_same() {
    for flip in [false, true] {
        let mut lab = Lab::new(4, 1);
        let mut pair = [lab.seed(), lab.leecher()];
        if flip {
            pair.reverse();
        }
        lab.connect(pair[0], pair[1]);
        lab.connect(pair[1], pair[0]);
        let count = |host: usize| lab.hosts[host].swarm.connections().len();
        assert_eq!((count(0), count(1)), (1, 1));
        let direction = |host: usize| lab.hosts[host].swarm.connections().values().next().unwrap().direction;
        assert_ne!(direction(0), direction(1), "each keeps its end of one connection");
    }
}

#[test]
fn a_second_connection_to_a_peer_is_not_dialled_over_and_over() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let listens = SocketAddr::from(([198, 18, 0, 77], 6881));
    lab.give(leecher, Input::AddPeers(vec![listens], PeerSource::Owner));
    let (dialled, _) = lab.hosts[leecher].dialled[0];
    let first = ConnId(1 << 50);
    let mut handshake = lab.hosts[leecher].swarm.handshake();
    // The greater id keeps what it dialled.
    handshake.peer_id = PeerId([255; 20]);
    for (conn, direction) in [(first, Direction::Incoming), (dialled, Direction::Outgoing)] {
        lab.give(leecher, Input::Joined { conn, addr: listens, direction, transport: Transport::Tcp, handshake });
    }
    assert_eq!(lab.hosts[leecher].closed, [(dialled, CloseReason::Duplicate)]);
    for _ in 0..20 {
        lab.pass(seconds(60));
        lab.say(leecher, first, Message::KeepAlive);
    }
    assert_eq!(lab.hosts[leecher].dialled.len(), 1, "the peer is connected");
}

#[test]
fn two_subscribers_that_both_finish_let_go_of_each_other() {
    let mut lab = Lab::new(8, 1);
    let (publisher, first, second) = (lab.seed(), lab.leecher(), lab.leecher());
    lab.connect(first, publisher);
    lab.connect(second, publisher);
    let (near, _) = lab.connect(first, second);
    assert!(lab.status(first).complete && lab.status(second).complete);
    lab.pass(seconds(5));
    assert!(lab.hosts[first].closed.iter().chain(&lab.hosts[second].closed).any(|(_, r)| *r == CloseReason::Redundant));
    assert!(lab.hosts[first].swarm.connections().get(&near).is_none());
}

#[test]
fn a_peer_that_dialled_us_is_not_dialled() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    let hello = ExtensionHandshake { port: Some(7001), ..ExtensionHandshake::default() };
    lab.say(leecher, peer, Message::Extended { id: 0, payload: hello.encode() });
    let listens = SocketAddr::new(lab.hosts[leecher].swarm.connections()[&peer].addr.ip(), 7001);
    lab.give(leecher, Input::AddPeers(vec![listens], PeerSource::Tracker));
    lab.pass(seconds(60));
    assert!(lab.hosts[leecher].dialled.is_empty());
    lab.give(leecher, Input::Closed(peer));
    lab.pass(seconds(30));
    assert_eq!(lab.hosts[leecher].dialled.first().map(|(_, addr)| *addr), Some(listens));
}

#[test]
fn a_connection_to_ourselves_is_left_and_not_made_again() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let own = lab.hosts[leecher].addr;
    lab.give(leecher, Input::AddPeers(vec![own], PeerSource::Tracker));
    let (conn, _) = lab.hosts[leecher].dialled[0];
    let handshake = lab.hosts[leecher].swarm.handshake();
    lab.give(
        leecher,
        Input::Joined { conn, addr: own, direction: Direction::Outgoing, transport: Transport::Tcp, handshake },
    );
    assert_eq!(lab.hosts[leecher].closed, [(conn, CloseReason::Ourselves)]);
    lab.give(leecher, Input::AddPeers(vec![own], PeerSource::Tracker));
    lab.pass(Duration::from_hours(1));
    assert_eq!(lab.hosts[leecher].dialled.len(), 1);
}

#[test]
fn a_pause_says_stopped_and_its_end_dials_and_says_started_at_once() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let peer = SocketAddr::from(([198, 18, 0, 9], 6881));
    lab.give(leecher, Input::AddPeers(vec![peer], PeerSource::Owner));
    let (conn, _) = lab.hosts[leecher].dialled[0];
    let mut handshake = lab.hosts[leecher].swarm.handshake();
    handshake.peer_id.0[8] ^= 1;
    lab.give(
        leecher,
        Input::Joined { conn, addr: peer, direction: Direction::Outgoing, transport: Transport::Tcp, handshake },
    );
    let started = &lab.hosts[leecher].announced;
    assert_eq!(started.last().unwrap().event, Some(AnnounceEvent::Started));
    lab.answer_tracker(leecher);
    lab.give(leecher, Input::Pause);
    assert_eq!(lab.hosts[leecher].announced.last().unwrap().event, Some(AnnounceEvent::Stopped));
    assert_eq!(lab.hosts[leecher].closed, [(conn, CloseReason::Stopped)]);
    lab.pass(seconds(60));
    assert_eq!(lab.hosts[leecher].dialled.len(), 1, "a paused swarm dials nobody");
    let before = lab.now;
    lab.give(leecher, Input::Unpause);
    lab.pass(seconds(1));
    assert_eq!(lab.hosts[leecher].announced.last().unwrap().event, Some(AnnounceEvent::Started));
    assert_eq!(lab.hosts[leecher].dialled.len(), 2, "at {before}");
}

#[test]
fn a_swarm_that_starts_paused_says_nothing() {
    let mut lab = Lab::new(4, 1);
    let paused = lab.add_paused();
    lab.give(paused, Input::AddPeers(vec![SocketAddr::from(([198, 18, 0, 9], 1))], PeerSource::Owner));
    lab.pass(Duration::from_hours(1));
    assert!(lab.hosts[paused].announced.is_empty() && lab.hosts[paused].dialled.is_empty());
    assert!(lab.hosts[paused].swarm.accepts(lab.now, SocketAddr::from(([198, 18, 0, 9], 1))).is_err());
}

#[test]
fn half_of_the_places_are_left_to_those_who_dial_us() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let most = SwarmConfig::default().max_connections;
    let addrs = (1..=200_u8).map(|n| SocketAddr::from(([198, 18, n, 1], 1))).collect();
    lab.give(leecher, Input::AddPeers(addrs, PeerSource::Tracker));
    let mut joined = 0;
    while let Some((conn, addr)) = lab.hosts[leecher].dialled.get(joined).copied() {
        let mut handshake = lab.hosts[leecher].swarm.handshake();
        handshake.peer_id.0[8..16].copy_from_slice(&conn.0.to_be_bytes());
        lab.give(
            leecher,
            Input::Joined { conn, addr, direction: Direction::Outgoing, transport: Transport::Tcp, handshake },
        );
        lab.pass(seconds(1));
        joined += 1;
    }
    assert_eq!(joined, most / 2);
    assert!(lab.now < Instant::ZERO + Duration::from_mins(2));
}

#[test]
fn peers_are_sought_while_there_is_traffic_and_never_for_a_private_torrent() {
    for private in [false, true] {
        let mut lab = Lab::new(4, 1);
        lab.set_private(private);
        let host = lab.seed();
        assert_eq!(lab.hosts[host].part.is_some(), !private);
        lab.give(host, Input::Pause);
        assert_eq!(lab.hosts[host].part, None);
        lab.give(host, Input::Unpause);
        assert_eq!(lab.hosts[host].part.is_some(), !private);
        lab.give(host, Input::Stop);
        assert_eq!(lab.hosts[host].part, None);
    }
}

/// So many as nodes of the distributed hash table may have counted.
fn counted(info_hash: [u8; 20], seeds: u8, peers: u8) -> Input {
    let mut filters = Filters::default();
    (0..seeds).for_each(|n| filters.seeds.insert([198, 18, 1, n].into()));
    (0..peers).for_each(|n| filters.peers.insert([198, 18, 2, n].into()));
    Input::Counted { info_hash, family: Family::V4, filters: Box::new(filters) }
}

#[test]
fn nodes_are_asked_how_many_there_are_while_no_tracker_tells() {
    let mut lab = Lab::new(4, 1);
    let host = lab.leecher();
    let hash = lab.hosts[host].swarm.info_hash().wire();
    let told = Estimate { seeds: 3, peers: 7 };
    let part = |lab: &Lab| lab.hosts[host].part.unwrap();
    assert_eq!(part(&lab), Part::default(), "the tracker was not heard yet");
    lab.give(host, counted(hash, 3, 7));
    assert_eq!(lab.status(host).dht, None, "nobody wanted to know");
    lab.tracker_says(host, &Err(AnnounceFailure::new("gone")));
    assert!(part(&lab).wants_count);
    lab.give(host, counted(hash, 3, 7));
    assert_eq!(lab.status(host).dht, Some(told));
    lab.pass(Duration::from_mins(10));
    let figures = AnnounceResponse { complete: Some(9), ..AnnounceResponse::new(Duration::from_mins(30)) };
    lab.tracker_says(host, &Ok(figures));
    assert!(!part(&lab).wants_count);
    lab.give(host, counted(hash, 3, 7));
    assert_eq!(lab.status(host).dht, None, "the tracker knows better");
}

#[test]
fn a_tracker_that_says_nothing_of_it_and_a_torrent_without_one_are_as_good_as_none() {
    let mut lab = Lab::new(4, 1);
    let host = lab.leecher();
    lab.answer_tracker(host);
    assert!(lab.hosts[host].part.unwrap().wants_count);
    lab.set_trackers(Vec::new());
    let host = lab.leecher();
    let hash = lab.hosts[host].swarm.info_hash().wire();
    assert!(lab.hosts[host].part.unwrap().wants_count);
    lab.give(host, counted(hash, 3, 7));
    lab.pass(Duration::from_mins(50));
    assert!(lab.status(host).dht.is_some());
    lab.pass(Duration::from_mins(20));
    assert_eq!(lab.status(host).dht, None, "nobody has told for long");
    lab.set_private(true);
    let host = lab.leecher();
    lab.give(host, counted(hash, 3, 7));
    assert_eq!((lab.hosts[host].part, lab.status(host).dht), (None, None));
}

#[test]
fn who_has_everything_is_told_of_as_a_seed() {
    let mut lab = Lab::new(4, 1);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    let is_seed = |lab: &Lab, host: usize| lab.hosts[host].part.unwrap().is_seed;
    assert!(is_seed(&lab, seed) && !is_seed(&lab, leecher));
    lab.connect(leecher, seed);
    assert!(lab.status(leecher).complete && is_seed(&lab, leecher));
}

#[test]
fn nodes_tell_each_other_where_they_are_and_only_once() {
    for (dht, private, told) in [(true, false, true), (false, false, false), (true, true, false)] {
        let mut lab = Lab::new(4, 1);
        lab.set_private(private);
        let host = lab.add(Bitfield::none(4), SwarmConfig { dht, ..SwarmConfig::default() });
        assert_eq!(lab.hosts[host].swarm.handshake().reserved.dht(), told);
        let conn = lab.stranger(host, Reserved::OURS_AND_DHT);
        assert_eq!(lab.heard(host, conn).contains(&Message::Port(6881)), told);
        for port in [7000, 7001] {
            lab.say(host, conn, Message::Port(port));
        }
        let ports: Vec<u16> = lab.hosts[host].nodes.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, if told { vec![7000] } else { vec![] });
        let other = lab.stranger(host, Reserved::OURS);
        assert!(!lab.heard(host, other).iter().any(|message| matches!(message, Message::Port(_))));
    }
}

#[test]
fn peers_outside_and_trackers_hear_of_the_port_at_which_a_router_lets_them_in() {
    let mut lab = Lab::new(4, 1);
    let host = lab.leecher();
    let [outside, neighbour] = [[198, 18, 1, 1], [192, 168, 1, 9]]
        .map(|ip| lab.stranger_at(host, Reserved::OURS, SocketAddr::from((ip, 50_000)), Direction::Incoming));
    lab.pass(Duration::from_secs(5));
    // What is under way to the tracker is followed by another.
    for (outer, told) in [(Some(50_123), 50_123), (None, 6881)] {
        lab.hosts[host].sent.clear();
        lab.hosts[host].announced.clear();
        lab.give(host, Input::ReachedAt(outer));
        lab.answer_tracker(host);
        lab.pass(Duration::from_secs(5));
        for (conn, port) in [(outside, told), (neighbour, 6881)] {
            let hellos = lab.heard(host, conn).into_iter().filter_map(|message| match message {
                Message::Extended { id: 0, payload } => ExtensionHandshake::decode(&payload),
                _ => None,
            });
            assert_eq!(hellos.filter_map(|hello| hello.port).collect::<Vec<_>>(), [port]);
        }
        assert_eq!(lab.hosts[host].announced.first().map(|request| request.port), Some(told));
    }
}
