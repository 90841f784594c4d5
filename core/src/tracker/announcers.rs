//! One swarm's announces under every hash that it has: a hybrid torrent has a swarm of each version, and takes part in
//! both.
//!
//! Law: announces under different hashes have different ids.
//! Source: BEP 52.

use std::time::Duration;

use super::announcer::{AnnounceId, Announcer, AnnouncerInput, AnnouncerOutput, TrackerStatus};
use crate::metainfo::InfoHash;
use crate::rng::Rng;
use crate::time::{Instant, earliest};

/// An [`Announcer`] for each hash of a torrent.
#[derive(Debug)]
pub struct Announcers {
    /// With the hash as trackers are told it.
    each: Vec<([u8; 20], Announcer)>,
}

impl Announcers {
    /// As [`Announcer::new`] makes one.
    pub fn new(info_hash: &InfoHash, tiers: &[Vec<String>], mut rng: Rng) -> Self {
        let announcer = |(number, wire)| (wire, Announcer::new(tiers, rng.fork(number)).numbered_from(number << 32));
        Self { each: (0..).zip(info_hash.wires()).map(announcer).collect() }
    }

    /// Tells each of them.
    pub fn handle(&mut self, now: Instant, input: AnnouncerInput) {
        let Some(((_, last), others)) = self.each.split_last_mut() else { return };
        for (_, announcer) in others {
            announcer.handle(now, input.clone());
        }
        last.handle(now, input);
    }

    /// Takes the next effect, with the hash under which it is to be done; `None` when all are drained.
    pub fn poll(&mut self) -> Option<([u8; 20], AnnouncerOutput)> {
        self.each.iter_mut().find_map(|(wire, announcer)| Some((*wire, announcer.poll()?)))
    }

    /// When they are next to be told of the time.
    pub fn deadline(&self) -> Option<Instant> {
        self.each.iter().map(|(_, announcer)| announcer.deadline()).fold(None, earliest)
    }

    /// Whether all of them are done, as [`Announcer::is_done`] says.
    pub fn is_done(&self) -> bool {
        self.each.iter().all(|(_, announcer)| announcer.is_done())
    }

    /// How each tracker stands; of the two swarms of a hybrid the counts are added.
    pub fn status(&self, now: Instant) -> Vec<TrackerStatus> {
        let mut all = self.each.iter().map(|(_, announcer)| announcer.status(now));
        let mut first = all.next().unwrap_or_default();
        for other in all.flatten() {
            let Some(same) = first.iter_mut().find(|same| same.url == other.url) else { continue };
            let sum = |a: Option<u32>, b: Option<u32>| a.map(|a| a.saturating_add(b.unwrap_or(0))).or(b);
            (same.complete, same.incomplete) =
                (sum(same.complete, other.complete), sum(same.incomplete, other.incomplete));
            same.downloaded = sum(same.downloaded, other.downloaded);
            same.next_in = [same.next_in, other.next_in].into_iter().flatten().min_by_key(Duration::as_nanos);
        }
        first
    }

    /// Whether no tracker tells how many take part, as [`Announcer::tells_nothing`] says, under any hash.
    pub fn tell_nothing(&self) -> bool {
        self.each.iter().all(|(_, announcer)| announcer.tells_nothing())
    }

    /// Whether this announce was under the second of a hybrid's hashes, that of v2.
    pub fn is_second(&self, id: AnnounceId) -> bool {
        id.number() >> 32 > 0
    }
}
