//! Decides when a host is asked for the next of its feeds: one after another, and none while it wants to be left alone.
//!
//! What a host says of one feed counts for all of them, for a while: it knows us, not our feeds.
//!
//! Knows nothing of feeds but their hosts. What the owner or the publisher wants now is asked at once, whatever the
//! turn.
//!
//! Law: where a feed is asked because its time has come, its host is asked for no other one, and has not been for
//! [`PAUSE`].
//!
//! Source: RFC 6585 §4 and RFC 9110 §10.2.3.

use std::collections::BTreeMap;
use std::time::Duration;

use podswarm_core::time::Instant;
use url::Url;

/// Between a host's answer and the next request that nobody waits for.
const PAUSE: Duration = Duration::from_secs(1);

/// What a host says of one of its feeds keeps the others from being asked for this long at most: it may mean that one.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// The hosts that are asked, or were just now.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// How many requests run.
    asking: BTreeMap<String, usize>,
    /// Not before this. What has passed is forgotten.
    free_at: BTreeMap<String, Instant>,
}

/// When a feed may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// When another one has been answered.
    AfterAnswer,
    /// Then.
    At(Instant),
    /// Now.
    Now,
}

impl Hosts {
    /// When the feed at `url` may be asked because its time has come.
    pub(super) fn turn(&self, now: Instant, url: &Url) -> Turn {
        let host = host(url);
        match self.free_at.get(&host) {
            _ if self.asking.contains_key(&host) => Turn::AfterAnswer,
            Some(at) if *at > now => Turn::At(*at),
            _ => Turn::Now,
        }
    }

    /// The feed at `url` is asked.
    pub(super) fn asked(&mut self, url: &Url) {
        *self.asking.entry(host(url)).or_default() += 1;
    }

    /// The feed at `url` was answered, or not; its host wants to be left alone for `patience`.
    pub(super) fn answered(&mut self, now: Instant, url: &Url, patience: Option<Duration>) {
        let host = host(url);
        if let Some(running) = self.asking.get_mut(&host) {
            *running -= 1;
            if *running == 0 {
                self.asking.remove(&host);
            }
        }
        self.free_at.retain(|_, at| *at > now);
        let at = now + patience.unwrap_or_default().clamp(PAUSE, LONGEST_HOLD);
        self.free_at.entry(host).and_modify(|free_at| *free_at = at.max(*free_at)).or_insert(at);
    }
}

/// Who is asked: a machine may have another host at another port.
pub(super) fn host(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_host_is_asked_for_one_feed_after_another_and_others_meanwhile() {
        let mut hosts = Hosts::default();
        let [a, b] = ["https://one.example/a", "https://ONE.example:443/b"].map(url);
        assert_eq!(hosts.turn(at(0), &a), Turn::Now);
        hosts.asked(&a);
        assert_eq!(hosts.turn(at(0), &b), Turn::AfterAnswer);
        assert_eq!(hosts.turn(at(0), &url("https://one.example:8443/b")), Turn::Now);
        assert_eq!(hosts.turn(at(0), &url("https://two.example/b")), Turn::Now);
        hosts.answered(at(5), &a, None);
        assert_eq!(hosts.turn(at(5), &b), Turn::At(at(6)));
        assert_eq!(hosts.turn(at(6), &b), Turn::Now);
    }

    #[test]
    fn what_the_owner_wants_beside_it_counts_too() {
        let mut hosts = Hosts::default();
        let [a, b] = ["http://one.example/a", "http://one.example/b"].map(url);
        hosts.asked(&a);
        hosts.asked(&b);
        hosts.answered(at(1), &a, None);
        assert_eq!(hosts.turn(at(9), &a), Turn::AfterAnswer);
        hosts.answered(at(9), &b, None);
        assert_eq!(hosts.turn(at(10), &a), Turn::Now);
        assert_eq!((hosts.asking.len(), hosts.free_at.len()), (0, 1));
    }

    #[test]
    fn a_host_that_wants_to_be_left_alone_is_but_one_feed_does_not_silence_the_others_for_long() {
        let mut hosts = Hosts::default();
        let [a, b] = ["http://one.example/a", "http://one.example/b"].map(url);
        hosts.asked(&a);
        hosts.answered(at(0), &a, Some(Duration::from_mins(10)));
        assert_eq!(hosts.turn(at(599), &b), Turn::At(at(600)));
        // An answer to what the owner wanted meanwhile takes nothing back.
        hosts.asked(&b);
        hosts.answered(at(1), &b, None);
        assert_eq!(hosts.turn(at(599), &b), Turn::At(at(600)));
        hosts.asked(&a);
        hosts.answered(at(600), &a, Some(Duration::MAX));
        assert_eq!(hosts.turn(at(601), &b), Turn::At(at(600 + 3600)));
    }
}
