//! Finds an item's ways to its bytes, in every form in which feeds write them.
//!
//! Forms are asked in an order, from those that were made to say it to those that only hint at it: the preferred
//! `podcast:alternateEnclosure`, enclosures, a `torrent` block, the tags of torrent indexers and Media RSS, links. What
//! they name is used together as the same bytes. So of each form only the first is taken, as a second enclosure is
//! another format; and an alternate that does not claim to be the same file is another cut or quality, and taken only
//! where there is nothing else. One thing is not the same bytes: a torrent of more than the enclosure, an episode that
//! is a folder; it is taken alone. The result is sorted: `.torrent` first, which names every piece, then magnet links,
//! then plain HTTP.
//!
//! Knows only links: a `.torrent` is one by its type or its name, and what a host really sends is seen when it is
//! asked.
//! Law: only `http`, `https` and `magnet` links come out.
//!
//! Source: BEP 36, the podcast namespace's `alternateEnclosure`, ezRSS, torznab, Media RSS 1.5, and what real feeds
//! made of them.

use std::mem::discriminant;

use podswarm_core::metainfo::{InfoHash, Magnet};
use rss::extension::Extension;
use url::Url;

use super::channel::{Quality, Source, Version, WhyNone};
use super::convert::{Kept, child_text, children, line};
use super::link::{FileLink, essence, is_magnet, is_torrent_type, length, path_is_torrent, query_is_torrent};
use super::versions;

/// More ways to the same bytes help nobody.
const MAX_SOURCES: usize = 16;

/// Trackers that a `torrent` block may name.
const MAX_TRACKERS: usize = 20;

/// What was found of an item.
pub(super) struct Found<'m> {
    pub(super) sources: Vec<Source>,
    pub(super) info_hash: Option<InfoHash>,
    pub(super) length: Option<u64>,
    pub(super) integrity: Option<String>,
    /// Media RSS says the playing time beside the file.
    pub(super) duration: Option<&'m str>,
    /// Why there is no source.
    pub(super) why_none: Option<WhyNone>,
    /// What is said of these bytes.
    pub(super) quality: Quality,
    /// The same in other qualities.
    pub(super) versions: Vec<Version>,
}

/// Finds the sources of `item`, whose relative links are resolved against `base`.
pub(super) fn find<'m>(item: &'m rss::Item, base: &Url) -> Found<'m> {
    let kept = Kept::of(&item.extensions);
    let mut finder = Finder::new(base);
    let enclosures = enclosures(item, kept);
    let alternates = kept.all("alternateenclosure");
    if let Some(whole) = whole_folder(alternates, &enclosures) {
        finder.take_alternate(whole);
        if !finder.sources.is_empty() {
            return finder.finish(None);
        }
    }
    let preferred = preferred(alternates, &enclosures);
    if let Some(preferred) = preferred {
        finder.take_alternate(preferred);
    }
    finder.take_torrents(&enclosures);
    kept.all("torrent").iter().take(1).for_each(|block| finder.take_block(block));
    finder.take_indexer_tags(kept);
    let variants = media_variants(kept);
    finder.take_torrents(&variants);
    finder.take_media_hints(kept, &variants);
    let links =
        || [item.link.as_deref()].into_iter().flatten().chain(kept.all("link").iter().filter_map(Extension::value));
    let guid = item.guid.as_ref().map(|guid| guid.value.as_str());
    for link in links().chain(guid) {
        finder.take_hint(link, path_is_torrent);
    }
    finder.take_bare_info_hash();
    finder.take_media(&enclosures);
    if finder.sources.is_empty() {
        finder.take_media(&variants);
    }
    for other in alternates {
        if finder.sources.is_empty() {
            finder.take_alternate(other);
        }
    }
    if finder.sources.is_empty() {
        links().for_each(|link| finder.take_hint(link, query_is_torrent));
    }
    let mut found = finder.finish(variants.iter().find_map(|variant| variant.duration));
    found.quality = preferred.map(versions::quality).unwrap_or_default();
    if !found.sources.is_empty() {
        versions::find(&mut found, alternates, &enclosures, kept, base);
    }
    found
}

/// The item's enclosures, further ones and Atom's among them.
fn enclosures<'m>(item: &'m rss::Item, kept: Kept<'m>) -> Vec<FileLink<'m>> {
    let first = item.enclosure.iter().map(|enclosure| FileLink {
        url: &enclosure.url,
        mime: &enclosure.mime_type,
        length: length(&enclosure.length),
        duration: None,
        is_default: true,
    });
    let further = kept.all("enclosure").iter().map(FileLink::of);
    let links = item.atom_ext.as_ref().map_or(&[][..], |atom| atom.links());
    let atom = links.iter().filter(|link| link.rel == "enclosure").map(|link| FileLink {
        url: &link.href,
        mime: link.mime_type.as_deref().unwrap_or_default(),
        length: link.length.as_deref().and_then(length),
        duration: None,
        is_default: false,
    });
    first.chain(further).chain(atom).filter(|link| !link.url.trim().is_empty()).collect()
}

/// What Media RSS offers, the default first and then in the document's order. Variants may be of other quality.
fn media_variants(kept: Kept<'_>) -> Vec<FileLink<'_>> {
    let grouped = kept.all("group").iter().flat_map(|group| {
        children(group, "peerlink")
            .iter()
            .chain(children(group, "content"))
            .chain(children(group, "content").iter().flat_map(|content| children(content, "peerlink")))
    });
    let nested = kept.all("content").iter().flat_map(|content| children(content, "peerlink"));
    let plain = kept.all("peerlink").iter().chain(kept.all("content"));
    let mut variants: Vec<FileLink<'_>> =
        plain.chain(nested).chain(grouped).map(FileLink::of).filter(|link| !link.url.trim().is_empty()).collect();
    variants.sort_by_key(|link| !link.is_default);
    // One of each kind, as another may be another cut.
    let torrent = variants.iter().find(|link| link.is_torrent()).copied();
    let media = variants.iter().find(|link| link.is_media()).copied();
    torrent.into_iter().chain(media).collect()
}

/// The alternate that is the same file as the enclosure: the one that says so, or names the same URL or the same type
/// and length; or the first of an item that has no enclosure.
fn preferred<'m>(alternates: &'m [Extension], enclosures: &[FileLink<'_>]) -> Option<&'m Extension> {
    let attr = |alternate: &'m Extension, name: &str| alternate.attrs.get(name).map(String::as_str);
    let says_so = |alternate: &&Extension| attr_is(alternate, "default", "true");
    let Some(enclosure) = enclosures.first() else {
        return alternates.iter().find(says_so).or_else(|| alternates.first());
    };
    let names_it = |alternate: &&Extension| {
        children(alternate, "source").iter().any(|source| attr_is(source, "uri", enclosure.url))
    };
    let looks_it = |alternate: &&'m Extension| {
        let same_length = attr(alternate, "length").and_then(length).is_some_and(|l| Some(l) == enclosure.length);
        same_length && attr(alternate, "type").is_some_and(|mime| essence(mime) == essence(enclosure.mime))
    };
    let mut candidates = alternates.iter();
    candidates.clone().find(says_so).or_else(|| candidates.clone().find(names_it)).or_else(|| candidates.find(looks_it))
}

/// The alternate that is a torrent of more than the enclosure: an episode of several files, of which apps play one.
fn whole_folder<'m>(alternates: &'m [Extension], enclosures: &[FileLink<'_>]) -> Option<&'m Extension> {
    let played = enclosures.first()?.length?;
    alternates.iter().find(|alternate| {
        let attr = |name: &str| alternate.attrs.get(name).map(String::as_str);
        attr("type").is_some_and(is_torrent_type) && attr("length").and_then(length).is_some_and(|all| all != played)
    })
}

fn attr_is(element: &Extension, name: &str, want: &str) -> bool {
    element.attrs.get(name).is_some_and(|value| value.trim() == want.trim())
}

/// Collects sources, and what went wrong first if there will be none.
pub(super) struct Finder<'b> {
    base: &'b Url,
    sources: Vec<Source>,
    /// An info-hash that stands alone, and trackers that stand beside it.
    info_hash: Option<InfoHash>,
    trackers: Vec<String>,
    length: Option<u64>,
    integrity: Option<String>,
    why_none: Option<WhyNone>,
}

impl<'b> Finder<'b> {
    pub(super) fn new(base: &'b Url) -> Self {
        Self {
            base,
            sources: Vec::new(),
            info_hash: None,
            trackers: Vec::new(),
            length: None,
            integrity: None,
            why_none: None,
        }
    }

    /// All sources of an alternate enclosure. Its type and length are those of the media.
    pub(super) fn take_alternate(&mut self, alternate: &Extension) {
        let media = FileLink::of_alternate(alternate);
        for source in children(alternate, "source") {
            let attr = |name: &str| source.attrs.get(name).map(String::as_str);
            let Some(url) = attr("uri") else { continue };
            let own_type = attr("contenttype").unwrap_or_default();
            if is_torrent_type(own_type) || path_is_torrent(url) {
                self.add_torrent(url);
            } else if is_magnet(url) {
                self.add_magnet(url);
            } else {
                let mime = if own_type.is_empty() { media.mime } else { own_type };
                self.add_media(FileLink { url, mime, ..media });
            }
        }
        if !self.sources.is_empty() {
            let mut integrity = children(alternate, "integrity").iter().filter(|hash| attr_is(hash, "type", "sri"));
            self.integrity = integrity.find_map(|hash| hash.attrs.get("value")).map(|sri| line(sri));
            self.length = media.length;
        }
    }

    /// The first magnet link and the first torrent of `links`.
    fn take_torrents(&mut self, links: &[FileLink<'_>]) {
        links.iter().filter(|link| is_magnet(link.url)).any(|link| self.add_magnet(link.url));
        let mut torrents = links.iter().filter(|link| !is_magnet(link.url) && link.is_torrent());
        torrents.any(|link| self.add_torrent(link.url));
    }

    /// The first of `links` that is plain media.
    fn take_media(&mut self, links: &[FileLink<'_>]) {
        let mut plain = links.iter().filter(|link| !is_magnet(link.url) && !link.is_torrent());
        plain.any(|link| self.add_media(*link));
    }

    /// ezRSS and its kin, whatever their namespace.
    fn take_block(&mut self, block: &Extension) {
        if let Some(magnet) = child_text(block, "magneturi") {
            self.add_magnet(magnet);
        }
        self.hint_info_hash(child_text(block, "infohash").or_else(|| child_text(block, "hash")));
        self.length = self.length.or_else(|| child_text(block, "contentlength").and_then(length));
        let groups = children(block, "trackers").iter().flat_map(|trackers| children(trackers, "group"));
        let trackers = groups.flat_map(|group| children(group, "tracker")).filter_map(Extension::value);
        self.trackers.extend(trackers.take(MAX_TRACKERS).map(str::to_owned));
    }

    /// Torznab's attributes and the bare tags of torrent sites.
    fn take_indexer_tags(&mut self, kept: Kept<'_>) {
        for attr in kept.all("attr") {
            let value = attr.attrs.get("value").map(String::as_str);
            match attr.attrs.get("name").map(|name| name.to_ascii_lowercase()).as_deref() {
                Some("magneturl") => {
                    self.add_magnet(value.unwrap_or_default());
                }
                Some("infohash") => self.hint_info_hash(value),
                _ => {}
            }
        }
        let texts = |name| kept.all(name).iter().filter_map(Extension::value);
        texts("magneturi").filter(|text| is_magnet(text)).any(|magnet| self.add_magnet(magnet));
        texts("torrentlink").any(|url| self.add_torrent(url));
        self.hint_info_hash(kept.text("infohash"));
    }

    /// A SHA-1 beside a torrent in Media RSS is its info-hash (BEP 36).
    fn take_media_hints(&mut self, kept: Kept<'_>, variants: &[FileLink<'_>]) {
        let nested = kept.all("content").iter().flat_map(|content| children(content, "hash"));
        let mut hashes = kept.all("hash").iter().chain(nested);
        if variants.iter().any(FileLink::is_torrent) {
            self.hint_info_hash(hashes.find(|hash| attr_is(hash, "algo", "sha1")).and_then(Extension::value));
        }
    }

    /// A link that is a torrent if it looks like one.
    fn take_hint(&mut self, link: &str, looks_like_torrent: fn(&str) -> bool) {
        if is_magnet(link) {
            self.add_magnet(link);
        } else if looks_like_torrent(link) {
            self.add_torrent(link);
        }
    }

    /// An info-hash that no source carries is a magnet link of its own.
    fn take_bare_info_hash(&mut self) {
        let Some(info_hash) = self.info_hash.filter(|_| self.sources.is_empty()) else { return };
        let mut magnet = Magnet::new(info_hash);
        magnet.trackers.clone_from(&self.trackers);
        self.add(Source::Magnet(magnet));
    }

    fn hint_info_hash(&mut self, text: Option<&str>) {
        self.info_hash = self.info_hash.or_else(|| text?.trim().parse().ok());
    }

    /// Like the other two, says whether this is a source of the item now.
    fn add_torrent(&mut self, link: &str) -> bool {
        if is_magnet(link) {
            return self.add_magnet(link);
        }
        let url = self.web_url(link);
        url.is_some_and(|url| self.add(Source::Torrent { url, info_hash: None }))
    }

    fn add_magnet(&mut self, link: &str) -> bool {
        if let Ok(link) = link.trim().parse() {
            return self.add(Source::Mutable(link));
        }
        match link.trim().parse() {
            Ok(magnet) => self.add(Source::Magnet(magnet)),
            Err(_) => self.refuse(WhyNone::BadMagnet),
        }
    }

    pub(super) fn add_media(&mut self, link: FileLink<'_>) -> bool {
        let Some(url) = self.web_url(link.url) else { return false };
        let mime = Some(essence(link.mime)).filter(|mime| !mime.is_empty());
        if link.is_media() {
            return self.add(Source::Http { url, length: link.length, mime });
        }
        let name = || url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
        self.refuse(WhyNone::NotMedia { mime: line(&mime.unwrap_or_else(name)) })
    }

    /// True if `source` was there or is now.
    fn add(&mut self, source: Source) -> bool {
        let is_known =
            self.sources.iter().any(|known| discriminant(known) == discriminant(&source) && known.is_same(&source));
        let has_room = self.sources.len() < MAX_SOURCES;
        if !is_known && has_room {
            self.sources.push(source);
        }
        is_known || has_room
    }

    /// Notes why a link is no source, and says that it is none.
    fn refuse(&mut self, why: WhyNone) -> bool {
        self.why_none.get_or_insert(why);
        false
    }

    /// A link that may be followed, resolved against the feed's.
    fn web_url(&mut self, link: &str) -> Option<Url> {
        match self.base.join(link.trim()) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
            Ok(url) => {
                self.refuse(WhyNone::Scheme { scheme: line(url.scheme()) });
                None
            }
            Err(_) => {
                self.refuse(WhyNone::BadUrl);
                None
            }
        }
    }

    pub(super) fn finish(mut self, duration: Option<&str>) -> Found<'_> {
        self.sources.sort_by_key(|source| match source {
            Source::Torrent { .. } => 0,
            Source::Magnet(_) | Source::Mutable(_) => 1,
            Source::Http { .. } => 2,
        });
        let named = self.sources.iter().find_map(|source| match source {
            Source::Magnet(magnet) => Some(magnet.info_hash),
            _ => None,
        });
        let info_hash = named.or(self.info_hash);
        for source in &mut self.sources {
            if let Source::Torrent { info_hash: unknown, .. } = source {
                *unknown = info_hash;
            }
        }
        let over_http = self.sources.iter().find_map(|source| match source {
            Source::Http { length, .. } => *length,
            _ => None,
        });
        let why_none = self.sources.is_empty().then(|| self.why_none.unwrap_or(WhyNone::NoFile));
        Found {
            sources: self.sources,
            info_hash,
            length: self.length.or(over_http),
            integrity: self.integrity,
            duration,
            why_none,
            quality: Quality::default(),
            versions: Vec::new(),
        }
    }
}
