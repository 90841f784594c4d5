//! Random use against an ordered map.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Batch(Vec<Edit>),
    Compact,
    Crash,
    Edit(Edit),
    LoseIndex,
    Reopen,
}

#[derive(Clone, Debug)]
enum Edit {
    Delete(Vec<u8>),
    Put(Vec<u8>, String),
}

type Model = BTreeMap<Vec<u8>, String>;

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys, so that they meet again; some are prefixes of others, some are no text.
    prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 0..3)
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (key(), "\\PC{0,12}").prop_map(|(key, text)| Edit::Put(key, text)),
        1 => key().prop_map(Edit::Delete),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => edit().prop_map(Action::Edit),
        4 => prop::collection::vec(edit(), 0..6).prop_map(Action::Batch),
        1 => Just(Action::Compact),
        2 => Just(Action::Reopen),
        2 => Just(Action::Crash),
        1 => Just(Action::LoseIndex),
    ]
}

fn act(batch: &mut Batch, model: &mut Model, edit: &Edit) {
    match edit {
        Edit::Delete(key) => {
            batch.delete::<Note>(key);
            model.remove(key);
        }
        Edit::Put(key, text) => {
            batch.put(&Note::new(key, text));
            model.insert(key.clone(), text.clone());
        }
    }
}

#[track_caller]
fn check(store: &Store, model: &Model) {
    let pairs = |notes: Vec<Note>| notes.into_iter().map(|note| (note.key, note.text)).collect::<Vec<_>>();
    let all: Vec<_> = model.iter().map(|(key, text)| (key.clone(), text.clone())).collect();
    assert_eq!(pairs(notes(store)), all);
    for prefix in [&b"a"[..], b"\xff", b"ab"] {
        let some: Vec<_> = all.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
        assert_eq!(pairs(store.scan::<Note>(prefix).unwrap()), some);
        let one = store.get::<Note>(prefix).unwrap().map(|note| note.text);
        assert_eq!(one.as_ref(), model.get(prefix));
    }
    assert_eq!(store.health().records, model.len() as u64);
}

/// A store on disk whose process may end.
struct OnDisk {
    dir: TempDir,
    store: Store,
}

impl OnDisk {
    fn new() -> Self {
        let dir = tempdir();
        Self { store: open_clean(dir.path()), dir }
    }

    /// Ends the process: the files are as they were, whatever was still in memory is gone.
    fn crash(&mut self) {
        let after = tempdir();
        copy_dir(self.dir.path(), after.path());
        *self = Self { store: open_clean(after.path()), dir: after };
    }

    fn reopen(&mut self, lose_index: bool) {
        self.store = Store::in_memory();
        if lose_index {
            std::fs::remove_dir_all(self.dir.path().join("index")).unwrap();
            let (store, report) = Store::open(self.dir.path()).unwrap();
            assert_eq!((report.index, report.damage), (IndexPlace::Disk, None));
            self.store = store;
        } else {
            self.store = open_clean(self.dir.path());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_backends_behave_like_a_map(actions in prop::collection::vec(action(), 1..40)) {
        let memory = Store::in_memory();
        let mut disk = OnDisk::new();
        let mut model = Model::new();
        for action in &actions {
            match action {
                Action::Batch(edits) => {
                    let before = model.clone();
                    for store in [&memory, &disk.store] {
                        model.clone_from(&before);
                        store.batch(|batch| edits.iter().for_each(|edit| act(batch, &mut model, edit))).unwrap();
                    }
                }
                Action::Compact => disk.store.compact().unwrap(),
                Action::Crash => disk.crash(),
                Action::Edit(edit) => {
                    for store in [&memory, &disk.store] {
                        store.batch(|batch| act(batch, &mut model, edit)).unwrap();
                    }
                }
                Action::LoseIndex => disk.reopen(true),
                Action::Reopen => disk.reopen(false),
            }
            check(&memory, &model);
            check(&disk.store, &model);
        }
        disk.reopen(false);
        check(&disk.store, &model);
    }
}
