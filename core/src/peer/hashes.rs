//! Asking for hashes of a v2 torrent's trees, and giving them: those that prove pieces, and those that prove blocks.
//! BEP 52.
//!
//! ```text
//! 32 root of the file's tree | 4 base layer | 4 index | 4 length | 4 proof layers | hashes
//! ```
//!
//! A request names a run of hashes of one layer, and how many layers above it are to be proven by uncles.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::metainfo::merkle::{self, Sha256Digest, Tree};

/// The bytes of a request after the message's id.
pub const HASH_REQUEST_LENGTH: u32 = 48;
/// The most hashes of one request: those of the blocks of the longest piece.
pub const MAX_HASHES: u32 = 4096;
/// The most uncles: a tree of 2^64 bytes is no higher.
const MAX_UNCLES: u32 = 50;
/// The most bytes of an answer after the message's id.
pub const MAX_HASHES_LENGTH: u32 = HASH_REQUEST_LENGTH + 32 * (MAX_HASHES + MAX_UNCLES);

/// Which hashes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashRequest {
    /// The root of the file's tree.
    pub root: Sha256Digest,
    /// The layer, counted from that of the blocks.
    pub base: u32,
    /// The first hash of the layer, a multiple of `length`.
    pub index: u32,
    /// How many hashes, a power of two.
    pub length: u32,
    /// How many layers above `base` are to be proven.
    pub proofs: u32,
}

impl HashRequest {
    /// Reads the fields.
    pub(super) fn decode(body: &mut Bytes) -> Self {
        let mut root = [0; 32];
        body.copy_to_slice(&mut root);
        let (base, index) = (body.get_u32(), body.get_u32());
        Self { root, base, index, length: body.get_u32(), proofs: body.get_u32() }
    }

    /// Appends the fields.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&self.root);
        for field in [self.base, self.index, self.length, self.proofs] {
            out.put_u32(field);
        }
    }

    /// Whether it asks for what a file's tree has.
    pub fn fits(&self, tree: Tree) -> bool {
        self.length.is_power_of_two()
            && self.length <= MAX_HASHES
            && self.index.is_multiple_of(self.length)
            && self.base < tree.height()
            && u64::from(self.index) + u64::from(self.length) <= tree.width(self.base)
            && self.proofs <= tree.height() - self.base
    }

    /// The layer that the hashes asked for come to, in one hash.
    pub fn top(&self) -> u32 {
        self.base + self.length.ilog2()
    }

    /// The place of that hash in its layer.
    pub fn top_index(&self) -> u64 {
        u64::from(self.index >> self.length.ilog2())
    }

    /// How many uncles belong to the answer: the first layers of proof follow from the hashes themselves.
    pub fn uncles(&self) -> u32 {
        (self.proofs + 1).saturating_sub(self.length.ilog2())
    }

    /// The hash in layer [`Self::top`] plus [`Self::uncles`] to which an answer leads; `None` if it has not as many
    /// hashes as it must have.
    pub fn lead(&self, hashes: &[Sha256Digest]) -> Option<Sha256Digest> {
        if hashes.len() as u64 != u64::from(self.length) + u64::from(self.uncles()) {
            return None;
        }
        let (own, uncles) = hashes.split_at(self.length as usize);
        let top = merkle::root(own.to_vec(), self.base, self.length.ilog2());
        Some(merkle::climb(top, self.top_index(), uncles))
    }
}

/// The hashes of an answer.
pub fn hashes_of(bytes: &[u8]) -> &[Sha256Digest] {
    bytes.as_chunks().0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of 11 blocks in pieces of 2.
    fn tree() -> (Vec<Sha256Digest>, Tree) {
        ((1..=11).map(|n| [n; 32]).collect(), Tree::new(11 * 16 * 1024, 32 * 1024))
    }

    fn request(base: u32, index: u32, length: u32, proofs: u32) -> HashRequest {
        HashRequest { root: [0; 32], base, index, length, proofs }
    }

    #[test]
    fn what_a_tree_does_not_have_does_not_fit() {
        let (_, tree) = tree();
        for (base, index, length, proofs) in [(0, 0, 16, 4), (0, 8, 8, 0), (1, 6, 2, 3), (3, 1, 1, 1), (0, 0, 1, 4)] {
            assert!(request(base, index, length, proofs).fits(tree), "{base} {index} {length} {proofs}");
        }
        for (base, index, length, proofs) in
            [(0, 0, 32, 0), (0, 1, 2, 0), (0, 0, 3, 0), (0, 0, 0, 0), (4, 0, 1, 0), (0, 16, 1, 0), (2, 0, 4, 3)]
        {
            assert!(!request(base, index, length, proofs).fits(tree), "{base} {index} {length} {proofs}");
        }
        assert!(!request(u32::MAX, u32::MAX, 1 << 31, u32::MAX).fits(tree));
    }

    #[test]
    fn an_answer_leads_to_the_root_from_everywhere() {
        let (leaves, tree) = tree();
        let root = merkle::root(leaves.clone(), 0, tree.height());
        let layers = merkle::Layers::over(leaves.clone(), 0, tree.height());
        for length in [1, 2, 4, 8, 16_u32] {
            for index in (0..16).step_by(length as usize) {
                let request = request(0, index, length, tree.height() - 1);
                assert!(request.fits(tree));
                let asked = (index..index + length).map(|at| leaves.get(at as usize).copied().unwrap_or([0; 32]));
                let uncles = layers.uncles(request.top(), request.top_index(), request.uncles());
                let mut answer: Vec<_> = asked.chain(uncles).collect();
                assert_eq!(request.lead(&answer), Some(root), "{length} at {index}");
                answer[0][0] ^= 1;
                assert_ne!(request.lead(&answer), Some(root));
                answer.pop();
                assert_eq!(request.lead(&answer), None);
            }
        }
    }
}
