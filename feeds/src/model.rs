//! What a publisher says of a show and its episodes: the input of [`crate::write`].
//!
//! Every URL here is already rendered, absolute and under the publisher's public address; nothing of this page is
//! stored, records keep slugs and file names.
//!
//! Knows nothing of RSS: which tag carries which field is decided in [`crate::write`].

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::InfoHash;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::tags::Tags;
use crate::withdrawal::{ShowKey, Withdrawal};

/// A show: one feed's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Show {
    /// Short name in URLs, ASCII, such as `night-walks`. Not written into a feed.
    pub slug: String,
    /// Name for people.
    pub title: String,
    /// Who makes it, for people.
    pub author: Option<String>,
    /// What it is about, plain text or simple HTML. Directories cut it at 4000 bytes.
    pub description: String,
    /// ISO 639 code with an optional region, such as `en` or `pt-br`. Empty is written as `en`.
    pub language: String,
    /// Categories of Apple's list, `Arts`, or with its subcategory, `Arts > Books`. Letters' case counts. Apple uses
    /// the first.
    pub categories: Vec<String>,
    /// Whether its episodes are to be heard in their order, from the first.
    pub is_serial: bool,
    /// Square cover, JPEG or PNG, 1400 to 3000 pixels wide. Its URL has to change when the picture does.
    pub image_url: Option<Url>,
    /// The show's own site. Without one the show's page on this server is named.
    pub link: Option<Url>,
    /// Where directories write to the owner.
    pub email: Option<String>,
    /// Whether it is for adults only.
    pub explicit: bool,
    /// Whose it is, and what may be done with it.
    pub copyright: Option<String>,
    /// Whether other hosts are asked not to take it over.
    pub is_locked: bool,
    /// Whether no episode comes any more.
    pub is_complete: bool,
    /// Whether directories are asked not to show it.
    pub is_blocked: bool,
    /// What is said beyond that in the podcast namespace.
    pub tags: Tags,
    /// Made once by [`podcast_guid`](crate::podcast_guid) when the show's public URL is first known; never changes.
    pub podcast_guid: Option<Uuid>,
    /// Where its podcast feed is from now on, if it has moved.
    pub new_feed_url: Option<Url>,
    /// What its withdrawals are known by.
    pub key: Option<ShowKey>,
    /// Episodes that it has taken back, the latest first.
    pub withdrawn: Vec<Withdrawal>,
}

/// An episode that is ready to be seen: its torrent and its media answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Names the episode for ever, through every revision of its media.
    pub guid: String,
    /// Whether the guid is the address of a page, too, as an old host of the show may have had it.
    pub guid_is_link: bool,
    /// Title for people, without the show's name.
    pub title: String,
    /// Show notes as simple HTML; empty if there are none.
    pub notes: String,
    /// When it was released. Feeds say it to the second.
    pub published: DateTime<Utc>,
    /// The season, from 1.
    pub season: Option<u32>,
    /// The number within its season, from 1.
    pub number: Option<u32>,
    /// What the season is called.
    pub season_name: Option<String>,
    /// What is shown in the place of the number.
    pub number_name: Option<String>,
    /// What kind of episode it is.
    pub kind: EpisodeKind,
    /// Playing time. Feeds say it in whole seconds.
    pub duration: Option<Duration>,
    /// Whether it is for adults only.
    pub explicit: bool,
    /// Whether directories are asked not to show it.
    pub is_blocked: bool,
    /// What is said beyond that in the podcast namespace.
    pub tags: Tags,
    /// The file over HTTP, which every podcast app can fetch.
    pub media: Media,
    /// The swarm of the same file.
    pub torrent: Option<TorrentRef>,
    /// A cover of its own.
    pub image_url: Option<Url>,
    /// Its page on this server.
    pub page_url: Option<Url>,
    /// Where its chapters are, as the podcast namespace's JSON.
    pub chapters_url: Option<Url>,
    /// What is said in it, in one form or several.
    pub transcripts: Vec<Transcript>,
}

impl Episode {
    /// The order of a feed: the newest first. What was released in the same second stays in the order that it had.
    pub fn newest_first(&self, other: &Self) -> Ordering {
        other.published.cmp(&self.published)
    }
}

/// What kind of episode one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EpisodeKind {
    /// The usual.
    #[default]
    Full,
    /// It tells of what is to come.
    Trailer,
    /// It goes with the show, beside its usual episodes.
    Bonus,
}

impl EpisodeKind {
    /// As `itunes:episodeType` says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Trailer => "trailer",
            Self::Bonus => "bonus",
        }
    }
}

/// What is said in an episode, written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Where it is.
    pub url: Url,
    /// Its type, such as `text/vtt`.
    pub mime: String,
    /// The language it is in.
    pub language: String,
    /// Whether it says when what is said.
    pub has_times: bool,
}

/// An episode's file as HTTP serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Where it is.
    pub url: Url,
    /// Its length, in bytes.
    pub length: u64,
    /// Its type, such as `audio/mpeg`.
    pub mime: String,
    /// Its name, the last part of `url`'s path.
    pub file_name: String,
    /// Subresource-integrity string of its bytes, such as `sha256-…`; see [`sri_sha256`].
    pub sri: Option<String>,
}

/// An episode's torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentRef {
    /// Where the metainfo is.
    pub url: Url,
    /// The metainfo's length, in bytes.
    pub length: u64,
    /// What the swarm is known by.
    pub info_hash: InfoHash,
    /// The whole magnet link, with trackers and web seed; `None` for a private torrent (BEP 27), of which feeds do not
    /// tell the info-hash either, since whoever has but that looks for it in the world's hash table.
    pub magnet: Option<String>,
    /// The torrent's `name`.
    pub info_name: String,
    /// Bytes of all its files if it is a folder, of which the media is but one; `None` if it is the media.
    pub folder_length: Option<u64>,
}

/// One of the documents that each feed of a show consists of, if it is too long for one.
///
/// The first one has the newest episodes. The older ones are in pages behind it that are numbered from the oldest, so
/// that one that is full stays as it is. Source: RFC 5005 §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedPage {
    /// Which page, from 1 on; `None` is the document with the newest episodes.
    pub number: Option<u32>,
    /// How many pages there are.
    pub pages: u32,
}

impl FeedPage {
    /// Its name where the feed's is `feed.xml`: such as `feed-3.xml`.
    pub fn name(&self, feed: &str) -> String {
        match (self.number, feed.rsplit_once('.')) {
            (Some(number), Some((stem, extension))) => format!("{stem}-{number}.{extension}"),
            (Some(number), None) => format!("{feed}-{number}"),
            (None, _) => feed.to_owned(),
        }
    }

    /// Its address where the feed's is `feed`.
    pub fn of(&self, feed: &Url) -> Url {
        let file = feed.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        feed.join(&self.name(file)).unwrap_or_else(|_| feed.clone())
    }

    /// The one with the next older episodes.
    pub fn older(&self) -> Option<Self> {
        let number = self.number.map_or(self.pages, |number| number - 1);
        (number > 0).then_some(Self { number: Some(number), ..*self })
    }

    /// The one with the next newer episodes.
    pub fn newer(&self) -> Option<Self> {
        let number = self.number? + 1;
        Some(Self { number: (number <= self.pages).then_some(number), ..*self })
    }

    /// What it says of the others: the relation of each, and its address where the feed's is `feed`.
    pub(crate) fn links(&self, feed: &Url) -> Vec<(&'static str, Url)> {
        if self.pages == 0 {
            return Vec::new();
        }
        let ends = [("first", Some(Self { number: None, ..*self })), ("last", Some(Self { number: Some(1), ..*self }))];
        let beside = [("previous", self.newer()), ("next", self.older())];
        ends.into_iter().chain(beside).filter_map(|(rel, page)| Some((rel, page?.of(feed)))).collect()
    }
}

/// Where a show's documents are; they name each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedUrls {
    /// The podcast feed, `…/feed.xml`.
    pub feed: Url,
    /// The torrent feed, `…/torrents.xml`.
    pub torrents: Url,
    /// The same show as JSON Feed, `…/feed.json`.
    pub json: Url,
    /// The same show as Atom, `…/feed.atom`.
    pub atom: Url,
    /// The stream of server-sent events that tells of releases, `…/events`; none where plain files are served.
    pub events: Option<Url>,
    /// The hubs that tell of changes of each of these feeds (`WebSub`).
    pub hubs: Vec<Url>,
    /// Where servers ask to be told of changes of the feeds in RSS (rssCloud, `http-post`).
    pub cloud: Option<Url>,
    /// The show's page.
    pub page: Url,
    /// Which of the documents of each feed this is.
    pub at: FeedPage,
}

/// The subresource-integrity string of content whose SHA-256 is `digest`: `sha256-` and base64.
///
/// Source: W3C Subresource Integrity §3.1; `podcast:integrity` of type `sri` carries it.
pub fn sri_sha256(digest: &[u8; 32]) -> String {
    let mut sri = String::from("sha256-");
    write!(sri, "{}", data_encoding::BASE64.encode_display(digest)).expect("a string takes any text");
    sri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_leads_to_those_beside_it() {
        let at = |number, pages| FeedPage { number, pages };
        let feed = Url::parse("https://a.example/shows/b/feed.xml").unwrap();
        let told = |page: FeedPage| {
            let links = page.links(&feed);
            links.iter().map(|(rel, url)| format!("{rel} {}", url.path().trim_start_matches("/shows/b/"))).collect()
        };
        let none: Vec<String> = told(at(None, 0));
        assert!(none.is_empty());
        assert_eq!(told(at(None, 2)), ["first feed.xml", "last feed-1.xml", "next feed-2.xml"]);
        let second: Vec<String> = told(at(Some(2), 2));
        assert_eq!(second, ["first feed.xml", "last feed-1.xml", "previous feed.xml", "next feed-1.xml"]);
        assert_eq!(told(at(Some(1), 2)), ["first feed.xml", "last feed-1.xml", "previous feed-2.xml"]);
    }

    #[test]
    fn integrity_is_the_padded_base64_of_the_digest() {
        // The empty input's SHA-256.
        let digest = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
            0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ];
        assert_eq!(sri_sha256(&digest), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
