//! Finds the other versions of an item: the same in another quality or format, for whoever prefers that.
//!
//! Three forms say that files are alternatives: `podcast:alternateEnclosure`, unless its `rel` puts it in another group
//! than the enclosure; `media:content` in one `media:group`, unless it is a sample; and further enclosures. A file that
//! is one of the item's own sources is no other version.
//!
//! Law: every version has a source, and none has one of another's.
//!
//! Source: the podcast namespace's `alternateEnclosure`, Media RSS 1.5.

use rss::extension::Extension;
use url::Url;

use super::channel::{Quality, Source, Version};
use super::convert::{Kept, children, line};
use super::link::{FileLink, essence};
use super::sources::{Finder, Found};

/// Further versions of an item are not read.
const MAX_VERSIONS: usize = 16;

/// Media RSS says kilobits where everybody says bits; more than this was meant as bits.
const MOST_KILOBITS: u64 = 100_000;

/// No picture has more lines.
const MAX_HEIGHT: u32 = 1 << 15;

/// What an alternate enclosure says of its quality.
pub(super) fn quality(alternate: &Extension) -> Quality {
    let attr = |name: &str| alternate.attrs.get(name).map(String::as_str);
    Quality {
        bitrate: attr("bitrate").and_then(whole),
        height: attr("height").and_then(|text| u32::try_from(whole(text)?).ok()).filter(|lines| *lines <= MAX_HEIGHT),
        language: attr("lang").map(line).filter(|language| !language.is_empty()),
    }
}

/// Adds the other versions to what was found of an item.
pub(super) fn find(
    found: &mut Found<'_>,
    alternates: &[Extension],
    enclosures: &[FileLink<'_>],
    kept: Kept<'_>,
    base: &Url,
) {
    for alternate in alternates.iter().filter(|alternate| is_of_the_enclosure(alternate)) {
        let link = FileLink::of_alternate(alternate);
        let mut finder = Finder::new(base);
        finder.take_alternate(alternate);
        add(found, finder, link, quality(alternate));
    }
    for content in kept.all("group").iter().flat_map(|group| children(group, "content")) {
        let link = FileLink::of(content);
        let is_part = content.attrs.get("expression").is_some_and(|it| !it.eq_ignore_ascii_case("full"));
        let mut quality = quality(content);
        quality.bitrate = quality.bitrate.map(|rate| if rate < MOST_KILOBITS { rate * 1000 } else { rate });
        if found.sources.iter().any(|source| is_at(source, link.url, base)) && found.quality == Quality::default() {
            found.quality = quality;
        } else if !is_part {
            add_link(found, link, quality, base);
        }
    }
    for link in enclosures.iter().skip(1) {
        add_link(found, *link, Quality::default(), base);
    }
}

fn add_link(found: &mut Found<'_>, link: FileLink<'_>, quality: Quality, base: &Url) {
    if !link.is_torrent() {
        let mut finder = Finder::new(base);
        finder.add_media(link);
        add(found, finder, link, quality);
    }
}

/// Adds what `finder` has collected, if that is another version.
fn add(found: &mut Found<'_>, finder: Finder<'_>, link: FileLink<'_>, quality: Quality) {
    let Found { sources, info_hash, length, .. } = finder.finish(None);
    let known = found.sources.iter().chain(found.versions.iter().flat_map(|version| &version.sources));
    let is_known = sources.iter().any(|source| known.clone().any(|known| known.is_same(source)));
    let named = sources.iter().find_map(|source| match source {
        Source::Http { mime, .. } => mime.clone(),
        Source::Torrent { .. } | Source::Magnet(_) | Source::Mutable(_) => None,
    });
    let mime = Some(essence(link.mime)).filter(|mime| !mime.is_empty()).or(named);
    // Of what has no type its name says enough to be fetched.
    let is_played = mime.as_deref().is_none_or(|mime| FileLink { mime, ..link }.is_played());
    if !sources.is_empty() && !is_known && is_played && found.versions.len() < MAX_VERSIONS {
        found.versions.push(Version { sources, info_hash, length: length.or(link.length), mime, quality });
    }
}

/// Whether an alternate stands for the enclosure, and not for something that goes with it.
fn is_of_the_enclosure(alternate: &Extension) -> bool {
    alternate.attrs.get("rel").is_none_or(|rel| rel.is_empty() || rel.eq_ignore_ascii_case("default"))
}

fn is_at(source: &Source, link: &str, base: &Url) -> bool {
    match source {
        Source::Torrent { url, .. } | Source::Http { url, .. } => base.join(link.trim()).is_ok_and(|link| link == *url),
        Source::Magnet(_) | Source::Mutable(_) => false,
    }
}

/// A number above 0, what stands behind its point left out.
fn whole(text: &str) -> Option<u64> {
    text.trim().split('.').next()?.parse().ok().filter(|number| *number > 0)
}
