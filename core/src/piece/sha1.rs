//! SHA-1, of one run of bytes or of many at once.
//!
//! SHA-1 is a chain in which each step waits for the one before it, so that a processor is idle most of the time, even
//! one that has instructions for it. Eight chains side by side, each in a lane of its own, take little longer
//! than one. So pieces that are to be hashed at the same time are hashed together where the processor has registers for
//! that.
//!
//! Law: a digest does not depend on how its bytes were cut, or on what was hashed beside them.
//! Source: FIPS 180-4.

#[cfg(target_arch = "x86_64")]
mod lanes;

use std::slice;

use sha1::block_api::compress;

/// A SHA-1 digest.
pub type Sha1Digest = [u8; 20];

/// What SHA-1 takes at once.
type Block = [u8; BLOCK];

const BLOCK: usize = 64;

/// How many hashes it is worth waiting for, to go on with them together.
pub const TOGETHER: u32 = 8;

/// The SHA-1 of the bytes so far.
#[derive(Clone, Debug)]
pub struct Sha1 {
    words: [u32; 5],
    /// The number of bytes so far.
    length: u64,
    /// The first bytes of a block that is not whole, as many as `length` says.
    tail: Block,
}

impl Default for Sha1 {
    fn default() -> Self {
        let words = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        Self { words, length: 0, tail: [0; BLOCK] }
    }
}

impl Sha1 {
    /// Goes on with these bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let begun = self.begun();
        self.length += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min((BLOCK - begun) % BLOCK));
        self.tail[begun..begun + head.len()].copy_from_slice(head);
        if !head.is_empty() && begun + head.len() == BLOCK {
            compress(&mut self.words, slice::from_ref(&self.tail));
        }
        let (blocks, rest) = rest.as_chunks();
        compress(&mut self.words, blocks);
        if !rest.is_empty() {
            self.tail[..rest.len()].copy_from_slice(rest);
        }
    }

    /// The digest of all bytes.
    pub fn finish(mut self) -> Sha1Digest {
        let bits = (self.length * 8).to_be_bytes();
        let zeros = (BLOCK + BLOCK - 1 - bits.len() - self.begun()) % BLOCK;
        self.update(&[0x80]);
        self.update(&[0; BLOCK][..zeros]);
        self.update(&bits);
        let mut digest = Sha1Digest::default();
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.words) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// How many bytes of the last block are there, if it is not whole.
    fn begun(&self) -> usize {
        usize::try_from(self.length % BLOCK as u64).expect("a block is short")
    }
}

/// A hash, and the bytes with which it goes on.
#[derive(Debug)]
pub struct Job<'a, T> {
    /// The hash.
    pub hash: &'a mut Sha1,
    /// The bytes that follow, in order.
    pub runs: &'a [T],
}

impl<T: AsRef<[u8]>> Job<'_, T> {
    fn run(self) {
        self.runs.iter().for_each(|run| self.hash.update(run.as_ref()));
    }
}

/// Goes on with all these hashes, side by side where that is quicker.
pub fn update_together<'a, T: AsRef<[u8]> + 'a>(jobs: impl IntoIterator<Item = Job<'a, T>>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(lanes) = lanes::Lanes::find() {
        return lanes.run(jobs.into_iter());
    }
    jobs.into_iter().for_each(Job::run);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha1::Digest as _;

    use super::*;

    fn reference(bytes: &[u8]) -> Sha1Digest {
        sha1::Sha1::digest(bytes).into()
    }

    /// Cuts bytes into runs, whose lengths come around again.
    fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut runs = Vec::new();
        for length in lengths.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (run, rest) = bytes.split_at(bytes.len().min(*length));
            runs.push(run);
            bytes = rest;
        }
        runs
    }

    #[test]
    fn every_length_is_padded_as_it_must_be() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect();
        for length in 0..bytes.len() {
            let mut hash = Sha1::default();
            hash.update(&bytes[..length]);
            assert_eq!(hash.finish(), reference(&bytes[..length]), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_digest_does_not_depend_on_cuts_or_neighbours(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..30),
            lengths in prop::collection::vec(1..1000_usize, 1..6),
            begun in 0..130_usize,
        ) {
            let mut hashes = vec![Sha1::default(); pieces.len()];
            let halves: Vec<_> = pieces.iter().map(|piece| piece.split_at(piece.len().min(begun))).collect();
            for (hash, (head, _)) in hashes.iter_mut().zip(&halves) {
                hash.update(head);
            }
            let runs: Vec<_> = halves.iter().map(|(_, tail)| cut(tail, &lengths)).collect();
            update_together(hashes.iter_mut().zip(&runs).map(|(hash, runs)| Job { hash, runs }));
            for (hash, piece) in hashes.into_iter().zip(&pieces) {
                prop_assert_eq!(hash.finish(), reference(piece));
            }
        }
    }
}
