//! Makes a [`Channel`] of the RSS model: dates, numbers and links read, text made fit for people.

use std::collections::BTreeMap;
use std::time::Duration;

use rss::extension::{Extension, ExtensionMap};
use url::Url;
use uuid::Uuid;

use super::channel::{Channel, Item, Locked, Source, TranscriptLink};
use super::names::{KEPT_PREFIX, TAG_PREFIX};
use super::{MOST_HUBS, sources};
use crate::chapters::{self, Chapter};
use crate::date;
use crate::model::EpisodeKind;
use crate::poll::SkipHours;
use crate::tags::{Tag, Tags};
use crate::withdrawal::{KEY_PURPOSE, WITHDRAWN_PURPOSE};

/// Nobody reads a longer title.
const MAX_TITLE_CHARS: usize = 300;

/// A longer guid is kept as its hash.
const MAX_GUID_BYTES: usize = 1024;

/// No feed is believed to have taken back more at a time.
const MOST_WITHDRAWN: usize = 1000;

/// No feed means a longer time by its `ttl`.
const MAX_TTL_MINUTES: u64 = 7 * 24 * 60;

/// How long what is complete may be kept at least.
const COMPLETE_TTL: Duration = Duration::from_hours(24);

/// No episode plays for longer.
const MAX_DURATION: Duration = Duration::from_hours(1000);

/// The head of a feed, whose relative links are resolved against `base`.
pub(super) fn channel(model: &rss::Channel, base: &Url) -> Channel {
    let kept = Kept::of(&model.extensions);
    let itunes = model.itunes_ext.as_ref();
    let links = model.atom_ext.as_ref().map_or(&[][..], |atom| atom.links());
    let linked = |rel: &str| links.iter().find(|link| link.rel == rel).and_then(|link| web_url(&link.href, base));
    let events = links.iter().find(|link| {
        link.rel == "monitor" && link.mime_type.as_deref().is_some_and(|mime| mime.starts_with("text/event-stream"))
    });
    let author = itunes.and_then(|itunes| itunes.author.as_deref());
    let author = author.or_else(|| kept.first("author").and_then(|author| child_text(author, "name")));
    let image = itunes.and_then(|itunes| itunes.image.as_deref());
    let image = image.or_else(|| kept.first("image").and_then(|image| child_text(image, "url")));
    let summary = itunes.and_then(|itunes| itunes.summary.as_deref());
    let said = |purpose: &'static str| {
        let is_meant = move |txt: &&Extension| txt.attrs.get("purpose").is_some_and(|it| it == purpose);
        kept.all("txt").iter().filter(is_meant).filter_map(Extension::value)
    };
    let tags = channel_tags(model, kept);
    // Its `rrule` tells of habits, and says neither at what hour nor that nothing comes between.
    let is_over = tags.first("updateFrequency").and_then(|tag| tag.attribute("complete"));
    let is_complete = is_yes(itunes.and_then(|itunes| itunes.complete.as_deref())) || is_yes(is_over);
    let ttl = model.ttl.as_deref().and_then(ttl);
    let ttl = ttl.or_else(|| kept.text("updateperiod").and_then(|period| rhythm(period, kept)));
    let ttl = if is_complete { ttl.max(Some(COMPLETE_TTL)) } else { ttl };
    Channel {
        title: line(&model.title),
        link: web_url(&model.link, base).or_else(|| linked("alternate")),
        author: author.or(model.managing_editor.as_deref()).map(line).filter(|author| !author.is_empty()),
        description: html(Some(model.description.as_str()).filter(|text| !text.is_empty()).or(summary)),
        image: image.or_else(|| kept.text("logo")).and_then(|url| web_url(url, base)),
        language: model.language.as_deref().map(line).filter(|language| !language.is_empty()),
        categories: kept.all("category").iter().filter_map(category).collect(),
        email: kept.first("owner").and_then(|owner| child_text(owner, "email")).map(line),
        explicit: itunes.and_then(|itunes| itunes.explicit.as_deref()).and_then(explicit),
        is_serial: itunes.and_then(|it| it.r#type.as_deref()).is_some_and(|it| it.eq_ignore_ascii_case("serial")),
        copyright: model.copyright.as_deref().map(line).filter(|text| !text.is_empty()),
        is_complete,
        is_blocked: is_yes(itunes.and_then(|itunes| itunes.block.as_deref())),
        tags,
        locked: kept.first("locked").filter(|locked| is_yes(locked.value())).map(locked),
        podcast_guid: kept.text("guid").and_then(|guid| Uuid::try_parse(guid).ok()),
        key: said(KEY_PURPOSE).next().and_then(|key| key.parse().ok()),
        withdrawn: said(WITHDRAWN_PURPOSE).filter_map(|it| it.parse().ok()).take(MOST_WITHDRAWN).collect(),
        ttl,
        skip_hours: SkipHours::new(kept.first("skiphours").into_iter().flat_map(hours))
            .with_days(kept.first("skipdays").into_iter().flat_map(days)),
        events_url: events.and_then(|link| web_url(&link.href, base)),
        hubs: hubs(links.iter().filter(|link| link.rel == "hub").map(|link| link.href.as_str()), base),
        self_url: linked("self"),
        next_page: linked("next").or_else(|| linked("prev-archive")),
        new_feed_url: itunes.and_then(|itunes| itunes.new_feed_url.as_deref()).and_then(|url| web_url(url, base)),
        items: Vec::new(),
        is_whole: true,
    }
}

/// An item of a feed; `None` if it says nothing by which it could be known again.
pub(super) fn item(model: &rss::Item, base: &Url) -> Option<Item> {
    let kept = Kept::of(&model.extensions);
    let itunes = model.itunes_ext.as_ref();
    let links = model.atom_ext.as_ref().map_or(&[][..], |atom| atom.links());
    let page = links.iter().find(|link| link.rel == "alternate").map(|link| link.href.as_str());
    let found = sources::find(model, base);
    let published = model.pub_date.as_deref().and_then(date::parse);
    let summary = itunes.and_then(|itunes| itunes.summary.as_deref());
    let number = |itunes: Option<&str>, ours| itunes.or_else(|| kept.text(ours)).and_then(number);
    let chapters = kept.first("chapters").and_then(|it| it.attrs.get("url"));
    let item = Item {
        guid: String::new(),
        guid_is_link: false,
        title: line(model.title.as_deref().or_else(|| kept.text("title")).unwrap_or_default()),
        published: published.or_else(|| kept.text("date").and_then(date::parse)),
        description: html(model.content.as_deref().or(model.description.as_deref()).or(summary)),
        link: model.link.as_deref().or(page).and_then(|link| web_url(link, base)),
        image: itunes.and_then(|itunes| itunes.image.as_deref()).and_then(|url| web_url(url, base)),
        duration: itunes.and_then(|itunes| itunes.duration.as_deref()).or(found.duration).and_then(duration),
        season: number(itunes.and_then(|itunes| itunes.season.as_deref()), "season"),
        number: number(itunes.and_then(|itunes| itunes.episode.as_deref()), "episode"),
        season_name: kept.first("season").and_then(|it| named(it, "name")),
        number_name: kept.first("episode").and_then(|it| named(it, "display")),
        kind: itunes.and_then(|itunes| itunes.episode_type.as_deref()).map(kind).unwrap_or_default(),
        explicit: itunes.and_then(|itunes| itunes.explicit.as_deref()).and_then(explicit),
        is_blocked: is_yes(itunes.and_then(|itunes| itunes.block.as_deref())),
        tags: tags(&model.extensions),
        chapters: chapters.and_then(|url| web_url(url, base)),
        parts: kept.first("parts").map(parts).unwrap_or_default(),
        transcripts: kept.all("transcript").iter().filter_map(|it| transcript(it, base)).collect(),
        sources: found.sources,
        info_hash: found.info_hash,
        length: found.length,
        integrity: found.integrity,
        why_none: found.why_none,
        quality: found.quality,
        versions: found.versions,
    };
    let said = model.guid.as_ref().map(|guid| guid.value.as_str()).filter(|guid| !guid.is_empty());
    let guid =
        said.map(str::to_owned).or_else(|| kept.text("about").map(str::to_owned)).or_else(|| substitute(&item))?;
    // Where nothing is said it is meant to be one, but many are not.
    let guid_is_link = model.guid.as_ref().is_some_and(|guid| guid.permalink && is_web_address(&guid.value));
    Some(Item { guid: short(guid), guid_is_link, ..item })
}

/// What an item without a guid is known by: its file, else its swarm or who names that, else its page, else its title
/// and date.
fn substitute(item: &Item) -> Option<String> {
    let file = item.sources.iter().find_map(|source| match source {
        Source::Http { url, .. } | Source::Torrent { url, .. } => Some(url.to_string()),
        Source::Magnet(_) | Source::Mutable(_) => None,
    });
    let key = || {
        item.sources.iter().find_map(|source| match source {
            Source::Mutable(link) => Some(link.item.to_string()),
            Source::Http { .. } | Source::Magnet(_) | Source::Torrent { .. } => None,
        })
    };
    let swarm = || item.info_hash.map(|info_hash| info_hash.to_string()).or_else(key);
    let page = || item.link.as_ref().map(Url::to_string);
    let name = || {
        let date = item.published.map(|published| published.to_rfc3339()).unwrap_or_default();
        (!item.title.is_empty()).then(|| format!("{} {date}", item.title).trim_end().to_owned())
    };
    file.or_else(swarm).or_else(page).or_else(name)
}

fn short(guid: String) -> String {
    if guid.len() <= MAX_GUID_BYTES { guid } else { Uuid::new_v5(&Uuid::NAMESPACE_URL, guid.as_bytes()).to_string() }
}

/// What the `rss` crate has no field for: extensions under our own prefix.
#[derive(Clone, Copy)]
pub(super) struct Kept<'m>(Option<&'m BTreeMap<String, Vec<Extension>>>);

impl<'m> Kept<'m> {
    pub(super) fn of(extensions: &'m ExtensionMap) -> Self {
        Self(extensions.get(KEPT_PREFIX))
    }

    /// All elements of this name, in the document's order.
    pub(super) fn all(self, name: &str) -> &'m [Extension] {
        self.0.and_then(|map| map.get(name)).map_or(&[], Vec::as_slice)
    }

    fn first(self, name: &str) -> Option<&'m Extension> {
        self.all(name).first()
    }

    pub(super) fn text(self, name: &str) -> Option<&'m str> {
        self.all(name).iter().find_map(Extension::value)
    }
}

/// The children of this name, in the document's order.
pub(super) fn children<'m>(parent: &'m Extension, name: &str) -> &'m [Extension] {
    parent.children.get(name).map_or(&[], Vec::as_slice)
}

/// The text of the first child of this name that has one.
pub(super) fn child_text<'m>(parent: &'m Extension, name: &str) -> Option<&'m str> {
    children(parent, name).iter().find_map(Extension::value)
}

/// `Arts` or `Arts > Books`; a category has one below it at most.
fn category(category: &Extension) -> Option<String> {
    let text = |it: &Extension| it.attrs.get("text").map(|text| line(text)).filter(|text| !text.is_empty());
    let below = children(category, "category").first().and_then(text);
    let parent = text(category)?;
    Some(below.map_or_else(|| parent.clone(), |below| format!("{parent} > {below}")))
}

/// What is passed on as it is, with the texts that are not the show's own key's.
fn channel_tags(model: &rss::Channel, kept: Kept<'_>) -> Tags {
    let mut tags = tags(&model.extensions);
    let is_own =
        |txt: &Extension| txt.attrs.get("purpose").is_some_and(|it| it == KEY_PURPOSE || it == WITHDRAWN_PURPOSE);
    for txt in kept.all("txt").iter().filter(|txt| !is_own(txt)) {
        tags.push("txt", tag(txt));
    }
    tags
}

fn tags(extensions: &ExtensionMap) -> Tags {
    let mut tags = Tags::default();
    for (name, elements) in extensions.get(TAG_PREFIX).into_iter().flatten() {
        for element in elements {
            tags.push(name, tag(element));
        }
    }
    tags
}

fn tag(element: &Extension) -> Tag {
    let mut children = Tags::default();
    for (name, elements) in &element.children {
        for element in elements {
            children.push(name, tag(element));
        }
    }
    let attributes = element.attrs.iter().map(|(name, value)| (name.clone(), words(value))).collect();
    Tag { text: words(element.value().unwrap_or_default()), attributes, children }
}

/// The value of an attribute that people read.
fn named(element: &Extension, attribute: &str) -> Option<String> {
    element.attrs.get(attribute).map(|name| line(name)).filter(|name| !name.is_empty())
}

fn locked(locked: &Extension) -> Locked {
    Locked { owner: locked.attrs.get("owner").map(|owner| line(owner)).filter(|owner| !owner.is_empty()) }
}

fn is_yes(text: Option<&str>) -> bool {
    text.is_some_and(|text| matches!(text.trim().to_ascii_lowercase().as_str(), "yes" | "true"))
}

/// `true`, `yes` and `explicit` of Apple's older rules are yes; `false`, `no` and `clean` are no.
fn explicit(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "explicit" => Some(true),
        "false" | "no" | "clean" => Some(false),
        _ => None,
    }
}

fn kind(text: &str) -> EpisodeKind {
    match text.trim().to_ascii_lowercase().as_str() {
        "trailer" => EpisodeKind::Trailer,
        "bonus" => EpisodeKind::Bonus,
        _ => EpisodeKind::Full,
    }
}

fn transcript(transcript: &Extension, base: &Url) -> Option<TranscriptLink> {
    let mime = transcript.attrs.get("type").map(String::as_str).unwrap_or_default();
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(TranscriptLink { url: web_url(transcript.attrs.get("url")?, base)?, mime })
}

/// The chapters that an item has in itself.
fn parts(of: &Extension) -> Vec<Chapter> {
    let part = |part: &Extension| {
        let said = |name: &str| part.attrs.get(name);
        let start_ms = chapters::clock(said("start")?.trim())?;
        let title = said("title").map(|title| line(title)).unwrap_or_default();
        Some(Chapter { start_ms, title, url: said("href").map(|url| url.trim().to_owned()) })
    };
    let mut parts = chapters::in_order(children(of, "chapter").iter().filter_map(part).collect());
    parts.truncate(chapters::MOST);
    parts
}

/// A link that may be shown and followed: `http` or `https`, resolved against `base`.
/// The hubs that are named so, each once.
pub(super) fn hubs<'h>(named: impl Iterator<Item = &'h str>, base: &Url) -> Vec<Url> {
    let mut hubs = Vec::new();
    for hub in named.filter_map(|hub| web_url(hub, base)) {
        if !hubs.contains(&hub) && hubs.len() < MOST_HUBS {
            hubs.push(hub);
        }
    }
    hubs
}

pub(super) fn web_url(text: &str, base: &Url) -> Option<Url> {
    let text = text.trim();
    let url = if text.is_empty() { None } else { base.join(text).ok() };
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text.trim()).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Text for people, on one line: without control and direction characters, cut.
pub(super) fn line(text: &str) -> String {
    let words = words(text);
    match words.char_indices().nth(MAX_TITLE_CHARS) {
        Some((end, _)) => format!("{}…", words[..end].trim_end()),
        None => words,
    }
}

/// As [`line`], of any length.
fn words(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|&c| is_shown(c)).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// HTML as it came, without control and direction characters.
fn html(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().filter(|&c| matches!(c, '\n' | '\t') || is_shown(c)).collect()
}

/// Whether a character can be shown without moving what stands around it or hiding itself.
fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn hours(skipped: &Extension) -> impl Iterator<Item = u32> {
    children(skipped, "hour").iter().filter_map(|hour| hour.value()?.trim().parse().ok())
}

fn days(skipped: &Extension) -> impl Iterator<Item = &str> {
    children(skipped, "day").iter().filter_map(Extension::value)
}

/// Minutes, as RSS 2.0 counts them. BEP 36 says seconds, but no feed means them.
fn ttl(text: &str) -> Option<Duration> {
    let minutes: u64 = text.trim().parse().ok()?;
    (minutes > 0).then(|| Duration::from_mins(minutes.min(MAX_TTL_MINUTES)))
}

/// The time between two changes by RSS 1.0 Syndication: so many to a period.
fn rhythm(period: &str, kept: Kept<'_>) -> Option<Duration> {
    let hours = match period.trim().to_ascii_lowercase().as_str() {
        "hourly" => 1,
        "daily" => 24,
        "weekly" | "monthly" | "yearly" => MAX_TTL_MINUTES / 60,
        _ => return None,
    };
    let times: u32 = kept.text("updatefrequency").and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    Duration::from_hours(hours).checked_div(times)
}

/// `1800`, `30:00`, `0:30:00`, with or without a fraction.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    for (i, part) in text.trim().split(':').enumerate() {
        let whole = part.split(['.', ',']).next().unwrap_or_default().trim();
        if i > 2 || whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(whole.parse().ok()?)?;
    }
    let duration = Duration::from_secs(seconds);
    (duration > Duration::ZERO && duration <= MAX_DURATION).then_some(duration)
}

/// A number from 1.
fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_what_can_be_seen() {
        assert_eq!(line("  a\u{202e}b\u{1b}[31m\n\u{200b}c \u{2028} d "), "ab[31m c d");
        assert_eq!(line("👩\u{200d}🚀 שלום"), "👩\u{200d}🚀 שלום");
        assert_eq!(line(&"ab ".repeat(200)).chars().count(), MAX_TITLE_CHARS);
    }

    #[test]
    fn durations_are_seconds_or_clock_times() {
        let check = |text, want: Option<u64>| assert_eq!(duration(text), want.map(Duration::from_secs), "{text}");
        check("1800", Some(1800));
        check("30:00", Some(1800));
        check(" 1:02:03.5 ", Some(3723));
        check("00:00", None);
        check("1:2:3:4", None);
        check("an hour", None);
        check("-5", None);
        check("99999999999999999999", None);
        check("1:", None);
    }

    #[test]
    fn ttl_is_minutes_and_bounded() {
        assert_eq!(ttl(" 60 "), Some(Duration::from_hours(1)));
        assert_eq!(ttl("0"), None);
        assert_eq!(ttl("-1"), None);
        assert_eq!(ttl("18446744073709551615"), Some(Duration::from_mins(MAX_TTL_MINUTES)));
    }
}
