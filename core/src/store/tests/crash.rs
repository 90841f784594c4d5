//! `kill -9`: a child process writes and says what was acknowledged; the parent kills it and looks.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;
use crate::rng::Rng;

const DIR: &str = "PODSWARM_STORE_CRASH_DIR";
const THREADS: u32 = 3;

/// Not a test of its own: what the killed process runs.
#[test]
fn writer_that_is_killed() {
    let Some(dir) = env::var_os(DIR).map(PathBuf::from) else { return };
    let (store, report) = Store::open(&dir).unwrap();
    assert_eq!((report.damage, report.index), (None, IndexPlace::Disk));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || write_for_ever(store, thread));
        }
    });
}

/// Writes rounds of two records each, in one batch, and prints every round once it is acknowledged.
fn write_for_ever(store: &Store, thread: u32) {
    let begin = store.get::<Count>(name(thread)).unwrap().map_or(0, |count| count.n);
    for n in begin + 1.. {
        let write = |b: &mut Batch| {
            b.put(&Count::new(&name(thread), n));
            b.put(&Note::new(format!("{thread}-{n}"), "x".repeat(usize::try_from(n % 700).unwrap())));
        };
        store.batch(write).unwrap();
        // One write to the pipe, so that the line is whole or absent.
        std::io::stdout().lock().write_all(format!("acked {thread} {n}\n").as_bytes()).unwrap();
        if n % 97 == 0 {
            store.compact().unwrap();
        }
    }
}

fn name(thread: u32) -> String {
    format!("thread-{thread}")
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempdir();
    let mut rng = Rng::from_seed_u64(9);
    let mut acked = BTreeMap::new();
    for round in 0..8 {
        run_and_kill(dir.path(), 1 + rng.below(300), &mut acked);
        if round == 5 {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let (store, report) = Store::open(dir.path()).unwrap();
        assert_eq!((report.damage, report.index), (None, IndexPlace::Disk));
        for (&thread, n) in &mut acked {
            *n = check(&store, thread, *n);
        }
    }
}

/// Lets a writer acknowledge at least `enough` rounds, kills it, and notes in `acked` what each thread reached.
fn run_and_kill(dir: &Path, enough: usize, acked: &mut BTreeMap<u32, u64>) {
    let mut child = spawn(dir);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut count = 0;
    for line in lines {
        // libtest writes its own words before the first line of ours.
        let line = line.unwrap();
        let Some((thread, n)) = line.split_once("acked ").and_then(|(_, said)| said.split_once(' ')) else { continue };
        acked.insert(thread.parse().unwrap(), n.parse().unwrap());
        count += 1;
        if count == enough {
            child.kill().unwrap();
        }
    }
    assert!(count >= enough, "the writer ended by itself after {count} rounds");
    child.wait().unwrap();
}

fn spawn(dir: &Path) -> Child {
    let (_, path) = module_path!().split_once("::").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("{path}::writer_that_is_killed"), "--nocapture"]);
    command.env(DIR, dir).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Every acknowledged round of `thread` is there, at most one more is, and none is there by half; returns how many are.
#[track_caller]
fn check(store: &Store, thread: u32, acked: u64) -> u64 {
    let reached = store.get::<Count>(name(thread)).unwrap().unwrap().n;
    assert!((acked..=acked + 1).contains(&reached), "thread {thread}: acknowledged {acked}, found {reached}");
    let found = store.scan::<Note>(format!("{thread}-")).unwrap();
    assert_eq!(found.len() as u64, reached);
    for n in 1..=reached {
        let note = store.get::<Note>(format!("{thread}-{n}")).unwrap().unwrap();
        assert_eq!(note.text.len() as u64, n % 700);
    }
    reached
}
