//! Peers that lie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::lab::{Disk, Lab};
use crate::layout::BlockInfo;
use crate::metainfo::merkle;
use crate::peer::{ConnId, Direction, HashRequest, Message, Reserved};
use crate::swarm::io::CloseReason;
use crate::swarm::{Event, SwarmConfig};

fn unchoking(lab: &mut Lab, host: usize, addr: SocketAddr) -> ConnId {
    let conn = lab.stranger_at(host, Reserved::OURS.with_v2(), addr, Direction::Incoming);
    lab.say(host, conn, Message::HaveAll);
    lab.say(host, conn, Message::Unchoke);
    conn
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([198, 18, 7, 7], port))
}

#[test]
fn a_lone_poisoner_is_banned_with_its_first_piece() {
    let mut lab = Lab::new(4, 2);
    let leecher = lab.leecher();
    let liar = unchoking(&mut lab, leecher, from(1));
    for block in lab.asked(leecher, liar) {
        lab.deliver(leecher, liar, block, false);
    }
    assert_eq!(lab.hosts[leecher].closed, [(liar, CloseReason::Banned)]);
    assert_eq!(lab.hosts[leecher].events, [Event::Banned(from(1))]);
    assert_eq!(lab.status(leecher).pieces_have, 0);
}

#[test]
fn a_poisoner_that_comes_back_from_other_ports_is_shut_out() {
    let mut lab = Lab::new(20, 1);
    let leecher = lab.leecher();
    let mut pieces = 0;
    for port in 1..=100 {
        let liar = unchoking(&mut lab, leecher, from(port));
        for block in lab.asked(leecher, liar) {
            pieces += 1;
            lab.deliver(leecher, liar, block, false);
        }
    }
    assert!(pieces <= 12, "it could send {pieces} bad pieces");
    assert_eq!(lab.hosts[leecher].swarm.accepts(lab.now, from(999)), Err(CloseReason::Banned));
    let neighbour = SocketAddr::from(([198, 18, 7, 8], 1));
    assert_eq!(lab.hosts[leecher].swarm.accepts(lab.now, neighbour), Ok(()));
}

#[test]
fn among_two_senders_of_a_bad_piece_only_the_liar_is_banned() {
    let mut lab = Lab::new(1, 2);
    let leecher = lab.leecher();
    let (honest_addr, liar_addr) = (SocketAddr::from(([198, 18, 7, 1], 1)), SocketAddr::from(([198, 18, 7, 2], 1)));
    let honest = unchoking(&mut lab, leecher, honest_addr);
    let asked = lab.asked(leecher, honest);
    lab.deliver(leecher, honest, asked[0], true);
    let liar = unchoking(&mut lab, leecher, liar_addr);
    let duplicate = lab.asked(leecher, liar);
    assert_eq!(duplicate, asked[1..], "the end game asks for the second block again");
    lab.deliver(leecher, liar, duplicate[0], false);
    assert!(lab.hosts[leecher].events.is_empty(), "nothing is proven yet");
    // The piece is now asked of one peer alone, and the good copy tells.
    let mut wanted: Vec<(ConnId, BlockInfo)> = Vec::new();
    for _ in 0..10 {
        for conn in [honest, liar] {
            wanted.extend(lab.asked(leecher, conn).into_iter().map(|block| (conn, block)));
        }
        for (conn, block) in wanted.drain(..) {
            lab.deliver(leecher, conn, block, conn == honest);
        }
    }
    assert!(lab.status(leecher).complete);
    let banned: Vec<_> = lab.hosts[leecher].events.iter().filter(|event| matches!(event, Event::Banned(_))).collect();
    assert_eq!(banned, [&Event::Banned(liar_addr)]);
}

/// A v2 torrent of a piece of two blocks: one peer sent the first, which is good, and another the second, which is not.
/// Gives the lab, its leecher, the two peers, and what both were asked for then.
fn one_bad_block() -> (Lab, usize, [ConnId; 2], HashRequest) {
    let mut lab = Lab::v2(1, 2);
    let leecher = lab.leecher();
    let honest = unchoking(&mut lab, leecher, HONEST);
    let asked = lab.asked(leecher, honest);
    lab.deliver(leecher, honest, asked[0], true);
    let liar = unchoking(&mut lab, leecher, LIAR);
    let duplicate = lab.asked(leecher, liar);
    assert_eq!(duplicate, asked[1..], "the end game asks for the second block again");
    lab.heard(leecher, honest);
    lab.deliver(leecher, liar, duplicate[0], false);
    let requests = [honest, liar].map(|conn| asked_for_hashes(&mut lab, leecher, conn).expect("it has the piece"));
    assert_eq!(requests[0], requests[1]);
    (lab, leecher, [honest, liar], requests[0])
}

const HONEST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 7, 1)), 1);
const LIAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 7, 2)), 1);
const THIRD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 7, 3)), 1);

fn asked_for_hashes(lab: &mut Lab, host: usize, conn: ConnId) -> Option<HashRequest> {
    let request = |message| if let Message::HashRequest(request) = message { Some(request) } else { None };
    lab.heard(host, conn).into_iter().find_map(request)
}

/// The peer answers with the hashes of the blocks, or with `odd` ones.
fn tell_hashes(lab: &mut Lab, host: usize, conn: ConnId, request: HashRequest, odd: Option<&[[u8; 32]]>) {
    let blocks = [0, 1].map(|number| merkle::leaf(&lab.bytes(lab.block(0, number))));
    let hashes = odd.unwrap_or(&blocks).concat().into();
    lab.say(host, conn, Message::Hashes { request, hashes });
}

fn banned(lab: &Lab, host: usize) -> Vec<SocketAddr> {
    let addr = |event: &Event| if let Event::Banned(addr) = event { Some(*addr) } else { None };
    lab.hosts[host].events.iter().filter_map(addr).collect()
}

#[test]
fn a_poisoner_of_a_v2_torrent_is_banned_after_its_first_bad_block() {
    let (mut lab, leecher, [honest, liar], request) = one_bad_block();
    assert_eq!((request.base, request.index, request.length), (0, 0, 2));
    assert_eq!(banned(&lab, leecher), []);
    // It was the only one, no time has passed, and no good copy has come.
    tell_hashes(&mut lab, leecher, honest, request, None);
    assert_eq!(banned(&lab, leecher), [LIAR]);
    assert_eq!(lab.hosts[leecher].closed, [(liar, CloseReason::Banned)]);
    assert_eq!(lab.status(leecher).pieces_have, 0);
}

#[test]
fn who_lies_about_hashes_is_banned_and_who_refuses_or_misunderstands_is_not() {
    // In vain the liar lies about the hashes, too: it is found by either.
    let (mut lab, leecher, [honest, liar], request) = one_bad_block();
    tell_hashes(&mut lab, leecher, liar, request, Some(&[[1; 32]; 2]));
    assert_eq!(banned(&lab, leecher), [LIAR]);
    tell_hashes(&mut lab, leecher, honest, request, None);
    assert_eq!(banned(&lab, leecher)[0], LIAR);
    assert!(!banned(&lab, leecher).contains(&HONEST));

    for is_refusal in [true, false] {
        let (mut lab, leecher, [honest, liar], request) = one_bad_block();
        // Nobody is believed who was not asked.
        let third = unchoking(&mut lab, leecher, THIRD);
        tell_hashes(&mut lab, leecher, third, request, Some(&[[1; 32]; 2]));
        assert_eq!(banned(&lab, leecher), []);
        if is_refusal {
            lab.say(leecher, honest, Message::HashReject(request));
        } else {
            tell_hashes(&mut lab, leecher, honest, request, Some(&[[1; 32]; 3]));
        }
        assert_eq!(asked_for_hashes(&mut lab, leecher, third), Some(request), "others are asked at once");
        tell_hashes(&mut lab, leecher, third, request, None);
        assert_eq!(banned(&lab, leecher), [LIAR]);
        // What was asked is answered.
        tell_hashes(&mut lab, leecher, liar, request, Some(&[[1; 32]; 2]));
        assert_eq!(banned(&lab, leecher), [LIAR]);
    }
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    let (mut lab, leecher, _, request) = one_bad_block();
    let third = unchoking(&mut lab, leecher, THIRD);
    lab.pass(Duration::from_secs(9));
    assert_eq!(asked_for_hashes(&mut lab, leecher, third), Some(request));
    tell_hashes(&mut lab, leecher, third, request, None);
    assert_eq!(banned(&lab, leecher), [LIAR]);
}

#[test]
fn a_poisoner_of_a_v2_torrent_is_banned_after_its_first_bad_piece_and_nobody_else() {
    for seed in 0..10 {
        let mut lab = Lab::v2(20, 4);
        for _ in 0..seed {
            lab.leecher();
        }
        let (honest, other, liar, leecher) = (lab.seed(), lab.seed(), lab.seed(), lab.leecher());
        lab.hosts[liar].disk = Disk::Lies;
        for peer in [liar, honest, other] {
            lab.connect(leecher, peer);
        }
        lab.pass(Duration::from_secs(30));
        let status = lab.status(leecher);
        assert!(status.complete, "{status:?}");
        assert_eq!(banned(&lab, leecher), [lab.hosts[liar].addr]);
    }
}

#[test]
fn one_liar_among_honest_peers_costs_little_and_is_found() {
    for seed in 0..10 {
        let mut lab = Lab::new(20, 4);
        // Other hosts before it give the leecher other dice.
        for _ in 0..seed {
            lab.leecher();
        }
        let (honest, liar, leecher) = (lab.seed(), lab.seed(), lab.leecher());
        lab.hosts[liar].disk = Disk::Lies;
        lab.connect(leecher, liar);
        lab.connect(leecher, honest);
        lab.pass(Duration::from_secs(30));
        let status = lab.status(leecher);
        assert!(status.complete, "{status:?}");
        assert_eq!(banned(&lab, leecher), [lab.hosts[liar].addr]);
    }
}

#[test]
fn one_network_never_holds_all_places() {
    let mut lab = Lab::new(4, 1);
    let seed = lab.seed();
    let most = SwarmConfig::default().max_connections;
    for port in 1..=200 {
        lab.stranger_at(seed, Reserved::OURS, from(port), Direction::Incoming);
    }
    assert_eq!(lab.hosts[seed].swarm.connections().len(), most / 4);
    assert_eq!(lab.hosts[seed].swarm.accepts(lab.now, SocketAddr::from(([198, 18, 7, 8], 1))), Ok(()));
    for port in 1..=200 {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        lab.stranger_at(seed, Reserved::OURS, local, Direction::Incoming);
    }
    assert_eq!(lab.hosts[seed].swarm.connections().len(), most);
}

#[test]
fn a_peer_that_sends_what_nobody_asked_for_is_left() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    for _ in 0..100 {
        let block = lab.block(2, 0);
        lab.deliver(leecher, peer, block, true);
    }
    assert!(matches!(lab.hosts[leecher].closed[..], [(conn, CloseReason::Fault(_))] if conn == peer));
    assert_eq!(lab.status(leecher).pieces_have, 0);
}
