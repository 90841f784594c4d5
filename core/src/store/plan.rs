//! Works out what a group of changes does to the index, before any of it is done.

use std::collections::BTreeMap;

use super::index::seal::Seal;
use super::index::{Index, IndexFault, Write, value};
use super::op::{Change, Op};
use super::totals::Totals;

/// Changes that are ready to be applied.
pub(super) struct Plan<'a> {
    writes: Vec<Write<'a>>,
    /// For each batch, whether it changes anything.
    pub(super) changes: Vec<bool>,
    /// What the index adds up to afterwards.
    pub(super) totals: Totals,
}

impl<'a> Plan<'a> {
    /// Plans `batches`, in order, for an `index` that adds up to `totals`.
    ///
    /// What is already as a change wants it is left out, so that storing the same record again costs nothing.
    pub(super) fn new(index: &dyn Index, totals: &Totals, batches: &[&'a [Op]]) -> Result<Self, IndexFault> {
        let mut plan = Self { writes: Vec::new(), changes: Vec::new(), totals: totals.clone() };
        // The last planned write to each place, which a later batch must see.
        let mut planned = BTreeMap::new();
        for batch in batches {
            let before = plan.writes.len();
            for op in *batch {
                let place = (op.kind.as_ref(), op.key.as_slice());
                let old = match planned.get(&place) {
                    Some(&at) => Write::value_of(&plan.writes, at),
                    None => stored(index, op)?,
                };
                let write = op.to_write();
                if old == write.value {
                    continue;
                }
                if let Some(old) = old {
                    plan.totals.remove(place.0, place.1, &old);
                }
                if let Some(new) = &write.value {
                    plan.totals.add(place.0, place.1, new);
                }
                planned.insert(place, plan.writes.len());
                plan.writes.push(write);
            }
            plan.changes.push(plan.writes.len() > before);
        }
        Ok(plan)
    }

    /// Makes the writes, after that of the `seal` which announces them.
    pub(super) fn apply(self, index: &dyn Index, seal: Option<&Seal>) -> Result<(), IndexFault> {
        let writes: Vec<_> = seal.map(Seal::write).into_iter().chain(self.writes).collect();
        index.apply(&writes)
    }
}

impl Write<'_> {
    fn value_of(writes: &[Self], at: usize) -> Option<Vec<u8>> {
        writes[at].value.clone()
    }
}

impl Op {
    /// The change as the index makes it.
    pub(super) fn to_write(&self) -> Write<'_> {
        let value = match &self.change {
            Change::Delete => None,
            Change::Put { version, json } => Some(value::encode(&self.kind, &self.key, *version, json)),
        };
        Write { tree: &self.kind, key: &self.key, value }
    }
}

/// The framed value that `op` would replace, if it is what was written.
fn stored(index: &dyn Index, op: &Op) -> Result<Option<Vec<u8>>, IndexFault> {
    let Some(bytes) = index.get(&op.kind, &op.key)? else { return Ok(None) };
    value::decode(&op.kind, &op.key, &bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::index::memory::MemoryIndex;
    use super::super::index::{Visitor, tally};
    use super::super::journal::{Origin, Position};
    use super::*;

    fn put(key: &str, json: &str) -> Op {
        let change = Change::Put { version: 1, json: json.into() };
        Op { kind: "show".into(), key: key.into(), change }
    }

    fn delete(key: &str) -> Op {
        Op { kind: "show".into(), key: key.into(), change: Change::Delete }
    }

    #[test]
    fn the_totals_are_those_of_the_index_afterwards() {
        let index = MemoryIndex::default();
        let mut totals = Totals::default();
        let (first, second) =
            ([put("a", "1"), put("b", "2"), put("a", "3")], [delete("b"), put("c", "4"), delete("x")]);
        for batch in [&first, &second] {
            let plan = Plan::new(&index, &totals, &[batch]).unwrap();
            totals = plan.totals.clone();
            plan.apply(&index, None).unwrap();
            assert_eq!(tally(&index).unwrap(), totals);
        }
        assert_eq!(totals.records(), 2);
    }

    #[test]
    fn the_seal_goes_ahead_of_what_it_announces() {
        struct Recorder(Mutex<Vec<String>>);

        impl Index for Recorder {
            fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault> {
                self.0.lock().unwrap().extend(writes.iter().map(|write| write.tree.to_owned()));
                Ok(())
            }

            fn flush(&self) -> Result<(), IndexFault> {
                Ok(())
            }

            fn get(&self, _: &str, _: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
                Ok(None)
            }

            fn scan(&self, _: &str, _: &[u8], _: Visitor<'_>) -> Result<(), IndexFault> {
                Ok(())
            }

            fn trees(&self) -> Result<Vec<String>, IndexFault> {
                Ok(Vec::new())
            }
        }

        let recorder = Recorder(Mutex::default());
        let ops = [put("a", "1"), put("b", "2")];
        let plan = Plan::new(&recorder, &Totals::default(), &[&ops]).unwrap();
        let origin = Origin { journal: 1, generation: 0 };
        let seal = Seal { origin, from: 0, at: Position::default(), totals: plan.totals.clone() };
        plan.apply(&recorder, Some(&seal)).unwrap();
        assert_eq!(*recorder.0.lock().unwrap(), [".seal", "show", "show"]);
    }

    #[test]
    fn a_batch_that_changes_nothing_is_known() {
        let index = MemoryIndex::default();
        Plan::new(&index, &Totals::default(), &[&[put("a", "1")]]).unwrap().apply(&index, None).unwrap();
        let totals = tally(&index).unwrap();
        let batches = [[put("a", "1")], [put("a", "2")], [put("a", "2")], [delete("a")], [delete("a")]];
        let batches: Vec<_> = batches.iter().map(<[Op; 1]>::as_slice).collect();
        let plan = Plan::new(&index, &totals, &batches).unwrap();
        assert_eq!(plan.changes, [false, true, false, true, false]);
    }
}
