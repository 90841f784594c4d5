//! The feed of what a listener keeps, for the podcast app on the phone: episodes of many shows as one.
//!
//! Each has its show's name before its own and as its author. It goes by HTTP alone: who reads it has the listener's
//! box to play from.
//!
//! Source: RSS 2.0, Apple's tags, `podcast:chapters`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rss::extension::ExtensionMap;
use rss::extension::atom::AtomExtension;
use rss::extension::itunes::{ITunesChannelExtension, ITunesItemExtension};
use url::Url;

use super::podcast::CHAPTERS_MIME;
use super::text::{clean, clean_line, fit_notes};
use super::{PODCAST_NAMESPACE, RSS_MIME, atom_link, element, to_xml};
use crate::date;

/// An episode that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEpisode {
    /// Names it for ever.
    pub guid: String,
    /// Its show's name.
    pub show: String,
    /// Its title.
    pub title: String,
    /// Its notes, HTML that its own feed wrote; empty if it has none.
    pub notes: String,
    /// When it was released.
    pub published: DateTime<Utc>,
    /// Its playing time.
    pub duration: Option<Duration>,
    /// Its season, from 1.
    pub season: Option<u32>,
    /// Its number within the season, from 1.
    pub number: Option<u32>,
    /// Where its file is.
    pub url: Url,
    /// The file's length, in bytes.
    pub length: u64,
    /// The file's type.
    pub mime: String,
    /// Where its chapters are.
    pub chapters: Option<Url>,
    /// Where its cover is.
    pub image: Option<Url>,
}

/// The feed called `title` that is at `own`, with `episodes` in the order in which they are given.
pub fn library_feed(title: &str, own: &Url, episodes: &[KeptEpisode]) -> String {
    let channel = rss::Channel {
        namespaces: BTreeMap::from([("podcast".to_owned(), PODCAST_NAMESPACE.to_owned())]),
        title: clean_line(title),
        link: own.to_string(),
        description: "What is kept on this box, of all shows that it follows.".to_owned(),
        language: Some("en".to_owned()),
        generator: Some("Podswarm".to_owned()),
        pub_date: episodes.iter().map(|episode| episode.published).max().map(date::rfc2822),
        atom_ext: Some(AtomExtension { links: vec![atom_link("self", own, RSS_MIME, None)] }),
        itunes_ext: Some(ITunesChannelExtension {
            author: Some("podsub".to_owned()),
            // No directory is to list what lies in somebody's house.
            block: Some("Yes".to_owned()),
            explicit: Some("false".to_owned()),
            ..ITunesChannelExtension::default()
        }),
        items: episodes.iter().map(item).collect(),
        ..rss::Channel::default()
    };
    to_xml(&channel)
}

fn item(episode: &KeptEpisode) -> rss::Item {
    let (description, content) = fit_notes(clean(&episode.notes));
    let chapters = episode
        .chapters
        .as_ref()
        .map(|url| element("podcast:chapters", &[("url", url.as_str()), ("type", CHAPTERS_MIME)], None));
    let said = chapters.map(|chapters| BTreeMap::from([("chapters".to_owned(), vec![chapters])]));
    rss::Item {
        title: Some(clean_line(&format!("{}: {}", episode.show, episode.title))),
        description,
        content,
        guid: Some(rss::Guid { value: clean(&episode.guid), permalink: false }),
        pub_date: Some(date::rfc2822(episode.published)),
        enclosure: Some(rss::Enclosure {
            url: episode.url.to_string(),
            length: episode.length.to_string(),
            mime_type: clean_line(&episode.mime),
        }),
        extensions: said.map_or_else(ExtensionMap::new, |said| ExtensionMap::from([("podcast".to_owned(), said)])),
        itunes_ext: Some(ITunesItemExtension {
            author: Some(clean_line(&episode.show)),
            image: episode.image.as_ref().map(ToString::to_string),
            duration: episode.duration.map(|duration| duration.as_secs().to_string()),
            season: episode.season.map(|season| season.to_string()),
            episode: episode.number.map(|number| number.to_string()),
            ..ITunesItemExtension::default()
        }),
        ..rss::Item::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    #[test]
    fn what_is_kept_is_read_by_any_reader_of_feeds() {
        let own: Url = "http://192.168.1.5:6971/feed.xml?token=x".parse().unwrap();
        let episode = KeptEpisode {
            guid: "podsub-1-2".to_owned(),
            show: "Night & Walks".to_owned(),
            title: "The <Sea>".to_owned(),
            notes: "<p>Hello</p>".to_owned(),
            published: DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            duration: Some(Duration::from_secs(90)),
            season: Some(1),
            number: Some(2),
            url: "http://192.168.1.5:6971/media/1/2/The%20Sea.mp3?token=x&a=b".parse().unwrap(),
            length: 12345,
            mime: "audio/mpeg".to_owned(),
            chapters: Some("https://walks.example/chapters.json".parse().unwrap()),
            image: Some("http://192.168.1.5:6971/cover/1/0123456789abcdef.png?token=x".parse().unwrap()),
        };
        let xml = library_feed("podsub", &own, std::slice::from_ref(&episode));
        let channel = read::parse(xml.as_bytes(), &own, None).unwrap();
        assert!(channel.is_whole);
        let [item] = &channel.items[..] else { panic!("{xml}") };
        assert_eq!((item.guid.as_str(), item.title.as_str()), ("podsub-1-2", "Night & Walks: The <Sea>"));
        let read::Source::Http { url, length, mime } = &item.sources[0] else { panic!("{xml}") };
        assert_eq!((url, *length, mime.as_deref()), (&episode.url, Some(12345), Some("audio/mpeg")));
        assert_eq!((item.season, item.number, item.duration), (Some(1), Some(2), episode.duration));
        assert_eq!((&item.chapters, item.published), (&episode.chapters, Some(episode.published)));
        assert_eq!(item.image, episode.image);
        assert!(xml.contains("<itunes:block>Yes</itunes:block>"), "{xml}");
    }
}
