//! Covers of shows and chapters of episodes, kept on this machine, so that whoever looks at a show or plays an episode
//! in the house asks nobody outside for them.
//!
//! Each is known by the address that it came from, and stands in a file that is called after that, after what came, and
//! after its kind; the file's date tells when it came, by our clock, since a disk elsewhere may have another. Beside it
//! stands an empty file while it could not be had.
//!
//! Knows nothing of shows, episodes and hosts. What changes the disk blocks the thread, looking up does not.
//!
//! Law: all of it together has at most `MOST_BYTES` in `MOST` files; what has no room is not kept, and nothing that
//! is kept makes way for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use podswarm_core::app::write_atomic;
use podswarm_core::rate::ByteCount;

use crate::agent::found::mark;

/// Bytes that all of it may have.
const MOST_BYTES: u64 = 1 << 30;
/// So many things are kept, or known not to be had.
const MOST: usize = 10_000;
/// What is kept is fetched again after this long: its host may have put another thing in its place.
const STALE: Duration = Duration::from_hours(30 * 24);
/// What could not be had is asked for again after this long.
const AGAIN: Duration = Duration::from_hours(24);
/// The extension of what could not be had.
const FAILED: &str = "none";

/// What something is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraKind {
    /// Chapters as the podcast namespace's JSON.
    Chapters,
    /// A picture.
    Jpeg,
    /// A picture.
    Png,
}

impl ExtraKind {
    const ALL: [Self; 3] = [Self::Chapters, Self::Jpeg, Self::Png];

    /// The extension of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Chapters => "json",
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// What it is.
    pub kind: ExtraKind,
    /// A name that changes with its content, such as `0123456789abcdef.png`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    kept: Option<Kept>,
    /// When it could not be had.
    failed: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    kind: ExtraKind,
    /// Tells what came from what came before.
    mark: u64,
    length: u64,
    /// When it came.
    at: SystemTime,
}

impl Kept {
    fn name(&self) -> String {
        name(self.mark, self.kind.extension())
    }
}

/// What a file with this extension and this content is called.
pub fn name_of(extension: &str, bytes: &[u8]) -> String {
    name(mark(bytes), extension)
}

fn name(mark: u64, extension: &str) -> String {
    format!("{mark:016x}.{extension}")
}

/// Covers and chapters that are kept in a folder.
#[derive(Debug)]
pub struct Extras {
    dir: PathBuf,
    /// By the marks of their addresses.
    entries: Mutex<BTreeMap<u64, Entry>>,
}

impl Extras {
    /// What is kept in the folder `dir`, which need not be there yet. Files of other names are left alone.
    pub fn open(dir: PathBuf) -> Self {
        let mut entries: BTreeMap<u64, Entry> = BTreeMap::new();
        for file in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (Some(name), Ok(metadata)) = (file.file_name().to_str().map(str::to_owned), file.metadata()) else {
                continue;
            };
            let at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match read_name(&name).filter(|_| metadata.is_file()) {
                Some((address, None)) => entries.entry(address).or_default().failed = Some(at),
                Some((address, Some((mark, kind)))) => {
                    let entry = entries.entry(address).or_default();
                    // Two of one address are what an end in between has left; the next one to come removes both.
                    if entry.kept.as_ref().is_none_or(|other| other.at <= at) {
                        entry.kept = Some(Kept { kind, mark, length: metadata.len(), at });
                    }
                }
                None => {}
            }
        }
        Self { dir, entries: Mutex::new(entries) }
    }

    /// What is kept of this address.
    pub fn get(&self, url: &str) -> Option<ExtraFile> {
        let address = mark(url);
        let kept = self.entries().get(&address)?.kept.clone()?;
        Some(ExtraFile { kind: kept.kind, name: kept.name(), path: self.path(address, &kept) })
    }

    /// Whether it is time to ask for what is at this address.
    pub fn is_due(&self, url: &str, now: SystemTime) -> bool {
        // A date in the future is none.
        let is_past = |at: SystemTime, time: Duration| now.duration_since(at).is_ok_and(|age| age < time);
        let entries = self.entries();
        let Some(entry) = entries.get(&mark(url)) else { return true };
        let is_fresh = entry.kept.as_ref().is_some_and(|kept| is_past(kept.at, STALE));
        !is_fresh && !entry.failed.is_some_and(|at| is_past(at, AGAIN))
    }

    /// Keeps what came from this address, in the place of what came before.
    pub fn put(&self, url: &str, kind: ExtraKind, bytes: &[u8]) -> io::Result<()> {
        let (address, mark, length) = (mark(url), mark(bytes), bytes.len() as u64);
        self.check_room(address, length)?;
        fs::create_dir_all(&self.dir)?;
        let kept = Kept { kind, mark, length, at: SystemTime::now() };
        let path = self.path(address, &kept);
        write_atomic(&path, bytes, 0o600)?;
        fs::File::options().write(true).open(&path)?.set_modified(kept.at)?;
        let old = self.entries().insert(address, Entry { kept: Some(kept), failed: None }).unwrap_or_default();
        if old.failed.is_some() {
            delete(&self.failed_path(address));
        }
        if let Some(old) = old.kept.map(|old| self.path(address, &old)).filter(|old| *old != path) {
            delete(&old);
        }
        Ok(())
    }

    /// Remembers that nothing came from this address; what came before stays.
    pub fn fail(&self, url: &str) -> io::Result<()> {
        let address = mark(url);
        self.check_room(address, 0)?;
        fs::create_dir_all(&self.dir)?;
        let at = SystemTime::now();
        fs::File::create(self.failed_path(address))?.set_modified(at)?;
        self.entries().entry(address).or_default().failed = Some(at);
        Ok(())
    }

    /// Deletes all that came from other addresses than these.
    pub fn sweep<'a>(&self, wanted: impl Iterator<Item = &'a str>) {
        let wanted: BTreeSet<u64> = wanted.map(mark).collect();
        self.entries().retain(|address, _| wanted.contains(address));
        for file in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let address = file.file_name().to_str().and_then(read_name).map(|(address, _)| address);
            if address.is_some_and(|address| !wanted.contains(&address)) {
                delete(&file.path());
            }
        }
    }

    fn check_room(&self, address: u64, bytes: u64) -> io::Result<()> {
        let entries = self.entries();
        let others = || entries.iter().filter(|(other, _)| **other != address);
        let taken: u64 = others().filter_map(|(_, entry)| entry.kept.as_ref()).map(|kept| kept.length).sum();
        if others().count() < MOST && taken + bytes <= MOST_BYTES {
            return Ok(());
        }
        let most = ByteCount(MOST_BYTES);
        Err(io::Error::new(ErrorKind::QuotaExceeded, format!("{most} of covers and chapters in {MOST} files are kept")))
    }

    fn path(&self, address: u64, kept: &Kept) -> PathBuf {
        self.dir.join(format!("{address:016x}-{}", kept.name()))
    }

    fn failed_path(&self, address: u64) -> PathBuf {
        self.dir.join(format!("{address:016x}.{FAILED}"))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        // Nothing that can panic runs while it is locked.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file is by its name: of which address, and what came from there, if anything did.
fn read_name(name: &str) -> Option<(u64, Option<(u64, ExtraKind)>)> {
    let is_mark = |text: &&str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = |text: &str| Some(text).filter(is_mark).and_then(|text| u64::from_str_radix(text, 16).ok());
    let (stem, extension) = name.split_once('.')?;
    if extension == FAILED {
        return Some((number(stem)?, None));
    }
    let kind = ExtraKind::ALL.into_iter().find(|kind| kind.extension() == extension)?;
    let (address, mark) = stem.split_once('-')?;
    Some((number(address)?, Some((number(mark)?, kind))))
}

/// What stays is found again, and goes with the next sweep.
fn delete(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "what is kept no longer cannot be deleted");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://walks.example/cover.png";

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).map_or(0, Iterator::count)
    }

    #[test]
    fn what_came_is_there_after_a_restart_until_its_address_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let extras = Extras::open(dir.path().join("extras"));
        let now = SystemTime::now();
        assert!(extras.get(URL).is_none() && extras.is_due(URL, now));
        extras.put(URL, ExtraKind::Png, b"one").unwrap();
        let first = extras.get(URL).unwrap();
        assert_eq!((first.kind, fs::read(&first.path).unwrap()), (ExtraKind::Png, b"one".to_vec()));
        assert!(!extras.is_due(URL, SystemTime::now()) && extras.is_due(URL, now + STALE + AGAIN));
        // Another picture at the same address has another name; the old one is gone.
        extras.put(URL, ExtraKind::Jpeg, b"two").unwrap();
        let second = extras.get(URL).unwrap();
        assert!(second.kind == ExtraKind::Jpeg && second.name != first.name && !first.path.exists());
        fs::write(dir.path().join("extras/mine.png"), "mine").unwrap();

        let again = Extras::open(dir.path().join("extras"));
        assert_eq!(again.get(URL), Some(second));
        again.sweep([URL].into_iter());
        assert!(again.get(URL).is_some());
        again.sweep(std::iter::empty());
        assert!(again.get(URL).is_none());
        assert_eq!(files(&dir.path().join("extras")), 1, "what is not ours stays");
    }

    #[test]
    fn what_cannot_be_had_is_not_asked_for_at_once_and_takes_nothing_away() {
        let dir = tempfile::tempdir().unwrap();
        let extras = Extras::open(dir.path().to_owned());
        extras.put(URL, ExtraKind::Png, b"one").unwrap();
        extras.fail(URL).unwrap();
        let again = Extras::open(dir.path().to_owned());
        let now = SystemTime::now();
        assert!(again.get(URL).is_some());
        assert!(!again.is_due(URL, now) && again.is_due(URL, now + STALE + AGAIN));
        again.put(URL, ExtraKind::Png, b"one").unwrap();
        assert_eq!(files(dir.path()), 1);
        again.fail("https://walks.example/other.png").unwrap();
        assert!(!again.is_due("https://walks.example/other.png", SystemTime::now()));
        assert!(again.is_due("https://walks.example/other.png", now + AGAIN + AGAIN));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let extras = Extras::open(dir.path().to_owned());
        let entry = Kept { kind: ExtraKind::Png, mark: 1, length: MOST_BYTES - 2, at: SystemTime::now() };
        extras.entries().insert(1, Entry { kept: Some(entry), failed: None });
        let refused = extras.put(URL, ExtraKind::Png, b"one").unwrap_err();
        assert!(refused.to_string().starts_with("1.0 GiB of covers and chapters"), "{refused}");
        extras.put(URL, ExtraKind::Png, b"on").unwrap();
        extras.entries().extend((0..MOST as u64).map(|address| (address, Entry::default())));
        assert!(extras.fail("https://walks.example/other.png").is_err());
    }

    #[test]
    fn only_names_of_ours_are_read() {
        let ours = "0123456789abcdef-fedcba9876543210.png";
        assert_eq!(read_name(ours), Some((0x0123_4567_89ab_cdef, Some((0xfedc_ba98_7654_3210, ExtraKind::Png)))));
        for name in ["", "x.png", "0123456789abcdef.png", "+123456789abcdef.none", "0123456789abcdef-1.json", "a.b.c"] {
            assert_eq!(read_name(name), None, "{name}");
        }
    }
}
