//! How a host stands, in figures.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use chrono::Utc;
use podswarm_core::app::free_space;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::{TorrentState, TorrentStatus};

use super::Host;
use crate::copies;
use crate::hooks::HookStatus;
use crate::http::Mirror;
use crate::library::LibraryError;
use crate::metrics::Figures;
use crate::record::EpisodeRecord;
use crate::tls::Standing;
use crate::wire::{CertificateStatus, EpisodeInfo, EpisodeStatus, Status, SwarmStatus, WatchedStatus};

impl Host {
    /// All figures.
    pub(crate) fn status(&self, version: String) -> Result<Status, LibraryError> {
        let mut episodes = Vec::new();
        for show in self.library.shows()? {
            let records = self.library.episodes(&show.slug)?;
            episodes.extend(records.iter().map(|episode| self.episode_status(episode)));
        }
        Ok(Status {
            serving: true,
            version: Some(version),
            public_url: Some(self.urls.base().clone()),
            listening: self.listening(),
            certificate: self.certificate_status(),
            up_rate: self.engine.status().up_rate.0,
            uploaded: episodes.iter().filter_map(|episode| Some(episode.swarm?.uploaded)).sum(),
            sent_over_http: self.sent(),
            over_http: Some(self.uplink.status()),
            mirror: self.mirror.as_ref().map(Mirror::status),
            dht_nodes: self.engine.status().dht_nodes,
            reached: Some(self.engine.status().reached),
            reach: Some(self.reach()),
            hooks: self.hooks.status(),
            proxy: self.engine.status().proxy,
            interface: self.engine.status().interface,
            blocklist: self.engine.status().blocklist,
            watched: self.watched().clone(),
            episodes,
        })
    }

    /// Takes note of how the watched folder stands.
    pub(crate) fn tell_watched(&self, status: WatchedStatus) {
        *self.watched() = Some(status);
    }

    fn watched(&self) -> MutexGuard<'_, Option<WatchedStatus>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn certificate_status(&self) -> Option<CertificateStatus> {
        let (tls, _) = self.https.as_ref()?;
        let certificate = tls.certificate();
        let standing = certificate.as_ref().map(|certificate| certificate.standing(Utc::now()));
        let bad = standing.filter(|standing| *standing != Standing::Good).map(|standing| standing.to_string());
        Some(CertificateStatus {
            names: certificate.as_ref().map_or_else(Vec::new, |certificate| certificate.names().to_vec()),
            ends: certificate.map(|certificate| certificate.ends()),
            trouble: tls.trouble().into_iter().chain(bad).reduce(|one, other| format!("{one}; {other}")),
        })
    }

    /// What is told to who watches over us.
    pub(crate) fn figures(&self) -> Result<Figures, LibraryError> {
        let status = self.status(String::new())?;
        let out: Vec<_> = status.episodes.iter().filter(|episode| episode.episode.released).collect();
        let hooks = |of: fn(&HookStatus) -> u64| status.hooks.iter().map(of).sum();
        let engine = self.engine.status();
        // An episode that is taken back takes its bytes with it, and a counter never falls.
        let sent = self.most_sent_to_peers.fetch_max(status.uploaded, Ordering::Relaxed).max(status.uploaded);
        Ok(Figures {
            sent_over_http: status.sent_over_http,
            sent_to_peers: sent,
            up_rate: status.up_rate,
            peers: engine.peers.into(),
            dht_nodes: status.dht_nodes.unwrap_or_default() as u64,
            shows: self.site.borrow().all().count() as u64,
            episodes: out.len() as u64,
            faulty: out.iter().filter(|episode| episode.error.is_some()).count() as u64,
            tracker_peers: self.tracker.peers() as u64,
            downloads: self.numbers.counted(),
            hooks: [hooks(|hook| hook.done), hooks(|hook| hook.failed)],
            disk_free: free_space(self.library.root()).ok().map(|space| space.available),
            is_healthy: self.library.store().health().trouble.is_none(),
        })
    }

    fn episode_status(&self, episode: &EpisodeRecord) -> EpisodeStatus {
        let status = self.torrent(episode.info_hash).map(|torrent| torrent.status());
        let info = EpisodeInfo::new(episode, &self.urls);
        let swarm = status.as_ref().map(|status| self.swarm_status(episode.info_hash, status));
        let fault = self.faults().get(&episode.info_hash).cloned();
        EpisodeStatus { episode: info, error: fault.or_else(|| problem(episode, status.as_ref())), swarm }
    }

    fn swarm_status(&self, info_hash: InfoHash, status: &TorrentStatus) -> SwarmStatus {
        let counts = self.tracker.swarm(info_hash);
        SwarmStatus {
            peers: status.peers,
            complete: counts.complete,
            incomplete: counts.incomplete,
            downloaded: counts.downloaded,
            uploaded: status.uploaded,
            up_rate: status.up_rate.0,
            copies_milli: copies::held_elsewhere(status.copies_milli, counts.complete),
        }
    }

    /// The full copies of an episode that others hold, in thousandths.
    pub(super) fn copies(&self, info_hash: InfoHash) -> u64 {
        self.torrent(info_hash).map_or(0, |torrent| self.swarm_status(info_hash, &torrent.status()).copies_milli)
    }
}

/// What keeps an episode from being seeded, if anything does.
fn problem(episode: &EpisodeRecord, status: Option<&TorrentStatus>) -> Option<String> {
    match status {
        None if !episode.released => None,
        None => Some("its torrent cannot be read, see the log".to_owned()),
        Some(status) if status.error.is_some() => status.error.clone(),
        Some(status) => match status.state {
            TorrentState::Seeding | TorrentState::Checking => None,
            _ => Some("its content is not what was published".to_owned()),
        },
    }
}
