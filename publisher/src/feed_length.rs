//! How many episodes one document of a show's feeds holds, and which.
//!
//! An app asks for a feed again and again and is sent all of it whenever it has changed; what a show of ten years says
//! in it is some megabytes, of which nearly nothing is new. So the older episodes are in pages of their own, which apps
//! that know of pages read once, and whoever knows of none does without.
//!
//! Law: a page that is full keeps its episodes, whatever is published after them.
//! Source: RFC 5005 §3.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::str::FromStr;

use podswarm_feeds::FeedPage;
use serde_with::{DeserializeFromStr, SerializeDisplay};

/// How many of the newest episodes the first document holds at least, and each page of older ones exactly; all if
/// `None`. Written as the number, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SerializeDisplay, DeserializeFromStr)]
pub(crate) struct FeedLength(Option<NonZeroU32>);

/// A text that is no such number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of episodes; want one from 1 on, such as `500`, or `all`")]
pub(crate) struct FeedLengthError(String);

impl FeedLength {
    /// Everything in one document.
    pub(crate) const ALL: Self = Self(None);

    /// The documents for so many episodes, the newest first, and which of them each holds.
    pub(crate) fn pages(self, episodes: usize) -> Vec<(FeedPage, Range<usize>)> {
        let each = self.0.map_or(usize::MAX, |each| usize::try_from(each.get()).unwrap_or(usize::MAX));
        // The first document grows until there is another page to be made of its end.
        let pages = episodes.saturating_sub(each) / each;
        let count = u32::try_from(pages).unwrap_or(u32::MAX);
        let newest = episodes - pages * each;
        let first = (FeedPage { number: None, pages: count }, 0..newest);
        let older = (1..=count).rev().scan(newest, |begin, number| {
            let range = *begin..*begin + each;
            *begin = range.end;
            Some((FeedPage { number: Some(number), pages: count }, range))
        });
        std::iter::once(first).chain(older).collect()
    }
}

impl Default for FeedLength {
    fn default() -> Self {
        Self(NonZeroU32::new(1000))
    }
}

impl fmt::Display for FeedLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("all"),
            Some(each) => each.fmt(f),
        }
    }
}

impl FromStr for FeedLength {
    type Err = FeedLengthError;

    fn from_str(text: &str) -> Result<Self, FeedLengthError> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        text.parse().map(|each| Self(Some(each))).map_err(|_| FeedLengthError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of each document, with its episodes.
    fn pages(length: &str, episodes: usize) -> Vec<(u32, Range<usize>)> {
        let pages = length.parse::<FeedLength>().unwrap().pages(episodes);
        pages.into_iter().map(|(page, range)| (page.number.unwrap_or(0), range)).collect()
    }

    #[test]
    fn a_page_is_made_when_the_first_document_holds_twice_as_much_as_it_should() {
        assert_eq!(pages("10", 0), [(0, 0..0)]);
        assert_eq!(pages("10", 19), [(0, 0..19)]);
        assert_eq!(pages("10", 20), [(0, 0..10), (1, 10..20)]);
        assert_eq!(pages("10", 29), [(0, 0..19), (1, 19..29)]);
        assert_eq!(pages("10", 30), [(0, 0..10), (2, 10..20), (1, 20..30)]);
        assert_eq!(pages("1", 3), [(0, 0..1), (2, 1..2), (1, 2..3)]);
        assert_eq!(pages("all", 5000), [(0, 0..5000)]);
    }

    #[test]
    fn a_page_that_is_full_keeps_its_episodes() {
        // Counted from the oldest.
        let held = |episodes: usize, number: u32| {
            let page = pages("7", episodes).into_iter().find(|(page, _)| *page == number)?;
            Some(episodes - page.1.end..episodes - page.1.start)
        };
        for episodes in 0..60 {
            for number in 1..pages("7", episodes).len() {
                let number = u32::try_from(number).unwrap();
                assert_eq!(held(episodes, number), held(episodes + 1, number), "page {number} of {episodes}");
            }
        }
    }

    #[test]
    fn a_length_is_read_as_it_is_written() {
        for text in ["all", "1", "500"] {
            assert_eq!(text.parse::<FeedLength>().unwrap().to_string(), text);
        }
        assert_eq!(FeedLength::default().to_string(), "1000");
        for text in ["", "0", "-1", "none", "1.5"] {
            assert!(text.parse::<FeedLength>().is_err(), "{text}");
        }
    }
}
