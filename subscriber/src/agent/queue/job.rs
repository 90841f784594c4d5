//! One episode's way through the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::time::Instant;

use crate::agent::hosts;
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
    /// Of a plain download: how long its server says that the file is, if that sends any part of it. A swarm may go on
    /// with such a file.
    pub whole: Option<u64>,
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
    /// Their hosts; those of magnet links are none.
    pub(super) hosts: Vec<Option<String>>,
    /// Which source is tried.
    pub(super) at: usize,
    pub(super) attempt: u64,
    pub(super) phase: Phase,
    /// Sources that are being asked on, beside what is done now.
    pub(super) aside: Vec<Aside>,
    /// What one of them has brought, while a plain file goes on.
    pub(super) found: Option<Found>,
    /// What the server of the plain file says, as [`Progress::whole`].
    pub(super) whole: Option<u64>,
    /// Sources that have failed in this round: they are not asked again before the next.
    pub(super) failed: BTreeSet<usize>,
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

/// A source that is being asked what it holds, while another is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aside {
    /// Which source.
    pub(super) at: usize,
    /// The attempt that asks it.
    pub(super) attempt: u64,
}

/// A torrent that was found out about while a plain file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Which source it is.
    pub(super) at: usize,
    /// The length of its only file; `None` if it has more of them.
    pub(super) length: Option<u64>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is prepared; the disk has no room for it.
    NoRoom,
    /// Its source is being asked what it holds.
    Preparing {
        /// When the next source gets its turn if by then nobody has told what the torrent is.
        overtaken_at: Option<Instant>,
    },
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
        let host = |source: &Source| match source {
            Source::Http(url) | Source::Torrent(url) => url.parse().ok().map(|url| hosts::host(&url)),
            Source::Magnet(_) => None,
        };
        Self {
            rank,
            hosts: sources.iter().map(host).collect(),
            sources,
            at: 0,
            attempt: 0,
            phase: Phase::Queued,
            aside: Vec::new(),
            found: None,
            failed: BTreeSet::new(),
            whole: None,
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

    /// Its source is asked what it holds.
    pub(super) const fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing { .. })
    }

    /// What comes of this attempt counts.
    pub const fn is_at(&self, attempt: u64) -> bool {
        self.attempt == attempt
    }

    /// The source that this attempt asks what it holds; `None` if it does so no more.
    pub fn asked(&self, attempt: u64) -> Option<&Source> {
        if self.attempt == attempt && self.is_preparing() {
            return Some(self.source());
        }
        let aside = self.aside.iter().find(|aside| aside.attempt == attempt)?;
        self.sources.get(aside.at)
    }

    /// This attempt asks a source beside what is done now.
    pub fn is_aside(&self, attempt: u64) -> bool {
        self.aside.iter().any(|aside| aside.attempt == attempt)
    }

    /// Another source waits for its turn that was not tried lately: one that says nothing is soon left for it.
    pub fn gives_way(&self) -> bool {
        self.failures == 0 && self.next().is_some()
    }

    /// The host of a source that is a plain file.
    pub(super) fn host_of(&self, at: usize) -> Option<&str> {
        self.hosts.get(at).filter(|_| matches!(self.sources[at], Source::Http(_)))?.as_deref()
    }

    /// The host that sends it now, or is about to.
    pub(super) fn visited(&self) -> Option<&str> {
        self.host_of(self.at).filter(|_| self.is_active())
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

    /// This source is a plain file on a host that is being asked for a `.torrent`.
    pub(super) fn is_late_itself(&self, at: usize) -> bool {
        let asked = self.aside.iter().map(|aside| aside.at).chain([self.at]);
        let is_torrent = |at: &usize| matches!(self.sources[*at], Source::Torrent(_));
        let host = self.host_of(at);
        host.is_some() && asked.filter(is_torrent).any(|late| self.hosts[late].as_deref() == host)
    }

    /// The source that is tried after this one; `None` if that is the last.
    pub(super) fn next(&self) -> Option<usize> {
        self.usable_from(self.at + 1)
    }

    /// Begins again with the first source.
    pub(super) fn rewind(&mut self) {
        self.failed.clear();
        self.at = self.usable_from(0).unwrap_or(0);
    }

    /// Once a torrent has turned out to be a folder, a plain file is only a part of it and no source any more. Nor is
    /// what is being asked already, or has failed in this round.
    fn usable_from(&self, start: usize) -> Option<usize> {
        let is_asked = |at: usize| self.aside.iter().any(|aside| aside.at == at);
        let is_file = |at: usize| matches!(self.sources[at], Source::Http(_));
        let is_usable = |at: &usize| !(is_asked(*at) || self.failed.contains(at) || self.is_folder && is_file(*at));
        (start..self.sources.len()).find(is_usable)
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Preparing { .. } | Phase::Running { .. })
    }

    pub(super) fn takes_a_place(&self) -> bool {
        match self.phase {
            _ if self.rank.is_played => false,
            Phase::Preparing { .. } => true,
            Phase::Running { is_stalled, .. } => !is_stalled,
            Phase::NoRoom | Phase::Queued | Phase::Waiting { .. } => false,
        }
    }
}
