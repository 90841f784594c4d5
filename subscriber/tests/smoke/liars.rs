//! Hosts that promise what they do not send, or send what nobody was promised.

use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::BASE64;
use sha2::Sha256;

use super::*;

/// An episode with a hash of its file.
fn release(host: &Host, guid: &str, path: &str, integrity: &str) {
    let url = host.url(path);
    let item = format!(
        "<item><guid>{guid}</guid><title>{guid}</title><pubDate>Fri, 20 Nov 2026 06:00:00 GMT</pubDate>\
         <enclosure url=\"{url}\" length=\"0\" type=\"audio/mpeg\"/>\
         <podcast:alternateEnclosure xmlns:podcast=\"https://podcastindex.org/namespace/1.0\" type=\"audio/mpeg\" \
         default=\"true\"><podcast:source uri=\"{url}\"/><podcast:integrity type=\"sri\" value=\"{integrity}\"/>\
         </podcast:alternateEnclosure></item>"
    );
    host.state.inner().items.insert_str(0, &item);
}

/// Waits for an episode to have a reason why it waits, then lets its host be honest, and waits for the episode.
async fn has_it_once_its_host_is_honest(host: &Host, dir: &Path, want: &str, mend: impl FnOnce()) -> Value {
    done(&output(dir, &["add", &host.url("/feed.xml")]).await);
    let mut agent = Agent::start(dir, &["--http-only"]);
    let waiting = agent.wait_for("waiting").await;
    assert!(waiting["reason"].as_str().is_some_and(|reason| reason.contains(want)), "{waiting}");
    let shown = done(&output(dir, &["episodes"]).await);
    assert!(shown.contains(want), "{shown}");
    mend();
    // As its owner would who has heard of it; by itself it comes a minute later.
    done(&output(dir, &["download", "1/1"]).await);
    let complete = agent.wait_for("complete").await;
    assert_eq!(agent.stop().await, 0);
    complete
}

/// A host that has 9000 bytes of a file and promises 10,000, and the others once `is_honest`. Gives its address, and
/// which bytes each request asked for.
async fn liar(is_honest: Arc<AtomicBool>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it listens");
            let mut stream = BufReader::new(stream);
            let (mut line, mut range) = (String::new(), String::new());
            while stream.read_line(&mut line).await.is_ok_and(|length| length > 2) {
                range = line.trim().to_ascii_lowercase().strip_prefix("range: ").map_or(range, str::to_owned);
                line.clear();
            }
            let from = range.strip_prefix("bytes=").and_then(|from| from.strip_suffix('-')?.parse().ok()).unwrap_or(0);
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(range);
            let there = if is_honest.load(Ordering::SeqCst) { 10_000 } else { 9000 };
            let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: audio/mpeg\r\nETag: \"1\"\r\nContent-Length: {}\r\n\
                 Content-Range: bytes {from}-9999/10000\r\nConnection: close\r\n\r\n",
                10_000 - from
            );
            let answer = [head.as_bytes(), &bytes(10_000, 1)[from..there]].concat();
            // Whoever asked may have gone.
            let _ = stream.get_mut().write_all(&answer).await;
        }
    });
    (addr, asked)
}

#[tokio::test]
async fn of_a_file_that_was_promised_longer_the_rest_is_asked_for_until_it_is_there() {
    let (host, dir) = (Host::start().await, folder());
    let is_honest = Arc::new(AtomicBool::new(false));
    let (addr, asked) = liar(Arc::clone(&is_honest)).await;
    host.state.inner().items = format!(
        "<item><guid>g1</guid><title>One</title><enclosure url=\"http://{addr}/one.mp3\" length=\"1\" \
         type=\"audio/mpeg\"/></item>"
    );
    let mend = || is_honest.store(true, Ordering::SeqCst);
    let complete = has_it_once_its_host_is_honest(&host, dir.path(), "broke off its answer", mend).await;
    let path = complete["path"].as_str().expect("it says where");
    assert_eq!(std::fs::read(path).expect("it is there"), bytes(10_000, 1));
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(asked.last().map(String::as_str), Some("bytes=9000-"), "what had come is not fetched again: {asked:?}");
}

#[tokio::test]
async fn a_file_without_a_byte_is_no_episode() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", Vec::new());
    host.release("g1", "One", "/media/one.mp3");
    let mend = || host.put("one.mp3", bytes(9000, 1));
    let complete = has_it_once_its_host_is_honest(&host, dir.path(), "a file without a byte", mend).await;
    assert_eq!(complete["length"], 9000);
}

#[tokio::test]
async fn another_file_than_its_feed_names_by_hash_is_not_taken_for_it() {
    let (host, dir) = (Host::start().await, folder());
    host.put("one.mp3", bytes(9000, 2));
    let digest = Sha256::digest(bytes(9000, 1));
    release(&host, "g1", "/media/one.mp3", &format!("sha256-{}", BASE64.encode(&digest)));
    let mend = || host.put("one.mp3", bytes(9000, 1));
    let complete = has_it_once_its_host_is_honest(&host, dir.path(), "another file than the feed says", mend).await;
    let path = complete["path"].as_str().expect("it says where");
    assert_eq!(std::fs::read(path).expect("it is there"), bytes(9000, 1));
}
