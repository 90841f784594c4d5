//! What a file says of itself: title, show, number, length of play, cover.
//!
//! Tags fill in what the publisher did not type. A file without tags, or with damaged ones, is published all the same,
//! so reading them never fails: it gives what could be read.
//!
//! Source: ID3, MP4 and Vorbis tags as the lofty crate reads them; the length of play is lofty's.

use std::path::Path;
use std::time::Duration;

use lofty::config::{ParseOptions, ParsingMode};
use lofty::file::{AudioFile as _, TaggedFile, TaggedFileExt as _};
use lofty::picture::{MimeType, PictureType};
use lofty::probe::Probe;
use lofty::tag::{ItemKey, Tag};

use crate::cover::Cover;

/// What a file's tags hold; `None` or empty where they are silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    /// The episode's title.
    pub(crate) title: Option<String>,
    /// The show's title: a podcast's album.
    pub(crate) show: Option<String>,
    /// Who speaks.
    pub(crate) author: Option<String>,
    /// What the episode is about, as plain text.
    pub(crate) notes: Option<String>,
    /// The season, where the tags count discs and have more than one.
    pub(crate) season: Option<u32>,
    /// The episode's number in its season or show.
    pub(crate) number: Option<u32>,
    /// How long it plays.
    pub(crate) duration: Option<Duration>,
    /// The picture inside the file.
    pub(crate) cover: Option<Cover>,
}

/// Reads the tags of the file at `path`; what cannot be read is left out.
pub(crate) fn read(path: &Path) -> Tags {
    // A tag that is wrong in a way nobody thought of must not keep a good file from being published.
    std::panic::catch_unwind(|| parse(path)).unwrap_or_default()
}

fn parse(path: &Path) -> Tags {
    let options = ParseOptions::new().parsing_mode(ParsingMode::Relaxed);
    let parsed = Probe::open(path).and_then(|probe| probe.options(options).guess_file_type()?.read());
    match parsed {
        Ok(file) => from_file(&file),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "no tags read");
            Tags::default()
        }
    }
}

fn from_file(file: &TaggedFile) -> Tags {
    let duration = file.properties().duration();
    // The richest kind of tag first: an MP3 often holds an ID3v1 tag too, whose titles are cut at 30 bytes.
    let mut tags: Vec<&Tag> = file.tags().iter().collect();
    tags.sort_by_key(|tag| (Some(tag.tag_type()) != file.primary_tag().map(Tag::tag_type), tag.items().len()));

    let text = |keys: &[ItemKey]| keys.iter().find_map(|&key| tags.iter().find_map(|tag| clean(tag.get_string(key)?)));
    let number = |key: ItemKey| tags.iter().find_map(|tag| tag.get_string(key)?.trim().parse().ok()).filter(|&n| n > 0);
    Tags {
        title: text(&[ItemKey::TrackTitle]),
        show: text(&[ItemKey::ShowName, ItemKey::AlbumTitle]),
        author: text(&[ItemKey::AlbumArtist, ItemKey::TrackArtist]),
        notes: text(&[ItemKey::PodcastDescription, ItemKey::Description, ItemKey::Comment]),
        // "Disc 1 of 1" is what music taggers write everywhere; it says nothing of a season.
        season: number(ItemKey::DiscNumber).filter(|_| number(ItemKey::DiscTotal) != Some(1)),
        number: number(ItemKey::TrackNumber),
        duration: (!duration.is_zero()).then_some(duration),
        cover: tags.iter().find_map(|tag| picture(tag)),
    }
}

/// The front cover, or else the first picture.
fn picture(tag: &Tag) -> Option<Cover> {
    let picture = tag.get_picture_type(PictureType::CoverFront).or_else(|| tag.pictures().first())?;
    match picture.mime_type() {
        None | Some(MimeType::Png | MimeType::Jpeg | MimeType::Unknown(_)) => {
            Cover::from_bytes(picture.data().to_vec()).ok()
        }
        Some(_) => None,
    }
}

/// `text` without the blanks and NULs around it, or `None` if nothing is left.
fn clean(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use lofty::config::WriteOptions;
    use lofty::picture::Picture;
    use lofty::tag::{TagExt as _, TagType};

    use super::*;
    use crate::fixture;

    fn tagged(fill: impl FnOnce(&mut Tag)) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        std::fs::write(&path, fixture::wav(2, 1)).unwrap();
        let mut tag = Tag::new(TagType::Id3v2);
        fill(&mut tag);
        tag.save_to_path(&path, WriteOptions::default()).unwrap();
        (dir, path)
    }

    #[test]
    fn tags_give_title_show_number_and_length() {
        let (_dir, path) = tagged(|tag| {
            tag.insert_text(ItemKey::TrackTitle, " The First \0".to_owned());
            tag.insert_text(ItemKey::AlbumTitle, "A Show".to_owned());
            tag.insert_text(ItemKey::TrackArtist, "Ann".to_owned());
            tag.insert_text(ItemKey::TrackNumber, "7".to_owned());
            tag.insert_text(ItemKey::DiscNumber, "2".to_owned());
        });
        let tags = read(&path);
        assert_eq!(tags.title.as_deref(), Some("The First"));
        assert_eq!(tags.show.as_deref(), Some("A Show"));
        assert_eq!(tags.author.as_deref(), Some("Ann"));
        assert_eq!((tags.season, tags.number), (Some(2), Some(7)));
        assert_eq!(tags.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn disc_one_of_one_is_no_season() {
        let (_dir, path) = tagged(|tag| {
            tag.insert_text(ItemKey::DiscNumber, "1".to_owned());
            tag.insert_text(ItemKey::DiscTotal, "1".to_owned());
        });
        assert_eq!(read(&path).season, None);
    }

    #[test]
    fn the_cover_is_taken_out() {
        let png = fixture::png(3, 3);
        let (_dir, path) = tagged(|tag| {
            let picture = Picture::unchecked(png.clone()).pic_type(PictureType::CoverFront).mime_type(MimeType::Png);
            tag.push_picture(picture.build());
        });
        let cover = read(&path).cover.unwrap();
        assert_eq!((cover.mime, cover.bytes), ("image/png", png));
    }

    #[test]
    fn a_file_without_tags_or_with_rubbish_gives_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp3");
        for content in [&b""[..], b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"hello", &[0xff; 4096]] {
            std::fs::write(&path, content).unwrap();
            let tags = read(&path);
            assert_eq!((tags.title, tags.cover), (None, None));
        }
        assert_eq!(read(&dir.path().join("absent")), Tags::default());
    }
}
