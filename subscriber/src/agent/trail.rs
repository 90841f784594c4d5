//! Where a feed says itself that it has moved to (`itunes:new-feed-url`), and whether it is there.
//!
//! A feed is there if it is the same show by its `podcast:guid`, or has an episode that the one here has or that is
//! known. Where it says that it has moved on it is looked for further, up to `MOST_PLACES`.
//!
//! Knows nothing of HTTP: whoever carries out a poll asks at [`Trail::next_place`] until there is none, going no
//! further than what the feed names may lie.
//!
//! Laws: a trail that leads back proves nothing, nor does one of which a part cannot be read. None leads from https to
//! http.

use std::collections::BTreeSet;

use podswarm_feeds::read::Channel;
use url::Url;

/// More moves no feed has behind it that anybody follows.
const MOST_PLACES: usize = 5;

/// The places where a feed is looked for that says that it has moved.
#[derive(Debug)]
pub struct Trail {
    /// The show's name, if it has one that it keeps.
    show: Option<String>,
    /// The guids of its episodes.
    known: BTreeSet<String>,
    seen: BTreeSet<Url>,
    /// Where the feed that we follow says that it is.
    said: Url,
    next: Option<Url>,
    found: Option<Url>,
}

impl Trail {
    /// The trail of a feed that was asked for at `asked`, from where permanent redirects led to `moved_to`; `None` if
    /// it says nothing of another place, or of `astray`, where it is not to be looked for again.
    ///
    /// `known` as in [`Output::Poll`](super::Output::Poll).
    pub fn of(
        feed: &Channel,
        asked: &Url,
        moved_to: Option<&Url>,
        astray: Option<&Url>,
        known: &BTreeSet<String>,
    ) -> Option<Self> {
        let seen: BTreeSet<Url> = [asked].into_iter().chain(moved_to).cloned().collect();
        let is_other = |said: &&Url| !seen.contains(said) && astray != Some(said);
        let said = said_by(feed, moved_to.unwrap_or(asked)).filter(is_other)?.clone();
        let known = known.iter().chain(feed.items.iter().map(|item| &item.guid)).cloned().collect();
        Some(Self { show: name_of(feed), known, seen, next: Some(said.clone()), said, found: None })
    }

    /// Where the feed is looked for next.
    pub fn next_place(&mut self) -> Option<Url> {
        self.next.take_if(|at| self.seen.len() <= MOST_PLACES && self.seen.insert(at.clone()))
    }

    /// What is at `place`, from where permanent redirects led to `moved_to`.
    pub fn add(&mut self, place: &Url, moved_to: Option<Url>, feed: &Channel) {
        let is_back = moved_to.as_ref().is_some_and(|at| at != place && !self.seen.insert(at.clone()));
        if is_back || !self.is_same(feed) {
            return;
        }
        let at = moved_to.unwrap_or_else(|| place.clone());
        match said_by(feed, &at).filter(|said| **said != at && *said != place) {
            Some(further) => self.next = Some(further.clone()),
            None => self.found = Some(at),
        }
    }

    /// Where the feed is.
    ///
    /// # Errors
    ///
    /// Where it says that it is, and is not.
    pub fn end(self) -> Result<Url, Url> {
        self.found.ok_or(self.said)
    }

    fn is_same(&self, feed: &Channel) -> bool {
        self.show.is_some() && self.show == name_of(feed) || feed.items.iter().any(|it| self.known.contains(&it.guid))
    }
}

/// Where a feed that is at `at` says that it is, if it can be meant.
fn said_by<'a>(feed: &'a Channel, at: &Url) -> Option<&'a Url> {
    feed.new_feed_url.as_ref().filter(|said| at.scheme() != "https" || said.scheme() == "https")
}

fn name_of(feed: &Channel) -> Option<String> {
    feed.podcast_guid.map(|guid| guid.to_string())
}

#[cfg(test)]
mod tests {
    use podswarm_feeds::read;

    use super::*;

    const SHOW: &str = "9b024349-ccf0-5f69-a609-6b82873eab3c";

    fn url(place: &str) -> Url {
        let at = if place.contains("://") { place.to_owned() } else { format!("https://{place}.example/feed.xml") };
        at.parse().unwrap()
    }

    /// A feed of these episodes that says that it is elsewhere.
    fn feed(guids: &[&str], show: Option<&str>, said: Option<&str>) -> Channel {
        let items: Vec<_> = guids.iter().map(|guid| format!("<item><guid>{guid}</guid></item>")).collect();
        let items = items.concat();
        let show = show.map(|show| format!("<podcast:guid>{show}</podcast:guid>")).unwrap_or_default();
        let said = said.map(|to| format!("<itunes:new-feed-url>{}</itunes:new-feed-url>", url(to))).unwrap_or_default();
        let text = format!(
            "<rss xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd' \
             xmlns:podcast='https://podcastindex.org/namespace/1.0'><channel><title>Show</title>{show}{said}{items}\
             </channel></rss>"
        );
        read::parse(text.as_bytes(), &url("read"), None).unwrap()
    }

    /// Where a feed at `old` ends up, of which all other places are given, and how many were asked.
    fn follow(old: &Channel, places: &[(&str, Option<&str>, Channel)]) -> (Option<Result<Url, Url>>, usize) {
        let Some(mut trail) = Trail::of(old, &url("old"), None, None, &BTreeSet::from(["known".to_owned()])) else {
            return (None, 0);
        };
        let mut asked = 0;
        while let Some(at) = trail.next_place() {
            asked += 1;
            if let Some((_, moved_to, there)) = places.iter().find(|(place, ..)| url(place) == at) {
                trail.add(&at, moved_to.map(url), there);
            }
        }
        (Some(trail.end()), asked)
    }

    #[test]
    fn a_feed_is_found_by_an_episode_that_both_have_by_one_that_is_known_or_by_its_name() {
        let at = |there: Channel, old: &Channel| follow(old, &[("new", None, there)]).0.unwrap().ok();
        let old = feed(&["a", "b"], Some(SHOW), Some("new"));
        assert_eq!(at(feed(&["c", "b"], None, None), &old), Some(url("new")));
        assert_eq!(at(feed(&["known"], None, None), &old), Some(url("new")));
        assert_eq!(at(feed(&[], Some(SHOW), Some("new")), &old), Some(url("new")), "and it may name itself");
        assert_eq!(at(feed(&["c"], Some("917393e3-1b1e-5cef-ace4-edaa54e1f810"), None), &old), None);
        assert_eq!(at(feed(&["c"], None, None), &feed(&["a"], None, Some("new"))), None);
    }

    #[test]
    fn a_feed_that_says_nothing_or_names_itself_or_what_was_looked_at_in_vain_is_where_it_is() {
        let trail = |said: Option<&str>, moved_to: Option<&str>, astray: Option<&str>| {
            let moved_to = moved_to.map(url);
            let feed = feed(&["a"], None, said);
            Trail::of(&feed, &url("old"), moved_to.as_ref(), astray.map(url).as_ref(), &BTreeSet::new()).is_some()
        };
        assert!(!trail(None, None, None) && !trail(Some("old"), None, None));
        assert!(!trail(Some("new"), Some("new"), None) && !trail(Some("old"), Some("new"), None));
        assert!(!trail(Some("new"), None, Some("new")));
        assert!(trail(Some("new"), None, Some("other")));
        assert!(!trail(Some("http://new.example/"), None, None), "from https to http nothing leads");
    }

    #[test]
    fn a_trail_is_followed_to_its_end_and_over_permanent_redirects() {
        let old = feed(&["a"], None, Some("b"));
        let further = feed(&["a"], None, Some("c"));
        let end = feed(&["a"], None, None);
        let chain = [("b", None, further.clone()), ("c", None, end.clone())];
        assert_eq!(follow(&old, &chain), (Some(Ok(url("c"))), 2));
        assert_eq!(follow(&old, &[("b", Some("d"), end.clone())]), (Some(Ok(url("d"))), 1));
        assert_eq!(follow(&old, &chain[..1]), (Some(Err(url("b"))), 2), "its end cannot be read");
    }

    #[test]
    fn a_circle_proves_nothing_and_no_trail_is_endless() {
        let old = feed(&["a"], None, Some("b"));
        let to = |place: &str| feed(&["a"], None, Some(place));
        assert_eq!(follow(&old, &[("b", None, to("old"))]), (Some(Err(url("b"))), 1));
        assert_eq!(follow(&old, &[("b", Some("old"), to("b"))]), (Some(Err(url("b"))), 1));
        assert_eq!(follow(&old, &[("b", None, to("c")), ("c", None, to("b"))]), (Some(Err(url("b"))), 2));
        let names = ["b", "c", "d", "e", "f", "g", "h"];
        let chain: Vec<_> = names.windows(2).map(|pair| (pair[0], None, to(pair[1]))).collect();
        assert_eq!(follow(&old, &chain), (Some(Err(url("b"))), MOST_PLACES));
    }
}
