//! Asking for blocks.

use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, PieceIndex};
use crate::peer::{Message, Reserved};
use crate::swarm::{SwarmConfig, TorrentState};

const PLAIN: Reserved = Reserved([0; 8]);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_leecher_is_served_by_a_seed_without_waiting_for_a_round() {
    let mut lab = Lab::new(20, 4);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    lab.connect(leecher, seed);
    let status = lab.status(leecher);
    assert!(status.complete && status.state == TorrentState::Seeding, "{status:?}");
    assert_eq!((status.wasted, status.downloaded), (0, status.length));
    assert_eq!(lab.status(seed).uploaded, status.length);
}

#[test]
fn a_swarm_completes_by_trading_what_each_has() {
    let mut lab = Lab::new(40, 2);
    let halves = [0, 1].map(|parity| {
        let mut have = Bitfield::none(40);
        (0..40).filter(|piece| piece % 2 == parity).for_each(|piece| assert!(have.insert(PieceIndex(piece))));
        lab.add(have, SwarmConfig::default())
    });
    lab.connect(halves[0], halves[1]);
    lab.pass(seconds(60));
    assert!(halves.iter().all(|host| lab.status(*host).complete));
}

#[test]
fn a_peer_that_lets_us_wait_leaves_its_blocks_to_others_after_twenty_seconds() {
    let mut lab = Lab::new(1, 4);
    let leecher = lab.leecher();
    let [silent, second] = [0; 2].map(|_| {
        let conn = lab.stranger(leecher, Reserved::OURS);
        lab.say(leecher, conn, Message::HaveAll);
        conn
    });
    lab.say(leecher, silent, Message::Unchoke);
    assert_eq!(lab.asked(leecher, silent).len(), 4);
    // Less than the end game asks for: the second peer is let in when the first is given up.
    lab.pass(seconds(19));
    assert!(lab.asked(leecher, silent).is_empty());
    lab.pass(seconds(2));
    assert_eq!(lab.asked(leecher, silent).len(), 1, "it is asked for one block to make good");
    lab.say(leecher, second, Message::Unchoke);
    let mut asked = lab.asked(leecher, second);
    assert!(asked.len() >= 3, "{asked:?}");
    while let Some(block) = asked.pop() {
        lab.deliver(leecher, second, block, true);
        asked.extend(lab.asked(leecher, second));
    }
    assert!(lab.status(leecher).complete);
}

#[test]
fn the_end_game_asks_twice_and_cancels_what_came() {
    let mut lab = Lab::new(1, 2);
    let leecher = lab.leecher();
    let [slow, fast] = [0; 2].map(|_| {
        let conn = lab.stranger(leecher, Reserved::OURS);
        lab.say(leecher, conn, Message::HaveAll);
        conn
    });
    lab.say(leecher, slow, Message::Unchoke);
    assert_eq!(lab.asked(leecher, slow).len(), 2);
    lab.say(leecher, fast, Message::Unchoke);
    let again = lab.asked(leecher, fast);
    assert_eq!(again.len(), 1, "one at a time");
    lab.deliver(leecher, fast, again[0], true);
    assert!(lab.heard(leecher, slow).contains(&Message::Cancel(again[0])));
    lab.deliver(leecher, slow, again[0], true);
    assert_eq!(lab.status(leecher).wasted, u64::from(BLOCK_LENGTH), "it had left already");
    assert!(lab.hosts[leecher].closed.is_empty());
}

#[test]
fn the_end_game_with_one_peer_asks_it_once() {
    let mut lab = Lab::new(1, 2);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    lab.say(leecher, peer, Message::Unchoke);
    assert_eq!(lab.asked(leecher, peer).len(), 2);
    lab.pass(seconds(15));
    assert!(lab.asked(leecher, peer).is_empty());
}

#[test]
fn a_peer_that_refuses_is_not_asked_again_in_circles() {
    let mut lab = Lab::new(4, 1);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    lab.say(leecher, peer, Message::Unchoke);
    let mut refused = 0;
    loop {
        let asked = lab.asked(leecher, peer);
        if asked.is_empty() {
            break;
        }
        for block in asked {
            refused += 1;
            assert!(refused <= 4, "it is asked on and on");
            lab.say(leecher, peer, Message::RejectRequest(block));
        }
    }
    assert_eq!(refused, 4, "each piece was asked for once");
    lab.pass(seconds(11));
    assert_eq!(lab.asked(leecher, peer).len(), 4, "it is forgiven");
}

#[test]
fn another_peer_takes_over_what_one_refuses() {
    let mut lab = Lab::new(1, 2);
    let leecher = lab.leecher();
    let [refuses, gives] = [0; 2].map(|_| {
        let conn = lab.stranger(leecher, Reserved::OURS);
        lab.say(leecher, conn, Message::HaveAll);
        conn
    });
    lab.say(leecher, refuses, Message::Unchoke);
    for block in lab.asked(leecher, refuses) {
        lab.say(leecher, refuses, Message::RejectRequest(block));
    }
    lab.say(leecher, gives, Message::Unchoke);
    assert_eq!(lab.asked(leecher, gives).len(), 2);
}

#[test]
fn blocks_on_their_way_when_an_old_client_chokes_are_kept_and_held_against_nobody() {
    let mut lab = Lab::new(1, 100);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, PLAIN);
    lab.say(leecher, peer, Message::Bitfield(vec![0x80].into()));
    for _ in 0..40 {
        lab.say(leecher, peer, Message::Unchoke);
        let asked = lab.asked(leecher, peer);
        assert!(lab.status(leecher).complete || !asked.is_empty());
        lab.say(leecher, peer, Message::Choke);
        for block in asked {
            lab.deliver(leecher, peer, block, true);
        }
    }
    let status = lab.status(leecher);
    assert!(status.complete && status.wasted == 0, "{status:?}");
    assert!(lab.hosts[leecher].closed.is_empty());
}

#[test]
fn a_choking_peer_is_asked_for_what_it_allows_and_nothing_else() {
    let mut lab = Lab::new(20, 2);
    let leecher = lab.leecher();
    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::HaveAll);
    assert!(lab.asked(leecher, peer).is_empty());
    lab.say(leecher, peer, Message::AllowedFast(PieceIndex(7)));
    let asked = lab.asked(leecher, peer);
    assert_eq!(asked.iter().map(|block| block.piece.0).collect::<Vec<_>>(), [7, 7]);
    for block in asked {
        lab.say(leecher, peer, Message::RejectRequest(block));
    }
    assert!(lab.asked(leecher, peer).is_empty(), "it took its word back");
}

#[test]
fn pieces_that_nobody_can_go_on_with_make_room_for_others() {
    let mut lab = Lab::new(4, 2);
    // Two pieces at once are all that memory allows.
    let config = SwarmConfig { partial_budget: 1, ..SwarmConfig::default() };
    let leecher = lab.add(Bitfield::none(4), config);
    let gone = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, gone, Message::Bitfield(vec![0b1100_0000].into()));
    lab.say(leecher, gone, Message::Unchoke);
    let asked = lab.asked(leecher, gone);
    for piece in 0..2 {
        let first = asked.iter().find(|block| block.piece.0 == piece).copied();
        lab.deliver(leecher, gone, first.unwrap(), true);
    }
    lab.give(leecher, crate::swarm::Input::Closed(gone));

    let peer = lab.stranger(leecher, Reserved::OURS);
    lab.say(leecher, peer, Message::Bitfield(vec![0b0011_0000].into()));
    lab.say(leecher, peer, Message::Unchoke);
    assert!(lab.asked(leecher, peer).is_empty(), "memory is full of what the first peer began");
    lab.pass(seconds(3));
    assert!(!lab.asked(leecher, peer).is_empty());
    assert!(lab.status(leecher).wasted >= u64::from(BLOCK_LENGTH));
}

#[test]
fn the_owners_limit_is_kept() {
    use crate::rate::{ByteCount, Rate, TokenBucket};
    let mut lab = Lab::new(64, 2);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    let bucket = TokenBucket::new(Rate(100_000), ByteCount(65_536), lab.now);
    lab.hosts[leecher].limits.all.down = Some(bucket);
    lab.connect(leecher, seed);
    lab.pass(seconds(10));
    let got = lab.status(leecher).downloaded;
    assert!((1_000_000..=1_000_000 + 65_536 + 2 * u64::from(BLOCK_LENGTH)).contains(&got), "{got}");
    lab.pass(seconds(15));
    assert!(lab.status(leecher).complete);
}
