//! The index in memory: for tests, and where the one on disk cannot be had.

use std::collections::BTreeMap;
use std::sync::RwLock;

use super::{Index, IndexFault, Visitor, Write};

type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sorted maps under a lock.
#[derive(Default)]
pub(crate) struct MemoryIndex {
    trees: RwLock<BTreeMap<String, Tree>>,
}

impl Index for MemoryIndex {
    fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault> {
        let mut trees = self.trees.write().expect(NO_PANIC);
        for write in writes {
            if !trees.contains_key(write.tree) {
                trees.insert(write.tree.to_owned(), Tree::new());
            }
            let tree = trees.get_mut(write.tree).expect("it was put there just now");
            match &write.value {
                Some(value) => tree.insert(write.key.to_vec(), value.clone()),
                None => tree.remove(write.key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexFault> {
        Ok(())
    }

    fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        Ok(self.trees.read().expect(NO_PANIC).get(tree).and_then(|tree| tree.get(key)).cloned())
    }

    fn scan(&self, tree: &str, prefix: &[u8], visit: Visitor<'_>) -> Result<(), IndexFault> {
        let trees = self.trees.read().expect(NO_PANIC);
        let Some(tree) = trees.get(tree) else { return Ok(()) };
        let found = tree.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        // Breaking off early is the visitor's right, and no fault.
        let _ = { found }.try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn trees(&self) -> Result<Vec<String>, IndexFault> {
        Ok(self.trees.read().expect(NO_PANIC).keys().cloned().collect())
    }
}

/// Nothing that holds the lock can panic but a visitor, and then the lock was only read.
const NO_PANIC: &str = "no writer panics";
