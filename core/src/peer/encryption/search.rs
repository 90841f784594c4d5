//! Where padding of unknown length ends: at a marker that only the two sides can compute.
//!
//! Law: what is asked for next never reaches beyond the earliest place at which the marker can end, so a marker that is
//! found is the end of what was taken.

use super::{EncryptionFault, MAX_PAD};

/// A search for a marker behind at most [`MAX_PAD`] bytes.
#[derive(Clone, Debug)]
pub(super) struct Search {
    marker: Vec<u8>,
    what: &'static str,
    seen: Vec<u8>,
    missing: usize,
}

impl Search {
    /// Looks for `marker`, which must not be empty; `what` it is stands in the fault.
    pub(super) fn new(marker: Vec<u8>, what: &'static str) -> Self {
        let missing = marker.len();
        Self { marker, what, seen: Vec::new(), missing }
    }

    /// How many bytes are to be taken next.
    pub(super) const fn missing(&self) -> usize {
        self.missing
    }

    /// Takes bytes in; true once the marker is there.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<bool, EncryptionFault> {
        self.seen.extend_from_slice(bytes);
        self.missing -= bytes.len();
        if self.missing > 0 {
            return Ok(false);
        }
        let begun = (0..=self.marker.len()).rev().find(|length| self.seen.ends_with(&self.marker[..*length]));
        self.missing = self.marker.len() - begun.expect("anything ends with nothing");
        if self.seen.len() + self.missing > MAX_PAD + self.marker.len() {
            return Err(EncryptionFault::Endless(self.what));
        }
        Ok(self.missing == 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes of `stream` are taken until the marker is found, when they come in lots of `lot`.
    fn find(stream: &[u8], marker: &[u8], lot: usize) -> Result<usize, EncryptionFault> {
        let (mut search, mut taken) = (Search::new(marker.to_vec(), "it"), 0);
        loop {
            let next = search.missing().min(lot);
            let found = search.add(&stream[taken..taken + next])?;
            taken += next;
            if found {
                return Ok(taken);
            }
        }
    }

    proptest! {
        #[test]
        fn a_marker_is_found_where_it_first_ends(
            // Few different bytes, so that the padding begins like the marker again and again.
            pad in prop::collection::vec(0..2_u8, 0..=MAX_PAD),
            marker in prop::collection::vec(0..2_u8, 1..20),
            lot in 1..30_usize,
        ) {
            let stream = [&pad[..], &marker].concat();
            let first = stream.windows(marker.len()).position(|part| part == marker).unwrap();
            prop_assert_eq!(find(&stream, &marker, lot), Ok(first + marker.len()));
        }
    }

    #[test]
    fn padding_without_end_is_refused_when_it_is_too_long() {
        let marker = [7; 8];
        let longest = [&[1; MAX_PAD][..], &marker].concat();
        assert_eq!(find(&longest, &marker, 100), Ok(longest.len()));
        let longer = [&[1; MAX_PAD + 1][..], &marker].concat();
        assert_eq!(find(&longer, &marker, 100), Err(EncryptionFault::Endless("it")));
        assert_eq!(find(&[0; 2 * MAX_PAD], &marker, 1), Err(EncryptionFault::Endless("it")));
    }
}
