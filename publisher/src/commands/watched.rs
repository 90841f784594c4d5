//! The watched folder: what lands in it is published as soon as it is whole.
//!
//! A file is whole when its writer has closed it, as far as the system tells, and has not been touched for a moment;
//! where it does not tell, as of a folder on another machine, when it has not been touched for a while. A file of a
//! sub-folder belongs to the show of that name. What is published goes to `published` beside it; what cannot be
//! published stays, with a note beside it, until it or the note is another, or, where directories would refuse it, its
//! show.
//!
//! Law: a file is published once: one that was, and was not moved away before we stopped, is known by its content.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use podswarm_core::app::{DataDir, Explain as _, Failure, Out};
use podswarm_core::net::create::HashError;
use tokio_util::sync::CancellationToken;

use super::companions;
use crate::check::REFUSED;
use crate::control::refused;
use crate::host::{Host, blocking};
use crate::kind;
use crate::publish::{Draft, Follow, Intake, PublishError, Said};
use crate::record::ShowRecord;
use crate::wire::{Published, WatchedFile, WatchedStatus};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For how long nobody has touched a file that its writer has closed.
const MOMENT: Duration = Duration::from_secs(1);
/// For how long nobody has touched a file of which the system has told nothing.
const WHILE: Duration = Duration::from_secs(30);
/// Whether the system tells when a writer closes a file. Where it does not, that somebody writes to it says little.
const TELLS_OF_CLOSING: bool = cfg!(any(target_os = "linux", target_os = "android"));
/// Where a file goes that is published.
const PUBLISHED: &str = "published";
/// What the name of a note ends in.
const NOTE: &str = ".failed.txt";
/// What the names of files end in that somebody is still making.
const UNFINISHED: [&str; 7] = [".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", "~"];
/// What the names of files end in that go with an episode.
const COMPANIONS: [&str; 4] = [".chapters.json", ".chapters.txt", ".vtt", ".srt"];

/// A folder that is watched.
pub(super) struct Watched {
    folder: PathBuf,
    /// What is known of the files in it.
    files: BTreeMap<PathBuf, Seen>,
    /// Tells of changes, where the system does.
    events: Option<(RecommendedWatcher, Receiver<notify::Result<Event>>)>,
    published: u64,
    /// Why the folder cannot be read.
    error: Option<String>,
}

/// A file as it was when it was last looked at.
#[derive(Clone, Debug)]
struct Seen {
    length: u64,
    modified: Option<SystemTime>,
    /// Since when it is like that.
    since: Instant,
    /// What the system has told of who writes to it.
    writer: Writer,
    state: State,
}

/// Who writes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Nothing was told.
    Unknown,
    /// Somebody does.
    AtWork,
    /// Whoever did has closed it.
    Gone,
}

/// What was done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    Waiting,
    /// It was tried, and this is why it is not published.
    Failed {
        /// The reason.
        why: String,
        /// The show as it was, where that decided it.
        show: Option<Box<ShowRecord>>,
    },
    /// It is not to be tried again as it is, and no note beside it could say so.
    Stuck(String),
}

impl Seen {
    /// Whether nobody is going to write to it any more.
    fn is_whole(&self, now: Instant, clock: SystemTime) -> bool {
        let untouched = now.duration_since(self.since);
        // What was there long before us need not be waited for.
        let age = self.modified.and_then(|modified| clock.duration_since(modified).ok()).unwrap_or_default();
        match self.writer {
            _ if self.length == 0 => false,
            Writer::AtWork => false,
            Writer::Gone => untouched >= MOMENT,
            Writer::Unknown => untouched.max(age) >= WHILE,
        }
    }
}

impl Watched {
    /// Watches `folder`, if it can be one to watch.
    pub(super) fn new(folder: &Path, data: &DataDir) -> Result<Self, Failure> {
        let real = |path: &Path| path.canonicalize().explain(|| format!("watch the folder `{}`", path.display()));
        let folder = real(folder).map_err(|failure| failure.with_hint("make it, or give another with --watch DIR"))?;
        if !folder.is_dir() {
            let failure = Failure::usage(format!("`{}` is to be watched and is no folder", folder.display()));
            return Err(failure.with_hint("give a folder with --watch DIR"));
        }
        let data = real(data.path())?;
        if folder.starts_with(&data) || data.starts_with(&folder) {
            let (folder, data) = (folder.display(), data.display());
            let failure = Failure::usage(format!("`{folder}` cannot be watched: the data directory is `{data}`"));
            return Err(failure.with_hint("give a folder of its own with --watch DIR"));
        }
        Ok(Self { folder, files: BTreeMap::new(), events: None, published: 0, error: None })
    }

    /// Publishes what comes, through `host`, until `stop`.
    pub(super) async fn watch_task(mut self, host: Arc<Host>, out: Out, stop: CancellationToken) {
        let work = async {
            loop {
                if self.has_refused() {
                    let of_host = Arc::clone(&host);
                    if let Ok(shows) = blocking(move || of_host.library().shows()).await {
                        self.admit(&shows);
                    }
                }
                let whole;
                (self, whole) = blocking(move || self.look(Instant::now(), SystemTime::now())).await;
                host.tell_watched(self.status());
                for path in whole {
                    self.publish(&host, &out, path).await;
                    host.tell_watched(self.status());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let _: Option<std::convert::Infallible> = stop.run_until_cancelled(work).await;
    }

    /// Whether a file is not published because of its show.
    fn has_refused(&self) -> bool {
        self.files.values().any(|seen| matches!(seen.state, State::Failed { show: Some(_), .. }))
    }

    /// Has files tried again whose show is another than it was.
    fn admit(&mut self, shows: &[ShowRecord]) {
        for seen in self.files.values_mut() {
            if let State::Failed { show: Some(show), .. } = &seen.state
                && !shows.contains(show)
            {
                seen.state = State::Waiting;
            }
        }
    }

    /// Looks at all files, and gives those to publish now, the oldest first.
    fn look(mut self, now: Instant, clock: SystemTime) -> (Self, Vec<PathBuf>) {
        if self.events.is_none() {
            self.events = listen(&self.folder);
        }
        // Before the files are looked at: what is told of one that is not known yet is about the file that it is.
        let told = self.told();
        let found = match files_of(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                if self.error.is_none() {
                    tracing::warn!(folder = %self.folder.display(), %error, "cannot read the watched folder");
                }
                // Whatever comes back under that name is another folder to the system.
                (self.events, self.error) = (None, Some(error.to_string()));
                return (self, Vec::new());
            }
        };
        self.error = None;
        self.files.retain(|path, _| found.contains_key(path));
        for (path, (length, modified)) in found {
            let note = note_of(&path);
            let seen = self.files.entry(path.clone()).or_insert_with(|| Seen {
                length,
                modified,
                since: now,
                writer: Writer::Unknown,
                state: told_before(&note, modified),
            });
            if (seen.length, seen.modified) != (length, modified) {
                (seen.length, seen.modified, seen.since, seen.state) = (length, modified, now, State::Waiting);
            }
            if let Some(&writer) = told.get(&path) {
                (seen.since, seen.writer) = (now, writer);
            }
            if matches!(seen.state, State::Failed { .. }) && !note.exists() {
                seen.state = State::Waiting;
            }
        }
        let is_whole = |path: &Path| self.files.get(path).is_none_or(|seen| seen.is_whole(now, clock));
        let mut whole: Vec<_> = (self.files.iter())
            .filter(|(path, seen)| seen.state == State::Waiting && !is_companion(path))
            .filter(|(path, _)| is_whole(path) && companions_of(path).all(|companion| is_whole(&companion)))
            .map(|(path, seen)| (seen.modified, path.clone()))
            .collect();
        whole.sort();
        (self, whole.into_iter().map(|(_, path)| path).collect())
    }

    /// What the system has told of files since the last look.
    fn told(&mut self) -> BTreeMap<PathBuf, Writer> {
        let mut told = BTreeMap::new();
        for event in self.events.iter().flat_map(|(_, events)| events.try_iter()) {
            let Ok(event) = event else { continue };
            if event.need_rescan() {
                // Some of what happened is lost: nothing that was told before is sure any more.
                self.files.values_mut().for_each(|seen| seen.writer = Writer::Unknown);
                told.clear();
            }
            let writer = match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Writer::Gone,
                EventKind::Modify(ModifyKind::Data(_)) if TELLS_OF_CLOSING => Writer::AtWork,
                _ => continue,
            };
            told.extend(event.paths.into_iter().map(|path| (path, writer)));
        }
        told
    }

    async fn publish(&mut self, host: &Arc<Host>, out: &Out, path: PathBuf) {
        let name = self.name_of(&path);
        let show = path.parent().filter(|parent| *parent != self.folder).and_then(Path::file_name);
        let said = Said { show: show.map(|show| show.to_string_lossy().into_owned()), ..Said::default() };
        let state = match publish(host, &path, said).await {
            Ok(Some(published)) => {
                self.published += 1;
                tracing::info!(file = name, title = published.episode.title, "published from the watched folder");
                out.note(format!("published from the watched folder: {}", published.episode.title));
                for warning in &published.warnings {
                    out.note(format!("  {warning}"));
                }
                let _ = out.json(&published);
                let moved = path.clone();
                match blocking(move || put_away(&moved)).await {
                    Ok(()) => {
                        self.files.remove(&path);
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(file = name, %error, "cannot move what is published out of the watched folder");
                        State::Stuck(format!("it is published, and cannot be moved to `{PUBLISHED}`: {error}"))
                    }
                }
            }
            Ok(None) => {
                if let Some(seen) = self.files.get_mut(&path) {
                    seen.since = Instant::now();
                }
                return;
            }
            Err(Kept { failure, show }) => {
                tracing::warn!(file = name, error = %failure, "cannot publish from the watched folder");
                out.warn(format!("`{name}` in the watched folder: {failure}"));
                let (note, text) = (note_of(&path), note_text(&name, &failure, show.is_some()));
                let noted = blocking(move || fs::write(note, text)).await;
                if let Err(error) = noted {
                    tracing::warn!(file = name, %error, "cannot write a note beside it");
                    // Without its note it would be tried again at once.
                    State::Stuck(failure.to_string())
                } else {
                    State::Failed { why: failure.to_string(), show }
                }
            }
        };
        if let Some(seen) = self.files.get_mut(&path) {
            seen.state = state;
        }
    }

    fn status(&self) -> WatchedStatus {
        let (mut waiting, mut failed) = (Vec::new(), Vec::new());
        for (path, seen) in self.files.iter().filter(|(path, _)| !is_companion(path)) {
            let file = self.name_of(path);
            match &seen.state {
                State::Waiting => waiting.push(file),
                State::Failed { why: error, .. } | State::Stuck(error) => {
                    failed.push(WatchedFile { file, error: error.clone() });
                }
            }
        }
        let folder = self.folder.display().to_string();
        WatchedStatus { folder, error: self.error.clone(), published: self.published, waiting, failed }
    }

    /// The file's name below the folder.
    fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}

/// Why a file is not published.
struct Kept {
    failure: Failure,
    /// The show as it is, if directories would refuse the file in it.
    show: Option<Box<ShowRecord>>,
}

impl From<Failure> for Kept {
    fn from(failure: Failure) -> Self {
        Self { failure, show: None }
    }
}

/// Publishes the file, with what lies beside it. `None` if somebody writes to it after all, or has taken it away.
async fn publish(host: &Arc<Host>, path: &Path, said: Said) -> Result<Option<Published>, Kept> {
    let said = {
        let path = path.to_owned();
        blocking(move || {
            let kind = match kind::of_file(&path, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                kind => kind.explain(|| "read it".to_owned())?,
            };
            if !kind.is_media() && kind.mime != "application/pdf" {
                let failure = Failure::new("it is neither audio nor video that podcast apps know");
                return Err(failure.with_hint("`podpub publish` takes files of every kind"));
            }
            companions::beside(&|note| tracing::info!("{note}"), &path, &said).map(Some)
        })
        .await?
    };
    let Some(said) = said else { return Ok(None) };
    let draft = Draft { path: path.to_owned(), name: None, intake: Intake::Copy, said, replaces: None, anyway: false };
    match host.publish(draft, Follow::default()).await {
        Ok(published) => Ok(Some(published)),
        Err(PublishError::Hash(HashError::Changed { .. } | HashError::Length { .. }) | PublishError::Cancelled) => {
            Ok(None)
        }
        Err(PublishError::Refused(findings)) => {
            let show = findings.first().map(|finding| finding.show.clone());
            let library = host.library().clone();
            let show = blocking(move || library.show(show.as_deref())).await.ok();
            Err(Kept { failure: refused(PublishError::Refused(findings)), show: show.map(Box::new) })
        }
        Err(error) => Err(refused(error).into()),
    }
}

/// Has the system tell of changes below `folder`, if it can.
fn listen(folder: &Path) -> Option<(RecommendedWatcher, Receiver<notify::Result<Event>>)> {
    let (told, events) = channel();
    let listening = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    match listening {
        Ok(watcher) => Some((watcher, events)),
        Err(error) => {
            tracing::debug!(%error, "the system does not tell of changes in the watched folder");
            None
        }
    }
}

/// Length and time of all files of the folder and its sub-folders that are not left out.
fn files_of(folder: &Path) -> io::Result<BTreeMap<PathBuf, (u64, Option<SystemTime>)>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        let entries = match fs::read_dir(&inner) {
            Ok(entries) => entries,
            Err(error) if inner == folder => return Err(error),
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
            let is_left_out =
                name.starts_with('.') || name.ends_with(NOTE) || UNFINISHED.iter().any(|end| name.ends_with(end));
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if is_left_out {
                continue;
            }
            if metadata.is_file() {
                found.insert(path, (metadata.len(), metadata.modified().ok()));
            } else if metadata.is_dir() && inner == folder && name != PUBLISHED {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

/// Moves what is published, what goes with it and the note of an earlier failure out of the way.
fn put_away(path: &Path) -> io::Result<()> {
    let folder = path.with_file_name(PUBLISHED);
    fs::create_dir_all(&folder)?;
    let companions: Vec<PathBuf> = companions_of(path).collect();
    for file in std::iter::once(path).chain(companions.iter().map(PathBuf::as_path)) {
        fs::rename(file, free_name(&folder, file))?;
    }
    match fs::remove_file(note_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A name in `folder` like that of `file` that no other has.
fn free_name(folder: &Path, file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default();
    let (stem, extension) = (file.file_stem().unwrap_or_default(), file.extension().unwrap_or_default());
    let numbered =
        (2..).map(|n| folder.join(format!("{} ({n}).{}", stem.to_string_lossy(), extension.to_string_lossy())));
    let mut names = std::iter::once(folder.join(name)).chain(numbered);
    names.find(|path| fs::symlink_metadata(path).is_err()).expect("there is always one more number")
}

/// What goes with the episode at `path`, of what is there.
fn companions_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    COMPANIONS.iter().map(|end| path.with_extension(&end[1..])).filter(|companion| companion.is_file())
}

fn is_companion(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    COMPANIONS.iter().any(|end| name.ends_with(end))
}

/// Where it is told that the file at `path` is not published.
fn note_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(NOTE);
    path.with_file_name(name)
}

fn note_text(name: &str, failure: &Failure, is_of_show: bool) -> String {
    let hint = failure.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    let when = if is_of_show { "Change the show, or remove this note" } else { "Remove this note" };
    format!("{name} is not published: {failure}\n{hint}{when}, and it is tried again.\n")
}

/// What a note says of a file that has not changed since.
fn told_before(note: &Path, modified: Option<SystemTime>) -> State {
    let written = fs::metadata(note).and_then(|metadata| metadata.modified()).ok();
    match (written, fs::read_to_string(note)) {
        (Some(written), Ok(text)) if modified.is_none_or(|modified| modified <= written) => {
            let first = text.lines().next().unwrap_or_default();
            let why = first.split_once(" is not published: ").map_or(first, |(_, why)| why);
            // The show may have changed while nobody looked.
            if why.starts_with(REFUSED) {
                return State::Waiting;
            }
            State::Failed { why: why.to_owned(), show: None }
        }
        _ => State::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(writer: Writer, length: u64, since: Instant, modified: SystemTime) -> Seen {
        Seen { length, modified: Some(modified), since, writer, state: State::Waiting }
    }

    #[test]
    fn a_file_is_whole_when_its_writer_is_gone_or_nobody_has_touched_it_for_a_while() {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let second = Duration::from_secs(1);
        for (writer, length, untouched, age, want) in [
            (Writer::Gone, 1, 1, 1, true),
            (Writer::Gone, 1, 0, 1, false),
            (Writer::Gone, 0, 99, 99, false),
            (Writer::AtWork, 1, 9999, 9999, false),
            (Writer::Unknown, 1, 29, 29, false),
            (Writer::Unknown, 1, 30, 0, true),
            (Writer::Unknown, 1, 0, 30, true),
        ] {
            let file = seen(writer, length, now, clock);
            let (now, clock) = (now + second * untouched, clock + second * age);
            assert_eq!(file.is_whole(now, clock), want, "{writer:?} {length} {untouched} {age}");
        }
    }

    #[test]
    fn what_is_no_episode_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.mp3", ".b.mp3", "c.mp3.part", "d.mp3.failed.txt", "e.vtt", "f.mp3~"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        for name in ["published", "show", "show/published", "show/deep"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("in.mp3"), "x").unwrap();
        }
        let found = files_of(dir.path()).unwrap();
        let names: Vec<_> = found.keys().map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.mp3", "e.vtt", "show/in.mp3"]);
        assert!(is_companion(Path::new("e.VTT")) && !is_companion(Path::new("a.mp3")));
    }

    #[test]
    fn names_that_are_taken_get_a_number() {
        let dir = tempfile::tempdir().unwrap();
        for want in ["a.mp3", "a (2).mp3", "a (3).mp3"] {
            let path = free_name(dir.path(), Path::new("elsewhere/a.mp3"));
            assert_eq!(path, dir.path().join(want));
            fs::write(path, "x").unwrap();
        }
    }
}
