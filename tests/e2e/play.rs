//! An episode is played while it is fetched, by a player that knows nothing of torrents.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use podswarm_tests::audio::{Audio, Format, long_episode, video};
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Link, Net};
use podswarm_tests::process::{Line, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, podsub_on};
use serde_json::Value;

/// A line of 10 Mbit/s.
const LINE: Link = Link { up_mbit: 10, down_mbit: 10 };

/// Somebody with an empty disk on such a line, and a publisher of an episode of more than 20 MB.
struct Home {
    _folder: tempfile::TempDir,
    _net: Net,
    _publisher: Publisher,
    listener: Host,
    data: PathBuf,
    episode: Audio,
    feed: String,
}

impl Home {
    fn new(format: Format) -> Self {
        Self::of(long_episode(format))
    }

    fn of(episode: Audio) -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let (home, listener) = (net.host("publisher"), net.host_behind("listener", LINE));
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
        let feed = publisher.publish(&episode.path).feed;
        let data = folder.path().join("podsub");
        Self { _folder: folder, _net: net, _publisher: publisher, listener, data, episode, feed }
    }

    /// `podsub` on the listener's machine.
    fn podsub(&self, arguments: &[&str]) -> Program {
        let mut command = podsub_on(&self.listener, &[]);
        command.args(["--json", "--data-dir"]).arg(&self.data).args(arguments);
        Program::start(&format!("podsub {}", arguments.join(" ")), command)
    }

    /// Runs an agent that follows the feed and fetches nothing by itself.
    fn agent(&self) -> Program {
        let added = self.podsub(&["add", "--backlog", "0", &self.feed]).end(PATIENCE);
        assert_eq!(added.code, Some(0), "{}", added.stderr);
        let mut agent = self.podsub(&["run", "--web", "0"]);
        agent.wait_for("the web listener", PATIENCE, |line| (line.json()["kind"] == "web").then_some(()));
        agent
    }

    /// The address that `podsub play --url` prints.
    fn url(&self, arguments: &[&str]) -> String {
        let ended = self.podsub(&[&["play", "--url"], arguments].concat()).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let event: Value =
            ended.lines.iter().map(Line::json).find(|e| e["event"] == "playing").expect("it says what is played");
        event["url"].as_str().expect("an address").to_owned()
    }

    /// Runs a program on the listener's machine and gives what it printed.
    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        run_on(&self.listener, program, arguments)
    }

    fn status_of(&self, arguments: &[&str]) -> String {
        let code = self.run("curl", &[&["-s", "-o", "/dev/null", "-w", "%{http_code}"], arguments].concat());
        String::from_utf8(code).expect("digits")
    }

    fn have(&self) -> u64 {
        let ended = self.podsub(&["status"]).end(PATIENCE);
        let status = ended.lines.first().expect("a status").json();
        status["downloads"][0]["transfer"]["have"].as_u64().unwrap_or(0)
    }
}

#[track_caller]
fn run_on(host: &Host, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = host.command(program).args(arguments).output().expect("it is installed");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the episode was made")
}

#[test]
fn sound_comes_within_seconds_and_a_jump_does_not_wait_for_what_lies_before() {
    let home = Home::new(Format::Mp3);
    let whole = bytes(&home.episode.path);
    let mut agent = home.agent();
    let began = Instant::now();
    let url = home.url(&["1/1"]);
    let first = home.run("curl", &["-s", "-r", "0-79999", &url]);
    let sound = began.elapsed();
    assert!(first == whole[..80_000], "the first two seconds are the episode's");
    // Thirty seconds of sound from near the end, as a player asks for them.
    let at = whole.len() * 9 / 10;
    let jumped = Instant::now();
    let range = format!("{at}-{}", at + 299_999);
    let later = home.run("curl", &["-s", "-r", &range, &url]);
    let jump = jumped.elapsed();
    assert!(later == whole[at..at + 300_000], "what lies behind the jump is the episode's");
    let have = home.have();
    assert!(have < whole.len() as u64 / 2, "{have} bytes are there: the whole was not waited for");
    podswarm_tests::figure(&format!(
        "on 10 Mbit/s the first two seconds were there {sound:.2?} after `podsub play`, 300 kB behind a jump after {jump:.2?}"
    ));
    assert!(sound < Duration::from_secs(8) && jump < Duration::from_secs(8), "{sound:?} {jump:?}");

    // A real player reads the beginning, jumps, and decodes without a complaint.
    let jump = (home.episode.seconds * 3 / 4).to_string();
    for from in ["0", &jump] {
        let decode = ["-v", "error", "-xerror", "-ss", from, "-i", &url, "-t", "10", "-f", "null", "-"];
        home.run("ffmpeg", &decode);
    }
    // Two readers at once, one of the whole.
    let listener = &home.listener;
    let (all, tail) = std::thread::scope(|scope| {
        let all = scope.spawn(|| run_on(listener, "curl", &["-s", &url]));
        let tail = scope.spawn(|| run_on(listener, "curl", &["-s", "-r", "-100000", &url]));
        (all.join().expect("it ends"), tail.join().expect("it ends"))
    });
    assert!(all == whole && tail == whole[whole.len() - 100_000..]);
    agent.event("complete", PATIENCE);
    assert!(home.run("curl", &["-s", &url]) == whole, "it is played from the library afterwards");
    podswarm_tests::figure(&format!("the agent took {} at most", agent.peak_memory()));
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
}

#[test]
fn only_who_knows_the_token_is_answered_and_only_on_the_machine_itself() {
    let home = Home::new(Format::M4a);
    let length = bytes(&home.episode.path).len();
    let agent = home.agent();
    let url = home.url(&["1/1"]);
    let head = String::from_utf8(home.run("curl", &["-s", "-I", &url])).expect("text").to_ascii_lowercase();
    for want in
        ["200 ok", &format!("content-length: {length}"), "content-type: audio/mp4", "accept-ranges: bytes", "etag: \""]
    {
        assert!(head.contains(want), "{want} in {head}");
    }
    let bare = url.split_once("?token=").expect("the token stands in the address").0;
    assert_eq!(home.status_of(&[bare]), "403");
    assert_eq!(home.status_of(&[&format!("{bare}?token={}", "0".repeat(64))]), "403");
    assert_eq!(home.status_of(&["-H", "Host: attacker.example", &url]), "403");
    assert_eq!(home.status_of(&["-r", "999999999-", &url]), "416");
    assert_eq!(home.status_of(&["-r", "0-9", "-H", "If-Range: \"other\"", "-I", &url]), "200");
    assert_eq!(home.status_of(&["-r", "0-9", &url.replace("/1/1/", "/1/7/")]), "404");
    let refused = home.podsub(&["run", "--web", "0.0.0.0:0"]).end(PATIENCE);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
}

#[test]
fn without_an_agent_the_command_fetches_serves_and_ends_with_its_player() {
    let home = Home::new(Format::Mp3);
    let folder = home.data.join("player");
    std::fs::create_dir_all(&folder).expect("the disk has room");
    let (player, heard) = (folder.join("player"), folder.join("heard"));
    std::fs::write(&player, "#!/bin/sh\nexec curl -s -r 0-99999 -o \"$1\" \"$2\"\n").expect("the disk has room");
    Command::new("chmod").arg("+x").arg(&player).status().expect("it can be run");
    let text = |path: &Path| path.to_str().expect("paths of tests are text").to_owned();
    let (player, output) = (text(&player), text(&heard));
    let added = home.podsub(&["add", "--backlog", "0", &home.feed]).end(PATIENCE);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let whole = bytes(&home.episode.path);
    let library = text(&folder.join("out"));
    let torrent = home.podsub(&["info", "1/1"]).end(PATIENCE);
    let sources = torrent.lines.first().expect("an episode").json()["sources"].to_string();
    let torrent = sources.split('"').find(|word| word.ends_with(".torrent")).expect("the feed names it").to_owned();
    for what in ["1/1", &torrent] {
        let _ = std::fs::remove_file(&heard);
        let ended =
            home.podsub(&["play", "--player", &player, "--output", &library, what, "--", &output]).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
        assert!(bytes(&heard) == whole[..100_000], "{what}");
    }
    let ended = home.podsub(&["play", "--player", "/nowhere/player", "1/1"]).end(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("/nowhere/player"), "{}", ended.stderr);
}

/// Has ffmpeg play from there on, for so many seconds and as fast as it is to be seen. Returns after how long it began,
/// and for how long it stood still then, both in seconds.
#[track_caller]
fn watch(home: &Home, url: &str, from: u32, seconds: u32) -> [f64; 2] {
    let mut command = home.listener.command("ffmpeg");
    command.args(["-v", "error", "-re", "-ss", &from.to_string(), "-i", url, "-t", &seconds.to_string()]);
    command.args(["-c", "copy", "-progress", "pipe:1", "-stats_period", "0.1", "-f", "null", "-"]);
    let asked = Instant::now();
    let ended = Program::start("ffmpeg", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let place = |line: &Line| Some(line.text.strip_prefix("out_time_us=")?.parse::<f64>().ok()? / 1e6);
    let places = ended.lines.iter().filter_map(|line| Some((line.at, place(line).filter(|at| *at > 0.0)?)));
    let played: Vec<(Instant, f64)> = places.collect();
    let (begun, first) = *played.first().expect("something was played");
    let (_, last) = *played.last().expect("something was played");
    assert!(last > f64::from(seconds) - 1.0, "{last} of {seconds} s");
    let late = |(at, place): &(Instant, f64)| at.duration_since(begun).as_secs_f64() - (place - first);
    [begun.duration_since(asked).as_secs_f64(), played.iter().map(late).fold(0.0, f64::max)]
}

#[test]
fn what_needs_most_of_the_line_plays_without_standing_still() {
    let home = Home::of(video());
    let _agent = home.agent();
    let url = home.url(&["1/1"]);
    let [begun, stood] = watch(&home, &url, 0, 12);
    let [jumped, stood_again] = watch(&home, &url, 20, 9);
    podswarm_tests::figure(&format!(
        "8 Mbit/s on a line of 10 began after {begun:.1} s, {jumped:.1} s behind a jump, and stood still for {stood:.1} s and \
         {stood_again:.1} s"
    ));
    assert!(stood < 1.0 && stood_again < 1.0, "{stood} {stood_again}");
}

/// A player that speaks as mpv does: it begins where it is told to, and nine seconds pass in an instant.
const MPV: &str = r"#!/usr/bin/python3
import json, socket, sys
told = dict(argument.split('=', 1) for argument in sys.argv if argument.startswith('--'))
begin = int(told.get('--start', 0))
server = socket.socket(socket.AF_UNIX)
server.bind(told['--input-ipc-server'])
server.listen()
link, _ = server.accept()
link.makefile().readline()
def say(**what):
    link.sendall((json.dumps(what) + '\n').encode())
say(event='property-change', id=1, name='duration', data=600.25)
for second in range(begin, begin + 10):
    say(event='property-change', id=2, name='time-pos', data=second + 0.5)
say(event='end-file', reason='quit')
link.close()
print('begins at', begin, file=sys.stderr)
";

#[test]
fn a_player_begins_where_listening_stopped() {
    let home = Home::new(Format::Mp3);
    let _agent = home.agent();
    let player = home.data.join("mpv");
    std::fs::write(&player, MPV).expect("the test's folder is ours");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&player, permissions).expect("the test's folder is ours");
    for begin in [0, 9] {
        let ended = home.podsub(&["play", "--player", player.to_str().expect("it is text"), "1/1"]).end(PATIENCE);
        assert!(ended.code == Some(0) && ended.stderr.contains(&format!("begins at {begin}")), "{}", ended.stderr);
        let info = home.podsub(&["info", "1/1"]).end(PATIENCE).lines[0].json();
        assert_eq!((&info["heard"]["position"], &info["heard"]["total"]), (&(begin + 9).into(), &600.into()), "{info}");
    }
}
