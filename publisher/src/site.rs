//! Everything the publisher shows, as it stands at one moment.
//!
//! A [`Site`] is made when content changes and swapped in whole. A request sees one site, so whoever reads an item in a
//! feed finds its page, its torrent and its media, from the same site or a later one.
//!
//! What a private show's subscribers see is a site of its own, with that show alone. It is the same for all of them but
//! for the token in its addresses, in the place of which [`ANY_TOKEN`](crate::urls::ANY_TOKEN) stands.
//!
//! Law: an episode that is not released is nowhere in a site; a private show is nowhere in that which everybody sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use podswarm_feeds::ShowKey;
use podswarm_feeds::chapters;
use podswarm_feeds::date::to_the_second;
use podswarm_feeds::write::CHAPTERS_MIME;

use crate::http::Resource;
use crate::library::{Library, LibraryError};
use crate::numbers;
use crate::record::{EpisodeRecord, EventRecord, RenderedRecord, ShowRecord, withdrawals};
use crate::render::feed::{self, Document, Form};
use crate::render::page;
use crate::slug::{Slug, page_name};
use crate::transcript;
use crate::urls::Urls;

/// How long an app may keep a feed without asking, in the header of feeds and pages.
const CACHE: &str = "public, max-age=60";
/// How many events a show's site holds for agents that were away; who missed more reads the feed.
const MOST_EVENTS: usize = 256;
/// The type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// All shows with their pages, feeds and released episodes.
#[derive(Debug)]
pub(crate) struct Site {
    /// The page of the shows.
    pub(crate) home: Resource,
    /// Each show that is to be seen, under its slug.
    shows: BTreeMap<Slug, Arc<ShowSite>>,
    /// What the subscribers of each private show see.
    private: BTreeMap<Slug, Arc<Self>>,
}

/// One show.
#[derive(Debug)]
pub(crate) struct ShowSite {
    /// Its record.
    pub(crate) record: ShowRecord,
    /// Its page.
    pub(crate) page: Resource,
    /// The documents of its feeds under their names, such as `feed.xml` and `feed-1.xml`.
    pub(crate) feeds: BTreeMap<String, Resource>,
    /// Its released episodes under the names of their pages.
    pub(crate) episodes: BTreeMap<String, Arc<EpisodeSite>>,
    /// Those that were out and are offered no more, under the names of their pages.
    pub(crate) ended: BTreeMap<String, EpisodeRecord>,
    /// The latest events, oldest first.
    pub(crate) events: Vec<EventRecord>,
}

/// One episode.
#[derive(Debug)]
pub(crate) struct EpisodeSite {
    /// Its record.
    pub(crate) record: EpisodeRecord,
    /// Its page.
    pub(crate) page: Resource,
    /// Its chapters, if it has any.
    pub(crate) chapters: Option<Resource>,
    /// How many bytes of its file are a download.
    pub(crate) enough: u64,
}

impl Site {
    /// The site of everything in `library`.
    pub(crate) fn build(library: &Library, urls: &Urls, now: DateTime<Utc>) -> Result<Self, LibraryError> {
        let shows = library.shows()?.into_iter().map(|show| ShowSite::build(library, show, urls, None, now));
        let shows = shows.collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(BTreeMap::new(), BTreeMap::new(), shows, urls))
    }

    /// The site of those that are known, everybody's and private ones, and of the `new`, each seen by whom it is for.
    fn of(
        mut shows: BTreeMap<Slug, Arc<ShowSite>>,
        mut private: BTreeMap<Slug, Arc<Self>>,
        new: Vec<ShowSite>,
        urls: &Urls,
    ) -> Self {
        for show in new.into_iter().map(Arc::new) {
            let slug = show.record.slug.clone();
            if show.record.is_private {
                let own = BTreeMap::from([(slug.clone(), show)]);
                private.insert(slug, Arc::new(Self::of(own, BTreeMap::new(), Vec::new(), &urls.of(true))));
            } else {
                shows.insert(slug, show);
            }
        }
        Self { home: home(&shows, urls), shows, private }
    }

    /// The site after a change of `show`; everything else is taken over as it is.
    pub(crate) fn with_show(
        &self,
        library: &Library,
        show: ShowRecord,
        urls: &Urls,
        now: DateTime<Utc>,
    ) -> Result<Self, LibraryError> {
        let before = self.held(&show.slug).map(Arc::as_ref);
        let show = ShowSite::build(library, show, urls, before, now)?;
        Ok(Self::of(self.shows.clone(), self.private.clone(), vec![show], urls))
    }

    /// What the subscribers of that show see.
    pub(crate) fn of_subscribers(&self, show: &Slug) -> Option<&Arc<Self>> {
        self.private.get(show)
    }

    /// All shows, the private ones among them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ShowSite>> {
        self.shows.values().chain(self.private.values().flat_map(|site| site.shows.values()))
    }

    /// The show of that slug, be it private or not.
    pub(crate) fn held(&self, slug: &Slug) -> Option<&Arc<ShowSite>> {
        self.shows.get(slug).or_else(|| self.private.get(slug)?.shows.get(slug))
    }

    /// The show of that slug.
    pub(crate) fn show(&self, slug: &str) -> Option<&Arc<ShowSite>> {
        self.shows.get(&slug.parse::<Slug>().ok()?)
    }

    /// The names of the show's feeds whose first document is not what it is in `before`.
    pub(crate) fn changed_feeds(&self, before: &Self, show: &Slug) -> Vec<&'static str> {
        let bytes =
            |site: &Self, name: &str| site.feed(&format!("/shows/{show}/{name}")).map(|feed| feed.bytes().clone());
        Form::ALL.into_iter().map(Form::name).filter(|name| bytes(self, name) != bytes(before, name)).collect()
    }

    /// The feed at that path.
    pub(crate) fn feed(&self, path: &str) -> Option<&Resource> {
        let (slug, file) = path.strip_prefix("/shows/")?.split_once('/')?;
        self.show(slug)?.feeds.get(file)
    }

    /// The episode whose page has that name.
    pub(crate) fn episode(&self, slug: &str, page: &str) -> Option<&Arc<EpisodeSite>> {
        self.show(slug)?.episodes.get(page)
    }

    /// The episode that is offered no more, whose page, file or folder has that name, and what took its place.
    pub(crate) fn ended(&self, slug: &str, name: &str) -> Option<(&EpisodeRecord, Option<&EpisodeRecord>)> {
        let show = self.show(slug)?;
        let ended = show.ended.get(page_name(name)).filter(|it| it.file == name || page_name(&it.file) == name)?;
        let mut now = show.episodes.values().map(|episode| &episode.record);
        Some((ended, now.find(|episode| episode.guid == ended.guid)))
    }

    /// The episode whose file or folder has that name.
    pub(crate) fn episode_by_file(&self, slug: &str, file: &str) -> Option<&Arc<EpisodeSite>> {
        self.episode(slug, page_name(file)).filter(|episode| episode.record.file == file)
    }
}

impl ShowSite {
    /// Its newest episode.
    pub(crate) fn newest(&self) -> Option<&EpisodeRecord> {
        self.episodes.values().map(|episode| &episode.record).max_by_key(|record| record.published)
    }

    fn build(
        library: &Library,
        show: ShowRecord,
        urls: &Urls,
        before: Option<&Self>,
        now: DateTime<Utc>,
    ) -> Result<Self, LibraryError> {
        let all = library.all_episodes(&show.slug)?.into_iter().filter(|episode| episode.released);
        let (records, ended): (Vec<_>, Vec<_>) = all.partition(|episode| episode.ended.is_none());
        let withdrawn = withdrawals(&ended);
        let key = ShowKey::of(&library.key(&show.slug)?);
        let urls = &*urls.of(show.is_private);
        let newest_first: Vec<&EpisodeRecord> = records.iter().collect();
        let page = Resource::new(page::show(&show, &newest_first, urls), HTML, CACHE);
        let documents = feed::feeds(&show, &newest_first, key, withdrawn, urls).into_iter().map(|document| {
            let Document { name, form, text } = document;
            let feed = dated(library, format!("/shows/{}/{name}", show.slug), text, form.mime(), now)?;
            // A hub knows the first one only, which changes with every release.
            let links = (name == form.name()).then(|| urls.feed_links(urls.document(&show.slug, &name).as_str()));
            let feed = feed.linked(links.flatten().as_deref());
            let feed = match &show.moved {
                Some(moved) => feed.moved_to(moved.of(&name)),
                None => feed,
            };
            Ok::<_, LibraryError>((name, feed))
        });
        let feeds = documents.collect::<Result<_, _>>()?;
        let mut events = library.events(&show.slug)?;
        events.drain(..events.len().saturating_sub(MOST_EVENTS));
        let before = before.filter(|before| before.record == show);
        let episodes = records.into_iter().map(|record| {
            let name = page_name(&record.file).to_owned();
            let same = before.and_then(|before| before.episodes.get(&name)).filter(|there| there.record == record);
            let site = same.cloned().unwrap_or_else(|| Arc::new(EpisodeSite::build(library, &show, record, urls)));
            (name, site)
        });
        let episodes = episodes.collect();
        let ended = ended.into_iter().map(|record| (page_name(&record.file).to_owned(), record)).collect();
        Ok(Self { record: show, page, feeds, episodes, ended, events })
    }

    /// The type of the file of that name beside the media: a picture or a transcript of the show or of one of its
    /// episodes.
    pub(crate) fn beside(&self, file: &str) -> Option<&str> {
        let records = || self.episodes.values().map(|episode| &episode.record);
        let mut images = self.record.image.iter().chain(records().filter_map(|record| record.image.as_ref()));
        let image = images.find(|image| image.file == file).map(|image| image.mime.as_str());
        let mut transcripts = records().flat_map(|record| &record.transcripts);
        image.or_else(|| Some(transcripts.find(|transcript| transcript.file == file)?.kind.content_type()))
    }
}

impl EpisodeSite {
    fn build(library: &Library, show: &ShowRecord, record: EpisodeRecord, urls: &Urls) -> Self {
        let said = transcript::said(&record.transcripts, |transcript| {
            let text = library.transcript(&show.slug, transcript);
            text.inspect_err(|error| tracing::error!(%error, "a transcript cannot be shown")).ok()
        });
        let page = page::episode(show, &record, feed::magnet(&record, urls).as_ref(), &said, urls);
        let chapters = (!record.chapters.is_empty())
            .then(|| Resource::new(chapters::to_json(&record.chapters), CHAPTERS_MIME, CACHE));
        let enough = numbers::enough(library, &record);
        Self { page: Resource::new(page, HTML, CACHE), chapters, enough, record }
    }
}

fn home(shows: &BTreeMap<Slug, Arc<ShowSite>>, urls: &Urls) -> Resource {
    let listed = shows.values().map(|show| (&show.record, show.episodes.len()));
    Resource::new(page::home(listed, urls), HTML, CACHE)
}

/// A feed with the time at which its bytes became these, which the library remembers over restarts.
///
/// The time is in whole seconds and always later than that of the bytes before, so that an app which knows only dates
/// never takes new bytes for old ones.
fn dated(
    library: &Library,
    path: String,
    feed: String,
    mime: &'static str,
    now: DateTime<Utc>,
) -> Result<Resource, LibraryError> {
    let etag = crate::http::etag(feed.as_bytes());
    let resource = Resource::new(feed, mime, CACHE);
    let before = library.store().get::<RenderedRecord>(&path)?;
    let modified = match before {
        Some(before) if before.etag == etag => before.modified,
        before => {
            let now = to_the_second(now);
            let modified = before.map_or(now, |before| now.max(before.modified + chrono::Duration::seconds(1)));
            // A full disk costs the memory of this date, not the feed.
            if let Err(error) = library.store().put(&RenderedRecord { path, etag, modified }) {
                tracing::warn!(%error, "cannot remember when a feed changed");
            }
            modified
        }
    };
    Ok(resource.modified(modified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::library;
    use crate::record::tests::{episode, show};
    use crate::urls::ANY_TOKEN;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn urls() -> Urls {
        Urls::parse("http://a.example/").unwrap()
    }

    fn text(resource: &Resource) -> String {
        String::from_utf8(resource.bytes().to_vec()).unwrap()
    }

    #[test]
    fn an_episode_that_is_not_out_is_nowhere() {
        let (_dir, library) = library();
        let mut later = episode("a", 2);
        later.released = false;
        library.store().put(&show("a")).unwrap();
        library.store().put(&episode("a", 1)).unwrap();
        library.store().put(&later).unwrap();
        let site = Site::build(&library, &urls(), at(0)).unwrap();
        let show = site.show("a").unwrap();
        for resource in [&show.page, &show.feeds["feed.xml"], &show.feeds["torrents.xml"]] {
            assert!(text(resource).contains("Episode 1") && !text(resource).contains("Episode 2"));
        }
        assert!(site.episode("a", page_name(&later.file)).is_none());
        assert!(site.episode_by_file("a", &episode("a", 1).file).is_some());
        assert!(site.episode_by_file("a", page_name(&episode("a", 1).file)).is_none());
    }

    #[test]
    fn a_private_show_is_in_its_subscribers_site_alone() {
        let (_dir, library) = library();
        let private = ShowRecord { is_private: true, ..show("b") };
        library.store().put(&show("a")).unwrap();
        library.store().put(&private).unwrap();
        library.store().put(&EpisodeRecord { is_private: true, ..episode("b", 2) }).unwrap();
        let built = Site::build(&library, &urls(), at(0)).unwrap();
        let changed = built.with_show(&library, private, &urls(), at(1)).unwrap();
        let slug = "b".parse().unwrap();
        for site in [built, changed] {
            assert!(site.show("b").is_none() && site.feed("/shows/b/feed.xml").is_none());
            assert!(!text(&site.home).contains("/b\""), "{}", text(&site.home));
            assert_eq!((site.all().count(), site.held(&slug).is_some()), (2, true));
            let own = site.of_subscribers(&slug).unwrap();
            assert!(own.show("a").is_none() && site.of_subscribers(&"a".parse().unwrap()).is_none());
            let feed = text(own.feed("/shows/b/feed.xml").unwrap());
            assert!(feed.contains(&format!("http://a.example/private/{ANY_TOKEN}/media/b/")), "{feed}");
            assert!(feed.contains("<itunes:block>Yes</itunes:block>") && !feed.contains("magnet:"), "{feed}");
            assert_eq!(feed.matches("http://a.example/").count(), feed.matches(ANY_TOKEN).count());
        }
    }

    #[test]
    fn a_restart_moves_neither_tag_nor_date() {
        let (_dir, library) = library();
        library.store().put(&show("a")).unwrap();
        let headers = |now| {
            let site = Site::build(&library, &urls(), now).unwrap();
            let feed = &site.show("a").unwrap().feeds["feed.xml"];
            let response = feed.respond(&axum::http::Method::GET, &axum::http::HeaderMap::new());
            ["etag", "last-modified"].map(|name| response.headers()[name].clone())
        };
        let first = headers(at(0));
        assert_eq!(first, headers(at(500)));
        library.store().put(&episode("a", 1)).unwrap();
        let second = headers(at(0));
        assert_ne!(first[0], second[0]);
        assert_ne!(first[1], second[1], "a change within the same second has a later date");
    }

    #[test]
    fn a_change_of_one_show_leaves_the_others_as_they_are() {
        let (_dir, library) = library();
        library.store().put(&show("a")).unwrap();
        library.store().put(&show("b")).unwrap();
        library.store().put(&episode("a", 1)).unwrap();
        let before = Site::build(&library, &urls(), at(0)).unwrap();
        library.store().put(&episode("a", 2)).unwrap();
        let after = before.with_show(&library, show("a"), &urls(), at(9)).unwrap();
        assert!(Arc::ptr_eq(before.show("b").unwrap(), after.show("b").unwrap()));
        let name = page_name(&episode("a", 1).file).to_owned();
        assert!(Arc::ptr_eq(before.episode("a", &name).unwrap(), after.episode("a", &name).unwrap()));
        assert_eq!(after.show("a").unwrap().episodes.len(), 2);
        assert!(text(&after.home).contains("2 episodes"));
    }
}
