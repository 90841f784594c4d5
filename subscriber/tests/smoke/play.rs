//! An episode that comes as a plain file is played while it is fetched, and its host sends it once.

use super::phone::{answer, parts};
use super::{Agent, Host, bytes, done, folder, output};

/// What is served at `url`: the head and the body.
async fn get(url: &str, headers: &str) -> (String, Vec<u8>) {
    let (addr, path) = parts(url);
    let answer = answer(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}{headers}"), "").await;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("it has a head") + 4;
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end..].to_vec())
}

/// An agent that fetches nothing by itself, and the address at which it has the only episode of `host` played.
async fn playing(host: &Host, dir: &std::path::Path) -> (Agent, String) {
    host.release("g1", "One", "/media/one.mp3");
    done(&output(dir, &["add", "--backlog", "0", &host.url("/feed.xml")]).await);
    let mut agent = Agent::start(dir, &["--web", "0"]);
    agent.wait_for("listening").await;
    let url = done(&output(dir, &["play", "--url", "1/1"]).await).trim().to_owned();
    assert!(!url.starts_with(&host.url("/")), "the agent serves it");
    (agent, url)
}

#[tokio::test]
async fn what_is_played_from_the_start_to_the_end_is_fetched_once() {
    let (host, dir) = (Host::start().await, folder());
    let episode = bytes(9_000_000, 1);
    host.put("one.mp3", episode.clone());
    let (mut agent, url) = playing(&host, dir.path()).await;
    let (head, all) = get(&url, "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 9000000"), "{head}");
    assert!(all == episode);
    let complete = agent.wait_for("complete").await;
    assert!(std::fs::read(complete["path"].as_str().expect("a path")).expect("it is there") == episode);
    assert_eq!(host.sent(), episode.len());
    let (head, tail) = get(&url, "\r\nRange: bytes=-1000").await;
    assert!(head.starts_with("HTTP/1.1 206") && tail == episode[8_999_000..], "{head}");
    assert_eq!((host.sent(), agent.stop().await), (episode.len(), 0));
}

#[tokio::test]
async fn who_takes_part_in_no_swarm_plays_without_one() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(9000, 1));
    host.release("g1", "One", "/media/one.mp3");
    done(&output(dir.path(), &["add", "--backlog", "0", &host.url("/feed.xml")]).await);
    std::fs::write(dir.path().join("data/config.toml"), "http_only = true").expect("the folder is ours");
    let args = ["play", "1/1", "--player", "true", "--library", "kept"];
    let played = output(dir.path(), &args).await;
    let stderr = String::from_utf8_lossy(&played.stderr).into_owned();
    assert!(played.status.success() && !stderr.contains("swarm"), "{stderr}");
    // What comes by a swarm alone is refused; the file may say it as a person does, too.
    std::fs::write(dir.path().join("data/config.toml"), "http_only = \"yes\"").expect("the folder is ours");
    std::fs::write(dir.path().join("x.torrent"), super::torrent(&bytes(9000, 1))).expect("the folder is ours");
    let refused = output(dir.path(), &["play", "x.torrent", "--player", "true"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("--http-only takes part in no swarm"), "{stderr}");
}

#[tokio::test]
async fn a_jump_does_not_wait_for_what_its_host_is_slow_to_send() {
    let (host, dir) = (Host::that_stops_after(Some(500_000)).await, folder());
    let episode = bytes(9_000_000, 1);
    host.put("one.mp3", episode.clone());
    let (agent, url) = playing(&host, dir.path()).await;
    let (head, begin) = get(&url, "\r\nRange: bytes=0-299999").await;
    assert!(head.starts_with("HTTP/1.1 206") && begin == episode[..300_000], "{head}");
    let (head, tail) = get(&url, "\r\nRange: bytes=6000000-").await;
    assert!(head.contains("content-range: bytes 6000000-8999999/9000000") && tail == episode[6_000_000..], "{head}");
    assert_eq!(host.answers("/media/one.mp3"), [(0, 206), (6_000_000, 206)]);
    assert_eq!((host.sent(), agent.stop().await), (3_500_000, 0));
}
