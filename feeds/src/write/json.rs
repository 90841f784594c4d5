//! `feed.json`: the show as JSON Feed 1.1.
//!
//! Each episode's attachments are the file over HTTP and its `.torrent`. What JSON Feed has no word for stands in an
//! object of our own, `_podswarm`, which others pass over: where releases are told of, magnet link, info-hash,
//! integrity, season and number, and what the show has taken back.
//!
//! Source: JSON Feed 1.1.

use serde_json::{Map, Value, json};

use super::{MOST_WITHDRAWN, OWN, TORRENT_MIME, newest_first};
use crate::model::{Episode, FeedUrls, Show};

/// The show as JSON Feed, newest episode first, UTF-8.
pub fn json_feed(show: &Show, episodes: &[Episode], urls: &FeedUrls) -> String {
    let withdrawn: Vec<String> = show.withdrawn.iter().take(MOST_WITHDRAWN).map(ToString::to_string).collect();
    let own = object([
        ("about", Some("https://www.jsonfeed.org/version/1.1/#extensions".into())),
        ("events", urls.events.as_ref().map(|events| events.as_str().into())),
        ("guid", show.podcast_guid.map(|guid| guid.to_string().into())),
        ("key", show.key.map(|key| key.to_string().into())),
        ("withdrawn", (!withdrawn.is_empty()).then(|| withdrawn.into())),
    ]);
    let hub = |hub: &url::Url| json!({ "type": "WebSub", "url": hub.as_str() });
    let author = |name: &String| json!([{ "name": name }]);
    let feed = object([
        ("version", Some("https://jsonfeed.org/version/1.1".into())),
        ("title", Some(show.title.as_str().into())),
        ("home_page_url", Some(show.link.as_ref().unwrap_or(&urls.page).as_str().into())),
        ("feed_url", Some(urls.at.of(&urls.json).as_str().into())),
        ("next_url", urls.at.older().map(|older| older.of(&urls.json).as_str().into())),
        ("description", Some(show.description.as_str().into())),
        ("icon", show.image_url.as_ref().map(|url| url.as_str().into())),
        ("hubs", (!urls.hubs.is_empty() && urls.at.number.is_none()).then(|| urls.hubs.iter().map(hub).collect())),
        ("authors", show.author.as_ref().map(author)),
        ("language", Some(if show.language.is_empty() { "en".into() } else { show.language.as_str().into() })),
        (OWN, Some(own)),
        ("items", Some(newest_first(episodes).into_iter().map(item).collect())),
    ]);
    let mut text = serde_json::to_string_pretty(&feed).expect("a feed has a JSON form");
    text.push('\n');
    text
}

fn item(episode: &Episode) -> Value {
    let media = &episode.media;
    let mut attachments = vec![object([
        ("url", Some(media.url.as_str().into())),
        ("mime_type", Some(media.mime.as_str().into())),
        ("size_in_bytes", Some(media.length.into())),
        ("duration_in_seconds", episode.duration.map(|duration| duration.as_secs().into())),
    ])];
    attachments.extend(episode.torrent.as_ref().map(|torrent| {
        let length = torrent.folder_length.unwrap_or(media.length);
        json!({ "url": torrent.url.as_str(), "mime_type": TORRENT_MIME, "size_in_bytes": length })
    }));
    let public = episode.torrent.as_ref().filter(|torrent| torrent.magnet.is_some());
    let own = object([
        ("chapters", episode.chapters_url.as_ref().map(|url| url.as_str().into())),
        ("episode", episode.number.map(Into::into)),
        ("info_hash", public.map(|torrent| torrent.info_hash.to_string().into())),
        ("integrity", media.sri.as_deref().map(Into::into)),
        ("magnet", public.and_then(|torrent| Some(torrent.magnet.as_deref()?.into()))),
        ("season", episode.season.map(Into::into)),
    ]);
    object([
        ("id", Some(episode.guid.as_str().into())),
        ("url", episode.page_url.as_ref().map(|url| url.as_str().into())),
        ("title", Some(episode.title.as_str().into())),
        // An item has to have a content, be it empty.
        ("content_html", Some(episode.notes.as_str().into())),
        ("image", episode.image_url.as_ref().map(|url| url.as_str().into())),
        ("date_published", Some(episode.published.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into())),
        ("attachments", Some(attachments.into())),
        (OWN, Some(own)),
    ])
}

/// An object without what is not said.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}
