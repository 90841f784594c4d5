//! The publisher's state on disk: the store, and the folders beside it.
//!
//! ```text
//! journal/ index/            the records (core's store)
//! media/SLUG/FILE            an episode's file or folder; cover-XXXXXXXX.jpg
//! torrents/SLUG/FILE.torrent its metainfo, without tracker and web seed: those are added when it is served
//! resume/HASH                the engine's note that the content was checked
//! keys/SLUG.ed25519          the show's key
//! staging/                   what is not published yet; emptied at every start
//! ```
//!
//! Blocking; an async caller uses `spawn_blocking` for anything that touches media.
//!
//! Law: an episode's files are in place before its record is stored, and whatever no record names and a publish left
//! behind is gone after the next start.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use podswarm_core::app::upgrade::StateShape;
use podswarm_core::app::{DataDir, write_atomic};
use podswarm_core::metainfo::{InfoHash, Metainfo, MetainfoError};
use podswarm_core::net::Discovery;
use podswarm_core::store::{OpenReport, Store, StoreError};
use podswarm_feeds::date::to_the_second;
use podswarm_feeds::{Tags, Withdrawal};

use crate::cover::Cover;
use crate::feed_length::FeedLength;
use crate::hooks::{DeliveryRecord, Occasion, UntoldRecord, Wanted};
use crate::hub::SubscriptionRecord;
use crate::keys::{self, KeyError};
use crate::publish::{EpisodeFields, SaidError};
use crate::record::{
    CopiedRecord, DayRecord, Ending, EpisodeRecord, EventKind, EventRecord, Image, Moved, Place, PublicUrlRecord,
    RenderedRecord, ShowRecord,
};
use crate::shows::{FieldError, ShowFields};
use crate::slug::{Slug, page_name};
use crate::subscribers::{SubscriberError, SubscriberRecord};
use crate::tokens::{TokenError, TokenRecord};
use crate::transcript::{Transcript, TranscriptFile};
use crate::wire::History;

/// A handle on the state; clones share it.
#[derive(Clone)]
pub(crate) struct Library {
    root: PathBuf,
    store: Store,
}

/// Why the library refused or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// The records.
    #[error("the library's records")]
    Store(#[from] StoreError),
    /// A show's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Something said of a show.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A folder or file of the library.
    #[error("{action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A torrent in the library that does not parse.
    #[error("the library's own `{path}`")]
    Torrent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MetainfoError,
    },
    /// A show that is not there.
    #[error("there is no show `{wanted}`; there {}", list(.known))]
    NoShow {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<Slug>,
    },
    /// Several shows, and none was named.
    #[error("there are several shows: {}", join(.known))]
    WhichShow {
        /// What there is.
        known: Vec<Slug>,
    },
    /// An episode that is not there.
    #[error("there is no episode `{wanted}`")]
    NoEpisode {
        /// What was asked for.
        wanted: String,
    },
    /// Several episodes that could be meant.
    #[error("there are several episodes `{wanted}`: {}", .known.join(", "))]
    WhichEpisode {
        /// What was asked for.
        wanted: String,
        /// The names of those.
        known: Vec<String>,
    },
    /// An episode that is out, and is to appear later.
    #[error("“{title}” is out already; it cannot appear later")]
    IsOut {
        /// Its title.
        title: String,
    },
    /// Something said of an episode.
    #[error(transparent)]
    Said(#[from] SaidError),
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A subscriber of a private show.
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    /// A private show whose feeds should lead elsewhere.
    #[error("the show `{show}` is private: its feeds cannot lead elsewhere, since each subscriber has his own")]
    StaysPrivate {
        /// The show.
        show: Slug,
    },
    /// A show with that slug is there already.
    #[error("there is a show `{slug}` already: {title}")]
    ShowExists {
        /// Its slug.
        slug: Slug,
        /// Its title.
        title: String,
    },
}

impl LibraryError {
    /// Whether what was named is not there.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::NoShow { .. }
                | Self::NoEpisode { .. }
                | Self::Token(TokenError::None(_))
                | Self::Subscriber(SubscriberError::None { .. })
        )
    }

    /// The way out, if one is known.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Store(error) => return error.hint().map(Into::into),
            Self::Token(error) => return error.hint(),
            Self::Subscriber(error) => return error.hint(),
            Self::NoShow { known, .. } if known.is_empty() => "make one with `podpub init --title TITLE`".to_owned(),
            Self::NoShow { .. } => "make it with `podpub init --title TITLE`, or name another with --show".to_owned(),
            Self::WhichShow { .. } => "say which with --show".to_owned(),
            Self::NoEpisode { .. } => {
                "see `podpub episodes`; an episode is named by its title, its page or its guid".to_owned()
            }
            Self::WhichEpisode { .. } => "name one by its page or its guid".to_owned(),
            Self::IsOut { .. } => "take it back with `podpub unpublish`, and publish it again".to_owned(),
            Self::ShowExists { slug, .. } => {
                format!("change it with `podpub edit --show {slug}`, or make another under another --show")
            }
            _ => return None,
        })
    }
}

fn join(slugs: &[Slug]) -> String {
    slugs.iter().map(Slug::as_str).collect::<Vec<_>>().join(", ")
}

fn list(known: &[Slug]) -> String {
    if known.is_empty() { "is none yet".to_owned() } else { format!("are: {}", join(known)) }
}

/// The folders of a library, beside those of the store.
const FOLDERS: [&str; 5] = ["media", "torrents", "resume", "keys", "staging"];

/// What this version knows of the state in `dir`.
pub(crate) fn shape(dir: &DataDir) -> StateShape {
    StateShape::new(dir, &["keys", "acme", "listeners"])
        .with::<CopiedRecord>()
        .with::<DayRecord>()
        .with::<DeliveryRecord>()
        .with::<EpisodeRecord>()
        .with::<EventRecord>()
        .with::<PublicUrlRecord>()
        .with::<RenderedRecord>()
        .with::<ShowRecord>()
        .with::<SubscriptionRecord>()
        .with::<TokenRecord>()
        .with::<SubscriberRecord>()
        .with::<UntoldRecord>()
}

impl Library {
    /// Opens the library in `root`, makes it if there is none, and removes what an interrupted publish left behind.
    ///
    /// The caller holds the data directory's lock.
    pub(crate) fn open(root: &Path) -> Result<(Self, OpenReport), LibraryError> {
        for folder in FOLDERS {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|source| LibraryError::Io { action: "make", path, source })?;
        }
        let (store, report) = Store::open(root)?;
        let library = Self { root: root.to_owned(), store };
        crate::publish::staging::sweep(&library)?;
        Ok((library, report))
    }

    /// The data directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The records.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// The folder of a show's media and pictures.
    pub(crate) fn media_folder(&self, show: &Slug) -> PathBuf {
        self.root.join("media").join(show.as_str())
    }

    /// Where an episode's content lies: its file, or its folder.
    pub(crate) fn content(&self, episode: &EpisodeRecord) -> PathBuf {
        match &episode.place {
            Place::Library => self.media_folder(&episode.show).join(&episode.file),
            Place::Original { path, .. } => path.clone(),
        }
    }

    /// Where an episode's metainfo lies.
    pub(crate) fn torrent(&self, show: &Slug, file: &str) -> PathBuf {
        self.root.join("torrents").join(show.as_str()).join(format!("{file}.torrent"))
    }

    /// Where the engine keeps what it knows of a swarm's content.
    pub(crate) fn resume(&self, info_hash: &InfoHash) -> PathBuf {
        self.root.join("resume").join(info_hash.to_string())
    }

    /// The folder of what is not published yet.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Reads an episode's metainfo: its `info`, without tracker and web seed.
    pub(crate) fn metainfo(&self, show: &Slug, file: &str) -> Result<Metainfo, LibraryError> {
        let path = self.torrent(show, file);
        match fs::read(&path) {
            Ok(bytes) => Metainfo::parse(&bytes).map_err(|source| LibraryError::Torrent { path, source }),
            Err(source) => Err(LibraryError::Io { action: "read", path, source }),
        }
    }

    /// All shows, by slug.
    pub(crate) fn shows(&self) -> Result<Vec<ShowRecord>, LibraryError> {
        Ok(self.store.scan("")?)
    }

    /// The show that `wanted` names by its slug or its title, else the only one there is.
    pub(crate) fn show(&self, wanted: Option<&str>) -> Result<ShowRecord, LibraryError> {
        let mut shows = self.shows()?;
        let known = |shows: &[ShowRecord]| shows.iter().map(|show| show.slug.clone()).collect();
        match wanted {
            None if shows.len() == 1 => Ok(shows.remove(0)),
            None if shows.is_empty() => Err(LibraryError::NoShow { wanted: "to take".to_owned(), known: Vec::new() }),
            None => Err(LibraryError::WhichShow { known: known(&shows) }),
            Some(wanted) => match shows.iter().position(|show| is_named(&show.slug, &show.title, wanted)) {
                Some(found) => Ok(shows.remove(found)),
                None => Err(LibraryError::NoShow { wanted: wanted.to_owned(), known: known(&shows) }),
            },
        }
    }

    /// A show's episodes, those that are not out yet among them, newest date first.
    pub(crate) fn episodes(&self, show: &Slug) -> Result<Vec<EpisodeRecord>, LibraryError> {
        let mut episodes = self.all_episodes(show)?;
        episodes.retain(|episode| episode.ended.is_none());
        Ok(episodes)
    }

    /// A show's episodes, those that are not offered any more among them, newest date first, and of those with one date
    /// the one that came last.
    pub(crate) fn all_episodes(&self, show: &Slug) -> Result<Vec<EpisodeRecord>, LibraryError> {
        let mut episodes: Vec<EpisodeRecord> = self.store.scan(format!("{show}/"))?;
        episodes.sort_by_key(|episode| Reverse((episode.published, episode.added)));
        Ok(episodes)
    }

    /// The episodes of the show that `wanted` names, or of all shows, each show's newest first.
    pub(crate) fn episodes_of(&self, wanted: Option<&str>) -> Result<Vec<EpisodeRecord>, LibraryError> {
        let shows = match wanted {
            Some(wanted) => vec![self.show(Some(wanted))?],
            None => self.shows()?,
        };
        let episodes: Result<Vec<_>, _> = shows.iter().map(|show| self.episodes(&show.slug)).collect();
        Ok(episodes?.concat())
    }

    /// The episode that `wanted` names by its title, its page, its file or its guid, in the show that `show` names or
    /// in any.
    pub(crate) fn episode(&self, show: Option<&str>, wanted: &str) -> Result<EpisodeRecord, LibraryError> {
        let (title, mut found) = (wanted.trim().to_lowercase(), self.episodes_of(show)?);
        let is_exact = |episode: &EpisodeRecord| {
            [episode.file.as_str(), page_name(&episode.file), &episode.guid].contains(&wanted.trim())
        };
        match found.iter().position(is_exact) {
            Some(exact) => return Ok(found.swap_remove(exact)),
            None => found.retain(|episode| episode.title.to_lowercase() == title),
        }
        match found.len() {
            0 => Err(LibraryError::NoEpisode { wanted: wanted.to_owned() }),
            1 => Ok(found.swap_remove(0)),
            _ => {
                let known = found.iter().map(|episode| page_name(&episode.file).to_owned()).collect();
                Err(LibraryError::WhichEpisode { wanted: wanted.to_owned(), known })
            }
        }
    }

    /// Every guid that the show has or had: what was taken back stays taken.
    pub(crate) fn guids(&self, show: &str) -> Result<Vec<String>, LibraryError> {
        let show = self.show(Some(show))?;
        Ok(self.all_episodes(&show.slug)?.into_iter().map(|episode| episode.guid).collect())
    }

    /// What the listeners of a show were told, oldest first.
    pub(crate) fn events(&self, show: &Slug) -> Result<Vec<EventRecord>, LibraryError> {
        Ok(self.store.scan(EventRecord::prefix(show))?)
    }

    /// Makes a show with its key; `slug` is made from the title if it is not given.
    pub(crate) fn create_show(
        &self,
        slug: Option<Slug>,
        fields: ShowFields,
        history: Option<History>,
        is_private: bool,
        now: DateTime<Utc>,
    ) -> Result<ShowRecord, LibraryError> {
        let slug = slug.unwrap_or_else(|| Slug::from_title(fields.title.as_deref().unwrap_or_default()));
        if let Some(there) = self.store.get::<ShowRecord>(slug.as_str())? {
            return Err(LibraryError::ShowExists { slug, title: there.title });
        }
        let fields = ShowFields { title: Some(fields.title.clone().unwrap_or_default()), ..fields };
        let mut show = ShowRecord { is_private, ..new_show(slug, String::new(), now) };
        let cover = fields.apply(&mut show)?;
        if let Some(History { podcast_guid, more_categories, is_serial }) = history {
            (show.podcast_guid, show.more_categories, show.is_serial) =
                (Some(podcast_guid), more_categories, is_serial);
        }
        self.prepare_show(&show.slug)?;
        show.image = cover.map(|cover| self.save_cover(&show.slug, &cover)).transpose()?;
        self.store.put(&show)?;
        Ok(show)
    }

    /// Makes the folders and the key that a show needs before its record is stored.
    pub(crate) fn prepare_show(&self, show: &Slug) -> Result<(), LibraryError> {
        for folder in ["media", "torrents"] {
            let path = self.root.join(folder).join(show.as_str());
            fs::create_dir_all(&path).map_err(|source| LibraryError::Io { action: "make", path, source })?;
        }
        self.key(show)?;
        Ok(())
    }

    /// Changes what is said of a show.
    pub(crate) fn edit_show(&self, wanted: Option<&str>, fields: ShowFields) -> Result<ShowRecord, LibraryError> {
        let mut show = self.show(wanted)?;
        if let Some(cover) = fields.apply(&mut show)? {
            show.image = Some(self.save_cover(&show.slug, &cover)?);
        }
        self.store.put(&show)?;
        Ok(show)
    }

    /// Has the show's feeds lead elsewhere, or not any more.
    pub(crate) fn move_show(&self, wanted: &str, moved: Option<Moved>) -> Result<ShowRecord, LibraryError> {
        let show = ShowRecord { moved, ..self.show(Some(wanted))? };
        if show.is_private {
            return Err(LibraryError::StaysPrivate { show: show.slug });
        }
        self.store.put(&show)?;
        Ok(show)
    }

    /// Writes a picture beside a show's media, unless it is there already.
    pub(crate) fn save_cover(&self, show: &Slug, cover: &Cover) -> Result<Image, LibraryError> {
        let file = cover.file_name();
        let path = self.media_folder(show).join(&file);
        if !path.exists() {
            let written = write_atomic(&path, &cover.bytes, 0o644);
            written.map_err(|source| LibraryError::Io { action: "write", path, source })?;
        }
        Ok(Image { file, mime: cover.mime.to_owned() })
    }

    /// Writes transcripts of the episode of that file beside its media, in the order in which feeds name them.
    pub(crate) fn save_transcripts(
        &self,
        show: &Slug,
        file: &str,
        transcripts: &[Transcript],
    ) -> Result<Vec<TranscriptFile>, LibraryError> {
        let mut saved = Vec::new();
        for transcript in transcripts {
            let file = transcript.file_name(page_name(file));
            let path = self.media_folder(show).join(&file);
            let written = write_atomic(&path, transcript.text.as_bytes(), 0o644);
            written.map_err(|source| LibraryError::Io { action: "write", path, source })?;
            saved.push(TranscriptFile { kind: transcript.kind, file });
        }
        saved.sort_by_key(|transcript| transcript.kind);
        Ok(saved)
    }

    /// What a transcript says.
    pub(crate) fn transcript(&self, show: &Slug, transcript: &TranscriptFile) -> Result<String, LibraryError> {
        let path = self.media_folder(show).join(&transcript.file);
        fs::read_to_string(&path).map_err(|source| LibraryError::Io { action: "read", path, source })
    }

    /// Marks `episode` released and logs the event that tells so, both or neither; `show`, and what hooks `wanted` to
    /// be told of, are stored with them.
    pub(crate) fn release(
        &self,
        show: &ShowRecord,
        episode: &EpisodeRecord,
        now: DateTime<Utc>,
        wanted: &Wanted,
    ) -> Result<(EpisodeRecord, EventRecord), LibraryError> {
        let episode = EpisodeRecord { released: true, draft: false, ..episode.clone() };
        let event = self.next_event(EventKind::Episode, &episode)?;
        let untold = wanted.untold(Occasion::Published, &episode, now);
        self.store.batch(|batch| {
            batch.put(show);
            batch.put(&episode);
            batch.put(&event);
            if let Some(untold) = &untold {
                batch.put(untold);
            }
        })?;
        Ok((episode, event))
    }

    /// The event that tells of `episode` after all others.
    fn next_event(&self, kind: EventKind, episode: &EpisodeRecord) -> Result<EventRecord, LibraryError> {
        let last = self.events(&episode.show)?.last().map_or(0, |event| event.seq);
        Ok(EventRecord { show: episode.show.clone(), seq: last + 1, kind, file: episode.file.clone() })
    }

    /// Puts `new` in the place of `old`, which has the same guid, and logs the event that tells so if `old` was out,
    /// with what hooks `wanted` to be told of.
    pub(crate) fn replace(
        &self,
        show: &ShowRecord,
        old: &EpisodeRecord,
        new: &EpisodeRecord,
        now: DateTime<Utc>,
        wanted: &Wanted,
    ) -> Result<Option<EventRecord>, LibraryError> {
        let ended = EpisodeRecord { ended: Some(Ending::Replaced), ..old.clone() };
        let event = old.released.then(|| self.next_event(EventKind::Revised, new)).transpose()?;
        let untold = event.as_ref().and_then(|_| wanted.untold(Occasion::Replaced, new, now));
        self.store.batch(|batch| {
            batch.put(show);
            batch.put(&ended);
            batch.put(new);
            if let Some(event) = &event {
                batch.put(event);
            }
            if let Some(untold) = &untold {
                batch.put(untold);
            }
        })?;
        Ok(event)
    }

    /// Takes an episode back. Of one that is out this is signed, and the event that tells it logged, with what hooks
    /// `wanted` to be told of; one that nobody was told of is forgotten.
    pub(crate) fn unpublish(
        &self,
        show: Option<&str>,
        named: &str,
        now: DateTime<Utc>,
        wanted: &Wanted,
    ) -> Result<(EpisodeRecord, Option<EventRecord>), LibraryError> {
        let episode = self.episode(show, named)?;
        if !episode.released {
            self.store.delete::<EpisodeRecord>(EpisodeRecord::key_of(&episode.show, &episode.file))?;
            return Ok((episode, None));
        }
        let withdrawal = Withdrawal::sign(&self.key(&episode.show)?, &episode.guid, now);
        let episode = EpisodeRecord { ended: Some(Ending::Withdrawn(withdrawal)), ..episode };
        let event = self.next_event(EventKind::Withdrawn, &episode)?;
        let untold = wanted.untold(Occasion::Withdrawn, &episode, now);
        self.store.batch(|batch| {
            batch.put(&episode);
            batch.put(&event);
            if let Some(untold) = &untold {
                batch.put(untold);
            }
        })?;
        Ok((episode, Some(event)))
    }

    /// Removes what the library itself keeps of an episode's content: an original stays where its owner has it.
    pub(crate) fn remove_content(&self, episode: &EpisodeRecord) -> Result<(), LibraryError> {
        let content = (episode.place == Place::Library).then(|| self.content(episode));
        let notes = [self.torrent(&episode.show, &episode.file), self.resume(&episode.info_hash)];
        for path in content.into_iter().chain(notes) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(LibraryError::Io { action: "remove", path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Changes what is said of an episode.
    pub(crate) fn edit_episode(
        &self,
        show: Option<&str>,
        wanted: &str,
        fields: EpisodeFields,
        now: DateTime<Utc>,
    ) -> Result<EpisodeRecord, LibraryError> {
        let mut episode = self.episode(show, wanted)?;
        if episode.released && fields.at.is_some_and(|at| at > now) {
            return Err(LibraryError::IsOut { title: episode.title });
        }
        if let Some(transcripts) = fields.apply(&mut episode)? {
            episode.transcripts = self.save_transcripts(&episode.show, &episode.file, &transcripts)?;
        }
        self.store.put(&episode)?;
        Ok(episode)
    }

    /// Has an episode that is not out yet appear now. One that is out stays as it is.
    pub(crate) fn make_due(
        &self,
        show: Option<&str>,
        wanted: &str,
        now: DateTime<Utc>,
    ) -> Result<EpisodeRecord, LibraryError> {
        let mut episode = self.episode(show, wanted)?;
        if !episode.released {
            (episode.draft, episode.published) = (false, to_the_second(now));
            self.store.put(&episode)?;
        }
        Ok(episode)
    }

    /// The show's key.
    pub(crate) fn key(&self, show: &Slug) -> Result<SigningKey, LibraryError> {
        Ok(keys::ensure(&self.root.join("keys"), show)?)
    }

    /// Takes the original of `episode` as it is on disk now; its content has been checked.
    pub(crate) fn restamp(&self, episode: &EpisodeRecord) -> Result<(), LibraryError> {
        let mut episode = episode.clone();
        if let Place::Original { path, mtime } = &mut episode.place {
            let metadata = fs::metadata(&*path);
            let now = metadata.map_err(|source| LibraryError::Io { action: "read", path: path.clone(), source })?;
            *mtime = crate::http::mtime_of(&now);
            self.store.put(&episode)?;
        }
        Ok(())
    }

    /// The public URL that the owner gave last.
    pub(crate) fn public_url(&self) -> Result<Option<String>, LibraryError> {
        Ok(self.store.get::<PublicUrlRecord>(PublicUrlRecord::KEY)?.map(|record| record.url))
    }

    /// Remembers the public URL that the owner gives.
    pub(crate) fn set_public_url(&self, url: &str) -> Result<(), LibraryError> {
        if self.public_url()?.as_deref() != Some(url) {
            self.store.put(&PublicUrlRecord { url: url.to_owned() })?;
        }
        Ok(())
    }
}

/// When an original that is served in place was last written to, if that was after it was published; 0 if it is gone.
pub(crate) fn touched(episode: &EpisodeRecord) -> Option<i64> {
    let Place::Original { path, mtime: Some(published) } = &episode.place else { return None };
    let now = fs::metadata(path).ok().and_then(|now| crate::http::mtime_of(&now)).unwrap_or(0);
    (now != *published).then_some(now)
}

/// Whether `wanted` is the slug of a show, or its title in any case.
pub(crate) fn is_named(slug: &Slug, title: &str, wanted: &str) -> bool {
    slug.as_str() == wanted || title.to_lowercase() == wanted.trim().to_lowercase()
}

/// A show of which nothing is known but its title.
pub(crate) fn new_show(slug: Slug, title: String, now: DateTime<Utc>) -> ShowRecord {
    ShowRecord {
        slug,
        title,
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
        created: now,
        rhythm: None,
        feed_length: FeedLength::default(),
        episode_up: None,
        find_peers: Discovery::ALL,
    }
}

#[cfg(test)]
pub(crate) mod tests;
