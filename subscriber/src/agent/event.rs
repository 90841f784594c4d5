//! What the agent tells the world: one value per thing that happened.
//!
//! With `--json` each is printed as one object; a client that follows a running agent reads the same objects. For
//! people [`Event::line`] puts them into words.
//!
//! Law: what an event says is durable is durable: it is told after the records are.

use std::net::SocketAddr;
use std::path::PathBuf;

use podswarm_core::metainfo::InfoHash;
use podswarm_core::rate::ByteCount;
use podswarm_feeds::read::MAX_ITEMS;
use serde::{Deserialize, Serialize};

use crate::records::{Episode, EpisodeId, Expiry, FeedId, Why};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Every byte of an episode is in the library, under its name.
    Complete {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Where it is.
        path: PathBuf,
        /// How many bytes it has.
        length: u64,
    },
    /// A download has started, or goes on.
    Downloading {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Where it will be.
        path: PathBuf,
        /// How many bytes it has, if known.
        length: Option<u64>,
    },
    /// A file was kept long enough, and is deleted.
    Expired {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// By which rule.
        reason: Expiry,
    },
    /// A file was kept long enough, but its owner has changed it, so that it stays.
    Spared {
        /// Which one.
        #[serde(flatten)]
        episode: About,
    },
    /// A file is no longer where it was kept; it is neither seeded nor fetched again.
    Gone {
        /// Which one.
        #[serde(flatten)]
        episode: About,
    },
    /// What is to be done when an episode is there was done.
    HookDone {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// The program, or the server.
        hook: String,
    },
    /// What is to be done when an episode is there could not be done, and is given up.
    HookFailed {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// The program, or the server.
        hook: String,
        /// Why.
        reason: String,
    },
    /// A hub tells of a feed's news from now on.
    HubOpen {
        /// The feed's number.
        feed_id: FeedId,
        /// The feed's URL.
        feed: String,
        /// The hub's host.
        hub: String,
    },
    /// A port listens.
    Listening {
        /// `peer`, `web`, `phone` or `metrics`.
        kind: String,
        /// Where.
        addr: SocketAddr,
    },
    /// A feed has moved for good.
    Moved {
        /// Its number.
        feed_id: FeedId,
        /// Where it was.
        from: String,
        /// Where it is polled from now on.
        feed: String,
    },
    /// A new episode is wanted.
    New {
        /// Which one.
        #[serde(flatten)]
        episode: About,
    },
    /// A feed could not be polled.
    PollFailed {
        /// Its number.
        feed_id: FeedId,
        /// Its URL.
        feed: String,
        /// Why.
        reason: String,
    },
    /// A feed was polled.
    Polled {
        /// Its number.
        feed_id: FeedId,
        /// Its URL.
        feed: String,
        /// The show's name.
        title: String,
        /// 200 for the whole feed, 304 for no change.
        status: u16,
        /// Episodes never seen before.
        new: usize,
        /// Episodes that are wanted since.
        wanted: usize,
        /// Whether it has more items than are read of one feed.
        #[serde(default)]
        has_more: bool,
    },
    /// An episode was replaced by its publisher; the new version is wanted.
    Revised {
        /// Which one.
        #[serde(flatten)]
        episode: About,
    },
    /// Nothing is seeded for a while, or what is complete is seeded again.
    Seeding {
        /// Why nothing is seeded; `None` if it is.
        rests: Option<String>,
    },
    /// What is complete is seeded no longer: it is enough.
    Seeded {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Bytes that were sent of it.
        sent: u64,
        /// Why it is enough.
        reason: String,
    },
    /// What is complete cannot be seeded.
    SeedFailed {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Why.
        reason: String,
    },
    /// What is known of an episode was written into its file.
    Tagged {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Its file.
        path: PathBuf,
    },
    /// What is known of an episode could not be written into its file, which is as it was.
    TagFailed {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Why.
        reason: String,
    },
    /// A new episode is not wanted.
    Skipped {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Why.
        reason: Why,
    },
    /// The stream that tells of a feed's news stands.
    StreamOpen {
        /// The feed's number.
        feed_id: FeedId,
        /// The feed's URL.
        feed: String,
    },
    /// An episode cannot be had now; it is tried again.
    Waiting {
        /// Which one.
        #[serde(flatten)]
        episode: About,
        /// Why.
        reason: String,
    },
    /// An episode was taken back by its publisher: it is neither fetched nor seeded any more.
    Withdrawn {
        /// Which one.
        #[serde(flatten)]
        episode: About,
    },
}

/// Which episode an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its number.
    pub id: EpisodeId,
    /// What its feed knows it by.
    pub guid: String,
    /// Its title.
    pub title: String,
    /// Its torrent, if it is known to be one.
    pub info_hash: Option<InfoHash>,
}

impl About {
    /// The episode with the torrent that is known of it.
    pub fn new(episode: &Episode) -> Self {
        let info_hash = episode.info_hash();
        Self { id: episode.id, guid: episode.guid.clone(), title: episode.title.clone(), info_hash }
    }
}

impl Event {
    /// The event in words.
    pub fn line(&self) -> String {
        match self {
            Self::Complete { episode, path, length } => {
                format!("complete: {}, {}, `{}`", episode.title, ByteCount(*length), path.display())
            }
            Self::Downloading { episode, length: Some(length), .. } => {
                format!("downloading: {}, {}", episode.title, ByteCount(*length))
            }
            Self::Downloading { episode, length: None, .. } => format!("downloading: {}", episode.title),
            Self::Expired { episode, reason } => format!("deleted: {}; {reason}", episode.title),
            Self::Spared { episode } => {
                format!("kept: {}; its file was changed and is its owner's now, no rule deletes it", episode.title)
            }
            Self::Gone { episode } => {
                format!(
                    "gone: {}; its file was taken away, `podsub download {}` fetches it again",
                    episode.title, episode.id
                )
            }
            Self::HookDone { episode, hook } => format!("done: {hook} for {}", episode.title),
            Self::HookFailed { episode, hook, reason } => {
                format!("cannot do {hook} for {}: {reason}", episode.title)
            }
            Self::HubOpen { feed, hub, .. } => format!("told of news by the hub at {hub}: {feed}"),
            Self::Listening { kind, addr } => format!("listening: {kind} on {addr}"),
            Self::Moved { from, feed, .. } => format!("moved: {from} is now {feed}"),
            Self::New { episode } => format!("new: {}", episode.title),
            Self::PollFailed { feed, reason, .. } => format!("cannot poll {feed}: {reason}"),
            Self::Polled { title, status: 304, .. } => format!("polled: {title}, no change"),
            Self::Polled { title, new, wanted, has_more, .. } => {
                let more =
                    if *has_more { format!("; only the first {MAX_ITEMS} items are read") } else { String::new() };
                format!("polled: {title}, {new} new, {wanted} to fetch{more}")
            }
            Self::Revised { episode } => {
                format!("revised: {}; the new version is fetched, the old file is kept", episode.title)
            }
            Self::Seeded { episode, sent, reason } => {
                format!("seeded: {}, {} sent: {reason}", episode.title, ByteCount(*sent))
            }
            Self::Seeding { rests: Some(reason) } => format!("nothing is seeded now: {reason}"),
            Self::Seeding { rests: None } => "what is complete is seeded again".to_owned(),
            Self::SeedFailed { episode, reason } => format!("cannot seed {}: {reason}", episode.title),
            Self::Skipped { episode, reason } => format!("skipped: {}: {reason}", episode.title),
            Self::Tagged { episode, .. } => format!("tagged: {}", episode.title),
            Self::TagFailed { episode, reason } => format!("cannot write tags into {}: {reason}", episode.title),
            Self::StreamOpen { feed, .. } => format!("told of news at once: {feed}"),
            Self::Waiting { episode, reason } => format!("waiting: {}: {reason}", episode.title),
            Self::Withdrawn { episode } => {
                format!("withdrawn: {}; its publisher has taken it back, and it is passed on no more", episode.title)
            }
        }
    }

    /// The episode that the event is about.
    pub fn episode(&self) -> Option<EpisodeId> {
        match self {
            Self::Complete { episode, .. }
            | Self::Downloading { episode, .. }
            | Self::Expired { episode, .. }
            | Self::Spared { episode }
            | Self::Gone { episode }
            | Self::HookDone { episode, .. }
            | Self::HookFailed { episode, .. }
            | Self::New { episode }
            | Self::Revised { episode }
            | Self::SeedFailed { episode, .. }
            | Self::Seeded { episode, .. }
            | Self::Skipped { episode, .. }
            | Self::Tagged { episode, .. }
            | Self::TagFailed { episode, .. }
            | Self::Waiting { episode, .. }
            | Self::Withdrawn { episode } => Some(episode.id),
            Self::HubOpen { .. }
            | Self::Listening { .. }
            | Self::Moved { .. }
            | Self::PollFailed { .. }
            | Self::Polled { .. }
            | Self::Seeding { .. }
            | Self::StreamOpen { .. } => None,
        }
    }
}
