//! What is on disk decides what is trusted, hashed, refused and kept.

#![expect(clippy::disallowed_methods, reason = "the rim: files")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::layout::{BLOCK_LENGTH, PieceIndex};
use crate::net::create::{CreateOptions, create_torrent};
use crate::rng::Rng;

/// A folder with the content of a torrent at `source`, and nothing yet at `target`.
struct Area {
    folder: tempfile::TempDir,
    metainfo: Arc<Metainfo>,
}

impl Area {
    /// A torrent of one file of `length` bytes.
    fn file(length: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("source"), random(length)).unwrap();
        Self::of(folder)
    }

    /// A torrent of a folder of these files.
    fn files(files: impl IntoIterator<Item = (String, usize)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, length) in files {
            let path = folder.path().join("source").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, random(length)).unwrap();
        }
        Self::of(folder)
    }

    fn of(folder: tempfile::TempDir) -> Self {
        let options = CreateOptions { piece_length: Some(BLOCK_LENGTH), ..CreateOptions::default() };
        let metainfo = create_torrent(&folder.path().join("source"), &options, Watch::default()).unwrap();
        Self { folder, metainfo: Arc::new(metainfo) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prepare(&self, files: &Files, watch: Watch<'_>) -> Result<Prepared, StorageError> {
        Storage::prepare(Arc::clone(&self.metainfo), files, None, &self.path("record"), watch)
    }

    fn fetch(&self) -> Result<Prepared, StorageError> {
        self.prepare(&Files::Fetch(self.path("target")), Watch::default())
    }

    /// Prepares, and panics if anything had to be hashed for it.
    #[track_caller]
    fn fetch_unhashed(&self) -> Prepared {
        let cancel = AtomicBool::new(true);
        let watch = Watch { cancel: Some(&cancel), ..Watch::default() };
        self.prepare(&Files::Fetch(self.path("target")), watch).expect("nothing is hashed")
    }

    /// Copies pieces of the source into the working files.
    fn write(&self, storage: &Storage, pieces: impl IntoIterator<Item = u32>) -> Bitfield {
        let source = self.prepare(&Files::Have(self.path("source")), Watch::default()).unwrap().storage;
        let mut have = Bitfield::none(storage.layout.piece_count());
        for piece in pieces.into_iter().map(PieceIndex) {
            let span = BlockInfo { piece, begin: 0, length: storage.layout.length_of(piece) };
            storage.write(span, &source.read(span, &Buffers::default()).unwrap()).unwrap();
            have.insert(piece);
        }
        let _ = fs::remove_file(self.path("record"));
        have
    }
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::from_seed_u64(length as u64).fill(&mut bytes);
    bytes
}

#[test]
fn working_files_that_were_just_made_are_not_hashed() {
    let area = Area::files([("a".to_owned(), 50_000), ("b/c".to_owned(), 0), ("d".to_owned(), 50_000)]);
    let prepared = area.fetch_unhashed();
    assert!(prepared.have.is_none() && !prepared.placed);
}

#[test]
fn working_files_without_a_record_are_hashed() {
    let area = Area::file(100_000);
    let have = area.write(&area.fetch().unwrap().storage, [1, 4]);
    assert_eq!(area.fetch().unwrap().have, have);
}

#[test]
fn remembered_pieces_are_not_hashed_again() {
    let area = Area::files([("a".to_owned(), 50_000), ("b".to_owned(), 0), ("c".to_owned(), 50_000)]);
    let storage = area.fetch().unwrap().storage;
    let have = area.write(&storage, [0, 2, 5]);
    storage.remember(&have).unwrap();
    drop(storage);
    for _ in 0..2 {
        assert_eq!(area.fetch_unhashed().have, have, "looking at the files does not change them");
    }
}

#[test]
fn a_piece_written_after_the_record_makes_it_void() {
    let area = Area::file(100_000);
    let storage = area.fetch().unwrap().storage;
    storage.remember(&Bitfield::all(storage.layout.piece_count())).unwrap();
    let part = OpenOptions::new().write(true).open(area.path(".target.part")).unwrap();
    let written = part.metadata().unwrap().modified().unwrap();
    part.set_modified(written + Duration::from_millis(1)).unwrap();
    drop(storage);
    assert!(area.fetch().unwrap().have.is_none());
}

#[test]
fn an_older_note_never_replaces_a_newer_one() {
    let area = Area::file(100_000);
    let storage = area.fetch().unwrap().storage;
    let some = area.write(&storage, [0]);
    let mut more = area.write(&storage, [3]);
    more.insert(PieceIndex(0));
    storage.remember(&more).unwrap();
    storage.remember(&some).unwrap();
    drop(storage);
    assert_eq!(area.fetch_unhashed().have, more);
}

#[test]
fn a_note_of_working_files_never_follows_that_of_placed_ones() {
    let area = Area::file(100_000);
    let storage = area.fetch().unwrap().storage;
    let all = area.write(&storage, 0..7);
    storage.place().unwrap();
    // As of a thread that had begun before.
    storage.note(&all, false).unwrap();
    drop(storage);
    assert!(area.fetch_unhashed().placed);
}

#[test]
fn a_second_download_to_the_same_place_is_refused() {
    let area = Area::file(100_000);
    let first = area.fetch().unwrap();
    assert!(matches!(area.fetch(), Err(StorageError::Locked(_))));
    drop(first);
    assert!(area.fetch().is_ok());
}

#[test]
fn what_is_complete_is_locked_against_nobody() {
    let area = Area::file(100_000);
    let first = area.fetch().unwrap();
    area.write(&first.storage, 0..7);
    first.storage.place().unwrap();
    assert!(area.fetch().unwrap().placed);
}

#[test]
fn few_files_are_open_however_many_there_are() {
    let area = Area::files((0..300).map(|number| (format!("{number:03}"), 1000)));
    let storage = area.fetch().unwrap().storage;
    area.write(&storage, 0..19);
    assert!(storage.state().open.len() <= open::MOST);
    storage.place().unwrap();
    assert_eq!(fs::read(area.path("target/123")).unwrap(), random(1000));
}

#[test]
fn a_file_that_is_too_long_is_not_the_torrents() {
    let area = Area::file(100_000);
    let mut longer = random(100_000);
    longer.push(0);
    fs::write(area.path("target"), &longer).unwrap();
    let text = area.fetch().unwrap_err().to_string();
    assert!(text.ends_with("7 of 7 pieces match, `source` has 100001 bytes; want 100000"), "{text}");
    assert_eq!(fs::read(area.path("target")).unwrap(), longer);
    assert!(!area.path(".target.part").exists());
    fs::write(area.path("source"), &longer).unwrap();
    let changed = area.prepare(&Files::Have(area.path("source")), Watch::default());
    assert!(matches!(changed, Err(StorageError::Changed { .. })));
}

#[test]
fn a_lost_file_without_bytes_is_made_again() {
    let area = Area::files([("a".to_owned(), 50_000), ("b/c".to_owned(), 0)]);
    fs::rename(area.path("source"), area.path("target")).unwrap();
    fs::remove_dir_all(area.path("target/b")).unwrap();
    assert!(area.fetch().unwrap().placed);
    assert!(fs::read(area.path("target/b/c")).unwrap().is_empty());
}

#[test]
fn a_damaged_record_vouches_for_nothing() {
    let area = Area::file(100_000);
    let have = Files::Have(area.path("source"));
    let mut bytes = random(100_000);
    bytes[70_000] ^= 1;
    fs::write(area.path("source"), bytes).unwrap();
    fs::write(area.path("record"), b"damaged").unwrap();
    let text = area.prepare(&have, Watch::default()).unwrap_err().to_string();
    assert!(text.ends_with("has changed: 6 of 7 pieces match"), "{text}");
    fs::remove_file(area.path("record")).unwrap();
    assert!(area.prepare(&have, Watch::default()).is_ok(), "without a record the caller vouches");
}

#[test]
fn placing_goes_on_where_it_failed() {
    let area = Area::file(100_000);
    let storage = area.fetch().unwrap().storage;
    area.write(&storage, 0..7);
    fs::write(area.path("target"), b"the owner's").unwrap();
    let text = storage.place().unwrap_err().to_string();
    assert!(text.starts_with("move into place"), "{text}");
    assert_eq!(fs::read(area.path("target")).unwrap(), b"the owner's");
    fs::remove_file(area.path("target")).unwrap();
    storage.place().unwrap();
    storage.place().unwrap();
    assert_eq!(fs::read(area.path("target")).unwrap(), random(100_000));
}

/// Pieces of 16 KiB: `a` has the first and a part of the second, `b` ends within the fourth, `c` the rest up to the
/// seventh.
fn three_files() -> Area {
    Area::files([("a".to_owned(), 20_000), ("sub/b".to_owned(), 40_000), ("c".to_owned(), 50_000)])
}

impl Area {
    /// Prepares to fetch these files only.
    fn choose(&self, names: &[&str]) -> Result<Prepared, StorageError> {
        self.choose_with(names, Watch::default())
    }

    fn choose_with(&self, names: &[&str], watch: Watch<'_>) -> Result<Prepared, StorageError> {
        let info = &self.metainfo.info;
        let choice = FileChoice::new(info, |file| names.contains(&info.files[file].path.as_str())).unwrap();
        let files = Files::Fetch(self.path("target"));
        Storage::prepare(Arc::clone(&self.metainfo), &files, choice, &self.path("record"), watch)
    }

    /// The pieces that a choice of these files lacks, fetched and put in place.
    fn fetch_chosen(&self, names: &[&str]) -> Prepared {
        let prepared = self.choose(names).unwrap();
        let missing: Vec<u32> = prepared.storage.wanted.without(&prepared.have).map(|piece| piece.0).collect();
        self.write(&prepared.storage, missing);
        prepared.storage.place().unwrap();
        prepared
    }

    /// The files of the target, with a mark where they differ from the source.
    fn target(&self) -> Vec<String> {
        let mut files: Vec<String> = ["a", "c", "sub/b"].map(str::to_owned).into();
        files.retain(|name| self.path("target").join(name).exists());
        for name in &mut files {
            if fs::read(self.path("target").join(&name)).unwrap() != fs::read(self.path("source").join(&name)).unwrap()
            {
                name.push_str(" differs");
            }
        }
        files
    }
}

#[test]
fn files_that_are_left_out_are_not_made_and_their_bytes_at_borders_are_kept() {
    let area = three_files();
    assert_eq!(area.metainfo.info.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "c", "sub/b"]);
    let prepared = area.fetch_chosen(&["c"]);
    assert_eq!(prepared.have.count(), 0);
    assert_eq!(area.target(), ["c"]);
    // The bytes of the others in its first and its last piece are there for those who ask.
    let storage = prepared.storage;
    let source = area.prepare(&Files::Have(area.path("source")), Watch::default()).unwrap().storage;
    for piece in storage.wanted.iter() {
        let span = BlockInfo { piece, begin: 0, length: storage.layout.length_of(piece) };
        let read = |storage: &Storage| storage.read(span, &Buffers::default()).unwrap().concat();
        assert!(read(&storage) == read(&source), "{piece}");
    }
    drop((storage, source));
    // Neither a record nor a hash is lacking to know that it is whole.
    assert!(area.choose(&["c"]).unwrap().placed);
    fs::remove_file(area.path("record")).unwrap();
    let again = area.choose(&["c"]).unwrap();
    assert!(again.placed && again.have == again.storage.wanted && again.choice.is_some());
}

#[test]
fn files_may_be_chosen_later_and_what_was_chosen_before_stays() {
    let area = three_files();
    area.fetch_chosen(&["a"]);
    let more = area.choose(&["sub/b"]).unwrap();
    assert!(!more.placed && more.have.count() > 0 && !area.path("target").exists());
    drop(more);
    // The same again goes on from there.
    let again = area.choose(&["a", "sub/b"]).unwrap();
    drop(again);
    area.fetch_chosen(&["a", "sub/b"]);
    assert_eq!(area.target(), ["a", "sub/b"]);
    area.choose(&["sub/b"]).unwrap();
    let all = area.fetch().unwrap();
    assert!(!all.placed && all.choice.is_none());
    drop(all);
    let missing = area.fetch().unwrap();
    let pieces: Vec<u32> = missing.storage.wanted.without(&missing.have).map(|piece| piece.0).collect();
    assert!(pieces.len() < 7, "{pieces:?}");
    area.write(&missing.storage, pieces);
    missing.storage.place().unwrap();
    assert_eq!(area.target(), ["a", "c", "sub/b"]);
    assert!(!area.path(".target.parts").exists());
    // Who has everything has a part of it.
    assert!(area.choose(&["a"]).unwrap().placed);
}

#[test]
fn what_is_chosen_no_longer_leaves_no_half_file_behind() {
    let area = three_files();
    let storage = area.choose(&["a", "c"]).unwrap().storage;
    let have = area.write(&storage, [0, 1, 2]);
    storage.remember(&have).unwrap();
    drop(storage);
    let fewer = area.choose_with(&["a"], Watch { cancel: Some(&AtomicBool::new(true)), ..Watch::default() });
    let fewer = fewer.expect("nothing is hashed");
    // The second piece has bytes of `c`, which lie elsewhere now.
    assert_eq!(fewer.have.iter().collect::<Vec<_>>(), [PieceIndex(0)]);
    assert!(!area.path(".target.part/c").exists());
    drop(fewer);
    area.fetch_chosen(&["a"]);
    assert_eq!(area.target(), ["a"]);
}

#[test]
fn what_somebody_has_put_in_the_place_of_a_file_is_kept() {
    let area = three_files();
    area.fetch_chosen(&["a"]);
    drop(area.choose(&["a"]).unwrap());
    fs::write(area.path("target/c"), "mine").unwrap();
    assert!(matches!(area.choose(&["c"]), Err(StorageError::InTheWay { .. })));
    assert_eq!(fs::read(area.path("target/c")).unwrap(), b"mine");
    assert!(area.choose(&["a"]).unwrap().placed);
}

#[test]
fn two_processes_do_not_fetch_different_parts_of_one_torrent_at_once() {
    let area = three_files();
    for (first, second) in [(&["a"][..], &["c"][..]), (&["c"], &["a", "c", "sub/b"]), (&["a", "c", "sub/b"], &["c"])] {
        let held = area.choose(first).unwrap();
        assert!(matches!(area.choose(second), Err(StorageError::Locked(_))), "{first:?} and {second:?}");
        drop(held);
        fs::remove_dir_all(area.path(".target.part")).unwrap();
        let _ = fs::remove_file(area.path(".target.parts"));
    }
}
