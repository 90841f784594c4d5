//! The front beside the router, both asked over sockets.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::listen::{App, Limits, serve};
use super::super::tests::{Port, port};
use super::*;

const FEED: &str = "/shows/a/feed.xml";

struct Served {
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(app: App, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    Served { addr, stop: stop.clone(), task: tokio::spawn(serve(listener, app, limits, stop)) }
}

/// The same port with its front and without.
async fn both(port: &Port) -> [Served; 2] {
    let router = App { front: None, ..port.app.clone() };
    [start(port.app.clone(), Limits::default()).await, start(router, Limits::default()).await]
}

impl Served {
    /// All that is answered to `requests` until the connection ends.
    async fn ask(&self, requests: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer.iter().map(|byte| char::from(*byte)).collect()
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn last(path: &str, fields: &str) -> String {
    get(path, &format!("{fields}Connection: close\r\n"))
}

/// Status, sorted header fields without the date, and body of an answer.
fn parts(answer: &str) -> (String, Vec<String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    let mut fields: Vec<String> = lines.collect();
    assert_eq!(fields.iter().filter(|field| field.starts_with("date: ") && field.ends_with(" GMT")).count(), 1);
    fields.retain(|field| !field.starts_with("date: "));
    fields.sort();
    (status, fields, body.to_owned())
}

fn value<'a>(answer: &'a str, name: &str) -> &'a str {
    let field = format!("\r\n{name}: ");
    answer.split_once(&field).and_then(|(_, rest)| rest.split("\r\n").next()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[tokio::test]
async fn an_answer_is_the_routers() {
    let port = port();
    let [front, router] = both(&port).await;
    let plain = router.ask(&last(FEED, "")).await;
    let zipped = router.ask(&last(FEED, "Accept-Encoding: gzip\r\n")).await;
    let known = |answer| format!("if-none-match: {}\r\n", value(answer, "etag"));
    for (path, fields, status) in [
        (FEED, String::new(), 200),
        ("/shows/a/torrents.xml", String::new(), 200),
        (FEED, "accept-encoding: br, GZIP;q=0.5\r\n".to_owned(), 200),
        (FEED, "If-None-Match: \"x\"\r\n".to_owned(), 200),
        (FEED, known(&plain), 304),
        (FEED, format!("Accept-Encoding: gzip\r\n{}", known(&zipped)), 304),
        (FEED, format!("If-Modified-Since: {}\r\n", value(&plain, "last-modified")), 304),
        ("/shows/b/feed.xml", String::new(), 404),
        ("/shows/a/feed.json", String::new(), 200),
        ("/shows/a/feed.atom", String::new(), 200),
        ("/shows/a/feed.txt", String::new(), 404),
        ("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&port=1", String::new(), 200),
        ("/announce", String::new(), 200),
    ] {
        let request = last(path, &fields);
        let [ours, theirs] = [front.ask(&request).await, router.ask(&request).await].map(|answer| parts(&answer));
        assert_eq!(ours, theirs, "{request:?}");
        assert!(ours.0.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {}", ours.0);
    }
}

#[tokio::test]
async fn questions_that_come_together_are_answered_in_turn_by_whom_they_concern() {
    let port = port();
    let [front, router] = both(&port).await;
    let requests = [get("/announce", ""), get(FEED, ""), get("/", ""), get("/announce", ""), last(FEED, "")].concat();
    let [ours, theirs] = [front.ask(&requests).await, router.ask(&requests).await];
    let bodies = |text: &str| text.split("HTTP/1.1 200 OK").map(str::len).collect::<Vec<_>>();
    assert_eq!(bodies(&ours).len(), 6);
    assert_eq!(bodies(&ours), bodies(&theirs));
}

#[tokio::test]
async fn a_head_may_come_in_pieces() {
    let [front, _router] = both(&port()).await;
    let mut stream = TcpStream::connect(front.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in last(FEED, "").bytes() {
        stream.write_u8(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

/// A connection that is kept after two answers.
async fn keep(served: &Served) -> TcpStream {
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    for _ in 0..2 {
        stream.write_all(get("/announce", "").as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap().into());
        }
        let length = value(&answer, "content-length").parse().unwrap();
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    stream
}

#[tokio::test]
async fn a_connection_is_kept_until_it_is_silent_for_too_long() {
    let limits = Limits { idle: Duration::from_millis(20), ..Limits::default() };
    let mut stream = keep(&start(port().app, limits).await).await;
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_stop_ends_a_connection_that_is_kept() {
    let served = start(port().app, Limits::default()).await;
    let mut stream = keep(&served).await;
    served.stop.cancel();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    served.task.await.unwrap();
}

#[test]
fn only_what_is_plain_is_a_question() {
    let is_question = |text: &str| {
        let mut room = [MaybeUninit::uninit(); MOST_FIELDS];
        Question::read(text.as_bytes(), &mut room).is_some()
    };
    assert!(is_question(&get(FEED, "")) && is_question(&last("/announce?a=b", "Accept: */*\r\n")));
    for fields in [
        "Content-Length: 0",
        "transfer-encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "Connection: upgrade",
        "Connection: close, te",
        &["x: y"; MOST_FIELDS].join("\r\n"),
    ] {
        assert!(!is_question(&get(FEED, &format!("{fields}\r\n"))), "{fields}");
    }
    let whole = get(FEED, "");
    for text in
        ["", "\r\n", "x", &whole[..whole.len() - 1], &whole.replace("GET", "HEAD"), &whole.replace("1.1", "1.0")]
    {
        assert!(!is_question(text), "{text:?}");
    }
}

#[tokio::test]
async fn a_question_that_is_there_before_its_asker_is_met_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut askers = Vec::new();
    for question in [last("/announce", ""), last(FEED, ""), last("/", ""), "GET /announce HTTP/1.1\r\n".to_owned()] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        askers.push(stream);
    }
    let stop = CancellationToken::new();
    let _server = tokio::spawn(serve(listener, port().app, Limits::default(), stop));
    // The last one's question came but half.
    askers[3].write_all(b"host: x\r\nconnection: close\r\n\r\n").await.unwrap();
    for mut stream in askers {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
}
