//! Feeds as they are written out there, read.

mod broken;
mod forms;
mod hostile;
mod json;
mod moving;
mod opml;
mod texts;

use super::*;

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn base() -> Url {
    Url::parse("https://pod.example/shows/feed.xml").expect("a URL")
}

#[track_caller]
fn read(text: &str) -> Channel {
    parse(text.as_bytes(), &base(), None).expect("a feed")
}

/// A feed of RSS 2.0 with the usual prefixes around `inner`.
#[track_caller]
fn read_rss(inner: &str) -> Channel {
    read(&format!(
        r#"<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"
        xmlns:podcast="https://podcastindex.org/namespace/1.0" xmlns:atom="http://www.w3.org/2005/Atom"
        xmlns:media="http://search.yahoo.com/mrss/" xmlns:content="http://purl.org/rss/1.0/modules/content/"
        xmlns:torznab="http://torznab.com/schemas/2015/feed" xmlns:dc="http://purl.org/dc/elements/1.1/"
        ><channel><title>Show</title>{inner}</channel></rss>"#
    ))
}

/// The one item of a feed of RSS 2.0.
#[track_caller]
fn read_item(inner: &str) -> Item {
    let [item] = <[Item; 1]>::try_from(read_rss(&format!("<item>{inner}</item>")).items).expect("one item");
    item
}

/// Sources as one line each.
fn lines(item: &Item) -> Vec<String> {
    item.sources
        .iter()
        .map(|source| match source {
            Source::Torrent { url, info_hash } => {
                format!("torrent {url}{}", info_hash.map(|hash| format!(" {hash}")).unwrap_or_default())
            }
            Source::Magnet(magnet) => magnet.to_string(),
            Source::Mutable(link) => link.to_string(),
            Source::Http { url, length, mime } => {
                let length = length.map(|length| length.to_string());
                format!("http {url} {} {}", length.as_deref().unwrap_or("?"), mime.as_deref().unwrap_or("?"))
            }
        })
        .collect()
}

#[track_caller]
fn check(inner: &str, want: &[&str]) {
    let item = read_item(inner);
    assert_eq!(lines(&item), want, "{inner}");
    assert_eq!(item.why_none.is_some(), want.is_empty(), "{inner}");
}

#[track_caller]
fn check_none(inner: &str, want: &WhyNone) {
    let item = read_item(inner);
    assert_eq!(item.sources, []);
    assert_eq!(item.why_none.as_ref(), Some(want), "{inner}");
}
