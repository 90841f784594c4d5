//! `GET /feed.xml`: what is kept, as a feed for podcast apps.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use podswarm_feeds::write::{KeptEpisode, library_feed};
use url::Url;

use super::{Kept, Web, mime_of};
use crate::agent::found::mark;

/// The feed's name.
const TITLE: &str = "podsub";

pub(super) async fn feed(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let Some(kept) = web.shelf.kept().await else { return StatusCode::NOT_FOUND.into_response() };
    // The asker reaches us by this name, which was looked at before.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = Url::parse(&web.site.feed_url_at(host));
    let Ok(own) = own else { return StatusCode::BAD_REQUEST.into_response() };
    let episodes: Vec<_> = kept.into_iter().filter_map(|kept| episode(&web, host, kept)).collect();
    let xml = library_feed(TITLE, &own, &episodes);
    text(&headers, "application/rss+xml; charset=utf-8", xml)
}

/// The answer that is this text, to who may know it already.
pub(super) fn text(headers: &HeaderMap, kind: &'static str, text: String) -> Response {
    let tag = format!("\"{:016x}\"", mark(&text));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag || known.trim() == "*"));
    let (status, body) = if is_known { (StatusCode::NOT_MODIFIED, String::new()) } else { (StatusCode::OK, text) };
    let tag = HeaderValue::from_str(&tag).expect("hex digits are a header's value");
    let fixed = HeaderValue::from_static;
    let headers = [
        (header::ETAG, tag),
        (header::CONTENT_TYPE, fixed(kind)),
        (header::CACHE_CONTROL, fixed("private, no-cache")),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
    ];
    (status, headers, body).into_response()
}

fn episode(web: &Web, host: &str, kept: Kept) -> Option<KeptEpisode> {
    let url = Url::parse(&web.site.media_url_at(host, &kept.id.to_string(), &kept.name)).ok()?;
    let chapters = if kept.has_chapters { Some(web.site.chapters_url_at(host, kept.id)) } else { kept.chapters };
    let image = kept.cover.map(|name| web.site.cover_url_at(host, kept.id.feed, &name));
    Some(KeptEpisode {
        guid: kept.guid,
        show: kept.show,
        title: kept.title,
        notes: kept.notes,
        published: kept.published,
        duration: kept.seconds.map(Duration::from_secs),
        season: kept.season,
        number: kept.number,
        url,
        length: kept.length,
        mime: mime_of(&kept.name).split(';').next().unwrap_or_default().to_owned(),
        chapters: chapters.and_then(|url| Url::parse(&url).ok()),
        image: image.and_then(|url| Url::parse(&url).ok()),
    })
}
