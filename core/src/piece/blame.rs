//! Who is to blame for a bad piece, block by block.
//!
//! A piece that fails its hash names everybody that sent a block of it. If that was one, it is proven. If there were
//! several, each block's digest and sender are kept until a good copy of the piece comes: whose block differs from the
//! good one lied, and nobody else did. So a poisoner is banned on proof and an honest peer never.
//!
//! Law: at most [`MAX_PIECES`] pieces are remembered.

use std::collections::BTreeMap;

use super::sender::Sender;
use crate::layout::PieceIndex;
use crate::metainfo::merkle::Sha256Digest;

/// The most bad pieces that are remembered.
pub const MAX_PIECES: usize = 64;
/// The most bad copies of one piece that are remembered.
const MAX_COPIES: usize = 8;

type Copy = Vec<(Sender, Sha256Digest)>;

/// The bad pieces whose liars are not found yet.
#[derive(Clone, Debug, Default)]
pub struct Blame {
    suspects: BTreeMap<PieceIndex, Vec<Copy>>,
}

impl Blame {
    /// Whether block digests of this piece are needed to find a liar.
    pub fn is_watching(&self, piece: PieceIndex) -> bool {
        self.suspects.contains_key(&piece)
    }

    /// Notes a bad copy; returns the sender if there was only one.
    pub fn bad(&mut self, piece: PieceIndex, senders: &[Sender], digests: &[Sha256Digest]) -> Option<Sender> {
        let (first, others) = senders.split_first()?;
        if others.iter().all(|sender| sender == first) {
            return Some(*first);
        }
        if self.suspects.len() < MAX_PIECES || self.is_watching(piece) {
            let copies = self.suspects.entry(piece).or_default();
            if copies.len() < MAX_COPIES {
                copies.push(senders.iter().copied().zip(digests.iter().copied()).collect());
            }
        }
        None
    }

    /// Compares the good copy with the bad ones and returns the liars.
    pub fn good(&mut self, piece: PieceIndex, digests: &[Sha256Digest]) -> Vec<Sender> {
        let mut liars = Vec::new();
        for copy in self.suspects.remove(&piece).unwrap_or_default() {
            for ((sender, bad), good) in copy.iter().zip(digests) {
                if bad != good && !liars.contains(sender) {
                    liars.push(*sender);
                }
            }
        }
        liars
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn addr(n: u8) -> Sender {
        Sender::Peer(SocketAddr::from(([198, 18, 0, n], 6881)))
    }

    #[test]
    fn a_lone_sender_is_proven_at_once() {
        let mut blame = Blame::default();
        assert_eq!(blame.bad(PieceIndex(1), &[addr(1), addr(1)], &[[0; 32]; 2]), Some(addr(1)));
        assert!(!blame.is_watching(PieceIndex(1)));
    }

    #[test]
    fn among_several_only_the_liar_is_named() {
        let mut blame = Blame::default();
        assert_eq!(blame.bad(PieceIndex(1), &[addr(1), addr(2), addr(1)], &[[1; 32], [66; 32], [3; 32]]), None);
        assert!(blame.is_watching(PieceIndex(1)));
        assert_eq!(blame.good(PieceIndex(1), &[[1; 32], [2; 32], [3; 32]]), [addr(2)]);
        assert!(blame.good(PieceIndex(1), &[[9; 32]; 3]).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut blame = Blame::default();
        for piece in 0..10_000 {
            for _ in 0..20 {
                blame.bad(PieceIndex(piece), &[addr(1), addr(2)], &[[0; 32]; 2]);
            }
        }
        assert_eq!(blame.suspects.len(), MAX_PIECES);
        assert!(blame.suspects.values().all(|copies| copies.len() == MAX_COPIES));
    }
}
