//! A show's permanent name, `podcast:guid`.
//!
//! Source: the podcast namespace's `guid` tag. Made once from the first public URL of the feed, then kept through
//! every move, so that apps know the show again.

use uuid::{Uuid, uuid};

/// The namespace that the podcast namespace fixed for feed URLs.
const PODCAST: Uuid = uuid!("ead4c236-bf58-58c6-a2c6-a6b28d128cb6");

/// The `podcast:guid` of the show whose feed is at `feed_url`: the version 5 UUID of the URL without its
/// scheme and trailing slashes.
pub fn podcast_guid(feed_url: &str) -> Uuid {
    let trimmed = feed_url.trim();
    let bare = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    Uuid::new_v5(&PODCAST, bare.trim_end_matches('/').as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(feed_url: &str, want: Uuid) {
        assert_eq!(podcast_guid(feed_url), want, "{feed_url}");
    }

    #[test]
    fn the_published_vectors_hold() {
        check("https://podnews.net/rss", uuid!("9b024349-ccf0-5f69-a609-6b82873eab3c"));
        check("https://mp3s.nashownotes.com/pc20rss.xml", uuid!("917393e3-1b1e-5cef-ace4-edaa54e1f810"));
    }

    #[test]
    fn scheme_and_trailing_slashes_do_not_count() {
        let want = podcast_guid("podnews.net/rss");
        check("http://podnews.net/rss", want);
        check("https://podnews.net/rss//", want);
    }

    #[test]
    fn letters_of_the_path_count() {
        assert_ne!(podcast_guid("https://podnews.net/rss"), podcast_guid("https://podnews.net/RSS"));
    }
}
