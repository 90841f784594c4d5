//! What hooks are told of.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::app::free_space;
use podswarm_core::store::{Batch, Record as _, StoreError};

use super::{Host, blocking};
use crate::hooks::{Disk, Happening, Occasion, UntoldRecord};
use crate::library::LibraryError;
use crate::record::{CopiedRecord, EpisodeRecord};
use crate::wire::{EpisodeInfo, ShowInfo};

/// How often to look for first copies, and at the disk.
const LOOK: Duration = Duration::from_secs(5);
/// Episodes that are older have their copies; a hook that is new is not told of all of them.
const YOUNG: TimeDelta = TimeDelta::days(14);

impl Host {
    /// Has the hooks done for something that happened to an episode.
    pub(super) async fn tell_hooks(&self, event: Occasion, episode: &EpisodeRecord, at: DateTime<Utc>) {
        if !self.hooks.wanted().has(event) {
            return;
        }
        let show = self.site.borrow().show(episode.show.as_str()).map(|show| {
            let episodes = show.episodes.len();
            ShowInfo::new(&show.record, episodes, &self.urls)
        });
        let episode = Some(EpisodeInfo::new(episode, &self.urls));
        self.hooks.tell(Happening { event, at, show, episode, disk: None }).await;
    }

    /// Has hooks done for what happened before the publisher was killed, and was not told any more.
    pub(super) async fn tell_untold(&self) -> Result<(), LibraryError> {
        let store = self.library.store().clone();
        let mut untold = blocking(move || store.scan::<UntoldRecord>("")).await?;
        untold.sort_by_key(|untold| untold.at);
        for untold in untold {
            let (store, key) = (self.library.store().clone(), untold.key());
            let UntoldRecord { show, file, event, at } = untold;
            let is_wanted = self.hooks.wanted().has(event);
            let episode = blocking(move || {
                let episode = store.get::<EpisodeRecord>(EpisodeRecord::key_of(&show, &file))?;
                if !is_wanted || episode.is_none() {
                    store.delete::<UntoldRecord>(key)?;
                }
                Ok::<_, StoreError>(episode)
            });
            if let Some(episode) = episode.await? {
                self.tell_hooks(event, &episode, at).await;
            }
        }
        Ok(())
    }

    /// Looks for what nobody does himself, if a hook wants to know: first copies, and a disk that fills up.
    pub(super) async fn watch_task(self: Arc<Self>) {
        let [copies, disk] = [Occasion::FirstCopy, Occasion::DiskLow].map(|it| self.hooks.wanted().has(it));
        if !copies && !disk {
            return;
        }
        let (mut known, mut is_low) = (BTreeSet::new(), false);
        loop {
            if copies && let Err(error) = self.look_for_copies(&mut known).await {
                tracing::warn!(%error, "cannot remember that a copy is out");
            }
            if disk {
                is_low = self.look_at_disk(is_low).await;
            }
            if !self.pause(LOOK).await {
                return;
            }
        }
    }

    /// Tells of each young episode once that somebody else has all of it; `known` are the files of which that is told.
    async fn look_for_copies(&self, known: &mut BTreeSet<Vec<u8>>) -> Result<(), LibraryError> {
        let now = Utc::now();
        for episode in self.episodes() {
            let record = &episode.record;
            let key = EpisodeRecord::key_of(&record.show, &record.file);
            let is_young = now - record.added.max(record.published) < YOUNG;
            if !is_young || known.contains(&key) || self.copies(record.info_hash) < 1000 {
                continue;
            }
            let store = self.library.store().clone();
            let new = CopiedRecord { show: record.show.clone(), file: record.file.clone(), at: now };
            let untold = self.hooks.wanted().untold(Occasion::FirstCopy, record, now);
            let key_of_record = key.clone();
            let put = move |batch: &mut Batch| {
                batch.put(&new);
                if let Some(untold) = &untold {
                    batch.put(untold);
                }
            };
            let is_first = blocking(move || match store.get::<CopiedRecord>(&key_of_record)? {
                Some(_) => Ok(false),
                None => store.batch(put).map(|()| true),
            });
            if is_first.await? {
                self.tell_hooks(Occasion::FirstCopy, record, now).await;
            }
            known.insert(key);
        }
        Ok(())
    }

    /// Tells that the disk has less free than is to stay free, once until it has more. Returns whether it has less.
    async fn look_at_disk(&self, was_low: bool) -> bool {
        let path = self.library.root().to_owned();
        let shown = path.display().to_string();
        let Ok(space) = blocking(move || free_space(&path)).await else { return was_low };
        let is_low = space.available < space.reserve();
        if is_low && !was_low {
            let disk = Some(Disk { path: shown, available: space.available, reserve: space.reserve() });
            let event = Occasion::DiskLow;
            self.hooks.tell(Happening { event, at: Utc::now(), show: None, episode: None, disk }).await;
        }
        is_low
    }
}
