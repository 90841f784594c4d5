//! What passes between a command and the daemon, and what `--json` prints: the same shapes.

use std::fmt;

use chrono::{DateTime, Utc};
use podswarm_core::app::ApiError;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::{BlocklistStatus, Discovery, InterfaceStatus, ProxyStatus, Reached};
use podswarm_core::rate::Rate;
use podswarm_feeds::Tags;
use qrcode::QrCode;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::check::Finding;
use crate::feed_length::FeedLength;
use crate::hooks::HookStatus;
use crate::library::{Library, LibraryError};
use crate::publish::{EpisodeFields, Intake, Said};
use crate::reach::Reach;
use crate::record::{EpisodeRecord, Moved, ShowRecord};
use crate::render::feed;
use crate::rhythm::Rhythm;
use crate::shows::ShowFields;
use crate::slug::Slug;
use crate::subscribers::SubscriberRecord;
use crate::tokens::{Role, TokenRecord};
use crate::urls::Urls;

/// A show to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct NewShow {
    /// Its slug; made from the title if absent.
    pub(crate) slug: Option<Slug>,
    /// What is said of it.
    pub(crate) fields: ShowFields,
    /// What it brings from where it was published before.
    #[serde(default)]
    pub(crate) history: Option<History>,
    /// Whether only its subscribers are to be let in, for ever.
    #[serde(default)]
    pub(crate) private: bool,
}

/// What a show brings from where it was published before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct History {
    /// Its name for ever.
    pub(crate) podcast_guid: Uuid,
    /// Its categories after the first.
    pub(crate) more_categories: Vec<String>,
    /// Whether its episodes are to be heard in their order.
    pub(crate) is_serial: bool,
}

/// Which show is meant.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowName {
    /// Its slug or title.
    pub(crate) show: String,
}

/// A show that moves to another host, or back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MoveShow {
    /// Its slug or title.
    pub(crate) show: String,
    /// Where to; `None` back.
    pub(crate) moved: Option<Moved>,
}

/// An export that is to be brought in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TakeIn {
    /// The folder it lies in, on the daemon's machine.
    pub(crate) folder: String,
    /// Whether its files may be moved away.
    pub(crate) is_ours: bool,
}

/// A show to be changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EditShow {
    /// Its slug or title; the only show if absent.
    pub(crate) show: Option<String>,
    /// What is said of it.
    pub(crate) fields: ShowFields,
}

/// A token to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct NewToken {
    /// Who will have it.
    pub(crate) name: String,
    /// What it is to open.
    pub(crate) role: Role,
}

/// A token, for people and programs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TokenInfo {
    /// Who has it.
    pub(crate) name: String,
    /// What it opens.
    pub(crate) role: Role,
    /// When it was made.
    pub(crate) created: DateTime<Utc>,
}

impl From<TokenRecord> for TokenInfo {
    fn from(TokenRecord { name, role, sha256: _, created }: TokenRecord) -> Self {
        Self { name, role, created }
    }
}

/// A token that was just made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct MadeToken {
    /// What it is.
    #[serde(flatten)]
    pub(crate) info: TokenInfo,
    /// The token itself, which is told this once.
    pub(crate) token: String,
    /// The dashboard, opened with it.
    pub(crate) dashboard: Url,
}

impl MadeToken {
    /// The token that is `text`, under these addresses.
    pub(crate) fn new(record: TokenRecord, text: String, urls: &Urls) -> Self {
        let mut dashboard = urls.dashboard();
        // What stands behind the `#` stays in the browser.
        dashboard.set_fragment(Some(&text));
        Self { info: record.into(), token: text, dashboard }
    }
}

/// Somebody who is to be let in to a private show.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct NewSubscriber {
    /// The show's slug or title; the only show if absent.
    #[serde(default)]
    pub(crate) show: Option<String>,
    /// Who it is.
    pub(crate) name: String,
}

/// A subscriber of a private show.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SubscriberInfo {
    /// The show's slug.
    pub(crate) show: Slug,
    /// Who it is.
    pub(crate) name: String,
    /// Since when.
    pub(crate) created: DateTime<Utc>,
}

impl From<SubscriberRecord> for SubscriberInfo {
    fn from(SubscriberRecord { show, name, sha256: _, created }: SubscriberRecord) -> Self {
        Self { show, name, created }
    }
}

/// A subscriber who was just let in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct MadeSubscriber {
    /// Who.
    #[serde(flatten)]
    pub(crate) info: SubscriberInfo,
    /// His address of the podcast feed, which is told this once.
    pub(crate) feed: Url,
    /// His address of the show's page.
    pub(crate) page: Url,
    /// The feed's address as a QR code: its rows from the top, each of ones, which are dark, and zeros. Absent if the
    /// address is too long for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) qr: Option<Vec<String>>,
}

impl MadeSubscriber {
    /// The subscriber whose token is `token`, under these addresses.
    pub(crate) fn new(record: SubscriberRecord, token: &str, urls: &Urls) -> Self {
        let urls = urls.for_subscriber(token);
        let (feed, page) = (urls.document(&record.show, "feed.xml"), urls.show(&record.show));
        let qr = qr_code(feed.as_str());
        Self { info: record.into(), feed, page, qr }
    }
}

/// The rows of a QR code, if one can hold the text.
fn qr_code(text: &str) -> Option<Vec<String>> {
    let code = QrCode::new(text).ok()?;
    let rows = code.to_colors();
    Some(rows.chunks(code.width()).map(|row| row.iter().map(|it| it.select('1', '0')).collect()).collect())
}

/// Something to be published by the daemon.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PublishRequest {
    /// Where it is.
    pub(crate) source: RequestSource,
    /// Its name, if not as the path ends.
    pub(crate) name: Option<String>,
    /// Whether the original is served where it is.
    pub(crate) in_place: bool,
    /// What was said of it.
    pub(crate) said: Said,
    /// The episode whose content it replaces, if it is not a new one.
    #[serde(default)]
    pub(crate) replaces: Option<EpisodeName>,
    /// Whether it is to be published though directories would refuse it.
    #[serde(default)]
    pub(crate) anyway: bool,
}

/// Which episode is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EpisodeName {
    /// The show's slug or title; any show if absent.
    pub(crate) show: Option<String>,
    /// The episode's title, page, file or guid.
    pub(crate) episode: String,
}

/// An episode to be changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EditEpisode {
    /// Which one.
    #[serde(flatten)]
    pub(crate) name: EpisodeName,
    /// What is said of it.
    pub(crate) fields: EpisodeFields,
}

/// An episode to be taken back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Unpublish {
    /// Which one.
    #[serde(flatten)]
    pub(crate) name: EpisodeName,
    /// Whether the library's copy of it goes, too.
    pub(crate) delete_file: bool,
}

/// An episode that was taken back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Unpublished {
    /// Always `unpublished`.
    pub(crate) event: String,
    /// The episode as it was.
    pub(crate) episode: EpisodeInfo,
    /// Where its content lies still, as a path on the publisher's machine.
    pub(crate) kept: Option<String>,
}

impl PublishRequest {
    /// What the daemon does with content that it found at a path.
    pub(crate) const fn intake(&self) -> Intake {
        if self.in_place { Intake::InPlace } else { Intake::Copy }
    }
}

/// Where content is that the daemon is to publish.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestSource {
    /// On the daemon's machine, by its absolute path.
    Path(String),
    /// In an upload.
    Upload(Uuid),
}

/// Where an upload goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Upload {
    /// Its name in a [`PublishRequest`].
    pub(crate) upload: Uuid,
}

/// A line of the daemon's answer to a [`PublishRequest`].
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublishLine {
    /// How far the hashing is.
    Hashing {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is published; the last line.
    Published(Box<Published>),
    /// The daemon cannot read the path; the bytes may be uploaded instead. The last line.
    Unreadable(ApiError),
    /// Directories would refuse it, and the show is for them; with `anyway` it is published all the same. An upload is
    /// still there, as it was. The last line.
    Refused {
        /// Why, with what mends it.
        findings: Vec<Finding>,
    },
}

/// A published episode.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of what `--json` prints")]
pub(crate) struct Published {
    /// Always `published`.
    pub(crate) event: String,
    /// The show.
    pub(crate) show: ShowInfo,
    /// The episode.
    pub(crate) episode: EpisodeInfo,
    /// Whether the show had it before.
    pub(crate) already: bool,
    /// Whether it has other content than before.
    #[serde(default)]
    pub(crate) revised: bool,
    /// Whether the show was made for it.
    pub(crate) is_new_show: bool,
    /// Whether it is served now.
    pub(crate) live: bool,
    /// Full copies that others hold, in thousandths.
    pub(crate) copies_milli: u64,
    /// What its owner should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Published {
    /// Tells of an episode that was just recorded, and that nobody serves yet; its show has so many now.
    pub(crate) fn new(show: &ShowRecord, episodes: usize, episode: &EpisodeRecord, urls: &Urls) -> Self {
        Self {
            event: "published".to_owned(),
            show: ShowInfo::new(show, episodes, urls),
            episode: EpisodeInfo::new(episode, urls),
            already: false,
            revised: false,
            is_new_show: false,
            live: false,
            copies_milli: 0,
            warnings: Vec::new(),
        }
    }
}

/// A show, for people and programs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShowInfo {
    /// Its slug.
    pub(crate) slug: Slug,
    /// Its title.
    pub(crate) title: String,
    /// Its permanent name, whatever its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) podcast_guid: Option<Uuid>,
    /// Where its feeds lead, if it has moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moved_to: Option<Url>,
    /// Whether only its subscribers are let in; then the addresses below have something in the place of their tokens.
    #[serde(default)]
    pub(crate) is_private: bool,
    /// Whether what is published in it is held to the rules of directories.
    #[serde(default)]
    pub(crate) is_listed: bool,
    /// Its podcast feed.
    pub(crate) feed: Url,
    /// Its torrent feed.
    pub(crate) torrents: Url,
    /// Its page.
    pub(crate) page: Url,
    /// Its episodes, those not out yet among them.
    pub(crate) episodes: usize,
    /// When they appear, if they have times of their own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) rhythm: Option<Rhythm>,
    /// How many episodes a document of its feeds holds.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(crate) feed_length: FeedLength,
    /// How fast peers are sent each of its episodes at most, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) episode_up: Option<Rate>,
    /// How peers of its episodes are found.
    #[serde(default)]
    #[schema(value_type = String)]
    pub(crate) find_peers: Discovery,
    /// What is said of it in the podcast namespace.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub(crate) tags: Tags,
}

impl ShowInfo {
    /// All shows of the library under these addresses.
    pub(crate) fn all(library: &Library, urls: &Urls) -> Result<Vec<Self>, LibraryError> {
        let info = |show: &ShowRecord| Ok(Self::new(show, library.episodes(&show.slug)?.len(), urls));
        library.shows()?.iter().map(info).collect()
    }

    /// Where its feed is, for people; of a private show, where that is said.
    pub(crate) fn found_at(&self) -> String {
        if self.is_private {
            return format!("private, at an address of each subscriber: `podpub subscriber list --show {}`", self.slug);
        }
        self.feed.to_string()
    }

    /// The show under these addresses.
    pub(crate) fn new(show: &ShowRecord, episodes: usize, urls: &Urls) -> Self {
        let urls = &*urls.of(show.is_private);
        Self {
            slug: show.slug.clone(),
            title: show.title.clone(),
            podcast_guid: show.podcast_guid,
            moved_to: show.moved.as_ref().map(|moved| moved.feed.clone()),
            is_private: show.is_private,
            is_listed: show.is_listed(),
            feed: urls.document(&show.slug, "feed.xml"),
            torrents: urls.document(&show.slug, "torrents.xml"),
            page: urls.show(&show.slug),
            episodes,
            rhythm: show.rhythm.clone(),
            feed_length: show.feed_length,
            episode_up: show.episode_up,
            find_peers: show.find_peers,
            tags: show.tags.clone(),
        }
    }
}

/// An episode, for people and programs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EpisodeInfo {
    /// The show's slug.
    pub(crate) show: Slug,
    /// Names the episode for ever.
    pub(crate) guid: String,
    /// Its title.
    pub(crate) title: String,
    /// The name of its file.
    pub(crate) file: String,
    /// The date it bears.
    pub(crate) published: DateTime<Utc>,
    /// Whether it is out.
    pub(crate) released: bool,
    /// Whether it waits for its owner's word.
    #[serde(default)]
    pub(crate) draft: bool,
    /// Show notes, plain text.
    #[serde(default)]
    pub(crate) notes: Option<String>,
    /// The season, from 1.
    #[serde(default)]
    pub(crate) season: Option<u32>,
    /// The number, from 1.
    #[serde(default)]
    pub(crate) number: Option<u32>,
    /// What the season is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number_name: Option<String>,
    /// What is said of it in the podcast namespace.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub(crate) tags: Tags,
    /// How long it plays, in milliseconds.
    pub(crate) duration_ms: Option<u64>,
    /// Bytes of all its files.
    pub(crate) length: u64,
    /// What its swarm is known by.
    #[schema(value_type = String)]
    pub(crate) info_hash: InfoHash,
    /// Its page.
    pub(crate) page: Url,
    /// The file that ordinary apps are given.
    pub(crate) media: Url,
    /// Its `.torrent` file.
    pub(crate) torrent: Url,
    /// Its magnet link; a private one has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) magnet: Option<String>,
}

impl EpisodeInfo {
    /// The episode under these addresses.
    pub(crate) fn new(episode: &EpisodeRecord, urls: &Urls) -> Self {
        let urls = &*urls.of(episode.is_private);
        Self {
            show: episode.show.clone(),
            guid: episode.guid.clone(),
            title: episode.title.clone(),
            file: episode.file.clone(),
            published: episode.published,
            released: episode.released,
            draft: episode.draft,
            notes: episode.notes.clone(),
            season: episode.season,
            number: episode.number,
            season_name: episode.season_name.clone(),
            number_name: episode.number_name.clone(),
            tags: episode.tags.clone(),
            duration_ms: episode.duration_ms,
            length: episode.length,
            info_hash: episode.info_hash,
            page: urls.episode(&episode.show, &episode.file),
            media: feed::media_url(episode, urls),
            torrent: urls.torrent(&episode.show, &episode.file),
            magnet: feed::magnet(episode, urls).map(|magnet| magnet.to_string()),
        }
    }
}

/// How a publisher stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// Whether a daemon serves; without one there are no live figures.
    pub(crate) serving: bool,
    /// The daemon's program and version.
    pub(crate) version: Option<String>,
    /// The public URL.
    pub(crate) public_url: Option<Url>,
    /// Where it listens, as `kind IP:PORT`.
    pub(crate) listening: Vec<Listening>,
    /// The certificate that is shown over https, if it is served here.
    #[serde(default)]
    pub(crate) certificate: Option<CertificateStatus>,
    /// Bytes a second to peers, now.
    pub(crate) up_rate: u64,
    /// Bytes sent to peers since the start.
    pub(crate) uploaded: u64,
    /// Bytes of media sent over HTTP since the start.
    pub(crate) sent_over_http: u64,
    /// Downloads over HTTP now; `None` if nothing is served.
    #[serde(default)]
    pub(crate) over_http: Option<UplinkStatus>,
    /// The mirror, if there is one.
    #[serde(default)]
    pub(crate) mirror: Option<MirrorStatus>,
    /// Nodes of the distributed hash table that are known; `None` if none are asked.
    #[serde(default)]
    pub(crate) dht_nodes: Option<usize>,
    /// Whether peers outside can dial us; `None` if nothing is served.
    #[serde(default)]
    pub(crate) reached: Option<Reached>,
    /// From where listeners reach us; `None` if nothing is served.
    #[serde(default)]
    pub(crate) reach: Option<Reach>,
    /// How the owner's hooks have done.
    #[serde(default)]
    pub(crate) hooks: Vec<HookStatus>,
    /// The proxy through which everything goes out, if there is one.
    #[serde(default)]
    pub(crate) proxy: Option<ProxyStatus>,
    /// The interface by which alone the engine speaks, if there is one.
    #[serde(default)]
    pub(crate) interface: Option<InterfaceStatus>,
    /// The block list, if there is one.
    #[serde(default)]
    pub(crate) blocklist: Option<BlocklistStatus>,
    /// The watched folder, if there is one.
    #[serde(default)]
    pub(crate) watched: Option<WatchedStatus>,
    /// All episodes, newest first in each show.
    pub(crate) episodes: Vec<EpisodeStatus>,
}

/// How the watched folder stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WatchedStatus {
    /// Where it is.
    pub(crate) folder: String,
    /// Why it cannot be read, if it cannot.
    pub(crate) error: Option<String>,
    /// Files published from it since the start.
    pub(crate) published: u64,
    /// Files that are not whole yet, or whose turn has not come.
    pub(crate) waiting: Vec<String>,
    /// Files that need somebody to see to them.
    pub(crate) failed: Vec<WatchedFile>,
}

/// A file of the watched folder that was tried in vain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WatchedFile {
    /// Its name below the folder.
    pub(crate) file: String,
    /// What is wrong with it.
    pub(crate) error: String,
}

/// How the certificate stands that is shown over https.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CertificateStatus {
    /// The names and addresses that it is for.
    pub(crate) names: Vec<String>,
    /// When it ends; `None` if there is none yet.
    pub(crate) ends: Option<DateTime<Utc>>,
    /// What is wrong with it, or soon will be.
    pub(crate) trouble: Option<String>,
}

/// How downloads over HTTP share the uplink with peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct UplinkStatus {
    /// Downloads under way.
    pub(crate) downloads: usize,
    /// What they are sent in a second, in bytes.
    #[schema(value_type = u64)]
    pub(crate) rate: Rate,
    /// The part of a full line that they have, in percent; `None` while they need not wait for peers.
    pub(crate) percent: Option<u8>,
}

impl fmt::Display for UplinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { downloads, rate, percent } = self;
        write!(f, "{downloads} download{} over HTTP, now {rate}", if *downloads == 1 { "" } else { "s" })?;
        match percent {
            Some(percent) => write!(f, "; of a full line they have {percent} %, peers the rest"),
            None => Ok(()),
        }
    }
}

/// How the mirror stands, to which downloads are led while the line is full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct MirrorStatus {
    /// Where it is.
    pub(crate) url: Url,
    /// Requests that were led there since the start.
    pub(crate) led: u64,
    /// Why it, or a file of it, was left alone last, until that is well again.
    pub(crate) trouble: Option<String>,
}

/// An address that a daemon listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Listening {
    /// Always `listening`.
    pub(crate) event: String,
    /// `http`, `https`, `udp-tracker`, `peer` or `metrics`.
    pub(crate) kind: String,
    /// The address.
    #[schema(value_type = String)]
    pub(crate) addr: std::net::SocketAddr,
}

impl Listening {
    /// Something of that kind listens there.
    pub(crate) fn new(kind: &str, addr: std::net::SocketAddr) -> Self {
        Self { event: "listening".to_owned(), kind: kind.to_owned(), addr }
    }

    /// Which port of the world leads here, where an authority looks whether a name does; `None` if none.
    pub(crate) fn as_proof(&self) -> Option<String> {
        let port = match &*self.kind {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        Some(format!("port {port} to {}", self.addr))
    }
}

/// How an episode stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EpisodeStatus {
    /// The episode.
    #[serde(flatten)]
    pub(crate) episode: EpisodeInfo,
    /// What is wrong with it, if anything is.
    pub(crate) error: Option<String>,
    /// Live figures; `None` if it is not served.
    pub(crate) swarm: Option<SwarmStatus>,
}

/// How an episode's swarm stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SwarmStatus {
    /// Peers connected to us.
    pub(crate) peers: u32,
    /// Peers on the tracker that have everything, our own seed among them.
    pub(crate) complete: u32,
    /// Peers on the tracker that are fetching.
    pub(crate) incomplete: u32,
    /// Downloads that became whole since the start.
    pub(crate) downloaded: u32,
    /// Bytes sent to peers since the start.
    pub(crate) uploaded: u64,
    /// Bytes a second to peers, now.
    pub(crate) up_rate: u64,
    /// Full copies that others hold, in thousandths.
    pub(crate) copies_milli: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_a_square_of_rows_with_a_mark_in_three_corners() {
        let rows = qr_code(&format!("https://pods.example/private/{}/shows/friends/feed.xml", "f".repeat(64))).unwrap();
        assert!(rows.iter().all(|row| row.len() == rows.len() && row.bytes().all(|it| matches!(it, b'0' | b'1'))));
        let mark = "1111111";
        assert!(rows[0].starts_with(mark) && rows[0].ends_with(mark) && rows.last().unwrap().starts_with(mark));
        assert_eq!(qr_code(&"f".repeat(5000)), None);
    }
}
