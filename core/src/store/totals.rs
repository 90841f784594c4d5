//! What a whole state adds up to, so that two can be compared without being held side by side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The tally of every kind that has records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Totals(BTreeMap<String, Tally>);

/// What the records of one kind add up to, in whatever order they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    /// Records.
    records: u64,
    /// Bytes that a snapshot needs for them, nearly.
    bytes: u64,
    /// Sum of the records' hashes, modulo 2^64.
    hash: u64,
}

impl Totals {
    /// Counts the record of `kind` that has `value` under `key`.
    pub(super) fn add(&mut self, kind: &str, key: &[u8], value: &[u8]) {
        if !self.0.contains_key(kind) {
            self.0.insert(kind.to_owned(), Tally::default());
        }
        let tally = self.0.get_mut(kind).expect("it was put there just now");
        tally.records += 1;
        tally.bytes += bytes(kind, key, value);
        tally.hash = tally.hash.wrapping_add(hash(key, value));
    }

    /// Takes back what [`Self::add`] counted.
    ///
    /// What was never added, because an index is not what it should be, leaves totals that match nothing.
    pub(super) fn remove(&mut self, kind: &str, key: &[u8], value: &[u8]) {
        let Some(tally) = self.0.get_mut(kind) else { return };
        tally.records -= 1;
        if tally.records == 0 {
            // Equal states have equal totals, whatever was there in between.
            self.0.remove(kind);
            return;
        }
        tally.bytes = tally.bytes.saturating_sub(bytes(kind, key, value));
        tally.hash = tally.hash.wrapping_sub(hash(key, value));
    }

    /// Records of all kinds.
    pub(super) fn records(&self) -> u64 {
        self.0.values().map(|tally| tally.records).sum()
    }

    /// Bytes that a snapshot of the state needs, nearly.
    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(|tally| tally.bytes).sum()
    }
}

fn bytes(kind: &str, key: &[u8], value: &[u8]) -> u64 {
    // The words and quotes around each change are about this long.
    const AROUND: usize = 55;
    (kind.len() + 2 * key.len() + value.len() + AROUND) as u64
}

/// 64 bits of SHA-1: sums of a plain checksum would let two errors cancel out.
fn hash(key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = Sha1::new();
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let digest: [u8; 20] = hasher.finalize().into();
    u64::from_le_bytes(*digest.first_chunk().expect("a digest has 20 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(records: &[(&str, &[u8], &[u8])]) -> Totals {
        let mut totals = Totals::default();
        for (kind, key, value) in records {
            totals.add(kind, key, value);
        }
        totals
    }

    #[test]
    fn the_order_of_counting_does_not_matter() {
        let (a, b, c) =
            (("show", &b"a"[..], &b"1"[..]), ("show", &b"b"[..], &b"2"[..]), ("seen", &b"a"[..], &b"1"[..]));
        assert_eq!(totals(&[a, b, c]), totals(&[c, b, a]));
        assert_eq!(totals(&[a, b, c]).records(), 3);
    }

    #[test]
    fn every_difference_shows() {
        let one = totals(&[("show", b"a", b"12")]);
        assert_ne!(one, totals(&[("show", b"a1", b"2")]));
        assert_ne!(one, totals(&[("shop", b"a", b"12")]));
        assert_ne!(one, totals(&[("show", b"a", b"12"), ("show", b"a", b"12")]));
    }

    #[test]
    fn what_is_removed_leaves_no_trace() {
        let mut some = totals(&[("show", b"a", b"1"), ("show", b"b", b"2")]);
        some.remove("show", b"b", b"2");
        assert_eq!(some, totals(&[("show", b"a", b"1")]));
        some.remove("show", b"a", b"1");
        assert_eq!(some, Totals::default());
    }
}
