//! What the publisher must not forget: its shows, their episodes, what was told of them.
//!
//! A record never holds a public URL; feeds, pages and torrents are rendered under the one that holds when they are
//! made, so that a publisher can move. It names files by their name below the data directory.
//!
//! Law: a field is added with a default; any other change raises the record's version and teaches `migrate`.

use std::collections::BTreeMap;
use std::ops::Add;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::{Conduct, Discovery};
use podswarm_core::rate::Rate;
use podswarm_core::store::Record;
use podswarm_core::timetable::RateLimits;
use podswarm_feeds::chapters::Chapter;
use podswarm_feeds::{EpisodeKind, Tags, Withdrawal};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::feed_length::FeedLength;
use crate::notes;
use crate::rhythm::Rhythm;
use crate::slug::Slug;
use crate::transcript::TranscriptFile;

/// A show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct ShowRecord {
    /// Its name in addresses; never changes.
    pub(crate) slug: Slug,
    /// Its name for people.
    pub(crate) title: String,
    /// Who makes it.
    pub(crate) author: Option<String>,
    /// What it is about, plain text.
    pub(crate) description: Option<String>,
    /// The language it is in, such as `en` or `pt-br`.
    pub(crate) language: String,
    /// A podcast directory's category, `Arts` or `Arts > Books`.
    pub(crate) category: Option<String>,
    /// Further ones that it had when it came here.
    #[serde(default)]
    pub(crate) more_categories: Vec<String>,
    /// Whether its episodes are to be heard in their order.
    #[serde(default)]
    pub(crate) is_serial: bool,
    /// The cover.
    pub(crate) image: Option<Image>,
    /// The show's own site.
    pub(crate) link: Option<String>,
    /// Where directories write to the owner.
    pub(crate) email: Option<String>,
    /// Whether it is for adults only.
    pub(crate) explicit: bool,
    /// Whose it is, and what may be done with it.
    #[serde(default)]
    pub(crate) copyright: Option<String>,
    /// Whether other hosts are asked not to take it over.
    #[serde(default)]
    pub(crate) is_locked: bool,
    /// Whether no episode comes any more.
    #[serde(default)]
    pub(crate) is_complete: bool,
    /// Whether directories are asked not to show it.
    #[serde(default)]
    pub(crate) is_blocked: bool,
    /// Whether what is published in it is held to the rules of directories, if its owner has said so.
    #[serde(default)]
    pub(crate) listed: Option<bool>,
    /// What is said beyond that in the podcast namespace.
    #[serde(default)]
    pub(crate) tags: Tags,
    /// Whether only its subscribers are let in. That it is or is not stays so.
    #[serde(default)]
    pub(crate) is_private: bool,
    /// Made once, when the show's public URL is first known; or what it had where it came from.
    pub(crate) podcast_guid: Option<Uuid>,
    /// Where its feeds lead, if it has moved to another host.
    #[serde(default)]
    pub(crate) moved: Option<Moved>,
    /// When it was made.
    pub(crate) created: DateTime<Utc>,
    /// When its episodes appear, if they have times of their own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) rhythm: Option<Rhythm>,
    /// How many episodes a document of its feeds holds.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(crate) feed_length: FeedLength,
    /// How fast peers are sent each of its episodes at most, in bytes a second.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(crate) episode_up: Option<Rate>,
    /// How peers of its episodes are found.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(crate) find_peers: Discovery,
}

impl ShowRecord {
    /// Whether it is for podcast directories. One of which its owner has not said so is, once it has what they ask of a
    /// show beyond its title.
    pub(crate) fn is_listed(&self) -> bool {
        let is_complete = self.image.is_some() && self.category.is_some() && self.description.is_some();
        !self.is_private && !self.is_blocked && self.listed.unwrap_or(is_complete)
    }

    /// How its episodes are treated in their swarms.
    pub(crate) const fn conduct(&self) -> Conduct {
        Self::conduct_of(self.episode_up, self.find_peers)
    }

    /// The same of a show of which that is said. The tracker is our own, and knows without an announce.
    pub(crate) const fn conduct_of(up: Option<Rate>, find_peers: Discovery) -> Conduct {
        let limits = RateLimits { up, down: None };
        Conduct { limits, discovery: Discovery { trackers: false, ..find_peers } }
    }
}

/// Where a show's feeds are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Moved {
    /// The podcast feed.
    pub(crate) feed: Url,
    /// The torrent feed, if there is one; else the podcast feed is named in its place, as in that of the others.
    pub(crate) torrents: Option<Url>,
    /// The feed as JSON Feed.
    pub(crate) json: Option<Url>,
    /// The feed as Atom.
    pub(crate) atom: Option<Url>,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
}

impl Moved {
    /// Where the document of that name is.
    pub(crate) fn of(&self, name: &str) -> &Url {
        let form = match name {
            "torrents.xml" => &self.torrents,
            "feed.json" => &self.json,
            "feed.atom" => &self.atom,
            _ => &None,
        };
        form.as_ref().unwrap_or(&self.feed)
    }
}

impl Record for ShowRecord {
    const KIND: &'static str = "show";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.slug.as_str().into()
    }
}

/// A picture beside the show's media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Image {
    /// Its file name, which holds a part of its hash.
    pub(crate) file: String,
    /// `image/jpeg` or `image/png`.
    pub(crate) mime: String,
}

/// An episode. From the moment that this is stored it is published, or, before its time, sure to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct EpisodeRecord {
    /// The show it belongs to.
    pub(crate) show: Slug,
    /// The name of its file or folder, of its torrent and, without the extension, of its page; never used again.
    pub(crate) file: String,
    /// Names the episode to readers, for ever. A UUID, if it was made here.
    pub(crate) guid: String,
    /// Whether its guid is the address of a page at the show's old host.
    #[serde(default)]
    pub(crate) guid_is_link: bool,
    /// Its title.
    pub(crate) title: String,
    /// Show notes, as the plain text they were typed as, or as HTML.
    pub(crate) notes: Option<String>,
    /// Whether the notes are HTML, which was cleaned when it came.
    #[serde(default)]
    pub(crate) notes_are_html: bool,
    /// The date it bears; it is hidden until then.
    pub(crate) published: DateTime<Utc>,
    /// When it came into the library.
    pub(crate) added: DateTime<Utc>,
    /// Whether its item has appeared in the feed.
    pub(crate) released: bool,
    /// Whether it waits for its owner's word, whatever date it bears.
    #[serde(default)]
    pub(crate) draft: bool,
    /// How it ceased to be offered, if it did. The record stays, so that its addresses tell and its names are not used
    /// again.
    #[serde(default)]
    pub(crate) ended: Option<Ending>,
    /// The season, from 1.
    pub(crate) season: Option<u32>,
    /// The number in its season or show, from 1.
    pub(crate) number: Option<u32>,
    /// What the season is called.
    #[serde(default)]
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of the number.
    #[serde(default)]
    pub(crate) number_name: Option<String>,
    /// Whether directories are asked not to show it.
    #[serde(default)]
    pub(crate) is_blocked: bool,
    /// What is said beyond that in the podcast namespace.
    #[serde(default)]
    pub(crate) tags: Tags,
    /// What kind of episode it is.
    #[serde(default)]
    pub(crate) kind: EpisodeKind,
    /// Whether it is for adults only, if that is not as its show says.
    #[serde(default)]
    pub(crate) explicit: Option<bool>,
    /// How long it plays, in milliseconds.
    pub(crate) duration_ms: Option<u64>,
    /// A cover of its own.
    pub(crate) image: Option<Image>,
    /// Its parts.
    #[serde(default)]
    pub(crate) chapters: Vec<Chapter>,
    /// What is said in it, in one form or several.
    #[serde(default)]
    pub(crate) transcripts: Vec<TranscriptFile>,
    /// SHA-256 of the content, lower-case hex; of a folder, of all its files end to end after their names and lengths.
    pub(crate) sha256: String,
    /// What its swarm is known by.
    #[serde(with = "podswarm_core::metainfo::whole")]
    #[schema(value_type = String)]
    pub(crate) info_hash: InfoHash,
    /// Whether that is for subscribers alone (BEP 27).
    #[serde(default)]
    pub(crate) is_private: bool,
    /// Bytes of its metainfo as the library holds it, without tracker and web seed.
    pub(crate) metainfo_length: u64,
    /// Bytes of all its files.
    pub(crate) length: u64,
    /// What ordinary podcast apps are given: the file itself, or one of the folder.
    pub(crate) enclosure: Enclosure,
    /// Where its content lies.
    pub(crate) place: Place,
}

/// How an episode ceased to be offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Other content took its place under the same guid.
    Replaced,
    /// Its owner took it back, and signed that.
    Withdrawn(Withdrawal),
}

/// The file that ordinary podcast apps play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Enclosure {
    /// Its path within the folder, with `/` between the names; `None` if the episode is one file.
    pub(crate) path: Option<String>,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its media type.
    pub(crate) mime: String,
}

/// Where an episode's content lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// In the library's own folder.
    Library,
    /// Where its owner has it. What is there is served only while it is as it was.
    Original {
        /// The absolute path of the file or folder.
        #[schema(value_type = String)]
        path: PathBuf,
        /// Modification time of the file in nanoseconds since 1970; `None` for a folder.
        mtime: Option<i64>,
    },
}

impl Record for EpisodeRecord {
    const KIND: &'static str = "episode";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Self::key_of(&self.show, &self.file)
    }
}

impl EpisodeRecord {
    /// The key of the episode whose file or folder has that name.
    pub(crate) fn key_of(show: &Slug, file: &str) -> Vec<u8> {
        format!("{show}/{file}").into_bytes()
    }

    /// How long it plays.
    pub(crate) fn duration(&self) -> Option<Duration> {
        self.duration_ms.map(Duration::from_millis)
    }

    /// Its guid if that is a UUID, else one that is made of it: a short name for what is counted.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::try_parse(&self.guid).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_URL, self.guid.as_bytes()))
    }

    /// Its show notes as HTML that is safe on any page; empty if there are none.
    pub(crate) fn notes_html(&self) -> String {
        match &self.notes {
            Some(html) if self.notes_are_html => html.clone(),
            Some(text) => notes::to_html(text),
            None => String::new(),
        }
    }

    /// Whether it is to be released once its date has come.
    pub(crate) fn is_scheduled(&self) -> bool {
        !self.released && !self.draft
    }

    /// The owner's word that it is taken back, if he gave it.
    pub(crate) fn withdrawal(&self) -> Option<&Withdrawal> {
        match &self.ended {
            Some(Ending::Withdrawn(withdrawal)) => Some(withdrawal),
            Some(Ending::Replaced) | None => None,
        }
    }

    /// Whether it is a folder of files.
    pub(crate) fn is_folder(&self) -> bool {
        self.enclosure.path.is_some()
    }
}

/// The words with which `episodes` were taken back, the latest first.
pub(crate) fn withdrawals<'a>(episodes: impl IntoIterator<Item = &'a EpisodeRecord>) -> Vec<Withdrawal> {
    let mut withdrawn: Vec<_> = episodes.into_iter().filter_map(|episode| episode.withdrawal().cloned()).collect();
    withdrawn.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.guid.cmp(&b.guid)));
    withdrawn
}

/// Something that listeners were told of; the log of a show's events is replayed to agents that were away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventRecord {
    /// The show it happened in.
    pub(crate) show: Slug,
    /// Its number in the show, from 1 without gaps.
    pub(crate) seq: u64,
    /// What happened.
    pub(crate) kind: EventKind,
    /// The file name of the episode it happened to.
    pub(crate) file: String,
}

/// What can happen to an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    /// It was released.
    Episode,
    /// It has other content now.
    Revised,
    /// It was taken back.
    Withdrawn,
}

impl EventKind {
    /// The event's name in the stream.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Episode => "episode",
            Self::Revised => "revised",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Record for EventRecord {
    const KIND: &'static str = "event";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        let mut key = Self::prefix(&self.show);
        key.extend_from_slice(&self.seq.to_be_bytes());
        key
    }
}

impl EventRecord {
    /// What the keys of all events of `show` begin with.
    pub(crate) fn prefix(show: &Slug) -> Vec<u8> {
        format!("{show}/").into_bytes()
    }
}

/// The public URL that the owner gave last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicUrlRecord {
    /// An absolute URL.
    pub(crate) url: String,
}

impl PublicUrlRecord {
    /// The only key.
    pub(crate) const KEY: &[u8] = b"it";
}

impl Record for PublicUrlRecord {
    const KIND: &'static str = "public_url";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Self::KEY.into()
    }
}

/// When a feed's bytes changed last, so that a restart does not make an old feed look new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RenderedRecord {
    /// The feed's path.
    pub(crate) path: String,
    /// The entity tag of its bytes.
    pub(crate) etag: String,
    /// When its bytes became these.
    pub(crate) modified: DateTime<Utc>,
}

impl Record for RenderedRecord {
    const KIND: &'static str = "rendered";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        self.path.as_bytes().into()
    }
}

/// That somebody else has held a full copy of an episode, which is told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopiedRecord {
    /// Its show.
    pub(crate) show: Slug,
    /// The name of its file.
    pub(crate) file: String,
    /// When that was first seen.
    pub(crate) at: DateTime<Utc>,
}

impl Record for CopiedRecord {
    const KIND: &'static str = "copied";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        EpisodeRecord::key_of(&self.show, &self.file)
    }
}

/// How often an episode was downloaded on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DayRecord {
    /// Its show.
    pub(crate) show: Slug,
    /// Names it, whichever file it has; see [`EpisodeRecord::uuid`].
    pub(crate) guid: Uuid,
    /// The day, in UTC.
    pub(crate) date: NaiveDate,
    /// Downloads over HTTP.
    pub(crate) http: u64,
    /// Downloads that became whole in swarms.
    pub(crate) swarm: u64,
    /// Those over HTTP by player; players have few names.
    #[serde(default)]
    pub(crate) players: BTreeMap<String, u64>,
    /// Both kinds by country, as ISO 3166-1 codes.
    #[serde(default)]
    pub(crate) countries: BTreeMap<String, u64>,
}

impl Record for DayRecord {
    const KIND: &'static str = "downloads";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Self::key_of(&self.show, self.guid, self.date)
    }
}

impl DayRecord {
    /// A day without downloads.
    pub(crate) fn new(show: Slug, guid: Uuid, date: NaiveDate) -> Self {
        Self { show, guid, date, http: 0, swarm: 0, players: BTreeMap::new(), countries: BTreeMap::new() }
    }

    /// The key of an episode's day.
    pub(crate) fn key_of(show: &Slug, guid: Uuid, date: NaiveDate) -> Vec<u8> {
        format!("{show}/{guid}/{date}").into_bytes()
    }

    /// What the keys of all days of a show, or of one of its episodes, begin with.
    pub(crate) fn prefix(show: &Slug, guid: Option<Uuid>) -> Vec<u8> {
        guid.map_or_else(|| format!("{show}/"), |guid| format!("{show}/{guid}/")).into_bytes()
    }
}

impl Add<&Self> for DayRecord {
    type Output = Self;

    /// The downloads of both, which are of one episode and day.
    fn add(mut self, more: &Self) -> Self {
        self.http += more.http;
        self.swarm += more.swarm;
        for (sums, more) in [(&mut self.players, &more.players), (&mut self.countries, &more.countries)] {
            for (name, count) in more {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::TimeZone as _;
    use podswarm_core::store::Store;

    use super::*;

    /// A show with nothing but a title.
    pub(crate) fn show(slug: &str) -> ShowRecord {
        ShowRecord {
            slug: slug.parse().unwrap(),
            title: format!("The {slug} show"),
            author: None,
            description: None,
            language: "en".to_owned(),
            category: None,
            more_categories: Vec::new(),
            is_serial: false,
            image: None,
            link: None,
            email: None,
            explicit: false,
            copyright: None,
            is_locked: false,
            is_complete: false,
            is_blocked: false,
            listed: None,
            is_private: false,
            tags: Tags::default(),
            podcast_guid: None,
            moved: None,
            created: Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap(),
            rhythm: None,
            feed_length: FeedLength::default(),
            episode_up: None,
            find_peers: Discovery::ALL,
        }
    }

    /// A released episode of `show`; `n` tells it from others and is its day of the month.
    pub(crate) fn episode(show: &str, n: u8) -> EpisodeRecord {
        let published = Utc.with_ymd_and_hms(2026, 1, n.into(), 12, 0, 0).unwrap();
        EpisodeRecord {
            show: show.parse().unwrap(),
            file: format!("2026-01-{n:02}-episode-{n}-0000000{n:x}.mp3"),
            guid: Uuid::from_u128(n.into()).to_string(),
            guid_is_link: false,
            title: format!("Episode {n}"),
            notes: None,
            notes_are_html: false,
            published,
            added: published,
            released: true,
            draft: false,
            ended: None,
            season: None,
            number: Some(n.into()),
            season_name: None,
            number_name: None,
            is_blocked: false,
            tags: Tags::default(),
            kind: EpisodeKind::Full,
            explicit: None,
            duration_ms: Some(61_500),
            image: None,
            chapters: Vec::new(),
            transcripts: Vec::new(),
            sha256: format!("{n:064x}"),
            info_hash: InfoHash::from_v1([n; 20]),
            is_private: false,
            metainfo_length: 200,
            length: 1000,
            enclosure: Enclosure { path: None, length: 1000, mime: "audio/mpeg".to_owned() },
            place: Place::Library,
        }
    }

    #[test]
    fn records_come_back_as_they_were_stored() {
        let store = Store::in_memory();
        let mut moved = episode("a", 2);
        moved.place = Place::Original { path: "/srv/e.mp3".into(), mtime: Some(-5_000_000_000) };
        let event = EventRecord { show: "a".parse().unwrap(), seq: 300, kind: EventKind::Episode, file: "f".into() };
        store.put(&show("a")).unwrap();
        store.put(&moved).unwrap();
        store.put(&event).unwrap();
        assert_eq!(store.get::<ShowRecord>("a").unwrap(), Some(show("a")));
        assert_eq!(store.scan::<EpisodeRecord>("a/").unwrap(), [moved]);
        assert_eq!(store.scan::<EventRecord>("a/").unwrap(), [event]);
    }

    #[test]
    fn events_are_scanned_in_the_order_of_their_numbers() {
        let store = Store::in_memory();
        for seq in [256, 2, 1, 255] {
            let file = String::new();
            store.put(&EventRecord { show: "a".parse().unwrap(), seq, kind: EventKind::Episode, file }).unwrap();
        }
        let seqs: Vec<u64> = store.scan::<EventRecord>("a/").unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [1, 2, 255, 256]);
    }
}
