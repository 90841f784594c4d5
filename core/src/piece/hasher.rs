//! The state of a piece's SHA-1, a value that leaves the engine with bytes to hash and comes back with them hashed.
//!
//! So a piece is hashed while it arrives, on another thread, and is never read back to be checked.

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

/// A SHA-1 digest.
pub type Sha1Digest = [u8; 20];

/// The hash of a piece's first bytes.
#[derive(Clone, Debug, Default)]
pub struct PieceHasher(Sha1);

impl PieceHasher {
    /// Hashes the bytes that follow.
    pub fn update(&mut self, run: &[Bytes]) {
        for bytes in run {
            self.0.update(bytes);
        }
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Sha1Digest {
        self.0.finalize().into()
    }

    /// The digest of each of `blocks` by itself, by which a bad one is recognised later.
    pub fn digests(blocks: &[Bytes]) -> Vec<Sha1Digest> {
        blocks.iter().map(|block| Sha1::digest(block).into()).collect()
    }
}
