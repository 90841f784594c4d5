//! A mirror for listeners: a copy of the files elsewhere, to which downloads are led while the line is full.
//!
//! What the owner names is where the files of `podpub export --site` stand, on any web server or object storage. Nobody
//! is led to a file of which the mirror has not shown that it has it, by an answer to HEAD with the right length. Such
//! a look takes nobody's time: who asks for a file before it was looked at is sent it by us.
//!
//! A mirror that is down is left alone for a while, and so is a file that it does not have or has otherwise. The log
//! and the status say so.
//!
//! Law: a request leads to one look at most, and a file is looked at once at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use podswarm_core::app::Failure;
use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, HttpError, Reach};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::USER_AGENT;
use crate::urls::Urls;
use crate::wire::MirrorStatus;

/// What a look has shown holds for so long.
const FRESH: Duration = Duration::from_secs(30);
/// A mirror that is down, and a file that is not there, are left alone for so long.
const REST: Duration = Duration::from_mins(5);
/// How long a mirror may take to answer.
const TIME: Duration = Duration::from_secs(10);
/// Files that are known at once.
const MOST: usize = 1000;
/// Looks at once.
const LOOKS: usize = 8;

/// The mirror. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Mirror(Arc<Shared>);

struct Shared {
    urls: Urls,
    http: HttpClient,
    known: Mutex<Known>,
    /// Requests that were led there.
    led: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is known of a mirror.
#[derive(Debug, Default)]
struct Known {
    /// Until when it is left alone.
    rests_until: Option<Instant>,
    files: BTreeMap<Url, File>,
    /// What was wrong last, until a look finds that nothing is.
    trouble: Option<(Option<Url>, String)>,
}

/// What is known of a file of the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    /// Somebody looks.
    Looking,
    /// It is there.
    There { until: Instant, has_ranges: bool },
    /// It is not there, or not as it should be.
    Resting { until: Instant },
}

/// What somebody who asks for a file is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The mirror has it.
    Led,
    /// Not now.
    Ours,
    /// Not now, and somebody should look.
    Look,
}

/// What an answer to HEAD shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    There {
        has_ranges: bool,
    },
    /// The mirror is well, the file is not.
    Stale(String),
    /// The mirror is not well.
    Down(String),
}

impl Known {
    fn ask(&mut self, url: &Url, is_part: bool, now: Instant) -> Answer {
        if self.rests_until.is_some_and(|until| now < until) {
            return Answer::Ours;
        }
        match self.files.get(url) {
            Some(File::There { until, has_ranges }) if now < *until => {
                if *has_ranges || !is_part {
                    Answer::Led
                } else {
                    Answer::Ours
                }
            }
            Some(File::Looking) => Answer::Ours,
            Some(File::Resting { until }) if now < *until => Answer::Ours,
            _ => self.begin(url, now),
        }
    }

    /// Has a file looked at, unless too much is known or looked at.
    fn begin(&mut self, url: &Url, now: Instant) -> Answer {
        if self.files.len() >= MOST {
            self.files.retain(|_, file| match file {
                File::Looking => true,
                File::There { until, .. } | File::Resting { until } => now < *until,
            });
        }
        let looks = self.files.values().filter(|file| **file == File::Looking).count();
        if looks >= LOOKS || self.files.len() >= MOST {
            return Answer::Ours;
        }
        self.files.insert(url.clone(), File::Looking);
        Answer::Look
    }

    /// Takes note of what a look has shown; tells whether that is news of something that is wrong.
    fn end(&mut self, url: &Url, shown: Shown, now: Instant) -> bool {
        match shown {
            Shown::There { has_ranges } => {
                self.files.insert(url.clone(), File::There { until: now + FRESH, has_ranges });
                // That one file is well says nothing of another.
                if self.trouble.as_ref().is_some_and(|(of, _)| of.as_ref().is_none_or(|of| of == url)) {
                    self.trouble = None;
                }
                false
            }
            Shown::Stale(what) => {
                self.files.insert(url.clone(), File::Resting { until: now + REST });
                self.trouble = Some((Some(url.clone()), what));
                true
            }
            Shown::Down(what) => {
                self.files.remove(url);
                let is_news = self.rests_until.is_none_or(|until| until <= now);
                self.rests_until = Some(now + REST);
                self.trouble = Some((None, what));
                is_news
            }
        }
    }
}

impl Mirror {
    /// The mirror at `urls`, asked by `route`; looks go on as `tasks` until `stop`.
    pub(crate) fn new(
        urls: Urls,
        route: &Route,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, HttpError> {
        // The owner typed where it is.
        let http = HttpClient::new(Reach::Any, USER_AGENT, route)?;
        Ok(Self(Arc::new(Shared { urls, http, known: Mutex::default(), led: AtomicU64::default(), tasks, stop })))
    }

    /// Where its things are.
    pub(crate) fn urls(&self) -> &Urls {
        &self.0.urls
    }

    /// Whether somebody who wants the file at `url`, or a part of it, may be led there; `length` is what it must have.
    pub(crate) fn leads(&self, url: &Url, length: u64, is_part: bool) -> bool {
        let answer = self.known().ask(url, is_part, Instant::now());
        match answer {
            Answer::Led => {
                self.0.led.fetch_add(1, Ordering::Relaxed);
                true
            }
            Answer::Ours => false,
            Answer::Look => {
                let look = self.clone().look_task(url.clone(), length);
                self.0.tasks.spawn(self.0.stop.clone().run_until_cancelled_owned(look));
                false
            }
        }
    }

    /// How it stands.
    pub(crate) fn status(&self) -> MirrorStatus {
        let trouble = self.known().trouble.clone().map(|(_, what)| what);
        MirrorStatus { url: self.0.urls.base().clone(), led: self.0.led.load(Ordering::Relaxed), trouble }
    }

    async fn look_task(self, url: Url, length: u64) {
        let shown = self.look(&url, length).await;
        let what = match &shown {
            Shown::There { .. } => String::new(),
            Shown::Stale(what) | Shown::Down(what) => what.clone(),
        };
        if self.known().end(&url, shown, Instant::now()) {
            tracing::warn!(what, "a mirror is left alone for a while");
        }
    }

    /// Asks for the head of a file.
    async fn look(&self, url: &Url, length: u64) -> Shown {
        let mut request = reqwest::Request::new(reqwest::Method::HEAD, url.clone());
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        match self.0.http.send(request, TIME).await {
            Ok(answer) => shown(url, answer.status().as_u16(), answer.headers(), length),
            Err(error) => Shown::Down(Failure::from(error).to_string()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer to HEAD shows of a file that should have `length`.
fn shown(url: &Url, status: u16, headers: &HeaderMap, length: u64) -> Shown {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (status, text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok())) {
        (429 | 500..=599, _) => Shown::Down(format!("it answers {status} for {url}")),
        (200, _) if headers.contains_key(CONTENT_ENCODING) => Shown::Stale(format!("it encodes {url}")),
        (200, Some(has)) if has == length => {
            Shown::There { has_ranges: text(ACCEPT_RANGES).is_some_and(|unit| unit.eq_ignore_ascii_case("bytes")) }
        }
        (200, Some(has)) => Shown::Stale(format!("{url} has {has} bytes there, and {length} here")),
        (200, None) => Shown::Stale(format!("it does not tell how long {url} is")),
        _ => Shown::Stale(format!("it answers {status} for {url}, and not 200")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> Url {
        format!("https://mirror.example/media/a/{name}").parse().unwrap()
    }

    #[test]
    fn nobody_is_led_to_what_was_not_looked_at_and_one_looks_at_a_time() {
        let (mut known, now, there) = (Known::default(), Instant::now(), url("1.mp3"));
        assert_eq!(known.ask(&there, false, now), Answer::Look);
        assert_eq!(known.ask(&there, false, now), Answer::Ours, "somebody looks");
        assert!(!known.end(&there, Shown::There { has_ranges: false }, now));
        assert_eq!(known.ask(&there, false, now), Answer::Led);
        assert_eq!(known.ask(&there, true, now), Answer::Ours, "it sends no parts");
        assert_eq!(known.ask(&there, false, now + FRESH), Answer::Look);
        for number in 0..2 * LOOKS {
            known.ask(&url(&format!("{number}.ogg")), false, now);
        }
        let looks = known.files.values().filter(|file| **file == File::Looking).count();
        assert_eq!(looks, LOOKS);
    }

    #[test]
    fn what_is_stale_is_left_alone_by_itself_and_what_is_down_as_a_whole() {
        let (mut known, now, [stale, good]) = (Known::default(), Instant::now(), ["1.mp3", "2.mp3"].map(url));
        for file in [&stale, &good] {
            known.ask(file, false, now);
        }
        assert!(known.end(&stale, Shown::Stale("old".to_owned()), now));
        assert!(!known.end(&good, Shown::There { has_ranges: true }, now));
        assert_eq!(known.ask(&stale, false, now + FRESH), Answer::Ours);
        assert_eq!(known.ask(&good, true, now), Answer::Led);
        assert!(known.trouble.is_some(), "the other one is as it was");
        assert_eq!(known.ask(&stale, false, now + REST), Answer::Look);
        known.end(&stale, Shown::There { has_ranges: true }, now + REST);
        assert_eq!(known.trouble, None);

        known.ask(&good, false, now + REST);
        assert!(known.end(&good, Shown::Down("gone".to_owned()), now + REST));
        assert!(!known.end(&good, Shown::Down("gone".to_owned()), now + REST), "it is said once");
        assert_eq!(known.ask(&stale, false, now + REST), Answer::Ours);
        assert_eq!(known.ask(&stale, false, now + 2 * REST), Answer::Look);
    }

    #[test]
    fn known_files_are_bounded() {
        let (mut known, now) = (Known::default(), Instant::now());
        for number in 0..MOST + 5 {
            let file = url(&number.to_string());
            if known.ask(&file, false, now) == Answer::Look {
                known.end(&file, Shown::There { has_ranges: true }, now);
            }
        }
        assert_eq!(known.files.len(), MOST);
        assert_eq!(known.ask(&url("new"), false, now + FRESH), Answer::Look);
        assert_eq!(known.files.len(), 1);
    }

    #[test]
    fn a_head_shows_whether_the_file_is_whole() {
        let look = |status, pairs: &[(&'static str, &'static str)]| {
            let name = |name: &'static str| axum::http::HeaderName::from_static(name);
            let headers = pairs.iter().map(|&(key, value)| (name(key), HeaderValue::from_static(value))).collect();
            shown(&url("1.mp3"), status, &headers, 1000)
        };
        assert_eq!(look(200, &[("content-length", "1000")]), Shown::There { has_ranges: false });
        let ranges = [("content-length", "1000"), ("accept-ranges", "bytes")];
        assert_eq!(look(200, &ranges), Shown::There { has_ranges: true });
        for (status, pairs, part) in [
            (404, &[][..], "404"),
            (302, &[], "302"),
            (200, &[], "how long"),
            (200, &[("content-length", "999")], "999 bytes"),
            (200, &[("content-length", "1000"), ("content-encoding", "gzip")], "encodes"),
        ] {
            let Shown::Stale(what) = look(status, pairs) else { panic!("{status} {pairs:?}") };
            assert!(what.contains(part), "{what}");
        }
        assert!(matches!(look(503, &[]), Shown::Down(_)));
    }
}
