//! Hashing, copying, making and verifying on a real file system.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use sha1::{Digest, Sha1};
use sha2::Sha256;
use tempfile::TempDir;

use super::*;
use crate::layout::PieceIndex;
use crate::metainfo::merkle::{self, Tree};
use crate::metainfo::{
    FileEntry, FileTree, Metainfo, MetainfoBuilder, MetainfoError, PieceHashes, TorrentPath, TorrentVersion,
};
use crate::rng::Rng;

const KIB: u32 = 1024;

/// Random bytes, the same in every run.
fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::from_seed_u64(length as u64).fill(&mut bytes);
    bytes
}

/// Files of these lengths in a folder of their own.
fn files(lengths: &[usize]) -> (TempDir, Vec<(PathBuf, u64)>) {
    let dir = tempfile::tempdir().unwrap();
    let file = |(number, length): (usize, &usize)| {
        let path = dir.path().join(number.to_string());
        fs::write(&path, content(*length)).unwrap();
        (path, *length as u64)
    };
    let files = lengths.iter().enumerate().map(file).collect();
    (dir, files)
}

fn whole(files: &[(PathBuf, u64)]) -> Vec<u8> {
    files.iter().flat_map(|(path, _)| fs::read(path).unwrap()).collect()
}

fn hashes_of(whole: &[u8], piece_length: u32) -> PieceHashes {
    whole.chunks(piece_length as usize).map(|piece| Sha1::digest(piece).into()).collect()
}

/// The trees of all files that have bytes.
fn trees_of(files: &[(PathBuf, u64)], piece_length: u32) -> Vec<FileTree> {
    let contents = files.iter().map(|(path, _)| fs::read(path).unwrap()).filter(|content| !content.is_empty());
    let tree_of = |content: Vec<u8>| {
        let leaves: Vec<_> = content.chunks(16 * 1024).map(merkle::leaf).collect();
        let tree = Tree::new(content.len() as u64, piece_length);
        let layer = (0..tree.piece_layer()).fold(leaves.clone(), |below, layer| merkle::above(&below, layer));
        FileTree { root: merkle::root(leaves, 0, tree.height()), layer: layer.concat() }
    };
    contents.map(tree_of).collect()
}

#[track_caller]
fn check_hashes(lengths: &[usize], piece_length: u32) {
    let (_dir, files) = files(lengths);
    let whole = whole(&files);
    let options = HashOptions { sha256: true, ..HashOptions::default() };
    let hashed = hash_pieces(&files, piece_length, options, Watch::default()).unwrap();
    assert!(hashed.hashes.pieces == Some(hashes_of(&whole, piece_length)), "{lengths:?} in {piece_length}");
    assert_eq!(hashed.sha256, Some(Sha256::digest(&whole).into()));
    assert_eq!(hashed.length, whole.len() as u64);
    let plain = hash_pieces(&files, piece_length, HashOptions::default(), Watch::default()).unwrap();
    assert_eq!((plain.hashes == hashed.hashes, plain.sha256), (true, None));
    if !piece_length.is_power_of_two() || piece_length < 16 * KIB {
        return;
    }
    let options = HashOptions { sha256: true, version: TorrentVersion::V2, ..HashOptions::default() };
    let trees = hash_pieces(&files, piece_length, options, Watch::default()).unwrap();
    assert_eq!((trees.sha256, trees.length), (hashed.sha256, hashed.length));
    assert!(trees.hashes.trees == trees_of(&files, piece_length), "{lengths:?} in {piece_length}");
}

#[test]
fn pieces_of_every_length_have_their_hashes() {
    for piece_length in [KIB, 16 * KIB, 48 * KIB + 1, 1024 * KIB, 3 * 1024 * KIB] {
        check_hashes(&[5_000_000], piece_length);
        check_hashes(&[4 * 1024 * 1024], piece_length);
        check_hashes(&[1], piece_length);
        check_hashes(&[10, 0, 2_000_000, 16 * 1024, 0, 999_999], piece_length);
    }
    check_hashes(&[0], 16 * KIB);
}

#[test]
fn copies_are_whole_and_their_folders_are_made() {
    let (dir, files) = files(&[3_000_000, 0, 70_000]);
    let targets: Vec<_> = ["out/a", "out/deep/b", "out/deep/c"].map(|name| dir.path().join(name)).into();
    let options = HashOptions { sha256: true, copy_to: Some(&targets), ..HashOptions::default() };
    let hashed = hash_pieces(&files, 64 * KIB, options, Watch::default()).unwrap();
    assert_eq!(hashed.hashes.pieces, Some(hashes_of(&whole(&files), 64 * KIB)));
    for ((original, _), copy) in files.iter().zip(&targets) {
        assert!(fs::read(original).unwrap() == fs::read(copy).unwrap(), "{}", copy.display());
    }
}

#[test]
fn a_copy_never_replaces_a_file_and_leaves_nothing_behind() {
    let (dir, files) = files(&[100_000, 100_000]);
    let taken = dir.path().join("taken");
    fs::write(&taken, "mine").unwrap();
    let targets = [dir.path().join("new/a"), taken.clone()];
    let options = HashOptions { copy_to: Some(&targets), ..HashOptions::default() };
    let error = hash_pieces(&files, 16 * KIB, options, Watch::default()).unwrap_err();
    assert!(matches!(&error, HashError::Copy { path, .. } if *path == taken), "{error}");
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
    assert!(!dir.path().join("new").exists());
}

#[test]
fn progress_grows_to_the_whole() {
    let (_dir, files) = files(&[3_000_000]);
    let seen = Mutex::new(Vec::new());
    let progress = |bytes| seen.lock().unwrap().push(bytes);
    let watch = Watch { progress: Some(&progress), cancel: None };
    hash_pieces(&files, 16 * KIB, HashOptions::default(), watch).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted());
    assert_eq!(seen.last(), Some(&3_000_000));
}

#[test]
fn cancelled_work_ends_and_its_copy_is_gone() {
    let (dir, files) = files(&[5_000_000]);
    for sha256 in [false, true] {
        let cancel = AtomicBool::new(false);
        let progress = |_| cancel.store(true, Ordering::Relaxed);
        let watch = Watch { progress: Some(&progress), cancel: Some(&cancel) };
        let copy = [dir.path().join("copy")];
        let options = HashOptions { sha256, copy_to: Some(&copy), ..HashOptions::default() };
        let result = hash_pieces(&files, 16 * KIB, options, watch);
        assert!(matches!(result, Err(HashError::Cancelled(Cancelled))), "{result:?}");
        assert!(!copy[0].exists());
    }
}

#[test]
fn files_of_another_length_or_kind_are_refused() {
    let (dir, files) = files(&[1000]);
    let refusal = |path: &Path, length| {
        hash_pieces(&[(path.to_owned(), length)], 16 * KIB, HashOptions::default(), Watch::default()).unwrap_err()
    };
    let path = &*files[0].0;
    assert_eq!(refusal(path, 999).to_string(), format!("`{}` has 1000 bytes; want 999", path.display()));
    assert!(matches!(refusal(path, 1001), HashError::Length { .. }));
    assert!(matches!(refusal(dir.path(), 0), HashError::NotAFile { .. }));
    assert!(matches!(refusal(&dir.path().join("none"), 0), HashError::Open { .. }));
    assert!(matches!(refusal(path, u64::MAX), HashError::TooManyPieces { .. }));
}

/// Changes a file once some of it has been read, and expects the work to be refused.
#[track_caller]
fn check_change_is_noticed(change: impl Fn(&Path) + Sync) {
    let (dir, files) = files(&[5_000_000]);
    let done = AtomicBool::new(false);
    let progress = |_| {
        if !done.swap(true, Ordering::Relaxed) {
            change(&files[0].0);
        }
    };
    let watch = Watch { progress: Some(&progress), cancel: None };
    let copy = [dir.path().join("copy")];
    let options = HashOptions { sha256: true, copy_to: Some(&copy), ..HashOptions::default() };
    let error = hash_pieces(&files, 16 * KIB, options, watch).unwrap_err();
    assert!(matches!(error, HashError::Changed { .. }), "{error}");
    assert!(!copy[0].exists());
}

#[test]
fn a_file_that_changes_meanwhile_is_refused() {
    check_change_is_noticed(|path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap());
    check_change_is_noticed(|path| File::options().write(true).open(path).unwrap().set_len(10).unwrap());
    check_change_is_noticed(|path| {
        let mut file = File::options().write(true).open(path).unwrap();
        file.write_all(b"other").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    });
}

/// A folder with some files, as an author might have it.
fn show() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("show");
    fs::create_dir_all(root.join("b/c")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    for (name, length) in [("b/c/2.mp3", 100_000), ("b.mp3", 50_000), ("a.mp3", 20_000), ("b/notes.txt", 0)] {
        fs::write(root.join(name), content(length)).unwrap();
    }
    for left_out in [".hidden", ".git/config", "Thumbs.db", "b/desktop.ini"] {
        fs::write(root.join(left_out), "x").unwrap();
    }
    dir
}

fn make(path: &Path) -> Result<Metainfo, CreateError> {
    create_torrent(path, &CreateOptions::default(), Watch::default())
}

#[test]
fn a_folder_becomes_a_torrent_of_its_files_in_order() {
    let dir = show();
    let root = dir.path().join("show");
    let metainfo = make(&root).unwrap();
    assert_eq!((metainfo.info.name.as_str(), metainfo.info.is_single_file), ("show", false));
    let paths: Vec<_> = metainfo.info.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.mp3", "b/c/2.mp3", "b/notes.txt", "b.mp3"]);
    assert_eq!(metainfo.info.piece_length, 16 * KIB);
    assert_eq!(make(&root).unwrap().encode(), metainfo.encode());
    assert_eq!(find_files(&root).unwrap().left_out.len(), 4);
    assert!(verify(&metainfo, &root, Watch::default()).unwrap().is_complete());
}

#[test]
fn a_file_becomes_a_torrent_with_all_that_was_asked_for() {
    let (_dir, files) = files(&[100_000]);
    let options = CreateOptions {
        version: TorrentVersion::V1,
        piece_length: Some(32 * KIB),
        name: Some("Folge 1.mp3".into()),
        trackers: vec![vec!["http://t.example/announce".into()]],
        web_seeds: vec!["http://w.example/1.mp3".into()],
        private: true,
        comment: Some("hello".into()),
        created_by: Some("Podswarm".into()),
        creation_date: Some(1),
    };
    let metainfo = create_torrent(&files[0].0, &options, Watch::default()).unwrap();
    assert_eq!(metainfo.info.name.as_str(), "Folge 1.mp3");
    assert_eq!(metainfo.info.pieces.unwrap(), hashes_of(&whole(&files), 32 * KIB));
    assert!(metainfo.info.is_single_file && metainfo.info.private);
    assert_eq!((metainfo.trackers, metainfo.web_seeds), (options.trackers, options.web_seeds));
    assert_eq!((metainfo.comment, metainfo.created_by), (options.comment, options.created_by));
    assert_eq!(metainfo.creation_date, Some(1));
}

#[test]
fn a_folder_is_named_even_when_it_is_given_as_dots() {
    let dir = show();
    let found = find_files(&dir.path().join("show/b/..")).unwrap();
    assert_eq!(found.name.as_str(), "show");
}

#[test]
fn what_cannot_be_a_torrent_is_refused_before_anything_is_hashed() {
    let dir = show();
    let root = dir.path().join("show");
    let never = |_| panic!("nothing is hashed");
    let watch = Watch { progress: Some(&never), cancel: None };
    let refusal = |options: CreateOptions| create_torrent(&root, &options, watch).unwrap_err();
    for piece_length in [0, 1, 8 * KIB, 17 * KIB, 128 * 1024 * KIB] {
        let error = refusal(CreateOptions { piece_length: Some(piece_length), ..CreateOptions::default() });
        assert!(matches!(error, CreateError::PieceLength { .. }), "{error}");
    }
    let error = refusal(CreateOptions { name: Some("../x".into()), ..CreateOptions::default() });
    assert!(matches!(error, CreateError::GivenName(_)), "{error}");
    let error = refusal(CreateOptions { web_seeds: vec!["w".into()], ..CreateOptions::default() });
    assert!(matches!(error, CreateError::Metainfo(MetainfoError::Url { .. })), "{error}");
    let nothing = dir.path().join("nothing");
    assert!(matches!(make(&nothing).unwrap_err(), CreateError::Read { .. }));
    fs::create_dir(&nothing).unwrap();
    assert!(matches!(make(&nothing).unwrap_err(), CreateError::Empty { .. }));
}

// Other systems would not let the test create these names.
#[cfg(target_os = "linux")]
#[test]
fn names_and_kinds_that_others_could_not_have_are_refused_with_a_way_out() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let refusal = |spoil: &dyn Fn(&Path)| {
        let dir = show();
        let root = dir.path().join("show");
        spoil(&root);
        let error = make(&root).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error
    };
    let with_file =
        |name: &'static [u8]| refusal(&move |root: &Path| fs::write(root.join(OsStr::from_bytes(name)), "x").unwrap());
    assert!(matches!(with_file(b"\xff.mp3"), CreateError::Name { .. }));
    assert!(matches!(with_file(b"a\\b"), CreateError::Name { .. }));
    assert!(matches!(with_file(b"A.mp3"), CreateError::Metainfo(MetainfoError::Collision { .. })));
    assert!(matches!(refusal(&|root| symlink("a.mp3", root.join("link")).unwrap()), CreateError::Symlink { .. }));
    let socket = |root: &Path| drop(UnixListener::bind(root.join("socket")).unwrap());
    assert!(matches!(refusal(&socket), CreateError::Special { .. }));
}

#[cfg(unix)]
#[test]
fn a_link_that_was_given_itself_is_followed() {
    let (dir, files) = files(&[1000]);
    let link = dir.path().join("latest.mp3");
    std::os::unix::fs::symlink(&files[0].0, &link).unwrap();
    assert_eq!(make(&link).unwrap().info.name.as_str(), "latest.mp3");
}

fn bad_pieces(verified: &Verified) -> Vec<u32> {
    (0..verified.good.len()).filter(|piece| !verified.good.has(PieceIndex(*piece))).collect()
}

#[test]
fn verifying_finds_the_wrong_piece_and_no_other() {
    let (_dir, files) = files(&[3_000_000]);
    let path = &files[0].0;
    let metainfo = make(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[20 * 16 * 1024] ^= 1;
    fs::write(path, bytes).unwrap();
    let verified = verify(&metainfo, path, Watch::default()).unwrap();
    assert_eq!(bad_pieces(&verified), [20]);
    assert!(verified.problems.is_empty() && !verified.is_complete());
}

#[test]
fn verifying_names_files_that_are_missing_short_or_long() {
    let dir = show();
    let root = dir.path().join("show");
    let metainfo = make(&root).unwrap();
    // The files are a.mp3 (20,000 bytes), b/c/2.mp3 (100,000), b/notes.txt (0) and b.mp3 (50,000): pieces 0-1, 1-7,
    // 7-10.
    let check = |bad: &[u32], problem: &str| {
        let total = AtomicU64::new(0);
        let progress = |bytes| total.store(bytes, Ordering::Relaxed);
        let verified = verify(&metainfo, &root, Watch { progress: Some(&progress), cancel: None }).unwrap();
        assert_eq!(bad_pieces(&verified), bad);
        let problems: Vec<_> = verified.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [problem]);
        assert!(!verified.is_complete());
        assert_eq!(total.into_inner(), metainfo.info.length());
    };
    fs::write(root.join("b/notes.txt"), "long").unwrap();
    check(&[], "`b/notes.txt` has 4 bytes; want 0");
    fs::write(root.join("b/notes.txt"), "").unwrap();

    fs::write(root.join("b.mp3"), &content(50_000)[..49_000]).unwrap();
    check(&[10], "`b.mp3` has 49000 bytes; want 50000");
    fs::write(root.join("b.mp3"), content(50_000)).unwrap();

    fs::remove_file(root.join("a.mp3")).unwrap();
    check(&[0, 1], "`a.mp3` is missing");
    fs::create_dir(root.join("a.mp3")).unwrap();
    check(&[0, 1], "`a.mp3` is not a file");
}

#[test]
fn nothing_on_disk_is_no_error() {
    let dir = show();
    let metainfo = make(&dir.path().join("show")).unwrap();
    let verified = verify(&metainfo, &dir.path().join("elsewhere"), Watch::default()).unwrap();
    assert!(verified.good.is_none());
    assert_eq!(verified.problems.len(), 4);
}

#[test]
fn padding_is_zeros_and_on_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), content(1000)).unwrap();
    fs::write(dir.path().join("b"), content(2000)).unwrap();
    let file = |name, length| FileEntry::new(TorrentPath::new([name]).unwrap(), length);
    let pad = FileEntry { is_pad: true, ..file("pad", 15_384) };
    let whole = [content(1000), vec![0; 15_384], content(2000)].concat();
    let metainfo = MetainfoBuilder::folder(
        TorrentPath::new(["name"]).unwrap(),
        vec![file("a", 1000), pad, file("b", 2000)],
        16 * KIB,
        hashes_of(&whole, 16 * KIB),
    )
    .build()
    .unwrap();
    assert!(verify(&metainfo, dir.path(), Watch::default()).unwrap().is_complete());
}

#[test]
fn verifying_can_be_cancelled() {
    let (_dir, files) = files(&[100_000]);
    let metainfo = make(&files[0].0).unwrap();
    let watch = Watch { progress: None, cancel: Some(&AtomicBool::new(true)) };
    assert!(verify(&metainfo, &files[0].0, watch).is_err());
}

#[test]
fn hybrids_and_v2_torrents_of_a_folder_are_made_copied_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let lengths = [("a.bin", 100_000), ("c.bin", 0), ("d.bin", 5), ("sub/b.bin", 49_152), ("z.bin", 70_000)];
    let root = dir.path().join("show");
    for (name, length) in lengths {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>()).unwrap();
    }
    let make = |version| {
        let options = CreateOptions { version, piece_length: Some(32 * KIB), ..CreateOptions::default() };
        create_torrent(&root, &options, Watch::default()).unwrap()
    };
    let (hybrid, v2) = (make(TorrentVersion::Hybrid), make(TorrentVersion::V2));
    let theirs = Metainfo::parse(include_bytes!("../../../tests/torrents/libtorrent-v2-show.torrent")).unwrap();
    assert_eq!((v2.info_hash, &v2.info), (theirs.info_hash, &theirs.info), "libtorrent makes the very same");
    assert!(hybrid.info_hash.v1().is_some() && hybrid.info_hash.v2().is_some());
    for made in [&hybrid, &v2] {
        assert!(verify(made, &root, Watch::default()).unwrap().is_complete());
    }
    // A hybrid without its trees is proven by its other half, padding and all.
    let bare = Metainfo::from_info_bytes(hybrid.info_bytes()).unwrap();
    assert!(bare.layers().is_none() && verify(&bare, &root, Watch::default()).unwrap().is_complete());

    let found = find_files(&root).unwrap();
    let targets: Vec<_> =
        found.files.iter().map(|file| dir.path().join("copy").join(file.path.to_path_buf())).collect();
    let options = HashOptions { sha256: true, copy_to: Some(&targets), version: TorrentVersion::Hybrid };
    let hashed = hash_pieces(&found.to_hash(), 32 * KIB, options, Watch::default()).unwrap();
    assert_eq!(hashed.sha256, Some(Sha256::digest(whole(&found.to_hash())).into()), "padding is no content");
    assert!(verify(&hybrid, &dir.path().join("copy"), Watch::default()).unwrap().is_complete());
}
