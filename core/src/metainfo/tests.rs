//! Torrents that are read, and torrents that are refused.

mod v2;

use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;

/// 20 characters that stand for a hash.
const HASH: &str = "aaaaaaaaaaaaaaaaaaaa";

fn s(text: &str) -> String {
    format!("{}:{text}", text.len())
}

fn i(number: i128) -> String {
    format!("i{number}e")
}

fn list<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().fold("l".to_owned(), |out, value| out + value.as_ref()) + "e"
}

/// A dictionary with its entries in the order given.
fn dict<T: AsRef<str>>(entries: impl IntoIterator<Item = (&'static str, T)>) -> String {
    entries.into_iter().fold("d".to_owned(), |out, (key, value)| out + &s(key) + value.as_ref()) + "e"
}

/// An `info` of one file of 20,000 bytes; `changes` replace entries or, if empty, take them away.
fn info(changes: &[(&'static str, String)]) -> String {
    let mut entries =
        vec![("length", i(20_000)), ("name", s("a.mp3")), ("piece length", i(16_384)), ("pieces", s(&HASH.repeat(2)))];
    for (key, value) in changes {
        entries.retain(|(known, _)| known != key);
        if !value.is_empty() {
            entries.push((key, value.clone()));
        }
    }
    entries.sort_unstable();
    dict(entries)
}

/// An `info` of a folder with these entries of `files`, which make one piece.
fn folder(files: &[String]) -> String {
    info(&[("length", String::new()), ("files", list(files)), ("pieces", s(HASH))])
}

fn file(length: i128, names: &[&str]) -> String {
    dict([("length", i(length)), ("path", list(names.iter().map(|name| s(name))))])
}

fn parse(info: &str) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse(dict([("info", info)]).as_bytes())
}

#[track_caller]
fn refused(info: &str, sentence: &str) {
    assert_eq!(parse(info).unwrap_err().to_string(), sentence);
}

#[track_caller]
fn refused_change(key: &'static str, value: String, sentence: &str) {
    refused(&info(&[(key, value)]), sentence);
}

fn path(names: &[&str]) -> TorrentPath {
    TorrentPath::new(names).unwrap()
}

#[test]
fn a_torrent_of_one_file_says_all_it_has() {
    let info = info(&[("private", i(1)), ("source", s("x"))]);
    let tiers = list([
        list([s("http://b.example/"), s(" http://c.example/ "), s("no url")]),
        list([s("udp://d.example:1"), s("http://b.example/")]),
        list([s("")]),
    ]);
    let bytes = dict([
        ("announce", s("http://a.example/")),
        ("announce-list", tiers),
        ("comment", s("h\u{e9}\nllo\u{202e}")),
        ("created by", s("me\n\u{1b}")),
        ("creation date", i(1_700_000_000)),
        ("info", info.clone()),
        ("nodes", list([list([s("dht.example"), i(1)])])),
        ("url-list", s("http://w.example/")),
    ]);
    let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    assert_eq!(metainfo.info_bytes(), info.as_bytes());
    assert_eq!(metainfo.info_hash, InfoHash::from_v1(Sha1::digest(&info).into()));
    assert_eq!(metainfo.trackers, [vec!["http://b.example/", "http://c.example/"], vec!["udp://d.example:1"]]);
    assert_eq!(metainfo.web_seeds, ["http://w.example/"]);
    assert_eq!(metainfo.comment.as_deref(), Some("h\u{e9}\nllo\u{fffd}"));
    assert_eq!(metainfo.created_by.as_deref(), Some("me \u{fffd}"));
    assert_eq!(metainfo.creation_date, Some(1_700_000_000));
    let said = &metainfo.info;
    assert_eq!((said.name.as_str(), said.piece_length, said.length()), ("a.mp3", 16_384, 20_000));
    assert!(said.is_single_file && said.private);
    assert_eq!(said.files, [FileEntry::new(path(&["a.mp3"]), 20_000)]);
    assert_eq!((said.piece_count(), said.pieces.as_ref().unwrap().get(PieceIndex(1))), (2, [b'a'; 20]));
    assert_eq!(Metainfo::parse(&metainfo.encode()), Ok(metainfo));
}

#[test]
fn a_torrent_of_a_folder_has_its_files_in_order() {
    let files = [file(10, &["b", "c.mp3"]), file(0, &["empty"]), file(5, &["a"])];
    let metainfo = parse(&folder(&files)).unwrap();
    assert!(!metainfo.info.is_single_file);
    let paths: Vec<_> = metainfo.info.files.iter().map(|file| (file.path.as_str(), file.length)).collect();
    assert_eq!(paths, [("b/c.mp3", 10), ("empty", 0), ("a", 5)]);
}

#[test]
fn the_hash_covers_the_bytes_as_they_stand_not_a_re_encoding() {
    let disordered =
        dict([("pieces", s(&HASH.repeat(2))), ("piece length", i(16_384)), ("name", s("a")), ("length", i(20_000))]);
    let metainfo = parse(&disordered).unwrap();
    assert_eq!(metainfo.info_hash, InfoHash::from_v1(Sha1::digest(&disordered).into()));
    let read_again = Metainfo::parse(&metainfo.encode()).unwrap();
    assert_eq!(read_again.info_hash, metainfo.info_hash);
    assert_eq!(Metainfo::from_info_bytes(disordered.as_bytes()).unwrap().info_hash, metainfo.info_hash);
}

#[test]
fn what_is_not_known_outside_info_is_carried_along() {
    let nodes = ("nodes", list([list([s("dht.example"), i(1)])]));
    let bytes = dict([("info", info(&[])), nodes.clone(), ("zz", dict([("k", i(1))]))]);
    let mut metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    assert_eq!(metainfo.encode(), bytes.as_bytes());
    metainfo.trackers = vec![vec!["http://t.example/".into()]];
    assert!(
        metainfo.encode().starts_with(dict([("announce", s("http://t.example/"))]).trim_end_matches('e').as_bytes())
    );
}

#[test]
fn nonsense_outside_info_is_left_out() {
    let bytes = dict([
        ("announce", s("not a url")),
        ("announce-list", i(1)),
        ("comment", i(1)),
        ("creation date", s("today")),
        ("info", info(&[])),
        ("url-list", list([i(1), s(""), s("file:///etc/passwd")])),
    ]);
    let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    assert_eq!((metainfo.trackers.len(), metainfo.web_seeds.len()), (0, 0));
    assert_eq!((&metainfo.comment, metainfo.creation_date), (&None, None));
}

#[test]
fn an_empty_announce_list_leaves_the_single_tracker() {
    let bytes =
        dict([("announce", s("http://a.example/")), ("announce-list", list([list([""; 0])])), ("info", info(&[]))]);
    assert_eq!(Metainfo::parse(bytes.as_bytes()).unwrap().trackers, [["http://a.example/"]]);
}

#[test]
fn trackers_are_bounded() {
    let urls: Vec<String> = (0..500).map(|n| s(&format!("http://t{n}.example/"))).collect();
    let tiers = list(urls.chunks(60).map(list));
    let bytes = dict([("announce-list", tiers), ("info", info(&[])), ("url-list", list(&urls))]);
    let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    assert_eq!(metainfo.trackers.concat().len(), 100);
    assert_eq!(metainfo.web_seeds.len(), 100);
}

#[test]
fn what_is_no_torrent_is_refused() {
    let refusal = |bytes: &[u8]| Metainfo::parse(bytes).unwrap_err();
    assert_eq!(refusal(b"<!DOCTYPE html>").to_string(), "the torrent is not valid bencode");
    assert_eq!(refusal(b"4:spam").to_string(), "not a torrent: the file holds one bencoded string, not a dictionary");
    assert_eq!(refusal(b"de").to_string(), "the torrent has no \"info\"");
    assert_eq!(refusal(b"d4:infolee").to_string(), "the torrent's \"info\" is of type list; want dictionary");
}

#[test]
fn what_must_be_there_must_be_of_its_type() {
    for key in ["name", "piece length", "pieces", "length"] {
        refused_change(key, String::new(), &format!("the torrent has no \"{key}\""));
        let wrong = format!("the torrent's \"{key}\" is of type list; want ");
        let refusal = parse(&info(&[(key, list([""; 0]))])).unwrap_err().to_string();
        assert!(refusal.starts_with(&wrong), "{refusal}");
    }
    refused(
        &info(&[("length", String::new()), ("files", i(1))]),
        "the torrent's \"files\" is of type integer; want list",
    );
    for bad in [i(1), dict([("length", i(1))]), dict([("length", s("1")), ("path", list([s("a")]))])] {
        refused(&folder(&[file(1, &["b"]), bad]), "entry 1 of the torrent's \"files\" is not a file");
    }
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    for names in [&["..", "..", "x"][..], &["a", "..", "x"]] {
        refused(&folder(&[file(1, names)]), "file name \"..\" leads out of its folder");
    }
    for name in ["/etc/cron.d/x", "a/../../x", r"..\..\x", r"C:\x"] {
        assert!(matches!(parse(&folder(&[file(1, &[name])])), Err(MetainfoError::Path(PathError::Separator { .. }))));
        assert!(matches!(parse(&info(&[("name", s(name))])), Err(MetainfoError::Path(PathError::Separator { .. }))));
    }
    refused(&folder(&[file(1, &[])]), "a file path is empty");
    refused(&folder(&[file(1, &["a", ""])]), "a file path has an empty name in it");
    refused_change("name", s(""), "a file path has an empty name in it");
    refused_change("name", s(".."), "file name \"..\" leads out of its folder");
    refused(&folder(&[file(1, &vec!["d"; 10_000])]), "a file path is more than 100 folders deep");
}

#[test]
fn names_in_another_encoding_have_their_utf8_twin() {
    let mut bytes =
        b"d4:infod6:lengthi1e4:name3:\xe4.a10:name.utf-84:\xc3\xa4.a12:piece lengthi16384e6:pieces20:".to_vec();
    bytes.extend_from_slice(format!("{HASH}ee").as_bytes());
    assert_eq!(Metainfo::parse(&bytes).unwrap().info.name.as_str(), "ä.a");
    let entry = dict([("length", i(1)), ("path", list([s("..")])), ("path.utf-8", list([s("ä")]))]);
    assert_eq!(parse(&folder(&[entry])).unwrap().info.files[0].path.as_str(), "ä");
}

#[test]
fn files_that_would_be_one_are_refused() {
    let two = |first: &[&str], second: &[&str]| parse(&folder(&[file(1, first), file(1, second)])).unwrap_err();
    assert_eq!(two(&["a", "b"], &["a", "b"]).to_string(), "file \"a/b\" is listed twice");
    for (first, second) in [("A", "a"), ("caf\u{e9}", "cafe\u{301}"), ("x:", "x?")] {
        assert!(matches!(two(&[first], &[second]), MetainfoError::Collision { .. }), "{first} {second}");
    }
    assert_eq!(two(&["a", "b"], &["A"]).to_string(), "\"A\" is a file, and a folder with \"a/b\" in it");
    // A name that only begins like another's is another name.
    assert!(parse(&folder(&[file(1, &["a"]), file(1, &["a b"]), file(1, &["a.b", "c"])])).is_ok());
}

#[test]
fn many_files_of_one_name_are_refused_at_once() {
    let files = vec![file(1, &["a"]); 100_000];
    refused(&folder(&files), "file \"a\" is listed twice");
    let files: Vec<String> = (0..=Info::MAX_FILES).map(|n| file(1, &[&n.to_string()])).collect();
    refused(&folder(&files), "the torrent has more than 100000 files");
}

#[test]
fn pad_files_may_share_a_path_and_links_are_refused() {
    let with_attributes =
        |attributes, name| dict([("attr", s(attributes)), ("length", i(3)), ("path", list([s(".pad"), s(name)]))]);
    let metainfo = parse(&folder(&[file(1, &["a"]), with_attributes("p", "3"), with_attributes("p", "3")])).unwrap();
    assert_eq!(metainfo.info.files.iter().map(|file| file.is_pad).collect::<Vec<_>>(), [false, true, true]);
    refused(&folder(&[with_attributes("xl", "l")]), "\".pad/l\" is a symbolic link, which torrents may not bring");
    refused(&folder(&[with_attributes("p", "3")]), "the torrent has no content: its files are empty");
    let link = dict([("length", i(0)), ("path", list([s("l")])), ("symlink path", list([s("..")]))]);
    refused(&folder(&[link]), "\"l\" is a symbolic link, which torrents may not bring");
    refused_change("attr", s("l"), "\"a.mp3\" is a symbolic link, which torrents may not bring");
}

#[test]
fn piece_lengths_out_of_bounds_are_refused() {
    for length in [0, -16_384, 1, 1023, 64 * 1024 * 1024 + 1, 1 << 31, (1 << 63) - 1] {
        refused_change("piece length", i(length), &format!("piece length is {length} bytes; want 1024 to 67108864"));
    }
    // Not a power of two, but some old torrents are like that.
    assert!(parse(&info(&[("piece length", i(15_000))])).is_ok());
}

#[test]
fn lengths_that_lie_are_refused() {
    refused_change("length", i(-1), "file \"a.mp3\" claims a length of -1 bytes");
    refused_change("length", i(0), "the torrent has no content: its files are empty");
    refused_change("length", i((1 << 63) - 1), "2 piece hashes for files that make 562949953421312 pieces");
    refused(&folder(&vec![file(1 << 62, &["a"]); 3]), "file \"a\" is listed twice");
    let huge = ["a", "b", "c"].map(|name| file(1 << 62, &[name]));
    refused(&folder(&huge), "the files' lengths add up to more than 2^63 bytes");
    refused(&folder(&[file(0, &["a"])]), "the torrent has no content: its files are empty");
    refused(&folder(&[]), "the torrent has no content: its files are empty");
    let both = info(&[("files", list([file(1, &["a"])]))]);
    refused(&both, "the torrent has both \"length\" and \"files\"");
}

#[test]
fn hashes_that_do_not_fit_are_refused() {
    refused_change("pieces", s(&HASH[1..]), "\"pieces\" has 19 bytes, which is not a multiple of 20");
    refused_change("pieces", s(HASH), "1 piece hashes for files that make 2 pieces");
    refused_change("pieces", s(&HASH.repeat(3)), "3 piece hashes for files that make 2 pieces");
    refused_change("pieces", s(""), "0 piece hashes for files that make 2 pieces");
}

#[test]
fn a_key_twice_in_info_is_refused() {
    let twice = info(&[]).replacen("6:length", "4:name1:b6:length", 1);
    assert!(matches!(parse(&twice), Err(MetainfoError::Bencode(_))));
}

#[test]
fn a_torrent_gives_its_magnet_link() {
    let bytes =
        dict([("announce", s("http://a.example/")), ("info", info(&[])), ("url-list", list([s("http://w.example/")]))]);
    let metainfo = Metainfo::parse(bytes.as_bytes()).unwrap();
    let magnet = metainfo.magnet();
    assert_eq!(magnet.info_hash, metainfo.info_hash);
    assert_eq!(magnet.name.as_deref(), Some("a.mp3"));
    assert_eq!(
        (magnet.trackers, magnet.web_seeds),
        (vec!["http://a.example/".into()], vec!["http://w.example/".into()])
    );
}

fn pieces(count: u64) -> PieceHashes {
    (0..count).map(|n| [u8::try_from(n % 256).unwrap(); 20]).collect()
}

#[test]
fn the_builder_makes_what_the_parser_reads() {
    let metainfo = MetainfoBuilder::file(path(&["a.mp3"]), 40_000, 16_384, pieces(3))
        .trackers(vec![vec!["http://t.example/".into()]])
        .web_seeds(vec!["http://w.example/a.mp3".into()])
        .created_by(Some("Podswarm".into()))
        .build()
        .unwrap();
    let expected = dict([
        ("announce", s("http://t.example/")),
        ("created by", s("Podswarm")),
        ("info", info(&[("length", i(40_000)), ("pieces", "!".into())])),
        ("url-list", list([s("http://w.example/a.mp3")])),
    ]);
    let encoded = metainfo.encode();
    let (head, tail) = expected.split_once('!').unwrap();
    assert!(encoded.starts_with(head.as_bytes()) && encoded.ends_with(tail.as_bytes()), "{}", encoded.escape_ascii());
    assert_eq!(metainfo.info.pieces, Some(pieces(3)));
}

#[test]
fn the_builder_refuses_what_the_parser_would() {
    let build =
        |length, piece_length, pieces| MetainfoBuilder::file(path(&["a"]), length, piece_length, pieces).build();
    assert_eq!(build(0, 16_384, pieces(0)), Err(MetainfoError::Empty));
    assert_eq!(build(1, 0, pieces(1)), Err(MetainfoError::PieceLength { got: 0 }));
    assert_eq!(build(1, 16_384, pieces(2)), Err(MetainfoError::PieceCount { got: 2, want: 1 }));
    let too_many = build(16_384 * 600_000, 16_384, pieces(600_000)).unwrap_err();
    assert!(matches!(too_many, MetainfoError::Bencode(_)), "{too_many}");
    let relative = MetainfoBuilder::file(path(&["a"]), 1, 16_384, pieces(1)).web_seeds(vec!["a/b".into()]).build();
    assert_eq!(relative, Err(MetainfoError::Url { url: "a/b".into() }));
}

fn any_metainfo() -> impl Strategy<Value = Metainfo> {
    let names = prop::collection::btree_set("[a-zé 0-9.]{1,8}[a-z]", 1..6);
    let files = (names, prop::collection::vec(0..100_000_u64, 6), any::<bool>());
    let outside = (any::<Option<String>>(), any::<Option<i64>>(), 0..3_usize, any::<bool>());
    (files, outside, 0..4_u32).prop_map(|((names, lengths, single), (comment, date, urls, private), exponent)| {
        let files: Vec<_> =
            names.iter().zip(lengths).map(|(name, length)| FileEntry::new(path(&["dir", name]), length + 1)).collect();
        let piece_length = 16_384 << exponent;
        let count = |length: u64| pieces(length.div_ceil(u64::from(piece_length)));
        let builder = if single {
            MetainfoBuilder::file(path(&["ü.mp3"]), files[0].length, piece_length, count(files[0].length))
        } else {
            let total = files.iter().map(|file| file.length).sum();
            MetainfoBuilder::folder(path(&["folder"]), files, piece_length, count(total))
        };
        builder
            .trackers((0..urls).map(|n| vec![format!("http://t{n}.example/")]).collect())
            .web_seeds((0..urls).map(|n| format!("http://w{n}.example/")).collect())
            .private(private)
            .comment(comment)
            .creation_date(date)
            .build()
            .unwrap()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(metainfo in any_metainfo()) {
        prop_assert_eq!(Metainfo::parse(&metainfo.encode()), Ok(metainfo));
    }

    #[test]
    fn every_truncation_is_refused(metainfo in any_metainfo(), cut in any::<prop::sample::Index>()) {
        let bytes = metainfo.encode();
        prop_assert!(Metainfo::parse(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Metainfo::parse(&bytes);
    }

    #[test]
    fn no_damage_panics_and_what_is_still_read_is_whole(
        metainfo in any_metainfo(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = metainfo.encode();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = Metainfo::parse(&bytes) {
            let layout = Layout::of(&read.info);
            prop_assert_eq!(layout.piece_count(), read.info.piece_count());
        }
    }
}
