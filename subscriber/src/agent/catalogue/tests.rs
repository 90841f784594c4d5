//! What an item is to us: new, known, revised, a duplicate, one too many.

use std::time::Duration;

use super::*;
use crate::agent::found::Version;
use crate::agent::testing::{hash, http, show_key, torrent, wall, withdrawal};
use crate::records::{Backlog, Offer, Source};

const FEED: FeedId = FeedId(1);

/// A catalogue with one feed that has been read once, empty.
fn followed() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let mut feed = Feed::new(FEED, "http://host.example/feed.xml".parse().unwrap(), wall(0));
    feed.folder = "Show".to_owned();
    catalogue.put_feed(feed);
    catalogue
}

/// A catalogue with one feed that has never been read.
fn added(backlog: Backlog) -> Catalogue {
    let mut catalogue = followed();
    let feed = catalogue.feed_mut(FEED).unwrap();
    (feed.folder, feed.backlog) = (String::new(), backlog);
    catalogue
}

fn guids(catalogue: &Catalogue, ids: &[EpisodeId]) -> Vec<String> {
    ids.iter().map(|id| catalogue.episode(*id).unwrap().guid.clone()).collect()
}

fn wanted(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.episodes().filter(|episode| episode.is_wanted()).map(|episode| episode.guid.as_str()).collect()
}

fn complete(catalogue: &mut Catalogue, id: EpisodeId, info_hash: Option<InfoHash>) {
    let mut episode = catalogue.episode(id).unwrap().clone();
    episode.stage = Stage::Complete { at: wall(0), length: 1000, info_hash };
    episode.file = Some(format!("Show/{}.mp3", episode.guid));
    catalogue.put(episode);
}

#[track_caller]
fn check_backlog(backlog: Backlog, want: &[&str]) {
    let mut catalogue = added(backlog);
    catalogue.read(FEED, vec![http("c", 1), http("b", 2), http("a", 3)], wall(0));
    assert_eq!(wanted(&catalogue), want);
    let numbers: Vec<_> = catalogue.episodes().map(|episode| (episode.guid.as_str(), episode.id.number)).collect();
    assert_eq!(numbers, [("a", 1), ("b", 2), ("c", 3)]);
}

#[test]
fn a_new_subscription_takes_the_newest_unless_told_otherwise() {
    check_backlog(Backlog::default(), &["c"]);
    check_backlog(Backlog::Newest(0), &[]);
    check_backlog(Backlog::Newest(2), &["b", "c"]);
    check_backlog(Backlog::All, &["a", "b", "c"]);
}

#[test]
fn the_newest_is_the_newest_that_can_be_had() {
    let mut catalogue = added(Backlog::default());
    let mut text = http("text", 0);
    text.offer = Offer::default();
    let reading = catalogue.read(FEED, vec![text, http("a", 2), http("b", 3)], wall(0));
    assert_eq!(wanted(&catalogue), ["a"]);
    assert!(reading.skipped.is_empty());
}

#[test]
fn every_later_item_is_wanted_whatever_its_date_says() {
    let mut catalogue = followed();
    catalogue.read(FEED, vec![http("a", 0)], wall(0));
    let reading = catalogue.read(FEED, vec![http("a", 0), http("late", 900)], wall(60));
    assert_eq!(guids(&catalogue, &reading.wanted), ["late"]);
    assert_eq!(reading.new, 1);
}

#[test]
fn reading_the_same_again_changes_nothing() {
    let mut catalogue = followed();
    let items = || vec![torrent("a", 1, hash(1)), http("b", 2), http("b", 3)];
    assert!(!catalogue.read(FEED, items(), wall(0)).changes.is_empty());
    let again = catalogue.read(FEED, items(), wall(3600));
    assert!(again.changes.is_empty() && again.wanted.is_empty() && again.new == 0, "{again:?}");
}

#[test]
fn the_same_guid_with_another_url_is_the_same_episode() {
    let mut catalogue = followed();
    let id = catalogue.read(FEED, vec![http("a", 1)], wall(0)).wanted[0];
    complete(&mut catalogue, id, None);
    let mut moved = http("a", 1);
    moved.offer.sources = vec![Source::Http("http://cdn.example/a.mp3?token=2".to_owned())];
    let reading = catalogue.read(FEED, vec![moved.clone()], wall(60));
    assert!(reading.wanted.is_empty() && reading.revised.is_empty() && reading.new == 0);
    let episode = catalogue.episode(id).unwrap();
    assert_eq!(episode.offer, moved.offer);
    assert!(matches!(episode.stage, Stage::Complete { .. }));
}

#[test]
fn the_same_guid_with_another_info_hash_is_a_revision_and_the_old_file_is_kept() {
    let mut catalogue = followed();
    let id = catalogue.read(FEED, vec![torrent("a", 1, hash(1))], wall(0)).wanted[0];
    complete(&mut catalogue, id, Some(hash(1)));
    let reading = catalogue.read(FEED, vec![torrent("a", 1, hash(2))], wall(60));
    assert_eq!(reading.revised, [id]);
    let episode = catalogue.episode(id).unwrap();
    assert!(episode.is_wanted());
    assert_eq!((episode.file.as_deref(), episode.former.as_slice()), (None, ["Show/a.mp3".to_owned()].as_slice()));
}

#[test]
fn a_feed_that_comes_to_know_its_torrent_revises_nothing() {
    let mut catalogue = followed();
    let id = catalogue.read(FEED, vec![http("a", 1)], wall(0)).wanted[0];
    complete(&mut catalogue, id, None);
    let reading = catalogue.read(FEED, vec![torrent("a", 1, hash(1))], wall(60));
    assert!(reading.revised.is_empty());
    // What is kept counts, not what the feed once said.
    complete(&mut catalogue, id, Some(hash(2)));
    assert!(catalogue.read(FEED, vec![torrent("a", 1, hash(2))], wall(120)).revised.is_empty());
}

#[test]
fn an_episode_that_was_never_wanted_is_not_wanted_for_its_revision() {
    let mut catalogue = added(Backlog::Newest(0));
    catalogue.read(FEED, vec![torrent("a", 1, hash(1))], wall(0));
    let mut feed = catalogue.feed(FEED).unwrap().clone();
    feed.folder = "Show".to_owned();
    catalogue.put_feed(feed);
    let reading = catalogue.read(FEED, vec![torrent("a", 1, hash(2))], wall(60));
    assert!(reading.revised.is_empty() && wanted(&catalogue).is_empty());
}

#[test]
fn another_guid_with_the_same_info_hash_is_a_duplicate() {
    let mut catalogue = followed();
    catalogue.read(FEED, vec![torrent("a", 2, hash(1))], wall(0));
    let reading = catalogue.read(FEED, vec![torrent("b", 1, hash(1)), torrent("a", 2, hash(1))], wall(60));
    let original = EpisodeId { feed: FEED, number: 1 };
    assert_eq!(reading.skipped, [(EpisodeId { feed: FEED, number: 2 }, Why::Duplicate(original))]);
    assert_eq!(wanted(&catalogue), ["a"]);
}

#[test]
fn a_hybrid_is_a_duplicate_by_either_of_its_hashes() {
    let mut catalogue = followed();
    let hybrid = InfoHash::hybrid([1; 20], [2; 32]);
    catalogue.read(FEED, vec![torrent("a", 5, hybrid)], wall(0));
    let v2 = InfoHash::from_v2([2; 32]);
    let reading = catalogue.read(FEED, vec![torrent("b", 1, hash(1)), torrent("c", 1, v2)], wall(60));
    assert_eq!(reading.skipped.len(), 2);
    assert_eq!(wanted(&catalogue), ["a"]);
}

#[test]
fn what_another_feed_has_is_a_duplicate_only_if_it_was_taken() {
    let mut catalogue = added(Backlog::Newest(1));
    catalogue.read(FEED, vec![torrent("new", 1, hash(1)), torrent("old", 2, hash(2))], wall(0));
    let other = FeedId(2);
    let mut feed = Feed::new(other, "http://other.example/".parse().unwrap(), wall(0));
    feed.folder = "Other".to_owned();
    catalogue.put_feed(feed);
    let reading = catalogue.read(other, vec![torrent("x", 1, hash(1)), torrent("y", 2, hash(2))], wall(60));
    assert_eq!(guids(&catalogue, &reading.wanted), ["y"]);
    assert_eq!(reading.skipped.len(), 1);
}

#[test]
fn a_guid_that_changes_by_itself_brings_no_second_copy() {
    let mut catalogue = followed();
    catalogue.read(FEED, vec![http("a", 1)], wall(0));
    let mut renamed = http("a", 1);
    renamed.guid = "other".to_owned();
    assert_eq!(catalogue.read(FEED, vec![renamed.clone()], wall(60)).skipped.len(), 1);
    // A show that keeps one URL for all its episodes still has episodes.
    renamed.guid = "next".to_owned();
    renamed.title = "The next one".to_owned();
    assert_eq!(catalogue.read(FEED, vec![renamed], wall(120)).wanted.len(), 1);
}

#[test]
fn a_feed_that_invents_episodes_is_taken_in_measure() {
    let mut catalogue = followed();
    let flood = |from: u64| (from..from + 1000).map(|n| http(&format!("g{n}"), n)).collect::<Vec<_>>();
    let first = catalogue.read(FEED, flood(0), wall(0));
    assert_eq!(first.wanted.len(), NEW_PER_DAY);
    // The newest are taken.
    assert!(guids(&catalogue, &first.wanted).contains(&"g0".to_owned()));
    assert!(catalogue.read(FEED, flood(1000), wall(3600)).wanted.is_empty());
    let next_day = catalogue.read(FEED, flood(2000), wall(25 * 3600));
    assert_eq!(next_day.wanted.len(), NEW_PER_DAY);
}

#[test]
fn a_revision_that_finds_no_room_is_noticed_again() {
    let mut catalogue = followed();
    let id = catalogue.read(FEED, vec![torrent("a", 1, hash(1))], wall(0)).wanted[0];
    complete(&mut catalogue, id, Some(hash(1)));
    let feed = catalogue.feed_mut(FEED).unwrap();
    feed.taken = vec![wall(0); NEW_PER_DAY];
    assert!(catalogue.read(FEED, vec![torrent("a", 1, hash(2))], wall(60)).revised.is_empty());
    assert_eq!(catalogue.read(FEED, vec![torrent("a", 1, hash(2))], wall(25 * 3600)).revised, [id]);
}

#[test]
fn a_text_that_becomes_an_episode_is_wanted_then() {
    let mut catalogue = followed();
    let mut text = http("a", 1);
    text.offer = Offer::default();
    assert_eq!(catalogue.read(FEED, vec![text], wall(0)).skipped.len(), 1);
    assert_eq!(catalogue.read(FEED, vec![http("a", 1)], wall(60)).wanted.len(), 1);
}

#[test]
fn an_item_dated_far_ahead_is_not_pinned_to_the_top() {
    let mut catalogue = added(Backlog::default());
    let mut ahead = http("ahead", 0);
    ahead.published = Some(DateTime::parse_from_rfc3339("9999-01-01T00:00:00Z").unwrap().to_utc());
    catalogue.read(FEED, vec![http("today", 0), ahead], wall(0));
    assert_eq!(wanted(&catalogue), ["today"]);
    assert_eq!(catalogue.episodes().next().unwrap().day().to_string(), "2026-11-20");
}

#[test]
fn memory_is_bounded_and_what_was_taken_is_never_forgotten() {
    let mut catalogue = followed();
    catalogue.read(FEED, vec![http("kept", 0)], wall(0));
    catalogue.feed_mut(FEED).unwrap().taken = vec![wall(0); NEW_PER_DAY];
    let many = |from: usize| (from..from + MAX_EPISODES).map(|n| http(&format!("g{n}"), 100)).collect::<Vec<_>>();
    catalogue.read(FEED, many(0), wall(60));
    let reading = catalogue.read(FEED, many(MAX_EPISODES), wall(120));
    assert_eq!(catalogue.episodes_of(FEED).count(), MAX_EPISODES + 1);
    assert!(reading.changes.iter().any(|change| matches!(change, Change::DropEpisode(_))));
    assert!(wanted(&catalogue).contains(&"kept"));
}

#[test]
fn two_shows_of_one_name_have_two_folders() {
    let mut catalogue = followed();
    assert_eq!(catalogue.free_folder("SHOW"), "SHOW (2)");
    assert_eq!(catalogue.free_folder("Other"), "Other");
    assert!(catalogue.remove_feed(FEED).is_empty());
    assert_eq!(catalogue.free_folder("SHOW"), "SHOW");
}

#[test]
fn only_a_feed_that_was_read_uses_up_a_number() {
    let mut catalogue = followed();
    let never_read = Feed::new(FeedId(2), "http://other.example/".parse().unwrap(), wall(0));
    catalogue.put_feed(never_read);
    assert_eq!(catalogue.free_number(), FeedId(3));
    catalogue.remove_feed(FeedId(2));
    catalogue.remove_feed(FEED);
    assert_eq!(catalogue.free_number(), FeedId(2));
}

#[test]
fn a_number_is_not_given_twice() {
    let mut catalogue = followed();
    catalogue.read(FEED, vec![http("a", 1)], wall(0));
    let (feeds, episodes) = (catalogue.feeds().cloned().collect(), catalogue.episodes().cloned().collect());
    let mut reopened = Catalogue::new(feeds, episodes, 7);
    assert_eq!(reopened.free_number(), FeedId(8));
    reopened.read(FEED, vec![http("b", 0), http("a", 1)], wall(60) + Duration::from_secs(1));
    let numbers: Vec<_> = reopened.episodes().map(|episode| (episode.guid.as_str(), episode.id.number)).collect();
    assert_eq!(numbers, [("a", 1), ("b", 2)]);
}

#[test]
fn only_the_show_itself_takes_an_episode_back_and_only_once() {
    let mut catalogue = followed();
    let reading = catalogue.read(FEED, vec![torrent("a", 1, hash(1)), torrent("b", 0, hash(2))], wall(0));
    let [b, a] = reading.wanted[..] else { panic!("both are wanted") };
    complete(&mut catalogue, a, Some(hash(1)));
    let mut take_back = |key: u8, withdrawn: &[Withdrawal]| {
        let mut reading = Reading::default();
        catalogue.take_back(FEED, Some(show_key(key)), withdrawn, &mut reading);
        (reading.withdrawn, reading.changes.len())
    };
    assert_eq!(take_back(1, &[]), (vec![], 0), "the first key is the show's");
    assert_eq!(take_back(2, &[withdrawal(2, "a", 9)]), (vec![], 0), "another key's word counts for nothing");
    assert_eq!(take_back(2, &[withdrawal(1, "unknown", 9)]), (vec![], 0));
    assert_eq!(take_back(1, &[withdrawal(1, "a", 9), withdrawal(1, "b", 9)]), (vec![a, b], 2));
    assert_eq!(take_back(1, &[withdrawal(1, "a", 9)]), (vec![], 0), "once is enough");
    assert!(matches!(catalogue.episode(a).unwrap().stage, Stage::Complete { .. }), "the file is the owner's");
    assert_eq!(catalogue.episode(b).unwrap().stage, Stage::Seen { why: Some(Why::Withdrawn) });
    let reading = catalogue.read(FEED, vec![torrent("b", 0, hash(3))], wall(99));
    assert!(reading.wanted.is_empty() && reading.revised.is_empty());
    assert_eq!(catalogue.episode(b).unwrap().withdrawn, Some(wall(9)));
}

/// An item in two qualities, each a torrent: the feed's own and a smaller one.
fn in_two(guid: &str, own: u8, small: u8) -> Found {
    let mut item = torrent(guid, 1, hash(own));
    let mut offer = torrent(&format!("{guid}-small"), 1, hash(small)).offer;
    offer.length = Some(10);
    item.versions.push(Version { offer, ..Version::default() });
    item
}

#[test]
fn a_version_is_taken_by_the_rule_of_its_time_and_stays_until_it_is_replaced() {
    let mut catalogue = followed();
    let rule = |catalogue: &mut Catalogue, quality: Option<&str>| {
        catalogue.feed_mut(FEED).unwrap().rules.quality = quality.map(|quality| quality.parse().unwrap());
    };
    rule(&mut catalogue, Some("smallest"));
    let id = catalogue.read(FEED, vec![in_two("a", 1, 2)], wall(0)).wanted[0];
    let hash_of = |catalogue: &Catalogue| catalogue.episode(id).unwrap().offer.info_hash;
    assert_eq!(hash_of(&catalogue), Some(hash(2)));
    complete(&mut catalogue, id, Some(hash(2)));
    rule(&mut catalogue, None);
    let again = catalogue.read(FEED, vec![in_two("a", 1, 2)], wall(60));
    assert!(again.changes.is_empty(), "a rule that changes changes nothing: {again:?}");
    assert!(catalogue.read(FEED, vec![in_two("a", 3, 2)], wall(120)).revised.is_empty(), "what is kept is as it was");
    assert_eq!(catalogue.read(FEED, vec![in_two("a", 4, 5)], wall(180)).revised, [id]);
    assert_eq!(hash_of(&catalogue), Some(hash(5)), "at its own address it is the same version");
    // The smaller one under another guid is another version of nothing else.
    rule(&mut catalogue, Some("smallest"));
    assert_eq!(catalogue.read(FEED, vec![in_two("b", 6, 7), in_two("c", 8, 7)], wall(240)).wanted.len(), 1);
}

#[test]
fn what_is_in_another_language_is_no_version() {
    let mut catalogue = followed();
    let feed = catalogue.feed_mut(FEED).unwrap();
    (feed.rules.quality, feed.language) = (Some("smallest".parse().unwrap()), Some("en-us".to_owned()));
    let spoken = |guid: &str, language: &str| {
        let mut item = in_two(guid, guid.as_bytes()[0], 1);
        item.versions[0].quality.language = Some(language.to_owned());
        item
    };
    let id = catalogue.read(FEED, vec![spoken("a", "de")], wall(0)).wanted[0];
    assert_eq!(catalogue.episode(id).unwrap().offer.info_hash, Some(hash(b'a')));
    let id = catalogue.read(FEED, vec![spoken("b", "en-GB")], wall(60)).wanted[0];
    assert_eq!(catalogue.episode(id).unwrap().offer.info_hash, Some(hash(1)));
}
