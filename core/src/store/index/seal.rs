//! What the index says of itself, so that a lost or stale one is noticed.
//!
//! A [`Seal`] is written into the index ahead of each group of changes. After an unclean stop the index has all changes
//! up to `from`, and of those up to `at` perhaps some; making the latter once more has no effect on those that are
//! there. Then the contents must add up to `totals`, or the index cannot be trusted.

use serde::{Deserialize, Serialize};

use super::{Index, IndexFault, SEAL_TREE, Write, value};
use crate::store::journal::{Origin, Position};
use crate::store::totals::Totals;

/// The state of an index in terms of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// The journal it belongs to, as that was when the seal was made.
    pub(crate) origin: Origin,
    /// Every change up to this sequence number is in the index.
    pub(crate) from: u64,
    /// The last change that is, or is about to be, in the index.
    pub(crate) at: Position,
    /// What the contents add up to with all changes up to `at`.
    pub(crate) totals: Totals,
}

impl Seal {
    /// Reads the seal of `index`; `None` if it has none.
    pub(crate) fn read(index: &dyn Index) -> Result<Option<Self>, IndexFault> {
        let Some(bytes) = index.get(SEAL_TREE, KEY)? else { return Ok(None) };
        let (_, json) = value::decode(SEAL_TREE, KEY, &bytes)?;
        serde_json::from_str(json).map(Some).map_err(|error| IndexFault::new(format!("seal: {error}")))
    }

    /// The write that puts the seal in place of the one before.
    pub(crate) fn write(&self) -> Write<'static> {
        let json = serde_json::to_string(self).expect("a seal has a JSON form");
        Write { tree: SEAL_TREE, key: KEY, value: Some(value::encode(SEAL_TREE, KEY, VERSION, &json)) }
    }
}

const KEY: &[u8] = b"seal";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryIndex;
    use super::*;

    #[test]
    fn a_seal_comes_back_as_written() {
        let index = MemoryIndex::default();
        assert_eq!(Seal::read(&index), Ok(None));
        let mut totals = Totals::default();
        totals.add("show", b"a", b"1");
        let origin = Origin { journal: u64::MAX, generation: 2 };
        let seal = Seal { origin, from: 7, at: Position { seq: 9, crc: u32::MAX }, totals };
        index.apply(&[seal.write()]).unwrap();
        assert_eq!(Seal::read(&index), Ok(Some(seal)));
    }
}
