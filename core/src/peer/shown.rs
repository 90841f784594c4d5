//! What a peer was shown of our pieces, where a seed shows them one by one. BEP 16.

use crate::bitfield::Bitfield;
use crate::layout::PieceIndex;
use crate::time::Instant;

/// The pieces that a peer knows we have, and since when it knows of the last.
#[derive(Clone, Debug)]
pub struct Shown {
    pieces: Bitfield,
    at: Instant,
}

impl Shown {
    /// Nothing of `piece_count` pieces.
    pub fn nothing(piece_count: u32, now: Instant) -> Self {
        Self { pieces: Bitfield::none(piece_count), at: now }
    }

    /// One more.
    pub fn add(&mut self, now: Instant, piece: PieceIndex) {
        self.pieces.insert(piece);
        self.at = now;
    }

    /// All that it was shown.
    pub const fn pieces(&self) -> &Bitfield {
        &self.pieces
    }

    /// When it was last shown one.
    pub const fn at(&self) -> Instant {
        self.at
    }
}
