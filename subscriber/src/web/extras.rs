//! Answers requests for covers and chapters that are kept.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use podswarm_feeds::write::CHAPTERS_MIME;

use super::{Web, feed, media};
use crate::records::{EpisodeId, FeedId};

/// A cover has another name when it is another one.
const FOR_GOOD: &str = "private, max-age=31536000, immutable";

/// `GET /cover/FEED/NAME`; NAME is there for who keeps pictures by their addresses.
pub(super) async fn cover(
    State(web): State<Arc<Web>>,
    Path((feed, name)): Path<(u32, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Some(found) = web.shelf.cover(FeedId(feed)).await else {
        return (StatusCode::NOT_FOUND, "no cover of this show is kept\n").into_response();
    };
    let mut response = media::answer(&web, Some(found), None, &name, &method, &headers).await;
    if response.status().is_success() {
        let out = response.headers_mut();
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
        out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

/// `GET /chapters/FEED/NUMBER.json`
pub(super) async fn chapters(
    State(web): State<Arc<Web>>,
    Path((feed, file)): Path<(u32, String)>,
    headers: HeaderMap,
) -> Response {
    let number = file.strip_suffix(".json").and_then(|number| number.parse().ok());
    let kept = match number {
        Some(number) => web.shelf.chapters(EpisodeId { feed: FeedId(feed), number }).await,
        None => None,
    };
    match kept {
        Some(text) => feed::text(&headers, CHAPTERS_MIME, text),
        None => (StatusCode::NOT_FOUND, "no chapters of this episode are kept\n").into_response(),
    }
}
