//! The media is read, not typed: length, title, cover and chapters of every format are those of the file.

use std::path::{Path, PathBuf};
use std::process::Command;

use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::Publisher;
use serde_json::Value;

/// Tags and three chapters, as ffmpeg reads them. Into Ogg it writes a chapter that begins on a half second one second
/// too late.
const TAGS: &str = ";FFMETADATA1\ntitle=By the River\nartist=Ada\nalbum=Night Walks\n\
    [CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=5000\ntitle=Opening\n\
    [CHAPTER]\nTIMEBASE=1/1000\nSTART=5000\nEND=9000\ntitle=The river; again\n\
    [CHAPTER]\nTIMEBASE=1/1000\nSTART=9000\nEND=13700\ntitle=Ending\n";

/// Runs `program` and gives what it printed.
#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// Makes 13.7 s of noise called `name`, with some flags for ffmpeg.
#[track_caller]
fn make(folder: &Path, name: &str, flags: &str) -> PathBuf {
    let (tags, path) = (folder.join("tags.txt"), folder.join(name));
    std::fs::write(&tags, TAGS).expect("the disk has room");
    let picture = if flags.contains("-c:v") { "-f lavfi -i testsrc=d=13.7:s=160x120:r=10" } else { "" };
    let before = format!("-v error -y {picture} -f lavfi -i anoisesrc=d=13.7:c=pink:a=0.2 -i");
    let inputs = if picture.is_empty() { 1 } else { 2 };
    let after = format!("-map_metadata {inputs} -map_chapters {inputs} {flags}");
    let mut args: Vec<&str> = before.split_whitespace().collect();
    args.push(text(&tags));
    args.extend(after.split_whitespace());
    args.push(text(&path));
    run("ffmpeg", &args);
    path
}

/// How long ffprobe says that a file plays, in milliseconds.
///
/// Of MPEG audio it is told to read it through, since it guesses where no header says it.
#[track_caller]
fn probe(path: &Path) -> f64 {
    let by_container =
        run("ffprobe", &["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", text(path)]);
    if path.extension().is_none_or(|it| it != "mp3") {
        return by_container.trim().parse::<f64>().expect("a number") * 1000.0;
    }
    let packets =
        run("ffprobe", &["-v", "error", "-show_entries", "packet=duration_time", "-of", "csv=p=0", text(path)]);
    packets.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok()).sum::<f64>() * 1000.0
}

#[test]
fn every_format_is_published_with_its_own_length_title_and_chapters() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    // FLAC, Ogg Vorbis, WAVE and the video of MP4 have no chapters where ffmpeg writes them.
    let formats = [
        ("constant.mp3", "-b:a 64k", 3),
        ("varying.mp3", "-q:a 5", 3),
        ("varying and unsaid.mp3", "-q:a 5 -write_xing 0", 3),
        ("apple.m4a", "-c:a aac -b:a 64k", 3),
        ("book.m4b", "-c:a aac -b:a 64k -f ipod", 3),
        ("vorbis.ogg", "-c:a libvorbis", 0),
        ("modern.opus", "-c:a libopus -b:a 48k", 3),
        ("lossless.flac", "", 0),
        ("plain.wav", "", 0),
        ("moving.mp4", "-c:v mpeg4 -c:a aac -shortest", 3),
        ("moving.webm", "-c:v libvpx -b:v 50k -c:a libvorbis -shortest", 3),
    ];
    for (name, flags, chapters) in formats {
        let path = make(folder.path(), name, flags);
        let mut command = publisher.command("publish");
        command.arg(&path);
        let ended = Program::start("podpub publish", command).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let episode = ended.lines.last().unwrap().json()["episode"].clone();
        let (ours, theirs) = (episode["duration_ms"].as_f64().unwrap_or_default(), probe(&path));
        assert!((ours - theirs).abs() <= 50.0, "{name}: we say {ours} ms, ffprobe {theirs} ms");
        // A container that holds no tags is called by its name.
        let title = episode["title"].as_str().unwrap();
        assert!(title == "By the River" || title == "moving" && name == "moving.webm", "{name}: {title}");
        let url = format!("{}/chapters.json", episode["page"].as_str().unwrap());
        let answer = http::get(&home, &url, &[]);
        if chapters == 0 {
            assert_eq!(answer.status, 404, "{name}");
            continue;
        }
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json+chapters"), "{name}");
        let found: Value = serde_json::from_slice(&answer.body).unwrap();
        let found = found["chapters"].as_array().unwrap();
        let found: Vec<_> =
            found.iter().map(|it| (it["startTime"].as_f64().unwrap(), it["title"].as_str().unwrap())).collect();
        assert_eq!(found, [(0.0, "Opening"), (5.0, "The river; again"), (9.0, "Ending")], "{name}");
    }
}

#[test]
fn what_lies_beside_an_episode_goes_with_it() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let path = make(folder.path(), "talk.wav", "");
    std::fs::write(path.with_extension("chapters.txt"), "0:00 Hello\n0:07 Goodbye\n").unwrap();
    let vtt = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Ada>Good evening\n";
    std::fs::write(path.with_extension("vtt"), vtt).unwrap();
    let release = publisher.publish(&path);
    let feed = http::get(&away, &release.feed, &[]).text();
    let named = |tag: &str| {
        let element = feed.split("<podcast:").find(|it| it.starts_with(tag)).unwrap_or_else(|| panic!("{tag}: {feed}"));
        element.split("url=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let chapters = http::get(&away, &named("chapters "), &[]);
    assert!(chapters.text().contains("Goodbye"), "{}", chapters.text());
    assert_eq!(chapters.header("access-control-allow-origin"), "*");
    let transcript = http::get(&away, &named("transcript "), &[]);
    assert_eq!((transcript.text().as_str(), transcript.header("content-type")), (vtt, "text/vtt; charset=utf-8"));
    let page = http::get(&away, &release.page, &[]).text();
    assert!(page.contains("Goodbye") && page.contains("Ada: Good evening"), "{page}");

    // Both can be changed and taken back later.
    let mut command = publisher.command("edit");
    command.args(["By the River", "--transcript", "", "--chapters", ""]);
    let ended = Program::start("podpub edit", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let feed = http::get(&away, &release.feed, &[]).text();
    assert!(!feed.contains("<podcast:transcript") && !feed.contains("<podcast:chapters"), "{feed}");
}
