//! Peers that lie.

use std::net::SocketAddr;
use std::time::Duration;

use super::lab::{Disk, Lab};
use crate::layout::BlockInfo;
use crate::metainfo::merkle;
use crate::peer::{ConnId, Direction, Message, Reserved};
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

#[test]
fn hashes_of_blocks_name_the_liar_at_once() {
    for spoiler in ["none", "refuses", "lies"] {
        let mut lab = Lab::v2(1, 2);
        let leecher = lab.leecher();
        let (honest_addr, liar_addr, third_addr) = ([198, 18, 7, 1], [198, 18, 7, 2], [198, 18, 7, 3]);
        let [honest_addr, liar_addr, third_addr] =
            [honest_addr, liar_addr, third_addr].map(|ip| SocketAddr::from((ip, 1)));
        let honest = unchoking(&mut lab, leecher, honest_addr);
        let asked = lab.asked(leecher, honest);
        lab.deliver(leecher, honest, asked[0], true);
        let liar = unchoking(&mut lab, leecher, liar_addr);
        let duplicate = lab.asked(leecher, liar);
        lab.heard(leecher, honest);
        lab.deliver(leecher, liar, duplicate[0], false);
        // Whoever has the piece may be asked; the first of them is.
        let request = |message| if let Message::HashRequest(request) = message { Some(request) } else { None };
        let asked = lab.heard(leecher, honest).into_iter().find_map(request).expect("it is asked for the hashes");
        assert_eq!((asked.base, asked.index, asked.length), (0, 0, 2));
        let leaves: Vec<_> = [0, 1].iter().map(|number| merkle::leaf(&lab.bytes(lab.block(0, *number)))).collect();
        let give = |lab: &mut Lab, conn, leaves: &[[u8; 32]]| {
            lab.say(leecher, conn, Message::Hashes { request: asked, hashes: leaves.concat().into() });
        };
        let witness = if spoiler == "none" {
            honest
        } else {
            let third = unchoking(&mut lab, leecher, third_addr);
            if spoiler == "refuses" {
                lab.say(leecher, honest, Message::HashReject(asked));
            } else {
                give(&mut lab, honest, &[[1; 32]; 2]);
            }
            // The liar is asked next, and says nothing.
            lab.pass(Duration::from_secs(9));
            assert!(lab.heard(leecher, third).into_iter().any(|message| request(message) == Some(asked)));
            third
        };
        // What is not asked for is not looked at.
        give(&mut lab, liar, &[[1; 32]; 2]);
        give(&mut lab, witness, &leaves);
        let banned = |event: &Event| if let Event::Banned(addr) = event { Some(*addr) } else { None };
        let banned: Vec<_> = lab.hosts[leecher].events.iter().filter_map(banned).collect();
        let want = if spoiler == "lies" { vec![honest_addr, liar_addr] } else { vec![liar_addr] };
        assert_eq!(banned, want, "{spoiler}");
    }
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
        let (addr, status) = (lab.hosts[liar].addr, lab.status(leecher));
        assert!(status.complete, "{status:?}");
        let banned = |event: &Event| if let Event::Banned(addr) = event { Some(*addr) } else { None };
        let banned: Vec<SocketAddr> = lab.hosts[leecher].events.iter().filter_map(banned).collect();
        assert_eq!(banned, [addr]);
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
        let (liar, status) = (lab.hosts[liar].addr, lab.status(leecher));
        assert!(status.complete, "{status:?}");
        let banned = |event: &Event| if let Event::Banned(addr) = event { Some(*addr) } else { None };
        let banned: Vec<SocketAddr> = lab.hosts[leecher].events.iter().filter_map(banned).collect();
        assert_eq!(banned, [liar]);
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
