//! From a path to an episode.
//!
//! 1. [`stage`] looks at the path, copies it into a staging folder and hashes it on the way (`stage`).
//! 2. [`settle`] decides what it is called and which show it belongs to, from what was typed, then from its own tags,
//!    then from its name; refuses what directories would, in a show that is for them; and puts its files in place
//!    (`settle`).
//! 3. The host seeds it and registers it with the tracker; then [`Settled::record`] makes it an episode. From that
//!    moment a crash cannot undo it; before it, nothing of it remains (`staging`).
//!
//! Blocking. Knows nothing of the engine, the tracker or HTTP.

mod stage;
mod settle;
pub(crate) mod staging;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::{MetainfoError, TorrentVersion};
use podswarm_core::net::create::{CreateError, HashError};
use podswarm_core::rate::ByteCount;
use podswarm_feeds::chapters::{self, Chapter};
use podswarm_feeds::date::to_the_second;
use podswarm_feeds::{EpisodeKind, Place, TagError, Tags};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use settle::{Outcome, Recorded, Settled, settle};
pub(crate) use stage::stage;

use crate::check::{self, Finding};
use crate::cover::CoverError;
use crate::library::LibraryError;
use crate::record::EpisodeRecord;
use crate::shows::{FieldError, checked_title};
use crate::slug::Slug;
use crate::transcript::{Transcript, TranscriptError};

/// What is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What it is called, if not as its path ends.
    pub(crate) name: Option<String>,
    /// What becomes of the original.
    pub(crate) intake: Intake,
    /// What was said of it.
    pub(crate) said: Said,
    /// The episode whose content it replaces, if it is not a new one.
    pub(crate) replaces: Option<EpisodeRecord>,
    /// Whether it is published though directories would refuse it.
    pub(crate) anyway: bool,
}

/// Follows the hashing, and ends it early.
#[derive(Clone)]
pub(crate) struct Follow {
    /// Is told bytes done and bytes in all.
    pub(crate) progress: Arc<dyn Fn(u64, u64) + Send + Sync>,
    /// Ends the publish if it becomes true before anything is promised.
    pub(crate) cancel: Arc<AtomicBool>,
}

impl Default for Follow {
    /// Tells nobody, and goes on to the end.
    fn default() -> Self {
        Self { progress: Arc::new(|_, _| {}), cancel: Arc::default() }
    }
}

/// How content comes into the library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intake {
    /// The library makes its own copy, which costs no space where the file system can share bytes.
    #[default]
    Copy,
    /// The original is served where it is.
    InPlace,
    /// The original is the library's to move: an upload.
    Move,
}

/// What was said of an episode when it was published; `None` is left to its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Said {
    /// The show's slug or title.
    pub(crate) show: Option<String>,
    /// The episode's title.
    pub(crate) title: Option<String>,
    /// Show notes, plain text.
    pub(crate) notes: Option<String>,
    /// The season, from 1.
    pub(crate) season: Option<u32>,
    /// The number, from 1.
    pub(crate) number: Option<u32>,
    /// What the season is called.
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of the number.
    pub(crate) number_name: Option<String>,
    /// Whether directories are asked not to show it.
    pub(crate) blocked: Option<bool>,
    /// What is said beyond that in the podcast namespace.
    pub(crate) tags: Tags,
    /// When it is to appear; at once if in the past, of which it then bears the date.
    pub(crate) at: Option<DateTime<Utc>>,
    /// Whether it is to appear at the first time of the show's rhythm that is free.
    pub(crate) next: bool,
    /// Whether it is to wait until its owner releases it.
    pub(crate) draft: bool,
    /// Its chapters, if not those that it has itself.
    pub(crate) chapters: Option<Vec<Chapter>>,
    /// What is said in it, each in another form.
    pub(crate) transcripts: Vec<Transcript>,
    /// Which versions of the protocol its torrent speaks, if not the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<TorrentVersion>,
    /// What it brings from where it was published before; `None` if it is new to the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
}

/// What an episode brings that its listeners know already: nobody is told that it is here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Origin {
    /// What it is known by, for ever.
    pub(crate) guid: String,
    /// Whether that is the address of a page, too.
    pub(crate) guid_is_link: bool,
    /// Show notes as HTML, clean or not.
    pub(crate) notes_html: Option<String>,
    /// What kind of episode it is.
    pub(crate) kind: EpisodeKind,
    /// Whether it is for adults only, if that was said.
    pub(crate) explicit: Option<bool>,
    /// How long it plays as its feed says, in milliseconds; what the file says is believed first.
    pub(crate) duration_ms: Option<u64>,
    /// A cover of its own, in base64.
    pub(crate) image: Option<String>,
}

/// Longest show notes in bytes; directories cut at 4000.
const LONGEST_NOTES: usize = 32 << 10;

/// Longest name of a season, in characters. The podcast namespace.
pub(crate) const LONGEST_SEASON_NAME: usize = 128;

/// Longest text in the place of a number, in characters. The podcast namespace.
pub(crate) const LONGEST_NUMBER_NAME: usize = 32;

/// Something said of an episode that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SaidError {
    /// The show has no times at which its episodes appear, or none is to come any more.
    #[error("the show `{0}` has no next time at which an episode appears")]
    NoRhythm(Slug),
    /// Notes too long for any app.
    #[error("the notes have {got} bytes; want at most {LONGEST_NOTES}")]
    Notes {
        /// Their length in bytes.
        got: usize,
    },
    /// A title too long.
    #[error(transparent)]
    Title(FieldError),
    /// A number that feeds do not take.
    #[error("the {what} is 0; they count from 1")]
    Zero {
        /// `season` or `number`.
        what: &'static str,
    },
    /// A name that apps cut.
    #[error("the name of the {what} has {got} characters; want at most {want}")]
    Name {
        /// `season` or `episode`.
        what: &'static str,
        /// Its length in characters.
        got: usize,
        /// The greatest length in characters.
        want: usize,
    },
    /// A tag of the podcast namespace.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A transcript that is none.
    #[error("the transcript")]
    Transcript(#[from] TranscriptError),
    /// A picture that is none.
    #[error("the episode's image")]
    Image(#[from] CoverError),
    /// Two transcripts of one form.
    #[error("there are two transcripts that are .{extension} files; want one of each kind")]
    TranscriptTwice {
        /// Their extension.
        extension: &'static str,
    },
}

/// Why something is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// Nothing is there.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// Something that is no file or folder with content, or cannot be read.
    #[error(transparent)]
    Unfit(CreateError),
    /// Something that could not be hashed or copied.
    #[error(transparent)]
    Hash(HashError),
    /// No room for the library's copy.
    #[error("no space left for a copy of `{}` ({}) in `{}`", path.display(), ByteCount(*length), library.display())]
    NoSpace {
        /// The original.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The data directory.
        library: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A torrent that cannot be made of it.
    #[error("make a torrent of `{}`", path.display())]
    Metainfo {
        /// The original.
        path: PathBuf,
        /// Why.
        #[source]
        source: MetainfoError,
    },
    /// It, or its show, is nothing that directories take, and the show is for them.
    #[error("{}: {}", check::REFUSED, check::told(.0))]
    Refused(Vec<Finding>),
    /// Something said of it.
    #[error(transparent)]
    Said(#[from] SaidError),
    /// The library.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// It is in place, but does not seed.
    #[error("seed the episode")]
    Seed(#[source] Box<dyn Error + Send + Sync>),
    /// Whoever asked has gone.
    #[error("cancelled")]
    Cancelled,
}

impl PublishError {
    /// The way out, if one is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("check the path; it is taken from the folder you are in".to_owned()),
            Self::Unfit(error) => error.hint().map(Into::into),
            Self::Hash(HashError::Changed { .. } | HashError::Length { .. }) => Some(
                "wait until nothing writes to it any more, then publish it again; nothing was published".to_owned(),
            ),
            Self::NoSpace { .. } => Some("free some space, or serve the original with --in-place".to_owned()),
            Self::Library(error) => error.hint(),
            Self::Refused(findings) => Some(check::way_out(findings)),
            Self::Said(SaidError::NoRhythm(show)) => {
                Some(format!("say when they appear, such as `podpub edit --show {show} --rhythm \"0 6 * * mon\"`"))
            }
            _ => None,
        }
    }

    /// The error of hashing and copying `path` into the data directory `library`.
    fn of_hash(error: HashError, path: &Path, length: u64, library: &Path) -> Self {
        match error {
            HashError::Cancelled(_) => Self::Cancelled,
            HashError::Copy { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::NoSpace { path: path.to_owned(), length, library: library.to_owned(), source }
            }
            error => Self::Hash(error),
        }
    }
}

impl Said {
    /// Refuses what no feed takes, before any work is done.
    pub(crate) fn check(&self) -> Result<(), SaidError> {
        if let Some(title) = &self.title {
            checked_title(title).map_err(SaidError::Title)?;
        }
        check_notes(self.notes.as_deref())?;
        check_transcripts(&self.transcripts)?;
        self.tags.check(Place::Episode)?;
        check_names(self.season_name.as_deref(), self.number_name.as_deref())?;
        check_numbers(self.season, self.number)
    }
}

fn check_transcripts(transcripts: &[Transcript]) -> Result<(), SaidError> {
    let mut kinds = BTreeSet::new();
    for transcript in transcripts {
        transcript.check()?;
        if !kinds.insert(transcript.kind) {
            return Err(SaidError::TranscriptTwice { extension: transcript.kind.extension() });
        }
    }
    Ok(())
}

fn check_notes(notes: Option<&str>) -> Result<(), SaidError> {
    match notes.map(str::len).filter(|&got| got > LONGEST_NOTES) {
        Some(got) => Err(SaidError::Notes { got }),
        None => Ok(()),
    }
}

fn check_numbers(season: Option<u32>, number: Option<u32>) -> Result<(), SaidError> {
    let zero = [("season", season), ("number", number)].into_iter().find(|(_, n)| *n == Some(0));
    zero.map_or(Ok(()), |(what, _)| Err(SaidError::Zero { what }))
}

fn check_names(season: Option<&str>, number: Option<&str>) -> Result<(), SaidError> {
    for (what, name, want) in [("season", season, LONGEST_SEASON_NAME), ("episode", number, LONGEST_NUMBER_NAME)] {
        if let Some(got) = name.map(|name| name.chars().count()).filter(|&got| got > want) {
            return Err(SaidError::Name { what, got, want });
        }
    }
    Ok(())
}

/// Sets or clears a name.
fn rename(name: &mut Option<String>, said: Option<String>) {
    if let Some(said) = said {
        *name = Some(said.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty());
    }
}

/// What is to be said of an episode from now on; `None` leaves what was said before, and empty notes take theirs back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EpisodeFields {
    /// Its title.
    pub(crate) title: Option<String>,
    /// Show notes, plain text.
    pub(crate) notes: Option<String>,
    /// The season, from 1.
    pub(crate) season: Option<u32>,
    /// The number, from 1.
    pub(crate) number: Option<u32>,
    /// What the season is called; nothing takes it back.
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of the number; nothing takes it back.
    pub(crate) number_name: Option<String>,
    /// Whether directories are asked not to show it.
    pub(crate) blocked: Option<bool>,
    /// What is said beyond that in the podcast namespace: takes the place of all of the same name, none takes them
    /// back.
    pub(crate) tags: Tags,
    /// When it is to appear, or the date that it bears.
    pub(crate) at: Option<DateTime<Utc>>,
    /// Its chapters; none takes them back.
    pub(crate) chapters: Option<Vec<Chapter>>,
    /// What is said in it, each in another form; none takes them back.
    pub(crate) transcripts: Option<Vec<Transcript>>,
}

impl EpisodeFields {
    /// Whether nothing is said at all.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes what is said into `episode`, and gives the new transcripts if there are any; nothing on an error.
    pub(crate) fn apply(self, episode: &mut EpisodeRecord) -> Result<Option<Vec<Transcript>>, SaidError> {
        let title = self.title.as_deref().map(checked_title).transpose().map_err(SaidError::Title)?;
        check_notes(self.notes.as_deref())?;
        check_numbers(self.season, self.number)?;
        check_names(self.season_name.as_deref(), self.number_name.as_deref())?;
        check_transcripts(self.transcripts.as_deref().unwrap_or_default())?;
        let mut tags = episode.tags.clone();
        tags.replace(self.tags);
        tags.check(Place::Episode)?;
        episode.tags = tags;
        episode.title = title.unwrap_or_else(|| std::mem::take(&mut episode.title));
        if let Some(notes) = self.notes {
            episode.notes_are_html = false;
            episode.notes = Some(notes).filter(|notes| !notes.trim().is_empty());
        }
        rename(&mut episode.season_name, self.season_name);
        rename(&mut episode.number_name, self.number_name);
        episode.is_blocked = self.blocked.unwrap_or(episode.is_blocked);
        episode.season = self.season.or(episode.season);
        episode.number = self.number.or(episode.number);
        episode.published = self.at.map_or(episode.published, to_the_second);
        episode.chapters = self.chapters.map_or_else(|| std::mem::take(&mut episode.chapters), chapters::in_order);
        Ok(self.transcripts)
    }
}
