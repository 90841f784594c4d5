//! The listener's disk: finished files, parts of files, and what others lay on it.

use std::collections::{BTreeMap, BTreeSet};

use podswarm_core::app::Space;
use podswarm_subscriber::names;

/// A disk.
pub(super) struct Disk {
    pub(super) total: u64,
    /// What others have on it.
    pub(super) others: u64,
    /// Finished files: their lengths and what they look like.
    files: BTreeMap<String, (u64, u64)>,
    /// What is there of unfinished ones.
    parts: BTreeMap<String, u64>,
    /// Those that an agent left that has ended, and no other has looked at.
    left: BTreeSet<String>,
    /// Bytes of both.
    used: u64,
    last_print: u64,
}

impl Disk {
    pub(super) fn new(total: u64, others: u64) -> Self {
        Self {
            total,
            others,
            files: BTreeMap::new(),
            parts: BTreeMap::new(),
            left: BTreeSet::new(),
            used: 0,
            last_print: 0,
        }
    }

    /// Bytes of the library, but for parts that the agent has not looked at since it began.
    pub(super) fn known(&self) -> u64 {
        self.used - self.left.iter().map(|name| self.part(name)).sum::<u64>()
    }

    /// The agent has ended.
    pub(super) fn restarted(&mut self) {
        self.left = self.parts.keys().cloned().collect();
    }

    pub(super) const fn space(&self) -> Space {
        Space { available: self.total.saturating_sub(self.others + self.used), total: self.total }
    }

    pub(super) fn file(&self, name: &str) -> Option<u64> {
        self.files.get(name).map(|(length, _)| *length)
    }

    pub(super) fn part(&self, name: &str) -> u64 {
        self.parts.get(name).copied().unwrap_or(0)
    }

    /// What is there of a file, finished or not, for the agent that looks.
    pub(super) fn present(&mut self, name: &str) -> u64 {
        self.left.remove(name);
        self.file(name).unwrap_or(0).max(self.part(name))
    }

    /// The part of a file has grown to `have`.
    pub(super) fn write(&mut self, name: &str, have: u64) {
        let before = self.parts.insert(name.to_owned(), have).unwrap_or(0);
        self.used = self.used - before + have;
    }

    /// Nothing is left of the unfinished file.
    pub(super) fn drop_part(&mut self, name: &str) {
        self.used -= self.parts.remove(name).unwrap_or(0);
    }

    /// The file is whole; gives what it looks like.
    pub(super) fn finish(&mut self, name: &str, length: u64) -> u64 {
        self.drop_part(name);
        self.last_print += 1;
        self.used += length;
        let before = self.files.insert(name.to_owned(), (length, self.last_print));
        assert_eq!(before, None, "`{name}` is written over");
        self.last_print
    }

    /// Deletes a file if it looks so; `None` if it is not there, else whether it did.
    pub(super) fn delete(&mut self, name: &str, print: u64) -> Option<bool> {
        let (length, now) = *self.files.get(name)?;
        if now == print {
            self.used -= length;
            self.files.remove(name);
        }
        Some(now == print)
    }

    /// The files of a folder, as the agent is told of them.
    pub(super) fn listing(&self, folder: &str) -> BTreeMap<String, Option<u64>> {
        let folder = format!("{folder}/");
        let within = self.files.range(folder.clone()..).take_while(|(name, _)| name.starts_with(&folder));
        within.map(|(name, (length, _))| (names::fold(&name[folder.len()..]), Some(*length))).collect()
    }
}
