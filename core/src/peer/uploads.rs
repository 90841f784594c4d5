//! A peer's requests to us: what it waits for, what is being read for it, what is on its way.
//!
//! Requests that follow one another in a piece are read as one span, so that the disk sees few and large reads.
//!
//! Law: at most [`MAX_QUEUED`] requests wait, and no more bytes are read or unsent than the caller's credit allows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::time::Instant;

/// The most requests of one peer that wait; what comes beyond is rejected. Told to peers as `reqq`.
pub const MAX_QUEUED: usize = 2000;

/// The requests of one peer.
#[derive(Clone, Debug, Default)]
pub struct Uploads {
    waiting: VecDeque<BlockInfo>,
    /// Spans being read, oldest first; each was cut from consecutive requests, whose lengths follow it.
    reading: VecDeque<(BlockInfo, Vec<u32>)>,
    /// Bytes being read.
    reading_bytes: u64,
    /// Bytes handed to the connection and not yet taken by the socket.
    unsent_bytes: u64,
    /// When the socket last took something, or was first given something since it had nothing.
    progress: Instant,
}

impl Uploads {
    /// Queues a request; false if the queue is full or has it already.
    pub fn push(&mut self, block: BlockInfo) -> bool {
        if self.waiting.len() >= MAX_QUEUED || self.waiting.back() == Some(&block) {
            return false;
        }
        self.waiting.push_back(block);
        true
    }

    /// Drops a request that waits; tells whether it did. One that is being read is past recall.
    pub fn cancel(&mut self, block: BlockInfo) -> bool {
        let place = self.waiting.iter().position(|waiting| *waiting == block);
        place.is_some_and(|place| self.waiting.remove(place).is_some())
    }

    /// Drops all requests that wait but those `keep` accepts, and returns them.
    pub fn clear(&mut self, keep: impl Fn(BlockInfo) -> bool) -> Vec<BlockInfo> {
        let (kept, dropped): (VecDeque<_>, Vec<_>) = {
            let mut kept = VecDeque::new();
            let mut dropped = Vec::new();
            for block in self.waiting.drain(..) {
                if keep(block) {
                    kept.push_back(block);
                } else {
                    dropped.push(block);
                }
            }
            (kept, dropped)
        };
        self.waiting = kept;
        dropped
    }

    /// The piece that the oldest request wants.
    pub fn next_piece(&self) -> Option<PieceIndex> {
        self.waiting.front().map(|block| block.piece)
    }

    /// Whether a block of this piece is waited for or being read.
    pub fn is_for(&self, piece: PieceIndex) -> bool {
        let reading = self.reading.iter().map(|(span, _)| span);
        self.waiting.iter().chain(reading).any(|block| block.piece == piece)
    }

    /// Whether a request waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes being read or unsent.
    pub const fn pending_bytes(&self) -> u64 {
        self.reading_bytes + self.unsent_bytes
    }

    /// Takes the next span to send: consecutive requests of one piece, at most `credit` bytes but at least one request.
    pub fn next_span(&mut self, credit: u64) -> Option<BlockInfo> {
        let mut span = self.waiting.pop_front()?;
        let mut lengths = vec![span.length];
        while let Some(next) = self.waiting.front() {
            let follows = next.piece == span.piece && next.begin == span.begin + span.length;
            let length = span.length.saturating_add(next.length);
            if !follows || u64::from(length) > credit {
                break;
            }
            span.length = length;
            lengths.push(next.length);
            self.waiting.pop_front();
        }
        self.reading_bytes += u64::from(span.length);
        self.reading.push_back((span, lengths));
        Some(span)
    }

    /// Ends the reading of `span` and returns the requests that it answers, with their places in it.
    pub fn span_read(&mut self, span: BlockInfo) -> Vec<BlockInfo> {
        let Some(place) = self.reading.iter().position(|(reading, _)| *reading == span) else { return Vec::new() };
        let (span, lengths) = self.reading.remove(place).expect("the place was just found");
        self.reading_bytes -= u64::from(span.length);
        let mut begin = span.begin;
        lengths
            .into_iter()
            .map(|length| {
                let block = BlockInfo { piece: span.piece, begin, length };
                begin += length;
                block
            })
            .collect()
    }

    /// Whether the span that was taken last is a run: several whole blocks, of which the last may be shorter.
    pub fn is_run(&self) -> bool {
        let Some((_, lengths)) = self.reading.back() else { return false };
        lengths.len() > 1 && lengths[..lengths.len() - 1].iter().all(|length| *length == BLOCK_LENGTH)
    }

    /// Counts bytes handed to the connection.
    pub fn queued(&mut self, now: Instant, bytes: u64) {
        if self.unsent_bytes == 0 {
            self.progress = now;
        }
        self.unsent_bytes += bytes;
    }

    /// Counts bytes that the socket took.
    pub fn sent(&mut self, now: Instant, bytes: u64) {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(bytes);
        self.progress = now;
    }

    /// How long the peer has read nothing of what it asked for.
    pub fn stuck(&self, now: Instant) -> Duration {
        if self.unsent_bytes == 0 { Duration::ZERO } else { now - self.progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::PieceIndex;

    fn block(piece: u32, number: u32) -> BlockInfo {
        BlockInfo { piece: PieceIndex(piece), begin: number * BLOCK_LENGTH, length: BLOCK_LENGTH }
    }

    #[test]
    fn consecutive_requests_are_read_at_once() {
        let mut uploads = Uploads::default();
        for block in [block(0, 0), block(0, 1), block(0, 2), block(0, 5), block(1, 6)] {
            assert!(uploads.push(block));
        }
        let span = uploads.next_span(u64::MAX).unwrap();
        assert_eq!((span.begin, span.length), (0, 3 * BLOCK_LENGTH));
        assert_eq!(uploads.next_span(u64::MAX), Some(block(0, 5)));
        assert_eq!(uploads.pending_bytes(), 4 * u64::from(BLOCK_LENGTH));
        assert_eq!(uploads.span_read(span), [block(0, 0), block(0, 1), block(0, 2)]);
        assert_eq!(uploads.span_read(span), []);
        assert_eq!(uploads.pending_bytes(), u64::from(BLOCK_LENGTH));
    }

    #[test]
    fn credit_cuts_a_span_but_never_to_nothing() {
        let mut uploads = Uploads::default();
        for number in 0..4 {
            uploads.push(block(0, number));
        }
        assert_eq!(uploads.next_span(u64::from(BLOCK_LENGTH) * 2 + 5).unwrap().length, 2 * BLOCK_LENGTH);
        assert_eq!(uploads.next_span(1).unwrap().length, BLOCK_LENGTH);
    }

    #[test]
    fn a_flood_of_requests_is_bounded() {
        let mut uploads = Uploads::default();
        let taken = (0..200_000).filter(|number| uploads.push(block(number % 7, number % 5))).count();
        assert_eq!(taken, MAX_QUEUED);
    }

    #[test]
    fn a_peer_is_stuck_only_while_it_has_something_to_read() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut uploads = Uploads::default();
        assert_eq!(uploads.stuck(at(100)), Duration::ZERO);
        uploads.queued(at(100), 20);
        uploads.queued(at(105), 20);
        assert_eq!(uploads.stuck(at(110)), Duration::from_secs(10));
        uploads.sent(at(110), 20);
        assert_eq!(uploads.stuck(at(112)), Duration::from_secs(2));
        uploads.sent(at(113), 20);
        assert_eq!(uploads.stuck(at(999)), Duration::ZERO);
    }

    #[test]
    fn cancelling_drops_only_what_waits() {
        let mut uploads = Uploads::default();
        uploads.push(block(0, 0));
        uploads.push(block(1, 0));
        let span = uploads.next_span(1).unwrap();
        assert!(!uploads.cancel(span));
        assert!(uploads.cancel(block(1, 0)));
        assert!(!uploads.is_waiting());
    }
}
