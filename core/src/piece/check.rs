//! What a piece's hash must come to, and whether it does.
//!
//! Pieces that are whole at the same time are judged together, since SHA-1 is quicker that way.
//!
//! Of a hybrid torrent the tree decides, because it tells bad blocks apart. Its other half is asked where the tree says
//! no, so that nobody is blamed for a torrent that contradicts itself, and wherever the caller wants to be sure of
//! that.
//!
//! Source: BEP 3, 52.

use bytes::Bytes;

use super::sha1::{Job, Sha1, Sha1Digest, update_together};
use crate::metainfo::merkle::{self, Sha256Digest};

/// What the SHA-1 of a piece must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha1Check {
    /// The digest.
    pub digest: Sha1Digest,
    /// How many zeros follow the piece's bytes.
    pub padding: u32,
}

impl Sha1Check {
    fn is_met(self, mut hash: Sha1) -> bool {
        let mut left = self.padding as usize;
        while left > 0 {
            let zeros = &ZEROS[..left.min(ZEROS.len())];
            hash.update(zeros);
            left -= zeros.len();
        }
        hash.finish() == self.digest
    }
}

/// What a piece's hash must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceCheck {
    /// One SHA-1.
    Sha1(Sha1Check),
    /// A root.
    Tree {
        /// The root.
        root: Sha256Digest,
        /// How many layers it is above the blocks.
        layers: u32,
        /// What a hybrid torrent says besides.
        v1: Option<Sha1Check>,
    },
}

/// Whether a piece is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not.
    Wrong,
    /// One half of the torrent says that it is, the other that it is not.
    Contradiction,
}

/// A piece that is here, to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its blocks.
    pub blocks: &'a [Bytes],
    /// What their hash must come to.
    pub check: PieceCheck,
    /// Whether both halves of a hybrid torrent are asked even if the piece is right.
    pub both: bool,
}

impl Candidate<'_> {
    /// Whether the blocks make the right tree; `None` if there is none.
    fn has_right_tree(&self) -> Option<bool> {
        match self.check {
            PieceCheck::Sha1(_) => None,
            PieceCheck::Tree { root, layers, .. } => Some(merkle::root(digests(self.blocks), 0, layers) == root),
        }
    }

    /// What the SHA-1 must be, if it is asked.
    fn sha1(&self, has_right_tree: Option<bool>) -> Option<Sha1Check> {
        match self.check {
            PieceCheck::Sha1(check) => Some(check),
            PieceCheck::Tree { v1, .. } => v1.filter(|_| self.both || has_right_tree == Some(false)),
        }
    }
}

/// Judges pieces, in their order.
pub fn judge(pieces: &[Candidate<'_>]) -> Vec<Verdict> {
    let by_tree: Vec<Option<bool>> = pieces.iter().map(Candidate::has_right_tree).collect();
    let checks: Vec<_> = pieces.iter().zip(&by_tree).map(|(piece, by_tree)| piece.sha1(*by_tree)).collect();
    let mut hashes = vec![Sha1::default(); pieces.len()];
    let asked = pieces.iter().zip(&mut hashes).zip(&checks).filter(|(_, check)| check.is_some());
    update_together(asked.map(|((piece, hash), _)| Job { hash, runs: piece.blocks }));
    let by_sha1 = hashes.into_iter().zip(checks).map(|(hash, check)| Some(check?.is_met(hash)));
    let verdicts = by_tree.into_iter().zip(by_sha1).map(|halves| match halves {
        (Some(tree), Some(sha1)) if tree != sha1 => Verdict::Contradiction,
        (tree, sha1) if tree.or(sha1) == Some(true) => Verdict::Right,
        _ => Verdict::Wrong,
    });
    verdicts.collect()
}

/// The digest of each of a piece's blocks by itself, by which a bad one is recognised later.
pub fn digests(blocks: &[Bytes]) -> Vec<Sha256Digest> {
    blocks.iter().map(|block| merkle::leaf(block)).collect()
}

static ZEROS: [u8; 4096] = [0; 4096];

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Vec<Bytes> {
        [1, 2, 3].map(|n| Bytes::from(vec![n; if n == 3 { 100 } else { 16 * 1024 }])).to_vec()
    }

    fn sha1_of(blocks: &[Bytes], padding: u32) -> Sha1Check {
        let mut hash = Sha1::default();
        hash.update(&blocks.concat());
        hash.update(&vec![0; padding as usize]);
        Sha1Check { digest: hash.finish(), padding }
    }

    fn tree_of(blocks: &[Bytes], v1: Option<Sha1Check>) -> PieceCheck {
        PieceCheck::Tree { root: merkle::root(digests(blocks), 0, 2), layers: 2, v1 }
    }

    #[test]
    fn a_sha1_covers_the_padding_and_a_tree_does_not() {
        let (right, wrong) = (blocks(), [blocks()[..2].to_vec(), vec![Bytes::from_static(&[9; 100])]].concat());
        for check in [PieceCheck::Sha1(sha1_of(&right, 5000)), tree_of(&right, None)] {
            let candidate = |blocks| Candidate { blocks, check, both: true };
            assert_eq!(judge(&[candidate(&right), candidate(&wrong)]), [Verdict::Right, Verdict::Wrong]);
        }
    }

    #[test]
    fn a_hybrid_that_contradicts_itself_is_found_where_both_halves_are_asked() {
        let (one, other) = (blocks(), [blocks()[1..].to_vec(), vec![Bytes::from_static(&[9; 100])]].concat());
        let check = tree_of(&one, Some(sha1_of(&other, 0)));
        let neither = [other[2].clone()];
        let candidates = [(&one[..], true), (&one, false), (&other, false), (&neither, false)];
        let verdicts = judge(&candidates.map(|(blocks, both)| Candidate { blocks, check, both }));
        assert_eq!(verdicts, [Verdict::Contradiction, Verdict::Right, Verdict::Contradiction, Verdict::Wrong]);
    }

    #[test]
    fn each_of_many_is_judged_by_itself() {
        let pieces: Vec<Vec<Bytes>> = (0..40_u8).map(|n| vec![Bytes::from(vec![n; 16 * 1024]); 2]).collect();
        let candidates: Vec<_> = (0..40_usize)
            .map(|n| {
                let right = sha1_of(&pieces[if n % 7 == 3 { n - 1 } else { n }], 0);
                Candidate { blocks: &pieces[n], check: PieceCheck::Sha1(right), both: false }
            })
            .collect();
        for (n, verdict) in judge(&candidates).into_iter().enumerate() {
            assert_eq!(verdict == Verdict::Wrong, n % 7 == 3, "{n}");
        }
    }
}
