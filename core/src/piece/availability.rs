//! How many connected peers have each piece.
//!
//! Law: equals a recount over the connections at any time.

use crate::bitfield::Bitfield;
use crate::layout::PieceIndex;

/// Counts of the peers that have each piece; we ourselves are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    counts: Vec<u32>,
}

impl Availability {
    /// Nobody has any of `piece_count` pieces.
    pub fn none(piece_count: u32) -> Self {
        Self { counts: vec![0; piece_count as usize] }
    }

    /// Counts the pieces of a peer that came.
    pub fn add(&mut self, pieces: &Bitfield) {
        for piece in pieces.iter() {
            self.counts[piece.as_usize()] += 1;
        }
    }

    /// Takes back the pieces of a peer that went.
    pub fn remove(&mut self, pieces: &Bitfield) {
        for piece in pieces.iter() {
            self.counts[piece.as_usize()] -= 1;
        }
    }

    /// Counts one piece that a peer got.
    pub fn add_one(&mut self, piece: PieceIndex) {
        self.counts[piece.as_usize()] += 1;
    }

    /// How many peers have this piece.
    pub fn of(&self, piece: PieceIndex) -> u32 {
        self.counts[piece.as_usize()]
    }

    /// How many whole copies the peers hold together, in thousandths.
    ///
    /// The whole part is how often the rarest piece is there, the rest the share of pieces that are there more often.
    pub fn copies_milli(&self) -> u64 {
        let Some(rarest) = self.counts.iter().min().copied() else { return 0 };
        let more = self.counts.iter().filter(|count| **count > rarest).count();
        u64::from(rarest) * 1000 + (more * 1000 / self.counts.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_the_rarest_piece_and_the_share_above_it() {
        let mut availability = Availability::none(4);
        assert_eq!(availability.copies_milli(), 0);
        availability.add(&Bitfield::all(4));
        assert_eq!(availability.copies_milli(), 1000);
        availability.add_one(PieceIndex(2));
        assert_eq!(availability.copies_milli(), 1250);
        availability.remove(&Bitfield::all(4));
        assert_eq!(availability.copies_milli(), 250);
        assert_eq!(availability.of(PieceIndex(2)), 1);
    }
}
