//! Answers requests for media.

use std::fs::Metadata;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use podswarm_core::app::range::{self, Asked, ByteRange};
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::http::Growing;

use super::body::{self, Again, Bytewise};
use super::{Found, Web, mime_of};
use crate::records::{EpisodeId, FeedId};

/// How long an asker waits for what is about to be fetched.
const SOON: Duration = Duration::from_mins(1);
/// How often it is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn episode(
    State(web): State<Arc<Web>>,
    Path((feed, number, name)): Path<(u32, u32, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let id = EpisodeId { feed: FeedId(feed), number };
    let looks = (SOON.as_millis() / LOOK_EVERY.as_millis()).max(1);
    for _ in 0..looks {
        match web.shelf.episode(id).await {
            Some(Found::Soon) => tokio::time::sleep(LOOK_EVERY).await,
            found => return answer(&web, found, Some(id), &name, &method, &headers).await,
        }
    }
    later()
}

/// Nothing is there yet.
fn later() -> Response {
    ([(header::RETRY_AFTER, "30")], StatusCode::SERVICE_UNAVAILABLE).into_response()
}

pub(super) async fn torrent(
    State(web): State<Arc<Web>>,
    Path((hash, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let found = hash.parse::<InfoHash>().ok().and_then(|hash| web.shelf.torrent(hash));
    answer(&web, found, None, &name, &method, &headers).await
}

/// Tells what a file is now from what it was before somebody wrote to it.
fn file_tag(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("{:x}-{:x}", metadata.len(), changed.unwrap_or_default().as_nanos())
}

/// The answer to a request for the bytes that were found.
pub(super) async fn answer(
    web: &Arc<Web>,
    found: Option<Found>,
    id: Option<EpisodeId>,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let mut elsewhere = None;
    let (length, tag, name, source) = match found {
        None | Some(Found::Soon) => return (StatusCode::NOT_FOUND, "there is no such episode\n").into_response(),
        Some(Found::Nowhere(why)) => return (StatusCode::NOT_FOUND, why + "\n").into_response(),
        Some(Found::Growing { growing, elsewhere: url }) => {
            let described = tokio::time::timeout(SOON, growing.described_length()).await;
            let Ok(Some(length)) = described else { return later() };
            let Some(length) = length else { return endless(growing, name, method) };
            elsewhere = url;
            // When it is whole its tag would be another.
            (length, None, name.to_owned(), Bytewise::Growing(growing))
        }
        Some(Found::Whole { path, info_hash }) => {
            let Ok(file) = tokio::fs::File::open(&path).await else {
                return (StatusCode::NOT_FOUND, "its file is not there\n").into_response();
            };
            let Ok(metadata) = file.metadata().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
            if !metadata.is_file() {
                return (StatusCode::NOT_FOUND, "it is a folder, of which no single file can be played\n")
                    .into_response();
            }
            let length = metadata.len();
            let tag = info_hash.map_or_else(|| file_tag(&metadata), |hash| hash.to_string());
            let name = path.file_name().map_or(name.into(), std::ffi::OsStr::to_string_lossy).into_owned();
            (length, Some(tag), name, Bytewise::File(file))
        }
        Some(Found::Coming { torrent, range }) => {
            let (tag, name) = (torrent.info_hash().to_string(), torrent.metainfo().info.name.to_string());
            (range.end - range.start, Some(tag), name, Bytewise::Torrent(torrent, range.start))
        }
    };
    let tag = tag.map(|tag| HeaderValue::from_str(&format!("\"{tag}\"")).expect("hex digits are a header's value"));
    let may_cut = headers.get(header::IF_RANGE).is_none_or(|condition| Some(condition) == tag.as_ref());
    let asked = match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        // A range means something only to GET.
        Some(range) if may_cut && *method == Method::GET => range::parse(range, length),
        _ => Asked::Whole,
    };
    let whole = ByteRange { first: 0, last: length.saturating_sub(1) };
    let (status, part) = match asked {
        Asked::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, None),
        Asked::Parts(parts) if parts.len() == 1 => (StatusCode::PARTIAL_CONTENT, Some(parts[0])),
        // Nobody who plays asks for several parts, and the whole is an answer to that.
        Asked::Parts(_) | Asked::Whole => (StatusCode::OK, (length > 0).then_some(whole)),
    };
    if let (Bytewise::Growing(growing), Some(url), Some(part)) = (&source, elsewhere, part)
        && !growing.reaches(part.first)
    {
        return Redirect::temporary(&url).into_response();
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(tag) = tag {
        out.insert(header::ETAG, tag);
    }
    let text = |text: String| HeaderValue::from_str(&text).expect("digits are a header's value");
    match (status, part) {
        (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
            out.insert(header::CONTENT_RANGE, text(format!("bytes */{length}")));
            return response;
        }
        (StatusCode::PARTIAL_CONTENT, Some(part)) => {
            out.insert(header::CONTENT_RANGE, text(format!("bytes {}-{}/{length}", part.first, part.last)));
        }
        _ => {}
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime_of(&name)));
    out.insert(header::CONTENT_LENGTH, part.map_or(0, ByteRange::length).into());
    if let Some(part) = part.filter(|_| *method != Method::HEAD) {
        let again = id.map(|id| Again { web: Arc::clone(web), id });
        *response.body_mut() = Body::from_stream(body::stream(source, part, again));
    }
    response
}

/// All of a plain download of which nobody knows how long it is.
fn endless(growing: Growing, name: &str, method: &Method) -> Response {
    let headers = [(header::CONTENT_TYPE, mime_of(name)), (header::CACHE_CONTROL, "private, no-cache")];
    if *method == Method::HEAD {
        return headers.into_response();
    }
    (headers, Body::from_stream(body::stream(Bytewise::Growing(growing), body::ENDLESS, None))).into_response()
}
