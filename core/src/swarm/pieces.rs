//! Pieces on their way to the disk: judged when they are whole, stored when they are right, blamed when they are not.

use std::time::Duration;

use super::io::{DiskFault, Event, Output, StoreOutcome, WholePiece};
use super::upkeep::Failing;
use super::{Phase, Swarm};
use crate::layout::PieceIndex;
use crate::metainfo::merkle::Sha256Digest;
use crate::piece::sha1::TOGETHER;
use crate::piece::{PieceCheck, Sender};
use crate::rate::Rate;
use crate::time::Instant;
use crate::tracker::AnnouncerInput;

/// Until so many pieces are here, both halves of a hybrid torrent are asked whether one is right.
const ASK_BOTH: u32 = 4;

/// From this speed on pieces wait for one another, to be hashed together: below that of a gigabit line the processor
/// has time.
const QUICK: Rate = Rate(128 << 20);

/// The most bytes that are gathered.
const MOST_TOGETHER: u64 = 32 << 20;

/// Whole pieces that wait for others. They come so quickly that it takes milliseconds.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    whole: Vec<WholePiece>,
    /// When they wait no more, if there are any.
    pub(super) until: Option<Instant>,
    /// The bytes that are gathered at most, as fast as it goes at present.
    bytes: u64,
}

impl Swarm {
    /// Sends a piece to be stored if it is whole.
    pub(super) fn store_if_whole(&mut self, now: Instant, piece: PieceIndex) {
        if self.picker.partial(piece).is_some_and(|partial| partial.is_whole()) {
            self.store(now, piece);
        }
    }

    pub(super) fn stored(&mut self, now: Instant, piece: PieceIndex, outcome: StoreOutcome, bytes: u64) {
        self.storing = self.storing.saturating_sub(bytes);
        if self.picker.partial(piece).is_none() {
            return;
        }
        match outcome {
            StoreOutcome::Stored(digests) => self.piece_is_good(now, piece, digests.as_deref()),
            StoreOutcome::Corrupt(digests) => {
                self.wasted += bytes;
                self.unstored.remove(&piece);
                let senders = self.picker.discard_bad(piece).map(|partial| partial.senders()).unwrap_or_default();
                match self.blame.bad(piece, &senders, &digests) {
                    Some(liar) => self.blame(now, liar),
                    None => self.ask_for_blocks_hashes(now, piece),
                }
            }
            StoreOutcome::Contradiction => {
                self.picker.discard(piece);
                self.unstored.remove(&piece);
                self.give_up(
                    now,
                    format!(
                        "the torrent contradicts itself: piece {piece} is right by one half and wrong by the other"
                    ),
                );
            }
            StoreOutcome::Failed(fault) => {
                self.unstored.insert(piece);
                self.disk_failed(now, &fault, Failing::Writes);
            }
        }
    }

    /// Whoever sent bad data, proven, is not asked again.
    pub(super) fn blame(&mut self, now: Instant, liar: Sender) {
        match liar {
            Sender::Peer(addr) => self.ban(now, addr),
            Sender::WebSeed(id) => self.drop_web_seed(now, id, "it sent bad data".to_owned()),
        }
    }

    /// Has a whole piece judged and written, for the first time or after it could not be written.
    pub(super) fn store(&mut self, now: Instant, piece: PieceIndex) {
        let Some(partial) = self.picker.partial(piece) else { return };
        let blocks = partial.bytes();
        let digests = self.blame.is_watching(piece);
        let want = self.metainfo.check_of(self.layout(), piece);
        let both = self.picker.have().count() < ASK_BOTH;
        let rate = self.down.rate(now);
        let together = u64::from(self.layout().piece_length()) * u64::from(TOGETHER);
        self.storing += u64::from(self.layout().length_of(piece));
        self.gathering.whole.push(WholePiece { piece, blocks, want, both, digests });
        let is_worth_it = rate >= QUICK && matches!(want, PieceCheck::Sha1(_)) && together <= MOST_TOGETHER;
        self.gathering.bytes = if is_worth_it { together } else { 0 };
        if !is_worth_it || self.gathering.whole.len() >= TOGETHER as usize || self.picker.incoming() == 0 {
            return self.store_gathered();
        }
        // Two of eight have come by then, if it goes on like that.
        let soon = Duration::from_nanos(together * 1_000_000_000 / 4 / rate.0.max(1));
        self.gathering.until = Some(now + soon);
    }

    /// Sends the pieces to be stored that were waiting for more.
    pub(super) fn store_gathered(&mut self) {
        let Gathering { whole, until, .. } = &mut self.gathering;
        *until = None;
        let whole = std::mem::take(whole);
        if !whole.is_empty() {
            self.out.push_back(Output::Store { swarm: self.id, whole });
        }
    }

    /// Whether so much waits to be stored that nothing more is asked for. What is gathered has room of its own.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.storing > self.config.store_budget + self.gathering.bytes
    }

    fn piece_is_good(&mut self, now: Instant, piece: PieceIndex, digests: Option<&[Sha256Digest]>) {
        self.picker.complete(piece);
        self.piece_is_read(now);
        self.unstored.remove(&piece);
        self.disk_works(now, Failing::Writes);
        for liar in self.blame.good(piece, digests.unwrap_or_default()) {
            self.blame(now, liar);
        }
        self.out.push_back(Output::Event(self.id, Event::Piece(piece)));
        self.announce_piece(now, piece);
        if self.picker.is_done() {
            self.phase = Phase::Placing;
            self.rest_web_seeds(now);
            self.want_nothing(now);
            self.out.push_back(Output::Place { swarm: self.id });
        }
    }

    pub(super) fn placed(&mut self, now: Instant, result: Result<(), DiskFault>) {
        match result {
            Ok(()) => {
                self.disk_works(now, Failing::Writes);
                self.phase = Phase::Seeding;
                self.out.push_back(Output::Event(self.id, Event::Complete));
                self.tell_announcer(now, AnnouncerInput::NeedPeers(false));
                // Who left files out has no copy to be counted.
                if self.picker.have().is_all() {
                    self.tell_announcer(now, AnnouncerInput::Completed);
                }
                self.review_part();
            }
            Err(fault) => self.disk_failed(now, &fault, Failing::Writes),
        }
    }
}
