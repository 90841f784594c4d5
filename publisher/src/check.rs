//! What podcast directories would say against a show, before they say it.
//!
//! A directory refuses a feed days after it was handed in, often without a reason. Their published rules are held
//! against the records here: what breaks a must is an error, what breaks a should is a warning. Each finding names its
//! rule and the command that mends it. What cannot be wrong, because it is refused when it is typed or written by us in
//! one way, is not looked at.
//!
//! An episode of a show that is for directories is published only if they would take it ([`refusals`]). Where the feed
//! is served does not count then: that is the server's and may still change, and `podpub doctor` tells of it.
//!
//! Source: Apple's podcast requirements and its guide to RSS, PSP-1, Spotify's delivery specification, the podcast
//! namespace.

mod said;

use podswarm_feeds::EpisodeKind;
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
        of_place(&show, urls, &mut findings);
        // What follows is said by directories, of which none is told of it.
        if !show.is_private {
            of_show(&show, cover(library, &show).as_ref(), &mut findings);
            of_list(&show, &episodes, &mut findings);
        }
        for episode in &episodes {
            of_episode(&show, episode, &mut findings);
        }
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// The show's cover, if it has one that can be read.
fn cover(library: &Library, show: &ShowRecord) -> Option<Cover> {
    let path = library.media_folder(&show.slug).join(&show.image.as_ref()?.file);
    Cover::from_bytes(std::fs::read(path).ok()?).ok()
}

/// An episode that is to be published.
pub(crate) struct Newcomer<'a> {
    /// Its media type.
    pub(crate) mime: &'a str,
    /// Its number.
    pub(crate) number: Option<u32>,
    /// What kind of episode it is.
    pub(crate) kind: EpisodeKind,
    /// The picture that it brings, which is the show's if that has none.
    pub(crate) cover: Option<&'a Cover>,
}

/// Why directories would refuse `show` with `new` in it.
pub(crate) fn refusals(library: &Library, show: &ShowRecord, new: &Newcomer<'_>) -> Vec<Finding> {
    let (own, mut findings) = (cover(library, show), Vec::new());
    of_show(show, own.as_ref().or(new.cover), &mut findings);
    findings.retain(|finding| finding.severity == Severity::Error);
    findings.extend(refusals_of(show, new));
    findings
}

/// Why directories would refuse or not play `new`, whatever they say of its show.
pub(crate) fn refusals_of(show: &ShowRecord, new: &Newcomer<'_>) -> Vec<Finding> {
    let finding = |Rejection { what, mend }| {
        let mend = match mend {
            Mend::File => "give it as MP3, M4A or MP4".to_owned(),
            Mend::Flag(flag) => format!("publish it with {flag}"),
        };
        Finding::new(show, None, Severity::Error, "Apple", &what, mend)
    };
    rejections(show, new.mime, new.number, new.kind).into_iter().map(finding).collect()
}

/// What is said of an episode that is not published because of [`refusals`], before they are named.
pub(crate) const REFUSED: &str = "directories would refuse it";

/// What `findings` say, on one line, each with whose rule it is.
pub(crate) fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{} ({})", finding.what, finding.rule)).collect::<Vec<_>>().join("; ")
}

/// What mends `findings`, which kept an episode from being published, and how it is published all the same.
pub(crate) fn way_out(findings: &[Finding]) -> String {
    let mends: Vec<_> = findings.iter().map(|finding| finding.mend.as_str()).collect();
    let show = findings.first().map_or("SHOW", |finding| finding.show.as_str());
    format!(
        "{}; or publish it with --anyway, or have nothing refused in this show: podpub edit --show {show} --listed=false",
        mends.join("; ")
    )
}

/// Something for which directories refuse an episode, or do not play it. Apple's rules.
struct Rejection {
    what: String,
    mend: Mend,
}

/// What mends it.
enum Mend {
    /// Another file.
    File,
    /// A flag of the command line.
    Flag(&'static str),
}

/// Why directories would refuse an episode like that.
fn rejections(show: &ShowRecord, mime: &str, number: Option<u32>, kind: EpisodeKind) -> Vec<Rejection> {
    let mut found = Vec::new();
    if !APPLE_TYPES.contains(&mime) {
        let what = format!("its file is {mime}, and Apple plays MP3, M4A, MP4, M4V, MOV and PDF alone");
        found.push(Rejection { what, mend: Mend::File });
    }
    if show.is_serial && number.is_none() && kind == EpisodeKind::Full {
        let what = "it has no number, and the episodes of this show are to be heard in their order".to_owned();
        found.push(Rejection { what, mend: Mend::Flag("--number N") });
    }
    found
}

/// Where the feed is.
fn of_place(show: &ShowRecord, urls: &Urls, findings: &mut Vec<Finding>) {
    let mut find = |severity, rule: &str, what: &str, mend: &str| {
        findings.push(Finding::new(show, None, severity, rule, what, mend.to_owned()));
    };
    if !urls.is_worldwide() {
        let what = format!("the feed is at {}, which nobody outside this network reaches", urls.base());
        find(Severity::Error, "Apple", &what, "podpub serve --public-url https://YOUR-HOST");
    } else if urls.base().scheme() != "https" {
        let what = "the feed is served over http; several apps load https only";
        let mend = "put a proxy with a certificate before podpub, and give its --public-url";
        find(Severity::Warning, "PSP-1", what, mend);
    }
}

/// Which episodes there are.
fn of_list(show: &ShowRecord, episodes: &[EpisodeRecord], findings: &mut Vec<Finding>) {
    if show.is_complete && episodes.iter().any(|episode| !episode.released) {
        let what = "the show says that no episode comes any more, and one is to come";
        let mend = format!("podpub edit --show {} --complete=false", show.slug);
        findings.push(Finding::new(show, None, Severity::Warning, "Apple", what, mend));
    }
    if !episodes.iter().any(|episode| episode.released) {
        let (what, mend) = ("the show has no episode that is out", "podpub publish FILE".to_owned());
        findings.push(Finding::new(show, None, Severity::Error, "Apple", what, mend));
    }
}

/// What is said of the show.
fn of_show(show: &ShowRecord, cover: Option<&Cover>, findings: &mut Vec<Finding>) {
    let edit = |flag: &str| format!("podpub edit --show {} {flag}", show.slug);
    let mut find = |severity, rule: &str, what: &str, mend: String| {
        findings.push(Finding::new(show, None, severity, rule, what, mend));
    };
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
    for (flag, what) in said::faults(&show.tags, None) {
        find(Severity::Warning, said::RULE, &what, edit(flag));
    }
}

fn of_episode(show: &ShowRecord, episode: &EpisodeRecord, findings: &mut Vec<Finding>) {
    let page = page_name(&episode.file);
    let edit = |flag: &str| format!("podpub edit {page} {flag}");
    let mut find = |severity, rule: &str, what: &str, mend: String| {
        findings.push(Finding::new(show, Some(page), severity, rule, what, mend));
    };
    let mime = episode.enclosure.mime.as_str();
    for Rejection { what, mend } in rejections(show, mime, episode.number, episode.kind) {
        let mend = match mend {
            Mend::File => format!("podpub replace {page} FILE.mp3"),
            Mend::Flag(flag) => edit(flag),
        };
        find(Severity::Error, "Apple", &what, mend);
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
    fn a_show_is_for_directories_once_it_is_whole_unless_its_owner_says_otherwise() {
        let mut it = show("a");
        assert!(!it.is_listed(), "a show that a file has made");
        let image = crate::record::Image { file: "cover.png".to_owned(), mime: "image/png".to_owned() };
        (it.image, it.category, it.description) = (Some(image), Some("Arts".to_owned()), Some("x".to_owned()));
        assert!(it.is_listed());
        assert!(!ShowRecord { is_private: true, ..it.clone() }.is_listed());
        assert!(!ShowRecord { is_blocked: true, ..it.clone() }.is_listed());
        assert!(!ShowRecord { listed: Some(false), ..it }.is_listed());
        assert!(ShowRecord { listed: Some(true), ..show("a") }.is_listed());
    }

    #[test]
    fn episodes_that_are_heard_in_their_order_have_numbers() {
        let serial = ShowRecord { is_serial: true, ..show("a") };
        let found = |number, kind| {
            let new = Newcomer { mime: "audio/mpeg", number, kind, cover: None };
            refusals_of(&serial, &new).into_iter().map(|finding| finding.mend).collect::<Vec<_>>()
        };
        assert_eq!(found(None, EpisodeKind::Full), ["publish it with --number N"]);
        assert!(found(Some(1), EpisodeKind::Full).is_empty() && found(None, EpisodeKind::Trailer).is_empty());
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
