//! What was read of a feed: the output of [`parse`](super::parse).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::{InfoHash, Magnet, MutableLink};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::chapters::Chapter;
use crate::model::EpisodeKind;
use crate::poll::SkipHours;
use crate::tags::Tags;
use crate::withdrawal::{ShowKey, Withdrawal};

/// A feed that was read.
///
/// Titles and names are on one line, without control and direction characters, and cut to what people read;
/// descriptions are HTML that has still to be cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Channel {
    /// Name for people; empty if the feed has none.
    pub title: String,
    /// The site that the feed belongs to.
    pub link: Option<Url>,
    /// Who makes it.
    pub author: Option<String>,
    /// What it is about, as HTML.
    pub description: String,
    /// Its cover.
    pub image: Option<Url>,
    /// Its permanent name, whatever its URL.
    pub podcast_guid: Option<Uuid>,
    /// The language it says that it is in, such as `en-us`.
    pub language: Option<String>,
    /// What directories file it under, as `Arts` or `Arts > Books`.
    pub categories: Vec<String>,
    /// Where directories write to its owner.
    pub email: Option<String>,
    /// Whether it is for adults only, if it says so or the contrary.
    pub explicit: Option<bool>,
    /// Whether its episodes are to be heard in their order.
    pub is_serial: bool,
    /// Whose it is, and what may be done with it.
    pub copyright: Option<String>,
    /// Whether it says that no episode comes any more.
    pub is_complete: bool,
    /// Whether directories are asked not to show it.
    pub is_blocked: bool,
    /// What it says beyond that in the podcast namespace, not checked.
    pub tags: Tags,
    /// Whether its owner forbids that others than they themselves take it elsewhere: `podcast:locked`.
    pub locked: Option<Locked>,
    /// What its withdrawals are known by.
    pub key: Option<ShowKey>,
    /// Episodes that somebody says it has taken back: [`Withdrawal::is_by`] tells who.
    pub withdrawn: Vec<Withdrawal>,
    /// How long a copy may be kept.
    pub ttl: Option<Duration>,
    /// The hours of the week in which it asks not to be asked for.
    pub skip_hours: SkipHours,
    /// Where server-sent events tell of releases: `atom:link rel="monitor"` of type `text/event-stream`.
    pub events_url: Option<Url>,
    /// Hubs that tell of its news (W3C `WebSub`), in its order; at most [`MOST_HUBS`](super::MOST_HUBS).
    pub hubs: Vec<Url>,
    /// Where the feed says that it is.
    pub self_url: Option<Url>,
    /// Where its older items are (RFC 5005).
    pub next_page: Option<Url>,
    /// Where it says that it has moved to. To be followed only if it is there: the same `podcast_guid`, or the same
    /// items.
    pub new_feed_url: Option<Url>,
    /// Its items in the feed's order, each guid once.
    pub items: Vec<Item>,
    /// Whether the document was read to its end: false if it was cut off or had more than the limits allow.
    pub is_whole: bool,
}

/// The word of a show's owner that it is not to be taken elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locked {
    /// The mail address by which the owner is known.
    pub owner: Option<String>,
}

/// An item of a feed that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is known by within its feed: its guid, else the best substitute that does not change by itself.
    pub guid: String,
    /// Whether the feed says that its guid is the address of its page, too.
    #[serde(default)]
    pub guid_is_link: bool,
    /// Name for people; empty if it has none.
    pub title: String,
    /// When it says that it was released. May lie in any year from 0 to 9999: see [`Item::released`].
    pub published: Option<DateTime<Utc>>,
    /// What it is about, as HTML.
    pub description: String,
    /// Its page.
    pub link: Option<Url>,
    /// Its cover.
    pub image: Option<Url>,
    /// Playing time.
    pub duration: Option<Duration>,
    /// The season, from 1.
    pub season: Option<u32>,
    /// The number within its season, from 1.
    pub number: Option<u32>,
    /// What the season is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub season_name: Option<String>,
    /// What is shown in the place of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_name: Option<String>,
    /// What kind of episode it is.
    #[serde(default)]
    pub kind: EpisodeKind,
    /// Whether it is for adults only, if it says so or the contrary.
    #[serde(default)]
    pub explicit: Option<bool>,
    /// Whether directories are asked not to show it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_blocked: bool,
    /// What it says beyond that in the podcast namespace, not checked.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Where its chapters are.
    #[serde(default)]
    pub chapters: Option<Url>,
    /// The chapters that it has in itself: Podlove Simple Chapters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Chapter>,
    /// Where that is written which is said in it.
    #[serde(default)]
    pub transcripts: Vec<TranscriptLink>,
    /// Ways to the same bytes, best first: `.torrent` files, magnet links, HTTP.
    pub sources: Vec<Source>,
    /// The swarm's info-hash, if the feed says it.
    pub info_hash: Option<InfoHash>,
    /// The content's length in bytes, if the feed says it and it can be meant. Never that of a `.torrent`.
    pub length: Option<u64>,
    /// Subresource-integrity string of the content.
    pub integrity: Option<String>,
    /// Why `sources` is empty; `None` if it is not.
    pub why_none: Option<WhyNone>,
    /// What is said of the quality of these bytes.
    #[serde(default)]
    pub quality: Quality,
    /// The same in other qualities and formats: other bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Version>,
}

/// What a feed says of the quality of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Bits a second.
    pub bitrate: Option<u64>,
    /// Lines of its picture.
    pub height: Option<u32>,
    /// The language that is spoken in it.
    pub language: Option<String>,
}

/// Another version of an item: the same in another quality or format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Ways to its bytes, in the order of [`Item::sources`]; never empty.
    pub sources: Vec<Source>,
    /// The swarm's info-hash, if the feed says it.
    pub info_hash: Option<InfoHash>,
    /// Its length in bytes, if the feed says it and it can be meant.
    pub length: Option<u64>,
    /// Its type, lower case and without parameters.
    pub mime: Option<String>,
    /// What is said of its quality.
    pub quality: Quality,
}

impl Item {
    /// When it was released as far as that can be true at `now`: a date in the future is now.
    ///
    /// So an item that dates itself to the year 9999 is pinned to the top of no list.
    pub fn released(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.published.map(|published| published.min(now))
    }
}

/// A transcript that an item names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptLink {
    /// Where it is.
    pub url: Url,
    /// Its type, lower case and without parameters; empty if the feed says none.
    pub mime: String,
}

/// A way to an item's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A `.torrent` over HTTP.
    Torrent {
        /// Where the metainfo is.
        url: Url,
        /// What its info-hash should be, if the feed says it.
        info_hash: Option<InfoHash>,
    },
    /// A magnet link.
    Magnet(Magnet),
    /// A magnet link that names a key, whose owner says which torrent is meant.
    Mutable(MutableLink),
    /// The file itself over HTTP.
    Http {
        /// Where it is.
        url: Url,
        /// Its length in bytes, if the feed says it and it can be meant.
        length: Option<u64>,
        /// Its type, lower case and without parameters.
        mime: Option<String>,
    },
}

impl Source {
    /// Whether both lead to the same, as far as their text says; of HTTP it counts where something is, not what it is
    /// said to be.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Torrent { url: a, .. } | Self::Http { url: a, .. },
                Self::Torrent { url: b, .. } | Self::Http { url: b, .. },
            ) => a == b,
            (Self::Magnet(a), Self::Magnet(b)) => a.info_hash == b.info_hash,
            (Self::Mutable(a), Self::Mutable(b)) => a.item == b.item,
            _ => false,
        }
    }
}

/// Why an item has no source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhyNone {
    /// It is a text.
    NoFile,
    /// What it names is neither torrent nor audio nor video.
    NotMedia {
        /// The type, or the name if no type is given.
        mime: String,
    },
    /// It links with a scheme that is never followed, such as `file` or `javascript`.
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A link that is none.
    BadUrl,
    /// A magnet link that names neither a torrent nor a key.
    BadMagnet,
}

impl fmt::Display for WhyNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("it links to no file"),
            Self::NotMedia { mime } => write!(f, "its file is {mime:?}, neither a torrent nor audio nor video"),
            Self::Scheme { scheme } => write!(f, "its file is a `{scheme}:` link, which is never followed"),
            Self::BadUrl => f.write_str("its file's address cannot be read"),
            Self::BadMagnet => f.write_str("its magnet link names no torrent"),
        }
    }
}
