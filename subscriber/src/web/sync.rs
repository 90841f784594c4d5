//! Podcast apps in the house are kept in step: gpodder.net's API, for `AntennaPod`, gPodder, Kasts and their kin.
//!
//! | method and path | answer |
//! |---|---|
//! | `POST /api/2/auth/USER/login.json`, `…/logout.json` | a session as a cookie; its end |
//! | `GET /api/2/devices/USER.json`, `POST …/USER/DEVICE.json` | the devices; a device gets a name |
//! | `GET, POST /api/2/sync-devices/USER.json` | that all devices have the same list, whatever is wished |
//! | `GET /api/2/subscriptions/USER/DEVICE.json?since=STAMP` | feeds that came and went |
//! | `POST /api/2/subscriptions/USER/DEVICE.json` | feeds come and go |
//! | `GET /api/2/episodes/USER.json?since=STAMP` | what was played last of each episode |
//! | `POST /api/2/episodes/USER.json` | it was played |
//! | `GET /subscriptions/USER.FORMAT`, `GET, PUT …/USER/DEVICE.FORMAT` | the list as `json`, `opml` or `txt` |
//!
//! Of an episode the last `play` or `new` is kept and told, with `aggregated` and without; `download`, `delete` and
//! whatever else apps tell is taken and forgotten. An episode that the app has from our own feed is told by that feed's
//! addresses, too.
//!
//! Laws: nothing is answered outside of the house, under another name, to a page of a browser, or without the password.
//! Bodies and lists are bounded, and a body that does not come is not waited for.
//!
//! Source: the API documentation of gpodder.net; what `AntennaPod` and mygpoclient ask.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, NaiveDateTime, Utc};
use podswarm_core::app::Failure;
use podswarm_feeds::read::opml::{Subscription, parse};
use podswarm_feeds::write;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::WebSite;
use super::gate::{Entry, Gate};
use super::phone::not_of_the_house;
use super::serve::Asker;
use crate::agent::{Play, Played};
use crate::hub::{Followed, HubHandle, ListChange, SyncAsk, SyncReply, Told};
use crate::records::{Device, EpisodeId};

/// Bytes of a body at most.
const LONGEST_BODY: usize = 2 << 20;
/// A body has to be here by then.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Things in one list at most.
const LONGEST_LIST: usize = 5000;
/// Characters of a device's name at most.
const LONGEST_NAME: usize = 64;
/// What a device may be.
const KINDS: [&str; 5] = ["desktop", "laptop", "mobile", "server", "other"];
/// How times are written.
const TIME: &str = "%Y-%m-%dT%H:%M:%S";

/// What the handlers share.
pub(super) struct Syncing {
    pub(super) hub: HubHandle,
    pub(super) gate: Gate,
    pub(super) site: WebSite,
}

/// The routes, behind the password.
pub(super) fn routes(sync: Arc<Syncing>) -> Router {
    Router::new()
        .route("/api/2/auth/{user}/{verb}", post(auth))
        .route("/api/2/devices/{user}", get(devices))
        .route("/api/2/devices/{user}/{device}", post(rename))
        .route("/api/2/sync-devices/{user}", get(groups).post(groups))
        .route("/api/2/subscriptions/{user}/{device}", get(changes).post(change))
        .route("/api/2/episodes/{user}", get(plays).post(played))
        .route("/subscriptions/{user}", get(list_of_all))
        .route("/subscriptions/{user}/{device}", get(list).put(put_list))
        .layer(from_fn_with_state(Arc::clone(&sync), admit))
        .with_state(sync)
}

/// Why a request is not answered as it was meant.
enum Refused {
    /// What it says cannot be understood.
    Wrong(&'static str),
    /// We cannot.
    Failed(Failure),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
            Self::Failed(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("{failure}\n")).into_response(),
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

type Answer = Result<Response, Refused>;

/// Lets requests of the house through that show the password or a session.
async fn admit(State(sync): State<Arc<Syncing>>, request: Request, next: Next) -> Response {
    let asker = request.extensions().get::<Asker>().map(|asker| asker.0);
    let headers = request.headers();
    let (Some(asker), None) = (asker, not_of_the_house(asker, headers)) else {
        let why = not_of_the_house(asker, headers).unwrap_or_default();
        return (StatusCode::FORBIDDEN, why).into_response();
    };
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "no page in a browser is kept in step\n").into_response();
    }
    let session = match sync.gate.entry(asker, user_of(request.uri().path()), headers, Instant::now()) {
        Entry::Open(session) => session,
        Entry::Shut => {
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"podsub\", charset=\"UTF-8\"")];
            return (StatusCode::UNAUTHORIZED, ask, "user name or password is wrong\n").into_response();
        }
        Entry::Wait(wait) => {
            let seconds = wait.as_secs().max(1).to_string();
            let after = [(header::RETRY_AFTER, seconds)];
            return (StatusCode::TOO_MANY_REQUESTS, after, "too many wrong passwords\n").into_response();
        }
    };
    // What it says is here before anything is done.
    let (parts, body) = request.into_parts();
    let Ok(read) = tokio::time::timeout(BODY_TIME, to_bytes(body, LONGEST_BODY)).await else {
        return StatusCode::REQUEST_TIMEOUT.into_response();
    };
    let Ok(bytes) = read else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "this is too much at once; 2 MiB are read\n").into_response();
    };
    let mut response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = session.and_then(|session| HeaderValue::from_str(&session).ok()) {
        response.headers_mut().entry(header::SET_COOKIE).or_insert(cookie);
    }
    response
}

/// Whose things a path is about.
fn user_of(path: &str) -> &str {
    let place = if path.starts_with("/api/") { 4 } else { 2 };
    let part = path.split('/').nth(place).unwrap_or_default();
    let format = part.rsplit_once('.').filter(|(_, format)| matches!(*format, "json" | "opml" | "txt"));
    format.map_or(part, |(name, _)| name)
}

#[derive(Deserialize)]
struct Since {
    since: Option<String>,
    podcast: Option<String>,
}

impl Since {
    fn stamp(&self) -> Result<u64, Refused> {
        let Some(since) = self.since.as_deref().filter(|since| !since.is_empty()) else { return Ok(0) };
        // Some apps begin with -1.
        let stamp =
            since.parse::<i64>().map_err(|_| Refused::Wrong("`since` is no number; want a timestamp of ours"))?;
        Ok(u64::try_from(stamp).unwrap_or(0))
    }
}

async fn auth(State(sync): State<Arc<Syncing>>, Path((_, verb)): Path<(String, String)>, request: Request) -> Response {
    match verb.as_str() {
        // Who has come so far is let in.
        "login.json" => StatusCode::OK.into_response(),
        "logout.json" => {
            if let Some(Asker(asker)) = request.extensions().get() {
                sync.gate.leave(*asker);
            }
            // None is given on the way out.
            ([(header::SET_COOKIE, "sessionid=; Path=/; Max-Age=0")], StatusCode::OK).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn devices(State(sync): State<Arc<Syncing>>) -> Answer {
    let (devices, feeds) = known_devices(&sync).await?;
    let told = |device: Device| {
        let caption = if device.caption.is_empty() { device.id.clone() } else { device.caption };
        json!({ "id": device.id, "caption": caption, "type": device.kind, "subscriptions": feeds })
    };
    Ok(json_of(&devices.into_iter().map(told).collect()))
}

async fn groups(State(sync): State<Arc<Syncing>>) -> Answer {
    let (devices, _) = known_devices(&sync).await?;
    let all: Vec<String> = devices.into_iter().map(|device| device.id).collect();
    Ok(json_of(&json!({ "synchronized": [all], "not-synchronized": [] })))
}

async fn known_devices(sync: &Syncing) -> Result<(Vec<Device>, usize), Refused> {
    match sync.hub.sync(SyncAsk::Devices).await? {
        SyncReply::Devices { devices, feeds } => Ok((devices, feeds)),
        _ => Err(misunderstood()),
    }
}

#[derive(Deserialize)]
struct Names {
    caption: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn rename(State(sync): State<Arc<Syncing>>, Path((_, device)): Path<(String, String)>, body: Bytes) -> Answer {
    let device = device_of(&device, "json")?;
    let said: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let Ok(Names { caption, kind }) = serde_json::from_slice(said) else {
        return Err(Refused::Wrong("want an object with `caption` and `type`"));
    };
    if kind.as_ref().is_some_and(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(Refused::Wrong("`type` is desktop, laptop, mobile, server or other"));
    }
    let caption = caption.map(|caption| caption.chars().filter(|sign| !sign.is_control()).take(LONGEST_NAME).collect());
    sync.hub.sync(SyncAsk::Rename { device, caption, kind }).await?;
    Ok(StatusCode::OK.into_response())
}

async fn changes(
    State(sync): State<Arc<Syncing>>,
    Path((_, device)): Path<(String, String)>,
    Query(since): Query<Since>,
    request: Request,
) -> Answer {
    let device = Some(device_of(&device, "json")?);
    let ask = SyncAsk::Feeds { device, since: since.stamp()?, is_here: is_here(&request) };
    let SyncReply::Feeds { stamp, add, remove } = sync.hub.sync(ask).await? else { return Err(misunderstood()) };
    let add: Vec<String> = add.into_iter().map(|feed| feed.url).collect();
    Ok(json_of(&json!({ "add": add, "remove": remove, "timestamp": stamp })))
}

#[derive(Deserialize)]
struct Edit {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

async fn change(State(sync): State<Arc<Syncing>>, Path((_, device)): Path<(String, String)>, body: Bytes) -> Answer {
    let device = device_of(&device, "json")?;
    let Ok(Edit { add, remove }) = serde_json::from_slice(&body) else {
        return Err(Refused::Wrong("want an object with the lists `add` and `remove` of addresses"));
    };
    if add.len() + remove.len() > LONGEST_LIST {
        return Err(Refused::Wrong("this is too much at once; 5000 addresses are read"));
    }
    if add.iter().any(|url| remove.contains(url)) {
        return Err(Refused::Wrong("the same address is to come and to go"));
    }
    let (own, add) = add.into_iter().partition(|url| is_own(&sync.site, url));
    changed(&sync, device, ListChange::Edit { add, remove }, own).await
}

/// Has the list changed; `own` are addresses of our own feed, which is not followed here.
async fn changed(sync: &Syncing, device: String, change: ListChange, own: Vec<String>) -> Answer {
    match sync.hub.sync(SyncAsk::Change { device, change }).await? {
        SyncReply::Changed { stamp, mut rewritten } => {
            rewritten.extend(own.into_iter().map(|url| (url, String::new())));
            Ok(json_of(&json!({ "timestamp": stamp, "update_urls": rewritten })))
        }
        _ => Err(misunderstood()),
    }
}

async fn list_of_all(State(sync): State<Arc<Syncing>>, Path(user): Path<String>, request: Request) -> Answer {
    let format = user.rsplit_once('.').map_or("", |(_, format)| format).to_owned();
    told(&sync, None, &format, is_here(&request)).await
}

async fn list(State(sync): State<Arc<Syncing>>, Path((_, name)): Path<(String, String)>, request: Request) -> Answer {
    let (device, format) = name.rsplit_once('.').ok_or(Refused::Wrong(FORMATS))?;
    told(&sync, Some(device_of(device, "")?), format, is_here(&request)).await
}

/// What a list may be written in.
const FORMATS: &str = "want a list as `.json`, `.opml` or `.txt`";

async fn told(sync: &Syncing, device: Option<String>, format: &str, is_here: bool) -> Answer {
    let ask = SyncAsk::Feeds { device, since: 0, is_here };
    let SyncReply::Feeds { add, .. } = sync.hub.sync(ask).await? else { return Err(misunderstood()) };
    let kind = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    match format {
        "json" => Ok(json_of(&add.into_iter().map(|feed| feed.url).collect())),
        "txt" => {
            let lines: String = add.into_iter().map(|feed| feed.url + "\n").collect();
            Ok(kind("text/plain; charset=utf-8", lines))
        }
        "opml" => {
            let subscription = |Followed { url, title }| Subscription { url, title, folders: Vec::new() };
            let list: Vec<_> = add.into_iter().map(subscription).collect();
            Ok(kind("text/x-opml; charset=utf-8", write::opml("podsub subscriptions", Utc::now(), &list)))
        }
        _ => Err(Refused::Wrong(FORMATS)),
    }
}

async fn put_list(State(sync): State<Arc<Syncing>>, Path((_, name)): Path<(String, String)>, body: Bytes) -> Answer {
    let (device, format) = name.rsplit_once('.').ok_or(Refused::Wrong(FORMATS))?;
    let device = device_of(device, "")?;
    let list: Vec<String> = match format {
        "json" => serde_json::from_slice(&body).map_err(|_| Refused::Wrong("want a list of addresses"))?,
        "txt" => {
            let text = std::str::from_utf8(&body).map_err(|_| Refused::Wrong("want one address on each line"))?;
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        "opml" => {
            let read = parse(&body).map_err(|_| Refused::Wrong("this is no OPML"))?;
            read.feeds.into_iter().map(|feed| feed.url).collect()
        }
        _ => return Err(Refused::Wrong(FORMATS)),
    };
    if list.len() > LONGEST_LIST {
        return Err(Refused::Wrong("this is too much at once; 5000 addresses are read"));
    }
    let (own, list) = list.into_iter().partition(|url| is_own(&sync.site, url));
    changed(&sync, device, ListChange::Whole(list), own).await?;
    // Apps take an empty answer for a good one.
    Ok(StatusCode::OK.into_response())
}

async fn plays(State(sync): State<Arc<Syncing>>, Query(asked): Query<Since>, headers: HeaderMap) -> Answer {
    let ask = SyncAsk::Plays { since: asked.stamp()?, podcast: asked.podcast };
    let SyncReply::Plays { stamp, plays } = sync.hub.sync(ask).await? else { return Err(misunderstood()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut actions = Vec::new();
    for play in plays {
        if let Some(kept) = &play.kept {
            let file = sync.site.media_url_at(host, &kept.id.to_string(), &kept.name);
            actions.push(action(&play, &sync.site.feed_url_at(host), &file, Some(&kept.guid)));
        }
        actions.push(action(&play, &play.podcast, &play.episode, play.guid.as_deref()));
    }
    Ok(json_of(&json!({ "actions": actions, "timestamp": stamp })))
}

/// What was played, as apps are told.
fn action(told: &Told, podcast: &str, episode: &str, guid: Option<&str>) -> Value {
    let heard = &told.heard;
    let timestamp = heard.at.format(TIME).to_string();
    let device = heard.device.as_deref().unwrap_or("podsub");
    let mut action = json!({
        "podcast": podcast, "episode": episode, "action": "new", "timestamp": timestamp, "device": device
    });
    if let Some(guid) = guid {
        action["guid"] = guid.into();
    }
    if !heard.is_new() {
        action["action"] = "play".into();
        action["started"] = heard.started.into();
        action["position"] = heard.position.into();
        if let Some(total) = heard.total.or(told.duration) {
            action["total"] = total.into();
        }
    }
    action
}

/// What an app tells of an episode.
#[derive(Deserialize)]
struct Action {
    podcast: String,
    episode: String,
    #[serde(rename = "action")]
    kind: String,
    guid: Option<String>,
    device: Option<String>,
    timestamp: Option<Value>,
    started: Option<Value>,
    position: Option<Value>,
    total: Option<Value>,
}

impl Action {
    /// What was played; `None` for what does not concern us.
    fn play(self, site: &WebSite) -> Option<Play> {
        let is_new = match self.kind.to_ascii_lowercase().as_str() {
            "play" => false,
            "new" => true,
            _ => return None,
        };
        let what = match own_episode(site, &self.episode) {
            Some(id) => Played::Here(id),
            None => Played::Elsewhere { podcast: self.podcast, episode: self.episode, guid: self.guid },
        };
        Some(Play {
            what,
            position: seconds(self.position.as_ref()),
            started: seconds(self.started.as_ref()),
            total: seconds(self.total.as_ref()),
            at: self.timestamp.as_ref().and_then(time),
            is_new,
            device: self.device.filter(|device| is_name(device)),
        })
    }
}

async fn played(State(sync): State<Arc<Syncing>>, body: Bytes) -> Answer {
    let Ok(list) = serde_json::from_slice::<Vec<Value>>(&body) else {
        return Err(Refused::Wrong("want a list of actions"));
    };
    if list.len() > LONGEST_LIST {
        return Err(Refused::Wrong("this is too much at once; 5000 actions are read"));
    }
    let mut plays = Vec::new();
    for value in list {
        let action = serde_json::from_value::<Action>(value);
        let Ok(action) = action else {
            return Err(Refused::Wrong("each action has `podcast`, `episode` and `action`, which are texts"));
        };
        plays.extend(action.play(&sync.site));
    }
    match sync.hub.sync(SyncAsk::Heard(plays)).await? {
        SyncReply::Done { stamp } => Ok(json_of(&json!({ "timestamp": stamp, "update_urls": [] }))),
        _ => Err(misunderstood()),
    }
}

/// Seconds as apps write them: a number, or one as a text; -1 is none.
fn seconds(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A time as apps write it: ISO 8601, with a zone or in UTC, or seconds since 1970.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(number) => DateTime::from_timestamp(number.as_i64()?, 0),
        Value::String(text) => {
            let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
            let bare = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc());
            zoned.or_else(|_| bare()).ok()
        }
        _ => None,
    }
}

/// Whether an address is that of our own feed.
fn is_own(site: &WebSite, address: &str) -> bool {
    own_path(site, address).is_some_and(|path| path == "/feed.xml")
}

/// The episode that an address of a file of ours names.
fn own_episode(site: &WebSite, address: &str) -> Option<EpisodeId> {
    let path = own_path(site, address)?;
    let (feed, rest) = path.strip_prefix("/media/")?.split_once('/')?;
    let (number, _) = rest.split_once('/')?;
    format!("{feed}/{number}").parse().ok()
}

/// The path of an address of ours, which the token tells.
fn own_path(site: &WebSite, address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let is_ours = url.query_pairs().any(|(name, token)| name == "token" && *token == *site.token);
    is_ours.then(|| url.path().to_owned())
}

/// The name of a device at the end of a path.
fn device_of(part: &str, format: &str) -> Result<String, Refused> {
    let name = if format.is_empty() { Some(part) } else { part.strip_suffix(&format!(".{format}")) };
    let name = name.filter(|name| is_name(name));
    name.map(str::to_owned).ok_or(Refused::Wrong("the device's name is at most 64 letters, digits, `-`, `_` and `.`"))
}

fn is_name(text: &str) -> bool {
    let is_fit = |sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '_' | '.');
    (1..=LONGEST_NAME).contains(&text.chars().count()) && text.chars().all(is_fit)
}

/// Whether a request comes from this machine.
fn is_here(request: &Request) -> bool {
    let asker = request.extensions().get::<Asker>().map(|asker| asker.0);
    asker.is_some_and(|asker: IpAddr| asker.is_loopback())
}

fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn misunderstood() -> Refused {
    Refused::Failed(Failure::new("the agent answers something else"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> WebSite {
        WebSite { addr: "0.0.0.0:6971".parse().unwrap(), token: "f".repeat(64).into(), door: None }
    }

    #[test]
    fn paths_say_whose_things_they_are_about() {
        for path in [
            "/api/2/auth/podsub/login.json",
            "/api/2/devices/podsub.json",
            "/api/2/subscriptions/podsub/phone.json",
            "/api/2/episodes/podsub.json",
            "/subscriptions/podsub.opml",
            "/subscriptions/podsub/phone.txt",
        ] {
            assert_eq!(user_of(path), "podsub", "{path}");
        }
        assert_eq!(user_of("/api/2/devices/pod.sub.json"), "pod.sub");
        assert_eq!((user_of("/"), user_of("")), ("", ""));
    }

    #[test]
    fn what_apps_tell_is_read_as_they_write_it() {
        let read = |text: &str| serde_json::from_str::<Action>(text).unwrap().play(&site());
        let said = r#"{"podcast":"http://h.example/f","episode":"http://h.example/1.mp3","guid":"g","action":"play",
            "device":"phone","timestamp":"2026-11-20T06:00:00","started":0,"position":"61","total":-1}"#;
        let play = read(said).unwrap();
        assert_eq!((play.position, play.started, play.total, play.is_new), (Some(61), Some(0), None, false));
        assert_eq!(play.at, DateTime::parse_from_rfc3339("2026-11-20T06:00:00Z").ok().map(|at| at.to_utc()));
        assert_eq!(play.device.as_deref(), Some("phone"));
        assert!(read(&said.replace("\"play\"", "\"NEW\"")).unwrap().is_new);
        assert!(read(&said.replace("\"play\"", "\"download\"")).is_none());
        for time in ["2026-11-20T06:00:00Z", "2026-11-20T07:00:00+01:00", "2026-11-20T06:00:00.25"] {
            assert!(read(&said.replace("2026-11-20T06:00:00", time)).unwrap().at.is_some(), "{time}");
        }
        for wrong in ["never", "", "2026-13-20T06:00:00"] {
            assert_eq!(read(&said.replace("2026-11-20T06:00:00", wrong)).unwrap().at, None, "{wrong}");
        }
        let own = format!("http://192.168.1.5:6971/media/3/42/A.mp3?token={}", "f".repeat(64));
        let of_ours = read(&said.replace("http://h.example/1.mp3", &own)).unwrap();
        assert_eq!(of_ours.what, Played::Here("3/42".parse().unwrap()));
        let foreign = own.replace("=f", "=e");
        assert!(matches!(
            read(&said.replace("http://h.example/1.mp3", &foreign)).unwrap().what,
            Played::Elsewhere { .. }
        ));
        assert!(is_own(&site(), &format!("http://box:6971/feed.xml?token={}", "f".repeat(64))));
    }

    #[test]
    fn a_device_has_a_name_that_is_one() {
        assert_eq!(device_of("my-phone_2.json", "json").ok().as_deref(), Some("my-phone_2"));
        for wrong in ["", ".json", "phone", "a b.json", "../x.json", "%00.json", &("x".repeat(65) + ".json")] {
            assert!(device_of(wrong, "json").is_err(), "{wrong}");
        }
    }
}
