//! A disk that fails at every operation in turn, or loses its power there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, LogFile, OsDisk};
use super::*;
use crate::rng::Rng;

/// A disk some of whose operations fail; a write that fails is half done.
#[derive(Clone)]
struct FaultyDisk(Arc<Mutex<State>>);

struct State {
    /// Whether the operation of this number fails.
    fails: Fails,
    operations: usize,
    files: Vec<FileState>,
    /// Changes of names since the folder was last synced, oldest first.
    unsynced: Vec<Renaming>,
}

type Fails = Box<dyn FnMut(usize) -> bool + Send>;

/// A file that was opened; it keeps its place in [`State::files`].
struct FileState {
    name: PathBuf,
    length: u64,
    synced: u64,
}

enum Renaming {
    Created(PathBuf),
    Removed(PathBuf, Vec<u8>),
    Renamed(PathBuf, PathBuf),
}

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn LogFile>,
    number: usize,
}

/// What a power cut leaves of bytes that were written but not synced.
#[derive(Clone, Copy, Debug)]
enum Unsynced {
    Gone,
    Kept,
    /// The file's length is there, its content is not.
    Zeros,
}

impl FaultyDisk {
    fn good() -> Self {
        Self::failing(|_| false)
    }

    fn failing(fails: impl FnMut(usize) -> bool + Send + 'static) -> Self {
        let (files, unsynced) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(State { fails: Box::new(fails), operations: 0, files, unsynced })))
    }

    fn fail(&self, fails: impl FnMut(usize) -> bool + Send + 'static) {
        self.state().fails = Box::new(fails);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation, which fails if its turn has come.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let number = state.operations;
        state.operations += 1;
        if (state.fails)(number) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(state) }
    }

    fn open(&self, path: &Path, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        let length = fs::metadata(path).unwrap().len();
        let mut state = self.state();
        state.files.push(FileState { name: name(path), length, synced: length });
        let number = state.files.len() - 1;
        drop(state);
        Box::new(FaultyFile { disk: self.clone(), file, number })
    }

    /// Makes of the files in `journal` what a power cut leaves, if the disk got to the first `names` changes of names.
    fn cut_power(&self, journal: &Path, names: usize, unsynced: Unsynced) {
        let state = self.state();
        for renaming in state.unsynced.iter().skip(names).rev() {
            match renaming {
                Renaming::Created(name) => fs::remove_file(journal.join(name)).unwrap(),
                Renaming::Removed(name, bytes) => fs::write(journal.join(name), bytes).unwrap(),
                Renaming::Renamed(from, to) => fs::rename(journal.join(to), journal.join(from)).unwrap(),
            }
        }
        // A file that was renamed is found under either name.
        for file in &state.files {
            let mut names = vec![&file.name];
            names.extend(state.unsynced.iter().filter_map(|r| match r {
                Renaming::Renamed(from, to) if *to == file.name => Some(from),
                _ => None,
            }));
            let Some(path) = names.iter().map(|name| journal.join(name)).find(|path| path.exists()) else { continue };
            match unsynced {
                Unsynced::Gone => cut(&path, file.synced),
                Unsynced::Kept => {}
                Unsynced::Zeros => {
                    cut(&path, file.synced);
                    cut(&path, file.length);
                }
            }
        }
    }
}

fn cut(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn name(path: &Path) -> PathBuf {
    path.file_name().unwrap().into()
}

impl Disk for FaultyDisk {
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        drop(self.step()?);
        Ok(self.open(path, OsDisk.append(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut state = self.step()?;
        if !path.exists() {
            state.unsynced.push(Renaming::Created(name(path)));
        }
        drop(state);
        Ok(self.open(path, OsDisk.create(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.unsynced.push(Renaming::Removed(name(path), fs::read(path)?));
        OsDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        assert!(!to.exists(), "no rename of the journal's replaces anything");
        OsDisk.rename(from, to)?;
        state.unsynced.push(Renaming::Renamed(name(from), name(to)));
        for file in state.files.iter_mut().filter(|file| file.name == name(from)) {
            file.name = name(to);
        }
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.step()?.unsynced.clear();
        Ok(())
    }
}

impl LogFile for FaultyFile {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let file = &mut state.files[self.number];
        (file.length, file.synced) = (length, length.min(file.synced));
        self.file.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let file = &mut state.files[self.number];
        file.synced = file.length;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = self.disk.step().err();
        let bytes = if fault.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        self.disk.state().files[self.number].length += bytes.len() as u64;
        self.file.write(bytes)?;
        fault.map_or(Ok(()), Err)
    }
}

type Map = BTreeMap<Vec<u8>, String>;

enum Step {
    Batch(&'static [(&'static str, Option<&'static str>)]),
    Compact,
}

/// What every test here does to its store.
const STEPS: [Step; 9] = [
    Step::Batch(&[("a", Some("1"))]),
    Step::Batch(&[("b", Some("2")), ("c", Some("3"))]),
    Step::Batch(&[("a", None), ("b", Some("4"))]),
    Step::Compact,
    Step::Batch(&[("d", Some("5"))]),
    Step::Batch(&[("d", Some("6")), ("a", Some("7"))]),
    Step::Compact,
    Step::Compact,
    Step::Batch(&[("c", None)]),
];

impl Step {
    fn run(&self, store: &Store) -> Result<(), StoreError> {
        let Self::Batch(edits) = self else { return store.compact() };
        store.batch(|b| {
            for (key, text) in *edits {
                match text {
                    Some(text) => b.put(&Note::new(key, *text)),
                    None => b.delete::<Note>(key),
                }
            }
        })
    }

    /// What the step makes of `map`.
    fn apply(&self, map: &mut Map) {
        let Self::Batch(edits) = self else { return };
        for (key, text) in *edits {
            match text {
                Some(text) => map.insert(key.as_bytes().to_vec(), (*text).to_owned()),
                None => map.remove(key.as_bytes()),
            };
        }
    }
}

fn open_on(dir: &Path, disk: &FaultyDisk) -> Result<Store, StoreError> {
    let (shared, _) = recover::open(dir, Arc::new(disk.clone()))?;
    Ok(Store { shared: Arc::new(shared) })
}

fn map_of(store: &Store) -> Map {
    notes(store).into_iter().map(|note| (note.key, note.text)).collect()
}

/// Opens the store in `dir` on a good disk, without its index, and returns what is in it.
#[track_caller]
fn reopened(dir: &Path) -> Map {
    fs::remove_dir_all(dir.join("index")).unwrap();
    let (store, report) = Store::open(dir).unwrap();
    assert_eq!(report.damage, None, "a fault or a crash is no damage");
    map_of(&store)
}

#[test]
fn a_power_cut_at_any_operation_keeps_what_was_acknowledged() {
    let mut crashed_at = 0..;
    let reached_end = |at: usize| {
        let dir = tempdir();
        let disk = FaultyDisk::failing(move |n| n >= at);
        let (mut acked, mut also) = (Map::new(), Map::new());
        if let Ok(store) = open_on(dir.path(), &disk) {
            for step in &STEPS {
                step.apply(&mut also);
                if step.run(&store).is_err() {
                    break;
                }
                acked.clone_from(&also);
            }
        }
        let pending = disk.state().unsynced.len();
        for names in 0..=pending {
            for unsynced in [Unsynced::Gone, Unsynced::Kept, Unsynced::Zeros] {
                let copy = tempdir();
                copy_dir(dir.path(), copy.path());
                disk.cut_power(&copy.path().join("journal"), names, unsynced);
                let found = reopened(copy.path());
                let what = format!("operation {at}, {names} of {pending} names, {unsynced:?}");
                assert!(found == acked || found == also, "{what}: {found:?}, acknowledged {acked:?}");
            }
        }
        disk.state().operations <= at
    };
    let end = crashed_at.find(|&at| reached_end(at)).unwrap();
    assert!(end > 40, "the steps take only {end} operations");
}

/// Takes all steps on `disk`, whatever fails, and checks that only and exactly what succeeded is there in the end.
#[track_caller]
fn check_steps(disk: &FaultyDisk, what: &str) {
    let dir = tempdir();
    let store = open_on(dir.path(), disk).unwrap();
    let mut wanted = Map::new();
    for step in &STEPS {
        let result = step.run(&store);
        if result.is_ok() {
            step.apply(&mut wanted);
        }
        let error = result.err();
        assert!(matches!(error, None | Some(StoreError::Full { .. })), "{what}: {error:?}");
        assert_eq!(map_of(&store), wanted, "{what}: what was refused is not there");
        if let (Step::Batch(_), Some(_)) = (step, error) {
            assert!(store.health().trouble.is_some(), "{what}");
        }
    }
    disk.fail(|_| false);
    store.put(&Note::new("space", "again")).unwrap();
    assert!(store.health().trouble.is_none(), "{what}");
    wanted.insert(b"space".to_vec(), "again".into());
    assert_eq!(map_of(&store), wanted, "{what}");
    drop(store);
    assert_eq!(reopened(dir.path()), wanted, "{what}");
}

#[test]
fn a_disk_that_is_full_for_a_while_loses_nothing_and_heals() {
    for length in 1..=4 {
        for at in 0.. {
            let disk = FaultyDisk::failing(move |n| (at..at + length).contains(&n));
            check_steps(&disk, &format!("operations {at} to {}", at + length));
            if disk.state().operations <= at {
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_fails_at_random_loses_nothing_and_heals() {
    for seed in 0..400 {
        let mut rng = Rng::from_seed_u64(seed);
        let percent = 5 + u32::try_from(rng.below(60)).unwrap();
        let disk = FaultyDisk::failing(move |_| rng.ratio(percent, 100));
        check_steps(&disk, &format!("seed {seed}"));
    }
}

#[test]
fn a_store_on_a_full_disk_opens_reads_and_says_what_is_wrong() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    store.put(&Note::new("a", "1")).unwrap();
    drop(store);
    let disk = FaultyDisk::good();
    let store = open_on(dir.path(), &disk).unwrap();
    disk.fail(|_| true);
    let error = store.put(&Note::new("b", "2")).unwrap_err();
    let path = segments(dir.path()).remove(0);
    assert_eq!(error.to_string(), format!("no space left for `{}`; nothing was recorded", path.display()));
    assert_eq!(error.hint(), Some("free some space; nothing has to be restarted"));
    assert_eq!(notes(&store), [Note::new("a", "1")]);
    assert!(matches!(store.health().trouble, Some(StoreError::Full { .. })));
    for _ in 0..20 {
        assert!(store.put(&Note::new("b", "2")).is_err());
    }
    disk.fail(|_| false);
    store.put(&Note::new("b", "2")).unwrap();
    assert!(store.health().trouble.is_none());
    assert_eq!(segments(dir.path()).len(), 1, "failed writes leave no segments behind");
}
