//! A flash crowd: one publisher, N subscribers that start together, links of fixed rates.
//!
//! How fast it can be at best is known (Kumar and Ross, "Peer-assisted file distribution: the minimum distribution
//! time", 2006): `max(F/u_s, F/d_min, N·F/(u_s + Σu_i))`. What a run reaches is told as a ratio to that bound, so
//! that figures of different machines and crowds compare.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::files::{MIB, assert_same_bytes, random_file, scratch};
use crate::net::{Host, Link, Net};
use crate::process::Program;
use crate::programs::{Publisher, Release, agent, complete};

/// The publisher's link.
pub const PUBLISHER: Link = Link { up_mbit: 20, down_mbit: 50 };
/// A subscriber's link.
pub const SUBSCRIBER: Link = Link { up_mbit: 10, down_mbit: 50 };
/// What one TCP stream carries of the publisher's 20 Mbit/s.
const PUBLISHER_PAYLOAD_MBIT: f64 = 19.13;
/// What TCP carries of a subscriber's 10 Mbit/s up while the acknowledgements of what comes down share it.
const SUBSCRIBER_PAYLOAD_MBIT: f64 = 9.12;
/// What TCP carries of a subscriber's 50 Mbit/s down.
const DOWN_PAYLOAD_MBIT: f64 = 47.8;

/// A published episode and agents that have just been started for it.
#[derive(Debug)]
pub struct Crowd {
    /// The publisher's daemon.
    pub publisher: Publisher,
    /// What it published.
    pub release: Release,
    /// The agents, in the order of their start.
    pub agents: Vec<Program>,
    /// The published file.
    pub episode: PathBuf,
    /// When the first agent was started.
    pub began: Instant,
    length: u64,
    sent_before: u64,
    hosts: Vec<Host>,
    // Holds every file of the run.
    _folder: TempDir,
}

/// What a finished run measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When each subscriber had the episode, soonest first, from the start of the first.
    pub times: Vec<Duration>,
    /// The least time that is possible.
    pub bound: Duration,
    /// Copies of the episode that left the publisher.
    pub copies_sent: f64,
    /// The congestion control of the hosts' TCP.
    pub congestion_control: String,
}

impl Crowd {
    /// Publishes an episode of `mib` MiB and starts `peers` agents for it at once.
    pub fn gather(peers: usize, mib: u64) -> Self {
        let folder = scratch();
        let mut net = Net::new();
        let home = net.host_behind("publisher", PUBLISHER);
        let hosts: Vec<_> = (1..=peers).map(|n| net.host_behind(&format!("subscriber {n}"), SUBSCRIBER)).collect();
        let length = mib * MIB;
        let episode = random_file(&folder.path().join("A crowded episode.mp3"), length, 42);
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
        let release = publisher.publish(&episode);
        let sent_before = home.sent_bytes();
        let began = Instant::now();
        let start = |host: &Host| agent(host, &folder.path().join(host.name()), &release.feed);
        let agents = hosts.iter().map(start).collect();
        Self { publisher, release, agents, episode, began, length, sent_before, hosts, _folder: folder }
    }

    /// Waits until every agent has the episode, bit for bit.
    #[track_caller]
    pub fn finish(&mut self, limit: Duration) -> Outcome {
        let mut files = Vec::new();
        let mut times = Vec::new();
        for agent in &mut self.agents {
            let left = limit.saturating_sub(self.began.elapsed());
            let (at, file) = complete(agent, left);
            times.push(at - self.began);
            files.push(file);
        }
        let sent = self.publisher.host.sent_bytes() - self.sent_before;
        for file in files {
            assert_same_bytes(&self.episode, &file);
        }
        times.sort();
        let payload = PUBLISHER_PAYLOAD_MBIT / f64::from(PUBLISHER.up_mbit);
        Outcome {
            bound: kumar_ross(self.length, times.len()),
            times,
            copies_sent: kib(sent) / kib(self.length) * payload,
            congestion_control: self.hosts[0].congestion_control(),
        }
    }
}

impl Outcome {
    /// The time of the last subscriber over the least that is possible.
    pub fn last_over_bound(&self) -> f64 {
        self.last().as_secs_f64() / self.bound.as_secs_f64()
    }

    fn last(&self) -> Duration {
        *self.times.last().expect("a crowd has a subscriber")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "N = {}: first {:.1} s, median {:.1} s, last {:.1} s; bound {:.1} s, last over bound {:.2}; \
             publisher sent {:.2} copies; {}",
            self.times.len(),
            self.times[0].as_secs_f64(),
            self.times[self.times.len() / 2].as_secs_f64(),
            self.last().as_secs_f64(),
            self.bound.as_secs_f64(),
            self.last_over_bound(),
            self.copies_sent,
            self.congestion_control,
        )
    }
}

/// The least time in which `peers` subscribers can have `length` bytes.
fn kumar_ross(length: u64, peers: usize) -> Duration {
    let mbit = kib(length) * 1024.0 * 8.0 / 1e6;
    let peers = f64::from(u32::try_from(peers).expect("a crowd fits the machine"));
    let together = peers * mbit / (PUBLISHER_PAYLOAD_MBIT + peers * SUBSCRIBER_PAYLOAD_MBIT);
    Duration::from_secs_f64((mbit / PUBLISHER_PAYLOAD_MBIT).max(mbit / DOWN_PAYLOAD_MBIT).max(together))
}

/// A count of bytes in KiB, the fraction left out.
fn kib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).expect("a run moves less than 4 TiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_published_figures() {
        for (peers, tenths) in [(1, 263), (4, 362), (8, 437), (16, 488), (32, 518)] {
            let bound = kumar_ross(60 * MIB, peers);
            assert_eq!((bound.as_millis() + 50) / 100, tenths, "N = {peers}");
        }
    }
}
