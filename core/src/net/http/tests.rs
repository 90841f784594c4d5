//! The client against a server on a loopback port, whose every byte the test writes.

#![expect(clippy::disallowed_methods, reason = "the server needs a task, and the tests read the files")]

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

/// A server that answers each request, told by its head, with the bytes that `answer` gives, and closes.
struct Server {
    addr: SocketAddr,
    /// The heads of all requests, in lower case.
    requests: UnboundedReceiver<String>,
}

impl Server {
    async fn start(mut answer: impl FnMut(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, requests) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let head = read_head(&mut socket).await;
                let bytes = answer(&head);
                let _ = seen.send(head);
                let _ = socket.write_all(&bytes).await;
                let _ = socket.shutdown().await;
            }
        });
        Self { addr, requests }
    }

    /// A server that gives these answers one after the other.
    async fn script(answers: Vec<Vec<u8>>) -> Self {
        let mut answers = answers.into_iter();
        Self::start(move |_| answers.next().expect("the script has an answer for each request")).await
    }

    /// A server that answers one request, and sends the rest of the answer once it is told to.
    async fn in_parts(first: Vec<u8>, told: oneshot::Receiver<()>, rest: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (seen, requests) = unbounded_channel();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = seen.send(read_head(&mut socket).await);
            socket.write_all(&first).await.unwrap();
            told.await.unwrap();
            socket.write_all(&rest).await.unwrap();
        });
        Self { addr, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn request(&mut self) -> String {
        self.requests.try_recv().expect("a request was made")
    }
}

/// A request without its body, in lower case.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

fn client() -> HttpClient {
    HttpClient::new(Reach::Any, "Podswarm/test", &Route::default()).unwrap()
}

/// An answer with the length that its body has.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    promise(status, headers, body.len(), body)
}

/// An answer that promises `length` bytes and sends `body`.
fn promise(status: &str, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn redirect_to(status: u16, location: &str) -> Vec<u8> {
    answer(&format!("{status} x"), &format!("Location: {location}\r\n"), b"ignored")
}

async fn get(client: &HttpClient, url: &str) -> Result<Fetched, HttpError> {
    client.get_limited(url, &[], 1000, Duration::from_secs(20)).await
}

#[tokio::test]
async fn an_answer_comes_with_all_that_a_poller_needs() {
    let mut server = Server::script(vec![answer("304 Not Modified", "ETag: \"x\"\r\n", b"")]).await;
    let headers = [("If-None-Match", "\"x\""), ("If-Modified-Since", "whatever it said")];
    let fetched = client().get_limited(&server.url("/feed"), &headers, 10, Duration::from_secs(20)).await.unwrap();
    assert_eq!((fetched.status, fetched.header("etag"), &*fetched.body), (304, Some("\"x\""), &b""[..]));
    assert_eq!((fetched.remote_addr, fetched.permanent_redirect), (Some(server.addr), None));
    let request = server.request();
    for line in
        ["get /feed http/1.1", "if-none-match: \"x\"", "if-modified-since: whatever", "user-agent: podswarm/test"]
    {
        assert!(request.contains(line), "{request}");
    }
}

#[tokio::test]
async fn redirects_are_followed_and_the_permanent_ones_remembered() {
    let script =
        vec![redirect_to(301, "/b"), redirect_to(308, "c?x=1"), redirect_to(302, "/d"), redirect_to(301, "/e")];
    let server = Server::script([script, vec![answer("200 OK", "", b"here")]].concat()).await;
    let fetched = get(&client(), &server.url("/a")).await.unwrap();
    assert_eq!((&*fetched.body, fetched.final_url.path()), (&b"here"[..], "/e"));
    assert_eq!(fetched.permanent_redirect.unwrap().as_str(), server.url("/c?x=1"));
}

#[tokio::test]
async fn redirects_in_a_circle_and_out_of_http_are_refused() {
    let server = Server::start(|_| redirect_to(302, "/again")).await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{} redirects for the 11th time", server.addr));
    for location in ["file:///etc/passwd", "ftp://127.0.0.1/", "udp://127.0.0.1:1/"] {
        let server = Server::start(move |_| redirect_to(302, location)).await;
        assert!(matches!(get(&client(), &server.url("/")).await, Err(HttpError::Scheme { .. })), "{location}");
    }
}

#[tokio::test]
async fn credentials_stay_with_the_origin_that_they_are_for() {
    let mut other = Server::script(vec![answer("200 OK", "", b"")]).await;
    let mut server = Server::script(vec![redirect_to(302, "/near"), redirect_to(302, &other.url("/far"))]).await;
    let headers = [("Authorization", "Bearer secret"), ("Cookie", "a=secret"), ("If-None-Match", "\"x\"")];
    client().get_limited(&server.url("/"), &headers, 10, Duration::from_secs(20)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(server.request().matches("secret").count(), 2);
    }
    let far = other.request();
    assert!(!far.contains("secret") && far.contains("if-none-match"), "{far}");
}

#[tokio::test]
async fn under_public_reach_nothing_connects_to_this_machine() {
    let mut server = Server::start(|_| answer("200 OK", "", b"secret")).await;
    let client = HttpClient::new(Reach::Public, "Podswarm/test", &Route::default()).unwrap();
    let port = server.addr.port();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        let error = get(&client, &url).await.unwrap_err();
        assert!(matches!(error, HttpError::OutOfReach { .. }), "{host}: {error:?}");
        let error = client.stream(&url, &[]).await.unwrap_err();
        assert!(matches!(error, HttpError::OutOfReach { .. }), "{host}: {error:?}");
        for result in client.announce(&url).await {
            assert!(matches!(result, Err(HttpError::OutOfReach { .. })), "{host}: {result:?}");
        }
    }
    assert!(server.requests.try_recv().is_err());
}

#[tokio::test]
async fn no_more_is_taken_than_allowed() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    let endless = [chunked, b"3e9\r\n".to_vec(), vec![b'x'; 1001], b"\r\n".to_vec()].concat();
    for bytes in [promise("200 OK", "", 1001, b""), endless] {
        let server = Server::script(vec![bytes]).await;
        let error = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 1000, .. }), "{error:?}");
    }
    let server = Server::script(vec![answer("200 OK", "", &[b'x'; 1000])]).await;
    assert_eq!(get(&client(), &server.url("/")).await.unwrap().body.len(), 1000);
}

const GZIP_HEAD: &[u8] = b"1f8b0800000000000203edc13101000000c2a0f54f6d067fa0";
const GZIP_ZEROS: usize = 193;
const GZIP_TAIL: &[u8] = b"80d7007b58e05c400d0300";

/// 200,000 zeros: a header, a run that refers to itself, a check sum and the length.
fn gzip_bomb() -> Vec<u8> {
    let mut bytes = data_encoding::HEXLOWER.decode(GZIP_HEAD).unwrap();
    bytes.resize(bytes.len() + GZIP_ZEROS, 0);
    bytes.extend(data_encoding::HEXLOWER.decode(GZIP_TAIL).unwrap());
    bytes
}

#[tokio::test]
async fn a_compressed_answer_is_bounded_by_what_it_decodes_to() {
    let bomb = gzip_bomb();
    assert!(bomb.len() < 1000);
    let server = Server::start(move |_| answer("200 OK", "Content-Encoding: gzip\r\n", &gzip_bomb())).await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 1000, .. }), "{error:?}");
    let whole = client().get_limited(&server.url("/"), &[], 200_000, Duration::from_secs(20)).await.unwrap();
    assert_eq!(whole.body, vec![0; 200_000]);
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_refused() {
    let mut server = Server::start(|_| answer("200 OK", "Content-Encoding: br\r\n", b"?")).await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, HttpError::Encoding { .. }), "{error:?}");
    assert!(server.request().contains("accept-encoding: gzip\r\n"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    for bytes in [promise("200 OK", "", 10, b"12345"), b"HTTP/1.1 200".to_vec(), b"SSH-2.0-x\r\n".to_vec(), Vec::new()]
    {
        let server = Server::script(vec![bytes]).await;
        let error = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_failure_names_the_host_and_the_innermost_cause_but_no_secret() {
    let vacant = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = get(&client(), &format!("http://user:password@{vacant}/passkey")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("connect to {vacant}"));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.to_lowercase().contains("refused"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let error = get(&client(), &url).await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn headers_and_urls_cannot_smuggle_lines() {
    let server = Server::start(|_| answer("200 OK", "", b"")).await;
    let headers = [("If-None-Match", "x\r\nHost: elsewhere")];
    let smuggled = client().get_limited(&server.url("/"), &headers, 10, Duration::from_secs(20)).await;
    assert!(matches!(smuggled, Err(HttpError::Header { .. })));
    let mut server = server;
    get(&client(), &server.url("/a\r\nx-evil: 1")).await.unwrap();
    assert!(!server.request().contains("\r\nx-evil"));
}

#[tokio::test]
async fn a_stream_is_read_as_it_comes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let mut server = Server::script(vec![[head, "event: episode\n\n"].concat().into_bytes()]).await;
    let mut stream = client().stream(&server.url("/events"), &[("Last-Event-ID", "7")]).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "event: episode\n\n");
    assert!(server.request().contains("last-event-id: 7"));
}

#[tokio::test]
async fn an_announce_goes_out_over_each_family_that_the_host_has() {
    let server = Server::start(|_| answer("200 OK", "", b"d8:intervali9ee")).await;
    let results = client().announce(&server.url("/announce?info_hash=%00%ff")).await;
    assert!(matches!(&results[..], [Ok(body)] if body == "d8:intervali9ee"), "{results:?}");

    // The name has an address of either family on most machines; the server listens on one.
    let results = client().announce(&format!("http://localhost:{}/", server.addr.port())).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|result| !matches!(result, Err(HttpError::NoAddress { .. }))), "{results:?}");
}

#[test]
fn a_host_that_wants_to_be_left_alone_says_for_how_long_or_until_when() {
    let asked = |headers: &[(&str, &str)]| {
        let header = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        retry_after(&headers.iter().map(header).collect())
    };
    let now = ("date", "Fri, 20 Nov 2026 06:00:00 GMT");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(asked(&[("retry-after", " 90 ")]), seconds(90));
    assert_eq!(asked(&[now, ("retry-after", "Fri, 20 Nov 2026 06:10:00 GMT")]), seconds(600));
    assert_eq!(asked(&[now, ("retry-after", "Thu, 19 Nov 2026 06:10:00 GMT")]), seconds(0));
    assert_eq!(asked(&[now, ("retry-after", "soon")]), None);
    assert_eq!(asked(&[now]), None);
    assert!(asked(&[("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT")]) > seconds(86_400));
}

#[tokio::test]
async fn a_tracker_s_refusal_is_an_answer_whatever_its_status() {
    let refusal = answer("400 Bad Request", "", b"d14:failure reason2:noe");
    let busy = answer("503 Busy", "Retry-After: 60\r\n", b"<html>");
    let server = Server::script(vec![refusal, busy]).await;
    assert!(client().announce(&server.url("/")).await[0].is_ok());
    let results = client().announce(&server.url("/")).await;
    let minute = Some(Duration::from_mins(1));
    let [Err(HttpError::Status { status: 503, retry_after, .. })] = &results[..] else { panic!("{results:?}") };
    assert_eq!(*retry_after, minute);
    assert!(matches!(client().announce("not a url").await[..], [Err(HttpError::Url { .. })]));
    assert!(matches!(client().announce("udp://127.0.0.1:1/").await[0], Err(HttpError::Scheme { .. })));
}

/// A folder to download into.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn download(&self, server: &Server, options: &DownloadOptions) -> Result<Downloaded, HttpError> {
        client().download(&server.url("/ep.mp3"), &self.path(".ep.part"), &self.path("ep.mp3"), options).await
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

const AUDIO: &str = "Content-Type: audio/mpeg\r\nETag: \"one\"\r\n";

fn partial(range: &str, body: &[u8]) -> Vec<u8> {
    answer("206 Partial Content", &format!("{AUDIO}Content-Range: bytes {range}\r\n"), body)
}

#[tokio::test]
async fn a_download_ends_under_its_name_and_leaves_nothing_else() {
    let mut server = Server::script(vec![answer("200 OK", AUDIO, b"0123456789")]).await;
    let folder = Folder::new();
    let options = DownloadOptions { expected_len: Some(10), max_bytes: Some(10), ..DownloadOptions::default() };
    let downloaded = folder.download(&server, &options).await.unwrap();
    assert_eq!(downloaded, Downloaded { bytes: 10, resumed_from: 0 });
    assert_eq!((folder.names(), folder.read("ep.mp3")), (vec!["ep.mp3".to_owned()], b"0123456789".to_vec()));
    assert!(server.request().contains("accept-encoding: identity"));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke_off() {
    let broken = promise("200 OK", AUDIO, 10, b"01234");
    let mut server = Server::script(vec![broken, partial("5-9/10", b"56789")]).await;
    let folder = Folder::new();
    let (told, mut progress) = unbounded_channel();
    let tell = move |bytes| told.send(bytes).unwrap();
    let options = DownloadOptions { progress: Some(Arc::new(tell)), ..DownloadOptions::default() };
    let error = folder.download(&server, &options).await.unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error:?}");
    assert_eq!((folder.names().len(), folder.read(".ep.part")), (2, b"01234".to_vec()));

    let downloaded = folder.download(&server, &options).await.unwrap();
    assert_eq!(downloaded, Downloaded { bytes: 10, resumed_from: 5 });
    assert_eq!((folder.names().len(), folder.read("ep.mp3")), (1, b"0123456789".to_vec()));
    server.request();
    let second = server.request();
    assert!(second.contains("range: bytes=5-\r\n") && second.contains("if-range: \"one\"\r\n"), "{second}");
    assert_eq!((progress.try_recv(), progress.try_recv()), (Ok(5), Ok(10)));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_what_it_sent_is_kept_for_when_it_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ep.mp3", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        read_head(&mut silent).await;
        silent.write_all(&promise("200 OK", AUDIO, 10, b"01234")).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let head = read_head(&mut second).await;
        second.write_all(&partial("5-9/10", b"56789")).await.unwrap();
        head
    });
    let folder = Folder::new();
    let (part, path) = (folder.path(".ep.part"), folder.path("ep.mp3"));
    let hasty = DownloadOptions { silence: Some(Duration::from_secs(1)), ..DownloadOptions::default() };
    let error = client().download(&url, &part, &path, &hasty).await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error:?}");
    // One that has no such file takes nothing of it.
    let without = Server::script(vec![answer("404 Not Found", "", b"")]).await;
    folder.download(&without, &hasty).await.unwrap_err();
    let downloaded = client().download(&url, &part, &path, &DownloadOptions::default()).await.unwrap();
    assert_eq!((downloaded.resumed_from, folder.read("ep.mp3")), (5, b"0123456789".to_vec()));
    assert!(server.await.unwrap().contains("range: bytes=5-\r\n"));
}

#[tokio::test]
async fn another_version_is_never_put_together_with_the_first() {
    let newer = answer("200 OK", "ETag: \"two\"\r\n", b"abcdefghij");
    let server = Server::script(vec![promise("200 OK", AUDIO, 10, b"01234"), newer]).await;
    let folder = Folder::new();
    folder.download(&server, &DownloadOptions::default()).await.unwrap_err();
    let downloaded = folder.download(&server, &DownloadOptions::default()).await.unwrap();
    assert_eq!((downloaded.resumed_from, folder.read("ep.mp3")), (0, b"abcdefghij".to_vec()));
}

#[tokio::test]
async fn a_part_that_was_whole_but_for_its_name_is_not_fetched_again() {
    let whole = answer("416 Range Not Satisfiable", "Content-Range: bytes */10\r\n", b"");
    let server = Server::script(vec![promise("200 OK", AUDIO, 11, b"0123456789"), whole]).await;
    let folder = Folder::new();
    folder.download(&server, &DownloadOptions::default()).await.unwrap_err();
    let downloaded = folder.download(&server, &DownloadOptions::default()).await.unwrap();
    assert_eq!((downloaded, folder.names()), (Downloaded { bytes: 10, resumed_from: 10 }, vec!["ep.mp3".to_owned()]));
}

#[tokio::test]
async fn a_sample_is_what_was_asked_for_or_the_beginning_of_the_whole() {
    let answers = vec![partial("4-6/10", b"456"), answer("200 OK", AUDIO, b"0123456789"), answer("410 Gone", "", b"")];
    let mut server = Server::script(answers).await;
    let sample = |start, bytes: &[u8]| Sample { start, bytes: bytes.to_vec(), total: Some(10) };
    let url = server.url("/e.mp3");
    assert_eq!(client().sample(&url, 4, 3).await.unwrap(), sample(4, b"456"));
    assert!(server.request().contains("range: bytes=4-6\r\n"));
    assert_eq!(client().sample(&url, 4, 3).await.unwrap(), sample(0, b"012"));
    assert!(matches!(client().sample(&url, 0, 3).await, Err(HttpError::Status { status: 410, .. })));
}

#[tokio::test]
async fn a_server_that_makes_no_sense_of_a_range_is_asked_for_the_whole() {
    for senseless in [
        partial("0-9/10", b"0123456789"),
        partial("*/10", b"56789"),
        answer("206 Partial Content", AUDIO, b"56789"),
        answer("416 Range Not Satisfiable", "Content-Range: bytes */3\r\n", b""),
        answer("416 Range Not Satisfiable", "", b""),
    ] {
        let broken = promise("200 OK", AUDIO, 10, b"xxxxx");
        let server = Server::script(vec![broken, senseless, answer("200 OK", AUDIO, b"0123456789")]).await;
        let folder = Folder::new();
        folder.download(&server, &DownloadOptions::default()).await.unwrap_err();
        let downloaded = folder.download(&server, &DownloadOptions::default()).await.unwrap();
        assert_eq!((downloaded.resumed_from, folder.read("ep.mp3")), (0, b"0123456789".to_vec()));
    }
}

#[tokio::test]
async fn a_part_whose_version_nobody_knows_is_begun_anew() {
    for (headers, sidecar) in [("ETag: W/\"weak\"\r\n", None), ("", None), (AUDIO, Some(&b"d3:url"[..]))] {
        let broken = promise("200 OK", headers, 10, b"01234");
        let mut server = Server::script(vec![broken, answer("200 OK", headers, b"0123456789")]).await;
        let folder = Folder::new();
        folder.download(&server, &DownloadOptions::default()).await.unwrap_err();
        if let Some(torn) = sidecar {
            fs::write(folder.path(".ep.part.http"), torn).unwrap();
        }
        folder.download(&server, &DownloadOptions::default()).await.unwrap();
        server.request();
        assert!(!server.request().contains("range:"));
    }
}

#[tokio::test]
async fn a_last_modified_serves_where_there_is_no_strong_tag() {
    let headers = "ETag: W/\"weak\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    let server = Server::script(vec![promise("200 OK", headers, 10, b"01234"), partial("5-9/10", b"56789")]).await;
    let mut server = server;
    let folder = Folder::new();
    folder.download(&server, &DownloadOptions::default()).await.unwrap_err();
    assert_eq!(folder.download(&server, &DownloadOptions::default()).await.unwrap().resumed_from, 5);
    server.request();
    assert!(server.request().contains("if-range: mon, 01 jan 2024 00:00:00 gmt"));
}

#[tokio::test]
async fn what_is_not_the_file_is_refused_before_anything_is_kept() {
    let page = answer("200 OK", "Content-Type: Text/HTML; charset=utf-8\r\n", b"<html>");
    let gone = answer("404 Not Found", "", b"");
    let packed = answer("200 OK", "Content-Encoding: gzip\r\n", &gzip_bomb());
    let server = Server::script(vec![page, gone, packed]).await;
    let folder = Folder::new();
    let options = DownloadOptions::default();
    assert!(matches!(folder.download(&server, &options).await, Err(HttpError::Html { .. })));
    assert!(matches!(folder.download(&server, &options).await, Err(HttpError::Status { status: 404, .. })));
    assert!(matches!(folder.download(&server, &options).await, Err(HttpError::Encoding { .. })));
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn what_its_caller_refuses_has_no_name_and_leaves_no_part() {
    let server =
        Server::script(vec![answer("200 OK", AUDIO, b"0123456789"), answer("200 OK", AUDIO, b"abcdefghij")]).await;
    let folder = Folder::new();
    let check = Check::new(|path| Ok((fs::read(path)? != b"abcdefghij").then(|| "sends digits".to_owned())));
    let options = DownloadOptions { check: Some(check), ..DownloadOptions::default() };
    let error = folder.download(&server, &options).await.unwrap_err();
    assert!(error.to_string().ends_with(" sends digits"), "{error}");
    assert!(folder.names().is_empty());
    assert_eq!(folder.download(&server, &options).await.unwrap().bytes, 10);
}

#[tokio::test]
async fn a_file_of_the_wrong_length_leaves_no_part() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"x\"\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
    for (bytes, expected_len, max_bytes) in [
        (answer("200 OK", AUDIO, b"0123456789"), Some(11), None),
        (answer("200 OK", AUDIO, b"0123456789"), None, Some(9)),
        (chunked.as_bytes().to_vec(), Some(9), None),
        (chunked.as_bytes().to_vec(), Some(11), None),
        (chunked.as_bytes().to_vec(), None, Some(9)),
    ] {
        let server = Server::script(vec![bytes]).await;
        let folder = Folder::new();
        let options = DownloadOptions { expected_len, max_bytes, ..DownloadOptions::default() };
        let error = folder.download(&server, &options).await.unwrap_err();
        assert!(matches!(error, HttpError::Length { .. } | HttpError::TooLarge { .. }), "{error:?}");
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[tokio::test]
async fn a_cancelled_download_keeps_its_part() {
    let server = Server::script(vec![promise("200 OK", AUDIO, 10, b"01234")]).await;
    let folder = Folder::new();
    let cancel = CancellationToken::new();
    let cancelled = cancel.clone();
    let progress = Arc::new(move |_| cancelled.cancel());
    let options = DownloadOptions { progress: Some(progress), cancel, ..DownloadOptions::default() };
    assert!(matches!(folder.download(&server, &options).await, Err(HttpError::Cancelled)));
    assert_eq!(folder.read(".ep.part"), b"01234");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let server = Server::script(vec![answer("200 OK", AUDIO, b"0123456789")]).await;
    let missing = PathBuf::from("/nowhere/at/all.part");
    let error = client().download(&server.url("/"), &missing, &missing, &DownloadOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "keep the download in `/nowhere/at/all.part`");
}

const MIB: usize = 1 << 20;

/// A server of one file that sends what it is asked for, and counts it.
struct Library {
    addr: SocketAddr,
    shelf: Arc<Shelf>,
    requests: UnboundedReceiver<String>,
}

struct Shelf {
    file: Vec<u8>,
    does_ranges: bool,
    sent: AtomicU64,
    etag: watch::Sender<&'static str>,
    /// What begins with the file stops after a MiB, until this is false.
    is_slow: watch::Sender<bool>,
}

impl Library {
    async fn start(mebibytes: usize, does_ranges: bool) -> Self {
        let file: Vec<u8> =
            (0..mebibytes * MIB).map(|n| (n / 251).to_le_bytes()[0] ^ (n % 253).to_le_bytes()[0]).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (etag, is_slow) = (watch::Sender::new("one"), watch::Sender::new(false));
        let shelf = Arc::new(Shelf { file, does_ranges, sent: AtomicU64::new(0), etag, is_slow });
        let (seen, requests) = unbounded_channel();
        let served = Arc::clone(&shelf);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&served).answer(socket, seen.clone()));
            }
        });
        Self { addr, shelf, requests }
    }

    fn sent(&self) -> u64 {
        self.shelf.sent.load(Ordering::SeqCst)
    }

    /// Begins a download, and gives what is read of it.
    fn fetch(
        &self,
        folder: &Folder,
        growing: &Growing,
    ) -> (JoinHandle<Result<Downloaded, HttpError>>, CancellationToken) {
        let cancel = CancellationToken::new();
        let options =
            DownloadOptions { growing: growing.clone(), cancel: cancel.clone(), ..DownloadOptions::default() };
        let (url, part, path) = (format!("http://{}/", self.addr), folder.path(".ep.part"), folder.path("ep.mp3"));
        (tokio::spawn(async move { client().download(&url, &part, &path, &options).await }), cancel)
    }
}

impl Shelf {
    async fn answer(self: Arc<Self>, mut socket: TcpStream, seen: UnboundedSender<String>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = socket.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let etag = *self.etag.borrow();
        let range = head.split_once("range: bytes=").map(|(_, rest)| rest.split_once("\r\n").unwrap().0);
        let is_current = !head.contains("if-range: ") || head.contains(&format!("if-range: \"{etag}\""));
        let total = self.file.len();
        let asked = range.filter(|_| self.does_ranges && is_current).map(|range| {
            let (first, last) = range.split_once('-').unwrap();
            first.parse().unwrap()..last.parse().map_or(total, |last: usize| (last + 1).min(total))
        });
        seen.send(head.clone()).unwrap();
        let part = asked.clone().unwrap_or(0..total);
        let status = if asked.is_some() { "206 Partial Content" } else { "200 OK" };
        let range = format!("Content-Range: bytes {}-{}/{total}\r\n", part.start, part.end - 1);
        let range = if asked.is_some() { range } else { String::new() };
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\nETag: \"{etag}\"\r\n{range}\r\n",
            part.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut at = part.start;
        while at < part.end {
            if part.start == 0 && at >= MIB {
                self.is_slow.subscribe().wait_for(|is_slow| !is_slow).await.unwrap();
            }
            let next = part.end.min(at + MIB / 16);
            if socket.write_all(&self.file[at..next]).await.is_err() {
                return;
            }
            self.sent.fetch_add((next - at) as u64, Ordering::SeqCst);
            at = next;
        }
        // It ends when the client does.
        let _ = socket.shutdown().await;
        let _ = socket.read_u8().await;
    }
}

/// All of a range, as it comes.
async fn read(growing: &Growing, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    growing.described_length().await;
    let mut reader = growing.read(range).await?;
    let mut bytes = Vec::new();
    while let Some(more) = reader.next().await? {
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_is_read_while_it_comes_is_sent_once() {
    for does_ranges in [true, false] {
        let mut library = Library::start(13, does_ranges).await;
        let (folder, growing) = (Folder::new(), Growing::default());
        growing.expect_reader();
        let (download, _) = library.fetch(&folder, &growing);
        let heard = read(&growing, 0..u64::MAX).await.unwrap();
        assert_eq!(download.await.unwrap().unwrap(), Downloaded { bytes: 13 << 20, resumed_from: 0 });
        assert!(heard == library.shelf.file && folder.read("ep.mp3") == heard);
        assert_eq!((library.sent(), folder.names()), (13 << 20, vec!["ep.mp3".to_owned()]));
        assert!(library.requests.try_recv().unwrap().contains("range: bytes=0-4194303\r\n"));
        assert_eq!(library.requests.try_recv().is_ok(), does_ranges, "further steps are asked for");
    }
}

#[tokio::test]
async fn a_jump_does_not_wait_for_what_lies_before_and_no_byte_is_sent_twice() {
    let library = Library::start(16, true).await;
    library.shelf.is_slow.send_replace(true);
    let (folder, growing) = (Folder::new(), Growing::default());
    growing.expect_reader();
    let (download, _) = library.fetch(&folder, &growing);
    let whole = &library.shelf.file;
    assert!(read(&growing, 0..1000).await.unwrap() == whole[..1000]);
    let (tail, middle) = tokio::join!(read(&growing, 14 << 20..u64::MAX), read(&growing, 9 << 20..10 << 20));
    assert!(tail.unwrap() == whole[14 * MIB..] && middle.unwrap() == whole[9 * MIB..10 * MIB]);
    assert!(!download.is_finished(), "the beginning is yet to come");
    library.shelf.is_slow.send_replace(false);
    assert_eq!(download.await.unwrap().unwrap().bytes, 16 << 20);
    assert!(folder.read("ep.mp3") == *whole);
    assert_eq!((library.sent(), folder.names().len()), (16 << 20, 1));
}

#[tokio::test]
async fn where_no_parts_are_sent_a_jump_waits() {
    let mut library = Library::start(3, false).await;
    library.shelf.is_slow.send_replace(true);
    let (folder, growing) = (Folder::new(), Growing::default());
    let (download, _) = library.fetch(&folder, &growing);
    let slow = library.shelf.is_slow.clone();
    let release = async {
        // The first asks for the whole, the second for the tail of it.
        for _ in 0..2 {
            library.requests.recv().await.unwrap();
        }
        slow.send_replace(false);
    };
    let (tail, ()) = tokio::join!(read(&growing, 2 << 20..u64::MAX), release);
    assert!(tail.unwrap() == library.shelf.file[2 * MIB..]);
    download.await.unwrap().unwrap();
    assert!(folder.read("ep.mp3") == library.shelf.file);
}

#[tokio::test]
async fn a_part_with_holes_goes_on_with_them() {
    let mut library = Library::start(16, true).await;
    library.shelf.is_slow.send_replace(true);
    let (folder, growing) = (Folder::new(), Growing::default());
    let (download, cancel) = library.fetch(&folder, &growing);
    assert!(read(&growing, 12 << 20..u64::MAX).await.unwrap() == library.shelf.file[12 * MIB..]);
    cancel.cancel();
    assert!(matches!(download.await.unwrap(), Err(HttpError::Cancelled)));
    // Who does not know of holes would take it for a part that goes as far as the file is long.
    let sidecar = fs::read(folder.path(".ep.part.http")).unwrap();
    assert!(String::from_utf8_lossy(&sidecar).starts_with("d4:runsl"), "{sidecar:?}");
    library.shelf.is_slow.send_replace(false);
    while library.requests.try_recv().is_ok() {}

    let (download, _) = library.fetch(&folder, &Growing::default());
    let downloaded = download.await.unwrap().unwrap();
    assert!(downloaded.resumed_from >= 4 << 20, "{downloaded:?}");
    assert!(folder.read("ep.mp3") == library.shelf.file);
    let request = library.requests.try_recv().unwrap();
    assert!(request.contains("-12582911\r\n") && request.contains("if-range: \"one\"\r\n"), "{request}");
    assert!(library.requests.try_recv().is_err(), "nothing else was missing");
}

#[tokio::test]
async fn who_reads_gets_nothing_of_another_version() {
    let library = Library::start(8, true).await;
    library.shelf.is_slow.send_replace(true);
    let (folder, growing) = (Folder::new(), Growing::default());
    growing.expect_reader();
    let (download, _) = library.fetch(&folder, &growing);
    read(&growing, 0..1000).await.unwrap();
    library.shelf.etag.send_replace("two");
    let tail = read(&growing, 7 << 20..u64::MAX).await;
    assert!(tail.unwrap_err().to_string().contains("begun anew"));
    library.shelf.is_slow.send_replace(false);
    assert_eq!(download.await.unwrap().unwrap(), Downloaded { bytes: 8 << 20, resumed_from: 0 });
    assert!(folder.read("ep.mp3") == library.shelf.file);
}

#[tokio::test]
async fn who_reads_does_not_wait_for_a_download_that_has_ended() {
    let (heard_half, told) = oneshot::channel();
    let server = Server::in_parts(promise("200 OK", AUDIO, 10, b"01234"), told, Vec::new()).await;
    let (folder, growing) = (Folder::new(), Growing::default());
    let options = DownloadOptions { growing: growing.clone(), ..DownloadOptions::default() };
    let (ended, heard) = tokio::join!(folder.download(&server, &options), async {
        growing.described_length().await;
        let mut reader = growing.read(0..10).await.unwrap();
        let half = reader.next().await.unwrap().unwrap();
        heard_half.send(()).unwrap();
        (half, reader.next().await)
    });
    assert!(matches!(ended, Err(HttpError::Broken { .. })));
    assert!(heard.0 == "01234" && heard.1.unwrap_err().to_string().contains("has ended"));
    assert!(Growing::default().read(0..1).await.is_err());
}

#[tokio::test]
async fn what_has_no_length_is_read_to_its_end() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"x\"\r\n\r\na\r\n0123456789\r\n";
    let (heard_length, told) = oneshot::channel();
    let server = Server::in_parts(chunked.into(), told, b"0\r\n\r\n".to_vec()).await;
    let (folder, growing) = (Folder::new(), Growing::default());
    growing.expect_reader();
    let options = DownloadOptions { growing: growing.clone(), ..DownloadOptions::default() };
    let (ended, heard) = tokio::join!(folder.download(&server, &options), async {
        let length = growing.described_length().await;
        heard_length.send(()).unwrap();
        (length, read(&growing, 0..u64::MAX).await.unwrap())
    });
    assert_eq!(ended.unwrap().bytes, 10);
    assert_eq!(heard, (Some(None), b"0123456789".to_vec()));
}
