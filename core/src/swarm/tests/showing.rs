//! Pieces that a seed shows one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lab::Lab;
use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::peer::{ConnId, Message, Reserved};

const PIECES: u32 = 40;

fn shown(heard: &[Message]) -> Vec<PieceIndex> {
    heard.iter().filter_map(|message| if let Message::Have(piece) = message { Some(*piece) } else { None }).collect()
}

/// A newcomer of another program, and what it was shown at first and once it was let in.
fn newcomer(lab: &mut Lab, seed: usize) -> (ConnId, Vec<PieceIndex>) {
    let conn = lab.foreigner(seed, Reserved::OURS);
    lab.say(seed, conn, Message::HaveNone);
    lab.say(seed, conn, Message::Interested);
    let heard = lab.heard(seed, conn);
    assert!(heard.contains(&Message::HaveNone) && heard.contains(&Message::Unchoke), "{heard:?}");
    (conn, shown(&heard))
}

#[test]
fn others_are_shown_other_pieces_each_and_the_next_for_each_that_they_have() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let crowd: Vec<(ConnId, Vec<PieceIndex>)> = (0..4).map(|_| newcomer(&mut lab, seed)).collect();
    let all: Vec<PieceIndex> = crowd.iter().flat_map(|(_, pieces)| pieces.iter().copied()).collect();
    let different: BTreeSet<PieceIndex> = all.iter().copied().collect();
    assert!(crowd.iter().all(|(_, pieces)| (1..=8).contains(&pieces.len())), "{crowd:?}");
    assert_eq!(different.len(), all.len(), "each piece is shown to one");

    let (conn, pieces) = &crowd[0];
    let block = BlockInfo { piece: pieces[0], begin: 0, length: BLOCK_LENGTH };
    lab.say(seed, *conn, Message::Request(block));
    let heard = lab.heard(seed, *conn);
    assert!(shown(&heard).is_empty(), "a request is no piece yet: {heard:?}");
    assert!(heard.iter().any(|message| matches!(message, Message::Piece { .. })));
    lab.say(seed, *conn, Message::Have(pieces[0]));
    let next = shown(&lab.heard(seed, *conn));
    assert!(!next.is_empty());
    assert!(next.iter().all(|piece| !different.contains(piece)), "what nobody was shown comes first");
}

#[test]
fn in_the_end_everything_was_shown() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let (conn, first) = newcomer(&mut lab, seed);
    let (_other, _) = newcomer(&mut lab, seed);
    let (mut known, mut to_get) = (first.iter().copied().collect::<BTreeSet<_>>(), first);
    while let Some(piece) = to_get.pop() {
        lab.say(seed, conn, Message::Have(piece));
        let more = shown(&lab.heard(seed, conn));
        known.extend(&more);
        to_get.extend(more);
    }
    assert_eq!(known.len(), PIECES as usize);
}

#[test]
fn who_is_alone_or_wants_none_of_it_is_shown_everything() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let (alone, first) = newcomer(&mut lab, seed);
    lab.say(seed, alone, Message::Request(BlockInfo { piece: first[0], begin: 0, length: BLOCK_LENGTH }));
    lab.pass(Duration::from_secs(10));
    assert_eq!(first.len() + shown(&lab.heard(seed, alone)).len(), PIECES as usize);

    let (other, first) = newcomer(&mut lab, seed);
    lab.say(seed, other, Message::NotInterested);
    lab.pass(Duration::from_secs(40));
    assert_eq!(first.len() + shown(&lab.heard(seed, other)).len(), PIECES as usize, "it may want other pieces");
}

#[test]
fn who_asks_for_nothing_is_shown_more_and_others_are_shown_what_it_leaves() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let (idle, first) = newcomer(&mut lab, seed);
    let (busy, others) = newcomer(&mut lab, seed);
    assert!(others.iter().all(|piece| !first.contains(piece)));
    lab.pass(Duration::from_secs(6));
    assert!(!shown(&lab.heard(seed, idle)).is_empty());
    lab.heard(seed, busy);
    lab.pass(Duration::from_secs(20));
    for piece in others {
        lab.say(seed, busy, Message::Have(piece));
    }
    let more = shown(&lab.heard(seed, busy));
    assert!(more.iter().any(|piece| first.contains(piece)), "{more:?} of {first:?}");
}

#[test]
fn nobody_is_shown_pieces_one_by_one_once_a_copy_is_out() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let (first, pieces) = newcomer(&mut lab, seed);
    for piece in (0..PIECES).map(PieceIndex) {
        lab.say(seed, first, Message::Have(piece));
    }
    assert!(!pieces.is_empty());
    let conn = lab.foreigner(seed, Reserved::OURS);
    assert!(lab.heard(seed, conn).contains(&Message::HaveAll));
}

#[test]
fn our_own_are_told_everything_and_choose_by_suggestions() {
    let mut lab = Lab::new(PIECES, 1);
    let seed = lab.seed();
    let conn = lab.stranger(seed, Reserved::OURS);
    assert!(lab.heard(seed, conn).contains(&Message::HaveAll));
}
