//! A podcast app in the house plays what is kept: the feed, its files, and who is not let in.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Agent, Host, bytes, done, folder, json_lines, output};

/// What `addr` answers to these lines of a request, and this body.
pub(super) async fn ask(addr: &str, lines: &str, body: &str) -> String {
    String::from_utf8_lossy(&answer(addr, lines, body).await).into_owned()
}

/// The same as it comes.
pub(super) async fn answer(addr: &str, lines: &str, body: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let request = format!("{lines}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    answer
}

/// Address and path of a URL.
pub(super) fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("it is over HTTP");
    rest.split_at(rest.find('/').expect("it has a path"))
}

pub(super) async fn get(url: &str, headers: &str) -> String {
    let (addr, path) = parts(url);
    ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}{headers}"), "").await
}

pub(super) fn phone(answer: &str) -> String {
    let view: Value = json_lines(answer).remove(0);
    view["url"].as_str().expect("it is open").to_owned()
}

#[tokio::test]
async fn a_phone_reads_the_feed_of_what_is_kept_and_plays_from_it() {
    let (host, dir) = (Host::start().await, folder());
    let nothing = output(dir.path(), &["phone"]).await;
    let stderr = String::from_utf8_lossy(&nothing.stderr);
    assert!(nothing.status.code() == Some(1) && stderr.contains("podsub run"), "{stderr}");
    let closed = "closed: no phone can ask any more";
    assert_eq!(done(&output(dir.path(), &["phone", "--off"]).await).trim_end(), closed, "without an agent, too");

    host.put("one.mp3", bytes(50_000, 1));
    host.release("g1", "One &amp; only", "/media/one.mp3");
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml"), "--web", "0"]);
    agent.wait_for("complete").await;
    let url = phone(&done(&output(dir.path(), &["--json", "phone", "--listen", "127.0.0.1:0"]).await));
    let feed = get(&url, "").await;
    assert!(feed.starts_with("HTTP/1.1 200") && feed.contains("<title>Night Walks: One &amp; only</title>"), "{feed}");
    let tag = feed.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has a tag");
    assert!(get(&url, &format!("\r\nIf-None-Match: {tag}")).await.starts_with("HTTP/1.1 304"));
    let media = feed.split("<enclosure url=\"").nth(1).expect("an enclosure").split('"').next().expect("a URL");
    let part = get(&media.replace("&amp;", "&"), "\r\nRange: bytes=100-199").await;
    assert!(part.starts_with("HTTP/1.1 206") && part.contains("content-range: bytes 100-199/50000"), "{part}");

    // Nothing without the token, nothing under another's name, nothing else of the agent.
    let (addr, _) = parts(&url);
    let (bare, _) = url.split_once('?').expect("the token stands in it");
    assert!(get(bare, "").await.starts_with("HTTP/1.1 403"));
    let (_, path) = parts(&url);
    let led = ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: attacker.example"), "").await;
    assert!(led.starts_with("HTTP/1.1 403"), "{led}");
    assert!(get(&url.replace("feed.xml", "api/v1/status"), "").await.starts_with("HTTP/1.1 404"));
    assert!(ask(addr, &format!("POST {path} HTTP/1.1\r\nHost: {addr}"), "").await.starts_with("HTTP/1.1 405"));
    let token = url.rsplit('=').next().expect("the token");
    let kept = std::fs::read_to_string(dir.path().join("data/web-token")).expect("the agent has one");
    assert_ne!(token, kept, "what stands on a phone opens nothing more");

    // It is open again after a restart, at the same address, until it is closed.
    assert_eq!(agent.stop().await, 0);
    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    let listening = loop {
        let listening = agent.wait_for("listening").await;
        if listening["kind"] == "phone" {
            break listening;
        }
    };
    assert_eq!(listening["addr"], addr);
    assert!(get(&url, "").await.starts_with("HTTP/1.1 200"));
    let renewed = phone(&done(&output(dir.path(), &["--json", "phone", "--new-token"]).await));
    assert!(renewed != url && get(&url, "").await.starts_with("HTTP/1.1 403"));
    let shown = done(&output(dir.path(), &["phone", "--qr"]).await);
    assert!(shown.contains(&renewed) && shown.contains('█'), "{shown}");
    done(&output(dir.path(), &["phone", "--off"]).await);
    assert!(TcpStream::connect(addr).await.is_err());
    assert_eq!(done(&output(dir.path(), &["phone", "--off"]).await).trim_end(), closed, "also where nothing is open");
    done(&output(dir.path(), &["phone"]).await);
    assert_eq!(agent.stop().await, 0);

    // What is closed while no agent runs is not opened by the next one.
    done(&output(dir.path(), &["phone", "--off"]).await);
    let mut agent = Agent::start(dir.path(), &["--web", "0"]);
    agent.wait_for("listening").await;
    let view = json_lines(&done(&output(dir.path(), &["--json", "phone", "--off"]).await)).remove(0);
    assert!(view["addr"].is_null() && TcpStream::connect(addr).await.is_err());
    assert_eq!(agent.stop().await, 0);
}
