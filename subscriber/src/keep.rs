//! Keeps the agent's records in the store.
//!
//! Law: a feed is written after the episodes that were read with it. So a crash between the two leaves a feed that is
//! read again, never one whose validators hide episodes that were lost.

use std::net::SocketAddr;
use std::path::PathBuf;

use podswarm_core::app::DataDir;
use podswarm_core::app::upgrade::StateShape;
use podswarm_core::store::{Record, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::agent::catalogue::{Catalogue, Change, feed_mark};
use crate::records::{Device, Episode, EpisodeId, Feed, FeedId, Left, Loose, Notes};

/// Changes that are written with one sync; a large feed, read for the first time, takes several.
const BATCH: usize = 200;

/// What is remembered once, beside the feeds and episodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The highest number of any feed that was ever read.
    pub last_feed: u32,
    /// Where the library is; `None` until an agent has run.
    pub library: Option<PathBuf>,
    /// Where a phone may ask; `None` if none may.
    #[serde(default)]
    pub phone: Option<SocketAddr>,
    /// Whether swarms are taken part in, as the owner has answered; `None` if he was not asked.
    #[serde(default)]
    pub takes_part: Option<bool>,
}

impl Record for Memory {
    const KIND: &'static str = "memory";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Record for Feed {
    const KIND: &'static str = "feed";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        feed_key(self.id)
    }
}

impl Record for Episode {
    const KIND: &'static str = "episode";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        episode_key(self.id)
    }
}

impl Record for Notes {
    const KIND: &'static str = "notes";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        episode_key(self.id)
    }
}

impl Record for Left {
    const KIND: &'static str = "left";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        mark_key(feed_mark(&self.url))
    }
}

impl Record for Loose {
    const KIND: &'static str = "loose";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        mark_key(self.mark())
    }
}

impl Record for Device {
    const KIND: &'static str = "device";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.id.clone().into_bytes()
    }
}

/// What this version knows of the state in `dir`.
pub fn shape(dir: &DataDir) -> StateShape {
    let shape = StateShape::new(dir, &[]).with::<Episode>().with::<Feed>().with::<Memory>().with::<Notes>();
    shape.with::<Device>().with::<Left>().with::<Loose>()
}

fn mark_key(mark: u64) -> Vec<u8> {
    mark.to_be_bytes().to_vec()
}

fn feed_key(id: FeedId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

fn episode_key(id: EpisodeId) -> Vec<u8> {
    [id.feed.0.to_be_bytes(), id.number.to_be_bytes()].concat()
}

/// All that is remembered. Blocks the thread.
pub fn load(store: &Store) -> Result<(Catalogue, Memory), StoreError> {
    let memory = store.get::<Memory>([])?.unwrap_or_default();
    let episodes = store.take_in()?;
    let catalogue = Catalogue::new(store.scan("")?, episodes, memory.last_feed);
    Ok((catalogue.with_past(store.scan("")?, store.scan("")?), memory))
}

/// The devices that were kept in step, in order of their names. Blocks the thread.
pub fn devices(store: &Store) -> Result<Vec<Device>, StoreError> {
    store.scan("")
}

/// Remembers a device; beyond `most` of them the one is forgotten that has been away the longest. Blocks the thread.
pub fn put_device(store: &Store, device: &Device, most: usize) -> Result<(), StoreError> {
    let mut others = devices(store)?;
    if others.contains(device) {
        return Ok(());
    }
    others.retain(|other| other.id != device.id);
    others.sort_by_key(|other| std::cmp::Reverse(other.seen));
    store.batch(|batch| {
        for gone in others.iter().skip(most.saturating_sub(1)) {
            batch.delete::<Device>(gone.id.as_str());
        }
        batch.put(device);
    })
}

/// What a feed says about an episode. Blocks the thread.
pub fn notes(store: &Store, id: EpisodeId) -> Result<Option<Notes>, StoreError> {
    store.get(episode_key(id))
}

/// Remembers where the library is. Blocks the thread.
pub fn remember_library(store: &Store, library: PathBuf) -> Result<(), StoreError> {
    remember(store, |memory| memory.library = Some(library))
}

/// Where a phone may ask. Blocks the thread.
pub fn phone(store: &Store) -> Result<Option<SocketAddr>, StoreError> {
    Ok(store.get::<Memory>([])?.and_then(|memory| memory.phone))
}

/// Remembers where a phone may ask. Blocks the thread.
pub fn remember_phone(store: &Store, phone: Option<SocketAddr>) -> Result<(), StoreError> {
    remember(store, |memory| memory.phone = phone)
}

/// Remembers whether swarms are taken part in, as the owner has answered. Blocks the thread.
pub fn remember_answer(store: &Store, takes_part: bool) -> Result<(), StoreError> {
    remember(store, |memory| memory.takes_part = Some(takes_part))
}

fn remember(store: &Store, change: impl FnOnce(&mut Memory)) -> Result<(), StoreError> {
    let memory = store.get::<Memory>([])?.unwrap_or_default();
    let mut changed = memory.clone();
    change(&mut changed);
    if changed == memory { Ok(()) } else { store.put(&changed) }
}

/// Makes `changes` durable, in their order. Blocks the thread.
pub fn save(store: &Store, changes: &[Change]) -> Result<(), StoreError> {
    let mut memory = store.get::<Memory>([])?.unwrap_or_default();
    for some in changes.chunks(BATCH) {
        let mut dropped = Vec::new();
        for change in some {
            if let Change::DropFeed(id) = change {
                dropped.extend(store.scan::<Episode>(feed_key(*id))?.into_iter().map(|episode| episode.id));
            }
        }
        // A feed that was never read was shown to nobody: its number may go to another.
        let newest = some.iter().filter_map(|change| match change {
            Change::Feed(feed) if !feed.is_new() => Some(feed.id.0),
            _ => None,
        });
        let last_feed = newest.max().unwrap_or_default().max(memory.last_feed);
        store.batch(|batch| {
            if last_feed > memory.last_feed {
                memory.last_feed = last_feed;
                batch.put(&memory);
            }
            for id in &dropped {
                batch.delete::<Episode>(episode_key(*id));
                batch.delete::<Notes>(episode_key(*id));
            }
            for change in some {
                match change {
                    Change::DropFeed(id) => batch.delete::<Feed>(feed_key(*id)),
                    Change::DropEpisode(id) => {
                        batch.delete::<Episode>(episode_key(*id));
                        batch.delete::<Notes>(episode_key(*id));
                    }
                    Change::Episode(episode) => batch.put(&**episode),
                    Change::Feed(feed) => batch.put(&**feed),
                    Change::DropLeft(mark) => batch.delete::<Left>(mark_key(*mark)),
                    Change::DropLoose(mark) => batch.delete::<Loose>(mark_key(*mark)),
                    Change::Left(left) => batch.put(left),
                    Change::Loose(loose) => batch.put(&**loose),
                    Change::Notes(notes) => batch.put(notes),
                }
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use podswarm_feeds::chapters::Chapter;

    use super::*;
    use crate::agent::testing::{hash, http, torrent, wall};
    use crate::records::Stage;

    fn feed(id: u32) -> Feed {
        let mut feed = Feed::new(FeedId(id), "http://host.example/feed.xml".parse().unwrap(), wall(0));
        feed.folder = "Show".to_owned();
        feed
    }

    fn episode(feed: u32, number: u32) -> Episode {
        let stage = Stage::Complete { at: wall(0), length: 7, info_hash: Some(hash(1)) };
        torrent("a", 1, hash(1)).episode(EpisodeId { feed: FeedId(feed), number }, stage, wall(0))
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let store = Store::in_memory();
        let notes = Notes { id: episode(1, 1).id, text: "<p>hello".to_owned(), image: None, parts: Vec::new() };
        let changes =
            [Change::Episode(Box::new(episode(1, 1))), Change::Notes(notes.clone()), Change::Feed(Box::new(feed(1)))];
        save(&store, &changes).unwrap();
        let (catalogue, memory) = load(&store).unwrap();
        assert_eq!(catalogue.feeds().collect::<Vec<_>>(), [&feed(1)]);
        assert_eq!(catalogue.episodes().collect::<Vec<_>>(), [&episode(1, 1)]);
        assert_eq!(memory.last_feed, 1);
        assert_eq!(super::notes(&store, notes.id).unwrap(), Some(notes));
    }

    #[test]
    fn a_feed_is_dropped_with_all_that_is_its_own_and_its_number_is_not_given_again() {
        let store = Store::in_memory();
        let many = (1..=500).map(|number| Change::Episode(Box::new(episode(1, number))));
        let other = [Change::Feed(Box::new(feed(2))), Change::Episode(Box::new(episode(2, 1)))];
        let changes: Vec<_> = many.chain([Change::Feed(Box::new(feed(1)))]).chain(other).collect();
        save(&store, &changes).unwrap();
        save(&store, &[Change::DropFeed(FeedId(2))]).unwrap();
        let (catalogue, memory) = load(&store).unwrap();
        assert_eq!(catalogue.episodes().count(), 500);
        assert_eq!(memory.last_feed, 2);
        save(&store, &[Change::DropFeed(FeedId(1))]).unwrap();
        assert_eq!(store.scan::<Episode>("").unwrap(), []);
    }

    #[test]
    fn the_library_is_remembered_beside_the_count_and_an_answer_beside_both() {
        let store = Store::in_memory();
        save(&store, &[Change::Feed(Box::new(feed(3)))]).unwrap();
        remember_library(&store, "/podcasts".into()).unwrap();
        let (_, memory) = load(&store).unwrap();
        assert_eq!(memory, Memory { last_feed: 3, library: Some("/podcasts".into()), ..Memory::default() });
        let addr = "0.0.0.0:6971".parse().unwrap();
        remember_phone(&store, Some(addr)).unwrap();
        remember_answer(&store, false).unwrap();
        assert_eq!(phone(&store).unwrap(), Some(addr));
        assert_eq!(load(&store).unwrap().1.takes_part, Some(false));
    }

    #[test]
    fn the_largest_record_that_a_feed_can_cause_fits_the_store() {
        let mut item = http("a", 0);
        item.guid = "g".repeat(1024);
        item.title = "\u{1F3A7}".repeat(125);
        let url = |n: usize| crate::records::Source::Http(format!("http://host.example/{n}/{}", "u".repeat(4000)));
        item.offer.sources = (0..8).map(url).collect();
        item.notes = "\"\\\n".repeat(9000);
        item.image = Some(format!("http://host.example/{}", "i".repeat(4000)));
        let part = |start_ms| Chapter { start_ms, title: "\"\\".repeat(127), url: None };
        item.parts = (0..28).map(part).collect();
        let id = EpisodeId { feed: FeedId(1), number: 1 };
        let episode = item.episode(id, Stage::Wanted { by_owner: false }, wall(0));
        let changes = [Change::Episode(Box::new(episode)), Change::Notes(item.notes(id).unwrap())];
        save(&Store::in_memory(), &changes).unwrap();
    }
}
