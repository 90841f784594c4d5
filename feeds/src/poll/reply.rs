//! What a host's reply means for polling: status and headers in, an [`Outcome`] out.
//!
//! Source: RFC 9110 §8.8 (validators), §10.2.3 (`Retry-After`), §15; RFC 9111 §5.2 (`max-age`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SkipHours;
use crate::date;

/// A validator that is longer is not kept: it would be sent with every request.
const MAX_VALIDATOR_BYTES: usize = 1024;

/// A host's reply, as far as polling needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it was.
    pub outcome: Outcome,
    /// Where the feed has moved to for good: where permanent redirects (301, 308) alone led, or where the feed itself
    /// says that it is, if it was found there.
    pub moved_to: Option<Url>,
    /// Where the feed says that it has moved to, if it was looked for there in vain.
    pub astray: Option<Url>,
    /// `Cache-Control: max-age`.
    pub max_age: Option<Duration>,
    /// Bytes of the body, as they came over the wire where that is known.
    pub bytes: u64,
}

/// What a reply was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The feed, and it could be read.
    Body {
        /// To recognise this body by.
        validators: Validators,
        /// What the feed itself says of how long it may be kept.
        ttl: Option<Duration>,
        /// The hours of the week in which it says that it is not to be asked.
        skip_hours: SkipHours,
    },
    /// 304: nothing new.
    NotModified,
    /// 410: the feed is gone for good.
    Gone,
    /// 429 or 503: too many requests.
    Throttled {
        /// How long to wait, if the host says.
        retry_after: Option<Duration>,
    },
    /// No answer, another status, or a body that is no feed.
    Failed {
        /// One sentence for people.
        reason: String,
    },
}

/// What a host gives to recognise a body by. Sent back word for word, never compared or parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, with its quotes and its `W/`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Reply {
    /// What `status` and headers mean at `wall`. `header` gives a header's value by its lower-case name.
    ///
    /// A 200 is taken for a feed: say [`with_hints`](Self::with_hints) once it is read, or
    /// [`unreadable`](Self::unreadable) if it cannot be.
    pub fn from_http<'h>(
        status: u16,
        header: impl Fn(&str) -> Option<&'h str>,
        moved_to: Option<Url>,
        bytes: u64,
        wall: DateTime<Utc>,
    ) -> Self {
        let outcome = match status {
            200 | 203 | 226 => Outcome::Body {
                validators: Validators {
                    etag: header("etag").and_then(validator),
                    last_modified: header("last-modified").and_then(validator),
                },
                ttl: None,
                skip_hours: SkipHours::default(),
            },
            304 => Outcome::NotModified,
            410 => Outcome::Gone,
            429 | 503 => {
                Outcome::Throttled { retry_after: header("retry-after").and_then(|text| retry_after(text, wall)) }
            }
            _ => Outcome::Failed { reason: format!("the host answered with status {status}") },
        };
        Self { outcome, moved_to, astray: None, max_age: header("cache-control").and_then(max_age), bytes }
    }

    /// A request that brought no reply at all: `reason` says what happened.
    pub fn failed(reason: impl Into<String>) -> Self {
        let outcome = Outcome::Failed { reason: reason.into() };
        Self { outcome, moved_to: None, astray: None, max_age: None, bytes: 0 }
    }

    /// How long the host says that it wants to be left alone.
    pub fn patience(&self) -> Option<Duration> {
        match self.outcome {
            Outcome::Throttled { retry_after } => retry_after,
            Outcome::Body { .. } | Outcome::NotModified | Outcome::Gone | Outcome::Failed { .. } => None,
        }
    }

    /// The same reply, whose body was read and says how seldom it wants to be asked.
    pub fn with_hints(mut self, said: Option<Duration>, skipped: SkipHours) -> Self {
        if let Outcome::Body { ttl, skip_hours, .. } = &mut self.outcome {
            (*ttl, *skip_hours) = (said, skipped);
        }
        self
    }

    /// The same reply, whose body was no feed. Its validators are forgotten: a 304 must not hide the mistake.
    pub fn unreadable(mut self, reason: impl Into<String>) -> Self {
        if let Outcome::Body { .. } = self.outcome {
            self.outcome = Outcome::Failed { reason: reason.into() };
        }
        self
    }
}

/// A validator is kept only if it can be sent back: visible ASCII and blanks, not too long.
fn validator(text: &str) -> Option<String> {
    let text = text.trim();
    let sendable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    (!text.is_empty() && sendable && text.len() <= MAX_VALIDATOR_BYTES).then(|| text.to_owned())
}

/// Seconds or a date; a date that has passed is no wait.
fn retry_after(text: &str, wall: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // What does not fit is very long.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some((date::parse(text)? - wall).to_std().unwrap_or_default())
}

fn max_age(text: &str) -> Option<Duration> {
    let directives = || text.split(',').map(str::trim);
    if directives().any(|name| name.eq_ignore_ascii_case("no-cache") || name.eq_ignore_ascii_case("no-store")) {
        return None;
    }
    directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("max-age") {
            return None;
        }
        Some(Duration::from_secs(value.trim().trim_matches('"').parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("in range")
    }

    fn reply(status: u16, headers: &[(&str, &'static str)]) -> Reply {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        Reply::from_http(status, header, None, 0, wall())
    }

    fn body(validators: Validators) -> Outcome {
        Outcome::Body { validators, ttl: None, skip_hours: SkipHours::default() }
    }

    #[track_caller]
    fn check_retry(value: &'static str, want: Option<u64>) {
        let retry_after = want.map(Duration::from_secs);
        assert_eq!(reply(429, &[("retry-after", value)]).outcome, Outcome::Throttled { retry_after }, "{value}");
    }

    #[test]
    fn validators_are_kept_word_for_word() {
        let got = reply(200, &[("etag", "W/\"a b\""), ("last-modified", "whenever, +1")]);
        let validators =
            Validators { etag: Some("W/\"a b\"".to_owned()), last_modified: Some("whenever, +1".to_owned()) };
        assert_eq!(got.outcome, body(validators));
    }

    #[test]
    fn a_validator_that_cannot_be_sent_back_is_dropped() {
        let got = reply(200, &[("etag", "\"a\u{7f}\""), ("last-modified", " ")]);
        assert_eq!(got.outcome, body(Validators::default()));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        check_retry("120", Some(120));
        check_retry("Mon, 21 Sep 2026 14:13:25 GMT", Some(5));
        check_retry("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check_retry("99999999999999999999999", Some(u64::MAX));
        check_retry("soon", None);
        check_retry("-5", None);
        check_retry("", None);
    }

    #[test]
    fn max_age_is_read_unless_the_host_forbids_keeping() {
        let age = |value| reply(200, &[("cache-control", value)]).max_age;
        assert_eq!(age("public, Max-Age=600"), Some(Duration::from_mins(10)));
        assert_eq!(age("max-age=\"60\""), Some(Duration::from_mins(1)));
        assert_eq!(age("no-cache, max-age=600"), None);
        assert_eq!(age("max-age=-1"), None);
        assert_eq!(age("s-maxage=9"), None);
    }

    #[test]
    fn a_body_that_is_no_feed_is_a_failure_without_validators() {
        let got = reply(200, &[("etag", "\"a\"")]).unreadable("the document is HTML");
        assert_eq!(got.outcome, Outcome::Failed { reason: "the document is HTML".to_owned() });
    }

    #[test]
    fn a_404_is_a_failure_and_a_410_is_not() {
        assert!(matches!(reply(404, &[]).outcome, Outcome::Failed { .. }));
        assert_eq!(reply(410, &[]).outcome, Outcome::Gone);
    }
}
