//! Readers: what they wait for comes first, in order, from whoever is quickest.

use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::peer::{ConnId, Message, Reserved};
use crate::rng::Rng;
use crate::swarm::{Input, ReaderId, SwarmConfig};

const READER: ReaderId = ReaderId(1);
/// Pieces of the least window, of 16 blocks each.
const WINDOW: u32 = 4;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A torrent of so many pieces of 16 blocks, and a leecher.
fn lab(pieces: u32) -> (Lab, usize) {
    let mut lab = Lab::new(pieces, 16);
    let leecher = lab.leecher();
    (lab, leecher)
}

fn open_seed(lab: &mut Lab, leecher: usize) -> ConnId {
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    lab.say(leecher, peer, Message::Unchoke);
    peer
}

fn read(lab: &mut Lab, leecher: usize, from: u32) {
    let piece = u64::from(lab.layout.piece_length());
    let range = u64::from(from) * piece..lab.layout.length();
    lab.give(leecher, Input::Reader(READER, Some(range)));
}

fn pieces_of(blocks: &[BlockInfo]) -> Vec<u32> {
    let mut pieces: Vec<u32> = blocks.iter().map(|block| block.piece.0).collect();
    pieces.dedup();
    pieces
}

/// Lets a peer bring what it was asked for, in order, until so many blocks came.
fn bring(lab: &mut Lab, leecher: usize, peer: ConnId, blocks: usize) -> Vec<BlockInfo> {
    let mut came = Vec::new();
    while came.len() < blocks {
        let Some(block) = lab.hosts[leecher].swarm.connections()[&peer].pipeline.blocks().next() else { break };
        lab.deliver(leecher, peer, block, true);
        came.push(block);
        lab.pass(millis(40));
    }
    came
}

#[test]
fn what_is_read_comes_first_and_in_order() {
    let (mut lab, leecher) = lab(40);
    read(&mut lab, leecher, 17);
    let peer = open_seed(&mut lab, leecher);
    let came = bring(&mut lab, leecher, peer, 16 * WINDOW as usize);
    assert_eq!(pieces_of(&came), [17, 18, 19, 20]);
    let numbers: Vec<u32> = came.iter().map(|block| block.begin / BLOCK_LENGTH).take(20).collect();
    assert_eq!(numbers, (0..16).chain(0..4).collect::<Vec<_>>());
}

#[test]
fn behind_the_window_rare_pieces_come_as_ever() {
    let (mut lab, leecher) = lab(40);
    let peer = open_seed(&mut lab, leecher);
    // Everything but piece 33 has a second copy.
    let mut common = Bitfield::all(40);
    common.remove(PieceIndex(33));
    let other = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, other, Message::Bitfield(common.as_bytes().to_vec().into()));
    read(&mut lab, leecher, 0);
    bring(&mut lab, leecher, peer, 16 * 4);
    // The reader does not go on: its window is full, but what the speed has added to it.
    let came = bring(&mut lab, leecher, peer, 16 * 24);
    let pieces = pieces_of(&came);
    assert!(pieces.contains(&33), "{pieces:?}");
    let in_order = pieces.windows(2).filter(|two| two[0] < two[1]).count();
    assert!(in_order < pieces.len() - 2, "{pieces:?}");
    assert!(lab.status(leecher).wasted == 0);
}

#[test]
fn a_jump_does_not_wait_for_what_was_asked_before() {
    let (mut lab, leecher) = lab(64);
    let peer = open_seed(&mut lab, leecher);
    bring(&mut lab, leecher, peer, 60);
    let before = lab.hosts[leecher].swarm.connections()[&peer].pipeline.len();
    assert!(before > 10, "{before}");
    lab.asked(leecher, peer);
    let missing = (0..60).find(|piece| lab.hosts[leecher].swarm.picker().lacks(PieceIndex(*piece))).unwrap();
    read(&mut lab, leecher, missing);
    let heard = lab.heard(leecher, peer);
    let cancelled = heard.iter().filter(|message| matches!(message, Message::Cancel(_))).count();
    assert!(cancelled >= before - 2 - 16, "{cancelled} of {before}");
    let request = |message| if let Message::Request(block) = message { Some(block) } else { None };
    let pieces: Vec<BlockInfo> = heard.into_iter().filter_map(request).collect();
    assert!(pieces.iter().all(|block| (missing..missing + 10).contains(&block.piece.0)), "{pieces:?}");
    assert!(pieces.len() + 2 + 16 >= before);
}

#[test]
fn a_slow_peer_is_not_asked_for_what_is_needed_next() {
    let (mut lab, leecher) = lab(64);
    let [fast, slow] = [0; 2].map(|_| open_seed(&mut lab, leecher));
    let mut owed = (Vec::new(), Vec::new());
    let mut deliver = |lab: &mut Lab, steps: u32| {
        for step in 0..steps {
            owed.0.extend(lab.asked(leecher, fast));
            owed.1.extend(lab.asked(leecher, slow));
            if !owed.0.is_empty() {
                let block = owed.0.remove(0);
                lab.deliver(leecher, fast, block, true);
            }
            // A thirtieth of the other's speed.
            if step % 30 == 0 && !owed.1.is_empty() {
                let block = owed.1.remove(0);
                lab.deliver(leecher, slow, block, true);
            }
            lab.pass(millis(20));
        }
    };
    deliver(&mut lab, 300);
    let missing = (0..50).find(|piece| lab.hosts[leecher].swarm.picker().lacks(PieceIndex(*piece))).unwrap();
    read(&mut lab, leecher, missing);
    deliver(&mut lab, 1);
    let asked: Vec<BlockInfo> = lab.hosts[leecher].swarm.connections()[&slow].pipeline.blocks().collect();
    let near = asked.iter().filter(|block| (missing..=missing + 1).contains(&block.piece.0)).count();
    assert!(near <= 2, "{asked:?} from {missing}");
}

#[test]
fn a_block_that_does_not_come_in_time_is_asked_of_another() {
    let (mut lab, leecher) = lab(8);
    let [silent, second] = [0; 2].map(|_| {
        let conn = lab.stranger(leecher, Reserved::OURS);
        lab.say(leecher, conn, Message::HaveAll);
        conn
    });
    read(&mut lab, leecher, 0);
    lab.say(leecher, silent, Message::Unchoke);
    let owed = lab.asked(leecher, silent);
    assert_eq!(owed[0].piece, PieceIndex(0));
    lab.say(leecher, second, Message::Unchoke);
    assert!(!lab.asked(leecher, second).contains(&owed[0]));
    let came = bring(&mut lab, leecher, second, 90);
    assert!(came.contains(&owed[0]));
    let cancelled = lab.heard(leecher, silent).contains(&Message::Cancel(owed[0]));
    assert!(cancelled, "it is taken back");
}

#[test]
fn web_seeds_help_a_reader_that_waits_and_go_where_it_jumps() {
    let mut lab = Lab::new(64, 16);
    lab.web_seeds = vec!["http://w.example/episode.mp3".to_owned()];
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    read(&mut lab, leecher, 5);
    lab.pass(millis(1100));
    let piece = u64::from(lab.layout.piece_length());
    let start = |lab: &Lab| lab.hosts[leecher].web.values().next().map(|(fetch, _)| fetch.range.start);
    assert_eq!(start(&lab), Some(5 * piece), "a choke need not end soon");
    lab.web_sends_all(leecher, 0);
    let window = u64::from(WINDOW) * piece;
    let came = lab.status(leecher).downloaded;
    assert!((window..=6 << 20).contains(&came), "what is not urgent is granted later: {came}");
    read(&mut lab, leecher, 50);
    lab.pass(millis(1100));
    assert_eq!(start(&lab), Some(50 * piece));
    lab.give(leecher, Input::Reader(READER, None));
    lab.web_sends_all(leecher, 0);
    lab.pass(millis(1100));
    assert_eq!(start(&lab), None, "nobody reads any more");
}

#[test]
fn readers_share_what_comes() {
    let (mut lab, leecher) = lab(64);
    read(&mut lab, leecher, 10);
    let piece = u64::from(lab.layout.piece_length());
    lab.give(leecher, Input::Reader(ReaderId(2), Some(40 * piece..50 * piece)));
    let peer = open_seed(&mut lab, leecher);
    let came = bring(&mut lab, leecher, peer, 16 * 6);
    assert_eq!(pieces_of(&came), [10, 40, 11, 41, 12, 42]);
}

#[test]
fn readers_that_say_what_cannot_be_change_nothing() {
    let (mut lab, leecher) = lab(8);
    let length = lab.layout.length();
    for range in [None, Some(0..0), Some(0..length + 1), Some(length..length), Some(u64::MAX - 1..u64::MAX)] {
        lab.give(leecher, Input::Reader(READER, range));
    }
    assert!(lab.hosts[leecher].swarm.picker().urgent().is_empty());
    let seed = lab.seed();
    lab.give(seed, Input::Reader(READER, Some(0..length)));
    lab.connect(leecher, seed);
    read(&mut lab, leecher, 7);
    assert!(lab.status(leecher).complete);
    assert!(lab.hosts[leecher].swarm.deadline().is_some());
}

#[test]
fn pieces_come_in_their_order_where_the_owner_wants_that() {
    let mut lab = Lab::new(30, 4);
    let config = SwarmConfig { in_order: true, ..SwarmConfig::default() };
    let leecher = lab.add(Bitfield::none(30), config);
    let peer = open_seed(&mut lab, leecher);
    lab.say(leecher, peer, Message::SuggestPiece(PieceIndex(20)));
    let came = bring(&mut lab, leecher, peer, 30 * 4);
    assert_eq!(pieces_of(&came), (0..30).collect::<Vec<_>>());
    assert!(lab.status(leecher).complete);
}

#[test]
fn whatever_readers_do_the_swarm_completes() {
    for seed in 0..30 {
        let mut rng = Rng::from_seed_u64(seed);
        let (mut lab, leecher) = lab(24);
        let peers: Vec<ConnId> = (0..3).map(|_| open_seed(&mut lab, leecher)).collect();
        let length = usize::try_from(lab.layout.length()).unwrap();
        let mut owed: Vec<Vec<BlockInfo>> = vec![Vec::new(); 3];
        for _ in 0..4000 {
            if rng.ratio(1, 20) {
                let from = rng.below(length) as u64;
                let range = (!rng.ratio(1, 4)).then_some(from..length as u64);
                lab.give(leecher, Input::Reader(ReaderId(rng.below(3) as u64), range));
            }
            let which = rng.below(3);
            for message in lab.heard(leecher, peers[which]) {
                match message {
                    Message::Request(block) => owed[which].push(block),
                    // It may be on its way already.
                    Message::Cancel(block) if rng.ratio(1, 2) => owed[which].retain(|owed| *owed != block),
                    _ => {}
                }
            }
            // One of them hardly ever sends anything.
            if !owed[which].is_empty() && (which > 0 || rng.ratio(1, 30)) {
                let block = owed[which].remove(0);
                lab.deliver(leecher, peers[which], block, true);
            }
            lab.pass(millis(10));
            if lab.status(leecher).complete {
                break;
            }
        }
        assert!(lab.status(leecher).complete, "seed {seed}");
        let asked: usize = lab.hosts[leecher].swarm.connections().values().map(|peer| peer.pipeline.len()).sum();
        assert_eq!(lab.hosts[leecher].swarm.asked(), asked);
    }
}
