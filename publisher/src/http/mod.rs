//! The publisher's HTTP port: feeds, pages, media, torrents, tracker, events.
//!
//! In reading order: `listen` accepts connections, as many as there are places, and ends silent ones, `handshake`
//! agrees on TLS with those that come over https, `streams` ends silent answers over HTTP/2, where each is `kept` with
//! a place of its own, and `proxies` tells who is behind one; `front` answers what comes most, and leaves the rest to
//! the router, before which `private` lets subscribers in, and where `pace` holds up who asks too often; `resource` and
//! `media` (with `range`) answer for what is in memory and on disk, `uplink` lets peers have their part of the line
//! meanwhile, and a `mirror` helps when it is full; `torrents`, `events`, `witness` and the tracker do the rest.
//! [`app`] puts them under their paths; it needs no socket, so tests ask it directly.
//!
//! Law: a path decides nothing about files. Every name in a request is looked up in the site, and what is not there is
//! not found.

mod listen;
mod doorstep;
mod handshake;
mod streams;
mod kept;
mod proxies;
mod front;
mod pace;
mod private;
mod resource;
mod media;
mod torrents;
mod uplink;
mod mirror;
mod events;
mod witness;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, Path, RawQuery, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use podswarm_core::app::Failure;
use podswarm_core::app::range::{Asked, ByteRange};
use podswarm_core::tracker::Scope;
use podswarm_core::witness::{OFFER, Offer};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use events::Bus;
pub(crate) use front::Front;
pub(crate) use listen::{App, CameIn, Limits, Opened, Peers, Way, canonical, serve, serve_beside};
pub(crate) use media::mtime_of;
pub(crate) use mirror::Mirror;
pub(crate) use pace::{Pace, seconds};
pub(crate) use proxies::{Proxies, TrustedProxy};
pub(crate) use resource::{Resource, etag};
pub(crate) use uplink::{HttpShare, Uplink};

use crate::control::too_many;
use crate::host::blocking;
use crate::hub::Hub;
use crate::library::Library;
use crate::numbers::{EpisodeKey, Numbers, torrent_client};
use crate::reach::Outside;
use crate::record::{EpisodeRecord, Place};
use crate::render::assets::{self, CSS, JAVASCRIPT};
use crate::render::feed::{self, Form};
use crate::render::page;
use crate::site::{EpisodeSite, HTML, ShowSite, Site};
use crate::slug::Slug;
use crate::tls::Tls;
use crate::tracker::Tracker;
use crate::urls::Urls;
use media::{MediaFile, Meter};
use private::{Door, Reader};
use torrents::Torrents;
use uplink::PROBE;

/// Everything that requests are answered from.
pub(crate) struct Web {
    /// The site as it stands.
    pub(crate) site: watch::Receiver<Arc<Site>>,
    /// Where files are.
    pub(crate) library: Library,
    /// The addresses that are told.
    pub(crate) urls: Arc<Urls>,
    /// The tracker.
    pub(crate) tracker: Arc<Tracker>,
    /// Who is believed about whom he asks for.
    pub(crate) proxies: Proxies,
    /// What is shown over https, if we serve it.
    pub(crate) tls: Option<Tls>,
    /// Where events come from.
    pub(crate) bus: Bus,
    /// Who listens outside.
    pub(crate) outside: Outside,
    /// Takes note of what is downloaded.
    pub(crate) numbers: Numbers,
    /// Takes subscribers, if it is to.
    pub(crate) hub: Option<Arc<Hub>>,
    /// Bytes of media sent since the start.
    pub(crate) sent: Arc<AtomicU64>,
    /// What media go through.
    pub(crate) uplink: Uplink,
    /// Who helps where that is full.
    pub(crate) mirror: Option<Mirror>,
    /// Ends streams when the daemon stops.
    pub(crate) stop: CancellationToken,
}

struct AppState {
    web: Web,
    torrents: Torrents,
    style: Resource,
    script: Resource,
    dashboard: [Resource; 4],
}

type Shared = State<Arc<AppState>>;

/// The service of the public port; `api` is what stands under `/api/v1`.
pub(crate) fn app(web: Web, api: Router) -> App {
    let proxies = web.proxies.clone();
    let front = Front::new(web.site.clone(), Arc::clone(&web.tracker), proxies.clone());
    let door = Door::new(web, |web| router(web, api));
    let router = Router::new().fallback(Door::pass).with_state(door);
    App { front: Some(Arc::new(front)), router, proxies, tls: None, came_in: CameIn::default() }
}

/// Questions that a network may ask at once, and after how long it may ask one more: many listeners behind one address
/// never come to it.
const AT_ONCE: u32 = 2000;
const EACH: Duration = Duration::from_millis(10);

/// What answers every question, and those that the front leaves.
fn router(web: Web, api: Router) -> Router {
    let policy = page_policy(web.mirror.as_ref());
    let asset = |content: &str, mime| Resource::new(content, mime, "public, max-age=3600");
    let state = AppState {
        torrents: Torrents::new(web.library.clone(), Arc::clone(&web.urls)),
        web,
        style: asset(&assets::style(), CSS),
        script: asset(&assets::live(), JAVASCRIPT),
        dashboard: [
            asset(assets::DASHBOARD, HTML),
            asset(&assets::dashboard_style(), CSS),
            asset(&assets::dashboard_script(), JAVASCRIPT),
            asset(assets::NUMBERS, JAVASCRIPT),
        ],
    };
    let state = Arc::new(state);
    let pages = Router::new()
        .route("/", get(home))
        .route("/shows/{slug}", of_show(|show| Some(&show.page)))
        .route("/shows/{slug}/", get(without_slash))
        .route("/shows/{slug}/{episode}", get(episode))
        .route("/dashboard", of_all(|state| &state.dashboard[0]))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), lead_to_https));
    let pace = Pace::new(AT_ONCE, EACH);
    let paced = pages
        .route("/shows/{slug}/{episode}/swarm.json", get(swarm))
        .route("/shows/{slug}/{episode}/chapters.json", get(chapters))
        .route("/torrents/{slug}/{name}", get(torrent))
        .route("/shows/{slug}/reach/{nonce}", witness::route())
        .route_layer(middleware::from_fn_with_state(pace.clone(), hold_pages));
    // Feeds and announces are answered sooner than refused; media, streams of events and the hub have rules of their
    // own.
    paced
        .route("/shows/{slug}/feed.xml", of_show(|show| show.feeds.get(Form::Podcast.name())))
        .route("/shows/{slug}/torrents.xml", of_show(|show| show.feeds.get(Form::Torrents.name())))
        .route("/shows/{slug}/feed.json", of_show(|show| show.feeds.get(Form::Json.name())))
        .route("/shows/{slug}/feed.atom", of_show(|show| show.feeds.get(Form::Atom.name())))
        .route("/shows/{slug}/events", get(follow))
        .route("/media/{slug}/{file}", get(media))
        .route("/media/{slug}/{folder}/{*path}", get(media_in_folder))
        .route("/announce", get(announce))
        .route("/scrape", get(scrape))
        .route("/hub", post(subscribe).layer(DefaultBodyLimit::max(LARGEST_WISH)))
        .route("/rsscloud/pleaseNotify", post(please_notify).layer(DefaultBodyLimit::max(LARGEST_WISH)))
        .route("/healthz", get(healthz))
        .route("/.well-known/acme-challenge/{token}", get(prove))
        .route("/assets/style.css", of_all(|state| &state.style))
        .route("/assets/live.js", of_all(|state| &state.script))
        .route("/assets/dashboard.css", of_all(|state| &state.dashboard[1]))
        .route("/assets/dashboard.js", of_all(|state| &state.dashboard[2]))
        .route("/assets/numbers.js", of_all(|state| &state.dashboard[3]))
        .fallback(async || not_found())
        .layer(middleware::map_response(move |response| std::future::ready(dress(response, policy.clone()))))
        .layer(middleware::from_fn(preflight))
        .with_state(state)
        // What is public to every origin is what stands above.
        .nest("/api/v1", api.layer(middleware::from_fn_with_state(pace, hold_calls)))
}

/// Has a network wait that asks for pages and torrents too often.
async fn hold_pages(
    State(pace): State<Pace>,
    peers: Option<Extension<Peers>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let Some(wait) = held(&pace, peers) else { return next.run(request).await };
    let body = page::error("Too many requests", "So much was asked from your network that it has to wait a moment.");
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(HTML)), (header::RETRY_AFTER, seconds(wait).into())];
    (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
}

/// Has a network wait that drives us too fast.
async fn hold_calls(
    State(pace): State<Pace>,
    peers: Option<Extension<Peers>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    match held(&pace, peers) {
        None => next.run(request).await,
        Some(wait) => too_many(Failure::new("so much was asked from your network that it has to wait"), wait),
    }
}

/// How long the asker has to wait, if he has to.
fn held(pace: &Pace, peers: Option<Extension<Peers>>) -> Option<Duration> {
    let Extension(peers) = peers?;
    pace.take(peers.remote.ip(), Instant::now()).err()
}

/// Leads people who come to a page over plain http, where others can read what they do, to the same over https.
///
/// Programs go on where they are: apps, agents and torrent clients that know an address from before, some of which
/// speak no TLS. At home, under an address that is in no certificate, plain http is all there is.
async fn lead_to_https(
    State(state): Shared,
    reader: Reader,
    way: Option<Extension<Way>>,
    peers: Option<Extension<Peers>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let is_open = way.is_none_or(|Extension(way)| way == Way::Open);
    let is_there = state.web.tls.as_ref().is_some_and(|tls| tls.certificate().is_some());
    if !is_open || !is_there || state.web.urls.base().scheme() != "https" {
        return next.run(request).await;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let urls = reader.urls(&state.web.urls);
    let base = urls.base();
    let is_ours = host.is_some_and(|host| Some(host.host()) == base.host_str());
    let is_far = peers.is_some_and(|Extension(peers)| Scope::of(peers.remote.ip()) == Scope::Public);
    let target =
        request.uri().path_and_query().and_then(|target| base.join(target.as_str().trim_start_matches('/')).ok());
    match target {
        Some(target) if is_ours || is_far => {
            // Not for ever: who takes TLS away again wants his pages to be found.
            let headers = [(header::LOCATION, target.as_str()), (header::CACHE_CONTROL, "public, max-age=3600")];
            (StatusCode::MOVED_PERMANENTLY, headers).into_response()
        }
        _ => next.run(request).await,
    }
}

async fn home(State(state): Shared, reader: Reader, method: Method, headers: HeaderMap) -> Response {
    let site = state.site(&reader);
    reader.respond(&site.home, &method, &headers).await
}

/// Answers with what `pick` takes.
fn of_all(pick: fn(&AppState) -> &Resource) -> MethodRouter<Arc<AppState>> {
    get(async move |State(state): Shared, method: Method, headers: HeaderMap| pick(&state).respond(&method, &headers))
}

/// Answers with what `pick` takes from the show of the path's slug.
fn of_show(pick: fn(&ShowSite) -> Option<&Resource>) -> MethodRouter<Arc<AppState>> {
    get(
        async move |State(state): Shared,
                    reader: Reader,
                    Path(slug): Path<String>,
                    method: Method,
                    headers: HeaderMap| {
            let site = state.site(&reader);
            let picked = site.show(&slug).and_then(|show| pick(show));
            state.found(picked, &reader, &method, &headers).await
        },
    )
}

/// Leads from an address with a slash too many to the one without.
async fn without_slash(Path(slug): Path<String>) -> Response {
    match slug.parse::<Slug>() {
        Ok(slug) => Redirect::permanent(&format!("../{slug}")).into_response(),
        Err(_) => not_found(),
    }
}

/// The page of an episode, or a page of older ones of a feed.
async fn episode(
    State(state): Shared,
    reader: Reader,
    Path((slug, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let site = state.site(&reader);
    if let Some(feed) = site.show(&slug).and_then(|show| show.feeds.get(&name)) {
        return reader.respond(feed, &method, &headers).await;
    }
    match site.episode(&slug, &name) {
        Some(episode) => reader.respond(&episode.page, &method, &headers).await,
        None => state.ended(&reader, &slug, &name, |now, urls| urls.episode(&now.show, &now.file)),
    }
}

async fn chapters(
    State(state): Shared,
    reader: Reader,
    Path((slug, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let site = state.site(&reader);
    let chapters = site.episode(&slug, &name).and_then(|episode| episode.chapters.as_ref());
    state.found(chapters, &reader, &method, &headers).await
}

/// The figures of a swarm, for the page and for whoever draws graphs.
#[derive(Serialize)]
struct SwarmFigures {
    complete: u32,
    incomplete: u32,
    downloaded: u32,
}

async fn swarm(State(state): Shared, reader: Reader, Path((slug, name)): Path<(String, String)>) -> Response {
    let site = state.site(&reader);
    let Some(episode) = site.episode(&slug, &name) else { return not_found() };
    let counts = state.web.tracker.swarm(episode.record.info_hash);
    let figures =
        SwarmFigures { complete: counts.complete, incomplete: counts.incomplete, downloaded: counts.downloaded };
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(figures)).into_response()
}

async fn follow(
    State(state): Shared,
    reader: Reader,
    Extension(peers): Extension<Peers>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(slug) = state.site(&reader).show(&slug).map(|show| show.record.slug.clone()) else { return not_found() };
    let Some(place) = state.web.bus.admit(peers.remote.ip()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], "too many streams\n").into_response();
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let offer = headers.get(OFFER).and_then(|offer| Offer::read(offer.to_str().ok()?)).filter(|_| peers.are_apart());
    let Web { site, library, urls, stop, outside, .. } = &state.web;
    let seat = offer.and_then(|offer| outside.sit_down(peers.remote.ip(), slug.clone(), offer));
    let (site, library, urls, stop) = (site.clone(), library.clone(), reader.urls(urls), stop.clone());
    let source = events::Source { site, library, reader, urls, seat, stop };
    let mut response = events::follow(&state.web.bus, source, slug, last, place).into_response();
    // Nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

async fn media(
    State(state): Shared,
    reader: Reader,
    Extension(peers): Extension<Peers>,
    Path((slug, file)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let site = state.site(&reader);
    let Some(show) = site.show(&slug) else { return not_found() };
    let mut counted = None;
    let found = match site.episode_by_file(&slug, &file) {
        Some(episode) if !episode.record.is_folder() => {
            counted = Some(&**episode);
            state.file_of(&episode.record)
        }
        Some(_) => return not_found(),
        None => match show.beside(&file) {
            Some(mime) => {
                let path = state.web.library.media_folder(&show.record.slug).join(&file);
                let Ok(metadata) = tokio::fs::metadata(&path).await else { return not_found() };
                let (etag, modified) = (format!("\"{file}\""), show.record.created);
                MediaFile { path, length: metadata.len(), mtime: None, mime: mime.to_owned(), etag, modified }
            }
            // Half of one file does not go with half of another.
            None if is_a_rest(&headers) && site.ended(&slug, &file).is_some() => return gone(),
            None => return state.ended(&reader, &slug, &file, feed::media_url),
        },
    };
    let meter = state.meter(counted.is_some(), counted, peers, &headers);
    let there = reader.show().is_none().then_some(|urls: &Urls| urls.media(&show.record.slug, &file));
    state.send(&found, there, &method, &headers, meter).await
}

async fn media_in_folder(
    State(state): Shared,
    reader: Reader,
    Extension(peers): Extension<Peers>,
    Path((slug, folder, path)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let site = state.site(&reader);
    let Some(episode) = site.episode_by_file(&slug, &folder).filter(|e| e.record.is_folder()) else {
        return if site.ended(&slug, &folder).is_some() { gone() } else { not_found() };
    };
    let record = &episode.record;
    let torrent = match state.torrents.of(record).await {
        Ok(torrent) => torrent,
        Err(error) => return broken(&error),
    };
    let Some(entry) = torrent.metainfo.info.files.iter().find(|entry| entry.path.as_str() == path) else {
        return not_found();
    };
    let on_disk = state.web.library.content(record).join(entry.path.to_path_buf());
    let looked_at = on_disk.clone();
    let kind = blocking(move || crate::kind::of_file(&looked_at, &looked_at)).await;
    let mime = kind.map_or(crate::kind::BYTES, |kind| kind.mime).to_owned();
    let etag = etag(format!("{}/{path}", record.sha256).as_bytes());
    let file = MediaFile { path: on_disk, length: entry.length, mtime: None, mime, etag, modified: record.added };
    // What podcast apps are given of a folder is the episode; the rest comes with its torrent.
    let counted = (record.enclosure.path.as_deref() == Some(path.as_str())).then_some(&**episode);
    let meter = state.meter(true, counted, peers, &headers);
    let there = reader.show().is_none().then_some(|urls: &Urls| urls.media_in(&record.show, &folder, &path));
    state.send(&file, there, &method, &headers, meter).await
}

async fn torrent(
    State(state): Shared,
    reader: Reader,
    Path((slug, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let site = state.site(&reader);
    let file = name.strip_suffix(".torrent").unwrap_or_default();
    let Some(episode) = site.episode_by_file(&slug, file) else {
        return state.ended(&reader, &slug, file, |now, urls| urls.torrent(&now.show, &now.file));
    };
    match state.torrents.of(&episode.record).await {
        Ok(torrent) => reader.respond(&torrent.resource, &method, &headers).await,
        Err(error) => broken(&error),
    }
}

async fn announce(
    State(state): Shared,
    reader: Reader,
    Extension(peers): Extension<Peers>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    tracker_answer(state.web.tracker.announce(peers, query.as_deref().unwrap_or_default(), reader.show()))
}

async fn scrape(State(state): Shared, reader: Reader, RawQuery(query): RawQuery) -> impl IntoResponse {
    tracker_answer(state.web.tracker.scrape(query.as_deref().unwrap_or_default(), reader.show()))
}

fn tracker_answer(body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().extend(TRACKER.clone());
    response
}

/// What the tracker's answers say of themselves.
static TRACKER: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The longest request to the hub, in bytes.
const LARGEST_WISH: usize = 16 << 10;

async fn subscribe(State(state): Shared, Extension(peers): Extension<Peers>, body: Bytes) -> Response {
    let Some(hub) = &state.web.hub else { return not_found() };
    let (status, refusal) = hub.ask(peers.remote.ip(), &body);
    let text = if refusal.is_empty() { refusal } else { format!("{refusal}\n") };
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], text).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

async fn please_notify(State(state): Shared, Extension(peers): Extension<Peers>, body: Bytes) -> Response {
    let Some(hub) = &state.web.hub else { return not_found() };
    let answer = hub.please_notify(peers.remote.ip(), &body).await;
    ([(header::CONTENT_TYPE, "text/xml; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], answer).into_response()
}

/// Answers an authority that looks whether a name leads here. RFC 8555, section 8.3.
async fn prove(State(state): Shared, Path(token): Path<String>) -> Response {
    let answer = state.web.tls.as_ref().and_then(|tls| tls.answer(&token));
    answer.map_or_else(not_found, |answer| {
        ([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")], answer)
            .into_response()
    })
}

async fn healthz(State(state): Shared) -> Response {
    health(&state.web.library).await
}

/// Says whether the publisher can keep its promises.
pub(crate) async fn health(library: &Library) -> Response {
    let store = library.store().clone();
    let (status, text) = match blocking(move || store.health().trouble).await {
        None => (StatusCode::OK, "ok\n"),
        // What is published is served on, but nothing new can be promised.
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "the last write failed, the log says why\n"),
    };
    (status, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}

impl AppState {
    /// The site as `reader` sees it.
    fn site(&self, reader: &Reader) -> Arc<Site> {
        reader.site(&self.web.site)
    }

    /// Answers with what was found for `reader`, if it was.
    async fn found(&self, it: Option<&Resource>, reader: &Reader, method: &Method, headers: &HeaderMap) -> Response {
        match it {
            Some(resource) => reader.respond(resource, method, headers).await,
            None => not_found(),
        }
    }

    /// Answers for an episode that is offered no more: leads to what took its place, or says that it was taken back.
    fn ended(
        &self,
        reader: &Reader,
        slug: &str,
        name: &str,
        at: impl Fn(&EpisodeRecord, &Urls) -> url::Url,
    ) -> Response {
        match self.site(reader).ended(slug, name) {
            None => not_found(),
            Some((_, None)) => gone(),
            Some((_, Some(now))) => {
                let mut response = Redirect::temporary(at(now, &reader.urls(&self.web.urls)).as_str()).into_response();
                response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
                response
            }
        }
    }

    /// An episode of one file, as it is served.
    fn file_of(&self, record: &EpisodeRecord) -> MediaFile {
        let mtime = match &record.place {
            Place::Library => None,
            Place::Original { mtime, .. } => *mtime,
        };
        MediaFile {
            path: self.web.library.content(record),
            length: record.length,
            mtime,
            mime: record.enclosure.mime.clone(),
            etag: format!("\"{}\"", record.sha256.get(..32).unwrap_or(&record.sha256)),
            modified: record.added,
        }
    }

    /// What takes note of an answer with media, if it is that of an episode.
    fn meter(&self, is_content: bool, episode: Option<&EpisodeSite>, peers: Peers, headers: &HeaderMap) -> Meter {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let is_part = headers.contains_key(header::RANGE);
        let tally = episode.map(|episode| {
            let key = EpisodeKey::of(&episode.record);
            self.web.numbers.tally(key, peers.remote.ip(), agent, is_part, episode.enough)
        });
        // What a torrent client takes from the web seed is the swarm's, which waits for nobody.
        let of_swarm = is_part && torrent_client(agent).is_some();
        let download = Some(self.web.uplink.download(peers.remote.ip(), of_swarm)).filter(|_| is_content);
        Meter { sent: Arc::clone(&self.web.sent), tally, download }
    }

    /// Leads a download to what is `there` at the mirror, if the line is full and the mirror can serve it; what is
    /// private is at none.
    ///
    /// A page of another origin may not be let in there, and who has a part of the file knows it by a tag of ours.
    fn lead(
        &self,
        file: &MediaFile,
        there: Option<impl FnOnce(&Urls) -> url::Url>,
        method: &Method,
        headers: &HeaderMap,
        meter: &mut Meter,
    ) -> Option<Response> {
        let mirror = self.web.mirror.as_ref().filter(|_| self.web.uplink.is_full())?;
        let is_bound = headers.contains_key(header::ORIGIN) || headers.contains_key(header::IF_RANGE);
        let waits = meter.download.as_ref().is_some_and(|download| !download.is_of_swarm());
        if *method != Method::GET || is_bound || !waits {
            return None;
        }
        let part = match file.asked(method, headers)? {
            Asked::Whole => ByteRange { first: 0, last: file.length.checked_sub(1)? },
            Asked::Parts(parts) => match parts[..] {
                [part] if part.length() > PROBE as u64 => part,
                _ => return None,
            },
            Asked::Nothing => return None,
        };
        let url = there?(mirror.urls());
        if !mirror.leads(&url, file.length, headers.contains_key(header::RANGE)) {
            return None;
        }
        // What comes of it nobody tells us: it counts as if we had sent it.
        if let Some(tally) = &mut meter.tally {
            tally.add(part.first, part.length());
        }
        Some(
            (StatusCode::FOUND, [(header::LOCATION, url.as_str()), (header::CACHE_CONTROL, "no-store")])
                .into_response(),
        )
    }

    async fn send(
        &self,
        file: &MediaFile,
        there: Option<impl FnOnce(&Urls) -> url::Url>,
        method: &Method,
        headers: &HeaderMap,
        mut meter: Meter,
    ) -> Response {
        if let Some(led) = self.lead(file, there, method, headers, &mut meter) {
            return led;
        }
        match file.respond(method, headers, meter).await {
            Ok(mut response) => {
                if !["audio/", "video/", "image/", "text/", "application/pdf"]
                    .iter()
                    .any(|kind| file.mime.starts_with(kind))
                {
                    let disposition = HeaderValue::from_static("attachment");
                    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
                }
                response
            }
            Err(error) => broken(&error),
        }
    }
}

/// Refuses what is not there.
fn not_found() -> Response {
    let body = page::error("Not found", "There is nothing at this address.");
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HTML)], body).into_response()
}

/// Whether the end of a file is asked for whose beginning the asker has, whatever file is there now.
fn is_a_rest(headers: &HeaderMap) -> bool {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| !range.trim().starts_with("bytes=0-")) && !headers.contains_key(header::IF_RANGE)
}

/// Says that something was taken back, or is not what it was.
fn gone() -> Response {
    let body = page::error("Gone", "The publisher has taken this back.");
    (StatusCode::GONE, [(header::CONTENT_TYPE, HTML)], body).into_response()
}

/// Says that something which should be there is not; the log says what, the asker need not know.
fn broken(error: &(dyn std::error::Error + 'static)) -> Response {
    let cause = error.source().map(ToString::to_string);
    tracing::error!(%error, cause, "cannot serve what was published");
    let body = page::error("Not available", "This was published, but the publisher cannot read it at the moment.");
    let headers = [(header::CONTENT_TYPE, HTML), (header::RETRY_AFTER, "300")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
}

/// What pages may load: our own style, script, pictures and media, those of the mirror, and nothing inline.
fn page_policy(mirror: Option<&Mirror>) -> HeaderValue {
    let media = mirror.map(|mirror| format!(" {}", mirror.urls().base().origin().ascii_serialization()));
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'{}; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        media.unwrap_or_default()
    );
    HeaderValue::try_from(policy).expect("an origin is ASCII")
}

/// The headers that every answer bears: everything here is public, and is what its type says.
static PUBLIC: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("accept-ranges, content-length, content-range, etag, last-modified, retry-after"),
    ),
];

/// Adds these headers, and those of pages to pages.
fn dress(mut response: Response, page_policy: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.extend(PUBLIC.clone());
    if headers.get(header::CONTENT_TYPE).is_some_and(|mime| mime == HTML) {
        headers.insert(header::CONTENT_SECURITY_POLICY, page_policy);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    response
}

/// Tells browsers that pages of other origins may ask, with the headers that players use.
async fn preflight(request: axum::extract::Request, next: middleware::Next) -> Response {
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "range, if-range, if-none-match, if-modified-since, last-event-id"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (header::ALLOW, "GET, HEAD, OPTIONS"),
    ];
    (StatusCode::NO_CONTENT, headers, Body::empty()).into_response()
}

#[cfg(test)]
mod tests;
