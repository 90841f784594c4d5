//! What callers see when nothing breaks, and what they are told when they ask too much.

use std::fs;
use std::io::Cursor;

use super::*;

/// More than is kept in memory for nothing.
fn large(dir: &Path) -> Store {
    let store = open_clean(dir);
    for some in 0..5_u32 {
        let notes = (0..1000_u32).map(|note| Note::new((1000 * some + note).to_be_bytes(), "x".repeat(1000)));
        store.batch(|batch| notes.for_each(|note| batch.put(&note))).unwrap();
    }
    store
}

#[test]
fn what_is_no_longer_held_in_memory_is_there_all_the_same() {
    let dir = tempdir();
    let store = large(dir.path());
    assert_eq!(store.take_in::<Note>().unwrap(), notes(&store));
    store.put(&Note::new("a", "one")).unwrap();
    assert_eq!(store.take_in::<Note>().unwrap().pop(), Some(Note::new("a", "one")));
    assert_eq!((store.health().index, store.take_in::<Count>().unwrap()), (IndexPlace::Disk, Vec::new()));
    drop(store);
    assert_eq!(notes(&open_clean(dir.path())).len(), 5001);
}

#[test]
fn an_index_that_was_deleted_is_missed_before_anything_is_read_from_another() {
    let dir = tempdir();
    let store = large(dir.path());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(store.take_in::<Note>().unwrap().len(), 5000);
    assert_eq!((notes(&store).len(), store.health().index), (5000, IndexPlace::Memory));
}

#[test]
fn what_was_put_is_there_after_a_reopen() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    store.put(&Note::new("a", "one")).unwrap();
    store.put(&Note::new("a", "two")).unwrap();
    store.put(&Count::new("a", 3)).unwrap();
    assert_eq!(store.get::<Note>("a").unwrap().unwrap().text, "two");
    drop(store);
    let store = open_clean(dir.path());
    assert_eq!(store.get::<Note>("a").unwrap(), Some(Note::new("a", "two")));
    assert_eq!(store.get::<Count>("a").unwrap(), Some(Count::new("a", 3)));
    assert_eq!(store.get::<Note>("b").unwrap(), None);
    assert_eq!(store.health().records, 2);
}

#[test]
fn a_batch_is_made_in_order_and_together() {
    let dir = tempdir();
    for store in [Store::in_memory(), open_clean(dir.path())] {
        store.put(&Note::new("gone", "")).unwrap();
        let batch = |b: &mut Batch| {
            b.put(&Note::new("a", "1"));
            b.delete::<Note>("gone");
            b.put(&Note::new("a", "2"));
            b.put(&Count::new("c", 1));
            b.delete::<Count>("c");
        };
        store.batch(batch).unwrap();
        assert_eq!(notes(&store), [Note::new("a", "2")]);
        assert_eq!(store.scan::<Count>("").unwrap(), []);
    }
}

#[test]
fn a_batch_with_one_bad_record_changes_nothing() {
    let store = Store::in_memory();
    let result = store.batch(|b| {
        b.put(&Note::new("a", "1"));
        b.put(&Note::new("b", "x".repeat(MAX_VALUE)));
        b.put(&Note::new("c", "3"));
    });
    assert!(matches!(result, Err(StoreError::TooLarge { kind: "note", .. })));
    assert_eq!(notes(&store), []);
}

#[test]
fn a_batch_over_the_cap_is_refused() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    let text = "x".repeat(MAX_VALUE / 2);
    let fill = |n: u32| {
        let text = text.clone();
        move |b: &mut Batch| (0..n).for_each(|i| b.put(&Note::new(i.to_be_bytes(), text.clone())))
    };
    store.batch(fill(255)).unwrap();
    assert!(matches!(store.batch(fill(257)), Err(StoreError::BatchTooLarge { .. })));
    drop(store);
    assert_eq!(notes(&open_clean(dir.path())).len(), 255);
}

#[test]
fn a_scan_is_in_byte_order_and_within_its_prefix() {
    let dir = tempdir();
    for store in [Store::in_memory(), open_clean(dir.path())] {
        for key in [&b"b"[..], b"a\xff", b"a", b"", b"a\x00", b"aa", b"\xff\xff"] {
            store.put(&Note::new(key, "")).unwrap();
        }
        let keys = |prefix: &[u8]| store.scan::<Note>(prefix).unwrap().into_iter().map(|n| n.key).collect::<Vec<_>>();
        assert_eq!(keys(b""), [&b""[..], b"a", b"a\x00", b"aa", b"a\xff", b"b", b"\xff\xff"]);
        assert_eq!(keys(b"a"), [&b"a"[..], b"a\x00", b"aa", b"a\xff"]);
        assert_eq!(keys(b"\xff"), [b"\xff\xff"]);
        assert_eq!(keys(b"c"), [b""; 0]);
    }
}

#[test]
fn storing_the_same_again_writes_nothing() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    store.put(&Note::new("a", "1")).unwrap();
    let bytes = store.health().journal_bytes;
    store.put(&Note::new("a", "1")).unwrap();
    store.delete::<Note>("never there").unwrap();
    store.batch(|_| {}).unwrap();
    assert_eq!(store.health().journal_bytes, bytes);
    store.put(&Note::new("a", "2")).unwrap();
    assert!(store.health().journal_bytes > bytes);
}

#[test]
fn clones_share_the_state_and_threads_may_use_them() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..25_u8 {
                    store.put(&Note::new([thread, i], "x")).unwrap();
                    assert!(store.get::<Note>([thread, i]).unwrap().is_some(), "a thread reads its own writes");
                }
            });
        }
    });
    drop(store);
    assert_eq!(notes(&open_clean(dir.path())).len(), 200);
}

#[test]
fn a_second_open_is_refused_until_the_first_is_dropped() {
    let dir = tempdir();
    let first = open_clean(dir.path());
    let clone = first.clone();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Locked { .. }));
    assert!(error.to_string().ends_with("is already open in this or another process"), "{error}");
    drop(first);
    assert!(Store::open(dir.path()).is_err());
    drop(clone);
    open_clean(dir.path());
}

#[test]
fn a_file_where_a_folder_should_be_is_refused_by_name() {
    let dir = tempdir();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Store::open(&dir.path().join("file/state")).err().unwrap();
    assert_eq!(error.to_string(), format!("`{}` is not a folder", dir.path().join("file").display()));
    fs::write(dir.path().join("journal"), "").unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert_eq!(error.to_string(), format!("`{}` is not a folder", dir.path().join("journal").display()));
}

#[test]
fn a_journal_of_a_later_format_is_refused_and_left_alone() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    store.put(&Note::new("a", "1")).unwrap();
    drop(store);
    let path = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    journal::frame::tests::append_newer(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert_eq!(error.to_string(), format!("`{}` has format 2; this version reads up to 1", path.display()));
    assert!(error.hint().is_some());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn compaction_keeps_every_record_and_drops_the_dead() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    for n in 0..200 {
        store.put(&Count::new("same", n)).unwrap();
        store.put(&Note::new([7, u8::try_from(n % 5).unwrap()], n.to_string())).unwrap();
    }
    let (before, records) = (store.health().journal_bytes, notes(&store));
    store.compact().unwrap();
    let health = store.health();
    assert!(health.journal_bytes * 10 < before, "{health:?}, before {before}");
    assert!(health.journal_bytes.abs_diff(health.live_bytes) < 400, "{health:?}");
    store.put(&Count::new("after", 1)).unwrap();
    drop(store);
    let store = open_clean(dir.path());
    assert_eq!(notes(&store), records);
    assert_eq!(store.get::<Count>("same").unwrap(), Some(Count::new("same", 199)));
    assert_eq!(segments(dir.path()).len(), 2);
}

#[test]
fn the_journal_stays_within_bounds_by_itself() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    let text = "x".repeat(MAX_VALUE - 100);
    let mut most = 0;
    for n in 0..200 {
        store.put(&Note::new("same", format!("{n}{text}"))).unwrap();
        most = most.max(store.health().journal_bytes);
    }
    assert!((4 << 20..5 << 20).contains(&most), "{most}");
    assert!(segments(dir.path()).len() <= 2);
}

#[test]
fn a_deleted_index_gives_the_same_answers() {
    let dir = tempdir();
    let store = open_clean(dir.path());
    for n in 0..300_u32 {
        store.put(&Note::new(n.to_be_bytes(), "x")).unwrap();
    }
    store.delete::<Note>(7_u32.to_be_bytes()).unwrap();
    let before = notes(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, report) = Store::open(dir.path()).unwrap();
    assert_eq!((report.rebuilt, report.set_aside), (Some(RebuildReason::Missing), None));
    assert_eq!(report.records, 299);
    assert_eq!(notes(&store), before);
    drop(store);
    assert_eq!(notes(&open_clean(dir.path())), before);
}

#[test]
fn an_export_makes_an_equal_store() {
    let (dir, other) = (tempdir(), tempdir());
    let store = open_clean(dir.path());
    store.put(&Note::new(b"\x00\xff", "\u{2028} \"quoted\"\n")).unwrap();
    store.put(&Count::new("c", u64::MAX)).unwrap();
    let mut lines = Vec::new();
    assert_eq!(store.export(&mut lines).unwrap(), 2);
    assert_eq!(Store::import(other.path(), &mut Cursor::new(&lines)).unwrap(), 2);
    let copy = Store::open(other.path()).unwrap().0;
    assert_eq!(notes(&copy), notes(&store));
    let mut again = Vec::new();
    copy.export(&mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(lines).unwrap());
    copy.put(&Count::new("d", 1)).unwrap();
    drop(copy);
    open_clean(other.path());
}

#[test]
fn an_export_reads_as_it_always_did() {
    let dir = tempdir();
    let lines = concat!(
        "{\"podswarm\":\"state\",\"format\":1}\n",
        "{\"op\":\"put\",\"kind\":\"count\",\"version\":2,\"key\":\"63\",\"value\":{\"name\":\"c\",\"n\":5}}\n",
        "{\"records\":1,\"crc32\":\"CRC\"}\n",
    );
    let crc = crc32fast::hash(lines.split("{\"records").next().unwrap().as_bytes());
    let lines = lines.replace("CRC", &format!("{crc:08x}"));
    Store::import(dir.path(), &mut Cursor::new(&lines)).unwrap();
    let store = Store::open(dir.path()).unwrap().0;
    assert_eq!(store.get::<Count>("c").unwrap(), Some(Count::new("c", 5)));
    let mut again = Vec::new();
    store.export(&mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), lines);
}

#[test]
fn an_import_that_is_not_whole_makes_no_store() {
    let (dir, other) = (tempdir(), tempdir());
    let store = open_clean(dir.path());
    store.put(&Note::new("a", "1")).unwrap();
    store.put(&Note::new("b", "2")).unwrap();
    let mut lines = Vec::new();
    store.export(&mut lines).unwrap();
    let import = |bytes: &[u8]| Store::import(other.path(), &mut Cursor::new(bytes));
    for cut in 0..lines.len() {
        assert!(matches!(import(&lines[..cut]), Err(StoreError::Import { .. })), "cut to {cut}");
    }
    for at in 0..lines.len() {
        let mut damaged = lines.clone();
        damaged[at] ^= 1;
        assert!(matches!(import(&damaged), Err(StoreError::Import { .. })), "byte {at}");
    }
    let more = [&lines[..], b"{}\n"].concat();
    let error = import(&more).unwrap_err();
    assert_eq!(error.to_string(), "line 5 of the import: there are lines after the checksum");
    assert_eq!(import(&lines).unwrap(), 2);
    assert!(matches!(import(&lines), Err(StoreError::NotEmpty { .. })));
}
