//! What a command asks of the agent, and what it is answered: the whole of the control API.
//!
//! A command speaks to the agent of another process or to one that lives only as long as itself; the words are the
//! same. As JSON an [`Ask`] is the body of `POST /api/v1/ask`, and a [`Reply`] that of its answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use podswarm_core::dht::scrape::Estimate;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::{BlocklistStatus, InterfaceStatus, ProxyStatus, Reached};
use podswarm_core::rate::{ByteCount, Rate};
use podswarm_core::swarm::SwarmDetail;
use podswarm_core::timetable::{LimitStatus, RateLimits};
use podswarm_feeds::chapters::Chapter;
use podswarm_feeds::poll::Counts;
use serde::{Deserialize, Serialize};

use crate::agent::{HookState, HubState};
use crate::consent::Swarms;
use crate::records::{Backlog, Episode, EpisodeId, Feed, FeedId, Heard, Shared, Source, Stage, Tagged, Why};
use crate::rules::{RuleName, Rules};
use podswarm_feeds::schedule::{Schedule, Timing};

/// What a command wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// To follow a feed; answered with [`Reply::Added`] once it has been read.
    Add {
        /// Where it is.
        url: String,
        /// What it is called until it has been read.
        #[serde(default)]
        title: Option<String>,
        /// How much of what is there to take.
        #[serde(default)]
        backlog: Option<Backlog>,
        /// When to poll it.
        #[serde(default)]
        schedule: Option<Schedule>,
        /// Follow it even if it cannot be reached now.
        #[serde(default)]
        unreachable: bool,
        /// What is wanted of it, where that is not what is wanted of all.
        #[serde(default)]
        rules: Rules,
    },
    /// The chapters of an episode, as far as they are kept; answered with [`Reply::Chapters`].
    Chapters {
        /// How people name it.
        episode: String,
    },
    /// To answer whether swarms are taken part in, as is asked once; answered with [`Reply::Swarms`].
    Consent {
        /// They are.
        takes_part: bool,
    },
    /// Where browsers find the covers that are kept; answered with [`Reply::Covers`].
    Covers,
    /// To change what is wanted of feeds; answered with [`Reply::Feeds`].
    Edit {
        /// How people name them.
        feeds: Vec<String>,
        /// What is wanted of them from now on.
        #[serde(default)]
        rules: Rules,
        /// Rules that are to be those of all feeds again.
        #[serde(default)]
        forget: Vec<RuleName>,
        /// When to poll them, if that is to change.
        #[serde(default)]
        schedule: Option<Timing>,
        /// Where the one that is named is from now on.
        #[serde(default)]
        url: Option<String>,
    },
    /// To have episodes fetched; answered with [`Reply::Episodes`] as they are then.
    Download {
        /// How people name them.
        episodes: Vec<String>,
    },
    /// The episodes; answered with [`Reply::Episodes`].
    Episodes {
        /// Only of this feed.
        #[serde(default)]
        feed: Option<String>,
    },
    /// The feeds; answered with [`Reply::Feeds`].
    Feeds,
    /// To have an episode fetched before all others; answered with [`Reply::Episodes`] as it is then.
    First {
        /// How people name it.
        episode: String,
    },
    /// To tell how far an episode was heard; answered with [`Reply::Episodes`] as it is then.
    Heard {
        /// How people name it.
        episode: String,
        /// Where playing stopped, in seconds.
        position: u64,
        /// Where it had begun.
        #[serde(default)]
        started: u64,
        /// The playing time, as the player knows it.
        #[serde(default)]
        total: Option<u64>,
    },
    /// All that is known of a feed or an episode; answered with [`Reply::Feed`] or [`Reply::Episode`].
    Info {
        /// How people name it.
        what: String,
    },
    /// To go no faster than this until the agent ends, except at the hours that have their own limits; answered with
    /// [`Reply::Limits`].
    Limit {
        /// What holds instead.
        limits: RateLimits,
    },
    /// A close look at an episode; answered with [`Reply::Look`].
    Look {
        /// How people name it.
        episode: String,
    },
    /// What is fetched or to be fetched, in the order in which it goes, then what is seeded, the fastest first;
    /// answered with [`Reply::Episodes`].
    Moving {
        /// So many at most.
        most: usize,
    },
    /// To let things rest; answered with [`Reply::Done`].
    Pause {
        /// Feeds, episodes, or `all`.
        what: Vec<String>,
    },
    /// To open what is kept to the house's network, or to close it; answered with [`Reply::Phone`].
    Phone {
        /// Which.
        wish: PhoneWish,
    },
    /// To have an episode fetched now, to be played meanwhile; answered with [`Reply::Playing`].
    Play {
        /// How people name it.
        episode: String,
    },
    /// What came into the library last, and what left it, the newest first; answered with [`Reply::Episodes`].
    Recent {
        /// So many at most.
        most: usize,
    },
    /// To follow feeds no longer; answered with [`Reply::Removed`].
    Remove {
        /// How people name them.
        feeds: Vec<String>,
        /// Delete their episodes from the library, too.
        #[serde(default)]
        delete_files: bool,
    },
    /// To let things go on; answered with [`Reply::Done`].
    Resume {
        /// Feeds, episodes, or `all`.
        what: Vec<String>,
    },
    /// How everything stands; answered with [`Reply::Status`].
    Status,
    /// To see the agent in a browser; answered with [`Reply::Web`].
    Web,
    /// To poll now; answered with [`Reply::Updated`] when every poll has ended.
    Update {
        /// Only these feeds; all if empty.
        #[serde(default)]
        feeds: Vec<String>,
    },
}

impl Ask {
    /// Whether it says which programs are run, or which servers are told, when an episode is there.
    pub fn names_hooks(&self) -> bool {
        match self {
            Self::Add { rules, .. } | Self::Edit { rules, .. } => rules.on_complete.is_some(),
            _ => false,
        }
    }
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A feed is followed.
    Added(Box<Added>),
    /// The chapters of an episode, in their order; empty if none are kept.
    Chapters(Vec<Chapter>),
    /// The addresses of the shows' covers, which hold the listener's token.
    Covers(BTreeMap<FeedId, String>),
    /// What was paused or resumed, in people's words.
    Done(Vec<String>),
    /// One episode, with its notes.
    Episode(Box<EpisodeView>),
    /// Episodes, in order of their numbers.
    Episodes(Vec<EpisodeView>),
    /// One feed.
    Feed(Box<FeedView>),
    /// Feeds, in order of their numbers.
    Feeds(Vec<FeedView>),
    /// How fast the agent may go.
    Limits(LimitStatus),
    /// An episode, looked at closely.
    Look(Box<Look>),
    /// How the phone's listener stands.
    Phone(PhoneView),
    /// An episode can be played.
    Playing(Box<Playing>),
    /// Feeds are followed no longer.
    Removed(Vec<Removed>),
    /// How everything stands.
    Status(Box<Status>),
    /// Whether swarms are taken part in.
    Swarms(Swarms),
    /// What polling brought, feed by feed.
    Updated(Vec<Updated>),
    /// Where the agent is seen in a browser.
    Web(WebPage),
}

/// What is wished of the phone's listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneWish {
    /// That it is open if it was before.
    Again,
    /// That it is closed.
    Off,
    /// That it is open.
    On {
        /// At this address.
        #[serde(default)]
        addr: Option<String>,
        /// With a new token, so that the old address is good for nothing.
        #[serde(default)]
        renew: bool,
        /// Whether apps are kept in step.
        #[serde(default)]
        sync: SyncWish,
    },
}

/// What is wished of apps that are kept in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncWish {
    /// That it stays as it is.
    #[default]
    Leave,
    /// That they are, by a new password.
    On,
    /// That none is.
    Off,
}

/// How the phone's listener stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneView {
    /// Where it listens; `None` if it is closed.
    pub addr: Option<SocketAddr>,
    /// The feed's address, with the token.
    pub url: Option<String>,
    /// What apps are kept in step by, if any is.
    #[serde(default)]
    pub sync: Option<SyncView>,
}

/// What an app is told to be kept in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncView {
    /// The server.
    pub server: String,
    /// The user's name.
    pub user: String,
    /// The password, where it was just made; it is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A feed is followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The feed as it is now.
    pub feed: FeedView,
    /// It was followed before.
    pub is_known: bool,
    /// Titles of the episodes that are wanted now.
    pub wanted: Vec<String>,
    /// Episodes that come by torrent.
    pub torrents: usize,
    /// Episodes that cannot be fetched.
    pub unfetchable: usize,
    /// Why the feed could not be read; it is followed all the same.
    pub problem: Option<String>,
}

/// An episode can be played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Playing {
    /// As it is now.
    pub episode: EpisodeView,
    /// Where players find it; it holds the listener's token.
    pub url: String,
}

/// An episode, looked at closely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// As it is now.
    pub episode: EpisodeView,
    /// Its pieces and peers; empty unless it is exchanged now.
    pub swarm: SwarmDetail,
    /// Its trackers.
    pub trackers: Vec<TrackerView>,
    /// The web servers that have it.
    pub web_seeds: Vec<WebSeedView>,
}

/// A tracker, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerView {
    /// Its announce URL.
    pub url: String,
    /// Why the last announce failed.
    pub error: Option<String>,
    /// Seeds, by its last answer.
    pub complete: Option<u32>,
    /// Leechers, by its last answer.
    pub incomplete: Option<u32>,
}

/// A web server that has the bytes of a torrent, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSeedView {
    /// Its URL.
    pub url: String,
    /// Bytes that it sent since the torrent was joined.
    pub downloaded: u64,
    /// How fast it sends.
    pub rate: Rate,
    /// Why it waits or is asked no more.
    pub error: Option<String>,
}

/// Where the agent is seen in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebPage {
    /// The address, which lets one browser in, once and within ten minutes.
    pub url: String,
}

/// A feed is followed no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its number, which is not used again.
    pub id: FeedId,
    /// The show's name.
    pub title: String,
    /// Where its episodes are, or were.
    pub folder: PathBuf,
    /// Episodes that were complete.
    pub files: usize,
    /// They were deleted.
    pub is_deleted: bool,
}

/// What polling a feed brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Its number.
    pub id: FeedId,
    /// The show's name.
    pub title: String,
    /// 200 for the whole feed, 304 for no change, `None` if it failed.
    pub status: Option<u16>,
    /// Episodes never seen before.
    pub new: usize,
    /// Episodes that are wanted since.
    pub wanted: usize,
    /// Why it failed.
    pub error: Option<String>,
}

/// A feed, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedView {
    /// Its number.
    pub id: FeedId,
    /// Where it is.
    pub url: String,
    /// The show's name; empty if the feed has never been read.
    pub title: String,
    /// Its folder in the library.
    pub folder: Option<PathBuf>,
    /// When it was subscribed to.
    pub added: DateTime<Utc>,
    /// The owner's schedule.
    pub schedule: Option<Schedule>,
    /// The owner's rules for it alone, without secrets.
    #[serde(default)]
    pub rules: Rules,
    /// The owner has paused it.
    pub is_paused: bool,
    /// Its publisher says that it is gone for good.
    pub is_gone: bool,
    /// Episodes that were seen.
    pub episodes: usize,
    /// Episodes that are to be fetched.
    pub wanted: usize,
    /// Episodes that are in the library.
    pub complete: usize,
    /// When it is polled next.
    pub next_poll: Option<DateTime<Utc>>,
    /// When its host last answered as it should.
    pub last_poll: Option<DateTime<Utc>>,
    /// What went wrong since.
    pub last_error: Option<String>,
    /// Where it tells of its news.
    pub events_url: Option<String>,
    /// That is being listened to.
    pub is_listening: bool,
    /// How it stands with the hub that it names (`WebSub`), if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubState>,
    /// The name of its cover, which changes with it, if that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// Why its episodes are in no swarm, if they are in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarms: Option<Swarms>,
    /// What polling has cost and saved.
    pub polls: Counts,
}

/// An episode, for people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeView {
    /// Its number.
    pub id: EpisodeId,
    /// What its feed knows it by.
    pub guid: String,
    /// Its title.
    pub title: String,
    /// The show's name.
    pub show: String,
    /// When it was released.
    pub published: Option<DateTime<Utc>>,
    /// Playing time in seconds.
    pub duration: Option<u64>,
    /// Season, from 1.
    pub season: Option<u32>,
    /// Number within the season, from 1.
    pub number: Option<u32>,
    /// How far it is.
    pub stage: StageName,
    /// Why it was not taken, or is kept no longer.
    pub why: Option<String>,
    /// The owner asked for it, so that no rule deletes it.
    #[serde(default)]
    pub asked: bool,
    /// When it was complete, or was found to be gone.
    pub since: Option<DateTime<Utc>>,
    /// Bytes of its file, once it is complete, else what the feed says.
    pub length: Option<u64>,
    /// It or its feed is paused.
    pub is_paused: bool,
    /// When its publisher took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<DateTime<Utc>>,
    /// Where its file is or will be.
    pub path: Option<PathBuf>,
    /// Files of earlier revisions.
    pub former: Vec<PathBuf>,
    /// What is known of it was written into its file.
    #[serde(default)]
    pub tagged: bool,
    /// The torrent it is or is said to be.
    pub info_hash: Option<InfoHash>,
    /// Where it is to be had, best first.
    pub sources: Vec<Source>,
    /// What was given back of it.
    #[serde(default)]
    pub shared: Shared,
    /// Why it is seeded no longer, if it is enough.
    #[serde(default)]
    pub seeded: Option<String>,
    /// What is in the way.
    pub trouble: Option<String>,
    /// How its download or its seeding stands.
    pub transfer: Option<Transfer>,
    /// How far it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
    /// What its feed says about it; only where one episode was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// How far an episode is; see [`Stage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// All its bytes are in the library.
    Complete,
    /// Its file was taken away.
    Gone,
    /// It is known and not wanted.
    Seen,
    /// It is to be fetched.
    Wanted,
}

/// How a download or the seeding of a file stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// `checking`, `downloading`, `paused`, `seeding`, `failed`.
    pub state: String,
    /// Bytes in all; `None` while unknown.
    pub length: Option<u64>,
    /// Bytes that are there.
    pub have: u64,
    /// Bytes sent to peers since the agent began.
    pub uploaded: u64,
    /// How fast it comes in.
    pub down_rate: Rate,
    /// How fast it goes out.
    pub up_rate: Rate,
    /// Peers connected; `None` for a plain download.
    pub peers: Option<u32>,
    /// Web servers that are sending.
    #[serde(default)]
    pub web_seeds: u32,
    /// Seconds left.
    pub eta_seconds: Option<u64>,
    /// How the swarm stands, as the tracker tells that knows most of it; `None` if none tells.
    #[serde(default)]
    pub tracker: Option<TrackerFigures>,
    /// How it stands by the distributed hash table, roughly, which is asked while no tracker tells.
    #[serde(default)]
    pub dht: Option<Estimate>,
}

/// How a swarm stands, as a tracker tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerFigures {
    /// Peers that have everything.
    pub seeds: u32,
    /// Peers that still want something.
    pub peers: u32,
    /// Downloads that became whole, ever; `None` if it does not tell.
    pub downloads: Option<u32>,
}

impl Transfer {
    /// How much is there, of a hundred; `None` while the length is unknown.
    pub fn percent(&self) -> Option<u64> {
        let length = self.length.filter(|length| *length > 0)?;
        Some(u64::try_from(u128::from(self.have.min(length)) * 100 / u128::from(length)).unwrap_or(100))
    }
}

/// How everything stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's process; `None` if none runs.
    pub pid: Option<u32>,
    /// Where the library is.
    pub library: PathBuf,
    /// Bytes that are free there.
    pub free: Option<ByteCount>,
    /// Bytes of them that are kept free.
    pub reserve: Option<ByteCount>,
    /// Bytes of all episodes that are there.
    #[serde(default)]
    pub kept: ByteCount,
    /// Bytes that they may take.
    #[serde(default)]
    pub quota: Option<ByteCount>,
    /// All feeds.
    pub feeds: Vec<FeedView>,
    /// Episodes that are to be fetched, in the order in which they go.
    pub downloads: Vec<EpisodeView>,
    /// What is seeded, all together.
    pub seeding: SeedTotals,
    /// What comes in and goes out, all together.
    #[serde(default)]
    pub traffic: Traffic,
    /// How fast the agent may go; `None` if nothing is exchanged with peers.
    #[serde(default)]
    pub limits: Option<LimitStatus>,
    /// How long an episode is seeded.
    #[serde(default)]
    pub enough: String,
    /// Why nothing is seeded now, if it would be at other times.
    #[serde(default)]
    pub rests: Option<String>,
    /// Nodes of the distributed hash table that are known; `None` if none are asked.
    #[serde(default)]
    pub dht_nodes: Option<usize>,
    /// Whether peers outside can dial us; `None` if nothing is exchanged with peers.
    #[serde(default)]
    pub reached: Option<Reached>,
    /// The proxy through which everything goes, if there is one.
    #[serde(default)]
    pub proxy: Option<ProxyStatus>,
    /// The interface by which alone everything goes, if there is one.
    #[serde(default)]
    pub interface: Option<InterfaceStatus>,
    /// The block list, if there is one.
    #[serde(default)]
    pub blocklist: Option<BlocklistStatus>,
    /// What is to be done for episodes that are there and is yet to be done, or could not be.
    #[serde(default)]
    pub hooks: Vec<HookState>,
    /// The owner's rules for all feeds, without secrets.
    #[serde(default)]
    pub rules: Rules,
    /// Whether swarms are taken part in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarms: Option<Swarms>,
}

/// What comes in and goes out, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// How fast it comes in, from peers and servers.
    pub down_rate: Rate,
    /// How fast it goes out to peers.
    pub up_rate: Rate,
    /// Peers connected.
    pub peers: u32,
}

/// What is seeded, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedTotals {
    /// Torrents.
    pub torrents: usize,
    /// Peers connected.
    pub peers: u32,
    /// How fast it goes out.
    pub up_rate: Rate,
    /// Bytes sent since the agent began.
    pub uploaded: u64,
}

impl FeedView {
    /// The show's name, or the feed's URL while the name is not known.
    pub fn name(&self) -> &str {
        if self.title.is_empty() { &self.url } else { &self.title }
    }

    /// What a record says by itself; the counts, the next poll and the cover are the agent's to fill in.
    pub fn new(feed: &Feed) -> Self {
        Self {
            id: feed.id,
            url: feed.url().to_string(),
            title: feed.title.clone(),
            folder: None,
            added: feed.added,
            schedule: feed.schedule.clone(),
            rules: feed.rules.without_secrets(),
            is_paused: feed.paused,
            is_gone: feed.poll.gone,
            episodes: 0,
            wanted: 0,
            complete: 0,
            next_poll: None,
            last_poll: feed.poll.checked_at,
            last_error: feed.poll.last_error.clone(),
            events_url: feed.events_url.clone(),
            is_listening: false,
            hub: None,
            cover: None,
            swarms: None,
            polls: feed.poll.counts,
        }
    }
}

impl EpisodeView {
    /// What the records say by themselves; trouble, transfer, paths and notes are the agent's to fill in.
    pub fn new(episode: &Episode, feed: &Feed) -> Self {
        let said = episode.offer.length;
        let (stage, why, since, length) = match &episode.stage {
            Stage::Complete { at, length, .. } => (StageName::Complete, None, Some(*at), Some(*length)),
            Stage::Gone { at, why } => {
                let why = why.map(|why| why.to_string());
                (StageName::Gone, why, Some(*at), said)
            }
            Stage::Seen { why } => {
                let why = why.clone().or(episode.offer.unfetchable()).unwrap_or(Why::Backlog);
                (StageName::Seen, Some(why.to_string()), None, said)
            }
            Stage::Wanted { .. } => (StageName::Wanted, None, None, said),
        };
        Self {
            id: episode.id,
            guid: episode.guid.clone(),
            title: episode.title.clone(),
            show: feed.name().to_owned(),
            published: episode.published,
            duration: episode.duration,
            season: episode.season,
            number: episode.number,
            stage,
            why,
            asked: episode.custody.asked,
            since,
            length,
            is_paused: episode.paused || feed.paused,
            withdrawn: episode.withdrawn,
            path: None,
            former: Vec::new(),
            tagged: episode.custody.tagged == Tagged::Yes,
            info_hash: episode.info_hash(),
            sources: episode.offer.sources.clone(),
            shared: episode.shared,
            seeded: None,
            trouble: None,
            transfer: None,
            heard: episode.heard.as_deref().cloned(),
            notes: None,
        }
    }
}
