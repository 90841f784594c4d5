//! JSON Feed as others write it.

use super::*;

const VERSION: &str = r#""version": "https://jsonfeed.org/version/1.1", "title": "Show""#;

#[track_caller]
fn item(inner: &str) -> Item {
    let channel = read(&format!("\u{feff} {{{VERSION}, \"items\": [{{{inner}}}]}}"));
    let [item] = <[Item; 1]>::try_from(channel.items).expect("one item");
    item
}

#[test]
fn a_podcast_of_version_one_is_read() {
    let channel = read(
        r#"{"version": "https://jsonfeed.org/version/1", "title": "Show", "home_page_url": "/", "author": {"name": "Ada"},
        "hubs": [{"type": "rssCloud", "url": "/cloud"}, {"type": "WebSub", "url": "/hub"}, 7], "feed_url": "/f.json",
        "next_url": "feed.json?page=2", "icon": "cover.png", "items": [{"id": 7, "title": "One", "content_text": "a < b",
        "date_published": "2026-11-20T18:00:00+01:00", "attachments": [{"url": "one.mp3", "mime_type": "audio/mpeg",
        "size_in_bytes": 1234567, "duration_in_seconds": 1800.5}]}]}"#,
    );
    assert_eq!(channel.author.as_deref(), Some("Ada"));
    assert_eq!(channel.link.as_ref().map(Url::as_str), Some("https://pod.example/"));
    assert_eq!(channel.next_page.as_ref().map(Url::as_str), Some("https://pod.example/shows/feed.json?page=2"));
    assert_eq!(channel.hubs.iter().map(Url::as_str).collect::<Vec<_>>(), ["https://pod.example/hub"]);
    assert_eq!(channel.self_url.as_ref().map(Url::as_str), Some("https://pod.example/f.json"));
    let [item] = &channel.items[..] else { panic!("one item") };
    assert_eq!((item.guid.as_str(), item.description.as_str()), ("7", "a &lt; b"));
    assert_eq!(item.published.map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-20T17:00:00+00:00"));
    assert_eq!(item.duration.map(|it| it.as_secs()), Some(1800));
    assert_eq!(lines(item), ["http https://pod.example/shows/one.mp3 1234567 audio/mpeg"]);
}

#[test]
fn torrents_come_as_attachments_and_as_links() {
    let torrent = "\"mime_type\": \"application/x-bittorrent\"";
    let both = item(&format!(
        r#""id": "a", "attachments": [{{"url": "a.mp3", "mime_type": "audio/mpeg"}}, {{"url": "get?id=1", {torrent}}}]"#
    ));
    assert_eq!(
        lines(&both),
        ["torrent https://pod.example/shows/get?id=1", "http https://pod.example/shows/a.mp3 ? audio/mpeg"]
    );
    let magnet = format!("magnet:?xt=urn:btih:{HASH}");
    assert_eq!(lines(&item(&format!(r#""id": "a", "external_url": "{magnet}""#))), [magnet.as_str()]);
    assert_eq!(lines(&item(&format!(r#""id": "a", "attachments": [{{"url": "{magnet}", {torrent}}}]"#))), [magnet]);
    assert_eq!(item(r#""id": "a", "url": "/text""#).why_none, Some(WhyNone::NoFile));
}

#[test]
fn what_is_of_the_wrong_kind_is_passed_over() {
    let odd = item(r#""id": "a", "title": ["x"], "attachments": {"url": 1}, "date_published": "soon", "_podswarm": 7"#);
    assert_eq!((odd.title.as_str(), odd.published, odd.sources.len()), ("", None, 0));
    let deep = format!("{{{VERSION}, \"items\": {}", "[".repeat(100_000));
    assert!(matches!(parse(deep.as_bytes(), &base(), None), Err(ReadError::Json)));
    let twice = read(&format!(r#"{{{VERSION}, "items": [{{"id": "a"}}, {{"id": "a"}}, 5, {{"title": "no id"}}]}}"#));
    assert_eq!(twice.items.iter().map(|item| item.guid.as_str()).collect::<Vec<_>>(), ["a", "no id"]);
}
