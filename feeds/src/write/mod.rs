//! Writes a show as strict RSS 2.0, twice from one model: for podcast apps and for torrent clients; and once more as
//! JSON Feed and as Atom.
//!
//! [`podcast_feed`] puts the HTTP file into the one `<enclosure>` that every app reads and offers the swarm beside it
//! as a `podcast:alternateEnclosure`. [`torrent_feed`] puts the `.torrent` into the enclosure, because torrent clients
//! look nowhere else. Both carry the same guids and name each other. [`json_feed`] and [`atom_feed`] are for readers of
//! those.
//!
//! Law: the bytes are a function of the arguments. Nothing here looks at a clock, episodes come newest first, those of
//! one second as they are given, and the only date of the head is that of the newest episode; so that the bytes move
//! only when the content does, and any validator made from them.
//!
//! Source: RSS 2.0; RFC 4287 and RFC 5989 for `atom:link`; the podcast namespace; BEP 36 and the ezRSS elements.

mod atom;
mod json;
mod library;
mod opml;
mod podcast;
mod text;
mod torrents;

use std::collections::BTreeMap;

use quick_xml::events::Event;
use quick_xml::{Reader, Writer};
use rss::extension::atom::{AtomExtension, Link};
use rss::extension::{Extension, ExtensionMap};
use uuid::Uuid;

pub use atom::atom_feed;
pub use json::json_feed;
pub use library::{KeptEpisode, library_feed};
pub use opml::opml;
pub use podcast::{CHAPTERS_MIME, podcast_feed};
pub use torrents::torrent_feed;

use crate::date;
use crate::model::{Episode, FeedUrls, Show};
use crate::tags::{Tag, Tags};
use crate::withdrawal::{KEY_PURPOSE, WITHDRAWN_PURPOSE};
use text::{clean, clean_line};

/// Namespace of the `podcast:` tags.
const PODCAST_NAMESPACE: &str = "https://podcastindex.org/namespace/1.0";

/// Our own object in JSON Feed, for what it has no word for.
pub(crate) const OWN: &str = "_podswarm";

/// Type of a `.torrent` file. Torrent clients compare it as a whole, so nothing may follow it.
pub const TORRENT_MIME: &str = "application/x-bittorrent";

/// So many withdrawals a feed names: an agent that was away longer than they go back has the tracker's refusal.
const MOST_WITHDRAWN: usize = 100;

/// Type of both feeds.
const RSS_MIME: &str = "application/rss+xml";

/// The head that both feeds share, without links and items.
fn channel(show: &Show, newest: Option<&Episode>, urls: &FeedUrls, title: String) -> rss::Channel {
    let link = show.link.as_ref().unwrap_or(&urls.page).to_string();
    let language = clean_line(&show.language);
    rss::Channel {
        image: show.image_url.as_ref().map(|url| rss::Image {
            url: url.to_string(),
            title: title.clone(),
            link: link.clone(),
            ..rss::Image::default()
        }),
        title,
        link,
        description: clean(&show.description),
        copyright: show.copyright.as_deref().map(clean_line),
        language: Some(if language.is_empty() { "en".to_owned() } else { language }),
        pub_date: newest.map(|episode| date::rfc2822(episode.published)),
        generator: Some("Podswarm".to_owned()),
        cloud: urls.cloud.as_ref().filter(|_| urls.at.number.is_none()).map(cloud),
        ..rss::Channel::default()
    }
}

/// Where servers ask to be told of changes, in parts.
fn cloud(url: &url::Url) -> rss::Cloud {
    rss::Cloud {
        domain: url.host_str().unwrap_or_default().to_owned(),
        port: url.port_or_known_default().unwrap_or_default().to_string(),
        path: url.path().to_owned(),
        // It means something to other protocols only.
        register_procedure: String::new(),
        protocol: "http-post".to_owned(),
    }
}

/// The item that both feeds share, without enclosure.
fn item(episode: &Episode) -> rss::Item {
    let notes = clean(&episode.notes);
    let (description, content) = text::fit_notes(notes);
    rss::Item {
        title: Some(clean_line(&episode.title)),
        link: episode.page_url.as_ref().map(ToString::to_string),
        description,
        content,
        guid: Some(rss::Guid { value: clean(&episode.guid), permalink: episode.guid_is_link }),
        pub_date: Some(date::rfc2822(episode.published)),
        ..rss::Item::default()
    }
}

/// What the head says in the podcast namespace: the show's name, its key, the latest of what it has taken back, and
/// whatever else of `said`.
fn podcast_extensions(show: &Show, guid: Option<Uuid>, said: BTreeMap<String, Vec<Extension>>) -> ExtensionMap {
    let mut said = said;
    let txt = |purpose: &str, text: &str| element("podcast:txt", &[("purpose", purpose)], Some(text));
    let key = show.key.map(|key| txt(KEY_PURPOSE, &key.to_string()));
    let withdrawn = show.withdrawn.iter().take(MOST_WITHDRAWN).map(|it| txt(WITHDRAWN_PURPOSE, &it.to_string()));
    let guid = guid.map(|guid| element("podcast:guid", &[], Some(&guid.to_string())));
    said.entry("guid".to_owned()).or_default().extend(guid);
    said.entry("txt".to_owned()).or_default().extend(key.into_iter().chain(withdrawn));
    said.retain(|_, elements| !elements.is_empty());
    if said.is_empty() { ExtensionMap::new() } else { ExtensionMap::from([("podcast".to_owned(), said)]) }
}

/// Newest first; what was released in the same second is in the order in which it is given.
fn newest_first(episodes: &[Episode]) -> Vec<&Episode> {
    let mut sorted: Vec<&Episode> = episodes.iter().collect();
    sorted.sort_by(|a, b| a.newest_first(b));
    sorted
}

fn atom_link(rel: &str, href: &url::Url, mime: &str, title: Option<&str>) -> Link {
    Link {
        href: href.to_string(),
        rel: rel.to_owned(),
        mime_type: Some(mime.to_owned()),
        title: title.map(str::to_owned),
        ..Link::default()
    }
}

/// `self` is this page of `own`; a `hub` sends that on when it changes, but not its pages of older episodes; `monitor`
/// is where releases are told of at once; `alternate` is the same page of the other feed of the show; the rest are
/// other pages.
fn links(own: &url::Url, urls: &FeedUrls, other: &url::Url, other_title: &str) -> AtomExtension {
    let hub = |hub: &url::Url| Link { href: hub.to_string(), rel: "hub".to_owned(), ..Link::default() };
    let mut links = vec![atom_link("self", &urls.at.of(own), RSS_MIME, None)];
    links.extend(urls.hubs.iter().filter(|_| urls.at.number.is_none()).map(hub));
    links.extend(urls.events.as_ref().map(|events| atom_link("monitor", events, "text/event-stream", None)));
    links.push(atom_link("alternate", &urls.at.of(other), RSS_MIME, Some(other_title)));
    links.extend(urls.at.links(own).iter().map(|(rel, url)| atom_link(rel, url, RSS_MIME, None)));
    AtomExtension { links }
}

/// An element with attributes and text. Attributes are written in the order of their names.
fn element(name: &str, attrs: &[(&str, &str)], value: Option<&str>) -> Extension {
    Extension {
        name: name.to_owned(),
        value: value.map(clean_line),
        attrs: attrs.iter().map(|(name, value)| ((*name).to_owned(), clean_line(value))).collect(),
        children: BTreeMap::new(),
    }
}

/// Tags as the elements that they are, by name.
fn elements(tags: &Tags) -> BTreeMap<String, Vec<Extension>> {
    let of = |(name, tags): (&str, &[Tag])| {
        let name_in_feed = format!("podcast:{name}");
        (name.to_owned(), tags.iter().map(|tag| tag_element(&name_in_feed, tag)).collect())
    };
    tags.iter().map(of).collect()
}

fn tag_element(name: &str, tag: &Tag) -> Extension {
    let attrs: Vec<(&str, &str)> = tag.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let text = Some(tag.text.as_str()).filter(|text| !text.is_empty());
    Extension { children: elements(&tag.children), ..element(name, &attrs, text) }
}

fn to_xml(channel: &rss::Channel) -> String {
    let bytes = channel.pretty_write_to(Vec::new(), b' ', 2).expect("writing to memory cannot fail");
    let mut xml = String::from_utf8(closed(&bytes)).expect("every part was a string");
    xml.push('\n');
    xml
}

/// `xml` with elements that hold nothing written as `<name/>`.
///
/// The `rss` crate puts a line's end between their tags, which the schema of the podcast namespace forbids.
fn closed(xml: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = (Reader::from_reader(xml), Writer::new(Vec::with_capacity(xml.len())));
    // A start tag, and the blanks behind it.
    let mut held: Vec<Event<'_>> = Vec::new();
    loop {
        let event = reader.read_event().expect("what was written is well-formed");
        let is_blank = |text: &[u8]| text.iter().all(u8::is_ascii_whitespace);
        match (held.as_slice(), event) {
            ([Event::Start(start), ..], Event::End(_)) => {
                writer.write_event(Event::Empty(start.borrow())).expect("writing to memory cannot fail");
                held.clear();
            }
            ([Event::Start(_)], Event::Text(text)) if is_blank(&text) => held.push(Event::Text(text)),
            (_, event) => {
                for event in held.drain(..) {
                    writer.write_event(event).expect("writing to memory cannot fail");
                }
                match event {
                    Event::Eof => return writer.into_inner(),
                    Event::Start(start) => held.push(Event::Start(start)),
                    event => writer.write_event(event).expect("writing to memory cannot fail"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
