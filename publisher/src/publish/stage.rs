//! Looks at what is to be published, copies it and hashes it, all before anything is promised.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use data_encoding::HEXLOWER;
use podswarm_core::metainfo::{TorrentPath, piece_length_for};
use podswarm_core::net::create::{
    ContentHashes, CreateError, Found, FoundFile, HashOptions, Watch, find_files, hash_pieces,
};
use podswarm_feeds::chapters::Chapter;
use sha2::{Digest as _, Sha256};

use super::settle;
use super::staging::Staging;
use super::{Draft, Follow, Intake, PublishError};
use crate::kind::{self, Kind};
use crate::library::Library;
use crate::record::{Enclosure, EpisodeRecord, Place};
use crate::tags::{self, Tags};
use crate::timeline;

/// The name of the content in its staging folder.
pub(super) const CONTENT: &str = "content";

/// Content that is hashed, and safe in its staging folder or where its owner has it.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(super) staging: Staging,
    pub(super) draft: Draft,
    pub(super) looked: Looked,
    pub(super) place: Place,
    pub(super) piece_length: u32,
    pub(super) hashes: ContentHashes,
    /// Names the content, in lower-case hex.
    pub(super) sha256: String,
}

impl Staged {
    /// Puts what was moved here back where it was: it may be asked for again.
    pub(super) fn give_back(self) {
        if self.draft.intake == Intake::Move
            && let Err(error) = fs::rename(self.staging.path(CONTENT), &self.looked.original)
        {
            tracing::warn!(path = %self.looked.original.display(), %error, "cannot be put back");
        }
    }
}

/// What a look at the content tells, before it is read through.
#[derive(Debug)]
pub(super) struct Looked {
    /// Where its owner has it, links resolved.
    original: PathBuf,
    /// Its files.
    pub(super) found: Found,
    /// The file that ordinary apps are given.
    pub(super) enclosure: Enclosure,
    /// The extension that the file gets; empty for a folder.
    pub(super) extension: String,
    pub(super) tags: Tags,
    /// Its chapters, as it says itself.
    pub(super) chapters: Vec<Chapter>,
    /// What its owner should know, one sentence each.
    pub(super) warnings: Vec<String>,
}

/// Copies and hashes what `draft` names.
pub(crate) fn stage(library: &Library, draft: Draft, follow: &Follow) -> Result<Staged, PublishError> {
    draft.said.check()?;
    let looked = look(&draft)?;
    // Whoever has to say which show it is wants to know before an hour of video is hashed.
    let (show, _) = settle::show_for(library, &draft.said, &looked.tags, "", Utc::now())?;
    // And so does whoever is refused. What the show may have already is told so, once its hash shows it.
    let may_be_here = |episode: &EpisodeRecord| episode.length == looked.found.length();
    if !library.all_episodes(&show.slug)?.iter().any(may_be_here) {
        settle::admit(library, &draft, &looked, &show)?;
    }
    let staging = Staging::new(library)?;
    let (found, content) = (&looked.found, staging.path(CONTENT));
    let (files, copies): (_, Option<Vec<PathBuf>>) = match draft.intake {
        Intake::Copy => (found.to_hash(), Some(paths_in(&content, found).collect())),
        Intake::InPlace => (found.to_hash(), None),
        // What may be moved is hashed where it will be.
        Intake::Move => {
            fs::rename(&looked.original, &content).map_err(|source| unreadable(&looked.original, source))?;
            (paths_in(&content, found).zip(found.files.iter().map(|file| file.length)).collect(), None)
        }
    };
    let (total, piece_length) = (found.length(), piece_length_for(found.length()));
    let progress = |done| (follow.progress)(done, total);
    let watch = Watch { progress: Some(&progress), cancel: Some(&follow.cancel) };
    let version = draft.said.version.unwrap_or_default();
    let options = HashOptions { sha256: true, copy_to: copies.as_deref(), version };
    let hashed = hash_pieces(&files, piece_length, options, watch)
        .map_err(|error| PublishError::of_hash(error, &draft.path, total, library.root()))?;
    let place = match draft.intake {
        Intake::InPlace => in_place(&looked)?,
        Intake::Copy | Intake::Move => Place::Library,
    };
    let digest = hashed.sha256.expect("the SHA-256 was asked for");
    let sha256 = HEXLOWER.encode(&if found.is_single_file { digest } else { folder_digest(found, &digest) });
    Ok(Staged { staging, draft, looked, place, piece_length, hashes: hashed.hashes, sha256 })
}

/// Looks at what `draft` names; refuses what cannot be published.
fn look(draft: &Draft) -> Result<Looked, PublishError> {
    let original = draft.path.canonicalize().map_err(|source| unreadable(&draft.path, source))?;
    let found = find(&draft.path, &original)?;
    let name = draft.name.as_deref().map_or(draft.path.as_path(), Path::new);
    let (main, kind) = main_file(&found, name)?;
    let mut tags = tags::read(&main.on_disk);
    let timeline = timeline::read(&main.on_disk, kind.mime);
    tags.duration = timeline.duration.or(tags.duration);
    let mut warnings = warnings(&found, &kind, &draft.path);
    warnings.extend(tags.cover.as_ref().and_then(crate::cover::Cover::complaint));
    let path = (!found.is_single_file).then(|| main.path.to_string());
    let enclosure = Enclosure { path, length: main.length, mime: kind.mime.to_owned() };
    let extension = if found.is_single_file { kind.extension } else { String::new() };
    let chapters = timeline.chapters;
    Ok(Looked { original, found, enclosure, extension, tags, chapters, warnings })
}

/// What a path names that is to be published: a file, or a folder of files.
fn find(path: &Path, original: &Path) -> Result<Found, PublishError> {
    let metadata = fs::metadata(original).map_err(|source| unreadable(path, source))?;
    if !metadata.is_file() {
        return find_files(original).map_err(PublishError::Unfit);
    }
    if metadata.len() == 0 {
        return Err(PublishError::Unfit(CreateError::Empty { path: path.to_owned() }));
    }
    // A file's own name is not looked at: it gets another.
    let name = TorrentPath::new([CONTENT]).expect("a plain word is a file name");
    let file = FoundFile { path: name.clone(), on_disk: original.to_owned(), length: metadata.len() };
    Ok(Found { name, is_single_file: true, files: vec![file], left_out: Vec::new() })
}

fn unreadable(path: &Path, source: io::Error) -> PublishError {
    match source.kind() {
        io::ErrorKind::NotFound => PublishError::Missing { path: path.to_owned() },
        _ => PublishError::Unfit(CreateError::Read { path: path.to_owned(), source }),
    }
}

/// Where the files are once the content lies at `root`.
fn paths_in<'a>(root: &'a Path, found: &'a Found) -> impl Iterator<Item = PathBuf> + 'a {
    found.files.iter().map(|file| if found.is_single_file { root.into() } else { root.join(file.path.to_path_buf()) })
}

/// The original as it is now that it has been read through.
fn in_place(looked: &Looked) -> Result<Place, PublishError> {
    let original = &looked.original;
    let mtime = if looked.found.is_single_file {
        let metadata = fs::metadata(original).map_err(|source| unreadable(original, source))?;
        crate::http::mtime_of(&metadata)
    } else {
        None
    };
    Ok(Place::Original { path: original.clone(), mtime })
}

/// The file that ordinary apps are given: the largest that they play, else the largest. `name` is that of the whole.
fn main_file<'a>(found: &'a Found, name: &Path) -> Result<(&'a FoundFile, Kind), PublishError> {
    let mut best: Option<(bool, &FoundFile, Kind)> = None;
    for file in &found.files {
        let name = if found.is_single_file { name } else { &file.on_disk };
        let kind = kind::of_file(&file.on_disk, name).map_err(|source| unreadable(&file.on_disk, source))?;
        let is_better =
            best.as_ref().is_none_or(|(plays, than, _)| (kind.is_media(), file.length) > (*plays, than.length));
        if is_better {
            best = Some((kind.is_media(), file, kind));
        }
    }
    let (_, file, kind) = best.expect("there is at least one file");
    Ok((file, kind))
}

fn warnings(found: &Found, kind: &Kind, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    if !kind.is_media() {
        warnings.push(format!(
            "`{}` is neither audio nor video; podcast apps will not play it, it is offered as {}",
            path.display(),
            kind.mime
        ));
    }
    if let Some(first) = found.left_out.first() {
        let count = found.left_out.len();
        warnings.push(format!("{count} hidden or system files are left out, such as `{}`", first.display()));
    }
    warnings
}

/// The SHA-256 that names a folder: of every file's path and length, then of the content's own digest.
fn folder_digest(found: &Found, content: &[u8; 32]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in &found.files {
        digest.update((file.path.as_str().len() as u64).to_be_bytes());
        digest.update(file.path.as_str());
        digest.update(file.length.to_be_bytes());
    }
    digest.update(content);
    digest.finalize().into()
}
