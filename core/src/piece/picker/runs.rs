//! Runs for web seeds: where one begins, how far it goes, and its blocks one by one. BEP 19.
//!
//! A server is asked for one long range of bytes, so what it is to bring is chosen as a run of blocks. Only those that
//! it may send now are asked for as a peer is asked; what lies ahead in the run stays free for others, and the run ends
//! where somebody was quicker.
//!
//! Where a run begins, in this order: in a piece that somebody left behind; in the rarest pieces, behind the seed's
//! last run if that is one of them, else at random, so that those who ask one server at once get different parts to
//! trade; in a piece that another connection works on.

use super::{Partial, Picker, rarest_of};
use crate::layout::{BlockInfo, PieceIndex};
use crate::peer::ConnId;
use crate::rng::Rng;

/// Which of the missing pieces a web seed is to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those that no connected peer has.
    Absent,
    /// All of them, rare ones first.
    Any,
}

impl Picker {
    /// Whether a connected peer has a piece that is missing here. O(pieces).
    pub fn is_offered_some(&self) -> bool {
        self.missing().any(|piece| self.availability.of(piece) > 0)
    }

    /// Whether a piece is missing here that no connected peer has. O(pieces).
    pub fn lacks_absent(&self) -> bool {
        self.missing().any(|piece| self.availability.of(piece) == 0)
    }

    /// Chooses the first block of a run; `after` is the piece behind the last run. `None` if nothing is left to ask
    /// for. O(pieces).
    pub fn begin_run(&self, wanted: Wanted, after: Option<PieceIndex>, rng: &mut Rng) -> Option<BlockInfo> {
        let open =
            || self.open.iter().filter_map(|piece| self.partials.get(piece)).filter(|p| self.is(wanted, p.piece()));
        let orphan = || open().find(|partial| partial.owner.is_none());
        let joinable = || open().filter(|partial| !partial.alone).max_by_key(|partial| partial.received());
        if let Some(partial) = orphan() {
            return self.first_of(partial);
        }
        if let Some(piece) = self.fresh_piece(wanted, after, rng) {
            return self.layout.block(piece, 0);
        }
        joinable().and_then(|partial| self.first_of(partial))
    }

    /// Where in the torrent's bytes a run ends that begins with `first` and is not much longer than `most` bytes. Its
    /// pieces are as rare as the first.
    pub fn end_of_run(&self, first: BlockInfo, most: u64) -> u64 {
        let rarity = self.availability.of(first.piece);
        self.end_of_free(first, most, |next| self.availability.of(next) <= rarity)
    }

    /// Where the free blocks from `first` on end, or soon after `most` bytes; behind its piece only those that
    /// `goes_on` accepts count.
    pub(super) fn end_of_free(&self, first: BlockInfo, most: u64, goes_on: impl Fn(PieceIndex) -> bool) -> u64 {
        let start = self.layout.range_of(first).start;
        let mut end = start;
        let (mut piece, mut number) = (first.piece, first.begin / crate::layout::BLOCK_LENGTH);
        while let Some(block) = self.layout.block(piece, number).filter(|block| self.is_free(*block, number)) {
            end = self.layout.end_of(block);
            number += 1;
            if number == self.layout.block_count(piece) {
                let Some(next) = self.layout.piece(piece.0 + 1) else { break };
                if end - start >= most || self.begun.has(next) || !goes_on(next) {
                    break;
                }
                (piece, number) = (next, 0);
            }
        }
        end
    }

    /// Asks the connection `conn` for this very block; `None` if it is here or asked for already, or there is no room
    /// for its piece.
    pub fn ask_for(&mut self, conn: ConnId, block: BlockInfo) -> Option<BlockInfo> {
        let number = block.begin / crate::layout::BLOCK_LENGTH;
        if !self.is_free(block, number) {
            return None;
        }
        if !self.begun.has(block.piece) {
            if !self.has_place_for(block.piece) {
                return None;
            }
            self.open_piece(conn, block.piece);
        }
        self.ask(conn, block);
        Some(block)
    }

    /// Whether the block is neither here nor asked for.
    pub fn is_free(&self, block: BlockInfo, number: u32) -> bool {
        match self.partials.get(&block.piece) {
            Some(partial) => partial.is_unasked(number),
            None => !self.begun.has(block.piece),
        }
    }

    /// Whether a piece is on its way of which some block is asked of nobody.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn missing(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.layout.pieces().filter(|piece| self.lacks(*piece))
    }

    fn is(&self, wanted: Wanted, piece: PieceIndex) -> bool {
        wanted == Wanted::Any || self.availability.of(piece) == 0
    }

    fn first_of(&self, partial: &Partial) -> Option<BlockInfo> {
        self.layout.block(partial.piece(), partial.first_unasked()?)
    }

    /// The rarest of the pieces that are not begun: the one at `after`, else any.
    fn fresh_piece(&self, wanted: Wanted, after: Option<PieceIndex>, rng: &mut Rng) -> Option<PieceIndex> {
        if self.is_full() {
            return None;
        }
        let fresh = || self.layout.pieces().filter(|piece| !self.begun.has(*piece) && self.is(wanted, *piece));
        if self.in_order {
            return fresh().next();
        }
        let rarest = fresh().map(|piece| self.availability.of(piece)).min()?;
        if let Some(after) = after.filter(|after| after.0 < self.layout.piece_count() && !self.begun.has(*after))
            && self.availability.of(after) == rarest
        {
            return Some(after);
        }
        rarest_of(fresh, |piece| self.availability.of(piece), rng)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::bitfield::Bitfield;
    use crate::layout::{BLOCK_LENGTH, Layout};
    use crate::piece::{Sender, WebSeedId};

    const PEER: ConnId = ConnId(1);
    const WEB: ConnId = ConnId(2);

    fn picker(pieces: u32, blocks: u32) -> Picker {
        let layout = Layout::new(blocks * BLOCK_LENGTH, [u64::from(pieces * blocks * BLOCK_LENGTH)]);
        Picker::new(layout, Bitfield::none(pieces), u64::MAX)
    }

    fn bytes(blocks: u32) -> u64 {
        u64::from(blocks * BLOCK_LENGTH)
    }

    #[test]
    fn a_run_goes_on_behind_the_last_and_ends_where_something_is_begun() {
        let mut picker = picker(10, 2);
        let mut rng = Rng::from_seed_u64(1);
        let taken = picker.layout().block(PieceIndex(7), 0).unwrap();
        assert_eq!(picker.ask_for(PEER, taken), Some(taken));
        let first = picker.begin_run(Wanted::Any, Some(PieceIndex(4)), &mut rng).unwrap();
        assert_eq!((first.piece, first.begin), (PieceIndex(4), 0));
        assert_eq!(picker.end_of_run(first, u64::MAX), bytes(14));
        assert_eq!(picker.end_of_run(first, 1), bytes(10), "a piece is brought whole");
        assert_eq!(picker.ask_for(WEB, taken), None);
        let other = picker.layout().block(PieceIndex(7), 1).unwrap();
        assert_eq!(picker.ask_for(WEB, other), Some(other));
    }

    #[test]
    fn what_nobody_has_comes_first_and_what_was_left_behind_before_it() {
        let mut picker = picker(10, 2);
        let mut rng = Rng::from_seed_u64(1);
        let mut theirs = Bitfield::all(10);
        theirs.remove(PieceIndex(3));
        picker.availability.add(&theirs);
        assert!(picker.is_offered_some() && picker.lacks_absent());
        let first = picker.begin_run(Wanted::Absent, Some(PieceIndex(6)), &mut rng).unwrap();
        assert_eq!(first.piece, PieceIndex(3));
        assert_eq!(picker.begin_run(Wanted::Any, Some(PieceIndex(6)), &mut rng), Some(first));
        assert_eq!(picker.end_of_run(first, u64::MAX), bytes(8));
        for number in 0..2 {
            let block = picker.layout().block(PieceIndex(8), number).unwrap();
            assert!(picker.ask_for(PEER, block).is_some());
        }
        let left = picker.layout().block(PieceIndex(8), 1).unwrap();
        picker.unask(left);
        picker.disown(PEER);
        assert_eq!(picker.begin_run(Wanted::Any, None, &mut rng), Some(left));
        assert_eq!(picker.begin_run(Wanted::Absent, None, &mut rng), Some(first), "somebody has what was left behind");
    }

    #[test]
    fn those_who_begin_at_once_begin_at_different_places() {
        let picker = picker(100, 1);
        let starts: std::collections::BTreeSet<_> = (0..8)
            .map(|seed| picker.begin_run(Wanted::Any, None, &mut Rng::from_seed_u64(seed)).unwrap().piece)
            .collect();
        assert!(starts.len() > 5, "{starts:?}");
    }

    #[test]
    fn what_is_whole_or_asked_for_is_no_run() {
        let mut picker = picker(2, 1);
        let mut rng = Rng::from_seed_u64(1);
        picker.complete(PieceIndex(0));
        let last = picker.begin_run(Wanted::Any, None, &mut rng).unwrap();
        assert_eq!(last.piece, PieceIndex(1));
        assert_eq!(picker.ask_for(WEB, last), Some(last));
        assert_eq!(picker.begin_run(Wanted::Any, None, &mut rng), None);
        assert_eq!(picker.take(last, Bytes::new(), Sender::WebSeed(WebSeedId(0))), Some(1));
        picker.complete(PieceIndex(1));
        assert!(!picker.is_offered_some() && !picker.lacks_absent());
    }

    #[test]
    fn another_seeds_piece_is_joined_when_nothing_else_is_left() {
        let mut picker = picker(1, 4);
        let mut rng = Rng::from_seed_u64(1);
        let first = picker.begin_run(Wanted::Any, None, &mut rng).unwrap();
        picker.ask_for(PEER, first).unwrap();
        let next = picker.begin_run(Wanted::Any, None, &mut rng).unwrap();
        assert_eq!((next.piece, next.begin), (first.piece, BLOCK_LENGTH));
    }
}
