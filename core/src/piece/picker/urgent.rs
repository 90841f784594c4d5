//! Pieces that somebody waits for: they come in the order in which they are needed, block by block.
//!
//! Elsewhere a piece is one peer's. Of an urgent one whoever has room is asked for the next block, so that it comes
//! with the speed of all of them. A peer that would bring a block later than others could is asked for one further
//! back, which is needed when it can bring it, or for none of them.
//!
//! Knows nothing of readers: a list of pieces comes in, the one that is needed first before all.
//!
//! Law: urgent pieces take at most [`SPARE`] places more than there are for pieces on their way, and leave half of
//! these to others.

use super::{Partial, Picker};
use crate::bitfield::Bitfield;
use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::peer::ConnId;

/// So many urgent pieces may be begun where there is no place for others: what was begun before may be long on its way.
const SPARE: usize = 2;

impl Picker {
    /// Makes these pieces urgent, those that are needed first before others, and no others any more; those that are
    /// here are left out.
    pub fn hasten(&mut self, pieces: impl IntoIterator<Item = PieceIndex>) {
        let urgent: Vec<PieceIndex> = pieces.into_iter().filter(|piece| self.lacks(*piece)).collect();
        if urgent != self.urgent {
            self.urgent = urgent;
            self.epoch += 1;
        }
    }

    /// The urgent pieces that are not here, in their order.
    pub fn urgent(&self) -> &[PieceIndex] {
        &self.urgent
    }

    /// Whether somebody waits for this piece.
    pub fn is_urgent(&self, piece: PieceIndex) -> bool {
        self.urgent.contains(&piece)
    }

    /// Chooses a block of an urgent piece to ask the peer `conn` for; `None` if there is none for it.
    ///
    /// The first that nobody is asked for, behind `behind` bytes that are to come before it. O(blocks of the urgent
    /// pieces).
    pub fn pick_urgent(
        &mut self,
        conn: ConnId,
        theirs: &Bitfield,
        may: impl Fn(PieceIndex) -> bool,
        behind: u64,
    ) -> Option<BlockInfo> {
        let block = self.next_urgent(behind, |piece, partial| {
            let is_others = |partial: &Partial| partial.alone && partial.owner.is_some_and(|owner| owner != conn);
            theirs.has(piece) && may(piece) && !partial.is_some_and(is_others)
        })?;
        if !self.begun.has(block.piece) {
            self.open_piece(conn, block.piece);
        }
        self.ask(conn, block);
        Some(block)
    }

    /// The first block of an urgent piece that is neither here nor asked for, and that may be asked for.
    pub fn first_urgent(&self) -> Option<BlockInfo> {
        self.next_urgent(0, |_, partial| !partial.is_some_and(|partial| partial.alone && partial.owner.is_some()))
    }

    /// The blocks of urgent pieces that are asked for and not here, each with the bytes that are to come before it.
    pub fn urgent_asked(&self) -> Vec<(BlockInfo, u64)> {
        let mut asked = Vec::new();
        let mut ahead = 0;
        for &piece in &self.urgent {
            let Some(partial) = self.partials.get(&piece) else {
                ahead += u64::from(self.layout.length_of(piece));
                continue;
            };
            for (number, requests) in partial.missing() {
                if requests > 0
                    && let Some(block) = self.layout.block(piece, number)
                {
                    asked.push((block, ahead));
                }
                ahead += u64::from(BLOCK_LENGTH);
            }
        }
        asked
    }

    /// Where in the torrent's bytes a web seed's run ends that begins with the urgent block `first` and is not much
    /// longer than `most` bytes: it goes on behind what is urgent, to be granted when that is, and ends where something
    /// is here or begun.
    pub fn end_of_urgent_run(&self, first: BlockInfo, most: u64) -> u64 {
        self.end_of_free(first, most, |_| true)
    }

    /// How many pieces may be on their way before no more are begun that are not urgent.
    pub(super) fn places(&self) -> usize {
        let unbegun = self.urgent.iter().filter(|piece| !self.begun.has(**piece)).count();
        self.max_partials - unbegun.min(self.max_partials / 2)
    }

    /// Whether there is a place for this piece, which is not begun.
    pub(super) fn has_place_for(&self, piece: PieceIndex) -> bool {
        if self.is_urgent(piece) { self.has_urgent_place() } else { !self.is_full() }
    }

    fn has_urgent_place(&self) -> bool {
        self.incoming() < self.max_partials + SPARE
    }

    /// The first block behind `behind` bytes that are to come, in a piece that `is_for` accepts, that nobody is asked
    /// for.
    fn next_urgent(&self, behind: u64, is_for: impl Fn(PieceIndex, Option<&Partial>) -> bool) -> Option<BlockInfo> {
        let mut ahead = 0;
        for &piece in &self.urgent {
            let partial = self.partials.get(&piece);
            let is_usable = is_for(piece, partial);
            let Some(partial) = partial else {
                let number = u32::try_from(behind.saturating_sub(ahead).div_ceil(u64::from(BLOCK_LENGTH))).ok()?;
                ahead += u64::from(self.layout.length_of(piece));
                if is_usable
                    && self.has_urgent_place()
                    && let Some(block) = self.layout.block(piece, number)
                {
                    return Some(block);
                }
                continue;
            };
            for (number, requests) in partial.missing() {
                if is_usable && requests == 0 && ahead >= behind {
                    return self.layout.block(piece, number);
                }
                ahead += u64::from(BLOCK_LENGTH);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::layout::Layout;
    use crate::piece::{Hints, Sender};
    use crate::rng::Rng;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn picker(pieces: u32, blocks: u32, budget: u64) -> Picker {
        let layout = Layout::new(blocks * BLOCK_LENGTH, [u64::from(pieces * blocks * BLOCK_LENGTH)]);
        Picker::new(layout, Bitfield::none(pieces), budget)
    }

    fn any(_: PieceIndex) -> bool {
        true
    }

    fn urgent(picker: &mut Picker, conn: ConnId, behind: u32) -> Option<(u32, u32)> {
        let all = Bitfield::all(picker.layout.piece_count());
        let block = picker.pick_urgent(conn, &all, any, u64::from(behind * BLOCK_LENGTH))?;
        Some((block.piece.0, block.begin / BLOCK_LENGTH))
    }

    #[test]
    fn whoever_has_room_is_asked_for_the_next_block_in_order() {
        let mut picker = picker(10, 2, u64::MAX);
        picker.hasten([7, 8].map(PieceIndex));
        let asked: Vec<_> = [A, B, B, A, A].map(|conn| urgent(&mut picker, conn, 0)).into();
        assert_eq!(asked, [Some((7, 0)), Some((7, 1)), Some((8, 0)), Some((8, 1)), None]);
        let back = picker.layout.block(PieceIndex(7), 1).unwrap();
        picker.unask(back);
        assert_eq!(urgent(&mut picker, A, 0), Some((7, 1)), "what one gave up goes to the next");
    }

    #[test]
    fn a_slow_peer_is_asked_for_what_is_needed_when_it_can_bring_it() {
        let mut picker = picker(10, 4, u64::MAX);
        picker.hasten([2, 3].map(PieceIndex));
        assert_eq!(urgent(&mut picker, A, 5), Some((3, 1)));
        assert_eq!(urgent(&mut picker, A, 8), None, "nothing of what is urgent is needed that late");
        let first = picker.layout.block(PieceIndex(2), 0).unwrap();
        assert_eq!(urgent(&mut picker, B, 0), Some((2, 0)));
        assert_eq!(urgent(&mut picker, A, 3), Some((2, 3)));
        assert_eq!(picker.take(first, Bytes::new(), Sender::Peer("198.18.0.1:1".parse().unwrap())), Some(1));
        assert_eq!(picker.urgent_asked().iter().map(|(_, ahead)| ahead / 16_384).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn only_what_the_peer_has_and_what_is_missing_is_asked_for() {
        let mut picker = picker(10, 1, u64::MAX);
        picker.complete(PieceIndex(4));
        picker.hasten([4, 5, 6].map(PieceIndex));
        assert_eq!(picker.urgent(), [5, 6].map(PieceIndex));
        let mut theirs = Bitfield::none(10);
        theirs.insert(PieceIndex(6));
        assert_eq!(picker.pick_urgent(A, &theirs, any, 0).unwrap().piece, PieceIndex(6));
        assert_eq!(picker.pick_urgent(B, &theirs, any, 0), None);
        picker.complete(PieceIndex(5));
        assert_eq!(picker.urgent(), [PieceIndex(6)]);
    }

    #[test]
    fn a_piece_that_one_peer_is_to_bring_alone_is_no_others() {
        let mut picker = picker(2, 2, u64::MAX);
        picker.hasten([PieceIndex(0)]);
        assert!(urgent(&mut picker, A, 0).is_some());
        picker.discard_bad(PieceIndex(0));
        assert_eq!(urgent(&mut picker, A, 0), Some((0, 0)));
        assert_eq!((urgent(&mut picker, B, 0), picker.first_urgent()), (None, None));
        assert_eq!(urgent(&mut picker, A, 0), Some((0, 1)));
    }

    #[test]
    fn urgent_pieces_find_a_place_and_leave_some_to_others() {
        let none = Hints { pieces: &std::collections::VecDeque::new(), only: false };
        let (mut picker, mut rng) = (picker(40, 1, 6 * u64::from(BLOCK_LENGTH)), Rng::from_seed_u64(1));
        let all = Bitfield::all(40);
        while picker.pick(A, &all, none, any, &mut rng).is_some() {}
        assert_eq!(picker.partials.len(), 6);
        let missing: Vec<PieceIndex> = picker.layout.pieces().filter(|piece| !picker.begun.has(*piece)).collect();
        picker.hasten(missing.iter().copied().take(10));
        assert!(urgent(&mut picker, A, 0).is_some() && urgent(&mut picker, A, 0).is_some());
        assert_eq!(urgent(&mut picker, A, 0), None, "memory is bounded");
        let whole: Vec<PieceIndex> = picker.partials.keys().copied().take(5).collect();
        for piece in whole {
            picker.complete(piece);
        }
        assert_eq!(picker.partials.len(), 3);
        assert_eq!(picker.pick(A, &all, none, any, &mut rng), None, "half of the places are kept for what is urgent");
        while urgent(&mut picker, A, 0).is_some() {}
        assert_eq!(picker.partials.len(), 8);
    }

    #[test]
    fn a_run_begins_where_somebody_waits_and_ends_where_something_is_begun() {
        let mut picker = picker(10, 2, u64::MAX);
        picker.hasten([4, 5].map(PieceIndex));
        assert_eq!(urgent(&mut picker, A, 0), Some((4, 0)));
        let taken = picker.layout.block(PieceIndex(8), 0).unwrap();
        picker.ask_for(B, taken);
        let first = picker.first_urgent().unwrap();
        assert_eq!((first.piece.0, first.begin), (4, BLOCK_LENGTH));
        assert_eq!(picker.end_of_urgent_run(first, u64::MAX), u64::from(16 * BLOCK_LENGTH));
        assert_eq!(picker.end_of_urgent_run(first, 1), u64::from(10 * BLOCK_LENGTH), "a piece is brought whole");
    }
}
