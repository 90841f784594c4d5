//! What podcast directories would say against a show, before they say it.
//!
//! A directory refuses a feed days after it was handed in, often without a reason. Their published rules are held
//! against the records here: what breaks a must is an error, what breaks a should is a warning. Each finding names its
//! rule and the command that mends it. What cannot be wrong, because it is refused when it is typed or written by us in
//! one way, is not looked at.
//!
//! Source: Apple's podcast requirements and its guide to RSS, PSP-1, Spotify's delivery specification, the podcast
//! namespace.

mod said;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cover::Cover;
use crate::library::{Library, LibraryError};
use crate::record::{EpisodeRecord, ShowRecord};
use crate::slug::page_name;
use crate::urls::Urls;

/// The types that Apple plays.
const APPLE_TYPES: [&str; 6] =
    ["audio/mpeg", "audio/x-m4a", "video/mp4", "video/x-m4v", "video/quicktime", "application/pdf"];
/// Spotify takes no longer file, in bytes.
const SPOTIFY_LONGEST: u64 = 200_000_000;
/// Directories read no longer description, in bytes.
const LONGEST_NOTES: usize = 4000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// A directory refuses the show or does not play the episode.
    Error,
    /// It is shown worse than it could be.
    Warning,
}

/// One thing that a directory would say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Finding {
    /// Always `finding`.
    pub(crate) event: String,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Whose rule it is.
    pub(crate) rule: String,
    /// The show.
    pub(crate) show: String,
    /// The name of the episode's page; `None` if it is about the show.
    pub(crate) episode: Option<String>,
    /// What was found, and what is wanted.
    pub(crate) what: String,
    /// What mends it.
    pub(crate) mend: String,
}

impl Finding {
    fn new(show: &ShowRecord, page: Option<&str>, severity: Severity, rule: &str, what: &str, mend: String) -> Self {
        Self {
            event: "finding".to_owned(),
            severity,
            rule: rule.to_owned(),
            show: show.slug.to_string(),
            episode: page.map(ToOwned::to_owned),
            what: what.to_owned(),
            mend,
        }
    }
}

/// Holds the show that `wanted` names, or all shows, against the directories' rules; errors first.
pub(crate) fn check(library: &Library, wanted: Option<&str>, urls: &Urls) -> Result<Vec<Finding>, LibraryError> {
    let shows = match wanted {
        Some(wanted) => vec![library.show(Some(wanted))?],
        None => library.shows()?,
    };
    let mut findings = Vec::new();
    for show in shows {
        let episodes = library.episodes(&show.slug)?;
        let cover = show.image.as_ref().map(|image| library.media_folder(&show.slug).join(&image.file));
        let cover = cover.and_then(|path| std::fs::read(path).ok()).and_then(|bytes| Cover::from_bytes(bytes).ok());
        of_show(&show, &episodes, cover.as_ref(), urls, &mut findings);
        for episode in &episodes {
            of_episode(&show, episode, &mut findings);
        }
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

fn of_show(
    show: &ShowRecord,
    episodes: &[EpisodeRecord],
    cover: Option<&Cover>,
    urls: &Urls,
    findings: &mut Vec<Finding>,
) {
    let edit = |flag: &str| format!("podpub edit --show {} {flag}", show.slug);
    let mut find = |severity, rule: &str, what: &str, mend: String| {
        findings.push(Finding::new(show, None, severity, rule, what, mend));
    };
    if !urls.is_worldwide() {
        let what = format!("the feed is at {}, which nobody outside this network reaches", urls.base());
        find(Severity::Error, "Apple", &what, "podpub serve --public-url https://YOUR-HOST".to_owned());
    } else if urls.base().scheme() != "https" {
        let what = "the feed is served over http; several apps load https only";
        find(
            Severity::Warning,
            "PSP-1",
            what,
            "put a proxy with a certificate before podpub, and give its --public-url".to_owned(),
        );
    }
    // What follows is said by directories, of which none is told of it.
    if show.is_private {
        return;
    }
    match (cover, cover.and_then(Cover::complaint)) {
        (None, _) => find(Severity::Error, "Apple", "the show has no cover", edit("--image FILE")),
        (Some(_), Some(complaint)) => find(Severity::Error, "Apple", &complaint, edit("--image FILE")),
        (Some(cover), None) if cover.bytes.len() > 512 * 1024 => {
            let what = format!("the cover has {} KiB; apps like at most 512", cover.bytes.len() / 1024);
            find(Severity::Warning, "Apple", &what, edit("--image FILE"));
        }
        (Some(_), None) => {}
    }
    if show.category.is_none() {
        find(Severity::Error, "Apple", "the show has no category", edit("--category NAME"));
    }
    if show.description.is_none() {
        find(Severity::Error, "Apple", "the show has no description", edit("--description TEXT"));
    }
    if show.author.is_none() {
        find(Severity::Warning, "PSP-1", "the show says nobody who makes it", edit("--author NAME"));
    }
    if show.email.is_none() {
        let what = "there is no address to which directories write to prove whose the show is";
        find(Severity::Warning, "Spotify", what, edit("--email ADDRESS"));
    }
    if show.is_blocked {
        find(Severity::Warning, "Apple", "the show asks directories not to show it", edit("--block=false"));
    }
    if show.is_locked && show.email.is_none() {
        let what = "the show is locked, and no address says whose it is: no host could ever take it over";
        find(Severity::Warning, said::RULE, what, edit("--email ADDRESS"));
    }
    if show.is_complete && episodes.iter().any(|episode| !episode.released) {
        let what = "the show says that no episode comes any more, and one is to come";
        find(Severity::Warning, "Apple", what, edit("--complete=false"));
    }
    for (flag, what) in said::faults(&show.tags, None) {
        find(Severity::Warning, said::RULE, &what, edit(flag));
    }
    if !episodes.iter().any(|episode| episode.released) {
        find(Severity::Error, "Apple", "the show has no episode that is out", "podpub publish FILE".to_owned());
    }
}

fn of_episode(show: &ShowRecord, episode: &EpisodeRecord, findings: &mut Vec<Finding>) {
    let page = page_name(&episode.file);
    let edit = |flag: &str| format!("podpub edit {page} {flag}");
    let mut find = |severity, rule: &str, what: &str, mend: String| {
        findings.push(Finding::new(show, Some(page), severity, rule, what, mend));
    };
    let mime = episode.enclosure.mime.as_str();
    if !APPLE_TYPES.contains(&mime) {
        let what = format!("its file is {mime}; Apple plays MP3, M4A, MP4, M4V, MOV and PDF");
        find(Severity::Error, "Apple", &what, format!("podpub replace {page} FILE.mp3"));
    }
    if episode.enclosure.path.as_ref().is_some_and(|path| !path.bytes().all(is_plain)) {
        let what = "the file that apps are given has a name with other than ASCII letters, digits and `-._/`";
        find(Severity::Warning, "Apple", what, "name it so, and publish the folder anew".to_owned());
    }
    if episode.enclosure.length > SPOTIFY_LONGEST {
        let what = format!("its file has {} MB; Spotify takes at most 200", episode.enclosure.length / 1_000_000);
        find(Severity::Warning, "Spotify", &what, format!("podpub replace {page} a file of a lower bit rate"));
    }
    if episode.duration_ms.is_none() && mime != "application/pdf" {
        find(
            Severity::Warning,
            "Apple",
            "its playing time cannot be read from the file",
            format!("podpub replace {page} FILE"),
        );
    }
    let (title, of_show) = (episode.title.to_lowercase(), show.title.to_lowercase());
    if title != of_show && title.contains(&of_show) {
        find(Severity::Warning, "Apple", "its title holds the show's", edit("--title TEXT"));
    }
    if numbered(&title) {
        find(
            Severity::Warning,
            "Apple",
            "its title begins with a number, for which feeds have a place",
            edit("--title TEXT --number N"),
        );
    }
    match episode.notes.as_ref().map(|_| episode.notes_html().len()) {
        None => find(Severity::Warning, "PSP-1", "it has no show notes", edit("--notes TEXT")),
        Some(length) if length > LONGEST_NOTES => {
            let what = format!("its show notes have {length} bytes as HTML; some apps show the first {LONGEST_NOTES}");
            find(Severity::Warning, "Apple", &what, edit("--notes TEXT"));
        }
        Some(_) => {}
    }
    if episode.is_blocked {
        find(Severity::Warning, "Apple", "it asks directories not to show it", edit("--block=false"));
    }
    for (flag, what) in said::faults(&episode.tags, episode.duration()) {
        find(Severity::Warning, said::RULE, &what, edit(flag));
    }
    if episode.transcripts.is_empty() && mime != "application/pdf" {
        find(Severity::Warning, "PSP-1", "it has no transcript", edit("--transcript FILE.vtt"));
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._/".contains(&byte)
}

/// `#12 …`, `12: …`, `Episode 12 …`, `Ep. 12 …`.
fn numbered(title: &str) -> bool {
    let after = ["episode ", "ep. ", "ep ", "#"].iter().find_map(|word| title.strip_prefix(word));
    let rest = after.unwrap_or(title);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let follows = rest[digits..].chars().next();
    digits > 0 && (after.is_some() || matches!(follows, Some(':' | '.' | ')' | '-' | '–')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::library::tests::library;
    use crate::record::tests::{episode, show};

    fn urls(text: &str) -> Urls {
        Urls::parse(text).unwrap()
    }

    #[test]
    fn a_show_that_lacks_what_directories_want_is_told_so_with_the_mend() {
        let (_dir, library) = library();
        library.store().put(&show("a")).unwrap();
        let mut bad = episode("a", 1);
        (bad.title, bad.enclosure.mime) = ("Episode 7: More".to_owned(), "audio/ogg".to_owned());
        (bad.enclosure.length, bad.duration_ms) = (300_000_000, None);
        library.store().put(&bad).unwrap();
        let found = check(&library, None, &urls("http://pods.example/")).unwrap();
        let has = |severity, what: &str, mend: &str| {
            let is_it = |it: &&Finding| it.severity == severity && it.what.contains(what) && it.mend.contains(mend);
            assert!(found.iter().any(|it| is_it(&it)), "{what}: {found:#?}");
        };
        has(Severity::Error, "no cover", "podpub edit --show a --image");
        has(Severity::Error, "no category", "--category");
        has(Severity::Error, "no description", "--description");
        has(Severity::Error, "audio/ogg", "podpub replace 2026-01-01-episode-1-00000001");
        has(Severity::Warning, "served over http", "--public-url");
        has(Severity::Warning, "300 MB", "replace");
        has(Severity::Warning, "begins with a number", "--number");
        has(Severity::Warning, "no transcript", "--transcript");
        assert!(found.is_sorted_by_key(|finding| finding.severity), "errors first");
    }

    #[test]
    fn a_show_that_has_all_is_told_nothing() {
        let (_dir, library) = library();
        library.prepare_show(&show("a").slug).unwrap();
        let cover = Cover::from_bytes(fixture::png(1400, 1400)).unwrap();
        let mut full = show("a");
        full.image = Some(library.save_cover(&full.slug, &cover).unwrap());
        (full.title, full.category) = ("Night Walks".to_owned(), Some("Arts".to_owned()));
        let said = Some("said".to_owned());
        (full.description, full.author, full.email) = (said.clone(), said.clone(), Some("a@b.example".to_owned()));
        library.store().put(&full).unwrap();
        let mut whole = episode("a", 1);
        (whole.title, whole.notes) = ("1984 and after".to_owned(), said);
        let kind = crate::transcript::TranscriptKind::Vtt;
        whole.transcripts = vec![crate::transcript::TranscriptFile { kind, file: "x.vtt".to_owned() }];
        library.store().put(&whole).unwrap();
        let found = check(&library, Some("a"), &urls("https://pods.example/")).unwrap();
        assert!(found.is_empty(), "{found:#?}");
        assert!(check(&library, Some("b"), &urls("https://pods.example/")).is_err());
        let home = check(&library, None, &Urls::guess("192.168.1.5:6969".parse().unwrap())).unwrap();
        assert!(home.len() == 1 && home[0].what.contains("nobody outside"), "{home:#?}");
    }

    #[test]
    fn a_number_is_one_only_where_it_stands_as_one() {
        for title in ["episode 12", "ep. 3 x", "#4 x", "12: x", "3) x", "7. x"] {
            assert!(numbered(title), "{title}");
        }
        for title in ["1984 and after", "12 monkeys", "episodes", "x 3", "", "24/7"] {
            assert!(!numbered(title), "{title}");
        }
    }
}
