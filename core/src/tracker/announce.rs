//! What a peer tells a tracker, and what it is told: the values, without a wire format.
//!
//! Knows nothing of HTTP or UDP. Law: text from the other side is short and printable before it gets here (the codecs
//! see to it), so it can be shown to the owner as it is.
//! Sources: BEP 3 (the fields), BEP 24 (external address), BEP 31 (retry after a failure).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::scrape::SwarmCounts;

/// The interval assumed where a tracker names none that makes sense: 30 minutes.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(30);

/// The port of those whom nobody can dial. Trackers refuse 0, and nobody listens at this one.
pub const NO_PORT: u16 = 1;

/// One announce of one peer in one swarm. BEP 3.
///
/// The addresses that BEP 3 and 7 let a client claim (`ip`, `ipv4`, `ipv6`) are left out on purpose: a tracker that
/// believes them can be turned against others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// Which swarm: the 20 bytes of a v1 info-hash, or the first 20 of a v2 one.
    pub info_hash: [u8; 20],
    /// The peer's own id for this run. BEP 20.
    pub peer_id: [u8; 20],
    /// The port on which the peer takes connections; [`NO_PORT`] if it takes none.
    pub port: u16,
    /// Payload bytes sent to peers since `started`.
    pub uploaded: u64,
    /// Payload bytes received from peers since `started`.
    pub downloaded: u64,
    /// Bytes still wanted; 0 makes the peer a seed, [`u64::MAX`] says that nobody knows yet.
    pub left: u64,
    /// Why the announce is made; `None` for one of the regular ones.
    pub event: Option<AnnounceEvent>,
    /// How many peers are wanted; `None` or a negative number leaves it to the tracker.
    pub numwant: Option<i64>,
    /// A secret that proves to the tracker that a peer whose address changed is the same.
    pub key: Option<u32>,
    /// Whether six bytes per peer are understood, and not only a dictionary per peer. BEP 23.
    pub compact: bool,
    /// Whether peer ids may be left out of a dictionary per peer.
    pub no_peer_id: bool,
}

impl AnnounceRequest {
    /// A regular announce of a peer that has moved no bytes and wants none, in the compact form. Port 0 stands for
    /// none.
    pub fn new(info_hash: [u8; 20], peer_id: [u8; 20], port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port: if port == 0 { NO_PORT } else { port },
            uploaded: 0,
            downloaded: 0,
            left: 0,
            event: None,
            numwant: None,
            key: None,
            compact: true,
            no_peer_id: true,
        }
    }
}

/// What has just happened to the peer that announces. BEP 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnnounceEvent {
    /// The download has become whole; not sent by a peer that had everything when it started.
    Completed,
    /// The first announce of a run.
    Started,
    /// The peer leaves.
    Stopped,
}

impl AnnounceEvent {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for AnnounceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tracker's answer to an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceResponse {
    /// How long to wait before the next regular announce.
    pub interval: Duration,
    /// No announce, except for an event, may follow sooner than this.
    pub min_interval: Option<Duration>,
    /// Peers that have everything.
    pub complete: Option<u32>,
    /// Peers that still want something.
    pub incomplete: Option<u32>,
    /// Downloads that became whole, ever; few trackers tell that here.
    pub downloaded: Option<u32>,
    /// Peers to dial, of either address family, without the asker.
    pub peers: Vec<SocketAddr>,
    /// The asker's address as the tracker sees it. BEP 24.
    pub external_ip: Option<IpAddr>,
    /// To be sent back with the next announce.
    pub tracker_id: Option<Vec<u8>>,
    /// Something the owner should read, though the announce worked.
    pub warning: Option<String>,
}

impl AnnounceResponse {
    /// An answer that names no peers and leaves everything optional out.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            min_interval: None,
            complete: None,
            incomplete: None,
            downloaded: None,
            peers: Vec::new(),
            external_ip: None,
            tracker_id: None,
            warning: None,
        }
    }

    /// Whether a scrape could tell more.
    pub fn lacks_figures(&self) -> bool {
        self.complete.is_none() || self.incomplete.is_none() || self.downloaded.is_none()
    }

    /// Fills in what a scrape tells.
    pub fn fill_in(&mut self, counts: SwarmCounts) {
        self.complete.get_or_insert(counts.complete);
        self.incomplete.get_or_insert(counts.incomplete);
        self.downloaded.get_or_insert(counts.downloaded);
    }

    /// One answer from those that a tracker gave over each address family.
    ///
    /// Peers are united in the order given; the shorter `interval`, the longer `min_interval` and the higher counts
    /// win; of the rest the first that is there. A family that failed counts only if all did.
    ///
    /// # Errors
    ///
    /// The first failure if there is no answer; without results at all, one that says so.
    pub fn merge(results: impl IntoIterator<Item = Result<Self, AnnounceFailure>>) -> Result<Self, AnnounceFailure> {
        let mut merged: Option<Self> = None;
        let mut failure = None;
        for result in results {
            match (result, &mut merged) {
                (Ok(answer), Some(merged)) => merged.absorb(answer),
                (Ok(answer), None) => merged = Some(answer),
                (Err(err), _) => failure = failure.or(Some(err)),
            }
        }
        merged.ok_or_else(|| failure.unwrap_or_else(|| AnnounceFailure::new("the tracker has no address")))
    }

    fn absorb(&mut self, other: Self) {
        self.interval = self.interval.min(other.interval);
        self.min_interval = self.min_interval.max(other.min_interval);
        self.complete = self.complete.max(other.complete);
        self.incomplete = self.incomplete.max(other.incomplete);
        self.downloaded = self.downloaded.max(other.downloaded);
        for peer in other.peers {
            if !self.peers.contains(&peer) {
                self.peers.push(peer);
            }
        }
        self.external_ip = self.external_ip.or(other.external_ip);
        self.tracker_id = self.tracker_id.take().or(other.tracker_id);
        self.warning = self.warning.take().or(other.warning);
    }
}

/// Why an announce brought nothing: the tracker's own words, or what became of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AnnounceFailure {
    /// One short sentence, printable.
    pub reason: String,
    /// When the tracker wishes to be asked again; [`Duration::MAX`] for never. BEP 31.
    pub retry_in: Option<Duration>,
}

impl AnnounceFailure {
    /// A failure that leaves the time of the next attempt to the client.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_in: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(seconds: u64, peers: &[&str]) -> AnnounceResponse {
        let mut answer = AnnounceResponse::new(Duration::from_secs(seconds));
        answer.peers = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        answer
    }

    #[test]
    fn answers_of_both_families_unite() {
        let v4 = answer(1800, &["192.0.2.1:1", "192.0.2.2:2"]);
        let v6 = AnnounceResponse { complete: Some(3), ..answer(60, &["[2001:db8::1]:1", "192.0.2.1:1"]) };
        let merged = AnnounceResponse::merge([Ok(v4), Ok(v6)]).unwrap();
        assert_eq!(
            merged,
            AnnounceResponse { complete: Some(3), ..answer(60, &["192.0.2.1:1", "192.0.2.2:2", "[2001:db8::1]:1"]) }
        );
    }

    #[test]
    fn one_family_that_works_is_enough() {
        let failed = || Err(AnnounceFailure::new("connection refused"));
        assert_eq!(AnnounceResponse::merge([failed(), Ok(answer(9, &[]))]), Ok(answer(9, &[])));
        assert_eq!(AnnounceResponse::merge([failed(), failed()]), failed());
        assert!(AnnounceResponse::merge([]).is_err());
    }
}
