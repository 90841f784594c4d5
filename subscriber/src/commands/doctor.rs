//! `doctor`: what keeps the agent from its work, and what mends it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::app::{Failure, GlobalArgs, Out, human_duration};
use podswarm_core::net::Route;
use podswarm_core::net::http::HttpClient;
use reqwest::Method;
use reqwest::header::DATE;
use serde::Serialize;
use url::Url;

use super::list::once;
use super::misunderstood;
use crate::address::reach_of_typed;
use crate::ask::{Ask, Reply, Status};
use crate::hub::USER_AGENT;
use crate::library::Library;
use crate::view::count;

/// A host that is asked for its time answers by then, or not at all.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Clocks that are no further apart agree: hosts and caches answer with a time of some moments ago.
const APART: TimeDelta = TimeDelta::minutes(5);

/// How one thing stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    what: &'static str,
    /// Whether it is well; `None` if that cannot be said.
    is_well: Option<bool>,
    /// How it is.
    how: String,
    /// What mends it, if something has to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn well(what: &'static str, how: impl Into<String>) -> Self {
        Self { what, is_well: Some(true), how: how.into(), mend: None }
    }

    fn bad(what: &'static str, how: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, is_well: Some(false), how: how.into(), mend: Some(mend.into()) }
    }

    fn unknown(what: &'static str, how: impl Into<String>) -> Self {
        Self { what, is_well: None, how: how.into(), mend: None }
    }
}

pub(super) async fn doctor(global: &GlobalArgs, out: &Out, route: &Route) -> Result<(), Failure> {
    let Reply::Status(status) = once(global, out, Ask::Status).await? else { return Err(misunderstood()) };
    let mut findings = vec![agent(&status), outside(&status), disk(&status), clock(&status, route).await];
    if global.server.is_none() {
        let has_kept = status.feeds.iter().any(|feed| feed.complete > 0);
        findings.extend(library(&status.library, has_kept));
    }
    findings.extend(feeds(&status));
    for finding in &findings {
        out.json(finding)?;
        let verdict = match finding.is_well {
            Some(true) => "well",
            Some(false) => "BAD",
            None => "?",
        };
        out.line(format!("{:<8} {verdict:<5} {}", finding.what, finding.how))?;
        if let Some(mend) = &finding.mend {
            out.line(format!("{:<8} mend: {mend}", ""))?;
        }
    }
    match findings.iter().filter(|finding| finding.is_well == Some(false)).count() {
        0 => Ok(()),
        bad => Err(Failure::new(format!("{} to be mended", count(bad, "thing")))),
    }
}

fn agent(status: &Status) -> Finding {
    match status.pid {
        Some(pid) => Finding::well("agent", format!("runs as process {pid}")),
        None => Finding::bad(
            "agent",
            "does not run: nothing is polled, fetched or seeded",
            "`podsub run`, or `podsub service install --user` to have it run always",
        ),
    }
}

/// Whether peers outside can dial us, in the words that the publisher has for it.
fn outside(status: &Status) -> Finding {
    let Some(reached) = &status.reached else {
        return Finding::unknown("peers", "UNKNOWN: no peers are spoken to now");
    };
    match reached.is_reached {
        Some(true) => Finding::well("peers", format!("PUBLIC: {}", reached.text)),
        Some(false) => Finding {
            mend: Some("episodes come all the same, and are passed on to fewer; see what the line says".to_owned()),
            ..Finding::unknown("peers", format!("HOUSE ONLY: {}", reached.text))
        },
        None => Finding::unknown("peers", format!("UNKNOWN: {}", reached.text)),
    }
}

fn disk(status: &Status) -> Finding {
    let library = status.library.display();
    let (Some(free), Some(reserve)) = (status.free, status.reserve) else {
        return Finding::unknown("disk", format!("the free space of `{library}` cannot be measured"));
    };
    if free > reserve {
        return Finding::well("disk", format!("{free} free at `{library}`, of which {reserve} are kept free"));
    }
    Finding::bad(
        "disk",
        format!("{free} free at `{library}`, and {reserve} are to be kept free: nothing is fetched"),
        "make room, keep fewer episodes (`podsub edit FEED --keep N`), or lower `podsub run --leave-free`",
    )
}

/// What is wrong with the library's folder, on this machine. It is made with the first episode.
fn library(path: &Path, has_kept: bool) -> Option<Finding> {
    let name = path.display();
    let (how, mend) = match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            (format!("`{name}` is no folder"), "move it away, or name another place: `podsub run --library DIR`")
        }
        _ if has_kept && let Some(why) = Library::new(path.to_owned()).away() => {
            (format!("`{name}` {why}"), "bring it back, or name the place where it is now: `podsub run --library DIR`")
        }
        Err(_) => return None,
        Ok(_) => {
            let probe = path.join(format!(".podsub-{}", std::process::id()));
            let error = File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe)).err()?;
            (format!("nothing can be written to `{name}`: {error}"), "let the agent's user write there")
        }
    };
    Some(Finding::bad("library", how, mend))
}

/// Compares our clock with that of the first feed's host that says.
async fn clock(status: &Status, route: &Route) -> Finding {
    let mut well = status.feeds.iter().filter(|feed| feed.last_error.is_none() && !feed.is_paused);
    let Some(url) = well.find_map(|feed| feed.url.parse::<Url>().ok()) else {
        return Finding::unknown("clock", "no feed's host is there to compare with");
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    match time_at(url, route).await {
        Ok(Some(theirs)) => compare(Utc::now(), theirs, &host),
        Ok(None) => Finding::unknown("clock", format!("{host} does not say what time it is")),
        Err(failure) => Finding::unknown("clock", format!("{host} cannot be asked for the time: {failure}")),
    }
}

fn compare(ours: DateTime<Utc>, theirs: DateTime<Utc>, host: &str) -> Finding {
    let apart = ours - theirs;
    if apart.abs() <= APART {
        return Finding::well("clock", format!("agrees with that of {host}"));
    }
    let way = if apart > TimeDelta::zero() { "ahead of" } else { "behind" };
    let by = human_duration(apart.abs().to_std().unwrap_or_default());
    Finding::bad(
        "clock",
        format!("{by} {way} that of {host}: schedules are wrong, and certificates may be refused"),
        "have the system keep it: `sudo timedatectl set-ntp true`",
    )
}

/// What time it is at a host.
async fn time_at(url: Url, route: &Route) -> Result<Option<DateTime<Utc>>, Failure> {
    let client = HttpClient::new(reach_of_typed(&url, route).await, USER_AGENT, route)?;
    let response = client.send(reqwest::Request::new(Method::HEAD, url), TIMEOUT).await?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc()))
}

/// Each feed that fails, or one word for all that do not.
fn feeds(status: &Status) -> Vec<Finding> {
    let is_bad = |feed: &&crate::ask::FeedView| feed.is_gone || feed.last_error.is_some();
    let mut bad: Vec<_> = status.feeds.iter().filter(is_bad).map(bad_feed).collect();
    let well = status.feeds.len() - bad.len();
    if well > 0 || bad.is_empty() {
        bad.insert(0, Finding::well("feeds", format!("{} without trouble", count(well, "feed"))));
    }
    bad
}

fn bad_feed(feed: &crate::ask::FeedView) -> Finding {
    let name = if feed.title.is_empty() { &feed.url } else { &feed.title };
    let id = feed.id.0;
    if feed.is_gone {
        let how = format!("{id} {name}: its publisher says that it is gone for good");
        return Finding::bad("feeds", how, format!("`podsub remove {id}`; what is there is kept"));
    }
    let reason = feed.last_error.as_deref().unwrap_or_default();
    Finding::bad(
        "feeds",
        format!("{id} {name}: {reason}"),
        format!(
            "`podsub update {id}` tries it now; if the show has moved, `podsub add` its new address and `podsub remove {id}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_no_folder_or_has_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (file, gone) = (folder.path().join("file"), folder.path().join("gone"));
        std::fs::write(&file, "mine").unwrap();
        let how = |path: &Path, has_kept| library(path, has_kept).map(|finding| finding.how).unwrap_or_default();
        assert_eq!([how(folder.path(), true), how(&gone, false)], [""; 2]);
        assert!(how(&file, false).ends_with("is no folder"));
        assert!(how(&gone, true).contains("is not there: its folder was moved"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn clocks_that_are_far_apart_are_told() {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
        assert_eq!(compare(now, now - TimeDelta::minutes(4), "h.example").is_well, Some(true));
        let ahead = compare(now, now - TimeDelta::hours(3), "h.example");
        assert!(ahead.how.contains("ahead of that of h.example") && ahead.mend.is_some(), "{ahead:?}");
        assert!(compare(now, now + TimeDelta::days(9000), "h.example").how.contains("behind"));
    }
}
