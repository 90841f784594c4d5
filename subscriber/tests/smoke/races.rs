//! Several sources of one episode, and several episodes of one host: whoever is slow keeps nobody waiting.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;

/// A host that answers nothing before it is let to, and counts those who wait for it.
struct Gate {
    addr: SocketAddr,
    open: Arc<Semaphore>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gate {
    /// One that then has these bytes for everybody.
    async fn start(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let gate = Self { addr, open: Arc::new(Semaphore::new(0)), now: Arc::default(), most: Arc::default() };
        let (open, now, most) = (Arc::clone(&gate.open), Arc::clone(&gate.now), Arc::clone(&gate.most));
        let answer = move || {
            let (open, now, most, content) = (open.clone(), now.clone(), most.clone(), content.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                drop(open.acquire().await.expect("it is never closed"));
                now.fetch_sub(1, Ordering::SeqCst);
                ([(header::CONTENT_TYPE, "application/octet-stream")], content)
            }
        };
        let app = Router::new().route("/{name}", get(answer));
        tokio::spawn(axum::serve(listener, app).into_future());
        gate
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.addr)
    }

    fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS);
    }
}

/// Releases an episode of the same file at each of these, links and torrents among them.
fn release(host: &Host, guid: &str, length: usize, sources: &[(&str, &str)]) {
    let of = |(url, mime): &(&str, &str)| {
        format!("<podcast:source uri=\"{}\" contentType=\"{mime}\"/>", url.replace('&', "&amp;"))
    };
    let all: String = sources.iter().map(of).collect();
    let item = format!(
        "<item><guid>{guid}</guid><title>{guid}</title><pubDate>Fri, 20 Nov 2026 06:00:00 GMT</pubDate>\
         <podcast:alternateEnclosure xmlns:podcast=\"https://podcastindex.org/namespace/1.0\" type=\"audio/mpeg\" \
         length=\"{length}\" default=\"true\">{all}</podcast:alternateEnclosure></item>"
    );
    host.state.inner().items.insert_str(0, &item);
}

const AUDIO: &str = "audio/mpeg";
const TORRENT: &str = "application/x-bittorrent";

/// All files in the show's folder, hidden ones too.
fn kept(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("data/library/Night Walks")).expect("the show has a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("it is there").file_name();
    entries.map(|entry| name(entry).into_string().expect("it is text")).collect()
}

#[tokio::test]
async fn a_magnet_link_that_nobody_serves_keeps_no_plain_file_back() {
    let (host, dir) = (Host::start().await, folder());
    let content = bytes(90_000, 3);
    host.put("one.mp3", content.clone());
    let magnet = Metainfo::parse(&torrent(&content)).expect("it is our own").magnet().to_string();
    release(&host, "One", content.len(), &[(&host.url("/media/one.mp3"), AUDIO), (&magnet, TORRENT)]);
    // The search alone would go on for three minutes, longer than any event is waited for here.
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    let complete = agent.wait_for("complete").await;
    let path = complete["path"].as_str().expect("it says where");
    assert_eq!(std::fs::read(path).expect("it is there"), content);
    assert_eq!((agent.stop().await, kept(dir.path()).len()), (0, 1));
}

#[tokio::test]
async fn a_torrent_that_is_told_late_goes_on_with_what_has_come_of_the_plain_file() {
    let (host, dir) = (Host::that_stops_after(Some(300_000)).await, folder());
    let content = bytes(400_000, 4);
    host.put("one.mp3", content.clone());
    let late = Gate::start(torrent(&content)).await;
    let sources = [(host.url("/media/one.mp3"), AUDIO), (late.url("one.torrent"), TORRENT)];
    release(&host, "One", content.len(), &sources.each_ref().map(|(url, mime)| (url.as_str(), *mime)));
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    loop {
        let progress = agent.wait_for("progress").await;
        if progress["done"].as_u64() == Some(300_000) {
            break;
        }
    }
    late.open();
    let complete = agent.wait_for("complete").await;
    let path = complete["path"].as_str().expect("it says where");
    assert_eq!(std::fs::read(path).expect("it is there"), content);
    // The rest came from the same host, as the swarm's web seed.
    let answers = host.answers("/media/one.mp3");
    let (first, rest) = answers.split_first().expect("it was asked");
    assert_eq!(*first, (0, 200));
    let whole_pieces = 300_000 / 16_384 * 16_384;
    assert!(!rest.is_empty() && rest.iter().all(|(from, _)| *from >= whole_pieces), "{answers:?}");
    let episodes = json_lines(&done(&output(dir.path(), &["--json", "episodes"]).await));
    assert_eq!(episodes[0]["stage"], "complete");
    assert_eq!((agent.stop().await, kept(dir.path()).len()), (0, 1));
}

#[tokio::test]
async fn a_host_that_hangs_gives_way_to_the_next() {
    let (host, stops, dir) = (Host::start().await, Host::that_stops_after(Some(300_000)).await, folder());
    let mute = Gate::start(Vec::new()).await;
    for (name, seed) in [("one.mp3", 1), ("two.mp3", 2)] {
        host.put(name, bytes(400_000, seed));
        stops.put(name, bytes(400_000, seed));
    }
    // The one says nothing at all, the other falls silent.
    let sources =
        [(mute.url("one.mp3"), host.url("/media/one.mp3")), (stops.url("/media/two.mp3"), host.url("/media/two.mp3"))];
    for ((first, second), guid) in sources.iter().zip(["One", "Two"]) {
        release(&host, guid, 400_000, &[(first, AUDIO), (second, AUDIO)]);
    }
    done(&output(dir.path(), &["add", &host.url("/feed.xml"), "--backlog", "all"]).await);
    let mut agent = Agent::start(dir.path(), &[]);
    for _ in 0..2 {
        let complete = agent.wait_for("complete").await;
        let path = complete["path"].as_str().expect("it says where");
        let seed = if path.ends_with("One.mp3") { 1 } else { 2 };
        assert_eq!(std::fs::read(path).expect("it is there"), bytes(400_000, seed), "{path}");
    }
    assert_eq!((agent.stop().await, kept(dir.path()).len()), (0, 2));
    assert_eq!((mute.most.load(Ordering::SeqCst), stops.answers("/media/two.mp3").len()), (1, 1));
}

#[tokio::test]
async fn of_one_host_few_episodes_come_at_once_and_another_host_goes_ahead() {
    let (host, dir) = (Host::start().await, folder());
    let slow = Gate::start(bytes(5000, 1)).await;
    host.put("other.mp3", bytes(6000, 2));
    // The last in the feed is the oldest.
    release(&host, "Other", 6000, &[(&host.url("/media/other.mp3"), AUDIO)]);
    for number in 0..10 {
        release(&host, &format!("Slow {number}"), 5000, &[(&slow.url(&format!("{number}.mp3")), AUDIO)]);
    }
    done(&output(dir.path(), &["add", &host.url("/feed.xml"), "--backlog", "all"]).await);
    let mut agent = Agent::start(dir.path(), &["--downloads", "8"]);
    let complete = agent.wait_for("complete").await;
    assert_eq!(complete["title"], "Other");
    let waiting = done(&output(dir.path(), &["episodes"]).await);
    let said = waiting.matches("127.0.0.1 sends 2 others, as many as it is asked for at once").count();
    assert_eq!(said, 8, "{waiting}");
    slow.open();
    for _ in 0..10 {
        agent.wait_for("complete").await;
    }
    assert_eq!(slow.most.load(Ordering::SeqCst), 2);
    assert_eq!(agent.stop().await, 0);
}
