//! The names that are kept of a feed, and what becomes of them.
//!
//! Feeds declare one namespace under several URIs, use prefixes without declaring them, and write one element in
//! several cases. Here every name that this crate reads is mapped to one: RSS elements to themselves, Atom's to those
//! of RSS, the tags of Apple to the `itunes:` ones that the `rss` crate knows, and the rest to a prefix of our own, in
//! lower case. What is not named here is dropped before it costs anything.

use crate::tags;

/// The prefix of what the `rss` crate has no field for.
pub(super) const KEPT_PREFIX: &str = "x";

/// The prefix of the podcast namespace's tags that are passed on as they are; see [`crate::tags`].
pub(super) const TAG_PREFIX: &str = "p";

/// The root of the RSS that is written, with the prefixes that the functions below give.
pub(super) const ROOT: &str = concat!(
    r#"<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom""#,
    r#" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd""#,
    r#" xmlns:x="urn:podswarm:kept" xmlns:p="urn:podswarm:tags"><channel>"#,
);

/// Ends what [`ROOT`] begins.
pub(super) const ROOT_END: &str = "</channel></rss>";

/// Whose word a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// RSS of any age, with a namespace or without.
    Core,
    Atom,
    Content,
    DublinCore,
    Itunes,
    Media,
    Podcast,
    /// Podlove Simple Chapters.
    Chapters,
    /// How often a feed changes: RSS 1.0 Syndication.
    Syndication,
    Other,
}

impl Space {
    /// The space of a namespace, whatever its scheme, case and last slash.
    pub(super) fn of_uri(uri: &str) -> Self {
        let uri = uri.trim().to_ascii_lowercase();
        let bare = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest).trim_end_matches(['/', '#']);
        match bare {
            ""
            | "purl.org/rss/1.0"
            | "my.netscape.com/rdf/simple/0.9"
            | "channel.netscape.com/rdf/simple/0.9"
            | "backend.userland.com/rss"
            | "backend.userland.com/rss2"
            | "blogs.law.harvard.edu/tech/rss"
            | "cyber.law.harvard.edu/rss/rss.html"
            | "www.rssboard.org/rss-specification" => Self::Core,
            "www.w3.org/2005/atom" | "purl.org/atom/ns" => Self::Atom,
            "purl.org/rss/1.0/modules/content" => Self::Content,
            "purl.org/dc/elements/1.1" | "purl.org/dc/terms" => Self::DublinCore,
            "www.itunes.com/dtds/podcast-1.0.dtd" => Self::Itunes,
            "search.yahoo.com/mrss" | "video.search.yahoo.com/mrss" | "www.rssboard.org/media-rss" => Self::Media,
            "podcastindex.org/namespace/1.0"
            | "github.com/podcastindex-org/podcast-namespace/blob/main/docs/1.0.md" => Self::Podcast,
            "podlove.org/simple-chapters" => Self::Chapters,
            "purl.org/rss/1.0/modules/syndication" => Self::Syndication,
            _ => Self::Other,
        }
    }

    /// The space that a prefix commonly stands for, for those who forgot to declare it.
    pub(super) fn of_prefix(prefix: &str) -> Self {
        match prefix {
            "atom" => Self::Atom,
            "content" => Self::Content,
            "dc" | "dcterms" => Self::DublinCore,
            "itunes" => Self::Itunes,
            "media" => Self::Media,
            "podcast" => Self::Podcast,
            "psc" => Self::Chapters,
            "sy" => Self::Syndication,
            _ => Self::Other,
        }
    }

    /// Whether the words of feeds themselves are this space's.
    pub(super) fn is_plain(self) -> bool {
        matches!(self, Self::Core | Self::Atom)
    }
}

/// What is kept of an element, and under which name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its text.
    Text(&'static str),
    /// Its text, or if it holds tags all of it, as HTML.
    Html(&'static str),
    /// Its attributes, its text and the children that [`child`] names.
    Tree(&'static str),
}

/// Whether an element holds the feed's head: `rss`, `rdf:RDF`, `feed`, `channel`.
pub(super) fn is_feed(local: &str) -> bool {
    matches!(local, "rss" | "rdf" | "feed" | "channel")
}

/// Whether an element is an item.
pub(super) fn is_item(space: Space, local: &str) -> bool {
    space.is_plain() && matches!(local, "item" | "entry")
}

/// What is kept of an element of the feed's head. `local` is in lower case.
pub(super) fn in_channel(space: Space, local: &str) -> Option<Kept> {
    Some(match (space, local) {
        (Space::Core | Space::Atom, "title") => Kept::Text("title"),
        (Space::Core | Space::Atom, "link") => Kept::Text("link"),
        (Space::Core | Space::Atom, "description" | "subtitle" | "tagline") => Kept::Html("description"),
        (Space::Core, "ttl") => Kept::Text("ttl"),
        (Space::Core, "skipdays") => Kept::Tree("x:skipdays"),
        (Space::Core, "skiphours") => Kept::Tree("x:skiphours"),
        (Space::Core, "language") => Kept::Text("language"),
        (Space::Core, "copyright") | (Space::Atom, "rights") => Kept::Text("copyright"),
        (Space::Core, "managingeditor") => Kept::Text("managingEditor"),
        (Space::Core, "image") => Kept::Tree("x:image"),
        (Space::Atom, "logo") => Kept::Text("x:logo"),
        (Space::Atom, "author") => Kept::Tree("x:author"),
        (Space::Itunes, "author") => Kept::Text("itunes:author"),
        (Space::Itunes, "block") => Kept::Text("itunes:block"),
        (Space::Itunes, "category") => Kept::Tree("x:category"),
        (Space::Itunes, "complete") => Kept::Text("itunes:complete"),
        (Space::Itunes, "explicit") => Kept::Text("itunes:explicit"),
        (Space::Itunes, "image") => Kept::Tree("itunes:image"),
        (Space::Itunes, "owner") => Kept::Tree("x:owner"),
        (Space::Itunes, "summary") => Kept::Text("itunes:summary"),
        (Space::Itunes, "type") => Kept::Text("itunes:type"),
        (Space::Itunes, "new-feed-url") => Kept::Text("itunes:new-feed-url"),
        (Space::Podcast, "guid") => Kept::Text("x:guid"),
        (Space::Syndication, "updateperiod") => Kept::Text("x:updateperiod"),
        (Space::Syndication, "updatefrequency") => Kept::Text("x:updatefrequency"),
        (Space::Podcast, "locked") => Kept::Tree("x:locked"),
        (Space::Podcast, "txt") => Kept::Tree("x:txt"),
        (Space::Podcast, local) => Kept::Tree(tags::word_of(local)?),
        _ => return None,
    })
}

/// What is kept of an element of an item. `local` is in lower case.
pub(super) fn in_item(space: Space, local: &str) -> Option<Kept> {
    Some(match (space, local) {
        (Space::Core | Space::Atom, "title") => Kept::Text("title"),
        (Space::Core | Space::Atom, "link") => Kept::Text("link"),
        (Space::Core, "description") | (Space::Atom, "summary") => Kept::Html("description"),
        (Space::Content, "encoded") | (Space::Atom, "content") => Kept::Html("content:encoded"),
        (Space::Core, "guid") => Kept::Tree("guid"),
        (Space::Atom, "id") => Kept::Text("guid"),
        (Space::Core, "pubdate") | (Space::Atom, "published" | "issued") => Kept::Text("pubDate"),
        (Space::Atom, "updated" | "modified") | (Space::DublinCore, "date" | "created" | "issued") => {
            Kept::Text("x:date")
        }
        (Space::Core, "enclosure") => Kept::Tree("enclosure"),
        (Space::Itunes, "block") => Kept::Text("itunes:block"),
        (Space::Itunes, "duration") => Kept::Text("itunes:duration"),
        (Space::Itunes, "episode") => Kept::Text("itunes:episode"),
        (Space::Itunes, "episodetype") => Kept::Text("itunes:episodeType"),
        (Space::Itunes, "explicit") => Kept::Text("itunes:explicit"),
        (Space::Itunes, "season") => Kept::Text("itunes:season"),
        (Space::Itunes, "summary") => Kept::Text("itunes:summary"),
        (Space::Itunes, "image") => Kept::Tree("itunes:image"),
        (Space::Itunes | Space::Media, "title") => Kept::Text("x:title"),
        (Space::Podcast, "episode") => Kept::Tree("x:episode"),
        (Space::Podcast, "season") => Kept::Tree("x:season"),
        (Space::Podcast, "chapters") => Kept::Tree("x:chapters"),
        (Space::Podcast, "transcript") => Kept::Tree("x:transcript"),
        (Space::Podcast, "alternateenclosure") => Kept::Tree("x:alternateenclosure"),
        (Space::Podcast, local) if tags::word_of(local).is_some() => Kept::Tree(tags::word_of(local)?),
        (Space::Chapters, "chapters") => Kept::Tree("x:parts"),
        (Space::Media, "group") => Kept::Tree("x:group"),
        (Space::Media, "content") => Kept::Tree("x:content"),
        (Space::Media, "peerlink") => Kept::Tree("x:peerlink"),
        (Space::Media, "hash") => Kept::Tree("x:hash"),
        // What torrent sites say they say in a dozen namespaces and in none.
        (_, "torrent") => Kept::Tree("x:torrent"),
        (_, "attr") => Kept::Tree("x:attr"),
        (_, "infohash" | "hash") => Kept::Text("x:infohash"),
        (_, "magneturi" | "magneturl" | "magnet" | "magnetlink") => Kept::Text("x:magneturi"),
        (_, "torrentlink" | "torrenturl") => Kept::Text("x:torrentlink"),
        _ => return None,
    })
}

/// The name of a kept element's child, or `None` to drop it. `local` is in lower case.
pub(super) fn child(local: &str) -> Option<&'static str> {
    Some(match local {
        "category" => "x:category",
        "chapter" => "x:chapter",
        "content" => "x:content",
        "contentlength" => "x:contentlength",
        "day" => "x:day",
        "email" => "x:email",
        "group" => "x:group",
        "hash" => "x:hash",
        "hour" => "x:hour",
        "infohash" => "x:infohash",
        "integrity" => "x:integrity",
        "magneturi" | "magneturl" => "x:magneturi",
        "name" => "x:name",
        "peerlink" => "x:peerlink",
        "source" => "x:source",
        "tracker" => "x:tracker",
        "trackers" => "x:trackers",
        "url" => "x:url",
        _ => return tags::child(local),
    })
}

/// The name under which a second element of a name is kept that may be there only once.
pub(super) fn again(name: &'static str) -> Option<&'static str> {
    match name {
        "link" => Some("x:link"),
        "enclosure" => Some("x:enclosure"),
        "atom:link" => Some(name),
        _ => ["x:", "p:"].iter().any(|prefix| name.starts_with(prefix)).then_some(name),
    }
}

/// The name of an attribute that is kept, or `None` to drop it. `local` is in lower case.
pub(super) fn attribute(local: &str) -> Option<&'static str> {
    const KEPT: [&str; 29] = [
        "algo",
        "bitrate",
        "contenttype",
        "default",
        "display",
        "duration",
        "expression",
        "filesize",
        "height",
        "href",
        "isdefault",
        "isPermaLink",
        "lang",
        "language",
        "length",
        "medium",
        "name",
        "owner",
        "purpose",
        "rel",
        "size",
        "start",
        "text",
        "title",
        "type",
        "uri",
        "url",
        "value",
        "width",
    ];
    KEPT.into_iter().find(|kept| kept.eq_ignore_ascii_case(local)).or_else(|| tags::attribute(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_has_many_spellings() {
        assert_eq!(Space::of_uri("https://podcastindex.org/namespace/1.0"), Space::Podcast);
        assert_eq!(
            Space::of_uri("https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md"),
            Space::Podcast
        );
        assert_eq!(Space::of_uri(" http://www.iTunes.com/DTDs/Podcast-1.0.dtd "), Space::Itunes);
        assert_eq!(Space::of_uri("http://search.yahoo.com/mrss"), Space::Media);
        assert_eq!(Space::of_uri("http://search.yahoo.com/mrss/"), Space::Media);
        assert_eq!(Space::of_uri(""), Space::Core);
        assert_eq!(Space::of_uri("http://xmlns.ezrss.it/0.1/"), Space::Other);
    }

    #[test]
    fn every_kept_name_has_a_declared_prefix() {
        let names = ["torrent", "guid", "link", "enclosure", "content", "encoded", "duration", "alternateenclosure"];
        for space in [Space::Core, Space::Atom, Space::Itunes, Space::Media, Space::Podcast, Space::Content] {
            for name in names.iter().filter_map(|local| in_item(space, local)) {
                let (Kept::Text(name) | Kept::Html(name) | Kept::Tree(name)) = name;
                let prefix = name.split_once(':').map(|(prefix, _)| prefix);
                assert!(prefix.is_none_or(|p| p == "content" || ROOT.contains(&format!("xmlns:{p}="))), "{name}");
            }
        }
    }
}
