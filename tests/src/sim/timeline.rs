//! How a run went, second by second.

use std::time::Duration;

use podswarm_core::time::Instant;

use super::host::Host;

/// How often the world is looked at.
pub const STEP: Duration = Duration::from_millis(500);

/// The world at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Duration,
    /// Subscribers that have every byte.
    pub complete: usize,
    /// Of the publisher's uplink, what was used since the sample before, from 0 to 1.
    pub publisher_use: f64,
    /// Of the uplinks of all subscribers who are there, what was used since the sample before, from 0 to 1.
    pub crowd_use: f64,
    /// Copies of the file that the publisher has sent.
    pub copies: f64,
}

/// The samples of a run, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// One for each [`STEP`].
    pub samples: Vec<Sample>,
    /// Bytes that each host had put on the line at the sample before.
    before: Vec<u64>,
}

impl Timeline {
    /// When the next sample is due.
    pub fn next_at(&self) -> Instant {
        Instant::ZERO + STEP * u32::try_from(self.samples.len()).expect("a run is shorter than 60 years")
    }

    /// Takes a sample: the hosts that served from the start are publishers, all others the crowd.
    pub fn take(&mut self, hosts: &[Host], length: u64) {
        let at = self.next_at() - Instant::ZERO;
        self.before.resize(hosts.len(), 0);
        let mut sample = Sample { at, ..Sample::default() };
        let (mut publisher, mut crowd) = (Usage::default(), Usage::default());
        for (host, before) in hosts.iter().zip(&mut self.before) {
            let moved = host.up.sent - std::mem::replace(before, host.up.sent);
            if host.is_publisher() {
                publisher.add(host, moved);
                sample.copies += ratio(host.sent, length);
            } else {
                crowd.add(host, moved);
                sample.complete += usize::from(host.completed.is_some());
            }
        }
        (sample.publisher_use, sample.crowd_use) = (publisher.share(), crowd.share());
        self.samples.push(sample);
    }
}

/// Bytes moved, and bytes that could have been.
#[derive(Default)]
struct Usage {
    moved: u64,
    rate: u64,
}

impl Usage {
    fn add(&mut self, host: &Host, moved: u64) {
        self.moved += moved;
        self.rate += if host.is_there() { host.up.rate } else { 0 };
    }

    fn share(&self) -> f64 {
        ratio(self.moved, self.rate) / STEP.as_secs_f64()
    }
}

/// `part` of `whole`; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
