//! Web seeds: asked when peers are not enough, and only then.

use std::collections::VecDeque;
use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, PieceIndex};
use crate::peer::{ConnId, Message, Reserved};
use crate::piece::WebSeedId;
use crate::rate::{ByteCount, Rate, TokenBucket};
use crate::swarm::web_seeds::Remedy;
use crate::swarm::{Event, SwarmConfig, WebSeedState};

const WEB: WebSeedId = WebSeedId(0);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn lab(pieces: u32, blocks: u32, web_seeds: usize) -> Lab {
    let mut lab = Lab::new(pieces, blocks);
    lab.web_seeds = (0..web_seeds).map(|n| format!("http://w{n}.example/episode.mp3")).collect();
    lab
}

/// A peer that has everything and lets us ask.
fn open_seed(lab: &mut Lab, leecher: usize) -> ConnId {
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    lab.say(leecher, peer, Message::Unchoke);
    peer
}

#[test]
fn without_peers_a_web_seed_brings_everything_in_a_few_seconds() {
    let mut lab = lab(40, 4, 1);
    let leecher = lab.leecher();
    lab.answer_tracker(leecher);
    assert!(lab.hosts[leecher].web.is_empty(), "peers are given a moment");
    lab.pass(seconds(5));
    lab.web_sends_all(leecher, 0);
    let status = lab.status(leecher);
    assert!(status.complete, "{status:?}");
    assert_eq!((status.wasted, status.downloaded), (0, status.length));
    assert_eq!(status.web_seeds[0].downloaded, status.length);
}

#[test]
fn while_a_peer_brings_enough_no_web_seed_is_asked() {
    let mut lab = lab(400, 2, 1);
    let leecher = lab.leecher();
    let peer = open_seed(&mut lab, leecher);
    let mut asked = VecDeque::new();
    for _ in 0..100 {
        asked.extend(lab.asked(leecher, peer));
        for block in asked.drain(..5.min(asked.len())).collect::<Vec<_>>() {
            lab.deliver(leecher, peer, block, true);
        }
        lab.pass(seconds(1));
    }
    assert!(lab.hosts[leecher].web_bytes.is_empty() && lab.hosts[leecher].web.is_empty());
}

#[test]
fn beside_peers_that_bring_nothing_a_web_seed_is_asked_until_they_do() {
    let mut lab = lab(400, 2, 1);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    lab.pass(seconds(7));
    assert!(lab.hosts[leecher].web.is_empty(), "a choke may end");
    lab.pass(seconds(10));
    assert!(lab.web_sends(leecher, 0, 4 * u64::from(BLOCK_LENGTH), true) > 0);
    lab.say(leecher, peer, Message::Unchoke);
    let mut asked = VecDeque::new();
    for _ in 0..5 {
        asked.extend(lab.asked(leecher, peer));
        for block in asked.drain(..5.min(asked.len())).collect::<Vec<_>>() {
            lab.deliver(leecher, peer, block, true);
        }
        lab.web_sends(leecher, 0, u64::MAX, true);
        lab.pass(seconds(1));
    }
    assert!(lab.hosts[leecher].web.is_empty(), "{:?}", lab.hosts[leecher].web);
    assert_eq!(lab.status(leecher).web_seeds[0].state, WebSeedState::Idle);
}

#[test]
fn pieces_that_no_peer_has_come_from_the_web_seed() {
    let mut lab = lab(40, 2, 1);
    let mut have = Bitfield::all(40);
    assert!([3, 4, 20].iter().all(|piece| have.remove(PieceIndex(*piece))));
    let (partial, leecher) = (lab.add(have, SwarmConfig::default()), lab.leecher());
    lab.connect(leecher, partial);
    // The other one is served from nowhere.
    lab.web_seeds.clear();
    lab.pass(seconds(10));
    lab.web_sends_all(leecher, 0);
    assert!(lab.status(leecher).complete);
    let three = 3 * 2 * u64::from(BLOCK_LENGTH);
    assert_eq!(lab.hosts[leecher].web_bytes[&WEB], three);
}

#[test]
fn a_web_seed_that_lies_is_dropped_and_another_goes_on() {
    let mut lab = lab(40, 4, 2);
    let leecher = lab.leecher();
    lab.pass(seconds(5));
    assert_eq!(lab.hosts[leecher].web.len(), 2, "they share the work");
    while lab.web_sends(leecher, 0, u64::MAX, false) > 0 {}
    let dropped = |event: &&Event| matches!(event, Event::WebSeedDropped { url, .. } if url.contains("w0"));
    assert_eq!(lab.hosts[leecher].events.iter().filter(dropped).count(), 1);
    lab.web_sends_all(leecher, 1);
    let status = lab.status(leecher);
    assert!(status.complete, "{status:?}");
    assert_eq!(status.web_seeds[0].state, WebSeedState::Dropped);
    assert!(!lab.hosts[leecher].events.iter().any(|event| matches!(event, Event::Banned(_))));
}

#[test]
fn a_peer_is_not_blamed_for_the_web_seeds_half_of_a_piece() {
    let mut lab = lab(1, 4, 1);
    let leecher = lab.leecher();
    let peer = open_seed(&mut lab, leecher);
    let asked = lab.asked(leecher, peer);
    for block in &asked[..2] {
        lab.deliver(leecher, peer, *block, true);
    }
    lab.say(leecher, peer, Message::Choke);
    for block in &asked[2..] {
        lab.say(leecher, peer, Message::RejectRequest(*block));
    }
    lab.pass(seconds(20));
    while lab.web_sends(leecher, 0, u64::MAX, false) > 0 {}
    lab.say(leecher, peer, Message::Unchoke);
    let mut asked = lab.asked(leecher, peer);
    while let Some(block) = asked.pop() {
        lab.deliver(leecher, peer, block, true);
        asked.extend(lab.asked(leecher, peer));
    }
    let status = lab.status(leecher);
    assert!(status.complete, "{status:?}");
    assert_eq!(status.web_seeds[0].state, WebSeedState::Dropped);
    assert!(lab.hosts[leecher].closed.is_empty());
}

#[test]
fn a_server_without_ranges_is_read_from_the_start_past_what_is_here() {
    let mut lab = lab(20, 2, 1);
    let mut have = Bitfield::none(20);
    assert!([0, 1, 7].iter().all(|piece| have.insert(PieceIndex(*piece))));
    let leecher = lab.add(have, SwarmConfig::default());
    lab.pass(seconds(5));
    lab.web_fails(leecher, 0, Remedy::FromTheStart);
    let fetch = lab.hosts[leecher].web[&WEB].0.clone();
    let piece = 2 * u64::from(BLOCK_LENGTH);
    assert!(fetch.from_the_start);
    assert_eq!(fetch.range, 2 * piece..20 * piece);
    lab.web_sends_all(leecher, 0);
    let status = lab.status(leecher);
    assert!(status.complete, "{status:?}");
    assert_eq!(status.wasted, piece, "what was there is passed over");
}

#[test]
fn a_server_that_fails_is_left_alone_for_longer_each_time() {
    let mut lab = lab(20, 2, 1);
    let leecher = lab.leecher();
    lab.pass(seconds(5));
    let mut waits = Vec::new();
    for _ in 0..5 {
        lab.web_fails(leecher, 0, Remedy::Wait(None));
        let since = lab.now;
        assert_eq!(lab.status(leecher).web_seeds[0].state, WebSeedState::Waiting);
        while lab.hosts[leecher].web.is_empty() {
            lab.pass(seconds(1));
        }
        waits.push((lab.now - since).as_secs());
    }
    assert!(waits.is_sorted() && waits[0] <= 7 && (60..=100).contains(&waits[4]), "{waits:?}");
    lab.web_fails(leecher, 0, Remedy::Wait(Some(seconds(600))));
    lab.pass(seconds(599));
    assert!(lab.hosts[leecher].web.is_empty(), "it said when");
    lab.pass(seconds(2));
    lab.web_sends_all(leecher, 0);
    assert!(lab.status(leecher).complete);
}

#[test]
fn the_owners_limit_holds_for_web_seeds() {
    let mut lab = lab(400, 2, 1);
    let leecher = lab.leecher();
    let bucket = TokenBucket::new(Rate(64 << 10), ByteCount(64 << 10), lab.now);
    lab.hosts[leecher].limits.all.down = Some(bucket);
    for _ in 0..600 {
        lab.pass(Duration::from_millis(100));
        lab.web_sends(leecher, 0, u64::MAX, true);
    }
    let got = lab.status(leecher).downloaded;
    assert!((3 << 20..=62 * (64 << 10)).contains(&got), "{got}");
}

#[test]
fn a_pause_ends_what_web_seeds_send() {
    let mut lab = lab(400, 2, 1);
    let leecher = lab.leecher();
    lab.pass(seconds(5));
    lab.web_sends(leecher, 0, u64::MAX, true);
    assert!(!lab.hosts[leecher].web.is_empty());
    lab.give(leecher, crate::swarm::Input::Pause);
    assert!(lab.hosts[leecher].web.is_empty());
    lab.pass(seconds(60));
    assert!(lab.hosts[leecher].web.is_empty());
    lab.give(leecher, crate::swarm::Input::Unpause);
    lab.pass(seconds(5));
    assert!(!lab.hosts[leecher].web.is_empty());
}

#[test]
fn in_the_end_game_a_slow_web_seed_is_outpaced() {
    let mut lab = lab(4, 2, 1);
    let leecher = lab.leecher();
    lab.pass(seconds(5));
    assert_eq!(lab.hosts[leecher].web[&WEB].0.granted, 4 * 2 * u64::from(BLOCK_LENGTH), "all is granted");
    let peer = open_seed(&mut lab, leecher);
    let mut asked = lab.asked(leecher, peer);
    while let Some(block) = asked.pop() {
        lab.deliver(leecher, peer, block, true);
        asked.extend(lab.asked(leecher, peer));
    }
    assert!(lab.status(leecher).complete);
    assert!(lab.hosts[leecher].web.is_empty(), "nothing more is taken from it");
}

#[test]
fn eight_that_have_only_a_web_server_take_little_more_than_one_copy_of_it() {
    let mut lab = lab(240, 4, 1);
    let hosts: Vec<usize> = (0..8).map(|_| lab.leecher()).collect();
    for (at, host) in hosts.iter().enumerate() {
        for other in &hosts[..at] {
            lab.connect(*host, *other);
        }
    }
    // A server that gives each a megabyte a second.
    let mut tenths = 0;
    while !hosts.iter().all(|host| lab.status(*host).complete) {
        lab.pass(Duration::from_millis(100));
        for host in &hosts {
            lab.web_sends(*host, 0, 100 << 10, true);
        }
        tenths += 1;
        assert!(tenths < 3000, "they do not get on");
    }
    let sent: u64 = hosts.iter().filter_map(|host| lab.hosts[*host].web_bytes.get(&WEB)).sum();
    let copies = sent * 100 / lab.layout.length();
    assert!((100..120).contains(&copies), "{copies} hundredths of a copy in {tenths} tenths of a second");
}

#[test]
fn eight_that_a_seed_serves_take_nothing_from_its_web_server() {
    let mut lab = lab(240, 4, 1);
    let seed = lab.seed();
    let hosts: Vec<usize> = (0..8).map(|_| lab.leecher()).collect();
    for (at, host) in hosts.iter().enumerate() {
        lab.connect(*host, seed);
        for other in &hosts[..at] {
            lab.connect(*host, *other);
        }
    }
    lab.pass(seconds(60));
    assert!(hosts.iter().all(|host| lab.status(*host).complete));
    assert!(hosts.iter().all(|host| lab.hosts[*host].web_bytes.is_empty()));
}
