//! The files of a torrent that are open.
//!
//! Law: at most [`MOST`] are open, however many the torrent has; the one used longest ago makes way.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

/// The most files of one torrent that are open. Reading and writing touch few at a time.
pub(super) const MOST: usize = 16;

/// Open files by their place in the metainfo's list.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// Each with the turn in which it was last used.
    files: BTreeMap<usize, (u64, Arc<File>)>,
    turn: u64,
}

impl OpenFiles {
    /// The file, if it is open.
    pub(super) fn get(&mut self, number: usize) -> Option<Arc<File>> {
        self.turn += 1;
        let (used, file) = self.files.get_mut(&number)?;
        *used = self.turn;
        Some(Arc::clone(file))
    }

    /// Keeps a file that was just opened. Whoever works with one that makes way keeps that open as long.
    pub(super) fn put(&mut self, number: usize, file: Arc<File>) {
        self.turn += 1;
        if self.files.len() >= MOST
            && let Some(oldest) = self.files.iter().min_by_key(|(_, (used, _))| *used).map(|(number, _)| *number)
        {
            self.files.remove(&oldest);
        }
        self.files.insert(number, (self.turn, file));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}
