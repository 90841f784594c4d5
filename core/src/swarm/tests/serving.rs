//! Choking and uploading.

use std::time::Duration;

use bytes::Bytes;

use super::lab::{Disk, Lab};
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, PieceIndex};
use crate::peer::message::MAX_RUN;
use crate::peer::{ConnId, ExtensionHandshake, Message, Reserved};
use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::swarm::io::CloseReason;
use crate::swarm::{Input, SwarmConfig, TorrentState};

fn interested(lab: &mut Lab, host: usize) -> ConnId {
    let conn = lab.stranger(host, Reserved::OURS);
    lab.say(host, conn, Message::HaveNone);
    lab.say(host, conn, Message::Interested);
    conn
}

fn blocks(heard: &[Message]) -> usize {
    heard.iter().filter(|message| matches!(message, Message::Piece { .. })).count()
}

fn rejects(heard: &[Message]) -> usize {
    heard.iter().filter(|message| matches!(message, Message::RejectRequest(_))).count()
}

#[test]
fn interest_is_answered_by_an_unchoke_while_there_are_slots() {
    let mut lab = Lab::new(20, 2);
    let seed = lab.seed();
    let slots = lab.hosts[seed].swarm.slots();
    for n in 0..slots + 3 {
        let conn = interested(&mut lab, seed);
        assert_eq!(lab.heard(seed, conn).contains(&Message::Unchoke), n < slots, "peer {n}");
    }
    let leaving = *lab.hosts[seed].swarm.connections().keys().next().unwrap();
    let waiting: Vec<ConnId> = lab.hosts[seed].swarm.connections().keys().copied().skip(slots).collect();
    lab.say(seed, leaving, Message::NotInterested);
    assert!(lab.heard(seed, leaving).contains(&Message::Choke));
    assert!(lab.heard(seed, waiting[0]).contains(&Message::Unchoke), "whoever waited longest comes next");
}

#[test]
fn a_piece_is_announced_to_those_who_lack_it_and_to_seeds_which_count_copies() {
    let mut lab = Lab::new(16, 1);
    let (leecher, seed) = (lab.leecher(), lab.seed());
    let [lacks, has_most] = [[0, 0], [0xff, 0xfe]].map(|bits| {
        let conn = lab.stranger(leecher, Reserved::OURS);
        lab.say(leecher, conn, Message::Bitfield(Bytes::from_owner(bits)));
        conn
    });
    let (near, far) = lab.connect(leecher, seed);
    assert!(lab.status(leecher).complete);
    let haves = |heard: Vec<Message>| heard.iter().filter(|message| matches!(message, Message::Have(_))).count();
    let told = [near, lacks, has_most].map(|conn| haves(lab.heard(leecher, conn)));
    assert_eq!(told, [16, 16, 1]);
    assert!(lab.hosts[seed].swarm.connections()[&far].is_seed());
    assert_eq!(lab.status(seed).copies_milli, 1000);
}

/// A seed that sends runs of blocks at any speed, and a stranger that says it takes runs of so many bytes.
fn taker_of_runs(longest: Option<u32>) -> (Lab, usize, ConnId) {
    let mut lab = Lab::new(20, 8);
    let seed = lab.add(Bitfield::all(20), SwarmConfig { run_rate: Rate(0), ..SwarmConfig::default() });
    let conn = interested(&mut lab, seed);
    let hello = ExtensionHandshake { run: longest, ..ExtensionHandshake::default() };
    lab.say(seed, conn, Message::Extended { id: 0, payload: hello.encode() });
    (lab, seed, conn)
}

fn ask_for_all(lab: &mut Lab, seed: usize, conn: ConnId) -> Vec<Message> {
    let wanted = (0..20).flat_map(|piece| (0..8).map(move |number| (piece, number)));
    let wanted: Vec<_> = wanted.map(|(piece, number)| Message::Request(lab.block(piece, number))).collect();
    lab.give(seed, Input::ReceivedTogether(conn, wanted));
    lab.heard(seed, conn)
}

#[test]
fn who_takes_runs_is_sent_each_block_once_in_runs() {
    let (mut lab, seed, conn) = taker_of_runs(Some(4 * BLOCK_LENGTH));
    assert_eq!(blocks(&ask_for_all(&mut lab, seed, conn)), 160);
    assert!(lab.hosts[seed].runs > 0);
    assert_eq!(lab.status(seed).uploaded, 160 * u64::from(BLOCK_LENGTH));
    assert_eq!(lab.hosts[seed].swarm.connections()[&conn].uploads.pending_bytes(), 0);
}

#[test]
fn who_does_not_say_that_it_takes_runs_is_sent_none() {
    for longest in [None, Some(0), Some(BLOCK_LENGTH)] {
        let (mut lab, seed, conn) = taker_of_runs(longest);
        assert_eq!((blocks(&ask_for_all(&mut lab, seed, conn)), lab.hosts[seed].runs), (160, 0));
    }
}

#[test]
fn who_is_held_back_by_a_limit_is_sent_blocks_one_by_one() {
    let (mut lab, seed, conn) = taker_of_runs(Some(MAX_RUN));
    lab.hosts[seed].limits.all.up = Some(TokenBucket::new(Rate(1 << 20), ByteCount(1 << 20), lab.now));
    ask_for_all(&mut lab, seed, conn);
    lab.pass(Duration::from_secs(10));
    assert_eq!((lab.status(seed).uploaded, lab.hosts[seed].runs), (160 * u64::from(BLOCK_LENGTH), 0));
}

#[test]
fn a_run_that_cannot_be_read_is_a_fault_of_the_disk() {
    let (mut lab, seed, conn) = taker_of_runs(Some(MAX_RUN));
    lab.hosts[seed].disk = Disk::Unreadable;
    ask_for_all(&mut lab, seed, conn);
    let status = lab.status(seed);
    assert_eq!((status.state, status.error.as_deref()), (TorrentState::Failed, Some("read `episode.mp3`")));
}

#[test]
fn a_choked_peer_gets_the_granted_pieces_twice_at_most() {
    let mut lab = Lab::new(100, 1);
    let seed = lab.seed();
    let few = interested(&mut lab, seed);
    assert!(lab.hosts[seed].swarm.slots() > 1);
    for _ in 0..lab.hosts[seed].swarm.slots() {
        let conn = interested(&mut lab, seed);
        for piece in 0..100 {
            lab.say(seed, conn, Message::Have(PieceIndex(piece)));
        }
    }
    lab.heard(seed, few);
    let choked = interested(&mut lab, seed);
    let heard = lab.heard(seed, choked);
    let granted: Vec<PieceIndex> = heard
        .iter()
        .filter_map(|message| if let Message::AllowedFast(piece) = message { Some(*piece) } else { None })
        .collect();
    assert_eq!(granted.len(), 5);
    let request = |piece| Message::Request(crate::layout::BlockInfo { piece, begin: 0, length: 16 * 1024 });
    let other = (0..100).map(PieceIndex).find(|piece| !granted.contains(piece)).unwrap();
    lab.say(seed, choked, request(other));
    assert_eq!(rejects(&lab.heard(seed, choked)), 1);
    for _ in 0..10 {
        for piece in &granted {
            lab.say(seed, choked, request(*piece));
        }
    }
    let heard = lab.heard(seed, choked);
    assert_eq!((blocks(&heard), rejects(&heard)), (10, 40));
}

#[test]
fn who_is_told_not_to_upload_gives_nothing() {
    let mut lab = Lab::new(100, 1);
    let host = lab.add(Bitfield::all(100), SwarmConfig { upload: false, ..SwarmConfig::default() });
    let peer = interested(&mut lab, host);
    lab.pass(Duration::from_secs(40));
    for piece in 0..100 {
        let block = lab.block(piece, 0);
        lab.say(host, peer, Message::Request(block));
    }
    let heard = lab.heard(host, peer);
    assert_eq!((blocks(&heard), rejects(&heard)), (0, 100));
    let offers = heard.iter().any(|message| matches!(message, Message::Unchoke | Message::AllowedFast(_)));
    assert!(!offers, "{heard:?}");
}

#[test]
fn a_flood_of_requests_from_a_peer_that_does_not_read_is_bounded_and_ends() {
    let mut lab = Lab::new(100, 4);
    let seed = lab.seed();
    let flood = interested(&mut lab, seed);
    lab.hosts[seed].deaf.insert(flood);
    for number in 0..200_000_u32 {
        let block = lab.block(number % 100, number / 100 % 4);
        lab.say(seed, flood, Message::Request(block));
    }
    let pending = lab.hosts[seed].swarm.connections()[&flood].uploads.pending_bytes();
    assert!(pending <= 128 * 1024, "{pending}");
    // It goes on talking, so silence is not what ends it.
    for _ in 0..12 {
        lab.pass(Duration::from_secs(6));
        lab.say(seed, flood, Message::KeepAlive);
    }
    assert_eq!(lab.hosts[seed].closed, [(flood, CloseReason::Stuck)]);
}

#[test]
fn a_turn_begins_when_the_one_before_has_left_or_leaves_no_more() {
    let mut lab = Lab::new(100, 4);
    let seed = lab.seed();
    let [first, second] = [0, 1].map(|_| interested(&mut lab, seed));
    lab.hosts[seed].deaf.insert(first);
    for (conn, piece) in [(first, 0), (second, 1)] {
        for number in 0..4 {
            let block = lab.block(piece, number);
            lab.say(seed, conn, Message::Request(block));
        }
    }
    assert_eq!([first, second].map(|conn| blocks(&lab.heard(seed, conn))), [4, 0]);
    lab.pass(Duration::from_secs(2));
    assert_eq!(blocks(&lab.heard(seed, second)), 4);
}

#[test]
fn slots_do_not_stay_with_peers_that_never_ask() {
    let mut lab = Lab::new(20, 1);
    let seed = lab.seed();
    let idlers: Vec<ConnId> = (0..20).map(|_| interested(&mut lab, seed)).collect();
    let asks = interested(&mut lab, seed);
    lab.pass(Duration::from_secs(25));
    let unchoked = lab.heard(seed, asks).contains(&Message::Unchoke);
    assert!(unchoked, "21 peers, 9 slots: it must be in by the third round");
    let peers = lab.hosts[seed].swarm.connections();
    assert!(idlers.iter().any(|conn| peers[conn].am_choking));
}

#[test]
fn a_disk_that_cannot_be_read_chokes_everybody_until_it_can() {
    let mut lab = Lab::new(20, 1);
    let seed = lab.seed();
    lab.hosts[seed].disk = Disk::Unreadable;
    let peer = interested(&mut lab, seed);
    let block = lab.block(3, 0);
    lab.say(seed, peer, Message::Request(block));
    let heard = lab.heard(seed, peer);
    assert!(heard.contains(&Message::Choke) && heard.contains(&Message::RejectRequest(block)), "{heard:?}");
    assert_eq!(lab.status(seed).state, TorrentState::Failed);
    let other = interested(&mut lab, seed);
    let heard = lab.heard(seed, other);
    let offers = heard.iter().any(|message| matches!(message, Message::Unchoke | Message::AllowedFast(_)));
    assert!(!offers, "{heard:?}");
    lab.hosts[seed].disk = Disk::Works;
    lab.pass(Duration::from_secs(12));
    assert!(lab.heard(seed, peer).contains(&Message::Unchoke));
    lab.say(seed, peer, Message::Request(block));
    assert_eq!(blocks(&lab.heard(seed, peer)), 1);
    assert_eq!(lab.status(seed).state, TorrentState::Seeding);
}

#[test]
fn a_request_outside_the_torrent_ends_the_connection() {
    let mut lab = Lab::new(2, 1);
    let seed = lab.seed();
    let peer = interested(&mut lab, seed);
    let mut span = lab.block(1, 0);
    span.begin = u32::MAX;
    lab.say(seed, peer, Message::Request(span));
    assert!(matches!(lab.hosts[seed].closed[..], [(conn, CloseReason::Fault(_))] if conn == peer));
}
