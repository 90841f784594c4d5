//! What came of a run, for people.

use std::fmt;
use std::time::Duration;

use podswarm_core::layout::BLOCK_LENGTH;
use podswarm_core::time::Instant;

use super::host::Host;
use super::link::{ack_bytes, block_wire_bytes};
use super::timeline::ratio;
use super::{HostId, World};

/// The figures of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// When each subscriber was complete, since it came, sorted.
    pub completions: Vec<Duration>,
    /// When the last was complete, since the first came.
    pub last: Duration,
    /// All honest subscribers.
    pub subscribers: usize,
    /// Copies of the file that the publisher has sent, in thousandths.
    pub copies_milli: u64,
    /// Bytes of blocks that reached the subscribers, over the bytes they needed, in thousandths.
    pub received_milli: u64,
    /// The least time that any system could take if all come at once: `max{F/u_s, F/d_min, N·F/(u_s+Σu_i)}` (Kumar and
    /// Ross 2006), where packets' headers count with the bytes sent, and acknowledgements share the subscribers'
    /// uplinks.
    pub bound: Duration,
    /// Events of the run.
    pub events: u64,
    /// How long each player waited for the first sound, sorted.
    pub starts: Vec<Duration>,
    /// How long players stood still after that, all together.
    pub stalled: Duration,
}

impl Report {
    pub(super) fn of(world: &World, seed: HostId, subscribers: &[HostId], events: u64) -> Self {
        let length = world.metainfo().info.length();
        let hosts = || subscribers.iter().map(|id| world.host(*id));
        let mut completions: Vec<Duration> =
            hosts().filter_map(|host| Some(host.completed? - host.arrival())).collect();
        completions.sort_unstable();
        let first = hosts().map(Host::arrival).min().unwrap_or(Instant::ZERO);
        let last = hosts().filter_map(|host| host.completed).max().unwrap_or(first);
        let players = || hosts().filter(|host| host.character.plays.is_some()).map(|host| &host.player);
        let mut starts: Vec<Duration> = players().filter_map(|player| player.started_after).collect();
        starts.sort_unstable();
        let publisher = world.host(seed);
        let wanted = length * subscribers.len() as u64;
        Self {
            subscribers: subscribers.len(),
            completions,
            last: last - first,
            copies_milli: publisher.sent * 1000 / length,
            received_milli: hosts().map(|host| host.received).sum::<u64>() * 1000 / wanted.max(1),
            bound: bound(world, seed, subscribers),
            events,
            starts,
            stalled: players().map(|player| player.stalled).sum(),
        }
    }

    /// Subscribers that are not complete.
    pub fn unfinished(&self) -> usize {
        self.subscribers - self.completions.len()
    }

    /// How long so many percent of the subscribers took at most; the longest finished if that many are not complete.
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.subscribers * percent).div_ceil(100).saturating_sub(1);
        self.completions.get(place).or(self.completions.last()).copied().unwrap_or_default()
    }

    /// The last completion over the bound, in thousandths.
    pub fn milli_of_bound(&self) -> u64 {
        u64::try_from(self.last.as_micros() * 1000 / self.bound.as_micros().max(1)).unwrap_or(u64::MAX)
    }
}

fn bound(world: &World, seed: HostId, subscribers: &[HostId]) -> Duration {
    let block = u64::from(BLOCK_LENGTH);
    let length = world.metainfo().info.length();
    let wire = length * block_wire_bytes(block) / block;
    let acknowledged = wire + length * ack_bytes(block) / block;
    let hosts = || subscribers.iter().map(|id| world.host(*id));
    let publisher = world.host(seed).up.rate;
    let all_up = publisher + hosts().map(|host| host.up.rate).sum::<u64>();
    let least_down = hosts().map(|host| host.down.rate).min().unwrap_or(u64::MAX);
    let micros = |bytes: u64, rate: u64| Duration::from_secs_f64(ratio(bytes, rate.max(1)));
    micros(wire, publisher).max(micros(wire, least_down)).max(micros(acknowledged * subscribers.len() as u64, all_up))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} complete, {} not; first {:.1?}, median {:.1?}, 95 % {:.1?}, last {:.1?}; bound {:.1?}, {:.3} of it; \
             publisher sent {:.2} copies; received {:.3} of what was needed; {} events",
            self.completions.len(),
            self.unfinished(),
            self.completions.first().copied().unwrap_or_default(),
            self.percentile(50),
            self.percentile(95),
            self.last,
            self.bound,
            ratio(self.milli_of_bound(), 1000),
            ratio(self.copies_milli, 1000),
            ratio(self.received_milli, 1000),
            self.events,
        )?;
        if let (Some(median), Some(last)) = (self.starts.get(self.starts.len() / 2), self.starts.last()) {
            let (players, stalled) = (self.starts.len(), self.stalled);
            write!(
                f,
                "; {players} players began after {median:.1?} (median) to {last:.1?} and stood still for {stalled:.1?}"
            )?;
        }
        Ok(())
    }
}
