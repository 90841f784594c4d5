//! Finds the feed or the episode that people mean.
//!
//! A feed goes by its number, its URL, its title or a part of the title; an episode by `FEED/NUMBER`, its guid, its
//! info-hash, its title or a part of the title. What is whole beats what is a part.
//!
//! Law: a name that more than one thing answers to is refused with all of them, never guessed.

use podswarm_core::app::Failure;
use podswarm_core::metainfo::InfoHash;

use crate::agent::Target;
use crate::agent::catalogue::Catalogue;
use crate::records::{Episode, EpisodeId, Feed, FeedId};

/// Things that are listed where a name is not clear.
const LISTED: usize = 5;

/// Why a name means nothing.
enum Miss {
    /// It could be all of these.
    Many(Vec<String>),
    /// Nothing answers to it.
    Nothing,
}

/// The feed that `name` means.
pub(super) fn feed(catalogue: &Catalogue, name: &str) -> Result<FeedId, Failure> {
    find_feed(catalogue, name).map_err(|miss| match miss {
        Miss::Many(names) => ambiguous(name, &names),
        Miss::Nothing => Failure::new(format!("no feed is called `{name}`")).with_hint("`podsub feeds` lists them"),
    })
}

/// The episode that `name` means.
pub(super) fn episode(catalogue: &Catalogue, name: &str) -> Result<EpisodeId, Failure> {
    find_episode(catalogue, name).map_err(|miss| match miss {
        Miss::Many(names) => ambiguous(name, &names),
        Miss::Nothing => {
            Failure::new(format!("no episode is called `{name}`")).with_hint("`podsub episodes` lists them")
        }
    })
}

/// The feed or the episode that `name` means, or all feeds.
pub(super) fn target(catalogue: &Catalogue, name: &str) -> Result<Target, Failure> {
    if name == "all" {
        return Ok(Target::All);
    }
    match (find_feed(catalogue, name), find_episode(catalogue, name)) {
        (Ok(feed), _) => Ok(Target::Feed(feed)),
        (Err(_), Ok(episode)) => Ok(Target::Episode(episode)),
        (Err(Miss::Many(names)), Err(_)) | (Err(Miss::Nothing), Err(Miss::Many(names))) => Err(ambiguous(name, &names)),
        (Err(Miss::Nothing), Err(Miss::Nothing)) => {
            let failure = Failure::new(format!("neither a feed nor an episode is called `{name}`"));
            Err(failure.with_hint("`podsub feeds` and `podsub episodes` list them"))
        }
    }
}

fn find_feed(catalogue: &Catalogue, name: &str) -> Result<FeedId, Miss> {
    if let Ok(number) = name.parse()
        && catalogue.feed(FeedId(number)).is_some()
    {
        return Ok(FeedId(number));
    }
    let folded = name.to_lowercase();
    let is_whole = |feed: &&Feed| feed.url().as_str() == name || feed.title.to_lowercase() == folded;
    let is_part = |feed: &&Feed| !folded.is_empty() && feed.title.to_lowercase().contains(&folded);
    let whole: Vec<_> = catalogue.feeds().filter(is_whole).collect();
    let found = if whole.is_empty() { catalogue.feeds().filter(is_part).collect() } else { whole };
    match found[..] {
        [feed] => Ok(feed.id),
        [] => Err(Miss::Nothing),
        _ => Err(Miss::Many(found.iter().map(|feed| format!("{} {}", feed.id, feed.name())).collect())),
    }
}

fn find_episode(catalogue: &Catalogue, name: &str) -> Result<EpisodeId, Miss> {
    if let Ok(id) = name.parse()
        && catalogue.episode(id).is_some()
    {
        return Ok(id);
    }
    let folded = name.to_lowercase();
    let hash: Option<InfoHash> = name.parse().ok();
    let is_hash = |episode: &Episode| hash.zip(episode.info_hash()).is_some_and(|(want, got)| want.matches(&got));
    let is_whole =
        |episode: &&Episode| episode.guid == name || episode.title.to_lowercase() == folded || is_hash(episode);
    let is_part = |episode: &&Episode| !folded.is_empty() && episode.title.to_lowercase().contains(&folded);
    let whole: Vec<_> = catalogue.episodes().filter(is_whole).collect();
    let found = if whole.is_empty() { catalogue.episodes().filter(is_part).collect() } else { whole };
    match found[..] {
        [episode] => Ok(episode.id),
        [] => Err(Miss::Nothing),
        _ => Err(Miss::Many(found.iter().map(|episode| format!("{} {}", episode.id, episode.title)).collect())),
    }
}

fn ambiguous(name: &str, found: &[String]) -> Failure {
    let mut listed: Vec<_> = found.iter().take(LISTED).map(|found| format!("`{found}`")).collect();
    if found.len() > LISTED {
        listed.push(format!("and {} more", found.len() - LISTED));
    }
    Failure::new(format!("`{name}` means more than one: {}", listed.join(", "))).with_hint("give the number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::{hash, http, torrent, wall};

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (number, title) in [(1, "Night Walks"), (2, "Night Talks"), (3, "Night")] {
            let id = FeedId(number);
            let mut feed = Feed::new(id, format!("http://host.example/{number}").parse().unwrap(), wall(0));
            (feed.title, feed.folder) = (title.to_owned(), title.to_owned());
            catalogue.put_feed(feed);
        }
        catalogue.read(FeedId(1), vec![torrent("a", 1, hash(7)), http("ab", 2)], wall(0));
        catalogue
    }

    #[test]
    fn a_feed_is_found_by_number_url_title_and_part_of_the_title() {
        let catalogue = catalogue();
        for (name, want) in [("2", 2), ("http://host.example/1", 1), ("night", 3), ("WALKS", 1), ("Night Talks", 2)] {
            assert_eq!(feed(&catalogue, name).unwrap(), FeedId(want), "{name}");
        }
    }

    #[test]
    fn an_episode_is_found_by_number_guid_info_hash_and_title() {
        let catalogue = catalogue();
        for (name, want) in [("1/1", "ab"), ("a", "a"), (&hash(7).to_string(), "a"), ("title AB", "ab")] {
            let id = episode(&catalogue, name).unwrap();
            assert_eq!(catalogue.episode(id).unwrap().guid, want, "{name}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_it_could_be() {
        let catalogue = catalogue();
        let failure = feed(&catalogue, "night w").map(|_| ()).and(feed(&catalogue, "alks").map(|_| ())).unwrap_err();
        assert!(failure.to_string().contains("`1 Night Walks`, `2 Night Talks`"), "{failure}");
        for name in ["", "nothing", "9", "9/9"] {
            assert!(feed(&catalogue, name).is_err() && target(&catalogue, name).is_err(), "{name}");
        }
        assert!(target(&catalogue, "title").unwrap_err().to_string().contains("more than one"));
        assert_eq!(target(&catalogue, "all").unwrap(), Target::All);
    }
}
