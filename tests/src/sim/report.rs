//! What came of a run, for people.

use std::fmt;
use std::time::Duration;

use podswarm_core::time::Instant;

use super::{HostId, World};

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// When each leecher was complete, sorted.
    pub completions: Vec<Duration>,
    /// Leechers that are not complete.
    pub unfinished: usize,
    /// Copies of the file that the publisher has sent, in thousandths.
    pub copies_milli: u64,
    /// The least time that any system could take: Kumar and Ross 2006.
    pub bound: Duration,
    /// Events of the run.
    pub events: u64,
}

impl Report {
    pub(super) fn of(world: &World, seed: HostId, leechers: &[HostId], events: u64) -> Self {
        let length = world.metainfo().info.length();
        let mut completions: Vec<Duration> =
            leechers.iter().filter_map(|id| Some(world.host(*id).completed? - Instant::ZERO)).collect();
        completions.sort_unstable();
        let seed = world.host(seed);
        let all_up: u64 = seed.up.rate + leechers.iter().map(|id| world.host(*id).up.rate).sum::<u64>();
        let least_down = leechers.iter().map(|id| world.host(*id).down.rate).min().unwrap_or(u64::MAX);
        let millis = |bytes: u64, rate: u64| bytes.saturating_mul(1000) / rate.max(1);
        let bound = millis(length, seed.up.rate)
            .max(millis(length, least_down))
            .max(millis(length * leechers.len() as u64, all_up));
        Self {
            unfinished: leechers.len() - completions.len(),
            completions,
            copies_milli: seed.sent * 1000 / length,
            bound: Duration::from_millis(bound),
            events,
        }
    }

    /// When the last was complete.
    pub fn last(&self) -> Duration {
        self.completions.last().copied().unwrap_or_default()
    }

    /// When half were complete.
    pub fn median(&self) -> Duration {
        self.completions.get(self.completions.len() / 2).copied().unwrap_or_default()
    }

    /// The last completion over the bound, in percent.
    pub fn percent_of_bound(&self) -> u64 {
        u64::try_from(self.last().as_millis() * 100 / self.bound.as_millis().max(1)).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} complete, {} not; first {:.1?}, median {:.1?}, last {:.1?}; bound {:.1?}, {} % of it; publisher sent {}.{:02} copies; {} events",
            self.completions.len(),
            self.unfinished,
            self.completions.first().copied().unwrap_or_default(),
            self.median(),
            self.last(),
            self.bound,
            self.percent_of_bound(),
            self.copies_milli / 1000,
            self.copies_milli % 1000 / 10,
            self.events,
        )
    }
}
