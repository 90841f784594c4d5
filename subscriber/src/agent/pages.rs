//! What a poll came to: the feed of all the pages (RFC 5005) that hold what is not known yet, and what its host is told
//! to have said.
//!
//! Knows nothing of HTTP: whoever carries out a poll asks for [`Pages::next_page`] until there is none.

use std::collections::BTreeSet;

use podswarm_feeds::poll::{Outcome, Reply, Validators};
use podswarm_feeds::read::Channel;
use url::Url;

use super::catalogue::MAX_EPISODES;
use super::found::{FoundFeed, has_more};

/// More pages no feed has that anybody reads.
const MOST_PAGES: usize = 1000;

/// A feed of which one page after another is read, up to one with an item that is known.
///
/// Where no page has one, a feed that was known calls everything by other names: its first page is enough then.
#[derive(Debug)]
pub struct Pages {
    channel: Channel,
    known: BTreeSet<String>,
    /// Where its pages are that were asked for.
    seen: BTreeSet<Url>,
    next: Option<Url>,
    /// Items on its first page.
    on_first: usize,
    meets_known: bool,
}

impl Pages {
    /// The feed whose first page was found at `at`; `known` as in [`Output::Poll`](super::Output::Poll).
    pub fn new(first: Channel, at: Url, known: BTreeSet<String>) -> Self {
        let has_known = has_known(&first, &known);
        Self {
            on_first: first.items.len(),
            next: first.next_page.clone().filter(|_| !has_known),
            meets_known: has_known || known.is_empty(),
            channel: first,
            known,
            seen: BTreeSet::from([at]),
        }
    }

    /// The page that is wanted next, once each; where its host says that it is not there, the feed ends before it.
    pub fn next_page(&mut self) -> Option<Url> {
        let next = self.next.take().filter(|at| self.seen.insert(at.clone()))?;
        (self.seen.len() <= MOST_PAGES && self.channel.items.len() < MAX_EPISODES).then_some(next)
    }

    /// That page.
    pub fn add(&mut self, page: Channel) {
        self.meets_known |= has_known(&page, &self.known);
        self.channel.is_whole &= page.is_whole;
        self.channel.items.extend(page.items);
        self.next = page.next_page.filter(|_| self.known.is_empty() || !self.meets_known);
    }

    /// The feed, as far as it was read.
    pub fn channel(mut self) -> Channel {
        if !self.meets_known {
            self.channel.items.truncate(self.on_first);
        }
        self.channel
    }
}

fn has_known(channel: &Channel, known: &BTreeSet<String>) -> bool {
    channel.items.iter().any(|item| known.contains(&item.guid))
}

/// What `reply` is once its body was read, or was not for the reason given, and what of it counts.
///
/// One that was cut off on its way must not be taken for the whole by a later 304.
pub fn taken_in(reply: Reply, read: Result<Channel, String>) -> (Reply, Option<Box<FoundFeed>>) {
    let channel = match read {
        Ok(channel) => channel,
        Err(reason) => return (reply.unreadable(reason), None),
    };
    let mut reply = reply.with_hints(channel.ttl, channel.skip_hours);
    if let Outcome::Body { validators, .. } = &mut reply.outcome
        && !(channel.is_whole || has_more(&channel))
    {
        *validators = Validators::default();
    }
    (reply, Some(Box::new(FoundFeed::of(channel))))
}

#[cfg(test)]
mod tests {
    use podswarm_feeds::read;

    use super::*;

    fn url(page: u32) -> Url {
        format!("http://host.example/feed?page={page}").parse().unwrap()
    }

    /// A page with these items, and the page that follows.
    fn page(number: u32, guids: &[&str], next: Option<u32>) -> Channel {
        let items: Vec<_> = guids.iter().map(|guid| format!("<item><guid>{guid}</guid></item>")).collect();
        let items = items.concat();
        let next = next.map(|next| format!(r#"<atom:link rel="next" href="{}"/>"#, url(next))).unwrap_or_default();
        let text = format!("<rss><channel><title>Show</title>{next}{items}</channel></rss>");
        read::parse(text.as_bytes(), &url(number), None).unwrap()
    }

    /// The guids of a feed of three pages, the last of which leads to the first, and how many pages were asked for.
    fn read_with(known: &[&str]) -> (Vec<String>, usize) {
        let known = known.iter().map(|guid| (*guid).to_owned()).collect();
        let mut pages = Pages::new(page(1, &["f", "e"], Some(2)), url(1), known);
        let mut asked = 1;
        while let Some(next) = pages.next_page() {
            asked += 1;
            pages.add(if next == url(2) { page(2, &["d", "c"], Some(3)) } else { page(3, &["b", "a"], Some(1)) });
        }
        (pages.channel().items.into_iter().map(|item| item.guid).collect(), asked)
    }

    #[test]
    fn pages_are_read_up_to_one_that_has_what_is_known() {
        assert_eq!(read_with(&["e"]), (vec!["f".to_owned(), "e".to_owned()], 1));
        assert_eq!(read_with(&["c", "x"]).0, ["f", "e", "d", "c"]);
        assert_eq!(read_with(&[]).0, ["f", "e", "d", "c", "b", "a"]);
    }

    #[test]
    fn pages_in_a_circle_end_and_a_feed_that_calls_everything_otherwise_has_one() {
        assert_eq!(read_with(&[]).1, 3);
        assert_eq!(read_with(&["z"]), (vec!["f".to_owned(), "e".to_owned()], 3));
    }

    #[test]
    fn what_was_cut_off_is_not_taken_for_the_whole_and_what_is_no_feed_not_at_all() {
        let header = |name: &str| (name == "etag").then_some("\"1\"");
        let reply = || Reply::from_http(200, header, None, 10, chrono::DateTime::UNIX_EPOCH);
        let whole = page(1, &["a"], None);
        let cut_off = Channel { is_whole: false, ..whole.clone() };
        let validators =
            |reply: Reply| if let Outcome::Body { validators, .. } = reply.outcome { validators.etag } else { None };
        assert_eq!(validators(taken_in(reply(), Ok(whole)).0).as_deref(), Some("\"1\""));
        let (reply_of_cut_off, found) = taken_in(reply(), Ok(cut_off));
        assert_eq!((validators(reply_of_cut_off), found.unwrap().items.len()), (None, 1));
        let items: Vec<String> = (0..=read::MAX_ITEMS).map(|number| number.to_string()).collect();
        let too_long = page(1, &items.iter().map(String::as_str).collect::<Vec<_>>(), None);
        let (reply_of_too_long, found) = taken_in(reply(), Ok(too_long));
        assert_eq!(validators(reply_of_too_long).as_deref(), Some("\"1\""));
        assert!(found.is_some_and(|found| found.has_more && found.items.len() == read::MAX_ITEMS));
        let (reply_of_none, found) = taken_in(reply(), Err("a web page".to_owned()));
        assert!(matches!(reply_of_none.outcome, Outcome::Failed { .. }) && found.is_none());
    }
}
