//! What hubs that tell of feeds' news (W3C `WebSub`) and we say to each other: they are asked, and they come to the
//! port for peers.
//!
//! Whoever comes there and asks by HTTP may be anybody. He is answered on one request for each connection, within
//! [`VISIT`], and with 404 and nothing else, unless he knows a path that was given to a hub. What a hub sends is not
//! kept: it is read to see whether it is signed, and only that there is news is told on.
//!
//! Law: a wrong signature is answered as a right one is.
//!
//! Source: W3C `WebSub`, sections 5 and 7.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode, Uri};
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use podswarm_core::app::hook::SignatureCheck;
use podswarm_core::app::{Guarded, Quota};
use podswarm_core::net::{PortMap, Visitor};
use podswarm_feeds::read::MAX_FEED_BYTES;
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use tokio::sync::{mpsc, oneshot, watch};
use url::{Url, form_urlencoded};

use super::Message;
use super::kit::Kit;
use crate::address::reach_of_links;
use crate::agent::Input;
use crate::agent::websub::{Farewell, LEASE, Question, Request, callback_at};
use crate::dot_torrent::sentence;
use crate::records::FeedId;

/// How long a hub may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Redirects of a hub that are followed.
const MOST_REDIRECTS: usize = 3;
/// How often our own address is looked at.
const LOOK: Duration = Duration::from_mins(1);

/// Visitors at once, in all and of one address.
const VISITORS: [usize; 2] = [32, 8];
/// How long a visit may last.
const VISIT: Duration = Duration::from_mins(1);
/// How long a visitor may be silent, and how long he may take for the head of his request.
const SILENCE: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// Tells the agent where whoever is outside reaches us, now and whenever that changes.
pub(super) async fn watch_outside(kit: Arc<Kit>, mut port_map: watch::Receiver<PortMap>) {
    let mut known = None;
    while let Some(engine) = kit.engine() {
        let outside = engine.outside();
        if known != outside {
            known = outside;
            kit.tell(Input::Outside(outside)).await;
        }
        if let Ok(Err(_)) = tokio::time::timeout(LOOK, port_map.changed()).await {
            // No router is asked, so that nobody tells when our own address changes.
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Asks a hub to tell us of a feed, and tells the agent what came of it.
pub(super) async fn ask(kit: Arc<Kit>, feed: FeedId, request: Request, outside: Option<SocketAddr>, is_local: bool) {
    let serial = request.serial;
    let outcome = subscribe(&kit, request, outside, is_local).await;
    kit.tell(Input::HubAnswered { feed, serial, outcome }).await;
}

async fn subscribe(kit: &Kit, request: Request, outside: Option<SocketAddr>, is_local: bool) -> Result<Url, String> {
    let addr = if is_local { reached_by(kit, &request.hub).await } else { outside };
    let callback = callback_at(addr.ok_or("it does not reach this machine")?, &request.token);
    let lease = LEASE.as_secs().to_string();
    // The secret is for this hub alone, so that no more is lost than is said here where it is sent in the clear.
    let fields = [
        ("hub.mode", "subscribe"),
        ("hub.topic", &request.topic),
        ("hub.callback", callback.as_str()),
        ("hub.lease_seconds", &lease),
        ("hub.secret", &request.secret),
    ];
    send(kit, request.hub, &fields, is_local).await.map(|()| callback)
}

/// Asks a hub to tell us no more. One that is not there forgets us when the lease is over.
pub(super) async fn leave(kit: Arc<Kit>, farewell: Farewell, is_local: bool) {
    let Farewell { hub, topic, callback, .. } = farewell;
    let host = hub.host_str().unwrap_or_default().to_owned();
    let fields = [("hub.mode", "unsubscribe"), ("hub.topic", &topic), ("hub.callback", callback.as_str())];
    if let Err(error) = send(&kit, hub, &fields, is_local).await {
        tracing::debug!(host, error, "a hub does not hear that we leave");
    }
}

/// Where a hub reaches us that may be in our own network.
async fn reached_by(kit: &Kit, hub: &Url) -> Option<SocketAddr> {
    let engine = kit.engine()?;
    let (host, port) = (hub.host_str()?.trim_matches(['[', ']']), hub.port_or_known_default()?);
    let mut found = tokio::net::lookup_host((host, port)).await.ok()?;
    found.find_map(|addr| engine.reached_by(addr.ip()))
}

/// Sends a hub what it is asked; a redirect that keeps the request is followed.
async fn send(kit: &Kit, mut hub: Url, fields: &[(&str, &str)], is_local: bool) -> Result<(), String> {
    let Ok(_place) = kit.polls.acquire().await else { return Err("the agent is stopping".to_owned()) };
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    for _ in 0..=MOST_REDIRECTS {
        let mut request = reqwest::Request::new(Method::POST, hub.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.body_mut() = Some(body.clone().into());
        let response = kit.http(reach_of_links(is_local)).send(request, TIMEOUT).await.map_err(sentence)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let location = response.headers().get(LOCATION).and_then(|to| hub.join(to.to_str().ok()?).ok());
        match location {
            Some(to) if matches!(status.as_u16(), 307 | 308) && is_as_safe(&hub, &to) => hub = to,
            _ => return Err(format!("it answers {}", status.as_u16())),
        }
    }
    Err("it leads round and round".to_owned())
}

/// Whether what was sent to the one may be sent to the other.
fn is_as_safe(from: &Url, to: &Url) -> bool {
    to.scheme() == "https" || to.scheme() == from.scheme() && to.scheme() == "http"
}

/// Receives whoever comes to the port for peers and asks by HTTP, a few at once.
pub(super) async fn receive(kit: Arc<Kit>, mut visitors: mpsc::Receiver<Visitor>) {
    let places = Quota::new(VISITORS[0], VISITORS[1]);
    while let Some(Visitor { stream, begun }) = visitors.recv().await {
        let asker = stream.peer_addr().ok().map(|addr| addr.ip().to_canonical());
        let Some(place) = places.admit(asker) else { continue };
        let visit = visit(Arc::clone(&kit), stream, begun);
        kit.spawn(async move {
            // Who takes longer is left.
            let _ = tokio::time::timeout(VISIT, visit).await;
            drop(place);
        });
    }
}

async fn visit(kit: Arc<Kit>, stream: tokio::net::TcpStream, begun: Vec<u8>) {
    let mut stream = Guarded::new(stream, SILENCE);
    stream.unread(begun);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let kit = Arc::clone(&kit);
        async move { Ok::<_, Infallible>(answer(&kit, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a visitor has gone");
    }
}

async fn answer(kit: &Kit, request: hyper::Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Some(token) = token_of(&head.uri) else { return empty(StatusCode::NOT_FOUND) };
    match head.method {
        Method::GET => {
            let question = Question::read(head.uri.query().unwrap_or_default());
            let Some(question) = question else { return empty(StatusCode::NOT_FOUND) };
            match ask_hub(kit, |reply| Message::HubCame { token: token.to_owned(), question, reply }).await.flatten() {
                Some(echo) => text(echo),
                None => empty(StatusCode::NOT_FOUND),
            }
        }
        Method::POST => {
            let secret = ask_hub(kit, |reply| Message::HubSecret { token: token.to_owned(), reply }).await.flatten();
            // Who has left says so (section 7).
            let Some(secret) = secret else { return empty(StatusCode::GONE) };
            let signature = head.headers.get("x-hub-signature").and_then(|it| it.to_str().ok());
            let check = signature.and_then(|it| SignatureCheck::new(secret.as_bytes(), it));
            match is_right(check, body).await {
                Some(true) => kit.tell(Input::HubTold { token: token.to_owned() }).await,
                Some(false) => tracing::debug!("somebody tells of news and has not signed it as he should"),
                None => return empty(StatusCode::PAYLOAD_TOO_LARGE),
            }
            empty(StatusCode::ACCEPTED)
        }
        _ => empty(StatusCode::NOT_FOUND),
    }
}

/// Asks the hub's task; nothing if it has ended.
async fn ask_hub<T>(kit: &Kit, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    kit.inbox.send(message(reply)).await.ok()?;
    answer.await.ok()
}

/// The path that was given to a hub, if this looks like one.
fn token_of(uri: &Uri) -> Option<&str> {
    let token = uri.path().strip_prefix('/')?;
    let is_drawn = token.len() == 32 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_drawn.then_some(token)
}

/// Reads a body to its end, and says whether it is signed as it should be; nothing if it is longer than any feed.
async fn is_right(mut check: Option<SignatureCheck>, body: Incoming) -> Option<bool> {
    let (mut parts, mut length) = (Body::new(body).into_data_stream(), 0);
    while let Some(part) = parts.next().await {
        // What is cut off is signed by nobody.
        let Ok(part): Result<Bytes, _> = part else { return Some(false) };
        length += part.len();
        if length > MAX_FEED_BYTES {
            return None;
        }
        if let Some(check) = &mut check {
            check.update(&part);
        }
    }
    Some(check.is_some_and(SignatureCheck::is_right))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn text(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_drawn_is_a_path_of_ours() {
        let token = "0123456789abcdef".repeat(2);
        let of = |path: &str| token_of(&path.parse().unwrap()).map(str::to_owned);
        assert_eq!(of(&format!("/{token}?hub.mode=subscribe")), Some(token.clone()));
        assert_eq!(of(callback_at("[2001:db8::1]:80".parse().unwrap(), &token).as_str()), Some(token.clone()));
        for path in ["/", "/feed.xml", &token.to_uppercase(), &format!("//{token}"), &format!("/{token}/"), "*"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn what_was_meant_for_one_that_nobody_overhears_is_not_sent_in_the_clear() {
        let url = |text: &str| Url::parse(text).unwrap();
        let [clear, safe, other] = ["http://a.example/", "https://a.example/", "ftp://a.example/"].map(url);
        assert!(is_as_safe(&clear, &safe) && is_as_safe(&clear, &clear) && is_as_safe(&safe, &safe));
        assert!(!is_as_safe(&safe, &clear) && !is_as_safe(&clear, &other));
    }
}
