//! A folder is watched: what lands in it is published once, when it is whole, and what cannot be is told beside it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use podswarm_tests::audio::{Audio, Format, long_episode, short_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::Publisher;
use serde_json::Value;

struct House {
    host: Host,
    data: PathBuf,
    folder: PathBuf,
    _net: Net,
    _scratch: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let (scratch, mut net) = (scratch(), Net::new());
        let [data, folder] = ["podpub", "to publish"].map(|name| scratch.path().join(name));
        fs::create_dir(&folder).expect("the scratch folder is ours");
        Self { host: net.host("publisher"), data, folder, _net: net, _scratch: scratch }
    }

    fn serve(&self) -> Publisher {
        let folder = self.folder.to_str().expect("it is text");
        Publisher::serve_with(&self.host, &self.data, None, &["--watch", folder])
    }

    /// Waits until the folder has files by these names and no others, sorted.
    #[track_caller]
    fn await_files(&self, publisher: &Publisher, want: &[&str]) {
        let begun = Instant::now();
        loop {
            let found = self.files();
            if found == want {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:?}, want {want:?}; {}", publisher.program.stderr());
            // Which gives it time, too.
            publisher.full_status();
        }
    }

    fn files(&self) -> Vec<String> {
        let below = podswarm_tests::files::files_below(&self.folder);
        let name = |path: &PathBuf| path.strip_prefix(&self.folder).expect("it is below").display().to_string();
        let mut names: Vec<_> = below.iter().map(name).collect();
        names.sort();
        names
    }

    fn copy(&self, audio: &Audio, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::copy(&audio.path, &path).expect("the folder is ours");
        path
    }
}

/// Runs a command on the publisher and gives what it printed.
#[track_caller]
fn ask(publisher: &Publisher, name: &str, args: &[&str]) -> Vec<Value> {
    let mut command = publisher.command(name);
    command.args(args);
    let ended = Program::start(name, command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.lines.iter().map(podswarm_tests::process::Line::json).collect()
}

fn titles(publisher: &Publisher, show: &str) -> Vec<String> {
    let episodes = ask(publisher, "episodes", &[show]);
    let mut titles: Vec<_> =
        episodes.iter().map(|episode| episode["title"].as_str().expect("it has a title").to_owned()).collect();
    titles.sort();
    titles
}

/// Has a file be one that nobody has touched for long.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).expect("it is ours");
}

#[test]
fn what_lands_in_the_folder_is_published_once_and_moved() {
    let house = House::new();
    let publisher = house.serve();
    ask(&publisher, "init", &["--title", "Main"]);
    let [one, two] = ["First Words", "Second Words"].map(short_episode);
    house.copy(&one, "one.mp3");
    house.copy(&two, "two.mp3");
    house.await_files(&publisher, &["published/one.mp3", "published/two.mp3"]);
    assert_eq!(titles(&publisher, "main"), ["First Words", "Second Words"], "titles are those of the tags");
    assert_eq!(publisher.full_status()["watched"]["published"], 2);

    // The same content again is no second episode, and another name is kept beside the first.
    house.copy(&one, "one.mp3");
    house.await_files(&publisher, &["published/one (2).mp3", "published/one.mp3", "published/two.mp3"]);
    assert_eq!(titles(&publisher, "main").len(), 2);
}

#[test]
fn sub_folders_are_shows_and_what_goes_with_an_episode_goes_along() {
    let house = House::new();
    let publisher = house.serve();
    for title in ["Main", "Other Show"] {
        ask(&publisher, "init", &["--title", title]);
    }
    for folder in ["other-show", "no-such-show"] {
        fs::create_dir(house.folder.join(folder)).expect("the folder is ours");
    }
    fs::write(house.folder.join("other-show/talk.vtt"), "WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n")
        .expect("written");
    fs::write(house.folder.join("other-show/talk.chapters.txt"), "00:00:00 Alpha\n").expect("written");
    house.copy(&short_episode("A Talk"), "other-show/talk.mp3");
    house.copy(&short_episode("Nowhere"), "no-such-show/lost.mp3");
    house.await_files(
        &publisher,
        &[
            "no-such-show/lost.mp3",
            "no-such-show/lost.mp3.failed.txt",
            "other-show/published/talk.chapters.txt",
            "other-show/published/talk.mp3",
            "other-show/published/talk.vtt",
        ],
    );
    assert_eq!(titles(&publisher, "other-show"), ["A Talk"]);
    let note = fs::read_to_string(house.folder.join("no-such-show/lost.mp3.failed.txt")).expect("it is text");
    assert!(note.contains("no show `no-such-show`") && note.contains("hint: "), "{note}");
    let feed = ask(&publisher, "shows", &[]);
    assert_eq!(feed.len(), 2, "no show is made of a folder's name");
}

#[test]
fn what_is_written_slowly_is_published_whole() {
    let house = House::new();
    let publisher = house.serve();
    ask(&publisher, "init", &["--title", "Main"]);
    let whole = fs::read(long_episode(Format::Mp3).path).expect("it is there");
    let (first, rest) = whole.split_at(whole.len() / 2);
    let mut file = fs::File::create(house.folder.join("slow.mp3")).expect("the folder is ours");
    file.write_all(first).expect("written");
    file.sync_all().expect("written");
    // A file that comes later and is whole goes first, so the slow one was looked at meanwhile and left alone.
    house.copy(&short_episode("Quick"), "quick.mp3");
    house.await_files(&publisher, &["published/quick.mp3", "slow.mp3"]);
    assert_eq!(publisher.full_status()["watched"]["waiting"][0], "slow.mp3");
    file.write_all(rest).expect("written");
    drop(file);
    house.await_files(&publisher, &["published/quick.mp3", "published/slow.mp3"]);
    let episodes = ask(&publisher, "episodes", &[]);
    let lengths: Vec<_> = episodes.iter().filter_map(|episode| episode["length"].as_u64()).collect();
    assert!(lengths.contains(&(whole.len() as u64)), "{lengths:?}");
}

#[test]
fn what_is_no_episode_is_told_and_tried_again_when_it_is_another() {
    let house = House::new();
    let publisher = house.serve();
    ask(&publisher, "init", &["--title", "Main"]);
    fs::write(house.folder.join("broken.mp3"), "this is no mp3").expect("written");
    house.await_files(&publisher, &["broken.mp3", "broken.mp3.failed.txt"]);
    let status = publisher.full_status();
    assert_eq!(status["watched"]["failed"][0]["file"], "broken.mp3", "{status}");
    drop(publisher);

    let publisher = house.serve();
    house.copy(&short_episode("Fine"), "fine.mp3");
    house.await_files(&publisher, &["broken.mp3", "broken.mp3.failed.txt", "published/fine.mp3"]);
    let status = publisher.full_status();
    let error = status["watched"]["failed"][0]["error"].as_str().expect("it is told after a restart, too");
    assert!(error.contains("neither audio nor video"), "{error}");
    house.copy(&short_episode("Mended"), "broken.mp3");
    house.await_files(&publisher, &["published/broken.mp3", "published/fine.mp3"]);
    assert_eq!(titles(&publisher, "main"), ["Fine", "Mended"]);
}

#[test]
fn what_directories_would_refuse_waits_until_the_show_is_mended() {
    let house = House::new();
    let publisher = house.serve();
    ask(&publisher, "init", &["--title", "Main", "--listed"]);
    age(&house.copy(&short_episode("Early"), "early.mp3"));
    house.await_files(&publisher, &["early.mp3", "early.mp3.failed.txt"]);
    let note = fs::read_to_string(house.folder.join("early.mp3.failed.txt")).expect("it is text");
    assert!(note.contains("no category (Apple)") && note.contains("podpub edit --show main --category"), "{note}");
    let status = publisher.full_status();
    let error = status["watched"]["failed"][0]["error"].as_str().expect("it is told");
    assert!(error.contains("no category"), "{error}");
    // Also by who comes later.
    drop(publisher);
    let publisher = house.serve();
    publisher.await_status(|status| status["watched"]["failed"][0]["file"] == "early.mp3");
    ask(&publisher, "edit", &["--listed=false"]);
    house.await_files(&publisher, &["published/early.mp3"]);
    assert_eq!(titles(&publisher, "main"), ["Early"]);
}

#[test]
fn what_came_while_nobody_watched_is_published_once() {
    let house = House::new();
    let publisher = house.serve();
    ask(&publisher, "init", &["--title", "Main"]);
    let audio = short_episode("Between");
    publisher.publish(&audio.path);
    drop(publisher);
    // As after a crash between the publishing and the moving: the library has it already.
    age(&house.copy(&audio, "between.mp3"));
    age(&house.copy(&short_episode("Later"), "later.mp3"));
    let publisher = house.serve();
    house.await_files(&publisher, &["published/between.mp3", "published/later.mp3"]);
    assert_eq!(titles(&publisher, "main"), ["Between", "Later"]);
}

#[test]
fn a_folder_that_cannot_be_watched_is_refused() {
    let house = House::new();
    let file = house.copy(&short_episode("A File"), "file.mp3");
    let gone = house.folder.join("gone");
    for (folder, says) in [(&gone, "gone"), (&file, "no folder"), (&house.data, "data directory")] {
        let mut command = podswarm_tests::programs::podpub_on(&house.host, &[]);
        command.arg("--data-dir").arg(&house.data).args(["serve", "--listen", "0", "--watch"]).arg(folder);
        let ended = Program::start("podpub serve", command).end(PATIENCE);
        assert!(ended.code != Some(0) && ended.stderr.contains(says), "{}", ended.stderr);
        assert!(ended.stderr.contains("--watch DIR"), "{}", ended.stderr);
    }
}
