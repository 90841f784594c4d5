//! What version of a program the state in a data directory is of, and what is done where that is another one.
//!
//! The file `state.json` names the kinds of records that the state may hold and the version of each, as the program
//! that last opened it knew them. A newer program copies the state before it changes anything; an older one refuses it.
//!
//! ```text
//! DIR/state.json                             {"program":"podpub 0.2.0","records":{"episode":2,"show":1,…}}
//!     before-upgrade/2026-11-22 podpub 0.1.0/    the state as that version left it; at most three are kept
//! ```
//!
//! What is copied is small: records, keys and settings. Media, torrents and what the engine remembers of them stay what
//! they are from version to version.
//!
//! Law: a state is never opened by a program that does not know all of it, and none is changed by a newer program
//! before a whole copy of it is on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::data_dir::DataDir;
use super::failure::{Explain, Failure};
use super::text::printable;
use super::{sync_folder_of, write_atomic};
use crate::net::zone::local_time;
use crate::store::Record;

/// The file that names the shape.
const FILE: &str = "state.json";
/// The folder of the copies.
const COPIES: &str = "before-upgrade";
/// What is never written by a program that is whole.
const UNFINISHED: &str = ".unfinished";
/// So many copies are kept.
const KEPT: usize = 3;
/// What says who runs now, and means nothing later.
const PASSING: [&str; 2] = ["control.json", "daemon.lock"];
/// The folders of every state that are copied, where they are.
const FOLDERS: [&str; 2] = ["journal", "index"];
/// A file beside them that is longer is none of the state.
const LONGEST: u64 = 16 << 20;

/// Which kinds of records a program knows, and in which versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateShape {
    /// The program and its version.
    program: String,
    /// The version of each kind.
    records: BTreeMap<String, u8>,
    /// The program's own folders that are copied, too.
    #[serde(skip)]
    folders: Vec<&'static str>,
}

/// A state that a newer program has taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The program that had it before.
    pub from: String,
    /// The copy of what it left.
    pub copy: PathBuf,
}

impl StateShape {
    /// What this version of the program with data in `dir` knows, so far nothing. `folders` are its own, besides those
    /// of the store, that are small and not to be lost.
    pub fn new(dir: &DataDir, folders: &[&'static str]) -> Self {
        Self { program: dir.version(), records: BTreeMap::new(), folders: folders.to_vec() }
    }

    /// The same, and it knows `R`.
    #[must_use]
    pub fn with<R: Record>(mut self) -> Self {
        self.records.insert(R::KIND.to_owned(), R::VERSION);
        self
    }

    /// The first kind of which `self` knows more than `other`, told with both versions.
    fn more_than(&self, other: &Self) -> Option<(&str, u8, u8)> {
        let known = |kind: &String| other.records.get(kind).copied().unwrap_or(0);
        let found = self.records.iter().find(|(kind, version)| **version > known(kind));
        found.map(|(kind, version)| (kind.as_str(), *version, known(kind)))
    }
}

/// Makes the state in `dir` one that this program may open. Where an older version left it, it is copied first.
///
/// The caller holds the directory's lock, and has not opened the store. Blocks the thread.
pub fn admit(dir: &DataDir, shape: &StateShape) -> Result<Option<Upgrade>, Failure> {
    let root = dir.path();
    let found = match read(root)? {
        Some(found) => found,
        None if is_new(root) => return write(root, shape).map(|()| None),
        // What wrote no shape is older than shapes are.
        None => StateShape { program: "an earlier version".to_owned(), records: BTreeMap::new(), folders: Vec::new() },
    };
    if let Some((kind, has, knows)) = found.more_than(shape) {
        return Err(refusal(root, shape, &found, kind, has, knows));
    }
    if shape.more_than(&found).is_none() {
        if found.program != shape.program {
            write(root, shape)?;
        }
        return Ok(None);
    }
    let copy = copy_state(root, &found.program, &shape.folders).map_err(|error| {
        Failure::new(format!("copy the state in `{}` before {} changes it", root.display(), shape.program))
            .because(error)
            .with_hint(format!("nothing was touched; make room or rights for `{}`", root.join(COPIES).display()))
    })?;
    tracing::info!(from = found.program, to = shape.program, copy = %copy.display(), "the state was copied");
    write(root, shape)?;
    Ok(Some(Upgrade { from: found.program, copy }))
}

impl Upgrade {
    /// What the owner is told.
    pub fn notice(&self) -> String {
        format!("the state of {} was copied to `{}` before this version changes it", self.from, self.copy.display())
    }
}

/// The refusal of a state that is newer than this program.
fn refusal(root: &Path, shape: &StateShape, found: &StateShape, kind: &str, has: u8, knows: u8) -> Failure {
    let what = if knows == 0 { "does not know".to_owned() } else { format!("knows up to version {knows}") };
    let failure = Failure::new(format!(
        "the state in `{}` was left by {}, which is newer than this {}: it has {} records of version {has}, which this \
         one {what}. Nothing was touched",
        root.display(),
        printable(&found.program),
        shape.program,
        printable(kind),
    ));
    let copy = copies(root).ok().and_then(|mut copies| copies.pop());
    failure.with_hint(match copy {
        Some(copy) => format!(
            "run the newer program; or move `journal` and `index` away and put those of `{}` in their place, without \
             what has happened since",
            copy.display()
        ),
        None => "run the newer program".to_owned(),
    })
}

/// The shape that the directory's state has, if it says.
fn read(root: &Path) -> Result<Option<StateShape>, Failure> {
    let path = root.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).explain(|| format!("read `{}`", path.display())),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let failure = Failure::new(format!("`{}` does not say what version the state is of", path.display()));
        failure.because(error).with_hint("if no newer version was ever run here, remove the file")
    })
}

fn write(root: &Path, shape: &StateShape) -> Result<(), Failure> {
    let path = root.join(FILE);
    let saying = || format!("write `{}`", path.display());
    let text = serde_json::to_string_pretty(shape)? + "\n";
    fs::create_dir_all(root).explain(saying)?;
    write_atomic(&path, text.as_bytes(), 0o644).explain(saying)
}

/// Whether there is no state yet.
fn is_new(root: &Path) -> bool {
    FOLDERS.iter().all(|folder| fs::read_dir(root.join(folder)).map_or(true, |mut found| found.next().is_none()))
}

/// Copies what is small and not to be lost; returns where to.
fn copy_state(root: &Path, from: &str, own: &[&str]) -> io::Result<PathBuf> {
    let all = root.join(COPIES);
    fs::create_dir_all(&all)?;
    let unfinished = all.join(UNFINISHED);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(&unfinished)?,
    }
    let copied = copy_into(root, &unfinished, own).and_then(|()| {
        let name = format!("{} {from}", local_time(Utc::now()).format("%Y-%m-%d"));
        let names = (1..).map(|n| if n == 1 { name.clone() } else { format!("{name} ({n})") });
        let free = names.map(|name| all.join(name)).find(|path| !path.exists()).expect("names have no end");
        fs::rename(&unfinished, &free)?;
        sync_folder_of(&free)?;
        Ok(free)
    });
    match &copied {
        Ok(_) => forget_old(root),
        // It may be what fills the disk.
        Err(_) => drop(fs::remove_dir_all(&unfinished)),
    }
    copied
}

fn copy_into(root: &Path, target: &Path, own: &[&str]) -> io::Result<()> {
    for folder in FOLDERS.iter().chain(own) {
        let source = root.join(folder);
        if source.is_dir() {
            copy_folder(&source, &target.join(folder))?;
        }
    }
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let (name, found) = (entry.file_name(), entry.metadata()?);
        if found.is_file() && found.len() <= LONGEST && !PASSING.iter().any(|passing| name == *passing) {
            copy_file(&entry.path(), &target.join(&name))?;
        }
    }
    sync_folder_of(&target.join(FILE))
}

/// Copies a folder with all that is in it. What is neither file nor folder is none of ours.
fn copy_folder(source: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    fs::set_permissions(target, fs::metadata(source)?.permissions())?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, target.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &target)?;
        }
    }
    sync_folder_of(&target.join(FILE))
}

/// Copies a file with its permissions; where the file system can, both share their bytes.
fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    reflink_copy::reflink_or_copy(source, target)?;
    fs::set_permissions(target, fs::metadata(source)?.permissions())?;
    File::open(target)?.sync_all()
}

/// The copies, the oldest first.
fn copies(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(COPIES))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != UNFINISHED {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Removes the oldest copies.
fn forget_old(root: &Path) {
    let copies = copies(root).unwrap_or_default();
    for old in copies.iter().rev().skip(KEPT) {
        if let Err(error) = fs::remove_dir_all(old) {
            tracing::warn!(path = %old.display(), %error, "old copy of the state not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::store::Store;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct ShowOne {
        slug: String,
    }

    impl Record for ShowOne {
        const KIND: &'static str = "show";
        const VERSION: u8 = 1;

        fn key(&self) -> Vec<u8> {
            self.slug.clone().into_bytes()
        }
    }

    /// The same, a version later.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct ShowTwo {
        slug: String,
        language: String,
    }

    impl Record for ShowTwo {
        const KIND: &'static str = "show";
        const VERSION: u8 = 2;

        fn key(&self) -> Vec<u8> {
            self.slug.clone().into_bytes()
        }

        fn migrate(_: u8, mut value: Value) -> Option<Value> {
            value.as_object_mut()?.insert("language".into(), json!("en"));
            Some(value)
        }
    }

    fn world() -> (TempDir, DataDir, StateShape, StateShape) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::resolve(Some(root.path()), "podtest").unwrap();
        let shape = |version: &str| StateShape {
            program: format!("podtest {version}"),
            records: BTreeMap::new(),
            folders: vec!["keys"],
        };
        (root, dir, shape("1.0.0").with::<ShowOne>(), shape("2.0.0").with::<ShowTwo>())
    }

    /// Every file below `folder` with its bytes.
    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(files(&path));
            } else {
                found.insert(path.clone(), fs::read(path).unwrap());
            }
        }
        found
    }

    fn fill(root: &Path) {
        let (store, _) = Store::open(root).unwrap();
        store.put(&ShowOne { slug: "night-walks".into() }).unwrap();
        drop(store);
        for (path, text) in [("keys/a.ed25519", "secret"), ("media/a.mp3", "big"), ("config.toml", "up = '1MiB/s'")] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
    }

    #[test]
    fn a_state_of_the_same_version_is_opened_without_a_copy() {
        let (root, dir, one, _) = world();
        assert_eq!(admit(&dir, &one).unwrap(), None);
        fill(root.path());
        assert_eq!(admit(&dir, &one).unwrap(), None);
        assert!(!root.path().join(COPIES).exists());
    }

    #[test]
    fn a_newer_program_copies_the_state_and_an_older_one_refuses_what_it_made_of_it() {
        let (root, dir, one, two) = world();
        admit(&dir, &one).unwrap();
        fill(root.path());
        let upgrade = admit(&dir, &two).unwrap().expect("it is newer");
        assert_eq!(upgrade.from, "podtest 1.0.0");
        let name = upgrade.copy.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, format!("{} podtest 1.0.0", local_time(Utc::now()).format("%Y-%m-%d")));
        assert_eq!(fs::read_to_string(upgrade.copy.join("keys/a.ed25519")).unwrap(), "secret");
        assert!(upgrade.copy.join("config.toml").exists() && !upgrade.copy.join("media").exists());
        let (store, report) = Store::open(root.path()).unwrap();
        assert!(report.for_the_owner(root.path()).is_none(), "{report:?}");
        let mut show = store.get::<ShowTwo>("night-walks").unwrap().unwrap();
        assert_eq!(show.language, "en");
        "fr".clone_into(&mut show.language);
        store.put(&show).unwrap();
        drop(store);
        assert_eq!(admit(&dir, &two).unwrap(), None, "a state is copied once");

        let before = files(root.path());
        let failure = admit(&dir, &one).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("was left by podtest 2.0.0, which is newer than this podtest 1.0.0"), "{text}");
        assert!(text.contains("show records of version 2, which this one knows up to version 1"), "{text}");
        assert!(failure.hint().unwrap().contains(&name), "{failure:?}");
        assert_eq!(files(root.path()), before, "nothing is touched");

        // The hint's way back.
        for folder in FOLDERS {
            fs::remove_dir_all(root.path().join(folder)).unwrap();
            fs::rename(upgrade.copy.join(folder), root.path().join(folder)).unwrap();
        }
        fs::rename(upgrade.copy.join(FILE), root.path().join(FILE)).unwrap();
        assert_eq!(admit(&dir, &one).unwrap(), None);
        let (store, _) = Store::open(root.path()).unwrap();
        assert_eq!(store.get::<ShowOne>("night-walks").unwrap(), Some(ShowOne { slug: "night-walks".into() }));
    }

    #[test]
    fn a_kind_that_the_older_program_does_not_know_is_refused_too() {
        let (root, dir, one, _) = world();
        let mut more = one.clone();
        more.records.insert("playlist".to_owned(), 1);
        admit(&dir, &more).unwrap();
        fill(root.path());
        let text = admit(&dir, &one).unwrap_err().to_string();
        assert!(text.contains("playlist records of version 1, which this one does not know"), "{text}");
    }

    #[test]
    fn a_state_that_says_nothing_is_older() {
        let (root, dir, one, _) = world();
        fill(root.path());
        let upgrade = admit(&dir, &one).unwrap().expect("it says nothing");
        assert_eq!(upgrade.from, "an earlier version");
        assert_eq!(admit(&dir, &one).unwrap(), None);
    }

    #[test]
    fn a_copy_that_was_cut_off_is_made_anew_and_three_are_kept() {
        let (root, dir, one, two) = world();
        fill(root.path());
        fs::create_dir_all(root.path().join(COPIES).join(UNFINISHED).join("journal")).unwrap();
        for _ in 0..5 {
            write(root.path(), &one).unwrap();
            admit(&dir, &two).unwrap().expect("it is newer");
        }
        let kept = copies(root.path()).unwrap();
        assert_eq!(kept.len(), KEPT, "{kept:?}");
        assert!(!root.path().join(COPIES).join(UNFINISHED).exists());
    }

    #[test]
    fn a_copy_that_cannot_be_made_leaves_all_as_it_was() {
        let (root, dir, one, two) = world();
        admit(&dir, &one).unwrap();
        fill(root.path());
        fs::write(root.path().join(COPIES), "in the way").unwrap();
        let before = files(root.path());
        let failure = admit(&dir, &two).unwrap_err();
        assert!(failure.hint().unwrap().starts_with("nothing was touched"), "{failure:?}");
        assert_eq!(files(root.path()), before);
    }

    #[test]
    fn a_file_that_says_nonsense_is_refused() {
        let (root, dir, one, _) = world();
        fill(root.path());
        for nonsense in ["", "{", "[]", r#"{"program":"x"}"#, r#"{"program":"x","records":{"show":999}}"#] {
            fs::write(root.path().join(FILE), nonsense).unwrap();
            let failure = admit(&dir, &one).unwrap_err();
            assert!(failure.to_string().contains(FILE), "{failure}");
        }
    }
}
