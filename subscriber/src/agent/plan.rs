//! What one download is to bring, and under which name it is kept.
//!
//! A plan is made from what a source says it holds and from what the show's folder has already. The name it chooses is
//! free, or it is the name of a file that is most likely the same: of the right length and of no other episode.
//!
//! Knows nothing of the disk: the folder's listing is an argument.

use std::collections::BTreeMap;

use podswarm_core::metainfo::InfoHash;

use crate::names;
use crate::records::{Episode, Source};
use crate::rules::{Naming, Template};

/// What a source was found to hold, before anything is downloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The torrent, where the source is one.
    pub torrent: Option<TorrentFacts>,
    /// Names in the show's folder, [`names::fold`]ed, with the lengths of files; folders have none.
    pub listing: BTreeMap<String, Option<u64>>,
    /// Bytes of the download that are on the disk from an earlier attempt.
    pub present: u64,
}

/// What is decided by of a torrent's metainfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentFacts {
    /// What it is.
    pub info_hash: InfoHash,
    /// All its bytes.
    pub length: u64,
    /// What it calls itself.
    pub name: String,
    /// It is one file, not a folder of files.
    pub is_single_file: bool,
}

impl TorrentFacts {
    /// The extension of its file; `None` for a folder and where nothing tells.
    fn extension(&self) -> Option<&str> {
        names::extension(&self.name).filter(|_| self.is_single_file)
    }
}

/// Where an episode is to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, relative to the library.
    pub folder: String,
    /// The file's name without its extension.
    pub stem: String,
}

impl Place {
    /// The place of `episode` below `folder`, which is that of the show called `show`.
    pub fn of(episode: &Episode, show: &str, folder: &str, template: &Template) -> Self {
        let naming = Naming {
            day: episode.day(),
            show,
            title: &episode.title,
            season: episode.season,
            number: episode.number,
            id: episode.id.number,
        };
        let (folders, stem) = template.name(&naming);
        let folders: Vec<&str> = std::iter::once(folder).chain(folders.iter().map(String::as_str)).collect();
        Self { folder: folders.join("/"), stem }
    }
}

/// A download that is ready to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The file or folder, relative to the library.
    pub file: String,
    /// All its bytes; `None` if only the download will tell.
    pub length: Option<u64>,
    /// Bytes that are there from an earlier attempt.
    pub present: u64,
    /// The torrent; `None` for a plain download.
    pub info_hash: Option<InfoHash>,
    /// It is a folder of files.
    pub is_folder: bool,
}

impl Plan {
    /// Plans the download of `episode` from `source` to `place`, its folder and its name without an extension;
    /// `is_claimed` tells of names, folded and relative to the library, that other episodes have.
    pub fn new(
        episode: &Episode,
        source: &Source,
        place: &Place,
        prepared: &Prepared,
        is_claimed: impl Fn(&str) -> bool,
    ) -> Self {
        let (torrent, folder) = (prepared.torrent.as_ref(), &place.folder);
        let length = match torrent {
            Some(torrent) => Some(torrent.length),
            // Hosts that do not know write 0 or 1.
            None => episode.offer.length.filter(|length| *length > 1),
        };
        // Of a plain file that was tried before, and is another, only the name may be there.
        let is_alike = |one: Option<&str>, other: Option<&str>| match (one, other) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            (one, other) => one == other,
        };
        let fits = |file: &String| torrent.is_none_or(|torrent| is_alike(torrent.extension(), names::extension(file)));
        let chosen = episode.file.clone().filter(|file| prepared.present > 0 || fits(file));
        let file = chosen.unwrap_or_else(|| {
            let is_taken = |name: &str| {
                let same = || torrent.is_none_or(|t| t.is_single_file) && length.is_some();
                let is_there = prepared.listing.get(name);
                is_claimed(&format!("{}/{name}", names::fold(folder)))
                    || is_there.is_some_and(|there| !(same() && *there == length))
            };
            let extension = extension_of(episode, source, torrent);
            format!("{folder}/{}", names::free(&place.stem, extension.as_deref(), is_taken))
        });
        Self {
            file,
            length,
            present: prepared.present,
            info_hash: torrent.map(|torrent| torrent.info_hash),
            is_folder: torrent.is_some_and(|torrent| !torrent.is_single_file),
        }
    }

    /// Bytes that the disk must have room for.
    pub fn needs(&self) -> u64 {
        self.length.unwrap_or(0).saturating_sub(self.present)
    }
}

/// The extension of the file; `None` for a folder and where nothing tells.
fn extension_of(episode: &Episode, source: &Source, torrent: Option<&TorrentFacts>) -> Option<String> {
    if let Some(torrent) = torrent {
        return torrent.extension().map(str::to_owned);
    }
    let url = url::Url::parse(source.address()).ok();
    let last = url.as_ref().and_then(|url| url.path_segments()?.next_back());
    let of_mime = || episode.offer.mime.as_deref().and_then(names::extension_of_mime);
    last.and_then(names::extension).or_else(of_mime).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{hash, http, wall};
    use crate::records::{EpisodeId, FeedId, Stage};

    fn episode() -> Episode {
        http("a", 0).episode(EpisodeId { feed: FeedId(1), number: 1 }, Stage::Wanted { by_owner: false }, wall(0))
    }

    fn place() -> Place {
        Place::of(&episode(), "Show", "Show", &Template::default())
    }

    fn source(url: &str) -> Source {
        Source::Http(url.to_owned())
    }

    fn torrent(name: &str, length: u64, is_single_file: bool) -> Prepared {
        let torrent = TorrentFacts { info_hash: hash(1), length, name: name.to_owned(), is_single_file };
        Prepared { torrent: Some(torrent), ..Prepared::default() }
    }

    #[track_caller]
    fn check(url: &str, mime: Option<&str>, prepared: &Prepared, want: &str) {
        let mut episode = episode();
        episode.offer.mime = mime.map(str::to_owned);
        assert_eq!(Plan::new(&episode, &source(url), &place(), prepared, |_| false).file, want);
    }

    #[test]
    fn the_extension_is_the_torrents_else_the_urls_else_the_types() {
        let plain = Prepared::default();
        check("http://h/x.mp3?token=1", Some("audio/ogg"), &plain, "Show/2026-11-20 Title a.mp3");
        check("http://h/get?id=1", Some("audio/ogg"), &plain, "Show/2026-11-20 Title a.ogg");
        check("http://h/get", None, &plain, "Show/2026-11-20 Title a");
        check("http://h/x.torrent", None, &torrent("y.m4a", 5, true), "Show/2026-11-20 Title a.m4a");
        check("http://h/x.torrent", None, &torrent("y.m4a", 5, false), "Show/2026-11-20 Title a");
    }

    #[test]
    fn a_file_that_is_most_likely_the_same_is_taken_up_again() {
        let mut prepared = torrent("y.mp3", 1000, true);
        let plan = |prepared: &Prepared, claimed: bool| {
            Plan::new(&episode(), &source("http://h/x.torrent"), &place(), prepared, |_| claimed).file
        };
        prepared.listing.insert("2026-11-20 title a.mp3".to_owned(), Some(1000));
        assert_eq!(plan(&prepared, false), "Show/2026-11-20 Title a.mp3");
        prepared.listing.insert("2026-11-20 title a.mp3".to_owned(), Some(999));
        assert_eq!(plan(&prepared, false), "Show/2026-11-20 Title a (2).mp3");
        prepared.listing.insert("2026-11-20 title a.mp3".to_owned(), None);
        assert_eq!(plan(&prepared, false), "Show/2026-11-20 Title a (2).mp3");
    }

    #[test]
    fn no_two_episodes_have_one_name() {
        let prepared = torrent("y.mp3", 1000, true);
        let is_claimed = |name: &str| name == "show/2026-11-20 title a.mp3";
        let plan = Plan::new(&episode(), &source("http://h/x.torrent"), &place(), &prepared, is_claimed);
        assert_eq!(plan.file, "Show/2026-11-20 Title a (2).mp3");
    }

    #[test]
    fn a_name_once_chosen_stays_and_what_is_there_needs_no_room() {
        let mut episode = episode();
        episode.file = Some("Show/chosen.mp3".to_owned());
        let prepared = Prepared { present: 400, ..torrent("y.mp3", 1000, true) };
        let plan = Plan::new(&episode, &source("http://h/x.torrent"), &place(), &prepared, |_| true);
        assert_eq!((plan.file.as_str(), plan.needs()), ("Show/chosen.mp3", 600));
    }

    #[test]
    fn a_name_for_another_kind_of_file_is_left_as_long_as_nothing_is_there() {
        let mut episode = episode();
        episode.file = Some("Show/2026-11-20 Title a.mp3".to_owned());
        let plan = |prepared: &Prepared| {
            Plan::new(&episode, &source("http://h/x.torrent"), &place(), prepared, |_| false).file
        };
        assert_eq!(plan(&torrent("y.m4a", 1000, true)), "Show/2026-11-20 Title a.m4a");
        assert_eq!(plan(&torrent("y.MP3", 1000, true)), "Show/2026-11-20 Title a.mp3");
        assert_eq!(plan(&torrent("y", 1000, false)), "Show/2026-11-20 Title a");
        assert_eq!(plan(&Prepared::default()), "Show/2026-11-20 Title a.mp3");
        let begun = Prepared { present: 1, ..torrent("y.m4a", 1000, true) };
        assert_eq!(plan(&begun), "Show/2026-11-20 Title a.mp3");
    }
}
