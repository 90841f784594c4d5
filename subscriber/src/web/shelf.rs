//! What can be served, and where its bytes are.

use std::ops::Range;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::Torrent;
use podswarm_core::net::http::Growing;

use crate::hub::HubHandle;
use crate::records::{EpisodeId, FeedId};

/// Where what is asked for is looked up.
pub(crate) enum Shelf {
    /// At the agent.
    Agent(HubHandle),
    /// One file of a torrent that a command fetches.
    One(Box<Piece>),
}

/// One file of a torrent that a command fetches.
pub(crate) struct Piece {
    pub(crate) torrent: Torrent,
    /// The file's bytes among those of the torrent.
    pub(crate) range: Range<u64>,
}

/// Where the bytes of something are.
#[derive(Debug)]
pub(crate) enum Found {
    /// All of them are in this file, which is still this torrent.
    Whole { path: PathBuf, info_hash: Option<InfoHash> },
    /// They are being fetched; these are the torrent's bytes that they are.
    Coming { torrent: Torrent, range: Range<u64> },
    /// They are being fetched as a plain file. Where a part of it comes sooner from elsewhere, this is there.
    Growing { growing: Growing, elsewhere: Option<String> },
    /// They are about to be fetched.
    Soon,
    /// They will not be there, for this reason.
    Nowhere(String),
}

/// An episode whose file is there.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: EpisodeId,
    /// Names it for ever, whatever becomes of its own feed.
    pub(crate) guid: String,
    pub(crate) show: String,
    pub(crate) title: String,
    pub(crate) notes: String,
    pub(crate) published: DateTime<Utc>,
    /// Its playing time.
    pub(crate) seconds: Option<u64>,
    pub(crate) season: Option<u32>,
    pub(crate) number: Option<u32>,
    /// Bytes of its file.
    pub(crate) length: u64,
    /// The file's name.
    pub(crate) name: String,
    /// Where its chapters are, as its feed says.
    pub(crate) chapters: Option<String>,
    /// They are kept here, too.
    pub(crate) has_chapters: bool,
    /// The name of its show's cover, if that is kept.
    pub(crate) cover: Option<String>,
}

impl Shelf {
    /// All that is kept, the newest release first.
    pub(super) async fn kept(&self) -> Option<Vec<Kept>> {
        match self {
            Self::Agent(hub) => hub.kept().await,
            Self::One(_) => None,
        }
    }

    pub(super) async fn episode(&self, id: EpisodeId) -> Option<Found> {
        match self {
            Self::Agent(hub) => hub.locate(id).await,
            Self::One(_) => None,
        }
    }

    /// The chapters of an episode as JSON.
    pub(super) async fn chapters(&self, id: EpisodeId) -> Option<String> {
        match self {
            Self::Agent(hub) => hub.chapters(id).await,
            Self::One(_) => None,
        }
    }

    /// Where a show's cover is.
    pub(super) async fn cover(&self, feed: FeedId) -> Option<Found> {
        match self {
            Self::Agent(hub) => hub.cover(feed).await.map(|path| Found::Whole { path, info_hash: None }),
            Self::One(_) => None,
        }
    }

    pub(super) fn torrent(&self, hash: InfoHash) -> Option<Found> {
        match self {
            Self::One(one) if one.torrent.info_hash().matches(&hash) => {
                Some(Found::Coming { torrent: one.torrent.clone(), range: one.range.clone() })
            }
            Self::One(_) | Self::Agent(_) => None,
        }
    }
}
