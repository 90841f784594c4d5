//! How long a file plays, and where its chapters begin, as the file itself says.
//!
//! Tags may tell a wrong length, and a length that is guessed from the bit rate is wrong for every file whose rate
//! varies. So MPEG audio is read frame by frame, and of other containers the track's own length is taken.
//!
//! What cannot be read is left out: a file is published all the same.
//!
//! Source: symphonia for MPEG audio, Ogg, FLAC and WAVE; mp4ameta for the two kinds of chapters in MP4; matroska for
//! its own.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use podswarm_feeds::chapters::{self, Chapter};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{ChapterGroup, ChapterGroupItem, MetadataOptions, StandardTag};

/// What a file says of its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// How long it plays.
    pub(crate) duration: Option<Duration>,
    /// Its chapters; empty if it has none.
    pub(crate) chapters: Vec<Chapter>,
}

/// Reads the file at `path`, which is of the type `mime`; what cannot be read is left out.
pub(crate) fn read(path: &Path, mime: &str) -> Timeline {
    // A file that is wrong in a way nobody thought of must not keep itself from being published.
    let read = std::panic::catch_unwind(|| match mime {
        "audio/mpeg" | "audio/ogg" | "audio/flac" | "audio/wav" => of_audio(path, mime),
        "audio/x-m4a" | "audio/mp4" | "video/mp4" | "video/x-m4v" | "video/quicktime" => of_mp4(path),
        "audio/webm" | "video/webm" | "audio/x-matroska" | "video/x-matroska" => of_matroska(path),
        _ => None,
    });
    let mut timeline = read.ok().flatten().unwrap_or_default();
    timeline.chapters = chapters::in_order(timeline.chapters);
    timeline.chapters.truncate(chapters::MOST);
    // One chapter from the beginning divides nothing.
    if timeline.chapters.len() == 1 && timeline.chapters[0].start_ms == 0 {
        timeline.chapters.clear();
    }
    timeline
}

fn of_audio(path: &Path, mime: &str) -> Option<Timeline> {
    let stream = MediaSourceStream::new(Box::new(File::open(path).ok()?), MediaSourceStreamOptions::default());
    let probe = symphonia::default::get_probe();
    let probed = probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default());
    let mut reader = probed.inspect_err(|error| tracing::debug!(path = %path.display(), %error, "not read")).ok()?;
    let mut chapters = Vec::new();
    if let Some(group) = reader.chapters() {
        collect(group, &mut chapters);
    }
    let duration = if mime == "audio/mpeg" { count(reader.as_mut()) } else { stated(reader.as_ref()) };
    Some(Timeline { duration, chapters })
}

/// The length of all frames of the audio track.
fn count(reader: &mut dyn FormatReader) -> Option<Duration> {
    let track = reader.default_track(TrackType::Audio)?;
    let (id, base) = (track.id, track.time_base?);
    let mut ticks: u64 = 0;
    // What comes after damage is not played.
    while let Ok(Some(packet)) = reader.next_packet() {
        if packet.track_id == id {
            ticks = ticks.saturating_add(packet.dur.get());
        }
    }
    time(ticks, base.numer.get(), base.denom.get())
}

/// The length that the container states of its audio track.
fn stated(reader: &dyn FormatReader) -> Option<Duration> {
    let track = reader.default_track(TrackType::Audio)?;
    let base = track.time_base?;
    time(track.duration?.get(), base.numer.get(), base.denom.get())
}

/// The time of so many ticks of `numer`/`denom` seconds; `None` for none.
fn time(ticks: u64, numer: u32, denom: u32) -> Option<Duration> {
    let nanos = u128::from(ticks) * u128::from(numer) * 1_000_000_000 / u128::from(denom.max(1));
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

fn collect(group: &ChapterGroup, out: &mut Vec<Chapter>) {
    for item in &group.items {
        match item {
            ChapterGroupItem::Group(group) => collect(group, out),
            ChapterGroupItem::Chapter(chapter) => {
                let title = chapter.tags.iter().find_map(|tag| match &tag.std {
                    Some(StandardTag::ChapterTitle(title) | StandardTag::TrackTitle(title)) => Some(title.to_string()),
                    _ => None,
                });
                let url = chapter.tags.iter().find_map(|tag| match &tag.std {
                    Some(StandardTag::Url(url)) => Some(url.to_string()),
                    _ => None,
                });
                let (seconds, nanos) = chapter.start_time.parts();
                let millis = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
                let start_ms = millis.saturating_add(u64::from(nanos / 1_000_000));
                out.push(Chapter { start_ms, title: title.unwrap_or_default(), url });
            }
        }
    }
}

fn of_mp4(path: &Path) -> Option<Timeline> {
    let tag = mp4ameta::Tag::read_from_path(path);
    let tag = tag.inspect_err(|error| tracing::debug!(path = %path.display(), %error, "not read")).ok()?;
    // Players take the track; the list is the older way.
    let found = if tag.chapter_track().is_empty() { tag.chapter_list() } else { tag.chapter_track() };
    let chapter = |chapter: &mp4ameta::Chapter| Chapter {
        start_ms: u64::try_from(chapter.start.as_millis()).unwrap_or(u64::MAX),
        title: chapter.title.clone(),
        url: None,
    };
    Some(Timeline { duration: Some(tag.duration()), chapters: found.iter().map(chapter).collect() })
}

fn of_matroska(path: &Path) -> Option<Timeline> {
    let file = matroska::open(path);
    let file = file.inspect_err(|error| tracing::debug!(path = %path.display(), %error, "not read")).ok()?;
    let atoms = file.chapters.iter().flat_map(|edition| &edition.chapters).filter(|chapter| !chapter.hidden);
    let chapter = |chapter: &matroska::Chapter| Chapter {
        start_ms: u64::try_from(chapter.time_start.as_millis()).unwrap_or(u64::MAX),
        title: chapter.display.first().map(|display| display.string.clone()).unwrap_or_default(),
        url: None,
    };
    Some(Timeline { duration: file.info.duration, chapters: atoms.map(chapter).collect() })
}
