//! The agent's web listener: it serves what is kept, what is being fetched while it comes, and the owner's view of it
//! (`pages`).
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /media/FEED/NUMBER/NAME?token=TOKEN` | the episode's bytes: `Range`, `If-Range`, HEAD |
//! | `GET /media/HASH/NAME?token=TOKEN` | the same of a torrent that one command fetches |
//! | `GET /feed.xml?token=TOKEN` | everything that is kept, as a feed for podcast apps, with an entity tag |
//! | `GET /cover/FEED/NAME?token=TOKEN` | the cover of a show, if it is kept |
//! | `GET /chapters/FEED/NUMBER.json?token=TOKEN` | the chapters of an episode, if they are kept, with an entity tag |
//!
//! Bytes of an episode that is being fetched are given once they are there, and verified if they are a torrent's; where
//! the asker reads is fetched first.
//! A body holds one read's bytes at a time, and ends when the asker goes. NAME is there for players that look at it.
//! `phone` opens feed, media, covers and chapters to the house's network, if the owner wants it, and there `sync` keeps
//! podcast apps in step for who passes the `gate`; `serve` is the loop under all of it.
//!
//! Laws: the agent's own listener is on loopback alone; nothing is answered without the token, nor under another
//! host's name, nor outside of what is kept and fetched.
//!
//! Source: RFC 9110, sections 13 and 14.

mod body;
mod extras;
mod feed;
mod gate;
mod media;
mod pages;
mod phone;
mod serve;
mod shelf;
mod sync;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use podswarm_core::app::{
    DataDir, Explain, Failure, Out, is_loopback_host, new_token, secret_matches, token_matches, write_atomic,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use gate::{draw_password, forget_password};
use pages::Door;
pub use phone::PhoneAddr;
pub(crate) use phone::{PhoneLine, forget_token as forget_phone_token};
pub(crate) use serve::serve;
pub(crate) use shelf::{Found, Kept, Piece, Shelf};

use crate::names;
use crate::records::{EpisodeId, FeedId};

/// The port of the listener.
const DEFAULT_PORT: u16 = 6970;
/// How many ports from the default one on are tried.
const TRIED: u16 = 20;
/// The file in the data directory that keeps the token of players' addresses.
const TOKEN_FILE: &str = "web-token";
/// What is escaped in the last part of a path.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'`');

/// Where the listener is, as it was typed: `IP:PORT`, `IP` or `PORT`, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebAddr {
    ip: IpAddr,
    /// The default one, or one near it, if absent.
    port: Option<u16>,
}

impl WebAddr {
    /// The default port, or one near it.
    pub const DEFAULT: Self = Self { port: None, ..Self::ANY };
    /// Any free port.
    pub const ANY: Self = Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: Some(0) };
}

impl FromStr for WebAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address to listen on; want IP:PORT, an IP or a port");
        let addr = match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
            (Ok(port), _) => Self { port: Some(port), ..Self::ANY },
            (_, Ok(addr)) => Self { ip: addr.ip(), port: Some(addr.port()) },
            _ => Self { ip: text.parse().map_err(|_| wrong())?, port: None },
        };
        if addr.ip.is_loopback() {
            Ok(addr)
        } else {
            Err(format!("`{text}` is no loopback address; others could ask for what is kept here"))
        }
    }
}

/// Where the listener is, and what its askers must know.
#[derive(Clone)]
pub struct WebSite {
    addr: SocketAddr,
    token: Arc<str>,
    /// Who may see the owner's view, where that is served.
    door: Option<Arc<Door>>,
}

impl WebSite {
    /// The address of something below `/media`, whose last part is `name`.
    pub(crate) fn media_url(&self, key: &str, name: &str) -> String {
        self.media_url_at(&self.addr.to_string(), key, name)
    }

    /// The same for who reaches us at `host`.
    fn media_url_at(&self, host: &str, key: &str, name: &str) -> String {
        let name = utf8_percent_encode(name, ESCAPED);
        format!("http://{host}/media/{key}/{name}?token={}", self.token)
    }

    /// The address of the feed of what is kept for who reaches us at `host`.
    fn feed_url_at(&self, host: &str) -> String {
        format!("http://{host}/feed.xml?token={}", self.token)
    }

    /// The address of a show's cover, which is called `name`.
    pub(crate) fn cover_url(&self, feed: FeedId, name: &str) -> String {
        self.cover_url_at(&self.addr.to_string(), feed, name)
    }

    /// The same for who reaches us at `host`.
    fn cover_url_at(&self, host: &str, feed: FeedId, name: &str) -> String {
        format!("http://{host}/cover/{feed}/{name}?token={}", self.token)
    }

    /// The address of an episode's chapters for who reaches us at `host`.
    fn chapters_url_at(&self, host: &str, id: EpisodeId) -> String {
        format!("http://{host}/chapters/{id}.json?token={}", self.token)
    }

    /// The address of the owner's view, which lets one browser in, once and soon.
    pub(crate) fn page_url(&self) -> Result<String, Failure> {
        let door = self.door.as_ref().ok_or_else(|| Failure::new("the agent is not shown at this address"))?;
        Ok(format!("http://{}/#ticket={}", self.addr, door.ticket(Instant::now())?))
    }
}

/// A listener that is bound and not served yet.
pub struct WebPort {
    listener: TcpListener,
    site: WebSite,
}

impl WebPort {
    /// Binds, and reads or draws the token that is kept in the data directory, mode 0600.
    pub async fn bind(wanted: WebAddr, dir: &DataDir, out: &Out) -> Result<Self, Failure> {
        let (first, last) = match wanted.port {
            Some(port) => (port, port),
            None => (DEFAULT_PORT, DEFAULT_PORT + TRIED - 1),
        };
        let (token, door) = (kept_token(dir, TOKEN_FILE)?, Some(Arc::new(Door::new(dir)?)));
        let mut refused = None;
        for port in first..=last {
            match TcpListener::bind((wanted.ip, port)).await {
                Ok(listener) => {
                    if port != first {
                        out.note(format!("port {first} is in use, taking {port} for players"));
                    }
                    let addr = listener.local_addr().explain(|| "listen for players".to_owned())?;
                    return Ok(Self { listener, site: WebSite { addr, token: token.into(), door } });
                }
                Err(error) => refused = Some(error),
            }
        }
        let failure = Failure::new(format!("listen for players on {}", SocketAddr::new(wanted.ip, first)));
        let failure = failure.with_hint("give another address with --web IP:PORT, or leave it out with --no-web");
        Err(failure.because(refused.expect("every port was refused")))
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.site.addr
    }

    /// What leads there.
    pub fn site(&self) -> WebSite {
        self.site.clone()
    }

    /// Serves what is on the shelf until `stop`.
    pub(crate) async fn serve(self, from: Shelf, stop: CancellationToken) -> Result<(), Failure> {
        let pages = match (&from, &self.site.door) {
            (Shelf::Agent(hub), Some(door)) => pages::routes(hub.clone(), Arc::clone(door)),
            _ => Router::new(),
        };
        let web = Arc::new(Web { shelf: from, site: self.site });
        serve(self.listener, app(web).merge(pages), stop).await;
        Ok(())
    }
}

/// The token in this file of the data directory; an address that a player keeps stays good.
fn kept_token(dir: &DataDir, file: &str) -> Result<String, Failure> {
    let path = dir.join(file);
    let is_token = |token: &String| token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(token) = std::fs::read_to_string(&path).ok().filter(is_token) {
        return Ok(token);
    }
    let token = new_token()?;
    dir.create()?;
    write_atomic(&path, token.as_bytes(), 0o600).explain(|| format!("write `{}`", path.display()))?;
    Ok(token)
}

/// What the handlers share.
struct Web {
    shelf: Shelf,
    site: WebSite,
}

/// The routes to what is kept.
fn kept_routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/feed.xml", get(feed::feed))
        .route("/media/{feed}/{number}/{name}", get(media::episode))
        .route("/cover/{feed}/{name}", get(extras::cover))
        .route("/chapters/{feed}/{file}", get(extras::chapters))
}

fn app(web: Arc<Web>) -> Router {
    kept_routes()
        .route("/media/{hash}/{name}", get(media::torrent))
        .layer(from_fn_with_state(Arc::clone(&web), admit))
        .with_state(web)
}

/// Lets requests through that carry the token and were sent to this machine by its own name.
async fn admit(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    match refusal(&web.site, request.uri(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is not let through.
fn refusal(site: &WebSite, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_loopback_host(header(header::HOST)) {
        return Some("this is answered on the machine itself only\n");
    }
    (!carries_token(site, uri, headers)).then_some("the token is not this agent's\n")
}

/// Whether a request carries the token, in its address or its head.
fn carries_token(site: &WebSite, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut given = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("token="));
    let in_head = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.next().is_some_and(|given| secret_matches(given, &site.token)) || token_matches(in_head, &site.token)
}

/// The media type of a file of this name.
fn mime_of(name: &str) -> &'static str {
    names::extension(name).map_or("application/octet-stream", names::mime_of_extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> WebSite {
        let addr = "127.0.0.1:6970".parse().expect("an address");
        WebSite { addr, token: "f".repeat(64).into(), door: None }
    }

    #[track_caller]
    fn check(uri: &str, host: &str, authorization: Option<&str>, is_let_through: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header's value"));
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header's value"));
        }
        let refused = refusal(&site(), &uri.parse().expect("a URI"), &headers);
        assert_eq!(refused.is_none(), is_let_through, "{uri} {host} {authorization:?}: {refused:?}");
    }

    #[test]
    fn the_token_is_asked_for_and_the_name_of_the_machine() {
        let url = site().media_url("1/2", "A/B? 100 %.mp3");
        assert!(url.starts_with("http://127.0.0.1:6970/media/1/2/A%2FB%3F%20100%20%25.mp3?token=f"), "{url}");
        let bearer = format!("Bearer {}", "f".repeat(64));
        check(&url, "127.0.0.1:6970", None, true);
        check(&url, "localhost:6970", None, true);
        check(&url, "attacker.example:6970", None, false);
        check(&url.replace("=f", "=e"), "localhost", None, false);
        check("/media/1/2/x", "localhost", None, false);
        check("/media/1/2/x?token=", "localhost", None, false);
        check("/media/1/2/x", "localhost", Some(&bearer), true);
    }

    #[test]
    fn only_loopback_is_listened_on() {
        for text in ["6970", "127.0.0.1:0", "127.0.0.1", "[::1]:6970", "::1"] {
            assert!(text.parse::<WebAddr>().is_ok(), "{text}");
        }
        for text in ["0.0.0.0:6970", "192.168.1.2", "[::]:1", "localhost", "", "70000"] {
            assert!(text.parse::<WebAddr>().is_err(), "{text}");
        }
    }
}
