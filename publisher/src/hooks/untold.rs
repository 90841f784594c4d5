//! What hooks are still to be told of.
//!
//! It is stored together with what happened, and removed together with the storing of what servers are told of it. So a
//! publisher that is killed in between has it told when it starts again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use podswarm_core::store::Record;
use serde::{Deserialize, Serialize};

use super::Occasion;
use crate::record::EpisodeRecord;
use crate::slug::Slug;

/// Something that happened to an episode, of which hooks are to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UntoldRecord {
    /// The show.
    pub(crate) show: Slug,
    /// The file name of the episode.
    pub(crate) file: String,
    /// What happened.
    pub(crate) event: Occasion,
    /// When.
    pub(crate) at: DateTime<Utc>,
}

impl UntoldRecord {
    /// The key of what happened to the episode of that file; nothing happens twice to one.
    pub(crate) fn key_of(show: &Slug, file: &str, event: Occasion) -> Vec<u8> {
        format!("{show}/{file}/{event}").into_bytes()
    }
}

impl Record for UntoldRecord {
    const KIND: &'static str = "untold";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Self::key_of(&self.show, &self.file, self.event)
    }
}

/// The occasions on which hooks want to be told; without a publisher that runs, none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(BTreeSet<Occasion>);

impl Wanted {
    /// Whether anybody is to be told of such a thing.
    pub(crate) fn has(&self, occasion: Occasion) -> bool {
        self.0.contains(&occasion)
    }

    /// What is to be stored with what happens to `episode` at that time, if hooks want to be told of it.
    pub(crate) fn untold(&self, event: Occasion, episode: &EpisodeRecord, at: DateTime<Utc>) -> Option<UntoldRecord> {
        let untold = || UntoldRecord { show: episode.show.clone(), file: episode.file.clone(), event, at };
        self.has(event).then(untold)
    }
}

impl FromIterator<Occasion> for Wanted {
    fn from_iter<I: IntoIterator<Item = Occasion>>(occasions: I) -> Self {
        Self(occasions.into_iter().collect())
    }
}
