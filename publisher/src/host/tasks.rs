//! What a host does by itself as time passes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Host, blocking};
use crate::hooks::Occasion;
use crate::library::{LibraryError, touched};
use crate::record::EpisodeRecord;

/// Episodes that are no news are shown this much later, all that came meanwhile at once.
const REFRESH: Duration = Duration::from_secs(5);

impl Host {
    /// Forgets peers that have gone, and looks whether what is served still is what was published.
    ///
    /// Somebody may write to an original, or lose a file. Its swarm must neither get wrong pieces from us nor be sent
    /// to a seed that has none.
    pub(super) async fn look_after_task(self: Arc<Self>) {
        // How each original that was touched was found last, so that none is hashed over and over.
        let mut found = BTreeMap::new();
        loop {
            self.tracker.expire();
            for episode in self.episodes() {
                let record = episode.record.clone();
                let Some(stamp) = blocking(move || touched(&record)).await else { continue };
                if found.insert(episode.record.info_hash, stamp) != Some(stamp) {
                    self.check_again(&episode.record).await;
                }
            }
            for torrent in self.engine.torrents() {
                match torrent.status().error {
                    None => self.tracker.allow(torrent.info_hash()),
                    Some(_) => self.tracker.lose_seed(torrent.info_hash()),
                }
            }
            if !self.pause(Duration::from_secs(30)).await {
                return;
            }
        }
    }

    /// Keeps the addresses of the public URL's host, which may be a name whose address changes.
    pub(super) async fn resolve_task(self: Arc<Self>) {
        loop {
            let addresses: Vec<IpAddr> = match self.urls.host() {
                url::Host::Ipv4(ip) => vec![ip.into()],
                url::Host::Ipv6(ip) => vec![ip.into()],
                url::Host::Domain(name) => match tokio::net::lookup_host((name, 0)).await {
                    Ok(found) => found.map(|addr| addr.ip()).collect(),
                    Err(error) => {
                        tracing::warn!(name, %error, "the public URL's host cannot be found");
                        Vec::new()
                    }
                },
            };
            if !addresses.is_empty() {
                self.tracker.reach_seed(|seed| seed.public_host = addresses);
            }
            if !self.pause(Duration::from_mins(5)).await {
                return;
            }
        }
    }

    /// Releases episodes when their time has come.
    pub(super) async fn release_task(self: Arc<Self>) {
        loop {
            let wait = match self.release_due().await {
                Ok(next) => next.and_then(|at| (at - Utc::now()).to_std().ok()),
                Err(error) => {
                    tracing::error!(%error, "cannot release what is due; it is tried again");
                    None
                }
            };
            // The clock may be set meanwhile, so it is looked at every minute.
            let wait = wait.unwrap_or(Duration::MAX).min(Duration::from_mins(1));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.put_off.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Shows what has come without being told, a little after it came.
    pub(super) async fn refresh_task(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.is_stale.notified() => {}
            }
            if !self.pause(REFRESH).await {
                return;
            }
            let stale = std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner));
            for show in stale {
                if let Err(error) = self.refresh(show.as_str()).await {
                    tracing::error!(%error, %show, "cannot show what came to it");
                }
            }
        }
    }

    /// Releases what is due, and says when the next is.
    pub(super) async fn release_due(&self) -> Result<Option<DateTime<Utc>>, LibraryError> {
        let _turn = self.turn.lock().await;
        let mut next = None;
        for show in self.library.shows()? {
            for episode in self.library.episodes(&show.slug)?.into_iter().filter(EpisodeRecord::is_scheduled).rev() {
                let now = Utc::now();
                if episode.published > now {
                    next = Some(next.map_or(episode.published, |next: DateTime<Utc>| next.min(episode.published)));
                    continue;
                }
                self.seed_episode(&episode).await;
                let (library, show_record, wanted) = (self.library.clone(), show.clone(), self.hooks.wanted().clone());
                let (episode, event) = blocking(move || library.release(&show_record, &episode, now, &wanted)).await?;
                self.show(&show.slug).await?;
                self.bus.tell(event);
                tracing::info!(episode = episode.file, "released");
                self.tell_hooks(Occasion::Published, &episode, now).await;
            }
        }
        Ok(next)
    }

    /// Waits; false if the host stops meanwhile.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
