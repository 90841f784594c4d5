//! Metainfo that lies is refused with one sentence, and nothing is written.

use std::path::Path;
use std::process::Command;

use podswarm_tests::files::{files_below, scratch};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{open_only, podsub};

/// The metainfo of one file called `name` whose `info` has `more` keys after it; keys must be in order.
fn single(length: &str, name: &[u8], more: &str) -> Vec<u8> {
    let mut info = format!("d6:length{length}4:name{}:", name.len()).into_bytes();
    info.extend_from_slice(name);
    info.extend_from_slice(more.as_bytes());
    info.push(b'e');
    [b"d4:info", info.as_slice(), b"e"].concat()
}

/// The metainfo of a folder with one file at `path`.
fn folder(path: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"d4:infod5:filesld6:lengthi16384e4:pathl".to_vec();
    for part in path {
        bytes.extend_from_slice(format!("{}:", part.len()).as_bytes());
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(b"eee4:name4:show");
    bytes.extend_from_slice(GOOD.as_bytes());
    bytes.extend_from_slice(b"ee");
    bytes
}

/// One piece of 16 KiB.
const GOOD: &str = "12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa";

/// Panics unless `podsub get` refuses `torrent` with one sentence and exit code 1 and leaves no file behind.
#[track_caller]
fn check_refused(what: &str, torrent: &[u8]) {
    let area = scratch();
    let file = area.path().join("hostile.torrent");
    std::fs::write(&file, torrent).expect("the test's folder is ours");
    let [output, data] = ["deep/output", "data"].map(|name| area.path().join(name));
    let ended = get(&file, &output, &data).end(PATIENCE);
    assert_eq!(ended.code, Some(1), "{what}: {}", ended.stderr);
    let told: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("podsub: ")).collect();
    assert_eq!(told.len(), 1, "{what} is refused in one sentence: {}", ended.stderr);
    assert!(told[0].contains("is refused: "), "{what}: {}", ended.stderr);
    let left: Vec<_> = files_below(area.path()).into_iter().filter(|path| !path.starts_with(&data)).collect();
    assert_eq!(left, [file], "{what}");
}

fn get(torrent: &Path, output: &Path, data: &Path) -> Program {
    let mut command = Command::new(podsub());
    open_only(&mut command, &[])
        .args(["get", "--json", "--peer-port", "0", "--data-dir"])
        .arg(data)
        .arg("--output")
        .arg(output)
        .arg(torrent);
    Program::start("podsub get", command)
}

#[test]
fn what_the_lies_are_made_from_is_taken() {
    for (name, torrent) in [("a", single("i16384e", b"a", GOOD)), ("show", folder(&[b"x", b"y"]))] {
        let area = scratch();
        let file = area.path().join("good.torrent");
        std::fs::write(&file, torrent).unwrap();
        let [output, data] = ["output", "data"].map(|name| area.path().join(name));
        let (_, event) = get(&file, &output, &data).event("downloading", PATIENCE);
        assert_eq!(event["path"], output.join(name).to_string_lossy().into_owned());
    }
}

#[test]
fn names_that_leave_the_output_folder_are_refused() {
    let bad: [&[u8]; 8] = [b"..", b".", b"", b"/etc/passwd", b"a/../../x", b"..\\x", b"a\0b", b"\xc0\xae\xc0\xae"];
    for name in bad {
        let what = String::from_utf8_lossy(name);
        check_refused(&format!("the name {what:?}"), &single("i16384e", name, GOOD));
        check_refused(&format!("the path x, {what:?}"), &folder(&[b"x", name]));
        check_refused(&format!("the path {what:?}, x"), &folder(&[name, b"x"]));
    }
    check_refused("a path of nothing", &folder(&[]));
}

#[test]
fn lengths_that_lie_are_refused() {
    let no_pieces = "12:piece lengthi16384e6:pieces0:";
    for length in ["i0e", "i-1e", "i16385e", "i9223372036854775807e", "i9223372036854775808e", "i01e", "ie", "3:one"] {
        check_refused(&format!("length {length}"), &single(length, b"a", GOOD));
        check_refused(&format!("length {length} with no pieces"), &single(length, b"a", no_pieces));
    }
    for piece_length in ["i0e", "i-16384e", "i1e", "i2147483648e", "i9223372036854775807e", "4:long"] {
        let more = format!("12:piece length{piece_length}6:pieces20:aaaaaaaaaaaaaaaaaaaa");
        check_refused(&format!("piece length {piece_length}"), &single("i16384e", b"a", &more));
    }
    for pieces in
        ["19:aaaaaaaaaaaaaaaaaaa", "21:aaaaaaaaaaaaaaaaaaaaa", "40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "i20e"]
    {
        let more = format!("12:piece lengthi16384e6:pieces{pieces}");
        check_refused(&format!("pieces {pieces}"), &single("i16384e", b"a", &more));
    }
}

#[test]
fn metainfo_cut_off_anywhere_is_refused() {
    let whole = single("i16384e", b"a", GOOD);
    for length in 0..whole.len() {
        check_refused(&format!("the first {length} bytes"), &whole[..length]);
    }
}
