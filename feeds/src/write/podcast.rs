//! `feed.xml`: the show as podcast apps read it.
//!
//! The order inside an item is for naive readers: the HTTP `<enclosure>` first and alone, then one
//! `podcast:alternateEnclosure` whose sources are HTTP, `.torrent` and magnet in this order, then the rest. An episode
//! that is a folder has the one file that apps play in `<enclosure>`, and the whole as a torrent alone.
//!
//! What is said in the podcast namespace stands here for Atom, too.
//!
//! Source: Apple's podcast requirements, PSP-1, the podcast namespace's `alternateEnclosure`, `source`, `integrity`.

use std::collections::BTreeMap;

use rss::extension::itunes::{ITunesCategory, ITunesChannelExtension, ITunesItemExtension, ITunesOwner};
use rss::extension::{Extension, ExtensionMap};

use super::text::clean_line;
use super::{
    PODCAST_NAMESPACE, TORRENT_MIME, channel, element, elements, item, links, newest_first, podcast_extensions, to_xml,
};
use crate::model::{Episode, FeedUrls, Media, Show, TorrentRef, Transcript};

/// The type of chapters.
pub const CHAPTERS_MIME: &str = "application/json+chapters";

/// The podcast feed of `show`, newest episode first, UTF-8.
pub fn podcast_feed(show: &Show, episodes: &[Episode], urls: &FeedUrls) -> String {
    let episodes = newest_first(episodes);
    let title = clean_line(&show.title);
    let author = show.author.as_deref().map(clean_line);
    let channel = rss::Channel {
        namespaces: BTreeMap::from([("podcast".to_owned(), PODCAST_NAMESPACE.to_owned())]),
        atom_ext: Some(links(&urls.feed, urls, &urls.torrents, "Torrents")),
        itunes_ext: Some(ITunesChannelExtension {
            categories: show.categories.iter().map(|category| itunes_category(category)).collect(),
            image: show.image_url.as_ref().map(ToString::to_string),
            explicit: Some(show.explicit.to_string()),
            owner: show.email.as_deref().map(|email| ITunesOwner {
                name: Some(author.clone().unwrap_or_else(|| title.clone())),
                email: Some(clean_line(email)),
            }),
            author: author.clone(),
            complete: show.is_complete.then(yes),
            block: show.is_blocked.then(yes),
            new_feed_url: show.new_feed_url.as_ref().map(ToString::to_string),
            r#type: Some(if show.is_serial { "serial" } else { "episodic" }.to_owned()),
            ..ITunesChannelExtension::default()
        }),
        extensions: podcast_extensions(show, show.podcast_guid, said_of_show(show)),
        items: episodes.iter().map(|episode| podcast_item(episode)).collect(),
        ..channel(show, episodes.first().copied(), urls, title.clone())
    };
    to_xml(&channel)
}

/// As Apple wants it said.
fn yes() -> String {
    "Yes".to_owned()
}

/// What is said of a show in the podcast namespace.
pub(super) fn said_of_show(show: &Show) -> BTreeMap<String, Vec<Extension>> {
    let mut said = elements(&show.tags);
    let owner: Vec<(&str, &str)> = show.email.as_deref().map(|email| ("owner", email)).into_iter().collect();
    let locked = element("podcast:locked", &owner, Some(if show.is_locked { "yes" } else { "no" }));
    said.insert("locked".to_owned(), vec![locked]);
    said
}

/// `Arts > Books` as a category and its subcategory.
fn itunes_category(category: &str) -> ITunesCategory {
    let (parent, child) = match category.split_once('>') {
        Some((parent, child)) => (parent, Some(child)),
        None => (category, None),
    };
    let subcategory = child.map(|text| Box::new(ITunesCategory { text: clean_line(text), subcategory: None }));
    ITunesCategory { text: clean_line(parent), subcategory }
}

/// What is said of an episode in the podcast namespace.
pub(super) fn said_of_episode(episode: &Episode) -> BTreeMap<String, Vec<Extension>> {
    let chapters = episode
        .chapters_url
        .as_ref()
        .map(|url| element("podcast:chapters", &[("url", url.as_str()), ("type", CHAPTERS_MIME)], None));
    let numbered = |tag: &str, number: Option<u32>, attribute: &str, name: &Option<String>| {
        let name = name.as_deref().map(|name| (attribute, name));
        Some(element(tag, name.as_slice(), Some(&number?.to_string())))
    };
    // The schema has every season named.
    let season_name = episode.season_name.clone().or_else(|| episode.season.map(|number| number.to_string()));
    let own = [
        ("alternateEnclosure", vec![alternate_enclosure(episode)]),
        ("chapters", chapters.into_iter().collect()),
        ("episode", numbered("podcast:episode", episode.number, "display", &episode.number_name).into_iter().collect()),
        ("season", numbered("podcast:season", episode.season, "name", &season_name).into_iter().collect()),
        ("transcript", episode.transcripts.iter().map(transcript).collect()),
    ];
    let own = own.into_iter().filter(|(_, elements)| !elements.is_empty());
    let mut said = elements(&episode.tags);
    said.extend(own.map(|(name, elements)| (name.to_owned(), elements)));
    said
}

fn podcast_item(episode: &Episode) -> rss::Item {
    let media = &episode.media;
    let mut said = said_of_episode(episode);
    // Apple's tags tell the numbers; these are for names that they have no place for.
    for (tag, name) in [("season", &episode.season_name), ("episode", &episode.number_name)] {
        if name.is_none() {
            said.remove(tag);
        }
    }
    rss::Item {
        enclosure: Some(rss::Enclosure {
            url: media.url.to_string(),
            length: media.length.to_string(),
            mime_type: clean_line(&media.mime),
        }),
        extensions: ExtensionMap::from([("podcast".to_owned(), said)]),
        itunes_ext: Some(ITunesItemExtension {
            image: episode.image_url.as_ref().map(ToString::to_string),
            duration: episode.duration.map(|duration| duration.as_secs().to_string()),
            explicit: Some(episode.explicit.to_string()),
            block: episode.is_blocked.then(yes),
            episode: episode.number.map(|number| number.to_string()),
            season: episode.season.map(|season| season.to_string()),
            episode_type: Some(episode.kind.as_str().to_owned()),
            ..ITunesItemExtension::default()
        }),
        ..item(episode)
    }
}

fn transcript(transcript: &Transcript) -> Extension {
    let mut attrs =
        vec![("url", transcript.url.as_str()), ("type", &transcript.mime), ("language", &transcript.language)];
    attrs.extend(transcript.has_times.then_some(("rel", "captions")));
    element("podcast:transcript", &attrs, None)
}

/// The same bytes in every way that they can be had, and how to know that they are the right ones.
fn alternate_enclosure(episode: &Episode) -> Extension {
    let media = &episode.media;
    if let Some((torrent, length)) =
        episode.torrent.as_ref().and_then(|torrent| Some((torrent, torrent.folder_length?)))
    {
        let length = length.to_string();
        let attrs = [("length", length.as_str()), ("title", "All files"), ("type", TORRENT_MIME)];
        let children = BTreeMap::from([("1".to_owned(), torrent_sources(torrent))]);
        return Extension { children, ..element("podcast:alternateEnclosure", &attrs, None) };
    }
    let length = media.length.to_string();
    let bitrate = bitrate(episode).map(|bitrate| bitrate.to_string());
    let mut attrs = vec![("default", "true"), ("length", &length), ("title", "Standard"), ("type", &media.mime)];
    attrs.extend(bitrate.as_deref().map(|bitrate| ("bitrate", bitrate)));
    Extension {
        // `rss` writes children by the order of their keys; the numbers put the sources first.
        children: BTreeMap::from([
            ("1".to_owned(), sources(media, episode.torrent.as_ref())),
            ("2".to_owned(), integrity(media).into_iter().collect()),
        ]),
        ..element("podcast:alternateEnclosure", &attrs, None)
    }
}

fn sources(media: &Media, torrent: Option<&TorrentRef>) -> Vec<Extension> {
    let mut sources = vec![element("podcast:source", &[("uri", media.url.as_str())], None)];
    sources.extend(torrent.into_iter().flat_map(torrent_sources));
    sources
}

fn torrent_sources(torrent: &TorrentRef) -> Vec<Extension> {
    let metainfo = [("uri", torrent.url.as_str()), ("contentType", TORRENT_MIME)];
    let magnet = torrent.magnet.as_deref().map(|magnet| element("podcast:source", &[("uri", magnet)], None));
    std::iter::once(element("podcast:source", &metainfo, None)).chain(magnet).collect()
}

fn integrity(media: &Media) -> Option<Extension> {
    let sri = media.sri.as_deref()?;
    Some(element("podcast:integrity", &[("type", "sri"), ("value", sri)], None))
}

/// Mean bits per second of the file, cover and all; `None` if the playing time is not known.
fn bitrate(episode: &Episode) -> Option<u64> {
    let millis = episode.duration?.as_millis();
    let bits = u128::from(episode.media.length) * 8;
    u64::try_from((bits * 1000).checked_div(millis)?).ok()
}
