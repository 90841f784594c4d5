//! `feed.atom`: the show as Atom.
//!
//! Each entry has the file over HTTP and its `.torrent` as enclosures. Entries are known by the same guids as in the
//! other feeds, in the form that Atom wants. What RSS says in the podcast namespace stands here in the same elements:
//! chapters, transcripts, people, the file in every way that it can be had, and what the show has taken back. Seasons
//! and numbers do, too, since Apple's tags are for RSS.
//!
//! Source: RFC 4287, section 6 for elements of others; RFC 4122 for `urn:uuid`; the podcast namespace.

use std::collections::BTreeMap;

use atom_syndication::extension::{Extension, ExtensionMap};
use atom_syndication::{Content, Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use chrono::{DateTime, Utc};
use quick_xml::escape::escape;

use super::podcast::{said_of_episode, said_of_show};
use super::text::{clean, clean_line};
use super::{PODCAST_NAMESPACE, TORRENT_MIME, newest_first, podcast_extensions};
use crate::date::to_the_second;
use crate::model::{Episode, FeedUrls, Show};

/// The type of Atom.
const ATOM_MIME: &str = "application/atom+xml";

/// The show as Atom, newest episode first, UTF-8.
///
/// `updated` is when the feed came to be as it is where no episode tells a later time: it must not be absent.
pub fn atom_feed(show: &Show, episodes: &[Episode], urls: &FeedUrls, updated: DateTime<Utc>) -> String {
    let episodes = newest_first(episodes);
    let title = clean_line(&show.title);
    let id = match show.podcast_guid {
        Some(guid) => format!("urn:uuid:{guid}"),
        None => urls.atom.to_string(),
    };
    let hub = |hub: &url::Url| Link { href: hub.to_string(), rel: "hub".to_owned(), ..Link::default() };
    let mut links = vec![
        link("self", urls.at.of(&urls.atom).as_str(), ATOM_MIME, None),
        link("alternate", show.link.as_ref().unwrap_or(&urls.page).as_str(), "text/html", None),
    ];
    links.extend(urls.events.as_ref().map(|events| link("monitor", events.as_str(), "text/event-stream", None)));
    links.extend(urls.hubs.iter().filter(|_| urls.at.number.is_none()).map(hub));
    links.extend(urls.at.links(&urls.atom).iter().map(|(rel, url)| link(rel, url.as_str(), ATOM_MIME, None)));
    let name = show.author.as_deref().map_or_else(|| title.clone(), clean_line);
    let said = podcast_extensions(show, show.podcast_guid, said_of_show(show));
    let feed = Feed {
        title: Text::plain(title),
        id,
        updated: fixed(episodes.first().map_or(updated, |newest| newest.published)),
        authors: vec![Person { name, ..Person::default() }],
        generator: Some(Generator { value: "Podswarm".to_owned(), ..Generator::default() }),
        logo: show.image_url.as_ref().map(ToString::to_string),
        subtitle: Some(Text::plain(clean(&show.description))),
        links,
        rights: show.copyright.as_deref().map(|text| Text::plain(clean_line(text))),
        entries: episodes.into_iter().map(entry).collect(),
        namespaces: BTreeMap::from([("podcast".to_owned(), PODCAST_NAMESPACE.to_owned())]),
        extensions: said.into_iter().map(|(prefix, elements)| (prefix, in_atom(elements))).collect(),
        lang: Some(clean_line(&show.language)).filter(|language| !language.is_empty()),
        ..Feed::default()
    };
    let mut xml = feed.to_string();
    xml.push('\n');
    xml
}

fn entry(episode: &Episode) -> Entry {
    let media = &episode.media;
    let mut links = vec![link("enclosure", media.url.as_str(), &media.mime, Some(media.length))];
    links.extend(episode.torrent.as_ref().map(|torrent| {
        link("enclosure", torrent.url.as_str(), TORRENT_MIME, Some(torrent.folder_length.unwrap_or(media.length)))
    }));
    links.extend(episode.page_url.as_ref().map(|url| link("alternate", url.as_str(), "text/html", None)));
    let guid = clean_line(&episode.guid);
    let content =
        Content { value: Some(clean(&episode.notes)), content_type: Some("html".to_owned()), ..Content::default() };
    Entry {
        title: Text::plain(clean_line(&episode.title)),
        id: if uuid::Uuid::try_parse(&guid).is_ok() { format!("urn:uuid:{guid}") } else { guid },
        updated: fixed(episode.published),
        published: Some(fixed(episode.published)),
        links,
        content: (!episode.notes.is_empty()).then_some(content),
        extensions: ExtensionMap::from([("podcast".to_owned(), in_atom(said_of_episode(episode)))]),
        ..Entry::default()
    }
}

/// Elements of RSS, by name, as those of Atom.
fn in_atom(elements: BTreeMap<String, Vec<rss::extension::Extension>>) -> BTreeMap<String, Vec<Extension>> {
    let each = |element: rss::extension::Extension| Extension {
        name: element.name,
        value: element.value,
        // Atom's writer writes them as they are.
        attrs: element.attrs.into_iter().map(|(name, value)| (name, escape(value).into_owned())).collect(),
        children: in_atom(element.children),
    };
    elements.into_iter().map(|(name, elements)| (name, elements.into_iter().map(each).collect())).collect()
}

fn link(rel: &str, href: &str, mime: &str, length: Option<u64>) -> Link {
    Link {
        href: href.to_owned(),
        rel: rel.to_owned(),
        mime_type: Some(clean_line(mime)),
        length: length.map(|length| length.to_string()),
        ..Link::default()
    }
}

/// A time as Atom's model wants it.
fn fixed(at: DateTime<Utc>) -> FixedDateTime {
    to_the_second(at).fixed_offset()
}
