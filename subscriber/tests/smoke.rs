//! The real `podsub` against a small feed host: what a listener does first, and what must never happen.
//!
//! The host lives in the test, on a port of its own; every wait is for something that the program says.

#[path = "smoke/extras.rs"]
mod extras;
#[path = "smoke/hooks.rs"]
mod hooks;
#[path = "smoke/liars.rs"]
mod liars;
#[cfg(target_os = "linux")]
#[path = "smoke/metered.rs"]
mod metered;
#[path = "smoke/metrics.rs"]
mod metrics;
#[path = "smoke/moving.rs"]
mod moving;
#[path = "smoke/opml.rs"]
mod opml;
#[path = "smoke/pages.rs"]
mod pages;
#[path = "smoke/phone.rs"]
mod phone;
#[path = "smoke/play.rs"]
mod play;
#[path = "smoke/races.rs"]
mod races;
#[path = "smoke/rests.rs"]
mod rests;
#[path = "smoke/rules.rs"]
mod rules;
#[path = "smoke/sync.rs"]
mod sync;
#[path = "smoke/tags.rs"]
mod tags;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use podswarm_core::metainfo::{Magnet, Metainfo, MetainfoBuilder, TorrentPath};
use serde_json::Value;
use sha1::{Digest, Sha1};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::broadcast;

/// Longer than anything takes on a machine that works.
const PATIENCE: Duration = Duration::from_mins(1);

/// A show's host, with one feed at `/feed.xml`, media at `/media/NAME`, and events at `/events`.
struct Host {
    addr: SocketAddr,
    state: Arc<HostState>,
}

struct HostState {
    addr: SocketAddr,
    inner: Mutex<Inner>,
    events: broadcast::Sender<String>,
    stop_after: Option<usize>,
}

#[derive(Default)]
struct Inner {
    /// What the channel says beside its title.
    head: String,
    items: String,
    media: BTreeMap<String, Vec<u8>>,
    /// Each answer: path, first byte asked for, status.
    answers: Vec<(String, u64, u16)>,
    /// Bytes of media that were answered with.
    sent: usize,
}

impl HostState {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    async fn start() -> Self {
        Self::that_stops_after(None).await
    }

    /// A host that falls silent after so many bytes of a file that is asked for from its beginning.
    async fn that_stops_after(stop_after: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let state = Arc::new(HostState { addr, inner: Mutex::default(), events: broadcast::channel(16).0, stop_after });
        let app = Router::new()
            .route("/feed.xml", get(feed))
            .route("/events", get(events))
            .route("/media/{name}", get(media))
            .with_state(Arc::clone(&state));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { addr, state }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) {
        self.state.inner().media.insert(name.to_owned(), bytes);
    }

    /// Releases an episode whose file is at `path`.
    fn release(&self, guid: &str, title: &str, path: &str) {
        let url = self.url(path);
        let item = format!(
            "<item><guid>{guid}</guid><title>{title}</title><pubDate>Fri, 20 Nov 2026 06:00:00 GMT</pubDate>\
             <enclosure url=\"{url}\" length=\"0\" type=\"audio/mpeg\"/></item>"
        );
        self.state.inner().items.insert_str(0, &item);
    }

    fn clear(&self) {
        self.state.inner().items.clear();
    }

    /// Bytes of media that were answered with.
    fn sent(&self) -> usize {
        self.state.inner().sent
    }

    fn answers(&self, path: &str) -> Vec<(u64, u16)> {
        let inner = self.state.inner();
        inner.answers.iter().filter(|answer| answer.0 == path).map(|answer| (answer.1, answer.2)).collect()
    }
}

async fn feed(State(state): State<Arc<HostState>>, headers: HeaderMap) -> Response {
    let mut inner = state.inner();
    let xml = format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel>\
         <title>Night Walks</title><link>http://{0}/</link><description>Walks</description>\
         <atom:link rel=\"monitor\" type=\"text/event-stream\" href=\"http://{0}/events\"/>{1}{2}</channel></rss>",
        state.addr, inner.head, inner.items
    );
    let etag = format!("\"{:?}\"", Sha1::digest(&xml));
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    inner.answers.push(("/feed.xml".to_owned(), 0, status.as_u16()));
    let body = if is_known { String::new() } else { xml };
    (status, [(header::ETAG, etag), (header::CONTENT_TYPE, "application/rss+xml".to_owned())], body).into_response()
}

async fn events(State(state): State<Arc<HostState>>) -> Response {
    let receiver = state.events.subscribe();
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from(": hello\n\n")) });
    let rest = stream::unfold(receiver, async |mut receiver| {
        let event = receiver.recv().await.ok()?;
        Some((Ok(Bytes::from(format!("id: 1\nevent: episode\ndata: {event}\n\n"))), receiver))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(first.chain(rest))).into_response()
}

async fn media(State(state): State<Arc<HostState>>, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    let mut inner = state.inner();
    let path = format!("/media/{name}");
    let Some(bytes) = inner.media.get(&name).cloned() else {
        inner.answers.push((path, 0, 404));
        return StatusCode::NOT_FOUND.into_response();
    };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let from: usize = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
    let last = range.and_then(|range| range.split('-').nth(1)?.parse::<usize>().ok());
    let end = last.map_or(bytes.len(), |last| (last + 1).min(bytes.len()));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    inner.answers.push((path, from as u64, status.as_u16()));
    let total = bytes.len();
    let mut answer = Response::builder()
        .status(status)
        .header(header::ETAG, "\"1\"")
        .header(header::CONTENT_TYPE, "audio/mpeg")
        .header(header::CONTENT_LENGTH, end - from);
    if range.is_some() {
        answer = answer.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{total}", end - 1));
    }
    let stop = state.stop_after.filter(|_| from == 0);
    inner.sent += stop.unwrap_or(end) - from;
    let body = match stop {
        None => Body::from(bytes[from..end].to_vec()),
        Some(end) => {
            let begun = stream::once(async move { Ok::<_, Infallible>(Bytes::from(bytes[..end].to_vec())) });
            Body::from_stream(begun.chain(stream::pending()))
        }
    };
    answer.body(body).expect("the headers are well formed")
}

/// A command of `podsub` on the data directory `dir`.
fn podsub(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podsub"));
    command.arg("--data-dir").arg(dir.join("data")).args(args).current_dir(dir).kill_on_drop(true);
    // The machine has neighbours.
    command.env_remove("RUST_LOG").env("TERM", "dumb").env("PODSWARM_NO_LSD", "1").env("PODSWARM_NO_PORT_MAP", "1");
    // And what the line is called is its own affair.
    command.env("PODSWARM_NO_DHT", "1").env("PODSWARM_ON_METERED", "everything");
    command
}

async fn output(dir: &Path, args: &[&str]) -> Output {
    let running = podsub(dir, args).output();
    let output = tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("{args:?} does not end"));
    output.expect("podsub starts")
}

/// Runs a command that must do its work; gives what it printed.
#[track_caller]
fn done(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// An agent that runs in the background.
struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let args: Vec<_> = ["--json", "run", "--peer-port", "0", "--bind", "127.0.0.1"].iter().chain(args).collect();
        let args: Vec<_> = args.into_iter().copied().collect();
        Self::spawn(dir, &args)
    }

    /// Any command that prints events as JSON.
    fn spawn(dir: &Path, args: &[&str]) -> Self {
        Self::of(podsub(dir, args))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("podsub starts");
        let stdout = child.stdout.take().expect("it is piped");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// Waits for the next event of this name.
    async fn wait_for(&mut self, event: &str) -> Value {
        self.wait_for_each(&[event]).await.remove(event).expect("it was waited for")
    }

    /// Waits until each of these events has come, in whatever order.
    async fn wait_for_each(&mut self, events: &[&str]) -> BTreeMap<String, Value> {
        let mut come = BTreeMap::new();
        let search = async {
            while come.len() < events.len() {
                let line = self.lines.next_line().await.expect("it prints text").expect("the agent goes on");
                let value: Value = serde_json::from_str(&line).expect("every line is JSON");
                if let Some(event) = events.iter().find(|event| value["event"] == **event) {
                    come.insert((*event).to_owned(), value);
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("no {events:?}"));
        come
    }

    async fn stop(mut self) -> i32 {
        let pid = self.child.id().expect("it runs").try_into().expect("a process number fits");
        let pid = rustix::process::Pid::from_raw(pid).expect("it is not 0");
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it can be told");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        ended.expect("it was started here").code().unwrap_or(-1)
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("there is a place for temporary files")
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i * 7 % 251).expect("it is below 251") ^ seed).collect()
}

#[tokio::test]
async fn a_listener_follows_a_feed_and_has_its_newest_episode() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(70_000, 1));
    host.put("two.mp3", bytes(90_000, 2));
    host.release("g1", "One", "/media/one.mp3");
    host.release("g2", "Part 2: The Sea", "/media/two.mp3");

    let added = output(dir.path(), &["add", &host.url("/feed.xml")]).await;
    let said = done(&added);
    assert!(said.contains("Night Walks, 2 episodes") && said.contains("Part 2: The Sea"), "{said}");
    assert!(String::from_utf8_lossy(&added.stderr).contains("until `podsub run`"));

    done(&output(dir.path(), &["run", "--once", "--peer-port", "0"]).await);
    let path = dir.path().join("data/library/Night Walks/2026-11-20 Part 2 - The Sea.mp3");
    assert_eq!(std::fs::read(&path).expect("it is there"), bytes(90_000, 2));
    assert!(host.answers("/media/one.mp3").is_empty(), "only the newest is taken");

    // Nothing has changed: a poll costs a 304.
    let again = done(&output(dir.path(), &["--json", "run", "--once", "--peer-port", "0"]).await);
    let polled = json_lines(&again).into_iter().find(|event| event["event"] == "polled").expect("it polls");
    assert_eq!(polled["status"], 304);

    // The same guid with another URL is the same episode.
    host.clear();
    host.release("g2", "Part 2: The Sea", "/media/two.mp3?token=new");
    let moved = done(&output(dir.path(), &["--json", "run", "--once", "--peer-port", "0"]).await);
    let polled = json_lines(&moved).into_iter().find(|event| event["event"] == "polled").expect("it polls");
    assert_eq!((&polled["status"], &polled["wanted"]), (&200.into(), &0.into()));
    assert_eq!(host.answers("/media/two.mp3"), [(0, 200)]);

    let listed = done(&output(dir.path(), &["--json", "episodes"]).await);
    let stages: Vec<_> = json_lines(&listed).iter().map(|episode| episode["stage"].clone()).collect();
    assert_eq!(stages, ["seen", "complete"]);
}

#[tokio::test]
async fn a_running_agent_is_told_of_news_and_every_command_goes_through_it() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(50_000, 1));
    host.put("two.mp3", bytes(60_000, 2));
    host.release("g1", "One", "/media/one.mp3");
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    agent.wait_for_each(&["complete", "stream_open"]).await;

    host.release("g2", "Two", "/media/two.mp3");
    host.state.events.send("{\"guid\":\"g2\"}".to_owned()).expect("the agent listens");
    let downloading = agent.wait_for("downloading").await;
    assert_eq!((&downloading["guid"], &downloading["title"]), (&"g2".into(), &"Two".into()));
    let complete = agent.wait_for("complete").await;
    let path = complete["path"].as_str().expect("it is text");
    assert_eq!(std::fs::read(path).expect("it is there"), bytes(60_000, 2));

    for args in [&["feeds"][..], &["episodes"], &["status"], &["info", "1"], &["update"], &["pause", "all"]] {
        done(&output(dir.path(), args).await);
    }
    let status = json_lines(&done(&output(dir.path(), &["--json", "status"]).await)).remove(0);
    assert!(status["pid"].is_u64() && status["feeds"][0]["is_paused"] == true, "{status}");
    done(&output(dir.path(), &["resume", "1"]).await);
    let removed = done(&output(dir.path(), &["remove", "night walks", "--delete-files"]).await);
    assert!(removed.contains("2 files deleted"), "{removed}");
    assert!(!Path::new(path).exists());
    assert_eq!(agent.stop().await, 0);
    // What the agent did is there without it.
    let feeds = done(&output(dir.path(), &["feeds"]).await);
    assert!(feeds.contains("no feeds are followed"), "{feeds}");
}

/// What the control port answers to a `GET` with these header lines.
async fn ping(dir: &Path, headers: &str) -> String {
    let control = std::fs::read_to_string(dir.join("data/control.json")).expect("an agent runs");
    let control: Value = serde_json::from_str(&control).expect("it is JSON");
    let addr = control["addr"].as_str().expect("it is text");
    let headers = headers.replace("TOKEN", control["token"].as_str().expect("it is text")).replace("ADDR", addr);
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let request = format!("GET /api/v1/ping HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn the_control_port_answers_its_owner_and_nobody_else() {
    let dir = folder();
    let mut agent = Agent::start(dir.path(), &[]);
    agent.wait_for("listening").await;
    // The agent answers a command, so that its port is served.
    done(&output(dir.path(), &["feeds"]).await);
    for (headers, status) in [
        ("Host: ADDR\r\nAuthorization: Bearer TOKEN\r\n", "200"),
        ("Host: ADDR\r\nAuthorization: Bearer wrong\r\n", "401"),
        ("Host: ADDR\r\n", "401"),
        ("Host: evil.example\r\nAuthorization: Bearer TOKEN\r\n", "403"),
        ("Host: ADDR\r\nOrigin: http://evil.example\r\nAuthorization: Bearer TOKEN\r\n", "403"),
    ] {
        let answer = ping(dir.path(), headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
    assert_eq!(agent.stop().await, 0);
    assert!(!dir.path().join("data/control.json").exists());
}

#[tokio::test]
async fn an_agent_that_is_killed_goes_on_where_it_was() {
    let (host, dir) = (Host::that_stops_after(Some(300_000)).await, folder());
    host.put("one.mp3", bytes(400_000, 1));
    host.release("g1", "One", "/media/one.mp3");
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    loop {
        let progress = agent.wait_for("progress").await;
        if progress["done"].as_u64() == Some(300_000) {
            break;
        }
    }
    agent.child.kill().await.expect("it runs");

    let mut agent = Agent::start(dir.path(), &[]);
    let complete = agent.wait_for("complete").await;
    let path = complete["path"].as_str().expect("it is text");
    assert_eq!(std::fs::read(path).expect("it is there"), bytes(400_000, 1));
    let answers = host.answers("/media/one.mp3");
    assert_eq!(answers[0], (0, 200));
    assert_eq!(answers[1].1, 206, "the second attempt asks for the rest only: {answers:?}");
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn what_is_no_feed_is_refused_and_not_followed() {
    let (host, dir) = (Host::start().await, folder());
    host.put("page", b"<!doctype html><html><body>Night Walks</body></html>".to_vec());
    for (url, says) in [
        (host.url("/media/page"), "web page"),
        (host.url("/media/missing"), "404"),
        ("http://127.0.0.1:1/feed.xml".to_owned(), "`podsub add --anyway` follows it all the same"),
    ] {
        let refused = output(dir.path(), &["add", &url]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
    let no_page = output(dir.path(), &["add", "--anyway", &host.url("/media/page")]).await;
    let stderr = String::from_utf8_lossy(&no_page.stderr);
    assert!(no_page.status.code() == Some(1) && !stderr.contains("--anyway"), "it never was one: {stderr}");
    for wrong in ["file:///etc/passwd", "notaurl"] {
        let refused = output(dir.path(), &["add", wrong]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("is no address of a feed") && stderr.contains("https://podcast.example"), "{stderr}");
    }
    assert!(done(&output(dir.path(), &["feeds"]).await).contains("no feeds are followed"));
    let followed = output(dir.path(), &["add", "--anyway", "http://127.0.0.1:1/feed.xml"]).await;
    assert!(done(&followed).starts_with("following: 1 "));
    assert!(String::from_utf8_lossy(&followed.stderr).contains("cannot be read yet"));
}

/// The `.torrent` of a file `one.mp3` of this content.
fn torrent(content: &[u8]) -> Vec<u8> {
    let pieces = content.chunks(16_384).map(|piece| <[u8; 20]>::from(Sha1::digest(piece))).collect();
    let name = TorrentPath::new(["one.mp3"]).expect("the name is safe");
    MetainfoBuilder::file(name, content.len() as u64, 16_384, pieces).build().expect("it is well formed").encode()
}

fn replaced(torrent: &[u8], what: &str, by: &str) -> Vec<u8> {
    let at = torrent.windows(what.len()).position(|window| window == what.as_bytes()).expect("it is in there");
    [&torrent[..at], by.as_bytes(), &torrent[at + what.len()..]].concat()
}

#[tokio::test]
async fn hostile_torrents_are_refused_in_one_sentence_and_leave_nothing() {
    let dir = folder();
    let good = torrent(&bytes(50_000, 1));
    let mut hostile = vec![
        ("leads out", replaced(&good, "7:one.mp3", "7:../../x")),
        ("absolute", replaced(&good, "7:one.mp3", "6:/etc/x")),
        ("backslash", replaced(&good, "7:one.mp3", "6:..\\..x")),
        ("longer", replaced(&good, "i50000e", "i5000000e")),
        ("negative", replaced(&good, "i50000e", "i-1e")),
        ("overflow", replaced(&good, "i50000e", "i9223372036854775807e")),
        ("no pieces", replaced(&good, "12:piece lengthi16384e", "12:piece lengthi0e")),
        ("a page", b"<html>404</html>".to_vec()),
    ];
    hostile.extend((0..good.len()).step_by(41).map(|end| ("cut off", good[..end].to_vec())));
    for (what, bytes) in hostile {
        std::fs::write(dir.path().join("x.torrent"), bytes).expect("it can be written");
        let refused = output(dir.path(), &["get", "x.torrent", "--output", "out"]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), stderr.lines().count()), (Some(1), 1), "{what}: {stderr}");
        assert!(stderr.contains("`x.torrent` is refused"), "{what}: {stderr}");
        let left = std::fs::read_dir(dir.path().join("out")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{what} leaves something");
    }
}

#[tokio::test]
async fn what_is_there_already_is_checked_and_not_fetched() {
    let (host, dir) = (Host::start().await, folder());
    let content = bytes(50_000, 1);
    std::fs::write(dir.path().join("one.mp3"), &content).expect("it can be written");
    std::fs::write(dir.path().join("x.torrent"), torrent(&content)).expect("it can be written");
    let got = done(&output(dir.path(), &["get", "x.torrent", "--peer-port", "0", "--bind", "127.0.0.1"]).await);
    assert!(got.trim_end().ends_with("one.mp3"), "{got}");

    host.put("two.mp3", bytes(60_000, 2));
    for _ in 0..2 {
        done(&output(dir.path(), &["get", &host.url("/media/two.mp3"), "--output", "out"]).await);
    }
    assert_eq!(std::fs::read(dir.path().join("out/two.mp3")).expect("it is there"), bytes(60_000, 2));
    let names: Vec<_> = std::fs::read_dir(dir.path().join("out")).expect("it is there").collect();
    assert_eq!(names.len(), 1, "{names:?}");

    // Something else of that name is the owner's, and stays.
    std::fs::write(dir.path().join("one.mp3"), "mine").expect("it can be written");
    let refused = output(dir.path(), &["get", "x.torrent", "--peer-port", "0", "--bind", "127.0.0.1"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read(dir.path().join("one.mp3")).expect("it is there"), b"mine");
}

#[tokio::test]
async fn every_torrent_in_a_folder_is_had() {
    let (dir, content) = (folder(), bytes(50_000, 1));
    let torrents = dir.path().join("torrents");
    std::fs::create_dir_all(torrents.join("empty")).expect("the folder is ours");
    let first = torrent(&content);
    let files = [("b.torrent", replaced(&first, "7:one.mp3", "7:two.mp3")), ("a.TORRENT", first), ("c.txt", vec![1])];
    for (name, bytes) in files {
        std::fs::write(torrents.join(name), bytes).expect("the folder is ours");
    }
    for name in ["one.mp3", "two.mp3"] {
        std::fs::write(dir.path().join(name), &content).expect("the folder is ours");
    }
    let got = done(&output(dir.path(), &["get", "torrents", "--peer-port", "0", "--bind", "127.0.0.1"]).await);
    assert!(got.contains("one.mp3") && got.contains("two.mp3"), "{got}");
    let refused = output(dir.path(), &["get", "torrents/empty"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("the folder `torrents/empty` has no `.torrent` file in it"), "{stderr}");
}

#[tokio::test]
async fn what_cannot_be_a_library_is_not_remembered_as_one() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(1000, 1));
    host.release("g1", "One", "/media/one.mp3");
    done(&output(dir.path(), &["add", &host.url("/feed.xml")]).await);
    std::fs::write(dir.path().join("file"), "mine").expect("the folder is ours");
    for library in ["file", "file/below"] {
        let refused = output(dir.path(), &["download", "1/1", "--http-only", "--library", library]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(stderr.contains("keep episodes in `") && stderr.contains(library), "{stderr}");
    }
    done(&output(dir.path(), &["download", "1/1", "--http-only"]).await);
    assert!(done(&output(dir.path(), &["episodes"]).await).contains("kept"));
    assert!(dir.path().join("data/library").is_dir());
}

#[tokio::test]
async fn a_library_that_is_away_is_waited_for_and_not_made_anew() {
    let (host, dir) = (Host::start().await, folder());
    for (name, seed) in [("one.mp3", 1), ("two.mp3", 2)] {
        host.put(name, bytes(9000, seed));
    }
    host.release("g1", "One", "/media/one.mp3");
    done(&output(dir.path(), &["add", &host.url("/feed.xml")]).await);
    let mut agent = Agent::start(dir.path(), &["--http-only"]);
    agent.wait_for("complete").await;
    let (library, away) = (dir.path().join("data/library"), dir.path().join("away"));
    std::fs::rename(&library, &away).expect("the folder is ours");
    host.release("g2", "Two", "/media/two.mp3");
    done(&output(dir.path(), &["update", "1"]).await);
    let waiting = agent.wait_for("waiting").await;
    assert!(waiting["reason"].as_str().is_some_and(|reason| reason.contains("is not there")), "{waiting}");
    assert!(!library.exists());
    std::fs::rename(&away, &library).expect("the folder is ours");
    let complete = agent.wait_for("complete").await;
    assert_eq!(complete["title"], "Two");
    assert_eq!(agent.stop().await, 0);
}

#[tokio::test]
async fn magnet_links_that_name_no_torrent_are_refused() {
    let dir = folder();
    // A hash of another kind than SHA-256.
    let other = format!("magnet:?xt=urn:btmh:1114{}", "c12fe1c06b".repeat(4));
    let refused = output(dir.path(), &["get", &other]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(output(dir.path(), &["get", "magnet:?dn=nothing"]).await.status.code(), Some(2));
}

/// Seeds `content` from `dir`; gives the seed and a magnet link that names it and nothing else.
async fn magnet_seed(dir: &Path, content: &[u8], flags: &[&str]) -> (Agent, String) {
    let file = torrent(content);
    std::fs::write(dir.join("one.mp3"), content).expect("it can be written");
    std::fs::write(dir.join("x.torrent"), &file).expect("it can be written");
    let args = ["get", "--json", "--seed", "--peer-port", "0", "--bind", "127.0.0.1", "x.torrent"];
    let mut seed = Agent::spawn(dir, &[&args, flags].concat());
    let come = seed.wait_for_each(&["listening", "complete"]).await;
    let addr = come["listening"]["addr"].as_str().expect("it listens").parse().expect("it is an address");
    let magnet = Metainfo::parse(&file).expect("it is our own").magnet();
    (seed, Magnet { peers: vec![addr], ..magnet }.to_string())
}

#[tokio::test]
async fn a_magnet_link_is_all_that_is_needed_and_a_stop_costs_nothing() {
    let (there, here) = (folder(), folder());
    let content = bytes(400_000, 5);
    let (_seed, link) = magnet_seed(there.path(), &content, &["--up", "100KiB/s"]).await;
    let args = ["get", "--json", "--peer-port", "0", "--bind", "127.0.0.1", "--output", "out", &link];
    let mut first = Agent::spawn(here.path(), &args);
    first.wait_for_each(&["finding", "downloading"]).await;
    first.child.kill().await.expect("it runs");
    let said = done(&output(here.path(), &args).await);
    let events: Vec<_> = json_lines(&said).iter().map(|line| line["event"].clone()).collect();
    assert!(!events.contains(&Value::from("finding")), "what the torrent is was known: {said}");
    let out = here.path().join("out");
    assert_eq!(std::fs::read(out.join("one.mp3")).expect("it is there"), content);
    assert_eq!(std::fs::read_dir(out).expect("it is there").count(), 1, "nothing else is left");
}

#[tokio::test]
async fn an_episode_that_comes_by_magnet_link_alone_is_fetched() {
    let (host, there, here) = (Host::start().await, folder(), folder());
    let (_seed, link) = magnet_seed(there.path(), &bytes(60_000, 5), &[]).await;
    let link = link.replace('&', "&amp;");
    host.state.inner().items = format!(
        r#"<item><guid>g1</guid><title>One</title><pubDate>Fri, 20 Nov 2026 08:00:00 GMT</pubDate>
        <enclosure url="{link}" length="60000" type="application/x-bittorrent"/></item>"#
    );
    done(&output(here.path(), &["add", &host.url("/feed.xml")]).await);
    done(&output(here.path(), &["run", "--once", "--peer-port", "0", "--bind", "127.0.0.1"]).await);
    let path = here.path().join("data/library/Night Walks/2026-11-20 One.mp3");
    assert_eq!(std::fs::read(path).expect("it is there"), bytes(60_000, 5));
}
