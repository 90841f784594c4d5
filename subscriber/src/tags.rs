//! What a file says of itself, for players and media servers: title, show, date, numbers, notes and cover.
//!
//! What the feed tells takes the place of what the file said. The rest of the file's own tags stays, such as chapters,
//! and so does its cover, if it has one. The sound is not touched.
//!
//! Knows nothing of episodes and of where their files lie. Blocking throughout.
//!
//! Law: a file is read and never written; what is written is a copy, which is worth nothing before it was read again.
//!
//! Source: ID3, MP4 and Vorbis tags as the lofty crate writes them.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use chrono::NaiveDate;
use lofty::config::{ParseOptions, ParsingMode, WriteOptions};
use lofty::file::{AudioFile as _, FileType, TaggedFile, TaggedFileExt as _};
use lofty::picture::{MimeType, Picture, PictureInformation, PictureType};
use lofty::probe::Probe;
use lofty::tag::{ItemKey, Tag, TagExt as _};
use podswarm_core::rate::ByteCount;

use crate::dot_torrent::sentence;
use crate::extras::ExtraKind;

/// A larger picture is no cover.
pub const LARGEST_COVER: u64 = 8 << 20;
/// Nor is one that is wider or higher than so many pixels: it would fill the memory of whoever shows it.
const MOST_PIXELS: u32 = 8192;
/// Kinds of files that are held in memory while they are written are not written if they are larger.
const LARGEST_IN_MEMORY: u64 = 256 << 20;
/// Bytes of notes that a file carries.
const MAX_NOTES: usize = 4000;
/// What players file it under that has no genre.
const GENRE: &str = "Podcast";

/// What a file is to say of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The episode's title.
    pub title: String,
    /// The show's name: the album.
    pub show: String,
    /// Who makes the show; where nobody is named it is the show itself.
    pub author: Option<String>,
    /// When it was released.
    pub day: NaiveDate,
    /// Its season: the disc.
    pub season: Option<u32>,
    /// Its number: the track.
    pub number: Option<u32>,
    /// What is said about it, plain text.
    pub notes: String,
}

/// Why a file did not get its tags.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// It cannot have any.
    #[error("{0}")]
    Unfit(String),
    /// The disk refused.
    #[error("its copy cannot be written")]
    Disk(#[from] io::Error),
}

/// A picture that players show for a cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover(Picture);

impl Cover {
    /// Takes a picture file's bytes, if they are JPEG or PNG.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut picture = Picture::from_reader(&mut &bytes[..]).ok()?;
        picture.set_pic_type(PictureType::CoverFront);
        let is_known = matches!(picture.mime_type(), Some(MimeType::Jpeg | MimeType::Png));
        let looks = PictureInformation::from_picture(&picture).ok().filter(|_| is_known)?;
        [looks.width, looks.height].iter().all(|pixels| (1..=MOST_PIXELS).contains(pixels)).then_some(Self(picture))
    }

    /// What it is, whatever its host says that it is.
    pub fn kind(&self) -> ExtraKind {
        if self.0.mime_type() == Some(&MimeType::Png) { ExtraKind::Png } else { ExtraKind::Jpeg }
    }

    /// The picture file's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.data()
    }
}

/// Writes a copy of the file `from` to `to`, with these tags in it. On an error `to` may hold anything.
pub fn write_copy(from: &Path, to: &Path, tags: &Tags, cover: Option<&Cover>) -> Result<(), TagError> {
    // A file that is wrong in a way nobody thought of must not end the agent.
    let written = catch_unwind(AssertUnwindSafe(|| write(from, to, tags, cover)));
    written.unwrap_or_else(|_| Err(unfit("it cannot be read")))
}

fn write(from: &Path, to: &Path, tags: &Tags, cover: Option<&Cover>) -> Result<(), TagError> {
    let mut before = read(from)?;
    let metadata = fs::metadata(from)?;
    let is_streamed = matches!(before.file_type(), FileType::Mpeg | FileType::Aac);
    if !is_streamed && metadata.len() > LARGEST_IN_MEMORY {
        let [got, most] = [metadata.len(), LARGEST_IN_MEMORY].map(ByteCount);
        return Err(unfit(format!("it has {got}; a file of its kind gets them up to {most}")));
    }
    let kind = before.primary_tag_type();
    let mut tag = before.remove(kind).unwrap_or_else(|| Tag::new(kind));
    fill(&mut tag, tags, cover);
    let mut copy = File::options().read(true).write(true).create(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.rewind()?;
    tag.save_to(&mut copy, WriteOptions::default()).map_err(|error| fault("they cannot be written", error))?;
    copy.set_permissions(metadata.permissions())?;
    copy.sync_all()?;
    let after = read(to)?;
    let plays = |file: &TaggedFile| file.properties().duration().as_secs();
    let title = after.primary_tag().and_then(|tag| tag.get_string(ItemKey::TrackTitle));
    if plays(&after).abs_diff(plays(&before)) > 1 || title != tag.get_string(ItemKey::TrackTitle) {
        return Err(unfit("what was written does not read as it should"));
    }
    Ok(())
}

fn unfit(reason: impl Into<String>) -> TagError {
    TagError::Unfit(reason.into())
}

fn read(path: &Path) -> Result<TaggedFile, TagError> {
    let options = ParseOptions::new().parsing_mode(ParsingMode::Relaxed);
    let probe = Probe::new(io::BufReader::new(File::open(path)?)).options(options).guess_file_type()?;
    let mut head = [0; 3];
    let _ = File::open(path)?.read(&mut head)?;
    // What only looks like sound further on, as a film may, is another kind of file.
    let is_sound = head == *b"ID3" || head[0] == 0xff && head[1] >= 0xe0;
    let is_known = match probe.file_type() {
        Some(FileType::Mpeg | FileType::Aac) => is_sound,
        kind => kind.is_some(),
    };
    if !is_known {
        return Err(unfit("its file is of no kind that has tags"));
    }
    probe.read().map_err(|error| fault("its file cannot be read", error))
}

/// Whose fault an error is: the disk's, or the file's own.
fn fault(what: &str, error: impl Error + Send + Sync + 'static) -> TagError {
    let causes = successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
    let kind = causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).next();
    match kind {
        None | Some(ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other | ErrorKind::UnexpectedEof) => {
            unfit(format!("{what}: {}", sentence(error)))
        }
        Some(kind) => TagError::Disk(kind.into()),
    }
}

fn fill(tag: &mut Tag, tags: &Tags, cover: Option<&Cover>) {
    let author = tags.author.as_ref().filter(|author| !author.is_empty()).unwrap_or(&tags.show);
    let notes = &tags.notes[..tags.notes.floor_char_boundary(MAX_NOTES)];
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let said = [
        (ItemKey::TrackTitle, tags.title.clone()),
        (ItemKey::AlbumTitle, tags.show.clone()),
        (ItemKey::AlbumArtist, author.clone()),
        (ItemKey::TrackArtist, author.clone()),
        (ItemKey::RecordingDate, tags.day.format("%Y-%m-%d").to_string()),
        (ItemKey::DiscNumber, number(tags.season)),
        (ItemKey::TrackNumber, number(tags.number)),
        // Each kind of tags and each player has another place for it.
        (ItemKey::Comment, notes.to_owned()),
        (ItemKey::Description, notes.to_owned()),
        (ItemKey::PodcastDescription, notes.to_owned()),
    ];
    for (key, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
        tag.insert_text(key, text);
    }
    // It would be the date's second word.
    tag.remove_key(ItemKey::Year);
    if tag.get_string(ItemKey::Genre).is_none() {
        tag.insert_text(ItemKey::Genre, GENRE.to_owned());
    }
    if let Some(Cover(picture)) = cover.filter(|_| tag.pictures().is_empty()) {
        tag.push_picture(picture.clone());
    }
}

#[cfg(test)]
mod tests;
