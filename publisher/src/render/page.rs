//! The pages: all shows, one show, one episode.
//!
//! Plain HTML with the browser's own player; everything but the swarm's live figures works without scripts. Links
//! between pages are relative, so that the pages work under every name by which this host is reached; addresses that
//! people copy are the public ones.
//!
//! Law: nothing that came from a file or a person stands in a page unescaped. Maud escapes; the one thing passed
//! through is HTML that [`crate::notes`] made.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use podswarm_core::app::human_duration;
use podswarm_core::metainfo::Magnet;
use podswarm_core::rate::ByteCount;

use super::said;
use crate::record::{EpisodeRecord, Image, ShowRecord};
use crate::slug::page_name;
use crate::urls::Urls;

/// So much of a transcript a page shows, in cues or lines.
const MOST_SAID: usize = 5000;

/// The page of the shows, at `/`.
pub(crate) fn home<'a>(shows: impl IntoIterator<Item = (&'a ShowRecord, usize)>, urls: &Urls) -> String {
    let shows: Vec<_> = shows.into_iter().collect();
    layout(
        ".",
        "Shows",
        None,
        &html! {
            h1 { "Shows" }
            @if shows.is_empty() { p.soft { "There is no show here yet." } }
            @for (show, episodes) in shows {
                article {
                    h2 { a href={ "shows/" (show.slug) (urls.page_suffix()) } { (show.title) } }
                    p.soft { (byline(show)) (count(episodes)) }
                    @if let Some(description) = &show.description { p { (description) } }
                }
            }
        },
    )
}

/// The page of a show, at `/shows/SLUG`; `episodes` newest first.
pub(crate) fn show(show: &ShowRecord, episodes: &[&EpisodeRecord], urls: &Urls) -> String {
    let feed = show.moved.as_ref().map_or_else(|| urls.document(&show.slug, "feed.xml"), |moved| moved.feed.clone());
    layout(
        "..",
        &show.title,
        Some(show),
        &html! {
            a.up href=(if urls.are_files() { "../index.html" } else { ".." }) { "All shows" }
            header.show {
                @if let Some(image) = &show.image { (cover("..", show, image)) }
                div {
                    h1 { (show.title) @if show.explicit { " " (explicit()) } }
                    p.soft { (byline(show)) (count(episodes.len())) }
                    @if let Some(description) = &show.description { p { (description) } }
                    @if let Some(link) = &show.link { p { a href=(link) rel="noopener" { (link) } } }
                    (said::by_and_where(show.tags.all("person"), show.tags.all("location")))
                    @if show.is_complete { p.soft { "No episode comes any more." } }
                }
            }
            @if let Some(moved) = &show.moved {
                section.box { p { "This show has moved. Its feed is at " code { (moved.feed) } } }
            }
            section.box {
                h2 { "Subscribe" }
                p.soft { "Paste this address into any podcast app:" }
                p { code { (feed) } }
                ul.links {
                    li { a href={ (show.slug) "/feed.xml" } { "Podcast feed" } }
                    li { a href={ (show.slug) "/torrents.xml" } { "Torrent feed" } }
                    li { a href={ (show.slug) "/feed.json" } { "JSON Feed" } }
                    li { a href={ (show.slug) "/feed.atom" } { "Atom" } }
                }
                details {
                    summary { "Fetch it as a swarm, and pass it on" }
                    p { code { "podsub run " (feed) } }
                }
            }
            (said::support(show, None))
            (said::talk(&show.tags))
            @if episodes.is_empty() { p.soft { "No episode yet." } }
            @for episode in episodes {
                article {
                    h2 { a href={ (show.slug) "/" (page_name(&episode.file)) (urls.page_suffix()) } { (episode.title) } }
                    p.soft { (facts(episode)) }
                    (player("..", episode, "none"))
                }
            }
            (said::rights(show, None))
        },
    )
}

/// The page of an episode, at `/shows/SLUG/EPISODE`; `said` is its transcript, with times in milliseconds where they
/// are known.
pub(crate) fn episode(
    show: &ShowRecord,
    episode: &EpisodeRecord,
    magnet: Option<&Magnet>,
    said: &[(Option<u64>, String)],
    urls: &Urls,
) -> String {
    let page = page_name(&episode.file);
    layout(
        "../..",
        &format!("{} · {}", episode.title, show.title),
        Some(show),
        &html! {
            a.up href={ "../" (show.slug) (urls.page_suffix()) } { (show.title) }
            header.show {
                @if let Some(image) = episode.image.as_ref().or(show.image.as_ref()) { (cover("../..", show, image)) }
                div {
                    h1 { (episode.title) @if episode.explicit.unwrap_or(show.explicit) { " " (explicit()) } }
                    p.soft { (facts(episode)) }
                    (said::by_and_where(said::people(show, episode), episode.tags.all("location")))
                }
            }
            (player("../..", episode, "metadata"))
            (soundbites(episode))
            @if !episode.chapters.is_empty() { (chapters(episode)) }
            @if episode.notes.is_some() { section { (PreEscaped(episode.notes_html())) } }
            @if !said.is_empty() { (transcript(episode, said)) }
            (said::support(show, Some(episode)))
            (said::talk(&episode.tags))
            section.box {
                h2 { "Download" }
                ul.links {
                    li { a href=(media_path("../..", episode)) download { "File over HTTP" } }
                    li { a href={ "../../torrents/" (show.slug) "/" (episode.file) ".torrent" } { "Torrent" } }
                    @if let Some(magnet) = magnet { li { a href=(magnet) { "Magnet link" } } }
                }
                @if !urls.are_files() {
                    p.soft data-swarm={ (page) "/swarm.json" } {
                        noscript { a href={ (page) "/swarm.json" } { "Figures of the swarm" } }
                    }
                }
                details {
                    summary { "Check what you have" }
                    p { "SHA-256 " code { (episode.sha256) } }
                    p { "Info-hash " code { (episode.info_hash) } }
                }
            }
            (said::rights(show, Some(episode)))
        },
    )
}

fn chapters(episode: &EpisodeRecord) -> Markup {
    html! {
        section.box {
            h2 { "Chapters" }
            ol.chapters {
                @for chapter in &episode.chapters {
                    li {
                        (moment(episode, chapter.start_ms)) " " (chapter.title)
                        @if let Some(url) = &chapter.url { " " a href=(url) rel="noopener" { "link" } }
                    }
                }
            }
        }
    }
}

/// Where to listen in.
fn soundbites(episode: &EpisodeRecord) -> Markup {
    let bites = said::soundbites(&episode.tags);
    html! {
        @if !bites.is_empty() {
            section.box {
                h2 { "Listen in" }
                ol.chapters {
                    @for (start, title) in bites {
                        li { (moment(episode, start)) " " (if title.is_empty() { &episode.title } else { title }) }
                    }
                }
            }
        }
    }
}

fn transcript(episode: &EpisodeRecord, said: &[(Option<u64>, String)]) -> Markup {
    html! {
        details.box {
            summary { "Transcript" }
            @for (at, text) in said.iter().take(MOST_SAID) {
                p { @if let Some(at) = at { (moment(episode, *at)) " " } (text) }
            }
            @if said.len() > MOST_SAID { p.soft { "It goes on in the file." } }
            ul.links {
                @for file in &episode.transcripts {
                    li { a href={ "../../media/" (episode.show) "/" (file.file) } { "Transcript (" (file.kind.extension()) ")" } }
                }
            }
        }
    }
}

/// A time that leads there in the media; the script has the player go there.
fn moment(episode: &EpisodeRecord, at_ms: u64) -> Markup {
    let seconds = at_ms / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let clock = if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") };
    html! { a.at href={ (media_path("../..", episode)) "#t=" (seconds) } data-at=(seconds) { (clock) } }
}

/// What is shown where something is missing or wrong: one sentence.
pub(crate) fn error(title: &str, sentence: &str) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta name="viewport" content="width=device-width"; title { (title) } }
            body { h1 { (title) } p { (sentence) } }
        }
    }
    .into_string()
}

/// The frame of every page; `root` leads from it to `/`.
fn layout(root: &str, title: &str, show: Option<&ShowRecord>, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang=(show.map_or("en", |show| &show.language)) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href={ (root) "/assets/style.css" };
                @if let Some(show) = show {
                    @let base = format!("{root}/shows/{}", show.slug);
                    link rel="alternate" type="application/rss+xml" title=(show.title) href={ (base) "/feed.xml" };
                    link rel="alternate" type="application/rss+xml" title={ (show.title) " (torrents)" }
                        href={ (base) "/torrents.xml" };
                    link rel="alternate" type="application/feed+json" title=(show.title) href={ (base) "/feed.json" };
                    link rel="alternate" type="application/atom+xml" title=(show.title) href={ (base) "/feed.atom" };
                }
                script src={ (root) "/assets/live.js" } defer {}
            }
            body { main { (body) } }
        }
    }
    .into_string()
}

fn byline(show: &ShowRecord) -> Markup {
    html! { @if let Some(author) = &show.author { (author) " · " } }
}

fn count(episodes: usize) -> String {
    if episodes == 1 { "1 episode".to_owned() } else { format!("{episodes} episodes") }
}

fn explicit() -> Markup {
    html! { span.badge { "explicit" } }
}

fn cover(root: &str, show: &ShowRecord, image: &Image) -> Markup {
    let source = format!("{root}/media/{}/{}", show.slug, image.file);
    html! { img src=(source) alt={ "Cover of " (show.title) } width="144" height="144"; }
}

/// When, which number, how long, how large.
fn facts(episode: &EpisodeRecord) -> Markup {
    html! {
        time datetime=(episode.published.to_rfc3339()) { (day(episode.published)) }
        @if let Some(season) = episode.season {
            " · "
            @match &episode.season_name { Some(name) => { (name) } None => { "Season " (season) } }
        }
        @if let Some(number) = episode.number {
            (if episode.season.is_some() { ", " } else { " · " })
            @match &episode.number_name {
                Some(name) => { (name) }
                None => { (if episode.season.is_some() { "episode " } else { "Episode " }) (number) }
            }
        }
        @if let Some(duration) = episode.duration() { " · " (human_duration(duration)) }
        " · " (ByteCount(episode.length))
    }
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

/// The browser's player; nothing for what no browser plays.
fn player(root: &str, episode: &EpisodeRecord, preload: &str) -> Markup {
    let source = media_path(root, episode);
    html! {
        @if episode.enclosure.mime.starts_with("video/") {
            video controls preload=(preload) src=(source) {}
        } @else if episode.enclosure.mime.starts_with("audio/") {
            audio controls preload=(preload) src=(source) {}
        }
    }
}

/// The way from a page to the file that ordinary apps play; `root` leads to `/`.
fn media_path(root: &str, episode: &EpisodeRecord) -> String {
    // The escaping of path segments is the same under any base.
    let base = Urls::parse("http://x/").expect("a URL");
    let url = match &episode.enclosure.path {
        None => base.media(&episode.show, &episode.file),
        Some(path) => base.media_in(&episode.show, &episode.file, path),
    };
    format!("{root}{}", url.path())
}

#[cfg(test)]
mod tests {
    use podswarm_feeds::chapters::Chapter;

    use super::*;
    use crate::record::tests::{episode as record, show as show_record};

    fn urls() -> Urls {
        Urls::parse("https://pods.example/").unwrap()
    }

    fn hostile() -> (ShowRecord, EpisodeRecord) {
        let bad = "<script>alert(1)</script>\"'&";
        let mut show = show_record("a");
        show.title = bad.to_owned();
        show.author = Some(bad.to_owned());
        show.description = Some(bad.to_owned());
        let mut episode = record("a", 1);
        episode.title = bad.to_owned();
        episode.notes = Some(bad.to_owned());
        episode.chapters = vec![Chapter { start_ms: 1000, title: bad.to_owned(), url: None }];
        (show, episode)
    }

    #[test]
    fn an_episodes_page_has_player_notes_magnet_and_torrent() {
        let mut record = record("a", 1);
        record.notes = Some("See https://x.example/".to_owned());
        let page = episode(&show_record("a"), &record, Some(&Magnet::new(record.info_hash)), &[], &urls());
        for part in [
            "<audio controls preload=\"metadata\" src=\"../../media/a/2026-01-01-episode-1-00000001.mp3\"></audio>",
            "<a href=\"https://x.example/\"",
            "href=\"magnet:?xt=urn:btih:0101",
            "href=\"../../torrents/a/2026-01-01-episode-1-00000001.mp3.torrent\"",
            "data-swarm=\"2026-01-01-episode-1-00000001/swarm.json\"",
            "1 January 2026",
            "1000 B",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn chapters_and_transcript_lead_into_the_media() {
        let mut record = record("a", 1);
        let link = Some("https://river.example/".to_owned());
        record.chapters = vec![Chapter { start_ms: 3_725_900, title: "The river".to_owned(), url: link }];
        let said = [(Some(61_000), "Good evening".to_owned()), (None, "and good night".to_owned())];
        let page = episode(&show_record("a"), &record, Some(&Magnet::new(record.info_hash)), &said, &urls());
        for part in [
            "#t=3725\" data-at=\"3725\">1:02:05</a> The river <a href=\"https://river.example/\"",
            "data-at=\"61\">1:01</a> Good evening",
            "<p>and good night</p>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn a_shows_page_offers_the_feed_and_its_episodes() {
        let record = record("a", 1);
        let page = show(&show_record("a"), &[&record], &urls());
        for part in [
            "<code>https://pods.example/shows/a/feed.xml</code>",
            "href=\"a/2026-01-01-episode-1-00000001\"",
            "type=\"application/rss+xml\"",
            "1 episode",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(home([(&show_record("a"), 1)], &urls()).contains("<a href=\"shows/a\">"));
    }

    #[test]
    fn nothing_that_was_typed_is_markup() {
        let (show_record, record) = hostile();
        let magnet = Magnet { name: Some(record.title.clone()), ..Magnet::new(record.info_hash) };
        for page in [
            home([(&show_record, 1)], &urls()),
            show(&show_record, &[&record], &urls()),
            episode(&show_record, &record, Some(&magnet), &[(Some(1000), record.title.clone())], &urls()),
            error("<b>", "<script>"),
        ] {
            assert!(!page.contains("<script>"), "{page}");
            assert!(!page.contains("<b>"), "{page}");
        }
    }

    #[test]
    fn what_no_browser_plays_has_no_player() {
        let mut record = record("a", 1);
        record.enclosure.mime = "application/octet-stream".to_owned();
        let page = episode(&show_record("a"), &record, Some(&Magnet::new(record.info_hash)), &[], &urls());
        assert!(!page.contains("<audio") && !page.contains("<video"), "{page}");
    }

    #[test]
    fn a_file_in_a_folder_is_reached_by_its_escaped_path() {
        let mut record = record("a", 1);
        record.enclosure.path = Some("CD 1/ä.mp3".to_owned());
        assert_eq!(media_path("..", &record), "../media/a/2026-01-01-episode-1-00000001.mp3/CD%201/%C3%A4.mp3");
    }
}
