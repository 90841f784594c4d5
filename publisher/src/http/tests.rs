//! The whole public port, asked without a socket.

use std::net::SocketAddr;

use axum::http::Request;
use futures_util::StreamExt as _;
use podswarm_core::metainfo::{Metainfo, MetainfoBuilder, TorrentPath};
use podswarm_core::rng::Rng;
use tower::ServiceExt as _;

use super::*;
use crate::hooks::Wanted;
use crate::library::tests::library;
use crate::record::tests::{episode as record, show as show_record};
use crate::record::{EventKind, EventRecord, ShowRecord};
use crate::slug::page_name;
use crate::tls::{make, read};
use crate::urls::ANY_TOKEN;

/// A port with one show `a` and its episodes 1 and 2, of which each has 1000 bytes of media.
pub(super) struct Port {
    _dir: tempfile::TempDir,
    library: Library,
    site: watch::Sender<Arc<Site>>,
    bus: Bus,
    outside: Outside,
    stop: CancellationToken,
    pub(super) app: App,
}

const MEDIA: [u8; 1000] = [7; 1000];

pub(super) fn port() -> Port {
    port_at("http://pods.example/", None)
}

/// The same under that public URL, with what is shown over https.
fn port_at(public_url: &str, tls: Option<Tls>) -> Port {
    let (dir, library) = library();
    library.store().put(&show_record("a")).unwrap();
    library.prepare_show(&show_record("a").slug).unwrap();
    for n in 1..=2 {
        publish(&library, &record("a", n));
    }
    let urls = Arc::new(Urls::parse(public_url).unwrap());
    let site = watch::Sender::new(Arc::new(Site::build(&library, &urls, chrono::DateTime::UNIX_EPOCH).unwrap()));
    let tracker = Arc::new(Tracker::new(Rng::from_seed_u64(1), Numbers::queue().0));
    let (bus, stop) = (Bus::default(), CancellationToken::new());
    let outside = Outside::new(Rng::from_seed_u64(2));
    let web = Web {
        site: site.subscribe(),
        library: library.clone(),
        urls,
        tracker,
        outside: outside.clone(),
        proxies: Proxies::default(),
        tls,
        bus: bus.clone(),
        numbers: Numbers::queue().0,
        hub: None,
        sent: Arc::default(),
        uplink: Uplink::new(HttpShare::default()),
        mirror: None,
        stop: stop.clone(),
    };
    Port { _dir: dir, library, site, bus, outside, stop, app: app(web, Router::new()) }
}

fn publish(library: &Library, record: &EpisodeRecord) {
    std::fs::write(library.content(record), MEDIA).unwrap();
    let name = TorrentPath::new([&record.file]).unwrap();
    let metainfo = MetainfoBuilder::file(name, 1000, 16384, [[7; 20]].into_iter().collect());
    let metainfo = metainfo.private(record.is_private).build().unwrap();
    std::fs::write(library.torrent(&record.show, &record.file), metainfo.encode()).unwrap();
    let (show, wanted) = (show_record(record.show.as_str()), Wanted::default());
    library.release(&show, record, record.published, &wanted).unwrap();
}

impl Port {
    async fn ask(&self, method: &str, path: &str, pairs: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let peers = Peers { remote: "127.0.0.1:50000".parse().unwrap(), local: "127.0.0.1:6969".parse().unwrap() };
        let request = request.extension(peers).body(Body::empty()).unwrap();
        self.app.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.ask("GET", path, &[]).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn pages_lead_to_https_and_programs_stay_where_they_are() {
    let pair = make(&["pods.example"]);
    let port = port_at("https://pods.example:8443/", Some(Tls::new(Some(read(&pair.0, &pair.1).unwrap()))));
    let ask = async |path: &str, host: &str, way: Way, remote: &str| {
        let remote = SocketAddr::new(remote.parse().unwrap(), 50000);
        let peers = Peers { remote, local: "192.0.2.1:6969".parse().unwrap() };
        let request = Request::builder().uri(path).header("host", host).extension(peers).extension(way);
        let answer = port.app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (answer.status().as_u16(), answer.headers().get(header::LOCATION).cloned())
    };
    let page = page_name(&file(1)).to_owned();
    for path in ["/", "/shows/a", "/shows/a?x=y", "/dashboard", &format!("/shows/a/{page}")] {
        let (status, location) = ask(path, "pods.example:6969", Way::Open, "192.168.1.2").await;
        assert_eq!((status, location.unwrap().to_str().unwrap()), (301, &*format!("https://pods.example:8443{path}")));
        assert_eq!(ask(path, "192.0.2.1", Way::Open, "1.2.3.4").await.0, 301, "a stranger has no other name for us");
        for (host, way, remote) in [
            ("pods.example", Way::Secret, "1.2.3.4"),
            ("pods.example", Way::Proxy, "1.2.3.4"),
            ("192.168.1.1:6969", Way::Open, "192.168.1.2"),
        ] {
            assert_eq!(ask(path, host, way, remote).await.0, 200, "{path} at {host}");
        }
    }
    let (media, torrent) = (format!("/media/a/{}", file(1)), format!("/torrents/a/{}.torrent", file(1)));
    for path in
        ["/shows/a/feed.xml", "/shows/a/feed.json", "/announce", "/scrape", &media, &torrent, "/assets/style.css"]
    {
        assert_eq!(ask(path, "pods.example", Way::Open, "1.2.3.4").await.0, 200, "{path}");
    }
}

fn file(n: u8) -> String {
    record("a", n).file
}

#[tokio::test]
async fn every_kind_of_thing_has_its_place_and_type() {
    let port = port();
    let (page, torrent) = (page_name(&file(1)).to_owned(), format!("/torrents/a/{}.torrent", file(1)));
    for (path, mime) in [
        ("/", "text/html; charset=utf-8"),
        ("/shows/a", "text/html; charset=utf-8"),
        ("/shows/a/feed.xml", "application/rss+xml; charset=utf-8"),
        ("/shows/a/torrents.xml", "application/rss+xml; charset=utf-8"),
        (&format!("/shows/a/{page}"), "text/html; charset=utf-8"),
        (&format!("/shows/a/{page}/swarm.json"), "application/json"),
        (&format!("/media/a/{}", file(1)), "audio/mpeg"),
        (&torrent, "application/x-bittorrent"),
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/live.js", "text/javascript; charset=utf-8"),
        ("/dashboard", "text/html; charset=utf-8"),
        ("/assets/dashboard.css", "text/css; charset=utf-8"),
        ("/assets/dashboard.js", "text/javascript; charset=utf-8"),
        ("/assets/numbers.js", "text/javascript; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
    ] {
        let (status, headers, body) = port.get(path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], mime, "{path}");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert!(!body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whatever_its_name() {
    let port = port();
    for path in [
        "/x",
        "/shows/b",
        "/shows/b/feed.xml",
        "/shows/A",
        "/shows/a/nothing",
        "/media/a/nothing.mp3",
        "/media/a/..%2f..%2fjournal%2f1.log",
        "/media/a/%2e%2e/%2e%2e/keys/a.ed25519",
        "/media/..%2fkeys/a.ed25519",
        &format!("/media/a/{}/x", file(1)),
        "/torrents/a/x.torrent",
        &format!("/torrents/a/{}", file(1)),
        "/shows/%00",
        "/shows/%ff",
        "/assets/../Cargo.toml",
        "/shows/a/x/swarm.json",
        "/shows/b/events",
    ] {
        let (status, _, body) = port.get(path).await;
        assert!(status == 404 || status == 400, "{path}: {status}");
        assert!(!String::from_utf8_lossy(&body).contains("<script"), "{path}");
    }
    let rest = port.ask("GET", "/media/a/nothing.mp3", &[("range", "bytes=1000-")]).await;
    assert_eq!(rest.status(), 404, "what never was has not gone");
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_show() {
    let response = port().ask("GET", "/shows/a/", &[]).await;
    assert_eq!((response.status().as_u16(), &response.headers()[header::LOCATION]), (308, &"../a".parse().unwrap()));
    assert_eq!(port().get("/shows/%2f%2fevil.example/").await.0, 404);
}

#[tokio::test]
async fn an_error_page_does_not_repeat_what_was_asked() {
    let (_, headers, body) = port().get("/shows/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(!String::from_utf8_lossy(&body).contains("alert"));
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
}

#[tokio::test]
async fn the_feed_costs_a_304_until_it_changes() {
    let port = port();
    let (_, headers, _) = port.get("/shows/a/feed.xml").await;
    let etag = headers[header::ETAG].to_str().unwrap();
    let again = port.ask("GET", "/shows/a/feed.xml", &[("if-none-match", etag)]).await;
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()[header::ETAG], etag);
    publish(&port.library, &record("a", 3));
    let urls = Urls::parse("http://pods.example/").unwrap();
    port.site.send_replace(Arc::new(Site::build(&port.library, &urls, chrono::Utc::now()).unwrap()));
    assert_eq!(port.ask("GET", "/shows/a/feed.xml", &[("if-none-match", etag)]).await.status(), 200);
}

#[tokio::test]
async fn media_answers_ranges_and_heads() {
    let port = port();
    let path = format!("/media/a/{}", file(1));
    let response = port.ask("GET", &path, &[("range", "bytes=0-1")]).await;
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 0-1/1000");
    let response = port.ask("HEAD", &path, &[]).await;
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "1000");
    assert_eq!(port.ask("POST", &path, &[]).await.status(), 405);
}

#[tokio::test]
async fn media_that_was_lost_is_an_honest_503() {
    let port = port();
    std::fs::remove_file(port.library.content(&record("a", 1))).unwrap();
    let (status, headers, body) = port.get(&format!("/media/a/{}", file(1))).await;
    assert_eq!(status, 503);
    assert!(headers.contains_key(header::RETRY_AFTER));
    assert!(!String::from_utf8_lossy(&body).contains(port.library.root().to_str().unwrap()), "no path of ours is told");
}

#[tokio::test]
async fn a_torrent_names_our_tracker_and_our_media() {
    let (_, _, body) = port().get(&format!("/torrents/a/{}.torrent", file(2))).await;
    let metainfo = Metainfo::parse(&body).unwrap();
    assert_eq!(metainfo.trackers, [["http://pods.example/announce"]]);
    assert_eq!(metainfo.web_seeds, [format!("http://pods.example/media/a/{}", file(2))]);
}

#[tokio::test]
async fn the_tracker_refuses_strangers_torrents_in_bencode() {
    let (status, _, body) = port().get("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(b"d14:failure reason"));
    assert!(port().get("/scrape").await.2.starts_with(b"d14:failure reason"));
}

#[tokio::test]
async fn other_origins_may_ask_with_ranges() {
    let response = port().ask("OPTIONS", "/media/a/x", &[("origin", "https://player.example")]).await;
    assert_eq!(response.status(), 204);
    assert!(response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("range"));
}

/// Reads a stream until `count` blocks are there, each ended by an empty line.
async fn blocks(body: &mut axum::body::BodyDataStream, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    text.split_terminator("\n\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn an_agent_that_was_away_is_told_what_it_missed_and_then_what_happens() {
    let port = port();
    let response = port.ask("GET", "/shows/a/events", &[("last-event-id", "1")]).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let missed = blocks(&mut body, 2).await;
    assert!(missed[0].contains("retry:2000") || missed[0].contains("retry: 2000"), "{missed:?}");
    assert!(missed[1].contains("id: 2") && missed[1].contains("event: episode"), "{missed:?}");
    let data = missed[1].lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["guid"], record("a", 2).guid);
    assert_eq!(data["torrent"], format!("http://pods.example/torrents/a/{}.torrent", file(2)));
    assert_eq!(data["length"], 1000);
    // What the log told is not told again, and other shows are none of this agent's business.
    let event =
        |show: &str, seq, n| EventRecord { show: show.parse().unwrap(), seq, kind: EventKind::Episode, file: file(n) };
    port.bus.tell(event("a", 2, 2));
    port.bus.tell(event("b", 3, 1));
    port.bus.tell(event("a", 3, 1));
    assert!(blocks(&mut body, 1).await[0].contains("id: 3"));
}

#[tokio::test]
async fn an_agent_that_just_came_is_told_the_number_that_holds() {
    let port = port();
    let mut body = port.ask("GET", "/shows/a/events", &[]).await.into_body().into_data_stream();
    let greeting = blocks(&mut body, 1).await;
    assert!(greeting[0].contains("id: 2") && !greeting[0].contains("data"), "{greeting:?}");
    port.stop.cancel();
    assert!(body.next().await.is_none(), "a stop ends the stream");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_beats_within_thirty_seconds() {
    let port = port();
    let mut body = port.ask("GET", "/shows/a/events", &[]).await.into_body().into_data_stream();
    blocks(&mut body, 1).await;
    let start = tokio::time::Instant::now();
    assert!(blocks(&mut body, 1).await[0].starts_with(':'));
    assert!((15..=30).contains(&start.elapsed().as_secs()));
}

#[tokio::test]
async fn an_agent_too_slow_is_dropped() {
    let port = port();
    let mut body = port.ask("GET", "/shows/a/events", &[]).await.into_body().into_data_stream();
    for seq in 3..200 {
        port.bus.tell(EventRecord { show: "a".parse().unwrap(), seq, kind: EventKind::Episode, file: file(1) });
    }
    blocks(&mut body, 1).await;
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_network_that_asks_too_often_has_to_wait_and_others_do_not() {
    let port = port();
    let ask = async |asker: &str, path: &str| {
        let peers = Peers { remote: asker.parse().unwrap(), local: "127.0.0.1:6969".parse().unwrap() };
        let request = Request::get(path).extension(peers).body(Body::empty()).unwrap();
        port.app.router.clone().oneshot(request).await.unwrap()
    };
    for _ in 0..AT_ONCE {
        assert_eq!(ask("203.0.113.1:5", "/shows/a").await.status(), 200);
    }
    // The pace goes on meanwhile.
    let mut refused = ask("203.0.113.1:5", "/shows/a").await;
    while refused.status() == 200 {
        refused = ask("203.0.113.1:6", "/shows/a").await;
    }
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    for (asker, path) in [
        ("203.0.113.2:5", "/shows/a"),
        ("192.168.1.2:5", "/shows/a"),
        ("203.0.113.1:5", "/shows/a/feed.xml"),
        ("203.0.113.1:5", "/announce"),
        ("203.0.113.1:5", "/healthz"),
    ] {
        assert_eq!(ask(asker, path).await.status(), 200, "{asker} {path}");
    }
    port.stop.cancel();
}

/// A port with a private show `b`, too; its subscribers `ann` and `bob` have these tokens.
fn private_port() -> (Port, [String; 2]) {
    let port = port();
    let show = ShowRecord { is_private: true, ..show_record("b") };
    port.library.store().put(&show).unwrap();
    port.library.prepare_show(&show.slug).unwrap();
    publish(&port.library, &EpisodeRecord { is_private: true, ..record("b", 3) });
    port.library.store().put(&show).unwrap();
    let tokens = ["ann", "bob"].map(|name| {
        let token = podswarm_core::app::new_token().unwrap();
        port.library.add_subscriber(Some("b"), name, &token, chrono::DateTime::UNIX_EPOCH).unwrap();
        token
    });
    let urls = Urls::parse("http://pods.example/").unwrap();
    port.site.send_replace(Arc::new(Site::build(&port.library, &urls, chrono::DateTime::UNIX_EPOCH).unwrap()));
    (port, tokens)
}

/// Every path at which something of the show `b` is.
fn private_paths() -> Vec<String> {
    let file = record("b", 3).file;
    let page = page_name(&file);
    let documents = ["feed.xml", "torrents.xml", "feed.json", "feed.atom", "events"].map(|it| format!("/shows/b/{it}"));
    let pages = [
        "/shows/b".to_owned(),
        format!("/shows/b/{page}"),
        format!("/shows/b/{page}/swarm.json"),
        format!("/media/b/{file}"),
        format!("/torrents/b/{file}.torrent"),
    ];
    documents.into_iter().chain(pages).collect()
}

#[tokio::test]
async fn a_private_show_is_found_with_a_token_alone() {
    let (port, [ann, _]) = private_port();
    for path in private_paths() {
        let mine = port.ask("GET", &format!("/private/{ann}{path}"), &[]).await;
        assert_eq!(mine.status(), 200, "{path}");
        assert_eq!(mine.headers()["x-robots-tag"], "noindex, nofollow", "{path}");
        let cache = mine.headers().get(header::CACHE_CONTROL).map(|it| it.to_str().unwrap().to_owned());
        assert!(!cache.is_some_and(|cache| cache.contains("public")), "{path}");
        let wrong = ann.replace(|digit| digit != '0', "0");
        for prefix in ["", &format!("/private/{wrong}"), "/private/", &format!("/private/{ANY_TOKEN}")] {
            assert_eq!(port.ask("GET", &format!("{prefix}{path}"), &[]).await.status(), 404, "{prefix}{path}");
        }
    }
    let (status, _, home) = port.get(&format!("/private/{ann}/")).await;
    let home = String::from_utf8(home).unwrap();
    assert!(status == 200 && home.contains("shows/b") && !home.contains("shows/a"), "{home}");
    let (_, _, all) = port.get("/").await;
    assert!(!String::from_utf8(all).unwrap().contains("shows/b"));
    assert_eq!(port.get(&format!("/private/{ann}/shows/a")).await.0, 404, "it opens its show alone");
    port.library.revoke_subscriber(Some("b"), "ann").unwrap();
    for path in private_paths() {
        assert_eq!(port.ask("GET", &format!("/private/{ann}{path}"), &[]).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn what_a_subscriber_gets_has_his_token_and_nobody_elses() {
    let (port, tokens) = private_port();
    for path in private_paths().iter().filter(|path| !path.ends_with("/events") && !path.starts_with("/media")) {
        for (own, other) in [(&tokens[0], &tokens[1]), (&tokens[1], &tokens[0])] {
            let at = format!("/private/{own}{path}");
            let (_, headers, body) = port.get(&at).await;
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains(other) && !text.contains(ANY_TOKEN), "{path}: {text}");
            assert_eq!(text.matches("pods.example").count(), text.matches(&**own).count(), "{path}: {text}");
            let zipped = port.ask("GET", &at, &[("accept-encoding", "gzip")]).await;
            let is_zipped = zipped.headers().contains_key(header::CONTENT_ENCODING);
            let length = zipped.headers().get(header::CONTENT_LENGTH).cloned();
            let bytes = axum::body::to_bytes(zipped.into_body(), 1 << 20).await.unwrap();
            assert_eq!(length.unwrap(), bytes.len().to_string(), "{path}");
            if is_zipped {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
                assert_eq!(plain, body, "{path}");
            }
            let head = port.ask("HEAD", &at, &[]).await;
            assert_eq!(head.headers()[header::CONTENT_LENGTH], body.len().to_string(), "{path}");
            if let Some(tag) = headers.get(header::ETAG) {
                let again = port.ask("GET", &at, &[("if-none-match", tag.to_str().unwrap())]).await;
                assert_eq!(again.status(), 304, "{path}");
            }
        }
    }
    let file = record("b", 3).file;
    let (_, _, torrent) = port.get(&format!("/private/{}/torrents/b/{file}.torrent", tokens[0])).await;
    let metainfo = Metainfo::parse(&torrent).unwrap();
    assert_eq!(metainfo.trackers, [[format!("http://pods.example/private/{}/announce", tokens[0])]]);
    assert_eq!(metainfo.web_seeds, [format!("http://pods.example/private/{}/media/b/{file}", tokens[0])]);
}

#[tokio::test]
async fn a_stream_ends_when_its_subscriber_is_let_in_no_more() {
    let (port, [ann, bob]) = private_port();
    let mut streams = Vec::new();
    for token in [&ann, &bob] {
        let answer = port.ask("GET", &format!("/private/{token}/shows/b/events"), &[]).await;
        let mut body = answer.into_body().into_data_stream();
        body.next().await.unwrap().unwrap();
        streams.push(body);
    }
    port.library.revoke_subscriber(Some("b"), "ann").unwrap();
    let seq = port.site.borrow().held(&"b".parse().unwrap()).unwrap().events.last().unwrap().seq + 1;
    let (show, file) = ("b".parse().unwrap(), record("b", 3).file);
    port.bus.tell(EventRecord { show, seq, kind: EventKind::Episode, file });
    assert!(streams[0].next().await.is_none());
    let told = String::from_utf8(streams[1].next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(told.contains(&format!("/private/{bob}/torrents/b/")) && !told.contains(&ann), "{told}");
}

/// Asks for `path` from outside, over a connection of that time.
async fn from_outside(port: &Port, method: &str, path: &str, opened: Instant, body: &str) -> Response {
    let peers = Peers { remote: "198.18.0.2:50000".parse().unwrap(), local: "198.18.0.1:6969".parse().unwrap() };
    let request = Request::builder().method(method).uri(path).header("host", "pods.example").extension(peers);
    let request = request.header(OFFER, "feed, peers").header(header::CONTENT_TYPE, "application/json");
    let request = request.extension(Opened(opened)).body(Body::from(body.to_owned())).unwrap();
    port.app.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn an_agent_outside_is_asked_on_its_stream_and_shows_what_it_was_asked_with() {
    let (port, [ann, _]) = private_port();
    let before = Instant::now();
    let below = format!("/private/{ann}/shows/b");
    let mut stream =
        from_outside(&port, "GET", &format!("{below}/events"), before, "").await.into_body().into_data_stream();
    stream.next().await.unwrap().unwrap();
    let mut at_home = port.ask("GET", "/shows/a/events", &[(OFFER, "feed")]).await.into_body().into_data_stream();
    at_home.next().await.unwrap().unwrap();

    let chosen = port.outside.choose(&[]);
    assert_eq!(chosen.len(), 1, "who is at home is not asked");
    port.outside.ring(&chosen);
    let told = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    let nonce = chosen[0].nonce.to_string();
    assert_eq!(told, format!("event: reach\ndata: {{\"nonce\":\"{nonce}\"}}\n\n"));

    let at = format!("{below}/reach/{nonce}");
    for (path, opened, want) in [
        (format!("/shows/b/reach/{nonce}"), Instant::now(), 404),
        (format!("/shows/a/reach/{nonce}"), Instant::now(), 404),
        (format!("{below}/reach/000000000000000000000000"), Instant::now(), 404),
        (format!("{below}/reach/x"), Instant::now(), 404),
        (at.clone(), before, 409),
        (at.clone(), Instant::now(), 200),
    ] {
        assert_eq!(port.outside.findings().feed, None);
        assert_eq!(from_outside(&port, "GET", &path, opened, "").await.status(), want, "{path}");
    }
    assert_eq!((port.outside.findings().came, port.outside.findings().feed.is_some()), (1, true));
    for (body, want) in [("{", 400), ("{\"peers\":[{\"addr\":\"x\"}]}", 422), ("{\"peers\":[]}", 204)] {
        let answer = from_outside(&port, "POST", &at, Instant::now(), body).await;
        assert_eq!(answer.status(), want, "{body}");
    }
    let long = format!("{{\"peers\":[]{}}}", " ".repeat(5 << 10));
    assert_eq!(from_outside(&port, "POST", &at, Instant::now(), &long).await.status(), 413);
    drop(stream);
    assert!(port.outside.choose(&[]).is_empty());
}
