//! Where each byte of a torrent lies: pieces, blocks and files, all arithmetic in one place.
//!
//! A torrent is one run of bytes, its files end to end (BEP 3). It is cut into pieces of one length, the last one
//! shorter, and a piece into blocks of 16 KiB, which peers ask one another for.
//!
//! A piece may end in padding, so that the next file begins with the next piece (BEP 47, 52). Nobody needs to send
//! that: a piece's length and its blocks end before it, while a peer may ask for it.
//!
//! Law: a [`PieceIndex`] or [`BlockInfo`] that this module returned lies within the torrent.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use crate::bitfield::Bitfield;
use crate::metainfo::Info;
use crate::metainfo::merkle::Tree;

/// 16 KiB. Larger requests are dropped by most clients. BEP 3.
pub const BLOCK_LENGTH: u32 = 16 * 1024;

/// The number of a piece, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

impl PieceIndex {
    /// The index as an index into a slice.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A span within one piece: what a request asks for and a piece message brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockInfo {
    /// The piece.
    pub piece: PieceIndex,
    /// The offset within the piece, in bytes.
    pub begin: u32,
    /// The length, in bytes.
    pub length: u32,
}

impl BlockInfo {
    /// The blocks that the span is cut into; the last may be shorter than [`BLOCK_LENGTH`].
    pub fn blocks(self) -> impl ExactSizeIterator<Item = Self> {
        (0..self.length).step_by(BLOCK_LENGTH as usize).map(move |at| Self {
            // A span that a peer invents may begin anywhere.
            begin: self.begin.wrapping_add(at),
            length: (self.length - at).min(BLOCK_LENGTH),
            ..self
        })
    }

    /// The first block, and the span without it.
    pub fn split_block(self) -> (Self, Option<Self>) {
        let length = self.length.min(BLOCK_LENGTH);
        let rest = Self { begin: self.begin.wrapping_add(length), length: self.length - length, ..self };
        (Self { length, ..self }, (rest.length > 0).then_some(rest))
    }
}

/// A part of one file: one step of reading or writing a span of the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSlice {
    /// The file's place in the metainfo's list.
    pub file: usize,
    /// The offset within the file, in bytes.
    pub offset: u64,
    /// The length, in bytes; never 0.
    pub length: u64,
}

/// The shape of a torrent's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    length: u64,
    piece_length: u32,
    piece_count: u32,
    /// Offset of each file's first byte in the torrent, and the torrent's length at the end.
    file_starts: Vec<u64>,
    /// How many bytes of padding end those pieces that do.
    padding: BTreeMap<u32, u32>,
}

impl Layout {
    /// The layout of a torrent; its metainfo was checked when it was parsed.
    pub fn of(info: &Info) -> Self {
        Self::padded(info.piece_length, info.files.iter().map(|file| (file.length, file.is_pad)))
    }

    /// The layout of files of these lengths, of which some are padding.
    ///
    /// # Panics
    /// As [`Layout::new`] does.
    pub fn padded(piece_length: u32, files: impl IntoIterator<Item = (u64, bool)>) -> Self {
        let (lengths, are_pads): (Vec<u64>, Vec<bool>) = files.into_iter().unzip();
        let mut layout = Self::new(piece_length, lengths);
        for (number, _) in are_pads.into_iter().enumerate().filter(|(_, is_pad)| *is_pad) {
            layout.note_padding(layout.file_starts[number]..layout.file_starts[number + 1]);
        }
        layout
    }

    /// The layout of files of these lengths, end to end, in pieces of `piece_length` bytes.
    ///
    /// # Panics
    /// If `piece_length` is 0, or the lengths add up to more than 2^32 pieces.
    pub fn new(piece_length: u32, file_lengths: impl IntoIterator<Item = u64>) -> Self {
        let mut file_starts = vec![0];
        let mut length = 0_u64;
        for file_length in file_lengths {
            length += file_length;
            file_starts.push(length);
        }
        let piece_count = length.div_ceil(u64::from(piece_length));
        let piece_count = u32::try_from(piece_count).expect("the metainfo limits the number of pieces");
        Self { length, piece_length, piece_count, file_starts, padding: BTreeMap::new() }
    }

    /// Padding that ends a piece begun before it is not asked for.
    fn note_padding(&mut self, range: Range<u64>) {
        let piece_length = u64::from(self.piece_length);
        let ends_piece = range.end.is_multiple_of(piece_length) || range.end == self.length;
        let first = range.start / piece_length;
        let is_within = !range.start.is_multiple_of(piece_length) && range.end <= (first + 1) * piece_length;
        if ends_piece && is_within && !range.is_empty() {
            let length = u32::try_from(range.end - range.start).expect("it is shorter than a piece");
            self.padding.insert(u32::try_from(first).expect("it lies within the torrent"), length);
        }
    }

    /// The torrent's length, in bytes, padding included.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The length of all pieces together, in bytes, without the padding that ends them.
    pub fn sent_length(&self) -> u64 {
        self.length - self.paddings().map(|(_, length)| u64::from(length)).sum::<u64>()
    }

    /// The length of these pieces together, in bytes, without the padding that ends them.
    pub fn sent_length_of(&self, pieces: &Bitfield) -> u64 {
        pieces.iter().map(|piece| u64::from(self.length_of(piece))).sum()
    }

    /// The pieces that end in padding, and how many bytes of it.
    pub fn paddings(&self) -> impl Iterator<Item = (PieceIndex, u32)> + '_ {
        self.padding.iter().map(|(piece, length)| (PieceIndex(*piece), *length))
    }

    /// How many bytes of padding end this piece; they are zeros and belong to its SHA-1.
    pub fn padding_of(&self, piece: PieceIndex) -> u32 {
        self.padding.get(&piece.0).copied().unwrap_or(0)
    }

    /// The length of every piece but the last, in bytes.
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The number of pieces.
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// The piece of this number, or `None` beyond the last.
    pub fn piece(&self, index: u32) -> Option<PieceIndex> {
        (index < self.piece_count).then_some(PieceIndex(index))
    }

    /// All pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = PieceIndex> + use<> {
        (0..self.piece_count).map(PieceIndex)
    }

    /// The length of this piece, in bytes, without the padding that may end it.
    pub fn length_of(&self, piece: PieceIndex) -> u32 {
        self.padded_length_of(piece) - self.padding_of(piece)
    }

    /// The length of this piece, in bytes, with the padding that may end it.
    fn padded_length_of(&self, piece: PieceIndex) -> u32 {
        let start = self.start_of(piece);
        let left = self.length.saturating_sub(start);
        u32::try_from(left.min(u64::from(self.piece_length))).expect("a piece is no longer than its length")
    }

    /// The offset of the piece's first byte in the torrent.
    pub fn start_of(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// The number of blocks of this piece.
    pub fn block_count(&self, piece: PieceIndex) -> u32 {
        self.length_of(piece).div_ceil(BLOCK_LENGTH)
    }

    /// The block of this number within the piece, or `None` beyond its last.
    pub fn block(&self, piece: PieceIndex, number: u32) -> Option<BlockInfo> {
        let begin = number.checked_mul(BLOCK_LENGTH)?;
        let left = self.length_of(piece).checked_sub(begin).filter(|left| *left > 0)?;
        Some(BlockInfo { piece, begin, length: left.min(BLOCK_LENGTH) })
    }

    /// Whether the span lies within its piece and is not empty.
    pub fn contains(&self, span: BlockInfo) -> bool {
        let end = u64::from(span.begin) + u64::from(span.length);
        span.piece.0 < self.piece_count && span.length > 0 && end <= u64::from(self.padded_length_of(span.piece))
    }

    /// Whether the span is exactly one of the torrent's blocks.
    pub fn is_block(&self, span: BlockInfo) -> bool {
        span.piece.0 < self.piece_count
            && span.begin.is_multiple_of(BLOCK_LENGTH)
            && self.block(span.piece, span.begin / BLOCK_LENGTH) == Some(span)
    }

    /// The range of the torrent's bytes that a span covers.
    pub fn range_of(&self, span: BlockInfo) -> Range<u64> {
        let start = self.start_of(span.piece) + u64::from(span.begin);
        start..start + u64::from(span.length)
    }

    /// Where in the torrent's bytes the block behind this one begins, or the torrent's length.
    pub fn end_of(&self, block: BlockInfo) -> u64 {
        let is_last = block.begin + block.length == self.length_of(block.piece);
        self.range_of(block).end + if is_last { u64::from(self.padding_of(block.piece)) } else { 0 }
    }

    /// The file that this piece begins with, where every file begins a piece, as in v2 torrents.
    pub fn file_at(&self, piece: PieceIndex) -> usize {
        let start = self.start_of(piece);
        self.slices(start..start + 1).next().expect("a piece has bytes").file
    }

    /// The hash tree of the file to which this piece belongs, where every file begins a piece, as in v2 torrents (BEP
    /// 52).
    pub fn tree_of(&self, piece: PieceIndex) -> Tree {
        let file = self.file_at(piece);
        Tree::new(self.file_starts[file + 1] - self.file_starts[file], self.piece_length)
    }

    /// The pieces that have bytes of this file, in order; none if it is empty.
    pub fn pieces_of(&self, file: usize) -> impl Iterator<Item = PieceIndex> + use<> {
        let range = self.file_starts[file]..self.file_starts[file + 1];
        let first = range.start / u64::from(self.piece_length);
        let end = if range.is_empty() { first } else { range.end.div_ceil(u64::from(self.piece_length)) };
        (first..end).map(|piece| PieceIndex(u32::try_from(piece).expect("the file lies within the torrent")))
    }

    /// Where in the torrent's bytes this file begins.
    pub fn start_of_file(&self, file: usize) -> u64 {
        self.file_starts[file]
    }

    /// The parts of files that a range of the torrent's bytes covers, in order; files without bytes never occur.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = FileSlice> + '_ {
        let first = self.file_starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        self.file_starts[first..]
            .windows(2)
            .enumerate()
            .take_while({
                let end = range.end;
                move |(_, file)| file[0] < end
            })
            .filter_map(move |(i, file)| {
                let (start, end) = (range.start.max(file[0]), range.end.min(file[1]));
                (start < end).then(|| FileSlice { file: first + i, offset: start - file[0], length: end - start })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(file: usize, offset: u64, length: u64) -> FileSlice {
        FileSlice { file, offset, length }
    }

    #[test]
    fn the_last_piece_and_block_are_shorter() {
        let layout = Layout::new(32 * 1024, [100_000]);
        assert_eq!(layout.piece_count(), 4);
        let last = layout.piece(3).unwrap();
        assert_eq!(layout.length_of(last), 100_000 - 3 * 32 * 1024);
        assert_eq!(layout.block_count(last), 1);
        assert_eq!(layout.block(last, 0).unwrap().length, 1696);
        assert_eq!(layout.block(last, 1), None);
        assert_eq!(layout.piece(4), None);
    }

    #[test]
    fn a_torrent_of_whole_pieces_has_no_empty_one() {
        let layout = Layout::new(16 * 1024, [32 * 1024]);
        assert_eq!(layout.piece_count(), 2);
        assert_eq!(layout.length_of(PieceIndex(1)), 16 * 1024);
    }

    #[test]
    fn a_range_is_cut_at_file_borders_and_skips_empty_files() {
        let layout = Layout::new(16 * 1024, [10, 0, 5, 100]);
        assert_eq!(layout.slices(0..10).collect::<Vec<_>>(), [slice(0, 0, 10)]);
        assert_eq!(layout.slices(8..20).collect::<Vec<_>>(), [slice(0, 8, 2), slice(2, 0, 5), slice(3, 0, 5)]);
        assert_eq!(layout.slices(114..115).collect::<Vec<_>>(), [slice(3, 99, 1)]);
        assert_eq!(layout.slices(3..3).count(), 0);
    }

    #[test]
    fn padding_that_ends_a_piece_is_not_sent_but_may_be_asked_for() {
        let mut layout = Layout::new(32 * 1024, [40_000, 25_536, 1, 32_767]);
        for padding in [40_000..65_536, 65_537..98_304] {
            layout.note_padding(padding);
        }
        assert_eq!((layout.length(), layout.sent_length()), (98_304, 40_001));
        let lengths: Vec<_> = layout.pieces().map(|piece| layout.length_of(piece)).collect();
        assert_eq!(lengths, [32_768, 7_232, 1]);
        assert_eq!((layout.block_count(PieceIndex(1)), layout.padding_of(PieceIndex(1))), (1, 25_536));
        let block = layout.block(PieceIndex(1), 0).unwrap();
        assert_eq!((block.length, layout.end_of(block)), (7_232, 65_536));
        assert!(layout.contains(BlockInfo { piece: PieceIndex(1), begin: 16 * 1024, length: 16 * 1024 }));
        assert!(!layout.contains(BlockInfo { piece: PieceIndex(1), begin: 16 * 1024, length: 16 * 1024 + 1 }));
    }

    #[test]
    fn padding_elsewhere_is_sent_like_any_bytes() {
        let mut layout = Layout::new(32 * 1024, [10, 10, 100_000]);
        for padding in [10..20, 0..0, 20..98_304, 32_768..65_536] {
            layout.note_padding(padding);
        }
        assert_eq!(layout.sent_length(), layout.length());
    }

    #[test]
    fn spans_outside_are_told_from_spans_inside() {
        let layout = Layout::new(32 * 1024, [100_000]);
        let span = |piece, begin, length| BlockInfo { piece: PieceIndex(piece), begin, length };
        assert!(layout.contains(span(0, 1, 100)));
        assert!(!layout.is_block(span(0, 1, 100)));
        assert!(layout.is_block(span(0, 16 * 1024, 16 * 1024)));
        assert!(layout.is_block(span(3, 0, 1696)));
        for outside in [span(4, 0, 1), span(0, 0, 0), span(0, u32::MAX, u32::MAX), span(3, 1696, 1), span(3, 0, 1697)] {
            assert!(!layout.contains(outside), "{outside:?}");
            assert!(!layout.is_block(outside), "{outside:?}");
        }
    }
}
