//! What the subscriber remembers: the feeds its owner follows and the episodes seen in them.
//!
//! These are the records of the store and the state of the agent alike. Files named in them are relative to the
//! library, with `/` between folders, so that a library can be moved.
//!
//! Knows nothing of where the records are kept.
//!
//! Law: an episode's id never names another episode, and its guid names it for as long as the feed is followed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::rate::ByteCount;
use podswarm_feeds::ShowKey;
use podswarm_feeds::chapters::Chapter;
use podswarm_feeds::poll::PollState;
use podswarm_feeds::read::WhyNone;
use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use url::Url;

use crate::integrity::Integrity;
use crate::names;
use crate::rules::{Hook, Rules, Span, Subject};
use podswarm_feeds::schedule::Schedule;

/// A feed's number, as `podsub feeds` shows it; never used again after a feed is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeedId(pub u32);

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An episode's number within its feed, written `FEED/NUMBER`; the oldest known episode is number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct EpisodeId {
    /// The feed it is in.
    pub feed: FeedId,
    /// From 1, in the order in which the agent came to know them.
    pub number: u32,
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.feed, self.number)
    }
}

/// A text that is not `FEED/NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no episode number; want one like `1/42`")]
pub struct EpisodeIdError(String);

impl FromStr for EpisodeId {
    type Err = EpisodeIdError;

    fn from_str(text: &str) -> Result<Self, EpisodeIdError> {
        let (feed, number) = text.split_once('/').ok_or_else(|| EpisodeIdError(text.to_owned()))?;
        match (feed.parse(), number.parse()) {
            (Ok(feed), Ok(number)) => Ok(Self { feed: FeedId(feed), number }),
            _ => Err(EpisodeIdError(text.to_owned())),
        }
    }
}

/// How many episodes that are there already a new subscription takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backlog {
    /// Every one.
    All,
    /// The newest so many.
    Newest(u32),
}

impl Backlog {
    /// How many episodes at most.
    pub fn count(self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::Newest(count) => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self::Newest(1)
    }
}

/// A backlog that is neither a number nor `all`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of episodes; want one like `5`, or `all`")]
pub struct BacklogError(String);

impl FromStr for Backlog {
    type Err = BacklogError;

    fn from_str(text: &str) -> Result<Self, BacklogError> {
        match text {
            "all" => Ok(Self::All),
            text => text.parse().map(Self::Newest).map_err(|_| BacklogError(text.to_owned())),
        }
    }
}

/// A feed that the owner follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// Its number.
    pub id: FeedId,
    /// The show's name, until the feed has been read once that of the list it came from; empty if there was none.
    pub title: String,
    /// Its folder in the library; empty until the feed has been read once, then the same for ever.
    pub folder: String,
    /// When the owner subscribed.
    pub added: DateTime<Utc>,
    /// What to take when the feed is read for the first time.
    pub backlog: Backlog,
    /// When the owner wants it polled, if not by the agent's own judgement.
    pub schedule: Option<Schedule>,
    /// The owner has paused it: it is not polled, and nothing of it is fetched or seeded.
    pub paused: bool,
    /// Its own host is private or loopback, so that what it links to may be so too.
    pub is_local: bool,
    /// The owner typed its address here, so that it may lie in a private network. One that an app named may not.
    #[serde(default = "yes")]
    pub is_typed: bool,
    /// When it was followed, in the order of all that apps are told of; see [`Heard::stamp`].
    #[serde(default)]
    pub stamp: u64,
    /// Where its events come from, if it has a stream.
    pub events_url: Option<String>,
    /// The id of the last event that was acted on.
    pub last_event_id: Option<String>,
    /// What is held or wanted of a hub that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<Subscription>,
    /// What its owner wants of it, where that is not what he wants of all.
    #[serde(default)]
    pub rules: Rules,
    /// The language it says that it is in.
    #[serde(default)]
    pub language: Option<String>,
    /// Who makes it, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Where its cover is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The pictures that were put into its folder, by what the covers are called; two while one takes the other's
    /// place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<String>,
    /// What the show's withdrawals are known by: the key that its feed carried first.
    #[serde(default)]
    pub key: Option<ShowKey>,
    /// When episodes of it were taken without being asked for, within the last day.
    pub taken: Vec<DateTime<Utc>>,
    /// Where it is, when it was asked, and what came of it.
    pub poll: PollState,
}

impl Feed {
    /// A feed that was never read.
    pub fn new(id: FeedId, url: Url, added: DateTime<Utc>) -> Self {
        Self {
            id,
            title: String::new(),
            folder: String::new(),
            added,
            backlog: Backlog::default(),
            schedule: None,
            paused: false,
            is_local: false,
            is_typed: true,
            stamp: 0,
            events_url: None,
            last_event_id: None,
            subscription: None,
            rules: Rules::default(),
            language: None,
            author: None,
            image: None,
            pictures: Vec::new(),
            key: None,
            taken: Vec::new(),
            poll: PollState::new(url),
        }
    }

    /// Where it is polled.
    pub fn url(&self) -> &Url {
        &self.poll.url
    }

    /// The show's name, or the feed's URL while the name is not known.
    pub fn name(&self) -> &str {
        if self.title.is_empty() { self.url().as_str() } else { &self.title }
    }

    /// The feed has never been read.
    pub fn is_new(&self) -> bool {
        self.folder.is_empty()
    }
}

const fn yes() -> bool {
    true
}

/// A subscription to a feed's news at a hub (W3C `WebSub`), held or wanted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The hub.
    pub hub: Url,
    /// All hubs that the feed names.
    pub hubs: Vec<Url>,
    /// What they know the feed by.
    pub topic: String,
    /// The path at which this hub, and nobody else, knows to reach us.
    pub token: String,
    /// What it signs with.
    pub secret: String,
    /// Where it was told to reach us, once it has taken that.
    pub callback: Option<Url>,
    /// Until when it tells us, once it has said so.
    pub until: Option<DateTime<Utc>>,
    /// When it is asked to go on.
    pub renew_at: Option<DateTime<Utc>>,
}

/// Without what nobody else may know.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hub, topic, until, .. } = self;
        write!(f, "Subscription({hub}, {topic}, {until:?})")
    }
}

/// Where an episode is to be had, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Best first.
    pub sources: Vec<Source>,
    /// What the feed says that the torrent is.
    pub info_hash: Option<InfoHash>,
    /// What the feed says that the file's length is, in bytes. Often wrong.
    pub length: Option<u64>,
    /// What the feed says that the file's type is.
    pub mime: Option<String>,
    /// What the feed says that the file's hash is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
    /// Why there is no source.
    pub why_none: Option<WhyNone>,
}

/// One place to have an episode from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The URL of a plain file.
    Http(String),
    /// A magnet link.
    Magnet(String),
    /// The URL of a `.torrent` file.
    Torrent(String),
}

impl Source {
    /// The URL or the magnet link.
    pub fn address(&self) -> &str {
        match self {
            Self::Http(address) | Self::Magnet(address) | Self::Torrent(address) => address,
        }
    }
}

impl Offer {
    /// What its file is, as far as that is said.
    pub fn mime(&self) -> Option<&str> {
        self.mime.as_deref().or_else(|| self.mime_by_name())
    }

    /// What the feed says that its length is, where that can be meant: hosts that do not know write 0 or 1.
    pub fn length(&self) -> Option<u64> {
        self.length.filter(|length| *length > 1)
    }

    /// What its sources' names say that the file is.
    fn mime_by_name(&self) -> Option<&'static str> {
        let name = |source: &Source| Url::parse(source.address()).ok().map(|url| url.path().to_owned());
        let known = |name: String| names::extension(&name).map(names::mime_of_extension);
        let is_said = |mime: &&str| *mime != "application/octet-stream";
        self.sources.iter().filter_map(name).filter_map(known).find(is_said)
    }

    /// Why nothing of it can be fetched; `None` if something can.
    pub fn unfetchable(&self) -> Option<Why> {
        self.sources.is_empty().then(|| Why::NoSource(self.why_none.clone().unwrap_or(WhyNone::NoFile)))
    }
}

/// Why an episode that was new was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was there before the feed was followed, beyond what was to be taken of that.
    Backlog,
    /// It is the same as another episode, which came under another guid.
    Duplicate(EpisodeId),
    /// It came by magnet link only, when such links were not followed yet.
    MagnetOnly,
    /// It has no file that can be had.
    NoSource(WhyNone),
    /// As many newer ones as are kept are there already.
    Older(u32),
    /// A rule of the owner's, in its own words.
    Rule(String),
    /// Its feed had brought too many new episodes within a day.
    TooMany,
    /// Its publisher has taken it back.
    Withdrawn,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backlog => f.write_str("it was there before the feed was followed"),
            Self::Duplicate(of) => write!(f, "the same as {of}"),
            Self::MagnetOnly => f.write_str("only a magnet link"),
            Self::NoSource(why) => why.fmt(f),
            Self::Older(kept) => write!(f, "older than the {kept} that are kept"),
            Self::Rule(rule) => write!(f, "the rule `{rule}`"),
            Self::TooMany => f.write_str("one of too many new episodes within a day"),
            Self::Withdrawn => f.write_str("taken back by its publisher"),
        }
    }
}

/// How far an episode has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// All its bytes are in the library.
    Complete {
        /// Since when.
        at: DateTime<Utc>,
        /// How many bytes.
        length: u64,
        /// The torrent that vouched for them when they came; see [`Episode::seeded_as`].
        info_hash: Option<InfoHash>,
    },
    /// It was complete, and its file is there no longer. It is not fetched again unless asked for.
    Gone {
        /// When that was noticed or done.
        at: DateTime<Utc>,
        /// The rule by which it was deleted; `None` if the owner has taken it away.
        #[serde(default)]
        why: Option<Expiry>,
    },
    /// It is known and not wanted.
    Seen {
        /// Why a new episode was not taken; `None` if it simply was there before.
        why: Option<Why>,
    },
    /// It is to be fetched, or is being fetched.
    Wanted {
        /// The owner asked for this one; otherwise it was taken as new.
        by_owner: bool,
    },
}

/// Why a file was kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// So many newer ones of its feed were there.
    Count(u32),
    /// It had been heard for so long.
    Played(Span),
    /// The library may take so many bytes.
    Quota(u64),
    /// It had been there for so long.
    Time(Span),
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "the {count} newest are kept"),
            Self::Played(Span(Duration::ZERO)) => f.write_str("it is kept until it is heard"),
            Self::Played(span) => write!(f, "it is kept for {span} once it is heard"),
            Self::Quota(bytes) => write!(f, "the library may take {}", ByteCount(*bytes)),
            Self::Time(span) => write!(f, "it is kept for {span}"),
        }
    }
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// What the file looked like when it was put there; `None` if it was there before. Only what looks so still is ever
    /// deleted without the owner's word.
    #[serde(default)]
    pub print: Option<u64>,
    /// The owner asked for it: it is deleted by his word only.
    #[serde(default)]
    pub asked: bool,
    /// The owner has changed it since: it is his.
    #[serde(default)]
    pub changed: bool,
    /// Whether what is known of the episode was written into it.
    #[serde(default)]
    pub tagged: Tagged,
}

/// Whether what is known of an episode was written into its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tagged {
    /// The file is of no kind that can hold it, or cannot be read: it stays as it came.
    Never,
    /// It is as it came.
    #[default]
    No,
    /// A copy with all that in it, which looks like this, is taking the file's place.
    Soon(u64),
    /// It was.
    Yes,
}

/// What was given back of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Bytes sent to peers.
    pub sent: u64,
    /// Seconds for which it was seeded.
    pub seconds: u64,
}

impl Shared {
    /// How many times `length` bytes were sent, in thousandths.
    pub fn ratio_milli(self, length: u64) -> u64 {
        let milli = (u128::from(self.sent) * 1000).checked_div(u128::from(length)).unwrap_or(0);
        u64::try_from(milli).unwrap_or(u64::MAX)
    }
}

/// How far an episode was heard, by whatever played it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Where playing stopped, in seconds from its beginning.
    pub position: u64,
    /// Where it had begun.
    #[serde(default)]
    pub started: u64,
    /// The playing time in seconds, as the player knows it.
    #[serde(default)]
    pub total: Option<u64>,
    /// When that was.
    pub at: DateTime<Utc>,
    /// When it first came to its end; `None` if it did not, or is to count as new again.
    #[serde(default)]
    pub ended: Option<DateTime<Utc>>,
    /// The device that played it, by the name that its app gives it; `None` if podsub did.
    #[serde(default)]
    pub device: Option<String>,
    /// Its place among all changes that apps are told of: seconds since 1970, or the next free number.
    pub stamp: u64,
}

impl Heard {
    /// It was not heard, or counts as new again.
    pub fn is_new(&self) -> bool {
        self.position == 0 && self.ended.is_none()
    }
}

/// What an app says was played of a feed that is followed, while no episode of it is known to be that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loose {
    /// The feed's address, as the app has it.
    pub podcast: String,
    /// The file's address.
    pub episode: String,
    /// The item's guid, if the app tells it.
    #[serde(default)]
    pub guid: Option<String>,
    /// How far.
    pub heard: Heard,
}

/// A feed that is followed no longer, for the apps that are yet to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Where it was polled.
    pub url: String,
    /// When it was removed; see [`Heard::stamp`].
    pub stamp: u64,
}

/// A device with an app that is kept in step with us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What its app calls it.
    pub id: String,
    /// What its owner calls it.
    #[serde(default)]
    pub caption: String,
    /// `desktop`, `laptop`, `mobile`, `server` or `other`.
    pub kind: String,
    /// When it asked last, by the day.
    pub seen: NaiveDate,
    /// The feeds that it has put into its list or was told of, by mark: only these can be missing from its list.
    #[serde(default)]
    pub knows: BTreeSet<u64>,
}

/// Something that is to be done now that an episode is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What.
    pub hook: Hook,
    /// How often a server was told in vain.
    #[serde(default)]
    pub tries: u8,
}

/// An episode that was seen in a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its number.
    pub id: EpisodeId,
    /// What the feed knows it by.
    pub guid: String,
    /// Its title, plain text.
    pub title: String,
    /// When it was released, by its feed.
    pub published: Option<DateTime<Utc>>,
    /// When the agent first saw it.
    pub first_seen: DateTime<Utc>,
    /// Playing time in seconds.
    pub duration: Option<u64>,
    /// Season, from 1.
    pub season: Option<u32>,
    /// Number within the season, from 1.
    pub number: Option<u32>,
    /// Where its chapters are.
    #[serde(default)]
    pub chapters: Option<String>,
    /// Tells whether its notes have changed.
    pub notes_mark: u64,
    /// Where it is to be had.
    pub offer: Offer,
    /// How far it has come.
    #[serde(flatten)]
    pub stage: Stage,
    /// Its file or folder, relative to the library, once it has been chosen.
    pub file: Option<String>,
    /// What its owner has given back of it.
    #[serde(default)]
    pub shared: Shared,
    /// Whose the file is.
    #[serde(default)]
    pub custody: Custody,
    /// What is yet to be done now that it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub due: Vec<Due>,
    /// It came by a single command: what is to be done for it the next agent knows.
    #[serde(default)]
    pub untold: bool,
    /// Files of earlier revisions, which are kept and no longer seeded.
    pub former: Vec<String>,
    /// The owner has paused it.
    pub paused: bool,
    /// When its publisher took it back: it is neither fetched nor seeded. What is there stays the owner's.
    #[serde(default)]
    pub withdrawn: Option<DateTime<Utc>>,
    /// How far it was heard, if it was; apart, as most never are and tens of thousands are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Box<Heard>>,
}

impl Episode {
    /// The day that its file is named after.
    pub fn day(&self) -> NaiveDate {
        self.when().date_naive()
    }

    /// When it was released, as far as that can be believed: not later than when it was first seen.
    pub fn when(&self) -> DateTime<Utc> {
        self.published.map_or(self.first_seen, |published| published.min(self.first_seen))
    }

    /// The torrent that it is kept as, else that its feed says it is.
    pub fn info_hash(&self) -> Option<InfoHash> {
        self.kept_hash().or(self.offer.info_hash)
    }

    /// The torrent that vouched for what is in the library when it came.
    pub fn kept_hash(&self) -> Option<InfoHash> {
        match self.stage {
            Stage::Complete { info_hash, .. } => info_hash,
            Stage::Gone { .. } | Stage::Seen { .. } | Stage::Wanted { .. } => None,
        }
    }

    /// The torrent that its file still is, byte for byte: what was written into it ends that.
    pub fn seeded_as(&self) -> Option<InfoHash> {
        self.kept_hash().filter(|_| matches!(self.custody.tagged, Tagged::Never | Tagged::No))
    }

    /// What rules look at, `now`; the language is its feed's.
    pub fn subject<'a>(&'a self, language: Option<&'a str>, now: DateTime<Utc>) -> Subject<'a> {
        Subject {
            title: &self.title,
            number: self.number,
            season: self.season,
            seconds: self.duration,
            age: self.published.map(|published| (now - published).to_std().unwrap_or_default()),
            size: self.offer.length(),
            mime: self.offer.mime(),
            language,
        }
    }

    /// It is to be fetched.
    pub fn is_wanted(&self) -> bool {
        matches!(self.stage, Stage::Wanted { .. })
    }

    /// It is complete: its file is there, as far as we know.
    pub fn is_there(&self) -> bool {
        matches!(self.stage, Stage::Complete { .. })
    }

    /// It is wanted, complete, or was complete.
    pub fn is_taken(&self) -> bool {
        !matches!(self.stage, Stage::Seen { .. })
    }
}

/// What a feed says about an episode, in full; kept apart since the agent decides nothing by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The episode's number.
    pub id: EpisodeId,
    /// Plain text or HTML, cut at [`Notes::MAX`] bytes.
    pub text: String,
    /// Where its own cover is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The chapters that its item has in itself, of at most [`Notes::MAX_PARTS`] bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Chapter>,
}

impl Notes {
    /// 16 KiB of notes are kept.
    pub const MAX: usize = 16 * 1024;
    /// 16 KiB of chapters are kept, as JSON.
    pub const MAX_PARTS: usize = 16 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episodes_number_is_read_as_it_is_written() {
        let id = EpisodeId { feed: FeedId(3), number: 42 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "3", "3/", "/42", "3/x", "3/-1", "3/42/1"] {
            assert!(text.parse::<EpisodeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_backlog_is_a_number_or_all() {
        assert_eq!("all".parse(), Ok(Backlog::All));
        assert_eq!("0".parse(), Ok(Backlog::Newest(0)));
        assert!("-1".parse::<Backlog>().is_err());
        assert!("some".parse::<Backlog>().is_err());
    }
}
