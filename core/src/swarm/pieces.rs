//! Pieces on their way to the disk: hashed while they arrive, stored when they are right, blamed when they are not.

use bytes::Bytes;

use super::io::{DiskFault, Event, Output, StoreOutcome, WholePiece};
use super::upkeep::Failing;
use super::{Phase, Swarm};
use crate::layout::PieceIndex;
use crate::metainfo::merkle::Sha256Digest;
use crate::piece::{PieceHasher, Sender};
use crate::time::Instant;
use crate::tracker::AnnouncerInput;

/// Until so many pieces are here, both halves of a hybrid torrent are asked whether one is right.
const ASK_BOTH: u32 = 4;

impl Swarm {
    /// Sends what has come of a piece to be hashed, or stored if it is whole.
    pub(super) fn advance(&mut self, piece: PieceIndex) {
        let Some(partial) = self.picker.partial(piece) else { return };
        let Some((hasher, run)) = partial.next_run() else { return };
        if partial.is_whole() {
            let blocks = partial.bytes();
            self.storing += u64::from(self.layout().length_of(piece));
            self.push_store(piece, hasher, run, blocks);
        } else {
            self.storing += run.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
            self.out.push_back(Output::Hash { swarm: self.id, piece, hasher, run });
        }
    }

    pub(super) fn hashed(&mut self, piece: PieceIndex, hasher: PieceHasher, bytes: u64) {
        self.storing = self.storing.saturating_sub(bytes);
        if let Some(partial) = self.picker.partial(piece) {
            partial.hashed(hasher);
            self.advance(piece);
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

    /// Writes a piece again that is right and could not be written.
    pub(super) fn store_again(&mut self, piece: PieceIndex) {
        let Some(partial) = self.picker.partial(piece) else { return };
        let (hasher, run) = partial.hash_again();
        self.storing += u64::from(self.layout().length_of(piece));
        self.push_store(piece, hasher, run.clone(), run);
    }

    fn push_store(&mut self, piece: PieceIndex, hasher: PieceHasher, run: Vec<Bytes>, blocks: Vec<Bytes>) {
        let digests = self.blame.is_watching(piece);
        let want = self.metainfo.check_of(self.layout(), piece);
        let both = self.picker.have().count() < ASK_BOTH;
        let whole = Box::new(WholePiece { piece, hasher, run, blocks, want, both, digests });
        self.out.push_back(Output::Store { swarm: self.id, whole });
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
