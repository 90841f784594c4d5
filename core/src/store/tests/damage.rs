//! Files that were cut, altered, lost or swapped: nothing crashes, nothing goes missing without a word.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::rng::Rng;

type State = BTreeMap<&'static str, &'static str>;

/// The batches of the small journal; a record without text is deleted.
const BATCHES: [&[(&str, Option<&str>)]; 6] = [
    &[("a", Some("1"))],
    &[("b", Some("2"))],
    &[("a", None), ("c", Some("3"))],
    &[("d", Some("4"))],
    &[("b", Some("5")), ("a", Some("6")), ("e", Some("7"))],
    &[("e", None), ("f", Some("8"))],
];

/// What is left of the small journal if the batches numbered in `without` are lost.
fn state(without: &[usize]) -> State {
    let mut state = State::new();
    for (_, batch) in BATCHES.iter().enumerate().filter(|(n, _)| !without.contains(n)) {
        for &(key, text) in *batch {
            match text {
                Some(text) => state.insert(key, text),
                None => state.remove(key),
            };
        }
    }
    state
}

/// A store of the small journal, cleanly closed, and where each of the journal's frames ends, the head's first.
fn small() -> (TempDir, Vec<usize>) {
    let dir = tempdir();
    let store = open_clean(dir.path());
    let mut ends = Vec::new();
    for batch in BATCHES {
        let fill = |b: &mut Batch| {
            for (key, text) in batch {
                match text {
                    Some(text) => b.put(&Note::new(key, *text)),
                    None => b.delete::<Note>(key),
                }
            }
        };
        store.batch(fill).unwrap();
        ends.push(usize::try_from(store.health().journal_bytes).unwrap());
    }
    let head = fs::read(segments(dir.path()).remove(0)).unwrap();
    let first = head.windows(4).skip(1).position(|bytes| bytes == journal::frame::MARKER).unwrap() + 1;
    ends.insert(0, first);
    (dir, ends)
}

/// Which of the frames that end at `ends` holds the byte at `at`.
fn frame_of(ends: &[usize], at: usize) -> usize {
    ends.iter().position(|&end| at < end).unwrap()
}

#[track_caller]
fn check(store: &Store, state: &State, what: &str) {
    let found: BTreeMap<_, _> =
        notes(store).into_iter().map(|note| (String::from_utf8(note.key).unwrap(), note.text)).collect();
    let wanted: BTreeMap<_, _> = state.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(found, wanted, "{what}");
}

/// A copy of `dir` with its only segment replaced by `bytes`.
fn with_journal(dir: &Path, bytes: &[u8], keep_index: bool) -> TempDir {
    let copy = tempdir();
    copy_dir(dir, copy.path());
    fs::write(segments(copy.path()).remove(0), bytes).unwrap();
    if !keep_index {
        fs::remove_dir_all(copy.path().join("index")).unwrap();
    }
    copy
}

#[test]
fn a_journal_cut_anywhere_keeps_all_that_is_before_the_cut() {
    let (dir, ends) = small();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for cut in ends[0]..bytes.len() {
        let copy = with_journal(dir.path(), &bytes[..cut], false);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let lost: Vec<_> = (whole - 1..BATCHES.len()).collect();
        let (store, report) = Store::open(copy.path()).unwrap();
        check(&store, &state(&lost), &format!("cut to {cut}"));
        assert_eq!(report.journal_tail_dropped, (cut - ends[whole - 1]) as u64, "cut to {cut}");
        assert_eq!(report.damage, None, "cut to {cut}");
        store.put(&Note::new("z", "after")).unwrap();
        drop(store);
        assert!(open_clean(copy.path()).get::<Note>("z").unwrap().is_some(), "cut to {cut}");
    }
}

#[test]
fn a_journal_cut_within_its_head_is_damage() {
    let (dir, ends) = small();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for cut in 0..ends[0] {
        let copy = with_journal(dir.path(), &bytes[..cut], false);
        let (store, report) = Store::open(copy.path()).unwrap();
        check(&store, &State::new(), &format!("cut to {cut}"));
        let damage = report.damage.unwrap();
        assert_eq!((damage.bytes, damage.is_recovered), (cut as u64, false), "cut to {cut}");
    }
}

#[test]
fn an_index_heals_a_journal_cut_anywhere() {
    let (dir, ends) = small();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for cut in 0..bytes.len() {
        let copy = with_journal(dir.path(), &bytes[..cut], true);
        let (store, report) = Store::open(copy.path()).unwrap();
        check(&store, &state(&[]), &format!("cut to {cut}"));
        let damage = report.damage.unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        assert!(damage.is_recovered, "cut to {cut}");
        assert_eq!(damage.missing, (BATCHES.len() - whole) as u64, "cut to {cut}");
        assert_eq!((report.rebuilt, report.set_aside), (None, None), "cut to {cut}");
        drop(store);
        fs::remove_dir_all(copy.path().join("index")).unwrap();
        check(&Store::open(copy.path()).unwrap().0, &state(&[]), &format!("cut to {cut}, healed"));
    }
}

#[test]
fn a_flipped_byte_of_the_journal_costs_one_batch_and_is_told() {
    let (dir, ends) = small();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let copy = with_journal(dir.path(), &damaged, false);
        let hit = frame_of(&ends, at);
        let lost: Vec<_> = hit.checked_sub(1).into_iter().collect();
        let (store, report) = Store::open(copy.path()).unwrap();
        check(&store, &state(&lost), &format!("byte {at}"));
        match report.damage {
            Some(damage) => {
                assert_eq!((damage.missing, damage.is_recovered), (lost.len() as u64, lost.is_empty()), "byte {at}");
                assert_eq!(fs::read(&damage.set_aside[0]).unwrap(), damaged, "byte {at}");
            }
            // A last frame that announces more bytes than there are looks like a write that was cut short.
            None => assert!(report.journal_tail_dropped > 0 && hit == BATCHES.len(), "byte {at}"),
        }
        drop(store);
        check(&open_clean(copy.path()), &state(&lost), &format!("byte {at}, second open"));
    }
}

#[test]
fn an_index_heals_every_flipped_byte_of_the_journal() {
    let (dir, _) = small();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let copy = with_journal(dir.path(), &damaged, true);
        let (store, report) = Store::open(copy.path()).unwrap();
        check(&store, &state(&[]), &format!("byte {at}"));
        assert!(report.damage.unwrap().is_recovered, "byte {at}");
        drop(store);
        fs::remove_dir_all(copy.path().join("index")).unwrap();
        check(&Store::open(copy.path()).unwrap().0, &state(&[]), &format!("byte {at}, healed"));
    }
}

#[test]
fn a_damaged_snapshot_is_healed_or_told() {
    let (dir, _) = small();
    Store::open(dir.path()).unwrap().0.compact().unwrap();
    let bytes = fs::read(segments(dir.path()).remove(0)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        for keep_index in [true, false] {
            let copy = with_journal(dir.path(), &damaged, keep_index);
            let (store, report) = Store::open(copy.path()).unwrap();
            assert_eq!(report.damage.unwrap().is_recovered, keep_index, "byte {at}");
            if keep_index {
                check(&store, &state(&[]), &format!("byte {at}"));
            }
        }
        if at > 0 {
            let copy = with_journal(dir.path(), &bytes[..at], false);
            let damage = Store::open(copy.path()).unwrap().1.damage.unwrap();
            assert!(!damage.is_recovered, "cut to {at}");
        }
    }
}

#[test]
fn a_lost_journal_is_made_again_from_the_index() {
    let (dir, _) = small();
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let (store, report) = Store::open(dir.path()).unwrap();
    check(&store, &state(&[]), "no journal");
    let damage = report.damage.unwrap();
    assert!(damage.is_recovered);
    assert_eq!(damage.missing, BATCHES.len() as u64);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    check(&Store::open(dir.path()).unwrap().0, &state(&[]), "no index either");
}

#[test]
fn a_lost_segment_is_told_by_its_numbers() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    let text = "x".repeat(60_000);
    let batch = |from: u8| {
        let text = text.clone();
        move |b: &mut Batch| (from..from + 50).for_each(|n| b.put(&Note::new([n], text.clone())))
    };
    for from in [0, 50, 100, 150] {
        store.batch(batch(from)).unwrap();
    }
    store.put(&Note::new("last", "")).unwrap();
    drop(store);
    let paths = segments(dir.path());
    assert!(paths.len() >= 2, "{paths:?}");
    open_clean(dir.path());
    fs::remove_file(&paths[0]).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, report) = Store::open(dir.path()).unwrap();
    let damage = report.damage.unwrap();
    assert_eq!((damage.missing, damage.bytes, damage.is_recovered), (3, 0, false));
    assert!(store.get::<Note>("last").unwrap().is_some());
    drop(store);
    open_clean(dir.path());
}

#[test]
fn what_a_compaction_left_behind_is_removed() {
    let (dir, _) = small();
    let old = tempdir();
    copy_dir(dir.path(), old.path());
    let store = Store::open(dir.path()).unwrap().0;
    store.compact().unwrap();
    store.put(&Note::new("e", "9")).unwrap();
    drop(store);
    let journal = dir.path().join("journal");
    let name = segments(old.path()).remove(0);
    fs::copy(&name, journal.join(name.file_name().unwrap())).unwrap();
    fs::write(journal.join("00000009.tmp"), "half a snapshot").unwrap();
    let before = notes(&open_clean(dir.path()));
    assert_eq!(before.iter().find(|note| note.key == b"e"), Some(&Note::new("e", "9")));
    let names: Vec<_> = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "a lock, a snapshot and a log, but {names:?}");
}

/// A store of 300 records, cleanly closed, and what is in it.
fn larger() -> (TempDir, Vec<Note>) {
    let dir = tempdir();
    let store = open_clean(dir.path());
    store.batch(|b| (0..300_u32).for_each(|n| b.put(&Note::new(n.to_be_bytes(), "text ".repeat(20))))).unwrap();
    store.put(&Count::new("c", 1)).unwrap();
    let all = notes(&store);
    drop(store);
    (dir, all)
}

/// The files of sled's in `dir`, smallest first.
fn index_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("index")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.is_file()).collect();
    paths.sort_by_key(|path| (fs::metadata(path).unwrap().len(), path.clone()));
    paths
}

/// Opens the store in `dir`, whose index was tampered with, and checks that its answers are right.
#[track_caller]
fn check_index(dir: &Path, all: &[Note], what: &str) -> OpenReport {
    let (store, report) = Store::open(dir).unwrap();
    assert_eq!(notes(&store), all, "{what}");
    assert_eq!(store.get::<Count>("c").unwrap(), Some(Count::new("c", 1)), "{what}");
    store.put(&Note::new("after", "")).unwrap();
    assert_eq!((report.index, &report.damage), (IndexPlace::Disk, &None), "{what}");
    report
}

#[test]
fn flipped_bytes_of_the_index_never_change_an_answer() {
    let (dir, all) = larger();
    let mut rng = Rng::from_seed_u64(4);
    let mut rebuilt = 0;
    for (n, path) in index_files(dir.path()).iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        // Most of the large file is zeros; what is written there matters more.
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        for _ in 0..if n == 0 { 15 } else { 60 } {
            let at = rng.below(used);
            let copy = tempdir();
            copy_dir(dir.path(), copy.path());
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << rng.below(8);
            fs::write(copy.path().join("index").join(path.file_name().unwrap()), damaged).unwrap();
            let report = check_index(copy.path(), &all, &format!("byte {at} of {}", path.display()));
            rebuilt += u32::from(report.rebuilt.is_some());
        }
    }
    assert!(rebuilt > 0, "some of the flips must have hit");
}

#[test]
fn a_cut_index_never_changes_an_answer() {
    let (dir, all) = larger();
    for path in index_files(dir.path()) {
        let length = fs::metadata(&path).unwrap().len();
        for eighth in 0..8 {
            let copy = tempdir();
            copy_dir(dir.path(), copy.path());
            let file = fs::File::options().write(true).open(copy.path().join("index").join(path.file_name().unwrap()));
            file.unwrap().set_len(length * eighth / 8).unwrap();
            check_index(copy.path(), &all, &format!("{} cut to {eighth}/8", path.display()));
        }
    }
}

#[test]
fn a_torn_conf_sets_the_index_aside() {
    let (dir, all) = larger();
    let conf = dir.path().join("index/conf");
    let bytes = fs::read(&conf).unwrap();
    fs::write(&conf, &bytes[..20]).unwrap();
    let report = check_index(dir.path(), &all, "torn conf");
    assert!(matches!(report.rebuilt, Some(RebuildReason::Failed { is_full: false, .. })), "{report:?}");
    let aside = dir.path().join("index.bad-1");
    assert_eq!(report.set_aside.as_deref(), Some(&*aside));
    assert_eq!(fs::read(aside.join("conf")).unwrap(), &bytes[..20]);
}

#[test]
fn an_unfinished_snapshot_of_the_index_is_only_removed() {
    let (dir, all) = larger();
    let left = dir.path().join("index/snap.00000000000A.generating");
    fs::write(&left, "half").unwrap();
    let report = check_index(dir.path(), &all, "unfinished snapshot");
    assert_eq!((report.rebuilt, left.exists()), (None, false));
}

#[test]
fn a_file_in_the_place_of_the_index_is_set_aside() {
    let (dir, all) = larger();
    let index = dir.path().join("index");
    fs::remove_dir_all(&index).unwrap();
    fs::write(&index, "what is this").unwrap();
    let report = check_index(dir.path(), &all, "a file");
    assert_eq!(fs::read(report.set_aside.unwrap()).unwrap(), b"what is this");
}

#[test]
fn the_index_of_another_store_is_not_believed() {
    let (dir, all) = larger();
    for (batches, records) in [(1, 300_u32), (2, 1), (2, 300), (9, 300)] {
        let other = tempdir();
        let store = open_clean(other.path());
        for n in 0..batches {
            let fill = |b: &mut Batch| (0..records).for_each(|k| b.put(&Note::new(k.to_be_bytes(), format!("{n}"))));
            store.batch(fill).unwrap();
        }
        drop(store);
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        copy_dir(&other.path().join("index"), &dir.path().join("index"));
        let report = check_index(dir.path(), &all, "another's index");
        assert_eq!(report.rebuilt, Some(RebuildReason::Foreign), "{batches} batches of {records}");
        Store::open(dir.path()).unwrap().0.delete::<Note>("after").unwrap();
    }
}

#[test]
fn an_old_index_is_rolled_forward_or_built_again() {
    let (dir, mut all) = larger();
    let old = tempdir();
    copy_dir(dir.path(), old.path());
    let put_back = |what| {
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        copy_dir(&old.path().join("index"), &dir.path().join("index"));
        what
    };
    let store = open_clean(dir.path());
    store.put(&Note::new("z", "new")).unwrap();
    all.push(Note::new("z", "new"));
    drop(store);
    let report = check_index(dir.path(), &all, put_back("older than the journal's end"));
    assert_eq!(report.rebuilt, None);
    let store = open_clean(dir.path());
    store.delete::<Note>("after").unwrap();
    store.compact().unwrap();
    drop(store);
    let report = check_index(dir.path(), &all, put_back("older than the journal's beginning"));
    assert_eq!(report.rebuilt, Some(RebuildReason::Behind));
}

/// The index of the closed store in `dir`, past all that guards it.
fn raw_index(dir: &Path) -> sled::Db {
    loop {
        match index::sled::config(&dir.join("index")).open() {
            Ok(db) => return db,
            // Another test may be starting a process, which holds a copy of every lock for a moment.
            Err(error) => assert!(error.to_string().contains("could not acquire lock"), "{error}"),
        }
    }
}

#[test]
fn an_index_with_half_a_batch_is_completed() {
    let (dir, mut all) = larger();
    let half = tempdir();
    copy_dir(dir.path(), half.path());
    let batch = |b: &mut Batch| {
        b.delete::<Note>(&all[0].key);
        b.put(&Note::new("z", "new"));
        b.put(&Count::new("c", 1));
    };
    let store = open_clean(dir.path());
    store.batch(batch).unwrap();
    drop(store);
    // What a crash leaves: the seal that announces the batch, and the first of its changes.
    let (from, to) = (raw_index(dir.path()), raw_index(half.path()));
    let seal = from.open_tree(".seal").unwrap().get("seal").unwrap().unwrap();
    to.open_tree(".seal").unwrap().insert("seal", seal).unwrap();
    to.open_tree("note").unwrap().remove(&all[0].key).unwrap();
    to.flush().unwrap();
    drop((from, to));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    copy_dir(&half.path().join("index"), &dir.path().join("index"));
    all.remove(0);
    all.push(Note::new("z", "new"));
    assert_eq!(check_index(dir.path(), &all, "half a batch").rebuilt, None);
}

#[test]
fn an_index_with_a_record_too_many_or_too_few_is_not_believed() {
    let (dir, all) = larger();
    let tamper = |edit: &dyn Fn(&sled::Tree)| {
        let db = raw_index(dir.path());
        edit(&db.open_tree("note").unwrap());
        db.flush().unwrap();
    };
    let key = 7_u32.to_be_bytes();
    let stale = index::value::encode("note", &key, 1, r#"{"key":[0,0,0,7],"text":"stale"}"#);
    let remove = |tree: &sled::Tree| drop(tree.remove(key).unwrap());
    let replace = |tree: &sled::Tree| drop(tree.insert(key, stale.as_slice()).unwrap());
    let add = |tree: &sled::Tree| {
        let more = index::value::encode("note", b"x", 1, r#"{"key":[120],"text":"ghost"}"#);
        tree.insert(b"x", more).unwrap();
    };
    for edit in [&remove as &dyn Fn(&sled::Tree), &replace, &add] {
        tamper(edit);
        let report = check_index(dir.path(), &all, "tampered");
        assert_eq!(report.rebuilt, Some(RebuildReason::Mismatch));
        Store::open(dir.path()).unwrap().0.delete::<Note>("after").unwrap();
    }
    let kept: Vec<_> = (1..=3).map(|n| dir.path().join(format!("index.bad-{n}")).exists()).collect();
    assert_eq!(kept, [true, true, true]);
}
