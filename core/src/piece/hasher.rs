//! The state of a piece's hash, a value that leaves the engine with bytes to hash and comes back with them hashed, and
//! what it must come to.
//!
//! So a piece is hashed while it arrives, on another thread, and is never read back to be checked.
//!
//! Of a hybrid torrent the tree decides, because it tells bad blocks apart. Its other half is asked where the tree says
//! no, so that nobody is blamed for a torrent that contradicts itself, and wherever the caller wants to be sure of
//! that.
//!
//! Source: BEP 3, 52.

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::metainfo::merkle::{self, Sha256Digest};

/// A SHA-1 digest.
pub type Sha1Digest = [u8; 20];

/// How a piece is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// As one run of bytes, with SHA-1. BEP 3.
    Sha1,
    /// Block by block, with SHA-256. BEP 52.
    Tree,
}

/// The hash of a piece's first bytes.
#[derive(Clone, Debug)]
pub enum PieceHasher {
    /// As one run of bytes.
    Sha1(Sha1),
    /// The hashes of its first blocks.
    Tree(Vec<Sha256Digest>),
}

impl PieceHasher {
    /// The hash of nothing.
    pub fn new(hashing: Hashing) -> Self {
        match hashing {
            Hashing::Sha1 => Self::Sha1(Sha1::new()),
            Hashing::Tree => Self::Tree(Vec::new()),
        }
    }

    /// Hashes the blocks that follow.
    pub fn update(&mut self, run: &[Bytes]) {
        match self {
            Self::Sha1(hash) => run.iter().for_each(|block| hash.update(block)),
            Self::Tree(leaves) => leaves.extend(run.iter().map(|block| merkle::leaf(block))),
        }
    }

    /// The digest of each of the piece's blocks by itself, by which a bad one is recognised later.
    pub fn digests(self, blocks: &[Bytes]) -> Vec<Sha256Digest> {
        match self {
            Self::Sha1(_) => blocks.iter().map(|block| merkle::leaf(block)).collect(),
            Self::Tree(leaves) => leaves,
        }
    }
}

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
        <Sha1Digest>::from(hash.finalize()) == self.digest
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

impl PieceCheck {
    /// How the piece is to be hashed.
    pub const fn hashing(&self) -> Hashing {
        match self {
            Self::Sha1(_) => Hashing::Sha1,
            Self::Tree { .. } => Hashing::Tree,
        }
    }

    /// Judges a piece by the hash of all its `blocks`; `both` asks both halves of a hybrid torrent even if the piece is
    /// right.
    pub fn judge(&self, hasher: &PieceHasher, blocks: &[Bytes], both: bool) -> Verdict {
        let of_blocks = || {
            let mut hash = Sha1::new();
            for block in blocks {
                hash.update(block);
            }
            hash
        };
        let right = |is_right| if is_right { Verdict::Right } else { Verdict::Wrong };
        match (*self, hasher) {
            (Self::Sha1(check), PieceHasher::Sha1(hash)) => right(check.is_met(hash.clone())),
            (Self::Sha1(check), PieceHasher::Tree(_)) => right(check.is_met(of_blocks())),
            (Self::Tree { root, layers, v1 }, hasher) => {
                let leaves = match hasher {
                    PieceHasher::Tree(leaves) => leaves.clone(),
                    PieceHasher::Sha1(_) => blocks.iter().map(|block| merkle::leaf(block)).collect(),
                };
                let is_right = merkle::root(leaves, 0, layers) == root;
                match v1.filter(|_| both || !is_right) {
                    Some(check) if check.is_met(of_blocks()) != is_right => Verdict::Contradiction,
                    _ => right(is_right),
                }
            }
        }
    }
}

static ZEROS: [u8; 4096] = [0; 4096];

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks() -> Vec<Bytes> {
        [1, 2, 3].map(|n| Bytes::from(vec![n; if n == 3 { 100 } else { 16 * 1024 }])).to_vec()
    }

    fn hashed(hashing: Hashing, blocks: &[Bytes]) -> PieceHasher {
        let mut hasher = PieceHasher::new(hashing);
        hasher.update(&blocks[..1]);
        hasher.update(&blocks[1..]);
        hasher
    }

    fn sha1_of(blocks: &[Bytes], padding: u32) -> Sha1Check {
        let bytes = [blocks.concat(), vec![0; padding as usize]].concat();
        Sha1Check { digest: Sha1::digest(bytes).into(), padding }
    }

    #[test]
    fn a_sha1_covers_the_padding_and_a_tree_does_not() {
        let (right, wrong) = (blocks(), [blocks()[..2].to_vec(), vec![Bytes::from_static(&[9; 100])]].concat());
        let v1 = sha1_of(&right, 5000);
        let root = merkle::root(right.iter().map(|block| merkle::leaf(block)).collect(), 0, 2);
        for check in [PieceCheck::Sha1(v1), PieceCheck::Tree { root, layers: 2, v1: None }] {
            for hashing in [Hashing::Sha1, Hashing::Tree] {
                assert_eq!(check.judge(&hashed(hashing, &right), &right, true), Verdict::Right);
                assert_eq!(check.judge(&hashed(hashing, &wrong), &wrong, true), Verdict::Wrong);
            }
        }
    }

    #[test]
    fn a_hybrid_that_contradicts_itself_is_found_where_both_halves_are_asked() {
        let (one, other) = (blocks(), [blocks()[1..].to_vec(), vec![Bytes::from_static(&[9; 100])]].concat());
        let root = merkle::root(one.iter().map(|block| merkle::leaf(block)).collect(), 0, 2);
        let check = PieceCheck::Tree { root, layers: 2, v1: Some(sha1_of(&other, 0)) };
        let judge = |blocks: &[Bytes], both| check.judge(&hashed(Hashing::Tree, blocks), blocks, both);
        assert_eq!(judge(&one, true), Verdict::Contradiction);
        assert_eq!(judge(&one, false), Verdict::Right);
        assert_eq!(judge(&other, false), Verdict::Contradiction);
        assert_eq!(judge(&[other[2].clone()], false), Verdict::Wrong);
    }
}
