//! One bit for each piece, in the order and byte layout of the wire: the high bit of the first byte is piece 0. BEP 3.
//!
//! Law: bits beyond the last piece are never set.

use std::fmt;

use crate::layout::PieceIndex;

/// A set of pieces.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    len: u32,
    ones: u32,
}

impl Bitfield {
    /// No piece of `len`.
    pub fn none(len: u32) -> Self {
        Self { bytes: vec![0; (len as usize).div_ceil(8)], len, ones: 0 }
    }

    /// Every piece of `len`.
    pub fn all(len: u32) -> Self {
        let mut bytes = vec![0xff; (len as usize).div_ceil(8)];
        if let Some(last) = bytes.last_mut() {
            *last &= Self::last_mask(len);
        }
        Self { bytes, len, ones: len }
    }

    /// The bitfield of a peer's message, for `len` pieces.
    ///
    /// `None` if the length is another, or a bit beyond the last piece is set: BEP 3 says to drop such a peer.
    pub fn from_wire(bytes: &[u8], len: u32) -> Option<Self> {
        let spare_set = bytes.last().is_some_and(|last| last & !Self::last_mask(len) != 0);
        if bytes.len() != (len as usize).div_ceil(8) || spare_set {
            return None;
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), len, ones })
    }

    /// The bytes of the message, `len.div_ceil(8)` of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of pieces that the set is about.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the set is about no piece at all.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of pieces in the set.
    pub const fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every piece is in the set.
    pub const fn is_all(&self) -> bool {
        self.ones == self.len
    }

    /// Whether no piece is in the set.
    pub const fn is_none(&self) -> bool {
        self.ones == 0
    }

    /// Whether the piece is in the set; false beyond the last.
    pub fn has(&self, piece: PieceIndex) -> bool {
        piece.0 < self.len && self.bytes[piece.as_usize() / 8] & Self::bit(piece) != 0
    }

    /// Puts the piece into the set and tells whether it was not in it.
    ///
    /// # Panics
    /// If the piece is beyond the last.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        assert!(piece.0 < self.len, "piece {piece} of {}", self.len);
        let fresh = !self.has(piece);
        self.bytes[piece.as_usize() / 8] |= Self::bit(piece);
        self.ones += u32::from(fresh);
        fresh
    }

    /// Takes the piece out of the set and tells whether it was in it.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        let had = self.has(piece);
        if had {
            self.bytes[piece.as_usize() / 8] &= !Self::bit(piece);
            self.ones -= 1;
        }
        had
    }

    /// The pieces in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        Ones::of(words(&self.bytes))
    }

    /// The pieces in this set that are not in `other`, in order. Both are about the same torrent.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = PieceIndex> + 'a {
        Ones::of(words(&self.bytes).zip(words(&other.bytes)).map(|(own, other)| own & !other))
    }

    /// Whether `other` has a piece that this set lacks. Both are about the same torrent.
    pub fn lacks_any_of(&self, other: &Self) -> bool {
        self.bytes.iter().zip(&other.bytes).any(|(own, theirs)| theirs & !own != 0)
    }

    const fn bit(piece: PieceIndex) -> u8 {
        0x80 >> (piece.0 % 8)
    }

    const fn last_mask(len: u32) -> u8 {
        match len % 8 {
            0 => 0xff,
            used => !(0xff >> used),
        }
    }
}

/// The bytes, eight at a time; the last ones are filled up with zeros.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    whole.iter().copied().chain((!rest.is_empty()).then_some(last)).map(u64::from_be_bytes)
}

/// The pieces whose bits are set in a run of words.
struct Ones<W> {
    words: W,
    word: u64,
    /// The number of the bit after the current word.
    end: u32,
}

impl<W: Iterator<Item = u64>> Ones<W> {
    fn of(words: W) -> Self {
        Self { words, word: 0, end: 0 }
    }
}

impl<W: Iterator<Item = u64>> Iterator for Ones<W> {
    type Item = PieceIndex;

    fn next(&mut self) -> Option<PieceIndex> {
        while self.word == 0 {
            self.word = self.words.next()?;
            self.end += u64::BITS;
        }
        let bit = self.word.leading_zeros();
        self.word &= !(1 << (u64::BITS - 1 - bit));
        Some(PieceIndex(self.end - u64::BITS + bit))
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.ones, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_bits_and_other_lengths_are_refused() {
        assert!(Bitfield::from_wire(&[0xff, 0x80], 9).is_some());
        assert!(Bitfield::from_wire(&[0xff, 0xc0], 9).is_none());
        assert!(Bitfield::from_wire(&[0xff], 9).is_none());
        assert!(Bitfield::from_wire(&[0xff, 0x80, 0], 9).is_none());
        assert!(Bitfield::from_wire(&[], 0).is_some());
    }

    #[test]
    fn counting_follows_every_change() {
        let mut set = Bitfield::none(10);
        assert!(set.insert(PieceIndex(9)));
        assert!(!set.insert(PieceIndex(9)));
        assert!(set.insert(PieceIndex(0)));
        assert_eq!(set.count(), 2);
        assert_eq!(set.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(9)]);
        assert_eq!(set.without(&Bitfield::none(10)).count(), 2);
        assert_eq!(set.as_bytes(), [0x80, 0x40]);
        assert!(set.remove(PieceIndex(0)));
        assert!(!set.remove(PieceIndex(0)));
        assert_eq!(set.count(), 1);
        assert!(!set.has(PieceIndex(10)));
    }

    #[test]
    fn every_piece_of_a_long_set_comes_once_and_in_order() {
        for len in [63, 64, 65, 200] {
            let all = Bitfield::all(len);
            assert_eq!(all.iter().map(|piece| piece.0).collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
            let mut odd = Bitfield::none(len);
            for piece in (1..len).step_by(2) {
                odd.insert(PieceIndex(piece));
            }
            assert!(all.without(&odd).map(|piece| piece.0).eq((0..len).step_by(2)));
            assert_eq!(odd.without(&all).next(), None);
        }
    }

    #[test]
    fn all_sets_no_spare_bit() {
        let all = Bitfield::all(10);
        assert!(all.is_all());
        assert_eq!(Bitfield::from_wire(all.as_bytes(), 10), Some(all));
    }

    #[test]
    fn interest_is_a_piece_we_lack() {
        let mut own = Bitfield::none(9);
        let mut theirs = Bitfield::none(9);
        assert!(!own.lacks_any_of(&theirs));
        theirs.insert(PieceIndex(8));
        assert!(own.lacks_any_of(&theirs));
        own.insert(PieceIndex(8));
        assert!(!own.lacks_any_of(&theirs));
    }
}
