//! Which block to ask a peer for next.
//!
//! In this order:
//!
//! 1. a block of the piece that this connection works on, so that a piece has few sources and is soon whole;
//! 2. a block of a piece that somebody left behind;
//! 3. a new piece: one that the peer suggests (BEP 6), else the rarest among the connected peers, ties broken at
//!    random; a random one until there are four to trade with (BEP 3);
//! 4. a block of a piece that another connection works on.
//!
//! Where the owner wants the pieces in their order, a new piece is the first of all. Before all that go pieces that
//! somebody waits for (`urgent`).
//!
//! In the end game, when every missing block is asked for, blocks are asked for again from others, those least asked
//! for first; the caller cancels what arrives twice.
//!
//! Knows nothing of speeds or of sockets.
//!
//! Law: the memory of pieces on their way stays within the budget, as long as one piece fits.

mod runs;
mod urgent;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

pub use runs::Wanted;

use super::availability::Availability;
use super::partial::Partial;
use super::sender::Sender;
use crate::bitfield::Bitfield;
use crate::layout::{BlockInfo, Layout, PieceIndex};
use crate::peer::ConnId;
use crate::rng::Rng;

/// Until so many pieces are here, new ones are chosen at random. BEP 3.
const RANDOM_FIRST: u32 = 4;
/// How many connections are asked for one block in the end game.
const MAX_DUPLICATES: u32 = 3;

/// What a peer would like to be asked for. BEP 6.
#[derive(Clone, Copy, Debug)]
pub struct Hints<'a> {
    /// Pieces that it suggests, oldest first.
    pub pieces: &'a VecDeque<PieceIndex>,
    /// Whether no other piece is begun with it.
    pub only: bool,
}

/// The pieces of one swarm, as far as choosing needs them.
#[derive(Clone, Debug)]
pub struct Picker {
    layout: Layout,
    /// The pieces that are here: hashed and stored.
    have: Bitfield,
    /// The pieces that need not come: they are here, or not wanted.
    settled: Bitfield,
    /// Who else has what.
    pub availability: Availability,
    partials: BTreeMap<PieceIndex, Partial>,
    /// How many of them are whole, and wait to be stored.
    whole: usize,
    /// The pieces on their way of which some block is asked of nobody.
    open: BTreeSet<PieceIndex>,
    /// The pieces that are settled or on their way.
    begun: Bitfield,
    /// The most pieces on their way at once.
    max_partials: usize,
    /// Pieces of which a copy was bad.
    alone: BTreeSet<PieceIndex>,
    /// Pieces that are not here and that somebody waits for, in the order in which they are needed.
    urgent: Vec<PieceIndex>,
    /// Whether new pieces are begun in their order.
    in_order: bool,
    /// Counts the changes after which a peer that had nothing to be asked for may have something.
    epoch: u64,
}

impl Picker {
    /// A picker that starts with the pieces `have` and keeps pieces on their way within `budget` bytes.
    pub fn new(layout: Layout, have: Bitfield, budget: u64) -> Self {
        let max_partials = usize::try_from(budget / u64::from(layout.piece_length())).unwrap_or(usize::MAX).max(2);
        let availability = Availability::none(layout.piece_count());
        let (begun, settled) = (have.clone(), have.clone());
        let (partials, open, alone) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (urgent, in_order, epoch) = (Vec::new(), false, 0);
        Self {
            layout,
            have,
            settled,
            availability,
            partials,
            whole: 0,
            open,
            begun,
            max_partials,
            alone,
            urgent,
            in_order,
            epoch,
        }
    }

    /// The same with new pieces begun in their order.
    #[must_use]
    pub fn in_order(self, in_order: bool) -> Self {
        Self { in_order, ..self }
    }

    /// The same for some of the pieces only.
    #[must_use]
    pub fn wanting(mut self, wanted: &Bitfield) -> Self {
        for piece in self.layout.pieces().filter(|piece| !wanted.has(*piece)) {
            self.settled.insert(piece);
            self.begun.insert(piece);
        }
        self
    }

    /// Whether this piece is wanted and not here.
    pub fn lacks(&self, piece: PieceIndex) -> bool {
        !self.settled.has(piece)
    }

    /// Whether one of `theirs` is wanted and not here.
    pub fn lacks_any_of(&self, theirs: &Bitfield) -> bool {
        self.settled.lacks_any_of(theirs)
    }

    /// Whether every piece that is wanted is here.
    pub const fn is_done(&self) -> bool {
        self.settled.is_all()
    }

    /// The pieces that are here.
    pub const fn have(&self) -> &Bitfield {
        &self.have
    }

    /// The torrent's layout.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes of the pieces that are wanted and not here.
    pub fn missing_bytes(&self) -> u64 {
        self.bytes_beside(&self.settled)
    }

    /// Bytes of the pieces that are not here, wanted or not.
    pub fn absent_bytes(&self) -> u64 {
        self.bytes_beside(&self.have)
    }

    /// Bytes of the pieces that are not in this set.
    fn bytes_beside(&self, set: &Bitfield) -> u64 {
        let missing = set.len() - set.count();
        let whole = u64::from(missing) * u64::from(self.layout.piece_length());
        let last = PieceIndex(set.len().saturating_sub(1));
        if missing == 0 {
            return 0;
        }
        let lacks = |piece: &PieceIndex| !set.has(*piece);
        let padding = self.layout.paddings().filter(|(piece, _)| *piece != last && lacks(piece));
        let padding = padding.map(|(_, length)| u64::from(length)).sum::<u64>();
        let short = if lacks(&last) { self.layout.piece_length() - self.layout.length_of(last) } else { 0 };
        whole - padding - u64::from(short)
    }

    /// A number that changes whenever a peer that had nothing to be asked for may have something.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The piece on its way, if it is.
    pub fn partial(&mut self, piece: PieceIndex) -> Option<&mut Partial> {
        self.partials.get_mut(&piece)
    }

    /// Takes a block's bytes, and tells how many connections had been asked for it; `None` if it was here already, or
    /// its piece is not on its way.
    pub fn take(&mut self, block: BlockInfo, data: Bytes, from: Sender) -> Option<u32> {
        let partial = self.partials.get_mut(&block.piece)?;
        let requests = partial.take(block, data, from)?;
        if !partial.has_unasked() {
            self.open.remove(&block.piece);
        }
        if partial.is_whole() {
            self.made_room();
            self.whole += 1;
        }
        Some(requests)
    }

    /// Bytes of pieces on their way that are here.
    pub fn partial_bytes(&self) -> u64 {
        let blocks: usize = self.partials.values().map(Partial::received).sum();
        blocks as u64 * u64::from(crate::layout::BLOCK_LENGTH)
    }

    /// Whether every missing block is asked for.
    pub fn is_end_game(&self) -> bool {
        let missing = self.settled.len() - self.settled.count();
        missing as usize == self.partials.len() && self.open.is_empty()
    }

    /// Chooses a block to ask the peer `conn` for; it has `theirs` and lets us ask for what `may` accepts.
    ///
    /// `None` if it has nothing to ask for, but maybe for the end game. O(pieces) when a new piece is begun, else
    /// O(pieces on their way).
    pub fn pick(
        &mut self,
        conn: ConnId,
        theirs: &Bitfield,
        hints: Hints<'_>,
        may: impl Fn(PieceIndex) -> bool,
        rng: &mut Rng,
    ) -> Option<BlockInfo> {
        let usable = |partial: &&Partial| theirs.has(partial.piece()) && may(partial.piece());
        let mut joinable = None;
        let mut orphan = None;
        let mut own = None;
        for partial in self.open.iter().filter_map(|piece| self.partials.get(piece)).filter(usable) {
            match partial.owner {
                Some(owner) if owner == conn => own = own.or(Some(partial.piece())),
                None => orphan = orphan.or(Some(partial.piece())),
                Some(_) if partial.alone => {}
                // Of those of others the one that is nearest to be whole.
                Some(_) => joinable = joinable.max(Some((partial.received(), partial.piece()))),
            }
        }
        if hints.only && !self.in_order {
            (orphan, joinable) = (None, None);
        }
        let piece = own
            .or(orphan)
            .or_else(|| self.begin(conn, theirs, hints, &may, rng))
            .or(joinable.map(|(_, piece)| piece))?;
        let number = self.partials[&piece].first_unasked().expect("the piece has a block that is asked of nobody");
        let block = self.layout.block(piece, number).expect("the number is one of the piece's");
        self.ask(conn, block);
        Some(block)
    }

    /// Notes that the connection is asked for a block of a piece on its way, which is its own if it is nobody's.
    fn ask(&mut self, conn: ConnId, block: BlockInfo) {
        let Some(partial) = self.partials.get_mut(&block.piece) else { return };
        partial.owner.get_or_insert(conn);
        partial.ask(block);
        if !partial.has_unasked() {
            self.open.remove(&block.piece);
        }
        if self.is_end_game() {
            self.epoch += 1;
        }
    }

    /// Chooses a block that others are asked for already, in the end game; `asked` tells what `theirs` is asked for.
    pub fn pick_again(
        &mut self,
        theirs: &Bitfield,
        may: impl Fn(PieceIndex) -> bool,
        asked: impl Fn(BlockInfo) -> bool,
        rng: &mut Rng,
    ) -> Option<BlockInfo> {
        if !self.is_end_game() {
            return None;
        }
        let mut best: Vec<BlockInfo> = Vec::new();
        let mut fewest = MAX_DUPLICATES;
        for partial in self.partials.values().filter(|partial| theirs.has(partial.piece()) && may(partial.piece())) {
            for (number, requests) in partial.outstanding() {
                let block = self.layout.block(partial.piece(), number).expect("the number is one of the piece's");
                if requests > fewest || requests == MAX_DUPLICATES || asked(block) {
                    continue;
                }
                if requests < fewest {
                    fewest = requests;
                    best.clear();
                }
                best.push(block);
            }
        }
        let block = *rng.choose(&best)?;
        self.partials.get_mut(&block.piece)?.ask(block);
        Some(block)
    }

    /// A piece of `theirs` that another connection works on, of which nothing came and of which `waits` says that it
    /// has to wait there; with that connection.
    pub fn unbegun(
        &self,
        conn: ConnId,
        theirs: &Bitfield,
        may: impl Fn(PieceIndex) -> bool,
        waits: impl Fn(ConnId, PieceIndex) -> bool,
    ) -> Option<(PieceIndex, ConnId)> {
        self.partials.values().find_map(|partial| {
            let piece = partial.piece();
            let owner = partial.owner.filter(|owner| *owner != conn)?;
            let free = partial.received() == 0 && !partial.alone && theirs.has(piece) && may(piece);
            (free && waits(owner, piece)).then_some((piece, owner))
        })
    }

    /// Makes a piece that another connection worked on this connection's.
    pub fn pass_on(&mut self, piece: PieceIndex, conn: ConnId) {
        if let Some(partial) = self.partials.get_mut(&piece) {
            partial.owner = Some(conn);
        }
    }

    /// Takes a request back.
    pub fn unask(&mut self, block: BlockInfo) {
        if let Some(partial) = self.partials.get_mut(&block.piece) {
            partial.unask(block);
            if partial.has_unasked() {
                self.open.insert(block.piece);
            }
            self.epoch += 1;
        }
    }

    /// Takes a request back that the peer refused or does not answer, and leaves the piece to others if it was the
    /// peer's.
    pub fn refused(&mut self, conn: ConnId, block: BlockInfo) {
        self.unask(block);
        if let Some(partial) = self.partials.get_mut(&block.piece)
            && partial.owner == Some(conn)
        {
            partial.owner = None;
        }
    }

    /// Leaves a connection's pieces to others.
    pub fn disown(&mut self, conn: ConnId) {
        for partial in self.partials.values_mut().filter(|partial| partial.owner == Some(conn)) {
            partial.owner = None;
            self.epoch += 1;
        }
    }

    /// The piece is hashed and stored.
    pub fn complete(&mut self, piece: PieceIndex) {
        self.remove(piece);
        self.open.remove(&piece);
        self.alone.remove(&piece);
        self.urgent.retain(|urgent| *urgent != piece);
        self.have.insert(piece);
        self.settled.insert(piece);
        self.begun.insert(piece);
    }

    /// The piece turned out bad: it begins anew, and is taken from one peer if there is a choice.
    pub fn discard_bad(&mut self, piece: PieceIndex) -> Option<Partial> {
        self.alone.insert(piece);
        self.discard(piece)
    }

    /// Whether no new piece can be begun, but for urgent ones.
    pub fn is_full(&self) -> bool {
        self.incoming() >= self.places()
    }

    /// Pieces of which blocks are still missing. Those that are whole take up no place: whoever asks for blocks waits
    /// when too many are not stored.
    pub fn incoming(&self) -> usize {
        self.partials.len() - self.whole
    }

    fn remove(&mut self, piece: PieceIndex) -> Option<Partial> {
        let partial = self.partials.remove(&piece)?;
        self.whole -= usize::from(partial.is_whole());
        Some(partial)
    }

    /// A piece is about to need its place no more: only where none could be begun does that change anything.
    fn made_room(&mut self) {
        self.epoch += u64::from(self.is_full());
    }

    /// The piece to give up so that another can be begun: nobody goes on with it and nobody that `can_give` tells of
    /// can; of these the one of which least is there.
    pub fn stranded(&self, can_give: impl Fn(PieceIndex) -> bool) -> Option<PieceIndex> {
        let stranded = self.partials.values().filter(|p| p.is_left_behind() && !can_give(p.piece()));
        stranded.min_by_key(|partial| partial.received()).map(Partial::piece)
    }

    /// Gives up what came of a piece: it begins anew.
    pub fn discard(&mut self, piece: PieceIndex) -> Option<Partial> {
        self.epoch += 1;
        let partial = self.remove(piece)?;
        self.begun.remove(piece);
        self.open.remove(&piece);
        Some(partial)
    }

    /// Begins a new piece.
    fn begin(
        &mut self,
        conn: ConnId,
        theirs: &Bitfield,
        hints: Hints<'_>,
        may: impl Fn(PieceIndex) -> bool,
        rng: &mut Rng,
    ) -> Option<PieceIndex> {
        if self.is_full() {
            return None;
        }
        let free = |piece: &PieceIndex| theirs.has(*piece) && !self.begun.has(*piece) && may(*piece);
        if self.in_order {
            let piece = theirs.without(&self.begun).find(|piece| may(*piece))?;
            self.open_piece(conn, piece);
            return Some(piece);
        }
        let piece = match hints.pieces.iter().copied().find(free) {
            Some(piece) => piece,
            None if hints.only => return None,
            None => self.rarest(theirs, may, rng)?,
        };
        self.open_piece(conn, piece);
        Some(piece)
    }

    /// The rarest piece that can be begun; a random one until there is something to trade.
    fn rarest(&self, theirs: &Bitfield, may: impl Fn(PieceIndex) -> bool, rng: &mut Rng) -> Option<PieceIndex> {
        let random = self.have.count() < RANDOM_FIRST;
        let rarity_of = |piece| if random { 0 } else { self.availability.of(piece) };
        rarest_of(|| theirs.without(&self.begun).filter(|piece| may(*piece)), rarity_of, rng)
    }

    /// Puts a piece on its way that is the connection's own.
    fn open_piece(&mut self, conn: ConnId, piece: PieceIndex) {
        self.begun.insert(piece);
        let mut partial = Partial::new(piece, &self.layout, conn);
        partial.alone = self.alone.contains(&piece);
        self.partials.insert(piece, partial);
        self.open.insert(piece);
    }
}

/// The piece of which there are fewest copies; ties fall at random.
pub(crate) fn rarest_of<I: Iterator<Item = PieceIndex>>(
    choices: impl Fn() -> I,
    copies: impl Fn(PieceIndex) -> u32,
    rng: &mut Rng,
) -> Option<PieceIndex> {
    let (mut fewest, mut ties) = (u32::MAX, 0);
    for piece in choices() {
        match copies(piece).cmp(&fewest) {
            Ordering::Less => (fewest, ties) = (copies(piece), 1),
            Ordering::Equal => ties += 1,
            Ordering::Greater => {}
        }
    }
    if ties == 0 {
        return None;
    }
    // A second walk finds the chosen one of the ties, so that there is one draw and no list of them.
    choices().filter(|piece| copies(*piece) == fewest).nth(rng.below(ties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::BLOCK_LENGTH;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn picker(pieces: u32, blocks: u32) -> Picker {
        let layout = Layout::new(blocks * BLOCK_LENGTH, [u64::from(pieces * blocks * BLOCK_LENGTH)]);
        Picker::new(layout, Bitfield::none(pieces), u64::MAX)
    }

    /// No suggestions.
    const NONE: Hints<'static> = Hints { pieces: &VecDeque::new(), only: false };

    fn any(_: PieceIndex) -> bool {
        true
    }

    #[test]
    fn a_connection_stays_with_its_piece() {
        let mut picker = picker(20, 4);
        let mut rng = Rng::from_seed_u64(1);
        let all = Bitfield::all(20);
        let first = picker.pick(A, &all, NONE, any, &mut rng).unwrap().piece;
        let other = picker.pick(B, &all, NONE, any, &mut rng).unwrap().piece;
        assert_ne!(first, other);
        for _ in 0..3 {
            assert_eq!(picker.pick(A, &all, NONE, any, &mut rng).unwrap().piece, first);
        }
        assert_ne!(picker.pick(A, &all, NONE, any, &mut rng).unwrap().piece, first);
    }

    #[test]
    fn the_rarest_piece_comes_first_once_there_is_something_to_trade() {
        let mut picker = picker(20, 1);
        let mut rng = Rng::from_seed_u64(1);
        for piece in 0..RANDOM_FIRST {
            picker.complete(PieceIndex(piece));
        }
        picker.availability.add(&Bitfield::all(20));
        let mut common = Bitfield::all(20);
        common.remove(PieceIndex(13));
        picker.availability.add(&common);
        assert_eq!(picker.pick(A, &Bitfield::all(20), NONE, any, &mut rng).unwrap().piece, PieceIndex(13));
    }

    #[test]
    fn ties_fall_evenly() {
        let mut counts = [0; 10];
        let mut rng = Rng::from_seed_u64(5);
        for _ in 0..2000 {
            let mut picker = picker(10, 1);
            counts[picker.pick(A, &Bitfield::all(10), NONE, any, &mut rng).unwrap().piece.as_usize()] += 1;
        }
        assert!(counts.iter().all(|count| (140..=260).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_is_missing_counts_the_short_last_piece() {
        let layout = Layout::new(4 * BLOCK_LENGTH, [u64::from(5 * BLOCK_LENGTH) + 7]);
        let mut picker = Picker::new(layout.clone(), Bitfield::none(2), u64::MAX);
        assert_eq!(picker.missing_bytes(), layout.length());
        picker.complete(PieceIndex(0));
        assert_eq!(picker.missing_bytes(), u64::from(BLOCK_LENGTH) + 7);
        picker.complete(PieceIndex(1));
        assert_eq!(picker.missing_bytes(), 0);
    }

    #[test]
    fn what_a_peer_left_behind_is_finished_first() {
        let mut picker = picker(20, 4);
        let mut rng = Rng::from_seed_u64(1);
        let all = Bitfield::all(20);
        let block = picker.pick(A, &all, NONE, any, &mut rng).unwrap();
        picker.unask(block);
        picker.disown(A);
        assert_eq!(picker.pick(B, &all, NONE, any, &mut rng), Some(block));
    }

    #[test]
    fn within_a_small_budget_pieces_are_shared() {
        let layout = Layout::new(4 * BLOCK_LENGTH, [u64::from(80 * BLOCK_LENGTH)]);
        let mut picker = Picker::new(layout, Bitfield::none(20), 1);
        let mut rng = Rng::from_seed_u64(1);
        let blocks = (0..8).map(|n| picker.pick(ConnId(n), &Bitfield::all(20), NONE, any, &mut rng).unwrap().piece);
        assert_eq!(blocks.collect::<BTreeSet<_>>().len(), 2);
        assert_eq!(picker.pick(ConnId(9), &Bitfield::all(20), NONE, any, &mut rng), None);
    }

    #[test]
    fn after_a_bad_copy_a_piece_is_taken_from_one_peer() {
        let mut picker = picker(1, 3);
        let mut rng = Rng::from_seed_u64(1);
        let all = Bitfield::all(1);
        picker.pick(A, &all, NONE, any, &mut rng).unwrap();
        assert!(picker.pick(B, &all, NONE, any, &mut rng).is_some(), "a piece that nothing is known of is shared");
        picker.discard_bad(PieceIndex(0));
        let block = picker.pick(A, &all, NONE, any, &mut rng).unwrap();
        assert_eq!(picker.pick(B, &all, NONE, any, &mut rng), None);
        picker.unask(block);
        picker.disown(A);
        assert!(picker.pick(B, &all, NONE, any, &mut rng).is_some(), "its peer has left it");
    }

    #[test]
    fn only_what_nobody_can_go_on_with_is_stranded() {
        let layout = Layout::new(4 * BLOCK_LENGTH, [u64::from(80 * BLOCK_LENGTH)]);
        let mut picker = Picker::new(layout, Bitfield::none(20), 1);
        let mut rng = Rng::from_seed_u64(1);
        let asked = [A, B].map(|conn| picker.pick(conn, &Bitfield::all(20), NONE, any, &mut rng).unwrap());
        assert!(picker.is_full());
        picker.disown(A);
        assert_eq!(picker.stranded(|_| false), None, "a block is on its way");
        picker.unask(asked[0]);
        assert_eq!(picker.stranded(|_| true), None);
        assert_eq!(picker.stranded(|_| false), Some(asked[0].piece));
        picker.discard(asked[0].piece);
        assert!(!picker.is_full());
    }

    #[test]
    fn the_end_game_asks_others_for_what_is_out() {
        let mut picker = picker(1, 2);
        let mut rng = Rng::from_seed_u64(1);
        let all = Bitfield::all(1);
        let first = picker.pick(A, &all, NONE, any, &mut rng).unwrap();
        assert_eq!(picker.pick_again(&all, any, |_| false, &mut rng), None, "a block is asked of nobody yet");
        let second = picker.pick(A, &all, NONE, any, &mut rng).unwrap();
        assert_eq!(picker.pick(B, &all, NONE, any, &mut rng), None);
        assert_eq!(picker.pick_again(&all, any, |block| block == first, &mut rng), Some(second));
        assert_eq!(picker.pick_again(&all, any, |_| false, &mut rng), Some(first), "it is asked for less often");
        let from = Sender::Peer("198.18.0.1:1".parse().unwrap());
        assert_eq!(picker.take(first, Bytes::new(), from), Some(2));
    }

    #[test]
    fn what_is_not_wanted_is_neither_chosen_nor_waited_for() {
        let mut wanted = Bitfield::none(20);
        for piece in [3, 7] {
            wanted.insert(PieceIndex(piece));
        }
        let mut picker = picker(20, 1).wanting(&wanted);
        let mut rng = Rng::from_seed_u64(1);
        let block = u64::from(BLOCK_LENGTH);
        assert_eq!((picker.missing_bytes(), picker.absent_bytes()), (2 * block, 20 * block));
        let chosen: BTreeSet<_> =
            std::iter::from_fn(|| picker.pick(A, &Bitfield::all(20), NONE, any, &mut rng)).map(|b| b.piece.0).collect();
        assert_eq!(chosen, BTreeSet::from([3, 7]));
        assert!(picker.is_end_game() && !picker.is_done());
        assert!(picker.lacks(PieceIndex(3)) && !picker.lacks(PieceIndex(4)));
        picker.complete(PieceIndex(3));
        picker.complete(PieceIndex(7));
        assert!(picker.is_done() && !picker.lacks_any_of(&Bitfield::all(20)));
        assert_eq!((picker.missing_bytes(), picker.absent_bytes()), (0, 18 * block));
        assert_eq!(picker.have().count(), 2);
    }

    #[test]
    fn pieces_come_in_their_order_where_the_owner_wants_that() {
        let mut picker = picker(8, 1).in_order(true);
        let mut rng = Rng::from_seed_u64(1);
        let mut theirs = Bitfield::all(8);
        theirs.remove(PieceIndex(2));
        let suggested = VecDeque::from([PieceIndex(6)]);
        let hints = Hints { pieces: &suggested, only: true };
        let asked: Vec<u32> =
            std::iter::from_fn(|| picker.pick(A, &theirs, hints, any, &mut rng)).map(|block| block.piece.0).collect();
        assert_eq!(asked, [0, 1, 3, 4, 5, 6, 7]);
        assert_eq!(picker.begin_run(Wanted::Any, Some(PieceIndex(5)), &mut rng).unwrap().piece, PieceIndex(2));
    }

    #[test]
    fn only_what_the_peer_has_and_allows_is_chosen() {
        let mut picker = picker(20, 1);
        let mut rng = Rng::from_seed_u64(1);
        let mut theirs = Bitfield::none(20);
        assert_eq!(picker.pick(A, &theirs, NONE, any, &mut rng), None);
        theirs.insert(PieceIndex(7));
        assert_eq!(picker.pick(A, &theirs, NONE, |piece| piece != PieceIndex(7), &mut rng), None);
        assert_eq!(picker.pick(A, &theirs, NONE, any, &mut rng).unwrap().piece, PieceIndex(7));
    }
}
