//! What the owner has set, and what an agent is here for.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use clap::ValueEnum;
use podswarm_core::timetable::Hours;

use super::share::Enough;
use crate::consent::DecidedBy;
use crate::rules::{Choice, Rules};

/// What the owner has set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this agent is here for.
    pub duty: Duty,
    /// Where the library is; only named in events.
    pub library: PathBuf,
    /// Downloads that move data at once.
    pub downloads: usize,
    /// So many of them are plain files of one host.
    pub downloads_per_host: usize,
    /// How often a feed is polled that has no schedule.
    pub interval: Duration,
    /// The owner's time zone, in which schedules are read.
    pub zone: Tz,
    /// Whether what is complete is seeded.
    pub seeding: Seeding,
    /// At which hours, in the owner's time zone; at all if there are none.
    pub seed_at: Vec<Hours>,
    /// What is done while the system calls the line metered.
    pub on_metered: OnMetered,
    /// When that ends.
    pub enough: Enough,
    /// Whether publishers that ask for it are shown that we get to them from outside.
    pub connects_back: bool,
    /// Whether hubs that feeds name are asked to tell of news.
    pub asks_hubs: bool,
    /// What is wanted of all feeds.
    pub rules: Rules,
    /// Who has decided whether swarms are taken part in.
    pub decided_by: DecidedBy,
    /// What the disk is for.
    pub limits: Limits,
}

/// What the disk is for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// All episodes together take no more; no limit if `None`.
    pub quota: Option<u64>,
    /// So much of the disk stays free; 5 GB or a tenth of it, whichever is less, if `None`.
    pub leave_free: Option<u64>,
}

impl Settings {
    /// Whether the agent does what nobody asks it for now.
    pub(super) fn acts_by_itself(&self) -> bool {
        matches!(self.duty, Duty::Everything | Duty::Once)
    }

    /// Whether it matters that the line is metered.
    pub(crate) fn heeds_metered(&self) -> bool {
        self.acts_by_itself() && self.on_metered != OnMetered::Everything
    }

    /// Whether hubs are asked, and received.
    pub(crate) fn receives_hubs(&self) -> bool {
        self.duty == Duty::Everything && self.asks_hubs
    }

    /// Whether what is complete is given to others.
    pub(super) fn seeds(&self) -> bool {
        self.duty == Duty::Everything && self.seeding == Seeding::On && !self.is_http_only()
    }

    /// Has the owner's answer hold whether swarms are taken part in, if he has given one and has set nothing else.
    pub(crate) fn heed(&mut self, takes_part: Option<bool>) {
        if self.rules.http_only.is_some() {
            self.decided_by = DecidedBy::Setting;
        } else if let Some(takes_part) = takes_part {
            self.decided_by = DecidedBy::Answer;
            self.rules.http_only = (!takes_part).then_some(Choice::Yes);
        }
    }

    /// Whether no swarm is taken part in, whatever a feed's own rules say.
    pub(crate) fn is_http_only(&self) -> bool {
        self.rules.are_http_only(&Rules::default())
    }
}

/// What is done while the system calls the line metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnMetered {
    /// Everything, as on any line.
    Everything,
    /// Downloads go on; nothing is seeded.
    #[default]
    SeedNothing,
    /// Feeds are polled; downloads wait, but for those that the owner asks for.
    Nothing,
}

/// What an agent is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// To poll, listen, fetch and seed for as long as it runs.
    Everything,
    /// To fetch what it is asked for, and end: it polls only on demand.
    Fetch,
    /// To answer one command: it polls on demand and fetches nothing.
    Answer,
    /// To poll every feed once, fetch what is new, and end.
    Once,
}

/// Whether what is complete is seeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeding {
    /// It is not.
    Off,
    /// It is, until it is [`Enough`].
    On,
}

/// Which sources are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sources {
    /// All of them, torrents first.
    #[default]
    All,
    /// Plain files only: no peer sees this machine's address.
    HttpOnly,
}
