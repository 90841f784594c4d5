//! The real program: it is started, published through, asked, killed and started again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A `podpub serve` on free ports of loopback, killed when dropped.
struct Daemon {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    base: String,
}

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        // The program's own client may not be the first in the process to need a TLS provider; this one's is.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A `podpub` command on this world's data directory, off a terminal, deaf to the settings of whoever tests.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podpub"));
        command.args(args).arg("--data-dir").arg(self.path("data")).stdin(Stdio::null()).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODSWARM_")) {
            command.env_remove(name);
        }
        // The machine has neighbours.
        command.env("PODSWARM_NO_LSD", "1").env("PODSWARM_NO_DHT", "1").env("PODSWARM_NO_PORT_MAP", "1");
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed and gives the JSON objects it prints.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn serve(&self, args: &[&str]) -> Daemon {
        let mut command = self.command(&["serve", "--json", "--listen", "127.0.0.1:0", "--peer-port", "0"]);
        start(command.args(args))
    }

    fn wav(&self, name: &str, seed: u8) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, wav(seed)).unwrap();
        path
    }
}

fn start(command: &mut Command) -> Daemon {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&event["event"], &event["kind"]), (&"listening".into(), &"http".into()));
    let base = format!("http://{}", event["addr"].as_str().unwrap());
    Daemon { child, lines, base }
}

impl Daemon {
    /// The next object that it prints and that is called `event`.
    fn event(&mut self, event: &str) -> Value {
        loop {
            let line = self.lines.next().expect("it still prints").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["event"] == event {
                return value;
            }
        }
    }

    async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().to_vec())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A WAV file of two seconds; `seed` decides its samples.
fn wav(seed: u8) -> Vec<u8> {
    let mut file =
        b"RIFF\xa4\x3e\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x80\x3e\0\0".to_vec();
    file.extend((0..16_000_u32).map(|i| u8::try_from(i % 251).unwrap() ^ seed));
    file
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `publish` printed last.
#[track_caller]
fn published(objects: &[Value]) -> &Value {
    let last = objects.last().unwrap();
    assert_eq!(last["event"], "published");
    last
}

fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn an_episode_published_through_the_daemon_is_served_in_every_way() {
    let world = World::new();
    let daemon = world.serve(&[]);
    let path = world.wav("First Light.wav", 1);
    let objects = world.json(&["publish", arg(&path), "--notes", "See https://x.example/"]);
    let published = published(&objects);
    assert_eq!((&published["live"], &published["already"]), (&true.into(), &false.into()));
    let (episode, feed_url) = (&published["episode"], published["show"]["feed"].as_str().unwrap());
    assert_eq!(episode["title"], "First Light");
    assert!(feed_url.starts_with(&daemon.base), "{feed_url}");

    let (status, headers, feed) = daemon.get(feed_url, &[]).await;
    assert_eq!(status, 200);
    let feed = text(&feed);
    for part in [&episode["guid"], &episode["media"], &episode["torrent"]] {
        assert!(feed.contains(part.as_str().unwrap()), "{part} in {feed}");
    }
    let etag = headers["etag"].to_str().unwrap();
    assert_eq!(daemon.get(feed_url, &[("if-none-match", etag)]).await.0, 304);

    let (status, headers, part) = daemon.get(episode["media"].as_str().unwrap(), &[("range", "bytes=44-53")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (206, "bytes 44-53/16044"));
    assert_eq!(part, wav(1)[44..54]);

    let (_, headers, torrent) = daemon.get(episode["torrent"].as_str().unwrap(), &[]).await;
    assert_eq!(headers["content-type"], "application/x-bittorrent");
    let torrent = podswarm_core::metainfo::Metainfo::parse(&torrent).unwrap();
    let udp = daemon.base.replace("http://", "udp://");
    assert_eq!(torrent.trackers, [[format!("{}/announce", daemon.base), format!("{udp}/announce")]]);
    assert_eq!(torrent.info_hash.to_string(), episode["info_hash"].as_str().unwrap());

    let hash = torrent.info_hash.wire().iter().fold(String::new(), |hash, byte| format!("{hash}%{byte:02x}"));
    let query = format!("/announce?info_hash={hash}&peer_id=-XX0000-000000000000&port=7001&left=1&compact=1");
    let (_, _, answer) = daemon.get(&query, &[]).await;
    assert!(text(&answer).contains("8:completei1e"), "the seed counts: {}", text(&answer));
    assert!(answer.windows(4).any(|bytes| bytes == [127, 0, 0, 1]), "the seed is named: {}", text(&answer));

    let (status, _, page) = daemon.get(episode["page"].as_str().unwrap(), &[]).await;
    assert_eq!(status, 200);
    assert!(text(&page).contains("<audio controls"));
    assert_eq!(daemon.get("/healthz", &[]).await.0, 200);
}

#[tokio::test]
async fn figures_are_served_on_a_port_of_their_own() {
    let world = World::new();
    let mut daemon = world.serve(&["--metrics", "0"]);
    let addr = loop {
        let event = daemon.event("listening");
        if event["kind"] == "metrics" {
            break event["addr"].as_str().unwrap().to_owned();
        }
    };
    assert!(addr.starts_with("127.0.0.1:"), "{addr}");
    let objects = world.json(&["publish", arg(&world.wav("a.wav", 1))]);
    let media = published(&objects)["episode"]["media"].as_str().unwrap();
    daemon.get(media, &[("user-agent", "AntennaPod/3.2.0")]).await;
    world.json(&["stats"]);
    let (status, headers, text) = daemon.get(&format!("http://{addr}/metrics"), &[]).await;
    let text = String::from_utf8(text).unwrap();
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    podswarm_core::app::metrics::samples(&text).unwrap();
    for sample in ["podpub_downloads_total{kind=\"http\"} 1\n", "podpub_episodes 1\n", "podpub_healthy 1\n", "# EOF\n"]
    {
        assert!(status == 200 && text.contains(sample), "{sample} in {text}");
    }
    assert_eq!(daemon.get(&format!("http://{addr}/healthz"), &[]).await.0, 200);
    assert_eq!(daemon.get("/metrics", &[]).await.0, 404, "the public port tells nothing");
}

#[tokio::test]
async fn the_same_file_again_is_no_second_episode() {
    let world = World::new();
    let daemon = world.serve(&[]);
    let first = world.json(&["publish", arg(&world.wav("a.wav", 1))]);
    let again = world.json(&["publish", arg(&world.wav("b.wav", 1))]);
    assert_eq!(published(&again)["episode"]["guid"], published(&first)["episode"]["guid"]);
    assert_eq!(published(&again)["already"], true);
    let (_, _, feed) = daemon.get(published(&first)["show"]["feed"].as_str().unwrap(), &[]).await;
    assert_eq!(text(&feed).matches("<item>").count(), 1);
    assert_eq!(world.json(&["episodes"]).len(), 1);
}

#[tokio::test]
async fn what_was_reported_survives_a_kill() {
    let world = World::new();
    let mut daemon = world.serve(&[]);
    let objects = world.json(&["publish", arg(&world.wav("a.wav", 1))]);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let daemon = world.serve(&[]);
    let (status, _, page) = daemon.get("/shows/a", &[]).await;
    assert_eq!((status, text(&page).matches("<article>").count()), (200, 1));
    let media = published(&objects)["episode"]["media"].as_str().unwrap().rsplit_once("/media/").unwrap().1.to_owned();
    assert_eq!(daemon.get(&format!("/media/{media}"), &[]).await.2, wav(1));
    let status = world.json(&["status"]);
    assert_eq!(status[0]["episodes"][0]["error"], Value::Null);
    assert_eq!(status[0]["episodes"][0]["swarm"]["complete"], 1);
}

#[tokio::test]
async fn a_foreground_publish_serves_until_it_is_stopped() {
    let world = World::new();
    let path = world.wav("a.wav", 1);
    let mut command = world.command(&["publish", "--serve", "--json", "--listen", "127.0.0.1:0", "--peer-port", "0"]);
    let mut daemon = start(command.arg(&path));
    let episode = daemon.event("published");
    assert_eq!(daemon.get(episode["episode"]["media"].as_str().unwrap(), &[]).await.2, wav(1));
    // A second file goes through the first one's process.
    assert_eq!(published(&world.json(&["publish", arg(&world.wav("b.wav", 2))]))["live"], true);
    #[cfg(unix)]
    {
        let stopped = Command::new("kill").args(["-TERM", &daemon.child.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        assert!(daemon.child.wait().unwrap().success());
        assert!(!world.path("data/control.json").exists());
    }
}

#[test]
fn off_a_terminal_a_publish_only_records_and_says_so() {
    let world = World::new();
    let output = world.run(&["publish", arg(&world.wav("My show.wav", 1))]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("feed     http://"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("podpub serve"), "{}", text(&output.stderr));
    assert_eq!(world.json(&["shows"])[0]["title"], "My show");
}

#[test]
fn refusals_are_one_sentence_with_exit_code_1() {
    let world = World::new();
    let (empty, folder) = (world.path("empty.mp3"), world.path("folder"));
    std::fs::write(&empty, b"").unwrap();
    std::fs::create_dir(&folder).unwrap();
    for (path, part) in [
        (arg(&empty), "has no content"),
        (arg(&folder), "has no content"),
        ("nothing.mp3", "does not exist"),
        ("/dev/null", "neither a file nor a folder"),
    ] {
        let output = world.run(&["publish", path]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: {stderr}");
        assert!(stderr.starts_with("podpub: ") && stderr.contains(part), "{path}: {stderr}");
        assert!(output.stdout.is_empty());
    }
    let output = world.run(&["publish", "a", "--number", "x"]);
    assert_eq!(output.status.code(), Some(2));
}

/// The head of a PNG file of that many pixels, which is all that is looked at.
fn png(pixels: u32) -> Vec<u8> {
    let size = pixels.to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", &size[..], &size, b"\x08\x02\0\0\0\0\0\0\0\0\0\0\0IEND\xae\x42\x60\x82"]
        .concat()
}

#[test]
fn a_show_for_directories_is_published_as_they_take_it() {
    let world = World::new();
    let song = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hello-swarm.mp3");
    world.json(&["init", "--title", "Listed", "--show", "listed", "--listed"]);
    let publish = |args: &[&str]| world.run(&[&["publish", "--show", "listed"], args].concat());
    let refused = publish(&[arg(&song)]);
    let stderr = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    assert!(refused.stdout.is_empty() && world.json(&["episodes"]).is_empty(), "nothing is published");
    for part in ["the show has no category (Apple)", "podpub edit --show listed --category", "--anyway"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let told = publish(&[arg(&song), "--json"]).stdout;
    let told: Vec<Value> = text(&told).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        !told.is_empty() && told.iter().all(|it| it["event"] == "finding" && it["severity"] == "error"),
        "{told:?}"
    );

    // What it says mends it.
    let cover = world.path("cover.png");
    std::fs::write(&cover, png(1400)).unwrap();
    let image = ["edit", "--image", arg(&cover), "--category", "Arts", "--description", "Of swarms"];
    assert!(world.run(&image).status.success());
    let done = publish(&[arg(&song)]);
    assert!(done.status.success(), "{}", text(&done.stderr));

    let wav = world.wav("a.wav", 1);
    let refused = publish(&[arg(&wav)]);
    assert!(
        refused.status.code() == Some(1) && text(&refused.stderr).contains("audio/wav"),
        "{}",
        text(&refused.stderr)
    );
    let page = world.json(&["episodes"])[0]["guid"].as_str().unwrap().to_owned();
    assert_eq!(world.run(&["replace", &page, arg(&wav)]).status.code(), Some(1));
    let anyway = publish(&[arg(&wav), "--anyway"]);
    assert!(anyway.status.success() && text(&anyway.stderr).contains("warning: directories would refuse it"));
    world.json(&["edit", "--listed=false"]);
    assert!(publish(&[arg(&world.wav("b.wav", 2))]).status.success());
}

#[test]
fn a_torrent_is_made_shown_and_verified() {
    let world = World::new();
    world.wav("a.wav", 1);
    let made = world.json(&["torrent", "create", "a.wav", "--tracker", "http://t.example/announce"]);
    let shown = world.json(&["torrent", "show", "a.wav.torrent"]);
    assert_eq!(made.last().unwrap()["info_hash"], shown[0]["info_hash"]);
    assert_eq!(shown[0]["trackers"][0][0], "http://t.example/announce");
    assert_eq!(world.json(&["torrent", "verify", "a.wav.torrent"]).last().unwrap()["complete"], true);
    assert_eq!(world.run(&["torrent", "create", "a.wav"]).status.code(), Some(1), "nothing is written over");
    world.wav("a.wav", 2);
    let output = world.run(&["torrent", "verify", "a.wav.torrent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("0 of 1 pieces are right"), "{}", text(&output.stdout));
}
