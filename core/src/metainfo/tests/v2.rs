//! Torrents of version 2 and hybrids, made by another program, by us and by hand. BEP 52.

use super::*;
use crate::metainfo::merkle;

/// Made by libtorrent 2.0.8 of bytes that count to 250 again and again.
const LIBTORRENT: [(&str, &[u8]); 6] = [
    ("v2 one", include_bytes!("../../../tests/torrents/libtorrent-v2-one.torrent")),
    ("v2 small", include_bytes!("../../../tests/torrents/libtorrent-v2-small.torrent")),
    ("v2 show", include_bytes!("../../../tests/torrents/libtorrent-v2-show.torrent")),
    ("hybrid one", include_bytes!("../../../tests/torrents/libtorrent-hybrid-one.torrent")),
    ("hybrid small", include_bytes!("../../../tests/torrents/libtorrent-hybrid-small.torrent")),
    ("hybrid show", include_bytes!("../../../tests/torrents/libtorrent-hybrid-show.torrent")),
];

fn libtorrents(name: &str) -> &'static [u8] {
    LIBTORRENT.into_iter().find(|(known, _)| *known == name).unwrap().1
}

const KIB_16: usize = 16 * 1024;

fn counted(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn leaves(bytes: &[u8]) -> Vec<[u8; 32]> {
    bytes.chunks(KIB_16).map(merkle::leaf).collect()
}

#[test]
fn torrents_that_libtorrent_made_have_its_hashes() {
    let hash = |name| Metainfo::parse(libtorrents(name)).unwrap().info_hash;
    let hybrid = hash("hybrid show");
    assert_eq!(hybrid.to_string(), "df6f5cbd9eccb44085a441b2e6420db2c36cbae2");
    let v2 = "27d21fc4b427e5649dd32cd89451c7fa7cccc952e8791643e57e82cb14583760".parse::<InfoHash>().unwrap();
    assert!(hybrid.matches(&v2));
    let v2 = hash("v2 show");
    assert_eq!(v2.to_string(), "6098ec13546b012aa45b626f30efdc0fdcf7a8558dd0978f3fa90d66b458a1a4");
    assert_eq!(v2.v1(), None);
    assert_eq!(Magnet::new(v2).to_string(), format!("magnet:?xt=urn:btmh:1220{v2}"));
}

#[test]
fn both_versions_of_one_folder_are_one_run_of_bytes() {
    let files = |name| {
        let info = Metainfo::parse(libtorrents(name)).unwrap().info;
        assert_eq!((info.name.as_str(), info.is_single_file, info.piece_length), ("show", false, 32_768));
        assert_eq!((info.content_length(), info.length(), info.piece_count()), (219_157, 327_680, 10));
        info.files
    };
    let names: Vec<_> = files("v2 show").iter().map(|file| (file.path.to_string(), file.length)).collect();
    let want = [
        ("a.bin", 100_000),
        (".pad/31072", 31_072),
        ("c.bin", 0),
        ("d.bin", 5),
        (".pad/32763", 32_763),
        ("sub/b.bin", 49_152),
        (".pad/16384", 16_384),
        ("z.bin", 70_000),
        (".pad/28304", 28_304),
    ];
    assert_eq!(names, want.map(|(name, length)| (name.to_owned(), length)));
    assert_eq!(files("v2 show"), files("hybrid show"));
}

#[test]
fn every_piece_is_proven_by_its_tree() {
    for (name, bytes) in LIBTORRENT {
        let metainfo = Metainfo::parse(bytes).unwrap();
        let layout = Layout::of(&metainfo.info);
        for piece in layout.pieces() {
            let start = layout.start_of(piece);
            let slice = layout.slices(start..start + 1).next().unwrap();
            let from = usize::try_from(slice.offset).unwrap();
            let content = counted(from + layout.length_of(piece) as usize).split_off(from);
            let PieceCheck::Tree { root, layers, v1 } = metainfo.check_of(&layout, piece) else {
                panic!("{name} has trees")
            };
            assert_eq!(merkle::root(leaves(&content), 0, layers), root, "piece {piece} of {name}");
            assert_eq!(v1.is_some(), name.starts_with("hybrid"));
            if let Some(v1) = v1 {
                let padded = [content, vec![0; v1.padding as usize]].concat();
                assert_eq!(<[u8; 20]>::from(Sha1::digest(padded)), v1.digest, "piece {piece} of {name}");
            }
        }
    }
}

#[test]
fn what_another_program_wrote_is_written_back_alike() {
    for (name, bytes) in LIBTORRENT {
        let metainfo = Metainfo::parse(bytes).unwrap();
        assert_eq!(Metainfo::parse(&metainfo.encode()), Ok(metainfo.clone()), "{name}");
        assert_eq!(metainfo.encode(), bytes, "{name}");
    }
}

#[test]
fn a_bare_info_waits_for_its_layers_and_believes_no_others() {
    let whole = Metainfo::parse(libtorrents("v2 show")).unwrap();
    let mut bare = Metainfo::from_info_bytes(whole.info_bytes()).unwrap();
    assert!(bare.lacks_layers());
    let mut layers: BTreeMap<_, _> = whole.layers().unwrap().by_file(&whole.info).collect();
    let layers_of =
        |layers: &BTreeMap<Sha256Digest, &[u8]>| layers.iter().map(|(root, layer)| (*root, layer.to_vec())).collect();
    assert_eq!(layers.len(), 3);
    bare.add_layers(&layers_of(&layers)).unwrap();
    assert_eq!(bare.layers(), whole.layers());
    let (root, _) = layers.pop_last().unwrap();
    bare.add_layers(&layers_of(&layers)).unwrap();
    assert!(bare.lacks_layers(), "one is missing");
    layers.insert(root, &[7; 96]);
    assert!(matches!(
        bare.add_layers(&layers_of(&layers)),
        Err(MetainfoError::LayerRoot { .. } | MetainfoError::LayerLength { .. })
    ));
    // A hybrid is proven by its other half meanwhile, and one short file by its root alone.
    let hybrid = Metainfo::parse(libtorrents("hybrid show")).unwrap();
    assert!(!Metainfo::from_info_bytes(hybrid.info_bytes()).unwrap().lacks_layers());
    let small = Metainfo::parse(libtorrents("v2 small")).unwrap();
    assert_eq!(Metainfo::from_info_bytes(small.info_bytes()).unwrap().layers(), small.layers());
}

/// One file of a `file tree`.
fn node(length: i128, root: &str) -> String {
    let root = (!root.is_empty()).then(|| ("pieces root", s(root)));
    dict([("", dict([("length", i(length))].into_iter().chain(root)))])
}

/// 32 characters that stand for a root.
const ROOT: &str = "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr";

/// A v2 `info` with this `file tree`.
fn v2(tree: String) -> String {
    info(&[("length", String::new()), ("pieces", String::new()), ("file tree", tree), ("meta version", i(2))])
}

/// A hybrid `info` of a folder, with these `files` and this `file tree`.
fn hybrid(files: &[String], pieces: usize, tree: String) -> String {
    let pieces = s(&HASH.repeat(pieces));
    info(&[
        ("length", String::new()),
        ("pieces", pieces),
        ("files", list(files)),
        ("file tree", tree),
        ("meta version", i(2)),
    ])
}

fn pad(length: i128) -> String {
    dict([("attr", s("p")), ("length", i(length)), ("path", list([s(".pad"), s(&length.to_string())]))])
}

#[test]
fn broken_trees_are_refused_with_a_sentence() {
    let whole = dict([("a.mp3", node(10, ROOT))]);
    assert!(parse(&v2(whole.clone())).is_ok());
    refused(&info(&[("meta version", i(3))]), "the torrent is of version 3; versions 1 and 2 are known");
    refused(&v2(String::new()), "the torrent has no \"file tree\"");
    refused(&v2(i(1)), "the torrent's \"file tree\" is of type integer; want dictionary");
    refused(&v2(dict([("a", i(1))])), "the torrent's \"file tree\" is of type integer; want dictionary");
    refused(&v2(node(10, ROOT)), "the torrent's \"file tree\" is a file without a name");
    refused(&v2(dict([("a", node(10, ""))])), "file \"a\" has no \"pieces root\" of 32 bytes");
    refused(&v2(dict([("a", node(10, &ROOT[1..]))])), "file \"a\" has no \"pieces root\" of 32 bytes");
    refused(&v2(dict([("a", node(-1, ROOT))])), "file \"a\" claims a length of -1 bytes");
    refused(&v2(dict([("a", dict([("", "de")]))])), "file \"a\" has no \"length\"");
    refused(
        &v2(dict([("b", node(1, ROOT)), ("a", node(1, ROOT))])),
        "the names in the torrent's \"file tree\" are not sorted",
    );
    refused(
        &v2(dict([("A", node(1, ROOT)), ("a", node(1, ROOT))])),
        "files \"A\" and \"a\" are one file where case and accents do not count",
    );
    refused(&v2(dict([("..", node(1, ROOT))])), "file name \"..\" leads out of its folder");
    refused(&v2(dict([("a", node(0, ""))])), "the torrent has no content: its files are empty");
    refused(&v2("de".into()), "the torrent has no content: its files are empty");
    let both = dict([("a", dict([("", dict([("length", i(0))])), ("b", node(1, ROOT))]))]);
    refused(&v2(both), "\"a\" is a file, and a folder with others in it");
    let with = |attributes: &str| dict([("a", dict([("", dict([("attr", s(attributes)), ("length", i(0))]))]))]);
    refused(&v2(with("l")), "\"a\" is a symbolic link, which torrents may not bring");
    refused(&v2(with("p")), "\"a\" is padding, which a v2 torrent does not have");
    for length in [15_000, 8192] {
        let odd = v2(whole.clone()).replace("i16384e", &i(length));
        refused(&odd, &format!("piece length is {length} bytes; want a power of two from 16384 on in a v2 torrent"));
    }
    refused(&v2(dict([("a", node(i128::from(i64::MAX), ROOT))])), "the files' lengths add up to more than 2^63 bytes");
    refused(&v2(dict([("a", node(1 << 40, ROOT))])), "the files make 67108864 pieces; at most 500000 are read");
    let deep = (0..99).fold(node(1, ROOT), |inside, _| dict([("d", inside)]));
    assert!(matches!(parse(&v2(deep)), Err(MetainfoError::Bencode(_) | MetainfoError::Path(PathError::TooDeep))));
}

#[test]
fn layers_that_do_not_prove_their_files_are_refused() {
    let info = v2(dict([("a.mp3", node(40_000, ROOT))]));
    let parse = |layers: Option<String>| {
        let layers = layers.map(|layers| ("piece layers", layers));
        Metainfo::parse(dict([("info", info.clone())].into_iter().chain(layers)).as_bytes())
            .map_err(|err| err.to_string())
    };
    let none = "the torrent is v2-only and has no \"piece layers\", which prove its pieces";
    assert_eq!(parse(None), Err(none.to_owned()));
    assert_eq!(parse(Some("de".into())), Err(none.to_owned()));
    assert_eq!(parse(Some(i(1))), Err("the torrent's \"piece layers\" is of type integer; want dictionary".to_owned()));
    let layer = |length| Some(dict([(ROOT, s(&"h".repeat(length)))]));
    assert_eq!(parse(layer(95)), Err("the piece layer of \"a.mp3\" has 95 bytes; want 96".to_owned()));
    assert_eq!(parse(layer(128)), Err("the piece layer of \"a.mp3\" has 128 bytes; want 96".to_owned()));
    assert_eq!(
        parse(layer(96)),
        Err("the piece layer of \"a.mp3\" does not have the file's \"pieces root\"".to_owned())
    );
}

#[test]
fn hybrids_whose_halves_differ_are_refused() {
    let tree = |second: &'static str, length| dict([("a", node(10_000, ROOT)), (second, node(length, ROOT))]);
    let files = |padding, second| [file(10_000, &["a"]), pad(padding), file(20_000, &[second])];
    assert!(parse(&hybrid(&files(6384, "b"), 3, tree("b", 20_000))).is_ok());
    let differ = "the torrent's v1 and v2 halves differ: ";
    let other = format!("{differ}\"b\" is not the same in both");
    refused(&hybrid(&files(6384, "b"), 3, tree("c", 20_000)), &other);
    refused(&hybrid(&files(6384, "b"), 3, tree("b", 20_001)), &other);
    refused(&hybrid(&files(6384, "b"), 3, dict([("a", node(10_000, ROOT))])), &other);
    refused(&hybrid(&files(6384, "b")[..1], 1, tree("b", 20_000)), &other);
    let swapped = [file(20_000, &["b"]), pad(12_768), file(10_000, &["a"])];
    refused(&hybrid(&swapped, 3, tree("b", 20_000)), &other);
    let unaligned = [file(10_000, &["a"]), file(20_000, &["b"])];
    refused(&hybrid(&unaligned, 2, tree("b", 20_000)), &format!("{differ}\"b\" does not begin with a piece"));
    for padding in [6383, 6385, 6384 + 16_384] {
        let padded = hybrid(&files(padding, "b"), 3 + usize::from(padding > 20_000), tree("b", 20_000));
        refused(&padded, &format!("{differ}the padding at byte 10000 does not end with a piece"));
    }
    let changed = info(&[("file tree", dict([("a.mp3", node(19_999, ROOT))])), ("meta version", i(2))]);
    refused(&changed, &format!("{differ}\"a.mp3\" is not the same in both"));
}

#[test]
fn hybrids_and_v2_torrents_are_built_and_read_back() {
    let contents = [counted(100_000), counted(7), counted(0), counted(40_000)];
    let names = ["a", "b", "c", "d"];
    let files = names.iter().zip(&contents).map(|(name, content)| FileEntry::new(path(&[name]), content.len() as u64));
    let files = MetainfoBuilder::padded(files.collect(), 32_768).unwrap();
    assert_eq!(files.iter().filter(|file| file.is_pad).count(), 2);
    let trees = contents.iter().filter(|content| !content.is_empty()).map(|content| {
        let tree = merkle::Tree::new(content.len() as u64, 32_768);
        let layer = (0..tree.piece_layer()).fold(leaves(content), |below, layer| merkle::above(&below, layer));
        FileTree { root: merkle::root(leaves(content), 0, tree.height()), layer: layer.concat() }
    });
    let builder = MetainfoBuilder::folder(path(&["show"]), files, 32_768, pieces(7)).trees(trees.collect());
    let hybrid = builder.clone().build().unwrap();
    assert!(hybrid.info_hash.v1().is_some() && hybrid.info_hash.v2().is_some());
    assert_eq!(Metainfo::parse(&hybrid.encode()), Ok(hybrid.clone()));
    let v2 = builder.without_v1().build().unwrap();
    assert_eq!((v2.info_hash.v1(), &v2.info.pieces), (None, &None));
    assert_eq!(v2.layers(), hybrid.layers());
    assert_eq!(v2.info.files.split_last().unwrap().1, hybrid.info.files, "but for the tail");
    assert_eq!(Metainfo::parse(&v2.encode()), Ok(v2));
}

#[test]
fn no_damage_to_a_v2_torrent_panics_and_what_is_still_read_is_whole() {
    let mut rng = crate::rng::Rng::from_seed_u64(52);
    for (name, bytes) in LIBTORRENT {
        for _ in 0..3000 {
            let mut bytes = bytes.to_vec();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len());
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
            let Ok(read) = Metainfo::parse(&bytes) else { continue };
            let layout = Layout::of(&read.info);
            assert_eq!(layout.piece_count(), read.info.piece_count(), "{name}");
            assert!(
                layout.pieces().all(|piece| matches!(
                    read.check_of(&layout, piece),
                    PieceCheck::Tree { .. } | PieceCheck::Sha1(_)
                ))
            );
        }
    }
}
