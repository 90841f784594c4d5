//! Hash trees over files: what proves a v2 torrent's bytes block by block.
//!
//! A file is cut into blocks of 16 KiB. Their SHA-256 are the leaves of a binary tree, filled up with zeros to a power
//! of two; a node is the SHA-256 of its two children, and the root is in the torrent's `info`. One layer of the tree,
//! whose hashes cover a piece each, stands beside it. So a block can be proven by the hashes next to its way up, the
//! uncles.
//!
//! Layers are counted from the leaves, which are layer 0.
//!
//! Source: BEP 52.

use sha2::{Digest as _, Sha256};

use crate::layout::BLOCK_LENGTH;

/// A SHA-256 digest.
pub type Sha256Digest = [u8; 32];

/// The shape of one file's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Leaves that cover bytes.
    blocks: u64,
    /// The layer of the root.
    height: u32,
    /// The layer of which one hash covers a piece, or the root's if the file is no longer than a piece.
    piece_layer: u32,
}

impl Tree {
    /// The tree of a file of `length` bytes, at least 1, in pieces of `piece_length` bytes, a power of two of at least
    /// a block.
    pub fn new(length: u64, piece_length: u32) -> Self {
        let blocks = length.div_ceil(u64::from(BLOCK_LENGTH));
        let height = blocks.next_power_of_two().ilog2();
        Self { blocks, height, piece_layer: (piece_length / BLOCK_LENGTH).ilog2().min(height) }
    }

    /// The layer of the root.
    pub const fn height(self) -> u32 {
        self.height
    }

    /// The layer of which one hash covers a piece; the root's if the file is no longer than a piece.
    pub const fn piece_layer(self) -> u32 {
        self.piece_layer
    }

    /// The number of hashes of a layer, those that cover nothing included.
    pub const fn width(self, layer: u32) -> u64 {
        1 << (self.height - layer)
    }

    /// The number of hashes of a layer that cover bytes of the file.
    pub const fn covering(self, layer: u32) -> u64 {
        self.blocks.div_ceil(1 << layer)
    }
}

/// The leaf of a block.
pub fn leaf(block: &[u8]) -> Sha256Digest {
    Sha256::digest(block).into()
}

/// The hash of this layer that covers nothing but what lies behind the file's end.
pub fn empty(layer: u32) -> Sha256Digest {
    (0..layer).fold([0; 32], |below, _| node(&below, &below))
}

/// The root of the tree over the first hashes of layer `base`, `2^layers` in all, those that are missing empty.
pub fn root(mut hashes: Vec<Sha256Digest>, base: u32, layers: u32) -> Sha256Digest {
    for layer in base..base + layers {
        hashes = above(&hashes, layer);
    }
    hashes.first().copied().unwrap_or_else(|| empty(base + layers))
}

/// The layer above this one, as far as it covers anything.
pub fn above(hashes: &[Sha256Digest], layer: u32) -> Vec<Sha256Digest> {
    let (pairs, last) = hashes.as_chunks::<2>();
    let mut above: Vec<Sha256Digest> = pairs.iter().map(|[left, right]| node(left, right)).collect();
    above.extend(last.first().map(|left| node(left, &empty(layer))));
    above
}

/// The root to which a hash and its uncles lead, lowest first; `index` is the hash's place in its layer.
pub fn climb(hash: Sha256Digest, mut index: u64, uncles: &[Sha256Digest]) -> Sha256Digest {
    uncles.iter().fold(hash, |below, uncle| {
        let is_left = index.is_multiple_of(2);
        index /= 2;
        if is_left { node(&below, uncle) } else { node(uncle, &below) }
    })
}

/// A part of a tree: all layers over some hashes.
#[derive(Clone, Debug)]
pub struct Layers {
    base: u32,
    /// As far as they cover anything, lowest first.
    layers: Vec<Vec<Sha256Digest>>,
}

impl Layers {
    /// The layers from `base`, which has these hashes, to `height`.
    pub fn over(hashes: Vec<Sha256Digest>, base: u32, height: u32) -> Self {
        let mut layers = vec![hashes];
        for layer in base..height {
            layers.push(layers.last().map(|below| above(below, layer)).unwrap_or_default());
        }
        Self { base, layers }
    }

    /// The hash at this place of a layer, empty where it covers nothing.
    pub fn get(&self, layer: u32, index: u64) -> Sha256Digest {
        let hashes = layer.checked_sub(self.base).and_then(|above| self.layers.get(above as usize));
        let hash = hashes.zip(usize::try_from(index).ok()).and_then(|(hashes, index)| hashes.get(index));
        hash.copied().unwrap_or_else(|| empty(layer))
    }

    /// The hash beside the way up from the one at `index` of a layer, once for each of `count` layers.
    pub fn uncles(&self, layer: u32, index: u64, count: u32) -> Vec<Sha256Digest> {
        (0..count).map(|up| self.get(layer + up, (index >> up) ^ 1)).collect()
    }
}

fn node(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: u8) -> Vec<Sha256Digest> {
        (1..=count).map(|n| [n; 32]).collect()
    }

    #[test]
    fn a_trees_shape_follows_its_file() {
        let tree = Tree::new(1, 64 * 1024);
        assert_eq!((tree.height(), tree.piece_layer(), tree.width(0)), (0, 0, 1));
        let tree = Tree::new(5 * 16 * 1024 + 1, 32 * 1024);
        assert_eq!((tree.height(), tree.piece_layer()), (3, 1));
        assert_eq!((tree.width(1), tree.covering(1), tree.covering(0), tree.covering(3)), (4, 3, 6, 1));
    }

    #[test]
    fn what_is_missing_counts_as_empty() {
        let zero = [0; 32];
        assert_eq!(root(hashes(1), 0, 0), [1; 32]);
        let three = node(&node(&[1; 32], &[2; 32]), &node(&[3; 32], &zero));
        assert_eq!(root(hashes(3), 0, 2), three);
        assert_eq!(root(hashes(3), 0, 3), node(&three, &node(&node(&zero, &zero), &node(&zero, &zero))));
        assert_eq!(root(Vec::new(), 1, 1), empty(2));
    }

    #[test]
    fn every_hash_is_proven_by_its_uncles() {
        for count in 1..=9 {
            let (hashes, layers) = (hashes(count), u64::from(count).next_power_of_two().ilog2());
            let top = root(hashes.clone(), 3, layers);
            for index in 0..1 << layers {
                let hash = hashes.get(usize::try_from(index).unwrap()).copied().unwrap_or_else(|| empty(3));
                let uncles = Layers::over(hashes.clone(), 3, 3 + layers).uncles(3, index, layers);
                assert_eq!(climb(hash, index, &uncles), top, "{index} of {count}");
                assert_ne!(climb([99; 32], index, &uncles), top);
            }
        }
    }
}
