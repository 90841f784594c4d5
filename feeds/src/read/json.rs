//! JSON Feed, said in the words of RSS, so that everything behind reads one model.
//!
//! What is not of the kind that it should be is passed over: a number where a text is wanted is that number's text, an
//! object is nothing.
//!
//! Source: JSON Feed 1.0 and 1.1; attachments as video sites and we ourselves name torrents in them.

use std::collections::BTreeMap;

use rss::extension::atom::{AtomExtension, Link};
use rss::extension::itunes::{ITunesChannelExtension, ITunesItemExtension};
use rss::extension::{Extension, ExtensionMap};
use serde_json::{Map, Value};

use super::names::KEPT_PREFIX;
use super::{MAX_ITEMS, ReadError};
use crate::withdrawal::{KEY_PURPOSE, WITHDRAWN_PURPOSE};
use crate::write::OWN;

/// More attachments of one item help nobody.
const MAX_ATTACHMENTS: usize = 16;

type Object = Map<String, Value>;

/// The feed in `text`, with its items in order, and whether that is all of it.
pub(super) fn read(text: &str) -> Result<(rss::Channel, bool), ReadError> {
    let Ok(Value::Object(feed)) = serde_json::from_str(text) else { return Err(ReadError::Json) };
    let is_feed = feed.get("version").and_then(Value::as_str).is_some_and(|it| it.contains("jsonfeed.org/version"));
    let (true, Some(Value::Array(items))) = (is_feed, feed.get("items")) else { return Err(ReadError::Json) };
    let own = object(&feed, OWN);
    let mut links = Vec::new();
    for (name, rel) in [("feed_url", "self"), ("next_url", "next")] {
        links.extend(text_of(&feed, name).map(|href| Link { href, rel: rel.to_owned(), ..Link::default() }));
    }
    let hubs = list(&feed, "hubs").iter().filter_map(Value::as_object);
    let hubs = hubs.filter(|hub| text_of(hub, "type").is_some_and(|it| it.eq_ignore_ascii_case("websub")));
    links.extend(hubs.filter_map(|hub| text_of(hub, "url")).map(|href| Link {
        href,
        rel: "hub".to_owned(),
        ..Link::default()
    }));
    links.extend(own.and_then(|own| text_of(own, "events")).map(|href| Link {
        href,
        rel: "monitor".to_owned(),
        mime_type: Some("text/event-stream".to_owned()),
        ..Link::default()
    }));
    let mut kept = BTreeMap::new();
    if let Some(own) = own {
        let guid = text_of(own, "guid").map(|guid| element(&[], Some(guid)));
        kept.insert("guid".to_owned(), guid.into_iter().collect());
        let key = text_of(own, "key").map(|key| (KEY_PURPOSE, key));
        let withdrawn =
            list(own, "withdrawn").iter().filter_map(Value::as_str).map(|it| (WITHDRAWN_PURPOSE, it.to_owned()));
        let said = key.into_iter().chain(withdrawn).map(|(purpose, said)| element(&[("purpose", purpose)], Some(said)));
        kept.insert("txt".to_owned(), said.collect());
    }
    let channel = rss::Channel {
        title: text_of(&feed, "title").unwrap_or_default(),
        link: text_of(&feed, "home_page_url").unwrap_or_default(),
        description: text_of(&feed, "description").unwrap_or_default(),
        atom_ext: Some(AtomExtension { links }),
        itunes_ext: Some(ITunesChannelExtension {
            author: author(&feed),
            image: text_of(&feed, "icon"),
            ..ITunesChannelExtension::default()
        }),
        extensions: ExtensionMap::from([(KEPT_PREFIX.to_owned(), kept)]),
        items: items.iter().filter_map(Value::as_object).take(MAX_ITEMS).map(item).collect(),
        ..rss::Channel::default()
    };
    Ok((channel, items.len() <= MAX_ITEMS))
}

fn item(item: &Object) -> rss::Item {
    let own = object(item, OWN);
    let attachments: Vec<&Object> =
        list(item, "attachments").iter().filter_map(Value::as_object).take(MAX_ATTACHMENTS).collect();
    let mut enclosures: Vec<Extension> = attachments.iter().map(|it| enclosure(it)).collect();
    enclosures.extend(
        own.and_then(|own| text_of(own, "magnet"))
            .map(|magnet| element(&[("url", &magnet), ("type", "application/x-bittorrent")], None)),
    );
    let hash = own.and_then(|own| text_of(own, "info_hash")).map(|hash| element(&[], Some(hash)));
    let kept =
        BTreeMap::from([("enclosure".to_owned(), enclosures), ("infohash".to_owned(), hash.into_iter().collect())]);
    let number = |name: &str| own.and_then(|own| text_of(own, name));
    let content = text_of(item, "content_html").or_else(|| text_of(item, "content_text").map(|text| escape(&text)));
    rss::Item {
        title: text_of(item, "title"),
        link: text_of(item, "url").or_else(|| text_of(item, "external_url")),
        description: text_of(item, "summary").map(|text| escape(&text)),
        content,
        guid: text_of(item, "id").map(|value| rss::Guid { value, permalink: false }),
        pub_date: text_of(item, "date_published").or_else(|| text_of(item, "date_modified")),
        itunes_ext: Some(ITunesItemExtension {
            image: text_of(item, "image"),
            duration: attachments.iter().find_map(|it| text_of(it, "duration_in_seconds")),
            season: number("season"),
            episode: number("episode"),
            ..ITunesItemExtension::default()
        }),
        extensions: ExtensionMap::from([(KEPT_PREFIX.to_owned(), kept)]),
        ..rss::Item::default()
    }
}

fn enclosure(attachment: &Object) -> Extension {
    let said = |name: &str| text_of(attachment, name).unwrap_or_default();
    element(&[("url", &said("url")), ("type", &said("mime_type")), ("length", &said("size_in_bytes"))], None)
}

fn object<'v>(of: &'v Object, name: &str) -> Option<&'v Object> {
    of.get(name)?.as_object()
}

fn list<'v>(of: &'v Object, name: &str) -> &'v [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of(of: &Object, name: &str) -> Option<String> {
    match of.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first of the authors of version 1.1, or the one of 1.0.
fn author(feed: &Object) -> Option<String> {
    let first = list(feed, "authors").first().and_then(Value::as_object);
    first.or_else(|| object(feed, "author")).and_then(|author| text_of(author, "name"))
}

fn element(attrs: &[(&str, &str)], value: Option<String>) -> Extension {
    let attrs = attrs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Extension { attrs, value, ..Extension::default() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
