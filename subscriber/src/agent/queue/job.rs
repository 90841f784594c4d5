//! One episode's way through the queue.

use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::time::Instant;

use crate::agent::plan::Plan;
use crate::records::Source;

/// What went wrong with an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The source's host wants to be left alone: the next one is tried, and this one not before.
    Busy {
        /// What it says.
        reason: String,
        /// For how long.
        patience: Duration,
    },
    /// Our disk refused: the same source is tried again later.
    Disk(String),
    /// Something else has the name that was chosen: the same source is tried again under another.
    InTheWay(String),
    /// The library's folder is not there: the disk is measured again before anything goes on.
    NoLibrary(String),
    /// The source failed or is not to be trusted: the next one is tried.
    Source(String),
}

/// How a running download stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there.
    pub have: u64,
    /// Peers that are connected; 1 for a plain download.
    pub peers: u32,
    /// Work is going on that does not show in `have`, such as checking what is there.
    pub busy: bool,
    /// What is in the way, as far as known.
    pub trouble: Option<String>,
}

/// Where a job stands in line: the greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The owner plays it: it takes no place of others.
    pub is_played: bool,
    /// The owner asked for it.
    pub by_owner: bool,
    /// When it was released.
    pub when: DateTime<Utc>,
}

/// One episode's way into the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(super) rank: Rank,
    pub(super) sources: Vec<Source>,
    /// Which source is tried.
    pub(super) at: usize,
    pub(super) attempt: u64,
    pub(super) phase: Phase,
    /// Rounds through all sources that failed.
    pub(super) failures: u32,
    /// The next round does not begin before: a host wants to be left alone.
    pub(super) not_before: Instant,
    pub(super) plan: Option<Plan>,
    /// Bytes that are there, as far as known, whatever it does now.
    pub(super) on_disk: u64,
    pub(super) trouble: Option<String>,
    /// A torrent among the sources is known to be a folder.
    pub(super) is_folder: bool,
    /// The owner has been told of the trouble.
    pub(super) is_told: bool,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is prepared; the disk has no room for it.
    NoRoom,
    /// Its source is being asked what it holds.
    Preparing,
    /// It waits for its turn.
    Queued,
    /// Data comes in, or should.
    Running {
        /// Bytes that are there.
        have: u64,
        /// When they last became more.
        moved: Instant,
        /// They have not for a while; it no longer takes a place.
        is_stalled: bool,
    },
    /// All its sources have failed; it begins again then.
    Waiting {
        /// When.
        until: Instant,
    },
}

impl Job {
    pub(super) fn new(rank: Rank, sources: Vec<Source>) -> Self {
        Self {
            rank,
            sources,
            at: 0,
            attempt: 0,
            phase: Phase::Queued,
            failures: 0,
            not_before: Instant::ZERO,
            plan: None,
            on_disk: 0,
            trouble: None,
            is_folder: false,
            is_told: false,
        }
    }

    /// The owner plays it.
    pub const fn is_played(&self) -> bool {
        self.rank.is_played
    }

    /// The source that is tried.
    pub fn source(&self) -> &Source {
        &self.sources[self.at]
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// What is to be downloaded, once that is known.
    pub const fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The source of this attempt is being asked.
    pub fn is_preparing(&self, attempt: u64) -> bool {
        self.attempt == attempt && self.phase == Phase::Preparing
    }

    /// Bytes that it comes to, as far as known.
    pub(super) fn length(&self) -> u64 {
        self.plan.as_ref().and_then(|plan| plan.length).unwrap_or(0).max(self.on_disk)
    }

    /// Bytes that it takes or is about to take.
    pub(super) fn takes(&self) -> u64 {
        if matches!(self.phase, Phase::Running { .. }) { self.length() } else { self.on_disk }
    }

    /// What is in the way.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The source after the one that is tried; `None` if that is the last.
    pub(super) fn next(&self) -> Option<usize> {
        self.usable_from(self.at + 1)
    }

    /// Begins again with the first source.
    pub(super) fn rewind(&mut self) {
        self.at = self.usable_from(0).unwrap_or(0);
    }

    /// Once a torrent has turned out to be a folder, a plain file is only a part of it and no source any more.
    fn usable_from(&self, start: usize) -> Option<usize> {
        let is_usable = |at: &usize| !self.is_folder || !matches!(self.sources[*at], Source::Http(_));
        (start..self.sources.len()).find(is_usable)
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Running { .. })
    }

    pub(super) fn takes_a_place(&self) -> bool {
        match self.phase {
            _ if self.rank.is_played => false,
            Phase::Preparing => true,
            Phase::Running { is_stalled, .. } => !is_stalled,
            Phase::NoRoom | Phase::Queued | Phase::Waiting { .. } => false,
        }
    }
}
