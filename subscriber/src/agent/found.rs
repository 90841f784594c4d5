//! What a feed says today: the part of it that the agent decides by.
//!
//! Everything is bounded here, since it is remembered: a feed may say more than anyone wants to keep.
//!
//! Knows nothing of XML and JSON; [`podswarm_feeds::read`] has read them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_feeds::chapters::{self, Chapter};
use podswarm_feeds::read::{self, WhyNone};
use podswarm_feeds::{ShowKey, Withdrawal};
use sha1::{Digest, Sha1};
use url::Url;

use crate::integrity::Integrity;
use crate::records::{Custody, Episode, EpisodeId, Notes, Offer, Shared, Source, Stage};
use crate::rules::{Candidate, Quality};

/// Bytes of a title that are kept.
pub(super) const MAX_TITLE: usize = 500;
/// Bytes that a guid may have; a longer one is replaced by its hash.
const MAX_GUID: usize = 1024;
/// Bytes that a language's name may have.
const MAX_LANGUAGE: usize = 64;
/// Sources of one episode that are kept.
const MAX_SOURCES: usize = 8;
/// Bytes that a source's URL may have.
const MAX_URL: usize = 4096;

/// A feed, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundFeed {
    /// The show's name.
    pub title: String,
    /// The language it says that it is in.
    pub language: Option<String>,
    /// Who makes it.
    pub author: Option<String>,
    /// Where its cover is.
    pub image: Option<String>,
    /// Where its events come from.
    pub events_url: Option<Url>,
    /// Hubs that tell of its news.
    pub hubs: Vec<Url>,
    /// What they know it by, if it says so.
    pub topic: Option<Url>,
    /// What its withdrawals are known by.
    pub key: Option<ShowKey>,
    /// What it says that it has taken back.
    pub withdrawn: Vec<Withdrawal>,
    /// Its items, in its own order.
    pub items: Vec<Found>,
    /// Whether it has more than these, which are as many as are read.
    pub has_more: bool,
}

/// An item of a feed, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What the feed knows it by.
    pub guid: String,
    /// Its title.
    pub title: String,
    /// When it was released.
    pub published: Option<DateTime<Utc>>,
    /// Playing time.
    pub duration: Option<Duration>,
    /// Season, from 1.
    pub season: Option<u32>,
    /// Number within the season, from 1.
    pub number: Option<u32>,
    /// Where its chapters are.
    pub chapters: Option<String>,
    /// The chapters that it has in itself.
    pub parts: Vec<Chapter>,
    /// Where its own cover is.
    pub image: Option<String>,
    /// What is said about it, plain text or HTML.
    pub notes: String,
    /// Where it is to be had.
    pub offer: Offer,
    /// What is said of the quality of that.
    pub quality: read::Quality,
    /// The same in other qualities.
    pub versions: Vec<Version>,
}

/// The same episode in another quality or format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Where it is to be had.
    pub offer: Offer,
    /// What is said of its quality.
    pub quality: read::Quality,
}

/// Whether a feed was read as far as feeds are, and goes on.
pub fn has_more(channel: &read::Channel) -> bool {
    !channel.is_whole && channel.items.len() >= read::MAX_ITEMS
}

impl FoundFeed {
    /// What counts of a feed that was read.
    pub fn of(channel: read::Channel) -> Self {
        let has_more = has_more(&channel);
        Self {
            title: cut(channel.title.trim(), MAX_TITLE).to_owned(),
            language: channel.language.filter(|language| language.len() <= MAX_LANGUAGE),
            author: channel.author.map(|author| cut(author.trim(), MAX_TITLE).to_owned()),
            image: bounded_url(channel.image),
            has_more,
            events_url: channel.events_url.filter(|url| url.as_str().len() <= MAX_URL),
            hubs: channel.hubs.into_iter().filter(|hub| hub.as_str().len() <= MAX_URL).collect(),
            topic: channel.self_url.filter(|url| url.as_str().len() <= MAX_URL),
            key: channel.key,
            withdrawn: channel.withdrawn,
            items: channel.items.into_iter().map(Found::of).collect(),
        }
    }
}

impl Found {
    /// What counts of an item.
    pub fn of(item: read::Item) -> Self {
        Self {
            guid: bounded_guid(item.guid),
            title: cut(item.title.trim(), MAX_TITLE).to_owned(),
            published: item.published,
            duration: item.duration,
            season: item.season,
            number: item.number,
            chapters: bounded_url(item.chapters),
            parts: bounded_parts(item.parts),
            image: bounded_url(item.image),
            notes: item.description,
            offer: Offer {
                integrity: item.integrity.as_deref().and_then(Integrity::parse),
                ..offer_of(item.sources, item.info_hash, item.length, item.why_none)
            },
            quality: item.quality,
            versions: item.versions.into_iter().map(Version::of).filter(|it| !it.offer.sources.is_empty()).collect(),
        }
    }

    /// Has the version be the one that is offered which is there or wanted already, as `taken`, else the one that the
    /// rule asks for. What is in another language than the feed's, `language`, is another episode.
    pub fn choose(&mut self, taken: Option<&Episode>, rule: Quality, language: Option<&str>) {
        if self.versions.is_empty() {
            return;
        }
        let offers: Vec<&Offer> =
            std::iter::once(&self.offer).chain(self.versions.iter().map(|version| &version.offer)).collect();
        let same = taken.and_then(|taken| offers.iter().position(|offer| is_of(offer, taken)));
        let spoken = self.quality.language.as_deref().or(language);
        let is_understood = |version: &Version| is_spoken(version.quality.language.as_deref(), spoken);
        let others = self.versions.iter().enumerate().filter(|(_, version)| is_understood(version));
        let (places, candidates): (Vec<usize>, Vec<Candidate<'_>>) =
            std::iter::once((0, candidate(&self.offer, &self.quality)))
                .chain(others.map(|(place, version)| (place + 1, candidate(&version.offer, &version.quality))))
                .unzip();
        let seconds = self.duration.map(|duration| duration.as_secs());
        let chosen = same.unwrap_or_else(|| places[rule.choose(&candidates, seconds)]);
        if let Some(other) = chosen.checked_sub(1) {
            let Version { offer, quality } = self.versions.swap_remove(other);
            (self.offer, self.quality) = (offer, quality);
        }
    }

    /// The record of this item.
    pub fn episode(&self, id: EpisodeId, stage: Stage, first_seen: DateTime<Utc>) -> Episode {
        Episode {
            id,
            guid: self.guid.clone(),
            title: self.title.clone(),
            published: self.published,
            first_seen,
            duration: self.duration.map(|duration| duration.as_secs()),
            season: self.season,
            number: self.number,
            chapters: self.chapters.clone(),
            notes_mark: self.notes_mark(),
            offer: self.offer.clone(),
            stage,
            file: None,
            shared: Shared::default(),
            custody: Custody::default(),
            due: Vec::new(),
            untold: false,
            former: Vec::new(),
            paused: false,
            withdrawn: None,
            heard: None,
        }
    }

    /// The record of what is said about this item; `None` if nothing is.
    pub fn notes(&self, id: EpisodeId) -> Option<Notes> {
        let text = cut(self.notes.trim(), Notes::MAX).to_owned();
        let notes = Notes { id, text, image: self.image.clone(), parts: self.parts.clone() };
        (!notes.text.is_empty() || notes.image.is_some() || !notes.parts.is_empty()).then_some(notes)
    }

    /// Tells whether its notes have changed.
    fn notes_mark(&self) -> u64 {
        let parts = if self.parts.is_empty() { String::new() } else { chapters::to_json(&self.parts) };
        mark([self.notes.as_str(), self.image.as_deref().unwrap_or_default(), &parts].concat())
    }
}

impl Version {
    fn of(version: read::Version) -> Self {
        let mut offer = offer_of(version.sources, version.info_hash, version.length, None);
        offer.mime = version.mime.or(offer.mime);
        Self { offer, quality: version.quality }
    }
}

fn candidate<'a>(offer: &'a Offer, quality: &read::Quality) -> Candidate<'a> {
    let read::Quality { bitrate, height: lines, .. } = *quality;
    Candidate { mime: offer.mime(), length: offer.length(), bitrate, lines }
}

/// Whether an offer is what was taken: the same torrent, or one of its sources.
fn is_of(offer: &Offer, taken: &Episode) -> bool {
    let mut hashes = taken.kept_hash().into_iter().chain(taken.offer.info_hash);
    let is_same = offer.info_hash.is_some_and(|hash| hashes.any(|taken| taken.matches(&hash)));
    is_same || offer.sources.iter().any(|source| taken.offer.sources.contains(source))
}

/// Whether a version's language is the one that is spoken, as far as both are known: `de` is also `de-AT`.
fn is_spoken(language: Option<&str>, spoken: Option<&str>) -> bool {
    let root = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    language.zip(spoken).is_none_or(|(one, other)| root(one) == root(other))
}

fn offer_of(
    sources: Vec<read::Source>,
    info_hash: Option<InfoHash>,
    length: Option<u64>,
    why_none: Option<WhyNone>,
) -> Offer {
    let mut offer = Offer { info_hash, length, why_none, ..Offer::default() };
    for source in sources {
        let source = match source {
            read::Source::Torrent { url, info_hash } => {
                offer.info_hash = offer.info_hash.or(info_hash);
                Source::Torrent(url.into())
            }
            read::Source::Magnet(magnet) => {
                offer.info_hash = offer.info_hash.or(Some(magnet.info_hash));
                Source::Magnet(magnet.to_string())
            }
            read::Source::Mutable(link) => Source::Magnet(link.to_string()),
            read::Source::Http { url, length, mime } => {
                offer.length = offer.length.or(length);
                offer.mime = offer.mime.or(mime);
                Source::Http(url.into())
            }
        };
        if source.address().len() <= MAX_URL && offer.sources.len() < MAX_SOURCES && !offer.sources.contains(&source) {
            offer.sources.push(source);
        }
    }
    offer
}

/// As many chapters as are remembered.
fn bounded_parts(mut parts: Vec<Chapter>) -> Vec<Chapter> {
    let mut room = Notes::MAX_PARTS;
    let bytes = |part: &Chapter| serde_json::to_string(part).map_or(usize::MAX, |json| json.len() + 1);
    let fits = parts.iter().take_while(|part| {
        let left = room.checked_sub(bytes(part));
        room = left.unwrap_or(0);
        left.is_some()
    });
    let fits = fits.count();
    parts.truncate(fits);
    parts
}

fn bounded_url(url: Option<Url>) -> Option<String> {
    url.map(String::from).filter(|url| url.len() <= MAX_URL)
}

/// A guid as it is remembered.
pub(crate) fn bounded_guid(guid: String) -> String {
    if guid.len() <= MAX_GUID {
        return guid;
    }
    let digest: [u8; 20] = Sha1::digest(guid).into();
    format!("sha1:{:032x}", u128::from_be_bytes(*digest.first_chunk().expect("20 bytes have a first 16")))
}

/// The longest beginning of `text` that has at most `room` bytes.
pub(super) fn cut(text: &str, room: usize) -> &str {
    &text[..text.floor_char_boundary(room)]
}

/// Tells two contents apart: the first 64 bits of the SHA-1.
pub(crate) fn mark(content: impl AsRef<[u8]>) -> u64 {
    let digest: [u8; 20] = Sha1::digest(content).into();
    u64::from_be_bytes(*digest.first_chunk().expect("20 bytes have a first 8"))
}
