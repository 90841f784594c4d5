//! Pieces on their way to the disk: hashed while they arrive, stored when they are right, blamed when they are not.

use super::io::{DiskFault, Event, Output, StoreOutcome};
use super::{Phase, Swarm};
use crate::layout::PieceIndex;
use crate::peer::ConnId;
use crate::piece::PieceHasher;
use crate::time::Instant;
use crate::tracker::AnnouncerInput;

impl Swarm {
    /// Sends what has come of a piece to be hashed, or stored if it is whole.
    pub(super) fn advance(&mut self, piece: PieceIndex) {
        let digests = self.blame.is_watching(piece);
        let Some(partial) = self.picker.partial(piece) else { return };
        let Some((hasher, run)) = partial.next_run() else { return };
        let blocks = if partial.is_whole() { partial.bytes() } else { Vec::new() };
        let swarm = self.id;
        let bytes = run.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        self.storing += if blocks.is_empty() { bytes } else { u64::from(self.layout().length_of(piece)) };
        self.out.push_back(if blocks.is_empty() {
            Output::Hash { swarm, piece, hasher, run }
        } else {
            let want = self.metainfo.info.pieces.get(piece);
            Output::Store { swarm, piece, hasher, run, blocks, want, digests }
        });
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
        match outcome {
            StoreOutcome::Stored(digests) => self.piece_is_good(now, piece, digests.as_deref()),
            StoreOutcome::Corrupt(digests) => {
                self.wasted += bytes;
                let senders = self.picker.discard(piece).map(|partial| partial.senders()).unwrap_or_default();
                if let Some(liar) = self.blame.bad(piece, &senders, &digests) {
                    self.ban(now, liar);
                }
            }
            StoreOutcome::Failed(fault) => {
                self.wasted += bytes;
                self.picker.discard(piece);
                self.disk_failed(now, &fault);
            }
        }
    }

    fn piece_is_good(&mut self, now: Instant, piece: PieceIndex, digests: Option<&[[u8; 20]]>) {
        self.picker.complete(piece);
        for liar in self.blame.good(piece, digests.unwrap_or_default()) {
            self.ban(now, liar);
        }
        self.out.push_back(Output::Event(self.id, Event::Piece(piece)));
        self.announce_piece(now, piece);
        if self.picker.have().is_all() {
            self.phase = Phase::Placing;
            let conns: Vec<ConnId> = self.conns.keys().copied().collect();
            for conn in conns {
                self.update_interest(now, conn);
            }
            self.out.push_back(Output::Place { swarm: self.id });
        }
    }

    pub(super) fn placed(&mut self, now: Instant, result: Result<(), DiskFault>) {
        match result {
            Ok(()) => {
                self.phase = Phase::Seeding;
                self.out.push_back(Output::Event(self.id, Event::Complete));
                self.tell_announcer(now, AnnouncerInput::NeedPeers(false));
                self.tell_announcer(now, AnnouncerInput::Completed);
            }
            Err(fault) => self.disk_failed(now, &fault),
        }
    }
}
