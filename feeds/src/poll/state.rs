//! What a [`Poller`](super::Poller) has learnt of its feed and must not forget.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{SkipHours, Validators};

/// What is known of one feed's host between requests. Plain data: save it after every reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollState {
    /// Where the feed is.
    pub url: Url,
    /// What the host gave to recognise its last body by.
    #[serde(default)]
    pub validators: Validators,
    /// When the host last answered with the feed or with 304.
    #[serde(default)]
    pub checked_at: Option<DateTime<Utc>>,
    /// When the whole feed last came.
    #[serde(default)]
    pub full_at: Option<DateTime<Utc>>,
    /// The length of the last whole feed, in bytes as they came.
    #[serde(default)]
    pub full_bytes: u64,
    /// When the next request is due.
    #[serde(default)]
    pub next_at: Option<DateTime<Utc>>,
    /// The feed's own `ttl`.
    #[serde(default)]
    pub ttl: Option<Duration>,
    /// The hours of the week in which it is not to be asked.
    #[serde(default)]
    pub skip_hours: SkipHours,
    /// The host's `Cache-Control: max-age`.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// Failures since the last answer.
    #[serde(default)]
    pub failures: u32,
    /// What the last failure was, for people.
    #[serde(default)]
    pub last_error: Option<String>,
    /// Where the last reply said that the feed has moved for good. A second one in a row is believed.
    #[serde(default)]
    pub moving_to: Option<Url>,
    /// Where the feed said that it has moved to, and is not.
    #[serde(default)]
    pub astray: Option<Astray>,
    /// Whether the publisher said that the feed is gone.
    #[serde(default)]
    pub gone: bool,
    /// What asking has cost so far.
    #[serde(default)]
    pub counts: Counts,
}

/// A place where a feed said that it is, and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Astray {
    /// Which.
    pub to: Url,
    /// When it was looked for there.
    pub at: DateTime<Utc>,
}

/// What asking has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that brought the whole feed.
    pub full: u64,
    /// Requests that brought a 304.
    pub unchanged: u64,
    /// Requests that brought neither.
    pub failed: u64,
    /// Bytes of all bodies, as they came.
    pub bytes: u64,
    /// Bytes that the 304s spared.
    pub bytes_saved: u64,
}

impl PollState {
    /// A feed at `url` that was never asked for.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            validators: Validators::default(),
            checked_at: None,
            full_at: None,
            full_bytes: 0,
            next_at: None,
            ttl: None,
            skip_hours: SkipHours::default(),
            max_age: None,
            failures: 0,
            last_error: None,
            moving_to: None,
            astray: None,
            gone: false,
            counts: Counts::default(),
        }
    }
}
