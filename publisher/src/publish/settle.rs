//! Decides what staged content is called, and puts it in place.

use std::path::Path;

use chrono::{DateTime, Utc};
use podswarm_core::app::write_atomic;
use podswarm_core::metainfo::{Metainfo, MetainfoBuilder, TorrentPath};
use podswarm_feeds::EpisodeKind;
use podswarm_feeds::date::to_the_second;
use uuid::Uuid;

use super::stage::{CONTENT, Looked, Staged};
use super::staging::{Plan, Staging};
use super::{Draft, PublishError, Said, SaidError, rename};
use crate::check::{self, Newcomer};
use crate::cover::Cover;
use crate::hooks::Wanted;
use crate::kind::is_media;
use crate::library::{Library, LibraryError, new_show};
use crate::notes;
use crate::record::{EpisodeRecord, EventRecord, Image, Place, ShowRecord};
use crate::slug::{Slug, file_name};
use crate::tags::Tags;

/// The name of the metainfo in its staging folder.
const TORRENT: &str = "torrent";

/// What became of staged content.
pub(crate) enum Outcome {
    /// The show has it already; nothing was changed.
    Already {
        /// The show.
        show: Box<ShowRecord>,
        /// The episode that it has.
        episode: Box<EpisodeRecord>,
    },
    /// It is in place and only needs to be recorded.
    New(Box<Settled>),
}

/// An episode in place. Dropped without being recorded, it takes everything back.
pub(crate) struct Settled {
    staging: Staging,
    /// The show, which may not be stored yet.
    pub(crate) show: ShowRecord,
    /// Whether the show was made for it.
    pub(crate) is_new_show: bool,
    /// The episode as it will be stored.
    pub(crate) episode: EpisodeRecord,
    /// Whether its listeners know it already, from where it was published before.
    pub(crate) is_known: bool,
    /// The one whose place it takes.
    pub(crate) replaced: Option<EpisodeRecord>,
    /// Its metainfo, without tracker and web seed.
    pub(crate) metainfo: Metainfo,
    /// What its owner should know.
    pub(crate) warnings: Vec<String>,
}

/// Decides what `staged` is called, refuses nothing that the show does not have, and puts its files in place.
///
/// Only one at a time may be between this and [`Settled::record`].
pub(crate) fn settle(library: &Library, staged: Staged, now: DateTime<Utc>) -> Result<Outcome, PublishError> {
    let name = staged.draft.name.as_deref().map_or(staged.draft.path.as_path(), Path::new);
    let said = &staged.draft.said;
    // It may have changed while its new content was hashed.
    let old = staged.draft.replaces.as_ref();
    let old = old.map(|old| library.episode(Some(old.show.as_str()), &old.guid)).transpose()?;
    let title = match (&old, &said.title) {
        (Some(old), None) => old.title.clone(),
        _ => title_of(said, &staged.looked.tags, name),
    };
    let (mut show, is_new_show) = show_for(library, said, &staged.looked.tags, &title, now)?;
    let known = library.all_episodes(&show.slug)?;
    // The same file may have come out twice elsewhere, but under two guids.
    let is_it = |episode: &&EpisodeRecord| match &said.origin {
        Some(origin) => episode.guid == origin.guid,
        None => episode.ended.is_none() && episode.sha256 == staged.sha256,
    };
    if let Some(episode) = known.iter().find(is_it) {
        let content = library.content(episode);
        // Content that was lost comes back with the file that it was made of.
        let is_same = episode.sha256 == staged.sha256 && episode.ended.is_none();
        if is_same && episode.place == Place::Library && staged.place == Place::Library && !content.exists() {
            staged.staging.place(CONTENT, &content)?;
        }
        return Ok(Outcome::Already { show: Box::new(show), episode: Box::new(episode.clone()) });
    }
    let admitted = match admit(library, &staged.draft, &staged.looked, &show) {
        Ok(admitted) => admitted,
        Err(error) => {
            staged.give_back();
            return Err(error);
        }
    };
    let next = said.next.then(|| next_free(&show, &known, now)).transpose()?;
    let published = next.or(said.at).or(old.as_ref().map(|old| old.published));
    let published = to_the_second(published.unwrap_or(now));
    let file = free_file_name(&known, published, &title, &staged);
    let metainfo = make_metainfo(&staged, &file, show.is_private, now)?;
    library.prepare_show(&show.slug)?;
    let (mut staging, looked) = (staged.staging, staged.looked);
    let mut tags = looked.tags;
    let origin = said.origin.clone();
    let is_known = origin.is_some();
    let origin = origin.unwrap_or_default();
    if let Some(image) = &origin.image {
        tags.cover = Some(Cover::from_base64(image).map_err(SaidError::from)?);
    }
    let torrent = metainfo.encode();
    let staged_torrent = staging.path(TORRENT);
    write_atomic(&staged_torrent, &torrent, 0o644).map_err(|source| LibraryError::Io {
        action: "write",
        path: staged_torrent,
        source,
    })?;
    let new_notes = said.notes.clone().or_else(|| origin.notes_html.as_deref().map(notes::clean));
    let notes_are_html = match (&new_notes, &old) {
        (Some(_), _) => said.notes.is_none(),
        (None, old) => old.as_ref().is_some_and(|old| old.notes.is_some() && old.notes_are_html),
    };
    let mut said_tags = old.as_ref().map(|old| old.tags.clone()).unwrap_or_default();
    said_tags.replace(said.tags.clone());
    let notes = new_notes.or_else(|| old.as_ref()?.notes.clone()).or(tags.notes);
    let mut episode = EpisodeRecord {
        show: show.slug.clone(),
        file,
        guid: match &old {
            Some(old) => old.guid.clone(),
            None if is_known => origin.guid,
            None => Uuid::new_v4().to_string(),
        },
        guid_is_link: old.as_ref().map_or(origin.guid_is_link, |old| old.guid_is_link),
        title,
        notes: notes.filter(|notes| !notes.trim().is_empty()),
        notes_are_html,
        published,
        added: now,
        released: old.as_ref().map_or(is_known, |old| old.released),
        draft: old.as_ref().map_or(said.draft, |old| old.draft),
        ended: None,
        season: said.season.or(old.as_ref().and_then(|old| old.season)).or(tags.season),
        number: said.number.or(old.as_ref().and_then(|old| old.number)).or(tags.number),
        season_name: old.as_ref().and_then(|old| old.season_name.clone()),
        number_name: old.as_ref().and_then(|old| old.number_name.clone()),
        is_blocked: said.blocked.unwrap_or(old.as_ref().is_some_and(|old| old.is_blocked)),
        tags: said_tags,
        kind: old.as_ref().map_or(origin.kind, |old| old.kind),
        explicit: old.as_ref().map_or(origin.explicit, |old| old.explicit),
        duration_ms: tags.duration.and_then(|duration| u64::try_from(duration.as_millis()).ok()).or(origin.duration_ms),
        image: None,
        chapters: said.chapters.clone().unwrap_or(looked.chapters),
        transcripts: old.as_ref().map(|old| old.transcripts.clone()).unwrap_or_default(),
        sha256: staged.sha256,
        info_hash: metainfo.info_hash,
        is_private: show.is_private,
        metainfo_length: torrent.len() as u64,
        length: looked.found.length(),
        enclosure: looked.enclosure,
        place: staged.place,
    };
    rename(&mut episode.season_name, said.season_name.clone());
    rename(&mut episode.number_name, said.number_name.clone());
    let cover = tags.cover.as_ref();
    let cover_path = cover.map(|cover| library.media_folder(&show.slug).join(cover.file_name()));
    let torrent_path = library.torrent(&show.slug, &episode.file);
    let content_path = (episode.place == Place::Library).then(|| library.content(&episode));
    let places = [content_path.clone(), Some(torrent_path.clone()), cover_path.filter(|path| !path.exists())];
    let below_root = |path: &Path| path.strip_prefix(library.root()).expect("all lie in the library").to_owned();
    staging.plan(Plan {
        show: show.slug.clone(),
        file: episode.file.clone(),
        places: places.iter().flatten().map(|path| below_root(path)).collect(),
    })?;
    if let Some(content) = content_path {
        staging.place(CONTENT, &content)?;
    }
    staging.place(TORRENT, &torrent_path)?;
    let image: Option<Image> = cover.map(|cover| library.save_cover(&show.slug, cover)).transpose()?;
    if !said.transcripts.is_empty() {
        episode.transcripts = library.save_transcripts(&show.slug, &episode.file, &said.transcripts)?;
    }
    // The first picture that a show's episodes bring is the show's own.
    if show.image.is_none() {
        show.image.clone_from(&image);
    }
    let image = image.or_else(|| old.as_ref()?.image.clone());
    episode.image = image.filter(|image| show.image.as_ref() != Some(image));
    let warnings = looked.warnings.into_iter().chain(admitted).collect();
    let settled = Settled { staging, show, is_new_show, episode, is_known, replaced: old, metainfo, warnings };
    Ok(Outcome::New(Box::new(settled)))
}

impl Settled {
    /// Whether it is offered from now on: its time has come by `now`, or what it replaces is out.
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        match &self.replaced {
            Some(old) => old.released,
            None => self.is_known || !self.episode.draft && self.episode.published <= now,
        }
    }

    /// Stores the episode, with its show and, if its time has come by `now`, the event that tells of it and what hooks
    /// `wanted` to be told of. From here on it is published.
    pub(crate) fn record(
        self,
        library: &Library,
        now: DateTime<Utc>,
        wanted: &Wanted,
    ) -> Result<Recorded, LibraryError> {
        let is_due = self.is_due(now);
        let Self { staging, show, episode, replaced, is_known, .. } = self;
        let recorded = if let Some(old) = replaced {
            let event = library.replace(&show, &old, &episode, now, wanted)?;
            Recorded { show, episode, event }
        } else if is_due && !is_known {
            let (episode, event) = library.release(&show, &episode, now, wanted)?;
            Recorded { show, episode, event: Some(event) }
        } else {
            library.store().batch(|batch| {
                batch.put(&show);
                batch.put(&episode);
            })?;
            Recorded { show, episode, event: None }
        };
        staging.finish();
        Ok(recorded)
    }
}

/// An episode that is stored.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Its show.
    pub(crate) show: ShowRecord,
    /// The episode.
    pub(crate) episode: EpisodeRecord,
    /// What listeners are to be told; `None` before its time.
    pub(crate) event: Option<EventRecord>,
}

/// The episode's title: what was typed, else its tag, else its file's name.
fn title_of(said: &Said, tags: &Tags, name: &Path) -> String {
    let stem = if name.is_dir() { name.file_name() } else { name.file_stem() };
    let stem = stem.map(|stem| stem.to_string_lossy().replace('_', " "));
    let wanted = [said.title.clone(), tags.title.clone(), stem];
    let title = wanted.into_iter().flatten().find_map(|title| clean_title(&title));
    title.unwrap_or_else(|| "Untitled".to_owned())
}

/// A title on one line, cut to what feeds take; `None` if nothing is left.
fn clean_title(title: &str) -> Option<String> {
    let line = title.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible: String = line.chars().filter(|c| !c.is_control()).take(255).collect();
    (!visible.trim().is_empty()).then(|| visible.trim().to_owned())
}

/// Refuses what directories would, if the show is for them; else gives what its owner should know of that.
pub(super) fn admit(
    library: &Library,
    draft: &Draft,
    looked: &Looked,
    show: &ShowRecord,
) -> Result<Option<String>, PublishError> {
    // What its listeners know already is out, whatever directories say.
    if draft.said.origin.is_some() || show.is_private {
        return Ok(None);
    }
    let old = draft.replaces.as_ref();
    let new = Newcomer {
        mime: &looked.enclosure.mime,
        number: draft.said.number.or(old.and_then(|old| old.number)).or(looked.tags.number),
        kind: old.map_or_else(EpisodeKind::default, |old| old.kind),
        cover: looked.tags.cover.as_ref(),
    };
    let is_listed = show.is_listed();
    let found = match old {
        None if is_listed => check::refusals(library, show, &new),
        // What takes the place of another may be what mends the show.
        _ => check::refusals_of(show, &new),
    };
    if is_listed && !draft.anyway && !found.is_empty() {
        return Err(PublishError::Refused(found));
    }
    // That no app plays what is no media is told already.
    let is_told = !is_listed && !is_media(new.mime);
    if found.is_empty() || is_told || show.listed == Some(false) {
        return Ok(None);
    }
    Ok(Some(format!("{}: {}", check::REFUSED, check::told(&found))))
}

/// The show that the content belongs to, and whether it is new.
pub(super) fn show_for(
    library: &Library,
    said: &Said,
    tags: &Tags,
    title: &str,
    now: DateTime<Utc>,
) -> Result<(ShowRecord, bool), LibraryError> {
    if let (None, Some(tagged)) = (&said.show, &tags.show)
        && let Ok(show) = library.show(Some(tagged))
    {
        return Ok((show, false));
    }
    match library.show(said.show.as_deref()) {
        Ok(show) => Ok((show, false)),
        Err(LibraryError::NoShow { known, .. }) if known.is_empty() => {
            let tagged = tags.show.as_deref().and_then(clean_title);
            let named = match &said.show {
                None => tagged.unwrap_or_else(|| title.to_owned()),
                // A slug was typed where the tags have the whole title.
                Some(typed) => {
                    tagged.filter(|t| Slug::from_title(t).as_str() == typed).unwrap_or_else(|| typed.clone())
                }
            };
            let slug = Slug::from_title(said.show.as_deref().unwrap_or(&named));
            let mut show = new_show(slug, named, now);
            show.author.clone_from(&tags.author);
            Ok((show, true))
        }
        Err(error) => Err(error),
    }
}

/// The first time of the show's rhythm for which no episode waits.
fn next_free(show: &ShowRecord, known: &[EpisodeRecord], now: DateTime<Utc>) -> Result<DateTime<Utc>, SaidError> {
    let waiting = known.iter().filter(|episode| episode.ended.is_none() && episode.is_scheduled());
    let taken = waiting.map(|episode| episode.published).collect();
    let next = show.rhythm.as_ref().and_then(|rhythm| rhythm.next_free(now, &taken));
    next.ok_or_else(|| SaidError::NoRhythm(show.slug.clone()))
}

/// A file name that no episode of the show has.
fn free_file_name(known: &[EpisodeRecord], published: DateTime<Utc>, title: &str, staged: &Staged) -> String {
    let name = |digits| file_name(published.date_naive(), title, &staged.sha256, digits, &staged.looked.extension);
    let is_free = |name: &String| known.iter().all(|episode| episode.file != *name);
    // Other content has other digits sooner or later; the same content was found before.
    (8..=64).map(name).find(is_free).unwrap_or_else(|| name(64))
}

fn make_metainfo(staged: &Staged, file: &str, is_private: bool, now: DateTime<Utc>) -> Result<Metainfo, PublishError> {
    let name = TorrentPath::new([file]).expect("a file name of ours is plain ASCII");
    let builder = staged.looked.found.builder(name, staged.piece_length, staged.hashes.clone());
    let program = concat!("Podswarm ", env!("CARGO_PKG_VERSION"));
    let date = Some(now.timestamp());
    let finish = |it: MetainfoBuilder| it.private(is_private).created_by(Some(program.to_owned())).creation_date(date);
    let built = builder.and_then(|builder| finish(builder).build());
    built.map_err(|source| PublishError::Metainfo { path: staged.draft.path.clone(), source })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
