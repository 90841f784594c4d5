//! What people are told of a swarm.

use std::time::Duration;

use serde::Serialize;

use super::{Phase, Swarm, WebSeedStatus};
use crate::dht::scrape::Estimate;
use crate::metainfo::{FileChoice, InfoHash};
use crate::rate::Rate;
use crate::time::Instant;
use crate::tracker::TrackerStatus;

/// What a torrent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TorrentState {
    /// What is on disk is being hashed.
    Checking,
    /// Pieces are missing.
    Downloading,
    /// Everything is here.
    Seeding,
    /// The owner wants no traffic.
    Paused,
    /// The disk failed; it is tried again.
    Failed,
}

/// A torrent's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TorrentStatus {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// What it is called.
    pub name: String,
    /// What it is doing.
    pub state: TorrentState,
    /// What went wrong, if anything is.
    pub error: Option<String>,
    /// Whether what went wrong stays wrong until the owner does something.
    pub is_final: bool,
    /// Whether every byte of the wanted files is verified and under its final name.
    pub complete: bool,
    /// Files that are wanted, where some were left out.
    pub chosen_files: Option<usize>,
    /// Bytes of all files, or of the pieces of those that are wanted.
    pub length: u64,
    /// Bytes of these pieces that are here.
    pub have: u64,
    /// The number of pieces.
    pub pieces: u32,
    /// The pieces that are here.
    pub pieces_have: u32,
    /// Bytes of blocks sent since the swarm was joined.
    pub uploaded: u64,
    /// Bytes of blocks received since the swarm was joined.
    pub downloaded: u64,
    /// Bytes received that were of no use: twice, unasked or bad.
    pub wasted: u64,
    /// Bytes a second.
    pub up_rate: Rate,
    /// Bytes a second.
    pub down_rate: Rate,
    /// Connected peers.
    pub peers: u32,
    /// Connected peers that have everything.
    pub seeds: u32,
    /// Addresses known.
    pub known_peers: u32,
    /// Whole copies held by others, in thousandths, as far as they are connected or were.
    pub copies_milli: u64,
    /// Time until everything is here at this speed.
    pub eta: Option<Duration>,
    /// The trackers.
    pub trackers: Vec<TrackerStatus>,
    /// How many take part by the distributed hash table, which is asked while no tracker tells. BEP 33.
    pub dht: Option<Estimate>,
    /// The web servers that have the content.
    pub web_seeds: Vec<WebSeedStatus>,
}

impl Swarm {
    /// The figures at `now`.
    pub fn status(&mut self, now: Instant) -> TorrentStatus {
        let missing = self.picker.missing_bytes();
        let length = self.wanted_length;
        let (pieces, pieces_have) = (self.picker.have().len(), self.picker.have().count());
        let down_rate = self.down.rate(now);
        TorrentStatus {
            info_hash: self.metainfo.info_hash,
            name: self.metainfo.info.name.to_string(),
            state: self.state(),
            error: self.fault.as_ref().map(|fault| fault.what.clone()),
            is_final: self.has_given_up(),
            complete: self.phase == Phase::Seeding,
            chosen_files: self.choice.as_ref().map(FileChoice::count),
            length,
            have: length - missing,
            pieces,
            pieces_have,
            uploaded: self.up.total(),
            downloaded: self.down.total(),
            wasted: self.wasted,
            up_rate: self.up.rate(now),
            down_rate,
            peers: count(self.conns.len()),
            seeds: count(self.conns.values().filter(|peer| peer.is_seed()).count()),
            known_peers: count(self.peers.len()),
            copies_milli: self.copies_milli(),
            eta: (missing > 0).then(|| missing.checked_div(down_rate.0).map(Duration::from_secs)).flatten(),
            trackers: if self.conduct.discovery.trackers { self.announcers.status(now) } else { Vec::new() },
            dht: self.counts.estimate(now),
            web_seeds: self.web_seeds.status(now),
        }
    }

    fn state(&self) -> TorrentState {
        if self.has_given_up() {
            return TorrentState::Failed;
        }
        match (self.paused, &self.fault, self.phase) {
            (true, ..) => TorrentState::Paused,
            (false, Some(_), _) => TorrentState::Failed,
            (false, None, Phase::Fetching | Phase::Placing) => TorrentState::Downloading,
            (false, None, Phase::Seeding) => TorrentState::Seeding,
        }
    }

    /// Whole copies elsewhere: those of connected peers, and of seeds that left but may come back.
    fn copies_milli(&self) -> u64 {
        let here = self.conns.values().map(|peer| peer.peer_id).collect();
        self.picker.availability.copies_milli() + 1000 * self.peers.seeds_away(&here) as u64
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
